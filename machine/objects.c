/* SPDX-License-Identifier: MIT */

/*
 * Objects that move: owners/elastic, a step a call, in the machine's own map.
 * What an object holds depends on its number, and is looked at by "intact".
 */

#include <stdlib.h>
#include <string.h>

#include "owners/elastic/state.h"
#include "pools.h"

/* 16 bytes to 9000, most of them small. */
static size_t size_of(uint64_t number)
{
	static const uint16_t sizes[] = {
		16, 40, 64, 100, 128, 200, 256, 300, 500, 700, 1000, 1300,
		2000, 3000, 4096, 9000,
	};

	return sizes[number * 7 % (sizeof(sizes) / sizeof(sizes[0]))];
}

void objects_free(struct objects *objects)
{
	struct elastic_object object;
	uint32_t at = 0;

	while (objects->pool &&
	       elastic_save_next(objects->pool, &at, &object))
		while (!elastic_unlock(objects->pool, object.handle))
			;
	if (objects->pool)
		(void)!elastic_destroy(objects->pool, NULL);
	free(objects->handle);
	free(objects);
}

static bool is_intact(struct objects *objects, uint64_t number)
{
	elastic_handle handle = objects->handle[number];
	const unsigned char *memory = elastic_lock(objects->pool, handle);
	size_t bytes = elastic_bytes(objects->pool, handle), i;
	bool good = memory && bytes == size_of(number);

	for (i = 0; good && i < bytes; i++)
		good = memory[i] == (unsigned char)number;
	return memory && !elastic_unlock(objects->pool, handle) && good;
}

void objects_values(struct objects *objects, uint64_t *ret_of)
{
	struct elastic_stat stat;
	bool good = true;
	uint64_t i;

	elastic_stat(objects->pool, &stat);
	for (i = 0; good && i < objects->count; i++)
		good = !objects->handle[i] || is_intact(objects, i);
	ret_of[PROPERTY_OBJECTS] = stat.objects;
	ret_of[PROPERTY_LOCKED] = stat.locked;
	ret_of[PROPERTY_FRAMES] = stat.used_bytes / CF_FRAME_BYTES;
	ret_of[PROPERTY_GIVEN] = stat.given_bytes / CF_FRAME_BYTES;
	ret_of[PROPERTY_MERGED] = stat.merged;
	ret_of[PROPERTY_MOVED] = stat.moved;
	ret_of[PROPERTY_INTACT] = good;
}

static struct objects *find(struct machine *machine, const struct step *step,
			    struct outcome *outcome)
{
	struct objects *objects = machine->object[step->name].any;

	if (!objects)
		(void)refuse(outcome, CF_EGONE, "%s has ended",
			     machine->name[step->name]);
	return objects;
}

static int say(struct outcome *outcome, int err)
{
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	return 0;
}

int objects_start(struct machine *machine, uint32_t number,
		  struct objects *objects)
{
	const struct elastic_config config = {
		.name = machine->name[number],
		.memory = &machine->memory,
		.map = machine->map,
		.zone = objects->zone,
	};

	return elastic_create(&config, &objects->pool);
}

int step_elastic(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct objects *objects = calloc(1, sizeof(*objects));
	int err = -CF_ENOMEM;

	if (objects) {
		objects->zone = (enum cf_zone_kind)
			step_value(step, KEY_ZONE, CF_ZONE_NORMAL);
		err = objects_start(machine, step->name, objects);
	}
	if (err) {
		free(objects);
		return say(outcome, err);
	}
	machine->object[step->name].any = objects;
	did(outcome, "registered as owner %u", elastic_owner(objects->pool));
	return 0;
}

static int store_one(struct objects *objects, uint64_t number)
{
	void *memory;
	int err = elastic_alloc(objects->pool, size_of(number),
				&objects->handle[number]);

	if (err)
		return err;
	memory = elastic_lock(objects->pool, objects->handle[number]);
	if (!memory)
		return -CF_EPORT;
	(void)memset(memory, (int)(number & 0xff), size_of(number));
	return elastic_unlock(objects->pool, objects->handle[number]);
}

/* So many more; those that were forgotten keep their numbers. */
int step_elastic_store(struct machine *machine, const struct step *step,
		       struct outcome *outcome)
{
	struct objects *objects = find(machine, step, outcome);
	uint64_t last;
	elastic_handle *grown;
	int err = 0;

	if (!objects)
		return outcome->err;
	if (step->amount.number > OBJECTS_MAX - objects->count)
		return refuse(outcome, CF_ELIMIT, "at most %llu objects",
			      (unsigned long long)OBJECTS_MAX);
	last = objects->count + step->amount.number;
	grown = realloc(objects->handle, (last + !last) * sizeof(*grown));
	if (!grown)
		return say(outcome, -CF_ENOMEM);
	objects->handle = grown;
	for (; objects->count < last && !err; objects->count += !err)
		err = store_one(objects, objects->count);
	return say(outcome, err);
}

/* All of them, or all but each N-th. */
int step_elastic_forget(struct machine *machine, const struct step *step,
			struct outcome *outcome)
{
	struct objects *objects = find(machine, step, outcome);
	uint64_t every = step_value(step, KEY_EVERY, 0), i, bytes = 0;

	if (!objects)
		return outcome->err;
	for (i = 0; i < objects->count; i++) {
		if (!objects->handle[i] || (every && i % every == 0))
			continue;
		if (elastic_free(objects->pool, objects->handle[i]))
			continue;
		objects->handle[i] = 0;
		bytes += size_of(i);
	}
	outcome->done = bytes / CF_FRAME_BYTES;
	return 0;
}

static int at(struct objects *objects, const struct step *step,
	      struct outcome *outcome, elastic_handle *ret_handle)
{
	uint64_t number = step->amount.number;

	if (number >= objects->count || !objects->handle[number])
		return refuse(outcome, CF_EGONE, "there is no object %llu",
			      (unsigned long long)number);
	*ret_handle = objects->handle[number];
	return 0;
}

int step_elastic_lock(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	struct objects *objects = find(machine, step, outcome);
	elastic_handle handle = 0;

	if (!objects || at(objects, step, outcome, &handle))
		return outcome->err;
	return elastic_lock(objects->pool, handle) ? 0 :
	       say(outcome, -CF_ELIMIT);
}

int step_elastic_unlock(struct machine *machine, const struct step *step,
			struct outcome *outcome)
{
	struct objects *objects = find(machine, step, outcome);
	elastic_handle handle = 0;

	if (!objects || at(objects, step, outcome, &handle))
		return outcome->err;
	return say(outcome, elastic_unlock(objects->pool, handle));
}

int step_elastic_shrink(struct machine *machine, const struct step *step,
			struct outcome *outcome)
{
	struct objects *objects = find(machine, step, outcome);
	uint64_t given;
	char size[24];
	int err;

	if (!objects)
		return outcome->err;
	err = elastic_shrink(objects->pool, step->amount.number, &given,
			     &outcome->report);
	outcome->done = given / CF_FRAME_BYTES;
	did(outcome, "gave %s back", machine_size(outcome->done, size));
	if (err && outcome->report.reason) {
		outcome->reported = true;
		outcome->err = err;
		return err;
	}
	return say(outcome, err);
}

int step_elastic_end(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	struct objects *objects = find(machine, step, outcome);
	int err;

	if (!objects)
		return outcome->err;
	err = elastic_destroy(objects->pool, &outcome->report);
	if (err) {
		outcome->reported = true;
		outcome->err = err;
		return err;
	}
	objects->pool = NULL;
	objects_free(objects);
	machine->object[step->name].any = NULL;
	return 0;
}
