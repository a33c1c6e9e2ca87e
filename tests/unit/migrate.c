/* SPDX-License-Identifier: MIT */
/*
 * Evacuation: what moves, what its owner is asked and in which order, and
 * what the report says of the rest.
 * Block 1 of a machine is taken offline with one run in it at a time.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST	4096

static cf_pfn frame[MOST];
static const cf_pfn at = 1024;	/* block 1 */

static bool begin(struct keeper *keeper, unsigned hooks)
{
	struct machine_config config = { .blocks = 4, .no_caches = true };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(keeper, "keeper", hooks));
}

static void finish(struct keeper *keeper)
{
	CHECK(keeper_remove(keeper));
	CHECK(machine_end());
}

/* Runs of exactly these frames. */
static bool place(struct cf_request request, cf_pfn first, cf_pfn last)
{
	return CHECK_EQ(cf_alloc_range(m.map, first, last, request, NULL), 0);
}

static int offline(struct cf_report *report)
{
	return cf_block_offline(m.map, at, at + 1024, 3, report);
}

static void online_again(void)
{
	CHECK_EQ(cf_block_online(m.map, at, at + 1024, CF_ZONE_NORMAL, NULL),
		 0);
}

static uint64_t frames_of(uint32_t id)
{
	struct cf_owner_info info = { .frames = 0 };

	CHECK_EQ(cf_owner_info(m.map, id, &info), 0);
	return info.frames;
}

static void write_pattern(cf_pfn pfn, unsigned order)
{
	unsigned char *to = m.memory.base + pfn * CF_FRAME_BYTES;
	size_t i;

	for (i = 0; i < CF_FRAME_BYTES << order; i++)
		to[i] = (unsigned char)(i * 31 + i / 4096);
}

static bool has_pattern(cf_pfn pfn, unsigned order)
{
	const unsigned char *in = m.memory.base + pfn * CF_FRAME_BYTES;
	size_t i;

	for (i = 0; i < CF_FRAME_BYTES << order; i++)
		if (in[i] != (unsigned char)(i * 31 + i / 4096))
			return false;
	return true;
}

/* Contents, owner, type, order and count arrive; the source is free. */
static void moves_every_order(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	unsigned order;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	for (order = 0; order <= 10; order++) {
		cf_pfn pfn = at + (order < 9 ? 1u << order : 0);

		memset(keeper.calls, 0, sizeof(keeper.calls));
		if (!place(folio(0, keeper.id), pfn, pfn + (1u << order)))
			break;
		CHECK_EQ(snapshot(pfn).order, order);
		write_pattern(pfn, order);
		CHECK_EQ(offline(&report), 0);
		CHECK_EQ(keeper.calls[HOOK_ISOLATE], 1);
		CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
		CHECK_EQ(keeper.calls[HOOK_PUTBACK], 0);
		CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
		CHECK_EQ(keeper.pfn[HOOK_MIGRATE], pfn);
		CHECK_EQ(keeper.order[HOOK_MIGRATE], order);
		CHECK(keeper.target / 1024 != 1);
		CHECK_EQ(snapshot(keeper.target).owner, keeper.id);
		CHECK_EQ(snapshot(keeper.target).order, order);
		CHECK_EQ(snapshot(keeper.target).type, CF_TYPE_FOLIO);
		CHECK_EQ(snapshot(keeper.target).refs, 1);
		CHECK_EQ(snapshot(keeper.target).flags, 0);
		CHECK_EQ(frames_of(keeper.id), 1u << order);
		CHECK(has_pattern(keeper.target, order));
		CHECK_EQ(unused_frames(), 3072 - (1u << order));
		cf_put(m.map, keeper.target);
		CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
		online_again();
	}
	finish(&keeper);
}

/* One frame where the second chunk begins, and nothing before it. */
static void moves_first_frames(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at + 512, at + 513))
		return;
	CHECK_EQ(offline(NULL), 0);
	CHECK_EQ(keeper.pfn[HOOK_MIGRATE], at + 512);
	cf_put(m.map, keeper.target);
	online_again();
	finish(&keeper);
}

