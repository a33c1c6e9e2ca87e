/* SPDX-License-Identifier: MIT */
/*
 * References, pins, freezing and lookup of heads.
 * Every call on every kind of frame; limits set up by freezing.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST	1024

static cf_pfn frame[MOST];

static bool begin(unsigned blocks)
{
	struct machine_config config = { .blocks = blocks };

	return CHECK(machine_make(config));
}

/* A folio frozen and given exactly @refs references. */
static void set_refs(cf_pfn pfn, uint32_t refs)
{
	CHECK_EQ(cf_freeze(m.map, pfn, snapshot(pfn).refs), 0);
	cf_unfreeze(m.map, pfn, refs);
}

static void get_and_put(void)
{
	cf_pfn pfn;

	if (!begin(1))
		return;
	pfn = alloc(kernel(3));
	CHECK_EQ(cf_get(m.map, pfn), 0);
	CHECK_EQ(cf_try_get(m.map, pfn), 0);
	CHECK_EQ(snapshot(pfn).refs, 3);
	cf_put(m.map, pfn);
	cf_put(m.map, pfn);
	CHECK_EQ(snapshot(pfn).refs, 1);
	CHECK_EQ(unused_frames(), 1024 - 8);
	cf_put(m.map, pfn);
	CHECK(!is_head(pfn));
	CHECK_EQ(unused_frames(), 1024);
	CHECK(machine_end());
}

/* A pin is also a reference; both come and go together. */
static void pins(void)
{
	cf_pfn pfn;

	if (!begin(1))
		return;
	pfn = alloc(kernel(1));
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	CHECK_EQ(snapshot(pfn).refs, 3);
	CHECK_EQ(snapshot(pfn).pins, 2);
	FAILS(CF_EAGAIN, cf_freeze(m.map, pfn, 3));
	cf_unpin(m.map, pfn);
	cf_put(m.map, pfn);
	CHECK_EQ(snapshot(pfn).refs, 1);
	CHECK_EQ(snapshot(pfn).pins, 1);
	/* The last reference may be a pin's. */
	cf_unpin(m.map, pfn);
	CHECK(!is_head(pfn));
	CHECK(machine_end());
}

static void freezing(void)
{
	cf_pfn pfn;

	if (!begin(1))
		return;
	pfn = alloc(kernel(2));
	FAILS(CF_EAGAIN, cf_freeze(m.map, pfn, 0));
	FAILS(CF_EAGAIN, cf_freeze(m.map, pfn, 2));
	CHECK_EQ(cf_get(m.map, pfn), 0);
	FAILS(CF_EAGAIN, cf_freeze(m.map, pfn, 1));
	CHECK_EQ(cf_freeze(m.map, pfn, 2), 0);
	CHECK_EQ(snapshot(pfn).refs, 0);
	FAILS(CF_EGONE, cf_try_get(m.map, pfn));
	FAILS(CF_EGONE, cf_pin(m.map, pfn));
	FAILS(CF_EAGAIN, cf_freeze(m.map, pfn, 0));
	FAILS(CF_EAGAIN, cf_freeze(m.map, pfn, 1));
	cf_unfreeze(m.map, pfn, 5);
	CHECK_EQ(snapshot(pfn).refs, 5);
	set_refs(pfn, 1);
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	cf_free_frozen(m.map, pfn, 2);
	CHECK(machine_end());
}

/* At the limit every kind of get refuses and the word stays. */
static void limit_of_references(void)
{
	cf_pfn pfn, head;

	if (!begin(1))
		return;
	pfn = alloc(kernel(4));
	set_refs(pfn, CF_REFS_MAX - 1);
	CHECK_EQ(cf_get(m.map, pfn), 0);
	FAILS(CF_ELIMIT, cf_get(m.map, pfn));
	FAILS(CF_ELIMIT, cf_try_get(m.map, pfn));
	FAILS(CF_ELIMIT, cf_try_get_interior(m.map, pfn + 7, &head));
	FAILS(CF_ELIMIT, cf_pin(m.map, pfn));
	CHECK_EQ(snapshot(pfn).refs, CF_REFS_MAX);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_try_get(m.map, pfn), 0);
	set_refs(pfn, CF_REFS_MAX);
	FAILS(CF_ELIMIT, cf_get(m.map, pfn));
	set_refs(pfn, 1);
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

static void limit_of_pins(void)
{
	cf_pfn pfn;
	unsigned i;

	if (!begin(1))
		return;
	pfn = alloc(kernel(0));
	for (i = 0; i < CF_PINS_MAX; i++)
		CHECK_EQ(cf_pin(m.map, pfn), 0);
	FAILS(CF_ELIMIT, cf_pin(m.map, pfn));
	/* References are another matter. */
	CHECK_EQ(cf_get(m.map, pfn), 0);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_try_get(m.map, pfn), 0);
	cf_put(m.map, pfn);
	for (i = 0; i < CF_PINS_MAX; i++)
		cf_unpin(m.map, pfn);
	CHECK_EQ(snapshot(pfn).pins, 0);
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

