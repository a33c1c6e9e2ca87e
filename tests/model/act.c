/* SPDX-License-Identifier: MIT */
/*
 * The call that runs: what it may do, what the port is told meanwhile, and
 * that nothing is held when it is over.
 */
#include <string.h>

#include "model.h"

bool is_moving(const struct world *world)
{
	return world->act.kind == ACT_MOVE || world->act.kind == ACT_OFFLINE ||
	       world->act.kind == ACT_COMPACT;
}

static void exposed(void *context, cf_pfn first, cf_pfn last, bool initial)
{
	struct world *world = context;
	cf_pfn pfn;

	REQUIRE(last <= world->last, "port: exposure beyond the map");
	for (pfn = first; pfn < last; pfn++) {
		struct frame *frame = &world->frame[pfn];

		/* The source of a migration is free in the model by now. */
		REQUIRE(is_moving(world) ? frame->returning :
			(frame->head != NO_HEAD &&
			 frame->type == CF_TYPE_OFFLINE &&
			 !(frame->flags & CF_FLAG_NEVER_ONLINED) == !initial),
			"port: %s of %#llx", initial ? "first exposure" :
			"return", (unsigned long long)pfn);
		REQUIRE(!frame->exposed, "port: %#llx exposed twice",
			(unsigned long long)pfn);
		frame->exposed = !is_moving(world);
		frame->returning = false;
	}
}

/*
 * The engine asked the port to take back each frame that was moved away. One
 * that it would not take stays OFFLINE, the orphan's; a bad one is RETIRED
 * without being asked for.
 */
void act_settle(struct world *world)
{
	struct run run = { CF_TYPE_OFFLINE, CF_OWNER_ORPHAN, 0, 0 };
	cf_pfn pfn;

	world->act.failed |= any_failed();
	for (pfn = 0; pfn < world->last; pfn++) {
		struct cf_snapshot snapshot;
		struct frame *frame = &world->frame[pfn];

		if (!frame->returning)
			continue;
		frame->returning = false;
		if (frame->bad && !has_failed(TEST_RETURNED))
			continue;
		if (frame->bad && !cf_snapshot(world->map, pfn, &snapshot) &&
		    snapshot.type == CF_TYPE_RETIRED)
			continue;
		REQUIRE(has_failed(TEST_RETURNED),
			"migrate: the port was not told of %#llx",
			(unsigned long long)pfn);
		frames_offline(world, pfn, pfn + 1, run, 0);
		world->act.moved--;
	}
	if (world->act.failed && world->act.outlook < OUTLOOK_UNSURE)
		world->act.outlook = OUTLOOK_UNSURE;
	if (has_failed(TEST_BARRIER) || has_failed(TEST_RETURNED))
		world->act.again++;
	world->act.undrained = has_failed(TEST_BARRIER) &&
			       test_port.fault_lasts;
}

void act_begin(struct world *world, enum act_kind kind, cf_pfn first,
	       cf_pfn last)
{
	memset(&world->act, 0, sizeof(world->act));
	world->act.kind = kind;
	world->act.first = first;
	world->act.last = last;
	test_port.spins = 0;
}

void act_end(struct world *world)
{
	REQUIRE(!world->act.held,
		"hooks: %u runs isolated, neither migrated nor put back",
		world->act.held);
	REQUIRE(!test_port.sections, "a call left a read section open");
	REQUIRE(!test_port.held_ranks, "a call left a lock held");
	REQUIRE(!test_port.irqs_off, "a call left interrupts off");
	world->act.kind = ACT_NONE;
}

void port_init(struct world *world)
{
	test_port.exposed = exposed;
	test_port.panic = fail_panic;
	test_port.context = world;
}
