# SPDX-License-Identifier: MIT
"""coldframe run: its options, its answers, what it says of wrong scenarios;
and every shipped scenario, whole and with the step it is about taken out."""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import cli
from cli import COLDFRAME, fails, ok, run

ROOT = os.path.dirname(os.path.dirname(cli.HERE))
SCENARIOS = sorted(glob.glob(os.path.join(ROOT, 'scenarios', '*.cf')))
POINT = '# the point'

FOLDER = tempfile.TemporaryDirectory(prefix='coldframe-run-')


def write(text, name='test.cf'):
    path = os.path.join(FOLDER.name, name)
    with open(path, 'wb') as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def run_text(text, *options):
    """Run a scenario: (status, stdout, stderr)."""
    return run('run', *options, write(text))


def run_json(text, *options):
    """(status, the object, stderr)"""
    status, out, err = run_text(text, '--json', *options)
    try:
        return status, json.loads(out), err
    except ValueError:
        return status, {}, err + out


def notes(result):
    return 'status %s\n%s\n%s' % result


# What every scenario in the folder must do.

def shipped():
    with open(os.path.join(ROOT, 'docs', 'scenarios.md'),
              encoding='utf-8') as file:
        listed = re.findall(r'^\| `([a-z-]+\.cf)` \|', file.read(), re.M)
    names = [os.path.basename(path) for path in SCENARIOS]
    ok(sorted(listed) == names and len(names) >= 30,
       'the manual lists every scenario', str(set(listed) ^ set(names)))
    for path in SCENARIOS:
        name = os.path.basename(path)
        status, out, err = run('run', '--json', '--verify=step', path)
        try:
            report = json.loads(out)
        except ValueError:
            report = {}
        failed = [step for step in report.get('steps', []) +
                  report.get('checks', []) if not step['ok']]
        ok(status == 0 and report.get('status') == 0 and not failed and
           out.count('\n') == 1, name + ' holds',
           'status %d\n%s\n%s' % (status, err, failed))
        pointless(path, name)


def pointless(path, name):
    with open(path, encoding='utf-8') as file:
        lines = file.readlines()
    points = [at for at, line in enumerate(lines)
              if line.rstrip().endswith(POINT)]
    ok(points, name + ' marks the step it is about')
    for at in points:
        # A comment in its place: the lines keep their numbers.
        text = ''.join(lines[:at] + ['#\n'] + lines[at + 1:])
        result = run_text(text, '--quiet')
        ok(result[0] == 1, '%s fails without line %d' % (name, at + 1),
           notes(result))


def variants():
    """The same on other machines: no caches, full fences, small pages, and
    frames that are protected while they are not in use."""
    for name in ('demo', 'load', 'partly-plugged', 'retirement'):
        with open(os.path.join(ROOT, 'scenarios', name + '.cf'),
                  encoding='utf-8') as file:
            text = file.read()
        for key in ('fenced', 'no-caches', 'small-pages', 'debug-pagealloc'):
            text_there = re.sub('^(machine .*)$', r'\1 ' + key, text,
                                flags=re.M)
            result = run_text(text_there, '--quiet')
            ok(result[0] == 0, '%s holds with %s' % (name, key),
               notes(result))


# Wrong scenarios: what is said, by line.

START = 'machine memory 16M span 64M block 16M cpus 2 nodes 2\n'
SETS = START + 'owner own movable\nalloc a 4\nremember r a[0]\nmark m\n'

