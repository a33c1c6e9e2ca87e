/* SPDX-License-Identifier: MIT */

/* Owners: what they can be asked is put together from a few behaviours. */

#include <stdlib.h>

#include "internal.h"

void owner_count(struct owner *owner, uint64_t *counter)
{
	(void)pthread_mutex_lock(&owner->lock);
	(*counter)++;
	(void)pthread_mutex_unlock(&owner->lock);
}

struct owner *owner_new(struct machine *machine, const char *name)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	cf_pfn last = machine->map_config.last;

	if (!owner)
		return NULL;
	owner->machine = machine;
	owner->name = name;
	(void)pthread_mutex_init(&owner->lock, NULL);
	owner->plugged = bits_new(last);
	owner->ballooned = bits_new(last);
	if (!owner->plugged || !owner->ballooned) {
		owner_free(owner);
		return NULL;
	}
	return owner;
}

void owner_free(struct owner *owner)
{
	if (!owner)
		return;
	bits_free(owner->plugged);
	bits_free(owner->ballooned);
	(void)pthread_mutex_destroy(&owner->lock);
	free(owner);
}

int owner_register(struct machine *machine, struct owner *owner)
{
	struct cf_owner_ops *ops = &owner->ops;
	int err;

	if (owner->movable || owner->stubborn) {
		ops->isolate = folio_isolate;
		ops->migrate = folio_migrate;
		ops->putback = folio_putback;
	}
	if (owner->splits)
		ops->split = folio_split;
	if (owner->keeps)
		ops->release = folio_release;
	if (owner->dissolves)
		ops->dissolve = folio_dissolve;
	if (owner->exposing)
		ops->online = driver_online;
	ops->describe = folio_describe;
	err = cf_owner_register(machine->map, owner->name, ops, owner,
				&owner->id);
	owner->registered = !err;
	return err;
}

struct owner *owner_of_number(struct machine *machine, uint64_t number)
{
	return number < SCENARIO_NAMES_MAX ? machine->object[number].owner :
					     NULL;
}

uint32_t owner_id(struct machine *machine, uint64_t number)
{
	struct owner *owner;

	if (number == OWNER_ALLOCATOR)
		return CF_OWNER_NONE;
	if (number == OWNER_ORPHAN)
		return CF_OWNER_ORPHAN;
	owner = owner_of_number(machine, number);
	return owner ? owner->id : CF_OWNER_NONE;
}

struct owner *owner_of_id(struct machine *machine, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		struct owner *owner = machine->object[i].owner;

		if (machine->config.names[i].noun == NOUN_OWNER && owner &&
		    owner->registered && owner->id == id)
			return owner;
	}
	return NULL;
}

const char *name_of_owner(struct machine *machine, uint32_t id)
{
	struct cf_owner_info info;

	if (id == CF_OWNER_NONE)
		return "allocator";
	if (id == CF_OWNER_ORPHAN)
		return "orphan";
	if (cf_owner_info(machine->map, id, &info))
		return "gone";
	return info.name;
}

/* What does not go together. */
static const char *owner_misfit(const struct step *step)
{
	bool exposes = step_has(step, KEY_EXPOSES);
	bool folio = step_has(step, KEY_KEEPS) ||
		     step_has(step, KEY_SPLITS) || step_has(step, KEY_STUBBORN);

	if (step_has(step, KEY_DISSOLVES) && !step_has(step, KEY_KEEPS))
		return "what nobody keeps cannot be dissolved: add \"keeps\"";
	if (step_has(step, KEY_MOVABLE) && step_has(step, KEY_STUBBORN))
		return "movable and stubborn exclude each other";
	if ((exposes || step_has(step, KEY_BALLOON)) && folio)
		return "a driver's frames are not kept, split or stubborn";
	if (exposes && step_has(step, KEY_MOVABLE))
		return "frames of an owner's own range do not move";
	return NULL;
}

int step_owner(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	const char *misfit = owner_misfit(step);
	struct owner *owner;
	int err;

	if (misfit)
		return refuse(outcome, CF_EINVAL, "%s", misfit);
	owner = owner_new(machine, machine->name[step->name]);
	if (!owner)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	owner->movable = step_has(step, KEY_MOVABLE);
	owner->splits = step_has(step, KEY_SPLITS);
	owner->keeps = step_has(step, KEY_KEEPS);
	owner->dissolves = step_has(step, KEY_DISSOLVES);
	owner->stubborn = step_has(step, KEY_STUBBORN);
	owner->balloon = step_has(step, KEY_BALLOON);
	owner->exposing = step_has(step, KEY_EXPOSES);
	owner->exposes = (enum exposes)step->key[KEY_EXPOSES];
	machine->object[step->name].owner = owner;
	err = owner_register(machine, owner);
	if (err)
		return refuse(outcome, (enum cf_err)-err, "no id is left");
	did(outcome, "registered as owner %u", owner->id);
	return 0;
}

int step_unregister(struct machine *machine, const struct step *step,
		    struct outcome *outcome)
{
	struct owner *owner = machine->object[step->name].owner;
	struct cf_owner_info info;
	uint64_t orphans;
	char size[24];
	int err;

	if (!owner || !owner->registered ||
	    cf_owner_info(machine->map, owner->id, &info))
		return refuse(outcome, CF_EGONE, "%s is not registered",
			      machine->name[step->name]);
	if (!step_has(step, KEY_FORCE) && (info.frames || info.blocks))
		return refuse(outcome, CF_EBUSY, "%s still owns %s in frames"
			      " and %llu blocks; \"force\" leaves them behind",
			      owner->name, machine_size(info.frames, size),
			      (unsigned long long)info.blocks);
	err = cf_owner_unregister(machine->map, owner->id, &orphans);
	if (err)
		return refuse(outcome, (enum cf_err)-err, "not registered");
	owner->registered = false;
	outcome->done = orphans;
	did(outcome, "unregistered; %s left to the orphan",
	    machine_size(orphans, size));
	return 0;
}

/* Give back what the owner kept. */
int step_empty(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	struct owner *owner = machine->object[step->name].owner;
	struct run *run, *next;
	uint64_t frames;
	char size[24];

	if (!owner || !owner->keeps)
		return refuse(outcome, CF_EINVAL, "%s keeps nothing",
			      machine->name[step->name]);
	(void)pthread_mutex_lock(&owner->lock);
	run = owner->kept;
	frames = owner->kept_frames;
	owner->kept = NULL;
	owner->kept_frames = 0;
	(void)pthread_mutex_unlock(&owner->lock);
	for (; run; run = next) {
		next = run->next_kept;
		run->state = RUN_GONE;
		run_unbind(machine, run->pfn);
		cf_free_frozen(machine->map, run->pfn, run->order);
	}
	outcome->done = frames;
	did(outcome, "gave %s back", machine_size(frames, size));
	return 0;
}
