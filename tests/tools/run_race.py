# SPDX-License-Identifier: MIT
"""Scenarios in which threads race, with several seeds: loads below memory
that comes and goes, walkers, drained caches. Under ThreadSanitizer a report
of it is a failure."""

import os
import re
import sys
import tempfile

import cli
from cli import ok, run

ROOT = os.path.dirname(os.path.dirname(cli.HERE))
SEEDS = range(1, 3)
FOLDER = tempfile.TemporaryDirectory(prefix='coldframe-race-')

for name in ('load', 'walker-removal', 'caches', 'scanner', 'demo'):
    # What the process costs says nothing where a sanitizer keeps shadows.
    with open(os.path.join(ROOT, 'scenarios', name + '.cf'),
              encoding='utf-8') as file:
        text = re.sub(r'^expect rss .*$', '#', file.read(), flags=re.M)
    path = os.path.join(FOLDER.name, name + '.cf')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    for seed in SEEDS:
        result = run('run', '--quiet', '--verify=step', '--seed=%d' % seed,
                     path)
        ok(result[0] == 0 and 'ThreadSanitizer' not in result[2],
           '%s, seed %d' % (name, seed), 'status %s\n%s\n%s' % result)
FOLDER.cleanup()
sys.stdout.flush()
cli.done()
