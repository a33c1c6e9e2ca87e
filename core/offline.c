/* SPDX-License-Identifier: MIT */

/*
 * Logically offline frames.
 *
 * An OFFLINE run has no reference count: there is nothing to drop and nothing
 * to leak.  It comes out of the allocator marked, and goes back through this
 * file only; the one place where first exposure and later returns differ is
 * expose_stretch().  Words of OFFLINE runs change under their block's lock;
 * BUSY holds them while the port is called without it.
 */

#include "internal.h"

#define OFFLINE_FLAGS	(CF_FLAG_MOVABLE | CF_FLAG_SKIPPABLE)

/* How many runs are taken at once. */
#define TAKEN_MOST	128

/* What every call that makes frames offline asks of owner and flags. */
static int may_take(struct cf_map *map, uint32_t owner, uint32_t flags)
{
	const struct cfi_owner *open = cfi_owner_open(map, owner);

	if (flags & ~(uint32_t)OFFLINE_FLAGS)
		return -CF_EINVAL;
	if (owner != CF_OWNER_NONE && !open)
		return -CF_EGONE;
	if (flags & CF_FLAG_MOVABLE && (!open || !open->ops->migrate))
		return -CF_EREFUSED;
	if (flags & CF_FLAG_SKIPPABLE && owner == CF_OWNER_NONE)
		return -CF_EREFUSED;
	return 0;
}

/*
 * Mark frames the caller has taken, inside one block, as runs of at most the
 * word's order.  False: SKIPPABLE, and the block is not in the owner's ranges.
 */
static bool mark(struct cf_map *map, struct cfi_block *block, cf_pfn first,
		 cf_pfn last, uint64_t word)
{
	unsigned long state = cfi_block_lock(block);
	uint64_t empty;

	if (word_has(word, CF_FLAG_SKIPPABLE) &&
	    block->range_owner != word_owner(word)) {
		cfi_block_unlock(block, state);
		return false;
	}
	cfi_put_words(block, first, last, word, word_order(word));
	empty = cfi_account(block, first, last, word, 1);
	cfi_block_unlock(block, state);
	cfi_owner_count(map, word_owner(word), (int64_t)(last - first));
	cfi_signal_empty(map, block->first, empty);
	return true;
}

/* How many of the runs from the first on are neighbours. */
static unsigned neighbours(const cf_pfn *runs, unsigned count, cf_pfn frames)
{
	unsigned many = 1;

	while (many < count && runs[many] == runs[many - 1] + frames)
		many++;
	return many;
}

/*
 * Mark runs the caller has taken, all of one block.  Returns how many: those
 * after them could not be, and are free again.
 */
static unsigned mark_runs(struct cf_map *map, const cf_pfn *runs,
			  unsigned count, uint64_t word)
{
	struct cfi_block *block = cfi_block_held(map, runs[0]);
	cf_pfn frames = word_frames(word);
	unsigned marked = 0;
	unsigned many, i;
	cf_pfn first;

	while (marked < count) {
		first = runs[marked];
		many = neighbours(runs + marked, count - marked, frames);
		if (!mark(map, block, first, first + many * frames, word))
			break;
		marked += many;
	}
	for (i = marked; i < count; i++)
		cfi_give_range(map, runs[i], runs[i] + frames);
	return marked;
}

/*
 * Take some of what is wanted; says how many it got.  What is found before it
 * is known whose it is was free all the time to everybody else.  The caller is
 * in the owner's read section.
 */
