/* SPDX-License-Identifier: MIT */

/*
 * A virtio-mem driver that goes on where another one ended.
 *
 * The bits of its blocks come from the other one; how each block is to the
 * map, the map says; and both must agree, frame by frame, with the sum the
 * device says is plugged.
 */

#include <coldframe/walk.h>

#include "virtio/mem_internal.h"
#include "virtio/state.h"

static const struct vmem *look_at(const struct cf_vmem *opaque)
{
	const void *self = opaque;

	return self;
}

bool cf_vmem_is_busy(const struct cf_vmem *opaque)
{
	const struct vmem *vmem = look_at(opaque);

	return vmem->started && !vmem->device.broken &&
	       (vmem->purpose || vmem->operating || vmem->asked ||
		vmem->leaving != vmem->blocks);
}

void cf_vmem_save(const struct cf_vmem *opaque,
		  struct cf_vmem_saved *ret_saved)
{
	const struct vmem *vmem = look_at(opaque);
	unsigned i;

	*ret_saved = (struct cf_vmem_saved){
		.was_reset = vmem->was_reset,
		.ended = vmem->pass.stage == STAGE_END,
		.backing_off = vmem->backing_off,
		.retry_in_ms = vmem->retry_at > vmem->now ?
			       vmem->retry_at - vmem->now : 0,
		.retry_ms = vmem->retry_ms,
		.usable = vmem->usable,
		.requested = vmem->requested,
		.plugged = vmem_plugged_bytes(vmem),
		.requests = vmem->requests,
		.nacks = vmem->nacks,
		.busies = vmem->busies,
		.retries = vmem->retries,
		.broken = vmem->device.broken,
		.broken_value = vmem->device.broken_value,
		.err = vmem->err,
		.report = vmem->report,
		.stoppers = vmem->stoppers,
	};
	for (i = 0; i < vmem->stoppers; i++)
		ret_saved->stopper[i] = vmem->stopper[i];
}

bool cf_vmem_save_next(const struct cf_vmem *opaque, uint64_t *block,
		       struct cf_vmem_known *ret_known)
{
	const struct vmem *vmem = look_at(opaque);
	const struct vmem_block *at;

	for (; vmem->started && *block < vmem->blocks; (*block)++) {
		at = &vmem->block[*block];
		if (!at->plugged && !(at->flags & FLAG_WANT_ONLINE))
			continue;
		*ret_known = (struct cf_vmem_known){
			.block = (*block)++,
			.plugged = at->plugged,
			.taken = at->taken,
			.want_online = at->flags & FLAG_WANT_ONLINE,
		};
		return true;
	}
	return false;
}

static unsigned count_bits(uint64_t bits)
{
	unsigned count = 0;

	for (; bits; bits &= bits - 1)
		count++;
	return count;
}

int cf_vmem_adopt_block(struct cf_vmem *opaque,
			const struct cf_vmem_known *known)
{
	struct vmem *vmem = vmem_of(opaque);
	unsigned long state;
	struct vmem_block *at;

	if (!vmem->started || known->block >= vmem->blocks ||
	    known->plugged & ~vmem_all(vmem) ||
	    known->taken & ~known->plugged)
		return -CF_EINVAL;
	state = cf_lock(&vmem->lock);
	at = &vmem->block[known->block];
	vmem->plugged_frames -= count_bits(at->plugged) * vmem->sub_frames;
	vmem->plugged_frames += count_bits(known->plugged) * vmem->sub_frames;
	at->plugged = known->plugged;
	at->taken = known->taken;
	at->flags = known->want_online ? FLAG_WANT_ONLINE : 0;
	cf_unlock(&vmem->lock, state);
	return 0;
}

/* Out of use because of the driver? */
static bool is_ours(const struct vmem *vmem, const struct cf_span *span)
{
	return span->kind == CF_SPAN_RUN && span->type == CF_TYPE_OFFLINE &&
	       span->owner == vmem->owner;
}

/* Are the frames of a sub-block all exposed, or all not? */
static bool sub_fits(struct vmem *vmem, cf_pfn first, bool exposed)
{
	cf_pfn last = first + vmem->sub_frames;
	struct cf_span span;
	bool fits = true;

	cf_walk_begin(vmem->config.map);
	while (fits && cf_walk_next(vmem->config.map, &first, last, &span))
		fits = (span.kind == CF_SPAN_RUN &&
			span.type == CF_TYPE_RETIRED) ||
		       is_ours(vmem, &span) != exposed;
	cf_walk_end(vmem->config.map);
	return fits;
}

