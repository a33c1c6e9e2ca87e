/* SPDX-License-Identifier: MIT */

/*
 * A machine from a file.
 *
 * The records come in the order of their kinds, each kind only after those it
 * may refer to.  The machine is made as a scenario would make it, with the
 * difference that nobody is told; its counters are set at the end.  What came
 * out of it is then compared with what the file says.
 */

#include "restore.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "save_objects.h"

int restore_wrong(struct restore *restore, const char *format, ...)
{
	char text[SAVE_WHY_BYTES];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	return save_reader_fail(restore->reader, "%s", text);
}

union object *restore_slot(struct restore *restore, uint32_t number,
			   enum noun noun)
{
	struct machine *machine = restore->machine;

	if (number < restore->names && restore->name[number].noun == noun &&
	    !machine->object[number].any)
		return &machine->object[number];
	(void)restore_wrong(restore, "there is no %s with the number %u",
			    noun_name(noun), number);
	return NULL;
}

void *restore_find(struct restore *restore, uint32_t number, enum noun noun)
{
	if (number < restore->names && restore->name[number].noun == noun &&
	    restore->machine->object[number].any)
		return restore->machine->object[number].any;
	(void)restore_wrong(restore, "there is no %s with the number %u",
			    noun_name(noun), number);
	return NULL;
}

/* ---- the beginning: what can be known before anything is made ---- */

static int check_machine(struct restore *restore)
{
	const struct fact_machine *fact = &restore->fact;
	cf_pfn block = (cf_pfn)1 << fact->block_order % 64;

	if (fact->block_order < CF_BLOCK_ORDER_MIN ||
	    fact->block_order > CF_BLOCK_ORDER_MAX || !fact->cpus ||
	    fact->cpus > CF_CPUS_MAX || !fact->nodes ||
	    fact->nodes > CF_NODES_MAX || !fact->poison_max ||
	    fact->poison_max > RESTORE_BAD_MAX ||
	    fact->workers >= fact->cpus || !fact->last ||
	    fact->last > CF_PFN_LIMIT || fact->last % block ||
	    fact->added_first > fact->added_last ||
	    fact->added_last > fact->last ||
	    (fact->added_first | fact->added_last) % block)
		return restore_wrong(restore, "there can be no machine like"
				     " that");
	return 0;
}

static int read_name(struct restore *restore, struct code *code)
{
	struct scenario_name *name = &restore->name[restore->names];
	struct fact_name fact;

	if (restore->names == SCENARIO_NAMES_MAX)
		return restore_wrong(restore, "more than %u names",
				     SCENARIO_NAMES_MAX);
	fact_name(code, &fact);
	if (code->failed)
		return 0;
	if (!fact.text[0])
		return restore_wrong(restore, "a name is empty");
	(void)memcpy(restore->text[restore->names], fact.text,
		     sizeof(fact.text));
	name->text.start = restore->text[restore->names];
	name->text.length = strlen(fact.text);
	name->noun = (enum noun)fact.noun;
	restore->marked |= name->noun == NOUN_MARK;
	restore->names++;
	return 0;
}

/* Up to the first record that makes something. */
static int read_beginning(struct restore *restore)
{
	struct code *code;
	int kind = save_reader_next(restore->reader, &code);

	if (kind < 0)
		return -1;
	if (kind != SAVE_MACHINE)
		return restore_wrong(restore, "damaged: it does not begin"
				     " with the machine");
	fact_machine(code, &restore->fact);
	kind = save_reader_next(restore->reader, &code);
	if (kind < 0 || check_machine(restore))
		return -1;
	while (kind == SAVE_NAME) {
		if (read_name(restore, code))
			return -1;
		kind = save_reader_next(restore->reader, &code);
	}
	if (kind < 0)
		return -1;
	restore->kind = SAVE_NAME;
	return 0;
}

struct restore *restore_open(const char *path, char *why)
{
	struct restore *restore = calloc(1, sizeof(*restore));

	if (!restore) {
		(void)snprintf(why, SAVE_WHY_BYTES, "out of memory");
		return NULL;
	}
	restore->reader = save_reader_open(path, why);
	if (!restore->reader) {
		free(restore);
		return NULL;
	}
	if (!read_beginning(restore))
		return restore;
	(void)snprintf(why, SAVE_WHY_BYTES, "%s",
		       save_reader_why(restore->reader));
	restore_close(restore);
	return NULL;
}

