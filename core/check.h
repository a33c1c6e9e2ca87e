/* SPDX-License-Identifier: MIT */
#ifndef CFI_CHECK_H
#define CFI_CHECK_H

#include <coldframe/port.h>

/*
 * CF_CHECK: always on, O(1), on memory already in hand: what must hold before
 * a move; the two values are printed.  CF_ASSERT: debug builds only, may miss
 * the cache; it type-checks its argument in every build.
 */
#define CF_CHECK2(expression, value, other)				\
	do {								\
		if (__builtin_expect(!(expression), 0))			\
			cf_port_panic(#expression, __FILE__, __LINE__,	\
				      (uint64_t)(value), (uint64_t)(other)); \
	} while (0)

#define CF_CHECK(expression, value) CF_CHECK2(expression, value, 0)

#ifdef CF_DEBUG
#define CF_ASSERT(expression) CF_CHECK2(expression, 0, 0)
#else
#define CF_ASSERT(expression) ((void)sizeof((expression) ? 1 : 0))
#endif

/* What the compiler cannot know, so that it need not look. */
#define CF_ASSUME(expression)						\
	do {								\
		if (!(expression))					\
			__builtin_unreachable();			\
	} while (0)

#define CF_ASSERT_LOCKED(lock)						\
	CF_ASSERT(cfi_load_relaxed((const cfi_u64 *)&(lock)->word) != 0)

#endif
