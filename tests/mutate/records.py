# SPDX-License-Identifier: MIT
"""What is known of each mutant: verdicts in a file of the cache, one JSON
object a line, the last one of a mutant counts; and the list of those that
change nothing, each with its reason, in equivalent.txt beside this file."""

import json
import os
import sys

import mutants

HERE = os.path.dirname(os.path.abspath(__file__))


def read_equivalents():
    """key: reason. An entry is the key of a mutant, then indented lines."""
    found, key = {}, None
    with open(os.path.join(HERE, 'equivalent.txt'), encoding='utf-8') as file:
        for line in file:
            if line.startswith('#') or not line.strip():
                continue
            if not line[0].isspace():
                key = line.strip()
                found[key] = ''
            else:
                found[key] = (found[key] + ' ' + line.strip()).strip()
    return found


class Records:
    def __init__(self, cache, root):
        self.path = os.path.join(cache, 'verdicts.jsonl')
        self.known = {}
        self.texts = {}
        self.equivalents = read_equivalents()
        if os.path.exists(self.path):
            with open(self.path, encoding='utf-8') as file:
                for line in file:
                    record = json.loads(line)
                    self.known[record['id']] = record
        self.root = root

    def keep(self, mutant, record, meaning):
        if record['verdict'] == 'survived':
            record['asked'] = sorted(self.passed(mutant, meaning) |
                                     set(record['asked']))
        record = dict(record, id=mutant.id, key=mutant.key, meaning=meaning)
        self.known[mutant.id] = record
        with open(self.path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')

    def verdict(self, mutant):
        record = self.known.get(mutant.id)
        if not record:
            return 'unknown'
        if record['verdict'] == 'survived' and self.reason(mutant):
            return 'equivalent'
        return record['verdict']

    def reason(self, mutant):
        """Why it changes nothing, if that has been written down."""
        key = mutant.key
        return self.equivalents.get(key)

    def survived(self, mutant):
        return self.verdict(mutant) == 'survived'

    def stale_reasons(self, found):
        """Entries of the list that no mutant answers to, or that died."""
        keys = {mutant.key: mutant for mutant in found}
        for key in self.equivalents:
            if key not in keys:
                yield key, 'no such mutant'
            elif self.verdict(keys[key]) == 'killed':
                yield key, 'a test notices it'

    def passed(self, mutant, meaning):
        """Who has been asked about it before and did not notice."""
        record = self.known.get(mutant.id)
        if record and record['meaning'] == meaning and \
           record['verdict'] == 'survived':
            return frozenset(record['asked'])
        return frozenset()

    def holds(self, mutant, meaning, asked, versions):
        """Is the verdict still one on these sources and these tests?  Without
        @versions: is there one on this line?"""
        record = self.known.get(mutant.id)
        if not record or (record['meaning'] != meaning and versions):
            return False
        if record['verdict'] == 'killed':
            return not versions or versions.get(
                tuple(record['killer'])) == record['version']
        if record['verdict'] in ('refused', 'same'):
            return True
        return set(asked) <= set(record['asked'])

    def line_of(self, mutant):
        if mutant.file not in self.texts:
            with open(os.path.join(self.root, mutant.file),
                      encoding='utf-8') as file:
                self.texts[mutant.file] = file.read()
        return mutant.marked(self.texts[mutant.file])

    def describe(self, mutant, short=False):
        record = self.known.get(mutant.id, {})
        who = ' by '.join([''] + record.get('killer', [])[:1])
        text = '%s %-8s %-10s %s:%d %s: %s  [%s]%s' % (
            mutant.id, mutant.kind, self.verdict(mutant), mutant.file,
            mutant.line, mutant.function, self.line_of(mutant), mutant.what,
            who)
        if short:
            return text
        reason = self.reason(mutant)
        return '\n'.join([text] + ['  ' + line for line in (
            record.get('why', ''), reason) if line])


def fresh_sources(tree):
    """What each file of core/ means to the compiler."""
    folder = os.path.join(tree, 'core')
    found = {}
    for name in os.listdir(folder):
        if name.endswith(('.c', '.h')):
            with open(os.path.join(folder, name), encoding='utf-8') as file:
                found['core/' + name] = mutants.meaning(file.read())
    return found


def warn(text):
    print('mutate: ' + text, file=sys.stderr)
