/* SPDX-License-Identifier: MIT */
/* Timing of phases on pinned threads; see measure.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <urcu/uatomic.h>

#include "bench/measure.h"

/* Passes that are not counted: rounds are guessed twice, then one is warm. */
#define PASSES_WARM	1
#define PASSES_ROUNDS	3
#define ROUNDS_FIRST	8
#define ROUNDS_MAX	((uint64_t)1 << 24)

/* Threads that begin further apart than this share of a phase: retaken. */
#define APART_PERCENT	OFF_CORE_PERCENT

/* What one thread measured of one phase. */
struct timing {
	double cpu_ns;		/* an operation */
	uint64_t begin, end;	/* by the wall clock */
	bool off_core;		/* too long elsewhere */
};

/* One measurement: a team of threads that passes through the phases. */
struct team {
	const struct bench_case *bench;
	unsigned threads, samples;
	unsigned passes_warm;
	pthread_barrier_t together;
	unsigned ready;			/* threads at the line, all phases */
	struct timing timing[THREADS_MAX][PHASES_MAX];
	double values[PHASES_MAX][SAMPLES_MAX];
	uint64_t rounds[PHASES_MAX];	/* written by thread 0 alone, all */
	unsigned taken[PHASES_MAX];
	unsigned retaken[PHASES_MAX];
	bool done;
};

struct member {
	struct team *team;
	struct worker worker;
	unsigned lines;		/* what team->ready must reach */
	pthread_t id;
};

bool bench_quick, bench_sketch;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_wall_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

unsigned cpus_usable(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

unsigned threads_usable(void)
{
	unsigned cpus = cpus_usable();

	return cpus < THREADS_MAX ? cpus : THREADS_MAX;
}

void *room_open(size_t bytes)
{
	void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED) {
		(void)fprintf(stderr, "bench: no memory for handles\n");
		exit(1);
	}
	(void)madvise(room, bytes, MADV_HUGEPAGE);
	memset(room, 0, bytes);
	return room;
}

void room_close(void *room, size_t bytes)
{
	(void)munmap(room, bytes);
}

void pin(unsigned nth)
{
	cpu_set_t all, one;
	size_t cpu;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	CPU_ZERO(&one);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && nth-- == 0)
			break;
	if (cpu == CPU_SETSIZE)
		return;
	CPU_SET(cpu, &one);
	/* Not pinned is measured all the same, and retaken more often. */
	(void)sched_setaffinity(0, sizeof(one), &one);
}

