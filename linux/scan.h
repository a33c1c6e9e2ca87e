/* SPDX-License-Identifier: MIT */
#ifndef LINUX_SCAN_H
#define LINUX_SCAN_H

#include "class.h"
#include "host.h"
#include "words.h"

/*
 * Frames of a stretch, counted by class.  frames == sum of count[].
 * A chunk counts as free, movable or spoiled by all its frames; one of which
 * no frame is memory counts as none of these.
 */
struct lx_piece {
	uint64_t first, frames;
	uint64_t count[LX_CLASS_COUNT];
	uint64_t at[LX_CLASS_COUNT];	/* first frame of each, if count */
	uint32_t chunks_free;		/* all free */
	uint32_t chunks_movable;	/* nothing blocks or is doubtful */
	uint32_t chunks_spoiled;	/* something blocks or is doubtful */
	uint32_t chunks_only[4];	/* of these, by nothing but [1] mlocked,
					   [2] untyped, [3] both */
	uint64_t lonely;		/* untyped, and their chunk has no other
					   frame of the kernel */
	uint64_t unevictable;		/* mlocked, and perhaps no program's
					   locking but secret or of ramfs */
	uint64_t unknown;		/* bits without a name that were seen */
	bool mute;			/* every word was 0 */
};

/* Called now and then: the frame that is next, and the last (0: not known). */
typedef void (*lx_progress_fn)(void *context, uint64_t done, uint64_t all);

/* Called for each chunk that was counted, or a part of one. */
typedef void (*lx_chunk_fn)(void *context, const struct lx_piece *chunk);

/* Called for each run of frames of one class, as they are counted. */
typedef void (*lx_run_fn)(void *context, enum lx_class class, uint64_t pfn,
			  uint64_t frames);

#define LX_SEEN_BITS	6
#define LX_SEEN		(1u << LX_SEEN_BITS)

/*
 * One pass over proc/kpageflags.  A batch of words is in memory at a time,
 * and what no block has is not read.
 */
struct lx_scan {
	const struct lx_host *host;
	struct lx_words words;
	uint64_t *batch;
	size_t next, count;		/* of batch, from frame pfn on */
	uint64_t pfn;
	bool ended;
	uint64_t head_pfn;		/* of the compound frame last seen */
	enum lx_class head;
	uint64_t reported_last;		/* behind the reported run last seen */
	enum lx_class known;		/* what a mute word means */
	uint64_t known_last;		/* from pfn up to here */
	struct {
		uint64_t word;
		enum lx_class class;
	} seen[LX_SEEN];		/* words of late; 0: none */
	uint64_t bit[64];		/* frames with an unknown bit, by bit */
	uint64_t done, all;		/* frames, for progress */
	lx_progress_fn progress;
	lx_chunk_fn chunk;
	lx_run_fn run;
	void *context;
};

/**
 * lx_scan_open() - begin. Pair with lx_scan_close().
 * Return: 0, or negative as lx_words_open().
 */
int lx_scan_open(struct lx_scan *scan, const struct lx_host *host,
		 struct lx_error *err);
void lx_scan_close(struct lx_scan *scan);

/**
 * lx_scan_piece() - count the frames [@first, @last).
 * @ret_piece: frames is less than was asked for at the end of the file
 *
 * Calls with rising frames read each word once.
 *
 * Return: 0, or negative as lx_words_read().
 */
int lx_scan_piece(struct lx_scan *scan, uint64_t first, uint64_t last,
		  struct lx_piece *ret_piece, struct lx_error *err);

/* Whether a chunk, or what was counted of it, is free, movable or spoiled. */
void lx_chunk_judge(const struct lx_host *host, struct lx_piece *chunk);

/*
 * lx_free_run() - how long the free run is that a frame heads.
 * @word:  of the frame, and @count - 1 that follow it
 * @pfn:   of the frame: a run goes no further than its alignment allows
 */
uint64_t lx_free_run(const uint64_t *word, size_t count, uint64_t pfn);

/* Add what was counted; keeps the earlier first frames. */
void lx_piece_add(struct lx_piece *sum, const struct lx_piece *piece);

/* Frames of all classes with a role. */
uint64_t lx_piece_role(const struct lx_piece *piece, enum lx_role role);

#endif
