/* SPDX-License-Identifier: MIT */
/*
 * hugepool beside a model: how many runs each node has of each size, which
 * are in use and by how many, what is promised, what is surplus; frames fail,
 * blocks go, memory runs out.  Random calls, one context.
 */
#include "owners/hugepool.h"
#include "play.h"

#define NODES		2
#define USED_MAX	64
#define CALLS_LARGE	50
#define RUNS		(1024 + 64)

/* A run in use. */
struct used {
	cf_pfn pfn;
	uint32_t refs, pins;	/* 0: none is here */
	enum hugepool_size size;
	bool bad;
	uint64_t mark;
};

struct stock {
	uint32_t total, free, surplus;
};

static struct {
	struct hugepool *pool;
	struct hugepool_config config;
	void *storage;
	uint32_t nodes;
	bool large;		/* there is a whole GiB: fewer calls, for each
				 * takes long */
	uint32_t calls;
	struct stock stock[NODES][HUGEPOOL_SIZES];
	uint32_t reserved[HUGEPOOL_SIZES], limit[HUGEPOOL_SIZES];
	struct used used[USED_MAX];
	uint32_t bad_free;	/* free runs with a bad frame, at most */
	uint64_t dissolved, replaced, retired, strangers;
	cf_pfn stranger;
	bool offline;
	cf_pfn gone;
	uint64_t marks;
	cf_pfn *full;
	size_t full_count;
} w;

static unsigned order_of(enum hugepool_size size)
{
	return size == HUGEPOOL_1G ? CF_MAX_ORDER : CF_CHUNK_ORDER;
}

static uint32_t node_of(cf_pfn pfn)
{
	return block_info(pfn).node;
}

static struct stock *stock_of(const struct used *used)
{
	return &w.stock[node_of(used->pfn)][used->size];
}

static struct stock sum_of(enum hugepool_size size)
{
	struct stock sum = { 0 };
	uint32_t i;

	for (i = 0; i < w.nodes; i++) {
		sum.total += w.stock[i][size].total;
		sum.free += w.stock[i][size].free;
		sum.surplus += w.stock[i][size].surplus;
	}
	return sum;
}

static bool has_unreserved(enum hugepool_size size)
{
	return sum_of(size).free > w.reserved[size];
}

static uint32_t spares(void)
{
	return w.config.runs - sum_of(HUGEPOOL_2M).total -
	       sum_of(HUGEPOOL_1G).total;
}

/* A run was taken from the node's, or given back to the allocator. */
static void count(struct stock *stock, int total, int free, int surplus)
{
	stock->total += (uint32_t)total;
	stock->free += (uint32_t)free;
	stock->surplus += (uint32_t)surplus;
	if (stock->surplus > stock->total)
		stock->surplus = stock->total;
}

/* What the pool says of a node; its limits are compared elsewhere. */
static struct stock stock_now(uint32_t node, enum hugepool_size size)
{
	struct hugepool_stat stat;

	REQUIRE_EQ(hugepool_stat(w.pool, size, node, &stat), 0);
	return (struct stock){ stat.total, stat.free, stat.surplus };
}

/* Where that is the engine's choice, the model takes it from the pool. */
static void learn(enum hugepool_size size)
{
	uint32_t i;

	for (i = 0; i < w.nodes; i++)
		w.stock[i][size] = stock_now(i, size);
}

/* Surplus runs that nobody uses and nobody was promised go. */
static void trim(enum hugepool_size size)
{
	uint32_t i;

	for (i = 0; i < w.nodes; i++) {
		struct stock *stock = &w.stock[i][size];

		while (stock->surplus && stock->free && has_unreserved(size))
			count(stock, -1, -1, -1);
	}
}

/* ---- begin, end, compare ---- */

