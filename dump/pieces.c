/* SPDX-License-Identifier: MIT */
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX	((size_t)1 << 24)

struct list {
	struct dump_source *source;
	struct piece *piece;
	uint64_t next;			/* frame of the dump */
};

static uint64_t frames_of(uint64_t bytes)
{
	return (bytes + CF_FRAME_BYTES - 1) / CF_FRAME_BYTES;
}

static int add_piece(struct list *list, struct piece piece, uint64_t frames)
{
	struct dump_source *source = list->source;
	size_t count = source->ranges, room = count ? 2 * count : 1;
	struct dump_range *ranges = source->range;
	struct piece *pieces = list->piece;

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

/* The first block of a piece stands for all of it. */
static int add_block(struct list *list, const struct raw_map *raw,
		     const struct raw_block *block)
{
	struct piece piece = {
		.number = block->number,
		.address = block->piece,
		.words = block->words,
		.blocks = block->piece_blocks,
	};
	uint64_t words = (piece.blocks << raw->block_shift) * sizeof(uint64_t);

	if (block->piece_index != 0)
		return 0;
	if (piece.address % CF_FRAME_BYTES || piece.words < piece.address ||
	    piece.words % CF_FRAME_BYTES || !piece.blocks ||
	    piece.blocks > raw->blocks_end - piece.number)
		return -1;
	return add_piece(list, piece,
			 frames_of(piece.words - piece.address + words));
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
		struct piece **ret_piece, struct dump_why *why)
{
	struct list list = { .source = source };
	struct piece storage = {
		.number = PIECE_STORAGE, .address = raw->address,
	};
	cf_pfn at;

	if (find_stretches(raw, source))
		goto wrong;
	list.next = source->end;
	if (raw->storage_bytes > (uint64_t)1 << 46 ||
	    raw->address % CF_FRAME_BYTES ||
	    add_piece(&list, storage, frames_of(raw->storage_bytes)))
		goto wrong;
	for (at = raw_next(raw, 0); at < source->end; at = raw_next(raw, at)) {
		const struct raw_block *block = raw_block_of(raw, at);

		if (!block || add_block(&list, raw, block))
			goto wrong;
		at = block->last;
	}
	*ret_piece = list.piece;
	return 0;

wrong:
	free(list.piece);
	return dump_fail(why, "the map in it cannot be read");
}

int piece_has(struct raw_map *raw, const struct piece *piece, uint64_t index)
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
