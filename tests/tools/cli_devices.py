# SPDX-License-Identifier: MIT
"""coldframe run with devices: every step on them and what it says, wrong
ones, and every trick a device knows, on both kinds."""

import json
import os
import re
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

import cli
from cli import COLDFRAME, ok, run_all

START = 'machine memory 32M span 256M block 16M cpus 2 nodes 2\n'
MEM = 'virtio-mem d blocks 4-7 retry 5ms\n'
BALLOON = 'virtio-balloon d retry 5ms\n'

ROOT = os.path.dirname(os.path.dirname(cli.HERE))
FOLDER = tempfile.TemporaryDirectory(prefix='coldframe-devices-')


def holds(text, name):
    report = run_all([text], '--verify=step')[0]
    failed = [step for step in report.get('steps', []) +
              report.get('checks', []) if not step['ok']]
    ok(report['status'] == 0 and not failed, name,
       '%s %s' % (failed, report.get('error')))
    return report


# What the reader says of wrong ones.

WRONG = [
    ('virtio-mem\n', "the virtio-mem's name is missing"),
    ('virtio-mem d\n', 'where is missing'),
    ('virtio-mem d block 4 chunk 0\n', 'only whole blocks will do'),
    ('virtio-mem d block 16\n', "the machine's memory ends at block 16"),
    ('virtio-mem d block 4 device-block 3M\n', 'not a power of two'),
    ('virtio-mem d block 4 device-block 4K\n', 'device-block: 4096 is less'),
    ('virtio-mem d block 4 device-block 32M\n', 'not a whole number of the '
                                               "device's blocks"),
    ('virtio-mem d block 4 node 2\n', 'the machine has 2 nodes, 0 to 1'),
    ('virtio-mem d block 4 over usb\n', 'over: "usb" is not one of'),
    ('virtio-mem d block 4 hinting\n', '"hinting" is not understood'),
    ('virtio-balloon d big-blocks\n', '"big-blocks" is not understood'),
    (MEM + 'virtio-mem d block 8\n', 'd is a virtio-mem already, since '
                                     'line 2'),
    (MEM + 'plug d\n', 'a size is missing'),
    (MEM + 'plug d 0\n', '0 is nothing'),
    (MEM + 'plug d block 4\n', 'd is a virtio-mem: how much is asked for'),
    ('owner o exposes plugged\nplug o 2M for 1s\n', 'o is an owner: there '
                                                    'is nothing to wait'),
    ('alloc a 1\nplug a 2M\n', 'a is a set, not a owner or virtio-mem'),
    ('plug e 2M\n', 'there is no owner or virtio-mem e'),
    (MEM + 'balloon d 2M\n', 'd is a virtio-mem, not a virtio-balloon'),
    (BALLOON + 'request d 2M\n', 'd is a virtio-balloon, not a virtio-mem'),
    (BALLOON + 'balloon d 5\n', '"5" is not a size'),
    (BALLOON + 'inflate d 2M\n', 'd is a virtio-balloon, not a owner'),
    ('owner o\nsettle o\n', 'o is a owner, not a device'),
    (MEM + 'lie d often\n', 'lie: "often" is not one of its words'),
    (MEM + 'lie d\n', 'lie: a word is missing'),
    (MEM + 'lie d nack after 0\n', 'after: 0 is less than 1'),
    (BALLOON + 'lie d nack\n', 'd is a virtio-balloon, and "nack" is a'),
    (BALLOON + 'lie d restless\n', 'and "restless" is a virtio-mem\'s'),
    (MEM + 'late d soon\n', 'late: "soon" is not understood'),
    (MEM + 'refusing d on\n', 'refusing: "on" is not understood'),
    (BALLOON + 'refusing d\n', 'not a virtio-mem'),
    (MEM + 'alloc a 1 owner d\n', 'd is a virtio-mem, not a owner'),
    (MEM + 'expect virtio-mem d ballooned 0\n', 'has no "ballooned"'),
    (MEM + 'expect virtio-mem d state happy\n', 'state: "happy"'),
    (MEM + 'expect virtio-mem d broken yes\n', 'broken: "yes"'),
    (MEM + 'expect virtio-balloon d broken no\n', 'd is a virtio-mem, not a '
                                                  'virtio-balloon'),
    (BALLOON + 'expect virtio-balloon d plugged 0\n', 'has no "plugged"'),
]


