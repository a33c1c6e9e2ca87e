/* SPDX-License-Identifier: MIT */
/*
 * The pool of huge runs: counters, reservations, surplus, giving up, demotion
 * and wrong use. One promise a test, on a machine of 4 MiB blocks or of 1 GiB.
 */
#include <stdlib.h>

#include "owners/hugepool.h"
#include "tests/unit/describe.h"
#include "tests/unit/machine.h"

static struct hugepool *pool;
static void *storage;
static struct cf_report report;

static bool begin_with(struct machine_config machine,
		       struct hugepool_config config)
{
	size_t bytes;

	if (!CHECK(machine_make(machine)))
		return false;
	bytes = hugepool_bytes(m.map, &config);
	storage = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
	return CHECK(bytes && storage) &&
	       CHECK_EQ(hugepool_create(m.map, &config, storage, &pool), 0);
}

static bool begin(unsigned blocks, unsigned runs)
{
	return begin_with((struct machine_config){ .blocks = blocks,
						   .cpus = 2 },
			  (struct hugepool_config){ .runs = runs });
}

static bool good(void)
{
	struct hugepool_finding finding;

	if (hugepool_verify(pool, &finding))
		return true;
	printf("# pool: finding %d at %#llx, owner %u\n", (int)finding.kind,
	       (unsigned long long)finding.pfn, finding.owner);
	return false;
}

static void finish(void)
{
	CHECK(good());
	CHECK_EQ(hugepool_destroy(pool, &report), 0);
	free(storage);
	CHECK(machine_end());
}

static struct hugepool_stat stat_of(enum hugepool_size size)
{
	struct hugepool_stat stat = { .total = ~0u };

	CHECK_EQ(hugepool_stat(pool, size, CF_NODE_ANY, &stat), 0);
	return stat;
}

/* total, free, surplus, reserved */
#define COUNTS(size, a, b, c, d) do {					\
	struct hugepool_stat s = stat_of(size);				\
	CHECK_EQ(s.total, (a));						\
	CHECK_EQ(s.free, (b));						\
	CHECK_EQ(s.surplus, (c));					\
	CHECK_EQ(s.reserved, (d));					\
} while (0)

static uint32_t resize(uint32_t count)
{
	uint32_t now = ~0u;

	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, count, &now), 0);
	return now;
}

static cf_pfn take(uint32_t flags)
{
	cf_pfn pfn = CF_PFN_NONE;

	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, flags, &pfn),
		 0);
	return pfn;
}

static void keeps_runs(void)
{
	struct cf_snapshot run;
	cf_pfn pfn;

	if (!begin(4, 8))
		return;
	CHECK_EQ(resize(3), 3);
	COUNTS(HUGEPOOL_2M, 3, 3, 0, 0);
	pfn = take(0);
	run = snapshot(pfn);
	CHECK(run.type == CF_TYPE_FOLIO && run.order == 9 && run.refs == 1 &&
	      run.owner == hugepool_owner(pool));
	COUNTS(HUGEPOOL_2M, 3, 2, 0, 0);
	CHECK_EQ(cf_get(m.map, pfn), 0);
	cf_put(m.map, pfn);
	COUNTS(HUGEPOOL_2M, 3, 2, 0, 0);
	cf_put(m.map, pfn);
	/* The point: it is the pool's, frozen, and nobody gets it. */
	COUNTS(HUGEPOOL_2M, 3, 3, 0, 0);
	CHECK_EQ(snapshot(pfn).refs, 0);
	CHECK_EQ(cf_try_get(m.map, pfn), -CF_EGONE);
	CHECK_EQ(take(0), pfn);
	cf_put(m.map, pfn);
	CHECK_EQ(resize(0), 0);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	CHECK_EQ(unused_frames(), m.last);
	finish();
}

