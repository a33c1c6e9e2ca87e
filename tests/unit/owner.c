/* SPDX-License-Identifier: MIT */
/*
 * Owners: registration, the last put and its verdict, what happens to runs
 * whose owner leaves.  With an owner that writes down what it was asked; read
 * sections are counted at the port's door.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST	2048

static cf_pfn frame[MOST];

/* The linker sends the engine's calls here: --wrap. */
void __real_cf_port_read_lock(void);
void __wrap_cf_port_read_lock(void);

static unsigned sections;

void __wrap_cf_port_read_lock(void)
{
	sections++;
	__real_cf_port_read_lock();
}

static bool begin(struct keeper *keeper, unsigned hooks)
{
	struct machine_config config = { .blocks = 4, .absent = 2 };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", hooks));
}

static bool finish(struct keeper *keeper)
{
	return CHECK(keeper_remove(keeper)) && CHECK(machine_end());
}

static uint64_t frames_of(uint32_t id)
{
	struct cf_owner_info info = { .frames = 0 };

	CHECK_EQ(cf_owner_info(m.map, id, &info), 0);
	return info.frames;
}

static void registration(void)
{
	struct cf_owner_info info = { .name = NULL };
	struct keeper keeper = { 0 };
	uint32_t id = 12345;

	if (!begin(&keeper, 1u << HOOK_MIGRATE | 1u << HOOK_ONLINE))
		return;
	CHECK(keeper.id > CF_OWNER_ORPHAN && keeper.id < CF_OWNERS_MAX);
	CHECK_EQ(cf_owner_info(m.map, keeper.id, &info), 0);
	CHECK(strcmp(info.name, "keeper") == 0);
	CHECK(info.can_migrate && info.can_online && !info.can_dissolve);
	CHECK_EQ(info.frames, 0);
	CHECK_EQ(info.blocks, 0);
	FAILS(CF_EINVAL, cf_owner_register(m.map, NULL, &keeper.ops, NULL,
					   &id));
	FAILS(CF_EINVAL, cf_owner_register(m.map, "n", NULL, NULL, &id));
	FAILS(CF_EINVAL, cf_owner_info(m.map, keeper.id + 1, &info));
	FAILS(CF_EINVAL, cf_owner_info(m.map, CF_OWNERS_MAX, &info));
	FAILS(CF_EINVAL, cf_owner_info(m.map, UINT32_MAX, &info));
	FAILS(CF_EINVAL, cf_owner_unregister(m.map, CF_OWNER_NONE, NULL));
	FAILS(CF_EINVAL, cf_owner_unregister(m.map, CF_OWNER_ORPHAN, NULL));
	FAILS(CF_EINVAL, cf_owner_unregister(m.map, keeper.id + 1, NULL));
	FAILS(CF_EINVAL, cf_owner_unregister(m.map, CF_OWNERS_MAX, NULL));
	FAILS(CF_EINVAL, cf_owner_unregister(m.map, UINT32_MAX, NULL));
	CHECK_EQ(id, 12345);
	CHECK_EQ(info.can_online, true);
	CHECK(keeper_remove(&keeper));
	FAILS(CF_EINVAL, cf_owner_unregister(m.map, keeper.id, NULL));
	CHECK(machine_end());
}

/* What walkers are told of owners. */
static void traits(void)
{
	struct keeper keeper = { .ops = { .private_frozen = false } };

	if (!begin(&keeper, 1u << HOOK_MIGRATE))
		return;
	CHECK_EQ(cf_owner_traits(m.map, CF_OWNER_NONE), 0);
	CHECK_EQ(cf_owner_traits(m.map, CF_OWNER_ORPHAN), CF_OWNER_GONE);
	CHECK_EQ(cf_owner_traits(m.map, keeper.id), CF_OWNER_MIGRATES);
	keeper.ops.private_frozen = true;
	CHECK_EQ(cf_owner_traits(m.map, keeper.id),
		 CF_OWNER_MIGRATES | CF_OWNER_PRIVATE);
	keeper.ops.migrate = NULL;
	CHECK_EQ(cf_owner_traits(m.map, keeper.id), CF_OWNER_PRIVATE);
	CHECK(keeper_remove(&keeper));
	CHECK_EQ(cf_owner_traits(m.map, keeper.id), CF_OWNER_GONE);
	CHECK_EQ(cf_owner_traits(m.map, CF_OWNERS_MAX), CF_OWNER_GONE);
	CHECK(keeper_add(&keeper, "keeper", 1u << HOOK_DISSOLVE));
	CHECK_EQ(cf_owner_traits(m.map, keeper.id), CF_OWNER_DISSOLVES);
	(void)finish(&keeper);
}

