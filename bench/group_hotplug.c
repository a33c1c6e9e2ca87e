/* SPDX-License-Identifier: MIT */
/*
 * Blocks and sub-blocks offline and online: the engine's part alone, and with
 * the system's beside a bare loop of the same system calls over memory that
 * is there.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "bench/engine.h"
#include "bench/groups.h"

#define FRAMES		(4 * BLOCK_FRAMES)
#define BLOCK_COUNT	(FRAMES / BLOCK_FRAMES)
#define CHUNK_COUNT	(FRAMES / CF_CHUNK_FRAMES)

static cf_pfn first_of(const struct worker *worker)
{
	cf_pfn last = cf_map_config_of(engine.map)->last;

	return last / worker->threads * worker->thread;
}

static cf_pfn last_of(const struct worker *worker)
{
	cf_pfn last = cf_map_config_of(engine.map)->last;

	return last / worker->threads * (worker->thread + 1);
}

/* Every block of this thread, one by one. */
static uint64_t loop_offline(struct worker *worker)
{
	cf_pfn first = first_of(worker), last = last_of(worker), at;
	int err;

	for (at = first; at < last; at += BLOCK_FRAMES) {
		err = cf_block_offline(engine.map, at, at + BLOCK_FRAMES,
				       OFFLINE_PASSES, NULL);
		if (err)
			engine_die("block offline", err);
	}
	return (last - first) / BLOCK_FRAMES;
}

static uint64_t loop_online(struct worker *worker)
{
	cf_pfn first = first_of(worker), last = last_of(worker), at;
	int err;

	for (at = first; at < last; at += BLOCK_FRAMES) {
		err = cf_block_online(engine.map, at, at + BLOCK_FRAMES,
				      CF_ZONE_NORMAL, NULL);
		if (err)
			engine_die("block online", err);
	}
	return (last - first) / BLOCK_FRAMES;
}

static const struct phase phases_logic[] = {
	{ "128 MiB block: offline", loop_offline, 0, false },
	{ "128 MiB block: online", loop_online, 0, false },
};

/* With the system: memory that is there goes, and comes. */

static void *address(cf_pfn pfn)
{
	return engine.memory.base + pfn * CF_FRAME_BYTES;
}

static void populate(cf_pfn first, cf_pfn last)
{
	if (madvise(address(first), (last - first) * CF_FRAME_BYTES,
		    MADV_POPULATE_WRITE))
		engine_die("MADV_POPULATE_WRITE", -CF_EPORT);
}

static void discard(cf_pfn first, cf_pfn last)
{
	if (cf_host_discard(&engine.memory, first, last))
		engine_die("discard", -CF_EPORT);
}

static void dontneed(cf_pfn first, cf_pfn last)
{
	if (madvise(address(first), (last - first) * CF_FRAME_BYTES,
		    MADV_DONTNEED))
		engine_die("MADV_DONTNEED", -CF_EPORT);
}

static uint64_t loop_subblocks_give(struct worker *worker)
{
	cf_pfn at;
	int err;

	(void)worker;
	for (at = 0; at < FRAMES; at += CF_CHUNK_FRAMES) {
		err = cf_offline_alloc_range(engine.map, engine.owner, at,
					     at + CF_CHUNK_FRAMES, 0, NULL);
		if (err)
			engine_die("sub-block offline", err);
		discard(at, at + CF_CHUNK_FRAMES);
	}
	return CHUNK_COUNT;
}

static uint64_t loop_subblocks_take(struct worker *worker)
{
	cf_pfn at;
	int err;

	(void)worker;
	for (at = 0; at < FRAMES; at += CF_CHUNK_FRAMES) {
		populate(at, at + CF_CHUNK_FRAMES);
		err = cf_offline_free_range(engine.map, engine.owner, at,
					    at + CF_CHUNK_FRAMES);
		if (err)
			engine_die("sub-block free", err);
	}
	return CHUNK_COUNT;
}

static uint64_t loop_blocks_give(struct worker *worker)
{
	cf_pfn at;
	int err;

	(void)worker;
	for (at = 0; at < FRAMES; at += BLOCK_FRAMES) {
		err = cf_block_offline(engine.map, at, at + BLOCK_FRAMES,
				       OFFLINE_PASSES, NULL);
		if (err)
			engine_die("block offline", err);
		discard(at, at + BLOCK_FRAMES);
	}
	return BLOCK_COUNT;
}

static uint64_t loop_blocks_take(struct worker *worker)
{
	cf_pfn at;
	int err;

	(void)worker;
	for (at = 0; at < FRAMES; at += BLOCK_FRAMES) {
		populate(at, at + BLOCK_FRAMES);
		err = cf_block_online(engine.map, at, at + BLOCK_FRAMES,
				      CF_ZONE_NORMAL, NULL);
		if (err)
			engine_die("block online", err);
	}
	return BLOCK_COUNT;
}

/* The same calls to the system, and nothing else; in pieces of an order. */

static uint64_t loop_bare_give(struct worker *worker)
{
	cf_pfn size = (cf_pfn)1 << worker->argument, at;

	for (at = 0; at < FRAMES; at += size)
		dontneed(at, at + size);
	return FRAMES / size;
}

static uint64_t loop_bare_take(struct worker *worker)
{
	cf_pfn size = (cf_pfn)1 << worker->argument, at;

	for (at = 0; at < FRAMES; at += size)
		populate(at, at + size);
	return FRAMES / size;
}

