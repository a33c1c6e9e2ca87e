/* SPDX-License-Identifier: MIT */

/*
 * Looking a frame's run up while runs are cut, split and made anew: one that
 * is there all the time is never missed, and what is found is what was asked
 * for.
 */

#include "ground.h"

static struct {
	cf_pfn pfn;
	uint32_t owner;
	bool held;		/* a thread keeps a reference */
} *w;

static void begin(unsigned blocks)
{
	ground_init((struct ground_config) { .blocks = blocks,
					     .online = blocks });
	w = explore_memory(sizeof(*w));
}

/* ---- offline runs that are cut ---- */

static void make_offline(unsigned order)
{
	begin(1);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, order, 0, &w->pfn));
}

static void set_up_small_cut(void)
{
	make_offline(3);
}

static void free_first_two(void)
{
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn,
				   w->pfn + 2));
}

static void find_sixth(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + 5);

	REQUIRE(head == w->pfn || head == w->pfn + 4);
}

static const struct explore_program head_against_cut = {
	.name = "head-against-cut",
	.worry = "a frame that is offline all the time is never in no run "
		 "(offline pages without a count, 2024)",
	.setup = set_up_small_cut,
	.thread = { free_first_two, find_sixth },
	.end = ground_verify,
	.quick = true,
};

static void free_third(void)
{
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn + 2,
				   w->pfn + 3));
}

static const struct explore_program head_against_two_cuts = {
	.name = "head-against-two-cuts",
	.worry = "nor while pieces before it are cut out by two at a time",
	.setup = set_up_small_cut,
	.thread = { free_first_two, free_third, find_sixth },
	.end = ground_verify,
	.quick = true,
};

static void set_up_chunk_cut(void)
{
	make_offline(CF_CHUNK_ORDER);
}

static void free_second_half(void)
{
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn + 256,
				   w->pfn + 512));
}

static void snapshot_first(void)
{
	struct cf_snapshot run;

	REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == 0);
	REQUIRE(run.type == CF_TYPE_OFFLINE);
	REQUIRE(run.order == 9 || run.order == 8);
}

static const struct explore_program snapshot_against_cut = {
	.name = "snapshot-against-cut",
	.worry = "the head of an offline run is one while the run is cut",
	.setup = set_up_chunk_cut,
	.thread = { free_second_half, snapshot_first },
	.end = ground_verify,
	.quick = true,
};

static void walk_inside(void)
{
	cf_pfn cursor = w->pfn + 200;
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, w->pfn + 201, &span));
	cf_walk_end(ground_map);
	REQUIRE(span.kind == CF_SPAN_RUN);
	REQUIRE(span.type == CF_TYPE_OFFLINE);
	REQUIRE(span.first == w->pfn);
	REQUIRE(span.last == w->pfn + 512 || span.last == w->pfn + 256);
	REQUIRE(cursor == span.last);
}

static const struct explore_program walk_against_cut = {
	.name = "walk-against-cut",
	.worry = "a walker tells an offline run whole, or its part, never "
		 "nothing",
	.setup = set_up_chunk_cut,
	.thread = { free_second_half, walk_inside },
	.end = ground_verify,
	.quick = true,
};

static void export_four(void)
{
	uint64_t words[4];
	unsigned i;

	cf_export_flags(ground_map, w->pfn + 254, w->pfn + 258, words);
	for (i = 0; i < 2; i++)
		REQUIRE(words[i] == (uint64_t)1 << CF_KPF_OFFLINE);
	for (; i < 4; i++)
		REQUIRE(words[i] == (uint64_t)1 << CF_KPF_OFFLINE ||
			words[i] == (uint64_t)1 << CF_KPF_BUDDY ||
			words[i] == 0);
}

static const struct explore_program export_against_cut = {
	.name = "export-against-cut",
	.worry = "a dump's list of pages never lacks one that is offline "
		 "(PG_offline, 2018)",
	.setup = set_up_chunk_cut,
	.thread = { free_second_half, export_four },
	.end = ground_verify,
	.quick = true,
};

/* Another run before it, so that a window can begin there. */
static void set_up_second_run(void)
{
	cf_pfn first;

	begin(1);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 2, 0, &first));
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 2, 0, &w->pfn));
	REQUIRE(w->pfn == first + 4);
}