/* All ids can be used, and used again. */
static void limit(void)
{
	static uint32_t id[CF_OWNERS_MAX];
	const struct cf_owner_ops ops = { .release = NULL };
	struct machine_config config = { 0 };
	uint32_t more, i;
	uint32_t count = 0;

	if (!CHECK(machine_make(config)))
		return;
	while (count < CF_OWNERS_MAX &&
	       !cf_owner_register(m.map, "many", &ops, NULL, &id[count]))
		count++;
	CHECK_EQ(count, CF_OWNERS_MAX - 2);
	CHECK_EQ(id[count - 1], CF_OWNERS_MAX - 1);
	FAILS(CF_ELIMIT, cf_owner_register(m.map, "n", &ops, NULL, &more));
	frame[0] = alloc(folio(0, CF_OWNERS_MAX - 1));
	CHECK_EQ(snapshot(frame[0]).owner, CF_OWNERS_MAX - 1);
	cf_put(m.map, frame[0]);
	CHECK_EQ(cf_owner_unregister(m.map, 1000, NULL), 0);
	CHECK_EQ(cf_owner_register(m.map, "n", &ops, NULL, &more), 0);
	CHECK_EQ(more, 1000);
	for (i = 0; i < count; i++)
		CHECK_EQ(cf_owner_unregister(m.map, id[i], NULL), 0);
	CHECK(machine_end());
}

/* Only the last put calls; FREE frees. */
static void verdict_free(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_FREE };
	unsigned order;
	cf_pfn pfn;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	for (order = 0; order <= 12; order++) {
		pfn = alloc(folio(order, keeper.id));
		CHECK_EQ(frames_of(keeper.id), 1u << order);
		CHECK_EQ(cf_get(m.map, pfn), 0);
		CHECK_EQ(cf_pin(m.map, pfn), 0);
		cf_put(m.map, pfn);
		cf_put(m.map, pfn);
		CHECK_EQ(keeper.calls[HOOK_RELEASE], order);
		cf_unpin(m.map, pfn);
		CHECK_EQ(keeper.calls[HOOK_RELEASE], order + 1);
		CHECK_EQ(keeper.pfn[HOOK_RELEASE], pfn);
		CHECK_EQ(keeper.order[HOOK_RELEASE], order);
		CHECK(!is_head(pfn));
		CHECK_EQ(frames_of(keeper.id), 0);
		CHECK_EQ(unused_frames(), 4096);
	}
	(void)finish(&keeper);
}

/* KEEP: it stays as it is, frozen, with its owner. */
static void verdict_keep(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	cf_pfn pfn;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	pfn = alloc(folio(4, keeper.id));
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	CHECK_EQ(snapshot(pfn).refs, 0);
	CHECK_EQ(snapshot(pfn).owner, keeper.id);
	CHECK_EQ(frames_of(keeper.id), 16);
	CHECK_EQ(stat_now().by_type[CF_TYPE_FOLIO], 16);
	FAILS(CF_EGONE, cf_try_get(m.map, pfn));
	/* Given a second life by its owner, and released again. */
	cf_unfreeze(m.map, pfn, 1);
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 2);
	cf_free_frozen(m.map, pfn, 4);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 2);
	CHECK_EQ(frames_of(keeper.id), 0);
	(void)finish(&keeper);
}

static void hand_out(struct keeper *keeper, enum hook hook, cf_pfn pfn,
		     unsigned order)
{
	(void)order;
	if (hook == HOOK_RELEASE && keeper->calls[hook] == 1)
		cf_unfreeze(m.map, pfn, 2);
}

static void hand_out_and_free(struct keeper *keeper, enum hook hook,
			      cf_pfn pfn, unsigned order)
{
	if (hook != HOOK_RELEASE || keeper->calls[hook] != 1)
		return;
	cf_free_frozen(m.map, pfn, order);
	/* The same frame may be in use again before the hook returns. */
	CHECK_EQ(alloc(kernel(0)), pfn);
}

