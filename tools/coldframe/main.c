/* SPDX-License-Identifier: MIT */
#include "command.h"
#include "common.h"
#ifdef HAVE_RUN
#include "dump_view.h"
#endif

#include <string.h>

static const struct command {
	const char *name;
	const char *full;	/* argv[0] of the command */
	const char *help;
	int (*main)(int argc, char **argv);
} commands[] = {
#ifdef HAVE_RUN
	{ "run", "coldframe run", "run scenarios on the embedded machine",
	  cmd_run },
	{ "save", "coldframe save", "keep a scenario's machine in a file",
	  cmd_save },
	{ "restore", "coldframe restore", "make a saved machine again",
	  cmd_restore },
	{ "save-diff", "coldframe save-diff", "compare two saved machines",
	  cmd_save_diff },
	{ "dump", "coldframe dump", "write the machine a scenario ends with",
	  cmd_dump },
	{ "dump-info", "coldframe dump-info", "what is in a dump and what not",
	  cmd_dump_info },
	{ "dump-diff", "coldframe dump-diff", "compare two dumps",
	  cmd_dump_diff },
#endif
	{ "blocks", "coldframe blocks", "which memory blocks can go offline",
	  cmd_blocks },
	{ "why", "coldframe why", "what keeps memory from going offline",
	  cmd_why },
	{ "chunks", "coldframe chunks", "which chunks make huge pages",
	  cmd_chunks },
	{ "offline-map", "coldframe offline-map",
	  "where memory is that nobody uses", cmd_offline_map },
	{ "account", "coldframe account", "from the firmware to MemTotal",
	  cmd_account },
	{ "plan", "coldframe plan", "which blocks to take offline, in order",
	  cmd_plan },
	{ "watch", "coldframe watch", "watch a block going offline",
	  cmd_watch },
	{ "capture", "coldframe capture", "keep what a host tells in a file",
	  cmd_capture },
	{ "diff", "coldframe diff", "compare a host at two moments",
	  cmd_diff },
	{ "types", "coldframe types", "count page frames by what they are",
	  cmd_types },
	{ "map", "coldframe map", "draw page frames as a map", cmd_map },
};

static void print_help(FILE *out)
{
	size_t i;

	fputs("usage: coldframe COMMAND [OPTION...] [ARGUMENT...]\n"
	      "\n"
	      "Physical page frames through their whole life.\n"
	      "\n"
	      "Commands:\n", out);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-11s  %s\n", commands[i].name,
			commands[i].help);
	fputs("\n"
	      "'coldframe COMMAND --help' explains a command, 'man "
	      "coldframe-COMMAND' in full.\n"
	      "\n"
	      "  -h, --help     print this\n"
	      "  -V, --version  print the version\n", out);
}

static bool is_option(const char *argument, const char *letter,
		      const char *word)
{
	return !strcmp(argument, letter) || !strcmp(argument, word);
}

int main(int argc, char **argv)
{
	char full[64];
	size_t i;

#ifdef HAVE_RUN
	common_mount_dump = dump_view_mount;
#endif
	if (argc < 2) {
		print_help(stderr);
		return EXIT_WRONG;
	}
	if (is_option(argv[1], "-h", "--help")) {
		print_help(stdout);
		return common_finish("coldframe", EXIT_OK);
	}
	if (is_option(argv[1], "-V", "--version")) {
		puts("coldframe " COLDFRAME_VERSION);
		return common_finish("coldframe", EXIT_OK);
	}
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		argv[1] = strcpy(full, commands[i].full);
		return commands[i].main(argc - 1, argv + 1);
	}
	if (argv[1][0] == '-')
		return common_wrong("coldframe", "unknown option '%s'",
				    argv[1]);
	return common_wrong("coldframe", "there is no command '%s'; the "
			    "commands are listed by --help", argv[1]);
}
