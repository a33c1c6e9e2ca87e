# SPDX-License-Identifier: MIT
"""What the tests of the command share: a folder for a capture, running
coldframe, and the TAP lines of tests/build/tap.py."""

import array
import atexit
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'build'))

from tap import done, ok, skip                      # noqa: E402,F401

FIXTURES = os.path.join(HERE, 'fixtures')
COLDFRAME = sys.argv[1]
BLOCKS = 'sys/devices/system/memory'


def fixture(name):
    with open(os.path.join(FIXTURES, name), encoding='utf-8') as file:
        return file.read()


class Sysroot:
    """A folder like the root of a system, removed at the end."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix='coldframe-')
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)

    def write(self, name, data):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data.encode() if isinstance(data, str) else data)
        return self

    def words(self, words, name='proc/kpageflags'):
        return self.write(name, array.array('Q', words).tobytes())

    def blocks(self, size, states):
        """states: {number: what its state file says}"""
        self.write(BLOCKS + '/block_size_bytes', '%x\n' % size)
        for number, state in states.items():
            self.write('%s/memory%d/state' % (BLOCKS, number), state + '\n')
        return self

    def remove(self, name):
        os.remove(os.path.join(self.path, name))
        return self


def guest_words(name):
    data = gzip.open(os.path.join(FIXTURES, 'guest', 'proc', name + '.gz'))
    return array.array('Q', data.read())


def guest():
    """The captured guest, see fixtures/README."""
    root = Sysroot()
    for name in ('kpageflags', 'kpagecount'):
        root.words(guest_words(name), 'proc/' + name)
    for name in ('iomem', 'meminfo', 'vmstat', 'zoneinfo'):
        root.write('proc/' + name, fixture('guest/proc/' + name))
    return root.blocks(128 << 20, {number: 'online' for number in
                                   list(range(8)) + [32, 33]})


def run_all(texts, *options):
    """Run scenarios, one command for all of them: a report each."""
    with tempfile.TemporaryDirectory(prefix='coldframe-all-') as folder:
        names = []
        for number, text in enumerate(texts):
            names.append(os.path.join(folder, '%d.cf' % number))
            with open(names[-1], 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run([COLDFRAME, 'run', '--json', *options, *names],
                              check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(*arguments, **environment):
    """(exit status, stdout, stderr); a status below 0 is a signal."""
    clean = {name: value for name, value in os.environ.items()
             if name not in ('COLUMNS', 'NO_COLOR')}
    result = subprocess.run([COLDFRAME] + list(arguments), check=False,
                            stdin=subprocess.DEVNULL, capture_output=True,
                            env=dict(clean, **environment))
    return (result.returncode, result.stdout.decode(errors='replace'),
            result.stderr.decode(errors='replace'))


def same(found, expected, name):
    """One point: two texts are equal; else the first lines that differ."""
    notes = []
    if found != expected:
        ours, theirs = found.splitlines(), expected.splitlines()
        for i in range(max(len(ours), len(theirs))):
            a = ours[i] if i < len(ours) else '(end)'
            b = theirs[i] if i < len(theirs) else '(end)'
            if a != b:
                notes += ['line %d' % (i + 1), 'found    ' + a,
                          'expected ' + b]
        notes = notes or ['they differ in a newline']
    return ok(found == expected, name, '\n'.join(notes))


def fails(result, status, part, name):
    """One point: it exits so, says that on stderr, and prints nothing."""
    good = (result[0] == status and part in result[2] and not result[1])
    return ok(good, name, 'status %d\nstdout %s\nstderr %s' % result)


def in_session(session):
    """The processes of a session, but for those that have ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % pid, encoding='latin-1') as file:
                state = file.read().rpartition(')')[2].split()[0]
            if os.getsid(int(pid)) == session and state != 'Z':
                found.append(pid)
        except OSError:
            pass
    return found


def is_writing(session, folder):
    """Has a process of a session something in a file without a name?"""
    for pid in in_session(session):
        try:
            for name in os.listdir('/proc/%s/fd' % pid):
                path = '/proc/%s/fd/%s' % (pid, name)
                where = os.readlink(path)
                if where.startswith(folder) and where.endswith('(deleted)') \
                        and os.stat(path).st_size:
                    return True
        except OSError:
            pass
    return False
