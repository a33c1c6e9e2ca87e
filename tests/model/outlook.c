/* SPDX-License-Identifier: MIT */
/*
 * What stands in the way of taking memory away: foretold before a call, and
 * held against the report after a refusal.
 */
#include <string.h>

#include "model.h"

/* No room for one more reference: the engine cannot hold it still. */
bool any_at_limit(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		const struct frame *head = head_of(world, pfn);

		if (head && head->refs >= CF_REFS_MAX)
			return true;
	}
	return false;
}

/* A counted run with references. */
static enum outlook referenced_outlook(struct world *world,
				       const struct frame *head)
{
	const struct owner *owner = owner_by_id(world, head->owner);

	if (head->type != CF_TYPE_FOLIO || !owner || !owner->ops->migrate ||
	    head->refs != head->known || head->pins)
		return OUTLOOK_BLOCKED;
	if (owner->policy & POLICY_DROPS && owner->ops->release &&
	    owner->ops->isolate)
		return OUTLOOK_UNSURE;
	if (owner->policy & POLICY_NO_MIGRATE ||
	    (owner->ops->isolate && owner->policy & POLICY_NO_ISOLATE))
		return OUTLOOK_BLOCKED;
	if (head->flags & CF_FLAG_POISON || head->refs >= CF_REFS_MAX)
		return OUTLOOK_UNSURE;
	return OUTLOOK_MOVABLE;
}

static enum outlook frozen_outlook(struct world *world,
				   const struct frame *head)
{
	const struct owner *owner = owner_by_id(world, head->owner);

	if (!owner || !owner->ops->dissolve || !head->kept ||
	    owner->policy & POLICY_NO_DISSOLVE)
		return OUTLOOK_BLOCKED;
	return head->type == CF_TYPE_FOLIO ? OUTLOOK_MOVABLE : OUTLOOK_UNSURE;
}

static enum outlook offline_outlook(struct world *world,
				    const struct frame *frame)
{
	const struct owner *owner = owner_by_id(world, frame->owner);

	if (!(frame->flags & CF_FLAG_MOVABLE) || !owner ||
	    owner->policy & POLICY_NO_MIGRATE)
		return OUTLOOK_BLOCKED;
	if (owner->ops->isolate && owner->policy & POLICY_NO_ISOLATE)
		return OUTLOOK_BLOCKED;
	return frame->bad ? OUTLOOK_UNSURE : OUTLOOK_MOVABLE;
}

static enum outlook frame_outlook(struct world *world, cf_pfn pfn,
				  enum act_kind kind)
{
	const struct frame *frame = &world->frame[pfn];
	const struct frame *head;

	if (frame->head == NO_HEAD)
		return OUTLOOK_CLEAR;
	head = &world->frame[frame->head];
	if (head->type == CF_TYPE_RETIRED || head->type == CF_TYPE_RESERVED)
		return kind == ACT_OFFLINE ? OUTLOOK_CLEAR : OUTLOOK_BLOCKED;
	if (head->type == CF_TYPE_OFFLINE && kind == ACT_OFFLINE &&
	    head->flags & CF_FLAG_SKIPPABLE)
		return OUTLOOK_CLEAR;
	if (head->type == CF_TYPE_OFFLINE)
		return offline_outlook(world, head);
	return head->refs ? referenced_outlook(world, head) :
			    frozen_outlook(world, head);
}

enum outlook outlook(struct world *world, cf_pfn first, cf_pfn last,
		     enum act_kind kind)
{
	enum outlook worst = OUTLOOK_CLEAR;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		enum outlook one = frame_outlook(world, pfn, kind);

		if (one > worst)
			worst = one;
	}
	return worst;
}

/* ---- reports ---- */

bool any_marks(const struct world *world)
{
	uint32_t i;

	for (i = 0; i < NODES_MAX; i++) {
		if (world->marks[i][CF_ZONE_NORMAL].min ||
		    world->marks[i][CF_ZONE_MOVABLE].min)
			return true;
	}
	return false;
}

/* Does the model agree that this head is in the way for this reason? */
static bool reason_holds(struct world *world, const struct frame *head,
			 const struct cf_report *report)
{
	const struct owner *owner = owner_by_id(world, head->owner);
	bool allocated = is_allocated(head);
	bool marks = any_marks(world);
	struct zone_id zone = { block_of(world, report->pfn)->node,
				block_of(world, report->pfn)->kind };

	switch (report->reason) {
	case CF_REASON_UNMOVABLE:
		return !allocated ? head->type != CF_TYPE_OFFLINE :
		       head->type != CF_TYPE_FOLIO || !owner ||
		       !owner->ops->migrate;
	case CF_REASON_PINNED:
		return head->pins;
	case CF_REASON_REFERENCED:
		return head->refs > head->known || head->refs >= CF_REFS_MAX;
	case CF_REASON_FROZEN:
		return allocated && !head->refs;
	case CF_REASON_OFFLINE:
		return head->type == CF_TYPE_OFFLINE;
	case CF_REASON_ORPHAN:
		return head->owner == CF_OWNER_ORPHAN;
	case CF_REASON_OWNER:
		return world->act.refused;
	case CF_REASON_NO_TARGET:
		return marks || !zone_fits(world, zone, report->order, FIT_ANY);
	case CF_REASON_PORT:
	case CF_REASON_CACHE:
		return world->act.failed;
	case CF_REASON_TRANSIT:
		return world->act.again || world->act.motion;
	default:
		return false;
	}
}

