#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `meson install` leaves can be used: the program of the README compiles
against the installed headers and pkg-config file, links and runs.
Method: install into an empty directory.

usage: install.py BUILD-DIRECTORY WORK-DIRECTORY
"""

import glob
import os
import re
import shutil
import sys

import tap

BUILD = os.path.abspath(sys.argv[1])
WORK = os.path.abspath(sys.argv[2])
ROOT = os.path.join(WORK, 'root')


def read(path):
    with open(path, encoding='utf-8') as lines:
        return lines.read()


def installed(pattern):
    return glob.glob(os.path.join(ROOT, '**', pattern), recursive=True)


def readme_program():
    text = read(os.path.join(tap.ROOT, 'README.md'))
    return re.search(r'```c\n(.*?)```', text, re.S)[1]


def pkg_config(*arguments):
    paths = sorted({os.path.dirname(path) for path in installed('*.pc')})
    environment = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=ROOT,
                       PKG_CONFIG_PATH=':'.join(paths))
    return tap.run(['pkg-config'] + list(arguments), env=environment)


def check_files():
    good, said = tap.run(['meson', 'install', '-C', BUILD, '--no-rebuild',
                          '--quiet', '--destdir', ROOT])
    tap.ok(good, 'meson install', said)
    for path in tap.files('include/coldframe', '.h'):
        name = os.path.basename(path)
        tap.ok(installed('include/coldframe/' + name), name + ' is there')
    for name in ['libcoldframe.a', 'coldframe.pc', 'coldframe-host.pc']:
        tap.ok(installed(name), name + ' is there')
    # Builds with sanitizers have no guest; aarch64's needs a cross compiler.
    for path in glob.glob(os.path.join(BUILD, 'guest', 'guest-*')):
        name = os.path.basename(path)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            tap.ok(installed('libexec/coldframe/' + name),
                   name + ' is where coldframe run looks')
    good, said = pkg_config('--modversion', 'coldframe')
    version = re.findall(r'#define CF_VERSION_\w+ (\d+)', read(os.path.join(
        tap.ROOT, 'include/coldframe/coldframe.h')))
    tap.ok(good and said.strip() == '.'.join(version),
           'pkg-config and the header agree on the version', said)


def check_program():
    example = read(os.path.join(tap.ROOT, 'examples/hello.c'))
    tap.ok(readme_program() in example,
           'the program of README.md is examples/hello.c')
    good, flags = pkg_config('--cflags', '--libs', 'coldframe-host')
    if not tap.ok(good, 'pkg-config knows coldframe-host', flags):
        return
    program = os.path.join(WORK, 'hello')
    source = os.path.join(tap.ROOT, 'examples/hello.c')
    good, said = tap.run(['gcc', '-std=c17', '-Wall', '-Wextra', '-Wpedantic',
                          '-Werror', '-o', program, source] + flags.split(),
                         cwd=WORK)
    if tap.ok(good, 'the program compiles and links', said):
        good, said = tap.run([program])
        tap.ok(good and 'frames' in said, 'the program runs', said)


shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
check_files()
check_program()
tap.done()