static void resizes(void)
{
	uint32_t now;
	cf_pfn a, b;

	if (!begin(2, 8))
		return;
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, 5, &now), -CF_ENOMEM);
	CHECK_EQ(now, 4);
	CHECK_EQ(resize(2), 2);
	a = take(0);
	b = take(0);
	/* In use they cannot go, and go when they are put. */
	CHECK_EQ(resize(1), 1);
	COUNTS(HUGEPOOL_2M, 2, 0, 1, 0);
	cf_put(m.map, a);
	COUNTS(HUGEPOOL_2M, 1, 0, 0, 0);
	CHECK(!is_head(a));
	CHECK_EQ(resize(0), 0);
	COUNTS(HUGEPOOL_2M, 1, 0, 1, 0);
	/* A surplus run becomes persistent before another is taken. */
	CHECK_EQ(resize(1), 1);
	COUNTS(HUGEPOOL_2M, 1, 0, 0, 0);
	cf_put(m.map, b);
	COUNTS(HUGEPOOL_2M, 1, 1, 0, 0);
	finish();
}

static void makes_room(void)
{
	cf_pfn pfn[4];
	uint32_t now;
	struct keeper keeper = { .refs = 1 };
	size_t i;

	if (!begin(2, 4) || !CHECK(keeper_add(&keeper, "mover", HOOKS_ALL)))
		return;
	/* A frame in each chunk: there is no free run, and one can be made. */
	for (i = 0; i < 4; i++) {
		pfn[i] = i * CF_CHUNK_FRAMES + 3;
		CHECK_EQ(cf_alloc_range(m.map, pfn[i], pfn[i] + 1,
					folio(0, keeper.id), NULL), 0);
	}
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, 1, &now), 0);
	CHECK_EQ(now, 1);
	CHECK_EQ(resize(0), 0);
	for (i = 0; i < m.last; i++)
		if (is_head(i) && snapshot(i).owner == keeper.id)
			cf_put(m.map, i);
	CHECK(keeper_remove(&keeper));
	finish();
}

static void reserves(void)
{
	cf_pfn a, b, none;

	if (!begin(2, 8))
		return;
	CHECK_EQ(resize(2), 2);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 3), -CF_ENOMEM);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 1), 0);
	COUNTS(HUGEPOOL_2M, 2, 2, 0, 1);
	a = take(0);
	/* The point: the last one is promised. */
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, 0, &none),
		 -CF_ENOMEM);
	b = take(HUGEPOOL_RESERVED);
	COUNTS(HUGEPOOL_2M, 2, 0, 0, 0);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY,
				HUGEPOOL_RESERVED, &none), -CF_EINVAL);
	cf_put(m.map, a);
	cf_put(m.map, b);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 2), 0);
	CHECK_EQ(resize(0), 0);
	/* Promised: they stay, as surplus, until the promise ends. */
	COUNTS(HUGEPOOL_2M, 2, 2, 2, 2);
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_2M, 3), -CF_EINVAL);
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_2M, 1), 0);
	COUNTS(HUGEPOOL_2M, 1, 1, 1, 1);
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_2M, 1), 0);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	finish();
}

static void takes_surplus(void)
{
	cf_pfn a, b, none;

	if (!begin(2, 3))
		return;
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, 0, &none),
		 -CF_ENOMEM);
	hugepool_set_surplus(pool, HUGEPOOL_2M, 1);
	a = take(0);
	COUNTS(HUGEPOOL_2M, 1, 0, 1, 0);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, 0, &none),
		 -CF_ENOMEM);
	cf_put(m.map, a);
	/* FREE: the allocator has it again. */
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	CHECK(!is_head(a));
	/* Reserving takes surplus as well, all or nothing. */
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 2), -CF_ENOMEM);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 1), 0);
	COUNTS(HUGEPOOL_2M, 1, 1, 1, 1);
	b = take(HUGEPOOL_RESERVED);
	cf_put(m.map, b);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	hugepool_set_surplus(pool, HUGEPOOL_2M, 9);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 4), -CF_ELIMIT);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	finish();
}

