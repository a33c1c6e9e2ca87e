/* SPDX-License-Identifier: MIT */

/*
 * Offline operations: their steps, their end and who hears of it; isolation
 * against frees, ranges and compaction.
 */

#include "ground.h"

#define CHUNK		((cf_pfn)512)
#define SUBSCRIBERS	3
#define CALLS_MAX	16

struct call {			/* of a subscriber's hook */
	uint8_t number, what, block;
};

enum what { GOING, CANCEL, DONE };

static struct {
	struct cf_offline operation[EXPLORE_THREADS_MAX];
	struct cf_report report[EXPLORE_THREADS_MAX];
	struct cf_offline_status status;
	int err[EXPLORE_THREADS_MAX];
	uint32_t id[EXPLORE_THREADS_MAX];
	uint64_t asleep;	/* until a chunk is empty */
	uint64_t lows;		/* signals of low memory */
	cf_pfn pfn, other;
	uint32_t owner;
	struct cf_subscriber subscriber[SUBSCRIBERS];
	struct call call[CALLS_MAX];
	unsigned calls;
} *w;

static void on_signal(enum cf_signal what, cf_pfn pfn)
{
	if (what == CF_SIGNAL_LOW) {
		(void)explore_change(&w->lows, EXPLORE_ADD, 1,
				     EXPLORE_RELAXED, EXPLORE_SITE);
		return;
	}
	REQUIRE(pfn % CHUNK == 0);
	(void)explore_change(&w->asleep, EXPLORE_AND, 0, EXPLORE_ACQ_REL,
			     EXPLORE_SITE);
}

static void begin(struct ground_config config)
{
	ground_init(config);
	w = explore_memory(sizeof(*w));
	explore_name(&w->asleep, sizeof(w->asleep), "asleep", -1);
	explore_name(&w->lows, sizeof(w->lows), "signals of low memory", -1);
	explore_port_machine()->signal = on_signal;
	w->asleep = 1;
}

static int start(cf_pfn first, cf_pfn last)
{
	unsigned self = explore_self();

	return cf_block_offline_start(ground_map, &w->operation[self], first,
				      last, &w->report[self]);
}

static int step(void)
{
	return cf_block_offline_step(&w->operation[explore_self()]);
}

static int cancel(void)
{
	return cf_block_offline_cancel(&w->operation[explore_self()]);
}

static enum cf_block_state state_of(cf_pfn pfn)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, pfn, &info));
	return info.state;
}

/* In use, not isolated, and all of it can be had again. */
static void block_is_back(cf_pfn pfn, uint64_t skipped)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, pfn, &info));
	REQUIRE(info.state == CF_BLOCK_ONLINE);
	REQUIRE(info.chunks_isolated == 0);
	REQUIRE(info.free + info.skippable == GROUND_BLOCK);
	REQUIRE(info.skippable == skipped);
}

/* ---- start, cancel and the free that completes ---- */

/*
 * Frames of chunk 0 from @first on are stepped over, chunk 1 is free: so a
 * step has little to look at.
 */
static void skip_from(cf_pfn first)
{
	static const struct cf_owner_ops none = { .release = NULL };
	uint32_t owner;

	MUST(cf_owner_register(ground_map, "balloon", &none, NULL, &owner));
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, owner));
	MUST(cf_offline_alloc_range(ground_map, owner, first, CHUNK,
				    CF_FLAG_SKIPPABLE, NULL));
}

static void set_up_frame(void)
{
	begin((struct ground_config) { .blocks = 1 });
	skip_from(1);
	w->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	REQUIRE(w->pfn == 0);
}

static void put_it(void)
{
	*ground_contents(w->pfn) = 1;
	cf_put(ground_map, w->pfn);
}

/* Waits for the signal only: no wake-up may be lost. */
static void offline_and_wait(void)
{
	int err;

	MUST(start(0, GROUND_BLOCK));
	err = step();
	if (err) {
		REQUIRE(err == -CF_EBUSY || err == -CF_EAGAIN);
		explore_await_zero(&w->asleep, EXPLORE_SITE);
		MUST(step());
	}
	/* The machine's again. */
	*ground_contents(w->pfn) = 2;
	REQUIRE(step() == -CF_EINVAL && cancel() == -CF_EINVAL);
}

