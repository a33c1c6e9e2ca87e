/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_COMMAND_H
#define COLDFRAME_COMMAND_H

/* What every command of coldframe exits with. */
enum command_exit {
	EXIT_OK		= 0,
	EXIT_FAILED	= 1,	/* answered no, or could not be done */
	EXIT_WRONG	= 2,	/* wrong usage, or a file that is wrong */
	EXIT_PARTLY	= 64,	/* some of several things asked for */
};

/*
 * A command: one file a command, called with argv[0] "coldframe NAME", which
 * getopt_long() puts in front of what it says.  Returns an exit status.
 */
int cmd_account(int argc, char **argv);
int cmd_blocks(int argc, char **argv);
int cmd_capture(int argc, char **argv);
int cmd_chunks(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_dump_diff(int argc, char **argv);
int cmd_dump_info(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_offline_map(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_save_diff(int argc, char **argv);
int cmd_types(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_why(int argc, char **argv);

#endif
