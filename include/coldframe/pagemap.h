/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_PAGEMAP_H
#define COLDFRAME_PAGEMAP_H

#include <coldframe/map.h>
#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Device memory: ranges of frames that a device brings along and its driver,
 * an owner, hands out.  The allocator never sees them.
 *
 * Every run rests idle, at count 0, with its owner; is handed out with one
 * reference; and comes back, frozen, through the owner's release hook when
 * the last reference goes.  Nobody sets a count behind that: what the hook
 * was given is the owner's, and may be out again before the put returns.
 * The hook's verdict changes nothing: device memory is never freed.
 *
 * A range begins as idle runs of 2 MiB.  cf_split() and cf_merge() change
 * that for runs their owner has; every run stays inside its block.
 */

/* What the memory is.  Numbers as in Linux. */
enum cf_pagemap_kind {
	CF_PAGEMAP_PRIVATE	= 1, /* no CPU can touch it: that is a fault */
	CF_PAGEMAP_COHERENT	= 2, /* CPUs and the device touch it alike */
	CF_PAGEMAP_FS_DAX	= 3, /* blocks of files */
	CF_PAGEMAP_GENERIC	= 4, /* handed to one user as it is */
	CF_PAGEMAP_P2P		= 5, /* what other devices reach by DMA */
	CF_PAGEMAP_KIND_COUNT
};

const char *cf_pagemap_kind_name(enum cf_pagemap_kind kind);

/* How to add a range. */
struct cf_pagemap_config {
	enum cf_pagemap_kind kind;
	uint32_t owner;		/* whose frames they are */
	uint32_t node;
	enum cf_meta meta;	/* where its metadata lies */
	void *memory;		/* CF_META_CALLER: cf_block_meta_bytes(), frame
				 * aligned */
};

/**
 * cf_pagemap_add() - make a range of device memory known, all of it idle.
 * @first, @last: block aligned, half open
 * @config:       kind, owner, node, metadata
 *
 * All frames are idle runs of the owner's, but for metadata of the range's
 * own (RESERVED) and frames known to be bad (RETIRED); the release hook is not
 * called for them. Pair with cf_pagemap_remove().
 *
 * Context: takes CF_RANK_HOTPLUG. Calls cf_port_meta_alloc().
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL  empty, unaligned or beyond the map; no such kind, node
 *                      or owner; CALLER without memory; PRIVATE memory cannot
 *                      hold its own metadata
 *          -CF_EBUSY   a block of the range is there already
 *          -CF_ENOMEM  the port has no memory for metadata, or maps none of
 *                      the range's frames
 */
int cf_pagemap_add(struct cf_map *map, cf_pfn first, cf_pfn last,
		   const struct cf_pagemap_config *config) CF_MUST_CHECK;

/**
 * cf_pagemap_remove_start() - begin to take a range away.
 * @first, @last: exactly a range that was added
 *
 * From here on nobody gets a reference of the range any more but from one he
 * holds: not by hand-out, not by number, not by migration. Pair with
 * cf_pagemap_remove_cancel(), or go on with cf_pagemap_remove_step().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL  not a range that was added
 *          -CF_EGONE   there is no device memory
 *          -CF_EBUSY   it is being removed already
 */
int cf_pagemap_remove_start(struct cf_map *map, cf_pfn first, cf_pfn last)
	CF_MUST_CHECK;

/**
 * cf_pagemap_remove_step() - take the range away if nobody holds any of it.
 * @report: NULL, or the first run in the way, and how many frames for each
 *          reason: REFERENCED, PINNED, FROZEN (its owner did not give it up),
 *          TRANSIT
 *
 * As long as there are references nothing is asked and nothing changes.
 * Then the owner's dissolve hook is asked for each idle run, if it has that
 * hook; what it gave up stays so until the range is gone or the removal is
 * cancelled. When all is given up the range goes as blocks do: it is
 * unpublished, walkers are waited for, metadata is given back. While it goes
 * on, each run that comes back raises CF_SIGNAL_DEVICE_IDLE.
 *
 * Context: takes CF_RANK_HOTPLUG, calls hooks, waits for read sections.
 * Return:  0: the range is gone; or the removal goes on:
 *          -CF_EINVAL  @first and @last are no range that is being removed
 *          -CF_EAGAIN  something is in motion: step again
 *          -CF_EBUSY   something is held: the report says what
 */
int cf_pagemap_remove_step(struct cf_map *map, cf_pfn first, cf_pfn last,
			   struct cf_report *report) CF_MUST_CHECK;

/**
 * cf_pagemap_remove_cancel() - the range stays after all.
 *
 * Runs that were given up come back through the owner's release hook.
 *
 * Context: takes CF_RANK_HOTPLUG, calls hooks.
 * Return:  0, or -CF_EINVAL: no range that is being removed.
 */
int cf_pagemap_remove_cancel(struct cf_map *map, cf_pfn first, cf_pfn last)
	CF_MUST_CHECK;

/**
 * cf_pagemap_remove() - start, at most @passes steps, cancel if not done.
 * @report: NULL, or what the last step found in the way
 *
 * Never frees memory that somebody holds. Pair of cf_pagemap_add().
 *
 * Context: as cf_pagemap_remove_step(). Not in a read section.
 * Return:  0, or with everything as it was: what start or the last step
 *          returned:
 *          -CF_EINVAL  not a range that was added
 *          -CF_EGONE   there is no device memory
 *          -CF_EBUSY   something is held, or it is being removed already
 *          -CF_EAGAIN  something is in motion still, or no pass was allowed
 */
