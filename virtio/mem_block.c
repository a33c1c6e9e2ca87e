/* SPDX-License-Identifier: MIT */

/*
 * Memory blocks of the region: their bits, and the hooks that look at them.
 *
 * The bits say what is plugged; the words of frames follow.  A block that
 * goes offline and comes back finds its frames as the bits say, which is why
 * its unplugged frames may be stepped over.  Two flags keep hooks and work
 * apart: a block that moves is not touched, and while frames are
 * handed to the allocator the block waits before it moves.
 */

#include "virtio/mem_internal.h"

#define OFFLINE_PASSES	8	/* of a block all of which is OFFLINE */

struct vmem_block vmem_look(struct vmem *vmem, uint64_t block)
{
	unsigned long state = cf_lock(&vmem->lock);
	struct vmem_block copy = vmem->block[block];

	cf_unlock(&vmem->lock, state);
	return copy;
}

static unsigned count_bits(uint64_t bits)
{
	unsigned count = 0;

	for (; bits; bits &= bits - 1)
		count++;
	return count;
}

void vmem_flag(struct vmem *vmem, uint64_t block, uint64_t count,
	       unsigned set, unsigned clear)
{
	unsigned long state = cf_lock(&vmem->lock);
	uint64_t i;

	for (i = block; i < block + count; i++)
		vmem->block[i].flags = (uint8_t)
			((vmem->block[i].flags & ~clear) | set);
	cf_unlock(&vmem->lock, state);
}

void vmem_set_plugged(struct vmem *vmem, const struct vmem_part *part,
		      bool plugged, bool taken)
{
	uint64_t bits = vmem_bits(part->first, part->last);
	unsigned long state = cf_lock(&vmem->lock);
	struct vmem_block *block;
	uint64_t i, before;

	for (i = 0; i < vmem->unit_blocks; i++) {
		block = &vmem->block[part->block + i];
		before = block->plugged;
		block->plugged = plugged ? before | bits : before & ~bits;
		block->taken = taken ? block->taken | bits :
			       block->taken & ~bits;
		vmem->plugged_frames += count_bits(block->plugged) *
					vmem->sub_frames;
		vmem->plugged_frames -= count_bits(before) * vmem->sub_frames;
	}
	cf_unlock(&vmem->lock, state);
}

bool vmem_take(struct vmem *vmem, const struct vmem_part *part,
	       enum vmem_mode mode)
{
	unsigned long state = cf_lock(&vmem->lock);
	struct vmem_block *block = &vmem->block[part->block];
	bool still = block->mode == mode && !(block->flags & FLAG_MOVING);

	if (still)
		block->taken |= vmem_bits(part->first, part->last);
	cf_unlock(&vmem->lock, state);
	return still;
}

/* Begin to hand frames out. @ret_online: or nothing needs handing out. */
static bool begin_expose(struct vmem *vmem, struct vmem_block *block,
			 bool *ret_online)
{
	unsigned long state = cf_lock(&vmem->lock);
	bool still = !(block->flags & FLAG_MOVING);

	*ret_online = block->mode >= MODE_MOVABLE;
	if (still)
		block->flags |= FLAG_EXPOSING;
	cf_unlock(&vmem->lock, state);
	return still;
}

static void end_expose(struct vmem *vmem, struct vmem_block *block,
		       uint64_t exposed)
{
	unsigned long state = cf_lock(&vmem->lock);

	block->flags &= (uint8_t)~FLAG_EXPOSING;
	block->taken &= ~exposed;
	cf_unlock(&vmem->lock, state);
}

int vmem_expose(struct vmem *vmem, const struct vmem_part *part)
{
	struct vmem_block *block = &vmem->block[part->block];
	int err = 0;
	bool online;

	if (!begin_expose(vmem, block, &online))
		return -CF_EAGAIN;
	if (online)
		err = cf_offline_free_range(vmem->config.map, vmem->owner,
					    vmem_part_first(vmem, part),
					    vmem_part_last(vmem, part));
	/* Refused: they are in use, taking them has failed. */
	if (err == -CF_EREFUSED)
		err = 0;
	end_expose(vmem, block, err ? 0 :
		   vmem_bits(part->first, part->last));
	return err;
}

/* The stretches of equal bits from @at on. */
static unsigned stretch_end(uint64_t bits, unsigned at, unsigned last)
{
	unsigned end = at;

	while (end < last && (bits >> end & 1) == (bits >> at & 1))
		end++;
	return end;
}

