/* SPDX-License-Identifier: MIT */
/*
 * The hooks of the test's owners: each judges the call against the model and
 * follows what it does.
 */
#include "ops.h"

/* The run at @pfn, which must be this owner's and of this order. */
static struct frame *require_own(struct owner *owner, cf_pfn pfn,
				 unsigned order, const char *hook)
{
	struct world *world = owner->world;
	struct frame *head;

	REQUIRE(owner->live, "%s: hook of %s, who is gone", hook, owner->name);
	head = head_of(world, pfn);
	REQUIRE(head && pfn_of(world, head) == pfn && head->order == order &&
		head->owner == owner->id,
		"%s: %#llx order %u is no run of %s", hook,
		(unsigned long long)pfn, order, owner->name);
	return head;
}

/* Offline frames that are all alike and this owner's. */
static void require_own_offline(struct owner *owner, cf_pfn pfn,
				unsigned order, const char *hook)
{
	struct world *world = owner->world;
	cf_pfn i;

	for (i = pfn; i < pfn + ((cf_pfn)1 << order); i++) {
		const struct frame *frame = &world->frame[i];

		REQUIRE(i < world->last && frame->type == CF_TYPE_OFFLINE &&
			frame->owner == owner->id &&
			frame->flags & CF_FLAG_MOVABLE,
			"%s: %#llx is not a movable offline frame of %s", hook,
			(unsigned long long)i, owner->name);
		REQUIRE(world->act.kind != ACT_OFFLINE ||
			!(frame->flags & CF_FLAG_SKIPPABLE),
			"%s: called for a skippable frame %#llx", hook,
			(unsigned long long)i);
	}
}

/* What the word of a run says, apart from its references. */
static void require_word(const struct owner *owner, cf_pfn pfn, unsigned order,
			 enum cf_type type, uint32_t refs)
{
	struct cf_snapshot snapshot;
	int err = cf_snapshot(owner->world->map, pfn, &snapshot);

	REQUIRE(!err, "hook: no run at %#llx", (unsigned long long)pfn);
	REQUIRE(snapshot.type == type && snapshot.order == order &&
		snapshot.owner == owner->id && snapshot.refs == refs,
		"hook: word of %#llx is type %d order %u owner %u refs %u",
		(unsigned long long)pfn, (int)snapshot.type, snapshot.order,
		snapshot.owner, snapshot.refs);
}

/* The run a moving call asks about lies where that call works. */
static void require_asked(struct world *world, cf_pfn pfn, unsigned order,
			  const char *hook)
{
	const struct act *act = &world->act;
	struct zone_id zone = { act->node, act->zone };

	REQUIRE(is_moving(world), "%s: hook out of place", hook);
	if (act->kind == ACT_COMPACT)
		REQUIRE(zone_is(world, pfn, zone),
			"%s: %#llx is not in the zone", hook,
			(unsigned long long)pfn);
	else
		REQUIRE(pfn < act->last &&
			pfn + ((cf_pfn)1 << order) > act->first,
			"%s: %#llx is not in the range", hook,
			(unsigned long long)pfn);
}

/* ---- owners ---- */

void nest(struct world *world)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn;

	if (!cf_alloc(world->map, request, &pfn))
		cf_put(world->map, pfn);
}

/* The engine's own reference was the last one of a run it isolated. */
static enum cf_verdict release_dying(struct owner *owner, struct frame *head)
{
	struct world *world = owner->world;
	cf_pfn pfn = pfn_of(world, head);
	bool keep = owner->policy & POLICY_KEEP;

	require_word(owner, pfn, head->order, (enum cf_type)head->type, 0);
	head->refs = 0;
	head->known = 0;
	head->dying = false;
	head->kept = keep;
	if (!keep)
		run_free(world, pfn);
	return keep ? CF_VERDICT_KEEP : CF_VERDICT_FREE;
}

