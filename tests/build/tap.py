# SPDX-License-Identifier: MIT
"""What the build tests share: TAP lines, commands, where things are."""

import concurrent.futures
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

STRICT = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion',
          '-Wundef', '-Wcast-qual', '-Wvla', '-Werror']
STRICT_C = ['-std=c17', '-Wstrict-prototypes', '-Wmissing-prototypes'] + STRICT

# The folders whose code needs no operating system.
FREESTANDING = ['core', 'port/none', 'port/bare', 'virtio', 'owners',
                'scenario']

count = 0
failures = 0


def ok(good, name, notes=''):
    """Print one point; what stands in the notes only if it failed."""
    global count, failures
    count += 1
    failures += not good
    if not good:
        for line in notes.splitlines()[:60]:
            print('# ' + line)
    print('%sok %d - %s' % ('' if good else 'not ', count, name), flush=True)
    return good


def skip(name, why):
    global count
    count += 1
    print('ok %d - %s # SKIP %s' % (count, name, why), flush=True)


def done():
    print('1..%d' % count)
    sys.exit(1 if failures else 0)


def run(arguments, **options):
    """Run a command in the source tree: (worked, all it said)."""
    options.setdefault('cwd', ROOT)
    result = subprocess.run(arguments, check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=options.pop('stdin', subprocess.DEVNULL)
                            if 'input' not in options else None, **options)
    return result.returncode == 0, result.stdout


def run_all(jobs, work):
    """Call work(job) for each job, as many at a time as there are CPUs."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, jobs))


def has(program):
    return shutil.which(program) is not None


def freestanding(compiler):
    """The arguments that leave a compiler no header but its own."""
    path = subprocess.run([compiler, '-print-file-name=include'], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    return ['-ffreestanding', '-nostdinc', '-idirafter', path, '-Iinclude',
            '-I.']


def files(folder, ending):
    """The files of one folder, not of those below it."""
    path = os.path.join(ROOT, folder)
    if not os.path.isdir(path):
        return []
    return sorted(os.path.join(folder, name) for name in os.listdir(path)
                  if name.endswith(ending))


def core_sources():
    """What core/sources.mk lists, as make reads it."""
    make = 'include core/sources.mk\nall: ; @echo $(CF_CORE_SOURCES)\n'
    return run(['make', '-s', '-f', '-'], input=make)[1].split()
