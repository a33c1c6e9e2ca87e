/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PLUGIN_H
#define BENCH_PLUGIN_H

/*
 * How any other allocator is put beside coldframe: a shared object with one
 * symbol,
 *
 *	const struct bench_plugin bench_plugin = { ... };
 *
 * and coldframe-bench --plugin FILE.so, as often as wanted; it gets a column
 * of its own in the rows every allocator has.  This header stands alone: copy
 * it.  bench/example_plugin.c is a small one.
 *
 * The rows hand out runs of 2^order frames of 4 KiB and never look into them;
 * a handle is whatever names a run: an address, a frame number.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_PLUGIN_VERSION	1

struct bench_plugin {
	uint32_t version;	/* BENCH_PLUGIN_VERSION */
	uint32_t order_max;	/* rows above it are left out; at most 18 */
	const char *name;	/* of the column, at most 10 characters */

	/*
	 * Make @frames frames ready, all free, for threads 0..@threads - 1,
	 * each with a CPU of its own.  Called once, before all else.
	 * Return: 0, or nonzero: it cannot be; the column is left out.
	 */
	int (*init)(uint64_t frames, unsigned threads);

	/*
	 * Called by several threads at a time, each with its own number.  A
	 * run is freed with the order it was allocated with, by any thread.
	 * Return: 0, or nonzero: there is no such run.
	 */
	int (*alloc)(unsigned thread, unsigned order, uint64_t *ret_handle);
	void (*free)(unsigned thread, uint64_t handle, unsigned order);

	/*
	 * Between rows, when everything has been freed and no thread is in a
	 * call: be as after init, with nothing of the last row in a cache.
	 */
	void (*reset)(void);
};

extern const struct bench_plugin bench_plugin;

#ifdef __cplusplus
}
#endif
#endif
