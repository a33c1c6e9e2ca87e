#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are the verdicts of coldframe blocks right? Asks Linux itself.

usage: tests/linux/offline.py COLDFRAME [GUEST...]

Boots guests of Debian's kernel in QEMU, has memory used in many ways, asks
`coldframe blocks` about each block, tries to take the block offline, and
prints the confusion matrix, precision and recall. Candidate and empty are
predictions that it goes; what goes within a minute is right.

Needs the packages linux-image-cloud-amd64, busybox-static, qemu-system-x86
and gcc; with KVM=1 in the environment KVM is used. Exit status: 0 precision is at least 0.95 and recall 0.9; 1 not; 2
something is missing.
"""

import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ('virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev '
           'virtio_pci virtio_balloon virtio_mem').split()
POSITIVE = ('candidate', 'empty')
SECONDS = 1500
BALLOON = 'balloon 1792\n'              # MiB that are left to the guest
BALLOON_AFTER = 25                      # seconds: the driver is there

# Name: memory, what occupies it, devices
VIRTIO_MEM = ['-object', 'memory-backend-ram,id=more,size=1G', '-device',
              'virtio-mem-pci,memdev=more,requested-size=%s']
GUESTS = {
    'plain': ('2G', 'cache:300,slab:20000,touch:200,slab:20000,hold:160,'
              'cache:200', []),
    'balloon': ('2G,maxmem=8G', 'cache:200,touch:100,slab:9000',
                [word.replace('%s', '448M') for word in VIRTIO_MEM] +
                ['-device', 'virtio-balloon-pci,id=balloon']),
    'huge': ('2G', 'touch:400,huge:150,cache:200,hold:60,slab:5000', []),
}


def missing(what, package):
    print('offline.py: no %s; install %s' % (what, package), file=sys.stderr)
    sys.exit(2)


def kernel():
    images = sorted(glob.glob('/boot/vmlinuz-*cloud-amd64'))
    if not images:
        missing('kernel', 'linux-image-cloud-amd64')
    return images[-1], images[-1].split('vmlinuz-')[1]


def module(release, name):
    for folder, _, names in os.walk('/lib/modules/%s/kernel' % release):
        for found in names:
            if found.split('.')[0].replace('-', '_') == name:
                return os.path.join(folder, found)
    return missing('module ' + name, 'linux-image-cloud-amd64')


def copy(root, source, target):
    path = os.path.join(root, target.lstrip('/'))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(source, path)


def libraries(program):
    said = subprocess.run(['ldd', program], check=True, text=True,
                          capture_output=True).stdout
    return re.findall(r'(/\S+) \(0x', said)


def make_initramfs(root, coldframe, release):
    busybox = shutil.which('busybox') or missing('busybox', 'busybox-static')
    copy(root, busybox, '/bin/busybox')
    copy(root, coldframe, '/bin/coldframe')
    for library in libraries(coldframe):
        copy(root, library, library)
    for name in MODULES:
        copy(root, module(release, name), '/modules/%s.ko' % name)
    copy(root, os.path.join(HERE, 'guest-init'), '/init')
    os.chmod(os.path.join(root, 'init'), 0o755)
    for folder in ('proc', 'sys', 'dev'):
        os.makedirs(os.path.join(root, folder))
    subprocess.run(['gcc', '-O1', '-static', '-D_GNU_SOURCE', '-o',
                    os.path.join(root, 'bin/occupy'),
                    os.path.join(HERE, 'occupy.c')], check=True)
    archive = root + '.cpio'
    names = subprocess.run(['find', '.', '-print0'], cwd=root, check=True,
                           capture_output=True).stdout
    with open(archive, 'wb') as file:
        subprocess.run(['cpio', '--null', '-o', '-H', 'newc', '--quiet'],
                       cwd=root, input=names, stdout=file, check=True)
    return archive


def boot(image, archive, guest):
    memory, occupied, devices = GUESTS[guest]
    # Not by default: where KVM is nested it may hang.
    accelerator = ['-cpu', 'max']
    if os.environ.get('KVM'):
        accelerator = ['-enable-kvm', '-cpu', 'host']
    command = ['qemu-system-x86_64', '-display', 'none', '-no-reboot',
               '-nodefaults', '-serial', 'stdio', '-smp', '2', '-m', memory,
               '-kernel', image, '-initrd', archive, '-append',
               'console=ttyS0 quiet panic=-1 occupy=' + occupied]
    monitor = archive + '.monitor'
    inflates = any('balloon' in word for word in devices)
    if inflates:
        command += ['-monitor', 'unix:%s,server,nowait' % monitor]
    with open(archive + '.log', 'w+b') as log, subprocess.Popen(
            command + accelerator + devices, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT) as process:
        if inflates:
            time.sleep(BALLOON_AFTER)
            with socket.socket(socket.AF_UNIX) as talk:
                talk.connect(monitor)
                talk.send(BALLOON.encode())
                time.sleep(2)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        log.seek(0)
        return log.read().decode(errors='replace').replace('\r', '')


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        print(__doc__)
        return 2
    image, release = kernel()
    if not shutil.which('qemu-system-x86_64'):
        missing('QEMU', 'qemu-system-x86')
    right = {(said, went): 0 for said in (True, False, None)
             for went in (True, False)}
    with tempfile.TemporaryDirectory() as folder:
        archive = make_initramfs(os.path.join(folder, 'root'), sys.argv[1],
                                 release)
        for guest in sys.argv[2:] or GUESTS:
            output = boot(image, archive, guest)
            lines = [line for line in output.splitlines()
                     if not line.startswith('[')]
            print('\n'.join(['guest ' + guest] + lines), flush=True)
            for state, said in re.findall(r'^TRIED \d+ (\S+) (\S+)', output,
                                          re.M):
                guess = (None if said in ('doubtful', 'unknown')
                         else said in POSITIVE)
                right[guess, state == 'offline'] += 1
    print('%-22s %6s %6s' % ('', 'went', 'stayed'))
    for guess, name in ((True, 'candidate or empty'), (False, 'blocked, never'),
                        (None, 'doubtful, unknown')):
        print('%-22s %6d %6d' % (name, right[guess, True],
                                 right[guess, False]))
    positive = right[True, True] + right[True, False]
    went = sum(right[guess, True] for guess in (True, False, None))
    precision = right[True, True] / positive if positive else 0
    recall = right[True, True] / went if went else 0
    print('precision %.3f, recall %.3f' % (precision, recall))
    return 0 if precision >= 0.95 and recall >= 0.9 else 1


sys.exit(main())
