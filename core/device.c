/* SPDX-License-Identifier: MIT */

/*
 * Runs of device memory: handed out, given back, moved, found bad.
 *
 * A run rests idle at count 0.  Whose it is, that it is idle, sound and stays
 * all stand in the word that gets the first reference, so one exchange
 * decides.  The last put leaves the word as it will stay and then tells the
 * owner; after that nothing here writes the word again, because the owner may
 * have handed the run out already.
 *
 * Who moves a run has source and targets BUSY meanwhile: nobody gets a
 * reference, removal waits, and nothing that remains can be refused.
 */

#include "device.h"

/* Where the word of a head in device memory stands, or NULL. */
static cfi_u64 *device_slot(struct cf_map *map, cf_pfn pfn,
			    struct cfi_block **ret_block)
{
	struct cfi_block *block = cfi_block_of(map, pfn);

	if (!block || !block->kind)
		return NULL;
	*ret_block = block;
	return cfi_word_at(block, pfn);
}

/* May @owner use the run for something only idle runs are good for? */
static int check_idle(uint64_t word, uint32_t owner, uint32_t bad_flags)
{
	if (!word_is(word, CF_TYPE_DEVICE))
		return -CF_EGONE;
	if (word_owner(word) != owner || word_has(word, bad_flags))
		return -CF_EREFUSED;
	if (word_refs(word) || word_has(word, CF_FLAG_BUSY))
		return -CF_EAGAIN;
	return 0;
}

static int hand_out(cfi_u64 *slot, uint32_t owner)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);
	int err;

	do {
		err = check_idle(old, owner, CF_FLAG_POISON | CF_FLAG_CLOSED);
		if (err)
			return err;
		/* Release: a later get sees what its owner did. [run-word] */
	} while (!cfi_cas_release(slot, &old, old + WORD_ONE_REF));
	return 0;
}

int cf_pagemap_hand_out(struct cf_map *map, uint32_t owner, cf_pfn pfn)
{
	struct cfi_block *block;
	int err = -CF_EGONE;
	cfi_u64 *slot;

	cf_port_read_lock();
	slot = device_slot(map, pfn, &block);
	if (slot)
		err = hand_out(slot, owner);
	cf_port_read_unlock();
	return err;
}

/*
 * The last reference went, and @word is what it left.  The owner keeps the run
 * whatever it says: there is nobody else.  In a read section.
 */
void cfi_device_back(struct cf_map *map, cf_pfn pfn, uint64_t word)
{
	(void)cfi_owner_release(map, pfn, word);
	/* The run is not ours to look at any more; the range still is. */
	if (word_has(word, CF_FLAG_CLOSED))
		cf_port_signal(map->config.machine, CF_SIGNAL_DEVICE_IDLE, pfn);
}

/*
 * Words for [first, last) of one block: runs like @word around bad frames,
 * which become RETIRED.  The frames have no words, chunks that get part of a
 * run only are split already, and the block's lock is held.
 *
 * Return: how many frames were bad.
 */
uint64_t cfi_device_lay(struct cf_map *map, struct cfi_block *block,
			cf_pfn first, cf_pfn last, uint64_t word)
{
	uint64_t count = 0;
	unsigned chunk;
	cf_pfn bad;

	for (; first < last; first = bad + 1) {
		bad = cfi_next_poison(map, first, last);
		chunk = cfi_chunk_index(block, bad);
		/* Relaxed: written under the lock we hold. */
		if (bad < last &&
		    !(cfi_load_relaxed(&block->split) >> chunk & 1))
			cfi_chunk_open(block, chunk);
		cfi_put_words(block, first, bad, word, CF_CHUNK_ORDER);
		if (bad == last)
			break;
		(void)cfi_mark_retired(block, bad);
		count++;
	}
	return count;
}

/* ---- bad frames ---- */

/* Tell the owner of a marked run.  Caller holds map->hotplug. */
void cfi_device_failed(struct cf_map *map, cf_pfn bad)
{
	const struct cfi_owner *owner;
	uint64_t word;
	cfi_u64 *slot;
	cf_pfn head;

	head = cfi_find(map, bad, &slot, &word);
	if (head == CF_PFN_NONE || !word_is(word, CF_TYPE_DEVICE))
		return;
	owner = cfi_owner_open(map, word_owner(word));
	if (owner && owner->ops->failure)
		owner->ops->failure(owner->context, head, word_order(word),
				    bad);
}

