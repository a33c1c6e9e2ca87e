/* SPDX-License-Identifier: MIT */
/*
 * Misuse that corrupts is caught by a check that names the frame, in every
 * build.  Each wrong call in a child, on each kind of frame.
 */
#include "tests/unit/machine.h"

/* The frame of the case at hand. */
static cf_pfn victim;
static unsigned victim_order;

static void put(void)
{
	cf_put(m.map, victim);
}

static void put_interior(void)
{
	cf_put_interior(m.map, victim);
}

static void get(void)
{
	(void)!cf_get(m.map, victim);
}

static void unpin(void)
{
	cf_unpin(m.map, victim);
}

static void unfreeze(void)
{
	cf_unfreeze(m.map, victim, 1);
}

static void unfreeze_to_none(void)
{
	cf_unfreeze(m.map, victim, 0);
}

static void unfreeze_to_many(void)
{
	cf_unfreeze(m.map, victim, CF_REFS_MAX + 1);
}

static void free_frozen(void)
{
	cf_free_frozen(m.map, victim, victim_order);
}

static void free_range(void)
{
	cf_free_range(m.map, victim, victim + 4);
}

/* None of the calls of a holder is right. */
static void check_nothing_held(cf_pfn pfn, unsigned order)
{
	victim = pfn;
	victim_order = order;
	CHECK(panics(put, pfn));
	CHECK(panics(get, pfn));
	CHECK(panics(unpin, pfn));
	CHECK(panics(unfreeze, pfn));
	CHECK(panics(free_frozen, pfn));
}

static bool begin(void)
{
	struct machine_config config = { .blocks = 2, .absent = 2 };

	return CHECK(machine_make(config));
}

static void foreign_frames(void)
{
	struct cf_block_config block = { .meta = CF_META_PORT };

	if (!begin())
		return;
	CHECK_EQ(cf_block_add(m.map, 2048, 3072, &block), 0);
	check_nothing_held(2048, 0);		/* block offline */
	check_nothing_held(3072 + 7, 0);	/* block absent */
	check_nothing_held(m.last, 0);		/* beyond the map */
	check_nothing_held(CF_PFN_LIMIT, 0);
	check_nothing_held(CF_PFN_NONE, 0);
	victim = m.last;
	CHECK(panics(put_interior, m.last));
	CHECK(machine_end());
}

static void free_frames(void)
{
	cf_pfn pfn;

	if (!begin())
		return;
	check_nothing_held(1024, 9);		/* in a whole chunk */
	pfn = alloc(kernel(0));
	check_nothing_held(pfn + 1, 0);		/* in the stock */
	check_nothing_held(pfn + 300, 0);	/* in a split chunk */
	victim = pfn + 300;
	CHECK(panics(put_interior, pfn + 300));
	CHECK(panics(free_range, pfn + 300));
	cf_put(m.map, pfn);
	check_nothing_held(pfn, 0);		/* double free */
	CHECK(cf_drain(m.map) == 0);
	check_nothing_held(pfn, 0);
	CHECK(machine_end());
}

static void double_frees(void)
{
	static const unsigned order[] = { 0, 1, 8, 9, 10, 11 };
	unsigned i;
	cf_pfn pfn;

	if (!begin())
		return;
	for (i = 0; i < 6; i++) {
		pfn = alloc(kernel(order[i]));
		cf_put(m.map, pfn);
		check_nothing_held(pfn, order[i]);
		pfn = alloc(with_flags(kernel(order[i]), CF_ALLOC_FROZEN));
		cf_free_frozen(m.map, pfn, order[i]);
		check_nothing_held(pfn, order[i]);
	}
	CHECK(machine_end());
}

