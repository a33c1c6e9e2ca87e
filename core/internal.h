/* SPDX-License-Identifier: MIT */
#ifndef CFI_INTERNAL_H
#define CFI_INTERNAL_H

#include <coldframe/coldframe.h>

#include "atomic.h"
#include "bitmap.h"
#include "check.h"
#include "struct.h"
#include "word.h"

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

/* The block of a frame that must have one. */
static inline struct cfi_block *cfi_block_held(const struct cf_map *map,
					       cf_pfn pfn)
{
	struct cfi_block *block = cfi_block_of(map, pfn);

	CF_CHECK(block != NULL, pfn);
	return block;
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

static inline uint64_t cfi_zone_value(unsigned number, enum cf_zone_kind kind)
{
	return (uint64_t)kind << 32 | number;
}

static inline enum cf_zone_kind cfi_zone_kind(const struct cfi_block *block)
{
	/* Relaxed: as above. */
	return (enum cf_zone_kind)(cfi_load_relaxed(&block->zone) >> 32);
}

static inline enum cf_block_state cfi_block_state(const struct cfi_block *block)
{
	/* Relaxed: under the lock it is exact; elsewhere a hint. */
	return (enum cf_block_state)cfi_load_relaxed(&block->state);
}

static inline bool cfi_is_split(const struct cfi_block *block, unsigned chunk)
{
	/*
	 * Acquire: see the chunk's frame words cleared. The other side is
	 * set_split() in chunk.c. [split]
	 */
	return cfi_load_acquire(&block->split) >> chunk & 1;
}

/* Where the word of a head of @order stands; its chunk is split if small. */
static inline cfi_u64 *cfi_word_slot(struct cfi_block *block, cf_pfn pfn,
				     unsigned order)
{
	if (order >= CF_CHUNK_ORDER)
		return &block->chunk[cfi_chunk_index(block, pfn)].word;
	return &block->frame_word[pfn - block->first];
}

/*
 * Where the word of a frame stands that may head a run: the chunk's word if
 * it has one, else the frame's.  NULL: no run can begin there now.
 */
static inline cfi_u64 *cfi_word_at(struct cfi_block *block, cf_pfn pfn)
{
	unsigned chunk = cfi_chunk_index(block, pfn);

	/*
	 * Acquire: who misses the old head of a run that is being split knows
	 * that heads move, and that the chunk is split. [sequence]
	 */
	if (pfn % CF_CHUNK_FRAMES == 0 &&
	    cfi_load_acquire(&block->chunk[chunk].word) != 0)
		return &block->chunk[chunk].word;
	if (!cfi_is_split(block, chunk))
		return NULL;
	return &block->frame_word[pfn - block->first];
}

/* The word of a head the caller holds; anything else is misuse. */
static inline cfi_u64 *cfi_held_word(struct cf_map *map, cf_pfn pfn,
				     struct cfi_block **ret_block)
{
	struct cfi_block *block = cfi_block_held(map, pfn);
	cfi_u64 *word = cfi_word_at(block, pfn);

	CF_CHECK(word != NULL, pfn);
	*ret_block = block;
	return word;
}

/* frame.c: finding heads, and telling others that heads move */
cf_pfn cfi_find(struct cf_map *map, cf_pfn pfn, cfi_u64 **ret_word,
		uint64_t *ret_value);
int cfi_try_get_word(cfi_u64 *word, uint64_t add);
void cfi_sequence_begin(struct cfi_block *block);
void cfi_sequence_end(struct cfi_block *block);
uint64_t cfi_sequence_read(const struct cfi_block *block);
bool cfi_sequence_moved(const struct cfi_block *block, uint64_t since);

/* index.c */
void cfi_moves_begin(struct cfi_moves *moves);
void cfi_moves_end(struct cfi_moves *moves);
uint64_t cfi_moves_ended(const struct cf_map *map);
uint64_t cfi_moves_begun(const struct cf_map *map);
void cfi_index_set(struct cfi_zone *zone, unsigned class, uint64_t number);
void cfi_index_clear(struct cfi_zone *zone, unsigned class, uint64_t number);
uint64_t cfi_index_find(const struct cf_map *map, const struct cfi_zone *zone,
			unsigned class, uint64_t from, bool after);
bool cfi_index_test(const struct cfi_zone *zone, unsigned class,
		    uint64_t number);
bool cfi_index_any(const struct cfi_zone *zone, unsigned class);
#define INDEX_NONE (~(uint64_t)0)

/* chunk.c: free memory of one block; the caller holds its lock */
void cfi_chunk_reclass(struct cf_map *map, struct cfi_block *block,
		       unsigned chunk);
void cfi_chunk_open(struct cfi_block *block, unsigned chunk);
void cfi_chunk_close(struct cfi_block *block, unsigned chunk);
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
/* Have what giving a frame back will write on its way. */
static inline void cfi_fetch(const struct cfi_block *block, cf_pfn pfn)
{
	unsigned chunk = cfi_chunk_index(block, pfn);

	__builtin_prefetch(&block->chunk[chunk], 1);
	__builtin_prefetch(&block->bitmap[chunk], 1);
}

unsigned cfi_tightest(const struct cfi_block *block, unsigned first,
		      unsigned last);

/* search.c */
struct cfi_want {		/* what cfi_search() looks for */
	unsigned order;
	uint32_t home;		/* in: block to ask first; out: that served */
	uint32_t context;	/* who searches, as in home_of; 0: nobody */
	bool asked;		/* home was asked */
	bool passed;		/* homes of others were passed by */
	bool anywhere;		/* they are not any more */
	cf_pfn *frames;		/* out: frames of order 0, or one run */
	unsigned most;		/* of order 0: how many */
	unsigned taken;		/* out */
};
bool cfi_search(struct cf_map *map, struct cfi_zone *zone,
		struct cfi_want *want, bool may_break);
bool cfi_search_home(struct cf_map *map, struct cfi_zone *zone,
		     struct cfi_want *want);
bool cfi_search_blocks(struct cf_map *map, struct cfi_zone *zone,
		       unsigned order, cf_pfn *ret_pfn);

/* cache.c; what else it has stands in cache.h */
void cfi_set_stock_order(const struct cf_map *map, struct cfi_zone *zone);
void cfi_count_type(struct cf_map *map, enum cf_type type, int64_t frames);

/* stat.c */
uint64_t cfi_cache_frames(const struct cfi_cache *cache);

/* drain.c */
int cfi_divert_begin(struct cf_map *map);
int cfi_divert_drain(struct cf_map *map);
void cfi_divert_end(struct cf_map *map);
bool cfi_target_take(struct cf_map *map, struct cfi_zone *zone, uint16_t flags,
		     unsigned most, cf_pfn *ret_pfn);
cf_pfn cfi_target_next(struct cf_map *map);
void cfi_targets_give(struct cf_map *map);

/* alloc.c */
struct cfi_taking {		/* what cfi_take() looks for */
	uint8_t order, node, zone;
	uint8_t type;		/* what for; NONE: they are in transit */
	uint16_t flags;		/* enum cf_alloc_flag */
	bool this_zone;		/* no other kind of zone */
	unsigned most;		/* how many; with a type: 1 */
	bool on_trial;		/* the caller has begun a move: he may have to
				   give them back */
};
unsigned cfi_take(struct cf_map *map, const struct cfi_taking *taking,
		  cf_pfn *ret_runs);
bool cfi_above_marks(struct cfi_zone *zone, uint64_t frames);
unsigned cfi_take_frames(struct cf_map *map, struct cfi_zone *zone,
			 uint16_t flags, cf_pfn *ret_frames, unsigned most);
void cfi_give_range(struct cf_map *map, cf_pfn first, cf_pfn last);
void cfi_signal_empty(struct cf_map *map, cf_pfn first, uint64_t chunks);
void cfi_free_run(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		  uint64_t word);
void cfi_free_uncounted(struct cf_map *map, cf_pfn pfn, uint64_t word);
uint64_t cfi_clear_cas(struct cfi_block *block, cf_pfn pfn, uint64_t word);
void cfi_free_cas(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		  uint64_t word);
void cfi_mark_run(struct cf_map *map, cf_pfn pfn, uint64_t word);
bool cfi_request_fits(const struct cf_map *map, struct cf_request request);

/* The word of the runs a request makes. */
static inline uint64_t cfi_request_word(struct cf_request request)
{
	uint64_t word = word_make((enum cf_type)request.type, request.order, 0,
				  request.owner);

	if (request.flags & CF_ALLOC_FROZEN || !word_is_counted(word))
		return word;
	return word + WORD_ONE_REF;
}

/* Store the word of a run whose frames the caller has taken. */
static inline void cfi_mark(struct cfi_block *block, cf_pfn pfn, uint64_t word)
{
	cfi_u64 *slot = cfi_word_slot(block, pfn, word_order(word));

	/* Relaxed: nobody else writes the word of a frame in transit. */
	CF_CHECK2(cfi_load_relaxed(slot) == 0, pfn, word);
	/*
	 * Release: who gets a reference sees what we wrote into the frames
	 * and side tables before. [run-word]
	 */
	cfi_store_release(slot, word);
}

/* owner.c */
int cfi_owner_begin(struct cf_map *map, uint32_t id);
void cfi_owner_end(void);
struct cfi_owner *cfi_owner_open(struct cf_map *map, uint32_t id);
enum cf_verdict cfi_owner_release(struct cf_map *map, cf_pfn pfn,
				  uint64_t word);
void cfi_owner_count(struct cf_map *map, uint32_t id, int64_t frames);
uint64_t cfi_owner_frames(const struct cf_map *map, uint32_t id);
const char *cfi_owner_name(struct cf_map *map, uint32_t id);

/* run.c: words of uncounted runs; the caller holds the block's lock */
uint64_t cfi_word_in(struct cfi_block *block, cf_pfn pfn, cf_pfn *ret_head);
void cfi_carve(struct cf_map *map, struct cfi_block *block, cf_pfn at);
void cfi_put_words(struct cfi_block *block, cf_pfn first, cf_pfn last,
		   uint64_t word, unsigned most_order);
void cfi_clear_words(struct cfi_block *block, cf_pfn first, cf_pfn last);
uint64_t cfi_account(struct cfi_block *block, cf_pfn first, cf_pfn last,
		     uint64_t word, int sign);
uint64_t cfi_reword(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		    uint64_t value);

/* retire.c: the poison table */
bool cfi_is_poison(const struct cf_map *map, cf_pfn pfn);
cf_pfn cfi_next_poison(const struct cf_map *map, cf_pfn first, cf_pfn last);
uint64_t cfi_mark_retired(struct cfi_block *block, cf_pfn pfn);
uint64_t cfi_give_around(struct cf_map *map, struct cfi_block *block,
			 cf_pfn first, cf_pfn last);
void cfi_free_poisoned(struct cf_map *map, cf_pfn pfn, cf_pfn last);
void cfi_retire_in_block(struct cf_map *map, struct cfi_block *block);
uint32_t cfi_poison_count(const struct cf_map *map, cf_pfn first, cf_pfn last);

/* isolate.c */
int cfi_isolate(struct cf_map *map, struct cfi_range *range,
		struct cf_report *report);
uint64_t cfi_chunks_in(const struct cfi_block *block, cf_pfn first,
		       cf_pfn last);
void cfi_unisolate(struct cf_map *map, struct cfi_range *range);
uint32_t cfi_range_find(struct cf_map *map, cf_pfn first, cf_pfn last);

/* migrate.c */
struct cfi_evacuation {
	uint64_t migrated;	/* frames moved */
	uint64_t moving;	/* frames in motion: try again */
	uint64_t stuck;		/* frames that cannot go */
	bool query;		/* look only */
	bool take_all;		/* nothing may stay: step over nothing */
	bool keep_kept;		/* owners need not give up kept runs */
	bool this_zone;		/* targets in the same zone only */
	uint16_t flags;		/* enum cf_alloc_flag for targets */
	struct cf_report *report; /* or NULL */
	unsigned used;		/* frames in this chunk, at first */
	cf_pfn vacated, vacated_last; /* not given back yet */
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
void cfi_blocks_set(struct cf_map *map, cf_pfn first, cf_pfn last,
		    enum cf_block_state value);

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
