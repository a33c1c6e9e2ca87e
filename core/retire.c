/* SPDX-License-Identifier: MIT */

/*
 * Retirement: bad frames go out for good.
 *
 * The map remembers bad frames in a table that outlives their blocks.  A free
 * one is taken from the bitmap and gets a RETIRED word.  One in use gets a
 * POISON mark on its run, and every way of freeing a run with that mark comes
 * here, where the frames around go back and the bad one does not.  A block
 * that comes online with bad frames in it gets their RETIRED words at once.
 */

#include "device.h"

#define RETIRE_SPINS	1000

static uint64_t table_count(const struct cf_map *map)
{
	/*
	 * Acquire: see the entries below the count. The other side is
	 * table_add(). [poison-table]
	 */
	return cfi_load_acquire(&map->poison_count);
}

static cf_pfn table_entry(const struct cf_map *map, uint64_t i)
{
	/* Relaxed: ordered by the count. */
	return cfi_load_relaxed(&map->poison[i]);
}

/* Caller holds map->hotplug, and there is room. */
static void table_add(struct cf_map *map, cf_pfn pfn)
{
	/* Relaxed: written under the lock we hold. */
	uint64_t count = cfi_load_relaxed(&map->poison_count);

	/* Relaxed: ordered by the count. */
	cfi_store_relaxed(&map->poison[count], pfn);
	/* Release: whoever sees the count sees the entry. [poison-table] */
	cfi_store_release(&map->poison_count, count + 1);
}

static void table_drop_last(struct cf_map *map)
{
	/* Relaxed: whoever still reads the entry only looks at one more. */
	cfi_store_relaxed(&map->poison_count,
			  cfi_load_relaxed(&map->poison_count) - 1);
}

bool cfi_is_poison(const struct cf_map *map, cf_pfn pfn)
{
	uint64_t count = table_count(map);
	uint64_t i;

	for (i = 0; i < count; i++)
		if (table_entry(map, i) == pfn)
			return true;
	return false;
}

/* The first bad frame in [first, last), or @last. */
cf_pfn cfi_next_poison(const struct cf_map *map, cf_pfn first, cf_pfn last)
{
	uint64_t count = table_count(map);
	cf_pfn next = last;
	uint64_t i;

	for (i = 0; i < count; i++)
		if (table_entry(map, i) >= first && table_entry(map, i) < next)
			next = table_entry(map, i);
	return next;
}

uint32_t cfi_poison_count(const struct cf_map *map, cf_pfn first, cf_pfn last)
{
	uint32_t found = 0;

	for (first = cfi_next_poison(map, first, last); first < last;
	     first = cfi_next_poison(map, first + 1, last))
		found++;
	return found;
}

/* A frame without a word becomes RETIRED; the block's lock is held. */
uint64_t cfi_mark_retired(struct cfi_block *block, cf_pfn pfn)
{
	uint64_t word = word_make(CF_TYPE_RETIRED, 0, 0, CF_OWNER_NONE);

	cfi_put_words(block, pfn, pfn + 1, word, 0);
	return cfi_account(block, pfn, pfn + 1, word, 1);
}

static bool chunk_is_split(const struct cfi_block *block, cf_pfn pfn)
{
	/* Relaxed: written under the lock we hold. */
	return cfi_load_relaxed(&block->split) >>
	       cfi_chunk_index(block, pfn) & 1;
}

/*
 * Give frames back around the bad ones among them; as cfi_give(), for frames
 * that may have been poisoned while they were in use.
 */
uint64_t cfi_give_around(struct cf_map *map, struct cfi_block *block,
			 cf_pfn first, cf_pfn last)
{
	uint64_t empty = 0;
	cf_pfn bad;

	if (block->poison == 0)
		return cfi_give(map, block, first, last);
	/* Bad frames first: a chunk must be split before part of it is free. */
	for (bad = cfi_next_poison(map, first, last); bad < last;
	     bad = cfi_next_poison(map, bad + 1, last)) {
		if (!chunk_is_split(block, bad))
			cfi_chunk_open(block, cfi_chunk_index(block, bad));
		empty |= cfi_mark_retired(block, bad);
	}
	while (first < last) {
		bad = cfi_next_poison(map, first, last);
		if (first < bad)
			empty |= cfi_give(map, block, first, bad);
		first = bad + 1;
	}
	return empty;
}

