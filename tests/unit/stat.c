/* SPDX-License-Identifier: MIT */
/*
 * Counters. Known ground against numbers, random ground against the
 * equations of stat.h and against a count frame by frame.
 */
#include "ground.h"

static struct cf_stat stat_now(void)
{
	struct cf_stat stat;

	memset(&stat, 0xff, sizeof(stat));
	cf_stat(map, &stat);
	return stat;
}

static struct cf_zone_stat zone_of_node(unsigned node, enum cf_zone_kind kind)
{
	struct cf_zone_stat stat;

	memset(&stat, 0xff, sizeof(stat));
	CHECK(cf_zone_stat(map, node, kind, &stat) == 0);
	return stat;
}

static struct cf_zone_stat zone_now(enum cf_zone_kind kind)
{
	return zone_of_node(0, kind);
}

static void equations(const struct cf_stat *stat)
{
	uint64_t used = 0;
	unsigned type;

	for (type = CF_TYPE_KERNEL; type <= CF_TYPE_SLAB; type++)
		used += stat->by_type[type];
	CHECK_EQ(stat->present, stat->managed + stat->offline +
				stat->retired + stat->reserved);
	CHECK_EQ(stat->managed, stat->free + stat->cached + used);
	CHECK(stat->never_onlined <= stat->offline);
	CHECK(stat->skippable <= stat->offline);
	CHECK_EQ(stat->by_type[CF_TYPE_OFFLINE], stat->offline);
	CHECK_EQ(stat->by_type[CF_TYPE_RESERVED], stat->reserved);
	CHECK_EQ(stat->by_type[CF_TYPE_RETIRED], stat->retired);
	CHECK_EQ(stat->by_type[CF_TYPE_NONE], 0);
}

static void fresh(void)
{
	struct cf_stat stat;

	ground_make();
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.present, 7 * BLOCK);
	CHECK_EQ(stat.reserved, ground_self());
	CHECK_EQ(stat.free, ground_frames());
	CHECK_EQ(stat.managed, stat.free);
	CHECK_EQ(stat.cached + stat.offline + stat.isolated + stat.retired, 0);
	CHECK_EQ(zone_of_node(1, CF_ZONE_NORMAL).present, BLOCK);
	CHECK_EQ(zone_of_node(1, CF_ZONE_NORMAL).managed,
		 BLOCK - ground_self());
	CHECK_EQ(zone_of_node(1, CF_ZONE_MOVABLE).present, 0);
	ground_drop();
}

static void by_type(void)
{
	struct cf_stat stat;
	cf_pfn pfn;

	ground_make();
	take_at(CF_TYPE_SLAB, NORMAL_FIRST, NORMAL_FIRST + 768, 0);
	take_at(CF_TYPE_FOLIO, MOVABLE_FIRST, MOVABLE_FIRST + 3, owner);
	take_at(CF_TYPE_PGTABLE, NORMAL_FIRST + 1024, NORMAL_FIRST + 1025, 0);
	pfn = take(CF_TYPE_KERNEL, 4, 0);
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.by_type[CF_TYPE_SLAB], 768);
	CHECK_EQ(stat.by_type[CF_TYPE_FOLIO], 3);
	CHECK_EQ(stat.by_type[CF_TYPE_PGTABLE], 1);
	CHECK_EQ(stat.by_type[CF_TYPE_KERNEL], 16);
	CHECK_EQ(stat.managed, ground_frames());
	/* Freed by another context: its part is negative, the sum is not. */
	test_port.cpu = 2;
	cf_put(map, pfn);
	test_port.cpu = CF_CPU_NONE;
	cf_free_frozen(map, NORMAL_FIRST + 1024, 0);
	test_port.cpu = 0;
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.by_type[CF_TYPE_KERNEL], 0);
	CHECK_EQ(stat.by_type[CF_TYPE_PGTABLE], 0);
	ground_drop();
}

static void cached(void)
{
	struct cf_stat stat;
	cf_pfn pfn;

	ground_make();
	pfn = take(CF_TYPE_KERNEL, 0, 0);
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.cached, MAGAZINE_FRAMES - 1);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).cached, MAGAZINE_FRAMES - 1);
	CHECK_EQ(zone_now(CF_ZONE_MOVABLE).cached, 0);
	cf_put(map, pfn);
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES);
	CHECK(cf_drain(map) == 0);
	CHECK_EQ(stat_now().cached, 0);
	ground_drop();
}

