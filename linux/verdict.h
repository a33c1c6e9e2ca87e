/* SPDX-License-Identifier: MIT */
#ifndef LINUX_VERDICT_H
#define LINUX_VERDICT_H

#include "scan.h"

/* What is to be expected when somebody tries to take a block offline. */
enum lx_verdict {
	LX_VERDICT_NEVER,	/* the kernel refuses, whatever is in it */
	LX_VERDICT_BLOCKED,	/* it holds frames that cannot be moved */
	LX_VERDICT_DOUBTFUL,	/* it holds frames that perhaps cannot */
	LX_VERDICT_CANDIDATE,	/* nothing that can be seen stands against it */
	LX_VERDICT_EMPTY,	/* all its frames are free */
	LX_VERDICT_OFFLINE,
	LX_VERDICT_UNKNOWN,	/* nothing tells */
	LX_VERDICT_COUNT
};

enum lx_confidence {
	LX_POSSIBLE,
	LX_LIKELY,
	LX_PROVED,
	LX_CONFIDENCE_COUNT
};

/* Why. The words for them never change; docs/live-host.md lists them. */
enum lx_reason_code {
	LX_REASON_ZONE_NONE,
	LX_REASON_HOLE,
	LX_REASON_KERNEL_IMAGE,
	LX_REASON_CRASH_KERNEL,
	LX_REASON_NO_HOTPLUG,
	LX_REASON_SLAB,
	LX_REASON_PGTABLE,
	LX_REASON_RESERVED,
	LX_REASON_ZERO,
	LX_REASON_MAPPED,
	LX_REASON_UNTYPED_MANY,	/* more than the CPUs' lists can hold */
	LX_REASON_OWNER_KEEPS,
	LX_REASON_PINNED,	/* where a buffer of io_uring was made */
	LX_REASON_HELD_MANY,	/* more than can be on their way */
	LX_REASON_UNTYPED,
	LX_REASON_MLOCKED,
	LX_REASON_HELD,
	LX_REASON_GIGANTIC,
	LX_REASON_ZSMALLOC,
	LX_REASON_UNKNOWN_BIT,
	LX_REASON_PINS,
	LX_REASON_GOING_OFFLINE,
	LX_REASON_UNINITIALISED,
	LX_REASON_NO_FLAGS,
	LX_REASON_STATE_UNKNOWN,
	LX_REASON_OWNER_AGREES,	/* from here on: not against it */
	LX_REASON_BALLOON,
	LX_REASON_BALLOON_BY_COUNT,
	LX_REASON_CACHED,
	LX_REASON_LOCKED,
	LX_REASON_MEMMAP,
	LX_REASON_POISON,
	LX_REASON_COUNT
};

struct lx_reason {
	enum lx_reason_code code;
	enum lx_verdict toward;		/* COUNT: for information */
	enum lx_confidence confidence;
	uint64_t frames, at;		/* 0: it is about the block */
};

/* reason[]: the ones that made the verdict first. */
struct lx_judgement {
	enum lx_verdict verdict;
	enum lx_confidence confidence;
	struct lx_reason reason[LX_REASON_COUNT];
	size_t count;
};

/* Frames of a block that are likely to be pinned, and the first of them. */
struct lx_pinned {
	uint64_t frames, at;
};

/* What a zone has that no block judged so far has used up. */
struct lx_left {
	uint64_t raw;			/* frames never initialised */
	uint64_t cached;		/* in the lists of CPUs */
};

struct lx_use {
	uint64_t *left, frames;
};

#define LX_USES_MAX	3		/* by a block: of a zone, the host */

/*
 * A judge of the blocks of one host, asked in rising order: frames that were
 * never initialised are told from kernel memory by how many of them the zone
 * can have, so are those that CPUs cache, and frames of a balloon from others
 * that are offline by how many it has; each block uses some of that up.
 */
struct lx_judge {
	const struct lx_host *host;
	bool flags;			/* kpageflags can be read */
	struct lx_left *left;		/* a zone */
	uint64_t raw_left;		/* never initialised, over all zones */
	uint64_t balloon_left;		/* frames in no block judged so far */
	struct lx_use use[LX_USES_MAX];	/* by the last block */
	unsigned int uses;
	struct lx_pinned *pinned;	/* a block; NULL: none is known */
	uint64_t pins;			/* frames pinned that nothing tells */
	uint64_t held_few;		/* frames held that may wait for CPUs */
};

/* Return: 0, or -LX_EREAD: no memory. Pair with lx_judge_free(). */
int lx_judge_init(struct lx_judge *judge, const struct lx_host *host,
		  bool flags, struct lx_error *err);
void lx_judge_free(struct lx_judge *judge);

/* Begin at the first block again: nothing is used up. */
void lx_judge_restart(struct lx_judge *judge);

/**
 * lx_judge_block() - the verdict on a block.
 * @piece: its frames; not looked at without flags
 */
void lx_judge_block(struct lx_judge *judge, const struct lx_block *block,
		    const struct lx_piece *piece,
		    struct lx_judgement *ret_judgement);

/*
 * Give back what the last block used up. False: it used nothing, so that its
 * verdict is the same whatever the blocks before it have used.
 */
bool lx_judge_give_back(struct lx_judge *judge);

/* Are frames of a class in nobody's way in a block of that verdict? */
bool lx_judged_moves(const struct lx_judgement *judgement,
		     enum lx_class class);

/*
 * lx_judged_spoiled() - chunks with something in the way.
 * @piece: of the block, or a part of it
 */
uint32_t lx_judged_spoiled(const struct lx_judgement *judgement,
			   const struct lx_piece *piece);

const char *lx_verdict_name(enum lx_verdict verdict);
const char *lx_confidence_name(enum lx_confidence confidence);
const char *lx_reason_name(enum lx_reason_code code);

/* A sentence without a full stop. */
const char *lx_reason_meaning(enum lx_reason_code code);

/* The verdict of that name, of @length characters; COUNT: none. */
enum lx_verdict lx_verdict_parse(const char *name, size_t length);

#endif
