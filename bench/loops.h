/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

/*
 * The loops that are the same for every allocator.  Who includes this
 * defines before
 *
 *	static inline uint64_t take(unsigned order);
 *	static inline void give(uint64_t handle, unsigned order);
 *
 * so that each allocator's loops are compiled with its calls in them: a call
 * through a pointer would cost all of them the same again.  take() does not
 * return when it fails.
 */

#include <stdio.h>
#include <stdlib.h>

#include "bench/measure.h"

/* How much work a case is. */
struct load {
	uint64_t pairs;				/* a sample */
	uint64_t count;				/* handles a thread */
	unsigned order;
	uint64_t *handles[THREADS_MAX];
};

static inline const struct load *load_of(const struct worker *worker)
{
	return worker->context;
}

/* The compiler may not leave out what made the value. */
static inline void keep(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

static uint64_t loop_pairs(struct worker *worker)
{
	const struct load *load = load_of(worker);
	uint64_t left, handle;

	for (left = load->pairs; left > 0; left--) {
		handle = take(load->order);
		keep(handle);
		give(handle, load->order);
	}
	return load->pairs;
}

static uint64_t loop_take_all(struct worker *worker)
{
	const struct load *load = load_of(worker);
	uint64_t *handles = load->handles[worker->thread];
	uint64_t i;

	for (i = 0; i < load->count; i++)
		handles[i] = take(load->order);
	return load->count;
}

/* In the order of the handles: as taken, or as shuffled. */
static uint64_t loop_give_all(struct worker *worker)
{
	const struct load *load = load_of(worker);
	uint64_t *handles = load->handles[worker->thread];
	uint64_t i;

	for (i = 0; i < load->count; i++)
		give(handles[i], load->order);
	return load->count;
}

static uint64_t loop_shuffle_own(struct worker *worker)
{
	const struct load *load = load_of(worker);

	shuffle(load->handles[worker->thread], load->count,
		worker->thread + 1);
	return 0;
}

/* Deal all threads' handles out at random.  handles[] are one array. */
static uint64_t loop_shuffle_all(struct worker *worker)
{
	const struct load *load = load_of(worker);

	if (worker->thread == 0)
		shuffle(load->handles[0], load->count * worker->threads, 1);
	return 0;
}

static const struct phase phases_pair[] = {
	{ "alloc+free pair, 4 KiB", loop_pairs },
};

static const struct phase phases_pair_huge[] = {
	{ "alloc+free pair, 2 MiB", loop_pairs },
};

#define PHASES_BULK(size)						\
{									\
	{ size ": alloc all, each", loop_take_all },			\
	{ size ": free in order, each", loop_give_all },		\
	{ NULL, loop_take_all },					\
	{ NULL, loop_shuffle_own },					\
	{ size ": free own at random, each", loop_give_all },		\
	/* Only with more threads than one. */				\
	{ NULL, loop_take_all },					\
	{ NULL, loop_shuffle_all },					\
	{ size ": free anybody's at random, each", loop_give_all },	\
}

#define PHASES_BULK_COUNT(threads)	((threads) > 1 ? 8 : 5)

static const struct phase phases_bulk[] = PHASES_BULK("1 GiB of 4 KiB");

/* Room for @count handles a thread, touched, so that no loop pays for it. */
static inline void load_open(struct load *load, unsigned threads)
{
	uint64_t i;
	unsigned thread;
	uint64_t *room = malloc(load->count * threads * sizeof(*room));

	if (!room) {
		(void)fprintf(stderr, "bench: no memory for handles\n");
		exit(1);
	}
	for (i = 0; i < load->count * threads; i++)
		room[i] = ~i;
	for (thread = 0; thread < threads; thread++)
		load->handles[thread] = room + thread * load->count;
}

static inline void load_close(struct load *load)
{
	free(load->handles[0]);
}

/* The rows that stand for every allocator, with one and two threads. */
static inline void shared_rows(struct bench_case bench, unsigned threads,
			       bool quick)
{
	struct load load = { .pairs = quick ? 200000 : 1000000 };
	unsigned samples = quick ? 3 : 9;

	bench.context = &load;
	bench.phases = phases_pair;
	bench.count = 1;
	measure_print(&bench, threads, samples);
	load.order = 9;
	load.pairs /= 10;
	bench.phases = phases_pair_huge;
	measure_print(&bench, threads, samples);
	load.order = 0;
	load.count = (1u << 18) / threads;
	load_open(&load, threads);
	bench.phases = phases_bulk;
	bench.count = PHASES_BULK_COUNT(threads);
	measure_print(&bench, threads, quick ? 2 : 5);
	load_close(&load);
}

#endif
