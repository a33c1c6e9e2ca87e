#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fast paths take no more instructions than bench/limits.txt allows, and
the put of an ordinary frame pays nothing for owners. Method: the build as it is
shipped, counted by valgrind, which counts exactly.

usage: instructions.py WORK-DIRECTORY
"""

import os
import platform
import re
import sys

import tap

if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
    sys.exit(__doc__.split('\n\n')[1])
WORK = os.path.abspath(sys.argv[1])
LIMITS = 'bench/limits.txt'
PUTS = ['put-none', 'put-ladder', 'put-table']
OVER_LADDER = 'put with an owner: the table over the ladder'


def why_not():
    """Why there is nothing to compare here, or None."""
    if platform.machine() != 'x86_64':
        return 'limits are for x86-64'
    for program in ['gcc', 'valgrind', 'meson', 'ninja']:
        if not tap.has(program):
            return 'no ' + program
    version = tap.run(['gcc', '-dumpversion'])[1].strip()
    if version.split('.')[0] != '12':
        return 'limits are for gcc 12, this is ' + version
    return None


def limits():
    """{call: most instructions}"""
    with open(os.path.join(tap.ROOT, LIMITS), encoding='utf-8') as lines:
        rows = [re.match(r'([\d.]+)\s+(.*\S)', line) for line in lines
                if line.strip() and not line.startswith('#')]
    return {row[2]: float(row[1]) for row in rows}


def counts(said):
    """{call: instructions}, of the cells the program prints."""
    cells = [line.split('\t') for line in said.splitlines()]
    return {cell[1]: float(cell[4]) for cell in cells if len(cell) == 8}


def check_puts():
    """What a put pays for owners. {OVER_LADDER: instructions}"""
    cell = {}
    for name in PUTS:
        good, said = tap.run([os.path.join(WORK, 'bench', name), '--quick'])
        if not tap.ok(good, name + ' counts', said):
            return {}
        for line in said.splitlines():
            words = line.split('\t')
            if len(words) == 8:
                cell[words[1], words[2]] = float(words[4])
    rows = sorted({row for row, _ in cell})
    for row in rows:
        if row.startswith('ordinary'):
            for what, most in [('instr.', 2), ('loads', 0)]:
                more = cell[row, 'table, ' + what] - cell[row, 'none, ' + what]
                tap.ok(more <= most, 'put of an %s: %s' % (row, what),
                       '%.1f more than without owners' % more)
    over = [cell[row, 'table, instr.'] - cell[row, 'ladder, instr.']
            for row in rows if 'with an owner' in row]
    tap.ok(len(over) == 2 and over[0] == over[1] and len(rows) == 5,
           'a put with an owner costs the same with one and with most',
           str(over))
    return {OVER_LADDER: max(over)}


def check():
    environment = dict(os.environ, CC='gcc', TARGETS=' '.join(
        'bench/' + name for name in ['instructions'] + PUTS))
    good, said = tap.run(['scripts/build', WORK, '-Dbuildtype=debugoptimized',
                          '-Dtests=false'], env=environment)
    if not tap.ok(good, 'the shipped build', said):
        return
    good, said = tap.run([os.path.join(WORK, 'bench', 'instructions')])
    counted = counts(said)
    if not tap.ok(good and counted, 'valgrind counts', said):
        return
    limit = limits()
    counted.update(check_puts())
    for name, count in counted.items():
        tap.ok(count <= limit.get(name, 0), name, '%.1f instructions, %s' % (
            count, '%g allowed' % limit[name] if name in limit
            else 'no limit in ' + LIMITS))
    tap.ok(not set(limit) - set(counted), 'every limit is of a call',
           ' '.join(set(limit) - set(counted)))


reason = why_not()
if reason:
    tap.skip('instructions', reason)
else:
    check()
tap.done()
