/* SPDX-License-Identifier: MIT */
/*
 * Lists of operations: run in a child so that any end of it is a result,
 * printed, parsed, and made shorter while they fail in the same way.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ops.h"

#define CHILD_SECONDS	300	/* of computing; a machine may be busy */
#define SHRINK_SECONDS	60	/* or, of long lists, so many runs: */
#define SHRINK_RUNS	40

/* ---- running ---- */

/* One operation, and when it is time all is compared. */
static void run_one(struct world *world, uint32_t i)
{
	const struct op *op = &verdict->op[i];
	struct told *told = &verdict->told[i];
	int code;

	memset(told, 0, sizeof(*told));
	told->pfn = CF_PFN_NONE;
	fault_arm(world);
	told->skipped = !op_type(op->code)->apply(world, op);
	told->met = any_failed();
	fault_disarm();
	code = told->code;
	if (i % world->setup.every)
		return;
	compare(world);
	verdict->frames_compared += world->last;
	told->code = code;
}

void list_run_here(struct list *list, uint32_t draw)
{
	struct world *world = world_create(&list->setup);
	uint32_t count = draw ? draw : list->count;
	uint32_t i;

	verdict->failed = false;
	verdict->count = draw ? 0 : list->count;
	verdict->frames_compared = 0;
	verdict->gones = 0;
	verdict->expect.taken = false;
	memcpy(verdict->op, list->op, list->count * sizeof(list->op[0]));
	for (i = 0; i < count; i++) {
		verdict->at = i;
		if (draw) {
			verdict->op[i].tag = (uint16_t)(i + 1);
			if (!op_draw(world, &verdict->op[i]))
				break;
			verdict->count = i + 1;
		}
		run_one(world, i);
	}
	verdict->at = verdict->count;
	compare(world);
	expect_take(world);
	world_destroy(world);
}

