#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""QEMU's own virtio-mem and virtio-balloon under guest/test/devices.c: does
on QEMU's monitor what the guest's "# want" lines say, and compares what QEMU
says with what the guest says.

usage: tests/guest/devices.py MACHINE INTERRUPTS PROGRAM [rounds=N]
       INTERRUPTS: intx, poll

Exit status: 0 all passed, or skipped; 1 not.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import run

MEMORY = 256 << 20
SECONDS = int(os.environ.get('SECONDS', '240'))


class Monitor:
    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.listener.settimeout(20)

    def accept(self):
        self.channel, _ = self.listener.accept()
        self.channel.settimeout(20)
        self.file = self.channel.makefile('rw')
        self.file.readline()
        self.do('qmp_capabilities')

    def do(self, command, **arguments):
        self.file.write(json.dumps({'execute': command,
                                    'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise OSError('QEMU is gone')
            answer = json.loads(line)
            if 'error' in answer:
                raise OSError('%s: %s' % (command, answer['error']['desc']))
            if 'return' in answer:
                return answer['return']


def wait_until(found, wanted, what):
    """What a device says follows what the driver did by a moment."""
    end = time.monotonic() + 5
    while found() != wanted and time.monotonic() < end:
        time.sleep(0.01)
    if found() != wanted:
        print('# %s: QEMU says %d, the guest %d' % (what, found(), wanted))
        return False
    return True


def fulfil(monitor, words):
    """Do what the guest wants, or see that QEMU says the same."""
    path = '/machine/peripheral/vmem0'
    value = int(words[-1])
    if words[:2] == ['vmem0', 'requested-size']:
        monitor.do('qom-set', path=path, property='requested-size',
                   value=value)
    elif words[:2] == ['vmem0', 'size']:
        return wait_until(lambda: monitor.do('qom-get', path=path,
                                             property='size'), value,
                          'plugged')
    elif words[0] == 'balloon':
        monitor.do('balloon', value=MEMORY - value)
    elif words[0] == 'migration' and value:
        monitor.do('migrate-set-parameters', **{'max-bandwidth': 4096})
        monitor.do('migrate', uri='exec:cat >/dev/null')
    elif words[0] == 'migration':
        monitor.do('migrate_cancel')
    elif words[0] == 'statistics':
        monitor.do('qom-set', path='/machine/peripheral/bal0',
                   property='guest-stats-polling-interval', value=value)
    elif words[0] == 'total-memory':
        return wait_until(lambda: monitor.do(
            'qom-get', path='/machine/peripheral/bal0',
            property='guest-stats')['stats']['stat-total-memory'], value,
            'total memory')
    elif words[0] == 'ballooned':
        return wait_until(lambda: MEMORY - monitor.do('query-balloon')[
            'actual'], value, 'ballooned')
    return True


def main():
    class Options:
        machine, interrupts, program = sys.argv[1:4]
        memory, cpus = '256M,maxmem=8G', '2'
        words = ['irq=' + sys.argv[2]] + sys.argv[4:]
    if not run.is_there(Options.machine, Options.program):
        return 0
    good = True
    plan = False
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'monitor')
        monitor = Monitor(path)
        line = run.command(Options) + [
            '-object', 'memory-backend-ram,id=vm0,size=1G,reserve=off',
            '-device', 'virtio-mem-pci,id=vmem0,memdev=vm0,requested-size=0',
            '-device', 'virtio-balloon-pci,id=bal0,'
            'free-page-reporting=on',
            '-device', 'virtio-rng-pci,disable-legacy=on',
            '-chardev', 'socket,id=mon,path=' + path,
            '-mon', 'chardev=mon,mode=control']
        with subprocess.Popen(['timeout', '-k', '5', str(SECONDS)] + line,
                              stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True,
                              errors='replace') as guest:
            try:
                monitor.accept()
                for said in guest.stdout:
                    said = said.rstrip('\r\n')
                    print(said, flush=True)
                    plan = plan or bool(re.match(r'1\.\.\d+', said))
                    good = good and not said.startswith('not ok')
                    if said.startswith('# want '):
                        good = fulfil(monitor, said.split()[2:]) and good
                        guest.stdin.write('\n')
                        guest.stdin.flush()
            except (OSError, ValueError) as error:
                print('Bail out! %s' % error)
                good = False
                guest.terminate()
    if good and plan and guest.returncode == run.PASSED:
        return 0
    print('Bail out! status %d, or QEMU and the guest differ'
          % guest.returncode)
    return 1


if __name__ == '__main__':
    sys.exit(main())
