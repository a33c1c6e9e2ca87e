/* SPDX-License-Identifier: MIT */

/*
 * The last put of a run with an owner, both verdicts: what the hook returns
 * against all that others do with the run before that has sunk in.
 */

#include "own.h"

static const struct ground_config one_block = { .blocks = 1 };

static const struct cf_owner_ops keeper = { .release = own_keep };
static const struct cf_owner_ops giver = { .release = own_free };

static void set_up_kept(void)
{
	own_init(one_block, &keeper, 0);
}

static void set_up_freed(void)
{
	own_init(one_block, &giver, 0);
}

/* ---- KEEP: the run is out again before the put has returned ---- */

static void look_and_put(void)
{
	REQUIRE(*ground_contents(own->pfn) == 1);
	own_put();
}

/* What a driver does with a page of its free list. */
static void take_and_use(void)
{
	cf_pfn pfn = own_take_listed();

	own->taken[1] = pfn;
	if (pfn == CF_PFN_NONE)
		return;
	*ground_contents(pfn) = 2;
	cf_unfreeze(ground_map, pfn, 2);
	cf_put(ground_map, pfn);
	REQUIRE(*ground_contents(pfn) == 2);
	cf_put(ground_map, pfn);
}

static void get_and_look(void)
{
	uint64_t contents;

	if (cf_try_get(ground_map, own->pfn))
		return;
	contents = *ground_contents(own->pfn);
	REQUIRE(contents == 1 || contents == 2);
	cf_put(ground_map, own->pfn);
}

static void end_kept(void)
{
	REQUIRE(own->listed == own->pfn);
	REQUIRE(own->released == (own->taken[1] == CF_PFN_NONE ? 1 : 2));
	REQUIRE(own_is(own->pfn, own->owner, 0));
	REQUIRE(own_frames(own->owner) == 1);
	ground_verify();
}

static const struct explore_program keep_and_hand_out = {
	.name = "keep-and-hand-out",
	.worry = "a device page goes from its last put to the driver's list "
		 "and out again, and nobody resets its count behind that "
		 "(ZONE_DEVICE at refcount 0, 2022)",
	.setup = set_up_kept,
	.thread = { look_and_put, take_and_use, get_and_look },
	.end = end_kept,
	.quick = true,
};

/* ---- KEEP: the owner frees the run, and it is something else ---- */

static void take_and_free(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn = own_take_listed();

	if (pfn == CF_PFN_NONE)
		return;
	REQUIRE(*ground_contents(pfn) == 1);
	cf_free_frozen(ground_map, pfn, 0);
	MUST(cf_alloc(ground_map, request, &own->taken[1]));
	*ground_contents(own->taken[1]) = 3;
}

static void end_freed_by_owner(void)
{
	struct cf_snapshot run;

	if (own->taken[1] == CF_PFN_NONE) {
		end_kept();
		return;
	}
	run = own_look(own->taken[1]);
	REQUIRE(own->taken[1] == own->pfn);
	REQUIRE(run.type == CF_TYPE_KERNEL && run.refs == 1 && run.owner == 0);
	REQUIRE(own->released == 1 && own_frames(own->owner) == 0);
	ground_verify();
}

static const struct explore_program keep_and_free = {
	.name = "keep-and-free",
	.worry = "a kept run that its owner frees at once is not freed again "
		 "by the put that is still on its way back (folio_owner_ops, "
		 "2024)",
	.setup = set_up_kept,
	.thread = { look_and_put, take_and_free },
	.end = end_freed_by_owner,
	.quick = true,
};

/* ---- KEEP: the owner splits the run and hands out its parts ---- */

static void set_up_pair(void)
{
	own_init(one_block, &keeper, 1);
	ground_contents(own->pfn)[1] = 1;
}

static void take_and_split(void)
{
	cf_pfn pfn = own_take_listed();

	own->taken[1] = pfn;
	if (pfn == CF_PFN_NONE)
		return;
	MUST(cf_split(ground_map, pfn, 0));
	ground_contents(pfn)[1] = 2;
	cf_unfreeze(ground_map, pfn + 1, 1);
}

static void end_split(void)
{
	bool split = own->taken[1] != CF_PFN_NONE;

	REQUIRE(own->released == 1);
	REQUIRE(own_is(own->pfn, own->owner, 0));
	REQUIRE(own_look(own->pfn).order == (split ? 0 : 1));
	REQUIRE(own_is(own->pfn + 1, own->owner, 1) == split);
	REQUIRE(own_frames(own->owner) == 2);
	ground_verify();
}

static const struct explore_program keep_and_split = {
	.name = "keep-and-split",
	.worry = "a kept run is cut and its parts are used while the put that "
		 "freed it returns (hugetlb as an owner, folio_owner_ops, "
		 "2024)",
	.setup = set_up_pair,
	.thread = { own_put, take_and_split },
	.end = end_split,
	.quick = true,
};

/* ---- FREE: exactly the word that was written moves to 0 ---- */

