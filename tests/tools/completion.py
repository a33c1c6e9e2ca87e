# SPDX-License-Identifier: MIT
"""Completion in bash: what the words typed so far are completed to. And no
option is in --help alone: the manual page of the command has it, too."""

import os
import re
import subprocess
import sys

import cli
from cli import ok

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(cli.HERE)),
                      'tools/coldframe/coldframe.bash')

TRY = '''
compopt() { :; }
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_coldframe
printf '%s\\n' "${COMPREPLY[@]}"
'''


def complete(*words):
    done = subprocess.run(['bash', '-c', TRY, 'bash', SCRIPT, cli.COLDFRAME] +
                          list(words), check=False, capture_output=True,
                          text=True)
    if done.stderr:
        print('# ' + done.stderr.strip())
    return [line for line in done.stdout.splitlines() if line]


def in_manual(command):
    listed = set(re.findall(r'--[a-z][a-z-]*', cli.run(command, '--help')[1]))
    path = os.path.join(os.path.dirname(os.path.dirname(cli.HERE)),
                        'docs/man/coldframe-%s.1' % command)
    with open(path, encoding='utf-8') as file:
        text = file.read().replace('\\-', '-')
    missing = sorted(word for word in listed if not re.search(
        word + r'(?![a-z-])', text))
    ok(listed and not missing, 'every option is in the manual: ' + command,
       ' '.join(missing))


def main():
    commands = re.findall(r'^  ([a-z][a-z-]*) ', cli.run('--help')[1], re.M)
    ok('blocks' in commands, 'the commands are listed')
    for command in commands:
        in_manual(command)
    if subprocess.run(['bash', '-c', 'true'], check=False).returncode:
        cli.skip('completion', 'no bash')
        return cli.done()
    ok({'blocks', 'types', 'map', '--help'} <= set(complete('')),
       'commands', repr(complete('')))
    ok(complete('blo') == ['blocks'], 'a command that is begun')
    ok('--prometheus' in complete('blocks', '--p') and
       '--pairs' in complete('blocks', '--p'), 'options of a command',
       repr(complete('blocks', '--p')))
    ok('--prometheus' not in complete('map', '--'),
       'a command does not get the options of another')
    ok(complete('blocks', '-o', 'VER') == ['VERDICT,'],
       'a column, with a comma behind')
    ok(complete('blocks', '-o', 'SIZE,VER') == ['SIZE,VERDICT,'],
       'the second of several columns')
    ok(complete('blocks', '-o', '+VER') == ['+VERDICT,'],
       'one more column')
    ok(complete('blocks', '--color', '=', 'al') == ['always'],
       'a value behind =')
    ok(complete('run', '--machine', '=', 'q') == ['qemu'], 'a machine')
    ok(complete('run', '--cpu-kind', '=', 'a') == ['aarch64'],
       'a kind of processor')
    ok(complete('dump', '--compress', '=', 'zs') == ['zstd'],
       'how a dump is packed')
    ok(complete('blocks', '-z', 'Mov') == ['Movable'], 'a zone')
    ok('cli.py' in [os.path.basename(name) for name in complete(
        'map', '-F', os.path.join(cli.HERE, 'cli'))], 'a file')
    return cli.done()


sys.exit(main())
