/* SPDX-License-Identifier: MIT */

/*
 * A pass: one try to make everything right.  First leftovers of what failed
 * before, then the size, then a look whether the device's account is ours.
 * What could not be done makes the pass a failed one, and another follows
 * after a while.
 */

#include "virtio/mem_internal.h"

void vmem_pass_begin(struct vmem *vmem)
{
	if (vmem->big)
		vmem_big_undo(vmem);
	vmem->pass = (struct vmem_pass){ .stage = STAGE_CLEAN };
	vmem->backing_off = false;
	vmem->err = 0;
	vmem->report = (struct cf_report){ .reason = CF_REASON_NONE };
	vmem->stoppers = 0;
}

static void note_stopper(struct vmem *vmem, const struct cf_report *report)
{
	struct cf_vmem_stopper *stopper = vmem->stopper;
	unsigned i;

	for (i = 0; i < vmem->stoppers; i++, stopper++)
		if (stopper->owner == report->owner &&
		    stopper->reason == report->reason)
			break;
	if (i == CF_VMEM_STOPPERS)
		return;
	if (i == vmem->stoppers) {
		vmem->stoppers++;
		*stopper = (struct cf_vmem_stopper){
			.pfn = report->pfn,
			.owner = report->owner,
			.type = report->type,
			.reason = report->reason,
		};
	}
	stopper->frames += report->frames[report->reason];
	stopper->parts++;
}

void vmem_note(struct vmem *vmem, const struct cf_report *report)
{
	unsigned i;

	if (report->reason == CF_REASON_NONE)
		return;
	note_stopper(vmem, report);
	if (vmem->report.reason == CF_REASON_NONE) {
		vmem->report = *report;
		return;
	}
	for (i = 0; i < CF_REASON_COUNT; i++)
		vmem->report.frames[i] += report->frames[i];
}

void vmem_pass_failed(struct vmem *vmem, int err)
{
	vmem->pass.failed = true;
	vmem->err = err;
}

void vmem_pass_stop(struct vmem *vmem, int err)
{
	vmem_pass_failed(vmem, err);
	vmem->pass.stage = STAGE_CHECK;
}

/* Blocks nothing of which is plugged leave the map. */
static int drop_empty(struct vmem *vmem, uint64_t block)
{
	int err = 0;

	if (vmem_look(vmem, block).mode != MODE_OFFLINE)
		err = vmem_take_offline(vmem, block);
	return err ? err : vmem_send_away(vmem, block);
}

/* Bring online what could not be before, block by block. */
static bool go_online(struct vmem *vmem, uint64_t unit)
{
	struct vmem_block block;
	bool tried = false;
	uint64_t i;
	int err;

	for (i = unit; i < unit + vmem->unit_blocks; i++) {
		block = vmem_look(vmem, i);
		if (block.mode != MODE_OFFLINE || block.flags & FLAG_MOVING ||
		    !(block.flags & FLAG_WANT_ONLINE))
			continue;
		tried = true;
		err = vmem_bring_online(vmem, i, 1, vmem_kind(vmem));
		if (err)
			vmem_pass_failed(vmem, err);
	}
	return tried;
}

/* All of a unit, or the highest stretch of a block. */
static struct vmem_part absent_part(const struct vmem *vmem, uint64_t index,
				    uint64_t plugged)
{
	struct vmem_part part = { index, 0, vmem->subs };

	if (vmem->big)
		return part;
	while (!(plugged >> (part.last - 1) & 1))
		part.last--;
	part.first = part.last;
	while (part.first && plugged >> (part.first - 1) & 1)
		part.first--;
	return part;
}

/* Plugged, and not in the map: in or out. */
static void settle_absent(struct vmem *vmem, uint64_t index, uint64_t plugged)
{
	struct vmem_part part = absent_part(vmem, index, plugged);
	int err = 0;

	if (vmem_plugged_bytes(vmem) <= vmem->requested) {
		err = vmem_bring_in(vmem, index);
		if (!err) {
			(void)go_online(vmem, index);
			return;
		}
		vmem_pass_stop(vmem, err);
	}
	vmem_send(vmem, FOR_SHRINKING, CF_VMEM_UNPLUG, &part);
}

