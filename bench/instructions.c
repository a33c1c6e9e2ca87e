/* SPDX-License-Identifier: MIT */
/*
 * One loop of calls, to be counted by valgrind: instructions LOOP COUNT.
 *
 * The driver runs each loop with a count and with twice that; the difference
 * is the loop alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine.h"

static struct engine engine;

static cf_pfn take(uint32_t owner, uint16_t flags)
{
	const struct cf_request request = {
		.type = owner ? CF_TYPE_FOLIO : CF_TYPE_KERNEL,
		.owner = (uint16_t)owner,
		.flags = flags,
	};
	cf_pfn pfn;
	int err = cf_alloc(engine.map, request, &pfn);

	if (err)
		engine_die("alloc", err);
	return pfn;
}

static void loop_empty(uint64_t count)
{
	for (; count > 0; count--)
		__asm__ volatile("" : : "r"(count) : "memory");
}

static void loop_pair(uint64_t count)
{
	for (; count > 0; count--)
		cf_put(engine.map, take(0, 0));
}

static void loop_pair_owned(uint64_t count)
{
	for (; count > 0; count--)
		cf_put(engine.map, take(engine.freeing, 0));
}

static void loop_pair_frozen(uint64_t count)
{
	for (; count > 0; count--)
		cf_free_frozen(engine.map, take(0, CF_ALLOC_FROZEN), 0);
}

/* Frames come in order from an empty map: the first @count of them. */
static void loop_alloc(uint64_t count)
{
	for (; count > 0; count--)
		(void)take(0, 0);
}

static void loop_alloc_free(uint64_t count)
{
	cf_pfn *pfns = malloc(count * sizeof(*pfns));
	uint64_t i;

	if (!pfns)
		engine_die("handles", CF_ENOMEM);
	for (i = 0; i < count; i++)
		pfns[i] = take(0, 0);
	for (i = 0; i < count; i++)
		cf_put(engine.map, pfns[i]);
	free(pfns);
}

/* What loop_alloc_free() does beside freeing. */
static void loop_alloc_keep(uint64_t count)
{
	cf_pfn *pfns = malloc(count * sizeof(*pfns));
	uint64_t i;

	if (!pfns)
		engine_die("handles", CF_ENOMEM);
	for (i = 0; i < count; i++)
		pfns[i] = take(0, 0);
	for (i = 0; i < count; i++)
		__asm__ volatile("" : : "r"(pfns[i]) : "memory");
	free(pfns);
}

static void loop_get(uint64_t count)
{
	cf_pfn pfn = take(0, 0);

	for (; count > 0; count--)
		if (cf_get(engine.map, pfn))
			engine_die("get", CF_ELIMIT);
}

static void loop_get_put(uint64_t count)
{
	cf_pfn pfn = take(0, 0);

	for (; count > 0; count--) {
		if (cf_get(engine.map, pfn))
			engine_die("get", CF_ELIMIT);
		cf_put(engine.map, pfn);
	}
}

static void loop_try_get_put(uint64_t count)
{
	cf_pfn pfn = take(0, 0);

	for (; count > 0; count--) {
		if (cf_try_get(engine.map, pfn))
			engine_die("try_get", CF_ELIMIT);
		cf_put(engine.map, pfn);
	}
}

static const struct {
	const char *name;
	void (*loop)(uint64_t count);
} loops[] = {
	{ "empty", loop_empty },
	{ "pair", loop_pair },
	{ "pair-owned", loop_pair_owned },
	{ "pair-frozen", loop_pair_frozen },
	{ "alloc", loop_alloc },
	{ "alloc-keep", loop_alloc_keep },
	{ "alloc-free", loop_alloc_free },
	{ "get", loop_get },
	{ "get-put", loop_get_put },
	{ "try_get-put", loop_try_get_put },
};

int main(int argc, char **argv)
{
	uint64_t count;
	size_t i;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: instructions LOOP COUNT\n");
		return 2;
	}
	count = strtoull(argv[2], NULL, 10);
	engine_create(&engine, FRAMES_1GIB, false);
	engine_online(&engine);
	(void)cf_host_enter();
	for (i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		if (strcmp(loops[i].name, argv[1]))
			continue;
		loops[i].loop(count);
		return 0;
	}
	(void)fprintf(stderr, "instructions: no loop %s\n", argv[1]);
	return 2;
}
