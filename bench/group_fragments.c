/* SPDX-License-Identifier: MIT */
/*
 * What a day's churn leaves of memory: coldframe and the binary buddy rule
 * get the same runs freed and allocated in the same order, memory 70 % full
 * at each high tide, and then it is counted how many chunks are wholly free.
 */
#include "bench/buddy.h"
#include "bench/engine.h"
#include "bench/groups.h"

#define FRAMES		FRAMES_8GIB
#define FULL_PERCENT	70u

/* A day of five hundred frees and as many allocations a second. */
#define ROUNDS		(500 * 86400u)
#define ROUNDS_QUICK	(ROUNDS / 20)
#define ROUNDS_SKETCH	(ROUNDS / 400)

/* It comes in tides: of what is held one in so many goes, and is replaced. */
#define TIDE		4

#define REFUSED		UINT64_MAX

/* The weight of each order 0-9, of 1024, by turns at each tide. */
struct mix {
	const char *name;
	uint16_t weights[2][CF_CHUNK_ORDER + 1];
};

#define GEOMETRIC	{ 512, 256, 128, 64, 32, 16, 8, 4, 2, 2 }
#define UNIFORM		{ 103, 103, 103, 103, 102, 102, 102, 102, 102, 102 }

static const struct mix mixes[] = {
	{ "geometric orders 0-9", { GEOMETRIC, GEOMETRIC } },
	{ "uniform orders 0-9", { UNIFORM, UNIFORM } },
	{ "4 KiB and 64 KiB-2 MiB by turns",
	  { { 1024 }, { 0, 0, 0, 0, 171, 171, 171, 171, 170, 170 } } },
};

/*
 * Runs that are held, in an allocator of which only this is known.  A run
 * that was refused is held in name, so that all allocators are asked for the
 * same.
 */
struct heap {
	bool (*alloc)(unsigned order, uint64_t *ret_first);
	void (*free)(uint64_t first, unsigned order);
	uint64_t *runs;
	uint8_t *orders;
	uint64_t count, used;		/* used: frames, also in name */
	uint64_t refused, refused_frames;
	bool (*run_fits)(unsigned order);	/* NULL: it cannot tell */
	uint64_t in_vain;		/* refused though a run fits */
};

static struct buddy buddy;

static bool rule_alloc(unsigned order, uint64_t *ret_first)
{
	return buddy_alloc(&buddy, order, ret_first);
}

static void rule_free(uint64_t first, unsigned order)
{
	buddy_free(&buddy, first, order);
}

static bool engine_alloc(unsigned order, uint64_t *ret_first)
{
	return engine_try_take(order, ret_first) == 0;
}

static void engine_free(uint64_t first, unsigned order)
{
	(void)order;
	cf_put(engine.map, first);
}

static unsigned order_of(const uint16_t *weights, uint64_t *state)
{
	uint64_t number = (random_next(state) >> 20) % 1024;
	unsigned order = 0;

	while (number >= weights[order])
		number -= weights[order++];
	return order;
}

static void heap_take(struct heap *heap, unsigned order)
{
	uint64_t at = heap->count++;

	heap->orders[at] = (uint8_t)order;
	heap->used += (uint64_t)1 << order;
	if (heap->alloc(order, &heap->runs[at]))
		return;
	heap->runs[at] = REFUSED;
	heap->refused++;
	if (heap->run_fits)
		heap->in_vain += heap->run_fits(order);
	heap->refused_frames += (uint64_t)1 << order;
}

/* The last one takes the place of what is given. */
static void heap_give(struct heap *heap, uint64_t at)
{
	unsigned order = heap->orders[at];

	if (heap->runs[at] == REFUSED)
		heap->refused_frames -= (uint64_t)1 << order;
	else
		heap->free(heap->runs[at], order);
	heap->used -= (uint64_t)1 << order;
	heap->count--;
	heap->runs[at] = heap->runs[heap->count];
	heap->orders[at] = heap->orders[heap->count];
}

static uint64_t heap_fill(struct heap *heap, const uint16_t *weights,
			  uint64_t *state)
{
	uint64_t before = heap->count;

	while (heap->used < FRAMES * FULL_PERCENT / 100)
		heap_take(heap, order_of(weights, state));
	return heap->count - before;
}

static void heap_ebb(struct heap *heap, uint64_t *state)
{
	uint64_t left;

	for (left = heap->count / TIDE; left > 0; left--)
		heap_give(heap, random_next(state) % heap->count);
}

static void heap_churn(struct heap *heap, const struct mix *mix)
{
	uint64_t rounds = bench_sketch ? ROUNDS_SKETCH :
			  bench_quick ? ROUNDS_QUICK : ROUNDS;
	uint64_t state = 1, done = 0;
	unsigned tide;

	heap->runs = room_open(FRAMES * sizeof(*heap->runs));
	heap->orders = room_open(FRAMES);
	for (tide = 0; done < rounds; tide++) {
		heap_ebb(heap, &state);
		done += heap_fill(heap, mix->weights[tide % 2], &state);
	}
}

static void heap_close(struct heap *heap)
{
	while (heap->count > 0)
		heap_give(heap, heap->count - 1);
	room_close(heap->runs, FRAMES * sizeof(*heap->runs));
	room_close(heap->orders, FRAMES);
}

static void print(const struct mix *mix, const char *column, uint64_t value)
{
	value_print(SECTION_FRAGMENTS, mix->name, column, (double)value);
}

static void measure_engine(const struct mix *mix)
{
	struct heap heap = { .alloc = engine_alloc, .free = engine_free,
			     .run_fits = engine_run_fits };
	struct cf_zone_stat stat;

	engine_create(FRAMES, ENGINE_HUGE_META);
	engine_online(CF_ZONE_NORMAL);
	heap_churn(&heap, mix);
	engine_drain();
	if (cf_zone_stat(engine.map, 0, CF_ZONE_NORMAL, &stat))
		engine_die("zone", 0);
	print(mix, COLUMN_COLDFRAME, stat.chunks_free);
	print(mix, "refused", heap.refused);
	print(mix, "in vain", heap.in_vain);
	print(mix, "ideal", (FRAMES - heap.used + heap.refused_frames) /
				    CF_CHUNK_FRAMES);
	heap_close(&heap);
	engine_drain();
	engine_destroy();
}

static void measure_rule(const struct mix *mix)
{
	struct heap heap = { .alloc = rule_alloc, .free = rule_free };

	buddy_open(&buddy, FRAMES);
	heap_churn(&heap, mix);
	print(mix, "buddy rule", buddy_free_runs(&buddy, CF_CHUNK_ORDER));
	print(mix, "it refused", heap.refused);
	heap_close(&heap);
	buddy_close(&buddy);
}

int group_fragments(void)
{
	size_t i;

	pin(0);
	(void)cf_host_enter();
	for (i = 0; i < ARRAY_COUNT(mixes); i++) {
		measure_engine(&mixes[i]);
		measure_rule(&mixes[i]);
	}
	return 0;
}