void restore_close(struct restore *restore)
{
	uint32_t i;

	save_reader_close(restore->reader);
	restore_map_free(restore);
	bits_free(restore->claimed);
	owner_free(restore->load_owner);
	for (i = 0; i < SCENARIO_NAMES_MAX; i++)
		free(restore->aside[i]);
	free(restore);
}

void restore_origin(const struct restore *restore,
		    struct scenario_origin *ret_origin)
{
	*ret_origin = (struct scenario_origin){
		.block_frames = (cf_pfn)1 << restore->fact.block_order,
		.span_frames = restore->fact.last,
		.cpus = restore->fact.cpus,
		.nodes = restore->fact.nodes,
		.workers = restore->fact.workers,
		.marked = restore->marked,
		.name = restore->name,
		.names = restore->names,
	};
}

uint64_t restore_seed(const struct restore *restore)
{
	return restore->fact.seed;
}

/* ---- contents ---- */

/* Frozen, and its owner says that nobody else may read it? */
static bool is_private(struct cf_map *map, const struct fact_run *run)
{
	return !run->refs && cf_owner_traits(map, run->owner) &
			     (CF_OWNER_PRIVATE | CF_OWNER_GONE);
}

/* May contents stand in all of [first, last)?  Only what is in use has any. */
static bool is_used(struct restore *restore, cf_pfn first, cf_pfn last)
{
	struct machine *machine = restore->machine;
	struct fact_run run;
	struct cf_span span;
	bool used = bad_next(machine, first, last) == last;

	cf_walk_begin(machine->map);
	while (used && cf_walk_next(machine->map, &first, last, &span)) {
		run.type = (uint8_t)span.type;
		run.owner = (uint16_t)span.owner;
		run.refs = span.refs;
		used = span.kind == CF_SPAN_RUN &&
		       (span.type == CF_TYPE_DEVICE ||
			(run_has_contents(&run) &&
			 !is_private(machine->map, &run)));
	}
	cf_walk_end(machine->map);
	return used;
}

static int restore_content(struct restore *restore, struct code *code)
{
	const unsigned char *from;
	uint32_t count = 0;
	uint64_t first = 0;

	code_u64(code, &first);
	code_u32(code, &count);
	if (!count || count > SAVE_CHUNK_FRAMES)
		code->failed = true;
	from = code_bytes(code, count * CF_FRAME_BYTES);
	if (!from)
		return 0;
	if (first < restore->content_last ||
	    first >= restore->machine->map_config.last ||
	    count > restore->machine->map_config.last - first ||
	    !is_used(restore, first, first + count))
		return restore_wrong(restore, "contents of frame %llu, where"
				     " there can be none",
				     (unsigned long long)first);
	(void)memcpy(frame_address(restore->machine, first), from,
		     count * CF_FRAME_BYTES);
	restore->content_last = first + count;
	restore->end.contents += count;
	progress(restore->machine, "restore", restore->end.contents, 0);
	return 0;
}

/* ---- the end ---- */

/* Frames of a run in use that nobody may read: as the filter has it. */
static uint64_t left_out_of(struct restore *restore,
			    const struct fact_run *run)
{
	struct machine *machine = restore->machine;
	cf_pfn at = run->first, last = run->first + run_frames(run);
	uint64_t frames = 0;

	if (is_private(machine->map, run))
		return run_frames(run);
	while ((at = bad_next(machine, at, last)) < last) {
		frames++;
		at++;
	}
	return frames;
}

/* What devices have contents in. */
static uint64_t device_frames(struct machine *machine)
{
	struct fact_range range = contents_range(machine);
	struct stretch stretch;
	uint64_t frames = 0;
	cf_pfn block, at;

	for (block = range.first; block < range.last;
	     block += machine->block_frames) {
		at = block;
		while (pagemap_contents(machine, &at,
					block + machine->block_frames,
					&stretch))
			frames += stretch.last - stretch.first;
	}
	return frames;
}