static void create(void)
{
	REQUIRE_EQ(hugepool_create(m.map, &w.config, w.storage, &w.pool), 0);
	memset(w.stock, 0, sizeof(w.stock));
	memset(w.reserved, 0, sizeof(w.reserved));
	memset(w.limit, 0, sizeof(w.limit));
	w.bad_free = 0;
	w.dissolved = w.replaced = w.retired = w.strangers = 0;
	w.stranger = CF_PFN_NONE;
}

static void begin(void)
{
	struct machine_config machine = {
		.block_order = 10, .blocks = 5, .nodes = 1 + draw(NODES),
		.poison_max = 12,
	};

	memset(&w, 0, sizeof(w));
	w.large = draw_chance(12);
	if (w.large)
		machine = (struct machine_config){
			.block_order = 15, .blocks = 8, .poison_max = 12,
		};
	REQUIRE(machine_make(machine));
	w.nodes = m.config.nodes;
	w.config = (struct hugepool_config){
		.runs = w.large ? RUNS : draw(2) ? 6 : 64,
		.zone = CF_ZONE_NORMAL,
	};
	w.storage = play_room(hugepool_bytes(m.map, &w.config));
	w.full = play_room(m.last * sizeof(cf_pfn));
	create();
}

static struct used *used_at(cf_pfn pfn)
{
	uint32_t i;

	for (i = 0; i < USED_MAX; i++)
		if (w.used[i].refs && w.used[i].pfn == pfn)
			return &w.used[i];
	return NULL;
}

/* Every run that names the pool is free, or in use as the model has it. */
static void compare_runs(void)
{
	uint32_t free[HUGEPOOL_SIZES] = { 0 }, used[HUGEPOOL_SIZES] = { 0 };
	struct cf_span span;
	cf_pfn cursor = 0;

	cf_walk_begin(m.map);
	while (cf_walk_next(m.map, &cursor, m.last, &span)) {
		const struct used *run = used_at(span.first);
		enum hugepool_size size = span.order == CF_MAX_ORDER ?
					  HUGEPOOL_1G : HUGEPOOL_2M;

		if (span.kind != CF_SPAN_RUN ||
		    span.owner != hugepool_owner(w.pool)) {
			REQUIRE(!run);
			continue;
		}
		REQUIRE_EQ(span.order, order_of(size));
		REQUIRE_EQ(span.refs, run ? run->refs : 0);
		used[size] += run != NULL;
		free[size] += !run;
	}
	cf_walk_end(m.map);
	for (cursor = 0; cursor < HUGEPOOL_SIZES; cursor++) {
		struct stock sum = sum_of((enum hugepool_size)cursor);

		REQUIRE_EQ(free[cursor], sum.free);
		REQUIRE_EQ(used[cursor] + free[cursor], sum.total);
	}
}

static void compare_contents(void)
{
	uint32_t i;

	for (i = 0; i < USED_MAX; i++) {
		const struct used *run = &w.used[i];

		if (!run->refs)
			continue;
		REQUIRE_EQ(snapshot(run->pfn).pins, run->pins);
		REQUIRE_EQ(play_mark(run->pfn), run->mark);
		REQUIRE_EQ(play_mark(run->pfn + CF_CHUNK_FRAMES - 1),
			   run->mark + 1);
	}
}

static void compare(void)
{
	struct hugepool_finding finding;
	struct hugepool_stat stat;
	uint32_t i;
	int size;

	if (w.calls > CALLS_LARGE + 1 && w.large)
		return;
	for (size = 0; size < HUGEPOOL_SIZES; size++) {
		struct stock sum = sum_of((enum hugepool_size)size);

		for (i = 0; i < w.nodes; i++) {
			struct stock now = stock_now(
				i, (enum hugepool_size)size);

			REQUIRE_EQ(now.total, w.stock[i][size].total);
			REQUIRE_EQ(now.free, w.stock[i][size].free);
			REQUIRE_EQ(now.surplus, w.stock[i][size].surplus);
		}
		REQUIRE_EQ(hugepool_stat(w.pool, (enum hugepool_size)size,
					 CF_NODE_ANY, &stat), 0);
		REQUIRE_EQ(stat.total, sum.total);
		REQUIRE_EQ(stat.reserved, w.reserved[size]);
		REQUIRE_EQ(stat.surplus_limit, w.limit[size]);
		REQUIRE(stat.reserved <= stat.free);
	}
	REQUIRE_EQ(stat.dissolved, w.dissolved);
	REQUIRE_EQ(stat.replaced, w.replaced);
	REQUIRE_EQ(stat.retired, w.retired);
	REQUIRE_EQ(stat.strangers, w.strangers);
	REQUIRE_EQ(stat.stranger, w.stranger);
	compare_runs();
	compare_contents();
	REQUIRE(hugepool_verify(w.pool, &finding));
	REQUIRE(machine_verify());
}

