/* SPDX-License-Identifier: MIT */
/*
 * Everything is taken, some of it is freed at random, and that is taken
 * again: what it costs to find the last of it.
 */
#include "bench/engine.h"
#include "bench/groups.h"

/* Runs that are held, one more than there are. */
static struct {
	cf_pfn *pfns;
	uint64_t count;
	uint64_t part;		/* how many of them are freed, and taken */
	uint64_t shuffles;
} hold;

static void fill(unsigned order)
{
	hold.count = 0;
	while (engine_try_take(order, &hold.pfns[hold.count]) == 0)
		hold.count++;
}

static void empty(void)
{
	while (hold.count > 0)
		cf_put(engine.map, hold.pfns[--hold.count]);
	engine_drain();
}

static uint64_t loop_free_some(struct worker *worker)
{
	uint64_t left;

	(void)worker;
	shuffle(hold.pfns, hold.count, ++hold.shuffles);
	for (left = hold.part; left > 0; left--)
		cf_put(engine.map, hold.pfns[--hold.count]);
	engine_drain();
	return 0;
}

static uint64_t loop_take_some(struct worker *worker)
{
	uint64_t left;

	for (left = hold.part; left > 0; left--)
		hold.pfns[hold.count++] = engine_take(worker->argument);
	return hold.part;
}

static const struct phase phases_small[] = {
	{ .body = loop_free_some },
	{ "0.1 % free at random: alloc 4 KiB", loop_take_some, 0, false },
};

static const struct phase phases_one[] = {
	{ .body = loop_free_some },
	{ "1 % free at random: alloc 4 KiB", loop_take_some, 0, false },
};

static const struct phase phases_huge[] = {
	{ .body = loop_free_some },
	{ "5 % of its 2 MiB free: alloc 2 MiB", loop_take_some, 9, false },
};

static void run(const struct phase *phases, uint64_t part, unsigned samples)
{
	const struct bench_case bench = {
		.section = SECTION_SCARCE,
		.column = "8 GiB",
		.phases = phases,
		.count = 2,
		.enter = engine_enter,
		.leave = engine_leave,
	};

	hold.part = part;
	measure_print(&bench, 1, samples);
}

int group_scarce(void)
{
	uint64_t bytes = (FRAMES_8GIB + 1) * sizeof(*hold.pfns);

	hold.pfns = room_open(bytes);
	engine_create(FRAMES_8GIB, ENGINE_HUGE_META);
	engine_online(CF_ZONE_NORMAL);
	fill(0);
	run(phases_one, FRAMES_8GIB / 100, bench_quick ? 3 : 15);
	run(phases_small, FRAMES_8GIB / 1000, bench_quick ? 3 : 15);
	empty();
	fill(CF_CHUNK_ORDER);
	run(phases_huge, FRAMES_8GIB / CF_CHUNK_FRAMES / 20,
	    bench_quick ? 9 : 31);
	empty();
	engine_destroy();
	room_close(hold.pfns, bytes);
	return 0;
}