static void block_is_gone(void)
{
	REQUIRE(state_of(0) == CF_BLOCK_OFFLINE);
	REQUIRE(*ground_contents(w->pfn) == 2);
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
	MUST(start(0, GROUND_BLOCK));
	w->err[1] = step();
	if (w->err[1])
		MUST(cancel());
}

static void gone_or_back(void)
{
	if (w->err[1])
		block_is_back(0, CHUNK - 1);
	else
		REQUIRE(state_of(0) == CF_BLOCK_OFFLINE);
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
	begin((struct ground_config) {
		.blocks = 1, .caches = true, .unfenced = unfenced });
	explore_drain_spins = drain_spins;
	skip_from(2);
	w->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	REQUIRE(w->pfn == 0);
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
	MUST(start(0, GROUND_BLOCK));
	w->err[1] = step();
	REQUIRE(w->err[1] == 0 || w->err[1] == -CF_EAGAIN ||
		w->err[1] == -CF_EBUSY);
}

static void later_step_ends(void)
{
	if (w->err[1])
		MUST(cf_block_offline_step(&w->operation[1]));
	*ground_contents(w->pfn) = 2;
	block_is_gone();
}

static void isolated_step_ends(void)
{
	MUST(cf_block_offline_step(&w->operation[1]));
	*ground_contents(w->pfn) = 2;
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

	w->err[0] = cf_alloc(ground_map, request, &w->other);
	if (w->err[0] == 0)
		*ground_contents(w->other) = 1;
}

static void set_up_cached_only(void)
{
	set_up_fenced();
	cf_put(ground_map, w->pfn);
}

static void take_or_leave(void)
{
	if (w->err[1] == 0) {
		REQUIRE(w->err[0] == -CF_ENOMEM);
		REQUIRE(state_of(0) == CF_BLOCK_OFFLINE);
	} else {
		REQUIRE(w->err[0] == 0);
		cf_put(ground_map, w->other);
		MUST(cf_block_offline_step(&w->operation[1]));
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
	MUST(cf_block_offline_start(ground_map, &w->operation[1], 0,
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

	MUST(start(0, GROUND_BLOCK));
	REQUIRE(cf_alloc(ground_map, request, &pfn) == -CF_ENOMEM);
	w->err[1] = -CF_EAGAIN;
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
	begin((struct ground_config) { .blocks = 1 });
	skip_from(2);
	/* Chunk 1 is not: nothing else is free. */
	(void)ground_alloc(CF_TYPE_KERNEL, 9, 0);
}

static void offline_one(void)
{
	w->err[0] = cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0,
				     &w->pfn);
	if (w->err[0] == 0)
		*ground_contents(w->pfn) = 1;
}

static void take_pair(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	struct cf_report *report = &w->report[1];

	w->err[1] = cf_alloc_range(ground_map, 0, 2, request, report);
	if (w->err[1] == 0)
		*ground_contents(0) = 2;
	else if (w->err[1] == -CF_EBUSY)
		REQUIRE(report->reason == CF_REASON_OFFLINE &&
			report->type == CF_TYPE_OFFLINE && report->pfn < 2);
	else
		REQUIRE(w->err[1] == -CF_EAGAIN);
}

/* Who has a frame has it alone. */
static void pair_or_one(void)
{
	struct cf_snapshot run;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_ENOMEM);
	if (w->err[0] == 0) {
		REQUIRE(w->err[1]);
		MUST(cf_snapshot(ground_map, w->pfn, &run));
		REQUIRE(run.type == CF_TYPE_OFFLINE && run.order == 0);
		MUST(cf_offline_free(ground_map, CF_OWNER_NONE, w->pfn, 0));
	}
	if (w->err[1] == 0) {
		MUST(cf_snapshot(ground_map, 0, &run));
		REQUIRE(run.type == CF_TYPE_KERNEL && run.order == 1);
		cf_put(ground_map, 0);
	}
	cf_put(ground_map, CHUNK);
	block_is_back(0, CHUNK - 2);
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
	w->err[1] = cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0,
				     &w->other);
}

