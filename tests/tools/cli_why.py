# SPDX-License-Identifier: MIT
"""coldframe why: the classes of a block, a range and a frame, who has them,
and the cheapest blocks. On sysroots with processes written here."""

import array
import json
import os

import cli
from cli import fails, ok, run
from hosts import BLOCK, FILE, FREE, MLOCKED, SLAB, block, host

PRESENT = 1 << 63
UNKNOWN, HELD, LOCKED = 1 << 27, 0x5028, 1 << 33 | 0x5828


def as_json(root, *options):
    status, out, err = run('why', '-s', root.path, '-J', *options)
    return json.loads(out) if out.endswith('}\n') else (status, err)


def test_names():
    """Linux cuts names at 15 bytes, also inside a character."""
    root = with_owners()
    with open(os.path.join(root.path, 'proc/7/comm'), 'wb') as file:
        file.write(b'Stra\xc3\n')
    report = as_json(root, '1')
    ok(isinstance(report, dict) and 'Stra?' in json.dumps(report),
       'a name that is cut inside a character')
    with open(os.path.join(root.path, 'proc/7/comm'), 'wb') as file:
        file.write(b'ev\x1b[31m\xc3\x9f\n')
    out = run('why', '-s', root.path, '1')[1]
    ok('ev?[31m' in out, 'nobody writes to terminals by a name')


def with_owners():
    """Block 1 has slab, locked frames of process 7 and file frames."""
    root = host([block(), block((SLAB, 3), (MLOCKED, 4), (FILE, 5)), block()])
    root.write('proc/7/comm', 'locker\n')
    root.write('proc/7/status', 'Name:\tlocker\nVmLck:\t      16 kB\n')
    root.write('proc/7/maps',
               '00010000-00014000 rw-p 00000000 00:00 0   [heap]\nnonsense\n')
    entries = [0] * 0x10 + [PRESENT | BLOCK + 3 + page for page in range(4)]
    root.words(entries, 'proc/7/pagemap')
    root.write('proc/8/comm', 'reader\n')
    root.write('proc/8/maps', '00000000-00001000 r--p 0 0:0 0\n')
    root.words([PRESENT | BLOCK + 7], 'proc/8/pagemap')
    root.write('sys/fs/cgroup/some/group/x', '')
    inode = os.stat(os.path.join(root.path, 'sys/fs/cgroup/some/group')).st_ino
    groups = 3 * BLOCK * [0]
    groups[BLOCK + 7:BLOCK + 12] = 5 * [inode]
    root.words(groups, 'proc/kpagecgroup')
    root.write('proc/slabinfo', 'slabinfo - version: 2.1\n'
               'dentry 9 9 192 21 1 : tunables 0 0 0 : slabdata 5 5 0\n'
               'inode 9 9 192 21 8 : tunables 0 0 0 : slabdata 5 5 0\n')
    return root


def test_block():
    root = with_owners()
    status, out, err = run('why', '-s', root.path, '1')
    lines = [line.split() for line in out.splitlines()]
    ok(status == 0 and not err and lines[0][:2] == ['block', '1,'] and
       'blocked (proved)' in out, 'the head of a block', out + err)
    ok(lines[3][:4] == ['blocks', 'slab', '3', '12K'] and
       lines[4][:4] == ['doubt', 'mlocked', '4', '16K'] and
       lines[3][5] == '0x%x' % BLOCK,
       'what blocks comes first, then what is in doubt', out)
    ok('mapped by locker (7)' in out and 'inode, dentry' in out,
       'who has them: the process, and the largest caches', out)
    ok('1 of 4 chunks' in out, 'how many chunks are in the way', out)
    found = as_json(root, '1', '-a')['answers'][0]
    ok([(one['class'], one['frames'], one['chunks'], one['confidence'])
        for one in found['classes']] ==
       [('slab', 3, 1, 'possible'), ('mlocked', 4, 1, 'proved'),
        ('file', 5, 1, 'likely'), ('free', BLOCK - 12, 4, 'proved')],
       '--json has the classes', json.dumps(found['classes']))
    ok([(one['pid'], one['name'], one['frames'], one['doubtful_frames'])
        for one in found['processes']] ==
       [(7, 'locker', 4, 4), (8, 'reader', 1, 0)],
       '--json has the processes', json.dumps(found['processes']))
    ok([(one['name'], one['frames']) for one in found['cgroups']] ==
       [('/some/group', 5)], '--json has the cgroups',
       json.dumps(found['cgroups']))
    found = as_json(root, '1', '--no-owners')['answers'][0]
    ok(not found['processes'] and not found['cgroups'], '--no-owners')
    out = run('why', '-s', root.path, '2')[1]
    ok('empty' in out and 'chmem -d -b 2\n' in out,
       'a block that can go: how to try it', out)


