/* SPDX-License-Identifier: MIT */
/*
 * Operations on blocks: add, remove, adopt, online.
 */
#include <stdlib.h>
#include <string.h>

#include "ops.h"

/* Ranges of blocks: arg[0] first block, arg[1] count, arg[2] skew in frames. */
cf_pfn blocks_first(struct world *world, const struct op *op)
{
	return op->arg[0] * world->block_frames + op->arg[2];
}

cf_pfn blocks_last(struct world *world, const struct op *op)
{
	return (cf_pfn)(op->arg[0] + op->arg[1]) * world->block_frames;
}

bool blocks_wrong(struct world *world, cf_pfn first, cf_pfn last)
{
	return first >= last || first % world->block_frames ||
	       last % world->block_frames || last > world->last;
}

/* Blocks of the range that are in one of the states of a set. */
uint32_t count_states(struct world *world, cf_pfn first, cf_pfn last,
			     uint32_t states)
{
	uint32_t count = 0;
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last;
	     pfn += world->block_frames)
		count += states >> block_of(world, pfn)->state & 1;
	return count;
}

/* A block in one of the states, and some of its like behind it. */
bool draw_blocks(struct world *world, struct op *op, uint32_t states)
{
	uint32_t blocks = world->setup.blocks;
	uint32_t tries;
	bool all;

	for (tries = 0; tries < 2 * blocks; tries++) {
		op->arg[0] = random_below(blocks);
		if (states >> world->block[op->arg[0]].state & 1)
			break;
	}
	if (tries == 2 * blocks && random_chance(95))
		return false;
	op->arg[1] = 1;
	all = random_chance(20);
	while (all && op->arg[0] &&
	       states >> world->block[op->arg[0] - 1].state & 1)
		op->arg[0]--;
	while ((all || random_chance(40)) && op->arg[0] + op->arg[1] < blocks &&
	       states >> world->block[op->arg[0] + op->arg[1]].state & 1)
		op->arg[1]++;
	if (random_chance(2))
		op->arg[1] = random_below(blocks + 3);
	if (random_chance(2))
		op->arg[2] = random_below((uint32_t)world->block_frames);
	return true;
}

static bool range_owner_wrong(struct world *world, uint32_t id)
{
	return id && !owner_by_id(world, id);
}

/* ---- add and remove ---- */

#define META_NO_MEMORY	3	/* CALLER, and no memory given */

static void follow_add(struct world *world, cf_pfn first, cf_pfn last,
		       const struct cf_block_config *config)
{
	cf_pfn pfn;

	world->groups++;
	for (pfn = first; pfn < last; pfn += world->block_frames) {
		struct block *block = block_of(world, pfn);

		memset(block, 0, sizeof(*block));
		block->state = CF_BLOCK_OFFLINE;
		block->node = config->node;
		block->range_owner = config->range_owner;
		block->meta = (uint8_t)config->meta;
		block->group = world->groups;
		block->memory = pfn == first ? config->memory : NULL;
	}
}

/* Metadata from the caller, with any contents. */
static void *meta_memory(struct world *world, uint32_t blocks)
{
	size_t bytes = cf_block_meta_bytes(world->map, blocks);
	size_t rounded = (bytes + 4095) & ~(size_t)4095;
	void *memory = aligned_alloc(4096, rounded);

	if (memory)
		memset(memory, 0x5a, rounded);
	return memory;
}

static bool apply_add(struct world *world, const struct op *op)
{
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	struct cf_block_config config = {
		.meta = (enum cf_meta)op->arg[3],
		.node = op->arg[4],
		.range_owner = owner_id(world, op->arg[5]),
	};
	uint32_t codes = 0;
	int err;

	if (blocks_wrong(world, first, last) ||
	    config.node >= world->setup.nodes ||
	    range_owner_wrong(world, config.range_owner))
		codes |= E(CF_EINVAL);
	if (op->arg[3] == META_NO_MEMORY) {
		config.meta = CF_META_CALLER;
		codes |= E(CF_EINVAL);
	} else if (config.meta == CF_META_CALLER) {
		config.memory = meta_memory(world, op->arg[1]);
	}
	if (count_states(world, first, last, ~STATE(ABSENT)))
		codes |= E(CF_EBUSY);
	err = cf_block_add(world->map, first, last, &config);
	if (any_failed()) {
		REQUIRE(!codes && (config.meta == CF_META_PORT ||
				   config.meta == CF_META_SELF),
			"block_add: asks the port for a wrong request");
		codes = E(CF_ENOMEM);
	}
	require_code("block_add", err, codes ? codes : OK);
	if (err)
		free(config.memory);
	else
		follow_add(world, first, last, &config);
	return true;
}

