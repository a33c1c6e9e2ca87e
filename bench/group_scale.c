/* SPDX-License-Identifier: MIT */
/*
 * How the engine does when memory is scarce, large, or cut into pieces; one
 * thread.  Rows in bytes are so named.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/engine.h"
#include "bench/groups.h"

#define ORDER_HUGE	9u
#define MIXED_ORDERS	10u		/* 0..9 */
#define MIXED_PERCENT	90u

/* Runs that are held, and what the phases do with them. */
struct hold {
	cf_pfn *pfns;		/* room for one a frame at most */
	uint8_t *orders;	/* MIXED only */
	uint64_t count;
	uint64_t part;		/* how many of them a phase frees */
	uint64_t rounds;
	uint64_t refused;	/* though a run would have fitted */
	uint64_t state;		/* of the random numbers */
};

static struct engine engine;

static struct hold *hold_of(const struct worker *worker)
{
	return worker->context;
}

static void hold_open(struct hold *hold, uint64_t room)
{
	memset(hold, 0, sizeof(*hold));
	hold->state = 1;
	hold->pfns = malloc(room * sizeof(*hold->pfns));
	hold->orders = malloc(room);
	if (!hold->pfns || !hold->orders)
		engine_die("handles", -CF_ENOMEM);
	/* Touched, and not by zeroes, which calloc() would have untouched. */
	memset(hold->pfns, 0xff, room * sizeof(*hold->pfns));
	memset(hold->orders, 0, room);
}

static void hold_close(struct hold *hold)
{
	while (hold->count > 0)
		cf_put(engine.map, hold->pfns[--hold->count]);
	free(hold->pfns);
	free(hold->orders);
}

static int try_take(unsigned order, cf_pfn *ret_pfn)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_KERNEL,
	};

	return cf_alloc(engine.map, request, ret_pfn);
}

/* Take runs of an order until there are none. */
static void fill(struct hold *hold, unsigned order)
{
	while (try_take(order, &hold->pfns[hold->count]) == 0)
		hold->count++;
}

static void drain(void)
{
	int err = cf_drain(engine.map);

	if (err)
		engine_die("drain", err);
}

static void enter(struct worker *worker)
{
	(void)worker;
	(void)cf_host_enter();
}

static void leave(struct worker *worker)
{
	(void)worker;
	cf_host_leave(engine.map);
}

static void run(const struct phase *phases, unsigned count, struct hold *hold,
		unsigned samples)
{
	const struct bench_case bench = {
		.phases = phases,
		.count = count,
		.enter = enter,
		.leave = leave,
		.context = hold,
	};

	measure_print(&bench, 1, samples);
}

static void print_value(const char *name, double value)
{
	struct figure figure = figure_of(&value, 1);

	row_print(name, 1, &figure);
}

/* Scarcity: everything taken, some of it freed at random and taken again. */

static uint64_t loop_free_some(struct worker *worker)
{
	struct hold *hold = hold_of(worker);
	uint64_t left;

	shuffle(hold->pfns, hold->count, hold->state++);
	for (left = hold->part; left > 0; left--)
		cf_put(engine.map, hold->pfns[--hold->count]);
	drain();
	return 0;
}

static uint64_t take_some(struct hold *hold, unsigned order)
{
	uint64_t left;
	int err;

	for (left = hold->part; left > 0; left--) {
		err = try_take(order, &hold->pfns[hold->count]);
		if (err)
			engine_die("scarce alloc", err);
		hold->count++;
	}
	return hold->part;
}

static uint64_t loop_take_small(struct worker *worker)
{
	return take_some(hold_of(worker), 0);
}

static uint64_t loop_take_huge(struct worker *worker)
{
	return take_some(hold_of(worker), ORDER_HUGE);
}

static const struct phase phases_scarce[] = {
	{ NULL, loop_free_some },
	{ "8 GiB, 0.1 % free at random: alloc 4 KiB", loop_take_small },
};

static const struct phase phases_scarce_huge[] = {
	{ NULL, loop_free_some },
	{ "8 GiB, 5 % of its 2 MiB free: alloc 2 MiB", loop_take_huge },
};

