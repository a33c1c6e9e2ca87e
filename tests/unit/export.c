/* SPDX-License-Identifier: MIT */
/*
 * Exports in the format of kpageflags and kpagecount. Every kind of frame
 * against the word it must give, and parts of random ground against the whole.
 */
#include "ground.h"

#define BIT(number)	((uint64_t)1 << (number))
#define FOLIO		(BIT(CF_KPF_LRU) | BIT(CF_KPF_UPTODATE) | \
			 BIT(CF_KPF_SWAPBACKED) | BIT(CF_KPF_ANON))
#define HEAD		BIT(CF_KPF_COMPOUND_HEAD)
#define TAIL		BIT(CF_KPF_COMPOUND_TAIL)

static uint64_t all_flags[GROUND_LAST];
static uint64_t all_counts[GROUND_LAST];

static void export_all(void)
{
	memset(all_flags, 0xff, sizeof(all_flags));
	memset(all_counts, 0xff, sizeof(all_counts));
	cf_export_flags(map, 0, GROUND_LAST, all_flags);
	cf_export_counts(map, 0, GROUND_LAST, all_counts);
}

/* Do all frames of [first, last) say exactly this? */
static bool say(cf_pfn first, cf_pfn last, uint64_t flags, uint64_t count)
{
	for (; first < last; first++)
		if (!CHECK_EQ(all_flags[first], flags) ||
		    !CHECK_EQ(all_counts[first], count))
			return false;
	return true;
}

static void without_state(void)
{
	cf_pfn self;

	ground_make();
	self = SELF_FIRST + ground_self();
	export_all();
	CHECK(say(OFFLINE_FIRST, NORMAL_FIRST, BIT(CF_KPF_NOPAGE), 0));
	CHECK(say(SELF_LAST, GROUND_LAST, BIT(CF_KPF_NOPAGE), 0));
	CHECK(say(NORMAL_FIRST, MOVABLE_LAST, BIT(CF_KPF_BUDDY), 0));
	CHECK(say(self, SELF_LAST, BIT(CF_KPF_BUDDY), 0));
	CHECK(say(SELF_FIRST, self, BIT(CF_KPF_RESERVED), 0));
	ground_drop();
}

/* A run of each type at @order: its head, the others, and who is behind. */
static void type_at(enum cf_type type, unsigned order, uint64_t flags,
		    uint64_t count)
{
	cf_pfn first = NORMAL_FIRST + BLOCK;
	cf_pfn last = first + ((cf_pfn)1 << order);

	ground_make();
	take_at(type, first, last, type == CF_TYPE_FOLIO ? owner : 0);
	export_all();
	CHECK(say(first - 1, first, BIT(CF_KPF_BUDDY), 0));
	CHECK(say(first, first + 1, flags | (order ? HEAD : 0), count));
	CHECK(say(first + 1, last, flags | TAIL, count));
	CHECK(say(last, last + 1, BIT(CF_KPF_BUDDY), 0));
	ground_drop();
}

static void types(void)
{
	static const unsigned orders[] = { 0, 1, 4, 8 };
	unsigned i;

	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		type_at(CF_TYPE_KERNEL, orders[i], 0, 0);
		type_at(CF_TYPE_FOLIO, orders[i], FOLIO, 1);
		type_at(CF_TYPE_PGTABLE, orders[i], BIT(CF_KPF_PGTABLE), 0);
		type_at(CF_TYPE_SLAB, orders[i], BIT(CF_KPF_SLAB), 0);
	}
	/* Whole chunks, a block, and more than one. */
	for (i = CF_CHUNK_ORDER; i <= BLOCK_ORDER; i++) {
		type_at(CF_TYPE_KERNEL, i, 0, 0);
		type_at(CF_TYPE_FOLIO, i, FOLIO | BIT(CF_KPF_THP), 1);
		type_at(CF_TYPE_SLAB, i, BIT(CF_KPF_SLAB), 0);
	}
}

static void spanning(void)
{
	cf_pfn last = NORMAL_FIRST + 2 * BLOCK;

	ground_make();
	take_at(CF_TYPE_PGTABLE, NORMAL_FIRST, last, 0);
	export_all();
	CHECK(say(NORMAL_FIRST, NORMAL_FIRST + 1, BIT(CF_KPF_PGTABLE) | HEAD,
		  0));
	CHECK(say(NORMAL_FIRST + 1, last, BIT(CF_KPF_PGTABLE) | TAIL, 0));
	CHECK(say(last, last + 1, BIT(CF_KPF_BUDDY), 0));
	ground_drop();
}

static void references(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO, .order = 2, .zone = CF_ZONE_MOVABLE,
	};
	cf_pfn pfn = 0;

	ground_make();
	request.owner = (uint16_t)owner;
	CHECK(cf_alloc(map, request, &pfn) == 0);
	CHECK(cf_get(map, pfn) == 0);
	CHECK(cf_pin(map, pfn) == 0);
	export_all();
	CHECK(say(pfn, pfn + 1, FOLIO | HEAD, 3));
	CHECK(say(pfn + 1, pfn + 4, FOLIO | TAIL, 3));
	cf_unpin(map, pfn);
	cf_put(map, pfn);
	CHECK(cf_freeze(map, pfn, 1) == 0);
	export_all();
	CHECK(say(pfn + 1, pfn + 4, FOLIO | TAIL, 0));
	ground_drop();
}

