/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS_MAX	4
#define PHASES_MAX	12
#define SAMPLES_MAX	64

#define ARRAY_COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* Fewer samples and smaller loads. Set before anything is measured. */
extern bool bench_quick;

/*
 * Besides quick: each row once, as it comes.  All rows are there then, and
 * their figures say nothing.
 */
extern bool bench_sketch;

/* A thread that measures, pinned to a CPU of its own. */
struct worker {
	unsigned thread;	/* below threads */
	unsigned threads;
	unsigned argument;	/* the phase's */
	uint64_t rounds;	/* of a phase that repeats: how often */
	uint64_t excluded_ns;	/* the body's: its own time that is no work */
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
	unsigned argument;	/* an order, as a rule */
	bool repeats;		/* its body heeds worker->rounds */
};

struct bench_case {
	const char *section;	/* of the table the rows go to */
	const char *column;	/* NULL: the number of CPUs is the column */
	const struct phase *phases;
	unsigned count;
	void (*enter)(struct worker *worker);	/* a thread begins, or NULL */
	void (*leave)(struct worker *worker);	/* it ends, or NULL */
	void *context;
};

/*
 * Nanoseconds an operation, as a rule.  A sample is the mean over the threads;
 * it is thrown away and retaken when a thread was off its core for more than
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

/* How long a sample of a phase that repeats takes. */
#define SAMPLE_NS		10000000.0
#define SAMPLE_NS_QUICK		2000000.0
#define SAMPLE_NS_SKETCH	50000.0

/**
 * measure() - run a case until each row has @samples good samples.
 * @ret_figures: one a phase; filled for phases with a name
 *
 * The first passes through the phases warm up and find out how many rounds
 * fill a sample; they are not counted. Who sleeps on its own locks is off the
 * core by nature, so in the end samples are taken as they are: see
 * figure_is_doubtful().
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

/* Print a cell of the tables, for the driver to read. */
void cell_print(const char *section, const char *row, const char *column,
		const struct figure *figure);

/* The same for a single value. */
void value_print(const char *section, const char *row, const char *column,
		 double value);

/* The same, made of two figures: disturbed where one of them is. */
void ratio_print(const char *section, const char *row, const char *column,
		 double value, const struct figure *a, const struct figure *b);

/* measure(), and print every named phase. */
void measure_print(const struct bench_case *bench, unsigned threads,
		   unsigned samples);

/* "@what, order 9 (2 MiB)" */
void order_name(char *name, size_t bytes, const char *what, unsigned order);

/* The figure of @count values, which get sorted. */
struct figure figure_of(double *values, unsigned count);

uint64_t clock_cpu_ns(void);	/* of the calling thread */
uint64_t clock_wall_ns(void);

/* Pin the calling thread to the nth CPU the process may run on. */
void pin(unsigned nth);

/* How many CPUs the process may run on, and how many the rows go up to. */
unsigned cpus_usable(void);
unsigned threads_usable(void);

/* Memory that is there already; not malloc()'s. Dies where there is none. */
void *room_open(size_t bytes);
void room_close(void *room, size_t bytes);

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

/* The compiler may not leave out what made the value. */
static inline void keep(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

#endif
