/* SPDX-License-Identifier: MIT */
/*
 * Operations that take blocks offline, in one call and step by step; and the
 * subscribers that are told.
 */
#include "ops.h"

static uint32_t offline_start_codes(struct world *world, cf_pfn first,
				    cf_pfn last)
{
	uint32_t codes = 0;

	if (blocks_wrong(world, first, last))
		codes |= E(CF_EINVAL);
	if (last > world->last || count_states(world, first, last,
					       STATE(ABSENT) | STATE(OFFLINE)))
		codes |= E(CF_EGONE);
	if (count_states(world, first, last, STATE(GOING_OFFLINE)))
		codes |= E(CF_EBUSY) | E(CF_EGONE);
	return codes;
}

static void set_states(struct world *world, cf_pfn first, cf_pfn last,
		       enum cf_block_state state)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += world->block_frames)
		block_of(world, pfn)->state = state;
}

static void follow_offline(struct world *world, cf_pfn first, cf_pfn last)
{
	REQUIRE(outlook(world, first, last, ACT_OFFLINE) == OUTLOOK_CLEAR,
		"offline: blocks of %#llx went with something in the way",
		(unsigned long long)first);
	frames_clear(world, first, last);
	set_states(world, first, last, CF_BLOCK_OFFLINE);
}

/* What a pass may return; the hooks have followed it. */
static uint32_t pass_codes(struct world *world)
{
	const struct act *act = &world->act;
	uint32_t codes = act->moved || act->dissolved || act->again ||
			 act->motion ||
			 any_at_limit(world, act->first, act->last) ?
			 E(CF_EAGAIN) : 0;

	/*
	 * A cache that was not drained may hold what is wanted, unless it was
	 * to be drained for a frame to move to: what is stuck is stuck then.
	 */
	if (act->undrained)
		return OK | E(CF_EAGAIN) |
		       (act->outlook == OUTLOOK_CLEAR ? 0 : E(CF_EBUSY));
	switch (act->outlook) {
	case OUTLOOK_CLEAR:
		return OK;
	case OUTLOOK_BLOCKED:
		return codes | E(CF_EBUSY);
	default:
		return codes | OK | E(CF_EBUSY);
	}
}

static bool apply_offline(struct world *world, const struct op *op)
{
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	uint32_t codes = offline_start_codes(world, first, last);
	bool veto = is_vetoed(world, CF_EVENT_OFFLINE);
	struct cf_report report = { 0 };
	struct cf_report *wanted = report_arg(op, &report);
	int err;

	if (!codes && veto)
		codes = E(CF_EREFUSED);
	act_begin(world, codes ? ACT_NONE : ACT_OFFLINE, first, last);
	if (!codes)
		world->act.outlook = outlook(world, first, last, ACT_OFFLINE);
	err = cf_block_offline(world->map, first, last, op->arg[3], wanted);
	act_settle(world);
	require_code("block_offline", err, codes ? codes :
		     op->arg[3] ? pass_codes(world) : ~OK);
	if (!err) {
		follow_offline(world, first, last);
		require_events(world, CF_EVENT_OFFLINE, EVENTS_DONE);
	} else {
		require_events(world, CF_EVENT_OFFLINE,
			       codes ? EVENTS_REFUSED : EVENTS_UNDONE);
	}
	if (err == -CF_EREFUSED)
		require_refusal(world, CF_EVENT_OFFLINE, wanted);
	else if (err == -CF_EBUSY && !codes && op->arg[3])
		require_report(world, first, last, wanted);
	act_end(world);
	return true;
}

static bool draw_offline_blocks(struct world *world, struct op *op)
{
	if (!draw_blocks(world, op, STATE(ONLINE)))
		return false;
	op->arg[3] = random_chance(95) ? 1 + random_below(5) : 0;
	return true;
}

static void require_status(struct world *world, struct operation *operation,
			   enum cf_offline_state state)
{
	struct cf_offline_status status;
	uint64_t free = 0, skippable = 0;
	cf_pfn pfn;

	cf_block_offline_status(&operation->offline, &status);
	REQUIRE(status.state == state, "offline_status: state is %d, not %d",
		(int)status.state, (int)state);
	if (state != CF_OFFLINE_GOING)
		return;
	for (pfn = operation->first; pfn < operation->last; pfn++) {
		const struct frame *frame = &world->frame[pfn];

		free += frame->head == NO_HEAD;
		skippable += frame->head != NO_HEAD &&
			     (frame->type == CF_TYPE_RETIRED ||
			      frame->type == CF_TYPE_RESERVED ||
			      frame->flags & CF_FLAG_SKIPPABLE);
	}
	REQUIRE(status.id && status.total == operation->last -
		operation->first, "offline_status: total is %llu",
		(unsigned long long)status.total);
	/* A cache that could not be drained keeps free frames from it. */
	REQUIRE(status.busy == status.total - status.free - skippable,
		"offline_status: %llu busy",
		(unsigned long long)status.busy);
	REQUIRE(status.steps == operation->steps,
		"offline_status: %u steps, not %u", status.steps,
		operation->steps);
	REQUIRE(status.free <= free &&
		status.free + cached_now(world) >= free &&
		status.skippable == skippable,
		"offline_status: %llu free, %llu skippable, not %llu, %llu",
		(unsigned long long)status.free,
		(unsigned long long)status.skippable,
		(unsigned long long)free, (unsigned long long)skippable);
	REQUIRE(status.migrated == operation->migrated,
		"offline_status: %llu migrated, not %llu",
		(unsigned long long)status.migrated,
		(unsigned long long)operation->migrated);
}