/* Make an idle run of @owner's BUSY. */
static int claim_idle(cfi_u64 *slot, uint32_t owner, uint64_t *ret_word)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);
	int err;

	do {
		err = check_idle(old, owner, 0);
		if (err)
			return err;
		/* Relaxed: the run is the caller's, and so is all it did. */
	} while (!cfi_cas_relaxed(slot, &old, word_with(old, CF_FLAG_BUSY)));
	*ret_word = old;
	return 0;
}

/* Write a claimed run anew, around its bad frames; returns how many. */
static uint64_t rewrite(struct cf_map *map, struct cfi_block *block,
			cf_pfn pfn, uint64_t word)
{
	unsigned long state = cfi_block_lock(block);
	cf_pfn last = pfn + word_frames(word);
	uint64_t bad;

	cfi_sequence_begin(block);
	/* Release: as in cfi_carve(). [sequence] */
	cfi_store_release(cfi_word_slot(block, pfn, word_order(word)), 0);
	bad = cfi_device_lay(map, block, pfn, last,
			     word_without(word, CF_FLAG_POISON));
	cfi_sequence_end(block);
	cfi_block_unlock(block, state);
	cfi_count_type(map, CF_TYPE_DEVICE, -(int64_t)bad);
	cfi_owner_count(map, word_owner(word), -(int64_t)bad);
	return bad;
}

/* In a read section. */
static int retire_idle(struct cf_map *map, uint32_t owner, cf_pfn pfn,
		       uint64_t *ret_bad)
{
	struct cfi_block *block;
	cfi_u64 *slot = device_slot(map, pfn, &block);
	uint64_t word;
	int err;

	if (!slot)
		return -CF_EGONE;
	/* Words with its id are not stored once it is leaving. */
	if (!cfi_owner_open(map, owner))
		return -CF_EREFUSED;
	err = claim_idle(slot, owner, &word);
	if (err)
		return err;
	/* Nobody marks a run that is BUSY. */
	if (word_has(word, CF_FLAG_POISON))
		*ret_bad = rewrite(map, block, pfn, word);
	else
		/* Release: as in cfi_mark(). [run-word] */
		cfi_store_release(slot, word);
	return 0;
}

int cf_pagemap_retire(struct cf_map *map, uint32_t owner, cf_pfn pfn,
		      uint64_t *ret_bad)
{
	uint64_t bad = 0;
	int err;

	cf_port_read_lock();
	err = retire_idle(map, owner, pfn, &bad);
	cf_port_read_unlock();
	if (!err && ret_bad)
		*ret_bad = bad;
	return err;
}

/* ---- migration ---- */

/* One that is under way. */
struct move {
	struct cf_map *map;
	const struct cf_migration *what;
	struct cfi_block *block;	/* of the source */
	cfi_u64 *slot;
	uint64_t word;			/* as it was, less what is passing */
	unsigned order;			/* of each target */
};

/* Where the word of any head stands, or NULL. */
static cfi_u64 *slot_of(struct cf_map *map, cf_pfn pfn)
{
	struct cfi_block *block = cfi_block_of(map, pfn);

	return block ? cfi_word_at(block, pfn) : NULL;
}

static uint32_t source_refs(const struct move *move)
{
	return move->what->refs + move->what->extra;
}

/* Take all its references away, and make it BUSY. */
static int claim_source(struct move *move)
{
	uint64_t value;
	uint64_t old;

	move->block = cfi_block_of(move->map, move->what->source);
	move->slot = slot_of(move->map, move->what->source);
	if (!move->slot)
		return -CF_EGONE;
	/* Relaxed: a stale value only makes the exchange below fail. */
	old = cfi_load_relaxed(move->slot);
	do {
		if (!word_is_counted(old))
			return -CF_EGONE;
		if (word_refs(old) != source_refs(move) || word_pins(old) ||
		    word_has(old, CF_FLAG_BUSY))
			return -CF_EAGAIN;
		value = word_with(word_with_refs(old, 0), CF_FLAG_BUSY);
		/* Acquire: see what those did who have put. [last-put] */
	} while (!cfi_cas_acquire(move->slot, &old, value));
	move->word = old;
	return 0;
}

