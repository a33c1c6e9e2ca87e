/* SPDX-License-Identifier: MIT */

/*
 * Owners that come and go, against everything that names them: no hook runs
 * after cf_owner_unregister() has returned, what is left is the orphan's, and
 * who gets the id next is told of nothing that was another's.
 */

#include "own.h"

#include <string.h>

static const struct ground_config one_block = { .blocks = 1 };

/* A hook reads it plainly: to run too late is a data race, too. */
static void require_owner(void)
{
	REQUIRE(!own->gone);
}

static enum cf_verdict keep(void *context, cf_pfn pfn, unsigned order)
{
	require_owner();
	return own_keep(context, pfn, order);
}

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	require_owner();
	return 0;
}

static int expose(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	require_owner();
	own->released++;
	return cf_offline_free_range(ground_map, own->owner, first, last);
}

static const struct cf_owner_ops owner_ops = {
	.release = keep,
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

/* The id is free, nothing is counted for it, and verify finds no trace. */
static void end_common(void)
{
	struct cf_owner_info info;
	uint32_t id;

	REQUIRE(own->err[1] == 0 && own->gone);
	REQUIRE(cf_owner_info(ground_map, own->owner, &info) == -CF_EINVAL);
	MUST(cf_owner_register(ground_map, "next", &owner_ops, NULL, &id));
	REQUIRE(id == own->owner && own_frames(id) == 0);
	ground_verify();
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
	end_common();
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
	end_common();
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
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, own->pfn + 1, &span));
	REQUIRE(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_FOLIO);
	REQUIRE(span.first == own->pfn && span.refs == 1 && span.order == 0);
	own->frames[0] = span.owner;
	cf_walk_end(ground_map);
}

static void end_walk(void)
{
	REQUIRE(own->frames[0] == own->owner ||
		own->frames[0] == CF_OWNER_ORPHAN);
	REQUIRE(own->frames[1] == 1 && orphans() == 1);
	end_common();
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

static void allocate(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)own->owner,
	};

	own->err[0] = cf_alloc(ground_map, request, &own->taken[0]);
}

static void end_alloc(void)
{
	bool made = own->err[0] == 0;

	REQUIRE(made || own->err[0] == -CF_EGONE);
	REQUIRE(own->frames[1] == 1u + made && orphans() == 1u + made);
	REQUIRE(!made || own_is(own->taken[0], CF_OWNER_ORPHAN, 1));
	end_common();
}

