/* SPDX-License-Identifier: MIT */

/*
 * Caches: frames that execution contexts keep in stock, order 0 only.
 *
 * The owner of a cache enters with a BUSY mark, looks at a DIVERT flag in the
 * same line, works, leaves: no locked instruction.  Whoever wants the frames
 * back raises DIVERT, has every context pass a barrier, waits for BUSY to
 * clear and then empties the cache as its owner would.  Without an asymmetric
 * barrier entering is a full fence.
 *
 * While any range is isolated DIVERT stays up: frees go straight to the
 * blocks, so nothing of an isolated chunk enters or leaves a cache.
 */

#include "internal.h"

/* The explorer sets 0: to wait is to read what is written later. */
#ifndef DRAIN_SPINS
#define DRAIN_SPINS	10000
#endif

/*
 * The running context's caches, or NULL: it has none, is inside them, or is
 * kept out.
 */
struct cfi_cpu *cfi_cpu_enter(struct cf_map *map)
{
	unsigned number = cf_port_cpu();
	struct cfi_cpu *cpu;

	if (number >= map->config.cpus)
		return NULL;
	cpu = &map->cpu[number];
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
		cfi_cpu_leave(cpu);
		return NULL;
	}
	return cpu;
}

void cfi_cpu_leave(struct cfi_cpu *cpu)
{
	/* Release: the drainer sees the cache as we leave it. [cache-leave] */
	cfi_store_release(&cpu->busy, 0);
}

static void count_here(struct cfi_cpu *cpu, enum cf_type type, int64_t frames)
{
	cfi_u64 *count = &cpu->type_frames[type];

	/* Relaxed: only this context writes; readers add up a moment's view. */
	cfi_store_relaxed(count, cfi_load_relaxed(count) + (uint64_t)frames);
}

void cfi_count_type(struct cf_map *map, enum cf_type type, int64_t frames)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);

	if (cpu) {
		count_here(cpu, type, frames);
		cfi_cpu_leave(cpu);
		return;
	}
	/* Relaxed: a count. */
	(void)cfi_add_relaxed(&map->type_frames[type], (uint64_t)frames);
}

/* Let failing allocations know that this context has frames. */
static void list_stock(struct cf_map *map, struct cfi_cpu *cpu)
{
	if (cpu->listed)
		return;
	cpu->listed = 1;
	/*
	 * Relaxed: who misses what we take has it from the block's lock or the
	 * index, and both come after this.
	 */
	(void)cfi_or_relaxed(&map->stocked[cpu->number / 64],
			     (uint64_t)1 << cpu->number % 64);
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

	for (i = 0; i * 64 < map->config.cpus; i++)
		/* Acquire: as in unlist_stock(). [stocked] */
		if (cfi_load_acquire(&map->stocked[i]))
			return true;
	return false;
}

/* Refills stop early enough that watermarks are the slow path's decision. */
static bool above_marks(struct cfi_zone *zone)
{
	uint64_t free;

	/* Acquire: as in watermark_allows(). [watching] */
	if (!cfi_load_acquire(&zone->watching))
		return true;
	/* Relaxed: counts; the slow path looks again. */
	free = cfi_load_relaxed(&zone->free);
	if (free >= cfi_load_relaxed(&zone->mark_high))
		cfi_store_relaxed(&zone->low_raised, 0);
	return free > MAGAZINE_FRAMES && free - MAGAZINE_FRAMES >
	       cfi_load_relaxed(&zone->mark_low);
}

static unsigned stock(const struct cfi_magazine *magazine)
{
	/* Relaxed: only this context writes; others count what is cached. */
	return (unsigned)cfi_load_relaxed(&magazine->count);
}

static void set_stock(struct cfi_magazine *magazine, unsigned count)
{
	/* Relaxed: as in stock(). */
	cfi_store_relaxed(&magazine->count, count);
}

/* So that the lowest frame goes out first. */
static void reverse(struct cfi_magazine *magazine)
{
	unsigned low = 0;
	unsigned high = stock(magazine);

	while (low + 1 < high) {
		cf_pfn frame = magazine->frame[--high];

		magazine->frame[high] = magazine->frame[low];
		magazine->frame[low++] = frame;
	}
}

/* Fill an empty magazine from the tightest chunk there is. */
static void refill(struct cf_map *map, struct cfi_cpu *cpu,
		   struct cfi_zone *zone, struct cfi_magazine *magazine)
{
	struct cfi_want want = {
		.order = 0,
		.home = cpu->home[zone->number],
		.frames = magazine->frame,
		.most = MAGAZINE_FRAMES,
	};
	bool listed = cpu->listed;

