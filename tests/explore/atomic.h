/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_ATOMIC_H
#define EXPLORE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What stands in the place of core/atomic.h in the explorer's build: the same
 * names, each call with its memory order and the place it stands at.
 */
typedef struct { uint64_t v; } cfi_u64;

struct explore_site {
	const char *file;
	const char *function;
	int line;
};

#define EXPLORE_SITE __extension__ ({					\
	static const struct explore_site explore_site_ = {		\
		__FILE__, __func__, __LINE__ };				\
	&explore_site_; })

enum explore_order {
	EXPLORE_PLAIN,		/* not atomic: a race if not ordered */
	EXPLORE_RELAXED,
	EXPLORE_ACQUIRE,
	EXPLORE_RELEASE,
	EXPLORE_ACQ_REL,
	EXPLORE_SEQ_CST,
};

enum explore_change {		/* how a read-modify-write changes a word */
	EXPLORE_ADD,
	EXPLORE_SUB,
	EXPLORE_OR,
	EXPLORE_AND,
	EXPLORE_SWAP,
};

uint64_t explore_load(const uint64_t *word, enum explore_order order,
		      const struct explore_site *site);
void explore_store(uint64_t *word, uint64_t value, enum explore_order order,
		   const struct explore_site *site);
bool explore_cas(uint64_t *word, uint64_t *old, uint64_t value,
		 enum explore_order order, const struct explore_site *site);
uint64_t explore_change(uint64_t *word, enum explore_change change,
			uint64_t value, enum explore_order order,
			const struct explore_site *site);
void explore_interrupt_point(const struct explore_site *site);

#define EXPLORE_LOAD(word, order)					\
	explore_load(&(word)->v, order, EXPLORE_SITE)
#define EXPLORE_STORE(word, value, order)				\
	explore_store(&(word)->v, value, order, EXPLORE_SITE)
#define EXPLORE_CAS(word, old, value, order)				\
	explore_cas(&(word)->v, old, value, order, EXPLORE_SITE)
#define EXPLORE_CHANGE(word, change, value, order)			\
	explore_change(&(word)->v, change, value, order, EXPLORE_SITE)

#define cfi_load_relaxed(word)	EXPLORE_LOAD(word, EXPLORE_RELAXED)
#define cfi_load_acquire(word)	EXPLORE_LOAD(word, EXPLORE_ACQUIRE)
#define cfi_load_seq_cst(word)	EXPLORE_LOAD(word, EXPLORE_SEQ_CST)
#define cfi_store_relaxed(word, value)					\
	EXPLORE_STORE(word, value, EXPLORE_RELAXED)
#define cfi_store_release(word, value)					\
	EXPLORE_STORE(word, value, EXPLORE_RELEASE)
#define cfi_store_seq_cst(word, value)					\
	EXPLORE_STORE(word, value, EXPLORE_SEQ_CST)
#define cfi_cas_relaxed(word, old, value)				\
	EXPLORE_CAS(word, old, value, EXPLORE_RELAXED)
#define cfi_cas_acquire(word, old, value)				\
	EXPLORE_CAS(word, old, value, EXPLORE_ACQUIRE)
#define cfi_cas_release(word, old, value)				\
	EXPLORE_CAS(word, old, value, EXPLORE_RELEASE)
#define cfi_cas_acq_rel(word, old, value)				\
	EXPLORE_CAS(word, old, value, EXPLORE_ACQ_REL)
#define cfi_add_relaxed(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_ADD, value, EXPLORE_RELAXED)
#define cfi_sub_relaxed(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_SUB, value, EXPLORE_RELAXED)
#define cfi_add_seq_cst(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_ADD, value, EXPLORE_SEQ_CST)
#define cfi_sub_release(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_SUB, value, EXPLORE_RELEASE)
#define cfi_add_release(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_ADD, value, EXPLORE_RELEASE)
#define cfi_or_relaxed(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_OR, value, EXPLORE_RELAXED)
#define cfi_or_seq_cst(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_OR, value, EXPLORE_SEQ_CST)
#define cfi_or_release(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_OR, value, EXPLORE_RELEASE)
#define cfi_and_release(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_AND, value, EXPLORE_RELEASE)
#define cfi_and_acq_rel(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_AND, value, EXPLORE_ACQ_REL)
#define cfi_swap_seq_cst(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_SWAP, value, EXPLORE_SEQ_CST)

/* Calls, that they are seen: the compiler writes nothing in their place. */
void *memset(void *to, int byte, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);
#define __builtin_memset memset
#define __builtin_memcpy memcpy

/* Weaker than the engine asks for: only for protections taken out. */
struct cf_lock;
/* The lock call is left out, and so is its unlock. */
unsigned long explore_no_lock(struct cf_lock *lock);

#define cfi_and_relaxed(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_AND, value, EXPLORE_RELAXED)
#define cfi_and_acquire(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_AND, value, EXPLORE_ACQUIRE)
#define cfi_swap_relaxed(word, value)					\
	EXPLORE_CHANGE(word, EXPLORE_SWAP, value, EXPLORE_RELAXED)

/*
 * How long a drain waits for a cache: at 0 it gives up at once, at 1 it waits
 * as long as it takes.
 */
extern unsigned explore_drain_spins;
#define DRAIN_SPINS explore_drain_spins

/* A failing allocation that looks again and again is of no interest. */
unsigned explore_tries(unsigned tries);
#define TAKE_TRIES explore_tries(tries)

/* Passes over a range: they would not differ but in what others do. */
#define RANGE_PASSES 1

/*
 * Where a context can be stopped between two accesses that only a fence on
 * all contexts orders.
 */
#define cfi_compiler_fence() explore_interrupt_point(EXPLORE_SITE)

#endif
