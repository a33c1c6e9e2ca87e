/* SPDX-License-Identifier: MIT */
#include "cells.h"

#include <stdlib.h>

#define BATCH_WORDS 65536

/* Tails say nothing; the head of a run is at most this far to their left. */
#define RUN_FRAMES ((uint64_t)1 << CF_MAX_ORDER)

static void start(struct cells *cells)
{
	cells->pfn = 0;
	cells->last = UINT64_MAX;
	cells->next = 0;
	cells->count = 0;
	cells->began = false;
	cells->head = LX_KIND_KERNEL;
	cells->known_last = 0;
}

int cells_open(struct cells *cells, const char *root, struct lx_error *err)
{
	int ret;

	cells->batch = malloc(BATCH_WORDS * sizeof(*cells->batch));
	if (!cells->batch)
		return lx_fail(err, LX_EREAD, "out of memory");
	ret = lx_words_open(&cells->words, root, "proc/kpageflags", err);
	if (ret) {
		free(cells->batch);
		return ret;
	}
	start(cells);
	return 0;
}

void cells_open_blind(struct cells *cells)
{
	const struct lx_blocks *blocks = &cells->place->blocks;

	cells->batch = NULL;
	cells->blind = true;
	cells->words.frames = (blocks->block[blocks->count - 1].id + 1) *
			      blocks->frames;
	start(cells);
}

