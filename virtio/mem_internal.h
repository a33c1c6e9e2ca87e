/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_MEM_INTERNAL_H
#define VIRTIO_MEM_INTERNAL_H

#include <coldframe/offline.h>
#include <coldframe/port.h>

#include "virtio/mem.h"

#define VMEM_QUEUE_SIZE		8
#define VMEM_SUBS_MAX		64	/* bits of a word */

/* What a memory block of the region is to the map. */
enum vmem_mode {
	MODE_ABSENT,		/* not added */
	MODE_OFFLINE,
	MODE_MOVABLE,		/* online */
	MODE_NORMAL,
};

enum vmem_flag {
	/* Coming online or going offline: the driver leaves it alone. */
	FLAG_MOVING	= 1 << 0,
	/* Frames are handed to the allocator: it may not move. */
	FLAG_EXPOSING	= 1 << 1,
	/* The driver brought it in and could not bring it online yet. */
	FLAG_WANT_ONLINE = 1 << 2,
	/* The driver took it offline to unplug its unit. */
	FLAG_OURS	= 1 << 3,
};

/*
 * One memory block.  Bits beyond vmem->subs are 0.
 *
 *   taken is a part of plugged
 *   online: the frames of plugged and not taken are exposed, all others are
 *           OFFLINE, the driver's, and SKIPPABLE unless on their way
 */
struct vmem_block {
	uint64_t plugged;	/* (D) the device acknowledged */
	uint64_t taken;		/* (D) nobody may use them */
	uint8_t mode;		/* (D) enum vmem_mode */
	uint8_t flags;		/* (D) enum vmem_flag */
	uint8_t kind;		/* (W) FLAG_OURS: the zone it was in */
};

/* What the request in flight is for. */
enum vmem_purpose {
	FOR_NOTHING,		/* none is in flight */
	FOR_RESET,		/* UNPLUG_ALL, first thing */
	FOR_GROWTH,		/* PLUG sub-blocks of a block, or a unit */
	FOR_SHRINKING,		/* UNPLUG what was taken or is absent */
	FOR_STATE,		/* somebody asked */
};

/* A stretch of sub-blocks of one block; of all blocks of a big unit. */
struct vmem_part {
	uint64_t block;		/* index */
	unsigned first, last;	/* sub-blocks, half open */
};

enum vmem_stage {
	STAGE_CLEAN,		/* leftovers, block after block */
	STAGE_SIZE,		/* towards the size asked for */
	STAGE_CHECK,		/* is the device's account ours? */
	STAGE_END,
};

/* One try to make everything right.  Begins anew when something changed. */
struct vmem_pass {
	enum vmem_stage stage;
	unsigned hole_mode;	/* growing: which holes are looked for, ... */
	uint64_t hole_block;	/* ... from which block on */
	unsigned class;		/* shrinking: which blocks are looked at */
	uint64_t block;		/* cleaning: index; shrinking: index + 1 */
	unsigned sub;		/* shrinking: one above the next to try */
	unsigned attempts;	/* at this sub-block */
	bool failed;		/* something is left to do */
};

/*
 * Field key: (C) constant after start, (W) the one working context,
 * (D) @lock.  Hooks and work share what is (D).
 * plugged_frames == frames of all bits of plugged.
 */
struct vmem {
	struct cf_vmem_config config;	/* (C) */
	struct cf_virtio device;	/* its own rules */
	struct cf_ring ring;		/* (W) */
	struct cf_ring_slot slot[VMEM_QUEUE_SIZE];	/* (W) */
	uint8_t *request, *answer;	/* (C) shared with the device */
	uint64_t request_phys, answer_phys;	/* (C) */
	struct cf_lock lock;		/* CF_RANK_DRIVER */
	struct cf_owner_ops ops;	/* (C) */
	struct cf_subscriber subscriber;	/* (C) but for next */
	uint32_t owner;			/* (C) */
	bool started;			/* (C) */

