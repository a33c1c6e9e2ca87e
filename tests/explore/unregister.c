/* SPDX-License-Identifier: MIT */

/*
 * Owners that go, against everything that names them: no hook runs after
 * cf_owner_unregister() has returned, and what is left is the orphan's.
 */

#include "own.h"

static const struct ground_config one_block = { .blocks = 1 };

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	REQUIRE(!own->gone);
	return 0;
}

static int expose(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	REQUIRE(!own->gone);
	own->released++;
	return cf_offline_free_range(ground_map, own->owner, first, last);
}

static const struct cf_owner_ops owner_ops = {
	.release = own_keep,
	.migrate = migrate,
	.online = expose,
};

static void set_up(void)
{
	own_init(one_block, &owner_ops, 0);
}

static uint64_t orphans(void)
{
	return own_frames(CF_OWNER_ORPHAN);
}

/* ---- a put through the owner ---- */

static void end_put(void)
{
	if (own->released) {
		REQUIRE(own->listed == own->pfn && own->frames[1] == 1);
		REQUIRE(own_is(own->pfn, CF_OWNER_ORPHAN, 0));
		REQUIRE(orphans() == 1);
	} else {
		REQUIRE(own->frames[1] <= 1 && orphans() == 0);
		REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	}
	own_end_unregistered(&owner_ops);
}

static const struct explore_program put_against_unregister = {
	.name = "put-against-unregister",
	.worry = "a module that unregisters is not called any more, and the "
		 "last put of what it leaves frees it (folio_owner_ops in "
		 "modules, 2024)",
	.setup = set_up,
	.thread = { own_put, own_unregister },
	.end = end_put,
	.quick = true,
};

/* ---- a kept run that is out again ---- */

static void take_and_put(void)
{
	cf_pfn pfn = own_take_listed();

	own->taken[2] = pfn;
	if (pfn == CF_PFN_NONE)
		return;
	cf_unfreeze(ground_map, pfn, 1);
	cf_put(ground_map, pfn);
}

static void end_hand_out(void)
{
	bool kept = own->listed == own->pfn;

	REQUIRE(own->released <= (own->taken[2] == CF_PFN_NONE ? 1 : 2));
	REQUIRE(kept ? own_is(own->pfn, CF_OWNER_ORPHAN, 0) :
		own_look(own->pfn).type == CF_TYPE_NONE);
	REQUIRE(own->frames[1] <= 1 && orphans() == kept);
	own_end_unregistered(&owner_ops);
}

static const struct explore_program hand_out_against_unregister = {
	.name = "hand-out-against-unregister",
	.worry = "a run that is out again when its owner goes is kept or "
		 "freed, and told to nobody who is gone (ZONE_DEVICE drivers "
		 "that are unbound, 2022)",
	.setup = set_up,
	.thread = { own_put, own_unregister, take_and_put },
	.end = end_hand_out,
};

/* ---- references come and go while words are rewritten ---- */

static void get_and_put(void)
{
	own->err[0] = cf_try_get(ground_map, own->pfn);
	if (own->err[0] == 0)
		cf_put(ground_map, own->pfn);
}

static void end_get(void)
{
	REQUIRE(own->err[0] == 0 && own->frames[1] == 1);
	REQUIRE(own->released == 0 && orphans() == 1);
	REQUIRE(own_is(own->pfn, CF_OWNER_ORPHAN, 1));
	own_end_unregistered(&owner_ops);
}

static const struct explore_program get_against_unregister = {
	.name = "get-against-unregister",
	.worry = "no reference is lost when runs are handed to the orphan "
		 "(virtio-mem force unload, 2024)",
	.setup = set_up,
	.thread = { get_and_put, own_unregister },
	.end = end_get,
	.quick = true,
};

/* ---- a walker ---- */

static void walk(void)
{
	cf_pfn cursor = own->pfn;
	struct cf_snapshot run;
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, own->pfn + 1, &span));
	REQUIRE(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_FOLIO);
	REQUIRE(span.first == own->pfn && span.refs == 1 && span.order == 0);
	own->frames[0] = span.owner;
	REQUIRE(cf_snapshot(ground_map, own->pfn, &run) == 0);
	cf_walk_end(ground_map);
}

static void end_walk(void)
{
	REQUIRE(own->frames[0] == own->owner ||
		own->frames[0] == CF_OWNER_ORPHAN);
	REQUIRE(own->frames[1] == 1 && orphans() == 1);
	own_end_unregistered(&owner_ops);
}

static const struct explore_program walk_against_unregister = {
	.name = "walk-against-unregister",
	.worry = "a walker sees a run all the time while it changes hands "
		 "(virtio-mem force unload, 2024)",
	.setup = set_up,
	.thread = { walk, own_unregister },
	.end = end_walk,
	.quick = true,
};

/* ---- new runs of the owner ---- */

