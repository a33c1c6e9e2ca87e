/* SPDX-License-Identifier: MIT */
#ifndef CFI_BITMAP_H
#define CFI_BITMAP_H

#include <coldframe/types.h>

/*
 * Free frames of a chunk: 512 bits, one cache line, 1 = free.  Masks of a
 * block: 64 bits, one a chunk.  Both are searched for aligned groups by
 * folding: after k steps a bit stands where 2^k aligned ones begin.
 */
#define BITMAP_WORDS	8
#define BITMAP_NONE	(~0u)

struct cfi_bitmap {
	uint64_t word[BITMAP_WORDS];
};

static inline unsigned bits_first(uint64_t bits)
{
	return (unsigned)__builtin_ctzll(bits);
}

static inline unsigned bits_count(uint64_t bits)
{
	unsigned count = 0;

	/* The builtin is a library call where the CPU has no instruction. */
	for (; bits; bits &= bits - 1)
		count++;
	return count;
}

static inline uint64_t bits_low(unsigned count)
{
	return count >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1;
}

/* Where 2^order (0..6) aligned ones begin, if a bit stands for half of it. */
static inline uint64_t bits_fold_once(uint64_t half, unsigned order)
{
	static const uint64_t begins[7] = {
		~(uint64_t)0,	    0x5555555555555555, 0x1111111111111111,
		0x0101010101010101, 0x0001000100010001, 0x0000000100000001,
		0x0000000000000001,
	};

	if (order == 0)
		return half;
	return half & half >> (1u << (order - 1)) & begins[order];
}

static inline uint64_t bits_fold(uint64_t bits, unsigned order)
{
	unsigned step;

	for (step = 1; step <= order && bits; step++)
		bits = bits_fold_once(bits, step);
	return bits;
}

/* Aligned groups of exactly 2^order ones: in none of twice the size. */
static inline uint64_t bits_exact(uint64_t bits, unsigned order)
{
	uint64_t groups = bits_fold(bits, order);
	uint64_t larger;

	if (order == 6)
		return groups;
	larger = bits_fold_once(groups, order + 1);
	return groups & ~(larger | larger << (1u << order));
}

/* A byte with a bit for each word that is all ones. */
static inline uint64_t bitmap_full_words(const struct cfi_bitmap *map)
{
	uint64_t full = 0;
	unsigned i;

	for (i = 0; i < BITMAP_WORDS; i++)
		full |= (uint64_t)(map->word[i] == ~(uint64_t)0) << i;
	return full;
}

/* Fold every word from groups of half an order to groups of @order. */
static inline uint64_t bitmap_fold_once(struct cfi_bitmap *groups,
					unsigned order)
{
	uint64_t any = 0;
	unsigned i;

	for (i = 0; i < BITMAP_WORDS; i++) {
		groups->word[i] = bits_fold_once(groups->word[i], order);
		any |= groups->word[i];
	}
	return any;
}

/* Order of the largest aligned free run, 0..9, or BITMAP_NONE. */
static inline unsigned bitmap_largest(const struct cfi_bitmap *map)
{
	uint64_t full = bitmap_full_words(map);
	struct cfi_bitmap groups = *map;
	unsigned order;

	if (full) {
		for (order = 3; order > 0; order--)
			if (bits_fold(full, order) & 0xff)
				break;
		return order + 6;
	}
	for (order = 0; order < 6; order++)
		if (!bitmap_fold_once(&groups, order))
			break;
	return order - 1;
}

/* The first free run of @order, 0..8, or BITMAP_NONE. */
static inline unsigned bitmap_first(const struct cfi_bitmap *map,
				    unsigned order)
{
	uint64_t groups;
	unsigned i;

	if (order >= 6) {
		groups = bits_fold(bitmap_full_words(map), order - 6) & 0xff;
		return groups ? bits_first(groups) * 64 : BITMAP_NONE;
	}
	for (i = 0; i < BITMAP_WORDS; i++) {
		groups = bits_fold(map->word[i], order);
		if (groups)
			return i * 64 + bits_first(groups);
	}
	return BITMAP_NONE;
}

/* As bitmap_find(), from a group below a word; orders from 6 up have none. */
static inline unsigned bitmap_find_small(const struct cfi_bitmap *map,
					 unsigned order)
{
	struct cfi_bitmap groups = *map;
	uint64_t larger, exact;
	unsigned step, i;

	for (step = 1; step <= order && order < 6; step++)
		(void)bitmap_fold_once(&groups, step);
	for (; order < 6; order++)
		for (i = 0; i < BITMAP_WORDS; i++) {
			larger = bits_fold_once(groups.word[i], order + 1);
			exact = groups.word[i] &
				~(larger | larger << (1u << order));
			if (exact)
				return i * 64 + bits_first(exact);
			groups.word[i] = larger;
		}
	return BITMAP_NONE;
}

/* Frame where a free run of @order begins, from the tightest group. */
static inline unsigned bitmap_find(const struct cfi_bitmap *map,
				   unsigned order)
{
	unsigned frame = bitmap_find_small(map, order);
	uint64_t full, exact;
	unsigned try;

	if (frame != BITMAP_NONE)
		return frame;
	full = bitmap_full_words(map);
	for (try = order > 6 ? order - 6 : 0; try <= 3; try++) {
		exact = bits_exact(full, try) & 0xff;
		if (exact)
			return bits_first(exact) * 64;
	}
	return BITMAP_NONE;
}

/* Order of the aligned free run of at most 2^9 frames around @frame. */
static inline unsigned bitmap_run_around(const struct cfi_bitmap *map,
					 unsigned frame)
{
	uint64_t bits = map->word[frame / 64];
	uint64_t full;
	unsigned order = 0;
	unsigned first;

	while (order < 6) {
		first = frame % 64 & ~((2u << order) - 1);
		if (~(bits >> first) & bits_low(2u << order))
			return order;
		order++;
	}
	full = bitmap_full_words(map);
	while (order < 9) {
		first = frame / 64 & ~((2u << (order - 6)) - 1);
		if (~(full >> first) & bits_low(2u << (order - 6)))
			return order;
		order++;
	}
	return order;
}

/* Are all frames of [first, last) free (@ones) or none? */
static inline bool bitmap_is(const struct cfi_bitmap *map, unsigned first,
			     unsigned last, bool ones)
{
	uint64_t mask, bits;

	while (first < last) {
		unsigned end = (first / 64 + 1) * 64;

		if (end > last)
			end = last;
		mask = bits_low(end - first) << first % 64;
		bits = map->word[first / 64];
		if ((ones ? ~bits & mask : bits & mask) != 0)
			return false;
		first = end;
	}
	return true;
}

/* Set or clear [first, last). */
static inline void bitmap_set(struct cfi_bitmap *map, unsigned first,
			      unsigned last, bool ones)
{
	uint64_t mask;

	while (first < last) {
		unsigned end = (first / 64 + 1) * 64;

		if (end > last)
			end = last;
		mask = bits_low(end - first) << first % 64;
		if (ones)
			map->word[first / 64] |= mask;
		else
			map->word[first / 64] &= ~mask;
		first = end;
	}
}

#endif
