/* SPDX-License-Identifier: MIT */
/*
 * Logically offline frames: taking, giving, exposing, moving, marking.
 * Owners whose blocks come online unexposed, and balloons.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST	64

static cf_pfn frame[MOST];

static bool begin(struct keeper *keeper, unsigned hooks)
{
	struct machine_config config = { .blocks = 3, .movable = 1,
					 .absent = 2 };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", hooks));
}

/* Block 4 is of the owner's range, and nothing of it is exposed. */
static bool begin_range(struct keeper *keeper, unsigned hooks)
{
	return begin(keeper, hooks | 1u << HOOK_ONLINE) &&
	       CHECK(add_online(4096, 5120, CF_ZONE_NORMAL, keeper->id));
}

static void finish(struct keeper *keeper)
{
	if (block_info(4096).state == CF_BLOCK_ONLINE)
		CHECK_EQ(cf_block_adopt(m.map, 4096, 5120, 0), 0);
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

static uint64_t frames_of(uint32_t id)
{
	struct cf_owner_info info = { .frames = 0 };

	CHECK_EQ(cf_owner_info(m.map, id, &info), 0);
	return info.frames;
}

static void one_of_every_order(void)
{
	struct keeper keeper = { 0 };
	unsigned order;
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	for (order = 0; order <= 10; order++) {
		uint64_t count = (uint64_t)1 << order;
		struct cf_stat stat;

		CHECK_EQ(cf_offline_alloc(m.map, keeper.id, order, 0, &pfn), 0);
		CHECK_EQ(pfn % count, 0);
		CHECK_EQ(snapshot(pfn).type, CF_TYPE_OFFLINE);
		CHECK_EQ(snapshot(pfn).flags, 0);
		CHECK_EQ(snapshot(pfn).owner, keeper.id);
		stat = stat_now();
		CHECK_EQ(stat.offline, count);
		CHECK_EQ(stat.managed, 4096 - count);
		CHECK_EQ(stat.never_onlined, 0);
		CHECK_EQ(frames_of(keeper.id), count);
		CHECK_EQ(m.returned, 0);
		m.exposed = 0;
		CHECK_EQ(cf_offline_free(m.map, keeper.id, pfn, order), 0);
		CHECK_EQ(m.exposed, 0);
		CHECK_EQ(m.returned, count);
		m.returned = 0;
		CHECK_EQ(stat_now().managed, 4096);
		CHECK_EQ(frames_of(keeper.id), 0);
		CHECK(cf_find_head(m.map, pfn) == CF_PFN_NONE);
	}
	finish(&keeper);
}

static void alloc_refuses(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn = 12345;

	if (!begin(&keeper, 0))
		return;
	FAILS(CF_EINVAL, cf_offline_alloc(m.map, keeper.id, 11, 0, &pfn));
	FAILS(CF_EINVAL, cf_offline_alloc(m.map, keeper.id, 0,
					  CF_FLAG_NEVER_ONLINED, &pfn));
	FAILS(CF_EINVAL, cf_offline_alloc(m.map, keeper.id, 0, 1u << 31, &pfn));
	FAILS(CF_EGONE, cf_offline_alloc(m.map, keeper.id + 1, 0, 0, &pfn));
	FAILS(CF_EGONE, cf_offline_alloc(m.map, CF_OWNER_ORPHAN, 0, 0, &pfn));
	FAILS(CF_EGONE, cf_offline_alloc(m.map, CF_OWNERS_MAX, 0, 0, &pfn));
	FAILS(CF_EGONE, cf_offline_alloc(m.map, UINT32_MAX, 0, 0, &pfn));
	FAILS(CF_EREFUSED, cf_offline_alloc(m.map, keeper.id, 0,
					    CF_FLAG_MOVABLE, &pfn));
	FAILS(CF_EREFUSED, cf_offline_alloc(m.map, 0, 0, CF_FLAG_MOVABLE,
					    &pfn));
	FAILS(CF_EREFUSED, cf_offline_alloc(m.map, keeper.id, 0,
					    CF_FLAG_SKIPPABLE, &pfn));
	FAILS(CF_EREFUSED, cf_offline_alloc(m.map, 0, 0, CF_FLAG_SKIPPABLE,
					    &pfn));
	CHECK_EQ(pfn, 12345);
	finish(&keeper);
}

/* Without a flag never from MOVABLE; with one as well. */
static void zones(void)
{
	struct keeper keeper = { 0 };
	size_t done, i;
	cf_pfn pfn;

	if (!begin(&keeper, 1u << HOOK_MIGRATE))
		return;
	CHECK_EQ(cf_offline_alloc_bulk(m.map, keeper.id, 10, 0, 4, frame,
				       &done), -CF_ENOMEM);
	CHECK_EQ(done, 3);
	FAILS(CF_ENOMEM, cf_offline_alloc(m.map, keeper.id, 0, 0, &pfn));
	CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 10, CF_FLAG_MOVABLE, &pfn),
		 0);
	CHECK_EQ(pfn, 3072);
	CHECK_EQ(snapshot(pfn).flags, CF_FLAG_MOVABLE);
	FAILS(CF_ENOMEM, cf_offline_alloc(m.map, keeper.id, 0, CF_FLAG_MOVABLE,
					  frame + 3));
	CHECK_EQ(cf_offline_free(m.map, keeper.id, pfn, 10), 0);
	for (i = 0; i < done; i++)
		CHECK_EQ(cf_offline_free(m.map, keeper.id, frame[i], 10), 0);
	finish(&keeper);
}