static void set_full(bool full)
{
	if (full)
		w.full_count = fill(kernel(0), w.full, m.last);
	else
		put_all(w.full, w.full_count);
	if (!full)
		w.full_count = 0;
}

/* The last reference went: kept, or given up because it is one too many. */
static void see_back(struct used *run)
{
	struct stock *stock = stock_of(run);

	if (run->bad) {
		w.retired++;
		count(stock, -1, 0, 0);
	} else if (stock->surplus) {
		count(stock, -1, 0, -1);
	} else {
		count(stock, 0, 1, 0);
	}
}

static void put_one(struct used *run)
{
	run->refs--;
	if (!run->refs)
		see_back(run);
	if (run->pins) {
		run->pins--;
		cf_unpin(m.map, run->pfn);
	} else {
		cf_put(m.map, run->pfn);
	}
}

static void end(void)
{
	uint32_t i;

	set_full(false);
	for (i = 0; i < USED_MAX; i++)
		while (w.used[i].refs)
			put_one(&w.used[i]);
	/* To the end also of a machine of which most calls were left out. */
	w.calls = 0;
	compare();
	REQUIRE_EQ(hugepool_destroy(w.pool, NULL), 0);
	free(w.storage);
	free(w.full);
	if (w.offline)
		REQUIRE_EQ(cf_block_online(m.map, w.gone, w.gone + m.block,
					   CF_ZONE_NORMAL, NULL), 0);
	REQUIRE(machine_end());
}

/* ---- how many there are ---- */

static enum hugepool_size draw_size(void)
{
	return draw_chance(w.large ? 60 : 3) ? HUGEPOOL_1G : HUGEPOOL_2M;
}

static void grow(struct stock *stock)
{
	if (stock->surplus)
		count(stock, 0, 0, -1);
	else
		count(stock, 1, 1, 0);
}

static void shrink(struct stock *stock, enum hugepool_size size)
{
	if (stock->free && has_unreserved(size))
		count(stock, -1, -1, 0);
	else
		count(stock, 0, 0, 1);
}

/* Free runs that were given up for memory that is to go; how many. */
static uint64_t see_dissolved(uint32_t node)
{
	struct stock *stock = &w.stock[node][HUGEPOOL_2M];
	struct hugepool_stat stat;
	uint64_t dissolved, lost;

	REQUIRE_EQ(hugepool_stat(w.pool, HUGEPOOL_2M, CF_NODE_ANY, &stat), 0);
	dissolved = stat.dissolved - w.dissolved;
	lost = dissolved - (stat.replaced - w.replaced);
	REQUIRE(lost <= dissolved && lost <= stock->free);
	count(stock, -(int)lost, -(int)lost, 0);
	w.dissolved = stat.dissolved;
	w.replaced = stat.replaced;
	return dissolved;
}