static enum cf_verdict hook_release(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct world *world = owner->world;
	struct frame *head = require_own(owner, pfn, order, "release");

	if (head->dying)
		return release_dying(owner, head);
	REQUIRE(world->act.kind == ACT_RELEASE && pfn >= world->act.first &&
		pfn < world->act.last, "release: hook out of place");
	REQUIRE(head->refs == 1 && !head->told,
		"release: %#llx has references or is told of twice",
		(unsigned long long)pfn);
	require_word(owner, pfn, order, (enum cf_type)head->type, 0);
	require_code("try_get in release", cf_try_get(world->map, pfn),
		     E(CF_EGONE));
	head->refs = 0;
	head->known = 0;
	head->told = true;
	head->kept = owner->policy & POLICY_KEEP;
	if (owner->policy & POLICY_NESTS)
		nest(world);
	return head->kept ? CF_VERDICT_KEEP : CF_VERDICT_FREE;
}

/* Give all references up while the engine holds its own. */
static bool drop_all(struct owner *owner, struct frame *head)
{
	struct world *world = owner->world;
	uint32_t refs = head->refs;

	if (!owner->ops->release || head->type == CF_TYPE_OFFLINE ||
	    refs != head->known || head->pins || refs > 100)
		return false;
	head->dying = true;
	world->act.motion++;
	while (refs--)
		cf_put(world->map, pfn_of(world, head));
	return true;
}

static int hook_isolate(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct world *world = owner->world;
	struct frame *frame = &world->frame[pfn];

	require_asked(world, pfn, order, "isolate");
	if (frame->type == CF_TYPE_OFFLINE) {
		require_own_offline(owner, pfn, order, "isolate");
	} else {
		frame = require_own(owner, pfn, order, "isolate");
		REQUIRE(frame->type == CF_TYPE_FOLIO && frame->refs,
			"isolate: %#llx is not a referenced folio",
			(unsigned long long)pfn);
		require_word(owner, pfn, order, CF_TYPE_FOLIO,
			     frame->refs + 1);
	}
	REQUIRE(!frame->held, "isolate: %#llx is isolated already",
		(unsigned long long)pfn);
	if (owner->policy & POLICY_NESTS)
		nest(world);
	if (owner->policy & POLICY_DROPS && drop_all(owner, frame))
		return 1;
	if (owner->policy & POLICY_NO_ISOLATE) {
		world->act.refused++;
		return 1;
	}
	frame->held = true;
	world->act.held++;
	return 0;
}

static void hook_putback(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct world *world = owner->world;

	REQUIRE(is_moving(world), "putback: hook out of place");
	if (world->frame[pfn].type == CF_TYPE_OFFLINE)
		require_own_offline(owner, pfn, order, "putback");
	else
		require_own(owner, pfn, order, "putback");
	if (!owner->ops->isolate)
		return;
	REQUIRE(world->frame[pfn].held, "putback: %#llx is not isolated",
		(unsigned long long)pfn);
	world->frame[pfn].held = false;
	world->act.held--;
}

/* Where the engine wants to move a run. */
static void require_target(struct world *world, cf_pfn target, unsigned order)
{
	cf_pfn frames = (cf_pfn)1 << order;
	struct zone_id zone = { world->act.node, world->act.zone };
	cf_pfn i;

	REQUIRE(!(target & (frames - 1)) && target < world->last,
		"migrate: target %#llx of order %u",
		(unsigned long long)target, order);
	for (i = target; i < target + frames; i++)
		REQUIRE(is_free(world, i) && !is_isolated(world, i),
			"migrate: target %#llx was not free",
			(unsigned long long)i);
	if (world->act.kind == ACT_COMPACT)
		REQUIRE(!chunk_is_free(world, target) &&
			zone_is(world, target, zone),
			"compact: moved into a free chunk or another zone, "
			"%#llx", (unsigned long long)target);
}

/* Offline frames that were moved away or given up. */
static void frames_return(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	frames_free(world, first, last);
	for (pfn = first; pfn < last; pfn++)
		world->frame[pfn].returning = true;
}

