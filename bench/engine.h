/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

/*
 * A map of online blocks for the benchmarks.  Its frames are address space
 * and nothing more unless a loop touches them, so that what is measured is
 * the engine alone.
 */

#include <coldframe/coldframe.h>

#include "bench/measure.h"
#include "port/host/host.h"

#define BLOCK_FRAMES	((cf_pfn)1 << CF_BLOCK_ORDER_MAX)
#define FRAMES_1GIB	((cf_pfn)1 << 18)
#define FRAMES_8GIB	((cf_pfn)1 << 21)
#define FRAMES_1TIB	((cf_pfn)1 << 28)

#define OFFLINE_PASSES	16

/* The one map there is at a time. */
extern struct engine {
	struct cf_host_memory memory;
	struct cf_map *map;
	uint32_t owner;		/* of offline frames; has no hooks */
	uint32_t freeing;	/* of runs; its release hook says FREE */
	uint32_t keeping;	/* of runs; its release hook says KEEP */
} engine;

/* Stop the process with a word on what failed. */
_Noreturn void engine_die(const char *what, int err);

/* What the system is asked for. */
enum engine_pages {
	ENGINE_SMALL,		/* 4 KiB pages everywhere */
	ENGINE_HUGE_META,	/* 2 MiB pages behind metadata */
	ENGINE_HUGE,		/* and behind frames */
};

/* A map with blocks [0, frames), offline. Dies when that is not possible. */
void engine_create(cf_pfn frames, enum engine_pages pages);

/* The same without caches of CPUs: each call goes to a block. */
void engine_create_uncached(cf_pfn frames, enum engine_pages pages);

void engine_online(enum cf_zone_kind kind);

/*
 * Take every frame once and free it, so that no row pays for the first touch
 * of metadata, which on a virtual machine takes milliseconds.
 */
void engine_warm(void);

/* All blocks offline and removed, the map gone. Every frame must be free. */
void engine_destroy(void);

/* Empty all caches. */
void engine_drain(void);

/* After a refusal: is a free run there that fits, in zone NORMAL? */
bool engine_run_fits(unsigned order);

/* A thread of a case becomes a context, and gives that up again. */
void engine_enter(struct worker *worker);
void engine_leave(struct worker *worker);

/* cf_alloc() of a kernel run. */
static inline int engine_try_take(unsigned order, cf_pfn *ret_pfn)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_KERNEL,
	};

	return cf_alloc(engine.map, request, ret_pfn);
}

/* The same where it must succeed. */
static inline cf_pfn engine_take(unsigned order)
{
	cf_pfn pfn;
	int err = engine_try_take(order, &pfn);

	if (__builtin_expect(err != 0, 0))
		engine_die("alloc", err);
	return pfn;
}

#endif
