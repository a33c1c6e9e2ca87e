#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the model against the headers: does it call every public function,
and does every operation of it succeed now and then?

usage: calls.py HEADERS SOURCES MODEL

HEADERS is include/coldframe, SOURCES the folder of the model; MODEL prints
with --stats how often each operation was done and what it was told.
"""

import os
import re
import subprocess
import sys

SEEDS = 40
QUIET = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
DECLARED = re.compile(r'^[a-z][\w \t*\n]*?\b(cf_\w+)\(', re.M)

# Can only be refused as long as there is a machine.
REFUSED = {'destroy'}


def code_of(folder, ending):
    for name in sorted(os.listdir(folder)):
        if name.endswith(ending):
            with open(os.path.join(folder, name), encoding='ascii') as file:
                yield QUIET.sub(' ', file.read())


def public(headers):
    """Functions that core/ has; those of the port are asked of us."""
    return {name for code in code_of(headers, '.h')
            for name in DECLARED.findall(code)
            if not name.startswith('cf_port_')}


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    functions = public(sys.argv[1])
    used = set(re.findall(r'\bcf_\w+', ' '.join(code_of(sys.argv[2], '.c'))))
    unused = functions - used
    for name in sorted(unused):
        print('# %s() is never called' % name)
    print('%sok 1 - %d public functions are called' %
          ('not ' if unused else '', len(functions)))

    output = subprocess.run(
        [sys.argv[3], '--stats', '--seeds', str(SEEDS)],
        stdout=subprocess.PIPE, check=False, encoding='utf-8').stdout
    operations = set(re.findall(r'^# (\w+) +\d+ drawn', output, re.M))
    never = set(re.findall(r'^# (\w+) .* NEVER$', output, re.M)) - REFUSED
    for name in sorted(never):
        print('# %s never succeeds in %d runs' % (name, SEEDS))
    bad = never or not operations
    print('%sok 2 - %d operations succeed' % ('not ' if bad else '',
                                              len(operations - never)))
    print('1..2')
    return 1 if unused or bad else 0


if __name__ == '__main__':
    sys.exit(main())
