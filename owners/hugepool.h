/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_HUGEPOOL_H
#define OWNERS_HUGEPOOL_H

/*
 * A pool of runs of 2 MiB and 1 GiB, as hugetlb keeps them, on the public
 * interface alone.
 *
 * A run of the pool's is a FOLIO of its owner id, all its life.  In use it is
 * counted: whoever got it with hugepool_alloc() gives it back with cf_put(),
 * and so may all who took references meanwhile.  The last put comes to the
 * pool's release hook with the run frozen, and the hook keeps it (verdict
 * KEEP) or, if the pool has more than it should, lets the allocator have it
 * (FREE).  So a run of the pool's is never counted and free at once, and no
 * list runs through descriptors: what the pool knows of a run stands in
 * records of its own, found through a side table.
 *
 * Each node has for each size
 *
 *	total = in use + free (+ a few in motion this moment)
 *	persistent = total - surplus, what hugepool_resize() was asked for
 *
 * and each size, over all nodes, reserved <= free.  A surplus run goes back
 * to the allocator with its last put.
 *
 * All calls may run at once, but create, destroy and verify.  The pool's lock
 * has CF_RANK_LEAF and nothing is called under it.
 */

#include <coldframe/owner.h>
#include <coldframe/types.h>

enum hugepool_size {
	HUGEPOOL_2M,
	HUGEPOOL_1G,
	HUGEPOOL_SIZES
};

struct hugepool;

struct hugepool_config {
	const char *name;	/* for reports; NULL: "hugepool" */
	uint32_t runs;		/* most runs of both sizes: 1..2^24 */
	enum cf_zone_kind zone;	/* NORMAL or MOVABLE */
};

/* Flags of hugepool_alloc(). */
#define HUGEPOOL_RESERVED	(1u << 0)	/* one that was reserved */
#define HUGEPOOL_THISNODE	(1u << 1)	/* from no other node */

/**
 * hugepool_bytes() - memory a pool needs.
 * Return: bytes, or 0 if @config can never be right for @map.
 */
size_t hugepool_bytes(const struct cf_map *map,
		      const struct hugepool_config *config);

/**
 * hugepool_create() - make an empty pool and register its owner.
 * @storage:  hugepool_bytes() bytes, aligned to 16; the pool's until destroyed
 *
 * Pair with hugepool_destroy().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right
 *          -CF_ELIMIT  no owner id is left
 *          -CF_ENOMEM  no memory for the side table's directory
 */
int hugepool_create(struct cf_map *map, const struct hugepool_config *config,
		    void *storage, struct hugepool **ret_pool) CF_MUST_CHECK;

/**
 * hugepool_destroy() - give every run back and unregister.
 * @report: NULL, or what is still in use: frame, references, owner
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections; no other call on
 *          the pool runs.
 * Return:  0, or with the pool as it was: -CF_EBUSY: a run is in use.
 */
int hugepool_destroy(struct hugepool *pool, struct cf_report *report)
	CF_MUST_CHECK;

/* The pool's owner id, as reports and words have it. */
uint32_t hugepool_owner(const struct hugepool *pool);

/**
 * hugepool_resize() - how many persistent runs a node shall have.
 * @count:     so many; what is in use beyond that becomes surplus
 * @ret_count: how many there are now, also on failure
 *
 * Growing makes room where it must: by compaction for 2 MiB, by moving what
 * is in a whole GiB for 1 GiB.
 *
 * Context: as cf_alloc_range().
 * Return:  0, or having done part of it:
 *          -CF_EINVAL  no such size or node
 *          -CF_ENOMEM  no run of that size on the node, and none can be made
 *          -CF_ELIMIT  config.runs of them are there
 */
int hugepool_resize(struct hugepool *pool, enum hugepool_size size,
		    uint32_t node, uint32_t count, uint32_t *ret_count)
	CF_MUST_CHECK;

/**
 * hugepool_set_surplus() - how many runs beyond the persistent there may be.
 *
 * For hugepool_alloc() and hugepool_reserve() when nothing is free; 0 at
 * first. A surplus run goes to the allocator with its last put, whatever the
 * limit is by then.
 */
void hugepool_set_surplus(struct hugepool *pool, enum hugepool_size size,
			  uint32_t limit);

