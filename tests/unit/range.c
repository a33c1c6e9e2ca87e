/* SPDX-License-Identifier: MIT */
/*
 * Exactly these frames: what runs a range is made of, who is moved for it,
 * who is refused.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

static bool begin(struct keeper *keeper)
{
	struct machine_config config = { .blocks = 3, .movable = 1,
					 .absent = 2 };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", HOOKS_ALL));
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

static int take(cf_pfn first, cf_pfn last, struct cf_request request,
		struct cf_report *report)
{
	return cf_alloc_range(m.map, first, last, request, report);
}

/* Largest order of an aligned run that begins at @at and ends by @last. */
static unsigned fits(cf_pfn at, cf_pfn last)
{
	unsigned order = 0;

	while (order < CF_MAX_ORDER && at % ((cf_pfn)2 << order) == 0 &&
	       at + ((cf_pfn)2 << order) <= last)
		order++;
	return order;
}

/* Naturally aligned runs, the largest that fit. */
static void made_of(void)
{
	static const cf_pfn edge[] = { 0, 1, 6, 64, 511, 512, 513, 1000, 1024,
				       1537, 2048, 3000, 3072 };
	struct keeper keeper = { 0 };
	unsigned i, j;
	cf_pfn at;

	if (!begin(&keeper))
		return;
	for (i = 0; i < 13; i++)
		for (j = i + 1; j < 13; j++) {
			CHECK_EQ(take(edge[i], edge[j], kernel(7), NULL), 0);
			CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL],
				 edge[j] - edge[i]);
			for (at = edge[i]; at < edge[j];) {
				struct cf_snapshot run = snapshot(at);

				if (!CHECK_EQ(run.order, fits(at, edge[j])))
					break;
				CHECK_EQ(run.refs, 1);
				CHECK_EQ(run.type, CF_TYPE_KERNEL);
				at += (cf_pfn)1 << run.order;
			}
			cf_free_range(m.map, edge[i], edge[j]);
			CHECK_EQ(unused_frames(), 4096);
		}
	finish(&keeper);
}

/* No run stands in two zones. */
static void two_zones(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper))
		return;
	CHECK_EQ(take(0, 4096, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(snapshot(0).order, 11);
	CHECK_EQ(snapshot(2048).order, 10);
	CHECK_EQ(snapshot(3072).order, 10);
	cf_free_range(m.map, 0, 4096);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 3);
	finish(&keeper);
}

static void frozen_and_zeroed(void)
{
	struct cf_request request = { .type = CF_TYPE_PGTABLE,
				      .flags = CF_ALLOC_ZERO };
	struct keeper keeper = { 0 };
	const unsigned char *contents;

	if (!begin(&keeper))
		return;
	memset(m.memory.base, 0xa5, m.last * CF_FRAME_BYTES);
	CHECK_EQ(take(500, 1100, request, NULL), 0);
	CHECK_EQ(snapshot(512).refs, 0);
	CHECK_EQ(snapshot(512).type, CF_TYPE_PGTABLE);
	contents = m.memory.base + 500 * CF_FRAME_BYTES;
	CHECK(contents[0] == 0 &&
	      memcmp(contents, contents + 1, 600 * CF_FRAME_BYTES - 1) == 0);
	CHECK(contents[-1] == 0xa5 && contents[600 * CF_FRAME_BYTES] == 0xa5);
	cf_free_range(m.map, 500, 1100);
	/* Who does not ask for zeroes finds what was there. */
	CHECK_EQ(take(2000, 2016, kernel(0), NULL), 0);
	CHECK(m.memory.base[2000 * CF_FRAME_BYTES] == 0xa5);
	cf_free_range(m.map, 2000, 2016);
	/* No more contents are asked for than there are. */
	CHECK_EQ(take(3000, 3016, request, NULL), 0);
	CHECK(m.memory.base[3016 * CF_FRAME_BYTES - 1] == 0);
	CHECK(m.memory.base[3016 * CF_FRAME_BYTES] == 0xa5);
	cf_free_range(m.map, 3000, 3016);
	CHECK_EQ(take(0, 64, with_flags(kernel(0), CF_ALLOC_FROZEN), NULL), 0);
	CHECK_EQ(snapshot(0).refs, 0);
	CHECK_EQ(snapshot(0).order, 6);
	cf_free_frozen(m.map, 0, 6);
	finish(&keeper);
}