def wrong():
    reports = run_all([START + text for text, _ in WRONG])
    for (text, what), report in zip(WRONG, reports):
        lines = text.count('\n')
        ok(report['status'] == 2 and report.get('line') == lines + 1 and
           what in report.get('error', ''),
           'wrong: %r' % text.split('\n')[-2], str(report))


# What a device and its driver refuse when the steps run.

REFUSED = [
    ('virtio-mem d blocks 1-2\n', 'busy', "in d's region already"),
    ('virtio-mem d blocks 5-6 device-block 32M\n', 'invalid',
     'does not begin with a block of the device'),
    (MEM + 'plug d 65M\n', 'invalid', 'more than its region, or not whole'),
    (MEM + 'request d 3M\n', 'invalid', 'not whole blocks of the device'),
    (MEM + 'unplug d 2M\n', 'invalid', 'the host wants no more than 0'),
    (MEM + 'reload d\n', 'busy', "d's driver is there"),
    (MEM + 'unload d\nsettle d\n', 'gone', "d's driver is unloaded"),
    (MEM + 'unload d\nplug d 2M\n', 'gone', "d's driver is unloaded"),
    (MEM + 'plug d 2M\nunload d\n', 'busy', 'd has 2M plugged'),
    (MEM + 'refusing d\nplug d 2M\n', 'again', 'the device answers NACK'),
    (MEM + 'migrating\nplug d 2M for 20ms\n', 'again', 'answers BUSY'),
    (MEM + 'late d\nplug d 2M\n', 'again', 'd does not answer'),
    (MEM + 'ask d block 3\n', 'invalid', 'no whole blocks'),
    (MEM + 'ask d frames 64M+1M\n', 'invalid', 'no whole blocks'),
    (MEM + 'ask d block 4\n', 'invalid', 'no whole blocks'),
    (MEM + 'plug d 2M\nlate d\nask d block 4\n', 'again', 'd does not '
     'answer'),
    (MEM + 'plug d 2M\nlate d\nexpect fails again ask d block 4\n'
     'late d off\nask d block 4\nexpect virtio-mem d told mixed\n'
     'ask d block 9\n', 'invalid', 'no whole blocks'),
    (MEM + 'lie d restless\nplug d 32M\n', 'again', 'd wants something '
     'else all the time'),
    (MEM + 'lie d restless\nexpect fails again plug d 32M\nlie d honest\n'
     'request d 2M\nexpect virtio-mem d plugged == 2M\nplug d 65M\n',
     'invalid', 'more than its region'),
    (MEM + 'plug d 2M\nsubscriber s veto\nexpect fails busy unplug d 2M\n'
     'unload d\n', 'busy', 'd has nothing plugged, but 1 of'),
    (BALLOON + 'expect fails nomem balloon d 32M\nballoon d 1M\n'
     'expect virtio-balloon d ballooned == 1M state idle\n'
     'balloon d 256M no-wait\nballoon d 257M no-wait\n', 'invalid',
     'asks for no such balloon: it gave the machine 256M'),
    (BALLOON + 'virtio-mem e blocks 4-7\nballoon d 65M\n', 'invalid',
     'it gave the machine 64M'),
    (MEM + 'plug d 2M\nlie d answer-state\nask d block 4\n', 'refused',
     'd is broken: the state it told is none'),
    (MEM + 'subscriber s veto\nplug d 2M\n', 'busy', 's refused'),
    (BALLOON + 'poison d\n', 'busy', "d's driver is there: unload it"),
    (BALLOON + 'report d\n', 'invalid', 'd has no reporting'),
    (BALLOON + 'hint d\n', 'invalid', 'd has no hinting'),
    (BALLOON + 'balloon d 33M\n', 'nomem', 'there is no memory for'),
    (BALLOON + 'late d\nballoon d 1M\n', 'again', 'd does not answer'),
    (BALLOON + 'late d\nballoon d 1M no-wait\nwork d\nunload d\n', 'again',
     'd does not deflate'),
    (BALLOON + 'unload d\nstats d\n', 'gone', "d's driver is unloaded"),
]


