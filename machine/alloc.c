/* SPDX-License-Identifier: MIT */

/* Steps that take runs for a set and give them back. */

#include "device.h"

#define BATCH_RUNS	256

/* The owner a step names; -1: it is gone. */
static int named_owner(struct machine *machine, const struct step *step,
		       struct outcome *outcome, struct owner **ret_owner)
{
	uint64_t number = step_value(step, KEY_OWNER, OWNER_ALLOCATOR);
	struct owner *owner = NULL;

	if (number == OWNER_ORPHAN)
		return refuse(outcome, CF_EINVAL,
			      "nobody takes frames for the orphan");
	if (number != OWNER_ALLOCATOR) {
		owner = owner_of_number(machine, number);
		if (!owner || !owner->registered)
			return refuse(outcome, CF_EGONE, "%s is not registered",
				      machine->name[number]);
	} else if (step_has(step, KEY_MOVABLE)) {
		owner = machine->folios;
	}
	*ret_owner = owner;
	return 0;
}

static int make_request(struct machine *machine, const struct step *step,
			struct outcome *outcome, struct cf_request *request,
			struct owner **ret_owner)
{
	static const struct {
		enum key key;
		uint16_t flag;
	} flags[] = {
		{ KEY_ZERO, CF_ALLOC_ZERO },
		{ KEY_NO_WAIT, CF_ALLOC_NOWAIT },
		{ KEY_FROZEN, CF_ALLOC_FROZEN },
		{ KEY_RESERVE, CF_ALLOC_RESERVE },
		{ KEY_THIS_NODE, CF_ALLOC_THISNODE },
		{ KEY_NO_SPLIT, CF_ALLOC_NOSPLIT },
	};
	bool movable = step_has(step, KEY_MOVABLE);
	size_t i;
	int err;

	err = named_owner(machine, step, outcome, ret_owner);
	if (err)
		return err;
	movable |= *ret_owner && !step_has(step, KEY_TYPE);
	*request = (struct cf_request){
		.order = (uint8_t)step_value(step, KEY_ORDER, 0),
		.type = (uint8_t)step_value(step, KEY_TYPE, movable ?
					    CF_TYPE_FOLIO : CF_TYPE_KERNEL),
		.owner = (uint16_t)(*ret_owner ? (*ret_owner)->id : 0),
		.zone = (uint8_t)step_value(step, KEY_ZONE,
					    step_has(step, KEY_MOVABLE) ?
					    CF_ZONE_MOVABLE : CF_ZONE_NORMAL),
		.node = (uint8_t)step_value(step, KEY_NODE, CF_NODE_ANY),
	};
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (step_has(step, flags[i].key))
			request->flags |= flags[i].flag;
	return 0;
}

static bool is_frozen_type(unsigned type)
{
	return type == CF_TYPE_PGTABLE || type == CF_TYPE_SLAB;
}

/* Does an owner ever look for a run by its frame? */
static bool owner_asks(const struct owner *owner)
{
	return owner && (owner->movable || owner->splits || owner->keeps);
}

/* The engine gave us a run: note it, tell the side table, write into it. */
static int take_run(struct machine *machine, struct set *set, cf_pfn pfn,
		    unsigned order, bool written)
{
	struct run *run = set_add_run(machine, set);
	int err = 0;

	if (!run)
		return -CF_ENOMEM;
	run->pfn = pfn;
	run->order = (uint8_t)order;
	run->state = set->frozen ? RUN_FROZEN : RUN_HELD;
	run->refs = set->frozen ? 0 : 1;
	if (written)
		run_fill(machine, run);
	if (owner_asks(set->owner))
		err = run_bind(machine, pfn, run);
	return err;
}

static void drop_run(struct machine *machine, struct set *set,
		     struct run *run)
{
	run_unbind(machine, run->pfn);
	run->state = RUN_GONE;
	if (set->frozen)
		cf_free_frozen(machine->map, run->pfn, run->order);
	else
		cf_put(machine->map, run->pfn);
}

/* Take back what a step that failed has allocated. */
static void drop_all(struct machine *machine, struct set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		drop_run(machine, set, set->run[i]);
	set_remove(machine, set);
}

static uint64_t count_runs(const struct amount *amount, unsigned order)
{
	switch (amount->unit) {
	case AMOUNT_COUNT:
		return amount->number;
	case AMOUNT_BYTES:
		return amount->number / CF_FRAME_BYTES >> order;
	case AMOUNT_ALL:
		break;
	}
	return ~(uint64_t)0;
}

