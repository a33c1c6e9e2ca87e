/* SPDX-License-Identifier: MIT */
/*
 * Maps created with debug_pagealloc: what is not in use cannot be touched.
 * Frames are touched in a child, which dies of it or does not.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/machine.h"

/* Does a child live that reads and writes the frame? */
static bool is_usable(cf_pfn pfn)
{
	const struct rlimit no_core = { 0, 0 };
	int status = 0;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		volatile unsigned char *byte =
			m.memory.base + pfn * CF_FRAME_BYTES;

		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGSEGV, SIG_DFL);
		byte[4095] = (unsigned char)(byte[0] + 1);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* First and last frame, and neither neighbour. */
static void check_usable(cf_pfn first, cf_pfn last, bool usable)
{
	CHECK_EQ(is_usable(first), usable);
	CHECK_EQ(is_usable(last - 1), usable);
	if (first > 0)
		CHECK(!is_usable(first - 1));
	if (last < m.last)
		CHECK(!is_usable(last));
}

static bool begin(struct keeper *keeper)
{
	struct machine_config config = { .blocks = 3, .absent = 1,
					 .debug_pagealloc = true };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", HOOKS_ALL));
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

static void in_use(void)
{
	static const unsigned order[] = { 0, 3, 9, 10, 11 };
	struct keeper keeper = { 0 };
	unsigned i;
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	for (i = 0; i < 5; i++) {
		cf_pfn count = (cf_pfn)1 << order[i];

		pfn = alloc(kernel(order[i]));
		check_usable(pfn, pfn + count, true);
		cf_put(m.map, pfn);
		check_usable(pfn, pfn + count, false);
		pfn = alloc(with_flags(kernel(order[i]),
				       CF_ALLOC_FROZEN | CF_ALLOC_ZERO));
		check_usable(pfn, pfn + count, true);
		cf_free_frozen(m.map, pfn, order[i]);
		check_usable(pfn, pfn + count, false);
	}
	/* Nothing stays in stock, where it could be touched. */
	CHECK_EQ(stat_now().cached, 0);
	finish(&keeper);
}

static void ranges(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 500, 1500, kernel(0), NULL), 0);
	check_usable(500, 1500, true);
	cf_free_range(m.map, 500, 1500);
	check_usable(500, 1500, false);
	cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, 1);
	FAILS(CF_EPORT, cf_alloc_range(m.map, 500, 1500,
				       with_flags(kernel(0), CF_ALLOC_ZERO),
				       NULL));
	cf_host_fault_disarm(&m.memory);
	check_usable(500, 1500, false);
	finish(&keeper);
}

/* Offline frames are for nobody to touch, exposed or not. */
static void offline_frames(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin(&keeper) ||
	    !CHECK(add_online(3072, 4096, CF_ZONE_NORMAL, keeper.id)))
		return;
	check_usable(3072, 4096, false);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 3072, 4096), 0);
	check_usable(3072, 4096, false);
	pfn = alloc(kernel(4));
	CHECK(is_usable(pfn));
	cf_put(m.map, pfn);
	CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 4, 0, &pfn), 0);
	check_usable(pfn, pfn + 16, false);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, pfn, 4), 0);
	check_usable(pfn, pfn + 16, false);
	CHECK_EQ(cf_block_adopt(m.map, 3072, 4096, 0), 0);
	finish(&keeper);
}

/* A moved run can be used where it is, not where it was. */
static void moved_runs(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 1032, 1040, folio(0, keeper.id), NULL),
		 0);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	check_usable(keeper.target, keeper.target + 8, true);
	check_usable(1032, 1040, false);
	cf_put(m.map, keeper.target);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	/* Offline runs: neither side ever. */
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1026,
					CF_FLAG_MOVABLE, NULL), 0);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	CHECK(!is_usable(keeper.target) && !is_usable(1024));
	CHECK_EQ(cf_offline_free(m.map, keeper.id, keeper.target, 1), 0);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	pfn = alloc(kernel(11));
	check_usable(pfn, pfn + 2048, true);
	cf_put(m.map, pfn);
	finish(&keeper);
}

/* A move that fails leaves the source usable, the target not. */
static void failed_moves(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 1032, 1040, folio(0, keeper.id), NULL),
		 0);
	keeper.answer[HOOK_MIGRATE] = -CF_EREFUSED;
	FAILS(CF_EBUSY, cf_block_offline(m.map, 1024, 2048, 2, NULL));
	check_usable(1032, 1040, true);
	CHECK(!is_usable(keeper.target));
	cf_put(m.map, 1032);
	finish(&keeper);
}

static void blocks(void)
{
	struct keeper keeper = { 0 };
	enum cf_retire_state state;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_retire(m.map, 70, &state), 0);
	CHECK(!is_usable(70));
	CHECK_EQ(cf_block_offline(m.map, 0, 1024, 2, NULL), 0);
	CHECK(!is_usable(0));
	CHECK_EQ(cf_block_online(m.map, 0, 1024, CF_ZONE_NORMAL, NULL), 0);
	CHECK(!is_usable(0));
	CHECK(!is_usable(3072));
	finish(&keeper);
}

/* What a block hosts of itself is in use for as long as it is there. */
static void metadata_in_the_block(void)
{
	struct cf_block_config self = { .meta = CF_META_SELF };
	struct keeper keeper = { 0 };
	cf_pfn last;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_add(m.map, 3072, 4096, &self), 0);
	CHECK_EQ(cf_block_online(m.map, 3072, 4096, CF_ZONE_NORMAL, NULL), 0);
	last = 3072 + block_info(3072).reserved;
	check_usable(3072, last, true);
	CHECK_EQ(cf_block_offline(m.map, 3072, 4096, 2, NULL), 0);
	check_usable(3072, last, true);
	CHECK_EQ(cf_block_remove(m.map, 3072, 4096), 0);
	check_usable(3072, last, false);
	finish(&keeper);
}

int main(void)
{
	tap_run("runs in use", in_use);
	tap_run("ranges", ranges);
	tap_run("offline frames", offline_frames);
	tap_run("runs that move", moved_runs);
	tap_run("moves that fail", failed_moves);
	tap_run("blocks", blocks);
	tap_run("metadata in the block itself", metadata_in_the_block);
	return tap_done();
}
