/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

/*
 * A map of online blocks for the benchmarks.  Its frames are address space
 * and nothing more: no loop touches one, so that what is measured is the
 * engine alone.
 */

#include <coldframe/coldframe.h>

#include "bench/measure.h"
#include "port/host/host.h"

#define BLOCK_FRAMES	((cf_pfn)1 << CF_BLOCK_ORDER_MAX)
#define FRAMES_1GIB	((cf_pfn)1 << 18)
#define FRAMES_8GIB	((cf_pfn)1 << 21)
#define FRAMES_1TIB	((cf_pfn)1 << 28)

struct engine {
	struct cf_host_memory memory;
	struct cf_map *map;
	uint32_t owner;		/* of offline frames; has no hooks */
	uint32_t freeing;	/* of runs; its release hook says FREE */
};

/* Stop the process with a word on what failed. */
_Noreturn void engine_die(const char *what, int err);

/* A map with blocks [0, frames), offline. Dies when that is not possible. */
void engine_create(struct engine *engine, cf_pfn frames, bool huge_meta);
void engine_online(struct engine *engine);

/* All blocks offline and removed, the map gone. Every frame must be free. */
void engine_destroy(struct engine *engine);

#endif