/* Words of OFFLINE frames are as a Linux guest with a balloon shows them. */
static void offline(void)
{
	cf_pfn at = NORMAL_FIRST;
	cfi_u64 *slot;

	ground_make();
	take_offline(at, at + 96, 0);
	take_offline(at + 512, at + 1024, CF_FLAG_MOVABLE);
	export_all();
	CHECK(say(at, at + 96, 0x800000, 0));
	CHECK(say(at + 512, at + 1024, 0x800008, 0));
	slot = cfi_word_at(cfi_block_of(map, at), at + 512);
	cfi_store_relaxed(slot, word_with(cfi_load_relaxed(slot),
					  CF_FLAG_ISOLATED));
	export_all();
	CHECK(say(at + 512, at + 1024, 0x800208, 0));
	cfi_store_relaxed(slot, word_without(cfi_load_relaxed(slot),
					     CF_FLAG_ISOLATED));
	ground_drop();
}

static int keep_all(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	(void)first;
	(void)last;
	return 0;
}

static void never_onlined(void)
{
	static const struct cf_owner_ops ops = { .online = keep_all };
	uint32_t id;

	ground_make();
	CHECK(cf_owner_register(map, "keeper", &ops, NULL, &id) == 0);
	CHECK(cf_block_adopt(map, OFFLINE_FIRST, OFFLINE_LAST, id) == 0);
	ground_online(OFFLINE_FIRST, OFFLINE_LAST, CF_ZONE_NORMAL);
	export_all();
	CHECK(say(OFFLINE_FIRST, OFFLINE_LAST, 0x800010, 0));
	ground_drop();
}

/* A known bad frame says so, alone, in a run and out of it. */
static void bad(void)
{
	cf_pfn at = NORMAL_FIRST;
	enum cf_retire_state state;
	uint64_t part[8] = { [7] = 77 };

	ground_make();
	take_at(CF_TYPE_SLAB, at, at + 64, 0);
	CHECK(cf_retire(map, at + 7, &state) == 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK(cf_retire(map, at + 100, &state) == 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	export_all();
	CHECK(say(at + 1, at + 7, BIT(CF_KPF_SLAB) | TAIL, 0));
	CHECK(say(at + 7, at + 8, BIT(CF_KPF_SLAB) | TAIL |
				  BIT(CF_KPF_HWPOISON), 0));
	CHECK(say(at + 8, at + 64, BIT(CF_KPF_SLAB) | TAIL, 0));
	CHECK(say(at + 64, at + 100, BIT(CF_KPF_BUDDY), 0));
	CHECK(say(at + 100, at + 101, BIT(CF_KPF_HWPOISON), 0));
	/* The bad frame behind what is asked for is none of it. */
	cf_export_flags(map, at, at + 7, part);
	CHECK_EQ(part[6], BIT(CF_KPF_SLAB) | TAIL);
	CHECK_EQ(part[7], 77);
	ground_drop();
}

static void in_motion(void)
{
	struct cfi_taking taking = { .order = 9, .most = 1 };
	cf_pfn cached, taken = 0;

	ground_make();
	cached = take(CF_TYPE_KERNEL, 0, 0);
	cf_put(map, cached);
	CHECK(cfi_take(map, &taking, &taken) == 1);
	export_all();
	CHECK(say(cached, cached + MAGAZINE_FRAMES, 0, 0));
	CHECK(say(taken, taken + 512, 0, 0));
	cfi_give_range(map, taken, taken + 512);
	ground_drop();
}

/* Any part says what the whole says, and nothing is written around it. */
static void parts(void)
{
	static uint64_t part[GROUND_LAST + 2];
	unsigned round;

	ground_make();
	churn(800);
	export_all();
	for (round = 0; round < 3000; round++) {
		cf_pfn first = draw(GROUND_LAST);
		cf_pfn count = draw(round % 8 ? 70 : GROUND_LAST - first);

		if (count > GROUND_LAST - first)
			count = GROUND_LAST - first;
		part[0] = part[count + 1] = 0x1234;
		cf_export_flags(map, first, first + count, part + 1);
		CHECK(!memcmp(part + 1, all_flags + first, count * 8));
		CHECK(part[0] == 0x1234 && part[count + 1] == 0x1234);
		cf_export_counts(map, first, first + count, part + 1);
		CHECK(!memcmp(part + 1, all_counts + first, count * 8));
	}
	CHECK_EQ(test_port.sections, 0);
	churn_end();
	ground_drop();
}

/* The two ways to look at frames tell the same. */
static void as_walked(void)
{
	struct cf_span span;
	cf_pfn cursor = 0;

	ground_make();
	churn(800);
	export_all();
	cf_walk_begin(map);
	while (cf_walk_next(map, &cursor, GROUND_LAST, &span)) {
		uint64_t flags = all_flags[span.first];
		bool absent = span.kind == CF_SPAN_ABSENT ||
			      span.kind == CF_SPAN_BLOCK_OFFLINE;

		CHECK_EQ(flags == BIT(CF_KPF_NOPAGE), absent);
		CHECK_EQ(flags == BIT(CF_KPF_BUDDY),
			 span.kind == CF_SPAN_FREE);
		CHECK_EQ(flags >> CF_KPF_OFFLINE & 1,
			 span.kind == CF_SPAN_RUN &&
			 span.type == CF_TYPE_OFFLINE);
		CHECK_EQ(all_counts[span.last - 1],
			 span.type == CF_TYPE_FOLIO ? span.refs : 0);
	}
	cf_walk_end(map);
	churn_end();
	ground_drop();
}

int main(void)
{
	tap_run("absent, offline, free and reserved frames", without_state);
	tap_run("a run of each type and order", types);
	tap_run("a run of several blocks", spanning);
	tap_run("references of folios, on every frame", references);
	tap_run("offline frames as Linux words them", offline);
	tap_run("frames that were never onlined", never_onlined);
	tap_run("known bad frames", bad);
	tap_run("frames in transit", in_motion);
	tap_run("a part says what the whole says", parts);
	tap_run("exports agree with a walk", as_walked);
	return tap_done();
}
