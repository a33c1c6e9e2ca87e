#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole library and the port to no machine link without any other
library, given the four functions a compiler may call by itself.
Method: link all of it, then read the symbols.

usage: link.py WORK-DIRECTORY
"""

import os
import re
import sys

import tap

WORK = os.path.abspath(sys.argv[1])


def work(name):
    return os.path.join(WORK, name)


def compile_one(source, target):
    return tap.run(['gcc', '-O2', '-fno-tree-loop-distribute-patterns', '-c',
                    '-o', work(target), source] + tap.STRICT_C +
                   tap.freestanding('gcc'))


os.makedirs(WORK, exist_ok=True)
library = work('libcoldframe.a')
good, said = tap.run(['make', '-s', '-f', 'examples/embed.mk', 'O=' + WORK,
                      'CC=gcc'])
tap.ok(good, 'the library compiles', said)
good, said = compile_one('port/none/none.c', 'none.o')
tap.ok(good, 'the port compiles', said)
good, said = compile_one('tests/build/link.c', 'link.o')
tap.ok(good, 'the program compiles', said)

good, said = tap.run(['ld', '-r', '-o', work('all.o'), '--whole-archive',
                      library, work('none.o')])
tap.ok(good, 'they become one object', said)
left = set(re.findall(r'^ +[Uw] (\S+)$',
                      tap.run(['nm', '-g', work('all.o')])[1], re.M))
tap.ok(left <= {'memcpy', 'memmove', 'memset', 'memcmp'},
       'the port has all the library asks for', ' '.join(sorted(left)))

good, said = tap.run(['gcc', '-nostdlib', '-static', '-o', work('program'),
                      work('link.o'), work('none.o'), '-Wl,--whole-archive',
                      library, '-Wl,--no-whole-archive'])
tap.ok(good, 'and link with -nostdlib', said)

contract = set(re.findall(r'\b(cf_port_\w+)\(', open(
    os.path.join(tap.ROOT, 'include/coldframe/port.h'),
    encoding='utf-8').read()))
defined = set(re.findall(r'^[0-9a-f]+ T (\S+)$',
                         tap.run(['nm', '-g', work('none.o')])[1], re.M))
tap.ok(contract == defined, 'the port is just the contract',
       ' '.join(sorted(contract ^ defined)))
tap.done()
