/* SPDX-License-Identifier: MIT */
/*
 * The engine alone: calls that can be repeated, by the number of CPUs, and
 * with one CPU by the size of memory.
 */
#include <string.h>

#include "bench/engine.h"
#include "bench/groups.h"
#include "bench/ops.h"

#define ROWS_MAX	32

static const struct bench_case engine_case = {
	.section = SECTION_ENGINE,
	.enter = engine_enter,
	.leave = engine_leave,
};

static unsigned samples(void)
{
	return bench_quick ? 3 : 9;
}

static void run(const struct op_table *table, unsigned threads)
{
	struct bench_case bench = engine_case;

	bench.phases = table->phases;
	bench.count = table->count;
	measure_print(&bench, threads, samples());
}

/* Each row of its own, so that none finds caches as another left them. */
static void run_each(const struct op_table *table, unsigned threads)
{
	struct op_table one = { NULL, 1 };
	unsigned i;

	for (i = 0; i < table->count; i++) {
		one.phases = &table->phases[i];
		run(&one, threads);
		engine_drain();
	}
}

/* What the asymmetric barrier saves: the same map without it. */
static void rows_fenced(unsigned threads)
{
	struct phase fenced = ops_empty.phases[0];
	const struct op_table table = { &fenced, 1 };

	fenced.name = "alloc+free pair, 4 KiB, fenced caches";
	cf_host_set_fenced(true);
	engine_create(FRAMES_1GIB, ENGINE_HUGE_META);
	engine_online(CF_ZONE_NORMAL);
	run(&table, threads);
	engine_destroy();
	cf_host_set_fenced(false);
}

int group_engine(void)
{
	unsigned threads;

	for (threads = 1; threads <= threads_usable(); threads *= 2) {
		engine_create(FRAMES_8GIB, ENGINE_HUGE_META);
		engine_online(CF_ZONE_NORMAL);
		engine_warm();
		run_each(&ops_empty, threads);
		run_each(&ops_many, threads);
		run(&ops_balloon, threads);
		engine_drain();
		run(&ops_refs_own, threads);
		if (threads > 1)
			run(&ops_refs_shared, threads);
		engine_destroy();
		rows_fenced(threads);
	}
	return 0;
}

/* The same calls where there is more memory. */

/* What one size took, so that the next can be held against it. */
static struct {
	const char *name;
	double ns;
} before[ROWS_MAX];

static void size_print(const char *name, const char *column,
		       const struct figure *figure)
{
	unsigned i;

	cell_print(SECTION_SIZES, name, column, figure);
	for (i = 0; i < ROWS_MAX && before[i].name; i++) {
		if (strcmp(before[i].name, name))
			continue;
		value_print(SECTION_SIZES, name, "ratio",
			    figure->median / before[i].ns);
		return;
	}
	if (i < ROWS_MAX) {
		before[i].name = name;
		before[i].ns = figure->median;
	}
}

static void size_run(const struct op_table *table, const char *column)
{
	struct bench_case bench = engine_case;
	struct figure figure;
	unsigned i;

	for (i = 0; i < table->count; i++) {
		bench.phases = &table->phases[i];
		bench.count = 1;
		measure(&bench, 1, samples(), &figure);
		size_print(table->phases[i].name, column, &figure);
		engine_drain();
	}
}

/* Take runs of an order until there are none. Returns how many. */
static uint64_t fill(cf_pfn *pfns, unsigned order)
{
	uint64_t count = 0;

	while (engine_try_take(order, &pfns[count]) == 0)
		count++;
	engine_drain();
	return count;
}

/* All memory is taken as runs of 1 GiB, but the last one as 2 MiB. */
static void size_run_full(const char *column)
{
	uint64_t room = cf_map_config_of(engine.map)->last / FRAMES_1GIB +
			2 * CF_CHUNK_FRAMES;
	cf_pfn *pfns = room_open(room * sizeof(*pfns));
	uint64_t count = fill(pfns, CF_MAX_ORDER);

	cf_put(engine.map, pfns[--count]);
	count += fill(pfns + count, CF_CHUNK_ORDER);
	size_run(&ops_failing, column);
	cf_put(engine.map, pfns[--count]);
	size_run(&ops_last, column);
	while (count > 0)
		cf_put(engine.map, pfns[--count]);
	room_close(pfns, room * sizeof(*pfns));
	engine_drain();
}

int group_sizes(void)
{
	static const struct {
		const char *column;
		cf_pfn frames;
	} sizes[] = { { "8 GiB", FRAMES_8GIB }, { "1 TiB", FRAMES_1TIB } };
	size_t i;

	for (i = 0; i < ARRAY_COUNT(sizes); i++) {
		engine_create(sizes[i].frames, ENGINE_HUGE_META);
		engine_online(CF_ZONE_NORMAL);
		size_run(&ops_empty, sizes[i].column);
		size_run_full(sizes[i].column);
		engine_destroy();
	}
	return 0;
}
