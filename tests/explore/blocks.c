/* SPDX-License-Identifier: MIT */

/*
 * Blocks that go offline and come back, are removed and added: nobody finds
 * in them what is not there, or reads what is metadata no more.
 */

#include "ground.h"

#define STALE 0xdeadbeefdeadbeef	/* what nobody may take for a word */

static struct {
	cf_pfn pfn;
	void *meta;		/* of the block, the program's own */
	struct cf_offline operation;
	int err[EXPLORE_THREADS_MAX];
	bool seen[EXPLORE_THREADS_MAX];
} *w;

static void begin(struct ground_config config)
{
	ground_init(config);
	w = explore_memory(sizeof(*w));
}

/* ---- blocks that go offline, and come back ---- */

/* Take a block offline; false: a frame of it is in use. */
static bool take_offline(cf_pfn first)
{
	int err;

	MUST(cf_block_offline_start(ground_map, &w->operation, first,
				    first + GROUND_BLOCK, NULL));
	err = cf_block_offline_step(&w->operation);
	if (err) {
		REQUIRE(err == -CF_EBUSY || err == -CF_EAGAIN);
		MUST(cf_block_offline_cancel(&w->operation));
	}
	return err == 0;
}

/* A run of a chunk: what stands in the way is one word. */
static void set_up_chunk(void)
{
	begin((struct ground_config) { .blocks = 1 });
	w->pfn = ground_alloc(CF_TYPE_FOLIO, CF_CHUNK_ORDER, 0);
}

/* Who has it keeps it. */
static void get_and_keep(void)
{
	if (cf_try_get(ground_map, w->pfn))
		return;
	w->seen[1] = true;
	(void)*(volatile uint64_t *)ground_contents(w->pfn);
}

static void put_and_take_offline(void)
{
	cf_put(ground_map, w->pfn);
	w->seen[0] = take_offline(0);
	if (w->seen[0])
		*ground_contents(w->pfn) = 1;
}

/* Offline unless it was had: the two go together. */
static void had_or_offline(void)
{
	REQUIRE(w->seen[0] != w->seen[1]);
	ground_verify();
}

static const struct explore_program get_against_block_offline = {
	.name = "get-against-block-offline",
	.worry = "nobody is in a block that is offline (pfn_to_online_page)",
	.setup = set_up_chunk,
	.thread = { put_and_take_offline, get_and_keep },
	.end = had_or_offline,
	.quick = true,
};

static void put_and_cycle(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.order = CF_CHUNK_ORDER,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	put_and_take_offline();
	if (!w->seen[0])
		return;
	MUST(cf_block_online(ground_map, 0, GROUND_BLOCK, CF_ZONE_NORMAL,
			     NULL));
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn) = 2;
	cf_unfreeze(ground_map, pfn, 1);
}

static const struct explore_program get_against_block_cycle = {
	.name = "get-against-block-cycle",
	.worry = "nor when it comes online again: no reference lands on a "
		 "frame that is being exposed",
	.setup = set_up_chunk,
	.thread = { put_and_cycle, get_and_keep },
	.end = ground_verify,
	.quick = true,
};

/* What is told of a block fits together, whenever it is asked. */
static void set_up_online(void)
{
	begin((struct ground_config) { .blocks = 1 });
}

static void offline_and_online(void)
{
	REQUIRE(take_offline(0));
	MUST(cf_block_online(ground_map, 0, GROUND_BLOCK, CF_ZONE_NORMAL,
			     NULL));
}

static void ask(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.free + info.offline <= GROUND_BLOCK);
	REQUIRE(info.never_onlined == info.offline);
	if (info.state == CF_BLOCK_ONLINE)
		REQUIRE(info.free == GROUND_BLOCK);
	else if (info.state == CF_BLOCK_GOING_OFFLINE)
		REQUIRE(info.chunks_isolated == 2);
}

static const struct explore_program info_against_offline = {
	.name = "info-against-offline",
	.worry = "what is told of a block that goes and comes fits together",
	.setup = set_up_online,
	.thread = { offline_and_online, ask },
	.end = ground_verify,
	.quick = true,
};