static int check_amount(const struct step *step, unsigned order,
			struct outcome *outcome)
{
	uint64_t frames = step->amount.number / CF_FRAME_BYTES;

	if (step->amount.unit == AMOUNT_BYTES &&
	    frames & (((uint64_t)1 << order) - 1))
		return refuse(outcome, CF_EINVAL, "not a whole number of runs"
			      " of order %u", order);
	return 0;
}

static void say_set(struct machine *machine, const struct set *set,
		    struct outcome *outcome, const char *verb)
{
	cf_pfn low = CF_PFN_NONE, high = 0;
	uint64_t frames = set_frames(set);
	char size[24], where[64];
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (set->run[i]->pfn < low)
			low = set->run[i]->pfn;
		if (set->run[i]->pfn > high)
			high = set->run[i]->pfn;
	}
	low /= machine->block_frames;
	high /= machine->block_frames;
	if (low == high)
		(void)snprintf(where, sizeof(where), "block %llu",
			       (unsigned long long)low);
	else
		(void)snprintf(where, sizeof(where), "blocks %llu to %llu",
			       (unsigned long long)low,
			       (unsigned long long)high);
	outcome->done = frames;
	did(outcome, "%s %s in %zu run%s, %s%s%s, %s", verb,
	    machine_size(frames, size), set->count,
	    set->count == 1 ? "" : "s", cf_type_name(set->type),
	    set->owner ? " of " : "", set->owner ? set->owner->name : "",
	    where);
}

static int alloc_runs(struct machine *machine, const struct step *step,
		      struct set *set, struct cf_request request)
{
	uint64_t wanted = count_runs(&step->amount, request.order), i;
	cf_pfn pfn;
	int err;

	for (i = 0; i < wanted; i++) {
		do
			err = cf_alloc(machine->map, request, &pfn);
		while (err == -CF_ENOMEM && devices_give_way(machine));
		if (err == -CF_ENOMEM && i && step->amount.unit == AMOUNT_ALL)
			return 0;
		if (!err)
			err = take_run(machine, set, pfn, request.order,
				       !step_has(step, KEY_UNTOUCHED));
		if (err)
			return err;
		progress(machine, "alloc", i, wanted == ~(uint64_t)0 ? 0 :
						wanted);
	}
	return 0;
}

int step_alloc(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	struct cf_request request;
	struct owner *owner;
	struct set *set;
	int err;

	err = make_request(machine, step, outcome, &request, &owner);
	if (!err)
		err = check_amount(step, request.order, outcome);
	if (err)
		return err;
	set = set_add(machine, step->name);
	if (!set)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	set->owner = owner;
	set->type = (enum cf_type)request.type;
	set->frozen = step_has(step, KEY_FROZEN) ||
		      is_frozen_type(request.type);
	err = alloc_runs(machine, step, set, request);
	if (err) {
		drop_all(machine, set);
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	}
	say_set(machine, set, outcome, "allocated");
	return 0;
}

/* What take_stretch() does with the pieces of a range. */
struct taking {
	struct machine *machine;
	struct set *set;
	bool written;
};

/* The engine cuts a range into the largest runs that are aligned. */
static int take_pieces(const struct taking *taking, cf_pfn first, cf_pfn last,
		       unsigned max_order)
{
	int err = 0;

	while (!err && first < last) {
		unsigned order = max_order;

		while (first & (((cf_pfn)1 << order) - 1) ||
		       (cf_pfn)1 << order > last - first)
			order--;
		err = take_run(taking->machine, taking->set, first, order,
			       taking->written);
		first += (cf_pfn)1 << order;
	}
	return err;
}

static int take_stretch(void *context, cf_pfn first, cf_pfn last)
{
	const struct taking *taking = context;
	struct machine *machine = taking->machine;
	cf_pfn head = first, end;
	struct cf_snapshot shot;
	int err = 0;

	/* Ask the engine how large its runs are. */
	for (; !err && head < last; head = end) {
		if (cf_snapshot(machine->map, head, &shot))
			return -CF_EGONE;
		end = head + ((cf_pfn)1 << shot.order);
		err = take_run(machine, taking->set, head, shot.order,
			       taking->written);
	}
	return err;
}

