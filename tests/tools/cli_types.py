# SPDX-License-Identifier: MIT
"""coldframe types, compared with what the kernel's page-types printed of the
same words, and with a model of its rules for words no kernel would write."""

import json
import random
import re

import cli
from cli import fails, fixture, guest, guest_words, ok, run, same

# Bits with a letter in page-types of Linux 6.1; 39 and 49 have lost theirs.
OLD_BITS = list(range(27)) + list(range(32, 42)) + [47, 48, 49, 50, 51, 61, 62,
                                                    63]
GONE = sorted(OLD_BITS.index(bit) for bit in (39, 49))


def modern(text):
    """The output of page-types of Linux 6.1 as a newer one prints it."""
    def drop(letters):
        return ''.join(letter for at, letter in enumerate(letters[0])
                       if at not in GONE)
    letters = r'(?<=[\t ])[A-Za-z_1]{%d}(?=[\t\n])' % len(OLD_BITS)
    return re.sub(letters, drop, text).replace('mappedtodisk', 'owner_2')


def rows(text):
    """{word: frames} of a summary, and the total."""
    found = {}
    for line in text.splitlines():
        if line.startswith('0x'):
            word, rest = line.split('\t', 1)
            found[int(word, 16)] = int(rest.split()[0])
        elif line.startswith('             total'):
            total = int(line.split()[1])
    return found, total


def unexpand(word):
    """The word as the kernel gave it, from what -r showed."""
    for shown, real, when in ((47, 34, 12), (50, 6, 7), (51, 1, 7), (48, 9, 9)):
        if word >> shown & 1 and (when == 9 or word >> when & 1):
            word = (word & ~(1 << shown)) | 1 << real
    return word


def test_guest():
    root = guest()
    at = ['types', '--sysroot', root.path]
    same(run(*at)[1], modern(fixture('page-types-summary.txt')),
         'the guest, as page-types prints it')
    same(run(*at, '-r')[1], modern(fixture('page-types-raw.txt')),
         'the guest with -r, as page-types prints it')
    same(run(*at, '-a', '0x108000,0x110000', '-l')[1],
         modern(fixture('page-types-second-block.txt')),
         'ranges of a block that is half plugged')

    live, total = rows(fixture('page-types-live.txt'))
    now, now_total = rows(run(*at)[1])
    ok(total == now_total, 'the total of the running guest')
    for word, name in ((0x800000, 'offline'), (0x800010, 'never onlined'),
                       (0x100000, 'nopage'), (0x1000000, 'zero page')):
        ok(live[word] == now[word], '%s frames of the running guest' % name,
           '%d, not %d' % (now[word], live[word]))
    status, out, _ = run('types', '-s', root.path, '--json')
    found = json.loads(out)
    ok(status == 0 and found['frames'] == total and not found['raw'] and
       {int(row['flags'], 16): row['frames'] for row in found['types']} == now,
       '--json has the same counts')
    row = [row for row in found['types'] if row['names'] == ['dirty',
                                                            'offline']]
    ok(len(row) == 1 and row[0]['flags'] == '0x0000000000800010' and
       row[0]['letters'] == '____D__________________o' + 19 * '_',
       '--json has letters and names')


def test_host():
    for name, option, real in (('host', [], lambda word: word),
                               ('host-raw', ['-r'], unexpand)):
        text = fixture('page-types-%s.txt' % name)
        root = cli.Sysroot()
        data = b''.join(real(word).to_bytes(8, 'little') * count
                        for word, count in rows(text)[0].items())
        root.write('proc/kpageflags', data)
        same(run('types', '-s', root.path, *option)[1], modern(text),
             'a host of 24 GiB, as page-types prints it: ' + name)
    root = cli.Sysroot().words(256 * [0] + [0x408] + 15 * [0x400])
    same(run('types', '-s', root.path, '-a', '0x100+16', '-L')[1],
         modern(fixture('page-types-host-list-each.txt')),
         'each frame of a range')


