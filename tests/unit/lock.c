/* SPDX-License-Identifier: MIT */
/*
 * Locks: exclusion, the order of ranks, interrupts.
 * With the engine's lock.c built for debugging, on a port of this file's that
 * notes panics and interrupt states.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <coldframe/lock.h>
#include <coldframe/port.h>

#include "tests/tap.h"

static _Thread_local uint64_t held;
static _Thread_local unsigned long irq_depth;

void cf_port_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	(void)expression;
	(void)file;
	(void)line;
	(void)value;
	(void)other;
	_exit(3);
}

/* States are the depth, so that a state handed back wrong is seen. */
unsigned long cf_port_irq_off(void)
{
	return irq_depth++;
}

void cf_port_irq_restore(unsigned long state)
{
	CHECK(irq_depth == state + 1);
	irq_depth = state;
}

/* Set: one who waits lets this one go, and interrupts must be on. */
static struct cf_lock *waited_for;

void cf_port_relax(unsigned spins)
{
	(void)spins;
	if (waited_for) {
		CHECK(irq_depth == 0);
		waited_for->word = 0;
		waited_for = NULL;
	}
	(void)sched_yield();
}

uint64_t *cf_port_held_ranks(void)
{
	return &held;
}

static const enum cf_rank rank[] = {
	CF_RANK_HOTPLUG, CF_RANK_DRIVER, CF_RANK_OWNER, CF_RANK_RANGE,
	CF_RANK_DRAIN, CF_RANK_BLOCK, CF_RANK_LEAF,
};

#define RANKS	(sizeof(rank) / sizeof(*rank))

static struct cf_lock lock_of(unsigned i)
{
	return (struct cf_lock)CF_LOCK_INIT(rank[i]);
}

/* Two ranks for the child to take one after the other. */
static unsigned outer_rank, inner_rank;

static void lock_both(void)
{
	struct cf_lock outer = lock_of(outer_rank);
	struct cf_lock inner = lock_of(inner_rank);

	(void)cf_lock(&outer);
	(void)cf_lock(&inner);
}

static void lock_and_try(void)
{
	struct cf_lock outer = lock_of(outer_rank);
	struct cf_lock inner = lock_of(inner_rank);
	unsigned long state;

	(void)cf_lock(&outer);
	(void)!cf_trylock(&inner, &state);
}

static void lock_and_assert(void)
{
	struct cf_lock outer = lock_of(outer_rank);

	(void)cf_lock(&outer);
	cf_assert_unlocked(rank[inner_rank]);
}

static void unlock_unlocked(void)
{
	struct cf_lock lock = lock_of(outer_rank);

	cf_unlock(&lock, 0);
}

static void unlock_others(void)
{
	struct cf_lock lock = lock_of(outer_rank);

	(void)cf_lock(&lock);
	held = 0;
	cf_unlock(&lock, 0);
}

static bool panics(void (*act)(void))
{
	int status = 0;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)alarm(20);
		act();
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	return WIFEXITED(status) && WEXITSTATUS(status) == 3;
}

static void rising_order(void)
{
	struct cf_lock lock[RANKS];
	unsigned long state[RANKS];
	unsigned i;

	for (i = 0; i < RANKS; i++) {
		lock[i] = lock_of(i);
		state[i] = cf_lock(&lock[i]);
		CHECK(held >> rank[i] & 1);
	}
	for (i = RANKS; i-- > 0;) {
		cf_unlock(&lock[i], state[i]);
		CHECK(!(held >> rank[i] & 1));
	}
	CHECK(held == 0);
	CHECK(irq_depth == 0);
}

/* Every pair: only a higher rank may follow. */
static void wrong_order(void)
{
	for (outer_rank = 0; outer_rank < RANKS; outer_rank++)
		for (inner_rank = 0; inner_rank < RANKS; inner_rank++) {
			bool wrong = inner_rank <= outer_rank;

			CHECK(panics(lock_both) == wrong);
			CHECK(panics(lock_and_try) == wrong);
		}
}