int step_alloc_range(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	struct taking taking = { machine, NULL,
				 !step_has(step, KEY_UNTOUCHED) };
	struct cf_request request;
	struct owner *owner;
	struct set *set;
	int err;

	err = make_request(machine, step, outcome, &request, &owner);
	if (err)
		return err;
	err = cf_alloc_range(machine->map, step->place.first, step->place.last,
			     request, &outcome->report);
	outcome->reported = err && outcome->report.reason;
	if (err)
		return err;
	set = set_add(machine, step->name);
	if (!set)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	set->owner = owner;
	set->type = (enum cf_type)request.type;
	set->frozen = step_has(step, KEY_FROZEN) ||
		      is_frozen_type(request.type);
	set->first = step->place.first;
	set->last = step->place.last;
	taking.set = set;
	err = take_stretch(&taking, set->first, set->last);
	if (err)
		return refuse(outcome, (enum cf_err)-err,
			      "the range is not there as runs");
	say_set(machine, set, outcome, "took");
	return 0;
}

/* Wrong contents are the machine's to find: nothing is freed then. */
static int check_run(struct machine *machine, const struct set *set,
		     size_t index, struct outcome *outcome)
{
	cf_pfn frame;

	if (machine->raw || run_intact(machine, set->run[index], &frame))
		return 0;
	return refuse(outcome, CF_EINVAL,
		      "the contents of %s[%zu] changed, in frame %llu",
		      set->name, index, (unsigned long long)frame);
}

static int free_raw(struct machine *machine, const struct set *set,
		    const struct run *run)
{
	if (set->frozen)
		cf_free_frozen(machine->map, run->pfn, run->order);
	else
		cf_put(machine->map, run->pfn);
	return 0;
}

/* Drop the machine's own reference; others may keep the run. */
static void free_held(struct machine *machine, struct set *set,
		      struct run *run)
{
	bool keeps = set->owner && set->owner->registered &&
		     set->owner->keeps;

	run_lock(run);
	run->refs--;
	run->state = run->refs ? RUN_STRAY : RUN_GONE;
	run_unlock(run);
	if (!run->refs && !keeps)
		run_unbind(machine, run->pfn);
	cf_put(machine->map, run->pfn);
}

static int free_run(struct machine *machine, struct set *set, size_t index,
		    bool one, struct outcome *outcome)
{
	struct run *run = set->run[index];
	int err;

	if (machine->raw)
		return free_raw(machine, set, run);
	err = check_run(machine, set, index, outcome);
	if (err)
		return err;
	switch ((enum run_state)run->state) {
	case RUN_HELD:
		outcome->done += (uint64_t)1 << run->order;
		free_held(machine, set, run);
		return 0;
	case RUN_FROZEN:
		outcome->done += (uint64_t)1 << run->order;
		run->state = RUN_GONE;
		run_unbind(machine, run->pfn);
		cf_free_frozen(machine->map, run->pfn, run->order);
		return 0;
	case RUN_KEPT:
		return refuse(outcome, CF_EBUSY, "%s keeps %s[%zu]; \"empty\""
			      " makes it give up", set->owner->name, set->name,
			      index);
	case RUN_OFFLINE:
		return refuse(outcome, CF_EINVAL, "%s[%zu] is offline; use"
			      " offline-free", set->name, index);
	case RUN_STRAY:
	case RUN_GONE:
		break;
	}
	return one ? refuse(outcome, CF_EGONE, "%s[%zu] is freed already",
			    set->name, index) : 0;
}

/* Is the set exactly what alloc-range took, with nothing but its own claim? */
static bool is_whole_range(const struct set *set)
{
	size_t i;

	if (set->first == set->last || !set->count)
		return false;
	for (i = 0; i < set->count; i++)
		if (set->run[i]->moved || set->run[i]->refs > 1 ||
		    (set->run[i]->state != RUN_HELD &&
		     set->run[i]->state != RUN_FROZEN))
			return false;
	return true;
}

static int free_whole_range(struct machine *machine, struct set *set,
			    struct outcome *outcome)
{
	size_t i;
	int err;

	for (i = 0; i < set->count; i++) {
		err = check_run(machine, set, i, outcome);
		if (err)
			return err;
	}
	for (i = 0; i < set->count; i++) {
		set->run[i]->state = RUN_GONE;
		set->run[i]->refs = 0;
		run_unbind(machine, set->run[i]->pfn);
	}
	cf_free_range(machine->map, set->first, set->last);
	outcome->done = set->last - set->first;
	return 0;
}

