/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_DEVMEM_H
#define OWNERS_DEVMEM_H

/*
 * A driver of device memory to copy from: a GPU's or an accelerator's, private
 * or coherent.  Runs of 2 MiB and single frames go out with one reference and
 * come back through a free list, while others try their numbers; pages of
 * processes move to the device and, touched or called for, back again.
 *
 * What the driver knows of a run stands in records of its own, one a frame of
 * the range; the word says who may have it.  The rule that makes the free
 * list safe is the engine's: a run that comes to the release hook is the
 * driver's at count 0, and nobody writes its count after the hook.
 *
 *	frames of the range = idle + used + held + gone + bad
 *
 * idle: on a list.  used: with references.  held: in the hands of one call.
 * gone: given up, because the range is being removed.  bad: retired.
 *
 * References that move along with a page are those the driver knows of: the
 * one of devmem_alloc(), or those named at devmem_to_device(), and one for
 * each devmem_map() since.  Whoever has others - a walker, DMA with a pin -
 * makes a migration answer -CF_EAGAIN and nothing more.
 *
 * All calls may run at once, but create and destroy.  The driver's lock has
 * CF_RANK_LEAF and nothing is called under it.
 */

#include <coldframe/pagemap.h>
#include <coldframe/types.h>

struct devmem;

struct devmem_config {
	const char *name;	/* for reports; NULL: "devmem" */
	struct cf_pagemap_config pagemap; /* kind PRIVATE or COHERENT; owner is
					   * filled in */
	cf_pfn first, last;	/* the range */
	bool split_faults;	/* a touch brings back one frame, not the run */
	/*
	 * Copy 2^@order frames by the device's DMA; nonzero: it failed.  NULL,
	 * COHERENT only: CPUs do it.
	 */
	int (*copy)(void *context, cf_pfn source, cf_pfn target,
		    unsigned order);
	/* Point page tables from @source to @target; NULL: there are none. */
	void (*moved)(void *context, cf_pfn source, cf_pfn target,
		      unsigned order);
	/* @bad, a frame of a run in use, is bad: stop its users.  Or NULL. */
	void (*failed)(void *context, cf_pfn bad);
	void *context;
};

/**
 * devmem_bytes() - memory a driver needs.
 * Return: bytes, or 0 if @config can never be right.
 */
size_t devmem_bytes(const struct devmem_config *config);

/**
 * devmem_create() - register the driver and its range.
 * @storage: devmem_bytes() bytes, aligned to 16; the driver's until destroyed
 *
 * Pair with devmem_destroy().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right: no such kind; PRIVATE
 *                      without copy; see cf_pagemap_add()
 *          -CF_EBUSY   blocks are there already
 *          -CF_ENOMEM  no memory for metadata
 *          -CF_ELIMIT  no owner id is left
 */
int devmem_create(struct cf_map *map, const struct devmem_config *config,
		  void *storage, struct devmem **ret_driver) CF_MUST_CHECK;

/**
 * devmem_destroy() - bring everything back, remove the range, unregister.
 * @report: NULL, or what is still held, and by how many references
 *
 * Pages that moved here go back to other memory as in devmem_evict(); runs of
 * devmem_alloc() have to come back by themselves: nothing says who points to
 * them, so neither eviction nor a touch moves them. Also of a range that others
 * have removed to the end.
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections.
 * Return:  0, or with the range as it was, but for pages that went back:
 *          -CF_EBUSY   something is held, or the range's removal has been
 *                      started by others
 *          -CF_EAGAIN  something was in motion all the time
 */
int devmem_destroy(struct devmem *driver, struct cf_report *report)
	CF_MUST_CHECK;

/* The driver's owner id, as reports and words have it. */
uint32_t devmem_owner(const struct devmem *driver);

/**
 * devmem_alloc() - a run of device memory, with one reference.
 * @order:   0 or 9
 * @ret_pfn: its head; give it back with cf_put()
 *
 * A single frame comes from a run that is cut already, if there is one; for
 * 2 MiB idle frames are joined, if that makes one.
 *
 * Context: any; takes CF_RANK_BLOCK.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   another order
 *          -CF_ENOMEM   none is idle
 *          -CF_EAGAIN   what is idle was busy each time
 *          -CF_EREFUSED the range is being removed, or was taken from the
 *                       driver: then a stranger is counted
 */
