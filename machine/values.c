/* SPDX-License-Identifier: MIT */

/*
 * Values: what can be expected of a subject, and what the report says of it.
 * Both ask here, so that all that is reported can be expected.
 *
 * Each subject fills in what it has, a line a property.
 */

#include <string.h>

#include "device.h"
#include "known.h"
#include "pagemap.h"
#include "pools.h"

struct values {
	uint64_t of[PROPERTY_COUNT];
	const char *word;	/* of PROPERTY_OWNER, _WHO */
};

#define V(property)	values->of[PROPERTY_##property]

static uint64_t count_blocks(struct machine *machine)
{
	struct cf_block_info info;
	uint64_t blocks = 0;
	cf_pfn at;

	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames)
		blocks += !cf_block_info(machine->map, at, &info);
	return blocks;
}

static void fill_signals(struct machine *machine, struct values *values)
{
	(void)pthread_mutex_lock(&machine->signal_lock);
	V(LOW_SIGNALS) = machine->low_signals;
	V(EMPTY_SIGNALS) = machine->empty_signals;
	(void)pthread_mutex_unlock(&machine->signal_lock);
}

/* Resident memory takes the kernel a while: only when it is asked for. */
static void fill_map(struct machine *machine, enum property property,
		     struct values *values)
{
	struct cf_stat stat;

	cf_stat(machine->map, &stat);
	V(PRESENT) = stat.present;
	V(MANAGED) = stat.managed;
	V(FREE) = stat.free;
	V(CACHED) = stat.cached;
	V(OFFLINE) = stat.offline;
	V(NEVER_ONLINED) = stat.never_onlined;
	V(SKIPPABLE) = stat.skippable;
	V(RETIRED) = stat.retired;
	V(RESERVED) = stat.reserved;
	V(ISOLATED) = stat.isolated;
	V(KERNEL) = stat.by_type[CF_TYPE_KERNEL];
	V(FOLIO) = stat.by_type[CF_TYPE_FOLIO];
	V(DEVICE) = stat.by_type[CF_TYPE_DEVICE];
	V(PGTABLE) = stat.by_type[CF_TYPE_PGTABLE];
	V(SLAB) = stat.by_type[CF_TYPE_SLAB];
	V(BLOCKS) = count_blocks(machine);
	V(METADATA) = cf_map_bytes(&machine->map_config) +
		      cf_block_meta_bytes(machine->map, V(BLOCKS));
	if (property == PROPERTY_RSS)
		V(RSS) = cf_host_resident_bytes();
	fill_signals(machine, values);
}

static int fill_zone(struct machine *machine, const struct subject *subject,
		     uint64_t order, struct values *values,
		     struct outcome *outcome)
{
	struct cf_zone_stat stat;

	if (cf_zone_stat(machine->map, (unsigned)subject->node,
			 (enum cf_zone_kind)subject->zone, &stat))
		return refuse(outcome, CF_EINVAL, "there is no such zone");
	V(PRESENT) = stat.present;
	V(MANAGED) = stat.managed;
	V(FREE) = stat.free;
	V(CACHED) = stat.cached;
	V(OFFLINE) = stat.offline;
	V(BLOCKS) = stat.blocks;
	V(CHUNKS_FREE) = stat.chunks_free;
	V(FREE_RUNS) = stat.runs[order];
	return 0;
}

static int fill_block(struct machine *machine, const struct subject *subject,
		      enum property property, struct values *values,
		      struct outcome *outcome)
{
	struct cf_block_info info = { .state = CF_BLOCK_ABSENT };

	if (cf_block_info(machine->map, subject->place.first, &info) &&
	    property != PROPERTY_BLOCK_STATE)
		return refuse(outcome, CF_EGONE, "the block is absent");
	if (property == PROPERTY_ZONE && info.state < CF_BLOCK_GOING_ONLINE)
		return refuse(outcome, CF_EGONE, "the block is not online");
	V(BLOCK_STATE) = info.state;
	V(ZONE) = info.zone;
	V(NODE) = info.node;
	V(OWNER) = info.orphan ? CF_OWNER_ORPHAN : info.range_owner;
	V(ORPHAN) = info.orphan;
	V(SELF_HOSTED) = info.self_hosted;
	V(FREE) = info.free;
	V(OFFLINE) = info.offline;
	V(NEVER_ONLINED) = info.never_onlined;
	V(SKIPPABLE) = info.skippable;
	V(RETIRED) = info.retired;
	V(RESERVED) = info.reserved;
	V(CHUNKS) = info.chunks;
	V(CHUNKS_FREE) = info.chunks_free;
	V(CHUNKS_SPLIT) = info.chunks_split;
	V(CHUNKS_ISOLATED) = info.chunks_isolated;
	values->word = name_of_owner(machine, (uint32_t)V(OWNER));
	return 0;
}

