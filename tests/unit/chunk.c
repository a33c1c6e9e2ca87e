/* SPDX-License-Identifier: MIT */
/*
 * Free memory of one block: classes, masks, index and counts, against one
 * bool a frame.  Random takes and gives; all of it compared after each.
 */
#include <stdlib.h>

#include "core/internal.h"
#include "tests/unit/machine.h"

#define CHUNK	((unsigned)CF_CHUNK_FRAMES)

/* The obvious model of machine's block 0. */
static bool is_free[1u << CF_BLOCK_ORDER_MAX];
static unsigned char around[1u << CF_BLOCK_ORDER_MAX];	/* see look() */
static unsigned largest[64];				/* of a chunk */
static struct cfi_block *block;
static unsigned frames;
static uint64_t isolated;	/* chunks */

/*
 * Orders of the largest aligned free run around each frame of a chunk, and of
 * the largest of all; 255: not free.
 */
static void look(unsigned chunk)
{
	unsigned char *orders = &around[chunk * CHUNK];
	unsigned order, at, half;

	largest[chunk] = CLASS_NONE;
	for (at = 0; at < CHUNK; at++) {
		orders[at] = is_free[chunk * CHUNK + at] ? 0 : 255;
		if (orders[at] == 0)
			largest[chunk] = 0;
	}
	for (order = 1; order <= CF_CHUNK_ORDER; order++) {
		half = 1u << (order - 1);
		for (at = 0; at < CHUNK; at += 2 * half) {
			if (orders[at] != order - 1 ||
			    orders[at + half] != order - 1)
				continue;
			memset(&orders[at], (int)order, 2 * half);
			largest[chunk] = order;
		}
	}
}

static void set_all(unsigned first, unsigned last, bool value)
{
	unsigned chunk;

	memset(&is_free[first], value, last - first);
	for (chunk = first / CHUNK; chunk * CHUNK < last; chunk++)
		look(chunk);
}

static bool begin(unsigned order)
{
	struct machine_config config = { .block_order = order,
					 .no_caches = true };

	if (!CHECK(machine_make(config)))
		return false;
	block = cfi_block_of(m.map, 0);
	frames = 1u << order;
	isolated = 0;
	set_all(0, frames, true);
	return true;
}

/* Every frame of [first, last) free, or none? */
static bool all_are(unsigned first, unsigned last, bool value)
{
	for (; first < last; first++)
		if (is_free[first] != value)
			return false;
	return true;
}

/* Class of a chunk: the largest free run it has. */
static unsigned slow_class(unsigned chunk)
{
	return isolated >> chunk & 1 ? CLASS_NONE : largest[chunk];
}

/* Are the whole chunks around @at a run of @order that can be given? */
static bool group_is_whole(unsigned at, unsigned order)
{
	unsigned first = at & ~((1u << order) - 1);
	unsigned last = first + (1u << order);

	if (last > frames)
		return false;
	for (; first < last; first += CHUNK)
		if (slow_class(first / CHUNK) != CLASS_WHOLE)
			return false;
	return true;
}

/* Is there a free run of a class that is part of no larger one? */
static bool has_class(unsigned class)
{
	unsigned at;

	for (at = 0; at < frames; at += CHUNK) {
		if (class < CLASS_WHOLE && slow_class(at / CHUNK) == class)
			return true;
		if (class >= CLASS_WHOLE && group_is_whole(at, class) &&
		    !group_is_whole(at, class + 1))
			return true;
	}
	return false;
}

/* Is no tighter place in the chunk than the run around @at? */
static bool is_tightest(unsigned at, unsigned order)
{
	unsigned first = at & ~(CHUNK - 1);
	unsigned i;

	for (i = first; i < first + CHUNK; i++)
		if (is_free[i] && around[i] >= order && around[i] < around[at])
			return false;
	return true;
}

static void check_chunk(unsigned chunk)
{
	const struct cfi_chunk *c = &block->chunk[chunk];
	unsigned class = slow_class(chunk);
	unsigned count = 0;
	unsigned i;

	for (i = 0; i < CHUNK; i++)
		count += is_free[chunk * CHUNK + i];
	CHECK_EQ(c->free, count);
	CHECK_EQ(c->class, class);
	for (i = 0; i < CLASS_WHOLE; i++)
		CHECK_EQ(block->avail[i] >> chunk & 1, class == i);
	CHECK_EQ(block->whole >> chunk & 1, class == CLASS_WHOLE);
	if (count == CHUNK)
		CHECK(!(cfi_load_relaxed(&block->split) >> chunk & 1));
}

