/* SPDX-License-Identifier: MIT */
/*
 * A plug-in to copy: per order a stack of free runs under one lock, cut off a
 * rising mark when it is empty.  Nothing merges, so it wastes memory; it is
 * as short as an allocator can be.
 */
#include <pthread.h>
#include <stdlib.h>

#include "plugin.h"

#define ORDERS	19

/* Room for a handle of each run that an order can have. */
struct stack {
	uint64_t *handles;
	uint64_t count;
};

static struct {
	pthread_mutex_t lock;
	struct stack stacks[ORDERS];
	uint64_t mark, frames;		/* below the mark: handed out once */
} heap = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void example_reset(void)
{
	unsigned order;

	for (order = 0; order < ORDERS; order++)
		heap.stacks[order].count = 0;
	heap.mark = 0;
}

static int example_init(uint64_t frames, unsigned threads)
{
	unsigned order;
	uint64_t room;

	(void)threads;
	for (order = 0; order < ORDERS; order++) {
		room = (frames >> order) + 1;
		heap.stacks[order].handles = calloc(room, sizeof(uint64_t));
		if (!heap.stacks[order].handles)
			return -1;
	}
	heap.frames = frames;
	return 0;
}

static int cut(unsigned order, uint64_t *ret_handle)
{
	uint64_t size = (uint64_t)1 << order;
	uint64_t start = (heap.mark + size - 1) & ~(size - 1);

	if (start + size > heap.frames)
		return -1;
	heap.mark = start + size;
	*ret_handle = start;
	return 0;
}

static int example_alloc(unsigned thread, unsigned order, uint64_t *ret_handle)
{
	struct stack *stack = &heap.stacks[order];
	int err = 0;

	(void)thread;
	(void)pthread_mutex_lock(&heap.lock);
	if (stack->count > 0)
		*ret_handle = stack->handles[--stack->count];
	else
		err = cut(order, ret_handle);
	(void)pthread_mutex_unlock(&heap.lock);
	return err;
}

static void example_free(unsigned thread, uint64_t handle, unsigned order)
{
	struct stack *stack = &heap.stacks[order];

	(void)thread;
	(void)pthread_mutex_lock(&heap.lock);
	stack->handles[stack->count++] = handle;
	(void)pthread_mutex_unlock(&heap.lock);
}

const struct bench_plugin bench_plugin = {
	.version = BENCH_PLUGIN_VERSION,
	.order_max = ORDERS - 1,
	.name = "example",
	.init = example_init,
	.alloc = example_alloc,
	.free = example_free,
	.reset = example_reset,
};
