# SPDX-License-Identifier: MIT
"""Frames of coldframe's dumps in gdb.

    gdb -nx -ex 'core-file FILE' -x scripts/coldframe-gdb.py

    coldframe frame N    what frame N is: word, type, order, flags, owner
    coldframe map        blocks, and the frames of each by type

Needs an ELF core (coldframe dump --elf) and nothing else: where things are
stands in its notes. docs/dump-format.md is the format's description.
"""

import re
import struct

import gdb

CHUNK = 512
TYPES = ['none', 'kernel', 'folio', 'device', 'pgtable', 'slab', 'reserved',
         'offline', 'retired']
FLAGS = ['busy', 'poison', 'isolated', 'never-onlined', 'skippable',
         'movable', 'self']
STATES = ['absent', 'offline', 'going-online', 'online', 'going-offline']


def core_path():
    found = re.search(r"`([^']+)', file type elf",
                      gdb.execute('info files', to_string=True))
    if not found:
        raise gdb.GdbError('open a dump first: core-file FILE')
    return found[1]


def read_notes(path):
    """{name: text} of the notes of an ELF core."""
    notes = {}
    with open(path, 'rb') as file:
        head = file.read(64)
        phoff, shoff = struct.unpack_from('<QQ', head, 32)
        count = struct.unpack_from('<H', head, 56)[0]
        if count == 0xffff:
            file.seek(shoff + 44)
            count = struct.unpack('<I', file.read(4))[0]
        file.seek(phoff)
        for _ in range(count):
            kind, _, offset, _, _, size = struct.unpack_from(
                '<IIQQQQ', file.read(56))
            if kind == 4:
                break
        else:
            raise gdb.GdbError('it has no notes')
        file.seek(offset)
        text = file.read(size)
    at = 0
    while at + 12 <= len(text):
        name, desc, _ = struct.unpack_from('<III', text, at)
        begin = at + 12 + (name + 3) // 4 * 4
        notes[text[at + 12:at + 12 + name - 1].decode()] = \
            text[begin:begin + desc].decode(errors='replace')
        at = begin + (desc + 3) // 4 * 4
    return notes


