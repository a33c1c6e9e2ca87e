#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long it takes to plug and unplug memory, and to fill a balloon.

usage: bench/plug.py [OPTION...] COLDFRAME

--rounds N  of each (5)
--quick     one round of a GiB, to see that it works
--tap       say so as a test does
--sizes G,  gibibytes to plug (1,4,16)
--linux     Linux 6.1 beside, in the same QEMU; its kernel and modules from
            --root DIR, as tests/linux/offline.py takes it
--out FILE  write the table there, too

Scenarios on the embedded machine and in QEMU: what is said is the time of the
step, from the host's wish until the driver is at rest. Of "host" - the same
guest of QEMU, seen from outside - and of Linux it is from the wish until
QEMU's account is what was wanted, asked every half millisecond; these two are
compared. QEMU emulates. Exit status: 0; 1 something failed; 2 something is
missing.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'tests', 'linux'))

import offline as linux                             # noqa: E402

MACHINES = {'embedded': [], 'QEMU': ['--machine=qemu']}
PLUG = '''machine memory 256M span 64G
virtio-mem vm0 blocks 32-{last}
'''
TOUCHED = '''plug vm0 1G
alloc data{round} 1016M order 9 zone movable movable
free data{round}
drain
unplug vm0 1G
'''
# Memory that was used and is free again goes 2 MiB by 2 MiB.
BY_PIECES = '''plug vm0 256M
alloc data{round} 248M order 9 zone movable movable
free data{round}
drain
''' + ''.join('request vm0 %dM\n' % size for size in range(254, 190, -2)) + '''
unplug vm0 192M
'''
WAITING = '''say READY
wait %ds
'''
BALLOON = '''machine memory 5G
virtio-balloon bal {keys}
'''
SECONDS = 900
INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev \\
         virtio_pci virtio_balloon; do insmod /modules/$m.ko 2>/dev/null; done