static void offline(void)
{
	enum cf_retire_state state;
	struct cf_stat stat;

	ground_make();
	CHECK(cf_block_adopt(map, NORMAL_FIRST, NORMAL_LAST, owner) == 0);
	take_offline(NORMAL_FIRST, NORMAL_FIRST + 700, 0);
	CHECK(cf_offline_set_skippable(map, owner, NORMAL_FIRST,
				       NORMAL_FIRST + 10, true) == 0);
	CHECK(cf_retire(map, NORMAL_FIRST + 900, &state) == 0);
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.offline, 700);
	CHECK_EQ(stat.skippable, 10);
	CHECK_EQ(stat.never_onlined, 0);
	CHECK_EQ(stat.retired, 1);
	CHECK_EQ(stat.managed, ground_frames() - 701);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).offline, 700);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).managed,
		 4 * BLOCK - 701);
	ground_drop();
}

/* An owner that exposes only the first half. */
static int expose_half(void *context, cf_pfn first, cf_pfn last)
{
	return cf_offline_free_range(map, *(uint32_t *)context, first,
				     (first + last) / 2);
}

static void never_onlined(void)
{
	static const struct cf_owner_ops ops = { .online = expose_half };
	struct cf_stat stat;
	uint32_t id;

	ground_make();
	CHECK(cf_owner_register(map, "half", &ops, &id, &id) == 0);
	CHECK(cf_block_adopt(map, OFFLINE_FIRST, OFFLINE_LAST, id) == 0);
	ground_online(OFFLINE_FIRST, OFFLINE_LAST, CF_ZONE_NORMAL);
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.present, 8 * BLOCK);
	CHECK_EQ(stat.offline, BLOCK / 2);
	CHECK_EQ(stat.never_onlined, BLOCK / 2);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).free, 4 * BLOCK + BLOCK / 2);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).chunks_free, 18);
	ground_drop();
}

/* A block on its way out still counts; its free frames are isolated. */
static void isolated(void)
{
	struct cf_offline operation = { { 0 } };
	struct cf_stat stat;

	ground_make();
	take_at(CF_TYPE_SLAB, NORMAL_FIRST, NORMAL_FIRST + 100, 0);
	CHECK(cf_block_offline_start(map, &operation, NORMAL_FIRST,
				     NORMAL_FIRST + BLOCK, NULL) == 0);
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.present, 7 * BLOCK);
	CHECK_EQ(stat.isolated, BLOCK - 100);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).blocks, 4);
	cf_free_range(map, NORMAL_FIRST, NORMAL_FIRST + 100);
	CHECK(cf_block_offline_step(&operation) == 0);
	stat = stat_now();
	equations(&stat);
	CHECK_EQ(stat.present, 6 * BLOCK);
	CHECK_EQ(stat.isolated, 0);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).blocks, 3);
	ground_drop();
}

static uint64_t frames_in_runs(const struct cf_zone_stat *stat)
{
	uint64_t frames = 0;
	unsigned order;

	for (order = 0; order <= CF_MAX_ORDER; order++)
		frames += stat->runs[order] << order;
	return frames;
}

/* Free runs, aligned and maximal. */
static void runs_by_order(void)
{
	struct cf_zone_stat stat;

	ground_make();
	stat = zone_now(CF_ZONE_MOVABLE);
	CHECK_EQ(stat.runs[BLOCK_ORDER], 2);
	CHECK_EQ(stat.chunks_free, 8);
	CHECK_EQ(stat.present, 2 * BLOCK);
	CHECK_EQ(stat.free, frames_in_runs(&stat));
	/* Frame 1 taken: 1 of each order 0, 1, ... around it. */
	take_at(CF_TYPE_FOLIO, MOVABLE_FIRST + 1, MOVABLE_FIRST + 2, owner);
	stat = zone_now(CF_ZONE_MOVABLE);
	for (unsigned order = 0; order < BLOCK_ORDER; order++)
		CHECK_EQ(stat.runs[order], 1);
	CHECK_EQ(stat.runs[BLOCK_ORDER], 1);
	CHECK_EQ(stat.chunks_free, 7);
	CHECK_EQ(stat.free, frames_in_runs(&stat));
	/* 96 frames over a border of 64: 32 of them left of it. */
	take_at(CF_TYPE_FOLIO, MOVABLE_FIRST + 512, MOVABLE_FIRST + 1024 - 96,
		owner);
	stat = zone_now(CF_ZONE_MOVABLE);
	CHECK_EQ(stat.runs[5], 2);
	CHECK_EQ(stat.runs[6], 2);
	CHECK_EQ(stat.free, frames_in_runs(&stat));
	ground_drop();
}

