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

static uint64_t loop_populate_all(struct worker *worker)
{
	(void)worker;
	populate(0, FRAMES);
	return 0;
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

static const struct phase phases_system[] = {
	{ .body = loop_populate_all },
	{ "2 MiB: offline, memory to the system", loop_subblocks_give, 0,
	  false },
	{ "2 MiB: memory from the system, free", loop_subblocks_take, 0,
	  false },
	{ "bare loop: 2 MiB to the system", loop_bare_give, 9, false },
	{ "bare loop: 2 MiB from the system", loop_bare_take, 9, false },
	{ "128 MiB: offline, memory to the system", loop_blocks_give, 0,
	  false },
	{ "128 MiB: memory from the system, online", loop_blocks_take, 0,
	  false },
	{ "bare loop: 128 MiB to the system", loop_bare_give, 15, false },
	{ "bare loop: 128 MiB from the system", loop_bare_take, 15, false },
};

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
	run(phases_system, ARRAY_COUNT(phases_system), 1,
	    bench_quick ? 2 : 9);
	engine_destroy();
	return 0;
}
