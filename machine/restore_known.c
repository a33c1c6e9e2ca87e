/* SPDX-License-Identifier: MIT */

/*
 * What a saved machine knew: its sets of runs, remembered frames, subscribers
 * and all others that have a name.
 *
 * A name has one object at most, of its own noun; what a record refers to
 * came before it.
 */

#include <stdlib.h>
#include <string.h>

#include "restore.h"

static struct owner *owner_called(struct restore *restore, uint32_t number)
{
	if (number == FACT_FOLIOS)
		return restore->machine->folios;
	return number == FACT_NOBODY ? NULL :
	       restore_find(restore, number, NOUN_OWNER);
}

int restore_set(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct fact_set fact;
	struct owner *owner;
	struct set *set;

	fact_set(code, &fact);
	if (code->failed)
		return 0;
	owner = owner_called(restore, fact.owner);
	if (!owner && fact.owner != FACT_NOBODY)
		return -1;
	if (!restore_slot(restore, fact.number, NOUN_SET))
		return -1;
	/* What is offline always names whose it is. */
	if (fact.type == CF_TYPE_OFFLINE && !owner)
		return restore_wrong(restore, "set %s is nobody's",
				     machine->name[fact.number]);
	set = set_add(machine, fact.number);
	if (!set)
		return restore_wrong(restore, "out of memory");
	set->owner = owner;
	set->type = (enum cf_type)fact.type;
	set->frozen = fact.frozen;
	set->first = fact.first;
	set->last = fact.last;
	return 0;
}

/* Does the map have the run that a member of a set says it is? */
static bool member_fits(struct restore *restore, const struct set *set,
			const struct run *run)
{
	struct cf_snapshot shot;

	if (run->pfn >= restore->machine->map_config.last)
		return run->state == RUN_GONE && run->pfn == CF_PFN_NONE;
	/* Offline frames may have been given back by their numbers. */
	if (run->state == RUN_GONE || run->state == RUN_OFFLINE)
		return run->state == RUN_GONE || set->owner;
	if (cf_snapshot(restore->machine->map, run->pfn, &shot) ||
	    shot.order != run->order || run->pins > run->refs)
		return false;
	switch ((enum run_state)run->state) {
	case RUN_HELD: case RUN_STRAY:
		return run->refs && shot.refs >= run->refs &&
		       shot.pins >= run->pins;
	default:
		return !shot.refs && shot.type != CF_TYPE_OFFLINE &&
		       !run->refs;
	}
}

/* All but its lock, its set and its place in a list. */
static void copy_run(struct run *run, const struct run *from)
{
	run->refs = from->refs;
	run->pins = from->pins;
	run->state = from->state;
	run->order = from->order;
	run->written = from->written;
	run->moved = from->moved;
	run->pfn = from->pfn;
	run->seed = from->seed;
	run->skew = from->skew;
}

/* A run in use is in one set at most. */
static bool claim(struct restore *restore, const struct run *run)
{
	if (run->state == RUN_GONE || run->state == RUN_OFFLINE)
		return true;
	if (!restore->claimed)
		restore->claimed = bits_new(restore->machine->map_config.last);
	if (!restore->claimed || bits_get(restore->claimed, run->pfn))
		return false;
	bits_set(restore->claimed, run->pfn, run->pfn + 1, true);
	return true;
}

/* What was taken as a range consists of it, but for what has moved. */
static bool set_fits(const struct set *set)
{
	uint64_t frames = 0;
	size_t i;

	for (i = 0; i < set->count; i++) {
		const struct run *run = set->run[i];
		cf_pfn end = run->pfn + ((cf_pfn)1 << run->order);

		frames += (cf_pfn)1 << run->order;
		if (!run->moved && (run->pfn < set->first || end > set->last))
			return false;
	}
	return frames == set->last - set->first;
}

int restore_sets_end(struct restore *restore)
{
	struct machine *machine = restore->machine;
	uint32_t i;

	for (i = 0; i < restore->names; i++) {
		const struct set *set = machine->object[i].set;

		if (restore->name[i].noun != NOUN_SET || !set ||
		    set->first == set->last)
			continue;
		if (set->first > set->last || !set_fits(set))
			return restore_wrong(restore, "set %s is not the range"
					     " it was taken as", set->name);
	}
	return 0;
}

