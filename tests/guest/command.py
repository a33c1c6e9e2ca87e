#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coldframe run --machine=qemu as its user sees it: the same text as from the
embedded machine, clear words for what cannot be, and no QEMU left behind,
whatever ends it. Method: run it, take QEMU away, kill either.

usage: tests/guest/command.py COMMAND
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'build'))

import run                                          # noqa: E402
from tap import done, ok, skip                      # noqa: E402

COMMAND = sys.argv[1]
QEMU = ['--machine=qemu']
STORY = '''# Text, refusals, tables.
machine memory 128M span 1G
owner files movable
add block 1
online block 1 zone movable
alloc data 8M order 9 owner files zone movable
pin data[2]
expect fails busy offline block 1
say half of it
unpin data[2]
offline block 1
print sets
print
expect set data intact moved == 4
expect free == 1M
'''
SLOW = 'machine memory 128M\nsay now\nwait 60s\n'


def play(text, *options, env=None):
    done_ = subprocess.run([COMMAND, 'run', *options, '-'], input=text,
                           check=False, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=200,
                           env=env)
    return done_.returncode, done_.stdout, done_.stderr


def refused(what, options, said, text=STORY, env=None, status=2):
    """It ends with that status, and says that."""
    got, out, err = play(text, *options, env=env)
    ok(got == status and said in err, what, '%d\n%s\n%s' % (got, out, err))


def without_numbers(text):
    """Resident memory is each machine's own; so is how lines are folded."""
    text = re.sub(r'rss [\d.]+M', 'rss', text)
    return re.sub(r',\s+', ', ', text)


def check_text():
    for options in ([], ['--verify=step'], ['-q'], ['--verify=off']):
        here = play(STORY, *options)
        there = play(STORY, *QEMU, *options)
        ok(here[0] == there[0] == 1 and
           without_numbers(here[1]) == without_numbers(there[1]),
           'the same text, options %s' % ' '.join(options),
           '\n'.join(here[1:] + there[1:]))
    got, out, err = play(STORY.replace('== 1M', '>= 1M'), *QEMU, '--json')
    report = json.loads(out)
    ok(got == 0 and report['counters']['rss'] > 0 and not err,
       'JSON, and nothing beside it', out + err)
    here = play('machine memory 128M\nfrob\n')
    there = play('machine memory 128M\nfrob\n', *QEMU)
    ok(here == there and here[0] == 2, 'a wrong scenario is wrong alike',
       '%s\n%s' % (here, there))


def check_refusals():
    refused('a machine there is not', ['--machine=xen'], 'not \'xen\'')
    refused('a processor there is not', QEMU + ['--cpu-kind=vax'],
            'not \'vax\'')
    refused('a processor of the embedded machine', ['--cpu-kind=aarch64'],
            '--machine=qemu')
    refused('patience of none', QEMU + ['--patience=0'], '1 to 86400')
    refused('patience of the embedded machine', ['--patience=5'],
            '--machine=qemu')
    refused('an export', QEMU + ['--export=/tmp/x'], 'embedded machine')
    refused('a step of the embedded machine alone', QEMU,
            "-:2: 'export' is for the embedded machine",
            'machine memory 128M\nexport "/tmp/x"\n'.replace('"', ''))
    nowhere = dict(os.environ, PATH='/nowhere')
    for kind, package in (('x86-64', 'qemu-system-x86'),
                          ('aarch64', 'qemu-system-arm')):
        refused('no QEMU for ' + kind, QEMU + ['--cpu-kind=' + kind],
                'apt-get install ' + package, env=nowhere)


def with_qemu(lines):
    """A QEMU of those lines, first in the path."""
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, 'qemu-system-x86_64')
    with open(path, 'w', encoding='utf-8') as file:
        file.write('#!/bin/sh\n' + lines)
    os.chmod(path, 0o755)
    return dict(os.environ, PATH=folder + ':' + os.environ['PATH'])


