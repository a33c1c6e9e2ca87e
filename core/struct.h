/* SPDX-License-Identifier: MIT */
#ifndef CFI_STRUCT_H
#define CFI_STRUCT_H

#include <coldframe/coldframe.h>

#include "atomic.h"
#include "bitmap.h"

/*
 * Field key:
 *   (C) constant while published     (A) atomic, see the edge named
 *   (B) block->lock                  (H) map->hotplug
 *   (R) map->range_lock              (D) map->drain_lock
 *   (P) this context only, inside its BUSY mark
 * Two letters: either to read, both to write.
 */

/* Chunk classes 0..8: partly free, by largest free order; 9: wholly free. */
#define CLASS_WHOLE	9
#define CLASS_NONE	31	/* nothing free, or isolated: listed nowhere */

/*
 * A chunk.  Equations, when the block's lock is free:
 *   free == number of ones in its bitmap, or 512 if it is not split
 *   free == 512 implies not split; a chunk with a run of order >= 9 is not
 *   skip == frames in SKIPPABLE, RETIRED and RESERVED|SELF runs
 *   class follows from free, bitmap and isolation
 */
struct cfi_chunk {
	cfi_u64 word;		/* (A) the run of order >= 9 that begins here */
	uint16_t free;		/* (B) */
	uint16_t skip;		/* (B) */
	uint8_t class;		/* (B) */
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct cfi_chunk) == 16, "64 chunks in 1 KiB");

/*
 * A block.  When its lock is free:
 *   whole  == chunks of class 9; avail[k] == chunks of class k
 *   free   == sum of the chunks' free
 *   pending == isolated chunks with free + skip < 512
 */
struct cfi_block {
	cfi_u64 *frame_word;	/* (C) runs of order 0-8, chunk by chunk */
	struct cfi_bitmap *bitmap; /* (C) one a chunk */
	cf_pfn first;		/* (C) */
	uint32_t number;	/* (C) first >> block order */
	uint32_t chunks;	/* (C) */
	uint32_t node;		/* (C) */
	cfi_u64 zone;		/* (A,B) 63..32 kind, 31..0 number in
				 * map->zone; of a block in use.  Device
				 * memory: of its node, listed nowhere */
	cfi_u64 split;		/* (A,B) chunks whose frame words are valid
				 * [split] */
	cfi_u64 sequence;	/* (A,B) odd while heads change [sequence] */
	cfi_u64 home_of;	/* (A) context + 1 that comes here first; a
				 * hint */

	/* What every giving and taking writes, in one line. */
	_Alignas(64)
	struct cf_lock lock;	/*     rank BLOCK */
	uint32_t free;		/* (B) */
	uint32_t offline;	/* (B) frames logically offline */
	cfi_u64 isolated;	/* (A,B) */
	cfi_u64 state;		/* (A,B) enum cf_block_state [block-state] */
	uint64_t pending;	/* (B) */
	uint64_t whole;		/* (B) */
	bool watched;		/* (B) its free frames count in zone->free */
	bool orphan;		/* (B,H) its range owner is gone */

	uint64_t avail[CLASS_WHOLE]; /* (B) */
	uint64_t ready;		/* (B) chunks whose frame words were cleared
				 * once */
	uint32_t never_onlined;	/* (B) of those offline */
	uint32_t skippable;	/* (B) of these */
	uint32_t retired;	/* (B) */
	uint32_t reserved;	/* (B) */
	uint32_t poison;	/* (B) frames of the poison table in here */
	uint32_t range_owner;	/* (B,H) */
	uint32_t former_owner;	/* (B,H) while blocks are being adopted */

