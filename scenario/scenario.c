/* SPDX-License-Identifier: MIT */

/*
 * Reading a scenario, a line at a time.
 *
 * What a step may consist of stands in the verb's row: arguments in order,
 * then keys in any order.  One function a sort of argument, one a sort of
 * key; nothing here knows a verb, but for the machine (whose size limits
 * places) and the load (which occupies CPUs).
 */

#include "read.h"

#define DEFAULT_SPAN_BYTES	((uint64_t)16 << 30)

void scenario_init(struct scenario *scenario, const char *text, size_t bytes)
{
	scenario->rest.start = text;
	scenario->rest.length = bytes;
	scenario->line = 0;
	scenario->names = 0;
	scenario->machine = false;
	scenario->loading = false;
	scenario->marked = false;
	scenario->cpus = 1;
	scenario->nodes = 1;
	scenario->block_frames = (cf_pfn)1 << CF_BLOCK_ORDER_MAX;
	scenario->span_frames = 0;
	scenario->workers = 0;
	scenario->steps = 0;
	scenario->error[0] = '\0';
}

void scenario_resume(struct scenario *scenario,
		     const struct scenario_origin *origin)
{
	uint32_t i;

	scenario->machine = true;
	scenario->steps = 1;
	scenario->block_frames = origin->block_frames;
	scenario->span_frames = origin->span_frames;
	scenario->cpus = origin->cpus;
	scenario->nodes = origin->nodes;
	scenario->workers = origin->workers;
	scenario->loading = origin->workers > 0;
	scenario->marked = origin->marked;
	scenario->names = origin->names;
	for (i = 0; i < origin->names; i++)
		scenario->name[i] = origin->name[i];
}

static int read_workers(struct scenario *scenario, struct step *step)
{
	uint64_t workers;

	if (read_number(scenario, "load", &workers))
		return -1;
	if (!take_if(scenario, "worker") && !take_if(scenario, "workers"))
		return scenario_wrong(scenario, "write \"load 2 workers\"");
	if (!workers || workers >= scenario->cpus)
		return scenario_wrong(scenario, "%u workers: the machine has"
				      " %u CPUs, and one runs the steps",
				      workers, scenario->cpus);
	step->amount.unit = AMOUNT_COUNT;
	step->amount.number = workers;
	return 0;
}

static int read_path(struct scenario *scenario, struct step *step)
{
	step->text = take_word(scenario);
	if (!step->text.length)
		return scenario_wrong(scenario, "the directory is missing");
	return 0;
}

static int read_rest(struct scenario *scenario, struct step *step)
{
	struct text *rest = &scenario->words;

	step->text = peek_word(scenario);
	step->text.length = (size_t)(rest->start + rest->length -
				     step->text.start);
	rest->start += rest->length;
	rest->length = 0;
	return 0;
}

static int read_print(struct scenario *scenario, struct step *step)
{
	step->amount.unit = AMOUNT_COUNT;
	step->amount.number = PRINT_ALL;
	if (!peek_word(scenario).length)
		return 0;
	return read_choice(scenario, "print", print_name,
			   &step->amount.number);
}

/* Does the next word begin a place rather than an amount? */
static bool at_place(struct scenario *scenario)
{
	struct text word = peek_word(scenario);

	return word.length && (word.start[0] < '0' || word.start[0] > '9') &&
	       !text_is(word, "all");
}

#define ALLOW_RANGE	(ALLOW_BLOCKS | ALLOW_FRAMES)
#define ALLOW_ANY	(ALLOW_BLOCKS | ALLOW_FRAMES | ALLOW_SET |	\
			 ALLOW_RUN | ALLOW_INTERIOR | ALLOW_FRAME)

static int read_one_frame(struct scenario *scenario, struct step *step)
{
	if (read_place(scenario, ALLOW_ANY & ~(ALLOW_BLOCKS | ALLOW_SET),
		       &step->place))
		return -1;
	if (step->place.kind == PLACE_FRAMES &&
	    step->place.last - step->place.first != 1)
		return scenario_wrong(scenario, "one frame is needed, not %u",
				      step->place.last - step->place.first);
	return 0;
}

static int read_any_size(struct scenario *scenario, struct step *step)
{
	step->amount.unit = AMOUNT_BYTES;
	return read_size(scenario, "how much", &step->amount.number);
}

