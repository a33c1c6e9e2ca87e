/* SPDX-License-Identifier: MIT */

/*
 * Device memory: runs that are handed out, come back, are moved, cut, joined
 * and found bad, and the range that goes, each against the others and against
 * whoever knows no more than a number.
 */

#include "ground.h"

#define FIRST	GROUND_BLOCK
#define SECOND	(GROUND_BLOCK + GROUND_CHUNK)
#define LAST	(2 * GROUND_BLOCK)
#define STALE	0xdeadbeefdeadbeef

static struct {
	struct cf_lock lock;		/* rank LEAF */
	cf_pfn listed;			/* FIRST is with its owner, or NONE */
	unsigned released;
	bool closed;			/* removal has started */
	uint32_t owner;
	void *meta;
	size_t meta_bytes;
	cf_pfn page;			/* a run of other memory */
	cf_pfn taken;
	int err[EXPLORE_THREADS_MAX];
	cf_pfn where[EXPLORE_THREADS_MAX];
} *w;

/* ---- an owner with a list of one ---- */

static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	unsigned long state = cf_lock(&w->lock);

	(void)context;
	(void)order;
	if (pfn == FIRST) {
		REQUIRE(w->listed == CF_PFN_NONE);
		w->listed = pfn;
	}
	w->released++;
	cf_unlock(&w->lock, state);
	/* A driver that answers carelessly. */
	return CF_VERDICT_FREE;
}

static cf_pfn take_listed(void)
{
	unsigned long state = cf_lock(&w->lock);
	cf_pfn pfn = w->listed;

	w->listed = CF_PFN_NONE;
	cf_unlock(&w->lock, state);
	return pfn;
}

static int dissolve(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)order;
	if (pfn != FIRST)
		return 0;
	return take_listed() == pfn ? 0 : -CF_EAGAIN;
}

/* The contents go to w->page, and what pointed there has one reference. */
static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)order;
	*ground_contents(target) = *ground_contents(source);
	return 0;
}

static int fault(void *context, cf_pfn pfn, unsigned order, cf_pfn touched,
		 cf_pfn *ret_pfn)
{
	struct cf_migration migration = {
		.source = pfn, .refs = 1, .extra = 1, .targets = &w->page,
		.count = 1, .copy = copy,
	};

	(void)context;
	(void)order;
	*ret_pfn = w->page + (touched - pfn);
	return cf_pagemap_migrate(ground_map, &migration);
}

static const struct cf_owner_ops plain = { .release = release };
static const struct cf_owner_ops asked = {
	.release = release, .dissolve = dissolve, .fault = fault,
};

static void scribble(void)
{
	volatile uint64_t *plain_word = w->meta;
	uint64_t *word = w->meta;
	size_t i;

	for (i = 0; i < w->meta_bytes / sizeof(*word); i++) {
		plain_word[i] = STALE;
		explore_store(&word[i], STALE, EXPLORE_PLAIN, EXPLORE_SITE);
	}
}

static void begin(const struct cf_owner_ops *ops, unsigned poison)
{
	struct cf_pagemap_config config = {
		.kind = CF_PAGEMAP_PRIVATE, .meta = CF_META_CALLER,
	};

	ground_init((struct ground_config) {
		.blocks = 2, .online = 1, .poison_max = poison });
	w = explore_memory(sizeof(*w));
	w->lock.rank = CF_RANK_LEAF;
	w->listed = FIRST;
	w->taken = CF_PFN_NONE;
	w->meta = ground_meta(1);
	w->meta_bytes = cf_block_meta_bytes(ground_map, 1);
	explore_name(w->meta, w->meta_bytes, "metadata of block", 1);
	MUST(cf_owner_register(ground_map, "driver", ops, NULL, &w->owner));
	config.owner = w->owner;
	config.memory = w->meta;
	MUST(cf_pagemap_add(ground_map, FIRST, LAST, &config));
}

static int hand_out(cf_pfn pfn)
{
	return cf_pagemap_hand_out(ground_map, w->owner, pfn);
}

static void begin_used(const struct cf_owner_ops *ops)
{
	begin(ops, 1);
	*ground_contents(FIRST) = 1;
	MUST(hand_out(FIRST));
	w->listed = CF_PFN_NONE;
}

static struct cf_snapshot look(cf_pfn pfn)
{
	struct cf_snapshot run = { .type = CF_TYPE_NONE };

