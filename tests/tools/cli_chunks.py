# SPDX-License-Identifier: MIT
"""coldframe chunks: kinds of chunks, groups by zone, and lists."""

import json

import cli
from cli import fails, ok, run
from hosts import BLOCK, CHUNK, FILE, FREE, SLAB, block, host

REPORTED = 0x408


def some():
    """Chunks: spoiled, movable, free, reported (a run of one); free pair,
    silent, spoiled by many."""
    first = block((SLAB, 3), (FREE, CHUNK - 3), (FILE, 7), (FREE, CHUNK - 7),
                  (FREE, CHUNK), (REPORTED, 1))
    second = block((REPORTED, 1), (FREE, 2 * CHUNK - 1), (0, CHUNK),
                   (SLAB, 99))
    return host([first, second], zones={1: 'Movable'})


def as_json(root, *options):
    return json.loads(run('chunks', '-s', root.path, '-J', *options)[1])


def test_groups():
    root = some()
    found = as_json(root)
    ok(found['chunk_bytes'] == 2 << 20 and found['schema'] == 1 and
       found['chunks'] == [
           {'zone': 'Normal', 'node': 0, 'chunks': 4, 'free': 2,
            'reported': 1, 'movable': 1, 'spoiled': 1, 'silent': 0,
            'spoiled_by_few': 1, 'free_frames': BLOCK - 10, 'score': 49,
            'mostly': 'slab'},
           {'zone': 'Movable', 'node': 1, 'chunks': 4, 'free': 2,
            'reported': 2, 'movable': 0, 'spoiled': 1, 'silent': 1,
            'spoiled_by_few': 0, 'free_frames': BLOCK - CHUNK - 99,
            'score': 28, 'mostly': 'slab'}],
       'chunks of each node and zone', json.dumps(found))
    out = run('chunks', '-s', root.path)[1].splitlines()
    ok(out[1].split() == ['0', 'Normal', '4', '2', '1', '1', '1', '1', 'slab',
                          '0', '8.0M', '49'], 'as a table', out[1])
    ok(len(as_json(root, '-z', 'Movable')['chunks']) == 1, '--zone')
    ok(len(as_json(root, '-N', '0')['chunks']) == 1, '--node')
    ok(len(as_json(root, '1')['chunks']) == 1, 'of a block')


def test_lists():
    root = some()
    rows = [line.split(' ') for line in run(
        'chunks', '-s', root.path, '-a', '-r', '-n', '-o',
        'KIND,BLOCK,SPOILERS,MOSTLY,FIRST')[1].splitlines()]
    ok(rows == [['spoiled', '0', '3', 'slab', '0x0'],
                ['movable', '0', '0', '', ''], ['free', '0', '0', '', ''],
                ['reported', '0', '0', '', ''],
                ['reported', '1', '0', '', ''],
                ['reported', '1', '0', '', ''],
                ['silent', '1', '512', 'untyped', '0xc00'],
                ['spoiled', '1', '99', 'slab', '0xe00']],
       '-a: each chunk', repr(rows))
    found = as_json(root, '-l')['chunks']
    ok([(one['kind'], one['chunks']) for one in found] ==
       [('spoiled', 1), ('movable', 1), ('free', 1), ('reported', 3),
        ('silent', 1), ('spoiled', 1)] and found[3]['address'] == 6 << 20,
       '-l: chunks alike in one', json.dumps(found))
    ok([one.get('first_pfn') for one in found] ==
       [0, None, None, None, 0xc00, 0xe00], '-l: the first that spoils',
       json.dumps(found))
    raw = run('chunks', '-F', root.path + '/proc/kpageflags', '-J')[1]
    ok('node' not in json.loads(raw)['chunks'][0],
       'a node that is not known is not there', raw)


def test_usage():
    root = some()
    fails(run('chunks', '-s', root.path, '-o', 'TASTE'), 2, 'TASTE',
          'a column that is not there')
    fails(run('chunks', '-s', root.path, 'x'), 2, "'x'", 'no range')
    fails(run('chunks', '-s', root.path, '9'), 1, 'no memory block',
          'no such block')
    fails(run('chunks', '-s', cli.Sysroot().path), 1, 'kpageflags',
          'no words')
    root.words(block() + [FREE])
    result = run('chunks', '-s', root.path)
    ok(result[0] == 64 and 'cut off' in result[2], 'a file that is cut off')
    ok('SCORE' in run('chunks', '--help')[1], '--help')


for test in (test_groups, test_lists, test_usage):
    test()
cli.done()