/* After KEEP the engine never touches the run again. */
static void keep_and_hand_out(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	cf_pfn pfn;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	keeper.then = hand_out;
	pfn = alloc(folio(9, keeper.id));
	cf_put(m.map, pfn);
	CHECK_EQ(snapshot(pfn).refs, 2);
	cf_put(m.map, pfn);
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 2);
	CHECK_EQ(snapshot(pfn).refs, 0);
	cf_free_frozen(m.map, pfn, 9);
	keeper.calls[HOOK_RELEASE] = 0;
	keeper.then = hand_out_and_free;
	pfn = alloc(folio(0, keeper.id));
	cf_put(m.map, pfn);
	CHECK_EQ(snapshot(pfn).type, CF_TYPE_KERNEL);
	CHECK_EQ(snapshot(pfn).refs, 1);
	cf_put(m.map, pfn);
	(void)finish(&keeper);
}

/* Frozen frees, and runs without the hook, tell nobody. */
static void no_hook(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	struct keeper mute = { 0 };
	cf_pfn pfn;

	if (!begin(&keeper, 1u << HOOK_RELEASE) ||
	    !CHECK(keeper_add(&mute, "mute", 0)))
		return;
	pfn = alloc(with_flags(folio(2, keeper.id), CF_ALLOC_FROZEN));
	cf_free_frozen(m.map, pfn, 2);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
	pfn = alloc(folio(2, mute.id));
	CHECK(mute.id != keeper.id);
	cf_put(m.map, pfn);
	CHECK(!is_head(pfn));
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
	CHECK(keeper_remove(&mute));
	(void)finish(&keeper);
}

/* The allocator's own runs: no section on the way of a put. */
static void no_owner_no_section(void)
{
	struct keeper keeper = { 0 };
	unsigned before;
	cf_pfn a, b;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	a = alloc(kernel(0));
	b = alloc(kernel(0));
	CHECK_EQ(cf_get(m.map, a), 0);
	before = sections;
	cf_put(m.map, a);
	cf_put(m.map, a);
	cf_put(m.map, b);
	CHECK_EQ(sections, before);
	a = alloc(folio(0, keeper.id));
	before = sections;
	cf_put(m.map, a);
	CHECK(sections > before);
	(void)finish(&keeper);
}

/* A holder changes the owner and lets go: told when all others have. */
static void asynchronous_freezing(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	cf_pfn pfn;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	pfn = alloc(kernel(6));
	CHECK_EQ(cf_get(m.map, pfn), 0);
	CHECK_EQ(cf_owner_change(m.map, pfn, keeper.id), 0);
	CHECK_EQ(snapshot(pfn).owner, keeper.id);
	CHECK_EQ(snapshot(pfn).refs, 2);
	CHECK_EQ(frames_of(keeper.id), 64);
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	CHECK_EQ(keeper.pfn[HOOK_RELEASE], pfn);
	/* A frozen run can be passed on, too; to nobody as well. */
	CHECK_EQ(cf_owner_change(m.map, pfn, CF_OWNER_NONE), 0);
	CHECK_EQ(snapshot(pfn).owner, 0);
	CHECK_EQ(frames_of(keeper.id), 0);
	FAILS(CF_EGONE, cf_owner_change(m.map, pfn, keeper.id + 1));
	FAILS(CF_EGONE, cf_owner_change(m.map, pfn, CF_OWNER_ORPHAN));
	FAILS(CF_EGONE, cf_owner_change(m.map, pfn + 1, keeper.id));
	cf_unfreeze(m.map, pfn, 1);
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	(void)finish(&keeper);
}

/* Splitting and freezing leave the owner in the word. */
static void owner_stays(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_FREE };
	cf_pfn pfn, at;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	pfn = alloc(folio(11, keeper.id));
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	CHECK_EQ(snapshot(pfn).owner, keeper.id);
	cf_unfreeze(m.map, pfn, 1);
	CHECK_EQ(snapshot(pfn).owner, keeper.id);
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	CHECK_EQ(cf_split(m.map, pfn, 8), 0);
	CHECK_EQ(frames_of(keeper.id), 2048);
	for (at = pfn; at < pfn + 2048; at += 256) {
		CHECK_EQ(snapshot(at).owner, keeper.id);
		cf_unfreeze(m.map, at, 1);
		cf_put(m.map, at);
		CHECK_EQ(keeper.pfn[HOOK_RELEASE], at);
		CHECK_EQ(keeper.order[HOOK_RELEASE], 8);
	}
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 8);
	(void)finish(&keeper);
}

static void unregister(void *keeper)
{
	CHECK_EQ(cf_owner_unregister(m.map, ((struct keeper *)keeper)->id,
				     NULL), 0);
}

