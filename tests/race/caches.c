/* SPDX-License-Identifier: MIT */
/*
 * Caches: frames freed by other threads than took them, caches drained from
 * afar while their owners allocate, bulk takers that need what lies in them.
 * Threads at full speed; every frame's holder is on record.
 */
#include <sched.h>

#include "race.h"

#define RING		256
#define HELD		64

/* Frames on their way from one thread to another, plus one; 0: none. */
static _Atomic cf_pfn ring[RING];
static struct race race;
static uint32_t host;
static _Atomic uint64_t drains, large;

static cf_pfn take(struct cf_request request)
{
	cf_pfn pfn;

	if (cf_alloc(race.map, request, &pfn))
		return CF_PFN_NONE;
	race_take(&race, pfn, request.order, HOLDER_RUN);
	race_write(&race, pfn, request.order, pfn << 12);
	return pfn;
}

static void give(cf_pfn pfn, unsigned order, bool frozen)
{
	RACE_CHECK(&race, race_read(&race, pfn, order, pfn << 12));
	race_give(&race, pfn, order, HOLDER_RUN);
	if (frozen)
		cf_free_frozen(race.map, pfn, order);
	else
		cf_put(race.map, pfn);
}

/* Put frames in the ring; whom they meet there is freed here. */
static void pass_on(struct racer *racer)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	while (race_on(racer)) {
		cf_pfn pfn = take(request);
		cf_pfn old;

		if (pfn == CF_PFN_NONE)
			continue;
		old = atomic_exchange(&ring[race_random(racer, RING)],
				      pfn + 1);
		if (old)
			give(old - 1, 0, false);
	}
}

static void free_passed(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn old = atomic_exchange(&ring[race_random(racer, RING)],
					     0);

		if (old)
			give(old - 1, 0, false);
	}
}

/* Frames come and go in bursts: magazines fill and empty. */
static void burst(struct racer *racer)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	cf_pfn held[HELD];

	while (race_on(racer)) {
		uint32_t count = 0, want = race_random(racer, HELD);

		while (count < want) {
			held[count] = take(request);
			if (held[count] == CF_PFN_NONE)
				break;
			count++;
		}
		while (count)
			give(held[--count], 0, true);
	}
}

/* In and out of the cache as fast as can be. */
static void tick(struct racer *racer)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	cf_pfn pfn, other;

	while (race_on(racer)) {
		if (cf_alloc(race.map, request, &pfn))
			continue;
		if (!cf_alloc(race.map, request, &other)) {
			RACE_CHECK(&race, pfn != other);
			cf_free_frozen(race.map, other, 0);
		}
		cf_free_frozen(race.map, pfn, 0);
	}
}

/* So long that the other side gets into its cache again. */
static void idle(uint32_t turns)
{
	while (turns--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void drain_always(struct racer *racer)
{
	while (race_on(racer)) {
		int err = cf_drain(race.map);

		RACE_CHECK(&race, !err || err == -CF_EAGAIN);
		atomic_fetch_add_explicit(&drains, 1, memory_order_relaxed);
		idle(race_random(racer, 500));
	}
}

static void drain(struct racer *racer)
{
	while (race_on(racer)) {
		int err = cf_drain(race.map);

		RACE_CHECK(&race, !err || err == -CF_EAGAIN);
		atomic_fetch_add(&drains, !err);
		(void)sched_yield();
	}
}

/* Whole chunks are to be had only if caches give theirs back. */
static void take_large(struct racer *racer)
{
	struct cf_request request = { .order = 9, .type = CF_TYPE_KERNEL };

	while (race_on(racer)) {
		cf_pfn pfn = take(request);

		if (pfn == CF_PFN_NONE)
			continue;
		atomic_fetch_add(&large, 1);
		give(pfn, 9, false);
		(void)sched_yield();
	}
}

/* Isolation diverts frees from the caches, whoever frees. */
static void isolate_ranges(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn first = race_random(racer, (uint32_t)race.last - 8);
		cf_pfn last = first + 1 + race_random(racer, 7), pfn;

		if (cf_offline_alloc_range(race.map, host, first, last, 0,
					   NULL))
			continue;
		for (pfn = first; pfn < last; pfn++)
			race_take(&race, pfn, 0, HOLDER_HOST);
		for (pfn = first; pfn < last; pfn++)
			race_give(&race, pfn, 0, HOLDER_HOST);
		RACE_CHECK(&race, !cf_offline_free_range(race.map, host, first,
							 last));
	}
}

/* Threads come and go; each empties its cache on the way out. */
static void come_and_go(struct racer *racer)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	while (race_on(racer)) {
		cf_pfn pfn = take(request);

		cf_host_leave(race.map);
		/* Without a number, and so without a cache. */
		if (pfn != CF_PFN_NONE)
			give(pfn, 0, false);
		pfn = take(request);
		(void)cf_host_enter();
		if (pfn != CF_PFN_NONE)
			give(pfn, 0, false);
	}
}