int devmem_alloc(struct devmem *driver, unsigned order, cf_pfn *ret_pfn)
	CF_MUST_CHECK;

/* Where the pieces of a page go that has to be cut; see below. */
struct devmem_pieces {
	cf_pfn pfn[1 << CF_CHUNK_ORDER];
};

/**
 * devmem_to_device() - move a page of a process to the device.
 * @source: head of a counted run of order 0..9, the caller's
 * @refs:   its references, all of which move along
 * @pieces: room for as many pieces as it has frames; NULL: do not cut it
 *
 * 2 MiB go in one piece, or as single frames if the device has no 2 MiB left;
 * runs between go as single frames. config.moved is told where each is.
 *
 * Context: any; calls config.copy and config.moved.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   no such order, no reference
 *          -CF_EGONE    not the head of a counted run
 *          -CF_EAGAIN   it has other references, or pins, or is in motion;
 *                       or each frame it was to go to turned out bad
 *          -CF_ENOMEM   the device has no room
 *          -CF_EREFUSED the range is being removed
 *          -CF_EPORT    copying failed
 */
int devmem_to_device(struct devmem *driver, cf_pfn source, uint32_t refs,
		     struct devmem_pieces *pieces) CF_MUST_CHECK;

/**
 * devmem_map() - one more reference that moves along, by one who holds one.
 * Return: 0, -CF_EINVAL: not a run of this driver's in use, -CF_EAGAIN: it is
 *         being moved, -CF_ELIMIT: the count is at its limit.
 */
int devmem_map(struct devmem *driver, cf_pfn pfn) CF_MUST_CHECK;

/**
 * devmem_unmap() - drop a reference that moves along.
 * Return: 0, -CF_EINVAL: not a run of this driver's in use, -CF_EAGAIN: it is
 *         being moved: look again where it is.
 */
int devmem_unmap(struct devmem *driver, cf_pfn pfn) CF_MUST_CHECK;

/**
 * devmem_evict() - bring pages back that moved to the device.
 * @count:     how many runs at most
 * @ret_count: how many came back, also on failure
 *
 * Context: any that may allocate; calls config.copy and config.moved.
 * Return:  0, or having done part of it: -CF_EAGAIN: some have other
 *          references or were in motion, -CF_ENOMEM: no memory to move to,
 *          -CF_EPORT: copying failed.
 */
int devmem_evict(struct devmem *driver, uint64_t count, uint64_t *ret_count)
	CF_MUST_CHECK;

struct devmem_stat {
	uint64_t idle, used, held, gone, bad;	/* frames */
	uint64_t idle_whole;	/* runs of 2 MiB */
	/* Since it was made: */
	uint64_t to_device, to_system;	/* frames moved */
	uint64_t faults, cuts, joins;
	uint64_t strangers;	/* hooks for what is not the driver's to have */
	cf_pfn stranger;	/* the last of those, or CF_PFN_NONE */
};

void devmem_stat(struct devmem *driver, struct devmem_stat *ret_stat);

enum devmem_finding_kind {
	DEVMEM_FINDING_NONE,
	DEVMEM_FINDING_OWNER,	/* a run of the range is another owner's */
	DEVMEM_FINDING_IDLE,	/* a listed run has references, or is none */
	DEVMEM_FINDING_USED,	/* a run in use has none */
	DEVMEM_FINDING_COUNT,	/* a counter is wrong */
};

struct devmem_finding {
	enum devmem_finding_kind kind;
	cf_pfn pfn;		/* CF_PFN_NONE: a counter */
	uint32_t owner;		/* of the frame as it is */
};

/**
 * devmem_verify() - is every record what the map says?
 *
 * Context: nothing else runs on the driver.
 * Return: true; false: *@ret_finding says what and where.
 */
bool devmem_verify(struct devmem *driver, struct devmem_finding *ret_finding);

#endif