echo online_movable > /sys/devices/system/memory/auto_online_blocks
insmod /modules/virtio_mem.ko
echo READY
sleep 100000
'''


def play(coldframe, machine, scenario):
    """The report of a scenario that has to succeed."""
    done = subprocess.run([coldframe, 'run', '--json', '--verify=off'] +
                          MACHINES[machine] + ['-'], input=scenario,
                          check=False, text=True, stdout=subprocess.PIPE,
                          timeout=SECONDS)
    report = json.loads(done.stdout or '{}')
    if done.returncode:
        raise RuntimeError('%s: %s' % (machine, done.stdout[-300:]))
    return report


def times(report, verb):
    return [step['ns'] / 1e9 for step in report['steps']
            if step['step'].startswith(verb)]


class Table:
    def __init__(self, tap):
        self.lines = []
        self.tap = tap

    def say(self, line):
        self.lines.append(line)
        print('# ' * self.tap + line, flush=True)

    def row(self, machine, what, seconds, note=''):
        median = statistics.median(seconds)
        self.say(('%-10s %-26s %10.3f %10.3f %10.3f  %s' % (
            machine, what, median * 1e3, min(seconds) * 1e3,
            max(seconds) * 1e3, note)).rstrip())
        return median


def plug(table, options, machine):
    for size in options.sizes:
        head = PLUG.format(last=31 + 8 * size)
        step = 'plug vm0 %dG\nunplug vm0 %dG\n' % (size, size)
        # The first round may find pages that nobody has touched yet.
        report = play(options.coldframe, machine,
                      head + step * (options.rounds + 1))
        requests = report['virtio-mem'][0]['requests']
        for verb in ('plug', 'unplug'):
            table.row(
                machine, '%s %d GiB' % (verb, size),
                times(report, verb + ' ')[1:], '%.0f requests' % (
                    requests / (options.rounds + 1) / 2))
    # An emulated guest takes long to fill a GiB.
    rounds = range(min(options.rounds, 2 if machine == 'QEMU' else 5))
    report = play(options.coldframe, machine, PLUG.format(last=39) + ''.join(
        TOUCHED.format(round=number) for number in rounds))
    table.row(machine, 'unplug 1 GiB, used, / 512',
              [at / 512 for at in times(report, 'unplug ')])
    report = play(options.coldframe, machine, PLUG.format(last=39) + ''.join(
        BY_PIECES.format(round=number) for number in rounds))
    table.row(machine, 'unplug 2 MiB, used',
              times(report, 'request '), 'a wish each')


def balloon(table, options, machine):
    for keys, what in (('', '2 MiB'), ('small-pages', '4 KiB')):
        if options.quick and keys:
            continue
        size = 1 if options.quick or keys and machine == 'QEMU' else 4
        report = play(options.coldframe, machine, BALLOON.format(keys=keys) +
                      'balloon bal %dG\nballoon bal 0\n' % size *
                      options.rounds)
        seconds = times(report, 'balloon ')
        for name, part in (('inflate', seconds[0::2]),
                           ('deflate', seconds[1::2])):
            table.row(machine, '%s %d GiB of %s' % (name, size, what), part,
                      '%.2f GiB/s' % (size / statistics.median(part)))


class Host:
    """A QEMU seen from outside: its process, and a monitor of its own."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'monitor')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.listener.settimeout(60)
        self.process = self.channel = None

    def monitor(self):
        return ['-chardev', 'socket,id=bench,path=' + self.path, '-mon',
                'chardev=bench,mode=control']

    def await_ready(self):
        self.channel = self.listener.accept()[0].makefile('rw')
        self.channel.readline()
        self.do('qmp_capabilities')
        for line in self.process.stdout:
            if 'READY' in line:
                break
        time.sleep(1)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.listener.close()

    def do(self, command, **arguments):
        self.channel.write(json.dumps({'execute': command,
                                       'arguments': arguments}) + '\n')
        self.channel.flush()
        while True:
            answer = json.loads(self.channel.readline())
            if 'error' in answer:
                raise RuntimeError(answer['error']['desc'])
            if 'return' in answer:
                return answer['return']

    def wait(self, found, wanted):
        end = time.monotonic() + SECONDS
        while found() != wanted:
            if time.monotonic() > end:
                raise RuntimeError('the guest does not get there')
            time.sleep(0.0005)

    def resize(self, size):
        began = time.monotonic()
        self.do('qom-set', path='/machine/peripheral/device0',
                property='requested-size', value=size)
        self.wait(lambda: self.do(
            'qom-get', path='/machine/peripheral/device0', property='size'),
            size)
        return time.monotonic() - began

    def balloon(self, size):
        began = time.monotonic()
        self.do('balloon', value=size)
        self.wait(lambda: self.do('query-balloon')['actual'], size)
        return time.monotonic() - began


class Ours(Host):
    """The guest of coldframe, whose drivers work while a scenario waits."""

    def __init__(self, folder, options):
        super().__init__(folder)
        name = 'qemu-system-x86_64'
        path = os.path.join(folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nexec %s "$@" %s\n' % (
                shutil.which(name), ' '.join(self.monitor())))
        os.chmod(path, 0o755)
        scenario = os.path.join(folder, 'waits.cf')
        with open(scenario, 'w', encoding='utf-8') as file:
            file.write(PLUG.format(last=31 + 8 * max(options.sizes)) +
                       WAITING % SECONDS)
        self.process = subprocess.Popen(
            ['stdbuf', '-oL', options.coldframe, 'run', '--machine=qemu',
             '--verify=off', scenario], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, PATH=folder + ':' + os.environ['PATH']))


class Linux(Host):
    """Linux in QEMU, and its devices."""

    def __init__(self, folder, options):
        super().__init__(folder)
        image, _, modules = linux.kernel(options.root or linux.ROOTS)
        archive = self.archive(os.path.join(folder, 'root'), modules)
        self.process = subprocess.Popen(
            ['qemu-system-x86_64', '-nodefaults', '-no-user-config',
             '-display', 'none', '-no-reboot', '-accel', 'tcg', '-cpu', 'max',
             '-M', 'q35', '-smp', '2', '-m', '2G,maxmem=64G', '-serial',
             'stdio', '-object',
             'memory-backend-ram,id=region,size=%dG,reserve=off' %
             max(options.sizes), '-device', 'virtio-mem-pci,id=device0,'
             'memdev=region,requested-size=0', '-device',
             'virtio-balloon-pci,id=bal', '-kernel', image, '-initrd',
             archive, '-append',
             'console=ttyS0 quiet panic=-1 init_on_alloc=0'] + self.monitor(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            errors='replace')

    @staticmethod
    def archive(root, modules):
        linux.copy_program(root, linux.need('busybox', 'busybox-static'),
                           '/bin/busybox')
        for name in linux.MODULES:
            linux.copy_module(root, modules, name)
        for folder in ('proc', 'sys', 'dev'):
            os.makedirs(os.path.join(root, folder))
        with open(os.path.join(root, 'init'), 'w', encoding='utf-8') as file:
            file.write(INIT)
        os.chmod(os.path.join(root, 'init'), 0o755)
        with open(root + '.cpio', 'wb') as file:
            subprocess.run('find . | cpio -o -H newc --quiet', shell=True,
                           cwd=root, stdout=file, check=True)
        return root + '.cpio'


def outside(table, options, what, host):
    """Plug and unplug, by the host's clock and QEMU's account."""
    medians = {}
    for size in options.sizes:
        pairs = [(host.resize(size << 30), host.resize(0))
                 for _ in range(options.rounds + 1)][1:]
        for verb, seconds in zip(('plug', 'unplug'), zip(*pairs)):
            medians[verb, size] = table.row(
                what, '%s %d GiB' % (verb, size), seconds)
    return medians


def of_ours(table, options):
    with tempfile.TemporaryDirectory() as folder:
        host = Ours(folder, options)
        try:
            host.await_ready()
            return outside(table, options, 'host', host)
        finally:
            host.end()


def of_linux(table, options):
    with tempfile.TemporaryDirectory() as folder:
        host = Linux(folder, options)
        try:
            host.await_ready()
            time.sleep(2)
            medians = outside(table, options, 'Linux', host)
            pairs = [(host.balloon(1536 << 20), host.balloon(2 << 30))
                     for _ in range(options.rounds)]
            for name, seconds in zip(('inflate', 'deflate'), zip(*pairs)):
                table.row('Linux', name + ' 512 MiB of 4 KiB', seconds,
                          '%.2f GiB/s' % (0.5 / statistics.median(seconds)))
            return medians
        finally:
            host.end()


def processor():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        found = re.search(r'model name\s*: (.*)', file.read())
    return found[1] if found else 'unknown processor'


def measure(table, options):
    table.say('%s, %s, %d CPUs, load %.1f at the start' % (
        time.strftime('%Y-%m-%d', time.gmtime()), processor(),
        os.cpu_count(), os.getloadavg()[0]))
    table.say('QEMU emulates (TCG), so Linux and the guest are slower alike; '
              'medians of %d rounds' % options.rounds)
    table.say('%-10s %-26s %10s %10s %10s' % (
        'machine', 'milliseconds', 'median', 'min', 'max'))
    for machine in MACHINES:
        plug(table, options, machine)
        balloon(table, options, machine)
    ours = of_ours(table, options)
    if not options.linux:
        return
    theirs = of_linux(table, options)
    for what, seconds in theirs.items():
        table.say('%s %d GiB: %.2f of the time of Linux' % (
            *what, ours[what] / seconds))


def main():
    parser = argparse.ArgumentParser(
        usage=__doc__.split('usage: ')[1].split('\n')[0],
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--sizes', type=lambda text: [
        int(size) for size in text.split(',')], default=[1, 4, 16])
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--tap', action='store_true')
    parser.add_argument('--linux', action='store_true')
    parser.add_argument('--root', action='append')
    parser.add_argument('--out')
    parser.add_argument('coldframe')
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.sizes = 1, [1]
    if options.tap and not shutil.which('qemu-system-x86_64'):
        print('1..0 # SKIP apt-get install qemu-system-x86')
        return 0
    table = Table(options.tap)
    try:
        measure(table, options)
    except linux.Missing as what:
        print('plug.py: %s' % what, file=sys.stderr)
        return 2
    except (OSError, ValueError, RuntimeError) as what:
        if options.tap:
            print('not ok 1 - %s\n1..1' % what)
        else:
            print('plug.py: %s' % what, file=sys.stderr)
        return 1
    if options.tap:
        print('ok 1 - every step took its time\n1..1')
    if options.out:
        with open(options.out, 'w', encoding='utf-8') as file:
            file.write('SPDX-License-Identifier: MIT\n' +
                       '\n'.join(table.lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