static void begin_as(struct race_size size)
{
	static const struct cf_owner_ops ops = { 0 };

	race_begin(&race, size);
	atomic_store(&drains, 0);
	atomic_store(&large, 0);
	CHECK_EQ(cf_owner_register(race.map, "host", &ops, NULL, &host), 0);
}

static void begin(void)
{
	begin_as((struct race_size){ .order = 10, .blocks = 1 });
}

static void end(void)
{
	size_t i;

	for (i = 0; i < RING; i++) {
		cf_pfn pfn = atomic_exchange(&ring[i], 0);

		if (pfn)
			give(pfn - 1, 0, false);
	}
	printf("# %llu drains, %llu chunks taken\n",
	       (unsigned long long)atomic_load(&drains),
	       (unsigned long long)atomic_load(&large));
	race_end(&race);
}

static void foreign_free(void)
{
	begin();
	race_add(&race, 2, pass_on);
	race_add(&race, 2, free_passed);
	race_go(&race);
	end();
}

static void remote_drain(void)
{
	begin();
	race_add(&race, 3, burst);
	race_add(&race, 1, drain);
	race_go(&race);
	CHECK(atomic_load(&drains) > 0);
	end();
}

/* Who is in and who drains: one thread each, so that both always run. */
static void entry(bool fenced)
{
	begin_as((struct race_size){ .order = 10, .blocks = 1,
				     .fenced = fenced });
	race_add(&race, 1, tick);
	race_add(&race, 1, drain_always);
	race_go(&race);
	CHECK(atomic_load(&drains) > 0);
	end();
}

static void entry_by_barrier(void)
{
	entry(false);
}

static void entry_by_fence(void)
{
	entry(true);
}

static void scarce_chunks(void)
{
	begin();
	race_add(&race, 3, burst);
	race_add(&race, 1, take_large);
	race_go(&race);
	end();
}

static void isolation(void)
{
	begin();
	race_add(&race, 1, pass_on);
	race_add(&race, 1, free_passed);
	race_add(&race, 1, burst);
	race_add(&race, 1, isolate_ranges);
	race_go(&race);
	end();
}

static void leaving(void)
{
	begin();
	race_add(&race, 2, come_and_go);
	race_add(&race, 1, burst);
	race_add(&race, 1, drain);
	race_go(&race);
	end();
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("frames freed by another thread", foreign_free);
	race_test("caches drained while their owners allocate", remote_drain);
	race_test("a cache's owner against a drainer, by the barrier",
		  entry_by_barrier);
	race_test("a cache's owner against a drainer, by a fence",
		  entry_by_fence);
	race_test("whole chunks while caches hold frames", scarce_chunks);
	race_test("isolation while all free", isolation);
	race_test("threads that come and go", leaving);
	return tap_done();
}
