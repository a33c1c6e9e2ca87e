/* SPDX-License-Identifier: MIT */
/*
 * Arguments and states at the edge of what is allowed: orders no run can
 * have, blocks another owner must keep, watermarks at the end of 64 bits.
 */
#include "tests/unit/machine.h"

#define MOST	4096

static cf_pfn frame[MOST];

static void copies_of_no_order(void)
{
	unsigned order;

	if (!CHECK(machine_make((struct machine_config){ 0 })))
		return;
	/* 64 + n must not pass for n. */
	for (order = CF_MAX_ORDER + 1; order <= 200; order++)
		if (!CHECK_EQ(cf_copy_run(m.map, 0, 1, order), -CF_EINVAL))
			break;
	/* The largest order is one; there are no such contents here. */
	CHECK_EQ(cf_copy_run(m.map, 0, 1, CF_MAX_ORDER), -CF_EPORT);
	CHECK_EQ(cf_copy_run(m.map, 0, 1, 0), 0);
	CHECK(machine_end());
}

/* Nobody else could restore the frames when the block comes online again. */
static void adopt_from_the_living(void)
{
	struct machine_config config = { .blocks = 2 };
	struct keeper keeper, heir;

	if (!CHECK(machine_make(config)) ||
	    !CHECK(keeper_add(&keeper, "keeper", 0)) ||
	    !CHECK(keeper_add(&heir, "heir", 0)))
		return;
	CHECK_EQ(cf_block_adopt(m.map, m.block, m.last, keeper.id), 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, m.block,
					m.block + 512, CF_FLAG_SKIPPABLE,
					NULL), 0);
	FAILS(CF_EREFUSED, cf_block_adopt(m.map, 0, m.last, heir.id));
	FAILS(CF_EREFUSED, cf_block_adopt(m.map, m.block, m.last,
					  CF_OWNER_NONE));
	CHECK_EQ(block_info(0).range_owner, CF_OWNER_NONE);
	CHECK_EQ(block_info(m.block).range_owner, keeper.id);
	/* Its own owner may; and anybody once nothing is SKIPPABLE. */
	CHECK_EQ(cf_block_adopt(m.map, m.block, m.last, keeper.id), 0);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, m.block,
					  m.block + 512, false), 0);
	CHECK_EQ(cf_block_adopt(m.map, 0, m.last, heir.id), 0);
	CHECK_EQ(cf_block_adopt(m.map, 0, m.last, CF_OWNER_NONE), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, m.block,
				       m.block + 512), 0);
	CHECK(keeper_remove(&heir));
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static int set_marks(uint64_t min, uint64_t low, uint64_t high)
{
	return cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL,
				      (struct cf_watermarks){ min, low, high });
}

/* Also where only refills of caches see that there is enough again. */
static void low_again_with_caches(void)
{
	struct machine_config config = { .blocks = 4 };
	unsigned round;
	size_t count;

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(set_marks(100, 500, 1000), 0);
	for (round = 1; round <= 4; round++) {
		count = fill(kernel(0), frame, MOST);
		CHECK_EQ(count, MOST - 100);
		CHECK_EQ(m.signals[CF_SIGNAL_LOW], round);
		put_all(frame, count);
		CHECK_EQ(cf_drain(m.map), 0);
	}
	CHECK(machine_end());
}

static void highest_marks(void)
{
	struct machine_config config = { .blocks = 4 };
	uint64_t mark;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	for (mark = UINT64_MAX; mark > UINT64_MAX - 1024; mark -= 31) {
		CHECK_EQ(set_marks(mark, mark, mark), 0);
		FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(0), frame));
		CHECK_EQ(set_marks(1, mark, UINT64_MAX), 0);
		pfn = alloc(kernel(0));
		cf_put(m.map, pfn);
		CHECK_EQ(cf_drain(m.map), 0);
	}
	CHECK_EQ(set_marks(0, 0, 0), 0);
	CHECK_EQ(fill(kernel(0), frame, MOST), MOST);
	put_all(frame, MOST);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("copying a run of no order is refused", copies_of_no_order);
	tap_run("a block with SKIPPABLE frames stays with its living owner",
		adopt_from_the_living);
	tap_run("falling low is signalled again when caches do the refilling",
		low_again_with_caches);
	tap_run("watermarks up to 2^64 - 1 keep what they say", highest_marks);
	return tap_done();
}
