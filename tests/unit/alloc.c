/* SPDX-License-Identifier: MIT */
/*
 * Allocation: where a run comes from, what it looks like, who is refused.
 * On small machines with the blocks, zones and nodes a case needs.
 */
#include "tests/unit/machine.h"

#define MOST	32768

static cf_pfn frame[MOST];

static void check_fresh(cf_pfn pfn, unsigned order)
{
	struct cf_snapshot run = snapshot(pfn);

	CHECK_EQ(pfn % ((cf_pfn)1 << order), 0);
	CHECK(pfn + ((cf_pfn)1 << order) <= m.last);
	CHECK_EQ(run.order, order);
	CHECK_EQ(run.type, CF_TYPE_KERNEL);
	CHECK_EQ(run.refs, 1);
	CHECK_EQ(run.pins, 0);
	CHECK_EQ(run.owner, 0);
	CHECK_EQ(run.flags, 0);
	CHECK_EQ(cf_find_head(m.map, pfn + ((cf_pfn)1 << order) - 1), pfn);
}

/* Orders up to that of all memory, of blocks of one size. */
static void orders_of(unsigned block_order)
{
	struct machine_config config = {
		.block_order = block_order,
		.blocks = 1u << (CF_MAX_ORDER - block_order),
	};
	unsigned order;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	for (order = 0; order <= CF_MAX_ORDER; order++) {
		uint64_t count = (uint64_t)1 << order;

		pfn = alloc(kernel(order));
		check_fresh(pfn, order);
		CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], count);
		CHECK_EQ(unused_frames(), m.last - count);
		if (order == CF_MAX_ORDER)
			CHECK(machine_verify());
		cf_put(m.map, pfn);
		CHECK_EQ(unused_frames(), m.last);
		CHECK(!is_head(pfn));
		CHECK(cf_drain(m.map) == 0);
		CHECK_EQ(whole_chunks(), m.last / CF_CHUNK_FRAMES);
	}
	CHECK(machine_end());
}

static void every_order(void)
{
	unsigned order;

	for (order = CF_BLOCK_ORDER_MIN; order <= CF_BLOCK_ORDER_MAX; order++)
		orders_of(order);
}

/* One run of each order at a time; none overlaps another. */
static void orders_together(void)
{
	static bool used[2048];
	struct machine_config config = { .blocks = 2, .no_caches = true };
	unsigned order;
	cf_pfn pfn[11];

	if (!CHECK(machine_make(config)))
		return;
	memset(used, 0, sizeof(used));
	for (order = 0; order <= 10; order++) {
		pfn[order] = alloc(kernel(order));
		for (cf_pfn at = pfn[order]; at < pfn[order] + (1u << order);
		     at++) {
			CHECK(!used[at]);
			used[at] = true;
		}
	}
	CHECK_EQ(unused_frames(), 1);
	put_all(pfn, 11);
	CHECK(machine_end());
}

/* Partly free chunks before whole ones, so that whole ones survive. */
static void best_fit(void)
{
	struct machine_config config = { .blocks = 4, .no_caches = true };
	size_t count = 0;
	unsigned order;

	if (!CHECK(machine_make(config)))
		return;
	frame[count++] = alloc(kernel(0));
	/* 1 + 1 + 2 + 4 + ... + 256 fill the chunk it came from. */
	for (order = 0; order < CF_CHUNK_ORDER; order++) {
		CHECK_EQ(whole_chunks(), 7);
		frame[count++] = alloc(kernel(order));
		CHECK_EQ(frame[count - 1] / CF_CHUNK_FRAMES,
			 frame[0] / CF_CHUNK_FRAMES);
	}
	CHECK_EQ(whole_chunks(), 7);
	frame[count++] = alloc(kernel(3));
	CHECK_EQ(whole_chunks(), 6);
	put_all(frame, count);
	CHECK_EQ(whole_chunks(), 8);
	CHECK(machine_end());
}

