/* SPDX-License-Identifier: MIT */
/*
 * Taking blocks offline: query, start, step, cancel, status; isolation that
 * sticks; operations that meet; what stays and what is stepped over.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST	4096

static cf_pfn frame[MOST];

static bool begin(struct keeper *keeper)
{
	struct machine_config config = { .blocks = 4, .absent = 2 };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", HOOKS_ALL));
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

static struct cf_offline_status status_of(const struct cf_offline *operation)
{
	struct cf_offline_status status;

	memset(&status, 0xa5, sizeof(status));
	cf_block_offline_status(operation, &status);
	return status;
}

static int start(struct cf_offline *operation, cf_pfn first, cf_pfn last,
		 struct cf_report *report)
{
	return cf_block_offline_start(m.map, operation, first, last, report);
}

static void online_again(cf_pfn first, cf_pfn last)
{
	CHECK_EQ(cf_block_online(m.map, first, last, CF_ZONE_NORMAL, NULL), 0);
}

/* Beside what is stepped over the rest of a chunk still moves. */
static void moves_beside(void)
{
	struct keeper keeper = { 0 };
	enum cf_retire_state retired;
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_retire(m.map, 1024 + 5, &retired), 0);
	CHECK_EQ(retired, CF_RETIRE_DONE);
	CHECK_EQ(cf_alloc_range(m.map, 1024 + 8, 1024 + 9, folio(0, keeper.id),
				NULL), 0);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 1, &report), 0);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
	online_again(1024, 2048);
	cf_put(m.map, keeper.target);
	finish(&keeper);
}

/* The whole way, and what status says on it. */
static void to_the_end(void)
{
	struct cf_offline operation = { { 0 } };
	struct cf_offline_status status;
	struct keeper keeper = { 0 };

	if (!begin(&keeper))
		return;
	status = status_of(&operation);
	CHECK_EQ(status.state, CF_OFFLINE_IDLE);
	CHECK_EQ(status.total + status.steps + status.id, 0);
	CHECK_EQ(cf_alloc_range(m.map, 1024, 1032, folio(0, keeper.id), NULL),
		 0);
	CHECK_EQ(start(&operation, 1024, 3072, NULL), 0);
	status = status_of(&operation);
	CHECK_EQ(status.state, CF_OFFLINE_GOING);
	CHECK(status.id != 0);
	CHECK_EQ(status.steps, 0);
	CHECK_EQ(status.total, 2048);
	CHECK_EQ(status.free, 2040);
	CHECK_EQ(status.busy, 8);
	CHECK_EQ(status.skippable, 0);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_GOING_OFFLINE);
	CHECK_EQ(block_info(1024).chunks_isolated, 2);
	CHECK_EQ(block_info(2048).chunks_isolated, 2);
	CHECK_EQ(stat_now().isolated, 2040);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	status = status_of(&operation);
	CHECK_EQ(status.state, CF_OFFLINE_DONE);
	CHECK_EQ(status.steps, 1);
	CHECK_EQ(status.migrated, 8);
	CHECK_EQ(status.busy, 0);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_OFFLINE);
	CHECK_EQ(block_info(2048).state, CF_BLOCK_OFFLINE);
	CHECK_EQ(block_info(1024).chunks_isolated, 0);
	CHECK_EQ(stat_now().present, 2048);
	CHECK_EQ(stat_now().isolated, 0);
	FAILS(CF_EINVAL, cf_block_offline_step(&operation));
	FAILS(CF_EINVAL, cf_block_offline_cancel(&operation));
	/* One that has ended may be used again. */
	online_again(1024, 3072);
	CHECK_EQ(stat_now().present, 4096);
	CHECK_EQ(start(&operation, 2048, 3072, NULL), 0);
	CHECK_EQ(status_of(&operation).migrated, 0);
	CHECK_EQ(cf_block_offline_cancel(&operation), 0);
	CHECK_EQ(status_of(&operation).state, CF_OFFLINE_CANCELLED);
	FAILS(CF_EINVAL, cf_block_offline_step(&operation));
	cf_put(m.map, keeper.target);
	finish(&keeper);
}

