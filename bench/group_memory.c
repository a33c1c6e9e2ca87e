/* SPDX-License-Identifier: MIT */
/*
 * Maps from 1 GiB to 64 TiB: what it takes to make one, what its metadata
 * weighs, and how fast its frames are looked at.
 */
#include "bench/engine.h"
#include "bench/groups.h"

#define NS_A_MS		1e6
#define EXPORT_FRAMES	((cf_pfn)4096)		/* a call; stays in caches */
#define WALK_SPANS	64
#define SPLIT_FRAMES	FRAMES_8GIB

#define RUN_ORDER_MAX	4u

#define SAMPLES_SIZE	5u

/* What is measured of a map's life, the columns. */
enum life {
	LIFE_CREATE,
	LIFE_ONLINE,
	LIFE_DESTROY,
	LIFE_MIB,
	LIFE_BYTES,
	LIFE_COUNT
};

static const char *const life_columns[] = {
	[LIFE_CREATE] = "create, ms",	[LIFE_ONLINE] = "online, ms",
	[LIFE_DESTROY] = "destroy, ms", [LIFE_MIB] = "cold, MiB",
	[LIFE_BYTES] = "cold, B",
};

static double elapsed_ms(uint64_t begin)
{
	return (double)(clock_cpu_ns() - begin) / NS_A_MS;
}

/* Bytes by which the process has grown. */
static double grown(uint64_t before)
{
	return (double)(cf_host_resident_bytes() - before);
}

static void live_once(cf_pfn frames, double values[LIFE_COUNT][SAMPLES_SIZE],
		      unsigned sample)
{
	uint64_t before = cf_host_resident_bytes();
	uint64_t begin = clock_cpu_ns();

	engine_create(frames, ENGINE_SMALL);
	values[LIFE_CREATE][sample] = elapsed_ms(begin);
	begin = clock_cpu_ns();
	engine_online(CF_ZONE_NORMAL);
	values[LIFE_ONLINE][sample] = elapsed_ms(begin);
	values[LIFE_MIB][sample] = grown(before) / (1 << 20);
	values[LIFE_BYTES][sample] = grown(before) / (double)frames;
	begin = clock_cpu_ns();
	engine_destroy();
	values[LIFE_DESTROY][sample] = elapsed_ms(begin);
}

static void row_size(const char *size, cf_pfn frames)
{
	double values[LIFE_COUNT][SAMPLES_SIZE];
	unsigned count = bench_sketch || frames > FRAMES_1TIB ? 1 :
								SAMPLES_SIZE;
	struct figure figure;
	unsigned i;

	for (i = 0; i < count; i++)
		live_once(frames, values, i);
	for (i = 0; i < LIFE_COUNT; i++) {
		figure = figure_of(values[i], count);
		cell_print(SECTION_MEMORY, size, life_columns[i], &figure);
	}
}

/* Frames seen in the time since @begin, in 10^9 a second. */
static double rate(cf_pfn frames, uint64_t begin)
{
	return (double)frames / (double)(clock_cpu_ns() - begin);
}

/* The best of some passes over [0, last). */
static void row_rate(const char *row, const char *column,
		     void (*pass)(cf_pfn last), cf_pfn last)
{
	unsigned i, passes = bench_sketch ? 1 : bench_quick ? 3 : 9;
	double rates[SAMPLES_MAX];
	struct figure figure;
	uint64_t begin;

	if (!bench_sketch)
		pass(last);
	for (i = 0; i < passes; i++) {
		begin = clock_cpu_ns();
		pass(last);
		rates[i] = rate(last, begin);
	}
	figure = figure_of(rates, passes);
	cell_print(SECTION_WALK, row, column, &figure);
}

static void pass_walk(cf_pfn last)
{
	cf_pfn cursor = 0, frames = 0;
	struct cf_span span;

	cf_walk_begin(engine.map);
	while (cf_walk_next(engine.map, &cursor, last, &span))
		frames += span.last - span.first;
	cf_walk_end(engine.map);
	if (frames != last)
		engine_die("walk", 0);
}

static void pass_walk_many(cf_pfn last)
{
	static struct cf_span spans[WALK_SPANS];
	cf_pfn cursor = 0, frames = 0;
	size_t i, count;

	cf_walk_begin(engine.map);
	do {
		count = cf_walk_many(engine.map, &cursor, last, spans,
				     WALK_SPANS);
		for (i = 0; i < count; i++)
			frames += spans[i].last - spans[i].first;
	} while (count > 0);
	cf_walk_end(engine.map);
	if (frames != last)
		engine_die("walk", 0);
}

static uint64_t words[EXPORT_FRAMES];

static void pass_flags(cf_pfn last)
{
	cf_pfn at;

	for (at = 0; at < last; at += EXPORT_FRAMES)
		cf_export_flags(engine.map, at, at + EXPORT_FRAMES, words);
}

