/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_HUGEPOOL_STATE_H
#define OWNERS_HUGEPOOL_STATE_H

/*
 * A pool that goes on where another one ended, in a copy of its map: made
 * empty under the same owner id, it adopts the runs whose words name it, and
 * what the other one knew of them.
 */

#include "hugepool.h"

struct hugepool_run {
	cf_pfn pfn;
	enum hugepool_size size;
	bool used;		/* it has references; else it is the pool's */
};

/* What belongs to no run. */
struct hugepool_saved {
	uint32_t reserved[HUGEPOOL_SIZES], surplus_limit[HUGEPOOL_SIZES];
	uint64_t dissolved, replaced, retired, strangers;
	cf_pfn stranger;
};

/** hugepool_is_busy() - is a run in the hands of a call? */
bool hugepool_is_busy(struct hugepool *pool);

void hugepool_save(struct hugepool *pool, struct hugepool_saved *ret_saved);

/**
 * hugepool_save_next() - the next run of the pool's.
 * @at: 0 at first
 * Context: nothing else runs on the pool. Return: false: there is none.
 */
bool hugepool_save_next(struct hugepool *pool, uint32_t *at,
			struct hugepool_run *ret_run);

/**
 * hugepool_adopt_run() - a run that is there already.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such size; or the run is not like that, not the
 *                      pool's by its word, or known
 *          -CF_ELIMIT  config.runs are there
 *          -CF_ENOMEM  no memory for the side table
 */
int hugepool_adopt_run(struct hugepool *pool, const struct hugepool_run *run)
	CF_MUST_CHECK;

/**
 * hugepool_adopt_surplus() - @count runs of a node are beyond the persistent.
 * Return: 0, or -CF_EINVAL: no such size or node, or it has fewer.
 */
int hugepool_adopt_surplus(struct hugepool *pool, enum hugepool_size size,
			   uint32_t node, uint32_t count) CF_MUST_CHECK;

/**
 * hugepool_adopt() - all runs are there: promises and counters.
 * Return: 0, or -CF_EINVAL: more is promised than is free.
 */
int hugepool_adopt(struct hugepool *pool, const struct hugepool_saved *saved)
	CF_MUST_CHECK;

#endif
