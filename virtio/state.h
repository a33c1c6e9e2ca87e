/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_STATE_H
#define VIRTIO_STATE_H

/*
 * Drivers that go on where others ended: after hibernation or in the copy of
 * a machine, with the device's memory as it was.
 *
 * A driver's state is the device's, the map's, and what stands here.  Another
 * one is opened (and started) on a device that has the same memory, before
 * there are blocks in its region; then the map is made, with its owner id in
 * the words; then it adopts what the first one knew, looks at both, and works
 * on.  Nothing is unplugged or deflated for it.
 */

#include <coldframe/walk.h>

#include "virtio/balloon.h"
#include "virtio/mem.h"

/* What a virtio-mem's driver knows of one block of its region. */
struct cf_vmem_known {
	uint64_t block;			/* its index in the region */
	uint64_t plugged, taken;	/* bits, by sub-block */
	bool want_online;
};

struct cf_vmem_saved {
	bool was_reset;		/* nothing was left plugged by others */
	bool ended;		/* the last try came to its end, ... */
	bool backing_off;	/* ... and another one is waited for */
	uint64_t retry_in_ms, retry_ms;
	uint64_t usable, requested;	/* bytes, as last heard */
	uint64_t plugged;	/* bytes, by the driver's own account */
	uint64_t requests, nacks, busies, retries;
	enum cf_virtio_broken broken;
	uint64_t broken_value;
	int err;
	struct cf_report report;
	unsigned stoppers;
	struct cf_vmem_stopper stopper[CF_VMEM_STOPPERS];
};

/**
 * cf_vmem_is_busy() - is something on its way that nobody can save?
 *
 * A request without its answer, or a unit that is just being taken offline. A
 * driver that is broken has nothing on its way.
 */
bool cf_vmem_is_busy(const struct cf_vmem *vmem);

/** cf_vmem_save() - what there is to know of a driver that is not busy. */
void cf_vmem_save(const struct cf_vmem *vmem,
		  struct cf_vmem_saved *ret_saved);

/**
 * cf_vmem_save_next() - the next block there is something to know of.
 * @block: where to begin; ret_known->block + 1 afterwards
 * Return: false: there is none.
 */
bool cf_vmem_save_next(const struct cf_vmem *vmem, uint64_t *block,
		       struct cf_vmem_known *ret_known);

/**
 * cf_vmem_adopt_block() - a block of another driver's, as it was.
 * Context: after cf_vmem_start(), before the first work.
 * Return:  0, or -CF_EINVAL: there can be no such block.
 */
int cf_vmem_adopt_block(struct cf_vmem *vmem,
			const struct cf_vmem_known *known) CF_MUST_CHECK;

/**
 * cf_vmem_adopt() - go on from where another driver was.
 * @now_ms: as cf_vmem_work() will be told
 *
 * Blocks of the region are in the map, and cf_vmem_adopt_block() told of all
 * of which there is something to know. A driver that was not started only
 * learns what the other one last heard and said.
 *
 * Context: takes CF_RANK_HOTPLUG; before the first work.
 * Return:  0, or the driver must be removed:
 *          -CF_EINVAL   frames are not in use, or out of it, as the bits say;
 *                       or the device has another sum plugged
 *          -CF_EREFUSED the device is broken
 */
int cf_vmem_adopt(struct cf_vmem *vmem, const struct cf_vmem_saved *saved,
		  uint64_t now_ms) CF_MUST_CHECK;

/* In frames. */
struct cf_balloon_saved {
	uint64_t held;
	uint64_t features;	/* agreed on by one that has ended */
	uint64_t retry_in_ms, low_in_ms;
	bool draining, low;
	uint64_t migrated, reported, report_ends, hints, hint_rounds;
	uint64_t stats_sent, low_deflated;
	enum cf_virtio_broken broken;
	uint64_t broken_value;
};

/**
 * cf_balloon_is_busy() - is something on its way that nobody can save?
 *
 * Frames on their way in or out, a report, a round of hints, a migration.
 */
bool cf_balloon_is_busy(struct cf_balloon *balloon);

/** cf_balloon_save() - what there is to know of a driver that is not busy. */
void cf_balloon_save(struct cf_balloon *balloon,
		     struct cf_balloon_saved *ret_saved);

/**
 * cf_balloon_save_next() - the next frames that the host has of this driver.
 * @cursor: where to begin; one past them afterwards
 * Context: of a driver that is open.
 * Return:  false: there are none.
 */
bool cf_balloon_save_next(struct cf_balloon *balloon, cf_pfn *cursor,
			  struct cf_span *ret_span);

/**
 * cf_balloon_adopt() - go on from where another driver was.
 * @now_ms: as cf_balloon_work() will be told
 *
 * Frames of this driver's owner id are in the map, OFFLINE, with the states
 * of the other one's as payloads. What was reported is forgotten, and will be
 * reported again.
 *
 * Context: before the first work.
 * Return:  0, or -CF_EINVAL: other frames than those are held.
 */
int cf_balloon_adopt(struct cf_balloon *balloon,
		     const struct cf_balloon_saved *saved, uint64_t now_ms)
	CF_MUST_CHECK;

#endif
