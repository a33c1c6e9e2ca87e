/* SPDX-License-Identifier: MIT */

/*
 * The calls of a pool's users: how many runs there are, handing them out,
 * demoting them, and looking.  Each takes a record off its list before it asks
 * the engine for anything, so that it has the run to itself.
 */

#include "hugepool_internal.h"

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
		record = hugepool_take_spare(pool);
	leave(pool, state);
	if (adopted)
		return 0;
	if (!record)
		return -CF_ELIMIT;
	err = hugepool_make_run(pool, size, node, &pfn);
	if (err) {
		hugepool_give_record(pool, record);
		return err;
	}
	hugepool_settle(pool, record, pfn, size, false);
	hugepool_put_back(pool, record);
	return 0;
}

/* One less: a free one goes, one in use becomes surplus. */
static void shrink(struct hugepool *pool, enum hugepool_size size,
		   uint32_t node)
{
	struct stock *stock = stock_of(pool, node, size);
	struct record *record = NULL;
	unsigned long state = enter(pool);

	if (stock->free && hugepool_has_unreserved(pool, size)) {
		record = &pool->record[stock->head];
		hugepool_pull(pool, record);
	} else if (stock->surplus < stock->total) {
		stock->surplus++;
	}
	leave(pool, state);
	if (record)
		hugepool_give_up(pool, record);
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

/* Records without a run, before @chain; false: there are too few. */
static bool take_spares(struct hugepool *pool, uint32_t count, uint32_t *chain)
{
	struct record *record;

	if (pool->spares < count)
		return false;
	while (count-- > 0) {
		record = hugepool_take_spare(pool);
		record->next = *chain;
		*chain = hugepool_number_of(pool, record);
	}
	return true;
}

/* Off a list that is not empty. */
static struct record *take_first(struct hugepool *pool, uint32_t *chain)
{
	struct record *record = &pool->record[*chain];

	*chain = record->next;
	return record;
}

/* What one call has of surplus: runs, and room for more under the limit. */
struct surplus {
	uint32_t first;		/* list of runs' records, by next */
	uint32_t count;
	uint32_t room_first;	/* the same of records without a run */
	uint32_t room;
};

#define NO_SURPLUS { .first = NO_RECORD, .room_first = NO_RECORD }

/* Room for so many more, all of it or none.  Caller holds the lock. */
static int claim_room(struct hugepool *pool, enum hugepool_size size,
		      uint64_t count, struct surplus *surplus)
{
	uint64_t there = hugepool_surplus_of(pool, size) + pool->coming[size];

	if (there + count > pool->surplus_limit[size])
		return -CF_ENOMEM;
	if (!take_spares(pool, (uint32_t)count, &surplus->room_first))
		return -CF_ELIMIT;
	pool->coming[size] += (uint32_t)count;
	surplus->room += (uint32_t)count;
	return 0;
}

/* Room that was not used.  Caller holds the lock. */
static void give_room(struct hugepool *pool, enum hugepool_size size,
		      struct surplus *surplus)
{
	uint32_t *first = &surplus->room_first;

	pool->coming[size] -= surplus->room;
	for (; surplus->room; surplus->room--)
		hugepool_give_spare(pool, take_first(pool, first));
}

/* A run where there was room for one. */
static int fill_room(struct hugepool *pool, enum hugepool_size size,
		     uint32_t node, uint16_t flags, struct surplus *surplus)
{
	struct record *record;
	cf_pfn pfn;
	int err = hugepool_take_run(pool, size, node, flags, &pfn);

	if (err)
		return err == -CF_EGONE ? -CF_ENOMEM : err;
	record = take_first(pool, &surplus->room_first);
	surplus->room--;
	hugepool_settle(pool, record, pfn, size, true);
	record->next = surplus->first;
	surplus->first = hugepool_number_of(pool, record);
	surplus->count++;
	return 0;
}

/* A surplus run, in the caller's hands. */
static int take_surplus(struct hugepool *pool, enum hugepool_size size,
			uint32_t node, uint16_t flags,
			struct record **ret_record)
{
	struct surplus surplus = NO_SURPLUS;
	unsigned long state = enter(pool);
	int err = claim_room(pool, size, 1, &surplus);

	leave(pool, state);
	if (err)
		return err;
	err = fill_room(pool, size, node, flags, &surplus);
	if (!err) {
		*ret_record = take_first(pool, &surplus.first);
		return 0;
	}
	state = enter(pool);
	give_room(pool, size, &surplus);
	leave(pool, state);
	return err;
}

/*
 * Reserve, if with @surplus so many are free and not promised; or have room
 * for all that are missing.  By halves two callers would refuse each other.
 */
static int reserve_free(struct hugepool *pool, enum hugepool_size size,
			uint32_t count, struct surplus *surplus,
			bool *ret_done)
{
	unsigned long state = enter(pool);
	uint64_t free = (uint64_t)hugepool_free_of(pool, size) + surplus->count;
	uint64_t wanted = (uint64_t)pool->reserved[size] + count;
	int err = 0;

	*ret_done = free >= wanted;
	if (*ret_done) {
		pool->reserved[size] += count;
		for (; surplus->count; surplus->count--)
			hugepool_push(pool, take_first(pool, &surplus->first));
		give_room(pool, size, surplus);
	} else if (free + surplus->room < wanted) {
		err = claim_room(pool, size, wanted - free - surplus->room,
				 surplus);
	}
	leave(pool, state);
	return err;
}

/* They go, but for what has become persistent meanwhile. */
static void give_surplus(struct hugepool *pool, enum hugepool_size size,
			 struct surplus *surplus)
{
	unsigned long state = enter(pool);
	struct record *record;
	struct stock *stock;

	give_room(pool, size, surplus);
	leave(pool, state);
	for (; surplus->count; surplus->count--) {
		state = enter(pool);
		record = take_first(pool, &surplus->first);
		stock = stock_of(pool, record->node, size);
		if (stock->surplus) {
			stock->surplus--;
		} else {
			hugepool_push(pool, record);
			record = NULL;
		}
		leave(pool, state);
		if (record)
			hugepool_give_up(pool, record);
	}
}

int hugepool_reserve(struct hugepool *pool, enum hugepool_size size,
		     uint32_t count)
{
	struct surplus surplus = NO_SURPLUS;
	bool done = false;
	int err;

	if (!size_is(size))
		return -CF_EINVAL;
	do {
		err = reserve_free(pool, size, count, &surplus, &done);
		if (!err && !done)
			err = fill_room(pool, size, CF_NODE_ANY, 0, &surplus);
	} while (!err && !done);
	if (err)
		give_surplus(pool, size, &surplus);
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
		hugepool_trim(pool, size);
	return err;
}

/* ---- handing out ---- */

enum fitness {
	FIT,
	GOING,
	BAD,
	LOST	/* not the pool's any more */
};

/* Can a run in our hands be used? */
static enum fitness fitness(struct hugepool *pool, const struct record *record)
{
	cf_pfn last = record->pfn + ((cf_pfn)1 << order_of(record->size));
	cf_pfn cursor = record->pfn;
	struct cf_span span = { .isolated = false };
	struct cf_block_info info;
	struct cf_snapshot run;
	cf_pfn at;

	if (!hugepool_is_ours(pool, record, &run))
		return LOST;
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

/*
 * One allocation.  Runs that are in memory that goes are put aside while
 * others are tried.
 */
struct taking {
	enum hugepool_size size;
	uint32_t node, flags;
	uint32_t aside;		/* list of records, by next */
	bool promised;		/* the caller's reservation is to be used up */
	bool used;		/* it is */
};

static void put_aside(struct hugepool *pool, struct record *record,
		      struct taking *taking)
{
	record->next = taking->aside;
	taking->aside = hugepool_number_of(pool, record);
}

/* What was put aside is free again; a reservation that was not needed too. */
static void end_taking(struct hugepool *pool, struct taking *taking, bool done)
{
	enum hugepool_size size = taking->size;
	unsigned long state = enter(pool);
	struct record *record;

	while (taking->aside != NO_RECORD) {
		record = &pool->record[taking->aside];
		taking->aside = record->next;
		hugepool_push(pool, record);
	}
	/* Surplus instead: a free run is not promised any more. */
	if (done && taking->promised && pool->reserved[size])
		pool->reserved[size]--;
	if (!done && taking->used &&
	    hugepool_free_of(pool, size) > pool->reserved[size])
		pool->reserved[size]++;
	leave(pool, state);
}

/* A free run off its list, and the promise with it: nobody comes between. */
static struct record *pull_one(struct hugepool *pool, struct taking *taking)
{
	unsigned long state = enter(pool);
	struct record *record = NULL;

	if (taking->promised || hugepool_has_unreserved(pool, taking->size))
		record = pick(pool, taking->size, taking->node,
			      taking->flags & HUGEPOOL_THISNODE);
	if (record) {
		hugepool_pull(pool, record);
		pool->reserved[taking->size] -= taking->promised;
		taking->used |= taking->promised;
		taking->promised = false;
	}
	leave(pool, state);
	return record;
}

/*
 * A free run that can be used, in our hands, or NULL.  What is put aside does
 * not count as free meanwhile, and so no promise to others is broken.
 */
static struct record *take_free(struct hugepool *pool, struct taking *taking)
{
	struct record *record;
	enum fitness fit;
	unsigned long state;

	for (;;) {
		record = pull_one(pool, taking);
		if (!record)
			return NULL;
		fit = fitness(pool, record);
		if (fit == FIT)
			return record;
		if (fit == GOING) {
			put_aside(pool, record, taking);
			continue;
		}
		state = enter(pool);
		pool->retired += fit == BAD;
		leave(pool, state);
		hugepool_give_up(pool, record);
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

static bool is_reserved(struct hugepool *pool, enum hugepool_size size)
{
	unsigned long state = enter(pool);
	bool there = pool->reserved[size] != 0;

	leave(pool, state);
	return there;
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
	struct taking taking = {
		.size = size, .node = node, .flags = flags, .aside = NO_RECORD,
		.promised = flags & HUGEPOOL_RESERVED,
	};
	struct record *record;
	int err = check_alloc(pool, size, node, flags);

	if (err)
		return err;
	if (taking.promised && !is_reserved(pool, size))
		return -CF_EINVAL;
	record = take_free(pool, &taking);
	if (!record)
		err = take_surplus(
			pool, size, node,
			flags & HUGEPOOL_THISNODE ? CF_ALLOC_THISNODE : 0,
			&record);
	/* Some are free; or what was promised is just changing hands. */
	if (err && (taking.aside != NO_RECORD ||
		    (taking.promised && !(flags & HUGEPOOL_THISNODE))))
		err = -CF_EAGAIN;
	end_taking(pool, &taking, !err);
	if (!err)
		hand_out(pool, record, ret_pfn);
	return err;
}

/* ---- demotion ---- */

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
	/* The pool may have been shrunk meanwhile: this one is gone. */
	if (whole->surplus > whole->total)
		whole->surplus = whole->total;
	parts->total += PARTS;
	record->size = HUGEPOOL_2M;
	hugepool_push(pool, record);
	while (chain != NO_RECORD) {
		record = &pool->record[chain];
		chain = record->next;
		pfn += CF_CHUNK_FRAMES;
		record->pfn = pfn;
		record->node = node;
		record->size = HUGEPOOL_2M;
		hugepool_enter_record(pool, record);
		hugepool_push(pool, record);
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
		hugepool_give_spare(pool, record);
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
	    hugepool_has_unreserved(pool, HUGEPOOL_1G)) {
		err = take_spares(pool, PARTS - 1, &chain) ? 0 : -CF_ELIMIT;
		if (!err) {
			record = &pool->record[stock->head];
			hugepool_pull(pool, record);
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
		hugepool_put_back(pool, record);
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

int hugepool_stat(struct hugepool *pool, enum hugepool_size size, uint32_t node,
		  struct hugepool_stat *ret_stat)
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
		good = hugepool_find(pool, span.first) != NULL;
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
	if (!hugepool_is_ours(pool, record, &run))
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
		if (pool->reserved[size] >
		    hugepool_free_of(pool, (enum hugepool_size)size))
			return found(ret_finding, HUGEPOOL_FINDING_COUNT,
				     CF_PFN_NONE, pool->id);
	*ret_finding = (struct hugepool_finding){ HUGEPOOL_FINDING_NONE,
						  CF_PFN_NONE, 0 };
	return true;
}