/* A run of two blocks goes when one of them does, whichever. */
static void moves_across_blocks(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, HOOKS_ALL))
		return;
	if (!place(folio(0, keeper.id), 0, 2048))
		return;
	CHECK_EQ(snapshot(0).order, 11);
	CHECK_EQ(offline(NULL), 0);
	CHECK_EQ(keeper.pfn[HOOK_MIGRATE], 0);
	CHECK_EQ(keeper.target, 2048);
	CHECK_EQ(snapshot(2048).order, 11);
	CHECK_EQ(block_info(0).free, 1024);
	online_again();
	CHECK_EQ(cf_block_offline(m.map, 2048, 3072, 3, NULL), 0);
	CHECK_EQ(keeper.target, 0);
	cf_put(m.map, 0);
	CHECK_EQ(cf_block_online(m.map, 2048, 3072, CF_ZONE_NORMAL, NULL), 0);
	finish(&keeper);
}

/* What the words say while the owner is asked. */
static void look_at_words(struct keeper *keeper, enum hook hook, cf_pfn pfn,
			  unsigned order)
{
	struct cf_snapshot run = snapshot(pfn);

	if (hook == HOOK_RELEASE || hook == HOOK_DESCRIBE)
		return;
	CHECK_EQ(run.owner, keeper->id);
	CHECK_EQ(run.order, order);
	CHECK_EQ(run.flags, CF_FLAG_ISOLATED);
	/* The owner's and the engine's. */
	CHECK_EQ(run.refs, keeper->refs + 1);
	if (hook != HOOK_MIGRATE)
		return;
	run = snapshot(keeper->target);
	CHECK_EQ(run.owner, keeper->id);
	CHECK_EQ(run.type, CF_TYPE_FOLIO);
	CHECK_EQ(run.order, order);
	CHECK_EQ(run.refs, 0);
	CHECK_EQ(run.flags, 0);
	CHECK(keeper->target / 1024 != 1);
}

static void owner_stays_when_moved(void)
{
	struct keeper keeper = { .then = look_at_words };

	if (!begin(&keeper, HOOKS_ALL))
		return;
	keeper.refs = 3;
	if (!place(folio(0, keeper.id), at + 8, at + 16))
		return;
	CHECK_EQ(cf_get(m.map, at + 8), 0);
	CHECK_EQ(cf_get(m.map, at + 8), 0);
	CHECK_EQ(offline(NULL), 0);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 1);
	CHECK_EQ(snapshot(keeper.target).owner, keeper.id);
	CHECK_EQ(snapshot(keeper.target).refs, 3);
	cf_put(m.map, keeper.target);
	cf_put(m.map, keeper.target);
	cf_put(m.map, keeper.target);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	online_again();
	finish(&keeper);
}

/* After isolate, and putback, the run is as before: the owner's. */
static void owner_stays_when_put_back(void)
{
	struct keeper keeper = { .then = look_at_words };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at + 8, at + 16))
		return;
	keeper.answer[HOOK_MIGRATE] = -CF_EREFUSED;
	FAILS(CF_EBUSY, offline(&report));
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	CHECK(keeper.calls[HOOK_PUTBACK] > 0);
	CHECK_EQ(keeper.calls[HOOK_PUTBACK], keeper.calls[HOOK_ISOLATE]);
	CHECK_EQ(keeper.pfn[HOOK_PUTBACK], at + 8);
	CHECK_EQ(snapshot(at + 8).owner, keeper.id);
	CHECK_EQ(snapshot(at + 8).refs, 1);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
	cf_put(m.map, at + 8);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	finish(&keeper);
}

/* Who has no putback hook is not asked to. */
static void nothing_to_put_back(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, 1u << HOOK_MIGRATE | 1u << HOOK_ISOLATE) ||
	    !place(folio(0, keeper.id), at + 8, at + 16))
		return;
	keeper.answer[HOOK_MIGRATE] = -CF_EREFUSED;
	FAILS(CF_EBUSY, offline(&report));
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	cf_put(m.map, at + 8);
	finish(&keeper);
}

/* The owner says no at once: nothing to put back. */
/* Not now: that is motion, not refusal. */
static void owner_isolates_later(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at, at + 512))
		return;
	keeper.answer[HOOK_ISOLATE] = -CF_EAGAIN;
	FAILS(CF_EAGAIN, offline(&report));
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 0);
	CHECK_EQ(report.reason, CF_REASON_TRANSIT);
	CHECK_EQ(report.frames[CF_REASON_TRANSIT], 512);
	CHECK_EQ(report.frames[CF_REASON_OWNER], 0);
	cf_put(m.map, at);
	finish(&keeper);
}

