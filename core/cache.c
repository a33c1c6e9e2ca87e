/* SPDX-License-Identifier: MIT */

/*
 * Caches: runs that execution contexts keep in stock, single frames by the
 * magazine and a few of each higher order.
 *
 * The owner of a cache enters with a BUSY mark, looks at a DIVERT flag in the
 * same line, works, leaves: no locked instruction.  Without an asymmetric
 * barrier entering is a full fence.  Who wants the frames back: drain.c.
 *
 * Runs above a single frame are taken one by one and kept when they are
 * freed, so a context that allocates and frees over and over stays out of
 * the blocks at every order, and keeps little from the others.
 */

#include "cache.h"

void cfi_count_type(struct cf_map *map, enum cf_type type, int64_t frames)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);

	if (cpu) {
		cfi_count_here(cpu, type, frames);
		cfi_cpu_leave(cpu);
		return;
	}
	/* Relaxed: a count. */
	(void)cfi_add_relaxed(&map->type_frames[type], (uint64_t)frames);
}

static void unlist_stock(struct cf_map *map, struct cfi_cpu *cpu)
{
	if (!cpu->listed)
		return;
	cpu->listed = 0;
	/*
	 * Release: who sees no stock sees that the drain before it began. The
	 * other side is cfi_caches_stocked(). [stocked]
	 */
	(void)cfi_and_release(&map->stocked[cpu->number / 64],
			      ~((uint64_t)1 << cpu->number % 64));
}

bool cfi_caches_stocked(struct cf_map *map)
{
	unsigned i;

	/* Acquire, both: as in unlist_stock(). [stocked] */
	if (cfi_load_acquire(&map->targets_stocked))
		return true;
	for (i = 0; i * 64 < map->config.cpus; i++)
		if (cfi_load_acquire(&map->stocked[i]))
			return true;
	return false;
}

/* Frames that one context may keep in runs from order 1 up to @order. */
static uint64_t stock_frames(const struct cf_map *map, unsigned order)
{
	unsigned small = order < map->block_shift ? order : map->block_shift;
	uint64_t frames = 0;
	unsigned each;

	for (each = 1; each <= small; each++)
		frames += (uint64_t)cfi_stack_most(each) << each;
	/* Of those above a block's order there is one. */
	return order > small ? frames + ((uint64_t)1 << order) : frames;
}

/*
 * How large runs of a zone contexts may keep, whose number of blocks has
 * changed: so that all that all of them can keep beside single frames is at
 * most an eighth of it, and with one run of several blocks for each at most a
 * third.  Caller holds map->hotplug.
 */
void cfi_set_stock_order(const struct cf_map *map, struct cfi_zone *zone)
{
	/* Relaxed: written under the lock we hold. */
	uint64_t frames = cfi_load_relaxed(&zone->blocks) << map->block_shift;
	unsigned order = 1;

	while (order <= CF_MAX_ORDER && map->config.cpus *
	       stock_frames(map, order) <=
	       frames / (order > map->block_shift ? 3 : 8))
		order++;
	/* Relaxed: a hint. */
	cfi_store_relaxed(&zone->stock_order, order - 1);
}

/* So that the lowest run goes out first: the last one does. */
void cfi_reverse_runs(cf_pfn *runs, unsigned count)
{
	unsigned low = 0;

	while (low + 1 < count) {
		cf_pfn run = runs[--count];

		runs[count] = runs[low];
		runs[low++] = run;
	}
}

/*
 * Take up to @most runs from the tightest chunk there is, for a stock that is
 * empty.  Returns how many; 0: the zone's blocks have nothing.
 */
static unsigned refill(struct cf_map *map, struct cfi_cpu *cpu,
		       struct cfi_zone *zone, unsigned order, cf_pfn *ret_runs,
		       unsigned most)
{
	struct cfi_want want = {
		.order = order,
		.home = cpu->home[zone->number],
		.context = cpu->number + 1,
		.frames = ret_runs,
		.most = most,
	};
	bool listed = cpu->listed;
	bool found;

	/* To find out what is not there costs no exchange. */
	if (!cfi_index_any(zone, order))
		return 0;
	/* Before the take: then nobody misses what left the bitmaps. */
	cfi_list_stock(map, cpu);
	cf_port_read_lock();
	found = cfi_search(map, zone, &want, true) ||
		cfi_search_home(map, zone, &want);
	cf_port_read_unlock();
	if (!found) {
		/* Or every failing allocation would drain in vain. */
		if (!listed)
			unlist_stock(map, cpu);
		return 0;
	}
	cpu->home[zone->number] = want.home;
	cfi_reverse_runs(ret_runs, want.taken);
	return want.taken;
}

static void use_other(struct cfi_cache *cache)
{
	cache->loaded = &cache->magazine[cache->loaded == cache->magazine];
}

/*
 * A single frame: from the other magazine, or a new one.  Says whether the
 * blocks were asked if there is none.
 */
static cf_pfn pop_frame(struct cf_map *map, struct cfi_cpu *cpu,
			struct cfi_zone *zone, bool *ret_searched)
{
	struct cfi_cache *cache = &cpu->cache[zone->number];
	struct cfi_magazine *magazine;

