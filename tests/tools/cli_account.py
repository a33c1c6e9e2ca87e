# SPDX-License-Identifier: MIT
"""coldframe account: each sum is the one above less what is named below it,
with the rest shown."""

import json

import cli
from cli import fails, guest, ok, run
from hosts import BLOCK, block, host

RESERVED, NEVER = 1 << 32, 0x800010


def as_json(root, *options):
    return json.loads(run('account', '-s', root.path, '-J', *options)[1])


def adds_up(lines):
    """Does every sum follow from the one above?"""
    total = None
    for line in lines:
        if line['what'] == 'of which free':
            continue
        if line['sum']:
            if total not in (None, line['frames']):
                return False
            total = line['frames']
        else:
            total -= line['frames']
    return True


def some(managed, total):
    root = host([block((RESERVED, 100), (NEVER, 30)), block(), block()],
                states={2: 'offline'})
    root.write('proc/zoneinfo', 'Node 0, zone   Normal\n        present  %d\n'
               '        managed  %d\n' % (2 * BLOCK, managed))
    root.write('proc/meminfo', 'MemTotal: %d kB\nMemFree: 400 kB\n'
               % (4 * total))
    return root


def test_statement():
    lines = as_json(some(2 * BLOCK - 130, 2 * BLOCK - 130))['lines']
    ok([(line['what'], line['frames']) for line in lines] == [
        ('system memory, by the firmware', 3 * BLOCK),
        ('in blocks that are offline', BLOCK),
        ('present in zones', 2 * BLOCK), ('reserved at boot', 100),
        ('never onlined', 30),
        ('managed by the allocator', 2 * BLOCK - 130),
        ('MemTotal', 2 * BLOCK - 130), ('of which free', 100)],
       'every gap has its name', json.dumps(lines))
    ok(adds_up(lines), 'it adds up')
    lines = as_json(some(2 * BLOCK - 137, 2 * BLOCK - 133))['lines']
    ok([line['frames'] for line in lines
        if line['what'] == 'not explained'] == [7, -4] and adds_up(lines),
       'what nothing explains is shown', json.dumps(lines))
    lines = as_json(guest())['lines']
    ok(adds_up(lines) and sum(abs(line['frames']) for line in lines
                              if line['what'] == 'not explained') <= 1,
       'a guest with a balloon and memory that is not plugged',
       json.dumps(lines))
    out = run('account', '-s', guest().path)[1]
    ok('MemTotal' in out and '-256M' in out, 'as a table', out)


def named(lines):
    return {line['what']: line['frames'] for line in lines
            if not line['sum']}


def test_uninitialised():
    """Blocks 0 and 1 are ready, 2 and 3 are not, but for what is reserved."""
    root = host([block((RESERVED, 100)), block((RESERVED, 700)), BLOCK * [0],
                 40 * [RESERVED] + (BLOCK - 40) * [0]])
    zone = ('Node 0, zone   Normal\n        present  %d\n'
            '        managed  %d\n')
    late = 2 * BLOCK - 40
    root.write('proc/zoneinfo', zone % (4 * BLOCK, 2 * BLOCK - 800))
    root.write('proc/meminfo', 'MemTotal: %d kB\n' % (16 * BLOCK - 4 * 840))
    lines = as_json(root)['lines']
    ok(named(lines) == {'reserved at boot': 840, 'not initialised yet': late,
                        'not initialised yet, and counted': -late} and
       adds_up(lines), 'frame for frame what is not initialised',
       json.dumps(lines))
    # Some of it became the allocator's since its words were read.
    root.write('proc/meminfo', 'MemTotal: %d kB\n' % (
        4 * (2 * BLOCK - 800 + 1000)))
    lines = as_json(root)['lines']
    ok(named(lines) == {'reserved at boot': 840, 'not initialised yet': 1000,
                        'not explained': late - 1000,
                        'not initialised yet, and counted': -1000} and
       adds_up(lines), 'no more than MemTotal counts', json.dumps(lines))
    root.remove('proc/kpageflags')
    lines = as_json(root)['lines']
    ok(named(lines)['not initialised yet'] == 1000 and adds_up(lines),
       'the same without kpageflags', json.dumps(lines))
    # Words of 0, and all memory is ready: it is the kernel's own.
    root = host([BLOCK * [0], BLOCK * [0]] +
                2 * [block((RESERVED, BLOCK))])
    root.write('proc/zoneinfo', zone % (4 * BLOCK, 2 * BLOCK))
    root.write('proc/meminfo', 'MemTotal: %d kB\n' % (8 * BLOCK))
    lines = as_json(root)['lines']
    ok(named(lines) == {'reserved at boot': 2 * BLOCK} and adds_up(lines),
       'not more than is present and not managed', json.dumps(lines))
    # Fewer words of 0 than are missing from the zones.
    root = host([block((RESERVED, 9)), BLOCK * [0]])
    root.write('proc/zoneinfo', zone % (2 * BLOCK, 9))
    root.write('proc/meminfo', 'MemTotal: %d kB\n' % (8 * BLOCK - 4 * 9))
    lines = as_json(root)['lines']
    ok(named(lines) == {'reserved at boot': 9, 'not initialised yet': BLOCK,
                        'not initialised yet, and counted': -BLOCK,
                        'not explained': 18 - BLOCK} and adds_up(lines) and
       [line['frames'] for line in lines if line['what'] == 'not explained']
       == [BLOCK - 18, 18 - BLOCK],
       'no more than words are 0', json.dumps(lines))


def test_hostile():
    """Counts that would wrap, each alone."""
    big = 1 << 63
    for name, text in (
            ('proc/zoneinfo', 'Node 0, zone   Normal\n        present  %d\n'
             '        managed  1\n' % big),
            ('proc/zoneinfo', 'Node 0, zone   Normal\n        present  1\n'
             '        managed  %d\n' % (1 << 41)),
            ('proc/meminfo', 'MemTotal: %d kB\n' % big),
            ('proc/meminfo', 'MemTotal: 4 kB\nMemFree: %d kB\n' % big),
            ('proc/vmstat', 'balloon_inflate %d\nballoon_deflate 1\n' % big),
            ('proc/vmstat', 'nr_balloon_pages %d\n' % big),
            ('proc/iomem', '0-ffffffffffffffff : System RAM\n')):
        root = some(2 * BLOCK, 2 * BLOCK).write(name, text)
        fails(run('account', '-s', root.path), 1, name,
              'a count that no machine has: %s' % text.split('\n')[-2].strip())


def test_usage():
    root = some(2 * BLOCK, 2 * BLOCK)
    fails(run('account', '-s', root.path, '7'), 2, "'7'", 'an argument')
    root.write('proc/iomem', '00000000-00000000 : System RAM\n')
    result = run('account', '-s', root.path)
    ok(result[0] == 0 and 'iomem' in result[2] and
       'firmware' not in result[1], 'an iomem that hides its addresses',
       repr(result))
    root.remove('proc/kpageflags')
    result = run('account', '-s', root.path)
    ok(result[0] == 0 and len(result[2].splitlines()) == 1 and
       'this is what sysfs tells' in result[2] and 'MemTotal' in result[1],
       'without kpageflags one line says so', repr(result))
    root.remove('proc/zoneinfo')
    fails(run('account', '-s', root.path), 1, 'zoneinfo', 'no zoneinfo')


for test in (test_statement, test_uninitialised, test_hostile, test_usage):
    test()
cli.done()