static void owner_refuses_to_isolate(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at, at + 512))
		return;
	keeper.answer[HOOK_ISOLATE] = 1;
	FAILS(CF_EBUSY, offline(&report));
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 0);
	CHECK_EQ(keeper.calls[HOOK_PUTBACK], 0);
	CHECK_EQ(report.reason, CF_REASON_OWNER);
	CHECK_EQ(report.pfn, at);
	CHECK_EQ(report.type, CF_TYPE_FOLIO);
	CHECK_EQ(report.order, 9);
	CHECK_EQ(report.owner, keeper.id);
	CHECK(report.who && strcmp(report.who, "keeper") == 0);
	CHECK(report.detail && strcmp(report.detail, KEEPER_DETAIL) == 0);
	CHECK_EQ(keeper.pfn[HOOK_DESCRIBE], at);
	CHECK_EQ(report.frames[CF_REASON_OWNER], 512);
	cf_put(m.map, at);
	finish(&keeper);
}

/* Everybody else lets go in the middle of it, where the mark says. */
static void let_go(struct keeper *keeper, enum hook hook, cf_pfn pfn,
		   unsigned order)
{
	(void)order;
	if (hook != HOOK_RELEASE && hook == keeper->mark)
		cf_put(m.map, pfn);
}

/* The last put of others during isolation reaches the owner, through ours. */
static void last_put_in(enum hook hook)
{
	struct keeper keeper = { .then = let_go };

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at + 4, at + 8))
		return;
	keeper.mark = hook;
	keeper.answer[hook == HOOK_ISOLATE ? HOOK_ISOLATE : HOOK_MIGRATE] =
		-CF_EREFUSED;
	/* The first pass finds it in the way, the next one nothing. */
	CHECK_EQ(offline(NULL), 0);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	CHECK_EQ(keeper.pfn[HOOK_RELEASE], at + 4);
	CHECK_EQ(keeper.order[HOOK_RELEASE], 2);
	CHECK(!is_head(at + 4));
	online_again();
	finish(&keeper);
}

static void last_put_while_isolated(void)
{
	last_put_in(HOOK_ISOLATE);
	last_put_in(HOOK_MIGRATE);
	last_put_in(HOOK_PUTBACK);
}

