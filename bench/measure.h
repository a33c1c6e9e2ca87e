/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#define THREADS_MAX	2
#define PHASES_MAX	8
#define SAMPLES_MAX	64

/* A thread that measures, pinned to a CPU of its own. */
struct worker {
	unsigned thread;	/* below threads */
	unsigned threads;
	void *context;		/* the case's */
};

/*
 * One step of a case.  All threads begin a phase together and wait for each
 * other at its end.  A phase with a name is a row: its body returns how many
 * operations it made, and the thread's own CPU time is divided by them.
 */
struct phase {
	const char *name;	/* NULL: not measured */
	uint64_t (*body)(struct worker *worker);
};

struct bench_case {
	const struct phase *phases;
	unsigned count;
	void (*enter)(struct worker *worker);	/* a thread begins, or NULL */
	void (*leave)(struct worker *worker);	/* it ends, or NULL */
	void *context;
};

/*
 * Nanoseconds an operation.  A sample is the mean over the threads; it is
 * thrown away and retaken when a thread was off its core for more than
 * OFF_CORE_PERCENT of it.
 */
struct figure {
	double min, median, max;
	unsigned samples;
	unsigned retaken;
};

#define OFF_CORE_PERCENT	8

/* So often for each sample, then samples are taken as they are. */
#define RETAKES_PER_SAMPLE	3

/**
 * measure() - run a case until each row has @samples good samples.
 * @ret_figures: one a phase; filled for phases with a name
 *
 * The first pass through the phases warms up and is not counted. Who sleeps
 * on its own locks is off the core by nature, so in the end samples are taken
 * as they are: see figure_is_doubtful().
 */
void measure(const struct bench_case *bench, unsigned threads,
	     unsigned samples, struct figure *ret_figures);

/*
 * Were the threads off their cores all the time?  They sleep on locks, or the
 * machine had other work; with several threads they did not run together.
 */
static inline bool figure_is_doubtful(const struct figure *figure)
{
	return figure->retaken >= figure->samples * RETAKES_PER_SAMPLE;
}

/* Print a row for the driver to read: name, threads and the figure. */
void row_print(const char *name, unsigned threads,
	       const struct figure *figure);

/* measure(), and print every named phase. */
void measure_print(const struct bench_case *bench, unsigned threads,
		   unsigned samples);

/* The figure of @count values, which are sorted. */
struct figure figure_of(double *values, unsigned count);

uint64_t clock_cpu_ns(void);	/* of the calling thread */
uint64_t clock_wall_ns(void);

/* Pin the calling thread to the nth CPU the process may run on. */
void pin(unsigned nth);

/* How many CPUs the process may run on. */
unsigned cpus_usable(void);

/* A generator of numbers, the same each run. @state is not 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Put @count values in a random order. */
void shuffle(uint64_t *values, uint64_t count, uint64_t seed);

#endif
