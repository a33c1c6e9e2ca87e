/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_VERIFY_H
#define COLDFRAME_VERIFY_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which equation does not hold. */
enum cf_finding_kind {
	CF_FINDING_NONE		= 0,
	/* A word no call can have written. */
	CF_FINDING_WORD		= 1,
	/* A frame in two runs, or in a run and free. */
	CF_FINDING_OVERLAP	= 2,
	/* A frame in no run, not free, not cached. */
	CF_FINDING_LOST		= 3,
	/* A frame in two caches, or cached and free. */
	CF_FINDING_CACHED_TWICE	= 4,
	/* A chunk's free count against its bitmap. */
	CF_FINDING_CHUNK_FREE	= 5,
	/* A chunk's stepped-over count against its words. */
	CF_FINDING_CHUNK_SKIP	= 6,
	/* A chunk's largest free order against its bitmap. */
	CF_FINDING_CHUNK_CLASS	= 7,
	/* A block's masks against its chunks. */
	CF_FINDING_MASK		= 8,
	/*
	 * The index lacks a block that has a run or names one that is not
	 * there; or a context has stock it is not listed for.
	 */
	CF_FINDING_INDEX	= 9,
	/* A block's free count against its chunks; a watched zone's too. */
	CF_FINDING_BLOCK_FREE	= 10,
	/* Isolated chunks still to be emptied. */
	CF_FINDING_PENDING	= 11,
	/*
	 * A block's offline, never onlined, skippable, retired and reserved
	 * counts against its words.
	 */
	CF_FINDING_MANAGED	= 12,
	/* Frames of a type against the words. */
	CF_FINDING_TYPE_COUNT	= 13,
	/* Frames of an owner against the words. */
	CF_FINDING_OWNER_COUNT	= 14,
	/* A word names an owner that is not there. */
	CF_FINDING_OWNER	= 15,
	/*
	 * An offline block with words or free frames, a block that is still
	 * going online, or a cached frame of an unused block or wrong zone.
	 */
	CF_FINDING_STATE	= 16,
	/* An isolated chunk outside every operation. */
	CF_FINDING_RANGE	= 17,
	/* A known bad frame free or cached. */
	CF_FINDING_POISON	= 18,
	/* A zone's online blocks against the blocks. */
	CF_FINDING_PRESENT	= 19,
	/* A block's sequence is odd. */
	CF_FINDING_SEQUENCE	= 20,
	CF_FINDING_COUNT
};

const char *cf_finding_name(enum cf_finding_kind kind);

struct cf_finding {
	enum cf_finding_kind kind;
	cf_pfn pfn;	/* a frame, chunk or block; CF_PFN_NONE: the map */
	uint64_t expected, found;
};

/**
 * cf_verify() - check every equation of the map.
 * @ret_finding: the first that does not hold
 *
 * O(frames). Exact only when no other call runs.
 *
 * Context: takes CF_RANK_HOTPLUG and each block's lock in turn.
 * Return:  true: all hold; false: *@ret_finding says what and where.
 */
bool cf_verify(struct cf_map *map, struct cf_finding *ret_finding);

#ifdef __cplusplus
}
#endif
#endif
