# SPDX-License-Identifier: MIT
"""dump, dump-info, dump-diff, and commands that see on dumps: what they print,
what they exit with, and that no half file gets a name."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import cli
from cli import ok

SOURCE = os.path.dirname(os.path.dirname(cli.HERE))
SCENARIOS = ['nodes', 'retirement', 'partly-plugged']
SEEING = [['types'], ['map'], ['blocks'], ['chunks'], ['offline-map'],
          ['account'], ['why', '0']]

BIG = '''
machine memory 256M
alloc data 192M movable order 9
'''
SMALL = '''
machine memory 256M
owner drv
alloc data 32M movable
offline-alloc cold 64M owner drv
'''
LATER = SMALL + '''
free data[0]
alloc more 1 order 4
'''


def coldframe(*words, **options):
    return subprocess.run([cli.COLDFRAME] + list(words), check=False,
                          capture_output=True, text=True, errors='replace',
                          **options)


def scenario(name):
    return os.path.join(SOURCE, 'scenarios', name + '.cf')


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)
    return path


def seeing(folder):
    """A dump shows what an export of the same machine shows."""
    for name in SCENARIOS:
        root = os.path.join(folder, name)
        dump = root + '.dump'
        coldframe('run', '-q', '--export', root, scenario(name))
        coldframe('dump', '-q', '-d', '31', scenario(name), dump)
        for words in SEEING:
            one = coldframe(*words, '--sysroot', root)
            two = coldframe(*words, '-F', dump)
            first = one.stdout.replace(root, 'X')
            second = two.stdout.replace(dump, 'X')
            ok(first == second and one.returncode == two.returncode,
               '%s of %s' % (words[0], name), first + second + two.stderr)


def usage(folder):
    small = write(os.path.join(folder, 'small.cf'), SMALL)
    out = os.path.join(folder, 'never')
    for words, what in (
            (['-d', '32'], 'a level that is none'),
            (['--elf', '--kdump'], 'two formats'),
            (['--elf', '--compress', 'zstd'], 'a packed core'),
            (['--compress', 'lzw'], 'an unknown packer'),
            (['--nonsense'], 'an unknown option')):
        done = coldframe('dump', *words, small, out)
        ok(done.returncode == 2 and not os.path.exists(out) and done.stderr,
           what, done.stderr)
    done = coldframe('dump', small)
    ok(done.returncode == 2, 'no file', done.stderr)
    done = coldframe('dump', folder + '/none.cf', out)
    ok(done.returncode == 2 and not os.path.exists(out), 'no scenario')
    done = coldframe('dump', small, folder + '/none/dump')
    ok(done.returncode == 1 and 'No such file' in done.stdout + done.stderr,
       'no folder', done.stdout)
    done = coldframe('dump-info', '/dev/null')
    ok(done.returncode == 1 and done.stderr, 'no dump', done.stderr)
    done = coldframe('dump-info', cli.COLDFRAME)
    ok(done.returncode == 1 and 'no core' in done.stderr, 'a program',
       done.stderr)


def failed(folder):
    """Whatever fails, wherever it stands: nothing is written."""
    out = os.path.join(folder, 'never')
    for step, word in (('alloc more 900M', 'the last step'),
                       ('alloc more 900M\nsay next', 'a step'),
                       ('expect free == 0', 'an expectation')):
        path = write(os.path.join(folder, 'failed.cf'),
                     'machine memory 128M span 1G\n%s\n' % step)
        done = coldframe('dump', path, out)
        ok(done.returncode == 1 and not os.path.exists(out) and
           'nothing is written' in done.stdout,
           word + ' failed: no file comes of it', done.stdout)


def formats(folder):
    """All ways to write the same machine are alike."""
    small = write(os.path.join(folder, 'small.cf'), SMALL)
    first = os.path.join(folder, 'first')
    other = os.path.join(folder, 'other')
    ok(not coldframe('dump', '-q', '-d', '0', small, first).returncode,
       'zlib')
    for words in (['--elf'], ['--compress', 'zstd'], ['--compress', 'none'],
                  ['--threads', '1'], ['--threads', '7']):
        done = coldframe('dump', '-q', '-d', '0', *words, small, other)
        same = coldframe('dump-diff', '--exit-code', first, other)
        ok(not done.returncode and not same.returncode, ' '.join(words),
           done.stderr + same.stdout)
    for words in ([], ['--elf']):
        with open(other, 'wb') as file:
            done = subprocess.run(
                [cli.COLDFRAME, 'dump', '-q', '-d', '0'] + words +
                [small, '-'], stdout=file, stderr=subprocess.PIPE,
                check=False)
        same = coldframe('dump-diff', '--exit-code', first, other)
        ok(not done.returncode and not same.returncode,
           'a stream ' + ' '.join(words), same.stdout)
    info = json.loads(coldframe('dump-info', '-j', first).stdout)
    ok(info['frames'] == 65536 and
       info['classes']['offline'] == {'frames': 16384, 'dumped': 0} and
       info['written']['adds-up'], 'totals', repr(info))
    later = write(os.path.join(folder, 'later.cf'), LATER)
    coldframe('dump', '-q', '-d', '0', later, other)
    diff = json.loads(coldframe('dump-diff', '-j', first, other).stdout)
    ok(diff['class'] == 17 and diff['first'][0]['from'] == 'cache' and
       diff['first'][0]['to'] == 'free', 'what differs', repr(diff))
    ok(coldframe('dump-diff', '-e', first, other).returncode == 1 and
       coldframe('dump-diff', first, other).returncode == 0, 'exit codes')


def steps(folder):
    """In the middle of a scenario, while a load runs."""
    path = write(os.path.join(folder, 'step.cf'), '''
machine memory 256M cpus 2
load 1 workers order 4 hold 32M
wait 20ms
dump %s/mid level 0
dump %s/mid.elf level 16 elf
expect fails dump %s/none/mid
load stop
''' % (folder, folder, folder))
    done = coldframe('run', path)
    ok(not done.returncode, 'a step dumps while a load runs', done.stdout)
    for name in ('mid', 'mid.elf'):
        info = coldframe('dump-info', '-j', os.path.join(folder, name))
        ok(not info.returncode and
           json.loads(info.stdout)['frames'] == 65536, name, info.stderr)


def one_file_twice(folder):
    """A dump would take the place of another."""
    path = os.path.join(folder, 'twice.cf')
    one = os.path.join(folder, 'one')
    write(path, 'machine memory 128M\ndump %s\nsave %s\n' % (one, one))
    done = coldframe('run', path)
    ok(done.returncode == 2 and 'line 2 writes the same file' in done.stderr
       and not os.path.exists(one), 'two steps of one file', done.stderr)
    write(path, 'machine memory 128M\ndump %s level 16\n' % one)
    done = coldframe('dump', path, one)
    ok(done.returncode == 2 and 'of the same file' in done.stderr and
       not os.path.exists(one), 'a step and the command', done.stderr)
    write(path, 'machine memory 128M\nexpect fails dump %s/none/mid\n'
          'expect fails save %s/none/mid\n' % (folder, folder))
    done = coldframe('run', path)
    ok(not done.returncode, 'steps that are to fail write nothing',
       done.stdout + done.stderr)
    write(path, 'machine memory 128M\ndump /dev/null\ndump /dev/null\n')
    done = coldframe('run', path)
    ok(not done.returncode, 'a device takes both', done.stdout + done.stderr)


def differences(folder):
    """Contents that only one dump has, and totals that are not the map's."""
    small = write(os.path.join(folder, 'small.cf'), SMALL)
    path = [os.path.join(folder, name) for name in ('all', 'less', 'odd')]
    coldframe('dump', '-q', '--elf', '-d', '0', small, path[0])
    coldframe('dump', '-q', '--elf', '-d', '16', small, path[1])
    free = json.loads(coldframe('dump-info', '-j', path[0]).stdout)
    free = sum(free['classes'][name]['frames'] for name in ('free', 'cached'))
    for first, second, member in ((0, 1, 'only-a'), (1, 0, 'only-b')):
        done = coldframe('dump-diff', '-j', '-e', path[first], path[second])
        diff = json.loads(done.stdout)
        ok(done.returncode == 1 and diff[member] == free > 0 and
           diff['only-a'] + diff['only-b'] == free and
           diff['first'][0]['change'] == member and not diff['contents'],
           member, done.stdout)
    done = coldframe('dump-diff', path[0], path[1])
    ok('%d frames with contents only in A, 0 only in B' % free in done.stdout,
       'and in words', done.stdout)

    # The sum is as before, the classes are not.
    with open(path[0], 'rb') as file:
        data = file.read()
    value = {name: re.search(rb'FRAMES\(%s\)=(\d+)\n' % name, data)
             for name in (b'offline', b'cache')}
    for name, by in ((b'offline', -1), (b'cache', 1)):
        old = value[name]
        new = b'%0*d' % (len(old[1]), int(old[1]) + by)
        data = data[:old.start(1)] + new + data[old.end(1):]
    with open(path[2], 'wb') as file:
        file.write(data)
    done = coldframe('dump-info', '-j', path[2])
    ok(json.loads(done.stdout)['written']['adds-up'] is False,
       'each class adds up, or it is said', done.stdout)
    done = coldframe('dump-info', path[2])
    ok('16383 and not 16384 offline' in done.stdout, 'and which', done.stdout)