static void export_around(void)
{
	uint64_t words[6];
	unsigned i;

	cf_export_flags(ground_map, w->pfn - 1, w->pfn + 5, words);
	for (i = 0; i < 5; i++)
		if (i != 1 && i != 2)
			REQUIRE(words[i] == (uint64_t)1 << CF_KPF_OFFLINE);
	REQUIRE(words[5] == (uint64_t)1 << CF_KPF_BUDDY);
}

static const struct explore_program export_against_small_cut = {
	.name = "export-against-small-cut",
	.worry = "nor one of a run that is told head by head",
	.setup = set_up_second_run,
	.thread = { free_first_two, export_around },
	.end = ground_verify,
	.quick = true,
};

/* What the bitmap said is old when a word has come since. */
static void take_next(void)
{
	cf_pfn pfn;

	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0, &pfn));
	REQUIRE(pfn == w->pfn + 4);
}

static void export_next(void)
{
	uint64_t words[2];

	cf_export_flags(ground_map, w->pfn + 3, w->pfn + 5, words);
	REQUIRE(words[0] == (uint64_t)1 << CF_KPF_OFFLINE);
	REQUIRE(words[1] == (uint64_t)1 << CF_KPF_OFFLINE || words[1] == 0 ||
		words[1] == (uint64_t)1 << CF_KPF_BUDDY);
}

static const struct explore_program export_against_inflate = {
	.name = "export-against-inflate",
	.worry = "nor is a frame told free and offline at once",
	.setup = set_up_second_run,
	.thread = { take_next, export_next },
	.end = ground_verify,
	.quick = true,
};

static void set_up_large_cut(void)
{
	make_offline(GROUND_BLOCK_ORDER);
}

static void free_first_chunk(void)
{
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn,
				   w->pfn + GROUND_CHUNK));
}

static void find_in_second_chunk(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + GROUND_CHUNK + 9);

	REQUIRE(head == w->pfn || head == w->pfn + GROUND_CHUNK);
}

static const struct explore_program head_against_large_cut = {
	.name = "head-against-large-cut",
	.worry = "the same where runs are of whole chunks",
	.setup = set_up_large_cut,
	.thread = { free_first_chunk, find_in_second_chunk },
	.end = ground_verify,
	.quick = true,
};

/* ---- marks: SKIPPABLE, and payloads ---- */

static const struct cf_owner_ops no_hooks;

static void set_up_marks(void)
{
	begin(1);
	MUST(cf_owner_register(ground_map, "device", &no_hooks, NULL,
			       &w->owner));
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, w->owner));
	MUST(cf_offline_alloc(ground_map, w->owner, 2, 0, &w->pfn));
	MUST(cf_offline_set_payload(ground_map, w->owner, w->pfn, 5));
}

static void mark_last_two(void)
{
	MUST(cf_offline_set_skippable(ground_map, w->owner, w->pfn + 2,
				      w->pfn + 4, true));
}

static void find_marked(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + 3);
	struct cf_snapshot run;

	REQUIRE(head == w->pfn || head == w->pfn + 2);
	REQUIRE(cf_snapshot(ground_map, head, &run) == 0);
	REQUIRE(run.type == CF_TYPE_OFFLINE && run.owner == w->owner);
	REQUIRE(run.payload == 5);
	/* Marked is what was asked for, and not before it is cut off. */
	REQUIRE(!(run.flags & CF_FLAG_SKIPPABLE) || head == w->pfn + 2);
}

static const struct explore_program head_against_mark = {
	.name = "head-against-mark",
	.worry = "a run marked SKIPPABLE in part is what it was all the time "
		 "(PG_offline_skippable, 2025)",
	.setup = set_up_marks,
	.thread = { mark_last_two, find_marked },
	.end = ground_verify,
	.quick = true,
};

static void write_and_name(void)
{
	*ground_contents(w->pfn) = 7;
	MUST(cf_offline_set_payload(ground_map, w->owner, w->pfn, 6));
}

static void read_what_is_named(void)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, w->pfn, &run));
	REQUIRE(run.payload == 5 || *ground_contents(w->pfn) == 7);
}

static const struct explore_program payload_is_published = {
	.name = "payload-is-published",
	.worry = "what a payload names is there for who reads it",
	.setup = set_up_marks,
	.thread = { write_and_name, read_what_is_named },
	.end = ground_verify,
	.quick = true,
};