int restore_member(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct fact_member fact = { .set = 0 };
	struct set *set;
	struct run *run;

	fact_member(code, &fact);
	if (code->failed)
		return 0;
	set = restore_find(restore, fact.set, NOUN_SET);
	if (!set)
		return -1;
	if (!member_fits(restore, set, &fact.run) ||
	    !claim(restore, &fact.run) ||
	    (fact.bound && (fact.run.pfn >= machine->map_config.last ||
			    run_find(machine, fact.run.pfn))))
		return restore_wrong(restore, "%s[%zu] is not what the map"
				     " says", set->name, set->count);
	run = set_add_run(machine, set);
	if (!run)
		return restore_wrong(restore, "out of memory");
	copy_run(run, &fact.run);
	if (fact.bound && run_bind(machine, run->pfn, run))
		return restore_wrong(restore, "%s[%zu] cannot be known by its"
				     " frame", set->name, set->count - 1);
	return 0;
}

/* Stands at the end of a list that is being made: who is in it has a next. */
static struct run no_more;

void restore_kept_end(struct restore *restore)
{
	if (restore->kept_end)
		*restore->kept_end = NULL;
	restore->kept_end = NULL;
	restore->kept_of = NULL;
}

static bool is_kept_run(struct restore *restore, const struct owner *owner,
			const struct run *run)
{
	struct cf_snapshot shot;

	return run && run->state == RUN_KEPT && !run->next_kept &&
	       owner->keeps &&
	       !cf_snapshot(restore->machine->map, run->pfn, &shot) &&
	       (shot.owner == owner->id || !owner->registered);
}

/* The list begins with the one that was kept last. */
int restore_kept(struct restore *restore, struct code *code)
{
	struct fact_frame fact;
	struct owner *owner;
	struct run *run;

	fact_frame(code, &fact);
	if (code->failed)
		return 0;
	owner = restore_find(restore, fact.number, NOUN_OWNER);
	if (!owner)
		return -1;
	run = fact.pfn < restore->machine->map_config.last ?
		run_find(restore->machine, fact.pfn) : NULL;
	if (restore->kept_of != owner)
		restore_kept_end(restore);
	if (!is_kept_run(restore, owner, run) ||
	    (!restore->kept_end && owner->kept))
		return restore_wrong(restore, "%s keeps no run at frame %llu",
				     owner->name,
				     (unsigned long long)fact.pfn);
	if (restore->kept_end)
		*restore->kept_end = run;
	else
		owner->kept = run;
	run->next_kept = &no_more;
	restore->kept_of = owner;
	restore->kept_end = &run->next_kept;
	owner->kept_frames += (uint64_t)1 << run->order;
	return 0;
}

int restore_frame(struct restore *restore, struct code *code)
{
	struct fact_frame fact;
	struct remembered *frame;
	union object *slot;

	fact_frame(code, &fact);
	if (code->failed)
		return 0;
	slot = restore_slot(restore, fact.number, NOUN_FRAME);
	if (!slot)
		return -1;
	if (fact.pfn >= restore->machine->map_config.last ||
	    fact.pins > fact.refs)
		return restore_wrong(restore, "%s cannot be remembered",
				     restore->machine->name[fact.number]);
	frame = calloc(1, sizeof(*frame));
	if (!frame)
		return restore_wrong(restore, "out of memory");
	*frame = (struct remembered){ fact.pfn, fact.refs, fact.pins };
	slot->frame = frame;
	return 0;
}

/* A subscriber or a scanner, by what its name says. */
static enum noun watcher_noun(const struct restore *restore, uint32_t number)
{
	bool scans = number < restore->names &&
		     restore->name[number].noun == NOUN_SCANNER;

	return scans ? NOUN_SCANNER : NOUN_SUBSCRIBER;
}

