/* SPDX-License-Identifier: MIT */
/*
 * Watermarks: who may go below, and who is told.
 * One zone filled and emptied around its marks.
 */
#include "tests/unit/machine.h"

#define MOST	2048

static cf_pfn frame[MOST];

static int set_marks(uint64_t min, uint64_t low, uint64_t high)
{
	struct cf_watermarks marks = { min, low, high };

	return cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, marks);
}

static bool begin(bool no_caches)
{
	struct machine_config config = { .blocks = 2, .no_caches = no_caches };

	return CHECK(machine_make(config));
}

/* Below min only RESERVE succeeds, for every order. */
static void reserve(void)
{
	unsigned order;
	size_t count;
	cf_pfn pfn;

	if (!begin(true))
		return;
	CHECK_EQ(set_marks(600, 600, 600), 0);
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 2048 - 600);
	for (order = 0; order <= CF_MAX_ORDER; order++)
		FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(order), &pfn));
	for (order = 0; order <= CF_CHUNK_ORDER; order++)
		cf_put(m.map, alloc(with_flags(kernel(order),
					       CF_ALLOC_RESERVE)));
	count += fill(with_flags(kernel(0), CF_ALLOC_RESERVE), frame + count,
		      MOST - count);
	CHECK_EQ(count, 2048);
	put_all(frame, count);
	/* A request that fits exactly leaves min. */
	CHECK_EQ(set_marks(1024, 1024, 1024), 0);
	pfn = alloc(kernel(10));
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(0), frame));
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

/* Nor are runs taken ahead from what the marks keep. */
static void runs_with_caches(void)
{
	unsigned order;
	cf_pfn pfn;

	for (order = 1; order <= CF_CHUNK_ORDER; order++) {
		uint64_t frames = (uint64_t)1 << order;
		uint64_t min = 2048 - 2 * frames;

		if (!begin(false))
			return;
		CHECK_EQ(set_marks(min, min + frames, 2048), 0);
		pfn = alloc(kernel(order));
		CHECK(stat_now().free >= min);
		CHECK_EQ(m.signals[CF_SIGNAL_LOW], 0);
		CHECK_EQ(cf_alloc(m.map, kernel(order), frame), 0);
		CHECK_EQ(m.signals[CF_SIGNAL_LOW], 1);
		CHECK_EQ(stat_now().free, min);
		FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(order), frame + 1));
		cf_put(m.map, pfn);
		cf_put(m.map, frame[0]);
		CHECK(machine_end());
	}
}

/* Stock counts for nobody: refills stop where requests do. */
static void reserve_with_caches(void)
{
	size_t count;

	if (!begin(false))
		return;
	CHECK_EQ(set_marks(600, 700, 800), 0);
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 2048 - 600);
	CHECK_EQ(unused_frames(), 600);
	count += fill(with_flags(kernel(0), CF_ALLOC_RESERVE), frame + count,
		      MOST - count);
	CHECK_EQ(count, 2048);
	put_all(frame, count);
	CHECK(machine_end());
}

static unsigned told(void)
{
	return m.signals[CF_SIGNAL_LOW];
}

/* Once when it falls below low, then not until high is reached again. */
static void signals_once(void)
{
	size_t count;

	if (!begin(true))
		return;
	CHECK_EQ(set_marks(0, 100, 200), 0);
	count = fill(kernel(0), frame, 2048 - 100);
	CHECK_EQ(told(), 0);
	count += fill(kernel(0), frame + count, 1);
	CHECK_EQ(told(), 1);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_LOW], 0);
	count += fill(kernel(0), frame + count, 50);
	CHECK_EQ(told(), 1);
	/* Above low, below high, and down again: the same trouble. */
	put_all(frame + count - 100, 100);
	count -= 100;
	count += fill(kernel(0), frame + count, 100);
	CHECK_EQ(told(), 1);
	/* Up to high: trouble is over, the next fall is news. */
	put_all(frame + count - 151, 151);
	count -= 151;
	CHECK_EQ(unused_frames(), 200);
	count += fill(kernel(0), frame + count, 101);
	CHECK_EQ(told(), 2);
	put_all(frame, count);
	CHECK(machine_end());
}