static void bulk(void)
{
	struct keeper keeper = { 0 };
	size_t done = 99;
	size_t i;

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_offline_alloc_bulk(m.map, keeper.id, 2, 0, MOST, frame,
				       &done), 0);
	CHECK_EQ(done, MOST);
	for (i = 0; i < done; i++) {
		CHECK_EQ(snapshot(frame[i]).order, 2);
		CHECK_EQ(cf_offline_free(m.map, keeper.id, frame[i], 2), 0);
	}
	CHECK_EQ(cf_offline_alloc_bulk(m.map, keeper.id, 2, 0, 0, frame,
				       &done), 0);
	CHECK_EQ(done, 0);
	done = 99;
	FAILS(CF_EINVAL, cf_offline_alloc_bulk(m.map, keeper.id, 11, 0, 1,
					       frame, &done));
	CHECK_EQ(done, 0);
	FAILS(CF_EGONE, cf_offline_alloc_bulk(m.map, keeper.id + 1, 0, 0, 1,
					      frame, &done));
	FAILS(CF_EREFUSED, cf_offline_alloc_bulk(m.map, keeper.id, 0,
						 CF_FLAG_MOVABLE, 1, frame,
						 &done));
	CHECK_EQ(cf_offline_alloc_bulk(m.map, keeper.id, 10, 0, 3, frame,
				       &done), 0);
	FAILS(CF_ENOMEM, cf_offline_alloc_bulk(m.map, keeper.id, 0, 0, 1,
					       frame + 3, &done));
	for (i = 0; i < 3; i++)
		CHECK_EQ(cf_offline_free(m.map, keeper.id, frame[i], 10), 0);
	finish(&keeper);
}

/* Frames in other contexts' stock are found, too. */
static void stock_is_found(void)
{
	struct keeper keeper = { 0 };
	size_t done;

	if (!begin(&keeper, 0))
		return;
	cf_put(m.map, alloc(kernel(0)));
	CHECK(stat_now().cached > 0);
	CHECK_EQ(cf_offline_alloc_bulk(m.map, keeper.id, 10, 0, 3, frame,
				       &done), 0);
	while (done > 0)
		CHECK_EQ(cf_offline_free(m.map, keeper.id, frame[--done], 10),
			 0);
	finish(&keeper);
}

/* Any range, any alignment, across blocks and zones. */
static void ranges(void)
{
	static const cf_pfn edge[] = { 0, 1, 63, 511, 512, 777, 1024, 1536,
				       2047, 3072, 3073, 4096 };
	struct keeper keeper = { 0 };
	unsigned i, j;

	if (!begin(&keeper, 1u << HOOK_MIGRATE))
		return;
	for (i = 0; i < 12; i++)
		for (j = i + 1; j < 12; j++) {
			uint64_t count = edge[j] - edge[i];

			CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id,
							edge[i], edge[j],
							CF_FLAG_MOVABLE, NULL),
				 0);
			CHECK_EQ(stat_now().offline, count);
			CHECK_EQ(unused_frames(), 4096 - count);
			CHECK_EQ(frames_of(keeper.id), count);
			m.returned = 0;
			CHECK_EQ(cf_offline_free_range(m.map, keeper.id,
						       edge[i], edge[j]), 0);
			CHECK_EQ(m.returned, count);
			CHECK_EQ(unused_frames(), 4096);
		}
	finish(&keeper);
}

