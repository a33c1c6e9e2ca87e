/* SPDX-License-Identifier: MIT */

/*
 * Every run of the pool's has a record, found by its head through the side
 * table.  A record is on its node's list of free runs, or its run is in use,
 * or one call has both in hand (HELD) and whoever else finds it is told to
 * come again.  So a run leaves the list for one purpose only: to be handed
 * out, demoted, or given up.
 */

#include "hugepool.h"

#include <coldframe/alloc.h>
#include <coldframe/block.h>
#include <coldframe/frame.h>
#include <coldframe/lock.h>
#include <coldframe/map.h>
#include <coldframe/walk.h>

#define RUNS_MAX	(1u << 24)
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
	uint64_t dissolved, replaced, retired, strangers;	/* (L) */
	cf_pfn stranger;		/* (L) */
	struct stock *stock;		/* [node * HUGEPOOL_SIZES + size] */
	struct record *record;		/* [runs] */
};

static const uint8_t orders[HUGEPOOL_SIZES] = {
	[HUGEPOOL_2M] = CF_CHUNK_ORDER,
	[HUGEPOOL_1G] = CF_MAX_ORDER,
};

static struct stock *stock_of(struct hugepool *pool, uint32_t node,
			      enum hugepool_size size)
{
	return &pool->stock[node * HUGEPOOL_SIZES + size];
}

static bool size_is(enum hugepool_size size)
{
	return (unsigned)size < HUGEPOOL_SIZES;
}

static unsigned long enter(struct hugepool *pool)
{
	return cf_lock(&pool->lock);
}

static void leave(struct hugepool *pool, unsigned long state)
{
	cf_unlock(&pool->lock, state);
}

/* ---- records and lists; the caller holds the lock ---- */

static uint32_t number_of(const struct hugepool *pool,
			  const struct record *record)
{
	return (uint32_t)(record - pool->record);
}

static struct record *take_spare(struct hugepool *pool)
{
	struct record *record;

	if (pool->spare == NO_RECORD)
		return NULL;
	record = &pool->record[pool->spare];
	pool->spare = record->next;
	pool->spares--;
	record->state = RECORD_HELD;
	return record;
}

static void give_spare(struct hugepool *pool, struct record *record)
{
	record->state = RECORD_SPARE;
	record->next = pool->spare;
	pool->spare = number_of(pool, record);
	pool->spares++;
}

static void push(struct hugepool *pool, struct record *record)
{
	struct stock *stock = stock_of(pool, record->node, record->size);
	uint32_t number = number_of(pool, record);

	record->state = RECORD_FREE;
	record->prev = NO_RECORD;
	record->next = stock->head;
	if (stock->head != NO_RECORD)
		pool->record[stock->head].prev = number;
	stock->head = number;
	stock->free++;
}

/* Off the list; the run is in the caller's hands. */
static void pull(struct hugepool *pool, struct record *record)
{
	struct stock *stock = stock_of(pool, record->node, record->size);

	if (record->prev == NO_RECORD)
		stock->head = record->next;
	else
		pool->record[record->prev].next = record->next;
	if (record->next != NO_RECORD)
		pool->record[record->next].prev = record->prev;
	stock->free--;
	record->state = RECORD_HELD;
}

/* The side table's entry of a head that has one. */
static void enter_record(struct hugepool *pool, struct record *record)
{
	uint32_t *entry = cf_side_find(&pool->side, record->pfn);

	*entry = number_of(pool, record) + 1;
}

static struct record *find(struct hugepool *pool, cf_pfn pfn)
{
	const uint32_t *entry = cf_side_find(&pool->side, pfn);

	return entry && *entry ? &pool->record[*entry - 1] : NULL;
}

/* The run is not the pool's any more. */
static void drop(struct hugepool *pool, struct record *record)
{
	struct stock *stock = stock_of(pool, record->node, record->size);
	uint32_t *entry = cf_side_find(&pool->side, record->pfn);

	*entry = 0;
	stock->total--;
	if (stock->surplus > stock->total)
		stock->surplus = stock->total;
	give_spare(pool, record);
}

static uint32_t free_of(struct hugepool *pool, enum hugepool_size size)
{
	uint32_t node, count = 0;

	for (node = 0; node < pool->nodes; node++)
		count += stock_of(pool, node, size)->free;
	return count;
}

static uint32_t surplus_of(struct hugepool *pool, enum hugepool_size size)
{
	uint32_t node, count = 0;

	for (node = 0; node < pool->nodes; node++)
		count += stock_of(pool, node, size)->surplus;
	return count;
}