static void fill_owner(struct machine *machine, struct owner *owner,
		       struct values *values)
{
	struct cf_owner_info info = { .frames = 0 };

	V(REGISTERED) = owner->registered &&
			!cf_owner_info(machine->map, owner->id, &info);
	V(FRAMES) = info.frames;
	V(BLOCKS) = info.blocks;
	V(PLUGGED) = bits_count(owner->plugged);
	V(BALLOONED) = bits_count(owner->ballooned);
	(void)pthread_mutex_lock(&owner->lock);
	V(KEPT) = owner->kept_frames;
	V(RELEASES) = owner->releases;
	V(ISOLATES) = owner->isolates;
	V(MIGRATES) = owner->migrates;
	V(PUTBACKS) = owner->putbacks;
	V(SPLITS) = owner->splits_done;
	V(DISSOLVES) = owner->dissolved;
	(void)pthread_mutex_unlock(&owner->lock);
}

static void fill_run(const struct run *run, struct values *values)
{
	V(MOVED) += run->moved;
	if (run->state == RUN_GONE)
		return;
	V(RUNS)++;
	V(FRAMES) += (uint64_t)1 << run->order;
}

static void fill_intact(struct machine *machine, const struct set *set,
			size_t index, struct values *values,
			struct outcome *outcome)
{
	cf_pfn frame;

	if (!V(INTACT) || run_intact(machine, set->run[index], &frame))
		return;
	V(INTACT) = 0;
	(void)snprintf(outcome->why, sizeof(outcome->why),
		       "frame %llu of %s[%zu] changed",
		       (unsigned long long)frame, set->name, index);
}

static int fill_set(struct machine *machine, const struct subject *subject,
		    enum property property, struct values *values,
		    struct outcome *outcome)
{
	struct runs runs;
	size_t i;
	int err;

	err = place_runs(machine, &subject->place, outcome, &runs);
	if (err)
		return err;
	V(INTACT) = 1;
	for (i = runs.first; i < runs.last; i++) {
		fill_run(runs.set->run[i], values);
		/* Contents are looked at only when they are asked for. */
		if (property == PROPERTY_INTACT)
			fill_intact(machine, runs.set, i, values, outcome);
	}
	if (property == PROPERTY_INTACT && !V(RUNS))
		return refuse(outcome, CF_EGONE, "%s holds nothing",
			      runs.set->name);
	return 0;
}

/* What a walker sees at a frame. */
static void look_at(struct machine *machine, cf_pfn pfn, struct cf_span *span)
{
	cf_pfn cursor = pfn;

	cf_walk_begin(machine->map);
	if (!cf_walk_next(machine->map, &cursor, pfn + 1, span))
		*span = (struct cf_span){ .kind = CF_SPAN_ABSENT };
	cf_walk_end(machine->map);
}

static bool has_flag(const struct cf_span *span, enum cf_flag flag)
{
	return (span->flags & (uint32_t)flag) != 0;
}

static bool is_counted(enum cf_type type)
{
	return type == CF_TYPE_KERNEL || type == CF_TYPE_FOLIO ||
	       type == CF_TYPE_DEVICE;
}

/* Of a frame: what only a run has. */
static bool needs_run(enum property property)
{
	return property != PROPERTY_FRAME_STATE && property != PROPERTY_BLOCK &&
	       property != PROPERTY_RETIREMENT && property != PROPERTY_ZONE &&
	       property != PROPERTY_IS_ISOLATED && property != PROPERTY_NODE &&
	       property != PROPERTY_KPAGEFLAGS &&
	       property != PROPERTY_KPAGECOUNT;
}

static int fill_frame(struct machine *machine, const struct subject *subject,
		      enum property property, struct values *values,
		      struct outcome *outcome)
{
	struct cf_span span;
	cf_pfn pfn;
	int err;

