#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do scenarios that the model prints mean what the model did?

usage: scenarios.py MODEL COLDFRAME

Lists without a difference are printed as scenarios and carried out. None may
be wrong; most must hold to the last line, with the codes, frames, blocks and
owners that the model has. The others have operations in them that the
language cannot say.
"""

import os
import subprocess
import sys
import tempfile

SEEDS = 24
OPERATIONS = 15
LEAST = 16              # of these must hold
WITHOUT = ['fault', 'policy', 'set_payload', 'side_extend', 'veto', 'cpu']


def scenario_of(model, seed):
    command = [model, '--print', '--seed', str(seed), '--seeds', '1',
               '--ops', str(OPERATIONS)]
    for name in WITHOUT:
        command += ['--without', name]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                            encoding='utf-8').stdout
    start = output.find('# ---- as a scenario')
    if start < 0:
        return None
    lines = output[start:].splitlines()[1:]
    return ''.join(line[2:] + '\n'
                   for line in lines[:lines.index('# ----')])


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    holds = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'model.cf')
        for seed in range(1, SEEDS + 1):
            text = scenario_of(sys.argv[1], seed)
            if text is None:
                print('# seed %d: the model prints no scenario' % seed)
                wrong += 1
                continue
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
            done = subprocess.run([sys.argv[2], 'run', '--quiet', path],
                                  stdout=subprocess.PIPE, check=False,
                                  stderr=subprocess.STDOUT, encoding='utf-8')
            holds += done.returncode == 0
            if done.returncode not in (0, 1):
                wrong += 1
                print('# seed %d, status %d: %s' % (
                    seed, done.returncode, done.stdout.strip()))
    print('%sok 1 - no scenario is wrong' % ('not ' if wrong else ''))
    print('%sok 2 - %d of %d scenarios hold' % (
        'not ' if holds < LEAST else '', holds, SEEDS))
    print('1..2')
    return 1 if wrong or holds < LEAST else 0


if __name__ == '__main__':
    sys.exit(main())