WRONG = [
    ('', 0, 'there is no step in it'),
    ('# nothing\n\n', 0, 'there is no step in it'),
    ('alloc a 1\n', 1, 'the first step must be "machine memory SIZE"'),
    ('expect free == 0\n', 1, 'the first step must be "machine memory SIZE"'),
    ('machine\n', 1, 'machine needs "memory"'),
    ('machine memory 16\n', 1, '"16" is not a size'),
    ('machine memory 5000K block 4M\n', 1, 'whole blocks of 4 MiB'),
    ('machine memory 16M block 3M\n', 1, 'block: 3145728 is less than'),
    ('machine memory 24M block 12M\n', 1, 'block: not a power of two'),
    ('machine memory 64M span 16M block 16M\n', 1, 'larger than the span'),
    ('machine memory 16M span 65T block 16M\n', 1, 'span: 71468255805440 is '
                                                   'more than'),
    ('machine memory 16M cpus 0\n', 1, 'cpus: 0 is less than 1'),
    ('machine memory 16M memory 16M\n', 1, 'memory is there twice'),
    ('machine memory 99999999999T\n', 1, 'is not a size'),
    (START + START, 2, 'there is a machine already'),
    (START + 'dance\n', 2, 'there is no step "dance"'),
    (START + '\n# x\n  frobnicate 3 # y\n', 4, 'there is no step "frobnicate"'),
    (START + 'offline begin x block 1\n', 2, 'there is no set "begin"'),
    (START + 'add block 9\n', 2, "the machine's memory ends at block 4"),
    (START + 'add block 4\n', 2, "the machine's memory ends at block 4"),
    (START + 'add blocks 3-2\n', 2, '"3-2" is not a block, or A-B'),
    (START + 'add block\n', 2, '"" is not a block'),
    (START + 'add frames 16M+1M\n', 2, 'there is no set "frames"'),
    (START + 'add block 1 chunk 2\n', 2, 'only whole blocks will do'),
    (START + 'add block 1 node 2\n', 2, 'the machine has 2 nodes, 0 to 1'),
    (START + 'add block 1 metadata paper\n', 2, 'metadata: "paper" is not '
                                                'one of its words'),
    (START + 'add block 1 owner nobody\n', 2, 'there is no owner nobody'),
    (START + 'online block 1 zone far\n', 2, 'zone: "far"'),
    (START + 'retire block 1 chunk 8\n', 2, 'a block has 8 chunks'),
    (START + 'retire frame 64M\n', 2, "the machine's memory ends"),
    (START + 'retire frames 60M+8M\n', 2, "the machine's memory ends"),
    (START + 'retire frames 60M\n', 2, 'is not FIRST+LENGTH'),
    (START + 'retire frame 1K\n', 2, "is not a frame's number or address"),
    (START + 'alloc a 0\n', 2, '0 is nothing'),
    (START + 'alloc a\n', 2, 'how much is missing'),
    (START + 'alloc a few\n', 2, '"few" is neither a number of runs nor'),
    (START + 'alloc a 6K\n', 2, '6K is not a whole number of frames'),
    (START + 'alloc 4\n', 2, '"4" cannot be a name'),
    (START + 'alloc blocks 4\n', 2, '"blocks" cannot be a name'),
    (START + 'alloc %s 4\n' % ('a' * 32), 2, 'is too long'),
    (START + 'alloc a 1 order 19\n', 2, 'order: 19 is more than 18'),
    (START + 'alloc a 1 type cheese\n', 2, 'type: "cheese"'),
    (START + 'alloc a 1 passes 3\n', 2, 'alloc: "passes" is not understood'),
    (START + 'alloc a 1 order\n', 2, 'order: a number is missing'),
    (SETS + 'alloc a 1\n', 6, 'a is a set already, since line 3'),
    (SETS + 'alloc m 1\n', 6, 'm is a mark already, since line 5'),
    (SETS + 'free b\n', 6, 'there is no set "b"'),
    (SETS + 'free own\n', 6, 'own, a owner, will not do here'),
    (SETS + 'free r\n', 6, 'r, a remembered frame, will not do here'),
    (SETS + 'free a[x]\n', 6, '"a[x]" is not a set'),
    (SETS + 'free a[1]+2\n', 6, 'will not do here'),
    (SETS + 'get a times 0\n', 6, 'times: 0 is less than 1'),
    (SETS + 'split a\n', 6, 'split needs "order"'),
    (SETS + 'give a owner a\n', 6, 'a is a set, not a owner'),
    (SETS + 'veto own\n', 6, 'own is a owner, not a subscriber'),
    (SETS + 'remember f a\n', 6, 'will not do here'),
    (SETS + 'remember f frames 0f+2f\n', 6, 'one frame is needed, not 2'),
    (SETS + 'unregister own gently\n', 6, 'unregister: "gently"'),
    (SETS + 'plug own\n', 6, 'a size is missing'),
    (SETS + 'offline-alloc o 4\n', 6, 'offline-alloc needs "owner"'),
    (START + 'owner x exposes everything\n', 2, 'exposes: "everything"'),
    (START + 'wait 5\n', 2, '"5" is not a time'),
    (START + 'wait 5h\n', 2, '"5h" is not a time'),
    (START + 'wait 4000s\n', 2, '4000s is more than an hour'),
    (START + 'load 2 workers\n', 2, '2 workers: the machine has 2 CPUs'),
    (START + 'load 1\n', 2, 'write "load 2 workers"'),
    (START + 'load stop\n', 2, 'no load is running'),
    (START + 'load 1 worker\nload 1 worker\n', 3, 'a load is running'),
    (START + 'on cpu 2 drain\n', 2, 'the machine has 2 CPUs, 0 to 1'),
    (START + 'on fire drain\n', 2, 'write "on cpu N STEP"'),
    (START + 'load 1 worker\non cpu 1 drain\n', 3, 'cpu 1 runs the load'),
    (START + 'print money\n', 2, 'print: "money" is not one of its words'),
    (START + 'expect\n', 2, 'what is expected is missing'),
    (START + 'expect happiness\n', 2, 'the machine has no "happiness"'),
    (START + 'expect free\n', 2, 'free: a size is missing'),
    (START + 'expect free == 12\n', 2, 'free: "12" is not a size'),
    (START + 'expect free == 12M within 5\n', 2, 'is not a percentage'),
    (START + 'expect free fell 2M\n', 2, 'since when? There is no mark yet'),
    (SETS + 'expect free fell 2M since a\n', 6, 'a is a set, not a mark'),
    (SETS + 'expect block 0 free fell 2M\n', 6, "only the machine's own"),
    (START + 'expect block 7 free 0\n', 2, "ends at block 4"),
    (START + 'expect block 1 state flying\n', 2, 'state: "flying"'),
    (START + 'expect block 1 state > offline\n', 2, 'nothing to compare'),
    (START + 'expect block 1 intact\n', 2, 'a block has no "intact"'),
    (START + 'expect zone normal node 3 free 0\n', 2, 'the machine has 2'),
    (START + 'expect zone normal free-runs 19 == 0\n', 2, 'order 19 is more'),
    (SETS + 'expect set own intact\n', 6, 'own, a owner, will not do'),
    (SETS + 'expect last who a\n', 6, '"a" is neither an owner nor a '
                                      'subscriber'),
    (SETS + 'expect free 1M ' + 'free 1M ' * 8 + '\n', 6,
     'more than 8 conditions'),
    (SETS + 'expect fails machine memory 4M\n', 6, 'machine is not a step '
                                                   'that fails'),
    (SETS + 'expect fails\n', 6, 'there is no step ""'),
    (SETS + 'expect caught say hello\n', 6, 'say is not a step that fails'),
    (START + ''.join('mark m%d\n' % i for i in range(257)), 258,
     'more than 256 names'),
    (b'machine memory 16M block 16M\n\0\xff\x1b[31m\n', 2,
     'there is no step'),
]


