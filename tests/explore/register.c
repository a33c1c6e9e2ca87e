/* SPDX-License-Identifier: MIT */

/*
 * Ids that are used again, owners that come, what is counted and reported of
 * them, and what changes hands.
 */

#include "own.h"

#include <string.h>

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	REQUIRE(!own->gone);
	return -CF_EAGAIN;
}

static const struct cf_owner_ops movable_ops = {
	.release = own_keep,
	.migrate = migrate,
};

static uint64_t orphans(void)
{
	return own_frames(CF_OWNER_ORPHAN);
}

static void set_up_movable(void)
{
	own_init((struct ground_config) { .blocks = 1 }, &movable_ops, 0);
}

/* ---- the id is used again at once ---- */

static enum cf_verdict not_mine(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	explore_fail("the next owner is told of a run of the last one's",
		     __FILE__, __LINE__);
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
	.setup = set_up_movable,
	.thread = { own_put, unregister_and_register },
	.end = end_reuse,
};

/* ---- an owner comes ---- */

/* The id is known: it was another's before. */
static void set_up_register(void)
{
	set_up_movable();
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

	MUST(cf_owner_register(ground_map, "next", &movable_ops, NULL, &id));
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
	.setup = set_up_movable,
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
	.setup = set_up_movable,
	.thread = { ask_for_owner, unregister_and_register },
	.end = end_ask_reuse,
	.quick = true,
};

static void set_up_range(void)
{
	set_up_movable();
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
	own_end_unregistered(&movable_ops);
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

	MUST(cf_owner_register(ground_map, "one", &movable_ops, own, &id));
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
	.setup = set_up_movable,
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
	.setup = set_up_movable,
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
	set_up_movable();
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

/* ---- a block changes hands ---- */

/* The block is the owner's; a second owner wants it. */
static void set_up_adopt(void)
{
	set_up_movable();
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, own->owner));
	register_next();
}

static void adopt(void)
{
	own->err[1] = cf_block_adopt(ground_map, 0, GROUND_BLOCK, own->heir);
}

static void allocate_skippable(void)
{
	own->err[0] = cf_offline_alloc(ground_map, own->owner, 0,
				       CF_FLAG_SKIPPABLE, &own->taken[0]);
}

/* Only who can restore them has frames that are stepped over. */
static void end_adopt(void)
{
	struct cf_block_info info = own_block(0);

	REQUIRE(own->err[0] == 0 || own->err[0] == -CF_EREFUSED);
	REQUIRE(own->err[1] == 0 || own->err[1] == -CF_EREFUSED);
	REQUIRE((own->err[0] == 0) != (own->err[1] == 0));
	REQUIRE(info.range_owner ==
		(own->err[1] == 0 ? own->heir : own->owner));
	REQUIRE((info.skippable != 0) == (own->err[0] == 0));
	ground_verify();
}

static const struct explore_program skippable_alloc_against_adopt = {
	.name = "skippable-alloc-against-adopt",
	.worry = "a block with skippable frames stays with the driver that "
		 "can restore them (PG_offline_skippable, 2025)",
	.setup = set_up_adopt,
	.thread = { allocate_skippable, adopt },
	.end = end_adopt,
	.quick = true,
};

static void set_up_adopt_offline(void)
{
	set_up_adopt();
	MUST(cf_offline_alloc(ground_map, own->owner, 0, 0, &own->taken[0]));
}

static void make_skippable(void)
{
	own->err[0] = cf_offline_set_skippable(ground_map, own->owner,
					       own->taken[0],
					       own->taken[0] + 1, true);
}

static const struct explore_program skippable_against_adopt = {
	.name = "skippable-against-adopt",
	.worry = "frames are not made skippable in a block that has just "
		 "changed hands (PG_offline_skippable, 2025)",
	.setup = set_up_adopt_offline,
	.thread = { make_skippable, adopt },
	.end = end_adopt,
	.quick = true,
};

/* ---- a run changes hands while it is moved ---- */

/* What the holder does with the run it does under the owner's lock. */
static int move(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	unsigned long state = cf_lock(&own->lock);
	int err = cf_freeze(ground_map, source, 2);

	(void)context;
	(void)order;
	if (!err) {
		*ground_contents(target) = *ground_contents(source);
		cf_unfreeze(ground_map, target, 1);
		own->pfn = target;
	}
	cf_unlock(&own->lock, state);
	return err;
}

static const struct cf_owner_ops mover = {
	.release = own_keep,
	.migrate = move,
};

static struct cf_offline *offline;

static void set_up_move(void)
{
	own_init((struct ground_config) { .blocks = 2, .online = 2 }, &mover,
		 0);
	own_fill();
	register_next();
	offline = explore_memory(sizeof(*offline));
	MUST(cf_block_offline_start(ground_map, offline, 0, GROUND_BLOCK,
				    NULL));
}

static void change_under_lock(void)
{
	unsigned long state = cf_lock(&own->lock);

	own->err[0] = cf_owner_change(ground_map, own->pfn, own->heir);
	cf_unlock(&own->lock, state);
}

static void step(void)
{
	own->err[1] = cf_block_offline_step(offline);
}

static void end_move(void)
{
	bool changed = own->err[0] == 0;
	uint32_t owner = changed ? own->heir : own->owner;

	REQUIRE(changed || own->err[0] == -CF_EAGAIN);
	REQUIRE(own_is(own->pfn, owner, 1));
	REQUIRE(*ground_contents(own->pfn) == 1);
	REQUIRE(own_frames(own->heir) == changed);
	REQUIRE((own->pfn >= GROUND_BLOCK) == (own->err[1] == 0));
	ground_verify();
}

static const struct explore_program change_against_migrate = {
	.name = "change-against-migrate",
	.worry = "a run that is being moved is not given to another owner on "
		 "the way (an owner that stays put through migration, 2025)",
	.setup = set_up_move,
	.thread = { change_under_lock, step },
	.end = end_move,
};

const struct explore_program *const explore_register[] = {
	&put_against_reuse, &use_against_register, &info_against_register,
	&register_against_unregister, &info_against_reuse,
	&block_info_against_unregister, &register_twice, &unregister_twice,
	&info_against_counts, &skippable_alloc_against_adopt,
	&skippable_against_adopt, &change_against_migrate, NULL
};
