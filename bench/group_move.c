/* SPDX-License-Identifier: MIT */
/*
 * Moving what is in the way: a block that is full of movable runs goes
 * offline, beside a bare memcpy() of the same bytes; and compaction, beside
 * the fewest frames that have to move.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/engine.h"
#include "bench/groups.h"

#define BLOCKS		4u
#define FRAMES		(BLOCKS * BLOCK_FRAMES)
#define CHUNKS		(FRAMES / CF_CHUNK_FRAMES)

/*
 * All runs of one owner, which knows where each is: what an owner needs to
 * be able to move them.
 */
static struct {
	cf_pfn pfns[FRAMES];
	uint32_t index_of[FRAMES];	/* of the run that begins there */
	uint32_t count;
	uint32_t owner;
} folios;

static int folio_isolate(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return 0;
}

static int folio_migrate(void *context, cf_pfn source, cf_pfn target,
			 unsigned order)
{
	uint32_t index = folios.index_of[source];
	int err;

	(void)context;
	/* Its own reference, and the engine's. */
	err = cf_freeze(engine.map, source, 2);
	if (err)
		return err;
	err = cf_copy_run(engine.map, source, target, order);
	if (err)
		engine_die("copy", err);
	folios.pfns[index] = target;
	folios.index_of[target] = index;
	cf_unfreeze(engine.map, target, 1);
	return 0;
}

static const struct cf_owner_ops folio_ops = {
	.isolate = folio_isolate,
	.migrate = folio_migrate,
};

static void fill(unsigned order)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)folios.owner,
		.zone = CF_ZONE_MOVABLE,
	};

	folios.count = 0;
	while (!cf_alloc(engine.map, request, &folios.pfns[folios.count]))
		folios.count++;
}

/* Free the runs that are not wanted; what is left is numbered anew. */
static void thin_out(bool (*is_wanted)(cf_pfn pfn))
{
	uint32_t i, left = 0;

	for (i = 0; i < folios.count; i++) {
		if (!is_wanted(folios.pfns[i])) {
			cf_put(engine.map, folios.pfns[i]);
			continue;
		}
		folios.pfns[left] = folios.pfns[i];
		folios.index_of[folios.pfns[left]] = left;
		left++;
	}
	folios.count = left;
	engine_drain();
}

static bool is_none(cf_pfn pfn)
{
	(void)pfn;
	return false;
}

static bool is_in_first_block(cf_pfn pfn)
{
	return pfn < BLOCK_FRAMES;
}

/* Offline with migration. */

static uint64_t loop_fill(struct worker *worker)
{
	fill(worker->argument);
	thin_out(is_in_first_block);
	return 0;
}

static uint64_t loop_offline(struct worker *worker)
{
	int err;

	(void)worker;
	err = cf_block_offline(engine.map, 0, BLOCK_FRAMES, OFFLINE_PASSES,
			       NULL);
	if (err)
		engine_die("offline", err);
	return BLOCK_FRAMES;
}

static uint64_t loop_online(struct worker *worker)
{
	int err;

	(void)worker;
	err = cf_block_online(engine.map, 0, BLOCK_FRAMES, CF_ZONE_MOVABLE,
			      NULL);
	if (err)
		engine_die("online", err);
	return 0;
}

/* In steps of 2 MiB, as virtio-mem unplugs. */
static uint64_t loop_offline_chunks(struct worker *worker)
{
	cf_pfn at;
	int err;

	(void)worker;
	for (at = 0; at < BLOCK_FRAMES; at += CF_CHUNK_FRAMES) {
		err = cf_offline_alloc_range(engine.map, engine.owner, at,
					     at + CF_CHUNK_FRAMES, 0, NULL);
		if (err)
			engine_die("sub-block offline", err);
	}
	return BLOCK_FRAMES;
}

static uint64_t loop_free_chunks(struct worker *worker)
{
	int err;

	(void)worker;
	err = cf_offline_free_range(engine.map, engine.owner, 0,
				    BLOCK_FRAMES);
	if (err)
		engine_die("sub-block free", err);
	return 0;
}

static uint64_t loop_empty(struct worker *worker)
{
	(void)worker;
	thin_out(is_none);
	return 0;
}

static unsigned char *address(cf_pfn pfn)
{
	return engine.memory.base + pfn * CF_FRAME_BYTES;
}

/* From the first block to the second, in pieces of the runs' order. */
static uint64_t loop_memcpy(struct worker *worker)
{
	cf_pfn size = (cf_pfn)1 << worker->argument, at;

	for (at = 0; at < BLOCK_FRAMES; at += size)
		memcpy(address(BLOCK_FRAMES + at), address(at),
		       size * CF_FRAME_BYTES);
	return BLOCK_FRAMES;
}