void cells_close(struct cells *cells)
{
	if (!cells->blind)
		lx_words_close(&cells->words);
	free(cells->batch);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * What the block of a frame says, up to *@last: KERNEL if the block is in use
 * or nothing is known.
 */
static enum lx_kind ask_blocks(const struct place *place, uint64_t pfn,
			       uint64_t *last)
{
	const struct lx_blocks *blocks = &place->blocks;
	size_t i = lx_blocks_find(blocks, pfn);
	uint64_t first;

	if (!place->has_blocks)
		return LX_KIND_KERNEL;
	if (i == blocks->count)
		return LX_KIND_ABSENT;
	first = blocks->block[i].id * blocks->frames;
	if (first > pfn) {
		*last = smaller(*last, first);
		return LX_KIND_ABSENT;
	}
	*last = smaller(*last, first + blocks->frames);
	return blocks->block[i].state == LX_BLOCK_OFFLINE ?
	       LX_KIND_BLOCK_OFFLINE : LX_KIND_KERNEL;
}

/* The same by the ranges of system memory. */
static enum lx_kind ask_ram(const struct place *place, uint64_t pfn,
			    uint64_t *last)
{
	size_t i = lx_ranges_find(&place->ram, pfn);
	const struct lx_range *range;

	if (!place->has_ram)
		return LX_KIND_KERNEL;
	if (i == place->ram.count)
		return LX_KIND_ABSENT;
	range = &place->ram.range[i];
	if (range->first > pfn) {
		*last = smaller(*last, range->first);
		return LX_KIND_ABSENT;
	}
	*last = smaller(*last, range->last);
	return LX_KIND_KERNEL;
}

/*
 * Find what mute words at a frame mean, and how far that goes. Frames come in
 * rising order.
 */
static void look_up(struct cells *cells, uint64_t pfn)
{
	if (pfn < cells->known_last)
		return;
	cells->known_last = UINT64_MAX;
	cells->known = ask_blocks(cells->place, pfn, &cells->known_last);
	if (cells->known == LX_KIND_KERNEL)
		cells->known = ask_ram(cells->place, pfn, &cells->known_last);
}

/* Count frames whose words say nothing about what they are. */
static void count_mute(struct cells *cells, struct cell *cell, uint64_t frames)
{
	bool nopage = cells->batch[cells->next] != 0;
	uint64_t pfn = cells->pfn, last = pfn + frames;

	while (pfn < last) {
		enum lx_kind kind;
		uint64_t stop;

		look_up(cells, pfn);
		kind = cells->known;
		if (nopage && kind == LX_KIND_KERNEL)
			kind = LX_KIND_ABSENT;
		stop = smaller(last, cells->known_last);
		cell->kind[kind] += stop - pfn;
		pfn = stop;
	}
	cells->head = LX_KIND_KERNEL;
}

static void count_alike(struct cells *cells, struct cell *cell, uint64_t frames)
{
	uint64_t word = cells->batch[cells->next];
	enum lx_kind kind;

	if (lx_kpf_is_mute(word)) {
		count_mute(cells, cell, frames);
		return;
	}
	kind = lx_kpf_kind(word);
	if (kind == LX_KIND_COUNT)
		kind = cells->head;
	cells->head = kind;
	cell->kind[kind] += frames;
}

/* Count what the batch has of frames up to @last, stretch by stretch. */
static void count_batch(struct cells *cells, struct cell *cell, uint64_t last)
{
	const uint64_t *batch = cells->batch;

	while (cells->pfn < last && cells->next < cells->count) {
		size_t end = cells->next + 1, limit = cells->count;
		uint64_t frames;

		if (limit - cells->next > last - cells->pfn)
			limit = cells->next + (size_t)(last - cells->pfn);
		while (end < limit && batch[end] == batch[cells->next])
			end++;
		frames = end - cells->next;
		count_alike(cells, cell, frames);
		cell->frames += frames;
		cells->pfn += frames;
		cells->next = end;
	}
}

/*
 * Pass over frames that need not be read, up to @last: of offline blocks, and
 * between blocks. How many it were.
 */
static uint64_t pass_over(struct cells *cells, struct cell *cell,
			  uint64_t last)
{
	const struct lx_words *words = &cells->words;
	uint64_t stop = words->frames ? smaller(last, words->frames) : last;
	uint64_t known = UINT64_MAX;
	enum lx_kind kind = ask_blocks(cells->place, cells->pfn, &known);

	/* Behind the last block the end of the file is not known. */
	if (kind == LX_KIND_KERNEL || known == UINT64_MAX ||
	    cells->pfn >= stop || !cells->began)
		return 0;
	stop = smaller(stop, known) - cells->pfn;
	cell->kind[kind] += stop;
	cell->frames += stop;
	cells->pfn += stop;
	cells->head = LX_KIND_KERNEL;
	return stop;
}

static int read_batch(struct cells *cells, struct lx_error *err)
{
	int ret = 0;

	cells->next = cells->count = 0;
	if (cells->words.pfn != cells->pfn)
		ret = lx_words_seek(&cells->words, cells->pfn, err);
	if (!ret)
		ret = lx_words_read(&cells->words, cells->batch, BATCH_WORDS,
				    &cells->count, err);
	cells->began |= !ret && cells->count;
	return ret;
}

/* What blocks and ranges tell of the frames up to @last. */
static void count_blind(struct cells *cells, struct cell *cell, uint64_t last)
{
	last = smaller(last, cells->words.frames);
	while (cells->pfn < last) {
		enum lx_kind kind;
		uint64_t stop;

		look_up(cells, cells->pfn);
		kind = cells->known == LX_KIND_KERNEL ? LX_KIND_UNKNOWN :
							cells->known;
		stop = smaller(last, cells->known_last);
		cell->kind[kind] += stop - cells->pfn;
		cell->frames += stop - cells->pfn;
		cells->pfn = stop;
	}
}

static int count_frames(struct cells *cells, struct cell *cell, uint64_t last,
			struct lx_error *err)
{
	int ret;

	if (cells->blind) {
		count_blind(cells, cell, last);
		return 0;
	}
	while (cells->pfn < last) {
		if (cells->next == cells->count) {
			if (pass_over(cells, cell, last))
				continue;
			ret = read_batch(cells, err);
			if (ret)
				return ret;
			if (!cells->count)
				return 0;
		}
		count_batch(cells, cell, last);
	}
	return 0;
}

int cells_from(struct cells *cells, uint64_t first, uint64_t last,
	       struct lx_error *err)
{
	uint64_t rest = cells->cell_frames - 1;
	struct cell before = { .first = 0 };
	int ret;

	first &= ~rest;
	if (last <= UINT64_MAX - rest)
		last = (last + rest) & ~rest;
	cells->pfn = first & ~(RUN_FRAMES - 1);
	ret = cells->blind ? 0 : lx_words_seek(&cells->words, cells->pfn, err);
	if (!ret)
		ret = count_frames(cells, &before, first, err);
	cells->last = last;
	return ret;
}

int cells_next(struct cells *cells, struct cell *ret_cell,
	       struct lx_error *err)
{
	uint64_t last = cells->last;

	*ret_cell = (struct cell){ .first = cells->pfn };
	if (cells->last - cells->pfn > cells->cell_frames)
		last = (cells->pfn | (cells->cell_frames - 1)) + 1;
	return count_frames(cells, ret_cell, last, err);
}

enum lx_kind cell_kind(const struct cell *cell, bool *ret_whole)
{
	enum lx_kind best = LX_KIND_FREE, kind;

	for (kind = LX_KIND_FREE; kind < LX_KIND_ABSENT; kind++) {
		if (cell->kind[kind] > cell->kind[best])
			best = kind;
	}
	if (!cell->kind[best])
		best = LX_KIND_ABSENT;
	if (cell->kind[LX_KIND_POISON])
		best = LX_KIND_POISON;
	*ret_whole = cell->kind[best] == cell->frames;
	return best;
}
