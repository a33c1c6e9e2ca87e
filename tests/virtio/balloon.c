/* SPDX-License-Identifier: MIT */

/*
 * The virtio-balloon driver against its model: size, migration, statistics,
 * low memory, reports, hints, poison.
 */

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/virtio/scene.h"

#define STATS		CF_BALLOON_F_STATS
#define LOW		CF_BALLOON_F_DEFLATE_ON_OOM
#define HINT		CF_BALLOON_F_HINT
#define POISON		CF_BALLOON_F_POISON
#define REPORT		CF_BALLOON_F_REPORTING
#define MUST_TELL	CF_BALLOON_F_MUST_TELL_HOST

static bool balloon_scene(struct scene_config config)
{
	return scene_make(config) && scene_balloon();
}

static uint64_t free_frames(void)
{
	struct cf_stat stat;

	cf_stat(s.map, &stat);
	return stat.free;
}

static void inflates_and_deflates(void)
{
	uint64_t before;

	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	before = free_frames();
	CHECK(scene_balloon_size(10));
	CHECK(scene_balloon_size(5000));
	CHECK_EQ(free_frames(), before - 5000);
	CHECK(scene_balloon_check());
	CHECK(scene_balloon_size(4999));
	CHECK(scene_balloon_size(700));
	CHECK(scene_balloon_check());
	CHECK(scene_balloon_size(701));
	CHECK(scene_balloon_size(0));
	CHECK_EQ(free_frames(), before);
	CHECK(s.bal->chunk_max <= 512);
	CHECK(scene_end());
}

static void single_frames(void)
{
	struct scene_config config = {
		.balloon.small = true,
		.bus = BUS_MMIO,
		.balloon_features = MUST_TELL,
	};

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK_EQ(scene_balloon_status().features,
		 CF_VIRTIO_F_VERSION_1 | MUST_TELL);
	CHECK(scene_balloon_size(3000));
	CHECK_EQ(s.bal->chunk_max, 512);
	CHECK(scene_balloon_size(1500));
	CHECK(scene_balloon_check());
	CHECK(scene_end());
}

/* Memory that the host takes is gone from the process. */
static void gives_memory_back(void)
{
	uint64_t before, full, after;
	cf_pfn pfn;

	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	for (pfn = 0; pfn < s.boot_last; pfn++)
		if (pfn < s.shared_pfn || pfn >= s.shared_pfn + 32)
			s.memory.base[pfn * CF_FRAME_BYTES] = 1;
	before = cf_host_resident_bytes();
	CHECK(scene_balloon_size(48 * MIB_FRAMES));
	full = cf_host_resident_bytes();
	CHECK(before - full > 47 * MIB);
	CHECK(scene_balloon_size(0));
	after = cf_host_resident_bytes();
	CHECK(after - full < 2 * MIB);
	CHECK(scene_end());
}

/* The host asks for more than there is. */
static void runs_out(void)
{
	struct cf_next next;
	uint64_t held;

	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	CHECK(data_add(3000, 0));
	CHECK(!scene_balloon_size(1000000));
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	held = scene_balloon_status().held;
	CHECK_EQ(held, s.bal->ballooned);
	CHECK_EQ(held, model_balloon_actual(s.bal));
	next = cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(next.when, CF_WHEN_AT);
	CHECK_EQ(next.at_ms, s.now + 200);
	/* What is freed goes the same way, later. */
	data_drop(1000);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, held);
	s.now += 200;
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, held + 1000);
	CHECK(data_check() && scene_balloon_check());
	CHECK(scene_end());
}

static uint64_t runs_held(void)
{
	struct cf_span span;
	uint64_t runs = 0;
	cf_pfn at = 0;

	cf_walk_begin(s.map);
	while (cf_walk_next(s.map, &at, s.boot_last, &span))
		runs += span.kind == CF_SPAN_RUN &&
			span.type == CF_TYPE_OFFLINE;
	cf_walk_end(s.map);
	return runs;
}