	err = place_frame(machine, &subject->place, &pfn, outcome);
	if (err)
		return err;
	look_at(machine, pfn, &span);
	V(FRAME_STATE) = span.kind;
	V(BLOCK) = pfn / machine->block_frames;
	V(RETIREMENT) = cf_retire_state(machine->map, pfn);
	V(IS_ISOLATED) = span.isolated;
	V(ZONE) = span.zone;
	V(NODE) = span.node;
	cf_export_flags(machine->map, pfn, pfn + 1, &V(KPAGEFLAGS));
	cf_export_counts(machine->map, pfn, pfn + 1, &V(KPAGECOUNT));
	if (!needs_run(property))
		return 0;
	if (span.kind != CF_SPAN_RUN)
		return refuse(outcome, CF_EGONE, "frame %llu is in no run: %s",
			      (unsigned long long)pfn,
			      property_word(PROPERTY_FRAME_STATE, span.kind));
	V(TYPE) = span.type;
	V(ORDER) = span.order;
	V(REFS) = span.refs;
	V(PINS) = span.pins;
	V(PAYLOAD) = span.payload;
	V(HEAD) = span.first;
	V(OWNER) = span.owner;
	values->word = name_of_owner(machine, span.owner);
	V(IS_FROZEN) = is_counted(span.type) && !span.refs;
	V(IS_MOVABLE) = has_flag(&span, CF_FLAG_MOVABLE);
	V(IS_SKIPPABLE) = has_flag(&span, CF_FLAG_SKIPPABLE);
	V(IS_NEVER_ONLINED) = has_flag(&span, CF_FLAG_NEVER_ONLINED);
	V(POISONED) = has_flag(&span, CF_FLAG_POISON);
	return 0;
}

static void fill_operation(struct machine *machine,
			   const struct operation *operation,
			   struct values *values)
{
	struct cf_offline_status status;

	operation_status(operation, &status);
	V(OPERATION_STATE) = status.state;
	V(STEPS) = status.steps;
	V(TOTAL) = status.total;
	V(FREE) = status.free;
	V(SKIPPABLE) = status.skippable;
	V(BUSY) = status.busy;
	V(MIGRATED) = status.migrated;
	V(REASON) = status.report.reason;
	V(TYPE) = status.report.type;
	V(OWNER) = status.report.owner;
	values->word = name_of_owner(machine, status.report.owner);
}

static void fill_watcher(struct watcher *watcher, struct values *values)
{
	(void)pthread_mutex_lock(&watcher->lock);
	V(GOING) = watcher->going;
	V(CANCELLED) = watcher->cancelled;
	V(FINISHED) = watcher->done;
	V(VETOES) = watcher->vetoes;
	V(PAUSED) = watcher->paused;
	V(FOUND) = watcher->count;
	V(STALE) = watcher->stale;
	V(PASSES) = watcher->passes;
	(void)pthread_mutex_unlock(&watcher->lock);
}

static void fill_walker(struct walker *walker, struct values *values)
{
	(void)pthread_mutex_lock(&walker->lock);
	V(PASSES) = walker->passes;
	V(SPANS) = walker->spans;
	V(TAKEN) = walker->taken;
	V(ABSENT) = walker->absent;
	(void)pthread_mutex_unlock(&walker->lock);
}

static void fill_load(struct machine *machine, struct values *values)
{
	struct load_totals sum;

	load_totals(machine, &sum);
	V(WORKERS) = sum.workers;
	V(OPS) = sum.ops;
	V(ALLOCS) = sum.allocs;
	V(FREES) = sum.frees;
	V(FAILED) = sum.failed;
	V(ERRORS) = sum.errors;
	V(MOVED) = sum.moved;
	V(HELD) = sum.held;
}

static uint64_t blocking(const struct cf_report *report)
{
	uint64_t frames = 0;
	unsigned i;

	for (i = 1; i < CF_REASON_COUNT; i++)
		frames += report->frames[i];
	return frames;
}

static bool is_of_report(enum property property)
{
	return property != PROPERTY_OK && property != PROPERTY_REFUSED &&
	       property != PROPERTY_ERROR && property != PROPERTY_DONE &&
	       property != PROPERTY_MOVED_FRAMES &&
	       property != PROPERTY_BLOCKING;
}

static int fill_last(struct machine *machine, enum property property,
		     struct values *values, struct outcome *outcome)
{
	const struct outcome *last = &machine->last;
	const struct cf_report *report = &last->report;
	int err = last->err ? last->err : last->queried;

