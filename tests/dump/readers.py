#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A dump of a machine of 1 GiB of which half is offline, by three readers.

usage: readers.py HALF KDUMPFILE COLDFRAME

HALF writes the dumps while no offline frame can be touched, and what is in
every frame. libkdumpfile (KDUMPFILE), readelf and gdb read them; each frame
is compared, and those left out must not be there. COLDFRAME's totals must add
up to the machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

FRAME = 4096
FRAMES = (1 << 30) // FRAME

GDB = '''
import sys, zlib
inferior = gdb.selected_inferior()
base, wrong, there, absent = int(sys.argv[1]), 0, 0, 0
for line in open(sys.argv[2]):
    first, last, crc = line.split()
    first, last = int(first), int(last)
    if crc == '-':
        for pfn in range(first, last):
            absent += 1
            try:
                inferior.read_memory(base + pfn * 4096, 4096)
                wrong += 1
            except gdb.MemoryError:
                pass
        continue
    there += last - first
    memory = inferior.read_memory(base + first * 4096, (last - first) * 4096)
    wrong += zlib.crc32(bytes(memory)) != int(crc)
print('gdb: %d there, %d absent, %d wrong' % (there, absent, wrong))
'''

count = 0
failed = 0


def ok(good, name, note=''):
    global count, failed
    count += 1
    if not good:
        failed += 1
        for line in note.splitlines()[:10]:
            print('# ' + line)
    print('%sok %d - %s' % ('' if good else 'not ', count, name), flush=True)


def skip(what, package):
    """What is not here: said, and a failure where all has to be."""
    ok(not os.environ.get('CI'), '%s # SKIP no %s; install %s' % (
        what, what, package), 'no %s, from %s' % (what, package))


def run(*words):
    done = subprocess.run(words, check=False, capture_output=True, text=True,
                          errors='replace')
    return done.returncode, done.stdout + done.stderr


def read_frames(folder):
    with open(os.path.join(folder, 'frames'), encoding='ascii') as file:
        for line in file:
            first, last, crc = line.split()
            yield int(first), int(last), None if crc == '-' else int(crc)


def segments(core):
    """(physical, virtual, offset, bytes) of all, as readelf has them."""
    code, out = run('readelf', '-lW', core)
    if code:
        ok(False, 'readelf opens it', out)
    return [tuple(int(value, 16) for value in (
        row[2], row[1], row[0], row[3]))
        for row in re.findall(r'^  LOAD +(0x\w+) (0x\w+) (0x\w+) (0x\w+)',
                              out, re.M)]


def by_readelf(folder, expected, name='core'):
    core = os.path.join(folder, name)
    rows = segments(core)
    place = {}
    for physical, _, offset, size in rows:
        for i in range(size // FRAME):
            place[physical // FRAME + i] = offset + i * FRAME
    wrong = there = 0
    with open(core, 'rb') as file:
        for first, last, crc in read_frames(folder):
            if crc is None:
                wrong += sum(pfn in place for pfn in range(first, last))
                continue
            found = 0
            for pfn in range(first, last):
                if pfn not in place:
                    wrong += 1
                    continue
                there += 1
                file.seek(place[pfn])
                found = zlib.crc32(file.read(FRAME), found)
            wrong += found != crc
    ok(not wrong and there == expected, 'every frame by readelf',
       '%d there, %d wrong' % (there, wrong))
    code, out = run('readelf', '-n', core)
    ok(not code and 'VMCOREINFO' in out and 'COLDFRAME' in out,
       'notes of %s by readelf' % name, out)
    return rows


def by_gdb(folder, rows, expected, core='core'):
    if not shutil.which('gdb'):
        skip('gdb', 'gdb')
        return
    script = os.path.join(folder, 'compare.py')
    with open(script, 'w', encoding='ascii') as file:
        file.write(GDB)
    base = next(virtual - physical for physical, virtual, _, _ in rows
                if physical < 1 << 30)
    code, out = run('gdb', '-nx', '-batch', '-ex',
                    'core-file %s/%s' % (folder, core), '-ex',
                    "python sys.argv = ['', '%d', '%s/frames']" %
                    (base, folder), '-x', script)
    found = re.search(r'gdb: (\d+) there, (\d+) absent, 0 wrong', out)
    ok(not code and found and int(found[1]) == expected and
       int(found[1]) + int(found[2]) == FRAMES,
       'every frame of %s by gdb' % core, out[-600:])
    ours = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        '../../scripts/coldframe-gdb.py')
    cold = max((last - first, first) for first, last, crc in
               read_frames(folder) if crc is None)[1]
    code, out = run('gdb', '-nx', '-batch', '-ex',
                    'core-file %s/%s' % (folder, core), '-x', ours, '-ex',
                    'coldframe frame %d' % cold, '-ex', 'coldframe map')
    ok(not code and 'offline of order' in out and '(dr' in out and
       'online' in out, 'words, types and owners by the gdb script', out)


def main():
    half, kdumpfile, coldframe = sys.argv[1:4]
    if not shutil.which('readelf'):
        skip('readelf', 'binutils')
        print('1..1')
        return 1 if failed else 0
    shared = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    folder = tempfile.mkdtemp(prefix='coldframe-half-', dir=shared)
    try:
        code, out = run(half, folder)
        ok(not code, '1 GiB, half of it offline and out of reach', out)
        for name, words in (('core', ['elf']), ('kdump', [])):
            path = os.path.join(folder, name)
            if not os.path.exists(kdumpfile):
                skip('libkdumpfile', 'libkdumpfile-dev')
            else:
                code, out = run(kdumpfile, path, folder + '/frames', *words)
                ok(not code and '%d there, %d absent' % (
                    FRAMES // 2, FRAMES // 2) in out,
                   'every frame of %s by libkdumpfile' % name, out)
            code, out = run(coldframe, 'dump-info', '--json', path)
            info = json.loads(out) if not code else {}
            ok(info.get('frames') == FRAMES and
               info['classes']['offline'] == {'frames': FRAMES // 2,
                                              'dumped': 0} and
               info['dumped'] == FRAMES // 2 and
               info['written']['adds-up'],
               'totals of %s add up' % name, out)
        code, out = run(coldframe, 'dump-diff', '--exit-code',
                        folder + '/core', folder + '/kdump')
        ok(not code, 'both are alike', out)
        by_gdb(folder, by_readelf(folder, FRAMES // 2), FRAMES // 2)
    finally:
        shutil.rmtree(folder)
    print('1..%d' % count)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
