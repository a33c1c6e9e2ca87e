# SPDX-License-Identifier: MIT
"""What can be changed in a C source: one small change a mutant.

A mutant is known by file, function, source line without its indent, what is
changed there, and the how manieth of its like in the function it is: so it
keeps its name when lines above it come and go.
"""

import bisect
import hashlib
import os
import re
from dataclasses import dataclass, field

KINDS = ('operator', 'branch', 'lock', 'order')

TOKEN = re.compile(r'''
    (?P<comment>/\*.*?\*/) |
    (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*') |
    (?P<define>^[ \t]*\#[ \t]*define\b) |
    (?P<directive>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*) |
    (?P<name>[A-Za-z_]\w*) |
    (?P<number>\d[\w.]*) |
    (?P<sign><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|
             \#\#|[^\s\w])
    ''', re.X | re.S | re.M)

SWAPS = {
    '<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '==',
    '&&': '||', '||': '&&', '+': '-', '-': '+', '*': '/', '/': '*', '%': '*',
    '<<': '>>', '>>': '<<', '&': '|', '|': '&', '^': '&',
    '+=': '-=', '-=': '+=', '*=': '/=', '/=': '*=', '%=': '*=',
    '<<=': '>>=', '>>=': '<<=', '&=': '|=', '|=': '&=', '^=': '=',
    '++': '--', '--': '++',
}
TYPES = {'void', 'char', 'int', 'unsigned', 'long', 'bool', 'size_t',
         'uintptr_t', 'cf_pfn', 'cf_phys', 'cfi_u64', 'const', 'struct',
         'enum', 'signed'}
KEYWORDS = {'return', 'case', 'if', 'while', 'for', 'else', 'do', 'sizeof',
            'switch', 'goto', 'break', 'continue', 'default', 'static',
            'inline'}
# Checks of debug builds and of the compiler are no code under test.
CHECKS = {'CF_ASSERT', 'CF_ASSERT_LOCKED', '_Static_assert',
          'cf_assert_unlocked'}
ALWAYS_CHECKS = {'CF_CHECK', 'CF_CHECK2'}

# A call that lets another go on or keeps it out, and the call that ends it.
PAIRS = {
    'cf_lock': 'cf_unlock', 'cf_trylock': 'cf_unlock',
    'cfi_block_lock': 'cfi_block_unlock',
    'cf_port_read_lock': 'cf_port_read_unlock',
    'cfi_sequence_begin': 'cfi_sequence_end',
    'cfi_moves_begin': 'cfi_moves_end',
}
LOCKS = set(PAIRS) | set(PAIRS.values()) | {
    'cf_port_synchronize', 'cf_port_irq_off', 'cf_port_irq_restore',
    'irq_off', 'irq_restore', 'cfi_cpu_leave', 'cfi_divert_end',
    'cfi_owner_end', 'cfi_compiler_fence', 'cf_port_barrier_all',
}

WEAKER = {
    'load': {'seq_cst': ['acquire'], 'acquire': ['relaxed']},
    'store': {'release': ['relaxed']},
    'rmw': {'seq_cst': ['acq_rel'], 'acq_rel': ['acquire', 'release'],
            'acquire': ['relaxed'], 'release': ['relaxed']},
}
ORDER_CALL = re.compile(r'cfi_(load|store|cas|add|sub|or|and|swap)_'
                        r'(acquire|release|acq_rel|seq_cst)$')
ORDER_NAME = re.compile(r'__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)$')


@dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int
    line: int


@dataclass
class Mutant:
    file: str
    function: str
    kind: str
    what: str                   # old => new
    line: int
    lines: tuple                # first and last line of the statement
    around: tuple               # of the function
    source: str                 # the line, without its indent
    edits: list = field(default_factory=list)   # (start, end, text)
    nth: int = 0

    @property
    def key(self):
        return '%s | %s | %s | %s | %d' % (
            self.file, self.function, self.source, self.what, self.nth)

    @property
    def id(self):
        return hashlib.sha1(self.key.encode()).hexdigest()[:8]

    def marked(self, text):
        """Its line with what is changed in angle quotes."""
        start, end, _ = self.edits[0]
        first = text.rfind('\n', 0, start) + 1
        last = text.find('\n', end)
        line = '%s<<%s>>%s' % (text[first:start], text[start:end],
                               text[end:last])
        return ' '.join(line.split())

    def apply(self, text):
        for start, end, new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text


