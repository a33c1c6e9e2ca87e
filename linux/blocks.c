/* SPDX-License-Identifier: MIT */
#include "blocks.h"

#include <coldframe/types.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "sys/devices/system/memory"

/* Frames are numbered below this, so that nothing here can overflow. */
#define PFN_END ((uint64_t)1 << 52)

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
	blocks->block[blocks->count++] =
		(struct lx_block){ id, LX_BLOCK_UNKNOWN };
	return 0;
}

/* The numbers of all folders named memoryN, in no order. */
static int list_blocks(const char *root, struct lx_blocks *blocks,
		       struct lx_error *err)
{
	struct dirent *entry;
	char path[4096];
	size_t room = 0;
	uint64_t id;
	int ret = 0;
	DIR *folder;

	if (!lx_path(root, FOLDER, path, sizeof(path)))
		return lx_fail(err, LX_EREAD, FOLDER ": the path is too long");
	folder = opendir(path);
	if (!folder)
		return lx_fail(err, LX_EREAD, "%s: %s", path, strerror(errno));
	while (!ret && (entry = readdir(folder)) != NULL) {
		if (strncmp(entry->d_name, "memory", 6) ||
		    entry->d_name[6] < '0' || entry->d_name[6] > '9')
			continue;
		if (!lx_number(entry->d_name + 6, 10, NULL, &id))
			ret = lx_fail(err, LX_EFORMAT, "%s/%.60s: no block can "
				      "have this number", path, entry->d_name);
		else
			ret = add_block(blocks, &room, id, err);
	}
	closedir(folder);
	return ret;
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
