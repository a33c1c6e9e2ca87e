# SPDX-License-Identifier: MIT
"""coldframe blocks: verdicts, columns, selections and what is said when files
are missing, on sysroots written here and on captured guests."""

import json
import os
import re
import subprocess

import cli
from cli import BLOCKS, fails, guest, ok, run
from hosts import (BLOCK, FILE, FREE, IOMEM, OFFLINE, SLAB, block,
                   host)

def mixed():
    """Of Linux 5.10, where a CPU takes at most 63 frames out of a chunk."""
    root = host([block((SLAB, 3), (FILE, 10)), block((FILE, 600)), block(),
                 block((0, 70)), block((FILE, 1)), block()],
                zones={4: 'Movable'}, states={5: 'offline'})
    return root.write('proc/sys/kernel/osrelease', '5.10.5\n')


def table(root, *options):
    result = run('blocks', '-s', root.path, '-n', '-r', *options)
    return [line.split(' ') for line in result[1].splitlines()]


def as_json(root, *options):
    status, out, err = run('blocks', '-s', root.path, '-J', *options)
    return json.loads(out) if status in (0, 64) else err


def test_verdicts():
    root = mixed()
    rows = table(root, '-o', 'BLOCK,VERDICT,REASONS')
    ok(rows == [['0', 'blocked', 'slab:3'], ['1', 'candidate', ''],
                ['2', 'empty', ''], ['3', 'doubtful', 'untyped:70'],
                ['4', 'candidate', ''], ['5', 'offline', '']],
       'a verdict and its reasons for each block', repr(rows))
    found = as_json(root)
    ok([one['verdict'] for one in found['blocks']] ==
       [row[1] for row in rows] and found['schema'] == 1,
       '--json has the same verdicts')
    first = found['blocks'][0]
    ok(first['reasons'] == [{'code': 'slab', 'confidence': 'proved',
                             'toward': 'blocked', 'frames': 3}] and
       first['frames'] == {'free': BLOCK - 13, 'file': 10, 'slab': 3} and
       first['chunks'] == {'free': 3, 'movable': 0, 'spoiled': 1} and
       first['bytes'] == BLOCK * 4096 and first['address'] == 0 and
       (first['zone'], first['node']) == ('Normal', 0),
       '--json has counts as integers', json.dumps(first))
    ok(found['blocks'][3]['reasons'][0]['first_pfn'] == 3 * BLOCK,
       'a reason has its first frame')
    ok(found['verdicts'] == {'never': 0, 'blocked': 1, 'doubtful': 1,
                             'candidate': 2, 'empty': 1, 'offline': 1,
                             'unknown': 0}, '--json adds the verdicts up')


def test_lines():
    root = host([block(), block(), block((FILE, 1)), block((FILE, 2)),
                 block()])
    out = table(root, '-o', 'BLOCK,VERDICT,MOVABLE', '-b')
    ok(out == [['0-1', 'empty', '0'], ['2-3', 'candidate', '12288'],
               ['4', 'empty', '0']], 'blocks that look alike are one line',
       repr(out))
    ok(len(table(root, '-a')) == 5, '-a: a line a block')
    ok(table(root, '-S', 'none', '-o', 'BLOCK,SIZE,MOVABLE') ==
       [['0-4', '40M', '12K']], '--split none: one line')
    ok(len(table(root, '-S', 'NODE', '-o', 'BLOCK')) == 5,
       '--split by a column that is not shown')
    ok(len(table(root, '-o', 'BLOCK,NODE')) == 5,
       'a column that is shown splits')
    ok(run('blocks', '-s', root.path, '-P', '-o', 'BLOCK,STATE', '-S',
           'STATE')[1] == 'BLOCK="0-4" STATE="online"\n', '--pairs')
    ok([one['block'] for one in as_json(root)['blocks']] == list(range(5)) and
       len(as_json(root, '-S', 'VERDICT')['blocks']) == 3,
       '--json has every block unless --split is there')
    out = run('blocks', '-s', root.path)[1]
    ok(out.startswith('RANGE') and 'Memory block size: ' in out and
       '3 empty' in out and '2 candidate' in out,
       'a table has headings and a summary', out)
    ok('RANGE' not in run('blocks', '-s', root.path, '-n')[1] and
       'Memory' not in run('blocks', '-s', root.path, '-n')[1],
       '-n: neither')
    ok(run('blocks', '-s', root.path, '--summary')[1].startswith('Memory'),
       '--summary: it alone')
    for options in (['-P', '--summary=only'], ['--summary', '-r'],
                    ['--summary=always', '-J'], ['-J', '-o', 'BLOCK'],
                    ['-o', 'BLOCK', '-J'], ['--prometheus', '-o', 'BLOCK']):
        fails(run('blocks', '-s', root.path, *options), 2, 'does not go',
              'not in silence: ' + ' '.join(options))
    ok(run('blocks', '-s', root.path, '-P', '--summary=never')[0] == 0,
       'no summary is no contradiction')
    fails(run('chunks', '-s', root.path, '--summary'), 2, 'summary',
          'a command that has no summary')
    ok(len(table(root, '-o', '+FIRST')[0]) == 8, '-o +COLUMN: one more')
    all_columns = run('blocks', '-s', root.path, '--output-all')[1]
    named = re.findall(r'^ [* ]([A-Z-]+) ', run('blocks', '--help')[1], re.M)
    ok(all_columns.splitlines()[0].split() == named,
       '--output-all: all that --help lists')


