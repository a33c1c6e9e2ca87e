/* SPDX-License-Identifier: MIT */
/*
 * Walking. Known ground stretch by stretch, then random ground from every
 * kind of cursor against an oracle that looks at one frame at a time.
 */
#include "ground.h"

/* One step from @cursor. */
static struct cf_span step(cf_pfn cursor, cf_pfn last)
{
	struct cf_span span = { .kind = CF_SPAN_COUNT };
	cf_pfn at = cursor;

	cf_walk_begin(map);
	CHECK(cf_walk_next(map, &at, last, &span));
	cf_walk_end(map);
	CHECK_EQ(at, span.last);
	CHECK(span.first <= cursor && cursor < span.last);
	return span;
}

static void is_stretch(cf_pfn first, cf_pfn last, enum cf_span_kind kind)
{
	struct cf_span span = step(first, GROUND_LAST);

	CHECK_EQ(span.kind, kind);
	CHECK_EQ(span.first, first);
	CHECK_EQ(span.last, last);
}

static void ends(void)
{
	struct cf_span span;
	cf_pfn cursor = 7;

	ground_make();
	cf_walk_begin(map);
	CHECK(!cf_walk_next(map, &cursor, 7, &span));
	CHECK(!cf_walk_next(map, &cursor, 0, &span));
	CHECK_EQ(cursor, 7);
	cf_walk_end(map);
	ground_drop();
}

static void blocks(void)
{
	struct cf_span span;

	ground_make();
	is_stretch(0, BLOCK, CF_SPAN_BLOCK_OFFLINE);
	is_stretch(BLOCK, 2 * BLOCK, CF_SPAN_ABSENT);
	is_stretch(3 * BLOCK - 1, 3 * BLOCK, CF_SPAN_ABSENT);
	is_stretch(NORMAL_FIRST, NORMAL_FIRST + BLOCK, CF_SPAN_FREE);
	is_stretch(NORMAL_FIRST + 513, NORMAL_FIRST + BLOCK, CF_SPAN_FREE);
	span = step(MOVABLE_FIRST, GROUND_LAST);
	CHECK(span.kind == CF_SPAN_FREE && span.zone == CF_ZONE_MOVABLE);
	CHECK_EQ(span.node, 0);
	span = step(SELF_LAST - 1, GROUND_LAST);
	CHECK(span.kind == CF_SPAN_FREE && span.zone == CF_ZONE_NORMAL);
	CHECK_EQ(span.node, 1);
	/* Beyond the map, and as far as a number goes. */
	is_stretch(GROUND_LAST - 1, GROUND_LAST, CF_SPAN_ABSENT);
	span = step(GROUND_LAST, GROUND_LAST + 10);
	CHECK(span.kind == CF_SPAN_ABSENT && span.last == GROUND_LAST + 10);
	span = step(CF_PFN_NONE - 1, CF_PFN_NONE);
	CHECK(span.kind == CF_SPAN_ABSENT && span.last == CF_PFN_NONE);
	ground_drop();
}

static void is_clipped(void)
{
	struct cf_span span;

	ground_make();
	span = step(NORMAL_FIRST + 3, NORMAL_FIRST + 700);
	CHECK_EQ(span.last, NORMAL_FIRST + 700);
	span = step(1, 2);
	CHECK_EQ(span.last, 2);
	/* A run is told whole, however little of it was asked for. */
	take_at(CF_TYPE_KERNEL, NORMAL_FIRST, NORMAL_FIRST + 512, 0);
	span = step(NORMAL_FIRST + 9, NORMAL_FIRST + 10);
	CHECK_EQ(span.first, NORMAL_FIRST);
	CHECK_EQ(span.last, NORMAL_FIRST + 512);
	ground_drop();
}

