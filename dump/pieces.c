/* SPDX-License-Identifier: MIT */
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX	((size_t)1 << 24)
#define STORAGE_MAX	((uint64_t)1 << 46)	/* no address has more bits */

struct list {
	struct dump_source *source;
	struct dump_piece *piece;
	uint64_t next;			/* frame of the dump */
	uint64_t frames_left;		/* that can still be there */
	struct dump_piece open;		/* whose blocks come one by one ... */
	uint64_t open_blocks;		/* ... and are so many in all */
};

static uint64_t frames_of(uint64_t bytes)
{
	return (bytes + CF_FRAME_BYTES - 1) / CF_FRAME_BYTES;
}

static int add_piece(struct list *list, struct dump_piece piece,
		     uint64_t frames)
{
	struct dump_source *source = list->source;
	size_t count = source->ranges, room = count ? 2 * count : 1;
	struct dump_range *ranges = source->range;
	struct dump_piece *pieces = list->piece;

	if (!(count & (count - 1))) {
		ranges = realloc(ranges, room * sizeof(*ranges));
		if (ranges)
			source->range = ranges;
		pieces = realloc(pieces, room * sizeof(*pieces));
		if (pieces)
			list->piece = pieces;
	}
	if (!ranges || !pieces || count == PIECES_MAX)
		return -1;
	list->piece[count] = piece;
	source->range[count] = (struct dump_range){
		piece.address, list->next, frames,
	};
	list->next += frames;
	source->ranges++;
	return 0;
}

/* Headers and bitmaps of so many blocks, at most: cf_block_meta_bytes(). */
static uint64_t head_bytes(const struct raw_map *raw, uint64_t blocks)
{
	uint64_t header = raw->key[RAW_BLOCK_SIZE] + raw->key[RAW_BLOCK_CHUNK] +
			  raw->chunks * raw->key[RAW_CHUNK_SIZE] + 128;

	return blocks * (header + raw->chunks * CF_CHUNK_FRAMES / 8) +
	       2 * CF_FRAME_BYTES;
}

/* Count what is there in any case against what there can be. */
static int count_frames(struct list *list, uint64_t bytes)
{
	if (frames_of(bytes) > list->frames_left)
		return -1;
	list->frames_left -= frames_of(bytes);
	return 0;
}

/* All blocks of the piece have been seen. */
static int end_piece(struct list *list, const struct raw_map *raw)
{
	const struct dump_piece *piece = &list->open;
	uint64_t words = (piece->blocks << raw->block_shift) * sizeof(words);
	uint64_t head = piece->words - piece->address;

	if (!piece->blocks)
		return 0;
	if (add_piece(list, *piece, frames_of(head + words)))
		return -1;
	list->open.blocks = 0;
	return 0;
}

static int begin_piece(struct list *list, const struct raw_map *raw,
		       const struct raw_block *block)
{
	uint64_t head = block->words - block->piece;

	if (block->piece % CF_FRAME_BYTES || block->words < block->piece ||
	    block->words % CF_FRAME_BYTES || !block->piece_blocks ||
	    block->piece_blocks > raw->blocks_end - block->number ||
	    head > head_bytes(raw, block->piece_blocks) ||
	    count_frames(list, head))
		return -1;
	list->open = (struct dump_piece){
		.number = block->number,
		.address = block->piece,
		.words = block->words,
		.blocks = 1,
	};
	list->open_blocks = block->piece_blocks;
	return 0;
}

static int add_block(struct list *list, const struct raw_map *raw,
		     const struct raw_block *block)
{
	struct dump_piece *open = &list->open;

	if (open->blocks && open->blocks < list->open_blocks &&
	    block->number == open->number + open->blocks &&
	    block->piece == open->address &&
	    block->piece_index == open->blocks) {
		open->blocks++;
		return 0;
	}
	if (end_piece(list, raw))
		return -1;
	return block->piece_index == 0 ? begin_piece(list, raw, block) : 0;
}

static int add_stretch(struct dump_source *source,
		       const struct raw_block *block)
{
	size_t count = source->stretches;
	struct dump_stretch *more = source->stretch;

	source->end = block->last;
	if (count && more[count - 1].last == block->first) {
		more[count - 1].last = block->last;
		return 0;
	}
	if (!(count & (count - 1)))
		more = realloc(more, (count ? 2 * count : 1) * sizeof(*more));
	if (!more)
		return -1;
	source->stretch = more;
	more[source->stretches++] = (struct dump_stretch){
		block->first, block->last,
	};
	return 0;
}