static void leave_from_hook(struct keeper *keeper, enum hook hook, cf_pfn pfn,
			    unsigned order)
{
	cf_pfn more;

	(void)order;
	(void)pfn;
	if (hook != HOOK_RELEASE)
		return;
	background_begin(unregister, keeper);
	/* It is closed already: no new runs. */
	FAILS_PARTLY(CF_EGONE, cf_alloc(m.map, folio(0, keeper->id), &more));
	CHECK(!background_is_done());
}

/* Nobody is inside a hook when an owner has left. */
static void leaving_waits_for_hooks(void)
{
	struct keeper keeper = { .then = leave_from_hook };
	cf_pfn a, b;

	if (!begin(&keeper, 1u << HOOK_RELEASE))
		return;
	a = alloc(folio(3, keeper.id));
	b = alloc(folio(3, keeper.id));
	cf_put(m.map, a);
	background_end();
	CHECK_EQ(snapshot(b).owner, CF_OWNER_ORPHAN);
	cf_put(m.map, b);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	CHECK(machine_end());
}

/* What an owner leaves behind: small, large, across blocks, offline. */
static void orphans(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	struct keeper other = { 0 };
	uint64_t left = 0;
	cf_pfn run[5], mine[3];
	unsigned i;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !CHECK(keeper_add(&other, "other", HOOKS_ALL)))
		return;
	mine[0] = alloc(kernel(0));
	mine[1] = alloc(folio(0, other.id));
	mine[2] = alloc(folio(9, other.id));
	run[0] = alloc(folio(0, keeper.id));
	run[1] = alloc(folio(9, keeper.id));
	run[2] = alloc(folio(11, keeper.id));
	run[3] = alloc(with_flags(folio(3, keeper.id), CF_ALLOC_FROZEN));
	CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 2, CF_FLAG_MOVABLE,
				  &run[4]), 0);
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, &left), 0);
	CHECK_EQ(left, 1 + 512 + 2048 + 8 + 4);
	CHECK_EQ(frames_of(CF_OWNER_ORPHAN), left);
	for (i = 0; i < 5; i++)
		CHECK_EQ(snapshot(run[i]).owner, CF_OWNER_ORPHAN);
	CHECK_EQ(snapshot(run[4]).flags, 0);
	/* And nobody else's. */
	CHECK_EQ(snapshot(mine[0]).owner, CF_OWNER_NONE);
	CHECK_EQ(snapshot(mine[1]).owner, other.id);
	CHECK_EQ(snapshot(mine[2]).owner, other.id);
	CHECK_EQ(frames_of(other.id), 513);
	CHECK(machine_verify());
	put_all(mine, 3);
	/* Counted ones are freed by their last put, and nobody is asked. */
	for (i = 0; i < 3; i++) {
		cf_put(m.map, run[i]);
		CHECK(!is_head(run[i]));
	}
	CHECK_EQ(cf_split(m.map, run[3], 2), 0);
	cf_free_frozen(m.map, run[3], 2);
	cf_free_frozen(m.map, run[3] + 4, 2);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
	CHECK_EQ(frames_of(CF_OWNER_ORPHAN), 4);
	/* Offline ones stay: nobody can say that the host gave them back. */
	FAILS(CF_EREFUSED, cf_offline_free(m.map, keeper.id, run[4], 2));
	FAILS(CF_EREFUSED, cf_offline_free(m.map, CF_OWNER_ORPHAN, run[4], 2));
	FAILS(CF_EREFUSED, cf_offline_free(m.map, 0, run[4], 2));
	CHECK(machine_wipe());
}

/* The id's next user does not inherit. */
static void id_is_used_again(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	struct keeper heir = { .verdict = CF_VERDICT_KEEP };
	cf_pfn pfn;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	pfn = alloc(folio(3, keeper.id));
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, NULL), 0);
	CHECK(keeper_add(&heir, "heir", HOOKS_ALL));
	CHECK_EQ(heir.id, keeper.id);
	CHECK_EQ(frames_of(heir.id), 0);
	cf_put(m.map, pfn);
	CHECK(!is_head(pfn));
	CHECK_EQ(heir.calls[HOOK_RELEASE] + keeper.calls[HOOK_RELEASE], 0);
	(void)finish(&heir);
}

