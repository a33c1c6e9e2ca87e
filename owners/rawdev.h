/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_RAWDEV_H
#define OWNERS_RAWDEV_H

/*
 * Memory of a device as it is: generic ranges that users map (device-dax), and
 * p2p ranges that other devices reach by DMA.
 *
 * The range is cut into parts of one size.  Whoever uses a part - maps it, or
 * pins it for DMA - does so under a name, and has one reference of it, or one
 * pin.  A part nobody uses rests at count 0, as all device memory does: there
 * is no count of 1 that means "nobody", and no special case for these kinds.
 *
 * A device that goes away says so first: rawdev_remove_start() lets nobody new
 * in and asks users to let go (config.revoke).  Mappings can be revoked; a DMA
 * that runs cannot, so removal waits for pins, says whose they are, and never
 * takes memory from under one.
 *
 * All calls may run at once, but create and destroy.  The lock has
 * CF_RANK_LEAF and nothing is called under it.
 */

#include <coldframe/pagemap.h>
#include <coldframe/types.h>

struct rawdev;

struct rawdev_config {
	const char *name;	/* for reports; NULL: "rawdev" */
	struct cf_pagemap_config pagemap; /* kind GENERIC or P2P; owner is
					   * filled in */
	cf_pfn first, last;	/* the range */
	uint32_t order;		/* of a part, 0..9 */
	uint32_t holds;		/* most uses at a time, 1..2^24 */
	/*
	 * The range goes: let go of part @part.  Called for each mapping, and
	 * once for each pin.  NULL: users find out by themselves.
	 */
	void (*revoke)(void *context, const char *who, uint32_t part,
		       bool pinned);
	/* @bad, a frame of a part that @who uses, is bad.  Or NULL. */
	void (*failed)(void *context, const char *who, cf_pfn bad);
	void *context;
};

/**
 * rawdev_bytes() - memory it needs.
 * Return: bytes, or 0 if @config can never be right.
 */
size_t rawdev_bytes(const struct rawdev_config *config);

/**
 * rawdev_create() - register the owner and its range.
 * @storage: rawdev_bytes() bytes, aligned to 16; in use until destroyed
 *
 * Pair with rawdev_destroy().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right; see cf_pagemap_add()
 *          -CF_EBUSY   blocks are there already
 *          -CF_ENOMEM  no memory for metadata
 *          -CF_ELIMIT  no owner id is left
 *          -CF_EAGAIN  somebody else had a run of the range in hand
 */
int rawdev_create(struct cf_map *map, const struct rawdev_config *config,
		  void *storage, struct rawdev **ret_device) CF_MUST_CHECK;

/**
 * rawdev_destroy() - unregister; removes the range if it is still there.
 * @report: NULL, or what is in use: frame, user's name in detail
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections.
 * Return:  0, or with the range as it was:
 *          -CF_EBUSY   a part is in use; or its removal has been started:
 *                      step or cancel that first
 *          -CF_EAGAIN  a part was in motion all the time
 */
int rawdev_destroy(struct rawdev *device, struct cf_report *report)
	CF_MUST_CHECK;

/* The owner id, as reports and words have it. */
uint32_t rawdev_owner(const struct rawdev *device);

/* How many parts; the first frame of one. */
uint32_t rawdev_parts(const struct rawdev *device);
cf_pfn rawdev_pfn(const struct rawdev *device, uint32_t part);

/**
 * rawdev_map() - use a part: one reference in this name.
 * @who: stays valid until unmapped
 *
 * Pair with rawdev_unmap().
 *
 * Context: any.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   no such part, or no name
 *          -CF_EREFUSED the range is being removed, or the part has a bad
 *                       frame
 *          -CF_EAGAIN   its first or last user comes or goes this moment
 *          -CF_ELIMIT   config.holds are out, or the count is at its limit
 */
int rawdev_map(struct rawdev *device, uint32_t part, const char *who)
	CF_MUST_CHECK;

/**
 * rawdev_unmap() - give the part back.
 * A reference that is given back by cf_put() instead leaves its name behind
 * until the part's last reference goes.
 *
 * Return: 0, or -CF_EINVAL: no such part, or not mapped in this name.
 */
int rawdev_unmap(struct rawdev *device, uint32_t part, const char *who)
	CF_MUST_CHECK;

/**
 * rawdev_pin() - DMA of @who to a part begins.
 *
 * As rawdev_map(), with a pin; pair with rawdev_unpin().
 * Return: as rawdev_map().
 */
int rawdev_pin(struct rawdev *device, uint32_t part, const char *who)
	CF_MUST_CHECK;

/**
 * rawdev_unpin() - that DMA has ended.
 * Return: 0, or -CF_EINVAL: no such part, or not pinned in this name.
 */
int rawdev_unpin(struct rawdev *device, uint32_t part, const char *who)
	CF_MUST_CHECK;

/**
 * rawdev_remove_start() - the device is about to go.
 *
 * Nobody new gets in, users are asked to let go. Pair with
 * rawdev_remove_cancel(), or go on with rawdev_remove_step().
 *
 * Context: takes CF_RANK_HOTPLUG; calls config.revoke.
 * Return:  0, or -CF_EBUSY: it is going already; -CF_EGONE: it is gone.
 */
int rawdev_remove_start(struct rawdev *device) CF_MUST_CHECK;

/**
 * rawdev_remove_step() - is it in use still?  If not, its range goes.
 * @report: NULL, or the first part in use; detail is its user's name
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections.
 * Return:  0: the range is gone; or it goes on:
 *          -CF_EINVAL  it is not being removed
 *          -CF_EBUSY   a part is in use
 *          -CF_EAGAIN  a part is in motion
 */
int rawdev_remove_step(struct rawdev *device, struct cf_report *report)
	CF_MUST_CHECK;

/**
 * rawdev_remove_cancel() - the device stays.
 * Return: 0, or -CF_EINVAL: it is not being removed.
 */
int rawdev_remove_cancel(struct rawdev *device) CF_MUST_CHECK;

struct rawdev_stat {
	uint32_t idle, used, held, gone, bad;	/* parts */
	uint32_t mappings, pins;	/* that are out */
	/* Since it was made: */
	uint64_t revoked;	/* users asked to let go */
	uint64_t failures;	/* users told of a bad frame */
	uint64_t forgotten;	/* names whose reference was put by cf_put() */
	uint64_t strangers;	/* hooks for what is no part */
	cf_pfn stranger;	/* the last of those, or CF_PFN_NONE */
};

void rawdev_stat(struct rawdev *device, struct rawdev_stat *ret_stat);

enum rawdev_finding_kind {
	RAWDEV_FINDING_NONE,
	RAWDEV_FINDING_OWNER,	/* a part is another owner's */
	RAWDEV_FINDING_IDLE,	/* a part nobody uses has references */
	RAWDEV_FINDING_USED,	/* a part has fewer references than users */
	RAWDEV_FINDING_COUNT,	/* a counter is wrong, or a part is cut */
};

struct rawdev_finding {
	enum rawdev_finding_kind kind;
	cf_pfn pfn;		/* CF_PFN_NONE: a counter */
	uint32_t owner;		/* of the frame as it is */
};

/**
 * rawdev_verify() - is every part what map and users say?
 *
 * Context: nothing else runs on it.
 * Return: true; false: *@ret_finding says what and where.
 */
bool rawdev_verify(struct rawdev *device, struct rawdev_finding *ret_finding);

#endif
