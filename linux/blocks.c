/* SPDX-License-Identifier: MIT */
#include "blocks.h"

#include <coldframe/types.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "sys/devices/system/memory"
#define NODES "sys/devices/system/node"

/* Frames are numbered below this, so that nothing here can overflow. */
#define PFN_END LX_COUNT_MAX

static int read_block_size(const char *root, struct lx_blocks *blocks,
			   struct lx_error *err)
{
	char line[LX_LINE_BYTES];
	uint64_t bytes, frames;
	int ret;

	ret = lx_first_line(root, FOLDER "/block_size_bytes", line, err);
	if (ret)
		return ret;
	if (!lx_number(line, 16, NULL, &bytes))
		return lx_fail(err, LX_EFORMAT, "%s: " FOLDER
			       "/block_size_bytes: not a hexadecimal number: "
			       "%.40s", root, line);
	frames = bytes >> CF_FRAME_SHIFT;
	if (bytes & (bytes - 1) || frames < UINT64_C(1) << LX_BLOCK_ORDER_MIN ||
	    frames > UINT64_C(1) << LX_BLOCK_ORDER_MAX)
		return lx_fail(err, LX_EFORMAT, "%s: " FOLDER
			       "/block_size_bytes: not a power of two from "
			       "2 MiB to 1 TiB: %.40s", root, line);
	blocks->frames = frames;
	return 0;
}

static const char *const state_names[LX_BLOCK_STATE_COUNT] = {
	[LX_BLOCK_ABSENT]	 = "absent",
	[LX_BLOCK_OFFLINE]	 = "offline",
	[LX_BLOCK_ONLINE]	 = "online",
	[LX_BLOCK_GOING_OFFLINE] = "going-offline",
	[LX_BLOCK_UNKNOWN]	 = "unknown",
};

static const char *const zone_names[LX_ZONE_COUNT] = {
	[LX_ZONE_UNKNOWN]	= "",
	[LX_ZONE_NONE]		= "none",
	[LX_ZONE_DMA]		= "DMA",
	[LX_ZONE_DMA32]		= "DMA32",
	[LX_ZONE_NORMAL]	= "Normal",
	[LX_ZONE_HIGHMEM]	= "HighMem",
	[LX_ZONE_MOVABLE]	= "Movable",
	[LX_ZONE_DEVICE]	= "Device",
};

const char *lx_block_state_name(enum lx_block_state state)
{
	return state_names[state];
}

const char *lx_block_zone_name(enum lx_block_zone zone)
{
	return zone_names[zone];
}

enum lx_block_zone lx_block_zone_parse(const char *name, size_t length)
{
	unsigned int i;

	for (i = LX_ZONE_NONE; i < LX_ZONE_COUNT; i++) {
		if (strlen(zone_names[i]) == length &&
		    !memcmp(zone_names[i], name, length))
			return (enum lx_block_zone)i;
	}
	return LX_ZONE_UNKNOWN;
}

static enum lx_block_state state_of(const char *word)
{
	if (!strcmp(word, "online"))
		return LX_BLOCK_ONLINE;
	if (!strcmp(word, "offline"))
		return LX_BLOCK_OFFLINE;
	if (!strcmp(word, "going-offline"))
		return LX_BLOCK_GOING_OFFLINE;
	return LX_BLOCK_UNKNOWN;
}

/* A block without a readable state is there all the same. */
static enum lx_block_state read_state(const char *root, uint64_t id)
{
	char name[80], line[LX_LINE_BYTES];
	struct lx_error err;

	snprintf(name, sizeof(name), FOLDER "/memory%" PRIu64 "/state", id);
	if (lx_first_line(root, name, line, &err))
		return LX_BLOCK_UNKNOWN;
	return state_of(line);
}

static int add_block(struct lx_blocks *blocks, size_t *room, uint64_t id,
		     struct lx_error *err)
{
	struct lx_block *block;

	if (id >= PFN_END / blocks->frames)
		return lx_fail(err, LX_EFORMAT, FOLDER "/memory%" PRIu64
			       ": no block can have this number", id);
	if (blocks->count == *room) {
		*room = *room ? 2 * *room : 64;
		block = realloc(blocks->block, *room * sizeof(*block));
		if (!block)
			return lx_fail(err, LX_EREAD, "out of memory");
		blocks->block = block;
	}
	blocks->block[blocks->count++] = (struct lx_block){
		.id = id,
		.state = LX_BLOCK_UNKNOWN,
		.node = LX_NODE_UNKNOWN,
	};
	return 0;
}

struct list {
	const char *root;
	struct lx_blocks *blocks;
	size_t room;
	struct lx_error *err;
};

static int list_block(void *context, const char *name)
{
	struct list *list = context;
	uint64_t id;

	if (strncmp(name, "memory", 6) || name[6] < '0' || name[6] > '9')
		return 0;
	if (!lx_number(name + 6, 10, NULL, &id))
		return lx_fail(list->err, LX_EFORMAT, "%s: " FOLDER "/%.60s: "
			       "no block can have this number", list->root,
			       name);
	return add_block(list->blocks, &list->room, id, list->err);
}

