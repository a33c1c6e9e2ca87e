#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/setup knows just the libraries the build asks for, and says what is
missing where it may not install. Method: read the build files; run it where
there are no compilers.

usage: setup.py WORK-DIRECTORY
"""

import os
import re
import shutil
import sys

import tap

WORK = os.path.abspath(sys.argv[1])


def asked():
    """The pkg-config modules that meson.build files ask for."""
    for folder, folders, names in os.walk(tap.ROOT):
        folders[:] = [name for name in folders
                      if not re.match(r'build.|\.', name)
                      and not os.path.exists(os.path.join(
                          folder, name, 'meson-private'))]
        if 'meson.build' in names:
            with open(os.path.join(folder, 'meson.build'),
                      encoding='utf-8') as lines:
                yield from re.findall(r"\bdependency\('([\w.+-]+)'",
                                      lines.read())


def check_modules():
    said = open(os.path.join(tap.ROOT, 'scripts/setup'),
                encoding='utf-8').read()
    listed = set(re.findall(r'\| module (\S+)', said))
    needed = set(asked()) - {'threads'}
    tap.ok(needed <= listed, 'every dependency of the build is in its list',
           ' '.join(sorted(needed - listed)))
    tap.ok(listed <= needed, 'and no other library is',
           ' '.join(sorted(listed - needed)))


def check_missing():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    for name in ['sh', 'cat', 'grep', 'id', 'dirname']:
        os.symlink(shutil.which(name), os.path.join(WORK, name))
    for verb in ['run', 'check', 'test', 'verdicts', 'bench', 'fuzz',
                 'afl']:
        good, said = tap.run(['scripts/setup', '-n', verb],
                             env={'PATH': WORK})
        tap.ok(not good and 'meson' in said and 'gcc' in said
               and 'apt-get install' in said, verb + ': names what is missing',
               said)
    good, said = tap.run(['scripts/setup', 'nonsense'], env={'PATH': WORK})
    tap.ok(not good and 'usage' in said, 'refuses other verbs', said)


def check_kernel():
    good, said = tap.run(['scripts/kernel', 'some-suite'], env={'PATH': WORK})
    tap.ok(not good and 'no apt-get' in said, 'no kernel without apt', said)
    for words in ([], ['a', 'b'], ['a', '6', '7'], ['../a'], ['a b'], ['']):
        good, said = tap.run(['scripts/kernel'] + words, env={'PATH': WORK})
        tap.ok(not good and 'usage' in said, 'no suite: %s' % words, said)


check_modules()
check_missing()
check_kernel()
tap.done()