def wrong():
    for text, line, what in WRONG:
        path = write(text)
        status, out, err = run('run', path)
        where = '%s:%s ' % (path, '%d:' % line if line else '')
        shown = text if isinstance(text, bytes) else text.split('\n')[
            line - 1 if line else 0]
        ok(status == 2 and not out and err.startswith(where) and
           what in err and err.count('\n') == 1 and '\x1b' not in err,
           'wrong: %r' % shown[:50], notes((status, out, err)))
    status, report, err = run_json(START + 'dance\n')
    ok(status == 2 and report.get('status') == 2 and report.get('line') == 2
       and 'dance' in report.get('error', ''),
       'with --json the object says what is wrong', str(report) + err)


def nothing_half_done():
    folder = os.path.join(FOLDER.name, 'half')
    status, _, _ = run_text(START + 'export %s\ndance\n' % folder)
    ok(status == 2 and not os.path.exists(folder),
       'nothing of a wrong scenario runs')


# Options and files.

def options():
    good = write(START, 'good.cf')
    bad = write(START + 'expect free == 0\n', 'bad.cf')
    worse = write('dance\n', 'worse.cf')
    fails(run('run'), 2, 'which scenario?', 'a file is needed')
    fails(run('run', '--fast', good), 2, 'unrecognized option',
          'an unknown option')
    fails(run('run', '--verify=often', good), 2, '--verify is step, end or '
          'off', 'a wrong --verify')
    fails(run('run', '--seed=-1', good), 2, '--seed is a number',
          'a wrong --seed')
    fails(run('run', '--color=red', good), 2, '--color is auto',
          'a wrong --color')
    fails(run('run', '--export', 'x', good, good), 2, 'one scenario',
          '--export takes one file')
    fails(run('run', os.path.join(FOLDER.name, 'none.cf')), 2,
          'none.cf: No such file', 'a missing file')
    fails(run('run', FOLDER.name), 2, 'Is a directory', 'a folder')
    result = run('run', '--help')
    ok(result[0] == 0 and 'usage: coldframe run' in result[1], '--help')
    for names, status in [((good, good), 0), ((bad, good), 1),
                          ((good, worse, bad), 2)]:
        result = run('run', '--json', *names)
        lines = [json.loads(line) for line in result[1].splitlines()]
        ok(result[0] == status and len(lines) == len(names) and
           max(line['status'] for line in lines) == status,
           '%d files: an object each, and the highest status' % len(names),
           notes(result))
    for when in ('step', 'end', 'off'):
        result = run('run', '--verify', when, good)
        ok(result[0] == 0, '--verify=' + when, notes(result))
    result = run('run', '--color=always', bad)
    ok('\x1b[31m' in result[1], '--color=always', notes(result))
    result = run('run', bad)
    ok('\x1b' not in result[1] and 'FAILED' in result[1],
       'no color where there is no terminal', notes(result))
    result = subprocess.run([COLDFRAME, 'run', '-'], input=START.encode(),
                            capture_output=True, check=False)
    ok(result.returncode == 0 and result.stdout.startswith(b'-\n'),
       '"-" is the standard input')
    with open('/dev/full', 'w', encoding='ascii') as full:
        result = subprocess.run([COLDFRAME, 'run', good], stdout=full,
                                stderr=subprocess.PIPE, check=False)
    ok(result.returncode == 1 and result.stderr,
       'output that does not arrive is a failure')


