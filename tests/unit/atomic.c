/* SPDX-License-Identifier: MIT */
/*
 * Every access of core/atomic.h is made with the order that its name says.
 * The compiler's functions are replaced by ones that note the order and do
 * the work: see meson.build.
 */
#include <stdbool.h>
#include <stdint.h>

#include "tests/tap.h"

static int noted, noted_failure;
static bool noted_weak;
static uint64_t fences;

#define NOTE_CHANGE(name, expression)					\
static inline uint64_t note_##name(uint64_t *word, uint64_t value,	\
				   int order)				\
{									\
	uint64_t old = *word;						\
									\
	noted = order;							\
	*word = (expression);						\
	return old;							\
}

NOTE_CHANGE(add, old + value)
NOTE_CHANGE(sub, old - value)
NOTE_CHANGE(or, old | value)
NOTE_CHANGE(and, old & value)
NOTE_CHANGE(swap, value)

static inline uint64_t note_load(const uint64_t *word, int order)
{
	noted = order;
	return *word;
}

static inline void note_store(uint64_t *word, uint64_t value, int order)
{
	noted = order;
	*word = value;
}

static inline bool note_cas(uint64_t *word, uint64_t *old, uint64_t value,
			    bool weak, int order, int failure)
{
	bool same = *word == *old;

	noted = order;
	noted_failure = failure;
	noted_weak = weak;
	if (same)
		*word = value;
	else
		*old = *word;
	return same;
}

static inline void note_fence(int order)
{
	noted = order;
	fences++;
}

#include "core/atomic.h"

static cfi_u64 word;

/* One call: its order, what it returns, what is in the word afterwards. */
#define CHECK_ORDER(call, order) (noted = -1, (void)(call),		\
				  CHECK_EQ(noted, __ATOMIC_##order))
#define CHECK_CHANGE(verb, name, order, value, after) do {		\
	word.v = 12;							\
	noted = -1;							\
	CHECK_EQ(cfi_##verb##_##name(&word, value), 12);		\
	CHECK_EQ(noted, __ATOMIC_##order);				\
	CHECK_EQ(word.v, after);					\
} while (0)

static void loads_and_stores(void)
{
	word.v = 5;
	CHECK_ORDER(CHECK_EQ(cfi_load_relaxed(&word), 5), RELAXED);
	CHECK_ORDER(CHECK_EQ(cfi_load_acquire(&word), 5), ACQUIRE);
	CHECK_ORDER(CHECK_EQ(cfi_load_seq_cst(&word), 5), SEQ_CST);
	CHECK_ORDER(cfi_store_relaxed(&word, 6), RELAXED);
	CHECK_EQ(word.v, 6);
	CHECK_ORDER(cfi_store_release(&word, 7), RELEASE);
	CHECK_EQ(word.v, 7);
}

/* Strong, and relaxed where it fails. */
#define CHECK_CAS(name, order) do {					\
	uint64_t old = 1;						\
									\
	word.v = 12;							\
	CHECK(!cfi_cas_##name(&word, &old, 13));			\
	CHECK_EQ(old, 12);						\
	CHECK_EQ(word.v, 12);						\
	CHECK(cfi_cas_##name(&word, &old, 13));				\
	CHECK_EQ(word.v, 13);						\
	CHECK_EQ(noted, __ATOMIC_##order);				\
	CHECK_EQ(noted_failure, __ATOMIC_RELAXED);			\
	CHECK(!noted_weak);						\
} while (0)

static void exchanges(void)
{
	CHECK_CAS(relaxed, RELAXED);
	CHECK_CAS(acquire, ACQUIRE);
	CHECK_CAS(release, RELEASE);
	CHECK_CAS(acq_rel, ACQ_REL);
}

static void changes(void)
{
	CHECK_CHANGE(add, relaxed, RELAXED, 3, 15);
	CHECK_CHANGE(sub, relaxed, RELAXED, 3, 9);
	CHECK_CHANGE(add, release, RELEASE, 3, 15);
	CHECK_CHANGE(add, seq_cst, SEQ_CST, 3, 15);
	CHECK_CHANGE(sub, release, RELEASE, 3, 9);
	CHECK_CHANGE(or, relaxed, RELAXED, 3, 15);
	CHECK_CHANGE(or, release, RELEASE, 3, 15);
	CHECK_CHANGE(or, seq_cst, SEQ_CST, 3, 15);
	CHECK_CHANGE(and, release, RELEASE, 6, 4);
	CHECK_CHANGE(and, acq_rel, ACQ_REL, 6, 4);
	CHECK_CHANGE(swap, seq_cst, SEQ_CST, 6, 6);
}

static void fence(void)
{
	CHECK_ORDER(cfi_compiler_fence(), SEQ_CST);
	CHECK_EQ(fences, 1);
}

int main(void)
{
	tap_run("loads and stores", loads_and_stores);
	tap_run("exchanges that compare", exchanges);
	tap_run("additions, masks and swaps", changes);
	tap_run("the compiler's fence", fence);
	return tap_done();
}