static void call_resize(void)
{
	enum hugepool_size size = draw_size();
	uint32_t node = draw_chance(3) ? w.nodes : draw(w.nodes);
	uint32_t to = size == HUGEPOOL_1G ? !draw_chance(20) : draw(9);
	struct stock *stock = &w.stock[node % w.nodes][size];
	uint32_t is = stock->total - stock->surplus, now = is;
	uint32_t codes = OK;
	int err;

	if (node == w.nodes)
		codes = E(CF_EINVAL);
	else if (to > is + stock->surplus + spares())
		codes = E(CF_ELIMIT) | E(CF_ENOMEM);
	else if (to > is + stock->surplus)
		codes = OK | E(CF_ENOMEM);
	err = hugepool_resize(w.pool, size, node, to, &now);
	(void)play_told(size == HUGEPOOL_1G ? "resize-1g" : "resize", err,
			codes, " node %u to %u", node, to);
	if (err == -CF_EINVAL)
		return;
	REQUIRE(err || now == to);
	/* As far as it came, one by one. */
	REQUIRE(err ? now >= is && now < to : true);
	for (; is < now; is++)
		grow(stock);
	for (; is > now; is--)
		shrink(stock, size);
	/* A whole GiB is made of what is there. */
	if (size == HUGEPOOL_1G)
		(void)see_dissolved(node);
	/* Which of the free ones went nobody can say. */
	if (w.bad_free > sum_of(HUGEPOOL_2M).free + sum_of(HUGEPOOL_1G).free)
		w.bad_free = sum_of(HUGEPOOL_2M).free +
			     sum_of(HUGEPOOL_1G).free;
}

static void call_surplus(void)
{
	enum hugepool_size size = draw_size();

	w.limit[size] = draw(5);
	hugepool_set_surplus(w.pool, size, w.limit[size]);
	(void)play_told("surplus", 0, OK, " of size %u: %u", size,
			w.limit[size]);
}

static void call_reserve(void)
{
	enum hugepool_size size = draw_size();
	uint32_t many = draw(5);
	struct stock sum = sum_of(size);
	uint32_t more = sum.free - w.reserved[size] >= many ? 0 :
			many - (sum.free - w.reserved[size]);
	uint32_t codes = OK;

	if (more && sum.surplus + more > w.limit[size])
		codes = E(CF_ENOMEM) | E(CF_ELIMIT);
	else if (more > spares() || whole_chunks() < more ||
		 size == HUGEPOOL_1G)
		codes = OK | E(CF_ENOMEM) | E(CF_ELIMIT);
	if (!play_told("reserve", hugepool_reserve(w.pool, size, many), codes,
		       " %u of size %u", many, size))
		return;
	w.reserved[size] += many;
	learn(size);
	REQUIRE_EQ(sum_of(size).total, sum.total + more);
	REQUIRE_EQ(sum_of(size).free, sum.free + more);
	REQUIRE_EQ(sum_of(size).surplus, sum.surplus + more);
}

static void call_unreserve(void)
{
	enum hugepool_size size = draw_size();
	uint32_t many = draw(w.reserved[size] + 2);
	uint32_t codes = many > w.reserved[size] ? E(CF_EINVAL) : OK;

	if (!play_told("unreserve", hugepool_unreserve(w.pool, size, many),
		       codes, " %u of size %u", many, size))
		return;
	w.reserved[size] -= many;
	trim(size);
}

/* ---- runs in use ---- */

struct want {
	enum hugepool_size size;
	uint32_t node, flags;
	bool promised;
};

/* The node whose free run is used; w.nodes: none, only surplus would do. */
static uint32_t node_for(const struct want *want)
{
	uint32_t first = want->node == CF_NODE_ANY ? 0 : want->node, i;

	if (!want->promised && !has_unreserved(want->size))
		return w.nodes;
	for (i = 0; i < w.nodes; i++) {
		uint32_t node = (first + i) % w.nodes;

		if (w.stock[node][want->size].free)
			return node;
		if (want->flags & HUGEPOOL_THISNODE)
			break;
	}
	return w.nodes;
}

