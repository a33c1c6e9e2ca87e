/* SPDX-License-Identifier: MIT */

/*
 * A machine to a file.
 *
 * Facts first, in the order in which they are needed to make the machine
 * again; contents last.  The map is walked three times: for what it is, when
 * all facts are known, and for the contents.  If it is another one the second
 * time, or a run in use is the third, the save fails: such a file would be of
 * no moment there ever was.  Free frames may go while contents are read: at
 * that moment they were free.
 */

#include "save.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "save_facts.h"
#include "save_map.h"
#include "save_objects.h"

#define DRAIN_TRIES	100
#define WINDOW_FRAMES	CF_CHUNK_FRAMES
#define CONTENT_FRAMES	128	/* in a record: two make a chunk */
#define CONTENT_HEAD	12

struct saving {
	struct machine *machine;
	const struct save_config *config;
	struct save_writer *writer;
	struct save_runs runs;		/* of the block at hand */
	struct fact_end end;
	uint32_t used_sum;		/* over the runs that have contents */
	uint32_t device_sum;		/* over those of devices */
	bool failed;
	char *why;			/* SAVE_WHY_BYTES */
	unsigned char *window;		/* WINDOW_FRAMES frames */
	struct fact_object object;	/* the one that is written */
	struct code bytes;		/* in that */
};

#define fail saving_fail

struct machine *saving_machine(struct saving *saving)
{
	return saving->machine;
}

int saving_fail(struct saving *saving, const char *format, ...)
{
	va_list values;

	if (saving->failed)
		return -1;
	saving->failed = true;
	va_start(values, format);
	(void)vsnprintf(saving->why, SAVE_WHY_BYTES, format, values);
	va_end(values);
	return -1;
}

/* Where a record goes; a place of no size when nothing can be written. */
static struct code *record(struct saving *saving, enum save_kind kind)
{
	static struct code nowhere = { NULL, NULL, false, true };
	struct code *code = save_writer_record(saving->writer, kind,
					       SAVE_RECORD_BYTES);

	if (code)
		return code;
	saving->failed = true;		/* the close knows why */
	nowhere.failed = true;
	return &nowhere;
}

struct code *saving_begin(struct saving *saving, uint32_t number,
			  uint32_t sort)
{
	struct fact_object *object = &saving->object;

	object->number = number;
	object->sort = sort;
	saving->bytes = (struct code){
		object->bytes, object->bytes + sizeof(object->bytes), false,
		false,
	};
	return &saving->bytes;
}

void saving_end(struct saving *saving, enum save_kind kind)
{
	struct fact_object *object = &saving->object;

	object->count = (uint16_t)(saving->bytes.at - object->bytes);
	if (saving->bytes.failed)
		(void)fail(saving, "%s does not fit into a record",
			   saving->machine->name[object->number]);
	fact_object(record(saving, kind), object);
}

void saving_range(struct saving *saving, enum save_kind kind,
		  const struct fact_range *range)
{
	struct fact_range fact = *range;

	if (!saving->failed)
		fact_range(record(saving, kind), &fact);
}

static void save_names(struct saving *saving)
{
	const struct machine_config *config = &saving->machine->config;
	struct fact_name fact;
	uint32_t i;

	for (i = 0; i < config->names_count; i++) {
		fact.noun = (uint32_t)config->names[i].noun;
		(void)memcpy(fact.text, saving->machine->name[i],
			     sizeof(fact.text));
		fact_name(record(saving, SAVE_NAME), &fact);
	}
}

/* ---- owners ---- */

static uint32_t number_of(struct machine *machine, const struct owner *owner)
{
	uint32_t i;

	if (!owner)
		return FACT_NOBODY;
	if (owner == machine->folios)
		return FACT_FOLIOS;
	if (owner == load_owner(machine))
		return FACT_LOAD;
	for (i = 0; i < machine->config.names_count; i++)
		if (machine->object[i].owner == owner)
			return i;
	return FACT_NOBODY;
}

static bool is_object(struct machine *machine, uint32_t number, enum noun noun)
{
	return machine->config.names[number].noun == noun &&
	       machine->object[number].any;
}

