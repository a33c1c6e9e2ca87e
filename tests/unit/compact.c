/* SPDX-License-Identifier: MIT */
/*
 * Compaction: chunks become whole by moving what is cheapest.
 * Chunks with known numbers of movable frames in them.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

static bool begin(struct keeper *keeper)
{
	struct machine_config config = { .block_order = 12, .blocks = 1,
					 .movable = 1, .no_caches = true };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", HOOKS_ALL));
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

/* Use single frames of a chunk, @count of them, from its third frame on. */
static void use(struct cf_request request, unsigned chunk, unsigned count)
{
	cf_pfn first = (cf_pfn)chunk * CF_CHUNK_FRAMES + 3;
	cf_pfn at;

	for (at = first; at < first + count; at++)
		CHECK_EQ(cf_alloc_range(m.map, at, at + 1, request, NULL), 0);
}

static void put_everything(void)
{
	cf_pfn at;

	for (at = 0; at < m.last; at++)
		if (is_head(at) && snapshot(at).refs)
			cf_put(m.map, at);
}

static unsigned used_in(unsigned chunk)
{
	cf_pfn first = (cf_pfn)chunk * CF_CHUNK_FRAMES;
	unsigned used = 0;
	cf_pfn at;

	for (at = first; at < first + CF_CHUNK_FRAMES; at++)
		used += is_head(at);
	return used;
}

/* The one with the fewest frames goes first, into the others. */
static void fewest_first(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;
	uint64_t whole;

	if (!begin(&keeper))
		return;
	use(folio(0, keeper.id), 0, 30);
	use(folio(0, keeper.id), 1, 5);
	use(folio(0, keeper.id), 2, 10);
	whole = whole_chunks();
	CHECK_EQ(whole, 13);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done), 0);
	CHECK_EQ(done.chunks_freed, 1);
	CHECK_EQ(done.frames_moved, 5);
	CHECK_EQ(done.chunks_tried, 1);
	CHECK_EQ(whole_chunks(), 14);
	CHECK_EQ(used_in(1), 0);
	CHECK_EQ(used_in(0) + used_in(2), 45);
	CHECK(machine_verify());
	put_everything();
	finish(&keeper);
}

/* As many as there are, and no whole chunk is broken for it. */
static void all_of_them(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;

	if (!begin(&keeper))
		return;
	use(folio(0, keeper.id), 0, 30);
	use(folio(0, keeper.id), 1, 5);
	use(folio(0, keeper.id), 5, 10);
	use(folio(0, keeper.id), 7, 20);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 100, &done), 0);
	CHECK_EQ(done.chunks_freed, 3);
	CHECK_EQ(whole_chunks(), 15);
	CHECK_EQ(used_in(0), 65);
	CHECK(machine_verify());
	/* Nothing is left to be won. */
	FAILS(CF_ENOMEM, cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done));
	CHECK_EQ(done.chunks_freed, 0);
	CHECK_EQ(whole_chunks(), 15);
	put_everything();
	finish(&keeper);
}

/* What cannot be moved keeps its chunk; nothing is moved in vain. */
static void stuck_chunks(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;

	if (!begin(&keeper))
		return;
	use(folio(0, keeper.id), 0, 3);
	CHECK_EQ(cf_alloc_range(m.map, 100, 101, kernel(0), NULL), 0);
	use(folio(0, keeper.id), 1, 20);
	use(folio(0, keeper.id), 2, 30);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 100, &done), 0);
	CHECK_EQ(done.chunks_freed, 2);
	CHECK_EQ(done.chunks_tried, 2);
	CHECK_EQ(done.frames_moved, 50);
	CHECK_EQ(used_in(0), 54);
	put_everything();
	finish(&keeper);
}

/* Of chunks that cost the same the lowest goes first, and all have a turn. */
static void equal_chunks(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;
	unsigned turn;

	if (!begin(&keeper))
		return;
	use(folio(0, keeper.id), 0, 7);
	CHECK_EQ(cf_alloc_range(m.map, 100, 101, kernel(0), NULL), 0);
	use(folio(0, keeper.id), 1, 8);
	use(folio(0, keeper.id), 2, 8);
	use(folio(0, keeper.id), 3, 8);
	use(folio(0, keeper.id), 4, 8);
	/* The first of them stays. */
	CHECK_EQ(cf_pin(m.map, 515), 0);
	for (turn = 0; turn < 2; turn++) {
		CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done), 0);
		CHECK_EQ(done.chunks_freed, 1);
		CHECK_EQ(done.frames_moved, 8);
		CHECK_EQ(used_in(2), 0);
		CHECK_EQ(used_in(3) == 0, turn == 1);
		CHECK(used_in(4) > 0);
	}
	cf_unpin(m.map, 515);
	put_everything();
	finish(&keeper);
}

/* A dear chunk below a cheap one has its turn after it. */
static void dear_below_cheap(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;

	if (!begin(&keeper))
		return;
	use(folio(0, keeper.id), 1, 20);
	use(folio(0, keeper.id), 2, 40);
	use(folio(0, keeper.id), 5, 5);
	use(folio(0, keeper.id), 6, 100);
	CHECK_EQ(cf_pin(m.map, 5 * 512 + 3), 0);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 2, &done), 0);
	CHECK_EQ(done.chunks_freed, 2);
	CHECK_EQ(used_in(1) + used_in(2), 0);
	cf_unpin(m.map, 5 * 512 + 3);
	put_everything();
	finish(&keeper);
}