static void knows_nodes(void)
{
	struct hugepool_stat stat;
	uint32_t now;
	cf_pfn a, b, none;

	if (!begin_with((struct machine_config){ .blocks = 2, .nodes = 2,
						 .cpus = 2 },
			(struct hugepool_config){ .runs = 8 }))
		return;
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 1, 1, &now), 0);
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, 1, &now), 0);
	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, 1, &stat), 0);
	CHECK_EQ(stat.total, 1);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 1, HUGEPOOL_THISNODE, &a),
		 0);
	CHECK_EQ(block_info(a).node, 1);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 1, HUGEPOOL_THISNODE,
				&none), -CF_ENOMEM);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 1, 0, &b), 0);
	CHECK_EQ(block_info(b).node, 0);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 2, 0, &none), -CF_EINVAL);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY,
				HUGEPOOL_THISNODE, &none), -CF_EINVAL);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 0, 4, &none), -CF_EINVAL);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_SIZES, 0, 0, &none),
		 -CF_EINVAL);
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 2, 1, &now), -CF_EINVAL);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_SIZES, 1), -CF_EINVAL);
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_SIZES, 0), -CF_EINVAL);
	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, 2, &stat), -CF_EINVAL);
	CHECK_EQ(hugepool_demote(pool, 2, 1, &now), -CF_EINVAL);
	cf_put(m.map, a);
	cf_put(m.map, b);
	finish();
}

/* ---- memory that goes ---- */

static void dissolves(void)
{
	struct hugepool_stat stat;
	cf_pfn pfn, other;

	if (!begin(2, 4))
		return;
	CHECK_EQ(resize(4), 4);
	/* No room for another: the pool shrinks by what it gives up. */
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), 0);
	COUNTS(HUGEPOOL_2M, 2, 2, 0, 0);
	stat = stat_of(HUGEPOOL_2M);
	CHECK_EQ(stat.dissolved, 2);
	CHECK_EQ(stat.replaced, 0);
	CHECK(good());
	/* With room elsewhere, others take their place. */
	CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(cf_block_offline(m.map, m.block, m.last, 4, &report), 0);
	COUNTS(HUGEPOOL_2M, 2, 2, 0, 0);
	CHECK_EQ(stat_of(HUGEPOOL_2M).replaced, 2);
	CHECK_EQ(cf_block_online(m.map, m.block, m.last, CF_ZONE_NORMAL, NULL),
		 0);
	/* In use: the report names the pool and the frame. */
	pfn = take(0);
	other = take(0);
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), -CF_EBUSY);
	CHECK(report.pfn == pfn || report.pfn == other);
	CHECK_EQ(report.owner, hugepool_owner(pool));
	CHECK(report.who && !strcmp(report.who, "hugepool"));
	CHECK(report.detail && strstr(report.detail, "in use"));
	cf_put(m.map, pfn);
	cf_put(m.map, other);
	finish();
}

static void keeps_promises(void)
{
	if (!begin(1, 4))
		return;
	CHECK_EQ(resize(2), 2);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 1), 0);
	CHECK_EQ(cf_block_offline(m.map, 0, m.last, 4, &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_FROZEN);
	CHECK(report.detail && strstr(report.detail, "promised"));
	COUNTS(HUGEPOOL_2M, 1, 1, 0, 1);
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_2M, 1), 0);
	CHECK_EQ(cf_block_offline(m.map, 0, m.last, 4, &report), 0);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	CHECK_EQ(cf_block_online(m.map, 0, m.last, CF_ZONE_NORMAL, NULL), 0);
	finish();
}

static void hands_out_nothing_that_goes(void)
{
	struct cf_offline operation = { { 0 } };
	cf_pfn a, b;

	if (!begin(2, 4))
		return;
	CHECK_EQ(resize(4), 4);
	a = take(0);
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block, NULL),
		 0);
	/* Of the three that are free only those of block 1 will do. */
	b = take(0);
	CHECK(b >= m.block);
	if (a < m.block) {
		CHECK_EQ(take(0) >= m.block, true);
	}
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, 0, &b),
		 -CF_EAGAIN);
	CHECK_EQ(cf_block_offline_cancel(&operation), 0);
	for (b = 0; b < m.last; b += CF_CHUNK_FRAMES)
		if (is_head(b) && snapshot(b).refs)
			cf_put(m.map, b);
	finish();
}