static void save_owner(struct saving *saving, uint32_t number,
		       struct owner *owner)
{
	struct fact_owner fact = {
		number, owner->registered ? owner->id : 0, owner->registered,
	};

	fact_owner(record(saving, SAVE_OWNER), &fact, owner);
}

/* An object of some other noun, whose record has no more than its id. */
static void save_object_owner(struct saving *saving, uint32_t id)
{
	struct owner nobody = { .machine = NULL };
	struct fact_owner fact = { .id = id, .registered = true };

	if (objects_owner(saving->machine, id, &fact.number))
		fact_owner(record(saving, SAVE_OWNER), &fact, &nobody);
}

/* In the order of their ids, so that each can get its own again. */
static void save_owners(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct owner *load = load_owner(machine), *owner;
	uint32_t id, i;

	save_owner(saving, FACT_FOLIOS, machine->folios);
	for (id = 0; id < CF_OWNERS_MAX; id++) {
		owner = owner_of_id(machine, id);
		if (load && load->id == id)
			owner = load;
		if (owner)
			save_owner(saving, number_of(machine, owner), owner);
		else
			save_object_owner(saving, id);
	}
	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_OWNER) &&
		    !machine->object[i].owner->registered)
			save_owner(saving, i, machine->object[i].owner);
}

static void save_bits(struct saving *saving, enum save_kind kind,
		      uint32_t number, const struct bits *bits)
{
	struct stretch stretch = { 0, 0 };
	struct fact_range fact = { .number = number };

	while (!saving->failed &&
	       bits_next(bits, true, bits_end(bits), &stretch)) {
		fact.first = stretch.first;
		fact.last = stretch.last;
		fact_range(record(saving, kind), &fact);
	}
}

static void save_all_bits(struct saving *saving)
{
	struct machine *machine = saving->machine;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_OWNER))
			save_bits(saving, SAVE_PLUGGED, i,
				  machine->object[i].owner->plugged);
	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_OWNER))
			save_bits(saving, SAVE_BALLOONED, i,
				  machine->object[i].owner->ballooned);
}

/* ---- the map ---- */

/* Bad frames that are in use become so when their runs are there again. */
static void save_bad(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct cf_block_info info;
	struct fact_bad fact;
	size_t i;

	for (i = 0; i < machine->bad_count; i++) {
		fact.pfn = machine->bad[i];
		fact.used = cf_retire_state(machine->map, fact.pfn) ==
			    CF_RETIRE_PENDING &&
			    !cf_block_info(machine->map, fact.pfn, &info) &&
			    info.state > CF_BLOCK_OFFLINE;
		fact_bad(record(saving, SAVE_BAD), &fact);
	}
}

static struct block_group *turned(struct block_group *list)
{
	struct block_group *other = NULL, *next;

	for (; list; list = next) {
		next = list->next;
		list->next = other;
		other = list;
	}
	return other;
}

/* The one that was added first stands at the end of the list. */
static void save_block_groups(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct block_group *first = turned(machine->block_groups), *group;

	for (group = first; group; group = group->next)
		fact_block_group(record(saving, SAVE_BLOCK_GROUP), group);
	machine->block_groups = turned(first);
}

static void save_blocks(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct cf_block_info info;
	struct fact_block fact;
	cf_pfn at;

	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames) {
		if (cf_block_info(machine->map, at, &info) ||
		    info.zone == CF_ZONE_DEVICE)
			continue;
		fact = (struct fact_block){
			.first = at,
			.state = info.state,
			/* Of an offline one, what it was is nothing. */
			.zone = info.state == CF_BLOCK_OFFLINE ?
				CF_ZONE_NORMAL : info.zone,
			.range_owner = info.range_owner,
			.orphan = info.orphan,
		};
		fact_block(record(saving, SAVE_BLOCK), &fact);
	}
}

static int runs_of(struct saving *saving, cf_pfn block)
{
	cf_pfn pfn = block;
	int err = save_runs_of(saving->machine, block, &saving->runs, &pfn);

	if (err == -CF_EAGAIN)
		return fail(saving, "frame %llu is in motion: try again",
			    (unsigned long long)pfn);
	return err ? fail(saving, "out of memory") : 0;
}

