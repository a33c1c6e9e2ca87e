# SPDX-License-Identifier: MIT
"""coldframe save and restore: every shipped scenario at its end ("end") and cut
in the middle ("cut"), report against report and record against record, every
other one of them ("even", "odd") or all; without such a word all else: files
that are damaged, and files that cannot be written."""

import concurrent.futures
import glob
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import cli
from cli import COLDFRAME, ok

ROOT = os.path.dirname(os.path.dirname(cli.HERE))
SCENARIOS = sorted(glob.glob(os.path.join(ROOT, 'scenarios', '*.cf')))
# A disk would be waited for: each file is flushed to it.
FOLDER = tempfile.TemporaryDirectory(
    prefix='coldframe-save-',
    dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)

# Kinds of records, as the file has them.
END, MACHINE, PLUGGED, RUN, CONTENT = 0, 1, 4, 9, 21
OBJECT, GIVEN, PART = 25, 26, 28

# Not of the machine, but of the run: what steps came to, and how large the
# process is, which depends on what was ever touched.
OF_THE_RUN = ('scenario', 'status', 'steps', 'checks', 'saved', 'restored')

# What a cut loses, and by which word the expectations after it know it: the
# memory of the process, and what CPUs have at hand.
LOST = ('rss', 'cached', 'resident')

SMALL = '''machine memory 64M span 256M block 16M bad-frames 8
owner files movable
owner vm exposes plugged
add block 5 owner vm
plug vm block 5 chunks 0-3
online block 5 zone movable
alloc data 4M order 3 owner files zone movable
alloc tables 5 type pgtable
alloc untouched 2M order 9 untouched
pin data[2] times 3
offline-alloc gap frames 40M+1M owner files
retire frame 20M
'''


LOAD = '''machine memory 128M span 1G cpus 4
add block 1
online block 1 zone movable
load 3 workers order 4 hold 24M zone movable
wait 50ms
save
'''

# A driver waits for an answer that does not come.
LATE = '''machine memory 128M span 1G
virtio-mem vm0 blocks 1-3
late vm0
request vm0 64M no-wait
work vm0 times 5
'''

# Records with times of devices that are at it.
OF_THE_MOMENT = ('object',)

# Saved at its end or in its middle, these are refused, and why.
REFUSED = {
    'lying-device.cf.end': b'mute has not finished with its device',
    'private-guest.cf.cut': b'vm is making pages private',
}

OWNERS = '''machine memory 256M block 64M cpus 2 nodes 2
owner vhost
guest vm 1M
guest convert vm 0 times 32
guest step vm
guest hold vm 50 owner vhost
guest hold vm 50 owner vhost
pool huge
pool size huge 4
pool size huge 1 node 1
pool surplus huge 1
pool take huge 3
pool reserve huge 3
pool take huge 1 reserve
elastic cache
elastic store cache 3000
elastic forget cache every 5
elastic lock cache 10
elastic lock cache 10
elastic shrink cache 1M
'''

RANGES = '''machine memory 32M span 256M block 16M bad-frames 8
pagemap gpu block 4 kind private
pagemap shared block 5 kind coherent metadata self
pagemap pmem block 6 kind fs-dax
pagemap bridge block 7 kind p2p
pagemap raw block 8 kind generic metadata self
hand-out textures 2 pagemap gpu order 9
hand-out pieces 64K pagemap gpu
remember page pieces[3]
get page
pin page
remember gone frame 66M
retire gone
alloc process 4M order 9
move process pagemap gpu
remember walker process[0]
get walker
hand-out kept 2 pagemap shared order 9
hand-out before 256K pagemap pmem
free before
hand-out mapping 128K pagemap pmem
hand-out after 64K pagemap pmem
free after
hand-out windows 32K pagemap bridge
pin windows[1]
hand-out held 64K pagemap raw
remember hit held[5]
retire hit
'''

# Device memory whose first frame is bad, or two that are neighbours, or all.
SPOILED = {
    'the first frame of a run': '''pagemap shared block 5 kind coherent
hand-out kept 2 pagemap shared order 9
remember hit kept[0]
retire hit
''',
    'two that are neighbours': '''pagemap shared block 5 kind coherent
hand-out kept 2 pagemap shared order 9
remember hit frame 24000
retire hit
remember other frame 24001
retire other
''',
    'the first of a moved run': '''pagemap gpu block 5 kind private
alloc process 4M order 9
move process pagemap gpu
remember hit process[0]
retire hit
''',
    'the only frame of a run': '''pagemap raw block 5 kind p2p
hand-out held 2 pagemap raw
remember hit held[0]
retire hit
''',
}

DEVICES = '''machine memory 128M span 1G block 128M
virtio-mem vm0 blocks 1-3 over mmio
virtio-mem big blocks 4-5 big-blocks zone normal
virtio-balloon b over msix
virtio-mem gone blocks 6-7
request vm0 200M
request big 128M
request gone 66M
balloon b 12M
alloc data 16M order 3 movable zone movable
unload gone force
refusing big
expect fails again plug big 128M
late vm0
'''


def path(name):
    return os.path.join(FOLDER.name, name)


def write(name, text):
    with open(path(name), 'wb') as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path(name)


def read(name):
    with open(path(name), 'rb') as file:
        return file.read()


def drop(file):
    if os.path.exists(file):
        os.remove(file)


def run(*args, stdin=None, **more):
    return subprocess.run([COLDFRAME, *args], input=stdin, timeout=120,
                          capture_output=True, check=False, **more)


def report(done):
    """The machine's own part of a report."""
    try:
        object = json.loads(done.stdout)
    except ValueError:
        return None
    for key in OF_THE_RUN:
        object.pop(key, None)
    object.get('counters', {}).pop('rss', None)
    for device in object.get('virtio-mem', ()):
        device.pop('resident', None)
    return object


def differences(a, b, at=''):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b)):
            yield from differences(a.get(key), b.get(key), at + '.' + key)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (left, right) in enumerate(zip(a, b)):
            yield from differences(left, right, '%s[%d]' % (at, i))
    elif a != b:
        yield '%s: %r, then %r' % (at, a, b)


