/* SPDX-License-Identifier: MIT */

/*
 * The map of a saved machine, made again through the engine's public calls:
 * blocks are added and brought online, and each run is allocated where it
 * was.
 *
 * A block comes online with the online hook of whoever its frames that were
 * never exposed belong to; here that hook exposes all others.  After that a
 * frame is free, or never exposed, and its run is taken out of the free ones.
 */

#include <stdlib.h>
#include <string.h>

#include "save_objects.h"

static int engine_refused(struct restore *restore, const struct fact_run *run,
			  int err)
{
	return restore_wrong(restore, "the run of order %u at frame %llu"
			     " cannot be made: %s", run->order,
			     (unsigned long long)run->first,
			     cf_strerror(err));
}

/* ---- owners ---- */

/*
 * A block comes online: expose what was exposed.  The block at hand is that
 * of restore->rebuild.runs.
 */
static int expose_block(void *context, cf_pfn first, cf_pfn last)
{
	struct owner *owner = context;
	struct restore *restore = owner->machine->restoring;
	const struct save_runs *runs = &restore->rebuild.runs;
	cf_pfn at = first, end;
	size_t i;
	int err = 0;

	for (i = 0; !err && i <= runs->count; i++) {
		end = i < runs->count ? runs->run[i].first : last;
		if (i < runs->count &&
		    !(runs->run[i].flags & CF_FLAG_NEVER_ONLINED))
			continue;
		if (at < end)
			err = cf_offline_free_range(owner->machine->map,
						    owner->id, at, end);
		if (i < runs->count)
			at = end + run_frames(&runs->run[i]);
	}
	return err;
}

static struct owner *stand_in(struct restore *restore)
{
	struct rebuild *rebuild = &restore->rebuild;
	struct owner *owner;

	if (rebuild->stand_in)
		return rebuild->stand_in;
	owner = owner_new(restore->machine, "restore");
	if (!owner)
		return NULL;
	owner->ops.online = expose_block;
	if (cf_owner_register(restore->machine->map, owner->name, &owner->ops,
			      owner, &owner->id)) {
		owner_free(owner);
		return NULL;
	}
	rebuild->stand_in = owner;
	return owner;
}

/* What the stand-in has is the orphan's from here on. */
static int dismiss_stand_in(struct restore *restore)
{
	struct owner *owner = restore->rebuild.stand_in;
	int err;

	if (!owner)
		return 0;
	err = cf_owner_unregister(restore->machine->map, owner->id, NULL);
	restore->rebuild.stand_in = NULL;
	owner_free(owner);
	return err;
}

/*
 * Ids are given in rising order: one that is passed over belonged to an owner
 * that is gone, and is held until the map is made.
 */
static int hold_ids_below(struct restore *restore, uint32_t id)
{
	static const struct cf_owner_ops nothing;
	struct rebuild *rebuild = &restore->rebuild;
	struct cf_map *map = restore->machine->map;
	uint32_t got = rebuild->id_last;
	int err = 0;

	/* The engine gives the lowest id that is free. */
	while (!err && got + 1 < id) {
		err = cf_owner_register(map, "gone", &nothing, NULL, &got);
		if (!err)
			rebuild->gap[rebuild->gaps++] = got;
	}
	return err;
}

static int close_gaps(struct restore *restore)
{
	struct rebuild *rebuild = &restore->rebuild;
	int err = 0;

	while (rebuild->gaps && !err)
		err = cf_owner_unregister(restore->machine->map,
					  rebuild->gap[--rebuild->gaps], NULL);
	return err;
}