/* The chunks around are isolated while others move out. */
static void look_around(struct keeper *keeper, enum hook hook, cf_pfn pfn,
			unsigned order)
{
	cf_pfn other;

	(void)order;
	if (hook != HOOK_MIGRATE)
		return;
	keeper->mark++;
	CHECK_EQ(block_info(pfn).chunks_isolated, 1);
	/* A hole there fits best, and is not given. */
	CHECK_EQ(cf_alloc(m.map, kernel(0), &other), 0);
	CHECK(other / CF_CHUNK_FRAMES != pfn / CF_CHUNK_FRAMES);
	cf_put(m.map, other);
}

/* What can be moved makes room; what stood around it stays. */
static void moves_for_it(void)
{
	struct keeper keeper = { .then = look_around };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(take(1000, 1004, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(take(1020, 1021, kernel(0), NULL), 0);
	CHECK_EQ(take(992, 1020, kernel(0), &report), 0);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
	CHECK(keeper.target < 992 || keeper.target >= 1024);
	CHECK_EQ(keeper.mark, 1);
	CHECK_EQ(snapshot(1020).refs, 1);
	CHECK_EQ(block_info(0).chunks_isolated, 0);
	CHECK_EQ(snapshot(992).order, 4);
	cf_free_range(m.map, 992, 1021);
	/* At the end of all there is. */
	CHECK_EQ(take(4095, 4096, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(take(4088, 4096, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(keeper.pfn[HOOK_MIGRATE], 4095);
	cf_put(m.map, 4088);
	/* A run that sticks out of the range goes as a whole. */
	CHECK_EQ(take(1536, 2048, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(take(1700, 1701, kernel(0), &report), 0);
	CHECK_EQ(keeper.pfn[HOOK_MIGRATE], 1536);
	cf_put(m.map, 1700);
	CHECK_EQ(snapshot(keeper.target).order, 9);
	cf_put(m.map, keeper.target);
	/* What moved before. */
	for (cf_pfn at = 0; at < 4096; at++)
		if (is_head(at))
			cf_put(m.map, at);
	finish(&keeper);
}

static void refuses(void)
{
	struct keeper keeper = { 0 };
	struct cf_block_config block = { .meta = CF_META_PORT };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_add(m.map, 4096, 5120, &block), 0);
#define TAKE(first, last, request)					\
	cf_alloc_range(m.map, (first), (last), (request), &report)
	FAILS(CF_EINVAL, TAKE(5, 5, kernel(0)));
	FAILS(CF_EINVAL, TAKE(6, 5, kernel(0)));
	FAILS(CF_EINVAL, TAKE(0, m.last + 1, kernel(0)));
	FAILS(CF_EINVAL, TAKE(0, 1, ((struct cf_request){
					.type = CF_TYPE_OFFLINE })));
	FAILS(CF_EINVAL, TAKE(3071, 3073, kernel(0)));	/* MOVABLE */
	FAILS(CF_EINVAL, TAKE(3071, 3073, folio(0, 0)));
	FAILS(CF_EGONE, TAKE(4000, 4097, folio(0, keeper.id)));
	CHECK_EQ(report.reason, CF_REASON_STATE);
	FAILS(CF_EGONE, TAKE(4096, 4097, kernel(0)));	/* offline */
	FAILS(CF_EGONE, TAKE(5120, 5121, kernel(0)));	/* absent */
	CHECK_EQ(report.reason, CF_REASON_HOLE);
	CHECK_EQ(report.frames[CF_REASON_HOLE], m.block);
	FAILS(CF_EGONE, TAKE(0, 1, folio(0, keeper.id + 1)));
	FAILS(CF_EGONE, TAKE(3072, 3073, folio(0, keeper.id + 1)));
	finish(&keeper);
}

/* A block that was MOVABLE once is nothing now. */
static void stale_zone(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_offline(m.map, 3072, 4096, 2, NULL), 0);
	FAILS(CF_EGONE, TAKE(3072, 3073, kernel(0)));
	finish(&keeper);
}

/* Each of several things in the way, one frame at a time. */
static void busy(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	cf_pfn at;

	if (!begin(&keeper))
		return;
	for (at = 1000; at < 1050; at += 7) {
		CHECK_EQ(take(at, at + 1, kernel(0), NULL), 0);
		FAILS(CF_EBUSY, TAKE(1000, 1050, kernel(0)));
		CHECK_EQ(report.reason, CF_REASON_UNMOVABLE);
		CHECK_EQ(report.pfn, at);
		CHECK_EQ(report.frames[CF_REASON_UNMOVABLE], 1);
		cf_put(m.map, at);
	}
	/* Skippable helps offlining only: the range is wanted itself. */
	CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, keeper.id), 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1100, 1200,
					CF_FLAG_SKIPPABLE, NULL), 0);
	FAILS(CF_EBUSY, TAKE(1100, 1101, kernel(0)));
	CHECK_EQ(report.reason, CF_REASON_OFFLINE);
	CHECK_EQ(report.type, CF_TYPE_OFFLINE);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1100, 1200), 0);
	CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, 0), 0);
	finish(&keeper);
}