static void rows_scarce(bool quick)
{
	struct hold hold;
	uint64_t before;

	hold_open(&hold, FRAMES_8GIB + 1);
	before = cf_host_resident_bytes();
	engine_create(&engine, FRAMES_8GIB, false);
	engine_online(&engine);
	fill(&hold, 0);
	print_value("8 GiB split: metadata, BYTES a frame",
		    (double)(cf_host_resident_bytes() - before) / FRAMES_8GIB);
	hold.part = FRAMES_8GIB / 1000;
	run(phases_scarce, 2, &hold, quick ? 3 : 15);
	hold_close(&hold);
	drain();
	hold_open(&hold, FRAMES_8GIB / CF_CHUNK_FRAMES + 1);
	fill(&hold, ORDER_HUGE);
	hold.part = FRAMES_8GIB / CF_CHUNK_FRAMES / 20;
	run(phases_scarce_huge, 2, &hold, quick ? 3 : 31);
	hold_close(&hold);
	engine_destroy(&engine);
}

/* A full map: an allocation that must fail, and one that just succeeds. */

static uint64_t loop_fail(struct worker *worker)
{
	struct hold *hold = hold_of(worker);
	uint64_t left;
	cf_pfn pfn;

	for (left = hold->rounds; left > 0; left--)
		if (try_take(0, &pfn) != -CF_ENOMEM)
			engine_die("failing alloc", 0);
	return hold->rounds;
}

static uint64_t loop_last_huge(struct worker *worker)
{
	struct hold *hold = hold_of(worker);
	uint64_t left;
	cf_pfn pfn;
	int err;

	for (left = hold->rounds; left > 0; left--) {
		err = try_take(ORDER_HUGE, &pfn);
		if (err)
			engine_die("last 2 MiB", err);
		cf_put(engine.map, pfn);
	}
	return hold->rounds;
}

static uint64_t loop_free_last(struct worker *worker)
{
	struct hold *hold = hold_of(worker);

	cf_put(engine.map, hold->pfns[--hold->count]);
	return 0;
}

static uint64_t loop_take_last(struct worker *worker)
{
	struct hold *hold = hold_of(worker);

	hold->part = 1;
	(void)take_some(hold, ORDER_HUGE);
	return 0;
}

#define PHASES_FULL(size)						\
{									\
	{ size " full: failing alloc of 4 KiB", loop_fail },		\
	{ NULL, loop_free_last },					\
	{ size ": the last free 2 MiB, alloc+free", loop_last_huge },	\
	{ NULL, loop_take_last },					\
}

static const struct phase phases_full_8gib[] = PHASES_FULL("8 GiB");
static const struct phase phases_full_1tib[] = PHASES_FULL("1 TiB");

/* Fill the map with 1 GiB runs but for one GiB, and that with 2 MiB runs. */
static void rows_full(const struct phase *phases, bool quick)
{
	uint64_t frames = cf_map_config_of(engine.map)->last;
	struct hold hold;

	hold_open(&hold, frames / FRAMES_1GIB + 2 * CF_CHUNK_FRAMES);
	fill(&hold, CF_MAX_ORDER);
	cf_put(engine.map, hold.pfns[--hold.count]);
	fill(&hold, ORDER_HUGE);
	drain();
	hold.rounds = quick ? 2000 : 20000;
	run(phases, 4, &hold, quick ? 3 : 9);
	hold_close(&hold);
}

/* A terabyte that nobody touches. */

static uint64_t loop_create(struct worker *worker)
{
	(void)worker;
	engine_create(&engine, FRAMES_1TIB, false);
	return 1;
}

static uint64_t loop_online(struct worker *worker)
{
	(void)worker;
	engine_online(&engine);
	return 1;
}

static uint64_t loop_destroy(struct worker *worker)
{
	(void)worker;
	engine_destroy(&engine);
	return 1;
}

/* Looks at every stretch; returns GiB, not frames. */
static uint64_t loop_walk(struct worker *worker)
{
	cf_pfn cursor = 0;
	cf_pfn last = FRAMES_1TIB;
	struct cf_span span;
	uint64_t frames = 0;

	(void)worker;
	cf_walk_begin(engine.map);
	while (cf_walk_next(engine.map, &cursor, last, &span))
		frames += span.last - span.first;
	cf_walk_end(engine.map);
	if (frames != last)
		engine_die("walk", 0);
	return FRAMES_1TIB / FRAMES_1GIB;
}

