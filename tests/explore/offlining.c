/* SPDX-License-Identifier: MIT */

/*
 * Taking a block offline against frees, caches, ranges and compaction.
 */

#include "going.h"

/* ---- start, cancel and the free that completes ---- */

static void set_up_frame(void)
{
	going_begin((struct ground_config) { .blocks = 1 });
	going_skip(1);
	going->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	REQUIRE(going->pfn == 0);
}

static void put_it(void)
{
	*ground_contents(going->pfn) = 1;
	cf_put(ground_map, going->pfn);
}

/* Waits for the signal only: no wake-up may be lost. */
static void offline_and_wait(void)
{
	int err;

	MUST(going_start(0, GROUND_BLOCK));
	err = going_step();
	if (err) {
		REQUIRE(err == -CF_EBUSY || err == -CF_EAGAIN);
		explore_await_zero(&going->asleep, EXPLORE_SITE);
		MUST(going_step());
	}
	/* The machine's again. */
	*ground_contents(going->pfn) = 2;
	REQUIRE(going_step() == -CF_EINVAL && going_cancel() == -CF_EINVAL);
}

static void block_is_gone(void)
{
	REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
	REQUIRE(*ground_contents(going->pfn) == 2);
	ground_verify();
}

static const struct explore_program offline_against_put = {
	.name = "offline-against-put",
	.worry = "the free that empties a block wakes who waits for it, and "
		"what was written in it is written before it is gone",
	.setup = set_up_frame,
	.thread = { put_it, offline_and_wait },
	.end = block_is_gone,
	.quick = true,
};

static void offline_or_cancel(void)
{
	MUST(going_start(0, GROUND_BLOCK));
	going->err[1] = going_step();
	if (going->err[1])
		MUST(going_cancel());
}

static void gone_or_back(void)
{
	if (going->err[1])
		going_is_back(0, GROUND_CHUNK - 1);
	else
		REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
	ground_verify();
}

static const struct explore_program cancel_against_put = {
	.name = "cancel-against-put",
	.worry = "a block whose offlining was given up is as before, also if "
		"frames come back meanwhile",
	.setup = set_up_frame,
	.thread = { put_it, offline_or_cancel },
	.end = gone_or_back,
	.quick = true,
};

/* ---- isolation and caches ---- */

/* Frame 0 is in use, frame 1 in the cache of thread 0. */
static void set_up_cache(bool unfenced, unsigned drain_spins)
{
	going_begin((struct ground_config) {
		.blocks = 1, .caches = true, .unfenced = unfenced });
	explore_drain_spins = drain_spins;
	going_skip(2);
	going->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	REQUIRE(going->pfn == 0);
}

static void set_up_fenced(void)
{
	set_up_cache(false, 1);
}

static void set_up_unfenced(void)
{
	set_up_cache(true, 1);
}

static void set_up_impatient(void)
{
	set_up_cache(false, 0);
}

static const struct explore_program offline_against_cached_put = {
	.name = "offline-against-cached-put",
	.worry = "a frame that is freed while its block is isolated does not "
		"stay in a cache, and who waits for it is woken",
	.setup = set_up_fenced,
	.thread = { put_it, offline_and_wait },
	.end = block_is_gone,
	.quick = true,
};

static const struct explore_program offline_against_cached_put_unfenced = {
	.name = "offline-against-cached-put-unfenced",
	.worry = "the same, with the barrier on all contexts",
	.setup = set_up_unfenced,
	.thread = { put_it, offline_and_wait },
	.end = block_is_gone,
	.quick = true,
};

/* A cache that is in use for long is emptied by a later step. */
static void offline_some(void)
{
	MUST(going_start(0, GROUND_BLOCK));
	going->err[1] = going_step();
	REQUIRE(going->err[1] == 0 || going->err[1] == -CF_EAGAIN ||
		going->err[1] == -CF_EBUSY);
}

static void later_step_ends(void)
{
	if (going->err[1])
		MUST(cf_block_offline_step(&going->operation[1]));
	*ground_contents(going->pfn) = 2;
	block_is_gone();
}

static void isolated_step_ends(void)
{
	MUST(cf_block_offline_step(&going->operation[1]));
	*ground_contents(going->pfn) = 2;
	block_is_gone();
}

static const struct explore_program later_step_drains = {
	.name = "later-step-drains",
	.worry = "a cache that could not be emptied at once is emptied by the "
		"next step",
	.setup = set_up_impatient,
	.thread = { put_it, offline_some },
	.end = later_step_ends,
	.quick = true,
};