/* Is a free run of the size nobody's promise? */
static bool has_unreserved(struct hugepool *pool, enum hugepool_size size)
{
	return free_of(pool, size) > pool->reserved[size];
}

/* ---- runs of the allocator's ---- */

/* A frozen run on the node; CF_NODE_ANY: any. */
static int take_run(struct hugepool *pool, enum hugepool_size size,
		    uint32_t node, uint16_t flags, cf_pfn *ret_pfn)
{
	struct cf_request request = {
		.order = orders[size],
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)pool->id,
		.zone = (uint8_t)pool->zone,
		.node = (uint8_t)node,
		.flags = (uint16_t)(CF_ALLOC_FROZEN | flags),
	};
	void *entry;
	int err;

	err = cf_alloc(pool->map, request, ret_pfn);
	if (err)
		return err;
	err = cf_side_extend(&pool->side, *ret_pfn, &entry);
	if (err)
		cf_free_frozen(pool->map, *ret_pfn, orders[size]);
	return err;
}

/* Are all blocks of a GiB in use, on the node and in the pool's zone? */
static bool is_whole(struct hugepool *pool, cf_pfn first, uint32_t node)
{
	cf_pfn last = first + ((cf_pfn)1 << CF_MAX_ORDER);
	struct cf_block_info info;

	for (; first < last; first = info.last)
		if (cf_block_info(pool->map, first, &info) ||
		    info.state != CF_BLOCK_ONLINE || info.node != node ||
		    info.zone != pool->zone)
			return false;
	return true;
}

/* A whole GiB, by moving away what is in it. */
static int take_gib(struct hugepool *pool, uint32_t node, cf_pfn *ret_pfn)
{
	cf_pfn frames = (cf_pfn)1 << CF_MAX_ORDER, first;
	cf_pfn last = cf_map_config_of(pool->map)->last;
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)pool->id,
		.flags = CF_ALLOC_FROZEN,
	};
	void *entry;

	for (first = 0; first + frames <= last; first += frames) {
		if (!is_whole(pool, first, node))
			continue;
		if (cf_alloc_range(pool->map, first, first + frames, request,
				   NULL))
			continue;
		*ret_pfn = first;
		if (!cf_side_extend(&pool->side, first, &entry))
			return 0;
		cf_free_frozen(pool->map, first, CF_MAX_ORDER);
	}
	return -CF_ENOMEM;
}

/* As take_run(), and makes room where there is none. */
static int make_run(struct hugepool *pool, enum hugepool_size size,
		    uint32_t node, cf_pfn *ret_pfn)
{
	struct cf_compaction done;
	int err = take_run(pool, size, node, CF_ALLOC_THISNODE, ret_pfn);

	if (err != -CF_ENOMEM)
		return err;
	if (size == HUGEPOOL_1G)
		return take_gib(pool, node, ret_pfn);
	if (cf_compact(pool->map, node, pool->zone, 1, &done))
		return err;
	return take_run(pool, size, node, CF_ALLOC_THISNODE, ret_pfn);
}

static uint8_t node_of(struct hugepool *pool, cf_pfn pfn)
{
	struct cf_block_info info;

	return cf_block_info(pool->map, pfn, &info) ? 0 : (uint8_t)info.node;
}

/* A record for a run that was taken, still in the caller's hands. */
static void settle(struct hugepool *pool, struct record *record, cf_pfn pfn,
		   enum hugepool_size size, bool surplus)
{
	uint8_t node = node_of(pool, pfn);
	unsigned long state = enter(pool);

	record->pfn = pfn;
	record->size = (uint8_t)size;
	record->node = node;
	enter_record(pool, record);
	stock_of(pool, node, size)->total++;
	stock_of(pool, node, size)->surplus += surplus;
	leave(pool, state);
}

static void give_record(struct hugepool *pool, struct record *record)
{
	unsigned long state = enter(pool);

	give_spare(pool, record);
	leave(pool, state);
}

static void put_back(struct hugepool *pool, struct record *record)
{
	unsigned long state = enter(pool);

	push(pool, record);
	leave(pool, state);
}

/* A run in the caller's hands goes to the allocator. */
static void give_up(struct hugepool *pool, struct record *record)
{
	cf_pfn pfn = record->pfn;
	unsigned order = orders[record->size];
	unsigned long state = enter(pool);

	drop(pool, record);
	leave(pool, state);
	cf_free_frozen(pool->map, pfn, order);
}