	/* What the device says, checked. */
	uint64_t device_block;		/* (C) bytes */
	uint64_t addr, region;		/* (C) bytes; addr: in the map */
	uint64_t shift;			/* (C) addr less the device's */
	uint64_t usable, requested;	/* (W) bytes */
	uint64_t device_plugged;	/* (W) bytes, by its account */
	uint16_t pxm;			/* (C) */
	uint32_t node;			/* (C) */
	bool was_reset;			/* (W) nothing is left plugged */

	/* Geometry. */
	cf_pfn first;			/* (C) of block 0 */
	uint64_t blocks;		/* (C) a multiple of unit_blocks */
	cf_pfn block_frames;		/* (C) */
	cf_pfn sub_frames;		/* (C) */
	unsigned subs;			/* (C) sub-blocks of a block */
	uint64_t unit_blocks;		/* (C) big blocks: memory blocks of one;
					 * otherwise 1 */
	bool big;			/* (C) */
	struct vmem_block *block;	/* (C); contents (D) */
	uint64_t plugged_frames;	/* (D) */
	uint64_t offline_frames;	/* (D) of blocks in MODE_OFFLINE */
	bool kicked;			/* (D) begin a new pass */
	bool operating_own;		/* (D) an operation of work's goes on */

	/* Work. */
	enum vmem_purpose purpose;	/* (W) */
	enum cf_vmem_request sent;	/* (W) type of the request in flight */
	struct vmem_part part;		/* (W) of that request */
	struct vmem_pass pass;		/* (W) */
	bool backing_off;		/* (W) */
	uint64_t retry_at, retry_ms;	/* (W) */
	uint64_t now;			/* (W) */
	struct cf_offline operation;	/* (W) big blocks: one memory block */
	bool operating;			/* (W) @operation goes on */
	uint64_t operating_on;		/* (W) index of that block */
	uint64_t leaving;		/* (W) first block of the unit that is
					 * emptied; @blocks: none */

	/* cf_vmem_ask() */
	bool asked, answered;		/* (W) */
	bool forgotten;			/* (W) the one in flight */
	int ask_err;			/* (W) */
	cf_pfn ask_first, ask_last;	/* (W) */
	enum cf_vmem_state ask_state;	/* (W) */

	/* For people. */
	uint64_t requests, nacks, busies, retries;	/* (W) */
	int err;			/* (W) */
	struct cf_report report;	/* (W) */
	unsigned stoppers;		/* (W) */
	struct cf_vmem_stopper stopper[CF_VMEM_STOPPERS];	/* (W) */
};

_Static_assert(sizeof(struct vmem) <= sizeof(struct cf_vmem), "opaque");

static inline struct vmem *vmem_of(struct cf_vmem *vmem)
{
	void *self = vmem;

	return self;
}

/* mem_block.c: bits, hooks, and what is done to one block of the map. */

static inline cf_pfn vmem_block_first(const struct vmem *vmem, uint64_t block)
{
	return vmem->first + block * vmem->block_frames;
}

/* All bits of [first, last). */
static inline uint64_t vmem_bits(unsigned first, unsigned last)
{
	uint64_t below = last < 64 ? ((uint64_t)1 << last) - 1 : ~(uint64_t)0;

	return first < 64 ? below & ~(((uint64_t)1 << first) - 1) : 0;
}

static inline uint64_t vmem_all(const struct vmem *vmem)
{
	return vmem_bits(0, vmem->subs);
}

static inline cf_pfn vmem_part_first(const struct vmem *vmem,
				     const struct vmem_part *part)
{
	return vmem_block_first(vmem, part->block) +
	       part->first * vmem->sub_frames;
}

/* A part of a big unit reaches over all its blocks. */
static inline cf_pfn vmem_part_last(const struct vmem *vmem,
				    const struct vmem_part *part)
{
	return vmem_block_first(vmem, part->block + vmem->unit_blocks - 1) +
	       part->last * vmem->sub_frames;
}