static int migrate_offline(struct owner *owner, cf_pfn source, cf_pfn target,
			   unsigned order)
{
	struct world *world = owner->world;
	cf_pfn frames = (cf_pfn)1 << order;
	struct run run = { CF_TYPE_OFFLINE, owner->id, 0,
			   world->frame[source].tag };
	struct cf_snapshot snapshot;
	uint32_t payload;

	require_own_offline(owner, source, order, "migrate");
	require_word(owner, target, order, CF_TYPE_OFFLINE, 0);
	world->act.moved += frames;
	if (owner->policy & POLICY_GIVE_UP) {
		frames_return(world, source, source + frames);
		return -CF_EGONE;
	}
	require_code("snapshot in migrate",
		     cf_snapshot(world->map, source, &snapshot), OK);
	payload = snapshot.payload;
	require_code("snapshot in migrate",
		     cf_snapshot(world->map, target, &snapshot), OK);
	REQUIRE(snapshot.payload == payload,
		"migrate: target has payload %#x, not %#x", snapshot.payload,
		payload);
	frames_return(world, source, source + frames);
	frames_offline(world, target, target + frames, run, CF_FLAG_MOVABLE);
	return 0;
}

static int migrate_counted(struct owner *owner, cf_pfn source, cf_pfn target,
			   unsigned order)
{
	struct world *world = owner->world;
	struct frame *head = require_own(owner, source, order, "migrate");
	bool can = head->refs == head->known && !head->pins;
	uint32_t known = head->known;
	bool before;
	int err;

	require_word(owner, target, order, CF_TYPE_FOLIO, 0);
	err = cf_freeze(world->map, source, known + 1);
	require_code("freeze in migrate", err, can ? OK : E(CF_EAGAIN));
	if (err)
		return err;
	before = fault_forget();
	err = cf_copy_run(world->map, source, target, order);
	require_code("copy_run", err, has_failed(TEST_FRAME_ADDRESS) ?
		     E(CF_EPORT) : OK);
	fault_remember(before);
	require_stamp(world, source);
	if (err) {
		world->act.failed = true;
		world->act.refused++;
		cf_unfreeze(world->map, source, known + 1);
		return err;
	}
	cf_unfreeze(world->map, target, known);
	run_move(world, source, target);
	require_stamp(world, target);
	world->act.moved += (cf_pfn)1 << order;
	return 0;
}

static int hook_migrate(void *context, cf_pfn source, cf_pfn target,
			unsigned order)
{
	struct owner *owner = context;
	struct world *world = owner->world;
	bool offline = world->frame[source].type == CF_TYPE_OFFLINE;
	bool held = world->frame[source].held;
	int err;

	require_asked(world, source, order, "migrate");
	require_target(world, target, order);
	REQUIRE(held || !owner->ops->isolate,
		"migrate: %#llx is not isolated", (unsigned long long)source);
	if (owner->policy & POLICY_NO_MIGRATE) {
		world->act.refused++;
		return -CF_EBUSY;
	}
	if (owner->policy & POLICY_NESTS)
		nest(world);
	err = offline ? migrate_offline(owner, source, target, order) :
			migrate_counted(owner, source, target, order);
	if (held && (!err || err == -CF_EGONE))
		world->act.held--;
	return err;
}

