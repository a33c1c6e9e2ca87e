/* SPDX-License-Identifier: MIT */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include "bench/measure.h"

/*
 * Calls that leave a map as it was, so that they can be repeated: tables of
 * rows, by the state the map must be in.
 */
struct op_table {
	const struct phase *phases;
	unsigned count;
};

extern const struct op_table ops_empty;		/* nothing is allocated */
extern const struct op_table ops_last;		/* but for 2 MiB, everything */
extern const struct op_table ops_last_stock;	/* the same, with caches */
extern const struct op_table ops_failing;	/* everything */

/* Four phases that belong together: each thread's own frame, one for all. */
extern const struct op_table ops_refs_own, ops_refs_shared;

/* Phases in turn: a balloon of single frames, then one of runs of 2 MiB. */
extern const struct op_table ops_balloon;

/* The calls for many runs, where the argument is how many. */
extern const struct op_table ops_many;

#endif
