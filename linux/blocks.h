/* SPDX-License-Identifier: MIT */
#ifndef LINUX_BLOCKS_H
#define LINUX_BLOCKS_H

#include "sysroot.h"

/* What sys/devices/system/memory/memoryN/state says. */
enum lx_block_state {
	LX_BLOCK_ABSENT,		/* no folder */
	LX_BLOCK_OFFLINE,
	LX_BLOCK_ONLINE,
	LX_BLOCK_GOING_OFFLINE,
	LX_BLOCK_UNKNOWN,		/* no state, or a word not known */
	LX_BLOCK_STATE_COUNT
};

/* The zone of a block, by memoryN/valid_zones. */
enum lx_block_zone {
	LX_ZONE_UNKNOWN,
	LX_ZONE_NONE,			/* it lies in several, or has holes */
	LX_ZONE_DMA,
	LX_ZONE_DMA32,
	LX_ZONE_NORMAL,
	LX_ZONE_HIGHMEM,
	LX_ZONE_MOVABLE,
	LX_ZONE_DEVICE,
	LX_ZONE_COUNT
};

#define LX_NODE_UNKNOWN	(-1)
#define LX_NODE_SEVERAL	(-2)
#define LX_NODE_MAX	1023

struct lx_block {
	uint64_t id;			/* the N of memoryN */
	enum lx_block_state state;
	uint8_t zone;			/* lx_blocks_place() sets these */
	int16_t node;
};

/*
 * sys/devices/system/memory: the blocks there are, by rising id.
 * id * frames is the first frame of a block and does not overflow, nor does
 * the frame after the last block.
 */
struct lx_blocks {
	uint64_t frames;		/* in a block, a power of two */
	struct lx_block *block;
	size_t count;
};

#define LX_BLOCK_ORDER_MIN	9	/* 2 MiB */
#define LX_BLOCK_ORDER_MAX	28	/* 1 TiB */

/**
 * lx_blocks_read() - read the blocks of a system.
 * @blocks: starts as zeroes; give it back with lx_blocks_free()
 *
 * Return: 0; -LX_EMISSING: no sys/devices/system/memory; -LX_EREAD; or
 *         -LX_EFORMAT: a size or a number that cannot be.
 */
int lx_blocks_read(const char *root, struct lx_blocks *blocks,
		   struct lx_error *err);
void lx_blocks_free(struct lx_blocks *blocks);

/**
 * lx_blocks_place() - find the zone and the node of each block.
 *
 * Without files that tell, both stay unknown. An offline block has the zone
 * that it would get by default.
 *
 * Return: 0, or -LX_EREAD.
 */
int lx_blocks_place(const char *root, struct lx_blocks *blocks,
		    struct lx_error *err);

/* "Normal"; "" for LX_ZONE_UNKNOWN. */
const char *lx_block_zone_name(enum lx_block_zone zone);

/* The zone of that name, of @length characters; LX_ZONE_UNKNOWN: none. */
enum lx_block_zone lx_block_zone_parse(const char *name, size_t length);

const char *lx_block_state_name(enum lx_block_state state);

/**
 * lx_blocks_find() - the first block that ends behind a frame.
 *
 * Return: its index, or the number of blocks: there is none.
 */
size_t lx_blocks_find(const struct lx_blocks *blocks, uint64_t pfn);

/* How many blocks are in a state. */
size_t lx_blocks_count(const struct lx_blocks *blocks,
		       enum lx_block_state state);

/**
 * lx_blocks_fit() - does a file with a word a frame reach all online blocks?
 * @name:   the file, for the message
 * @frames: its words
 *
 * Return: 0, or -LX_EFORMAT: the file is shorter than the memory.
 */
int lx_blocks_fit(const struct lx_blocks *blocks, const char *name,
		  uint64_t frames, struct lx_error *err);

#endif