/* A block comes online: expose what is plugged, let the rest be skipped. */
static int hook_online(void *context, cf_pfn first, cf_pfn last)
{
	struct vmem *vmem = context;
	uint64_t index = (first - vmem->first) / vmem->block_frames;
	cf_pfn base = vmem_block_first(vmem, index);
	struct vmem_block block = vmem_look(vmem, index);
	uint64_t bits = block.plugged & ~block.taken;
	unsigned at, end;
	int err = 0;

	for (at = 0; at < vmem->subs && !err; at = end) {
		cf_pfn from = base + at * vmem->sub_frames, to;

		end = stretch_end(bits, at, vmem->subs);
		to = base + end * vmem->sub_frames;
		from = from < first ? first : from;
		to = to > last ? last : to;
		if (bits >> at & 1)
			err = cf_offline_free_range(vmem->config.map,
						    vmem->owner, from, to);
		else
			err = cf_offline_set_skippable(vmem->config.map,
						       vmem->owner, from, to,
						       true);
	}
	return err;
}

/* The blocks of the region among [first, last). */
static bool clip(const struct vmem *vmem, cf_pfn first, cf_pfn last,
		 uint64_t *ret_first, uint64_t *ret_last)
{
	cf_pfn end = vmem_block_first(vmem, vmem->blocks);

	first = first < vmem->first ? vmem->first : first;
	last = last > end ? end : last;
	if (first >= last)
		return false;
	*ret_first = (first - vmem->first) / vmem->block_frames;
	*ret_last = (last - vmem->first) / vmem->block_frames;
	return true;
}

/* Wait until nothing is handed out in it: short, and takes no HOTPLUG. */
static void start_moving(struct vmem *vmem, uint64_t block)
{
	unsigned spins = 0;
	unsigned long state;
	bool done;

	do {
		state = cf_lock(&vmem->lock);
		done = !(vmem->block[block].flags & FLAG_EXPOSING);
		if (done)
			vmem->block[block].flags |= FLAG_MOVING;
		cf_unlock(&vmem->lock, state);
		if (!done)
			cf_port_relax(spins++);
	} while (!done);
}

static int hook_going(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	struct vmem *vmem = context;
	uint64_t at, end;

	(void)event;
	if (clip(vmem, first, last, &at, &end))
		for (; at < end; at++)
			start_moving(vmem, at);
	return 0;
}

static void hook_cancel(void *context, enum cf_event event, cf_pfn first,
			cf_pfn last)
{
	struct vmem *vmem = context;
	unsigned long state;
	uint64_t at, end;

	(void)event;
	if (!clip(vmem, first, last, &at, &end))
		return;
	vmem_flag(vmem, at, end - at, 0, FLAG_MOVING);
	state = cf_lock(&vmem->lock);
	vmem->kicked |= !vmem->operating_own;
	cf_unlock(&vmem->lock, state);
}

static void set_mode(struct vmem *vmem, uint64_t block, enum vmem_mode mode)
{
	unsigned long state = cf_lock(&vmem->lock);
	struct vmem_block *at = &vmem->block[block];

	if (at->mode == MODE_OFFLINE)
		vmem->offline_frames -= vmem->block_frames;
	if (mode == MODE_OFFLINE)
		vmem->offline_frames += vmem->block_frames;
	at->mode = (uint8_t)mode;
	at->flags &= (uint8_t)~FLAG_MOVING;
	if (mode >= MODE_MOVABLE)
		at->flags &= (uint8_t)~FLAG_WANT_ONLINE;
	vmem->kicked |= !vmem->operating_own;
	cf_unlock(&vmem->lock, state);
}

static enum vmem_mode mode_of(struct vmem *vmem, uint64_t block)
{
	struct cf_block_info info;

	if (cf_block_info(vmem->config.map, vmem_block_first(vmem, block),
			  &info))
		return MODE_ABSENT;
	if (info.state != CF_BLOCK_ONLINE)
		return MODE_OFFLINE;
	return info.zone == CF_ZONE_MOVABLE ? MODE_MOVABLE : MODE_NORMAL;
}

static void hook_done(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	struct vmem *vmem = context;
	uint64_t at, end;

	if (!clip(vmem, first, last, &at, &end))
		return;
	for (; at < end; at++)
		set_mode(vmem, at, event == CF_EVENT_ONLINE ?
			 mode_of(vmem, at) : MODE_OFFLINE);
}

