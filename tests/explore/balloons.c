/* SPDX-License-Identifier: MIT */

/*
 * Logically offline frames: taken, marked, moved and given back, against
 * references by number, block offlining and each other.
 */

#include "ground.h"

/* A payload that has a count of one where counted runs have theirs. */
#define LIKE_A_COUNT (1u << 10)

static struct {
	cf_pfn pfn, moved_to;
	uint32_t owner;
	struct cf_offline operation;
	int err[EXPLORE_THREADS_MAX];
} *w;

static void begin(unsigned blocks)
{
	ground_init((struct ground_config) { .blocks = blocks,
					     .online = blocks });
	w = explore_memory(sizeof(*w));
}

/* ---- references by number against logically offline frames ---- */

static void set_up_folio(void)
{
	begin(1);
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 0, 0);
}

static void get_and_read(void)
{
	if (cf_try_get(ground_map, w->pfn))
		return;
	(void)*(volatile uint64_t *)ground_contents(w->pfn);
	cf_put(ground_map, w->pfn);
}

/* Drop it, inflate: what a balloon takes nobody reads. */
static void put_and_inflate(void)
{
	cf_pfn pfn;

	cf_put(ground_map, w->pfn);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0, &pfn));
	/* Where a count would be there is one. */
	MUST(cf_offline_set_payload(ground_map, CF_OWNER_NONE, pfn,
				    LIKE_A_COUNT));
	*ground_contents(pfn) = 1;
}

static const struct explore_program get_against_inflate = {
	.name = "get-against-inflate",
	.worry = "a speculative reference never lands on an offline frame "
		 "(PG_offline 2018, no count 2024)",
	.setup = set_up_folio,
	.thread = { put_and_inflate, get_and_read },
	.end = ground_verify,
	.quick = true,
};

/* The last put, by whichever of the two, then exactly that frame. */
static void put_and_unplug(void)
{
	int err;

	cf_put(ground_map, w->pfn);
	err = cf_offline_alloc_range(ground_map, CF_OWNER_NONE, w->pfn,
				     w->pfn + 1, 0, NULL);
	if (err) {
		REQUIRE(err == -CF_EBUSY || err == -CF_EAGAIN);
		return;
	}
	MUST(cf_offline_set_payload(ground_map, CF_OWNER_NONE, w->pfn,
				    LIKE_A_COUNT));
	*ground_contents(w->pfn) = 1;
}

static const struct explore_program get_against_unplug = {
	.name = "get-against-unplug",
	.worry = "the same where exactly this frame is asked for",
	.setup = set_up_folio,
	.thread = { put_and_unplug, get_and_read },
	.end = ground_verify,
	.quick = true,
};

static void set_up_offline(void)
{
	begin(1);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0, &w->pfn));
	MUST(cf_offline_set_payload(ground_map, CF_OWNER_NONE, w->pfn,
				    LIKE_A_COUNT));
}

/* Deflate and use: the first reference comes with what its maker wrote. */
static void deflate_and_use(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	*ground_contents(w->pfn) = 1;
	MUST(cf_offline_free(ground_map, CF_OWNER_NONE, w->pfn, 0));
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn) = 2;
	cf_unfreeze(ground_map, pfn, 1);
}

static void get_and_read_new(void)
{
	if (cf_try_get(ground_map, w->pfn))
		return;
	REQUIRE(*ground_contents(w->pfn) == 2);
	cf_put(ground_map, w->pfn);
}

static const struct explore_program get_against_deflate = {
	.name = "get-against-deflate",
	.worry = "a frame that comes back is had only by its next user's word",
	.setup = set_up_offline,
	.thread = { deflate_and_use, get_and_read_new },
	.end = ground_verify,
	.quick = true,
};

static void deflate(void)
{
	unsigned self = explore_self();

	w->err[self] = cf_offline_free(ground_map, CF_OWNER_NONE, w->pfn, 0);
}

static void one_deflated(void)
{
	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) == 1);
	REQUIRE(w->err[0] + w->err[1] == -CF_EREFUSED ||
		w->err[0] + w->err[1] == -CF_EAGAIN);
	ground_verify();
}

static const struct explore_program deflate_twice = {
	.name = "deflate-twice",
	.worry = "of two that give one frame back, one does",
	.setup = set_up_offline,
	.thread = { deflate, deflate },
	.end = one_deflated,
	.quick = true,
};

/* Two stretches that overlap: all of one, and nothing of the other. */
static void set_up_stretch(void)
{
	begin(1);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 2, 0, &w->pfn));
}

static void deflate_first_three(void)
{
	w->err[0] = cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn,
					  w->pfn + 3);
}

