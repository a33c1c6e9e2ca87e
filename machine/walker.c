/* SPDX-License-Identifier: MIT */

/*
 * Walkers: threads that look at frames they have no claim to, in read
 * sections, as fast as they can or with a pause inside each section.  Of what
 * they find they take references by number and drop them again outside.
 */

#include <stdlib.h>
#include <time.h>

#include "device.h"
#include "known.h"

static void sleep_ns(uint64_t ns)
{
	struct timespec time = {
		(time_t)(ns / 1000000000), (long)(ns % 1000000000),
	};

	(void)nanosleep(&time, NULL);
}

/* What one pass has seen. */
struct pass {
	uint64_t spans, taken, absent;
};

/* One section: look at a block, try to take the first counted run of it. */
static void walk_block(struct walker *walker, cf_pfn first, cf_pfn last,
		       struct pass *pass)
{
	struct cf_map *map = walker->machine->map;
	cf_pfn taken = CF_PFN_NONE;
	struct cf_span span;

	cf_walk_begin(map);
	while (cf_walk_next(map, &first, last, &span)) {
		pass->spans++;
		pass->absent += span.kind == CF_SPAN_ABSENT;
		if (span.kind != CF_SPAN_RUN || taken != CF_PFN_NONE ||
		    span.type != CF_TYPE_FOLIO)
			continue;
		if (!cf_try_get(map, span.first))
			taken = span.first;
	}
	if (walker->pause_ns)
		sleep_ns(walker->pause_ns);
	cf_walk_end(map);
	/* The reference keeps the run, and its block, beyond the section. */
	if (taken != CF_PFN_NONE) {
		pass->taken++;
		cf_put(map, taken);
	}
}

static bool walk_on(struct walker *walker, const struct pass *pass)
{
	bool on;

	(void)pthread_mutex_lock(&walker->lock);
	walker->passes++;
	walker->spans += pass->spans;
	walker->taken += pass->taken;
	walker->absent += pass->absent;
	(void)pthread_cond_broadcast(&walker->passed);
	while (walker->rest) {
		walker->resting = true;
		(void)pthread_cond_broadcast(&walker->passed);
		(void)pthread_cond_wait(&walker->passed, &walker->lock);
		walker->resting = false;
	}
	on = !walker->stop;
	(void)pthread_mutex_unlock(&walker->lock);
	return on;
}

static void *walker_main(void *argument)
{
	struct walker *walker = argument;
	cf_pfn block = walker->machine->block_frames;
	struct pass pass;
	cf_pfn at, end;

	do {
		pass = (struct pass){ 0, 0, 0 };
		for (at = walker->first; at < walker->last; at = end) {
			end = (at / block + 1) * block;
			if (end > walker->last)
				end = walker->last;
			walk_block(walker, at, end, &pass);
		}
	} while (walk_on(walker, &pass));
	return NULL;
}

static void wait_pass(struct walker *walker)
{
	uint64_t passes;

	(void)pthread_mutex_lock(&walker->lock);
	passes = walker->passes;
	while (walker->passes == passes)
		(void)pthread_cond_wait(&walker->passed, &walker->lock);
	(void)pthread_mutex_unlock(&walker->lock);
}

struct walker *walker_new(struct machine *machine)
{
	struct walker *walker = calloc(1, sizeof(*walker));

	if (!walker)
		return NULL;
	walker->machine = machine;
	(void)pthread_mutex_init(&walker->lock, NULL);
	(void)pthread_cond_init(&walker->passed, NULL);
	return walker;
}

int walker_start(struct walker *walker)
{
	if (pthread_create(&walker->thread, NULL, walker_main, walker))
		return -CF_ENOMEM;
	walker->running = true;
	return 0;
}

int walkers_wake(struct machine *machine)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < machine->config.names_count; i++) {
		struct walker *walker = machine->object[i].walker;

		if (machine->config.names[i].noun != NOUN_WALKER || !walker ||
		    !walker->asleep)
			continue;
		walker->asleep = false;
		err = walker_start(walker);
	}
	return err;
}

int step_walker(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct walker *walker = walker_new(machine);

	if (!walker)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	walker->pause_ns = step->key[KEY_PAUSE];
	walker->first = step->place.first;
	walker->last = step->place.kind == PLACE_NONE ? machine->added_last :
							step->place.last;
	machine->object[step->name].walker = walker;
	if (walker_start(walker))
		return refuse(outcome, CF_ENOMEM, "no thread is left");
	wait_pass(walker);
	if (walker->first == walker->last)
		did(outcome, "walks no frames: there is no memory yet");
	else
		did(outcome, "walks frames %llu to %llu",
		    (unsigned long long)walker->first,
		    (unsigned long long)walker->last - 1);
	return 0;
}

static void stop_walker(struct walker *walker)
{
	if (!walker->running)
		return;
	(void)pthread_mutex_lock(&walker->lock);
	walker->stop = true;
	(void)pthread_mutex_unlock(&walker->lock);
	(void)pthread_join(walker->thread, NULL);
	walker->running = false;
}

int step_stop(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct walker *walker = machine->object[step->name].walker;

	if (!walker || !walker->running)
		return refuse(outcome, CF_EGONE, "it does not walk");
	/* The pass that runs, and one that has seen all that was done. */
	wait_pass(walker);
	wait_pass(walker);
	stop_walker(walker);
	did(outcome, "%llu passes, %llu stretches seen, %llu references taken",
	    (unsigned long long)walker->passes,
	    (unsigned long long)walker->spans,
	    (unsigned long long)walker->taken);
	return 0;
}

void walker_free(struct walker *walker)
{
	if (!walker)
		return;
	stop_walker(walker);
	(void)pthread_cond_destroy(&walker->passed);
	(void)pthread_mutex_destroy(&walker->lock);
	free(walker);
}

static struct walker *walker_at(struct machine *machine, uint32_t number)
{
	struct walker *walker = machine->object[number].walker;

	if (machine->config.names[number].noun != NOUN_WALKER || !walker ||
	    !walker->running)
		return NULL;
	return walker;
}

void walkers_rest(struct machine *machine)
{
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		struct walker *walker = walker_at(machine, i);

		if (!walker)
			continue;
		(void)pthread_mutex_lock(&walker->lock);
		walker->rest = true;
		while (!walker->resting)
			(void)pthread_cond_wait(&walker->passed,
						&walker->lock);
		(void)pthread_mutex_unlock(&walker->lock);
	}
}

void walkers_go_on(struct machine *machine)
{
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		struct walker *walker = walker_at(machine, i);

		if (!walker)
			continue;
		(void)pthread_mutex_lock(&walker->lock);
		walker->rest = false;
		(void)pthread_cond_broadcast(&walker->passed);
		(void)pthread_mutex_unlock(&walker->lock);
	}
}

int step_wait(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	devices_work_for(machine, step->amount.number);
	did(outcome, "waited");
	return 0;
}
