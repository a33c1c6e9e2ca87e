/* SPDX-License-Identifier: MIT */

/*
 * Owners that stand for drivers, without their devices.
 *
 * An owner that exposes what is plugged is what virtio-mem does: it keeps a
 * bitmap of its range, exposes the plugged chunks of a block that comes
 * online, and lets offlining step over the others.  One that exposes what is
 * backed is Hyper-V's hot-add: frames the host gave later are exposed later,
 * and nobody steps over the gaps.  One that exposes nothing is Xen's: the
 * whole block joins its balloon and is populated from there.  A balloon takes
 * free frames, movable ones if its owner is.
 *
 * The order is always the same.  Out: mark OFFLINE, wait for readers of
 * contents, give the memory back.  In: note it, then expose it.
 */

#include "device.h"

#define BATCH_RUNS	256

bool driver_has(struct owner *owner, cf_pfn pfn)
{
	return bits_get(owner->ballooned, pfn);
}

/* The engine made the target OFFLINE and frees the source afterwards. */
int driver_move(struct owner *owner, cf_pfn source, cf_pfn target,
		unsigned order)
{
	cf_pfn frames = (cf_pfn)1 << order;

	if (cf_host_discard(&owner->machine->memory, target, target + frames))
		return -CF_EPORT;
	bits_set(owner->ballooned, target, target + frames, true);
	bits_set(owner->ballooned, source, source + frames, false);
	owner_count(owner, &owner->migrates);
	return 0;
}

int driver_online(void *context, cf_pfn first, cf_pfn last)
{
	struct owner *owner = context;
	struct cf_map *map = owner->machine->map;
	struct stretch stretch = { first, first };
	int err = 0;

	if (owner->exposes == EXPOSES_NOTHING) {
		bits_set(owner->ballooned, first, last, true);
		return 0;
	}
	while (!err && bits_next(owner->plugged, true, last, &stretch))
		err = cf_offline_free_range(map, owner->id, stretch.first,
					    stretch.last);
	stretch.last = first;
	while (!err && owner->exposes == EXPOSES_PLUGGED &&
	       bits_next(owner->plugged, false, last, &stretch))
		err = cf_offline_set_skippable(map, owner->id, stretch.first,
					       stretch.last, true);
	return err;
}

/* What a plug or unplug step works on. */
struct plugging {
	struct machine *machine;
	struct owner *owner;
	struct outcome *outcome;
	uint64_t wanted;	/* frames still to do */
	bool place;		/* a refusal ends it: the place is given */
};

/* Is a frame's block one of the owner's range, and is it online? */
static int block_of(struct plugging *plugging, cf_pfn pfn, bool *ret_online)
{
	struct cf_block_info info;

	if (cf_block_info(plugging->machine->map, pfn, &info))
		return refuse(plugging->outcome, CF_EGONE,
			      "there is no block at frame %llu",
			      (unsigned long long)pfn);
	if (info.range_owner != plugging->owner->id)
		return refuse(plugging->outcome, CF_EREFUSED, "block %llu is"
			      " not of %s's range", (unsigned long long)
			      (pfn / plugging->machine->block_frames),
			      plugging->owner->name);
	*ret_online = info.state == CF_BLOCK_ONLINE;
	return 0;
}

static int plug_range(struct plugging *plugging, cf_pfn first, cf_pfn last)
{
	struct owner *owner = plugging->owner;
	bool online;
	int err;

	err = block_of(plugging, first, &online);
	if (err)
		return err;
	bits_set(owner->plugged, first, last, true);
	if (online)
		err = cf_offline_free_range(plugging->machine->map, owner->id,
					    first, last);
	if (err) {
		bits_set(owner->plugged, first, last, false);
		return refuse(plugging->outcome, (enum cf_err)-err,
			      "frames %llu and up cannot be exposed: %s",
			      (unsigned long long)first, cf_strerror(err));
	}
	plugging->outcome->done += last - first;
	return 0;
}

static int unplug_range(struct plugging *plugging, cf_pfn first, cf_pfn last)
{
	struct machine *machine = plugging->machine;
	struct outcome *outcome = plugging->outcome;
	bool online;
	int err;

	err = block_of(plugging, first, &online);
	if (err)
		return err;
	if (online) {
		err = cf_offline_alloc_range(machine->map, plugging->owner->id,
					     first, last, CF_FLAG_SKIPPABLE,
					     &outcome->report);
		outcome->reported = err && outcome->report.reason;
		if (err)
			return err;
		err = give_back(machine, first, last);
		if (err)
			return refuse(outcome, CF_EPORT,
				      "the system takes nothing back");
	}
	bits_set(plugging->owner->plugged, first, last, false);
	outcome->done += last - first;
	return 0;
}

static int plug_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct plugging *plugging = context;
	cf_pfn block = plugging->machine->block_frames;
	int err = 0;

	if (bits_within(plugging->owner->plugged, first, last))
		return refuse(plugging->outcome, CF_EBUSY,
			      "some of it is plugged already");
	while (!err && first < last) {
		cf_pfn end = (first / block + 1) * block;

		if (end > last)
			end = last;
		err = plug_range(plugging, first, end);
		first = end;
	}
	return err;
}