static void counted_run(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO, .order = 3, .zone = CF_ZONE_MOVABLE,
	};
	struct cf_span span;
	cf_pfn pfn = 0;

	ground_make();
	request.owner = (uint16_t)owner;
	CHECK(cf_alloc(map, request, &pfn) == 0);
	CHECK(cf_get(map, pfn) == 0);
	CHECK(cf_pin(map, pfn) == 0);
	span = step(pfn + 5, GROUND_LAST);
	CHECK(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_FOLIO);
	CHECK(span.first == pfn && span.last == pfn + 8 && span.order == 3);
	CHECK(span.owner == owner && span.refs == 3 && span.pins == 1);
	CHECK(span.payload == 0 && span.flags == 0 && !span.isolated);
	CHECK(span.zone == CF_ZONE_MOVABLE && span.node == 0);
	ground_drop();
}

static void uncounted_runs(void)
{
	cf_pfn pfn = NORMAL_FIRST + 64;
	enum cf_retire_state state;
	struct cf_span span;

	ground_make();
	take_offline(pfn, pfn + 32, CF_FLAG_MOVABLE);
	CHECK(cf_offline_set_payload(map, owner, pfn, 0xcafe) == 0);
	span = step(pfn + 31, GROUND_LAST);
	CHECK(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_OFFLINE);
	CHECK(span.first == pfn && span.order == 5 && span.owner == owner);
	CHECK(span.payload == 0xcafe && span.refs == 0 && span.pins == 0);
	CHECK_EQ(span.flags, CF_FLAG_MOVABLE);
	CHECK(cf_retire(map, pfn + 100, &state) == 0);
	span = step(pfn + 100, GROUND_LAST);
	CHECK(span.type == CF_TYPE_RETIRED && span.last == pfn + 101);
	span = step(SELF_FIRST, GROUND_LAST);
	CHECK(span.type == CF_TYPE_RESERVED && span.flags == CF_FLAG_SELF);
	CHECK(span.node == 1 && span.payload == 0);
	ground_drop();
}

/* A run of several blocks is found from each of them, once and whole. */
static void crosses_blocks(void)
{
	cf_pfn last = NORMAL_FIRST + 3 * BLOCK;
	cf_pfn cursor;

	ground_make();
	take_at(CF_TYPE_SLAB, NORMAL_FIRST, NORMAL_FIRST + 2 * BLOCK, 0);
	take_at(CF_TYPE_SLAB, NORMAL_FIRST + 2 * BLOCK, last, 0);
	for (cursor = NORMAL_FIRST; cursor < last; cursor += 171) {
		struct cf_span span = step(cursor, GROUND_LAST);
		bool large = cursor < NORMAL_FIRST + 2 * BLOCK;

		CHECK(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_SLAB);
		CHECK_EQ(span.first, large ? NORMAL_FIRST :
					     NORMAL_FIRST + 2 * BLOCK);
		CHECK_EQ(span.order, large ? BLOCK_ORDER + 1 : BLOCK_ORDER);
	}
	ground_drop();
}

/* Free stretches merge across chunks, and end where isolation changes. */
static void merges(void)
{
	struct cf_offline operation = { { 0 } };
	struct cfi_range range = {
		.first = NORMAL_FIRST + 1024,
		.last = NORMAL_FIRST + 1536,
	};
	unsigned long state;
	struct cf_span span;

	ground_make();
	take_at(CF_TYPE_KERNEL, NORMAL_FIRST + 8, NORMAL_FIRST + 10, 0);
	is_stretch(NORMAL_FIRST, NORMAL_FIRST + 8, CF_SPAN_FREE);
	is_stretch(NORMAL_FIRST + 10, NORMAL_FIRST + BLOCK, CF_SPAN_FREE);
	state = cf_lock(&map->hotplug);
	CHECK(cfi_isolate(map, &range, NULL) == 0);
	cf_unlock(&map->hotplug, state);
	is_stretch(NORMAL_FIRST + 10, range.first, CF_SPAN_FREE);
	is_stretch(range.first, range.last, CF_SPAN_FREE);
	is_stretch(range.last, NORMAL_FIRST + BLOCK, CF_SPAN_FREE);
	CHECK(step(range.first, GROUND_LAST).isolated);
	CHECK(!step(range.last, GROUND_LAST).isolated);
	state = cf_lock(&map->hotplug);
	cfi_unisolate(map, &range);
	cf_unlock(&map->hotplug, state);
	is_stretch(NORMAL_FIRST + 10, NORMAL_FIRST + BLOCK, CF_SPAN_FREE);
	CHECK(cf_block_offline_start(map, &operation, NORMAL_FIRST,
				     NORMAL_FIRST + BLOCK, NULL) == 0);
	span = step(NORMAL_FIRST + 9, GROUND_LAST);
	CHECK(span.kind == CF_SPAN_RUN && span.isolated);
	CHECK(cf_block_offline_cancel(&operation) == 0);
	ground_drop();
}