def quiet():
    text = START + 'alloc a 1\nsay hello\nexpect free == 0\nexpect kernel 4K\n'
    result = run_text(text, '--quiet')
    ok(result[0] == 1 and 'hello' in result[1] and 'FAILED' in result[1] and
       'alloc' not in result[1] and 'kernel' not in result[1],
       '--quiet prints what fails and what say says', notes(result))
    result = run_text(START + 'alloc a 1\n', '-q')
    ok(result == (0, '', ''), '--quiet says nothing when all is well',
       notes(result))


def seeds():
    text = START + 'alloc a 1M order 2\nexport %s\n'
    report = run_json(text % os.path.join(FOLDER.name, 'seed'),
                      '--seed=0x10')[1]
    ok(report.get('seed') == 16, '--seed stands in the report')


# Answers.

def answers():
    status, report, err = run_json(
        START + 'alloc a 1\nexpect kernel == 8K\nexpect kernel == 4K\n')
    checks = [check['ok'] for check in report.get('checks', [])]
    ok(status == 1 and checks == [False, True, True],
       'a scenario goes on after an expectation that does not hold',
       str(report) + err)
    ok(report['checks'][0]['why'] == 'kernel is 4K, not == 8K',
       'what was found is said beside what was expected')
    status, report, _ = run_json(START + 'free-nothing\n'.replace(
        'free-nothing', 'alloc a 1\nfree a\nfree a\nsay more'))
    ok(status == 1 and len(report['steps']) == 4 and
       report['steps'][-1]['error'] == 'gone',
       'a step that fails unasked ends it', str(report))
    status, report, _ = run_json(
        START + 'owner o movable\nadd block 1\nonline block 1 zone movable\n'
        'alloc a 4M order 9 owner o zone movable\npin a[1]\n'
        'expect fails busy offline block 1\n')
    refused = report['checks'][0].get('refused', {})
    ok(status == 0 and refused.get('reason') == 'pinned' and
       refused.get('owner') == 'o' and refused.get('type') == 'folio' and
       refused.get('order') == 9 and refused.get('pins') == 1 and
       refused.get('blocking') == {'pinned': 2 << 20} and
       refused.get('frame', 0) % 512 == 0,
       'a refusal names frame, type, owner and reason', str(report))
    result = run_text(START + 'alloc a 2\nexpect set a intact\n'
                      'scribble a[1]\nexpect set a intact\n')
    ok(result[0] == 1 and 'of a[1] changed' in result[1],
       'spoilt contents are found when asked for', notes(result))
    result = run_text(START + 'alloc a 2\nscribble a[0]\nfree a\n')
    ok(result[0] == 1 and 'contents of a[0] changed' in result[1],
       'and when they are freed', notes(result))
    result = run_text(START + 'alloc a 1\nexpect caught free a\n')
    ok(result[0] == 1 and 'nothing stopped it' in result[1],
       '"expect caught" wants to see a check', notes(result))
    result = run_text(START + 'alloc a 1\nexpect fails nomem get a\n')
    ok(result[0] == 1 and 'it was to fail, and did not' in result[1],
       '"expect fails" wants to see a failure', notes(result))
    result = run_text(START + 'alloc a 1\nexpect fails nomem free a[7]\n')
    ok(result[0] == 1 and 'it failed as "gone", not as "nomem"' in result[1],
       'and the one that was named', notes(result))


