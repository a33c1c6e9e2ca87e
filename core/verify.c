/* SPDX-License-Identifier: MIT */

/*
 * Verify: every equation of the map, checked from what is farthest down.
 *
 * Caches first, then each block from its words up (audit.c), then what the
 * blocks add up to: zones, types, owners.  The first equation that does not
 * hold is the finding.  Nothing is allocated: owners are counted a window of
 * ids at a time.
 *
 * Exact only when nothing else runs: then no word is BUSY or ISOLATED, no
 * block is going online, and a frame that is nothing was lost.
 */

#include "audit.h"
#include "cache.h"

#define OWNER_WINDOW	64
_Static_assert(CF_OWNERS_MAX % OWNER_WINDOW == 0, "windows of owners");

/* Caches. */

static bool is_free(struct cfi_block *block, cf_pfn pfn)
{
	unsigned long state = cfi_block_lock(block);
	bool free = cfi_is_free(block, pfn, pfn + 1);

	cfi_block_unlock(block, state);
	return free;
}

/* A frame in a cache of @zone is nothing else. */
static bool check_cached(struct audit *audit, cf_pfn pfn, unsigned zone)
{
	struct cfi_block *block = cfi_block_of(audit->map, pfn);
	uint64_t word = 0;
	cfi_u64 *slot;

	if (!block || !in_use(block))
		return fail(audit, CF_FINDING_STATE, pfn, CF_BLOCK_ONLINE,
			    block ? CF_BLOCK_OFFLINE : CF_BLOCK_ABSENT);
	if (cfi_zone_number(block) != zone)
		return fail(audit, CF_FINDING_STATE, pfn, zone,
			    cfi_zone_number(block));
	if (is_free(block, pfn))
		return fail(audit, CF_FINDING_CACHED_TWICE, pfn, 0, 1);
	if (cfi_find(audit->map, pfn, &slot, &word) != CF_PFN_NONE)
		return fail(audit, CF_FINDING_OVERLAP, pfn, 0, word);
	return !cfi_is_poison(audit->map, pfn) ||
	       fail(audit, CF_FINDING_POISON, pfn, 0, 1);
}

static bool check_magazine(struct audit *audit,
			   const struct cfi_magazine *magazine, unsigned zone)
{
	uint64_t count = load(&magazine->count);
	uint64_t i;

	if (count > MAGAZINE_FRAMES)
		return fail(audit, CF_FINDING_CACHED_TWICE, CF_PFN_NONE,
			    MAGAZINE_FRAMES, count);
	for (i = 0; i < count; i++)
		if (!check_cached(audit, magazine->frame[i], zone))
			return false;
	return true;
}

static bool check_stack(struct audit *audit, const struct cfi_stack *stack,
			unsigned order, unsigned zone)
{
	uint64_t count = load(&stack->count);
	cf_pfn pfn, last;
	uint64_t i;

	if (count > cfi_stack_most(order))
		return fail(audit, CF_FINDING_CACHED_TWICE, CF_PFN_NONE,
			    cfi_stack_most(order), count);
	for (i = 0; i < count; i++) {
		pfn = stack->run[i];
		if (pfn & (((cf_pfn)1 << order) - 1))
			return fail(audit, CF_FINDING_CACHED_TWICE, pfn, order,
				    0);
		for (last = pfn + ((cf_pfn)1 << order); pfn < last; pfn++)
			if (!check_cached(audit, pfn, zone))
				return false;
	}
	return true;
}

/* Every frame of the runs in stock, single ones too. */
static bool check_cache(struct audit *audit, const struct cfi_cache *cache,
			unsigned zone)
{
	unsigned order;

	for (order = 1; order <= CF_MAX_ORDER; order++)
		if (!check_stack(audit, &cache->stack[order], order, zone))
			return false;
	return check_magazine(audit, &cache->magazine[0], zone) &&
	       check_magazine(audit, &cache->magazine[1], zone);
}

static uint64_t stock_of(const struct cf_map *map, const struct cfi_cpu *cpu)
{
	uint64_t frames = 0;
	unsigned zone;

	for (zone = 0; zone < map->zones; zone++)
		frames += cfi_cache_frames(&cpu->cache[zone]);
	return frames;
}

/* What a context has in stock is known to those who fail to allocate. */
static bool check_stocked(struct audit *audit)
{
	const struct cf_map *map = audit->map;
	unsigned i;

	for (i = 0; i < map->config.cpus; i++) {
		uint64_t listed = load(&map->stocked[i / 64]) >> i % 64 & 1;

		if (listed != map->cpu[i].listed ||
		    (!listed && stock_of(map, &map->cpu[i])))
			return fail(audit, CF_FINDING_INDEX, CF_PFN_NONE,
				    stock_of(map, &map->cpu[i]), listed);
	}
	return true;
}

/* The map. */

/* For each block there is, until one does not hold. */
static bool for_blocks(struct audit *audit,
		       bool (*check)(struct audit *audit,
				     struct cfi_block *block))
{
	uint64_t number;

	for (number = 0; number < cfi_blocks_end(audit->map); number++) {
		struct cfi_block *block = cfi_block_at(audit->map, number);

		if (block && !check(audit, block))
			return false;
	}
	return true;
}

/* First of all: finding a head waits for the sequence to be even. */
static bool check_sequence(struct audit *audit, struct cfi_block *block)
{
	uint64_t sequence = load(&block->sequence);

	return !(sequence & 1) || fail(audit, CF_FINDING_SEQUENCE,
				       block->first, sequence + 1, sequence);
}

