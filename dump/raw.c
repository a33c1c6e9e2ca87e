/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include <stdlib.h>
#include <string.h>

#include "linux/sysroot.h"

#define BAD_MAX		((uint64_t)1 << 20)	/* of the table */
#define HEADER_MAX	4096

static const char *const key_name[RAW_KEY_COUNT] = {
	"OFFSET(cf_map.config.last)", "OFFSET(cf_map.config.nodes)",
	"OFFSET(cf_map.block)", "OFFSET(cf_map.owner)",
	"OFFSET(cf_map.poison)", "OFFSET(cf_map.poison_count)",
	"OFFSET(cf_map.block_shift)", "OFFSET(cf_map.blocks_end)",
	"OFFSET(cf_map.storage_bytes)", "SIZE(cfi_block)",
	"OFFSET(cfi_block.frame_word)", "OFFSET(cfi_block.bitmap)",
	"OFFSET(cfi_block.first)", "OFFSET(cfi_block.node)",
	"OFFSET(cfi_block.zone)", "OFFSET(cfi_block.split)",
	"OFFSET(cfi_block.isolated)", "OFFSET(cfi_block.state)",
	"OFFSET(cfi_block.orphan)", "OFFSET(cfi_block.range_owner)",
	"OFFSET(cfi_block.self_frames)", "OFFSET(cfi_block.piece_blocks)",
	"OFFSET(cfi_block.piece_index)", "OFFSET(cfi_block.piece)",
	"OFFSET(cfi_block.chunk)", "SIZE(cfi_chunk)",
	"OFFSET(cfi_chunk.word)", "OFFSET(cfi_chunk.free)",
	"SIZE(cfi_owner)", "OFFSET(cfi_owner.state)",
	"OFFSET(cfi_owner.name)", "OFFSET(cfi_owner.ops)",
	"SIZE(cf_owner_ops)", "OFFSET(cf_owner_ops.migrate)",
	"OFFSET(cf_owner_ops.dissolve)",
	"OFFSET(cf_owner_ops.private_frozen)", "NUMBER(OWNER_OPEN)",
	"NUMBER(CF_OWNERS_MAX)", "NUMBER(WORD_TYPE_SHIFT)",
	"NUMBER(WORD_TYPE_BITS)", "NUMBER(WORD_ORDER_SHIFT)",
	"NUMBER(WORD_ORDER_BITS)", "NUMBER(WORD_FLAGS_SHIFT)",
	"NUMBER(WORD_FLAGS_BITS)", "NUMBER(WORD_OWNER_SHIFT)",
	"NUMBER(WORD_OWNER_BITS)", "NUMBER(WORD_PINS_SHIFT)",
	"NUMBER(WORD_PINS_BITS)", "NUMBER(WORD_REFS_SHIFT)",
	"NUMBER(WORD_REFS_BITS)", "NUMBER(WORD_COUNTED_TYPES)",
	"NUMBER(CF_CHUNK_ORDER)",
};

static uint64_t load(const unsigned char *memory, size_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, memory, bytes);
	return value;
}

/* A number of @bytes at an address. */
static int read_number(struct raw_map *raw, uint64_t address, size_t bytes,
		       uint64_t *ret_value)
{
	unsigned char memory[8];

	if (raw->read(raw->context, address, memory, bytes))
		return -1;
	*ret_value = load(memory, bytes);
	return 0;
}

/* A member of the map. */
static int read_member(struct raw_map *raw, enum raw_key key, size_t bytes,
		       uint64_t *ret_value)
{
	return read_number(raw, raw->address + raw->key[key], bytes,
			   ret_value);
}

static int read_keys(struct raw_map *raw, struct info info,
		     struct dump_why *why)
{
	uint64_t version, bytes;
	unsigned i;

