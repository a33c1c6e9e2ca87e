/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps of a chunk and masks of a block, against the obvious way.
 * Random bitmaps of many densities; every position and order of each.
 */
#include <stdlib.h>

#include "core/bitmap.h"
#include "tests/unit/machine.h"

#define FRAMES	512
#define ROUNDS	400

static uint64_t random_state = 88172645463325252;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* @density: how many random words are put together; negative: by and. */
static uint64_t random_bits(int density)
{
	uint64_t bits = random_next();

	for (; density > 0; density--)
		bits |= random_next();
	for (; density < 0; density++)
		bits &= random_next();
	return bits;
}

static void paint(struct cfi_bitmap *map, unsigned first, unsigned last,
		  bool ones)
{
	for (; first < last; first++) {
		uint64_t bit = (uint64_t)1 << first % 64;

		map->word[first / 64] = ones ? map->word[first / 64] | bit :
					map->word[first / 64] & ~bit;
	}
}

/* Bits, aligned groups of ones or zeroes over them: large runs occur, too. */
static struct cfi_bitmap random_bitmap(unsigned round)
{
	struct cfi_bitmap map;
	unsigned order, at, i;

	for (i = 0; i < BITMAP_WORDS; i++)
		map.word[i] = random_bits((int)(round % 9) - 4);
	for (i = 0; i < round % 5; i++) {
		order = (unsigned)(random_next() % 10);
		at = (unsigned)(random_next() % FRAMES) & ~((1u << order) - 1);
		paint(&map, at, at + (1u << order), random_next() & 1);
	}
	return map;
}

static bool bit_at(const struct cfi_bitmap *map, unsigned frame)
{
	return map->word[frame / 64] >> frame % 64 & 1;
}

/* Is the aligned group of @order around @frame all ones? */
static bool group_is_free(const struct cfi_bitmap *map, unsigned frame,
			  unsigned order)
{
	unsigned at = frame & ~((1u << order) - 1);
	unsigned i;

	for (i = at; i < at + (1u << order); i++)
		if (!bit_at(map, i))
			return false;
	return true;
}

static bool group_is_maximal(const struct cfi_bitmap *map, unsigned frame,
			     unsigned order)
{
	return group_is_free(map, frame, order) &&
	       (order == 9 || !group_is_free(map, frame, order + 1));
}

static unsigned slow_largest(const struct cfi_bitmap *map)
{
	unsigned order, at;

	for (order = 10; order-- > 0;)
		for (at = 0; at < FRAMES; at += 1u << order)
			if (group_is_free(map, at, order))
				return order;
	return BITMAP_NONE;
}

/* The lowest of the smallest maximal groups that are large enough. */
static unsigned slow_find(const struct cfi_bitmap *map, unsigned order)
{
	unsigned at;

	for (; order <= 9; order++)
		for (at = 0; at < FRAMES; at += 1u << order)
			if (group_is_maximal(map, at, order))
				return at;
	return BITMAP_NONE;
}

static void check_searches(const struct cfi_bitmap *map)
{
	unsigned order, at;

	CHECK_EQ(bitmap_largest(map), slow_largest(map));
	for (order = 0; order <= 9; order++)
		CHECK_EQ(bitmap_find(map, order), slow_find(map, order));
	for (at = 0; at < FRAMES; at++) {
		if (!bit_at(map, at))
			continue;
		for (order = 0; !group_is_maximal(map, at, order);)
			order++;
		if (!CHECK_EQ(bitmap_run_around(map, at), order))
			return;
	}
}

static void searches(void)
{
	struct cfi_bitmap map;
	unsigned round;

	for (round = 0; round < ROUNDS && !tap.broken; round++) {
		map = random_bitmap(round);
		check_searches(&map);
	}
	memset(&map, 0, sizeof(map));
	check_searches(&map);
	memset(&map, 0xff, sizeof(map));
	check_searches(&map);
}