/* Nodes and zones lie as in a machine that was not drawn at random. */
static bool is_orderly(const struct world *world)
{
	return world->setup.fill < 100 && random_chance(90);
}

static bool any_hole(const struct world *world, const struct op *op)
{
	uint32_t i;

	for (i = op->arg[0]; i < op->arg[0] + op->arg[1] && i < 32; i++) {
		if (world->setup.holes >> i & 1)
			return true;
	}
	return false;
}

static bool draw_add(struct world *world, struct op *op)
{
	if (!draw_blocks(world, op, STATE(ABSENT)) || any_hole(world, op))
		return false;
	op->arg[3] = random_below(3);
	op->arg[4] = is_orderly(world) ?
		     op->arg[0] * world->setup.nodes / world->setup.blocks :
		     random_below(world->setup.nodes);
	if (random_chance(60))
		op->arg[5] = random_live_owner(world);
	if (random_chance(2))
		op->arg[3] = META_NO_MEMORY;
	if (random_chance(2))
		op->arg[4] = world->setup.nodes + random_below(3);
	if (random_chance(2))
		op->arg[5] = ARG_OWNER_ORPHAN + random_below(3);
	return true;
}

/* Does the range cut a group? *ret_hard: one whose metadata is one piece. */
static bool cuts_group(struct world *world, cf_pfn first, cf_pfn last,
		       bool *ret_hard)
{
	bool cuts = false;
	uint32_t i, other;

	*ret_hard = false;
	for (i = (uint32_t)(first / world->block_frames);
	     i < last / world->block_frames; i++) {
		for (other = 0; other < world->setup.blocks; other++) {
			cf_pfn pfn = other * world->block_frames;

			if ((pfn >= first && pfn < last) ||
			    world->block[other].state == CF_BLOCK_ABSENT ||
			    world->block[other].group != world->block[i].group)
				continue;
			cuts = true;
			*ret_hard |= world->block[i].meta != CF_META_SELF;
		}
	}
	return cuts;
}

/* Side tables give up what they hold for a block. */
static void side_forget(struct world *world, cf_pfn first)
{
	size_t i;

	for (i = 0; i < SIDES; i++) {
		struct side *side = &world->side[i];

		side->leaf[first / world->block_frames] = false;
		memset(side->value + first, 0, world->block_frames);
	}
}

static void follow_remove(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += world->block_frames) {
		struct block *block = block_of(world, pfn);

		side_forget(world, pfn);
		/* Ours again: whoever still reads it is caught. */
		free(block->memory);
		memset(block, 0, sizeof(*block));
	}
}

static bool apply_remove(struct world *world, const struct op *op)
{
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	uint32_t codes = 0;
	bool hard = false;
	int err;

	if (blocks_wrong(world, first, last)) {
		codes = E(CF_EINVAL);
	} else {
		if (count_states(world, first, last, STATE(ABSENT)))
			codes |= E(CF_EGONE);
		if (count_states(world, first, last, STATE(ONLINE) |
				 STATE(GOING_OFFLINE)))
			codes |= E(CF_EBUSY);
		if (cuts_group(world, first, last, &hard))
			codes |= E(CF_EINVAL) | (hard || codes ? 0 : OK);
	}
	err = cf_block_remove(world->map, first, last);
	require_code("block_remove", err, codes ? codes : OK);
	if (!err)
		follow_remove(world, first, last);
	return true;
}