static void parts_with_bad_frames(void)
{
	enum cf_retire_state state;
	cf_pfn a, b;

	if (!begin_with((struct machine_config){ .blocks = 2, .cpus = 2,
						 .poison_max = 4 },
			(struct hugepool_config){ .runs = 4 }))
		return;
	CHECK_EQ(resize(2), 2);
	a = take(0);
	b = take(0);
	CHECK_EQ(cf_retire(m.map, a + 7, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	/* The one in use leaves with its last put ... */
	cf_put(m.map, a);
	CHECK_EQ(cf_retire_state(m.map, a + 7), CF_RETIRE_DONE);
	COUNTS(HUGEPOOL_2M, 1, 0, 0, 0);
	cf_put(m.map, b);
	COUNTS(HUGEPOOL_2M, 1, 1, 0, 0);
	/* ... and a free one when it would be handed out. */
	CHECK_EQ(cf_retire(m.map, b, &state), 0);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, 0, &a),
		 -CF_ENOMEM);
	CHECK_EQ(cf_retire_state(m.map, b), CF_RETIRE_DONE);
	CHECK_EQ(stat_of(HUGEPOOL_2M).retired, 2);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	finish();
}

/* ---- 1 GiB ---- */

static const struct machine_config gib = {
	.block_order = 15, .blocks = 8, .cpus = 2,
};

static void demotes(void)
{
	uint32_t now, done;
	cf_pfn pfn, small;

	if (!begin_with(gib, (struct hugepool_config){ .runs = 512 }))
		return;
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_1G, 0, 1, &now), 0);
	COUNTS(HUGEPOOL_1G, 1, 1, 0, 0);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_1G, 0, 0, &pfn), 0);
	CHECK_EQ(hugepool_demote(pool, 0, 1, &done), -CF_ENOMEM);
	cf_put(m.map, pfn);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_1G, 1), 0);
	CHECK_EQ(hugepool_demote(pool, 0, 1, &done), -CF_ENOMEM);
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_1G, 1), 0);
	CHECK_EQ(hugepool_demote(pool, 0, 1, &done), 0);
	CHECK_EQ(done, 1);
	COUNTS(HUGEPOOL_1G, 0, 0, 0, 0);
	COUNTS(HUGEPOOL_2M, 512, 512, 0, 0);
	CHECK(good());
	small = take(0);
	CHECK_EQ(snapshot(small).order, 9);
	cf_put(m.map, small);
	/* What was demoted can be given up piece by piece. */
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), 0);
	COUNTS(HUGEPOOL_2M, 448, 448, 0, 0);
	CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL), 0);
	finish();
}

static void demotes_only_with_room(void)
{
	uint32_t now, done;

	if (!begin_with(gib, (struct hugepool_config){ .runs = 511 }))
		return;
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_1G, 0, 1, &now), 0);
	CHECK_EQ(hugepool_demote(pool, 0, 1, &done), -CF_ELIMIT);
	CHECK_EQ(done, 0);
	COUNTS(HUGEPOOL_1G, 1, 1, 0, 0);
	/* A whole GiB is given up for one block of it. */
	CHECK_EQ(cf_block_offline(m.map, m.block, 2 * m.block, 4, &report),
		 0);
	COUNTS(HUGEPOOL_1G, 0, 0, 0, 0);
	CHECK_EQ(cf_block_online(m.map, m.block, 2 * m.block, CF_ZONE_NORMAL,
				 NULL), 0);
	finish();
}

static void moves_for_a_gib(void)
{
	struct keeper keeper = { .refs = 1 };
	struct machine_config two = gib;
	uint32_t now;

	two.blocks = 16;
	if (!begin_with(two, (struct hugepool_config){ .runs = 4 }) ||
	    !CHECK(keeper_add(&keeper, "mover", HOOKS_ALL)))
		return;
	CHECK_EQ(cf_alloc_range(m.map, 5, 6, folio(0, keeper.id), NULL), 0);
	CHECK_EQ(cf_alloc_range(m.map, m.last - 2, m.last - 1, kernel(0),
				NULL), 0);
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_1G, 0, 1, &now), 0);
	CHECK_EQ(now, 1);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
	cf_put(m.map, keeper.target);
	cf_put(m.map, m.last - 2);
	CHECK(keeper_remove(&keeper));
	finish();
}

