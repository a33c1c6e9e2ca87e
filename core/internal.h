/* SPDX-License-Identifier: MIT */
#ifndef CFI_INTERNAL_H
#define CFI_INTERNAL_H

#include <coldframe/coldframe.h>

#include "atomic.h"
#include "bitmap.h"
#include "check.h"
#include "word.h"

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
#define CLASS_NONE	15	/* nothing free, or isolated: listed nowhere */

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
 *   frames == managed + offline + retired + reserved, if ONLINE
 *   pending == isolated chunks with free + skip < 512
 */
struct cfi_block {
	cfi_u64 *frame_word;	/* (C) runs of order 0-8, chunk by chunk */
	struct cfi_bitmap *bitmap; /* (C) one a chunk */
	cf_pfn first;		/* (C) */
	uint32_t number;	/* (C) first >> block order */
	uint32_t chunks;	/* (C) */
	uint32_t node;		/* (C) */
	cfi_u64 zone;		/* (A,B) number in map->zone; of an online block */
	cfi_u64 split;		/* (A,B) chunks whose frame words are valid [split] */
	cfi_u64 sequence;	/* (A,B) odd while heads change [sequence] */

	struct cf_lock lock;	/*     rank BLOCK */
	uint64_t whole;		/* (B) */
	uint64_t avail[CLASS_WHOLE]; /* (B) */
	uint64_t ready;		/* (B) chunks whose frame words were cleared once */
	cfi_u64 isolated;	/* (A,B) */
	uint64_t pending;	/* (B) */
	cfi_u64 state;		/* (A,B) enum cf_block_state [block-state] */
	uint32_t free;		/* (B) */
	uint32_t offline;	/* (B) frames logically offline */
	uint32_t never_onlined;	/* (B) of these */
	uint32_t skippable;	/* (B) of these */
	uint32_t retired;	/* (B) */
	uint32_t reserved;	/* (B) */
	uint32_t poison;	/* (B) frames of the poison table in here */
	uint32_t range_owner;	/* (B,H) */
	bool orphan;		/* (B,H) its range owner is gone */
	bool watched;		/* (B) its free frames count in zone->free */

	/* Where this header and what it points to came from. */
	enum cf_meta meta;	/* (C) */
	uint32_t self_frames;	/* (C) frames at its start that hold metadata */
	uint32_t piece_blocks;	/* (C) blocks whose metadata came as one piece */
	uint32_t piece_index;	/* (C) which of them this is */
	void *piece;		/* (C) that piece */
	struct cfi_block *removed_next; /* (H) while it is being removed */
	struct cfi_chunk chunk[];
};

/*
 * Which blocks of a zone have a maximal free run of a class: 0..8 as chunk
 * classes, 9..block order as orders of runs of whole chunks.  Three levels
 * of bits, 64 to one.  A run's bit is always set; a bit that is set may be
 * stale, and whoever comes in vain clears it under the block's lock.
 */
#define INDEX_LEVELS	3
#define INDEX_CLASSES	(CF_BLOCK_ORDER_MAX + 1)

struct cfi_index {
	cfi_u64 *level[INDEX_LEVELS];	/* (A) [index] [index-summary] */
};

struct cfi_zone {
	uint32_t number;	/* (C) node * 2 + kind */
	uint32_t node;		/* (C) */
	enum cf_zone_kind kind;	/* (C) */
	cfi_u64 low_raised;	/* (A) below low, signal sent */
	cfi_u64 blocks;		/* (A,H) online blocks; skips empty zones */
	cfi_u64 watching;	/* (A) watermarks are set, free is kept */
	cfi_u64 free;		/* (A) while watching */
	cfi_u64 mark_min, mark_low, mark_high; /* (A) */
	struct cfi_index index[INDEX_CLASSES];
};

/*
 * A magazine pair: frames of one zone a context has taken in stock.  Their
 * bit is clear and their word is 0.
 */
#define MAGAZINE_FRAMES	64

struct cfi_magazine {
	cfi_u64 count;		/* (A,P) */
	cf_pfn frame[MAGAZINE_FRAMES]; /* (P) */
};

struct cfi_cache {
	_Alignas(64)
	uint64_t loaded;	/* (P) which of the two is in use */
	struct cfi_magazine magazine[2]; /* (P) */
};

/*
 * An execution context.  busy and divert share a line: entering is a store,
 * a load of that line, and nothing else.
 */
