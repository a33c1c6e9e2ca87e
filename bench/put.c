/* SPDX-License-Identifier: MIT */
/*
 * What a put costs with owners and without: linked three times, with
 * core/frame.c as it would be without owners, with a ladder of three type
 * tests and direct calls, and with the table of owners that it has
 * (put_variant.py).
 *
 *	put-KIND [--quick]
 *
 * prints instructions, loads and nanoseconds of the put of an ordinary frame
 * and of one with an owner, when no owner is registered, one, and as many as
 * a word can name. Exit status: 0; 2: there is no valgrind.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <coldframe/coldframe.h>

#include "bench/callgrind.h"
#include "bench/groups.h"
#include "bench/measure.h"
#include "port/host/host.h"

#define FRAMES		((cf_pfn)1 << 16)
#define CALLS		10007u
#define OWNERS_MOST	(CF_OWNERS_MAX - CF_OWNER_ORPHAN - 1)
#define FIRST_ID	2u
#define SAMPLES		15

enum cf_verdict put_release(void *context, cf_pfn pfn, unsigned order);
enum cf_verdict put_release_first(void *context, cf_pfn pfn, unsigned order);
enum cf_verdict put_release_second(void *context, cf_pfn pfn, unsigned order);

static struct cf_host_memory memory;
static struct cf_map *map;
static cf_pfn frames[CALLS];
static uint64_t released;

/* The hook: the run is kept, and that is all. */
enum cf_verdict put_release(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	released++;
	return CF_VERDICT_KEEP;
}

enum cf_verdict put_release_first(void *context, cf_pfn pfn, unsigned order)
{
	return put_release(context, pfn, order);
}

enum cf_verdict put_release_second(void *context, cf_pfn pfn, unsigned order)
{
	return put_release(context, pfn, order);
}

static const struct cf_owner_ops ops = { .release = put_release };

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "put: %s failed\n", what);
	exit(1);
}

static void make_map(void)
{
	const struct cf_host_config host = { .last = FRAMES };
	const struct cf_map_config config = { .cpus = 2,
					      .fenced = cf_host_fenced() };
	const struct cf_block_config blocks = { .meta = CF_META_PORT };

	if (cf_host_memory_create(&host, &memory) ||
	    cf_host_map_create(&memory, &config, &map) ||
	    cf_block_add(map, 0, FRAMES, &blocks) ||
	    cf_block_online(map, 0, FRAMES, CF_ZONE_NORMAL, NULL))
		die("making a map");
	(void)cf_host_enter();
}

/* From here on so many are registered. */
static void have_owners(unsigned count)
{
	static unsigned have;
	uint32_t id;

	for (; have < count; have++)
		if (cf_owner_register(map, "one of many", &ops, NULL, &id))
			die("registering");
}

static void take_all(uint32_t owner)
{
	const struct cf_request request = {
		.type = owner ? CF_TYPE_FOLIO : CF_TYPE_KERNEL,
		.owner = (uint16_t)owner,
	};
	unsigned i;

	for (i = 0; i < CALLS; i++)
		if (cf_alloc(map, request, &frames[i]))
			die("alloc");
}

static void loop_empty(void)
{
	unsigned i;

	for (i = 0; i < CALLS; i++)
		keep(frames[i]);
}

static void loop_put(void)
{
	unsigned i;

	for (i = 0; i < CALLS; i++)
		cf_put(map, frames[i]);
}

/* What the owner kept, if it was asked. */
static void free_kept(void)
{
	struct cf_snapshot run;
	unsigned i;

	for (i = 0; i < CALLS; i++)
		if (!cf_snapshot(map, frames[i], &run))
			cf_free_frozen(map, frames[i], 0);
	if (cf_drain(map))
		die("drain");
}

/* Without owners in the put there is nothing to go through. */
static uint32_t owner_of(bool owned)
{
	return owned && strcmp(PUT_KIND, "none") ? FIRST_ID : CF_OWNER_NONE;
}

static const struct row {
	const char *name;
	unsigned owners;
	bool owned;
} rows[] = {
	{ "ordinary frame, no owner registered", 0, false },
	{ "ordinary frame, 1 owner registered", 1, false },
	{ "ordinary frame, 4094 owners registered", OWNERS_MOST, false },
	{ "frame with an owner, 1 registered", 1, true },
	{ "frame with an owner, 4094 registered", OWNERS_MOST, true },
};

/* Rows in order of the owners they need: owners do not go again. */
static const unsigned in_order[] = { 0, 1, 3, 2, 4 };
_Static_assert(ARRAY_COUNT(in_order) == ARRAY_COUNT(rows), "each once");

/* What callgrind sees: first the loop itself. */
static int run_loops(void)
{
	size_t i;

	make_map();
	callgrind_count(loop_empty);
	for (i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct row *row = &rows[in_order[i]];

		have_owners(row->owners);
		/* Warm, so that each finds caches as the others do. */
		take_all(owner_of(row->owned));
		loop_put();
		free_kept();
		take_all(owner_of(row->owned));
		callgrind_count(loop_put);
		free_kept();
	}
	return 0;
}

static void print_ns(unsigned number, unsigned samples)
{
	const struct row *row = &rows[number];
	double values[SAMPLES];
	struct figure figure;
	uint64_t begin;
	unsigned i;

	have_owners(row->owners);
	for (i = 0; i < samples; i++) {
		take_all(owner_of(row->owned));
		begin = clock_cpu_ns();
		loop_put();
		values[i] = (double)(clock_cpu_ns() - begin) / CALLS;
		free_kept();
	}
	figure = figure_of(values, samples);
	cell_print(SECTION_PUTS, row->name, PUT_KIND ", ns", &figure);
}

static int print_counts(const char *output)
{
	struct callgrind_counts count, empty;
	size_t i;

	if (callgrind_read(output, 1, &empty))
		return 1;
	for (i = 0; i < ARRAY_COUNT(rows); i++) {
		const char *name = rows[in_order[i]].name;

		if (callgrind_read(output, i + 2, &count))
			return 1;
		value_print(SECTION_PUTS, name, PUT_KIND ", instr.",
			    (count.instructions - empty.instructions) / CALLS);
		value_print(SECTION_PUTS, name, PUT_KIND ", loads",
			    (count.loads - empty.loads) / CALLS);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char output[] = "/tmp/coldframe-bench-XXXXXX";
	bool quick = argc == 2 && (!strcmp(argv[1], "--quick") ||
				   !strcmp(argv[1], "--sketch"));
	int file, status;
	size_t i;

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
	if (status)
		return status;
	make_map();
	for (i = 0; i < ARRAY_COUNT(rows); i++)
		print_ns(in_order[i], quick ? 3 : SAMPLES);
	return 0;
}