	(void)!cf_snapshot(ground_map, pfn, &run);
	return run;
}

static bool is_idle(cf_pfn pfn)
{
	struct cf_snapshot run = look(pfn);

	return run.type == CF_TYPE_DEVICE && run.refs == 0 &&
	       run.owner == w->owner && run.flags == 0;
}

static void put_first(void)
{
	cf_put(ground_map, FIRST);
}

static void look_and_put(void)
{
	REQUIRE(*ground_contents(FIRST) == 1);
	put_first();
}

/* What a driver does with a page of its free list. */
static void take_and_use(void)
{
	cf_pfn pfn = take_listed();

	w->taken = pfn;
	if (pfn == CF_PFN_NONE)
		return;
	*ground_contents(pfn) = 2;
	MUST(hand_out(pfn));
	MUST(cf_get(ground_map, pfn));
	cf_put(ground_map, pfn);
	REQUIRE(*ground_contents(pfn) == 2);
	cf_put(ground_map, pfn);
}

static void get_and_look(void)
{
	uint64_t contents;

	if (cf_try_get(ground_map, FIRST))
		return;
	contents = *ground_contents(FIRST);
	REQUIRE(contents == 1 || contents == 2);
	put_first();
}

/* ---- handed out while it comes back ---- */

static void set_up_plain_used(void)
{
	begin_used(&plain);
}

static void end_released(void)
{
	REQUIRE(w->released == (w->taken == CF_PFN_NONE ? 1 : 2));
	REQUIRE(w->listed == FIRST);
	REQUIRE(is_idle(FIRST));
	ground_verify();
}

static const struct explore_program hand_out_against_release = {
	.name = "device-hand-out-against-release",
	.worry = "a page goes from its last put to the driver's free list and "
		 "out again while others try its number: nobody sets its "
		 "count behind the hook (ZONE_DEVICE at refcount 0, 2022)",
	.setup = set_up_plain_used,
	.thread = { look_and_put, take_and_use, get_and_look },
	.end = end_released,
	.quick = true,
};

/* ---- the range goes ---- */

static void remove_and_scribble(void)
{
	w->err[0] = cf_pagemap_remove(ground_map, FIRST, LAST, 1, NULL);
	if (!w->err[0])
		scribble();
}

static void set_up_idle(void)
{
	begin(&plain, 1);
}

/* By every call that takes a number. */
static void look_by_number(void)
{
	struct cf_snapshot run;
	cf_pfn head;

	if (!cf_snapshot(ground_map, FIRST, &run))
		REQUIRE(run.type == CF_TYPE_DEVICE ||
			run.type == CF_TYPE_RESERVED);
	head = cf_find_head(ground_map, SECOND + 3);
	REQUIRE(head == SECOND || head == CF_PFN_NONE);
	REQUIRE(cf_try_get(ground_map, FIRST) == -CF_EGONE);
}

static void end_removed(void)
{
	REQUIRE(w->err[0] == 0);
	REQUIRE(look(FIRST).type == CF_TYPE_NONE);
	ground_verify();
}

static const struct explore_program removal_against_walk = {
	.name = "device-removal-against-lookup",
	.worry = "metadata of a range goes when nobody looks at it any more",
	.setup = set_up_idle,
	.thread = { remove_and_scribble, look_by_number },
	.end = end_removed,
};

static void walk(void)
{
	cf_pfn cursor = FIRST;
	struct cf_span span;

	cf_walk_begin(ground_map);
	while (cf_walk_next(ground_map, &cursor, LAST, &span))
		REQUIRE(span.kind != CF_SPAN_FREE);
	cf_walk_end(ground_map);
}

static const struct explore_program removal_against_walker = {
	.name = "device-removal-against-walker",
	.worry = "and no walker finds a frame of it free",
	.setup = set_up_idle,
	.thread = { remove_and_scribble, walk },
	.end = end_removed,
};

static void hand_out_and_use(void)
{
	w->err[1] = hand_out(FIRST);
	if (w->err[1])
		return;
	*ground_contents(FIRST) = 3;
	REQUIRE(look(FIRST).refs == 1);
	REQUIRE(*ground_contents(FIRST) == 3);
	w->listed = CF_PFN_NONE;
	put_first();
}

static void end_either(void)
{
	if (w->err[0]) {
		REQUIRE(w->err[0] == -CF_EBUSY);
		REQUIRE(w->err[1] == 0);
		REQUIRE(is_idle(FIRST) && is_idle(SECOND));
	}
	ground_verify();
}

