/* SPDX-License-Identifier: MIT */

/* Pools of runs of 2 MiB and 1 GiB: owners/hugepool, a step a call. */

#include <stdlib.h>

#include "pools.h"

void pool_free(struct pool *pool)
{
	struct pool_run *run = pool->taken, *next;

	for (; run; run = next) {
		next = run->next;
		free(run);
	}
	free(pool->pool);
	free(pool);
}

void pool_values(struct pool *pool, uint64_t *ret_of)
{
	struct hugepool_finding finding;
	struct hugepool_stat stat;
	unsigned size, order;

	for (size = 0; size < HUGEPOOL_SIZES; size++) {
		order = size == HUGEPOOL_1G ? CF_MAX_ORDER : CF_CHUNK_ORDER;
		if (hugepool_stat(pool->pool, (enum hugepool_size)size,
				  CF_NODE_ANY, &stat))
			continue;
		ret_of[PROPERTY_RUNS] += stat.total;
		ret_of[PROPERTY_TOTAL] += (uint64_t)stat.total << order;
		ret_of[PROPERTY_FREE] += (uint64_t)stat.free << order;
		ret_of[PROPERTY_RESERVED] += (uint64_t)stat.reserved << order;
		ret_of[PROPERTY_SURPLUS] += (uint64_t)stat.surplus << order;
		/* Of the pool, not of the size. */
		ret_of[PROPERTY_DISSOLVES] = stat.dissolved;
		ret_of[PROPERTY_REPLACED] = stat.replaced;
	}
	ret_of[PROPERTY_HELD] = pool->held;
	ret_of[PROPERTY_INTACT] = hugepool_verify(pool->pool, &finding);
}

static struct pool *find(struct machine *machine, const struct step *step,
			 struct outcome *outcome)
{
	struct pool *pool = machine->object[step->name].any;

	if (!pool)
		(void)refuse(outcome, CF_EGONE, "%s has ended",
			     machine->name[step->name]);
	return pool;
}

/* "order 9" or "order 18"; 9 if nothing is said. */
static int size_of(const struct step *step, struct outcome *outcome,
		   enum hugepool_size *ret_size)
{
	uint64_t order = step_value(step, KEY_ORDER, CF_CHUNK_ORDER);

	if (order != CF_CHUNK_ORDER && order != CF_MAX_ORDER)
		return refuse(outcome, CF_EINVAL, "a pool has runs of order 9"
			      " and 18");
	*ret_size = order == CF_MAX_ORDER ? HUGEPOOL_1G : HUGEPOOL_2M;
	return 0;
}

static int count_of(const struct step *step, struct outcome *outcome)
{
	if (step->amount.number > POOL_RUNS)
		return refuse(outcome, CF_ELIMIT, "a pool has room for %d runs",
			      POOL_RUNS);
	return 0;
}

static int say(struct outcome *outcome, int err)
{
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	return 0;
}

int pool_start(struct machine *machine, uint32_t number, struct pool *pool)
{
	const struct hugepool_config config = {
		.name = machine->name[number],
		.runs = POOL_RUNS,
		.zone = pool->zone,
	};
	size_t bytes = hugepool_bytes(machine->map, &config);
	void *storage = bytes ? calloc(1, bytes) : NULL;
	int err = storage ? 0 : bytes ? -CF_ENOMEM : -CF_EINVAL;

	if (!err)
		err = hugepool_create(machine->map, &config, storage,
				      &pool->pool);
	if (err)
		free(storage);
	pool->map = machine->map;
	return err;
}

int step_pool(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (!pool)
		return say(outcome, -CF_ENOMEM);
	pool->zone = (enum cf_zone_kind)step_value(step, KEY_ZONE,
						   CF_ZONE_NORMAL);
	err = pool_start(machine, step->name, pool);
	if (err) {
		free(pool);
		return say(outcome, err);
	}
	machine->object[step->name].any = pool;
	did(outcome, "registered as owner %u", hugepool_owner(pool->pool));
	return 0;
}

