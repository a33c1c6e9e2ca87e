#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""core/frame.c as it would be with another way of telling owners.

usage: bench/put_variant.py KIND FRAME.C OUT.C

none    there are no owners: the last put always frees
ladder  three tests of what the run is, each with a direct call
table   as it is
"""

import re
import sys

HEAD = {
    'none': '''
/* There is nothing in a word that could be an owner. */
static inline bool is_last(uint64_t word)
{
	return (word & (WORD_FLAGS_MASK | WORD_PINS_MASK |
			WORD_REFS_MASK)) == WORD_ONE_REF;
}
''',
    # The compiler must not make one test of three, as it cannot where each is
    # a predicate of a subsystem's.
    'ladder': '''
extern enum cf_verdict put_release_first(void *context, cf_pfn pfn,
					 unsigned order);
extern enum cf_verdict put_release_second(void *context, cf_pfn pfn,
					  unsigned order);
extern enum cf_verdict put_release(void *context, cf_pfn pfn, unsigned order);

static inline bool is(uint64_t word, uint32_t id)
{
	__asm__("" : "+r"(word));
	return word_owner(word) == id;
}

static inline bool is_last(uint64_t word)
{
	if (is(word, 3) || is(word, 4) || is(word, 2))
		return false;
	return (word & (WORD_FLAGS_MASK | WORD_PINS_MASK |
			WORD_REFS_MASK)) == WORD_ONE_REF;
}

static enum cf_verdict ladder(cf_pfn pfn, uint64_t word)
{
	if (is(word, 3))
		return put_release_first(NULL, pfn, word_order(word));
	if (is(word, 4))
		return put_release_second(NULL, pfn, word_order(word));
	if (is(word, 2))
		return put_release(NULL, pfn, word_order(word));
	return CF_VERDICT_FREE;
}
''',
}

# (pattern, what stands there instead, by kind)
CHANGES = [
    (r'\bword_is_plain_last\(', {'none': 'is_last(', 'ladder': 'is_last('}),
    (r'\bcfi_owner_release\(map, pfn, word\)',
     {'none': 'CF_VERDICT_FREE', 'ladder': 'ladder(pfn, word)'}),
    (r'\(WORD_OWNER_MASK \| WORD_FLAGS_MASK\)', {'none': 'WORD_FLAGS_MASK'}),
    (r'cf_port_read_lock\(\);(\s*put_word\(map, pfn, WORD_ONE_REF\);\s*)'
     r'cf_port_read_unlock\(\);', {'none': r'\1', 'ladder': r'\1'}),
]


# What makes up a put: "none" must know nothing of owners in these.
PUT = ['put_last', 'put_word', 'put_plain', 'put', 'cf_put']


def still_knows(text):
    """The first function of a put that has owners in its code, or None."""
    for name in PUT:
        body = re.search(r'^[a-z].*?\b%s\([^;{]*\)\n\{.*?^\}' % name, text,
                         re.M | re.S)
        if not body:
            return name + ' (which is not there)'
        if 'owner' in re.sub(r'/\*.*?\*/', '', body[0], flags=re.S).lower():
            return name
    return None


def variant(text, kind):
    for pattern, by_kind in CHANGES:
        if kind not in by_kind:
            continue
        text, count = re.subn(pattern, by_kind[kind], text)
        if not count:
            sys.exit('put_variant.py: %s is not in the source any more' %
                     pattern)
    knows = still_knows(text) if kind == 'none' else None
    if knows:
        sys.exit('put_variant.py: without owners there are some in ' + knows)
    return re.sub(r'(#include "cache\.h"\n)',
                  lambda found: found[1] + HEAD.get(kind, ''), text, count=1)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ('none', 'ladder', 'table'):
        sys.exit(__doc__.split('\n\n')[1])
    kind, source, out = sys.argv[1:]
    with open(source, encoding='utf-8') as file:
        text = file.read()
    if kind != 'table':
        text = variant(text, kind)
    with open(out, 'w', encoding='utf-8') as file:
        file.write('#line 1 "%s"\n%s' % (source, text))


main()