static int take_some(struct cf_map *map, uint64_t word, size_t most,
		     cf_pfn *ret_pfns, unsigned *ret_done)
{
	struct cfi_taking taking = {
		.order = (uint8_t)word_order(word),
		.node = CF_NODE_ANY,
		.zone = word_flags(word) ? CF_ZONE_MOVABLE : CF_ZONE_NORMAL,
		.most = most < TAKEN_MOST ? (unsigned)most : TAKEN_MOST,
		.on_trial = word_has(word, CF_FLAG_SKIPPABLE),
	};
	unsigned marked = 0;
	unsigned taken;

	if (taking.on_trial)
		cfi_moves_begin(&map->moves);
	taken = cfi_take(map, &taking, ret_pfns);
	if (taken > 0)
		marked = mark_runs(map, ret_pfns, taken, word);
	if (taking.on_trial)
		cfi_moves_end(&map->moves);
	*ret_done = marked;
	if (taken == 0)
		return -CF_ENOMEM;
	return marked == taken ? 0 : -CF_EREFUSED;
}

int cf_offline_alloc_bulk(struct cf_map *map, uint32_t owner, unsigned order,
			  uint32_t flags, size_t count, cf_pfn *ret_pfns,
			  size_t *ret_done)
{
	uint64_t word = word_make(CF_TYPE_OFFLINE, order, flags, owner);
	unsigned taken;
	size_t done = 0;
	int err;

	*ret_done = 0;
	if (order > map->block_shift)
		return -CF_EINVAL;
	cf_port_read_lock();
	err = may_take(map, owner, flags);
	for (; !err && done < count; done += taken)
		err = take_some(map, word, count - done, &ret_pfns[done],
				&taken);
	cf_port_read_unlock();
	*ret_done = done;
	return err;
}

int cf_offline_alloc(struct cf_map *map, uint32_t owner, unsigned order,
		     uint32_t flags, cf_pfn *ret_pfn)
{
	size_t done;
	cf_pfn pfn;
	int err;

	err = cf_offline_alloc_bulk(map, owner, order, flags, 1, &pfn, &done);
	if (!err)
		*ret_pfn = pfn;
	return err;
}

static bool all_in_ranges(struct cf_map *map, uint32_t owner, cf_pfn first,
			  cf_pfn last)
{
	struct cfi_block *block;

	for (; first < last; first = cfi_block_last(block)) {
		block = cfi_block_of(map, first);
		if (block && block->range_owner != owner)
			return false;
		if (!block)
			break;
	}
	return true;
}

/* Caller holds map->hotplug. */
static int take_range(struct cf_map *map, uint32_t owner, cf_pfn first,
		      cf_pfn last, uint32_t flags, struct cf_report *report)
{
	uint64_t word = word_make(CF_TYPE_OFFLINE, map->block_shift, flags,
				  owner);
	struct cfi_range range;
	cf_pfn at = first;
	int err;

	err = may_take(map, owner, flags);
	if (err)
		return err;
	if (flags & CF_FLAG_SKIPPABLE &&
	    !all_in_ranges(map, owner, first, last))
		return -CF_EREFUSED;
	err = cfi_take_range(map, first, last, &range, report);
	if (err)
		return err;
	while (at < last) {
		struct cfi_block *block = cfi_block_held(map, at);
		cf_pfn end = cfi_min_pfn(last, cfi_block_last(block));

		/* Ranges change owner under hotplug only, which we hold. */
		CF_CHECK(mark(map, block, at, end, word), at);
		at = end;
	}
	cfi_unisolate(map, &range);
	return 0;
}

int cf_offline_alloc_range(struct cf_map *map, uint32_t owner, cf_pfn first,
			   cf_pfn last, uint32_t flags,
			   struct cf_report *report)
{
	unsigned long state;
	int err;

	cfi_report_clear(report);
	if (first >= last || last > map->config.last)
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = take_range(map, owner, first, last, flags, report);
	cf_unlock(&map->hotplug, state);
	return err;
}

/* Frames an owner's range call steps over: they are nobody's to give. */
static bool is_passed_over(uint64_t word)
{
	return word_is(word, CF_TYPE_RETIRED) ||
	       word_is(word, CF_TYPE_RESERVED);
}

/*
 * Is every frame of [first, last), inside the block, @owner's and OFFLINE?
 * Caller holds the block's lock.
 */
