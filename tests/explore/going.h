/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_GOING_H
#define EXPLORE_GOING_H

/* What programs about offline operations share. */

#include "ground.h"

#define GOING_SUBSCRIBERS	3
#define GOING_CALLS		16

struct going_call {		/* of a subscriber's hook */
	uint8_t number, what, block;
};

struct going {
	struct cf_offline operation[EXPLORE_THREADS_MAX];
	struct cf_report report[EXPLORE_THREADS_MAX];
	int err[EXPLORE_THREADS_MAX];
	uint32_t id[EXPLORE_THREADS_MAX];
	uint64_t asleep;	/* until a chunk is empty */
	uint64_t lows;		/* signals of low memory */
	cf_pfn pfn, other;
	uint32_t owner;
	struct cf_subscriber subscriber[GOING_SUBSCRIBERS];
	struct going_call call[GOING_CALLS];
	unsigned calls;
};

extern struct going *going;

/* First call of a set-up. */
void going_begin(struct ground_config config);
/*
 * Frames of chunk 0 from @first on are stepped over: so a step has little to
 * look at.
 */
void going_skip(cf_pfn first);

/* The running thread's operation. */
int going_start(cf_pfn first, cf_pfn last);
int going_step(void);
int going_cancel(void);

enum cf_block_state going_state(cf_pfn pfn);
/* In use, not isolated, and all but @skipped frames are free. */
void going_is_back(cf_pfn pfn, uint64_t skipped);

#endif