static const struct explore_program alloc_against_unregister = {
	.name = "alloc-against-unregister",
	.worry = "no run is made for an owner that is gone, and none is "
		 "missed (virtio-mem force unload, 2024)",
	.setup = set_up,
	.thread = { allocate, own_unregister },
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
	end_common();
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
	end_common();
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
	end_common();
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

static void set_payload(void)
{
	own->err[0] = cf_offline_set_payload(ground_map, own->owner,
					     own->taken[0], 7);
}

static void end_payload(void)
{
	struct cf_snapshot run = own_look(own->taken[0]);

	REQUIRE(own->err[0] == 0 || own->err[0] == -CF_EGONE);
	REQUIRE(run.payload == (own->err[0] == 0 ? 7 : 0));
	REQUIRE(own->frames[1] == 2 && orphans() == 2);
	REQUIRE(is_orphan_offline(own->taken[0]));
	end_common();
}

static const struct explore_program payload_against_unregister = {
	.name = "payload-against-unregister",
	.worry = "a payload that is stored while the driver goes does not "
		 "bring its id back (memdescs and offline pages, 2024)",
	.setup = set_up_offline_run,
	.thread = { set_payload, own_unregister },
	.end = end_payload,
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
	end_common();
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
	end_common();
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

/* ---- the id is used again at once ---- */

static enum cf_verdict not_mine(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	REQUIRE(!"the next owner is told of a run of the last one's");
	return CF_VERDICT_FREE;
}

static const struct cf_owner_ops next_ops = { .release = not_mine };

static void register_next(void)
{
	MUST(cf_owner_register(ground_map, "next", &next_ops, NULL,
			       &own->heir));
}

static void unregister_and_register(void)
{
	own_unregister();
	register_next();
}

static void end_reuse(void)
{
	bool kept = own->released;

	REQUIRE(own->err[1] == 0 && own->heir == own->owner);
	REQUIRE(own_frames(own->heir) == 0 && orphans() == kept);
	REQUIRE(own_look(own->pfn).type ==
		(kept ? CF_TYPE_FOLIO : CF_TYPE_NONE));
	ground_verify();
}

static const struct explore_program put_against_reuse = {
	.name = "put-against-reuse",
	.worry = "who gets an id next is not told of a put that was in flight "
		 "when the last one went (folio_owner_ops in modules, 2024)",
	.setup = set_up,
	.thread = { own_put, unregister_and_register },
	.end = end_reuse,
};

/* Who keeps an old id allocates for the next owner, or for none. */
static void end_alloc_reuse(void)
{
	bool made = own->err[0] == 0;
	struct cf_snapshot run = { .owner = CF_OWNER_ORPHAN };

	REQUIRE(made || own->err[0] == -CF_EGONE);
	REQUIRE(own->heir == own->owner);
	if (made)
		run = own_look(own->taken[0]);
	REQUIRE(run.owner == CF_OWNER_ORPHAN || run.owner == own->heir);
	REQUIRE(own_frames(own->heir) == (run.owner == own->heir));
	REQUIRE(orphans() ==
		1u + (made && run.owner == CF_OWNER_ORPHAN));
	ground_verify();
}

static const struct explore_program alloc_against_reuse = {
	.name = "alloc-against-reuse",
	.worry = "frames that are allocated with a stale id are counted for "
		 "whom their word names (folio_owner_ops in modules, 2024)",
	.setup = set_up,
	.thread = { allocate, unregister_and_register },
	.end = end_alloc_reuse,
};

/* ---- an owner comes ---- */

/* The id is known: it was another's before. */
static void set_up_register(void)
{
	set_up();
	own->heir = own->owner + 1;
}

static void make_offline_for_next(void)
{
	own->err[0] = cf_offline_alloc(ground_map, own->heir, 0,
				       CF_FLAG_MOVABLE, &own->taken[0]);
}

static void register_movable(void)
{
	uint32_t id;

	MUST(cf_owner_register(ground_map, "next", &owner_ops, NULL, &id));
	REQUIRE(id == own->heir);
}

static void end_register(void)
{
	REQUIRE(own->err[0] == 0 || own->err[0] == -CF_EGONE);
	REQUIRE(own_frames(own->heir) == (own->err[0] == 0));
	ground_verify();
}

static const struct explore_program use_against_register = {
	.name = "use-against-register",
	.worry = "who sees that an id is taken sees the hooks behind it "
		 "(folio_owner_ops in modules, 2024)",
	.setup = set_up_register,
	.thread = { make_offline_for_next, register_movable },
	.end = end_register,
	.quick = true,
};

static void ask_for_next(void)
{
	struct cf_owner_info info;

	own->err[0] = cf_owner_info(ground_map, own->heir, &info);
	if (own->err[0] == 0)
		REQUIRE(strcmp(info.name, "next") == 0 && info.can_migrate &&
			info.frames == 0 && info.blocks == 0);
}

static void end_ask(void)
{
	REQUIRE(own->err[0] == 0 || own->err[0] == -CF_EINVAL);
	REQUIRE(own_frames(own->heir) == 0);
	ground_verify();
}

static const struct explore_program info_against_register = {
	.name = "info-against-register",
	.worry = "a report names an owner whole or not at all (which driver "
		 "has the memory, 2024)",
	.setup = set_up_register,
	.thread = { ask_for_next, register_movable },
	.end = end_ask,
	.quick = true,
};

/* The hook has run and the id is free: then it is the next owner's. */
static void put_and_unregister(void)
{
	own_put();
	own_unregister();
}

static void end_register_meanwhile(void)
{
	REQUIRE(own->err[1] == 0 && own->released == 1);
	REQUIRE(own->heir == own->owner || own->heir == own->owner + 1);
	REQUIRE(own_frames(own->heir) == 0 && orphans() == 1);
	ground_verify();
}

static const struct explore_program register_against_unregister = {
	.name = "register-against-unregister",
	.worry = "an id is used again only when everybody is done with its "
		 "last owner (folio_owner_ops in modules, 2024)",
	.setup = set_up,
	.thread = { register_next, put_and_unregister },
	.end = end_register_meanwhile,
	.quick = true,
};

/* A report is about the last owner or about the next. */
static void ask_for_owner(void)
{
	struct cf_owner_info info;

	own->err[0] = cf_owner_info(ground_map, own->owner, &info);
	if (own->err[0])
		return;
	if (strcmp(info.name, "owner") == 0)
		REQUIRE(info.can_migrate && info.frames == 1);
	else
		REQUIRE(strcmp(info.name, "next") == 0 &&
			!info.can_migrate && info.frames == 0);
}

static void end_ask_reuse(void)
{
	REQUIRE(own->err[0] == 0 || own->err[0] == -CF_EINVAL);
	REQUIRE(own->heir == own->owner && orphans() == 1);
	ground_verify();
}

static const struct explore_program info_against_reuse = {
	.name = "info-against-reuse",
	.worry = "a report does not mix two owners (which driver has the "
		 "memory, 2024)",
	.setup = set_up,
	.thread = { ask_for_owner, unregister_and_register },
	.end = end_ask_reuse,
	.quick = true,
};

static void set_up_range(void)
{
	set_up();
	own_fill();
}

static void ask_for_block(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, own->pfn, &info));
	REQUIRE(info.range_owner ==
		(info.orphan ? CF_OWNER_ORPHAN : own->owner));
	REQUIRE(info.skippable ==
		(info.orphan ? 0 : GROUND_CHUNK - 1));
}

