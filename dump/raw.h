/* SPDX-License-Identifier: MIT */
#ifndef DUMP_RAW_H
#define DUMP_RAW_H

/*
 * A map as it lies in memory, of this process or of a dump, read with nothing
 * but what cf_vmcoreinfo() says.  Whatever stands there is looked at before
 * it is used: a dump may be torn, or made by somebody who means harm.
 */

#include <coldframe/coldframe.h>

#include "info.h"

/*
 * Read bytes at an address of the machine's. 0: done; -1: they are not there.
 */
typedef int (*raw_read_fn)(void *context, uint64_t address, void *memory,
			   size_t bytes);

/* Where things are; names in raw.c, in this order. */
enum raw_key {
	RAW_MAP_LAST, RAW_MAP_NODES, RAW_MAP_BLOCK, RAW_MAP_OWNER,
	RAW_MAP_POISON, RAW_MAP_POISON_COUNT, RAW_MAP_BLOCK_SHIFT,
	RAW_MAP_BLOCKS_END, RAW_MAP_STORAGE_BYTES,
	RAW_BLOCK_SIZE, RAW_BLOCK_FRAME_WORD, RAW_BLOCK_BITMAP,
	RAW_BLOCK_FIRST, RAW_BLOCK_NODE, RAW_BLOCK_ZONE, RAW_BLOCK_SPLIT,
	RAW_BLOCK_ISOLATED, RAW_BLOCK_STATE, RAW_BLOCK_ORPHAN,
	RAW_BLOCK_RANGE_OWNER, RAW_BLOCK_SELF_FRAMES, RAW_BLOCK_PIECE_BLOCKS,
	RAW_BLOCK_PIECE_INDEX, RAW_BLOCK_PIECE, RAW_BLOCK_CHUNK,
	RAW_CHUNK_SIZE, RAW_CHUNK_WORD, RAW_CHUNK_FREE,
	RAW_OWNER_SIZE, RAW_OWNER_STATE, RAW_OWNER_NAME, RAW_OWNER_OPS,
	RAW_OPS_SIZE, RAW_OPS_MIGRATE, RAW_OPS_DISSOLVE, RAW_OPS_PRIVATE,
	RAW_OWNER_OPEN, RAW_OWNERS_MAX,
	RAW_TYPE_SHIFT, RAW_TYPE_BITS, RAW_ORDER_SHIFT, RAW_ORDER_BITS,
	RAW_FLAGS_SHIFT, RAW_FLAGS_BITS, RAW_ID_SHIFT, RAW_ID_BITS,
	RAW_PINS_SHIFT, RAW_PINS_BITS, RAW_REFS_SHIFT, RAW_REFS_BITS,
	RAW_COUNTED_TYPES, RAW_CHUNK_ORDER,
	RAW_KEY_COUNT
};

#define RAW_CHUNKS_MAX	64
#define RAW_NAME_BYTES	64

struct raw_owner {
	uint32_t id;
	uint32_t traits;	/* enum cf_owner_trait */
	char name[RAW_NAME_BYTES];
};

/* A block's header. */
struct raw_block {
	bool there;
	uint64_t number;
	cf_pfn first, last;
	enum cf_block_state state;
	enum cf_zone_kind zone;
	uint32_t node, range_owner, self_frames;
	bool orphan;
	uint64_t split, isolated;	/* a bit a chunk */
	uint64_t words, bitmaps;	/* addresses */
	uint64_t piece;			/* address of its metadata ... */
	uint32_t piece_blocks;		/* ... which it shares with so many, */
	uint32_t piece_index;		/* ... and which of them it is */
	uint64_t word[RAW_CHUNKS_MAX];
	uint16_t free[RAW_CHUNKS_MAX];
};

struct raw_map {
	raw_read_fn read;
	void *context;
	uint64_t key[RAW_KEY_COUNT];
	uint64_t address;		/* of the map */
	uint64_t storage_bytes;
	cf_pfn last;			/* one past what it can have */
	uint64_t blocks_end;		/* one past the highest block */
	uint64_t directory, owner_table; /* addresses */
	uint32_t nodes;
	unsigned block_shift, chunks;
	struct raw_owner *owner;	/* by id */
	size_t owners;
	cf_pfn *bad;			/* in rising order */
	size_t bads;
	uint64_t torn;			/* words that made no sense: it changed
					 * while it was copied */
	struct raw_block block;		/* the one looked at last */
};

/* What one frame is. */
struct raw_frame {
	enum cf_span_kind kind;
	cf_pfn head;			/* of its run */
	uint64_t word;			/* of its run */
};

/**
 * raw_open() - find a map.
 * @raw:  filled; give it back with raw_close()
 * @info: what cf_vmcoreinfo() said
 *
 * Return: 0, or -1 with @why.
 */
int raw_open(struct raw_map *raw, struct info info, raw_read_fn read,
	     void *context, struct dump_why *why);
void raw_close(struct raw_map *raw);

/* Who owns what, from the map's table. One who cannot be read is nobody. */
int raw_read_owners(struct raw_map *raw);

/* One past the last frame of the highest block there ever was. */
cf_pfn raw_end(const struct raw_map *raw);

/* The first frame of the first block from @pfn on, or raw_end(). */
cf_pfn raw_next(struct raw_map *raw, cf_pfn pfn);

/*
 * The header of the block of a frame; there false: there is none. NULL: it
 * cannot be read, or says what cannot be. Stays until the next call.
 */
const struct raw_block *raw_block_of(struct raw_map *raw, cf_pfn pfn);

/**
 * raw_look() - what the frames of a chunk, or part of one, are.
 * @frames: filled, one for each of [first, last)
 *
 * A word that makes no sense where it is makes a frame of its own, in transit.
 *
 * Return: 0, or -1: its metadata cannot be read, or says what cannot be.
 */
int raw_look(struct raw_map *raw, cf_pfn first, cf_pfn last,
	     struct raw_frame *frames);

/* A frame and its run as a walker would tell it. */
void raw_span(const struct raw_map *raw, cf_pfn pfn,
	      const struct raw_frame *frame, struct cf_span *ret_span);

bool raw_is_bad(const struct raw_map *raw, cf_pfn pfn);

/* An owner that is registered, or NULL. */
const struct raw_owner *raw_owner(const struct raw_map *raw, uint32_t id);

/* As cf_owner_traits(). */
uint32_t raw_traits(const struct raw_map *raw, uint32_t id);

#endif
