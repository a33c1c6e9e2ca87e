/* SPDX-License-Identifier: MIT */

/*
 * Ranked spin locks.
 *
 * A context takes locks in rising order of rank.  Debug builds keep one
 * 64-bit set of held ranks for each context and check every step against it,
 * so the order in docs/locks.md is executed, not believed.  From RANK_DRAIN
 * up interrupts are off while a lock is held: handlers allocate and free.
 */

#include "internal.h"

/* May this context wait for the lock? */
static void rank_check(const struct cf_lock *lock)
{
#ifdef CF_DEBUG
	const uint64_t *held = cf_port_held_ranks();

	CF_CHECK2((*held >> lock->rank) == 0, *held, lock->rank);
#else
	(void)lock;
#endif
}

static void rank_enter(const struct cf_lock *lock)
{
#ifdef CF_DEBUG
	*cf_port_held_ranks() |= (uint64_t)1 << lock->rank;
#else
	(void)lock;
#endif
}

static void rank_leave(const struct cf_lock *lock)
{
#ifdef CF_DEBUG
	uint64_t *held = cf_port_held_ranks();

	CF_CHECK2(*held >> lock->rank & 1, *held, lock->rank);
	*held &= ~((uint64_t)1 << lock->rank);
#else
	(void)lock;
#endif
}

static unsigned long irq_off(uint32_t rank)
{
	return rank >= CF_RANK_DRAIN ? cf_port_irq_off() : 0;
}

static void irq_restore(uint32_t rank, unsigned long state)
{
	if (rank >= CF_RANK_DRAIN)
		cf_port_irq_restore(state);
}

static bool take(struct cf_lock *lock)
{
	uint64_t unlocked = 0;

	/*
	 * Acquire: see all that the last holder wrote. The other side is
	 * cf_unlock(). [lock]
	 */
	return cfi_cas_acquire((cfi_u64 *)&lock->word, &unlocked, 1);
}

unsigned long cf_lock(struct cf_lock *lock)
{
	unsigned long state = irq_off(lock->rank);
	unsigned spins = 0;

	rank_check(lock);
	while (!take(lock)) {
		irq_restore(lock->rank, state);
		/* Relaxed: only a hint when to try the exchange again. */
		while (cfi_load_relaxed((const cfi_u64 *)&lock->word))
			cf_port_relax(spins++);
		state = irq_off(lock->rank);
	}
	rank_enter(lock);
	return state;
}

bool cf_trylock(struct cf_lock *lock, unsigned long *ret_state)
{
	unsigned long state = irq_off(lock->rank);

	if (!take(lock)) {
		irq_restore(lock->rank, state);
		return false;
	}
	rank_check(lock);
	rank_enter(lock);
	*ret_state = state;
	return true;
}

void cf_unlock(struct cf_lock *lock, unsigned long state)
{
	/* Once it is unlocked the lock may go, with what it is part of. */
	uint32_t rank = lock->rank;

	/* Relaxed: written by this context, or it is misuse. */
	CF_CHECK(cfi_load_relaxed((const cfi_u64 *)&lock->word) == 1,
		 lock->rank);
	rank_leave(lock);
	/* Release: the next holder, in take(), sees all of ours. [lock] */
	cfi_store_release((cfi_u64 *)&lock->word, 0);
	irq_restore(rank, state);
}

void cf_assert_unlocked(enum cf_rank rank)
{
#ifdef CF_DEBUG
	uint64_t *held = cf_port_held_ranks();

	CF_CHECK2(*held >> rank >> 1 == 0, *held, rank);
#else
	(void)rank;
#endif
}