static void zone_refuses(void)
{
	struct cf_watermarks marks = { 10, 20, 30 };
	struct cf_zone_stat stat = { .present = 77 };

	ground_make();
	CHECK(cf_zone_stat(map, 2, CF_ZONE_NORMAL, &stat) == -CF_EINVAL);
	CHECK(cf_zone_stat(map, 0, CF_ZONE_DEVICE, &stat) == -CF_EINVAL);
	CHECK(cf_zone_stat(map, 0, CF_ZONE_COUNT, &stat) == -CF_EINVAL);
	CHECK_EQ(stat.present, 77);
	CHECK(cf_zone_set_watermarks(map, 0, CF_ZONE_MOVABLE, marks) == 0);
	stat = zone_now(CF_ZONE_MOVABLE);
	CHECK(stat.marks.min == 10 && stat.marks.low == 20 &&
	      stat.marks.high == 30);
	CHECK_EQ(zone_now(CF_ZONE_NORMAL).marks.high, 0);
	ground_drop();
}

/* Free runs of a zone, found by looking at every aligned group of frames. */
static void count_runs(const struct cfi_zone *zone,
		       uint64_t found[CF_MAX_ORDER + 1])
{
	cf_pfn pfn, end;
	unsigned order;

	memset(found, 0, (CF_MAX_ORDER + 1) * sizeof(found[0]));
	for (pfn = 0; pfn < GROUND_LAST; pfn = end) {
		struct cfi_block *block = cfi_block_of(map, pfn);

		end = pfn + 1;
		if (!block || cfi_block_state(block) == CF_BLOCK_OFFLINE ||
		    cfi_zone_number(block) != zone->number ||
		    !cfi_is_free(block, pfn, pfn + 1))
			continue;
		order = 0;
		while (order < BLOCK_ORDER && pfn % (2ul << order) == 0 &&
		       cfi_is_free(block, pfn, pfn + (2ul << order)))
			order++;
		found[order]++;
		end = pfn + (1ul << order);
	}
}

static void random_ground(void)
{
	uint64_t found[CF_MAX_ORDER + 1];
	struct cf_zone_stat zone;
	struct cf_stat stat;
	unsigned round, number;

	ground_make();
	for (round = 0; round < 20; round++) {
		uint64_t free = 0, cached_frames = 0;

		churn(100);
		stat = stat_now();
		equations(&stat);
		for (number = 0; number < map->zones; number++) {
			zone = zone_of_node(map->zone[number].node,
					    map->zone[number].kind);
			count_runs(&map->zone[number], found);
			CHECK(!memcmp(found, zone.runs, sizeof(found)));
			CHECK_EQ(zone.free, frames_in_runs(&zone));
			free += zone.free;
			cached_frames += zone.cached;
		}
		CHECK_EQ(free, stat.free);
		CHECK_EQ(cached_frames, stat.cached);
		CHECK(ground_holds());
	}
	churn_end();
	stat = stat_now();
	CHECK_EQ(stat.free + stat.cached, ground_frames());
	CHECK_EQ(test_port.sections, 0);
	ground_drop();
}

/* Hooks run under the hotplug lock and may ask. */
static int ask(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	struct cf_stat *stat = context;

	(void)event;
	(void)first;
	(void)last;
	cf_stat(map, stat);
	CHECK(zone_now(CF_ZONE_NORMAL).blocks == 4);
	return 0;
}

static void from_a_hook(void)
{
	struct cf_stat stat = { 0 };
	struct cf_subscriber subscriber = {
		.name = "asks", .context = &stat, .going = ask,
	};

	ground_make();
	CHECK(cf_subscriber_add(map, &subscriber) == 0);
	CHECK(cf_block_offline(map, NORMAL_FIRST, NORMAL_FIRST + BLOCK, 3,
			       NULL) == 0);
	CHECK_EQ(stat.present, 7 * BLOCK);
	ground_drop();
}

int main(void)
{
	tap_run("a fresh map", fresh);
	tap_run("frames by type, whoever frees them", by_type);
	tap_run("frames in caches", cached);
	tap_run("offline, skippable and retired frames", offline);
	tap_run("frames that were never onlined", never_onlined);
	tap_run("a block on its way out", isolated);
	tap_run("free runs by order", runs_by_order);
	tap_run("zones that are not there; watermarks", zone_refuses);
	tap_run("random ground adds up", random_ground);
	tap_run("a hook may ask", from_a_hook);
	return tap_done();
}
