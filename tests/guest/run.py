#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots a program of the guest in QEMU and passes on what it prints.

usage: tests/guest/run.py [-M MACHINE] [-m MEMORY] [-s CPUS] [-t SECONDS]
                          PROGRAM [WORD...]

The words become the command line of the guest. Demands a verdict: a TAP
stream that ends with its plan or began with it, and the guest's own exit
status. Exit status: 0 all passed; 1 not; 77 QEMU is not installed.
"""

import argparse
import re
import shutil
import subprocess
import sys

PASSED = 33                             # the guest's exit status 0
QEMU = {
    'x86_64': ('qemu-system-x86_64', 'qemu-system-x86'),
}


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('-M', dest='machine', default='q35')
    parser.add_argument('-m', dest='memory', default='256M')
    parser.add_argument('-s', dest='cpus', default='2')
    parser.add_argument('-t', dest='seconds', type=int, default=100)
    parser.add_argument('program')
    parser.add_argument('words', nargs='*')
    return parser.parse_args()


def command(options, qemu):
    # Never KVM, even where there is one: the guest runs in ring 0, which
    # nested or para-virtual KVM interprets a thousand times slower than TCG.
    line = [qemu, '-nodefaults', '-no-user-config', '-display', 'none',
            '-serial', 'stdio', '-no-reboot', '-accel', 'tcg',
            '-device', 'isa-debug-exit,iobase=0xf4,iosize=4',
            '-M', options.machine, '-cpu', 'max', '-smp', options.cpus,
            '-m', options.memory, '-kernel', options.program]
    return line + (['-append', ' '.join(options.words)] if options.words
                   else [])


def is_there():
    """Is QEMU installed? If not, say that the test is skipped."""
    qemu, package = QEMU['x86_64']
    if shutil.which(qemu):
        return True
    print('1..0 # SKIP no %s: apt-get install %s' % (qemu, package))
    return False


def main():
    options = arguments()
    qemu = QEMU['x86_64'][0]
    if not is_there():
        return 77
    plan = False
    failed = 0
    with subprocess.Popen(['timeout', '-k', '5', str(options.seconds)] +
                          command(options, qemu), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True,
                          errors='replace') as guest:
        for line in guest.stdout:
            line = line.rstrip('\r\n')
            plan = plan or bool(re.match(r'1\.\.\d+', line))
            failed += line.startswith('not ok')
            print(line, flush=True)
    if guest.returncode == PASSED and plan and not failed:
        return 0
    if guest.returncode == 124:
        print('Bail out! the guest did not end in %d s' % options.seconds)
    elif guest.returncode == PASSED and not plan:
        print('Bail out! the guest printed no plan')
    elif not failed:
        print('Bail out! QEMU ended with status %d' % guest.returncode)
    return 1


if __name__ == '__main__':
    sys.exit(main())
