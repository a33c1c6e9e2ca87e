/* SPDX-License-Identifier: MIT */

/*
 * Runs that are cut while others look for them: what exists all the time is
 * found all the time, and who finds a part sees what was done before the cut.
 */

#include "ground.h"

enum {
	OF_HOLDER	= 1,	/* what a frame holds, by who wrote it */
	OF_CUTTER	= 2,
};

static struct {
	cf_pfn pfn;
	unsigned order;
	uint32_t owner, other;
	uint64_t side;		/* what the cutter keeps about the run */
	uint64_t done[2];	/* what threads could do */
} *w;

static struct cf_snapshot look(cf_pfn pfn)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, pfn, &run));
	return run;
}

/* One run with one reference. */
static void make_run(unsigned blocks, enum cf_type type, unsigned order)
{
	ground_init((struct ground_config) {
		.blocks = blocks, .online = blocks, .poison_max = 4 });
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
	w->order = order;
	w->pfn = ground_alloc(type, order, 0);
}

static void make_frozen(unsigned blocks, unsigned order)
{
	make_run(blocks, CF_TYPE_FOLIO, order);
	MUST(cf_freeze(ground_map, w->pfn, 1));
}

/* ---- the first cut in the life of a chunk ---- */

static uint64_t leftover(void)
{
	cf_pfn pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	uint64_t word = look(pfn).word;

	cf_put(ground_map, pfn);
	return word;
}

/* A block whose metadata is full of words of runs from an earlier life. */
static void add_block_of_leftovers(void)
{
	struct cf_block_config config = { .meta = CF_META_CALLER };
	size_t bytes = cf_block_meta_bytes(ground_map, 1);
	uint64_t word = leftover();
	uint64_t *meta = ground_meta(1);
	size_t i;

	explore_name(meta, bytes, "metadata of block", 1);
	for (i = 0; i < bytes / sizeof(*meta); i++)
		meta[i] = word;
	config.memory = meta;
	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			  &config));
	MUST(cf_block_online(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			     CF_ZONE_NORMAL, NULL));
}

static void make_leftovers(void)
{
	ground_init((struct ground_config) { .blocks = 2 });
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
	add_block_of_leftovers();
	/* Leave nothing but that block. */
	REQUIRE(ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0) == 0);
}

static void alloc_first(void)
{
	w->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	REQUIRE(w->pfn == GROUND_BLOCK);
}

static void find_no_leftovers(void)
{
	REQUIRE(cf_try_get(ground_map, GROUND_BLOCK + 1) == -CF_EGONE);
	REQUIRE(cf_find_head(ground_map, GROUND_BLOCK + 1) == CF_PFN_NONE);
	if (cf_try_get(ground_map, GROUND_BLOCK) == 0)
		cf_put(ground_map, GROUND_BLOCK);
}

static const struct explore_program leftovers_against_get = {
	.name = "leftovers-against-get",
	.worry = "a walker never takes for a run what uninitialised metadata "
		 "holds (pfn_to_online_page; never onlined frames, 2024)",
	.setup = make_leftovers,
	.thread = { alloc_first, find_no_leftovers },
	.end = ground_verify,
	.quick = true,
};

/* ---- cuts of frozen runs ---- */

static void cut_in_two(void)
{
	cf_pfn half = w->pfn + ((cf_pfn)1 << (w->order - 1));

	w->side = 1;
	MUST(cf_split(ground_map, w->pfn, w->order - 1));
	*ground_contents(half) = OF_CUTTER;
	cf_unfreeze(ground_map, half, 1);
}

/* The run or its part; who sees the part sees what came before it. */
static void find_all_the_time(void)
{
	cf_pfn half = w->pfn + ((cf_pfn)1 << (w->order - 1));
	cf_pfn head = cf_find_head(ground_map, half + (half > 4 ? 3 : 0));

	REQUIRE(head == w->pfn || head == half);
	if (head == half)
		REQUIRE(w->side == 1);
	if (look(w->pfn).order < w->order)
		REQUIRE(w->side == 1);
}

