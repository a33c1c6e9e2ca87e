#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The explorer's command, as its user meets it."""

import subprocess
import sys


class Points:
    def __init__(self):
        self.count = self.failed = 0

    def point(self, name, good, output=''):
        self.count += 1
        if not good:
            self.failed += 1
            for line in output.splitlines():
                print('# ' + line)
        print('%sok %d - %s' % ('' if good else 'not ', self.count, name))


def run(*arguments):
    done = subprocess.run([sys.argv[1], *arguments], check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def explored(output):
    return int(output.split(': ', 1)[1].split()[0])


def main():
    points = Points()
    status, said = run('--help')
    points.point('help', status == 0 and 'usage:' in said, said)
    status, said = run('--nonsense')
    points.point('a wrong option', status == 2 and 'usage:' in said, said)
    status, said = run('--bound=many')
    points.point('a number that is none', status == 2 and 'many' in said,
                 said)
    status, said = run('no-such-program')
    points.point('a program there is not',
                 status == 2 and '--list' in said, said)
    status, said = run('--replay=0*1', 'litmus-lock')
    points.point('a replay that is none', status == 2 and 'copy' in said,
                 said)

    _, whole = run('litmus-lock')
    _, bounded = run('--bound=1', 'litmus-lock')
    points.point('a bound is said and leaves less',
                 '(bounded)' in bounded and '(bounded)' not in whole and
                 explored(bounded) <= explored(whole), whole + bounded)
    _, none = run('--bound=0', 'litmus-lock')
    points.point('no bound leaves all', explored(none) == explored(whole),
                 none)

    status, said = run('--fails=nothing of that kind', 'litmus-lock')
    points.point('a failure that is not there is a failure',
                 status == 1 and 'not found' in said, said)
    status, said = run('--tap', '--fails=data race', 'finds-race')
    points.point('a failure that must be found', status == 0 and
                 'ok 1' in said, said)
    status, said = run('--most=2', 'litmus-additions')
    points.point('who stops early says so', status == 1 and
                 'not finished' in said, said)
    status, said = run('--show', 'finds-lost_update')
    text = said.split("--replay '", 1)[-1].split("'", 1)[0]
    status, again = run('--replay', text, 'finds-lost_update')
    points.point('a failure replays', status == 1 and '-> ' in again and
                 again.split('-> ')[1].splitlines()[0] in said, said + again)
    points.point('a trace has each thread in its column',
                 '\n0: ' in again and '\n    1: ' in again, again)
    print('1..%d' % points.count)
    return 1 if points.failed else 0


if __name__ == '__main__':
    sys.exit(main())