/* Every frame of a run of every order, in one block and across many. */
static void interior(void)
{
	unsigned order;
	cf_pfn pfn, at, head;

	if (!begin(256))
		return;
	for (order = 0; order <= CF_MAX_ORDER; order++) {
		cf_pfn count = (cf_pfn)1 << order;
		cf_pfn stride = order < 13 ? 1 : 509;

		pfn = alloc(kernel(order));
		for (at = pfn; at < pfn + count; at += stride) {
			CHECK_EQ(cf_find_head(m.map, at), pfn);
			if (!CHECK_EQ(cf_try_get_interior(m.map, at, &head), 0))
				break;
			CHECK_EQ(head, pfn);
			CHECK_EQ(is_head(at), at == pfn);
			cf_put_interior(m.map, at);
		}
		CHECK_EQ(cf_find_head(m.map, pfn + count - 1), pfn);
		/* Neither neighbour belongs to it. */
		if (pfn + count < m.last)
			CHECK(cf_find_head(m.map, pfn + count) != pfn);
		if (pfn > 0)
			CHECK(cf_find_head(m.map, pfn - 1) != pfn);
		cf_put(m.map, pfn);
	}
	CHECK(machine_end());
}

/* All runs of a full chunk, each found from each of its frames. */
static void neighbours(void)
{
	static const unsigned order[] = { 3, 0, 0, 1, 2, 5, 4, 0, 6, 1, 7, 8 };
	cf_pfn head[12];
	unsigned i;
	cf_pfn at;

	if (!begin(1))
		return;
	for (i = 0; i < 12; i++)
		head[i] = alloc(kernel(order[i]));
	for (i = 0; i < 12; i++)
		for (at = head[i]; at < head[i] + (1u << order[i]); at++)
			CHECK_EQ(cf_find_head(m.map, at), head[i]);
	put_all(head, 12);
	for (at = 0; at < 1024; at++)
		CHECK(cf_find_head(m.map, at) == CF_PFN_NONE);
	CHECK(machine_end());
}

/* A run may begin in a block to the left; there need not be one. */
static void holes_to_the_left(void)
{
	struct machine_config config = { .blocks = 1, .absent = 7 };
	cf_pfn head, at;

	if (!CHECK(machine_make(config)) ||
	    !CHECK(add_online(5 * 1024, 6 * 1024, CF_ZONE_NORMAL, 0)) ||
	    !CHECK(add_online(7 * 1024, 8 * 1024, CF_ZONE_NORMAL, 0)))
		return;
	for (at = 5 * 1024; at < 6 * 1024; at++)
		CHECK(cf_find_head(m.map, at) == CF_PFN_NONE);
	FAILS(CF_EGONE, cf_try_get_interior(m.map, 7 * 1024 + 77, &head));
	CHECK_EQ(cf_alloc_range(m.map, 7 * 1024, 8 * 1024, kernel(0), NULL), 0);
	CHECK_EQ(cf_find_head(m.map, 8 * 1024 - 1), 7 * 1024);
	cf_put(m.map, 7 * 1024);
	CHECK(machine_end());
}

static void check_refused(cf_pfn pfn)
{
	cf_pfn head = 12345;

	FAILS(CF_EGONE, cf_try_get(m.map, pfn));
	FAILS(CF_EGONE, cf_try_get_interior(m.map, pfn, &head));
	FAILS(CF_EGONE, cf_pin(m.map, pfn));
	CHECK_EQ(head, 12345);
}

static void check_no_head(cf_pfn pfn)
{
	struct cf_snapshot run = { .word = 12345 };

	FAILS(CF_EGONE, cf_snapshot(m.map, pfn, &run));
	FAILS(CF_EGONE, cf_freeze(m.map, pfn, 1));
	FAILS(CF_EGONE, cf_split(m.map, pfn, 0));
	FAILS(CF_EGONE, cf_owner_change(m.map, pfn, CF_OWNER_NONE));
	CHECK_EQ(run.word, 12345);
	CHECK(cf_find_head(m.map, pfn) == CF_PFN_NONE);
	check_refused(pfn);
}

