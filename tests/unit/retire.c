/* SPDX-License-Identifier: MIT */
/*
 * Bad frames: out for good, whatever they were, through everything that
 * happens to their block.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST	4096

static cf_pfn frame[MOST];

static bool begin(struct keeper *keeper, unsigned poison_max)
{
	struct machine_config config = { .blocks = 3, .absent = 1,
					 .poison_max = poison_max };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", HOOKS_ALL));
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

static enum cf_retire_state retire(cf_pfn pfn)
{
	enum cf_retire_state state = CF_RETIRE_NONE;

	CHECK_EQ(cf_retire(m.map, pfn, &state), 0);
	CHECK_EQ(cf_retire_state(m.map, pfn), state);
	return state;
}

static bool is_retired(cf_pfn pfn)
{
	struct cf_snapshot run;

	return !cf_snapshot(m.map, pfn, &run) &&
	       run.type == CF_TYPE_RETIRED && run.order == 0;
}

/* Use all memory: the frame is never handed out. */
static void check_never_given(cf_pfn bad)
{
	size_t count = fill(kernel(0), frame, MOST);
	size_t i;

	for (i = 0; i < count; i++)
		if (frame[i] == bad)
			break;
	CHECK_EQ(i, count);
	put_all(frame, count);
}

/* Pending frames go when their run does: all but them are free again. */
static void check_gone(cf_pfn bad)
{
	CHECK(is_retired(bad));
	CHECK_EQ(cf_retire_state(m.map, bad), CF_RETIRE_DONE);
	CHECK_EQ(stat_now().retired, 1);
	CHECK_EQ(unused_frames(), 3071);
	check_never_given(bad);
	CHECK(machine_verify());
}

/* The first frame of a block is not the one before's. */
static void first_of_a_block(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(retire(m.block), CF_RETIRE_DONE);
	check_gone(m.block);
	CHECK_EQ(block_info(0).retired, 0);
	CHECK_EQ(block_info(m.block).retired, 1);
	finish(&keeper);
}

/* Who waits for a chunk is told also if what goes last is bad. */
static void last_of_a_chunk(void)
{
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };
	cf_pfn pfn = 512 + 99;

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 1, kernel(0), NULL), 0);
	CHECK_EQ(retire(pfn), CF_RETIRE_PENDING);
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block, NULL),
		 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 0);
	cf_put(m.map, pfn);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 1);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_CHUNK_EMPTY], 512);
	CHECK_EQ(cf_block_offline_cancel(&operation), 0);
	check_gone(pfn);
	finish(&keeper);
}

static void free_frames(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_retire_state(m.map, 700), CF_RETIRE_NONE);
	CHECK_EQ(retire(700), CF_RETIRE_DONE);
	check_gone(700);
	CHECK_EQ(stat_now().managed, 3071);
	/* Twice is once. */
	CHECK_EQ(retire(700), CF_RETIRE_DONE);
	CHECK_EQ(stat_now().retired, 1);
	CHECK_EQ(block_info(0).chunks_isolated, 0);
	finish(&keeper);
}

static void frames_in_stock(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	pfn = alloc(kernel(0));
	cf_put(m.map, pfn);
	CHECK(stat_now().cached > 0);
	CHECK_EQ(retire(pfn), CF_RETIRE_DONE);
	check_gone(pfn);
	finish(&keeper);
}

/* How a run can go. */
enum way { PUT, FREE_FROZEN, RELEASE, FREE_RANGE, UNPIN, WAYS };

static cf_pfn make(enum way way, unsigned order, uint32_t owner)
{
	cf_pfn pfn;

	if (way == FREE_FROZEN)
		return alloc(with_flags(kernel(order), CF_ALLOC_FROZEN));
	if (way == RELEASE)
		return alloc(folio(order, owner));
	pfn = alloc(kernel(order));
	if (way == UNPIN) {
		CHECK_EQ(cf_pin(m.map, pfn), 0);
		cf_put(m.map, pfn);
	}
	return pfn;
}

static void let_go(enum way way, cf_pfn pfn, unsigned order)
{
	if (way == FREE_FROZEN)
		cf_free_frozen(m.map, pfn, order);
	else if (way == FREE_RANGE)
		cf_free_range(m.map, pfn, pfn + ((cf_pfn)1 << order));
	else if (way == UNPIN)
		cf_unpin(m.map, pfn);
	else
		cf_put(m.map, pfn);
}

/* In use: its run splits around it when it goes. */
static void in_use(enum way way, unsigned order)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn, bad;

	if (!begin(&keeper, 0))
		return;
	pfn = make(way, order, keeper.id);
	bad = pfn + ((cf_pfn)1 << order) / 3;
	CHECK_EQ(retire(bad), CF_RETIRE_PENDING);
	CHECK(has_flags(pfn, CF_FLAG_POISON));
	CHECK_EQ(stat_now().retired, 0);
	CHECK(machine_verify());
	CHECK_EQ(retire(bad), CF_RETIRE_PENDING);
	let_go(way, pfn, order);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], way == RELEASE);
	check_gone(bad);
	finish(&keeper);
}