/* Skippable frames of the owner's ranges count as such no longer. */
static void skippable_orphans(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	struct cf_owner_info info;

	if (!begin(&keeper, 1u << HOOK_ONLINE))
		return;
	CHECK(add_online(4096, 5120, CF_ZONE_NORMAL, keeper.id));
	CHECK_EQ(cf_owner_info(m.map, keeper.id, &info), 0);
	CHECK_EQ(info.blocks, 1);
	CHECK_EQ(info.frames, 1024);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 4096, 5120, true),
		 0);
	CHECK_EQ(block_info(4096).skippable, 1024);
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, NULL), 0);
	CHECK_EQ(block_info(4096).skippable, 0);
	CHECK_EQ(block_info(4096).offline, 1024);
	CHECK_EQ(snapshot(4096).flags, CF_FLAG_NEVER_ONLINED);
	CHECK(block_info(4096).orphan);
	CHECK_EQ(block_info(4096).range_owner, CF_OWNER_ORPHAN);
	CHECK_EQ(cf_block_offline(m.map, 4096, 5120, 3, &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_ORPHAN);
	CHECK_EQ(report.pfn, 4096);
	CHECK_EQ(report.owner, CF_OWNER_ORPHAN);
	CHECK_EQ(report.frames[CF_REASON_ORPHAN], 1024);
	CHECK(machine_verify());
	CHECK(machine_wipe());
}

/* Offline blocks of its ranges are not brought online until adopted. */
static void orphan_blocks(void)
{
	struct cf_block_config block = { .meta = CF_META_PORT };
	struct keeper keeper = { 0 };
	struct keeper other = { 0 };
	struct cf_report report;

	if (!begin(&keeper, 1u << HOOK_ONLINE))
		return;
	block.range_owner = keeper.id;
	CHECK_EQ(cf_block_add(m.map, 4096, 5120, &block), 0);
	CHECK_EQ(cf_block_add(m.map, 5120, 6144, &block), 0);
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, NULL), 0);
	CHECK(block_info(4096).orphan);
	FAILS(CF_EREFUSED, cf_block_online(m.map, 4096, 5120, CF_ZONE_NORMAL,
					   &report));
	CHECK_EQ(report.reason, CF_REASON_ORPHAN);
	CHECK_EQ(report.pfn, 4096);
	CHECK(keeper_add(&other, "other", 0));
	CHECK_EQ(cf_block_adopt(m.map, 4096, 5120, other.id), 0);
	CHECK(!block_info(4096).orphan);
	CHECK_EQ(cf_block_online(m.map, 4096, 5120, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(cf_block_adopt(m.map, 4096, 6144, 0), 0);
	CHECK_EQ(cf_block_online(m.map, 5120, 6144, CF_ZONE_NORMAL, NULL), 0);
	(void)finish(&other);
}

static void adopt_refuses(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	FAILS(CF_EINVAL, cf_block_adopt(m.map, 0, 0, 0));
	FAILS(CF_EINVAL, cf_block_adopt(m.map, 1024, 0, 0));
	FAILS(CF_EINVAL, cf_block_adopt(m.map, 0, 1000, 0));
	FAILS(CF_EINVAL, cf_block_adopt(m.map, 0, m.last + 1024, 0));
	FAILS(CF_EINVAL, cf_block_adopt(m.map, 0, 1024, keeper.id + 1));
	FAILS(CF_EINVAL, cf_block_adopt(m.map, 0, 1024, CF_OWNER_ORPHAN));
	FAILS(CF_EGONE, cf_block_adopt(m.map, 0, m.last, keeper.id));
	CHECK_EQ(block_info(0).range_owner, 0);
	(void)finish(&keeper);
}

/* Whoever said that frames may be stepped over must restore them. */
static void adopt_refuses_skippable(void)
{
	struct keeper keeper = { 0 };
	struct keeper heir = { 0 };

	if (!begin(&keeper, 1u << HOOK_ONLINE) ||
	    !CHECK(keeper_add(&heir, "heir", 0)) ||
	    !CHECK(add_online(4096, 5120, CF_ZONE_NORMAL, keeper.id)) ||
	    !CHECK(add_online(5120, 6144, CF_ZONE_NORMAL, keeper.id)))
		return;
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 5200, 5201, true),
		 0);
	FAILS(CF_EREFUSED, cf_block_adopt(m.map, 5120, 6144, heir.id));
	FAILS(CF_EREFUSED, cf_block_adopt(m.map, 4096, 6144, heir.id));
	FAILS(CF_EREFUSED, cf_block_adopt(m.map, 5120, 6144, CF_OWNER_NONE));
	CHECK_EQ(cf_block_adopt(m.map, 5120, 6144, keeper.id), 0);
	CHECK_EQ(cf_block_adopt(m.map, 4096, 5120, heir.id), 0);
	CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 5200, 5201, false),
		 0);
	CHECK_EQ(cf_block_adopt(m.map, 4096, 6144, heir.id), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 4096, 6144), 0);
	CHECK_EQ(cf_block_adopt(m.map, 4096, 6144, 0), 0);
	CHECK(keeper_remove(&heir));
	(void)finish(&keeper);
}