/* ---- wrong use ---- */

static void forgives_strangers(void)
{
	struct hugepool_stat stat;
	cf_pfn pfn;

	if (!begin(2, 4))
		return;
	pfn = alloc(kernel(3));
	CHECK_EQ(cf_owner_change(m.map, pfn, hugepool_owner(pool)), 0);
	cf_put(m.map, pfn);
	stat = stat_of(HUGEPOOL_2M);
	CHECK_EQ(stat.strangers, 1);
	CHECK_EQ(stat.stranger, pfn);
	CHECK_EQ(unused_frames(), m.last);
	/* One that stays is named by verify, and no block goes with it. */
	pfn = alloc(with_flags(folio(2, hugepool_owner(pool)),
			       CF_ALLOC_FROZEN));
	{
		struct hugepool_finding finding;

		CHECK(!hugepool_verify(pool, &finding));
		CHECK_EQ(finding.kind, HUGEPOOL_FINDING_STRANGER);
		CHECK_EQ(finding.pfn, pfn);
		CHECK_EQ(finding.owner, hugepool_owner(pool));
	}
	CHECK_EQ(cf_block_offline(m.map, 0, m.last, 2, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, pfn);
	CHECK(report.detail && strstr(report.detail, "mistake"));
	cf_free_frozen(m.map, pfn, 2);
	finish();
}

/* A run of the pool's, cut by its user and put in parts. */
static void survives_users_that_cut(void)
{
	struct hugepool_finding finding;
	cf_pfn pfn, i;

	if (!begin(2, 4))
		return;
	CHECK_EQ(resize(1), 1);
	pfn = take(0);
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	CHECK_EQ(cf_split(m.map, pfn, 8), 0);
	CHECK(!hugepool_verify(pool, &finding));
	CHECK_EQ(finding.kind, HUGEPOOL_FINDING_STRANGER);
	for (i = 0; i < 2; i++) {
		cf_unfreeze(m.map, pfn + i * 256, 1);
		cf_put(m.map, pfn + i * 256);
	}
	CHECK_EQ(stat_of(HUGEPOOL_2M).strangers, 2);
	COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
	CHECK_EQ(unused_frames(), m.last);
	finish();
}

static void names_what_is_out(void)
{
	struct hugepool_finding finding;
	cf_pfn pfn;

	if (!begin(2, 4))
		return;
	CHECK_EQ(resize(2), 2);
	pfn = take(0);
	CHECK_EQ(cf_get(m.map, pfn), 0);
	CHECK_EQ(hugepool_destroy(pool, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, pfn);
	CHECK_EQ(report.refs, 2);
	CHECK_EQ(report.owner, hugepool_owner(pool));
	CHECK(report.who && !strcmp(report.who, "hugepool"));
	COUNTS(HUGEPOOL_2M, 2, 1, 0, 0);
	cf_put(m.map, pfn);
	/* Given away: the pool can go, the run is its user's. */
	CHECK_EQ(cf_owner_change(m.map, pfn, CF_OWNER_NONE), 0);
	CHECK(!hugepool_verify(pool, &finding));
	CHECK_EQ(finding.kind, HUGEPOOL_FINDING_LOST);
	CHECK_EQ(finding.pfn, pfn);
	CHECK_EQ(hugepool_destroy(pool, &report), 0);
	cf_put(m.map, pfn);
	free(storage);
	CHECK(machine_end());
}

static cf_pfn victim;

static void free_kept(void)
{
	cf_put(m.map, victim);
}

static void catches_a_double_put(void)
{
	if (!begin(2, 4))
		return;
	CHECK_EQ(resize(1), 1);
	victim = take(0);
	cf_put(m.map, victim);
	CHECK(panics(free_kept, victim));
	finish();
}

/* ---- hooks that lie: the engine's checks name frame and word ---- */

static struct keeper liar;

/* The run is out again, and the hook says that it is not. */
static void publish(struct keeper *keeper, enum hook hook, cf_pfn pfn,
		    unsigned order)
{
	(void)keeper;
	(void)order;
	if (hook == HOOK_RELEASE || hook == HOOK_DISSOLVE)
		cf_unfreeze(m.map, pfn, 1);
}

static void put_to_liar(void)
{
	liar.then = publish;
	cf_put(m.map, victim);
}

static void ask_liar(void)
{
	liar.then = publish;
	(void)!cf_block_offline(m.map, 0, m.last, 2, NULL);
}

static void catches_lies(void)
{
	memset(&liar, 0, sizeof(liar));
	if (!CHECK(machine_make((struct machine_config){ .blocks = 1,
							 .cpus = 2 })) ||
	    !CHECK(keeper_add(&liar, "liar", 1u << HOOK_RELEASE |
				     1u << HOOK_DISSOLVE)))
		return;
	liar.verdict = CF_VERDICT_FREE;
	victim = alloc(folio(9, liar.id));
	CHECK(panics(put_to_liar, victim));
	/* Kept, and given up although it is in use by then. */
	liar.verdict = CF_VERDICT_KEEP;
	cf_put(m.map, victim);
	CHECK_EQ(snapshot(victim).refs, 0);
	liar.answer[HOOK_DISSOLVE] = 0;
	CHECK(panics(ask_liar, victim));
	/* Unregistered with it: it is the orphan's, and not lost. */
	{
		uint64_t orphans = 0;

		CHECK_EQ(cf_owner_unregister(m.map, liar.id, &orphans), 0);
		CHECK_EQ(orphans, 512);
	}
	CHECK_EQ(cf_block_offline(m.map, 0, m.last, 2, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, victim);
	CHECK_EQ(report.reason, CF_REASON_ORPHAN);
	cf_free_frozen(m.map, victim, 9);
	CHECK(machine_end());
}

static void refuses_bad_configs(void)
{
	struct hugepool_config config = { .runs = 0 };
	struct hugepool *none;
	uint32_t id[CF_OWNERS_MAX], count = 0;
	static const struct cf_owner_ops ops = { .release = NULL };

	if (!begin(1, 1))
		return;
	CHECK_EQ(hugepool_bytes(m.map, &config), 0);
	CHECK_EQ(hugepool_create(m.map, &config, storage, &none), -CF_EINVAL);
	config.runs = (1u << 24) + 1;
	CHECK_EQ(hugepool_bytes(m.map, &config), 0);
	config.runs = 1;
	config.zone = CF_ZONE_DEVICE;
	CHECK_EQ(hugepool_bytes(m.map, &config), 0);
	CHECK_EQ(hugepool_destroy(pool, NULL), 0);
	config.zone = CF_ZONE_NORMAL;
	cf_host_fault_arm(&m.memory, CF_HOST_META_ALLOC, 1);
	CHECK_EQ(hugepool_create(m.map, &config, storage, &none), -CF_ENOMEM);
	cf_host_fault_disarm(&m.memory);
	while (!cf_owner_register(m.map, "one of many", &ops, NULL,
				  &id[count]))
		count++;
	CHECK_EQ(hugepool_create(m.map, &config, storage, &none), -CF_ELIMIT);
	while (count > 0)
		CHECK_EQ(cf_owner_unregister(m.map, id[--count], NULL), 0);
	CHECK_EQ(hugepool_create(m.map, &config, storage, &pool), 0);
	finish();
}

/* More than config.runs of them. */
static void is_limited(void)
{
	uint32_t now;
	cf_pfn a, none;

	if (!begin(2, 1))
		return;
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, 2, &now), -CF_ELIMIT);
	CHECK_EQ(now, 1);
	a = take(0);
	hugepool_set_surplus(pool, HUGEPOOL_2M, 5);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 0, 0, &none), -CF_ELIMIT);
	cf_put(m.map, a);
	COUNTS(HUGEPOOL_2M, 1, 1, 0, 0);
	finish();
}

