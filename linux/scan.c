/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include <coldframe/types.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_WORDS	65536
#define GIGANTIC_FRAMES	1024	/* no more come out of a list of free frames */

/* The largest free run is 4 MiB, unless Linux is built otherwise. */
#define FREE_FRAMES	1024

/*
 * As many frames at once go from a zone to a CPU, or back. From 5.14 on a CPU
 * that frees keeps more, and they may lie side by side: all but a chunk.
 */
#define LONELY_MAX	63
#define LONELY_MANY	(CF_CHUNK_FRAMES - 1)
#define CPU_TAKES_MANY	LX_VERSION(5, 14)

/* The head of a compound frame is at most this far to the left. */
#define RUN_FRAMES	((uint64_t)1 << CF_MAX_ORDER)

int lx_scan_open(struct lx_scan *scan, const struct lx_host *host,
		 struct lx_error *err)
{
	int ret;

	memset(scan, 0, sizeof(*scan));
	scan->host = host;
	scan->batch = malloc(BATCH_WORDS * sizeof(*scan->batch));
	if (!scan->batch)
		return lx_fail(err, LX_EREAD, "out of memory");
	ret = lx_words_open(&scan->words, host->root, "proc/kpageflags", err);
	if (ret) {
		free(scan->batch);
		return ret;
	}
	scan->head = LX_CLASS_UNTYPED;
	scan->all = scan->words.frames;
	return 0;
}

