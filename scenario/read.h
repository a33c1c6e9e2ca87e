/* SPDX-License-Identifier: MIT */
#ifndef SCENARIO_READ_H
#define SCENARIO_READ_H

/*
 * Reading the pieces of a line: words, numbers, sizes, names and places.
 *
 * Every read_*() returns 0 with *@ret_x filled, or -1 with scenario->error
 * saying what is wrong.
 */

#include "words.h"

#define READ_MUST_CHECK	CF_MUST_CHECK

bool text_is(struct text text, const char *word);
bool text_same(struct text a, struct text b);

/**
 * scenario_wrong() - say what is wrong.
 * @format: %t a struct text *, %s a string, %u a uint64_t, %% itself
 * Return:  -1
 */
int scenario_wrong(struct scenario *scenario, const char *format, ...);

/* The next word of the line without taking it; length 0 at its end. */
struct text peek_word(const struct scenario *scenario);
struct text take_word(struct scenario *scenario);

/* Take the next word if it is @word. */
bool take_if(struct scenario *scenario, const char *word);

int read_number(struct scenario *scenario, const char *what,
		uint64_t *ret_number) READ_MUST_CHECK;
int read_size(struct scenario *scenario, const char *what,
	      uint64_t *ret_bytes) READ_MUST_CHECK;
int read_time(struct scenario *scenario, uint64_t *ret_ns) READ_MUST_CHECK;
int read_percent(struct scenario *scenario, unsigned *ret_percent)
	READ_MUST_CHECK;
int read_amount(struct scenario *scenario, struct amount *ret_amount)
	READ_MUST_CHECK;

/* A word of a list: @word_at(0) ... until NULL. */
int read_choice(struct scenario *scenario, const char *what,
		const char *(*word_at)(uint64_t), uint64_t *ret_number)
	READ_MUST_CHECK;

/* A number, size or place as it stands in @word; 0 or -1 without a message. */
int parse_number(struct text word, uint64_t *ret_number) READ_MUST_CHECK;
int parse_size(struct text word, uint64_t *ret_bytes) READ_MUST_CHECK;

int read_new_name(struct scenario *scenario, enum noun noun,
		  uint32_t *ret_number) READ_MUST_CHECK;
int read_name(struct scenario *scenario, enum noun noun, uint32_t *ret_number)
	READ_MUST_CHECK;
/* As read_owner(), or a device: its driver owns frames. */
int read_owner_value(struct scenario *scenario, uint64_t *ret_number)
	READ_MUST_CHECK;

/* One of several nouns: a bit each, 1 << NOUN. @what: they, for people. */
int read_name_among(struct scenario *scenario, unsigned nouns,
		    const char *what, uint32_t *ret_number) READ_MUST_CHECK;
int read_owner(struct scenario *scenario, uint64_t *ret_number)
	READ_MUST_CHECK;

/* Which places will do. */
#define ALLOW_BLOCKS	(1u << 0)
#define ALLOW_FRAMES	(1u << 1)
#define ALLOW_SET	(1u << 2)	/* a whole set */
#define ALLOW_RUN	(1u << 3)	/* one run of it */
#define ALLOW_INTERIOR	(1u << 4)	/* one frame of that */
#define ALLOW_FRAME	(1u << 5)	/* a remembered frame */

int read_place(struct scenario *scenario, unsigned allow,
	       struct place *ret_place) READ_MUST_CHECK;

/* One frame: its number, its address, a run or a remembered frame. */
int read_frame(struct scenario *scenario, struct place *ret_place)
	READ_MUST_CHECK;

/* What follows "expect". */
int read_expectation(struct scenario *scenario, struct step *step)
	READ_MUST_CHECK;

#endif
