/* SPDX-License-Identifier: MIT */
/* The engine: the loops all allocators run, and those only it can. */
#include <string.h>

#include "bench/engine.h"
#include "bench/groups.h"

#define OFFLINE_PASSES	16

static struct engine engine;

static inline uint64_t take(unsigned order)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_KERNEL,
	};
	cf_pfn pfn;
	int err = cf_alloc(engine.map, request, &pfn);

	if (__builtin_expect(err != 0, 0))
		engine_die("alloc", err);
	return pfn;
}

static inline void give(uint64_t handle, unsigned order)
{
	(void)order;
	cf_put(engine.map, handle);
}

#include "bench/loops.inc"

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

static const struct bench_case engine_case = {
	.count = 1,
	.enter = enter,
	.leave = leave,
};

static void run(const struct phase *phases, unsigned count,
		struct load *load, unsigned threads, unsigned samples)
{
	struct bench_case bench = engine_case;

	bench.phases = phases;
	bench.count = count;
	bench.context = load;
	measure_print(&bench, threads, samples);
}

/* Frozen runs, and runs with an owner that lets them go. */

static uint64_t loop_pairs_frozen(struct worker *worker)
{
	const struct load *load = load_of(worker);
	const struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.flags = CF_ALLOC_FROZEN,
	};
	uint64_t left;
	cf_pfn pfn;
	int err;

	for (left = load->pairs; left > 0; left--) {
		err = cf_alloc(engine.map, request, &pfn);
		if (__builtin_expect(err != 0, 0))
			engine_die("alloc", err);
		cf_free_frozen(engine.map, pfn, 0);
	}
	return load->pairs;
}

static uint64_t loop_pairs_owned(struct worker *worker)
{
	const struct load *load = load_of(worker);
	const struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)engine.freeing,
	};
	uint64_t left;
	cf_pfn pfn;
	int err;

	for (left = load->pairs; left > 0; left--) {
		err = cf_alloc(engine.map, request, &pfn);
		if (__builtin_expect(err != 0, 0))
			engine_die("alloc", err);
		cf_put(engine.map, pfn);
	}
	return load->pairs;
}

/* References of a frame this thread holds. */

static uint64_t loop_get_put(struct worker *worker)
{
	const struct load *load = load_of(worker);
	cf_pfn pfn = take(0);
	uint64_t left;

	for (left = load->pairs; left > 0; left--) {
		if (cf_get(engine.map, pfn))
			engine_die("get", CF_ELIMIT);
		cf_put(engine.map, pfn);
	}
	give(pfn, 0);
	return load->pairs;
}

static uint64_t loop_try_get_put(struct worker *worker)
{
	const struct load *load = load_of(worker);
	cf_pfn pfn = take(0);
	uint64_t left;

	for (left = load->pairs; left > 0; left--) {
		if (cf_try_get(engine.map, pfn))
			engine_die("try_get", CF_ELIMIT);
		cf_put(engine.map, pfn);
	}
	give(pfn, 0);
	return load->pairs;
}

static const struct phase phases_variants[] = {
	{ "alloc+free pair, frozen", loop_pairs_frozen },
	{ "alloc+free pair, with an owner", loop_pairs_owned },
	{ "get+put", loop_get_put },
	{ "try_get+put", loop_try_get_put },
};

static const struct phase phases_half_full[] = {
	{ NULL, loop_take_all },
	{ "alloc+free pair, 4 KiB, half full", loop_pairs },
	{ NULL, loop_give_all },
};

static const struct phase phases_bulk_8gib[] = PHASES_BULK("8 GiB of 4 KiB");
static const struct phase phases_bulk_huge[] = PHASES_BULK("8 GiB of 2 MiB");

static void rows_small(unsigned threads, bool quick)
{
	struct load load = { .pairs = quick ? 200000 : 1000000 };

	run(phases_variants, 4, &load, threads, quick ? 3 : 9);
	load.count = FRAMES_8GIB / 2 / threads;
	load_open(&load, threads);
	run(phases_half_full, 3, &load, threads, quick ? 3 : 5);
	load_close(&load);
	if (quick)
		return;
	/* Some stay in the other thread's cache: leave it a little. */
	load.count = (FRAMES_8GIB - BLOCK_FRAMES) / threads;
	load_open(&load, threads);
	run(phases_bulk_8gib, PHASES_BULK_COUNT(threads), &load, threads, 5);
	load_close(&load);
}