static void end_ask_block(void)
{
	REQUIRE(own->frames[1] == GROUND_CHUNK && orphans() == GROUND_CHUNK);
	end_common();
}

static const struct explore_program block_info_against_unregister = {
	.name = "block-info-against-unregister",
	.worry = "a block is its driver's with all its skippable frames, or "
		 "an orphan with none (PG_offline_skippable, 2025)",
	.setup = set_up_range,
	.thread = { ask_for_block, own_unregister },
	.end = end_ask_block,
	.quick = true,
};

static void register_one(void)
{
	uint32_t id;

	MUST(cf_owner_register(ground_map, "one", &owner_ops, own, &id));
	own->frames[explore_self()] = id;
}

static void end_two(void)
{
	REQUIRE(own->frames[0] != own->frames[1]);
	REQUIRE(own->frames[0] + own->frames[1] == 2 * own->owner + 3);
	ground_verify();
}

static const struct explore_program register_twice = {
	.name = "register-twice",
	.worry = "two modules that are loaded at one time get ids of their "
		 "own (folio_owner_ops in modules, 2024)",
	.setup = set_up,
	.thread = { register_one, register_one },
	.end = end_two,
	.quick = true,
};

/* ---- two unregister one owner ---- */

static void unregister(void)
{
	unsigned self = explore_self();

	own->err[self] = cf_owner_unregister(ground_map, own->owner,
					     &own->frames[self]);
}

static void end_unregister_twice(void)
{
	unsigned won = own->err[1] == 0;

	REQUIRE(own->err[won] == 0 && own->err[!won] == -CF_EINVAL);
	REQUIRE(own->frames[won] == 1 && orphans() == 1);
	REQUIRE(own_is(own->pfn, CF_OWNER_ORPHAN, 1));
	ground_verify();
}

static const struct explore_program unregister_twice = {
	.name = "unregister-twice",
	.worry = "what an owner leaves is handed to the orphan once "
		 "(virtio-mem force unload, 2024)",
	.setup = set_up,
	.thread = { unregister, unregister },
	.end = end_unregister_twice,
	.quick = true,
};

/* ---- counts ---- */

static enum cf_verdict free_it(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return CF_VERDICT_FREE;
}

static const struct cf_owner_ops free_ops = { .release = free_it };

/* Two holders; one of them gives the run to the owner that is asked for. */
static void set_up_counts(void)
{
	set_up();
	own->pfn = ground_alloc(CF_TYPE_FOLIO, 0, 0);
	MUST(cf_get(ground_map, own->pfn));
	MUST(cf_owner_register(ground_map, "next", &free_ops, NULL,
			       &own->heir));
}

static void change_and_put(void)
{
	MUST(cf_owner_change(ground_map, own->pfn, own->heir));
	own_put();
}

/* No frame, or one: never fewer than none. */
static void ask(void)
{
	own->frames[0] = own_frames(own->heir);
	REQUIRE(own->frames[0] <= 1);
}

static void end_counts(void)
{
	REQUIRE(own_frames(own->heir) == 0);
	REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	ground_verify();
}

static const struct explore_program info_against_counts = {
	.name = "info-against-counts",
	.worry = "the frames a driver is said to have are never fewer than "
		 "none (who has the memory, 2024)",
	.setup = set_up_counts,
	.thread = { ask, change_and_put, own_put },
	.end = end_counts,
};

const struct explore_program *const explore_unregister[] = {
	&put_against_unregister, &get_against_unregister,
	&walk_against_unregister, &alloc_against_unregister,
	&offline_alloc_against_unregister, &change_against_unregister,
	&skippable_against_unregister, &offline_free_against_unregister,
	&payload_against_unregister, &online_against_unregister,
	&migrate_against_unregister, &put_against_reuse, &alloc_against_reuse,
	&use_against_register, &info_against_register,
	&register_against_unregister, &info_against_reuse,
	&block_info_against_unregister, &register_twice,
	&unregister_twice, &info_against_counts, NULL
};
