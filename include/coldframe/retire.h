/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_RETIRE_H
#define COLDFRAME_RETIRE_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cf_retire_state {
	CF_RETIRE_NONE,		/* not known to be bad */
	CF_RETIRE_PENDING,	/* in a run in use, or in an offline block: goes
				 * when freed */
	CF_RETIRE_DONE,		/* out for good */
};

/**
 * cf_retire() - take a bad frame out for good.
 * @ret_state: DONE: it was free; PENDING: it goes when its run is freed
 *
 * Device memory: the run is handed out no more, and its owner's failure hook is
 * told; that may take the frame out with cf_pagemap_retire().
 *
 * The frame stays in the map's table through offline, online, removal and
 * re-adding of its block.
 *
 * Context: takes CF_RANK_HOTPLUG, waits for caches to drain. Calls a hook.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  beyond the map
 *          -CF_ELIMIT  the table of bad frames is full
 *          -CF_EBUSY   an operation has isolated its chunk, or removes its
 *                      range: try when it ends
 *          -CF_EAGAIN  a cache could not be drained
 */
int cf_retire(struct cf_map *map, cf_pfn pfn, enum cf_retire_state *ret_state)
	CF_MUST_CHECK;

/** cf_retire_state() - what is known of a frame. */
enum cf_retire_state cf_retire_state(struct cf_map *map, cf_pfn pfn);

#ifdef __cplusplus
}
#endif
#endif