static int all_owned(struct cfi_block *block, uint32_t owner, cf_pfn first,
		     cf_pfn last)
{
	enum cf_block_state state = cfi_block_state(block);
	cf_pfn head = first;
	uint64_t word;

	/* Left, but not yet committed: it may come back. */
	if (state == CF_BLOCK_OFFLINE)
		return cfi_isolated(block) ? -CF_EAGAIN : -CF_EGONE;
	while (first < last) {
		word = cfi_word_in(block, first, &head);
		first = head + word_frames(word);
		if (is_passed_over(word))
			continue;
		if (!word_is(word, CF_TYPE_OFFLINE) ||
		    word_owner(word) != owner)
			return -CF_EREFUSED;
		if (word_has(word, CF_FLAG_BUSY))
			return -CF_EAGAIN;
	}
	return 0;
}

/* Do something to a block's part of a range, under its lock. */
struct change {
	struct cf_map *map;
	uint32_t owner;
	uint32_t set, clear;	/* flags */
	bool only_ranges;	/* the block must be of the owner's ranges */
	bool adopt;		/* the runs become @heir's */
	uint32_t heir;
};

static int check_block(struct cfi_block *block, cf_pfn first, cf_pfn last,
		       const struct change *change)
{
	if (change->only_ranges && block->range_owner != change->owner)
		return -CF_EREFUSED;
	return all_owned(block, change->owner, first, last);
}

static uint64_t word_of(struct cfi_block *block, cf_pfn pfn)
{
	cfi_u64 *slot = cfi_word_at(block, pfn);

	/* Relaxed: uncounted words are written under the block's lock. */
	return slot ? cfi_load_relaxed(slot) : 0;
}

/* One block's part: look (@dry), or make every run of it BUSY. */
static int claim_block(struct cfi_block *block, cf_pfn first, cf_pfn last,
		       const struct change *change, bool dry)
{
	unsigned long state = cfi_block_lock(block);
	int err = check_block(block, first, last, change);
	uint64_t word;

	if (!err && !dry) {
		cfi_carve(change->map, block, first);
		cfi_carve(change->map, block, last);
		for (; first < last; first += word_frames(word)) {
			word = word_of(block, first);
			if (!is_passed_over(word))
				(void)cfi_reword(change->map, block, first,
						 word_with(word, CF_FLAG_BUSY));
		}
	}
	cfi_block_unlock(block, state);
	return err;
}

/* @ret_done: one past the last frame claimed. */
static int claim_range(cf_pfn first, cf_pfn last, const struct change *change,
		       bool dry, cf_pfn *ret_done)
{
	struct cfi_block *block;
	cf_pfn end = first;
	int err = 0;

	for (; first < last && !err; first = err ? first : end) {
		block = cfi_block_of(change->map, first);
		if (block)
			end = cfi_min_pfn(last, cfi_block_last(block));
		err = block ? claim_block(block, first, end, change, dry) :
		      -CF_EGONE;
	}
	*ret_done = first;
	return err;
}

/* Is it a run that claim_range() made ours?  Then its block cannot go. */
static bool is_claimed(uint64_t word, uint32_t owner)
{
	return word_is(word, CF_TYPE_OFFLINE) && word_has(word, CF_FLAG_BUSY) &&
	       word_owner(word) == owner;
}

static uint64_t apply_in_block(struct cfi_block *block, cf_pfn first,
			       cf_pfn last, const struct change *change)
{
	uint64_t empty = 0;
	uint64_t word, value;

	for (; first < last; first += word_frames(word)) {
		word = word_of(block, first);
		if (!is_claimed(word, change->owner))
			continue;
		value = word_without(word_with(word, change->set),
				     change->clear | CF_FLAG_BUSY);
		if (change->adopt)
			value = word_with_owner(value, change->heir);
		empty |= cfi_reword(change->map, block, first, value);
	}
	return empty;
}