/* Where no 2 MiB are left it takes what is largest, a buffer full of it. */
static void takes_pieces(void)
{
	uint64_t answers, held;

	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	CHECK(data_add(15000, 0));
	data_thin(128);
	CHECK(data_check());
	held = free_frames();
	answers = s.bal->model.answers;
	CHECK(scene_balloon_size((uint32_t)held));
	CHECK_EQ(free_frames(), 0);
	/* 2 MiB, 64 and 8 frames at a time, and the rest. */
	CHECK(s.bal->model.answers - answers <= held / 512 + 4);
	CHECK_EQ(s.bal->chunk_max, 512);
	CHECK(runs_held() < held / 8);
	CHECK(data_check() && scene_balloon_check());
	/* What lies side by side goes in one piece, whatever it is in. */
	answers = s.bal->model.answers;
	CHECK(scene_balloon_size((uint32_t)held - 5000));
	CHECK(s.bal->model.answers - answers <= 5000 / 512 + 1);
	CHECK(scene_balloon_size(0));
	CHECK_EQ(free_frames(), held);
	CHECK(data_check() && scene_balloon_check());
	CHECK(scene_end());
}

/* Out of memory one moment, asked to give back the next. */
static void turns_round(void)
{
	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	CHECK(data_add(3000, 0));
	CHECK(!scene_balloon_size(1000000));
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	model_balloon_target(s.bal, 100);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, 100);
	CHECK_EQ(scene_balloon_status().deflating, 0);
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_IDLE);
	CHECK_EQ(cf_balloon_work(&s.balloon, s.now).when, CF_WHEN_EVENT);
	/* Nor does a wish that is new wait for what was tried before. */
	model_balloon_target(s.bal, 1000000);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	data_drop(500);
	model_balloon_target(s.bal, 900000);
	scene_balloon_work();
	CHECK_EQ(free_frames(), 0);
	CHECK(data_check() && scene_balloon_check());
	CHECK(scene_end());
}

/* What the port does not take back now it is offered later, not at once. */
static void is_refused(void)
{
	struct scene_config config = { .balloon_features = LOW };
	struct cf_watermarks marks = { 0, 1000, 1500 };
	struct cf_next next;
	unsigned low;

	for (low = 0; low < 2; low++) {
		if (!CHECK(balloon_scene(config)))
			return;
		CHECK(scene_balloon_size(15000));
		CHECK_EQ(cf_zone_set_watermarks(s.map, 0, CF_ZONE_NORMAL,
						marks), 0);
		s.port_refuses = true;
		if (low)
			CHECK(cf_balloon_low(&s.balloon));
		else
			model_balloon_target(s.bal, 14900);
		scene_balloon_work();
		CHECK(scene_balloon_status().deflating > 0);
		CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_DEFLATING);
		next = cf_balloon_work(&s.balloon, s.now);
		CHECK_EQ(next.when, CF_WHEN_AT);
		CHECK_EQ(next.at_ms, s.now + 200);
		s.port_refuses = false;
		s.now += 200;
		scene_balloon_work();
		CHECK_EQ(scene_balloon_status().deflating, 0);
		CHECK(scene_balloon_check());
		CHECK(scene_end());
	}
}

/* Of those that lie in [from, ~0) every other frame is not taken back. */
static cf_pfn refused_from;

static int refuse_some(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	for (; first < last; first++)
		if (first >= refused_from && first % 2)
			return 1;
	return 0;
}

static uint64_t frames_offline(cf_pfn *ret_lowest)
{
	uint64_t frames = 0;
	struct cf_span span;
	cf_pfn at = 0;

	cf_walk_begin(s.map);
	while (cf_walk_next(s.map, &at, s.boot_last, &span)) {
		if (span.kind != CF_SPAN_RUN || span.type != CF_TYPE_OFFLINE)
			continue;
		if (!frames)
			*ret_lowest = span.first;
		frames += span.last - span.first;
	}
	cf_walk_end(s.map);
	return frames;
}

/*
 * Some of what came back is freed, and some is not: what is freed and taken
 * again is the host's when the rest is tried once more.
 */