static void deflate_last_three(void)
{
	w->err[1] = cf_offline_free_range(ground_map, CF_OWNER_NONE,
					  w->pfn + 1, w->pfn + 4);
}

static void one_or_none_deflated(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) <= 1);
	REQUIRE(info.offline == (w->err[0] && w->err[1] ? 4 : 1));
	ground_verify();
}

static const struct explore_program overlapping_deflates = {
	.name = "overlapping-deflates",
	.worry = "giving back a range is all or nothing, in parts of runs too",
	.setup = set_up_stretch,
	.thread = { deflate_first_three, deflate_last_three },
	.end = one_or_none_deflated,
	.quick = true,
};

static void take_first_two(void)
{
	w->err[0] = cf_offline_alloc_range(ground_map, CF_OWNER_NONE, 0, 2, 0,
					   NULL);
}

static void take_second_two(void)
{
	w->err[1] = cf_offline_alloc_range(ground_map, CF_OWNER_NONE, 1, 3, 0,
					   NULL);
}

static void set_up_free(void)
{
	begin(1);
}

static void one_taken(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) == 1);
	REQUIRE(w->err[0] + w->err[1] == -CF_EBUSY);
	REQUIRE(info.offline == 2);
	ground_verify();
}

static const struct explore_program overlapping_unplugs = {
	.name = "overlapping-unplugs",
	.worry = "of two that ask for one frame one gets it, and the other "
		 "nothing",
	.setup = set_up_free,
	.thread = { take_first_two, take_second_two },
	.end = one_taken,
	.quick = true,
};

/* The last frame of one block and the first of the next, in one call. */
static void set_up_wide(void)
{
	begin(2);
	MUST(cf_offline_alloc_range(ground_map, CF_OWNER_NONE,
				    GROUND_BLOCK - 1, GROUND_BLOCK + 1, 0,
				    NULL));
}

static void deflate_wide(void)
{
	w->err[0] = cf_offline_free_range(ground_map, CF_OWNER_NONE,
					  GROUND_BLOCK - 1, GROUND_BLOCK + 1);
}

static void deflate_second(void)
{
	w->err[1] = cf_offline_free_range(ground_map, CF_OWNER_NONE,
					  GROUND_BLOCK, GROUND_BLOCK + 1);
}

static void wide_or_second(void)
{
	struct cf_snapshot run;
	int err;

	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) == 1);
	err = cf_snapshot(ground_map, GROUND_BLOCK - 1, &run);
	REQUIRE((err == 0) == (w->err[0] != 0));
	REQUIRE(err || !(run.flags & CF_FLAG_BUSY));
	ground_verify();
}

static const struct explore_program wide_deflates = {
	.name = "wide-deflates",
	.worry = "all or nothing over several blocks, too",
	.setup = set_up_wide,
	.thread = { deflate_wide, deflate_second },
	.end = wide_or_second,
	.quick = true,
};

/* ---- payloads and marks ---- */

static void name_it(void)
{
	w->err[1] = cf_offline_set_payload(ground_map, CF_OWNER_NONE, w->pfn,
					   7);
}

static void deflate_named(void)
{
	MUST(cf_offline_free(ground_map, CF_OWNER_NONE, w->pfn, 0));
}

static void nothing_offline(void)
{
	struct cf_snapshot run;

	REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == -CF_EGONE);
	REQUIRE(w->err[1] == 0 || w->err[1] == -CF_EGONE ||
		w->err[1] == -CF_EAGAIN);
	ground_verify();
}

static const struct explore_program payload_against_deflate = {
	.name = "payload-against-deflate",
	.worry = "a payload does not bring back a run that is given away",
	.setup = set_up_offline,
	.thread = { deflate_named, name_it },
	.end = nothing_offline,
	.quick = true,
};

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)order;
	w->moved_to = target;
	return 0;
}

static const struct cf_owner_ops movable = { .migrate = migrate };
static const struct cf_owner_ops no_hooks;

static void set_up_movable(void)
{
	begin(2);
	MUST(cf_owner_register(ground_map, "balloon", &movable, NULL,
			       &w->owner));
	MUST(cf_offline_alloc(ground_map, w->owner, CF_CHUNK_ORDER,
			      CF_FLAG_MOVABLE, &w->pfn));
	REQUIRE(w->pfn < GROUND_BLOCK);
}

static int take_offline(void)
{
	int err;

	MUST(cf_block_offline_start(ground_map, &w->operation, 0, GROUND_BLOCK,
				    NULL));
	err = cf_block_offline_step(&w->operation);
	if (err)
		MUST(cf_block_offline_cancel(&w->operation));
	return err;
}

static void move_or_not(void)
{
	w->err[0] = take_offline();
}

