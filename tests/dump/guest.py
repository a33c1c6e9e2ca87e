#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest of 1 GiB of which half is offline, dumped by QEMU and filtered by
the guest's own map, by three readers.

usage: guest.py KDUMPFILE COLDFRAME

The same scenario on the embedded machine is what each frame is compared with:
both machines have the same frames with the same contents.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zlib

import readers
from readers import ok, run

SCENARIO = '''
machine memory 1G
owner db movable
owner drv
alloc data 16M movable owner db
alloc kern 300 order 2
alloc slabs 40 type slab frozen
offline-alloc cold 480M owner drv order 9
offline-alloc single 32M owner drv
retire frame 200000
dump %s level 31
'''


def write_frames(folder, core):
    """What is in each frame, from the embedded machine's core."""
    place = {}
    for physical, _, offset, size in readers.segments(core):
        for i in range(size // readers.FRAME):
            place[physical // readers.FRAME + i] = offset + i * readers.FRAME
    with open(core, 'rb') as file, \
            open(os.path.join(folder, 'frames'), 'w',
                 encoding='ascii') as frames:
        pfn = 0
        while pfn < readers.FRAMES:
            first, crc = pfn, 0
            there = first in place
            while pfn < readers.FRAMES and (pfn in place) == there and \
                    pfn - first < 512:
                if there:
                    file.seek(place[pfn])
                    crc = zlib.crc32(file.read(readers.FRAME), crc)
                pfn += 1
            frames.write('%d %d %s\n' % (first, pfn, crc if there else '-'))
    return sum(pfn < readers.FRAMES for pfn in place)


def main():
    kdumpfile, coldframe = sys.argv[1:3]
    if not shutil.which('qemu-system-x86_64'):
        print('1..0 # SKIP no qemu-system-x86_64')
        return 0
    shared = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    folder = tempfile.mkdtemp(prefix='coldframe-guest-', dir=shared)
    path = {name: os.path.join(folder, name)
            for name in ('scenario', 'twin', 'core', 'kdump', 'step')}
    try:
        with open(path['scenario'], 'w', encoding='ascii') as file:
            file.write(SCENARIO % path['step'])
        code, out = run(coldframe, 'dump', '-q', '--elf', '-d', '0',
                        path['scenario'], path['twin'])
        ok(not code, 'the embedded machine', out)
        guest = [coldframe, 'dump', '-q', '--machine=qemu', '-d', '0']
        code, out = run(*guest, '--elf', path['scenario'], path['core'])
        ok(not code, 'the guest, as an ELF core', out)
        code, out = run(coldframe, 'dump-info', '--json', path['step'])
        ok(not code and '"machine":"guest"' in out and
           '"offline":{"frames":131072,"dumped":0}' in out,
           'by a step of the scenario', out)
        code, out = run(coldframe, 'dump', '-q', '--from', path['core'], '-d',
                        '0', path['kdump'])
        ok(not code, 'and kdump-compressed', out)
        for name in ('core', 'kdump'):
            code, out = run(coldframe, 'dump-diff', '--exit-code',
                            path['twin'], path[name])
            ok(not code, 'frames of %s are the embedded machine\'s' % name,
               out)
        there = write_frames(folder, path['twin'])
        ok(0 < there < readers.FRAMES // 2, 'less than half is there',
           str(there))
        for name, words in (('core', ['elf']), ('kdump', [])):
            if os.path.exists(kdumpfile):
                code, out = run(kdumpfile, path[name], folder + '/frames',
                                *words)
                ok(not code and '%d there' % there in out,
                   'every frame of %s by libkdumpfile' % name, out)
        readers.by_gdb(folder, readers.by_readelf(folder, there), there)
    finally:
        shutil.rmtree(folder)
    print('1..%d' % readers.count)
    return 1 if readers.failed else 0


if __name__ == '__main__':
    sys.exit(main())