static void save_block_runs(struct saving *saving, cf_pfn block)
{
	size_t i;

	if (runs_of(saving, block))
		return;
	for (i = 0; i < saving->runs.count; i++) {
		struct fact_run *run = &saving->runs.run[i];

		saving->end.sum = fact_run_sum(saving->end.sum, run);
		if (run_has_contents(run))
			saving->used_sum = fact_run_sum(saving->used_sum, run);
		fact_run(record(saving, SAVE_RUN), run);
	}
	saving->end.runs += saving->runs.count;
}

static void save_runs(struct saving *saving)
{
	struct machine *machine = saving->machine;
	cf_pfn at;

	for (at = machine->added_first;
	     !saving->failed && at < machine->added_last;
	     at += machine->block_frames)
		save_block_runs(saving, at);
}

/* ---- what the machine knows ---- */

static void save_set(struct saving *saving, const struct set *set)
{
	struct fact_set fact = {
		.number = set->number,
		.owner = number_of(saving->machine, set->owner),
		.type = set->type,
		.frozen = set->frozen,
		.first = set->first,
		.last = set->last,
	};

	fact_set(record(saving, SAVE_SET), &fact);
}

/* Contents that will be left out are not there to be looked at later. */
static bool is_left_out(struct saving *saving, const struct run *run)
{
	struct cf_map *map = saving->machine->map;
	struct cf_snapshot shot;

	return run->pfn == CF_PFN_NONE || cf_snapshot(map, run->pfn, &shot) ||
	       (!shot.refs && cf_owner_traits(map, shot.owner) &
			      (CF_OWNER_PRIVATE | CF_OWNER_GONE));
}

static void save_members(struct saving *saving, const struct set *set)
{
	struct fact_member fact = { .set = set->number };
	size_t i;

	for (i = 0; !saving->failed && i < set->count; i++) {
		fact.run = *set->run[i];
		fact.bound = fact.run.pfn != CF_PFN_NONE &&
			     run_find(saving->machine, fact.run.pfn) ==
			     set->run[i];
		fact.run.written &= !is_left_out(saving, set->run[i]);
		fact_member(record(saving, SAVE_MEMBER), &fact);
	}
}

static void save_sets(struct saving *saving)
{
	struct machine *machine = saving->machine;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_SET))
			save_set(saving, machine->object[i].set);
	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_SET))
			save_members(saving, machine->object[i].set);
}

static void save_kept(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct fact_frame fact;
	const struct run *run;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		if (!is_object(machine, i, NOUN_OWNER))
			continue;
		run = machine->object[i].owner->kept;
		for (; run; run = run->next_kept) {
			fact = (struct fact_frame){ i, run->pfn, 0, 0 };
			fact_frame(record(saving, SAVE_KEPT), &fact);
		}
	}
}

static void save_frames(struct saving *saving)
{
	struct machine *machine = saving->machine;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		const struct remembered *frame = machine->object[i].frame;
		struct fact_frame fact;

		if (!is_object(machine, i, NOUN_FRAME))
			continue;
		fact = (struct fact_frame){
			i, frame->pfn, frame->refs, frame->pins,
		};
		fact_frame(record(saving, SAVE_FRAME), &fact);
	}
}

static bool is_watcher(struct machine *machine, uint32_t number)
{
	return is_object(machine, number, NOUN_SUBSCRIBER) ||
	       is_object(machine, number, NOUN_SCANNER);
}

static void save_watchers(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct fact_frame fact = { 0, 0, 0, 0 };
	uint32_t i;
	size_t at;

	for (i = 0; i < machine->config.names_count; i++)
		if (is_watcher(machine, i))
			fact_watcher(record(saving, SAVE_WATCHER), &i,
				     machine->object[i].watcher);
	for (i = 0; i < machine->config.names_count; i++) {
		const struct watcher *watcher = machine->object[i].watcher;

		for (at = 0; is_watcher(machine, i) && at < watcher->count;
		     at++) {
			fact.number = i;
			fact.pfn = watcher->kept[at];
			fact_frame(record(saving, SAVE_SCANNED), &fact);
		}
	}
}

