/* SPDX-License-Identifier: MIT */

/* Objects that move: where each lies, and the handle a scenario has of it. */

#include <stdlib.h>

#include "owners/elastic/state.h"
#include "pools.h"
#include "save_objects.h"

/* The pool numbers no object higher: it doubles its room. */
#define NUMBERS_MAX	(2 * OBJECTS_MAX)

enum elastic_part {
	ELASTIC_OBJECT,
	ELASTIC_GIVEN,		/* a run that was given back */
	ELASTIC_HANDLE,		/* of a scenario's object */
};

static void code_stat(struct code *code, struct elastic_stat *stat)
{
	code_u64(code, &stat->given_bytes);
	code_u64(code, &stat->merged);
	code_u64(code, &stat->moved);
}

static void code_object(struct code *code, struct elastic_object *object)
{
	code_u64(code, &object->handle);
	code_u64(code, &object->bytes);
	code_u64(code, &object->pfn);
	code_u32(code, &object->slot);
	code_u32(code, &object->locks);
}

static void code_given(struct code *code, struct elastic_given *given)
{
	code_u64(code, &given->pfn);
	code_u32(code, &given->order);
}

struct numbered {
	uint64_t number, handle;
};

static void code_numbered(struct code *code, struct numbered *numbered)
{
	code_u64(code, &numbered->number);
	code_u64(code, &numbered->handle);
}

static struct objects *objects_of(struct machine *machine, uint32_t number)
{
	return machine->object[number].any;
}

static void save(struct saving *saving, uint32_t number)
{
	struct objects *objects = objects_of(saving_machine(saving), number);
	struct code *code = saving_begin(saving, number, 0);
	struct elastic_stat stat;

	objects->zone = (enum cf_zone_kind)code_choice(code, objects->zone,
						       CF_ZONE_DEVICE);
	code_u64(code, &objects->count);
	elastic_stat(objects->pool, &stat);
	code_stat(code, &stat);
	saving_end(saving, SAVE_OBJECT);
}

static void save_handles(struct saving *saving, uint32_t number,
			 const struct objects *objects)
{
	struct numbered numbered;

	for (numbered.number = 0; numbered.number < objects->count;
	     numbered.number++) {
		numbered.handle = objects->handle[numbered.number];
		if (!numbered.handle)
			continue;
		code_numbered(saving_begin(saving, number, ELASTIC_HANDLE),
			      &numbered);
		saving_end(saving, SAVE_PART);
	}
}

static void save_parts(struct saving *saving, uint32_t number)
{
	struct objects *objects = objects_of(saving_machine(saving), number);
	struct elastic_object object;
	struct elastic_given given;
	uint32_t at = 0;
	size_t i = 0;

	while (elastic_save_next(objects->pool, &at, &object)) {
		code_object(saving_begin(saving, number, ELASTIC_OBJECT),
			    &object);
		saving_end(saving, SAVE_PART);
	}
	while (elastic_save_given(objects->pool, &i, &given)) {
		code_given(saving_begin(saving, number, ELASTIC_GIVEN),
			   &given);
		saving_end(saving, SAVE_PART);
	}
	save_handles(saving, number, objects);
}

static bool owner(struct machine *machine, uint32_t number, uint32_t *ret_id)
{
	const struct objects *objects = objects_of(machine, number);

	if (objects->pool)
		*ret_id = elastic_owner(objects->pool);
	return objects->pool != NULL;
}

static int restore_elastic(struct restore *restore, uint32_t number,
			   struct code *code)
{
	struct objects *objects = calloc(1, sizeof(*objects));
	struct elastic_stat *stat = calloc(1, sizeof(*stat));

	restore->machine->object[number].any = objects;
	restore->aside[number] = stat;
	if (!objects || !stat)
		return restore_wrong(restore, "out of memory");
	objects->zone = (enum cf_zone_kind)code_choice(code, objects->zone,
						       CF_ZONE_DEVICE);
	code_u64(code, &objects->count);
	code_stat(code, stat);
	if (objects->count > OBJECTS_MAX) {
		objects->count = 0;
		code->failed = true;
	}
	objects->handle = calloc(objects->count + 1,
				 sizeof(*objects->handle));
	if (objects->handle)
		return 0;
	objects->count = 0;
	return restore_wrong(restore, "out of memory");
}

static int start(struct restore *restore, uint32_t number)
{
	return objects_start(restore->machine, number,
			     objects_of(restore->machine, number));
}

static int part(struct restore *restore, const struct fact_object *fact,
		struct code *code)
{
	struct objects *objects = objects_of(restore->machine, fact->number);
	cf_pfn last = restore->machine->map_config.last;
	struct elastic_object object = { .handle = 1 };
	struct numbered numbered = { 0, 0 };
	struct elastic_given given = { 0, 0 };

	if (fact->sort == ELASTIC_OBJECT)
		code_object(code, &object);
	else if (fact->sort == ELASTIC_GIVEN)
		code_given(code, &given);
	else
		code_numbered(code, &numbered);
	if (code->failed || !objects->pool || object.pfn >= last ||
	    given.pfn >= last || (uint32_t)object.handle > NUMBERS_MAX)
		return -1;
	if (fact->sort == ELASTIC_OBJECT)
		return elastic_adopt_object(objects->pool, &object);
	if (fact->sort == ELASTIC_GIVEN)
		return elastic_adopt_given(objects->pool, &given);
	if (numbered.number >= objects->count ||
	    objects->handle[numbered.number] ||
	    !elastic_bytes(objects->pool, numbered.handle))
		return -1;
	objects->handle[numbered.number] = numbered.handle;
	return 0;
}

static int finish(struct restore *restore, uint32_t number)
{
	struct objects *objects = objects_of(restore->machine, number);

	return objects->pool ?
	       elastic_adopt(objects->pool, restore->aside[number]) : -1;
}

const struct object_kind save_elastic = {
	.noun = NOUN_ELASTIC,
	.save = save, .save_parts = save_parts, .owner = owner,
	.restore = restore_elastic, .start = start, .part = part,
	.finish = finish,
};