static void take_cached(void)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.flags = CF_ALLOC_NOWAIT,
	};

	going->err[0] = cf_alloc(ground_map, request, &going->other);
	if (going->err[0] == 0)
		*ground_contents(going->other) = 1;
}

static void set_up_cached_only(void)
{
	set_up_fenced();
	cf_put(ground_map, going->pfn);
}

static void take_or_leave(void)
{
	if (going->err[1] == 0) {
		REQUIRE(going->err[0] == -CF_ENOMEM);
		REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
	} else {
		REQUIRE(going->err[0] == 0);
		cf_put(ground_map, going->other);
		MUST(cf_block_offline_step(&going->operation[1]));
	}
	ground_verify();
}

static const struct explore_program offline_against_cached_alloc = {
	.name = "offline-against-cached-alloc",
	.worry = "no frame of a block that is gone is handed out, whatever a "
		"cache had of it",
	.setup = set_up_cached_only,
	.thread = { take_cached, offline_some },
	.end = take_or_leave,
};

/* The block is isolated and somebody else is done with a drain. */
static void set_up_isolated(void)
{
	set_up_fenced();
	MUST(cf_block_offline_start(ground_map, &going->operation[1], 0,
				    GROUND_BLOCK, NULL));
}

static void drain(void)
{
	MUST(cf_drain(ground_map));
}

static const struct explore_program isolation_against_drain = {
	.name = "isolation-against-drain",
	.worry = "contexts stay out of their caches while a block is isolated, "
		"also after somebody else's drain",
	.setup = set_up_isolated,
	.thread = { drain, put_it },
	.end = isolated_step_ends,
	.quick = true,
};

/* What comes back to an isolated chunk is not handed out. */
static void start_and_ask(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn;

	MUST(going_start(0, GROUND_BLOCK));
	REQUIRE(cf_alloc(ground_map, request, &pfn) == -CF_ENOMEM);
	going->err[1] = -CF_EAGAIN;
}

static const struct explore_program isolation_against_put = {
	.name = "isolation-against-put",
	.worry = "an isolated block takes every frame that comes back and "
		"hands none out",
	.setup = set_up_frame,
	.thread = { put_it, start_and_ask },
	.end = isolated_step_ends,
	.quick = true,
};

/* The freer's cache was in use too long; it empties that itself. */
static void put_and_drain(void)
{
	put_it();
	cf_drain_cpu(ground_map);
}

static const struct explore_program drain_against_waiter = {
	.name = "drain-against-waiter",
	.worry = "a drain that brings the last frame home wakes who waits",
	.setup = set_up_impatient,
	.thread = { put_and_drain, offline_and_wait },
	.end = block_is_gone,
};

/* ---- exact ranges and compaction against frames that go offline ---- */

/* Frames 0 and 1 are free. */
static void set_up_pair(void)
{
	going_begin((struct ground_config) { .blocks = 1 });
	going_skip(2);
	/* Chunk 1 is not: nothing else is free. */
	(void)ground_alloc(CF_TYPE_KERNEL, 9, 0);
}

static void offline_one(void)
{
	going->err[0] = cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0,
				     &going->pfn);
	if (going->err[0] == 0)
		*ground_contents(going->pfn) = 1;
}

static void take_pair(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	struct cf_report *report = &going->report[1];

	going->err[1] = cf_alloc_range(ground_map, 0, 2, request, report);
	if (going->err[1] == 0)
		*ground_contents(0) = 2;
	else if (going->err[1] == -CF_EBUSY)
		REQUIRE(report->reason == CF_REASON_OFFLINE &&
			report->type == CF_TYPE_OFFLINE && report->pfn < 2);
	else
		REQUIRE(going->err[1] == -CF_EAGAIN);
}

/* Who has a frame has it alone. */
static void pair_or_one(void)
{
	struct cf_snapshot run;

	REQUIRE(going->err[0] == 0 || going->err[0] == -CF_ENOMEM);
	if (going->err[0] == 0) {
		REQUIRE(going->err[1]);
		MUST(cf_snapshot(ground_map, going->pfn, &run));
		REQUIRE(run.type == CF_TYPE_OFFLINE && run.order == 0);
		MUST(cf_offline_free(ground_map, CF_OWNER_NONE, going->pfn, 0));
	}
	if (going->err[1] == 0) {
		MUST(cf_snapshot(ground_map, 0, &run));
		REQUIRE(run.type == CF_TYPE_KERNEL && run.order == 1);
		cf_put(ground_map, 0);
	}
	cf_put(ground_map, GROUND_CHUNK);
	going_is_back(0, GROUND_CHUNK - 2);
	ground_verify();
}