static void frames_in_use(void)
{
	unsigned way, order;

	for (way = 0; way < WAYS; way++)
		for (order = 0; order <= 11; order++)
			in_use((enum way)way, order);
}

/* The last free of an isolated chunk is told, also around a bad frame. */
static void in_isolated_chunks(void)
{
	struct cf_offline operation = { { 0 } };
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 1024, 1028, kernel(0), NULL), 0);
	CHECK_EQ(retire(1026), CF_RETIRE_PENDING);
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 1024, 2048, NULL),
		 0);
	m.signals[CF_SIGNAL_CHUNK_EMPTY] = 0;
	cf_put(m.map, 1024);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 1);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_CHUNK_EMPTY], 1024);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	check_gone(1026);
	finish(&keeper);
}

/* Several bad frames in one run, at its ends and beside each other. */
static void many_in_one_run(void)
{
	static const cf_pfn bad[] = { 0, 1, 63, 511, 512, 1023, 1024, 2047 };
	struct keeper keeper = { 0 };
	unsigned i;
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	pfn = alloc(kernel(11));
	for (i = 0; i < 8; i++)
		CHECK_EQ(retire(pfn + bad[i]), CF_RETIRE_PENDING);
	cf_put(m.map, pfn);
	for (i = 0; i < 8; i++)
		CHECK(is_retired(pfn + bad[i]));
	CHECK_EQ(stat_now().retired, 8);
	CHECK_EQ(unused_frames(), 3072 - 8);
	CHECK(machine_verify());
	finish(&keeper);
}

/* Split first: only the part with the bad frame is marked in the end. */
static void split_runs(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn, at;

	if (!begin(&keeper, 0))
		return;
	pfn = alloc(with_flags(kernel(10), CF_ALLOC_FROZEN));
	CHECK_EQ(retire(pfn + 700), CF_RETIRE_PENDING);
	CHECK_EQ(cf_split(m.map, pfn, 2), 0);
	CHECK(has_flags(pfn + 700, CF_FLAG_POISON));
	for (at = pfn; at < pfn + 1024; at += 4)
		cf_free_frozen(m.map, at, 2);
	check_gone(pfn + 700);
	finish(&keeper);
}

/* Moved away, it leaves the bad frame behind. */
static void moved_runs(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 1024, 1536, folio(0, keeper.id), NULL),
		 0);
	CHECK_EQ(retire(1100), CF_RETIRE_PENDING);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	CHECK(!has_flags(keeper.target, CF_FLAG_POISON));
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	CHECK(is_retired(1100));
	cf_put(m.map, keeper.target);
	check_gone(1100);
	finish(&keeper);
}

/* Offline frames go when they are given back. */
static void offline_frames(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 10, CF_FLAG_MOVABLE, &pfn),
		 0);
	CHECK_EQ(retire(pfn + 5), CF_RETIRE_PENDING);
	CHECK_EQ(stat_now().offline, 1024);
	/* Cut and given back around it. */
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, pfn + 512, pfn + 1024),
		 0);
	CHECK_EQ(cf_retire_state(m.map, pfn + 5), CF_RETIRE_PENDING);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, pfn, pfn + 512), 0);
	check_gone(pfn + 5);
	/* Its owner may give the whole again; the bad one is passed over. */
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, pfn, pfn + 5, 0,
					NULL), 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, pfn + 6, pfn + 1024,
					0, NULL), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, pfn, pfn + 1024), 0);
	check_gone(pfn + 5);
	finish(&keeper);
}

/* A balloon's run moves away from it. */
static void moved_offline_frames(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1028,
					CF_FLAG_MOVABLE, NULL), 0);
	CHECK_EQ(retire(1026), CF_RETIRE_PENDING);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	CHECK(!has_flags(keeper.target, CF_FLAG_POISON));
	CHECK_EQ(cf_offline_free(m.map, keeper.id, keeper.target, 2), 0);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	check_gone(1026);
	finish(&keeper);
}

/* Known before its block is in use, or even there. */
static void before_its_block(void)
{
	struct cf_block_config block = { .meta = CF_META_PORT };
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(retire(3072 + 600), CF_RETIRE_PENDING);
	CHECK_EQ(cf_block_add(m.map, 3072, 4096, &block), 0);
	CHECK_EQ(retire(3072 + 601), CF_RETIRE_PENDING);
	CHECK_EQ(cf_block_online(m.map, 3072, 4096, CF_ZONE_NORMAL, NULL), 0);
	CHECK(is_retired(3072 + 600) && is_retired(3072 + 601));
	CHECK_EQ(stat_now().retired, 2);
	CHECK_EQ(stat_now().managed, 4096 - 2);
	CHECK_EQ(m.exposed, 4096 - 2);
	CHECK(machine_verify());
	finish(&keeper);
}

/* A range owner's hook may give all of it: the bad one stays. */
static void give_all(struct keeper *keeper, enum hook hook, cf_pfn first,
		     unsigned order)
{
	(void)order;
	if (hook == HOOK_ONLINE)
		CHECK_EQ(cf_offline_free_range(m.map, keeper->id, first,
					       keeper->online_last), 0);
}

