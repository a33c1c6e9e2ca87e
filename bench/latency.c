/* SPDX-License-Identifier: MIT */
/* Percentiles of single calls; see latency.h. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/groups.h"
#include "bench/latency.h"

#define CALIBRATION_NS	20000000u
#define CLOCK_CALLS	((uint64_t)1 << 18)

/* Nanoseconds a tick. */
static double tick_ns(void)
{
	static double known;
	uint64_t wall, ticks;

	if (known > 0)
		return known;
	wall = clock_wall_ns();
	ticks = ticks_now();
	while (clock_wall_ns() - wall < CALIBRATION_NS)
		;
	ticks = ticks_now() - ticks;
	wall = clock_wall_ns() - wall;
	known = (double)wall / (double)ticks;
	return known;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void latency_print(const char *row, uint32_t *ticks, uint64_t count)
{
	static const struct {
		const char *column;
		double share;
	} percentiles[] = {
		{ "p50", 0.5 }, { "p99", 0.99 }, { "p99.9", 0.999 },
		{ "max", 1 },
	};
	uint64_t at;
	size_t i;

	qsort(ticks, count, sizeof(*ticks), compare);
	for (i = 0; i < ARRAY_COUNT(percentiles); i++) {
		at = (uint64_t)((double)(count - 1) * percentiles[i].share);
		value_print(SECTION_LATENCY, row, percentiles[i].column,
			    (double)ticks[at] * tick_ns());
	}
}

void latency_print_clock(void)
{
	uint64_t bytes = CLOCK_CALLS * sizeof(uint32_t);
	uint32_t *ticks = room_open(bytes);
	uint64_t i, begin;

	for (i = 0; i < CLOCK_CALLS; i++) {
		begin = ticks_now();
		ticks[i] = (uint32_t)(ticks_now() - begin);
	}
	latency_print("the clock itself, in all of these", ticks, CLOCK_CALLS);
	room_close(ticks, bytes);
}