static void is_refused_some(void)
{
	struct scene_config config = { .balloon.small = true };
	uint64_t offline;
	cf_pfn lowest = 0;

	if (!CHECK(balloon_scene(config)) || !CHECK(scene_balloon_size(3000)))
		return;
	CHECK_EQ(frames_offline(&lowest), 3000);
	refused_from = lowest + 256;
	s.memory.config.hooks.returned = refuse_some;
	model_balloon_target(s.bal, 3000 - 512);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().deflating, 128);
	CHECK_EQ(scene_balloon_status().held, 3000 - 512);
	/* All that is free: what was freed just now is, too. */
	model_balloon_target(s.bal, 1000000);
	scene_balloon_work();
	CHECK_EQ(free_frames(), 0);
	CHECK(scene_balloon_check());
	refused_from = ~(cf_pfn)0;
	model_balloon_target(s.bal, (uint32_t)s.bal->ballooned);
	s.now += 200;
	scene_balloon_work();
	offline = frames_offline(&lowest);
	CHECK_EQ(scene_balloon_status().deflating, 0);
	CHECK_EQ(offline, scene_balloon_status().held);
	CHECK_EQ(offline, s.bal->ballooned);
	CHECK_EQ(free_frames(), 128);
	CHECK(scene_balloon_check());
	CHECK(scene_balloon_size(0));
	CHECK(scene_end());
}

/* While an answer is awaited it is not backing off. */
static void waits_first(void)
{
	struct scene_config config = { .balloon.small = true };
	struct cf_next next;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK(data_add(16000, 0));
	model_late(&s.bal->model, true);
	model_balloon_target(s.bal, 1000000);
	do {
		model_answer(&s.bal->model, 1);
		(void)cf_balloon_work(&s.balloon, s.now);
	} while (free_frames());
	next = cf_balloon_work(&s.balloon, s.now);
	CHECK(scene_balloon_status().inflating > 0);
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_INFLATING);
	CHECK_EQ(next.when, CF_WHEN_EVENT);
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	CHECK(scene_end());
}

/* Blocks full of balloon go offline: the balloon moves. */
static void migrates(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .movable = true,
	};
	struct cf_report report;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK(scene_balloon_size(20000));
	CHECK(data_add(2000, 0));
	CHECK_EQ(cf_block_offline(s.map, s.block, 2 * s.block, 16, &report),
		 0);
	CHECK(scene_balloon_status().migrated > 0);
	CHECK_EQ(scene_balloon_status().held, 20000);
	CHECK_EQ(s.bal->ballooned, 20000);
	CHECK_EQ(s.bal->model.violations, 0);
	CHECK(data_check() && scene_balloon_check());
	CHECK_EQ(cf_block_online(s.map, s.block, 2 * s.block, CF_ZONE_MOVABLE,
				 NULL), 0);
	CHECK(scene_balloon_size(100));
	CHECK(data_check() && scene_balloon_check());
	CHECK(scene_end());
}

/* A device that does not answer in time: nothing is used twice. */
static void migrates_late(void)
{
	struct scene_config config = {
		.boot_blocks = 3, .movable = true,
		.balloon = { .patience = 100, .small = true },
	};
	struct cf_report report;
	unsigned answers;

	for (answers = 0; answers < 6; answers++) {
		if (!CHECK(balloon_scene(config)))
			return;
		CHECK(scene_balloon_size(12000));
		model_late(&s.bal->model, true);
		s.bal->model.may_answer = answers;
		CHECK(cf_block_offline(s.map, s.block, 2 * s.block, 4,
				       &report) != 0);
		CHECK_EQ(report.reason, CF_REASON_OWNER);
		CHECK(scene_balloon_check());
		/* While it is late, nothing else moves or deflates. */
		model_balloon_target(s.bal, 0);
		scene_balloon_work();
		CHECK(scene_balloon_status().waiting);
		CHECK_EQ(scene_balloon_status().deflating, 0);
		CHECK(scene_balloon_check());
		model_balloon_target(s.bal, 12000);
		model_late(&s.bal->model, false);
		scene_balloon_until(1000);
		CHECK_EQ(scene_balloon_status().held, 12000);
		CHECK_EQ(s.bal->ballooned, 12000);
		CHECK(scene_balloon_check());
		/* In time again, it moves as ever. */
		CHECK_EQ(cf_block_offline(s.map, s.block, 2 * s.block, 64,
					  &report), 0);
		CHECK_EQ(s.bal->ballooned, 12000);
		CHECK(scene_balloon_check());
		CHECK(scene_end());
	}
}