def report():
    status, found, _ = run_json(
        START + 'owner o exposes plugged\nadd block 1 owner o\nplug o 4M\n'
        'online block 1 zone movable\nalloc a 1M\nload 1 worker ops 5000\n'
        'walker w\nscanner s\nsubscriber u\noffline start op block 1\n'
        'load stop\n')
    keys = {'scenario', 'status', 'seed', 'steps', 'checks', 'machine',
            'counters', 'zones', 'blocks', 'owners', 'sets', 'operations',
            'subscribers', 'scanners', 'walkers', 'virtio-mem',
            'virtio-balloon', 'pools', 'guests', 'elastics', 'pagemap',
            'load'}
    ok(status == 0 and set(found) == keys, 'the report has all its parts',
       str(set(found) ^ keys))
    counters = found['counters']
    ok(counters['present'] == counters['managed'] + counters['offline'] +
       counters['retired'] + counters['reserved'] and
       counters['managed'] == counters['free'] + counters['cached'] +
       sum(counters[name] for name in ('kernel', 'folio', 'device',
                                       'pgtable', 'slab')) and
       counters['rss'] > 1 << 20, 'its counters add up', str(counters))
    block = found['blocks'][-1]
    ok(block['block'] == 1 and block['state'] == 'going-offline' and
       block['owner'] == 'o' and block['never-onlined'] == 12 << 20,
       'its blocks say what they are', str(block))
    ok(found['load']['ops'] >= 5000 and found['load']['errors'] == 0,
       'so does its load', str(found['load']))