/* The smaller hole is used up before the larger one is cut. */
static void tightest_hole(void)
{
	struct machine_config config = { .blocks = 1, .no_caches = true };
	cf_pfn pfn;
	size_t i;

	if (!CHECK(machine_make(config)))
		return;
	for (i = 0; i < 512; i++)
		frame[i] = alloc(kernel(0));
	/* Holes of order 4 in one place, of order 2 in another. */
	for (i = 64; i < 80; i++)
		cf_put(m.map, frame[i]);
	for (i = 300; i < 304; i++)
		cf_put(m.map, frame[i]);
	pfn = alloc(kernel(2));
	CHECK_EQ(pfn, frame[300]);
	cf_put(m.map, pfn);
	pfn = alloc(kernel(3));
	CHECK_EQ(pfn, frame[64]);
	cf_put(m.map, pfn);
	put_all(frame, 64);
	put_all(frame + 80, 220);
	put_all(frame + 304, 208);
	CHECK(machine_end());
}

/* A run that needs more than one whole chunk leaves single ones alone. */
static void whole_runs_best_fit(void)
{
	struct machine_config config = { .block_order = 12, .no_caches = true };
	cf_pfn a, b;

	if (!CHECK(machine_make(config)))
		return;
	a = alloc(kernel(9));
	/* Of 7 whole chunks the odd one goes, not half of a pair. */
	b = alloc(kernel(9));
	CHECK_EQ(a / 1024, b / 1024);
	frame[0] = alloc(kernel(10));
	frame[1] = alloc(kernel(11));
	CHECK_EQ(unused_frames(), 0);
	put_all(frame, 2);
	cf_put(m.map, a);
	cf_put(m.map, b);
	CHECK(machine_end());
}

static void everything_can_be_used(void)
{
	struct machine_config config = { .blocks = 3, .movable = 2 };
	struct keeper keeper = { 0 };
	size_t count;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 3 * 1024);
	count += fill(in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE),
		      frame + count, MOST);
	CHECK_EQ(count, 5 * 1024);
	CHECK_EQ(unused_frames(), 0);
	CHECK(machine_verify());
	put_all(frame, count);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void types(void)
{
	static const struct { uint8_t type; uint16_t flags; uint32_t refs; }
	made[] = {
		{ CF_TYPE_KERNEL, 0, 1 }, { CF_TYPE_FOLIO, 0, 1 },
		{ CF_TYPE_KERNEL, CF_ALLOC_FROZEN, 0 },
		{ CF_TYPE_FOLIO, CF_ALLOC_FROZEN, 0 },
		{ CF_TYPE_PGTABLE, 0, 0 }, { CF_TYPE_SLAB, 0, 0 },
		{ CF_TYPE_SLAB, CF_ALLOC_FROZEN, 0 },
	};
	struct machine_config config = { 0 };
	struct cf_request request = { 0 };
	unsigned i, order;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	for (i = 0; i < sizeof(made) / sizeof(*made); i++)
		for (order = 0; order <= 10; order += 5) {
			request.type = made[i].type;
			request.flags = made[i].flags;
			request.order = (uint8_t)order;
			pfn = alloc(request);
			CHECK_EQ(snapshot(pfn).type, made[i].type);
			CHECK_EQ(snapshot(pfn).refs, made[i].refs);
			CHECK_EQ(stat_now().by_type[made[i].type], 1u << order);
			if (made[i].refs)
				cf_put(m.map, pfn);
			else
				cf_free_frozen(m.map, pfn, order);
			CHECK_EQ(stat_now().by_type[made[i].type], 0);
		}
	CHECK(machine_end());
}