static const struct explore_program removal_against_hand_out = {
	.name = "device-removal-against-hand-out",
	.worry = "a range that goes does not go under who was just given a "
		 "page of it",
	.setup = set_up_idle,
	.thread = { remove_and_scribble, hand_out_and_use },
	.end = end_either,
	.quick = true,
};

/* ---- nobody new gets in ---- */

static void start_and_count(void)
{
	uint32_t refs;

	MUST(cf_pagemap_remove_start(ground_map, FIRST, LAST));
	refs = look(FIRST).refs;
	REQUIRE(look(FIRST).refs <= refs);
	REQUIRE(hand_out(SECOND) == -CF_EREFUSED);
	MUST(cf_pagemap_remove_cancel(ground_map, FIRST, LAST));
}

static void get_and_put(void)
{
	if (cf_try_get(ground_map, FIRST) == 0)
		put_first();
}

static void end_cancelled(void)
{
	put_first();
	REQUIRE(is_idle(FIRST) && is_idle(SECOND));
	ground_verify();
}

static const struct explore_program start_against_get = {
	.name = "device-start-against-get",
	.worry = "once removal has begun references become fewer, never more",
	.setup = set_up_plain_used,
	.thread = { start_and_count, get_and_put },
	.end = end_cancelled,
	.quick = true,
};

static void start_and_look(void)
{
	int err;

	MUST(cf_pagemap_remove_start(ground_map, FIRST, LAST));
	REQUIRE(look(FIRST).flags & CF_FLAG_CLOSED);
	/* Its head may be on its way to where the parts stand. */
	err = hand_out(FIRST);
	REQUIRE(err == -CF_EREFUSED || err == -CF_EGONE);
}

static void split_first(void)
{
	w->err[1] = cf_split(ground_map, FIRST, 8);
}

static void end_closed(void)
{
	REQUIRE(w->err[1] == 0);
	REQUIRE(look(FIRST).flags == CF_FLAG_CLOSED);
	REQUIRE(look(FIRST + 256).flags == CF_FLAG_CLOSED);
	ground_verify();
}

static const struct explore_program start_against_split = {
	.name = "device-start-against-split",
	.worry = "a run that is cut while the range is closed is closed in "
		 "each of its parts",
	.setup = set_up_idle,
	.thread = { start_and_look, split_first },
	.end = end_closed,
};

/* ---- removal asks the owner ---- */

static void set_up_asked_used(void)
{
	begin_used(&asked);
}

static void end_asked(void)
{
	if (w->err[0]) {
		REQUIRE(w->err[0] == -CF_EBUSY || w->err[0] == -CF_EAGAIN);
		REQUIRE(w->listed == FIRST);
		REQUIRE(is_idle(FIRST) && is_idle(SECOND));
	} else {
		REQUIRE(w->listed == CF_PFN_NONE);
	}
	ground_verify();
}

static const struct explore_program removal_against_release = {
	.name = "device-removal-against-release",
	.worry = "a page that comes back while its range goes is on the "
		 "driver's list, or given up, never both",
	.setup = set_up_asked_used,
	.thread = { remove_and_scribble, put_first },
	.end = end_asked,
};

/* ---- cut while it goes ---- */

/* An owner that is asked for nothing takes a bad frame out meanwhile. */
static void set_up_marked(void)
{
	enum cf_retire_state state;

	begin(&plain, 1);
	/* Its first piece has its word where the run has. */
	MUST(cf_split(ground_map, FIRST, 8));
	MUST(cf_retire(ground_map, FIRST + 1, &state));
	REQUIRE(state == CF_RETIRE_PENDING);
}

static void take_out(void)
{
	w->err[1] = cf_pagemap_retire(ground_map, w->owner, FIRST, NULL);
}

static void end_taken_out(void)
{
	struct cf_stat stat;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	cf_stat(ground_map, &stat);
	if (w->err[0]) {
		REQUIRE(w->err[1] == 0);
		REQUIRE(look(FIRST + 1).type == CF_TYPE_RETIRED);
		REQUIRE(is_idle(FIRST) && is_idle(FIRST + 256));
		REQUIRE(stat.by_type[CF_TYPE_DEVICE] == LAST - FIRST - 1);
	} else {
		REQUIRE(stat.by_type[CF_TYPE_DEVICE] == 0);
	}
	ground_verify();
}

