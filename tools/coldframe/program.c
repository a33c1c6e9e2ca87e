/* SPDX-License-Identifier: MIT */
/* Reading a scenario to its end, and saying what is wrong with it. */
#include "command.h"
#include "program.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/journal.h"

#define TEXT_BYTES_MAX	((size_t)16 << 20)

static char *read_stream(FILE *stream, size_t *ret_bytes)
{
	size_t room = 65536, used = 0, got;
	char *text = malloc(room), *more;

	while (text) {
		got = fread(text + used, 1, room - used, stream);
		used += got;
		if (!got || used > TEXT_BYTES_MAX)
			break;
		if (used < room)
			continue;
		room *= 2;
		more = realloc(text, room);
		if (!more)
			free(text);
		text = more;
	}
	if (text && (ferror(stream) || used > TEXT_BYTES_MAX)) {
		errno = used > TEXT_BYTES_MAX ? EFBIG : errno;
		free(text);
		return NULL;
	}
	*ret_bytes = used;
	return text;
}

static char *read_file(const char *name, size_t *ret_bytes)
{
	FILE *stream = strcmp(name, "-") ? fopen(name, "r") : stdin;
	char *text;

	if (!stream)
		return NULL;
	text = read_stream(stream, ret_bytes);
	if (stream != stdin)
		(void)fclose(stream);
	return text;
}

static json_t *line_json(const char *text)
{
	return journal_text(text, strlen(text));
}

/* What is wrong with a file that does not run. */
static int say_wrong(bool json, const char *file, uint32_t line,
		     const char *what)
{
	char where[32] = "";
	json_t *object;

	if (line)
		(void)snprintf(where, sizeof(where), "%u:", line);
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s:%s %s\n", file, where, what);
	if (!json)
		return EXIT_WRONG;
	object = json_pack("{s:o, s:i, s:o}", "scenario", line_json(file),
			   "status", EXIT_WRONG, "error", line_json(what));
	if (object && line)
		(void)json_object_set_new(object, "line",
					  json_integer((json_int_t)line));
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
	return EXIT_WRONG;
}

static bool add_step(struct program *program, size_t *room,
		     const struct step *step)
{
	struct step *steps;

	if (program->steps == *room) {
		*room = *room ? 2 * *room : 64;
		steps = realloc(program->step, *room * sizeof(*steps));
		if (!steps)
			return false;
		program->step = steps;
	}
	program->step[program->steps++] = *step;
	return true;
}

int program_read(struct program *program,
		 const struct scenario_origin *origin, bool json)
{
	enum scenario_read read;
	struct step step;
	size_t room = 0;

	program->text = read_file(program->file, &program->bytes);
	if (!program->text)
		return say_wrong(json, program->file, 0, strerror(errno));
	scenario_init(&program->scenario, program->text, program->bytes);
	if (origin)
		scenario_resume(&program->scenario, origin);
	while ((read = scenario_next(&program->scenario, &step)) ==
	       SCENARIO_STEP)
		if (!add_step(program, &room, &step))
			return say_wrong(json, program->file, 0,
					 strerror(ENOMEM));
	if (read == SCENARIO_WRONG)
		return say_wrong(json, program->file,
				 program->scenario.line,
				 program->scenario.error);
	if (!program->steps)
		return say_wrong(json, program->file, 0,
				 "there is no step in it");
	return 0;
}

int program_wrong(const struct program *program, uint32_t line,
		  const char *what, bool json)
{
	return say_wrong(json, program->file, line, what);
}

void program_free(struct program *program)
{
	free(program->step);
	free(program->text);
}
