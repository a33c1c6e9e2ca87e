/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_OWNERS_PLAY_H
#define TESTS_MODEL_OWNERS_PLAY_H

/*
 * Random calls of one owner beside a slow, obvious model of it.
 *
 * A program is a struct play.  A run of it makes a machine and an owner, makes
 * so many calls, compares everything after each of them, and gives everything
 * back.  What call number N does is drawn from the seed and N alone, so that
 * a call that is left out changes what no other one draws: a run that failed
 * is told by its seed and the numbers of the calls that are left of it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/machine.h"

struct play {
	const char *name;
	void (*begin)(void);	/* machine and owner, drawn, too */
	void (*call)(void);	/* one of them, and what it returned */
	void (*compare)(void);	/* all there is with the model */
	void (*end)(void);	/* and nothing is left */
	const char *const *calls;	/* names, each of which must succeed
					 * now and then; NULL ends them */
};

int play_main(int argc, char **argv, const struct play *play);

/* A number below @limit, of the call that runs. */
uint32_t draw(uint32_t limit);
bool draw_chance(unsigned percent);

/* Say what is wrong and end the run. */
__attribute__((noreturn, format(printf, 3, 4)))
void play_fail(const char *file, int line, const char *format, ...);

#define REQUIRE(condition)						\
	((condition) ? (void)0 :					\
	 play_fail(__FILE__, __LINE__, "%s", #condition))

#define REQUIRE_EQ(found, expected)					\
	play_equal(__FILE__, __LINE__, #found " == " #expected,		\
		   (long long)(found), (long long)(expected))

static inline void play_equal(const char *file, int line, const char *text,
			      long long found, long long expected)
{
	if (found != expected)
		play_fail(file, line, "%s: found %lld (%#llx), expected %lld",
			  text, found, (unsigned long long)found, expected);
}

/* Sets of codes that a call may return. */
#define OK		1u
#define E(code)		(1u << (code))

/*
 * What a call returned: counted, traced with what it was about, and demanded
 * to be of the set @codes.  Returns whether it succeeded.
 */
__attribute__((format(printf, 4, 5)))
bool play_told(const char *call, int err, uint32_t codes, const char *format,
	       ...);

/* A word in a frame, to be known by. */
void play_stamp(cf_pfn pfn, uint64_t mark);
uint64_t play_mark(cf_pfn pfn);

/* Memory for an owner: aligned to 16, of the run. */
void *play_room(size_t bytes);

#endif
