/* SPDX-License-Identifier: MIT */

/*
 * Evacuation: emptying isolated frames, and saying what stands in the way.
 *
 * Every frame in the range is free, stepped over, movable through its owner,
 * a kept run its owner can give up, in transit (wait for it), or stuck.  Only
 * the last is a refusal, and it goes into the report with frame, type, owner
 * and reason.  Offlining, contiguous allocation and compaction share this.
 *
 * The engine holds one reference on a counted run from isolate to putback or
 * migrate, so the last put of others still reaches the owner: through ours.
 * An OFFLINE run is BUSY meanwhile.  Its target is OFFLINE before the owner
 * tells the host, and its source is freed after the host has given it back.
 */

#include "internal.h"

#define FETCH_BYTES	64	/* a line of the CPU's cache, or less */

void cfi_report_clear(struct cf_report *report)
{
	if (!report)
		return;
	__builtin_memset(report, 0, sizeof(*report));
	report->pfn = CF_PFN_NONE;
}

static const char *describe(struct cf_map *map, uint32_t id, cf_pfn pfn)
{
	const struct cfi_owner *owner = cfi_owner_open(map, id);

	if (!owner || !owner->ops->describe)
		return NULL;
	return owner->ops->describe(owner->context, pfn);
}

/* Note @frames that stand in the way; the first one is named. */
void cfi_report_add(struct cf_map *map, struct cf_report *report,
		    enum cf_reason reason, cf_pfn pfn, uint64_t word,
		    uint64_t frames)
{
	if (!report)
		return;
	report->frames[reason] += frames;
	if (report->reason != CF_REASON_NONE &&
	    report->reason != CF_REASON_TRANSIT)
		return;
	if (report->reason == reason)
		return;
	report->reason = reason;
	report->pfn = pfn;
	report->type = word_type(word);
	report->order = word_order(word);
	report->flags = word_flags(word);
	report->owner = word_owner(word);
	report->refs = word_is_counted(word) ? word_refs(word) : 0;
	report->pins = word_is_counted(word) ? word_pins(word) : 0;
	report->who = word ? cfi_owner_name(map, report->owner) : NULL;
	report->detail = word ? describe(map, report->owner, pfn) : NULL;
}

/* A run that is being evacuated. */
struct run {
	struct cf_map *map;
	struct cfi_block *block;
	struct cfi_owner *owner;	/* open, or NULL */
	cfi_u64 *slot;
	cf_pfn pfn;
	uint64_t word;
};

static unsigned run_order(const struct run *run)
{
	return word_order(run->word);
}

static void stuck(const struct run *run, struct cfi_evacuation *evacuation,
		  enum cf_reason reason)
{
	evacuation->stuck += word_frames(run->word);
	cfi_report_add(run->map, evacuation->report, reason, run->pfn,
		       run->word, word_frames(run->word));
}

static void in_motion(const struct run *run, struct cfi_evacuation *evacuation)
{
	evacuation->moving += word_frames(run->word);
	cfi_report_add(run->map, evacuation->report, CF_REASON_TRANSIT,
		       run->pfn, run->word, word_frames(run->word));
}

/* Memory like the source's, elsewhere. */
static int take_target(const struct run *run,
		       const struct cfi_evacuation *evacuation,
		       cf_pfn *ret_target)
{
	uint32_t number = cfi_zone_number(run->block);
	struct cfi_zone *zone = &run->map->zone[number];
	struct cfi_taking taking = {
		.order = (uint8_t)run_order(run),
		.node = (uint8_t)zone->node,
		.zone = (uint8_t)zone->kind,
		.flags = evacuation->flags,
		.this_zone = evacuation->this_zone,
		.most = 1,
	};

	if ((taking.order > 0 ||
	     !cfi_target_take(run->map, zone, taking.flags, evacuation->used,
			      ret_target)) &&
	    !cfi_take(run->map, &taking, ret_target))
		return -CF_ENOMEM;
	if (run->map->config.debug_pagealloc && word_is_counted(run->word))
		cf_port_protect(run->map->config.machine, *ret_target,
				*ret_target + word_frames(run->word), true);
	return 0;
}

static bool is_same_run(uint64_t word, uint64_t other)
{
	return word_type(word) == word_type(other) &&
	       word_order(word) == word_order(other) &&
	       word_owner(word) == word_owner(other);
}

