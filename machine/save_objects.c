/* SPDX-License-Identifier: MIT */

/*
 * Objects that have a state of their own, whatever it is: in which order
 * they are saved and come to be again.
 */

#include "save_objects.h"

static const struct object_kind *const kinds[] = {
	&save_mem, &save_balloon, &save_pool, &save_guest, &save_elastic,
	&save_pagemap,
};

const struct object_kind *object_kind(enum noun noun)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i]->noun == noun)
			return kinds[i];
	return NULL;
}

const struct object_kind *object_kind_of(struct machine *machine,
					 uint32_t number)
{
	return machine->object[number].any ?
	       object_kind(machine->config.names[number].noun) : NULL;
}

/* ---- saving ---- */

bool objects_refused(struct machine *machine, char *why)
{
	const struct object_kind *kind;
	const char *text;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		kind = object_kind_of(machine, i);
		text = kind && kind->refusal ? kind->refusal(machine, i) :
					       NULL;
		if (!text)
			continue;
		(void)snprintf(why, SAVE_WHY_BYTES, "%s %s",
			       machine->name[i], text);
		return true;
	}
	return false;
}

typedef void (*save_fn)(struct saving *saving, uint32_t number);

static save_fn hook_of(const struct object_kind *kind, enum save_kind records)
{
	switch (records) {
	case SAVE_OBJECT: return kind->save;
	case SAVE_GIVEN: return kind->save_given;
	default: return kind->save_parts;
	}
}

static void save_each(struct saving *saving, enum save_kind records)
{
	struct machine *machine = saving_machine(saving);
	const struct object_kind *kind;
	save_fn save;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		kind = object_kind_of(machine, i);
		save = kind ? hook_of(kind, records) : NULL;
		if (save)
			save(saving, i);
	}
}

void objects_save(struct saving *saving)
{
	save_each(saving, SAVE_OBJECT);
}

void objects_save_given(struct saving *saving)
{
	save_each(saving, SAVE_GIVEN);
}

void objects_save_parts(struct saving *saving)
{
	save_each(saving, SAVE_PART);
}

static bool is_in_group(const struct machine *machine, cf_pfn pfn)
{
	const struct block_group *group;

	for (group = machine->block_groups; group; group = group->next)
		if (group->first <= pfn && pfn < group->last)
			return true;
	return false;
}

/* Blocks in the map that no step has added: a driver did, one by one. */
void objects_save_added(struct saving *saving)
{
	struct machine *machine = saving_machine(saving);
	struct cf_block_info info;
	struct fact_range range;
	cf_pfn at;

	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames) {
		if (cf_block_info(machine->map, at, &info) ||
		    info.zone == CF_ZONE_DEVICE || is_in_group(machine, at))
			continue;
		range = (struct fact_range){
			info.node, at, at + machine->block_frames,
		};
		saving_range(saving, SAVE_ADDED, &range);
	}
}

bool objects_owner(struct machine *machine, uint32_t id, uint32_t *ret_number)
{
	const struct object_kind *kind;
	uint32_t i, is;

	for (i = 0; i < machine->config.names_count; i++) {
		kind = object_kind_of(machine, i);
		if (!kind || !kind->owner(machine, i, &is) || is != id)
			continue;
		*ret_number = i;
		return true;
	}
	return false;
}

/* ---- restoring ---- */

/* The kind of a name that a record is about; NULL: wrong. */
static const struct object_kind *kind_of(struct restore *restore,
					 uint32_t number, bool there)
{
	const struct object_kind *kind = NULL;

	if (number < restore->names &&
	    there == (restore->machine->object[number].any != NULL))
		kind = object_kind(restore->name[number].noun);
	if (!kind)
		(void)restore_wrong(restore, "nothing like that has the number"
				    " %u", number);
	return kind;
}

