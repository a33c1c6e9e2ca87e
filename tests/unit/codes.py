#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every error code a public function documents is reached by a unit test.

usage: tests/unit/codes.py [ROOT]

Reads the comments of include/coldframe/*.h, and FAILS(code, call) and
CHECK(call == -code) in tests/unit/*.c.  Prints one TAP line a function.
"""

import glob
import os
import re
import sys

COMMENT = re.compile(r'/\*\*(.*?)\*/\s*((?:/\*.*?\*/\s*)*)'
                     r'[\w\s*]*?\b(cf_\w+)\s*\(', re.S)
FAILS = re.compile(r'\bFAILS(?:_PARTLY)?\s*\(\s*(CF_E[A-Z]+)\s*,\s*(\w+)\(')
EQUAL = re.compile(r'\bCHECK\((cf_\w+)\([^;]*?== -(CF_E[A-Z]+)\)')

# "What start or step would return", "what start or the last step returned".
LIKE = {
    'cf_block_offline_query': ['cf_block_offline_start'],
    'cf_block_offline': ['cf_block_offline_start', 'cf_block_offline_step'],
}

# What a comment takes over from another function and cannot happen, and why.
CANNOT = {
    ('cf_offline_alloc_range', 'CF_EPORT'),     # zeroes no contents
    ('cf_block_offline_query', 'CF_EREFUSED'),  # asks no subscriber
}


def documented(root):
    """{function: codes}, what "as cf_x()" stands for filled in."""
    codes = {}
    like = {}
    for path in sorted(glob.glob(root + '/include/coldframe/*.h')):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        for found in COMMENT.finditer(text):
            about = found[1] + found[2]
            name = found[3]
            result = about[about.find('Return'):] if 'Return' in about \
                else about
            codes[name] = set(re.findall(r'-(CF_E[A-Z]+)', result))
            like[name] = set(re.findall(r'\b[Aa]s (cf_\w+)\(\)', result))
            like[name].update(LIKE.get(name, []))
    for name in codes:
        for other in like[name]:
            codes[name] |= codes.get(other, set())
    return {name: {code for code in found if (name, code) not in CANNOT}
            for name, found in codes.items() if found}


def wrappers(text):
    """Macros and functions of a test file that make a public call."""
    names = {}
    for found in re.finditer(r'^#define (\w+)\([^\n]*\\\n\s*(cf_\w+)\(', text,
                             re.M):
        names[found[1]] = found[2]
    for found in re.finditer(r'^static int (\w+)\([^{]*\{(.*?)^\}', text,
                             re.M | re.S):
        call = re.search(r'return (cf_\w+)\(', found[2])
        if call:
            names[found[1]] = call[1]
    return names


def reached(root):
    pairs = set()
    for path in sorted(glob.glob(root + '/tests/unit/*.c')):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        known = wrappers(text)
        pairs.update((known.get(found[2], found[2]), found[1])
                     for found in FAILS.finditer(text))
        pairs.update(found.groups() for found in EQUAL.finditer(text))
    return pairs


def main(arguments):
    root = arguments[0] if arguments else os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    pairs = reached(root)
    wanted = documented(root)
    failed = 0
    for number, (name, codes) in enumerate(sorted(wanted.items()), 1):
        missing = sorted(code for code in codes if (name, code) not in pairs)
        extra = sorted(code for found, code in pairs
                       if found == name and code not in codes)
        for code in missing:
            print('# %s: -%s is documented, no test reaches it' % (name, code))
        for code in extra:
            print('# %s: -%s is reached, it is not documented' % (name, code))
        failed += bool(missing or extra)
        print('%sok %d - %s' % ('not ' if missing or extra else '', number,
                                name))
    print('1..%d' % len(wanted))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
