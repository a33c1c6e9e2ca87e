/* SPDX-License-Identifier: MIT */
/* Timing of phases on pinned threads; see measure.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <urcu/uatomic.h>

#include "bench/measure.h"

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
	pthread_barrier_t together;
	unsigned ready;			/* threads at the line, all phases */
	struct timing timing[THREADS_MAX][PHASES_MAX];
	double values[PHASES_MAX][SAMPLES_MAX];
	unsigned taken[PHASES_MAX];	/* written by thread 0 alone */
	unsigned retaken[PHASES_MAX];
	bool done;
};

struct member {
	struct team *team;
	struct worker worker;
	unsigned lines;		/* what team->ready must reach */
	pthread_t id;
};

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
	while (uatomic_read(&team->ready) < member->lines)
		caa_cpu_relax();
}

static void phase_time(struct member *member, unsigned number)
{
	struct team *team = member->team;
	struct timing *timing =
		&team->timing[member->worker.thread][number];
	uint64_t wall, cpu, operations;

	(void)pthread_barrier_wait(&team->together);
	line_up(member);
	timing->begin = clock_wall_ns();
	cpu = clock_cpu_ns();
	operations = team->bench->phases[number].body(&member->worker);
	cpu = clock_cpu_ns() - cpu;
	timing->end = clock_wall_ns();
	wall = timing->end - timing->begin;
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
	if (off_core &&
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

static void pass_account(struct team *team, unsigned pass)
{
	unsigned number;

	/* Pass 0 warms up. */
	if (pass == 0)
		return;
	for (number = 0; number < team->bench->count; number++)
		phase_account(team, number);
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

void measure(const struct bench_case *bench, unsigned threads,
	     unsigned samples, struct figure *ret_figures)
{
	struct team team = {
		.bench = bench,
		.threads = threads,
		.samples = samples < SAMPLES_MAX ? samples : SAMPLES_MAX,
	};
	struct member members[THREADS_MAX];
	unsigned i;

	(void)pthread_barrier_init(&team.together, NULL, threads);
	for (i = 0; i < threads; i++) {
		members[i].team = &team;
		members[i].lines = 0;
		members[i].worker = (struct worker){ i, threads,
						     bench->context };
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

void row_print(const char *name, unsigned threads,
	       const struct figure *figure)
{
	(void)printf("%s\t%u\t%.3f\t%.3f\t%.3f\t%u\t%u\n", name, threads,
		     figure->min, figure->median, figure->max,
		     figure->samples, figure->retaken);
	(void)fflush(stdout);
}

void measure_print(const struct bench_case *bench, unsigned threads,
		   unsigned samples)
{
	struct figure figures[PHASES_MAX];
	unsigned i;

	measure(bench, threads, samples, figures);
	for (i = 0; i < bench->count; i++)
		if (bench->phases[i].name)
			row_print(bench->phases[i].name, threads, &figures[i]);
}
