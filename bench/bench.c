/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: runs each group of rows in a process of its own, the malloc
 * libraries by LD_PRELOAD, and prints one page of text.  docs/bench.md says
 * what is measured and how.
 *
 * Progress goes to stderr.  Exit status: 0; 1: a group failed; 2: wrong
 * usage.  What is not installed is said and left out.
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

#include "bench/goals.h"
#include "bench/groups.h"
#include "bench/svg.h"
#include "bench/table.h"

#define PLUGINS_MAX	8
#define ARGUMENTS_MAX	8

static const char usage[] =
	"usage: coldframe-bench [--quick|--sketch] [--only GROUP]...\n"
	"                       [--plugin FILE]... [--svg FILE]\n"
	"\n"
	"  --quick        fewer samples: under a minute\n"
	"  --sketch       every row once, as it comes: figures mean nothing\n"
	"  --only GROUP   this group of rows alone, or these\n"
	"  --plugin FILE  a shared object with another allocator, see\n"
	"                 bench/plugin.h\n"
	"  --svg FILE     draw the rows beside others as a chart\n"
	"\n"
	"groups: primitives compared engine sizes hotplug move scarce memory\n"
	"        fragments glibc mimalloc jemalloc tcmalloc plugin\n"
	"        instructions giveback put-none put-ladder put-table\n";

/* A group runs in this program, or is a program of its own beside it. */
struct group {
	const char *name;
	int (*run)(void);		/* NULL: the others below */
	const char *program;		/* beside this one */
	const char *library;		/* of malloc: a part of its file */
	const char *preload, *package;
};

static const struct group groups[] = {
	{ .name = "primitives", .run = group_primitives },
	{ .name = "compared", .run = group_compared },
	{ .name = "glibc", .library = "libc.so" },
	{ .name = "mimalloc", .library = "libmimalloc",
	  .preload = "libmimalloc.so.2", .package = "libmimalloc2.0" },
	{ .name = "jemalloc", .library = "libjemalloc",
	  .preload = "libjemalloc.so.2", .package = "libjemalloc2" },
	{ .name = "tcmalloc", .library = "libtcmalloc",
	  .preload = "libtcmalloc_minimal.so.4",
	  .package = "libtcmalloc-minimal4" },
	{ .name = "engine", .run = group_engine },
	{ .name = "sizes", .run = group_sizes },
	{ .name = "hotplug", .run = group_hotplug },
	{ .name = "move", .run = group_move },
	{ .name = "scarce", .run = group_scarce },
	{ .name = "memory", .run = group_memory },
	{ .name = "fragments", .run = group_fragments },
	{ .name = "giveback", .program = "giveback" },
	{ .name = "instructions", .program = "instructions",
	  .package = "valgrind" },
	{ .name = "put-none", .program = "put-none", .package = "valgrind" },
	{ .name = "put-ladder", .program = "put-ladder",
	  .package = "valgrind" },
	{ .name = "put-table", .program = "put-table",
	  .package = "valgrind" },
};

static const struct {
	const char *section, *heading;
} sections[] = {
	{ SECTION_MACHINE, "What the machine charges, ns" },
	{ SECTION_OTHERS, "Beside others, which do malloc(4096 << order), ns" },
	{ SECTION_REFUSALS, "Allocations refused, where memory has an end" },
	{ SECTION_LATENCY, "Latency of single calls, ns" },
	{ SECTION_ENGINE, "The engine alone, ns" },
	{ SECTION_SIZES, "The same in 8 GiB and in 1 TiB, ns" },
	{ SECTION_SCARCE, "Scarce memory, ns" },
	{ SECTION_HOTPLUG, "Memory offline and online, ns" },
	{ SECTION_MOVE, "Offline with migration, ns for each 4 KiB" },
	{ SECTION_COMPACT, "Compaction: 4 KiB moved for each 2 MiB freed" },
	{ SECTION_FRAGMENTS, "2 MiB wholly free in 8 GiB after a day" },
	{ SECTION_MEMORY, "Maps of all sizes" },
	{ SECTION_WALK, "Looking at frames, G frames/s" },
	{ SECTION_CALLS, "Instructions a call" },
	{ SECTION_PUTS, "The last put: without owners, with a ladder of three"
			" tests, with the table" },
	{ SECTION_SYSTEM, "Memory to the system and back, ns" },
};

static struct {
	const char *only[ARRAY_COUNT(groups) + 1];
	unsigned only_count;
	const char *plugins[PLUGINS_MAX];
	unsigned plugins_count;
	const char *svg;
	const char *group;		/* of a child: run it and print cells */
} settings;

static char own_path[PATH_MAX];		/* constant after start */
static char own_folder[PATH_MAX];

/* A program that prints cells, or what is to be read from it. */
struct child {
	const char *arguments[ARGUMENTS_MAX];
	const char *preload;
	pid_t id;
	FILE *output;
};

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

/* Run a child that prints cells. Returns its exit status. */
static int child_measure(struct child *child)
{
	char line[256];

	if (!child_open(child))
		return 1;
	while (fgets(line, sizeof(line), child->output))
		if (!table_take(line))
			(void)fprintf(stderr, "bench: no cell: %s", line);
	return child_close(child);
}

static bool is_wanted(const char *name)
{
	unsigned i;

	/* What goals scale by is always needed. */
	if (!strcmp(name, groups[0].name))
		return true;
	for (i = 0; i < settings.only_count; i++)
		if (!strcmp(settings.only[i], name))
			return true;
	return settings.only_count == 0;
}