static int unplug_stretch(void *context, cf_pfn first, cf_pfn last)
{
	struct plugging *plugging = context;
	int err = 0;

	if (bits_within(plugging->owner->plugged, first, last) != last - first)
		return refuse(plugging->outcome, CF_EBUSY,
			      "some of it is not plugged");
	for (; !err && first < last; first += CF_CHUNK_FRAMES) {
		err = unplug_range(plugging, first, first + CF_CHUNK_FRAMES);
		progress(plugging->machine, "unplug", plugging->outcome->done,
			 plugging->wanted);
	}
	return err;
}

/* Is the block at @pfn the owner's, and does it have what is looked for? */
static bool block_fits(struct plugging *plugging, cf_pfn pfn, bool partly)
{
	struct machine *machine = plugging->machine;
	struct cf_block_info info;

	if (cf_block_info(machine->map, pfn, &info) ||
	    info.range_owner != plugging->owner->id)
		return false;
	return !partly || bits_within(plugging->owner->plugged, pfn,
				      pfn + machine->block_frames);
}

/* Fill the holes of a block, as far as is wanted. */
static int plug_block(struct plugging *plugging, cf_pfn block)
{
	cf_pfn last = block + plugging->machine->block_frames;
	struct stretch hole = { block, block };
	int err = 0;

	while (!err && plugging->wanted &&
	       bits_next(plugging->owner->plugged, false, last, &hole)) {
		if (hole.last - hole.first > plugging->wanted)
			hole.last = hole.first + plugging->wanted;
		err = plug_range(plugging, hole.first, hole.last);
		if (!err)
			plugging->wanted -= hole.last - hole.first;
	}
	return err;
}

/* Fill holes of blocks that have some plugged first, then the others. */
static int plug_size(struct plugging *plugging)
{
	struct machine *machine = plugging->machine;
	cf_pfn block;
	int partly, err = 0;

	for (partly = 1; partly >= 0; partly--)
		for (block = machine->added_first; block < machine->added_last;
		     block += machine->block_frames)
			if (!err && block_fits(plugging, block, partly != 0))
				err = plug_block(plugging, block);
	return err;
}

/* From the highest chunk down; one that cannot be had is passed over. */
static int unplug_size(struct plugging *plugging)
{
	struct machine *machine = plugging->machine;
	cf_pfn at = machine->added_last;
	int err = 0;

	while (plugging->wanted && at > machine->added_first) {
		at -= CF_CHUNK_FRAMES;
		if (!bits_get(plugging->owner->plugged, at))
			continue;
		err = unplug_range(plugging, at, at + CF_CHUNK_FRAMES);
		if (!err)
			plugging->wanted -= CF_CHUNK_FRAMES;
		progress(machine, "unplug", plugging->outcome->done,
			 plugging->outcome->done + plugging->wanted);
	}
	return plugging->wanted ? err : 0;
}

static int check_driver(struct plugging *plugging, const struct step *step,
			bool unplug)
{
	struct owner *owner = plugging->machine->object[step->name].owner;
	struct outcome *outcome = plugging->outcome;
	bool chunks;

	if (!owner || !owner->registered)
		return refuse(outcome, CF_EGONE, "%s is not registered",
			      plugging->machine->name[step->name]);
	if (!owner->exposing || owner->exposes == EXPOSES_NOTHING)
		return refuse(outcome, CF_EINVAL,
			      "%s exposes neither what is plugged nor what is"
			      " backed", owner->name);
	if (unplug && owner->exposes == EXPOSES_BACKED)
		return refuse(outcome, CF_EINVAL,
			      "what backs %s stays: take it with inflate",
			      owner->name);
	chunks = owner->exposes == EXPOSES_PLUGGED;
	if (step->place.kind == PLACE_NONE && chunks &&
	    plugging->wanted % CF_CHUNK_FRAMES)
		return refuse(outcome, CF_EINVAL,
			      "not a whole number of 2 MiB chunks");
	if (step->place.kind == PLACE_FRAMES && chunks &&
	    (step->place.first | step->place.last) % CF_CHUNK_FRAMES)
		return refuse(outcome, CF_EINVAL, "not whole 2 MiB chunks");
	plugging->owner = owner;
	return 0;
}

static int plug(struct machine *machine, const struct step *step,
		struct outcome *outcome, bool unplug)
{
	struct plugging plugging = {
		.machine = machine,
		.outcome = outcome,
		.wanted = step->amount.number / CF_FRAME_BYTES,
		.place = step->place.kind != PLACE_NONE,
	};
	char size[24];
	int err;