/* Surplus runs that nobody uses and nobody was promised. */
static void trim(struct hugepool *pool, enum hugepool_size size)
{
	struct record *record;
	unsigned long state;
	uint32_t node;

	for (node = 0; node < pool->nodes; node++) {
		struct stock *stock = stock_of(pool, node, size);

		for (;;) {
			record = NULL;
			state = enter(pool);
			if (stock->surplus && stock->free &&
			    has_unreserved(pool, size)) {
				record = &pool->record[stock->head];
				pull(pool, record);
				stock->surplus--;
			}
			leave(pool, state);
			if (!record)
				break;
			give_up(pool, record);
		}
	}
}

/* ---- hooks ---- */

static bool is_poisoned(struct hugepool *pool, cf_pfn pfn)
{
	struct cf_snapshot run;

	return !cf_snapshot(pool->map, pfn, &run) &&
	       run.flags & CF_FLAG_POISON;
}

/*
 * The last reference of a run went.  One the pool does not know, or not like
 * this, was given to it by mistake: the allocator can have it.
 */
static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	struct hugepool *pool = context;
	bool poisoned = is_poisoned(pool, pfn);
	enum cf_verdict verdict = CF_VERDICT_FREE;
	unsigned long state = enter(pool);
	struct record *record = find(pool, pfn);
	struct stock *stock;

	if (!record || record->state != RECORD_OUT ||
	    orders[record->size] != order) {
		pool->strangers++;
		pool->stranger = pfn;
		if (record && record->state == RECORD_OUT)
			drop(pool, record);
		goto unlock;
	}
	stock = stock_of(pool, record->node, record->size);
	if (poisoned || pool->closing || stock->surplus) {
		pool->retired += poisoned;
		stock->surplus -= stock->surplus != 0 && !poisoned;
		drop(pool, record);
	} else {
		push(pool, record);
		verdict = CF_VERDICT_KEEP;
	}
unlock:
	leave(pool, state);
	return verdict;
}

/*
 * Another run takes the place of one that is given up; 0: there is one.  The
 * record stays in the caller's hands.
 */
static int replace(struct hugepool *pool, struct record *record)
{
	uint32_t *entry;
	unsigned long state;
	cf_pfn pfn;
	int err = take_run(pool, record->size, record->node,
			   CF_ALLOC_THISNODE | CF_ALLOC_NOWAIT, &pfn);

	if (err)
		return err;
	state = enter(pool);
	entry = cf_side_find(&pool->side, record->pfn);
	*entry = 0;
	record->pfn = pfn;
	enter_record(pool, record);
	pool->replaced++;
	leave(pool, state);
	return 0;
}

/* Memory is to go: give a free run up, unless it is promised. */
static int dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct hugepool *pool = context;
	unsigned long state = enter(pool);
	struct record *record = find(pool, pfn);
	int err = -CF_EREFUSED;
	bool promised;

	if (record && orders[record->size] == order) {
		err = -CF_EAGAIN;
		if (record->state == RECORD_FREE)
			err = 0;
	}
	if (err) {
		leave(pool, state);
		return err;
	}
	promised = !has_unreserved(pool, record->size);
	pull(pool, record);
	leave(pool, state);
	err = replace(pool, record);
	if (!err || promised)
		put_back(pool, record);
	state = enter(pool);
	pool->dissolved += !err || !promised;
	if (err && !promised)
		drop(pool, record);
	leave(pool, state);
	return err && promised ? -CF_EREFUSED : 0;
}

static const char *describe(void *context, cf_pfn pfn)
{
	static const char *const words[] = {
		[RECORD_SPARE] = NULL,
		[RECORD_FREE] = "free in the pool, and promised",
		[RECORD_OUT] = "a run of the pool that is in use",
		[RECORD_HELD] = "changing hands in the pool",
	};
	struct hugepool *pool = context;
	unsigned long state = enter(pool);
	const struct record *record = find(pool, pfn);
	const char *text = record ? words[record->state] :
				    "given to the pool by mistake";

	leave(pool, state);
	return text;
}

static const struct cf_owner_ops ops = {
	.release = release,
	.dissolve = dissolve,
	.describe = describe,
};

/* ---- making and ending ---- */

static size_t round_up(size_t bytes)
{
	return (bytes + 15) & ~(size_t)15;
}

