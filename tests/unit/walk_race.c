/* SPDX-License-Identifier: MIT */
/*
 * Looking while others work: walks, exports and counters against threads that
 * allocate and free, and a block that goes and comes. On the host port; made
 * for the sanitizers.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <coldframe/coldframe.h>

#include "port/host/host.h"
#include "tests/tap.h"

#define BLOCK_ORDER	10
#define BLOCK		((cf_pfn)1 << BLOCK_ORDER)
#define LAST		(8 * BLOCK)
#define MOVING		(7 * BLOCK)	/* the block that goes and comes */
#define ROUNDS		20000		/* at most, and until ... */
#define SPANS		50000		/* ... so many were seen, and */
#define GONE		100		/* the block went so often */
#define HELD		64

static struct cf_host_memory memory;
static struct cf_map *map;
static atomic_bool stop;
static atomic_uint wrong;
static atomic_ulong spans;

static void expect(bool holds)
{
	if (!holds)
		atomic_fetch_add(&wrong, 1);
}

static bool add_block(cf_pfn first, cf_pfn last)
{
	struct cf_block_config config = { .meta = CF_META_PORT };

	return cf_block_add(map, first, last, &config) == 0 &&
	       cf_block_online(map, first, last, CF_ZONE_NORMAL, NULL) == 0;
}

/* A span that no state of the map can have. */
static bool makes_sense(const struct cf_span *span, cf_pfn cursor)
{
	if (span->first > cursor || span->last <= cursor ||
	    span->kind >= CF_SPAN_COUNT)
		return false;
	if (span->kind != CF_SPAN_RUN)
		return span->first == cursor && span->last <= LAST;
	return span->type > CF_TYPE_NONE && span->type < CF_TYPE_COUNT &&
	       span->last - span->first == (cf_pfn)1 << span->order &&
	       span->first % ((cf_pfn)1 << span->order) == 0;
}

static void *walk(void *argument)
{
	struct cf_span span;
	cf_pfn cursor, at;

	(void)argument;
	(void)cf_host_enter();
	while (!atomic_load(&stop)) {
		cf_walk_begin(map);
		for (cursor = at = 0; cf_walk_next(map, &cursor, LAST, &span);
		     at = cursor) {
			expect(makes_sense(&span, at) && cursor == span.last);
			atomic_fetch_add(&spans, 1);
		}
		cf_walk_end(map);
	}
	cf_host_leave(map);
	return NULL;
}

static void *export_and_count(void *argument)
{
	static uint64_t flags[LAST];
	struct cf_zone_stat zone;
	struct cf_stat stat;

	(void)argument;
	(void)cf_host_enter();
	while (!atomic_load(&stop)) {
		cf_export_flags(map, 0, LAST, flags);
		/* Block 0 is never there. */
		expect(flags[BLOCK - 1] == (uint64_t)1 << CF_KPF_NOPAGE);
		cf_export_counts(map, 0, LAST, flags);
		cf_stat(map, &stat);
		expect(stat.present >= 6 * BLOCK && stat.present <= LAST);
		expect(cf_zone_stat(map, 0, CF_ZONE_NORMAL, &zone) == 0);
		expect(zone.blocks == 6 || zone.blocks == 7);
	}
	cf_host_leave(map);
	return NULL;
}

static void *work(void *argument)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn held[HELD] = { 0 };
	unsigned number = 0;

	(void)argument;
	(void)cf_host_enter();
	while (!atomic_load(&stop)) {
		cf_pfn *place = &held[number * 37 % HELD];

		if (*place)
			cf_put(map, *place);
		*place = 0;
		number++;
		/* Now and then nothing is left, so that the block can go. */
		if (number / 256 % 2)
			continue;
		request.order = number % 5 ? (uint8_t)(number % 3) : 9;
		expect(cf_alloc(map, request, place) == 0 || *place == 0);
	}
	for (number = 0; number < HELD; number++)
		if (held[number])
			cf_put(map, held[number]);
	cf_host_leave(map);
	return NULL;
}

/* Empty the block, take it away, bring it back. */
static bool go_and_come(void)
{
	if (cf_block_offline(map, MOVING, LAST, 3, NULL))
		return false;
	CHECK(cf_block_remove(map, MOVING, LAST) == 0);
	CHECK(add_block(MOVING, LAST));
	return true;
}

static void make(void)
{
	struct cf_host_config host = { .last = LAST };
	struct cf_map_config config = { .block_order = BLOCK_ORDER, .cpus = 5 };

	CHECK(cf_host_memory_create(&host, &memory) == 0);
	CHECK(cf_host_map_create(&memory, &config, &map) == 0);
	CHECK(add_block(BLOCK, MOVING));
	CHECK(add_block(MOVING, LAST));
}

static void drop(void)
{
	CHECK(cf_drain(map) == 0);
	CHECK(cf_block_offline(map, BLOCK, LAST, 3, NULL) == 0);
	CHECK(cf_block_remove(map, BLOCK, LAST) == 0);
	CHECK(cf_host_map_destroy(map) == 0);
	cf_host_memory_destroy(&memory);
}

static void look(void)
{
	static void *(*const run[])(void *argument) = {
		walk, export_and_count, work, work,
	};
	struct cf_finding finding;
	pthread_t threads[4];
	unsigned gone = 0;
	unsigned i;

	make();
	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, run[i], NULL) == 0);
	for (i = 0; i < ROUNDS && (atomic_load(&spans) < SPANS ||
				   gone < GONE); i++)
		gone += go_and_come();
	atomic_store(&stop, true);
	for (i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK_EQ(atomic_load(&wrong), 0);
	CHECK(cf_verify(map, &finding));
	tap_print("# %lu spans, the block went %u times\n",
		  atomic_load(&spans), gone);
	drop();
}

int main(void)
{
	(void)cf_host_enter();
	tap_run("looking while others work", look);
	cf_host_leave(NULL);
	return tap_done();
}