static void range_refuses(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	uint32_t id;
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	id = keeper.id;
	memset(&report, 0xa5, sizeof(report));
	FAILS(CF_EINVAL, cf_offline_alloc_range(m.map, id, 5, 5, 0, &report));
	CHECK_EQ(report.reason, CF_REASON_NONE);
	CHECK(report.pfn == CF_PFN_NONE);
	FAILS(CF_EINVAL, cf_offline_alloc_range(m.map, id, 6, 5, 0, &report));
	FAILS(CF_EINVAL, cf_offline_alloc_range(m.map, id, 0, m.last + 1, 0,
						&report));
	FAILS(CF_EINVAL, cf_offline_alloc_range(m.map, id, 0, 1, CF_FLAG_BUSY,
						&report));
	FAILS(CF_EGONE, cf_offline_alloc_range(m.map, id + 1, 0, 1, 0,
					       &report));
	FAILS(CF_EGONE, cf_offline_alloc_range(m.map, id, 4000, 4097, 0,
					       &report));
	FAILS(CF_EREFUSED, cf_offline_alloc_range(m.map, id, 0, 1,
						  CF_FLAG_MOVABLE, &report));
	FAILS(CF_EREFUSED, cf_offline_alloc_range(m.map, id, 0, 1,
						  CF_FLAG_SKIPPABLE, &report));
	CHECK_EQ(cf_block_adopt(m.map, 3072, 4096, id), 0);
	FAILS(CF_EGONE, cf_offline_alloc_range(m.map, id, 4000, 4097,
					       CF_FLAG_SKIPPABLE, &report));
	FAILS(CF_EREFUSED, cf_offline_alloc_range(m.map, id, 3071, 3073,
						  CF_FLAG_SKIPPABLE, &report));
	CHECK_EQ(cf_block_adopt(m.map, 3072, 4096, 0), 0);
	pfn = alloc(kernel(0));
	FAILS(CF_EBUSY, cf_offline_alloc_range(m.map, id, 0, 3072, 0,
					       &report));
	CHECK_EQ(report.reason, CF_REASON_UNMOVABLE);
	CHECK_EQ(report.pfn, pfn);
	/* Not even what is offline already. */
	CHECK_EQ(cf_offline_alloc_range(m.map, id, 700, 800, 0, &report), 0);
	FAILS(CF_EBUSY, cf_offline_alloc_range(m.map, id, 799, 801, 0,
					       &report));
	CHECK_EQ(report.reason, CF_REASON_OFFLINE);
	CHECK_EQ(cf_offline_free_range(m.map, id, 700, 800), 0);
	cf_put(m.map, pfn);
	finish(&keeper);
}

/* A context that stays in its cache may hold the frames. */
static void range_needs_caches(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, 0))
		return;
	cf_put(m.map, alloc(kernel(0)));
	cfi_store_relaxed(&m.map->cpu[0].busy, 1);
	FAILS(CF_EAGAIN, cf_offline_alloc_range(m.map, keeper.id, 0, 512, 0,
						&report));
	cfi_store_relaxed(&m.map->cpu[0].busy, 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 0, 512, 0, &report),
		 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 0, 512), 0);
	finish(&keeper);
}

/* The first exposure and later returns go through different doors. */
static void first_exposure(void)
{
	struct keeper keeper = { 0 };
	struct cf_stat stat;
	cf_pfn at;

	if (!begin_range(&keeper, 0))
		return;
	CHECK_EQ(keeper.calls[HOOK_ONLINE], 1);
	CHECK_EQ(keeper.pfn[HOOK_ONLINE], 4096);
	CHECK_EQ(keeper.online_last, 5120);
	stat = stat_now();
	CHECK_EQ(stat.never_onlined, 1024);
	CHECK_EQ(stat.offline, 1024);
	CHECK_EQ(stat.managed, 4096);
	CHECK_EQ(stat.present, 5120);
	m.exposed = 0;
	/* One frame of a chunk: only that one is exposed. */
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 4100, 4101), 0);
	CHECK_EQ(m.exposed, 1);
	CHECK_EQ(m.returned, 0);
	CHECK_EQ(stat_now().managed, 4097);
	CHECK_EQ(stat_now().never_onlined, 1023);
	/* It comes back another day. */
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 4100, 4101, 0, NULL),
		 0);
	CHECK_EQ(snapshot(4100).flags, 0);
	CHECK_EQ(stat_now().managed, 4096);
	/* Both kinds in one call. */
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 4096, 5120), 0);
	CHECK_EQ(m.exposed, 1024);
	CHECK_EQ(m.returned, 1);
	CHECK_EQ(stat_now().never_onlined, 0);
	CHECK_EQ(stat_now().managed, 5120);
	for (at = 4096; at < 5120; at++)
		CHECK(!is_head(at));
	finish(&keeper);
}