def test_whose_by_class():
    """Who maps frames of one class is no proof about those of another."""
    root = host([block(), block((MLOCKED, 4), (0x804, 2), (UNKNOWN, 1),
                                (HELD, 2))])
    root.write('proc/7/comm', 'locker\n').write('proc/8/comm', 'driver\n')
    for pid, first, count in ((7, 0, 4), (8, 4, 2)):
        root.write('proc/%d/maps' % pid, '00000000-00004000 rw-p 0 0:0 0\n')
        root.words([PRESENT | BLOCK + first + page for page in range(count)],
                   'proc/%d/pagemap' % pid)
    owners = {one['class']: (one['confidence'], one['owner'])
              for one in as_json(root, '1')['answers'][0]['classes']}
    ok(owners['mlocked'] == ('proved', 'mapped by locker (7)') and
       owners['mapped-kernel'] == ('proved', 'mapped by driver (8)'),
       'each class has those who map frames of it', json.dumps(owners))
    ok(owners['unknown-bit'][0] == 'possible' and
       owners['held'][0] == 'likely', 'what is guessed is not called proved',
       json.dumps(owners))
    out = run('why', '-s', root.path, '1')[1]
    ok('mapped by locker (7)' in out and 'mapped by driver (8)' in out,
       'the same for people', out)
    out = run('why', '-s', root.path, '0-99999999')[1]
    ok('mapped by locker (7)' in out, 'also of a range with no end', out)
    root.write('proc/8/maps', '').remove('proc/7/maps')
    owners = {one['class']: (one['confidence'], one['owner'])
              for one in as_json(root, '1')['answers'][0]['classes']}
    ok(owners['mapped-kernel'][0] == 'possible' and
       'lock memory' not in owners['mapped-kernel'][1],
       'mapped by nobody who can be found', json.dumps(owners))


def test_cut_chunks():
    """A range that cuts a block and a chunk, by what each frame is."""
    words = block((SLAB, 3), (FILE, 700), (MLOCKED, 9), (FREE, 500), (0, 2))
    names = {SLAB: 'slab', FILE: 'file', MLOCKED: 'mlocked', FREE: 'free',
             0: 'untyped'}
    root = host([block(), words, block((SLAB, 1))])
    bad = []
    for first, last in ((1, 2), (2, 600), (511, 1025), (600, 2048),
                        (512, 1024), (700, 2049), (0, 2048)):
        part = (words + [SLAB] + block())[first:last]
        expected = sorted((names[word], part.count(word),
                           BLOCK + first + part.index(word),
                           len({(first + at) // 512 for at, one
                                in enumerate(part) if one == word}))
                          for word in set(part))
        for source in ((), ('--no-owners',)):
            classes = as_json(root, '-a', 'pfn:%d+%d' % (
                BLOCK + first, last - first), *source)['answers'][0]['classes']
            found = sorted((one['class'], one['frames'], one['first_pfn'],
                            one['chunks']) for one in classes)
            bad += [] if found == expected else [(first, last, found)]
    ok(not bad, 'frames, first and chunks of each class', repr(bad))
    out = run('why', '-s', root.path, 'pfn:%d+600' % (BLOCK + 2))[1]
    ok('1 of 2 chunks' in out, 'a chunk that is cut counts by its part', out)
    verdicts = [as_json(root, at)['answers'][0]['verdict']
                for at in ('1', 'pfn:%d+9' % (BLOCK + 1500))]
    ok(verdicts == 2 * ['blocked'], 'the verdict is that of the block')