# The sysroot.

def export():
    folder = os.path.join(FOLDER.name, 'sysroot')
    text = (START + 'owner vm0 exposes plugged\nadd block 2 owner vm0\n'
            'plug vm0 block 2 chunks 0-2\nonline block 2 zone movable\n'
            'alloc t 8 type pgtable\nalloc s 1 order 2 type slab\n'
            'offline-alloc gap 1M owner vm0\nadd block 3\n'
            'watermarks min 4K low 8K high 16K\n')
    result = run_text(text, '--export', folder, '--quiet')
    ok(result[0] == 0, '--export', notes(result))
    found = run('types', '--sysroot', folder)
    rows = {row.split()[0]: int(row.split()[1])
            for row in found[1].splitlines() if row.startswith('0x')}
    ok(found[0] == 0 and rows.get('0x0000000000800010') == 5 * 512 and
       rows.get('0x0000000000800000') == 256 and
       rows.get('0x0000000004000000') == 8 and
       rows.get('0x0000000000000080') == 4,
       'coldframe types reads it', notes(found))
    found = run('map', '--sysroot', folder)
    ok(found[0] == 0 and found[1], 'so does coldframe map', notes(found))

    def read(name):
        with open(os.path.join(folder, name), encoding='ascii') as file:
            return file.read()
    memory = 'sys/devices/system/memory/'
    ok(read(memory + 'block_size_bytes') == '1000000\n' and
       read(memory + 'auto_online_blocks') == 'offline\n' and
       read(memory + 'memory2/state') == 'online\n' and
       read(memory + 'memory2/online') == '1\n' and
       read(memory + 'memory2/phys_index') == '00000002\n' and
       read(memory + 'memory2/phys_device') == '0\n' and
       read(memory + 'memory2/removable') == '1\n' and
       read(memory + 'memory2/valid_zones') == 'Movable\n' and
       read(memory + 'memory3/state') == 'offline\n' and
       read(memory + 'memory3/valid_zones') == 'Normal Movable\n' and
       not os.path.exists(os.path.join(folder, memory, 'memory1')),
       'its blocks are as sysfs has them')
    link = os.path.join(folder, memory, 'memory2/node0')
    ok(os.readlink(link) == '../../node/node0' and
       os.path.isdir(os.path.join(link, 'memory2')),
       'with links to their nodes and back')
    ok(read('proc/iomem') ==
       '00000000-00ffffff : System RAM\n'
       '02000000-02ffffff : System RAM (vm0)\n'
       '03000000-03ffffff : System RAM\n', 'proc/iomem', read('proc/iomem'))
    ok('MemTotal:          21504 kB\n' in read('proc/meminfo') and
       'PageTables:           32 kB\n' in read('proc/meminfo'),
       'proc/meminfo', read('proc/meminfo'))
    ok('nr_page_table_pages 8\n' in read('proc/vmstat'), 'proc/vmstat')
    ok('Node 0, zone   Normal\n  pages free     3828\n' in
       read('proc/zoneinfo') and '        high     4\n' in
       read('proc/zoneinfo') and '  start_pfn:           8192\n' in
       read('proc/zoneinfo'), 'proc/zoneinfo', read('proc/zoneinfo'))
    result = run_text(START, '--export', '/proc/nowhere')
    ok(result[0] == 1 and '/proc/nowhere' in result[1],
       'a folder that cannot be made is a failure', notes(result))


if __name__ == '__main__':
    shipped()
    variants()
    wrong()
    nothing_half_done()
    options()
    quiet()
    seeds()
    answers()
    report()
    export()
    FOLDER.cleanup()
    sys.stdout.flush()
    cli.done()
