/* SPDX-License-Identifier: MIT */

/*
 * Objects told and taken over.  What is in a run follows from them: its
 * class, which slots are taken, and how often it is pinned.
 */

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "state.h"

bool elastic_save_next(struct elastic *pool, uint32_t *at,
		       struct elastic_object *ret_object)
{
	bool found = false;

	(void)pthread_mutex_lock(&pool->mutex);
	for (; !found && *at < pool->objects; (*at)++) {
		const struct object *object = &pool->object[*at];

		if (!object->run && object->generation == 1)
			continue;
		*ret_object = (struct elastic_object){
			.handle = elastic_handle_of(pool, *at),
		};
		found = true;
		if (!object->run)
			continue;
		ret_object->bytes = object->bytes;
		ret_object->pfn = object->run->pfn;
		ret_object->slot = object->slot;
		ret_object->locks = object->locks;
	}
	(void)pthread_mutex_unlock(&pool->mutex);
	return found;
}

bool elastic_save_given(struct elastic *pool, size_t *at,
			struct elastic_given *ret_given)
{
	bool found;

	(void)pthread_mutex_lock(&pool->mutex);
	found = *at < pool->given_count;
	if (found) {
		ret_given->pfn = pool->given[*at].pfn;
		ret_given->order = pool->given[*at].order;
		(*at)++;
	}
	(void)pthread_mutex_unlock(&pool->mutex);
	return found;
}

/* The run an object lies in, made if it is the first; NULL with a code. */
static struct run *run_of(struct elastic *pool,
			  const struct elastic_object *object, int *ret_err)
{
	unsigned class = elastic_class_of(object->bytes);
	unsigned order = class < CLASSES ? 0 : elastic_order_of(object->bytes);
	struct run *run = elastic_run_at(pool, object->pfn);
	struct cf_snapshot is;
	void *entry;

	*ret_err = -CF_EINVAL;
	if (run)
		return run->class == class && run->order == order ? run : NULL;
	if (cf_snapshot(pool->map, object->pfn, &is) ||
	    is.type != CF_TYPE_FOLIO || is.owner != pool->id || !is.refs ||
	    is.order != order)
		return NULL;
	*ret_err = cf_side_extend(&pool->side, object->pfn, &entry);
	if (*ret_err)
		return NULL;
	run = elastic_new_run(class, order);
	if (run) {
		run->pfn = object->pfn;
		elastic_enter_run(pool, run);
	} else {
		*ret_err = -CF_ENOMEM;
	}
	return run;
}

/* Saved by whomever: has an object of that size a slot of that number? */
static bool slot_is_there(const struct elastic_object *object)
{
	return object->bytes <= BYTES_MAX &&
	       object->slot < elastic_class_slots(
				      elastic_class_of(object->bytes));
}

static bool slot_is_free(const struct run *run, uint32_t slot)
{
	return !(run->taken[slot / 64] >> slot % 64 & 1);
}

/* Locked in memory that is pinned? */
static bool pins_fit(struct elastic *pool,
		     const struct elastic_object *object)
{
	struct cf_snapshot is;

	return !object->locks ||
	       (!cf_snapshot(pool->map, object->pfn, &is) && is.pins);
}

static int place(struct elastic *pool, const struct elastic_object *object,
		 uint32_t number)
{
	struct object *at = &pool->object[number];
	struct run *run;
	int err;

	/* Before a run is made for it. */
	if (!slot_is_there(object) || !pins_fit(pool, object))
		return -CF_EINVAL;
	run = run_of(pool, object, &err);
	if (!run)
		return err;
	if (!slot_is_free(run, object->slot))
		return -CF_EINVAL;
	run->taken[object->slot / 64] |= (uint64_t)1 << object->slot % 64;
	run->object[object->slot] = number;
	run->pins += object->locks;
	at->run = run;
	at->bytes = object->bytes;
	at->slot = object->slot;
	at->locks = object->locks;
	pool->stat.objects++;
	pool->stat.object_bytes += object->bytes;
	pool->stat.locked += object->locks != 0;
	if (++run->used == run->slots)
		elastic_to_end(pool, run);
	return 0;
}