static void watch(void)
{
	struct cf_offline_status status;

	cf_block_offline_status(&w->operation, &status);
	REQUIRE(status.total == 0 || status.total == GROUND_BLOCK);
	REQUIRE(status.free + status.busy + status.skippable == status.total ||
		status.state == CF_OFFLINE_DONE);
	REQUIRE((status.state == CF_OFFLINE_GOING) == (status.steps == 0));
}

static void set_up_started(void)
{
	set_up_online();
	MUST(cf_block_offline_start(ground_map, &w->operation, 0, GROUND_BLOCK,
				    NULL));
}

static void step(void)
{
	w->err[explore_self()] = cf_block_offline_step(&w->operation);
}

static void one_stepped(void)
{
	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) == 1);
	REQUIRE(w->err[0] + w->err[1] == -CF_EINVAL);
	ground_verify();
}

static const struct explore_program status_against_step = {
	.name = "status-against-operation",
	.worry = "what is told of an operation is one moment's",
	.setup = set_up_started,
	.thread = { step, watch },
	.end = ground_verify,
	.quick = true,
};

static const struct explore_program two_steps = {
	.name = "two-steps",
	.worry = "of two that step one operation one ends it",
	.setup = set_up_started,
	.thread = { step, step },
	.end = one_stepped,
	.quick = true,
};

/* A frame that is stepped over: a word in a chunk that stays split. */
static void set_up_skippable(void)
{
	static const struct cf_owner_ops no_hooks;
	uint32_t owner;

	begin((struct ground_config) { .blocks = 1 });
	MUST(cf_owner_register(ground_map, "device", &no_hooks, NULL, &owner));
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, owner));
	MUST(cf_offline_alloc_range(ground_map, owner, 4, 8, CF_FLAG_SKIPPABLE,
				    NULL));
	/* The rest, or each of its frames would be looked at. */
	MUST(cf_offline_alloc_range(ground_map, owner, 0, 4, CF_FLAG_SKIPPABLE,
				    NULL));
}

static void cycle(void)
{
	offline_and_online();
	(void)ground_alloc(CF_TYPE_KERNEL, 2, 0);
}

static void find_stepped_over(void)
{
	cf_pfn head = cf_find_head(ground_map, 6);
	struct cf_snapshot run;

	REQUIRE(head == 4 || head == 0 || head == CF_PFN_NONE);
	if (cf_snapshot(ground_map, 4, &run) == 0)
		REQUIRE(run.type == CF_TYPE_OFFLINE && run.order == 2);
}

static const struct explore_program find_against_skippable_cycle = {
	.name = "find-against-skippable-cycle",
	.worry = "a frame stepped over is found until its block goes, and then "
		 "no more (PG_offline_skippable, 2025)",
	.setup = set_up_skippable,
	.thread = { cycle, find_stepped_over },
	.end = ground_verify,
	.quick = true,
};

/* ---- blocks that are removed, and added again in the same memory ---- */

/* Whoever still looks at it races with this. */
static void scribble(void *memory, size_t bytes)
{
	volatile uint64_t *plain = memory;
	uint64_t *word = memory;
	size_t i;

	for (i = 0; i < bytes / sizeof(*word); i++) {
		plain[i] = STALE;
		explore_store(&word[i], STALE, EXPLORE_PLAIN, EXPLORE_SITE);
	}
}

static void add_block(void)
{
	struct cf_block_config config = {
		.meta = CF_META_CALLER,
		.memory = w->meta,
	};

	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK, &config));
}

static void online_block(void)
{
	MUST(cf_block_online(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			     CF_ZONE_NORMAL, NULL));
}

static void remove_block(void)
{
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
	scribble(w->meta, cf_block_meta_bytes(ground_map, 1));
}