/* Mostly whole groups. */
static bool draw_remove(struct world *world, struct op *op)
{
	uint32_t group, first;

	if (!draw_blocks(world, op, STATE(OFFLINE)))
		return false;
	if (random_chance(15))
		return true;
	first = op->arg[0];
	group = world->block[first].group;
	while (first && world->block[first - 1].state != CF_BLOCK_ABSENT &&
	       world->block[first - 1].group == group)
		first--;
	op->arg[0] = first;
	op->arg[1] = 0;
	while (first < world->setup.blocks &&
	       world->block[first].state != CF_BLOCK_ABSENT &&
	       world->block[first].group == group) {
		first++;
		op->arg[1]++;
	}
	return true;
}

/* Frames only the present range owner can restore, who is not @id. */
static bool any_anothers(struct world *world, cf_pfn first, cf_pfn last,
			 uint32_t id)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		if (world->frame[pfn].head != NO_HEAD &&
		    world->frame[pfn].flags & CF_FLAG_SKIPPABLE &&
		    block_of(world, pfn)->range_owner != id)
			return true;
	}
	return false;
}

static bool apply_adopt(struct world *world, const struct op *op)
{
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	uint32_t id = owner_id(world, op->arg[3]);
	uint32_t codes = 0;
	cf_pfn pfn;
	int err;

	if (blocks_wrong(world, first, last) || range_owner_wrong(world, id))
		codes |= E(CF_EINVAL);
	if (count_states(world, first, last, STATE(ABSENT)))
		codes |= E(CF_EGONE);
	if (any_anothers(world, first, last, id))
		codes |= E(CF_EREFUSED);
	err = cf_block_adopt(world->map, first, last, id);
	require_code("block_adopt", err, codes ? codes : OK);
	for (pfn = first; !err && pfn < last; pfn += world->block_frames) {
		block_of(world, pfn)->range_owner = id;
		block_of(world, pfn)->orphan = false;
	}
	return true;
}

static bool draw_adopt(struct world *world, struct op *op)
{
	if (!draw_blocks(world, op, STATE(OFFLINE) | STATE(ONLINE)))
		return false;
	op->arg[3] = random_owner(world);
	return true;
}

/* ---- online ---- */

static void begin_online(struct world *world, cf_pfn first, cf_pfn last,
			 uint32_t tag)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += world->block_frames) {
		struct block *block = block_of(world, pfn);
		struct run run = { CF_TYPE_OFFLINE, block->range_owner, 0,
				   tag };
		cf_pfn i;

		block->state = CF_BLOCK_GOING_ONLINE;
		block->asked = false;
		frames_offline(world, pfn, pfn + world->block_frames, run,
			       CF_FLAG_NEVER_ONLINED);
		if (block->meta != CF_META_SELF)
			continue;
		for (i = pfn; i < pfn + world->self_frames; i++) {
			world->frame[i].type = CF_TYPE_RESERVED;
			world->frame[i].flags = CF_FLAG_SELF;
			world->frame[i].owner = 0;
		}
	}
}

static void undo_online(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	frames_clear(world, first, last);
	for (pfn = first; pfn < last; pfn += world->block_frames)
		block_of(world, pfn)->state = CF_BLOCK_OFFLINE;
}

/* Without a hook everything is exposed. */
static void expose_block(struct world *world, cf_pfn first)
{
	cf_pfn pfn;

	for (pfn = first; pfn < first + world->block_frames; pfn++) {
		struct frame *frame = &world->frame[pfn];

		if (frame->head == NO_HEAD || frame->type != CF_TYPE_OFFLINE)
			continue;
		REQUIRE(frame->exposed || frame->bad,
			"online: the port was not told of %#llx",
			(unsigned long long)pfn);
		frames_free(world, pfn, pfn + 1);
	}
}

static void finish_online(struct world *world, cf_pfn first, cf_pfn last,
			  enum cf_zone_kind kind)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += world->block_frames) {
		struct block *block = block_of(world, pfn);
		const struct owner *owner = owner_by_id(world,
							block->range_owner);

		if (owner && owner->ops->online)
			REQUIRE(block->asked,
				"online: the hook did not run for %#llx",
				(unsigned long long)pfn);
		else
			expose_block(world, pfn);
		block->state = CF_BLOCK_ONLINE;
		block->kind = kind;
	}
}