int restore_watcher(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct watcher read = { .machine = NULL }, *watcher;
	struct cf_subscriber subscriber;
	uint32_t number = 0;
	union object *slot;

	fact_watcher(code, &number, &read);
	if (code->failed)
		return 0;
	slot = restore_slot(restore, number, watcher_noun(restore, number));
	watcher = slot ? watcher_new(machine, number) : NULL;
	if (!watcher)
		return restore_wrong(restore, "out of memory");
	slot->watcher = watcher;
	subscriber = watcher->subscriber;
	subscriber.priority = read.subscriber.priority;
	watcher->subscriber = subscriber;
	watcher->scans = read.scans;
	watcher->veto = read.veto;
	watcher->paused = read.paused;
	watcher->going = read.going;
	watcher->cancelled = read.cancelled;
	watcher->done = read.done;
	watcher->vetoes = read.vetoes;
	watcher->passes = read.passes;
	watcher->stale = read.stale;
	watcher->first = read.first;
	watcher->last = read.last;
	if (!read.added)
		return 0;
	if (cf_subscriber_add(machine->map, &watcher->subscriber))
		return restore_wrong(restore, "%s cannot be told of blocks",
				     machine->name[number]);
	watcher->added = true;
	return 0;
}

int restore_scanned(struct restore *restore, struct code *code)
{
	struct watcher *watcher;
	struct fact_frame fact;

	fact_frame(code, &fact);
	if (code->failed)
		return 0;
	watcher = restore_find(restore, fact.number,
			       watcher_noun(restore, fact.number));
	if (!watcher)
		return -1;
	if (fact.pfn >= restore->machine->map_config.last)
		return restore_wrong(restore, "a number beyond all frames");
	return watcher_keep(watcher, fact.pfn) ?
	       restore_wrong(restore, "out of memory") : 0;
}

int restore_walker(struct restore *restore, struct code *code)
{
	struct walker read = { .machine = NULL }, *walker;
	uint32_t number = 0;
	union object *slot;

	fact_walker(code, &number, &read);
	if (code->failed)
		return 0;
	slot = restore_slot(restore, number, NOUN_WALKER);
	walker = slot ? walker_new(restore->machine) : NULL;
	if (!walker)
		return restore_wrong(restore, "out of memory");
	slot->walker = walker;
	if (read.last > restore->machine->map_config.last)
		return restore_wrong(restore, "%s walks where nothing is",
				     restore->machine->name[number]);
	walker->asleep = read.running;
	walker->pause_ns = read.pause_ns;
	walker->first = read.first;
	walker->last = read.last;
	walker->passes = read.passes;
	walker->spans = read.spans;
	walker->taken = read.taken;
	walker->absent = read.absent;
	return 0;
}

/*
 * A report names who was in the way: an owner, a subscriber or a set, whose
 * name lives as long as the machine.
 */
const char *restore_word(struct restore *restore, const char *text)
{
	static const char *const others[] = {
		"allocator", "orphan", "folios", "load", "machine",
		"unregistered",
	};
	uint32_t i;

	for (i = 0; i < restore->names; i++)
		if (!strcmp(text, restore->machine->name[i]))
			return restore->machine->name[i];
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(text, others[i]))
			return others[i];
	return NULL;
}

/* What an owner's hook has said, too. */
static const char *word_kept(struct restore *restore, const char *text)
{
	const char *word = restore_word(restore, text);

	return word || !text[0] ? word : text_keep(restore->machine, text);
}

void restore_words(struct restore *restore, struct cf_report *report,
		   const struct fact_report_text *text)
{
	report->who = word_kept(restore, text->who);
	report->detail = word_kept(restore, text->detail);
}

/* It begins anew, and goes on from how far it was. */
static int resume_operation(struct restore *restore,
			    struct operation *operation, const char *name)
{
	struct cf_report report;
	int err;

	if (operation->before.state != CF_OFFLINE_GOING)
		return 0;
	err = cf_block_offline_start(restore->machine->map,
				     &operation->offline, operation->first,
				     operation->last, &report);
	return err ? restore_wrong(restore, "%s cannot go on: %s", name,
				   cf_strerror(err)) : 0;
}

int restore_operation(struct restore *restore, struct code *code)
{
	struct operation read = { .restored = true }, *operation;
	struct fact_report_text text;
	uint32_t number = 0;
	union object *slot;

	fact_operation(code, &number, &read, &read.before, &text);
	if (code->failed)
		return 0;
	slot = restore_slot(restore, number, NOUN_OPERATION);
	operation = slot ? calloc(1, sizeof(*operation)) : NULL;
	if (!operation)
		return restore_wrong(restore, "out of memory");
	*operation = read;
	restore_words(restore, &operation->before.report, &text);
	slot->operation = operation;
	return resume_operation(restore, operation,
				restore->machine->name[number]);
}