static void get_and_put(void)
{
	if (cf_try_get(ground_map, own->pfn))
		return;
	/* It may be what the next has made of the frame. */
	if (own_look(own->pfn).type == CF_TYPE_FOLIO)
		*ground_contents(own->pfn) = 2;
	cf_put(ground_map, own->pfn);
}

/* Whoever allocates next sees what all holders wrote. */
static void reuse(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	MUST(cf_alloc(ground_map, request, &own->taken[2]));
	*ground_contents(own->taken[2]) = 3;
}

static void end_free_verdict(void)
{
	bool reused = own->taken[2] == own->pfn;

	REQUIRE(own->released == 1);
	REQUIRE(own_look(own->pfn).type ==
		(reused ? CF_TYPE_KERNEL : CF_TYPE_NONE));
	REQUIRE(own_frames(own->owner) == 0);
	ground_verify();
}

static const struct explore_program free_verdict = {
	.name = "free-verdict",
	.worry = "the hook runs once, for the last of two puts, and then the "
		 "run is free (folio_owner_ops, 2024)",
	.setup = set_up_freed,
	.thread = { own_put, get_and_put, reuse },
	.end = end_free_verdict,
};

/* ---- asynchronous freezing: the new owner is told by the last put ---- */

static enum cf_verdict see_both(void *context, cf_pfn pfn, unsigned order)
{
	REQUIRE(ground_contents(pfn)[0] == 2 && ground_contents(pfn)[1] == 2);
	return own_keep(context, pfn, order);
}

static const struct cf_owner_ops seer = { .release = see_both };

/* A run of nobody's with two references, and an owner that waits for it. */
static void set_up_change(void)
{
	own_init(one_block, &seer, 0);
	own->taken[0] = own->pfn;
	own->pfn = ground_alloc(CF_TYPE_FOLIO, 1, 0);
	MUST(cf_get(ground_map, own->pfn));
}

static void change_and_put(void)
{
	ground_contents(own->pfn)[0] = 2;
	MUST(cf_owner_change(ground_map, own->pfn, own->owner));
	own_put();
}

static void write_and_put(void)
{
	ground_contents(own->pfn)[1] = 2;
	own_put();
}

static void end_change(void)
{
	REQUIRE(own->released == 1 && own->listed == own->pfn);
	REQUIRE(own_is(own->pfn, own->owner, 0));
	REQUIRE(own_frames(own->owner) == 3);
	ground_verify();
}

static const struct explore_program change_and_wait = {
	.name = "change-and-wait",
	.worry = "the new owner hears of the last put, once, and sees what "
		 "every holder did (asynchronous freezing, 2024)",
	.setup = set_up_change,
	.thread = { change_and_put, write_and_put },
	.end = end_change,
	.quick = true,
};

/* ---- hooks of offlining: not of a run that is still being put ---- */

static int forget(void *context, cf_pfn pfn, unsigned order)
{
	unsigned long state = cf_lock(&own->lock);
	bool kept = own->listed == pfn;

	(void)context;
	(void)order;
	if (kept)
		own->listed = CF_PFN_NONE;
	cf_unlock(&own->lock, state);
	return kept ? 0 : -CF_EAGAIN;
}

static int not_now(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	REQUIRE(pfn == own->pfn && order == 0);
	return -CF_EAGAIN;
}

static int never(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	explore_fail("moved although the owner said not now", __FILE__,
		     __LINE__);
}

static const struct cf_owner_ops forgetful = {
	.release = own_keep,
	.dissolve = forget,
};
static const struct cf_owner_ops forgetful_giver = {
	.release = own_free,
	.dissolve = forget,
};
static const struct cf_owner_ops reluctant = {
	.release = own_keep,
	.isolate = not_now,
	.migrate = never,
};

static struct cf_offline *offline;

/* All but the run is stepped over, in a few strides. */
static void set_up_offline(const struct cf_owner_ops *ops)
{
	own_init(one_block, ops, 0);
	own_fill();
	offline = explore_memory(sizeof(*offline));
	MUST(cf_block_offline_start(ground_map, offline, 0, GROUND_BLOCK,
				    NULL));
}

static void set_up_dissolve(void)
{
	set_up_offline(&forgetful);
}

static void set_up_dissolve_free(void)
{
	set_up_offline(&forgetful_giver);
}

static void set_up_isolate(void)
{
	set_up_offline(&reluctant);
}

static void step(void)
{
	own->err[1] = cf_block_offline_step(offline);
}

static bool is_offline(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	return info.state == CF_BLOCK_OFFLINE;
}

/* What is left after one step, and that another gets to the end. */
static void end_dissolve(void)
{
	bool done = own->err[1] == 0;

	REQUIRE(own->released == 1 && is_offline() == done);
	REQUIRE((own->listed == CF_PFN_NONE) == done);
	REQUIRE(own_is(own->pfn, own->owner, 0) == !done);
	REQUIRE(done || cf_block_offline_step(offline) == 0);
	REQUIRE(own_frames(own->owner) == 0);
	ground_verify();
}