/*
 * A run that is BUSY gets @refs and is not; an idle one is in no fault either.
 * What was marked meanwhile stays.
 */
static uint64_t release_claim(cfi_u64 *slot, uint32_t refs)
{
	uint32_t ends = refs ? CF_FLAG_BUSY : CF_FLAG_BUSY | CF_FLAG_ISOLATED;
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);
	uint64_t value;

	do {
		value = word_without(word_with_refs(old, refs), ends);
		/* Release: who gets it sees the contents. [run-word] */
	} while (!cfi_cas_release(slot, &old, value));
	return value;
}

static int claim_target(const struct move *move, cf_pfn pfn)
{
	cfi_u64 *slot = slot_of(move->map, pfn);
	uint64_t old;

	if (!slot)
		return -CF_EGONE;
	/* Relaxed: a stale value only makes the exchange below fail. */
	old = cfi_load_relaxed(slot);
	do {
		if (!word_is_counted(old))
			return -CF_EGONE;
		if (word_order(old) != move->order ||
		    (!word_is(old, CF_TYPE_DEVICE) &&
		     !word_is(move->word, CF_TYPE_DEVICE)))
			return -CF_EINVAL;
		if (word_has(old, CF_FLAG_POISON | CF_FLAG_CLOSED))
			return -CF_EREFUSED;
		if (word_refs(old) || word_has(old, CF_FLAG_BUSY))
			return -CF_EAGAIN;
		/* Relaxed: the run is the caller's, and so is all it did. */
	} while (!cfi_cas_relaxed(slot, &old, word_with(old, CF_FLAG_BUSY)));
	return 0;
}

/* Give the first @count targets up again. */
static void unclaim_targets(const struct move *move, size_t count)
{
	while (count-- > 0)
		(void)release_claim(slot_of(move->map,
					    move->what->targets[count]), 0);
}

static int claim_targets(const struct move *move)
{
	size_t i;
	int err;

	for (i = 0; i < move->what->count; i++) {
		err = claim_target(move, move->what->targets[i]);
		if (err) {
			unclaim_targets(move, i);
			return err;
		}
	}
	return 0;
}

/* The part of the source that target @i gets. */
static cf_pfn part(const struct move *move, size_t i)
{
	return move->what->source + ((cf_pfn)i << move->order);
}

static int copy(const struct move *move)
{
	const struct cf_migration *what = move->what;
	int err = 0;
	size_t i;

	for (i = 0; i < what->count && !err; i++) {
		if (what->copy)
			err = what->copy(what->context, part(move, i),
					 what->targets[i], move->order);
		else
			err = cf_copy_run(move->map, part(move, i),
					  what->targets[i], move->order);
	}
	return err ? -CF_EPORT : 0;
}

/* Nothing can be refused any more. */
static void finish_move(const struct move *move)
{
	const struct cf_migration *what = move->what;
	uint64_t word;
	size_t i;

	for (i = 0; i < what->count && what->moved; i++)
		what->moved(what->context, part(move, i), what->targets[i],
			    move->order);
	for (i = 0; i < what->count; i++)
		(void)release_claim(slot_of(move->map, what->targets[i]),
				    what->refs);
	word = release_claim(move->slot, 0);
	if (word_is(word, CF_TYPE_DEVICE))
		cfi_device_back(move->map, what->source, word);
	else if (cfi_owner_release(move->map, what->source, word) ==
		 CF_VERDICT_FREE)
		cfi_free_cas(move->map, move->block, what->source, word);
}

/* Do the targets add up to the source?  It is the caller's, and BUSY. */
static int check_targets(struct move *move)
{
	const struct cf_migration *what = move->what;
	cfi_u64 *slot = slot_of(move->map, what->targets[0]);
	uint64_t word;

	if (!slot)
		return -CF_EGONE;
	/* Relaxed: claiming it looks again. */
	word = cfi_load_relaxed(slot);
	if (word == 0)
		return -CF_EGONE;
	move->order = word_order(word);
	if (move->order > word_order(move->word) ||
	    what->count != (size_t)(word_frames(move->word) >> move->order))
		return -CF_EINVAL;
	return 0;
}

