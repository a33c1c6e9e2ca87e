/* SPDX-License-Identifier: MIT */

/*
 * Objects, handles and the runs they lie in.
 *
 * One mutex guards them, and the hooks that move runs take it, too: so what
 * the engine moves is not looked at meanwhile.  Calls of the engine that run
 * hooks - compaction, ranges - are made without it.
 */

#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define FRAME		((size_t)CF_FRAME_BYTES)
#define OBJECTS_FIRST	1024u

static const uint16_t class_bytes[CLASSES] = {
	16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1360, 2048,
};

unsigned elastic_class_bytes(unsigned class)
{
	return class_bytes[class];
}

uint32_t elastic_class_slots(unsigned class)
{
	return class == CLASS_NONE ? 1 : (uint32_t)(FRAME / class_bytes[class]);
}

unsigned elastic_class_of(size_t bytes)
{
	unsigned class = 0;

	while (class < CLASSES && class_bytes[class] < bytes)
		class++;
	return class;
}

unsigned elastic_order_of(size_t bytes)
{
	unsigned order = 0;

	while (FRAME << order < bytes)
		order++;
	return order;
}

/* ---- runs ---- */

struct run *elastic_run_at(struct elastic *pool, cf_pfn pfn)
{
	struct run *const *entry = cf_side_find(&pool->side, pfn);

	return entry ? *entry : NULL;
}

void elastic_bind(struct elastic *pool, cf_pfn pfn, struct run *run)
{
	struct run **entry = cf_side_find(&pool->side, pfn);

	if (entry)
		*entry = run;
}

static void link_run(struct elastic *pool, struct run *run)
{
	struct run **list = &pool->runs[run->class];

	run->prev = NULL;
	run->next = *list;
	if (*list)
		(*list)->prev = run;
	*list = run;
	pool->stat.used_bytes += FRAME << run->order;
}

static void unlink_run(struct elastic *pool, struct run *run)
{
	if (run->prev)
		run->prev->next = run->next;
	else
		pool->runs[run->class] = run->next;
	if (run->next)
		run->next->prev = run->prev;
	pool->stat.used_bytes -= FRAME << run->order;
}

static void to_front(struct elastic *pool, struct run *run)
{
	if (!run->prev)
		return;
	unlink_run(pool, run);
	link_run(pool, run);
}

/* Frames, if need be such as were given back. */
static int take_frames(struct elastic *pool, unsigned order, cf_pfn *ret_pfn)
{
	struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)pool->id,
		.zone = (uint8_t)pool->zone,
		.node = CF_NODE_ANY,
	};
	void *entry;
	int err;

	do {
		err = cf_alloc(pool->map, request, ret_pfn);
	} while (err == -CF_ENOMEM && elastic_take_back(pool, order));
	if (err)
		return -CF_ENOMEM;
	if (!cf_side_extend(&pool->side, *ret_pfn, &entry))
		return 0;
	cf_put(pool->map, *ret_pfn);
	return -CF_ENOMEM;
}

struct run *elastic_new_run(unsigned class, unsigned order)
{
	uint32_t slots = elastic_class_slots(class);
	struct run *run = calloc(1, sizeof(*run) +
				    slots * sizeof(run->object[0]));

	if (!run)
		return NULL;
	run->class = (uint8_t)class;
	run->order = (uint8_t)order;
	run->slots = slots;
	return run;
}

void elastic_enter_run(struct elastic *pool, struct run *run)
{
	elastic_bind(pool, run->pfn, run);
	link_run(pool, run);
}

static int add_run(struct elastic *pool, unsigned class, unsigned order,
		   struct run **ret_run)
{
	struct run *run = elastic_new_run(class, order);
	int err;

	if (!run)
		return -CF_ENOMEM;
	err = take_frames(pool, order, &run->pfn);
	if (err) {
		free(run);
		return err;
	}
	elastic_enter_run(pool, run);
	*ret_run = run;
	return 0;
}

static void remove_run(struct elastic *pool, struct run *run)
{
	unlink_run(pool, run);
	elastic_bind(pool, run->pfn, NULL);
	cf_put(pool->map, run->pfn);
	free(run);
}

