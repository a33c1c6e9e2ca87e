/* SPDX-License-Identifier: MIT */
/*
 * The same calls in 8 GiB and in 1 TiB.  Where a map's own memory happens to
 * lie may cost more than its size does, so each sample is of a map of its own,
 * at other addresses, and the sizes come by turns.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "bench/engine.h"
#include "bench/groups.h"
#include "bench/ops.h"

#define ROWS_MAX	32
#define MAPS		11u
#define MAPS_QUICK	3u
#define SPACE_BYTES	((size_t)1 << 21)
#define SPACES_MAX	64u

enum size { SIZE_SMALL, SIZE_LARGE, SIZE_COUNT };

static const struct {
	const char *column;
	cf_pfn frames;
} sizes[] = {
	[SIZE_SMALL] = { "8 GiB", FRAMES_8GIB },
	[SIZE_LARGE] = { "1 TiB", FRAMES_1TIB },
};

/* A sample a map. */
struct row {
	const char *name;
	double ns[SIZE_COUNT][MAPS];
	unsigned retaken[SIZE_COUNT];
};

static struct row rows[ROWS_MAX];

/* What is being measured. */
static struct {
	enum size size;
	unsigned map;			/* the nth of its size */
	unsigned row;			/* the next one of this map */
	uint64_t state;			/* of the random numbers */
} now = { .state = 1 };

static unsigned maps(void)
{
	if (bench_sketch)
		return 1;
	return bench_quick ? MAPS_QUICK : MAPS;
}

static void take_row(const struct phase *phase)
{
	const struct bench_case bench = {
		.phases = phase,
		.count = 1,
		.enter = engine_enter,
		.leave = engine_leave,
	};
	struct row *row = &rows[now.row++];
	struct figure figure;

	if (now.row > ROWS_MAX)
		engine_die("rows", -CF_ENOMEM);
	measure(&bench, 1, 1, &figure);
	row->name = phase->name;
	row->ns[now.size][now.map] = figure.median;
	row->retaken[now.size] += figure.retaken;
	engine_drain();
}

static void take_rows(const struct op_table *table)
{
	unsigned i;

	for (i = 0; i < table->count; i++)
		take_row(&table->phases[i]);
}

/* Take runs of an order until there are none. Returns how many. */
static uint64_t fill(cf_pfn *pfns, unsigned order)
{
	uint64_t count = 0;

	while (engine_try_take(order, &pfns[count]) == 0)
		count++;
	engine_drain();
	return count;
}

/*
 * All memory is taken as runs of 1 GiB, but the last one as 2 MiB; and then
 * one of these is free again.
 */
static void take_full(const struct op_table *failing,
		      const struct op_table *last)
{
	uint64_t room = cf_map_config_of(engine.map)->last / FRAMES_1GIB +
			2 * CF_CHUNK_FRAMES;
	cf_pfn *pfns = room_open(room * sizeof(*pfns));
	uint64_t count = fill(pfns, CF_MAX_ORDER);

	cf_put(engine.map, pfns[--count]);
	count += fill(pfns + count, CF_CHUNK_ORDER);
	if (failing)
		take_rows(failing);
	cf_put(engine.map, pfns[--count]);
	engine_drain();
	take_rows(last);
	while (count > 0)
		cf_put(engine.map, pfns[--count]);
	room_close(pfns, room * sizeof(*pfns));
	engine_drain();
}

/* So far from the map before, or nearer. Pair with space_close(). */
static void *space_open(size_t *ret_bytes)
{
	size_t bytes = SPACE_BYTES * (1 + random_next(&now.state) % SPACES_MAX);
	void *space = mmap(NULL, bytes, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*ret_bytes = bytes;
	return space == MAP_FAILED ? NULL : space;
}

static void space_close(void *space, size_t bytes)
{
	if (space)
		(void)munmap(space, bytes);
}

static void measure_map(void)
{
	size_t bytes;
	void *space = space_open(&bytes);

	now.row = 0;
	engine_create(sizes[now.size].frames, ENGINE_HUGE_META);
	engine_online(CF_ZONE_NORMAL);
	take_rows(&ops_empty);
	take_full(&ops_failing, &ops_last_stock);
	engine_destroy();
	/* Without stocks the index and the block are asked each time. */
	engine_create_uncached(sizes[now.size].frames, ENGINE_HUGE_META);
	engine_online(CF_ZONE_NORMAL);
	take_full(NULL, &ops_last);
	engine_destroy();
	space_close(space, bytes);
}

static void print_row(struct row *row)
{
	double ratios[MAPS];
	struct figure figure;
	unsigned i;

	for (i = 0; i < maps(); i++)
		ratios[i] = row->ns[SIZE_LARGE][i] / row->ns[SIZE_SMALL][i];
	for (i = 0; i < SIZE_COUNT; i++) {
		figure = figure_of(row->ns[i], maps());
		figure.retaken = row->retaken[i];
		cell_print(SECTION_SIZES, row->name, sizes[i].column, &figure);
	}
	figure = figure_of(ratios, maps());
	figure.retaken = row->retaken[SIZE_SMALL] > row->retaken[SIZE_LARGE] ?
				 row->retaken[SIZE_SMALL] :
				 row->retaken[SIZE_LARGE];
	cell_print(SECTION_SIZES, row->name, "ratio", &figure);
}

int group_sizes(void)
{
	unsigned i;

	for (now.map = 0; now.map < maps(); now.map++)
		for (i = 0; i < SIZE_COUNT; i++) {
			/* Either size is first as often as not. */
			now.size = (now.map + i) % SIZE_COUNT;
			measure_map();
		}
	for (i = 0; i < now.row; i++)
		print_row(&rows[i]);
	return 0;
}