static int adopt_id(struct restore *restore, struct owner *owner, uint32_t id)
{
	struct rebuild *rebuild = &restore->rebuild;

	if (id <= rebuild->id_last || id >= CF_OWNERS_MAX)
		return restore_wrong(restore, "owner %s has the id %u, after"
				     " %u", owner->name, id, rebuild->id_last);
	if (!owner->registered && (hold_ids_below(restore, id) ||
				   owner_register(restore->machine, owner)))
		return restore_wrong(restore, "owner %s cannot be registered",
				     owner->name);
	if (owner->id != id)
		return restore_wrong(restore, "owner %s cannot have the id %u",
				     owner->name, id);
	rebuild->id_last = id;
	rebuild->of_id[id] = owner;
	owner->ops.online = expose_block;
	return 0;
}

/* A device or one of its like: all else of it is known. */
static int start_object(struct restore *restore, const struct fact_owner *fact)
{
	struct rebuild *rebuild = &restore->rebuild;

	if (fact->id <= rebuild->id_last || fact->id >= CF_OWNERS_MAX ||
	    !fact->registered || hold_ids_below(restore, fact->id))
		return restore_wrong(restore, "%s cannot have the id %u",
				     restore->machine->name[fact->number],
				     fact->id);
	if (restore_start(restore, fact->number, fact->id))
		return -1;
	rebuild->id_last = fact->id;
	rebuild->other[fact->id] = true;
	return 0;
}

/* A driver's words must fit each other, as in the step that makes one. */
static bool owner_fits(const struct owner *owner)
{
	bool folio = owner->keeps || owner->splits || owner->stubborn;

	return !(owner->dissolves && !owner->keeps) &&
	       !(owner->movable && owner->stubborn) &&
	       !((owner->exposing || owner->balloon) && folio) &&
	       !(owner->exposing && owner->movable);
}

/* The object of a record. NULL: wrong, or no memory. */
static struct owner *make_owner(struct restore *restore, uint32_t number)
{
	struct machine *machine = restore->machine;
	union object *slot;

	if (number == FACT_FOLIOS)
		return machine->folios;
	if (number == FACT_LOAD) {
		if (restore->load_owner || !restore->fact.workers)
			return NULL;
		restore->load_owner = owner_new(machine, "load");
		return restore->load_owner;
	}
	slot = restore_slot(restore, number, NOUN_OWNER);
	if (!slot)
		return NULL;
	slot->owner = owner_new(machine, machine->name[number]);
	return slot->owner;
}

int restore_owner(struct restore *restore, struct code *code)
{
	struct owner read = { .machine = NULL }, *owner;
	struct fact_owner fact;
	bool named;

	fact_owner(code, &fact, &read);
	if (code->failed)
		return 0;
	named = fact.number != FACT_FOLIOS && fact.number != FACT_LOAD;
	if (named && fact.number < restore->names &&
	    object_kind(restore->name[fact.number].noun))
		return start_object(restore, &fact);
	owner = make_owner(restore, fact.number);
	if (!owner)
		return restore_wrong(restore, "out of memory");
	if (!owner_fits(&read) || (!named && !fact.registered))
		return restore_wrong(restore, "owner %s cannot be like that",
				     owner->name);
	owner->movable = read.movable;
	owner->splits = read.splits;
	owner->keeps = read.keeps;
	owner->dissolves = read.dissolves;
	owner->stubborn = read.stubborn;
	owner->balloon = read.balloon;
	owner->exposing = read.exposing;
	owner->exposes = read.exposes;
	owner->releases = read.releases;
	owner->isolates = read.isolates;
	owner->migrates = read.migrates;
	owner->putbacks = read.putbacks;
	owner->splits_done = read.splits_done;
	owner->dissolved = read.dissolved;
	return fact.registered ? adopt_id(restore, owner, fact.id) : 0;
}