	V(OK) = !err;
	V(REFUSED) = err != 0;
	V(ERROR) = (uint64_t)-err;
	V(DONE) = last->done;
	V(MOVED_FRAMES) = last->moved;
	V(BLOCKING) = last->reported ? blocking(report) : 0;
	if (!last->reported && is_of_report(property))
		return refuse(outcome, CF_EGONE, "the last step came with no"
			      " report");
	V(REASON) = report->reason;
	V(TYPE) = report->type;
	V(ORDER) = report->order;
	V(REFS) = report->refs;
	V(PINS) = report->pins;
	V(FRAME) = report->pfn;
	V(OWNER) = report->owner;
	if (property == PROPERTY_OWNER)
		values->word = name_of_owner(machine, report->owner);
	else
		values->word = report->who ? report->who : "nobody";
	return 0;
}

/* What a driver's last try found in the way, if anything. */
static int fill_refusal(struct machine *machine,
			const struct cf_report *report, enum property property,
			struct values *values, struct outcome *outcome)
{
	V(REASON) = report->reason;
	V(TYPE) = report->type;
	V(FRAME) = report->pfn;
	V(OWNER) = report->owner;
	V(BLOCKING) = blocking(report);
	values->word = property == PROPERTY_OWNER ?
		       name_of_owner(machine, report->owner) :
		       report->who ? report->who : "nobody";
	if (report->reason == CF_REASON_NONE &&
	    (property == PROPERTY_REASON || property == PROPERTY_TYPE ||
	     property == PROPERTY_FRAME || property == PROPERTY_OWNER ||
	     property == PROPERTY_WHO))
		return refuse(outcome, CF_EGONE, "nothing was in the way");
	return 0;
}

/* In frames; what the host does not say, a subject does not have. */
static int fill_view(struct device *device, enum property property,
		     struct values *values, struct outcome *outcome)
{
	struct host_view view;

	if (host_view(device->host, &view))
		return refuse(outcome, CF_EPORT, "the host does not say");
	V(HOST_PLUGGED) = view.plugged / CF_FRAME_BYTES;
	V(HOST_BALLOONED) = view.ballooned / CF_FRAME_BYTES;
	V(RESIDENT) = view.resident / CF_FRAME_BYTES;
	V(HOST_FREE) = view.free / CF_FRAME_BYTES;
	V(HOST_TOTAL) = view.total / CF_FRAME_BYTES;
	V(HOST_AVAILABLE) = view.available / CF_FRAME_BYTES;
	V(VIOLATIONS) = view.violations;
	if (view.violation)
		(void)snprintf(outcome->why, sizeof(outcome->why), "%s",
			       view.violation);
	if (values->of[property] < ~(uint64_t)0 / CF_FRAME_BYTES)
		return 0;
	return refuse(outcome, CF_EGONE, "the host was told nothing");
}

static int fill_mem(struct machine *machine, struct device *device,
		    enum property property, struct values *values,
		    struct outcome *outcome)
{
	struct cf_vmem_status status;
	int err;

	cf_vmem_status(&device->vmem, &status);
	err = fill_refusal(machine, &status.report, property, values, outcome);
	if (err)
		return err;
	V(MEM_STATE) = device->loaded ? status.phase : CF_VMEM_PHASE_COUNT;
	V(BROKEN) = status.broken;
	V(TOLD) = device->told;
	V(REQUESTED) = device->wanted / CF_FRAME_BYTES;
	V(PLUGGED) = status.plugged / CF_FRAME_BYTES;
	V(USABLE) = status.usable / CF_FRAME_BYTES;
	V(DEVICE_BLOCK) = status.device_block / CF_FRAME_BYTES;
	V(SUB_BLOCK) = status.sub_block / CF_FRAME_BYTES;
	V(BIG_BLOCKS) = status.big_blocks;
	V(NODE) = status.node;
	V(BLOCKS) = status.blocks;
	V(BLOCKS_PARTIAL) = status.blocks_partial;
	V(REQUESTS) = status.requests;
	V(NACKS) = status.nacks;
	V(BUSIES) = status.busies;
	V(RETRIES) = status.retries;
	return fill_view(device, property, values, outcome);
}

static int fill_balloon(struct device *device, enum property property,
			struct values *values, struct outcome *outcome)
{
	struct cf_balloon_status status;

	cf_balloon_status(&device->balloon, &status);
	V(BALLOON_STATE) = device->loaded ? status.phase :
					    CF_BALLOON_PHASE_COUNT;
	V(BROKEN) = status.broken;
	V(TARGET) = device->wanted / CF_FRAME_BYTES;
	V(BALLOONED) = status.held;
	V(MIGRATED) = status.migrated;
	V(REPORTED) = status.reported;
	V(HINTED) = status.hints;
	V(HINT_ROUNDS) = status.hint_rounds;
	V(STATS_SENT) = status.stats_sent;
	V(LOW_DEFLATED) = status.low_deflated;
	V(POISONED) = (status.features & CF_BALLOON_F_POISON) != 0;
	return fill_view(device, property, values, outcome);
}