static uint32_t alloc_codes(const struct want *want)
{
	bool only = want->flags & HUGEPOOL_THISNODE;

	if (only && want->node == CF_NODE_ANY)
		return E(CF_EINVAL);
	if (want->promised && !w.reserved[want->size])
		return E(CF_EINVAL);
	if (node_for(want) < w.nodes && !w.bad_free)
		return OK;
	/* Bad ones leave, and another is taken, surplus if it may be. */
	if (w.bad_free)
		return OK | E(CF_ENOMEM) | E(CF_EAGAIN) | E(CF_ELIMIT);
	if (sum_of(want->size).surplus < w.limit[want->size])
		return spares() && !only && want->size == HUGEPOOL_2M &&
		       whole_chunks() ? OK : OK | E(CF_ENOMEM) |
		       E(CF_ELIMIT) | E(CF_EAGAIN);
	return want->promised && !only ? E(CF_EAGAIN) : E(CF_ENOMEM);
}

static void add_used(cf_pfn pfn, enum hugepool_size size)
{
	struct used *run = w.used;

	REQUIRE(!used_at(pfn));
	while (run->refs)
		run++;
	*run = (struct used){ .pfn = pfn, .refs = 1, .size = size };
	run->mark = ++w.marks << 8;
	play_stamp(pfn, run->mark);
	play_stamp(pfn + CF_CHUNK_FRAMES - 1, run->mark + 1);
}

/* With bad ones about: what left is retired, and nothing else is lost. */
static void see_retired(const struct want *want, struct stock before, bool got)
{
	struct hugepool_stat stat;
	uint32_t retired, surplus;
	struct stock sum;

	REQUIRE_EQ(hugepool_stat(w.pool, want->size, CF_NODE_ANY, &stat), 0);
	retired = (uint32_t)(stat.retired - w.retired);
	learn(want->size);
	sum = sum_of(want->size);
	REQUIRE(retired <= w.bad_free);
	surplus = sum.total + retired - before.total;
	REQUIRE(surplus <= (got ? 1u : 0u));
	REQUIRE_EQ(sum.free + retired + got - surplus, before.free);
	w.bad_free -= retired;
	w.retired = stat.retired;
	REQUIRE(stat.reserved <= w.reserved[want->size]);
	REQUIRE(stat.reserved + want->promised + retired >=
		w.reserved[want->size]);
	w.reserved[want->size] = stat.reserved;
}

static void see_alloc(const struct want *want, uint32_t node, cf_pfn pfn)
{
	struct stock *stock;

	if (node < w.nodes) {
		REQUIRE_EQ(node_of(pfn), node);
		count(&w.stock[node][want->size], 0, -1, 0);
	} else {
		stock = &w.stock[node_of(pfn)][want->size];
		count(stock, 1, 0, 1);
		REQUIRE(want->node == CF_NODE_ANY ||
			!(want->flags & HUGEPOOL_THISNODE) ||
			node_of(pfn) == want->node);
	}
	w.reserved[want->size] -= want->promised;
}

static uint32_t used_count(void)
{
	uint32_t i, sum = 0;

	for (i = 0; i < USED_MAX; i++)
		sum += w.used[i].refs != 0;
	return sum;
}

static void call_alloc(void)
{
	struct want want = {
		.size = draw_size(),
		.node = draw(2) ? CF_NODE_ANY : draw(w.nodes),
		.flags = draw_chance(20) ? HUGEPOOL_THISNODE : 0,
		.promised = draw_chance(30),
	};
	struct stock before = sum_of(want.size);
	uint32_t node = node_for(&want);
	bool bad = w.bad_free != 0;
	uint32_t codes = alloc_codes(&want);
	cf_pfn pfn;
	bool got;
	int err;

	if (used_count() == USED_MAX)
		return;
	if (want.promised)
		want.flags |= HUGEPOOL_RESERVED;
	err = hugepool_alloc(w.pool, want.size, want.node, want.flags, &pfn);
	got = play_told(want.size == HUGEPOOL_1G ? "alloc-1g" :
			want.promised ? "alloc-reserved" : "alloc", err, codes,
			" of size %u on node %u, flags %u", want.size,
			want.node, want.flags);
	if (bad && err != -CF_EINVAL)
		see_retired(&want, before, got);
	else if (got)
		see_alloc(&want, node, pfn);
	if (got)
		add_used(pfn, want.size);
}