def test_lists():
    words = 3 * [0x800000] + [0x400, 0x400, 0x800008, 0x400, 0x10]
    root = cli.Sysroot().words(words)
    root.words([0, 0, 7, 1, 1, 0, 0, 2], 'proc/kpagecount')
    at = ['types', '-s', root.path, '-N']

    def listed(*options):
        out = run(*at, *options)[1].splitlines()
        return [line.split('\t')[:-1] for line in out[1:]]

    ok(listed('-l') == [['0', '3'], ['3', '2'], ['5', '1'], ['6', '1'],
                        ['7', '1']], '-l joins frames that are alike')
    ok(listed('-L') == [['%x' % pfn] for pfn in range(8)], '-L lists each')
    ok(listed('-l', '-M') == [['0', '0', '2'], ['7', '2', '1'],
                              ['1', '3', '2'], ['0', '5', '1'],
                              ['0', '6', '1'], ['2', '7', '1']],
       '-M also tells map counts apart')
    ok(run(*at, '-l')[1].splitlines()[0] == 'offset\tlen\tflags' and
       run(*at, '-L', '-M')[1].splitlines()[0] == 'map-cnt\toffset\tflags',
       'the head of a list')
    for spec, expected in (('3', '3'), ('2+3', '234'), ('2,4', '23'),
                           ('6,', '67'), (',2', '01'), ('0x7', '7'),
                           ('5,900', '567'), ('100,', '')):
        ok(''.join(row[0] for row in listed('-L', '-a', spec)) == expected,
           '-a ' + spec)
    ok(''.join(row[0] for row in listed('-L', '-a', '6,', '-a', '1+2', '-a',
                                        '2+2')) == '12367',
       'several -a: each frame once, in order')
    for spec, expected in (('buddy', '346'), ('offline,buddy', '0123456'),
                           ('offline,uptodate=offline', '012'),
                           ('offline,~uptodate', '012'),
                           ('=offline,uptodate', '5'), ('0x10', '7'),
                           ('dirty,buddy=0', '0125')):
        ok(''.join(row[0] for row in listed('-L', '-b', spec)) == expected,
           '-b ' + spec)
    ok(''.join(row[0] for row in listed('-L', '-b', 'offline', '-b',
                                        'uptodate')) == '5',
       'several -b: all hold')
    root.words([0, 0], 'proc/kpagecount')
    result = run(*at, '-l', '-M')
    ok(result[0] == 1 and 'kpagecount: the file is cut off: its 16 bytes' in
       result[2], 'a kpagecount that is shorter', result[2])


def shown(word):
    """A word without -r."""
    word &= ~(0xffff << 32)
    return word if word >> 17 & 1 else word & ~0x18000


def slot_order(words):
    """Different words by slot of page-types' table, taken as they come."""
    slots = {}
    for word in words:
        at = word % 8192
        while word and (not at or slots.get(at, word) != word):
            at = (at + 1) % 8192
        slots[at] = word
    return [slots[at] for at in sorted(slots)]


def test_order():
    random.seed(2)
    words = [0, 0x1fff, 0x21fff, 0x2000, 0x800000, 1, 2, 0x1000001, 0x101fff]
    words += [random.getrandbits(27) & ~0x1ff0 for _ in range(500)]
    random.shuffle(words)
    out = run('types', '-s', cli.Sysroot().words(words).path)[1]
    found = list(rows(out)[0])
    ok(found == slot_order([shown(word) for word in words]) and
       found != sorted(found), 'rows in the order of the slots')


