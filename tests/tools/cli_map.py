# SPDX-License-Identifier: MIT
"""coldframe map, compared sign by sign with a slow model of what it should
draw, on a captured guest and on systems made up here."""

import json
import os
import random
import re
import struct
import zlib
from xml.etree import ElementTree

import cli
from cli import BLOCKS, fails, guest, guest_words, ok, run

CHUNK = 512
BLOCK = 128 << 20
KINDS = {name: at for at, name in enumerate(
    'free user kernel slab pgtable reserved offline never movable bad '
    'block absent'.split())}
WHOLE = '.UKSGRONMX=-'
MIXED = 'fuksgronmx~-'


def bit(word, *bits):
    return any(word >> at & 1 for at in bits)


def kind_of(word, before):
    """What a word says; None: nothing. before: the kind of the frame before."""
    if bit(word, 19):
        return 'bad'
    if bit(word, 23):
        return 'never' if bit(word, 4) else \
            'movable' if bit(word, 3) else 'offline'
    if word == 1 << 20 or not word:
        return None
    for at, name in ((20, 'absent'), (10, 'free'), (7, 'slab'),
                     (26, 'pgtable'), (24, 'kernel')):
        if bit(word, at):
            return name
    if bit(word, 5, 12, 13, 14, 17, 18, 21, 22):
        return 'user'
    if bit(word, 16):
        return before
    return 'reserved' if bit(word, 32) else 'kernel'