/* No lock above a rank: the rank itself may be held. */
static void assert_unlocked(void)
{
	unsigned i;

	for (i = 0; i < RANKS; i++)
		cf_assert_unlocked(rank[i]);
	for (outer_rank = 0; outer_rank < RANKS; outer_rank++)
		for (inner_rank = 0; inner_rank < RANKS; inner_rank++)
			CHECK(panics(lock_and_assert) ==
			      (outer_rank > inner_rank));
}

/* The rank is held, by another lock of it. */
static void unlock_another(void)
{
	struct cf_lock lock = lock_of(outer_rank);
	struct cf_lock free = lock_of(outer_rank);

	(void)cf_lock(&lock);
	cf_unlock(&free, 0);
}

/* Who waits does so with interrupts on, and is not deaf. */
static void waiting(void)
{
	unsigned i;

	for (i = 0; i < RANKS; i++) {
		struct cf_lock lock = lock_of(i);
		unsigned long state;

		lock.word = 1;
		waited_for = &lock;
		state = cf_lock(&lock);
		CHECK(!waited_for);
		CHECK(lock.word == 1);
		CHECK(irq_depth == (rank[i] >= CF_RANK_DRAIN));
		cf_unlock(&lock, state);
		CHECK(irq_depth == 0);
	}
}

static void unlock_misuse(void)
{
	for (outer_rank = 0; outer_rank < RANKS; outer_rank++) {
		CHECK(panics(unlock_unlocked));
		CHECK(panics(unlock_others));
		CHECK(panics(unlock_another));
	}
}

static void trylock(void)
{
	unsigned long state, other;
	unsigned i;

	for (i = 0; i < RANKS; i++) {
		struct cf_lock lock = lock_of(i);

		if (!CHECK(cf_trylock(&lock, &state)))
			continue;
		/* As another context would find it. */
		held = 0;
		CHECK(!cf_trylock(&lock, &other));
		held = (uint64_t)1 << rank[i];
		cf_unlock(&lock, state);
		CHECK(cf_trylock(&lock, &state));
		cf_unlock(&lock, state);
		CHECK(irq_depth == 0);
	}
}

/* Off from DRAIN up, as lock.h says of BLOCK: handlers allocate and free. */
static void interrupts(void)
{
	unsigned long state;
	unsigned i;

	for (i = 0; i < RANKS; i++) {
		struct cf_lock lock = lock_of(i);

		state = cf_lock(&lock);
		CHECK((irq_depth > 0) == (rank[i] >= CF_RANK_DRAIN));
		cf_unlock(&lock, state);
		CHECK(irq_depth == 0);
	}
}

#define THREADS	4
#define TURNS	20000

static struct cf_lock shared = CF_LOCK_INIT(CF_RANK_LEAF);
static uint64_t counter;	/* under it */

static void *count(void *unused)
{
	unsigned i;

	for (i = 0; i < TURNS; i++) {
		unsigned long state = cf_lock(&shared);

		counter++;
		cf_unlock(&shared, state);
	}
	return unused;
}

static void exclusion(void)
{
	pthread_t thread[THREADS];
	unsigned i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, count, NULL))
			abort();
	for (i = 0; i < THREADS; i++)
		(void)pthread_join(thread[i], NULL);
	CHECK(counter == (uint64_t)THREADS * TURNS);
	CHECK(shared.word == 0);
}

int main(void)
{
	tap_run("locks nest in rising order", rising_order);
	tap_run("any other order panics", wrong_order);
	tap_run("no lock above a rank", assert_unlocked);
	tap_run("unlocking what is not held panics", unlock_misuse);
	tap_run("trylock takes a free lock only", trylock);
	tap_run("interrupts are off where handlers take locks", interrupts);
	tap_run("one at a time", exclusion);
	tap_run("waiting goes on with interrupts on", waiting);
	return tap_done();
}
