/* SPDX-License-Identifier: MIT */

/*
 * Allocations beside each other: in another block than the one at home, of
 * ranges, and while watermarks are set.
 */

#include "ground.h"

static struct {
	cf_pfn got[2];
	cf_pfn moved[2];	/* where the runs are that stood in the way */
	uint32_t owner;
} *w;

static void make_world(unsigned blocks)
{
	ground_init((struct ground_config) {
		.blocks = blocks, .online = blocks });
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
}

/* ---- in a block that is not the home block ---- */

static void make_full_home(void)
{
	make_world(2);
	REQUIRE(ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0) == 0);
}

static void alloc_one(void)
{
	cf_pfn pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);

	w->got[explore_self()] = pfn;
	*ground_contents(pfn) = explore_self();
}

static void have_one_each(void)
{
	unsigned i;

	REQUIRE(w->got[0] != w->got[1]);
	for (i = 0; i < 2; i++)
		REQUIRE(w->got[i] >= GROUND_BLOCK &&
			*ground_contents(w->got[i]) == i);
	ground_verify();
}

static const struct explore_program alloc_elsewhere = {
	.name = "alloc-elsewhere-beside-alloc",
	.worry = "two that find a block by the index at one time are handed "
		 "out different frames of it",
	.setup = make_full_home,
	.thread = { alloc_one, alloc_one },
	.end = have_one_each,
};

static void make_half_full_home(void)
{
	make_world(1);
	REQUIRE(ground_alloc(CF_TYPE_KERNEL, CF_CHUNK_ORDER, 0) == 0);
}

static void have_one_each_at_home(void)
{
	unsigned i;

	REQUIRE(w->got[0] != w->got[1]);
	for (i = 0; i < 2; i++)
		REQUIRE(w->got[i] >= GROUND_CHUNK &&
			*ground_contents(w->got[i]) == i);
	ground_verify();
}

static const struct explore_program alloc_at_home = {
	.name = "alloc-at-home-beside-alloc",
	.worry = "what is left of a run that one breaks is found by the other, "
		 "who has looked for so little already",
	.setup = make_half_full_home,
	.thread = { alloc_one, alloc_one },
	.end = have_one_each_at_home,
};

/* ---- watermarks ---- */

/* Nearly all is free. */
static void signalled(enum cf_signal what, cf_pfn zone)
{
	(void)zone;
	REQUIRE(what != CF_SIGNAL_LOW);
}

static void make_one(void)
{
	make_world(1);
	explore_port_machine()->signal = signalled;
}

static void set_marks(void)
{
	struct cf_watermarks marks = { .min = 1, .low = 2, .high = 3 };

	MUST(cf_zone_set_watermarks(ground_map, 0, CF_ZONE_NORMAL, marks));
}

static const struct explore_program alloc_against_watermarks = {
	.name = "alloc-against-watermarks",
	.worry = "the count that watermarks are compared with is right from "
		 "the moment they are set: no call fails and no alarm is "
		 "raised while memory is free",
	.setup = make_one,
	.thread = { set_marks, alloc_one },
	.end = ground_verify,
};

/* ---- two ranges in one chunk ---- */

static int move(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	REQUIRE(order == 0);
	if (cf_freeze(ground_map, source, 2))
		return -CF_EAGAIN;
	w->moved[source] = target;
	cf_unfreeze(ground_map, target, 1);
	return 0;
}

static const struct cf_owner_ops mover = { .migrate = move };

/* Frames 0 and 1 are in use, each to be moved away. */
static void make_movable(void)
{
	make_world(1);
	MUST(cf_owner_register(ground_map, "mover", &mover, NULL,
			       &w->owner));
	REQUIRE(ground_alloc(CF_TYPE_FOLIO, 0, w->owner) == 0);
	REQUIRE(ground_alloc(CF_TYPE_FOLIO, 0, w->owner) == 1);
}

/* The other's range is not isolated when ours is looked at. */
static void take_mine(void)
{
	cf_pfn pfn = explore_self();

	MUST(cf_offline_alloc_range(ground_map, CF_OWNER_NONE, pfn, pfn + 1,
				    0, NULL));
}

static void both_are_offline(void)
{
	struct cf_snapshot run;
	cf_pfn pfn;

	for (pfn = 0; pfn < 2; pfn++) {
		MUST(cf_snapshot(ground_map, pfn, &run));
		REQUIRE(run.type == CF_TYPE_OFFLINE);
		MUST(cf_snapshot(ground_map, w->moved[pfn], &run));
		REQUIRE(run.type == CF_TYPE_FOLIO && run.refs == 1);
	}
	ground_verify();
}

static const struct explore_program unplug_beside_unplug = {
	.name = "unplug-beside-unplug",
	.worry = "ranges that drivers take offline in one chunk at one time "
		 "are both had: isolation of one is no refusal of the other "
		 "(virtio-mem, offline pages, 2024)",
	.setup = make_movable,
	.thread = { take_mine, take_mine },
	.end = both_are_offline,
};

const struct explore_program *const explore_allocs[] = {
	&alloc_elsewhere,
	&alloc_at_home,
	&alloc_against_watermarks,
	&unplug_beside_unplug,
	NULL
};
