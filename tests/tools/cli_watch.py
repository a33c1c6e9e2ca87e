# SPDX-License-Identifier: MIT
"""coldframe watch: passes over a block that changes meanwhile."""

import json
import os
import subprocess

import cli
from cli import BLOCKS, fails, ok, run
from hosts import FILE, MLOCKED, SLAB, block, host


def test_passes():
    root = host([block((SLAB, 1)), block((FILE, 9), (SLAB, 2), (MLOCKED, 3))],
                states={1: 'going-offline'})
    status, out, err = run('watch', '-s', root.path, '1', '-c', '6', '-d', '0',
                           '-J')
    lines = [json.loads(line) for line in out.splitlines()]
    ok(status == 1 and len(lines) == 6 and lines[0] == {
        'schema': 1, 'block': 1, 'pass': 1, 'state': 'going-offline',
        'movable_frames': 9, 'doubtful_frames': 3, 'blocking_frames': 2,
        'stuck_frames': 0}, 'what is left after each pass', out)
    ok(lines[3]['stuck_frames'] == 0 and lines[4]['stuck_frames'] == 14 and
       lines[4]['stuck_pfn'] == 2048, 'what stays for 5 passes is stuck')
    ok('interrupt' in err and 'coldframe why 1' in err,
       'when nothing moves it says so', err)
    out = run('watch', '-s', root.path, '1', '-c', '1')[1].splitlines()
    ok(len(out) == 2 and out[1].split() == ['1', 'going-offline', '9', '3',
                                            '2', '0'], 'for people',
       '\n'.join(out))


def test_large():
    """More frames in a block than may be counted one by one."""
    root = host([block((SLAB, 1))])
    for shift in (37, 38):
        root.write(BLOCKS + '/block_size_bytes', '%x\n' % (1 << shift))
        _, out, err = run('watch', '-s', root.path, '0', '-c', '1')
        ok(('128 GiB' in err) == (shift > 37) and bool(out) == (shift == 37),
           'a block of 2^%d bytes' % shift, err)


def test_end():
    root = host([block(), block((FILE, 9))])
    root.write(BLOCKS + '/memory1/state', 'offline\n')
    ok(run('watch', '-s', root.path, '1')[0] == 0,
       'a block that is offline: done')
    root.write(BLOCKS + '/memory1/state', 'going-offline\n')
    with subprocess.Popen([cli.COLDFRAME, 'watch', '-s', root.path, '1', '-d',
                           '0.05', '-J'], stdout=subprocess.PIPE) as process:
        first = json.loads(process.stdout.readline())
        root.write(BLOCKS + '/memory1/state', 'offline\n')
        rest = process.stdout.read().splitlines()
    ok(first['state'] == 'going-offline' and process.returncode == 0 and
       json.loads(rest[-1])['state'] == 'offline',
       'it ends when the block goes offline')


def test_cut():
    root = host([block(), block((FILE, 9))])
    root.words(block() + block()[:100])
    result = run('watch', '-s', root.path, '1', '-c', '2', '-d', '0')
    ok(result[0] == 64 and result[2].count('cut off') == 1,
       'a file that is cut off: status 64, said once', repr(result))


def test_without_addresses():
    root = host([block(), block((SLAB, 1))])
    path = os.path.join(root.path, 'capture')
    result = run('capture', '-s', root.path, '--no-addresses', path)
    if 'built without' in result[2]:
        cli.skip('a capture without addresses', 'built without zstd')
        return
    out = run('watch', '-F', path, '1', '-c', '5', '-d', '0', '-J')[1]
    last = json.loads(out.splitlines()[-1])
    ok(last['stuck_frames'] == 1 and 'stuck_pfn' not in last,
       'hidden addresses stay hidden', out)


def test_without_words():
    root = host([block(), block()], states={1: 'going-offline'})
    root.remove('proc/kpageflags')
    status, out, err = run('watch', '-s', root.path, '1', '-c', '1')
    ok(run('watch', '-s', root.path, '0', '-c', '1')[1] ==
       'PASS STATE\n   1 online\n', 'no blanks at the end')
    ok(status == 1 and out.splitlines() == [
        'PASS STATE', '   1 going-offline'] and
       'this is what sysfs tells' in err and len(err.splitlines()) == 1,
       'without kpageflags the states remain', out + err)
    out = run('watch', '-s', root.path, '1', '-c', '1', '-J')[1]
    ok(json.loads(out) == {'schema': 1, 'block': 1, 'pass': 1,
                           'state': 'going-offline'}, 'as JSON', out)


def test_usage():
    root = host([block()])
    for arguments, status, part in (
            ([], 2, 'one block'), (['0', '1'], 2, 'one block'),
            (['0', '-d', 'x'], 2, "'x'"), (['0', '-d', '-1'], 2, "'-1'"),
            (['0', '-c', '0'], 2, "'0'"), (['x'], 2, "'x' is no block"), (['9'], 1, 'no memory block')):
        fails(run('watch', '-s', root.path, *arguments), status, part,
              'wrong: ' + ' '.join(arguments))


for test in (test_passes, test_large, test_end, test_cut,
             test_without_addresses, test_without_words, test_usage):
    test()
cli.done()