static size_t stock_bytes(uint32_t nodes)
{
	return round_up(nodes * HUGEPOOL_SIZES * sizeof(struct stock));
}

size_t hugepool_bytes(const struct cf_map *map,
		      const struct hugepool_config *config)
{
	if (!config->runs || config->runs > RUNS_MAX ||
	    config->zone > CF_ZONE_MOVABLE)
		return 0;
	return round_up(sizeof(struct hugepool)) +
	       stock_bytes(cf_map_config_of(map)->nodes) +
	       config->runs * sizeof(struct record);
}

static void lay_out(struct hugepool *pool)
{
	unsigned char *at = (unsigned char *)pool +
			    round_up(sizeof(struct hugepool));
	uint32_t i;

	pool->stock = (struct stock *)(void *)at;
	at += stock_bytes(pool->nodes);
	pool->record = (struct record *)(void *)at;
	for (i = 0; i < pool->nodes * HUGEPOOL_SIZES; i++)
		pool->stock[i].head = NO_RECORD;
	pool->spare = NO_RECORD;
	for (i = pool->runs; i > 0; i--)
		give_spare(pool, &pool->record[i - 1]);
}

int hugepool_create(struct cf_map *map, const struct hugepool_config *config,
		    void *storage, struct hugepool **ret_pool)
{
	struct hugepool *pool = storage;
	size_t bytes = hugepool_bytes(map, config);
	int err;

	if (!bytes)
		return -CF_EINVAL;
	__builtin_memset(storage, 0, bytes);
	pool->map = map;
	pool->lock.rank = CF_RANK_LEAF;
	pool->runs = config->runs;
	pool->nodes = cf_map_config_of(map)->nodes;
	pool->zone = config->zone;
	pool->stranger = CF_PFN_NONE;
	lay_out(pool);
	err = cf_side_add(map, &pool->side, sizeof(uint32_t));
	if (err)
		return err;
	err = cf_owner_register(map, config->name ? config->name : "hugepool",
				&ops, pool, &pool->id);
	if (err) {
		cf_side_remove(map, &pool->side);
		return err;
	}
	*ret_pool = pool;
	return 0;
}

uint32_t hugepool_owner(const struct hugepool *pool)
{
	return pool->id;
}

static bool is_ours(struct hugepool *pool, const struct record *record,
		    struct cf_snapshot *ret_run)
{
	return !cf_snapshot(pool->map, record->pfn, ret_run) &&
	       ret_run->owner == pool->id && ret_run->type == CF_TYPE_FOLIO &&
	       ret_run->order == orders[record->size];
}

/* The first run in use; those that are somebody else's by now are forgotten. */
static const struct record *find_in_use(struct hugepool *pool,
					struct cf_snapshot *ret_run)
{
	uint32_t i;

	for (i = 0; i < pool->runs; i++) {
		struct record *record = &pool->record[i];
		unsigned long state;

		if (record->state != RECORD_OUT)
			continue;
		if (is_ours(pool, record, ret_run))
			return record;
		state = enter(pool);
		drop(pool, record);
		leave(pool, state);
	}
	return NULL;
}

static void report_use(struct hugepool *pool, const struct record *record,
		       const struct cf_snapshot *run, struct cf_report *report)
{
	struct cf_owner_info info;

	if (!report)
		return;
	*report = (struct cf_report){
		.reason = CF_REASON_REFERENCED,
		.type = run->type,
		.pfn = record->pfn,
		.order = run->order,
		.flags = run->flags,
		.owner = pool->id,
		.refs = run->refs,
		.pins = run->pins,
		.detail = "a run of the pool that is in use",
	};
	if (!cf_owner_info(pool->map, pool->id, &info))
		report->who = info.name;
	report->frames[CF_REASON_REFERENCED] = (uint64_t)1 << run->order;
}

int hugepool_destroy(struct hugepool *pool, struct cf_report *report)
{
	const struct record *used;
	struct cf_snapshot run;
	uint32_t i;

	used = find_in_use(pool, &run);
	if (used) {
		report_use(pool, used, &run, report);
		return -CF_EBUSY;
	}
	for (i = 0; i < pool->runs; i++) {
		struct record *record = &pool->record[i];
		unsigned long state;

		if (record->state != RECORD_FREE)
			continue;
		state = enter(pool);
		pull(pool, record);
		leave(pool, state);
		give_up(pool, record);
	}
	pool->closing = true;
	(void)!cf_owner_unregister(pool->map, pool->id, NULL);
	cf_side_remove(pool->map, &pool->side);
	return 0;
}