int elastic_adopt_object(struct elastic *pool,
			 const struct elastic_object *object)
{
	uint32_t number = (uint32_t)object->handle - 1;
	uint32_t generation = (uint32_t)(object->handle >> 32);
	int err = 0;

	if (number == ~0u || !generation)
		return -CF_EINVAL;
	(void)pthread_mutex_lock(&pool->mutex);
	while (!err && number >= pool->objects)
		err = elastic_grow(pool) ? 0 : -CF_ENOMEM;
	if (!err && pool->object[number].run)
		err = -CF_EINVAL;
	if (!err && object->bytes)
		err = place(pool, object, number);
	if (!err)
		pool->object[number].generation = generation;
	(void)pthread_mutex_unlock(&pool->mutex);
	return err;
}

int elastic_adopt_given(struct elastic *pool,
			const struct elastic_given *given)
{
	size_t room = pool->given_room ? 2 * pool->given_room : 64;
	struct cf_snapshot is;
	struct given *grown;

	if (cf_snapshot(pool->map, given->pfn, &is) ||
	    is.type != CF_TYPE_OFFLINE || is.owner != pool->id ||
	    is.order != given->order)
		return -CF_EINVAL;
	if (pool->given_count == pool->given_room) {
		grown = realloc(pool->given, room * sizeof(*grown));
		if (!grown)
			return -CF_ENOMEM;
		pool->given = grown;
		pool->given_room = room;
	}
	pool->given[pool->given_count++] = (struct given){
		given->pfn, given->order,
	};
	return 0;
}

static int compare_given(const void *a, const void *b)
{
	const struct given *one = a, *other = b;

	return (one->pfn > other->pfn) - (one->pfn < other->pfn);
}

/* Is each run of the pool's by its word known to it? Given back: in order. */
static bool knows_all(struct elastic *pool, const struct given *given)
{
	cf_pfn last = cf_map_config_of(pool->map)->last, cursor = 0;
	struct cf_span span;
	size_t seen = 0;
	bool good = true;

	cf_walk_begin(pool->map);
	while (good && cf_walk_next(pool->map, &cursor, last, &span)) {
		if (span.kind != CF_SPAN_RUN || span.owner != pool->id)
			continue;
		if (span.type == CF_TYPE_FOLIO) {
			good = elastic_run_at(pool, span.first) != NULL;
		} else if (span.type == CF_TYPE_OFFLINE) {
			good = seen < pool->given_count &&
			       given[seen].pfn == span.first;
			seen++;
		}
	}
	cf_walk_end(pool->map);
	return good && seen == pool->given_count;
}

/* What is given back first goes on being taken back last. */
static int compare_to_map(struct elastic *pool)
{
	size_t bytes = pool->given_count * sizeof(*pool->given);
	struct given *given = malloc(bytes + !bytes);
	bool good;

	if (!given)
		return -CF_ENOMEM;
	if (bytes)
		(void)memcpy(given, pool->given, bytes);
	qsort(given, pool->given_count, sizeof(*given), compare_given);
	good = knows_all(pool, given);
	free(given);
	return good ? 0 : -CF_EINVAL;
}

int elastic_adopt(struct elastic *pool, const struct elastic_stat *stat)
{
	uint32_t i;
	int err;

	(void)pthread_mutex_lock(&pool->mutex);
	pool->stat.given_bytes = stat->given_bytes;
	pool->stat.merged = stat->merged;
	pool->stat.moved = stat->moved;
	pool->free_object = 0;
	for (i = pool->objects; i > 0; i--) {
		if (pool->object[i - 1].run)
			continue;
		pool->object[i - 1].slot = pool->free_object;
		pool->free_object = i;
	}
	err = compare_to_map(pool);
	(void)pthread_mutex_unlock(&pool->mutex);
	return err;
}