/* In a read section. */
static int migrate(struct move *move)
{
	int err = claim_source(move);

	if (err)
		return err;
	err = check_targets(move);
	if (!err)
		err = claim_targets(move);
	if (!err) {
		err = copy(move);
		if (!err) {
			finish_move(move);
			return 0;
		}
		unclaim_targets(move, move->what->count);
	}
	(void)release_claim(move->slot, source_refs(move));
	return err;
}

int cf_pagemap_migrate(struct cf_map *map,
		       const struct cf_migration *migration)
{
	struct move move = { .map = map, .what = migration };
	int err;

	if (migration->refs == 0 || migration->count == 0 ||
	    migration->refs > CF_REFS_MAX || migration->extra > CF_REFS_MAX)
		return -CF_EINVAL;
	cf_port_read_lock();
	err = migrate(&move);
	cf_port_read_unlock();
	return err;
}

/* ---- faults ---- */

/*
 * Take a reference of a run in use, also one whose range is going, and mark it
 * so that one fault at a time moves it.
 */
static int begin_fault(cfi_u64 *slot, uint64_t *ret_word)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);
	uint64_t value;

	do {
		if (!word_is(old, CF_TYPE_DEVICE))
			return -CF_EGONE;
		if (word_has(old, CF_FLAG_BUSY | CF_FLAG_ISOLATED))
			return -CF_EAGAIN;
		if (word_refs(old) == 0)
			return -CF_EGONE;
		if (word_refs(old) >= CF_REFS_MAX)
			return -CF_ELIMIT;
		value = word_with(old + WORD_ONE_REF, CF_FLAG_ISOLATED);
		/* Acquire: as in cfi_try_get_word(). [run-word] */
	} while (!cfi_cas_acquire(slot, &old, value));
	*ret_word = old;
	return 0;
}

/* It stays where it is; the hook may have cut it. */
static void end_fault(struct cf_map *map, cf_pfn touched)
{
	uint64_t old;
	cfi_u64 *slot;
	cf_pfn head = cfi_find(map, touched, &slot, &old);

	CF_CHECK2(head != CF_PFN_NONE, touched, old);
	/* Relaxed: the flag carries nothing but itself. */
	while (!cfi_cas_relaxed(slot, &old,
				word_without(old, CF_FLAG_ISOLATED)))
		continue;
	cf_put(map, head);
}

/* Ask the owner; in a read section. */
static int run_fault(struct cf_map *map, cf_pfn head, uint64_t word,
		     cf_pfn touched, cf_pfn *ret_pfn)
{
	const struct cfi_owner *owner = cfi_owner_open(map, word_owner(word));
	int err = -CF_EREFUSED;

	if (owner && owner->ops->fault)
		err = owner->ops->fault(owner->context, head, word_order(word),
					touched, ret_pfn);
	if (!err)
		return 0;
	end_fault(map, touched);
	return err == -CF_EAGAIN || err == -CF_ENOMEM ? err : -CF_EREFUSED;
}

/* In a read section. */
static int fault(struct cf_map *map, cf_pfn pfn, cf_pfn *ret_pfn)
{
	const struct cfi_block *block = cfi_block_of(map, pfn);
	uint64_t word;
	cfi_u64 *slot;
	cf_pfn head;
	int err;

	if (block && block->kind != CF_PAGEMAP_PRIVATE)
		return -CF_EINVAL;
	head = cfi_find(map, pfn, &slot, &word);
	if (head == CF_PFN_NONE)
		return -CF_EGONE;
	err = begin_fault(slot, &word);
	if (err)
		return err;
	if (pfn - head >= word_frames(word)) {
		/* Given back and made anew, smaller: not the run we found. */
		end_fault(map, head);
		return -CF_EAGAIN;
	}
	return run_fault(map, head, word, pfn, ret_pfn);
}

int cf_pagemap_fault(struct cf_map *map, cf_pfn pfn, cf_pfn *ret_pfn)
{
	int err;

	cf_assert_unlocked((enum cf_rank)0);
	cf_port_read_lock();
	err = fault(map, pfn, ret_pfn);
	cf_port_read_unlock();
	return err;
}