/* ---- how many there are ---- */

/* One more persistent run: a surplus one counts as that from now on. */
static int grow(struct hugepool *pool, enum hugepool_size size, uint32_t node)
{
	struct stock *stock = stock_of(pool, node, size);
	struct record *record = NULL;
	unsigned long state;
	bool adopted;
	cf_pfn pfn;
	int err;

	state = enter(pool);
	adopted = stock->surplus != 0;
	if (adopted)
		stock->surplus--;
	else
		record = take_spare(pool);
	leave(pool, state);
	if (adopted)
		return 0;
	if (!record)
		return -CF_ELIMIT;
	err = make_run(pool, size, node, &pfn);
	if (err) {
		give_record(pool, record);
		return err;
	}
	settle(pool, record, pfn, size, false);
	put_back(pool, record);
	return 0;
}

/* One less: a free one goes, one in use becomes surplus. */
static void shrink(struct hugepool *pool, enum hugepool_size size,
		   uint32_t node)
{
	struct stock *stock = stock_of(pool, node, size);
	struct record *record = NULL;
	unsigned long state = enter(pool);

	if (stock->free && has_unreserved(pool, size)) {
		record = &pool->record[stock->head];
		pull(pool, record);
	} else if (stock->surplus < stock->total) {
		stock->surplus++;
	}
	leave(pool, state);
	if (record)
		give_up(pool, record);
}

static uint32_t persistent(struct hugepool *pool, enum hugepool_size size,
			   uint32_t node)
{
	const struct stock *stock = stock_of(pool, node, size);
	unsigned long state = enter(pool);
	uint32_t count = stock->total - stock->surplus;

	leave(pool, state);
	return count;
}

int hugepool_resize(struct hugepool *pool, enum hugepool_size size,
		    uint32_t node, uint32_t count, uint32_t *ret_count)
{
	uint32_t now;
	int err = 0;

	if (!size_is(size) || node >= pool->nodes)
		return -CF_EINVAL;
	for (;;) {
		now = persistent(pool, size, node);
		if (now == count || err)
			break;
		if (now < count)
			err = grow(pool, size, node);
		else
			shrink(pool, size, node);
	}
	*ret_count = now;
	return err;
}

void hugepool_set_surplus(struct hugepool *pool, enum hugepool_size size,
			  uint32_t limit)
{
	unsigned long state;

	if (!size_is(size))
		return;
	state = enter(pool);
	pool->surplus_limit[size] = limit;
	leave(pool, state);
}

/* A surplus run, in the caller's hands. */
static int take_surplus(struct hugepool *pool, enum hugepool_size size,
			uint32_t node, uint16_t flags,
			struct record **ret_record)
{
	struct record *record = NULL;
	unsigned long state = enter(pool);
	int err = -CF_ENOMEM;
	cf_pfn pfn;

	if (surplus_of(pool, size) < pool->surplus_limit[size]) {
		record = take_spare(pool);
		err = record ? 0 : -CF_ELIMIT;
	}
	leave(pool, state);
	if (err)
		return err;
	err = take_run(pool, size, node, flags, &pfn);
	if (err) {
		give_record(pool, record);
		return err == -CF_EGONE ? -CF_ENOMEM : err;
	}
	settle(pool, record, pfn, size, true);
	*ret_record = record;
	return 0;
}

/* Reserve, if so many are free and not promised. */
static bool reserve_free(struct hugepool *pool, enum hugepool_size size,
			 uint32_t count)
{
	unsigned long state = enter(pool);
	uint32_t free = free_of(pool, size);
	bool fits = free >= pool->reserved[size] &&
		    free - pool->reserved[size] >= count;

	if (fits)
		pool->reserved[size] += count;
	leave(pool, state);
	return fits;
}

int hugepool_reserve(struct hugepool *pool, enum hugepool_size size,
		     uint32_t count)
{
	struct record *record;
	int err = 0;

	if (!size_is(size))
		return -CF_EINVAL;
	while (!err && !reserve_free(pool, size, count)) {
		err = take_surplus(pool, size, CF_NODE_ANY, 0, &record);
		if (!err)
			put_back(pool, record);
	}
	if (err)
		trim(pool, size);
	return err;
}

