/* SPDX-License-Identifier: MIT */
/*
 * How libFuzzer changes a scenario: by whole lines, half the time. A line
 * that is made up uses the names and the blocks that the scenario has, so
 * that most of them are right.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "scenario/words.h"

#define LINE_BYTES	256

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t room,
			       unsigned seed);

struct line {
	char text[LINE_BYTES];
	size_t length;
};

static struct scenario scenario;	/* as far as it can be read */
static uint64_t state;

static unsigned below(unsigned limit)
{
	state = state * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(state >> 33) % limit;
}

__attribute__((format(printf, 2, 3)))
static void add(struct line *line, const char *format, ...)
{
	va_list values;
	int length;

	va_start(values, format);
	length = vsnprintf(line->text + line->length,
			   LINE_BYTES - line->length, format, values);
	va_end(values);
	line->length += (size_t)length;
	if (line->length >= LINE_BYTES)
		line->length = LINE_BYTES - 1;
}

static void read_scenario(const uint8_t *bytes, size_t count)
{
	static struct step step;

	scenario_init(&scenario, (const char *)bytes, count);
	while (scenario_next(&scenario, &step) == SCENARIO_STEP)
		;
	if (!scenario.machine)
		scenario.span_frames = scenario.block_frames;
}

/* ---- words ---- */

static void add_name(struct line *line, enum noun noun)
{
	unsigned start = below(scenario.names + 1), i;

	for (i = 0; i < scenario.names; i++) {
		const struct scenario_name *name =
			&scenario.name[(start + i) % scenario.names];

		if (name->noun == noun) {
			add(line, " %.*s", (int)name->text.length,
			    name->text.start);
			return;
		}
	}
	add(line, " nobody");
}

static void add_size(struct line *line)
{
	static const char *const sizes[] = {
		"4K", "8K", "64K", "512K", "1M", "2M", "4M", "8M", "3f", "0",
	};

	add(line, " %s", sizes[below(sizeof(sizes) / sizeof(sizes[0]))]);
}

static unsigned random_block(void)
{
	unsigned blocks = (unsigned)(scenario.span_frames /
				     scenario.block_frames);

	if (!blocks)
		return 0;
	return below(blocks > 6 && below(8) ? 6 : blocks);
}

static void add_blocks(struct line *line)
{
	unsigned first = random_block(), last = random_block();

	if (first < last && below(2))
		add(line, " blocks %u-%u", first, last);
	else
		add(line, " block %u", first);
}

static void add_range(struct line *line)
{
	uint64_t block = random_block();

	if (below(4) == 0) {
		add(line, " frames %llu+%u", (unsigned long long)
		    (block * scenario.block_frames) + below(1100),
		    1u << below(12));
		return;
	}
	if (below(2)) {
		add_blocks(line);
		return;
	}
	add(line, " block %u chunk %u", (unsigned)block, below(3));
}

static void add_runs(struct line *line)
{
	add_name(line, NOUN_SET);
	if (below(2))
		add(line, "[%u]", below(5));
}

static void add_place(struct line *line, bool one)
{
	switch (below(4)) {
	case 0:
		add_name(line, NOUN_FRAME);
		break;
	case 1:
		add_name(line, NOUN_SET);
		add(line, "[%u]+%u", below(4), below(4));
		break;
	case 2:
		add_runs(line);
		break;
	default:
		if (one)
			add(line, " frame %u", below(5000));
		else
			add_range(line);
	}
}

static void add_argument(struct line *line, enum argument argument,
			 enum noun noun)
{
	switch (argument) {
	case ARG_NEW:
		add(line, " n%u", below(1000));
		break;
	case ARG_NAME:
		add_name(line, noun);
		break;
	case ARG_BLOCKS:
		add_blocks(line);
		break;
	case ARG_RANGE: case ARG_AMOUNT_OR_RANGE: case ARG_SIZE_OR_RANGE:
		if (argument == ARG_RANGE || below(2))
			add_range(line);
		else
			add_size(line);
		break;
	case ARG_FRAMES: case ARG_CLAIM: case ARG_FRAME:
		add_place(line, argument == ARG_FRAME);
		break;
	case ARG_RUNS:
		add_runs(line);
		break;
	case ARG_AMOUNT:
		if (below(10) == 0)
			add(line, " all");
		else if (below(2))
			add(line, " %u", 1 + below(12));
		else
			add_size(line);
		break;
	case ARG_SIZE:
		add_size(line);
		break;
	case ARG_NUMBER:
		add(line, " %u", below(300));
		break;
	case ARG_TIME:
		add(line, " %uus", below(500));
		break;
	case ARG_WORKERS:
		add(line, " 1 workers");
		break;
	default:
		break;
	}
}

