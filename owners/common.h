/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_COMMON_H
#define OWNERS_COMMON_H

/* Small things that several of the reference owners need. */

#include <coldframe/frame.h>
#include <coldframe/lock.h>
#include <coldframe/types.h>

/* Is the frame of [first, last)? */
static inline bool is_in(cf_pfn first, cf_pfn last, cf_pfn pfn)
{
	return pfn >= first && pfn < last;
}

/* Flags of the run a frame heads; 0: it heads none. */
static inline uint32_t flags_of(struct cf_map *map, cf_pfn pfn)
{
	struct cf_snapshot run;

	return cf_snapshot(map, pfn, &run) ? 0 : run.flags;
}

/* Has cf_retire() marked the run: does it hold a bad frame? */
static inline bool is_marked(struct cf_map *map, cf_pfn pfn)
{
	return flags_of(map, pfn) & CF_FLAG_POISON;
}

/* Is its range being removed? */
static inline bool is_closed(struct cf_map *map, cf_pfn pfn)
{
	return flags_of(map, pfn) & CF_FLAG_CLOSED;
}

/* Is it a run of this order, this moment? */
static inline bool is_run_of(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	struct cf_snapshot run;

	return !cf_snapshot(map, pfn, &run) && run.order == order;
}

/* Names are told apart as they are written. */
static inline bool is_name(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* A hook ran for what is not the owner's: how often, and the last such run. */
static inline void note_stranger(struct cf_lock *lock, uint64_t *count,
				 cf_pfn *ret_last, cf_pfn pfn)
{
	unsigned long state = cf_lock(lock);

	(*count)++;
	*ret_last = pfn;
	cf_unlock(lock, state);
}

#endif
