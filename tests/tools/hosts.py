# SPDX-License-Identifier: MIT
"""Small hosts with blocks of 8 MiB, for the tests of the commands that look at
a live host."""

import cli

CHUNK = 512
BLOCK = 4 * CHUNK
FREE, FILE, ANON, SLAB, OFFLINE = 0x400, 0x2c, 0x5828, 0x80, 0x800000
MLOCKED = FILE | 1 << 33
IOMEM = '00000000-%08x : System RAM\n'


def block(*runs):
    """The words of a block: (word, frames) pairs; the rest is free."""
    words = []
    for word, frames in runs:
        words += frames * [word]
    return words + (BLOCK - len(words)) * [FREE]


def host(blocks, zones=None, states=None):
    """A sysroot with these blocks from block 0 on; odd ones are of node 1."""
    root = cli.Sysroot()
    root.words([word for one in blocks for word in one])
    root.blocks(BLOCK * 4096, {
        number: (states or {}).get(number, 'online')
        for number in range(len(blocks))})
    for number in range(len(blocks)):
        zone = (zones or {}).get(number, 'Normal')
        root.write('%s/memory%d/valid_zones' % (cli.BLOCKS, number),
                   zone + '\n')
        root.write('sys/devices/system/node/node%d/memory%d/x'
                   % (number % 2, number), '')
    root.write('proc/iomem', IOMEM % (len(blocks) * BLOCK * 4096 - 1))
    root.write('proc/zoneinfo', ''.join(
        'Node %d, zone   Normal\n  pages free     2000\n        min      10\n'
        '        low      20\n        high     30\n'
        '        present  8192\n        managed  8192\n  pagesets\n'
        '    cpu: 0\n              count:    80\n' % node for node in (0, 1)))
    root.write('proc/sys/kernel/osrelease', '6.18.5\n')
    return root
