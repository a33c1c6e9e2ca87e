/* SPDX-License-Identifier: MIT */

/*
 * Every run of the pool's has a record, found by its head through the side
 * table.  A record is on its node's list of free runs, or its run is in use,
 * or one call has both in hand (HELD) and whoever else finds it is told to
 * come again.  So a run leaves the list for one purpose only: to be handed
 * out, demoted, or given up.
 */

#include "common.h"
#include "hugepool_internal.h"

#define RUNS_MAX	(1u << 24)

/* ---- records and lists; the caller holds the lock ---- */

uint32_t hugepool_number_of(const struct hugepool *pool,
			    const struct record *record)
{
	return (uint32_t)(record - pool->record);
}

struct record *hugepool_take_spare(struct hugepool *pool)
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

void hugepool_give_spare(struct hugepool *pool, struct record *record)
{
	record->state = RECORD_SPARE;
	record->next = pool->spare;
	pool->spare = hugepool_number_of(pool, record);
	pool->spares++;
}

void hugepool_push(struct hugepool *pool, struct record *record)
{
	struct stock *stock = stock_of(pool, record->node, record->size);
	uint32_t number = hugepool_number_of(pool, record);

	record->state = RECORD_FREE;
	record->prev = NO_RECORD;
	record->next = stock->head;
	if (stock->head != NO_RECORD)
		pool->record[stock->head].prev = number;
	stock->head = number;
	stock->free++;
}

/* Off the list; the run is in the caller's hands. */
void hugepool_pull(struct hugepool *pool, struct record *record)
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
void hugepool_enter_record(struct hugepool *pool, struct record *record)
{
	uint32_t *entry = cf_side_find(&pool->side, record->pfn);

	*entry = hugepool_number_of(pool, record) + 1;
}

struct record *hugepool_find(struct hugepool *pool, cf_pfn pfn)
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
	hugepool_give_spare(pool, record);
}

uint32_t hugepool_free_of(struct hugepool *pool, enum hugepool_size size)
{
	uint32_t node, count = 0;

	for (node = 0; node < pool->nodes; node++)
		count += stock_of(pool, node, size)->free;
	return count;
}

uint32_t hugepool_surplus_of(struct hugepool *pool, enum hugepool_size size)
{
	uint32_t node, count = 0;

	for (node = 0; node < pool->nodes; node++)
		count += stock_of(pool, node, size)->surplus;
	return count;
}

/* Is a free run of the size nobody's promise? */
bool hugepool_has_unreserved(struct hugepool *pool, enum hugepool_size size)
{
	return hugepool_free_of(pool, size) > pool->reserved[size];
}

/* ---- runs of the allocator's ---- */

/* A frozen run on the node; CF_NODE_ANY: any. */
int hugepool_take_run(struct hugepool *pool, enum hugepool_size size,
		      uint32_t node, uint16_t flags, cf_pfn *ret_pfn)
{
	struct cf_request request = {
		.order = (uint8_t)order_of(size),
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
		cf_free_frozen(pool->map, *ret_pfn, order_of(size));
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

/* As hugepool_take_run(), and makes room where there is none. */
int hugepool_make_run(struct hugepool *pool, enum hugepool_size size,
		      uint32_t node, cf_pfn *ret_pfn)
{
	struct cf_compaction done;
	int err =
		hugepool_take_run(pool, size, node, CF_ALLOC_THISNODE, ret_pfn);

	if (err != -CF_ENOMEM)
		return err;
	if (size == HUGEPOOL_1G)
		return take_gib(pool, node, ret_pfn);
	if (cf_compact(pool->map, node, pool->zone, 1, &done))
		return err;
	return hugepool_take_run(pool, size, node, CF_ALLOC_THISNODE, ret_pfn);
}

static uint8_t node_of(struct hugepool *pool, cf_pfn pfn)
{
	struct cf_block_info info;

	return cf_block_info(pool->map, pfn, &info) ? 0 : (uint8_t)info.node;
}

/* A record for a run that was taken, still in the caller's hands. */
void hugepool_settle(struct hugepool *pool, struct record *record, cf_pfn pfn,
		     enum hugepool_size size, bool surplus)
{
	uint8_t node = node_of(pool, pfn);
	unsigned long state = enter(pool);

	record->pfn = pfn;
	record->size = (uint8_t)size;
	record->node = node;
	hugepool_enter_record(pool, record);
	stock_of(pool, node, size)->total++;
	stock_of(pool, node, size)->surplus += surplus;
	/* One that was coming is here: nobody counts it twice. */
	pool->coming[size] -= surplus;
	leave(pool, state);
}

void hugepool_give_record(struct hugepool *pool, struct record *record)
{
	unsigned long state = enter(pool);

	hugepool_give_spare(pool, record);
	leave(pool, state);
}

void hugepool_put_back(struct hugepool *pool, struct record *record)
{
	unsigned long state = enter(pool);

	hugepool_push(pool, record);
	leave(pool, state);
}

/*
 * A run in the caller's hands goes to the allocator, unless it is not the
 * pool's any more: then it is forgotten.
 */
void hugepool_give_up(struct hugepool *pool, struct record *record)
{
	cf_pfn pfn = record->pfn;
	unsigned order = order_of(record->size);
	struct cf_snapshot run;
	bool ours = hugepool_is_ours(pool, record, &run);
	unsigned long state = enter(pool);

	drop(pool, record);
	leave(pool, state);
	if (ours)
		cf_free_frozen(pool->map, pfn, order);
}

/* Surplus runs that nobody uses and nobody was promised. */
void hugepool_trim(struct hugepool *pool, enum hugepool_size size)
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
			    hugepool_has_unreserved(pool, size)) {
				record = &pool->record[stock->head];
				hugepool_pull(pool, record);
				stock->surplus--;
			}
			leave(pool, state);
			if (!record)
				break;
			hugepool_give_up(pool, record);
		}
	}
}