/* A chunk is isolated for one operation that knows of it, or not at all. */
static bool check_isolated(struct audit *audit, struct cfi_block *block)
{
	bool going = cfi_block_state(block) == CF_BLOCK_GOING_OFFLINE;
	unsigned i;

	for (i = 0; i < block->chunks && in_use(block); i++) {
		cf_pfn first = chunk_first(block, i);
		bool isolated = cfi_isolated(block) >> i & 1;
		uint32_t id = cfi_range_find(audit->map, first,
					     first + CF_CHUNK_FRAMES);

		if (isolated != (id != 0) || (going && !isolated))
			return fail(audit, CF_FINDING_RANGE, first, id,
				    isolated);
	}
	return true;
}

/* An index names only blocks that are there: nobody could clear the bit. */
static bool check_listed(struct audit *audit, const struct cfi_zone *zone,
			 unsigned class)
{
	const struct cf_map *map = audit->map;
	uint64_t number = cfi_index_find(map, zone, class, 0, false);
	uint64_t from = 0;

	while (number != INDEX_NONE && number >= from) {
		if (!cfi_block_at(map, number))
			return fail(audit, CF_FINDING_INDEX,
				    number << map->block_shift, 0, 1);
		from = number + 1;
		number = cfi_index_find(map, zone, class, from, false);
	}
	return true;
}

static bool check_zone(struct audit *audit, const struct cfi_zone *zone)
{
	unsigned class;

	for (class = 0; class <= audit->map->block_shift; class++)
		if (!check_listed(audit, zone, class))
			return false;
	return equal(audit, CF_FINDING_PRESENT, CF_PFN_NONE,
		     audit->zone_blocks[zone->number], load(&zone->blocks)) &&
	       equal(audit, CF_FINDING_BLOCK_FREE, CF_PFN_NONE,
		     audit->zone_free[zone->number], load(&zone->free));
}

static bool check_zones(struct audit *audit)
{
	unsigned i;

	for (i = 0; i < audit->map->zones; i++)
		if (!check_zone(audit, &audit->map->zone[i]))
			return false;
	return true;
}

static bool check_types(struct audit *audit)
{
	const struct cf_map *map = audit->map;
	unsigned type, cpu;
	uint64_t frames;

	for (type = CF_TYPE_KERNEL; type <= CF_TYPE_SLAB; type++) {
		/* Parts may be negative; the sum wraps to what it should be. */
		frames = load(&map->type_frames[type]);
		for (cpu = 0; cpu < map->config.cpus; cpu++)
			frames += load(&map->cpu[cpu].type_frames[type]);
		if (!equal(audit, CF_FINDING_TYPE_COUNT, CF_PFN_NONE,
			   audit->types[type], frames))
			return false;
	}
	return true;
}

/* Owners. */

struct window {
	uint32_t first;		/* owner id */
	uint64_t frames[OWNER_WINDOW];
};

static void count_word(struct window *window, uint64_t word)
{
	uint32_t index = word_owner(word) - window->first;

	if (word && index < OWNER_WINDOW)
		window->frames[index] += word_frames(word);
}

static void count_block(struct window *window, struct cfi_block *block)
{
	unsigned long state = cfi_block_lock(block);
	const cfi_u64 *words = block->frame_word;
	unsigned chunk, i;

	for (chunk = 0; chunk < block->chunks; chunk++) {
		count_word(window, load(&block->chunk[chunk].word));
		for (i = 0; i < CF_CHUNK_FRAMES && is_split(block, chunk); i++)
			count_word(window, load(&words[i]));
		words += CF_CHUNK_FRAMES;
	}
	cfi_block_unlock(block, state);
}

/* Has any owner of the window frames, or may it have? */
static bool is_window_used(const struct cf_map *map, uint32_t first)
{
	uint32_t id;

	for (id = first; id < first + OWNER_WINDOW; id++)
		if (cfi_owner_frames(map, id) ||
		    load(&map->owner[id].state) != OWNER_FREE)
			return true;
	return false;
}

static bool check_window(struct audit *audit, uint32_t first)
{
	const struct cf_map *map = audit->map;
	struct window window = { .first = first };
	uint64_t number;
	uint32_t i;

	for (number = 0; number < cfi_blocks_end(map); number++)
		if (cfi_block_at(map, number))
			count_block(&window, cfi_block_at(map, number));
	/* The allocator itself is not counted. */
	for (i = first == CF_OWNER_NONE; i < OWNER_WINDOW; i++) {
		uint64_t frames = cfi_owner_frames(map, first + i);

		if (!equal(audit, CF_FINDING_OWNER_COUNT, CF_PFN_NONE,
			   window.frames[i], frames))
			return false;
	}
	return true;
}

/* Words of owners that are not there were found with the words. */
static bool check_owners(struct audit *audit)
{
	uint32_t first;

	for (first = 0; first < CF_OWNERS_MAX; first += OWNER_WINDOW)
		if (is_window_used(audit->map, first) &&
		    !check_window(audit, first))
			return false;
	return true;
}

bool cf_verify(struct cf_map *map, struct cf_finding *ret_finding)
{
	struct audit audit = { .map = map };
	unsigned long state = cf_lock(&map->hotplug);
	bool holds;

	holds = for_blocks(&audit, check_sequence) &&
		check_stocked(&audit) &&
		cfi_audit_caches(&audit, check_cache) &&
		for_blocks(&audit, cfi_audit_block) &&
		for_blocks(&audit, check_isolated) &&
		check_zones(&audit) &&
		check_types(&audit) &&
		check_owners(&audit);
	cf_unlock(&map->hotplug, state);
	if (!holds)
		*ret_finding = audit.finding;
	return holds;
}