static void through_everything(void)
{
	struct cf_block_config block = { .meta = CF_META_PORT };
	struct keeper keeper = { .then = give_all };
	unsigned round;

	if (!begin(&keeper, 0))
		return;
	block.range_owner = keeper.id;
	CHECK_EQ(retire(3673), CF_RETIRE_PENDING);
	for (round = 0; round < 3; round++) {
		CHECK_EQ(cf_block_add(m.map, 3072, 4096, &block), 0);
		CHECK_EQ(cf_retire_state(m.map, 3673), CF_RETIRE_PENDING);
		CHECK_EQ(cf_block_online(m.map, 3072, 4096, CF_ZONE_NORMAL,
					 NULL), 0);
		CHECK(is_retired(3673));
		CHECK_EQ(stat_now().offline, 0);
		CHECK_EQ(unused_frames(), 4095);
		check_never_given(3673);
		CHECK_EQ(cf_block_offline(m.map, 3072, 4096, 2, NULL), 0);
		CHECK_EQ(cf_retire_state(m.map, 3673), CF_RETIRE_PENDING);
		CHECK_EQ(cf_block_online(m.map, 3072, 4096, CF_ZONE_MOVABLE,
					 NULL), 0);
		CHECK_EQ(cf_retire_state(m.map, 3673), CF_RETIRE_DONE);
		CHECK_EQ(cf_block_offline(m.map, 3072, 4096, 2, NULL), 0);
		CHECK(machine_verify());
		CHECK_EQ(cf_block_remove(m.map, 3072, 4096), 0);
		CHECK_EQ(cf_retire_state(m.map, 3673), CF_RETIRE_PENDING);
	}
	finish(&keeper);
}

/* One that holds the block's own metadata. */
static void in_metadata(void)
{
	struct cf_block_config block = { .meta = CF_META_SELF };
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK_EQ(cf_block_add(m.map, 3072, 4096, &block), 0);
	CHECK_EQ(cf_block_online(m.map, 3072, 4096, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(retire(3073), CF_RETIRE_PENDING);
	CHECK_EQ(snapshot(3072).type, CF_TYPE_RESERVED);
	CHECK(machine_verify());
	CHECK_EQ(cf_block_offline(m.map, 3072, 4096, 2, NULL), 0);
	CHECK_EQ(cf_block_online(m.map, 3072, 4096, CF_ZONE_NORMAL, NULL), 0);
	CHECK(machine_verify());
	finish(&keeper);
}

static void refuses(void)
{
	struct keeper keeper = { 0 };
	enum cf_retire_state state = CF_RETIRE_NONE;
	cf_pfn pfn;

	if (!begin(&keeper, 3))
		return;
	FAILS(CF_EINVAL, cf_retire(m.map, m.last, &state));
	FAILS(CF_EINVAL, cf_retire(m.map, CF_PFN_NONE, &state));
	pfn = alloc(kernel(0));
	cfi_store_relaxed(&m.map->cpu[1].busy, 1);
	FAILS(CF_EAGAIN, cf_retire(m.map, 5, &state));
	cfi_store_relaxed(&m.map->cpu[1].busy, 0);
	CHECK_EQ(cf_retire_state(m.map, 5), CF_RETIRE_NONE);
	cf_put(m.map, pfn);
	CHECK_EQ(retire(2000), CF_RETIRE_DONE);
	CHECK_EQ(retire(2001), CF_RETIRE_DONE);
	CHECK_EQ(retire(3500), CF_RETIRE_PENDING);	/* absent */
	state = CF_RETIRE_DONE;
	FAILS(CF_ELIMIT, cf_retire(m.map, 2002, &state));
	CHECK_EQ(state, CF_RETIRE_DONE);
	CHECK_EQ(cf_retire_state(m.map, 2002), CF_RETIRE_NONE);
	/* One that is known needs no room. */
	CHECK_EQ(retire(2000), CF_RETIRE_DONE);
	CHECK_EQ(retire(3500), CF_RETIRE_PENDING);
	finish(&keeper);
}

int main(void)
{
	tap_run("free frames", free_frames);
	tap_run("the first frame of a block", first_of_a_block);
	tap_run("the last frame of a chunk that is waited for",
		last_of_a_chunk);
	tap_run("frames in stock", frames_in_stock);
	tap_run("frames in use, however they go", frames_in_use);
	tap_run("in use while their chunk is isolated", in_isolated_chunks);
	tap_run("many in one run", many_in_one_run);
	tap_run("runs that are split", split_runs);
	tap_run("runs that move", moved_runs);
	tap_run("offline frames", offline_frames);
	tap_run("offline frames that move", moved_offline_frames);
	tap_run("known before its block", before_its_block);
	tap_run("through offline, online, remove and add", through_everything);
	tap_run("in a block's own metadata", in_metadata);
	tap_run("a full table and other refusals", refuses);
	return tap_done();
}
