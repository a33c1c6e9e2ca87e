/* SPDX-License-Identifier: MIT */
/* The calls of the rows that the engine alone has; see ops.h. */
#include "bench/engine.h"
#include "bench/ops.h"

#define BATCH_MAX	512u

/* Of one frame: 128 MiB, which is more than caches hold. */
#define BALLOON_RUNS	32768u

/* More are not taken at a time than a run can have references. */
#define REFS_A_SAMPLE	((uint64_t)CF_REFS_MAX / 2 / THREADS_MAX)

static cf_pfn take(unsigned order, enum cf_type type, uint32_t owner,
		   unsigned flags)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = (uint8_t)type,
		.owner = (uint16_t)owner,
		.flags = (uint16_t)flags,
	};
	cf_pfn pfn;
	int err = cf_alloc(engine.map, request, &pfn);

	if (__builtin_expect(err != 0, 0))
		engine_die("alloc", err);
	return pfn;
}

static uint64_t op_pair(struct worker *worker)
{
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		cf_put(engine.map, engine_take(worker->argument));
	return worker->rounds;
}

static uint64_t op_pair_frozen(struct worker *worker)
{
	unsigned order = worker->argument;
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		cf_free_frozen(engine.map, take(order, CF_TYPE_KERNEL, 0,
						CF_ALLOC_FROZEN), order);
	return worker->rounds;
}

/* The owner's release hook runs at each put, and lets the run go. */
static uint64_t op_pair_owned(struct worker *worker)
{
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		cf_put(engine.map, take(worker->argument, CF_TYPE_FOLIO,
					engine.freeing, 0));
	return worker->rounds;
}

/* The owner keeps the run, and hands it out again without the allocator. */
static uint64_t op_put_kept(struct worker *worker)
{
	cf_pfn pfn = take(0, CF_TYPE_FOLIO, engine.keeping, 0);
	uint64_t left;

	for (left = worker->rounds; left > 0; left--) {
		cf_put(engine.map, pfn);
		cf_unfreeze(engine.map, pfn, 1);
	}
	cf_put(engine.map, pfn);
	cf_free_frozen(engine.map, pfn, 0);
	return worker->rounds;
}

static void get(cf_pfn pfn)
{
	int err = cf_get(engine.map, pfn);

	if (__builtin_expect(err != 0, 0))
		engine_die("get", err);
}

static uint64_t op_get_put(struct worker *worker)
{
	cf_pfn pfn = engine_take(0);
	uint64_t left;

	for (left = worker->rounds; left > 0; left--) {
		get(pfn);
		cf_put(engine.map, pfn);
	}
	cf_put(engine.map, pfn);
	return worker->rounds;
}

static uint64_t op_try_get_put(struct worker *worker)
{
	cf_pfn pfn = engine_take(0);
	uint64_t left;
	int err;

	for (left = worker->rounds; left > 0; left--) {
		err = cf_try_get(engine.map, pfn);
		if (__builtin_expect(err != 0, 0))
			engine_die("try_get", err);
		cf_put(engine.map, pfn);
	}
	cf_put(engine.map, pfn);
	return worker->rounds;
}

/* Head of a run is found from a frame in it. */
static uint64_t op_try_get_interior(struct worker *worker)
{
	unsigned order = worker->argument;
	cf_pfn pfn = engine_take(order);
	cf_pfn inside = pfn + ((cf_pfn)1 << order) - 1;
	uint64_t left;
	cf_pfn head;
	int err;

	for (left = worker->rounds; left > 0; left--) {
		err = cf_try_get_interior(engine.map, inside, &head);
		if (__builtin_expect(err != 0, 0))
			engine_die("try_get_interior", err);
		cf_put(engine.map, head);
	}
	cf_put(engine.map, pfn);
	return worker->rounds;
}

/* A lookup that finds nothing to hold: the frame is free. */
static uint64_t op_try_get_free(struct worker *worker)
{
	cf_pfn last = cf_map_config_of(engine.map)->last;
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		if (__builtin_expect(cf_try_get(engine.map, last - 1) !=
				     -CF_EGONE, 0))
			engine_die("try_get of a free frame", 0);
	return worker->rounds;
}

static uint64_t op_pin_unpin(struct worker *worker)
{
	cf_pfn pfn = engine_take(0);
	uint64_t left;
	int err;

	for (left = worker->rounds; left > 0; left--) {
		err = cf_pin(engine.map, pfn);
		if (__builtin_expect(err != 0, 0))
			engine_die("pin", err);
		cf_unpin(engine.map, pfn);
	}
	cf_put(engine.map, pfn);
	return worker->rounds;
}

