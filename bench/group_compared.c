/* SPDX-License-Identifier: MIT */
/* coldframe in the rows that every allocator has: 8 GiB, one zone. */
#include "bench/engine.h"

static inline bool take(unsigned thread, unsigned order, uint64_t *ret_handle)
{
	(void)thread;
	return engine_try_take(order, ret_handle) == 0;
}

static inline void give(unsigned thread, uint64_t handle, unsigned order)
{
	(void)thread;
	(void)order;
	cf_put(engine.map, handle);
}

static void reset(void)
{
	engine_drain();
}

static bool (*const run_fits)(unsigned order) = engine_run_fits;

#include "bench/loops.inc"

static const struct phase phases_bulk_8gib[] = PHASES_BULK("8 GiB of 4 KiB");
static const struct phase phases_bulk_huge[] = PHASES_BULK("8 GiB of 2 MiB");

#define BATCH	512u

static uint64_t batch_at(const struct load *load, uint64_t at)
{
	return load->room - at < BATCH ? load->room - at : BATCH;
}

static uint64_t loop_take_many(struct worker *worker)
{
	const struct cf_request request = { .type = CF_TYPE_KERNEL };
	const struct load *load = load_of(worker);
	uint64_t *handles = hold_of(worker)->handles;
	uint64_t i, batch;
	size_t done;
	int err;

	for (i = 0; i < load->room; i += batch) {
		batch = batch_at(load, i);
		err = cf_alloc_bulk(engine.map, request, batch, handles + i,
				    &done);
		if (err)
			engine_die("alloc_bulk", err);
	}
	return load->room;
}

static uint64_t loop_give_many(struct worker *worker)
{
	const struct load *load = load_of(worker);
	const uint64_t *handles = hold_of(worker)->handles;
	uint64_t i, batch;

	for (i = 0; i < load->room; i += batch) {
		batch = batch_at(load, i);
		cf_put_bulk(engine.map, handles + i, batch);
	}
	return load->room;
}

static const struct phase phases_many[] = {
	{ .name = "8 GiB of 4 KiB: alloc all, 512 at once",
	  .body = loop_take_many },
	{ .name = "8 GiB of 4 KiB: free in order, 512 at once",
	  .body = loop_give_many },
	{ .body = loop_take_many },
	{ .body = loop_shuffle_own },
	{ .name = "8 GiB of 4 KiB: free own at random, 512 at once",
	  .body = loop_give_many },
};

static void rows_many(struct bench_case bench, unsigned threads)
{
	bench.phases = phases_many;
	bench.count = ARRAY_COUNT(phases_many);
	rows_bulk(bench, threads, LOOP_FRAMES - BLOCK_FRAMES, 0,
		  bench_quick ? 1 : 5);
}

/* The bulk rows again, for all there is; in the engine's own section. */
static void rows_bulk_all(struct bench_case bench)
{
	unsigned threads;

	bench.section = SECTION_ENGINE;
	bench.column = NULL;
	/* Some stay in the other threads' caches: leave them a block. */
	for (threads = 1; threads <= threads_usable(); threads *= 2) {
		bench.phases = phases_bulk_8gib;
		rows_bulk(bench, threads, LOOP_FRAMES - BLOCK_FRAMES, 0,
			  bench_quick ? 1 : 5);
		bench.phases = phases_bulk_huge;
		rows_bulk(bench, threads, LOOP_FRAMES - BLOCK_FRAMES,
			  LOOP_ORDER_HUGE, bench_quick ? 3 : 15);
		rows_many(bench, threads);
	}
}

int group_compared(void)
{
	const struct bench_case bench = {
		.column = COLUMN_COLDFRAME,
		.enter = engine_enter,
		.leave = engine_leave,
	};

	engine_create(LOOP_FRAMES, ENGINE_HUGE_META);
	engine_online(CF_ZONE_NORMAL);
	engine_warm();
	rows_shared(bench, CF_MAX_ORDER);
	rows_bulk_all(bench);
	engine_destroy();
	latency_print_clock();
	return 0;
}