static void free_refuses(void)
{
	struct keeper keeper = { 0 };
	struct keeper other = { 0 };
	uint32_t id;
	cf_pfn pfn;

	if (!begin_range(&keeper, 0) || !CHECK(keeper_add(&other, "other", 0)))
		return;
	id = keeper.id;
	FAILS(CF_EINVAL, cf_offline_free_range(m.map, id, 4096, 4096));
	FAILS(CF_EINVAL, cf_offline_free_range(m.map, id, 4097, 4096));
	FAILS(CF_EINVAL, cf_offline_free_range(m.map, id, 4096, m.last + 1));
	FAILS(CF_EINVAL, cf_offline_free(m.map, id, 4096, 64));
	FAILS(CF_EGONE, cf_offline_free_range(m.map, id, 4096, 5121));
	FAILS(CF_EGONE, cf_offline_free_range(m.map, id, 4096, m.last));
	FAILS(CF_EGONE, cf_offline_free(m.map, id, 5120, 0));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, other.id, 4096, 4097));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, 0, 4096, 4097));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, id + 2, 4096, 4097));
	FAILS(CF_EREFUSED, cf_offline_free(m.map, other.id, 4096, 9));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, id, 4095, 5120));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, id, 0, 1));
	pfn = alloc(kernel(3));
	FAILS(CF_EREFUSED, cf_offline_free(m.map, id, pfn, 3));
	FAILS(CF_EREFUSED, cf_offline_free(m.map, 0, pfn, 3));
	cf_put(m.map, pfn);
	/* Freed twice. */
	CHECK_EQ(cf_offline_free_range(m.map, id, 4200, 4300), 0);
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, id, 4200, 4300));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, id, 4096, 5120));
	CHECK_EQ(cf_offline_free_range(m.map, id, 4096, 4200), 0);
	CHECK_EQ(cf_offline_free_range(m.map, id, 4300, 5120), 0);
	CHECK(keeper_remove(&other));
	finish(&keeper);
}

/* The port fails in the middle: what is before stays exposed. */
static void exposure_fails(void)
{
	struct keeper keeper = { 0 };

	if (!begin_range(&keeper, 0))
		return;
	cf_host_fault_arm(&m.memory, CF_HOST_FIRST_EXPOSED, 1);
	FAILS_PARTLY(CF_EPORT, cf_offline_free_range(m.map, keeper.id, 4096,
						     4196));
	cf_host_fault_disarm(&m.memory);
	CHECK_EQ(stat_now().never_onlined, 1024);
	CHECK_EQ(stat_now().managed, 4096);
	CHECK(machine_verify());
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 4096, 4196), 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 4096, 4196, 0, NULL),
		 0);
	/* Returned frames first, then the never exposed fail. */
	cf_host_fault_arm(&m.memory, CF_HOST_FIRST_EXPOSED, 1);
	FAILS_PARTLY(CF_EPORT, cf_offline_free_range(m.map, keeper.id, 4096,
						     5120));
	cf_host_fault_disarm(&m.memory);
	CHECK_EQ(stat_now().managed, 4196);
	CHECK_EQ(stat_now().never_onlined, 1024 - 100);
	CHECK(!is_head(4096) && is_head(4196));
	CHECK(!has_flags(4196, CF_FLAG_BUSY));
	CHECK(machine_verify());
	cf_host_fault_arm(&m.memory, CF_HOST_RETURNED, 1);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 4196, 5120), 0);
	CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 5, 0, frame), 0);
	FAILS(CF_EPORT, cf_offline_free(m.map, keeper.id, frame[0], 5));
	cf_host_fault_disarm(&m.memory);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, frame[0], 5), 0);
	finish(&keeper);
}

static void skippable_in_two_blocks(void)
{
	struct keeper keeper = { 0 };

	if (!begin_range(&keeper, 0))
		return;
	/* The first block is the owner's, the one behind it nobody's. */
	CHECK_EQ(cf_block_adopt(m.map, 0, 1024, keeper.id), 0);
	FAILS(CF_EREFUSED,
	      cf_offline_alloc_range(m.map, keeper.id, 512, 1536,
				     CF_FLAG_SKIPPABLE, NULL));
	CHECK_EQ(cf_block_adopt(m.map, 0, 1024, 0), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 4096, 5120), 0);
	finish(&keeper);
}

