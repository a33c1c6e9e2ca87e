/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_MEM_H
#define VIRTIO_MEM_H

#include <coldframe/block.h>
#include <coldframe/map.h>
#include <coldframe/owner.h>

#include "virtio/virtio.h"

/*
 * The driver of a virtio-mem device: memory that the host gives and takes in
 * pieces, by asking for a size.
 *
 * No threads: the embedder calls cf_vmem_work() as often as its answer says,
 * and after every interrupt.
 */

/* How blocks of the device's region are brought into use. */
enum cf_vmem_online {
	CF_VMEM_ONLINE_MOVABLE,	/* zone MOVABLE: can be given back */
	CF_VMEM_ONLINE_NORMAL,
	CF_VMEM_ONLINE_NOT,	/* left offline: the embedder does it */
};

/* Zero means the default where one is named. */
struct cf_vmem_config {
	struct cf_map *map;
	const struct cf_virtio_ops *ops;
	void *transport;
	struct cf_virtio_memory shared;	/* cf_vmem_shared_bytes() */
	const char *name;		/* of the owner; NULL: "virtio-mem" */

	/*
	 * The region's first frame in the map, where the device's own
	 * addresses are others than the map's frames.
	 */
	bool placed;
	cf_pfn place;

	/* The region must lie in here; last 0: anywhere in the map. */
	cf_pfn first, last;

	enum cf_vmem_online online;
	bool big_blocks;	/* big-block mode even if sub-blocks fit */
	uint64_t big_block_frames; /* a big block at least; 0: a block */
	bool keep_online;	/* take nothing from blocks that are online */
	uint32_t node;		/* where the device names none that is there */
	uint64_t retry_min_ms;	/* 0: 500 */
	uint64_t retry_max_ms;	/* 0: 60000 */
	/* Added, not online, at most; 0: 1 GiB, or two blocks if more. */
	uint64_t offline_max_frames;
};

/* What cf_vmem_work() is at, for people. */
enum cf_vmem_phase {
	CF_VMEM_IDLE,		/* plugged == requested, as far as can be */
	CF_VMEM_RESET,		/* unplugging what somebody left plugged */
	CF_VMEM_GROWING,
	CF_VMEM_SHRINKING,
	CF_VMEM_CLEANING,	/* size is right, leftovers are not */
	CF_VMEM_BACKING_OFF,	/* tried, and tries again later */
	CF_VMEM_BROKEN,
	CF_VMEM_PHASE_COUNT
};

const char *cf_vmem_phase_name(enum cf_vmem_phase phase);

/* What keeps memory from being had back: runs of one owner, for one reason. */
struct cf_vmem_stopper {
	cf_pfn pfn;		/* of the highest part, the first */
	uint32_t owner;
	enum cf_type type;
	enum cf_reason reason;
	uint64_t frames;	/* for that reason, in those parts */
	uint64_t parts;		/* sub-blocks, or memory blocks of big ones */
};

#define CF_VMEM_STOPPERS	8

struct cf_vmem_status {
	enum cf_vmem_phase phase;
	uint32_t owner;			/* its id, once started */
	enum cf_virtio_broken broken;
	uint64_t broken_value;
	uint64_t addr, region, usable, requested; /* bytes: the device says */
	uint64_t plugged;	/* bytes, by the driver's own account */
	uint64_t device_block, sub_block;	/* bytes */
	bool big_blocks;
	bool waiting;		/* a request is not answered yet */
	uint32_t node;
	uint64_t blocks, blocks_partial;	/* added; of these partial */
	uint64_t requests, nacks, busies, retries;
	/*
	 * Why memory could not be had back, from the last try: of the first
	 * part that was kept, with the frames in the way of all parts.
	 */
	int err;		/* enum cf_err, negative; 0: nothing failed */
	struct cf_report report;
	/* Part by part. More owners and reasons than that are not told. */
	unsigned stoppers;
	struct cf_vmem_stopper stopper[CF_VMEM_STOPPERS];
};

/* The driver.  Opaque but for its size; see virtio/mem_internal.h. */
struct cf_vmem {
	uint64_t opaque[384];
};

/* Memory to be shared with the device. */
size_t cf_vmem_shared_bytes(void);

