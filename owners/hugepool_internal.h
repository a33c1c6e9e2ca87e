/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_HUGEPOOL_INTERNAL_H
#define OWNERS_HUGEPOOL_INTERNAL_H

/* What hugepool.c (records and hooks) and hugepool_use.c (calls) share. */

#include "hugepool.h"

#include <coldframe/alloc.h>
#include <coldframe/block.h>
#include <coldframe/frame.h>
#include <coldframe/lock.h>
#include <coldframe/map.h>
#include <coldframe/walk.h>

#define PARTS		(1u << (CF_MAX_ORDER - CF_CHUNK_ORDER))
#define NO_RECORD	(~0u)

enum record_state {
	RECORD_SPARE,		/* no run */
	RECORD_FREE,		/* on its node's list: frozen */
	RECORD_OUT,		/* in use: counted */
	RECORD_HELD,		/* frozen, in the hands of one call */
};

/* Field key: (L) pool->lock. */
struct record {
	cf_pfn pfn;		/* (L) */
	uint32_t prev, next;	/* (L) on a list; NO_RECORD at its ends */
	uint8_t node;		/* (L) */
	uint8_t size;		/* (L) enum hugepool_size */
	uint8_t state;		/* (L) enum record_state */
};

/* Runs of one size on one node. */
struct stock {
	uint32_t head;		/* (L) free runs */
	uint32_t total, free, surplus;	/* (L) */
};

struct hugepool {
	struct cf_map *map;		/* (C) */
	struct cf_lock lock;
	struct cf_side side;		/* (C) record number + 1, by head */
	uint32_t id;			/* (C) */
	uint32_t runs, nodes;		/* (C) */
	enum cf_zone_kind zone;		/* (C) */
	bool closing;			/* (L) runs are not kept any more */
	uint32_t spare, spares;		/* (L) list and number of records */
	uint32_t reserved[HUGEPOOL_SIZES];	/* (L) */
	uint32_t surplus_limit[HUGEPOOL_SIZES];	/* (L) */
	uint32_t coming[HUGEPOOL_SIZES];	/* (L) surplus on the way */
	uint64_t dissolved, replaced, retired, strangers;	/* (L) */
	cf_pfn stranger;		/* (L) */
	struct stock *stock;		/* [node * HUGEPOOL_SIZES + size] */
	struct record *record;		/* [runs] */
};

static inline struct stock *stock_of(struct hugepool *pool, uint32_t node,
				     enum hugepool_size size)
{
	return &pool->stock[node * HUGEPOOL_SIZES + size];
}

static inline bool size_is(enum hugepool_size size)
{
	return (unsigned)size < HUGEPOOL_SIZES;
}

static inline unsigned long enter(struct hugepool *pool)
{
	return cf_lock(&pool->lock);
}

static inline void leave(struct hugepool *pool, unsigned long state)
{
	cf_unlock(&pool->lock, state);
}

/* The order of a run of a size. */
static inline unsigned order_of(unsigned size)
{
	return size == HUGEPOOL_1G ? CF_MAX_ORDER : CF_CHUNK_ORDER;
}

/* ---- the caller holds the lock ---- */

uint32_t hugepool_number_of(const struct hugepool *pool,
			    const struct record *record);
struct record *hugepool_find(struct hugepool *pool, cf_pfn pfn);

/* A record without a run; NULL: there are no more. */
struct record *hugepool_take_spare(struct hugepool *pool);
void hugepool_give_spare(struct hugepool *pool, struct record *record);

/* On its node's list; and off it, in the caller's hands. */
void hugepool_push(struct hugepool *pool, struct record *record);
void hugepool_pull(struct hugepool *pool, struct record *record);

/* The side table names the record; its head has an entry. */
void hugepool_enter_record(struct hugepool *pool, struct record *record);

uint32_t hugepool_free_of(struct hugepool *pool, enum hugepool_size size);
uint32_t hugepool_surplus_of(struct hugepool *pool, enum hugepool_size size);

/* Is a free run of the size nobody's promise? */
bool hugepool_has_unreserved(struct hugepool *pool, enum hugepool_size size);

/* ---- without it ---- */

/* A frozen run on the node; CF_NODE_ANY: any. */
int hugepool_take_run(struct hugepool *pool, enum hugepool_size size,
		      uint32_t node, uint16_t flags, cf_pfn *ret_pfn);

/* The same, and makes room where there is none. */
int hugepool_make_run(struct hugepool *pool, enum hugepool_size size,
		      uint32_t node, cf_pfn *ret_pfn);

/* A record for a run that was taken, still in the caller's hands. */
void hugepool_settle(struct hugepool *pool, struct record *record, cf_pfn pfn,
		     enum hugepool_size size, bool surplus);
void hugepool_give_record(struct hugepool *pool, struct record *record);
void hugepool_put_back(struct hugepool *pool, struct record *record);

/* A run in the caller's hands goes to the allocator. */
void hugepool_give_up(struct hugepool *pool, struct record *record);

/* So do surplus runs that nobody uses and nobody was promised. */
void hugepool_trim(struct hugepool *pool, enum hugepool_size size);

/* Is the run of a record what it was? */
bool hugepool_is_ours(struct hugepool *pool, const struct record *record,
		      struct cf_snapshot *ret_run);

#endif