/* Two blocks of memory; the second is there, offline, and was online once. */
static void set_up_second(void)
{
	begin((struct ground_config) { .blocks = 2, .online = 1 });
	w->meta = ground_meta(1);
	explore_name(w->meta, cf_block_meta_bytes(ground_map, 1),
		     "metadata of block", 1);
	scribble(w->meta, cf_block_meta_bytes(ground_map, 1));
	add_block();
	online_block();
	REQUIRE(take_offline(GROUND_BLOCK));
	w->pfn = GROUND_BLOCK;
}

static void remove_and_add(void)
{
	remove_block();
	add_block();
}

static void walk_block(void)
{
	cf_pfn cursor = GROUND_BLOCK;
	struct cf_span span;

	cf_walk_begin(ground_map);
	while (cf_walk_next(ground_map, &cursor, 2 * GROUND_BLOCK, &span))
		REQUIRE(span.kind == CF_SPAN_ABSENT ||
			span.kind == CF_SPAN_BLOCK_OFFLINE);
	cf_walk_end(ground_map);
}

static void find_in_block(void)
{
	REQUIRE(cf_try_get(ground_map, w->pfn) == -CF_EGONE);
	REQUIRE(cf_find_head(ground_map, w->pfn + 700) == CF_PFN_NONE);
}

static const struct explore_program walkers_against_removal = {
	.name = "walkers-against-removal",
	.worry = "two walkers never read memory that is metadata no more "
		 "(pfn_to_online_page)",
	.setup = set_up_second,
	.thread = { remove_and_add, walk_block, find_in_block },
	.end = ground_verify,
	.quick = true,
};

static void look_at_words(void)
{
	struct cf_snapshot run;
	cf_pfn head;

	REQUIRE(cf_pin(ground_map, w->pfn) == -CF_EGONE);
	REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == -CF_EGONE);
	REQUIRE(cf_try_get_interior(ground_map, w->pfn + 700, &head) ==
		-CF_EGONE);
	REQUIRE(cf_freeze(ground_map, w->pfn, 1) == -CF_EGONE);
}

static const struct explore_program lookups_against_removal = {
	.name = "lookups-against-removal",
	.worry = "nor does any other call that knows no more than a number",
	.setup = set_up_second,
	.thread = { remove_and_add, look_at_words },
	.end = ground_verify,
	.quick = true,
};

static void look_at_block(void)
{
	struct cf_block_info info;
	uint64_t words[2];
	int err;

	cf_export_flags(ground_map, w->pfn, w->pfn + 2, words);
	REQUIRE(words[0] == (uint64_t)1 << CF_KPF_NOPAGE);
	REQUIRE(words[1] == (uint64_t)1 << CF_KPF_NOPAGE);
	err = cf_block_info(ground_map, w->pfn, &info);
	REQUIRE(err == -CF_EGONE || info.state == CF_BLOCK_OFFLINE);
}

static const struct explore_program exports_against_removal = {
	.name = "exports-against-removal",
	.worry = "nor a tool that tells of blocks and pages",
	.setup = set_up_second,
	.thread = { remove_and_add, look_at_block },
	.end = ground_verify,
	.quick = true,
};

static void change_offline(void)
{
	int err;

	err = cf_offline_free(ground_map, CF_OWNER_NONE, w->pfn, 0);
	REQUIRE(err == -CF_EGONE);
	err = cf_offline_set_payload(ground_map, CF_OWNER_NONE, w->pfn, 1);
	REQUIRE(err == -CF_EGONE);
	REQUIRE(cf_split(ground_map, w->pfn, 0) == -CF_EGONE);
}

static const struct explore_program changes_against_removal = {
	.name = "changes-against-removal",
	.worry = "nor who would change frames that are not there",
	.setup = set_up_second,
	.thread = { remove_and_add, change_offline },
	.end = ground_verify,
	.quick = true,
};

/* Two that want different things of one block: one of them gets it. */
static void try_online(void)
{
	w->err[explore_self()] = cf_block_online(ground_map, GROUND_BLOCK,
						 2 * GROUND_BLOCK,
						 CF_ZONE_NORMAL, NULL);
}

