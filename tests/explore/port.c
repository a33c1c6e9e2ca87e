/* SPDX-License-Identifier: MIT */

/*
 * The port, and the locks, of a machine whose contexts are the explorer's
 * threads.
 *
 * A lock is one exchange that waits.  A read section counts up and down in a
 * word of its context, and a grace period reads each of these words by an
 * exchange that waits for 0: so a section either is over before the period
 * ends, or begins after the period has begun and sees what was done before.
 * Nothing else is ordered, as little as a port may do.  The barrier on all
 * contexts exchanges with a word that each of them exchanges with where it can
 * be stopped.
 */

#include <coldframe/coldframe.h>

#include "engine.h"
#include "port.h"

#include <string.h>

static struct port {
	uint64_t section[EXPLORE_THREADS_MAX + 1];
	uint64_t barrier[EXPLORE_THREADS_MAX + 1];
	unsigned nested[EXPLORE_THREADS_MAX + 1];
	uint64_t held_ranks[EXPLORE_THREADS_MAX + 1];
	uint64_t left_out[EXPLORE_THREADS_MAX + 1]; /* of these: not taken */
} *port;

static struct explore_machine machine;
unsigned explore_drain_spins;
unsigned explore_take_tries;

void explore_port_init(void)
{
	unsigned i;

	port = explore_memory(sizeof(*port));
	memset(&machine, 0, sizeof(machine));
	explore_drain_spins = 0;
	explore_take_tries = 3;
	explore_name(port, sizeof(*port), "port", -1);
	for (i = 0; i < EXPLORE_THREADS_MAX; i++) {
		explore_name(&port->section[i], 8, "read section of thread",
			     i);
		explore_name(&port->barrier[i], 8, "barrier of thread", i);
	}
}

struct explore_machine *explore_port_machine(void)
{
	return &machine;
}

unsigned cf_port_cpu(void)
{
	unsigned self = explore_self();

	if (self == EXPLORE_THREADS_MAX)
		return machine.ground_cpu;
	return machine.cpu ? machine.cpu() : self;
}

unsigned explore_tries(unsigned tries)
{
	if (tries >= explore_take_tries &&
	    explore_self() != EXPLORE_THREADS_MAX)
		explore_abandon();
	return tries + 1;
}

unsigned long cf_port_irq_off(void)
{
	return 0;
}

void cf_port_irq_restore(unsigned long state)
{
	(void)state;
}

void cf_port_relax(unsigned spins)
{
	(void)spins;
	explore_wait();
}

void cf_port_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	(void)value;
	(void)other;
	if (machine.panic && machine.panic(expression))
		explore_exit();
	explore_fail(expression, file, line);
}

uint64_t *cf_port_held_ranks(void)
{
	return &port->held_ranks[explore_self()];
}

void cf_port_read_lock(void)
{
	unsigned self = explore_self();

	if (port->nested[self]++ == 0)
		(void)explore_change(&port->section[self], EXPLORE_ADD, 1,
				     EXPLORE_ACQ_REL, EXPLORE_SITE);
}

void cf_port_read_unlock(void)
{
	unsigned self = explore_self();

	REQUIRE(port->nested[self] > 0);
	if (--port->nested[self] == 0)
		(void)explore_change(&port->section[self], EXPLORE_SUB, 1,
				     EXPLORE_ACQ_REL, EXPLORE_SITE);
}

void cf_port_synchronize(void)
{
	unsigned self = explore_self();
	unsigned i;

	REQUIRE(port->nested[self] == 0);
	for (i = 0; i < EXPLORE_THREADS_MAX; i++)
		if (i != self)
			explore_await_zero(&port->section[i], EXPLORE_SITE);
}

int cf_port_barrier_all(void)
{
	unsigned self = explore_self();
	unsigned i;

	for (i = 0; i < EXPLORE_THREADS_MAX; i++)
		if (i != self)
			(void)explore_change(&port->barrier[i], EXPLORE_ADD, 0,
					     EXPLORE_ACQ_REL, EXPLORE_SITE);
	return 0;
}

void explore_interrupt_point(const struct explore_site *site)
{
	(void)explore_change(&port->barrier[explore_self()], EXPLORE_ADD, 0,
			     EXPLORE_ACQ_REL, site);
}

void *cf_port_meta_alloc(void *unused, size_t bytes)
{
	(void)unused;
	if (machine.meta_alloc)
		return machine.meta_alloc(bytes);
	return explore_self() == EXPLORE_THREADS_MAX ? explore_memory(bytes) :
						       NULL;
}

void cf_port_meta_free(void *unused, void *memory, size_t bytes)
{
	(void)unused;
	if (machine.meta_free)
		machine.meta_free(memory, bytes);
}

void *cf_port_frame_address(void *unused, cf_pfn pfn, uint64_t count)
{
	(void)unused;
	if (!machine.contents || pfn + count > machine.frames)
		return NULL;
	return (char *)machine.contents + pfn * machine.frame_bytes;
}

int cf_port_first_exposed(void *unused, cf_pfn first, cf_pfn last)
{
	(void)unused;
	if (machine.exposed)
		machine.exposed(first, last);
	return 0;
}

int cf_port_returned(void *unused, cf_pfn first, cf_pfn last)
{
	(void)unused;
	if (machine.exposed)
		machine.exposed(first, last);
	return 0;
}

void cf_port_protect(void *unused, cf_pfn first, cf_pfn last, bool usable)
{
	(void)unused;
	(void)first;
	(void)last;
	(void)usable;
}

void cf_port_signal(void *unused, enum cf_signal what, cf_pfn pfn)
{
	(void)unused;
	if (machine.signal)
		machine.signal(what, pfn);
}

/* ---- locks: core/lock.c has programs of its own, as real_lock() ---- */

unsigned long cf_lock(struct cf_lock *lock)
{
	uint64_t *held = cf_port_held_ranks();

	REQUIRE(*held >> lock->rank == 0);
	explore_lock(&lock->word, EXPLORE_SITE);
	*held |= (uint64_t)1 << lock->rank;
	return 0;
}

bool cf_trylock(struct cf_lock *lock, unsigned long *ret_state)
{
	uint64_t unlocked = 0;

	*ret_state = 0;
	if (!explore_cas(&lock->word, &unlocked, 1, EXPLORE_ACQUIRE,
			 EXPLORE_SITE))
		return false;
	*cf_port_held_ranks() |= (uint64_t)1 << lock->rank;
	return true;
}

unsigned long explore_no_lock(struct cf_lock *lock)
{
	*cf_port_held_ranks() |= (uint64_t)1 << lock->rank;
	port->left_out[explore_self()] |= (uint64_t)1 << lock->rank;
	return 0;
}

void cf_unlock(struct cf_lock *lock, unsigned long state)
{
	uint64_t *held = cf_port_held_ranks();

	(void)state;
	REQUIRE(*held >> lock->rank & 1);
	*held &= ~((uint64_t)1 << lock->rank);
	if (port->left_out[explore_self()] >> lock->rank & 1) {
		port->left_out[explore_self()] &= ~((uint64_t)1 << lock->rank);
		return;
	}
	explore_store(&lock->word, 0, EXPLORE_RELEASE, EXPLORE_SITE);
}

void cf_assert_unlocked(enum cf_rank rank)
{
	REQUIRE(*cf_port_held_ranks() >> rank >> 1 == 0);
}