	/* Where this header and what it points to came from. */
	enum cf_meta meta;	/* (C) */
	uint32_t self_frames;	/* (C) frames at its start that hold metadata */
	uint32_t piece_blocks;	/* (C) blocks whose metadata came as one
				 * piece */
	uint32_t piece_index;	/* (C) which of them this is */
	void *piece;		/* (C) that piece */
	struct cfi_block *next;	/* (H) while it is being added or removed */
	enum cf_pagemap_kind kind; /* (C) of device memory; 0: it is none */
	cf_pfn range_first, range_last; /* (C) as it was added */
	struct cfi_chunk chunk[];
};

/*
 * Which blocks of a zone have a maximal free run of a class: 0..8 as chunk
 * classes, 9..block order as orders of runs of whole chunks.  Levels of
 * bits, 64 to one; the uppermost is one word a class, in the zone itself.
 * A run's bit is always set; a bit that is set may be stale, and whoever comes
 * in vain clears it under the block's lock.
 */
#define INDEX_LEVELS	4
#define INDEX_CLASSES	(CF_BLOCK_ORDER_MAX + 1)

struct cfi_index {
	cfi_u64 *level[INDEX_LEVELS];	/* (A) [index-summary] */
};

/*
 * Moments in which free frames are where a search does not see them: between
 * a cache and its block, or below a summary bit that is being looked at.  A
 * search that failed is repeated if one has begun that had not ended before.
 */
struct cfi_moves {
	cfi_u64 begun;		/* (A) [moves] */
	cfi_u64 ended;		/* (A) [moves] */
};

struct cfi_zone {
	uint32_t number;	/* (C) node * 2 + kind */
	uint32_t node;		/* (C) */
	enum cf_zone_kind kind;	/* (C) */
	cfi_u64 low_raised;	/* (A) below low, signal sent */
	cfi_u64 blocks;		/* (A,H) online blocks; skips empty zones */
	cfi_u64 stock_order;	/* (A,H) the highest order contexts stock */
	cfi_u64 watching;	/* (A) watermarks are set, free is kept */
	cfi_u64 free;		/* (A) while watching */
	cfi_u64 mark_min, mark_low, mark_high; /* (A) */
	struct cfi_moves moves;	/* of summary bits */
	cfi_u64 top[INDEX_CLASSES];	/* (A) uppermost level of the index */
	struct cfi_index index[INDEX_CLASSES];
};

/*
 * What a context has in stock of one zone: two magazines of single frames,
 * and of each higher order the runs it freed last: above 2 MiB one, of several
 * blocks one in all.  Their bits are clear and their words are 0.
 */
#define MAGAZINE_FRAMES	128
#define STACK_RUNS	4

struct cfi_magazine {
	cfi_u64 count;		/* (A,P) */
	cf_pfn frame[MAGAZINE_FRAMES]; /* (P) */
};

struct cfi_stack {
	cfi_u64 count;		/* (A,P) */
	cf_pfn run[STACK_RUNS];	/* (P) */
};

struct cfi_cache {
	_Alignas(64)
	struct cfi_stack stack[CF_MAX_ORDER + 1]; /* by order; [0]: no use */
	struct cfi_magazine *loaded; /* (P) the one of the two in use */
	struct cfi_magazine magazine[2]; /* (P) */
};

/*
 * An execution context.  busy and divert share a line: entering is a store,
 * a load of that line, and nothing else.  They do not begin a page, as frame
 * words of chunks do: a load waits for a store 4096 bytes away.
 */
struct cfi_cpu {
	_Alignas(128)
	cfi_u64 type_frames[CF_TYPE_COUNT]; /* (A,P) may be negative */
	cfi_u64 busy;		/* (A) its owner is inside [cache-leave] */
	cfi_u64 divert;		/* (A) stay out [cache-divert] */
	uint32_t number;	/* (C) */
	uint32_t listed;	/* (P) its bit in map->stocked is set */
	struct cfi_cache *cache; /* (C) one a zone */
	struct cfi_cache *local; /* (C) of its own node's NORMAL zone */
	uint32_t home[CF_NODES_MAX * 2]; /* this context: block last used */
};

