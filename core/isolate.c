/* SPDX-License-Identifier: MIT */

/*
 * Isolation: the first step of taking memory away.
 *
 * An isolated chunk gives out no frame and accepts every frame that comes
 * back, so the number of frames in use in it can only fall.  Offlining,
 * contiguous allocation, compaction and retirement all rest on that.
 *
 * Isolation of a range is all or nothing, and a chunk is isolated for one
 * operation: the second gets -CF_EBUSY and a report that names the first,
 * because undoing either would undo both.  While any range is isolated every
 * context is kept out of its caches.
 */

#include "internal.h"

/*
 * The operation that has isolated part of [first, last).  Caller holds
 * map->range_lock.
 */
static const struct cfi_range *overlapping(const struct cf_map *map,
					   cf_pfn first, cf_pfn last)
{
	const struct cfi_range *range;

	for (range = map->range; range; range = range->next)
		if (range->first < last && first < range->last)
			return range;
	return NULL;
}

/* The id of the operation that has isolated part of [first, last), or 0. */
uint32_t cfi_range_find(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	unsigned long state = cf_lock(&map->range_lock);
	const struct cfi_range *range = overlapping(map, first, last);
	uint32_t id = range ? range->id : 0;

	cf_unlock(&map->range_lock, state);
	return id;
}

static int enlist(struct cf_map *map, struct cfi_range *range,
		  struct cf_report *report)
{
	unsigned long state = cf_lock(&map->range_lock);
	const struct cfi_range *other = overlapping(map, range->first,
						    range->last);

	if (other) {
		cfi_report_add(map, report, CF_REASON_OPERATION,
			       cfi_max_pfn(other->first, range->first), 0,
			       cfi_min_pfn(other->last, range->last) -
			       cfi_max_pfn(other->first, range->first));
		if (report)
			report->operation = other->id;
	} else {
		range->id = ++map->range_next_id;
		range->next = map->range;
		map->range = range;
	}
	cf_unlock(&map->range_lock, state);
	return other ? -CF_EBUSY : 0;
}

static void delist(struct cf_map *map, const struct cfi_range *range)
{
	unsigned long state = cf_lock(&map->range_lock);
	struct cfi_range **at = &map->range;

	while (*at != range) {
		CF_CHECK(*at != NULL, range->id);
		at = &(*at)->next;
	}
	*at = range->next;
	cf_unlock(&map->range_lock, state);
}

/* The chunks of a block that lie in [first, last), chunk aligned. */
uint64_t cfi_chunks_in(const struct cfi_block *block, cf_pfn first,
		       cf_pfn last)
{
	unsigned low, high;

	first = cfi_max_pfn(first, block->first);
	last = cfi_min_pfn(last, cfi_block_last(block));
	low = cfi_chunk_index(block, first);
	high = (unsigned)((last - block->first) >> CF_CHUNK_ORDER);
	return bits_low(high) & ~bits_low(low);
}

/* Isolate (@isolated) or release the chunks of one block. */
static void set_isolated(struct cf_map *map, struct cfi_block *block,
			 uint64_t chunks, bool isolated)
{
	uint64_t mask = cfi_isolated(block);
	unsigned chunk;

	/* Relaxed: written under the lock we hold. */
	cfi_store_relaxed(&block->isolated,
			  isolated ? mask | chunks : mask & ~chunks);
	block->pending &= ~chunks;
	for (; chunks; chunks &= chunks - 1) {
		chunk = bits_first(chunks);
		cfi_chunk_reclass(map, block, chunk);
		(void)cfi_chunk_settle(block, chunk);
	}
}

static bool isolate_block(struct cf_map *map, struct cfi_block *block,
			  const struct cfi_range *range)
{
	unsigned long state = cfi_block_lock(block);
	bool online = cfi_block_state(block) == CF_BLOCK_ONLINE;

	if (online)
		set_isolated(map, block,
			     cfi_chunks_in(block, range->first, range->last),
			     true);
	cfi_block_unlock(block, state);
	return online;
}

static void unisolate_blocks(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	while (first < last) {
		struct cfi_block *block = cfi_block_held(map, first);
		unsigned long state = cfi_block_lock(block);

		set_isolated(map, block, cfi_chunks_in(block, first, last),
			     false);
		cfi_block_unlock(block, state);
		first = cfi_block_last(block);
	}
}

/**
 * cfi_isolate() - isolate the chunks of a range and keep caches out.
 *
 * Caller holds map->hotplug.
 * Return:  0, with range->undrained set if a cache could not be emptied yet;
 *          or with everything as it was:
 *          -CF_EBUSY  another operation has isolated part of it
 *          -CF_EGONE  a block is absent or not online
 */
int cfi_isolate(struct cf_map *map, struct cfi_range *range,
		struct cf_report *report)
{
	struct cfi_block *block;
	cf_pfn at;
	int err;

	err = enlist(map, range, report);
	if (err)
		return err;
	for (at = range->first; at < range->last; at = cfi_block_last(block)) {
		block = cfi_block_of(map, at);
		if (!block || !isolate_block(map, block, range)) {
			cfi_report_add(map, report, block ? CF_REASON_STATE :
				       CF_REASON_HOLE, at, 0,
				       (cf_pfn)1 << map->block_shift);
			unisolate_blocks(map, range->first, at);
			delist(map, range);
			return -CF_EGONE;
		}
	}
	range->isolated = true;
	range->undrained = cfi_divert_begin(map) != 0;
	return 0;
}

/* Undo cfi_isolate(), if it was done. Caller holds map->hotplug. */
void cfi_unisolate(struct cf_map *map, struct cfi_range *range)
{
	if (!range->isolated)
		return;
	unisolate_blocks(map, range->first, range->last);
	delist(map, range);
	cfi_divert_end(map);
	range->isolated = false;
}
