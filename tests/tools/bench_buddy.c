/* SPDX-License-Identifier: MIT */
/*
 * The buddy rule that fragmentation is held against is one: no two runs
 * overlap, all of them are aligned, and what is freed joins again.
 */
#include <string.h>

#include "bench/buddy.h"
#include "bench/measure.h"
#include "tests/tap.h"

#define FRAMES		((uint64_t)1 << (BUDDY_ORDERS - 1))
#define LARGEST		(BUDDY_ORDERS - 1)
#define HELD_MAX	4096u
#define ROUNDS		200000u

static struct buddy buddy;
static uint8_t taken[FRAMES];

struct run {
	uint64_t first;
	unsigned order;
};

static struct run held[HELD_MAX];
static unsigned held_count;

/* Mark a run; false: a frame of it was marked so before. */
static bool mark(const struct run *run, uint8_t value)
{
	uint64_t size = (uint64_t)1 << run->order, i;

	for (i = 0; i < size; i++)
		if (taken[run->first + i] == value)
			return false;
	memset(taken + run->first, value, size);
	return true;
}

static void take(unsigned order)
{
	struct run *run = &held[held_count];

	run->order = order;
	if (!buddy_alloc(&buddy, order, &run->first))
		return;
	held_count++;
	CHECK(run->first % ((uint64_t)1 << order) == 0);
	CHECK(run->first + ((uint64_t)1 << order) <= FRAMES);
	CHECK(mark(run, 1));
}

static void give(unsigned at)
{
	CHECK(mark(&held[at], 0));
	buddy_free(&buddy, held[at].first, held[at].order);
	held[at] = held[--held_count];
}

static void keeps_runs_apart(void)
{
	uint64_t state = 1, number;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		number = random_next(&state) >> 8;
		if (held_count == HELD_MAX || (held_count && number & 1))
			give((unsigned)(number >> 4) % held_count);
		else
			take((unsigned)(number >> 4) % 12);
	}
	CHECK(held_count > 0);
}

static void joins_what_is_freed(void)
{
	while (held_count > 0)
		give(held_count - 1);
	CHECK(buddy_free_runs(&buddy, LARGEST) == 1);
	CHECK(buddy_free_runs(&buddy, 9) == FRAMES >> 9);
}

static void refuses_what_does_not_fit(void)
{
	uint64_t first, other;

	CHECK(buddy_alloc(&buddy, 0, &first));
	CHECK(!buddy_alloc(&buddy, LARGEST, &other));
	CHECK(buddy_free_runs(&buddy, LARGEST) == 0);
	CHECK(buddy_free_runs(&buddy, 9) == (FRAMES >> 9) - 1);
	buddy_free(&buddy, first, 0);
	CHECK(buddy_free_runs(&buddy, LARGEST) == 1);
}

int main(void)
{
	buddy_open(&buddy, FRAMES);
	tap_run("keeps runs apart", keeps_runs_apart);
	tap_run("joins what is freed", joins_what_is_freed);
	tap_run("refuses what does not fit", refuses_what_does_not_fit);
	buddy_close(&buddy);
	return tap_done();
}
