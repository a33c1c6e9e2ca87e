# SPDX-License-Identifier: MIT
"""Odd hosts: no hotplug, one block, gaps, nodes that take turns, 4 TiB
in blocks of 2 GiB, and what scenarios export. Every command on each of them ends
as documented, and the sums hold."""

import array
import json
import os
import re
import signal
import subprocess
import sys
import time

import cli
from cli import BLOCKS, ok, run
from hosts import BLOCK, FILE, FREE, IOMEM, SLAB, block, host

COMMANDS = [['blocks'], ['blocks', '-J'], ['chunks'], ['chunks', '-l'],
            ['offline-map'], ['account'], ['why', '-a', '0'],
            ['why', '--spoilers'], ['plan', '--shrink', '8M'], ['map'],
            ['types']]
LIMIT = 64 << 10                        # KiB of memory
HERE = os.path.dirname(os.path.dirname(cli.HERE))


def every_command(root, name, statuses=(0, 1, 64)):
    bad = [(command, result) for command in COMMANDS
           for result in [run(*command, '-s', root.path)]
           if result[0] not in statuses or (result[0] == 1 and not result[2])]
    ok(not bad, 'every command on ' + name, repr(bad[:1]))


def as_json(root, *words):
    return json.loads(run(*words, '-s', root.path, '-J')[1])


def sizes(root, *words):
    """(exit status, KiB of memory at most) of a command."""
    with open(os.devnull, 'wb') as nowhere, subprocess.Popen(
            [cli.COLDFRAME, *words, '-s', root.path], stdout=nowhere,
            stderr=nowhere) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss


def test_no_hotplug():
    root = cli.Sysroot().words(block((SLAB, 1)) + block())
    root.write('proc/iomem', IOMEM % (2 * BLOCK * 4096 - 1))
    every_command(root, 'a kernel without memory hotplug')
    found = as_json(root, 'blocks')
    ok(found['block_size_assumed'] and
       {one['verdict'] for one in found['blocks']} == {'never'} and
       found['frames'] == {'free': 2 * BLOCK - 1, 'slab': 1},
       'without hotplug: never, with all frames counted')


def test_one_block():
    root = host([block((FILE, 3))])
    every_command(root, 'one block')
    ok(run('plan', '-s', root.path, '--shrink', '8M')[0] == 0,
       'the only block is a candidate')


def test_gaps():
    """Blocks 1, 2 and 9; node 1 lies within node 0."""
    root = host([block()])
    root.remove(BLOCKS + '/memory0/state').remove(BLOCKS +
                                                  '/memory0/valid_zones')
    os.rmdir(os.path.join(root.path, BLOCKS, 'memory0'))
    for number, node in ((1, 0), (2, 1), (9, 0)):
        root.write('%s/memory%d/state' % (BLOCKS, number), 'online\n')
        root.write('%s/memory%d/valid_zones' % (BLOCKS, number), 'Normal\n')
        root.write('sys/devices/system/node/node%d/memory%d/x'
                   % (node, number), '')
    root.write('proc/iomem', '00800000-017fffff : System RAM\n'
               '04800000-04ffffff : System RAM\n')
    root.words(BLOCK * [0x100000] + block() + block((SLAB, 2)) +
               6 * BLOCK * [0] + block((FILE, 1)))
    every_command(root, 'blocks with gaps and nodes in turns')
    found = as_json(root, 'blocks')
    ok([(one['block'], one['node'], one['verdict'])
        for one in found['blocks']] == [(1, 0, 'empty'), (2, 1, 'blocked'),
                                        (9, 0, 'candidate')],
       'each block once, with its node', json.dumps(found['blocks']))
    ok(sum(found['frames'].values()) == 3 * BLOCK,
       'what lies in the gaps is not counted')
    root.write('sys/devices/system/node/node0/memory2/x', '')
    ok(as_json(root, 'blocks', '2')['blocks'][0]['verdict'] == 'never',
       'a block of two nodes never goes')


def test_large():
    """4 TiB, of which one block in 32 is online; the file has holes, so it
    takes no room. tests/linux/cost.py looks at one that is all online."""
    root = cli.Sysroot()
    root.write(BLOCKS + '/block_size_bytes', '80000000\n')
    for number in range(2048):
        root.write('%s/memory%d/state' % (BLOCKS, number),
                   'offline\n' if number % 32 else 'online\n')
        root.write('%s/memory%d/valid_zones' % (BLOCKS, number), 'Normal\n')
    root.write('proc/iomem', IOMEM % ((1 << 42) - 1))
    root.write('proc/kpageflags', '')
    with open(os.path.join(root.path, 'proc/kpageflags'), 'r+b') as file:
        file.truncate(2048 << 22)
        for number in (32, 1920):
            file.seek(number << 22)
            file.write(array.array('Q', 1000 * [FREE, SLAB]).tobytes())
    # With a sanitizer even saying nothing takes more than a program may.
    sanitized = sizes(root, 'types', '-d', '0')[1] > LIMIT // 4
    for command in (['blocks', '-a'], ['chunks', '-l'], ['map'],
                    ['offline-map']):
        status, memory = sizes(root, *command)
        ok(status == 0 and (memory < LIMIT or sanitized),
           '4 TiB in 2 GiB blocks, below 64 MiB of memory: ' + command[0],
           'status %d, %d KiB' % (status, memory))
    found = as_json(root, 'blocks')
    ok(len(found['blocks']) == 2048 and found['frames']['slab'] == 2000 and
       sum(found['frames'].values()) == 1 << 25, 'all frames are counted')


