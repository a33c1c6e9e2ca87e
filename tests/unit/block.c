/* SPDX-License-Identifier: MIT */
/*
 * Onlining: states, hooks, exposure, who may refuse, and that giving up
 * leaves nothing.
 * Blocks of a range owner whose hook exposes what a test says.
 */
#include "tests/unit/machine.h"

/* Expose the first half of a block. */
static void expose_half(struct keeper *keeper, enum hook hook, cf_pfn first,
			unsigned order)
{
	(void)order;
	if (hook == HOOK_ONLINE)
		CHECK_EQ(cf_offline_free_range(m.map, keeper->id, first,
					       first + m.block / 2), 0);
}

static bool begin(struct keeper *keeper)
{
	struct machine_config config = { .blocks = 1, .absent = 4 };
	struct cf_block_config block = { .meta = CF_META_PORT };

	if (!CHECK(machine_make(config)) ||
	    !CHECK(keeper_add(keeper, "keeper", HOOKS_ALL)))
		return false;
	block.range_owner = keeper->id;
	return CHECK_EQ(cf_block_add(m.map, 1024, 3072, &block), 0);
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

static int online(cf_pfn first, cf_pfn last, struct cf_report *report)
{
	return cf_block_online(m.map, first, last, CF_ZONE_NORMAL, report);
}

/* Without a range owner everything is exposed, block by block. */
static void without_owner(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_adopt(m.map, 1024, 3072, 0), 0);
	m.exposed = 0;
	CHECK_EQ(online(1024, 3072, NULL), 0);
	CHECK_EQ(m.exposed, 2048);
	CHECK_EQ(m.returned, 0);
	CHECK_EQ(keeper.calls[HOOK_ONLINE], 0);
	CHECK_EQ(stat_now().managed, 3072);
	CHECK_EQ(stat_now().free, 3072);
	CHECK_EQ(whole_chunks(), 6);
	finish(&keeper);
}

/* The hook is asked once a block and exposes what it likes. */
static void partly_exposed(void)
{
	struct keeper keeper = { .then = expose_half };
	cf_pfn first = 0;
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	m.exposed = 0;
	CHECK_EQ(online(1024, 3072, NULL), 0);
	CHECK_EQ(keeper.calls[HOOK_ONLINE], 2);
	CHECK_EQ(keeper.pfn[HOOK_ONLINE], 2048);
	CHECK_EQ(keeper.online_last, 3072);
	CHECK_EQ(m.exposed, 1024);
	CHECK_EQ(stat_now().present, 3072);
	CHECK_EQ(stat_now().managed, 2048);
	CHECK_EQ(stat_now().offline, 1024);
	CHECK_EQ(stat_now().never_onlined, 1024);
	CHECK_EQ(snapshot(1536).order, 9);
	CHECK_EQ(snapshot(1536).owner, keeper.id);
	CHECK_EQ(snapshot(1536).flags, CF_FLAG_NEVER_ONLINED);
	/* What is exposed is given out, the rest is not. */
	while (!cf_alloc(m.map, kernel(9), &pfn)) {
		CHECK(pfn < 1024 || pfn % 1024 == 0);
		first += pfn >= 1024;
		CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	}
	CHECK_EQ(first, 2);
	for (pfn = 0; pfn < 3072; pfn += 512)
		if (is_head(pfn) && snapshot(pfn).type == CF_TYPE_KERNEL)
			cf_free_frozen(m.map, pfn, 9);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1536, 2048), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 2560, 3072), 0);
	CHECK_EQ(stat_now().managed, 3072);
	finish(&keeper);
}

/* While the hook runs nothing of the block is given out. */
static void try_to_get(struct keeper *keeper, enum hook hook, cf_pfn first,
		       unsigned order)
{
	cf_pfn pfn;

	if (hook != HOOK_ONLINE)
		return;
	CHECK_EQ(block_info(first).state, CF_BLOCK_GOING_ONLINE);
	expose_half(keeper, hook, first, order);
	/* The other block has chunk 1 left, this one's are not listed. */
	CHECK_EQ(cf_alloc(m.map, kernel(9), &pfn), 0);
	CHECK_EQ(pfn / 1024, 0);
	FAILS_PARTLY(CF_ENOMEM, cf_alloc(m.map, kernel(9), &pfn));
	cf_put(m.map, pfn);
}

static void not_before_it_is_online(void)
{
	struct keeper keeper = { .then = try_to_get };
	cf_pfn pfn;

	if (!begin(&keeper))
		return;
	pfn = alloc(kernel(9));
	CHECK_EQ(online(1024, 2048, NULL), 0);
	cf_put(m.map, pfn);
	keeper.then = NULL;
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1536, 2048), 0);
	finish(&keeper);
}

/* Every refusal leaves offline blocks without a word. */
static void check_refused(const struct cf_report *report,
			  enum cf_reason reason, cf_pfn pfn)
{
	CHECK_EQ(report->reason, reason);
	CHECK_EQ(report->pfn, pfn);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_OFFLINE);
	CHECK_EQ(block_info(2048).state, CF_BLOCK_OFFLINE);
}

static void the_hook_refuses(void)
{
	struct keeper keeper = { .then = expose_half };
	struct cf_report report;
	struct cf_owner_info info;

	if (!begin(&keeper))
		return;
	keeper.answer[HOOK_ONLINE] = -CF_ENOMEM;
	FAILS(CF_EREFUSED, cf_block_online(m.map, 1024, 3072, CF_ZONE_NORMAL,
					   &report));
	check_refused(&report, CF_REASON_OWNER, 1024);
	CHECK_EQ(report.owner, keeper.id);
	CHECK(report.who && strcmp(report.who, "keeper") == 0);
	CHECK_EQ(cf_owner_info(m.map, keeper.id, &info), 0);
	CHECK_EQ(info.frames, 0);
	keeper.answer[HOOK_ONLINE] = 0;
	CHECK_EQ(online(1024, 3072, &report), 0);
	CHECK_EQ(report.reason, CF_REASON_NONE);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1536, 2048), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 2560, 3072), 0);
	finish(&keeper);
}