	if (!info_number(info, "COLDFRAME", &version))
		return dump_fail(why, "its VMCOREINFO is not of a machine of "
				 "coldframe's");
	if (version != CF_VMCOREINFO_VERSION)
		return dump_fail(why, "its VMCOREINFO is of version %llu, and "
				 "this coldframe knows %d",
				 (unsigned long long)version,
				 CF_VMCOREINFO_VERSION);
	if (!info_number(info, "PAGESIZE", &bytes) || bytes != CF_FRAME_BYTES)
		return dump_fail(why, "its frames are not of 4096 bytes");
	for (i = 0; i < RAW_KEY_COUNT; i++)
		if (!info_number(info, key_name[i], &raw->key[i]))
			return dump_fail(why, "its VMCOREINFO has no %s",
					 key_name[i]);
	if (!info_symbol(info, "cf_map", &raw->address))
		return dump_fail(why, "its VMCOREINFO has no SYMBOL(cf_map)");
	return 0;
}

static bool fits(const struct raw_map *raw, enum raw_key member, size_t bytes,
		 enum raw_key size)
{
	return raw->key[member] <= raw->key[size] &&
	       raw->key[size] - raw->key[member] >= bytes;
}

/* Do members lie in their structures, and fields in the word? */
static bool keys_make_sense(const struct raw_map *raw)
{
	enum raw_key key;

	if (raw->key[RAW_BLOCK_SIZE] > HEADER_MAX / 2 ||
	    raw->key[RAW_BLOCK_CHUNK] > HEADER_MAX / 2 ||
	    raw->key[RAW_CHUNK_SIZE] > 32 ||
	    !fits(raw, RAW_CHUNK_WORD, 8, RAW_CHUNK_SIZE) ||
	    !fits(raw, RAW_CHUNK_FREE, 2, RAW_CHUNK_SIZE))
		return false;
	for (key = RAW_BLOCK_FRAME_WORD; key < RAW_BLOCK_CHUNK; key++)
		if (!fits(raw, key, 8, RAW_BLOCK_SIZE) ||
		    raw->key[key] >= raw->key[RAW_BLOCK_CHUNK])
			return false;
	for (key = RAW_OWNER_STATE; key <= RAW_OWNER_OPS; key++)
		if (!fits(raw, key, 8, RAW_OWNER_SIZE))
			return false;
	for (key = RAW_TYPE_SHIFT; key < RAW_COUNTED_TYPES; key += 2)
		if (raw->key[key] > 63 || !raw->key[key + 1] ||
		    raw->key[key + 1] > 32 ||
		    raw->key[key] + raw->key[key + 1] > 64)
			return false;
	/* Both are numbers of bits to shift by. */
	return raw->key[RAW_TYPE_BITS] <= 5 && raw->key[RAW_ORDER_BITS] <= 5 &&
	       raw->key[RAW_OWNERS_MAX] <= CF_OWNERS_MAX &&
	       raw->key[RAW_OWNER_SIZE] <= 256 &&
	       raw->key[RAW_OPS_SIZE] <= 4096 &&
	       raw->key[RAW_CHUNK_ORDER] == CF_CHUNK_ORDER;
}

static int read_map(struct raw_map *raw, struct dump_why *why)
{
	uint64_t nodes, shift;

	if (read_member(raw, RAW_MAP_LAST, 8, &raw->last) ||
	    read_member(raw, RAW_MAP_NODES, 4, &nodes) ||
	    read_member(raw, RAW_MAP_BLOCK, 8, &raw->directory) ||
	    read_member(raw, RAW_MAP_OWNER, 8, &raw->owner_table) ||
	    read_member(raw, RAW_MAP_BLOCK_SHIFT, 4, &shift) ||
	    read_member(raw, RAW_MAP_BLOCKS_END, 8, &raw->blocks_end) ||
	    read_member(raw, RAW_MAP_STORAGE_BYTES, 8, &raw->storage_bytes))
		return dump_fail(why, "the map is not in it, at %#llx",
				 (unsigned long long)raw->address);
	if (raw->last == 0 || raw->last > CF_PFN_LIMIT || !nodes ||
	    nodes > CF_NODES_MAX || shift < CF_BLOCK_ORDER_MIN ||
	    shift > CF_BLOCK_ORDER_MAX ||
	    raw->blocks_end > (raw->last + (1u << shift) - 1) >> shift)
		return dump_fail(why, "there is no map at %#llx",
				 (unsigned long long)raw->address);
	raw->nodes = (uint32_t)nodes;
	raw->block_shift = (unsigned)shift;
	raw->chunks = 1u << (shift - CF_CHUNK_ORDER);
	return 0;
}