/* Owner ids: free, open, or closing: no new runs, puts go to the orphan. */
enum cfi_owner_state {
	OWNER_FREE	= 0,
	OWNER_OPEN	= 1,
	OWNER_CLOSING	= 2,
};

/*
 * Frames in runs that name an owner are counted in shards, so that contexts
 * that allocate for one owner share no line; a shard may be negative.
 */
#define OWNER_SHARDS	8

struct cfi_owner {
	cfi_u64 state;		/* (A) enum cfi_owner_state [owner-state] */
	const char *name;	/* (C) while open */
	const struct cf_owner_ops *ops; /* (C) while open */
	void *context;		/* (C) while open */
};

/* Chunks [first, last) that one operation has isolated. */
struct cfi_range {
	struct cfi_range *next;	/* (R) */
	cf_pfn first, last;	/* (C) */
	uint32_t id;		/* (C) */
	bool isolated;		/* (H) it stands in map->range */
	bool undrained;		/* (H) a cache may still hold frames of it */
};

struct cfi_side {
	struct cfi_side *next;	/* (H) */
	struct cf_map *map;
	cfi_u64 *leaf;		/* (A) one a block [side-leaf] */
	size_t entry_bytes;
	size_t leaf_bytes;
	size_t directory_bytes;
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct cfi_side) <= sizeof(struct cf_side), "opaque");

/*
 * The map.  Locks and read sections: docs/locks.md.
 */
struct cf_map {
	struct cf_map_config config;	/* (C) */
	cfi_u64 *block;			/* (A) pointers, by number
					 * [block-publish] */
	struct cfi_zone *zone;		/* (C) nodes * 2 */
	struct cfi_cpu *cpu;		/* (C) */
	struct cfi_owner *owner;	/* (C) CF_OWNERS_MAX */
	cfi_u64 *owner_frames;		/* (A) OWNER_SHARDS * CF_OWNERS_MAX */
	cfi_u64 *poison;		/* (A,H) bad frames [poison-table] */
	cfi_u64 poison_count;		/* (A,H) how many of
					 * config.poison_max */
	uint32_t block_shift;		/* (C) block order */
	uint32_t blocks_max;		/* (C) */
	uint32_t zones;			/* (C) */
	uint32_t stock_cpus;		/* (C) contexts below this keep stock */
	cfi_u64 blocks_end;		/* (A,H) one past the highest block
					 * ever */

	cfi_u64 type_frames[CF_TYPE_COUNT]; /* (A) of diverted contexts */
	cfi_u64 stocked[CF_CPUS_MAX / 64]; /* (A) contexts with stock
					    * [stocked] */
	cfi_u64 content[2];		/* (A) readers by ticket [content] */
	cfi_u64 content_turn;		/* (A) ticket new readers take
					 * [content] */
	struct cf_lock content_lock;	/*     rank RANGE: one sync at a time */

	struct cf_lock hotplug;		/*     rank HOTPLUG */
	struct cf_lock owner_lock;	/*     rank OWNER */
	struct cf_lock range_lock;	/*     rank RANGE */
	struct cf_lock drain_lock;	/*     rank DRAIN */
	struct cfi_range *range;	/* (R) */
	uint32_t range_next_id;		/* (R) */
	uint32_t divert_holds;		/* (D) isolations, drains under way */
	struct cfi_moves moves;		/* of drains */
	cf_pfn emptied;			/* (D) a chunk a drain has emptied */
	struct cfi_magazine targets;	/* (D) to move runs to, of one zone */
	uint32_t targets_zone;		/* (D) its number */
	cfi_u64 targets_stocked;	/* (A,D) there may be some [stocked] */
	cfi_u64 targets_scarce;		/* (A,D) others had to drain them */
	struct cf_subscriber *subscriber; /* (H) by falling priority */
	uint32_t operations;		/* (H) offline operations under way */
	struct cfi_side *side;		/* (H) */
	size_t storage_bytes;		/* (C) */
};

#endif
