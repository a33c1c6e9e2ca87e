/* SPDX-License-Identifier: MIT */
/*
 * coldframe dump: the machine a scenario ends with, or what another dump has,
 * as a file that tools for dumps of Linux read.
 */
#include "command.h"
#include "common.h"
#include "dumping.h"
#include "run_qemu.h"
#include "session.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND		"coldframe dump"
#define LEVEL_DEFAULT	1

struct options {
	struct session_options session;
	struct dump_options dump;
	struct run_qemu qemu;
	const char *from;		/* a dump, in place of a machine */
	const char *path;
	bool elf, kdump, compress;	/* were given */
	struct dump_result result;
	bool done;
};

static const char help[] =
"usage: coldframe dump [OPTION...] SCENARIO FILE\n"
"       coldframe dump [OPTION...] --from=DUMP FILE\n"
"\n"
"Run a scenario and dump the machine it ends with, or filter a dump again:\n"
"one of coldframe's, or one that QEMU took of a guest. Frames that are\n"
"offline, bad or private are never read. FILE \"-\" is standard output: ELF\n"
"as it is, kdump-compressed flattened as makedumpfile -F does; what is said\n"
"goes to standard error then.\n"
"\n"
"  -d, --level=N      leave out, as makedumpfile: 1 zeroes, 2 cache, 4 also\n"
"                     cache that its owner keeps, 8 user data, 16 free\n"
"                     frames; a sum of them (1)\n"
"      --kdump        kdump-compressed (the default)\n"
"      --elf          an ELF core\n"
"  -c, --compress=HOW zlib (the default), zstd or none\n"
"  -t, --threads=N    pack with N threads; one a CPU unless told\n"
"      --from=DUMP    dump what this dump has\n"
"  -m, --machine=M    embedded (the default), or qemu: a guest, from outside\n"
"      --cpu-kind=K   of qemu: x86-64 (the default) or aarch64\n"
"      --patience=S   seconds QEMU may take for a step; 600 unless told\n"
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

static void show(void *context, uint64_t done, uint64_t all)
{
	common_progress(context, done, all);
}

static int write_it(struct options *options,
		    const struct machine_dump *request, struct dump_why *why)
{
	int err = dumping_write(request, &options->dump, &options->result,
				why);

	common_progress_end();
	options->done = !err;
	return err;
}

static int dump_machine(void *context, struct machine *machine, char *text,
			size_t bytes)
{
	struct options *options = context;
	const struct machine_dump request = {
		.map = machine_map(machine), .path = options->path,
	};
	struct dump_why why = { "the process has no memory" };

	/* Frames in caches are free frames; what runs has ended. */
	(void)!cf_drain(request.map);
	if (!write_it(options, &request, &why))
		return 0;
	(void)snprintf(text, bytes, "%s", why.text);
	return -1;
}

/* Steps of the scenario, or the one that was added for a guest. */
static int dump_step(void *context, const struct machine_dump *request,
		     char *text, size_t bytes)
{
	struct options *options = context;
	struct dump_why why = { "the process has no memory" };

	if (!request->core || strcmp(request->path, options->path))
		return dumping_step(NULL, request, text, bytes);
	if (write_it(options, request, &why)) {
		(void)snprintf(text, bytes, "%s", why.text);
		return -1;
	}
	dumping_say(&options->result, text, bytes);
	return 0;
}

static int play(void *context, const struct program *program,
		const struct machine_config *config,
		struct player *ret_player)
{
	struct options *options = context;

	return run_qemu_play(&options->qemu, program, config, ret_player);
}

static json_t *result_json(const struct dump_result *result)
{
	uint64_t present = dump_tally_present(&result->tally);

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "memory",
			 (json_int_t)(present * CF_FRAME_BYTES), "written",
			 (json_int_t)(result->written * CF_FRAME_BYTES),
			 "zero", (json_int_t)(result->tally.frames[DUMP_ZERO] *
					      CF_FRAME_BYTES),
			 "metadata",
			 (json_int_t)(result->metadata * CF_FRAME_BYTES),
			 "lost", (json_int_t)(result->lost * CF_FRAME_BYTES),
			 "bytes", (json_int_t)result->bytes);
}

static void report(void *context, json_t *report)
{
	const struct options *options = context;
	char text[512];

	if (!options->done)
		return;
	if (report) {
		(void)json_object_set_new(report, "dumped",
					  result_json(&options->result));
		return;
	}
	dumping_say(&options->result, text, sizeof(text));
	(void)printf("%s: %s\n", options->path, text);
}

/* A guest is dumped by a step behind its last one. */
static int add_step(struct program *program, const struct options *options)
{
	size_t count = program->steps;
	struct step *more = realloc(program->step,
				    (count + 1) * sizeof(*more));

	if (!more)
		return common_failed(COMMAND, "%s", strerror(ENOMEM));
	program->step = more;
	more[count] = (struct step){
		.kind = STEP_DUMP, .line = count ? more[count - 1].line : 1,
		.source = { "(dump)", 6 },
		.text = { options->path, strlen(options->path) },
		.cpu = STEP_CPU_MAIN,
	};
	program->steps++;
	return EXIT_OK;
}