/* No reference lands on a frame that is not the head of a counted run. */
static void refused_frames(void)
{
	struct machine_config config = { .blocks = 2, .absent = 2 };
	struct cf_block_config block = { .meta = CF_META_PORT };
	enum cf_retire_state retired;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(cf_block_add(m.map, 2048, 3072, &block), 0);
	check_no_head(100);			/* never allocated */
	check_no_head(2048 + 5);		/* block offline */
	check_no_head(3072);			/* block absent */
	check_no_head(m.last);			/* beyond the map */
	check_no_head(CF_PFN_LIMIT);
	check_no_head(CF_PFN_NONE);
	pfn = alloc(kernel(3));
	FAILS(CF_EGONE, cf_try_get(m.map, pfn + 1));	/* interior */
	FAILS(CF_EGONE, cf_pin(m.map, pfn + 7));
	FAILS(CF_EGONE, cf_freeze(m.map, pfn + 1, 1));
	cf_put(m.map, pfn);
	check_no_head(pfn);			/* free again */
	pfn = alloc(kernel(0));
	cf_put(m.map, pfn);
	check_no_head(pfn);			/* in a cache */
	pfn = alloc((struct cf_request){ .type = CF_TYPE_SLAB, .order = 1 });
	check_refused(pfn);			/* never counted */
	FAILS(CF_EGONE, cf_freeze(m.map, pfn, 1));
	FAILS(CF_EGONE, cf_owner_change(m.map, pfn, CF_OWNER_NONE));
	cf_free_frozen(m.map, pfn, 1);
	pfn = alloc(with_flags(kernel(9), CF_ALLOC_FROZEN));
	check_refused(pfn);			/* frozen */
	check_refused(pfn + 511);
	cf_free_frozen(m.map, pfn, 9);
	CHECK_EQ(cf_offline_alloc(m.map, 0, 4, 0, &pfn), 0);
	check_refused(pfn);			/* logically offline */
	check_refused(pfn + 15);
	FAILS(CF_EGONE, cf_freeze(m.map, pfn, 1));
	FAILS(CF_EGONE, cf_owner_change(m.map, pfn, CF_OWNER_NONE));
	CHECK_EQ(cf_offline_free(m.map, 0, pfn, 4), 0);
	CHECK_EQ(cf_retire(m.map, 1000, &retired), 0);
	check_refused(1000);			/* retired */
	CHECK(machine_end());
}

/* The block's own metadata. */
static void refused_metadata(void)
{
	struct machine_config config = { .blocks = 1, .absent = 1 };
	struct cf_block_config block = { .meta = CF_META_SELF };

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(cf_block_add(m.map, 1024, 2048, &block), 0);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(snapshot(1024).type, CF_TYPE_RESERVED);
	CHECK_EQ(snapshot(1024).flags, CF_FLAG_SELF);
	check_refused(1024);
	CHECK(machine_end());
}

/* A word that is BUSY is somebody's alone. */
static void refused_busy(void)
{
	struct cfi_block *block;
	cfi_u64 *word;
	uint64_t was;
	cf_pfn pfn;

	if (!begin(1))
		return;
	pfn = alloc(kernel(5));
	block = cfi_block_of(m.map, pfn);
	word = cfi_word_at(block, pfn);
	was = cfi_load_relaxed(word);
	cfi_store_relaxed(word, word_with(was, CF_FLAG_BUSY));
	FAILS_PARTLY(CF_EGONE, cf_try_get(m.map, pfn));
	FAILS_PARTLY(CF_EGONE, cf_pin(m.map, pfn));
	FAILS_PARTLY(CF_EGONE, cf_try_get_interior(m.map, pfn + 3, frame));
	FAILS_PARTLY(CF_EAGAIN, cf_freeze(m.map, pfn, 1));
	FAILS_PARTLY(CF_EAGAIN, cf_owner_change(m.map, pfn, CF_OWNER_NONE));
	cfi_store_relaxed(word, word_with_refs(word_with(was, CF_FLAG_BUSY),
					       0));
	FAILS_PARTLY(CF_EAGAIN, cf_split(m.map, pfn, 0));
	cfi_store_relaxed(word, was);
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

static void snapshots(void)
{
	struct keeper keeper = { 0 };
	struct cf_snapshot run;
	cf_pfn pfn;

	if (!begin(1) || !CHECK(keeper_add(&keeper, "k", 1u << HOOK_MIGRATE)))
		return;
	pfn = alloc(folio(6, keeper.id));
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	run = snapshot(pfn);
	CHECK_EQ(run.type, CF_TYPE_FOLIO);
	CHECK_EQ(run.order, 6);
	CHECK_EQ(run.owner, keeper.id);
	CHECK_EQ(run.refs, 2);
	CHECK_EQ(run.pins, 1);
	CHECK_EQ(run.payload, 0);
	CHECK(run.word != 0);
	cf_unpin(m.map, pfn);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 3, CF_FLAG_MOVABLE, &pfn),
		 0);
	CHECK_EQ(cf_offline_set_payload(m.map, keeper.id, pfn, 0xfffffffe), 0);
	run = snapshot(pfn);
	CHECK_EQ(run.type, CF_TYPE_OFFLINE);
	CHECK_EQ(run.flags, CF_FLAG_MOVABLE);
	CHECK_EQ(run.payload, 0xfffffffe);
	CHECK_EQ(run.refs, 0);
	CHECK_EQ(run.pins, 0);
	CHECK_EQ(cf_offline_free(m.map, keeper.id, pfn, 3), 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

int main(void)
{
	tap_run("get and put", get_and_put);
	tap_run("pins are references", pins);
	tap_run("freeze and unfreeze", freezing);
	tap_run("the limit of references", limit_of_references);
	tap_run("the limit of pins", limit_of_pins);
	tap_run("a run is found from all its frames, every order", interior);
	tap_run("neighbours of a full chunk", neighbours);
	tap_run("holes to the left of a frame", holes_to_the_left);
	tap_run("frames that are no head of a counted run", refused_frames);
	tap_run("frames of a block's own metadata", refused_metadata);
	tap_run("a busy word", refused_busy);
	tap_run("snapshots", snapshots);
	return tap_done();
}
