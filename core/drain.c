/* SPDX-License-Identifier: MIT */

/*
 * Draining: taking back what execution contexts have in stock.
 *
 * Whoever wants the frames back raises DIVERT, has every context pass a
 * barrier, waits for BUSY to clear and then empties the cache as its owner
 * would.  While any range is isolated DIVERT stays up: frees go straight to
 * the blocks, so nothing of an isolated chunk enters or leaves a cache.
 */

#include "cache.h"

/* The explorer sets 0: to wait is to read what is written later. */
#ifndef DRAIN_SPINS
#define DRAIN_SPINS	10000
#endif

static void note_emptied(struct cf_map *map, cf_pfn emptied)
{
	if (emptied != CF_PFN_NONE)
		map->emptied = emptied;
}

/* Caller holds map->drain_lock and keeps the owner out, or is the owner. */
static void drain(struct cf_map *map, struct cfi_cpu *cpu)
{
	note_emptied(map, cfi_cache_empty(map, cpu));
}

/*
 * Frames to move runs to, which an evacuation has in stock.  Caller holds
 * map->drain_lock.
 */
static void drain_targets(struct cf_map *map)
{
	/* Relaxed: written under the lock we hold. */
	if (!cfi_load_relaxed(&map->targets_stocked))
		return;
	cfi_moves_begin(&map->moves);
	note_emptied(map, cfi_magazine_empty(map, &map->targets));
	/* Release: as in unlist_stock(). [stocked] */
	cfi_store_release(&map->targets_stocked, 0);
	cfi_moves_end(&map->moves);
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
	drain(map, cpu);
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

	/* Relaxed: written under the lock we hold. */
	if (cfi_stock(&map->targets))
		cfi_store_relaxed(&map->targets_scarce, 1);
	drain_targets(map);
	/*
	 * Every context passes a full barrier: its BUSY is visible to us, or
	 * our DIVERT to its next entry. [cache-divert]
	 */
	if (!map->config.fenced && cf_port_barrier_all() != 0)
		return -CF_EAGAIN;
	cfi_moves_begin(&map->moves);
	for (i = 0; i < map->stock_cpus; i++)
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
	for (i = 0; i < map->stock_cpus; i++)
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
	for (i = 0; i < map->stock_cpus && map->divert_holds == 0; i++)
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

	if (number >= map->stock_cpus)
		return;
	state = cf_lock(&map->drain_lock);
	/* Relaxed: this context sets it; inside its cache this is misuse. */
	CF_CHECK(cfi_load_relaxed(&map->cpu[number].busy) == 0, number);
	cfi_moves_begin(&map->moves);
	drain(map, &map->cpu[number]);
	cfi_moves_end(&map->moves);
	unlock_and_signal(map, state);
}

/* Fill the empty stock of targets. Caller holds map->drain_lock. */
static void refill_targets(struct cf_map *map, struct cfi_zone *zone,
			   uint16_t flags, unsigned most)
{
	struct cfi_magazine *targets = &map->targets;

	/* Relaxed: written under the lock we hold. */
	if (cfi_load_relaxed(&map->targets_scarce))
		most = 1;
	if (most > MAGAZINE_FRAMES)
		most = MAGAZINE_FRAMES;
	map->targets_zone = zone->number;
	/* Relaxed: as in cfi_list_stock(). */
	cfi_store_relaxed(&map->targets_stocked, 1);
	cfi_set_stock(targets, cfi_take_frames(map, zone, flags, targets->frame,
					       most));
	cfi_reverse_runs(targets->frame, cfi_stock(targets));
}

/**
 * cfi_target_take() - a single frame of a zone to move a run to.
 * @most:  how many frames may still have to move, at most
 * @flags: enum cf_alloc_flag
 *
 * They are taken many at a time and are a stock of their own, which others
 * drain as they drain contexts'; from then on they are taken one by one.
 * cfi_targets_give() gives back what is left.
 *
 * Return: false: the zone's blocks have none. To ask for one by itself drains
 *         caches and looks in other zones.
 */
bool cfi_target_take(struct cf_map *map, struct cfi_zone *zone, uint16_t flags,
		     unsigned most, cf_pfn *ret_pfn)
{
	struct cfi_magazine *targets = &map->targets;
	unsigned long state = cf_lock(&map->drain_lock);
	unsigned count;

	if (map->targets_zone != zone->number)
		drain_targets(map);
	if (cfi_stock(targets) == 0)
		refill_targets(map, zone, flags, most);
	count = cfi_stock(targets);
	if (count > 0) {
		*ret_pfn = targets->frame[count - 1];
		cfi_set_stock(targets, count - 1);
	}
	unlock_and_signal(map, state);
	return count > 0;
}

/* The target that will be taken next, as far as is known, or CF_PFN_NONE. */
cf_pfn cfi_target_next(struct cf_map *map)
{
	unsigned long state;
	unsigned count;
	cf_pfn pfn;

	/* Who drains puts them in order first. A hint is not worth a wait. */
	if (!cf_trylock(&map->drain_lock, &state))
		return CF_PFN_NONE;
	count = cfi_stock(&map->targets);
	pfn = count > 0 ? map->targets.frame[count - 1] : CF_PFN_NONE;
	cf_unlock(&map->drain_lock, state);
	return pfn;
}

/* Give back the targets that were not needed. */
void cfi_targets_give(struct cf_map *map)
{
	unsigned long state;

	/* Relaxed: both are set while this evacuation runs, or not at all. */
	if (!cfi_load_relaxed(&map->targets_stocked) &&
	    !cfi_load_relaxed(&map->targets_scarce))
		return;
	state = cf_lock(&map->drain_lock);
	drain_targets(map);
	/* Relaxed: written under the lock we hold. */
	cfi_store_relaxed(&map->targets_scarce, 0);
	unlock_and_signal(map, state);
}
