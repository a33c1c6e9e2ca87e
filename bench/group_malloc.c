/* SPDX-License-Identifier: MIT */
/* malloc() and free() of whichever library the process was started with. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/groups.h"

#define FRAME_BYTES	((size_t)4096)

static inline uint64_t take(unsigned order)
{
	void *memory = malloc(FRAME_BYTES << order);

	if (!memory) {
		(void)fprintf(stderr, "bench: malloc failed\n");
		exit(1);
	}
	return (uintptr_t)memory;
}

static inline void give(uint64_t handle, unsigned order)
{
	(void)order;
	free((void *)(uintptr_t)handle);
}

#include "bench/loops.inc"

/* Is malloc() the one asked for? A library that is missing is not preloaded. */
static bool malloc_is(const char *library)
{
	void *address = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;

	return address && dladdr(address, &info) && info.dli_fname &&
	       strstr(info.dli_fname, library);
}

int group_malloc(const char *library, bool quick)
{
	const struct bench_case bench = { .phases = NULL };
	unsigned threads;

	if (!malloc_is(library)) {
		(void)fprintf(stderr, "bench: malloc is not %s's\n", library);
		return 2;
	}
	for (threads = 1; threads <= THREADS_MAX; threads++)
		if (threads <= cpus_usable())
			shared_rows(bench, threads, quick);
	return 0;
}