int restore_mark(struct restore *restore, struct code *code)
{
	struct mark *mark = calloc(1, sizeof(*mark));
	uint32_t number = 0;
	union object *slot;

	if (!mark)
		return restore_wrong(restore, "out of memory");
	fact_mark(code, &number, mark);
	slot = code->failed ? NULL : restore_slot(restore, number, NOUN_MARK);
	if (!slot) {
		free(mark);
		return code->failed ? 0 : -1;
	}
	slot->mark = mark;
	if (number == restore->fact.last_mark)
		restore->machine->last_mark = mark;
	return 0;
}

/*
 * The engine signals once when a zone falls below its low mark. One that was
 * below has signalled: a request that fails makes it so again.
 */
static int signal_low(struct restore *restore, const struct fact_zone *fact)
{
	struct machine *machine = restore->machine;
	struct cf_request request = {
		.order = CF_MAX_ORDER,
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)machine->folios->id,
		.zone = (uint8_t)fact->kind,
		.node = (uint8_t)fact->node,
		.flags = CF_ALLOC_THISNODE | CF_ALLOC_NOWAIT,
	};
	cf_pfn pfn;

	if (!cf_alloc(machine->map, request, &pfn))
		cf_put(machine->map, pfn);
	return 0;
}

int restore_zone(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct fact_zone fact;
	int err;

	fact_zone(code, &fact);
	if (code->failed)
		return 0;
	err = cf_zone_set_watermarks(machine->map, fact.node,
				     (enum cf_zone_kind)fact.kind, fact.marks);
	if (err)
		return restore_wrong(restore, "watermarks: %s",
				     cf_strerror(err));
	return fact.low ? signal_low(restore, &fact) : 0;
}

int restore_last(struct restore *restore, struct code *code)
{
	struct outcome *last = &restore->machine->last;
	struct fact_report_text text;

	fact_last(code, last, &text);
	if (!code->failed)
		restore_words(restore, &last->report, &text);
	return 0;
}

int restore_load(struct restore *restore, struct code *code)
{
	struct owner *owner = restore->load_owner;
	struct fact_load fact;
	int err;

	fact_load(code, &fact);
	if (code->failed)
		return 0;
	if (!owner || !owner->registered || restore->machine->load ||
	    fact.count != restore->fact.workers || !fact.count ||
	    fact.max_order > CF_MAX_ORDER)
		return restore_wrong(restore, "there can be no load like"
				     " that");
	restore->load_owner = NULL;
	err = load_restore(restore->machine, &fact, owner);
	return err ? restore_wrong(restore, "the load: %s", cf_strerror(err)) :
		     0;
}

int restore_worker(struct restore *restore, struct code *code)
{
	struct fact_worker fact;

	fact_worker(code, &fact);
	if (code->failed)
		return 0;
	return load_worker_restore(restore->machine, &fact) ?
	       restore_wrong(restore, "there is no worker %u", fact.number) :
	       0;
}

int restore_slot_run(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct fact_member fact = { .set = 0 };
	struct cf_snapshot shot;
	struct run *run;

	fact_slot(code, &fact);
	if (code->failed)
		return 0;
	run = load_slot(machine, fact.set, fact.slot);
	if (!run || run->state != RUN_GONE || fact.run.state != RUN_HELD ||
	    fact.run.pfn >= machine->map_config.last ||
	    cf_snapshot(machine->map, fact.run.pfn, &shot) ||
	    shot.order != fact.run.order || !fact.run.refs ||
	    shot.refs != fact.run.refs || shot.pins ||
	    !claim(restore, &fact.run) ||
	    (fact.bound && run_find(machine, fact.run.pfn)))
		return restore_wrong(restore, "worker %u does not hold frame"
				     " %llu", fact.set,
				     (unsigned long long)fact.run.pfn);
	copy_run(run, &fact.run);
	load_count_slot(machine, fact.set, run);
	return fact.bound && run_bind(machine, run->pfn, run) ?
	       restore_wrong(restore, "out of memory") : 0;
}