static bool online_fits(struct vmem *vmem, uint64_t index)
{
	struct vmem_block block = vmem_look(vmem, index);
	uint64_t exposed = block.plugged & ~block.taken;
	cf_pfn first = vmem_block_first(vmem, index);
	unsigned i;

	for (i = 0; i < vmem->subs; i++)
		if (!sub_fits(vmem, first + i * vmem->sub_frames,
			      exposed >> i & 1))
			return false;
	return true;
}

/* What the block is to the map; false: that cannot be. */
static bool adopt_mode(struct vmem *vmem, uint64_t index)
{
	cf_pfn first = vmem_block_first(vmem, index);
	enum vmem_mode mode = MODE_ABSENT;
	struct cf_block_info info;
	unsigned long state;

	if (cf_block_info(vmem->config.map, first, &info) == 0) {
		if (info.range_owner != vmem->owner)
			return false;
		mode = info.zone == CF_ZONE_MOVABLE ? MODE_MOVABLE :
						      MODE_NORMAL;
		if (info.state != CF_BLOCK_ONLINE)
			mode = MODE_OFFLINE;
	}
	state = cf_lock(&vmem->lock);
	if (vmem->block[index].mode == MODE_OFFLINE)
		vmem->offline_frames -= vmem->block_frames;
	if (mode == MODE_OFFLINE)
		vmem->offline_frames += vmem->block_frames;
	vmem->block[index].mode = (uint8_t)mode;
	cf_unlock(&vmem->lock, state);
	return mode < MODE_MOVABLE || online_fits(vmem, index);
}

/* What is known whether it was started or not. */
static void adopt_words(struct vmem *vmem, const struct cf_vmem_saved *saved)
{
	unsigned i;

	vmem->requests = saved->requests;
	vmem->nacks = saved->nacks;
	vmem->busies = saved->busies;
	vmem->retries = saved->retries;
	vmem->err = saved->err;
	vmem->report = saved->report;
	vmem->stoppers = saved->stoppers < CF_VMEM_STOPPERS ?
			 saved->stoppers : CF_VMEM_STOPPERS;
	for (i = 0; i < vmem->stoppers; i++)
		vmem->stopper[i] = saved->stopper[i];
	vmem->device.broken = saved->broken;
	vmem->device.broken_value = saved->broken_value;
}

int cf_vmem_adopt(struct cf_vmem *opaque, const struct cf_vmem_saved *saved,
		  uint64_t now_ms)
{
	struct vmem *vmem = vmem_of(opaque);
	unsigned long state;
	uint64_t i;

	if (!vmem->started) {
		vmem->plugged_frames = saved->plugged >> CF_FRAME_SHIFT;
		vmem->usable = saved->usable;
		vmem->requested = saved->requested;
		adopt_words(vmem, saved);
		return 0;
	}
	vmem_pass_begin(vmem);
	for (i = 0; i < vmem->blocks; i++)
		if (!adopt_mode(vmem, i))
			return -CF_EINVAL;
	vmem->was_reset = false;	/* sizes may be any, this once */
	if (vmem_config_read(vmem))
		return -CF_EREFUSED;
	if (!saved->broken && saved->was_reset &&
	    vmem->device_plugged != vmem_plugged_bytes(vmem))
		return -CF_EINVAL;
	adopt_words(vmem, saved);
	vmem->was_reset = saved->was_reset;
	/* What the device wants now, the other one may not have heard. */
	if (saved->ended && saved->requested == vmem->requested)
		vmem->pass.stage = STAGE_END;
	vmem->now = now_ms;
	vmem->backing_off = saved->backing_off;
	vmem->retry_at = now_ms + saved->retry_in_ms;
	vmem->retry_ms = saved->retry_ms < vmem->config.retry_min_ms ?
			 vmem->config.retry_min_ms : saved->retry_ms;
	/* Blocks came online without the driver: that was to be. */
	state = cf_lock(&vmem->lock);
	vmem->kicked = false;
	cf_unlock(&vmem->lock, state);
	return 0;
}