static int read_size_amount(struct scenario *scenario, struct step *step)
{
	if (read_any_size(scenario, step))
		return -1;
	if (!step->amount.number)
		return scenario_wrong(scenario, "0 is nothing");
	return 0;
}

static int read_lie(struct scenario *scenario, struct step *step)
{
	const struct scenario_name *name = &scenario->name[step->name];

	step->amount.unit = AMOUNT_COUNT;
	if (read_choice(scenario, "lie", lie_name, &step->amount.number))
		return -1;
	if (name->noun == NOUN_MEM || !lie_is_of_mem(step->amount.number))
		return 0;
	return scenario_wrong(scenario, "lie: %t is a virtio-balloon, and"
			      " \"%s\" is a virtio-mem's", &name->text,
			      lie_name(step->amount.number));
}

#define DRIVEN_NOUNS	(1u << NOUN_OWNER | 1u << NOUN_MEM)
#define DEVICE_NOUNS	(1u << NOUN_MEM | 1u << NOUN_BALLOON)

static bool at_key(struct scenario *scenario, enum key *ret_key)
{
	struct text word = peek_word(scenario);
	unsigned key;

	for (key = 0; key < KEY_COUNT; key++) {
		if (text_is(word, scenario_keys[key].name)) {
			*ret_key = (enum key)key;
			return true;
		}
	}
	return false;
}

/* tidy: long - one case of one call for each sort of argument. */
/* What kinds of place an argument may be that is one; 0: it is none. */
static unsigned places_allowed(enum argument argument)
{
	switch (argument) {
	case ARG_BLOCKS:
		return ALLOW_BLOCKS;
	case ARG_MAYBE_RANGE:
	case ARG_RANGE:
	case ARG_AMOUNT_OR_RANGE:
	case ARG_SIZE_OR_RANGE:
		return ALLOW_RANGE;
	case ARG_FRAMES:
		return ALLOW_ANY;
	case ARG_RUNS:
		return ALLOW_SET | ALLOW_RUN;
	case ARG_CLAIM:
		return ALLOW_SET | ALLOW_RUN | ALLOW_FRAME;
	default:
		return 0;
	}
}

/* Arguments that name something. */
static int read_named(struct scenario *scenario, struct step *step,
		      enum argument argument)
{
	enum noun noun = (enum noun)scenario_verbs[step->kind].noun;

	switch (argument) {
	case ARG_NEW:
		return read_new_name(scenario, noun, &step->name);
	case ARG_DRIVEN:
		return read_name_among(scenario, DRIVEN_NOUNS,
				       "owner or virtio-mem", &step->name);
	case ARG_DEVICE:
		return read_name_among(scenario, DEVICE_NOUNS, "device",
				       &step->name);
	default:
		return read_name(scenario, noun, &step->name);
	}
}

static int read_argument(struct scenario *scenario, struct step *step,
			 enum argument argument)
{
	unsigned allowed = places_allowed(argument);
	enum key key;

	switch (argument) {
	case ARG_NONE:
		return 0;
	case ARG_NEW:
	case ARG_NAME:
	case ARG_DRIVEN:
	case ARG_DEVICE:
		return read_named(scenario, step, argument);
	case ARG_MAYBE_RANGE:
		if (!peek_word(scenario).length || at_key(scenario, &key))
			return 0;
		break;
	case ARG_FRAME:
		return read_one_frame(scenario, step);
	case ARG_AMOUNT_OR_RANGE:
	case ARG_AMOUNT:
		if (!allowed || !at_place(scenario))
			return read_amount(scenario, &step->amount);
		break;
	case ARG_SIZE_OR_RANGE:
	case ARG_SIZE:
		if (!allowed || !at_place(scenario))
			return read_size_amount(scenario, step);
		break;
	case ARG_SIZE_OR_0:
		return read_any_size(scenario, step);
	case ARG_LIE:
		return read_lie(scenario, step);
	case ARG_NUMBER:
		return read_number(scenario, step_name(step->kind),
				   &step->amount.number);
	case ARG_TIME:
		return read_time(scenario, &step->amount.number);
	case ARG_WORKERS:
		return read_workers(scenario, step);
	case ARG_PATH:
		return read_path(scenario, step);
	case ARG_MAYBE_PATH:
		step->text = take_word(scenario);
		return 0;
	case ARG_PRINT:
		return read_print(scenario, step);
	case ARG_REST:
		return read_rest(scenario, step);
	case ARG_BLOCKS:
	case ARG_RANGE:
	case ARG_FRAMES:
	case ARG_RUNS:
	case ARG_CLAIM:
		break;
	}
	return read_place(scenario, allowed, &step->place);
}

