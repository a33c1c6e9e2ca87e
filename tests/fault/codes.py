#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the refusals that were made to happen against the headers.

usage: codes.py HEADERS PROGRAM

HEADERS is include/coldframe; PROGRAM prints a TAP line "cf_x -CF_EY" for each
refusal it brings about. Every code that a header documents for a function
must be among them, and no other.
"""

import os
import re
import subprocess
import sys

COMMENT = re.compile(r'/\*.*?\*/', re.DOTALL)
FUNCTION = re.compile(r'\s*(?:/\*.*?\*/\s*)*int (cf_\w+)\(', re.DOTALL)
CODE = re.compile(r'-(CF_E[A-Z]+)')
AS = re.compile(r'\b[aA]s (cf_\w+)\(\)')

# Said in words: the codes of these.
WORDS = {'cf_block_offline': ['cf_block_offline_start',
                              'cf_block_offline_step']}

# Documented by reference, or a matter of two threads: why not here.
NOT_HERE = {
    ('cf_offline_alloc_range', 'CF_EPORT'): 'takes no CF_ALLOC_ZERO',
    ('cf_offline_free', 'CF_EINVAL'): 'a run is never empty',
    ('cf_owner_change', 'CF_EAGAIN'): 'busy only beside another thread',
    ('cf_offline_adopt_range', 'CF_EAGAIN'):
        'what the orphan has is busy only beside another thread',
}


def documented(folder):
    """{function: (codes, functions it refers to)}"""
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding='ascii') as file:
            text = file.read()
        for comment in COMMENT.finditer(text):
            if not comment[0].startswith('/**'):
                continue
            function = FUNCTION.match(text, comment.end())
            if not function:
                continue
            words = text[comment.start():function.end()]
            words = words[max(words.find('Return'), 0):]
            found[function[1]] = (set(CODE.findall(words)),
                                  set(AS.findall(words))
                                  | set(WORDS.get(function[1], [])))
    return found


def codes_of(found, function):
    codes, others = found[function]
    for other in others - {function}:
        if other in found:
            codes = codes | codes_of(found, other)
    return codes


def seen(program):
    output = subprocess.run([program], stdout=subprocess.PIPE, check=False,
                            encoding='utf-8').stdout
    return set(re.findall(r'^ok \d+ - (cf_\w+) -(CF_E\w+)$', output, re.M))


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    found = documented(sys.argv[1])
    promised = {(function, code) for function in found
                for code in codes_of(found, function)}
    happened = seen(sys.argv[2])
    missing = promised - happened - set(NOT_HERE)
    for function, code in sorted(missing):
        print('# %s: -%s is documented and was not seen' % (function, code))
    for function, code in sorted(happened - promised):
        print('# %s: -%s was seen and is not documented' % (function, code))
    bad = missing or happened - promised
    print('%sok 1 - %d codes documented, %d seen, %d not to be had here' %
          ('not ' if bad else '', len(promised), len(happened),
           len(promised & set(NOT_HERE))))
    print('1..1')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
