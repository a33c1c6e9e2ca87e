/* SPDX-License-Identifier: MIT */

/*
 * Ranges of device memory: how they come and go.
 *
 * A range is blocks like others, except that every frame is its owner's from
 * the start: one word a chunk, and nothing for the allocator to find.
 *
 * Removal closes every run first: a closed word refuses whoever knows no more
 * than a number, and whoever wants to hand it out.  So references can only
 * become fewer.  When there are none, each idle run is asked of its owner and
 * becomes RESERVED; a run that somebody has in hand at count 0 is not given
 * up.  When all are, nobody has any of it, and the range goes as blocks do.
 */

#include "device.h"

/* ---- the runs of a range ---- */

struct run {
	struct cfi_block *block;
	cfi_u64 *slot;
	cf_pfn pfn;
	uint64_t word;
};

/* Something done to each run; hotplug is held. */
struct sweep {
	struct cf_map *map;
	cf_pfn first, last;
	struct cf_report *report;
	struct cf_pagemap_info *info;
	uint64_t held;		/* frames that stand in the way */
	uint64_t moving;	/* frames in motion */
};

static void for_runs(struct sweep *sweep,
		     void (*act)(struct sweep *sweep, struct run *run))
{
	cf_pfn at = sweep->first;
	struct run run;

	while (at < sweep->last) {
		run.pfn = cfi_find(sweep->map, at, &run.slot, &run.word);
		/* Every frame is in a run: nothing passes through free. */
		CF_CHECK(run.pfn != CF_PFN_NONE, at);
		run.block = cfi_block_held(sweep->map, run.pfn);
		at = run.pfn + word_frames(run.word);
		act(sweep, &run);
	}
}

static bool is_given_up(uint64_t word)
{
	return word_is(word, CF_TYPE_RESERVED) &&
	       !word_has(word, CF_FLAG_SELF);
}

/* ---- adding ---- */

/* Words of a block that has just been added; all its frames are idle. */
static void begin_block(struct cf_map *map, struct cfi_block *block)
{
	uint64_t self = word_make(CF_TYPE_RESERVED, 0, CF_FLAG_SELF, 0);
	uint64_t word = word_make(CF_TYPE_DEVICE, 0, 0, block->range_owner);
	cf_pfn first = block->first + block->self_frames;
	cf_pfn last = cfi_block_last(block);
	unsigned long state = cfi_block_lock(block);
	int64_t frames;

	if (first % CF_CHUNK_FRAMES)
		cfi_chunk_open(block, cfi_chunk_index(block, first));
	cfi_put_words(block, block->first, first, self, CF_CHUNK_ORDER);
	(void)cfi_account(block, block->first, first, self, 1);
	frames = (int64_t)(last - first -
			   cfi_device_lay(map, block, first, last, word));
	/* Its own metadata gets a mark. */
	if (block->poison)
		cfi_retire_in_block(map, block);
	cfi_block_set_state(block, CF_BLOCK_DEVICE);
	cfi_block_unlock(block, state);
	cfi_count_type(map, CF_TYPE_DEVICE, frames);
	cfi_owner_count(map, block->range_owner, frames);
}

/* Caller holds map->hotplug. */
static int add(struct cf_map *map, cf_pfn first, cf_pfn last,
	       const struct cf_pagemap_config *config)
{
	struct cf_block_config block_config = {
		.meta = config->meta,
		.memory = config->memory,
		.node = config->node,
		.range_owner = config->owner,
	};
	struct cfi_block *block;
	int err;

	err = cfi_device_add(map, first, last, &block_config, config->kind);
	for (; !err && first < last; first = cfi_block_last(block)) {
		block = cfi_block_held(map, first);
		begin_block(map, block);
	}
	return err;
}