/* A frame that is freed into an isolated chunk is never handed out again. */
static void isolation_sticks(void)
{
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };
	size_t count, i;
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 4096);
	CHECK_EQ(start(&operation, 1024, 2048, NULL), 0);
	m.signals[CF_SIGNAL_CHUNK_EMPTY] = 0;
	for (i = 0; i < count; i++)
		if (frame[i] / 512 == 2 && frame[i] != 1400)
			cf_put(m.map, frame[i]);
	CHECK_EQ(stat_now().isolated, 511);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(0), &pfn));
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 0);
	/* The free that empties the chunk counts it off and says so. */
	cf_put(m.map, 1400);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 1);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_CHUNK_EMPTY], 1024);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(0), &pfn));
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(9), &pfn));
	FAILS_PARTLY(CF_EBUSY, cf_block_offline_step(&operation));
	FAILS_PARTLY(CF_EBUSY, cf_block_offline_step(&operation));
	CHECK_EQ(status_of(&operation).free, 512);
	CHECK_EQ(status_of(&operation).busy, 512);
	/* Given up, all of it can be had again. */
	CHECK_EQ(cf_block_offline_cancel(&operation), 0);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_ONLINE);
	CHECK_EQ(stat_now().isolated, 0);
	pfn = alloc(kernel(9));
	CHECK_EQ(pfn, 1024);
	cf_put(m.map, pfn);
	for (i = 0; i < count; i++)
		if (frame[i] / 512 != 2)
			cf_put(m.map, frame[i]);
	finish(&keeper);
}

/* Whole runs count chunks off one by one, also across blocks. */
static void large_runs_count_off(void)
{
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	pfn = alloc(kernel(12));
	CHECK_EQ(start(&operation, 1024, 3072, NULL), 0);
	FAILS_PARTLY(CF_EBUSY, cf_block_offline_step(&operation));
	CHECK_EQ(status_of(&operation).report.pfn, 0);
	CHECK_EQ(status_of(&operation).report.order, 12);
	m.signals[CF_SIGNAL_CHUNK_EMPTY] = 0;
	cf_put(m.map, pfn);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 4);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	online_again(1024, 3072);
	finish(&keeper);
}

/* The second operation gets BUSY, and the report names the first. */
static void operations_that_meet(void)
{
	struct cf_offline first = { { 0 } };
	struct cf_offline second = { { 0 } };
	struct keeper keeper = { 0 };
	enum cf_retire_state retired;
	struct cf_report report;
	uint32_t id;

	if (!begin(&keeper))
		return;
	CHECK_EQ(start(&first, 1024, 3072, NULL), 0);
	id = status_of(&first).id;
	FAILS(CF_EBUSY, cf_block_offline_start(m.map, &second, 0, 2048,
					       &report));
	CHECK_EQ(report.reason, CF_REASON_OPERATION);
	CHECK_EQ(report.operation, id);
	CHECK_EQ(report.frames[CF_REASON_OPERATION], 2048);
	CHECK_EQ(status_of(&second).state, CF_OFFLINE_IDLE);
	FAILS(CF_EBUSY, cf_block_offline(m.map, 2048, 4096, 2, &report));
	CHECK_EQ(report.operation, id);
	FAILS(CF_EBUSY, cf_block_offline_query(m.map, 1024, 2048, &report));
	CHECK_EQ(report.operation, id);
	FAILS(CF_EBUSY, cf_alloc_range(m.map, 1500, 1501, kernel(0), &report));
	CHECK_EQ(report.reason, CF_REASON_OPERATION);
	CHECK_EQ(report.frames[CF_REASON_OPERATION], 512);
	CHECK_EQ(report.operation, id);
	FAILS(CF_EBUSY, cf_offline_alloc_range(m.map, 0, 1500, 1501, 0,
					       &report));
	CHECK_EQ(report.operation, id);
	FAILS(CF_EBUSY, cf_retire(m.map, 1500, &retired));
	FAILS(CF_EINVAL, cf_block_offline_start(m.map, &first, 0, 1024,
						&report));
	/* Beside it another one may go. */
	CHECK_EQ(start(&second, 3072, 4096, &report), 0);
	CHECK(status_of(&second).id != id);
	CHECK_EQ(cf_block_offline_cancel(&first), 0);
	CHECK_EQ(stat_now().isolated, 1024);
	CHECK_EQ(start(&first, 0, 1024, &report), 0);
	CHECK_EQ(cf_block_offline_step(&second), 0);
	CHECK_EQ(cf_block_offline_step(&first), 0);
	online_again(0, 1024);
	online_again(3072, 4096);
	finish(&keeper);
}

