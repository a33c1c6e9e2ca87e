/* SPDX-License-Identifier: MIT */

/* What a pool knows, told and taken over; lists are made anew. */

#include "hugepool_internal.h"
#include "hugepool_state.h"

bool hugepool_is_busy(struct hugepool *pool)
{
	unsigned long state = enter(pool);
	bool busy = pool->closing;
	uint32_t i;

	for (i = 0; i < pool->runs && !busy; i++)
		busy = pool->record[i].state == RECORD_HELD;
	leave(pool, state);
	return busy;
}

void hugepool_save(struct hugepool *pool, struct hugepool_saved *ret_saved)
{
	unsigned long state = enter(pool);
	unsigned size;

	for (size = 0; size < HUGEPOOL_SIZES; size++) {
		ret_saved->reserved[size] = pool->reserved[size];
		ret_saved->surplus_limit[size] = pool->surplus_limit[size];
	}
	ret_saved->dissolved = pool->dissolved;
	ret_saved->replaced = pool->replaced;
	ret_saved->retired = pool->retired;
	ret_saved->strangers = pool->strangers;
	ret_saved->stranger = pool->stranger;
	leave(pool, state);
}

bool hugepool_save_next(struct hugepool *pool, uint32_t *at,
			struct hugepool_run *ret_run)
{
	unsigned long state = enter(pool);
	const struct record *record = NULL;

	while (!record && *at < pool->runs) {
		record = &pool->record[(*at)++];
		if (record->state == RECORD_SPARE)
			record = NULL;
	}
	if (record)
		*ret_run = (struct hugepool_run){
			.pfn = record->pfn,
			.size = (enum hugepool_size)record->size,
			.used = record->state == RECORD_OUT,
		};
	leave(pool, state);
	return record != NULL;
}

/* Does the map have it as it is said to be? */
static bool fits(struct hugepool *pool, const struct hugepool_run *run)
{
	struct cf_snapshot is;

	return size_is(run->size) && !cf_snapshot(pool->map, run->pfn, &is) &&
	       is.type == CF_TYPE_FOLIO && is.owner == pool->id &&
	       is.order == order_of(run->size) && (is.refs != 0) == run->used;
}

int hugepool_adopt_run(struct hugepool *pool, const struct hugepool_run *run)
{
	struct record *record = NULL;
	unsigned long state;
	bool known;
	void *entry;
	int err;

	if (!fits(pool, run))
		return -CF_EINVAL;
	err = cf_side_extend(&pool->side, run->pfn, &entry);
	if (err)
		return err;
	state = enter(pool);
	known = hugepool_find(pool, run->pfn) != NULL;
	if (!known)
		record = hugepool_take_spare(pool);
	leave(pool, state);
	if (!record)
		return known ? -CF_EINVAL : -CF_ELIMIT;
	hugepool_settle(pool, record, run->pfn, run->size, false);
	state = enter(pool);
	if (run->used)
		record->state = RECORD_OUT;
	else
		hugepool_push(pool, record);
	leave(pool, state);
	return 0;
}

int hugepool_adopt_surplus(struct hugepool *pool, enum hugepool_size size,
			   uint32_t node, uint32_t count)
{
	unsigned long state;
	bool good;

	if (!size_is(size) || node >= pool->nodes)
		return -CF_EINVAL;
	state = enter(pool);
	good = count <= stock_of(pool, node, size)->total;
	if (good)
		stock_of(pool, node, size)->surplus = count;
	leave(pool, state);
	return good ? 0 : -CF_EINVAL;
}

int hugepool_adopt(struct hugepool *pool, const struct hugepool_saved *saved)
{
	unsigned long state = enter(pool);
	bool good = true;
	unsigned size;

	for (size = 0; size < HUGEPOOL_SIZES; size++) {
		good = good && saved->reserved[size] <=
		       hugepool_free_of(pool, (enum hugepool_size)size);
		pool->reserved[size] = good ? saved->reserved[size] : 0;
		pool->surplus_limit[size] = saved->surplus_limit[size];
	}
	pool->dissolved = saved->dissolved;
	pool->replaced = saved->replaced;
	pool->retired = saved->retired;
	pool->strangers = saved->strangers;
	pool->stranger = saved->stranger;
	leave(pool, state);
	return good ? 0 : -CF_EINVAL;
}
