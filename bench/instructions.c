/* SPDX-License-Identifier: MIT */
/*
 * Instructions a call, counted by valgrind, which counts exactly: what is
 * slower by one instruction shows, whatever the machine does meanwhile.
 *
 *	instructions [--quick]
 *
 * runs itself under callgrind and prints a cell for each loop of calls.
 * Exit status: 0; 2: there is no valgrind.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/callgrind.h"
#include "bench/engine.h"
#include "bench/groups.h"

/* Not a multiple of anything a cache refills by. */
#define CALLS		10007u

static cf_pfn frames[CALLS];		/* what is held between loops */
static cf_pfn held;

static cf_pfn take(unsigned order, uint32_t owner, unsigned flags)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = owner ? CF_TYPE_FOLIO : CF_TYPE_KERNEL,
		.owner = (uint16_t)owner,
		.flags = (uint16_t)flags,
	};
	cf_pfn pfn;
	int err = cf_alloc(engine.map, request, &pfn);

	if (__builtin_expect(err != 0, 0))
		engine_die("alloc", err);
	return pfn;
}

static void loop_empty(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		keep(left);
}

static void loop_pair(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		cf_put(engine.map, take(0, 0, 0));
}

static void loop_pair_frozen(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		cf_free_frozen(engine.map, take(0, 0, CF_ALLOC_FROZEN), 0);
}

static void loop_pair_owned(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		cf_put(engine.map, take(0, engine.freeing, 0));
}

static void loop_pair_64k(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		cf_put(engine.map, take(4, 0, 0));
}

static void loop_pair_huge(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		cf_put(engine.map, take(9, 0, 0));
}

/* Frames come in order from an empty map, so that refills are in it. */
static void loop_alloc(void)
{
	unsigned i;

	for (i = 0; i < CALLS; i++)
		frames[i] = take(0, 0, 0);
}

static void loop_free(void)
{
	unsigned i;

	for (i = 0; i < CALLS; i++)
		cf_put(engine.map, frames[i]);
}

static void hold(void)
{
	held = take(0, 0, 0);
}

static void loop_get(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		if (cf_get(engine.map, held))
			engine_die("get", -CF_ELIMIT);
}

/* As many as loop_get() took, warm and counted. */
static void loop_put(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--)
		cf_put(engine.map, held);
}

static void loop_try_get_put(void)
{
	unsigned left;

	for (left = CALLS; left > 0; left--) {
		if (cf_try_get(engine.map, held))
			engine_die("try_get", -CF_EGONE);
		cf_put(engine.map, held);
	}
}

/* All of the map, which is 1 GiB, in one run. */
static void hold_all(void)
{
	cf_put(engine.map, held);
	engine_drain();
	held = take(18, 0, 0);
}

static void loop_fail(void)
{
	unsigned left;
	cf_pfn pfn;

	for (left = CALLS; left > 0; left--)
		if (engine_try_take(0, &pfn) != -CF_ENOMEM)
			engine_die("failing alloc", 0);
}

/*
 * In this order: what a loop leaves, the next may need.  @prepare and one run
 * of @loop are not counted; without @warm the loop runs just once.
 */
static const struct loop {
	const char *name;
	void (*prepare)(void);
	void (*loop)(void);
	bool warm;
} loops[] = {
	{ "the loop itself", NULL, loop_empty, true },
	{ "alloc+free pair, 4 KiB", NULL, loop_pair, true },
	{ "alloc+free pair, 4 KiB, frozen", NULL, loop_pair_frozen, true },
	{ "alloc+free pair, 4 KiB, with an owner", NULL, loop_pair_owned,
	  true },
	{ "alloc+free pair, 64 KiB", NULL, loop_pair_64k, true },
	{ "alloc+free pair, 2 MiB", NULL, loop_pair_huge, true },
	{ "alloc 4 KiB, many in a row", NULL, loop_alloc, false },
	{ "free 4 KiB, many in a row", NULL, loop_free, false },
	{ "get", hold, loop_get, true },
	{ "put, not the last", NULL, loop_put, true },
	{ "try_get+put", NULL, loop_try_get_put, true },
	{ "failing alloc of 4 KiB", hold_all, loop_fail, true },
};

static int run_loops(void)
{
	size_t i;

	engine_create(FRAMES_1GIB, ENGINE_SMALL);
	engine_online(CF_ZONE_NORMAL);
	(void)cf_host_enter();
	for (i = 0; i < ARRAY_COUNT(loops); i++) {
		if (loops[i].prepare)
			loops[i].prepare();
		if (loops[i].warm)
			loops[i].loop();
		callgrind_count(loops[i].loop);
	}
	return 0;
}

/* There is one dump a loop, in their order, numbered from 1. */
static int print_counts(const char *output)
{
	struct callgrind_counts count, empty;
	int status = callgrind_read(output, 1, &empty) != 0;
	size_t i;

	for (i = 1; i < ARRAY_COUNT(loops); i++) {
		if (callgrind_read(output, i + 1, &count) || status)
			status = 1;
		else
			value_print(SECTION_CALLS, loops[i].name, "each",
				    (count.instructions -
				     empty.instructions) / CALLS);
	}
	return status;
}

int main(int argc, char **argv)
{
	char output[] = "/tmp/coldframe-bench-XXXXXX";
	int file, status;

	if (argc == 2 && !strcmp(argv[1], "--loops"))
		return run_loops();
	/* Dumps get this name and a number behind it. */
	file = mkstemp(output);
	if (file < 0)
		return 1;
	(void)close(file);
	status = callgrind_run(output, "--loops");
	if (status == 127)
		status = GROUP_MISSING;
	else if (status == 0)
		status = print_counts(output);
	(void)unlink(output);
	return status;
}