def test_newer():
    """A guest of Linux 6.12 with 1 GiB, of which pipes hold 40 MiB."""
    file = os.path.join(cli.FIXTURES, 'guest-6.12.cfc')
    status, out, err = run('blocks', '-F', file, '-J')
    if 'built without' in err:
        cli.skip('a captured guest of 6.12', 'built without zstd')
        return
    found = json.loads(out)
    verdicts = [one['verdict'] for one in found['blocks']]
    ok(status == 0 and verdicts == ['never', 'blocked', 'doubtful', 'empty',
                                    'empty', 'never', 'never', 'never'] and
       found['blocks'][1]['reasons'][0]['code'] == 'held-many' and
       found['frames']['held'] == 10240,
       'a guest of 6.12: what pipes hold, whatever KSM says', out)


def test_schema():
    """Whatever prints JSON says which form it has."""
    root = host([block(), block((FILE, 3))])
    root.write('proc/meminfo', 'MemTotal: 16384 kB\nMemFree: 8192 kB\n')
    for words in (['blocks'], ['why', '1'], ['why', '--spoilers'], ['chunks'],
                  ['chunks', '-l'], ['offline-map'], ['offline-map', '-l'],
                  ['account'], ['plan', '--shrink', '8M'], ['types'],
                  ['watch', '-c', '1', '0']):
        found = as_json(root, *words)
        ok(found.get('schema') == 1, '-J has a schema: ' + ' '.join(words))
    out = run('diff', '-J', root.path, host([block()]).path)[1]
    ok(json.loads(out).get('schema') == 1, '-J has a schema: diff', out)


def large(blocks):
    """A host whose words are a hole; a block is 2 GiB."""
    root = cli.Sysroot()
    root.write(BLOCKS + '/block_size_bytes', '80000000\n')
    for number in range(blocks):
        root.write('%s/memory%d/state' % (BLOCKS, number), 'online\n')
    root.write('proc/kpageflags', '')
    os.truncate(os.path.join(root.path, 'proc/kpageflags'), blocks << 22)
    return root


def test_progress():
    """Slowed down so that two seconds pass: how far it is, on a terminal."""
    root = large(1024)
    for words in (['map'],):
        said = slowly(words + ['-s', root.path])
        ok(b' %, ' in said and b' s to go' in said,
           'after 2 s, how far it is: ' + words[0], repr(said))
    root = large(150).write('proc/meminfo', 'MemTotal: 8 kB\n').write(
        'proc/zoneinfo', 'Node 0, zone   Normal\n        present  9\n'
        '        managed  2\n')
    for words in (['account'], ['blocks']):
        said = slowly(words + ['-s', root.path], True)
        shown = re.findall(rb's to go(.?.?.?.?)', said, re.S)
        ok(shown and set(shown) == {b'\r\x1b[K'},
           'and it is wiped out before the answer: ' + words[0],
           repr(said[-600:]))
    with open(os.devnull, 'wb') as nowhere, subprocess.Popen(
            [cli.COLDFRAME, 'blocks', '0', '-s', root.path], stdout=nowhere,
            stderr=subprocess.PIPE) as process:
        ok(not process.stderr.read(), 'and not a word where nobody looks')


def waiting(terminal):
    said = b''
    try:
        while True:
            said += os.read(terminal, 4096)
    except BlockingIOError:
        return said


