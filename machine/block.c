/* SPDX-License-Identifier: MIT */

/* Steps on blocks: added, online, offline, removed. */

#include <stdlib.h>
#include <sys/mman.h>

#include "internal.h"
#include "known.h"

#define DEFAULT_PASSES	10

static const char *blocks_text(struct machine *machine, cf_pfn first,
			       cf_pfn last, char text[64])
{
	unsigned long long from = first / machine->block_frames;
	unsigned long long to = last / machine->block_frames - 1;

	if (from == to)
		(void)snprintf(text, 64, "block %llu", from);
	else
		(void)snprintf(text, 64, "blocks %llu to %llu", from, to);
	return text;
}

static int say_error(struct outcome *outcome, int err)
{
	if (outcome->reported)
		return err;
	return refuse(outcome, (enum cf_err)-err, "%s", cf_strerror(err));
}

/* What an error means of a call that comes without a report. */
struct meaning {
	enum cf_err err;
	const char *text;
};

static int say_meaning(struct outcome *outcome, int err,
		       const struct meaning *meaning)
{
	for (; meaning->text; meaning++)
		if (err == -(int)meaning->err)
			return refuse(outcome, meaning->err, "%s",
				      meaning->text);
	return say_error(outcome, err);
}

static const struct meaning add_meaning[] = {
	{ CF_EBUSY, "a block of them is there already" },
	{ CF_EINVAL, "blocks so small cannot describe themselves" },
	{ CF_ENOMEM, "there is no memory for their words" },
	{ 0, NULL },
};

static const struct meaning remove_meaning[] = {
	{ CF_EBUSY, "a block of them is not offline" },
	{ CF_EGONE, "a block of them is not there" },
	{ CF_EINVAL, "what was added together is removed together" },
	{ 0, NULL },
};

static const struct meaning adopt_meaning[] = {
	{ CF_EGONE, "a block of them is not there" },
	{ CF_EINVAL, "the owner is not registered" },
	{ 0, NULL },
};

/* What a call with a report answered. */
static int answer(struct outcome *outcome, int err)
{
	outcome->reported = err && outcome->report.reason != CF_REASON_NONE;
	outcome->err = err;
	return err ? say_error(outcome, err) : 0;
}

static void note_added(struct machine *machine, cf_pfn first, cf_pfn last)
{
	if (machine->added_first == machine->added_last) {
		machine->added_first = first;
		machine->added_last = last;
	}
	if (first < machine->added_first)
		machine->added_first = first;
	if (last > machine->added_last)
		machine->added_last = last;
}

/* One group: what is added together is removed together. */
static int add_group(struct machine *machine, cf_pfn first, cf_pfn last,
		     struct cf_block_config config)
{
	int err = block_group_add(machine, first, last, config);

	if (!err)
		note_added(machine, first, last);
	return err;
}

int step_add(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	cf_pfn first = step->place.first, last = step->place.last, at;
	struct cf_block_config config = {
		.meta = (enum cf_meta)step->key[KEY_METADATA],
		.node = (uint32_t)step->key[KEY_NODE],
		.range_owner = owner_id(machine,
					step_value(step, KEY_OWNER,
						   OWNER_ALLOCATOR)),
	};
	cf_pfn group = step_has(step, KEY_EACH) ? machine->block_frames :
						  last - first;
	char text[64];
	int err = 0;

	if (step->key[KEY_NODE] == CF_NODE_ANY)
		return refuse(outcome, CF_EINVAL, "which node?");
	for (at = first; !err && at < last; at += group) {
		err = add_group(machine, at, at + group, config);
		outcome->done += err ? 0 : group;
	}
	if (err)
		return say_meaning(outcome, err, add_meaning);
	did(outcome, "%s added, offline",
	    blocks_text(machine, first, last, text));
	return 0;
}

int step_remove(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	cf_pfn first = step->place.first, last = step->place.last;
	char text[64];
	int err;

	err = cf_block_remove(machine->map, first, last);
	if (err)
		return say_meaning(outcome, err, remove_meaning);
	block_groups_forget(machine, first, last);
	if (cf_host_discard(&machine->memory, first, last))
		return refuse(outcome, CF_EPORT,
			      "the system takes nothing back");
	did(outcome, "%s removed", blocks_text(machine, first, last, text));
	return 0;
}

int step_online(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	cf_pfn first = step->place.first, last = step->place.last;
	struct cf_stat before, after;
	char text[64], size[24];
	int err;

	cf_stat(machine->map, &before);
	err = cf_block_online(machine->map, first, last,
			      (enum cf_zone_kind)step->key[KEY_ZONE],
			      &outcome->report);
	if (err)
		return answer(outcome, err);
	cf_stat(machine->map, &after);
	outcome->done = after.managed - before.managed;
	did(outcome, "%s online in zone %s, %s exposed",
	    blocks_text(machine, first, last, text),
	    cf_zone_name((enum cf_zone_kind)step->key[KEY_ZONE]),
	    machine_size(outcome->done, size));
	return 0;
}

