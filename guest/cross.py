#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the guest's programs for aarch64 with Debian's cross compiler, beside
a native build of Meson's, which knows one processor only.

usage: guest/cross.py DIRECTORY OUTPUT JOB...
       JOB: KIND:NAME[:SYMBOL,...], KIND one of unit owner ground process own
       device machine; SYMBOL: what the linker sends through the test (--wrap)

Writes a file for ninja, runs it, and leaves DIRECTORY/NAME. OUTPUT becomes
the program if there is one job, else an empty file. Without the compiler it
builds nothing, and tests/guest/run.py says so.
"""

import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPILER = 'aarch64-linux-gnu-gcc'
# Names of files as Meson has them, so that panics read alike.
MAP = '-fmacro-prefix-map=%s/=../' % ROOT
ARGUMENTS = '''-std=c17 -O2 -g -ffreestanding -nostdinc -Wall -Wextra
    -Werror -DCF_DEBUG=1 -mno-outline-atomics -fno-pic -fno-pie
    -fno-stack-protector -ftls-model=local-exec
    -fno-asynchronous-unwind-tables -fsanitize=undefined
    -fsanitize-undefined-trap-on-error'''.split()
STRING = ['-fno-builtin', '-fno-tree-loop-distribute-patterns']
LINK = '''-static -nostdlib -no-pie -Wl,--build-id=none -Wl,-z,noexecstack
    -Wl,--no-warn-rwx-segments -Wl,--defsym=guest_base=0x40200000'''.split()

PROCESS = ['machine/bare/context.c', 'port/host/event.c', 'port/host/map.c',
           'port/host/memory.c']
# What a kind of program consists of, besides what all have; {} is its name.
KINDS = {
    'unit': ['tests/unit/{}.c', 'tests/unit/machine.c',
             'tests/unit/guard.c'] + PROCESS,
    'owner': ['tests/unit/{}.c', 'tests/unit/machine.c', 'tests/unit/guard.c',
              'owners/*.c'] + PROCESS,
    'ground': ['tests/unit/{}.c', 'tests/fault/port.c', 'tests/unit/guard.c'],
    'process': ['tests/unit/{}.c'] + PROCESS,
    'own': ['guest/test/{}.c'],
    'device': ['guest/test/{}.c', 'virtio/*.c'],
    'machine': ['machine/*.c', 'machine/bare/*.c', 'scenario/*.c',
                'owners/*.c', 'virtio/*.c'] +
               PROCESS[1:],
}
# Parts of machine/ that ask for more than the guest has.
HOSTED = ['machine/export.c', 'machine/host.c', 'machine/objects.c',
          'machine/player.c', 'machine/restore*.c', 'machine/save*.c',
          'machine/table.c']
KERNEL = ['guest/*.c', 'guest/aarch64/*.c', 'guest/aarch64/vector.S',
          'guest/libc/*.c', 'port/bare/*.c', 'core/*.c']
START = 'guest/aarch64/start.S'


def expand(patterns):
    found = []
    for pattern in patterns:
        found += sorted(os.path.relpath(path, ROOT) for path in
                        glob.glob(os.path.join(ROOT, pattern)))
    return [path for path in found
            if not any(fnmatch.fnmatch(path, hosted) for hosted in HOSTED)]


def object_of(path):
    return 'o/' + path.replace('/', '_') + '.o'


def write_ninja(file, jobs):
    include = subprocess.run([COMPILER, '-print-file-name=include'],
                             check=True, stdout=subprocess.PIPE,
                             text=True).stdout.strip()
    where = ['-I' + os.path.join(ROOT, folder) for folder in
             ('guest/include', '', 'include')]
    flags = ARGUMENTS + [MAP, '-idirafter', include] + where
    file.write('rule cc\n  command = %s -MMD -MF $out.d %s $extra -c $in '
               '-o $out\n  depfile = $out.d\n  deps = gcc\n' % (
                   COMPILER, ' '.join(flags)))
    file.write('rule ar\n  command = rm -f $out && ar rc $out $in\n')
    file.write('rule link\n  command = %s %s -Wl,-T,%s $wrap -o $out $in '
               '-lgcc\n' % (COMPILER, ' '.join(LINK),
                            os.path.join(ROOT, 'guest/guest.ld')))
    sources = {START} | set(expand(KERNEL))
    programs = []
    for job in jobs:
        kind, name, wrap = (job.split(':') + [''])[:3]
        files = expand([part.format(name) for part in KINDS[kind]])
        sources |= set(files)
        programs.append((name, files, [w for w in wrap.split(',') if w]))
    for path in sorted(sources):
        file.write('build %s: cc %s\n' % (object_of(path),
                                          os.path.join(ROOT, path)))
        if path == 'guest/libc/string.c':
            file.write('  extra = %s\n' % ' '.join(STRING))
    file.write('build kernel.a: ar %s\n' % ' '.join(
        object_of(path) for path in expand(KERNEL)))
    for name, files, wrap in programs:
        file.write('build %s: link %s kernel.a | %s\n' % (
            name, ' '.join(object_of(path) for path in [START] + files),
            os.path.join(ROOT, 'guest/guest.ld')))
        file.write('  wrap = %s\n' % ' '.join('-Wl,--wrap=' + symbol
                                              for symbol in wrap))


def main():
    directory, output, jobs = sys.argv[1], sys.argv[2], sys.argv[3:]
    found = shutil.which(COMPILER)
    if found:
        os.makedirs(directory, exist_ok=True)
        ninja = os.path.basename(output) + '.ninja'
        with open(os.path.join(directory, ninja), 'w',
                  encoding='utf-8') as file:
            write_ninja(file, jobs)
        done = subprocess.run(['ninja', '-C', directory, '-f', ninja, '-j2'],
                              check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(re.sub(r'(?m)^\[\d+/\d+\] \w+ .*\n', '', done.stdout))
            return 1
    if found and len(jobs) == 1:
        shutil.copy2(os.path.join(directory, jobs[0].split(':')[1]), output)
    else:
        with open(output, 'w', encoding='utf-8'):
            pass
    return 0


if __name__ == '__main__':
    sys.exit(main())