/* From above high to below low in one step. */
static void signals_large(void)
{
	cf_pfn a, b;

	if (!begin(true))
		return;
	CHECK_EQ(set_marks(0, 1025, 1500), 0);
	a = alloc(kernel(10));
	CHECK_EQ(told(), 1);
	b = alloc(kernel(0));
	CHECK_EQ(told(), 1);
	cf_put(m.map, b);
	cf_put(m.map, a);
	CHECK_EQ(unused_frames(), 2048);
	a = alloc(kernel(10));
	CHECK_EQ(told(), 2);
	cf_put(m.map, a);
	CHECK(machine_end());
}

/* Blocks that come and go are counted; marks show in the zone's numbers. */
static void blocks_come_and_go(void)
{
	struct cf_zone_stat stat;
	cf_pfn pfn;

	if (!begin(true))
		return;
	CHECK_EQ(set_marks(1, 2, 3), 0);
	CHECK_EQ(cf_zone_stat(m.map, 0, CF_ZONE_NORMAL, &stat), 0);
	CHECK_EQ(stat.marks.min, 1);
	CHECK_EQ(stat.marks.low, 2);
	CHECK_EQ(stat.marks.high, 3);
	CHECK_EQ(set_marks(1000, 1000, 1000), 0);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 4, NULL), 0);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(5), &pfn));
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	pfn = alloc(kernel(5));
	cf_put(m.map, pfn);
	/* All zero: none. */
	CHECK_EQ(set_marks(0, 0, 0), 0);
	CHECK_EQ(fill(kernel(0), frame, MOST), 2048);
	put_all(frame, 2048);
	CHECK(machine_end());
}

/* A request for more than there is falls below low, too. */
static void more_than_there_is(void)
{
	cf_pfn pfn;

	if (!begin(true))
		return;
	CHECK_EQ(set_marks(0, 512, 512), 0);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(12), &pfn));
	CHECK_EQ(told(), 1);
	CHECK(machine_end());
}

/* A min of 0 holds nothing back. */
static void the_last_frame(void)
{
	size_t count;

	if (!begin(true))
		return;
	CHECK_EQ(set_marks(0, 1, 2), 0);
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 2048);
	put_all(frame, count);
	CHECK(machine_end());
}

/* Another zone's marks are another's. */
static void zones_are_apart(void)
{
	struct machine_config config = { .blocks = 1, .movable = 1 };
	struct cf_watermarks marks = { 1024, 1024, 1024 };
	struct keeper keeper = { 0 };
	struct cf_request request;
	size_t count;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	request = in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE);
	CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, marks), 0);
	count = fill(request, frame, MOST);
	CHECK_EQ(count, 1024);
	CHECK_EQ(frame[0] / 1024, 1);
	put_all(frame, count);
	/* Both at their marks: nobody falls back either. */
	CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_MOVABLE, marks), 0);
	CHECK(cf_drain(m.map) == 0);
	FAILS(CF_ENOMEM, cf_alloc(m.map, request, &frame[0]));
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void refuses(void)
{
	struct cf_watermarks marks = { 1, 2, 3 };

	if (!begin(true))
		return;
	FAILS(CF_EINVAL, set_marks(2, 1, 3));
	FAILS(CF_EINVAL, set_marks(1, 3, 2));
	FAILS(CF_EINVAL, cf_zone_set_watermarks(m.map, 1, CF_ZONE_NORMAL,
						marks));
	FAILS(CF_EINVAL, cf_zone_set_watermarks(m.map, 0, CF_ZONE_DEVICE,
						marks));
	FAILS(CF_EINVAL, cf_zone_set_watermarks(m.map, 0, CF_ZONE_COUNT,
						marks));
	CHECK(machine_end());
}

int main(void)
{
	tap_run("runs are not taken ahead below the marks", runs_with_caches);
	tap_run("below min only RESERVE succeeds", reserve);
	tap_run("the same with caches", reserve_with_caches);
	tap_run("a fall below low is told once", signals_once);
	tap_run("one large request falls from high to low", signals_large);
	tap_run("so does a request for more than there is",
		more_than_there_is);
	tap_run("min 0 holds nothing back", the_last_frame);
	tap_run("blocks come and go", blocks_come_and_go);
	tap_run("zones have their own marks", zones_are_apart);
	tap_run("wrong marks are refused", refuses);
	return tap_done();
}