/**
 * cf_vmem_open() - negotiate, and look at what the device is.
 * @vmem:   zeroed
 * @config: copied
 *
 * Touches neither map nor memory. Continue with cf_vmem_start(), or pair with
 * cf_vmem_remove().
 *
 * Return:  0, or
 *          -CF_EINVAL   the configuration can never be right
 *          -CF_EREFUSED the device is broken: cf_vmem_status() says why
 */
int cf_vmem_open(struct cf_vmem *vmem, const struct cf_vmem_config *config)
	CF_MUST_CHECK;

/** cf_vmem_bytes() - storage that start needs for the device's region. */
size_t cf_vmem_bytes(const struct cf_vmem *vmem);

/**
 * cf_vmem_start() - become the owner of the region.
 * @storage: cf_vmem_bytes() bytes, aligned to 8, any contents; the driver's
 *           until cf_vmem_remove()
 *
 * If the device has memory plugged, the first work is to unplug all of it.
 * From now on anybody may take blocks of the region offline and bring them
 * online; only the driver adds and removes them.
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or
 *          -CF_EBUSY    blocks of the region are in the map already
 *          -CF_ELIMIT   no owner id is left
 *          -CF_EREFUSED broken
 */
int cf_vmem_start(struct cf_vmem *vmem, void *storage) CF_MUST_CHECK;

/**
 * cf_vmem_work() - do a bounded piece of what there is to do.
 * @now_ms: a clock that does not run backwards
 *
 * At most one request and one operation on the map: one sub-block's frames
 * moved, or one block added, onlined or removed.
 *
 * Context: one caller at a time. Takes CF_RANK_HOTPLUG; holds no lock while
 *          it calls the map's operations.
 * Return:  when it wants to be called again.
 */
struct cf_next cf_vmem_work(struct cf_vmem *vmem, uint64_t now_ms);

/**
 * cf_vmem_interrupt() - as cf_virtio_interrupt().
 */
uint8_t cf_vmem_interrupt(struct cf_vmem *vmem, uint8_t isr);

/** cf_vmem_kick() - memory was freed: do not wait for the next retry. */
void cf_vmem_kick(struct cf_vmem *vmem);

/** cf_vmem_status() - a copy. Context: not while work runs. */
void cf_vmem_status(const struct cf_vmem *vmem,
		    struct cf_vmem_status *ret_status);

/**
 * cf_vmem_ask() - ask the device for the state of its blocks.
 * @first, @last: in what is usable of the region, multiples of the device's
 *                 block
 *
 * The question goes out with the work that follows.
 * Return: 0, -CF_EINVAL: not such a range, -CF_EBUSY: one is asked already.
 */
int cf_vmem_ask(struct cf_vmem *vmem, cf_pfn first, cf_pfn last) CF_MUST_CHECK;

/**
 * cf_vmem_forget() - give up what was asked; another may be asked at once.
 *
 * An answer that comes yet is taken and dropped. Nothing asked: nothing done.
 * Context: not while work runs.
 */
void cf_vmem_forget(struct cf_vmem *vmem);

/**
 * cf_vmem_answer() - the answer to cf_vmem_ask().
 * Return:  0, or
 *          -CF_EAGAIN   not there yet
 *          -CF_EBUSY    the device is: ask again
 *          -CF_EINVAL   nothing was asked, or the device calls it wrong
 *          -CF_EREFUSED broken
 */
int cf_vmem_answer(struct cf_vmem *vmem, enum cf_vmem_state *ret_state)
	CF_MUST_CHECK;

/**
 * cf_vmem_has() - is a frame of the region plugged?  For dumps: what is not
 * plugged must not be read. Context: any but interrupts.
 */
bool cf_vmem_has(struct cf_vmem *vmem, cf_pfn pfn);

/**
 * cf_vmem_remove() - end the driver.
 * @force: even with memory in the map
 *
 * Forced, memory that is in use stays in use; blocks that are partly plugged
 * stay online and cannot be taken offline any more; frames that are not
 * plugged stay OFFLINE, the orphan's. Offline blocks are removed.
 *
 * Context: takes CF_RANK_HOTPLUG. Not while work runs.
 * Return:  0: @vmem, storage and shared memory are the caller's again; or
 *          -CF_EBUSY  not forced, and blocks are in the map; or another
 *                     offline operation goes on: try again
 *          -CF_EPORT  ended, but the device does not reset: never use the
 *                     shared memory for anything else
 */
int cf_vmem_remove(struct cf_vmem *vmem, bool force) CF_MUST_CHECK;

#endif