/* What is in use, against what was said of it. */
static int count_used(struct restore *restore, uint64_t *ret_used,
		      uint64_t *ret_left_out)
{
	struct machine *machine = restore->machine;
	struct save_runs runs = { NULL, 0, 0 };
	cf_pfn block, pfn;
	size_t i;
	int err = 0;

	*ret_used = 0;
	*ret_left_out = 0;
	for (block = machine->added_first; !err && block < machine->added_last;
	     block += machine->block_frames) {
		err = save_runs_of(machine, block, &runs, &pfn);
		for (i = 0; !err && i < runs.count; i++) {
			const struct fact_run *run = &runs.run[i];

			if (!run_has_contents(run))
				continue;
			*ret_used += run_frames(run);
			*ret_left_out += left_out_of(restore, run);
		}
	}
	save_runs_free(&runs);
	*ret_used += device_frames(machine);
	return err;
}

static int check_counts(struct restore *restore, const struct fact_end *said)
{
	const struct fact_end *end = &restore->end;
	uint64_t used, left_out;

	if (said->runs != end->runs || said->contents != end->contents)
		return restore_wrong(restore, "damaged: %llu runs and %llu"
				     " frames with contents were saved, %llu"
				     " and %llu are there",
				     (unsigned long long)said->runs,
				     (unsigned long long)said->contents,
				     (unsigned long long)end->runs,
				     (unsigned long long)end->contents);
	if (count_used(restore, &used, &left_out))
		return restore_wrong(restore, "the map does not come to rest");
	if (said->left_out != left_out ||
	    said->contents + said->zeroes + said->left_out != used)
		return restore_wrong(restore, "damaged: %llu frames were left"
				     " out and %llu zero, %llu and %llu are",
				     (unsigned long long)said->left_out,
				     (unsigned long long)said->zeroes,
				     (unsigned long long)left_out,
				     (unsigned long long)(used - left_out -
							  said->contents));
	return 0;
}

static int restore_end(struct restore *restore, struct code *code)
{
	struct fact_end *end = &restore->end, said;
	uint64_t runs;

	fact_end(code, &said);
	if (code->failed)
		return 0;
	if (check_counts(restore, &said))
		return -1;
	end->zeroes = said.zeroes;
	end->left_out = said.left_out;
	if (save_runs_sum(restore->machine, &end->sum, &runs))
		return restore_wrong(restore, "the map does not come to rest");
	if (runs != said.runs || end->sum != said.sum)
		return restore_wrong(restore, "the map that was made is not"
				     " the one that was saved");
	return 0;
}

typedef int (*restore_fn)(struct restore *restore, struct code *code);

static int restore_plugged(struct restore *restore, struct code *code)
{
	return restore_bits(restore, code, true);
}

static int restore_ballooned(struct restore *restore, struct code *code)
{
	return restore_bits(restore, code, false);
}

/* Devices that are there already know by themselves. */
static int restore_migrating(struct restore *restore, struct code *code)
{
	bool migrating = false;

	fact_migrating(code, &migrating);
	restore->machine->migrating |= migrating;
	return 0;
}

static const restore_fn functions[SAVE_KIND_COUNT] = {
	[SAVE_END] = restore_end,
	[SAVE_OWNER] = restore_owner,
	[SAVE_PLUGGED] = restore_plugged,
	[SAVE_BALLOONED] = restore_ballooned,
	[SAVE_BAD] = restore_bad,
	[SAVE_BLOCK_GROUP] = restore_block_group,
	[SAVE_BLOCK] = restore_block,
	[SAVE_RUN] = restore_run,
	[SAVE_SET] = restore_set,
	[SAVE_MEMBER] = restore_member,
	[SAVE_KEPT] = restore_kept,
	[SAVE_FRAME] = restore_frame,
	[SAVE_WATCHER] = restore_watcher,
	[SAVE_SCANNED] = restore_scanned,
	[SAVE_WALKER] = restore_walker,
	[SAVE_OPERATION] = restore_operation,
	[SAVE_MARK] = restore_mark,
	[SAVE_ZONE] = restore_zone,
	[SAVE_LAST] = restore_last,
	[SAVE_CONTENT] = restore_content,
	[SAVE_LOAD] = restore_load,
	[SAVE_WORKER] = restore_worker,
	[SAVE_SLOT] = restore_slot_run,
	[SAVE_OBJECT] = restore_object,
	[SAVE_GIVEN] = restore_given,
	[SAVE_ADDED] = restore_added,
	[SAVE_PART] = restore_part,
	[SAVE_MIGRATING] = restore_migrating,
};

