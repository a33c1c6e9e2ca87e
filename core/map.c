/* SPDX-License-Identifier: MIT */

/*
 * The map: its storage, and blocks that come and go.
 *
 * The map's own storage is one piece, sized beforehand.  A block's metadata -
 * header, bitmaps, frame words - comes from the caller, from the port or from
 * the block itself, and only the header is touched when it is added.  Removal
 * unpublishes a block, waits for every walker, and only then gives the
 * metadata back, so a walker never reads memory that is no longer metadata.
 */

#include "device.h"

#define PAGE ((size_t)4096)

static size_t round_up(size_t bytes, size_t to)
{
	return (bytes + to - 1) & ~(to - 1);
}

/* Defaults filled in; false if it can never be right. */
static bool complete(const struct cf_map_config *given,
		     struct cf_map_config *config)
{
	cf_pfn block;

	*config = *given;
	if (config->block_order == 0)
		config->block_order = CF_BLOCK_ORDER_MAX;
	if (config->nodes == 0)
		config->nodes = 1;
	if (config->poison_max == 0)
		config->poison_max = 64;
	if (config->block_order < CF_BLOCK_ORDER_MIN ||
	    config->block_order > CF_BLOCK_ORDER_MAX)
		return false;
	block = (cf_pfn)1 << config->block_order;
	return config->last > 0 && config->last <= CF_PFN_LIMIT &&
	       config->last % block == 0 && config->cpus > 0 &&
	       config->cpus <= CF_CPUS_MAX && config->nodes <= CF_NODES_MAX;
}

/* Where the parts of the map's storage lie, in bytes from its start. */
struct layout {
	size_t block, zone, index, cpu, cache, owner, frames, poison, end;
	size_t level_words[INDEX_LEVELS];
};

static size_t index_words(const struct layout *layout)
{
	size_t words = 0;
	unsigned level;

	for (level = 0; level < INDEX_LEVELS; level++)
		words += layout->level_words[level];
	return words;
}

_Static_assert(CF_PFN_LIMIT >> CF_BLOCK_ORDER_MIN >> 18 <= 64,
	       "the uppermost level of the index is one word");

static void lay_out(const struct cf_map_config *config, struct layout *layout)
{
	size_t blocks = (size_t)(config->last >> config->block_order);
	size_t zones = config->nodes * 2u;
	size_t bits = blocks;
	unsigned level;

	layout->level_words[INDEX_LEVELS - 1] = 0;
	for (level = 0; level + 1 < INDEX_LEVELS; level++) {
		bits = (bits + 63) / 64;
		layout->level_words[level] = round_up(bits, 8);
	}
	layout->block = round_up(sizeof(struct cf_map), PAGE);
	layout->zone = layout->block + round_up(blocks * sizeof(cfi_u64), PAGE);
	layout->index = layout->zone +
			round_up(zones * sizeof(struct cfi_zone), PAGE);
	layout->cpu = layout->index +
		      round_up(zones * INDEX_CLASSES * index_words(layout) *
			       sizeof(cfi_u64), PAGE);
	layout->cache = layout->cpu +
			round_up(config->cpus * sizeof(struct cfi_cpu), PAGE);
	layout->owner = layout->cache +
			round_up(config->cpus * zones *
				 sizeof(struct cfi_cache), PAGE);
	layout->frames = layout->owner +
			 round_up(CF_OWNERS_MAX * sizeof(struct cfi_owner),
				  PAGE);
	layout->poison = layout->frames +
			 round_up(OWNER_SHARDS * CF_OWNERS_MAX *
				  sizeof(cfi_u64), PAGE);
	layout->end = layout->poison +
		      round_up(config->poison_max * sizeof(cfi_u64), PAGE);
}

size_t cf_map_bytes(const struct cf_map_config *config)
{
	struct cf_map_config full;
	struct layout layout;

	if (!complete(config, &full))
		return 0;
	lay_out(&full, &layout);
	return layout.end;
}

static void init_locks(struct cf_map *map)
{
	map->hotplug.rank = CF_RANK_HOTPLUG;
	map->owner_lock.rank = CF_RANK_OWNER;
	map->range_lock.rank = CF_RANK_RANGE;
	map->content_lock.rank = CF_RANK_RANGE;
	map->drain_lock.rank = CF_RANK_DRAIN;
}