int restore_bits(struct restore *restore, struct code *code, bool plugged)
{
	const struct machine *machine = restore->machine;
	struct fact_range fact;
	struct owner *owner;
	struct bits *bits;

	fact_range(code, &fact);
	if (code->failed)
		return 0;
	owner = restore_find(restore, fact.number, NOUN_OWNER);
	if (!owner)
		return -1;
	if (fact.first >= fact.last || fact.first < machine->added_first ||
	    fact.last > machine->added_last)
		return restore_wrong(restore, "%s has frames where there can"
				     " be none", owner->name);
	bits = plugged ? owner->plugged : owner->ballooned;
	restore->bits_bytes -= bits_bytes(bits);
	bits_set(bits, fact.first, fact.last, true);
	restore->bits_bytes += bits_bytes(bits);
	if (restore->bits_bytes > RESTORE_BITS_MAX)
		return restore_wrong(restore, "frames of %s are scattered"
				     " over more than can be", owner->name);
	return 0;
}

/* ---- blocks ---- */

static int retire(struct restore *restore, cf_pfn pfn)
{
	struct machine *machine = restore->machine;
	enum cf_retire_state state;
	int err = cf_retire(machine->map, pfn, &state);

	if (!err)
		err = bad_note(machine, pfn);
	return err ? restore_wrong(restore, "frame %llu cannot be retired: %s",
				   (unsigned long long)pfn,
				   cf_strerror(err)) : 0;
}

/* Of frames in no run, now; of others when their runs are there. */
int restore_bad(struct restore *restore, struct code *code)
{
	struct rebuild *rebuild = &restore->rebuild;
	struct fact_bad fact, *bad;

	fact_bad(code, &fact);
	if (code->failed)
		return 0;
	if (rebuild->bad_count == restore->fact.poison_max)
		return restore_wrong(restore, "more bad frames than the table"
				     " has room for");
	if (!fact.used)
		return retire(restore, fact.pfn);
	bad = realloc(rebuild->bad, (rebuild->bad_count + 1) * sizeof(*bad));
	if (!bad)
		return restore_wrong(restore, "out of memory");
	rebuild->bad = bad;
	bad[rebuild->bad_count++] = fact;
	return 0;
}

int restore_block_group(struct restore *restore, struct code *code)
{
	struct machine *machine = restore->machine;
	struct cf_block_config config = { .meta = CF_META_PORT };
	struct block_group group = { .next = NULL };
	int err;

	fact_block_group(code, &group);
	if (code->failed)
		return 0;
	if (group.first >= group.last ||
	    group.first < machine->added_first ||
	    group.last > machine->added_last ||
	    (group.first | group.last) % machine->block_frames)
		return restore_wrong(restore, "blocks where there can be"
				     " none");
	config.meta = group.meta;
	config.node = group.node;
	err = block_group_add(machine, group.first, group.last, config);
	if (err)
		return restore_wrong(restore, "the blocks at frame %llu cannot"
				     " be added: %s",
				     (unsigned long long)group.first,
				     cf_strerror(err));
	return 0;
}

int restore_block(struct restore *restore, struct code *code)
{
	struct rebuild *rebuild = &restore->rebuild;
	size_t room = rebuild->blocks_room ? 2 * rebuild->blocks_room : 64;
	struct fact_block fact, *more;
	struct cf_block_info info;

	fact_block(code, &fact);
	if (code->failed)
		return 0;
	if (fact.first % restore->machine->block_frames ||
	    cf_block_info(restore->machine->map, fact.first, &info) ||
	    (rebuild->blocks &&
	     rebuild->block[rebuild->blocks - 1].first >= fact.first) ||
	    fact.state == CF_BLOCK_ABSENT ||
	    fact.state == CF_BLOCK_GOING_ONLINE ||
	    fact.zone > CF_ZONE_MOVABLE)
		return restore_wrong(restore, "the block at frame %llu cannot"
				     " be like that",
				     (unsigned long long)fact.first);
	if (rebuild->blocks == rebuild->blocks_room) {
		more = realloc(rebuild->block, room * sizeof(*more));
		if (!more)
			return restore_wrong(restore, "out of memory");
		rebuild->block = more;
		rebuild->blocks_room = room;
	}
	rebuild->block[rebuild->blocks++] = fact;
	return 0;
}