	if (!above_marks(zone))
		return;
	/* Before the take: then nobody misses what left the bitmaps. */
	list_stock(map, cpu);
	cf_port_read_lock();
	(void)cfi_search(map, zone, &want, true);
	cf_port_read_unlock();
	if (want.taken == 0) {
		/* Or every failing allocation would drain in vain. */
		if (!listed)
			unlist_stock(map, cpu);
		return;
	}
	cpu->home[zone->number] = want.home;
	set_stock(magazine, want.taken);
	reverse(magazine);
}

/* The stretch of neighbours that begins at entry @at; one past it. */
static unsigned stretch(const struct cf_map *map,
			const struct cfi_magazine *magazine, unsigned at,
			cf_pfn *ret_first, cf_pfn *ret_last)
{
	cf_pfn first = magazine->frame[at];
	cf_pfn last = first + 1;
	cf_pfn number = first >> map->block_shift;

	for (at++; at < stock(magazine); at++) {
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

/*
 * Send a magazine's frames home, a stretch of neighbours at a time.  Returns
 * a chunk that some operation waits for and that became empty by that.
 */
static cf_pfn empty_magazine(struct cf_map *map,
			     struct cfi_magazine *magazine)
{
	cf_pfn emptied = CF_PFN_NONE;
	struct cfi_block *block = NULL;
	struct cfi_block *next;
	unsigned long state = 0;
	cf_pfn first, last;
	unsigned i = 0;

	while (i < stock(magazine)) {
		i = stretch(map, magazine, i, &first, &last);
		next = cfi_block_held(map, first);
		if (next != block) {
			if (block)
				cfi_block_unlock(block, state);
			state = cfi_block_lock(next);
			block = next;
		}
		if (cfi_give(map, block, first, last))
			emptied = first & ~(CF_CHUNK_FRAMES - 1);
	}
	if (block)
		cfi_block_unlock(block, state);
	set_stock(magazine, 0);
	return emptied;
}

/* The running context's own node's NORMAL zone. */
static uint32_t local_zone(const struct cf_map *map, const struct cfi_cpu *cpu)
{
	if (map->config.nodes == 1)
		return CF_ZONE_NORMAL;
	return cpu->number % map->config.nodes * 2 + CF_ZONE_NORMAL;
}

/* One frame of a zone; of the context's own node's NORMAL zone if NULL. */
bool cfi_cache_alloc(struct cf_map *map, struct cfi_zone *zone,
		     enum cf_type type, cf_pfn *ret_pfn)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);
	struct cfi_magazine *magazine;
	struct cfi_cache *cache;
	unsigned count;

	if (!cpu)
		return false;
	if (!zone)
		zone = &map->zone[local_zone(map, cpu)];
	cache = &cpu->cache[zone->number];
	magazine = &cache->magazine[cache->loaded];
	if (__builtin_expect(stock(magazine) == 0, 0)) {
		cache->loaded ^= 1;
		magazine = &cache->magazine[cache->loaded];
		if (stock(magazine) == 0)
			refill(map, cpu, zone, magazine);
	}
	count = stock(magazine);
	if (__builtin_expect(count > 0, 1)) {
		*ret_pfn = magazine->frame[count - 1];
		set_stock(magazine, count - 1);
		count_here(cpu, type, 1);
	}
	cfi_cpu_leave(cpu);
	return count > 0;
}

bool cfi_cache_free(struct cf_map *map, struct cfi_block *block,
		    enum cf_type type, cf_pfn pfn)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);
	struct cfi_magazine *magazine;
	cf_pfn emptied = CF_PFN_NONE;
	struct cfi_cache *cache;
	unsigned count;

	if (!cpu)
		return false;
	cache = &cpu->cache[cfi_zone_number(block)];
	magazine = &cache->magazine[cache->loaded];
	if (__builtin_expect(stock(magazine) == MAGAZINE_FRAMES, 0)) {
		cache->loaded ^= 1;
		magazine = &cache->magazine[cache->loaded];
		if (stock(magazine) == MAGAZINE_FRAMES)
			emptied = empty_magazine(map, magazine);
	}
	list_stock(map, cpu);
	count = stock(magazine);
	magazine->frame[count] = pfn;
	set_stock(magazine, count + 1);
	count_here(cpu, type, -1);
	cfi_cpu_leave(cpu);
	if (__builtin_expect(emptied != CF_PFN_NONE, 0))
		cfi_signal_empty(map, emptied, 1);
	return true;
}