static int check_limits(struct scenario *scenario, enum key key,
			uint64_t value)
{
	const struct key_word *word = &scenario_keys[key];

	if (value < word->min)
		return scenario_wrong(scenario, "%s: %u is less than %u",
				      word->name, value, word->min);
	if (value > word->max)
		return scenario_wrong(scenario, "%s: %u is more than %u",
				      word->name, value, word->max);
	return 0;
}

static int read_node(struct scenario *scenario, uint64_t *ret_node)
{
	uint64_t node;

	if (take_if(scenario, "any")) {
		*ret_node = CF_NODE_ANY;
		return 0;
	}
	if (read_number(scenario, "node", &node))
		return -1;
	if (node >= scenario->nodes)
		return scenario_wrong(scenario, "the machine has %u nodes,"
				      " 0 to %u", scenario->nodes,
				      scenario->nodes - 1);
	*ret_node = node;
	return 0;
}

static int read_key_value(struct scenario *scenario, enum key key,
			  uint64_t *ret_value)
{
	const char *name = scenario_keys[key].name;
	uint64_t value = 1;
	uint32_t number = 0;
	int err = 0;

	switch (scenario_keys[key].value) {
	case KEY_FLAG:
		break;
	case KEY_NUMBER:
		err = read_number(scenario, name, &value);
		break;
	case KEY_SIZE:
		err = read_size(scenario, name, &value);
		break;
	case KEY_TIME:
		err = read_time(scenario, &value);
		break;
	case KEY_A_TYPE:
		err = read_choice(scenario, name, type_word, &value);
		break;
	case KEY_A_ZONE:
		err = read_choice(scenario, name, zone_word, &value);
		break;
	case KEY_A_NODE:
		err = read_node(scenario, &value);
		break;
	case KEY_AN_OWNER:
		err = read_owner(scenario, &value);
		break;
	case KEY_A_META:
		err = read_choice(scenario, name, meta_name, &value);
		break;
	case KEY_AN_EXPOSES:
		err = read_choice(scenario, name, exposes_name, &value);
		break;
	case KEY_AN_OVER:
		err = read_choice(scenario, name, over_name, &value);
		break;
	case KEY_A_KIND:
		err = read_choice(scenario, name, kind_name, &value);
		break;
	case KEY_A_PAGEMAP:
		err = read_name(scenario, NOUN_PAGEMAP, &number);
		value = number;
		break;
	}
	if (err || check_limits(scenario, key, value))
		return -1;
	*ret_value = value;
	return 0;
}

static int read_keys(struct scenario *scenario, struct step *step)
{
	const struct verb *verb = &scenario_verbs[step->kind];
	struct text word;
	enum key key;

	while (peek_word(scenario).length) {
		if (!at_key(scenario, &key) || !(verb->keys & KEY_BIT(key))) {
			word = peek_word(scenario);
			return scenario_wrong(scenario,
					      "%s: \"%t\" is not understood",
					      verb->name, &word);
		}
		if (step_has(step, key))
			return scenario_wrong(scenario, "%s is there twice",
					      key_name(key));
		(void)take_word(scenario);
		if (read_key_value(scenario, key, &step->key[key]))
			return -1;
		step->given |= KEY_BIT(key);
	}
	for (key = 0; key < KEY_COUNT; key++)
		if ((verb->needs & KEY_BIT(key)) && !step_has(step, key))
			return scenario_wrong(scenario, "%s needs \"%s\"",
					      verb->name, key_name(key));
	return 0;
}

