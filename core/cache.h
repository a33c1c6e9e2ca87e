/* SPDX-License-Identifier: MIT */
#ifndef CFI_CACHE_H
#define CFI_CACHE_H

#include "internal.h"

/* cache.c */
enum cfi_served {
	SERVED,
	SERVED_NOT,		/* the caches do not know: ask the blocks */
	SERVED_NONE_LEFT,	/* the zone's blocks have none either */
};
enum cfi_served cfi_cache_alloc(struct cf_map *map, struct cfi_zone *zone,
				unsigned order, enum cf_type type,
				cf_pfn *ret_pfn);
bool cfi_cache_make_room(struct cf_map *map, const struct cfi_block *block);
void cfi_reverse_runs(cf_pfn *runs, unsigned count);
cf_pfn cfi_magazine_empty(struct cf_map *map, struct cfi_magazine *magazine);
cf_pfn cfi_cache_empty(struct cf_map *map, struct cfi_cpu *cpu);
bool cfi_cache_empty_own(struct cf_map *map);
bool cfi_caches_stocked(struct cf_map *map);

/*
 * The fast side of caches, inlined where runs are allocated and freed: what
 * the owner of a cache does with it as it is.  cache.c does the rest.
 */

/*
 * The caches of the running context, whose number is @number, or NULL: it has
 * none, is inside them, or is kept out.
 */
static inline struct cfi_cpu *cfi_cpu_enter_as(struct cf_map *map,
					       unsigned number)
{
	struct cfi_cpu *cpu;

	if (number >= map->stock_cpus)
		return NULL;
	cpu = &map->cpu[number];
	CF_ASSUME(cpu != NULL);
	/* Relaxed: only this context sets it; a handler stays out then. */
	if (cfi_load_relaxed(&cpu->busy))
		return NULL;
	if (map->config.fenced) {
		/*
		 * Seq_cst: either we see DIVERT or the drainer sees BUSY. The
		 * other side is drain_cpu(). [cache-divert]
		 */
		(void)cfi_swap_seq_cst(&cpu->busy, 1);
	} else {
		/* Relaxed: the drainer's barrier orders it for us. */
		cfi_store_relaxed(&cpu->busy, 1);
		cfi_compiler_fence();
	}
	/*
	 * Seq_cst: as above; acquire: see what a drainer left behind. The
	 * other side is raise_divert() and cfi_divert_end(). [cache-divert]
	 */
	if (__builtin_expect(cfi_load_seq_cst(&cpu->divert) != 0, 0)) {
		/* Release: as in cfi_cpu_leave(). [cache-leave] */
		cfi_store_release(&cpu->busy, 0);
		return NULL;
	}
	return cpu;
}

static inline struct cfi_cpu *cfi_cpu_enter(struct cf_map *map)
{
	return cfi_cpu_enter_as(map, cf_port_cpu());
}

static inline void cfi_cpu_leave(struct cfi_cpu *cpu)
{
	/* Release: the drainer sees the cache as we leave it. [cache-leave] */
	cfi_store_release(&cpu->busy, 0);
}

/* Frames in runs of a type, as this context counts them. */
static inline void cfi_count_here(struct cfi_cpu *cpu, enum cf_type type,
				  int64_t frames)
{
	cfi_u64 *count = &cpu->type_frames[type];

	/* Relaxed: only this context writes; readers add up a moment's view. */
	cfi_store_relaxed(count, cfi_load_relaxed(count) + (uint64_t)frames);
}

static inline unsigned cfi_stock(const struct cfi_magazine *magazine)
{
	/* Relaxed: as in cfi_cache_pop(). */
	return (unsigned)cfi_load_relaxed(&magazine->count);
}

static inline void cfi_set_stock(struct cfi_magazine *magazine, unsigned count)
{
	/* Relaxed: as in cfi_cache_pop(). */
	cfi_store_relaxed(&magazine->count, count);
}

/* How many runs of an order from 1 up are kept. */
static inline unsigned cfi_stack_most(unsigned order)
{
	return order <= CF_CHUNK_ORDER ? STACK_RUNS : 1;
}

/* Take a run that is in stock, or CF_PFN_NONE. */
static inline cf_pfn cfi_cache_pop(struct cfi_cache *cache, unsigned order)
{
	struct cfi_magazine *magazine = cache->loaded;
	cfi_u64 *count = &magazine->count;
	const cf_pfn *runs = magazine->frame;
	uint64_t left;

	if (order > 0) {
		count = &cache->stack[order].count;
		runs = cache->stack[order].run;
	}
	/* Relaxed: only this context writes; others count what is cached. */
	left = cfi_load_relaxed(count);
	if (__builtin_expect(left == 0, 0))
		return CF_PFN_NONE;
	cfi_store_relaxed(count, --left);
	return runs[left];
}