static void check(void)
{
	const struct cfi_zone *zone = cfi_zone_of(m.map, 0, CF_ZONE_NORMAL);
	unsigned count = 0;
	unsigned i;

	for (i = 0; i < frames / CHUNK; i++)
		check_chunk(i);
	for (i = 0; i < frames; i++)
		count += is_free[i];
	CHECK_EQ(block->free, count);
	/* A run's bit is always set. */
	for (i = 0; (1u << i) <= frames; i++)
		CHECK(!has_class(i) || cfi_index_test(zone, i, 0));
}

static void take_run_of(unsigned order, unsigned class)
{
	unsigned long state = cfi_block_lock(block);
	unsigned count = 1u << order;
	cf_pfn pfn = CF_PFN_NONE;
	bool taken = cfi_take_run(m.map, block, order, class, &pfn);
	unsigned at = (unsigned)pfn;

	cfi_block_unlock(block, state);
	if (!CHECK_EQ(taken, has_class(class)) || !taken)
		return;
	CHECK_EQ(at % count, 0);
	if (!CHECK(at + count <= frames) ||
	    !CHECK(all_are(at, at + count, true)))
		return;
	if (class < CLASS_WHOLE)
		CHECK_EQ(slow_class(at / CHUNK), class);
	else
		CHECK(group_is_whole(at, class) &&
		      !group_is_whole(at, class + 1));
	CHECK(order >= CF_CHUNK_ORDER || is_tightest(at, order));
	set_all(at, at + count, false);
}

static void take_many_of(unsigned class, unsigned most)
{
	unsigned long state = cfi_block_lock(block);
	bool there = has_class(class);
	cf_pfn frame[64];
	unsigned taken = cfi_take_many(m.map, block, class, frame, most);
	unsigned i;

	cfi_block_unlock(block, state);
	CHECK_EQ(taken > 0, there);
	CHECK(taken <= most);
	for (i = 0; i < taken; i++) {
		CHECK(is_free[frame[i]]);
		CHECK(frame[i] / CHUNK == frame[0] / CHUNK);
		set_all((unsigned)frame[i], (unsigned)frame[i] + 1, false);
	}
}

static void take_exactly(unsigned first, unsigned last)
{
	bool there = all_are(first, last, true);
	unsigned long state = cfi_block_lock(block);

	CHECK_EQ(cfi_is_free(block, first, last), there);
	CHECK_EQ(cfi_take_exact(m.map, block, first, last), there);
	cfi_block_unlock(block, state);
	if (there)
		set_all(first, last, false);
}

/* A chunk that was taken whole is cut before part of it comes back. */
static void open_for(unsigned at)
{
	unsigned chunk = at / CHUNK;

	if (at % CHUNK && !(cfi_load_relaxed(&block->split) >> chunk & 1))
		cfi_chunk_open(block, chunk);
}

static void give(unsigned first, unsigned last)
{
	unsigned long state = cfi_block_lock(block);

	open_for(first);
	open_for(last);
	CHECK_EQ(cfi_give(m.map, block, first, last), 0);
	cfi_block_unlock(block, state);
	set_all(first, last, true);
}

/* A stretch of taken frames at or behind @at, cut at random. */
static void give_some(unsigned at, unsigned most)
{
	unsigned last;

	while (at < frames && is_free[at])
		at++;
	for (last = at; last < frames && last < at + most && !is_free[last];)
		last++;
	if (at < last)
		give(at, last);
}

static void give_everything(void)
{
	unsigned chunk;

	for (chunk = 0; chunk < frames; chunk += CHUNK)
		while (!all_are(chunk, chunk + CHUNK, true))
			give_some(chunk, chunk + CHUNK);
}

static unsigned below(unsigned count)
{
	return (unsigned)rand() % count;
}

/* An order up to the block's; small ones more often. */
static unsigned some_order(void)
{
	unsigned order = below(16);

	return 1u << order > frames ? below(4) : order;
}

static void random_step(void)
{
	unsigned at = below(frames);
	unsigned order = some_order();
	unsigned class = order;

	switch (below(5)) {
	case 0:
		while (1u << class <= frames && !has_class(class))
			class++;
		if (1u << class <= frames)
			take_run_of(order, class);
		return;
	case 1:
		take_run_of(order, order);
		return;
	case 2:
		take_many_of(below(10), 1 + below(64));
		return;
	case 3:
		at &= ~((1u << order) - 1);
		take_exactly(at, at + below(2) * (1u << order) / 2 + 1);
		return;
	default:
		give_some(at, 1 + below(2048));
	}
}

static void random_steps(void)
{
	unsigned order, step;

	for (order = CF_BLOCK_ORDER_MIN; order <= CF_BLOCK_ORDER_MAX; order++) {
		if (!begin(order))
			return;
		srand(order);
		for (step = 0; step < 3000 && !tap.broken; step++) {
			random_step();
			if (step % (frames / 512) == 0)
				check();
		}
		check();
		give_everything();
		check();
		CHECK(machine_end());
	}
}