/* KEEP in the middle of it: kept runs stand in the way, frozen. */
static void kept_while_isolated(void)
{
	struct keeper keeper = { .then = let_go,
				 .verdict = CF_VERDICT_KEEP };
	struct cf_report report;

	if (!begin(&keeper, HOOKS_ALL & ~(1u << HOOK_DISSOLVE)) ||
	    !place(folio(0, keeper.id), at + 4, at + 8))
		return;
	keeper.mark = HOOK_ISOLATE;
	keeper.answer[HOOK_ISOLATE] = 1;
	CHECK_EQ(offline(&report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_FROZEN);
	CHECK_EQ(snapshot(at + 4).owner, keeper.id);
	CHECK_EQ(snapshot(at + 4).refs, 0);
	CHECK_EQ(snapshot(at + 4).flags, 0);
	cf_free_frozen(m.map, at + 4, 2);
	finish(&keeper);
}

/* One case: a run in the way, what is said of it, nothing changes. */
struct stuck {
	enum cf_reason reason;
	enum cf_type type;
	cf_pfn pfn;
	unsigned order;
	uint32_t owner, refs, pins;
	const char *who;
};

static void check_stuck(struct stuck want)
{
	struct cf_report report, query;

	FAILS(CF_EBUSY, offline(&report));
	CHECK_EQ(report.reason, want.reason);
	CHECK_EQ(report.type, want.type);
	CHECK_EQ(report.pfn, want.pfn);
	CHECK_EQ(report.order, want.order);
	CHECK_EQ(report.owner, want.owner);
	CHECK_EQ(report.refs, want.refs);
	CHECK_EQ(report.pins, want.pins);
	CHECK_EQ(report.flags & ~(uint32_t)CF_FLAG_ISOLATED, 0);
	CHECK(report.who && strcmp(report.who, want.who) == 0);
	CHECK_EQ(report.frames[want.reason], 1u << want.order);
	/* A question says the same, if it can be seen without asking. */
	if (want.reason == CF_REASON_REFERENCED ||
	    want.reason == CF_REASON_NO_TARGET)
		return;
	FAILS(CF_EBUSY, cf_block_offline_query(m.map, at, at + 1024, &query));
	CHECK_EQ(query.reason, want.reason);
	CHECK_EQ(query.pfn, want.pfn);
}

static void unmovable(void)
{
	struct keeper keeper = { 0 };
	struct keeper fixed = { 0 };
	struct cf_request slab = { .type = CF_TYPE_SLAB };
	struct cf_report report;
	cf_pfn pfn = at + 32;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !CHECK(keeper_add(&fixed, "fixed", 0)))
		return;
	if (place(kernel(0), pfn, pfn + 16))
		check_stuck((struct stuck){ CF_REASON_UNMOVABLE, CF_TYPE_KERNEL,
					    pfn, 4, 0, 1, 0, "allocator" });
	CHECK_EQ(offline(&report), -CF_EBUSY);
	CHECK(report.detail == NULL);
	cf_put(m.map, pfn);
	if (place(folio(0, 0), pfn, pfn + 16))
		check_stuck((struct stuck){ CF_REASON_UNMOVABLE, CF_TYPE_FOLIO,
					    pfn, 4, 0, 1, 0, "allocator" });
	cf_put(m.map, pfn);
	if (place(folio(0, fixed.id), pfn, pfn + 16))
		check_stuck((struct stuck){ CF_REASON_UNMOVABLE, CF_TYPE_FOLIO,
					    pfn, 4, fixed.id, 1, 0, "fixed" });
	cf_put(m.map, pfn);
	if (place(slab, at, at + 1024))
		check_stuck((struct stuck){ CF_REASON_FROZEN, CF_TYPE_SLAB, at,
					    10, 0, 0, 0, "allocator" });
	cf_free_frozen(m.map, at, 10);
	/* KERNEL with an owner that could move it. */
	slab = kernel(0);
	slab.owner = (uint16_t)keeper.id;
	if (place(slab, pfn, pfn + 16))
		check_stuck((struct stuck){ CF_REASON_UNMOVABLE, CF_TYPE_KERNEL,
					    pfn, 4, keeper.id, 1, 0,
					    "keeper" });
	cf_put(m.map, pfn);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE], 0);
	CHECK(keeper_remove(&fixed));
	finish(&keeper);
}

static void pinned_and_referenced(void)
{
	struct keeper keeper = { 0 };
	cf_pfn pfn = at + 5;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), pfn, pfn + 1))
		return;
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	check_stuck((struct stuck){ CF_REASON_PINNED, CF_TYPE_FOLIO, pfn, 0,
				    keeper.id, 2, 1, "keeper" });
	CHECK_EQ(keeper.calls[HOOK_ISOLATE], 0);
	CHECK_EQ(cf_get(m.map, pfn), 0);
	cf_unpin(m.map, pfn);
	check_stuck((struct stuck){ CF_REASON_REFERENCED, CF_TYPE_FOLIO, pfn, 0,
				    keeper.id, 2, 0, "keeper" });
	CHECK(keeper.calls[HOOK_PUTBACK] > 0);
	cf_put(m.map, pfn);
	CHECK_EQ(offline(NULL), 0);
	cf_put(m.map, keeper.target);
	online_again();
	finish(&keeper);
}

static void counted_orphans(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at + 2, at + 4))
		return;
	CHECK_EQ(cf_owner_unregister(m.map, keeper.id, NULL), 0);
	check_stuck((struct stuck){ CF_REASON_ORPHAN, CF_TYPE_FOLIO, at + 2, 1,
				    CF_OWNER_ORPHAN, 1, 0, "orphan" });
	CHECK_EQ(cf_freeze(m.map, at + 2, 1), 0);
	check_stuck((struct stuck){ CF_REASON_ORPHAN, CF_TYPE_FOLIO, at + 2, 1,
				    CF_OWNER_ORPHAN, 0, 0, "orphan" });
	cf_free_frozen(m.map, at + 2, 1);
	CHECK(machine_end());
}

