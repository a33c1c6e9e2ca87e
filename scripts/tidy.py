#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""House rules that a compiler does not know.

usage: scripts/tidy.py [--tap] [--root DIR] [FILE...]

Prints "file:line: what" for each finding, of the files named only if some
are. Exit status: 0 nothing found; 1 something; 2 wrong usage.

A function may be longer than the limit where a comment in it or above it
says "tidy: long" and why.
"""

import os
import re
import sys

LINE_COLUMNS = 80
FUNCTION_LINES = 60
CORE_FILE_LINES = 800
HEADER_LINES = 400

COMPILER_HEADERS = {name + '.h' for name in (
    'float iso646 limits stdalign stdarg stdatomic stdbool stddef stdint '
    'stdnoreturn').split()}

# Folder: (folders of the project whose headers it may include besides its
# own and include/, system headers it may include). Each hosted folder may
# also include all hosted folders before it.
FREESTANDING = {
    'include/coldframe': ([], {'stdbool.h', 'stddef.h', 'stdint.h'}),
    'core': ([], COMPILER_HEADERS),
    'virtio': ([], COMPILER_HEADERS),
    'owners': ([], COMPILER_HEADERS),
    'scenario': ([], COMPILER_HEADERS),
    'port/none': ([], COMPILER_HEADERS),
    'port/bare': ([], COMPILER_HEADERS),
    'guest': (['virtio', 'owners', 'scenario', 'port/bare', 'tests'],
              COMPILER_HEADERS),
}
HOSTED = ['port/host', 'owners/elastic', 'files', 'machine', 'linux', 'dump',
          'tools', 'bench', 'examples', 'tests']
UNIT = 'tests/unit'                     # the only tests that look into core/


def include_table():
    table = dict(FREESTANDING)
    for at, folder in enumerate(HOSTED):
        below = ['virtio', 'owners', 'scenario'] + HOSTED[:at]
        table[folder] = (below if folder != 'port/host' else [], None)
    # What machine/ is in the guest.
    table['machine/bare'] = (['machine', 'port/host', 'port/bare', 'guest',
                              'virtio', 'scenario'], None)
    table[UNIT] = (table['tests'][0] + ['core', 'tests', 'port/none'], None)
    # Models of owners run on the machine of the unit tests.
    table['tests/model/owners'] = (table['tests'][0] + ['tests', UNIT], None)
    return table


INCLUDES = include_table()

EDGE = re.compile(r'(?<!\w)\[([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\]')
ATOMIC = re.compile(r'\b(_Atomic|atomic_\w+|__atomic_\w+|__sync_\w+|'
                    r'stdatomic\.h)\b')
STRONG = re.compile(r'\b(?:cfi_(?:load|store|cas|add|sub|or|and|xor|swap)_'
                    r'(acquire|release|acq_rel|seq_cst)|cfi_fence_\w+|'
                    r'cfi_compiler_fence|cf_port_barrier_all)\s*\(')
COMMENT_REACH = 6                       # lines from a comment to its operation

SPDX_ENDINGS = ('.c', '.h', '.S', '.ld', '.py', '.sh', '.mk', '.build', '.ini',
                '.cf', '.md', '.svg', '.yml', '.1', '.5', '.7')
SPDX_NAMES = ('Makefile', 'meson_options.txt', '.gitignore', '.editorconfig',
              '.clang-format')
SCRIPT_FOLDERS = ('scripts', '.ci', '.githooks')


class Source:
    """A file: its lines, the same without comments and strings, comments."""

    TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'
                       r"'(?:\\.|[^'\\\n])*'", re.S)

    def __init__(self, root, path):
        self.path = path
        self.folder = os.path.dirname(path)
        with open(os.path.join(root, path), encoding='utf-8',
                  errors='replace') as file:
            self.text = file.read()
        self.lines = self.text.splitlines()
        self.is_c = path.endswith(('.c', '.h'))
        self.comments = []              # (first line, last line, text)
        if self.is_c:
            self.code = self.TOKEN.sub(self.blank, self.text).splitlines()

    def blank(self, token):
        if token[0].startswith('/'):
            first = self.text.count('\n', 0, token.start()) + 1
            self.comments.append((first, first + token[0].count('\n'),
                                  token[0]))
        return re.sub(r'[^\n]', ' ', token[0])

    def functions(self):
        """(line of the name, line of the closing brace), from one."""
        start = None
        for number, line in enumerate(self.code, 1):
            if line.startswith('{'):
                start = number - 1
                while start > 1 and self.code[start - 1][:1] in ('\t', ' ', ''):
                    start -= 1
            elif line.startswith('}') and start:
                yield start, number
                start = None

    def comments_near(self, line):
        """Comments just above a line or beside it, in the same function."""
        for first, last, text in self.comments:
            between = self.code[last:line]
            if last <= line <= last + COMMENT_REACH or first <= line <= last:
                if not any(code.startswith('}') for code in between):
                    yield text


class Tree:
    def __init__(self, root):
        self.root = root
        self.paths = sorted(self.walk())
        self.sources = [Source(root, path) for path in self.paths
                        if path.endswith(('.c', '.h'))]

    def walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [
                name for name in folders
                if not name.startswith('build-') and name != '__pycache__'
                and (not name.startswith('.') or name in SCRIPT_FOLDERS)
                and not os.path.exists(os.path.join(folder, name,
                                                    'meson-private'))]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def read(self, path):
        try:
            with open(os.path.join(self.root, path), encoding='utf-8') as file:
                return file.read()
        except FileNotFoundError:
            return None

    def rows(self, path):
        """(line, heading of the first column, cells) of a page's table rows;
        None: there is no such page."""
        text = self.read(path)
        if text is None:
            return None
        rows = []
        heading = ''
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(r'\s*\|[\s|:-]+$', line) and rows:
                heading = rows.pop()[2][0].lower()
            elif line.lstrip().startswith('|'):
                cells = line.strip().strip('|').split('|')
                rows.append((number, heading,
                             [cell.strip(' `[]') for cell in cells]))
        return rows

    def enumerators(self, name):
        """(path, line, enumerator) of a public enum, but for its _COUNT."""
        for source in self.sources:
            if source.folder != 'include/coldframe':
                continue
            code = '\n'.join(source.code)
            found = re.search(r'\benum %s\s*\{(.*?)\}' % name, code, re.S)
            for item in re.finditer(r'^\s*(CF_\w+)', found[1], re.M) \
                    if found else []:
                if not item[1].endswith('_COUNT'):
                    line = code.count('\n', 0, found.start(1) +
                                      item.start(1)) + 1
                    yield source.path, line, item[1]


def known_folder(path):
    """The longest folder of the include table that a path lies in."""
    fits = [folder for folder in INCLUDES if path.startswith(folder + '/')]
    return max(fits, key=len, default=None)


def spdx(tree):
    for path in tree.paths:
        name = os.path.basename(path)
        script = '.' not in name and path.split('/')[0] in SCRIPT_FOLDERS
        if '/fixtures/' in path or '/corpus/' in path:
            continue
        if name.endswith(SPDX_ENDINGS) or name in SPDX_NAMES or script:
            head = '\n'.join(tree.read(path).splitlines()[:5])
            if 'SPDX-License-Identifier: MIT' not in head:
                yield path, 1, 'no SPDX line in the first five'


def find_include(tree, source, name, quoted):
    """Where in the tree an included file is, or None."""
    if name == 'coldframe/host.h':      # where it is installed
        return 'port/host/host.h'
    folders = ['', 'include']
    if quoted:
        folders = [source.folder] + folders + list(INCLUDES)
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(os.path.join(tree.root, path)):
            return path
    return None


def includes(tree):
    for source in tree.sources:
        own = known_folder(source.path)
        if own is None:
            yield source.path, 1, 'a folder the include table does not know'
            continue
        below, system = INCLUDES[own]
        for number, line in enumerate(source.lines, 1):
            include = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
            if not include:
                continue
            quoted = include[1] == '"'
            path = find_include(tree, source, include[2], quoted)
            folder = path and known_folder(path)
            if path is None and quoted:
                yield source.path, number, 'cannot find ' + include[2]
            elif path is None:
                if system is not None and include[2] not in system:
                    yield source.path, number, '%s may not include <%s>' % (
                        own, include[2])
            elif folder not in [own, 'include/coldframe'] + below:
                yield source.path, number, '%s may not include %s' % (
                    own, path)


def comments(tree):
    for source in tree.sources:
        for first, _, text in source.comments:
            if text.startswith('//'):
                yield source.path, first, 'a // comment'


def lengths(tree):
    for source in tree.sources:
        for number, line in enumerate(source.lines, 1):
            columns = len(line.expandtabs(8))
            if columns > LINE_COLUMNS:
                yield source.path, number, '%d columns' % columns
        for start, end in source.functions():
            length = end - start + 1
            excused = any('tidy: long' in text for first, last, text
                          in source.comments if start - 1 <= last <= end)
            if length > FUNCTION_LINES and not excused:
                yield source.path, start, 'a function of %d lines' % length
        limit = CORE_FILE_LINES if source.folder == 'core' else None
        if source.path.endswith('.h'):
            limit = HEADER_LINES
        if limit and len(source.lines) > limit:
            yield source.path, limit, '%d lines' % len(source.lines)


def atomics(tree):
    """The shipped code has atomics in two files; tests are free."""
    for source in tree.sources:
        if (source.path in ('core/atomic.h', 'virtio/ring.c')
                or source.path.startswith(('tests/', 'bench/'))):
            continue
        for number, line in enumerate(source.code, 1):
            found = ATOMIC.search(line)
            if found and source.folder == 'core':
                yield source.path, number, found[1] + ': use core/atomic.h'
            elif found:
                yield source.path, number, found[1] + ': atomics outside core/'


def operations(tree):
    """(source, line, order, edges named beside it) of strong operations."""
    for source in tree.sources:
        if source.folder != 'core' or source.path == 'core/atomic.h':
            continue
        for number, line in enumerate(source.code, 1):
            for found in STRONG.finditer(line):
                edges = set()
                for text in source.comments_near(number):
                    edges.update(EDGE.findall(text))
                yield source, number, found, edges


def edges(tree):
    sides = {}                          # edge: (orders seen, path, line)
    for source, number, found, names in operations(tree):
        if not names:
            yield source.path, number, found[0].rstrip('( ') + \
                ' without an [edge] in the comment above'
        for name in names:
            seen = sides.setdefault(name, (set(), source.path, number))[0]
            seen.update({'acquire': ['acquire'], 'release': ['release']}.get(
                found[1], ['acquire', 'release']))
    for name, (seen, path, number) in sorted(sides.items()):
        if len(seen) == 1:
            yield path, number, '[%s] has only its %s side' % (name, *seen)
    rows = tree.rows('docs/atomics.md')
    if rows is not None:
        yield from edge_rows(rows, sides)


def edge_rows(rows, sides):
    listed = {}
    for number, heading, cells in rows:
        if heading not in ('edge', 'name'):
            continue
        listed[cells[0]] = number
        if len(cells) < 6 or not all(cells):
            yield 'docs/atomics.md', number, '[%s]: an empty cell' % cells[0]
    for name in sorted(set(sides) - set(listed)):
        yield sides[name][1], sides[name][2], \
            '[%s] has no row in docs/atomics.md' % name
    for name in sorted(set(listed) - set(sides)):
        yield 'docs/atomics.md', listed[name], '[%s] is not in core/' % name


def ranks(tree):
    rows = tree.rows('docs/locks.md')
    if rows is None:
        return
    words = {}
    for number, _, cells in rows:
        for word in re.findall(r'\bCF_RANK_\w+', ' '.join(cells)):
            words.setdefault(word, number)
    known = {name for _, _, name in tree.enumerators('cf_rank')}
    for path, line, name in tree.enumerators('cf_rank'):
        if name not in words:
            yield path, line, name + ' has no row in docs/locks.md'
    for word in sorted(set(words) - known):
        yield 'docs/locks.md', words[word], word + ' is not in lock.h'


def states(tree):
    """By its full name or by what follows the prefix, in capitals."""
    text = tree.read('docs/states.md')
    if text is None:
        return
    words = set(re.findall(r'\w+', text))
    for enum, prefix in [('cf_block_state', 'CF_BLOCK_'),
                         ('cf_type', 'CF_TYPE_')]:
        for path, line, name in tree.enumerators(enum):
            if name not in words and name[len(prefix):] not in words:
                yield path, line, name + ' is not in docs/states.md'


RULES = [spdx, includes, comments, lengths, atomics, edges, ranks, states]


def report(findings, wanted, start=''):
    """Print what concerns the wanted files; returns how many that is."""
    count = 0
    for path, line, what in findings:
        if not wanted or path in wanted:
            print('%s%s:%d: %s' % (start, path, line, what))
            count += 1
    return count


def main(arguments):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    as_tap = '--tap' in arguments
    arguments = [word for word in arguments if word != '--tap']
    if arguments[:1] == ['--root'] and len(arguments) > 1:
        root = arguments[1]
        arguments = arguments[2:]
    if any(word.startswith('-') for word in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    tree = Tree(root)
    total = 0
    for number, rule in enumerate(RULES, 1):
        count = report(rule(tree), arguments, '# ' if as_tap else '')
        total += count
        if as_tap:
            print('%sok %d - %s' % ('not ' if count else '', number,
                                    rule.__name__))
    if as_tap:
        print('1..%d' % len(RULES))
    return 1 if total else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