struct cfi_cpu {
	_Alignas(128)
	cfi_u64 busy;		/* (A) its owner is inside [cache-leave] */
	cfi_u64 divert;		/* (A) stay out [cache-divert] */
	cfi_u64 type_frames[CF_TYPE_COUNT]; /* (A,P) may be negative */
	uint32_t number;	/* (C) */
	uint32_t listed;	/* (P) its bit in map->stocked is set */
	uint32_t home[CF_NODES_MAX * 2]; /* (P) block last used, by zone */
	struct cfi_cache *cache; /* (C) one a zone */
};

/* Owner ids: free, open, or closing: no new runs, puts go to the orphan. */
enum cfi_owner_state {
	OWNER_FREE	= 0,
	OWNER_OPEN	= 1,
	OWNER_CLOSING	= 2,
};

struct cfi_owner {
	cfi_u64 state;		/* (A) enum cfi_owner_state [owner-state] */
	cfi_u64 frames;		/* (A) in runs that name it */
	const char *name;	/* (C) while open */
	const struct cf_owner_ops *ops; /* (C) while open */
	void *context;		/* (C) while open */
};

/* Chunks [first, last) that one operation has isolated. */
enum cfi_range_kind {
	RANGE_OFFLINE,
	RANGE_CONTIGUOUS,
	RANGE_COMPACT,
	RANGE_RETIRE,
};

struct cfi_range {
	struct cfi_range *next;	/* (R) */
	cf_pfn first, last;	/* (C) */
	uint32_t id;		/* (C) */
	enum cfi_range_kind kind; /* (C) */
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
	cfi_u64 *block;			/* (A) pointers, by number [block-publish] */
	struct cfi_zone *zone;		/* (C) nodes * 2 */
	struct cfi_cpu *cpu;		/* (C) */
	struct cfi_owner *owner;	/* (C) CF_OWNERS_MAX */
	cfi_u64 *poison;		/* (A,H) bad frames [poison-table] */
	cfi_u64 poison_count;		/* (A,H) how many of config.poison_max */
	uint32_t block_shift;		/* (C) block order */
	uint32_t blocks_max;		/* (C) */
	uint32_t zones;			/* (C) */
	cfi_u64 blocks_end;		/* (A,H) one past the highest block ever */

	cfi_u64 type_frames[CF_TYPE_COUNT]; /* (A) of diverted contexts */
	cfi_u64 stocked[CF_CPUS_MAX / 64]; /* (A) contexts with stock [stocked] */
	cfi_u64 content[2];		/* (A) readers by ticket [content] */
	cfi_u64 content_turn;		/* (A) ticket new readers take [content] */
	struct cf_lock content_lock;	/*     rank RANGE: one sync at a time */

	struct cf_lock hotplug;		/*     rank HOTPLUG */
	struct cf_lock owner_lock;	/*     rank OWNER */
	struct cf_lock range_lock;	/*     rank RANGE */
	struct cf_lock drain_lock;	/*     rank DRAIN */
	struct cfi_range *range;	/* (R) */
	uint32_t range_next_id;		/* (R) */
	uint32_t divert_holds;		/* (D) isolations and drains under way */
	struct cf_subscriber *subscriber; /* (H) by falling priority */
	uint32_t operations;		/* (H) offline operations under way */
	struct cfi_side *side;		/* (H) */
	struct cfi_block *removed;	/* (H) unpublished, waiting for walkers */
	size_t storage_bytes;		/* (C) */
};

/* map.c */
static inline struct cfi_block *cfi_block_at(const struct cf_map *map,
					     uint64_t number)
{
	/*
	 * Acquire: see the header that block_add filled in. The other side is
	 * publish() in map.c. [block-publish]
	 */
	return (struct cfi_block *)(uintptr_t)
		cfi_load_acquire(&map->block[number]);
}

/* The block of a frame, or NULL. In a read section, or holding the frame. */
static inline struct cfi_block *cfi_block_of(const struct cf_map *map,
					     cf_pfn pfn)
{
	uint64_t number = pfn >> map->block_shift;

	if (number >= map->blocks_max)
		return NULL;
	return cfi_block_at(map, number);
}

static inline cf_pfn cfi_block_frames(const struct cfi_block *block)
{
	return (cf_pfn)block->chunks << CF_CHUNK_ORDER;
}

static inline cf_pfn cfi_block_last(const struct cfi_block *block)
{
	return block->first + cfi_block_frames(block);
}

static inline unsigned cfi_chunk_index(const struct cfi_block *block,
				       cf_pfn pfn)
{
	return (unsigned)((pfn - block->first) >> CF_CHUNK_ORDER);
}

static inline struct cfi_zone *cfi_zone_of(struct cf_map *map, unsigned node,
					   enum cf_zone_kind kind)
{
	return &map->zone[node * 2 + (unsigned)kind];
}