int cf_pagemap_add(struct cf_map *map, cf_pfn first, cf_pfn last,
		   const struct cf_pagemap_config *config)
{
	unsigned long state;
	int err;

	if (config->kind < CF_PAGEMAP_PRIVATE ||
	    config->kind >= CF_PAGEMAP_KIND_COUNT ||
	    (config->kind == CF_PAGEMAP_PRIVATE &&
	     config->meta == CF_META_SELF))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = add(map, first, last, config);
	cf_unlock(&map->hotplug, state);
	return err;
}

/* ---- removing ---- */

/* The first block of the range a frame is in, or NULL. */
static struct cfi_block *range_of(struct cf_map *map, cf_pfn pfn)
{
	struct cfi_block *block = cfi_block_of(map, pfn);

	return block && block->kind ? cfi_block_of(map, block->range_first) :
	       NULL;
}

/* Set or clear CLOSED.  Who holds the run BUSY is about to let go of it. */
static void set_closed(struct sweep *sweep, struct run *run, bool closed)
{
	unsigned spins = 0;
	uint64_t value;

	while (word_is(run->word, CF_TYPE_DEVICE)) {
		if (word_has(run->word, CF_FLAG_BUSY)) {
			cf_port_relax(spins++);
			run->pfn = cfi_find(sweep->map, run->pfn, &run->slot,
					    &run->word);
			continue;
		}
		value = closed ? word_with(run->word, CF_FLAG_CLOSED) :
			word_without(run->word, CF_FLAG_CLOSED);
		/* Relaxed: the flag carries nothing but itself. */
		if (cfi_cas_relaxed(run->slot, &run->word, value))
			return;
	}
}

/* Let nobody new in. */
static void close_run(struct sweep *sweep, struct run *run)
{
	set_closed(sweep, run, true);
}

/*
 * A run may have been cut while we waited, and parts of it behind the cursor:
 * go on until a sweep finds nothing open.
 */
static void find_open(struct sweep *sweep, struct run *run)
{
	if (word_is(run->word, CF_TYPE_DEVICE) &&
	    !word_has(run->word, CF_FLAG_CLOSED))
		sweep->moving += word_frames(run->word);
}

static void close_all(struct sweep *sweep)
{
	do {
		for_runs(sweep, close_run);
		sweep->moving = 0;
		for_runs(sweep, find_open);
	} while (sweep->moving);
}

int cf_pagemap_remove_start(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	struct sweep sweep = { .map = map, .first = first, .last = last };
	unsigned long state = cf_lock(&map->hotplug);
	const struct cfi_block *block = range_of(map, first);
	int err = 0;

	if (!block)
		err = -CF_EGONE;
	else if (block->range_first != first || block->range_last != last)
		err = -CF_EINVAL;
	else if (cfi_block_state(block) != CF_BLOCK_DEVICE)
		err = -CF_EBUSY;
	if (!err) {
		cfi_blocks_set(map, first, last, CF_BLOCK_DEVICE_CLOSED);
		close_all(&sweep);
	}
	cf_unlock(&map->hotplug, state);
	return err;
}

static void stands(struct sweep *sweep, const struct run *run,
		   enum cf_reason reason)
{
	uint64_t frames = word_frames(run->word);

	if (reason == CF_REASON_TRANSIT)
		sweep->moving += frames;
	else
		sweep->held += frames;
	cfi_report_add(sweep->map, sweep->report, reason, run->pfn, run->word,
		       frames);
}

/* Who has references?  Changes nothing. */
static void find_holders(struct sweep *sweep, struct run *run)
{
	if (!word_is(run->word, CF_TYPE_DEVICE))
		return;
	if (word_pins(run->word))
		stands(sweep, run, CF_REASON_PINNED);
	else if (word_refs(run->word))
		stands(sweep, run, CF_REASON_REFERENCED);
	else if (word_has(run->word, CF_FLAG_BUSY))
		stands(sweep, run, CF_REASON_TRANSIT);
}

/*
 * Nobody has the run, and it is as large as it was when we asked: it becomes
 * the engine's.  False: somebody has, or has cut it; without a dissolve hook
 * that is nothing the owner could have told us.
 */
