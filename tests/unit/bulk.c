/* SPDX-License-Identifier: MIT */
/*
 * Many runs at once: as many as there are, each as if it came alone, and puts
 * of everything that a put may meet.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define FRAMES	2048

static cf_pfn frame[FRAMES + 1];
static size_t done;

static bool begin(void)
{
	struct machine_config config = { .blocks = 2, .movable = 1 };

	return CHECK(machine_make(config));
}

/* No frame is there twice. */
static bool distinct(size_t count)
{
	static bool seen[2 * FRAMES];
	size_t i;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < count; i++) {
		if (frame[i] >= 2 * FRAMES || seen[frame[i]])
			return false;
		seen[frame[i]] = true;
	}
	return true;
}

static void everything(void)
{
	struct cf_stat stat;

	if (!begin())
		return;
	CHECK_EQ(cf_alloc_bulk(m.map, kernel(0), 100, frame, &done), 0);
	CHECK_EQ(done, 100);
	FAILS_PARTLY(CF_ENOMEM, cf_alloc_bulk(m.map, kernel(0),
					      FRAMES + 1 - 100, frame + 100,
					      &done));
	CHECK_EQ(done, FRAMES - 100);
	CHECK(distinct(FRAMES));
	stat = stat_now();
	CHECK_EQ(stat.by_type[CF_TYPE_KERNEL], FRAMES);
	CHECK_EQ(snapshot(frame[FRAMES - 1]).refs, 1);
	cf_put_bulk(m.map, frame, FRAMES);
	stat = stat_now();
	CHECK_EQ(stat.by_type[CF_TYPE_KERNEL], 0);
	CHECK_EQ(stat.free + stat.cached, FRAMES + m.block);
	cf_put_bulk(m.map, frame, 0);
	CHECK(machine_end());
}

/* What is not taken by the magazine comes one by one. */
static void other_requests(void)
{
	struct keeper keeper = { 0 };

	if (!begin() || !CHECK(keeper_add(&keeper, "keeper", 0)))
		return;
	CHECK_EQ(cf_alloc_bulk(m.map, kernel(3), 20, frame, &done), 0);
	CHECK(done == 20 && snapshot(frame[19]).order == 3);
	cf_put_bulk(m.map, frame, done);
	CHECK_EQ(cf_alloc_bulk(m.map, folio(0, keeper.id), 20, frame, &done),
		 0);
	CHECK(done == 20 && snapshot(frame[19]).owner == keeper.id);
	cf_put_bulk(m.map, frame, done);
	CHECK_EQ(cf_alloc_bulk(m.map, with_flags(kernel(0), CF_ALLOC_FROZEN),
			       20, frame, &done), 0);
	CHECK(done == 20 && snapshot(frame[19]).refs == 0);
	while (done > 0)
		cf_free_frozen(m.map, frame[--done], 0);
	FAILS(CF_EINVAL, cf_alloc_bulk(m.map, kernel(CF_MAX_ORDER + 1), 1,
				       frame, &done));
	FAILS(CF_EGONE, cf_alloc_bulk(m.map, folio(0, keeper.id + 1), 1, frame,
				      &done));
	CHECK_EQ(done, 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* Types, zones, orders, owners and further references, one after another. */
static void mixed_puts(void)
{
	struct cf_request slab = { .type = CF_TYPE_FOLIO };
	struct keeper keeper = { 0 };
	struct cf_stat stat;
	unsigned i;

	if (!begin() || !CHECK(keeper_add(&keeper, "keeper", HOOKS_ALL)))
		return;
	for (i = 0; i < 70; i += 7) {
		frame[i] = alloc(kernel(0));
		frame[i + 1] = alloc(slab);
		frame[i + 2] = alloc(in_zone(folio(0, keeper.id),
					     CF_ZONE_MOVABLE));
		frame[i + 3] = alloc(kernel(2));
		frame[i + 4] = alloc(folio(0, keeper.id));
		CHECK_EQ(cf_owner_change(m.map, frame[i + 2], 0), 0);
		frame[i + 5] = alloc(kernel(0));
		CHECK_EQ(cf_get(m.map, frame[i + 5]), 0);
		frame[i + 6] = frame[i + 5];
	}
	cf_put_bulk(m.map, frame, 70);
	stat = stat_now();
	CHECK_EQ(stat.by_type[CF_TYPE_KERNEL], 0);
	CHECK_EQ(stat.by_type[CF_TYPE_FOLIO], 0);
	CHECK_EQ(stat.free + stat.cached, FRAMES + m.block);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* Stock that has room for some of what comes, and another zone behind. */
static void partly_stocked(void)
{
	struct keeper keeper = { 0 };
	unsigned held, i;

	if (!begin() || !CHECK(keeper_add(&keeper, "keeper", HOOKS_ALL)))
		return;
	for (held = 70; held <= 140; held += 3) {
		for (i = 0; i < held; i++)
			frame[i] = alloc(kernel(0));
		cf_put_bulk(m.map, frame, 30);
		CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], held - 30);
		CHECK_EQ(stat_now().free + stat_now().cached,
			 FRAMES + m.block - (held - 30));
		CHECK_EQ(alloc(in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE)) /
			 m.block, 2);
		for (i = 0; i < 30; i++)
			frame[i] = frame[30 + i];
		CHECK_EQ(cf_owner_change(m.map, 2 * m.block, 0), 0);
		frame[20] = 2 * m.block;
		cf_put_bulk(m.map, frame, 21);
		cf_put(m.map, frame[50]);
		for (i = 51; i < held; i++)
			cf_put(m.map, frame[i]);
		CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], 0);
		CHECK(machine_verify());
	}
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static cf_pfn victim;

static void put_twice(void)
{
	cf_pfn twice[] = { victim, victim };

	cf_put_bulk(m.map, twice, 2);
}

static void misuse(void)
{
	if (!begin())
		return;
	(void)alloc(kernel(0));
	victim = alloc(kernel(0));
	CHECK(panics(put_twice, victim));
	cf_put(m.map, 0);
	cf_put(m.map, victim);
	CHECK(machine_end());
}

/* While contexts are kept out frames go home one by one. */
static void kept_out(void)
{
	if (!begin())
		return;
	CHECK_EQ(cfi_divert_begin(m.map), 0);
	CHECK_EQ(cf_alloc_bulk(m.map, kernel(0), 100, frame, &done), 0);
	cf_put_bulk(m.map, frame, done);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(stat_now().free, FRAMES + m.block);
	cfi_divert_end(m.map);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("as many as there are", everything);
	tap_run("other requests", other_requests);
	tap_run("puts of all sorts", mixed_puts);
	tap_run("stock with room for some", partly_stocked);
	tap_run("a put too many panics", misuse);
	tap_run("kept out of the caches", kept_out);
	return tap_done();
}