/* Frames that were left OFFLINE come into use again, a stretch at a time. */
static void settle_taken(struct vmem *vmem, uint64_t index, uint64_t taken)
{
	struct vmem_part part = { index, 0, 0 };
	int err = 0;

	while (!err && part.last < vmem->subs) {
		part.first = part.last++;
		if (!(taken >> part.first & 1))
			continue;
		while (part.last < vmem->subs && taken >> part.last & 1)
			part.last++;
		err = vmem_expose(vmem, &part);
	}
	if (err)
		vmem_pass_failed(vmem, err);
}

/* Is there something to clean, and was it tried? */
static bool clean(struct vmem *vmem, uint64_t index)
{
	struct vmem_block block = vmem_look(vmem, index);
	bool grows = vmem->requested > vmem_plugged_bytes(vmem);
	int err;

	if (block.flags & FLAG_MOVING)
		return false;
	if (block.mode == MODE_ABSENT) {
		if (block.plugged)
			settle_absent(vmem, index, block.plugged);
		return block.plugged != 0;
	}
	if (block.taken) {
		settle_taken(vmem, index, block.taken);
		return true;
	}
	if (!block.plugged && !vmem->big && !grows) {
		err = drop_empty(vmem, index);
		if (err)
			vmem_pass_failed(vmem, err);
		return true;
	}
	return go_online(vmem, index);
}

static void clean_step(struct vmem *vmem)
{
	struct vmem_pass *pass = &vmem->pass;
	bool done = false;

	while (!done && pass->block < vmem->blocks) {
		done = clean(vmem, pass->block);
		pass->block += vmem->unit_blocks;
	}
	/* settle_absent() may have ended the pass. */
	if (pass->block >= vmem->blocks && pass->stage == STAGE_CLEAN) {
		pass->stage = STAGE_SIZE;
		pass->class = 0;
		pass->block = vmem->blocks;
		pass->sub = vmem->subs;
	}
}

static void size_step(struct vmem *vmem)
{
	uint64_t plugged = vmem_plugged_bytes(vmem);
	uint64_t step = (vmem->big ? vmem->unit_blocks * vmem->block_frames :
			 vmem->sub_frames) << CF_FRAME_SHIFT;
	bool more = false;

	if (vmem->requested >= plugged + step)
		more = vmem_grow(vmem);
	else if (plugged >= vmem->requested + step)
		more = vmem->big ? vmem_shrink_big(vmem) : vmem_shrink(vmem);
	if (!more)
		vmem->pass.stage = STAGE_CHECK;
}

static void check_step(struct vmem *vmem)
{
	uint64_t usable = vmem->usable, requested = vmem->requested;

	if (vmem_config_read(vmem))
		return;
	if (vmem->device_plugged != vmem_plugged_bytes(vmem)) {
		(void)cf_virtio_break(&vmem->device, CF_VIRTIO_BROKEN_PLUGGED,
				      vmem->device_plugged);
		return;
	}
	vmem->pass.stage = STAGE_END;
	if (usable != vmem->usable || requested != vmem->requested)
		vmem_pass_begin(vmem);
}

void vmem_pass_step(struct vmem *vmem)
{
	switch (vmem->pass.stage) {
	case STAGE_CLEAN:
		clean_step(vmem);
		break;
	case STAGE_SIZE:
		size_step(vmem);
		break;
	case STAGE_CHECK:
		check_step(vmem);
		break;
	default:
		break;
	}
}

void vmem_plugged(struct vmem *vmem)
{
	bool absent = vmem_look(vmem, vmem->part.block).mode == MODE_ABSENT;
	int err;

	vmem_set_plugged(vmem, &vmem->part, true, !absent);
	if (!absent) {
		err = vmem_expose(vmem, &vmem->part);
		if (err)
			vmem_pass_failed(vmem, err);
		return;
	}
	settle_absent(vmem, vmem->part.block,
		      vmem_look(vmem, vmem->part.block).plugged);
}

void vmem_unplugged(struct vmem *vmem)
{
	struct vmem_block block;
	int err;

	vmem_set_plugged(vmem, &vmem->part, false, false);
	block = vmem_look(vmem, vmem->part.block);
	if (vmem->big || block.plugged || block.mode == MODE_ABSENT)
		return;
	err = block.flags & FLAG_MOVING ? -CF_EBUSY :
	      drop_empty(vmem, vmem->part.block);
	if (err)
		vmem_pass_failed(vmem, err);
}

void vmem_not_unplugged(struct vmem *vmem)
{
	int err;

	if (vmem_look(vmem, vmem->part.block).mode == MODE_ABSENT)
		return;
	err = vmem_expose(vmem, &vmem->part);
	if (err)
		vmem_pass_failed(vmem, err);
}