/* The machine step decides how far places may reach. */
static int set_machine(struct scenario *scenario, struct step *step)
{
	uint64_t block = step_value(step, KEY_BLOCK, CF_FRAME_BYTES <<
						     CF_BLOCK_ORDER_MAX);
	uint64_t memory = step->key[KEY_MEMORY];
	uint64_t span = memory > DEFAULT_SPAN_BYTES ? memory :
						      DEFAULT_SPAN_BYTES;

	if (block & (block - 1))
		return scenario_wrong(scenario,
				      "block: not a power of two");
	if (step_has(step, KEY_SPAN))
		span = step->key[KEY_SPAN];
	if (memory % block || span % block)
		return scenario_wrong(scenario, "memory and span must be"
				      " whole blocks of %u MiB", block >> 20);
	if (memory > span)
		return scenario_wrong(scenario, "the memory is larger than"
				      " the span");
	step->key[KEY_BLOCK] = block;
	step->key[KEY_SPAN] = span;
	scenario->machine = true;
	scenario->block_frames = block / CF_FRAME_BYTES;
	scenario->span_frames = span / CF_FRAME_BYTES;
	scenario->cpus = step_value(step, KEY_CPUS, 1);
	scenario->nodes = step_value(step, KEY_NODES, 1);
	return 0;
}

/* A device's host says how much, and its driver where and how long. */
static int check_driven(struct scenario *scenario, const struct step *step)
{
	const struct scenario_name *name = &scenario->name[step->name];

	if (name->noun == NOUN_MEM && step->place.kind != PLACE_NONE)
		return scenario_wrong(scenario, "%t is a virtio-mem: how much"
				      " is asked for, not where", &name->text);
	if (name->noun == NOUN_OWNER && step_has(step, KEY_FOR))
		return scenario_wrong(scenario, "%t is an owner: there is"
				      " nothing to wait for", &name->text);
	return 0;
}

static int check_mem(struct scenario *scenario, const struct step *step)
{
	uint64_t block = step_value(step, KEY_DEVICE_BLOCK, CF_FRAME_BYTES);
	uint64_t bytes = (step->place.last - step->place.first) *
			 CF_FRAME_BYTES;

	if (block & (block - 1))
		return scenario_wrong(scenario,
				      "device-block: not a power of two");
	if (bytes % block)
		return scenario_wrong(scenario, "the region is not a whole"
				      " number of the device's blocks");
	return 0;
}

/* What one step changes for the ones after it. */
static int follow(struct scenario *scenario, struct step *step)
{
	switch (step->kind) {
	case STEP_MACHINE:
		return set_machine(scenario, step);
	case STEP_MARK:
		scenario->marked = true;
		break;
	case STEP_LOAD:
		if (scenario->loading)
			return scenario_wrong(scenario, "a load is running:"
					      " \"load stop\" ends it");
		scenario->loading = true;
		scenario->workers = step->amount.number;
		break;
	case STEP_PLUG:
	case STEP_UNPLUG:
		return check_driven(scenario, step);
	case STEP_VIRTIO_MEM:
		return check_mem(scenario, step);
	case STEP_LOAD_STOP:
		if (!scenario->loading)
			return scenario_wrong(scenario, "no load is running");
		scenario->loading = false;
		scenario->workers = 0;
		break;
	default:
		break;
	}
	if (step->cpu != STEP_CPU_MAIN &&
	    step->cpu >= scenario->cpus - scenario->workers)
		return scenario_wrong(scenario, "cpu %u runs the load",
				      (uint64_t)step->cpu);
	return 0;
}

/* Take a verb's one or two words, if they come next. */
static bool take_verb(struct scenario *scenario, const char *verb)
{
	struct text before = scenario->words, word = take_word(scenario);
	size_t i;

	for (i = 0; i < word.length && verb[i]; i++)
		if (word.start[i] != verb[i])
			break;
	if (word.length && i == word.length) {
		if (!verb[i])
			return true;
		if (verb[i] == ' ' &&
		    text_is(take_word(scenario), verb + i + 1))
			return true;
	}
	scenario->words = before;
	return false;
}

static int read_verb(struct scenario *scenario, enum step_kind *ret_kind)
{
	struct text word = peek_word(scenario);
	unsigned kind;
	int found = -1;
	struct text after = scenario->words;

	/* The longer of two that fit: "offline start" before "offline". */
	for (kind = 0; kind < STEP_COUNT; kind++) {
		struct text before = scenario->words;

		if (!take_verb(scenario, scenario_verbs[kind].name))
			continue;
		if (found < 0 || scenario->words.length < after.length) {
			found = (int)kind;
			after = scenario->words;
		}
		scenario->words = before;
	}
	if (found < 0)
		return scenario_wrong(scenario, "there is no step \"%t\"",
				      &word);
	scenario->words = after;
	*ret_kind = (enum step_kind)found;
	return 0;
}

