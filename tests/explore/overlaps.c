/* SPDX-License-Identifier: MIT */

/*
 * Offline operations beside each other: two who drive one, two that overlap,
 * subscribers of two.
 */

#include "going.h"

enum what { GOING, CANCEL, DONE };

/* ---- one operation, two who drive it ---- */

static void note(void *context, enum what what, cf_pfn first)
{
	struct going_call *call = &going->call[going->calls++];

	REQUIRE(going->calls <= GOING_CALLS);
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
	going->subscriber[number] = (struct cf_subscriber) {
		.name = "subscriber",
		.priority = priority,
		.context = (void *)(uintptr_t)number,
		.going = note_going,
		.cancel = note_cancel,
		.done = note_done,
	};
	MUST(cf_subscriber_add(ground_map, &going->subscriber[number]));
}

static void set_up_going(void)
{
	going_begin((struct ground_config) { .blocks = 1 });
	subscribe(0, 0);
	MUST(cf_block_offline_start(ground_map, &going->operation[0], 0,
				    GROUND_BLOCK, NULL));
}

static void step_shared(void)
{
	going->err[explore_self()] =
		cf_block_offline_step(&going->operation[0]);
}

static void cancel_shared(void)
{
	going->err[explore_self()] =
		cf_block_offline_cancel(&going->operation[0]);
}

/* Exactly one of them ended it. */
static void one_ended_it(void)
{
	REQUIRE((going->err[0] == 0 && going->err[1] == -CF_EINVAL) ||
		(going->err[1] == 0 && going->err[0] == -CF_EINVAL));
	REQUIRE(going->calls == 2 && going->call[0].what == GOING);
}

static void stepped_or_cancelled(void)
{
	one_ended_it();
	REQUIRE(going->call[1].what == (going->err[0] ? CANCEL : DONE));
	if (going->err[0])
		going_is_back(0, 0);
	else
		REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
	ground_verify();
}

static void stepped_once(void)
{
	one_ended_it();
	REQUIRE(going->call[1].what == DONE);
	REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
	ground_verify();
}

static void cancelled_once(void)
{
	one_ended_it();
	REQUIRE(going->call[1].what == CANCEL);
	going_is_back(0, 0);
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

	cf_block_offline_status(&going->operation[0], &status);
	REQUIRE(status.total == status.free + status.busy + status.skippable);
	REQUIRE((status.state == CF_OFFLINE_GOING && status.steps == 0) ||
		(status.state == CF_OFFLINE_DONE && status.steps == 1));
}

static void stepped(void)
{
	MUST(going->err[0]);
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
	going_begin((struct ground_config) { .blocks = 3, .online = 3 });
}

static void start_and_cancel(cf_pfn first, cf_pfn last)
{
	struct cf_offline_status status;
	unsigned self = explore_self();

	going->err[self] = going_start(first, last);
	if (going->err[self])
		return;
	cf_block_offline_status(&going->operation[self], &status);
	going->id[self] = status.id;
	REQUIRE(status.state == CF_OFFLINE_GOING && status.id != 0);
	MUST(going_cancel());
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
	if (going->err[self] == 0)
		return;
	REQUIRE(going->err[self] == -CF_EBUSY);
	REQUIRE(going->err[!self] == 0);
	REQUIRE(going->report[self].reason == CF_REASON_OPERATION);
	REQUIRE(going->report[self].operation == going->id[!self]);
}

static void all_are_back(void)
{
	refused_by(0);
	refused_by(1);
	going_is_back(0, 0);
	going_is_back(GROUND_BLOCK, 0);
	going_is_back(2 * GROUND_BLOCK, 0);
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
	going->err[0] = going_start(0, GROUND_BLOCK);
	if (going->err[0] == 0)
		MUST(going_step());
}

static void offline_both(void)
{
	going->err[1] = going_start(0, 2 * GROUND_BLOCK);
	if (going->err[1] == 0)
		MUST(going_step());
}

static void one_or_both_gone(void)
{
	REQUIRE(going->err[0] == 0 || going->err[1] == 0);
	REQUIRE(going_state(0) == CF_BLOCK_OFFLINE);
	if (going->err[0] == 0) {
		REQUIRE(going->err[1] == -CF_EBUSY ||
			going->err[1] == -CF_EGONE);
		going_is_back(GROUND_BLOCK, 0);
	} else {
		REQUIRE(going->err[0] == -CF_EBUSY ||
			going->err[0] == -CF_EGONE);
		REQUIRE(going_state(GROUND_BLOCK) == CF_BLOCK_OFFLINE);
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
	going->subscriber[1].going = veto_block_1;
}

static void start_and_cancel_block_0(void)
{
	MUST(going_start(0, GROUND_BLOCK));
	MUST(going_cancel());
}

static void start_block_1(void)
{
	REQUIRE(going_start(GROUND_BLOCK, 2 * GROUND_BLOCK) == -CF_EREFUSED);
	REQUIRE(going->report[1].reason == CF_REASON_VETO);
}

/* Calls number @first up are these, of one block and one after another. */
static bool heard(unsigned first, uint8_t block, const struct going_call *calls,
		  unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (going->call[first + i].number != calls[i].number ||
		    going->call[first + i].what != calls[i].what ||
		    going->call[first + i].block != block)
			return false;
	return true;
}

static void all_heard(void)
{
	static const struct going_call told[] = {
		{ 0, GOING, 0 }, { 1, GOING, 0 }, { 2, GOING, 0 },
	};
	static const struct going_call undone[] = {
		{ 2, CANCEL, 0 }, { 1, CANCEL, 0 }, { 0, CANCEL, 0 },
	};
	static const struct going_call vetoed[] = {
		{ 0, GOING, 0 }, { 1, GOING, 0 }, { 0, CANCEL, 0 },
	};
	unsigned at;

	REQUIRE(going->calls == 9);
	for (at = 0; at < 9; at += 3)
		if (going->call[at].block == 1)
			break;
	REQUIRE(at < 9 && heard(at, 1, vetoed, 3));
	REQUIRE(heard(at == 0 ? 3 : 0, 0, told, 3));
	REQUIRE(heard(at == 6 ? 3 : 6, 0, undone, 3));
	going_is_back(0, 0);
	going_is_back(GROUND_BLOCK, 0);
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

const struct explore_program *const explore_overlaps[] = {
	&step_against_cancel,
	&step_against_step,
	&cancel_against_cancel,
	&status_against_step,
	&info_against_offline,
	&offline_against_offline,
	&offline_against_done,
	&veto_against_cancel,
	NULL
};