def test_selection():
    root = mixed()

    def numbers(*arguments):
        return ' '.join(row[0] for row in table(root, '-a', '-o', 'BLOCK',
                                                *arguments))

    at = BLOCK * 4096
    for argument, expected in (
            ('2', '2'), ('1-3', '1 2 3'), ('memory4', '4'),
            ('0x%x-0x%x' % (at, 2 * at - 1), '1'),
            ('0x%x-0x%x' % (at, 2 * at), '1 2'), ('0x%x' % (at + 5), '1'),
            ('pfn:%d' % BLOCK, '1'), ('pfn:%d+%d' % (BLOCK - 1, 2), '0 1'),
            ('pfn:%d,%d' % (BLOCK, 2 * BLOCK), '1')):
        ok(numbers(argument) == expected, 'the blocks of ' + argument,
           numbers(argument))
    ok(numbers('4', '0') == '0 4', 'several arguments')
    ok(numbers('-z', 'Movable') == '4', '--zone')
    ok(numbers('-N', '1') == '1 3 5', '--node')
    result = run('blocks', '-s', root.path, '2', '77')
    ok(result[0] == 64 and '77' in result[2] and 'empty' in result[1],
       'one of two is not there: status 64', repr(result))
    fails(run('blocks', '-s', root.path, '77'), 1, 'no memory block is there',
          'a block that is not there')
    for argument in ('x', '3-', '3-2', '0x', 'pfn:', 'pfn:5+0', 'pfn:9,3',
                     '1-2-3', '', '99999999999999999999'):
        result = run('blocks', '-s', root.path, argument)
        ok(result[0] in (1, 2) and not result[1] and result[2],
           'no block: "%s"' % argument, repr(result))


def agree(root, expected, text):
    """What is said of all blocks is said of each alone, and by why."""
    columns = ('-a', '-o', 'BLOCK,VERDICT,REASONS')
    rows = table(root, *columns)
    ok([row[1:] for row in rows] == expected, text, repr(rows))
    for part in [[row] for row in rows] + [rows[1:], rows[::2], rows[1::2]]:
        numbers = [row[0] for row in part]
        found = table(root, *columns, *numbers)
        ok(found == part, '%s: blocks %s' % (text, ' '.join(numbers)),
           repr(found))
    for number, verdict, _ in rows:
        said = run('why', '-s', root.path, number)[1].split('\n', 1)[0]
        ok(': ' + verdict in said, '%s: why %s' % (text, number), said)
    said = run('why', '-s', root.path, '-J', rows[-1][0], rows[0][0])[1]
    ok([one['verdict'] for one in json.loads(said)['answers']] ==
       [rows[-1][1], rows[0][1]], text + ': why of two', said)