static void save_walkers(struct saving *saving)
{
	struct machine *machine = saving->machine;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_WALKER))
			fact_walker(record(saving, SAVE_WALKER), &i,
				    machine->object[i].walker);
}

static void save_operations(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct cf_offline_status status;
	struct fact_report_text text;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		struct operation *operation = machine->object[i].operation;

		if (!is_object(machine, i, NOUN_OPERATION))
			continue;
		operation_status(operation, &status);
		fact_report_take(&status.report, &text);
		fact_operation(record(saving, SAVE_OPERATION), &i, operation,
			       &status, &text);
	}
}

static void save_marks(struct saving *saving)
{
	struct machine *machine = saving->machine;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++)
		if (is_object(machine, i, NOUN_MARK))
			fact_mark(record(saving, SAVE_MARK), &i,
				  machine->object[i].mark);
}

static void save_zones(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct cf_zone_stat stat;
	struct fact_zone fact;
	uint32_t node, kind;

	for (node = 0; node < machine->map_config.nodes; node++) {
		for (kind = 0; kind <= CF_ZONE_MOVABLE; kind++) {
			if (cf_zone_stat(machine->map, node,
					 (enum cf_zone_kind)kind, &stat) ||
			    !stat.marks.high)
				continue;
			fact = (struct fact_zone){
				node, kind, stat.marks,
				stat.free < stat.marks.low,
			};
			fact_zone(record(saving, SAVE_ZONE), &fact);
		}
	}
}

static void save_last(struct saving *saving)
{
	struct outcome last = saving->machine->last;
	struct fact_report_text text;

	fact_report_take(&last.report, &text);
	fact_last(record(saving, SAVE_LAST), &last, &text);
}

/* Devices know it too; those that come later are to. */
static void save_migrating(struct saving *saving)
{
	bool migrating = saving->machine->migrating;

	if (migrating)
		fact_migrating(record(saving, SAVE_MIGRATING), &migrating);
}

/* ---- contents ---- */

/* Frames [first, first + count), read into @from. */
static void put_contents(struct saving *saving, cf_pfn first, unsigned count,
			 const unsigned char *from)
{
	size_t bytes = count * CF_FRAME_BYTES;
	struct code *code = save_writer_record(saving->writer, SAVE_CONTENT,
					       bytes + CONTENT_HEAD);
	uint32_t frames = count;
	unsigned char *to;

	if (!code) {
		saving->failed = true;
		return;
	}
	code_u64(code, &first);
	code_u32(code, &frames);
	to = code_bytes(code, bytes);
	if (to)
		(void)memcpy(to, from, bytes);
	saving->end.contents += count;
}

static void count_seen(struct saving *saving, const uint8_t *seen,
		       unsigned count, cf_pfn first)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		saving->end.zeroes += seen[i] == SAVE_SEEN_ZERO;
		saving->end.left_out += seen[i] == SAVE_SEEN_NEVER;
		if (seen[i] == SAVE_SEEN_GONE)
			(void)fail(saving, "frame %llu was taken away while"
				   " the machine was saved",
				   (unsigned long long)first + i);
		if (seen[i] == SAVE_SEEN_UNMAPPED)
			(void)fail(saving, "the contents of frame %llu cannot"
				   " be reached",
				   (unsigned long long)first + i);
	}
}

/* Frames of one run in one chunk. */
static void save_window(struct saving *saving, cf_pfn first, unsigned count)
{
	const struct save_source *source = saving->config->source;
	uint8_t seen[WINDOW_FRAMES];
	unsigned from, to;

	source->read(source->context, saving->machine->map, first, count,
		     saving->window, seen);
	count_seen(saving, seen, count, first);
	for (from = 0; !saving->failed && from < count; from = to) {
		to = from + 1;
		if (seen[from] != SAVE_SEEN_DATA)
			continue;
		while (to < count && to - from < CONTENT_FRAMES &&
		       seen[to] == SAVE_SEEN_DATA)
			to++;
		put_contents(saving, first + from, to - from,
			     saving->window + from * CF_FRAME_BYTES);
	}
}