/* A death without a verdict: the signal names it. */
static void judge_status(int status)
{
	if (!status || verdict->failed)
		return;
	verdict->failed = true;
	verdict->name = (uint64_t)status;
	if (WIFSIGNALED(status))
		snprintf(verdict->text, sizeof(verdict->text),
			 "killed by signal %d, %s", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(verdict->text, sizeof(verdict->text),
			 "exit status %d", WEXITSTATUS(status));
}

static time_t run_seconds;	/* the last run took */

static void limit_child(void)
{
	struct itimerval limit = { .it_value = { .tv_sec = CHILD_SECONDS } };

	(void)setitimer(ITIMER_PROF, &limit, NULL);
}

bool list_run(struct list *list, uint32_t draw)
{
	time_t start = time(NULL);
	int status = 0;
	pid_t pid;

	verdict->failed = false;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		limit_child();
		list_run_here(list, draw);
		exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	judge_status(status);
	run_seconds = time(NULL) - start;
	if (draw) {
		list->count = verdict->count;
		memcpy(list->op, verdict->op,
		       list->count * sizeof(list->op[0]));
	}
	return !verdict->failed;
}

/* ---- shrinking ---- */

static time_t shrink_end;

static time_t shrink_seconds(void)
{
	time_t seconds = SHRINK_RUNS * run_seconds;

	return seconds > SHRINK_SECONDS ? seconds : SHRINK_SECONDS;
}

/* Does the list fail by that name? Restores nothing. */
static bool fails(struct list *list, uint64_t name)
{
	return time(NULL) < shrink_end && !list_run(list, 0) &&
	       verdict->name == name;
}

/* Take out [first, first + count), if what is left fails as before. */
static bool cut(struct list *list, uint32_t first, uint32_t count,
		uint64_t name)
{
	static struct list shorter;

	shorter.setup = list->setup;
	shorter.count = list->count - count;
	memcpy(shorter.op, list->op, first * sizeof(list->op[0]));
	memcpy(shorter.op + first, list->op + first + count,
	       (list->count - first - count) * sizeof(list->op[0]));
	if (!fails(&shorter, name))
		return false;
	*list = shorter;
	return true;
}

static void cut_all(struct list *list, uint64_t name)
{
	uint32_t step = list->count / 2;
	uint32_t at;

	for (; step; step /= 2) {
		at = list->count;
		while (at > 0) {
			uint32_t count = at < step ? at : step;

			at -= count;
			(void)cut(list, at, count, name);
		}
	}
}

/* Try a smaller number in place of one of the list's. */
static bool try_number(struct list *list, uint32_t *number, uint32_t less,
		       uint64_t name)
{
	uint32_t old = *number;

	if (less == old)
		return false;
	*number = less;
	if (fails(list, name))
		return true;
	*number = old;
	return false;
}

static void lower_setup(struct list *list, uint64_t name)
{
	struct setup *setup = &list->setup;

	(void)try_number(list, &setup->debug_pagealloc, 0, name);
	(void)try_number(list, &setup->cpus, 1, name);
	(void)try_number(list, &setup->no_caches, 1, name);
	(void)try_number(list, &setup->nodes, 1, name);
	(void)try_number(list, &setup->fenced, 0, name);
	(void)try_number(list, &setup->block_order, 10, name);
	(void)try_number(list, &setup->every, 1, name);
}

static void lower_numbers(struct list *list, uint64_t name)
{
	uint32_t i, j;

	for (i = 0; i < list->count; i++) {
		const struct op_type *type = op_type(list->op[i].code);

		for (j = 0; j < OP_ARGS && type->arg[j].name; j++) {
			uint32_t *number = &list->op[i].arg[j];

			if (type->arg[j].kind == ARG_TYPE)
				continue;
			if (try_number(list, number, 0, name) ||
			    try_number(list, number, 1, name))
				continue;
			while (*number > 1 &&
			       try_number(list, number, *number / 2, name))
				;
		}
	}
}

void list_shrink(struct list *list)
{
	uint64_t name = verdict->name;
	uint32_t count;

	shrink_end = time(NULL) + shrink_seconds();
	if (verdict->at + 1 < list->count)
		list->count = verdict->at + 1;
	do {
		count = list->count;
		cut_all(list, name);
	} while (list->count < count);
	lower_setup(list, name);
	lower_numbers(list, name);
	cut_all(list, name);
	shrink_end = time(NULL) + SHRINK_SECONDS;
	(void)fails(list, name);
}

/* ---- text ---- */

void list_print(const struct list *list)
{
	char text[512];
	uint32_t i;

	setup_print(text, sizeof(text), &list->setup);
	printf("# ---- save these lines, then: model --replay FILE\n# %s\n",
	       text);
	for (i = 0; i < list->count; i++) {
		op_print(text, sizeof(text), &list->op[i]);
		printf("# %s\n", text);
	}
	printf("# ----\n");
}

static bool parse_line(const char *line, struct list *list)
{
	bool comment = *line == '#';

	while (*line == '#' || *line == ' ')
		line++;
	if (!*line || *line == '\n')
		return true;
	if (!strncmp(line, "setup ", 6))
		return setup_parse(line, &list->setup);
	/* Lists are printed as comments, and have some of their own. */
	if (comment && !isdigit((unsigned char)*line))
		return true;
	return list->count < OPS_MAX &&
	       op_parse(line, &list->op[list->count++]);
}

bool list_parse(const char *path, struct list *list)
{
	FILE *file = fopen(path, "r");
	char line[512];
	int number = 0;
	bool good = true;

	memset(list, 0, sizeof(*list));
	if (!file) {
		perror(path);
		return false;
	}
	while (good && fgets(line, sizeof(line), file)) {
		number++;
		good = parse_line(line, list);
	}
	fclose(file);
	if (!good)
		fprintf(stderr, "%s:%d: not understood\n", path, number);
	return good;
}