int step_free(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	bool one = step->place.index != PLACE_WHOLE;
	uint64_t every = step_value(step, KEY_EVERY, 1);
	struct runs runs;
	struct set *set;
	char size[24];
	size_t i;
	int err;

	err = place_runs(machine, &step->place, outcome, &runs);
	if (err)
		return err;
	set = runs.set;
	if (!one && !machine->raw && every == 1 && is_whole_range(set) &&
	    !(set->owner && set->owner->keeps)) {
		err = free_whole_range(machine, set, outcome);
	} else {
		for (i = runs.first; !err && i < runs.last; i += every) {
			err = free_run(machine, set, i, one, outcome);
			progress(machine, "free", i, runs.last);
		}
	}
	if (err)
		return err;
	if (!outcome->done && !machine->raw)
		return refuse(outcome, CF_EGONE, "%s is freed already",
			      set->name);
	did(outcome, "freed %s, contents intact",
	    machine_size(outcome->done, size));
	return 0;
}

static uint32_t offline_flags(const struct step *step)
{
	return (step_has(step, KEY_MOVABLE) ? CF_FLAG_MOVABLE : 0) |
	       (step_has(step, KEY_SKIPPABLE) ? CF_FLAG_SKIPPABLE : 0);
}

/* Runs of one order, a batch at a time. */
static int offline_runs(struct machine *machine, const struct step *step,
			struct set *set, unsigned order)
{
	uint64_t wanted = count_runs(&step->amount, order);
	struct taking taking = { machine, set, false };
	cf_pfn pfn[BATCH_RUNS];
	size_t done, i;
	int err = 0;

	while (wanted && !err) {
		err = cf_offline_alloc_bulk(machine->map, set->owner->id,
					    order, offline_flags(step),
					    wanted < BATCH_RUNS ?
					    (size_t)wanted : BATCH_RUNS, pfn,
					    &done);
		for (i = 0; i < done; i++)
			(void)take_pieces(&taking, pfn[i],
					  pfn[i] + ((cf_pfn)1 << order),
					  order);
		wanted -= done;
	}
	if (err == -CF_ENOMEM && set->count && step->amount.unit == AMOUNT_ALL)
		return 0;
	return err;
}

/* Undo offline_runs(). */
static void online_all(struct machine *machine, struct set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		run_unbind(machine, set->run[i]->pfn);
		if (cf_offline_free(machine->map, set->owner->id,
				    set->run[i]->pfn, set->run[i]->order))
			return;
	}
	set_remove(machine, set);
}

static int offline_range(struct machine *machine, const struct step *step,
			 struct set *set, struct outcome *outcome)
{
	const struct place *place = &step->place;
	struct taking taking = { machine, set, false };
	unsigned order = machine->map_config.block_order;
	int err;

	err = cf_offline_alloc_range(machine->map, set->owner->id,
				     place->first, place->last,
				     offline_flags(step), &outcome->report);
	outcome->reported = err && outcome->report.reason;
	return err ? err : take_pieces(&taking, place->first, place->last,
				       order);
}

static int give_set_back(struct machine *machine, const struct set *set)
{
	size_t i, first = 0;
	int err = 0;

	for (i = 1; !err && i <= set->count; i++) {
		const struct run *last = set->run[i - 1];
		cf_pfn end = last->pfn + ((cf_pfn)1 << last->order);

		if (i < set->count && set->run[i]->pfn == end)
			continue;
		err = give_back(machine, set->run[first]->pfn, end);
		first = i;
	}
	return err;
}

int step_offline_alloc(struct machine *machine, const struct step *step,
		       struct outcome *outcome)
{
	unsigned order = (unsigned)step_value(step, KEY_ORDER, 0);
	struct owner *owner;
	struct set *set;
	size_t i;
	int err;

	err = named_owner(machine, step, outcome, &owner);
	if (!err)
		err = check_amount(step, order, outcome);
	if (err)
		return err;
	if (!owner)
		return refuse(outcome, CF_EINVAL, "an owner is needed");
	set = set_add(machine, step->name);
	if (!set)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	set->owner = owner;
	set->type = CF_TYPE_OFFLINE;
	set->frozen = true;
	err = step->place.kind == PLACE_NONE ?
		offline_runs(machine, step, set, order) :
		offline_range(machine, step, set, outcome);
	if (err) {
		online_all(machine, set);
		return outcome->reported || outcome->err ? err :
			refuse(outcome, (enum cf_err)-err, "%s",
			       cf_strerror(err));
	}
	for (i = 0; i < set->count; i++)
		set->run[i]->state = RUN_OFFLINE;
	if (!step_has(step, KEY_RESIDENT) && give_set_back(machine, set))
		return refuse(outcome, CF_EPORT,
			      "the system takes nothing back");
	say_set(machine, set, outcome, "took");
	return 0;
}

