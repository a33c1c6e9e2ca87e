#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cross files work: Meson configures the parts that need no operating
system for another machine and compiles them.
Method: configure and compile.

usage: cross.py WORK-DIRECTORY
"""

import os
import shutil
import sys

import tap

WORK = os.path.abspath(sys.argv[1])


def configure(name):
    compiler = name + '-linux-gnu-gcc'
    if not tap.has(compiler):
        tap.skip(name, '%s is not installed (Debian: gcc-%s-linux-gnu)' % (
            compiler, name))
        return
    directory = os.path.join(WORK, name)
    shutil.rmtree(directory, ignore_errors=True)
    good, said = tap.run(['meson', 'setup', directory, '--cross-file',
                          'cross/%s.ini' % name, '-Dhosted=false',
                          '-Dwerror=true'])
    if tap.ok(good, name + ': meson setup', said):
        good, said = tap.run(['ninja', '-C', directory])
        tap.ok(good, name + ': ninja', said)


for one in ['aarch64', 'riscv64']:
    configure(one)
tap.done()