static void skippable(void)
{
	struct keeper keeper = { 0 };
	struct keeper other = { 0 };
	uint32_t id;

	if (!begin_range(&keeper, 1u << HOOK_MIGRATE) ||
	    !CHECK(keeper_add(&other, "other", 0)))
		return;
	id = keeper.id;
	CHECK_EQ(cf_offline_set_skippable(m.map, id, 4100, 5000, true), 0);
	CHECK_EQ(stat_now().skippable, 900);
	CHECK_EQ(cf_offline_set_skippable(m.map, id, 4100, 5000, true), 0);
	CHECK_EQ(cf_offline_set_skippable(m.map, id, 4400, 4500, false), 0);
	CHECK_EQ(stat_now().skippable, 800);
	CHECK(has_flags(4100, CF_FLAG_SKIPPABLE | CF_FLAG_NEVER_ONLINED));
	CHECK(machine_verify());
	FAILS(CF_EINVAL, cf_offline_set_skippable(m.map, id, 4096, 4096, 1));
	FAILS(CF_EINVAL, cf_offline_set_skippable(m.map, id, 0, m.last + 1, 1));
	FAILS(CF_EGONE, cf_offline_set_skippable(m.map, id, 4096, 5121, true));
	FAILS(CF_EGONE, cf_offline_set_skippable(m.map, id, 4096, m.last, 1));
	FAILS(CF_EREFUSED, cf_offline_set_skippable(m.map, other.id, 4096,
						    4097, true));
	FAILS(CF_EREFUSED, cf_offline_set_skippable(m.map, 0, 4096, 4097, 1));
	/* Its own frames, but in a block of nobody's range. */
	CHECK_EQ(cf_offline_alloc_range(m.map, id, 100, 200, 0, NULL), 0);
	FAILS(CF_EREFUSED, cf_offline_set_skippable(m.map, id, 100, 200, 1));
	FAILS(CF_EREFUSED, cf_offline_set_skippable(m.map, id, 4095, 4097, 1));
	CHECK_EQ(cf_offline_free_range(m.map, id, 100, 200), 0);
	/* Exposed frames are not offline; taken back they may be again. */
	CHECK_EQ(cf_offline_free_range(m.map, id, 4096, 5120), 0);
	CHECK_EQ(stat_now().skippable, 0);
	FAILS(CF_EREFUSED, cf_offline_set_skippable(m.map, id, 4096, 4097, 1));
	CHECK_EQ(cf_offline_alloc_range(m.map, id, 4096, 5120,
					CF_FLAG_SKIPPABLE | CF_FLAG_MOVABLE,
					NULL), 0);
	CHECK_EQ(stat_now().skippable, 1024);
	CHECK_EQ(cf_offline_free_range(m.map, id, 4096, 5120), 0);
	CHECK(keeper_remove(&other));
	finish(&keeper);
}

/* The word of one run: payload, and only its owner's to write. */
static void payload(void)
{
	struct keeper keeper = { 0 };
	uint32_t id;
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	id = keeper.id;
	CHECK_EQ(cf_offline_alloc(m.map, id, 5, 0, &pfn), 0);
	CHECK_EQ(cf_offline_set_payload(m.map, id, pfn, 0xffffffff), 0);
	CHECK_EQ(snapshot(pfn).payload, 0xffffffff);
	CHECK_EQ(snapshot(pfn).owner, id);
	CHECK_EQ(snapshot(pfn).order, 5);
	CHECK_EQ(cf_offline_set_payload(m.map, id, pfn, 7), 0);
	CHECK_EQ(snapshot(pfn).payload, 7);
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, id, pfn + 1, 1));
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, 0, pfn, 1));
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, id + 1, pfn, 1));
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, id, m.last, 1));
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, id, CF_PFN_NONE, 1));
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, id, 4096, 1));
	CHECK_EQ(cf_offline_free(m.map, id, pfn, 5), 0);
	FAILS(CF_EGONE, cf_offline_set_payload(m.map, id, pfn, 1));
	finish(&keeper);
}

