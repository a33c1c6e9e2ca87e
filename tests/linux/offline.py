#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are the verdicts of coldframe blocks right? Asks Linux itself.

usage: tests/linux/offline.py [OPTION...] COLDFRAME [GUEST...]

--root DIR  the kernel is DIR/boot/vmlinuz-*, its modules are in DIR/lib
--quick     one small guest, TAP output, and a skip if something is missing
--more      other guests: two NUMA nodes, page tables, more memory
--draw N    three guests drawn by lot, the same for the same N
--pins      a guest with what cannot be seen: pages that lie in pipes while
            they are mapped; whatever comes out, it is no failure
--log DIR   keep what the guests said there
--again DIR judge what they said there, without booting one

Boots guests of Debian's kernel in QEMU, has memory used in many ways, asks
`coldframe blocks` about each block, tries to take the block offline, and
prints the confusion matrix, precision and recall. Candidate and empty are
predictions that it goes; what goes within a minute is right. Where memory is
in a balloon or not plugged, frames are counted, too.

Needs the packages linux-image-cloud-amd64, busybox-static, cpio,
qemu-system-x86, gcc and libc6-dev. The kernel need not be installed:
scripts/setup unpacks it into out/kernel. With KVM=1 in the environment KVM is used. Exit status: 0
precision is at least 0.95, recall 0.9, no more than a tenth of the blocks is
doubtful or unknown, all counts fit, and, unless guests are named, of at least
40 blocks 12 stay and 12 go although there is something in them: in use for a
quarter of the block, in a balloon, or not plugged; and each kind of memory that
a guest has is in a block that goes, or stays, as it should; 1 not, or a guest
could not occupy what it was told to; 2 something is missing (77 with --quick).
"""

import argparse
import glob
import lzma
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
# As --root, the first one that has a kernel.
ROOTS = ['/', os.path.join(TOP, 'out', 'kernel')]
MODULES = ('virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev '
           'virtio_pci virtio_balloon virtio_mem').split()
POSITIVE = ('candidate', 'empty')
NEGATIVE = ('blocked', 'never')
SECONDS = 1500
IN_BALLOON = 256                        # MiB
LIMIT = 60                              # seconds a block has to go
BALLOON_AFTER = 240                     # seconds at most until it is asked for

# Name: memory, what occupies it, devices
VIRTIO_MEM = ['-object', 'memory-backend-ram,id=more,size=1G', '-device',
              'virtio-mem-pci,memdev=more,requested-size=%s']
BALLOON = ['-device', 'virtio-balloon-pci,id=balloon']
NODES = ['-object', 'memory-backend-ram,id=m0,size=1G', '-object',
         'memory-backend-ram,id=m1,size=1536M',
         '-numa', 'node,memdev=m0,cpus=0', '-numa', 'node,memdev=m1,cpus=1']


def plugged(size):
    return [word.replace('%s', size) for word in VIRTIO_MEM]


GUESTS = {
    'plain': ('2G', 'cache:300,slab:20000,touch:200,tables:200,slab:20000,'
              'hold:160,cache:200', []),
    'balloon': ('2G,maxmem=8G', 'cache:200,touch:100,slab:9000',
                plugged('448M') + BALLOON),
    'huge': ('2G', 'touch:300,huge:150,ring:140,lock:200,cache:200,hold:60,'
             'slab:5000', []),
}
PINS = {
    'pins': ('2G', 'touch:200,pin:300,cache:200', []),
}
MORE = {
    'wide': ('3G', 'touch:700,tables:24,cache:500,tables:24,hold:200,'
             'touch:300,slab:8000', []),
    'nodes': ('2560M', 'slab:12000,touch:500,hold:120,huge:200,tables:12,'
              'cache:400', NODES),
    'plugged': ('1536M,maxmem=8G', 'tables:8,touch:300,cache:200,hold:100',
                plugged('704M') + BALLOON),
}
QUICK = {
    'quick': ('2G', 'cache:200,slab:3000,tables:220,fixed:40,touch:300,'
              'lock:150,huge:100,cache:200', []),
}


def draw(seed):
    """Guests that nobody has looked at. Half of the memory stays free."""
    lot = random.Random(seed)
    guests = {}
    for number in range(3):
        size = lot.choice((1536, 2048, 2560))
        words, left = [], size // 2
        while left > 100 and len(words) < 9:
            kind, most = lot.choice((('cache', 400), ('touch', 500),
                                     ('huge', 200), ('hold', 200),
                                     ('tables', 16), ('slab', 12000)))
            amount = lot.randint(most // 4, most)
            words.append('%s:%d' % (kind, amount))
            left -= {'huge': 2 * amount, 'tables': 2 * amount,
                     'slab': amount // 500}.get(kind, amount)
        devices = lot.choice((0, 1)) * plugged('%dM' % lot.randrange(
            192, 961, 64))
        guests['drawn-%d-%d' % (seed, number)] = (
            '%dM,maxmem=8G' % size, ','.join(words), devices)
    return guests


class Missing(Exception):
    """What is not there, and the package that has it."""

    def __str__(self):
        return 'no %s; install %s' % self.args


def kernel(roots):
    """(image, release, folder of modules), the newest."""
    for root in roots:
        images = sorted(glob.glob(os.path.join(root, 'boot',
                                               'vmlinuz-*cloud-amd64')))
        if images:
            release = images[-1].split('vmlinuz-')[1]
            modules = os.path.join(root, 'lib', 'modules', release)
            if not os.path.isdir(modules):
                modules = os.path.join(root, 'usr', modules[len(root):]
                                       .lstrip('/'))
            return images[-1], release, os.path.join(modules, 'kernel')
    raise Missing('kernel', 'linux-image-cloud-amd64')


def is_builtin(modules, name):
    path = os.path.join(os.path.dirname(modules), 'modules.builtin')
    with open(path, encoding='ascii') as file:
        return re.search(r'/%s\.ko$' % name.replace('_', '[-_]'),
                         file.read(), re.M)


def copy_module(root, modules, name):
    """The same under its bare name; some come compressed."""
    path = os.path.join(root, 'modules', name + '.ko')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for folder, _, names in os.walk(modules):
        for found in names:
            if found.split('.')[0].replace('-', '_') != name:
                continue
            with open(os.path.join(folder, found), 'rb') as file:
                data = file.read()
            with open(path, 'wb') as file:
                file.write(lzma.decompress(data) if found.endswith('.xz')
                           else data)
            return
    if not is_builtin(modules, name):
        raise Missing('module ' + name, 'linux-image-cloud-amd64')


def copy(root, source, target):
    path = os.path.join(root, target.lstrip('/'))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(source, path)


def copy_program(root, program, target):
    """With its libraries; some programs have none."""
    said = subprocess.run(['ldd', program], check=False, text=True,
                          capture_output=True).stdout
    for library in re.findall(r'(/\S+) \(0x', said):
        copy(root, library, library)
    copy(root, program, target)


def need(program, package):
    path = shutil.which(program)
    if not path:
        raise Missing(program, package)
    return path


def make_initramfs(root, coldframe, modules):
    copy_program(root, need('busybox', 'busybox-static'), '/bin/busybox')
    copy_program(root, coldframe, '/bin/coldframe')
    for name in MODULES:
        copy_module(root, modules, name)
    copy(root, os.path.join(HERE, 'guest-init'), '/init')
    os.chmod(os.path.join(root, 'init'), 0o755)
    for folder in ('proc', 'sys', 'dev'):
        os.makedirs(os.path.join(root, folder))
    subprocess.run([need('gcc', 'gcc'), '-O1', '-static', '-D_GNU_SOURCE',
                    '-o', os.path.join(root, 'bin/occupy'),
                    os.path.join(HERE, 'occupy.c')], check=True)
    archive = root + '.cpio'
    names = subprocess.run(['find', '.', '-print0'], cwd=root, check=True,
                           capture_output=True).stdout
    with open(archive, 'wb') as file:
        subprocess.run([need('cpio', 'cpio'), '--null', '-o', '-H', 'newc',
                        '--quiet'],
                       cwd=root, input=names, stdout=file, check=True)
    return archive


def said_by(log):
    with open(log, 'rb') as file:
        return file.read().decode(errors='replace').replace('\r', '')


def inflate(process, log, monitor, target):
    """Ask for the memory as soon as the driver can be asked."""
    last = time.monotonic() + BALLOON_AFTER
    while (time.monotonic() < last and process.poll() is None and
           'READY' not in said_by(log)):
        time.sleep(1)
    if process.poll() is not None:
        return
    with socket.socket(socket.AF_UNIX) as talk:
        talk.connect(monitor)
        talk.send(b'balloon %d\n' % target)
        time.sleep(2)


def boot(image, archive, guest, limit, seconds):
    memory, occupied, devices = guest
    # Not by default: where KVM is nested it may hang. QEMU 7.2 leaves flags
    # that nobody set behind CMPXCHG16B, of which newer kernels die.
    accelerator = ['-cpu', 'max,-cx16']
    if os.environ.get('KVM'):
        accelerator = ['-enable-kvm', '-cpu', 'host']
    command = ['qemu-system-x86_64', '-display', 'none', '-no-reboot',
               '-nodefaults', '-serial', 'stdio', '-smp', '2', '-m', memory,
               '-kernel', image, '-initrd', archive, '-append',
               'console=ttyS0 quiet panic=-1 no_timer_check limit=%d '
               'occupy=%s' % (
                   limit, occupied)]
    monitor = archive + '.monitor'
    inflates = BALLOON[1] in devices
    if inflates:
        command += ['-monitor', 'unix:%s,server,nowait' % monitor]
    log = archive + '.log'
    with open(log, 'wb') as file, subprocess.Popen(
            command + accelerator + devices, stdin=subprocess.DEVNULL,
            stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            if inflates:
                # QEMU sets what is left, and counts no virtio-mem.
                inflate(process, log, monitor, mebibytes(
                    memory.split(',')[0]) - IN_BALLOON)
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        except BaseException:
            process.kill()
            raise
    return said_by(log)


def mebibytes(text):
    number = int(text[:-1])
    return number << 10 if text[-1] == 'G' else number


def wrong_counts(guest, output):
    """Frames in the balloon and frames not plugged, counted three times."""
    devices = guest[2]
    counts = dict(re.findall(r'^COUNT (\S+) (\d+)$', output, re.M))
    if BALLOON[1] not in devices or not counts:
        return '' if BALLOON[1] not in devices else 'no counts'
    requested = mebibytes(re.search(r'requested-size=(\w+)',
                                    ' '.join(devices))[1])
    unplugged = -requested % 128
    balloon, offline, shown = (int(counts.get(name, -1)) for name in
                               ('balloon', 'offline', 'shown'))
    print('in the balloon: asked for %d MiB, %d by the counters; not '
          'plugged: %d MiB; logically offline: %d frames, %d in offline-map'
          % (IN_BALLOON, balloon >> 8, unplugged, offline, shown), flush=True)
    if balloon != IN_BALLOON << 8:
        return 'the balloon is not as large as asked for'
    if offline != balloon + (unplugged << 8):
        return 'offline frames are not those in the balloon and not plugged'
    return '' if shown == offline else 'offline-map misses some'


# A row of coldframe why: role, class, frames, confidence, owner.
ROW = (r'^WHY (\d+) +(blocks|doubt|owner|moves) +([a-z-]+) +(\d+) +\S+ +\d+ '
       r'+0x\w+ +(\w+) +(.*)$')
ROLES = ('blocks', 'doubt', 'owner', 'moves')
TABLES = 192                            # MiB: a block has little else
STRAY = 16                              # frames of others that are in its way


def occupied_by(guest):
    return {kind: int(size) for kind, size in
            (part.split(':') for part in guest[1].split(',') if part)}


def wrong_reasons(guest, output):
    """What coldframe why should have said of the blocks, and did not."""
    rows, wrong, sizes = {}, [], occupied_by(guest)
    said = dict(re.findall(r'^WHY (\d+) block .*: (\w+) \(\w+\)$', output,
                           re.M))
    state = dict(re.findall(r'^TRIED (\d+) (\S+)', output, re.M))
    for number, *row in re.findall(ROW, output, re.M):
        rows.setdefault(number, []).append(row)
    for number, some in rows.items():
        if some != sorted(some, key=lambda row: (ROLES.index(row[0]),
                                                 -int(row[2]))):
            wrong.append('the reasons of block %s are not ranked' % number)
    if sizes.get('tables', 0) >= TABLES and not any(
            some[0][1] == 'page-table' and sum(
                int(row[2]) for row in some[1:] if row[0] == 'blocks') <= STRAY
            and 'page tables; most have occupy (' in some[0][4] and
            said.get(number) == 'blocked' and state.get(number) == 'online'
            for number, some in rows.items()):
        wrong.append('no block that page tables alone keep')
    locked = [row for some in rows.values() for row in some
              if row[1] == 'mlocked']
    if sum(int(row[2]) for row in locked) != sizes.get('lock', 0) << 8 or any(
            row[0] not in ('doubt', 'moves') or row[3] != 'proved' or
            not row[4].startswith('mapped by occupy (') for row in locked):
        wrong.append('why does not name who has locked memory')
    pinned = re.findall(r'^WHY (\d+) +(\d+) frames  occupy: io_uring \(\d+\)$',
                        output, re.M)
    if sum(int(frames) for _, frames in pinned) != (
            sizes.get('fixed', 0) << 8) or any(
                state.get(number) != 'online' or
                said.get(number) not in NEGATIVE or
                not re.search(r'^WHY %s   pinned: ' % number, output, re.M)
                for number, _ in pinned):
        wrong.append('why does not name who has pinned memory')
    return wrong


# What a guest has, told by what occupies it or by its devices: does a block
# with it go, what it is, classes of its frames or reasons.
KINDS = {
    'cache': (True, 'page cache', ('anon', 'file')),
    'huge': (True, 'huge pages', ('hugetlb',)),
    'virtio-balloon-pci': (True, 'balloon pages', ('balloon', 'offline')),
    'virtio-mem-pci': (True, 'parts not plugged', ('never-onlined',)),
    'slab': (False, 'kernel objects', ('slab',)),
    'tables': (False, 'page tables', ('page-table',)),
    'hold': (False, 'pages in pipes', ('held',)),
    'lock': (True, 'locked memory', ('mlocked',)),
    'fixed': (False, 'memory that is pinned for long', ('pinned',)),
    'ring': (False, "a driver's memory", ('untyped',)),
    'memory': (False, 'boot holes', ('absent',)),
}


def kinds_of(guest):
    """Names of KINDS; of a guest that is not known, none."""
    memory, occupied, devices = guest
    words = [part.split(':')[0] for part in occupied.split(',')]
    words += [device.split(',')[0] for device in devices]
    return set(words) & set(KINDS) | ({'memory'} if memory else set())


class Matrix:
    """What was said of blocks, and what came of them."""

    def __init__(self):
        self.wanted = set()             # of KINDS, that guests have
        self.found = set()              # of these, in a block as it should
        self.hard = 0                   # went, with something in it
        self.count = {(said, went): 0 for said in (True, False, None)
                      for went in (True, False)}

    def add(self, said, went):
        guess = (True if said in POSITIVE else
                 False if said in NEGATIVE else None)
        self.count[guess, went] += 1

    def add_kinds(self, guest, output):
        """Which kinds are in blocks that went, or stayed."""
        self.wanted |= kinds_of(guest)
        state = dict(re.findall(r'^TRIED (\d+) (\S+)', output, re.M))
        reasons = dict(re.findall(r'^TRIED (\d+) .* (\S+)$', output, re.M))
        for number, text in re.findall(r'^KINDS (\d+) (.*)$', output, re.M):
            classes = {word.split(':')[0] for word in
                       text.split() + reasons.get(number, '').split(',')}
            went = state.get(number) == 'offline'
            self.found |= {name for name, (goes, _, some) in KINDS.items()
                           if number in state and goes == went and
                           classes & set(some)}

    def add_all(self, output):
        for row in re.finditer(r'^TRIED \d+ (\S+) (\S+)(?: (\d+) (\d+) (\d+))?',
                               output, re.M):
            state, said, size, movable, offline = row.groups(default=0)
            self.add(said, state == 'offline')
            self.hard += state == 'offline' and (
                int(offline) > 0 or 4 * int(movable) > int(size))

    def lacks(self):
        """What a run would need to have a say."""
        stayed = self.blocks() - self.went()
        few = ['only %d %s' % (number, text) for number, least, text in (
            (self.blocks(), 40, 'blocks'), (stayed, 12, 'blocks that stay'),
            (self.hard, 12, 'blocks that go with something in them'))
               if number < least]
        return few + self.lacks_kinds()

    def lacks_kinds(self):
        return ['no block that %s with %s' % (
            'goes' if KINDS[name][0] else 'stays', KINDS[name][1])
                for name in sorted(self.wanted - self.found)]

    def went(self):
        return sum(self.count[guess, True] for guess in (True, False, None))

    def blocks(self):
        return sum(self.count.values())

    def precision(self):
        said = self.count[True, True] + self.count[True, False]
        return self.count[True, True] / said if said else 0

    def recall(self):
        return self.count[True, True] / self.went() if self.went() else 0

    def undecided(self):
        said = self.count[None, True] + self.count[None, False]
        return said / self.blocks() if self.blocks() else 1

    def lines(self):
        yield '%-22s %6s %6s' % ('', 'went', 'stayed')
        for guess, name in ((True, 'candidate or empty'),
                            (False, 'blocked or never'),
                            (None, 'doubtful or unknown')):
            yield '%-22s %6d %6d' % (name, self.count[guess, True],
                                     self.count[guess, False])
        yield ('%d blocks, precision %.3f, recall %.3f, undecided %.3f; '
               '%d went with something in them' % (
                   self.blocks(), self.precision(), self.recall(),
                   self.undecided(), self.hard))


def judge(matrix, name, guest, output):
    """Put what a guest said into the matrix; what is wrong with it."""
    lines = [line for line in output.splitlines()
             if line and not line.startswith(('[', 'WHY'))]
    print('\n'.join('# ' + line for line in ['guest ' + name] + lines),
          flush=True)
    matrix.add_all(output)
    matrix.add_kinds(guest, output)
    bad = [wrong_counts(guest, output)]
    bad += re.findall(r'^no \S+$', output, re.M)
    bad += wrong_reasons(guest, output)
    if 'DONE' not in lines:
        bad = ['did not come to its end']
    return ['%s: %s' % (name, one) for one in bad if one]


def judge_again(folder, known):
    """The same of what guests said before."""
    matrix, wrong = Matrix(), []
    for path in sorted(glob.glob(os.path.join(folder, '*'))):
        name = os.path.basename(path)
        guest = next((known[one] for one in known
                      if name.startswith(one + '-')), ('', '', []))
        wrong += judge(matrix, name, guest, said_by(path))
    return matrix, wrong


def run_guests(options, guests, limit=LIMIT, seconds=SECONDS):
    """(matrix, what is wrong)"""
    image, release, modules = kernel(options.root or ROOTS)
    need('qemu-system-x86_64', 'qemu-system-x86')
    matrix, wrong = Matrix(), []
    print('# Linux ' + release, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = make_initramfs(os.path.join(folder, 'root'),
                                 options.coldframe, modules)
        for name, guest in guests.items():
            output = boot(image, archive, guest, limit, seconds)
            if options.log:
                with open(os.path.join(options.log, '%s-%s' % (
                        name, release)), 'w', encoding='utf-8') as file:
                    file.write(output)
            wrong += judge(matrix, name, guest, output)
    return matrix, wrong


def quick(options):
    """A few blocks: each wrong one weighs much, so no ratios."""
    try:
        matrix, wrong = run_guests(options, QUICK, 20, 900)
    except Missing as what:
        print('1..0 # skip %s' % what)
        return 77
    print('\n'.join('# ' + line for line in matrix.lines()))
    points = [
        (not wrong, 'the guest comes to its end ' + ' '.join(wrong)),
        (not matrix.lacks_kinds(), 'what it has is in blocks that go or stay '
         + '; '.join(matrix.lacks_kinds())),
        (matrix.blocks() >= 14, 'every block is tried'),
        (matrix.went() >= 6, 'some blocks go'),
        (matrix.blocks() - matrix.went() >= 3, 'some blocks stay'),
        (matrix.count[True, False] <= 1, 'what is a candidate goes'),
        (matrix.count[False, True] <= 1, 'what is blocked stays'),
        (matrix.undecided() <= 0.25, 'few blocks are doubtful'),
    ]
    print('1..%d' % len(points))
    for number, (good, text) in enumerate(points, 1):
        print('%sok %d - %s' % ('' if good else 'not ', number, text))
    return 0 if all(good for good, _ in points) else 1


def main():
    parser = argparse.ArgumentParser(
        usage=__doc__.split('usage: ')[1].split('\n')[0],
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', action='append')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--more', action='store_true')
    parser.add_argument('--draw', type=int)
    parser.add_argument('--pins', action='store_true')
    parser.add_argument('--log')
    parser.add_argument('--again')
    parser.add_argument('coldframe')
    parser.add_argument('guest', nargs='*')
    options = parser.parse_args()
    known = {**GUESTS, **MORE, **QUICK, **PINS}
    several = (PINS if options.pins else MORE if options.more else
               GUESTS if options.draw is None else draw(options.draw))

    if options.quick:
        return quick(options)
    for name in options.guest:
        if name not in known:
            parser.error('there is no guest %s; there are: %s' % (
                name, ' '.join(known)))
    guests = {name: known[name] for name in options.guest} or several
    try:
        matrix, wrong = (judge_again(options.again, known) if options.again
                         else run_guests(options, guests, *(
                             (20,) if options.pins else ())))
    except Missing as what:
        print('offline.py: %s' % what, file=sys.stderr)
        return 2
    print('\n'.join(matrix.lines()))
    if options.pins:
        return 0 if not wrong else 1
    if not options.guest:
        wrong += matrix.lacks()
    for text in wrong:
        print('wrong: ' + text)
    return 0 if (matrix.precision() >= 0.95 and matrix.recall() >= 0.9 and
                 matrix.undecided() <= 0.1 and not wrong) else 1


if __name__ == '__main__':
    sys.exit(main())
