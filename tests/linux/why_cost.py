# SPDX-License-Identifier: MIT
"""coldframe why of a range takes as many instructions as blocks of the same
frames, and a fifth more at most; on a folder and on a capture. Counted by
callgrind."""

import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'tools'))

import cli                                          # noqa: E402
from hosts import ANON, BLOCK, FILE, FREE, MLOCKED, SLAB, host  # noqa: E402

VALGRIND = sys.argv[2]
BLOCKS = 128
MOST = 1.2


def some_host():
    """A GiB, of runs as they are on a host that has been up for a while."""
    lot = random.Random(5)
    words = []
    while len(words) < BLOCKS * BLOCK:
        word = lot.choice((FREE, FREE, FILE, FILE, ANON, ANON, SLAB, MLOCKED,
                           0, 0x68))
        words += lot.choice((1, 2, 7, 31, 200, 900)) * [word]
    return host([words[first:first + BLOCK]
                 for first in range(0, BLOCKS * BLOCK, BLOCK)])


def instructions(*arguments):
    result = subprocess.run(
        [VALGRIND, '--tool=callgrind', '--callgrind-out-file=/dev/null',
         cli.COLDFRAME, *arguments], check=False, text=True,
        capture_output=True, stdin=subprocess.DEVNULL)
    found = re.search(r'Collected : (\d+)', result.stderr)
    return int(found[1]) if found and not result.returncode else None


def compare(name, *source):
    blocks = instructions('blocks', *source)
    for text, range_ in (('a range', '0-%d' % (BLOCKS - 1)),
                         ('a range that cuts blocks',
                          'pfn:700+%d' % (BLOCKS * BLOCK - 800))):
        why = instructions('why', *source, range_)
        cli.ok(blocks and why and why <= MOST * blocks,
               '%s of %s costs what blocks costs' % (text, name),
               'blocks %s, why %s' % (blocks, why))
        print('# blocks %s, why %s: %.2f' % (blocks, why, why / blocks))


root = some_host()
compare('a folder', '-s', root.path)
capture = os.path.join(root.path, 'capture')
if cli.run('capture', '-s', root.path, capture)[0]:
    cli.skip('the same of a capture', 'built without zstd')
else:
    compare('a capture', '-F', capture)
cli.done()
