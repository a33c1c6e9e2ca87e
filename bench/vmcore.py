#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Figures of makedumpfile on a dump of Linux, beside those of coldframe.

usage: bench/vmcore.py BENCH-DUMP [MIB]

Boots a guest of Debian's kernel with MIB (512) of memory in QEMU, fills most
of it, has QEMU dump it, and calls BENCH-DUMP with both. Needs the packages
makedumpfile, linux-image-cloud-amd64 (or out/kernel, see scripts/setup),
qemu-system-x86, busybox-static and cpio. Exit status: 0; 1 it failed; 2 wrong
usage, or something is missing.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../tests/linux'))
import offline                          # pylint: disable=wrong-import-position

SECONDS = 300
INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# It tells QEMU where VMCOREINFO is.
insmod /modules/qemu_fw_cfg.ko || echo FAILED
mkdir /fill
mount -t tmpfs -o size=90%% none /fill
dd if=/dev/urandom of=/fill/random bs=1M count=%d 2>/dev/null
yes 'a line of text that packs well' | head -c %dM > /fill/text
dd if=/dev/zero of=/fill/zero bs=1M count=%d 2>/dev/null
echo READY
sleep 100000
'''


def make_archive(folder, mib):
    """As much of each kind as bench-dump's machine has, but for its half."""
    image, _, modules = offline.kernel(offline.ROOTS)
    root = os.path.join(folder, 'root')
    offline.copy_program(root, offline.need('busybox', 'busybox-static'),
                         '/bin/busybox')
    offline.copy_module(root, modules, 'qemu_fw_cfg')
    with open(os.path.join(root, 'init'), 'w', encoding='ascii') as file:
        file.write(INIT % (mib // 8, mib // 4, mib // 8))
    os.chmod(os.path.join(root, 'init'), 0o755)
    for name in ('proc', 'sys', 'dev'):
        os.makedirs(os.path.join(root, name))
    names = subprocess.run(['find', '.', '-print0'], cwd=root, check=True,
                           capture_output=True).stdout
    archive = root + '.cpio'
    with open(archive, 'wb') as file:
        subprocess.run([offline.need('cpio', 'cpio'), '--null', '-o', '-H',
                        'newc', '--quiet'], cwd=root, input=names,
                       stdout=file, check=True)
    return image, archive


def wait_for_guest(process, log):
    last = time.monotonic() + SECONDS
    while time.monotonic() < last and process.poll() is None:
        said = offline.said_by(log)
        if 'FAILED' in said:
            break
        if 'READY' in said:
            return
        time.sleep(0.5)
    raise RuntimeError('the guest does not come up:\n' +
                       offline.said_by(log)[-2000:])


def ask(path, *commands):
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(SECONDS)
        monitor.connect(path)
        lines = monitor.makefile('rw')
        lines.readline()
        for command, arguments in (('qmp_capabilities', {}),) + commands:
            lines.write(json.dumps({'execute': command,
                                    'arguments': arguments}) + '\n')
            lines.flush()
            answer = {}
            while 'return' not in answer and 'error' not in answer:
                answer = json.loads(lines.readline())
            if 'error' in answer:
                raise RuntimeError(answer['error']['desc'])


def put_in_order(source, target):
    """QEMU 7.2 puts program headers where makedumpfile does not look."""
    with open(source, 'rb') as old, open(target, 'wb') as new:
        head = bytearray(old.read(64))
        at, = struct.unpack_from('<Q', head, 32)
        count, = struct.unpack_from('<H', head, 56)
        old.seek(at)
        rows = [list(struct.unpack('<IIQQQQQQ', old.read(56)))
                for _ in range(count)]
        struct.pack_into('<QQ', head, 32, 64, 0)
        struct.pack_into('<HHH', head, 58, 0, 0, 0)
        place = -(-(64 + 56 * count) // 4096) * 4096
        new.write(head)
        for row in rows:
            new.seek(place)
            old.seek(row[2])
            row[2] = place
            left = row[5]
            while left:
                part = old.read(min(left, 1 << 20))
                new.write(part)
                left -= len(part)
            place = -(-new.tell() // 4096) * 4096
        new.seek(64)
        for row in rows:
            new.write(struct.pack('<IIQQQQQQ', *row))


def make_vmcore(folder, mib):
    image, archive = make_archive(folder, mib)
    path = {name: os.path.join(folder, name)
            for name in ('log', 'monitor', 'raw', 'vmcore')}
    with open(path['log'], 'wb') as log, subprocess.Popen(
            [offline.need('qemu-system-x86_64', 'qemu-system-x86'),
             '-display', 'none', '-no-reboot', '-nodefaults', '-serial',
             'stdio', '-m', '%dM' % mib, '-cpu', 'max,la57=off', '-kernel', image,
             '-initrd', archive, '-append', 'console=ttyS0 quiet nokaslr',
             '-device', 'vmcoreinfo', '-qmp',
             'unix:%s,server=on,wait=off' % path['monitor']],
            stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT) as process:
        try:
            wait_for_guest(process, path['log'])
            ask(path['monitor'], ('dump-guest-memory', {
                'paging': False, 'format': 'elf',
                'protocol': 'file:' + path['raw']}))
        finally:
            process.kill()
    put_in_order(path['raw'], path['vmcore'])
    os.remove(path['raw'])
    return path['vmcore']


def main():
    if not 2 <= len(sys.argv) <= 3 or not sys.argv[-1]:
        print('usage:' + __doc__.split('usage:')[1].split('\n')[0],
              file=sys.stderr)
        return 2
    mib = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    try:
        offline.need('makedumpfile', 'makedumpfile')
        with tempfile.TemporaryDirectory() as folder:
            vmcore = make_vmcore(folder, mib)
            return subprocess.run([sys.argv[1], str(mib), vmcore],
                                  check=False).returncode
    except offline.Missing as what:
        print('vmcore: %s' % what, file=sys.stderr)
        return 2
    except (RuntimeError, subprocess.CalledProcessError) as what:
        print('vmcore: %s' % what, file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