/* ---- hooks ---- */

/*
 * The last reference of a run went.  One the pool does not know, or not like
 * this, was given to it by mistake: the allocator can have it.
 */
static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	struct hugepool *pool = context;
	bool poisoned = is_marked(pool->map, pfn);
	enum cf_verdict verdict = CF_VERDICT_FREE;
	unsigned long state = enter(pool);
	struct record *record = hugepool_find(pool, pfn);
	struct stock *stock;

	if (!record || record->state != RECORD_OUT ||
	    order_of(record->size) != order) {
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
		hugepool_push(pool, record);
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
	int err = hugepool_take_run(pool, record->size, record->node,
				    CF_ALLOC_THISNODE | CF_ALLOC_NOWAIT, &pfn);

	if (err)
		return err;
	state = enter(pool);
	entry = cf_side_find(&pool->side, record->pfn);
	*entry = 0;
	record->pfn = pfn;
	hugepool_enter_record(pool, record);
	pool->replaced++;
	leave(pool, state);
	return 0;
}

/* Memory is to go: give a free run up, unless it is promised. */
static int dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct hugepool *pool = context;
	unsigned long state = enter(pool);
	struct record *record = hugepool_find(pool, pfn);
	int err = -CF_EREFUSED;
	bool promised;

	if (record && order_of(record->size) == order) {
		err = -CF_EAGAIN;
		if (record->state == RECORD_FREE)
			err = 0;
	}
	if (err) {
		leave(pool, state);
		return err;
	}
	promised = !hugepool_has_unreserved(pool, record->size);
	hugepool_pull(pool, record);
	leave(pool, state);
	err = replace(pool, record);
	if (!err || promised)
		hugepool_put_back(pool, record);
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
	const struct record *record;
	unsigned long state;
	const char *text;

	/* A report may be made anywhere: it does not wait. */
	if (!cf_trylock(&pool->lock, &state))
		return NULL;
	record = hugepool_find(pool, pfn);
	text = record ? words[record->state] : "given to the pool by mistake";
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
	unsigned char *at =
		(unsigned char *)pool + round_up(sizeof(struct hugepool));
	uint32_t i;

	pool->stock = (struct stock *)(void *)at;
	at += stock_bytes(pool->nodes);
	pool->record = (struct record *)(void *)at;
	for (i = 0; i < pool->nodes * HUGEPOOL_SIZES; i++)
		pool->stock[i].head = NO_RECORD;
	pool->spare = NO_RECORD;
	for (i = pool->runs; i > 0; i--)
		hugepool_give_spare(pool, &pool->record[i - 1]);
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

bool hugepool_is_ours(struct hugepool *pool, const struct record *record,
		      struct cf_snapshot *ret_run)
{
	return !cf_snapshot(pool->map, record->pfn, ret_run) &&
	       ret_run->owner == pool->id && ret_run->type == CF_TYPE_FOLIO &&
	       ret_run->order == order_of(record->size);
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
		if (hugepool_is_ours(pool, record, ret_run))
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
		hugepool_pull(pool, record);
		leave(pool, state);
		hugepool_give_up(pool, record);
	}
	pool->closing = true;
	(void)!cf_owner_unregister(pool->map, pool->id, NULL);
	cf_side_remove(pool->map, &pool->side);
	return 0;
}
