#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every header compiles alone, and twice in a row: the public ones in C17 and
C++17 and for 32-bit x86, the private ones in C17. Method: compile each."""

import os
import re

import tap

LIBRARY = ['-D_GNU_SOURCE', '-Iinclude', '-I.', '-Iport/host', '-Iscenario',
           '-Imachine', '-Ilinux', '-Icore']


def private_headers():
    for folder, folders, names in os.walk(tap.ROOT):
        folders[:] = [name for name in folders
                      if not re.match(r'build.|\.', name)
                      and name not in ('include', 'guest')
                      and not os.path.exists(os.path.join(
                          folder, name, 'meson-private'))]
        for name in sorted(names):
            if name.endswith('.h'):
                yield os.path.relpath(os.path.join(folder, name), tap.ROOT)


def languages():
    """(what it is called, command) for the public headers."""
    for compiler in ['gcc', 'clang']:
        bare = tap.freestanding(compiler)
        yield compiler, [compiler, '-x', 'c'] + tap.STRICT_C + bare
        yield compiler + ' -m32', ([compiler, '-m32', '-x', 'c'] +
                                   tap.STRICT_C + bare)
    # A function may have the name of the struct it fills, as stat(2) does;
    # only this warning of g++ minds.
    strict = [flag for flag in tap.STRICT if flag != '-Wshadow']
    for compiler in ['g++', 'clang++']:
        yield compiler, [compiler, '-x', 'c++', '-std=c++17',
                         '-Iinclude'] + strict


def compile_alone(job):
    name, command, line = job
    text = line + line + 'extern int not_empty;\n'
    return name, tap.run(command + ['-fsyntax-only', '-'], input=text)


def jobs():
    public = [os.path.relpath(path, 'include')
              for path in tap.files('include/coldframe', '.h')]
    for language, command in languages():
        for path in public:
            yield ('%s: %s' % (language, path), command,
                   '#include <%s>\n' % path)
    bare = tap.freestanding('gcc')
    for path in private_headers():
        flags = LIBRARY
        if os.path.dirname(path) in tap.FREESTANDING:
            flags = bare
        yield ('gcc: ' + path, ['gcc', '-x', 'c'] + tap.STRICT_C + flags +
               ['-I' + os.path.dirname(path)], '#include "%s"\n' % path)


for title, (good, said) in tap.run_all(list(jobs()), compile_alone):
    tap.ok(good, title, said)
tap.done()