static void save_contents_of(struct saving *saving, cf_pfn at, cf_pfn last)
{
	cf_pfn end;

	for (; !saving->failed && at < last; at = end) {
		end = (at / WINDOW_FRAMES + 1) * WINDOW_FRAMES;
		if (end > last)
			end = last;
		save_window(saving, at, (unsigned)(end - at));
	}
}

static void save_device_contents(struct saving *saving, cf_pfn block)
{
	struct machine *machine = saving->machine;
	cf_pfn at = block, last = block + machine->block_frames;
	struct stretch stretch;

	while (!saving->failed &&
	       pagemap_contents(machine, &at, last, &stretch))
		save_contents_of(saving, stretch.first, stretch.last);
}

/* Of one block; @sum: over its runs that have any. */
static void save_block_contents(struct saving *saving, cf_pfn block,
				uint32_t *sum)
{
	size_t i;

	if (runs_of(saving, block))
		return;
	for (i = 0; !saving->failed && i < saving->runs.count; i++) {
		const struct fact_run *run = &saving->runs.run[i];

		if (!run_has_contents(run))
			continue;
		*sum = fact_run_sum(*sum, run);
		save_contents_of(saving, run->first,
				 run->first + run_frames(run));
	}
	save_device_contents(saving, block);
}

static void save_contents(struct saving *saving)
{
	struct machine *machine = saving->machine;
	struct fact_range range = contents_range(machine);
	uint32_t sum = 0;
	cf_pfn at;

	for (at = range.first; !saving->failed && at < range.last;
	     at += machine->block_frames) {
		save_block_contents(saving, at, &sum);
		progress(machine, "save", at - range.first,
			 range.last - range.first);
	}
	if (!saving->failed && (sum != saving->used_sum ||
				pagemaps_sum(machine) != saving->device_sum))
		(void)fail(saving, "the machine changed while it was saved");
}

/* Are the facts of one moment? */
static void check_moment(struct saving *saving)
{
	uint64_t count;
	uint32_t sum;
	int err = save_runs_sum(saving->machine, &sum, &count);

	if (err == -CF_ENOMEM)
		(void)fail(saving, "out of memory");
	else if (err || sum != saving->end.sum || count != saving->end.runs)
		(void)fail(saving, "the machine changed while it was saved");
	saving->device_sum = pagemaps_sum(saving->machine);
}

/* ---- the load ---- */

static void save_slots(struct saving *saving, uint32_t worker)
{
	struct fact_member fact = { .set = worker };
	const struct run *run;

	for (fact.slot = 0; !saving->failed; fact.slot++) {
		run = load_slot(saving->machine, worker, fact.slot);
		if (!run)
			return;
		if (run->state != RUN_HELD)
			continue;
		fact.run = *run;
		fact.bound = run_find(saving->machine, run->pfn) == run;
		fact_slot(record(saving, SAVE_SLOT), &fact);
	}
}

static void save_load(struct saving *saving)
{
	struct fact_worker worker;
	struct fact_load fact;
	uint32_t i;

	if (!load_facts(saving->machine, &fact))
		return;
	fact_load(record(saving, SAVE_LOAD), &fact);
	for (i = 0; load_worker_facts(saving->machine, i, &worker); i++)
		fact_worker(record(saving, SAVE_WORKER), &worker);
	for (i = 0; i < fact.count; i++)
		save_slots(saving, i);
}

/* ---- all of it ---- */

static void save_all(struct saving *saving)
{
	static void (*const parts[])(struct saving *saving) = {
		save_names, objects_save, save_owners, save_all_bits,
		save_bad, save_block_groups, objects_save_added, save_blocks,
		save_runs, objects_save_given, objects_save_parts, save_sets,
		save_kept, save_frames,
		save_watchers, save_walkers, save_operations, save_marks,
		save_zones, save_last, save_migrating, check_moment,
		save_contents, save_load,
	};
	struct fact_machine fact;
	size_t i;

	fact_machine_take(&fact, saving->machine);
	fact_machine(record(saving, SAVE_MACHINE), &fact);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!saving->failed)
			parts[i](saving);
	if (!saving->failed)
		fact_end(record(saving, SAVE_END), &saving->end);
}