static void two_offline(void)
{
	struct cf_block_info info;

	REQUIRE(w->err[0] == 0 && w->err[1] == 0);
	REQUIRE(w->pfn + w->other == 1);
	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.offline == CHUNK && info.free == 0);
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

	w->err[0] = cf_alloc_range(ground_map, 1, 2, request, &w->report[0]);
}

static void one_range(void)
{
	REQUIRE((w->err[0] == 0 && w->err[1] == -CF_EBUSY) ||
		(w->err[1] == 0 && w->err[0] == -CF_EBUSY));
	REQUIRE(w->report[w->err[0] == 0].reason == CF_REASON_UNMOVABLE);
	cf_put(ground_map, w->err[0] == 0);
	cf_put(ground_map, CHUNK);
	block_is_back(0, CHUNK - 2);
	ground_verify();
}

static void take_both(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	w->err[1] = cf_alloc_range(ground_map, 0, 2, request, &w->report[1]);
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

	w->err[1] = cf_compact(ground_map, 0, CF_ZONE_NORMAL, 1, &done);
	REQUIRE(w->err[1] == -CF_ENOMEM && done.frames_moved == 0);
}

static const struct explore_program compact_against_offline = {
	.name = "compact-against-offline",
	.worry = "a compaction scanner leaves logically offline frames alone",
	.setup = set_up_pair,
	.thread = { offline_one, compact },
	.end = pair_or_one,
	.quick = true,
};

/* ---- one operation, two who drive it ---- */

static void note(void *context, enum what what, cf_pfn first)
{
	struct call *call = &w->call[w->calls++];

	REQUIRE(w->calls <= CALLS_MAX);
	call->number = (uint8_t)(uintptr_t)context;
	call->what = (uint8_t)what;
	call->block = (uint8_t)(first / GROUND_BLOCK);
}

static int note_going(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	REQUIRE(event == CF_EVENT_OFFLINE && first < last);
	note(context, GOING, first);
	return 0;
}

static void note_cancel(void *context, enum cf_event event, cf_pfn first,
			cf_pfn last)
{
	REQUIRE(event == CF_EVENT_OFFLINE && first < last);
	note(context, CANCEL, first);
}

static void note_done(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	REQUIRE(event == CF_EVENT_OFFLINE && first < last);
	note(context, DONE, first);
}

static void subscribe(unsigned number, int priority)
{
	w->subscriber[number] = (struct cf_subscriber) {
		.name = "subscriber",
		.priority = priority,
		.context = (void *)(uintptr_t)number,
		.going = note_going,
		.cancel = note_cancel,
		.done = note_done,
	};
	MUST(cf_subscriber_add(ground_map, &w->subscriber[number]));
}

static void set_up_going(void)
{
	begin((struct ground_config) { .blocks = 1 });
	subscribe(0, 0);
	MUST(cf_block_offline_start(ground_map, &w->operation[0], 0,
				    GROUND_BLOCK, NULL));
}

static void step_shared(void)
{
	w->err[explore_self()] = cf_block_offline_step(&w->operation[0]);
}

static void cancel_shared(void)
{
	w->err[explore_self()] = cf_block_offline_cancel(&w->operation[0]);
}

/* Exactly one of them ended it. */
static void one_ended_it(void)
{
	REQUIRE((w->err[0] == 0 && w->err[1] == -CF_EINVAL) ||
		(w->err[1] == 0 && w->err[0] == -CF_EINVAL));
	REQUIRE(w->calls == 2 && w->call[0].what == GOING);
}

static void stepped_or_cancelled(void)
{
	one_ended_it();
	REQUIRE(w->call[1].what == (w->err[0] ? CANCEL : DONE));
	if (w->err[0])
		block_is_back(0, 0);
	else
		REQUIRE(state_of(0) == CF_BLOCK_OFFLINE);
	ground_verify();
}

static void stepped_once(void)
{
	one_ended_it();
	REQUIRE(w->call[1].what == DONE);
	REQUIRE(state_of(0) == CF_BLOCK_OFFLINE);
	ground_verify();
}

static void cancelled_once(void)
{
	one_ended_it();
	REQUIRE(w->call[1].what == CANCEL);
	block_is_back(0, 0);
	ground_verify();
}

