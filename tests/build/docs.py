#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs in docs/owners.md and docs/devices.md are what they say.
Method: compile each with what it stands on, run it, compare what it prints.

usage: docs.py WORK-DIRECTORY LIBRARY...
"""

import os
import re
import sys

import tap

WORK = os.path.abspath(sys.argv[1])
LIBRARIES = [os.path.abspath(path) for path in sys.argv[2:]]
PAGES = {
    'docs/owners.md': ['begin', 'ring', 'hugepool', 'guestmem', 'elastic'],
    'docs/devices.md': ['device', 'devmem', 'daxfile', 'rawdev'],
}
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
    begin = ''
    os.makedirs(WORK, exist_ok=True)
    for page, names in PAGES.items():
        with open(os.path.join(tap.ROOT, page), encoding='utf-8') as file:
            blocks = BLOCK.findall(file.read())
        found = [name for name, _, _ in blocks]
        tap.ok(found == names, page + ' has its programs', str(found))
        # The first of a page is what the others stand on.
        begin += blocks[0][1]
        for name, text, printed in blocks[1:]:
            check(name, begin, text, printed)
            if name == 'ring':
                lines = text.count('\n')
                tap.ok(lines <= LINES, 'an owner takes %d lines' % lines)
    tap.done()


main()