/* What the words of source and target say while the host is asked. */
static void look_at_offline(struct keeper *keeper, enum hook hook, cf_pfn pfn,
			    unsigned order)
{
	uint32_t id = keeper->id;

	if (hook == HOOK_MIGRATE) {
		struct cf_snapshot target = snapshot(keeper->target);

		CHECK_EQ(target.type, CF_TYPE_OFFLINE);
		CHECK_EQ(target.owner, id);
		CHECK_EQ(target.order, order);
		CHECK(target.flags & CF_FLAG_MOVABLE);
		/* The source has not gone back yet. */
		CHECK_EQ(m.returned, 0);
	}
	CHECK(has_flags(pfn, CF_FLAG_BUSY | CF_FLAG_ISOLATED));
	CHECK_EQ(snapshot(pfn).owner, id);
	/* Busy means busy, also for its owner. */
	FAILS_PARTLY(CF_EAGAIN, cf_offline_set_payload(m.map, id, pfn, 9));
	FAILS_PARTLY(CF_EAGAIN, cf_offline_free(m.map, id, pfn, order));
	FAILS_PARTLY(CF_EAGAIN, cf_offline_free_range(m.map, id, pfn, pfn + 1));
	FAILS_PARTLY(CF_EAGAIN, cf_offline_set_skippable(m.map, id, pfn,
							 pfn + 1, true));
}

/* A balloon's page moves: the target first, then the source returns. */
static void migrates(void)
{
	struct keeper keeper = { .then = look_at_offline };
	struct cf_report report;
	unsigned order;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	/* So that the owner may try to mark its frames, too. */
	CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, keeper.id), 0);
	for (order = 0; order <= 10; order += 5) {
		cf_pfn last = 1024 + (1u << order);

		memset(keeper.calls, 0, sizeof(keeper.calls));
		m.returned = 0;
		CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, last,
						CF_FLAG_MOVABLE, NULL), 0);
		CHECK_EQ(cf_offline_set_payload(m.map, keeper.id, 1024, 77), 0);
		CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 3, &report), 0);
		CHECK_EQ(keeper.calls[HOOK_ISOLATE], 1);
		CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
		CHECK_EQ(keeper.calls[HOOK_PUTBACK], 0);
		CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
		CHECK_EQ(m.returned, 1u << order);
		CHECK_EQ(snapshot(keeper.target).flags, CF_FLAG_MOVABLE);
		CHECK_EQ(snapshot(keeper.target).payload, 77);
		CHECK_EQ(frames_of(keeper.id), 1u << order);
		CHECK_EQ(stat_now().offline, 1u << order);
		CHECK_EQ(cf_offline_free(m.map, keeper.id, keeper.target,
					 order), 0);
		keeper.then = NULL;
		CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, 0), 0);
		CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL,
					 NULL), 0);
		CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, keeper.id), 0);
		keeper.then = look_at_offline;
	}
	CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, 0), 0);
	finish(&keeper);
}

/* Moved frames are counted. */
static void migrated_frames(void)
{
	struct cf_offline operation = { { 0 } };
	struct cf_offline_status status;
	struct keeper keeper = { 0 };

	if (!begin(&keeper, HOOKS_ALL))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1028,
					CF_FLAG_MOVABLE, NULL), 0);
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 1024, 2048, NULL),
		 0);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	cf_block_offline_status(&operation, &status);
	CHECK_EQ(status.migrated, 4);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, keeper.target, 2), 0);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	finish(&keeper);
}

/* The answers a migrate hook has for offline runs. */
static void migrate_answers(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1028,
					CF_FLAG_MOVABLE, NULL), 0);
	keeper.answer[HOOK_ISOLATE] = 1;
	FAILS(CF_EBUSY, cf_block_offline(m.map, 1024, 2048, 2, &report));
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	CHECK_EQ(report.type, CF_TYPE_OFFLINE);
	CHECK_EQ(report.owner, keeper.id);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 0);
	CHECK_EQ(keeper.calls[HOOK_PUTBACK], 0);
	keeper.answer[HOOK_ISOLATE] = 0;
	keeper.answer[HOOK_MIGRATE] = -CF_EREFUSED;
	FAILS(CF_EBUSY, cf_block_offline(m.map, 1024, 2048, 2, &report));
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	CHECK_EQ(report.pfn, 1024);
	CHECK_EQ(report.order, 2);
	CHECK_EQ(report.frames[CF_REASON_OWNER], 4);
	CHECK(keeper.calls[HOOK_PUTBACK] > 0);
	CHECK_EQ(m.returned, 0);
	/* Given up, target not used: both are free. */
	keeper.answer[HOOK_MIGRATE] = -CF_EGONE;
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, &report), 0);
	CHECK_EQ(m.returned, 4);
	CHECK_EQ(stat_now().offline, 0);
	CHECK_EQ(frames_of(keeper.id), 0);
	CHECK_EQ(unused_frames(), 3072);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	finish(&keeper);
}