static void copies(void)
{
	struct keeper keeper = { 0 };
	unsigned char *base;
	unsigned call;

	if (!begin(&keeper, 0))
		return;
	base = m.memory.base;
	memset(base, 0x11, 8 * CF_FRAME_BYTES);
	memset(base + 8 * CF_FRAME_BYTES, 0x22, 9 * CF_FRAME_BYTES);
	CHECK_EQ(cf_copy_run(m.map, 0, 8, 3), 0);
	CHECK(memcmp(base, base + 8 * CF_FRAME_BYTES, 8 * CF_FRAME_BYTES) == 0);
	CHECK(base[16 * CF_FRAME_BYTES] == 0x22);
	for (call = 1; call <= 2; call++) {
		cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, call);
		FAILS(CF_EPORT, cf_copy_run(m.map, 16, 0, 0));
		cf_host_fault_disarm(&m.memory);
	}
	FAILS(CF_EINVAL, cf_copy_run(m.map, 0, 0, CF_MAX_ORDER + 1));
	FAILS(CF_EINVAL, cf_copy_run(m.map, 0, 0, 100));
	CHECK(base[0] == 0x11);
	(void)finish(&keeper);
}

/* Orphans are found in every chunk, and only they. */
static void scattered_orphans(void)
{
	static const cf_pfn at[] = { 3, 511, 512, 1023, 1024 + 600, 2047 };
	struct keeper keeper = { 0 }, other = { 0 };
	uint64_t left = 0;
	unsigned i;

	if (!begin(&other, 0) || !CHECK(keeper_add(&keeper, "keeper", 0)))
		return;
	for (i = 0; i < 6; i++)
		CHECK_EQ(cf_alloc_range(m.map, at[i], at[i] + 1,
					folio(0, keeper.id), NULL), 0);
	CHECK_EQ(cf_alloc_range(m.map, 1024, 1025, folio(0, other.id), NULL),
		 0);
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, &left), 0);
	CHECK_EQ(left, 6);
	for (i = 0; i < 6; i++) {
		CHECK_EQ(snapshot(at[i]).owner, CF_OWNER_ORPHAN);
		cf_put(m.map, at[i]);
	}
	CHECK_EQ(snapshot(1024).owner, other.id);
	cf_put(m.map, 1024);
	(void)finish(&other);
}

/* What reports call those who have no name. */
static void names(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, 0))
		return;
	CHECK(!strcmp(cfi_owner_name(m.map, CF_OWNER_NONE), "allocator"));
	CHECK(!strcmp(cfi_owner_name(m.map, CF_OWNER_ORPHAN), "orphan"));
	CHECK(!strcmp(cfi_owner_name(m.map, keeper.id), "keeper"));
	CHECK(!strcmp(cfi_owner_name(m.map, keeper.id + 1), "unregistered"));
	(void)finish(&keeper);
}

int main(void)
{
	tap_run("registration", registration);
	tap_run("what walkers are told", traits);
	tap_run("all ids, and no more", limit);
	tap_run("the last put calls, FREE frees", verdict_free);
	tap_run("KEEP leaves the run frozen with its owner", verdict_keep);
	tap_run("KEEP, and handed out at once", keep_and_hand_out);
	tap_run("frozen frees and owners without the hook", no_hook);
	tap_run("a put without owner opens no section", no_owner_no_section);
	tap_run("asynchronous freezing", asynchronous_freezing);
	tap_run("the owner stays through freeze and split", owner_stays);
	tap_run("leaving waits for hooks that run", leaving_waits_for_hooks);
	tap_run("what an owner leaves behind", orphans);
	tap_run("an id is used again", id_is_used_again);
	tap_run("orphans are not skippable", skippable_orphans);
	tap_run("orphan blocks wait to be adopted", orphan_blocks);
	tap_run("adoption that is refused", adopt_refuses);
	tap_run("adoption while frames are stepped over",
		adopt_refuses_skippable);
	tap_run("copying a run", copies);
	tap_run("names in reports", names);
	tap_run("orphans in every chunk", scattered_orphans);
	return tap_done();
}
