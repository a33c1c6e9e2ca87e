# SPDX-License-Identifier: MIT
"""coldframe run with device memory: every step on it and what it says, and
wrong ones, for each kind."""

import cli
from cli import ok, run_all

START = 'machine memory 32M span 256M block 16M nodes 2\n'
KINDS = ('private', 'coherent', 'fs-dax', 'generic', 'p2p')
GPU = 'pagemap d block 4 kind private\n'
DISK = 'pagemap d block 4 kind fs-dax\n'
BRIDGE = 'pagemap d block 4 kind p2p\n'

# What the reader says of wrong ones.

WRONG = [
    ('pagemap\n', "the pagemap's name is missing"),
    ('pagemap d\n', 'where is missing'),
    ('pagemap d block 4\n', 'kind'),
    ('pagemap d block 4 kind odd\n', 'kind: "odd" is not one of its words'),
    ('pagemap d block 4 chunk 0 kind p2p\n', 'only whole blocks will do'),
    ('pagemap d block 4 kind p2p node 2\n', 'the machine has 2 nodes'),
    (GPU + 'pagemap d block 5 kind p2p\n', 'd is a pagemap already'),
    (GPU + 'hand-out s 4\n', 'pagemap'),
    (GPU + 'hand-out s pagemap d\n', 'is neither a number'),
    (GPU + 'hand-out s 4 pagemap e\n', 'there is no pagemap e'),
    ('owner d\nhand-out s 4 pagemap d\n', 'd is a owner, not a pagemap'),
    (GPU + 'alloc s 4 owner d\n', 'd is a pagemap, not a owner'),
    (GPU + 'move s pagemap d\n', 'there is no set'),
    (GPU + 'fault block 0\n', 'set'),
    (DISK + 'truncate d\n', 'how much'),
    (DISK + 'truncate d 0 passes 0\n', 'passes: 0 is less than 1'),
    (GPU + 'pagemap remove e\n', 'there is no pagemap e'),
    (GPU + 'expect pagemap d happy\n', 'has no "happy"'),
]


def wrong():
    reports = run_all([START + text for text, _ in WRONG])
    for (text, what), report in zip(WRONG, reports):
        lines = text.count('\n')
        ok(report['status'] == 2 and report.get('line') == lines + 1 and
           what in report.get('error', ''),
           'wrong: %r' % text.split('\n')[-2], str(report.get('error')))


# What the owners refuse when the steps run.

REFUSED = [
    ('pagemap d block 0 kind p2p\n', 'busy', ''),
    ('pagemap d block 4 kind private metadata self\n', 'invalid', ''),
    (GPU + 'hand-out s 1 pagemap d order 3\n', 'invalid', 'order 3'),
    (DISK + 'hand-out s 1 pagemap d order 9\n', 'invalid', 'order 9'),
    (GPU + 'hand-out s 17M pagemap d\n', 'nomem', ''),
    (DISK + 'hand-out s 17M pagemap d\n', 'invalid', ''),
    (BRIDGE + 'hand-out s 17M pagemap d\n', 'nomem', ''),
    (BRIDGE + 'alloc s 4\nmove s pagemap d\n', 'invalid', 'p2p memory'),
    (GPU + 'alloc s 4\npin s[0]\nmove s pagemap d\n', 'again', ''),
    (GPU + 'alloc s 4\nfault s\n', 'invalid', ''),
    (GPU + 'hand-out s 4 pagemap d\nfault s\n', 'again', ''),
    (GPU + 'truncate d 0\n', 'invalid', 'private memory holds no files'),
    (DISK + 'truncate d 4K\n', 'invalid', ''),
    (DISK + 'hand-out s 4 pagemap d\ntruncate d 0\n', 'busy', 'device of d'),
    (BRIDGE + 'hand-out s 4 pagemap d\npin s[1]\npagemap remove d\n', 'busy',
     'device of d'),
    (GPU + 'pagemap remove d\nhand-out s 1 pagemap d\n', 'gone',
     'd is not there'),
    (GPU + 'pagemap remove d\npagemap remove d\n', 'gone', 'd is not there'),
    (GPU + 'online block 4\n', 'busy', ''),
    (GPU + 'remove block 4\n', 'busy', ''),
]


def refused():
    reports = run_all([START + text for text, _, _ in REFUSED])
    for (text, error, why), report in zip(REFUSED, reports):
        last = (report.get('steps') or [{}])[-1]
        ok(report['status'] == 1 and last.get('error') == error and
           why in last.get('why', ''),
           '%s: %s' % (text.split('\n')[-2], error), str(last))


# The same life for all kinds.

LIFE = '''pagemap d blocks 4-5 kind %s node 1
expect pagemap d total == 32M free == 32M busy == 0 node 1
expect block 5 state device zone device node 1 owner d
expect device == 32M
hand-out s 64K pagemap d
expect pagemap d busy == 64K
expect frame s[3] type device refs == 1
get s[3]
pin s[3]
expect frame s[3] refs == 3 pins == 1
expect fails busy pagemap remove d
expect last reason referenced who d blocking == 64K
unpin s[3]
put s[3]
remember f s[3]
retire f
expect frame f poisoned
free s
expect frame f type retired
expect pagemap d busy == 0 retired == 4K
pagemap remove d
expect block 4 state absent
verify
'''


def life():
    reports = run_all([START + LIFE % kind for kind in KINDS],
                      '--verify=step')
    for kind, report in zip(KINDS, reports):
        failed = [step for step in report.get('steps', []) +
                  report.get('checks', []) if not step['ok']]
        ok(report['status'] == 0 and not failed, 'the life of %s memory' % kind,
           '%s %s' % (failed, report.get('error')))
        found = report.get('pagemap', [])
        ok([one.get('name') for one in found] == ['d'], 'in the report',
           str(found))


if __name__ == '__main__':
    wrong()
    refused()
    life()
    cli.done()