/*
 * Memory goes to the system and comes back: a round trip, which begins and
 * ends with all of it there.  Trips are made in another order each round, so
 * that neither a drift nor what ran before favours one of them.
 */
#define TRIP_SAMPLES		41u
#define TRIP_SAMPLES_QUICK	3u

/* The samples of one way. */
struct series {
	double values[TRIP_SAMPLES];
	unsigned taken, retaken;
};

static struct trip {
	const char *give_row, *take_row;
	uint64_t (*give)(struct worker *worker);
	uint64_t (*take)(struct worker *worker);
	unsigned order;			/* of the bare loops */
	unsigned bare;			/* trip it is held against, or itself */
	struct series given, taken;
} trips[] = {
	{ "bare loop: 2 MiB to the system", "bare loop: 2 MiB from the system",
	  loop_bare_give, loop_bare_take, 9, 0, { { 0 }, 0, 0 },
	  { { 0 }, 0, 0 } },
	{ "2 MiB: offline, memory to the system",
	  "2 MiB: memory from the system, free", loop_subblocks_give,
	  loop_subblocks_take, 9, 0, { { 0 }, 0, 0 }, { { 0 }, 0, 0 } },
	{ "bare loop: 128 MiB to the system",
	  "bare loop: 128 MiB from the system", loop_bare_give,
	  loop_bare_take, 15, 2, { { 0 }, 0, 0 }, { { 0 }, 0, 0 } },
	{ "128 MiB: offline, memory to the system",
	  "128 MiB: memory from the system, online", loop_blocks_give,
	  loop_blocks_take, 15, 2, { { 0 }, 0, 0 }, { { 0 }, 0, 0 } },
};

#define TRIPS	ARRAY_COUNT(trips)

static unsigned trip_samples(void)
{
	if (bench_sketch)
		return 1;
	return bench_quick ? TRIP_SAMPLES_QUICK : TRIP_SAMPLES;
}

/* A sample of one way; @series NULL: it is not counted. */
static void way(uint64_t (*body)(struct worker *worker), unsigned order,
		struct series *series)
{
	struct worker worker = { .threads = 1, .argument = order };
	uint64_t wall = clock_wall_ns(), cpu = clock_cpu_ns();
	uint64_t count = body(&worker);

	cpu = clock_cpu_ns() - cpu;
	wall = clock_wall_ns() - wall;
	if (!series || series->taken == trip_samples())
		return;
	if (wall > cpu && (wall - cpu) * 100 > wall * OFF_CORE_PERCENT &&
	    !bench_sketch &&
	    series->retaken < trip_samples() * RETAKES_PER_SAMPLE)
		series->retaken++;
	else
		series->values[series->taken++] = (double)cpu / (double)count;
}

/* Every trip once. False: all have their samples. */
static bool round_trips(uint64_t round)
{
	uint64_t order[TRIPS];
	bool some = false;
	struct trip *trip;
	unsigned i;

	for (i = 0; i < TRIPS; i++)
		order[i] = i;
	shuffle(order, TRIPS, round);
	for (i = 0; i < TRIPS; i++) {
		trip = &trips[order[i]];
		/* The first round warms up. */
		way(trip->give, trip->order, round ? &trip->given : NULL);
		way(trip->take, trip->order, round ? &trip->taken : NULL);
		some |= trip->given.taken < trip_samples() ||
			trip->taken.taken < trip_samples();
	}
	return some;
}

static struct figure series_figure(struct series *series)
{
	struct figure figure = figure_of(series->values, series->taken);

	figure.retaken = series->retaken;
	return figure;
}

static void way_print(const char *row, struct series *series,
		      struct series *bare)
{
	struct figure figure = series_figure(series);
	struct figure than = series_figure(bare);

	cell_print(SECTION_HOTPLUG, row, "1 CPU", &figure);
	if (bare != series)
		ratio_print(SECTION_HOTPLUG, row, "% of bare",
			    than.median / figure.median * 100, &figure, &than);
}

static void rows_system(void)
{
	struct worker worker = { .threads = 1 };
	uint64_t round = bench_sketch;
	unsigned i;

	pin(0);
	engine_enter(&worker);
	populate(0, FRAMES);
	while (round_trips(round))
		round++;
	for (i = 0; i < TRIPS; i++) {
		way_print(trips[i].give_row, &trips[i].given,
			  &trips[trips[i].bare].given);
		way_print(trips[i].take_row, &trips[i].taken,
			  &trips[trips[i].bare].taken);
	}
	engine_leave(&worker);
}

static void run(const struct phase *phases, unsigned count, unsigned threads,
		unsigned samples)
{
	const struct bench_case bench = {
		.section = SECTION_HOTPLUG,
		.phases = phases,
		.count = count,
		.enter = engine_enter,
		.leave = engine_leave,
	};

	measure_print(&bench, threads, samples);
}

int group_hotplug(void)
{
	unsigned threads;

	for (threads = 1; threads <= threads_usable(); threads *= 2) {
		engine_create(FRAMES_8GIB, ENGINE_HUGE_META);
		engine_online(CF_ZONE_NORMAL);
		run(phases_logic, ARRAY_COUNT(phases_logic), threads,
		    bench_quick ? 3 : 15);
		engine_destroy();
	}
	engine_create(FRAMES, ENGINE_HUGE);
	engine_online(CF_ZONE_NORMAL);
	rows_system();
	engine_destroy();
	return 0;
}