static void says_why_it_stays(void)
{
	struct scene_config config = { .movable = true };
	struct cf_report report;

	if (!CHECK(balloon_scene(config)))
		return;
	model_late(&s.bal->model, true);
	model_balloon_target(s.bal, 3000);
	scene_balloon_work();
	CHECK_EQ(cf_block_offline(s.map, s.block, 2 * s.block, 2, &report),
		 -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	CHECK(report.detail && strstr(report.detail, "on its way"));
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, 3000);
	/* On its way back it is not moved either. */
	model_late(&s.bal->model, true);
	model_balloon_target(s.bal, 0);
	scene_balloon_work();
	CHECK(scene_balloon_status().deflating > 0);
	CHECK_EQ(cf_block_offline(s.map, s.block, 2 * s.block, 2, &report),
		 -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK_EQ(s.bal->ballooned, 0);
	CHECK(scene_end());
}

/* A dump reads contents: the host may not have a frame until that is done. */
static void *read_for_a_while(void *context)
{
	unsigned ticket = cf_content_begin(s.map);
	struct timespec time = { 0, 30 * 1000 * 1000 };
	uint64_t *given = context;

	__atomic_store_n(&given[0], 1, __ATOMIC_RELEASE);
	nanosleep(&time, NULL);
	model_lock(&s.bal->model);
	given[1] = s.bal->ballooned + s.bal->reported + s.bal->hinted;
	model_unlock(&s.bal->model);
	cf_content_end(s.map, ticket);
	return NULL;
}

static void waits_for_readers(void)
{
	struct scene_config config = { .boot_blocks = 4 };
	uint64_t given[2];
	pthread_t reader;
	unsigned i;

	for (i = 0; i < 3; i++) {
		config.balloon_features = i == 0 ? 0 : i == 1 ? REPORT : HINT;
		given[0] = 0;
		given[1] = ~(uint64_t)0;
		if (!CHECK(balloon_scene(config)) ||
		    !CHECK_EQ(pthread_create(&reader, NULL, read_for_a_while,
					     given), 0))
			return;
		while (!__atomic_load_n(&given[0], __ATOMIC_ACQUIRE))
			sched_yield();
		if (i == 0)
			model_balloon_target(s.bal, 1000);
		model_balloon_hint(s.bal, 2);
		scene_balloon_work();
		pthread_join(reader, NULL);
		CHECK_EQ(given[1], 0);
		CHECK(s.bal->ballooned + s.bal->reported + s.bal->hinted > 0);
		model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
		CHECK(scene_end());
	}
}

static size_t more_stats(void *context, struct cf_balloon_stat *stats,
			 size_t max)
{
	(void)context;
	CHECK(max >= 2);
	stats[0] = (struct cf_balloon_stat){ CF_BALLOON_CACHES, 12345 };
	stats[1] = (struct cf_balloon_stat){ CF_BALLOON_SWAP_IN, 7 };
	return 2;
}

static void tells_statistics(void)
{
	struct scene_config config = {
		.balloon_features = STATS,
		.balloon.stats = more_stats,
	};
	struct cf_stat stat;

	if (!CHECK(balloon_scene(config)))
		return;
	scene_balloon_work();
	CHECK_EQ(s.bal->stats_reports, 1);
	CHECK(scene_balloon_size(1000));
	CHECK(model_balloon_ask(s.bal));
	CHECK(!model_balloon_ask(s.bal));
	scene_balloon_work();
	CHECK_EQ(s.bal->stats_reports, 2);
	CHECK_EQ(s.bal->stats, 5);
	cf_stat(s.map, &stat);
	CHECK_EQ(s.bal->stat[CF_BALLOON_FREE], stat.free << CF_FRAME_SHIFT);
	CHECK_EQ(s.bal->stat[CF_BALLOON_TOTAL],
		 stat.managed << CF_FRAME_SHIFT);
	CHECK_EQ(s.bal->stat[CF_BALLOON_CACHES], 12345);
	CHECK_EQ(s.bal->stat[CF_BALLOON_SWAP_IN], 7);
	CHECK_EQ(s.bal->stat[CF_BALLOON_SWAP_OUT], ~(uint64_t)0);
	CHECK(model_balloon_ask(s.bal));
	CHECK(scene_end());
}

static void gives_way(void)
{
	struct scene_config config = { .balloon_features = LOW };
	struct cf_watermarks marks = { 0, 1000, 1500 };
	uint64_t held;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK(scene_balloon_size(12000));
	CHECK_EQ(cf_zone_set_watermarks(s.map, 0, CF_ZONE_NORMAL, marks), 0);
	CHECK(data_add(3600, 0));
	CHECK(s.low_signals > 0);
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	held = scene_balloon_status().held;
	/* To the high mark, in whole buffers. */
	CHECK(free_frames() >= 1500 && free_frames() < 1500 + 512);
	CHECK_EQ(held, 12000 - 1024);
	CHECK_EQ(scene_balloon_status().low_deflated, 1024);
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, held - 512);
	/* Not again at once; later it follows the target again. */
	s.now += 1999;
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, held - 512);
	data_drop(2000);
	s.now += 1;
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, 12000);
	CHECK(data_check() && scene_balloon_check());
	/* Told while a buffer is on its way: it is not forgotten. */
	model_late(&s.bal->model, true);
	model_balloon_target(s.bal, 11000);
	(void)cf_balloon_work(&s.balloon, s.now);
	CHECK(scene_balloon_status().deflating > 0);
	CHECK(cf_balloon_low(&s.balloon));
	(void)cf_balloon_work(&s.balloon, s.now);
	held = scene_balloon_status().low_deflated;
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK(scene_balloon_status().low_deflated > held);
	CHECK(scene_end());
	/* Without the feature it keeps what it has. */
	config.balloon_features = 0;
	if (!CHECK(balloon_scene(config)))
		return;
	CHECK(scene_balloon_size(12000));
	CHECK(!cf_balloon_low(&s.balloon));
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, 12000);
	CHECK(scene_end());
}