static bool take_up(struct sweep *sweep, struct run *run)
{
	unsigned long state = cfi_block_lock(run->block);
	unsigned order = word_order(run->word);
	uint64_t value = 0;
	bool taken;

	do {
		taken = word_is(run->word, CF_TYPE_DEVICE) &&
			word_order(run->word) == order &&
			word_refs(run->word) == 0 &&
			!word_has(run->word, CF_FLAG_BUSY);
		if (!taken)
			break;
		value = word_make(CF_TYPE_RESERVED, word_order(run->word),
				  word_flags(run->word) &
				  (CF_FLAG_CLOSED | CF_FLAG_POISON),
				  word_owner(run->word));
		/* Acquire: see all its last holder did. [last-put] */
	} while (!cfi_cas_acquire(run->slot, &run->word, value));
	if (taken)
		(void)cfi_account(run->block, run->pfn,
				  run->pfn + word_frames(value), value, 1);
	cfi_block_unlock(run->block, state);
	if (taken)
		cfi_count_type(sweep->map, CF_TYPE_DEVICE,
			       -(int64_t)word_frames(value));
	return taken;
}

/* Ask the owner for an idle run. */
static void give_up(struct sweep *sweep, struct run *run)
{
	const struct cfi_owner *owner;
	int err = 0;

	if (!word_is(run->word, CF_TYPE_DEVICE))
		return;
	if (word_refs(run->word) || word_has(run->word, CF_FLAG_BUSY)) {
		stands(sweep, run, CF_REASON_TRANSIT);
		return;
	}
	owner = cfi_owner_open(sweep->map, word_owner(run->word));
	if (!owner || !owner->ops->dissolve) {
		if (!take_up(sweep, run))
			stands(sweep, run, CF_REASON_TRANSIT);
		return;
	}
	err = owner->ops->dissolve(owner->context, run->pfn,
				   word_order(run->word));
	if (!err)
		CF_CHECK2(take_up(sweep, run), run->pfn, run->word);
	else
		stands(sweep, run, err == -CF_EAGAIN ? CF_REASON_TRANSIT :
		       CF_REASON_FROZEN);
}

/* Everything is given up: the range goes. */
static void commit(struct sweep *sweep)
{
	struct cf_map *map = sweep->map;
	struct cfi_block *block;
	unsigned long state;
	cf_pfn at;

	cf_content_sync(map);
	for (at = sweep->first; at < sweep->last; at = cfi_block_last(block)) {
		block = cfi_block_held(map, at);
		state = cfi_block_lock(block);
		cfi_block_reset(map, block);
		cfi_block_unlock(block, state);
	}
	cfi_device_remove(map, sweep->first, sweep->last);
}

/* Caller holds map->hotplug. */
static int step(struct sweep *sweep)
{
	for_runs(sweep, find_holders);
	if (!sweep->held && !sweep->moving)
		for_runs(sweep, give_up);
	if (sweep->held)
		return -CF_EBUSY;
	if (sweep->moving)
		return -CF_EAGAIN;
	commit(sweep);
	return 0;
}

/* Is [first, last) a range that is being removed?  Caller: hotplug. */
static bool is_closed(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	const struct cfi_block *block = range_of(map, first);

	return block && block->range_first == first &&
	       block->range_last == last &&
	       cfi_block_state(block) == CF_BLOCK_DEVICE_CLOSED;
}

int cf_pagemap_remove_step(struct cf_map *map, cf_pfn first, cf_pfn last,
			   struct cf_report *report)
{
	struct sweep sweep = {
		.map = map,
		.first = first,
		.last = last,
		.report = report,
	};
	int err = -CF_EINVAL;
	unsigned long state;

	cfi_report_clear(report);
	state = cf_lock(&map->hotplug);
	if (is_closed(map, first, last))
		err = step(&sweep);
	cf_unlock(&map->hotplug, state);
	return err;
}

