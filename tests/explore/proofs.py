#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What docs say of the explorer's programs, against the programs.

Compares the table of docs/proofs.md with what the explorer lists, looks for
each protection in the source it is to be taken out of, and asks that every
edge of docs/atomics.md and every program has one.
"""

import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def load_prove():
    loader = importlib.machinery.SourceFileLoader(
        'prove', os.path.join(ROOT, 'scripts/prove'))
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader('prove', loader))
    loader.exec_module(module)
    return module


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


class Points:
    def __init__(self):
        self.count = self.failed = 0

    def point(self, name, faults):
        self.count += 1
        self.failed += bool(faults)
        for fault in faults:
            print('# ' + fault)
        print('%sok %d - %s' % ('not ' if faults else '', self.count, name))


def misfits(prove, protections):
    for name, fields in protections.items():
        try:
            text = read(fields['file'])
            if prove.take_out(text, fields) == text:
                yield '%s: changes nothing' % name
        except (prove.Wrong, OSError) as error:
            yield '%s: %s' % (name, error)


def main():
    prove = load_prove()
    points = Points()
    protections = prove.read_protections()
    listed = [line.split(None, 1) for line in subprocess.run(
        [sys.argv[1], '--list'], stdout=subprocess.PIPE, check=True,
        text=True).stdout.splitlines()]
    programs = {name for name, _ in listed}
    table = re.search(r'<!-- begin: scripts/prove -t -->\n(.*?)\n<!-- end -->',
                      read('docs/proofs.md'), re.S)[1]

    points.point('protections fit the sources',
                 list(misfits(prove, protections)))
    points.point('protections are of programs there are',
                 ['%s: no program %s' % (name, fields['program'])
                  for name, fields in protections.items()
                  if fields['program'] not in programs])
    edges = set(re.findall(r'^\| \[([a-z-]+)\]', read('docs/atomics.md'),
                           re.M))
    taken = {fields.get('edge') for fields in protections.values()}
    points.point('every edge is taken out somewhere',
                 ['no protection of [%s]' % edge
                  for edge in sorted(edges - taken)])
    points.point('protections are of edges there are',
                 ['no edge [%s]' % edge
                  for edge in sorted(taken - edges - {None})])
    points.point('docs/proofs.md has the table',
                 [] if table == prove.table(listed, protections) else
                 ['it differs: scripts/prove -w writes it'])
    print('1..%d' % points.count)
    return 1 if points.failed else 0


if __name__ == '__main__':
    sys.exit(main())