static void reports_free_memory(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .movable = true,
		.balloon_features = REPORT | STATS,
	};
	uint64_t before, first;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK_EQ(s.bal->report_queue, 3);
	before = free_frames();
	scene_balloon_until(100);
	first = scene_balloon_status().reported;
	/* All free chunks, the one with the queues excepted. */
	CHECK_EQ(first, s.boot_last - CF_CHUNK_FRAMES);
	CHECK_EQ(s.bal->reported, first);
	CHECK_EQ(free_frames(), before);
	CHECK_EQ(scene_balloon_status().reporting, 0);
	/* The same memory is not reported again and again. */
	scene_balloon_until(10000);
	CHECK_EQ(scene_balloon_status().reported, first);
	/* What was used since is. */
	CHECK(data_add(1000, 0));
	scene_balloon_until(3000);
	data_drop(1000);
	scene_balloon_until(3000);
	CHECK(scene_balloon_status().reported > first);
	CHECK(scene_balloon_status().reported <= first + 1536);
	CHECK(scene_verify());
	CHECK(scene_end());
}

/* Isolated while reported: nobody gets it, and it comes back. */
static void isolates_reported(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = REPORT, .movable = true,
	};
	struct cf_report report;
	uint64_t before;

	if (!CHECK(balloon_scene(config)))
		return;
	before = free_frames();
	model_late(&s.bal->model, true);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().reporting, 32 * 512);
	CHECK_EQ(free_frames(), before - 32 * 512);
	/* Nor is it moved: it comes back by itself. */
	CHECK_EQ(cf_block_offline(s.map, s.block, 2 * s.block, 2, &report),
		 -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	CHECK(data_add(10000, 0));
	model_late(&s.bal->model, false);
	CHECK(data_check());
	scene_balloon_work();
	CHECK_EQ(free_frames(), before - 10000);
	CHECK(data_check() && scene_verify());
	/* Removed in the middle: it comes back, too. */
	model_late(&s.bal->model, true);
	data_drop(10000);
	scene_balloon_until(5000);
	CHECK(scene_balloon_status().reporting > 0);
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	s.balloon_open = false;
	CHECK_EQ(free_frames(), before);
	CHECK(scene_end());
}

