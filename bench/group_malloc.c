/* SPDX-License-Identifier: MIT */
/* malloc() and free() of whichever library the process was started with. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES	((size_t)4096)
#define ORDER_MAX	18

static inline bool take(unsigned thread, unsigned order, uint64_t *ret_handle)
{
	void *memory = malloc(FRAME_BYTES << order);

	(void)thread;
	*ret_handle = (uintptr_t)memory;
	return memory;
}

static inline void give(unsigned thread, uint64_t handle, unsigned order)
{
	(void)thread;
	(void)order;
	free((void *)(uintptr_t)handle);
}

static void reset(void)
{
}

/* It always finds address space. */
static bool (*const run_fits)(unsigned order) = NULL;

#include "bench/loops.inc"

/* Is malloc() the one asked for? A library that is missing is not preloaded. */
static bool malloc_is(const char *library)
{
	void *address = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;

	return address && dladdr(address, &info) && info.dli_fname &&
	       strstr(info.dli_fname, library);
}

int group_malloc(const char *library, const char *column)
{
	const struct bench_case bench = { .column = column };

	if (!malloc_is(library)) {
		(void)fprintf(stderr, "bench: malloc is not %s's\n", library);
		return GROUP_MISSING;
	}
	rows_shared(bench, ORDER_MAX);
	return 0;
}