/*
 * Get a reference of the run and mark it as moving, in one exchange.
 * -CF_EGONE: it is not the one we saw, but freed, made anew, or given to
 * another owner.
 */
static int hold(const struct run *run)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(run->slot);

	do {
		if (!is_same_run(old, run->word) || word_refs(old) == 0 ||
		    word_has(old, CF_FLAG_BUSY))
			return -CF_EGONE;
		if (word_refs(old) >= CF_REFS_MAX)
			return -CF_ELIMIT;
		/* Acquire: as in cfi_try_get_word(). [run-word] */
	} while (!cfi_cas_acquire(run->slot, &old,
				  word_with(old + WORD_ONE_REF,
					    CF_FLAG_ISOLATED)));
	return 0;
}

/* The run stays: give mark and reference back. */
static void release(const struct run *run)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(run->slot);

	/* Relaxed: the mark carries nothing but itself. */
	while (!cfi_cas_relaxed(run->slot, &old,
				word_without(old, CF_FLAG_ISOLATED)))
		;
	cf_put(run->map, run->pfn);
}

/* Is there no room for so large a run?  Then its owner may cut it. */
static void no_target(const struct run *run,
		      struct cfi_evacuation *evacuation)
{
	const struct cf_owner_ops *ops = run->owner->ops;

	if (run_order(run) > 0 && ops->split &&
	    ops->split(run->owner->context, run->pfn, run_order(run)) == 0)
		in_motion(run, evacuation);
	else
		stuck(run, evacuation, CF_REASON_NO_TARGET);
}

/* Give back the frames that have been vacated so far. */
static void give_vacated(struct cf_map *map, struct cfi_evacuation *evacuation)
{
	cfi_give_range(map, evacuation->vacated, evacuation->vacated_last);
	evacuation->vacated = evacuation->vacated_last = 0;
}

/*
 * The owner moved the run: its source is frozen and nobody's.  It goes back
 * with its neighbours, at the end of the chunk at the latest.  The books stay
 * as they are: what was the source's is the target's.
 */
static void retire_source(const struct run *run,
			  struct cfi_evacuation *evacuation)
{
	/* Acquire: see what the owner did before it froze. [last-put] */
	uint64_t word = cfi_load_acquire(run->slot);
	cf_pfn last = run->pfn + word_frames(word);

	CF_CHECK2(word_is_counted(word) && word_refs(word) == 0, run->pfn,
		  word);
	word = cfi_clear_cas(run->block, run->pfn, word);
	if (word_has(word, CF_FLAG_POISON)) {
		cfi_free_uncounted(run->map, run->pfn, word);
		return;
	}
	if (run->map->config.debug_pagealloc)
		cf_port_protect(run->map->config.machine, run->pfn, last,
				false);
	if (evacuation->vacated_last != run->pfn)
		give_vacated(run->map, evacuation);
	if (evacuation->vacated == evacuation->vacated_last)
		evacuation->vacated = run->pfn;
	evacuation->vacated_last = last;
}

/* The run has not been moved there after all. */
static void drop_target(const struct run *run, cf_pfn target, uint64_t word)
{
	struct cfi_block *block = cfi_block_held(run->map, target);

	word = cfi_clear_cas(block, target, word);
	cfi_free_uncounted(run->map, target, word);
}

/* Have the contents of a frame on their way. */
static void fetch_frame(struct cf_map *map, cf_pfn pfn)
{
	const char *contents = cf_port_frame_address(map->config.machine, pfn,
						     1);
	size_t at;

	for (at = 0; contents && at < CF_FRAME_BYTES; at += FETCH_BYTES)
		__builtin_prefetch(contents + at);
}

/*
 * The next single frame that will move, if it is the next of all, and where
 * it will go, are fetched while this one is copied: between two copies stand
 * exchanges of words, which let no load pass.
 */
static void fetch_next(const struct run *run)
{
	cf_pfn next = run->pfn + 1;
	cf_pfn target = cfi_target_next(run->map);

	if (run_order(run) > 0 || next % CF_CHUNK_FRAMES == 0 ||
	    target == CF_PFN_NONE ||
	    /* Relaxed: a hint. */
	    !is_same_run(cfi_load_relaxed(run->slot + 1), run->word))
		return;
	fetch_frame(run->map, next);
	fetch_frame(run->map, target);
}

