/* SPDX-License-Identifier: MIT */

/*
 * CPUs: threads that wait for a job.  CPU 0 is the thread that carries out
 * the steps.  A thread takes the lowest number that is free, so they are
 * started in order of their numbers, and only as far as they are needed.
 */

#include <stdlib.h>

#include "internal.h"

struct cpu {
	struct cpus *cpus;
	pthread_t thread;
	cpu_job_fn job;		/* NULL: idle */
	void *argument;
	bool started, stop;
};

/* Field key: everything but map, count: under @lock. */
struct cpus {
	struct cf_map *map;
	unsigned count;
	unsigned running;	/* threads started: CPUs 1 to running */
	unsigned entered;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct cpu cpu[];
};

struct cpus *cpus_new(struct cf_map *map, unsigned count)
{
	struct cpus *cpus = calloc(1, sizeof(*cpus) +
				      count * sizeof(struct cpu));

	if (!cpus)
		return NULL;
	cpus->map = map;
	cpus->count = count;
	(void)pthread_mutex_init(&cpus->lock, NULL);
	(void)pthread_cond_init(&cpus->changed, NULL);
	return cpus;
}

static void *cpu_main(void *argument)
{
	struct cpu *cpu = argument;
	struct cpus *cpus = cpu->cpus;

	(void)cf_host_enter();
	(void)pthread_mutex_lock(&cpus->lock);
	cpus->entered++;
	(void)pthread_cond_broadcast(&cpus->changed);
	while (!cpu->stop) {
		if (!cpu->job) {
			(void)pthread_cond_wait(&cpus->changed, &cpus->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&cpus->lock);
		cpu->job(cpu->argument);
		(void)pthread_mutex_lock(&cpus->lock);
		cpu->job = NULL;
		(void)pthread_cond_broadcast(&cpus->changed);
	}
	(void)pthread_mutex_unlock(&cpus->lock);
	cf_host_leave(cpus->map);
	return NULL;
}

/* Threads up to @cpu, each with its number. Caller holds the lock. */
static int start_threads(struct cpus *cpus, unsigned cpu)
{
	while (cpus->running < cpu) {
		struct cpu *next = &cpus->cpu[cpus->running + 1];

		next->cpus = cpus;
		if (pthread_create(&next->thread, NULL, cpu_main, next))
			return -CF_ENOMEM;
		next->started = true;
		cpus->running++;
		while (cpus->entered < cpus->running)
			(void)pthread_cond_wait(&cpus->changed, &cpus->lock);
	}
	return 0;
}

int cpus_start(struct cpus *cpus, unsigned cpu, cpu_job_fn job,
	       void *argument)
{
	int err;

	(void)pthread_mutex_lock(&cpus->lock);
	err = start_threads(cpus, cpu);
	if (!err) {
		cpus->cpu[cpu].argument = argument;
		cpus->cpu[cpu].job = job;
		(void)pthread_cond_broadcast(&cpus->changed);
	}
	(void)pthread_mutex_unlock(&cpus->lock);
	return err;
}

void cpus_wait(struct cpus *cpus, unsigned cpu)
{
	(void)pthread_mutex_lock(&cpus->lock);
	while (cpus->cpu[cpu].job)
		(void)pthread_cond_wait(&cpus->changed, &cpus->lock);
	(void)pthread_mutex_unlock(&cpus->lock);
}

void cpus_free(struct cpus *cpus)
{
	unsigned cpu;

	if (!cpus)
		return;
	(void)pthread_mutex_lock(&cpus->lock);
	for (cpu = 1; cpu <= cpus->running; cpu++)
		cpus->cpu[cpu].stop = true;
	(void)pthread_cond_broadcast(&cpus->changed);
	(void)pthread_mutex_unlock(&cpus->lock);
	for (cpu = 1; cpu <= cpus->running; cpu++)
		(void)pthread_join(cpus->cpu[cpu].thread, NULL);
	(void)pthread_cond_destroy(&cpus->changed);
	(void)pthread_mutex_destroy(&cpus->lock);
	free(cpus);
}
