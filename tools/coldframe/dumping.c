/* SPDX-License-Identifier: MIT */
#include "dumping.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "common.h"

void dumping_say(const struct dump_result *result, char *text, size_t bytes)
{
	uint64_t present = dump_tally_present(&result->tally);
	uint64_t zero = result->tally.frames[DUMP_ZERO];
	char in[24], all[24], file[24], lost[64] = "";

	if (result->lost)
		(void)snprintf(lost, sizeof(lost), ", %" PRIu64
			       " frames went meanwhile", result->lost);
	(void)snprintf(text, bytes, "%s of %s, %" PRIu64 " frames of zeroes, "
		       "in a file of %s%s",
		       common_bytes(result->written * CF_FRAME_BYTES, in),
		       common_bytes(present * CF_FRAME_BYTES, all), zero,
		       common_bytes(result->bytes, file), lost);
}

/* A device or a pipe takes what is written one after the other. */
static bool is_replaced(struct text path)
{
	char *name = strndup(path.start, path.length);
	struct stat status;
	bool is = name && (stat(name, &status) || S_ISREG(status.st_mode));

	free(name);
	return is;
}

/* One that is to fail writes nothing. */
static bool writes_file(const struct step *step)
{
	return (step->kind == STEP_DUMP || step->kind == STEP_SAVE) &&
	       !step->fails && step->text.length && is_replaced(step->text);
}

static bool is_same(struct text a, struct text b)
{
	return a.length == b.length && !memcmp(a.start, b.start, a.length);
}

/* The line of an earlier step that writes what step @at writes, or 0. */
static uint32_t earlier_writer(const struct program *program, size_t at)
{
	const struct step *step = program->step;
	size_t i;

	for (i = 0; i < at; i++)
		if (writes_file(&step[i]) &&
		    is_same(step[i].text, step[at].text))
			return step[i].line;
	return 0;
}

int dumping_check(const struct program *program, const char *path, bool json)
{
	const struct text last = { path, path ? strlen(path) : 0 };
	char text[64] = "the dump of the end is of the same file";
	uint32_t line;
	size_t i;

	for (i = 0; i < program->steps; i++) {
		const struct step *step = &program->step[i];

		if (!writes_file(step))
			continue;
		line = earlier_writer(program, i);
		if (line)
			(void)snprintf(text, sizeof(text),
				       "line %u writes the same file", line);
		if (line || is_same(step->text, last))
			return program_wrong(program, step->line, text, json);
	}
	return EXIT_OK;
}

static int write_from(struct dump_source *source,
		      const struct machine_dump *request,
		      const struct dump_options *options,
		      struct dump_result *ret_result, struct dump_why *why)
{
	int err = dump_write(source, options, request->path, ret_result, why);

	dump_source_close(source);
	return err;
}

int dumping_write(const struct machine_dump *request,
		  const struct dump_options *options,
		  struct dump_result *ret_result, struct dump_why *why)
{
	struct dump_source source;
	struct dump *dump;
	int err;

	if (request->map) {
		err = dump_source_live(&source, request->map, "embedded",
				       options->level, why);
		return err ? err : write_from(&source, request, options,
					      ret_result, why);
	}
	if (dump_open(request->core, &dump, why))
		return -1;
	err = dump_source_file(&source, dump, options->level, why);
	if (!err)
		err = write_from(&source, request, options, ret_result, why);
	dump_close(dump);
	return err;
}

int dumping_step(void *context, const struct machine_dump *request, char *text,
		 size_t bytes)
{
	const struct dump_options options = {
		.format = request->elf ? DUMP_ELF : DUMP_KDUMP,
		.compress = COMPRESS_ZLIB,
		.level = request->level,
	};
	struct dump_why why = { "the process has no memory" };
	struct dump_result result;
	int err = dumping_write(request, &options, &result, &why);

	(void)context;
	if (err)
		(void)snprintf(text, bytes, "%s", why.text);
	else
		dumping_say(&result, text, bytes);
	return err;
}