/* dissolve: 0 gives it up, AGAIN is no refusal, all else is. */
static void dissolving(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	cf_pfn pfn = at + 64;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	if (!place(with_flags(folio(0, keeper.id), CF_ALLOC_FROZEN), pfn,
		   pfn + 64))
		return;
	keeper.answer[HOOK_DISSOLVE] = -CF_EREFUSED;
	FAILS(CF_EBUSY, offline(&report));
	CHECK_EQ(report.reason, CF_REASON_FROZEN);
	CHECK_EQ(report.pfn, pfn);
	CHECK_EQ(report.frames[CF_REASON_FROZEN], 64);
	keeper.answer[HOOK_DISSOLVE] = -CF_EAGAIN;
	FAILS(CF_EAGAIN, offline(&report));
	CHECK_EQ(report.reason, CF_REASON_TRANSIT);
	keeper.answer[HOOK_DISSOLVE] = 0;
	keeper.calls[HOOK_DISSOLVE] = 0;
	CHECK_EQ(offline(&report), 0);
	CHECK_EQ(keeper.calls[HOOK_DISSOLVE], 1);
	CHECK_EQ(keeper.pfn[HOOK_DISSOLVE], pfn);
	CHECK_EQ(keeper.order[HOOK_DISSOLVE], 6);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 0);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE], 0);
	CHECK_EQ(frames_of(keeper.id), 0);
	online_again();
	finish(&keeper);
}

static void frozen_without_dissolve(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, HOOKS_ALL & ~(1u << HOOK_DISSOLVE)))
		return;
	if (place(with_flags(folio(0, keeper.id), CF_ALLOC_FROZEN), at,
		  at + 512))
		check_stuck((struct stuck){ CF_REASON_FROZEN, CF_TYPE_FOLIO, at,
					    9, keeper.id, 0, 0, "keeper" });
	cf_free_frozen(m.map, at, 9);
	finish(&keeper);
}

/* Between two states: neither free nor stuck. */
static void in_transit(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	unsigned long state;
	bool taken;

	if (!begin(&keeper, HOOKS_ALL))
		return;
	state = cfi_block_lock(cfi_block_of(m.map, at));
	taken = cfi_take_exact(m.map, cfi_block_of(m.map, at), at + 3, at + 5);
	cfi_block_unlock(cfi_block_of(m.map, at), state);
	CHECK(taken);
	FAILS_PARTLY(CF_EAGAIN, offline(&report));
	CHECK_EQ(report.reason, CF_REASON_TRANSIT);
	CHECK_EQ(report.pfn, at + 3);
	CHECK_EQ(report.frames[CF_REASON_TRANSIT], 2);
	cfi_give_range(m.map, at + 3, at + 5);
	CHECK_EQ(offline(&report), 0);
	online_again();
	finish(&keeper);
}

/* Held by another for a moment. */
static void busy_runs(void)
{
	struct keeper keeper = { 0 };
	struct cf_report report;
	cfi_u64 *word;
	uint64_t was;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at, at + 64))
		return;
	word = cfi_word_at(cfi_block_of(m.map, at), at);
	was = cfi_load_relaxed(word);
	cfi_store_relaxed(word, word_with(word_with_refs(was, 0),
					  CF_FLAG_BUSY));
	FAILS_PARTLY(CF_EAGAIN, offline(&report));
	CHECK_EQ(report.reason, CF_REASON_TRANSIT);
	CHECK_EQ(report.pfn, at);
	CHECK_EQ(report.frames[CF_REASON_TRANSIT], 64);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE] + keeper.calls[HOOK_DISSOLVE], 0);
	cfi_store_relaxed(word, was);
	cf_put(m.map, at);
	finish(&keeper);
}

/* The engine needs a reference of its own to move a run. */
static void no_reference_left(void)
{
	struct keeper keeper = { 0 };

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at, at + 64))
		return;
	CHECK_EQ(cf_freeze(m.map, at, 1), 0);
	cf_unfreeze(m.map, at, CF_REFS_MAX);
	check_stuck((struct stuck){ CF_REASON_REFERENCED, CF_TYPE_FOLIO, at, 6,
				    keeper.id, CF_REFS_MAX, 0, "keeper" });
	CHECK_EQ(keeper.calls[HOOK_ISOLATE], 0);
	CHECK_EQ(cf_freeze(m.map, at, CF_REFS_MAX), 0);
	cf_free_frozen(m.map, at, 6);
	finish(&keeper);
}