void operation_status(const struct operation *operation,
		      struct cf_offline_status *ret_status)
{
	const struct cf_offline_status *before = &operation->before;
	uint32_t steps;

	cf_block_offline_status(&operation->offline, ret_status);
	if (!operation->restored)
		return;
	steps = ret_status->steps;
	if (before->state != CF_OFFLINE_GOING ||
	    (!steps && ret_status->state == CF_OFFLINE_GOING)) {
		*ret_status = *before;
		return;
	}
	ret_status->steps += before->steps;
	ret_status->migrated += before->migrated;
}

static int end_offline(struct machine *machine, struct operation *operation,
		       int err, struct outcome *outcome)
{
	struct cf_offline_status status;
	char text[64], size[24];

	operation_status(operation, &status);
	outcome->report = status.report;
	outcome->moved = status.migrated;
	if (err)
		return answer(outcome, err);
	did(outcome, "%s offline after %u step%s, %s moved",
	    blocks_text(machine, operation->first, operation->last, text),
	    status.steps, status.steps == 1 ? "" : "s",
	    machine_size(status.migrated, size));
	return 0;
}

/* Steps of one operation, at most @passes; the last answer. */
static int step_through(struct machine *machine, struct operation *operation,
			uint64_t passes)
{
	struct cf_offline_status status;
	uint64_t pass;
	int err = -CF_EAGAIN;

	for (pass = 0; pass < passes && err; pass++) {
		/* What is in motion signals when it has come to rest. */
		if (pass)
			(void)cf_host_wait_signal(&machine->memory, 1);
		err = cf_block_offline_step(&operation->offline);
		if (err != -CF_EAGAIN && err != -CF_EBUSY)
			break;
		operation_status(operation, &status);
		progress(machine, "offline", status.free + status.skippable,
			 status.total);
	}
	return err;
}

int step_offline(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct operation operation = {
		.first = step->place.first,
		.last = step->place.last,
	};
	int err;

	err = cf_block_offline_start(machine->map, &operation.offline,
				     operation.first, operation.last,
				     &outcome->report);
	if (err)
		return answer(outcome, err);
	err = step_through(machine, &operation,
			   step_value(step, KEY_PASSES, DEFAULT_PASSES));
	err = end_offline(machine, &operation, err, outcome);
	if (err && cf_block_offline_cancel(&operation.offline))
		return refuse(outcome, CF_EINVAL, "it cannot be cancelled");
	return err;
}

int step_offline_start(struct machine *machine, const struct step *step,
		       struct outcome *outcome)
{
	struct operation *operation = calloc(1, sizeof(*operation));
	char text[64];
	int err;

	if (!operation)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	operation->first = step->place.first;
	operation->last = step->place.last;
	err = cf_block_offline_start(machine->map, &operation->offline,
				     operation->first, operation->last,
				     &outcome->report);
	if (err) {
		free(operation);
		return answer(outcome, err);
	}
	machine->object[step->name].operation = operation;
	did(outcome, "%s isolated: nothing of it is handed out any more",
	    blocks_text(machine, operation->first, operation->last, text));
	return 0;
}

static struct operation *find_operation(struct machine *machine,
					const struct step *step,
					struct outcome *outcome)
{
	struct operation *operation = machine->object[step->name].operation;

	if (!operation)
		(void)refuse(outcome, CF_EGONE, "%s was not started",
			     machine->name[step->name]);
	return operation;
}

int step_offline_step(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	struct operation *operation = find_operation(machine, step, outcome);
	int err;

	if (!operation)
		return outcome->err;
	err = step_through(machine, operation, step_value(step, KEY_TIMES, 1));
	return end_offline(machine, operation, err, outcome);
}

int step_offline_cancel(struct machine *machine, const struct step *step,
			struct outcome *outcome)
{
	struct operation *operation = find_operation(machine, step, outcome);
	char text[64];
	int err;

	if (!operation)
		return outcome->err;
	err = cf_block_offline_cancel(&operation->offline);
	if (err)
		return say_error(outcome, err);
	did(outcome, "%s in use as before",
	    blocks_text(machine, operation->first, operation->last, text));
	return 0;
}

/* A question: what it finds is an answer, not a failure. */
int step_query(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	cf_pfn first = step->place.first, last = step->place.last;
	char text[64], why[2 * OUTCOME_TEXT_BYTES];
	int err;

	err = cf_block_offline_query(machine->map, first, last,
				     &outcome->report);
	if (err == -CF_EINVAL || err == -CF_EGONE)
		return answer(outcome, err);
	outcome->reported = err && outcome->report.reason != CF_REASON_NONE;
	if (err) {
		explain(machine, &outcome->report, why, sizeof(why));
		did(outcome, "%s could not go offline: %.180s",
		    blocks_text(machine, first, last, text), why);
		outcome->queried = err;
	} else {
		did(outcome, "nothing is seen to keep %s from going offline",
		    blocks_text(machine, first, last, text));
	}
	return 0;
}

