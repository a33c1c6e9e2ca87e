/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_ALLOC_H
#define COLDFRAME_ALLOC_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * cf_alloc() - allocate a run.
 * @request: order, type, owner, zone, node and flags. Types KERNEL and FOLIO
 *           are counted and start with one reference, or frozen with
 *           CF_ALLOC_FROZEN; PGTABLE and SLAB are always frozen. Zone MOVABLE
 *           takes FOLIO with an owner only.
 * @ret_pfn: head of the run
 *
 * Best fit: partly free chunks before whole ones; blocks that other contexts
 * take from come last. Pair with cf_put() for the last reference, or
 * cf_free_frozen().
 *
 * Context: any; takes CF_RANK_BLOCK, may take CF_RANK_DRAIN unless
 *          CF_ALLOC_NOWAIT.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  the request can never be right
 *          -CF_EGONE   the owner is not registered (any more)
 *          -CF_ENOMEM  no run of that order within the zones and watermarks
 *          -CF_EPORT   CF_ALLOC_ZERO, and the port maps no contents
 */
int cf_alloc(struct cf_map *map, struct cf_request request, cf_pfn *ret_pfn)
	CF_MUST_CHECK;

/**
 * cf_alloc_bulk() - allocate many runs.
 * @request:  as for cf_alloc(), for each
 * @count:    how many
 * @ret_pfns: their heads, in no order
 * @ret_done: how many there are, also on failure; they are the caller's
 *
 * Single frames with neither owner nor flags are cheaper than one by one.
 *
 * Context: as cf_alloc().
 * Return:  0, or what stopped it: as cf_alloc().
 */
int cf_alloc_bulk(struct cf_map *map, struct cf_request request, size_t count,
		  cf_pfn *ret_pfns, size_t *ret_done) CF_MUST_CHECK;

/**
 * cf_free_frozen() - free a run that has no references.
 * @pfn:   head of the run
 * @order: its order
 *
 * A wrong order, a run with references, a frame that is free, offline or
 * foreign is caught by a check that names the frame.
 *
 * Context: any; takes CF_RANK_BLOCK.
 */
void cf_free_frozen(struct cf_map *map, cf_pfn pfn, unsigned order);

/**
 * cf_alloc_range() - allocate exactly [first, last).
 * @request: type, owner and flags of the runs made; order is ignored
 * @report:  NULL, or what stood in the way
 *
 * Isolates the chunks around, moves what can be moved, takes the range. The
 * range comes as naturally aligned runs, the largest that fit, each as
 * cf_alloc() would have made it. Pair with cf_free_range().
 *
 * Context: takes CF_RANK_HOTPLUG, calls owners' hooks, waits for caches to
 *          drain. Not under a lock, not in a read section, not in a hook.
 * Return:  0, or with the range as it was (moved runs stay moved):
 *          -CF_EINVAL   empty range, wrong request, or part of the range is in
 *                       zone MOVABLE and the request is not a FOLIO with an
 *                       owner
 *          -CF_EGONE    a frame's block is absent or not online, or the
 *                       owner is not registered
 *          -CF_EBUSY    a frame cannot be moved, or another operation has
 *                       isolated it; the report says which
 *          -CF_EAGAIN   a cache could not be drained, or a frame stayed in
 *                       transit
 *          -CF_EPORT    CF_ALLOC_ZERO, and the port maps no contents
 */
int cf_alloc_range(struct cf_map *map, cf_pfn first, cf_pfn last,
		   struct cf_request request, struct cf_report *report)
	CF_MUST_CHECK;

/**
 * cf_free_range() - give back the runs of [first, last).
 *
 * Drops one reference of each counted run, frees each frozen one. The range
 * must consist of whole runs.
 */
void cf_free_range(struct cf_map *map, cf_pfn first, cf_pfn last);

/**
 * cf_drain() - empty every context's caches into the blocks.
 *
 * Context: takes CF_RANK_DRAIN; not from inside a hook.
 * Return:  0, or -CF_EAGAIN: a context stayed in its cache too long; the
 *          other caches are empty.
 */
int cf_drain(struct cf_map *map) CF_MUST_CHECK;

/** cf_drain_cpu() - the running context empties its own caches, as at exit. */
void cf_drain_cpu(struct cf_map *map);

/*
 * Watermarks of a zone, in frames; min <= low <= high. All zero: none.
 * What contexts already hold in their caches is not counted as free, and is
 * served all the same.
 */
struct cf_watermarks {
	uint64_t min;	/* below: only CF_ALLOC_RESERVE succeeds */
	uint64_t low;	/* falling below raises CF_SIGNAL_LOW once ... */
	uint64_t high;	/* ... until free frames reach this again */
};

/**
 * cf_zone_set_watermarks() - set a zone's watermarks.
 * Context: takes CF_RANK_HOTPLUG.
 * Return: 0, or -CF_EINVAL: no such node or kind, or not in rising order.
 */
int cf_zone_set_watermarks(struct cf_map *map, unsigned node,
			   enum cf_zone_kind kind,
			   struct cf_watermarks marks) CF_MUST_CHECK;

/* What a compaction did. */
struct cf_compaction {
	uint64_t chunks_freed;	/* chunks made wholly free */
	uint64_t frames_moved;
	uint64_t chunks_tried;
};

/**
 * cf_compact() - make wholly free chunks by moving what can be moved.
 * @node, @kind: the zone
 * @chunks:      how many to try for
 * @ret_done:    what was done, also on failure
 *
 * Picks the partly free chunks with the fewest frames to move, moves those
 * into other partly free chunks of the same zone and never breaks a free
 * chunk. Owners are not asked to give up what they keep.
 *
 * Context: as cf_alloc_range().
 * Return:  0 if at least one chunk was freed, or
 *          -CF_EINVAL  no such zone
 *          -CF_ENOMEM  no chunk could be freed
 *          -CF_EAGAIN  a cache could not be drained
 */
int cf_compact(struct cf_map *map, unsigned node, enum cf_zone_kind kind,
	       uint64_t chunks, struct cf_compaction *ret_done) CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
