# SPDX-License-Identifier: MIT
"""coldframe capture: what comes out of a capture is what went in, and of a
file that is no capture every command says so."""

import ctypes
import json
import os
import random
import stat
import struct
import subprocess

import cli
from cli import fails, guest, ok, run, same

COMMANDS = [['types'], ['types', '-r', '-l'], ['map'],
            ['blocks', '-a', '--output-all']]


def capture(source, *options):
    path = os.path.join(cli.Sysroot().path, 'capture')
    result = run('capture', *source, *options, path)
    if result[0]:
        print('# ' + result[2])
    return path


def test_round_trip():
    root = guest()
    root.write('sys/devices/system/node/node0/memory3/x', '')
    root.write('sys/devices/system/memory/memory33/valid_zones', 'Movable\n')
    file = capture(['-s', root.path], '--counts')
    ok(stat.S_IMODE(os.stat(file).st_mode) == 0o600,
       'a capture is for its owner alone')
    for command in COMMANDS + [['types', '-l', '-M']]:
        same(run(*command, '-F', file)[1], run(*command, '-s', root.path)[1],
             'from a capture: ' + ' '.join(command))
    again = capture(['-F', file], '--counts')
    third = capture(['-F', again], '--counts')
    with open(again, 'rb') as one, open(third, 'rb') as two:
        ok(one.read() == two.read(), 'a capture of a capture is the same')
    result = run('types', '-F', capture(['-s', root.path]), '-M', '-l')
    ok(result[0] == 1 and 'kpagecount' in result[2],
       'map counts are not there unless asked for', repr(result[2]))


def test_no_addresses():
    root = guest()
    root.write('proc/iomem', '00000000-3fffffff : System RAM\n'
               '  01000000-01ffffff : Kernel code\n'
               '100000000-10fffffff : System RAM\n')
    full = capture(['-s', root.path])
    file = capture(['-s', root.path], '--no-addresses')
    for command in (['types'], ['blocks', '-n', '-a', '-o',
                                'BLOCK,FREE,MOVABLE,OFFLINE,DOUBTFUL,BLOCKING,'
                                'CHUNKS-FREE,CHUNKS-SPOILED']):
        same(run(*command, '-F', file)[1], run(*command, '-F', full)[1],
             'without addresses the counts stay: ' + command[0])
    ok(run('types', '-F', file, '-l')[1] != run('types', '-F', full, '-l')[1],
       'without addresses the order is another')
    ok('kernel-image' in run('blocks', '-F', full)[1] and
       'kernel-image' not in run('blocks', '-F', file)[1],
       'without addresses the place of the kernel is not known')
    ok('first_pfn' not in run('blocks', '-F', file, '-J')[1],
       'without addresses no first frames')
    old = cli.Sysroot().words([1 << 15 | 0x80] + 3 * [1 << 16] + 508 * [0x400])
    file = capture(['-s', old.path], '--no-addresses')
    same(run('types', '-F', file, '-b', 'slab')[1].splitlines()[-1].split()[1],
         '4', 'tails stay what their head was')
    locked, thp, tail = 1 << 33 | 1 << 18, 1 << 22 | 0x1800, 1 << 16
    head = 1 << 15 | 0x4028 | thp
    root = cli.Sysroot().words(
        [locked | 0x5828] + [head | locked] + 3 * [tail | thp] + [head] +
        3 * [tail | thp] + [head & ~(1 << 11)] + 3 * [tail | 1 << 22 | 1 << 12]
        + 499 * [0x400])
    root.blocks(2 << 20, {0: 'online'})
    for options in ((), ('--no-addresses',)):
        found = json.loads(run('blocks', '-F', capture(
            ['-s', root.path], *options), '-J')[1])['frames']
        ok([found.get(name) for name in ('mlocked', 'anon', 'held', 'free')] ==
           [5, 4, 4, 499], 'of huge pages, too %s' % ' '.join(options),
           json.dumps(found))