/*
 * A frame for all threads, or one each: where gets and puts are two rows, the
 * puts give back what the gets took.
 */
static cf_pfn held[THREADS_MAX];
static uint64_t held_refs[THREADS_MAX];

static uint64_t op_hold_own(struct worker *worker)
{
	held[worker->thread] = engine_take(0);
	return 0;
}

static uint64_t op_hold_shared(struct worker *worker)
{
	unsigned i;

	if (worker->thread > 0)
		return 0;
	held[0] = engine_take(0);
	for (i = 1; i < worker->threads; i++) {
		held[i] = held[0];
		get(held[0]);
	}
	return 0;
}

static uint64_t op_get(struct worker *worker)
{
	cf_pfn pfn = held[worker->thread];
	uint64_t count = worker->rounds < REFS_A_SAMPLE ? worker->rounds :
							  REFS_A_SAMPLE;
	uint64_t left;

	for (left = count; left > 0; left--)
		get(pfn);
	held_refs[worker->thread] = count;
	return count;
}

static uint64_t op_put(struct worker *worker)
{
	cf_pfn pfn = held[worker->thread];
	uint64_t left;

	for (left = held_refs[worker->thread]; left > 0; left--)
		cf_put(engine.map, pfn);
	return held_refs[worker->thread];
}

static uint64_t op_release(struct worker *worker)
{
	cf_put(engine.map, held[worker->thread]);
	return 0;
}

/* Threads work in different blocks. */
static cf_pfn first_of(const struct worker *worker)
{
	cf_pfn last = cf_map_config_of(engine.map)->last;

	return last / worker->threads * worker->thread;
}

/* Take a 2 MiB sub-block offline and give it back: the driver's step. */
static uint64_t op_subblock(struct worker *worker)
{
	cf_pfn first = first_of(worker) + CF_CHUNK_FRAMES;
	cf_pfn last = first + CF_CHUNK_FRAMES;
	uint64_t left;
	int err;

	for (left = worker->rounds; left > 0; left--) {
		err = cf_offline_alloc_range(engine.map, engine.owner, first,
					     last, 0, NULL);
		if (__builtin_expect(err != 0, 0))
			engine_die("sub-block offline", err);
		err = cf_offline_free_range(engine.map, engine.owner, first,
					    last);
		if (__builtin_expect(err != 0, 0))
			engine_die("sub-block free", err);
	}
	return worker->rounds;
}

/* Any run, as a balloon takes them. */
static uint64_t op_offline_any(struct worker *worker)
{
	unsigned order = worker->argument;
	uint64_t left;
	cf_pfn pfn;
	int err;

	for (left = worker->rounds; left > 0; left--) {
		err = cf_offline_alloc(engine.map, engine.owner, order, 0,
				       &pfn);
		if (__builtin_expect(err != 0, 0))
			engine_die("offline", err);
		err = cf_offline_free(engine.map, engine.owner, pfn, order);
		if (__builtin_expect(err != 0, 0))
			engine_die("offline free", err);
	}
	return worker->rounds;
}

/* Batches of runs of one frame. */
static uint64_t op_many(struct worker *worker)
{
	const struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn frames[BATCH_MAX];
	uint64_t batch = worker->argument;
	uint64_t left;
	size_t done;
	int err;

	for (left = worker->rounds; left > 0; left--) {
		err = cf_alloc_bulk(engine.map, request, batch, frames, &done);
		if (err)
			engine_die("alloc_bulk", err);
		cf_put_bulk(engine.map, frames, batch);
	}
	return worker->rounds * batch;
}

/* A balloon: inflated by calls for many runs, deflated by a call for each. */
static cf_pfn balloons[THREADS_MAX][BALLOON_RUNS];

/* So many runs of an order are in it: up to 2 GiB of all threads' 8. */
static uint64_t balloon_runs(const struct worker *worker)
{
	uint64_t runs = BALLOON_RUNS;

	return worker->argument < CF_CHUNK_ORDER ? runs : BATCH_MAX / 2;
}

static uint64_t op_inflate(struct worker *worker)
{
	cf_pfn *pfns = balloons[worker->thread];
	uint64_t runs = balloon_runs(worker), i, batch;
	size_t done;
	int err;

	for (i = 0; i < runs; i += batch) {
		batch = runs - i < BATCH_MAX ? runs - i : BATCH_MAX;
		err = cf_offline_alloc_bulk(engine.map, engine.owner,
					    worker->argument, 0, batch,
					    pfns + i, &done);
		if (err)
			engine_die("balloon", err);
	}
	return runs;
}