/* Runs with room stand before full ones: this one is full now. */
void elastic_to_end(struct elastic *pool, struct run *run)
{
	struct run *last = run;

	if (run->class == CLASS_NONE || !run->next ||
	    run->next->used == run->next->slots)
		return;
	while (last->next && last->next->used < last->next->slots)
		last = last->next;
	unlink_run(pool, run);
	pool->stat.used_bytes += FRAME << run->order;
	run->prev = last;
	run->next = last->next;
	if (last->next)
		last->next->prev = run;
	last->next = run;
}

uint32_t elastic_take_slot(struct elastic *pool, struct run *run)
{
	uint32_t word = 0, slot;

	while (!~run->taken[word])
		word++;
	slot = word * 64 + (uint32_t)__builtin_ctzll(~run->taken[word]);
	run->taken[word] |= (uint64_t)1 << slot % 64;
	run->used++;
	if (run->used == run->slots)
		elastic_to_end(pool, run);
	return slot;
}

void elastic_give_slot(struct elastic *pool, struct run *run, uint32_t slot)
{
	run->taken[slot / 64] &= ~((uint64_t)1 << slot % 64);
	run->used--;
	if (run->used == 0)
		remove_run(pool, run);
	else
		to_front(pool, run);
}

/* The first of a class has room, or none has. */
static int find_room(struct elastic *pool, size_t bytes, struct run **ret_run)
{
	unsigned class = elastic_class_of(bytes);
	struct run *run = class < CLASSES ? pool->runs[class] : NULL;

	if (run && run->used < run->slots) {
		*ret_run = run;
		return 0;
	}
	return add_run(pool, class,
		       class < CLASSES ? 0 : elastic_order_of(bytes), ret_run);
}

/* ---- objects ---- */

bool elastic_grow(struct elastic *pool)
{
	uint32_t room = pool->objects ? 2 * pool->objects : OBJECTS_FIRST;
	struct object *grown;
	uint32_t i;

	if (room < pool->objects)
		return false;
	grown = realloc(pool->object, room * sizeof(*grown));
	if (!grown)
		return false;
	for (i = room; i > pool->objects; i--) {
		grown[i - 1] = (struct object){ .generation = 1,
						.slot = pool->free_object };
		pool->free_object = i;
	}
	pool->object = grown;
	pool->objects = room;
	return true;
}

elastic_handle elastic_handle_of(const struct elastic *pool, uint32_t number)
{
	return (uint64_t)pool->object[number].generation << 32 | (number + 1);
}

/* The object, or NULL.  Caller has the mutex. */
static struct object *find(struct elastic *pool, elastic_handle handle)
{
	uint32_t number = (uint32_t)handle - 1;
	struct object *object;

	if (number >= pool->objects)
		return NULL;
	object = &pool->object[number];
	if (!object->run || object->generation != handle >> 32)
		return NULL;
	return object;
}

static int add_object(struct elastic *pool, size_t bytes,
		      elastic_handle *ret_handle)
{
	struct object *object;
	struct run *run;
	uint32_t number;
	int err;

	if (!pool->free_object && !elastic_grow(pool))
		return -CF_ENOMEM;
	err = find_room(pool, bytes, &run);
	if (err)
		return err;
	number = pool->free_object - 1;
	object = &pool->object[number];
	pool->free_object = object->slot;
	object->run = run;
	object->bytes = bytes;
	object->locks = 0;
	object->slot = elastic_take_slot(pool, run);
	run->object[object->slot] = number;
	pool->stat.objects++;
	pool->stat.object_bytes += bytes;
	*ret_handle = elastic_handle_of(pool, number);
	return 0;
}

int elastic_alloc(struct elastic *pool, size_t bytes,
		  elastic_handle *ret_handle)
{
	int err;

	if (!bytes || bytes > BYTES_MAX)
		return -CF_EINVAL;
	(void)pthread_mutex_lock(&pool->mutex);
	err = add_object(pool, bytes, ret_handle);
	(void)pthread_mutex_unlock(&pool->mutex);
	return err;
}

static void end_object(struct elastic *pool, struct object *object)
{
	elastic_give_slot(pool, object->run, object->slot);
	pool->stat.objects--;
	pool->stat.object_bytes -= object->bytes;
	object->run = NULL;
	object->generation += object->generation == ~0u ? 2 : 1;
	object->slot = pool->free_object;
	pool->free_object = (uint32_t)(object - pool->object) + 1;
}

