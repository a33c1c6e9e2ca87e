/* SPDX-License-Identifier: MIT */
#ifndef DUMP_PIECES_H
#define DUMP_PIECES_H

/*
 * What of a map's memory goes into a dump: its storage, and the pieces that
 * the metadata of blocks lies in, less the words of chunks that have none.
 */

#include "write.h"

/* The metadata of blocks that were added together. */
struct dump_piece {
	uint64_t number;		/* of the first block; NONE: storage */
	uint64_t address;
	uint64_t words;			/* address of the first frame word */
	uint64_t blocks;		/* that are there */
};

#define PIECE_STORAGE	UINT64_MAX

/**
 * pieces_find() - find them and fill in the source's ranges.
 * @frames_max: storage, headers and bitmaps are all there, so they are not
 *              more frames than what the map is read from has
 *
 * A block that does not go with the first one of its piece is left out: the
 * map changed while it was copied.
 *
 * Return: 0, or -1 with @why.
 */
int pieces_find(struct raw_map *raw, struct dump_source *source,
		uint64_t frames_max, struct dump_piece **ret_piece,
		struct dump_why *why);

/*
 * Is a frame of a piece worth having? The map is asked anew. -1: its block
 * cannot be read, or is gone.
 */
int piece_has(struct raw_map *raw, const struct dump_piece *piece,
	      uint64_t index);

/* Which range a frame of them lies in; @index becomes the one in there. */
size_t pieces_which(const struct dump_source *source, uint64_t *index);

/* VMCOREINFO of a source, with where frame 0 is. NULL: no memory. */
char *pieces_vmcoreinfo(struct info info, bool linear, uint64_t frames);

#endif