static void rows_huge(unsigned threads, bool quick)
{
	static const char *const names[] = {
		"alloc+free pair, order 10", "alloc+free pair, order 11",
		"alloc+free pair, order 12", "alloc+free pair, order 13",
		"alloc+free pair, order 14", "alloc+free pair, order 15",
	};
	struct load load = { .pairs = quick ? 5000 : 20000, .order = 9 };
	struct phase phase = { NULL, loop_pairs };

	load.count = (FRAMES_8GIB - BLOCK_FRAMES) / CF_CHUNK_FRAMES / threads;
	load_open(&load, threads);
	run(phases_bulk_huge, PHASES_BULK_COUNT(threads), &load, threads,
	    quick ? 3 : 15);
	load_close(&load);
	for (load.order = 10; load.order <= 15; load.order++) {
		phase.name = names[load.order - 10];
		run(&phase, 1, &load, threads, quick ? 3 : 9);
	}
}

/* Threads work in different blocks. */
static cf_pfn first_of(const struct worker *worker)
{
	return worker->thread * (FRAMES_8GIB / worker->threads);
}

/* Take a 2 MiB sub-block offline and give it back: the driver's step. */
static uint64_t loop_subblock(struct worker *worker)
{
	const struct load *load = load_of(worker);
	cf_pfn first = first_of(worker) + CF_CHUNK_FRAMES;
	cf_pfn last = first + CF_CHUNK_FRAMES;
	uint64_t left;
	int err;

	for (left = load->pairs; left > 0; left--) {
		err = cf_offline_alloc_range(engine.map, engine.owner, first,
					     last, 0, NULL);
		if (err)
			engine_die("sub-block offline", err);
		err = cf_offline_free_range(engine.map, engine.owner, first,
					    last);
		if (err)
			engine_die("sub-block free", err);
	}
	return load->pairs;
}

/* The same for any 2 MiB, as a balloon does. */
static uint64_t loop_offline_pair(struct worker *worker)
{
	const struct load *load = load_of(worker);
	uint64_t left;
	cf_pfn pfn;
	int err;

	for (left = load->pairs; left > 0; left--) {
		err = cf_offline_alloc(engine.map, engine.owner, 9, 0, &pfn);
		if (err)
			engine_die("offline", err);
		err = cf_offline_free(engine.map, engine.owner, pfn, 9);
		if (err)
			engine_die("offline free", err);
	}
	return load->pairs;
}

/* Every block of this thread, one by one. */
static uint64_t loop_blocks_offline(struct worker *worker)
{
	const struct load *load = load_of(worker);
	cf_pfn first = first_of(worker);
	uint64_t left;
	int err;

	for (left = load->count; left > 0; left--) {
		err = cf_block_offline(engine.map, first, first + BLOCK_FRAMES,
				       OFFLINE_PASSES, NULL);
		if (err)
			engine_die("block offline", err);
		first += BLOCK_FRAMES;
	}
	return load->count;
}

static uint64_t loop_blocks_online(struct worker *worker)
{
	const struct load *load = load_of(worker);
	cf_pfn first = first_of(worker);
	uint64_t left;
	int err;

	for (left = load->count; left > 0; left--) {
		err = cf_block_online(engine.map, first, first + BLOCK_FRAMES,
				      CF_ZONE_NORMAL, NULL);
		if (err)
			engine_die("block online", err);
		first += BLOCK_FRAMES;
	}
	return load->count;
}

static const struct phase phases_offline[] = {
	{ "2 MiB sub-block: offline+free", loop_subblock },
	{ "any 2 MiB: offline+free", loop_offline_pair },
};

static const struct phase phases_blocks[] = {
	{ "empty 128 MiB block: offline", loop_blocks_offline },
	{ "empty 128 MiB block: online", loop_blocks_online },
};

static void rows_hotplug(unsigned threads, bool quick)
{
	struct load load = { .pairs = quick ? 1000 : 5000 };

	run(phases_offline, 2, &load, threads, quick ? 3 : 9);
	load.count = FRAMES_8GIB / BLOCK_FRAMES / threads;
	run(phases_blocks, 2, &load, threads, quick ? 3 : 9);
}

static const struct phase phases_fenced[] = {
	{ "alloc+free pair, 4 KiB, fenced caches", loop_pairs },
};

/* What the asymmetric barrier saves: the same map without it. */
static void rows_fenced(unsigned threads, bool quick)
{
	struct load load = { .pairs = quick ? 200000 : 1000000 };

	cf_host_set_fenced(true);
	engine_create(&engine, FRAMES_1GIB, true);
	engine_online(&engine);
	run(phases_fenced, 1, &load, threads, quick ? 3 : 9);
	engine_destroy(&engine);
	cf_host_set_fenced(false);
}

int group_engine(bool quick)
{
	unsigned threads;

	for (threads = 1; threads <= THREADS_MAX; threads++) {
		if (threads > cpus_usable())
			break;
		engine_create(&engine, FRAMES_8GIB, true);
		engine_online(&engine);
		shared_rows(engine_case, threads, quick);
		rows_small(threads, quick);
		rows_huge(threads, quick);
		rows_hotplug(threads, quick);
		engine_destroy(&engine);
		rows_fenced(threads, quick);
	}
	return 0;
}