/* Nothing of an isolated chunk is listed; what comes back stays. */
static void isolated_chunks(void)
{
	struct cfi_range range = { .first = CHUNK, .last = 3 * CHUNK };
	unsigned long state;
	cf_pfn pfn;

	if (!begin(11))
		return;
	take_exactly(0, 2048);
	state = cf_lock(&m.map->hotplug);
	CHECK_EQ(cfi_isolate(m.map, &range, NULL), 0);
	isolated = 6;
	check();
	CHECK_EQ(block->pending, 6);
	cf_unlock(&m.map->hotplug, state);

	state = cfi_block_lock(block);
	cfi_chunk_open(block, 2);
	CHECK_EQ(cfi_give(m.map, block, CHUNK, 2 * CHUNK), 2);
	CHECK_EQ(block->pending, 4);
	CHECK_EQ(cfi_give(m.map, block, 2 * CHUNK, 3 * CHUNK - 1), 0);
	/* The one that empties the chunk is told, and only that one. */
	CHECK_EQ(cfi_give(m.map, block, 3 * CHUNK - 1, 3 * CHUNK), 4);
	CHECK_EQ(block->pending, 0);
	CHECK(!cfi_take_run(m.map, block, 0, CLASS_WHOLE, &pfn));
	CHECK(!cfi_take_run(m.map, block, 10, 10, &pfn));
	cfi_block_unlock(block, state);
	set_all(CHUNK, 3 * CHUNK, true);
	check();

	state = cf_lock(&m.map->hotplug);
	cfi_unisolate(m.map, &range);
	cf_unlock(&m.map->hotplug, state);
	isolated = 0;
	check();
	give_everything();
	check();
	CHECK(machine_end());
}

/* A chunk in one piece never has its frame words written. */
static void whole_chunks_stay_untouched(void)
{
	unsigned i;

	if (!begin(BLOCK_ORDER))
		return;
	memset(block->frame_word, 0xa5, frames * sizeof(cfi_u64));
	memset(block->bitmap, 0xa5, 2 * sizeof(struct cfi_bitmap));
	take_run_of(10, 10);
	give(0, 1024);
	take_run_of(9, 10);
	CHECK_EQ(block->frame_word[0].v, 0xa5a5a5a5a5a5a5a5);
	CHECK_EQ(block->bitmap[1].word[7], 0xa5a5a5a5a5a5a5a5);
	take_exactly(512, 1024);
	CHECK_EQ(block->bitmap[1].word[7], 0xa5a5a5a5a5a5a5a5);
	give(0, 1024);
	CHECK_EQ(cf_block_offline(m.map, 0, 1024, 1, NULL), 0);
	CHECK_EQ(block->frame_word[511].v, 0xa5a5a5a5a5a5a5a5);
	CHECK_EQ(block->frame_word[512].v, 0xa5a5a5a5a5a5a5a5);
	CHECK_EQ(cf_block_online(m.map, 0, 1024, CF_ZONE_NORMAL, NULL), 0);
	take_run_of(9, 10);
	/* Splitting the other makes its words valid, once. */
	take_run_of(0, 9);
	for (i = 512; i < 1024; i++)
		CHECK_EQ(block->frame_word[i].v, 0);
	CHECK_EQ(block->frame_word[511].v, 0xa5a5a5a5a5a5a5a5);
	give_everything();
	check();
	CHECK(machine_end());
}

/* Whole chunks that are no aligned run come back as well. */
static void chunks_across(void)
{
	if (!begin(12))
		return;
	take_exactly(CHUNK, 7 * CHUNK);
	check();
	give(CHUNK, 3 * CHUNK);
	check();
	give(3 * CHUNK, 7 * CHUNK);
	check();
	CHECK(machine_end());
}

static void give_twice(void)
{
	unsigned long state = cfi_block_lock(block);

	(void)cfi_give(m.map, block, 3, 4);
	cfi_block_unlock(block, state);
}

static void give_chunk_twice(void)
{
	unsigned long state = cfi_block_lock(block);

	(void)cfi_give(m.map, block, CHUNK, 2 * CHUNK);
	cfi_block_unlock(block, state);
}

static void misuse(void)
{
	if (!begin(BLOCK_ORDER))
		return;
	take_exactly(0, 2);
	CHECK(panics(give_twice, 3));
	CHECK(panics(give_chunk_twice, 0));
	give_everything();
	CHECK(machine_end());
}

int main(void)
{
	tap_run("random takes and gives, every block order", random_steps);
	tap_run("isolated chunks take and never give", isolated_chunks);
	tap_run("words of whole chunks stay untouched",
		whole_chunks_stay_untouched);
	tap_run("whole chunks that are no aligned run", chunks_across);
	tap_run("giving what is free panics", misuse);
	return tap_done();
}