int cf_pagemap_remove(struct cf_map *map, cf_pfn first, cf_pfn last,
		      unsigned passes, struct cf_report *report) CF_MUST_CHECK;

struct cf_pagemap_info {
	cf_pfn first, last;	/* as added */
	enum cf_pagemap_kind kind;
	uint32_t owner;		/* CF_OWNER_ORPHAN: it is gone */
	uint32_t node;
	bool self_hosted;
	bool removing;
	uint64_t idle;		/* frames at count 0; given up ones too */
	uint64_t used;		/* frames with references */
	uint64_t pinned;	/* of these */
	uint64_t retired;	/* bad frames */
	uint64_t reserved;	/* the range's own metadata */
};

/**
 * cf_pagemap_info() - about the range a frame is in.
 *
 * O(runs). Exact when nothing runs.
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or -CF_EGONE: there is no device memory.
 */
int cf_pagemap_info(struct cf_map *map, cf_pfn pfn,
		    struct cf_pagemap_info *ret_info) CF_MUST_CHECK;

/**
 * cf_pagemap_hand_out() - give an idle run its first reference.
 * @owner: whose it is
 * @pfn:   its head
 *
 * Whose it is, that it is idle, sound and stays, and the count of 1 are one
 * exchange. Pair with cf_put(); the last one ends in the release hook.
 *
 * Context: any.
 * Return:  0, or with nothing changed:
 *          -CF_EGONE    not the head of a run of device memory
 *          -CF_EAGAIN   it is not idle, or it is busy
 *          -CF_EREFUSED it is another owner's; it holds a bad frame; or its
 *                       range is being removed
 */
int cf_pagemap_hand_out(struct cf_map *map, uint32_t owner, cf_pfn pfn)
	CF_MUST_CHECK;

/*
 * A migration between device memory and other memory, or within it.
 *
 * The targets are frozen and the caller's: idle device runs it took from its
 * list, or runs of CF_ALLOC_FROZEN.  They are of one order; several of them
 * cut the source into as many.
 */
struct cf_migration {
	cf_pfn source;		/* head of a counted run the caller holds */
	uint32_t refs;		/* its references that move along, at least 1 */
	uint32_t extra;		/* its references that end here: 1 in a fault
				 * hook */
	const cf_pfn *targets;
	size_t count;
	/*
	 * Copy 2^@order frames.  Nonzero: it failed.  NULL: cf_copy_run().
	 */
	int (*copy)(void *context, cf_pfn source, cf_pfn target,
		    unsigned order);
	/*
	 * All is copied: point what pointed at 2^@order frames from @source on
	 * to @target.  Neither can be referenced this moment.
	 */
	void (*moved)(void *context, cf_pfn source, cf_pfn target,
		      unsigned order);
	void *context;
};

/**
 * cf_pagemap_migrate() - move a run to or from device memory.
 * @migration: what and how
 *
 * Afterwards each target has @refs references. The source had its last put: a
 * device's is idle again, and came back through its owner's release hook; one
 * of another owner's came to that one's hook, whose verdict says whether it is
 * free; any other is free.
 *
 * Context: calls back with source and targets BUSY: copy and moved take no
 *          CF_RANK_HOTPLUG. Runs the release hook.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   no reference moves; neither source nor targets are
 *                       device memory; the targets are not of one order, or
 *                       together not as large as the source
 *          -CF_EGONE    the source is not the head of a counted run, or a
 *                       target of none
 *          -CF_EAGAIN   the source has other references, or pins, or is busy,
 *                       or a target is not frozen
 *          -CF_EREFUSED a target holds a bad frame, or its range is being
 *                       removed
 *          -CF_EPORT    copying failed
 */
int cf_pagemap_migrate(struct cf_map *map,
		       const struct cf_migration *migration) CF_MUST_CHECK;

/**
 * cf_pagemap_fault() - a CPU has touched private device memory.
 * @pfn:     any frame of a run in use
 * @ret_pfn: where its contents are now
 *
 * Takes a reference and runs the owner's fault hook, one at a time for a run.
 *
 * Context: not under a lock; calls the hook in a read section.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   the frame is not private memory: touch it
 *          -CF_EGONE    it is in no run that has references: look again where
 *                       the contents are
 *          -CF_EAGAIN   another fault, or the owner, is moving it this moment
 *          -CF_ELIMIT   the count is at its limit
 *          -CF_ENOMEM   the owner has no memory to move it to
 *          -CF_EREFUSED the owner has no fault hook, is gone, or said no
 */
int cf_pagemap_fault(struct cf_map *map, cf_pfn pfn, cf_pfn *ret_pfn)
	CF_MUST_CHECK;

/**
 * cf_pagemap_retire() - take the bad frames out of an idle run.
 * @owner:   whose it is
 * @pfn:     head of a run that is idle and with its owner
 * @ret_bad: NULL, or how many frames of it were bad
 *
 * cf_retire() has marked the run and told the owner's failure hook; once it
 * has the run to itself the owner calls this. Each bad frame becomes RETIRED,
 * the others become idle runs, as large as fit, up to 2 MiB: look at them with
 * cf_snapshot() from @pfn on. A run without bad frames stays as it is.
 *
 * Context: any; takes CF_RANK_BLOCK.
 * Return:  0, or with nothing changed:
 *          -CF_EGONE    not the head of a run of device memory
 *          -CF_EAGAIN   it is not idle, or it is busy
 *          -CF_EREFUSED it is another owner's
 */
int cf_pagemap_retire(struct cf_map *map, uint32_t owner, cf_pfn pfn,
		      uint64_t *ret_bad) CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