static const struct phase phases_life[] = {
	{ "1 TiB: create a map, add its blocks", loop_create },
	{ "1 TiB: online", loop_online },
	{ "1 TiB cold: walk, each GiB", loop_walk },
	{ "1 TiB: offline, remove, destroy", loop_destroy },
};

static void rows_terabyte(bool quick)
{
	const struct bench_case life = { .phases = phases_life, .count = 4 };
	uint64_t before;

	measure_print(&life, 1, quick ? 1 : 2);
	before = cf_host_resident_bytes();
	engine_create(&engine, FRAMES_1TIB, false);
	engine_online(&engine);
	print_value("1 TiB cold: metadata, BYTES a frame",
		    (double)(cf_host_resident_bytes() - before) / FRAMES_1TIB);
	rows_full(phases_full_1tib, quick);
	engine_destroy(&engine);
}

/* Runs of all orders up to 2 MiB, memory nearly full. */

static unsigned random_order(struct hold *hold)
{
	return (unsigned)(random_next(&hold->state) % MIXED_ORDERS);
}

/* A refusal: was there a run that fits? */
static bool fits(unsigned order)
{
	struct cf_zone_stat stat;
	unsigned i;

	if (cf_zone_stat(engine.map, 0, CF_ZONE_NORMAL, &stat))
		return false;
	for (i = order; i <= CF_MAX_ORDER; i++)
		if (stat.runs[i] > 0)
			return true;
	return false;
}

static bool mixed_take(struct hold *hold, uint64_t at)
{
	unsigned order = random_order(hold);

	if (try_take(order, &hold->pfns[at])) {
		hold->refused += fits(order);
		return false;
	}
	hold->orders[at] = (uint8_t)order;
	return true;
}

static uint64_t loop_mixed(struct worker *worker)
{
	struct hold *hold = hold_of(worker);
	uint64_t left, at;

	for (left = hold->rounds; left > 0; left--) {
		at = random_next(&hold->state) % hold->count;
		cf_put(engine.map, hold->pfns[at]);
		if (mixed_take(hold, at))
			continue;
		hold->count--;
		hold->pfns[at] = hold->pfns[hold->count];
		hold->orders[at] = hold->orders[hold->count];
	}
	return hold->rounds;
}

/* Back to where the churn is to be: it wanders a little. */
static uint64_t loop_mixed_level(struct worker *worker)
{
	struct hold *hold = hold_of(worker);
	uint64_t used = 0;
	uint64_t at;

	for (at = 0; at < hold->count; at++)
		used += (uint64_t)1 << hold->orders[at];
	while (used < FRAMES_8GIB * MIXED_PERCENT / 100 &&
	       mixed_take(hold, hold->count))
		used += (uint64_t)1 << hold->orders[hold->count++];
	while (used > FRAMES_8GIB * MIXED_PERCENT / 100) {
		cf_put(engine.map, hold->pfns[--hold->count]);
		used -= (uint64_t)1 << hold->orders[hold->count];
	}
	return 0;
}

static const struct phase phases_mixed[] = {
	{ NULL, loop_mixed_level },
	{ "8 GiB 90 % full, orders 0-9: free+alloc", loop_mixed },
};

static void rows_mixed(bool quick)
{
	struct hold hold;

	engine_create(&engine, FRAMES_8GIB, true);
	engine_online(&engine);
	hold_open(&hold, FRAMES_8GIB);
	hold.rounds = quick ? 20000 : 200000;
	run(phases_mixed, 2, &hold, quick ? 3 : 9);
	print_value("the same: TIMES refused though a run fits",
		    (double)hold.refused);
	hold_close(&hold);
	drain();
	rows_full(phases_full_8gib, quick);
	engine_destroy(&engine);
}

int group_scale(bool quick)
{
	rows_mixed(quick);
	rows_scarce(quick);
	rows_terabyte(quick);
	return 0;
}