def save(text, *options):
    return run('save', '--json', *options, '-', path('m'),
               stdin=text.encode())


def same(saved, restored):
    """'' if the two reports say the same of the machine."""
    a, b = report(saved), report(restored)
    if a is None or b is None:
        return 'no report: %r %r' % (saved.stdout[-200:] + saved.stderr,
                                     restored.stdout[-200:] + restored.stderr)
    return '; '.join(list(differences(a, b))[:4])


def text_of(name):
    with open(name, encoding='utf-8') as file:
        return file.read()


def is_step(line):
    return bool(line.split('#')[0].strip())


def refusal(done, file):
    """The pinned result of a scenario that cannot be saved."""
    word = os.path.basename(file)
    return (done.returncode == 1 and REFUSED[word] in done.stdout and
            not os.path.exists(file), word + ': it is said what cannot be'
            ' saved', repr(done.stdout[-300:]))


# Of a driver that is at it, or waits for its next try: its record has times.
AT_IT = ('growing', 'shrinking', 'cleaning', 'inflating', 'deflating',
         'backing-off')


def is_at_it(saved):
    """Does a device wait for its next try?"""
    return any(device['state'] in AT_IT for sort in
               ('virtio-mem', 'virtio-balloon') for device in
               (saved or {}).get(sort, ()))


def differing(file, other, moment):
    """'' if two files say the same, but for what is of the moment."""
    done = run('save-diff', '-j', file, other)
    if done.returncode:
        return repr(done.stderr)
    diff = json.loads(done.stdout)
    kinds = {kind: count for kind, count in diff['records'].items()
             if kind not in moment}
    kinds['contents'] = diff['contents']
    wrong = {kind: count for kind, count in kinds.items()
             if any(count[key] for key in count if key != 'same')}
    return repr(wrong) if wrong else ''


def restored(word, file, done):
    """It says the same, and is the same when it is saved once more. Workers
    and walkers stand still for that. A load has ended when the report is
    made, but where there is no step: then it is asked for by itself."""
    other = file + '.again'
    again = first = run('restore', '-j', file, '-',
                        stdin=b'save %s\n' % other.encode())
    if (report(done) or {'load': {'workers': 0}})['load']['workers']:
        first = run('restore', '-j', file)
    wrong = same(done, first)
    results = [(not wrong and first.returncode == 0,
                word + ': the same report', wrong)]
    moment = OF_THE_MOMENT if is_at_it(report(done)) else ()
    wrong = differing(file, other, moment) if again.returncode == 0 else \
        repr(again.stdout[-300:] + again.stderr)
    results.append((not wrong, word + ': every word and every frame', wrong))
    drop(other)
    return results


def at_end(name):
    """What is to be said of a scenario: (holds, name, diagnosis) each."""
    word = os.path.basename(name)
    file = path(word + '.end')
    done = run('save', '-j', name, file)
    if os.path.basename(file) in REFUSED:
        return [refusal(done, file)]
    results = [(done.returncode == 0, word + ': saved', repr(done.stderr))] + \
        restored(word, file, done)
    drop(file)
    return results


def without_lost(lines):
    """The steps after a cut, less what asks for what no file keeps."""
    return [line for line in lines if not (
        line.strip().startswith('expect ') and
        any(word in line.split() for word in LOST))]


def cut_of(lines):
    """Where to cut: at the point, whatever runs there."""
    return next(i for i, line in enumerate(lines) if '# the point' in line)


def test_load():
    """Workers are at it when the machine is saved, and go on after."""
    done = save(LOAD)
    again = run('restore', '-j', path('m'))
    ok(not same(done, again), 'with a load: the same report',
       same(done, again))
    load = json.loads(again.stdout)['load']
    ok(load['workers'] == 3 and load['held'] > 0, 'workers hold memory',
       repr(load))
    on = run('restore', '-j', path('m'), '-', stdin=b'''wait 50ms
verify
load stop
expect load errors == 0 held == 0
expect folio == 0 kernel == 0
''')
    ok(on.returncode == 0, 'they go on, and all contents are right',
       repr(on.stdout[-300:] + on.stderr))
    after = json.loads(on.stdout)['load']
    ok(after['ops'] > load['ops'], 'from where they were',
       repr((load, after)))


def in_middle(name):
    lines = text_of(name).splitlines()
    at = cut_of(lines)
    word = '%s, cut in line %d' % (os.path.basename(name), at + 1)
    file = path(os.path.basename(name) + '.cut')
    done = run('save', '-j', '-', file,
               stdin='\n'.join(lines[:at + 1] + ['save', '']).encode())
    if os.path.basename(file) in REFUSED:
        return [refusal(done, file)]
    results = restored(word, file, done)
    rest = without_lost(lines[at + 1:])
    if any(map(is_step, rest)):
        on = run('restore', '-q', file, '-',
                 stdin=('\n'.join(rest) + '\n').encode())
        results.append((on.returncode == 0, word + ': goes on',
                        repr(on.stdout[-300:] + on.stderr)))
    drop(file)
    return results


def test_scenarios(one, scenarios):
    """Two at a time: each is a few processes that wait for each other."""
    stay = set()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for scenario, results in zip(scenarios, pool.map(one, scenarios)):
            for result in results:
                ok(*result)
            if not any(holds and word.endswith(': the same report')
                       for holds, word, _ in results):
                stay.add(os.path.basename(scenario))
    here, there = ('.end', '.cut') if one is at_end else ('.cut', '.end')
    ok(scenarios and all(name + here in REFUSED and name + there not in
                         REFUSED for name in stay),
       'who does not go round here does so at the other place', repr(stay))


