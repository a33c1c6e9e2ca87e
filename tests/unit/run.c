/* SPDX-License-Identifier: MIT */
/*
 * Splitting runs, and words of uncounted runs.
 * Every pair of orders; every cut of a run that lies across chunks.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

static const uint32_t flags_made = CF_FLAG_MOVABLE;

static bool begin(unsigned order, unsigned blocks)
{
	struct machine_config config = { .block_order = order,
					 .blocks = blocks,
					 .no_caches = true };

	return CHECK(machine_make(config));
}

/* Every part has type, owner and flags of the whole and is frozen. */
static void check_parts(cf_pfn pfn, unsigned order, unsigned part,
			const struct cf_snapshot *whole)
{
	cf_pfn last = pfn + ((cf_pfn)1 << order);

	for (; pfn < last; pfn += (cf_pfn)1 << part) {
		struct cf_snapshot run = snapshot(pfn);

		if (!CHECK_EQ(run.order, part))
			return;
		CHECK_EQ(run.type, whole->type);
		CHECK_EQ(run.owner, whole->owner);
		CHECK_EQ(run.flags, whole->flags);
		CHECK_EQ(run.refs, 0);
		CHECK_EQ(cf_find_head(m.map, pfn + ((cf_pfn)1 << part) - 1),
			 pfn);
	}
}

static void split_to(unsigned order, unsigned part, uint32_t owner)
{
	struct cf_request request =
		with_flags(folio(order, owner), CF_ALLOC_FROZEN);
	cf_pfn pfn = alloc(request);
	struct cf_snapshot whole = snapshot(pfn);
	cf_pfn at;

	if (!CHECK_EQ(cf_split(m.map, pfn, part), 0))
		return;
	check_parts(pfn, order, part, &whole);
	for (at = pfn; at < pfn + ((cf_pfn)1 << order);
	     at += (cf_pfn)1 << part)
		cf_free_frozen(m.map, at, part);
}

static void every_split(void)
{
	struct keeper keeper = { 0 };
	unsigned order, part;

	if (!begin(10, 256) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	for (order = 1; order <= CF_MAX_ORDER; order++)
		for (part = order > 14 ? 7 : 0; part < order; part++)
			split_to(order, part, keeper.id);
	CHECK(machine_verify());
	split_to(CF_MAX_ORDER, 0, keeper.id);
	CHECK_EQ(unused_frames(), m.last);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* A cut between chunks leaves both of them whole. */
static void cut_between_chunks(void)
{
	if (!begin(10, 2))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, CF_OWNER_NONE, 0, 1024, 0,
					NULL), 0);
	CHECK_EQ(cf_offline_free_range(m.map, CF_OWNER_NONE, 0, 512), 0);
	CHECK_EQ(snapshot(512).order, 9);
	CHECK_EQ(block_info(0).chunks_split, 0);
	CHECK(machine_verify());
	CHECK_EQ(cf_offline_free_range(m.map, CF_OWNER_NONE, 512, 1024), 0);
	CHECK(machine_end());
}

/* A small run in a chunk that is in parts already, not the first one. */
static void small_in_parts(void)
{
	cf_pfn pfn = 3 * 512 + 8;
	cf_pfn at;

	if (!begin(10, 2))
		return;
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 8,
				with_flags(kernel(0), CF_ALLOC_FROZEN), NULL),
		 0);
	CHECK_EQ(cf_split(m.map, pfn, 1), 0);
	for (at = pfn; at < pfn + 8; at += 2)
		CHECK_EQ(snapshot(at).order, 1);
	cf_free_range(m.map, pfn, pfn + 8);
	CHECK(machine_end());
}

/* One part keeps living when the others are free; counters follow. */
static void parts_live_alone(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB, .order = 11 };
	cf_pfn pfn;

	if (!begin(10, 2))
		return;
	pfn = alloc(request);
	CHECK_EQ(cf_split(m.map, pfn, 9), 0);
	CHECK(machine_verify());
	cf_free_frozen(m.map, pfn, 9);
	cf_free_frozen(m.map, pfn + 1536, 9);
	CHECK_EQ(stat_now().by_type[CF_TYPE_SLAB], 1024);
	CHECK_EQ(cf_split(m.map, pfn + 512, 0), 0);
	CHECK_EQ(snapshot(pfn + 1023).order, 0);
	CHECK(cf_find_head(m.map, pfn + 511) == CF_PFN_NONE);
	CHECK_EQ(cf_find_head(m.map, pfn + 1535), pfn + 1024);
	for (cf_pfn at = pfn + 512; at < pfn + 1024; at++)
		cf_free_frozen(m.map, at, 0);
	cf_free_frozen(m.map, pfn + 1024, 9);
	CHECK(machine_end());
}

