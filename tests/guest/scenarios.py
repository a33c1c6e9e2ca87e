#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every scenario comes to the same on both machines: the embedded one, and
the guest in QEMU. Method: run each on both, compare the reports.

usage: tests/guest/scenarios.py COMMAND CPU-KIND SCENARIO...

Equal is all but times, resident memory, what a scenario says of it, and how
much of what was free already a step of reporting found unreported. Of
scenarios with threads that race, a load or walkers, only how each step and
check ended, and what devices at rest have in the end: their numbers are
others in each run of one machine, too. What
only the embedded machine can do is refused, and that is all there is to see.
"""

import json
import os
import re
import subprocess
import sys

import run

RACES = re.compile(r'^\s*(load|walker)\b', re.M)
RESIDENT = re.compile(r'\brss ((?:fell by|rose by|is) )?[\d.]+ ?\w+')
# A round of reporting also begins by itself, by the clock; what is left for
# the step is by how slow the machine is.
REPORTED = re.compile(r'^[\d.]+\w? reported free$')
MACHINES = {'x86-64': 'q35', 'aarch64': 'virt'}
SECONDS = 200


def play(command, arguments, file):
    done = subprocess.run(['timeout', '-k', '5', str(SECONDS), command, 'run',
                           '--json'] + arguments + [file], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    report = json.loads(done.stdout or '{}')
    if report.get('status') != done.returncode:
        raise RuntimeError('exit status %d: %s' % (
            done.returncode, (done.stderr or done.stdout)[-400:]))
    return report


# What a device has whose driver is at rest, however it came to that.
SETTLED = ('name', 'broken', 'requested', 'plugged', 'host-plugged', 'target',
           'ballooned', 'host-ballooned', 'violations')


def settled(reports):
    """Devices that are at rest on both machines, as each has them."""
    rows = []
    for kind in ('virtio-mem', 'virtio-balloon'):
        for pair in zip(*[report.get(kind, []) for report in reports]):
            if all(device['state'] == 'idle' for device in pair):
                rows.append([{key: device[key] for key in SETTLED
                              if key in device} for device in pair])
    return [[row[side] for row in rows] for side in range(len(reports))]


def without_numbers(report):
    """How each step and check of a race ended, and nothing else."""
    def ends(steps):
        return [{key: step.get(key) for key in ('line', 'step', 'ok', 'error')}
                for step in steps]
    return {'scenario': report['scenario'], 'status': report['status'],
            'seed': report['seed'], 'steps': ends(report['steps']),
            'checks': ends(report['checks'])}


# What of a report is another machine's. On aarch64 QEMU's virtio-mem lets a
# region be usable a GiB beyond what is asked for, on x86-64 256 MiB.
OTHERS = {'x86-64': ('ns', 'rss', 'resident'),
          'aarch64': ('ns', 'rss', 'resident', 'usable')}


def comparable(value, others):
    if isinstance(value, dict):
        return {key: comparable(of, others) for key, of in value.items()
                if key not in others}
    if isinstance(value, list):
        return [comparable(of, others) for of in value]
    if isinstance(value, str):
        return REPORTED.sub('reported', RESIDENT.sub(r'rss \1', value))
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


# What no device of QEMU's and no guest does; nothing else may be refused.
STEPS = {'refusing', 'late', 'lie', 'elastic', 'export', 'save'}
KEYS = {'over', 'must-tell-host'}


def embedded_line(text):
    """The first line, counted from 1, with a word of those; or None."""
    for number, line in enumerate(text.split('\n'), 1):
        words = re.sub(r'^expect (fails \S+|caught) ', '',
                       line.split('#')[0].strip()).split()
        if STEPS & set(words[:1]) or KEYS & set(words[2:]):
            return number
    return None


def compare(command, kind, file):
    """What differs, and why there was nothing to compare."""
    with open(file, encoding='utf-8') as lines:
        text = lines.read()
    races = RACES.search(text)
    refused = embedded_line(text)
    reports = [play(command, [], file),
               play(command, ['--machine=qemu', '--cpu-kind=' + kind], file)]
    if reports[1]['status'] == 2 or refused:
        right = reports[1]['status'] == 2 and reports[1]['line'] == refused
        said = reports[1].get('error', 'not refused')
        return [] if right else ['line %s, where line %s cannot be: %s' % (
            reports[1].get('line'), refused, said)], said
    # Alike and wrong is wrong: each of them holds on a machine of its own.
    wrong = ['status %s of the %s machine' % (report['status'], name)
             for name, report in zip(('embedded', 'emulated'), reports)
             if report['status']]
    if races:
        devices = settled(reports)
        reports = [dict(without_numbers(report), devices=of)
                   for report, of in zip(reports, devices)]
    return wrong + list(differences(*[comparable(report, OTHERS[kind])
                                      for report in reports])), ''


def main():
    command, kind, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    image = os.path.join(os.path.dirname(command), '../../guest/guest-' + kind)
    if not run.is_there(MACHINES[kind], image):
        return 0
    print('1..%d' % len(files))
    failed = 0
    for number, file in enumerate(files, 1):
        refused = ''
        try:
            found, refused = compare(command, kind, file)
        except (OSError, ValueError, RuntimeError) as error:
            found = [str(error)]
        for what in found[:10]:
            print('# ' + what[:300].replace('\n', ' '))
        failed += bool(found)
        print('%sok %d - %s%s' % ('not ' if found else '', number,
                                  os.path.basename(file),
                                  ': ' + refused if refused else ''),
              flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
