/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#include "bench/measure.h"

/*
 * A clock for single calls: the time stamp counter where there is one, read
 * once everything before is done, else nanoseconds.
 */
static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
	unsigned processor;

	return __builtin_ia32_rdtscp(&processor);
#else
	return clock_wall_ns();
#endif
}

/* Print percentiles of what calls took as a row. Sorts @ticks. */
void latency_print(const char *row, uint32_t *ticks, uint64_t count);

/* Print the row of the clock itself, which is in all the others. */
void latency_print_clock(void);

#endif