static int free_offline_set(struct machine *machine, const struct step *step,
			    struct outcome *outcome)
{
	struct runs runs = { NULL, 0, 0 };
	size_t i;
	int err;

	err = place_runs(machine, &step->place, outcome, &runs);
	for (i = runs.first; !err && i < runs.last; i++) {
		struct set *set = runs.set;
		struct run *run = set->run[i];

		if (run->state != RUN_OFFLINE && !machine->raw) {
			if (step->place.index == PLACE_WHOLE)
				continue;
			return refuse(outcome, CF_EGONE, "%s[%zu] is not"
				      " offline", set->name, i);
		}
		err = cf_offline_free(machine->map, set->owner->id, run->pfn,
				      run->order);
		if (err)
			return refuse(outcome, (enum cf_err)-err, "%s[%zu]: %s",
				      set->name, i, cf_strerror(err));
		run->state = RUN_GONE;
		run_unbind(machine, run->pfn);
		outcome->done += (uint64_t)1 << run->order;
	}
	return err;
}

/* Why frames cannot be dealt with as an owner's offline ones. */
static int say_frames(struct outcome *outcome, int err)
{
	if (err == -CF_EREFUSED)
		return refuse(outcome, CF_EREFUSED, "not all of them are"
			      " offline and the owner's to say so");
	if (err == -CF_EGONE)
		return refuse(outcome, CF_EGONE, "not all of them are in"
			      " blocks that are online");
	return refuse(outcome, (enum cf_err)-err, "%s", cf_strerror(err));
}

int step_offline_free(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	const struct place *place = &step->place;
	char size[24];
	int err;

	if (place->kind == PLACE_NAME) {
		if (machine->config.names[place->name].noun != NOUN_SET)
			return refuse(outcome, CF_EINVAL,
				      "a set or frames are needed");
		err = free_offline_set(machine, step, outcome);
	} else {
		err = cf_offline_free_range(machine->map, owner_id(machine,
					    step_value(step, KEY_OWNER,
						       OWNER_ALLOCATOR)),
					    place->first, place->last);
		outcome->done = err ? 0 : place->last - place->first;
	}
	if (err)
		return outcome->err ? err : say_frames(outcome, err);
	did(outcome, "gave %s to the allocator",
	    machine_size(outcome->done, size));
	return 0;
}

struct marking {
	struct machine *machine;
	uint32_t owner;
	bool on;
	uint64_t frames;
};

static int mark_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct marking *marking = context;
	int err = cf_offline_set_skippable(marking->machine->map,
					   marking->owner, first, last,
					   marking->on);

	if (!err)
		marking->frames += last - first;
	return err;
}

static int adopt_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct marking *marking = context;
	int err = cf_offline_adopt_range(marking->machine->map, marking->owner,
					 first, last);

	if (!err)
		marking->frames += last - first;
	return err;
}

int step_offline_adopt(struct machine *machine, const struct step *step,
		       struct outcome *outcome)
{
	struct marking marking = {
		machine, owner_id(machine, step->key[KEY_OWNER]), true, 0,
	};
	int err = place_each(machine, &step->place, adopt_stretch, &marking);
	char size[24];

	if (err)
		return say_frames(outcome, err);
	outcome->done = marking.frames;
	did(outcome, "%s taken over by %s", machine_size(marking.frames, size),
	    name_of_owner(machine, marking.owner));
	return 0;
}

int step_skippable(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	struct marking marking = {
		machine, owner_id(machine, step->key[KEY_OWNER]),
		!step_has(step, KEY_OFF), 0,
	};
	int err = place_each(machine, &step->place, mark_stretch, &marking);
	char size[24];

	if (err)
		return say_frames(outcome, err);
	outcome->done = marking.frames;
	did(outcome, "%s %s be stepped over",
	    machine_size(marking.frames, size), marking.on ? "may" : "may not");
	return 0;
}

int step_payload(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct runs runs = { NULL, 0, 0 };
	size_t i;
	int err;

	if (step->amount.number > UINT32_MAX)
		return refuse(outcome, CF_EINVAL, "a payload has 32 bits");
	err = place_runs(machine, &step->place, outcome, &runs);
	for (i = runs.first; !err && i < runs.last; i++) {
		const struct owner *owner = runs.set->owner;

		err = cf_offline_set_payload(machine->map, owner ? owner->id :
					     CF_OWNER_NONE,
					     runs.set->run[i]->pfn,
					     (uint32_t)step->amount.number);
	}
	if (err && !outcome->err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	if (!err)
		did(outcome, "noted");
	return err;
}
