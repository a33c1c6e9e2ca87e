/* SPDX-License-Identifier: MIT */

/*
 * Steps on references, pins and contents.
 *
 * References through a set's name belong to the set.  Those through a
 * remembered frame belong to that: they were taken by number, as a walker
 * would, and the run's owner knows nothing of them.
 */

#include <stdlib.h>

#include "internal.h"

enum claim {
	CLAIM_GET, CLAIM_PUT, CLAIM_PIN, CLAIM_UNPIN,
};

static const struct {
	const char *done;
	enum claim undo;
} claims[] = {
	[CLAIM_GET] = { "took", CLAIM_PUT },
	[CLAIM_PUT] = { "dropped", CLAIM_GET },
	[CLAIM_PIN] = { "pinned", CLAIM_UNPIN },
	[CLAIM_UNPIN] = { "unpinned", CLAIM_PIN },
};

/* A claim on a run of a set: it has references to begin with. */
static int claim_run(struct machine *machine, const struct run *run,
		     enum claim claim)
{
	switch (claim) {
	case CLAIM_GET:
		return cf_get(machine->map, run->pfn);
	case CLAIM_PUT:
		cf_put(machine->map, run->pfn);
		return 0;
	case CLAIM_PIN:
		return cf_pin(machine->map, run->pfn);
	case CLAIM_UNPIN:
		cf_unpin(machine->map, run->pfn);
		return 0;
	}
	return -CF_EINVAL;
}

/* A claim by number: the engine decides what is there. */
static int claim_frame(struct machine *machine, cf_pfn pfn, enum claim claim,
		       bool interior)
{
	cf_pfn head;

	switch (claim) {
	case CLAIM_GET:
		return interior ? cf_try_get_interior(machine->map, pfn,
						      &head) :
				  cf_try_get(machine->map, pfn);
	case CLAIM_PUT:
		if (interior)
			cf_put_interior(machine->map, pfn);
		else
			cf_put(machine->map, pfn);
		return 0;
	case CLAIM_PIN:
		return cf_pin(machine->map, pfn);
	case CLAIM_UNPIN:
		cf_unpin(machine->map, pfn);
		return 0;
	}
	return -CF_EINVAL;
}

static void note_claim(uint32_t *refs, uint32_t *pins, enum claim claim)
{
	if (claim == CLAIM_GET || claim == CLAIM_PIN)
		(*refs)++;
	else
		(*refs)--;
	if (claim == CLAIM_PIN)
		(*pins)++;
	if (claim == CLAIM_UNPIN)
		(*pins)--;
}

/* May the set drop @times references or pins of a run? */
static bool may_drop(const struct run *run, enum claim claim, uint64_t times)
{
	uint32_t own = run->state == RUN_HELD ? 1 : 0;

	if (claim == CLAIM_UNPIN)
		return run->pins >= times;
	return run->refs >= run->pins + own &&
	       run->refs - run->pins - own >= times;
}

/* What a step does to the references of some runs. */
struct claiming {
	struct machine *machine;
	struct outcome *outcome;
	struct runs runs;
	enum claim claim;
	uint64_t times;
};

static int check_claim(const struct claiming *claiming, size_t index)
{
	enum claim claim = claiming->claim;
	bool dropping = claim == CLAIM_PUT || claim == CLAIM_UNPIN;
	const struct set *set = claiming->runs.set;
	const struct run *run = set->run[index];

	if (claiming->machine->raw)
		return 0;
	if (run->state != RUN_HELD && run->state != RUN_STRAY)
		return refuse(claiming->outcome, CF_EGONE,
			      "%s[%zu] has no references", set->name, index);
	if (dropping && !may_drop(run, claim, claiming->times))
		return refuse(claiming->outcome, CF_EINVAL, "%s[%zu] has no %s"
			      " to drop; \"free\" drops its own", set->name,
			      index, claim == CLAIM_PUT ? "extra reference" :
			      "pin");
	return 0;
}