/* What stands in a record's bytes, and nothing else. */
static int check_bytes(struct restore *restore, const struct code *code,
		       const struct fact_object *fact)
{
	if (!code->failed && code->at == code->end)
		return 0;
	return restore_wrong(restore, "damaged: what is said of %s is wrong",
			     restore->machine->name[fact->number]);
}

int restore_object(struct restore *restore, struct code *code)
{
	const struct object_kind *kind;
	struct fact_object fact;
	struct code bytes;

	fact_object(code, &fact);
	if (code->failed)
		return 0;
	kind = kind_of(restore, fact.number, false);
	if (!kind)
		return -1;
	bytes = (struct code){ fact.bytes, fact.bytes + fact.count, true,
			       false };
	return kind->restore(restore, fact.number, &bytes) ||
	       check_bytes(restore, &bytes, &fact) ? -1 : 0;
}

int restore_given(struct restore *restore, struct code *code)
{
	const struct object_kind *kind;
	struct fact_range range;

	fact_range(code, &range);
	if (code->failed)
		return 0;
	kind = kind_of(restore, range.number, true);
	if (!kind)
		return -1;
	if (!kind->given || range.first >= range.last ||
	    range.last > restore->machine->map_config.last ||
	    kind->given(restore, &range))
		return restore_wrong(restore, "%s was given no frames %llu and"
				     " up",
				     restore->machine->name[range.number],
				     (unsigned long long)range.first);
	return 0;
}

int restore_added(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct cf_block_config config = { .meta = CF_META_PORT };
	struct fact_range range;
	int err;

	fact_range(code, &range);
	if (code->failed)
		return 0;
	config.node = range.number;
	if (range.first < machine->added_first ||
	    range.last > machine->added_last || range.first >= range.last)
		return restore_wrong(restore, "blocks where there can be"
				     " none");
	err = cf_block_add(machine->map, range.first, range.last, &config);
	return err ? restore_wrong(restore, "the blocks at frame %llu cannot"
				   " be added: %s",
				   (unsigned long long)range.first,
				   cf_strerror(err)) : 0;
}

int restore_part(struct restore *restore, struct code *code)
{
	const struct object_kind *kind;
	struct fact_object fact;
	struct code bytes;

	fact_object(code, &fact);
	if (code->failed)
		return 0;
	kind = kind_of(restore, fact.number, true);
	if (!kind)
		return -1;
	bytes = (struct code){ fact.bytes, fact.bytes + fact.count, true,
			       false };
	if (!kind->part || kind->part(restore, &fact, &bytes) ||
	    check_bytes(restore, &bytes, &fact))
		return restore_wrong(restore, "%s has no such part",
				     restore->machine->name[fact.number]);
	return 0;
}

int restore_start(struct restore *restore, uint32_t number, uint32_t id)
{
	struct machine *machine = restore->machine;
	const struct object_kind *kind = kind_of(restore, number, true);
	uint32_t is = 0;
	int err;

	if (!kind)
		return -1;
	if (kind->owner(machine, number, &is))
		return restore_wrong(restore, "%s starts twice",
				     machine->name[number]);
	err = kind->start ? kind->start(restore, number) : -CF_EINVAL;
	if (err)
		return restore_wrong(restore, "%s does not start: %s",
				     machine->name[number], cf_strerror(err));
	if (!kind->owner(machine, number, &is) || is != id)
		return restore_wrong(restore, "%s cannot have the id %u",
				     machine->name[number], id);
	return 0;
}

int restore_objects_end(struct restore *restore)
{
	struct machine *machine = restore->machine;
	const struct object_kind *kind;
	uint32_t i;

	restore->finished = true;
	if (restore_devices_end(restore))
		return -1;
	for (i = 0; i < restore->names; i++) {
		kind = object_kind_of(machine, i);
		if (kind && kind->finish && kind->finish(restore, i))
			return restore_wrong(restore, "%s is not what the map"
					     " says", machine->name[i]);
	}
	return 0;
}