/* The same through a walk: the run of a chunk, or of a few frames. */
static void set_up_large_payload(void)
{
	make_offline(CF_CHUNK_ORDER);
}

static void write_and_name_run(void)
{
	*ground_contents(w->pfn) = 7;
	MUST(cf_offline_set_payload(ground_map, w->owner, w->pfn, 6));
}

static void walk_and_read(void)
{
	cf_pfn cursor = w->pfn;
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, w->pfn + 1, &span));
	cf_walk_end(ground_map);
	REQUIRE(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_OFFLINE);
	if (span.payload == 6)
		REQUIRE(*ground_contents(w->pfn) == 7);
}

static const struct explore_program walked_payload = {
	.name = "walked-payload",
	.worry = "the same for a walker",
	.setup = set_up_marks,
	.thread = { write_and_name_run, walk_and_read },
	.end = ground_verify,
	.quick = true,
};

static const struct explore_program walked_large_payload = {
	.name = "walked-large-payload",
	.worry = "and where the run is a chunk",
	.setup = set_up_large_payload,
	.thread = { write_and_name_run, walk_and_read },
	.end = ground_verify,
	.quick = true,
};

static void write_and_mark(void)
{
	*ground_contents(w->pfn) = 7;
	MUST(cf_offline_set_skippable(ground_map, w->owner, w->pfn,
				      w->pfn + 4, true));
}

static void read_what_is_marked(void)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, w->pfn, &run));
	if (run.flags & CF_FLAG_SKIPPABLE)
		REQUIRE(*ground_contents(w->pfn) == 7);
}

static const struct explore_program mark_is_published = {
	.name = "mark-is-published",
	.worry = "what was done before a mark was set is there with the mark",
	.setup = set_up_marks,
	.thread = { write_and_mark, read_what_is_marked },
	.end = ground_verify,
	.quick = true,
};

/* ---- runs that are split ---- */

static void make_frozen(unsigned blocks, unsigned order)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.order = (uint8_t)order,
		.flags = CF_ALLOC_FROZEN,
	};

	begin(blocks);
	MUST(cf_alloc(ground_map, request, &w->pfn));
}

static void set_up_small_split(void)
{
	make_frozen(1, 2);
}

static void split_to_single(void)
{
	MUST(cf_split(ground_map, w->pfn, 0));
}

static void find_fourth_and_first(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + 3);
	struct cf_snapshot run;

	REQUIRE(head == w->pfn || head == w->pfn + 3);
	MUST(cf_snapshot(ground_map, w->pfn, &run));
	REQUIRE(run.order == 2 || (run.order == 0 &&
				   !(run.flags & CF_FLAG_BUSY)));
}

static const struct explore_program head_against_split = {
	.name = "head-against-split",
	.worry = "a frame of a run that is split is in the whole or in a part",
	.setup = set_up_small_split,
	.thread = { split_to_single, find_fourth_and_first },
	.end = ground_verify,
	.quick = true,
};

static void set_up_chunk_split(void)
{
	make_frozen(1, CF_CHUNK_ORDER);
}

static void split_to_halves(void)
{
	MUST(cf_split(ground_map, w->pfn, CF_CHUNK_ORDER - 1));
}

static void find_in_halves(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + 300);

	REQUIRE(head == w->pfn || head == w->pfn + 256);
	head = cf_find_head(ground_map, w->pfn + 1);
	REQUIRE(head == w->pfn);
}

static const struct explore_program head_against_chunk_split = {
	.name = "head-against-chunk-split",
	.worry = "the same where the head's word moves to another place",
	.setup = set_up_chunk_split,
	.thread = { split_to_halves, find_in_halves },
	.end = ground_verify,
	.quick = true,
};

static void snapshot_half(void)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, w->pfn, &run));
	REQUIRE(run.type == CF_TYPE_FOLIO && run.refs == 0);
	REQUIRE(run.order == 9 || run.order == 8);
}

static const struct explore_program snapshot_against_split = {
	.name = "snapshot-against-split",
	.worry = "the head of a run that is split is one all the time",
	.setup = set_up_chunk_split,
	.thread = { split_to_halves, snapshot_half },
	.end = ground_verify,
	.quick = true,
};

