# SPDX-License-Identifier: MIT
"""tests/linux/offline.py fails when guests say too little or the verdicts are
wrong: on what guests might have said, written here."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'build'))

from tap import done, ok                            # noqa: E402

BLOCK = 128 << 20
FULL = BLOCK // 2


def judged(*groups, end='DONE\n', guest='some', kinds=()):
    """(exit status, output) of groups: blocks, state, verdict, in use.
    kinds: block, and what it has."""
    lines, number = ['KINDS %d %s' % one for one in kinds], 0
    for count, state, verdict, movable in groups:
        for _ in range(count):
            lines.append('TRIED %d %s %s %d %d 0 x' % (
                number, state, verdict, BLOCK, movable))
            number += 1
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, guest + '-6.1'), 'w',
                  encoding='ascii') as file:
            file.write('\n'.join(lines) + '\n' + end)
        result = subprocess.run(
            [sys.executable, os.path.join(HERE, 'offline.py'), '--again',
             folder, 'none'], check=False, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def says(status, part, text, *groups, **more):
    found = judged(*groups, **more)
    ok(found[0] == status and part in found[1], text, repr(found))


EASY = (16, 'offline', 'empty', 0)
HARD = (12, 'offline', 'candidate', FULL)
STAY = (12, 'online', 'blocked', FULL)

says(0, '40 blocks, precision 1.000', 'enough blocks, all right', EASY, HARD,
     STAY)
says(1, 'only 39 blocks', 'too few blocks', (15,) + EASY[1:], HARD, STAY)
says(1, 'only 11 blocks that stay', 'too few that stay', EASY, EASY, HARD,
     (11,) + STAY[1:])
says(1, 'only 11 blocks that go with', 'too few that look hard', EASY, EASY,
     (11,) + HARD[1:], STAY)
says(1, 'precision 0.94', 'candidates that stay', EASY, HARD, STAY,
     (2, 'online', 'candidate', FULL), (4, 'offline', 'empty', 0))
says(1, 'recall 0.87', 'blocks that go and were said to stay', EASY, HARD,
     STAY, (4, 'offline', 'blocked', 0))
says(1, 'undecided 0.11', 'more than a tenth undecided', EASY, HARD, STAY,
     (5, 'online', 'doubtful', FULL))
says(1, 'did not come to its end', 'a guest that dies', EASY, HARD, STAY,
     end='')
says(1, 'some-6.1: no ring:140', 'what was to occupy memory and did not', EASY,
     HARD, STAY, end='no ring:140\nDONE\n')

# Blocks 0 to 27 went, 28 to 39 stayed.
HUGE = [(0, 'anon:9 hugetlb:512 mlocked:9'), (28, 'absent:3 slab:7'),
        (29, 'untyped:3000'), (30, 'held:16')]
LOCKED = ('WHY 0 doubt  mlocked 51200 200M 100 0x9 proved   mapped by occupy '
          '(9)\nDONE\n')
PLUGGED = [(0, 'anon:9'), (1, 'offline:9'), (2, 'never-onlined:512 offline:3'),
           (28, 'absent:3 slab:7')]
COUNTS = ('COUNT balloon 65536\nCOUNT offline 81920\nCOUNT shown 81920\n'
          'DONE\n')
says(0, '40 blocks', 'a guest with all that it is to have', EASY, HARD, STAY,
     guest='huge', kinds=HUGE, end=LOCKED)
says(0, '40 blocks', 'the same of one with a balloon', EASY, HARD, STAY,
     guest='balloon', kinds=PLUGGED, end=COUNTS)
for index, missing in ((0, 'goes with page cache'), (0, 'goes with huge pages'),
                       (0, 'goes with locked memory'),
                       (1, 'stays with kernel objects'),
                       (1, 'stays with boot holes'),
                       (2, "stays with a driver's memory"),
                       (3, 'stays with pages in pipes')):
    says(1, 'no block that ' + missing, 'no block that ' + missing, EASY, HARD,
         STAY, guest='huge', kinds=HUGE[:index] + HUGE[index + 1:],
         end=LOCKED)
    number, has = HUGE[index]
    says(1, 'no block that ' + missing, 'it does the other thing', EASY, HARD,
         STAY, guest='huge', kinds=HUGE[:index] + HUGE[index + 1:] +
         [((number + 28) % 56, has)], end=LOCKED)
says(1, 'no block that goes with balloon pages', 'no balloon', EASY, HARD,
     STAY, guest='balloon', kinds=PLUGGED[:1] + PLUGGED[3:], end=COUNTS)
says(1, 'no block that goes with parts not plugged', 'all is plugged', EASY,
     HARD, STAY, guest='balloon', kinds=PLUGGED[:2] + PLUGGED[3:], end=COUNTS)
# What coldframe why says, and why it is wrong. Block 28 stays, 0 goes.
HEAD = 'WHY 28 block 28, 0x0-0x1, online: blocked (proved)\n'
TABLE = 'WHY 28 blocks page-table 9000 35M 64 0x9 possible page tables; '
SAID = {
    'tables': HEAD + TABLE + 'most have occupy (8), init (1)\n'
              'WHY 28 doubt  untyped 3 12K 1 0x7 possible drivers\n',
    'lock': 'WHY 0 doubt  mlocked  38300 1M 64 0x9 proved   mapped by occupy '
            '(9)\nWHY 3 moves  mlocked  100 1M 64 0x9 proved mapped by occupy '
            '(9), a (1)\n',
    'fixed': 'WHY 29 block 29, 0x2-0x3, online: blocked (likely)\n'
             'WHY 29   pinned: where a program\n'
             'WHY 29    10240 frames  occupy: io_uring (7)\n',
}
QUICK = [(0, 'anon:9 hugetlb:512 mlocked:9'), (28, 'absent:3 slab:7'),
         (29, 'page-table:3 pinned:4')]


def answers(status, text, changed=None, what='', to=''):
    said = {name: lines.replace(what, to) if name == changed else lines
            for name, lines in SAID.items()}
    says(status, 'why' if status and changed != 'tables' else
         'page tables alone' if status else '40 blocks', text, EASY, HARD,
         STAY, guest='quick', kinds=QUICK,
         end=''.join(said.values()) + 'DONE\n')


answers(0, 'why names what keeps a block, and whose it is')
answers(1, 'page tables, not only', 'tables', HEAD, HEAD + TABLE.replace(
    'page-table 9000', 'slab 9001') + '\n')
answers(1, 'page tables of somebody else', 'tables', 'occupy', 'bash')
answers(1, 'page tables in a candidate', 'tables', 'blocked (', 'candidate (')
answers(1, 'locked frames that are missing', 'lock', ' 100 ', ' 99 ')
answers(1, 'locked by nobody', 'lock', 'occupy', 'bash')
answers(1, 'locked and no doubt', 'lock', 'doubt', 'owner')
answers(1, 'pinned frames that are missing', 'fixed', '10240', '10239')
answers(1, 'pinned without a reason', 'fixed', 'pinned:', 'held:')
answers(1, 'pinned in a block that goes', 'fixed', '29', '0')
says(1, 'block 28 are not ranked', 'a doubt before what blocks', EASY, HARD,
     STAY, guest='quick', kinds=QUICK, end=''.join(SAID.values()) +
     TABLE + 'x\nDONE\n')
says(1, 'block 28 are not ranked', 'few before many', EASY, HARD, STAY,
     guest='quick', kinds=QUICK, end=''.join(SAID.values()).replace(
         HEAD, HEAD + 'WHY 28 blocks slab 3 12K 1 0x7 possible kernel\n') +
     'DONE\n')
done()
