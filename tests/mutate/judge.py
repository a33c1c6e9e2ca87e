# SPDX-License-Identifier: MIT
"""One mutant before its judges: compile it, link it, run the tests that reach
it, in the order of their time, until one fails."""

import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import killers as killers_of
import orders

PATIENCE = 10                   # times the normal run
LEAST_SECONDS = 2.0             # a busy machine is no verdict
OUTPUT_MAX = 1 << 20
MEMORY_MAX = 8 << 30            # not under a sanitizer: it maps far more
FAILED = re.compile(r'^(not ok\b.*|Bail out!.*|.*ThreadSanitizer: .*)', re.M)


@dataclass
class Run:
    killed: bool
    why: str
    seconds: float


def limits(memory):
    def apply():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    return apply


def failure_in(text):
    """The first thing said that is a failure; the check before it tells."""
    found = FAILED.search(text)
    if not found:
        return None
    checks = re.findall(r'^# (\S+:\d+: .*)', text[:found.start()], re.M)
    return ' '.join(found[1].split()) + (' (%s)' % checks[-1] if checks else '')


def read_verdict(process, deadline):
    """Read until it fails, ends or is late: (failure or None, text, late)."""
    text = ''
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None, text, True
            if not selector.select(left):
                continue
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                return failure_in(text), text, False
            text += data.decode('utf-8', 'replace')
            failure = failure_in(text)
            if failure or len(text) > OUTPUT_MAX:
                return failure or 'prints without end', text, False


def run_program(command, seconds, memory=False):
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=limits(memory))
    failure, text, late = read_verdict(process, start + seconds)
    try:
        process.wait(0.0 if failure or late else
                     max(0.1, start + seconds - time.monotonic()))
    except subprocess.TimeoutExpired:
        late = late or not failure
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
    took = time.monotonic() - start
    if failure:
        return Run(True, failure, took)
    if late:
        return Run(True, 'time-out', took)
    if process.returncode:
        last = text.strip().split('\n')[-1][:100]
        return Run(True, 'exit status %d: %s' % (process.returncode, last),
                   took)
    return Run(False, '', took)


class Refused(Exception):
    """It does not compile."""


class Order:
    """Who is asked about a mutant, and who first."""

    def __init__(self, killers):
        self.list = killers.list
        self.stages = [stage['name'] for stage in killers.config['stages']]

    def killers_of(self, mutant, first):
        """@first has killed it before; then the file's own test."""
        stem = os.path.basename(mutant.file).rsplit('.', 1)[0]
        asked = [k for k in self.list if k.reaches(mutant) and
                 (not k.kinds or mutant.kind in k.kinds)]
        return sorted(asked, key=lambda k: (
            (k.name, k.stage) != first, self.stages.index(k.stage),
            k.name.split('/')[1] != stem, k.seconds))


def link_command(build, link, changed, program):
    """Objects of whole libraries are named one by one; else what is changed
    comes before the libraries it belongs to."""
    whole = set(killers_of.whole_archives(link))
    words, early = [], dict(changed)
    output = False
    for word in link:
        if output:
            words.append(program)
        elif word in whole:
            words += [early.pop(name, name) for name in sorted(build.compile)
                      if name.startswith(word + '.p/')]
        else:
            words.append(early.pop(word, word))
        output = word == '-o'
    return words[:1] + list(early.values()) + words[1:]