/* Only the second block is refused: the first goes back, too. */
static void refuse_second(struct keeper *keeper, enum hook hook, cf_pfn first,
			  unsigned order)
{
	(void)order;
	if (hook != HOOK_ONLINE)
		return;
	keeper->answer[hook] = first == 2048 ? -CF_EREFUSED : 0;
	CHECK_EQ(cf_offline_free_range(m.map, keeper->id, first,
				       first + m.block), 0);
}

static void the_second_block_refuses(void)
{
	struct keeper keeper = { .then = refuse_second };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	FAILS(CF_EREFUSED, cf_block_online(m.map, 1024, 3072, CF_ZONE_NORMAL,
					   &report));
	check_refused(&report, CF_REASON_OWNER, 2048);
	CHECK_EQ(online(1024, 2048, NULL), 0);
	finish(&keeper);
}

static void the_port_refuses(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	unsigned nth;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_adopt(m.map, 1024, 3072, 0), 0);
	for (nth = 1; nth <= 2; nth++) {
		cf_host_fault_arm(&m.memory, CF_HOST_FIRST_EXPOSED, nth);
		FAILS(CF_EPORT, cf_block_online(m.map, 1024, 3072,
						CF_ZONE_NORMAL, &report));
		cf_host_fault_disarm(&m.memory);
		check_refused(&report, CF_REASON_PORT, nth * 1024);
	}
	finish(&keeper);
}

static void wrong_calls(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper))
		return;
	FAILS(CF_EINVAL, cf_block_online(m.map, 1024, 1024, CF_ZONE_NORMAL,
					 &report));
	FAILS(CF_EINVAL, cf_block_online(m.map, 2048, 1024, CF_ZONE_NORMAL,
					 &report));
	FAILS(CF_EINVAL, cf_block_online(m.map, 1024, 2000, CF_ZONE_NORMAL,
					 &report));
	FAILS(CF_EINVAL, cf_block_online(m.map, 1024, m.last + 1024,
					 CF_ZONE_NORMAL, &report));
	FAILS(CF_EINVAL, cf_block_online(m.map, 1024, 2048, CF_ZONE_DEVICE,
					 &report));
	FAILS(CF_EINVAL, cf_block_online(m.map, 1024, 2048, CF_ZONE_COUNT,
					 &report));
	FAILS(CF_EGONE, cf_block_online(m.map, 1024, 4096, CF_ZONE_NORMAL,
					&report));
	check_refused(&report, CF_REASON_HOLE, 3072);
	FAILS(CF_EBUSY, cf_block_online(m.map, 0, 3072, CF_ZONE_NORMAL,
					&report));
	check_refused(&report, CF_REASON_STATE, 0);
	CHECK_EQ(keeper.calls[HOOK_ONLINE], 0);
	finish(&keeper);
}

/* Its zone is said anew each time. */
static void zone_changes(void)
{
	struct keeper keeper = { 0 };
	struct cf_zone_stat stat;
	unsigned kind;

	if (!begin(&keeper))
		return;
	CHECK_EQ(cf_block_adopt(m.map, 1024, 3072, 0), 0);
	for (kind = 0; kind < 4; kind++) {
		enum cf_zone_kind zone = (enum cf_zone_kind)(kind % 2);

		CHECK_EQ(cf_block_online(m.map, 1024, 3072, zone, NULL), 0);
		CHECK_EQ(block_info(1024).zone, zone);
		CHECK_EQ(cf_zone_stat(m.map, 0, zone, &stat), 0);
		CHECK_EQ(stat.blocks, zone == CF_ZONE_NORMAL ? 3 : 2);
		CHECK(machine_verify());
		CHECK_EQ(cf_block_offline(m.map, 1024, 3072, 2, NULL), 0);
		CHECK_EQ(cf_zone_stat(m.map, 0, zone, &stat), 0);
		CHECK_EQ(stat.blocks, zone == CF_ZONE_NORMAL ? 1 : 0);
	}
	finish(&keeper);
}

/* What is in the way is told with its size. */
static void told_with_its_size(void)
{
	struct machine_config config = { .blocks = 1, .absent = 1 };
	struct cf_report report;

	if (!CHECK(machine_make(config)))
		return;
	FAILS(CF_EGONE, cf_block_online(m.map, m.block, 2 * m.block,
					CF_ZONE_NORMAL, &report));
	CHECK_EQ(report.reason, CF_REASON_HOLE);
	CHECK_EQ(report.pfn, m.block);
	CHECK_EQ(report.frames[CF_REASON_HOLE], m.block);
	CHECK(report.who == NULL);
	FAILS(CF_EBUSY, cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL,
					&report));
	CHECK_EQ(report.reason, CF_REASON_STATE);
	CHECK_EQ(report.frames[CF_REASON_STATE], m.block);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("without a range owner everything is exposed", without_owner);
	tap_run("the hook exposes a part", partly_exposed);
	tap_run("nothing is given out before it is online",
		not_before_it_is_online);
	tap_run("the hook refuses", the_hook_refuses);
	tap_run("the hook refuses the second block", the_second_block_refuses);
	tap_run("the port refuses", the_port_refuses);
	tap_run("wrong calls", wrong_calls);
	tap_run("holes are told with their size", told_with_its_size);
	tap_run("NORMAL and MOVABLE in turn", zone_changes);
	return tap_done();
}