int hugepool_unreserve(struct hugepool *pool, enum hugepool_size size,
		       uint32_t count)
{
	unsigned long state;
	int err = 0;

	if (!size_is(size))
		return -CF_EINVAL;
	state = enter(pool);
	if (count > pool->reserved[size])
		err = -CF_EINVAL;
	else
		pool->reserved[size] -= count;
	leave(pool, state);
	if (!err)
		trim(pool, size);
	return err;
}

/* ---- handing out ---- */

enum fitness { FIT, GOING, BAD };

/* Can a run in our hands be used? */
static enum fitness fitness(struct hugepool *pool, const struct record *record)
{
	cf_pfn last = record->pfn + ((cf_pfn)1 << orders[record->size]);
	cf_pfn cursor = record->pfn;
	struct cf_span span = { .isolated = false };
	struct cf_block_info info;
	cf_pfn at;

	cf_walk_begin(pool->map);
	(void)cf_walk_next(pool->map, &cursor, last, &span);
	cf_walk_end(pool->map);
	if (span.flags & CF_FLAG_POISON)
		return BAD;
	for (at = record->pfn; at < last; at = info.last)
		if (cf_block_info(pool->map, at, &info) ||
		    info.state != CF_BLOCK_ONLINE)
			return GOING;
	return span.isolated ? GOING : FIT;
}

/* A free run of the node's, or of any; NULL: none. Caller holds the lock. */
static struct record *pick(struct hugepool *pool, enum hugepool_size size,
			   uint32_t node, bool only)
{
	struct stock *stock;
	uint32_t i;

	if (node == CF_NODE_ANY)
		node = 0;
	for (i = 0; i < (only ? 1 : pool->nodes); i++) {
		stock = stock_of(pool, (node + i) % pool->nodes, size);
		if (stock->free)
			return &pool->record[stock->head];
	}
	return NULL;
}

/* Runs that are in memory that goes, put aside while others are tried. */
struct aside {
	uint32_t head;
};

static void put_aside(struct hugepool *pool, struct record *record,
		      struct aside *aside)
{
	record->next = aside->head;
	aside->head = number_of(pool, record);
}

static void take_back(struct hugepool *pool, struct aside *aside)
{
	unsigned long state = enter(pool);

	while (aside->head != NO_RECORD) {
		struct record *record = &pool->record[aside->head];

		aside->head = record->next;
		push(pool, record);
	}
	leave(pool, state);
}

/*
 * A free run that can be used, in our hands, or NULL.  Whoever takes one that
 * was reserved has given the reservation up before; what is put aside does
 * not count as free meanwhile, and so no promise to others is broken.
 */
static struct record *take_free(struct hugepool *pool, enum hugepool_size size,
				uint32_t node, uint32_t flags,
				struct aside *aside)
{
	struct record *record;
	enum fitness fit;
	unsigned long state;

	for (;;) {
		state = enter(pool);
		record = NULL;
		if (has_unreserved(pool, size))
			record = pick(pool, size, node,
				      flags & HUGEPOOL_THISNODE);
		if (record)
			pull(pool, record);
		leave(pool, state);
		if (!record)
			return NULL;
		fit = fitness(pool, record);
		if (fit == FIT)
			return record;
		if (fit == GOING) {
			put_aside(pool, record, aside);
			continue;
		}
		state = enter(pool);
		pool->retired++;
		leave(pool, state);
		give_up(pool, record);
	}
}

static int check_alloc(struct hugepool *pool, enum hugepool_size size,
		       uint32_t node, uint32_t flags)
{
	if (!size_is(size) || (node != CF_NODE_ANY && node >= pool->nodes) ||
	    flags & ~(HUGEPOOL_RESERVED | HUGEPOOL_THISNODE))
		return -CF_EINVAL;
	if (node == CF_NODE_ANY && flags & HUGEPOOL_THISNODE)
		return -CF_EINVAL;
	return 0;
}

/* A reservation is used: false if there is none. */
static bool use_reservation(struct hugepool *pool, enum hugepool_size size)
{
	unsigned long state = enter(pool);
	bool there = pool->reserved[size] != 0;

	pool->reserved[size] -= there;
	leave(pool, state);
	return there;
}

static void keep_reservation(struct hugepool *pool, enum hugepool_size size)
{
	unsigned long state = enter(pool);

	if (free_of(pool, size) > pool->reserved[size])
		pool->reserved[size]++;
	leave(pool, state);
}

static void hand_out(struct hugepool *pool, struct record *record,
		     cf_pfn *ret_pfn)
{
	cf_pfn pfn = record->pfn;
	unsigned long state = enter(pool);

	record->state = RECORD_OUT;
	leave(pool, state);
	/* From here on a put may bring it back, and another take it. */
	cf_unfreeze(pool->map, pfn, 1);
	*ret_pfn = pfn;
}