static const struct explore_program range_against_offline = {
	.name = "range-against-offline",
	.worry = "a scanner that takes exact frames never takes one that has "
		"become logically offline",
	.setup = set_up_pair,
	.thread = { offline_one, take_pair },
	.end = pair_or_one,
	.quick = true,
};

static void offline_another(void)
{
	going->err[1] = cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0,
				     &going->other);
}

static void two_offline(void)
{
	struct cf_block_info info;

	REQUIRE(going->err[0] == 0 && going->err[1] == 0);
	REQUIRE(going->pfn + going->other == 1);
	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.offline == GROUND_CHUNK && info.free == 0);
	ground_verify();
}

static const struct explore_program offline_alloc_twice = {
	.name = "offline-alloc-twice",
	.worry = "two who take frames out of use take different ones, and "
		"both count",
	.setup = set_up_pair,
	.thread = { offline_one, offline_another },
	.end = two_offline,
	.quick = true,
};

static void take_second(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	going->err[0] = cf_alloc_range(ground_map, 1, 2, request,
				       &going->report[0]);
}

static void one_range(void)
{
	REQUIRE((going->err[0] == 0 && going->err[1] == -CF_EBUSY) ||
		(going->err[1] == 0 && going->err[0] == -CF_EBUSY));
	REQUIRE(going->report[going->err[0] == 0].reason ==
		CF_REASON_UNMOVABLE);
	cf_put(ground_map, going->err[0] == 0);
	cf_put(ground_map, GROUND_CHUNK);
	going_is_back(0, GROUND_CHUNK - 2);
	ground_verify();
}

static void take_both(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	going->err[1] = cf_alloc_range(ground_map, 0, 2, request,
				       &going->report[1]);
}

static const struct explore_program range_against_range = {
	.name = "range-against-range",
	.worry = "of two exact ranges that overlap one is taken, the other "
		"told why not",
	.setup = set_up_pair,
	.thread = { take_second, take_both },
	.end = one_range,
	.quick = true,
};

static void compact(void)
{
	struct cf_compaction done;

	going->err[1] = cf_compact(ground_map, 0, CF_ZONE_NORMAL, 1, &done);
	REQUIRE(going->err[1] == -CF_ENOMEM && done.frames_moved == 0);
}

static const struct explore_program compact_against_offline = {
	.name = "compact-against-offline",
	.worry = "a compaction scanner leaves logically offline frames alone",
	.setup = set_up_pair,
	.thread = { offline_one, compact },
	.end = pair_or_one,
	.quick = true,
};

/*
 * Frame 0 is a folio that can be moved, frame 1 is free, and so is chunk 1.
 * A scanner that wants both frames moves the one and takes the other.
 */
static int move_folio(void *context, cf_pfn source, cf_pfn target,
		      unsigned order)
{
	(void)context;
	REQUIRE(order == 0 && source == going->pfn);
	if (cf_freeze(ground_map, source, 2))
		return -CF_EAGAIN;
	*ground_contents(target) = *ground_contents(source);
	going->pfn = target;
	cf_unfreeze(ground_map, target, 1);
	return 0;
}

static void set_up_folio(void)
{
	static const struct cf_owner_ops ops = { .migrate = move_folio };
	uint32_t owner;

	going_begin((struct ground_config) { .blocks = 1 });
	going_skip(2);
	MUST(cf_owner_register(ground_map, "pages", &ops, NULL, &owner));
	going->pfn = ground_alloc(CF_TYPE_FOLIO, 0, owner);
	REQUIRE(going->pfn == 0);
	*ground_contents(0) = 7;
}

static void offline_beside(void)
{
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0,
			      &going->other));
	*ground_contents(going->other) = 1;
}

static void folio_lives(void)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, going->other, &run));
	REQUIRE(run.type == CF_TYPE_OFFLINE);
	REQUIRE(*ground_contents(going->other) == 1);
	MUST(cf_snapshot(ground_map, going->pfn, &run));
	REQUIRE(run.type == CF_TYPE_FOLIO && run.refs == 1 && !run.flags);
	REQUIRE(*ground_contents(going->pfn) == 7);
	if (going->err[1] == 0) {
		MUST(cf_snapshot(ground_map, 0, &run));
		REQUIRE(run.type == CF_TYPE_KERNEL && run.order == 1);
		REQUIRE(going->other > 1 && going->pfn > 1);
	} else {
		REQUIRE(going->err[1] == -CF_EBUSY ||
			going->err[1] == -CF_EAGAIN);
	}
	ground_verify();
}

