/* SPDX-License-Identifier: MIT */
#ifndef SCENARIO_WORDS_H
#define SCENARIO_WORDS_H

/* The vocabulary: which words there are and what may stand where. */

#include "scenario.h"

/* What stands between a step's verb and its keys. */
enum argument {
	ARG_NONE,
	ARG_NEW,		/* declares a name of the verb's noun */
	ARG_NAME,		/* uses one */
	ARG_DRIVEN,		/* an owner or a virtio-mem device */
	ARG_DEVICE,		/* a device of either kind */
	ARG_BLOCKS,		/* whole blocks */
	ARG_RANGE,		/* blocks or frames, by number */
	ARG_MAYBE_RANGE,	/* the same, or nothing: all memory */
	ARG_FRAMES,		/* any frames, a set or a run */
	ARG_FRAME,		/* one frame */
	ARG_RUNS,		/* a set or a run */
	ARG_CLAIM,		/* a set, a run or a remembered frame */
	ARG_AMOUNT,		/* runs, a size, or "all" */
	ARG_AMOUNT_OR_RANGE,
	ARG_SIZE,
	ARG_SIZE_OR_0,
	ARG_SIZE_OR_RANGE,
	ARG_NUMBER,
	ARG_TIME,
	ARG_WORKERS,		/* N workers */
	ARG_PATH,
	ARG_MAYBE_PATH,		/* a path, or nothing */
	ARG_PRINT,		/* enum print, or nothing: all of it */
	ARG_LIE,		/* one of lie_name() */
	ARG_REST		/* the rest of the line */
};

#define VERB_ARGUMENTS_MAX	2

struct verb {
	const char *name;	/* one word, or two */
	uint8_t argument[VERB_ARGUMENTS_MAX];	/* enum argument */
	uint8_t noun;		/* of ARG_NEW and ARG_NAME */
	uint64_t keys;		/* that may follow */
	uint64_t needs;		/* of these, that must */
};

enum key_value {
	KEY_FLAG, KEY_NUMBER, KEY_SIZE, KEY_TIME, KEY_A_TYPE, KEY_A_ZONE,
	KEY_A_NODE, KEY_AN_OWNER, KEY_A_META, KEY_AN_EXPOSES,
	KEY_AN_OVER, KEY_A_KIND, KEY_A_PAGEMAP
};

struct key_word {
	const char *name;
	enum key_value value;
	uint64_t min, max;	/* NUMBER, SIZE */
};

struct property_word {
	const char *name;
	enum value_kind value;
};

extern const struct verb scenario_verbs[STEP_COUNT];
extern const struct key_word scenario_keys[KEY_COUNT];
extern const struct property_word scenario_properties[PROPERTY_COUNT];

/* Words with a number; NULL past the last. */
const char *meta_name(uint64_t meta);
const char *exposes_name(uint64_t exposes);
const char *over_name(uint64_t over);
const char *kind_name(uint64_t kind);
const char *print_name(uint64_t print);
const char *type_word(uint64_t type);
const char *zone_word(uint64_t zone);

/* What a subject's word is followed by. */
enum noun subject_noun(enum subject_kind subject);

#endif
