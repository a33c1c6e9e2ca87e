# SPDX-License-Identifier: MIT
"""Tries mutants, some at a time, and keeps the verdicts."""

import multiprocessing
import os
import random
import signal
import sys
import time

import judge
import records as records_of

NICE = 10

worker = None                   # the judge of this process


def say(text):
    print('mutate: ' + text, file=sys.stderr, flush=True)


def start_worker(killers, numbers):
    global worker               # pylint: disable=global-statement
    os.nice(NICE)
    worker = judge.Judge(killers, numbers.get())


def try_one(job):
    mutant, first, passed = job
    return mutant, worker.try_one(mutant, first, passed)


def progress(done, count, start, tally):
    took = time.monotonic() - start
    left = took / done * (count - done)
    text = 'mutate: %d of %d, %s, %d:%02d left' % (
        done, count, ', '.join('%d %s' % (n, v) for v, n in
                               sorted(tally.items())),
        left // 60, left % 60)
    if sys.stderr.isatty():
        print('\r\033[K' + text, end='', file=sys.stderr, flush=True)
    elif done % 100 == 0 or done == count:
        print(text, file=sys.stderr, flush=True)


def jobs_left(killers, chosen, records, options):
    """What has no verdict that holds; who killed it last comes first."""
    meaning = records_of.fresh_sources(killers.tree)
    current = {(k.name, k.stage): k.version for k in killers.list}
    versions = judge.Order(killers)
    left = []
    for mutant in chosen:
        known = records.known.get(mutant.id, {})
        asked = judge.versions(versions.killers_of(mutant, None))
        if options.has('--new') and mutant.id in records.known or \
           options.has('--retry') and not records.survived(mutant):
            continue
        trusted = None if options.has('--trust') else current
        if options.has('--again') or not records.holds(
                mutant, meaning[mutant.file], asked, trusted):
            first = known.get('killer')
            left.append((mutant, tuple(first) if first else None,
                         records.passed(mutant, meaning[mutant.file])))
    # In any order, so that what is done so far stands for all; what is known
    # comes last.
    random.Random(1).shuffle(left)
    left.sort(key=lambda job: bool(job[2]))
    return left, meaning


def run(killers, chosen, records, options):
    killers.prepare(options.stages, options.programs, say)
    left, meaning = jobs_left(killers, chosen, records, options)
    say('%d mutants, %d to try, %d at a time' % (
        len(chosen), len(left), options.jobs))
    numbers = multiprocessing.Queue()
    for number in range(options.jobs):
        numbers.put(number)
    start, tally = time.monotonic(), {}
    # Workers leave an interrupt to us, who then end them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.Pool(options.jobs, start_worker,
                              (killers, numbers)) as pool:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for done, (mutant, record) in enumerate(
                pool.imap_unordered(try_one, left), 1):
            records.keep(mutant, record, meaning[mutant.file])
            verdict = record['verdict']
            tally[verdict] = tally.get(verdict, 0) + 1
            progress(done, len(left), start, tally)
    if sys.stderr.isatty():
        print(file=sys.stderr)