/* Hooks that are not NULL, as far as they can be read. */
static uint32_t read_traits(struct raw_map *raw, uint64_t ops)
{
	uint32_t traits = 0;
	uint64_t value;

	if (read_number(raw, ops + raw->key[RAW_OPS_MIGRATE], 8, &value))
		return CF_OWNER_GONE;
	traits |= value ? CF_OWNER_MIGRATES : 0;
	if (read_number(raw, ops + raw->key[RAW_OPS_DISSOLVE], 8, &value))
		return CF_OWNER_GONE;
	traits |= value ? CF_OWNER_DISSOLVES : 0;
	if (read_number(raw, ops + raw->key[RAW_OPS_PRIVATE], 1, &value))
		return CF_OWNER_GONE;
	return traits | (value ? CF_OWNER_PRIVATE : 0);
}

static void read_name(struct raw_map *raw, uint64_t address, char *name)
{
	size_t i;

	for (i = 0; i < RAW_NAME_BYTES - 1; i++) {
		if (raw->read(raw->context, address + i, &name[i], 1) ||
		    !name[i])
			break;
	}
	name[i] = '\0';
	lx_clean(name);
	if (!i)
		strcpy(name, "?");
}

static int read_owner(struct raw_map *raw, uint32_t id, uint64_t name,
		      uint64_t ops)
{
	struct raw_owner *more = raw->owner;

	if (!(raw->owners & (raw->owners - 1))) {
		size_t room = raw->owners ? 2 * raw->owners : 1;

		more = realloc(raw->owner, room * sizeof(*more));
	}
	if (!more)
		return -1;
	raw->owner = more;
	more = &raw->owner[raw->owners++];
	more->id = id;
	more->traits = read_traits(raw, ops);
	read_name(raw, name, more->name);
	return 0;
}

int raw_read_owners(struct raw_map *raw)
{
	unsigned char memory[256];
	uint32_t id;

	for (id = CF_OWNER_ORPHAN + 1; id < raw->key[RAW_OWNERS_MAX]; id++) {
		uint64_t address = raw->owner_table +
				   id * raw->key[RAW_OWNER_SIZE];

		if (raw->read(raw->context, address, memory,
			      raw->key[RAW_OWNER_SIZE]) ||
		    load(memory + raw->key[RAW_OWNER_STATE], 8) !=
		    raw->key[RAW_OWNER_OPEN])
			continue;
		if (read_owner(raw, id,
			       load(memory + raw->key[RAW_OWNER_NAME], 8),
			       load(memory + raw->key[RAW_OWNER_OPS], 8)))
			return -1;
	}
	return 0;
}

static int compare_frames(const void *a, const void *b)
{
	cf_pfn left = *(const cf_pfn *)a, right = *(const cf_pfn *)b;

	return left < right ? -1 : left > right;
}

static int read_bad(struct raw_map *raw)
{
	uint64_t count, table;

	if (read_member(raw, RAW_MAP_POISON_COUNT, 8, &count) ||
	    read_member(raw, RAW_MAP_POISON, 8, &table) || !count ||
	    count > BAD_MAX)
		return 0;
	raw->bad = malloc(count * sizeof(*raw->bad));
	if (!raw->bad)
		return -1;
	if (raw->read(raw->context, table, raw->bad,
		      count * sizeof(*raw->bad)))
		return 0;
	raw->bads = count;
	qsort(raw->bad, count, sizeof(*raw->bad), compare_frames);
	return 0;
}