static void init_zones(struct cf_map *map, const struct layout *layout,
		       char *storage)
{
	cfi_u64 *words = (cfi_u64 *)(void *)(storage + layout->index);
	unsigned number, class, level;

	map->zone = (struct cfi_zone *)(void *)(storage + layout->zone);
	map->zones = map->config.nodes * 2;
	for (number = 0; number < map->zones; number++) {
		struct cfi_zone *zone = &map->zone[number];

		zone->number = number;
		zone->node = number / 2;
		zone->kind = (enum cf_zone_kind)(number % 2);
		for (class = 0; class < INDEX_CLASSES; class++)
			for (level = 0; level < INDEX_LEVELS; level++) {
				zone->index[class].level[level] =
					level + 1 < INDEX_LEVELS ? words :
					&zone->top[class];
				words += layout->level_words[level];
			}
	}
}

/* Contexts begin their searches apart, so that they use different blocks. */
static void init_cpus(struct cf_map *map, const struct layout *layout,
		      char *storage)
{
	struct cfi_cache *cache = (void *)(storage + layout->cache);
	uint32_t i, zone;

	map->cpu = (void *)(storage + layout->cpu);
	for (i = 0; i < map->config.cpus; i++) {
		struct cfi_cpu *cpu = &map->cpu[i];

		cpu->number = i;
		cpu->cache = cache + (size_t)i * map->zones;
		cpu->local = &cpu->cache[i % map->config.nodes * 2 +
					 CF_ZONE_NORMAL];
		for (zone = 0; zone < map->zones; zone++) {
			cpu->cache[zone].loaded = cpu->cache[zone].magazine;
			cpu->home[zone] = (uint32_t)((uint64_t)i *
				map->blocks_max / map->config.cpus);
		}
	}
}

int cf_map_create(const struct cf_map_config *config, void *storage,
		  struct cf_map **ret_map)
{
	struct cf_map_config full;
	struct cf_map *map = storage;
	struct layout layout;
	char *bytes = storage;

	if (!complete(config, &full) || !storage ||
	    (uintptr_t)storage % PAGE != 0)
		return -CF_EINVAL;
	/* Only asks whether the caches can rely on one. [cache-divert] */
	if (!full.fenced && cf_port_barrier_all() != 0)
		return -CF_EPORT;
	lay_out(&full, &layout);
	map->config = full;
	map->block_shift = full.block_order;
	map->blocks_max = (uint32_t)(full.last >> full.block_order);
	map->stock_cpus = full.debug_pagealloc || full.no_caches ? 0 :
			  full.cpus;
	map->block = (void *)(bytes + layout.block);
	map->owner = (void *)(bytes + layout.owner);
	map->owner_frames = (void *)(bytes + layout.frames);
	map->poison = (void *)(bytes + layout.poison);
	map->storage_bytes = layout.end;
	map->emptied = CF_PFN_NONE;
	init_locks(map);
	init_zones(map, &layout, bytes);
	init_cpus(map, &layout, bytes);
	*ret_map = map;
	return 0;
}

int cf_map_destroy(struct cf_map *map)
{
	uint64_t number;

	for (number = 0; number < cfi_blocks_end(map); number++)
		if (cfi_block_at(map, number))
			return -CF_EBUSY;
	__builtin_memset(map, 0, map->storage_bytes);
	return 0;
}

const struct cf_map_config *cf_map_config_of(const struct cf_map *map)
{
	return &map->config;
}

/* Is [first, last) block aligned, not empty and inside the map? */
bool cfi_range_aligned(const struct cf_map *map, cf_pfn first, cf_pfn last)
{
	cf_pfn mask = ((cf_pfn)1 << map->block_shift) - 1;

	return first < last && last <= map->config.last &&
	       ((first | last) & mask) == 0;
}

static unsigned chunks_of(const struct cf_map *map)
{
	return 1u << (map->block_shift - CF_CHUNK_ORDER);
}

static size_t header_bytes(const struct cf_map *map)
{
	return round_up(sizeof(struct cfi_block) +
			chunks_of(map) * sizeof(struct cfi_chunk), 128);
}

/* Headers of all blocks first, then all bitmaps, then all frame words. */
static size_t bitmaps_at(const struct cf_map *map, uint64_t blocks)
{
	return round_up((size_t)blocks * header_bytes(map), 64);
}

static size_t words_at(const struct cf_map *map, uint64_t blocks)
{
	return round_up(bitmaps_at(map, blocks) +
			(size_t)blocks * chunks_of(map) *
			sizeof(struct cfi_bitmap), PAGE);
}

size_t cf_block_meta_bytes(const struct cf_map *map, uint64_t blocks)
{
	return words_at(map, blocks) +
	       (((size_t)blocks << map->block_shift) * sizeof(cfi_u64));
}

/* One piece of metadata, for @blocks blocks from @number. */
struct piece {
	void *memory;
	uint64_t number;
	uint64_t blocks;
	cf_pfn first, last;	/* of the whole range */
	enum cf_pagemap_kind kind;
};

static struct cfi_block *piece_block(const struct cf_map *map,
				     const struct piece *piece, uint64_t index)
{
	return (void *)((char *)piece->memory + index * header_bytes(map));
}