def test_used_up():
    """What the host has once is in one block only, whatever is asked for."""
    root = host([block((OFFLINE, 3)), block((FILE, 1)), block((OFFLINE, 3)),
                 block((OFFLINE, 1))])
    root.write('proc/sys/kernel/osrelease', '6.12.5\n')
    root.write('proc/vmstat', 'balloon_inflate 4\nballoon_deflate 0\n'
               'balloon_migrate 0\n')
    agree(root, [['candidate', 'balloon-by-count:3'], ['candidate', ''],
                 ['blocked', 'owner-keeps:3'],
                 ['candidate', 'balloon-by-count:1']], 'a balloon')
    root.write('proc/iomem', '00000000-007fffff : System RAM (virtio_mem)\n'
               '00800000-01ffffff : System RAM\n')
    agree(root, [['candidate', 'owner-agrees:3'], ['candidate', ''],
                 ['blocked', 'owner-keeps:3'],
                 ['candidate', 'balloon-by-count:1']],
          'a balloon and virtio-mem')
    # Two nodes; each has 80 frames in the lists of its CPUs.
    root = host([block((FILE, 9), (0, 80)) for _ in range(4)] +
                [block((0, 81))])
    agree(root, 2 * [['candidate', 'cached:80']] +
          2 * [['doubtful', 'untyped:80']] + [['blocked', 'untyped-many:81']],
          'frames that CPUs cache')
    root = host([[0] * BLOCK for _ in range(4)])
    with open(os.path.join(root.path, 'proc/zoneinfo'),
              encoding='ascii') as file:
        text = file.read()
    root.write('proc/zoneinfo', text.replace('managed  8192', 'managed  %d' %
                                             (8192 - BLOCK)))
    raw = ['unknown', 'uninitialised:%d' % BLOCK]
    many = ['blocked', 'untyped-many:%d' % BLOCK]
    agree(root, [raw, raw, many, many], 'frames not initialised')


def test_less_known():
    root = mixed().remove('proc/kpageflags')
    status, out, err = run('blocks', '-s', root.path, '-n', '-r', '-o',
                           'BLOCK,VERDICT,REASONS,FREE')
    ok(status == 0 and 'sysfs' in err and err.count('\n') == 1,
       'without kpageflags: one line says so', err)
    ok(out == '0-3 unknown no-flags:0 \n4 unknown no-flags \n5 offline  \n' or
       '5 offline' in out and 'unknown no-flags' in out,
       'without kpageflags: unknown, but for the blocks that are offline', out)
    root = mixed()
    root.words(cli.array.array('Q', block((SLAB, 1)) + block() + [FREE]))
    result = run('blocks', '-s', root.path, '-n', '-r', '-o', 'BLOCK,VERDICT')
    ok(result[0] == 64 and 'cut off' in result[2] and
       result[1] == '0 blocked\n1 empty\n2-4 unknown\n5 offline\n',
       'a file that is cut off between words: status 64', repr(result))
    root.write('proc/kpageflags', b'1234567')
    fails(run('blocks', '-s', root.path), 1, 'cut off',
          'a file that ends within a word')
    root = cli.Sysroot().words(block((SLAB, 1)) + block())
    root.write('proc/iomem', IOMEM % (2 * BLOCK * 4096 - 1))
    result = run('blocks', '-s', root.path, '-n', '-r', '-o',
                 'BLOCK,VERDICT,REASONS')
    ok(result[0] == 0 and result[1].startswith('0 never no-hotplug,') and
       'no memory blocks' in result[2], 'a kernel without hotplug: never',
       repr(result))
    fails(run('blocks', '-s', cli.Sysroot().path), 1, 'kpageflags',
          'an empty folder')


def test_raw_file():
    root = mixed()
    file = os.path.join(root.path, 'proc/kpageflags')
    result = run('blocks', '-F', file, '-n', '-r', '-o', 'VERDICT,REASONS')
    ok(result[0] == 0 and result[1] == 'blocked slab:3,state-unknown,'
       'untyped:70\n' and 'copy of kpageflags' in result[2],
       'a copy of kpageflags: what blocks, and that the rest is not known',
       repr(result))
    fails(run('blocks', '-F', file, '-s', root.path), 2, 'name one',
          '--file and --sysroot')
    fails(run('blocks', '-F', file + 'x'), 1, 'No such file',
          'a file that is not there')


