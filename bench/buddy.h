/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BUDDY_H
#define BENCH_BUDDY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The binary buddy rule as textbooks have it, to hold fragmentation against:
 * a run comes from the smallest free run that fits, halved until it does, and
 * a freed run joins its buddy as long as that is free and whole.  The run
 * freed last is handed out first.
 */
#define BUDDY_ORDERS	19	/* 0..18 */

struct buddy {
	uint64_t frames;		/* a multiple of the largest run */
	/* Of a free run's first frame: its list; order + 1. Else tag is 0. */
	uint32_t *next, *prev;
	uint8_t *tag;
	uint32_t heads[BUDDY_ORDERS];
};

/* All frames are free. Pair with buddy_close(). */
void buddy_open(struct buddy *buddy, uint64_t frames);
void buddy_close(struct buddy *buddy);

/* False: there is no run of that order. */
bool buddy_alloc(struct buddy *buddy, unsigned order, uint64_t *ret_first);
void buddy_free(struct buddy *buddy, uint64_t first, unsigned order);

/* How many aligned runs of @order are wholly free. */
uint64_t buddy_free_runs(const struct buddy *buddy, unsigned order);

#endif