void vmem_hooks_init(struct vmem *vmem);
/* A copy of a block's state, taken under the lock. */
struct vmem_block vmem_look(struct vmem *vmem, uint64_t block);
/* The device acknowledged: the part is (not) plugged. */
void vmem_set_plugged(struct vmem *vmem, const struct vmem_part *part,
		      bool plugged, bool taken);
/* Mark as taken. False: it is moving, or not in @mode any more. */
bool vmem_take(struct vmem *vmem, const struct vmem_part *part,
	       enum vmem_mode mode);
/* Give taken frames to the allocator again. 0, or they stay taken. */
int vmem_expose(struct vmem *vmem, const struct vmem_part *part);
/* Add blocks [block, block + unit_blocks), all plugged or partly. */
int vmem_bring_in(struct vmem *vmem, uint64_t block);
/* Bring offline blocks online. */
int vmem_bring_online(struct vmem *vmem, uint64_t block, uint64_t count,
		      enum cf_zone_kind kind);
/* Take a block offline that has nothing in use. */
int vmem_take_offline(struct vmem *vmem, uint64_t block);
/* vmem->operation: begin with a block, give up, step. */
int vmem_start_offline(struct vmem *vmem, uint64_t block);
void vmem_cancel_offline(struct vmem *vmem);
int vmem_step_offline(struct vmem *vmem);
/* Remove the offline blocks of a unit. */
int vmem_send_away(struct vmem *vmem, uint64_t block);
/* Set and clear flags of blocks [block, block + count). */
void vmem_flag(struct vmem *vmem, uint64_t block, uint64_t count,
	       unsigned set, unsigned clear);

/* mem_request.c */
/* Ask the device; nothing may be on its way. */
void vmem_send(struct vmem *vmem, enum vmem_purpose purpose,
	       enum cf_vmem_request type, const struct vmem_part *part);
void vmem_send_ask(struct vmem *vmem);
/* Take the answer. 0; -CF_EAGAIN: not there; -CF_EREFUSED: broken. */
int vmem_receive(struct vmem *vmem, enum cf_vmem_answer *ret_answer);

/* mem_config.c */
int vmem_config_read(struct vmem *vmem);

/* mem_pass.c */
void vmem_pass_begin(struct vmem *vmem);
void vmem_pass_step(struct vmem *vmem);
/* Something could not be done; the pass goes on. */
void vmem_pass_failed(struct vmem *vmem, int err);
/* The device does not want to now: nothing more in this pass. */
void vmem_pass_stop(struct vmem *vmem, int err);
/* Something was in the way of a part: one more of the pass. */
void vmem_note(struct vmem *vmem, const struct cf_report *report);
/* What PLUG was for has been plugged. */
void vmem_plugged(struct vmem *vmem);
/* What UNPLUG was for has been unplugged. */
void vmem_unplugged(struct vmem *vmem);
/* UNPLUG was refused. */
void vmem_not_unplugged(struct vmem *vmem);

static inline enum cf_zone_kind vmem_kind(const struct vmem *vmem)
{
	return vmem->config.online == CF_VMEM_ONLINE_NORMAL ?
	       CF_ZONE_NORMAL : CF_ZONE_MOVABLE;
}

static inline uint64_t vmem_plugged_bytes(const struct vmem *vmem)
{
	return vmem->plugged_frames << CF_FRAME_SHIFT;
}

/* mem_grow.c */
/* The next request towards more. False: there is nothing to be had. */
bool vmem_grow(struct vmem *vmem);

/* mem_shrink.c */
/* A step towards less. False: nothing is left to try. */
bool vmem_shrink(struct vmem *vmem);

/* mem_big.c */
/* The same in big-block mode. */
bool vmem_shrink_big(struct vmem *vmem);
/* Give up: what was taken offline comes online again. */
void vmem_big_undo(struct vmem *vmem);

#endif