/* Frames in a cache, and chunks that somebody has just taken. */
static void transit(void)
{
	struct cfi_taking taking = { .order = 10, .most = 1 };
	struct cf_span span;
	cf_pfn large = 0;
	cf_pfn pfn;

	ground_make();
	pfn = take(CF_TYPE_KERNEL, 0, 0);
	/* The refill took more than the one: the rest is cached. */
	span = step(pfn + 1, GROUND_LAST);
	CHECK_EQ(span.kind, CF_SPAN_TRANSIT);
	CHECK_EQ(span.last, pfn + MAGAZINE_FRAMES);
	cf_put(map, pfn);
	span = step(pfn, GROUND_LAST);
	CHECK_EQ(span.kind, CF_SPAN_TRANSIT);
	CHECK_EQ(span.last, pfn + MAGAZINE_FRAMES);
	CHECK(cfi_take(map, &taking, &large) == 1);
	is_stretch(large, large + 1024, CF_SPAN_TRANSIT);
	is_stretch(large + 700, large + 1024, CF_SPAN_TRANSIT);
	cfi_give_range(map, large, large + 1024);
	CHECK_EQ(step(large, GROUND_LAST).kind, CF_SPAN_FREE);
	ground_drop();
}

/* What one frame is, looked up the slow way. */
static struct cf_span oracle(cf_pfn pfn)
{
	struct cf_span span = { .first = pfn, .kind = CF_SPAN_TRANSIT };
	struct cfi_block *block = cfi_block_of(map, pfn);
	struct cf_snapshot run;

	if (!block) {
		span.kind = CF_SPAN_ABSENT;
	} else if (cfi_block_state(block) == CF_BLOCK_OFFLINE) {
		span.kind = CF_SPAN_BLOCK_OFFLINE;
	} else if (cfi_is_free(block, pfn, pfn + 1)) {
		span.kind = CF_SPAN_FREE;
	} else if (cf_find_head(map, pfn) != CF_PFN_NONE) {
		span.kind = CF_SPAN_RUN;
		span.first = cf_find_head(map, pfn);
		CHECK(cf_snapshot(map, span.first, &run) == 0);
		span.last = span.first + ((cf_pfn)1 << run.order);
		span.type = run.type;
		span.refs = run.refs;
	}
	return span;
}

/* Is the stretch what the frames in it are, and does it end for a reason? */
static void agrees(const struct cf_span *span, cf_pfn cursor, cf_pfn last)
{
	struct cf_span want = oracle(cursor);
	cf_pfn at;

	CHECK_EQ(span->kind, want.kind);
	if (span->kind == CF_SPAN_RUN) {
		CHECK(span->first == want.first && span->last == want.last);
		CHECK(span->type == want.type && span->refs == want.refs);
		return;
	}
	CHECK_EQ(span->first, cursor);
	for (at = cursor; at < span->last; at++)
		if (oracle(at).kind != want.kind)
			break;
	CHECK_EQ(at, span->last);
	CHECK(span->last == last || span->last % BLOCK == 0 ||
	      oracle(span->last).kind != want.kind);
}

static void random_ground(void)
{
	unsigned round, i;

	ground_make();
	for (round = 0; round < 8; round++) {
		churn(200);
		for (i = 0; i < 400; i++) {
			cf_pfn cursor = draw(GROUND_LAST);
			cf_pfn last = draw(4) ? GROUND_LAST :
				      cursor + 1 + draw(900);
			struct cf_span span = step(cursor, last);

			agrees(&span, cursor, last);
		}
	}
	churn_end();
	CHECK(ground_holds());
	ground_drop();
}