class Model:
    """The sign of every cell, frame by frame."""

    def __init__(self, words, states=None, ram=None):
        self.words = words
        self.states = states            # {block: state}
        self.ram = ram                  # [(first, last)]
        self.known = None

    def mute(self, pfn, word):
        if self.states is not None:
            state = self.states.get(pfn // (BLOCK >> 12))
            if state is None:
                return 'absent'
            if state == 'offline':
                return 'block'
        if self.ram is not None and not any(first <= pfn < last for
                                            first, last in self.ram):
            return 'absent'
        return 'absent' if word else 'kernel'

    def kinds(self):
        before = 'kernel'
        said = {}
        for pfn, word in enumerate(self.words):
            at = (word, before if bit(word, 16) else '')
            if at not in said:
                said[at] = kind_of(word, before)
            kind = said[at]
            if kind is None:
                kind = self.mute(pfn, word)
                before = 'kernel'
            else:
                before = kind
            yield kind

    def signs(self, cell=CHUNK):
        self.known = self.known or list(self.kinds())
        kinds = self.known
        out = ''
        for at in range(0, len(kinds), cell):
            frames = kinds[at:at + cell]
            counts = {kind: frames.count(kind) for kind in set(frames)}
            best = max(counts, key=lambda kind: (
                kind == 'bad', kind != 'absent', counts[kind], -KINDS[kind]))
            whole = len(counts) == 1
            out += (WHOLE if whole else MIXED)[KINDS[best]]
        return out


def drawn(text, cells):
    """The signs of a map without its addresses and marks, unfolded."""
    lines = []
    for line in text.splitlines():
        again = re.fullmatch(r'  \.\.\. (\d+) (more lines|lines like the one '
                             'above)', line)
        picture = re.match(r'0x[0-9a-f]+ (.*)', line)
        if again:
            lines += int(again[1]) * [lines[-1]]
        elif picture:
            lines.append(re.sub('[|:]', '', picture[1]).lstrip())
    assert all(len(line) == cells for line in lines[:-1])
    return ''.join(lines)


def compare(found, expected, name):
    notes = ['%#x: found %s, expected %s' % (at, found[at:at + 1],
                                             expected[at:at + 1])
             for at in range(max(len(found), len(expected)))
             if found[at:at + 1] != expected[at:at + 1]]
    ok(found == expected, name, '\n'.join(notes))


def test_guest():
    root = guest()
    ram = [(1, 0x9f), (0x100, 0x3ffe0), (0x100000, 0x110000)]
    states = {number: 'online' for number in list(range(8)) + [32, 33]}
    model = Model(guest_words('kpageflags'), states, ram)
    status, out, err = run('map', '-s', root.path)
    ok(status == 0 and not err, 'the guest', err)
    compare(drawn(out, 64), model.signs(), 'every sign of it')
    ok(max(map(len, out.splitlines())) <= 80, 'it fits in 80 columns')
    lines = out.splitlines()
    ok('0x108000000 |' + 27 * 'O' + 'f....' + 32 * 'N' in lines,
       'a block that is half plugged', out)
    for part in ('O        65536    256 MiB   20.0 %  logically offline',
                 'N        16384     64 MiB    5.0 %  logically offline, '
                 'never onlined',
                 '-       786432      3 GiB           no memory',
                 'Blocks of 128 MiB: 10 online, 10 in all.',
                 'MemTotal 843 MiB', 'Balloon 256 MiB'):
        ok(part in lines, 'the legend: ' + part, out)
    ok(re.search(r'(?m)^   0 Movable  0x100000000 +256 MiB +256 MiB +'
                 r'9\.65 MiB', out), 'the legend: zones', out)
    out = run('map', '-s', root.path, '-N', '-w', '40', '-a',
              '0x108000+0x8000')[1]
    manual = os.path.join(cli.HERE, '../../docs/man/coldframe-map.1')
    with open(manual, encoding='utf-8') as file:
        ok(out.count('\n') == 4 and '\n' + out in file.read(),
           'the example of the manual', out)
    for width, cells in ((40, 16), (36, 16), (20, 4), (100, 64), (200, 128),
                         (400, 256)):
        out = run('map', '-s', root.path, '-w', str(width), '-N')[1]
        compare(drawn(out, cells), model.signs(), '%d columns' % width)
        ok(max(map(len, out.splitlines())) <= width, 'not more than those')


def test_cells():
    root = guest()
    model = Model(guest_words('kpageflags')[:0x8000],
                  {0: 'online'}, [(1, 0x9f), (0x100, 0x3ffe0)])
    for text, frames, cells in (('64K', 16, 64), ('4096', 1, 64),
                                ('chunk', 512, 64), ('32 MiB', 8192, 64),
                                ('block', 0x8000, 64), ('256M', 0x10000, 64)):
        out = run('map', '-s', root.path, '-N', '-c', text, '-a', ',0x8000')[1]
        if frames <= 0x8000:
            compare(drawn(out, cells), model.signs(frames), '--cell ' + text)
        else:
            ok(out == '0x00000000 |f\n', '--cell ' + text, out)
    out = run('map', '-s', root.path, '-N', '-a', '0x10b600,0x10be00')[1]
    ok(out == '0x108000000 |' + 27 * ' ' + 'f...\n', '--addr', out)
    out = run('map', '-s', root.path, '-N', '-c', '4K', '-a', '0x10b655+4')[1]
    ok(out == '0x10b640000 :' + 21 * ' ' + 'OOOO\n', '--addr within a block',
       out)


def test_marks():
    root = cli.Sysroot().words(4 * 2048 * [0x400])
    root.blocks(4 << 20, {number: 'online' for number in range(8)})
    root.write('proc/iomem', '00000000-01ffffff : System RAM\n')
    out = run('map', '-s', root.path, '-N', '-w', '40')[1]
    ok(out == '0x00000000 |..|..|..|..|..|..|..|..\n', 'blocks in a line', out)
    out = run('map', '-s', root.path, '-N', '-w', '20', '-c', '1M')[1]
    ok(out.splitlines()[0] == '0x00000000 |....', 'a line that is a block', out)
    out = run('map', '-s', root.path, '-N', '-w', '20', '-c', '256K')[1]
    ok(out.splitlines() == ['0x00000000 |........', '  ... 15 more lines'], 'blocks of more than a line', out)
    root.words(4096 * [0x400] + 2048 * [0x800000] + 2048 * [0x400])
    out = run('map', '-s', root.path, '-N', '-w', '20', '-c', '1M')[1]
    ok(out.splitlines() == [
        '0x00000000 |....', '  ... 3 more lines',
        '0x01000000 |OOOO', '0x01400000 |OOOO', '0x01800000 |....',
        '0x01c00000 |....'], 'two lines that are alike are not folded', out)


def test_states():
    """Words of newer kernels: a hole and an offline block read 0."""
    random.seed(7)
    pick = [0, 0x400, 0x408, 0x5828, 0x80, 0x4000000, 1 << 32, 0x800000,
            0x800008, 0x800010, 1 << 19, 1 << 20, 0x8000, 0x10000, 0x418000,
            0x10000, 0x409028, 0x10000]
    words = []
    while len(words) < 6 * 0x8000:
        words += random.choice([1, 7, 100, 512, 512, 2048]) * \
            [random.choice(pick)]
    words = words[:6 * 0x8000]
    for at in (1, 3):
        words[at * 0x8000:(at + 1) * 0x8000] = 0x8000 * [0]
    states = {0: 'online', 1: 'offline', 2: 'going-offline', 4: 'online',
              5: 'strange'}
    ram = [(0x100, 0x5001), (0x5100, 0x2ffff)]
    root = cli.Sysroot().words(words).blocks(BLOCK, states)
    root.write('proc/iomem', ''.join(
        '%x-%x : System RAM\n' % (first << 12, (last << 12) - 1)
        for first, last in ram) + '  5100000-5200000 : Kernel code\n')
    status, out, err = run('map', '-s', root.path)
    compare(drawn(out, 64), Model(words, states, ram).signs(),
            'holes, offline blocks and all kinds')
    ok('Blocks of 128 MiB: 1 offline, 2 online, 1 going offline, 1 in an '
       'unknown state, 5 in all.' in out and status == 0 and not err,
       'the states of blocks', out + err)
    ok('x: at least one bad frame.' in out, 'the legend of bad frames', out)
    root.remove('proc/iomem')
    status, out, err = run('map', '-s', root.path)
    compare(drawn(out, 64), Model(words, states).signs(), 'without iomem')
    ok(status == 0 and 'a hole may show as kernel memory' in err,
       'and it is said', err)
    root.write('proc/iomem', '00000000-00000000 : Reserved\n'
               '00000000-00000000 : System RAM\n')
    hidden = run('map', '-s', root.path)
    compare(drawn(hidden[1], 64), Model(words, states).signs(),
            'with an iomem that hides addresses')
    ok(hidden[0] == 0 and 'hides its addresses' in hidden[2], 'and it is said')
    bare = cli.Sysroot().words(words)
    status, out, err = run('map', '-s', bare.path)
    compare(drawn(out, 64), Model(words).signs(), 'with kpageflags alone')
    ok(status == 0 and 'where blocks begin' in err, 'and it is said', err)
    ok('|' not in out, 'no marks then', out)
    fails(run('map', '-s', bare.path, '-c', 'block'), 1, 'give --cell a size',
          '--cell block then')


def test_tails():
    """A tail says nothing by itself, also when its head is not drawn."""
    user = [0x409028] + 4095 * [0x10000]
    words = user + [0x8000] + 4095 * [0x10000]
    root = cli.Sysroot().words(words)
    ok(run('map', '-N', '-s', root.path, '-a', '1024,')[1] ==
       '0x00000000 ' + ' ' + 2 * ' ' + 6 * 'U' + 8 * 'K' + '\n',
       'tails of a run that begins before the picture')


def test_large():
    """256 GiB in a sparse file."""
    root = cli.Sysroot().words([])
    with open(os.path.join(root.path, 'proc/kpageflags'), 'r+b') as file:
        file.truncate(8 << 26)
        file.seek(8 * 100 * 0x8000)
        file.write(0x800000.to_bytes(8, 'little') * 0x8000)
    root.blocks(BLOCK, {number: 'offline' if 1000 <= number < 1500
                        else 'online' for number in range(2048)})
    status, out, err = run('map', '-s', root.path)
    ok(status == 0 and len(out.splitlines()) < 60 and
       'A cell is 128 MiB, a block.' in out and
       '0x0020000000 |' not in out, 'few lines, each cell a block', out + err)
    signs = drawn(out, 64)
    ok(signs == 100 * 'K' + 'O' + 899 * 'K' + 500 * '=' + 548 * 'K',
       'every block', out)
    gaps = cli.Sysroot().words([])
    os.truncate(os.path.join(gaps.path, 'proc/kpageflags'), 8 * 300 * 0x8000)
    gaps.blocks(BLOCK, {2 * number + 1: 'online' for number in range(150)})
    ok('A cell is 128 MiB' in run('map', '-s', gaps.path)[1],
       'a gap between blocks is a line as well')
    out = run('map', '-s', root.path, '-w', '20')[1]
    ok('A cell is 512 MiB, 4 blocks of 128 MiB.' in out and
       drawn(out, 4)[24:27] == 'KkK', 'a narrow terminal: larger cells', out)
    out = run('map', '-s', root.path, '-N', '-c', 'chunk', '-a',
              '%d,' % (100 * 0x8000))[1]
    ok(out.splitlines()[:3] == [
        '0x0320000000 |' + 64 * 'O', '0x0328000000 |' + 64 * 'K',
        '  ... 898 lines like the one above'], 'lines that are alike',
       '\n'.join(out.splitlines()[:4]))


def test_color():
    root = cli.Sysroot().words(512 * [0x400] + 512 * [0x800000] +
                               511 * [0x800000] + [0x400])
    at = ['map', '-s', root.path, '-N']
    plain = run(*at)[1]
    ok(plain == '0x00000000  .Oo\n', 'no colour when it is no terminal', plain)
    always = run(*at, '--color=always', NO_COLOR='1')[1]
    ok(always == '0x00000000  \033[0;32m.\033[0;7;34mO\033[0;34mo\033[0m\n',
       '--color=always', repr(always))
    ok(re.sub('\033\\[[0-9;]*m', '', run(
        'map', '-s', root.path, '--color=always')[1]) ==
       run('map', '-s', root.path)[1], 'colour changes no sign')
    for name, expected, options, environment in (
            ('auto', True, [], {}),
            ('auto and NO_COLOR', False, [], {'NO_COLOR': '1'}),
            ('auto and an empty NO_COLOR', True, [], {'NO_COLOR': ''}),
            ('auto and a dumb terminal', False, [], {'TERM': 'dumb'}),
            ('never', False, ['--color=never'], {})):
        found = on_terminal(at + options, environment, 80)
        ok(('\033[' in found) == expected, 'on a terminal: ' + name, found)
    root.words(128 * 512 * [0x400])
    for columns, environment, expected in ((60, {}, 32), (200, {}, 128),
                                           (200, {'COLUMNS': '30'}, 16)):
        found = on_terminal(at + ['--color=never'], environment, columns)
        ok('0x00000000  ' + expected * '.' in found.splitlines(),
           'a terminal of %d columns %s' % (columns, json.dumps(environment)),
           found)


def on_terminal(arguments, environment, columns):
    """What coldframe prints when stdout is a terminal."""
    import fcntl
    import pty
    import struct
    import termios
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                struct.pack('HHHH', 24, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items()
             if name not in ('COLUMNS', 'NO_COLOR')}
    clean.update({'TERM': 'xterm'}, **environment)
    child = cli.subprocess.Popen([cli.COLDFRAME] + arguments, stdout=theirs,
                                 stdin=cli.subprocess.DEVNULL, env=clean,
                                 stderr=cli.subprocess.DEVNULL)
    os.close(theirs)
    text = b''
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            part = b''
        if not part:
            break
        text += part
    os.close(ours)
    child.wait()
    return text.decode()


def test_files():
    root = guest()
    at = ['map', '-s', root.path]
    words = guest_words('kpageflags')
    path = root.path + '/proc/kpageflags'
    root.write('proc/kpageflags', words.tobytes()[:-3])
    fails(run(*at), 1, path + ': the file is cut off: its 8912893 bytes',
          'a file that ends within a word')
    root.words(words[:-9])
    fails(run(*at), 1, path + ': the file is cut off: its 8912824 bytes',
          'a file that ends before the last block')
    root.words(words[:0])
    result = run(*at)
    ok(result[0] == 1 and path + ': the file is empty' in result[2],
       'an empty file', str(result))
    root.remove('proc/kpageflags')
    status, out, err = run(*at, '--color=never', '-w', '40')
    ok(status == 0 and 'this is what sysfs tells' in err and
       len(err.splitlines()) == 1 and '0x100000000 |??\n' in out and
       re.search(r'^\? +327550 ', out, re.M), 'no such file: the blocks',
       out + err)
    root.write(BLOCKS + '/memory32/state', 'offline\n')
    out = run(*at, '--color=never', '--cell=block', '-w', '40')[1]
    ok('0x100000000 |=?\n' in out, 'those that are offline are known', out)
    out = run(*at, '--color=never', '-a', '1048576+600', '-N',
              '--cell=chunk')[1]
    ok(out.split()[1:] == ['|=='], 'and only a part', out)
    for name in os.listdir(os.path.join(root.path, BLOCKS)):
        cli.shutil.rmtree(os.path.join(root.path, BLOCKS, name), True)
    fails(run(*at), 1, path + ': No such file', 'no such file and no blocks')


def test_hostile():
    """Text that no kernel writes: a clear answer, and never a signal."""
    huge = '99999999999999999999'
    for name, text, part in (
            (BLOCKS + '/block_size_bytes', '', 'not a hexadecimal number'),
            (BLOCKS + '/block_size_bytes', 'xyz', 'not a hexadecimal number'),
            (BLOCKS + '/block_size_bytes', huge, 'not a hexadecimal number'),
            (BLOCKS + '/block_size_bytes', '0', 'power of two'),
            (BLOCKS + '/block_size_bytes', '8000001', 'power of two'),
            (BLOCKS + '/block_size_bytes', '1000', 'power of two'),
            (BLOCKS + '/block_size_bytes', '8000000000000000', 'power of two'),
            (BLOCKS + '/memory%s/state' % huge, 'online', 'this number'),
            (BLOCKS + '/memory1234567890123456789/state', 'online',
             'this number'),
            (BLOCKS + '/memory12345678/state', 'online', 'cut off'),
            ('proc/iomem', 'nonsense\n', 'proc/iomem'),
            ('proc/iomem', '5-2 : System RAM\n', 'proc/iomem'),
            ('proc/iomem', '0-%s : System RAM\n' % huge, 'proc/iomem'),
            ('proc/iomem', '0-ffffffffffffffff : System RAM\n', 'proc/iomem'),
            ('proc/meminfo', 'MemTotal: 18446744073709551615 kB\n',
             'proc/meminfo'),
            ('proc/zoneinfo', 'Node 7, zone X\n spanned ' + 19 * '9' + '\n',
             'proc/zoneinfo'),
            ('proc/zoneinfo', 'Node 7, zone X\n start_pfn: 2199023255552\n',
             'proc/zoneinfo'),
            ('proc/meminfo', 'MemTotal: %s kB\n' % huge, 'proc/meminfo'),
            ('proc/meminfo', 'MemTotal: -1 kB\n', 'proc/meminfo'),
            ('proc/vmstat', 'balloon_inflate x\n', 'proc/vmstat'),
            ('proc/zoneinfo', 'Node 0, zone DMA\n  managed %s\n' % huge,
             'proc/zoneinfo')):
        root = guest().write(name, text)
        status, _, err = run('map', '-s', root.path)
        ok(status == 1 and part in err and err.count('\n') == 1,
           '%s: %s' % (name, text.strip().splitlines()[-1:]), '%d %s' % (status, err))
    for name, text in (
            ('proc/vmstat', 'balloon_inflate 18446744073709551615\n'
             'balloon_deflate 1\n'),
            ('proc/zoneinfo', 'Node 7, zone X\n start_pfn: 2199023255551\n'),
            ('proc/zoneinfo', 'Node %s, zone X\n' % huge),
            ('proc/zoneinfo', 'Node 0, zone ' + 500 * 'Z' + '\n'),
            (BLOCKS + '/memory3/state', ''), (BLOCKS + '/memoryx/state', 'a')):
        status, _, err = run('map', '-s', guest().write(name, text).path)
        ok(status == 0, '%s: %s' % (name, text.strip().splitlines()[-1:]), err)


def test_random_text():
    random.seed(3)
    names = ['proc/iomem', 'proc/meminfo', 'proc/vmstat', 'proc/zoneinfo',
             BLOCKS + '/block_size_bytes', BLOCKS + '/memory1/state']
    statuses = set()
    for turn in range(40):
        root = cli.Sysroot().words(2048 * [0])
        root.blocks(4 << 20, {0: 'online', 1: 'online'})
        for name in names[:4]:
            root.write(name, cli.fixture('guest/' + name))
        for name in random.sample(names, 2):
            text = bytearray(open(os.path.join(root.path, name), 'rb').read())
            for _ in range(random.choice([1, 3, 30])):
                text[random.randrange(len(text))] = random.randrange(256)
            root.write(name, bytes(text))
        result = run('map', '-s', root.path)
        statuses.add(result[0])
        if result[0] not in (0, 1):
            ok(False, 'turn %d' % turn, str(result))
    ok(statuses <= {0, 1}, 'files with random bytes: a status, no signal')


def png_size(data):
    return struct.unpack('>II', data[16:24])


def svg_signs(text):
    """The letters of the cells of an SVG, line by line."""
    rows = {}
    for element in ElementTree.fromstring(text).iter():
        if element.tag.endswith('}text') and not (
                element.text.startswith('0x') or ' ' in element.text):
            rows.setdefault(int(element.get('y')), []).append(
                (int(element.get('x')), element.text))
    return [''.join(part[1] for part in sorted(rows[y])) for y in sorted(rows)]


def test_images():
    root = guest()
    folder = cli.Sysroot().path
    svg, png = folder + '/map.svg', folder + '/map.png'
    status, out, err = run('map', '-s', root.path, '-w', '80', '--svg', svg)
    ok(status == 0 and not out and not err, '--svg prints nothing', err)
    with open(svg, encoding='utf-8') as file:
        text = file.read()
    lines = [re.sub('[|: ]', '', line.split(' ', 1)[1]) for line in
             run('map', '-s', root.path, '-w', '80', '-N')[1].splitlines()
             if line.startswith('0x')]
    ok(svg_signs(text)[:len(lines)] == lines,
       'an SVG has the cells of the text', repr(svg_signs(text)[:3]))
    link, full = folder + '/link', folder + '/full'
    os.symlink(svg, link)
    os.symlink('/dev/full', full)
    os.chmod(svg, 0o604)
    status, out, err = run('map', '-s', root.path, '-w', '80', '--svg', link)
    ok(status == 0 and os.path.islink(link) and
       os.stat(svg).st_mode & 0o777 == 0o604, 'a link is drawn through', err)
    status, out, err = run('map', '-s', root.path, '-w', '80', '--svg', full)
    ok(status == 1 and 'cannot be written' in err and os.path.islink(full) and
       os.path.exists('/dev/full'), 'a picture that fails removes nothing',
       err)
    ok('logically offline' in text and '0x00000000' in text and
       'lines like the one above' in text and 'A cell is 2 MiB' in text,
       'an SVG has addresses, a legend and a title')
    result = run('map', '-s', root.path, '-w', '80', '--png', png)
    if 'without libpng' in result[2]:
        cli.skip('PNG', 'built without libpng')
    else:
        with open(png, 'rb') as file:
            data = file.read()
        height = int(ElementTree.fromstring(text).get('height'))
        width = int(ElementTree.fromstring(text).get('width'))
        ok(data[:8] == b'\x89PNG\r\n\x1a\n' and data[12:16] == b'IHDR' and
           png_size(data) == (width, height) and data[-8:-4] == b'IEND',
           'a PNG of the same size')
        pixels = zlib.decompress(b''.join(chunks(data, b'IDAT')))
        ok(len(pixels) == height * (3 * width + 1), 'with all its rows')
    fails(run('map', '-s', root.path, '--svg', '/nowhere/x'), 1, '/nowhere/x',
          'a picture that cannot be written')
    dice = random.Random(1)
    root = cli.Sysroot().words(dice.choice((0x400, 0x80, 0x2c))
                               for _ in range(1 << 16))
    names = sorted(os.listdir(folder))
    for path in (svg, folder + '/other.svg'):
        fails(run('map', '-s', root.path, '-c', '4K', '-w', '20', '--svg',
                  path), 1, '--cell', 'a picture too high to be of use')
    with open(svg, encoding='utf-8') as file:
        ok(file.read() == text and sorted(os.listdir(folder)) == names,
           'what was there stays, and nothing is left behind')


def chunks(data, kind):
    at = 8
    while at < len(data):
        length = struct.unpack('>I', data[at:at + 4])[0]
        if data[at + 4:at + 8] == kind:
            yield data[at + 8:at + 8 + length]
        at += 12 + length


def test_usage():
    fails(run('map', '-s', 'x', '-F', 'y'), 2, 'name one',
          '--sysroot and --file')
    root = cli.Sysroot().words([0]).path
    for arguments in (['-c', '3M'], ['-c', '0'], ['-c', '2K'], ['-c', '128T'],
                      ['-c', '2MiBs'], ['-c', ''], ['-w', '19'], ['-w', 'x'],
                      ['--color=pink'], ['-a', '1', '-a', '2'], ['-a', '9,3'],
                      ['--what'], ['more']):
        fails(run('map', '-s', root, *arguments), 2,
              "Try 'coldframe map --help'.", ' '.join(arguments))
    fails(run('map', '-s', root, '-a', '100'), 1, 'there is no frame 0x64',
          'a frame that is not there')
    status, out, err = run('map', '--help')
    ok(status == 0 and '--sysroot DIR' in out and not err, '--help')


for test in (test_guest, test_cells, test_marks, test_states, test_tails,
             test_large, test_color, test_files, test_hostile,
             test_random_text, test_images, test_usage):
    test()
cli.done()
