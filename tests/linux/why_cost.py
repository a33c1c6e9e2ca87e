# SPDX-License-Identifier: MIT
"""What coldframe takes itself, in instructions, as callgrind counts them: why of
a range no more than blocks of the same frames, on a folder and on a capture; and
where most runs are a frame or two, as on a host that is in use, no command that
reads all words more than so many a frame. tests/linux/cost.py has what that is
of the kernel's time."""

import math
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'tools'))

import cli                                          # noqa: E402
from hosts import ANON, BLOCK, FILE, FREE, MLOCKED, SLAB, host  # noqa: E402

VALGRIND = sys.argv[2]
# Meson has memory filled when it is allocated, which is not what is measured.
os.environ.pop('MALLOC_PERTURB_', None)
BLOCKS = 128
MOST = {'blocks': 40, 'why': 48, 'types': 32, 'map': 28, 'capture': 68,
        'capture --no-addresses': 75}


def some_host(lengths):
    """A GiB of runs of such lengths."""
    lot = random.Random(5)
    words = []
    while len(words) < BLOCKS * BLOCK:
        word = lot.choice((FREE, FREE, FILE, FILE, ANON, ANON, SLAB, MLOCKED,
                           0, 0x68))
        words += lot.choice(lengths) * [word]
    return host([words[first:first + BLOCK]
                 for first in range(0, BLOCKS * BLOCK, BLOCK)])


def instructions(*arguments):
    result = subprocess.run(
        [VALGRIND, '--tool=callgrind', '--callgrind-out-file=/dev/null',
         cli.COLDFRAME, *arguments], check=False, text=True,
        capture_output=True, stdin=subprocess.DEVNULL)
    found = re.search(r'Collected : (\d+)', result.stderr)
    return int(found[1]) if found and not result.returncode else None


def compare(name, *source):
    blocks = instructions('blocks', *source)
    for text, range_ in (('a range', '0-%d' % (BLOCKS - 1)),
                         ('a range that cuts blocks',
                          'pfn:700+%d' % (BLOCKS * BLOCK - 800))):
        why = instructions('why', *source, range_)
        cli.ok(blocks and why and why <= blocks,
               '%s of %s costs what blocks costs' % (text, name),
               'blocks %s, why %s' % (blocks, why))
        if blocks and why:
            print('# blocks %s, why %s: %.2f' % (blocks, why, why / blocks))


def count_a_frame(root):
    rest = {'why': ['0-%d' % (BLOCKS - 1)], 'map': ['--cell', 'block'],
            'capture': [os.path.join(root.path, 'short')],
            'capture --no-addresses': [os.path.join(root.path, 'short')]}
    for command, most in MOST.items():
        if command.startswith('capture') and not PACKS:
            cli.skip('what %s takes' % command, 'built without zstd')
            continue
        took = instructions(*command.split(), '-s', root.path, *rest.get(command, []))
        took = (took or math.inf) / (BLOCKS * BLOCK)
        cli.ok(took <= most, '%s takes at most %d instructions a frame' % (
            command, most), '%.1f' % took)
        print('# %s: %.1f' % (command, took))


root = some_host((1, 2, 7, 31, 200, 900))
compare('a folder', '-s', root.path)
capture = os.path.join(root.path, 'capture')
PACKS = not cli.run('capture', '-s', root.path, capture)[0]
if not PACKS:
    cli.skip('the same of a capture', 'built without zstd')
else:
    compare('a capture', '-F', capture)
count_a_frame(some_host((1, 1, 1, 1, 1, 2, 2, 3, 4, 30)))
cli.done()
