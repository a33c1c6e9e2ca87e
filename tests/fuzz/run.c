/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a file for "coldframe run": it ends with a status that is
 * documented, says why it is not 0, and prints one JSON object if asked to.
 *
 * The first line's words are options, so that a file can be "#", options, and
 * a scenario. Wrong lines are wrong here.
 */
#include "fuzz.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "command.h"
#include "machine/machine.h"
#include "maps.h"

#define BYTES_MAX	4096

/* The names run.c calls them by; see run.h. */
pid_t run_fork(void);
_Noreturn void run_exit(int status);
void run_step(struct machine *machine, const struct step *step,
	      struct outcome *ret_outcome);
void run_destroy(struct machine *machine);

static jmp_buf ended;
static struct bounds bounds;
static int status_of_file;

pid_t run_fork(void)
{
	return 0;
}

_Noreturn void run_exit(int status)
{
	status_of_file = status;
	longjmp(ended, 1);
}

/* What is out of bounds does nothing, and went well. */
void run_step(struct machine *machine, const struct step *step,
	      struct outcome *ret_outcome)
{
	struct step within = *step;

	if (bounds_apply(&bounds, &within)) {
		machine_step(machine, &within, ret_outcome);
		return;
	}
	*ret_outcome = (struct outcome){ .err = 0 };
	if (step->kind == STEP_MACHINE) {
		ret_outcome->err = -CF_ENOMEM;
		strcpy(ret_outcome->why, "larger than a fuzzer likes");
	}
}

void run_destroy(struct machine *machine)
{
	maps_destroy(machine);
}

static void write_file(const char *path, const uint8_t *bytes, size_t count)
{
	FILE *file = fopen(path, "wb");

	HOLDS(file);
	HOLDS(fwrite(bytes, 1, count, file) == count);
	HOLDS(!fclose(file));
}

/* It names a file, begins the files, or wants another machine. */
static bool is_unsafe(const char *word)
{
	if (word[0] != '-' || !strcmp(word, "-") || !strcmp(word, "--"))
		return true;
	if (word[1] == '-')
		return word[2] == 'e' || word[2] == 'm';
	return strpbrk(word, "em") != NULL;
}

/* "# -j --verify=step": the words of the first line, but for files. */
static void add_options(struct command_line *line, const uint8_t *bytes,
			size_t count)
{
	const uint8_t *end = count ? memchr(bytes, '\n', count) : NULL;
	size_t length = end ? (size_t)(end - bytes) : 0;
	char text[120], *rest = text, *word;

	if (length < 2 || length >= sizeof(text) || bytes[0] != '#')
		return;
	memcpy(text, bytes + 1, length - 1);
	text[length - 1] = 0;
	while ((word = strsep(&rest, " \t")) != NULL)
		if (!is_unsafe(word))
			(void)command_add(line, word);
}

static bool has_option(const struct command_line *line, const char *option)
{
	int i;

	for (i = 0; i < line->count; i++)
		if (!strcmp(line->word[i], option))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static struct command_line line;
	static char path[512];
	int status;

	if (count > BYTES_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s/file.cf", fuzz_folder());
	write_file(path, bytes, count);
	line.count = 0;
	(void)command_add(&line, "run");
	add_options(&line, bytes, count);
	(void)command_add(&line, path);
	bounds = (struct bounds){ .spoiled = false };
	status_of_file = -1;
	maps_begin();
	status = setjmp(ended) ? status_of_file : command_run(&line, cmd_run);
	maps_end();
	HOLDS(status >= 0 && status <= 2);
	if (status_of_file >= 0 && has_option(&line, "-j"))
		HOLDS(command_said_json());
	command_free(&line);
	fuzz_folder_clear();
	return 0;
}
