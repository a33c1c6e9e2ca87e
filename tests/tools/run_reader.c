/* SPDX-License-Identifier: MIT */
/*
 * The reader of scenarios: every word it knows is in the manual, and no text
 * makes it do anything but read steps or say what is wrong.
 *
 * By looking each word up, and by spoiling the shipped scenarios at random.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "scenario/scenario.h"

#define TEXT_MAX	65536

static const char *root;
static char manual[2 * TEXT_MAX];
static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t read_file(const char *name, char *text, size_t room)
{
	char path[4096];
	FILE *file;
	size_t bytes;

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	bytes = fread(text, 1, room - 1, file);
	text[bytes] = '\0';
	(void)fclose(file);
	return bytes;
}

/* Words of the manual stand in code marks, some with what follows them. */
static bool is_explained(const char *word)
{
	const char *at = manual;
	size_t length = strlen(word);
	char before, after;

	while ((at = strstr(at, word)) != NULL) {
		before = at[-1];
		after = at[length];
		if ((before == '`' || before == ' ') &&
		    (after == '`' || after == ' ' || after == ','))
			return true;
		at++;
	}
	printf("# %s is not in docs/scenarios.md\n", word);
	return false;
}

static void words_are_explained(void)
{
	unsigned i, n;

	CHECK(read_file("docs/scenarios.md", manual, sizeof(manual)) > 0);
	for (i = 0; i < STEP_COUNT; i++)
		CHECK(is_explained(step_name((enum step_kind)i)));
	for (i = 0; i < KEY_COUNT; i++)
		CHECK(is_explained(key_name((enum key)i)));
	for (i = 0; i < SUBJECT_COUNT; i++)
		for (n = 0; subject_property((enum subject_kind)i, n) !=
			    PROPERTY_COUNT; n++)
			CHECK(is_explained(property_name(subject_property(
				(enum subject_kind)i, n))));
	for (i = 1; error_word(i); i++)
		CHECK(is_explained(error_word(i)));
	for (i = 1; property_word(PROPERTY_REASON, i); i++)
		CHECK(is_explained(property_word(PROPERTY_REASON, i)));
}

static void every_property_has_a_subject(void)
{
	bool seen[PROPERTY_COUNT] = { false };
	enum property property;
	unsigned i, n;

	for (i = 0; i < SUBJECT_COUNT; i++) {
		for (n = 0;; n++) {
			property = subject_property((enum subject_kind)i, n);
			if (property == PROPERTY_COUNT)
				break;
			seen[property] = true;
		}
	}
	for (i = 0; i < PROPERTY_COUNT; i++)
		CHECK(seen[i]);
}

/* Read to the end; what comes out must make sense. */
static void read_all(const char *text, size_t bytes)
{
	static struct scenario scenario;
	enum scenario_read read;
	struct step step;
	uint32_t line = 0;
	size_t i;

	scenario_init(&scenario, text, bytes);
	while ((read = scenario_next(&scenario, &step)) == SCENARIO_STEP) {
		CHECK(step.kind < STEP_COUNT);
		CHECK(step.line > line);
		CHECK(step.name < SCENARIO_NAMES_MAX);
		CHECK(step.conditions <= SCENARIO_CONDITIONS_MAX);
		CHECK(step.source.start >= text &&
		      step.source.start + step.source.length <= text + bytes);
		CHECK(step.place.last <= CF_PFN_LIMIT);
		line = step.line;
	}
	CHECK(scenario.names <= SCENARIO_NAMES_MAX);
	if (read != SCENARIO_WRONG)
		return;
	CHECK(scenario.error[0] != '\0');
	for (i = 0; scenario.error[i]; i++)
		CHECK((unsigned char)scenario.error[i] >= ' ');
	CHECK(i < SCENARIO_ERROR_BYTES);
}

/* Change, drop, double or cut a little of it. */
static size_t spoil(char *text, size_t bytes)
{
	static const char pieces[] = "0123456789fKMGT[]+-#=<>x_\n\t \0\377az";
	size_t at, length;
	unsigned times = 1 + (unsigned)(next_random() % 8);

	while (times-- && bytes > 16) {
		at = next_random() % (bytes - 8);
		length = 1 + next_random() % 8;
		switch (next_random() % 4) {
		case 0:
			text[at] = pieces[next_random() % sizeof(pieces)];
			break;
		case 1:
			(void)memmove(text + at, text + at + length,
				      bytes - at - length);
			bytes -= length;
			break;
		case 2:
			if (bytes + length >= TEXT_MAX)
				break;
			(void)memmove(text + at + length, text + at,
				      bytes - at);
			bytes += length;
			break;
		default:
			if (next_random() % 16 == 0)
				bytes = at;
			break;
		}
	}
	return bytes;
}

static void spoil_file(const char *name)
{
	static char whole[TEXT_MAX], text[TEXT_MAX];
	size_t bytes = read_file(name, whole, sizeof(whole)), i;
	char *copy;

	CHECK(bytes > 0);
	for (i = 0; i < 400; i++) {
		size_t left;

		(void)memcpy(text, whole, bytes);
		left = i ? spoil(text, bytes) : bytes;
		/* Of its own size, so that reading beyond it is seen. */
		copy = malloc(left ? left : 1);
		if (!copy)
			return;
		(void)memcpy(copy, text, left);
		read_all(copy, left);
		free(copy);
	}
}

static void spoilt_texts_are_read(void)
{
	struct dirent *entry;
	char path[4096];
	unsigned files = 0;
	DIR *folder;

	(void)snprintf(path, sizeof(path), "%s/scenarios", root);
	folder = opendir(path);
	CHECK(folder != NULL);
	while (folder && (entry = readdir(folder)) != NULL) {
		if (!strstr(entry->d_name, ".cf"))
			continue;
		(void)snprintf(path, sizeof(path), "scenarios/%.200s",
			       entry->d_name);
		spoil_file(path);
		files++;
	}
	if (folder)
		(void)closedir(folder);
	CHECK(files > 20);
}

static void noise_is_refused(void)
{
	char text[512];
	size_t i, n;

	for (n = 0; n < 20000; n++) {
		for (i = 0; i < sizeof(text); i++)
			text[i] = (char)next_random();
		read_all(text, next_random() % sizeof(text));
	}
}

int main(int argc, char **argv)
{
	root = argc > 1 ? argv[1] : ".";
	tap_run("every word is in the manual", words_are_explained);
	tap_run("every property has a subject", every_property_has_a_subject);
	tap_run("spoilt scenarios are read or refused", spoilt_texts_are_read);
	tap_run("noise is refused", noise_is_refused);
	return tap_done();
}