/* A run with a POISON mark, whose word is 0 now, goes back. */
void cfi_free_poisoned(struct cf_map *map, cf_pfn pfn, cf_pfn last)
{
	while (pfn < last) {
		struct cfi_block *block = cfi_block_held(map, pfn);
		cf_pfn end = cfi_min_pfn(last, cfi_block_last(block));
		unsigned long state = cfi_block_lock(block);
		uint64_t empty = cfi_give_around(map, block, pfn, end);
		cf_pfn base = block->first;

		cfi_block_unlock(block, state);
		cfi_signal_empty(map, base, empty);
		pfn = end;
	}
}

/*
 * A block that goes online has just been made OFFLINE: its bad frames become
 * RETIRED.  Caller holds the block's lock.
 */
void cfi_retire_in_block(struct cf_map *map, struct cfi_block *block)
{
	cf_pfn last = cfi_block_last(block);
	cf_pfn bad = cfi_next_poison(map, block->first, last);
	cf_pfn head;
	uint64_t word;

	for (; bad < last; bad = cfi_next_poison(map, bad + 1, last)) {
		word = cfi_word_in(block, bad, &head);
		/* What hosts the block's metadata keeps its mark. */
		if (word_is(word, CF_TYPE_RESERVED))
			(void)cfi_reword(map, block, head,
					 word_with(word, CF_FLAG_POISON));
		if (!word_is(word, CF_TYPE_OFFLINE))
			continue;
		cfi_carve(map, block, bad);
		cfi_carve(map, block, bad + 1);
		(void)cfi_account(block, bad, bad + 1, word, -1);
		cfi_clear_words(block, bad, bad + 1);
		(void)cfi_mark_retired(block, bad);
		cfi_owner_count(map, word_owner(word), -1);
	}
}

/*
 * A free frame leaves the bitmap for good; so has one that was freed since it
 * is in the table.
 */
static bool retire_free(struct cf_map *map, struct cfi_block *block,
			cf_pfn pfn)
{
	unsigned long state = cfi_block_lock(block);
	bool taken = cfi_take_exact(map, block, pfn, pfn + 1);
	cf_pfn head;

	if (taken)
		(void)cfi_mark_retired(block, pfn);
	else
		taken = word_is(cfi_word_in(block, pfn, &head),
				CF_TYPE_RETIRED);
	cfi_block_unlock(block, state);
	return taken;
}

/* The run that holds the frame splits around it when it is freed. */
static bool mark_run(struct cf_map *map, struct cfi_block *block, cf_pfn pfn)
{
	uint64_t flag = (uint64_t)CF_FLAG_POISON << WORD_FLAGS_SHIFT;
	unsigned long state;
	cfi_u64 *slot;
	uint64_t word;
	bool marked;

	if (cfi_find(map, pfn, &slot, &word) == CF_PFN_NONE ||
	    word_is(word, CF_TYPE_RETIRED) || word_has(word, CF_FLAG_BUSY))
		return false;
	/* The lock keeps uncounted words from changing under the exchange. */
	state = cfi_block_lock(block);
	/* Relaxed: the flag carries nothing; the table is the map's. */
	marked = cfi_cas_relaxed(slot, &word, word | flag);
	cfi_block_unlock(block, state);
	return marked;
}

/*
 * The frame's chunk is isolated: it is free, in a run, or in transit to one
 * of these.
 */
static int retire_online(struct cf_map *map, struct cfi_block *block,
			 cf_pfn pfn, enum cf_retire_state *ret_state)
{
	unsigned spins;

	for (spins = 0; spins < RETIRE_SPINS; spins++) {
		*ret_state = CF_RETIRE_DONE;
		if (retire_free(map, block, pfn))
			return 0;
		*ret_state = CF_RETIRE_PENDING;
		if (mark_run(map, block, pfn))
			return 0;
		cf_port_relax(spins);
	}
	return -CF_EAGAIN;
}

