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
	CF_FINDING_WORD		= 1, /* a word no call can have written */
	CF_FINDING_OVERLAP	= 2, /* a frame in two runs, or in a run and
				      * free */
	CF_FINDING_LOST		= 3, /* a frame in no run, not free, not
				      * cached */
	CF_FINDING_CACHED_TWICE	= 4, /* a frame in two caches, or cached and
				      * free */
	CF_FINDING_CHUNK_FREE	= 5, /* chunk's free count against its bitmap */
	CF_FINDING_CHUNK_SKIP	= 6, /* chunk's stepped-over count against its
				      * words */
	CF_FINDING_CHUNK_CLASS	= 7, /* chunk's largest free order against its
				      * bitmap */
	CF_FINDING_MASK		= 8, /* block's masks against its chunks */
	CF_FINDING_INDEX	= 9, /* zone's index lacks a block that has a
				      * run */
	CF_FINDING_BLOCK_FREE	= 10, /* block's free count against its
				       * chunks */
	CF_FINDING_PENDING	= 11, /* isolated chunks still to be emptied */
	CF_FINDING_MANAGED	= 12, /* zone's managed frames against its
				       * blocks */
	CF_FINDING_TYPE_COUNT	= 13, /* frames of a type against the words */
	CF_FINDING_OWNER_COUNT	= 14, /* frames of an owner against the words */
	CF_FINDING_OWNER	= 15, /* a word names an owner that is not
				       * there */
	CF_FINDING_STATE	= 16, /* an offline block with words or free
				       * frames */
	CF_FINDING_RANGE	= 17, /* isolated chunk outside every
				       * operation */
	CF_FINDING_POISON	= 18, /* a known bad frame free or cached */
	CF_FINDING_PRESENT	= 19, /* zone's present frames against its
				       * blocks */
	CF_FINDING_SEQUENCE	= 20, /* a block's sequence is odd */
	CF_FINDING_COUNT
};

const char *cf_finding_name(enum cf_finding_kind kind);

struct cf_finding {
	enum cf_finding_kind kind;
	cf_pfn pfn;		/* where: a frame, chunk or block; CF_PFN_NONE:
				 * the map */
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