void shuffle(uint64_t *values, uint64_t count, uint64_t seed)
{
	uint64_t state = seed * 2 + 1;
	uint64_t i, other, held;

	for (i = count; i > 1; i--) {
		other = random_next(&state) % i;
		held = values[i - 1];
		values[i - 1] = values[other];
		values[other] = held;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

struct figure figure_of(double *values, unsigned count)
{
	struct figure figure = { .samples = count };

	if (count == 0)
		return figure;
	qsort(values, count, sizeof(*values), compare);
	figure.min = values[0];
	figure.max = values[count - 1];
	figure.median = (values[(count - 1) / 2] + values[count / 2]) / 2;
	return figure;
}

/*
 * Spin until all are here: who sleeps on a barrier wakes up tens of
 * microseconds after who came last.
 */
static void line_up(struct member *member)
{
	struct team *team = member->team;

	member->lines += team->threads;
	(void)uatomic_add_return(&team->ready, 1);
	while (uatomic_read(&team->ready) < member->lines) {
		if (bench_sketch)
			(void)sched_yield();
		caa_cpu_relax();
	}
}

static void phase_time(struct member *member, unsigned number)
{
	struct team *team = member->team;
	struct timing *timing =
		&team->timing[member->worker.thread][number];
	struct worker *worker = &member->worker;
	uint64_t wall, cpu, operations;

	worker->argument = team->bench->phases[number].argument;
	worker->rounds = team->rounds[number];
	worker->excluded_ns = 0;
	(void)pthread_barrier_wait(&team->together);
	line_up(member);
	timing->begin = clock_wall_ns();
	cpu = clock_cpu_ns();
	operations = team->bench->phases[number].body(worker);
	cpu = clock_cpu_ns() - cpu - worker->excluded_ns;
	timing->end = clock_wall_ns();
	wall = timing->end - timing->begin - worker->excluded_ns;
	timing->cpu_ns = (double)cpu / (double)(operations ? operations : 1);
	timing->off_core = wall > cpu &&
			   (wall - cpu) * 100 > wall * OFF_CORE_PERCENT;
	(void)pthread_barrier_wait(&team->together);
}

/* Did one thread begin so late that it ran alone for too long? */
static bool is_apart(const struct team *team, unsigned number)
{
	const struct timing *first = &team->timing[0][number];
	const struct timing *other;
	uint64_t apart;
	unsigned thread;

	for (thread = 1; thread < team->threads; thread++) {
		other = &team->timing[thread][number];
		apart = other->begin > first->begin ?
				other->begin - first->begin :
				first->begin - other->begin;
		if (apart * 100 > (first->end - first->begin) * APART_PERCENT)
			return true;
	}
	return false;
}

/* Take or throw away what all threads measured of a phase in this pass. */
static void phase_account(struct team *team, unsigned number)
{
	double sum = 0;
	bool off_core = is_apart(team, number);
	unsigned thread;

	if (!team->bench->phases[number].name ||
	    team->taken[number] == team->samples)
		return;
	for (thread = 0; thread < team->threads; thread++) {
		sum += team->timing[thread][number].cpu_ns;
		off_core |= team->timing[thread][number].off_core;
	}
	if (off_core && !bench_sketch &&
	    team->retaken[number] < team->samples * RETAKES_PER_SAMPLE)
		team->retaken[number]++;
	else
		team->values[number][team->taken[number]++] =
			sum / team->threads;
}

static bool all_taken(const struct team *team)
{
	unsigned number;

	for (number = 0; number < team->bench->count; number++)
		if (team->bench->phases[number].name &&
		    team->taken[number] < team->samples)
			return false;
	return true;
}

static double sample_ns(void)
{
	if (bench_sketch)
		return SAMPLE_NS_SKETCH;
	return bench_quick ? SAMPLE_NS_QUICK : SAMPLE_NS;
}

/* How many rounds of a phase that repeats fill a sample? */
static void rounds_guess(struct team *team, unsigned number)
{
	double each = team->timing[0][number].cpu_ns;
	double rounds = sample_ns() / (each > 0.1 ? each : 0.1);

	if (!team->bench->phases[number].repeats)
		return;
	team->rounds[number] = rounds < 1 ? 1 :
			       rounds > (double)ROUNDS_MAX ? ROUNDS_MAX :
							     (uint64_t)rounds;
}

static void pass_account(struct team *team, unsigned pass)
{
	bool warm = pass >= team->passes_warm;
	unsigned number;

	for (number = 0; number < team->bench->count; number++) {
		if (warm)
			phase_account(team, number);
		else
			rounds_guess(team, number);
	}
	team->done = all_taken(team);
}

static void *member_run(void *argument)
{
	struct member *member = argument;
	struct team *team = member->team;
	unsigned pass, number;

	pin(member->worker.thread);
	if (team->bench->enter)
		team->bench->enter(&member->worker);
	for (pass = 0; !team->done; pass++) {
		for (number = 0; number < team->bench->count; number++)
			phase_time(member, number);
		if (member->worker.thread == 0)
			pass_account(team, pass);
		(void)pthread_barrier_wait(&team->together);
	}
	if (team->bench->leave)
		team->bench->leave(&member->worker);
	return NULL;
}

static void team_open(struct team *team)
{
	unsigned i;

	if (bench_sketch)
		team->samples = 1;
	else
		team->passes_warm = PASSES_WARM;
	for (i = 0; i < team->bench->count; i++) {
		team->rounds[i] = ROUNDS_FIRST;
		if (team->bench->phases[i].repeats)
			team->passes_warm = PASSES_ROUNDS;
	}
	(void)pthread_barrier_init(&team->together, NULL, team->threads);
}

void measure(const struct bench_case *bench, unsigned threads,
	     unsigned samples, struct figure *ret_figures)
{
	struct team team = {
		.bench = bench,
		.threads = threads,
		.samples = samples < SAMPLES_MAX ? samples : SAMPLES_MAX,
	};
	struct member members[THREADS_MAX] = { 0 };
	unsigned i;

	team_open(&team);
	for (i = 0; i < threads; i++) {
		members[i].team = &team;
		members[i].worker.thread = i;
		members[i].worker.threads = threads;
		members[i].worker.context = bench->context;
		if (pthread_create(&members[i].id, NULL, member_run,
				   &members[i])) {
			(void)fprintf(stderr, "bench: no thread\n");
			exit(1);
		}
	}
	for (i = 0; i < threads; i++)
		(void)pthread_join(members[i].id, NULL);
	(void)pthread_barrier_destroy(&team.together);
	for (i = 0; i < bench->count; i++) {
		ret_figures[i] = figure_of(team.values[i], team.taken[i]);
		ret_figures[i].retaken = team.retaken[i];
	}
}

void cell_print(const char *section, const char *row, const char *column,
		const struct figure *figure)
{
	(void)printf("%s\t%s\t%s\t%.4f\t%.4f\t%.4f\t%u\t%u\n", section, row,
		     column, figure->min, figure->median, figure->max,
		     figure->samples, figure->retaken);
	(void)fflush(stdout);
}

void value_print(const char *section, const char *row, const char *column,
		 double value)
{
	struct figure figure = figure_of(&value, 1);

	cell_print(section, row, column, &figure);
}

void ratio_print(const char *section, const char *row, const char *column,
		 double value, const struct figure *a, const struct figure *b)
{
	struct figure figure = figure_of(&value, 1);

	if (figure_is_doubtful(a) || figure_is_doubtful(b))
		figure.retaken = RETAKES_PER_SAMPLE;
	cell_print(section, row, column, &figure);
}

/* Threads are the column, or part of the row's name where there are more. */
static void row_print(const struct bench_case *bench, unsigned threads,
		      const char *name, const struct figure *figure)
{
	char row[96], column[16];

	(void)snprintf(column, sizeof(column), "%u CPU%s", threads,
		       threads > 1 ? "s" : "");
	(void)snprintf(row, sizeof(row), threads > 1 ? "%s, %s" : "%s", name,
		       column);
	cell_print(bench->section, bench->column ? row : name,
		   bench->column ? bench->column : column, figure);
}

void measure_print(const struct bench_case *bench, unsigned threads,
		   unsigned samples)
{
	struct figure figures[PHASES_MAX];
	unsigned i;

	measure(bench, threads, samples, figures);
	for (i = 0; i < bench->count; i++)
		if (bench->phases[i].name)
			row_print(bench, threads, bench->phases[i].name,
				  &figures[i]);
}

void order_name(char *name, size_t bytes, const char *what, unsigned order)
{
	static const char *const units[] = { "KiB", "MiB", "GiB" };
	unsigned shift = order + 2;

	(void)snprintf(name, bytes, "%s, order %u (%u %s)", what, order,
		       1u << shift % 10, units[shift / 10]);
}
