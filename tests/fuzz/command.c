/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static int output = -1;		/* a file without a name: stdout */

bool command_add(struct command_line *line, const char *word)
{
	if (line->count == COMMAND_WORDS_MAX)
		return false;
	line->word[line->count] = strdup(word);
	HOLDS(line->word[line->count]);
	line->count++;
	return true;
}

void command_free(struct command_line *line)
{
	while (line->count)
		free(line->word[--line->count]);
}

static void empty_output(void)
{
	if (output < 0) {
		output = memfd_create("output", 0);
		HOLDS(output >= 0 && dup2(output, STDOUT_FILENO) >= 0);
	}
	HOLDS(!ftruncate(output, 0) && !lseek(output, 0, SEEK_SET));
}

/* getopt_long() moves words: let it move those of a copy. */
int command_run(struct command_line *line, command_fn command)
{
	char *word[COMMAND_WORDS_MAX + 1];
	int status;

	memcpy(word, line->word, sizeof(word));
	word[line->count] = NULL;
	empty_output();
	optind = 0;
	status = command(line->count, word);
	HOLDS(status == EXIT_OK || status == EXIT_FAILED ||
	      status == EXIT_WRONG);
	return status;
}

bool command_said_json(void)
{
	json_t *json;
	bool is_object;

	HOLDS(!lseek(output, 0, SEEK_SET));
	json = json_loadfd(output, 0, NULL);
	is_object = json_is_object(json);
	json_decref(json);
	return is_object;
}