def test_unknown():
    root = cli.Sysroot().words([1 << 27 | 0x400, 1 << 42, 0, 1 << 63])
    status, out, err = run('types', '-s', root.path)
    ok(status == 0 and '\tbuddy,unknown-bit-27\n' in out and
       'unknown-bit-27' in err and 'unknown-bit-42' not in out + err,
       'a flag without a name is a class', out + err)
    status, out, err = run('types', '-r', '-s', root.path)
    ok(status == 0 and '\tunknown-bit-42\n' in out, 'and so with -r', out)
    status, out, err = run('types', '-s', root.path, '-b', 'unknown-bit-27')
    ok(status == 0 and rows(out)[1] == 1, '-b takes such a name')
    found = json.loads(run('types', '-s', root.path, '--json')[1])
    ok(any('unknown-bit-27' in row['names'] for row in found['types']),
       '--json has it too')
    status, out, err = run('types', '-d', str(1 << 44 | 0x800008))
    ok(status == 0 and out == '0x0000100000800008\t___U' + 19 * '_' + 'o' +
       19 * '_' + '\tuptodate,offline,unknown-bit-44\n', '-d', out)
    ok(run('types', '-s', cli.Sysroot().words(range(1, 1 + 4 * 8192)).path,
           '-r')[0] == 1, 'more words than slots')
    ok(run('types', '-s', cli.Sysroot().words(range(8192)).path)[0] == 0,
       'as many words as slots')


def test_files():
    root = guest()
    at = ['types', '-s', root.path]
    words = guest_words('kpageflags')
    path = root.path + '/proc/kpageflags'
    root.write('proc/kpageflags', words.tobytes()[:-3])
    fails(run(*at), 1, '%s: the file is cut off: its 8912893 bytes' % path,
          'a file that ends within a word')
    root.words(words[:-9])
    fails(run(*at), 1, '%s: the file is cut off: its 8912824 bytes' % path,
          'a file that ends before the last block')
    root.words([])
    fails(run(*at), 1, path + ': the file is empty', 'an empty file')
    root.remove('proc/kpageflags')
    fails(run(*at), 1, path + ': No such file', 'no such file')
    fails(run('types', '-s', '/nowhere/at all'), 1, 'No such file', 'no folder')
    fails(run('types', '-s', '/dev/null'), 1, '/dev/null/', 'not a folder')


def test_usage():
    fails(run('types', '-s', 'x', '-F', 'y'), 2, 'name one',
          '--sysroot and --file')
    root = cli.Sysroot().words([0]).path
    for arguments in (['-a', ''], ['-a', 'x'], ['-a', '5,2'], ['-a', '1+'],
                      ['-a', '-1'], ['-a', '0x10000000000000000'],
                      ['-a', '2+0xffffffffffffffff'], ['-b', ''],
                      ['-b', 'nonsense'], ['-b', 'buddy=~dirty'],
                      ['-b', 'a=b=c'], ['-b', 'buddy,,dirty'], ['--what'],
                      ['more'], ['--json', '-l'], ['--json', '-N']):
        fails(run('types', '-s', root, *arguments), 2,
              "Try 'coldframe types --help'.", ' '.join(arguments))
    fails(run('types', '-d', 'x'), 2, "'x' is no number", '-d x')
    status, out, err = run('types', '--help')
    ok(status == 0 and '--sysroot DIR' in out and not err, '--help')
    with open('/dev/full', 'w', encoding='ascii') as full:
        result = cli.subprocess.run([cli.COLDFRAME, 'types', '-s', root],
                                    check=False, stdout=full,
                                    stderr=cli.subprocess.PIPE)
    ok(result.returncode == 1 and b'No space' in result.stderr,
       'output that does not fit on the disk', str(result))


def test_command():
    status, out, err = run('--help')
    ok(status == 0 and ' types ' in out and ' map ' in out and not err,
       'coldframe --help')
    status, out, err = run('--version')
    ok(status == 0 and out.startswith('coldframe ') and out.count('\n') == 1,
       'coldframe --version')
    fails(run('typse'), 2, "there is no command 'typse'", 'unknown command')
    fails(run('--typse'), 2, "unknown option '--typse'", 'unknown option')
    fails(run(), 2, 'usage: coldframe COMMAND', 'no command')


for test in (test_guest, test_host, test_lists, test_order, test_unknown,
             test_files, test_usage, test_command):
    test()
cli.done()
