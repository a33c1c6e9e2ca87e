/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_OFFLINE_H
#define COLDFRAME_OFFLINE_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Logically offline frames: their block is online, their content is stale,
 * nobody but their owner may touch, dump or save it.  They have no reference
 * count.  All managed-memory accounting happens inside these calls.
 *
 * Flags of the calls that make frames offline: CF_FLAG_SKIPPABLE (range
 * owner of the block only) and CF_FLAG_MOVABLE (owner with a migrate hook).
 */

/**
 * cf_offline_alloc() - take a free run out of use.
 * @owner: who, or CF_OWNER_NONE: nobody is asked, anybody may free it as 0
 * @order: 0..block order of the map; above 9 the run may stand as several
 * @flags: CF_FLAG_MOVABLE, CF_FLAG_SKIPPABLE, or 0. With either the run may
 *         come from zone MOVABLE
 *
 * Pair with cf_offline_free(). Before the host is told: cf_content_sync().
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   order or flags can never be right
 *          -CF_EGONE    the owner is not registered
 *          -CF_EREFUSED MOVABLE without a migrate hook; SKIPPABLE, and the run
 *                       that was found is not in @owner's ranges
 *          -CF_ENOMEM   no run of that order
 */
int cf_offline_alloc(struct cf_map *map, uint32_t owner, unsigned order,
		     uint32_t flags, cf_pfn *ret_pfn) CF_MUST_CHECK;

/**
 * cf_offline_alloc_bulk() - take many runs out of use.
 * @count:    how many runs of @order
 * @ret_pfns: room for @count heads; what is behind those taken means nothing
 * @ret_done: how many were taken, also on failure
 * Return:    0: all of them; otherwise as cf_offline_alloc(), partial.
 */
int cf_offline_alloc_bulk(struct cf_map *map, uint32_t owner, unsigned order,
			  uint32_t flags, size_t count, cf_pfn *ret_pfns,
			  size_t *ret_done) CF_MUST_CHECK;

/**
 * cf_offline_alloc_range() - take exactly [first, last) out of use.
 * @report: NULL, or what stood in the way
 *
 * Moves what can be moved. Any range, any alignment; O(1) for each whole
 * chunk. SKIPPABLE only for frames of @owner's own ranges.
 *
 * Context: as cf_alloc_range().
 * Return:  as cf_alloc_range() but for -CF_EPORT, and
 *          -CF_EREFUSED  MOVABLE without a migrate hook, SKIPPABLE outside
 *                        the owner's ranges
 */
int cf_offline_alloc_range(struct cf_map *map, uint32_t owner, cf_pfn first,
			   cf_pfn last, uint32_t flags,
			   struct cf_report *report) CF_MUST_CHECK;

/**
 * cf_offline_free() - give one offline run to the allocator.
 *
 * As cf_offline_free_range() for [pfn, pfn + 2^order).
 */
int cf_offline_free(struct cf_map *map, uint32_t owner, cf_pfn pfn,
		    unsigned order) CF_MUST_CHECK;

/**
 * cf_offline_free_range() - give offline frames to the allocator.
 * @owner: whose they are
 *
 * The first exposure of a NEVER_ONLINED frame goes through
 * cf_port_first_exposed() and raises the managed count; later ones through
 * cf_port_returned(). Offline runs that reach out of the range are cut. Bad
 * frames and a block's own metadata inside the range are stepped over.
 *
 * Context: takes CF_RANK_BLOCK, calls the port with no lock held.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   empty range
 *          -CF_EGONE    a frame's block is absent or offline
 *          -CF_EREFUSED a frame is not offline or not @owner's
 *          -CF_EAGAIN   a frame is being migrated, or its block is going
 *                       offline this moment
 *          -CF_EPORT    the port failed to expose one; frames before it are
 *                       exposed, the rest is as it was, though its runs may
 *                       be cut
 */
int cf_offline_free_range(struct cf_map *map, uint32_t owner, cf_pfn first,
			  cf_pfn last) CF_MUST_CHECK;

/**
 * cf_offline_set_skippable() - say whether block offlining may step over.
 * @owner: range owner of the blocks, whose frames these are
 *
 * Bad frames and a block's own metadata inside the range are stepped over.
 *
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   empty range
 *          -CF_EGONE    a frame's block is absent or offline
 *          -CF_EREFUSED a frame is not offline, not @owner's, or not in its
 *                       ranges
 *          -CF_EAGAIN   a frame is being migrated, or its block is going
 *                       offline this moment
 */
int cf_offline_set_skippable(struct cf_map *map, uint32_t owner, cf_pfn first,
			     cf_pfn last, bool skippable) CF_MUST_CHECK;

/**
 * cf_offline_adopt_range() - take over offline frames whose owner is gone.
 * @owner: the new owner
 *
 * The frames are OFFLINE and the orphan's: their owner has unregistered, or
 * the port could not take them back after a migration. They are neither
 * MOVABLE nor SKIPPABLE; the new owner may free them, or make them SKIPPABLE
 * once it has adopted the block. Bad frames and a block's own metadata inside
 * the range are stepped over.
 *
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   empty range
 *          -CF_EGONE    @owner is not registered; a frame's block is absent
 *                       or offline
 *          -CF_EREFUSED a frame is not offline or not an orphan
 *          -CF_EAGAIN   a frame is being migrated, or its block is going
 *                       offline this moment
 */
int cf_offline_adopt_range(struct cf_map *map, uint32_t owner, cf_pfn first,
			   cf_pfn last) CF_MUST_CHECK;

/**
 * cf_offline_set_payload() - 32 bits of the owner's in the word of a run.
 * Return: 0, -CF_EGONE: not an offline head of @owner's, -CF_EAGAIN: busy.
 */
int cf_offline_set_payload(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			   uint32_t payload) CF_MUST_CHECK;

/*
 * Contents.  A read section protects words, not contents.  A reader of
 * contents it has no reference to (dump, save) works between content_begin
 * and content_end and skips what is OFFLINE there; whoever marked frames
 * OFFLINE calls content_sync before the host may take them.
 */
unsigned cf_content_begin(struct cf_map *map);
void cf_content_end(struct cf_map *map, unsigned ticket);

/** cf_content_sync() - wait for every content reader that runs now. */
void cf_content_sync(struct cf_map *map);

#ifdef __cplusplus
}
#endif
#endif
