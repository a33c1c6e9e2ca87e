#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The freestanding parts become objects without a warning, with gcc and clang
and for other machines, through the makefile an embedder uses; the library
shows cf_ and cfi_ names only and asks for the port and four functions.
Method: compile, then read the symbols.

usage: objects.py WORK-DIRECTORY
"""

import os
import re
import shutil
import sys

import tap

WORK = os.path.abspath(sys.argv[1])

# Without the Zbb extension RISC-V has no instruction that counts zeroes, and
# the compiler calls its own runtime.
RUNTIME = {'riscv64': re.compile(r'__c[lt]zdi2$')}

# name, compiler, what nm and ar begin with, package, further arguments
MACHINES = [
    ('x86-64', 'gcc', '', 'gcc', []),
    ('x86-64-clang', 'clang', '', 'clang', []),
    ('x86-64-debug', 'gcc', '', 'gcc', ['-DCF_DEBUG=1']),
    # Without this argument every atomic operation calls libgcc.
    ('aarch64', 'aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-',
     'gcc-aarch64-linux-gnu', ['-mno-outline-atomics']),
    ('riscv64', 'riscv64-linux-gnu-gcc', 'riscv64-linux-gnu-',
     'gcc-riscv64-linux-gnu', []),
]

OWN = re.compile(r'cfi?_')
ASKED = re.compile(r'cf_port_|mem(cpy|move|set|cmp)$')


def symbols(tools, library):
    """(defined, undefined) global names of a library."""
    said = tap.run([tools + 'nm', '-g', library])[1]
    defined = set(re.findall(r'^[0-9a-f]+ [A-TV-Zu-v] (\S+)$', said, re.M))
    undefined = set(re.findall(r'^ +[Uw] (\S+)$', said, re.M))
    return defined, undefined - defined


def build_library(machine):
    name, compiler, tools, _, more = machine
    flags = ' '.join(['-O2'] + tap.STRICT_C + more)
    return tap.run(['make', '-s', '-f', 'examples/embed.mk',
                    'O=' + os.path.join(WORK, name), 'CC=' + compiler,
                    'AR=%sar' % tools, 'CFLAGS=' + flags])


def compile_rest(job):
    machine, source = job
    name, compiler, _, _, more = machine
    target = os.path.join(WORK, name, source.replace('/', '-') + '.o')
    return tap.run([compiler, '-O2', '-c', '-o', target, source] + more +
                   tap.STRICT_C + tap.freestanding(compiler))


def check_symbols(machine):
    name, _, tools, _, _ = machine
    library = os.path.join(WORK, name, 'libcoldframe.a')
    defined, undefined = symbols(tools, library)
    foreign = sorted(s for s in defined if not OWN.match(s))
    asked = sorted(s for s in undefined if not ASKED.match(s)
                   and not (name in RUNTIME and RUNTIME[name].match(s)))
    tap.ok(defined and not foreign, name + ': exports cf_ and cfi_ only',
           ' '.join(foreign) or 'exports nothing')
    tap.ok(not asked, name + ': asks for the port and mem* only',
           ' '.join(asked))


def check_machine(machine):
    name, compiler, _, package, _ = machine
    if not tap.has(compiler):
        tap.skip(name, '%s is not installed (Debian: %s)' % (compiler,
                                                             package))
        return
    os.makedirs(os.path.join(WORK, name), exist_ok=True)
    good, said = build_library(machine)
    if tap.ok(good, name + ': the library compiles', said):
        check_symbols(machine)
    sources = [source for folder in tap.FREESTANDING if folder != 'core'
               for source in tap.files(folder, '.c')]
    said = tap.run_all([(machine, source) for source in sources],
                       compile_rest)
    tap.ok(all(good for good, _ in said),
           name + ': the other freestanding folders compile',
           ''.join(text for _, text in said))


def check_list():
    """The list is complete, and is all that an embedder has to copy."""
    listed = tap.core_sources()
    there = [os.path.basename(path) for path in tap.files('core', '.c')]
    tap.ok(sorted(listed) == there, 'core/sources.mk lists core/*.c',
           'listed: %s\nthere: %s' % (sorted(listed), there))
    copy = os.path.join(WORK, 'copy')
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(os.path.join(tap.ROOT, 'include'),
                    os.path.join(copy, 'include'))
    os.makedirs(os.path.join(copy, 'core'))
    for path in tap.files('core', '.h') + ['core/' + name for name in listed]:
        shutil.copy(os.path.join(tap.ROOT, path), os.path.join(copy, path))
    good, said = tap.run(['gcc', '-std=c17', '-ffreestanding', '-Iinclude',
                          '-c'] + ['core/' + name for name in listed],
                         cwd=copy)
    tap.ok(good, 'one line compiles a copy of what it lists', said)


check_list()
for one in MACHINES:
    check_machine(one)
tap.done()