class Judge:
    """A copy of the tree to change, and the objects made from it."""

    def __init__(self, killers, number):
        self.killers = killers
        self.order = Order(killers)
        self.place = os.path.join(killers.cache, 'worker%d' % number)
        shutil.rmtree(self.place, ignore_errors=True)
        self.tree = self.copy('tree', None)
        self.quiet = self.copy('quiet', 'mute')
        self.base = {}          # what the engine as it is compiles to
        self.header = os.path.join(self.place, 'orders.h')
        with open(self.header, 'w') as file:
            file.write(orders.header())

    def copy(self, name, mute):
        path = os.path.join(self.place, name)
        shutil.copytree(self.killers.tree, path)
        if mute:
            # The text of a check is no code.
            check = os.path.join(path, 'core/check.h')
            with open(check) as file:
                text = file.read()
            with open(check, 'w') as file:
                file.write(text.replace('#expression', '""'))
        return path

    def write(self, tree, name, text):
        with open(os.path.join(tree, name), 'w') as file:
            file.write(text)

    def read(self, name, tree=None):
        with open(os.path.join(tree or self.killers.tree, name)) as file:
            return file.read()

    # Compiling

    def object(self, build, name, made):
        """Compile one object of the changed tree; each but once."""
        if (build.name, name) not in made:
            path = os.path.join(self.place, '%d.o' % len(made))
            command = build.mutant_compile(name, self.tree, path)
            done = subprocess.run(
                command + ['-include', self.header], cwd=build.directory,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, check=False)
            if done.returncode:
                raise Refused(name)
            made[build.name, name] = path
        return made[build.name, name]

    def link(self, killer, mutant, made):
        """The program, with what the mutant changes; parts of a program that
        come one after the other are linked once."""
        program = os.path.join(self.place, 'program')
        if made.get('linked') == (killer.build, killer.program):
            return program
        build = self.killers.builds[killer.build]
        changed = {
            name: self.object(build, name, made) for name in killer.objects
            if mutant.file in build.depends.get(name, ())}
        done = subprocess.run(
            link_command(build, killer.link, changed, program),
            cwd=build.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Refused(killer.name)
        made['linked'] = killer.build, killer.program
        return program

    # Mutants that are none

    def product(self, name, compiler, debug):
        """The object code of one file of core/, optimised."""
        path = os.path.join(self.place, 'product.o')
        done = subprocess.run(
            [compiler, '-std=c17', '-O2', '-ffreestanding', '-w', '-I',
             'include', '-c', name, '-o', path] +
            (['-DCF_DEBUG=1'] if debug else []), cwd=self.quiet, check=False,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode:
            return None
        with open(path, 'rb') as file:
            return file.read()

    def is_same(self, mutant):
        """Does some compiler make the same of it, in each kind of build?"""
        files = [mutant.file]
        if mutant.file.endswith('.h'):
            files = sorted('core/' + name for name in os.listdir(
                os.path.join(self.quiet, 'core')) if name.endswith('.c'))
        return any(self.is_same_by([
            (name, compiler, debug) for name in files
            for debug in (False, True)], mutant)
                   for compiler in ('gcc', 'clang'))

    def is_same_by(self, todo, mutant):
        for one in todo:
            if one not in self.base:
                self.base[one] = self.product(*one)
        text = self.read(mutant.file, self.quiet)
        changed = mutant.apply(self.read(mutant.file))
        if mutant.file == 'core/check.h':
            changed = changed.replace('#expression', '""')
        self.write(self.quiet, mutant.file, changed)
        try:
            return all(self.product(*one) == self.base[one] for one in todo)
        finally:
            self.write(self.quiet, mutant.file, text)

    # The trial

    def try_one(self, mutant, first=None, passed=()):
        """The record of one mutant; @passed did not notice it before."""
        killers = self.order.killers_of(mutant, first)
        record = {'asked': versions(killers)}
        killers = [k for k in killers if version(k) not in passed]
        start = time.monotonic()
        self.write(self.tree, mutant.file,
                   mutant.apply(self.read(mutant.file)))
        try:
            record.update(self.trial(mutant, killers, bool(passed)))
        except Refused as refused:
            record.update(verdict='refused', why='no object: %s' % refused)
        finally:
            self.write(self.tree, mutant.file, self.read(mutant.file))
        record['seconds'] = round(time.monotonic() - start, 2)
        return record

    def trial(self, mutant, killers, known):
        """@known: it has been here before and is no other's equal."""
        made = {}
        compared = (known or mutant.kind == 'order' or
                    'fence' in mutant.what)
        for killer in killers:
            if not compared and killer.stage != killers[0].stage:
                compared = True
                if self.is_same(mutant):
                    return {'verdict': 'same', 'why': 'same object code'}
            program = self.link(killer, mutant, made)
            run = run_program(
                killer.prefix + [program] + killer.command,
                max(PATIENCE * killer.seconds, LEAST_SECONDS),
                killer.build == 'plain')
            if run.killed:
                return {'verdict': 'killed', 'why': run.why,
                        'killer': [killer.name, killer.stage],
                        'version': killer.version}
        if not killers and not known and not self.compiles(mutant):
            return {'verdict': 'refused', 'why': 'does not compile'}
        if not compared and self.is_same(mutant):
            return {'verdict': 'same', 'why': 'same object code'}
        return {'verdict': 'survived',
                'why': '' if killers or known else 'no test runs the line'}

    def compiles(self, mutant):
        text = self.read(mutant.file, self.quiet)
        self.write(self.quiet, mutant.file,
                   mutant.apply(self.read(mutant.file)))
        name = mutant.file if mutant.file.endswith('.c') else 'core/frame.c'
        try:
            return self.product(name, 'gcc', True) is not None
        finally:
            self.write(self.quiet, mutant.file, text)


def version(killer):
    return '%s@%s' % (killer.name, killer.version)


def versions(killers):
    return sorted(version(killer) for killer in killers)