/* ---- runs ---- */

/* Who is to have a run, or NULL: nobody, or an owner that is gone. */
static struct owner *owner_of(struct restore *restore, uint32_t id)
{
	return id < CF_OWNERS_MAX ? restore->rebuild.of_id[id] : NULL;
}

/* The id it is made with. 0 with @ret_err: there is no such owner. */
static uint32_t making_id(struct restore *restore, uint32_t id, int *ret_err)
{
	struct owner *owner = owner_of(restore, id);

	*ret_err = 0;
	if (id == CF_OWNER_NONE)
		return CF_OWNER_NONE;
	if (id < CF_OWNERS_MAX && restore->rebuild.other[id])
		return id;
	if (id == CF_OWNER_ORPHAN)
		owner = stand_in(restore);
	if (!owner)
		*ret_err = -CF_EGONE;
	return owner ? owner->id : 0;
}

static bool counts_fit(const struct fact_run *run)
{
	bool counted = run->type == CF_TYPE_KERNEL ||
		       run->type == CF_TYPE_FOLIO;

	if (!counted)
		return !run->refs && !run->pins;
	return run->refs <= CF_REFS_MAX && run->pins <= CF_PINS_MAX &&
	       run->pins <= run->refs;
}

/* Its references and pins, all of them somebody's. */
static int take_references(struct cf_map *map, const struct fact_run *run)
{
	uint32_t pins = run->pins, others = run->refs - pins;
	int err = 0;

	if (!run->refs)
		return 0;
	cf_unfreeze(map, run->first, others ? others : 1);
	for (; pins && !err; pins--)
		err = cf_pin(map, run->first);
	if (!others && !err)
		cf_put(map, run->first);
	return err;
}

/* One run in use, at its place. */
static int make_used(struct restore *restore, const struct fact_run *run)
{
	struct cf_map *map = restore->machine->map;
	cf_pfn last = run->first + run_frames(run);
	struct cf_request request = {
		.type = run->type, .flags = CF_ALLOC_FROZEN,
	};
	struct cf_snapshot shot;
	struct owner *keeper;
	int err;

	request.owner = (uint16_t)making_id(restore, run->owner, &err);
	if (err)
		return err;
	err = cf_alloc_range(map, run->first, last, request, NULL);
	if (err == -CF_EINVAL && run->type == CF_TYPE_FOLIO && !run->owner) {
		/* In zone MOVABLE it had an owner once. */
		keeper = stand_in(restore);
		request.owner = keeper ? (uint16_t)keeper->id : 0;
		err = cf_alloc_range(map, run->first, last, request, NULL);
		if (!err)
			err = cf_owner_change(map, run->first, CF_OWNER_NONE);
	}
	if (!err)
		err = cf_snapshot(map, run->first, &shot);
	if (!err && shot.order != run->order)
		err = -CF_EINVAL;
	return err ? err : take_references(map, run);
}

/* Cut offline runs of @owner's so that one of them is exactly this. */
static int cut(struct cf_map *map, uint32_t owner, const struct fact_run *run)
{
	cf_pfn last = run->first + run_frames(run);
	bool skippable = run->flags & CF_FLAG_SKIPPABLE;
	struct cf_snapshot shot;
	bool whole;
	int err = 0;

	whole = !cf_snapshot(map, run->first, &shot) &&
		shot.order == run->order;
	if (!whole)
		err = cf_offline_set_skippable(map, owner, run->first, last,
					       !skippable);
	if (!err && (!whole || skippable))
		err = cf_offline_set_skippable(map, owner, run->first, last,
					       skippable);
	return err;
}

/* What only the owner of an offline run says of it. */
static int describe_offline(struct cf_map *map, uint32_t owner,
			    const struct fact_run *run)
{
	return run->payload ? cf_offline_set_payload(map, owner, run->first,
						     run->payload) : 0;
}