static void never_right(void)
{
	static const struct cf_request wrong[] = {
		{ .type = CF_TYPE_KERNEL, .order = CF_MAX_ORDER + 1 },
		{ .type = CF_TYPE_KERNEL, .order = 255 },
		{ .type = CF_TYPE_NONE }, { .type = CF_TYPE_DEVICE },
		{ .type = CF_TYPE_RESERVED }, { .type = CF_TYPE_OFFLINE },
		{ .type = CF_TYPE_RETIRED }, { .type = CF_TYPE_COUNT },
		{ .type = 255 },
		{ .type = CF_TYPE_KERNEL, .owner = CF_OWNERS_MAX },
		{ .type = CF_TYPE_KERNEL, .owner = CF_OWNER_ORPHAN },
		{ .type = CF_TYPE_KERNEL, .zone = CF_ZONE_DEVICE },
		{ .type = CF_TYPE_KERNEL, .zone = CF_ZONE_COUNT },
		{ .type = CF_TYPE_KERNEL, .zone = CF_ZONE_MOVABLE },
		{ .type = CF_TYPE_FOLIO, .zone = CF_ZONE_MOVABLE },
		{ .type = CF_TYPE_SLAB, .zone = CF_ZONE_MOVABLE, .owner = 2 },
		{ .type = CF_TYPE_KERNEL, .node = 2 },
		{ .type = CF_TYPE_KERNEL, .node = 254 },
		{ .type = CF_TYPE_KERNEL, .flags = CF_ALLOC_FLAGS + 1 },
	};
	struct machine_config config = { .nodes = 2, .movable = 1 };
	cf_pfn pfn = 12345;
	unsigned i;

	if (!CHECK(machine_make(config)))
		return;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		FAILS(CF_EINVAL, cf_alloc(m.map, wrong[i], &pfn));
	CHECK_EQ(pfn, 12345);
	CHECK(machine_end());
}

static void owner_is_gone(void)
{
	struct machine_config config = { 0 };
	struct keeper keeper = { 0 };
	cf_pfn pfn = 12345;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	FAILS(CF_EGONE, cf_alloc(m.map, folio(0, keeper.id + 1), &pfn));
	CHECK(keeper_remove(&keeper));
	FAILS(CF_EGONE, cf_alloc(m.map, folio(0, keeper.id), &pfn));
	FAILS(CF_EGONE, cf_alloc(m.map, folio(9, keeper.id), &pfn));
	CHECK_EQ(pfn, 12345);
	CHECK(machine_end());
}

/* MOVABLE takes from NORMAL when it is full, NORMAL never from MOVABLE. */
static void zones_fall_back(void)
{
	struct machine_config config = { .blocks = 1, .movable = 1 };
	struct keeper keeper = { 0 };
	struct cf_request movable;
	size_t count, i;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	movable = in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE);
	count = fill(movable, frame, MOST);
	CHECK_EQ(count, 2048);
	for (i = 0; i < count; i++)
		CHECK_EQ(frame[i] / 1024, i < 1024 ? 1 : 0);
	put_all(frame, count);
	CHECK(cf_drain(m.map) == 0);
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 1024);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(0), &pfn));
	FAILS(CF_ENOMEM, cf_alloc(m.map, folio(0, keeper.id), &pfn));
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(9), &pfn));
	put_all(frame, count);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* The node asked for, then the next ones around; THISNODE: no other. */
static void nodes_fall_back(void)
{
	struct machine_config config = { .nodes = 3, .blocks = 1 };
	struct cf_request request = kernel(0);
	size_t count, i;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	request.node = 1;
	count = fill(request, frame, MOST);
	CHECK_EQ(count, 3072);
	for (i = 0; i < count; i++)
		CHECK_EQ(frame[i] / 1024, (1 + i / 1024) % 3);
	put_all(frame, count);
	CHECK(cf_drain(m.map) == 0);
	count = fill(with_flags(request, CF_ALLOC_THISNODE), frame, MOST);
	CHECK_EQ(count, 1024);
	for (i = 0; i < count; i++)
		CHECK_EQ(frame[i] / 1024, 1);
	FAILS(CF_ENOMEM,
	      cf_alloc(m.map, with_flags(request, CF_ALLOC_THISNODE), &pfn));
	request.order = 9;
	FAILS(CF_ENOMEM,
	      cf_alloc(m.map, with_flags(request, CF_ALLOC_THISNODE), &pfn));
	put_all(frame, count);
	CHECK(machine_end());
}

/* Kinds of the node asked for come before other nodes. */
static void zones_before_nodes(void)
{
	struct machine_config config = { .nodes = 2, .blocks = 1,
					 .movable = 1 };
	static const cf_pfn order[] = { 3, 2, 1, 0 };	/* blocks */
	struct keeper keeper = { 0 };
	struct cf_request request;
	size_t count, i;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	request = in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE);
	request.node = 1;
	count = fill(request, frame, MOST);
	CHECK_EQ(count, 4096);
	for (i = 0; i < count; i++)
		CHECK_EQ(frame[i] / 1024, order[i / 1024]);
	put_all(frame, count);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