/* Caller keeps the owner out, or is the owner, and holds map->drain_lock. */
static void empty_cpu(struct cf_map *map, struct cfi_cpu *cpu)
{
	cf_pfn emptied;
	unsigned i;

	for (i = 0; i < map->zones * 2; i++) {
		emptied = empty_magazine(map,
					 &cpu->cache[i / 2].magazine[i % 2]);
		if (emptied != CF_PFN_NONE)
			map->emptied = emptied;
	}
	unlist_stock(map, cpu);
}

/* DIVERT is up and every context has passed a barrier since. */
static int drain_cpu(struct cf_map *map, struct cfi_cpu *cpu)
{
	unsigned spins = 0;

	/*
	 * Seq_cst: either we see BUSY or its owner sees DIVERT; acquire: see
	 * the cache as its owner left it. [cache-divert] [cache-leave]
	 */
	while (cfi_load_seq_cst(&cpu->busy)) {
		if (spins == DRAIN_SPINS)
			return -CF_EAGAIN;
		cf_port_relax(spins++);
	}
	empty_cpu(map, cpu);
	return 0;
}

/* Wake who waits for a chunk that the drain has emptied. */
static void unlock_and_signal(struct cf_map *map, unsigned long state)
{
	cf_pfn emptied = map->emptied;

	map->emptied = CF_PFN_NONE;
	cf_unlock(&map->drain_lock, state);
	if (emptied != CF_PFN_NONE)
		cfi_signal_empty(map, emptied, 1);
}

/* Caller holds map->drain_lock and DIVERT is up. */
static int drain_all(struct cf_map *map)
{
	unsigned i;
	int err = 0;

	/*
	 * Every context passes a full barrier: its BUSY is visible to us, or
	 * our DIVERT to its next entry. [cache-divert]
	 */
	if (!map->config.fenced && cf_port_barrier_all() != 0)
		return -CF_EAGAIN;
	cfi_moves_begin(&map->moves);
	for (i = 0; i < map->config.cpus; i++)
		if (drain_cpu(map, &map->cpu[i]))
			err = -CF_EAGAIN;
	cfi_moves_end(&map->moves);
	return err;
}

static void raise_divert(struct cf_map *map)
{
	unsigned i;

	if (map->divert_holds++)
		return;
	for (i = 0; i < map->config.cpus; i++)
		/* Seq_cst: as in drain_cpu(). [cache-divert] */
		(void)cfi_swap_seq_cst(&map->cpu[i].divert, 1);
}

/*
 * Keep every context out of its caches and empty them.  -CF_EAGAIN: one was
 * inside too long; it is kept out from its next entry on, and
 * cfi_divert_drain() tries again.
 */
int cfi_divert_begin(struct cf_map *map)
{
	unsigned long state = cf_lock(&map->drain_lock);
	int err;

	raise_divert(map);
	err = drain_all(map);
	unlock_and_signal(map, state);
	return err;
}

int cfi_divert_drain(struct cf_map *map)
{
	unsigned long state = cf_lock(&map->drain_lock);
	int err = drain_all(map);

	unlock_and_signal(map, state);
	return err;
}

void cfi_divert_end(struct cf_map *map)
{
	unsigned long state = cf_lock(&map->drain_lock);
	unsigned i;

	CF_CHECK(map->divert_holds > 0, map->divert_holds);
	map->divert_holds--;
	for (i = 0; i < map->config.cpus && map->divert_holds == 0; i++)
		/* Release: owners see their caches empty. [cache-divert] */
		cfi_store_release(&map->cpu[i].divert, 0);
	cf_unlock(&map->drain_lock, state);
}

int cf_drain(struct cf_map *map)
{
	int err = cfi_divert_begin(map);

	cfi_divert_end(map);
	return err;
}

void cf_drain_cpu(struct cf_map *map)
{
	unsigned number = cf_port_cpu();
	unsigned long state;

	if (number >= map->config.cpus)
		return;
	state = cf_lock(&map->drain_lock);
	/* Relaxed: this context sets it; inside its cache this is misuse. */
	CF_CHECK(cfi_load_relaxed(&map->cpu[number].busy) == 0, number);
	empty_cpu(map, &map->cpu[number]);
	unlock_and_signal(map, state);
}