static bool is_range_owner(struct restore *restore, const struct fact_run *run)
{
	struct cf_block_info info;

	return !cf_block_info(restore->machine->map, run->first, &info) &&
	       info.range_owner == run->owner;
}

/* Frames that were exposed and taken out of use again. */
static int make_offline(struct restore *restore, const struct fact_run *run)
{
	struct cf_map *map = restore->machine->map;
	uint32_t flags = run->flags & (CF_FLAG_MOVABLE | CF_FLAG_SKIPPABLE);
	uint32_t owner;
	int err;

	owner = making_id(restore, run->owner, &err);
	if (flags & CF_FLAG_SKIPPABLE && !is_range_owner(restore, run)) {
		flags &= ~(uint32_t)CF_FLAG_SKIPPABLE;
		if (!save_runs_add(&restore->rebuild.late, run))
			return -CF_ENOMEM;
	}
	if (!err)
		err = cf_offline_alloc_range(map, owner, run->first,
					     run->first + run_frames(run),
					     flags, NULL);
	return err ? err : describe_offline(map, owner, run);
}

/* Frames that were never exposed: they are there already, as somebody's. */
static int make_never(struct restore *restore, const struct fact_run *run)
{
	struct cf_map *map = restore->machine->map;
	int err;

	if (!is_range_owner(restore, run))
		return save_runs_add(&restore->rebuild.late, run) ? 0 :
		       -CF_ENOMEM;
	err = cut(map, run->owner, run);
	return err ? err : describe_offline(map, run->owner, run);
}

static int make_run(struct restore *restore, const struct fact_run *run)
{
	int err = -CF_EINVAL;

	switch (run->type) {
	case CF_TYPE_KERNEL: case CF_TYPE_FOLIO: case CF_TYPE_PGTABLE:
	case CF_TYPE_SLAB:
		err = make_used(restore, run);
		break;
	case CF_TYPE_OFFLINE:
		err = run->flags & CF_FLAG_NEVER_ONLINED ?
			make_never(restore, run) : make_offline(restore, run);
		break;
	case CF_TYPE_RESERVED: case CF_TYPE_RETIRED:
		return 0;	/* it came with the block */
	default:
		break;
	}
	return err ? engine_refused(restore, run, err) : 0;
}

/* Does the block have frames never exposed that are not its range owner's? */
static bool is_odd(struct restore *restore, const struct fact_block *block)
{
	const struct save_runs *runs = &restore->rebuild.runs;
	size_t i;

	/* A driver of a device would expose what is there now. */
	if (block->orphan || (block->range_owner < CF_OWNERS_MAX &&
			      restore->rebuild.other[block->range_owner]))
		return true;
	for (i = 0; i < runs->count; i++)
		if (runs->run[i].flags & CF_FLAG_NEVER_ONLINED &&
		    runs->run[i].owner != block->range_owner)
			return true;
	return false;
}

/* Whose the block is meanwhile: 0 for nobody, or an id. */
static int give_block(struct restore *restore, struct fact_block *block)
{
	cf_pfn last = block->first + restore->machine->block_frames;
	struct owner *owner = owner_of(restore, block->range_owner);
	int err;

	if (!block->orphan && block->range_owner && !owner &&
	    !(block->range_owner < CF_OWNERS_MAX &&
	      restore->rebuild.other[block->range_owner]))
		return restore_wrong(restore, "the block at frame %llu is of"
				     " nobody's range",
				     (unsigned long long)block->first);
	block->odd = is_odd(restore, block);
	if (block->odd)
		owner = stand_in(restore);
	if (!owner)
		return block->odd ? restore_wrong(restore, "out of memory") :
				    0;
	err = cf_block_adopt(restore->machine->map, block->first, last,
			     owner->id);
	return err ? restore_wrong(restore, "the block at frame %llu: %s",
				   (unsigned long long)block->first,
				   cf_strerror(err)) : 0;
}