/* Kinds rise; what the map is made of is complete when the next ones begin. */
static int check_kind(struct restore *restore, enum save_kind kind)
{
	unsigned rank = save_kind_rank(kind);
	bool ends = kind == SAVE_END;

	if (rank < save_kind_rank(restore->kind) || !functions[kind])
		return restore_wrong(restore, "damaged: a record of kind"
				     " \"%s\" stands behind one of kind"
				     " \"%s\"", save_kind_name(kind),
				     save_kind_name(restore->kind));
	restore->kind = kind;
	if (kind != SAVE_KEPT)
		restore_kept_end(restore);
	if (rank > save_kind_rank(SAVE_RUN) && !restore->rebuild.made &&
	    restore_map_end(restore))
		return -1;
	if (rank > save_kind_rank(SAVE_PART) && !restore->finished &&
	    restore_objects_end(restore))
		return -1;
	if (ends && restore->fact.workers && !restore->machine->load)
		return restore_wrong(restore, "the load is missing");
	return ends ? restore_sets_end(restore) : 0;
}

static int read_records(struct restore *restore)
{
	struct code *code;
	int kind;

	do {
		kind = save_reader_next(restore->reader, &code);
		if (kind < 0 || check_kind(restore, (enum save_kind)kind) ||
		    functions[kind](restore, code))
			return -1;
	} while (kind != SAVE_END);
	return save_reader_at_end(restore->reader) ? 0 : -1;
}

/* Switched on with nothing in it, as the first step of a scenario does. */
static int switch_on(struct restore *restore)
{
	const struct fact_machine *fact = &restore->fact;
	struct outcome outcome;
	struct step step = {
		.kind = STEP_MACHINE,
		.cpu = STEP_CPU_MAIN,
		.given = KEY_BIT(KEY_CPUS) | KEY_BIT(KEY_NODES) |
			 KEY_BIT(KEY_BAD_FRAMES),
	};

	step.key[KEY_SPAN] = fact->last * CF_FRAME_BYTES;
	step.key[KEY_BLOCK] = CF_FRAME_BYTES << fact->block_order;
	step.key[KEY_CPUS] = fact->cpus;
	step.key[KEY_NODES] = fact->nodes;
	step.key[KEY_BAD_FRAMES] = fact->poison_max;
	if (fact->debug_pagealloc)
		step.given |= KEY_BIT(KEY_DEBUG_PAGEALLOC);
	if (fact->fenced)
		step.given |= KEY_BIT(KEY_FENCED);
	if (fact->no_caches)
		step.given |= KEY_BIT(KEY_NO_CACHES);
	if (!fact->huge)
		step.given |= KEY_BIT(KEY_SMALL_PAGES);
	machine_step(restore->machine, &step, &outcome);
	return outcome.err ? restore_wrong(restore, "%s", outcome.why) : 0;
}

static int restore_all(struct restore *restore)
{
	struct machine *machine = restore->machine;
	char why[OUTCOME_TEXT_BYTES];

	if (switch_on(restore))
		return -1;
	machine->restoring = restore;
	progress(machine, "restore", 0, 0);
	machine->config.seed = restore->fact.seed;
	machine->added_first = restore->fact.added_first;
	machine->added_last = restore->fact.added_last;
	if (read_records(restore))
		return -1;
	if (!machine_verify(machine, why, sizeof(why)))
		return restore_wrong(restore, "the machine is not right: %s",
				     why);
	fact_machine_give(&restore->fact, machine);
	machine->restoring = NULL;
	return 0;
}

struct machine *restore_machine(struct restore *restore,
				const struct machine_config *config,
				struct save_totals *ret_totals, char *why)
{
	const struct fact_end *end = &restore->end;
	struct machine *machine = machine_create(config);
	int err = -1;

	restore->machine = machine;
	if (machine)
		err = restore_all(restore);
	else
		(void)restore_wrong(restore, "out of memory");
	if (!err) {
		*ret_totals = (struct save_totals){
			end->contents, end->zeroes, end->left_out, end->runs,
			0,
		};
		return machine;
	}
	(void)snprintf(why, SAVE_WHY_BYTES, "%s",
		       save_reader_why(restore->reader));
	machine_destroy(machine);
	return NULL;
}
