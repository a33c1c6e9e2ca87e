/* SPDX-License-Identifier: MIT */
/*
 * Subscribers: what they answer, and that just the right ones are told.
 */
#include "ops.h"

static void log_event(struct listener *listener, char what,
		      enum cf_event event, cf_pfn first)
{
	struct act *act = &listener->world->act;

	REQUIRE(listener->added, "subscriber: called and not added");
	REQUIRE(act->events < EVENTS_MAX, "subscriber: too many calls");
	REQUIRE(first == act->first, "subscriber: told of another range");
	act->event[act->events++] = (struct event){
		(uint8_t)(listener - listener->world->listener), what,
		(uint8_t)event
	};
}

static int hook_going(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	struct listener *listener = context;

	(void)last;
	log_event(listener, 'g', event, first);
	nest(listener->world);
	return listener->veto >> event & 1;
}

static void hook_cancel(void *context, enum cf_event event, cf_pfn first,
			cf_pfn last)
{
	(void)last;
	log_event(context, 'c', event, first);
}

static void hook_done(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	(void)last;
	log_event(context, 'd', event, first);
}

/* Listeners stand in order of priority: the first is asked first. */
static bool vetoes(const struct listener *listener, enum cf_event event)
{
	return listener->veto >> event & 1;
}

bool is_vetoed(struct world *world, enum cf_event event)
{
	size_t i;

	for (i = 0; i < SUBSCRIBERS; i++) {
		if (world->listener[i].added &&
		    vetoes(&world->listener[i], event))
			return true;
	}
	return false;
}

/* Take the next calls off the list: @what to those in @who, in order. */
static uint32_t take_events(struct world *world, uint32_t at, char what,
			    uint32_t who)
{
	int i;

	for (i = 0; i < SUBSCRIBERS; i++) {
		int index = what == 'c' ? SUBSCRIBERS - 1 - i : i;
		const struct event *event = &world->act.event[at];

		if (!(who >> index & 1))
			continue;
		REQUIRE(at < world->act.events && event->what == what &&
			event->who == index,
			"subscribers: '%c' of number %d is missing or late",
			what, index);
		at++;
	}
	return at;
}

/* Who is asked: all, or those up to and including the first that vetoes. */
static uint32_t asked(struct world *world, enum cf_event event,
		      uint32_t *ret_agreed)
{
	uint32_t who = 0;
	uint32_t i;

	*ret_agreed = 0;
	for (i = 0; i < SUBSCRIBERS; i++) {
		if (!world->listener[i].added)
			continue;
		who |= 1u << i;
		if (vetoes(&world->listener[i], event))
			return who;
		*ret_agreed = who;
	}
	return who;
}

static uint32_t all_listeners(struct world *world)
{
	uint32_t who = 0;
	uint32_t i;

	for (i = 0; i < SUBSCRIBERS; i++)
		who |= (uint32_t)world->listener[i].added << i;
	return who;
}

/*
 * Demand that subscribers were told just this. Whether anybody is asked before
 * a refusal for another reason is left open.
 */
void require_events(struct world *world, enum cf_event event,
		    enum events events)
{
	uint32_t agreed;
	uint32_t who = asked(world, event, &agreed);
	uint32_t at = 0;
	uint32_t all = world->act.events;

	/* A veto that was made up since then comes too late. */
	if (events == EVENTS_END || events == EVENTS_CANCEL)
		who = all_listeners(world);
	if (events == EVENTS_REFUSED && !all)
		return;
	if (events == EVENTS_GOING || events == EVENTS_DONE ||
	    events == EVENTS_UNDONE || events == EVENTS_REFUSED)
		at = take_events(world, at, 'g', who);
	if (events == EVENTS_DONE || events == EVENTS_END)
		at = take_events(world, at, 'd', who);
	if (events == EVENTS_UNDONE || events == EVENTS_REFUSED)
		at = take_events(world, at, 'c', agreed);
	if (events == EVENTS_CANCEL)
		at = take_events(world, at, 'c', who);
	REQUIRE(at == all, "subscribers: told %u times, expected %u", all, at);
}

void listeners_init(struct world *world)
{
	static const char *const names[SUBSCRIBERS] = {
		"high", "mid", "low",
	};
	int i;

	for (i = 0; i < SUBSCRIBERS; i++) {
		struct listener *listener = &world->listener[i];

		listener->world = world;
		listener->subscriber = (struct cf_subscriber){
			.name = names[i], .priority = 10 - i,
			.context = listener, .going = hook_going,
			.cancel = hook_cancel, .done = hook_done,
		};
	}
}