static const struct explore_program put_against_dissolve = {
	.name = "put-against-dissolve",
	.worry = "offlining asks for a kept run only once the put that keeps "
		 "it has told its owner (hugetlb pools and offlining, 2024)",
	.setup = set_up_dissolve,
	.thread = { own_put, step },
	.end = end_dissolve,
};

static void end_dissolve_free(void)
{
	bool done = own->err[1] == 0;

	REQUIRE(own->released == 1 && is_offline() == done);
	REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	REQUIRE(done || cf_block_offline_step(offline) == 0);
	REQUIRE(own_frames(own->owner) == 0);
	ground_verify();
}

static const struct explore_program free_against_dissolve = {
	.name = "free-against-dissolve",
	.worry = "a run on its way from verdict FREE to the allocator is "
		 "neither dissolved nor lost by offlining (2024)",
	.setup = set_up_dissolve_free,
	.thread = { own_put, step },
	.end = end_dissolve_free,
};

static void end_isolate(void)
{
	REQUIRE(own->err[1] == -CF_EAGAIN || own->err[1] == -CF_EBUSY);
	REQUIRE(own->released == 1 && own->listed == own->pfn);
	REQUIRE(own_is(own->pfn, own->owner, 0));
	REQUIRE(cf_block_offline_step(offline) == -CF_EBUSY);
	ground_verify();
}

static const struct explore_program put_against_isolate = {
	.name = "put-against-isolate",
	.worry = "the last put of others while offlining asks the owner is "
		 "told to it all the same, through the engine's reference "
		 "(balloon and zsmalloc isolation, 2025)",
	.setup = set_up_isolate,
	.thread = { own_put, step },
	.end = end_isolate,
};

/* ---- the run is out again while offlining asks for it ---- */

static void step_as_third(void)
{
	own->err[2] = cf_block_offline_step(offline);
}

static void end_isolate_range(void)
{
	REQUIRE(own->err[2] == -CF_EAGAIN || own->err[2] == -CF_EBUSY);
	REQUIRE(own->listed == own->pfn);
	REQUIRE(own->released == (own->taken[1] == CF_PFN_NONE ? 1 : 2));
	REQUIRE(own_is(own->pfn, own->owner, 0));
	REQUIRE(own_frames(own->owner) == GROUND_CHUNK);
	ground_verify();
}

static const struct explore_program hand_out_against_isolate = {
	.name = "hand-out-against-isolate",
	.worry = "a run that leaves its owner's list while offlining looks at "
		 "it is told to its owner by each of its last puts, and by "
		 "nothing else (ZONE_DEVICE at refcount 0, 2022)",
	.setup = set_up_isolate,
	.thread = { own_put, take_and_use, step_as_third },
	.end = end_isolate_range,
};

/* ---- no room for the run: its owner may cut it, if it still has it ---- */

static int cut(void *context, cf_pfn pfn, unsigned order)
{
	unsigned long state = cf_lock(&own->lock);
	bool kept = own->listed == pfn;

	(void)context;
	REQUIRE(order == 1);
	cf_unlock(&own->lock, state);
	return kept ? cf_split(ground_map, pfn, 0) : -CF_EAGAIN;
}

static const struct cf_owner_ops cutter = {
	.release = own_keep,
	.migrate = never,
	.split = cut,
};

static void set_up_cut(void)
{
	own_init(one_block, &cutter, 1);
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, own->owner));
	MUST(cf_offline_alloc_range(ground_map, own->owner, 2, GROUND_BLOCK,
				    CF_FLAG_SKIPPABLE, NULL));
	offline = explore_memory(sizeof(*offline));
	MUST(cf_block_offline_start(ground_map, offline, 0, GROUND_BLOCK,
				    NULL));
}

static void end_cut(void)
{
	bool split = own_look(own->pfn).order == 0;

	REQUIRE(own->err[1] == -CF_EAGAIN || own->err[1] == -CF_EBUSY);
	REQUIRE(own->released == 1 && own->listed == own->pfn);
	REQUIRE(own_is(own->pfn, own->owner, 0));
	REQUIRE(own_is(own->pfn + 1, own->owner, 0) == split);
	REQUIRE(!split || own->err[1] == -CF_EAGAIN);
	ground_verify();
}

static const struct explore_program put_against_cut = {
	.name = "put-against-cut",
	.worry = "an owner is asked to cut a run of its own only, also if its "
		 "last reference went meanwhile (large folios and offlining, "
		 "2024)",
	.setup = set_up_cut,
	.thread = { own_put, step },
	.end = end_cut,
};

const struct explore_program *const explore_owners[] = {
	&keep_and_hand_out, &keep_and_free, &keep_and_split, &free_verdict,
	&change_and_wait, &put_against_dissolve, &free_against_dissolve,
	&put_against_isolate, &hand_out_against_isolate, &put_against_cut,
	NULL
};