static uint64_t op_deflate(struct worker *worker)
{
	const cf_pfn *pfns = balloons[worker->thread];
	uint64_t runs = balloon_runs(worker), i;
	int err;

	for (i = 0; i < runs; i++) {
		err = cf_offline_free(engine.map, engine.owner, pfns[i],
				      worker->argument);
		if (err)
			engine_die("balloon, free", err);
	}
	return runs;
}

static uint64_t op_fail(struct worker *worker)
{
	uint64_t left;
	cf_pfn pfn;

	for (left = worker->rounds; left > 0; left--)
		if (__builtin_expect(engine_try_take(worker->argument, &pfn) !=
				     -CF_ENOMEM, 0))
			engine_die("failing alloc", 0);
	return worker->rounds;
}

static const struct phase rows_empty[] = {
	{ "alloc+free pair, 4 KiB", op_pair, 0, true },
	{ "alloc+free pair, 64 KiB", op_pair, 4, true },
	{ "alloc+free pair, 2 MiB", op_pair, 9, true },
	{ "alloc+free pair, 4 MiB", op_pair, 10, true },
	{ "alloc+free pair, 128 MiB", op_pair, 15, true },
	{ "alloc+free pair, 1 GiB", op_pair, 18, true },
	{ "alloc+free pair, frozen, 4 KiB", op_pair_frozen, 0, true },
	{ "alloc+free pair, frozen, 2 MiB", op_pair_frozen, 9, true },
	{ "alloc+free pair with an owner, 4 KiB", op_pair_owned, 0, true },
	{ "put that its owner keeps + unfreeze", op_put_kept, 0, true },
	{ "get+put", op_get_put, 0, true },
	{ "try_get+put", op_try_get_put, 0, true },
	{ "try_get+put of a frame inside 1 MiB", op_try_get_interior, 8,
	  true },
	{ "try_get+put of a frame inside 2 MiB", op_try_get_interior, 9,
	  true },
	{ "try_get of a free frame", op_try_get_free, 0, true },
	{ "pin+unpin", op_pin_unpin, 0, true },
	{ "any 4 KiB: offline+free", op_offline_any, 0, true },
	{ "any 2 MiB: offline+free", op_offline_any, 9, true },
	{ "2 MiB sub-block: offline+free", op_subblock, 0, true },
};

static const struct phase rows_last[] = {
	{ "the last free 2 MiB: alloc+free", op_pair, 9, true },
};

static const struct phase rows_last_stock[] = {
	{ "the last free 2 MiB, from a CPU's stock", op_pair, 9, true },
};

static const struct phase rows_failing[] = {
	{ "failing alloc of 4 KiB", op_fail, 0, true },
	{ "failing alloc of 2 MiB", op_fail, 9, true },
};

static const struct phase rows_refs_own[] = {
	{ .body = op_hold_own },
	{ "get", op_get, 0, true },
	{ "put, not the last", op_put, 0, false },
	{ .body = op_release },
};

static const struct phase rows_refs_shared[] = {
	{ .body = op_hold_shared },
	{ "get, all of one frame", op_get, 0, true },
	{ "put, all of one frame", op_put, 0, false },
	{ .body = op_release },
};

static const struct phase rows_many[] = {
	{ "16 at once: alloc+free, each", op_many, 16, true },
	{ "64 at once: alloc+free, each", op_many, 64, true },
	{ "512 at once: alloc+free, each", op_many, 512, true },
};

static const struct phase rows_balloon[] = {
	{ "balloon: 4 KiB offline, 512 at once, each", op_inflate, 0, false },
	{ "balloon: 4 KiB free, one by one", op_deflate, 0, false },
	{ "balloon: 2 MiB offline, 256 at once, each", op_inflate, 9, false },
	{ "balloon: 2 MiB free, one by one", op_deflate, 9, false },
};

#define TABLE(rows) { (rows), ARRAY_COUNT(rows) }

const struct op_table ops_empty = TABLE(rows_empty);
const struct op_table ops_last = TABLE(rows_last);
const struct op_table ops_last_stock = TABLE(rows_last_stock);
const struct op_table ops_failing = TABLE(rows_failing);
const struct op_table ops_refs_own = TABLE(rows_refs_own);
const struct op_table ops_refs_shared = TABLE(rows_refs_shared);
const struct op_table ops_balloon = TABLE(rows_balloon);
const struct op_table ops_many = TABLE(rows_many);
