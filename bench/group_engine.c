/* SPDX-License-Identifier: MIT */
/* The engine alone: calls that can be repeated, by the number of CPUs. */
#include "bench/engine.h"
#include "bench/groups.h"
#include "bench/ops.h"

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
