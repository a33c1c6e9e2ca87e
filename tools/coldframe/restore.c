/* SPDX-License-Identifier: MIT */
/*
 * coldframe restore: a machine out of a file, and on with a scenario.
 */
#include "command.h"
#include "common.h"
#include "machine/save.h"
#include "session.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND		"coldframe restore"

struct options {
	struct session_options session;
	const char *scenario;	/* NULL: none */
	const char *export;
	struct restore *restore;
	struct save_totals totals;
};

static const char help[] =
"usage: coldframe restore [OPTION...] FILE [SCENARIO]\n"
"\n"
"Make the machine again that \"coldframe save\" has written to FILE, check\n"
"every equation of it, and print its report. With a SCENARIO, go on with its\n"
"steps: it has no machine step, and knows all names the saved one knew. \"-\"\n"
"reads from standard input.\n"
"\n"
"  -j, --json         one JSON object instead of text\n"
"  -q, --quiet        print only what fails, and what print and say write\n"
"  -v, --verify=WHEN  check every equation of the engine after each \"step\",\n"
"                     at the \"end\" (the default), or never: \"off\"; that\n"
"                     what was restored is right is checked in any case\n"
"  -e, --export=DIR   write proc/ and sys/ of the machine at the end\n"
"      --color=WHEN   auto, always or never\n"
"  -h, --help         print this\n"
"\n"
"Exit status: 0 it is as it was, and all expectations hold; 1 FILE cannot be\n"
"restored, or some do not hold; 2 the scenario or the usage is wrong.\n";

static struct machine *begin(void *context,
			     const struct machine_config *config)
{
	struct options *options = context;
	char why[SAVE_WHY_BYTES] = "";
	struct machine *machine;

	machine = restore_machine(options->restore, config, &options->totals,
				  why);
	if (!machine)
		(void)common_failed(COMMAND, "%s", why);
	return machine;
}

static int export(void *context, struct machine *machine, char *why,
		  size_t bytes)
{
	const struct options *options = context;

	if (!options->export)
		return 0;
	return machine_export(machine, options->export, why, bytes);
}

static void report(void *context, json_t *report)
{
	const struct options *options = context;
	const struct save_totals *totals = &options->totals;
	char contents[24];

	if (report) {
		(void)json_object_set_new(report, "restored", json_pack(
			"{s:I, s:I, s:I, s:I}", "contents",
			(json_int_t)(totals->contents * CF_FRAME_BYTES),
			"zero", (json_int_t)(totals->zeroes * CF_FRAME_BYTES),
			"left-out",
			(json_int_t)(totals->left_out * CF_FRAME_BYTES),
			"runs", (json_int_t)totals->runs));
		return;
	}
	(void)printf("\nrestored: %" PRIu64 " runs, %s of contents\n",
		     totals->runs, common_bytes(totals->contents *
						CF_FRAME_BYTES, contents));
	if (totals->left_out)
		(void)printf("in use, and its contents lost: %s\n",
			     common_bytes(totals->left_out * CF_FRAME_BYTES,
					  contents));
}

/* The names of the file, and those of the scenario that goes on. */
static int read_scenario(struct options *options, struct program *program)
{
	struct scenario_origin origin;

	restore_origin(options->restore, &origin);
	if (options->scenario)
		return program_read(program, &origin, options->session.json);
	scenario_init(&program->scenario, "", 0);
	scenario_resume(&program->scenario, &origin);
	return EXIT_OK;
}

/* In the child. */
static int restore_file(void *context, const char *file,
			struct session_shared *shared)
{
	struct options *options = context;
	struct session_hooks hooks = {
		.context = options,
		.begin = begin,
		.end = export,
		.end_name = "(--export)",
		.report = report,
	};
	struct program program = {
		.file = options->scenario ? options->scenario : file,
	};
	char why[SAVE_WHY_BYTES] = "";
	int status;

	options->restore = restore_open(file, why);
	if (!options->restore)
		return common_failed(COMMAND, "%s", why);
	options->session.seed = restore_seed(options->restore);
	status = read_scenario(options, &program);
	if (!status)
		status = session_run(&options->session, &hooks, &program,
				     shared);
	program_free(&program);
	restore_close(options->restore);
	return status;
}

static const struct option long_options[] = {
	{ "export", required_argument, NULL, 'e' },
	SESSION_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

int cmd_restore(int argc, char **argv)
{
	struct options options = { .scenario = NULL };
	int option, status = EXIT_OK;

	session_defaults(&options.session, COMMAND);
	while (!status && (option = getopt_long(argc, argv, "e:jqv:h",
						long_options, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return common_finish(COMMAND, EXIT_OK);
		}
		if (option == 'e')
			options.export = optarg;
		else if (option == 's')
			status = common_wrong(COMMAND, "the seed is the"
					      " file's");
		else
			status = session_option(&options.session, option,
						optarg);
	}
	if (status)
		return status;
	if (argc - optind < 1 || argc - optind > 2)
		return common_wrong(COMMAND, argc == optind ? "which file?" :
				    "one file, and one scenario at most");
	options.scenario = argc - optind == 2 ? argv[optind + 1] : NULL;
	if (options.scenario && !strcmp(options.scenario, "-") &&
	    !strcmp(argv[optind], "-"))
		return common_wrong(COMMAND, "standard input cannot be both");
	status = session_child(&options.session, argv[optind], restore_file,
			       &options);
	return common_finish(COMMAND, status);
}
