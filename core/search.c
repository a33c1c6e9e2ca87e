/* SPDX-License-Identifier: MIT */

/*
 * Searching a zone for free runs.
 *
 * Tightest class first, partly free chunks before whole ones, so that whole
 * chunks survive.  Within each of the two the context's home block - the one
 * that served it last - is asked first, and its word is taken for what it
 * has: the index is only read for other blocks.  So a context that allocates
 * and frees over and over stays in one block and writes no shared line but
 * that block's own.
 *
 * Contexts take from different blocks: one that is another context's home
 * comes after one's own whole chunks, and after a few that are nobody's.  Whose
 * home a block is is a hint, and stays one when the context rests; who finds
 * nothing else takes what there is.
 */

#include "internal.h"

/* So many homes of others a search passes by at once, for one class. */
#define PASSED_MOST	8

/*
 * Single frames from a run of @class, and on from the block's partly free
 * chunks until it is enough to come for.
 */
static unsigned take_frames(struct cf_map *map, struct cfi_block *block,
			    const struct cfi_want *want, unsigned class)
{
	unsigned taken = 0;
	unsigned more;

	do {
		more = cfi_take_many(map, block, class, want->frames + taken,
				     want->most - taken);
		taken += more;
		class = cfi_tightest(block, 0, CLASS_WHOLE);
	} while (more > 0 && taken < want->most / 4 && class != CLASS_NONE);
	return taken;
}

/*
 * Runs from a run of @class, and on while the block's partly free chunks have
 * some that are no looser.
 */
static unsigned take_runs(struct cf_map *map, struct cfi_block *block,
			  const struct cfi_want *want, unsigned class)
{
	unsigned last = class < CLASS_WHOLE ? class + 1 : CLASS_WHOLE;
	unsigned taken = 0;

	do {
		if (!cfi_take_run(map, block, want->order, class,
				  want->frames + taken))
			return taken;
		taken++;
		if (taken < want->most)
			class = cfi_tightest(block, want->order, last);
	} while (taken < want->most && class != CLASS_NONE);
	return taken;
}

/* Take what is wanted from a run of @class; false: the block has none. */
static bool take(struct cf_map *map, struct cfi_block *block,
		 struct cfi_want *want, unsigned class)
{
	if (want->order == 0)
		want->taken = take_frames(map, block, want, class);
	else
		want->taken = take_runs(map, block, want, class);
	return want->taken > 0;
}

/* Is the block another context's home, which comes last? */
static bool is_anothers(const struct cf_map *map, uint64_t number,
			const struct cfi_want *want)
{
	const struct cfi_block *block = cfi_block_at(map, number);
	uint64_t context;

	if (!block || want->context == 0 || want->anywhere)
		return false;
	/* Relaxed: a hint. */
	context = cfi_load_relaxed(&block->home_of);
	return context != 0 && context != want->context;
}

/* The block has served the context, which goes there first from now on. */
static void come_home(struct cf_map *map, struct cfi_block *block,
		      struct cfi_want *want)
{
	struct cfi_block *old;

	/* Relaxed, all of them: a hint. */
	if (want->context && cfi_load_relaxed(&block->home_of) == 0)
		cfi_store_relaxed(&block->home_of, want->context);
	if (block->number == want->home)
		return;
	old = cfi_block_at(map, want->home);
	want->home = block->number;
	if (old && want->context &&
	    cfi_load_relaxed(&old->home_of) == want->context)
		cfi_store_relaxed(&old->home_of, 0);
}

/*
 * Ask the home block, if it is one of the zone's, for its tightest class in
 * [first, last), but not for one above @most.  Returns that class, or @last;
 * what was taken is in @want.
 */
static unsigned take_at_home(struct cf_map *map, struct cfi_zone *zone,
			     struct cfi_want *want, unsigned first,
			     unsigned last, unsigned most)
{
	struct cfi_block *block = cfi_block_at(map, want->home);
	unsigned long state;
	unsigned class;

	want->asked = false;
	if (is_anothers(map, want->home, want)) {
		want->passed = true;
		return last;
	}
	if (!block)
		return last;
	state = cfi_block_lock(block);
	class = CLASS_NONE;
	if (cfi_zone_number(block) == zone->number) {
		want->asked = true;
		class = cfi_tightest(block, first, last);
	}
	if (class <= most && take(map, block, want, class))
		come_home(map, block, want);
	cfi_block_unlock(block, state);
	return class == CLASS_NONE ? last : class;
}

/* Ask one block; clear its bit if it was asked in vain. */
static bool take_at(struct cf_map *map, struct cfi_zone *zone,
		    struct cfi_want *want, unsigned class, uint64_t number)
{
	struct cfi_block *block = cfi_block_at(map, number);
	unsigned long state;
	bool found;

	if (!block)
		return false;
	state = cfi_block_lock(block);
	found = cfi_zone_number(block) == zone->number &&
		take(map, block, want, class);
	if (found)
		come_home(map, block, want);
	else
		cfi_index_clear(zone, class, number);
	cfi_block_unlock(block, state);
	return found;
}

/*
 * The next block to ask for @class, from home on and around.  Passes home by
 * once it was asked, and homes of others, but not many.
 */
static uint64_t next_block(const struct cf_map *map,
			   const struct cfi_zone *zone, unsigned class,
			   struct cfi_want *want)
{
	uint64_t from = want->home;
	uint64_t first = INDEX_NONE;
	unsigned passed;
	uint64_t number;