static void try_remove(void)
{
	w->err[explore_self()] = cf_block_remove(ground_map, GROUND_BLOCK,
						 2 * GROUND_BLOCK);
}

static void one_did(void)
{
	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) == 1);
	REQUIRE(w->err[0] + w->err[1] == -CF_EBUSY ||
		w->err[0] + w->err[1] == -CF_EGONE);
	ground_verify();
}

static const struct explore_program online_against_removal = {
	.name = "online-against-removal",
	.worry = "a block that comes into use is not removed under it",
	.setup = set_up_second,
	.thread = { try_online, try_remove },
	.end = one_did,
	.quick = true,
};

static const struct explore_program two_onlines = {
	.name = "two-onlines",
	.worry = "a block is not brought into use twice",
	.setup = set_up_second,
	.thread = { try_online, try_online },
	.end = one_did,
	.quick = true,
};

/* The range's owner refuses: the block is as before, and always was. */
static int refuse(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	(void)first;
	(void)last;
	return 1;
}

static const struct cf_owner_ops refusing = { .online = refuse };

static void set_up_refused(void)
{
	uint32_t owner;

	set_up_second();
	MUST(cf_owner_register(ground_map, "device", &refusing, NULL, &owner));
	MUST(cf_block_adopt(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			    owner));
}

static void fail_to_online(void)
{
	try_online();
	REQUIRE(w->err[0] == -CF_EREFUSED);
}

static void ask_second(void)
{
	struct cf_block_info info;
	cf_pfn head;

	MUST(cf_block_info(ground_map, GROUND_BLOCK, &info));
	REQUIRE(info.free == 0);
	REQUIRE(info.offline == (info.state == CF_BLOCK_OFFLINE ? 0 :
				 GROUND_BLOCK));
	REQUIRE(cf_try_get(ground_map, GROUND_BLOCK) == -CF_EGONE);
	head = cf_find_head(ground_map, GROUND_BLOCK + 3);
	REQUIRE(head == GROUND_BLOCK || head == CF_PFN_NONE);
}

static const struct explore_program info_against_failed_online = {
	.name = "info-against-failed-online",
	.worry = "a block that is refused to come online has offline frames "
		 "for a moment, and no other",
	.setup = set_up_refused,
	.thread = { fail_to_online, ask_second },
	.end = ground_verify,
	.quick = true,
};

static void set_up_absent(void)
{
	set_up_second();
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
}

static void try_add(void)
{
	struct cf_block_config config = {
		.meta = CF_META_CALLER,
		.memory = w->meta,
	};

	w->err[explore_self()] = cf_block_add(ground_map, GROUND_BLOCK,
					      2 * GROUND_BLOCK, &config);
}

static const struct explore_program two_adds = {
	.name = "two-adds",
	.worry = "nor added twice",
	.setup = set_up_absent,
	.thread = { try_add, try_add },
	.end = one_did,
	.quick = true,
};

/* A run over two blocks; the one with its head goes. */
static void set_up_wide(void)
{
	begin((struct ground_config) { .blocks = 2, .online = 2 });
	w->pfn = ground_alloc(CF_TYPE_FOLIO, GROUND_BLOCK_ORDER + 1, 0);
	REQUIRE(w->pfn == 0);
}

static void free_and_remove_first(void)
{
	cf_put(ground_map, 0);
	REQUIRE(take_offline(0));
	MUST(cf_block_remove(ground_map, 0, GROUND_BLOCK));
}

static void walk_second(void)
{
	cf_pfn cursor = GROUND_BLOCK + 5;
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, GROUND_BLOCK + 6, &span));
	cf_walk_end(ground_map);
	REQUIRE(span.kind == CF_SPAN_FREE || span.kind == CF_SPAN_TRANSIT ||
		(span.kind == CF_SPAN_RUN && span.first == 0));
}

static const struct explore_program walk_against_wide_removal = {
	.name = "walk-against-wide-removal",
	.worry = "a walker inside a run does not follow its head into a block "
		 "that is gone",
	.setup = set_up_wide,
	.thread = { free_and_remove_first, walk_second },
	.end = ground_verify,
	.quick = true,
};