/* The last reference of a stray went. */
static void end_stray(struct machine *machine, struct set *set,
		      struct run *run)
{
	if (run->state != RUN_STRAY || run->refs)
		return;
	run->state = RUN_GONE;
	if (!set->owner || !set->owner->registered || !set->owner->keeps)
		run_unbind(machine, run->pfn);
}

/* One claim; getting and pinning may be refused. */
static int claim_once(struct machine *machine, struct set *set,
		      struct run *run, enum claim claim)
{
	bool taking = claim == CLAIM_GET || claim == CLAIM_PIN;
	int err = 0;

	run_lock(run);
	if (taking)
		err = claim_run(machine, run, claim);
	if (!err)
		note_claim(&run->refs, &run->pins, claim);
	run_unlock(run);
	if (taking)
		return err;
	/* A put may run the owner's release: not under the run. */
	end_stray(machine, set, run);
	return claim_run(machine, run, claim);
}

/* Take back @times claims on a run; what was taken can be dropped. */
static void unclaim(const struct claiming *claiming, size_t index,
		    uint64_t times)
{
	struct set *set = claiming->runs.set;

	while (times--)
		(void)claim_once(claiming->machine, set, set->run[index],
				 claims[claiming->claim].undo);
}

/* On every run as often as it says, or on none. */
static int claim_all(const struct claiming *claiming)
{
	struct set *set = claiming->runs.set;
	uint64_t times = 0;
	size_t i;
	int err = 0;

	for (i = claiming->runs.first; i < claiming->runs.last; i++) {
		for (times = 0; !err && times < claiming->times; times++)
			err = claim_once(claiming->machine, set, set->run[i],
					 claiming->claim);
		if (err)
			break;
	}
	if (!err)
		return 0;
	(void)refuse(claiming->outcome, (enum cf_err)-err, "%s[%zu]: %s",
		     set->name, i, cf_strerror(err));
	unclaim(claiming, i, times - 1);
	while (i-- > claiming->runs.first)
		unclaim(claiming, i, claiming->times);
	return err;
}

static int claim_set(struct machine *machine, const struct step *step,
		     enum claim claim, struct outcome *outcome)
{
	struct claiming claiming = {
		.machine = machine,
		.outcome = outcome,
		.claim = claim,
		.times = step_value(step, KEY_TIMES, 1),
	};
	size_t i, count;
	int err;

	err = place_runs(machine, &step->place, outcome, &claiming.runs);
	if (err)
		return err;
	for (i = claiming.runs.first; !err && i < claiming.runs.last; i++)
		err = check_claim(&claiming, i);
	if (!err)
		err = claim_all(&claiming);
	count = claiming.runs.last - claiming.runs.first;
	if (!err)
		did(outcome, "%s %llu on %zu run%s", claims[claim].done,
		    (unsigned long long)claiming.times, count,
		    count == 1 ? "" : "s");
	return err;
}

static int claim_remembered(struct machine *machine, const struct step *step,
			    enum claim claim, struct outcome *outcome)
{
	struct remembered *frame = machine->object[step->place.name].frame;
	const char *name = machine->name[step->place.name];
	uint64_t times = step_value(step, KEY_TIMES, 1), i;
	int err = 0;

	if (!frame)
		return refuse(outcome, CF_EGONE, "%s was not remembered",
			      name);
	if (!machine->raw && ((claim == CLAIM_PUT &&
			       frame->refs - frame->pins < times) ||
			      (claim == CLAIM_UNPIN && frame->pins < times)))
		return refuse(outcome, CF_EINVAL, "nothing was taken through"
			      " %s that could be dropped", name);
	for (i = 0; !err && i < times; i++) {
		err = claim_frame(machine, frame->pfn, claim,
				  step_has(step, KEY_INTERIOR));
		if (!err)
			note_claim(&frame->refs, &frame->pins, claim);
	}
	if (err)
		return refuse(outcome, (enum cf_err)-err, "frame %llu: %s",
			      (unsigned long long)frame->pfn,
			      cf_strerror(err));
	did(outcome, "%s %llu on frame %llu", claims[claim].done,
	    (unsigned long long)times, (unsigned long long)frame->pfn);
	return 0;
}

