#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs in docs/owners.md are what they say they are.
Method: compile each with what it stands on, run it, compare what it prints.

usage: docs.py WORK-DIRECTORY LIBRARY...
"""

import os
import re
import sys

import tap

WORK = os.path.abspath(sys.argv[1])
LIBRARIES = [os.path.abspath(path) for path in sys.argv[2:]]
PAGE = 'docs/owners.md'
LINES = 100                             # of a whole owner

BLOCK = re.compile(r'^```c\n/\* (\w+): [^\n]*\n(.*?)^```$'
                   r'(?:\n\nIt prints\n\n```\n(.*?)^```$)?', re.M | re.S)


def check(name, begin, text, printed):
    source = os.path.join(WORK, name + '.c')
    program = os.path.join(WORK, name)
    with open(source, 'w', encoding='utf-8') as file:
        file.write(begin + text)
    good, said = tap.run(['gcc', '-O2', '-I.', '-Iinclude', '-o', program,
                          source] + tap.STRICT_C + ['-Wl,--start-group'] +
                         LIBRARIES + ['-Wl,--end-group', '-lurcu-memb',
                                      '-pthread'])
    if not tap.ok(good, name + ' compiles', said):
        return
    good, said = tap.run([program])
    tap.ok(good, name + ' runs', said)
    tap.ok(printed and said == printed, name + ' prints what the page says',
           'prints:\n' + said)


def main():
    with open(os.path.join(tap.ROOT, PAGE), encoding='utf-8') as file:
        blocks = BLOCK.findall(file.read())
    os.makedirs(WORK, exist_ok=True)
    names = [name for name, _, _ in blocks]
    tap.ok(names == ['begin', 'ring', 'hugepool', 'guestmem', 'elastic'],
           'the page has its programs', str(names))
    begin = blocks[0][1]
    for name, text, printed in blocks[1:]:
        check(name, begin, text, printed)
    lines = blocks[1][1].count('\n')
    tap.ok(lines <= LINES, 'an owner takes %d lines' % lines)
    tap.done()


main()