static const char *hook_describe(void *context, cf_pfn pfn)
{
	(void)context;
	(void)pfn;
	return "not plugged, or on its way";
}

void vmem_hooks_init(struct vmem *vmem)
{
	vmem->lock = (struct cf_lock)CF_LOCK_INIT(CF_RANK_DRIVER);
	vmem->ops = (struct cf_owner_ops){
		.online = hook_online,
		.describe = hook_describe,
	};
	vmem->subscriber = (struct cf_subscriber){
		.name = vmem->config.name,
		.context = vmem,
		.going = hook_going,
		.cancel = hook_cancel,
		.done = hook_done,
	};
}

/* What hooks say meanwhile is no news. */
static void own_operation(struct vmem *vmem, bool begins)
{
	unsigned long state = cf_lock(&vmem->lock);

	vmem->operating_own = begins;
	cf_unlock(&vmem->lock, state);
}

int vmem_bring_in(struct vmem *vmem, uint64_t block)
{
	struct cf_block_config config = {
		.meta = CF_META_PORT,
		.node = vmem->node,
		.range_owner = vmem->owner,
	};
	uint64_t i;
	int err;

	err = cf_block_add(vmem->config.map, vmem_block_first(vmem, block),
			   vmem_block_first(vmem, block + vmem->unit_blocks),
			   &config);
	if (err)
		return err;
	own_operation(vmem, true);
	for (i = block; i < block + vmem->unit_blocks; i++)
		set_mode(vmem, i, MODE_OFFLINE);
	own_operation(vmem, false);
	if (vmem->config.online != CF_VMEM_ONLINE_NOT)
		vmem_flag(vmem, block, vmem->unit_blocks, FLAG_WANT_ONLINE, 0);
	return 0;
}

int vmem_bring_online(struct vmem *vmem, uint64_t block, uint64_t count,
		      enum cf_zone_kind kind)
{
	struct cf_report report;
	int err;

	own_operation(vmem, true);
	err = cf_block_online(vmem->config.map, vmem_block_first(vmem, block),
			      vmem_block_first(vmem, block + count), kind,
			      &report);
	own_operation(vmem, false);
	if (err)
		vmem_note(vmem, &report);
	return err;
}

int vmem_take_offline(struct vmem *vmem, uint64_t block)
{
	struct cf_report report;
	int err;

	own_operation(vmem, true);
	err = cf_block_offline(vmem->config.map, vmem_block_first(vmem, block),
			       vmem_block_first(vmem, block + 1),
			       OFFLINE_PASSES, &report);
	own_operation(vmem, false);
	if (err)
		vmem_note(vmem, &report);
	return err;
}

int vmem_start_offline(struct vmem *vmem, uint64_t block)
{
	struct cf_report report;
	int err;

	own_operation(vmem, true);
	err = cf_block_offline_start(vmem->config.map, &vmem->operation,
				     vmem_block_first(vmem, block),
				     vmem_block_first(vmem, block + 1),
				     &report);
	own_operation(vmem, false);
	if (err)
		vmem_note(vmem, &report);
	vmem->operating = err == 0;
	vmem->operating_on = block;
	return err;
}

void vmem_cancel_offline(struct vmem *vmem)
{
	own_operation(vmem, true);
	/* It is going, so it can be cancelled. */
	if (vmem->operating && cf_block_offline_cancel(&vmem->operation) == 0)
		vmem->operating = false;
	own_operation(vmem, false);
}

int vmem_step_offline(struct vmem *vmem)
{
	int err;

	own_operation(vmem, true);
	err = cf_block_offline_step(&vmem->operation);
	own_operation(vmem, false);
	return err;
}

int vmem_send_away(struct vmem *vmem, uint64_t block)
{
	uint64_t i;
	int err;

	err = cf_block_remove(vmem->config.map, vmem_block_first(vmem, block),
			      vmem_block_first(vmem, block +
					       vmem->unit_blocks));
	if (err)
		return err;
	own_operation(vmem, true);
	for (i = block; i < block + vmem->unit_blocks; i++)
		set_mode(vmem, i, MODE_ABSENT);
	own_operation(vmem, false);
	vmem_flag(vmem, block, vmem->unit_blocks, 0,
		  FLAG_WANT_ONLINE | FLAG_OURS);
	return 0;
}