/* The numbers of all folders named memoryN, in no order. */
static int list_blocks(const char *root, struct lx_blocks *blocks,
		       struct lx_error *err)
{
	struct list list = { root, blocks, 0, err };

	return lx_names(root, FOLDER, list_block, &list, err);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct lx_block *left = a, *right = b;

	if (left->id != right->id)
		return left->id < right->id ? -1 : 1;
	return 0;
}

/* "memory7" and "memory07" are one block. */
static void sort_blocks(struct lx_blocks *blocks)
{
	struct lx_block *block = blocks->block;
	size_t i, kept = 0;

	if (!blocks->count)
		return;
	qsort(block, blocks->count, sizeof(*block), compare_blocks);
	for (i = 1; i < blocks->count; i++) {
		if (block[i].id != block[kept].id)
			block[++kept] = block[i];
	}
	blocks->count = kept + 1;
}

int lx_blocks_read(const char *root, struct lx_blocks *blocks,
		   struct lx_error *err)
{
	size_t i;
	int ret;

	ret = read_block_size(root, blocks, err);
	if (!ret)
		ret = list_blocks(root, blocks, err);
	if (ret) {
		lx_blocks_free(blocks);
		return ret;
	}
	sort_blocks(blocks);
	for (i = 0; i < blocks->count; i++)
		blocks->block[i].state = read_state(root, blocks->block[i].id);
	return 0;
}

struct placing {
	const char *root;
	struct lx_blocks *blocks;
	struct lx_error *err;
	int16_t node;
};

/* The link nodeK/memoryN: block N is of node K. */
static int place_block(void *context, const char *name)
{
	struct placing *placing = context;
	struct lx_blocks *blocks = placing->blocks;
	struct lx_block *block;
	uint64_t id;
	size_t i;

	if (strncmp(name, "memory", 6) ||
	    !lx_number(name + 6, 10, NULL, &id) ||
	    id >= PFN_END / blocks->frames)
		return 0;
	i = lx_blocks_find(blocks, id * blocks->frames);
	if (i == blocks->count || blocks->block[i].id != id)
		return 0;
	block = &blocks->block[i];
	if (block->node == LX_NODE_UNKNOWN)
		block->node = placing->node;
	else if (block->node != placing->node)
		block->node = LX_NODE_SEVERAL;
	return 0;
}

static int place_node(void *context, const char *name)
{
	struct placing *placing = context;
	char folder[80];
	uint64_t node;
	int ret;

	if (strncmp(name, "node", 4) || !lx_number(name + 4, 10, NULL, &node) ||
	    node > LX_NODE_MAX)
		return 0;
	placing->node = (int16_t)node;
	snprintf(folder, sizeof(folder), NODES "/%s", name);
	ret = lx_names(placing->root, folder, place_block, placing,
		       placing->err);
	return ret == -LX_EMISSING || ret == -LX_EDENIED ? 0 : ret;
}

static void read_zone(const char *root, struct lx_block *block)
{
	char name[80], line[LX_LINE_BYTES];
	struct lx_error err;

	snprintf(name, sizeof(name), FOLDER "/memory%" PRIu64 "/valid_zones",
		 block->id);
	if (!lx_first_line(root, name, line, &err))
		block->zone = (uint8_t)lx_block_zone_parse(line,
							strcspn(line, " "));
}

int lx_blocks_place(const char *root, struct lx_blocks *blocks,
		    struct lx_error *err)
{
	struct placing placing = { root, blocks, err, 0 };
	size_t i;
	int ret;

	for (i = 0; i < blocks->count; i++)
		read_zone(root, &blocks->block[i]);
	ret = lx_names(root, NODES, place_node, &placing, err);
	return ret == -LX_EMISSING || ret == -LX_EDENIED ? 0 : ret;
}

void lx_blocks_free(struct lx_blocks *blocks)
{
	free(blocks->block);
	*blocks = (struct lx_blocks){ 0, NULL, 0 };
}

size_t lx_blocks_find(const struct lx_blocks *blocks, uint64_t pfn)
{
	size_t low = 0, high = blocks->count;
	uint64_t id;

	if (!blocks->count)
		return 0;
	id = pfn / blocks->frames;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (blocks->block[middle].id >= id)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

size_t lx_blocks_count(const struct lx_blocks *blocks,
		       enum lx_block_state state)
{
	size_t i, count = 0;

	for (i = 0; i < blocks->count; i++)
		count += blocks->block[i].state == state;
	return count;
}

int lx_blocks_fit(const struct lx_blocks *blocks, const char *name,
		  uint64_t frames, struct lx_error *err)
{
	size_t i = blocks->count;
	uint64_t last;

	while (i && blocks->block[i - 1].state != LX_BLOCK_ONLINE)
		i--;
	if (!i)
		return 0;
	last = (blocks->block[i - 1].id + 1) * blocks->frames;
	if (frames >= last)
		return 0;
	return lx_fail(err, LX_EFORMAT, "%s: the file is cut off: its %" PRIu64
		       " bytes hold %" PRIu64 " frames, but memory%" PRIu64
		       " is online and ends at frame %" PRIu64, name,
		       frames * sizeof(uint64_t), frames,
		       blocks->block[i - 1].id, last);
}