static void get_half(void)
{
	cf_pfn half = w->pfn + ((cf_pfn)1 << (w->order - 1));
	cf_pfn head;

	REQUIRE(cf_try_get(ground_map, w->pfn) == -CF_EGONE);
	if (cf_try_get_interior(ground_map, half + (half > 4 ? 3 : 0), &head))
		return;
	REQUIRE(head == half);
	REQUIRE(*ground_contents(half) == OF_CUTTER);
	REQUIRE(look(half).order == w->order - 1);
	cf_put(ground_map, half);
}

static void is_cut(void)
{
	REQUIRE(look(w->pfn).order == w->order - 1);
	REQUIRE(look(w->pfn).refs == 0);
	ground_verify();
}

static void make_pair(void)
{
	make_frozen(1, 1);
}

static void make_chunk(void)
{
	make_frozen(1, CF_CHUNK_ORDER);
}

static void make_block(void)
{
	make_frozen(1, GROUND_BLOCK_ORDER);
}

static void make_blocks(void)
{
	make_frozen(2, GROUND_BLOCK_ORDER + 1);
}

#define FIND_PROGRAM(size)						\
static const struct explore_program find_against_split_of_##size = {	\
	.name = "find-against-split-of-" #size,				\
	.worry = "a frame of a run that is cut (a " #size ") belongs to the " \
		 "run or to its part at every moment, never to none "	\
		 "(walkers, offline pages, 2024)",			\
	.setup = make_##size,						\
	.thread = { cut_in_two, find_all_the_time },			\
	.end = is_cut,							\
	.quick = true,							\
}

FIND_PROGRAM(pair);
FIND_PROGRAM(chunk);
FIND_PROGRAM(block);
FIND_PROGRAM(blocks);

static const struct explore_program get_against_split = {
	.name = "get-against-split",
	.worry = "a reference by number lands on the part, with what its "
		 "maker wrote, never on a run that is being cut",
	.setup = make_pair,
	.thread = { cut_in_two, get_half },
	.end = is_cut,
	.quick = true,
};

static const struct explore_program get_against_split_of_chunk = {
	.name = "get-against-split-of-chunk",
	.worry = "the same where the head's word moves to another place",
	.setup = make_chunk,
	.thread = { cut_in_two, get_half },
	.end = is_cut,
	.quick = true,
};

/* ---- cuts by who finds the run frozen ---- */

static void make_held_pair(void)
{
	make_run(1, CF_TYPE_FOLIO, 1);
}

static void freeze_it(void)
{
	*ground_contents(w->pfn) = OF_HOLDER;
	MUST(cf_freeze(ground_map, w->pfn, 1));
}

static void cut_if_frozen(void)
{
	int err = cf_split(ground_map, w->pfn, 0);

	REQUIRE(err == 0 || err == -CF_EAGAIN);
	if (err)
		return;
	w->done[1] = 1;
	*ground_contents(w->pfn) = OF_CUTTER;
	*ground_contents(w->pfn + 1) = OF_CUTTER;
}

static void is_one_or_two(void)
{
	REQUIRE(look(w->pfn).order == !w->done[1]);
	REQUIRE(look(w->pfn).refs == 0);
	if (w->done[1])
		REQUIRE(look(w->pfn + 1).order == 0);
	ground_verify();
}

static const struct explore_program split_against_freeze = {
	.name = "split-against-freeze",
	.worry = "a run with references is never cut; who cuts it is alone "
		 "with it (folio_owner_ops, 2024)",
	.setup = make_held_pair,
	.thread = { freeze_it, cut_if_frozen },
	.end = is_one_or_two,
	.quick = true,
};

static enum cf_verdict keep_it(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	REQUIRE(pfn == w->pfn && order == 1);
	return CF_VERDICT_KEEP;
}

static const struct cf_owner_ops keeper = { .release = keep_it };