static const struct explore_program step_against_cancel = {
	.name = "step-against-cancel",
	.worry = "an operation is either done or cancelled, and everybody is "
		"told the same",
	.setup = set_up_going,
	.thread = { step_shared, cancel_shared },
	.end = stepped_or_cancelled,
	.quick = true,
};

static const struct explore_program step_against_step = {
	.name = "step-against-step",
	.worry = "an operation that two drive is done once",
	.setup = set_up_going,
	.thread = { step_shared, step_shared },
	.end = stepped_once,
	.quick = true,
};

static const struct explore_program cancel_against_cancel = {
	.name = "cancel-against-cancel",
	.worry = "an operation that two give up is undone once",
	.setup = set_up_going,
	.thread = { cancel_shared, cancel_shared },
	.end = cancelled_once,
	.quick = true,
};

/* What a reader is told goes together. */
static void read_status(void)
{
	struct cf_offline_status status;

	cf_block_offline_status(&w->operation[0], &status);
	REQUIRE(status.total == status.free + status.busy + status.skippable);
	REQUIRE((status.state == CF_OFFLINE_GOING && status.steps == 0) ||
		(status.state == CF_OFFLINE_DONE && status.steps == 1));
}

static void stepped(void)
{
	MUST(w->err[0]);
}

static const struct explore_program status_against_step = {
	.name = "status-against-step",
	.worry = "what an operation says of itself is of one moment",
	.setup = set_up_going,
	.thread = { step_shared, read_status },
	.end = stepped,
	.quick = true,
};

static void read_info(void)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.free == 0 || info.free == GROUND_BLOCK);
	REQUIRE(info.free == 0 || info.chunks_free == 2);
	REQUIRE(info.free || info.state == CF_BLOCK_OFFLINE);
}

static const struct explore_program info_against_offline = {
	.name = "told-against-offline",
	.worry = "what is told of a block that goes is of one moment",
	.setup = set_up_going,
	.thread = { step_shared, read_info },
	.end = stepped,
	.quick = true,
};

/* ---- operations that overlap ---- */

static void set_up_blocks(void)
{
	begin((struct ground_config) { .blocks = 3, .online = 3 });
}

static void start_and_cancel(cf_pfn first, cf_pfn last)
{
	struct cf_offline_status status;
	unsigned self = explore_self();

	w->err[self] = start(first, last);
	if (w->err[self])
		return;
	cf_block_offline_status(&w->operation[self], &status);
	w->id[self] = status.id;
	REQUIRE(status.state == CF_OFFLINE_GOING && status.id != 0);
	MUST(cancel());
}

static void start_lower(void)
{
	start_and_cancel(0, 2 * GROUND_BLOCK);
}

static void start_upper(void)
{
	start_and_cancel(GROUND_BLOCK, 3 * GROUND_BLOCK);
}

/* Who was refused was told by whom. */
static void refused_by(unsigned self)
{
	if (w->err[self] == 0)
		return;
	REQUIRE(w->err[self] == -CF_EBUSY);
	REQUIRE(w->err[!self] == 0);
	REQUIRE(w->report[self].reason == CF_REASON_OPERATION);
	REQUIRE(w->report[self].operation == w->id[!self]);
}

static void all_are_back(void)
{
	refused_by(0);
	refused_by(1);
	block_is_back(0, 0);
	block_is_back(GROUND_BLOCK, 0);
	block_is_back(2 * GROUND_BLOCK, 0);
	ground_verify();
}

static const struct explore_program offline_against_offline = {
	.name = "offline-against-offline",
	.worry = "of two operations that overlap the second is told of the "
		"first, and giving up either undoes it alone",
	.setup = set_up_blocks,
	.thread = { start_lower, start_upper },
	.end = all_are_back,
	.quick = true,
};

static void offline_first(void)
{
	w->err[0] = start(0, GROUND_BLOCK);
	if (w->err[0] == 0)
		MUST(step());
}

static void offline_both(void)
{
	w->err[1] = start(0, 2 * GROUND_BLOCK);
	if (w->err[1] == 0)
		MUST(step());
}

