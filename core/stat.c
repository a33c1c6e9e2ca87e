/* SPDX-License-Identifier: MIT */

/*
 * Counters, added up when asked for.
 *
 * Nothing on the paths of allocation keeps a total: each block counts under
 * its lock, each context in its own line.  Adding up takes one block's lock
 * at a time and no other lock, so hooks may ask.  The sum is exact when
 * nothing runs; otherwise each part was true at some moment of the call.
 */

#include "internal.h"

/* The block of a number, if its frames have states; its lock is held then. */
static struct cfi_block *lock_in_use(struct cf_map *map, uint64_t number,
				     unsigned long *ret_state)
{
	struct cfi_block *block = cfi_block_at(map, number);

	if (!block)
		return NULL;
	*ret_state = cfi_block_lock(block);
	if (cfi_block_state(block) != CF_BLOCK_OFFLINE)
		return block;
	cfi_block_unlock(block, *ret_state);
	return NULL;
}

static uint64_t managed_frames(const struct cfi_block *block)
{
	return cfi_block_frames(block) - block->offline - block->retired -
	       block->reserved;
}

static uint64_t isolated_free(const struct cfi_block *block)
{
	uint64_t chunks = cfi_isolated(block);
	uint64_t frames = 0;

	for (; chunks; chunks &= chunks - 1)
		frames += block->chunk[bits_first(chunks)].free;
	return frames;
}

static void add_block(struct cf_map *map, uint64_t number,
		      struct cf_stat *stat)
{
	struct cfi_block *block;
	unsigned long state;

	cf_port_read_lock();
	block = lock_in_use(map, number, &state);
	if (block) {
		stat->present += cfi_block_frames(block);
		stat->managed += block->kind ? 0 : managed_frames(block);
		stat->free += block->free;
		stat->offline += block->offline;
		stat->never_onlined += block->never_onlined;
		stat->skippable += block->skippable;
		stat->retired += block->retired;
		stat->reserved += block->reserved;
		stat->isolated += isolated_free(block);
		cfi_block_unlock(block, state);
	}
	cf_port_read_unlock();
}

/* Frames in one context's stock of a zone. */
uint64_t cfi_cache_frames(const struct cfi_cache *cache)
{
	uint64_t frames;
	unsigned order;

	/* Relaxed, all of them: a moment's view. */
	frames = cfi_load_relaxed(&cache->magazine[0].count) +
		 cfi_load_relaxed(&cache->magazine[1].count);
	for (order = 1; order <= CF_MAX_ORDER; order++)
		frames += cfi_load_relaxed(&cache->stack[order].count) << order;
	return frames;
}

/* Frames in stock for one zone, in all contexts. */
static uint64_t cached_frames(const struct cf_map *map, unsigned zone)
{
	uint64_t frames = 0;
	unsigned cpu;

	for (cpu = 0; cpu < map->config.cpus; cpu++)
		frames += cfi_cache_frames(&map->cpu[cpu].cache[zone]);
	return frames;
}

/*
 * One context's part may be negative: it freed what another allocated.  While
 * they run the sum may be so for a moment, too.
 */
static uint64_t type_frames(const struct cf_map *map, enum cf_type type)
{
	/* Relaxed: counts. */
	int64_t frames = (int64_t)cfi_load_relaxed(&map->type_frames[type]);
	unsigned cpu;

	for (cpu = 0; cpu < map->config.cpus; cpu++)
		frames += (int64_t)
			cfi_load_relaxed(&map->cpu[cpu].type_frames[type]);
	return frames > 0 ? (uint64_t)frames : 0;
}

void cf_stat(struct cf_map *map, struct cf_stat *ret_stat)
{
	struct cf_stat stat = { 0 };
	uint64_t number;
	unsigned i;

	for (number = 0; number < cfi_blocks_end(map); number++)
		add_block(map, number, &stat);
	for (i = 0; i < map->zones; i++)
		stat.cached += cached_frames(map, i);
	for (i = CF_TYPE_KERNEL; i <= CF_TYPE_SLAB; i++)
		stat.by_type[i] = type_frames(map, (enum cf_type)i);
	stat.by_type[CF_TYPE_RESERVED] = stat.reserved;
	stat.by_type[CF_TYPE_OFFLINE] = stat.offline;
	stat.by_type[CF_TYPE_RETIRED] = stat.retired;
	*ret_stat = stat;
}

