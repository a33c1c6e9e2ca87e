#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The explorer against the memory model itself, on random programs.

Draws small programs, enumerates every reading and every order of stores by
brute force, keeps what the axioms of RC11 allow, and asks the explorer for
the same programs: the outcomes must be the same, and as many executions as
there are graphs.

usage: axioms.py EXPLORE [COUNT [SEED]]
"""

import itertools
import random
import subprocess
import sys

WORDS = 'xyz'
STORE_ORDERS = 'rls'
LOAD_ORDERS = 'ras'
RMW_ORDERS = 'ralbs'
ACQUIRES = set('abs')
RELEASES = set('lbs')


# What chance seldom draws: happens-before between seq_cst accesses of other
# words, release sequences through others' read-modify-writes, exchanges.
FIXED = ['Sxs1;Szl1|Lza;Lys|Sys1;Lxs', 'Sxr1;Syl1|Ayr1|Lya;Lxr',
         'Sxr1;Syl1|Cyr12|Lya;Lxr', 'Sxr1;Syl1;Syr2|Lya;Lxr',
         'Sxs1;Lys|Sys1;Lxs', 'Axs1;Lya|Ays1;Lxa', 'Axb1;Lyr|Ayb1;Lxr',
         'Sxr1;Syl1|Cyb12;Szr1|Lza;Lxr', 'Sxs1|Sys1|Lxs;Lys|Lys;Lxs',
         'Sxl1|Syl1|Lxa;Lya|Lya;Lxa', 'Axr1|Axr1|Axr1|Axr1']


class Event:
    """One access: kind L load, S store, A addition, C exchange."""

    def __init__(self, text, thread, index):
        self.kind, self.word, self.order = text[0], text[1], text[2]
        self.values = [int(c) for c in text[3:]]
        self.thread, self.index = thread, index


def draw(rng):
    threads = rng.choice((2, 2, 3))
    words = rng.choice((2, 2, 3))
    ops = []
    for _ in range(threads):
        thread = []
        for _ in range(rng.randint(1, 3 if threads == 2 else 2)):
            kind = rng.choice('LLSSAC')
            word = rng.choice(WORDS[:words])
            if kind == 'L':
                thread.append(kind + word + rng.choice(LOAD_ORDERS))
            elif kind == 'S':
                thread.append(kind + word + rng.choice(STORE_ORDERS) +
                              str(rng.randint(1, 2)))
            elif kind == 'A':
                thread.append(kind + word + rng.choice(RMW_ORDERS) + '1')
            else:
                thread.append(kind + word + rng.choice(RMW_ORDERS) +
                              str(rng.randint(0, 1)) + '2')
        ops.append(thread)
    return '|'.join(';'.join(thread) for thread in ops)


def closure(pairs, count):
    """Transitive closure, a bit set an event."""
    reach = [0] * count
    for a, b in pairs:
        reach[a] |= 1 << b
    for k in range(count):
        for a in range(count):
            if reach[a] >> k & 1:
                reach[a] |= reach[k]
    return reach


def is_acyclic(reach):
    return all(not reach[a] >> a & 1 for a in range(len(reach)))


def values_of(events, rf):
    """What each event reads and writes (None: nothing), or None if a load
    reads from a store that does not happen or depends on itself."""
    count = len(events)
    read, written = [None] * count, [None] * count
    before = [(a, b) for a in range(count) for b in range(count)
              if events[a].thread == events[b].thread and
              events[a].index < events[b].index]
    before += [(store, load) for load, store in rf.items()
               if store is not None]
    reach = closure(before, count)
    if not is_acyclic(reach):
        return None
    order = sorted(range(count), key=lambda e: sum(
        reach[a] >> e & 1 for a in range(count)))
    for e in order:
        event = events[e]
        if event.kind == 'S':
            written[e] = event.values[0]
            continue
        read[e] = 0 if rf[e] is None else written[rf[e]]
        if read[e] is None:
            return None
        if event.kind == 'A':
            written[e] = read[e] + 1
        elif event.kind == 'C' and read[e] == event.values[0]:
            written[e] = event.values[1]
    return read, written


def is_consistent(events, rf, co, written):
    """The axioms: coherence, atomicity, one order of seq_cst."""
    count = len(events)
    sb = [(a, b) for a in range(count) for b in range(count)
          if events[a].thread == events[b].thread and
          events[a].index < events[b].index]
    place = {}
    for stores in co.values():
        for at, store in enumerate(stores):
            place[store] = at + 1
    is_rmw = [events[e].kind in 'AC' and written[e] is not None
              for e in range(count)]
    at = {e: 0 if rf[e] is None else place[rf[e]] for e in rf}
    for e in rf:
        if is_rmw[e] and place[e] != at[e] + 1:
            return False

    def order(e):
        # An exchange that does not happen is a relaxed load.
        return 'r' if events[e].kind == 'C' and not is_rmw[e] else \
            events[e].order

    sw = []
    for load in rf:
        if order(load) not in ACQUIRES:
            continue
        store = rf[load]
        while store is not None:
            if order(store) in RELEASES:
                sw.append((store, load))
            store = rf[store] if is_rmw[store] else None
    hb = closure(sb + sw, count)
    if not is_acyclic(hb):
        return False
    mo = [(a, b) for a in place for b in place
          if events[a].word == events[b].word and place[a] < place[b]]
    rb = [(load, store) for load in rf for store in place
          if events[load].word == events[store].word and load != store and
          at[load] < place[store]]
    eco = closure(mo + rb + [(rf[load], load) for load in rf
                             if rf[load] is not None], count)
    for a in range(count):
        for b in range(count):
            if hb[a] >> b & 1 and eco[b] >> a & 1:
                return False

    sc = [e for e in range(count) if order(e) == 's']
    scb = set(sb) | set(mo) | set(rb)
    other = [(a, b) for a, b in sb if events[a].word != events[b].word]
    for a, b in itertools.product(range(count), repeat=2):
        if hb[a] >> b & 1 and events[a].word == events[b].word:
            scb.add((a, b))
    for (a, x), (y, b) in itertools.product(other, other):
        if hb[x] >> y & 1:
            scb.add((a, b))
    return is_acyclic(closure([(a, b) for a, b in scb
                               if a in sc and b in sc], count))


def brute_force(text):
    """The outcomes the model allows, and how many graphs."""
    events = [Event(op, t, i) for t, thread in enumerate(text.split('|'))
              for i, op in enumerate(thread.split(';'))]
    loads = [e for e, event in enumerate(events) if event.kind != 'S']
    stores = {word: [e for e, event in enumerate(events)
                     if event.kind != 'L' and event.word == word]
              for word in WORDS}
    outcomes, graphs = set(), 0
    for choice in itertools.product(*(
            [None] + [s for s in stores[events[load].word] if s != load]
            for load in loads)):
        rf = dict(zip(loads, choice))
        values = values_of(events, rf)
        if values is None:
            continue
        read, written = values
        there = [[s for s in stores[word] if written[s] is not None]
                 for word in WORDS]
        for orders in itertools.product(*(itertools.permutations(those)
                                          for those in there)):
            co = dict(zip(WORDS, orders))
            if not is_consistent(events, rf, co, written):
                continue
            graphs += 1
            outcomes.add(''.join(str(read[load]) for load in loads) + '.' +
                         ''.join(str(written[co[w][-1]] if co[w] else 0)
                                 for w in WORDS))
    return outcomes, graphs


def explore(program, text):
    done = subprocess.run([program, '--unique', '--litmus=' + text],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, text=True)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) < 2:
        return done.stdout, -1
    return (set(lines[1].split()[1:]),
            int(lines[0].split(': ', 1)[1].split()[0]))


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    rng = random.Random(seed)
    failed = 0
    print('# seed %d' % seed)
    for text in FIXED + [draw(rng) for _ in range(count)]:
        wanted, graphs = brute_force(text)
        seen, executions = explore(sys.argv[1], text)
        if seen != wanted or executions != graphs:
            failed += 1
            print('# %s: %d executions of %d graphs' % (text, executions,
                                                        graphs))
            print('#   seen %s' % (seen if executions < 0 else
                                   ' '.join(sorted(seen))))
            print('#   not  %s' % ' '.join(sorted(wanted)))
    print('%sok 1 - %d programs do what the model allows, each execution '
          'once' % ('not ' if failed else '', len(FIXED) + count))
    print('1..1')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
