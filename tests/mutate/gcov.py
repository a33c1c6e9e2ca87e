# SPDX-License-Identifier: MIT
"""What gcov counted in a build: lines and branches of the files of core/."""

import json
import os
import re
import subprocess


def count_files(build):
    return [os.path.join(folder, name)
            for folder, _, names in os.walk(build)
            for name in names if name.endswith('.gcda')]


def forget(build):
    for path in count_files(build):
        os.remove(path)


class Line:
    def __init__(self):
        self.count = 0
        self.branches = []

    def add(self, found):
        """An inlined function is counted once in each object."""
        self.count += found['count']
        taken = [branch['count'] for branch in found['branches']]
        if len(taken) == len(self.branches):
            self.branches = [a + b for a, b in zip(self.branches, taken)]
        elif len(taken) > len(self.branches):
            self.branches = taken


def read(build, tree):
    """{file of core/: {line number: Line}}"""
    files = {}
    paths = count_files(build)
    said = subprocess.run(
        ['gcov', '--branch-probabilities', '--json-format', '--stdout'] +
        paths, cwd=build, stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True).stdout if paths else ''
    for document in re.findall(r'^\{.*\}$', said, re.M):
        for file in json.loads(document)['files']:
            name = os.path.relpath(os.path.join(build, file['file']), tree)
            if not name.startswith('core/'):
                continue
            lines = files.setdefault(name, {})
            for line in file['lines']:
                lines.setdefault(line['line_number'], Line()).add(line)
    return files
