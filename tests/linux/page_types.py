#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does coldframe types count as the kernel's own page-types does?

usage: tests/linux/page_types.py COLDFRAME [SOURCE]

Builds page-types from the kernel's source as Debian has it (the package
linux-source-6.1: /usr/src/linux-source-6.1.tar.xz, or SOURCE, a .tar.xz or a
folder) in a temporary folder, and has both count the frames of every fixture
of tests/tools, of the export of every scenario, of words made here, and, as
root, of this host. They must say the same of every word, in the same order.

TAP on stdout. Exit status: 0 they agree; 1 they do not; 77 the source is not
there.
"""

import array
import ctypes
import glob
import gzip
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'build'))

from tap import done, ok, skip                      # noqa: E402

FIXTURES = os.path.join(TOP, 'tests', 'tools', 'fixtures')
PARTS = ['*/tools/vm/page-types.c', '*/tools/mm/page-types.c',
         '*/tools/lib/api/*', '*/tools/include/*', '*/include/uapi/linux/*']
# Bits that page-types does not stop at; 39 has lost its name since 6.1.
KNOWN_BITS = list(range(27)) + list(range(32, 39)) + [40, 41]
# What SLAB and PRIVATE mean together depends on the release.
PRIVATE = 1 << 35
QUIET = {'check': True, 'stdin': subprocess.DEVNULL}


def find_source():
    if len(sys.argv) > 2:
        return sys.argv[2]
    found = sorted(glob.glob('/usr/src/linux-source-*.tar.xz'))
    if not found:
        print('1..0 # skip no source of Linux; install linux-source-6.1')
        sys.exit(77)
    return found[0]


def unpack(source, folder):
    """Only what is needed; a release has tools/vm or tools/mm."""
    if os.path.isdir(source):
        return source
    subprocess.run(['tar', '-xJf', source, '-C', folder, '--wildcards'] +
                   PARTS, check=False, stdin=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return glob.glob(os.path.join(folder, '*', 'tools'))[0][:-len('/tools')]


def build(folder):
    tree = unpack(find_source(), folder)
    tools = os.path.join(tree, 'tools')
    main = (glob.glob(tools + '/vm/page-types.c') +
            glob.glob(tools + '/mm/page-types.c'))[0]
    program = os.path.join(folder, 'page-types')
    subprocess.run(['gcc', '-O2', '-w', '-D_GNU_SOURCE', '-I' + tools +
                    '/lib', '-I' + tools + '/lib/api', '-I' + tools +
                    '/include', '-o', program, main,
                    tools + '/lib/api/fs/fs.c', tools + '/lib/api/debug.c'],
                   **QUIET)
    return program


def rows(text):
    """[(word, frames, MiB)] in order, and the total."""
    found, total = [], None
    for line in text.splitlines():
        row = re.match(r'(0x[0-9a-f]{16})\t *(\d+) +(\d+) ', line)
        if row:
            found.append(row.groups())
        elif line.startswith('             total'):
            total = line.split()[1:]
    return found, total


class Pair:
    """Both programs, asked about the same file."""

    def __init__(self, coldframe, theirs, folder):
        self.coldframe = [coldframe, 'types', '--color=never']
        self.theirs = [theirs]
        self.file = os.path.join(folder, 'kpageflags')
        self.limit = None

    def said(self, command, options):
        done_ = subprocess.run(command + options, check=False, text=True,
                               stdin=subprocess.DEVNULL, capture_output=True)
        return done_.returncode, done_.stdout, done_.stderr

    def compare(self, name, words=None, root=None):
        """One point for a file: without options, and with several."""
        bad = []
        if words is not None:
            with open(self.file, 'wb') as file:
                file.write(words)
        path = root + '/proc/kpageflags' if root else self.file
        ours = ['-s', root] if root else ['-F', self.file]
        # No lists: those of page-types look at this host's kpagecount, too.
        for options in ([], ['-r'], ['-b', 'offline'],
                        ['-b', 'buddy,slab,lru'], ['-a', '3+700']):
            theirs = self.said(self.theirs, ['-F', path] + options)
            mine = self.said(self.coldframe, ours + options)
            if (theirs[0] or mine[0] or rows(mine[1]) != rows(theirs[1]) or
                    rows(mine[1])[1] is None):
                bad.append('%s: %s; %s' % (options, mine, theirs))
        ok(not bad, name, '\n'.join(bad))


def captured(path):
    """The words of a capture, by its format and not by coldframe."""
    zstd = ctypes.CDLL('libzstd.so.1')
    with open(path, 'rb') as file:
        data = file.read()
    room = ctypes.create_string_buffer(64 << 20)
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    size = zstd.ZSTD_decompress(room, ctypes.c_size_t(len(room)), data,
                                ctypes.c_size_t(len(data)))
    text = room.raw[:size]
    head = re.search(rb'^words proc/kpageflags (\d+)\n', text, re.M)
    words, at, left = array.array('Q'), head.end(), int(head[1])
    while left:
        word, count = struct.unpack_from('<QQ', text, at)
        words.extend(array.array('Q', [word]) * count)
        at += 16
        left -= count
    return words.tobytes()


def made_words():
    """What no kernel would write, of bits that both know."""
    random.seed(6)
    words = [0] * 5000
    for i in range(0, 5000, 3):
        words[i] = sum(1 << bit for bit in random.sample(KNOWN_BITS, 4)) & ~PRIVATE
    return array.array('Q', words).tobytes()


def export_all(pair, coldframe, folder):
    for scenario in sorted(glob.glob(os.path.join(TOP, 'scenarios', '*.cf'))):
        name = os.path.basename(scenario)
        root = os.path.join(folder, name)
        done_ = subprocess.run([coldframe, 'run', '-q', '--export', root,
                                scenario], check=False, capture_output=True,
                               stdin=subprocess.DEVNULL)
        if b'kpageflags would have' in done_.stdout:
            skip('export of ' + name, 'it is too large')
        elif done_.returncode:
            ok(False, 'export of ' + name, done_.stderr.decode())
        else:
            pair.compare('export of ' + name, root=root)


def copy_host(pair):
    """Of this host, a copy: it does not stand still."""
    try:
        with open('/proc/kpageflags', 'rb') as file:
            words = file.read(64 << 20)
    except OSError:
        return
    known = sum(1 << bit for bit in KNOWN_BITS)
    there = array.array('Q', words)
    if all(not word & ~known for word in set(there)):
        pair.compare('this host', words)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(sys.argv[1], build(folder), folder)
        with gzip.open(os.path.join(FIXTURES,
                                    'guest/proc/kpageflags.gz')) as file:
            pair.compare('guest with a balloon', file.read())
        for path in sorted(glob.glob(os.path.join(FIXTURES, '*.cfc'))):
            pair.compare(os.path.basename(path), captured(path))
        pair.compare('words that no kernel writes', made_words())
        export_all(pair, sys.argv[1], folder)
        copy_host(pair)
    done()
    return 0


sys.exit(main())