def test_reported():
    """Of a reported run only the head shows it; the counts stay."""
    free, told, slab = 0x400, 0x408, 0x80
    words = ([told] + 1023 * [free] +                   # 4 MiB
             256 * [0x2c] + [told] + 63 * [free] + 192 * [slab] +
             8 * [0x2c] + [told] + 7 * [free] + 496 * [free | 0x10] +
             512 * [free] +
             [told] + 511 * [free] + [slab] + 511 * [free])
    root = cli.Sysroot().words(words)
    root.blocks(2 << 20, {number: 'online'
                          for number in range(len(words) // 512)})
    full = capture(['-s', root.path])
    file = capture(['-s', root.path], '--no-addresses')
    for command in (['blocks', '-a', '-r', '-n', '-o', 'BLOCK,REPORTED,FREE'],
                    ['chunks', '-r', '-n']):
        same(run(*command, '-F', file)[1], run(*command, '-F', full)[1],
             'without addresses what was reported stays: ' + command[0])
    told = [line.split()[1] for line in run(
        'blocks', '-a', '-r', '-n', '-o', 'BLOCK,REPORTED', '-F',
        file)[1].splitlines()]
    ok(told == ['2M', '2M', '256K', '32K', '0B', '2M', '0B'],
       'and is as much as it was', repr(told))


def test_raw():
    root = guest()
    raw = os.path.join(root.path, 'proc/kpageflags')
    for command in COMMANDS:
        same(run(*command, '-F', capture(['-F', raw]))[1],
             run(*command, '-F', raw)[1],
             'a capture of a raw file says the same: ' + command[0])


def test_too_many():
    """A few bytes that claim more frames than any machine has."""
    for frames, status in ((1 << 20, 0), ((1 << 34) + 1, 1), (1 << 40, 1)):
        root = packed(1, frames, struct.pack('<QQ', 0x400, frames))
        result = run('blocks', '-F', root.path + '/c')
        ok(result[0] == status and ('more frames' in result[2]) == bool(status),
           'a few bytes with %d frames' % frames, repr(result))


def packed(version, frames, runs):
    """A host with a capture: of that many frames, and bytes of runs."""
    zstd = ctypes.CDLL('libzstd.so.1')
    zstd.ZSTD_compress.restype = ctypes.c_size_t
    text = (b'coldframe capture %d\nwords proc/kpageflags %d\n' % (
        version, frames) + runs + b'end\n')
    room = ctypes.create_string_buffer(len(text) + 4096)
    size = zstd.ZSTD_compress(room, ctypes.c_size_t(len(room)), text,
                              ctypes.c_size_t(len(text)), 3)
    return cli.Sysroot().write('c', room.raw[:size])


def word(value):
    return struct.pack('<Q', value)


def test_versions():
    slab, free = 0x80, 0x400
    old = struct.pack('<4Q', slab, 3, free, 200) + struct.pack('<2Q', slab, 1)
    new = (b'\xff' + word(slab) + b'\x03' + b'\xff' + word(free) +
           b'\xc8\x01' + b'\x00')
    for version, runs in ((1, old), (2, new)):
        root = packed(version, 204, runs)
        ok(run('types', '-F', root.path + '/c', '-b', 'slab')[1].splitlines()
           [-1].split()[1] == '4', 'runs as in version %d' % version)
    for version in (0, 3, 12):
        fails(run('types', '-F', packed(version, 204, new).path + '/c'), 1,
              'no capture of version 1 to 2', 'version %d' % version)
    many = b''.join(b'\x7f' + word(1 << 40 | n) for n in range(127))
    for name, frames, runs in (
            ('a word that has no number', 1, b'\x00'),
            ('the next number', 2, b'\x7f' + word(slab) + b'\x01'),
            ('more frames than there are', 2, b'\xff' + word(slab) + b'\x03'),
            ('none', 2, b'\xff' + word(slab) + b'\x00'),
            ('a number without an end', 2, b'\xff' + word(slab) +
             9 * b'\xff' + b'\x01'),
            ('a word that is cut', 2, b'\xff' + word(slab)[:3]),
            ('no runs', 2, b'')):
        fails(run('types', '-F', packed(2, frames, runs).path + '/c'), 1,
              'no capture', 'a run: ' + name)
    # The 128th word takes the number of the first.
    root = packed(2, 130, many + b'\x7f' + word(slab) + b'\x00\x01')
    flags = json.loads(run('types', '-F', root.path + '/c', '-J',
                           '-r')[1])['types']
    ok({int(row['flags'], 16): row['frames'] for row in flags} ==
       {**{1 << 40 | n: 1 for n in range(2, 127)}, 1 << 40: 1,
        1 << 40 | 1: 2, slab: 2}, 'numbers are used again', repr(flags[:3]))


def test_many_words():
    """More different words than have numbers, again and again."""
    lot = random.Random(3)
    words = [1 << 40 | lot.choice((lot.randrange(16), lot.randrange(500)))
             for _ in range(20000)]
    words += 300000 * [0x400] + words[:900]
    root = cli.Sysroot().words(words)
    same(run('types', '-r', '-J', '-F', capture(['-s', root.path]))[1],
         run('types', '-r', '-J', '-s', root.path)[1],
         'every word is what it was')


def test_no_capture():
    root = guest()
    file = capture(['-s', root.path])
    with open(file, 'rb') as whole:
        data = whole.read()
    cut = cli.Sysroot()
    bad = []
    for length in list(range(4, 60)) + list(range(60, len(data), 97)):
        cut.write('c', data[:length])
        for command in ('types', 'blocks'):
            result = run(command, '-F', cut.path + '/c')
            if result[0] != 1 or 'no capture' not in result[2]:
                bad.append((length, command, result[0], result[2][:80]))
    ok(not bad, 'a capture that is cut off, anywhere', repr(bad[:3]))
    cut.write('c', data[:40] + bytes([data[40] ^ 255]) + data[41:])
    ok(run('types', '-F', cut.path + '/c')[0] == 1, 'a damaged capture')
    cut.write('c', b'')
    fails(run('types', '-F', cut.path + '/c'), 1, 'empty', 'an empty file')
    fails(run('types', '-F', cut.path), 1, 'directory', 'a folder')


def hasty(*arguments):
    """As run(), of a command that may wait for ever."""
    try:
        done = subprocess.run([cli.COLDFRAME, *arguments], check=False,
                              capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return 124, '', 'it does not end'
    return done.returncode, done.stdout, done.stderr


def test_no_regular_file():
    root = guest()
    pipe = os.path.join(root.path, 'pipe')
    os.mkfifo(pipe)
    for path in (pipe, '/dev/zero'):
        for command in (['types', '-F', path], ['blocks', '-F', path],
                        ['capture', '-F', path, root.path + '/c'],
                        ['diff', path, root.path]):
            fails(hasty(*command), 1, 'no regular file',
                  '%s of %s' % (command[0], os.path.basename(path)))
        fails(hasty('dump-info', path), 1, 'no file that can be',
              'dump-info of ' + os.path.basename(path))


def test_large():
    """A file of 128 GiB, all holes, is 64 TiB of frames."""
    root = cli.Sysroot().write('proc/kpageflags', b'')
    path = os.path.join(root.path, 'proc/kpageflags')
    os.truncate(path, 8 * ((1 << 34) + 1))
    file = os.path.join(root.path, 'c')
    for source in (['-s', root.path], ['-F', path]):
        fails(run('capture', *source, file), 1, 'above 64 TiB',
              'a capture of more than it may have: ' + source[0])
        ok(not os.path.exists(file), 'and there is none')


def test_usage():
    root = guest()
    fails(run('capture', '-s', root.path), 2, 'name a file', 'no file')
    fails(run('capture', '-s', root.path, 'a', 'b'), 2, 'one file',
          'two files')
    fails(run('capture', '-s', root.path, '/nowhere/x'), 1, '/nowhere/x',
          'a file that cannot be written')
    empty = cli.Sysroot()
    path = os.path.join(empty.path, 'out')
    fails(run('capture', '-s', empty.path, path), 1, 'kpageflags',
          'nothing to capture')
    ok(not os.path.exists(path), 'no file is left behind')
    file = capture(['-s', root.path])
    fails(run('capture', '-F', file, file), 1, 'at once',
          'onto the capture itself')
    ok(run('capture', '--help')[0] == 0, '--help')


def test_nothing_lost():
    """What stood at FILE is there until another capture is whole."""
    root = guest()
    file = root.path + '/good'
    ok(run('capture', '-s', root.path, file)[0] == 0, 'a capture')
    with open(file, 'rb') as stream:
        good = stream.read()
    cut = root.path + '/cut'
    with open(cut, 'wb') as stream:
        stream.write(good[:len(good) // 2])
    ok(run('capture', '-F', cut, file)[0] == 1, 'of a capture cut off')
    with open(file, 'rb') as stream:
        ok(stream.read() == good, 'what was there is there')
    link = root.path + '/link'
    os.symlink(file, link)
    run('capture', '-F', link, file)
    ok(run('blocks', '-F', file)[0] == 0, 'onto itself by another name')
    pipe = root.path + '/pipe'
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ok(run('capture', '-F', cut, pipe)[0] == 1, 'into a pipe')
    os.close(reader)
    ok(stat.S_ISFIFO(os.stat(pipe).st_mode), 'which stays one')
    ok(not [name for name in os.listdir(root.path)
            if name.startswith(('good.', 'pipe.'))], 'no half file')


root_of_all = cli.Sysroot()
probe = run('capture', '-s', guest().path, root_of_all.path + '/x')
if 'built without' in probe[2]:
    cli.skip('captures', 'built without zstd')
else:
    for test in (test_round_trip, test_no_addresses, test_reported, test_raw,
                 test_versions, test_many_words, test_too_many, test_no_capture, test_no_regular_file,
                 test_large, test_nothing_lost, test_usage):
        test()
cli.done()