def test_cut_file():
    root = host([block(), block(), block((SLAB, 1))])
    words = block() + block()[:1000]
    root.words(words)
    for arguments in (('2',), ('1',), ('0-2',), ('pfn:%d' % (2 * BLOCK),)):
        result = run('why', '-s', root.path, *arguments)
        ok(result[0] == 64 and 'cut off' in result[2] and
           'flags 0x' not in result[1],
           'a file that is cut off: ' + arguments[0], repr(result))
    ok(run('why', '-s', root.path, '0')[0] == 0, 'but not where it is whole')
    raw = cli.Sysroot().words(block())
    result = run('why', '-F', raw.path + '/proc/kpageflags', 'pfn:5000')
    ok(result[0] == 64 and 'flags 0x' not in result[1],
       'a frame behind the end of a copy of kpageflags', repr(result))


def test_range_and_frame():
    root = with_owners()
    found = as_json(root, 'pfn:%d+5' % (BLOCK + 2))['answers'][0]
    ok([(one['class'], one['frames'], one['first_pfn'])
        for one in found['classes']] ==
       [('slab', 1, BLOCK + 2), ('mlocked', 4, BLOCK + 3)] and
       found['verdict'] == 'blocked' and found['first_pfn'] == BLOCK + 2,
       'a range within a block: its frames, and the verdict of the block',
       json.dumps(found))
    found = as_json(root, '0-2')['answers'][0]
    ok(found['verdicts']['empty'] == 2 and found['verdicts']['blocked'] == 1,
       'a range of blocks')
    out = run('why', '-s', root.path, 'pfn:%d' % (BLOCK + 7))[1]
    ok('flags 0x2c' in out and 'reader (8)' in out and '/some/group' in out,
       'a frame: its flags, its process, its cgroup', out)
    out = run('why', '-s', root.path, '0x%x' % ((BLOCK + 3) * 4096))[1]
    ok('mlocked' in out and 'locker' in out, 'an address')
    status, out, err = run('why', '-s', root.path, '1', '99')
    ok(status == 64 and '99' in err and 'slab' in out,
       'one of two is there: status 64')
    fails(run('why', '-s', root.path, '99'), 1, 'no memory block',
          'a block that is not there')
    root = host([block((SLAB, 1))], zones={0: 'none'})
    out = run('why', '-s', root.path, '0')[1]
    ok('zone-none: ' in out and 'never' in out,
       'reasons that no frame shows', out)
    root = host([block()], states={0: 'offline'})
    ok('offline' in run('why', '-s', root.path, '0')[1], 'an offline block')


def test_spoilers():
    root = host([block((SLAB, 9)), block((SLAB, 2)), block((FILE, 7)),
                 block(), block((SLAB, 1))], zones={4: 'none'})

    def spoilers(*options):
        result = run('why', '-s', root.path, '-r', '-n', *options)
        return result[0], [line.split(' ')[:3]
                           for line in result[1].splitlines()]

    ok(spoilers('--spoilers') == (0, [
        ['3', 'empty', '0'], ['2', 'candidate', '0'], ['1', 'blocked', '2'],
        ['0', 'blocked', '9']]), 'blocks by what is in the way, without those '
       'that never go', repr(spoilers('--spoilers')))
    ok(len(spoilers('--spoilers=9M')[1]) == 2, 'the cheapest 9 MiB')
    ok(spoilers('--spoilers=1G')[0] == 64, 'less than was asked for')
    found = as_json(root, '--spoilers')['spoilers']
    ok(found[2] == {'block': 1, 'verdict': 'blocked', 'spoiling_frames': 2,
                    'spoiled_chunks': 1, 'movable_frames': 0,
                    'sum_bytes': 3 * BLOCK * 4096, 'mostly': 'slab',
                    'first_pfn': BLOCK},
       '--spoilers --json', json.dumps(found[2]))
    ok(len(spoilers('--spoilers', '1-2')[1]) == 2, 'of some blocks')


