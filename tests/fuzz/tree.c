/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define MARK		"\n--- "
#define MARK_BYTES	5
#define NAME_BYTES	120
#define FILES_MAX	64
#define WORDS_MAX	((uint64_t)1 << 18)	/* of a file written in runs */
#define SPARSE_MAX	((uint64_t)1 << 22)	/* bytes */
#define RUN_BYTES	9

struct part {
	char name[NAME_BYTES];
	const uint8_t *bytes;
	size_t count;
};

/* The next part; false: none. Its name is what a file may have. */
static bool next_part(const uint8_t **at, const uint8_t *end,
		      struct part *part)
{
	const uint8_t *name = *at, *line, *next;
	size_t length;

	line = name < end ? memchr(name, '\n', (size_t)(end - name)) : NULL;
	if (!line)
		return false;
	length = (size_t)(line - name);
	if (length >= NAME_BYTES || memchr(name, 0, length))
		return false;
	memcpy(part->name, name, length);
	part->name[length] = 0;
	/* The newline of the name may be that of the next mark. */
	next = memmem(line, (size_t)(end - line), MARK, MARK_BYTES);
	part->bytes = line + 1;
	part->count = next > line ? (size_t)(next - line - 1) :
		      next ? 0 : (size_t)(end - line - 1);
	*at = next ? next + MARK_BYTES : end;
	return true;
}

static bool name_is_safe(const char *name)
{
	const char *at;

	if (strncmp(name, "proc/", 5) && strncmp(name, "sys/", 4))
		return false;
	for (at = name; *at; at++) {
		if (!islower((unsigned char)*at) &&
		    !strchr("0123456789_/", *at))
			return false;
	}
	return true;
}

/* Make the folders of a path below the root. */
static void make_folders(char *path)
{
	char *slash = path + strlen(fuzz_folder()) + 1;

	while ((slash = strchr(slash, '/')) != NULL) {
		*slash = 0;
		(void)mkdir(path, 0777);
		*slash++ = '/';
	}
}

static void write_runs(FILE *file, const uint8_t *bytes, size_t count)
{
	uint64_t word, words = 0, times;

	for (; count >= RUN_BYTES; bytes += RUN_BYTES, count -= RUN_BYTES) {
		memcpy(&word, bytes, sizeof(word));
		times = (uint64_t)1 << bytes[8] % 13;
		for (; times && words < WORDS_MAX; times--, words++)
			(void)fwrite(&word, sizeof(word), 1, file);
	}
	(void)fwrite(bytes, 1, count, file);
}

static void write_sparse(FILE *file, const struct part *part)
{
	char digits[24] = "";
	uint64_t bytes;

	memcpy(digits, part->bytes, part->count < 23 ? part->count : 23);
	bytes = strtoull(digits, NULL, 0);
	HOLDS(!ftruncate(fileno(file), (off_t)(bytes % (SPARSE_MAX + 1))));
}

static void make_link(const struct part *part, const char *path)
{
	char target[160] = "";

	memcpy(target, part->bytes, part->count < 159 ? part->count : 159);
	if (strstr(part->name, "/fd/"))
		(void)!symlink(target, path);
}

static void write_file(struct part *part)
{
	char path[512];
	char *how = strchr(part->name, ':');
	FILE *file;

	if (how)
		*how++ = 0;
	if (!name_is_safe(part->name))
		return;
	snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), part->name);
	make_folders(path);
	if (how && !strcmp(how, "link")) {
		make_link(part, path);
		return;
	}
	file = fopen(path, "wb");
	if (!file)
		return;		/* a folder, or below a file */
	if (how && !strcmp(how, "runs"))
		write_runs(file, part->bytes, part->count);
	else if (how && !strcmp(how, "sparse"))
		write_sparse(file, part);
	else
		(void)fwrite(part->bytes, 1, part->count, file);
	fclose(file);
}

static void add_options(const struct part *part, struct command_line *line)
{
	char *text = calloc(1, part->count + 1);
	char *rest = text, *word;

	HOLDS(text);
	memcpy(text, part->bytes, part->count);
	while ((word = strsep(&rest, "\n")) != NULL)
		if (*word && line->count < COMMAND_WORDS_MAX - 2)
			(void)command_add(line, word);
	free(text);
}

void tree_make(const uint8_t *bytes, size_t count, struct command_line *line)
{
	const uint8_t *at = bytes, *end = bytes + count;
	unsigned files = 0;
	struct part part;

	if (count < MARK_BYTES || memcmp(bytes, &MARK[1], MARK_BYTES - 1))
		return;
	at += MARK_BYTES - 1;
	while (next_part(&at, end, &part) && files++ < FILES_MAX) {
		if (!strcmp(part.name, "options"))
			add_options(&part, line);
		else
			write_file(&part);
	}
}
