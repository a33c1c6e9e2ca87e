/* SPDX-License-Identifier: MIT */

/*
 * Sets of runs, and the side table that leads from a frame to its run.
 *
 * The entry of a head holds the run's address.  It is written before the
 * owner can be asked about the run and cleared before the run goes back, both
 * under side_lock; a hook that finds nothing there says that it does not know
 * the run.
 */

#include <stdlib.h>

#include "internal.h"
#include "known.h"

#define SLAB_RUNS	512

/* Runs never move: they lie in slabs that go with their set. */
struct slab {
	struct slab *next;
	size_t used;
	struct run run[SLAB_RUNS];
};

void run_init(struct run *run, uint64_t seed)
{
	(void)pthread_spin_init(&run->lock, PTHREAD_PROCESS_PRIVATE);
	run->pfn = CF_PFN_NONE;
	run->seed = seed;
}

void run_lock(struct run *run)
{
	(void)pthread_spin_lock(&run->lock);
}

void run_unlock(struct run *run)
{
	(void)pthread_spin_unlock(&run->lock);
}

struct set *set_add(struct machine *machine, uint32_t number)
{
	struct set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->name = machine->name[number];
	set->number = number;
	machine->object[number].set = set;
	return set;
}

void set_remove(struct machine *machine, struct set *set)
{
	struct slab *slab;

	machine->object[set->number].any = NULL;
	while ((slab = set->slabs) != NULL) {
		set->slabs = slab->next;
		free(slab);
	}
	free(set->run);
	free(set);
}

static bool make_room(struct set *set)
{
	size_t room = set->room ? 2 * set->room : 64;
	struct run **run;

	if (set->count < set->room)
		return true;
	run = realloc(set->run, room * sizeof(struct run *));
	if (!run)
		return false;
	set->run = run;
	set->room = room;
	return true;
}

struct run *set_add_run(struct machine *machine, struct set *set)
{
	struct slab *slab = set->slabs;
	struct run *run;
	uint64_t seed;

	if (!make_room(set))
		return NULL;
	if (!slab || slab->used == SLAB_RUNS) {
		slab = calloc(1, sizeof(*slab));
		if (!slab)
			return NULL;
		slab->next = set->slabs;
		set->slabs = slab;
	}
	run = &slab->run[slab->used++];
	seed = machine->config.seed ^ (uint64_t)(set->number + 1) << 40;
	run_init(run, seed + set->count);
	run->set = set;
	set->run[set->count++] = run;
	return run;
}

uint64_t set_frames(const struct set *set)
{
	uint64_t frames = 0;
	size_t i;

	for (i = 0; i < set->count; i++)
		if (set->run[i]->state != RUN_GONE)
			frames += (uint64_t)1 << set->run[i]->order;
	return frames;
}

int run_bind(struct machine *machine, cf_pfn pfn, struct run *run)
{
	void *entry;
	int err = cf_side_extend(&machine->side, pfn, &entry);

	if (err)
		return err;
	(void)pthread_mutex_lock(&machine->side_lock);
	*(struct run **)entry = run;
	(void)pthread_mutex_unlock(&machine->side_lock);
	return 0;
}

void run_unbind(struct machine *machine, cf_pfn pfn)
{
	struct run **entry = cf_side_find(&machine->side, pfn);

	if (!entry)
		return;
	(void)pthread_mutex_lock(&machine->side_lock);
	*entry = NULL;
	(void)pthread_mutex_unlock(&machine->side_lock);
}

struct run *run_find(struct machine *machine, cf_pfn pfn)
{
	struct run **entry = cf_side_find(&machine->side, pfn);
	struct run *run;

	if (!entry)
		return NULL;
	(void)pthread_mutex_lock(&machine->side_lock);
	run = *entry;
	(void)pthread_mutex_unlock(&machine->side_lock);
	return run;
}

void run_fill(struct machine *machine, struct run *run)
{
	content_fill(frame_address(machine, run->pfn), run->seed, run->skew,
		     (uint64_t)1 << run->order);
	run->written = true;
}

/* What stands in a bad frame is nobody's to trust: it is not looked at. */
bool run_intact(struct machine *machine, const struct run *run,
		cf_pfn *ret_frame)
{
	cf_pfn at = run->pfn, last = at + ((cf_pfn)1 << run->order), bad;
	uint64_t frame;

	if (!run->written || run->state == RUN_GONE ||
	    run->state == RUN_OFFLINE)
		return true;
	for (; at < last; at = bad + 1) {
		bad = bad_next(machine, at, last);
		if (content_intact(frame_address(machine, at), run->seed,
				   run->skew + (at - run->pfn), bad - at,
				   &frame))
			continue;
		*ret_frame = at + frame;
		return false;
	}
	return true;
}