struct any {
	unsigned order;
	cf_pfn pfn;
};

static void alloc_without_number(void *context)
{
	struct any *any = context;
	struct cf_request request = kernel(any->order);

	cf_host_leave(NULL);
	request.node = CF_NODE_ANY;
	any->pfn = alloc(request);
}

/* A context without a number is on node 0. */
static void node_without_number(void)
{
	struct machine_config config = { .nodes = 2, .blocks = 1 };
	struct any any = { .order = 3 };

	if (!CHECK(machine_make(config)))
		return;
	machine_on_other(alloc_without_number, &any);
	CHECK_EQ(any.pfn / m.block, 0);
	cf_put(m.map, any.pfn);
	CHECK(machine_end());
}

static void alloc_any_node(void *context)
{
	struct any *any = context;
	struct cf_request request = kernel(any->order);

	request.node = CF_NODE_ANY;
	any->pfn = alloc(request);
}

/* The caller's own node: contexts are spread over nodes. */
static void any_node(void)
{
	struct machine_config config = { .nodes = 2, .blocks = 1 };
	unsigned order;

	if (!CHECK(machine_make(config)))
		return;
	for (order = 0; order <= 9; order += 3) {
		struct any here = { .order = order };
		struct any there = { .order = order };

		alloc_any_node(&here);
		machine_on_other(alloc_any_node, &there);
		CHECK_EQ(here.pfn / 1024, 0);
		CHECK_EQ(there.pfn / 1024, 1);
		cf_put(m.map, here.pfn);
		cf_put(m.map, there.pfn);
	}
	CHECK(machine_end());
}

static void nosplit_with(bool no_caches)
{
	struct machine_config config = { .blocks = 2, .no_caches = no_caches };
	unsigned order;
	cf_pfn first, pfn;

	if (!CHECK(machine_make(config)))
		return;
	for (order = 0; order < CF_CHUNK_ORDER; order++)
		FAILS(CF_ENOMEM,
		      cf_alloc(m.map, with_flags(kernel(order),
						 CF_ALLOC_NOSPLIT), &pfn));
	CHECK_EQ(whole_chunks(), 4);
	/* A chunk that is split already serves, whole ones in one piece. */
	first = alloc(kernel(8));
	for (order = 0; order < CF_CHUNK_ORDER; order++) {
		pfn = alloc(with_flags(kernel(order), CF_ALLOC_NOSPLIT));
		CHECK_EQ(pfn / CF_CHUNK_FRAMES, first / CF_CHUNK_FRAMES);
		CHECK_EQ(whole_chunks(), 3);
		cf_put(m.map, pfn);
	}
	pfn = alloc(with_flags(kernel(9), CF_ALLOC_NOSPLIT));
	cf_put(m.map, pfn);
	cf_put(m.map, first);
	CHECK(machine_end());
}

static void nosplit(void)
{
	nosplit_with(true);
}

static void nosplit_with_caches(void)
{
	nosplit_with(false);
}

static void fill_and_put(void *context)
{
	size_t count = fill(kernel(0), frame, MOST);

	(void)context;
	put_all(frame, count);
}

/* Another context's stock is the last free memory there is. */
static void drains_others(void)
{
	struct machine_config config = { .blocks = 1 };
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	machine_on_other(fill_and_put, NULL);
	CHECK(stat_now().cached > 0);
	FAILS(CF_ENOMEM, cf_alloc(m.map, with_flags(kernel(10),
						    CF_ALLOC_NOWAIT), &pfn));
	CHECK(stat_now().cached > 0);
	pfn = alloc(kernel(10));
	CHECK_EQ(stat_now().cached, 0);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(0), &pfn));
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

