/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_MAP_H
#define COLDFRAME_MAP_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How to create a map.  Zero means the default where one is named. */
struct cf_map_config {
	void *machine;		/* handed to every port call */
	cf_pfn last;		/* one past the highest frame there will ever
				 * be */
	uint32_t block_order;	/* 10..15; 0: 15 = 128 MiB */
	uint32_t cpus;		/* execution contexts with caches, 1..1024 */
	uint32_t nodes;		/* 1..64; 0: 1 */
	uint32_t poison_max;	/* bad frames the map can remember; 0: 64 */
	bool fenced;		/* no asymmetric barrier: cache entry uses a
				 * full fence */
	bool debug_pagealloc;	/* cf_port_protect() on every alloc and free */
	bool no_caches;		/* every call goes to the block */
};

/**
 * cf_map_bytes() - memory a map needs, apart from the metadata of its blocks.
 * @config: as for cf_map_create()
 *
 * Return: bytes, or 0 if @config can never be right.
 */
size_t cf_map_bytes(const struct cf_map_config *config);

/**
 * cf_map_create() - make an empty map.
 * @config:  how
 * @storage: cf_map_bytes() bytes, aligned to 4096, all zero; belongs to the
 *           map until cf_map_destroy()
 * @ret_map: the map
 *
 * The map has no blocks: add some with cf_block_add().
 *
 * Return:  0, or with nothing written:
 *          -CF_EINVAL  @config can never be right, or @storage is not aligned
 *          -CF_EPORT   the port has no asymmetric barrier and @config is not
 *                      fenced
 */
int cf_map_create(const struct cf_map_config *config, void *storage,
		  struct cf_map **ret_map) CF_MUST_CHECK;

/**
 * cf_map_destroy() - end a map; its storage is the caller's again.
 *
 * Context: no other call on the map runs.
 * Return:  0, or -CF_EBUSY with the map as it was: blocks remain, remove them.
 */
int cf_map_destroy(struct cf_map *map) CF_MUST_CHECK;

/* The configuration in force, with defaults filled in. */
const struct cf_map_config *cf_map_config_of(const struct cf_map *map);

/* Where a block's metadata lies. */
enum cf_meta {
	CF_META_PORT	= 0,	/* cf_port_meta_alloc() */
	CF_META_CALLER	= 1,	/* memory of the caller's, any contents */
	CF_META_SELF	= 2,	/* the first frames of each block itself */
};

/* How to add blocks. */
struct cf_block_config {
	enum cf_meta meta;
	void *memory;		/* CF_META_CALLER: cf_block_meta_bytes(), frame
				 * aligned */
	uint32_t node;
	uint32_t range_owner;	/* whose online hook runs; 0: expose
				 * everything */
};

/* Bytes of metadata for @blocks blocks of this map. */
size_t cf_block_meta_bytes(const struct cf_map *map, uint64_t blocks);

/**
 * cf_block_add() - make a range of blocks known, offline.
 * @first, @last: block aligned, half open
 * @config:       metadata, node, owner of the range
 *
 * Clears nothing but the headers. CF_META_SELF needs frames the port can
 * address. Pair with cf_block_remove().
 *
 * Context: takes CF_RANK_HOTPLUG. Calls cf_port_meta_alloc().
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL  empty, unaligned or beyond the map; no such node or
 *                      owner; CALLER without memory
 *          -CF_EBUSY   a block of the range is there already
 *          -CF_ENOMEM  the port has no memory for metadata, or maps none of
 *                      the block's frames
 */
int cf_block_add(struct cf_map *map, cf_pfn first, cf_pfn last,
		 const struct cf_block_config *config) CF_MUST_CHECK;

/**
 * cf_block_remove() - forget a range of offline blocks.
 * @first, @last: block aligned, half open; exactly ranges that were added
 *                together, one or several
 *
 * Unpublishes, waits for every walker, gives port metadata back; when it
 * returns, metadata of the caller's is the caller's again. Side tables give
 * up what they hold for the range.
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections. Not inside one.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL  empty, unaligned, or cuts through blocks whose
 *                      metadata was added in one piece
 *          -CF_EGONE   a block of the range is absent
 *          -CF_EBUSY   a block of the range is not offline
 */
int cf_block_remove(struct cf_map *map, cf_pfn first, cf_pfn last)
	CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
