/* SPDX-License-Identifier: MIT */
/*
 * Operations on the whole: retiring, compaction, caches, watermarks, which
 * CPU runs, and calls that must be refused whatever the state.
 */
#include "ops.h"

/* ---- retiring ---- */

#define POISON_DEFAULT	64

static uint32_t retire_codes(struct world *world, cf_pfn pfn)
{
	uint32_t codes = 0;
	uint32_t room = world->setup.poison_max ? world->setup.poison_max :
			POISON_DEFAULT;

	if (pfn >= world->last)
		return E(CF_EINVAL);
	if (is_isolated(world, pfn))
		codes |= E(CF_EBUSY);
	if (world->frame[pfn].bad)
		return OK | codes;
	if (world->bad >= room)
		codes |= E(CF_ELIMIT);
	return codes ? codes : OK;
}

static bool apply_retire(struct world *world, const struct op *op)
{
	cf_pfn pfn = pfn_arg(op->arg[0]);
	uint32_t codes = retire_codes(world, pfn);
	enum cf_retire_state state = CF_RETIRE_NONE, want;
	struct frame *frame, *head;
	int err = cf_retire(world->map, pfn, &state);

	if (has_failed(TEST_BARRIER))
		codes = (codes & ~OK) | E(CF_EAGAIN);
	require_code("retire", err, codes);
	if (err)
		return true;
	frame = &world->frame[pfn];
	world->bad += !frame->bad;
	frame->bad = true;
	head = head_of(world, pfn);
	want = CF_RETIRE_PENDING;
	if (is_free(world, pfn)) {
		frames_free(world, pfn, pfn + 1);
		want = CF_RETIRE_DONE;
	} else if (head) {
		head->flags |= CF_FLAG_POISON;
	} else if (frame->head != NO_HEAD && frame->type == CF_TYPE_RETIRED) {
		want = CF_RETIRE_DONE;
	}
	REQUIRE(state == want, "retire: state of %#llx is %d, not %d",
		(unsigned long long)pfn, (int)state, (int)want);
	return true;
}

static bool draw_retire(struct world *world, struct op *op)
{
	uint32_t tries = random_chance(20) ? 2000 : 1;

	/* Now and then one that is known already, if it is soon found. */
	do {
		op->arg[0] = random_pfn(world);
	} while (--tries && op->arg[0] < world->last &&
		 !world->frame[op->arg[0]].bad && !random_spent());
	return true;
}

/* ---- compaction ---- */

static uint64_t count_free_chunks(struct world *world, struct zone_id zone)
{
	uint64_t count = 0;
	cf_pfn pfn;

	for (pfn = 0; pfn < world->last; pfn += CF_CHUNK_FRAMES) {
		if (zone_is(world, pfn, zone) && chunk_is_free(world, pfn))
			count++;
	}
	return count;
}

/* Could any fool empty this chunk, one frame at a time? */
static bool can_empty(struct world *world, cf_pfn chunk, struct zone_id zone)
{
	uint64_t used = 0, room = 0;
	cf_pfn pfn;

	if (!zone_is(world, chunk, zone) || is_isolated(world, chunk) ||
	    chunk_is_free(world, chunk))
		return false;
	for (pfn = chunk; pfn < chunk + CF_CHUNK_FRAMES; pfn++) {
		const struct frame *frame = &world->frame[pfn];

		if (frame->head == NO_HEAD)
			continue;
		if (frame->type != CF_TYPE_FOLIO || frame->order ||
		    !frame->refs ||
		    outlook(world, pfn, pfn + 1, ACT_MOVE) != OUTLOOK_MOVABLE)
			return false;
		used++;
	}
	for (pfn = 0; pfn < world->last; pfn++) {
		if (pfn / CF_CHUNK_FRAMES != chunk / CF_CHUNK_FRAMES &&
		    is_free(world, pfn) && zone_is(world, pfn, zone) &&
		    !is_isolated(world, pfn) && !chunk_is_free(world, pfn))
			room++;
	}
	/* The engine looks at partly free chunks only. */
	return room >= used && used < CF_CHUNK_FRAMES;
}

static bool can_compact(struct world *world, struct zone_id zone)
{
	cf_pfn pfn;

	if (world->marks[zone.node][zone.kind].min)
		return false;
	for (pfn = 0; pfn < world->last; pfn += CF_CHUNK_FRAMES) {
		if (can_empty(world, pfn, zone))
			return true;
	}
	return false;
}

static bool apply_compact(struct world *world, const struct op *op)
{
	struct zone_id zone = { op->arg[0], (enum cf_zone_kind)op->arg[1] };
	struct cf_compaction done = { 0 };
	uint64_t before, freed, cached;
	bool can;
	int err;

	if (zone.node >= world->setup.nodes || zone.kind >= CF_ZONE_DEVICE) {
		err = cf_compact(world->map, zone.node, zone.kind, 1, &done);
		require_code("compact", err, zone.kind == CF_ZONE_DEVICE ?
			     E(CF_EINVAL) | E(CF_ENOMEM) : E(CF_EINVAL));
		return true;
	}
	before = count_free_chunks(world, zone);
	cached = cached_now(world);
	can = op->arg[2] && can_compact(world, zone);
	act_begin(world, ACT_COMPACT, 0, world->last);
	world->act.node = zone.node;
	world->act.zone = zone.kind;
	err = cf_compact(world->map, zone.node, zone.kind, op->arg[2], &done);
	act_settle(world);
	if (world->act.failed)
		require_code("compact", err, OK | E(CF_ENOMEM) |
			     (has_failed(TEST_BARRIER) ? E(CF_EAGAIN) : 0));
	else
		require_code("compact", err, can ? OK : OK | E(CF_ENOMEM));
	freed = count_free_chunks(world, zone) - before;
	/* Draining a cache may have made a chunk free, too. */
	REQUIRE(done.chunks_freed >= freed &&
		done.chunks_freed <= freed + cached &&
		!err == !!done.chunks_freed,
		"compact: error %d, says %llu chunks freed, were %llu", err,
		(unsigned long long)done.chunks_freed,
		(unsigned long long)freed);
	REQUIRE(done.frames_moved == world->act.moved,
		"compact: says %llu frames moved, were %llu",
		(unsigned long long)done.frames_moved,
		(unsigned long long)world->act.moved);
	act_end(world);
	return true;
}