static void one_or_both_gone(void)
{
	REQUIRE(w->err[0] == 0 || w->err[1] == 0);
	REQUIRE(state_of(0) == CF_BLOCK_OFFLINE);
	if (w->err[0] == 0) {
		REQUIRE(w->err[1] == -CF_EBUSY || w->err[1] == -CF_EGONE);
		block_is_back(GROUND_BLOCK, 0);
	} else {
		REQUIRE(w->err[0] == -CF_EBUSY || w->err[0] == -CF_EGONE);
		REQUIRE(state_of(GROUND_BLOCK) == CF_BLOCK_OFFLINE);
	}
	ground_verify();
}

static const struct explore_program offline_against_done = {
	.name = "offline-against-done",
	.worry = "an operation over blocks that another takes offline changes "
		"none of them",
	.setup = set_up_blocks,
	.thread = { offline_first, offline_both },
	.end = one_or_both_gone,
	.quick = true,
};

/* ---- subscribers of two operations ---- */

static int veto_block_1(void *context, enum cf_event event, cf_pfn first,
			cf_pfn last)
{
	(void)note_going(context, event, first, last);
	return first == GROUND_BLOCK;
}

static void set_up_subscribers(void)
{
	set_up_blocks();
	subscribe(2, 1);
	subscribe(0, 10);
	subscribe(1, 5);
	w->subscriber[1].going = veto_block_1;
}

static void start_and_cancel_block_0(void)
{
	MUST(start(0, GROUND_BLOCK));
	MUST(cancel());
}

static void start_block_1(void)
{
	REQUIRE(start(GROUND_BLOCK, 2 * GROUND_BLOCK) == -CF_EREFUSED);
	REQUIRE(w->report[1].reason == CF_REASON_VETO);
}

/* Calls number @first up are these, of one block and one after another. */
static bool heard(unsigned first, uint8_t block, const struct call *calls,
		  unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (w->call[first + i].number != calls[i].number ||
		    w->call[first + i].what != calls[i].what ||
		    w->call[first + i].block != block)
			return false;
	return true;
}

static void all_heard(void)
{
	static const struct call told[] = {
		{ 0, GOING, 0 }, { 1, GOING, 0 }, { 2, GOING, 0 },
	};
	static const struct call undone[] = {
		{ 2, CANCEL, 0 }, { 1, CANCEL, 0 }, { 0, CANCEL, 0 },
	};
	static const struct call vetoed[] = {
		{ 0, GOING, 0 }, { 1, GOING, 0 }, { 0, CANCEL, 0 },
	};
	unsigned at;

	REQUIRE(w->calls == 9);
	for (at = 0; at < 9; at += 3)
		if (w->call[at].block == 1)
			break;
	REQUIRE(at < 9 && heard(at, 1, vetoed, 3));
	REQUIRE(heard(at == 0 ? 3 : 0, 0, told, 3));
	REQUIRE(heard(at == 6 ? 3 : 6, 0, undone, 3));
	block_is_back(0, 0);
	block_is_back(GROUND_BLOCK, 0);
	ground_verify();
}

static const struct explore_program veto_against_cancel = {
	.name = "veto-against-cancel",
	.worry = "cancel reaches exactly those that saw going, last one "
		"first, also while another operation is going",
	.setup = set_up_subscribers,
	.thread = { start_and_cancel_block_0, start_block_1 },
	.end = all_heard,
	.quick = true,
};

/* ---- low memory ---- */

static void set_up_watermarks(void)
{
	struct cf_watermarks marks = { .min = 0, .low = 600, .high = 2000 };

	begin((struct ground_config) { .blocks = 1 });
	MUST(cf_zone_set_watermarks(ground_map, 0, CF_ZONE_NORMAL, marks));
}

static void take_chunk(void)
{
	(void)ground_alloc(CF_TYPE_KERNEL, 9, 0);
}

static void told_once(void)
{
	REQUIRE(w->lows == 1);
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
	&compact_against_offline,
	&offline_alloc_twice,
	&range_against_range,
	&step_against_cancel,
	&step_against_step,
	&cancel_against_cancel,
	&status_against_step,
	&info_against_offline,
	&offline_against_offline,
	&offline_against_done,
	&veto_against_cancel,
	&low_once,
	NULL
};
