#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every scenario comes to the same on both machines: the embedded one, and
the guest in QEMU. Method: run each on both, compare the reports.

usage: tests/guest/scenarios.py COMMAND MACHINE GUEST SCENARIO...

Not compared: times, and resident memory but for what a scenario expects of
it. Of scenarios with threads that race, a load or walkers, only how each step
and check ended: their numbers are others in each run of one machine, too.
"""

import json
import os
import re
import subprocess
import sys

import run

RACES = re.compile(r'^\s*(load|walker)\b', re.M)
RESIDENT = re.compile(r'\brss ((?:fell by|rose by|is) )?[\d.]+ ?\w+')
PLACE = re.compile(r' at \S*/(?=core/)')  # where a check is, as built
SECONDS = 200


def embedded(command, file):
    done = subprocess.run([command, 'run', '--json', file], check=False,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def in_guest(guest, file):
    class Options:
        machine, program = guest
        memory, cpus = '512M', '2'
        words = ['name=' + file]
    line = run.command(Options) + [
        '-fw_cfg', 'name=opt/coldframe/scenario,file=' + file]
    done = subprocess.run(['timeout', '-k', '5', str(SECONDS)] + line,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          check=False, text=True, errors='replace')
    reports = [text for text in done.stdout.splitlines()
               if text.startswith('{')]
    if not reports:
        raise RuntimeError('no report, status %d: %s' % (
            done.returncode, done.stdout[-400:]))
    report = json.loads(reports[-1])
    if done.returncode != (33 if report['status'] == 0 else
                           2 * (0x20 + report['status']) + 1):
        raise RuntimeError('exit status %d' % done.returncode)
    return report


def without_numbers(report):
    """How each step and check of a race ended, and nothing else."""
    def ends(steps):
        return [{key: step.get(key) for key in ('line', 'step', 'ok', 'error')}
                for step in steps]
    return {'scenario': report['scenario'], 'status': report['status'],
            'seed': report['seed'], 'steps': ends(report['steps']),
            'checks': ends(report['checks'])}


def comparable(value):
    """Without times and resident memory."""
    if isinstance(value, dict):
        return {key: comparable(of) for key, of in value.items()
                if key not in ('ns', 'rss')}
    if isinstance(value, list):
        return [comparable(of) for of in value]
    if isinstance(value, str):
        return PLACE.sub(' at ', RESIDENT.sub(r'rss \1', value))
    return value


def differences(a, b, path=''):
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            yield '%s: members %s, in the guest %s' % (path, list(a), list(b))
        for key in a:
            if key in b:
                yield from differences(a[key], b[key], path + '.' + key)
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            yield '%s: %d of them, in the guest %d' % (path, len(a), len(b))
        for number, (left, right) in enumerate(zip(a, b)):
            yield from differences(left, right, '%s[%d]' % (path, number))
    elif a != b:
        yield '%s: %r, in the guest %r' % (path, a, b)


def compare(command, guest, file):
    with open(file, encoding='utf-8') as lines:
        races = RACES.search(lines.read())
    reports = [embedded(command, file), in_guest(guest, file)]
    if races:
        reports = [without_numbers(report) for report in reports]
    return list(differences(*[comparable(report) for report in reports]))


def main():
    command, guest, files = sys.argv[1], sys.argv[2:4], sys.argv[4:]
    if not run.is_there(*guest):
        return 0
    print('1..%d' % len(files))
    failed = 0
    for number, file in enumerate(files, 1):
        try:
            found = compare(command, guest, file)
        except (OSError, ValueError, RuntimeError) as error:
            found = [str(error)]
        for what in found[:10]:
            print('# ' + what[:300].replace('\n', ' '))
        failed += bool(found)
        print('%sok %d - %s' % ('not ' if found else '', number,
                                os.path.basename(file)), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
