/* SPDX-License-Identifier: MIT */

/*
 * Searching a zone for free runs.
 *
 * Tightest class first, partly free chunks before whole ones, so that whole
 * chunks survive.  Within each of the two the context's home block - the one
 * that served it last - is asked first, and its word is taken for what it
 * has: the index is only read for other blocks.  So a context that allocates
 * and frees over and over stays in one block and writes no shared line but
 * that block's own, and contexts work in different blocks.
 */

#include "internal.h"

/* Take what is wanted from a run of @class; false: the block has none. */
static bool take(struct cf_map *map, struct cfi_block *block,
		 struct cfi_want *want, unsigned class)
{
	if (want->order == 0)
		want->taken = cfi_take_many(map, block, class, want->frames,
					    want->most);
	else
		want->taken = cfi_take_run(map, block, want->order, class,
					   want->frames);
	return want->taken > 0;
}

/*
 * Ask the home block for its tightest class in [first, last).  Sets @asked if
 * the block is one of the zone's, so that the index need not lead there.
 */
static bool take_at_home(struct cf_map *map, struct cfi_zone *zone,
			 struct cfi_want *want, unsigned first, unsigned last,
			 bool *asked)
{
	struct cfi_block *block = cfi_block_at(map, want->home);
	unsigned long state;
	unsigned class;
	bool found = false;

	*asked = false;
	if (!block)
		return false;
	state = cfi_block_lock(block);
	if (cfi_zone_number(block) == zone->number) {
		*asked = true;
		class = cfi_tightest(block, first, last);
		found = class != CLASS_NONE && take(map, block, want, class);
	}
	cfi_block_unlock(block, state);
	return found;
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
	if (!found)
		cfi_index_clear(zone, class, number);
	cfi_block_unlock(block, state);
	if (found)
		want->home = (uint32_t)number;
	return found;
}

/* The next block to ask for @class that is not the home block. */
static uint64_t next_block(const struct cf_map *map,
			   const struct cfi_zone *zone, unsigned class,
			   uint32_t home, bool skip_home)
{
	uint64_t number = cfi_index_find(map, zone, class, home);

	if (!skip_home || number != home)
		return number;
	number = cfi_index_find(map, zone, class, home + 1u);
	return number == home ? INDEX_NONE : number;
}

/* Blocks by the index, classes [first, last). */
static bool take_elsewhere(struct cf_map *map, struct cfi_zone *zone,
			   struct cfi_want *want, unsigned first,
			   unsigned last, bool skip_home)
{
	uint32_t home = want->home;
	unsigned class = first;
	uint64_t number;

	while (class < last) {
		number = next_block(map, zone, class, home, skip_home);
		if (number == INDEX_NONE)
			class++;
		else if (take_at(map, zone, want, class, number))
			return true;
	}
	return false;
}

static bool take_in(struct cf_map *map, struct cfi_zone *zone,
		    struct cfi_want *want, unsigned first, unsigned last)
{
	bool asked;

	/* What was whole may have been broken since it was asked. */
	return take_at_home(map, zone, want, want->order, last, &asked) ||
	       take_elsewhere(map, zone, want, first, last, asked);
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
	unsigned end = map->block_shift + 1;

	if (!cfi_index_any(zone, want->order))
		return false;
	if (want->order < CLASS_WHOLE &&
	    take_in(map, zone, want, want->order, CLASS_WHOLE))
		return true;
	if (want->order < CLASS_WHOLE && !may_break)
		return false;
	return take_in(map, zone, want, want->order < CLASS_WHOLE ?
		       CLASS_WHOLE : want->order, end);
}

/* Take the one free run of a whole block; false: it is not wholly free. */
static bool take_block(struct cf_map *map, struct cfi_zone *zone,
		       uint64_t number)
{
	struct cfi_want want = { .order = map->block_shift, .most = 1 };
	cf_pfn pfn;

	want.frames = &pfn;
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
		number = cfi_index_find(map, zone, map->block_shift, next);
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