static int claim(struct machine *machine, const struct step *step,
		 enum claim claim, struct outcome *outcome)
{
	if (machine->config.names[step->place.name].noun == NOUN_FRAME)
		return claim_remembered(machine, step, claim, outcome);
	return claim_set(machine, step, claim, outcome);
}

int step_get(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	return claim(machine, step, CLAIM_GET, outcome);
}

int step_put(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	return claim(machine, step, CLAIM_PUT, outcome);
}

int step_pin(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	return claim(machine, step, CLAIM_PIN, outcome);
}

int step_unpin(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	return claim(machine, step, CLAIM_UNPIN, outcome);
}

static const char *const state_words[] = {
	[RUN_GONE] = "free",
	[RUN_HELD] = "in use",
	[RUN_STRAY] = "free but for references",
	[RUN_FROZEN] = "frozen",
	[RUN_KEPT] = "kept by its owner",
	[RUN_OFFLINE] = "offline",
};

/* Something done to each run of a place that must be in one state. */
typedef int (*run_fn)(struct machine *machine, const struct step *step,
		      struct set *set, struct run *run);

static int each_run(struct machine *machine, const struct step *step,
		    struct outcome *outcome, unsigned states, run_fn fn)
{
	struct runs runs;
	size_t i, count;
	int err;

	err = place_runs(machine, &step->place, outcome, &runs);
	if (err)
		return err;
	for (i = runs.first; i < runs.last; i++) {
		struct set *set = runs.set;

		if (!machine->raw && !(states & 1u << set->run[i]->state))
			return refuse(outcome, CF_EINVAL, "%s[%zu] is %s",
				      set->name, i,
				      state_words[set->run[i]->state]);
		err = fn(machine, step, set, set->run[i]);
		if (err)
			return refuse(outcome, (enum cf_err)-err, "%s[%zu]: %s",
				      set->name, i, cf_strerror(err));
	}
	count = runs.last - runs.first;
	did(outcome, "%zu run%s", count, count == 1 ? "" : "s");
	return 0;
}

static int freeze_run(struct machine *machine, const struct step *step,
		      struct set *set, struct run *run)
{
	uint64_t expected = step_value(step, KEY_EXPECTED, run->refs);
	int err;

	(void)set;
	err = cf_freeze(machine->map, run->pfn, (uint32_t)expected);
	if (err)
		return err;
	run->state = RUN_FROZEN;
	run->refs = 0;
	return 0;
}

int step_freeze(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	return each_run(machine, step, outcome, 1u << RUN_HELD, freeze_run);
}

static int unfreeze_run(struct machine *machine, const struct step *step,
			struct set *set, struct run *run)
{
	uint32_t refs = (uint32_t)step_value(step, KEY_REFS, 1);

	if (set->type == CF_TYPE_PGTABLE || set->type == CF_TYPE_SLAB)
		return -CF_EINVAL;	/* never have references */
	set->frozen = false;
	cf_unfreeze(machine->map, run->pfn, refs);
	run->state = RUN_HELD;
	run->refs = refs;
	return 0;
}

int step_unfreeze(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	return each_run(machine, step, outcome, 1u << RUN_FROZEN,
			unfreeze_run);
}

/* The first part stays where it was in the set, the others join at its end. */
static int split_run(struct machine *machine, const struct step *step,
		     struct set *set, struct run *run)
{
	unsigned order = (unsigned)step->key[KEY_ORDER];
	cf_pfn part = (cf_pfn)1 << order, at;
	cf_pfn last = run->pfn + ((cf_pfn)1 << run->order);
	int err;