int raw_open(struct raw_map *raw, struct info info, raw_read_fn read,
	     void *context, struct dump_why *why)
{
	*raw = (struct raw_map){ .read = read, .context = context };
	raw->block.number = UINT64_MAX;
	if (read_keys(raw, info, why))
		return -1;
	if (!keys_make_sense(raw))
		return dump_fail(why, "its VMCOREINFO says what cannot be");
	if (read_map(raw, why))
		return -1;
	if (read_bad(raw)) {
		raw_close(raw);
		return dump_fail(why, "the process has no memory");
	}
	return 0;
}

void raw_close(struct raw_map *raw)
{
	free(raw->owner);
	free(raw->bad);
	raw->owner = NULL;
	raw->bad = NULL;
}

cf_pfn raw_end(const struct raw_map *raw)
{
	return raw->blocks_end << raw->block_shift;
}

static void fill_block(const struct raw_map *raw, const unsigned char *memory,
		       struct raw_block *block)
{
#define MEMBER(name, bytes)						\
	load(memory + raw->key[RAW_BLOCK_##name], bytes)
	block->words = MEMBER(FRAME_WORD, 8);
	block->bitmaps = MEMBER(BITMAP, 8);
	block->first = MEMBER(FIRST, 8);
	block->last = block->first + ((cf_pfn)1 << raw->block_shift);
	block->node = (uint32_t)MEMBER(NODE, 4);
	block->zone = (enum cf_zone_kind)(MEMBER(ZONE, 8) % 2);
	block->split = MEMBER(SPLIT, 8);
	block->isolated = MEMBER(ISOLATED, 8);
	block->state = (enum cf_block_state)MEMBER(STATE, 8);
	block->orphan = MEMBER(ORPHAN, 1) != 0;
	block->range_owner = (uint32_t)MEMBER(RANGE_OWNER, 4);
	block->self_frames = (uint32_t)MEMBER(SELF_FRAMES, 4);
	block->piece = MEMBER(PIECE, 8);
	block->piece_blocks = (uint32_t)MEMBER(PIECE_BLOCKS, 4);
	block->piece_index = (uint32_t)MEMBER(PIECE_INDEX, 4);
#undef MEMBER
}

static int read_block(struct raw_map *raw, uint64_t number,
		      struct raw_block *block)
{
	unsigned char memory[HEADER_MAX] = { 0 };
	uint64_t address;
	unsigned i;

	block->there = false;
	block->number = number;
	block->first = number << raw->block_shift;
	block->last = block->first + ((cf_pfn)1 << raw->block_shift);
	if (number >= raw->blocks_end)
		return 0;
	if (read_number(raw, raw->directory + 8 * number, 8, &address))
		return -1;
	if (!address)
		return 0;
	if (raw->read(raw->context, address, memory, raw->key[RAW_BLOCK_CHUNK] +
		      raw->chunks * raw->key[RAW_CHUNK_SIZE]))
		return -1;
	fill_block(raw, memory, block);
	if (block->first != number << raw->block_shift ||
	    block->state >= CF_BLOCK_STATE_COUNT)
		return -1;
	for (i = 0; i < raw->chunks; i++) {
		const unsigned char *chunk = memory +
			raw->key[RAW_BLOCK_CHUNK] +
			i * raw->key[RAW_CHUNK_SIZE];

		block->word[i] = load(chunk + raw->key[RAW_CHUNK_WORD], 8);
		block->free[i] = (uint16_t)
			load(chunk + raw->key[RAW_CHUNK_FREE], 2);
	}
	block->there = true;
	return 0;
}

const struct raw_block *raw_block_of(struct raw_map *raw, cf_pfn pfn)
{
	uint64_t number = pfn >> raw->block_shift;

	if (raw->block.number == number)
		return &raw->block;
	if (read_block(raw, number, &raw->block)) {
		raw->block.number = UINT64_MAX;
		return NULL;
	}
	return &raw->block;
}

cf_pfn raw_next(struct raw_map *raw, cf_pfn pfn)
{
	cf_pfn frames = (cf_pfn)1 << raw->block_shift;
	uint64_t entry[CF_FRAME_BYTES / 8], count, i;
	uint64_t number = (pfn + frames - 1) >> raw->block_shift;

	for (; number < raw->blocks_end; number += count) {
		count = raw->blocks_end - number;
		count = count < CF_FRAME_BYTES / 8 ? count : CF_FRAME_BYTES / 8;
		if (raw->read(raw->context, raw->directory + 8 * number, entry,
			      8 * count))
			continue;
		for (i = 0; i < count; i++)
			if (entry[i])
				return (number + i) << raw->block_shift;
	}
	return raw_end(raw);
}

static uint64_t field(uint64_t word, uint64_t shift, uint64_t bits)
{
	return word >> shift & (((uint64_t)1 << bits) - 1);
}

static unsigned order_of(const struct raw_map *raw, uint64_t word)
{
	return (unsigned)field(word, raw->key[RAW_ORDER_SHIFT],
			       raw->key[RAW_ORDER_BITS]);
}

static void fill(struct raw_frame *frames, uint64_t count,
		 struct raw_frame value)
{
	while (count-- > 0)
		*frames++ = value;
}

/*
 * The run of more than a chunk that the chunk at @chunk is inside of: its head
 * is the first frame of an aligned 2^order chunks.
 */
static int find_large(struct raw_map *raw, cf_pfn chunk,
		      struct raw_frame *ret_frame)
{
	unsigned order;

	for (order = CF_CHUNK_ORDER; order <= CF_MAX_ORDER; order++) {
		cf_pfn head = chunk & ~(((cf_pfn)1 << order) - 1);
		const struct raw_block *block = raw_block_of(raw, head);
		uint64_t word;

		if (!block)
			return -1;
		if (!block->there || block->state == CF_BLOCK_OFFLINE)
			continue;
		word = block->word[(head - block->first) >> CF_CHUNK_ORDER];
		if (!word || order_of(raw, word) < order ||
		    chunk - head >= (cf_pfn)1 << order_of(raw, word))
			continue;
		*ret_frame = (struct raw_frame){ CF_SPAN_RUN, head, word };
		break;
	}
	return 0;
}

/* A chunk whose frame words are valid; frames of [first, last) are wanted. */
static int look_split(struct raw_map *raw, const struct raw_block *block,
		      cf_pfn first, cf_pfn last, struct raw_frame *frames)
{
	unsigned chunk = (unsigned)((first - block->first) >> CF_CHUNK_ORDER);
	cf_pfn begin = first & ~(CF_CHUNK_FRAMES - 1), at = begin, end;
	uint64_t word[CF_CHUNK_FRAMES], bitmap[CF_CHUNK_FRAMES / 64];
	struct raw_frame frame;

	if (raw->read(raw->context, block->words + sizeof(word) * chunk, word,
		      sizeof(word)) ||
	    raw->read(raw->context, block->bitmaps + sizeof(bitmap) * chunk,
		      bitmap, sizeof(bitmap))) {
		/* It was split when its header was copied, and then not. */
		raw->torn += last - first;
		fill(frames, last - first, (struct raw_frame){
			CF_SPAN_TRANSIT, first, 0 });
		return 0;
	}
	while (at < last) {
		unsigned i = (unsigned)(at - begin), order;
		bool free = bitmap[i / 64] >> i % 64 & 1;

		frame = (struct raw_frame){ word[i] ? CF_SPAN_RUN : free ?
					    CF_SPAN_FREE : CF_SPAN_TRANSIT,
					    at, word[i] };
		order = word[i] ? order_of(raw, word[i]) : 0;
		/* No run of a split chunk reaches out of it. */
		if (order >= CF_CHUNK_ORDER || i & ((1u << order) - 1)) {
			frame = (struct raw_frame){ CF_SPAN_TRANSIT, at, 0 };
			order = 0;
			raw->torn++;
		}
		end = at + ((cf_pfn)1 << order);
		for (; at < end; at++)
			if (at >= first && at < last)
				frames[at - first] = frame;
	}
	return 0;
}

int raw_look(struct raw_map *raw, cf_pfn first, cf_pfn last,
	     struct raw_frame *frames)
{
	struct raw_frame frame = { CF_SPAN_ABSENT, first, 0 };
	const struct raw_block *block = raw_block_of(raw, first);
	unsigned chunk;

	if (!block)
		return -1;
	if (block->there && block->state == CF_BLOCK_OFFLINE) {
		frame.kind = CF_SPAN_BLOCK_OFFLINE;
	} else if (block->there) {
		chunk = (unsigned)((first - block->first) >> CF_CHUNK_ORDER);
		if (block->split >> chunk & 1)
			return look_split(raw, block, first, last, frames);
		frame.kind = block->free[chunk] == CF_CHUNK_FRAMES ?
			     CF_SPAN_FREE : CF_SPAN_TRANSIT;
		if (frame.kind == CF_SPAN_TRANSIT &&
		    find_large(raw, first & ~(CF_CHUNK_FRAMES - 1), &frame))
			return -1;
	}
	fill(frames, last - first, frame);
	return 0;
}

void raw_span(const struct raw_map *raw, cf_pfn pfn,
	      const struct raw_frame *frame, struct cf_span *ret_span)
{
	uint64_t word = frame->word;
	bool counted;

	*ret_span = (struct cf_span){
		.first = pfn, .last = pfn + 1, .kind = frame->kind,
	};
	if (frame->kind != CF_SPAN_RUN)
		return;
	ret_span->first = frame->head;
	ret_span->order = order_of(raw, word);
	ret_span->last = frame->head + ((cf_pfn)1 << ret_span->order);
	ret_span->type = (enum cf_type)field(word, raw->key[RAW_TYPE_SHIFT],
					     raw->key[RAW_TYPE_BITS]);
	ret_span->flags = (uint32_t)field(word, raw->key[RAW_FLAGS_SHIFT],
					  raw->key[RAW_FLAGS_BITS]);
	ret_span->owner = (uint32_t)field(word, raw->key[RAW_ID_SHIFT],
					  raw->key[RAW_ID_BITS]);
	counted = raw->key[RAW_COUNTED_TYPES] >> ret_span->type & 1;
	if (counted) {
		ret_span->refs = (uint32_t)field(word,
						 raw->key[RAW_REFS_SHIFT],
						 raw->key[RAW_REFS_BITS]);
		ret_span->pins = (uint32_t)field(word,
						 raw->key[RAW_PINS_SHIFT],
						 raw->key[RAW_PINS_BITS]);
	} else {
		ret_span->payload = (uint32_t)(word >> 32);
	}
}

bool raw_is_bad(const struct raw_map *raw, cf_pfn pfn)
{
	return raw->bads && bsearch(&pfn, raw->bad, raw->bads,
				    sizeof(*raw->bad), compare_frames);
}

const struct raw_owner *raw_owner(const struct raw_map *raw, uint32_t id)
{
	size_t low = 0, high = raw->owners;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (raw->owner[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < raw->owners && raw->owner[low].id == id ?
	       &raw->owner[low] : NULL;
}

uint32_t raw_traits(const struct raw_map *raw, uint32_t id)
{
	const struct raw_owner *owner = raw_owner(raw, id);

	if (id == CF_OWNER_NONE)
		return 0;
	return owner ? owner->traits : CF_OWNER_GONE;
}