static void start_refuses(void)
{
	struct cf_block_config block = { .meta = CF_META_PORT };
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_add(m.map, 4096, 5120, &block), 0);
#define START(first, last)						\
	cf_block_offline_start(m.map, &operation, (first), (last), &report)
	FAILS(CF_EINVAL, cf_block_offline_step(&operation));
	FAILS(CF_EINVAL, cf_block_offline_cancel(&operation));
	FAILS(CF_EINVAL, START(1024, 1024));
	FAILS(CF_EINVAL, START(2048, 1024));
	FAILS(CF_EINVAL, START(1000, 2048));
	FAILS(CF_EINVAL, START(1024, m.last + 1024));
	FAILS(CF_EGONE, START(4096, 5120));
	CHECK_EQ(report.reason, CF_REASON_STATE);
	CHECK_EQ(report.pfn, 4096);
	FAILS(CF_EGONE, START(0, 6144));
	FAILS(CF_EGONE, START(5120, 6144));
	CHECK_EQ(report.reason, CF_REASON_HOLE);
	CHECK_EQ(report.pfn, 5120);
#undef START
	FAILS(CF_EINVAL, cf_block_offline_query(m.map, 0, 1000, &report));
	FAILS(CF_EINVAL, cf_block_offline_query(m.map, 1024, 1024, &report));
	FAILS(CF_EGONE, cf_block_offline_query(m.map, 3072, 5120, &report));
	FAILS(CF_EGONE, cf_block_offline_query(m.map, 5120, 6144, &report));
	FAILS(CF_EINVAL, cf_block_offline(m.map, 0, 1000, 1, &report));
	FAILS(CF_EGONE, cf_block_offline(m.map, 4096, 5120, 1, &report));
	FAILS(CF_EINVAL, cf_block_offline_step(&operation));
	FAILS(CF_EINVAL, cf_block_offline_cancel(&operation));
	finish(&keeper);
}

/* A question changes nothing and asks nobody. */
static void query_only_looks(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 1024, 1536, folio(0, keeper.id), NULL),
		 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1600, 1601,
					CF_FLAG_MOVABLE, NULL), 0);
	image_take();
	CHECK_EQ(cf_block_offline_query(m.map, 1024, 2048, &report), 0);
	CHECK(image_same());
	CHECK_EQ(report.reason, CF_REASON_NONE);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE] + keeper.calls[HOOK_MIGRATE], 0);
	/* Everything that stands in the way is counted by reason. */
	CHECK_EQ(cf_pin(m.map, 1024), 0);
	CHECK_EQ(cf_alloc_range(m.map, 1700, 1702, kernel(0), NULL), 0);
	CHECK_EQ(cf_alloc_range(m.map, 1800, 1801, kernel(0), NULL), 0);
	FAILS(CF_EBUSY, cf_block_offline_query(m.map, 1024, 2048, &report));
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(report.pfn, 1024);
	CHECK_EQ(report.pins, 1);
	CHECK_EQ(report.refs, 2);
	CHECK_EQ(report.frames[CF_REASON_PINNED], 512);
	CHECK_EQ(report.frames[CF_REASON_UNMOVABLE], 3);
	cf_unpin(m.map, 1024);
	cf_put(m.map, 1024);
	cf_put(m.map, 1700);
	cf_put(m.map, 1800);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1600, 1601), 0);
	/* Frames in stock are no obstacle. */
	pfn = alloc(kernel(0));
	cf_put(m.map, pfn);
	CHECK_EQ(cf_block_offline_query(m.map, pfn & ~(cf_pfn)1023,
					(pfn | 1023) + 1, &report), 0);
	finish(&keeper);
}