int hugepool_alloc(struct hugepool *pool, enum hugepool_size size,
		   uint32_t node, uint32_t flags, cf_pfn *ret_pfn)
{
	struct aside aside = { NO_RECORD };
	struct record *record;
	int err = check_alloc(pool, size, node, flags);

	if (err)
		return err;
	if (flags & HUGEPOOL_RESERVED && !use_reservation(pool, size))
		return -CF_EINVAL;
	record = take_free(pool, size, node, flags, &aside);
	if (!record)
		err = take_surplus(pool, size, node,
				   flags & HUGEPOOL_THISNODE ?
				   CF_ALLOC_THISNODE : 0, &record);
	if (err && aside.head != NO_RECORD)
		err = -CF_EAGAIN;
	take_back(pool, &aside);
	if (err) {
		if (flags & HUGEPOOL_RESERVED)
			keep_reservation(pool, size);
		return err;
	}
	hand_out(pool, record, ret_pfn);
	return 0;
}

/* ---- demotion ---- */

/* Records for all parts but the first, chained by next; false: too few. */
static bool take_spares(struct hugepool *pool, uint32_t count,
			uint32_t *ret_chain)
{
	uint32_t chain = NO_RECORD;
	struct record *record;

	if (pool->spares < count)
		return false;
	while (count-- > 0) {
		record = take_spare(pool);
		record->next = chain;
		chain = number_of(pool, record);
	}
	*ret_chain = chain;
	return true;
}

/* The record of the whole becomes that of the first part. */
static void settle_parts(struct hugepool *pool, struct record *record,
			 uint32_t chain)
{
	struct stock *whole = stock_of(pool, record->node, HUGEPOOL_1G);
	struct stock *parts = stock_of(pool, record->node, HUGEPOOL_2M);
	uint8_t node = record->node;
	cf_pfn pfn = record->pfn;
	unsigned long state = enter(pool);

	whole->total--;
	parts->total += PARTS;
	record->size = HUGEPOOL_2M;
	push(pool, record);
	while (chain != NO_RECORD) {
		record = &pool->record[chain];
		chain = record->next;
		pfn += CF_CHUNK_FRAMES;
		record->pfn = pfn;
		record->node = node;
		record->size = HUGEPOOL_2M;
		enter_record(pool, record);
		push(pool, record);
	}
	leave(pool, state);
}

/* Entries of the side table for every part. */
static int extend_parts(struct hugepool *pool, cf_pfn pfn)
{
	cf_pfn last = pfn + ((cf_pfn)1 << CF_MAX_ORDER);
	void *entry;
	int err = 0;

	for (; pfn < last && !err; pfn += CF_CHUNK_FRAMES)
		err = cf_side_extend(&pool->side, pfn, &entry);
	return err;
}

static void give_chain(struct hugepool *pool, uint32_t chain)
{
	unsigned long state = enter(pool);

	while (chain != NO_RECORD) {
		struct record *record = &pool->record[chain];

		chain = record->next;
		give_spare(pool, record);
	}
	leave(pool, state);
}

static int demote_one(struct hugepool *pool, uint32_t node)
{
	struct stock *stock = stock_of(pool, node, HUGEPOOL_1G);
	uint32_t chain = NO_RECORD;
	struct record *record = NULL;
	unsigned long state = enter(pool);
	int err = -CF_ENOMEM;

	if (stock->free && stock->total > stock->surplus &&
	    has_unreserved(pool, HUGEPOOL_1G)) {
		err = take_spares(pool, PARTS - 1, &chain) ? 0 : -CF_ELIMIT;
		if (!err) {
			record = &pool->record[stock->head];
			pull(pool, record);
		}
	}
	leave(pool, state);
	if (err)
		return err;
	err = extend_parts(pool, record->pfn);
	if (!err)
		err = cf_split(pool->map, record->pfn, CF_CHUNK_ORDER);
	if (err) {
		give_chain(pool, chain);
		put_back(pool, record);
		return err;
	}
	settle_parts(pool, record, chain);
	return 0;
}

int hugepool_demote(struct hugepool *pool, uint32_t node, uint32_t count,
		    uint32_t *ret_done)
{
	uint32_t done = 0;
	int err = 0;

	if (node >= pool->nodes)
		return -CF_EINVAL;
	while (done < count && !err) {
		err = demote_one(pool, node);
		done += !err;
	}
	*ret_done = done;
	return err;
}

