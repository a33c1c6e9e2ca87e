/* SPDX-License-Identifier: MIT */
/*
 * The index over blocks: levels of bits, against a plain array.
 * On a map as large as one can be, without any block in it.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "core/internal.h"
#include "tests/unit/machine.h"

#define CLASS	9

static struct cf_map *map_made;
static void *storage;
static size_t bytes;
static struct cfi_zone *zone;

/* A map of @blocks blocks of the smallest size. */
static bool map_make(cf_pfn blocks)
{
	struct cf_map_config config = {
		.last = blocks << CF_BLOCK_ORDER_MIN,
		.block_order = CF_BLOCK_ORDER_MIN,
		.cpus = 1,
		.fenced = true,
	};

	bytes = cf_map_bytes(&config);
	storage = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!CHECK(storage != MAP_FAILED) ||
	    !CHECK(cf_map_create(&config, storage, &map_made) == 0))
		return false;
	zone = cfi_zone_of(map_made, 0, CF_ZONE_NORMAL);
	return true;
}

static void map_end(void)
{
	CHECK(cf_map_destroy(map_made) == 0);
	(void)munmap(storage, bytes);
}

static uint64_t find(uint64_t from)
{
	return cfi_index_find(map_made, zone, CLASS, from, false);
}

/* Are all words of all levels 0? */
static bool is_empty(uint64_t blocks)
{
	unsigned level;
	uint64_t i;

	for (level = 0; level < INDEX_LEVELS; level++) {
		blocks = (blocks + 63) / 64;
		for (i = 0; i < blocks; i++)
			if (zone->index[CLASS].level[level][i].v)
				return false;
	}
	return true;
}

/* Bits at the borders of every level, one at a time. */
static void borders(void)
{
	const uint64_t blocks = CF_PFN_LIMIT >> CF_BLOCK_ORDER_MIN;
	const uint64_t at[] = { 0, 1, 63, 64, 65, 4095, 4096, 4097, 262143,
				262144, blocks / 2, blocks - 64, blocks - 1 };
	unsigned i;

	if (!map_make(blocks))
		return;
	CHECK(find(0) == INDEX_NONE);
	CHECK(find(blocks - 1) == INDEX_NONE);
	for (i = 0; i < sizeof(at) / sizeof(*at); i++) {
		CHECK(!cfi_index_test(zone, CLASS, at[i]));
		cfi_index_set(zone, CLASS, at[i]);
		CHECK(cfi_index_test(zone, CLASS, at[i]));
		CHECK_EQ(find(0), at[i]);
		CHECK_EQ(find(at[i]), at[i]);
		/* From behind it: once around. */
		CHECK_EQ(find(at[i] + 1 < blocks ? at[i] + 1 : 0), at[i]);
		CHECK_EQ(find(blocks - 1), at[i]);
		cfi_index_clear(zone, CLASS, at[i]);
		CHECK(find(0) == INDEX_NONE);
		CHECK(is_empty(blocks));
	}
	map_end();
}

/* Clearing one of two neighbours leaves the summaries above the other. */
static void summaries(void)
{
	const uint64_t far[] = { 1, 64, 4096, 262144 };
	unsigned i;

	if (!map_make(400000))
		return;
	for (i = 0; i < 4; i++) {
		cfi_index_set(zone, CLASS, 0);
		cfi_index_set(zone, CLASS, far[i]);
		cfi_index_clear(zone, CLASS, 0);
		CHECK_EQ(find(0), far[i]);
		cfi_index_set(zone, CLASS, 0);
		cfi_index_clear(zone, CLASS, far[i]);
		CHECK_EQ(find(far[i]), 0);
		cfi_index_clear(zone, CLASS, 0);
		CHECK(is_empty(400000));
	}
	map_end();
}

static void classes_are_apart(void)
{
	const struct cfi_zone *other;
	unsigned class;

	if (!map_make(100))
		return;
	other = cfi_zone_of(map_made, 0, CF_ZONE_MOVABLE);
	cfi_index_set(zone, CLASS, 42);
	for (class = 0; class <= CF_BLOCK_ORDER_MIN; class++) {
		CHECK(cfi_index_find(map_made, other, class, 0, false) ==
		      INDEX_NONE);
		if (class != CLASS)
			CHECK(cfi_index_find(map_made, zone, class, 0, false) ==
			      INDEX_NONE);
	}
	map_end();
}

/* Setting twice and clearing what is not set are nothing. */
static void repeats(void)
{
	if (!map_make(100))
		return;
	cfi_index_set(zone, CLASS, 7);
	cfi_index_set(zone, CLASS, 7);
	cfi_index_clear(zone, CLASS, 8);
	CHECK_EQ(find(0), 7);
	cfi_index_clear(zone, CLASS, 7);
	cfi_index_clear(zone, CLASS, 7);
	CHECK(find(0) == INDEX_NONE);
	CHECK(is_empty(100));
	map_end();
}

#define MANY	9000	/* beyond a word of the second level */

static uint64_t slow_find(const bool *set, uint64_t from)
{
	uint64_t i;

	for (i = 0; i < MANY; i++)
		if (set[(from + i) % MANY])
			return (from + i) % MANY;
	return INDEX_NONE;
}

static void random_sets(void)
{
	static bool set[MANY];
	unsigned step;

	if (!map_make(MANY))
		return;
	srand(1);
	for (step = 0; step < 20000 && !tap.broken; step++) {
		uint64_t at = (uint64_t)rand() % MANY;
		uint64_t from = (uint64_t)rand() % MANY;

		/* Crowded at first, nearly empty later. */
		set[at] = rand() % 20000 > (int)step;
		if (set[at])
			cfi_index_set(zone, CLASS, at);
		else
			cfi_index_clear(zone, CLASS, at);
		CHECK_EQ(find(from), slow_find(set, from));
	}
	map_end();
}

/* Moves of each zone and of drains are all counted. */
static void moves(void)
{
	struct machine_config config = { .nodes = 2 };
	struct cfi_moves *of;
	uint64_t begun, ended;
	unsigned i, count;

	if (!CHECK(machine_make(config)))
		return;
	for (i = 0; i <= m.map->zones; i++) {
		of = i ? &m.map->zone[i - 1].moves : &m.map->moves;
		for (count = 0; count <= i; count++) {
			begun = cfi_moves_begun(m.map);
			ended = cfi_moves_ended(m.map);
			cfi_moves_begin(of);
			CHECK_EQ(cfi_moves_begun(m.map), begun + 1);
			CHECK_EQ(cfi_moves_ended(m.map), ended);
			cfi_moves_end(of);
			CHECK_EQ(cfi_moves_begun(m.map), begun + 1);
			CHECK_EQ(cfi_moves_ended(m.map), ended + 1);
		}
	}
	CHECK(machine_end());
}

int main(void)
{
	tap_run("one bit at every border", borders);
	tap_run("a summary stays while anything is below", summaries);
	tap_run("classes and zones do not mix", classes_are_apart);
	tap_run("setting and clearing twice", repeats);
	tap_run("random sets, searched from everywhere", random_sets);
	tap_run("moves of every zone are counted", moves);
	return tap_done();
}
