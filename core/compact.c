/* SPDX-License-Identifier: MIT */

/*
 * Compaction: make whole chunks free by moving the few frames that split them.
 *
 * The chunk with the fewest frames in use is emptied first, into chunks that
 * are split already; a free chunk is never broken for it.  The search goes
 * from cheap to dear, so each chunk is tried once, and again only if others'
 * frames made it dearer meanwhile.
 */

#include "internal.h"

/* A chunk to empty, and what that would cost. */
struct candidate {
	cf_pfn pfn;
	unsigned used;
};

/* The cheapest partly free chunk of one block; tried ones are below @after. */
static void look_in(struct cfi_block *block, struct candidate *best,
		    struct candidate after)
{
	unsigned long state = cfi_block_lock(block);
	unsigned chunk;

	for (chunk = 0; chunk < block->chunks; chunk++) {
		const struct cfi_chunk *c = &block->chunk[chunk];
		struct candidate here = {
			block->first + ((cf_pfn)chunk << CF_CHUNK_ORDER),
			(unsigned)CF_CHUNK_FRAMES - c->free,
		};

		if (c->class >= CLASS_WHOLE || c->skip)
			continue;
		if (here.used < after.used ||
		    (here.used == after.used && here.pfn <= after.pfn))
			continue;
		if (here.used < best->used ||
		    (here.used == best->used && here.pfn < best->pfn))
			*best = here;
	}
	cfi_block_unlock(block, state);
}

/* The cheapest chunk of the zone that is dearer than @after. */
static bool next_candidate(struct cf_map *map, const struct cfi_zone *zone,
			   struct candidate after, struct candidate *ret_best)
{
	struct candidate best = { CF_PFN_NONE, (unsigned)CF_CHUNK_FRAMES };
	uint64_t number;

	for (number = 0; number < cfi_blocks_end(map); number++) {
		struct cfi_block *block = cfi_block_at(map, number);

		if (block && cfi_block_state(block) == CF_BLOCK_ONLINE &&
		    cfi_zone_number(block) == zone->number)
			look_in(block, &best, after);
	}
	*ret_best = best;
	return best.pfn != CF_PFN_NONE;
}

static bool can_empty(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	struct cfi_evacuation look = {
		.query = true,
		.take_all = true,
		.keep_kept = true,
	};

	cfi_evacuate(map, first, last, &look);
	return look.stuck == 0;
}

/* Empty one chunk. Caller holds map->hotplug. */
static int empty_chunk(struct cf_map *map, cf_pfn first,
		       struct cf_compaction *done)
{
	struct cfi_evacuation evacuation = {
		.take_all = true,
		.keep_kept = true,
		.this_zone = true,
		.flags = CF_ALLOC_NOSPLIT | CF_ALLOC_THISNODE |
			 CF_ALLOC_NOWAIT,
	};
	struct cfi_range range = {
		.first = first,
		.last = first + CF_CHUNK_FRAMES,
	};
	struct cfi_block *block = cfi_block_held(map, first);
	const struct cfi_chunk *chunk;
	unsigned long state;
	int err;

	if (!can_empty(map, range.first, range.last))
		return 0;
	err = cfi_isolate(map, &range, NULL);
	if (err)
		return 0;
	done->chunks_tried++;
	if (range.undrained)
		err = -CF_EAGAIN;
	else
		cfi_evacuate(map, range.first, range.last, &evacuation);
	done->frames_moved += evacuation.migrated;
	state = cfi_block_lock(block);
	chunk = &block->chunk[cfi_chunk_index(block, first)];
	done->chunks_freed += chunk->free == CF_CHUNK_FRAMES;
	cfi_block_unlock(block, state);
	cfi_unisolate(map, &range);
	return err;
}

int cf_compact(struct cf_map *map, unsigned node, enum cf_zone_kind kind,
	       uint64_t chunks, struct cf_compaction *ret_done)
{
	struct candidate at = { 0, 0 };
	struct cfi_zone *zone;
	unsigned long state;
	int err = 0;

	*ret_done = (struct cf_compaction) { 0 };
	if (node >= map->config.nodes || (unsigned)kind > CF_ZONE_MOVABLE)
		return -CF_EINVAL;
	zone = cfi_zone_of(map, node, kind);
	state = cf_lock(&map->hotplug);
	while (!err && ret_done->chunks_freed < chunks &&
	       next_candidate(map, zone, at, &at))
		err = empty_chunk(map, at.pfn, ret_done);
	cf_unlock(&map->hotplug, state);
	if (ret_done->chunks_freed)
		return 0;
	return err ? err : -CF_ENOMEM;
}