/* Who it was, by name, and what they say of it. */
static void require_names(struct world *world, const struct cf_report *report)
{
	const struct owner *owner = owner_by_id(world, report->owner);
	bool describes = owner && owner->ops->describe;

	REQUIRE(!owner || (report->who && !strcmp(report->who, owner->name)),
		"report: %s is called %s", owner->name,
		report->who ? report->who : "nothing");
	REQUIRE(!describes == !report->detail &&
		(!describes || !strcmp(report->detail, hook_description)),
		"report: detail of %#llx is %s",
		(unsigned long long)report->pfn,
		report->detail ? report->detail : "missing");
}

/* The run a report names lies, in part, in the range and is told rightly. */
static void require_run(struct world *world, cf_pfn first, cf_pfn last,
			const struct cf_report *report)
{
	const struct frame *head;
	cf_pfn end = report->pfn + ((cf_pfn)1 << (report->order & 31));

	REQUIRE(report->pfn < world->last && report->pfn < last && end > first,
		"report: %#llx order %u is not in the way",
		(unsigned long long)report->pfn, report->order);
	head = &world->frame[report->pfn];
	REQUIRE(head->head == report->pfn,
		"report: no run starts at %#llx, reason %s",
		(unsigned long long)report->pfn,
		cf_reason_name(report->reason));
	/* What the port did not take back was another's when it was tried. */
	REQUIRE(report->type == head->type &&
		(report->owner == head->owner ||
		 report->reason == CF_REASON_PORT),
		"report: %#llx is %s of %u, reported as %s of %u",
		(unsigned long long)report->pfn,
		cf_type_name((enum cf_type)head->type), head->owner,
		cf_type_name(report->type), report->owner);
	if (is_allocated(head))
		REQUIRE(report->order == head->order,
			"report: order of %#llx is %u, reported as %u",
			(unsigned long long)report->pfn, head->order,
			report->order);
	REQUIRE(report->pins == head->pins &&
		report->refs - head->refs <= 1,
		"report: %#llx has %u references, %u pins, reported %u, %u",
		(unsigned long long)report->pfn, head->refs, head->pins,
		report->refs, report->pins);
	REQUIRE(reason_holds(world, head, report),
		"report: %s does not hold for %s at %#llx",
		cf_reason_name(report->reason), cf_type_name(report->type),
		(unsigned long long)report->pfn);
}

/*
 * Every frame that still is in the way of an offline operation is counted for
 * one reason, whole runs at a time. Runs of frames that stand for themselves
 * end with their block, as the range does.
 */
static void require_counts(struct world *world, cf_pfn first, cf_pfn last,
			   const struct cf_report *report)
{
	uint64_t counted = 0, there = 0;
	cf_pfn pfn;
	int i;

	for (i = 0; i < CF_REASON_COUNT; i++)
		counted += report->frames[i];
	for (pfn = first; pfn < last; pfn++) {
		const struct frame *head = head_of(world, pfn);

		if (frame_outlook(world, pfn, ACT_OFFLINE) == OUTLOOK_CLEAR)
			continue;
		REQUIRE(there || (report->pfn <= pfn && pfn < report->pfn +
				  ((cf_pfn)1 << (report->order & 31))),
			"report: names %#llx, but %#llx is in the way",
			(unsigned long long)report->pfn,
			(unsigned long long)pfn);
		/* A run that began before is counted whole, and once. */
		if (!head)
			there++;
		else if (pfn_of(world, head) == pfn || pfn == first)
			there += (uint64_t)1 << head->order;
	}
	REQUIRE(counted == there, "report: %llu frames counted, %llu there",
		(unsigned long long)counted, (unsigned long long)there);
}

void require_report(struct world *world, cf_pfn first, cf_pfn last,
		    const struct cf_report *report)
{
	if (!report)
		return;
	REQUIRE(report->reason > CF_REASON_NONE &&
		report->reason < CF_REASON_COUNT, "report: no reason given");
	REQUIRE(report->frames[report->reason],
		"report: no frames counted for %s",
		cf_reason_name(report->reason));
	if (report->reason == CF_REASON_OPERATION) {
		REQUIRE(is_isolated(world, report->pfn) && report->operation,
			"report: no operation holds %#llx",
			(unsigned long long)report->pfn);
		return;
	}
	if (world->act.outlook == OUTLOOK_MOVABLE)
		REQUIRE(report->reason == CF_REASON_NO_TARGET ||
			(report->reason == CF_REASON_TRANSIT &&
			 (world->act.again || world->act.motion)),
			"report: %s for what agrees to move",
			cf_reason_name(report->reason));
	/* A run dropped while it was isolated may be the one that was told. */
	if (world->act.motion)
		return;
	require_run(world, first, last, report);
	require_names(world, report);
	if (world->act.kind == ACT_OFFLINE && !world->act.again &&
	    !world->act.failed)
		require_counts(world, first, last, report);
}