/* ---- others in the middle of a call: whenever it takes the lock ---- */

unsigned long __real_cf_lock(struct cf_lock *lock);
unsigned long __wrap_cf_lock(struct cf_lock *lock);

static struct {
	unsigned turn;		/* 0: nobody comes */
	void (*act)(void);
} meanwhile;

unsigned long __wrap_cf_lock(struct cf_lock *lock)
{
	if (meanwhile.turn && --meanwhile.turn == 0)
		meanwhile.act();
	return __real_cf_lock(lock);
}

static cf_pfn other_pfn;
static int other_err;

static void other_allocates(void)
{
	other_err = hugepool_alloc(pool, HUGEPOOL_2M, 0, 0, &other_pfn);
}

/* One of two runs is promised: whoever comes when, the promise is kept. */
static void keeps_promises_meanwhile(void)
{
	cf_pfn first;
	bool came = true;
	unsigned turn;

	for (turn = 1; turn < 20 && came && !tap.broken; turn++) {
		if (!begin(2, 8))
			return;
		CHECK_EQ(resize(1), 1);
		CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 1), 0);
		meanwhile.turn = turn;
		meanwhile.act = other_allocates;
		CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 0,
					HUGEPOOL_RESERVED, &first), 0);
		came = meanwhile.turn == 0;
		meanwhile.turn = 0;
		CHECK(!came || other_err == -CF_ENOMEM);
		CHECK(good());
		COUNTS(HUGEPOOL_2M, 1, 0, 0, 0);
		cf_put(m.map, first);
		finish();
	}
	CHECK(turn > 3);
}