static void pass_counts(cf_pfn last)
{
	cf_pfn at;

	for (at = 0; at < last; at += EXPORT_FRAMES)
		cf_export_counts(engine.map, at, at + EXPORT_FRAMES, words);
}

static void rows_looks(const char *column, cf_pfn last, cf_pfn export_last)
{
	row_rate("walk", column, pass_walk, last);
	row_rate("walk, many at once", column, pass_walk_many, last);
	row_rate("export of flags", column, pass_flags, export_last);
	row_rate("export of counts", column, pass_counts, export_last);
}

/*
 * Every other frame, at random, gets one to three more references, or gives
 * them back: no word says much of the next one.
 */
static void mix_words(const cf_pfn *pfns, uint64_t count, bool get)
{
	uint64_t state = 1, number, i, left;
	int err;

	for (i = 0; i < count; i++) {
		number = random_next(&state) >> 20;
		left = number & 1 ? 1 + (number >> 1) % 3 : 0;
		for (; left > 0; left--) {
			if (!get) {
				cf_put(engine.map, pfns[i]);
				continue;
			}
			err = cf_get(engine.map, pfns[i]);
			if (err)
				engine_die("get", err);
		}
	}
}

/* Runs of 4 KiB to 64 KiB as they come, of one owner or of none. */
static void rows_runs(cf_pfn *pfns)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	uint64_t state = 1, number, count = 0;

	engine_create(SPLIT_FRAMES, ENGINE_SMALL);
	engine_online(CF_ZONE_NORMAL);
	do {
		number = random_next(&state) >> 20;
		request.order = (uint8_t)(number % (RUN_ORDER_MAX + 1));
		request.type = number >> 8 & 1 ? CF_TYPE_FOLIO :
						 CF_TYPE_KERNEL;
		request.owner = (uint16_t)(number >> 8 & 1 ? engine.freeing :
							     CF_OWNER_NONE);
	} while (!cf_alloc(engine.map, request, &pfns[count]) && ++count);
	rows_looks("random runs", SPLIT_FRAMES, SPLIT_FRAMES);
	while (count > 0)
		cf_put(engine.map, pfns[--count]);
	engine_drain();
	engine_destroy();
}

/* Every frame of 8 GiB is a run of its own; then every other one. */
static void rows_split(void)
{
	uint64_t bytes = (SPLIT_FRAMES + 1) * sizeof(cf_pfn);
	cf_pfn *pfns = room_open(bytes);
	uint64_t before = cf_host_resident_bytes();
	uint64_t count = 0, i;

	engine_create(SPLIT_FRAMES, ENGINE_SMALL);
	engine_online(CF_ZONE_NORMAL);
	while (engine_try_take(0, &pfns[count]) == 0)
		count++;
	value_print(SECTION_MEMORY, "8 GiB", "split, B",
		    grown(before) / (double)SPLIT_FRAMES);
	rows_looks("split", SPLIT_FRAMES, SPLIT_FRAMES);
	mix_words(pfns, count, true);
	rows_looks("split, mixed", SPLIT_FRAMES, SPLIT_FRAMES);
	mix_words(pfns, count, false);
	for (i = 0; i < count; i++)
		if (pfns[i] % 2 == 0)
			cf_put(engine.map, pfns[i]);
	engine_drain();
	rows_looks("split, half", SPLIT_FRAMES, SPLIT_FRAMES);
	for (i = 0; i < count; i++)
		if (pfns[i] % 2)
			cf_put(engine.map, pfns[i]);
	engine_drain();
	engine_destroy();
	rows_runs(pfns);
	room_close(pfns, bytes);
}

static void rows_cold(void)
{
	engine_create(FRAMES_1TIB, ENGINE_SMALL);
	engine_online(CF_ZONE_NORMAL);
	rows_looks("cold", FRAMES_1TIB,
		   bench_quick ? 8 * FRAMES_8GIB : FRAMES_1TIB);
	engine_destroy();
}

int group_memory(void)
{
	static const struct {
		const char *name;
		cf_pfn frames;
	} sizes[] = {
		{ "1 GiB", FRAMES_1GIB },
		{ "8 GiB", FRAMES_8GIB },
		{ "64 GiB", 8 * FRAMES_8GIB },
		{ "1 TiB", FRAMES_1TIB },
		{ "8 TiB", 8 * FRAMES_1TIB },
		{ "64 TiB", 64 * FRAMES_1TIB },
	};
	unsigned i;

	pin(0);
	(void)cf_host_enter();
	for (i = 0; i < ARRAY_COUNT(sizes); i++)
		row_size(sizes[i].name, sizes[i].frames);
	rows_split();
	rows_cold();
	return 0;
}
