/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_PROGRAM_H
#define COLDFRAME_PROGRAM_H

#include <stdbool.h>

#include "scenario/scenario.h"

/* A scenario that was read to its end. */
struct program {
	const char *file;	/* as it was named; "-": standard input */
	char *text;
	size_t bytes;
	struct scenario scenario;
	struct step *step;
	size_t steps;
};

/**
 * program_read() - read a scenario.
 * @program: zeroed but for @file
 * @origin:  NULL, or the machine it goes on from
 * @json:    say what is wrong as JSON, too
 *
 * Pair with program_free(). Return: 0, or the exit status, said already.
 */
int program_read(struct program *program,
		 const struct scenario_origin *origin, bool json);

/* That something in it is wrong: on stderr, and as JSON. EXIT_WRONG. */
int program_wrong(const struct program *program, uint32_t line,
		  const char *what, bool json);
void program_free(struct program *program);

#endif