#define MOVED	1	/* phases that are measured */
#define COPIED	4
#define PHASES(order, moves, undoes)					\
{									\
	{ .body = loop_fill, .argument = (order) },			\
	{ .name = "moved", .body = (moves) },				\
	{ .body = (undoes) },						\
	{ .body = loop_empty },						\
	{ .name = "copied", .body = loop_memcpy, .argument = (order) },	\
}

static const struct {
	const char *row;
	struct phase phases[5];
} moves[] = {
	{ "block of 4 KiB folios: offline",
	  PHASES(0, loop_offline, loop_online) },
	{ "block of 64 KiB folios: offline",
	  PHASES(4, loop_offline, loop_online) },
	{ "block of 2 MiB folios: offline",
	  PHASES(9, loop_offline, loop_online) },
	{ "2 MiB of 4 KiB folios: offline",
	  PHASES(0, loop_offline_chunks, loop_free_chunks) },
};

static void rows_moves(void)
{
	struct bench_case bench = {
		.count = 5,
		.enter = engine_enter,
		.leave = engine_leave,
	};
	struct figure figures[5];
	size_t i;

	for (i = 0; i < ARRAY_COUNT(moves); i++) {
		bench.phases = moves[i].phases;
		measure(&bench, 1, bench_quick ? 3 : 9, figures);
		cell_print(SECTION_MOVE, moves[i].row, "ns a frame",
			   &figures[MOVED]);
		cell_print(SECTION_MOVE, moves[i].row, "memcpy",
			   &figures[COPIED]);
		ratio_print(SECTION_MOVE, moves[i].row, "% memcpy",
			    figures[COPIED].median / figures[MOVED].median *
				    100,
			    &figures[COPIED], &figures[MOVED]);
	}
}

/* Compaction. */

static uint8_t shares[CHUNKS];		/* of a chunk that stay, of 256 */
static uint64_t share_state = 1;

static bool is_of_share(cf_pfn pfn)
{
	return (random_next(&share_state) >> 20) % 256 <
	       shares[pfn / CF_CHUNK_FRAMES];
}

static int compare(const void *a, const void *b)
{
	return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

/* To empty so many chunks, at least what the emptiest hold must move. */
static uint64_t least_moved(uint64_t chunks)
{
	uint32_t used[CHUNKS] = { 0 };
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < folios.count; i++)
		used[folios.pfns[i] / CF_CHUNK_FRAMES]++;
	qsort(used, CHUNKS, sizeof(used[0]), compare);
	for (i = 0; i < CHUNKS && chunks > 0; i++) {
		sum += used[i];
		/* What is free already is none of them. */
		chunks -= used[i] > 0;
	}
	return sum;
}

/* Chunks between empty and full at random; @most_share of 256 is the most. */
static void row_compact(const char *row, unsigned most_share, uint64_t chunks)
{
	struct cf_compaction done;
	uint64_t least[CHUNKS + 1], i, begin;
	int err;

	for (i = 0; i < CHUNKS; i++)
		shares[i] = (uint8_t)(random_next(&share_state) % most_share);
	fill(0);
	thin_out(is_of_share);
	for (i = 0; i <= CHUNKS; i++)
		least[i] = least_moved(i);
	begin = clock_cpu_ns();
	err = cf_compact(engine.map, 0, CF_ZONE_MOVABLE, chunks, &done);
	begin = clock_cpu_ns() - begin;
	if (err)
		engine_die("compact", err);
	value_print(SECTION_COMPACT, row, "freed",
		    (double)done.chunks_freed);
	value_print(SECTION_COMPACT, row, "moved, each",
		    (double)done.frames_moved / (double)done.chunks_freed);
	value_print(SECTION_COMPACT, row, "least, each",
		    (double)least[done.chunks_freed] /
			    (double)done.chunks_freed);
	value_print(SECTION_COMPACT, row, "ns a frame",
		    (double)begin / (double)done.frames_moved);
	thin_out(is_none);
}

int group_move(void)
{
	int err;

	engine_create(FRAMES, ENGINE_HUGE);
	engine_online(CF_ZONE_MOVABLE);
	err = cf_owner_register(engine.map, "folios", &folio_ops, NULL,
				&folios.owner);
	if (err)
		engine_die("owner", err);
	/* Copies are to be copies of memory that is there. */
	(void)madvise(engine.memory.base, FRAMES * CF_FRAME_BYTES,
		      MADV_POPULATE_WRITE);
	rows_moves();
	pin(0);
	(void)cf_host_enter();
	row_compact("2 MiB up to 50 % full, 32 wanted", 128, 32);
	row_compact("2 MiB up to 100 % full, 32 wanted", 256, 32);
	row_compact("2 MiB up to 100 % full, all wanted", 256,
		    CHUNKS);
	err = cf_owner_unregister(engine.map, folios.owner, NULL);
	if (err)
		engine_die("unregister", err);
	engine_destroy();
	return 0;
}
