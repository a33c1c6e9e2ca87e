/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tools/coldframe/command.h"

#define WORDS_MAX 32

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "account", cmd_account },
	{ "blocks", cmd_blocks },
	{ "capture", cmd_capture },
	{ "chunks", cmd_chunks },
	{ "diff", cmd_diff },
	{ "map", cmd_map },
	{ "offline-map", cmd_offline_map },
	{ "plan", cmd_plan },
	{ "types", cmd_types },
	{ "watch", cmd_watch },
	{ "why", cmd_why },
};

static int output = -1;

static void empty_output(void)
{
	if (output < 0) {
		output = memfd_create("output", 0);
		HOLDS(output >= 0 && dup2(output, STDOUT_FILENO) >= 0);
	}
	HOLDS(!ftruncate(output, 0) && !lseek(output, 0, SEEK_SET));
}

int commands_run(const char *const *words)
{
	char *copy[WORDS_MAX + 1], *kept[WORDS_MAX + 1];
	int count = 0, status = -1, i;
	size_t k;

	for (; words[count] && count < WORDS_MAX; count++) {
		copy[count] = strdup(words[count]);
		kept[count] = copy[count];
		HOLDS(copy[count]);
	}
	copy[count] = NULL;
	empty_output();
	optind = 0;
	for (k = 0; k < sizeof(commands) / sizeof(commands[0]); k++) {
		if (!strcmp(commands[k].name, words[0]))
			status = commands[k].main(count, copy);
	}
	/* getopt_long() moves words, but loses none. */
	for (i = 0; i < count; i++)
		free(kept[i]);
	HOLDS(status == EXIT_OK || status == EXIT_FAILED ||
	      status == EXIT_WRONG || status == EXIT_PARTLY);
	return status;
}

void commands_check_json(void)
{
	json_t *json;

	HOLDS(lseek(output, 0, SEEK_END) >= 0);
	if (!lseek(output, 0, SEEK_CUR))
		return;
	HOLDS(!lseek(output, 0, SEEK_SET));
	json = json_loadfd(output, 0, NULL);
	HOLDS(json_is_object(json));
	json_decref(json);
}