/* Change the claimed runs of [first, last) and give up the claim. */
static void apply(cf_pfn first, cf_pfn last, const struct change *change)
{
	cf_pfn mask = ((cf_pfn)1 << change->map->block_shift) - 1;
	struct cfi_block *block;
	unsigned long state;
	uint64_t empty;
	cf_pfn end;

	for (; first < last; first = end) {
		end = cfi_min_pfn(last, (first | mask) + 1);
		block = cfi_block_of(change->map, first);
		if (!block)
			continue;
		state = cfi_block_lock(block);
		empty = apply_in_block(block, first, end, change);
		cfi_block_unlock(block, state);
		cfi_signal_empty(change->map, first & ~mask, empty);
	}
}

static void unclaim(cf_pfn first, cf_pfn last, const struct change *change)
{
	struct change nothing = { .map = change->map, .owner = change->owner };

	apply(first, last, &nothing);
}

/* Claim all of [first, last) or nothing.  In the owner's read section. */
static int claim(cf_pfn first, cf_pfn last, const struct change *change)
{
	cf_pfn done;
	int err;

	err = claim_range(first, last, change, true, &done);
	if (err)
		return err;
	err = claim_range(first, last, change, false, &done);
	/* Did somebody come between?  What is claimed is still as it was. */
	if (err)
		unclaim(first, done, change);
	return err;
}

/* All of [first, last) or nothing.  In the owner's read section. */
static int change_all(cf_pfn first, cf_pfn last, const struct change *change)
{
	int err = claim(first, last, change);

	if (!err)
		apply(first, last, change);
	return err;
}

int cf_offline_set_skippable(struct cf_map *map, uint32_t owner, cf_pfn first,
			     cf_pfn last, bool skippable)
{
	struct change change = {
		.map = map,
		.owner = owner,
		.set = skippable ? CF_FLAG_SKIPPABLE : 0,
		.clear = skippable ? 0 : CF_FLAG_SKIPPABLE,
		.only_ranges = true,
	};
	int err;

	if (first >= last || last > map->config.last)
		return -CF_EINVAL;
	cf_port_read_lock();
	err = -CF_EREFUSED;
	if (cfi_owner_open(map, owner))
		err = change_all(first, last, &change);
	cf_port_read_unlock();
	return err;
}

int cf_offline_adopt_range(struct cf_map *map, uint32_t owner, cf_pfn first,
			   cf_pfn last)
{
	struct change change = {
		.map = map,
		.owner = CF_OWNER_ORPHAN,
		.adopt = true,
		.heir = owner,
	};
	int err;

	if (first >= last || last > map->config.last)
		return -CF_EINVAL;
	err = cfi_owner_begin(map, owner);
	if (err)
		return err;
	err = change_all(first, last, &change);
	cfi_owner_end();
	return err;
}

/* Frames [first, last), BUSY runs of one block: off the books and free. */
static void release(struct cf_map *map, struct cfi_block *block, cf_pfn first,
		    cf_pfn last)
{
	unsigned long state = cfi_block_lock(block);
	uint32_t owner = 0;
	uint64_t empty;
	uint64_t word;
	cf_pfn at, end;

	for (at = first; at < last; at = end) {
		/* Relaxed: uncounted words are written under our lock. */
		word = cfi_load_relaxed(cfi_word_at(block, at));
		end = at + word_frames(word);
		owner = word_owner(word);
		(void)cfi_account(block, at, end, word, -1);
	}
	cfi_clear_words(block, first, last);
	empty = cfi_give_around(map, block, first, last);
	cfi_block_unlock(block, state);
	cfi_owner_count(map, owner, -(int64_t)(last - first));
	cfi_signal_empty(map, block->first, empty);
}

/*
 * The stretch of claimed runs from @first that are all never onlined, or all
 * not; or of what is passed over.
 */