int elastic_free(struct elastic *pool, elastic_handle handle)
{
	struct object *object;
	int err = 0;

	(void)pthread_mutex_lock(&pool->mutex);
	object = find(pool, handle);
	if (!object)
		err = -CF_EGONE;
	else if (object->locks)
		err = -CF_EBUSY;
	else
		end_object(pool, object);
	(void)pthread_mutex_unlock(&pool->mutex);
	return err;
}

/* The first lock in a run pins it, so that the engine leaves it alone. */
static bool pin(struct elastic *pool, struct object *object)
{
	struct run *run = object->run;

	if (object->locks == ~0u ||
	    (run->pins == 0 && cf_pin(pool->map, run->pfn)))
		return false;
	run->pins++;
	pool->stat.locked += object->locks++ == 0;
	return true;
}

void *elastic_lock(struct elastic *pool, elastic_handle handle)
{
	struct object *object;
	unsigned char *memory = NULL;

	(void)pthread_mutex_lock(&pool->mutex);
	object = find(pool, handle);
	if (object && pin(pool, object)) {
		memory = run_memory(pool, object->run);
		if (object->run->class != CLASS_NONE)
			memory += object->slot *
				  class_bytes[object->run->class];
	}
	(void)pthread_mutex_unlock(&pool->mutex);
	return memory;
}

int elastic_unlock(struct elastic *pool, elastic_handle handle)
{
	struct object *object;
	int err = 0;

	(void)pthread_mutex_lock(&pool->mutex);
	object = find(pool, handle);
	if (!object) {
		err = -CF_EGONE;
	} else if (!object->locks) {
		err = -CF_EINVAL;
	} else {
		pool->stat.locked -= --object->locks == 0;
		if (--object->run->pins == 0)
			cf_unpin(pool->map, object->run->pfn);
	}
	(void)pthread_mutex_unlock(&pool->mutex);
	return err;
}

size_t elastic_bytes(struct elastic *pool, elastic_handle handle)
{
	const struct object *object;
	size_t bytes = 0;

	(void)pthread_mutex_lock(&pool->mutex);
	object = find(pool, handle);
	if (object)
		bytes = object->bytes;
	(void)pthread_mutex_unlock(&pool->mutex);
	return bytes;
}

void elastic_stat(struct elastic *pool, struct elastic_stat *ret_stat)
{
	(void)pthread_mutex_lock(&pool->mutex);
	*ret_stat = pool->stat;
	(void)pthread_mutex_unlock(&pool->mutex);
}

struct cf_map *elastic_map(struct elastic *pool)
{
	return pool->map;
}

uint32_t elastic_owner(const struct elastic *pool)
{
	return pool->id;
}

/* ---- making and ending ---- */

static void end_own_map(struct elastic *pool)
{
	cf_pfn last = pool->own.config.last;

	if (pool->map) {
		cf_drain_cpu(pool->map);
		(void)!cf_block_offline(pool->map, 0, last, 4, NULL);
		(void)!cf_block_remove(pool->map, 0, last);
		(void)!cf_host_map_destroy(pool->map);
	}
	cf_host_memory_destroy(&pool->own);
}

static int make_own_map(struct elastic *pool,
			const struct elastic_config *config)
{
	bool large = config->bytes >> (CF_FRAME_SHIFT + CF_BLOCK_ORDER_MAX);
	unsigned order = large ? CF_BLOCK_ORDER_MAX : CF_BLOCK_ORDER_MIN;
	uint64_t block = (uint64_t)CF_FRAME_BYTES << order;
	struct cf_host_config host = {
		.last = (config->bytes + block - 1) / block << order,
		.huge = config->huge,
	};
	struct cf_map_config map = {
		.block_order = order,
		.cpus = config->cpus ? config->cpus : 1,
	};
	struct cf_block_config blocks = { .meta = CF_META_PORT };
	int err;

	err = cf_host_memory_create(&host, &pool->own);
	if (err)
		return err;
	err = cf_host_map_create(&pool->own, &map, &pool->map);
	if (!err)
		err = cf_block_add(pool->map, 0, host.last, &blocks);
	if (!err)
		err = cf_block_online(pool->map, 0, host.last, CF_ZONE_NORMAL,
				      NULL);
	if (err) {
		end_own_map(pool);
		return err == -CF_EBUSY || err == -CF_EINVAL ? err :
							       -CF_ENOMEM;
	}
	pool->memory = &pool->own;
	return 0;
}