/* Fill in the header of one block of a piece. */
static void init_block(struct cf_map *map, const struct piece *piece,
		       uint64_t index, const struct cf_block_config *config)
{
	struct cfi_block *block = piece_block(map, piece, index);
	char *memory = piece->memory;
	unsigned chunk;

	__builtin_memset(block, 0, header_bytes(map));
	block->frame_word = (cfi_u64 *)(void *)
		(memory + words_at(map, piece->blocks)) +
		(index << map->block_shift);
	block->bitmap = (struct cfi_bitmap *)(void *)
		(memory + bitmaps_at(map, piece->blocks)) +
		index * chunks_of(map);
	block->number = (uint32_t)(piece->number + index);
	block->first = (cf_pfn)block->number << map->block_shift;
	block->chunks = chunks_of(map);
	block->node = config->node;
	block->lock.rank = CF_RANK_BLOCK;
	block->range_owner = config->range_owner;
	block->meta = config->meta;
	block->piece = piece->memory;
	block->piece_blocks = (uint32_t)piece->blocks;
	block->piece_index = (uint32_t)index;
	block->kind = piece->kind;
	block->range_first = piece->first;
	block->range_last = piece->last;
	if (block->kind)
		/* Relaxed: published with the header. */
		cfi_store_relaxed(&block->zone,
				  cfi_zone_value(config->node * 2,
						 CF_ZONE_DEVICE));
	block->poison = cfi_poison_count(map, block->first,
					 cfi_block_last(block));
	for (chunk = 0; chunk < block->chunks; chunk++)
		block->chunk[chunk].class = CLASS_NONE;
	cfi_block_set_state(block, CF_BLOCK_OFFLINE);
	if (config->meta == CF_META_SELF)
		block->self_frames = (uint32_t)
			(round_up(cf_block_meta_bytes(map, 1), PAGE) / PAGE);
}

static void publish(struct cf_map *map, struct cfi_block *block)
{
	/*
	 * Release: whoever finds the block finds its header filled in. The
	 * other side is cfi_block_at(). [block-publish]
	 */
	cfi_store_release(&map->block[block->number],
			  (uint64_t)(uintptr_t)block);
	/* Relaxed: only grows, under hotplug. */
	if (block->number >= cfi_blocks_end(map))
		cfi_store_relaxed(&map->blocks_end, block->number + 1u);
}

static void unpublish(struct cf_map *map, uint64_t number)
{
	/* Relaxed: the grace period that follows orders it. */
	cfi_store_relaxed(&map->block[number], 0);
}

static void add_piece(struct cf_map *map, const struct piece *piece,
		      const struct cf_block_config *config)
{
	uint64_t index;

	for (index = 0; index < piece->blocks; index++) {
		init_block(map, piece, index, config);
		publish(map, piece_block(map, piece, index));
	}
}

/* The frames a block keeps its metadata in can be touched while it is added. */
static void protect_self(struct cf_map *map, cf_pfn first, uint64_t frames,
			 bool usable)
{
	if (map->config.debug_pagealloc)
		cf_port_protect(map->config.machine, first, first + frames,
				usable);
}

static void unprepare(struct cf_map *map, struct cfi_block *added)
{
	struct cfi_block *next;

	for (; added; added = next) {
		next = added->next;
		protect_self(map, added->first, added->self_frames, false);
	}
}

/* Blocks that host their own metadata: each is a piece of its own. */
static int add_self(struct cf_map *map, const struct piece *range,
		    const struct cf_block_config *config)
{
	size_t frames = round_up(cf_block_meta_bytes(map, 1), PAGE) / PAGE;
	struct piece piece = *range;
	struct cfi_block *added = NULL;
	struct cfi_block *block;
	cf_pfn at;

	CF_CHECK(frames < (size_t)1 << map->block_shift, frames);
	piece.number += piece.blocks;
	piece.blocks = 1;
	/* Nothing is published before the last of them has an address. */
	while (piece.number-- > range->number) {
		at = piece.number << map->block_shift;
		piece.memory = cf_port_frame_address(map->config.machine, at,
						     frames);
		if (!piece.memory) {
			unprepare(map, added);
			return -CF_ENOMEM;
		}
		protect_self(map, at, frames, true);
		init_block(map, &piece, 0, config);
		block = piece_block(map, &piece, 0);
		block->next = added;
		added = block;
	}
	for (block = added; block; block = block->next)
		publish(map, block);
	return 0;
}

/* Caller holds map->hotplug. */
static int add_blocks(struct cf_map *map, cf_pfn first, cf_pfn last,
		      const struct cf_block_config *config,
		      enum cf_pagemap_kind kind)
{
	struct piece piece = {
		.memory = config->memory,
		.number = first >> map->block_shift,
		.blocks = (last - first) >> map->block_shift,
		.first = first,
		.last = last,
		.kind = kind,
	};
	uint64_t i;