/* The block at hand, with the runs in it. */
static int make_block(struct restore *restore)
{
	struct rebuild *rebuild = &restore->rebuild;
	struct fact_block *block = &rebuild->block[rebuild->block_at++];
	cf_pfn last = block->first + restore->machine->block_frames;
	size_t i;
	int err;

	if (give_block(restore, block))
		return -1;
	if (block->state == CF_BLOCK_OFFLINE)
		return rebuild->runs.count ? restore_wrong(restore, "runs in"
							   " an offline block")
					   : 0;
	err = cf_block_online(restore->machine->map, block->first, last,
			      (enum cf_zone_kind)block->zone, NULL);
	if (err)
		return restore_wrong(restore, "the block at frame %llu cannot"
				     " come online: %s",
				     (unsigned long long)block->first,
				     cf_strerror(err));
	for (i = 0; i < rebuild->runs.count; i++) {
		const struct fact_run *run = &rebuild->runs.run[i];

		if (run->first + run_frames(run) > last) {
			if (!save_runs_add(&rebuild->spanning, run))
				return restore_wrong(restore, "out of memory");
		} else if (make_run(restore, run)) {
			return -1;
		}
	}
	rebuild->runs.count = 0;
	return 0;
}

/* Runs are in order, inside the map, and do not touch each other. */
static int check_run(struct restore *restore, const struct fact_run *run)
{
	uint64_t frames = (uint64_t)1 << run->order % 64;

	if (run->order <= CF_MAX_ORDER && run->first % frames == 0 &&
	    run->first < restore->machine->map_config.last &&
	    run->first + frames <= restore->machine->map_config.last &&
	    run->first >= restore->rebuild.run_last && counts_fit(run) &&
	    run->owner < CF_OWNERS_MAX) {
		restore->rebuild.run_last = run->first + frames;
		return 0;
	}
	return restore_wrong(restore, "frame %llu heads no run like that",
			     (unsigned long long)run->first);
}

int restore_run(struct restore *restore, struct code *code)
{
	struct rebuild *rebuild = &restore->rebuild;
	struct fact_run run;
	cf_pfn last;

	fact_run(code, &run);
	if (code->failed)
		return 0;
	if (check_run(restore, &run))
		return -1;
	for (;;) {
		if (rebuild->block_at == rebuild->blocks)
			return restore_wrong(restore, "frame %llu is in no"
					     " block",
					     (unsigned long long)run.first);
		last = rebuild->block[rebuild->block_at].first +
		       restore->machine->block_frames;
		if (run.first < last)
			break;
		if (make_block(restore))
			return -1;
	}
	if (run.first < last - restore->machine->block_frames)
		return restore_wrong(restore, "frame %llu is in no block",
				     (unsigned long long)run.first);
	restore->end.runs++;
	return save_runs_add(&rebuild->runs, &run) ? 0 :
	       restore_wrong(restore, "out of memory");
}

/* ---- the end of the map ---- */

/* Blocks that were the stand-in's go to whom they belong. */
static int give_odd_blocks(struct restore *restore)
{
	struct rebuild *rebuild = &restore->rebuild;
	size_t i;
	int err;

	for (i = 0; i < rebuild->blocks; i++) {
		const struct fact_block *block = &rebuild->block[i];

		if (!block->odd || block->orphan)
			continue;
		err = cf_block_adopt(restore->machine->map, block->first,
				     block->first +
				     restore->machine->block_frames,
				     block->range_owner);
		if (err)
			return restore_wrong(restore, "the block at frame"
					     " %llu: %s",
					     (unsigned long long)block->first,
					     cf_strerror(err));
	}
	return 0;
}

