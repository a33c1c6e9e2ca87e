/* SPDX-License-Identifier: MIT */
/*
 * coldframe save: the machine a scenario ends with, or comes to, in a file.
 */
#include "command.h"
#include "common.h"
#include "save_source.h"
#include "session.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND		"coldframe save"
#define LEVEL_MAX	19

struct options {
	struct session_options session;
	const char *path;
	struct save_config config;
	struct save_totals totals;
	bool saved;
};

static const char help[] =
"usage: coldframe save [OPTION...] SCENARIO FILE\n"
"\n"
"Run a scenario to its end, or to a step \"save\" without a name, and write\n"
"the machine to FILE for \"coldframe restore\": its map, what owners know,\n"
"its blocks, and the contents of frames in use. Frames that are offline are\n"
"not read. FILE \"-\" is standard output; the report goes to standard error\n"
"then.\n"
"\n"
"  -l, --level=N      compress with zstd, 1 to 19; 0: do not (1)\n"
"      --machine=NAME \"embedded\": no other is saved, QEMU keeps its guests\n"
"                     by itself\n"
"  -j, --json         one JSON object instead of text\n"
"  -q, --quiet        print only what fails, and what print and say write\n"
"  -v, --verify=WHEN  check every equation of the engine after each \"step\",\n"
"                     at the \"end\" (the default), or never: \"off\"\n"
"  -s, --seed=N       seed of contents and loads; 1 unless told\n"
"      --color=WHEN   auto, always or never\n"
"  -h, --help         print this\n"
"\n"
"FILE appears when it is whole, or not at all. Exit status: 0 it is written;\n"
"1 it is not, for a step or an expectation failed or the file could not be\n"
"written; 2 the scenario or the usage is wrong.\n";

/* Only a machine of which all was true is worth keeping. */
static int save(void *context, struct machine *machine, char *why,
		size_t bytes)
{
	struct options *options = context;
	char reason[SAVE_WHY_BYTES] = "";

	if (machine_save(machine, options->path, &options->config,
			 &options->totals, reason)) {
		(void)snprintf(why, bytes, "%s", reason);
		return -1;
	}
	options->saved = true;
	return 0;
}

static void report(void *context, json_t *report)
{
	const struct options *options = context;
	const struct save_totals *totals = &options->totals;
	char contents[24], bytes[24];

	if (!options->saved)
		return;
	if (report) {
		(void)json_object_set_new(report, "saved", json_pack(
			"{s:I, s:I, s:I, s:I, s:I}", "contents",
			(json_int_t)(totals->contents * CF_FRAME_BYTES),
			"zero", (json_int_t)(totals->zeroes * CF_FRAME_BYTES),
			"left-out",
			(json_int_t)(totals->left_out * CF_FRAME_BYTES),
			"runs", (json_int_t)totals->runs, "bytes",
			(json_int_t)totals->bytes));
		return;
	}
	(void)printf("\n%s: %" PRIu64 " runs, %s of contents, in %s\n",
		     options->path, totals->runs,
		     common_bytes(totals->contents * CF_FRAME_BYTES, contents),
		     common_bytes(totals->bytes, bytes));
	if (totals->left_out)
		(void)printf("left out, for nobody may read it: %s\n",
			     common_bytes(totals->left_out * CF_FRAME_BYTES,
					  contents));
}

/* In the child. */
static int save_file(void *context, const char *file,
		     struct session_shared *shared)
{
	struct options *options = context;
	struct session_hooks hooks = {
		.context = options,
		.end = save,
		.end_name = "(save)",
		.only_good = true,
		.until_save = true,
		.report = report,
	};
	struct program program = { .file = file };
	int status;

	status = program_read(&program, NULL, options->session.json);
	if (!status)
		status = session_run(&options->session, &hooks, &program,
				     shared);
	program_free(&program);
	return status;
}

static int parse_level(const char *text, struct options *options)
{
	char *end;
	long level = strtol(text, &end, 10);

	if (end == text || *end || level < 0 || level > LEVEL_MAX)
		return common_wrong(COMMAND, "--level is 0 to %d, not '%s'",
				    LEVEL_MAX, text);
	options->config.level = (int)level;
	return EXIT_OK;
}

static int check_machine(const char *name)
{
	if (!strcmp(name, "embedded"))
		return EXIT_OK;
	return common_wrong(COMMAND, "only the embedded machine is saved; a"
			    " guest is QEMU's, which keeps it by itself");
}

static int parse_option(struct options *options, int option)
{
	switch (option) {
	case 'l':
		return parse_level(optarg, options);
	case 'm':
		return check_machine(optarg);
	default:
		return session_option(&options->session, option, optarg);
	}
}

static const struct option long_options[] = {
	{ "level", required_argument, NULL, 'l' },
	{ "machine", required_argument, NULL, 'm' },
	SESSION_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

int cmd_save(int argc, char **argv)
{
	struct options options = {
		.config = {
			.level = SAVE_LEVEL_DEFAULT,
			.out = STDOUT_FILENO,
			.source = &save_source,
		},
	};
	int option, status = EXIT_OK;

	session_defaults(&options.session, COMMAND);
	while (!status && (option = getopt_long(argc, argv, "l:"
						SESSION_LETTERS, long_options,
						NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return common_finish(COMMAND, EXIT_OK);
		}
		status = parse_option(&options, option);
	}
	if (status)
		return status;
	if (argc - optind != 2)
		return common_wrong(COMMAND, "a scenario and a file are"
				    " needed");
	options.path = argv[optind + 1];
	/* A reader that went away is an error like others. */
	(void)signal(SIGPIPE, SIG_IGN);
	status = common_give_stdout(COMMAND, "saved machine", &options.path,
				    &options.config.out);
	if (!status)
		status = session_child(&options.session, argv[optind],
				       save_file, &options);
	return common_finish(COMMAND, status);
}