static void end_alloc(void)
{
	bool made = own->err[0] == 0;

	REQUIRE(made || own->err[0] == -CF_EGONE);
	REQUIRE(own->frames[1] == 1u + made && orphans() == 1u + made);
	REQUIRE(!made || own_is(own->taken[0], CF_OWNER_ORPHAN, 1));
	own_end_unregistered(&owner_ops);
}

static const struct explore_program alloc_against_unregister = {
	.name = "alloc-against-unregister",
	.worry = "no run is made for an owner that is gone, and none is "
		 "missed (virtio-mem force unload, 2024)",
	.setup = set_up,
	.thread = { own_allocate, own_unregister },
	.end = end_alloc,
	.quick = true,
};

static void allocate_offline(void)
{
	own->err[0] = cf_offline_alloc(ground_map, own->owner, 0,
				       CF_FLAG_MOVABLE, &own->taken[0]);
}

static bool is_orphan_offline(cf_pfn pfn)
{
	struct cf_snapshot run = own_look(pfn);

	return run.type == CF_TYPE_OFFLINE && run.owner == CF_OWNER_ORPHAN &&
	       run.flags == 0;
}

static void end_alloc_offline(void)
{
	bool made = own->err[0] == 0;

	REQUIRE(made || own->err[0] == -CF_EGONE);
	REQUIRE(own->frames[1] == 1u + made && orphans() == 1u + made);
	REQUIRE(!made || is_orphan_offline(own->taken[0]));
	own_end_unregistered(&owner_ops);
}

static const struct explore_program offline_alloc_against_unregister = {
	.name = "offline-alloc-against-unregister",
	.worry = "a balloon that is inflated while its driver goes leaves "
		 "frames that can neither be moved nor stepped over "
		 "(alloc_offline_page, 2024)",
	.setup = set_up,
	.thread = { allocate_offline, own_unregister },
	.end = end_alloc_offline,
	.quick = true,
};

/* ---- runs given to the owner ---- */

static void set_up_change(void)
{
	set_up();
	own->taken[0] = ground_alloc(CF_TYPE_FOLIO, 0, 0);
}

static void change(void)
{
	own->err[0] = cf_owner_change(ground_map, own->taken[0], own->owner);
}

static const struct explore_program change_against_unregister = {
	.name = "change-against-unregister",
	.worry = "a run is not given to an owner that is gone (asynchronous "
		 "freezing, 2024)",
	.setup = set_up_change,
	.thread = { change, own_unregister },
	.end = end_alloc,
	.quick = true,
};

/* ---- offline runs of the owner ---- */

static void set_up_skippable(void)
{
	set_up();
	own_fill();
	MUST(cf_offline_alloc_range(ground_map, own->owner, GROUND_CHUNK,
				    GROUND_BLOCK, 0, NULL));
}

static void make_skippable(void)
{
	own->err[0] = cf_offline_set_skippable(ground_map, own->owner,
					       GROUND_CHUNK, GROUND_BLOCK,
					       true);
}

static void end_skippable(void)
{
	struct cf_block_info info;

	REQUIRE(own->err[0] == 0 || own->err[0] == -CF_EREFUSED);
	REQUIRE(own->frames[1] == GROUND_BLOCK && orphans() == GROUND_BLOCK);
	REQUIRE(is_orphan_offline(GROUND_CHUNK));
	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.skippable == 0 && info.orphan);
	own_end_unregistered(&owner_ops);
}

static const struct explore_program skippable_against_unregister = {
	.name = "skippable-against-unregister",
	.worry = "nothing is stepped over for a driver that was unloaded by "
		 "force (PG_offline_skippable, 2025)",
	.setup = set_up_skippable,
	.thread = { make_skippable, own_unregister },
	.end = end_skippable,
};

static void set_up_offline_run(void)
{
	set_up();
	MUST(cf_offline_alloc(ground_map, own->owner, 0, 0, &own->taken[0]));
}

static void free_offline(void)
{
	own->err[0] = cf_offline_free(ground_map, own->owner, own->taken[0],
				      0);
}

static void end_free_offline(void)
{
	bool freed = own->err[0] == 0;

	REQUIRE(freed || own->err[0] == -CF_EREFUSED);
	REQUIRE(own->frames[1] == 2u - freed && orphans() == 2u - freed);
	REQUIRE(own_look(own->taken[0]).type ==
		(freed ? CF_TYPE_NONE : CF_TYPE_OFFLINE));
	REQUIRE(freed || is_orphan_offline(own->taken[0]));
	own_end_unregistered(&owner_ops);
}

static const struct explore_program offline_free_against_unregister = {
	.name = "offline-free-against-unregister",
	.worry = "offline frames go back to the allocator or to the orphan, "
		 "never to both (free_offline_page, 2024)",
	.setup = set_up_offline_run,
	.thread = { free_offline, own_unregister },
	.end = end_free_offline,
	.quick = true,
};

/* ---- a frozen run is cut ---- */