	if (machine->config.names[step->name].noun == NOUN_MEM)
		return device_plug(machine, step, unplug, outcome);
	err = check_driver(&plugging, step, unplug);
	if (err)
		return err;
	if (plugging.place) {
		plugging.wanted = step->place.last - step->place.first;
		err = place_each(machine, &step->place, unplug ?
				 unplug_stretch : plug_stretch, &plugging);
	} else {
		err = unplug ? unplug_size(&plugging) : plug_size(&plugging);
		if (!err && plugging.wanted)
			err = refuse(outcome, CF_ENOMEM, "%s is left to do:"
				     " there is no more of it",
				     machine_size(plugging.wanted, size));
	}
	did(outcome, "%s %s", unplug ? "unplugged" : "plugged",
	    machine_size(outcome->done, size));
	if (!err)
		outcome->reported = false;
	return err;
}

int step_plug(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	return plug(machine, step, outcome, false);
}

int step_unplug(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	return plug(machine, step, outcome, true);
}

/* Give back runs that became OFFLINE, neighbours together. */
static int give_runs_back(struct machine *machine, const cf_pfn *pfn,
			  size_t count, cf_pfn frames)
{
	size_t i, first = 0;
	int err = 0;

	cf_content_sync(machine->map);
	for (i = 1; !err && i <= count; i++) {
		if (i < count && pfn[i] == pfn[i - 1] + frames)
			continue;
		err = cf_host_discard(&machine->memory, pfn[first],
				      pfn[i - 1] + frames);
		first = i;
	}
	return err;
}

/* Take up to BATCH_RUNS runs; how many frames that was. */
static int inflate_batch(struct machine *machine, struct owner *owner,
			 unsigned order, uint64_t wanted, uint64_t *ret_frames)
{
	cf_pfn pfn[BATCH_RUNS];
	size_t count = wanted >> order, done, i;
	int err;

	if (count > BATCH_RUNS)
		count = BATCH_RUNS;
	err = cf_offline_alloc_bulk(machine->map, owner->id, order,
				    owner->movable ? CF_FLAG_MOVABLE : 0,
				    count, pfn, &done);
	for (i = 0; i < done; i++)
		bits_set(owner->ballooned, pfn[i],
			 pfn[i] + ((cf_pfn)1 << order), true);
	*ret_frames = (uint64_t)done << order;
	if (done && give_runs_back(machine, pfn, done, (cf_pfn)1 << order))
		return -CF_EPORT;
	return err;
}

static struct owner *find_balloon(struct machine *machine,
				  const struct step *step,
				  struct outcome *outcome)
{
	struct owner *owner = machine->object[step->name].owner;

	if (!owner || !owner->registered)
		(void)refuse(outcome, CF_EGONE, "%s is not registered",
			     machine->name[step->name]);
	else if (!owner->balloon && !(owner->exposing &&
				      owner->exposes == EXPOSES_NOTHING))
		(void)refuse(outcome, CF_EINVAL, "%s is no balloon",
			     owner->name);
	else
		return owner;
	return NULL;
}

int step_inflate(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct owner *owner = find_balloon(machine, step, outcome);
	uint64_t wanted = step->amount.number / CF_FRAME_BYTES, frames;
	unsigned order = (unsigned)step_value(step, KEY_ORDER, CF_CHUNK_ORDER);
	char size[24];
	int err = 0;

	if (!owner)
		return outcome->err;
	if (step_has(step, KEY_ORDER) && wanted & (((uint64_t)1 << order) - 1))
		return refuse(outcome, CF_EINVAL, "not a whole number of runs"
			      " of order %u", order);
	while (wanted && !err) {
		while (wanted >> order == 0)
			order = 0;
		err = inflate_batch(machine, owner, order, wanted, &frames);
		wanted -= frames;
		outcome->done += frames;
		progress(machine, "inflate", outcome->done,
			 outcome->done + wanted);
		if (err == -CF_ENOMEM && order && !step_has(step, KEY_ORDER)) {
			order = 0;
			err = 0;
		}
	}
	machine->inflated += outcome->done;
	did(outcome, "took %s", machine_size(outcome->done, size));
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s more: %s",
			      machine_size(wanted, size), cf_strerror(err));
	return 0;
}

int step_deflate(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct owner *owner = find_balloon(machine, step, outcome);
	uint64_t wanted = step->amount.number / CF_FRAME_BYTES;
	struct stretch out = { 0, 0 };
	char size[24];
	int err = 0;

	if (!owner)
		return outcome->err;
	while (wanted && bits_next(owner->ballooned, true,
				   bits_end(owner->ballooned), &out)) {
		if (out.last - out.first > wanted)
			out.last = out.first + wanted;
		err = cf_offline_free_range(machine->map, owner->id, out.first,
					    out.last);
		if (err)
			break;
		bits_set(owner->ballooned, out.first, out.last, false);
		wanted -= out.last - out.first;
		outcome->done += out.last - out.first;
	}
	machine->deflated += outcome->done;
	did(outcome, "gave %s back", machine_size(outcome->done, size));
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	if (wanted)
		return refuse(outcome, CF_ENOMEM, "the balloon is empty; %s is"
			      " left to do", machine_size(wanted, size));
	return 0;
}
