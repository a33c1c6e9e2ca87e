/* SPDX-License-Identifier: MIT */
/*
 * The end of a run: everything is given back through the engine, and nothing
 * may be left.
 */
#include <stdlib.h>

#include "ops.h"

static void end_operations(struct world *world)
{
	size_t i;

	for (i = 0; i < SUBSCRIBERS; i++)
		world->listener[i].veto = 0;
	for (i = 0; i < OWNERS; i++)
		world->owner[i].policy = 0;
	for (i = 0; i < OPERATIONS; i++) {
		struct operation *operation = &world->operation[i];
		cf_pfn pfn;

		if (!operation->going)
			continue;
		act_begin(world, ACT_NONE, operation->first, operation->last);
		require_code("offline_cancel",
			     cf_block_offline_cancel(&operation->offline), OK);
		act_end(world);
		operation->going = false;
		for (pfn = operation->first; pfn < operation->last;
		     pfn += world->block_frames)
			block_of(world, pfn)->state = CF_BLOCK_ONLINE;
	}
}

static void end_runs(struct world *world)
{
	cf_pfn pfn = 0;

	while ((pfn = next_run(world, pfn, world->last)) != CF_PFN_NONE)
		run_drop(world, &world->frame[pfn]);
}

/* Somebody who takes over what the orphan has. */
static uint32_t adopter(struct world *world)
{
	struct owner *owner = &world->owner[0];

	if (!owner->live)
		require_code("owner_register",
			     cf_owner_register(world->map, owner->name,
					       owner->ops, owner, &owner->id),
			     OK);
	owner->live = true;
	return owner->id;
}

static void end_offline(struct world *world)
{
	uint32_t id = adopter(world);
	cf_pfn pfn;

	for (pfn = 0; pfn < world->last; pfn++) {
		struct frame *frame = &world->frame[pfn];

		if (frame->head == NO_HEAD || frame->type != CF_TYPE_OFFLINE)
			continue;
		if (frame->owner == CF_OWNER_ORPHAN) {
			require_code("offline_adopt_range",
				     cf_offline_adopt_range(world->map, id,
							    pfn, pfn + 1), OK);
			frame->owner = id;
		}
		frame->exposed = false;
		require_code("offline_free",
			     cf_offline_free_range(world->map, frame->owner,
						   pfn, pfn + 1), OK);
		frames_free(world, pfn, pfn + 1);
	}
}

static void end_block(struct world *world, cf_pfn first)
{
	cf_pfn last = first + world->block_frames;

	if (block_of(world, first)->state != CF_BLOCK_ONLINE)
		return;
	act_begin(world, ACT_OFFLINE, first, last);
	require_code("block_offline at the end",
		     cf_block_offline(world->map, first, last, 1, NULL), OK);
	act_end(world);
	frames_clear(world, first, last);
	block_of(world, first)->state = CF_BLOCK_OFFLINE;
}

/* One call for all blocks added together. */
static void end_group(struct world *world, uint32_t block)
{
	uint32_t last = block;
	uint32_t i;

	if (world->block[block].state == CF_BLOCK_ABSENT)
		return;
	while (last < world->setup.blocks &&
	       world->block[last].state != CF_BLOCK_ABSENT &&
	       world->block[last].group == world->block[block].group)
		last++;
	require_code("block_remove at the end",
		     cf_block_remove(world->map, block * world->block_frames,
				     last * world->block_frames), OK);
	for (i = block; i < last; i++) {
		free(world->block[i].memory);
		world->block[i] = (struct block){ 0 };
	}
}

static void end_owners(struct world *world)
{
	size_t i;

	for (i = 0; i < OWNERS; i++) {
		uint64_t orphans = 0;

		if (!world->owner[i].live)
			continue;
		require_code("owner_unregister",
			     cf_owner_unregister(world->map,
						 world->owner[i].id, &orphans),
			     OK);
		REQUIRE(!orphans, "owner_unregister: orphans at the end");
		world->owner[i].live = false;
	}
	for (i = 0; i < SUBSCRIBERS; i++) {
		struct listener *listener = &world->listener[i];

		if (listener->added)
			require_code("subscriber_remove",
				     cf_subscriber_remove(world->map,
							  &listener->subscriber
							 ), OK);
		listener->added = false;
	}
}

void world_destroy(struct world *world)
{
	uint32_t i;
	size_t out;

	world->ending = true;
	end_operations(world);
	end_runs(world);
	end_offline(world);
	for (i = 0; i < world->setup.blocks; i++)
		end_block(world, i * world->block_frames);
	compare(world);
	for (i = 0; i < world->setup.blocks; i++)
		end_group(world, i);
	end_owners(world);
	for (i = 0; i < SIDES; i++) {
		if (world->side[i].added)
			side_drop(world, &world->side[i]);
		free(world->side[i].value);
	}
	require_code("map_destroy", cf_map_destroy(world->map), OK);
	free(world->storage);
	free(world->frame);
	free(world->seen);
	free(world->words);
	free(world);
	out = test_port_done();
	REQUIRE(!out, "the port still has %zu bytes of metadata out", out);
}
