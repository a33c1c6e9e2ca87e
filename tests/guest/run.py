#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots a program of the guest in QEMU and passes on what it prints.

usage: tests/guest/run.py [-M MACHINE] [-m MEMORY] [-s CPUS] [-t SECONDS]
                          PROGRAM [WORD...]

The words become the command line of the guest. Demands a verdict: a TAP
stream that ends with its plan or began with it, and the guest's own exit
status. Exit status: 0 all passed, or skipped; 1 not.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

PASSED = 33                             # the guest's exit status 0

# Never KVM, even where there is one: the guest runs in ring 0, which nested
# or para-virtual KVM interprets a thousand times slower than TCG.
COMMON = ['-nodefaults', '-no-user-config', '-display', 'none', '-serial',
          'stdio', '-no-reboot', '-accel', 'tcg', '-cpu', 'max']

# By machine: program, package, how the guest can say its exit status.
PC = ('qemu-system-x86_64', 'qemu-system-x86',
      ['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'])
MACHINES = {
    'q35': PC,
    'pc': PC,
    'virt': ('qemu-system-aarch64', 'qemu-system-arm',
             ['-semihosting-config', 'enable=on,target=native']),
}


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('-M', dest='machine', default='q35')
    parser.add_argument('-m', dest='memory', default='256M')
    parser.add_argument('-s', dest='cpus', default='2')
    parser.add_argument('-t', dest='seconds', type=int, default=240)
    parser.add_argument('program')
    parser.add_argument('words', nargs='*')
    return parser.parse_args()


def command(options):
    line = [MACHINES[options.machine][0]] + COMMON + MACHINES[
        options.machine][2] + ['-M', options.machine, '-smp', options.cpus,
                               '-m', options.memory, '-kernel',
                               options.program]
    return line + (['-append', ' '.join(options.words)] if options.words
                   else [])


def is_there(machine, program):
    """Are QEMU and the program there? If not, say why the test is skipped."""
    qemu, package = MACHINES[machine][:2]
    if not shutil.which(qemu):
        print('1..0 # SKIP no %s: apt-get install %s' % (qemu, package))
    elif machine == 'virt' and not os.path.exists(program):
        print('1..0 # SKIP not built, for want of a cross compiler: apt-get '
              'install gcc-aarch64-linux-gnu')
    else:
        return True
    return False


def main():
    options = arguments()
    if not is_there(options.machine, options.program):
        return 0
    plan = False
    failed = 0
    with subprocess.Popen(['timeout', '-k', '5', str(options.seconds)] +
                          command(options), stdin=subprocess.DEVNULL,
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
