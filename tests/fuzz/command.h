/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_COMMAND_H
#define TESTS_FUZZ_COMMAND_H

/* Commands of the coldframe program, run in this process. */

#include <stdbool.h>

#include "tools/coldframe/command.h"

#define COMMAND_WORDS_MAX	64

struct command_line {
	int count;
	char *word[COMMAND_WORDS_MAX + 1];
};

/* A copy of @word at the end. False: there are enough. */
bool command_add(struct command_line *line, const char *word);
void command_free(struct command_line *line);

typedef int (*command_fn)(int argc, char **argv);

/*
 * Run a command, its name in word[0], with what it prints kept in a file.
 * Returns its exit status, which is one of those documented.
 */
int command_run(struct command_line *line, command_fn command);

/* What the last one has printed is one JSON object. */
bool command_said_json(void);

#endif
