/* SPDX-License-Identifier: MIT */

/*
 * Shrinking by big blocks: a unit of whole memory blocks leaves the map, then
 * it is unplugged.
 *
 * One memory block after the other is taken offline by an operation, a step
 * at a time.  If one cannot be emptied, those before it come online again.
 */

#include "virtio/mem_internal.h"

#define BUSY_STEPS	5	/* steps in which nothing could be moved */

enum big_class {
	BIG_OFFLINE,		/* nothing of it is online */
	BIG_MOVABLE,
	BIG_NORMAL,
	BIG_COUNT
};

static enum big_class class_of(struct vmem *vmem, uint64_t unit)
{
	enum big_class class = BIG_OFFLINE;
	uint64_t i;

	for (i = unit; i < unit + vmem->unit_blocks; i++) {
		unsigned mode = vmem_look(vmem, i).mode;

		if (mode == MODE_NORMAL)
			return BIG_NORMAL;
		if (mode == MODE_MOVABLE)
			class = BIG_MOVABLE;
	}
	return class;
}

/* Move the cursor to the next unit to try. */
static bool find_unit(struct vmem *vmem)
{
	unsigned classes = vmem->config.keep_online ? BIG_MOVABLE : BIG_COUNT;
	struct vmem_pass *pass = &vmem->pass;

	for (; pass->class < classes; pass->class++) {
		while (pass->block > 0) {
			pass->block -= vmem->unit_blocks;
			if (vmem_look(vmem, pass->block).plugged &&
			    vmem_look(vmem, pass->block).mode != MODE_ABSENT &&
			    class_of(vmem, pass->block) == pass->class) {
				vmem->leaving = pass->block;
				return true;
			}
		}
		pass->block = vmem->blocks;
	}
	return false;
}

void vmem_big_undo(struct vmem *vmem)
{
	uint64_t unit = vmem->leaving, i;
	struct vmem_block block;

	vmem_cancel_offline(vmem);
	vmem->leaving = vmem->blocks;
	if (unit == vmem->blocks)
		return;
	for (i = unit; i < unit + vmem->unit_blocks; i++) {
		block = vmem_look(vmem, i);
		if (!(block.flags & FLAG_OURS))
			continue;
		vmem_flag(vmem, i, 1, 0, FLAG_OURS);
		if (block.mode == MODE_OFFLINE &&
		    vmem_bring_online(vmem, i, 1,
				      (enum cf_zone_kind)block.kind))
			vmem_flag(vmem, i, 1, FLAG_WANT_ONLINE, 0);
	}
}

static void give_up(struct vmem *vmem, int err)
{
	vmem_big_undo(vmem);
	vmem_pass_failed(vmem, err);
}

/* Begin with the next block of the unit that is online; 0: none is. */
static int start_block(struct vmem *vmem)
{
	struct vmem_block block;
	uint64_t i;
	int err;

	for (i = vmem->leaving; i < vmem->leaving + vmem->unit_blocks; i++) {
		block = vmem_look(vmem, i);
		if (block.mode == MODE_OFFLINE && !(block.flags & FLAG_MOVING))
			continue;
		if (block.flags & FLAG_MOVING)
			return -CF_EBUSY;
		vmem->block[i].kind = block.mode == MODE_NORMAL ?
				      CF_ZONE_NORMAL : CF_ZONE_MOVABLE;
		err = vmem_start_offline(vmem, i);
		if (err)
			return err;
		vmem->pass.attempts = 0;
		return -CF_EAGAIN;
	}
	return 0;
}

static void step_block(struct vmem *vmem)
{
	struct cf_offline_status status;
	int err = vmem_step_offline(vmem);

	if (err == 0) {
		vmem->operating = false;
		vmem_flag(vmem, vmem->operating_on, 1, FLAG_OURS,
			  FLAG_WANT_ONLINE);
		return;
	}
	cf_block_offline_status(&vmem->operation, &status);
	if (++vmem->pass.attempts < (err == -CF_EAGAIN ? BUSY_STEPS * 64 :
				     BUSY_STEPS))
		return;
	vmem_note(vmem, &status.report);
	give_up(vmem, err);
}

/* Nothing of it is online any more. */
static void finish_unit(struct vmem *vmem)
{
	struct vmem_part part = { vmem->leaving, 0, vmem->subs };
	int err;

	err = vmem_send_away(vmem, vmem->leaving);
	if (err) {
		give_up(vmem, err);
		return;
	}
	vmem->leaving = vmem->blocks;
	vmem_send(vmem, FOR_SHRINKING, CF_VMEM_UNPLUG, &part);
}

bool vmem_shrink_big(struct vmem *vmem)
{
	int err;

	if (vmem->operating) {
		step_block(vmem);
		return true;
	}
	if (vmem->leaving == vmem->blocks && !find_unit(vmem))
		return false;
	err = start_block(vmem);
	if (err == 0)
		finish_unit(vmem);
	else if (err != -CF_EAGAIN)
		give_up(vmem, err);
	return true;
}