static const struct explore_program removal_against_retire = {
	.name = "device-removal-against-retire",
	.worry = "a range does not go while pieces of a run that was cut are "
		 "somebody's",
	.setup = set_up_marked,
	.thread = { remove_and_scribble, take_out },
	.end = end_taken_out,
	.bound = 2,
};

/* ---- migration ---- */

static void set_up_migration(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL, .order = 9 };

	begin(&asked, 1);
	MUST(cf_alloc(ground_map, request, &w->page));
	*ground_contents(w->page) = 1;
}

static void migrate(void)
{
	cf_pfn target = take_listed();
	struct cf_migration migration = {
		.source = w->page, .refs = 1, .targets = &target, .count = 1,
		.copy = copy,
	};

	w->err[1] = -CF_EGONE;
	if (target == CF_PFN_NONE)
		return;
	w->err[1] = cf_pagemap_migrate(ground_map, &migration);
	if (w->err[1])
		(void)release(NULL, target, 9);
}

static void get_source(void)
{
	if (cf_try_get(ground_map, w->page))
		return;
	REQUIRE(*ground_contents(w->page) == 1);
	cf_put(ground_map, w->page);
}

static void get_target(void)
{
	if (cf_try_get(ground_map, FIRST))
		return;
	REQUIRE(*ground_contents(FIRST) == 1);
	put_first();
}

static void end_migrated(void)
{
	if (w->err[1]) {
		REQUIRE(w->err[1] == -CF_EAGAIN);
		REQUIRE(is_idle(FIRST));
		REQUIRE(look(w->page).refs == 1);
	} else {
		REQUIRE(look(FIRST).refs == 1);
		REQUIRE(look(w->page).type == CF_TYPE_NONE);
	}
	ground_verify();
}

static const struct explore_program migration_against_get = {
	.name = "device-migration-against-get",
	.worry = "a run that moves to the device is got where it was or where "
		 "it is, with its contents, and never in between",
	.setup = set_up_migration,
	.thread = { get_source, migrate, get_target },
	.end = end_migrated,
};

/* Another holder writes, and lets go: then it may move. */
static void set_up_shared(void)
{
	set_up_migration();
	MUST(cf_get(ground_map, w->page));
}

static void write_and_put(void)
{
	*ground_contents(w->page) = 2;
	cf_put(ground_map, w->page);
}

static void end_shared(void)
{
	end_migrated();
	REQUIRE(*ground_contents(w->err[1] ? w->page : FIRST) == 2);
}

static const struct explore_program migration_against_put = {
	.name = "device-migration-against-put",
	.worry = "what others wrote before they put moves along",
	.setup = set_up_shared,
	.thread = { write_and_put, migrate },
	.end = end_shared,
	.quick = true,
};

/* The owner does not say what it has in hand: removal has to see it. */
static void set_up_careless(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL, .order = 9 };

	begin(&plain, 1);
	MUST(cf_alloc(ground_map, request, &w->page));
	*ground_contents(w->page) = 1;
}

static void end_careless(void)
{
	if (w->err[1])
		REQUIRE(w->err[1] == -CF_EREFUSED || w->err[1] == -CF_EGONE);
	else
		REQUIRE(w->err[0]);
	ground_verify();
}

static const struct explore_program removal_against_migration = {
	.name = "device-removal-against-migration",
	.worry = "a run that something moves to is not taken away under it",
	.setup = set_up_careless,
	.thread = { remove_and_scribble, migrate },
	.end = end_careless,
};

/* ---- faults ---- */

static void set_up_fault(void)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL, .order = 9, .flags = CF_ALLOC_FROZEN,
	};

	begin_used(&asked);
	MUST(cf_alloc(ground_map, request, &w->page));
}

static void touch(void)
{
	unsigned self = explore_self();

	w->err[self] = cf_pagemap_fault(ground_map, FIRST,
					&w->where[self]);
	if (w->err[self])
		REQUIRE(w->err[self] == -CF_EAGAIN ||
			w->err[self] == -CF_EGONE);
	else
		REQUIRE(w->where[self] == w->page &&
			*ground_contents(w->page) == 1);
}

static void end_faulted(void)
{
	REQUIRE(!w->err[0] != !w->err[1]);
	REQUIRE(look(w->page).refs == 1);
	REQUIRE(is_idle(FIRST) && w->listed == FIRST);
	ground_verify();
}