static void hints(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = HINT | STATS | REPORT,
		.balloon.no_reporting = true,
	};
	uint64_t before, kept;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK_EQ(s.bal->hint_queue, 3);
	before = free_frames();
	CHECK(data_add(5000, 0));
	model_balloon_hint(s.bal, 5);
	scene_balloon_work();
	CHECK_EQ(s.bal->hint_round, 5);
	CHECK(s.bal->hint_stopped);
	kept = scene_balloon_status().hinted;
	CHECK(kept > 16000);
	CHECK_EQ(s.bal->hinted, kept);
	CHECK_EQ(free_frames(), before - 5000 - kept);
	/* Some stays for the guest. */
	CHECK(free_frames() > 1500);
	CHECK(data_add(500, 0));
	/* STOP alone gives nothing back. */
	model_balloon_hint(s.bal, CF_BALLOON_HINT_STOP);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().hinted, kept);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().hinted, 0);
	CHECK_EQ(free_frames(), before - 5500);
	CHECK(data_check() && scene_verify());
	/* Another round; it ends in the middle of the next. */
	model_balloon_hint(s.bal, 6);
	scene_balloon_work();
	CHECK_EQ(s.bal->hint_round, 6);
	model_balloon_hint(s.bal, 7);
	scene_balloon_work();
	CHECK_EQ(s.bal->hint_round, 7);
	CHECK_EQ(scene_balloon_status().hint_rounds, 3);
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	s.balloon_open = false;
	CHECK_EQ(free_frames(), before - 5500);
	CHECK(data_check());
	CHECK(scene_end());
}

static void hints_interrupted(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = HINT,
	};
	uint64_t before;
	unsigned i;

	if (!CHECK(balloon_scene(config)))
		return;
	before = free_frames();
	model_late(&s.bal->model, true);
	model_balloon_hint(s.bal, 2);
	(void)cf_balloon_work(&s.balloon, s.now);
	/* It has begun, and is not done. */
	CHECK_EQ(scene_balloon_status().hint_rounds, 1);
	CHECK(scene_balloon_status().hinting);
	for (i = 0; i < 40; i++) {
		(void)cf_balloon_work(&s.balloon, s.now);
		if (i % 3 == 0)
			model_answer(&s.bal->model, 1);
		if (i == 20)
			model_balloon_hint(s.bal, 3);
	}
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	/* Not before the device is done with each of them. */
	CHECK(scene_balloon_status().hinted > 0);
	CHECK(scene_balloon_status().hinting);
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().hinted, 0);
	CHECK(!scene_balloon_status().hinting);
	CHECK_EQ(free_frames(), before);
	CHECK(scene_end());
}

/* A round of hints that has begun: what it keeps. */
static uint64_t keep_hints(uint32_t id)
{
	model_balloon_hint(s.bal, id);
	scene_balloon_work();
	CHECK_EQ(s.bal->hint_round, id);
	CHECK(scene_balloon_status().hinted > 10000);
	return scene_balloon_status().hinted;
}