bool cfi_range_aligned(const struct cf_map *map, cf_pfn first, cf_pfn last);
/* One past the highest block number there has ever been. */
static inline uint64_t cfi_blocks_end(const struct cf_map *map)
{
	/* Relaxed: only grows, under hotplug. */
	return cfi_load_relaxed(&map->blocks_end);
}

static inline uint64_t cfi_isolated(const struct cfi_block *block)
{
	/* Relaxed: under the lock it is exact; elsewhere a hint. */
	return cfi_load_relaxed(&block->isolated);
}

/* Number of the zone of a block; constant while a frame of it is held. */
static inline uint32_t cfi_zone_number(const struct cfi_block *block)
{
	/* Relaxed: changes only while the block is offline. */
	return (uint32_t)cfi_load_relaxed(&block->zone);
}

static inline enum cf_block_state cfi_block_state(const struct cfi_block *block)
{
	/* Relaxed: under the lock it is exact; elsewhere a hint. */
	return (enum cf_block_state)cfi_load_relaxed(&block->state);
}

/* frame.c: words and heads */
cfi_u64 *cfi_word_at(struct cfi_block *block, cf_pfn pfn);
cfi_u64 *cfi_word_slot(struct cfi_block *block, cf_pfn pfn, unsigned order);
cf_pfn cfi_find(struct cf_map *map, cf_pfn pfn, cfi_u64 **ret_word,
		uint64_t *ret_value);
int cfi_try_get_word(cfi_u64 *word, uint64_t add);
void cfi_sequence_begin(struct cfi_block *block);
void cfi_sequence_end(struct cfi_block *block);

/* index.c */
void cfi_index_set(struct cfi_zone *zone, unsigned class, uint64_t number);
void cfi_index_clear(struct cfi_zone *zone, unsigned class, uint64_t number);
uint64_t cfi_index_find(const struct cf_map *map, const struct cfi_zone *zone,
			unsigned class, uint64_t from);
bool cfi_index_test(const struct cfi_zone *zone, unsigned class,
		    uint64_t number);
#define INDEX_NONE (~(uint64_t)0)

/* chunk.c: free memory of one block; the caller holds its lock */
void cfi_chunk_reclass(struct cf_map *map, struct cfi_block *block,
		       unsigned chunk);
void cfi_chunk_open(struct cfi_block *block, unsigned chunk);
bool cfi_take_run(struct cf_map *map, struct cfi_block *block, unsigned order,
		  unsigned class, cf_pfn *ret_pfn);
unsigned cfi_take_many(struct cf_map *map, struct cfi_block *block,
		       unsigned class, cf_pfn *ret_frames, unsigned most);
bool cfi_take_exact(struct cf_map *map, struct cfi_block *block, cf_pfn first,
		    cf_pfn last);
bool cfi_is_free(const struct cfi_block *block, cf_pfn first, cf_pfn last);
uint64_t cfi_give(struct cf_map *map, struct cfi_block *block, cf_pfn first,
		  cf_pfn last);
uint64_t cfi_chunk_settle(struct cfi_block *block, unsigned chunk);
void cfi_chunk_close(struct cfi_block *block, unsigned chunk);

/* cache.c */
struct cfi_cpu *cfi_cpu_enter(struct cf_map *map);
void cfi_cpu_leave(struct cfi_cpu *cpu);
void cfi_count_type(struct cf_map *map, enum cf_type type, int64_t frames);
bool cfi_cache_alloc(struct cf_map *map, struct cfi_zone *zone,
		     enum cf_type type, cf_pfn *ret_pfn);
bool cfi_cache_free(struct cf_map *map, struct cfi_block *block,
		    enum cf_type type, cf_pfn pfn);
bool cfi_caches_stocked(struct cf_map *map);
int cfi_divert_begin(struct cf_map *map);
int cfi_divert_drain(struct cf_map *map);
void cfi_divert_end(struct cf_map *map);

/* alloc.c */
struct cfi_taking {		/* what cfi_take() looks for */
	uint8_t order, node, zone;
	uint16_t flags;		/* enum cf_alloc_flag */
};
int cfi_take(struct cf_map *map, struct cfi_taking taking, cf_pfn *ret_pfn);
void cfi_give_range(struct cf_map *map, cf_pfn first, cf_pfn last);
void cfi_signal_empty(struct cf_map *map, const struct cfi_block *block,
		      uint64_t chunks);
void cfi_free_run(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		  uint64_t word);
void cfi_free_cas(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		  uint64_t word);
void cfi_mark_run(struct cf_map *map, cf_pfn pfn, uint64_t word);
bool cfi_request_fits(const struct cf_map *map, struct cf_request request);
uint64_t cfi_request_word(struct cf_request request);

