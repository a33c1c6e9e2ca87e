/* SPDX-License-Identifier: MIT */
/*
 * Many runs out of use at once: what is scattered, what watermarks leave,
 * what other nodes have, and blocks that are not the owner's among them.
 */
#include "tests/unit/machine.h"

#define MOST	6144

static cf_pfn frame[MOST];
static cf_pfn taken[MOST];
static struct keeper keeper;

static bool begin(struct machine_config config)
{
	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(&keeper, "keeper", 1u << HOOK_ONLINE |
				1u << HOOK_MIGRATE));
}

static void finish(void)
{
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static int take(unsigned order, uint32_t flags, size_t count, size_t *ret_done)
{
	return cf_offline_alloc_bulk(m.map, keeper.id, order, flags, count,
				     taken, ret_done);
}

/* Each is a run by itself, marked, and given back by itself. */
static void give(unsigned order, uint32_t flags, size_t count)
{
	while (count > 0) {
		struct cf_snapshot run = snapshot(taken[--count]);

		CHECK(run.type == CF_TYPE_OFFLINE && run.order == order &&
		      run.flags == flags && run.owner == keeper.id);
		CHECK_EQ(cf_offline_free(m.map, keeper.id, taken[count],
					 order), 0);
	}
	CHECK_EQ(stat_now().offline, 0);
}

static void each_of_many(void)
{
	unsigned order;
	size_t done;

	if (!begin((struct machine_config){ .blocks = 2, .movable = 1 }))
		return;
	for (order = 0; order <= 10; order++) {
		CHECK_EQ(take(order, 0, MOST, &done), -CF_ENOMEM);
		CHECK_EQ(done, 2048 >> order);
		CHECK_EQ(stat_now().offline, 2048);
		give(order, 0, done);
		CHECK_EQ(take(order, CF_FLAG_MOVABLE, 3072 >> order, &done),
			 0);
		CHECK_EQ(done, 3072 >> order);
		give(order, CF_FLAG_MOVABLE, done);
	}
	finish();
}

/* No two neighbours are free: every run is found, and no other. */
static void scattered(void)
{
	size_t count, done, i;
	unsigned order;

	for (order = 0; order <= 3; order++) {
		if (!begin((struct machine_config){ .blocks = 2 }))
			return;
		count = fill(kernel(order), frame, MOST);
		CHECK_EQ(count, 2048 >> order);
		for (i = 0; i < count; i++)
			if (frame[i] >> order & 1)
				cf_put(m.map, frame[i]);
		CHECK_EQ(take(order, 0, MOST, &done), -CF_ENOMEM);
		CHECK_EQ(done, count / 2);
		for (i = 0; i < done; i++)
			CHECK(taken[i] >> order & 1);
		give(order, 0, done);
		for (i = 0; i < count; i++)
			if (!(frame[i] >> order & 1))
				cf_put(m.map, frame[i]);
		finish();
	}
}

/* Down to what the marks keep, told once, and not a frame further. */
static void at_the_marks(void)
{
	struct cf_watermarks marks = { 300, 500, 700 };
	size_t done;

	if (!begin((struct machine_config){ .blocks = 2 }))
		return;
	CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, marks), 0);
	CHECK_EQ(take(0, 0, 2048 - 500, &done), 0);
	CHECK_EQ(m.signals[CF_SIGNAL_LOW], 0);
	give(0, 0, done);
	CHECK_EQ(take(0, 0, MOST, &done), -CF_ENOMEM);
	CHECK_EQ(done, 2048 - 300);
	CHECK_EQ(m.signals[CF_SIGNAL_LOW], 1);
	give(0, 0, done);
	CHECK_EQ(take(2, 0, MOST, &done), -CF_ENOMEM);
	CHECK_EQ(done, (2048 - 300) / 4);
	CHECK_EQ(m.signals[CF_SIGNAL_LOW], 2);
	give(2, 0, done);
	finish();
}

static void all_nodes(void)
{
	size_t done;

	if (!begin((struct machine_config){ .blocks = 1, .movable = 1,
					    .nodes = 3 }))
		return;
	CHECK_EQ(take(0, 0, MOST, &done), -CF_ENOMEM);
	CHECK_EQ(done, 3 * 1024);
	give(0, 0, done);
	CHECK_EQ(take(0, CF_FLAG_MOVABLE, MOST, &done), 0);
	CHECK_EQ(done, MOST);
	give(0, CF_FLAG_MOVABLE, done);
	finish();
}

/* SKIPPABLE is for the owner's ranges: others' frames are free again. */
static void not_my_block(void)
{
	uint64_t unused;
	size_t done;

	if (!begin((struct machine_config){ .blocks = 1, .absent = 1 }))
		return;
	CHECK(add_online(1024, 2048, CF_ZONE_NORMAL, keeper.id));
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1024, 2048), 0);
	unused = unused_frames();
	CHECK_EQ(unused, 2048);
	CHECK_EQ(take(0, CF_FLAG_SKIPPABLE, MOST, &done), -CF_EREFUSED);
	CHECK(done == 0 || done == 1024);
	CHECK_EQ(unused_frames(), unused - done);
	CHECK_EQ(stat_now().skippable, done);
	give(0, CF_FLAG_SKIPPABLE, done);
	/* With the others' in use there is nothing else to be found. */
	CHECK_EQ(cf_offline_alloc_range(m.map, CF_OWNER_NONE, 0, 1024, 0,
					NULL), 0);
	CHECK_EQ(take(0, CF_FLAG_SKIPPABLE, MOST, &done), -CF_ENOMEM);
	CHECK_EQ(done, 1024);
	CHECK_EQ(stat_now().skippable, 1024);
	while (done > 0)
		CHECK_EQ(cf_offline_free(m.map, keeper.id, taken[--done], 0),
			 0);
	CHECK_EQ(cf_offline_free_range(m.map, CF_OWNER_NONE, 0, 1024), 0);
	CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, CF_OWNER_NONE), 0);
	finish();
}

int main(void)
{
	tap_run("many runs of every order, each by itself", each_of_many);
	tap_run("runs no two of which are neighbours", scattered);
	tap_run("many runs stop where single ones do", at_the_marks);
	tap_run("many runs come from every node", all_nodes);
	tap_run("skippable runs are of the owner's blocks", not_my_block);
	return tap_done();
}