/* Two surplus runs may be had: whoever comes when, both get theirs. */
static void surplus_meanwhile(void)
{
	cf_pfn first;
	bool came = true;
	unsigned turn;

	for (turn = 1; turn < 40 && came && !tap.broken; turn++) {
		if (!begin(4, 8))
			return;
		hugepool_set_surplus(pool, HUGEPOOL_2M, 2);
		meanwhile.turn = turn;
		meanwhile.act = other_allocates;
		CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 0, 0, &first), 0);
		came = meanwhile.turn == 0;
		meanwhile.turn = 0;
		if (came && CHECK_EQ(other_err, 0))
			cf_put(m.map, other_pfn);
		cf_put(m.map, first);
		COUNTS(HUGEPOOL_2M, 0, 0, 0, 0);
		finish();
	}
	CHECK(turn > 3);
}

/* Unregistered behind its back: what it had is the orphan's. */
static void sent_away(void)
{
	uint64_t orphans;
	cf_pfn pfn;

	if (!begin(4, 8))
		return;
	CHECK_EQ(resize(3), 3);
	pfn = take(0);
	CHECK_EQ(cf_owner_unregister(m.map, hugepool_owner(pool), &orphans),
		 0);
	CHECK_EQ(orphans, 3 * CF_CHUNK_FRAMES);
	cf_put(m.map, pfn);
	CHECK_EQ(hugepool_alloc(pool, HUGEPOOL_2M, 0, 0, &pfn), -CF_ENOMEM);
	/* They are not the pool's to free, or to count. */
	COUNTS(HUGEPOOL_2M, 1, 0, 0, 0);
	CHECK(machine_verify());
	free(storage);
}

static void other_shrinks(void)
{
	uint32_t now = ~0u;

	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_1G, 0, 0, &now), 0);
	CHECK_EQ(now, 0);
}

/* The GiB that is being demoted is wanted no more: nothing is counted twice. */
static void demotes_meanwhile(void)
{
	unsigned turn;
	bool came = true;

	for (turn = 1; turn < 40 && came && !tap.broken; turn++) {
		uint32_t now = 1, done;
		int err;

		if (!begin_with(gib, (struct hugepool_config){ .runs = 600 }))
			return;
		CHECK_EQ(hugepool_resize(pool, HUGEPOOL_1G, 0, 1, &now), 0);
		meanwhile.turn = turn;
		meanwhile.act = other_shrinks;
		err = hugepool_demote(pool, 0, 1, &done);
		came = meanwhile.turn == 0;
		meanwhile.turn = 0;
		CHECK(!err || (came && err == -CF_ENOMEM));
		COUNTS(HUGEPOOL_1G, came || !err ? 0 : 1, came || !err ? 0 : 1,
		       0, 0);
		CHECK(good());
		finish();
	}
	CHECK(turn > 3);
}

