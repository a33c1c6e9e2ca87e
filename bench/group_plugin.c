/* SPDX-License-Identifier: MIT */
/* An allocator that came as a shared object; see plugin.h. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/plugin.h"

static struct bench_plugin plugin;

static inline bool take(unsigned thread, unsigned order, uint64_t *ret_handle)
{
	return plugin.alloc(thread, order, ret_handle) == 0;
}

static inline void give(unsigned thread, uint64_t handle, unsigned order)
{
	plugin.free(thread, handle, order);
}

static void reset(void)
{
	plugin.reset();
}

/* There is no way to ask it. */
static bool (*const run_fits)(unsigned order) = NULL;

#include "bench/loops.inc"

static bool plugin_load(const char *file)
{
	void *object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	const struct bench_plugin *found;

	if (!object) {
		(void)fprintf(stderr, "bench: %s\n", dlerror());
		return false;
	}
	found = dlsym(object, "bench_plugin");
	if (!found || found->version != BENCH_PLUGIN_VERSION || !found->name ||
	    !found->init || !found->alloc || !found->free || !found->reset) {
		(void)fprintf(stderr, "bench: %s is no plug-in of version "
			      "%d\n", file, BENCH_PLUGIN_VERSION);
		return false;
	}
	plugin = *found;
	return true;
}

int group_plugin(const char *file)
{
	struct bench_case bench = { .phases = NULL };
	unsigned order_max;

	if (!plugin_load(file))
		return GROUP_MISSING;
	if (plugin.init(LOOP_FRAMES, threads_usable())) {
		(void)fprintf(stderr, "bench: %s does not start\n", file);
		return GROUP_MISSING;
	}
	bench.column = plugin.name;
	order_max = plugin.order_max < LOOP_ORDERS ? plugin.order_max :
						     LOOP_ORDERS - 1;
	rows_shared(bench, order_max);
	return 0;
}