def test_what_moves():
    """What the verdict says moves, no other line calls in the way."""
    root = host([block((SLAB, 5)), block((LOCKED, 1024)), block((SLAB, 600)),
                 block((0, 9), (FILE, 1)), block((LOCKED, 3), (SLAB, 1))])
    root.write('proc/vmstat', 'nr_foll_pin_acquired 4\n'
               'nr_foll_pin_released 4\n')
    rows = [line.split(' ') for line in run(
        'why', '-s', root.path, '-r', '-n', '--spoilers',
        '-b')[1].splitlines()]
    ok([row[:4] for row in rows] == [
        ['3', 'candidate', '0', '0'], ['1', 'candidate', '0', '0'],
        ['4', 'blocked', '1', '1'], ['0', 'blocked', '5', '1'],
        ['2', 'blocked', '600', '2']] and rows[1][6] == str(1024 * 4096),
       'a candidate is cheaper than what never goes', repr(rows))
    out = run('why', '-s', root.path, '1')[1]
    ok('\n0 of 4 chunks have frames in the way; 4 MiB can be moved, 4 MiB ' in out
       and 'candidate' in out and 'doubt ' not in out,
       'locked memory that moves is not in the way', out)
    out = run('why', '-s', root.path, '3')[1]
    ok('\n0 of 4 chunks have frames in the way; 40 KiB can' in out and
       'doubt' not in out, 'nor is what CPUs cache', out)
    out = run('why', '-s', root.path, '4')[1]
    ok('\n1 of 4 chunks have frames in the way; 12 KiB can' in out,
       'but what is beside it', out)
    found = as_json(root, '1')['answers'][0]
    ok([(one['class'], one['role']) for one in found['classes']] ==
       [('mlocked', 'moves')], '--json says so', json.dumps(found['classes']))
    out = run('why', '-s', root.path, '0-4')[1]
    ok('\n4 of 20 chunks have frames in the way; 4.05 MiB can' in out,
       'of several blocks, by the verdict on each', out)
    root.write('proc/vmstat', 'nr_foll_pin_acquired 5\n'
               'nr_foll_pin_released 4\n')
    out = run('why', '-s', root.path, '1')[1]
    ok('\n2 of 4 chunks have frames in the way; 0 KiB can' in out and
       'doubt' in out, 'it is where something is pinned', out)


def test_holders():
    """What a program has open, and what of its memory is pinned."""
    root = host([block(), block((FILE, 9))])
    root.write('proc/vmstat', 'nr_foll_pin_acquired 9\n'
               'nr_foll_pin_released 6\n')
    root.write('proc/9/comm', 'fio\n').write('proc/8/comm', 'qemu\n')
    root.write('proc/9/fdinfo/4', 'UserBufs:\t1\n    0: 0x1000/8192\n')
    root.write('proc/9/pagemap', array.array('Q', [
        0, 1 << 63 | BLOCK + 1, 1 << 63 | 5]).tobytes())
    for name, target in (('9/fd/4', 'anon_inode:[io_uring]'),
                         ('8/fd/1', '/dev/vfio/3'), ('8/fd/5', 'pipe:[1]'),
                         ('8/fd/2', '/dev/infiniband/uverbs0')):
        path = os.path.join(root.path, 'proc', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)
    found = as_json(root, '1')['answers'][0]
    ok(found['verdict'] == 'blocked' and
       sorted(found['holders'], key=lambda one: one['pid']) == [
           {'pid': 8, 'pinned_frames': 0, 'pinned_here': 0,
            'name': 'qemu: VFIO, RDMA'},
           {'pid': 9, 'pinned_frames': 2, 'pinned_here': 1,
            'name': 'fio: io_uring'}],
       'who has open what pins memory', json.dumps(found))
    out = run('why', '-s', root.path, '1')[1]
    ok('pinned: where a program' in out and
       'Pinned here by (likely):\n       1 frames  fio: io_uring (9)\n' in out
       and 'qemu: VFIO, RDMA (8)' in out, 'the same for people', out)


