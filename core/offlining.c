/* SPDX-License-Identifier: MIT */

/*
 * Taking blocks offline: an operation that is started, stepped, cancelled.
 *
 * start tells the subscribers, isolates every chunk and keeps the caches out;
 * from then on the frames in use can only become fewer.  step moves what can
 * be moved; whether all is empty stands in one mask a block, from which the
 * free that makes a chunk empty has counted it off.  The commit is
 * one transition under each block's lock; if a block has filled again between
 * two locks, because an owner took SKIPPABLE back, those before it go back.
 */

#include "internal.h"

struct operation {
	struct cf_map *map;		/* (C) while going */
	struct cfi_range range;		/* (H) */
	struct cf_lock lock;		/*     rank LEAF: status for readers */
	struct cf_offline_status status; /* lock and hotplug to write */
};
_Static_assert(sizeof(struct operation) <= sizeof(struct cf_offline),
	       "the public structure holds an operation");

static struct operation *operation_of(struct cf_offline *operation)
{
	return (struct operation *)(void *)operation;
}

/* What one block still holds. */
static void add_frames(struct cfi_block *block,
		       struct cf_offline_status *status)
{
	unsigned long state = cfi_block_lock(block);
	unsigned chunk;

	status->total += cfi_block_frames(block);
	status->free += block->free;
	for (chunk = 0; chunk < block->chunks; chunk++)
		status->skippable += block->chunk[chunk].skip;
	cfi_block_unlock(block, state);
}

static void publish_status(struct operation *operation,
			   const struct cf_offline_status *status)
{
	unsigned long state = cf_lock(&operation->lock);

	operation->status = *status;
	cf_unlock(&operation->lock, state);
}

static void count_frames(const struct operation *operation,
			 struct cf_offline_status *status)
{
	cf_pfn at = operation->range.first;
	struct cfi_block *block;

	status->total = 0;
	status->free = 0;
	status->skippable = 0;
	for (; at < operation->range.last; at = cfi_block_last(block)) {
		block = cfi_block_held(operation->map, at);
		add_frames(block, status);
	}
	status->busy = status->total - status->free - status->skippable;
}

/* Is the range online and nobody else's?  Caller holds hotplug. */
static int check(struct cf_map *map, cf_pfn first, cf_pfn last,
		 struct cf_report *report)
{
	uint32_t id = cfi_range_find(map, first, last);

	if (id) {
		cfi_report_add(map, report, CF_REASON_OPERATION, first, 0,
			       last - first);
		if (report)
			report->operation = id;
		return -CF_EBUSY;
	}
	return cfi_blocks_check(map, first, last, CF_BLOCK_ONLINE, report) ?
	       -CF_EGONE : 0;
}

int cf_block_offline_query(struct cf_map *map, cf_pfn first, cf_pfn last,
			   struct cf_report *ret_report)
{
	struct cfi_evacuation evacuation = {
		.query = true,
		.report = ret_report,
	};
	unsigned long state;
	int err;

	cfi_report_clear(ret_report);
	if (!cfi_range_aligned(map, first, last))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = check(map, first, last, ret_report);
	if (!err)
		cfi_evacuate(map, first, last, &evacuation);
	cf_unlock(&map->hotplug, state);
	if (!err && evacuation.stuck)
		err = -CF_EBUSY;
	return err;
}

/* Caller holds map->hotplug. */
static int start(struct operation *operation, struct cf_report *report)
{
	struct cf_map *map = operation->map;
	cf_pfn first = operation->range.first;
	cf_pfn last = operation->range.last;
	struct cf_offline_status status = { .state = CF_OFFLINE_GOING };
	int err;

	err = check(map, first, last, report);
	if (!err)
		err = cfi_notify_going(map, CF_EVENT_OFFLINE, first, last,
				       report);
	if (err)
		return err;
	err = cfi_isolate(map, &operation->range, report);
	if (err) {
		cfi_notify_cancel(map, CF_EVENT_OFFLINE, first, last);
		return err;
	}
	cfi_blocks_set(map, first, last, CF_BLOCK_GOING_OFFLINE);
	map->operations++;
	status.id = operation->range.id;
	count_frames(operation, &status);
	cfi_report_clear(&status.report);
	publish_status(operation, &status);
	return 0;
}

int cf_block_offline_start(struct cf_map *map, struct cf_offline *public,
			   cf_pfn first, cf_pfn last, struct cf_report *report)
{
	struct operation *operation = operation_of(public);
	unsigned long state;
	int err;

	cfi_report_clear(report);
	if (!cfi_range_aligned(map, first, last) ||
	    operation->status.state == CF_OFFLINE_GOING)
		return -CF_EINVAL;
	__builtin_memset(operation, 0, sizeof(*operation));
	operation->lock.rank = CF_RANK_LEAF;
	operation->map = map;
	operation->range.first = first;
	operation->range.last = last;
	state = cf_lock(&map->hotplug);
	err = start(operation, report);
	cf_unlock(&map->hotplug, state);
	return err;
}

/* The block's frames are out of the game, unless one came back. */
static bool leave(struct cfi_block *block)
{
	unsigned long state = cfi_block_lock(block);
	bool empty = block->pending == 0;

	if (empty)
		cfi_block_set_state(block, CF_BLOCK_OFFLINE);
	cfi_block_unlock(block, state);
	return empty;
}

