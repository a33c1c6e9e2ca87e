/* SPDX-License-Identifier: MIT */

/*
 * Growing: which piece to plug next.
 *
 * Holes first: in blocks that are online in zone NORMAL, in MOVABLE, in
 * offline ones; then blocks that are not in the map.  Each from low to high.
 */

#include "virtio/mem_internal.h"

#define COUNT_MAX	0xffff	/* device blocks of a request */

/* Sub-blocks that may still be plugged. */
static uint64_t wanted_subs(const struct vmem *vmem)
{
	uint64_t wanted = vmem->requested - vmem_plugged_bytes(vmem);
	uint64_t most = COUNT_MAX * vmem->device_block;

	if (wanted > most)
		wanted = most;
	return (wanted >> CF_FRAME_SHIFT) / vmem->sub_frames;
}

/* How many sub-blocks from @first of a block on are usable. */
static uint64_t usable_subs(const struct vmem *vmem, uint64_t block,
			    unsigned first)
{
	cf_pfn last = (vmem->addr + vmem->usable) >> CF_FRAME_SHIFT;
	cf_pfn at = vmem_block_first(vmem, block) + first * vmem->sub_frames;

	return at < last ? (last - at) / vmem->sub_frames : 0;
}

/* The first hole of a block, as long as may be. */
static bool hole(const struct vmem *vmem, const struct vmem_block *block,
		 struct vmem_part *part)
{
	uint64_t most = wanted_subs(vmem), usable;
	unsigned at = 0;

	while (at < vmem->subs && block->plugged >> at & 1)
		at++;
	usable = usable_subs(vmem, part->block, at);
	most = most > usable ? usable : most;
	part->first = at;
	part->last = at;
	while (part->last < vmem->subs && most &&
	       !(block->plugged >> part->last & 1)) {
		part->last++;
		most--;
	}
	return part->last > part->first;
}

/* In which order holes are filled. */
static const enum vmem_mode hole_order[] = {
	MODE_NORMAL, MODE_MOVABLE, MODE_OFFLINE,
};

#define HOLE_MODES	(sizeof(hole_order) / sizeof(*hole_order))

/* The next hole. What was passed over is not looked at again in this pass. */
static bool find_hole(struct vmem *vmem, struct vmem_part *part)
{
	struct vmem_pass *pass = &vmem->pass;
	struct vmem_block block;

	for (; pass->hole_mode < HOLE_MODES; pass->hole_mode++) {
		for (; pass->hole_block < vmem->blocks; pass->hole_block++) {
			part->block = pass->hole_block;
			block = vmem_look(vmem, part->block);
			if (block.mode == hole_order[pass->hole_mode] &&
			    !(block.flags & FLAG_MOVING) &&
			    block.plugged != vmem_all(vmem) &&
			    hole(vmem, &block, part))
				return true;
		}
		pass->hole_block = 0;
	}
	return false;
}

/* Blocks of a unit of which nothing is there or plugged. */
static bool is_unused(struct vmem *vmem, uint64_t unit)
{
	struct vmem_block block;
	uint64_t i;

	for (i = unit; i < unit + vmem->unit_blocks; i++) {
		block = vmem_look(vmem, i);
		if (block.mode != MODE_ABSENT || block.plugged)
			return false;
	}
	return true;
}

static bool unit_fits(const struct vmem *vmem, uint64_t unit)
{
	struct vmem_part all = { unit, 0, vmem->subs };

	return (vmem_part_last(vmem, &all) << CF_FRAME_SHIFT) <=
	       vmem->addr + vmem->usable;
}

static uint64_t offline_frames(struct vmem *vmem)
{
	unsigned long state = cf_lock(&vmem->lock);
	uint64_t frames = vmem->offline_frames;

	cf_unlock(&vmem->lock, state);
	return frames;
}

static bool find_unused(struct vmem *vmem, struct vmem_part *part)
{
	uint64_t most = vmem->config.offline_max_frames;
	struct vmem_block nothing = { .mode = MODE_ABSENT };
	struct vmem_pass *pass = &vmem->pass;

	if (offline_frames(vmem) + vmem->unit_blocks * vmem->block_frames >
	    most)
		return false;
	for (; pass->hole_block < vmem->blocks;
	     pass->hole_block += vmem->unit_blocks) {
		part->block = pass->hole_block;
		if (!is_unused(vmem, part->block))
			continue;
		if (!vmem->big)
			return hole(vmem, &nothing, part);
		part->first = 0;
		part->last = vmem->subs;
		return unit_fits(vmem, part->block);
	}
	return false;
}

bool vmem_grow(struct vmem *vmem)
{
	struct vmem_part part;
	bool found = !vmem->big && find_hole(vmem, &part);

	if (!found && !find_unused(vmem, &part)) {
		vmem->err = -CF_ELIMIT;
		return false;
	}
	vmem_send(vmem, FOR_GROWTH, CF_VMEM_PLUG, &part);
	return true;
}