static void make_owned_pair(void)
{
	make_held_pair();
	MUST(cf_owner_register(ground_map, "keeper", &keeper, NULL,
			       &w->owner));
	MUST(cf_owner_register(ground_map, "other", &keeper, NULL,
			       &w->other));
	MUST(cf_owner_change(ground_map, w->pfn, w->owner));
}

static void put_it(void)
{
	*ground_contents(w->pfn) = OF_HOLDER;
	cf_put(ground_map, w->pfn);
}

static const struct explore_program split_against_put = {
	.name = "split-against-put",
	.worry = "a run its owner keeps can be cut as soon as the last "
		 "reference went, and no earlier (folio_owner_ops, 2024)",
	.setup = make_owned_pair,
	.thread = { put_it, cut_if_frozen },
	.end = is_one_or_two,
	.quick = true,
};

/* Two cut one run, into halves and into quarters. */
static void make_four(void)
{
	make_frozen(1, 2);
}

static void cut_to_pairs(void)
{
	int err = cf_split(ground_map, w->pfn, 1);

	REQUIRE(err == 0 || err == -CF_EAGAIN || err == -CF_EINVAL);
	w->done[0] = !err;
}

static void cut_to_frames(void)
{
	int err = cf_split(ground_map, w->pfn, 0);

	REQUIRE(err == 0 || err == -CF_EAGAIN);
	w->done[1] = !err;
}

static void is_cut_once_or_twice(void)
{
	REQUIRE(w->done[0] || w->done[1]);
	REQUIRE(look(w->pfn).order == !w->done[1]);
	REQUIRE(look(w->pfn + 2).order == w->done[0]);
	if (w->done[1])
		REQUIRE(look(w->pfn + 1).order == 0);
	if (!w->done[0])
		REQUIRE(look(w->pfn + 3).order == 0);
	ground_verify();
}

static const struct explore_program split_against_split = {
	.name = "split-against-split",
	.worry = "two that cut one run do so one after the other, or one is "
		 "told to try again",
	.setup = make_four,
	.thread = { cut_to_pairs, cut_to_frames },
	.end = is_cut_once_or_twice,
	.quick = true,
};

static void make_owned_frozen(void)
{
	make_owned_pair();
	MUST(cf_freeze(ground_map, w->pfn, 1));
}

static void cut_it(void)
{
	MUST(cf_split(ground_map, w->pfn, 0));
}

static void change_it(void)
{
	int err = cf_owner_change(ground_map, w->pfn, w->other);

	REQUIRE(err == 0 || err == -CF_EAGAIN);
	w->done[1] = !err;
}

static void both_have_owners(void)
{
	uint32_t first = look(w->pfn).owner;
	uint32_t second = look(w->pfn + 1).owner;

	REQUIRE(first == (w->done[1] ? w->other : w->owner));
	REQUIRE(second == w->owner || (w->done[1] && second == w->other));
	ground_verify();
}

static const struct explore_program split_against_change = {
	.name = "split-against-change",
	.worry = "parts have the owner of the whole, and owners' counts are "
		 "right, if it changes while it is cut (folio_owner_ops, "
		 "2024)",
	.setup = make_owned_frozen,
	.thread = { cut_it, change_it },
	.end = both_have_owners,
	.quick = true,
};

/* ---- cuts beside each other, in one block ---- */

static void make_two_chunks(void)
{
	make_frozen(1, GROUND_BLOCK_ORDER);
	MUST(cf_split(ground_map, w->pfn, CF_CHUNK_ORDER));
	w->order = CF_CHUNK_ORDER;
}

static void cut_first(void)
{
	MUST(cf_split(ground_map, w->pfn, CF_CHUNK_ORDER - 1));
}

static void cut_second(void)
{
	MUST(cf_split(ground_map, w->pfn + GROUND_CHUNK, CF_CHUNK_ORDER - 1));
}