static void fill_pagemap(struct machine *machine,
			 const struct pagemap *pagemap, struct values *values)
{
	struct cf_pagemap_info info = pagemap_info(machine, pagemap);

	V(TOTAL) = info.last - info.first;
	V(FREE) = info.idle;
	V(BUSY) = info.used;
	V(RETIRED) = info.retired;
	V(RESERVED) = info.reserved;
	V(NODE) = info.node;
}

/* Subjects that are an object of the scenario's. */
static int fill_object(struct machine *machine, const struct subject *subject,
		       enum property property, struct values *values,
		       struct outcome *outcome)
{
	union object object = machine->object[subject->name];

	if (!object.any)
		return refuse(outcome, CF_EGONE, "%s is not there",
			      machine->name[subject->name]);
	if (subject->kind == SUBJECT_MEM)
		return fill_mem(machine, object.device, property, values,
				outcome);
	if (subject->kind == SUBJECT_BALLOON)
		return fill_balloon(object.device, property, values, outcome);
	if (subject->kind == SUBJECT_POOL)
		pool_values(object.any, values->of);
	else if (subject->kind == SUBJECT_GUEST)
		guest_values(object.any, values->of);
	else if (subject->kind == SUBJECT_ELASTIC)
		objects_values(object.any, values->of);
	else if (subject->kind == SUBJECT_PAGEMAP)
		fill_pagemap(machine, object.any, values);
	else if (subject->kind == SUBJECT_OWNER)
		fill_owner(machine, object.owner, values);
	else if (subject->kind == SUBJECT_OPERATION)
		fill_operation(machine, object.operation, values);
	else if (subject->kind == SUBJECT_WALKER)
		fill_walker(object.walker, values);
	else
		fill_watcher(object.watcher, values);
	return 0;
}

static int fill(struct machine *machine, const struct subject *subject,
		const struct condition *condition, struct values *values,
		struct outcome *outcome)
{
	enum property property = condition->property;

	switch (subject->kind) {
	case SUBJECT_MAP:
		fill_map(machine, property, values);
		return 0;
	case SUBJECT_ZONE:
		return fill_zone(machine, subject, condition->order, values,
				 outcome);
	case SUBJECT_BLOCK:
		return fill_block(machine, subject, property, values, outcome);
	case SUBJECT_SET:
		return fill_set(machine, subject, property, values, outcome);
	case SUBJECT_FRAME:
		return fill_frame(machine, subject, property, values, outcome);
	case SUBJECT_LOAD:
		fill_load(machine, values);
		return 0;
	case SUBJECT_LAST:
		return fill_last(machine, property, values, outcome);
	default:
		return fill_object(machine, subject, property, values,
				   outcome);
	}
}

int value_of(struct machine *machine, const struct subject *subject,
	     const struct condition *condition, struct value *ret_value,
	     struct outcome *outcome)
{
	struct values values = { .word = NULL };
	int err = fill(machine, subject, condition, &values, outcome);

	if (err)
		return err;
	ret_value->number = values.of[condition->property];
	ret_value->word = values.word;
	return 0;
}

const char *value_text(enum property property, const struct value *value,
		       char text[64])
{
	unsigned long long number = value->number;
	char size[24];

	if (property == PROPERTY_KPAGEFLAGS) {
		(void)snprintf(text, 64, "0x%llx", number);
		return text;
	}
	switch (property_value(property)) {
	case VALUE_SIZE:
		return strcpy(text, machine_size(value->number, size));
	case VALUE_BYTES:
		(void)snprintf(text, 64, "%.1fM", (double)number / 1048576);
		return text;
	case VALUE_FLAG:
		return strcpy(text, number ? "yes" : "no");
	case VALUE_WORD:
		(void)snprintf(text, 64, "%s",
			       property_word(property, number));
		return text;
	case VALUE_OWNER:
	case VALUE_WHO:
		(void)snprintf(text, 64, "%s", value->word);
		return text;
	case VALUE_PLACE:
	case VALUE_NUMBER:
		break;
	}
	(void)snprintf(text, 64, "%llu", number);
	return text;
}
