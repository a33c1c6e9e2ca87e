/* SPDX-License-Identifier: MIT */
/*
 * coldframe run: scenarios, on the embedded machine or on QEMU's.
 *
 * A file is read to its end before anything of it runs, and runs in a process
 * of its own.
 */
#include "command.h"
#include "common.h"
#include "dumping.h"
#include "run_qemu.h"
#include "session.h"

#include <getopt.h>
#include <stdlib.h>

#define COMMAND		"coldframe run"

struct options {
	struct session_options session;
	const char *export;
	struct run_qemu qemu;
};

static const char help[] =
"usage: coldframe run [OPTION...] FILE...\n"
"\n"
"Run scenarios on the embedded machine: an engine, its memory, CPUs and\n"
"owners in one process; or in QEMU. \"-\" reads from standard input.\n"
"\n"
"  -m, --machine=NAME embedded, the default; or qemu: the same engine on a\n"
"                     bare machine, with QEMU's own devices. Needs no KVM\n"
"      --cpu-kind=CPU QEMU's processor: x86-64, the default, or aarch64\n"
"      --patience=S   seconds QEMU may take for a step; 600 unless told\n"
"  -j, --json         one JSON object a file, one a line, instead of text\n"
"  -q, --quiet        print only what fails, and what print and say write\n"
"  -v, --verify=WHEN  check every equation of the engine after each \"step\",\n"
"                     at the \"end\" (the default), or never: \"off\"\n"
"  -s, --seed=N       seed of contents and loads; 1 unless told\n"
"  -e, --export=DIR   write proc/ and sys/ of the machine at the end\n"
"      --color=WHEN   auto, always or never\n"
"  -h, --help         print this\n"
"\n"
"Exit status: 0 all expectations hold; 1 some do not, or a step failed; 2 a\n"
"scenario is wrong (\"file:line: what\", and nothing of it has run), the\n"
"usage is, or QEMU is not there. With several files the highest.\n";

static int export(void *context, struct machine *machine, char *why,
		  size_t bytes)
{
	const struct options *options = context;

	if (!options->export)
		return 0;
	return machine_export(machine, options->export, why, bytes);
}

/* In the child: read it, then run it. */
static int run_file(void *context, const char *file,
		    struct session_shared *shared)
{
	struct options *options = context;
	struct session_hooks hooks = {
		.context = options,
		.end = export,
		.end_name = "(--export)",
		.dump = dumping_step,
	};
	const struct session_hooks in_qemu = {
		.context = &options->qemu,
		.play = run_qemu_play,
		.dump = dumping_step,
	};
	struct program program = { .file = file };
	int status;

	status = program_read(&program, NULL, options->session.json);
	if (!status)
		status = dumping_check(&program, NULL, options->session.json);
	if (!status)
		status = session_run(&options->session, options->qemu.wanted ?
				     &in_qemu : &hooks, &program, shared);
	program_free(&program);
	return status;
}

static int take_option(void *context, int option, const char *value)
{
	struct options *options = context;
	int status = run_qemu_option(&options->qemu, option, value);

	if (option == 'e') {
		options->export = value;
		return EXIT_OK;
	}
	return status >= 0 ? status :
	       session_option(&options->session, option, value);
}

/* Returns -1 to go on. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option words[] = {
		{ "export", required_argument, NULL, 'e' },
		RUN_QEMU_OPTIONS,
		SESSION_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	const struct session_parser parser = {
		.command = COMMAND, .help = help, .words = words,
		.letters = "e:" RUN_QEMU_LETTERS SESSION_LETTERS,
		.take = take_option,
	};
	int status = session_parse(&parser, options, argc, argv);

	if (status >= 0)
		return status;
	if (optind == argc)
		return common_wrong(COMMAND, "which scenario?");
	if (options->export && argc - optind > 1)
		return common_wrong(COMMAND, "--export takes one scenario");
	if (options->export && options->qemu.wanted)
		return common_wrong(COMMAND, "--export is for the embedded"
				    " machine: a guest has no files");
	options->qemu.json = options->session.json;
	status = run_qemu_check(&options->qemu);
	return status ? status : -1;
}

int cmd_run(int argc, char **argv)
{
	struct options options = { .export = NULL };
	int status, highest = EXIT_OK, i;

	session_defaults(&options.session, COMMAND);
	options.qemu.command = COMMAND;
	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	for (i = optind; i < argc; i++) {
		if (i > optind && !options.session.json &&
		    !options.session.quiet)
			(void)putchar('\n');
		status = session_child(&options.session, argv[i], run_file,
				       &options);
		if (status > highest)
			highest = status;
	}
	return common_finish(COMMAND, highest);
}