/* No room for it in one piece: cut a run in two. */
static int hook_split(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct world *world = owner->world;
	struct frame *head;
	struct frame whole;
	struct run run;
	uint32_t known;
	uint8_t flags;
	cf_pfn part;

	require_asked(world, pfn, order, "split");
	/* A balloon cuts nothing. */
	if (world->frame[pfn].type == CF_TYPE_OFFLINE)
		return -CF_EREFUSED;
	head = require_own(owner, pfn, order, "split");
	REQUIRE(order, "split: a single frame %#llx", (unsigned long long)pfn);
	known = head->known;
	if (owner->policy & POLICY_NO_SPLIT || head->refs != known ||
	    head->pins)
		return -CF_EREFUSED;
	require_word(owner, pfn, order, CF_TYPE_FOLIO, known);
	require_code("freeze in split", cf_freeze(world->map, pfn, known), OK);
	require_code("split in split", cf_split(world->map, pfn, order - 1),
		     OK);
	whole = *head;
	run = (struct run){ CF_TYPE_FOLIO, owner->id, known, head->tag };
	flags = head->flags;
	for (part = pfn; part < pfn + ((cf_pfn)1 << order);
	     part += (cf_pfn)1 << (order - 1)) {
		run_make(world, part, order - 1, run);
		if (part == pfn)
			run_keep(world, part, &whole);
		world->frame[part].flags = flags;
		stamp(world, part, order - 1, run.tag);
		cf_unfreeze(world->map, part, known);
	}
	world->act.motion++;
	return 0;
}

static int hook_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct world *world = owner->world;
	struct frame *head = require_own(owner, pfn, order, "dissolve");

	require_asked(world, pfn, order, "dissolve");
	REQUIRE(world->act.kind != ACT_COMPACT,
		"dissolve: compaction asks for what is kept");
	REQUIRE(!head->refs, "dissolve: %#llx has references",
		(unsigned long long)pfn);
	if (owner->policy & POLICY_NESTS)
		nest(world);
	if (!head->kept) {
		world->act.again++;
		return -CF_EAGAIN;
	}
	if (owner->policy & POLICY_NO_DISSOLVE) {
		world->act.refused++;
		return -CF_EREFUSED;
	}
	world->act.dissolved += (cf_pfn)1 << order;
	run_free(world, pfn);
	return 0;
}

/* Is this frame of a block that comes online still to be exposed or kept? */
static bool is_offered(struct world *world, cf_pfn pfn)
{
	struct cf_snapshot snapshot;
	struct frame *frame = &world->frame[pfn];

	/* A bad frame is retired before the hook runs. */
	if (frame->type == CF_TYPE_OFFLINE && frame->bad) {
		require_code("snapshot in online",
			     cf_snapshot(world->map, pfn, &snapshot), OK);
		REQUIRE(snapshot.type == CF_TYPE_RETIRED,
			"online: bad frame %#llx is offered",
			(unsigned long long)pfn);
		frames_free(world, pfn, pfn + 1);
	}
	return frame->head != NO_HEAD && frame->type == CF_TYPE_OFFLINE;
}

/* Expose [first, last) but for what was never offered, or mark it. */
static int online_part(struct owner *owner, cf_pfn first, cf_pfn last,
		       bool expose)
{
	struct world *world = owner->world;
	cf_pfn pfn, next;

	for (pfn = first; pfn < last; pfn = next + (next == pfn)) {
		cf_pfn i;

		for (next = pfn; next < last && is_offered(world, next);)
			next++;
		if (next == pfn)
			continue;
		if (expose) {
			int err = cf_offline_free_range(world->map, owner->id,
							pfn, next);

			require_code("offline_free in online", err,
				     has_failed(TEST_FIRST_EXPOSED) ?
				     E(CF_EPORT) : OK);
			/* All of the block is undone: no need to follow. */
			if (err)
				return err;
			frames_free(world, pfn, next);
		} else if (owner->policy & POLICY_SKIPPABLE) {
			require_code("set_skippable in online",
				     cf_offline_set_skippable(world->map,
							      owner->id, pfn,
							      next, true), OK);
			for (i = pfn; i < next; i++)
				world->frame[i].flags |= CF_FLAG_SKIPPABLE;
		}
	}
	return 0;
}

/* What a driver may do besides: allocate, note what it knows of frames. */
static void online_nests(struct world *world, cf_pfn first)
{
	size_t i;

	nest(world);
	for (i = 0; i < SIDES; i++) {
		if (world->side[i].added)
			(void)side_write(world, &world->side[i], first, 7);
	}
}