def slowly(words, whole=False):
    """What a command says on a terminal that is stopped now and then; whole:
    until it ends, with what it answers."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    said = b''
    with subprocess.Popen(
            [cli.COLDFRAME] + words, stderr=theirs,
            stdout=theirs if whole else subprocess.DEVNULL) as process:
        while process.poll() is None and (whole or b'to go' not in said):
            time.sleep(0.1)
            if b'to go' not in said:
                process.send_signal(signal.SIGSTOP)
                time.sleep(2.1)
                process.send_signal(signal.SIGCONT)
            said += waiting(ours)
        process.kill()
        said += waiting(ours)
    os.close(ours)
    os.close(theirs)
    return said


def test_advice():
    """What cannot be read is said with what may help."""
    root = cli.Sysroot().write('proc/meminfo', 'MemTotal: 8 kB\n')
    for command in (['types'], ['chunks'], ['account'], ['blocks'],
                    ['why', '1'], ['map'], ['offline-map']):
        for source in (['-s', root.path], ['-F', root.path + '/none'],
                       ['-s', root.path + '/none']):
            result = run(*command, *source)
            ok(result[0] == 1 and 'check --sysroot or --file' in result[2] and
               result[2].splitlines()[-1].count('check') == 1,
               'advice: %s %s' % (command[0], source[0]), repr(result))


def test_captured_host():
    """A host of 24 GiB at work, whose hypervisor is told of free memory; of
    Linux 6.18, where holes are 0; its words stand where they do not."""
    file = os.path.join(cli.FIXTURES, 'host-6.18.cfc')
    status, out, err = run('blocks', '-F', file, '-J')
    if 'built without' in err:
        cli.skip('a captured host', 'built without zstd')
        return
    found = json.loads(out)
    ok(status == 0 and found['verdicts'] == {
        'never': 1, 'blocked': 122, 'doubtful': 34, 'candidate': 18,
        'empty': 17, 'offline': 0, 'unknown': 0},
       'the verdicts on a host', json.dumps(found['verdicts']))
    ok(found['frames'] == {
        'free': 603101, 'reported': 3006720, 'file': 1727952,
        'anon': 498849, 'mlocked': 2454, 'untyped': 140742, 'slab': 189814,
        'page-table': 877, 'reserved': 120336, 'zero-page': 513,
        'absent': 98}, 'what its frames are', json.dumps(found['frames']))
    lines = json.loads(run('account', '-F', file, '-J')[1])['lines']
    rest = [line['frames'] for line in lines
            if line['what'] == 'not explained']
    ok(rest == [1], 'all of its memory but a frame is accounted for',
       json.dumps(lines))


def test_captured():
    """A guest of Linux 6.1 with 512 MiB, 192 MiB plugged by virtio-mem, 64 MiB
    in its balloon, 16 MiB held by pipes and 4 MiB locked."""
    file = os.path.join(cli.FIXTURES, 'guest-6.1.cfc')
    status, out, err = run('blocks', '-F', file, '-J')
    if 'built without' in err:
        cli.skip('a captured guest', 'built without zstd')
        return
    found = json.loads(out)
    codes = {one['block']: (one['verdict'], [reason['code'] for reason in
                                             one['reasons']])
             for one in found['blocks']}
    ok(status == 0 and codes == {
        0: ('never', ['zone-none', 'hole', 'slab', 'page-table', 'reserved',
                      'untyped']),
        1: ('never', ['kernel-image', 'reserved', 'zero-page', 'untyped']),
        2: ('empty', []),
        3: ('never', ['hole', 'slab', 'page-table', 'reserved',
                      'untyped-many']),
        32: ('doubtful', ['held', 'locked', 'cached', 'owner-agrees']),
        33: ('candidate', ['cached', 'owner-agrees'])},
       'the verdicts on a guest', json.dumps(codes))
    ok(found['frames']['mlocked'] == 1024 and found['frames']['held'] == 16,
       'its locked memory, and what pipes hold', json.dumps(found['frames']))
    found = json.loads(run('offline-map', '-F', file, '-J')[1])
    ok(found['frames']['offline'] == 16384 and
       found['frames']['never-onlined'] == 16384 and
       found['counters'][0] == {'kind': 'balloon', 'counted': 16384,
                                'kernel': 16384} and
       {one['device'] for one in found['ranges']} == {'virtio0'},
       'its balloon and what is not plugged', json.dumps(found))
    lines = json.loads(run('account', '-F', file, '-J')[1])['lines']
    ok([line['frames'] for line in lines
        if line['what'] == 'not explained'] == [1],
       'its memory is accounted for, but for a frame', json.dumps(lines))


def test_scenarios():
    """An export says to these commands what it says to types."""
    if 'no command' in run('run', '--help')[2]:
        cli.skip('exports of scenarios', 'no run command in this build')
        return
    for name in ('demo', 'balloon', 'partly-plugged'):
        root = cli.Sysroot()
        run('run', os.path.join(HERE, 'scenarios', name + '.cf'), '--export',
            root.path)
        if not os.path.exists(os.path.join(root.path, 'proc/kpageflags')):
            cli.skip('the export of ' + name, 'it was not written')
            continue
        every_command(root, 'the export of ' + name)
        types = {row['flags']: row['frames'] for row in json.loads(run(
            'types', '-s', root.path, '--json', '-r')[1])['types']}
        offline = sum(frames for flags, frames in types.items()
                      if int(flags, 16) >> 23 & 1)
        found = as_json(root, 'offline-map')['frames']
        ok(found['balloon'] + found['offline'] + found['never-onlined'] ==
           offline, 'offline frames in the export of ' + name,
           '%s, %d' % (json.dumps(found), offline))


for test in (test_no_hotplug, test_one_block, test_gaps, test_large,
             test_progress, test_advice, test_captured_host, test_captured,
             test_newer, test_schema, test_scenarios):
    test()
sys.exit(cli.done())