static void refuses(void)
{
	cf_pfn pfn;

	if (!begin(10, 1))
		return;
	pfn = alloc(kernel(4));
	FAILS(CF_EAGAIN, cf_split(m.map, pfn, 2));
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	FAILS(CF_EINVAL, cf_split(m.map, pfn, 4));
	FAILS(CF_EINVAL, cf_split(m.map, pfn, 5));
	FAILS(CF_EINVAL, cf_split(m.map, pfn, 100));
	FAILS(CF_EGONE, cf_split(m.map, pfn + 1, 0));
	CHECK_EQ(cf_split(m.map, pfn, 2), 0);
	cf_unfreeze(m.map, pfn, 1);
	FAILS(CF_EAGAIN, cf_split(m.map, pfn, 0));
	cf_put(m.map, pfn);
	FAILS(CF_EGONE, cf_split(m.map, pfn, 0));
	for (pfn += 4; pfn % 16; pfn += 4)
		cf_free_frozen(m.map, pfn, 2);
	CHECK(machine_end());
}

/* Is [first, last) covered by @owner's offline runs, and nothing around? */
static void check_covered(cf_pfn first, cf_pfn last, uint32_t owner)
{
	cf_pfn at = first;
	struct cf_snapshot run;

	while (at < last) {
		run = snapshot(at);
		if (!CHECK_EQ(run.type, CF_TYPE_OFFLINE) ||
		    !CHECK_EQ(run.owner, owner))
			return;
		CHECK_EQ(run.flags, flags_made);
		/* Naturally aligned and inside. */
		CHECK_EQ(at % ((cf_pfn)1 << run.order), 0);
		CHECK_EQ(cf_find_head(m.map, at + ((cf_pfn)1 << run.order) / 2),
			 at);
		at += (cf_pfn)1 << run.order;
	}
	CHECK_EQ(at, last);
}

/* Cut a hole [first, last) into offline frames and close it again. */
static void cut(struct keeper *keeper, cf_pfn first, cf_pfn last)
{
	uint32_t id = keeper->id;

	CHECK_EQ(cf_offline_free_range(m.map, id, first, last), 0);
	check_covered(0, first, id);
	check_covered(last, m.last, id);
	for (cf_pfn at = first; at < last; at++)
		CHECK(!is_head(at));
	CHECK_EQ(stat_now().free, last - first);
	CHECK_EQ(stat_now().offline, m.last - (last - first));
	CHECK_EQ(cf_offline_alloc_range(m.map, id, first, last, flags_made,
					NULL), 0);
	check_covered(0, m.last, id);
}

/* Offline runs can be cut at any frame. */
static void cuts(void)
{
	static const cf_pfn at[] = { 0, 1, 2, 3, 255, 256, 511, 512, 513, 700,
				     1023, 1024, 1025, 1535, 1536, 1537, 2047,
				     2048 };
	struct keeper keeper = { 0 };
	unsigned i, j;

	if (!begin(10, 2) ||
	    !CHECK(keeper_add(&keeper, "k", 1u << HOOK_MIGRATE)))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 0, m.last,
					flags_made, NULL), 0);
	check_covered(0, m.last, keeper.id);
	for (i = 0; i < sizeof(at) / sizeof(*at); i++)
		for (j = i + 1; j < sizeof(at) / sizeof(*at); j++)
			cut(&keeper, at[i], at[j]);
	CHECK(machine_verify());
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 0, m.last), 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* A whole chunk is one word, however many there are. */
static void whole_chunks_are_one_word(void)
{
	cf_pfn at;

	if (!begin(15, 1))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, 0, 512, m.last - 512, 0, NULL),
		 0);
	CHECK_EQ(block_info(0).chunks_split, 0);
	for (at = 512; at < m.last - 512;)
		at += (cf_pfn)1 << snapshot(at).order;
	CHECK_EQ(at, m.last - 512);
	CHECK_EQ(snapshot(16384).order, 13);
	CHECK_EQ(cf_offline_free_range(m.map, 0, 512, m.last - 512), 0);
	CHECK_EQ(block_info(0).chunks_split, 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, 0, 511, 1025, 0, NULL), 0);
	CHECK_EQ(block_info(0).chunks_split, 2);
	CHECK_EQ(snapshot(512).order, 9);
	CHECK_EQ(cf_offline_free_range(m.map, 0, 511, 1025), 0);
	CHECK_EQ(block_info(0).chunks_split, 0);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("every order into every lower one", every_split);
	tap_run("a cut between chunks", cut_between_chunks);
	tap_run("a small run in a chunk of parts", small_in_parts);
	tap_run("parts live alone", parts_live_alone);
	tap_run("what cannot be split", refuses);
	tap_run("offline runs are cut anywhere", cuts);
	tap_run("a whole chunk is one word", whole_chunks_are_one_word);
	return tap_done();
}