/* Where there are blocks, and so where the machine ends. */
static int find_stretches(struct raw_map *raw, struct dump_source *source)
{
	cf_pfn at = raw_next(raw, 0);

	for (; at < raw_end(raw); at = raw_next(raw, at)) {
		const struct raw_block *block = raw_block_of(raw, at);

		if (!block || !block->there || add_stretch(source, block))
			return -1;
		at = block->last;
	}
	return 0;
}

int pieces_find(struct raw_map *raw, struct dump_source *source,
		uint64_t frames_max, struct dump_piece **ret_piece,
		struct dump_why *why)
{
	struct list list = { .source = source, .frames_left = frames_max };
	struct dump_piece storage = {
		.number = PIECE_STORAGE, .address = raw->address,
	};
	cf_pfn at;

	if (find_stretches(raw, source))
		goto wrong;
	list.next = source->end;
	if (raw->storage_bytes > STORAGE_MAX ||
	    raw->address % CF_FRAME_BYTES ||
	    count_frames(&list, raw->storage_bytes) ||
	    add_piece(&list, storage, frames_of(raw->storage_bytes)))
		goto wrong;
	for (at = raw_next(raw, 0); at < source->end; at = raw_next(raw, at)) {
		const struct raw_block *block = raw_block_of(raw, at);

		if (!block || add_block(&list, raw, block))
			goto wrong;
		at = block->last;
	}
	if (end_piece(&list, raw))
		goto wrong;
	*ret_piece = list.piece;
	return 0;

wrong:
	free(list.piece);
	return dump_fail(why, "the map in it cannot be read");
}

int piece_has(struct raw_map *raw, const struct dump_piece *piece,
	      uint64_t index)
{
	uint64_t address = piece->address + index * CF_FRAME_BYTES, chunk;
	const struct raw_block *block;

	if (piece->number == PIECE_STORAGE)
		return 1;
	/* Not as it was the last time. */
	raw->block.number = UINT64_MAX;
	chunk = address < piece->words ? 0 :
		(address - piece->words) / CF_FRAME_BYTES;
	block = raw_block_of(raw, (piece->number + chunk / raw->chunks) <<
				  raw->block_shift);
	if (!block || !block->there || block->piece != piece->address)
		return -1;
	return address < piece->words ||
	       (block->split >> chunk % raw->chunks & 1);
}

size_t pieces_which(const struct dump_source *source, uint64_t *index)
{
	uint64_t frame = source->end + *index;
	size_t low = 0, high = source->ranges;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (source->range[middle].frame <= frame)
			low = middle;
		else
			high = middle;
	}
	*index = frame - source->range[low].frame;
	return low;
}

char *pieces_vmcoreinfo(struct info info, bool linear, uint64_t frames)
{
	static const char *const ours[] = {
		"SYMBOL(cf_frames)=", "SYMBOL(page_root)=", "PAGETABLES=",
	};
	const char *line = info.text, *end = info.text + info.bytes, *next;
	char *text = malloc(info.bytes + 64), *to = text;
	size_t i;

	if (!text)
		return NULL;
	for (; line < end && *line; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next + 1 : end;
		for (i = 0; i < 3; i++)
			if ((size_t)(next - line) > strlen(ours[i]) &&
			    !memcmp(line, ours[i], strlen(ours[i])))
				break;
		if (i < 3)
			continue;
		memcpy(to, line, (size_t)(next - line));
		to += next - line;
	}
	if (linear)
		to += sprintf(to, "SYMBOL(cf_frames)=%llx\n",
			      (unsigned long long)frames);
	*to = '\0';
	return text;
}

uint64_t dump_source_metadata(const struct dump_source *source)
{
	const struct dump_range *last;

	if (!source->ranges)
		return 0;
	last = &source->range[source->ranges - 1];
	return last->frame + last->count - source->end;
}

void dump_source_close(struct dump_source *source)
{
	source->close(source);
	free(source->vmcoreinfo);
	free(source->range);
	free(source->stretch);
	free(source->owner);
}