static void both_are_cut(void)
{
	unsigned part;

	for (part = 0; part < 4; part++)
		REQUIRE(look(w->pfn + part * 256).order == CF_CHUNK_ORDER - 1);
	ground_verify();
}

static const struct explore_program split_beside_split = {
	.name = "split-beside-split",
	.worry = "cuts of two runs in one block do not get in each other's "
		 "way",
	.setup = make_two_chunks,
	.thread = { cut_first, cut_second },
	.end = both_are_cut,
	.quick = true,
};

static void find_first(void)
{
	REQUIRE(cf_find_head(ground_map, w->pfn + 3) == w->pfn);
}

static const struct explore_program find_against_splits = {
	.name = "find-against-splits",
	.worry = "a frame of a run that is cut is in a run at every moment "
		 "also if another run of the block is cut at one time",
	.setup = make_two_chunks,
	.thread = { cut_first, cut_second, find_first },
	.end = both_are_cut,
	.quick = true,
};

/* ---- cuts around bad frames ---- */

static void retire_half(void)
{
	enum cf_retire_state state;

	MUST(cf_retire(ground_map, w->pfn + 1, &state));
	REQUIRE(state == CF_RETIRE_PENDING);
}

static void half_goes_when_freed(void)
{
	struct cf_snapshot run;

	cf_free_frozen(ground_map, w->pfn, 0);
	cf_free_frozen(ground_map, w->pfn + 1, 0);
	REQUIRE(cf_retire_state(ground_map, w->pfn + 1) == CF_RETIRE_DONE);
	REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == -CF_EGONE);
	ground_verify();
}

static const struct explore_program split_against_retire = {
	.name = "split-against-bad-frame",
	.worry = "a frame that turns out bad while its run is cut is never "
		 "handed out again when the part is freed (HWPoison and "
		 "PG_offline, 2018)",
	.setup = make_pair,
	.thread = { cut_it, retire_half },
	.end = half_goes_when_freed,
	.quick = true,
};

/* ---- offline runs, cut by the stretch ---- */

static void make_offline_chunk(void)
{
	make_run(1, CF_TYPE_KERNEL, 0);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, CF_CHUNK_ORDER, 0,
			      &w->pfn));
}

static void free_upper_half(void)
{
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn + 256,
				   w->pfn + 512));
}

static void find_lower_half(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + 256 + 3);

	REQUIRE(head == CF_PFN_NONE || head == w->pfn || head == w->pfn + 256);
	REQUIRE(cf_find_head(ground_map, w->pfn + 3) == w->pfn);
	REQUIRE(look(w->pfn).type == CF_TYPE_OFFLINE);
	REQUIRE(cf_try_get(ground_map, w->pfn) == -CF_EGONE);
}

static void half_is_offline(void)
{
	struct cf_snapshot run = look(w->pfn);

	REQUIRE(run.type == CF_TYPE_OFFLINE && run.order == 8);
	REQUIRE(cf_snapshot(ground_map, w->pfn + 256, &run) == -CF_EGONE);
	ground_verify();
}

static const struct explore_program find_against_carve = {
	.name = "find-against-carve",
	.worry = "frames stay offline at every moment, for every walker, while "
		 "their neighbours of the same run go back to the allocator "
		 "(sub-blocks of virtio-mem, offline pages, 2024)",
	.setup = make_offline_chunk,
	.thread = { free_upper_half, find_lower_half },
	.end = half_is_offline,
	.quick = true,
};

const struct explore_program *const explore_runs[] = {
	&leftovers_against_get,
	&find_against_split_of_pair,
	&find_against_split_of_chunk,
	&find_against_split_of_block,
	&find_against_split_of_blocks,
	&get_against_split,
	&get_against_split_of_chunk,
	&split_against_freeze,
	&split_against_put,
	&split_against_split,
	&split_against_change,
	&split_beside_split,
	&find_against_splits,
	&split_against_retire,
	&find_against_carve,
	NULL
};
