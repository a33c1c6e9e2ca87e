/* SPDX-License-Identifier: MIT */

/*
 * What a reader of a dump must know to find the map and decode its words.
 *
 * The lines are those that Linux has in its VMCOREINFO - SYMBOL, SIZE, OFFSET,
 * NUMBER - so that tools which know that note show them.  They are made from
 * the structures themselves and cannot differ from them.  docs/dump-format.md
 * says how a reader goes on from here.
 */

#include "internal.h"

struct line {
	const char *kind;
	const char *name;
	uint64_t value;
};

#define SIZE(type)		{ "SIZE", #type, sizeof(struct type) }
#define OFFSET(type, member)						\
	{ "OFFSET", #type "." #member, offsetof(struct type, member) }
#define NUMBER(name)		{ "NUMBER", #name, name }

static const struct line lines[] = {
	SIZE(cf_map),
	OFFSET(cf_map, config.last),
	OFFSET(cf_map, config.nodes),
	OFFSET(cf_map, block),
	OFFSET(cf_map, owner),
	OFFSET(cf_map, poison),
	OFFSET(cf_map, poison_count),
	OFFSET(cf_map, block_shift),
	OFFSET(cf_map, blocks_end),
	OFFSET(cf_map, storage_bytes),
	SIZE(cfi_block),
	OFFSET(cfi_block, frame_word),
	OFFSET(cfi_block, bitmap),
	OFFSET(cfi_block, first),
	OFFSET(cfi_block, node),
	OFFSET(cfi_block, zone),
	OFFSET(cfi_block, split),
	OFFSET(cfi_block, sequence),
	OFFSET(cfi_block, isolated),
	OFFSET(cfi_block, state),
	OFFSET(cfi_block, orphan),
	OFFSET(cfi_block, range_owner),
	OFFSET(cfi_block, self_frames),
	OFFSET(cfi_block, piece_blocks),
	OFFSET(cfi_block, piece_index),
	OFFSET(cfi_block, piece),
	OFFSET(cfi_block, chunk),
	SIZE(cfi_chunk),
	OFFSET(cfi_chunk, word),
	OFFSET(cfi_chunk, free),
	SIZE(cfi_bitmap),
	SIZE(cfi_owner),
	OFFSET(cfi_owner, state),
	OFFSET(cfi_owner, name),
	OFFSET(cfi_owner, ops),
	SIZE(cf_owner_ops),
	OFFSET(cf_owner_ops, migrate),
	OFFSET(cf_owner_ops, dissolve),
	OFFSET(cf_owner_ops, private_frozen),
	NUMBER(OWNER_OPEN),
	NUMBER(CF_OWNERS_MAX),
	NUMBER(CF_OWNER_ORPHAN),
	NUMBER(CF_CHUNK_ORDER),
	NUMBER(CF_MAX_ORDER),
	NUMBER(WORD_TYPE_SHIFT),
	NUMBER(WORD_TYPE_BITS),
	NUMBER(WORD_ORDER_SHIFT),
	NUMBER(WORD_ORDER_BITS),
	NUMBER(WORD_FLAGS_SHIFT),
	NUMBER(WORD_FLAGS_BITS),
	NUMBER(WORD_OWNER_SHIFT),
	NUMBER(WORD_OWNER_BITS),
	NUMBER(WORD_PINS_SHIFT),
	NUMBER(WORD_PINS_BITS),
	NUMBER(WORD_REFS_SHIFT),
	NUMBER(WORD_REFS_BITS),
	NUMBER(WORD_COUNTED_TYPES),
	NUMBER(CF_TYPE_KERNEL),
	NUMBER(CF_TYPE_FOLIO),
	NUMBER(CF_TYPE_DEVICE),
	NUMBER(CF_TYPE_PGTABLE),
	NUMBER(CF_TYPE_SLAB),
	NUMBER(CF_TYPE_RESERVED),
	NUMBER(CF_TYPE_OFFLINE),
	NUMBER(CF_TYPE_RETIRED),
	NUMBER(CF_FLAG_BUSY),
	NUMBER(CF_FLAG_POISON),
	NUMBER(CF_FLAG_ISOLATED),
	NUMBER(CF_FLAG_NEVER_ONLINED),
	NUMBER(CF_FLAG_SKIPPABLE),
	NUMBER(CF_FLAG_MOVABLE),
	NUMBER(CF_FLAG_SELF),
	NUMBER(CF_BLOCK_OFFLINE),
	NUMBER(CF_BLOCK_GOING_ONLINE),
	NUMBER(CF_BLOCK_ONLINE),
	NUMBER(CF_BLOCK_GOING_OFFLINE),
};

/* Text that may be longer than its room. */
struct output {
	char *text;
	size_t room, length;
};

static void put_char(struct output *output, char c)
{
	if (output->length < output->room)
		output->text[output->length] = c;
	output->length++;
}

static void put_text(struct output *output, const char *text)
{
	for (; *text; text++)
		put_char(output, *text);
}

static void put_number(struct output *output, uint64_t value, unsigned base)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count > 0)
		put_char(output, digits[--count]);
}

/* Linux has symbols in base 16, without 0x, and all else in base 10. */
static void put_line(struct output *output, const struct line *line,
		     unsigned base)
{
	put_text(output, line->kind);
	put_char(output, '(');
	put_text(output, line->name);
	put_text(output, ")=");
	put_number(output, line->value, base);
	put_char(output, '\n');
}

size_t cf_vmcoreinfo(const struct cf_map *map, char *text, size_t bytes)
{
	struct output output = { .text = text, .room = bytes ? bytes - 1 : 0 };
	const struct line symbol = { "SYMBOL", "cf_map", (uintptr_t)map };
	size_t i;

	put_text(&output, "COLDFRAME=");
	put_number(&output, CF_VMCOREINFO_VERSION, 10);
	put_text(&output, "\nPAGESIZE=");
	put_number(&output, CF_FRAME_BYTES, 10);
	put_char(&output, '\n');
	put_line(&output, &symbol, 16);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		put_line(&output, &lines[i], 10);
	if (bytes)
		text[output.length < output.room ? output.length :
						   output.room] = '\0';
	return output.length;
}