void lx_scan_close(struct lx_scan *scan)
{
	lx_words_close(&scan->words);
	free(scan->batch);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What a mute word means by the block it is in, up to *@last. */
static enum lx_class ask_blocks(const struct lx_host *host, uint64_t pfn,
				uint64_t *last)
{
	const struct lx_blocks *blocks = &host->blocks;
	size_t i = lx_blocks_find(blocks, pfn);
	uint64_t first;

	if (!blocks->count || host->assumed)
		return LX_CLASS_UNTYPED;
	if (i == blocks->count)
		return LX_CLASS_ABSENT;
	first = blocks->block[i].id * blocks->frames;
	*last = smaller(*last, first > pfn ? first : first + blocks->frames);
	if (first > pfn || blocks->block[i].state == LX_BLOCK_OFFLINE)
		return LX_CLASS_ABSENT;
	return LX_CLASS_UNTYPED;
}

/* The same by the ranges of system memory. */
static enum lx_class ask_ram(const struct lx_host *host, uint64_t pfn,
			     uint64_t *last)
{
	size_t i = lx_ranges_find(&host->ram, pfn);
	const struct lx_range *range;

	if (!host->has_ram)
		return LX_CLASS_UNTYPED;
	if (i == host->ram.count)
		return LX_CLASS_ABSENT;
	range = &host->ram.range[i];
	*last = smaller(*last, range->first > pfn ? range->first : range->last);
	return range->first > pfn ? LX_CLASS_ABSENT : LX_CLASS_UNTYPED;
}

static void look_up(struct lx_scan *scan, uint64_t pfn)
{
	if (pfn < scan->known_last)
		return;
	scan->known_last = UINT64_MAX;
	scan->known = ask_blocks(scan->host, pfn, &scan->known_last);
	if (scan->known == LX_CLASS_UNTYPED)
		scan->known = ask_ram(scan->host, pfn, &scan->known_last);
}

static void count(struct lx_scan *scan, struct lx_piece *piece,
		  enum lx_class class, uint64_t pfn, uint64_t frames)
{
	if (scan->run)
		scan->run(scan->context, class, pfn, frames);
	if (!piece->count[class])
		piece->at[class] = pfn;
	piece->count[class] += frames;
}

/* Frames up to @last are @class, where there is memory at all. */
static void count_there(struct lx_scan *scan, struct lx_piece *piece,
			enum lx_class class, uint64_t last)
{
	uint64_t pfn = scan->pfn;

	scan->head = LX_CLASS_UNTYPED;
	while (pfn < last) {
		uint64_t stop;

		look_up(scan, pfn);
		stop = smaller(last, scan->known_last);
		count(scan, piece, scan->known == LX_CLASS_ABSENT ?
		      LX_CLASS_ABSENT : class, pfn, stop - pfn);
		pfn = stop;
	}
}

static void count_unknown(struct lx_scan *scan, struct lx_piece *piece,
			  uint64_t word, uint64_t frames)
{
	uint64_t bits = word & LX_CLASS_UNKNOWN_BITS;

	piece->unknown |= bits;
	for (; bits; bits &= bits - 1)
		scan->bit[__builtin_ctzll(bits)] += frames;
}

/* Linux joins two free halves, so it goes on as long as all is free. */
uint64_t lx_free_run(const uint64_t *word, size_t count, uint64_t pfn)
{
	uint64_t frames = 1;
	size_t i = 1;

	while (!(pfn & frames) && frames < FREE_FRAMES) {
		size_t end = 2 * frames < count ? (size_t)(2 * frames) : count;

		while (i < end) {
			if (lx_class_of(word[i]) != LX_CLASS_FREE)
				return frames;
			i += lx_words_alike(&word[i], end - i);
		}
		if (i < 2 * frames)
			return frames;
		frames *= 2;
	}
	return frames;
}

/* Only the head of a free run shows that it was reported. */
static void count_free(struct lx_scan *scan, struct lx_piece *piece,
		       enum lx_class class, uint64_t last)
{
	uint64_t pfn = scan->pfn, stop = scan->reported_last;

	scan->head = class;
	if (class == LX_CLASS_REPORTED) {
		size_t head = scan->next + (size_t)(last - 1 - pfn);

		scan->reported_last = last - 1 +
				      lx_free_run(scan->batch + head,
						  scan->count - head,
						  last - 1);
	} else if (pfn < stop) {
		stop = smaller(stop, last);
		count(scan, piece, LX_CLASS_REPORTED, pfn, stop - pfn);
		pfn = stop;
	}
	if (pfn < last)
		count(scan, piece, class, pfn, last - pfn);
}

/*
 * A tail is what its head is. What it says itself may be less: up to 6.12 a
 * huge page of a program shows MLOCKED and LRU on its head only. Frames that
 * do not stand where they were have their head's word already.
 */
static enum lx_class tail_class(const struct lx_scan *scan,
				enum lx_class class)
{
	enum lx_class head = scan->head;

	if (class == LX_CLASS_COUNT)
		return head;
	if (scan->host->addresses &&
	    (class == LX_CLASS_ANON || class == LX_CLASS_FILE) &&
	    (head == LX_CLASS_MLOCKED || head == LX_CLASS_HELD))
		return head;
	return class;
}

/* A host has few different words, and most runs are short. */
static enum lx_class class_of(struct lx_scan *scan, uint64_t word)
{
	size_t i = (size_t)(word * UINT64_C(0x9e3779b97f4a7c15) >>
			    (64 - LX_SEEN_BITS));

	if (scan->seen[i].word != word) {
		scan->seen[i].word = word;
		scan->seen[i].class = lx_class_of(word);
	}
	return scan->seen[i].class;
}

/*
 * Secret memory (memfd_secret) is MLOCKED, too, and never moves. A program's
 * file that is locked looks the same.
 */
static bool is_locked_by_program(uint64_t word)
{
	return word & LX_KPF(MLOCKED) &&
	       word & (LX_CF(ANON) | LX_CF(SWAPBACKED));
}

/* Frames [scan->pfn, @last) have a word that says something, so not 0. */
static void count_alike(struct lx_scan *scan, struct lx_piece *piece,
			uint64_t word, uint64_t last)
{
	enum lx_class class = class_of(scan, word);
	uint64_t pfn = scan->pfn;

	piece->mute = false;
	if (word & LX_CLASS_UNKNOWN_BITS)
		count_unknown(scan, piece, word, last - pfn);
	if (!(word & LX_CF(COMPOUND_TAIL)))
		scan->head_pfn = last - 1;
	if (class == LX_CLASS_FREE || class == LX_CLASS_REPORTED) {
		count_free(scan, piece, class, last);
		return;
	}
	/* Holes at the edge of memory have descriptors that say so. */
	if (class == LX_CLASS_RESERVED) {
		count_there(scan, piece, class, last);
		scan->head = class;
		return;
	}
	if (word & LX_CF(COMPOUND_TAIL))
		class = tail_class(scan, class);
	else if (class == LX_CLASS_MLOCKED && !is_locked_by_program(word))
		piece->unevictable += last - pfn;
	scan->head = class;
	if (class == LX_CLASS_HUGETLB && word & LX_CF(COMPOUND_TAIL)) {
		uint64_t small = scan->head_pfn + GIGANTIC_FRAMES;

		if (small > pfn)
			count(scan, piece, class, pfn,
			      smaller(small, last) - pfn);
		if (small >= last)
			return;
		pfn = small > pfn ? small : pfn;
		class = LX_CLASS_GIGANTIC;
	}
	count(scan, piece, class, pfn, last - pfn);
}

/* Count what the batch has of the frames up to @last. */
static void count_batch(struct lx_scan *scan, struct lx_piece *piece,
			uint64_t last)
{
	const uint64_t *batch = scan->batch;

	while (scan->pfn < last && scan->next < scan->count) {
		uint64_t word = batch[scan->next], stop;
		size_t limit = scan->count - scan->next;

		if (limit > last - scan->pfn)
			limit = (size_t)(last - scan->pfn);
		limit = lx_words_alike(&batch[scan->next], limit);
		stop = scan->pfn + limit;
		if (lx_kpf_is_mute(word))
			count_there(scan, piece, word ? LX_CLASS_ABSENT :
				    LX_CLASS_UNTYPED, stop);
		else
			count_alike(scan, piece, word, stop);
		piece->frames += stop - scan->pfn;
		scan->pfn = stop;
		scan->next += limit;
	}
}

static int fill(struct lx_scan *scan, struct lx_error *err)
{
	int ret;

	scan->next = 0;
	scan->count = 0;
	ret = lx_words_read(&scan->words, scan->batch, BATCH_WORDS,
			    &scan->count, err);
	scan->ended = !ret && !scan->count;
	scan->done += scan->count;
	if (scan->progress)
		scan->progress(scan->context, scan->pfn, scan->all);
	return ret;
}

static int count_frames(struct lx_scan *scan, struct lx_piece *piece,
			uint64_t last, struct lx_error *err)
{
	int ret;

	while (scan->pfn < last && !scan->ended) {
		if (scan->next == scan->count) {
			ret = fill(scan, err);
			if (ret)
				return ret;
		}
		count_batch(scan, piece, last);
	}
	return 0;
}

uint64_t lx_piece_role(const struct lx_piece *piece, enum lx_role role)
{
	uint64_t frames = 0;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		if (lx_class_role((enum lx_class)class) == role)
			frames += piece->count[class];
	}
	return frames;
}

