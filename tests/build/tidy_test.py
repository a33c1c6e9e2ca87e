#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each rule of scripts/tidy.py finds what it is for, and nothing in files that
keep it. Method: small trees with one fault each."""

import os
import sys
import tempfile

import tap

TIDY = os.path.join(tap.ROOT, 'scripts', 'tidy.py')
HEAD = '/* SPDX-License-Identifier: MIT */\n'

# A tree that keeps every rule; each case below replaces a file of it.
GOOD = {
    'include/coldframe/lock.h': HEAD + '''
enum cf_rank {
	CF_RANK_BLOCK	= 50,	/* a comment */
	CF_RANK_LEAF	= 63,
};
''',
    'include/coldframe/block.h': HEAD + '''
#include <stdint.h>
enum cf_block_state {
	CF_BLOCK_ABSENT,
	CF_BLOCK_STATE_COUNT
};
enum cf_type {
	CF_TYPE_SLAB	= 5,
	CF_TYPE_COUNT
};
''',
    'core/word.h': HEAD + '#include <coldframe/block.h>\n',
    'core/word.c': HEAD + '''#include "word.h"

static const char *text = "// no comment, [no-edge], atomic_load()";

static void give(void)
{
	/*
	 * Release: the taker sees it all. The other side is take(). [word]
	 */
	cfi_store_release(&word, 1);
}

/* Acquire: see it all. [word] */
static int take(void)
{
	return cfi_load_acquire(&word) && cfi_load_relaxed(&word);
}
''',
    'machine/run.c': HEAD + '#include <stdio.h>\n#include "port/host/host.h"\n',
    'port/host/host.h': HEAD,
    'tests/unit/word.c': HEAD + '#include "core/word.h"\n',
    'tests/model/model.c': HEAD + '#include <coldframe/lock.h>\n',
    'docs/locks.md': '<!-- SPDX-License-Identifier: MIT -->\n' '''
| lock | rank |
|---|---|
| block | `CF_RANK_BLOCK` |
| leaf | `CF_RANK_LEAF` |
''',
    'docs/states.md': '<!-- SPDX-License-Identifier: MIT -->\n'
                      'A block is ABSENT; a run is a SLAB.\n',
    'docs/atomics.md': '<!-- SPDX-License-Identifier: MIT -->\n' '''
| edge | release | acquire | carries | breaks | test |
|---|---|---|---|---|---|
| `[word]` | give | take | all | much | one |
''',
}

LONG = '\nvoid f(void)\n{\n' + '\n' * 60 + '}\n'
ROW = GOOD['docs/atomics.md']

# (what is wrong, file, its new text, what tidy must say of that file or of
# the one named)
CASES = [
    ('no SPDX line', 'core/word.h', '/* nothing */\n', 'no SPDX line'),
    ('core includes libc', 'core/word.h', HEAD + '#include <stdio.h>\n',
     'core may not include <stdio.h>'),
    ('machine includes core', 'machine/run.c',
     HEAD + '#include "core/word.h"\n', 'machine may not include core/word.h'),
    ('machine includes core by a short name', 'machine/run.c',
     HEAD + '#include "word.h"\n', 'machine may not include core/word.h'),
    ('a model test looks into core', 'tests/model/model.c',
     HEAD + '#include "core/word.h"\n', 'tests may not include core/word.h'),
    ('the port includes the machine above it', 'port/host/host.h',
     HEAD + '#include "machine/run.c"\n', 'may not include machine/run.c'),
    ('a public header includes too much', 'include/coldframe/block.h',
     GOOD['include/coldframe/block.h'] + '#include <string.h>\n',
     'may not include <string.h>'),
    ('an include that is nowhere', 'machine/run.c',
     HEAD + '#include "nowhere.h"\n', 'cannot find nowhere.h'),
    ('a folder nobody knows', 'stuff/x.c', HEAD, 'does not know'),
    ('a // comment', 'core/word.h', HEAD + 'int x; // why\n', 'a // comment'),
    ('a long line', 'core/word.h', HEAD + '\t' * 9 + '/* 12345 */\n',
     ':2: 83 columns'),
    ('a long function', 'core/long.c', HEAD + LONG, ':3: a function of 63'),
    ('a long header', 'core/word.h', HEAD + '\n' * 400, '401 lines'),
    ('a long core file', 'core/long.c', HEAD + '\n' * 800, '801 lines'),
    ('an atomic outside core', 'machine/run.c', HEAD + '_Atomic int x;\n',
     '_Atomic: atomics outside core/'),
    ('a naked atomic in core', 'core/word.h',
     HEAD + 'int x = __atomic_load_n(&y, 0);\n', 'use core/atomic.h'),
    ('a strong operation without an edge', 'core/word.c',
     GOOD['core/word.c'] + 'int y = cfi_cas_acq_rel(&word, &x, 1);\n',
     'cfi_cas_acq_rel without an [edge]'),
    ('the edge stands in the function before', 'core/word.c',
     GOOD['core/word.c'] + 'int f(void)\n{\n\tcfi_compiler_fence();\n}\n',
     'cfi_compiler_fence without an [edge]'),
    ('an edge without its other side', 'core/word.c',
     GOOD['core/word.c'].replace('Acquire: see it all. [word]', '[other]'),
     '[word] has only its release side'),
    ('an edge without a row', 'docs/atomics.md', ROW.replace('[word]', '[x-y]'),
     '[word] has no row', 'core/word.c'),
    ('a row without an edge', 'docs/atomics.md',
     ROW + '| [gone] | a | b | c | d | e |\n', '[gone] is not in core/'),
    ('a row with an empty cell', 'docs/atomics.md', ROW.replace('give', ''),
     '[word]: an empty cell'),
    ('a rank without a row', 'docs/locks.md',
     GOOD['docs/locks.md'].replace('CF_RANK_LEAF', 'leaf'),
     'CF_RANK_LEAF has no row', 'include/coldframe/lock.h:5'),
    ('a row of no rank', 'docs/locks.md',
     GOOD['docs/locks.md'] + '| x | CF_RANK_GONE |\n', 'CF_RANK_GONE is not'),
    ('a state without a word', 'docs/states.md',
     GOOD['docs/states.md'].replace('ABSENT', 'there'),
     'CF_BLOCK_ABSENT is not', 'include/coldframe/block.h:5'),
    ('a type without a word', 'docs/states.md',
     GOOD['docs/states.md'].replace('SLAB', 'thing'),
     'CF_TYPE_SLAB is not', 'include/coldframe/block.h:9'),
]


def tidy(changes, *arguments):
    """What tidy says of the good tree with some files replaced."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**GOOD, **changes}.items():
            if text is not None:
                target = os.path.join(root, path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, 'w', encoding='utf-8') as file:
                    file.write(text)
        return tap.run([sys.executable, TIDY, '--root', root] +
                       list(arguments))


good, said = tidy({})
tap.ok(good and not said, 'nothing to say of a good tree', said)
good, said = tidy(dict.fromkeys([path for path in GOOD if 'docs/' in path]))
tap.ok(good and not said, 'pages that are not there yet are not missed', said)
for title, path, text, expected, *where in CASES:
    good, said = tidy({path: text})
    tap.ok(not good and any(line.startswith((where or [path])[0]) and
                            expected in line for line in said.splitlines()),
           title, said)
good, said = tidy({'core/long.c': HEAD + '\n/* tidy: long, a table. */' + LONG})
tap.ok(good, 'a long function with a reason may pass', said)
good, said = tidy({'core/word.h': '\n'}, 'core/word.c')
tap.ok(good and not said, 'only the files named', said)
good, said = tidy({'core/word.h': '\n'}, '--tap')
tap.ok(not good and 'not ok 1 - spdx' in said and 'ok 2 - includes' in said,
       'speaks TAP', said)
good, said = tidy({}, '--nonsense')
tap.ok(not good and 'usage' in said, 'refuses wrong usage', said)
tap.done()