/* "on cpu N" before a step, if it is there. */
static int read_cpu(struct scenario *scenario, struct step *step)
{
	uint64_t cpu;

	if (!take_if(scenario, "on"))
		return 0;
	if (!take_if(scenario, "cpu") || read_number(scenario, "cpu", &cpu))
		return scenario_wrong(scenario, "write \"on cpu N STEP\"");
	if (cpu >= scenario->cpus)
		return scenario_wrong(scenario, "the machine has %u CPUs,"
				      " 0 to %u", scenario->cpus,
				      scenario->cpus - 1);
	step->cpu = (unsigned)cpu;
	return 0;
}

/* "expect fails ERROR" and "expect caught" before a step. */
static int read_prefix(struct scenario *scenario, struct step *step)
{
	uint64_t error;

	if (take_if(scenario, "caught")) {
		step->caught = true;
		return 0;
	}
	(void)take_if(scenario, "fails");
	step->fails = true;
	for (error = 1; error_word(error); error++) {
		if (take_if(scenario, error_word(error))) {
			step->error = (unsigned)error;
			break;
		}
	}
	return 0;
}

/* Steps that are nothing that could fail or be caught. */
static bool is_plain(enum step_kind kind)
{
	switch (kind) {
	case STEP_MACHINE: case STEP_LOAD: case STEP_LOAD_STOP:
	case STEP_MARK: case STEP_EXPECT: case STEP_PRINT: case STEP_SAY:
		return true;
	default:
		return false;
	}
}

static int read_step(struct scenario *scenario, struct step *step)
{
	const struct verb *verb;
	struct text word;
	unsigned i;

	if (read_cpu(scenario, step) || read_verb(scenario, &step->kind))
		return -1;
	if (step->kind == STEP_EXPECT) {
		word = peek_word(scenario);
		if (!text_is(word, "fails") && !text_is(word, "caught"))
			return read_expectation(scenario, step);
		if (read_prefix(scenario, step) || read_cpu(scenario, step) ||
		    read_verb(scenario, &step->kind))
			return -1;
		if (is_plain(step->kind))
			return scenario_wrong(scenario,
					      "%s is not a step that fails",
					      step_name(step->kind));
	}
	verb = &scenario_verbs[step->kind];
	for (i = 0; i < VERB_ARGUMENTS_MAX; i++)
		if (read_argument(scenario, step,
				  (enum argument)verb->argument[i]))
			return -1;
	if (read_keys(scenario, step))
		return -1;
	return follow(scenario, step);
}

/* The next line without its comment; false at the end. */
static bool next_line(struct scenario *scenario)
{
	struct text *rest = &scenario->rest, line = *rest;
	size_t length = 0;

	if (!rest->length)
		return false;
	while (length < rest->length && rest->start[length] != '\n')
		length++;
	rest->start += length;
	rest->length -= length;
	if (rest->length) {
		rest->start++;
		rest->length--;
	}
	for (line.length = 0; line.length < length; line.length++)
		if (line.start[line.length] == '#')
			break;
	scenario->words = line;
	line = peek_word(scenario);
	line.length = (size_t)(scenario->words.start +
			       scenario->words.length - line.start);
	while (line.length && (unsigned char)line.start[line.length - 1] <= ' ')
		line.length--;
	scenario->source = line;
	scenario->words = line;
	scenario->line++;
	return true;
}

static void clear_step(struct step *step)
{
	unsigned char *bytes = (unsigned char *)step;
	size_t i;

	for (i = 0; i < sizeof(*step); i++)
		bytes[i] = 0;
	step->cpu = STEP_CPU_MAIN;
}

enum scenario_read scenario_next(struct scenario *scenario,
				 struct step *ret_step)
{
	do {
		if (!next_line(scenario))
			return SCENARIO_END;
	} while (!scenario->source.length);

	clear_step(ret_step);
	ret_step->line = scenario->line;
	ret_step->source = scenario->source;
	if (read_step(scenario, ret_step))
		return SCENARIO_WRONG;
	if (!scenario->machine) {
		(void)scenario_wrong(scenario, "the first step must be"
				     " \"machine memory SIZE\"");
		return SCENARIO_WRONG;
	}
	if (ret_step->kind == STEP_MACHINE && scenario->steps) {
		(void)scenario_wrong(scenario, "there is a machine already");
		return SCENARIO_WRONG;
	}
	scenario->steps++;
	return SCENARIO_STEP;
}