static void set_up_wide_split(void)
{
	make_frozen(2, GROUND_BLOCK_ORDER + 1);
}

static void split_to_blocks(void)
{
	MUST(cf_split(ground_map, w->pfn, GROUND_BLOCK_ORDER));
}

static void find_in_second_block(void)
{
	cf_pfn head = cf_find_head(ground_map, w->pfn + GROUND_BLOCK +
				   GROUND_CHUNK + 1);

	REQUIRE(head == w->pfn || head == w->pfn + GROUND_BLOCK);
}

static const struct explore_program head_against_wide_split = {
	.name = "head-against-wide-split",
	.worry = "the same where the head is in another block",
	.setup = set_up_wide_split,
	.thread = { split_to_blocks, find_in_second_block },
	.end = ground_verify,
	.quick = true,
};

static void split_then_use(void)
{
	*ground_contents(w->pfn + 3) = 3;
	MUST(cf_split(ground_map, w->pfn, 0));
	cf_unfreeze(ground_map, w->pfn + 3, 1);
}

static void get_part(void)
{
	if (cf_try_get(ground_map, w->pfn + 3))
		return;
	REQUIRE(*ground_contents(w->pfn + 3) == 3);
	cf_put(ground_map, w->pfn + 3);
}

static const struct explore_program get_against_split = {
	.name = "get-against-part",
	.worry = "a reference to a part comes with all its maker wrote",
	.setup = set_up_small_split,
	.thread = { split_then_use, get_part },
	.end = ground_verify,
	.quick = true,
};

static void split_again(void)
{
	int err = cf_split(ground_map, w->pfn, 0);

	if (err)
		REQUIRE(err == -CF_EAGAIN || err == -CF_EINVAL);
}

static void split_or_not(void)
{
	int err = cf_split(ground_map, w->pfn, 1);

	if (err)
		REQUIRE(err == -CF_EAGAIN || err == -CF_EINVAL);
}

static const struct explore_program cut_against_cut = {
	.name = "cut-against-cut",
	.worry = "of two that cut one run each does all of it or nothing",
	.setup = set_up_small_split,
	.thread = { split_again, split_or_not },
	.end = ground_verify,
	.quick = true,
};

/* Two runs of a block, each cut by one. */
static void set_up_two_frozen(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.order = CF_CHUNK_ORDER,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	make_frozen(1, CF_CHUNK_ORDER);
	MUST(cf_alloc(ground_map, request, &pfn));
	REQUIRE(pfn == (w->pfn ^ GROUND_CHUNK));
}

static void split_other(void)
{
	MUST(cf_split(ground_map, w->pfn ^ GROUND_CHUNK, CF_CHUNK_ORDER - 1));
}

static const struct explore_program two_splits = {
	.name = "two-splits",
	.worry = "two that cut runs of one block do not undo each other's "
		 "marks",
	.setup = set_up_two_frozen,
	.thread = { split_to_halves, split_other },
	.end = ground_verify,
	.quick = true,
};

/* Frozen is what may be split: never what somebody refers to. */
static void set_up_referenced(void)
{
	begin(1);
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 1, 0);
}

static void freeze_and_split(void)
{
	int err = cf_freeze(ground_map, w->pfn, 1);

	if (err) {
		REQUIRE(err == -CF_EAGAIN);
		w->held = true;
	} else {
		MUST(cf_split(ground_map, w->pfn, 0));
		*ground_contents(w->pfn + 1) = 1;
		cf_unfreeze(ground_map, w->pfn, 1);
	}
}

static void get_and_use(void)
{
	cf_pfn head;

	if (cf_try_get_interior(ground_map, w->pfn + 1, &head))
		return;
	REQUIRE(head == w->pfn);
	*ground_contents(w->pfn + 1) = 2;
	REQUIRE(cf_split(ground_map, w->pfn, 0) == -CF_EAGAIN);
	cf_put(ground_map, w->pfn);
}

static void whole_or_split(void)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, w->pfn, &run));
	REQUIRE(run.order == (w->held ? 1 : 0) && run.refs == 1);
	ground_verify();
}

static const struct explore_program split_against_get = {
	.name = "split-against-get",
	.worry = "a folio somebody refers to is not split (folios, 2024)",
	.setup = set_up_referenced,
	.thread = { freeze_and_split, get_and_use },
	.end = whole_or_split,
	.quick = true,
};