class Source:
    """The tokens of a file, and which of them are code of functions."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.ends = [at for at, char in enumerate(text) if char == '\n']
        self.tokens = []
        self.defines = []       # (name, first token, past the last)
        self.functions = []     # the same
        self.read_tokens()
        self.match = self.match_brackets()
        self.find_functions()

    def line_of(self, at):
        return bisect.bisect_left(self.ends, at) + 1

    def line_text(self, line):
        first = self.ends[line - 2] + 1 if line > 1 else 0
        last = self.ends[line - 1] if line <= len(self.ends) else None
        return self.text[first:last]

    def read_tokens(self):
        for found in TOKEN.finditer(self.text):
            kind = found.lastgroup
            if kind in ('comment', 'directive'):
                continue
            self.tokens.append(Token(kind, found[0], found.start(),
                                     found.end(), self.line_of(found.start())))
        # A definition ends at the first line that is not continued.
        inside = None
        for at, token in enumerate(self.tokens):
            if inside is not None and token.start > inside[1]:
                self.defines.append((inside[0], inside[2], at))
                inside = None
            if token.kind == 'define':
                end = token.end
                while True:
                    end = self.text.index('\n', end)
                    if self.text[end - 1] != '\\':
                        break
                    end += 1
                inside = (self.tokens[at + 1].text, end, at + 2)
        if inside:
            self.defines.append((inside[0], inside[2], len(self.tokens)))

    def match_brackets(self):
        match, stack = {}, []
        for at, token in enumerate(self.tokens):
            if token.text in '([{' and token.kind == 'sign':
                stack.append(at)
            elif token.text in ')]}' and token.kind == 'sign' and stack:
                start = stack.pop()
                match[start] = at
                match[at] = start
        return match

    def in_define(self, at):
        return any(first <= at < last for _, first, last in self.defines)

    def find_functions(self):
        tokens, at = self.tokens, 0
        skip = {}
        for _, first, last in self.defines:
            skip[first - 2] = last
        while at < len(tokens):
            if at in skip:
                at = skip[at]
                continue
            if tokens[at].text == '{' and at in self.match:
                end = self.match[at]
                if tokens[at - 1].text == ')':
                    name = tokens[self.match[at - 1] - 1].text
                    self.functions.append((name, at + 1, end))
                at = end
            at += 1


class Finder:
    """All mutants of one source."""

    def __init__(self, source):
        self.source = source
        self.tokens = source.tokens
        self.match = source.match
        self.found = []
        self.function = ''

    def text_of(self, first, last):
        """Source text of the tokens [first, last]."""
        return self.source.text[self.tokens[first].start:self.tokens[last].end]

    def add(self, kind, what, at, edits, lines=None):
        line = self.tokens[at].line
        self.found.append(Mutant(
            self.source.path, self.function, kind, what, line,
            lines or self.statement(at), self.around,
            ' '.join(self.source.line_text(line).split()), edits))

    def statement(self, at):
        first = last = at
        while first > self.first and self.tokens[first - 1].text not in '{};':
            first -= 1
        while last < self.last and self.tokens[last].text not in '{};':
            last += 1
        return (self.tokens[first].line,
                self.tokens[min(last, len(self.tokens) - 1)].line)

    def is_cast(self, close):
        """Is the group that ends here a type in parentheses?"""
        first = self.match.get(close)
        if first is None:
            return False
        inner = self.tokens[first + 1:close]
        if first and self.tokens[first - 1].kind == 'name' and \
           self.tokens[first - 1].text not in KEYWORDS:
            return False
        return bool(inner) and all(
            t.text == '*' or t.kind == 'name' for t in inner) and (
            inner[0].text in TYPES or inner[0].text.endswith('_t') or
            inner[-1].text == '*')

    def is_binary(self, at):
        before = self.tokens[at - 1]
        if before.kind == 'number' or before.text == ']':
            return True
        if before.text == ')':
            return not self.is_cast(at - 1)
        if before.kind != 'name' or before.text in KEYWORDS:
            return False
        if before.text in TYPES or before.text.endswith('_t'):
            return False
        return self.tokens[at - 2].text not in ('struct', 'enum')

    def call_end(self, at):
        """The closing parenthesis of the call whose name stands at @at."""
        if at + 1 < len(self.tokens) and self.tokens[at + 1].text == '(':
            return self.match.get(at + 1)
        return None

    # Operators

    def operator(self, at):
        token = self.tokens[at]
        text = token.text
        span = [(token.start, token.end)]
        if text in ('!', '~') and self.tokens[at + 1].text != '=':
            self.add('operator', text + ' => nothing', at,
                     [(token.start, token.end, '')])
        elif text == '-' and not self.is_binary(at):
            self.add('operator', '- => nothing', at,
                     [(token.start, token.end, '')])
        elif text in ('+', '*', '&') and not self.is_binary(at):
            return
        elif text in SWAPS:
            start, end = span[0]
            self.add('operator', '%s => %s' % (text, SWAPS[text]), at,
                     [(start, end, SWAPS[text])])

    # Branches

    def condition(self, first, last, what, values, at):
        """Tokens [first, last] are a condition: evaluate it, then ignore."""
        start, end = self.tokens[first].start, self.tokens[last].end
        for value in values:
            self.add('branch', '%s always %s' % (
                what, ['false', 'true'][value]), at,
                [(start, start, '(('), (end, end, '), %d)' % value)])

    def branch(self, at):
        token = self.tokens[at]
        open_at = at + 1
        if token.text == 'if':
            self.condition(open_at + 1, self.match[open_at] - 1, 'if',
                           (0, 1), at)
        elif token.text == 'while':
            self.condition(open_at + 1, self.match[open_at] - 1, 'while',
                           (0,), at)
        elif token.text == 'for':
            self.for_condition(open_at)
        elif token.text == '?':
            self.choice(at)
        elif token.text in ('break', 'continue', 'goto'):
            self.jump(at)
        elif token.text in ALWAYS_CHECKS:
            end = self.call_end(at)
            self.add('branch', token.text + ' => nothing', at,
                     [(token.start, self.tokens[end].end, '((void)0)')])

    def for_condition(self, open_at):
        semicolons = [at for at in range(open_at + 1, self.match[open_at])
                      if self.tokens[at].text == ';']
        first, last = semicolons[0] + 1, semicolons[1] - 1
        if first <= last:
            self.condition(first, last, 'for', (0,), open_at - 1)

    def choice(self, at):
        """The condition of ?: begins where something binds less."""
        first = at
        while first > self.first:
            text = self.tokens[first - 1].text
            if text in (')', ']'):
                first = self.match[first - 1]
            elif text in ('(', '[', '{', ',', ';', '?', ':', 'return', '=',
                          '+=', '-=', '|=', '&=', '^=', '<<=', '>>='):
                break
            else:
                first -= 1
        self.condition(first, at - 1, '?:', (0, 1), at)

    def jump(self, at):
        """Unless it is all that an if guards: that is the branch itself."""
        token = self.tokens[at]
        before = self.tokens[at - 1].text
        end = at
        while self.tokens[end].text != ';':
            end += 1
        in_switch = any(self.tokens[i].text == 'case'
                        for i in range(max(self.first, at - 12), at))
        if before in (')', 'else') or (token.text == 'break' and in_switch):
            return
        self.add('branch', '%s => nothing' % self.text_of(at, end - 1), at,
                 [(token.start, self.tokens[end].start, '')])

    # Locks

    def lock(self, at):
        token = self.tokens[at]
        end = self.call_end(at)
        if end is None:
            return
        assigned = self.tokens[at - 1].text in ('=', '(', 'return', '?', ':',
                                                '!', '&&', '||')
        new = '(0)' if assigned else '((void)0)'
        self.add('lock', '%s => nothing' % token.text, at,
                 [(token.start, self.tokens[end].end, new)])

    def lock_pairs(self):
        """All of one lock in a function: as if it were not there."""
        groups = {}
        calls = [at for at in range(self.first, self.last)
                 if self.tokens[at].text in LOCKS and self.call_end(at)]
        for at in calls:
            end = self.call_end(at)
            argument = at + 2
            while argument < end and self.tokens[argument].text != ',':
                if self.tokens[argument].text == '(':
                    argument = self.match[argument]
                argument += 1
            name = self.tokens[at].text
            begin = [b for b, e in PAIRS.items() if name in (b, e)]
            if begin:
                noun = PAIRS[begin[0]]
                what = '' if end == at + 2 else self.text_of(at + 2,
                                                            argument - 1)
                groups.setdefault((noun, what), []).append(at)
        for (noun, what), members in groups.items():
            names = [self.tokens[at].text for at in members]
            if noun in names and len(set(names)) > 1:
                self.remove_pair(members, '%s(%s)' % (
                    [n for n in names if n != noun][0], what))

    def remove_pair(self, members, what):
        edits = []
        for at in members:
            token, end = self.tokens[at], self.call_end(at)
            if token.text == 'cf_trylock':
                return
            new = '(0)' if self.tokens[at - 1].text == '=' else '((void)0)'
            edits.append((token.start, self.tokens[end].end, new))
        lines = (self.tokens[members[0]].line, self.tokens[members[0]].line)
        self.add('lock', '%s and its end => nothing' % what, members[0],
                 edits, lines)

    # Orders

    def order(self, at):
        token = self.tokens[at]
        call = ORDER_CALL.match(token.text)
        if call and self.call_end(at):
            verb = call[1]
            family = verb if verb in ('load', 'store') else 'rmw'
            for weaker in WEAKER[family].get(call[2], []):
                new = 'mutant_%s_%s' % (verb, weaker)
                self.add('order', '%s => %s' % (token.text, weaker), at,
                         [(token.start, token.end, new)])

    def order_name(self, at):
        token = self.tokens[at]
        name = ORDER_NAME.match(token.text)
        verb = self.tokens[self.line_start(at)].text
        family = {'CFI_LOAD': 'load', 'CFI_STORE': 'store'}.get(verb, 'rmw')
        if name:
            for weaker in WEAKER[family].get(name[1].lower(), []):
                new = '__ATOMIC_' + weaker.upper()
                self.add('order', '%s => %s' % (token.text, new), at,
                         [(token.start, token.end, new)])

    def line_start(self, at):
        while self.tokens[at - 1].line == self.tokens[at].line:
            at -= 1
        return at

    # All

    def walk(self, name, first, last, in_function):
        self.function, self.first, self.last = name, first, last
        self.around = (self.tokens[first].line, self.tokens[last - 1].line)
        at = first
        while at < last:
            token = self.tokens[at]
            if token.text in CHECKS:
                at = (self.call_end(at) or at) + 1
                continue
            if token.kind == 'sign':
                self.operator(at)
            if in_function and (token.kind == 'name' or token.text == '?'):
                self.branch(at)
            if token.text in LOCKS:
                self.lock(at)
            self.order(at)
            at += 1
        if in_function:
            self.lock_pairs()

    def run(self):
        for name, first, last in self.source.functions:
            self.walk(name, first, last, True)
        for name, first, last in self.source.defines:
            if name not in CHECKS and self.source.path.endswith(
                    ('word.h', 'bitmap.h', 'struct.h', 'check.h',
                     'internal.h', '.c')):
                self.walk('#define ' + name, first, last, False)
        if self.source.path.endswith('atomic.h'):
            self.function = 'orders'
            self.first, self.last = 0, len(self.tokens)
            self.around = (0, 0)
            for at in range(len(self.tokens)):
                self.order_name(at)
        return self.number()

    def number(self):
        seen = {}
        self.found.sort(key=lambda mutant: mutant.edits[0])
        for mutant in self.found:
            like = (mutant.function, mutant.source, mutant.what)
            seen[like] = seen.get(like, 0) + 1
            mutant.nth = seen[like]
        return self.found


def find(path, text):
    """All mutants of the file @path with the contents @text."""
    return Finder(Source(path, text)).run()


def all_in(tree):
    """The mutants of all of core/."""
    folder = os.path.join(tree, 'core')
    found = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(('.c', '.h')):
            with open(os.path.join(folder, name), encoding='utf-8') as file:
                found += find('core/' + name, file.read())
    return found


def meaning(text):
    """What the compiler sees of a source: no comments, no layout."""
    tokens = [found[0] for found in TOKEN.finditer(text)
              if found.lastgroup != 'comment']
    return hashlib.sha1('\n'.join(tokens).encode()).hexdigest()
