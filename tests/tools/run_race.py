# SPDX-License-Identifier: MIT
"""Scenarios in which threads race, with several seeds: loads below memory
that comes and goes, walkers, drained caches. Under ThreadSanitizer a report
of it is a failure."""

import os
import sys

import cli
from cli import ok, run

ROOT = os.path.dirname(os.path.dirname(cli.HERE))
SEEDS = range(1, 3)

for name in ('load', 'walker-removal', 'caches', 'scanner', 'demo'):
    path = os.path.join(ROOT, 'scenarios', name + '.cf')
    for seed in SEEDS:
        result = run('run', '--quiet', '--verify=step', '--seed=%d' % seed,
                     path)
        ok(result[0] == 0 and 'ThreadSanitizer' not in result[2],
           '%s, seed %d' % (name, seed), 'status %s\n%s\n%s' % result)
sys.stdout.flush()
cli.done()