/* Nowhere to move it to: it stays, and its owner is told. */
static void migrate_without_room(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	size_t count = 0;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 0, 512,
					CF_FLAG_MOVABLE, NULL), 0);
	while (count < MOST &&
	       !cf_offline_alloc(m.map, keeper.id, 9, CF_FLAG_MOVABLE,
				 &frame[count]))
		count++;
	CHECK_EQ(count, 7);
	FAILS(CF_EBUSY, cf_block_offline(m.map, 0, 1024, 2, &report));
	CHECK_EQ(report.reason, CF_REASON_NO_TARGET);
	CHECK_EQ(report.pfn, 0);
	CHECK_EQ(report.order, 9);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 0);
	CHECK_EQ(keeper.calls[HOOK_PUTBACK], keeper.calls[HOOK_ISOLATE]);
	while (count > 0)
		CHECK_EQ(cf_offline_free(m.map, keeper.id, frame[--count], 9),
			 0);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, 0, 9), 0);
	finish(&keeper);
}

/* The host gave the source back, but it cannot be used: it stays offline. */
static void migrate_and_port_fails(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1028,
					CF_FLAG_MOVABLE, NULL), 0);
	cf_host_fault_arm(&m.memory, CF_HOST_RETURNED, 1);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 1, &report), -CF_EBUSY);
	cf_host_fault_disarm(&m.memory);
	CHECK_EQ(report.reason, CF_REASON_PORT);
	CHECK_EQ(report.pfn, 1024);
	CHECK_EQ(snapshot(1024).type, CF_TYPE_OFFLINE);
	CHECK_EQ(snapshot(1024).owner, CF_OWNER_ORPHAN);
	CHECK_EQ(snapshot(keeper.target).owner, keeper.id);
	CHECK_EQ(frames_of(keeper.id), 4);
	CHECK(machine_verify());
	CHECK_EQ(cf_offline_free(m.map, keeper.id, keeper.target, 2), 0);
	CHECK_EQ(cf_offline_adopt_range(m.map, keeper.id, 1024, 1028), 0);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, 1024, 2), 0);
	finish(&keeper);
}

/* What an owner left behind can be taken over, and given. */
static void adopts(void)
{
	struct keeper keeper = { 0 };
	struct keeper heir = { 0 };
	uint64_t orphans = 0;

	if (!begin_range(&keeper, 1u << HOOK_MIGRATE))
		return;
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 4096, 4500, true),
		 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 100, 200,
					CF_FLAG_MOVABLE, NULL), 0);
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, &orphans), 0);
	CHECK_EQ(orphans, 1124);
	CHECK(keeper_add(&heir, "heir", 1u << HOOK_MIGRATE));
	CHECK_EQ(cf_offline_adopt_range(m.map, heir.id, 100, 200), 0);
	CHECK_EQ(snapshot(100).owner, heir.id);
	CHECK_EQ(snapshot(100).flags, 0);
	CHECK_EQ(frames_of(heir.id), 100);
	CHECK_EQ(frames_of(CF_OWNER_ORPHAN), 1024);
	CHECK_EQ(cf_offline_free_range(m.map, heir.id, 100, 200), 0);
	/* A part of a run, too; what was never exposed still is not. */
	CHECK_EQ(cf_offline_adopt_range(m.map, heir.id, 4100, 4200), 0);
	CHECK_EQ(snapshot(4096).owner, CF_OWNER_ORPHAN);
	CHECK_EQ(snapshot(4100).flags, CF_FLAG_NEVER_ONLINED);
	CHECK(machine_verify());
	CHECK_EQ(cf_offline_adopt_range(m.map, heir.id, 4096, 4100), 0);
	CHECK_EQ(cf_offline_adopt_range(m.map, heir.id, 4200, 5120), 0);
	/* Skippable once the block is adopted as well. */
	FAILS(CF_EREFUSED, cf_offline_set_skippable(m.map, heir.id, 4096, 4097,
						    true));
	CHECK_EQ(cf_block_adopt(m.map, 4096, 5120, heir.id), 0);
	CHECK_EQ(cf_offline_set_skippable(m.map, heir.id, 4096, 5120, true), 0);
	CHECK_EQ(cf_block_offline(m.map, 4096, 5120, 1, NULL), 0);
	CHECK_EQ(frames_of(heir.id), 0);
	finish(&heir);
}