/* How a child is to measure; NULL: thoroughly. */
static const char *child_option(void)
{
	if (bench_sketch)
		return "--sketch";
	return bench_quick ? "--quick" : NULL;
}

static int group_measure(const struct group *group)
{
	char path[PATH_MAX + 32];
	struct child child = {
		.arguments = { own_path, "--group", group->name,
			       child_option() },
		.preload = group->preload,
	};
	int status;

	if (!is_wanted(group->name))
		return 0;
	(void)fprintf(stderr, "bench: %s\n", group->name);
	if (group->program) {
		(void)snprintf(path, sizeof(path), "%s/%s", own_folder,
			       group->program);
		child.arguments[0] = path;
		child.arguments[1] = child_option();
		child.arguments[2] = NULL;
	}
	status = child_measure(&child);
	if (status != GROUP_MISSING)
		return status;
	(void)printf("left out: %s is not installed (package %s)\n",
		     group->name, group->package ? group->package : "?");
	return 0;
}

static int plugin_measure(const char *file)
{
	struct child child = {
		.arguments = { own_path, "--group", "plugin", "--plugin", file,
			       child_option() },
	};

	if (!is_wanted("plugin"))
		return 0;
	(void)fprintf(stderr, "bench: plug-in %s\n", file);
	return child_measure(&child);
}

static void print_head(void)
{
	const char *line;
	unsigned i;

	(void)printf("# coldframe benchmark%s\n\n",
		     bench_sketch ? ", --sketch: figures mean nothing" :
		     bench_quick  ? ", --quick" :
				    "");
	for (i = 0; (line = machine_line(i)); i++)
		(void)printf("%s\n", line);
	(void)printf("\nMedians, of the thread's own CPU time where it is "
		     "time. Threads are pinned; samples\nwith more than %d %% "
		     "off the core were retaken, but *: that came to no end, "
		     "threads sleep\non locks or something else ran. Frames "
		     "are not touched unless a row says so.\n\n",
		     OFF_CORE_PERCENT);
}

static void print_elapsed(uint64_t begin)
{
	(void)printf("The whole run took %.0f s.\n",
		     (double)(clock_wall_ns() - begin) / 1e9);
}

static void print_sections(void)
{
	size_t i;

	(void)printf("\n## Goals\n\n");
	goals_print(is_wanted);
	for (i = 0; i < ARRAY_COUNT(sections); i++) {
		if (!table_row(sections[i].section, 0))
			continue;
		(void)printf("\n## %s\n\n", sections[i].heading);
		table_print_section(sections[i].section);
	}
	(void)printf("\n## Every cell of several samples with its spread "
		     "(n: samples, new: retaken)\n\n");
	table_print_spread();
}

static int measure_all(void)
{
	uint64_t begin = clock_wall_ns();
	int status = 0;
	unsigned i;

	print_head();
	for (i = 0; i < ARRAY_COUNT(groups); i++)
		status |= group_measure(&groups[i]);
	for (i = 0; i < settings.plugins_count; i++)
		status |= plugin_measure(settings.plugins[i]);
	print_elapsed(begin);
	print_sections();
	if (settings.svg && !svg_write(settings.svg)) {
		(void)fprintf(stderr, "bench: cannot write %s\n",
			      settings.svg);
		status = 1;
	}
	return status ? 1 : 0;
}

/* In a child: one group. */
static int group_run(const char *name)
{
	size_t i;

	if (!strcmp(name, "plugin") && settings.plugins_count == 1)
		return group_plugin(settings.plugins[0]);
	for (i = 0; i < ARRAY_COUNT(groups); i++) {
		if (strcmp(groups[i].name, name))
			continue;
		if (groups[i].run)
			return groups[i].run();
		if (groups[i].library)
			return group_malloc(groups[i].library, name);
	}
	return GROUP_MISSING;
}

static bool is_group(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_COUNT(groups); i++)
		if (!strcmp(groups[i].name, name))
			return true;
	return !strcmp(name, "plugin");
}

static bool take_option(int option)
{
	switch (option) {
	case 'q':
		bench_quick = true;
		return true;
	case 'k':
		bench_quick = bench_sketch = true;
		return true;
	case 'o':
		if (!is_group(optarg) ||
		    settings.only_count == ARRAY_COUNT(settings.only))
			return false;
		settings.only[settings.only_count++] = optarg;
		return true;
	case 'p':
		if (settings.plugins_count == PLUGINS_MAX)
			return false;
		settings.plugins[settings.plugins_count++] = optarg;
		return true;
	case 's':
		settings.svg = optarg;
		return true;
	case 'g':
		settings.group = optarg;
		return true;
	case 'h':
		(void)fputs(usage, stdout);
		exit(0);
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "sketch", no_argument, NULL, 'k' },
		{ "only", required_argument, NULL, 'o' },
		{ "plugin", required_argument, NULL, 'p' },
		{ "svg", required_argument, NULL, 's' },
		{ "group", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(option)) {
			(void)fputs(usage, stderr);
			return 2;
		}
	if (optind < argc) {
		(void)fputs(usage, stderr);
		return 2;
	}
	if (settings.group)
		return group_run(settings.group);
	if (readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) < 0)
		return 1;
	(void)strcpy(own_folder, own_path);
	(void)dirname(own_folder);
	return measure_all();
}