	*ret_searched = false;
	magazine = cache->loaded;
	if (cfi_stock(magazine) == 0) {
		use_other(cache);
		magazine = cache->loaded;
	}
	if (cfi_stock(magazine) == 0) {
		/* Below, it is the slow path's decision. */
		if (!cfi_above_marks(zone, MAGAZINE_FRAMES))
			return CF_PFN_NONE;
		*ret_searched = true;
		cfi_set_stock(magazine, refill(map, cpu, zone, 0,
					       magazine->frame,
					       MAGAZINE_FRAMES));
	}
	return cfi_cache_pop(cache, 0);
}

/*
 * A run of a higher order: from the stack, or several new ones if it is less
 * than a chunk.  Says whether the blocks were asked if there is none.
 */
static cf_pfn pop_run(struct cf_map *map, struct cfi_cpu *cpu,
		      struct cfi_zone *zone, unsigned order,
		      bool *ret_searched)
{
	struct cfi_cache *cache = &cpu->cache[zone->number];
	struct cfi_stack *stack = &cache->stack[order];
	cf_pfn pfn = cfi_cache_pop(cache, order);

	*ret_searched = false;
	if (pfn != CF_PFN_NONE || order >= CF_CHUNK_ORDER ||
	    !cfi_may_stock(zone, order) ||
	    !cfi_above_marks(zone, (uint64_t)STACK_RUNS << order))
		return pfn;
	*ret_searched = true;
	/* Relaxed: as in cfi_cache_pop(). */
	cfi_store_relaxed(&stack->count,
			  refill(map, cpu, zone, order, stack->run,
				 STACK_RUNS));
	return cfi_cache_pop(cache, order);
}

/* A run for a type from the running context's stock of a zone. */
enum cfi_served cfi_cache_alloc(struct cf_map *map, struct cfi_zone *zone,
				unsigned order, enum cf_type type,
				cf_pfn *ret_pfn)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);
	bool searched;
	cf_pfn pfn;

	if (!cpu)
		return SERVED_NOT;
	if (order == 0)
		pfn = pop_frame(map, cpu, zone, &searched);
	else
		pfn = pop_run(map, cpu, zone, order, &searched);
	if (pfn != CF_PFN_NONE)
		cfi_count_here(cpu, type, (int64_t)1 << order);
	cfi_cpu_leave(cpu);
	if (pfn == CF_PFN_NONE)
		return searched ? SERVED_NONE_LEFT : SERVED_NOT;
	*ret_pfn = pfn;
	return SERVED;
}

/* The stretch of neighbours that begins at entry @at; one past it. */
static unsigned stretch(const struct cf_map *map,
			const struct cfi_magazine *magazine, unsigned at,
			cf_pfn *ret_first, cf_pfn *ret_last)
{
	cf_pfn first = magazine->frame[at];
	cf_pfn last = first + 1;
	cf_pfn number = first >> map->block_shift;

	for (at++; at < cfi_stock(magazine); at++) {
		cf_pfn frame = magazine->frame[at];

		if (frame >> map->block_shift != number)
			break;
		if (frame == last)
			last++;
		else if (frame + 1 == first)
			first--;
		else
			break;
	}
	*ret_first = first;
	*ret_last = last;
	return at;
}

/* Does it fall apart into no more than a few stretches as it is? */
static bool is_in_order(const struct cfi_magazine *magazine)
{
	unsigned breaks = 0;
	unsigned i;

	for (i = 1; i < cfi_stock(magazine); i++)
		breaks += magazine->frame[i] != magazine->frame[i - 1] + 1 &&
			  magazine->frame[i] + 1 != magazine->frame[i - 1];
	return breaks <= MAGAZINE_FRAMES / 8;
}

/*
 * Put frames of one block together, so that it is locked once, and have what
 * giving them back will write on its way.  Counts by block number, which takes
 * no branch that depends on it.
 */
#define GROUPS	64
_Static_assert(MAGAZINE_FRAMES <= UINT8_MAX, "counts of frames fit");

static void group(const struct cf_map *map, struct cfi_magazine *magazine)
{
	uint8_t place[GROUPS + 1] = { 0 };
	cf_pfn grouped[MAGAZINE_FRAMES];
	unsigned count = cfi_stock(magazine);
	/* Contexts do not all go through the blocks in the same order. */
	unsigned mix = cf_port_cpu() * 5;
	cf_pfn frame, at;
	unsigned i;

	for (i = 0; i < count; i++) {
		frame = magazine->frame[i];
		at = ((frame >> map->block_shift) ^ mix) % GROUPS;
		place[at + 1]++;
		cfi_fetch(cfi_block_held(map, frame), frame);
	}
	for (i = 1; i < GROUPS; i++)
		place[i] = (uint8_t)(place[i] + place[i - 1]);
	for (i = 0; i < count; i++) {
		frame = magazine->frame[i];
		at = ((frame >> map->block_shift) ^ mix) % GROUPS;
		grouped[place[at]++] = frame;
	}
	for (i = 0; i < count; i++)
		magazine->frame[i] = grouped[i];
}