def test_whole():
    done = save(SMALL)
    ok(done.returncode == 0, 'a small machine is saved', repr(done.stderr))
    saved = json.loads(done.stdout)['saved']
    ok(saved['contents'] == 4 << 20 | 5 << 12, 'contents: what was written',
       repr(saved))
    ok(saved['zero'] == 2 << 20, 'untouched frames are zero, and not stored',
       repr(saved))
    ok(os.path.getsize(path('m')) == saved['bytes'] and
       os.stat(path('m')).st_mode & 0o777 == 0o600,
       'the file is as large as it says, and nobody else\'s')
    done = run('restore', '-q', path('m'), '-', stdin=b'''expect set data intact
expect frame data[2] refs == 4 pins == 3
unpin data[2] times 3
free data
expect frame 40M type offline owner files
offline-free gap
free tables
drain
expect owner files frames == 0
verify
''')
    ok(done.returncode == 0, 'what was in it is in it, and can be used',
       repr(done.stdout))
    spoiled = save(SMALL + 'scribble data[7]\n')
    done = run('restore', '-q', path('m'), '-',
               stdin=b'expect set data intact\n')
    ok(spoiled.returncode == 0 and done.returncode == 1 and
       b'data[7]' in done.stdout, 'contents are kept as they are, right or'
       ' wrong', repr(done.stdout))
    done = run('restore', '-q', path('m'), '-', stdin=b'machine memory 128M\n')
    ok(done.returncode == 2 and b'machine already' in done.stderr,
       'a scenario that goes on has no machine step', repr(done.stderr))
    done = run('restore', '-q', path('m'), '-', stdin=b'alloc data 1\n')
    ok(done.returncode == 2 and b'goes on from' in done.stderr,
       'nor a name that is taken', repr(done.stderr))


def test_streams():
    scenario = write('small.cf', SMALL)
    save(SMALL)
    whole = run('restore', '-j', path('m'))
    piped = run('save', '-j', scenario, '-')
    done = run('restore', '-j', '-', stdin=piped.stdout)
    ok(piped.stdout[:8] == b'CFSAVED\n' and json.loads(piped.stderr),
       'standard output has the file, standard error the report')
    ok(not same(whole, done), 'through a pipe as through a file',
       same(whole, done))
    for level in '0', '19':
        save(SMALL, '--level', level)
        done = run('restore', '-j', path('m'))
        ok(not same(whole, done), 'level %s' % level, same(whole, done))
    done = save('machine memory 128M\nsave %s\nalloc a 4M\n' % path('inner'))
    again = run('restore', '-j', path('inner'))
    ok(done.returncode == 0 and again.returncode == 0 and
       not json.loads(again.stdout)['sets'], 'a save in mid-run, by name')
    done = run('run', '-q', write('dry.cf', 'machine memory 128M\nsave\n'))
    ok(done.returncode == 0, 'a save without a name is a rehearsal',
       repr(done.stdout))


def test_diff():
    save(SMALL)
    os.rename(path('m'), path('a'))
    save(SMALL + 'scribble data[7]\nunpin data[2]\nalloc more 1 type slab\n')
    os.rename(path('m'), path('b'))
    done = run('save-diff', '-j', path('a'), path('b'))
    diff = json.loads(done.stdout)
    ok(done.returncode == 0 and not diff['same'] and
       diff['contents'] == {'same': (4 << 20) + 4 * 4096 + 4096 - 4096,
                            'changed': 4096, 'only-first': 0,
                            'only-second': 4096} and
       diff['records']['run']['changed'] == 1 and
       diff['frames']['slab']['only-second'] == 4096,
       'what differs is counted', repr(diff))
    done = run('save-diff', '-l', path('a'), path('b'))
    ok(b'pins 3 -> 32K folio' in done.stdout and b'pins 2' in done.stdout and
       b'nothing -> 4K slab' in done.stdout, 'and listed', repr(done.stdout))
    done = run('save-diff', path('a'), path('a'))
    ok(done.stdout == b'the same\n', 'a file against itself')
    done = run('save-diff', path('a'), write('half', read('b')[:3000]))
    ok(done.returncode == 1 and b'half: it ends' in done.stderr,
       'one that is damaged', repr(done.stderr))
    done = run('save-diff', path('a'))
    ok(done.returncode == 2, 'one is too few')


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]


def refused(word, data, say):
    done = run('restore', '-q', write('bad', data))
    ok(done.returncode == 1 and say in done.stderr.decode() and
       not done.stdout, word, repr(done.stderr + done.stdout))


def head(version, good=True):
    body = b'CFSAVED\n' + struct.pack('<IIQI', version, 0, 0, 0)
    return body + struct.pack('<I', zlib.crc32(body) ^ (not good))