def names(folder):
    """Names in a dump and of files reach neither terminals nor JSON raw."""
    small = write(os.path.join(folder, 'small.cf'), SMALL)
    path = os.path.join(folder, 'named')
    coldframe('dump', '-q', '--elf', small, path)
    with open(path, 'rb') as file:
        data = file.read()
    evil = data.replace(b'MACHINE=embedded', b'MACHINE=em\x1b[31m\xff')
    evil = re.sub(rb'(OWNER=\d+,\d+,)drv',
                  lambda found: found[1] + b'd\x1bv', evil)
    ok(evil != data and len(evil) == len(data), 'a dump with such names')
    odd = os.fsencode(path) + b'\xff\x1b'
    with open(odd, 'wb') as file:
        file.write(evil)
    for words in (['dump-info'], ['dump-info', '-j'], ['why', '-F'],
                  ['account', '-F'], ['blocks', '-F']):
        more = ['0'] if words[0] == 'why' else []
        done = subprocess.run([cli.COLDFRAME] + words + [odd] + more,
                              check=False, capture_output=True)
        text = done.stdout.replace(odd, b'')
        ok(text and b'\x1b' not in text and b'\xff' not in text,
           'clean: ' + ' '.join(words), repr(done.stdout[:300]))
    done = coldframe('dump-info', '-j', odd)
    ok(json.loads(done.stdout)['written']['machine'] == 'em?[31m?',
       'JSON of them', done.stdout)