/* Move an isolated counted run; 0, or what its owner answered. */
static int move_isolated(const struct run *run,
			 const struct cfi_evacuation *evacuation,
			 bool *ret_no_target)
{
	uint64_t word = word_make(word_type(run->word), run_order(run), 0,
				  word_owner(run->word));
	cf_pfn target;
	int err;

	err = take_target(run, evacuation, &target);
	*ret_no_target = err != 0;
	if (err)
		return err;
	fetch_next(run);
	cfi_mark_run(run->map, target, word);
	err = run->owner->ops->migrate(run->owner->context, run->pfn, target,
				       run_order(run));
	if (err)
		drop_target(run, target, word);
	return err;
}

static void move_counted(const struct run *run,
			 struct cfi_evacuation *evacuation)
{
	const struct cf_owner_ops *ops = run->owner->ops;
	void *context = run->owner->context;
	bool no_room = false;
	int err;

	err = hold(run);
	if (err == -CF_ELIMIT)
		stuck(run, evacuation, CF_REASON_REFERENCED);
	else if (err)
		in_motion(run, evacuation);
	if (err)
		return;
	err = ops->isolate ? ops->isolate(context, run->pfn, run_order(run)) :
	      0;
	if (err == -CF_EAGAIN) {
		in_motion(run, evacuation);
		goto keep;
	}
	if (err) {
		stuck(run, evacuation, CF_REASON_OWNER);
		goto keep;
	}
	err = move_isolated(run, evacuation, &no_room);
	if (!err) {
		retire_source(run, evacuation);
		evacuation->migrated += word_frames(run->word);
		return;
	}
	if (ops->putback)
		ops->putback(context, run->pfn, run_order(run));
	if (!no_room)
		stuck(run, evacuation, err == -CF_EAGAIN ?
		      CF_REASON_REFERENCED : CF_REASON_OWNER);
keep:
	release(run);
	if (no_room)
		no_target(run, evacuation);
}

/* Make an OFFLINE run BUSY, if it still is the one we saw. */
static bool claim_offline(const struct run *run)
{
	uint32_t flags = CF_FLAG_BUSY | CF_FLAG_ISOLATED;
	unsigned long state = cfi_block_lock(run->block);
	/* Relaxed: uncounted words are written under our lock. */
	bool same = cfi_load_relaxed(run->slot) == run->word;

	if (same)
		(void)cfi_reword(run->map, run->block, run->pfn,
				 word_with(run->word, flags));
	cfi_block_unlock(run->block, state);
	return same;
}

/* Give an OFFLINE run that is BUSY its final word. */
static void settle_offline(const struct run *run, cf_pfn pfn, uint64_t word)
{
	struct cfi_block *block = cfi_block_held(run->map, pfn);
	unsigned long state = cfi_block_lock(block);
	uint64_t empty = cfi_reword(run->map, block, pfn, word);

	cfi_block_unlock(block, state);
	cfi_signal_empty(run->map, block->first, empty);
}

/* The word of a target: as its source's, but of frames that were exposed. */
static uint64_t target_word(const struct run *run)
{
	return word_without(run->word, CF_FLAG_SKIPPABLE |
			    CF_FLAG_NEVER_ONLINED | CF_FLAG_POISON);
}

/* Make the target OFFLINE and its owner's, BUSY until the host has it. */
static void mark_target(const struct run *run, cf_pfn target)
{
	uint64_t word = word_with(target_word(run), CF_FLAG_BUSY);
	struct cfi_block *block = cfi_block_held(run->map, target);
	cf_pfn last = target + word_frames(word);
	unsigned long state = cfi_block_lock(block);

	cfi_put_words(block, target, last, word, run->map->block_shift);
	(void)cfi_account(block, target, last, word, 1);
	cfi_block_unlock(block, state);
	cfi_owner_count(run->map, word_owner(word),
			(int64_t)word_frames(word));
}

/* An OFFLINE run of the engine's, BUSY, becomes free. */
static void free_offline(const struct run *run, cf_pfn pfn)
{
	struct cfi_block *block = cfi_block_held(run->map, pfn);
	cf_pfn last = pfn + word_frames(run->word);
	unsigned long state = cfi_block_lock(block);
	cf_pfn head = pfn;
	uint64_t word = cfi_word_in(block, pfn, &head);
	uint64_t empty;

	(void)cfi_account(block, pfn, last, word, -1);
	cfi_clear_words(block, pfn, last);
	empty = cfi_give_around(run->map, block, pfn, last);
	cfi_block_unlock(block, state);
	cfi_owner_count(run->map, word_owner(word),
			-(int64_t)word_frames(word));
	cfi_signal_empty(run->map, block->first, empty);
}