static enum cf_verdict keep(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return CF_VERDICT_KEEP;
}

static const struct cf_owner_ops keeper = { .release = keep };

/* What its owner keeps is split as soon as the last reference is gone. */
static void set_up_kept(void)
{
	begin(1);
	MUST(cf_owner_register(ground_map, "pool", &keeper, NULL, &w->owner));
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 1, w->owner);
}

static void use_and_put(void)
{
	*ground_contents(w->pfn + 1) = 1;
	cf_put(ground_map, w->pfn);
}

static void split_when_kept(void)
{
	int err = cf_split(ground_map, w->pfn, 0);

	REQUIRE(err == 0 || err == -CF_EAGAIN);
	if (err == 0)
		*ground_contents(w->pfn + 1) = 2;
}

static const struct explore_program split_against_last_put = {
	.name = "split-against-last-put",
	.worry = "who splits a run that has just been let go sees all that was "
		 "done with it (owner hooks, 2024)",
	.setup = set_up_kept,
	.thread = { use_and_put, split_when_kept },
	.end = ground_verify,
	.quick = true,
};

/* ---- runs that are freed and made anew ---- */

static void set_up_pair(void)
{
	begin(1);
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 1, 0);
}

/* The same frames, as two runs: a reference to one is none to the other. */
static void free_and_make_smaller(void)
{
	struct cf_request request = { .type = CF_TYPE_FOLIO };
	cf_pfn pfn;

	*ground_contents(w->pfn + 1) = 1;
	cf_put(ground_map, w->pfn);
	MUST(cf_alloc(ground_map, request, &pfn));
}

static void get_second_frame(void)
{
	struct cf_snapshot run;
	cf_pfn head;

	if (cf_try_get_interior(ground_map, w->pfn + 1, &head))
		return;
	MUST(cf_snapshot(ground_map, head, &run));
	REQUIRE(run.refs > 0);
	REQUIRE(w->pfn + 1 - head < (cf_pfn)1 << run.order);
	cf_put(ground_map, head);
}

static const struct explore_program interior_against_smaller = {
	.name = "interior-against-smaller",
	.worry = "a reference by an interior frame is to the run that has it "
		 "(folios of ZONE_DEVICE, 2022)",
	.setup = set_up_pair,
	.thread = { free_and_make_smaller, get_second_frame },
	.end = ground_verify,
	.quick = true,
};

static void set_up_two_singles(void)
{
	begin(1);
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 0, 0);
	REQUIRE(ground_alloc(CF_TYPE_FOLIO, 0, 0) == (w->pfn ^ 1));
	w->pfn &= ~(cf_pfn)1;
}

/* Two runs become one: free both, take the pair. */
static void free_and_make_larger(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.order = 1,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	*ground_contents(w->pfn + 1) = 1;
	cf_put(ground_map, w->pfn);
	cf_put(ground_map, w->pfn + 1);
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn + 1) = 2;
	cf_unfreeze(ground_map, pfn, 1);
}

static void get_and_read_second_frame(void)
{
	cf_pfn head;

	if (cf_try_get_interior(ground_map, w->pfn + 1, &head))
		return;
	if (head == w->pfn)
		REQUIRE(*ground_contents(w->pfn + 1) == 2);
	else
		REQUIRE(head == w->pfn + 1);
	cf_put(ground_map, head);
}

static const struct explore_program interior_against_larger = {
	.name = "interior-against-larger",
	.worry = "an interior frame found in a new run has the new contents",
	.setup = set_up_two_singles,
	.thread = { free_and_make_larger, get_and_read_second_frame },
	.end = ground_verify,
	.quick = true,
};

const struct explore_program *const explore_lookups[] = {
	&head_against_cut, &head_against_two_cuts, &snapshot_against_cut,
	&walk_against_cut, &export_against_cut, &export_against_small_cut,
	&export_against_inflate, &head_against_large_cut,
	&head_against_mark, &payload_is_published, &walked_payload,
	&walked_large_payload, &mark_is_published,
	&head_against_split, &head_against_chunk_split,
	&snapshot_against_split, &head_against_wide_split,
	&get_against_split, &cut_against_cut, &two_splits,
	&split_against_get, &split_against_last_put,
	&interior_against_smaller, &interior_against_larger, NULL
};
