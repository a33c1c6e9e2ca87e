/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_LOCK_H
#define COLDFRAME_LOCK_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Ranked spin locks: the only locks outside core/.  A context takes locks in
 * rising order of rank; debug builds check it.  docs/locks.md has the table.
 */
enum cf_rank {
	CF_RANK_HOTPLUG	= 10,	/* add, remove, online, offline: one at a
				 * time */
	CF_RANK_DRIVER	= 20,	/* a driver's own state */
	CF_RANK_OWNER	= 30,	/* the owner table */
	CF_RANK_RANGE	= 35,	/* the list of isolated ranges */
	CF_RANK_DRAIN	= 40,	/* draining other contexts' caches */
	CF_RANK_BLOCK	= 50,	/* one block: bitmaps, masks, counts */
	CF_RANK_LEAF	= 63,	/* taken last; nothing is called under it */
};

/* Zeroed memory with a rank is an unlocked lock. */
struct cf_lock {
	uint64_t word;		/* opaque */
	uint32_t rank;		/* enum cf_rank */
	uint32_t reserved;
};

#define CF_LOCK_INIT(lock_rank) { 0, (lock_rank), 0 }

/**
 * cf_lock() - take a lock, spinning.
 * @lock: unlocked or held by another context
 *
 * Interrupts stay off from here to cf_unlock() for ranks from CF_RANK_DRAIN
 * up. Pair with cf_unlock().
 *
 * Context: all locks held by this context have a lower rank.
 * Return:  the interrupt state to hand to cf_unlock().
 */
unsigned long cf_lock(struct cf_lock *lock);

/** cf_trylock() - take a lock if it is free. Pair with cf_unlock(). */
bool cf_trylock(struct cf_lock *lock, unsigned long *ret_state) CF_MUST_CHECK;

/** cf_unlock() - give a lock back that cf_lock() or cf_trylock() took. */
void cf_unlock(struct cf_lock *lock, unsigned long state);

/** cf_assert_unlocked() - debug builds: no lock above @rank is held. */
void cf_assert_unlocked(enum cf_rank rank);

#ifdef __cplusplus
}
#endif
#endif