static bool leave_all(struct operation *operation)
{
	struct cf_map *map = operation->map;
	cf_pfn at = operation->range.first;
	struct cfi_block *block;

	for (; at < operation->range.last; at = cfi_block_last(block)) {
		block = cfi_block_held(map, at);
		if (leave(block))
			continue;
		cfi_blocks_set(map, operation->range.first, at,
			   CF_BLOCK_GOING_OFFLINE);
		return false;
	}
	return true;
}

/* Every block is empty: forget their frames, give up the isolation. */
static void commit(struct operation *operation)
{
	struct cf_map *map = operation->map;
	cf_pfn first = operation->range.first;
	cf_pfn last = operation->range.last;
	struct cfi_block *block;
	unsigned long state;
	cf_pfn at;

	cf_content_sync(map);
	for (at = first; at < last; at = cfi_block_last(block)) {
		block = cfi_block_held(map, at);
		state = cfi_block_lock(block);
		cfi_block_reset(map, block);
		cfi_block_unlock(block, state);
	}
	cfi_unisolate(map, &operation->range);
	map->operations--;
	cfi_notify_done(map, CF_EVENT_OFFLINE, first, last);
}

/* Caller holds map->hotplug. */
static int step(struct operation *operation)
{
	struct cf_offline_status status = operation->status;
	struct cfi_evacuation evacuation = { .report = &status.report };
	int err;

	cfi_report_clear(&status.report);
	if (operation->range.undrained)
		operation->range.undrained =
			cfi_divert_drain(operation->map) != 0;
	/* Chunks that are empty are stepped over, by their counts. */
	cfi_evacuate(operation->map, operation->range.first,
		     operation->range.last, &evacuation);
	status.steps++;
	status.migrated += evacuation.migrated;
	count_frames(operation, &status);
	if (!evacuation.stuck && leave_all(operation)) {
		status.state = CF_OFFLINE_DONE;
		status.busy = 0;
		commit(operation);
		publish_status(operation, &status);
		return 0;
	}
	err = evacuation.stuck && !evacuation.moving && !evacuation.migrated ?
	      -CF_EBUSY : -CF_EAGAIN;
	if (operation->range.undrained) {
		cfi_report_add(operation->map, &status.report, CF_REASON_CACHE,
			       operation->range.first, 0, 1);
		err = -CF_EAGAIN;
	}
	publish_status(operation, &status);
	return err;
}

static bool is_going(struct operation *operation)
{
	enum cf_offline_state known = CF_OFFLINE_IDLE;
	unsigned long state;

	if (!operation->map)
		return false;
	state = cf_lock(&operation->lock);
	known = operation->status.state;
	cf_unlock(&operation->lock, state);
	return known == CF_OFFLINE_GOING;
}

int cf_block_offline_step(struct cf_offline *public)
{
	struct operation *operation = operation_of(public);
	struct cf_map *map = operation->map;
	unsigned long state;
	int err = -CF_EINVAL;

	/* Once it has ended the map may be gone. */
	if (!is_going(operation))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	if (operation->status.state == CF_OFFLINE_GOING)
		err = step(operation);
	cf_unlock(&map->hotplug, state);
	return err;
}

/* Caller holds map->hotplug. */
static void cancel(struct operation *operation)
{
	struct cf_offline_status status = operation->status;
	struct cf_map *map = operation->map;
	cf_pfn first = operation->range.first;
	cf_pfn last = operation->range.last;

	cfi_blocks_set(map, first, last, CF_BLOCK_ONLINE);
	cfi_unisolate(map, &operation->range);
	map->operations--;
	status.state = CF_OFFLINE_CANCELLED;
	publish_status(operation, &status);
	cfi_notify_cancel(map, CF_EVENT_OFFLINE, first, last);
}

int cf_block_offline_cancel(struct cf_offline *public)
{
	struct operation *operation = operation_of(public);
	struct cf_map *map = operation->map;
	unsigned long state;
	int err = -CF_EINVAL;

	if (!is_going(operation))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	if (operation->status.state == CF_OFFLINE_GOING) {
		cancel(operation);
		err = 0;
	}
	cf_unlock(&map->hotplug, state);
	return err;
}

void cf_block_offline_status(const struct cf_offline *public,
			     struct cf_offline_status *ret_status)
{
	/* The lock inside is all that changes. */
	struct operation *operation = (struct operation *)(uintptr_t)public;
	unsigned long state;

	if (!operation->map) {
		__builtin_memset(ret_status, 0, sizeof(*ret_status));
		return;
	}
	state = cf_lock(&operation->lock);
	*ret_status = operation->status;
	cf_unlock(&operation->lock, state);
}

int cf_block_offline(struct cf_map *map, cf_pfn first, cf_pfn last,
		     unsigned passes, struct cf_report *report)
{
	struct cf_offline operation = { { 0 } };
	struct cf_offline_status status;
	unsigned pass;
	int err;

	err = cf_block_offline_start(map, &operation, first, last, report);
	if (err)
		return err;
	err = -CF_EAGAIN;
	for (pass = 0; pass < passes && err; pass++) {
		if (pass)
			cf_port_relax(pass);
		err = cf_block_offline_step(&operation);
	}
	if (err) {
		cf_block_offline_status(&operation, &status);
		if (report)
			*report = status.report;
		if (cf_block_offline_cancel(&operation))
			return -CF_EINVAL;
	}
	return err;
}