static void name_movable(void)
{
	w->err[1] = cf_offline_set_payload(ground_map, w->owner, w->pfn, 7);
}

static void named_where_it_is(void)
{
	struct cf_snapshot run;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	MUST(cf_snapshot(ground_map, w->err[0] ? w->pfn : w->moved_to, &run));
	REQUIRE(run.type == CF_TYPE_OFFLINE && run.owner == w->owner);
	REQUIRE(!(run.flags & CF_FLAG_BUSY));
	REQUIRE(run.payload == (w->err[1] ? 0 : 7));
	ground_verify();
}

static const struct explore_program payload_against_move = {
	.name = "payload-against-move",
	.worry = "a payload goes where its run goes, or is refused (moving "
		 "offline pages, 2024)",
	.setup = set_up_movable,
	.thread = { move_or_not, name_movable },
	.end = named_where_it_is,
	.quick = true,
};

/* Its owner takes the run back while it is being moved. */
static void deflate_movable(void)
{
	w->err[1] = cf_offline_free_range(ground_map, w->owner, w->pfn,
					  w->pfn + GROUND_CHUNK);
}

static void moved_or_deflated(void)
{
	struct cf_block_info info;
	bool moved = w->moved_to != CF_PFN_NONE;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	REQUIRE((w->err[1] == 0) == !moved);
	MUST(cf_block_info(ground_map, GROUND_BLOCK, &info));
	REQUIRE(info.offline == (moved ? GROUND_CHUNK : 0));
	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.offline == 0);
	ground_verify();
}

static void set_up_unmoved(void)
{
	set_up_movable();
	w->moved_to = CF_PFN_NONE;
}

static const struct explore_program deflate_against_move = {
	.name = "deflate-against-move",
	.worry = "a run its owner gives back is not moved, and one that is "
		 "moved is not given back",
	.setup = set_up_unmoved,
	.thread = { move_or_not, deflate_movable },
	.end = moved_or_deflated,
	.quick = true,
};

/* Other runs of both blocks are given back meanwhile. */
static void set_up_beside(void)
{
	set_up_movable();
	MUST(cf_offline_alloc_range(ground_map, CF_OWNER_NONE, GROUND_CHUNK,
				    2 * GROUND_CHUNK, 0, NULL));
	MUST(cf_offline_alloc_range(ground_map, CF_OWNER_NONE, GROUND_BLOCK,
				    GROUND_BLOCK + GROUND_CHUNK, 0, NULL));
}

static void deflate_beside(void)
{
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, GROUND_BLOCK,
				   GROUND_BLOCK + GROUND_CHUNK));
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, GROUND_CHUNK,
				   2 * GROUND_CHUNK));
}

static const struct explore_program deflates_beside_move = {
	.name = "deflates-beside-move",
	.worry = "what else goes on in the blocks of a move is counted",
	.setup = set_up_beside,
	.thread = { move_or_not, deflate_beside },
	.end = ground_verify,
};

/* A device's runs of a chunk each, in its own block. */
static void make_device_runs(uint32_t flags)
{
	begin(1);
	MUST(cf_owner_register(ground_map, "device", &no_hooks, NULL,
			       &w->owner));
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, w->owner));
	MUST(cf_offline_alloc_range(ground_map, w->owner, 0, GROUND_CHUNK,
				    flags, NULL));
}

static void set_up_plugged(void)
{
	make_device_runs(0);
	MUST(cf_offline_alloc_range(ground_map, w->owner, GROUND_CHUNK,
				    GROUND_BLOCK, 0, NULL));
}

/* Gone, or so near to it that who asks again is told. */
static bool gone(int err)
{
	return err == -CF_EGONE || err == -CF_EAGAIN;
}

static void mark(cf_pfn first, bool skippable)
{
	w->err[explore_self()] =
		cf_offline_set_skippable(ground_map, w->owner, first,
					 first + GROUND_CHUNK, skippable);
}

static void mark_first(void)
{
	mark(0, true);
}

static void mark_second(void)
{
	mark(GROUND_CHUNK, true);
}

static void both_marked(void)
{
	struct cf_block_info info;

	REQUIRE(w->err[0] == 0 && w->err[1] == 0);
	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.offline == GROUND_BLOCK);
	REQUIRE(info.skippable == GROUND_BLOCK);
	ground_verify();
}

static const struct explore_program two_marks = {
	.name = "two-marks",
	.worry = "marks of two at one time are counted as they are set",
	.setup = set_up_plugged,
	.thread = { mark_first, mark_second },
	.end = both_marked,
	.quick = true,
};

static void set_up_marked(void)
{
	make_device_runs(CF_FLAG_SKIPPABLE);
}

static void unmark(void)
{
	mark(0, false);
}