/* A bound on passes; cancelled when it is reached. */
static void bounded(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 1024, 1032, folio(0, keeper.id), NULL),
		 0);
	keeper.answer[HOOK_MIGRATE] = -CF_EREFUSED;
	FAILS(CF_EBUSY, cf_block_offline(m.map, 1024, 2048, 7, &report));
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 7);
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	FAILS(CF_EAGAIN, cf_block_offline(m.map, 1024, 2048, 0, &report));
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 7);
	/* It is no error to want no report. */
	FAILS(CF_EBUSY, cf_block_offline(m.map, 1024, 2048, 1, NULL));
	cf_put(m.map, 1024);
	finish(&keeper);
}

/* A frame in a cache that cannot be emptied is waited for. */
static void cache_that_stays(void)
{
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };
	cf_pfn pfn, first;

	if (!begin(&keeper))
		return;
	pfn = alloc(kernel(0));
	first = pfn & ~(cf_pfn)1023;
	cf_put(m.map, pfn);
	cfi_store_relaxed(&m.map->cpu[0].busy, 1);
	CHECK_EQ(start(&operation, first, first + 1024, NULL), 0);
	FAILS_PARTLY(CF_EAGAIN, cf_block_offline_step(&operation));
	CHECK(status_of(&operation).report.frames[CF_REASON_CACHE] > 0);
	cfi_store_relaxed(&m.map->cpu[0].busy, 0);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	online_again(first, first + 1024);
	finish(&keeper);
}

/* Skippable, retired and the block's own frames: no hook, no obstacle. */
static void stepped_over(void)
{
	struct cf_block_config block = { .meta = CF_META_SELF };
	struct cf_offline operation = { { 0 } };
	struct cf_offline_status status;
	struct keeper keeper = { 0 };
	enum cf_retire_state retired;

	if (!begin(&keeper))
		return;
	block.range_owner = keeper.id;
	CHECK_EQ(cf_block_add(m.map, 4096, 5120, &block), 0);
	online_again(4096, 5120);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 4200, 5120, true),
		 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id,
				       4096 + block_info(4096).reserved, 4200),
		 0);
	CHECK_EQ(cf_retire(m.map, 4150, &retired), 0);
	CHECK_EQ(start(&operation, 4096, 5120, NULL), 0);
	status = status_of(&operation);
	CHECK_EQ(status.busy, 0);
	CHECK_EQ(status.free + status.skippable, 1024);
	CHECK_EQ(status.skippable, 920 + 1 + block_info(4096).reserved);
	memset(keeper.calls, 0, sizeof(keeper.calls));
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE] + keeper.calls[HOOK_MIGRATE] +
		 keeper.calls[HOOK_RELEASE] + keeper.calls[HOOK_DISSOLVE] +
		 keeper.calls[HOOK_PUTBACK], 0);
	CHECK_EQ(stat_now().skippable, 0);
	CHECK_EQ(stat_now().retired, 0);
	/* What was in it is its owner's to know: the hook is asked again. */
	online_again(4096, 5120);
	CHECK_EQ(keeper.calls[HOOK_ONLINE], 1);
	CHECK_EQ(snapshot(4608).flags, CF_FLAG_NEVER_ONLINED);
	CHECK_EQ(snapshot(4150).type, CF_TYPE_RETIRED);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 4160, 5120, true),
		 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id,
				       4096 + block_info(4096).reserved, 4160),
		 0);
	CHECK_EQ(cf_block_offline(m.map, 4096, 5120, 2, NULL), 0);
	CHECK_EQ(cf_block_remove(m.map, 4096, 5120), 0);
	finish(&keeper);
}

