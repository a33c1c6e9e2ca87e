# SPDX-License-Identifier: MIT
"""coldframe plan: which blocks, in which order, and whether that fits."""

import json

import cli
from cli import fails, ok, run
from hosts import ANON, BLOCK, FILE, MLOCKED, SLAB, block, host

MIB = 1 << 20


def some(free=6 * BLOCK, high=10):
    root = host([block((SLAB, 1)), block((FILE, 9)), block((ANON, 4)),
                 block(), block((FILE, 90)), block((MLOCKED, 1))],
                zones={4: 'Movable'})
    root.write('proc/zoneinfo', 'Node 0, zone   Normal\n  pages free     %d\n'
               '        high     %d\n        present  %d\n'
               '        managed  1\nNode 0, zone  Movable\n'
               '  pages free     0\n        present  %d\n'
               % (free, high, 5 * BLOCK, BLOCK))
    return root


def plan(root, *options):
    status, out, err = run('plan', '-s', root.path, '-J', *options)
    found = json.loads(out)
    return status, [one['block'] for one in found['steps']], found, err


def test_order():
    root = some()
    status, blocks, found, _ = plan(root, '--shrink', '32M')
    ok(status == 0 and blocks == [3, 4, 2, 1],
       'empty first, then Movable, then what is least to move', repr(blocks))
    ok(found['steps'][2] == {
        'block': 2, 'verdict': 'candidate', 'zone': 'Normal',
        'movable_frames': 4, 'sum_bytes': 24 * MIB,
        'command': 'chmem -d -b 2', 'node': 0} and
       found['asked_bytes'] == 32 * MIB and
       found['moved_frames'] == 103, 'what each step is',
       json.dumps(found))
    ok(plan(root, '--shrink', '9M')[1] == [3, 4], 'no more than it takes')
    status, blocks, _, err = plan(root, '--shrink', '1G')
    ok(status == 64 and len(blocks) == 4 and 'no more blocks' in err,
       'less than was asked for: status 64', err)
    ok(plan(root, '--shrink', '1G', '--doubtful')[1] == [3, 4, 2, 1, 5],
       '--doubtful: these last')
    ok(plan(root, '--shrink', '1G', '-z', 'Movable')[1] == [4], '--zone')
    ok(plan(root, '--shrink', '1G', '1-2')[1] == [2, 1], 'of some blocks')
    status, blocks, _, _ = plan(root, '--shrink', '8M', '0')
    ok(status == 1 and not blocks, 'nothing can go: status 1')


def test_capacity():
    root = some(free=2 * BLOCK + 10)
    status, blocks, _, err = plan(root, '--shrink', '32M')
    ok(status == 64 and blocks == [3, 4] and 'would not fit' in err,
       'what is left free stays above the watermarks', repr((blocks, err)))
    root = some(free=2 * BLOCK + 9)
    ok(plan(root, '--shrink', '32M')[1] == [3], 'and not a frame less')
    out = run('plan', '-s', some().path, '--shrink', '16M')[1]
    ok('capacity: 48 MiB is free; 16 MiB of it' in out and
       'MOVABLE:KERNEL is 0 %' in out and 'chmem -d -b 3\n' in out,
       'the checks for people', out)
    root = some()
    root.write('sys/module/memory_hotplug/parameters/auto_movable_ratio',
               '20\n')
    out = run('plan', '-s', root.path, '--shrink', '8M')[1]
    ok('MOVABLE:KERNEL is 25 % afterwards; that is more' in out,
       'a ratio above the limit of the kernel', out)
    for field in ('pages free', 'high', 'present'):
        root.write('proc/zoneinfo', 'Node 0, zone   Normal\n  %s     %d\n'
                   % (field, 1 << 63))
        fails(run('plan', '-s', root.path, '--shrink', '8M'), 1, 'zoneinfo',
              'a count that no machine has: ' + field)
    root.remove('proc/zoneinfo')
    ok('not known' in run('plan', '-s', root.path, '--shrink', '8M')[1],
       'no zoneinfo')


def test_without_words():
    root = some().remove('proc/kpageflags')
    status, blocks, found, err = plan(root, '--shrink', '8M')
    ok(status == 0 and blocks == [4] and
       'movable_frames' not in found['steps'][0] and
       'moved_frames' not in found and
       found['steps'][0]['verdict'] == 'unknown' and
       'this is what sysfs tells' in err and len(err.splitlines()) == 1,
       'without kpageflags there is hope for zone Movable',
       json.dumps(found) + err)
    status, blocks, _, err = plan(root, '--shrink', '16M')
    ok(status == 64 and blocks == [4] and '--doubtful' in err,
       'and for no other', err)
    ok(plan(root, '--shrink', '24M', '--doubtful')[1] == [4, 5, 3],
       '--doubtful: for all of them')


def test_usage():
    root = some()
    fails(run('plan', '-s', root.path), 2, '--shrink', 'how much is missing')
    for size in ('8', '0G', '-1G', 'x', '', '1Z', '8192P'):
        fails(run('plan', '-s', root.path, '--shrink', size), 2,
              "'%s'" % size, 'a size without a unit, or none: "%s"' % size)


for test in (test_order, test_capacity, test_without_words, test_usage):
    test()
cli.done()