static void zeroes(void)
{
	static const unsigned order[] = { 0, 3, 9, 10 };
	struct machine_config config = { 0 };
	unsigned char *contents;
	unsigned i;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	for (i = 0; i < 4; i++) {
		size_t bytes = CF_FRAME_BYTES << order[i];

		memset(m.memory.base, 0xa5, m.last * CF_FRAME_BYTES);
		pfn = alloc(with_flags(kernel(order[i]), CF_ALLOC_ZERO));
		contents = m.memory.base + pfn * CF_FRAME_BYTES;
		CHECK(contents[0] == 0);
		CHECK(memcmp(contents, contents + 1, bytes - 1) == 0);
		/* And not a byte more. */
		if (pfn + (1u << order[i]) < m.last)
			CHECK(contents[bytes] == 0xa5);
		cf_put(m.map, pfn);
	}
	CHECK(machine_end());
}

static void zero_needs_contents(void)
{
	struct machine_config config = { 0 };
	struct keeper keeper = { 0 };
	unsigned order;
	cf_pfn pfn = 12345;
	size_t done;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	for (order = 0; order <= 10; order++) {
		struct cf_request request =
			with_flags(folio(order, keeper.id), CF_ALLOC_ZERO);

		cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, 1);
		FAILS(CF_EPORT, cf_alloc(m.map, request, &pfn));
		cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, 1);
		FAILS(CF_EPORT,
		      cf_alloc_bulk(m.map, request, 1, &pfn, &done));
		cf_host_fault_disarm(&m.memory);
	}
	CHECK_EQ(pfn, 12345);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* Runs of several blocks need all of them free, in one zone. */
static void runs_of_blocks(void)
{
	struct machine_config config = { .blocks = 7, .movable = 1 };
	cf_pfn pfn, in_the_way, at;

	if (!CHECK(machine_make(config)))
		return;
	/* Blocks 4-7 are an aligned group, but one is MOVABLE. */
	pfn = alloc(kernel(12));
	CHECK_EQ(pfn, 0);
	for (at = pfn; at < pfn + 4096; at += 511)
		CHECK_EQ(cf_find_head(m.map, at), pfn);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(12), &in_the_way));
	in_the_way = alloc(kernel(11));
	CHECK_EQ(in_the_way, 4096);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(11), &at));
	cf_put(m.map, pfn);
	/* One frame in use in the middle: no run of four, but of two. */
	cf_put(m.map, in_the_way);
	in_the_way = alloc(kernel(0));
	CHECK(cf_drain(m.map) == 0);
	pfn = alloc(kernel(11));
	CHECK(in_the_way / 2048 != pfn / 2048);
	cf_put(m.map, pfn);
	cf_put(m.map, in_the_way);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(13), &pfn));
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(18), &pfn));
	CHECK(machine_end());
}

/* A group that reaches beyond the map, or has a hole, is none. */
static void runs_at_the_end(void)
{
	struct machine_config config = { .blocks = 3 };
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(12), &pfn));
	pfn = alloc(kernel(11));
	CHECK_EQ(pfn, 0);
	FAILS(CF_ENOMEM, cf_alloc(m.map, kernel(11), &pfn));
	cf_put(m.map, 0);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("every order, every block order", every_order);
	tap_run("runs of all orders do not overlap", orders_together);
	tap_run("split chunks before whole ones", best_fit);
	tap_run("the tightest hole", tightest_hole);
	tap_run("single chunks before pairs", whole_runs_best_fit);
	tap_run("every frame can be used", everything_can_be_used);
	tap_run("counted, frozen and uncounted types", types);
	tap_run("requests that can never be right", never_right);
	tap_run("an owner that is not registered", owner_is_gone);
	tap_run("MOVABLE falls back to NORMAL only", zones_fall_back);
	tap_run("nodes fall back in turn", nodes_fall_back);
	tap_run("both zones of a node before the next", zones_before_nodes);
	tap_run("any node is the context's own", any_node);
	tap_run("without a number it is node 0", node_without_number);
	tap_run("NOSPLIT leaves whole chunks alone", nosplit);
	tap_run("NOSPLIT, with caches", nosplit_with_caches);
	tap_run("a failing request empties other caches", drains_others);
	tap_run("ZERO zeroes all of a run", zeroes);
	tap_run("ZERO without contents fails", zero_needs_contents);
	tap_run("runs of several blocks", runs_of_blocks);
	tap_run("runs at the end of the map", runs_at_the_end);
	return tap_done();
}
