/* SPDX-License-Identifier: MIT */

/*
 * Shrinking by sub-blocks: which to take next, and taking it.
 *
 * Blocks are looked at class by class, from high to low, and each sub-block
 * once a pass.  What cannot be taken is passed over and makes the pass a
 * failed one, so that everything is tried again later.
 */

#include "virtio/mem_internal.h"

#define ATTEMPTS	5	/* at a sub-block with frames in motion */

enum class {
	CLASS_OFFLINE_PARTIAL,
	CLASS_OFFLINE,
	CLASS_MOVABLE_PARTIAL,
	CLASS_NORMAL_PARTIAL,
	CLASS_MOVABLE,
	CLASS_NORMAL,
	CLASS_COUNT
};

static bool is_of_class(const struct vmem *vmem,
			const struct vmem_block *block, unsigned class)
{
	bool full = block->plugged == vmem_all(vmem);

	switch (class) {
	case CLASS_OFFLINE_PARTIAL:
		return block->mode == MODE_OFFLINE && !full;
	case CLASS_OFFLINE:
		return block->mode == MODE_OFFLINE && full;
	case CLASS_MOVABLE_PARTIAL:
		return block->mode == MODE_MOVABLE && !full;
	case CLASS_NORMAL_PARTIAL:
		return block->mode == MODE_NORMAL && !full;
	case CLASS_MOVABLE:
		return block->mode == MODE_MOVABLE && full;
	default:
		return block->mode == MODE_NORMAL && full;
	}
}

static void next_block(struct vmem *vmem)
{
	vmem->pass.block--;
	vmem->pass.sub = vmem->subs;
	vmem->pass.attempts = 0;
}

/* Is everything that is plugged of the block free? */
static bool is_all_free(struct vmem *vmem, uint64_t block, uint64_t plugged)
{
	struct cf_block_info info;
	uint64_t frames = 0;

	if (cf_block_info(vmem->config.map, vmem_block_first(vmem, block),
			  &info))
		return false;
	for (; plugged; plugged &= plugged - 1)
		frames += vmem->sub_frames;
	return info.free >= frames;
}

/*
 * The highest stretch below the cursor that is plugged, at most as long as is
 * wanted; one sub-block if something of the block is in use.
 */
static bool next_part(struct vmem *vmem, const struct vmem_block *block,
		      struct vmem_part *part)
{
	uint64_t bits = block->plugged & ~block->taken;
	uint64_t most = ((vmem_plugged_bytes(vmem) - vmem->requested) >>
			 CF_FRAME_SHIFT) / vmem->sub_frames;
	unsigned at = vmem->pass.sub;

	while (at && !(bits >> (at - 1) & 1))
		at--;
	if (at == 0)
		return false;
	if (block->mode != MODE_OFFLINE &&
	    !is_all_free(vmem, part->block, bits))
		most = 1;
	part->last = at;
	while (at && bits >> (at - 1) & 1 && most) {
		at--;
		most--;
	}
	part->first = at;
	return true;
}

/* Move the cursor to the next part to try. */
static bool find_part(struct vmem *vmem, struct vmem_part *part,
		      enum vmem_mode *ret_mode)
{
	unsigned classes = vmem->config.keep_online ? CLASS_MOVABLE_PARTIAL :
			   CLASS_COUNT;
	struct vmem_pass *pass = &vmem->pass;
	struct vmem_block block;

	for (; pass->class < classes; pass->class++) {
		for (; pass->block > 0; next_block(vmem)) {
			part->block = pass->block - 1;
			block = vmem_look(vmem, part->block);
			if (pass->sub == vmem->subs &&
			    !is_of_class(vmem, &block, pass->class))
				continue;
			if (block.flags & FLAG_MOVING) {
				vmem_pass_failed(vmem, -CF_EBUSY);
				continue;
			}
			*ret_mode = (enum vmem_mode)block.mode;
			if (next_part(vmem, &block, part))
				return true;
		}
		pass->block = vmem->blocks;
		pass->sub = vmem->subs;
	}
	return false;
}

/* Frames of an online block become OFFLINE. */
static int take_frames(struct vmem *vmem, const struct vmem_part *part,
		       struct cf_report *ret_report)
{
	int err;

	err = cf_offline_alloc_range(vmem->config.map, vmem->owner,
				     vmem_part_first(vmem, part),
				     vmem_part_last(vmem, part),
				     CF_FLAG_SKIPPABLE, ret_report);
	/* What is ours already was OFFLINE all the time: nobody uses it. */
	if (err)
		(void)vmem_expose(vmem, part);
	else
		cf_content_sync(vmem->config.map);
	return err;
}

bool vmem_shrink(struct vmem *vmem)
{
	struct vmem_pass *pass = &vmem->pass;
	struct vmem_part part;
	struct cf_report report = { .reason = CF_REASON_NONE };
	enum vmem_mode mode;
	int err = -CF_EBUSY;

	if (!find_part(vmem, &part, &mode))
		return false;
	if (vmem_take(vmem, &part, mode))
		err = mode == MODE_OFFLINE ? 0 :
		      take_frames(vmem, &part, &report);
	if (err == -CF_EAGAIN && pass->attempts++ < ATTEMPTS)
		return true;
	/* A long stretch that failed is tried in small pieces. */
	if (err && part.last - part.first > 1)
		part.first = part.last - 1;
	else if (err)
		vmem_note(vmem, &report);
	pass->sub = part.first;
	pass->attempts = 0;
	if (err)
		vmem_pass_failed(vmem, err);
	else
		vmem_send(vmem, FOR_SHRINKING, CF_VMEM_UNPLUG, &part);
	return true;
}