/* What its owner gave up is device memory again. */
static void take_back(struct sweep *sweep, struct run *run)
{
	uint64_t frames = word_frames(run->word);
	unsigned long state = cfi_block_lock(run->block);
	/* Relaxed: uncounted words are written under the lock we hold. */
	uint64_t word = cfi_load_relaxed(run->slot);
	uint64_t value = word_make(CF_TYPE_DEVICE, word_order(word),
				   word_flags(word) & CF_FLAG_POISON,
				   word_owner(word));

	(void)cfi_account(run->block, run->pfn, run->pfn + frames, word, -1);
	/* Release: as in cfi_mark(). [run-word] */
	cfi_store_release(run->slot, value);
	cfi_block_unlock(run->block, state);
	cfi_count_type(sweep->map, CF_TYPE_DEVICE, (int64_t)frames);
	(void)cfi_owner_release(sweep->map, run->pfn, value);
}

/* Let everybody in again. */
static void open_run(struct sweep *sweep, struct run *run)
{
	if (is_given_up(run->word))
		take_back(sweep, run);
	else
		set_closed(sweep, run, false);
}

static void find_closed(struct sweep *sweep, struct run *run)
{
	if (word_has(run->word, CF_FLAG_CLOSED))
		sweep->moving += word_frames(run->word);
}

/* Caller holds map->hotplug. */
static void cancel(struct sweep *sweep)
{
	do {
		for_runs(sweep, open_run);
		sweep->moving = 0;
		for_runs(sweep, find_closed);
	} while (sweep->moving);
	cfi_blocks_set(sweep->map, sweep->first, sweep->last, CF_BLOCK_DEVICE);
}

int cf_pagemap_remove_cancel(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	struct sweep sweep = { .map = map, .first = first, .last = last };
	unsigned long state = cf_lock(&map->hotplug);
	int err = -CF_EINVAL;

	if (is_closed(map, first, last)) {
		cancel(&sweep);
		err = 0;
	}
	cf_unlock(&map->hotplug, state);
	return err;
}

int cf_pagemap_remove(struct cf_map *map, cf_pfn first, cf_pfn last,
		      unsigned passes, struct cf_report *report)
{
	unsigned pass;
	int err;

	cfi_report_clear(report);
	err = cf_pagemap_remove_start(map, first, last);
	if (err)
		return err;
	err = -CF_EAGAIN;
	for (pass = 0; pass < passes && err; pass++) {
		if (pass)
			cf_port_relax(pass);
		err = cf_pagemap_remove_step(map, first, last, report);
	}
	if (err && cf_pagemap_remove_cancel(map, first, last))
		return -CF_EINVAL;
	return err;
}

/* ---- telling ---- */

static void tell_run(struct sweep *sweep, struct run *run)
{
	struct cf_pagemap_info *info = sweep->info;
	uint64_t frames = word_frames(run->word);

	if (word_is(run->word, CF_TYPE_RETIRED))
		info->retired += frames;
	else if (word_has(run->word, CF_FLAG_SELF))
		info->reserved += frames;
	else if (is_given_up(run->word) || word_refs(run->word) == 0)
		info->idle += frames;
	else
		info->used += frames;
	if (word_is_counted(run->word) && word_pins(run->word))
		info->pinned += frames;
}

int cf_pagemap_info(struct cf_map *map, cf_pfn pfn,
		    struct cf_pagemap_info *ret_info)
{
	struct sweep sweep = { .map = map, .info = ret_info };
	unsigned long state = cf_lock(&map->hotplug);
	const struct cfi_block *block = range_of(map, pfn);

	if (block) {
		sweep.first = block->range_first;
		sweep.last = block->range_last;
		*ret_info = (struct cf_pagemap_info) {
			.first = block->range_first,
			.last = block->range_last,
			.kind = block->kind,
			.owner = block->range_owner,
			.node = block->node,
			.self_hosted = block->meta == CF_META_SELF,
			.removing = cfi_block_state(block) ==
				    CF_BLOCK_DEVICE_CLOSED,
		};
		for_runs(&sweep, tell_run);
	}
	cf_unlock(&map->hotplug, state);
	return block ? 0 : -CF_EGONE;
}