/* Every order alone, at every place it can be. */
static void single_groups(void)
{
	unsigned order, at;

	for (order = 0; order <= 9; order++)
		for (at = 0; at < FRAMES; at += 1u << order) {
			struct cfi_bitmap map = { { 0 } };

			bitmap_set(&map, at, at + (1u << order), true);
			CHECK_EQ(bitmap_largest(&map), order);
			CHECK_EQ(bitmap_find(&map, 0), at);
			CHECK_EQ(bitmap_find(&map, order), at);
			CHECK(order == 9 || bitmap_find(&map, order + 1) ==
			      BITMAP_NONE);
		}
}

static void check_range(const struct cfi_bitmap *map, unsigned first,
			unsigned last)
{
	struct cfi_bitmap set = *map;
	struct cfi_bitmap clear = *map;
	bool ones = true;
	bool zeroes = true;
	unsigned i;

	for (i = first; i < last; i++) {
		ones = ones && bit_at(map, i);
		zeroes = zeroes && !bit_at(map, i);
	}
	CHECK_EQ(bitmap_is(map, first, last, true), ones);
	CHECK_EQ(bitmap_is(map, first, last, false), zeroes);
	bitmap_set(&set, first, last, true);
	bitmap_set(&clear, first, last, false);
	for (i = 0; i < FRAMES; i++) {
		bool inside = i >= first && i < last;

		if (!CHECK_EQ(bit_at(&set, i), inside || bit_at(map, i)) ||
		    !CHECK_EQ(bit_at(&clear, i), !inside && bit_at(map, i)))
			return;
	}
}

static void ranges(void)
{
	struct cfi_bitmap map;
	unsigned round, first, last;

	for (round = 0; round < ROUNDS && !tap.broken; round++) {
		map = random_bitmap(round);
		first = (unsigned)(random_next() % (FRAMES + 1));
		last = first + (unsigned)(random_next() % (FRAMES + 1 - first));
		check_range(&map, first, last);
		check_range(&map, first / 64 * 64, (last + 63) / 64 * 64);
		check_range(&map, first, first);
	}
	memset(&map, 0xff, sizeof(map));
	check_range(&map, 0, FRAMES);
}

static bool aligned_ones(uint64_t bits, unsigned at, unsigned order)
{
	unsigned i;

	if (at % (1u << order))
		return false;
	for (i = at; i < at + (1u << order); i++)
		if (!(bits >> i & 1))
			return false;
	return true;
}

static void check_folds(uint64_t bits)
{
	unsigned order, at, around;

	for (order = 0; order <= 6; order++)
		for (at = 0; at < 64; at++) {
			bool here = aligned_ones(bits, at, order);

			around = at & ~((2u << order) - 1);
			CHECK_EQ(bits_fold(bits, order) >> at & 1, here);
			CHECK_EQ(bits_exact(bits, order) >> at & 1,
				 here && (order == 6 ||
					  !aligned_ones(bits, around,
							order + 1)));
		}
}

/* Masks of a block: which chunks begin a run of so many. */
static void folds(void)
{
	unsigned round;

	for (round = 0; round < ROUNDS && !tap.broken; round++)
		check_folds(random_bits((int)(round % 9) - 4));
	check_folds(0);
	check_folds(~(uint64_t)0);
	CHECK_EQ(bits_fold_once(6, 0), 6);
}

static void bits(void)
{
	unsigned i;

	for (i = 0; i < 64; i++) {
		CHECK_EQ(bits_first((uint64_t)1 << i), i);
		CHECK_EQ(bits_first(~(uint64_t)0 << i), i);
		CHECK(bits_low(i) == ((uint64_t)1 << i) - 1);
		CHECK_EQ(bits_count(bits_low(i)), i);
	}
	CHECK(bits_low(64) == ~(uint64_t)0);
	CHECK_EQ(bits_count(~(uint64_t)0), 64);
	CHECK_EQ(bits_count(0), 0);
}

int main(void)
{
	tap_run("first, count and low bits", bits);
	tap_run("aligned groups of a mask", folds);
	tap_run("one group of every order at every place", single_groups);
	tap_run("largest, tightest and surrounding run", searches);
	tap_run("ranges are tested, set and cleared", ranges);
	return tap_done();
}