def test_damage():
    save(SMALL, '-l', '3')
    data = read('m')
    refused('no file of ours', b'something else entirely, and longer', 'not a'
            ' saved machine')
    refused('an empty file', b'', 'not a saved machine')
    refused('a newer version', head(2) + data[32:], 'newer coldframe')
    refused('a newer version whose head is another', head(9, False),
            'newer coldframe')
    refused('a damaged head', head(1, False), 'damaged')
    refused('something behind the end', data + b'x', 'behind the end')
    step = max(1, len(data) // 5)
    short = all(run('restore', '-q', write('bad', data[:at])).returncode == 1
                for at in range(0, len(data), step))
    ok(short, 'truncated anywhere: refused')
    wrong = [at for at in list(range(0, len(data), step)) + [len(data) - 1]
             if run('restore', '-q',
                    write('bad', flipped(data, at))).returncode != 1]
    ok(not wrong, 'one bit wrong anywhere: refused', repr(wrong))
    first = 32 + 32 + struct.unpack_from('<I', data, 32 + 8)[0]
    second = struct.unpack_from('<I', data, first + 8)[0] + 32
    refused('a piece is missing', data[:first] + data[first + second:],
            'stands where')


def chunks(data):
    """(kind, body) of each chunk of a file that is not compressed."""
    at, found = 32, []
    while at < len(data):
        kind, packed, stored = struct.unpack_from('<III', data, at)
        assert not packed
        found.append((kind, data[at + 32:at + 32 + stored]))
        at += 32 + stored
    return found


def patched(data, kind, change):
    """The file with all bodies of a kind changed, and sums that hold."""
    out = data[:32]
    for number, (is_kind, body) in enumerate(chunks(data)):
        if is_kind == kind:
            body = change(body)
        top = struct.pack('<IIIIQI', is_kind, 0, len(body), len(body),
                          number, zlib.crc32(body))
        out += top + struct.pack('<I', zlib.crc32(top)) + body
    return out


def records(body):
    """Where records that tell their length begin, their sort and length."""
    at = 0
    while at < len(body):
        _, sort, length = struct.unpack_from('<IIH', body, at)
        yield at, sort, length
        at += 10 + length


def put(body, at, form, *values):
    return (body[:at] + struct.pack(form, *values) +
            body[at + struct.calcsize(form):])


def peak(data):
    """What a restoring takes at most, in MiB, and how it ends."""
    with subprocess.Popen([COLDFRAME, 'restore', '-q', write('bad', data)],
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss >> 10, process.returncode, said


def test_hostile():
    """Sums hold, and yet what is said can never be."""
    save(SMALL, '-l', '0')
    data = read('m')
    span = (256 << 20) >> 12
    refused('plugged frames where no block can be', patched(
        data, PLUGGED, lambda body: put(body, 4, '<QQ', span - 512, span)),
            'frames where there can be none')
    refused('plugged frames before the first', patched(
        data, PLUGGED, lambda body: put(body, 4, '<QQ', 512, 512)),
            'frames where there can be none')
    for at, word in ((0, 'runs'), (8, 'contents'), (16, 'zero frames'),
                     (24, 'frames that were left out')):
        refused('a wrong number of ' + word, patched(
            data, END, lambda body, at=at: put(
                body, at, '<Q', struct.unpack_from('<Q', body, at)[0] + 1)),
                'were left out' if at > 8 else 'were saved')
    save('machine memory 16M span 8T block 16M\nowner vm exposes plugged\n'
         'add block 5 owner vm\nplug vm block 5 chunk 0\n', '-l', '0')
    data = patched(read('m'), MACHINE,
                   lambda body: put(body, 44, '<Q', 1 << 31))
    few = peak(data)[0]
    whole = patched(data, PLUGGED,
                    lambda body: put(body, 4, '<QQ', 0, 1 << 31))
    much, status, said = peak(whole)
    ok(status == 0 and much < few + 48, 'all there is plugged, and nothing'
       ' there: no memory', repr((few, much, status, said)))
    spread = patched(data, PLUGGED, lambda body: b''.join(
        body[:4] + struct.pack('<QQ', at << 15, (at << 15) + 1)
        for at in range(20000)))
    much, status, said = peak(spread)
    ok(status == 1 and b'scattered' in said and much < few + 128,
       'frames here and there: refused in time', repr((few, much, said)))


def test_devices():
    """Devices go on: the host plugs, unplugs, inflates and deflates."""
    done = save(DEVICES)
    again = run('restore', '-j', path('m'))
    ok(done.returncode == 0 and not same(done, again), 'devices of all'
       ' sorts: the same report', repr(done.stderr) + same(done, again))
    on = run('restore', '-q', path('m'), '-', stdin=b'''verify
expect virtio-mem vm0 plugged == 200M host-plugged == 200M blocks == 2
expect virtio-mem big state backing-off nacks >= 1
expect virtio-mem gone state unloaded
expect virtio-balloon b ballooned == 12M host-ballooned == 12M
expect block 6 state online orphan
request vm0 64M no-wait
work vm0 times 20
expect virtio-mem vm0 state shrinking plugged == 200M
late vm0 off
settle vm0
expect virtio-mem vm0 plugged == 64M host-plugged == 64M
request vm0 300M
refusing big off
settle big for 10s
expect virtio-mem big plugged == 256M
expect set data intact
balloon b 0
free data
request vm0 0
request big 0
expect virtio-mem vm0 violations == 0 host-plugged == 0 blocks == 0
expect virtio-balloon b violations == 0 ballooned == 0
verify
''')
    ok(on.returncode == 0, 'and all of them go on', repr(on.stdout[-600:] +
                                                       on.stderr))
    done = save(LATE)
    ok(done.returncode == 1 and b'vm0 has not finished with its device' in
       done.stdout,
       'a request without an answer is not saved', repr(done.stdout[-300:]))
    save(DEVICES, '-l', '0')
    data = read('m')
    one = 10 + 8
    for at, byte, word in (
            (one, 1, 'a sub-block that is exposed is said to be absent'),
            (10, 255, 'a block that the region does not have')):
        refused(word, patched(data, PART,
                              lambda body, at=at, byte=byte: put(
                                  body, at, 'B', body[at] ^ byte)), 'vm0')
    refused('the host has less plugged', patched(
        data, GIVEN, lambda body: body[20:]), 'not what the map says')
    refused('the host has something twice', patched(
        data, GIVEN, lambda body: body[:20] + body), 'was given no frames')
    for error in 4, 5, 7, 8, 9, 0x7fffffff, 0x80000000, 0xffffffff:
        refused('an error that no answer has: %#x' % error, patched(
            data, OBJECT, lambda body, error=error: put(body, 75, '<I',
                                                        error)),
                'no such device')
    for error in 1, 2, 3, 6:
        done = run('restore', '-q', write('bad', patched(
            data, OBJECT, lambda body, error=error: put(body, 75, '<I',
                                                        error))))
        ok(done.returncode == 0, 'one that an answer has: %d' % error,
           repr(done.stderr))
    refused('a device that nobody can make', patched(
        data, OBJECT, lambda body: put(body, 30, '<Q', 12345)),
            'no such device')


def huge_regions(body):
    """Each record of a device with 2^26 blocks of 4 KiB."""
    for at, _, _ in records(body):
        first = struct.unpack_from('<Q', body, at + 14)[0]
        body = put(body, at + 22, '<QQ', first + (1 << 26), 4096)
    return body


def test_notes():
    """What devices note of what they have is bounded for all together."""
    save('machine memory 16M span 1T block 16M\nvirtio-mem one block 100\n'
         'virtio-mem other block 20000\n', '-l', '0')
    refused('more blocks of devices than a file keeps', patched(
        read('m'), OBJECT, huge_regions), 'other can be no such device')
    save('machine memory 300G span 1T block 128M\nvirtio-balloon b\n'
         'balloon b 256M\n', '-l', '0')
    data = read('m')
    ok(run('restore', '-q', path('m')).returncode == 0,
       'a balloon that is not too large')
    refused('a driver has a frame in a balloon that the host has not', patched(
        data, GIVEN, lambda body: put(
            body, 12, '<Q', struct.unpack_from('<Q', body, 12)[0] - 1)),
            'not what the map says')
    refused('or another one instead', patched(
        data, GIVEN, lambda body: put(body, 4, '<QQ', *(
            pfn + 1 for pfn in struct.unpack_from('<QQ', body, 4)))),
            'not what the map says')


def far_apart(count, step):
    """Records of single frames that the host has."""
    return lambda body: b''.join(body[:4] + struct.pack(
        '<QQ', at * step + 7, at * step + 8) for at in range(count))


def test_far_apart():
    """A balloon is noted by 128 MiB, in 4 KiB each, 64 MiB in all."""
    save('machine memory 128M span 8T block 128M\nvirtio-balloon b\n'
         'balloon b 1M\nunload b force\n', '-l', '0')
    data = read('m')
    few = peak(data)[0]
    much, status, said = peak(patched(data, GIVEN, far_apart(50000, 4096)))
    ok(status == 0 and much < few + 96, 'frames of a balloon far apart take'
       ' little', repr((few, much, said)))
    refused('in more places than a file keeps', patched(
        data, GIVEN, far_apart((1 << 14) + 1, 1 << 15)),
            'was given no frames')
    most = write('most', patched(data, GIVEN, far_apart(1 << 14, 1 << 15)))
    ok(run('restore', '-q', most).returncode == 0, 'in as many as it keeps')
    ok(run('restore', '-q', most, '-', stdin=b'save\n').returncode == 0,
       'and they are saved again')
    done = run('restore', '-q', write('high', patched(
        data, GIVEN, far_apart((1 << 14) + 1, (1 << 15) - 1))), '-',
        stdin=b'save\n')
    ok(done.returncode == 0, 'it is places that count, not frames',
       repr(done.stdout + done.stderr))
    done = run('restore', '-q', write('beside', patched(
        data, GIVEN, lambda body: far_apart((1 << 14) + 1, 1 << 15)(body)[
            20:])), '-', stdin=b'reload b\nballoon b 1M\nsave\n')
    ok(done.returncode == 1 and b'in more places' in done.stdout,
       'one more: the machine is not saved', repr(done.stdout + done.stderr))


LEFT = '''machine memory 64M span 256M block 16M
virtio-balloon b
owner heir
add block 6
online block 6
balloon b 78M
unload b force
'''

# What becomes of frames that a driver left in the balloon.
HEIRS = {
    'free again': '''offline-adopt block 0 owner heir
offline-free block 0 owner heir
''',
    'free again, with another driver': '''reload b
offline-adopt block 0 owner heir
offline-free block 0 owner heir
''',
    'in use again, and some in the balloon of another driver': '''reload b
offline-adopt block 0 owner heir
offline-free block 0 owner heir
alloc data 4M
balloon b 4M
''',
    'gone with their block': '''offline-adopt block 6 chunks 0-6 owner heir
offline-free block 6 chunks 0-6 owner heir
offline block 6
remove block 6
''',
    'gone with their block, with another driver': '''\
offline-adopt block 6 chunks 0-6 owner heir
offline-free block 6 chunks 0-6 owner heir
offline block 6
remove block 6
reload b
''',
}


def test_left():
    """A host keeps frames whose driver has gone, whatever becomes of them."""
    for word, steps in HEIRS.items():
        done = save(LEFT + steps)
        again = run('restore', '-j', path('m'), '-', stdin=b'verify\n')
        wrong = same(done, again)
        ok(done.returncode == 0 and again.returncode == 0 and not wrong,
           'frames a driver left, %s: the same report' % word,
           repr(done.stdout[-300:] + again.stderr) + wrong)


MIGRATING = '''machine memory 128M span 1G block 128M
migrating
'''


def test_migrating():
    """The host goes on migrating, also a machine without devices."""
    done = save(MIGRATING)
    for step, way in (('migrating off\n', 'runs'), ('', 'fails')):
        on = run('restore', '-q', path('m'), '-', stdin=(
            step + 'virtio-mem v blocks 2-3\n' + (
                'request v 128M\n' if step else
                'expect fails again request v 128M for 100ms\n')).encode())
        ok(done.returncode == 0 and on.returncode == 0,
           'a device after it: plugging ' + way,
           repr(done.stdout[-300:] + on.stdout + on.stderr))
    save(MIGRATING.replace('migrating\n', ''))
    os.rename(path('m'), path('other'))
    save(MIGRATING)
    diff = json.loads(run('save-diff', '-j', path('m'), path('other')).stdout)
    ok(not diff['same'] and
       diff['records']['migrating']['only-first'] == 1, 'it is told apart',
       repr(diff))
    hinting = MIGRATING.replace(
        'migrating', 'virtio-balloon b hinting\nmigrating\nsettle b')
    drop(path('m'))
    done = save(hinting)
    ok(done.returncode == 1 and not os.path.exists(path('m')) and
       b'b gives hints to a migration: end it' in done.stdout,
       'hints go on as long as that: it is said what to end',
       repr(done.stdout[-300:]))
    done = save(hinting.replace('settle b\n', ''))
    ok(done.returncode == 1 and not os.path.exists(path('m')) and
       b'b has not begun to give hints: let it' in done.stdout,
       'nor do hints get lost that have not begun', repr(done.stdout[-300:]))
    done = save(hinting + 'migrating off\nsettle b\n')
    ok(done.returncode == 0, 'and then it is saved', repr(done.stdout))


UNHEARD = '''machine memory 128M span 1G
virtio-mem vm0 blocks 1-3
virtio-balloon b
request vm0 64M
balloon b 16M
request vm0 %s no-wait
balloon b %s no-wait
'''


def test_unheard():
    """What a host has just asked for the driver need not have heard."""
    for size, balloon in ('128M', '32M'), ('32M', '8M'):
        done = save(UNHEARD % (size, balloon))
        again = run('restore', '-j', path('m'))
        a, b = report(done), report(again)
        wrong = [word for word in differences(a, b) if not word.startswith((
            '.virtio-mem[0].state:', '.virtio-mem[0].usable:',
            '.virtio-balloon[0].state:'))]
        ok(not wrong, 'to %s: only the state of the device differs' % size,
           repr(wrong))
        rest = ('settle vm0\nsettle b\nexpect virtio-mem vm0 plugged == %s'
                ' state idle\nexpect virtio-balloon b ballooned == %s state'
                ' idle\n' % (size, balloon)).encode()
        first = run('run', '-j', '-', stdin=(UNHEARD % (
            size, balloon)).encode() + rest)
        again = run('restore', '-j', path('m'), '-', stdin=rest)
        a, b = report(first), report(again)
        for device in a['virtio-mem'] + b['virtio-mem']:
            device.pop('requests')
        wrong = list(differences(a, b))
        ok(first.returncode == 0 and again.returncode == 0 and not wrong,
           'to %s: both come to the same' % size,
           repr(wrong) + repr(again.stdout[-300:] + again.stderr))


def without_frame(body, pfn):
    """The parts less the objects of one frame, and the handles of those."""
    kept, handles = b'', set()
    for at, _, length in records(body):
        if length == 32 and \
                struct.unpack_from('<Q', body, at + 26)[0] == pfn:
            handles.add(struct.unpack_from('<Q', body, at + 10)[0])
        elif length != 16 or \
                struct.unpack_from('<Q', body, at + 18)[0] not in handles:
            kept += body[at:at + 10 + length]
    return kept


def test_owners():
    """Pools, guests and objects, each with all it can have at once."""
    done = save(OWNERS)
    again = run('restore', '-j', path('m'))
    ok(done.returncode == 0 and not same(done, again), 'pools, guests and objects:'
       ' the same report', repr(done.stdout[-300:]) + same(done, again))
    ok(json.loads(done.stdout)['saved']['left-out'] == 32 << 12 and
       json.loads(again.stdout)['restored']['left-out'] == 32 << 12,
       'private pages are counted as left out', repr(again.stdout[-300:]))
    on = run('restore', '-q', path('m'), '-', stdin=b'''verify
expect pool huge runs 6 free 4M held 8M reserved 4M surplus 2M intact
expect fails nomem pool take huge 1 this-node node 1
pool take huge 1 reserve
pool give huge 5
expect pool huge held 0 surplus 0 intact
expect guest vm private 128K holders 2 intact
expect caught guest touch vm 3
guest touch vm 40
guest release vm 50 owner vhost
guest release vm 50 owner vhost
guest share vm 0 times 32
guest touch vm 3
expect guest vm shared 1M intact
guest convert vm 0 times 4
guest step vm
guest end vm
pool end huge
expect elastic cache objects 600 locked 1 intact
expect fails busy elastic end cache
elastic unlock cache 10
elastic unlock cache 10
elastic store cache 50000
elastic shrink cache 8K
expect elastic cache objects 50600 locked 0 intact
elastic end cache
verify
''')
    ok(on.returncode == 0, 'and all of them go on', repr(on.stdout[-600:] +
                                                       on.stderr))
    done = save(OWNERS + 'guest convert vm 50 times 2\n')
    ok(done.returncode == 1 and b'vm is making pages private' in done.stdout,
       'a conversion on its way is not saved', repr(done.stdout[-300:]))
    save(OWNERS, '-l', '0')
    data = read('m')
    parts = next(body for kind, body in chunks(data) if kind == PART)
    # A run of the pool's has a frame, a size and a use; a page of a guest's
    # a number, a frame, and whether it is private.
    pooled = next(at for at, _, length in records(parts) if length == 13)
    page = next(at for at, _, length in records(parts) if length == 17)
    for at, value, word in ((pooled + 10, 77, "a run that is another one's"),
                            (page + 10, 255, 'a page that is given twice'),
                            (page + 18, 40, 'a frame of another page')):
        refused(word, patched(data, PART, lambda body, at=at, value=value:
                              put(body, at, '<Q', value)), 'no such part')
    for at, word in ((pooled + 22, 'a run that is not used is said to be'),
                     (page + 26, 'a private page is said to be shared')):
        refused(word, patched(data, PART, lambda body, at=at:
                              put(body, at, 'B', body[at] ^ 1)),
                'no such part')
    refused('a run that the pool is not told of', patched(
        data, PART, lambda body: body[:pooled] + body[pooled + 23:]), 'huge is not'
            ' what the map says')
    gone = next(at for at, sort, length in records(parts) if length == 32 and
                struct.unpack_from('<QQ', parts, at + 18)[0])
    refused('objects that the pool is not told of', patched(
        data, PART, lambda body: without_frame(body, struct.unpack_from(
            '<Q', body, gone + 26)[0])), 'cache is not what the map says')
    cache = struct.unpack_from('<I', parts, gone)[0]
    given = next(at for at, _, length in records(parts) if length == 12 and
                 struct.unpack_from('<I', parts, at)[0] == cache)
    refused('a run given back that the pool is not told of', patched(
        data, PART, lambda body: body[:given] + body[given + 22:]),
            'cache is not what the map says')
    refused('a run given back twice', patched(
        data, PART, lambda body: body[:given + 22] + body[given:]),
            'cache is not what the map says')
    secret = next(body for kind, body in chunks(data) if kind == RUN)
    at = next(at for at in range(0, len(secret), 24)
              if struct.unpack_from('<Q', secret, at)[0] == 3)
    ok(not struct.unpack_from('<I', secret, at + 16)[0], 'page 3 is frozen')
    first = struct.pack('<QI', 3, 1) + bytes(4096)
    refused('contents of a private page', patched(
        data, CONTENT, lambda body: first + body),
            'where there can be none')


def test_spoiled():
    """Bad frames of devices: the rest of their runs is kept."""
    for word, steps in SPOILED.items():
        done = save('machine memory 32M span 256M block 16M bad-frames 8\n' +
                    steps)
        again = run('restore', '-j', path('m'))
        ok(done.returncode == 0 and again.returncode == 0 and
           not same(done, again), word + ' is bad: the same report',
           repr(done.stderr) + same(done, again))
        saved = json.loads(done.stdout)['saved']
        on = run('restore', '-q', path('m'), '-', stdin=(
            'verify\nexpect frame hit poisoned\n').encode())
        ok(saved['contents'] and on.returncode == 0,
           word + ' is bad: it goes on', repr(on.stdout[-300:] + on.stderr))


def test_device_memory():
    """Ranges of devices: moved, mapped, pinned and bad, and what is in them."""
    done = save(RANGES)
    again = run('restore', '-j', path('m'))
    ok(done.returncode == 0 and not same(done, again), 'ranges of all kinds:'
       ' the same report', repr(done.stdout[-300:]) + same(done, again))
    on = run('restore', '-q', path('m'), '-', stdin=b'''verify
expect set process intact moved == 2
expect set textures intact
expect set kept intact
expect frame page type device owner gpu refs == 3 pins == 1
expect frame gone type retired
expect frame hit poisoned refs == 1
expect fails again fault process[0]
put walker
fault process[0]
expect frame process[0] type folio refs == 1
expect set process intact moved == 3
expect fails busy pagemap remove gpu
free textures
free pieces
unpin page
put page
free process
expect set mapping intact
expect fails busy truncate pmem 64K
free mapping
truncate pmem 64K
expect pagemap pmem busy == 0
pin windows[1]
expect fails busy pagemap remove bridge
unpin windows[1] times 2
free windows
free kept
free held
expect frame hit type retired
pagemap remove gpu
pagemap remove shared
pagemap remove pmem
pagemap remove bridge
pagemap remove raw
expect device == 0
verify
''')
    ok(on.returncode == 0, 'and all of them go on', repr(on.stdout[-600:] +
                                                       on.stderr))
    spoiled = save(RANGES + 'scribble mapping[3]\n')
    on = run('restore', '-q', path('m'), '-',
             stdin=b'expect set mapping intact\n')
    ok(spoiled.returncode == 0 and on.returncode == 1 and
       b'mapping[3]' in on.stdout, 'contents of a device are kept as they'
       ' are', repr(on.stdout))
    save(RANGES, '-l', '0')
    data = read('m')
    parts = next(body for kind, body in chunks(data) if kind == PART)
    # A run that is out has a frame, an order, references, pins, and what its
    # driver knows; a page of a file a block; and there is a sum.
    out = next(at for at, _, length in records(parts) if length == 25 and
               struct.unpack_from('<I', parts, at + 22)[0] == 1)
    page = next(at for at, _, length in records(parts) if length == 8)
    total = next(at for at, _, length in records(parts) if length == 4)
    for at, form, value, word in (
            (out + 10, '<Q', 5, 'a run outside of the range'),
            (out + 22, '<I', 1 << 23, 'more references than can be'),
            (out + 26, '<I', 900, 'more pins than references'),
            (page + 10, '<Q', 5, 'a block outside of the range')):
        refused(word, patched(data, PART,
                              lambda body, at=at, form=form, value=value:
                              put(body, at, form, value)), 'no such part')
    refused('a run that is out twice', patched(
        data, PART, lambda body: body[:out + 35] + body[out:]),
            'no such part')
    refused('a word that is another one', patched(
        data, PART, lambda body: put(body, total + 10, '<I', 1)),
            'not what the map says')
    refused('one more reference', patched(
        data, PART, lambda body: put(body, out + 22, '<I', 7)),
            'not what the map says')


def test_many_references():
    """A few bytes that say millions cost no time."""
    save('machine memory 32M span 256M block 16M\n'
         'pagemap bridge block 5 kind p2p\nhand-out windows 8M pagemap bridge\n',
         '-l', '0')
    most = patched(read('m'), PART, lambda body: b''.join(
        put(body[at:at + 10 + length], 22, '<I', 4190207) if length == 25
        else body[at:at + 10 + length] for at, _, length in records(body)))
    began = time.monotonic()
    refused('as many references as can be, of 2048 runs', most,
            'not what the map says')
    took = time.monotonic() - began
    ok(took < 15, 'and they take no time', str(took))


def test_guarded():
    """With debug-pagealloc memory of devices is its owner's to touch, idle or
    not; nobody's once the range is gone."""
    for kind in 'private', 'coherent', 'fs-dax', 'generic', 'p2p':
        done = save('machine memory 64M span 256M block 16M debug-pagealloc\n'
                    'pagemap gone block 7 kind %s\npagemap remove gone\n'
                    'add block 7\nonline block 7\nalloc more 70M\n'
                    'pagemap shared block 5 kind %s\n'
                    'hand-out kept 2 pagemap shared\n' % (kind, kind))
        again = run('restore', '-j', path('m'), '-', stdin=b'''verify
expect set kept intact
scribble kept[1]
hand-out others 16K pagemap shared
expect set others intact
''')
        ok(done.returncode == 0 and again.returncode == 0,
           'guarded: %s memory is handed out, saved and restored' % kind,
           repr(done.stdout[-300:] + again.stdout[-300:] + again.stderr))
    done = save('''machine memory 64M span 256M block 16M debug-pagealloc
pagemap gpu block 5 kind private
alloc process 4M order 9
move process pagemap gpu
fault process[0]
expect set process intact
free process
hand-out again 2 pagemap gpu order 9
expect set again intact
''')
    ok(done.returncode == 0, 'guarded: pages move there and back',
       repr(done.stdout[-300:]))


def test_no_room():
    scenario = write('small.cf', SMALL)
    before = write('kept', b'what stood here before')
    names = set(os.listdir(FOLDER.name))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    done = run('save', '-q', '-l', '0', scenario, before, preexec_fn=limit)
    ok(done.returncode == 1 and b'too large' in done.stdout.lower(),
       'a full disk is said', repr(done.stdout + done.stderr))
    ok(read('kept') == b'what stood here before' and
       set(os.listdir(FOLDER.name)) == names,
       'what stood there is as it was, and nothing beside it')
    done = run('save', '-q', scenario, '/dev/full')
    ok(done.returncode == 1 and b'No space' in done.stdout, 'a full device',
       repr(done.stdout))
    done = run('save', '-q', scenario, path('none/at/all'))
    ok(done.returncode == 1 and b'No such file' in done.stdout,
       'no such folder', repr(done.stdout))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([COLDFRAME, 'save', '-q', scenario, '-'],
                          stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    ok(done.returncode == 1 and b'pipe' in done.stderr.lower(),
       'a reader that went away', repr(done))


def end_in_the_middle(scenario):
    """Was it killed while something stood in its file without a name?"""
    if os.path.exists(path('killed')):
        os.remove(path('killed'))
    with subprocess.Popen([COLDFRAME, 'save', '-q', '-v', 'off', '-l', '0',
                           scenario, path('killed')], start_new_session=True,
                          stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if cli.is_writing(process.pid, FOLDER.name):
                os.killpg(process.pid, signal.SIGKILL)
                return process.wait() == -signal.SIGKILL and \
                    not os.path.exists(path('killed'))
    return False


def test_killed():
    """It is killed at many moments; the file is whole or not there."""
    scenario = write('big.cf', 'machine memory 128M\nalloc a 64M order 9\n')
    names = set(os.listdir(FOLDER.name)) | {'killed'}
    began = time.monotonic()
    run('save', '-q', '-v', 'off', '-l', '0', scenario, path('killed'))
    length = time.monotonic() - began
    halves = leftovers = 0
    writing = end_in_the_middle(scenario)
    for part in range(1, 5):
        if os.path.exists(path('killed')):
            os.remove(path('killed'))
        with subprocess.Popen([COLDFRAME, 'save', '-q', '-v', 'off', '-l',
                               '0', scenario, path('killed')],
                              start_new_session=True,
                              stdout=subprocess.DEVNULL) as process:
            time.sleep(length * part / 4)
            os.killpg(process.pid, signal.SIGKILL)
        if os.path.exists(path('killed')) and run(
                'restore', '-q', path('killed')).returncode:
            halves += 1
        leftovers += len(set(os.listdir(FOLDER.name)) - names)
    ok(writing, 'killed while it wrote')
    ok(not halves, 'killed: no half file under the name')
    ok(not leftovers, 'nor beside it', str(leftovers))


def test_failed():
    """Whatever fails, wherever it stands: nothing is written."""
    for step, word in (('alloc more 900M', 'the last step'),
                       ('alloc more 900M\nsay next', 'a step'),
                       ('expect free == 0', 'an expectation'),
                       ('expect free == 0\nsave', 'one before a save')):
        text = 'machine memory 128M span 1G\n%s\n' % step
        before = write('stays', 'what stood here before')
        done = run('save', '-', before, stdin=text.encode())
        ok(done.returncode == 1 and read('stays') == b'what stood here before'
           and b'nothing is written' in done.stdout,
           word + ' failed: no file comes of it', repr(done.stdout[-200:]))


def test_refusals():
    done = run('save', '-q', '-', path('nothing'), stdin=LATE.encode())
    ok(done.returncode == 1 and b'vm0 has not finished' in done.stdout,
       'devices that are at it', repr(done.stdout))
    ok(not os.path.exists(path('nothing')), 'no file comes of it')
    for args, say in (((), 'needed'), (('a',), 'needed'),
                      (('-l', '20', 'a', 'b'), '0 to 19'),
                      (('-l', 'x', 'a', 'b'), '0 to 19'),
                      (('--machine=qemu', 'a', 'b'), 'keeps it by itself'),
                      (('--nonsense',), 'help')):
        done = run('save', *args)
        ok(done.returncode == 2 and say in done.stderr.decode(),
           'save %s' % ' '.join(args), repr(done.stderr))
    for args, say in (((), 'which file'), (('a', 'b', 'c'), 'at most'),
                      (('-', '-'), 'both'), (('-s', '3', 'a'), 'help')):
        done = run('restore', *args)
        ok(done.returncode == 2 and say in done.stderr.decode(),
           'restore %s' % ' '.join(args), repr(done.stderr))
    done = run('restore', path('nothing'))
    ok(done.returncode == 1 and b'No such file' in done.stderr, 'no file',
       repr(done.stderr))
    for command in 'save', 'restore':
        done = run(command, '--help')
        ok(done.returncode == 0 and b'Exit status' in done.stdout,
           command + ' --help')


def main():
    if sys.argv[2:]:
        test_scenarios({'end': at_end, 'cut': in_middle}[sys.argv[2]], {
            'even': SCENARIOS[::2], 'odd': SCENARIOS[1::2],
            'all': SCENARIOS}[(sys.argv[3:] + ['all'])[0]])
        return cli.done()
    test_load()
    test_whole()
    test_streams()
    test_diff()
    test_damage()
    test_hostile()
    test_devices()
    test_unheard()
    test_notes()
    test_far_apart()
    test_left()
    test_migrating()
    test_owners()
    test_spoiled()
    test_device_memory()
    test_many_references()
    test_guarded()
    test_no_room()
    test_killed()
    test_failed()
    test_refusals()
    return cli.done()


if __name__ == '__main__':
    raise SystemExit(main())