/* arg[3]: which operation. */
static bool apply_start(struct world *world, const struct op *op)
{
	struct operation *operation = &world->operation[op->arg[3] %
							OPERATIONS];
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	uint32_t codes = offline_start_codes(world, first, last);
	struct cf_report report = { 0 };
	struct cf_report *wanted = report_arg(op, &report);
	int err;

	if (operation->going)
		codes |= E(CF_EINVAL);
	if (!codes && is_vetoed(world, CF_EVENT_OFFLINE))
		codes = E(CF_EREFUSED);
	act_begin(world, ACT_NONE, first, last);
	err = cf_block_offline_start(world->map, &operation->offline, first,
				     last, wanted);
	require_code("offline_start", err, codes ? codes : OK);
	require_events(world, CF_EVENT_OFFLINE,
		       err ? EVENTS_REFUSED : EVENTS_GOING);
	if (err == -CF_EREFUSED)
		require_refusal(world, CF_EVENT_OFFLINE, wanted);
	act_end(world);
	if (err)
		return true;
	operation->going = true;
	operation->first = first;
	operation->last = last;
	operation->migrated = 0;
	operation->steps = 0;
	set_states(world, first, last, CF_BLOCK_GOING_OFFLINE);
	require_status(world, operation, CF_OFFLINE_GOING);
	return true;
}

static bool draw_start(struct world *world, struct op *op)
{
	op->arg[3] = random_below(OPERATIONS);
	if (world->operation[op->arg[3]].going && random_chance(90))
		return false;
	return draw_blocks(world, op, STATE(ONLINE));
}

static void step_good(struct world *world, struct operation *operation)
{
	cf_pfn first = operation->first, last = operation->last;
	struct cf_offline_status status;
	int err;

	act_begin(world, ACT_OFFLINE, first, last);
	world->act.outlook = outlook(world, first, last, ACT_OFFLINE);
	err = cf_block_offline_step(&operation->offline);
	operation->steps++;
	act_settle(world);
	world->act.undrained |= has_failed(TEST_BARRIER);
	require_code("offline_step", err, pass_codes(world));
	operation->migrated += world->act.moved + world->act.dissolved;
	if (!err) {
		operation->going = false;
		follow_offline(world, first, last);
		require_events(world, CF_EVENT_OFFLINE, EVENTS_END);
	} else {
		require_events(world, CF_EVENT_OFFLINE, EVENTS_NONE);
	}
	require_status(world, operation,
		       err ? CF_OFFLINE_GOING : CF_OFFLINE_DONE);
	if (err == -CF_EBUSY) {
		cf_block_offline_status(&operation->offline, &status);
		require_report(world, first, last, &status.report);
	}
	act_end(world);
}

static bool apply_step(struct world *world, const struct op *op)
{
	struct operation *operation = &world->operation[op->arg[0] %
							OPERATIONS];

	if (operation->going)
		step_good(world, operation);
	else
		require_code("offline_step",
			     cf_block_offline_step(&operation->offline),
			     E(CF_EINVAL));
	return true;
}

static bool apply_cancel(struct world *world, const struct op *op)
{
	struct operation *operation = &world->operation[op->arg[0] %
							OPERATIONS];
	int err;

	act_begin(world, ACT_NONE, operation->first, operation->last);
	err = cf_block_offline_cancel(&operation->offline);
	require_code("offline_cancel", err,
		     operation->going ? OK : E(CF_EINVAL));
	require_events(world, CF_EVENT_OFFLINE,
		       err ? EVENTS_NONE : EVENTS_CANCEL);
	act_end(world);
	if (err)
		return true;
	operation->going = false;
	set_states(world, operation->first, operation->last, CF_BLOCK_ONLINE);
	require_status(world, operation, CF_OFFLINE_CANCELLED);
	return true;
}

static bool draw_going(struct world *world, struct op *op)
{
	op->arg[0] = random_below(OPERATIONS);
	return world->operation[op->arg[0]].going || random_chance(5);
}