int step_pool_size(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	enum hugepool_size size = HUGEPOOL_2M;
	uint32_t count = 0;
	int err;

	if (!pool || size_of(step, outcome, &size) || count_of(step, outcome))
		return outcome->err ? outcome->err : -CF_EINVAL;
	err = hugepool_resize(pool->pool, size,
			      (uint32_t)step_value(step, KEY_NODE, 0),
			      (uint32_t)step->amount.number, &count);
	did(outcome, "%u runs", count);
	outcome->done = (uint64_t)count << (size == HUGEPOOL_1G ?
					    CF_MAX_ORDER : CF_CHUNK_ORDER);
	return say(outcome, err);
}

int step_pool_surplus(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	enum hugepool_size size = HUGEPOOL_2M;

	if (!pool || size_of(step, outcome, &size) || count_of(step, outcome))
		return outcome->err ? outcome->err : -CF_EINVAL;
	hugepool_set_surplus(pool->pool, size, (uint32_t)step->amount.number);
	return 0;
}

int step_pool_reserve(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	uint32_t count = (uint32_t)step->amount.number;
	enum hugepool_size size = HUGEPOOL_2M;

	if (!pool || size_of(step, outcome, &size) || count_of(step, outcome))
		return outcome->err ? outcome->err : -CF_EINVAL;
	return say(outcome, step_has(step, KEY_OFF) ?
		   hugepool_unreserve(pool->pool, size, count) :
		   hugepool_reserve(pool->pool, size, count));
}

static int take_one(struct pool *pool, const struct step *step,
		    enum hugepool_size size)
{
	uint32_t flags = (step_has(step, KEY_RESERVE) ? HUGEPOOL_RESERVED : 0) |
			 (step_has(step, KEY_THIS_NODE) ? HUGEPOOL_THISNODE :
							  0);
	struct pool_run *run = malloc(sizeof(*run));
	int err = -CF_ENOMEM;

	if (run)
		err = hugepool_alloc(pool->pool, size,
				     (uint32_t)step_value(step, KEY_NODE,
							  CF_NODE_ANY),
				     flags, &run->pfn);
	if (err) {
		free(run);
		return err;
	}
	run->order = size == HUGEPOOL_1G ? CF_MAX_ORDER : CF_CHUNK_ORDER;
	run->next = pool->taken;
	pool->taken = run;
	pool->held += (uint64_t)1 << run->order;
	return 0;
}

int step_pool_take(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	enum hugepool_size size = HUGEPOOL_2M;
	uint64_t left = step->amount.number;
	int err = 0;

	if (!pool || size_of(step, outcome, &size))
		return outcome->err ? outcome->err : -CF_EINVAL;
	for (; left && !err; left--)
		err = take_one(pool, step, size);
	if (pool->taken)
		did(outcome, "the last at frame %llu",
		    (unsigned long long)pool->taken->pfn);
	return say(outcome, err);
}

int step_pool_give(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	uint64_t left = step->amount.number;

	if (!pool)
		return outcome->err;
	for (; left; left--) {
		struct pool_run *run = pool->taken;

		if (!run)
			return refuse(outcome, CF_EINVAL, "no more are taken");
		pool->taken = run->next;
		pool->held -= (uint64_t)1 << run->order;
		outcome->done += (uint64_t)1 << run->order;
		cf_put(pool->map, run->pfn);
		free(run);
	}
	return 0;
}

int step_pool_demote(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	uint32_t done = 0;
	int err;

	if (!pool || count_of(step, outcome))
		return outcome->err ? outcome->err : -CF_EINVAL;
	err = hugepool_demote(pool->pool,
			      (uint32_t)step_value(step, KEY_NODE, 0),
			      (uint32_t)step->amount.number, &done);
	did(outcome, "%u demoted", done);
	return say(outcome, err);
}

int step_pool_end(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	struct pool *pool = find(machine, step, outcome);
	int err;

	if (!pool)
		return outcome->err;
	err = hugepool_destroy(pool->pool, &outcome->report);
	if (err) {
		outcome->reported = true;
		outcome->err = err;
		return err;
	}
	pool_free(pool);
	machine->object[step->name].any = NULL;
	return 0;
}
