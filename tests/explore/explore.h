/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_H
#define EXPLORE_H

/*
 * What a program that is explored is made of, and what it may call.
 *
 * A program is a set-up, two to four threads and a look at the end.  The
 * set-up runs once, alone; then the threads run under every schedule and with
 * every value a load may return, each time from the memory the set-up left;
 * the end runs alone after each.  Memory that threads share comes from
 * explore_memory().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"

#define EXPLORE_THREADS_MAX 4

struct explore_program {
	const char *name;
	const char *worry;	/* what it settles, and whose worry that is */
	void (*setup)(void);
	void (*thread[EXPLORE_THREADS_MAX])(void);
	void (*end)(void);	/* may be NULL */
	unsigned bound;		/* preemptions; 0: no bound */
	/*
	 * Litmus programs: what explore_outcome() may have said at an end;
	 * exactly these must be seen. NULL: not a litmus program.
	 */
	const char *outcomes;
	/*
	 * A program that shows what the explorer finds: what the failure it
	 * must find says, and the most preemptions that takes.
	 */
	const char *fails;
	unsigned preemptions;
	bool quick;		/* among those the quick suite runs */
};

/* Zeroed, page aligned, restored before each run. For set-up only. */
void *explore_memory(size_t bytes);
/* Call a stretch of that memory @name in traces; @index if not negative. */
void explore_name(const void *memory, size_t bytes, const char *name,
		  int64_t index);

/* Which thread runs: 0 up, or EXPLORE_THREADS_MAX at set-up and end. */
unsigned explore_self(void);

/* A failure of the program under exploration, named @what. */
__attribute__((noreturn)) void explore_fail(const char *what,
					    const char *file, int line);

#define REQUIRE(expression)						\
	do {								\
		if (!(expression))					\
			explore_fail(#expression, __FILE__, __LINE__);	\
	} while (0)

/* The thread cannot go on before another has done something. */
void explore_wait(void);

/*
 * An execution that is of no interest: for instance, the thread did not get
 * what the rest is about.  Not counted.
 */
__attribute__((noreturn)) void explore_abandon(void);

/* The thread ends here. */
__attribute__((noreturn)) void explore_exit(void);

/* Note what a litmus program ended with, up to 15 characters. */
void explore_outcome(const char *text);

/*
 * Wait until the word is 0; an exchange with 0, or with 1.  It acquires and
 * releases.
 */
void explore_await_zero(uint64_t *word, const struct explore_site *site);
void explore_lock(uint64_t *word, const struct explore_site *site);

#endif
