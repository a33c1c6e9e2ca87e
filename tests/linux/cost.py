#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What do the commands that look at a host cost?

usage: tests/linux/cost.py COLDFRAME [RUNS]

As root, on this host: the processor time that a bare loop takes to read the
words of /proc/kpageflags and to do nothing with them; that is the kernel's. What
a command takes itself is measured on a copy of these words and of the files
beside them, where reading is next to nothing: its processor time, the least of
RUNS (9), less that of the bare loop there. It includes starting the program,
and not who has the frames: a copy has no processes. Processor time of the
command on the host itself stands beside it. Then, on a made-up host of 4 TiB in
blocks of 2 GiB whose file of words has holes, the most memory that a command
takes; this program's own is in it.

Exit status: 0 no command takes itself more than a tenth of what reading takes,
and none more than 64 MiB; 1 not; 2 this is not root.
"""

import array
import os
import shutil
import sys
import tempfile

BLOCKS = 'sys/devices/system/memory'
COMMANDS = [['blocks'], ['why', '--spoilers'], ['why', '0-9999999'],
            ['chunks'], ['offline-map'], ['account'],
            ['plan', '--shrink', '1G'], ['types'], ['map'],
            ['capture', '/dev/null'],
            ['capture', '--no-addresses', '/dev/null']]
BATCH = 512 << 10
LIMIT = 64 << 10                        # KiB
BLOCK_BYTES = 2 << 30
FILES = ('iomem', 'zoneinfo', 'meminfo', 'vmstat', 'buddyinfo',
         'sys/kernel/osrelease')
SHARE = 0.1
MEMORY = '/dev/shm' if os.path.isdir('/dev/shm') else None


def usage_of(function):
    """What a child takes that calls it."""
    pid = os.fork()
    if not pid:
        function()
        os._exit(0)
    return os.wait4(pid, 0)[2]


def run_command(words):
    nowhere = os.open('/dev/null', os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.execv(words[0], words)


def ranges():
    """Where blocks of this host are that are not offline, in bytes of words."""
    with open('/' + BLOCKS + '/block_size_bytes', encoding='ascii') as file:
        words = int(file.read(), 16) // 4096 * 8
    for name in os.listdir('/' + BLOCKS):
        state = os.path.join('/', BLOCKS, name, 'state')
        if name.startswith('memory') and os.path.exists(state):
            with open(state, encoding='ascii') as file:
                if file.read().strip() != 'offline':
                    yield int(name[6:]) * words, words


def words_of(root, where):
    buffer = memoryview(bytearray(BATCH))
    with open(root + '/proc/kpageflags', 'rb', buffering=0) as file:
        for first, count in where:
            file.seek(first)
            while count > 0:
                got = file.readinto(buffer[:count])
                if not got:
                    break
                yield file.tell() - got, buffer[:got]
                count -= got


def read_words(root, where):
    for _ in words_of(root, where):
        pass


def write_file(root, name, bytes_):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(bytes_)


def copy_file(root, name):
    with open('/' + name, 'rb') as file:
        write_file(root, name, file.read())


def copy_host(root, where):
    for name in FILES:
        copy_file(root, 'proc/' + name)
    copy_file(root, BLOCKS + '/block_size_bytes')
    for name in os.listdir('/' + BLOCKS):
        for about in ('state', 'valid_zones'):
            about = '%s/%s/%s' % (BLOCKS, name, about)
            if os.path.exists('/' + about):
                copy_file(root, about)
    write_file(root, 'proc/kpageflags', b'')
    with open(root + '/proc/kpageflags', 'r+b') as file:
        for first, words in words_of('', where):
            file.seek(first)
            file.write(words)


def seconds(usage):
    return usage.ru_utime + usage.ru_stime


def least(function, runs):
    return min((usage_of(function) for _ in range(runs)), key=seconds)


def measure_time(coldframe, runs):
    where = sorted(ranges())
    # What starting an interpreter takes is not reading.
    idle = seconds(least(lambda: None, runs))
    bare = seconds(least(lambda: read_words('', where), runs)) - idle
    frames = sum(count for _, count in where) // 8
    print('%d frames (%.1f GiB); reading them takes %.3f s of processor '
          'time' % (frames, frames / (1 << 18), bare))
    print('%-22s %10s %10s %10s' % ('command', 'here', 'itself', 'share'))
    root = tempfile.mkdtemp(prefix='coldframe-cost-', dir=MEMORY)
    good = True
    try:
        copy_host(root, where)
        copied = seconds(least(lambda: read_words(root, where), runs)) - idle
        for words in COMMANDS:
            here = least(lambda w=words: run_command([coldframe] + w), 3)
            itself = seconds(least(lambda w=words: run_command(
                [coldframe] + w + ['-s', root]), runs)) - copied
            print('%-22s %8.3f s %8.3f s %9.1f%%' % (
                ' '.join(words), seconds(here), itself, 100 * itself / bare),
                  flush=True)
            good = good and itself <= SHARE * bare
    finally:
        shutil.rmtree(root)
    return good


def make_host(root, blocks):
    def write(name, text):
        write_file(root, name, text.encode())

    write(BLOCKS + '/block_size_bytes', '%x\n' % BLOCK_BYTES)
    for number in range(blocks):
        write('%s/memory%d/state' % (BLOCKS, number), 'online\n')
        write('%s/memory%d/valid_zones' % (BLOCKS, number), 'Normal\n')
    write('proc/iomem', '00000000-%08x : System RAM\n' % (
        blocks * BLOCK_BYTES - 1))
    write('proc/kpageflags', '')
    with open(os.path.join(root, 'proc/kpageflags'), 'r+b') as file:
        file.truncate(blocks * BLOCK_BYTES // 4096 * 8)
        for number in range(0, blocks, 7):
            file.seek(number * BLOCK_BYTES // 4096 * 8)
            file.write(array.array('Q', 1000 * [0x400, 0x80]).tobytes())


def measure_memory(coldframe):
    root = tempfile.mkdtemp(prefix='coldframe-cost-')
    good = True
    try:
        make_host(root, 2048)
        print('a host of 4 TiB:')
        for words in COMMANDS:
            usage = usage_of(lambda w=words: run_command(
                [coldframe] + w + ['-s', root]))
            print('%-22s %7.1f MiB, %5.1f s' % (
                ' '.join(words), usage.ru_maxrss / 1024, seconds(usage)),
                  flush=True)
            good = good and usage.ru_maxrss <= LIMIT
    finally:
        shutil.rmtree(root)
    return good


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        print(__doc__)
        return 2
    if os.getuid():
        print('cost.py: only root may read /proc/kpageflags', file=sys.stderr)
        return 2
    sys.stdout.reconfigure(line_buffering=True)
    print('Linux ' + os.uname().release)
    good = measure_time(sys.argv[1], int((sys.argv + ['9', '9'])[2]))
    return 0 if measure_memory(sys.argv[1]) and good else 1


sys.exit(main())