	for (i = 0; i < piece.blocks; i++)
		if (cfi_block_at(map, piece.number + i))
			return -CF_EBUSY;
	if (config->range_owner && !cfi_owner_open(map, config->range_owner))
		return -CF_EINVAL;
	if (config->meta == CF_META_SELF)
		return add_self(map, &piece, config);
	if (config->meta == CF_META_PORT)
		piece.memory = cf_port_meta_alloc(map->config.machine,
				cf_block_meta_bytes(map, piece.blocks));
	if (!piece.memory)
		return -CF_ENOMEM;
	add_piece(map, &piece, config);
	return 0;
}

/* Can it be added, whatever is there? */
static bool config_fits(const struct cf_map *map, cf_pfn first, cf_pfn last,
			const struct cf_block_config *config)
{
	if (!cfi_range_aligned(map, first, last) ||
	    config->node >= map->config.nodes ||
	    (unsigned)config->meta > CF_META_SELF)
		return false;
	return config->meta != CF_META_CALLER ||
	       (config->memory && (uintptr_t)config->memory % PAGE == 0);
}

int cf_block_add(struct cf_map *map, cf_pfn first, cf_pfn last,
		 const struct cf_block_config *config)
{
	unsigned long state;
	int err;

	if (!config_fits(map, first, last, config))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = add_blocks(map, first, last, config, (enum cf_pagemap_kind)0);
	cf_unlock(&map->hotplug, state);
	return err;
}

/*
 * As cf_block_add(), for device memory; offline, without words, as all blocks
 * are at first.  Caller holds map->hotplug.
 */
int cfi_device_add(struct cf_map *map, cf_pfn first, cf_pfn last,
		   const struct cf_block_config *config,
		   enum cf_pagemap_kind kind)
{
	CF_ASSERT_LOCKED(&map->hotplug);
	if (!config_fits(map, first, last, config) ||
	    config->range_owner == CF_OWNER_NONE)
		return -CF_EINVAL;
	return add_blocks(map, first, last, config, kind);
}

/* Caller holds map->hotplug. */
static int can_remove(struct cf_map *map, uint64_t first, uint64_t last)
{
	const struct cfi_block *block;
	uint64_t number;

	for (number = first; number < last; number++) {
		block = cfi_block_at(map, number);
		if (!block)
			return -CF_EGONE;
		if (cfi_block_state(block) != CF_BLOCK_OFFLINE)
			return -CF_EBUSY;
		if (number - first < block->piece_index ||
		    block->piece_blocks - block->piece_index > last - number)
			return -CF_EINVAL;
	}
	return 0;
}

/* Everybody has left: metadata and side tables go back. */
static void give_back(struct cf_map *map, struct cfi_block *block)
{
	cfi_side_drop_block(map, block->number);
	if (block->meta == CF_META_SELF)
		protect_self(map, block->first, block->self_frames, false);
	else if (block->meta == CF_META_PORT &&
	    block->piece_index + 1 == block->piece_blocks)
		cf_port_meta_free(map->config.machine, block->piece,
				  cf_block_meta_bytes(map,
						      block->piece_blocks));
}

/* Caller holds map->hotplug. */
static void remove_blocks(struct cf_map *map, uint64_t first, uint64_t last)
{
	struct cfi_block *removed = cfi_block_at(map, first);
	struct cfi_block *block = removed;
	struct cfi_block *next;
	uint64_t number;

	/* The blocks stay linked through their pieces once unpublished. */
	for (number = first; number < last; number++) {
		next = number + 1 < last ? cfi_block_at(map, number + 1) : NULL;
		block->next = next;
		unpublish(map, number);
		block = next;
	}
	cf_port_synchronize();
	for (block = removed; block; block = next) {
		next = block->next;
		give_back(map, block);
	}
}

/* Device memory whose words are gone goes itself.  Caller holds hotplug. */
void cfi_device_remove(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	CF_ASSERT_LOCKED(&map->hotplug);
	CF_CHECK(can_remove(map, first >> map->block_shift,
			    last >> map->block_shift) == 0, first);
	remove_blocks(map, first >> map->block_shift,
		      last >> map->block_shift);
}

int cf_block_remove(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	unsigned long state;
	int err;

	if (!cfi_range_aligned(map, first, last))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = can_remove(map, first >> map->block_shift,
			 last >> map->block_shift);
	if (!err)
		remove_blocks(map, first >> map->block_shift,
			      last >> map->block_shift);
	cf_unlock(&map->hotplug, state);
	return err;
}