static void adopt_refuses(void)
{
	struct keeper keeper = { 0 };
	struct keeper heir = { 0 };
	cfi_u64 *word;
	uint64_t was;
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 100, 200, 0, NULL),
		 0);
	CHECK(keeper_add(&heir, "heir", 0));
	FAILS(CF_EREFUSED, cf_offline_adopt_range(m.map, heir.id, 100, 200));
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, NULL), 0);
	FAILS(CF_EINVAL, cf_offline_adopt_range(m.map, heir.id, 100, 100));
	FAILS(CF_EINVAL, cf_offline_adopt_range(m.map, heir.id, 200, 100));
	FAILS(CF_EINVAL, cf_offline_adopt_range(m.map, heir.id, 100,
						m.last + 1));
	FAILS(CF_EGONE, cf_offline_adopt_range(m.map, keeper.id, 100, 200));
	FAILS(CF_EGONE, cf_offline_adopt_range(m.map, CF_OWNER_NONE, 100,
					       200));
	FAILS(CF_EGONE, cf_offline_adopt_range(m.map, heir.id, 4096, 4097));
	FAILS(CF_EREFUSED, cf_offline_adopt_range(m.map, heir.id, 99, 200));
	FAILS(CF_EREFUSED, cf_offline_adopt_range(m.map, heir.id, 100, 201));
	pfn = alloc(kernel(0));
	FAILS(CF_EREFUSED, cf_offline_adopt_range(m.map, heir.id, pfn,
						  pfn + 1));
	cf_put(m.map, pfn);
	word = cfi_word_at(cfi_block_of(m.map, 128), 128);
	was = cfi_load_relaxed(word);
	cfi_store_relaxed(word, word_with(was, CF_FLAG_BUSY));
	FAILS_PARTLY(CF_EAGAIN, cf_offline_adopt_range(m.map, heir.id, 100,
						       200));
	cfi_store_relaxed(word, was);
	CHECK_EQ(frames_of(heir.id), 0);
	CHECK_EQ(cf_offline_adopt_range(m.map, heir.id, 100, 200), 0);
	FAILS(CF_EREFUSED, cf_offline_adopt_range(m.map, heir.id, 100, 200));
	CHECK_EQ(cf_offline_free_range(m.map, heir.id, 100, 200), 0);
	finish(&heir);
}

/* Neither movable nor skippable: its owner must agree, and is not asked. */
static void not_movable(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1500, 1502, 0, NULL),
		 0);
	FAILS(CF_EBUSY, cf_block_offline(m.map, 1024, 2048, 2, &report));
	CHECK_EQ(report.reason, CF_REASON_OFFLINE);
	CHECK_EQ(report.pfn, 1500);
	CHECK_EQ(report.order, 1);
	CHECK_EQ(report.frames[CF_REASON_OFFLINE], 2);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE], 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1500, 1502), 0);
	finish(&keeper);
}

int main(void)
{
	tap_run("one run of every order", one_of_every_order);
	tap_run("requests that are refused", alloc_refuses);
	tap_run("MOVABLE only for what can move or be stepped over", zones);
	tap_run("many runs at once", bulk);
	tap_run("stock of contexts is found", stock_is_found);
	tap_run("any range, any alignment", ranges);
	tap_run("ranges that are refused", range_refuses);
	tap_run("a context that stays in its cache", range_needs_caches);
	tap_run("first exposure, then returns", first_exposure);
	tap_run("frees that are refused", free_refuses);
	tap_run("the port fails to expose", exposure_fails);
	tap_run("skippable: the range owner's frames only", skippable);
	tap_run("payload: the owner's heads only", payload);
	tap_run("offline runs move", migrates);
	tap_run("frames moved are counted", migrated_frames);
	tap_run("what a migrate hook may answer", migrate_answers);
	tap_run("nowhere to move to", migrate_without_room);
	tap_run("the port cannot use a source again", migrate_and_port_fails);
	tap_run("orphans are adopted", adopts);
	tap_run("adoptions that are refused", adopt_refuses);
	tap_run("offline and not movable", not_movable);
	tap_run("skippable: every block is asked", skippable_in_two_blocks);
	return tap_done();
}