/* A cached frame is nobody's; a CPU may be in its cache this moment. */
static int empty_caches(struct machine *machine)
{
	unsigned try;
	int err = -CF_EAGAIN;

	for (try = 0; err && try < DRAIN_TRIES; try++)
		err = cf_drain(machine->map);
	return err;
}

/* Sorts of things that have records of their own. */
static bool is_kept(enum noun noun)
{
	switch (noun) {
	case NOUN_SET: case NOUN_FRAME: case NOUN_OWNER: case NOUN_OPERATION:
	case NOUN_SUBSCRIBER: case NOUN_SCANNER: case NOUN_WALKER:
	case NOUN_MARK:
		return true;
	default:
		return object_kind(noun) != NULL;
	}
}

bool machine_save_refused(struct machine *machine, char *why)
{
	const struct machine_config *config = &machine->config;
	uint32_t i;

	if (!machine_is_on(machine)) {
		(void)snprintf(why, SAVE_WHY_BYTES, "there is no machine yet");
		return true;
	}
	for (i = 0; i < config->names_count; i++)
		if (machine->object[i].any && !is_kept(config->names[i].noun))
			break;
	if (i == config->names_count)
		return objects_refused(machine, why);
	(void)snprintf(why, SAVE_WHY_BYTES, "%s is a %s, whose state no file"
		       " keeps", machine->name[i],
		       noun_name(config->names[i].noun));
	return true;
}

static int save_to(struct saving *saving, const char *path,
		   struct save_totals *ret_totals)
{
	const struct fact_end *end = &saving->end;
	bool whole;

	saving->writer = save_writer_open(path, saving->config->out,
					  saving->config->level, saving->why);
	if (!saving->writer)
		return -1;
	save_all(saving);
	whole = !saving->failed;
	*ret_totals = (struct save_totals){
		end->contents, end->zeroes, end->left_out, end->runs, 0,
	};
	return save_writer_close(saving->writer, whole, &ret_totals->bytes,
				 saving->why) || !whole ? -1 : 0;
}

int machine_save(struct machine *machine, const char *path,
		 const struct save_config *config,
		 struct save_totals *ret_totals, char *why)
{
	struct saving saving = {
		.machine = machine,
		.config = config,
		.why = why,
	};
	int err;

	if (machine_save_refused(machine, why))
		return -1;
	saving.window = malloc(WINDOW_FRAMES * CF_FRAME_BYTES);
	if (!saving.window)
		return fail(&saving, "out of memory");
	machine_rest(machine);
	if (empty_caches(machine))
		err = fail(&saving, "a CPU does not leave its cache");
	else
		err = save_to(&saving, path, ret_totals);
	machine_go_on(machine);
	free(saving.window);
	save_runs_free(&saving.runs);
	return err;
}

/*
 * In mid-run. Without a name it is the place where "coldframe save" stops;
 * whoever else comes by only looks whether it could.
 */
int step_save(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	char path[4096] = "/dev/null", why[SAVE_WHY_BYTES] = "", size[24];
	struct save_totals totals;

	if (!machine->config.save)
		return refuse(outcome, CF_EREFUSED,
			      "this machine cannot be saved");
	if (step->text.length >= sizeof(path))
		return refuse(outcome, CF_EINVAL, "the path is too long");
	if (step->text.length == 1 && step->text.start[0] == '-')
		return refuse(outcome, CF_EINVAL, "standard output has the"
			      " report");
	if (step->text.length) {
		(void)memcpy(path, step->text.start, step->text.length);
		path[step->text.length] = '\0';
	}
	if (machine_save_refused(machine, why))
		return refuse(outcome, CF_EREFUSED, "%s", why);
	if (machine_save(machine, path, machine->config.save, &totals, why))
		return refuse(outcome, CF_EPORT, "%s", why);
	outcome->done = totals.contents;
	did(outcome, "%s of contents in %.1f MiB%s", machine_size(
	    totals.contents, size), (double)totals.bytes / 1048576,
	    step->text.length ? "" : ", thrown away");
	return 0;
}