static bool any_orphan(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += world->block_frames) {
		if (block_of(world, pfn)->orphan)
			return true;
	}
	return false;
}

void require_refusal(struct world *world, enum cf_event event,
			    const struct cf_report *report)
{
	if (!report)
		return;
	if (is_vetoed(world, event) && report->reason == CF_REASON_VETO) {
		REQUIRE(report->who, "report: no name of the vetoer");
		return;
	}
	if (event == CF_EVENT_ONLINE && report->reason == CF_REASON_ORPHAN)
		return;
	REQUIRE(report->reason == CF_REASON_OWNER && world->act.refused,
		"report: refused for %s", cf_reason_name(report->reason));
}

/* All arguments are right and the blocks are offline. */
static void online_good(struct world *world, const struct op *op,
			cf_pfn first, cf_pfn last)
{
	bool orphan = any_orphan(world, first, last);
	bool veto = is_vetoed(world, CF_EVENT_ONLINE);
	struct cf_report report = { 0 };
	struct cf_report *wanted = report_arg(op, &report);
	uint32_t codes = OK;
	int err;

	begin_online(world, first, last, op->tag);
	act_begin(world, ACT_ONLINE, first, last);
	err = cf_block_online(world->map, first, last,
			      (enum cf_zone_kind)op->arg[3], wanted);
	if (orphan || veto || world->act.refused)
		codes = E(CF_EREFUSED);
	else if (has_failed(TEST_FIRST_EXPOSED))
		codes = E(CF_EPORT);
	require_code("block_online", err, codes);
	if (err) {
		if (err == -CF_EREFUSED)
			require_refusal(world, CF_EVENT_ONLINE, wanted);
		else
			REQUIRE(!wanted || report.reason == CF_REASON_PORT,
				"report: online failed for %s",
				cf_reason_name(report.reason));
		undo_online(world, first, last);
		require_events(world, CF_EVENT_ONLINE, EVENTS_REFUSED);
	} else {
		finish_online(world, first, last,
			      (enum cf_zone_kind)op->arg[3]);
		require_events(world, CF_EVENT_ONLINE, EVENTS_DONE);
	}
	act_end(world);
}

static bool apply_online(struct world *world, const struct op *op)
{
	cf_pfn first = blocks_first(world, op), last = blocks_last(world, op);
	uint32_t codes = 0;
	int err;

	if (blocks_wrong(world, first, last) ||
	    op->arg[3] > CF_ZONE_MOVABLE)
		codes |= E(CF_EINVAL);
	if (count_states(world, first, last, STATE(ABSENT)))
		codes |= E(CF_EGONE);
	if (count_states(world, first, last, STATE(ONLINE) |
			 STATE(GOING_OFFLINE)))
		codes |= E(CF_EBUSY);
	if (!codes) {
		online_good(world, op, first, last);
		return true;
	}
	act_begin(world, ACT_NONE, first, last);
	err = cf_block_online(world->map, first, last,
			      (enum cf_zone_kind)op->arg[3], NULL);
	require_code("block_online", err, codes);
	require_events(world, CF_EVENT_ONLINE, EVENTS_REFUSED);
	act_end(world);
	return true;
}

static bool draw_online(struct world *world, struct op *op)
{
	if (!draw_blocks(world, op, STATE(OFFLINE)))
		return false;
	op->arg[3] = is_orderly(world) ?
		     op->arg[0] * 3 >= world->setup.blocks * 2 :
		     random_chance(40);
	if (random_chance(2))
		op->arg[3] = CF_ZONE_DEVICE + random_below(2);
	return true;
}

const struct op_type block_ops[] = {
	{ "block_add", { BLOCK_ARGS, { "meta", ARG_NUMBER },
			 { "node", ARG_NUMBER }, { "owner", ARG_OWNER } },
	  20, draw_add, apply_add },
	{ "block_remove", { BLOCK_ARGS }, 6, draw_remove, apply_remove },
	{ "block_adopt", { BLOCK_ARGS, { "owner", ARG_OWNER } }, 6,
	  draw_adopt, apply_adopt },
	{ "block_online", { BLOCK_ARGS, { "zone", ARG_ZONE } }, 30,
	  draw_online, apply_online },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
