# SPDX-License-Identifier: MIT
"""coldframe offline-map: where memory is that nobody uses, and how that fits
the counters of the kernel."""

import json

import cli
from cli import fails, guest, ok, run
from hosts import BLOCK, FREE, OFFLINE, SLAB, block, host

BALLOON, NEVER, POISON, REPORTED = 0x800008, 0x800010, 1 << 19, 0x408


def some():
    root = host([block((SLAB, 1), (BALLOON, 5), (FREE, 1), (BALLOON, 2)),
                 block((BALLOON, 1), (OFFLINE, 4), (NEVER, 3)),
                 block((POISON, 1), (REPORTED, 1)), block()],
                states={3: 'offline'})
    root.write('proc/vmstat', 'nr_balloon_pages 9\nballoon_migrate 0\n')
    root.write('proc/meminfo', 'MemTotal: 4 kB\nHardwareCorrupted: 4 kB\n')
    root.write('proc/iomem', '00000000-007fffff : System RAM\n'
               '00800000-00ffffff : virtio7\n'
               '  00800000-00ffffff : System RAM (virtio_mem)\n'
               '01000000-01ffffff : System RAM\n')
    return root


def as_json(root, *options):
    return json.loads(run('offline-map', '-s', root.path, '-J', *options)[1])


def test_map():
    root = some()
    found = as_json(root)
    ok([(one['kind'], one['block'], one['last_block'], one['frames'],
         one['device']) for one in found['ranges']] == [
             ('balloon', 0, 1, 8, ''), ('offline', 1, 1, 4, 'virtio7'),
             ('never-onlined', 1, 1, 3, 'virtio7'), ('poison', 2, 2, 1, ''),
             ('reported', 2, 2, 1, ''),
             ('offline-block', 3, 3, BLOCK, '')],
       'kinds by block, and the device they belong to', json.dumps(found))
    ok(found['frames'] == {'balloon': 8, 'offline': 4, 'never-onlined': 3,
                           'offline-block': BLOCK, 'poison': 1,
                           'uninitialised': 0, 'reported': 1},
       'how much of each kind')
    ok(found['counters'] == [
        {'kind': 'balloon', 'counted': 8, 'kernel': 9},
        {'kind': 'poison', 'counted': 1, 'kernel': 1}],
       'the counters of the kernel', json.dumps(found['counters']))
    out = run('offline-map', '-s', root.path)[1]
    ok('8 frames here, 9 by the kernel' in out and ': +1\n' in out,
       'a counter that does not agree', out)
    found = as_json(root, '-l')['ranges']
    ok([(one['kind'], one['address'] // 4096, one['frames'])
        for one in found if one['kind'] == 'balloon'] ==
       [('balloon', 1, 5), ('balloon', 7, 2), ('balloon', BLOCK, 1)],
       '--list: runs of frames', json.dumps(found))
    ok(len(as_json(root, '2')['ranges']) == 2, 'of a block')
    root = host([block()])
    ok('No memory that nobody uses' in run('offline-map', '-s',
                                           root.path)[1], 'nothing')


def test_guest():
    found = as_json(guest())
    ok(found['frames']['offline'] == 65536 and
       found['frames']['never-onlined'] == 16384 and
       found['counters'][0] == {'kind': 'balloon', 'counted': 65536,
                                'kernel': 65536},
       'a guest with a balloon of 256 MiB: its frames are all found',
       json.dumps(found['frames']))
    ok({one['device'] for one in found['ranges'] if one['block'] >= 32} ==
       {'virtio0'}, 'and what is unplugged belongs to virtio-mem')


def test_usage():
    root = some()
    fails(run('offline-map', '-s', root.path, '--taste'), 2, 'taste',
          'wrong usage')
    root.remove('proc/kpageflags')
    result = run('offline-map', '-s', root.path)
    ok(result[0] == 0 and 'offline-block' in result[1] and
       'sysfs' in result[2], 'blocks alone, without kpageflags', repr(result))


for test in (test_map, test_guest, test_usage):
    test()
cli.done()