static struct used *draw_used(void)
{
	uint32_t i, at = draw(USED_MAX);

	for (i = 0; i < USED_MAX; i++)
		if (w.used[(at + i) % USED_MAX].refs)
			return &w.used[(at + i) % USED_MAX];
	return NULL;
}

static void call_put(void)
{
	struct used *run = draw_used();

	if (!run)
		return;
	(void)play_told("put", 0, OK, " %#llx", (unsigned long long)run->pfn);
	put_one(run);
}

static void call_get(void)
{
	struct used *run = draw_used();
	bool pin = draw_chance(30);

	if (!run)
		return;
	REQUIRE_EQ(pin ? cf_pin(m.map, run->pfn) :
		   cf_try_get(m.map, run->pfn), 0);
	(void)play_told("get", 0, OK, " %#llx", (unsigned long long)run->pfn);
	run->refs++;
	run->pins += pin;
}

/* A run that was given to the pool by mistake goes to the allocator. */
static void call_stranger(void)
{
	struct cf_request request = folio(draw(2) ? 0 : CF_CHUNK_ORDER, 0);
	cf_pfn pfn;

	if (cf_alloc(m.map, request, &pfn))
		return;
	REQUIRE_EQ(cf_owner_change(m.map, pfn, hugepool_owner(w.pool)), 0);
	cf_put(m.map, pfn);
	(void)play_told("stranger", 0, OK, " %#llx", (unsigned long long)pfn);
	w.strangers++;
	w.stranger = pfn;
}

/* ---- demotion, bad frames, blocks ---- */

static void call_demote(void)
{
	uint32_t node = draw_chance(5) ? w.nodes : draw(w.nodes);
	struct stock *whole = &w.stock[node % w.nodes][HUGEPOOL_1G];
	uint32_t codes = OK, done = 0;

	if (!w.large)
		return;
	if (node == w.nodes)
		codes = E(CF_EINVAL);
	else if (!whole->free || whole->total == whole->surplus ||
		 !has_unreserved(HUGEPOOL_1G))
		codes = E(CF_ENOMEM);
	else if (spares() < 511)
		codes = E(CF_ELIMIT);
	/* What is marked is not cut. */
	if (codes == OK && w.bad_free)
		codes |= E(CF_EAGAIN);
	if (!play_told("demote", hugepool_demote(w.pool, node, 1, &done),
		       codes, " node %u", node))
		return;
	REQUIRE_EQ(done, 1);
	count(whole, -1, -1, 0);
	count(&w.stock[node][HUGEPOOL_2M], 512, 512, 0);
}

/* Of a run in use, or of one that may be free in the pool. */
static void call_retire(void)
{
	struct used *run = draw(2) ? draw_used() : NULL;
	cf_pfn pfn = run ? run->pfn : draw((uint32_t)m.last);
	enum cf_retire_state state = CF_RETIRE_NONE;
	bool known, ours = false;
	cf_pfn head = pfn & ~(CF_CHUNK_FRAMES - 1);
	struct cf_snapshot is;
	int err;

	if (!run)
		run = used_at(head);
	if (w.large && !run)
		return;
	if (run)
		pfn = run->pfn + draw(1u << order_of(run->size));
	known = cf_retire_state(m.map, pfn) != CF_RETIRE_NONE;
	ours = !known && !run && !cf_snapshot(m.map, head, &is) &&
	       is.type == CF_TYPE_FOLIO &&
	       is.owner == hugepool_owner(w.pool);
	err = cf_retire(m.map, pfn, &state);
	if (!play_told("retire", err, OK | E(CF_ELIMIT), " %#llx",
		       (unsigned long long)pfn))
		return;
	REQUIRE(!ours || state == CF_RETIRE_PENDING);
	if (run)
		run->bad = true;
	w.bad_free += ours;
}

