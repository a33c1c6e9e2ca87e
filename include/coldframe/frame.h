/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_FRAME_H
#define COLDFRAME_FRAME_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * References and pins of runs.  Every call takes the head of a run, but for
 * the *_interior ones, which find it.  A wrong put is a check that names the
 * frame: the structure is already wrong then.
 */

/**
 * cf_get() - one more reference, by somebody who holds one.
 *
 * Context: any. A single add.
 * Return:  0, or -CF_ELIMIT with the count unchanged.
 */
int cf_get(struct cf_map *map, cf_pfn pfn) CF_MUST_CHECK;

/**
 * cf_try_get() - one reference, by somebody who knows no more than a number.
 *
 * Checking what the frame is and taking the reference is one atomic
 * operation. Enters a read section itself.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EGONE   not the head of a referenced run: free, frozen,
 *                      offline, reserved, retired, busy or no memory at all
 *          -CF_ELIMIT  the count is at its limit
 */
int cf_try_get(struct cf_map *map, cf_pfn pfn) CF_MUST_CHECK;

/**
 * cf_try_get_interior() - as cf_try_get() for any frame of a run.
 * @ret_head: its head.
 */
int cf_try_get_interior(struct cf_map *map, cf_pfn pfn, cf_pfn *ret_head)
	CF_MUST_CHECK;

/**
 * cf_put() - drop a reference.
 *
 * The last one frees the run, or tells its owner: see struct cf_owner_ops.
 *
 * Context: any. Runs the owner's release hook.
 */
void cf_put(struct cf_map *map, cf_pfn pfn);

/**
 * cf_put_bulk() - cf_put() for many heads.
 *
 * Cheaper than one by one: the next words are fetched meanwhile. A head that
 * comes twice loses two references.
 */
void cf_put_bulk(struct cf_map *map, const cf_pfn *pfns, size_t count);

/**
 * cf_put_interior() - as cf_put() for any frame of a run the caller holds.
 */
void cf_put_interior(struct cf_map *map, cf_pfn pfn);

/**
 * cf_pin() - one reference that also forbids moving the contents.
 *
 * A pin is also a reference: both counts rise in one step.
 * Return: as cf_try_get().
 */
int cf_pin(struct cf_map *map, cf_pfn pfn) CF_MUST_CHECK;

/** cf_unpin() - drop a pin and its reference. */
void cf_unpin(struct cf_map *map, cf_pfn pfn);

/**
 * cf_freeze() - take all references away at once.
 * @expected: how many there must be
 *
 * Afterwards the run has no references, nobody can get one, and it is the
 * caller's. Pair with cf_unfreeze() or cf_free_frozen().
 *
 * Return:  0, or with nothing changed:
 *          -CF_EAGAIN  there are other references, pins, or it is busy
 *          -CF_EGONE   not the head of a counted run
 */
int cf_freeze(struct cf_map *map, cf_pfn pfn, uint32_t expected) CF_MUST_CHECK;

/**
 * cf_unfreeze() - give a frozen run references again.
 * @refs: 1..CF_REFS_MAX
 *
 * A run that is not frozen is caught by a check.
 */
void cf_unfreeze(struct cf_map *map, cf_pfn pfn, uint32_t refs);

/**
 * cf_split() - cut a frozen run into runs of a lower order.
 * @pfn:   head of a run with no references
 * @order: new order, below the run's
 *
 * Every part is frozen and has the type, owner and flags of the whole.
 *
 * Context: takes CF_RANK_BLOCK.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @order is not below the run's
 *          -CF_EAGAIN  it has references, is busy, or its owner is leaving
 *          -CF_EGONE   not the head of a run
 */
int cf_split(struct cf_map *map, cf_pfn pfn, unsigned order) CF_MUST_CHECK;

/**
 * cf_merge() - make one run of frozen runs that lie side by side.
 * @pfn:   first frame, a multiple of 2^@order
 * @order: new order, 1..block order of the map
 *
 * The runs are the caller's, and alike: of one type, owner and flags, no
 * matter of which orders. The inverse of cf_split().
 *
 * Context: takes CF_RANK_BLOCK.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   @order is out of range, or @pfn not aligned to it
 *          -CF_EGONE    no run begins at @pfn, or a frame is in none
 *          -CF_EAGAIN   a run has references, is busy, or its owner is leaving
 *          -CF_EREFUSED the runs are not alike, or one reaches out of the range
 */
int cf_merge(struct cf_map *map, cf_pfn pfn, unsigned order) CF_MUST_CHECK;

/**
 * cf_find_head() - the head of the run a frame is in.
 *
 * Context: any; enters a read section. The answer may be stale at once
 *          unless the caller holds a reference.
 * Return:  the head, or CF_PFN_NONE: the frame is in no run.
 */
cf_pfn cf_find_head(struct cf_map *map, cf_pfn pfn);

/* A run's word, decoded. */
struct cf_snapshot {
	enum cf_type type;
	uint32_t order;
	uint32_t flags;		/* enum cf_flag */
	uint32_t owner;
	uint32_t refs, pins;	/* counted types */
	uint32_t payload;	/* uncounted types: their owner's */
	uint64_t word;		/* as it is, for tools */
};

/**
 * cf_snapshot() - look at the word of a head.
 * Return: 0, or -CF_EGONE: no run starts there.
 */
int cf_snapshot(struct cf_map *map, cf_pfn pfn,
		struct cf_snapshot *ret_snapshot)
	CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