def check_broken():
    refused('a QEMU that fails', QEMU, 'does not start: QEMU: no such board',
            env=with_qemu('echo no such board >&2; exit 1\n'), status=1)
    refused('a QEMU that ends', QEMU, 'QEMU ended with status 3',
            env=with_qemu('exit 3\n'), status=1)
    refused('a QEMU that is killed', QEMU, 'QEMU was ended: Killed',
            env=with_qemu('kill -9 $$\n'), status=1)
    refused('a monitor that talks nonsense', QEMU, 'does not start',
            env=with_qemu('echo hello >&4; exit 0\n'), status=1)
    got, out, _ = play(SLOW, *QEMU, '--patience=2')
    ok(got == 1 and 'did not answer within 2 s' in out and 'wait 60s' in out,
       'a guest that does not answer', out)


MANY_NODES = '''machine memory 128M span 4G nodes 64
virtio-mem far blocks 8-11 node 63
plug far 256M
expect virtio-mem far plugged == 256M host-plugged == 256M node 63
unplug far 256M
'''
# 512 chunks: many more than there is room for at once.
HINTS = '''machine memory 1G
virtio-balloon b hinting retry 5ms
hint b
expect virtio-balloon b hint-rounds == 1 hinted > 900M
expect free == 1G
hint b
expect virtio-balloon b hint-rounds == 2 hinted > 900M
''' + 8 * '''migrating
migrating off
''' + '''hint b
expect virtio-balloon b hint-rounds == 3 hinted > 900M
'''
# The host wants something else before it has what it wanted.
MIND = '''machine memory 128M span 4G
virtio-mem d blocks 8-15
request d 1G no-wait
work d times 3
request d 128M
expect virtio-mem d plugged == 128M host-plugged == 128M requested == 128M
alloc data 64M order 9 movable zone movable
request d 512M no-wait
work d times 2
request d 0 no-wait
work d times 2
request d 64M
expect set data intact
expect virtio-mem d plugged == 64M host-plugged == 64M
free data
request d 0
expect virtio-mem d plugged == 0 blocks == 0 resident == 0
'''
# A migration that goes on is there already; hints come with its start.
TWICE = '''machine memory 256M span 4G
virtio-mem d blocks 8-15 retry 5ms
virtio-balloon b hinting retry 5ms
migrating
migrating
expect fails port hint b
expect fails again plug d 128M
migrating off
migrating off
request d 128M for 20s
hint b
expect virtio-balloon b hint-rounds >= 1 hinted > 200M
'''
WISHES = '''machine memory 128M span 4G
virtio-balloon b
balloon b 4G no-wait
expect fails invalid balloon b 5G no-wait
balloon b 0
'''


# A migration asks for hints when it begins, whoever looks when.
COPIED = '''machine memory 256M
virtio-balloon b hinting deflate-on-oom retry 5ms
balloon b 32M
migrating
settle b
expect free < 32M
migrating
work b
balloon b 64M
alloc data 128M order 4 movable
migrating off
settle b
hint b
free data
drain
migrating
unload b
reload b
settle b
migrating off
'''
# What is kept for hints is had again when it is needed, however late QEMU is.
NEEDED = '''machine memory 256M
virtio-balloon b hinting
''' + ''.join('''migrating
work b times 25
alloc data%d 240M order 0
free data%d
migrating off
settle b
''' % (i, i) for i in range(4))
SAME = ('hint-rounds', 'hinted', 'ballooned', 'host-ballooned', 'state',
        'low-deflated', 'violations')