static bool is_used_block(cf_pfn first)
{
	uint32_t i;

	for (i = 0; i < USED_MAX; i++)
		if (w.used[i].refs && w.used[i].pfn < first + m.block &&
		    first < w.used[i].pfn +
			    ((cf_pfn)1 << order_of(w.used[i].size)))
			return true;
	return false;
}

/* Free runs that lie in a block. */
static uint32_t free_in(cf_pfn first)
{
	struct cf_snapshot run;
	uint32_t sum = 0;
	cf_pfn pfn;

	for (pfn = first; pfn < first + m.block; pfn += CF_CHUNK_FRAMES)
		sum += !cf_snapshot(m.map, pfn, &run) &&
		       run.owner == hugepool_owner(w.pool) && !run.refs;
	return sum;
}

static void call_offline(void)
{
	cf_pfn first = draw((uint32_t)(m.last / m.block)) * m.block;
	struct stock before = sum_of(HUGEPOOL_2M);
	uint32_t lay = free_in(first), node = node_of(first);
	uint64_t dissolved;
	int err;

	if (w.full_count || w.large)
		return;
	err = cf_block_offline(m.map, first, first + m.block, 3, NULL);
	(void)play_told("offline", err, is_used_block(first) ?
			E(CF_EBUSY) | E(CF_EAGAIN) :
			before.free - w.reserved[HUGEPOOL_2M] >= lay ? OK :
			OK | E(CF_EBUSY), " %#llx", (unsigned long long)first);
	dissolved = see_dissolved(node);
	REQUIRE(err ? dissolved <= lay : dissolved == lay);
	if (err)
		return;
	REQUIRE_EQ(free_in(first), 0);
	w.offline = true;
	w.gone = first;
}

static void call_block(void)
{
	if (!w.offline) {
		call_offline();
		return;
	}
	(void)play_told("online", cf_block_online(m.map, w.gone,
						  w.gone + m.block,
						  CF_ZONE_NORMAL, NULL), OK,
			" %#llx", (unsigned long long)w.gone);
	w.offline = false;
}

static void call_memory(void)
{
	set_full(!w.full_count);
	(void)play_told("memory", 0, OK, " %s",
			w.full_count ? "is out" : "is there");
}

static void call_destroy(void)
{
	struct cf_report report;

	if (play_told("destroy", hugepool_destroy(w.pool, &report),
		      used_count() ? E(CF_EBUSY) : OK, " "))
		create();
	else
		REQUIRE(used_at(report.pfn) &&
			used_at(report.pfn)->refs == report.refs);
}

static void call(void)
{
	static const struct {
		unsigned share;
		void (*call)(void);
	} calls[] = {
		{ 14, call_resize }, { 5, call_surplus }, { 9, call_reserve },
		{ 5, call_unreserve }, { 22, call_alloc }, { 17, call_put },
		{ 5, call_get }, { 3, call_stranger }, { 9, call_retire },
		{ 6, call_block }, { 3, call_memory }, { 2, call_destroy },
	};
	unsigned turn = draw(100), i = 0;

	if (w.calls++ > CALLS_LARGE && w.large)
		return;
	/* There is not much to be done with a machine of one GiB. */
	if (w.large && draw_chance(10)) {
		call_demote();
		return;
	}
	while (turn >= calls[i].share)
		turn -= calls[i++].share;
	calls[i].call();
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {
		"resize", "surplus", "reserve", "unreserve", "alloc",
		"alloc-reserved", "put", "get", "stranger", "retire",
		"offline", "online", "memory", "destroy", "resize-1g",
		"alloc-1g", "demote", NULL,
	};
	static const struct play play = {
		"hugepool", begin, call, compare, end, calls,
	};

	return play_main(argc, argv, &play);
}