static const char *random_word(const char *(*word_at)(uint64_t))
{
	unsigned count = 0;

	while (word_at(count))
		count++;
	return word_at(below(count));
}

static void add_key(struct line *line, enum key key)
{
	add(line, " %s", key_name(key));
	switch (scenario_keys[key].value) {
	case KEY_FLAG:
		break;
	case KEY_NUMBER:
		add(line, " %u", below(8) ? 1 + below(10) : below(70000));
		break;
	case KEY_SIZE:
		add_size(line);
		break;
	case KEY_TIME:
		add(line, " %uus", below(100));
		break;
	case KEY_A_TYPE:
		add(line, " %s", random_word(type_word));
		break;
	case KEY_A_ZONE:
		add(line, " %s", random_word(zone_word));
		break;
	case KEY_A_NODE:
		add(line, " %u", below((unsigned)scenario.nodes));
		break;
	case KEY_AN_OWNER:
		add_name(line, NOUN_OWNER);
		break;
	case KEY_A_META:
		add(line, " %s", random_word(meta_name));
		break;
	case KEY_AN_EXPOSES:
		add(line, " %s", random_word(exposes_name));
		break;
	}
}

/* Any step but the machine and an expectation. */
static void make_up(struct line *line)
{
	unsigned kind = 1 + below(STEP_COUNT - 1), key, i;
	const struct verb *verb = &scenario_verbs[kind];

	line->length = 0;
	if (below(12) == 0)
		add(line, "on cpu %u ", below((unsigned)scenario.cpus));
	add(line, "%s", kind == STEP_EXPECT ? "verify" : verb->name);
	for (i = 0; i < VERB_ARGUMENTS_MAX; i++)
		add_argument(line, (enum argument)verb->argument[i],
			     (enum noun)verb->noun);
	for (key = 0; key < KEY_COUNT; key++)
		if ((verb->keys & KEY_BIT(key)) &&
		    ((verb->needs & KEY_BIT(key)) || below(3) == 0))
			add_key(line, (enum key)key);
	add(line, "\n");
}

/* ---- lines in the text ---- */

/* Where some line begins; the last one may be the end of the text. */
static size_t random_line(const uint8_t *bytes, size_t count)
{
	size_t at = below((unsigned)count + 1);

	while (at > 0 && bytes[at - 1] != '\n')
		at--;
	return at;
}

static size_t line_end(const uint8_t *bytes, size_t count, size_t at)
{
	while (at < count && bytes[at] != '\n')
		at++;
	return at < count ? at + 1 : at;
}

/* Replace bytes [at, end) by the line. */
static size_t put_line(uint8_t *bytes, size_t count, size_t room, size_t at,
		       size_t end, const struct line *line)
{
	if (count - (end - at) + line->length > room)
		return count;
	memmove(bytes + at + line->length, bytes + end, count - end);
	memcpy(bytes + at, line->text, line->length);
	return count - (end - at) + line->length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t room,
			       unsigned seed)
{
	struct line line = { .length = 0 };
	size_t at, end;

	state = seed;
	if (below(2))
		return LLVMFuzzerMutate(bytes, count, room);
	read_scenario(bytes, count);
	at = random_line(bytes, count);
	end = line_end(bytes, count, at);
	switch (below(5)) {
	case 0:		/* leave it out */
		break;
	case 1:		/* the same once more, elsewhere */
		if (end - at >= LINE_BYTES)
			break;
		memcpy(line.text, bytes + at, end - at);
		line.length = end - at;
		at = end = random_line(bytes, count);
		break;
	case 2:		/* another in its place */
		make_up(&line);
		break;
	default:	/* another before it */
		make_up(&line);
		end = at;
	}
	return put_line(bytes, count, room, at, end, &line);
}