	for (passed = 0; passed <= PASSED_MOST; passed++) {
		number = cfi_index_find(map, zone, class, from,
					passed ? true : want->asked);
		if (number == INDEX_NONE || number == first ||
		    (number == want->home && want->asked))
			return INDEX_NONE;
		if (!is_anothers(map, number, want))
			return number;
		want->passed = true;
		if (first == INDEX_NONE)
			first = number;
		from = number;
	}
	return INDEX_NONE;
}

/* Blocks by the index, classes [first, last). */
static bool take_elsewhere(struct cf_map *map, struct cfi_zone *zone,
			   struct cfi_want *want, unsigned first,
			   unsigned last)
{
	unsigned class = first;
	uint64_t number;

	while (class < last) {
		number = next_block(map, zone, class, want);
		if (number == INDEX_NONE)
			class++;
		else if (take_at(map, zone, want, class, number))
			return true;
	}
	return false;
}

/* From partly free chunks: the tightest there are, at home if it has one. */
static bool take_partial(struct cf_map *map, struct cfi_zone *zone,
			 struct cfi_want *want)
{
	unsigned order = want->order;
	unsigned class;

	class = take_at_home(map, zone, want, order, CLASS_WHOLE, order);
	if (want->taken)
		return true;
	if (take_elsewhere(map, zone, want, order, class))
		return true;
	if (class == CLASS_WHOLE)
		return false;
	(void)take_at_home(map, zone, want, order, CLASS_WHOLE, CLASS_WHOLE);
	return want->taken ||
	       take_elsewhere(map, zone, want, class, CLASS_WHOLE);
}

/* Partly free chunks, then whole ones, each at home first. */
static bool search(struct cf_map *map, struct cfi_zone *zone,
		   struct cfi_want *want, bool may_break)
{
	unsigned end = map->block_shift + 1;
	unsigned whole = want->order < CLASS_WHOLE ? CLASS_WHOLE : want->order;

	if (want->order < whole && take_partial(map, zone, want))
		return true;
	if (may_break) {
		/* What was whole may have been broken since it was asked. */
		(void)take_at_home(map, zone, want, want->order, end, end);
		if (want->taken ||
		    take_elsewhere(map, zone, want, whole, end))
			return true;
	}
	if (!want->passed)
		return false;
	/* What is left is others' homes. */
	want->anywhere = true;
	return take_elsewhere(map, zone, want, want->order,
			      may_break ? end : whole);
}

/**
 * cfi_search() - find what is wanted in one zone, inside one block.
 * @want:      order up to a block's; in: home; out: frames, taken, home
 * @may_break: whole chunks may be broken for less
 *
 * Caller is in a read section.
 */
bool cfi_search(struct cf_map *map, struct cfi_zone *zone,
		struct cfi_want *want, bool may_break)
{
	/* Relaxed: an empty zone is found empty by its index as well. */
	return cfi_load_relaxed(&zone->blocks) != 0 &&
	       search(map, zone, want,
		      may_break || want->order >= CLASS_WHOLE);
}

/*
 * After a search in vain: ask the home block by its bits, so that those that
 * are stale go and the next search need not look at it.
 */
bool cfi_search_home(struct cf_map *map, struct cfi_zone *zone,
		     struct cfi_want *want)
{
	unsigned class;

	for (class = want->order; class <= map->block_shift; class++)
		if (cfi_index_test(zone, class, want->home) &&
		    take_at(map, zone, want, class, want->home))
			return true;
	return false;
}

/* Take the one free run of a whole block; false: it is not wholly free. */
static bool take_block(struct cf_map *map, struct cfi_zone *zone,
		       uint64_t number)
{
	cf_pfn pfn;
	struct cfi_want want = {
		.order = map->block_shift,
		.home = (uint32_t)number,
		.frames = &pfn,
		.most = 1,
	};

	return cfi_index_test(zone, map->block_shift, number) &&
	       take_at(map, zone, &want, map->block_shift, number);
}

/*
 * Claim @count wholly free blocks from @first, one lock at a time.  What is
 * claimed and given back was free all the time to everybody else.
 */
static bool take_blocks(struct cf_map *map, struct cfi_zone *zone,
			uint64_t first, uint64_t count)
{
	uint64_t number = first;

	cfi_moves_begin(&zone->moves);
	while (number < first + count && take_block(map, zone, number))
		number++;
	if (number < first + count)
		cfi_give_range(map, first << map->block_shift,
			       number << map->block_shift);
	cfi_moves_end(&zone->moves);
	return number == first + count;
}

/*
 * A run of several whole blocks.  Caller is in a read section.
 */
bool cfi_search_blocks(struct cf_map *map, struct cfi_zone *zone,
		       unsigned order, cf_pfn *ret_pfn)
{
	uint64_t count = (uint64_t)1 << (order - map->block_shift);
	uint64_t next = 0;
	uint64_t number;

	while (next < map->blocks_max) {
		number = cfi_index_find(map, zone, map->block_shift, next,
					false);
		if (number == INDEX_NONE || number < next)
			return false;
		number &= ~(count - 1);
		next = number + count;
		if (next <= map->blocks_max &&
		    take_blocks(map, zone, number, count)) {
			*ret_pfn = number << map->block_shift;
			return true;
		}
	}
	return false;
}