/* A report is made while the pool's lock is held: it does not wait. */
static void describes_under_the_lock(void)
{
	cf_pfn pfn;

	if (!begin(2, 8))
		return;
	CHECK_EQ(resize(1), 1);
	pfn = take(0);
	memset(&report_made, 0, sizeof(report_made));
	report_made.map = m.map;
	report_made.owner = hugepool_owner(pool);
	cf_put(m.map, pfn);
	CHECK_EQ(report_made.asked, 1);
	CHECK(report_made.text == NULL);
	finish();
}

static void check_node(uint32_t node, uint32_t total, uint32_t free,
		       uint32_t surplus)
{
	struct hugepool_stat stat;

	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, node, &stat), 0);
	CHECK_EQ(stat.total, total);
	CHECK_EQ(stat.free, free);
	CHECK_EQ(stat.surplus, surplus);
}

/* A reservation that is refused leaves each node's runs where they are. */
static void refused_reservation(void)
{
	struct cf_request request = kernel(9);
	cf_pfn used, held[8];
	unsigned count = 0;

	if (!begin_with((struct machine_config){ .blocks = 2, .nodes = 2,
						 .cpus = 2 },
			(struct hugepool_config){ .runs = 8 }))
		return;
	/* Node 0: one is free and promised, one in use, and surplus. */
	CHECK_EQ(resize(2), 2);
	used = take(0);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 1), 0);
	CHECK_EQ(resize(1), 1);
	check_node(0, 2, 1, 1);
	/* Memory is on node 1 only, and for one of two more. */
	request.flags = CF_ALLOC_THISNODE;
	while (count < 8 && !cf_alloc(m.map, request, &held[count]))
		count++;
	hugepool_set_surplus(pool, HUGEPOOL_2M, 2);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 2), -CF_ENOMEM);
	check_node(0, 2, 1, 1);
	check_node(1, 0, 0, 0);
	CHECK_EQ(stat_of(HUGEPOOL_2M).reserved, 1);
	/* One can be had, there. */
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 1), 0);
	check_node(0, 2, 1, 1);
	check_node(1, 1, 1, 1);
	CHECK(good());
	CHECK_EQ(hugepool_unreserve(pool, HUGEPOOL_2M, 2), 0);
	cf_put(m.map, used);
	put_all(held, count);
	finish();
}

int main(void)
{
	tap_run("runs are kept, frozen, and handed out again", keeps_runs);
	tap_run("resizing, and what is in use meanwhile", resizes);
	tap_run("resizing makes room", makes_room);
	tap_run("reservations", reserves);
	tap_run("surplus", takes_surplus);
	tap_run("nodes", knows_nodes);
	tap_run("free runs are given up for offlining", dissolves);
	tap_run("promised ones are not", keeps_promises);
	tap_run("nothing that goes is handed out", hands_out_nothing_that_goes);
	tap_run("runs with bad frames leave", parts_with_bad_frames);
	tap_run("demotion", demotes);
	tap_run("demotion needs room for records", demotes_only_with_room);
	tap_run("a GiB is made by moving", moves_for_a_gib);
	tap_run("strangers' runs are not lost", forgives_strangers);
	tap_run("a user cuts a run", survives_users_that_cut);
	tap_run("destroy names what is in use", names_what_is_out);
	tap_run("a put too many is caught", catches_a_double_put);
	tap_run("hooks that lie are caught", catches_lies);
	tap_run("no more records than were asked for", is_limited);
	tap_run("a promise is kept, whoever comes when",
		keeps_promises_meanwhile);
	tap_run("surplus, whoever comes when", surplus_meanwhile);
	tap_run("the pool is unregistered", sent_away);
	tap_run("shrinking beside a demotion", demotes_meanwhile);
	tap_run("a report while the lock is held", describes_under_the_lock);
	tap_run("configurations that cannot be right", refuses_bad_configs);
	tap_run("a reservation that is refused", refused_reservation);
	return tap_done();
}