class Dump:
    """The map of the core that is open."""

    def __init__(self):
        self.path = core_path()
        notes = read_notes(self.path)
        if 'VMCOREINFO' not in notes or 'COLDFRAME' not in notes:
            raise gdb.GdbError('it is no dump of coldframe\'s')
        self.key = {}
        for line in notes['VMCOREINFO'].splitlines():
            name, _, value = line.partition('=')
            if value:
                self.key[name] = int(value, 16 if name.startswith('SYMBOL')
                                     else 10)
        self.owner = {0: 'allocator', 1: 'orphan'}
        for line in notes['COLDFRAME'].splitlines():
            if line.startswith('OWNER='):
                number, _, name = line[6:].split(',', 2)
                self.owner[int(number)] = name
        self.map = self.key['SYMBOL(cf_map)']
        self.shift = self.member('cf_map', self.map, 'block_shift', 4)
        self.blocks = self.member('cf_map', self.map, 'blocks_end', 8)

    @staticmethod
    def read(address, size):
        try:
            memory = gdb.selected_inferior().read_memory(address, size)
        except gdb.MemoryError as error:
            raise gdb.GdbError('metadata is missing: %s' % error)
        return int.from_bytes(bytes(memory), 'little')

    def member(self, structure, address, name, size):
        offset = self.key['OFFSET(%s.%s)' % (structure, name)]
        return self.read(address + offset, size)

    def block(self, number):
        """Its address, or 0."""
        if number >= self.blocks:
            return 0
        return self.read(self.member('cf_map', self.map, 'block', 8) +
                         8 * number, 8)

    def field(self, word, name):
        return (word >> self.key['NUMBER(WORD_%s_SHIFT)' % name] &
                (1 << self.key['NUMBER(WORD_%s_BITS)' % name]) - 1)

    def chunk_member(self, block, chunk, name, size):
        return self.member('cfi_chunk', block +
                           self.key['OFFSET(cfi_block.chunk)'] +
                           chunk * self.key['SIZE(cfi_chunk)'], name, size)

    def find_small(self, block, index):
        """(head, word) of the run in a split chunk, counted in its block."""
        words = self.member('cfi_block', block, 'frame_word', 8)
        for order in range(9):
            head = index >> order << order
            word = self.read(words + 8 * head, 8)
            if word and index < head + (1 << self.field(word, 'ORDER')):
                return head, word
        return None

    def find_large(self, pfn):
        """(head, word) of the run of chunks that a frame is inside of."""
        for order in range(9, self.key['NUMBER(CF_MAX_ORDER)'] + 1):
            head = pfn >> order << order
            block = self.block(head >> self.shift)
            if not block:
                continue
            chunk = (head & (1 << self.shift) - 1) // CHUNK
            word = self.chunk_member(block, chunk, 'word', 8)
            if word and pfn < head + (1 << self.field(word, 'ORDER')):
                return head, word
        return None

    def frame(self, pfn):
        """(what, head, word): absent, block offline, free, transit, run."""
        block = self.block(pfn >> self.shift)
        if not block:
            return 'absent', None, 0
        if self.member('cfi_block', block, 'state', 8) == \
                self.key['NUMBER(CF_BLOCK_OFFLINE)']:
            return 'in an offline block', None, 0
        first = pfn >> self.shift << self.shift
        index = pfn - first
        chunk = index // CHUNK
        if self.member('cfi_block', block, 'split', 8) >> chunk & 1:
            found = self.find_small(block, index)
            if found:
                return 'run', first + found[0], found[1]
            bits = self.read(self.member('cfi_block', block, 'bitmap', 8) +
                             index // 64 * 8, 8)
            free = bits >> index % 64 & 1
        else:
            free = self.chunk_member(block, chunk, 'free', 2) == CHUNK
            found = None if free else self.find_large(pfn)
            if found:
                return 'run', found[0], found[1]
        return 'free' if free else 'in transit', None, 0


DUMP = None


def dump():
    global DUMP                         # one core at a time
    if not DUMP or DUMP.path != core_path():
        DUMP = Dump()
    return DUMP


def names(bits, words):
    return [word for i, word in enumerate(words) if bits >> i & 1]


class Coldframe(gdb.Command):
    """Frames of a dump of coldframe's."""

    def __init__(self):
        super().__init__('coldframe', gdb.COMMAND_DATA, prefix=True)


class Frame(gdb.Command):
    """coldframe frame N: what frame N is."""

    def __init__(self):
        super().__init__('coldframe frame', gdb.COMMAND_DATA)

    def invoke(self, argument, _from_tty):
        pfn = int(gdb.parse_and_eval(argument))
        core = dump()
        what, head, word = core.frame(pfn)
        if what != 'run':
            print('frame %d: %s' % (pfn, what))
            return
        kind = core.field(word, 'TYPE')
        owner = core.field(word, 'OWNER')
        print('frame %d: word %#018x, %s of order %d at %d%s, owner %d (%s)' %
              (pfn, word, TYPES[kind], core.field(word, 'ORDER'), head,
               ''.join(', ' + name for name in
                       names(core.field(word, 'FLAGS'), FLAGS)),
               owner, core.owner.get(owner, '?')))
        if core.key['NUMBER(WORD_COUNTED_TYPES)'] >> kind & 1:
            print('frame %d: %d references, %d of them pins' %
                  (pfn, core.field(word, 'REFS'), core.field(word, 'PINS')))


class Map(gdb.Command):
    """coldframe map: blocks."""

    def __init__(self):
        super().__init__('coldframe map', gdb.COMMAND_DATA)

    def invoke(self, _argument, _from_tty):
        core = dump()
        print('%8s %12s %-14s %8s %6s' % ('BLOCK', 'FRAME', 'STATE', 'FREE',
                                          'SPLIT'))
        for number in range(core.blocks):
            block = core.block(number)
            if not block:
                continue
            chunks = (1 << core.shift) // CHUNK
            print('%8d %12d %-14s %8d %6d' % (
                number, number << core.shift,
                STATES[core.member('cfi_block', block, 'state', 8)],
                sum(core.chunk_member(block, chunk, 'free', 2)
                    for chunk in range(chunks)),
                bin(core.member('cfi_block', block, 'split', 8)).count('1')))


Coldframe()
Frame()
Map()
