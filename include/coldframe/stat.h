/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_STAT_H
#define COLDFRAME_STAT_H

#include <coldframe/alloc.h>
#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Counters, in frames.  Exact when nothing runs; otherwise each was true at
 * some moment of the call.
 *
 *   present = managed + offline + retired + reserved + by_type[DEVICE]
 *   managed = free + cached + by_type[] of KERNEL, FOLIO, PGTABLE and SLAB
 *   never_onlined, skippable <= offline
 */
struct cf_stat {
	uint64_t present;	/* frames of blocks in use, device memory too */
	uint64_t managed;	/* of these, the allocator's */
	uint64_t free;		/* in bitmaps */
	uint64_t cached;	/* in contexts' caches */
	uint64_t offline;	/* logically offline */
	uint64_t never_onlined;
	uint64_t skippable;
	uint64_t retired;
	uint64_t reserved;
	uint64_t isolated;	/* free, in isolated chunks */
	uint64_t by_type[CF_TYPE_COUNT];
};

/** cf_stat() - the whole map. */
void cf_stat(struct cf_map *map, struct cf_stat *ret_stat);

struct cf_zone_stat {
	uint64_t present, managed, free, cached, offline;
	uint64_t blocks;
	uint64_t chunks_free;
	/* Free runs by order, aligned, maximal; up to block order. */
	uint64_t runs[CF_MAX_ORDER + 1];
	struct cf_watermarks marks;
};

/** cf_zone_stat() - one zone. Return: 0, -CF_EINVAL: no such zone. */
int cf_zone_stat(struct cf_map *map, unsigned node, enum cf_zone_kind kind,
		 struct cf_zone_stat *ret_stat) CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