static const struct explore_program scanner_against_offline = {
	.name = "scanner-against-offline",
	.worry = "a scanner that moves frames out of its way never moves, nor "
		"takes, one that has become logically offline",
	.setup = set_up_folio,
	.thread = { offline_beside, take_both },
	.end = folio_lives,
};

/* ---- what is stepped over may change its mind ---- */

/* Block 1 is stepped over, by the will of its owner. */
static void set_up_skippable(void)
{
	static const struct cf_owner_ops none = { .release = NULL };

	going_begin((struct ground_config) { .blocks = 2, .online = 2 });
	MUST(cf_owner_register(ground_map, "balloon", &none, NULL,
			       &going->owner));
	MUST(cf_block_adopt(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			    going->owner));
	MUST(cf_offline_alloc_range(ground_map, going->owner, GROUND_BLOCK,
				    2 * GROUND_BLOCK, CF_FLAG_SKIPPABLE,
				    NULL));
}

static void take_back(void)
{
	going->err[0] = cf_offline_set_skippable(ground_map, going->owner,
						 GROUND_BLOCK,
						 GROUND_BLOCK + GROUND_CHUNK,
						 false);
}

static void offline_two_blocks(void)
{
	MUST(going_start(0, 2 * GROUND_BLOCK));
	going->err[1] = going_step();
}

/* All of it goes or none. */
static void both_or_none(void)
{
	struct cf_snapshot run;

	if (going->err[1] == 0) {
		/* Gone, or about to be. */
		REQUIRE(going->err[0] == -CF_EGONE ||
			going->err[0] == -CF_EAGAIN);
		REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
		REQUIRE(going_state(GROUND_BLOCK) == CF_BLOCK_OFFLINE);
		ground_verify();
		return;
	}
	REQUIRE(going->err[1] == -CF_EAGAIN || going->err[1] == -CF_EBUSY);
	REQUIRE(going_state(0) == CF_BLOCK_GOING_OFFLINE);
	REQUIRE(going_state(GROUND_BLOCK) == CF_BLOCK_GOING_OFFLINE);
	MUST(cf_block_offline_cancel(&going->operation[1]));
	going_is_back(0, 0);
	MUST(cf_snapshot(ground_map, GROUND_BLOCK, &run));
	REQUIRE(run.type == CF_TYPE_OFFLINE);
	REQUIRE(!(run.flags & CF_FLAG_BUSY));
	ground_verify();
}

static const struct explore_program offline_against_take_back = {
	.name = "offline-against-take-back",
	.worry = "an owner that wants its offline frames back keeps them, or "
		"comes too late: all blocks go or none",
	.setup = set_up_skippable,
	.thread = { take_back, offline_two_blocks },
	.end = both_or_none,
};

/* ---- low memory ---- */

static void set_up_watermarks(void)
{
	struct cf_watermarks marks = { .min = 0, .low = 600, .high = 2000 };

	going_begin((struct ground_config) { .blocks = 1 });
	MUST(cf_zone_set_watermarks(ground_map, 0, CF_ZONE_NORMAL, marks));
}

static void take_chunk(void)
{
	(void)ground_alloc(CF_TYPE_KERNEL, 9, 0);
}

static void told_once(void)
{
	REQUIRE(going->lows == 1);
	ground_verify();
}

static const struct explore_program low_once = {
	.name = "low-once",
	.worry = "of those who take a zone below its mark one tells",
	.setup = set_up_watermarks,
	.thread = { take_chunk, take_chunk },
	.end = told_once,
	.quick = true,
};

const struct explore_program *const explore_offlining[] = {
	&offline_against_put,
	&cancel_against_put,
	&offline_against_cached_put,
	&offline_against_cached_put_unfenced,
	&later_step_drains,
	&offline_against_cached_alloc,
	&isolation_against_drain,
	&isolation_against_put,
	&drain_against_waiter,
	&range_against_offline,
	&offline_alloc_twice,
	&range_against_range,
	&compact_against_offline,
	&scanner_against_offline,
	&offline_against_take_back,
	&low_once,
	NULL
};