/* Kept for hints only: that goes back first, and all of it. */
static void hints_give_way(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = HINT | LOW,
	};
	struct cf_watermarks marks = { 0, 1000, 0 };
	uint64_t before, kept;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK(scene_balloon_size(2000));
	/* Crumbs, more than one call of work looks at. */
	CHECK(data_add(10000, 0));
	data_thin(2);
	before = free_frames();
	(void)keep_hints(2);
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().hinted, 0);
	CHECK_EQ(free_frames(), before);
	/* That was enough; and the round is over for this guest. */
	scene_balloon_until(5000);
	CHECK_EQ(scene_balloon_status().low_deflated, 0);
	CHECK_EQ(scene_balloon_status().held, 2000);
	CHECK_EQ(scene_balloon_status().hint_rounds, 1);
	CHECK_EQ(free_frames(), before);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	/* That was not: some of the balloon follows. */
	kept = keep_hints(3);
	marks.high = before + 300;
	CHECK_EQ(cf_zone_set_watermarks(s.map, 0, CF_ZONE_NORMAL, marks), 0);
	CHECK(cf_balloon_low(&s.balloon));
	(void)cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(scene_balloon_status().low_deflated, 0);
	CHECK(free_frames() >= before - kept);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().low_deflated, 512);
	CHECK_EQ(free_frames(), before + 512);
	scene_balloon_until(5000);
	/* A larger balloon takes it as well: the host asks for both. */
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	kept = keep_hints(4);
	model_balloon_target(s.bal, (uint32_t)before);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, before);
	CHECK_EQ(scene_balloon_status().hinted, 0);
	CHECK(scene_balloon_size(2000));
	/* Nothing is kept now: at once. */
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().low_deflated, 1024);
	CHECK_EQ(scene_balloon_status().hint_rounds, 3);
	CHECK(scene_balloon_check() && scene_end());
}

/* In the middle of a round; and of a balloon that keeps its size. */
static void hints_give_way_late(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = HINT,
	};
	struct cf_next next;
	uint64_t before;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK(scene_balloon_size(2000));
	before = free_frames();
	model_late(&s.bal->model, true);
	model_balloon_hint(s.bal, 2);
	scene_balloon_work();
	CHECK(scene_balloon_status().hinting);
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	/* The device may still write into them. */
	CHECK(scene_balloon_status().hinted > 10000);
	CHECK(free_frames() < before);
	next = cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(next.when, CF_WHEN_AT);
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().hinted, 0);
	CHECK(!scene_balloon_status().hinting && s.bal->hint_stopped);
	CHECK_EQ(free_frames(), before);
	CHECK_EQ(scene_balloon_status().held, 2000);
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, 2000);
	CHECK(scene_balloon_check() && scene_end());
}

/* The port takes nothing back: later, as at the end of a round. */
static void hints_are_refused(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = HINT,
	};
	struct cf_next next;
	uint64_t before;

	if (!CHECK(balloon_scene(config)))
		return;
	before = free_frames();
	(void)keep_hints(3);
	s.now += 10000;
	s.port_refuses = true;
	CHECK(cf_balloon_low(&s.balloon));
	scene_balloon_work();
	CHECK(scene_balloon_status().hinted > 10000);
	next = cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(next.when, CF_WHEN_AT);
	CHECK_EQ(next.at_ms, s.now + 200);
	s.port_refuses = false;
	s.now = next.at_ms;
	scene_balloon_work();
	CHECK_EQ(free_frames(), before);
	/* The same when a larger balloon needs it. */
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	(void)keep_hints(4);
	s.port_refuses = true;
	model_balloon_target(s.bal, (uint32_t)before);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	next = cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(next.when, CF_WHEN_AT);
	s.port_refuses = false;
	scene_balloon_until(400);
	CHECK_EQ(scene_balloon_status().held, before);
	CHECK(scene_balloon_check() && scene_end());
}