int step_adopt(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	uint64_t number = step->key[KEY_OWNER];
	char text[64];
	int err;

	err = cf_block_adopt(machine->map, step->place.first, step->place.last,
			     owner_id(machine, number));
	if (err)
		return say_meaning(outcome, err, adopt_meaning);
	did(outcome, "%s is of %s's range now",
	    blocks_text(machine, step->place.first, step->place.last, text),
	    name_of_owner(machine, owner_id(machine, number)));
	return 0;
}

/* What a step does with each stretch of a place. */
struct stretches {
	struct machine *machine;
	struct outcome *outcome;
	uint64_t pending;	/* frames that go when they are freed */
};

static int retire_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct stretches *retiring = context;
	enum cf_retire_state state;
	int err = 0;

	for (; !err && first < last; first++) {
		err = cf_retire(retiring->machine->map, first, &state);
		if (err)
			return refuse(retiring->outcome, (enum cf_err)-err,
				      "frame %llu: %s",
				      (unsigned long long)first,
				      cf_strerror(err));
		if (bad_note(retiring->machine, first))
			return refuse(retiring->outcome, CF_ENOMEM,
				      "the process has no memory");
		retiring->outcome->done++;
		retiring->pending += state == CF_RETIRE_PENDING;
	}
	return err;
}

int step_retire(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct stretches retiring = { machine, outcome, 0 };
	int err = place_each(machine, &step->place, retire_stretch, &retiring);

	did(outcome, "%llu frame%s out for good, %llu when freed",
	    (unsigned long long)(outcome->done - retiring.pending),
	    outcome->done - retiring.pending == 1 ? "" : "s",
	    (unsigned long long)retiring.pending);
	return err;
}

int step_compact(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct cf_compaction done;
	char size[24];
	int err;

	err = cf_compact(machine->map, (unsigned)step->key[KEY_NODE],
			 (enum cf_zone_kind)step_value(step, KEY_ZONE,
						       CF_ZONE_NORMAL),
			 step_value(step, KEY_CHUNKS, 1), &done);
	outcome->done = done.chunks_freed * CF_CHUNK_FRAMES;
	outcome->moved = done.frames_moved;
	did(outcome, "%llu chunk%s made free of %llu tried, %s moved",
	    (unsigned long long)done.chunks_freed,
	    done.chunks_freed == 1 ? "" : "s",
	    (unsigned long long)done.chunks_tried,
	    machine_size(done.frames_moved, size));
	return err ? say_error(outcome, err) : 0;
}

int step_drain(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	int err = cf_drain(machine->map);

	(void)step;
	if (err)
		return say_error(outcome, err);
	did(outcome, "no CPU's cache holds frames");
	return 0;
}

int step_watermarks(struct machine *machine, const struct step *step,
		    struct outcome *outcome)
{
	struct cf_watermarks marks = {
		step->key[KEY_MIN] / CF_FRAME_BYTES,
		step->key[KEY_LOW] / CF_FRAME_BYTES,
		step->key[KEY_HIGH] / CF_FRAME_BYTES,
	};
	enum cf_zone_kind zone = (enum cf_zone_kind)
		step_value(step, KEY_ZONE, CF_ZONE_NORMAL);
	int err;

	err = cf_zone_set_watermarks(machine->map,
				     (unsigned)step->key[KEY_NODE], zone,
				     marks);
	if (err)
		return say_error(outcome, err);
	did(outcome, "set");
	return 0;
}

/* Of an offline block all but what it hosts for itself. */
static bool is_unused(struct machine *machine, cf_pfn first)
{
	cf_pfn block = first / machine->block_frames * machine->block_frames;

	return first >= first_unused(machine, block);
}

/* May the system take these frames?  Only what nobody may touch. */
static bool is_offline(struct machine *machine, cf_pfn first, cf_pfn last)
{
	struct cf_span span;
	bool offline = true;
	cf_pfn at = first;

	cf_walk_begin(machine->map);
	while (offline && cf_walk_next(machine->map, &at, last, &span)) {
		offline = (span.kind == CF_SPAN_BLOCK_OFFLINE &&
			   is_unused(machine, first)) ||
			  (span.kind == CF_SPAN_RUN &&
			   span.type == CF_TYPE_OFFLINE);
		first = at;
	}
	cf_walk_end(machine->map);
	return offline;
}

static int discard_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct stretches *discarding = context;

	if (!is_offline(discarding->machine, first, last))
		return refuse(discarding->outcome, CF_EREFUSED, "frames %llu"
			      " to %llu are not all offline, or hold a block's"
			      " metadata", (unsigned long long)first,
			      (unsigned long long)last - 1);
	if (give_back(discarding->machine, first, last))
		return refuse(discarding->outcome, CF_EPORT,
			      "the system takes nothing back");
	discarding->outcome->done += last - first;
	return 0;
}

int step_discard(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct stretches discarding = { machine, outcome, 0 };
	int err = place_each(machine, &step->place, discard_stretch,
			     &discarding);
	char size[24];

	did(outcome, "%s given back to the system",
	    machine_size(outcome->done, size));
	return err;
}