/* What the engine can see standing there without asking anybody. */
static enum outlook visible_outlook(struct world *world, cf_pfn first,
				    cf_pfn last)
{
	enum outlook worst = OUTLOOK_CLEAR;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		const struct frame *frame = &world->frame[pfn];
		const struct frame *head;
		const struct owner *owner;
		bool blocked;

		if (outlook(world, pfn, pfn + 1, ACT_OFFLINE) == OUTLOOK_CLEAR)
			continue;
		head = &world->frame[frame->head];
		owner = owner_by_id(world, head->owner);
		if (head->type == CF_TYPE_OFFLINE)
			blocked = !owner || !(head->flags & CF_FLAG_MOVABLE);
		else if (!head->refs)
			blocked = !owner || !owner->ops->dissolve;
		else
			blocked = head->type != CF_TYPE_FOLIO || !owner ||
				  !owner->ops->migrate || head->pins;
		if (blocked)
			return OUTLOOK_BLOCKED;
		worst = OUTLOOK_UNSURE;
	}
	return worst;
}

static bool apply_query(struct world *world, const struct op *op)
{
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	uint32_t codes = offline_start_codes(world, first, last);
	struct cf_report report = { 0 };
	enum outlook seen = OUTLOOK_BLOCKED;
	int err;

	if (!codes) {
		seen = visible_outlook(world, first, last);
		codes = seen == OUTLOOK_CLEAR ? OK :
			seen == OUTLOOK_BLOCKED ? E(CF_EBUSY) :
			OK | E(CF_EBUSY);
	} else {
		seen = OUTLOOK_CLEAR;
	}
	act_begin(world, ACT_NONE, first, last);
	err = cf_block_offline_query(world->map, first, last, &report);
	require_code("offline_query", err, codes);
	if (err == -CF_EBUSY && seen != OUTLOOK_CLEAR) {
		world->act.outlook = seen;
		require_report(world, first, last, &report);
	}
	require_events(world, CF_EVENT_OFFLINE, EVENTS_NONE);
	act_end(world);
	return true;
}

static bool draw_query(struct world *world, struct op *op)
{
	return draw_blocks(world, op, STATE(ONLINE));
}

/* ---- subscribers ---- */

static bool any_going(struct world *world)
{
	size_t i;

	for (i = 0; i < OPERATIONS; i++) {
		if (world->operation[i].going)
			return true;
	}
	return false;
}

static bool apply_subscribe(struct world *world, const struct op *op)
{
	struct listener *listener = &world->listener[op->arg[0] % SUBSCRIBERS];
	bool busy = listener->added || any_going(world);
	int err = cf_subscriber_add(world->map, &listener->subscriber);

	require_code("subscriber_add", err, busy ? E(CF_EBUSY) : OK);
	if (!err)
		listener->added = true;
	return true;
}

static bool apply_unsubscribe(struct world *world, const struct op *op)
{
	struct listener *listener = &world->listener[op->arg[0] % SUBSCRIBERS];
	uint32_t codes = listener->added ? OK : E(CF_EINVAL);
	int err;

	if (any_going(world))
		codes = (codes & ~OK) | E(CF_EBUSY);
	err = cf_subscriber_remove(world->map, &listener->subscriber);
	require_code("subscriber_remove", err, codes);
	if (!err)
		listener->added = false;
	return true;
}

static bool apply_veto(struct world *world, const struct op *op)
{
	world->listener[op->arg[0] % SUBSCRIBERS].veto = op->arg[1];
	return true;
}

static bool draw_listener(struct world *world, struct op *op)
{
	(void)world;
	op->arg[0] = random_below(SUBSCRIBERS);
	op->arg[1] = random_chance(60) ? 0 : random_below(4);
	return true;
}

static bool draw_subscribe(struct world *world, struct op *op)
{
	op->arg[0] = random_below(SUBSCRIBERS);
	return random_chance(10) || (!any_going(world) &&
				     !world->listener[op->arg[0]].added);
}

static bool draw_unsubscribe(struct world *world, struct op *op)
{
	uint32_t tries = 6;

	do {
		op->arg[0] = random_below(SUBSCRIBERS);
	} while (--tries && !world->listener[op->arg[0]].added);
	return random_chance(10) || (tries && !any_going(world));
}

const struct op_type offline_ops[] = {
	{ "block_offline", { BLOCK_ARGS, { "passes", ARG_NUMBER } }, 10,
	  draw_offline_blocks, apply_offline },
	{ "offline_start", { BLOCK_ARGS, { "operation", ARG_NUMBER } }, 14,
	  draw_start, apply_start },
	{ "offline_step", { { "operation", ARG_NUMBER } }, 14, draw_going,
	  apply_step },
	{ "offline_cancel", { { "operation", ARG_NUMBER } }, 7, draw_going,
	  apply_cancel },
	{ "offline_query", { BLOCK_ARGS }, 8, draw_query, apply_query },
	{ "subscribe", { { "subscriber", ARG_NUMBER } }, 4, draw_subscribe,
	  apply_subscribe },
	{ "unsubscribe", { { "subscriber", ARG_NUMBER } }, 8, draw_unsubscribe,
	  apply_unsubscribe },
	{ "veto", { { "subscriber", ARG_NUMBER }, { "events", ARG_HEX } }, 3,
	  draw_listener, apply_veto },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