static int hook_online(void *context, cf_pfn first, cf_pfn last)
{
	struct owner *owner = context;
	struct world *world = owner->world;
	cf_pfn part = owner->policy & POLICY_FINE ? 32 : CF_CHUNK_FRAMES;
	cf_pfn pfn, next;
	int err = 0;

	REQUIRE(world->act.kind == ACT_ONLINE && first >= world->act.first &&
		last <= world->act.last && first < last,
		"online: hook out of place");
	for (pfn = first; pfn < last; pfn += world->block_frames) {
		struct block *block = block_of(world, pfn);

		REQUIRE(block->state == CF_BLOCK_GOING_ONLINE &&
			block->range_owner == owner->id && !block->asked,
			"online: hook for block %#llx",
			(unsigned long long)pfn);
		block->asked = true;
	}
	if (owner->policy & POLICY_NESTS)
		online_nests(world, first);
	for (pfn = first; !err && pfn < last; pfn = next) {
		uint32_t bit = POLICY_PATTERN_SHIFT + (pfn / part) % 8;

		next = (pfn / part + 1) * part;
		err = online_part(owner, pfn, next, owner->policy >> bit & 1);
	}
	if (!err && !(owner->policy & POLICY_NO_ONLINE))
		return 0;
	world->act.refused++;
	return 1;
}

const char hook_description[] = "a run of the test";

static const char *hook_describe(void *context, cf_pfn pfn)
{
	(void)context;
	(void)pfn;
	return hook_description;
}

static const struct cf_owner_ops plain_ops = { 0 };

static const struct cf_owner_ops mover_ops = {
	.isolate = hook_isolate,
	.migrate = hook_migrate,
	.putback = hook_putback,
};

static const struct cf_owner_ops keeper_ops = {
	.release = hook_release,
	.dissolve = hook_dissolve,
};

static const struct cf_owner_ops memory_ops = {
	.isolate = hook_isolate,
	.migrate = hook_migrate,
	.putback = hook_putback,
	.online = hook_online,
};

static const struct cf_owner_ops full_ops = {
	.release = hook_release,
	.isolate = hook_isolate,
	.migrate = hook_migrate,
	.putback = hook_putback,
	.split = hook_split,
	.dissolve = hook_dissolve,
	.online = hook_online,
	.describe = hook_describe,
};

static const struct cf_owner_ops bare_ops = {
	.release = hook_release,
	.migrate = hook_migrate,
};

static const struct cf_owner_ops gaps_ops = {
	.online = hook_online,
};

static const struct cf_owner_ops cutter_ops = {
	.migrate = hook_migrate,
	.split = hook_split,
	.dissolve = hook_dissolve,
	.putback = hook_putback,
};

/* Two of what there are many of in a machine. */
const struct owner_kind owner_kinds[OWNERS] = {
	{ "plain", &plain_ops, 0 },
	{ "mover", &mover_ops, 0 },
	{ "keeper", &keeper_ops, 0 },
	{ "memory", &memory_ops, 0 },
	{ "full", &full_ops, 0 },
	{ "bare", &bare_ops, 0 },
	{ "balloon", &mover_ops, 0 },
	{ "refuser", &mover_ops, POLICY_NO_ISOLATE },
	{ "pool", &full_ops, POLICY_KEEP },
	{ "plugged", &memory_ops,
	  POLICY_SKIPPABLE | 0x35 << POLICY_PATTERN_SHIFT },
	{ "gaps", &gaps_ops, POLICY_FINE | 0xe7 << POLICY_PATTERN_SHIFT },
	{ "cutter", &cutter_ops, 0 },
};

void owners_init(struct world *world)
{
	uint32_t i;

	for (i = 0; i < OWNERS; i++) {
		struct owner *owner = &world->owner[i];

		owner->world = world;
		owner->name = owner_kinds[i].name;
		owner->ops = owner_kinds[i].ops;
		owner->policy = owner_kinds[i].policy;
		owner->id = CF_OWNERS_MAX - 100 - i;
	}
}