static void not_the_head(void)
{
	cf_pfn pfn;

	if (!begin())
		return;
	pfn = alloc(kernel(4));
	check_nothing_held(pfn + 1, 0);
	check_nothing_held(pfn + 8, 3);
	cf_put(m.map, pfn);
	pfn = alloc(kernel(10));
	check_nothing_held(pfn + 1, 0);
	check_nothing_held(pfn + 512, 9);
	cf_put(m.map, pfn);
	pfn = alloc(kernel(11));
	check_nothing_held(pfn + 1024, 10);
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

/* Logically offline, exposed before or never: only its owner gives it. */
static void offline_frames(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin() || !CHECK(keeper_add(&keeper, "k", 1u << HOOK_ONLINE)))
		return;
	CHECK_EQ(cf_offline_alloc(m.map, 0, 3, 0, &pfn), 0);
	check_nothing_held(pfn, 3);
	victim = pfn + 5;
	CHECK(panics(put_interior, pfn));
	/* A payload that looks like one reference. */
	CHECK_EQ(cf_offline_set_payload(m.map, 0, pfn, 1u << 10), 0);
	check_nothing_held(pfn, 3);
	CHECK_EQ(cf_offline_free(m.map, 0, pfn, 3), 0);
	CHECK_EQ(cf_offline_alloc(m.map, 0, 10, 0, &pfn), 0);
	check_nothing_held(pfn, 10);
	CHECK_EQ(cf_offline_free(m.map, 0, pfn, 10), 0);
	/* The hook exposes nothing: all of it is NEVER_ONLINED. */
	CHECK(add_online(2048, 3072, CF_ZONE_NORMAL, keeper.id));
	CHECK(has_flags(2048, CF_FLAG_NEVER_ONLINED));
	check_nothing_held(2048, 9);
	check_nothing_held(2048 + 512, 9);
	check_nothing_held(2048 + 7, 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 2048, 2050), 0);
	CHECK(has_flags(2050, CF_FLAG_NEVER_ONLINED));
	check_nothing_held(2050, snapshot(2050).order);
	victim = 2051;
	CHECK(panics(put_interior, 2050));
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 2050, 3072), 0);
	CHECK_EQ(cf_block_adopt(m.map, 2048, 3072, 0), 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void retired_and_reserved(void)
{
	struct cf_block_config block = { .meta = CF_META_SELF };
	enum cf_retire_state state;

	if (!begin())
		return;
	CHECK_EQ(cf_retire(m.map, 77, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	check_nothing_held(77, 0);
	CHECK_EQ(cf_block_add(m.map, 2048, 3072, &block), 0);
	CHECK_EQ(cf_block_online(m.map, 2048, 3072, CF_ZONE_NORMAL, NULL), 0);
	check_nothing_held(2048, snapshot(2048).order);
	CHECK(machine_end());
}

/* A run that has no references cannot lose one. */
static void below_zero(void)
{
	cf_pfn pfn;

	if (!begin())
		return;
	pfn = alloc(with_flags(kernel(2), CF_ALLOC_FROZEN));
	victim = pfn;
	CHECK(panics(put, pfn));
	CHECK(panics(get, pfn));
	CHECK(panics(unpin, pfn));
	CHECK(panics(unfreeze_to_none, pfn));
	CHECK(panics(unfreeze_to_many, pfn));
	cf_free_frozen(m.map, pfn, 2);
	pfn = alloc((struct cf_request){ .type = CF_TYPE_SLAB, .order = 9 });
	victim = pfn;
	CHECK(panics(put, pfn));
	CHECK(panics(get, pfn));
	CHECK(panics(unpin, pfn));
	CHECK(panics(unfreeze, pfn));
	cf_free_frozen(m.map, pfn, 9);
	CHECK(machine_end());
}

/* The same for a run that an owner kept. */
static void kept_runs(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	cf_pfn pfn;

	if (!begin() || !CHECK(keeper_add(&keeper, "k", 1u << HOOK_RELEASE)))
		return;
	pfn = alloc(folio(3, keeper.id));
	cf_put(m.map, pfn);
	victim = pfn;
	victim_order = 2;
	CHECK(panics(put, pfn));
	CHECK(panics(get, pfn));
	CHECK(panics(free_frozen, pfn));	/* a wrong order */
	cf_free_frozen(m.map, pfn, 3);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void check_pins(cf_pfn pfn)
{
	victim = pfn;
	CHECK(panics(unpin, pfn));
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	cf_put(m.map, pfn);
	/* What is left is the pin's: a put would leave it without one. */
	CHECK(panics(put, pfn));
	cf_unpin(m.map, pfn);
}

/* With and without an owner: two ways to put. */
static void wrong_pins(void)
{
	struct keeper keeper = { 0 };

	if (!begin() || !CHECK(keeper_add(&keeper, "k", 1u << HOOK_RELEASE)))
		return;
	check_pins(alloc(kernel(0)));
	check_pins(alloc(folio(5, keeper.id)));
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void wrong_frees(void)
{
	unsigned order;
	cf_pfn pfn;

	if (!begin())
		return;
	pfn = alloc(with_flags(kernel(5), CF_ALLOC_FROZEN));
	victim = pfn;
	for (order = 0; order <= CF_MAX_ORDER + 1; order++) {
		victim_order = order;
		if (order != 5)
			CHECK(panics(free_frozen, pfn));
	}
	CHECK(panics(free_range, pfn));		/* half a run */
	cf_unfreeze(m.map, pfn, 1);
	victim_order = 5;
	CHECK(panics(free_frozen, pfn));	/* a reference is left */
	CHECK(panics(unfreeze, pfn));
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

static void end_of_nothing(void)
{
	cf_content_end(m.map, 2);
}

static void wrong_tickets(void)
{
	if (!begin())
		return;
	CHECK(panics(end_of_nothing, 2));
	CHECK(machine_end());
}

int main(void)
{
	tap_run("frames of no block in use", foreign_frames);
	tap_run("free frames, in stock or not", free_frames);
	tap_run("double frees, small and large", double_frees);
	tap_run("frames inside a run", not_the_head);
	tap_run("offline frames go back through their owner", offline_frames);
	tap_run("retired and reserved frames", retired_and_reserved);
	tap_run("put below zero", below_zero);
	tap_run("runs their owner kept", kept_runs);
	tap_run("unpin without pin, put of a pin", wrong_pins);
	tap_run("frees of a wrong order or with references", wrong_frees);
	tap_run("content tickets", wrong_tickets);
	return tap_done();
}