/* Is there a run of several blocks?  A context keeps one, of any order. */
static inline bool cfi_keeps_blocks(const struct cf_map *map,
				    const struct cfi_cache *cache)
{
	unsigned order;

	for (order = map->block_shift + 1; order <= CF_MAX_ORDER; order++)
		/* Relaxed: as in cfi_cache_pop(). */
		if (cfi_load_relaxed(&cache->stack[order].count) > 0)
			return true;
	return false;
}

/* Take a run into stock; false: there is no room for it. */
static inline bool cfi_cache_push(const struct cf_map *map,
				  struct cfi_cache *cache, unsigned order,
				  cf_pfn pfn)
{
	struct cfi_magazine *magazine = cache->loaded;
	cfi_u64 *count = &magazine->count;
	cf_pfn *runs = magazine->frame;
	unsigned most = MAGAZINE_FRAMES;
	uint64_t there;

	if (order > 0) {
		count = &cache->stack[order].count;
		runs = cache->stack[order].run;
		most = order > map->block_shift && cfi_keeps_blocks(map, cache)
			? 0 : cfi_stack_most(order);
	}
	/* Relaxed: as in cfi_cache_pop(). */
	there = cfi_load_relaxed(count);
	if (__builtin_expect(there >= most, 0))
		return false;
	runs[there] = pfn;
	cfi_store_relaxed(count, there + 1);
	return true;
}

/* Let failing allocations know that this context has frames. */
static inline void cfi_list_stock(struct cf_map *map, struct cfi_cpu *cpu)
{
	if (__builtin_expect(cpu->listed, 1))
		return;
	cpu->listed = 1;
	/*
	 * Relaxed: who misses what we take has it from the block's lock or the
	 * index, and both come after this.
	 */
	(void)cfi_or_relaxed(&map->stocked[cpu->number / 64],
			     (uint64_t)1 << cpu->number % 64);
}

/*
 * May a run above a single frame be kept?  Not if it is too large for its
 * zone, nor while that is short: what is in stock does not count as free.
 */
static inline bool cfi_may_stock(const struct cfi_zone *zone, unsigned order)
{
	/* Relaxed, all of them: hints. */
	return order <= cfi_load_relaxed(&zone->stock_order) &&
	       (__builtin_expect(!cfi_load_relaxed(&zone->watching), 1) ||
		cfi_load_relaxed(&zone->free) >=
		cfi_load_relaxed(&zone->mark_high));
}

/*
 * The frames of a run that has lost its word go into the stock of context
 * @number, the caller's, and off the books; false: it has no room, or none.
 */
static inline __attribute__((always_inline))
bool cfi_cache_free(struct cf_map *map, unsigned number,
		    const struct cfi_block *block, uint64_t word, cf_pfn pfn)
{
	uint32_t zone = cfi_zone_number(block);
	unsigned order = word_order(word);
	struct cfi_cpu *cpu;
	bool pushed;

	if (order > 0 && !cfi_may_stock(&map->zone[zone], order))
		return false;
	cpu = cfi_cpu_enter_as(map, number);
	if (!cpu)
		return false;
	cfi_list_stock(map, cpu);
	pushed = cfi_cache_push(map, &cpu->cache[zone], order, pfn);
	if (__builtin_expect(pushed, 1))
		cfi_count_here(cpu, word_type(word),
			       -(int64_t)word_frames(word));
	cfi_cpu_leave(cpu);
	return pushed;
}

/* A request as one word, so that it is looked at in one step. */
union cfi_request {
	struct cf_request fields;
	uint64_t word;
};

/* Is it nothing but a type and an order, and the own node will do? */
static inline bool cfi_is_plain(const struct cf_map *map,
				struct cf_request request)
{
	const union cfi_request given = { .fields = request };
	const union cfi_request unusual = { .fields = {
		.owner = (uint16_t)~CF_OWNER_NONE,
		.zone = (uint8_t)~CF_ZONE_NORMAL,
		.flags = (uint16_t)~CF_ALLOC_FROZEN,
	} };
	unsigned types = 1u << CF_TYPE_KERNEL | 1u << CF_TYPE_FOLIO |
			 WORD_FROZEN_TYPES;

	if (given.word & unusual.word)
		return false;
	if (request.order > CF_MAX_ORDER ||
	    request.type >= CF_TYPE_COUNT || !(types >> request.type & 1))
		return false;
	return request.node == CF_NODE_ANY ||
	       (request.node == 0 && map->config.nodes == 1);
}

#endif