/* ---- looking ---- */

int hugepool_stat(struct hugepool *pool, enum hugepool_size size,
		  uint32_t node, struct hugepool_stat *ret_stat)
{
	struct hugepool_stat stat = { .total = 0 };
	unsigned long state;
	uint32_t i;

	if (!size_is(size) || (node != CF_NODE_ANY && node >= pool->nodes))
		return -CF_EINVAL;
	state = enter(pool);
	for (i = 0; i < pool->nodes; i++) {
		const struct stock *stock = stock_of(pool, i, size);

		if (node != CF_NODE_ANY && node != i)
			continue;
		stat.total += stock->total;
		stat.free += stock->free;
		stat.surplus += stock->surplus;
	}
	stat.reserved = pool->reserved[size];
	stat.surplus_limit = pool->surplus_limit[size];
	stat.dissolved = pool->dissolved;
	stat.replaced = pool->replaced;
	stat.retired = pool->retired;
	stat.strangers = pool->strangers;
	stat.stranger = pool->stranger;
	leave(pool, state);
	*ret_stat = stat;
	return 0;
}

static bool found(struct hugepool_finding *ret_finding,
		  enum hugepool_finding_kind kind, cf_pfn pfn, uint32_t owner)
{
	*ret_finding = (struct hugepool_finding){ kind, pfn, owner };
	return false;
}

/* Does the pool know every run that names it? */
static bool knows_all(struct hugepool *pool,
		      struct hugepool_finding *ret_finding)
{
	cf_pfn last = cf_map_config_of(pool->map)->last, cursor = 0;
	struct cf_span span;
	bool good = true;

	cf_walk_begin(pool->map);
	while (good && cf_walk_next(pool->map, &cursor, last, &span)) {
		if (span.kind != CF_SPAN_RUN || span.owner != pool->id)
			continue;
		good = find(pool, span.first) != NULL;
		if (!good)
			(void)found(ret_finding, HUGEPOOL_FINDING_STRANGER,
				    span.first, span.owner);
	}
	cf_walk_end(pool->map);
	return good;
}

static bool record_holds(struct hugepool *pool, const struct record *record,
			 struct hugepool_finding *ret_finding)
{
	struct cf_snapshot run = { .owner = 0 };

	if (record->state == RECORD_SPARE)
		return true;
	if (!is_ours(pool, record, &run))
		return found(ret_finding, HUGEPOOL_FINDING_LOST, record->pfn,
			     run.owner);
	if (record->state == RECORD_FREE && run.refs)
		return found(ret_finding, HUGEPOOL_FINDING_IN_USE, record->pfn,
			     run.owner);
	return true;
}

/* The counters of one node and size against the records. */
static bool counts_hold(struct hugepool *pool, uint32_t node,
			enum hugepool_size size)
{
	const struct stock *stock = stock_of(pool, node, size);
	uint32_t total = 0, free = 0, i;

	for (i = 0; i < pool->runs; i++) {
		const struct record *record = &pool->record[i];

		if (record->state == RECORD_SPARE || record->node != node ||
		    record->size != size)
			continue;
		total++;
		free += record->state == RECORD_FREE;
	}
	return total == stock->total && free == stock->free &&
	       stock->surplus <= total;
}

bool hugepool_verify(struct hugepool *pool,
		     struct hugepool_finding *ret_finding)
{
	unsigned size;
	uint32_t i;

	if (!knows_all(pool, ret_finding))
		return false;
	for (i = 0; i < pool->runs; i++)
		if (!record_holds(pool, &pool->record[i], ret_finding))
			return false;
	for (i = 0; i < pool->nodes; i++)
		for (size = 0; size < HUGEPOOL_SIZES; size++)
			if (!counts_hold(pool, i, (enum hugepool_size)size))
				return found(ret_finding,
					     HUGEPOOL_FINDING_COUNT,
					     CF_PFN_NONE, pool->id);
	for (size = 0; size < HUGEPOOL_SIZES; size++)
		if (pool->reserved[size] > free_of(pool,
						   (enum hugepool_size)size))
			return found(ret_finding, HUGEPOOL_FINDING_COUNT,
				     CF_PFN_NONE, pool->id);
	*ret_finding = (struct hugepool_finding){ HUGEPOOL_FINDING_NONE,
						  CF_PFN_NONE, 0 };
	return true;
}