def refused():
    reports = run_all([START + text for text, _, _ in REFUSED])
    for (text, error, why), report in zip(REFUSED, reports):
        last = (report.get('steps') or [{}])[-1]
        ok(report['status'] == 1 and last.get('error') == error and
           why in last.get('why', ''),
           '%s: %s' % (text.split('\n')[-2], error), str(last))


# Every trick: the step that meets it, and what the device is from then on.

LIES = {
    'honest': ('no', 'no'), 'nack': ('again no', None),
    'busy': ('again no', None), 'error': ('answer-error', None),
    'answer-type': ('answer', None), 'answer-state': ('no', None),
    'nothing-done': ('plugged', None), 'short': ('answer-short', 'no'),
    'long': ('ring-length', 'ring-length'), 'id-range': ('ring-id', 'ring-id'),
    'id-free': ('ring-id', 'ring-id'), 'index': ('ring-index', 'ring-index'),
    'index-back': ('ring-index', 'ring-index'),
    'twice': ('ring-index', 'ring-index'),
    'needs-reset': ('needs-reset', 'needs-reset'),
    'status': ('status', 'status'), 'silence': ('again no', 'again no'),
    'block-size': ('changed', None), 'addr': ('changed', None),
    'region': ('changed', None), 'requested': ('sizes', None),
    'usable': ('sizes', None), 'usable-shrinks': ('changed', None),
    'plugged': ('plugged', None), 'unaligned': ('sizes', None),
    'restless': ('again no', None),
    'generation': ('generation', 'generation'),
}
LIES_AT_START = {
    'no-version-1': 'version', 'features': 'features', 'no-queue': 'queue',
    'queue-deaf': 'queue', 'no-config': 'config', 'no-reset': 'reset',
    'id': 'id',
}


def lie(kind, trick, end):
    """Data lies in what the device gave before; it must stay as it was."""
    declared, more, most = {
        'virtio-mem': (MEM, 'request d 16M\n', 'request d 48M\n'),
        'virtio-balloon': (BALLOON, 'balloon d 4M\n', 'balloon d 8M\n'),
    }[kind]
    words = end.split()
    meets = '' if end == 'no' else 'expect fails again ' if len(
        words) == 2 else 'expect fails refused '
    return (START + declared + more + 'alloc data 8M order 4 movable\n' +
            'lie d %s\n' % trick + meets + most +
            'expect %s d broken %s violations == 0\n' % (kind, words[-1]) +
            'expect set data intact\nfree data\nverify\nunload d force\n'
            'verify\n')


def lie_at_start(kind, trick, why):
    declared = MEM if kind == 'virtio-mem' else BALLOON
    return (START + declared + 'unload d\nlie d %s\n' % trick +
            'expect fails refused reload d\n'
            'expect %s d broken %s state unloaded\nverify\n' % (kind, why))