static int isolate_and_retire(struct cf_map *map, struct cfi_block *block,
			      cf_pfn pfn, enum cf_retire_state *ret_state)
{
	struct cfi_range range = {
		.first = pfn & ~(CF_CHUNK_FRAMES - 1),
		.last = (pfn | (CF_CHUNK_FRAMES - 1)) + 1,
	};
	int err;

	err = cfi_isolate(map, &range, NULL);
	if (err)
		return err;
	err = -CF_EAGAIN;
	if (!range.undrained)
		err = retire_online(map, block, pfn, ret_state);
	cfi_unisolate(map, &range);
	return err;
}

/*
 * Device memory is in no cache and nobody allocates it: the mark does, and its
 * owner goes on from there.
 */
static int retire_device(struct cf_map *map, struct cfi_block *block,
			 cf_pfn pfn, enum cf_retire_state *ret_state)
{
	int err = -CF_EBUSY;

	if (cfi_block_state(block) == CF_BLOCK_DEVICE)
		err = retire_online(map, block, pfn, ret_state);
	if (!err && *ret_state == CF_RETIRE_PENDING) {
		cfi_device_failed(map, pfn);
		*ret_state = cf_retire_state(map, pfn);
	}
	return err;
}

/*
 * Into the table, and counted in its block, in one step of the block: whoever
 * gives frames back around bad ones must not find one more half way.
 */
static void remember(struct cf_map *map, struct cfi_block *block, cf_pfn pfn)
{
	unsigned long state;

	if (!block) {
		table_add(map, pfn);
		return;
	}
	state = cfi_block_lock(block);
	table_add(map, pfn);
	block->poison++;
	cfi_block_unlock(block, state);
}

/*
 * Take a frame out of the table again.  False: it has become RETIRED
 * meanwhile.  Under the block's lock, as is whoever gives frames back.
 */
static bool forget(struct cf_map *map, struct cfi_block *block, cf_pfn pfn)
{
	unsigned long state = cfi_block_lock(block);
	cf_pfn head = pfn;
	bool bad = word_is(cfi_word_in(block, pfn, &head), CF_TYPE_RETIRED);

	if (!bad) {
		block->poison--;
		table_drop_last(map);
	}
	cfi_block_unlock(block, state);
	return !bad;
}

/* Caller holds map->hotplug. */
static int retire(struct cf_map *map, cf_pfn pfn,
		  enum cf_retire_state *ret_state)
{
	struct cfi_block *block = cfi_block_of(map, pfn);
	int err = 0;

	if (cfi_is_poison(map, pfn)) {
		*ret_state = cf_retire_state(map, pfn);
		return 0;
	}
	if (table_count(map) == map->config.poison_max)
		return -CF_ELIMIT;
	/* The table first: whoever meets the mark must find the frame. */
	remember(map, block, pfn);
	*ret_state = CF_RETIRE_PENDING;
	if (block && block->kind)
		err = retire_device(map, block, pfn, ret_state);
	else if (block && cfi_block_state(block) != CF_BLOCK_OFFLINE)
		err = isolate_and_retire(map, block, pfn, ret_state);
	if (!err || forget(map, block, pfn))
		return err;
	/* It was given back in the middle, around the table. */
	*ret_state = CF_RETIRE_DONE;
	return 0;
}

int cf_retire(struct cf_map *map, cf_pfn pfn, enum cf_retire_state *ret_state)
{
	enum cf_retire_state known = CF_RETIRE_NONE;
	unsigned long state;
	int err;

	if (pfn >= map->config.last)
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = retire(map, pfn, &known);
	cf_unlock(&map->hotplug, state);
	if (!err)
		*ret_state = known;
	return err;
}

enum cf_retire_state cf_retire_state(struct cf_map *map, cf_pfn pfn)
{
	enum cf_retire_state known = CF_RETIRE_PENDING;
	struct cf_snapshot run;

	if (!cfi_is_poison(map, pfn))
		return CF_RETIRE_NONE;
	if (!cf_snapshot(map, pfn, &run) && run.type == CF_TYPE_RETIRED)
		known = CF_RETIRE_DONE;
	return known;
}
