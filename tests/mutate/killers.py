# SPDX-License-Identifier: MIT
"""The test programs that may kill a mutant: how each is compiled, linked and
run, how long that takes, and which lines of core/ it reaches."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, replace

import gcov
import judge

REACH = 'reach'                 # the build that says who reaches what
HERE = os.path.dirname(os.path.abspath(__file__))


def run(command, **options):
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, **options)


def must(command, **options):
    done = run(command, **options)
    if done.returncode:
        sys.exit('mutate: %s\n%s%s' % (' '.join(command), done.stdout[-3000:],
                                       done.stderr[-3000:]))
    return done.stdout


def steady_prefix():
    """Before a sanitized program where addresses are shuffled too widely."""
    prefix = ['setarch', '-R']
    return prefix if run(prefix + ['true']).returncode == 0 else []


@dataclass
class Killer:
    name: str                   # suite/test
    stage: str
    build: str
    program: str                # its path in the build directory
    command: list               # without the program
    prefix: list
    kinds: list                 # of mutants it is asked about; all if empty
    to_reach: list              # arguments where only reach is asked
    link: list = field(default_factory=list)
    objects: list = field(default_factory=list)
    seconds: float = 0.0
    version: str = ''           # hash of all that it is made of, but core/
    lines: dict = field(default_factory=dict)   # core file: lines run, others

    def reaches(self, mutant):
        """Does it run a line of the statement? Where no code was made for
        those, as for tables and definitions: of what is around it?"""
        if mutant.file not in self.lines:
            return mutant.file.endswith('.h')   # it makes no code itself
        run, not_run = self.lines[mutant.file]
        for first, last in mutant.lines, mutant.around:
            if any(first <= line <= last for line in run):
                return True
            if any(first <= line <= last for line in not_run):
                return False
        return bool(run)


class Build:
    """A Meson build of the snapshot, and its commands."""

    def __init__(self, name, tree, directory, config):
        self.name = name
        self.tree = tree
        self.directory = directory
        self.config = config
        self.compile = {}       # object: command
        self.depends = {}       # object: files of the tree
        self.root = os.path.relpath(tree, directory)

    def configure(self):
        os.makedirs(os.path.dirname(self.directory), exist_ok=True)
        options = list(self.config['options']) + [
            '-Dbench=false', '-Dc_args=' + repr(self.config['c_args'])]
        mark = os.path.join(self.directory, 'configured-with')
        said = ' '.join([self.config['compiler']] + options)
        if not os.path.exists(mark) or open(mark).read() != said:
            shutil.rmtree(self.directory, ignore_errors=True)
            must(['meson', 'setup', self.directory, self.tree] + options,
                 env=dict(os.environ, CC=self.config['compiler']))
            with open(mark, 'w') as file:
                file.write(said)
        must(['ninja', '-C', self.directory, 'build.ninja'])

    def tests(self, suites):
        """(suite, name, command) of the programs that we made."""
        listed = json.loads(must(['meson', 'introspect', '--tests',
                                  self.directory]))
        for test in listed:
            suite = test['suite'][0].split(':')[-1]
            program = os.path.relpath(test['cmd'][0], self.directory)
            if suite in suites and not program.startswith('..'):
                yield suite, test['name'], [program] + test['cmd'][1:]

    def make(self, programs):
        must(['ninja', '-C', self.directory] + programs)

    def read_commands(self):
        path = os.path.join(self.directory, 'compile_commands.json')
        for entry in json.load(open(path)):
            self.compile[entry['output']] = shlex.split(entry['command'])
        for block in must(['ninja', '-C', self.directory, '-t', 'deps']
                          ).split('\n\n'):
            head, *files = block.strip().split('\n')
            if files:
                self.depends[head.split(':')[0]] = {
                    os.path.relpath(os.path.join(self.directory, f.strip()),
                                    self.tree) for f in files}

    def link_command(self, program):
        listed = must(['ninja', '-C', self.directory, '-t', 'commands',
                       program]).strip().split('\n')
        return shlex.split(listed[-1])

    def objects_of(self, link):
        """The objects of a program: its own, and what the linker takes from
        libraries."""
        words = list(link)
        words[words.index('-o') + 1] = 'mutate.out'
        must(words + ['-Wl,-Map=mutate.map'], cwd=self.directory)
        with open(os.path.join(self.directory, 'mutate.map'),
                  encoding='utf-8') as file:
            head = file.read().split('\n\nMerging', 1)[0]
        taken = set(words)
        for library in whole_archives(link):
            taken |= {name for name in self.compile
                      if name.startswith(library + '.p/')}
        # Who wanted it comes on the same line after a short name.
        for found in re.finditer(r'^(\S+)\((\S+)\)(?:\s|$)|^(\S+\.o)(?:\s|$)',
                                 head, re.M):
            taken.add(found[3] or found[1] + '.p/' + found[2])
        return sorted(taken & set(self.compile))

    def mutant_compile(self, name, tree, output):
        """How to compile one object from the changed copy of the tree."""
        words, skip = [], 0
        for word in self.compile[name]:
            if skip:
                skip -= 1
            elif word in ('-MF', '-MQ', '-o'):
                skip = 1
            elif word != '-MD' and not word.startswith(('-W', '-fdiag')):
                words.append(self.moved(word, tree))
        return words + ['-w', '-o', output]

    def moved(self, word, tree):
        for prefix in ('', '-I', '-include'):
            if word.startswith(prefix + self.root + '/') or \
               word == prefix + self.root:
                return prefix + tree + word[len(prefix + self.root):]
        return word


class Killers:
    """All of them, over the builds they need."""

    def __init__(self, cache):
        self.cache = cache
        self.tree = os.path.join(cache, 'tree')
        with open(os.path.join(HERE, 'killers.toml'), 'rb') as file:
            self.config = tomllib.load(file)
        self.builds = {}
        self.list = []

    def snapshot(self, root, commit):
        """Copy what the tests are made of, once, so that editing goes on."""
        names = must(['git', '-C', root, 'ls-tree', '-r', '--name-only',
                      commit or 'HEAD']).split('\n')[:-1]
        wanted = {}
        for name in names:
            if commit:
                data = subprocess.run(
                    ['git', '-C', root, 'show', commit + ':' + name],
                    check=True, capture_output=True).stdout
                mode = 0o755 if data.startswith(b'#!') else 0o644
            elif os.path.exists(os.path.join(root, name)):
                path = os.path.join(root, name)
                data = open(path, 'rb').read()
                mode = os.stat(path).st_mode & 0o777
            else:
                continue
            wanted[name] = (data, mode)
        update_tree(self.tree, wanted)

    def prepare(self, stages, programs, say):
        """The killers of these stages and names; of all if there are none."""
        chosen = [stage for stage in self.config['stages']
                  if not stages or stage['name'] in stages]
        for name in {stage['build']: 0 for stage in chosen}:
            say('building ' + name)
            self.builds[name] = Build(name, self.tree,
                                      os.path.join(self.cache, name),
                                      self.config['builds'][name])
            self.builds[name].configure()
        for stage in chosen:
            self.add_stage(stage, self.builds[stage['build']])
        for name, build in self.builds.items():
            build.make(sorted({k.program for k in self.list
                               if k.build == name}))
            build.read_commands()
        for killer in self.list:
            self.complete(killer)
        self.list = [k for k in self.list if any(
            f.startswith('core/')
            for o in k.objects
            for f in self.builds[k.build].depends.get(o, ()))]
        self.list = [part for killer in self.list
                     for part in self.parts(killer)
                     if not programs or part.name.split('/')[1] in programs]
        self.measure(say)
        self.reach(say)

    def hash_of_engine(self):
        digest = hashlib.sha1()
        folder = os.path.join(self.tree, 'core')
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), 'rb') as file:
                digest.update(file.read())
        return digest.hexdigest()[:12]

    def add_stage(self, stage, build):
        steady = self.config['builds'][build.name].get('steady')
        for suite, name, command in build.tests(stage['suites']):
            if is_one_of(name, stage.get('except', ())) or \
               not is_one_of(name, stage.get('only', ('.*',))):
                continue
            self.list.append(Killer(
                name=suite + '/' + name, stage=stage['name'],
                build=build.name, program=command[0],
                command=stage.get('arguments', command[1:]),
                prefix=steady_prefix() if steady else [],
                kinds=stage.get('kinds', []),
                to_reach=stage.get('reach', [])))

    def parts(self, killer):
        """The killer, or one for each of what it says it is made of."""
        stage = [stage for stage in self.config['stages']
                 if stage['name'] == killer.stage][0]
        if 'each' not in stage:
            return [killer]
        said = must([os.path.join(self.cache, killer.build, killer.program)] +
                    stage['each'])
        names = [line.split()[0] for line in said.split('\n') if line.strip()]
        return [replace(killer, name=killer.name.split('/')[0] + '/' + name,
                        command=stage.get('arguments', []) + [name])
                for name in names
                if not is_one_of(name, stage.get('except', ()))]

    def complete(self, killer):
        build = self.builds[killer.build]
        killer.link = build.link_command(killer.program)
        killer.objects = build.objects_of(killer.link)
        files = set()
        for name in killer.objects:
            files |= build.depends.get(name, set())
        digest = hashlib.sha1(repr((killer.command, killer.stage, build.config)
                                   ).encode())
        for name in sorted(files):
            if not name.startswith(('..', 'core/', '/')):
                with open(os.path.join(self.tree, name), 'rb') as file:
                    digest.update(file.read())
        killer.version = digest.hexdigest()[:12]

    def measure(self, say):
        """How long each takes on the engine as it is; who fails that is no
        judge."""
        say('running %d programs on the engine as it is' % len(self.list))
        for killer in list(self.list):
            for _ in range(2):
                verdict = judge.run_program(
                    killer.prefix + [os.path.join(
                        self.cache, killer.build, killer.program)] +
                    killer.command, 600, killer.build == 'plain')
                killer.seconds = max(killer.seconds, verdict.seconds)
                if verdict.killed:
                    say('%s (%s) fails on the engine as it is, and is left '
                        'out: %s' % (killer.name, killer.stage, verdict.why))
                    self.list.remove(killer)
                    break

    def reach(self, say):
        say('asking each program which lines it runs')
        build = Build(REACH, self.tree, os.path.join(self.cache, REACH), {
            'compiler': 'gcc',
            'options': ['-Dbuildtype=debug', '-Doptimization=0',
                        '-Db_coverage=true'],
            'c_args': []})
        build.configure()
        build.make(sorted({k.program for k in self.list}))
        path = os.path.join(self.cache, 'reach.json')
        known = {}
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                known = json.load(file)
        engine = self.hash_of_engine()
        kept = {}
        for killer in self.list:
            asked = repr((engine, killer.version, killer.program,
                          killer.command, killer.to_reach))
            if asked not in kept:
                kept[asked] = known.get(asked) or reached_lines(build, killer)
            killer.lines = kept[asked]
        known.update(kept)
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({asked: lines for asked, lines in known.items()
                       if engine in asked}, file)


def whole_archives(link):
    """Libraries of which all is linked."""
    whole = False
    for word in link:
        if word.endswith('whole-archive'):
            whole = 'no-whole' not in word
        elif whole and word.endswith('.a'):
            yield word


def is_one_of(name, expressions):
    return any(re.fullmatch(one, name) for one in expressions)


def update_tree(tree, wanted):
    """Make @tree hold just @wanted; what is right already is not touched."""
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, tree) not in wanted:
                os.remove(path)
    for name, (data, mode) in wanted.items():
        path = os.path.join(tree, name)
        if os.path.exists(path) and open(path, 'rb').read() == data:
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data)
        os.chmod(path, mode)


def reached_lines(build, killer):
    """Lines of core/ that one program runs, as gcov counts them."""
    gcov.forget(build.directory)
    run([os.path.join(build.directory, killer.program)] + killer.command +
        killer.to_reach)
    return {name: [sorted(n for n, line in lines.items() if line.count),
                   sorted(n for n, line in lines.items() if not line.count)]
            for name, lines in gcov.read(build.directory, build.tree).items()}
