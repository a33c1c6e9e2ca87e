/* SPDX-License-Identifier: MIT */
#ifndef CFI_ATOMIC_H
#define CFI_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Every shared word of the engine is a cfi_u64 and every access names its
 * order, so that an explorer can put its own functions in the place of
 * these.  A compare-and-swap that fails only re-reads the word: its failure
 * order is relaxed, because nothing but the word itself is looked at.
 */
#ifdef CFI_ATOMIC_OVERRIDE
#include CFI_ATOMIC_OVERRIDE
#else

typedef struct { uint64_t v; } cfi_u64;

#define CFI_LOAD(name, order)						\
static inline uint64_t cfi_load_##name(const cfi_u64 *word)		\
{									\
	return __atomic_load_n(&word->v, order);			\
}

#define CFI_STORE(name, order)						\
static inline void cfi_store_##name(cfi_u64 *word, uint64_t value)	\
{									\
	__atomic_store_n(&word->v, value, order);			\
}

#define CFI_CAS(name, order)						\
static inline bool cfi_cas_##name(cfi_u64 *word, uint64_t *old,		\
				  uint64_t value)			\
{									\
	return __atomic_compare_exchange_n(&word->v, old, value, false,	\
					   order, __ATOMIC_RELAXED);	\
}

#define CFI_RMW(verb, builtin, name, order)				\
static inline uint64_t cfi_##verb##_##name(cfi_u64 *word, uint64_t value) \
{									\
	return builtin(&word->v, value, order);				\
}

CFI_LOAD(relaxed, __ATOMIC_RELAXED)
CFI_LOAD(acquire, __ATOMIC_ACQUIRE)
CFI_LOAD(seq_cst, __ATOMIC_SEQ_CST)
CFI_STORE(relaxed, __ATOMIC_RELAXED)
CFI_STORE(release, __ATOMIC_RELEASE)
CFI_CAS(relaxed, __ATOMIC_RELAXED)
CFI_CAS(acquire, __ATOMIC_ACQUIRE)
CFI_CAS(release, __ATOMIC_RELEASE)
CFI_CAS(acq_rel, __ATOMIC_ACQ_REL)
CFI_RMW(add, __atomic_fetch_add, relaxed, __ATOMIC_RELAXED)
CFI_RMW(add, __atomic_fetch_add, release, __ATOMIC_RELEASE)
CFI_RMW(add, __atomic_fetch_add, seq_cst, __ATOMIC_SEQ_CST)
CFI_RMW(sub, __atomic_fetch_sub, relaxed, __ATOMIC_RELAXED)
CFI_RMW(sub, __atomic_fetch_sub, release, __ATOMIC_RELEASE)
CFI_RMW(or, __atomic_fetch_or, relaxed, __ATOMIC_RELAXED)
CFI_RMW(or, __atomic_fetch_or, release, __ATOMIC_RELEASE)
CFI_RMW(or, __atomic_fetch_or, seq_cst, __ATOMIC_SEQ_CST)
CFI_RMW(and, __atomic_fetch_and, release, __ATOMIC_RELEASE)
CFI_RMW(and, __atomic_fetch_and, acq_rel, __ATOMIC_ACQ_REL)
CFI_RMW(swap, __atomic_exchange_n, seq_cst, __ATOMIC_SEQ_CST)

/* Keeps the compiler, not the CPU: the port's barrier does the rest. */
static inline void cfi_compiler_fence(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#undef CFI_LOAD
#undef CFI_STORE
#undef CFI_CAS
#undef CFI_RMW

#endif
#endif