def lies():
    cases = []
    for index, kind in enumerate(('virtio-mem', 'virtio-balloon')):
        cases += [(kind, trick, lie(kind, trick, ends[index]))
                  for trick, ends in LIES.items() if ends[index]]
        cases += [(kind, trick, lie_at_start(kind, trick, why))
                  for trick, why in LIES_AT_START.items()]
    reports = run_all([text for _, _, text in cases])
    for (kind, trick, _), report in zip(cases, reports):
        failed = [step for step in report.get('steps', []) +
                  report.get('checks', []) if not step['ok']]
        ok(report['status'] == 0, '%s: %s' % (kind, trick),
           '%s %s' % (failed, report.get('error')))
    with open(os.path.join(ROOT, 'docs', 'scenarios.md'),
              encoding='utf-8') as file:
        manual = file.read()
    listed = set(re.findall('`([^`]+)`', manual[
        manual.index('\nTricks: '):].split('\n\n')[0])) - {'reload'}
    with open(os.path.join(ROOT, 'scenario', 'words.c'),
              encoding='utf-8') as file:
        words = file.read().split('lies[LIE_COUNT] = {')[1].split('}')[0]
    known = set(re.findall('"([^"]+)"', words))
    ok(known == listed == {*LIES, *LIES_AT_START},
       'each trick is known, tried and in the manual',
       str((known ^ listed, known ^ {*LIES, *LIES_AT_START})))


# How it is reached, how it is asked, what is told of it.

def transports():
    for over in ('pci', 'msix', 'mmio'):
        for declared, step in ((MEM, 'request d 32M\nrequest d 0\n'),
                               (BALLOON, 'balloon d 4M\nballoon d 0\n')):
            holds(START + declared.replace('\n', ' over %s\n' % over) + step,
                  '%s over %s' % (declared.split()[0], over))


def machines():
    steps = (MEM + 'virtio-balloon b reporting hinting\nrequest d 40M\n'
             'alloc a 24M order 3 movable zone movable\nballoon b 16M\n'
             'report b\nhint b\nunplug d 16M\nexpect set a intact\n'
             'free a\nballoon b 0\nrequest d 0\n'
             'expect virtio-mem d resident == 0 violations == 0\n'
             'expect virtio-balloon b violations == 0\n')
    for key in ('', 'fenced', 'no-caches', 'small-pages', 'debug-pagealloc'):
        holds(START.replace('\n', ' %s\n' % key) + steps,
              'devices with %s' % (key or 'nothing'))


def report():
    found = holds(START + MEM + 'virtio-balloon b\nowner o movable\n'
                  'owner p stubborn\nplug d 32M\n'
                  'alloc a 4M order 9 owner o zone movable\n'
                  'alloc c 4M order 9 owner p zone movable\npin a[1]\n'
                  'expect fails busy request d 0\n'
                  'expect virtio-mem d owner p blocking == 6M\n'
                  'expect last blocking == 6M\nballoon b 1M\nstats b\n',
                  'several owners are in the way')
    device, balloon = found['virtio-mem'][0], found['virtio-balloon'][0]
    ok(device['plugged'] == device['host-plugged'] == 6 << 20 and
       device['state'] == 'backing-off' and device['requested'] == 0 and
       device['broken'] == 'no' and device['requests'] > 2,
       'sizes by both accounts', str(device))
    ok([(one['owner'], one['reason'], one['blocking'], one['parts'])
        for one in device['stoppers']] ==
       [('p', 'owner', 4 << 20, 2), ('o', 'pinned', 2 << 20, 1)] and
       all(one['frame'] % 512 == 0 for one in device['stoppers']),
       'each owner and reason in the way, how much, from which frame',
       str(device))
    why = [check['why'] for check in found['checks'] if 'refused' in check]
    ok(len(why) == 1 and 'of p' in why[0] and '2044K more of o: pinned' in
       why[0], 'and in words', str(why))
    ok(balloon['ballooned'] == balloon['host-ballooned'] == 1 << 20 and
       balloon['host-total'] == (32 << 20) + (6 << 20) - (1 << 20) and
       balloon['stats-sent'] == 2, "the balloon's", str(balloon))