static bool draw_compact(struct world *world, struct op *op)
{
	uint32_t tries;

	op->arg[2] = 1 + random_below(4);
	/* A zone that is worth it, if one is soon found. */
	for (tries = 0; tries < 4; tries++) {
		op->arg[0] = random_below(world->setup.nodes);
		op->arg[1] = random_below(2);
		if (can_compact(world, (struct zone_id){ op->arg[0],
				(enum cf_zone_kind)op->arg[1] }))
			break;
	}
	if (random_chance(5))
		op->arg[0] = world->setup.nodes;
	if (random_chance(5))
		op->arg[1] = CF_ZONE_DEVICE + random_below(2);
	return true;
}

/* ---- caches and CPUs ---- */

static bool apply_drain(struct world *world, const struct op *op)
{
	uint64_t cached;
	int err;

	(void)op;
	err = cf_drain(world->map);
	require_code("drain", err, has_failed(TEST_BARRIER) ?
		     E(CF_EAGAIN) : OK);
	if (err)
		return true;
	cached = cached_now(world);
	REQUIRE(!cached, "drain: %llu frames stayed in caches",
		(unsigned long long)cached);
	return true;
}

static bool apply_drain_cpu(struct world *world, const struct op *op)
{
	(void)op;
	cf_drain_cpu(world->map);
	return true;
}

static bool draw_plain(struct world *world, struct op *op)
{
	(void)world;
	(void)op;
	return true;
}

static bool apply_cpu(struct world *world, const struct op *op)
{
	test_port.cpu = op->arg[0] < world->setup.cpus ? op->arg[0] :
			CF_CPU_NONE;
	return true;
}

static bool draw_cpu(struct world *world, struct op *op)
{
	op->arg[0] = random_below(world->setup.cpus + 1);
	return true;
}

/* ---- watermarks ---- */

static bool apply_marks(struct world *world, const struct op *op)
{
	uint32_t node = op->arg[0];
	enum cf_zone_kind kind = (enum cf_zone_kind)op->arg[1];
	struct cf_watermarks marks = { op->arg[2], op->arg[3], op->arg[4] };
	bool wrong = node >= world->setup.nodes || kind >= CF_ZONE_COUNT ||
		     marks.min > marks.low || marks.low > marks.high;
	uint32_t codes = wrong ? E(CF_EINVAL) : OK;
	int err;

	if (kind == CF_ZONE_DEVICE)
		codes |= E(CF_EINVAL);
	err = cf_zone_set_watermarks(world->map, node, kind, marks);
	require_code("zone_set_watermarks", err, codes);
	if (!err)
		world->marks[node][kind] = marks;
	return true;
}

static bool draw_marks(struct world *world, struct op *op)
{
	op->arg[0] = random_below(world->setup.nodes);
	op->arg[1] = random_below(2);
	if (random_chance(60)) {
		op->arg[2] = random_below(600);
		op->arg[3] = op->arg[2] + random_below(100);
		op->arg[4] = op->arg[3] + random_below(100);
	}
	if (random_chance(10))
		op->arg[random_below(3)] = 700;
	return true;
}

/* ---- refused in any state ---- */

static bool apply_destroy(struct world *world, const struct op *op)
{
	uint32_t i;

	(void)op;
	for (i = 0; i < world->setup.blocks; i++) {
		if (world->block[i].state != CF_BLOCK_ABSENT)
			break;
	}
	if (i == world->setup.blocks)
		return false;
	require_code("map_destroy", cf_map_destroy(world->map), E(CF_EBUSY));
	return true;
}

const struct op_type misc_ops[] = {
	{ "retire", { { "frame", ARG_HEX } }, 4, draw_retire, apply_retire },
	{ "compact", { { "node", ARG_NUMBER }, { "zone", ARG_ZONE },
		       { "chunks", ARG_NUMBER } }, 6, draw_compact,
	  apply_compact },
	{ "drain", { { NULL, ARG_NUMBER } }, 6, draw_plain, apply_drain },
	{ "drain_cpu", { { NULL, ARG_NUMBER } }, 3, draw_plain,
	  apply_drain_cpu },
	{ "cpu", { { "cpu", ARG_NUMBER } }, 8, draw_cpu, apply_cpu },
	{ "marks", { { "node", ARG_NUMBER }, { "zone", ARG_ZONE },
		     { "min", ARG_NUMBER }, { "low", ARG_NUMBER },
		     { "high", ARG_NUMBER } }, 2, draw_marks, apply_marks },
	{ "destroy", { { NULL, ARG_NUMBER } }, 1, draw_plain, apply_destroy },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