/* In the child. */
static int run_scenario(void *context, const char *file,
			struct session_shared *shared)
{
	struct options *options = context;
	struct session_hooks hooks = {
		.context = options, .end = dump_machine, .end_name = "(dump)",
		.only_good = true,
		.report = report, .dump = dump_step,
	};
	struct program program = { .file = file };
	int status;

	status = program_read(&program, NULL, options->session.json);
	if (!status)
		status = dumping_check(&program, options->path,
				       options->session.json);
	if (!status && options->qemu.wanted) {
		status = add_step(&program, options);
		hooks.play = play;
	}
	if (!status)
		status = session_run(&options->session, &hooks, &program,
				     shared);
	program_free(&program);
	return status;
}

static void say(struct options *options)
{
	json_t *object;

	if (!options->session.json && !options->session.quiet)
		report(options, NULL);
	if (!options->session.json)
		return;
	object = json_object();
	report(options, object);
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
}

static int dump_dump(struct options *options)
{
	const struct machine_dump request = {
		.core = options->from, .path = options->path,
	};
	struct dump_why why = { "the process has no memory" };

	if (write_it(options, &request, &why))
		return common_failed(COMMAND, "%s: %s", options->from,
				     why.text);
	say(options);
	return EXIT_OK;
}

static int parse_number(const char *name, const char *text, uint64_t most,
			uint64_t *ret_number)
{
	if (lx_number(text, 0, NULL, ret_number) && *ret_number <= most)
		return EXIT_OK;
	return common_wrong(COMMAND, "--%s is a number up to %llu, not '%s'",
			    name, (unsigned long long)most, text);
}

static int parse_compress(const char *text, struct options *options)
{
	options->compress = true;
	if (!strcmp(text, "zlib"))
		options->dump.compress = COMPRESS_ZLIB;
	else if (!strcmp(text, "none"))
		options->dump.compress = COMPRESS_NONE;
	else if (strcmp(text, "zstd"))
		return common_wrong(COMMAND, "--compress is zlib, zstd or "
				    "none, not '%s'", text);
	else if (!pack_can(COMPRESS_ZSTD))
		return common_wrong(COMMAND, "this coldframe was built without "
				    "zstd");
	else
		options->dump.compress = COMPRESS_ZSTD;
	return EXIT_OK;
}

static int take_option(void *context, int option, const char *value)
{
	struct options *options = context;
	uint64_t number = 0;
	int status = run_qemu_option(&options->qemu, option, value);

	if (status >= 0)
		return status;
	switch (option) {
	case 'd':
		status = parse_number("level", value, DUMP_LEVEL_MAX, &number);
		options->dump.level = (unsigned)number;
		return status;
	case 't':
		status = parse_number("threads", value, 1024, &number);
		options->dump.threads = (unsigned)number;
		return status;
	case 'c':
		return parse_compress(value, options);
	case 'E':
		options->elf = true;
		return EXIT_OK;
	case 'K':
		options->kdump = true;
		return EXIT_OK;
	case 'f':
		options->from = value;
		return EXIT_OK;
	default:
		return session_option(&options->session, option, value);
	}
}

static const struct option words[] = {
	{ "level", required_argument, NULL, 'd' },
	{ "kdump", no_argument, NULL, 'K' },
	{ "elf", no_argument, NULL, 'E' },
	{ "compress", required_argument, NULL, 'c' },
	{ "threads", required_argument, NULL, 't' },
	{ "from", required_argument, NULL, 'f' },
	RUN_QEMU_OPTIONS,
	SESSION_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

/* Returns -1 to go on. */
static int parse_options(int argc, char **argv, struct options *options)
{
	const struct session_parser parser = {
		.command = COMMAND, .help = help, .words = words,
		.letters = "d:c:t:" RUN_QEMU_LETTERS SESSION_LETTERS,
		.take = take_option,
	};
	int status = session_parse(&parser, options, argc, argv);

	if (status >= 0)
		return status;
	if (options->elf && options->kdump)
		return common_wrong(COMMAND, "--elf or --kdump, not both");
	if (options->elf && options->compress &&
	    options->dump.compress != COMPRESS_NONE)
		return common_wrong(COMMAND, "an ELF core is not packed: leave "
				    "--compress out");
	options->dump.format = options->elf ? DUMP_ELF : DUMP_KDUMP;
	if (argc - optind != (options->from ? 1 : 2))
		return common_wrong(COMMAND, options->from ?
				    "which file is to be written?" :
				    "a scenario and a file are needed");
	options->path = argv[argc - 1];
	options->qemu.json = options->session.json;
	status = run_qemu_check(&options->qemu);
	return status ? status : -1;
}

int cmd_dump(int argc, char **argv)
{
	struct options options = {
		.dump = {
			.compress = COMPRESS_ZLIB, .level = LEVEL_DEFAULT,
			.progress = show,
		},
	};
	int status;

	session_defaults(&options.session, COMMAND);
	options.qemu.command = COMMAND;
	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	/* A reader that went away is an error like others. */
	(void)signal(SIGPIPE, SIG_IGN);
	status = common_give_stdout(COMMAND, "dump", &options.path,
				    &options.dump.stream);
	if (status)
		return status;
	status = options.from ? dump_dump(&options) :
		 session_child(&options.session, argv[optind], run_scenario,
			       &options);
	return common_finish(COMMAND, status);
}