/* A single frame stays rather than break a whole chunk. */
static void never_breaks_a_chunk(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;

	if (!begin(&keeper))
		return;
	use(folio(0, keeper.id), 1, 1);
	FAILS(CF_ENOMEM, cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done));
	CHECK_EQ(done.frames_moved, 0);
	CHECK_EQ(used_in(1), 1);
	put_everything();
	finish(&keeper);
}

/* Kept runs are their owner's wealth: nobody is asked to give them up. */
static void kept_runs(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;

	if (!begin(&keeper))
		return;
	use(with_flags(folio(0, keeper.id), CF_ALLOC_FROZEN), 0, 4);
	use(folio(0, keeper.id), 1, 20);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 9, &done), 0);
	CHECK_EQ(keeper.calls[HOOK_DISSOLVE], 0);
	CHECK_EQ(done.chunks_freed, 1);
	CHECK_EQ(done.chunks_tried, 1);
	CHECK_EQ(done.frames_moved, 20);
	CHECK_EQ(used_in(0), 24);
	for (cf_pfn at = 3; at < 7; at++)
		cf_free_frozen(m.map, at, 0);
	put_everything();
	finish(&keeper);
}

static void nothing_to_win(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done = { 9, 9, 9 };

	if (!begin(&keeper))
		return;
	FAILS(CF_ENOMEM, cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done));
	CHECK_EQ(done.chunks_tried, 0);
	/* One chunk alone has nowhere to go but into a whole one. */
	use(folio(0, keeper.id), 3, 8);
	FAILS(CF_ENOMEM, cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done));
	CHECK_EQ(whole_chunks(), 15);
	put_everything();
	use(kernel(0), 0, 2);
	use(kernel(0), 1, 2);
	FAILS(CF_ENOMEM, cf_compact(m.map, 0, CF_ZONE_NORMAL, 9, &done));
	put_everything();
	/* An owner that refuses. */
	keeper.answer[HOOK_ISOLATE] = 1;
	use(folio(0, keeper.id), 1, 20);
	use(folio(0, keeper.id), 2, 30);
	FAILS(CF_ENOMEM, cf_compact(m.map, 0, CF_ZONE_NORMAL, 9, &done));
	CHECK(done.chunks_tried > 0);
	CHECK_EQ(done.frames_moved, 0);
	put_everything();
	finish(&keeper);
}

/* One zone of one node; offline runs with an owner move, too. */
static void its_own_zone(void)
{
	struct keeper keeper = { 0 };
	struct cf_compaction done;
	struct cf_request request;

	if (!begin(&keeper))
		return;
	request = in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE);
	use(folio(0, keeper.id), 0, 4);
	use(folio(0, keeper.id), 1, 5);
	use(request, 8, 6);
	use(request, 9, 7);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 4096 + 100,
					4096 + 102, CF_FLAG_MOVABLE, NULL), 0);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_MOVABLE, 9, &done), 0);
	CHECK_EQ(done.chunks_freed, 1);
	CHECK_EQ(used_in(0), 4);
	CHECK_EQ(used_in(1), 5);
	CHECK_EQ(whole_chunks(), 13);
	CHECK_EQ(stat_now().offline, 2);
	for (cf_pfn at = 4096; at < m.last; at++)
		if (is_head(at) && snapshot(at).type == CF_TYPE_OFFLINE)
			CHECK_EQ(cf_offline_free(m.map, keeper.id, at,
						 snapshot(at).order), 0);
	put_everything();
	finish(&keeper);
}

static void refuses(void)
{
	struct machine_config config = { .blocks = 2 };
	struct keeper keeper = { 0 };
	struct cf_compaction done;

	if (!CHECK(machine_make(config)) ||
	    !CHECK(keeper_add(&keeper, "keeper", HOOKS_ALL)))
		return;
	FAILS(CF_EINVAL, cf_compact(m.map, 1, CF_ZONE_NORMAL, 1, &done));
	FAILS(CF_EINVAL, cf_compact(m.map, 0, CF_ZONE_DEVICE, 1, &done));
	FAILS(CF_EINVAL, cf_compact(m.map, 0, CF_ZONE_COUNT, 1, &done));
	use(folio(0, keeper.id), 0, 4);
	use(folio(0, keeper.id), 1, 5);
	cfi_store_relaxed(&m.map->cpu[1].busy, 1);
	FAILS(CF_EAGAIN, cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done));
	cfi_store_relaxed(&m.map->cpu[1].busy, 0);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done), 0);
	put_everything();
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

int main(void)
{
	tap_run("the cheapest chunk first", fewest_first);
	tap_run("all chunks but one", all_of_them);
	tap_run("equals in turn", equal_chunks);
	tap_run("a dear chunk below a cheap one", dear_below_cheap);
	tap_run("no whole chunk is broken", never_breaks_a_chunk);
	tap_run("chunks that cannot be emptied", stuck_chunks);
	tap_run("kept runs", kept_runs);
	tap_run("nothing to win", nothing_to_win);
	tap_run("one zone only", its_own_zone);
	tap_run("wrong zones, caches that stay", refuses);
	return tap_done();
}