/* From end to end: nothing is left out and nothing told twice. */
static void whole_walk(void)
{
	uint64_t frames[CF_SPAN_COUNT] = { 0 };
	struct cf_span span;
	struct cf_stat stat;
	cf_pfn cursor = 0;
	cf_pfn at = 0;

	ground_make();
	churn(600);
	cf_walk_begin(map);
	while (cf_walk_next(map, &cursor, GROUND_LAST, &span)) {
		CHECK_EQ(span.first, at);
		at = span.last;
		frames[span.kind] += span.last - span.first;
	}
	cf_walk_end(map);
	CHECK_EQ(at, GROUND_LAST);
	cf_stat(map, &stat);
	CHECK_EQ(frames[CF_SPAN_FREE], stat.free);
	CHECK_EQ(frames[CF_SPAN_TRANSIT], stat.cached);
	CHECK_EQ(frames[CF_SPAN_RUN], stat.present - stat.free - stat.cached);
	CHECK_EQ(frames[CF_SPAN_BLOCK_OFFLINE], BLOCK);
	CHECK_EQ(frames[CF_SPAN_ABSENT], 4 * BLOCK);
	CHECK_EQ(test_port.sections, 0);
	churn_end();
	ground_drop();
}

static bool same_span(const struct cf_span *a, const struct cf_span *b)
{
	return a->first == b->first && a->last == b->last &&
	       a->kind == b->kind && a->type == b->type &&
	       a->order == b->order && a->flags == b->flags &&
	       a->owner == b->owner && a->refs == b->refs &&
	       a->pins == b->pins && a->payload == b->payload &&
	       a->node == b->node && a->zone == b->zone &&
	       a->isolated == b->isolated;
}

/* From @first to @last in steps of @most; returns how many stretches. */
static size_t walk_by(cf_pfn first, cf_pfn last, size_t most)
{
	struct cf_span spans[64];
	cf_pfn cursor = first;
	cf_pfn next = first;
	struct cf_span span;
	size_t sum = 0;
	size_t count, i;

	cf_walk_begin(map);
	do {
		count = cf_walk_many(map, &cursor, last, spans, most);
		CHECK(count <= most && (count == most || cursor >= last));
		for (i = 0; i < count; i++) {
			CHECK(cf_walk_next(map, &next, last, &span));
			CHECK(same_span(&span, &spans[i]));
		}
		CHECK_EQ(cursor, next);
		sum += count;
	} while (count > 0);
	CHECK(!cf_walk_next(map, &next, last, &span));
	cf_walk_end(map);
	return sum;
}

/* Many at once say what one after the other do. */
static void many_at_once(void)
{
	size_t whole;
	cf_pfn pfn;

	ground_make();
	churn(600);
	whole = walk_by(0, GROUND_LAST, 1);
	CHECK(whole > 100);
	CHECK_EQ(walk_by(0, GROUND_LAST, 3), whole);
	CHECK_EQ(walk_by(0, GROUND_LAST, 64), whole);
	for (pfn = 0; pfn < 2 * CF_CHUNK_FRAMES; pfn += 7)
		(void)walk_by(pfn, pfn + CF_CHUNK_FRAMES, 64);
	CHECK_EQ(walk_by(GROUND_LAST, GROUND_LAST, 64), 0);
	CHECK_EQ(walk_by(5, 0, 64), 0);
	churn_end();
	ground_drop();
}

int main(void)
{
	tap_run("many at once say what one after the other do", many_at_once);
	tap_run("a walk ends where it is told to", ends);
	tap_run("blocks that are absent, offline, online", blocks);
	tap_run("stretches end at the limit, runs do not", is_clipped);
	tap_run("a counted run is told with its counts", counted_run);
	tap_run("uncounted runs are told with flags and payload",
		uncounted_runs);
	tap_run("a run of several blocks is told once", crosses_blocks);
	tap_run("free chunks merge while isolation is alike", merges);
	tap_run("frames in transit", transit);
	tap_run("random ground agrees with the oracle", random_ground);
	tap_run("a whole walk adds up to the counters", whole_walk);
	return tap_done();
}