def check_devices():
    for what, text in (('64 nodes', MANY_NODES), ('hints', HINTS),
                       ('changes of mind', MIND),
                       ('a migration that is there already', TWICE),
                       ('a balloon larger than the machine', WISHES),
                       ('hints while it migrates', COPIED),
                       ('hints that give way', NEEDED)):
        here = play(text, '--json')
        there = play(text, *QEMU, '--json', '--verify=step')
        reports = [json.loads(out) for _, out, _ in (here, there)]
        steps = [[(step['ok'], step.get('error')) for step in
                  report.get('steps', [])] for report in reports]
        balloons = [[{key: balloon.get(key) for key in SAME}
                     for balloon in report.get('virtio-balloon', [])]
                    for report in reports]
        ok(here[0] == there[0] == 0 and steps[0] == steps[1] and
           balloons[0] == balloons[1], what + ': the same on both',
           '\n'.join(here[1:] + there[1:]))


def check_core():
    """QEMU's core has no name, so an interrupted dump leaves none behind."""
    with tempfile.TemporaryDirectory() as folder:
        text = 'machine memory 128M span 4G\nsay now\n' + ''.join(
            'dump %s/vmcore%d\n' % (folder, i) for i in range(500))
        path = os.path.join(folder, 'dumps.cf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        process = subprocess.Popen(
            ['stdbuf', '-oL', COMMAND, 'run', *QEMU, path],
            stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line == 'now\n':
                break
        left = set()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            left |= set(os.listdir(folder))
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        left |= set(os.listdir(folder))
        strange = {name for name in left - {'dumps.cf'}
                   if not re.fullmatch(r'vmcore\d+', name)}
        ok(len(left) > 1 and not strange, 'no core stays beside a dump',
           str(left))
        with open(path, 'w', encoding='utf-8') as file:
            file.write('machine memory 128M\nexpect fails port dump '
                       '/nowhere/vmcore\ndump %s/vmcore\n' % folder)
        done_ = subprocess.run([COMMAND, 'run', *QEMU, path], check=False,
                               stdout=subprocess.PIPE, text=True)
        info = subprocess.run([COMMAND, 'dump-info', folder + '/vmcore'],
                              check=False, stdout=subprocess.PIPE, text=True)
        ok(done_.returncode == info.returncode == 0 and
           'guest' in info.stdout, 'the step dump writes one of the guest',
           done_.stdout + info.stdout)


def children(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid),
              encoding='utf-8') as file:
        return [int(word) for word in file.read().split()]


def is_there(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='utf-8') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


class Running:
    """A scenario that waits, its process, the file's, and QEMU's."""

    def __init__(self, *options):
        with tempfile.NamedTemporaryFile('w', suffix='.cf',
                                         delete=False) as file:
            file.write(SLOW)
        # A terminal's line is out at once; so is that of a pipe by stdbuf.
        self.process = subprocess.Popen(
            ['stdbuf', '-oL', COMMAND, 'run', *QEMU, *options, file.name],
            stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line == 'now\n':
                break
        self.player = children(self.process.pid)[0]
        self.qemu = children(self.player)[0]

    def check(self, what, said=None):
        out = self.process.communicate(timeout=60)[0]
        end = time.monotonic() + 10
        while (is_there(self.qemu) or is_there(self.player)) and \
                time.monotonic() < end:
            time.sleep(0.01)
        ok(not is_there(self.qemu) and not is_there(self.player),
           what + ': nothing stays behind', out)
        if said:
            ok(self.process.returncode == 1 and said in out,
               what + ': it says so', out)


def check_ends():
    guest = Running()
    os.kill(guest.qemu, signal.SIGKILL)
    guest.check('QEMU is killed', 'QEMU was ended: Killed')
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        guest = Running()
        guest.process.send_signal(number)
        guest.check('the command gets %s' % number.name)
    guest = Running()
    os.kill(guest.player, signal.SIGKILL)
    guest.check("the file's process is killed", 'Killed')


def main():
    check_refusals()
    if shutil.which(run.PC[0]):
        check_broken()
        check_text()
        check_devices()
        check_core()
        check_ends()
    else:
        skip('what the guest does', 'apt-get install ' + run.PC[1])
    done()


main()