def small_files():
    """What ulimit -f does, without the signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def end_in_the_middle(words, out, folder, number):
    """Was it ended by the signal while it wrote?"""
    with subprocess.Popen([cli.COLDFRAME, 'dump', '-q', '-t', '1', *words,
                           out], stdout=subprocess.DEVNULL,
                          start_new_session=True) as child:
        while child.poll() is None:
            if cli.is_writing(child.pid, folder):
                os.killpg(child.pid, number)
                return child.wait() == -number
    return False


def ended_in_the_middle(words, out, folder, number):
    """What stood under the name still does."""
    ended = False
    for _ in range(5):
        # It may have been done before anybody saw that it was at it.
        write(out, 'as it was')
        ended = end_in_the_middle(words, out, folder, number)
        if ended:
            break
    with open(out, 'rb') as file:
        head = file.read(10)
    ok(ended and head == b'as it was', 'ended in the middle by %s: %s' % (
        number.name, ' '.join(map(os.path.basename, words))), '%s %r' % (
            ended, head))


def sparse(folder):
    """Zeroes take no room in a core, at any level."""
    big = write(os.path.join(folder, 'zeroes.cf'),
                'machine memory 256M\nalloc zeroes 192M untouched order 9\n'
                'alloc data 4M\n')
    out = os.path.join(folder, 'out')
    for level in '0', '1':
        done = coldframe('dump', '-q', '--elf', '-d', level, big, out)
        status = os.stat(out)
        ok(not done.returncode and status.st_size > 200 << 20 and
           status.st_blocks * 512 < 8 << 20, 'a core of zeroes, level %s' %
           level, repr(status))


def peak(*words):
    """MiB a command and its children took at most, and how it ended."""
    with subprocess.Popen([cli.COLDFRAME, *words], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss >> 10, child.returncode


def memory(folder):
    """A dump takes some MiB a thread, however much is in it."""
    big = write(os.path.join(folder, 'big.cf'), BIG)
    out = os.path.join(folder, 'out')
    # Sanitizers keep what is freed.
    with open(cli.COLDFRAME, 'rb') as file:
        program = file.read()
    checked = b'__asan_init' in program or b'__tsan_init' in program
    alone, _ = peak('run', '-q', big)
    for words in (['--elf'], ['--compress', 'zstd'], ['--compress', 'none']):
        much, status = peak('dump', '-q', '-d', '0', '-t', '2', *words, big,
                            out)
        ok(not status and (checked or much < alone + 48), 'memory of ' + ' '.join(words),
           '%s, %s alone' % (much, alone))


def failures(folder):
    big = write(os.path.join(folder, 'big.cf'), BIG)
    out = write(os.path.join(folder, 'out'), 'as it was')
    before = sorted(os.listdir(folder))
    done = coldframe('dump', '-q', big, out, preexec_fn=small_files)
    ok(done.returncode == 1 and 'File too large' in done.stdout + done.stderr,
       'a full disk', done.stdout + done.stderr)
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([cli.COLDFRAME, 'dump', '-q', big, '-'],
                              stdout=full, stderr=subprocess.PIPE, text=True,
                              check=False)
    ok(done.returncode == 1 and 'No space' in done.stderr, 'a full device',
       done.stderr)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([cli.COLDFRAME, 'dump', '-q', big, '-'],
                          stdout=writer, stderr=subprocess.PIPE, text=True,
                          check=False)
    os.close(writer)
    ok(done.returncode == 1 and 'Broken pipe' in done.stderr,
       'a closed pipe', done.stderr)
    for words, number in (([big], signal.SIGKILL), ([big], signal.SIGTERM),
                          ([big], signal.SIGINT),
                          (['--elf', '-d', '0', big], signal.SIGKILL)):
        ended_in_the_middle(words, out, folder, number)
    ok(sorted(os.listdir(folder)) == before, 'nothing else is left',
       repr(os.listdir(folder)))
    dump = os.path.join(folder, 'dump')
    coldframe('dump', '-q', '-d', '0', big, dump)
    ended_in_the_middle(['--from', dump], out, folder, signal.SIGKILL)
    ok(sorted(os.listdir(folder)) == sorted(before + ['dump']),
       'nor of a dump of a dump', repr(os.listdir(folder)))


def cut(folder):
    """Cut off anywhere: said, never taken for whole."""
    small = write(os.path.join(folder, 'small.cf'), SMALL)
    whole = os.path.join(folder, 'whole')
    part = os.path.join(folder, 'part')
    for words in ([], ['--elf']):
        coldframe('dump', '-q', *words, small, whole)
        with open(whole, 'rb') as file:
            data = file.read()
        wrong = 0
        for size in (0, 3, 100, 5000, len(data) // 3, len(data) - 5000,
                     len(data) - 1):
            with open(part, 'wb') as file:
                file.write(data[:size])
            done = coldframe('dump-info', part)
            wrong += done.returncode != 1 or not done.stderr
        ok(not wrong, 'cut off ' + ' '.join(words), str(wrong))
        draw = random.Random(1)
        died = silent = 0
        for _ in range(40):
            bad = bytearray(data)
            for _ in range(draw.randrange(1, 20)):
                bad[draw.randrange(len(bad)) if draw.random() < 0.5 else
                    draw.randrange(12288)] ^= 1 << draw.randrange(8)
            with open(part, 'wb') as file:
                file.write(bad)
            done = coldframe('dump-info', part)
            died += done.returncode not in (0, 1)
            silent += done.returncode == 1 and not done.stderr
        ok(not died and not silent, 'bits flipped ' + ' '.join(words),
           '%d died, %d silent' % (died, silent))


def empty_records(folder):
    """A file of zeroes after the header is empty records without an end."""
    part = os.path.join(folder, 'part')
    with open(part, 'wb') as file:
        file.write(b'makedumpfile'.ljust(16, b'\0') + (1).to_bytes(8, 'big') +
                   (1).to_bytes(8, 'big'))
        file.truncate(1 << 40)
    done = coldframe('dump-info', part)
    ok(done.returncode == 1 and 'empty' in str(done.stderr), 'empty records',
       done.stderr)


def main():
    shared = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    for test in (seeing, usage, failed, formats, steps, one_file_twice, differences,
                 names, failures, sparse, memory, cut, empty_records):
        folder = tempfile.mkdtemp(prefix='coldframe-dump-', dir=shared)
        try:
            test(folder)
        finally:
            shutil.rmtree(folder)
    return cli.done()


if __name__ == '__main__':
    sys.exit(main())
