/* SPDX-License-Identifier: MIT */

/*
 * What the engine asks: may this run be moved, and move it.
 *
 * The mutex is held over a move, so nobody locks an object in the run before
 * it is where it will be.  A run with locked objects is pinned and never asked
 * about.  Frames that were given back move as well, there is nothing in them.
 */

#include "internal.h"

/* A run of objects; the engine has one reference and the pool another. */
static int move_objects(struct elastic *pool, struct run *run, cf_pfn target)
{
	cf_pfn source = run->pfn;
	void *entry;
	int err;

	err = cf_side_extend(&pool->side, target, &entry);
	if (err)
		return err;
	err = cf_freeze(pool->map, source, 2);
	if (err)
		return err;
	err = cf_copy_run(pool->map, source, target, run->order);
	if (err) {
		cf_unfreeze(pool->map, source, 2);
		return err;
	}
	run->pfn = target;
	elastic_bind(pool, source, NULL);
	elastic_bind(pool, target, run);
	cf_unfreeze(pool->map, target, 1);
	pool->stat.moved++;
	return 0;
}

static int move_given(struct elastic *pool, cf_pfn source, cf_pfn target,
		      unsigned order)
{
	size_t i;

	for (i = 0; i < pool->given_count; i++) {
		if (pool->given[i].pfn != source ||
		    pool->given[i].order != order)
			continue;
		(void)!cf_host_discard(pool->memory, target,
				       target + ((cf_pfn)1 << order));
		pool->given[i].pfn = target;
		return 0;
	}
	return -CF_EAGAIN;
}

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct elastic *pool = context;
	struct run *run;
	int err;

	(void)pthread_mutex_lock(&pool->mutex);
	run = elastic_run_at(pool, source);
	if (run && run->pfn == source && run->order == order)
		err = move_objects(pool, run, target);
	else
		err = move_given(pool, source, target, order);
	(void)pthread_mutex_unlock(&pool->mutex);
	return err;
}

static const char *describe(void *context, cf_pfn pfn)
{
	(void)context;
	(void)pfn;
	return "objects of a pool";
}

const struct cf_owner_ops elastic_ops = {
	.migrate = migrate,
	.describe = describe,
};
