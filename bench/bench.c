/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: runs each group of rows in a process of its own, the malloc
 * libraries by LD_PRELOAD, and prints one page of text.
 *
 *	coldframe-bench [--quick]
 *
 * Progress goes to stderr.  Exit status: 0; 1: a group failed; 2: wrong
 * usage.  A library or valgrind that is not installed is said and left out.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/groups.h"
#include "bench/table.h"

#define ARGUMENTS_MAX	8
#define COUNT		100000	/* calls a loop under valgrind */

/* A program that prints rows, or what is to be read from it. */
struct child {
	const char *arguments[ARGUMENTS_MAX];
	const char *preload;
	pid_t id;
	FILE *output;
};

static const struct group {
	enum column column;
	const char *argument;		/* of --group; malloc's: its library */
	const char *preload;
	const char *package;
} groups[] = {
	{ COLUMN_MACHINE, "primitives", NULL, NULL },
	{ COLUMN_ENGINE, "engine", NULL, NULL },
	{ COLUMN_ENGINE, "scale", NULL, NULL },
	{ COLUMN_GLIBC, "libc.so", NULL, NULL },
	{ COLUMN_MIMALLOC, "libmimalloc", "libmimalloc.so.2",
	  "libmimalloc2.0" },
	{ COLUMN_JEMALLOC, "libjemalloc", "libjemalloc.so.2", "libjemalloc2" },
	{ COLUMN_TCMALLOC, "libtcmalloc", "libtcmalloc_minimal.so.4",
	  "libtcmalloc-minimal4" },
};

static char own_path[PATH_MAX];		/* constant after start */
static char own_folder[PATH_MAX];

static void child_run(const struct child *child, int output)
{
	if (child->preload)
		(void)setenv("LD_PRELOAD", child->preload, 1);
	(void)dup2(output, STDOUT_FILENO);
	(void)execvp(child->arguments[0],
		     (char *const *)(uintptr_t)child->arguments);
	_exit(127);
}

static bool child_open(struct child *child)
{
	int ends[2];

	if (pipe(ends))
		return false;
	(void)fflush(stdout);
	child->id = fork();
	if (child->id == 0) {
		(void)close(ends[0]);
		child_run(child, ends[1]);
	}
	(void)close(ends[1]);
	if (child->id < 0) {
		(void)close(ends[0]);
		return false;
	}
	child->output = fdopen(ends[0], "r");
	return child->output;
}