	err = cf_split(machine->map, run->pfn, order);
	for (at = run->pfn + part; !err && at < last; at += part) {
		struct run *more = set_add_run(machine, set);

		if (!more)
			return -CF_ENOMEM;
		more->pfn = at;
		more->order = (uint8_t)order;
		more->state = RUN_FROZEN;
		more->written = run->written;
		more->seed = run->seed;
		more->skew = run->skew + (at - run->pfn);
		if (set->owner)
			err = run_bind(machine, at, more);
	}
	if (!err)
		run->order = (uint8_t)order;
	return err;
}

int step_split(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	return each_run(machine, step, outcome, 1u << RUN_FROZEN, split_run);
}

static int give_run(struct machine *machine, const struct step *step,
		    struct set *set, struct run *run)
{
	uint64_t number = step->key[KEY_OWNER];
	struct owner *owner = owner_of_number(machine, number);
	int err;

	if (owner && !owner->registered)
		return -CF_EGONE;
	if (owner) {
		err = run_bind(machine, run->pfn, run);
		if (err)
			return err;
	}
	err = cf_owner_change(machine->map, run->pfn,
			      owner_id(machine, number));
	if (!err)
		set->owner = owner;
	return err;
}

int step_give(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	return each_run(machine, step, outcome, 1u << RUN_HELD |
			1u << RUN_FROZEN, give_run);
}

static int fill_run(struct machine *machine, const struct step *step,
		    struct set *set, struct run *run)
{
	(void)step;
	(void)set;
	run_lock(run);
	run_fill(machine, run);
	run_unlock(run);
	return 0;
}

int step_fill(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	return each_run(machine, step, outcome, 1u << RUN_HELD |
			1u << RUN_FROZEN, fill_run);
}

static int scribble_run(struct machine *machine, const struct step *step,
			struct set *set, struct run *run)
{
	uint64_t *word = frame_address(machine, run->pfn);

	(void)step;
	(void)set;
	run_lock(run);
	word[7] ^= 1;
	run_unlock(run);
	return 0;
}

int step_scribble(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	return each_run(machine, step, outcome, 1u << RUN_HELD |
			1u << RUN_FROZEN, scribble_run);
}

int step_remember(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	struct remembered *frame;
	cf_pfn pfn;
	int err;

	err = place_frame(machine, &step->place, &pfn, outcome);
	if (err)
		return err;
	frame = calloc(1, sizeof(*frame));
	if (!frame)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	frame->pfn = pfn;
	machine->object[step->name].frame = frame;
	did(outcome, "frame %llu, block %llu", (unsigned long long)pfn,
	    (unsigned long long)(pfn / machine->block_frames));
	return 0;
}

static int touch_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct machine *machine = context;

	for (; first < last; first++)
		(void)*(volatile unsigned char *)frame_address(machine, first);
	return 0;
}

static int touch_run(struct machine *machine, const struct step *step,
		     struct set *set, struct run *run)
{
	(void)step;
	(void)set;
	return touch_stretch(machine, run->pfn,
			     run->pfn + ((cf_pfn)1 << run->order));
}

/* With debug_pagealloc a wrong touch is a crash: only "caught" may try. */
int step_touch(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	bool is_set = step->place.kind == PLACE_NAME &&
		      machine->config.names[step->place.name].noun == NOUN_SET;

	if (is_set)
		return each_run(machine, step, outcome, 1u << RUN_HELD |
				1u << RUN_FROZEN | 1u << RUN_KEPT, touch_run);
	if (machine->map_config.debug_pagealloc && !machine->raw)
		return refuse(outcome, CF_EINVAL, "only frames of a set may be"
			      " touched here; or \"expect caught touch\"");
	(void)place_each(machine, &step->place, touch_stretch, machine);
	did(outcome, "touched");
	return 0;
}