static bool fits(const struct elastic_config *config)
{
	bool own = !config->map;

	if (own != !config->memory || config->zone > CF_ZONE_MOVABLE)
		return false;
	if (own)
		return config->bytes >= FRAME << CF_BLOCK_ORDER_MIN &&
		       config->bytes <= CF_PFN_LIMIT * CF_FRAME_BYTES &&
		       config->zone == CF_ZONE_NORMAL;
	return !config->bytes;
}

static int join_map(struct elastic *pool, const struct elastic_config *config)
{
	const char *name = config->name ? config->name : "elastic";
	int err = cf_side_add(pool->map, &pool->side, sizeof(struct run *));

	if (err)
		return err;
	err = cf_owner_register(pool->map, name, &elastic_ops, pool,
				&pool->id);
	if (err)
		cf_side_remove(pool->map, &pool->side);
	return err;
}

int elastic_create(const struct elastic_config *config,
		   struct elastic **ret_pool)
{
	struct elastic *pool;
	int err = 0;

	if (!fits(config))
		return -CF_EINVAL;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -CF_ENOMEM;
	pool->zone = config->zone;
	pool->map = config->map;
	pool->memory = config->memory;
	if (!config->map)
		err = make_own_map(pool, config);
	if (err)
		goto out;
	err = join_map(pool, config);
	if (err) {
		if (!config->map)
			end_own_map(pool);
		goto out;
	}
	(void)pthread_mutex_init(&pool->mutex, NULL);
	(void)pthread_cond_init(&pool->tend, NULL);
	*ret_pool = pool;
	return 0;
out:
	free(pool);
	return err;
}

/* A run that holds a locked object, or NULL. */
static const struct run *find_pinned(const struct elastic *pool)
{
	const struct run *run;
	unsigned class;

	for (class = 0; class <= CLASSES; class++)
		for (run = pool->runs[class]; run; run = run->next)
			if (run->pins)
				return run;
	return NULL;
}

/* What is in the way: a run that holds a locked object.  True: there is one. */
static bool report_pinned(struct elastic *pool, struct cf_report *report)
{
	struct cf_snapshot run = { .order = 0 };
	struct cf_owner_info info;
	const struct run *pinned;
	cf_pfn pfn = CF_PFN_NONE;

	(void)pthread_mutex_lock(&pool->mutex);
	pinned = find_pinned(pool);
	if (pinned)
		pfn = pinned->pfn;
	(void)pthread_mutex_unlock(&pool->mutex);
	if (!report)
		return pfn != CF_PFN_NONE;
	*report = (struct cf_report){ .pfn = pfn };
	if (pfn == CF_PFN_NONE)
		return false;
	(void)!cf_snapshot(pool->map, pfn, &run);
	report->reason = CF_REASON_PINNED;
	report->type = run.type;
	report->order = run.order;
	report->flags = run.flags;
	report->owner = pool->id;
	report->refs = run.refs;
	report->pins = run.pins;
	report->detail = "holds a locked object";
	report->frames[CF_REASON_PINNED] = (uint64_t)1 << run.order;
	if (!cf_owner_info(pool->map, pool->id, &info))
		report->who = info.name;
	return true;
}

int elastic_destroy(struct elastic *pool, struct cf_report *report)
{
	uint32_t i;

	if (report_pinned(pool, report))
		return -CF_EBUSY;
	for (i = 0; i < pool->objects; i++)
		if (pool->object[i].run)
			end_object(pool, &pool->object[i]);
	while (elastic_take_back(pool, 0))
		;
	(void)!cf_owner_unregister(pool->map, pool->id, NULL);
	cf_side_remove(pool->map, &pool->side);
	if (pool->memory == &pool->own)
		end_own_map(pool);
	(void)pthread_cond_destroy(&pool->tend);
	(void)pthread_mutex_destroy(&pool->mutex);
	free(pool->object);
	free(pool->given);
	free(pool);
	return 0;
}

int elastic_shrink(struct elastic *pool, uint64_t bytes, uint64_t *ret_bytes,
		   struct cf_report *report)
{
	uint64_t done = elastic_give_back(pool, bytes);

	(void)report_pinned(pool, report);
	*ret_bytes = done;
	return done < bytes && ~bytes ? -CF_ENOMEM : 0;
}