def test_kernel_owners():
    """Of what the kernel has for itself, who has most is possible."""
    root = host([block(), block((1 << 26, 3), (0, 4))])
    row = root.path, '1'

    def owners():
        classes = as_json(root, '1')['answers'][0]['classes']
        return {one['class']: (one['confidence'], one['owner'])
                for one in classes}

    ok(owners()['page-table'] == ('proved', 'page tables') and
       owners()['untyped'][1].endswith('; vmalloc'), 'nobody is known',
       json.dumps(owners()))
    for pid, name, kib in ((7, 'small', 8), (8, 'large', 4000)):
        root.write('proc/%d/comm' % pid, name + '\n')
        root.write('proc/%d/status' % pid, 'VmPTE:\t %d kB\n' % kib)
    area = '0xffffc90000000000-0xffffc90000005000   20480 '
    root.write('proc/vmallocinfo', ''.join(area + line + '\n' for line in (
        'kernel_thing+0xca/0x100 pages=4 vmalloc N0=4',
        'probe+0x1/0x2 [driver] pages=3 vmalloc N0=3',
        'probe+0x9/0x10 [driver] pages=2 vmalloc N0=2',
        'ioremap_it+0x1/0x2 phys=0x00000000000a0000 ioremap',
        'x\x1b[31m+0x1/0x2 pages=1 vmalloc', 'pages=', ' pages=9', 'pages=4000 vmalloc', 'pages=4000',
        ' pages=4000 vmalloc N0=4000',
        'y+0x1/0x2 pages=18446744073709551616 vmalloc')) + 'pages=7\n\n')
    ok(owners()['page-table'] ==
       ('possible', 'page tables; most have large (8), small (7)'),
       'whose page tables', json.dumps(owners()))
    said = owners()['untyped']
    ok(said[0] == 'possible' and said[1].endswith(
        'vmalloc, most by probe [driver], kernel_thing, x?[31m'),
       'who called vmalloc', json.dumps(said))
    out = run('why', '-s', *row)[1]
    ok('large (8)' in out and 'probe [driver]' in out, 'the same for people',
       out)
    out = run('why', '--no-owners', '-s', *row)[1]
    ok('large' not in out and 'probe' not in out, '--no-owners', out)


def test_captured():
    """The balloon of a guest has frames of what virtio-mem plugged."""
    file = os.path.join(cli.FIXTURES, 'guest-6.1.cfc')
    status, out, err = run('why', '-F', file, '33', '-J')
    if 'built without' in err:
        cli.skip('owners of a captured guest', 'built without zstd')
        return
    owners = {one['class']: (one['confidence'], one['owner'])
              for one in json.loads(out)['answers'][0]['classes']}
    ok(owners['never-onlined'] == ('proved', 'virtio-mem: unplugged parts')
       and owners['offline'] == ('likely', 'a balloon, or unplugged parts of '
                                 'virtio-mem'),
       'who has offline frames', json.dumps(owners))


def test_without_words():
    root = host([block(), block()]).remove('proc/kpageflags')
    status, out, err = run('why', '-s', root.path, '1')
    ok(status == 0 and out.split('\n')[0].endswith(': unknown') and
       'no-flags' in out and
       'this is what sysfs tells' in err, 'without kpageflags: what sysfs has',
       out + err)
    status, out, err = run('why', '-s', root.path, 'pfn:3')
    ok(status == 0 and out.startswith('frame 0x3, block 0'),
       'and of a frame', out)
    ok(run('why', '-s', root.path, '--spoilers')[0] == 1,
       'no spoilers without words')


def test_usage():
    root = with_owners()
    fails(run('why', '-s', root.path, '--spoilers', '1G'), 2,
          '--spoilers=1G', 'a size behind a blank')
    for arguments, part in (([], 'name a block'), (['--spoilers=5'], "'5'"),
                            (['x'], "'x'"), (['1', '-o', 'TASTE'], 'TASTE')):
        result = run('why', '-s', root.path, *arguments)
        ok(result[0] in (1, 2) and part in result[2],
           'wrong: ' + ' '.join(arguments), repr(result))
    fails(run('why', '-s', cli.Sysroot().path, '1'), 1, 'kpageflags',
          'no words')
    fails(run('why', '-s', root.path, 'x'), 2, "'x' is no block",
          'what is no block is wrong usage')
    ok(run('why', '-s', root.path, 'x', '1')[0] == 64, 'one of two is wrong')
    fails(run('why', '-s', root.path, '1', '-N', '9'), 1, 'no block of that',
          'a node that is not there')
    ok(run('why', '--help')[0] == 0, '--help')
    root.write('proc/7/pagemap', array.array('Q', [1 << 63]).tobytes() + b'x')
    root.write('proc/slabinfo', 'garbage\n' + 'x 1 2\n')
    root.write('proc/kpagecgroup', b'12345678')
    ok(run('why', '-s', root.path, '1')[0] == 0,
       'files about owners that say nothing useful')


for test in (test_block, test_names, test_whose_by_class, test_cut_chunks,
             test_cut_file, test_range_and_frame, test_spoilers, test_what_moves,
             test_holders, test_captured, test_kernel_owners,
             test_without_words, test_usage):
    test()
cli.done()