static void set_up_frozen(void)
{
	own_init(one_block, &owner_ops, 1);
	MUST(cf_freeze(ground_map, own->pfn, 1));
}

static void split(void)
{
	own->err[0] = cf_split(ground_map, own->pfn, 0);
}

static void end_split(void)
{
	bool cut = own->err[0] == 0;

	REQUIRE(own->frames[1] == 2 && orphans() == 2);
	REQUIRE(own_is(own->pfn, CF_OWNER_ORPHAN, 0));
	REQUIRE(own_look(own->pfn).order == !cut);
	REQUIRE(own_is(own->pfn + 1, CF_OWNER_ORPHAN, 0) == cut);
	own_end_unregistered(&owner_ops);
}

static const struct explore_program split_against_unregister = {
	.name = "split-against-unregister",
	.worry = "no part of a run that is cut keeps the id of an owner that "
		 "is gone (hugetlb as an owner, folio_owner_ops, 2024)",
	.setup = set_up_frozen,
	.thread = { split, own_unregister },
	.end = end_split,
	.quick = true,
};

/* ---- the online hook ---- */

static void set_up_online(void)
{
	struct cf_block_config config = { .meta = CF_META_CALLER };

	own_init((struct ground_config) { .blocks = 2 }, &owner_ops, 0);
	config.memory = ground_meta(1);
	config.range_owner = own->owner;
	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			  &config));
}

static void bring_online(void)
{
	own->err[0] = cf_block_online(ground_map, GROUND_BLOCK,
				      2 * GROUND_BLOCK, CF_ZONE_NORMAL, NULL);
}

static void end_online(void)
{
	bool online = own->err[0] == 0;
	struct cf_block_info info;

	REQUIRE(online || own->err[0] == -CF_EREFUSED);
	REQUIRE(own->released == online);
	MUST(cf_block_info(ground_map, GROUND_BLOCK, &info));
	REQUIRE(info.state == (online ? CF_BLOCK_ONLINE : CF_BLOCK_OFFLINE));
	REQUIRE(info.free == (online ? GROUND_BLOCK : 0) && info.orphan);
	REQUIRE(own->frames[1] == 1 && orphans() == 1);
	own_end_unregistered(&owner_ops);
}

static const struct explore_program online_against_unregister = {
	.name = "online-against-unregister",
	.worry = "a block goes online with its driver's help, or is refused "
		 "because the driver is gone (generic online callback, 2024)",
	.setup = set_up_online,
	.thread = { bring_online, own_unregister },
	.end = end_online,
};

/* ---- migration ---- */

static struct cf_offline *offline;

/* A movable OFFLINE run in block 0, and room in block 1. */
static void set_up_migrate(void)
{
	own_init((struct ground_config) { .blocks = 2, .online = 2 },
		 &owner_ops, 0);
	own_fill();
	MUST(cf_freeze(ground_map, own->pfn, 1));
	cf_free_frozen(ground_map, own->pfn, 0);
	MUST(cf_offline_alloc_range(ground_map, own->owner, own->pfn,
				    own->pfn + 1, CF_FLAG_MOVABLE, NULL));
	offline = explore_memory(sizeof(*offline));
	MUST(cf_block_offline_start(ground_map, offline, 0, GROUND_BLOCK,
				    NULL));
}

static void step(void)
{
	own->err[0] = cf_block_offline_step(offline);
}

/* Before it the block goes; after it nothing in it can be moved. */
static void end_migrate(void)
{
	struct cf_offline_status status;

	cf_block_offline_status(offline, &status);
	if (own->err[0] == 0) {
		REQUIRE(status.state == CF_OFFLINE_DONE);
		REQUIRE(own->frames[1] == 1 && orphans() == 1);
	} else {
		REQUIRE(own->err[0] == -CF_EBUSY);
		REQUIRE(status.report.reason == CF_REASON_ORPHAN);
		REQUIRE(own->frames[1] == GROUND_CHUNK);
		REQUIRE(is_orphan_offline(own->pfn));
		REQUIRE(is_orphan_offline(own->pfn + 1));
	}
	own_end_unregistered(&owner_ops);
}

static const struct explore_program migrate_against_unregister = {
	.name = "migrate-against-unregister",
	.worry = "a driver that goes is not asked to move its frames, and "
		 "what it leaves keeps its block online (virtio-mem force "
		 "unload, 2024)",
	.setup = set_up_migrate,
	.thread = { step, own_unregister },
	.end = end_migrate,
};

const struct explore_program *const explore_unregister[] = {
	&put_against_unregister, &hand_out_against_unregister,
	&get_against_unregister, &walk_against_unregister,
	&alloc_against_unregister, &offline_alloc_against_unregister,
	&change_against_unregister, &skippable_against_unregister,
	&offline_free_against_unregister, &split_against_unregister,
	&online_against_unregister, &migrate_against_unregister, NULL
};
