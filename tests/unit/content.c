/* SPDX-License-Identifier: MIT */
/*
 * Readers of contents: sync waits for those that run, not for those that
 * come.  Another context syncs while this one reads.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

static void sync_contents(void *unused)
{
	(void)unused;
	cf_content_sync(m.map);
}

static bool begin(void)
{
	struct machine_config config = { .blocks = 2 };

	return CHECK(machine_make(config));
}

static void nobody_reads(void)
{
	unsigned i;

	if (!begin())
		return;
	for (i = 0; i < 5; i++) {
		cf_content_sync(m.map);
		cf_content_end(m.map, cf_content_begin(m.map));
	}
	CHECK(machine_end());
}

static void waits_for_readers(void)
{
	unsigned first, second, round;

	if (!begin())
		return;
	/* Both tickets have their turn. */
	for (round = 0; round < 2; round++) {
		first = cf_content_begin(m.map);
		second = cf_content_begin(m.map);
		background_begin(sync_contents, NULL);
		CHECK(!background_is_done());
		cf_content_end(m.map, first);
		rest();
		CHECK(!background_is_done());
		cf_content_end(m.map, second);
		background_end();
	}
	CHECK(machine_end());
}

/* Whoever comes while it waits sees OFFLINE: it need not be waited for. */
static void does_not_wait_for_new_ones(void)
{
	unsigned old, new, round;

	if (!begin())
		return;
	for (round = 0; round < 2; round++) {
		old = cf_content_begin(m.map);
		background_begin(sync_contents, NULL);
		new = cf_content_begin(m.map);
		CHECK(!background_is_done());
		cf_content_end(m.map, old);
		background_end();
		cf_content_end(m.map, new);
	}
	CHECK(machine_end());
}

static void offline_block(void *unused)
{
	(void)unused;
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
}

/* A block's frames do not go while somebody reads. */
static void offlining_waits(void)
{
	unsigned ticket;

	if (!begin())
		return;
	ticket = cf_content_begin(m.map);
	background_begin(offline_block, NULL);
	CHECK(!background_is_done());
	cf_content_end(m.map, ticket);
	background_end();
	CHECK_EQ(block_info(1024).state, CF_BLOCK_OFFLINE);
	CHECK(machine_end());
}

/* Neither does a target go to the host while somebody reads it. */
static void moves_wait(void)
{
	struct keeper keeper = { 0 };
	unsigned ticket;

	if (!begin() || !CHECK(keeper_add(&keeper, "keeper", HOOKS_ALL)))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1028,
					CF_FLAG_MOVABLE, NULL), 0);
	ticket = cf_content_begin(m.map);
	background_begin(offline_block, NULL);
	CHECK(!background_is_done());
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 0);
	cf_content_end(m.map, ticket);
	background_end();
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, keeper.target, 2), 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

int main(void)
{
	tap_run("nobody reads", nobody_reads);
	tap_run("sync waits for readers", waits_for_readers);
	tap_run("sync does not wait for new ones", does_not_wait_for_new_ones);
	tap_run("offlining waits for readers", offlining_waits);
	tap_run("targets wait for readers", moves_wait);
	return tap_done();
}