void lx_piece_add(struct lx_piece *sum, const struct lx_piece *piece)
{
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		if (!sum->count[class])
			sum->at[class] = piece->at[class];
		sum->count[class] += piece->count[class];
	}
	sum->frames += piece->frames;
	sum->chunks_free += piece->chunks_free;
	sum->chunks_movable += piece->chunks_movable;
	sum->chunks_spoiled += piece->chunks_spoiled;
	for (class = 1; class < 4; class++)
		sum->chunks_only[class] += piece->chunks_only[class];
	sum->lonely += piece->lonely;
	sum->unevictable += piece->unevictable;
	sum->unknown |= piece->unknown;
	sum->mute = sum->mute && piece->mute;
}

/*
 * The kernel keeps its own memory together: a few frames without a type among
 * frames that are free or can be moved are rather free ones that a CPU caches.
 */
static uint64_t lonely_frames(const struct lx_host *host,
			      const struct lx_piece *chunk)
{
	uint64_t untyped = chunk->count[LX_CLASS_UNTYPED];
	uint64_t most = host->version < CPU_TAKES_MANY ? LONELY_MAX :
							 LONELY_MANY;

	return untyped <= most &&
	       !lx_piece_role(chunk, LX_ROLE_BLOCKS) ? untyped : 0;
}

/* Something is in the way, unless the verdict says that it moves. */
static void spoil(struct lx_piece *chunk, uint64_t frames)
{
	uint64_t mlocked = chunk->count[LX_CLASS_MLOCKED];
	uint64_t untyped = chunk->count[LX_CLASS_UNTYPED];

	chunk->chunks_spoiled = 1;
	if (frames == mlocked + untyped)
		chunk->chunks_only[!!mlocked + 2 * !!untyped] = 1;
}

void lx_chunk_judge(const struct lx_host *host, struct lx_piece *chunk)
{
	uint64_t free = lx_piece_role(chunk, LX_ROLE_FREE);
	uint64_t blocks = lx_piece_role(chunk, LX_ROLE_BLOCKS);
	uint64_t doubt = lx_piece_role(chunk, LX_ROLE_DOUBT);

	chunk->lonely = lonely_frames(host, chunk);
	if (chunk->count[LX_CLASS_ABSENT] == chunk->frames)
		return;
	if (free == chunk->frames)
		chunk->chunks_free = 1;
	else if (blocks || doubt)
		spoil(chunk, blocks + doubt);
	else
		chunk->chunks_movable = 1;
}

/*
 * Go to a frame. Frames that are passed over can be a gap, or what nobody
 * asked about; then the head of what follows is looked for.
 */
static int go_to(struct lx_scan *scan, uint64_t first, struct lx_error *err)
{
	uint64_t start = first & ~(RUN_FRAMES - 1);
	struct lx_piece before = { .first = 0 };
	int ret;

	if (first == scan->pfn)
		return 0;
	if (start < scan->pfn && first > scan->pfn)
		start = scan->pfn;
	if (start != scan->pfn || first < scan->pfn) {
		ret = lx_words_seek(&scan->words, start, err);
		if (ret)
			return ret;
		scan->pfn = start;
		scan->next = scan->count = 0;
		scan->ended = false;
		scan->head = LX_CLASS_UNTYPED;
		scan->reported_last = 0;
		scan->known_last = 0;
	}
	return count_frames(scan, &before, first, err);
}

int lx_scan_piece(struct lx_scan *scan, uint64_t first, uint64_t last,
		  struct lx_piece *ret_piece, struct lx_error *err)
{
	struct lx_piece chunk, piece = { .first = first, .mute = true };
	uint64_t end;
	int ret = go_to(scan, first, err);

	while (!ret && scan->pfn < last && !scan->ended) {
		chunk = (struct lx_piece){ .first = scan->pfn, .mute = true };
		end = (scan->pfn | (CF_CHUNK_FRAMES - 1)) + 1;
		ret = count_frames(scan, &chunk, smaller(end, last), err);
		if (ret || !chunk.frames)
			break;
		lx_chunk_judge(scan->host, &chunk);
		if (scan->chunk)
			scan->chunk(scan->context, &chunk);
		lx_piece_add(&piece, &chunk);
	}
	*ret_piece = piece;
	return ret;
}
