# SPDX-License-Identifier: MIT
"""coldframe diff: classes, moves and verdicts of two moments."""

import json
import os

import cli
from cli import fails, ok, run
from hosts import BLOCK, FILE, SLAB, block, host


def two():
    before = host([block((SLAB, 3), (FILE, 10)), block((FILE, 4)), block()])
    after = host([block((FILE, 5)), block((FILE, 4)), block((SLAB, 1))])
    return before, after


def table(one, other, *options):
    out = run('diff', '-r', '-n', *options, one.path, other.path)[1]
    return [line.split(' ') for line in out.splitlines()]


def test_lists():
    one, other = two()
    ok(table(one, other) == [
        ['free', str(3 * BLOCK - 17), str(3 * BLOCK - 10), '+28K',
         str(3 * BLOCK - 18), '1', '8'],
        ['file', '14', '9', '-20K', '6', '8', '3'],
        ['slab', '3', '1', '-8K', '0', '3', '1']], 'classes',
       repr(table(one, other)))
    ok(table(one, other, '--by', 'move') == [
        ['file', 'free', '8', '32K'], ['slab', 'file', '3', '12K'],
        ['free', 'slab', '1', '4K']], 'moves',
       repr(table(one, other, '--by', 'move')))
    ok(table(one, other, '--by', 'block') == [
        ['0', 'blocked', 'candidate'], ['2', 'empty', 'blocked']], 'blocks',
       repr(table(one, other, '--by', 'block')))
    ok(len(table(one, other, '--by', 'block', '-a')) == 0 or
       len(table(one, other, '-a', '--by', 'block')) == 3,
       '-a: blocks that did not change too')
    found = json.loads(run('diff', '-J', one.path, other.path)[1])
    ok(found['classes'][1] == {'class': 'file', 'before': 14, 'after': 9} and
       found['moves'][0] == {'from': 'file', 'to': 'free', 'frames': 8} and
       found['blocks'][0] == {'block': 0, 'before': 'blocked',
                              'after': 'candidate'} and
       found['schema'] == 1, '--json', json.dumps(found))
    out = run('diff', one.path, other.path)[1]
    ok(out.count('\n\n') == 2 and 'FROM' in out and 'BLOCK' in out,
       'three tables for people', out)
    same = host([block((SLAB, 3), (FILE, 10)), block((FILE, 4)), block()])
    ok(table(one, same) == [], 'no difference')


def test_sources():
    one, other = two()
    folder = cli.Sysroot()
    first, second, blind = (os.path.join(folder.path, name)
                            for name in ('first', 'second', 'blind'))
    if 'built without' in run('capture', '-s', one.path, first)[2]:
        cli.skip('captures', 'built without zstd')
        return
    run('capture', '-s', other.path, second)
    run('capture', '-s', other.path, '--no-addresses', blind)
    ok(run('diff', first, second)[1] == run('diff', one.path, other.path)[1],
       'captures')
    result = run('diff', first, blind)
    ok(result[0] == 0 and 'without addresses' in result[2] and
       'FROM' not in result[1] and 'slab' in result[1],
       'without addresses: counts and no moves', repr(result))
    more = host([block(), block(), block(), block()])
    ok(['3', 'absent', 'empty'] in table(one, more, '--by', 'block'),
       'a block that came')
    raw = os.path.join(one.path, 'proc/kpageflags')
    result = run('diff', raw, os.path.join(other.path, 'proc/kpageflags'))
    ok(result[0] == 0 and 'slab' in result[1], 'two raw files', repr(result))


def test_same():
    root = host([block(), block((FILE, 9))])
    ok(run('diff', root.path, root.path + '/.')[:2] ==
       (0, 'Nothing has changed.\n'), 'nothing has changed')
    ok(run('diff', root.path, root.path + '/.', '-n')[1] == '',
       'nothing to list without headings')


def test_usage():
    one, other = two()
    fails(run('diff', one.path), 2, 'name two', 'one folder')
    fails(run('diff', one.path, one.path), 2, 'both are', 'twice the same')
    fails(run('diff', one.path, one.path + 'x'), 1, 'No such file',
          'one that is not there')
    fails(run('diff', '--by', 'taste', one.path, other.path), 2, 'taste',
          '--by something else')
    other.write('sys/devices/system/memory/block_size_bytes', '1000000\n')
    fails(run('diff', one.path, other.path), 1, 'different sizes',
          'hosts with blocks of other sizes')


for test in (test_lists, test_sources, test_same, test_usage):
    test()
cli.done()
