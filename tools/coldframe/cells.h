/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_CELLS_H
#define COLDFRAME_CELLS_H

#include "linux/blocks.h"
#include "linux/kpf.h"
#include "linux/ranges.h"
#include "linux/words.h"

/* What is known about a system beside its words: where memory is. */
struct place {
	struct lx_blocks blocks;
	struct lx_ranges ram;
	bool has_blocks, has_ram;
};

/* Frames of one cell of the map. frames == sum of kind[]. */
struct cell {
	uint64_t first, frames;
	uint64_t kind[LX_KIND_COUNT];
};

/*
 * A walk over proc/kpageflags in cells.  One batch of words is in memory at
 * a time.
 */
struct cells {
	const struct place *place;
	struct lx_words words;
	uint64_t cell_frames;		/* a power of two */
	uint64_t pfn, last;		/* next frame; where to stop */
	uint64_t *batch;		/* from frame pfn on: [next, count) */
	size_t next, count;
	bool began;			/* the file has a word at least */
	bool blind;			/* there is no file */
	enum lx_kind head;		/* what tails that say nothing are */
	enum lx_kind known;		/* what a frame with a mute word is, */
	uint64_t known_last;		/* from pfn up to here */
};

/**
 * cells_open() - begin a walk. Pair with cells_close().
 * @cells: place and cell_frames are set
 *
 * Return: 0, or negative as lx_words_open().
 */
int cells_open(struct cells *cells, const char *root, struct lx_error *err);
void cells_close(struct cells *cells);

/*
 * The same without a file, up to the last block: frames of blocks in use are
 * of a kind that nobody knows.
 */
void cells_open_blind(struct cells *cells);

/**
 * cells_from() - walk only frames [@first, @last), widened to whole cells.
 * Return: 0, or negative as lx_words_read().
 */
int cells_from(struct cells *cells, uint64_t first, uint64_t last,
	       struct lx_error *err);

/**
 * cells_next() - count the next cell.
 * @ret_cell: frames is 0 at the end
 * Return: 0, or negative as lx_words_read().
 */
int cells_next(struct cells *cells, struct cell *ret_cell,
	       struct lx_error *err);

/*
 * cell_kind() - what a cell is shown as; *@ret_whole: all its frames are that.
 *
 * A bad frame always shows. Else the kind with most frames; frames that are
 * not there count only when there is nothing else.
 */
enum lx_kind cell_kind(const struct cell *cell, bool *ret_whole);

#endif
