#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest of 1 GiB of which half is offline, dumped by QEMU and filtered by
the guest's own map, by three readers.

usage: guest.py KDUMPFILE COLDFRAME

The same scenario on the embedded machine is what each frame is compared with:
both machines have the same frames with the same contents.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'tools'))

import cli                                          # noqa: E402
import readers                                      # noqa: E402
from readers import ok, run                         # noqa: E402

SCENARIO = '''
machine memory 1G
owner db movable
owner drv
alloc data 16M movable owner db
alloc kern 300 order 2
alloc slabs 40 type slab frozen
offline-alloc cold 480M owner drv order 9
offline-alloc single 32M owner drv
guest vm 1M
guest convert vm 0 times 32
guest step vm
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


# QEMU's own core has all RAM there may be, and what the program has besides.
SMALL = '''
machine memory 256M span 256M
owner db movable
owner drv
alloc data 16M movable owner db
alloc kern 30 order 2
offline-alloc cold 112M owner drv order 9
offline-alloc single 16M owner drv
dump %s level 31
'''

WRAPPER = '''#!/bin/sh
exec %s "$@" -chardev socket,id=second,path=%s,server=on,wait=off \\
    -mon chardev=second,mode=control
'''

# QEMU's program, and what readelf calls the processor.
KINDS = {'x86-64': ('qemu-system-x86_64', 'Advanced Micro Devices X86-64'),
         'aarch64': ('qemu-system-aarch64', 'AArch64')}


def ask_qemu(path, core):
    """An ELF core by a second monitor, as anybody would have QEMU make it."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(120)
        monitor.connect(path)
        lines = monitor.makefile('rw')
        lines.readline()
        for command, arguments in (
                ('qmp_capabilities', {}),
                ('dump-guest-memory', {'paging': False, 'format': 'elf',
                                       'protocol': 'file:' + core})):
            lines.write(json.dumps({'execute': command,
                                    'arguments': arguments}) + '\n')
            lines.flush()
            answer = {}
            while 'return' not in answer and 'error' not in answer:
                answer = json.loads(lines.readline())
    return json.dumps(answer)


def guest_image(coldframe, kind):
    return os.path.join(os.path.dirname(coldframe), '../../guest/guest-' +
                        kind)


def own_core(folder, coldframe, kind):
    """QEMU's own ELF core; the guest waits in a step that writes a pipe."""
    path = {name: os.path.join(folder, kind + '-' + name)
            for name in ('scenario', 'twin', 'core', 'pipe', 'monitor',
                         'kdump', 'filtered',
                         'bin')}
    program, called = KINDS[kind]
    os.mkfifo(path['pipe'])
    os.mkdir(path['bin'])
    wrapper = os.path.join(path['bin'], program)
    with open(wrapper, 'w', encoding='ascii') as file:
        file.write(WRAPPER % (shutil.which(program), path['monitor']))
    os.chmod(wrapper, 0o755)
    with open(path['scenario'], 'w', encoding='ascii') as file:
        file.write(SMALL % path['pipe'])
    with subprocess.Popen(
            [coldframe, 'run', '-q', '--machine=qemu', '--cpu-kind', kind,
             path['scenario']],
            env=dict(os.environ, PATH=path['bin'] + ':' + os.environ['PATH']),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True) as guest:
        # Who opens the pipe to write has done all steps before.
        with open(path['pipe'], 'rb') as pipe:
            said = ask_qemu(path['monitor'], path['core'])
            with open(path['kdump'], 'wb') as file:
                shutil.copyfileobj(pipe, file)
        out = guest.communicate()[0]
    ok(not guest.returncode and 'error' not in said,
       'QEMU\'s own core of %s' % kind, said + out)
    code, out = run('readelf', '-hW', path['core'])
    ok(not code and called in out and 'CORE' in out, 'which is one of %s' %
       kind, out)
    with open(path['scenario'], 'w', encoding='ascii') as file:
        file.write(SMALL.replace('dump', '#'))
    code, out = run(coldframe, 'dump', '-q', '-d', '0', path['scenario'],
                    path['twin'])
    ok(not code, 'the embedded machine', out)
    # QEMU reads all there is, and the guest's CPUs keep their caches.
    same = {'word': 0, 'contents': 0, 'compared': 32768, 'only-a': 0}
    code, out = run(coldframe, 'dump-diff', '-j', path['twin'], path['core'])
    diff = json.loads(out) if not code else {}
    ok(diff.items() >= dict(same, **{'only-b': 32768}).items(),
       'has the same in each frame, and what is offline', out)
    code, out = run(coldframe, 'dump', '-q', '--from', path['core'], '-d',
                    '0', path['filtered'])
    ok(not code, 'it is filtered', out)
    code, out = run(coldframe, 'dump-diff', '-j', path['twin'],
                    path['filtered'])
    diff = json.loads(out) if not code else {}
    ok(diff.items() >= dict(same, **{'only-b': 0}).items(),
       'to what may be read', out)
    code, out = run(coldframe, 'dump-info', '-j', path['core'])
    info = json.loads(out) if not code else {}
    ok(info.get('frames') == 65536 and info['format'] == 'ELF core' and
       info['classes']['offline']['frames'] == 32768, 'totals of the core',
       out)
    code, out = run(coldframe, 'dump', '-q', '--from', path['core'], '-d',
                    '31', path['twin'])
    ok(not code, 'and with a level', out)
    code, out = run(coldframe, 'dump-diff', '-e', path['twin'], path['kdump'])
    ok(not code, 'to what the step wrote, a stream', out)
    os.remove(path['core'])


def through_pipe(folder, coldframe):
    """What is no file has no folder: the guest's core is elsewhere."""
    scenario = os.path.join(folder, 'piped.cf')
    piped = os.path.join(folder, 'piped')
    with open(scenario, 'w', encoding='ascii') as file:
        file.write('machine memory 128M span 128M\n')
    for place in folder, folder + '/none':
        with open(piped, 'wb') as out, subprocess.Popen(
                ['cat'], stdin=subprocess.PIPE, stdout=out) as reader:
            pipe = reader.stdin.fileno()
            done = subprocess.run(
                [coldframe, 'dump', '-q', '--elf', '--machine=qemu', scenario,
                 '/dev/fd/%d' % pipe], pass_fds=(pipe,), check=False,
                env=dict(os.environ, TMPDIR=place), capture_output=True,
                text=True)
        said = done.stdout + done.stderr
        if place == folder:
            code, out = run(coldframe, 'dump-info', piped)
            ok(not done.returncode and not code, 'a guest into a pipe',
               said + out)
        else:
            ok(done.returncode == 1 and place in said and
               not os.path.getsize(piped), 'it needs a folder of its own',
               said)


LARGE = '''
machine memory 256M span 256M
alloc data 160M order 9
'''


def is_alone(session, seconds):
    """Has every process of a session gone by then?"""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not cli.in_session(session):
            return True
        time.sleep(0.1)
    return False


def killed(folder, coldframe):
    """While QEMU writes the guest's core: the name has what it had."""
    scenario = os.path.join(folder, 'large.cf')
    out = os.path.join(folder, 'kept')
    with open(scenario, 'w', encoding='ascii') as file:
        file.write(LARGE)
    before = sorted(os.listdir(folder) + ['kept'])
    status, tries = 0, 0
    while status == 0 and tries < 5:
        # It may have been done before anybody saw that it was at it.
        tries += 1
        with open(out, 'w', encoding='ascii') as file:
            file.write('as it was')
        with subprocess.Popen(
                [coldframe, 'dump', '-q', '-d', '0', '--machine=qemu',
                 scenario, out], start_new_session=True,
                stdout=subprocess.DEVNULL) as child:
            while child.poll() is None and \
                    not cli.is_writing(child.pid, folder):
                pass
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
    with open(out, encoding='ascii') as file:
        text = file.read(10)
    ok(status == -signal.SIGKILL and text == 'as it was' and
       sorted(os.listdir(folder)) == before,
       'killed while a guest was dumped: no half file',
       '%d %r' % (status, text))
    ok(is_alone(child.pid, 60), 'and QEMU goes, too')


def main():
    kdumpfile, coldframe = sys.argv[1:3]
    if not shutil.which('qemu-system-x86_64'):
        readers.skip('qemu-system-x86_64', 'qemu-system-x86')
        print('1..1')
        return 1 if readers.failed else 0
    shared = None
    if os.access('/dev/shm', os.W_OK) and \
            shutil.disk_usage('/dev/shm').free > 4 << 30:
        shared = '/dev/shm'
    folder = tempfile.mkdtemp(prefix='coldframe-guest-', dir=shared)
    path = {name: os.path.join(folder, name)
            for name in ('scenario', 'twin', 'twin-kdump', 'core', 'kdump',
                         'step')}
    try:
        with open(path['scenario'], 'w', encoding='ascii') as file:
            file.write(SCENARIO % path['step'])
        code, out = run(coldframe, 'dump', '-q', '--elf', '-d', '0',
                        path['scenario'], path['twin'])
        ok(not code, 'the embedded machine', out)
        code, out = run(coldframe, 'dump', '-q', '-d', '0', path['scenario'],
                        path['twin-kdump'])
        ok(not code, 'and kdump-compressed', out)
        guest = [coldframe, 'dump', '-q', '--machine=qemu', '-d', '0']
        code, out = run(*guest, '--elf', path['scenario'], path['core'])
        ok(not code, 'the guest, as an ELF core', out)
        code, out = run(coldframe, 'dump-info', '--json', path['step'])
        ok(not code and '"machine":"guest"' in out and
           '"offline":{"frames":131072,"dumped":0}' in out and
           '"private":{"frames":32,"dumped":0}' in out,
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
        for name, words in (('core', ['elf']), ('kdump', []),
                            ('twin', ['elf']), ('twin-kdump', [])):
            if not os.path.exists(kdumpfile):
                readers.skip('libkdumpfile', 'libkdumpfile-dev')
            else:
                code, out = run(kdumpfile, path[name], folder + '/frames',
                                *words)
                ok(not code and '%d there' % there in out,
                   'every frame of %s by libkdumpfile' % name, out)
        for name in ('core', 'twin'):
            rows = readers.by_readelf(folder, there, name)
            readers.by_gdb(folder, rows, there, name)
        through_pipe(folder, coldframe)
        killed(folder, coldframe)
        own_core(folder, coldframe, 'x86-64')
        if not shutil.which('qemu-system-aarch64'):
            readers.skip('qemu-system-aarch64', 'qemu-system-arm')
        elif not os.path.exists(guest_image(coldframe, 'aarch64')):
            readers.skip('guest for aarch64', 'gcc-aarch64-linux-gnu')
        else:
            own_core(folder, coldframe, 'aarch64')
    finally:
        shutil.rmtree(folder)
    print('1..%d' % readers.count)
    return 1 if readers.failed else 0


if __name__ == '__main__':
    sys.exit(main())