/* The host gave the source back; if the port cannot use it, it is stuck. */
static void offline_moved(const struct run *run,
			  struct cfi_evacuation *evacuation)
{
	cf_pfn last = run->pfn + word_frames(run->word);

	if (cf_port_returned(run->map->config.machine, run->pfn, last)) {
		settle_offline(run, run->pfn,
			       word_without(word_with_owner(run->word,
							    CF_OWNER_ORPHAN),
					    CF_FLAG_MOVABLE |
					    CF_FLAG_SKIPPABLE));
		stuck(run, evacuation, CF_REASON_PORT);
		return;
	}
	if (run->map->config.debug_pagealloc)
		cf_port_protect(run->map->config.machine, run->pfn, last,
				false);
	free_offline(run, run->pfn);
	evacuation->migrated += word_frames(run->word);
}

static void move_offline(const struct run *run,
			 struct cfi_evacuation *evacuation)
{
	const struct cf_owner_ops *ops = run->owner->ops;
	void *context = run->owner->context;
	enum cf_reason reason = CF_REASON_OWNER;
	cf_pfn target;
	int err;

	if (!claim_offline(run)) {
		in_motion(run, evacuation);
		return;
	}
	if (ops->isolate && ops->isolate(context, run->pfn, run_order(run)))
		goto keep;
	reason = CF_REASON_NO_TARGET;
	if (take_target(run, evacuation, &target))
		goto putback;
	mark_target(run, target);
	cf_content_sync(run->map);
	err = ops->migrate(context, run->pfn, target, run_order(run));
	if (err == 0) {
		settle_offline(run, target, target_word(run));
		offline_moved(run, evacuation);
		return;
	}
	free_offline(run, target);
	if (err == -CF_EGONE) {
		offline_moved(run, evacuation);
		return;
	}
	reason = CF_REASON_OWNER;
putback:
	if (ops->putback)
		ops->putback(context, run->pfn, run_order(run));
keep:
	settle_offline(run, run->pfn, run->word);
	stuck(run, evacuation, reason);
}

/* A frozen run: its owner may give it up. */
static void dissolve(const struct run *run, struct cfi_evacuation *evacuation)
{
	const struct cf_owner_ops *ops = run->owner->ops;
	int err = ops->dissolve(run->owner->context, run->pfn, run_order(run));

	if (err == 0) {
		cfi_free_cas(run->map, run->block, run->pfn, run->word);
		evacuation->migrated += word_frames(run->word);
	} else if (err == -CF_EAGAIN) {
		in_motion(run, evacuation);
	} else {
		stuck(run, evacuation, CF_REASON_FROZEN);
	}
}

static void evacuate_offline(const struct run *run,
			     struct cfi_evacuation *evacuation)
{
	if (word_has(run->word, CF_FLAG_SKIPPABLE) && !evacuation->take_all)
		return;
	if (word_owner(run->word) == CF_OWNER_ORPHAN)
		stuck(run, evacuation, CF_REASON_ORPHAN);
	else if (!word_has(run->word, CF_FLAG_MOVABLE) || !run->owner ||
		 !run->owner->ops->migrate)
		stuck(run, evacuation, CF_REASON_OFFLINE);
	else if (!evacuation->query)
		move_offline(run, evacuation);
}

static void evacuate_counted(const struct run *run,
			     struct cfi_evacuation *evacuation)
{
	if (word_pins(run->word))
		stuck(run, evacuation, CF_REASON_PINNED);
	else if (word_owner(run->word) == CF_OWNER_ORPHAN)
		stuck(run, evacuation, CF_REASON_ORPHAN);
	else if (!word_is(run->word, CF_TYPE_FOLIO) || !run->owner ||
		 !run->owner->ops->migrate)
		stuck(run, evacuation, CF_REASON_UNMOVABLE);
	else if (!evacuation->query)
		move_counted(run, evacuation);
}

static void evacuate_frozen(const struct run *run,
			    struct cfi_evacuation *evacuation)
{
	if (word_owner(run->word) == CF_OWNER_ORPHAN)
		stuck(run, evacuation, CF_REASON_ORPHAN);
	else if (evacuation->keep_kept || !run->owner ||
		 !run->owner->ops->dissolve)
		stuck(run, evacuation, CF_REASON_FROZEN);
	else if (!evacuation->query)
		dissolve(run, evacuation);
}