/* Moved runs stay moved when something else is in the way. */
static void partly_moved(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(take(1024, 1025, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(take(1040, 1041, kernel(0), NULL), 0);
	FAILS_PARTLY(CF_EBUSY, TAKE(1024, 1048, kernel(0)));
	CHECK_EQ(report.pfn, 1040);
	CHECK(!is_head(1024));
	CHECK_EQ(snapshot(keeper.target).owner, keeper.id);
	CHECK_EQ(block_info(1024).chunks_isolated, 0);
	CHECK(machine_verify());
	cf_put(m.map, keeper.target);
	cf_put(m.map, 1040);
	finish(&keeper);
}

static void in_motion(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	struct cfi_block *block;
	unsigned long state;

	if (!begin(&keeper))
		return;
	/* A frame in a cache that cannot be emptied. */
	cf_put(m.map, alloc(kernel(0)));
	cfi_store_relaxed(&m.map->cpu[0].busy, 1);
	FAILS(CF_EAGAIN, TAKE(0, 512, kernel(0)));
	CHECK(report.frames[CF_REASON_CACHE] > 0);
	cfi_store_relaxed(&m.map->cpu[0].busy, 0);
	/* A frame between two states. */
	block = cfi_block_of(m.map, 1024);
	state = cfi_block_lock(block);
	CHECK(cfi_take_exact(m.map, block, 1030, 1031));
	cfi_block_unlock(block, state);
	FAILS_PARTLY(CF_EAGAIN, TAKE(1024, 1048, kernel(0)));
	CHECK_EQ(report.reason, CF_REASON_TRANSIT);
	CHECK_EQ(report.pfn, 1030);
	CHECK_EQ(report.frames[CF_REASON_TRANSIT], 1);
	CHECK_EQ(block_info(1024).chunks_isolated, 0);
	cfi_give_range(m.map, 1030, 1031);
	finish(&keeper);
}

static void zero_needs_contents(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, 1);
	FAILS(CF_EPORT, TAKE(100, 2000, with_flags(folio(0, keeper.id),
						   CF_ALLOC_ZERO)));
	cf_host_fault_disarm(&m.memory);
	CHECK_EQ(report.reason, CF_REASON_PORT);
	finish(&keeper);
}
#undef TAKE

/* Freeing drops one reference of each counted run, frees frozen ones. */
static void frees(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper))
		return;
	CHECK_EQ(take(1024, 1028, kernel(0), NULL), 0);
	CHECK_EQ(take(1028, 1032, with_flags(kernel(0), CF_ALLOC_FROZEN),
		      NULL), 0);
	CHECK_EQ(cf_get(m.map, 1024), 0);
	cf_free_range(m.map, 1024, 1032);
	CHECK_EQ(snapshot(1024).refs, 1);
	CHECK(!is_head(1028));
	cf_free_range(m.map, 1024, 1028);
	CHECK(!is_head(1024));
	cf_free_range(m.map, 1024, 1024);
	finish(&keeper);
}

int main(void)
{
	tap_run("the largest aligned runs", made_of);
	tap_run("no run stands in two zones", two_zones);
	tap_run("frozen and zeroed", frozen_and_zeroed);
	tap_run("others move for it", moves_for_it);
	tap_run("wrong calls, absent and offline blocks", refuses);
	tap_run("a block that was MOVABLE once", stale_zone);
	tap_run("one frame in the way", busy);
	tap_run("what has moved stays moved", partly_moved);
	tap_run("frames in motion", in_motion);
	tap_run("ZERO without contents", zero_needs_contents);
	tap_run("freeing a range", frees);
	return tap_done();
}