static void poison(void)
{
	struct scene_config config = {
		.balloon_features = POISON | REPORT | HINT | STATS,
		.balloon = { .poisoned = true, .poison = 0xaaaaaaaa },
	};
	cf_pfn pfn, kept = 0;

	if (!CHECK(balloon_scene(config)))
		return;
	CHECK_EQ(cf_wire_get32(s.bal->model.config + CF_BALLOON_POISON_VALUE),
		 0xaaaaaaaa);
	CHECK_EQ(s.bal->model.features, config.balloon_features |
		 CF_VIRTIO_F_VERSION_1);
	/* What is told to be free stays as it is. */
	for (pfn = s.block; pfn < s.boot_last; pfn++)
		s.memory.base[pfn * CF_FRAME_BYTES] = 0xaa;
	scene_balloon_until(100);
	model_balloon_hint(s.bal, 5);
	scene_balloon_work();
	CHECK(s.bal->reported > s.block && s.bal->hinted > 0);
	for (pfn = s.block; pfn < s.boot_last; pfn++)
		kept += s.memory.base[pfn * CF_FRAME_BYTES] == 0xaa;
	CHECK_EQ(kept, s.boot_last - s.block);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	CHECK(scene_end());
	/* A host that knows nothing of it must not take free contents. */
	config.balloon_features = REPORT | HINT | STATS;
	if (!CHECK(balloon_scene(config)))
		return;
	CHECK_EQ(s.bal->model.features, STATS | CF_VIRTIO_F_VERSION_1);
	scene_balloon_until(5000);
	CHECK_EQ(s.bal->reported, 0);
	CHECK(scene_end());
	/* And without poison nobody speaks of it. */
	config.balloon_features = POISON;
	config.balloon.poisoned = false;
	if (!CHECK(balloon_scene(config)))
		return;
	CHECK_EQ(s.bal->model.features, CF_VIRTIO_F_VERSION_1);
	CHECK(scene_end());
}

static void removal_leaves_orphans(void)
{
	uint64_t orphans = 0, before;

	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	before = free_frames();
	CHECK(scene_balloon_size(1234));
	CHECK_EQ(cf_balloon_remove(&s.balloon, &orphans), 0);
	s.balloon_open = false;
	CHECK_EQ(orphans, 1234);
	CHECK_EQ(free_frames(), before - 1234);
	CHECK(scene_balloon_check());
	CHECK(scene_end());
}

static void drains(void)
{
	uint64_t orphans = 1;

	if (!CHECK(balloon_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_balloon_size(4321));
	cf_balloon_drain(&s.balloon, true);
	scene_balloon_work();
	CHECK_EQ(s.bal->ballooned, 0);
	CHECK_EQ(model_balloon_actual(s.bal), 0);
	cf_balloon_drain(&s.balloon, false);
	scene_balloon_work();
	CHECK_EQ(s.bal->ballooned, 4321);
	cf_balloon_drain(&s.balloon, true);
	scene_balloon_work();
	CHECK_EQ(cf_balloon_remove(&s.balloon, &orphans), 0);
	CHECK_EQ(orphans, 0);
	s.balloon_open = false;
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("inflates and deflates", inflates_and_deflates);
	tap_run("single frames, MMIO, must tell", single_frames);
	tap_run("takes the largest pieces there are", takes_pieces);
	tap_run("memory is really given back", gives_memory_back);
	tap_run("runs out of memory", runs_out);
	tap_run("out of memory, then asked to deflate", turns_round);
	tap_run("the port takes nothing back", is_refused);
	tap_run("the port takes some back", is_refused_some);
	tap_run("waits for an answer before it backs off", waits_first);
	tap_run("migrates", migrates);
	tap_run("migrates, answers are late", migrates_late);
	tap_run("says why a frame stays", says_why_it_stays);
	tap_run("waits for readers of contents", waits_for_readers);
	tap_run("statistics", tells_statistics);
	tap_run("gives way to low memory", gives_way);
	tap_run("reports free memory", reports_free_memory);
	tap_run("isolates what is reported", isolates_reported);
	tap_run("hints", hints);
	tap_run("hints, interrupted", hints_interrupted);
	tap_run("hints give way to low memory", hints_give_way);
	tap_run("hints give way, late", hints_give_way_late);
	tap_run("hints that are not taken back", hints_are_refused);
	tap_run("poison", poison);
	tap_run("removal leaves orphans", removal_leaves_orphans);
	tap_run("drains", drains);
	return tap_done();
}