/**
 * hugepool_reserve() - make sure that @count allocations will succeed.
 *
 * Reserved runs are free and only hugepool_alloc() with HUGEPOOL_RESERVED
 * takes them. Pair with hugepool_unreserve() for what was not used.
 *
 * All the surplus it needs is claimed at once, so of several callers that the
 * limit or config.runs has no room for together the first is not refused
 * because of the others. Where memory is short each may have got part of it,
 * and they may all be refused: again, or one at a time.
 *
 * Context: any that may allocate.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such size
 *          -CF_ENOMEM  not that many are free, and no more surplus is to be
 *                      had
 *          -CF_ELIMIT  config.runs of them are there
 */
int hugepool_reserve(struct hugepool *pool, enum hugepool_size size,
		     uint32_t count) CF_MUST_CHECK;

/**
 * hugepool_unreserve() - give reservations up.
 * Return: 0, or -CF_EINVAL: no such size, or fewer are reserved.
 */
int hugepool_unreserve(struct hugepool *pool, enum hugepool_size size,
		       uint32_t count) CF_MUST_CHECK;

/**
 * hugepool_alloc() - a run, with one reference.
 * @node:    preferred node, or CF_NODE_ANY
 * @flags:   HUGEPOOL_RESERVED, HUGEPOOL_THISNODE
 * @ret_pfn: its head; give it back with cf_put()
 *
 * Contents are those of the last user. Runs in memory that is being taken
 * away are not handed out; runs with a bad frame leave the pool here, and
 * such as are not its own any more, for it was unregistered, are forgotten.
 *
 * Context: any that may allocate.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such size, node or flag; nothing is reserved
 *          -CF_ENOMEM  none is free, and no more surplus is to be had
 *          -CF_EAGAIN  those that are free lie in memory that is going, or
 *                      what was reserved is just changing hands
 *          -CF_ELIMIT  config.runs of them are there
 */
int hugepool_alloc(struct hugepool *pool, enum hugepool_size size,
		   uint32_t node, uint32_t flags, cf_pfn *ret_pfn)
	CF_MUST_CHECK;

/**
 * hugepool_demote() - make 512 runs of 2 MiB of each of @count of 1 GiB.
 * @ret_done: how many were demoted, also on failure
 *
 * Of free runs that are not reserved. Contents stay.
 *
 * Context: takes CF_RANK_BLOCK.
 * Return:  0, or having done part of it:
 *          -CF_EINVAL  no such node
 *          -CF_ENOMEM  none is free, or no memory for the side table
 *          -CF_ELIMIT  config.runs does not allow for so many
 *          -CF_EAGAIN  the run is being dissolved
 */
int hugepool_demote(struct hugepool *pool, uint32_t node, uint32_t count,
		    uint32_t *ret_done) CF_MUST_CHECK;

/* Runs; of all nodes if none is named. */
struct hugepool_stat {
	uint32_t total, free, surplus;
	uint32_t reserved, surplus_limit;	/* of the size, on no node */
	/* Of the pool, since it was made: */
	uint64_t dissolved;	/* given up for memory that went */
	uint64_t replaced;	/* of these, another was found for */
	uint64_t retired;	/* left because of a bad frame */
	uint64_t strangers;	/* puts of runs that are not the pool's */
	cf_pfn stranger;	/* the last of those, or CF_PFN_NONE */
};

/**
 * hugepool_stat() - counters.
 * @node: a node, or CF_NODE_ANY: the sum
 * Return: 0, or -CF_EINVAL: no such size or node.
 */
int hugepool_stat(struct hugepool *pool, enum hugepool_size size,
		  uint32_t node, struct hugepool_stat *ret_stat)
	CF_MUST_CHECK;

enum hugepool_finding_kind {
	HUGEPOOL_FINDING_NONE,
	HUGEPOOL_FINDING_STRANGER,	/* a run names the pool, which does not
					 * know it */
	HUGEPOOL_FINDING_LOST,	/* a run the pool knows is not its own any
				 * more: given away, split or freed */
	HUGEPOOL_FINDING_IN_USE,	/* a free run has references */
	HUGEPOOL_FINDING_COUNT,	/* a counter is wrong */
};

struct hugepool_finding {
	enum hugepool_finding_kind kind;
	cf_pfn pfn;		/* CF_PFN_NONE: a counter */
	uint32_t owner;		/* of the frame as it is */
};

/**
 * hugepool_verify() - is the pool what the map says it is?
 *
 * O(map). Context: nothing else runs on the pool.
 * Return: true; false: *@ret_finding says what and where.
 */
bool hugepool_verify(struct hugepool *pool,
		     struct hugepool_finding *ret_finding);

#endif