def test_guest():
    root = guest()
    for number in range(8):
        root.write('%s/memory%d/valid_zones' % (BLOCKS, number), 'DMA32\n')
    found = as_json(root)
    frames = found['frames']
    ok(frames['offline'] == 65536 and frames['never-onlined'] == 16384,
       'a guest with a balloon and half a block plugged: counts',
       json.dumps(frames))
    codes = {reason['code'] for one in found['blocks']
             for reason in one['reasons']}
    ok('owner-agrees' in codes, 'virtio-mem lets its block go')


def test_words():
    """The pages that a test can hold to account."""
    here = os.path.dirname(os.path.dirname(cli.HERE))
    with open(os.path.join(here, 'docs/live-host.md'),
              encoding='utf-8') as file:
        page = file.read()
    names = []
    for source in ('linux/class.c', 'linux/verdict.c'):
        with open(os.path.join(here, source), encoding='utf-8') as file:
            names += re.findall(r'\[LX_(?:CLASS|REASON|VERDICT)_\w+\]\s*= '
                                r'(?:{[^"]*)?"([a-z-]+)"', file.read())
    missing = [name for name in names if name not in page]
    ok(len(names) > 50 and not missing, 'docs/live-host.md has every word',
       '%d names; missing: %s' % (len(names), missing))
    root = mixed()
    said = run('blocks', '-s', root.path)[1] + run('blocks', '--help')[1]
    ok('removable' not in said.lower(), 'a word that promises too much')


def test_usage():
    root = mixed()
    for arguments, part in ((['--nonsense'], 'nonsense'),
                            (['-o', 'SIZE,TASTE'], 'TASTE'),
                            (['-S', 'TASTE'], 'TASTE'),
                            (['-z', 'Twilight'], 'Twilight'),
                            (['-N', 'x'], "'x'"), (['-J', '-r'], 'only one'),
                            (['--color', 'red'], 'red'),
                            (['--summary=often'], 'often')):
        fails(run('blocks', '-s', root.path, *arguments), 2, part,
              'wrong usage: ' + ' '.join(arguments))
    for mode in ('-a', '-J'):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([cli.COLDFRAME, 'blocks', '-s', root.path,
                                   mode], stdout=full, check=False,
                                  stderr=subprocess.PIPE, text=True)
        ok(done.returncode == 1 and done.stderr.count('\n') == 1 and
           'cannot write' in done.stderr, 'a full disk: ' + mode, done.stderr)
    ok(run('blocks', '--help')[0] == 0 and
       run('blocks', '--help')[1].startswith('usage:'), '--help')
    plain = run('blocks', '-s', root.path)[1]
    always = run('blocks', '-s', root.path, '--color=always')[1]
    ok('\033' not in plain and '\033[31m' in always and
       re.sub('\033\\[[0-9;]*m', '', always) == plain,
       'colours are an addition')
    text = run('blocks', '-s', root.path, '--prometheus')[1]
    ok('coldframe_blocks{verdict="blocked"} 1\n' in text and
       'coldframe_frames{class="slab"} 3\n' in text and
       all(line.startswith('#') or re.fullmatch(
           r'\w+(\{\w+="[\w-]+"\})? \d+', line)
           for line in text.splitlines()), '--prometheus', text)
    # What promtool asks for: HELP and TYPE once, before the samples of their
    # name and no other's; no sample twice; a newline at the end.
    order, seen = [], set()
    for line in text.splitlines():
        words = line.split(' ')
        name = words[2] if line[0] == '#' else re.match(r'\w+', line)[0]
        order.append((words[1] if line[0] == '#' else 'sample', name))
        seen.add(words[0] if line[0] != '#' else line)
    names = [name for _, name in order]
    ok(text.endswith('\n') and len(seen) == len(order) and
       names == sorted(names, key=names.index) and
       all([kind for kind, name in order if name == one][:3] ==
           ['HELP', 'TYPE', 'sample'] and one.startswith('coldframe_')
           for one in set(names)), '--prometheus: every metric is declared',
       text)


for test in (test_verdicts, test_lines, test_selection, test_used_up,
             test_less_known, test_raw_file, test_guest, test_words, test_usage):
    test()
cli.done()