/* Marked skippable under way: the chunk is done; unmarked: it is not. */
static void marked_under_way(void)
{
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };

	if (!begin(&keeper) ||
	    !CHECK(add_online(4096, 5120, CF_ZONE_NORMAL, keeper.id)))
		return;
	CHECK_EQ(start(&operation, 4096, 5120, NULL), 0);
	FAILS_PARTLY(CF_EBUSY, cf_block_offline_step(&operation));
	CHECK_EQ(status_of(&operation).report.reason, CF_REASON_OFFLINE);
	CHECK_EQ(status_of(&operation).report.flags, CF_FLAG_NEVER_ONLINED);
	CHECK_EQ(status_of(&operation).report.order, 9);
	m.signals[CF_SIGNAL_CHUNK_EMPTY] = 0;
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 4096, 4607, true),
		 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 0);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 4607, 5120, true),
		 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 2);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 5000, 5001, false),
		 0);
	FAILS_PARTLY(CF_EBUSY, cf_block_offline_step(&operation));
	CHECK_EQ(status_of(&operation).report.pfn, 5000);
	/* Counted anew by each step. */
	FAILS_PARTLY(CF_EBUSY, cf_block_offline_step(&operation));
	CHECK_EQ(status_of(&operation).total, 1024);
	CHECK_EQ(status_of(&operation).free, 0);
	CHECK_EQ(status_of(&operation).skippable, 1023);
	CHECK_EQ(status_of(&operation).busy, 1);
	/* Plugged now: exposed into an isolated chunk, free for nobody. */
	m.signals[CF_SIGNAL_CHUNK_EMPTY] = 0;
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 5000, 5001), 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 1);
	CHECK_EQ(stat_now().isolated, 1);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	/* Offline: neither marking nor giving finds anything. */
	FAILS(CF_EGONE, cf_offline_set_skippable(m.map, keeper.id, 4096, 4097,
						 true));
	FAILS(CF_EGONE, cf_offline_free_range(m.map, keeper.id, 4096, 4097));
	CHECK_EQ(cf_block_remove(m.map, 4096, 5120), 0);
	finish(&keeper);
}

/* The life of a block: everything is as at first after each round. */
static void again_and_again(void)
{
	struct keeper keeper = { 0 };
	struct cf_stat before;
	struct cf_stat after;
	unsigned round;
	size_t count;

	if (!begin(&keeper))
		return;
	before = stat_now();
	for (round = 0; round < 20; round++) {
		count = fill(kernel(round % 10), frame, MOST);
		put_all(frame, count);
		CHECK_EQ(cf_block_offline(m.map, 1024, 4096, 3, NULL), 0);
		CHECK_EQ(stat_now().present, 1024);
		CHECK(machine_verify());
		online_again(1024, 4096);
		CHECK(cf_drain(m.map) == 0);
		after = stat_now();
		CHECK(memcmp(&before, &after, sizeof(before)) == 0);
	}
	finish(&keeper);
}

int main(void)
{
	tap_run("from start to done", to_the_end);
	tap_run("isolation sticks", isolation_sticks);
	tap_run("large runs count their chunks off", large_runs_count_off);
	tap_run("operations that meet", operations_that_meet);
	tap_run("starts and questions that are refused", start_refuses);
	tap_run("a question only looks", query_only_looks);
	tap_run("a bound on passes", bounded);
	tap_run("a cache that cannot be emptied", cache_that_stays);
	tap_run("what is stepped over", stepped_over);
	tap_run("marked while it is under way", marked_under_way);
	tap_run("offline and online again and again", again_and_again);
	tap_run("what is beside it moves", moves_beside);
	return tap_done();
}