static void evacuate_run(const struct run *run,
			 struct cfi_evacuation *evacuation)
{
	if (word_has(run->word, CF_FLAG_BUSY)) {
		in_motion(run, evacuation);
		return;
	}
	switch (word_type(run->word)) {
	case CF_TYPE_OFFLINE:
		evacuate_offline(run, evacuation);
		return;
	case CF_TYPE_RETIRED:
	case CF_TYPE_RESERVED:
		if (evacuation->take_all ||
		    !(word_is(run->word, CF_TYPE_RETIRED) ||
		      word_has(run->word, CF_FLAG_SELF)))
			stuck(run, evacuation, CF_REASON_UNMOVABLE);
		return;
	default:
		if (word_is_frozen(run->word))
			evacuate_frozen(run, evacuation);
		else
			evacuate_counted(run, evacuation);
	}
}

static bool is_free_now(struct cfi_block *block, cf_pfn pfn)
{
	unsigned long state = cfi_block_lock(block);
	bool free = cfi_is_free(block, pfn, pfn + 1);

	cfi_block_unlock(block, state);
	return free;
}

/*
 * What of a chunk is free now, as a bitmap.  False: nothing in it is in the
 * way.
 */
static bool look_at_chunk(struct cfi_block *block, cf_pfn pfn,
			  struct cfi_evacuation *evacuation,
			  struct cfi_bitmap *ret_free)
{
	unsigned chunk = cfi_chunk_index(block, pfn);
	const struct cfi_chunk *c = &block->chunk[chunk];
	unsigned long state = cfi_block_lock(block);
	bool empty = c->free + (evacuation->take_all ? 0 : c->skip) ==
		     CF_CHUNK_FRAMES;

	/* One that is neither empty nor split is part of a run. */
	if (cfi_is_split(block, chunk))
		*ret_free = block->bitmap[chunk];
	else
		__builtin_memset(ret_free, 0, sizeof(*ret_free));
	evacuation->used = (unsigned)CF_CHUNK_FRAMES - c->free;
	cfi_block_unlock(block, state);
	return !empty;
}

/* Deal with what is at @pfn; returns where to go on. */
static cf_pfn evacuate_at(struct cf_map *map, cf_pfn pfn,
			  struct cfi_evacuation *evacuation)
{
	struct run run = { .map = map };
	cf_pfn head = cfi_find(map, pfn, &run.slot, &run.word);

	if (head == CF_PFN_NONE) {
		if (!is_free_now(cfi_block_held(map, pfn), pfn)) {
			evacuation->moving++;
			cfi_report_add(map, evacuation->report,
				       CF_REASON_TRANSIT, pfn, 0, 1);
		}
		return pfn + 1;
	}
	run.block = cfi_block_held(map, head);
	run.pfn = head;
	run.owner = cfi_owner_open(map, word_owner(run.word));
	evacuate_run(&run, evacuation);
	return head + word_frames(run.word);
}

/*
 * Go through the chunk of @at up to @last, past what was free at first: while
 * it is isolated that stays so.  Returns where to go on.
 */
static cf_pfn evacuate_chunk(struct cf_map *map, cf_pfn at, cf_pfn last,
			     struct cfi_evacuation *evacuation)
{
	cf_pfn base = at & ~(CF_CHUNK_FRAMES - 1);
	struct cfi_bitmap free;

	last = cfi_min_pfn(last, base + CF_CHUNK_FRAMES);
	if (!look_at_chunk(cfi_block_held(map, at), at, evacuation, &free))
		return last;
	while (at < last) {
		if (bitmap_is(&free, (unsigned)(at - base),
			      (unsigned)(at - base) + 1, true))
			at++;
		else
			at = evacuate_at(map, at, evacuation);
	}
	give_vacated(map, evacuation);
	return at;
}

/**
 * cfi_evacuate() - move everything out of [first, last) that can be moved.
 * @evacuation: in: query, take_all, flags, report; out: added to
 *
 * Caller holds map->hotplug; the chunks are isolated, unless it only looks.
 * Calls owners' hooks with nothing else held.
 */
void cfi_evacuate(struct cf_map *map, cf_pfn first, cf_pfn last,
		  struct cfi_evacuation *evacuation)
{
	cf_pfn at = first;

	while (at < last)
		at = evacuate_chunk(map, at, last, evacuation);
	cfi_targets_give(map);
}