static void offline_or_unmarked(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	if (w->err[0] == 0)
		REQUIRE(info.state == CF_BLOCK_OFFLINE && info.offline == 0);
	else
		REQUIRE(w->err[0] == -CF_EBUSY || w->err[0] == -CF_EAGAIN);
	if (w->err[1] == 0)
		REQUIRE(w->err[0] && info.state == CF_BLOCK_ONLINE &&
			info.skippable == 0 && info.offline == GROUND_CHUNK);
	else
		REQUIRE(gone(w->err[1]) && w->err[0] == 0);
	ground_verify();
}

static const struct explore_program unmark_against_offline = {
	.name = "unmark-against-offline",
	.worry = "a frame its driver takes back is never stepped over "
		 "(PG_offline_skippable, 2025)",
	.setup = set_up_marked,
	.thread = { move_or_not, unmark },
	.end = offline_or_unmarked,
	.quick = true,
};

/* Two blocks at a time: the first has left when the second does not. */
static void set_up_two_marked(void)
{
	begin(2);
	MUST(cf_owner_register(ground_map, "device", &no_hooks, NULL,
			       &w->owner));
	MUST(cf_block_adopt(ground_map, 0, 2 * GROUND_BLOCK, w->owner));
	MUST(cf_offline_alloc_range(ground_map, w->owner, 0, GROUND_CHUNK,
				    CF_FLAG_SKIPPABLE, NULL));
	MUST(cf_offline_alloc_range(ground_map, w->owner, GROUND_BLOCK,
				    GROUND_BLOCK + GROUND_CHUNK,
				    CF_FLAG_SKIPPABLE, NULL));
}

static void take_two_offline(void)
{
	MUST(cf_block_offline_start(ground_map, &w->operation, 0,
				    2 * GROUND_BLOCK, NULL));
	w->err[0] = cf_block_offline_step(&w->operation);
}

static void unmark_second(void)
{
	mark(GROUND_BLOCK, false);
}

static void both_or_unmarked(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	if (w->err[0]) {
		REQUIRE(w->err[1] == 0 || w->err[1] == -CF_EAGAIN);
		REQUIRE(info.state == CF_BLOCK_GOING_OFFLINE);
		MUST(cf_offline_set_skippable(ground_map, w->owner, 0,
					      GROUND_CHUNK, false));
		MUST(cf_block_offline_cancel(&w->operation));
	} else {
		REQUIRE(gone(w->err[1]));
		REQUIRE(info.state == CF_BLOCK_OFFLINE);
	}
	ground_verify();
}

static const struct explore_program unmark_against_two_blocks = {
	.name = "unmark-against-two-blocks",
	.worry = "blocks go offline together or not at all",
	.setup = set_up_two_marked,
	.thread = { take_two_offline, unmark_second },
	.end = both_or_unmarked,
};

/* Who has one block's frames back has all of them. */
static void unmark_both(void)
{
	mark(GROUND_BLOCK, false);
	if (w->err[1])
		return;
	w->err[1] = cf_offline_set_skippable(ground_map, w->owner, 0,
					     GROUND_CHUNK, false);
}

static const struct explore_program unmark_both_blocks = {
	.name = "unmark-both-blocks",
	.worry = "a block that stays is never said to be gone",
	.setup = set_up_two_marked,
	.thread = { take_two_offline, unmark_both },
	.end = both_or_unmarked,
};

static void deflate_marked(void)
{
	w->err[1] = cf_offline_free_range(ground_map, w->owner, 0,
					  GROUND_CHUNK);
}

static void offline_all_the_same(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	REQUIRE(w->err[1] == 0 || (gone(w->err[1]) && !w->err[0]));
	REQUIRE(info.state == (w->err[0] ? CF_BLOCK_ONLINE : CF_BLOCK_OFFLINE));
	REQUIRE(info.free == (w->err[0] ? GROUND_BLOCK : 0));
	ground_verify();
}

static const struct explore_program plug_against_offline = {
	.name = "plug-against-offline",
	.worry = "frames that are plugged while their block goes are either in "
		 "use or gone with it",
	.setup = set_up_marked,
	.thread = { move_or_not, deflate_marked },
	.end = offline_all_the_same,
	.quick = true,
};

const struct explore_program *const explore_balloons[] = {
	&get_against_inflate, &get_against_unplug, &get_against_deflate,
	&deflate_twice, &overlapping_deflates, &overlapping_unplugs,
	&wide_deflates, &payload_against_deflate, &payload_against_move,
	&deflate_against_move, &deflates_beside_move, &two_marks,
	&unmark_against_offline, &unmark_against_two_blocks,
	&unmark_both_blocks, &plug_against_offline, NULL
};