def tables():
    path = os.path.join(FOLDER.name, 'tables.cf')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(START + MEM + 'virtio-balloon b\nplug d 32M\n'
                   'balloon b 1M\nprint devices\n')
    done = subprocess.run([COLDFRAME, 'run', '-q', path], check=False,
                          stdout=subprocess.PIPE, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    ok(done.returncode == 0 and len(rows) == 4 and
       rows[0][:3] == ['virtio-mem', 'state', 'requested'] and
       rows[1] == ['d', 'idle', '32M', '32M', '32M', '0', '2', '0', '0'] and
       rows[2][:2] == ['virtio-balloon', 'state'] and
       rows[3] == ['b', 'idle', '1M', '1M', '1M', '0', '0'],
       'print devices is a table of each kind', done.stdout)


def waiting():
    holds(START + 'virtio-mem d blocks 4-7 retry 10ms\nmigrating\n'
          'request d 32M no-wait\nwait 60ms\n'
          'expect virtio-mem d busies >= 2 plugged == 0\nmigrating off\n'
          'wait 2s\nexpect virtio-mem d plugged == 32M\n',
          'drivers work while a scenario waits')
    holds('machine memory 256M\nvirtio-balloon b hinting retry 10ms\n'
          'migrating\nexpect free == 256M\nsettle b\n'
          'expect virtio-balloon b hint-rounds == 1 hinted > 200M\n'
          'expect free < 32M\nmigrating\nwork b\n'
          'expect virtio-balloon b hint-rounds == 1\nmigrating off\n'
          'migrating off\nsettle b\nexpect free == 256M\nmigrating\n'
          'settle b\nexpect virtio-balloon b hint-rounds == 2\n'
          'unload b force\nexpect free == 256M\nreload b\nsettle b\n'
          'expect virtio-balloon b hint-rounds == 0\nexpect free == 256M\n'
          'migrating off\nsettle b\n',
          'hints are asked for when a migration begins, and once')
    holds(START + 'virtio-balloon b reporting\nwait 2100ms\n'
          'expect virtio-balloon b reported == 32M\n',
          'free memory is reported while it waits')
    holds(START + 'virtio-mem d blocks 4-7\nrequest d 64M no-wait\n'
          'work d\nexpect virtio-mem d plugged < 64M\nwork d times 99\n'
          'expect virtio-mem d plugged == 64M state idle\n',
          'work is done piece by piece')
    # 65536 sub-blocks that stay, looked at with each retry.
    holds('machine memory 256M span 256G\nowner o balloon\n'
          'virtio-mem d blocks 1024-2047 retry 1ms zone normal\n'
          'plug d 128G\ninflate o 128G\n'
          'expect fails busy request d 0 for 500ms\ndeflate o 128G\n'
          'request d 0 for 20s\nexpect virtio-mem d plugged == 0\n',
          'retries in vain do not add up to going on for ever')


def picture():
    script = os.path.join(ROOT, 'scripts', 'resident')
    done = subprocess.run([script, COLDFRAME], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    drawn = ElementTree.fromstring(done.stdout or '<svg/>')
    paths = {path.get('class'): path.get('d') for path in drawn.iter(
        '{http://www.w3.org/2000/svg}path')}
    heights = [float(part.split(',')[1]) for part in
               paths.get('rss', '').split()]
    # Up with what is used, down with what is given back: 310 is nothing.
    ok(done.returncode == 0 and len(heights) > 8 and min(heights) < 160 and
       heights[0] > 290 and heights[-1] > 290,
       'resident memory over time as a picture', done.stderr + str(heights))
    bad = os.path.join(FOLDER.name, 'bad.cf')
    with open(bad, 'w', encoding='utf-8') as file:
        file.write(START + 'expect free == 0\n')
    done = subprocess.run([script, COLDFRAME, bad], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ok(done.returncode == 1 and not done.stdout,
       'but of none that does not hold')


if __name__ == '__main__':
    wrong()
    refused()
    lies()
    transports()
    machines()
    report()
    tables()
    waiting()
    picture()
    FOLDER.cleanup()
    sys.stdout.flush()
    cli.done()