/* No room: the owner may cut the run so that it fits. */
static void cut_for(struct keeper *keeper, enum hook hook, cf_pfn pfn,
		    unsigned order)
{
	cf_pfn part;

	if (hook != HOOK_SPLIT || keeper->answer[HOOK_SPLIT])
		return;
	CHECK_EQ(snapshot(pfn).refs, 1);
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	CHECK_EQ(cf_split(m.map, pfn, order - 1), 0);
	for (part = pfn; part < pfn + (1u << order); part += 1u << (order - 1))
		cf_unfreeze(m.map, part, 1);
}

static void no_room_for_one(void)
{
	struct keeper keeper = { 0 };
	size_t count;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at + 16, at + 17))
		return;
	count = fill(kernel(0), frame, MOST);
	FAILS(CF_EBUSY, offline(NULL));
	CHECK_EQ(keeper.calls[HOOK_SPLIT], 0);
	CHECK(keeper.calls[HOOK_PUTBACK] > 0);
	put_all(frame, count);
	cf_put(m.map, at + 16);
	finish(&keeper);
}

static void no_room(void)
{
	struct keeper keeper = { .then = cut_for };
	struct cf_report report;
	size_t count, i;

	if (!begin(&keeper, HOOKS_ALL) ||
	    !place(folio(0, keeper.id), at + 16, at + 32))
		return;
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 4096 - 16);
	for (i = 0; i < count; i++)
		if (frame[i] / 1024 == 1)
			cf_put(m.map, frame[i]);
	keeper.answer[HOOK_SPLIT] = 1;
	check_stuck((struct stuck){ CF_REASON_NO_TARGET, CF_TYPE_FOLIO, at + 16,
				    4, keeper.id, 1, 0, "keeper" });
	CHECK(keeper.calls[HOOK_SPLIT] > 0);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 0);
	/* Every other frame of block 2: room, but not for order 4. */
	for (i = 0; i < count; i++)
		if (frame[i] / 1024 == 2 && frame[i] % 2)
			cf_put(m.map, frame[i]);
	keeper.answer[HOOK_SPLIT] = 0;
	CHECK_EQ(cf_block_offline(m.map, at, at + 1024, 10, &report), 0);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 16);
	CHECK_EQ(frames_of(keeper.id), 16);
	for (i = 0; i < 512; i++)
		if (is_head(2049 + 2 * i))
			cf_put(m.map, 2049 + 2 * i);
	for (i = 0; i < count; i++)
		if (frame[i] / 1024 != 1 && is_head(frame[i]))
			cf_put(m.map, frame[i]);
	online_again();
	finish(&keeper);
}

int main(void)
{
	tap_run("runs of every order move", moves_every_order);
	tap_run("a frame at the start of a chunk", moves_first_frames);
	tap_run("runs of two blocks move with either", moves_across_blocks);
	tap_run("the owner stays in both words, and moves",
		owner_stays_when_moved);
	tap_run("the owner stays through putback", owner_stays_when_put_back);
	tap_run("an owner without putback", nothing_to_put_back);
	tap_run("the owner isolates later", owner_isolates_later);
	tap_run("the owner refuses to isolate", owner_refuses_to_isolate);
	tap_run("the last put during isolation reaches the owner",
		last_put_while_isolated);
	tap_run("a run kept during isolation", kept_while_isolated);
	tap_run("what nobody can move", unmovable);
	tap_run("pins and references of others", pinned_and_referenced);
	tap_run("counted and frozen orphans", counted_orphans);
	tap_run("dissolve gives up, waits, refuses", dissolving);
	tap_run("frozen, and nobody to ask", frozen_without_dissolve);
	tap_run("frames in transit", in_transit);
	tap_run("runs that are busy", busy_runs);
	tap_run("no reference left for the engine", no_reference_left);
	tap_run("no room for a single frame", no_room_for_one);
	tap_run("no room: split, or say so", no_room);
	return tap_done();
}