/* The first frame of the first of @chunks. */
static cf_pfn chunk_of(const struct cfi_block *block, uint64_t chunks)
{
	return block->first + ((cf_pfn)bits_first(chunks) << CF_CHUNK_ORDER);
}

/*
 * Send a magazine's frames home, a stretch of neighbours at a time and each
 * block once.  Returns a chunk that some operation waits for and that became
 * empty by that.
 */
cf_pfn cfi_magazine_empty(struct cf_map *map, struct cfi_magazine *magazine)
{
	cf_pfn emptied = CF_PFN_NONE;
	struct cfi_block *block = NULL;
	struct cfi_block *next;
	unsigned long state = 0;
	cf_pfn first, last;
	uint64_t empty;
	unsigned i = 0;

	if (!is_in_order(magazine))
		group(map, magazine);
	while (i < cfi_stock(magazine)) {
		i = stretch(map, magazine, i, &first, &last);
		next = cfi_block_held(map, first);
		if (next != block) {
			if (block)
				cfi_block_unlock(block, state);
			state = cfi_block_lock(next);
			block = next;
		}
		empty = cfi_give(map, block, first, last);
		if (empty)
			emptied = chunk_of(block, empty);
	}
	if (block)
		cfi_block_unlock(block, state);
	cfi_set_stock(magazine, 0);
	return emptied;
}

/*
 * Make room for a frame of @block in the running context's stock, if there
 * is none.  False: the context has no caches now.
 */
bool cfi_cache_make_room(struct cf_map *map, const struct cfi_block *block)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);
	struct cfi_magazine *magazine;
	cf_pfn emptied = CF_PFN_NONE;
	struct cfi_cache *cache;

	if (!cpu)
		return false;
	cache = &cpu->cache[cfi_zone_number(block)];
	magazine = cache->loaded;
	if (cfi_stock(magazine) == MAGAZINE_FRAMES) {
		use_other(cache);
		magazine = cache->loaded;
		if (cfi_stock(magazine) == MAGAZINE_FRAMES)
			emptied = cfi_magazine_empty(map, magazine);
	}
	cfi_cpu_leave(cpu);
	if (__builtin_expect(emptied != CF_PFN_NONE, 0))
		cfi_signal_empty(map, emptied, 1);
	return true;
}

/* Send one run home, block by block. Returns as cfi_magazine_empty(). */
static cf_pfn send_home(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	cf_pfn last = pfn + ((cf_pfn)1 << order);
	cf_pfn emptied = CF_PFN_NONE;

	while (pfn < last) {
		struct cfi_block *block = cfi_block_held(map, pfn);
		cf_pfn end = cfi_min_pfn(last, cfi_block_last(block));
		unsigned long state = cfi_block_lock(block);
		uint64_t empty = cfi_give(map, block, pfn, end);

		cfi_block_unlock(block, state);
		if (empty)
			emptied = chunk_of(block, empty);
		pfn = end;
	}
	return emptied;
}

/* Send home the runs of the orders from 1 up. */
static cf_pfn empty_stacks(struct cf_map *map, struct cfi_cache *cache)
{
	cf_pfn emptied = CF_PFN_NONE;
	cf_pfn pfn, chunk;
	unsigned order = 1;

	while (order <= CF_MAX_ORDER) {
		pfn = cfi_cache_pop(cache, order);
		if (pfn == CF_PFN_NONE) {
			order++;
			continue;
		}
		chunk = send_home(map, pfn, order);
		if (chunk != CF_PFN_NONE)
			emptied = chunk;
	}
	return emptied;
}

/*
 * Empty a context's caches.  Caller is inside them, or keeps their owner out.
 * Returns a chunk that some operation waits for and that became empty by it.
 */
cf_pfn cfi_cache_empty(struct cf_map *map, struct cfi_cpu *cpu)
{
	cf_pfn emptied = CF_PFN_NONE;
	cf_pfn chunk;
	unsigned i, j;

	for (i = 0; i < map->zones; i++) {
		struct cfi_cache *cache = &cpu->cache[i];

		for (j = 0; j < 2; j++) {
			chunk = cfi_magazine_empty(map, &cache->magazine[j]);
			if (chunk != CF_PFN_NONE)
				emptied = chunk;
		}
		chunk = empty_stacks(map, cache);
		if (chunk != CF_PFN_NONE)
			emptied = chunk;
	}
	unlist_stock(map, cpu);
	return emptied;
}

/*
 * The running context empties its own caches, to find there what the blocks
 * do not have.  False: there is nothing in them.
 */
bool cfi_cache_empty_own(struct cf_map *map)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);
	cf_pfn emptied;

	if (!cpu)
		return false;
	if (!cpu->listed) {
		cfi_cpu_leave(cpu);
		return false;
	}
	cfi_moves_begin(&map->moves);
	emptied = cfi_cache_empty(map, cpu);
	cfi_moves_end(&map->moves);
	cfi_cpu_leave(cpu);
	if (emptied != CF_PFN_NONE)
		cfi_signal_empty(map, emptied, 1);
	return true;
}