/* The whole life of a block, from removal to a run that is used. */
static void renew(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	remove_and_add();
	online_block();
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn) = 2;
	cf_unfreeze(ground_map, pfn, 1);
}

/* The first block has nothing free: what is had is in the second. */
static void set_up_renewal(void)
{
	set_up_second();
	(void)ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0);
}

static void get_renewed(void)
{
	if (cf_try_get(ground_map, w->pfn))
		return;
	REQUIRE(*ground_contents(w->pfn) == 2);
	cf_put(ground_map, w->pfn);
}

static const struct explore_program get_against_renewal = {
	.name = "get-against-renewal",
	.worry = "a reference by a number kept over removal is to what is "
		 "there now",
	.setup = set_up_renewal,
	.thread = { renew, get_renewed },
	.end = ground_verify,
	.quick = true,
};

static void find_renewed(void)
{
	struct cf_snapshot run;
	cf_pfn head;

	head = cf_find_head(ground_map, w->pfn + 5);
	REQUIRE(head == CF_PFN_NONE || head == w->pfn);
	if (cf_snapshot(ground_map, w->pfn, &run) == 0)
		REQUIRE((run.type == CF_TYPE_FOLIO && run.order == 0) ||
			(run.type == CF_TYPE_OFFLINE && run.order == 9));
}

static const struct explore_program find_against_renewal = {
	.name = "find-against-renewal",
	.worry = "what was in metadata memory before is never taken for words",
	.setup = set_up_renewal,
	.thread = { renew, find_renewed },
	.end = ground_verify,
	.quick = true,
};

static void walk_renewed(void)
{
	cf_pfn cursor = w->pfn;
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, w->pfn + 1, &span));
	cf_walk_end(ground_map);
	REQUIRE(cursor == span.last && cursor > w->pfn);
	if (span.kind == CF_SPAN_RUN)
		REQUIRE((span.type == CF_TYPE_FOLIO && span.order == 0) ||
			(span.type == CF_TYPE_OFFLINE && span.order == 9));
}

static const struct explore_program walk_against_renewal = {
	.name = "walk-against-renewal",
	.worry = "a walker sees a block that comes as it is, at every moment",
	.setup = set_up_renewal,
	.thread = { renew, walk_renewed },
	.end = ground_verify,
	.quick = true,
};

static const struct explore_program walkers_against_renewal = {
	.name = "walkers-against-renewal",
	.worry = "and so do two at one time (pfn_to_online_page)",
	.setup = set_up_renewal,
	.thread = { renew, walk_renewed, get_renewed },
	.end = ground_verify,
};

static void export_renewed(void)
{
	uint64_t words[2];

	cf_export_flags(ground_map, w->pfn, w->pfn + 2, words);
	REQUIRE(words[1] == (uint64_t)1 << CF_KPF_NOPAGE ||
		words[1] == (uint64_t)1 << CF_KPF_BUDDY || words[1] == 0 ||
		words[1] == ((uint64_t)1 << CF_KPF_OFFLINE |
			     (uint64_t)1 << CF_KPF_DIRTY));
}

static const struct explore_program export_against_renewal = {
	.name = "export-against-renewal",
	.worry = "and so does a tool",
	.setup = set_up_renewal,
	.thread = { renew, export_renewed },
	.end = ground_verify,
	.quick = true,
};

const struct explore_program *const explore_blocks[] = {
	&get_against_block_offline,
	&get_against_block_cycle, &info_against_offline,
	&status_against_step, &two_steps, &info_against_failed_online,
	&find_against_skippable_cycle, &walkers_against_removal,
	&lookups_against_removal, &exports_against_removal,
	&changes_against_removal, &online_against_removal, &two_onlines,
	&two_adds, &walk_against_wide_removal, &get_against_renewal,
	&find_against_renewal, &walk_against_renewal,
	&walkers_against_renewal,
	&export_against_renewal, NULL
};