/* owner.c */
int cfi_owner_begin(struct cf_map *map, uint32_t id);
void cfi_owner_end(void);
struct cfi_owner *cfi_owner_open(struct cf_map *map, uint32_t id);
enum cf_verdict cfi_owner_release(struct cf_map *map, cf_pfn pfn,
				  uint64_t word);
void cfi_owner_count(struct cf_map *map, uint32_t id, int64_t frames);
const char *cfi_owner_name(struct cf_map *map, uint32_t id);

/* run.c: words of uncounted runs; the caller holds the block's lock */
uint64_t cfi_word_in(struct cfi_block *block, cf_pfn pfn, cf_pfn *ret_head);
void cfi_carve(struct cf_map *map, struct cfi_block *block, cf_pfn at);
void cfi_put_words(struct cfi_block *block, cf_pfn first, cf_pfn last,
		   uint64_t word, unsigned most_order);
void cfi_clear_words(struct cfi_block *block, cf_pfn first, cf_pfn last);
uint64_t cfi_account(struct cfi_block *block, cf_pfn first, cf_pfn last,
		     uint64_t word, int sign);

/* retire.c: the poison table */
bool cfi_is_poison(const struct cf_map *map, cf_pfn pfn);
uint64_t cfi_give_around(struct cf_map *map, struct cfi_block *block,
			 cf_pfn first, cf_pfn last);
void cfi_free_poisoned(struct cf_map *map, cf_pfn pfn, cf_pfn last);
void cfi_retire_in_block(struct cf_map *map, struct cfi_block *block);
uint32_t cfi_poison_count(const struct cf_map *map, cf_pfn first, cf_pfn last);

/* isolate.c */
int cfi_isolate(struct cf_map *map, struct cfi_range *range,
		struct cf_report *report);
void cfi_unisolate(struct cf_map *map, struct cfi_range *range);
uint32_t cfi_range_find(struct cf_map *map, cf_pfn first, cf_pfn last);

/* migrate.c */
struct cfi_evacuation {
	uint64_t migrated;	/* frames moved */
	uint64_t moving;	/* frames in motion: try again */
	uint64_t stuck;		/* frames that cannot go */
	bool query;		/* look only */
	bool take_all;		/* nothing may stay: step over nothing */
	uint16_t flags;		/* enum cf_alloc_flag for targets */
	struct cf_report *report; /* or NULL */
};
void cfi_evacuate(struct cf_map *map, cf_pfn first, cf_pfn last,
		  struct cfi_evacuation *evacuation);
void cfi_report_clear(struct cf_report *report);
void cfi_report_add(struct cf_map *map, struct cf_report *report,
		    enum cf_reason reason, cf_pfn pfn, uint64_t word,
		    uint64_t frames);

/* range.c: exactly these frames */
int cfi_take_range(struct cf_map *map, cf_pfn first, cf_pfn last,
		   struct cfi_range *range, struct cf_report *report);

/* offline.c */
int cfi_expose(struct cf_map *map, uint32_t owner, cf_pfn first, cf_pfn last);

/* block.c */
void cfi_block_reset(struct cf_map *map, struct cfi_block *block);
void cfi_block_set_state(struct cfi_block *block, enum cf_block_state state);
int cfi_blocks_check(struct cf_map *map, cf_pfn first, cf_pfn last,
		     enum cf_block_state state, struct cf_report *report);

/* notify.c: subscribers; the caller holds hotplug */
int cfi_notify_going(struct cf_map *map, enum cf_event event, cf_pfn first,
		     cf_pfn last, struct cf_report *report);
void cfi_notify_cancel(struct cf_map *map, enum cf_event event, cf_pfn first,
		       cf_pfn last);
void cfi_notify_done(struct cf_map *map, enum cf_event event, cf_pfn first,
		     cf_pfn last);

/* side.c: give back the leaves of a block that goes */
void cfi_side_drop_block(struct cf_map *map, uint64_t number);

static inline unsigned long cfi_block_lock(struct cfi_block *block)
{
	return cf_lock(&block->lock);
}

static inline void cfi_block_unlock(struct cfi_block *block,
				    unsigned long state)
{
	cf_unlock(&block->lock, state);
}

static inline cf_pfn cfi_min_pfn(cf_pfn a, cf_pfn b)
{
	return a < b ? a : b;
}

static inline cf_pfn cfi_max_pfn(cf_pfn a, cf_pfn b)
{
	return a > b ? a : b;
}

#endif
