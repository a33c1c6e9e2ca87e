#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coldframe-bench measures what every goal needs and an allocator that comes as
a shared object, draws the chart, and refuses what is none. How fast anything is
does not matter.

usage: bench.py PROGRAM PLUG-IN
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'build'))

from tap import done, ok                            # noqa: E402

BENCH, PLUGIN = sys.argv[1:]
ROWS = ['alloc+free pair, order 0 (4 KiB)', 'alloc+free pair, order 18 (1 GiB)',
        '1 GiB of 4 KiB: free own at random',
        'uniform orders 0-9, 90 % full: free+alloc']


GOAL = re.compile(r'^(.*\S) +[<>]= +\S+ +\S+ +(\S+)  (\S.*)$', re.M)
ENDS = ['reached', 'NOT REACHED', 'not measured', 'does not count']


def start(*arguments):
    done_ = subprocess.run([BENCH, *arguments],
                           check=False, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done_.returncode, done_.stdout, done_.stderr


def run(*arguments):
    return start('--sketch', '--only', 'plugin', *arguments)


def can_count():
    """Is valgrind here, and does it read what the compiler says for gdb?"""
    program = os.path.join(os.path.dirname(os.path.abspath(BENCH)), 'put-none')
    return bool(shutil.which('valgrind')) and subprocess.run(
        ['valgrind', '-q', '--tool=none', program, '--help'],
        capture_output=True, check=False).returncode in (0, 2)


def goal_groups():
    """The groups that goals need, but for what there is no program for."""
    groups = ['compared', 'engine', 'sizes', 'hotplug', 'move', 'scarce',
              'memory', 'fragments', 'giveback']
    return groups + (['put-none', 'put-table'] if can_count() else [])


def check_goals():
    """Each goal is measured, or cannot be with one CPU."""
    only = [word for group in goal_groups() for word in ('--only', group)]
    status, out, err = start('--sketch', *only)
    ok(status == 0, 'a sketch of all that goals need', err)
    goals = GOAL.findall(out)
    ok(len(goals) > 35, 'goals are there', out)
    one = len(os.sched_getaffinity(0)) == 1
    missing = [name for name, _, end in goals
               if end == 'not measured' and not (one and '2 CPUs' in name)]
    ok(not missing, 'every goal is measured', '\n'.join(missing))
    ends = [sum(end.startswith(name) for _, _, end in goals) for name in ENDS]
    said = re.search(r'^goals: (\d+) reached, (\d+) not reached, (\d+) not '
                     r'measured, (\d+) do not count$', out, re.M)
    ok(said and ends == [int(number) for number in said.groups()],
       'and counted', '%s\n%s' % (ends, said and said[0]))
    ok(re.search(r'^The whole run took \d+ s\.$', out, re.M),
       'how long it took', out)
    return [name for name, _, _ in goals]


def check_only(everything):
    if shutil.which('valgrind') and not can_count():
        return
    status, out, err = start('--sketch', '--only', 'put-table')
    goals = GOAL.findall(out)
    ok(status == 0 and len(goals) == 2 and
       all(end == 'not measured' for _, _, end in goals),
       'with one of two groups a goal is not measured', out + err)
    ok(set(name for name, _, _ in goals) <= set(everything) or
       not can_count(),
       'and of groups nobody asked for nothing is said', out)


def check_rows(chart):
    status, out, err = run('--plugin', PLUGIN, '--svg', chart)
    ok(status == 0, 'the example is measured', err)
    ok(re.search(r'^ +example$', out, re.M), 'it has a column', out)
    for row in ROWS:
        ok(re.search(r'^%s +\*?[\d.]+$' % re.escape(row), out, re.M), row, out)
    ok(re.search(r'^example: free 2 MiB, at random( +[\d.]+){4}$', out, re.M),
       'percentiles', out)


def check_chart(chart):
    texts = [element.text or '' for element
             in xml.etree.ElementTree.parse(chart).iter()
             if element.tag.endswith('text')]
    ok(ROWS[0] in texts and 'example' in texts, 'the chart shows them',
       '\n'.join(texts))
    ok(any(text.startswith('CPU ') for text in texts),
       'and says what machine it was', '\n'.join(texts))


def check_refusals():
    status, _, err = run('--plugin', '/nonexistent.so')
    ok(status == 1 and 'nonexistent.so' in err, 'no such file', err)
    status, _, err = run('--plugin', BENCH)
    ok(status == 1, 'a program is no plug-in', err)
    status, _, err = start('--nonsense')
    ok(status == 2 and 'usage' in err, 'wrong usage', err)
    status, _, err = run('--only', 'nonsense')
    ok(status == 2 and 'groups' in err, 'no such group', err)


with tempfile.TemporaryDirectory(prefix='coldframe-') as folder:
    path = os.path.join(folder, 'chart.svg')
    check_rows(path)
    check_chart(path)
check_refusals()
check_only(check_goals())
done()