/* Returns its exit status; 127: it could not be run. */
static int child_close(struct child *child)
{
	int status;

	(void)fclose(child->output);
	if (waitpid(child->id, &status, 0) != child->id || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

/* Run a child that prints rows into a column. Returns its exit status. */
static int child_rows(struct child *child, enum column column)
{
	char line[256];

	if (!child_open(child))
		return 1;
	while (fgets(line, sizeof(line), child->output))
		if (!table_take(line, column))
			(void)fprintf(stderr, "bench: not a row: %s", line);
	return child_close(child);
}

static int group_measure(const struct group *group, bool quick)
{
	struct child child = {
		.arguments = { own_path, "--group", group->argument,
			       quick ? "--quick" : NULL },
		.preload = group->preload,
	};
	int status;

	(void)fprintf(stderr, "bench: %s, %s\n", column_name(group->column),
		      group->argument);
	status = child_rows(&child, group->column);
	if (status == 2 && group->package) {
		(void)printf("left out: %s is not installed (package %s)\n",
			     column_name(group->column), group->package);
		return 0;
	}
	return status;
}

static int giveback_measure(bool quick)
{
	char path[PATH_MAX + 32];
	struct child child = {
		.arguments = { path, quick ? "--quick" : NULL },
	};

	(void)snprintf(path, sizeof(path), "%s/giveback", own_folder);
	(void)fprintf(stderr, "bench: giving memory back\n");
	return child_rows(&child, COLUMN_SYSTEM);
}

/* Instructions of a loop of so many calls; below 0: no valgrind. */
static long long count_instructions(const char *loop, unsigned calls)
{
	char path[PATH_MAX + 32], number[16], line[256];
	struct child child = {
		.arguments = { "valgrind", "--tool=callgrind", "--log-fd=1",
			       "--callgrind-out-file=/dev/null", path, loop,
			       number },
	};
	long long count = -1;

	(void)snprintf(path, sizeof(path), "%s/instructions", own_folder);
	(void)snprintf(number, sizeof(number), "%u", calls);
	if (!child_open(&child))
		return -1;
	while (fgets(line, sizeof(line), child.output))
		(void)sscanf(line, "==%*d== Collected : %lld", &count);
	return child_close(&child) ? -1 : count;
}

/* Instructions a call: what a second COUNT calls add. */
static double instructions(const char *loop)
{
	long long once = count_instructions(loop, COUNT);
	long long twice = count_instructions(loop, 2 * COUNT);

	return once < 0 || twice < 0 ? -1 : (double)(twice - once) / COUNT;
}

static void print_instructions(void)
{
	static const struct {
		const char *name, *loop, *without;
	} counts[] = {
		{ "alloc+free pair from the cache", "pair", "empty" },
		{ "the same, frozen", "pair-frozen", "empty" },
		{ "the same, with an owner", "pair-owned", "empty" },
		{ "alloc, many in a row", "alloc", "empty" },
		{ "free, many in a row", "alloc-free", "alloc-keep" },
		{ "get", "get", "empty" },
		{ "put, not the last", "get-put", "get" },
		{ "try_get+put", "try_get-put", "empty" },
	};
	double with, without;
	size_t i;

	(void)fprintf(stderr, "bench: counting instructions\n");
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		with = instructions(counts[i].loop);
		without = instructions(counts[i].without);
		if (with < 0 || without < 0) {
			(void)printf("left out: valgrind is not installed or "
				     "cannot run here (package valgrind)\n");
			return;
		}
		(void)printf("%-48s   %11.1f\n", counts[i].name,
			     with - without);
	}
}

static int measure_all(bool quick)
{
	int status = 0;
	size_t i;

	(void)printf("# coldframe benchmark%s\n\n", quick ? ", --quick" : "");
	machine_print();
	(void)printf("\nNanoseconds of the thread's own CPU time an "
		     "operation, medians. Threads are pinned;\n"
		     "samples with more than %d %% off the core were retaken, "
		     "but *: that came to no end,\n"
		     "threads sleep on locks or something else ran. "
		     "Frames are not touched.\n\n", OFF_CORE_PERCENT);
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		status |= group_measure(&groups[i], quick);
	status |= giveback_measure(quick);
	(void)printf("## The machine\n\n");
	table_print_column(COLUMN_MACHINE);
	(void)printf("\n## Against malloc(4096 << order)+free\n\n");
	table_print_compared();
	(void)printf("\n## The engine alone\n\n");
	table_print_column(COLUMN_ENGINE);
	(void)printf("\n## Instructions a call\n\n");
	print_instructions();
	(void)printf("\n## Memory to the system and back, each 2 MiB\n\n");
	table_print_column(COLUMN_SYSTEM);
	(void)printf("\n## Goals\n\n");
	table_print_goals();
	(void)printf("\n## Every row with its spread "
		     "(n: samples, new: retaken)\n\n");
	table_print_spread();
	return status ? 1 : 0;
}

static int group_run(const char *group, bool quick)
{
	if (!strcmp(group, "primitives"))
		return group_primitives(quick);
	if (!strcmp(group, "engine"))
		return group_engine(quick);
	if (!strcmp(group, "scale"))
		return group_scale(quick);
	return group_malloc(group, quick);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "group", required_argument, NULL, 'g' },
		{ NULL, 0, NULL, 0 },
	};
	const char *group = NULL;
	bool quick = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'q') {
			quick = true;
		} else if (option == 'g') {
			group = optarg;
		} else {
			(void)fprintf(stderr,
				      "usage: coldframe-bench [--quick]\n");
			return 2;
		}
	}
	if (group)
		return group_run(group, quick);
	if (readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) < 0)
		return 1;
	(void)strcpy(own_folder, own_path);
	(void)dirname(own_folder);
	return measure_all(quick);
}