static const struct explore_program fault_against_fault = {
	.name = "device-fault-against-fault",
	.worry = "of two CPUs that touch a private page one moves it and the "
		 "other waits; neither stops both (do_swap_page, 2024)",
	.setup = set_up_fault,
	.thread = { touch, touch },
	.end = end_faulted,
};

/* ---- cut and joined ---- */

static void set_up_parts(void)
{
	begin(&plain, 1);
	MUST(cf_split(ground_map, FIRST, 8));
}

static void merge_parts(void)
{
	w->err[0] = cf_merge(ground_map, FIRST, 9);
}

static void find_interior(void)
{
	cf_pfn head = cf_find_head(ground_map, FIRST + 300);

	REQUIRE(head == FIRST || head == FIRST + 256);
}

static void end_merged(void)
{
	REQUIRE(w->err[0] == 0);
	REQUIRE(is_idle(FIRST) && look(FIRST).order == 9);
	ground_verify();
}

static const struct explore_program merge_against_lookup = {
	.name = "device-merge-against-lookup",
	.worry = "a frame is in a run all the time, while runs are joined",
	.setup = set_up_parts,
	.thread = { merge_parts, find_interior },
	.end = end_merged,
	.quick = true,
};

static void hand_out_part(void)
{
	w->err[1] = hand_out(FIRST + 256);
}

static void end_merged_or_out(void)
{
	REQUIRE(!w->err[0] != !w->err[1]);
	if (w->err[0]) {
		REQUIRE(w->err[0] == -CF_EAGAIN);
		REQUIRE(look(FIRST + 256).refs == 1);
		REQUIRE(is_idle(FIRST));
	} else {
		REQUIRE(is_idle(FIRST) && look(FIRST).order == 9);
	}
	ground_verify();
}

static const struct explore_program merge_against_hand_out = {
	.name = "device-merge-against-hand-out",
	.worry = "runs are joined only if none of them is out",
	.setup = set_up_parts,
	.thread = { merge_parts, hand_out_part },
	.end = end_merged_or_out,
	.quick = true,
};

static void set_up_part_out(void)
{
	set_up_parts();
	MUST(hand_out(FIRST + 256));
}

static void write_and_put_part(void)
{
	*ground_contents(FIRST + 256) = 2;
	cf_put(ground_map, FIRST + 256);
}

static void merge_and_look(void)
{
	merge_parts();
	if (!w->err[0])
		REQUIRE(*ground_contents(FIRST + 256) == 2);
}

static void end_part_back(void)
{
	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	REQUIRE(is_idle(FIRST));
	ground_verify();
}

static const struct explore_program merge_against_put = {
	.name = "device-merge-against-put",
	.worry = "who joins runs has what their holders wrote",
	.setup = set_up_part_out,
	.thread = { merge_and_look, write_and_put_part },
	.end = end_part_back,
	.quick = true,
};

/* ---- bad frames ---- */

static void retire(void)
{
	enum cf_retire_state known;

	MUST(cf_retire(ground_map, FIRST + 5, &known));
	REQUIRE(hand_out(FIRST) == -CF_EREFUSED);
}

static void end_bad(void)
{
	struct cf_snapshot run = look(FIRST);

	REQUIRE(run.type == CF_TYPE_DEVICE && run.refs == 0);
	REQUIRE(run.flags == CF_FLAG_POISON);
	MUST(cf_pagemap_retire(ground_map, w->owner, FIRST, NULL));
	REQUIRE(look(FIRST + 5).type == CF_TYPE_RETIRED);
	ground_verify();
}

static const struct explore_program failure_against_hand_out = {
	.name = "device-failure-against-hand-out",
	.worry = "a page known to be bad is not handed out, and one that is "
		 "out comes back marked (memory_failure of ZONE_DEVICE)",
	.setup = set_up_idle,
	.thread = { retire, hand_out_and_use },
	.end = end_bad,
	.quick = true,
};

const struct explore_program *const explore_pagemaps[] = {
	&hand_out_against_release,
	&removal_against_walk,
	&removal_against_walker,
	&removal_against_hand_out,
	&start_against_get,
	&start_against_split,
	&removal_against_release, &removal_against_retire,
	&migration_against_get,
	&migration_against_put,
	&removal_against_migration,
	&fault_against_fault,
	&merge_against_lookup,
	&merge_against_hand_out,
	&merge_against_put,
	&failure_against_hand_out,
	NULL
};