/* An orphan's run that was never exposed: cut and marked by a stand-in. */
static int finish_orphan(struct restore *restore, const struct fact_run *run)
{
	struct cf_map *map = restore->machine->map;
	struct cf_snapshot shot;
	struct owner *owner;
	int err;

	if (!run->payload && !cf_snapshot(map, run->first, &shot) &&
	    shot.order == run->order)
		return 0;
	owner = stand_in(restore);
	if (!owner)
		return -CF_ENOMEM;
	err = cf_offline_adopt_range(map, owner->id, run->first,
				     run->first + run_frames(run));
	return err ? err : describe_offline(map, owner->id, run);
}

/* What could not be said before the stand-in was gone. */
static int finish_run(struct restore *restore, const struct fact_run *run)
{
	struct cf_map *map = restore->machine->map;
	cf_pfn last = run->first + run_frames(run);
	int err = 0;

	if (run->owner == CF_OWNER_ORPHAN)
		return finish_orphan(restore, run);
	if (run->flags & CF_FLAG_NEVER_ONLINED)
		err = cf_offline_adopt_range(map, run->owner, run->first,
					     last);
	if (!err && run->flags & CF_FLAG_SKIPPABLE)
		err = cf_offline_set_skippable(map, run->owner, run->first,
					       last, true);
	if (!err && run->flags & CF_FLAG_NEVER_ONLINED)
		err = describe_offline(map, run->owner, run);
	return err;
}

static int finish_runs(struct restore *restore)
{
	const struct save_runs *late = &restore->rebuild.late;
	size_t i;
	int err = 0;

	for (i = 0; i < late->count; i++) {
		err = finish_run(restore, &late->run[i]);
		if (err)
			return engine_refused(restore, &late->run[i], err);
	}
	return 0;
}

/* From here on hooks are what they are to be. */
static void give_hooks(struct restore *restore)
{
	uint32_t id;

	for (id = 0; id < CF_OWNERS_MAX; id++) {
		struct owner *owner = restore->rebuild.of_id[id];

		if (owner)
			owner->ops.online = owner->exposing ? driver_online :
							      NULL;
	}
}

static bool is_of_device(struct restore *restore, cf_pfn pfn)
{
	struct cf_block_info info;

	return !cf_block_info(restore->machine->map, pfn, &info) &&
	       info.zone == CF_ZONE_DEVICE;
}

/* Bad frames of runs in use: these are there, or those of devices are. */
static int retire_used(struct restore *restore, bool of_devices)
{
	const struct rebuild *rebuild = &restore->rebuild;
	size_t i;
	int err = 0;

	for (i = 0; i < rebuild->bad_count && !err; i++)
		if (is_of_device(restore, rebuild->bad[i].pfn) == of_devices)
			err = retire(restore, rebuild->bad[i].pfn);
	return err;
}

int restore_devices_end(struct restore *restore)
{
	return retire_used(restore, true);
}

int restore_map_end(struct restore *restore)
{
	struct rebuild *rebuild = &restore->rebuild;
	size_t i;

	while (rebuild->block_at < rebuild->blocks)
		if (make_block(restore))
			return -1;
	for (i = 0; i < rebuild->spanning.count; i++)
		if (make_run(restore, &rebuild->spanning.run[i]))
			return -1;
	if (retire_used(restore, false))
		return -1;
	if (dismiss_stand_in(restore))
		return restore_wrong(restore, "owners cannot unregister");
	if (give_odd_blocks(restore) || finish_runs(restore))
		return -1;
	if (dismiss_stand_in(restore) || close_gaps(restore))
		return restore_wrong(restore, "owners cannot unregister");
	give_hooks(restore);
	rebuild->made = true;
	return 0;
}

void restore_map_free(struct restore *restore)
{
	struct rebuild *rebuild = &restore->rebuild;

	owner_free(rebuild->stand_in);
	free(rebuild->block);
	free(rebuild->bad);
	save_runs_free(&rebuild->runs);
	save_runs_free(&rebuild->spanning);
	save_runs_free(&rebuild->late);
}
