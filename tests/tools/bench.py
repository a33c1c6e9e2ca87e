#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coldframe-bench measures an allocator that comes as a shared object, draws
the chart, and refuses what is none. How fast anything is does not matter.

usage: bench.py PROGRAM PLUG-IN
"""

import os
import re
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


def run(*arguments):
    done_ = subprocess.run([BENCH, '--quick', '--only', 'plugin', *arguments],
                           check=False, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done_.returncode, done_.stdout, done_.stderr


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
    status, _, err = run('--nonsense')
    ok(status == 2 and 'usage' in err, 'wrong usage', err)
    status, _, err = run('--only', 'nonsense')
    ok(status == 2 and 'groups' in err, 'no such group', err)


with tempfile.TemporaryDirectory(prefix='coldframe-') as folder:
    path = os.path.join(folder, 'chart.svg')
    check_rows(path)
    check_chart(path)
check_refusals()
done()