/* Chunks of a block to look into after its lock was given back. */
struct chunks {
	uint64_t whole;		/* wholly free */
	uint64_t partly;
};

static struct chunks chunks_of(const struct cfi_block *block)
{
	struct chunks chunks = { 0, 0 };
	unsigned i;

	for (i = 0; i < block->chunks; i++) {
		unsigned free = block->chunk[i].free;
		uint64_t bit = (uint64_t)1 << i;

		if (free == CF_CHUNK_FRAMES)
			chunks.whole |= bit;
		else if (free > 0)
			chunks.partly |= bit;
	}
	return chunks;
}

/* Runs of whole chunks, from order 9 up. */
static void add_whole_runs(uint64_t whole, struct cf_zone_stat *stat)
{
	unsigned order;

	for (order = 0; order <= CF_BLOCK_ORDER_MAX - CF_CHUNK_ORDER; order++)
		stat->runs[CF_CHUNK_ORDER + order] +=
			bits_count(bits_exact(whole, order));
}

/* Runs of a chunk that is partly free, orders 0-8. */
static void add_runs(const struct cfi_bitmap *bitmap, struct cf_zone_stat *stat)
{
	uint64_t full = bitmap_full_words(bitmap);
	unsigned order, i;

	for (order = 0; order < 6; order++)
		for (i = 0; i < BITMAP_WORDS; i++)
			stat->runs[order] +=
				bits_count(bits_exact(bitmap->word[i], order));
	for (; order < CF_CHUNK_ORDER; order++)
		stat->runs[order] += bits_count(bits_exact(full, order - 6));
}

/* The lock is taken for each chunk anew: counting takes longer than copying. */
static void add_chunk(struct cfi_block *block, unsigned chunk,
		      struct cf_zone_stat *stat)
{
	unsigned long state = cfi_block_lock(block);
	unsigned free = block->chunk[chunk].free;
	struct cfi_bitmap bitmap = { { 0 } };

	if (free > 0 && free < CF_CHUNK_FRAMES)
		bitmap = block->bitmap[chunk];
	cfi_block_unlock(block, state);
	add_runs(&bitmap, stat);
}

static void add_zone_block(struct cf_map *map, unsigned zone, uint64_t number,
			   struct cf_zone_stat *stat)
{
	struct chunks chunks = { 0, 0 };
	struct cfi_block *block;
	unsigned long state;

	cf_port_read_lock();
	block = lock_in_use(map, number, &state);
	if (block) {
		if (!block->kind && cfi_zone_number(block) == zone) {
			stat->blocks++;
			stat->present += cfi_block_frames(block);
			stat->managed += managed_frames(block);
			stat->free += block->free;
			stat->offline += block->offline;
			chunks = chunks_of(block);
		}
		cfi_block_unlock(block, state);
	}
	stat->chunks_free += bits_count(chunks.whole);
	add_whole_runs(chunks.whole, stat);
	for (; chunks.partly; chunks.partly &= chunks.partly - 1)
		add_chunk(block, bits_first(chunks.partly), stat);
	cf_port_read_unlock();
}

int cf_zone_stat(struct cf_map *map, unsigned node, enum cf_zone_kind kind,
		 struct cf_zone_stat *ret_stat)
{
	struct cf_zone_stat stat = { 0 };
	const struct cfi_zone *zone;
	uint64_t number;

	if (node >= map->config.nodes || (unsigned)kind > CF_ZONE_MOVABLE)
		return -CF_EINVAL;
	zone = cfi_zone_of(map, node, kind);
	for (number = 0; number < cfi_blocks_end(map); number++)
		add_zone_block(map, zone->number, number, &stat);
	stat.cached = cached_frames(map, zone->number);
	/* Relaxed: marks are read one by one; each is right at some moment. */
	stat.marks = (struct cf_watermarks) {
		.min = cfi_load_relaxed(&zone->mark_min),
		.low = cfi_load_relaxed(&zone->mark_low),
		.high = cfi_load_relaxed(&zone->mark_high),
	};
	*ret_stat = stat;
	return 0;
}