static cf_pfn stretch(struct cfi_block *block, cf_pfn first, cf_pfn last,
		      uint64_t *ret_word)
{
	uint64_t word = word_of(block, first);
	uint64_t next = word;

	*ret_word = word;
	while (first < last && word_has(word ^ next, CF_FLAG_BUSY |
					CF_FLAG_NEVER_ONLINED) == 0) {
		first += word_frames(next);
		if (first < last)
			next = word_of(block, first);
	}
	return cfi_min_pfn(first, last);
}

/* Hand one stretch to the port, then to the allocator. */
static int expose_stretch(struct cf_map *map, struct cfi_block *block,
			  cf_pfn first, cf_pfn last, uint64_t word)
{
	void *machine = map->config.machine;
	int err;

	if (!word_has(word, CF_FLAG_BUSY))
		return 0;
	if (word_has(word, CF_FLAG_NEVER_ONLINED))
		err = cf_port_first_exposed(machine, first, last);
	else
		err = cf_port_returned(machine, first, last);
	if (err)
		return -CF_EPORT;
	if (map->config.debug_pagealloc)
		cf_port_protect(machine, first, last, false);
	release(map, block, first, last);
	return 0;
}

static int expose_block(struct cf_map *map, cf_pfn *at, cf_pfn last)
{
	cf_pfn mask = ((cf_pfn)1 << map->block_shift) - 1;
	struct cfi_block *block = cfi_block_of(map, *at);
	cf_pfn end;
	uint64_t word;
	int err;

	last = cfi_min_pfn(last, (*at | mask) + 1);
	/* A block without a claimed run may have gone. */
	if (!block)
		*at = last;
	while (*at < last) {
		end = stretch(block, *at, last, &word);
		err = expose_stretch(map, block, *at, end, word);
		if (err)
			return err;
		*at = end;
	}
	return 0;
}

/* Expose [first, last). In the owner's read section or under hotplug. */
int cfi_expose(struct cf_map *map, uint32_t owner, cf_pfn first, cf_pfn last)
{
	struct change change = { .map = map, .owner = owner };
	cf_pfn at = first;
	int err;

	err = claim(first, last, &change);
	if (err)
		return err;
	while (at < last && !err)
		err = expose_block(map, &at, last);
	if (err)
		unclaim(at, last, &change);
	return err;
}

int cf_offline_free_range(struct cf_map *map, uint32_t owner, cf_pfn first,
			  cf_pfn last)
{
	int err;

	if (first >= last || last > map->config.last)
		return -CF_EINVAL;
	cf_port_read_lock();
	err = -CF_EREFUSED;
	if (owner == CF_OWNER_NONE || cfi_owner_open(map, owner))
		err = cfi_expose(map, owner, first, last);
	cf_port_read_unlock();
	return err;
}

int cf_offline_free(struct cf_map *map, uint32_t owner, cf_pfn pfn,
		    unsigned order)
{
	if (order > CF_MAX_ORDER)
		return -CF_EINVAL;
	return cf_offline_free_range(map, owner, pfn,
				     pfn + ((cf_pfn)1 << order));
}

int cf_offline_set_payload(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			   uint32_t payload)
{
	struct cfi_block *block;
	unsigned long state;
	int err = -CF_EGONE;
	cfi_u64 *slot;
	uint64_t word;

	cf_port_read_lock();
	block = cfi_block_of(map, pfn);
	if (!block || (owner != CF_OWNER_NONE && !cfi_owner_open(map, owner)))
		goto out;
	state = cfi_block_lock(block);
	slot = cfi_word_at(block, pfn);
	/* Relaxed: uncounted words are written under our lock. */
	word = slot ? cfi_load_relaxed(slot) : 0;
	if (word_is(word, CF_TYPE_OFFLINE) && word_owner(word) == owner) {
		err = -CF_EAGAIN;
		if (!word_has(word, CF_FLAG_BUSY)) {
			word = word_with_payload(word, payload);
			/* Release: readers see what it names. [run-word] */
			cfi_store_release(slot, word);
			err = 0;
		}
	}
	cfi_block_unlock(block, state);
out:
	cf_port_read_unlock();
	return err;
}
