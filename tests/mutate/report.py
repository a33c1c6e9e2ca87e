# SPDX-License-Identifier: MIT
"""The score: killed out of all that compile and are not equivalent."""

import re
import sys

from mutants import KINDS

FLOOR_KIND = 75
FLOOR_ALL = 85


class Tally:
    def __init__(self):
        self.killed = self.survived = self.same = self.listed = 0
        self.refused = self.unknown = 0

    def add(self, verdict):
        name = {'equivalent': 'listed'}.get(verdict, verdict)
        setattr(self, name, getattr(self, name) + 1)

    @property
    def counted(self):
        return self.killed + self.survived

    @property
    def percent(self):
        return 100.0 * self.killed / self.counted if self.counted else 100.0


def tallies(found, records):
    by = {}
    for mutant in found:
        verdict = records.verdict(mutant)
        for name in (mutant.file, mutant.kind, 'all',
                     (mutant.file, mutant.kind)):
            by.setdefault(name, Tally()).add(verdict)
    return by


def table(found, records):
    """Rows of text: a file each, then the kinds, then all."""
    by = tallies(found, records)
    rows = [['', 'killed', 'survived', 'equal', 'listed', 'score'] +
            list(KINDS)]
    files = sorted(n for n in by if isinstance(n, str) and
                   n.startswith('core/'))
    for name in files + [k for k in KINDS if k in by] + ['all']:
        one = by.get(name, Tally())
        cells = []
        for kind in KINDS:
            part = by.get((name, kind))
            cells.append('%d/%d' % (part.killed, part.counted)
                         if part and part.counted else '')
        rows.append([name, str(one.killed), str(one.survived), str(one.same),
                     str(one.listed), '%.1f %%' % one.percent] + cells)
    return rows, by


def score(found, records, strict):
    rows, by = table(found, records)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print('  '.join([row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            ).rstrip())
    unknown = by['all'].unknown if 'all' in by else 0
    if unknown:
        print('%d not tried' % unknown)
    for key, why in records.stale_reasons(found) if strict else ():
        print('equivalent.txt: %s: %s' % (why, key))
    good = by['all'].percent >= FLOOR_ALL and not unknown and all(
        by[kind].percent >= FLOOR_KIND for kind in KINDS if kind in by)
    return 0 if good or not strict else 1


def markdown(found, records):
    rows, by = table(found, records)
    lines = ['| ' + ' | '.join(rows[0]) + ' |',
             '|---|' + '---:|' * (len(rows[0]) - 1)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows[1:]]
    lines += ['', '%d mutants do not compile and do not count.' %
              by['all'].refused]
    if by['all'].unknown:
        lines += ['%d of %d have not been tried yet; the order is drawn by '
                  'lot, so that' % (by['all'].unknown, len(found)),
                  'the others stand for them.']
    lines += ['', '## Survivors', '']
    name = None
    for mutant in found:
        if not records.survived(mutant):
            continue
        if mutant.file != name:
            name = mutant.file
            lines += ['', '`%s`' % name, '']
        lines.append('- `%s` %s: `%s`: %s' % (
            mutant.id, mutant.function, mutant.source.replace('`', "'"),
            mutant.what.replace('*', '\\*')))
    return '\n'.join(lines)


def write(found, records, path):
    with open(path, encoding='utf-8') as file:
        text = file.read()
    body = markdown(found, records)
    new = re.sub(r'(<!-- begin: scripts/mutate --report -->\n).*'
                 r'(<!-- end -->)', lambda m: m[1] + body + '\n' + m[2],
                 text, flags=re.S)
    if new == text and body not in text:
        print('mutate: %s has no place for the report' % path,
              file=sys.stderr)
        return 2
    with open(path, 'w', encoding='utf-8') as file:
        file.write(new)
    return 0
