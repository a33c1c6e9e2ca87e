/* SPDX-License-Identifier: MIT */
/*
 * Caches: stock of one frame, contexts that others empty, ways past them.
 * Two contexts on a small machine; marks of a context set by hand.
 */
#include "core/cache.h"
#include "core/internal.h"
#include "tests/unit/machine.h"

#define MOST		4096
#define STOCK		(2 * MAGAZINE_FRAMES)

static cf_pfn frame[MOST];

/* The linker sends the engine's calls here: --wrap. */
int __real_cf_port_barrier_all(void);
int __wrap_cf_port_barrier_all(void);
void __real_cf_port_relax(unsigned spins);
void __wrap_cf_port_relax(unsigned spins);
void __real_cf_port_read_lock(void);
void __wrap_cf_port_read_lock(void);

static bool barrier_fails;
static unsigned barriers;

int __wrap_cf_port_barrier_all(void)
{
	barriers++;
	return barrier_fails ? -1 : __real_cf_port_barrier_all();
}

static struct cfi_cpu *context(unsigned number)
{
	return &m.map->cpu[number];
}

/* Context 1 leaves its cache when it was waited for so often. */
static unsigned leaves_after;

void __wrap_cf_port_relax(unsigned spins)
{
	if (leaves_after > 0 && spins == leaves_after)
		cfi_store_relaxed(&context(1)->busy, 0);
	__real_cf_port_relax(spins);
}

/* Called in the middle of a refill, as an interrupt may come there. */
static void (*in_refill)(void);

void __wrap_cf_port_read_lock(void)
{
	void (*act)(void) = in_refill;

	__real_cf_port_read_lock();
	in_refill = NULL;
	if (act)
		act();
}

/* Pretend that a context is inside its cache, as an interrupt finds it. */
static void set_busy(unsigned number, bool busy)
{
	cfi_store_relaxed(&context(number)->busy, busy);
}

static void last_in_first_out(void)
{
	struct machine_config config = { .blocks = 2 };
	cf_pfn a, b;

	if (!CHECK(machine_make(config)))
		return;
	a = alloc(kernel(0));
	b = alloc(kernel(0));
	/* A fresh stock goes out from the lowest frame. */
	CHECK_EQ(b, a + 1);
	cf_put(m.map, a);
	CHECK_EQ(alloc(kernel(0)), a);
	cf_put(m.map, b);
	cf_put(m.map, a);
	CHECK_EQ(alloc(kernel(0)), a);
	CHECK_EQ(alloc(kernel(0)), b);
	cf_put(m.map, a);
	cf_put(m.map, b);
	CHECK(machine_end());
}

/* Never more than two magazines stay; a refill is one. */
static void stock_is_bounded(void)
{
	struct machine_config config = { .blocks = 2 };
	size_t count, i;

	if (!CHECK(machine_make(config)))
		return;
	frame[0] = alloc(kernel(0));
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES - 1);
	count = 1 + fill(kernel(0), frame + 1, 1023);
	CHECK_EQ(stat_now().free + stat_now().cached, 2048 - count);
	for (i = 0; i < count; i++) {
		cf_put(m.map, frame[i]);
		CHECK(stat_now().cached <= STOCK);
		CHECK_EQ(unused_frames(), 2048 - count + i + 1);
	}
	CHECK(machine_end());
}

/* Alloc @count runs of @order, free them, and say how many are in stock. */
static unsigned kept(unsigned order, unsigned count)
{
	struct cf_stat before, after;
	unsigned i;

	for (i = 0; i < count; i++)
		frame[i] = alloc(kernel(order));
	CHECK_EQ(cf_drain(m.map), 0);
	cf_stat(m.map, &before);
	for (i = 0; i < count; i++)
		cf_put(m.map, frame[i]);
	cf_stat(m.map, &after);
	CHECK_EQ(after.by_type[CF_TYPE_KERNEL], 0);
	return (unsigned)((after.cached - before.cached) >> order);
}

/* Put as many runs of every order as may stay in stock, and one more. */
static void fill_stock(unsigned most)
{
	unsigned order, count, i;

	for (order = 0; order <= most; order++) {
		count = order == 0 ? STOCK + 1 :
			order > m.map->block_shift ? 2 : 5;
		for (i = 0; i < count; i++)
			frame[i] = alloc(kernel(order));
		while (i > 0)
			cf_put(m.map, frame[--i]);
	}
}

/* All that all contexts may keep beside single frames is a share. */
static void a_share(void)
{
	static const struct machine_config configs[] = {
		{ .blocks = 1, .block_order = 15, .cpus = 1 },
		{ .blocks = 3, .block_order = 12, .cpus = 2 },
		{ .blocks = 16, .block_order = 10, .cpus = 3 },
		{ .blocks = 64, .block_order = 10, .cpus = 1 },
	};
	uint64_t cached, share;
	unsigned most, i;

	for (i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		if (!CHECK(machine_make(configs[i])))
			return;
		most = (unsigned)cfi_load_relaxed(&m.map->zone[0].stock_order);
		share = most > m.map->block_shift ? 3 : 8;
		fill_stock(most);
		cached = stat_now().cached - STOCK;
		CHECK(cached > 0 && cached * m.map->config.cpus <=
		      m.last / share);
		CHECK(machine_end());
	}
}

/* The runs freed last of each order, up to what the machine bears. */
static void runs_in_stock(void)
{
	struct machine_config config = { .blocks = 32, .block_order = 12 };
	struct cf_stat stat;
	unsigned most;
	cf_pfn other;

	if (!CHECK(machine_make(config)))
		return;
	most = (unsigned)cfi_load_relaxed(&m.map->zone[0].stock_order);
	/* An eighth of 131072 frames for two contexts; 12 would be 11256. */
	CHECK_EQ(m.map->config.cpus, 2);
	CHECK_EQ(most, 11);
	CHECK_EQ(kept(3, 8), 4);
	CHECK_EQ(cf_find_head(m.map, frame[3] + 1), CF_PFN_NONE);
	CHECK_EQ(alloc(kernel(3)), frame[3]);
	CHECK_EQ(alloc(kernel(3)), frame[2]);
	cf_put(m.map, frame[2]);
	cf_put(m.map, frame[3]);
	CHECK_EQ(kept(8, 8), 4);
	CHECK_EQ(kept(most, 2), 1);
	CHECK_EQ(kept(most + 1, 1), 0);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK(machine_end());
	/* Also of several blocks. */
	config = (struct machine_config){ .blocks = 128 };
	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(cfi_load_relaxed(&m.map->zone[0].stock_order), 14);
	CHECK_EQ(kept(12, 2), 1);
	CHECK_EQ(alloc(kernel(12)), frame[0]);
	cf_put(m.map, frame[0]);
	/* One, whatever its order; smaller ones do not count. */
	other = alloc(kernel(14));
	frame[1] = alloc(kernel(10));
	cf_put(m.map, other);
	cf_put(m.map, frame[1]);
	cf_stat(m.map, &stat);
	CHECK_EQ(stat.cached, (1 << 12) + (1 << 10));
	CHECK_EQ(alloc(kernel(12)), frame[0]);
	cf_put(m.map, alloc(kernel(14)));
	cf_put(m.map, frame[0]);
	cf_stat(m.map, &stat);
	CHECK_EQ(stat.cached, (1 << 14) + (1 << 10));
	CHECK_EQ(kept(15, 1), 0);
	CHECK_EQ(cf_drain(m.map), 0);
	cf_stat(m.map, &stat);
	CHECK_EQ(stat.cached, 0);
	CHECK_EQ(stat.free, 128 * 1024);
	CHECK(machine_end());
}

/* Runs below 2 MiB are taken several at once; what is left is in stock. */
static void runs_by_the_stack(void)
{
	struct machine_config config = { .blocks = 16, .block_order = 12 };

	if (!CHECK(machine_make(config)))
		return;
	frame[0] = alloc(kernel(5));
	CHECK_EQ(stat_now().cached, 3 << 5);
	frame[1] = alloc(kernel(5));
	CHECK_EQ(stat_now().cached, 2 << 5);
	/* Chunks are not: each is worth a search. */
	frame[2] = alloc(kernel(9));
	CHECK_EQ(stat_now().cached, 2 << 5);
	/* No further chunk is broken for stock. */
	frame[3] = alloc(kernel(8));
	CHECK_EQ(stat_now().cached, 2 << 5);
	frame[4] = alloc(kernel(8));
	CHECK_EQ(stat_now().cached, (2 << 5) + (1 << 8));
	CHECK(machine_wipe());
}

/* The own stock is no reason to fail, even if nobody may be drained. */
static void runs_out_of_stock(void)
{
	struct machine_config config = { .blocks = 1 };
	struct cf_request large = with_flags(kernel(10), CF_ALLOC_NOWAIT);
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	cf_put(m.map, alloc(kernel(0)));
	cf_put(m.map, alloc(kernel(2)));
	barriers = 0;
	pfn = alloc(large);
	CHECK_EQ(pfn, 0);
	cf_put(m.map, pfn);
	CHECK_EQ(barriers, 0);
	CHECK(machine_end());
}

static void draining(void)
{
	struct machine_config config = { .blocks = 2 };
	struct cf_stat stat;

	if (!CHECK(machine_make(config)))
		return;
	cf_put(m.map, alloc(kernel(0)));
	CHECK(stat_now().cached > 0);
	CHECK(cfi_caches_stocked(m.map));
	CHECK_EQ(cf_drain(m.map), 0);
	stat = stat_now();
	CHECK_EQ(stat.cached, 0);
	CHECK_EQ(stat.free, 2048);
	CHECK(!cfi_caches_stocked(m.map));
	CHECK_EQ(whole_chunks(), 4);
	/* And the cache serves again. */
	cf_put(m.map, alloc(kernel(0)));
	CHECK(stat_now().cached > 0);
	cf_drain_cpu(m.map);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(!cfi_caches_stocked(m.map));
	CHECK(machine_end());
}

static void use_cache(void *unused)
{
	(void)unused;
	cf_put(m.map, alloc(kernel(0)));
}

static void drain_all(void *unused)
{
	(void)unused;
	CHECK_EQ(cf_drain(m.map), 0);
}

/* Whoever drains empties the caches of all others. */
static void drained_by_others(void)
{
	struct machine_config config = { .blocks = 2, .cpus = 2 };

	if (!CHECK(machine_make(config)))
		return;
	use_cache(NULL);
	machine_on_other(use_cache, NULL);
	CHECK(stat_now().cached > MAGAZINE_FRAMES);
	machine_on_other(drain_all, NULL);
	CHECK_EQ(stat_now().cached, 0);
	machine_on_other(use_cache, NULL);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(stat_now().cached, 0);
	/* Only one's own. */
	machine_on_other(use_cache, NULL);
	cf_drain_cpu(m.map);
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES);
	CHECK(machine_end());
}

/* A context that stays inside is not waited for; the others are emptied. */
static void busy_too_long(void)
{
	struct machine_config config = { .blocks = 2 };

	if (!CHECK(machine_make(config)))
		return;
	use_cache(NULL);
	machine_on_other(use_cache, NULL);
	set_busy(1, true);
	FAILS(CF_EAGAIN, cf_drain(m.map));
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES);
	/* Nobody is kept out afterwards. */
	use_cache(NULL);
	CHECK(stat_now().cached > MAGAZINE_FRAMES);
	set_busy(1, false);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(machine_end());
}

/* But it is waited for. */
static void busy_for_a_while(void)
{
	struct machine_config config = { .blocks = 2 };

	if (!CHECK(machine_make(config)))
		return;
	machine_on_other(use_cache, NULL);
	set_busy(1, true);
	leaves_after = 100;
	CHECK_EQ(cf_drain(m.map), 0);
	leaves_after = 0;
	CHECK_EQ(stat_now().cached, 0);
	CHECK(machine_end());
}

/* Nothing is known of others without a barrier: their caches stay. */
static void barrier_goes_wrong(void)
{
	struct machine_config config = { .blocks = 2 };
	uint64_t cached;

	if (cf_host_fenced()) {
		tap_skip_this("caches are fenced here");
		return;
	}
	if (!CHECK(machine_make(config)))
		return;
	use_cache(NULL);
	cached = stat_now().cached;
	barriers = 0;
	barrier_fails = true;
	FAILS(CF_EAGAIN, cf_drain(m.map));
	barrier_fails = false;
	CHECK_EQ(barriers, 1);
	CHECK_EQ(stat_now().cached, cached);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(machine_end());
}

/* As an interrupt inside the cache: everything works, past the cache. */
static void inside_oneself(void)
{
	struct machine_config config = { .blocks = 2 };
	uint64_t cached;
	cf_pfn a, b;

	if (!CHECK(machine_make(config)))
		return;
	a = alloc(kernel(0));
	cached = stat_now().cached;
	set_busy(0, true);
	b = alloc(kernel(0));
	CHECK(b != a);
	CHECK_EQ(stat_now().cached, cached);
	CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], 2);
	cf_put(m.map, a);
	CHECK_EQ(stat_now().cached, cached);
	cf_put(m.map, b);
	CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], 0);
	/* It did not leave for the one it interrupted. */
	CHECK_EQ(cfi_load_relaxed(&context(0)->busy), 1);
	set_busy(0, false);
	CHECK(machine_end());
}

static cf_pfn given_inside;

static void alloc_and_put(void)
{
	CHECK_EQ(cfi_load_relaxed(&context(0)->busy), 1);
	CHECK_EQ(cf_alloc(m.map, kernel(0), &given_inside), 0);
	cf_put(m.map, given_inside);
	CHECK_EQ(cf_alloc(m.map, kernel(0), &given_inside), 0);
}

/* The same where it happens: a handler in the middle of a refill. */
static void inside_a_refill(void)
{
	struct machine_config config = { .blocks = 2 };
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	in_refill = alloc_and_put;
	pfn = alloc(kernel(0));
	CHECK(in_refill == NULL);
	CHECK(pfn != given_inside);
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES - 1);
	CHECK_EQ(cfi_load_relaxed(&context(0)->busy), 0);
	cf_put(m.map, given_inside);
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

/* While anything is isolated nothing enters or leaves a cache. */
static void kept_out(void)
{
	struct machine_config config = { .blocks = 2 };
	unsigned long state;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	pfn = alloc(kernel(0));
	CHECK_EQ(cfi_divert_begin(m.map), 0);
	CHECK_EQ(stat_now().cached, 0);
	cf_put(m.map, pfn);
	CHECK_EQ(stat_now().cached, 0);
	pfn = alloc(kernel(0));
	CHECK_EQ(stat_now().cached, 0);
	/* Two may keep contexts out; the last one lets them in. */
	CHECK_EQ(cfi_divert_begin(m.map), 0);
	cfi_divert_end(m.map);
	cf_put(m.map, pfn);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(cfi_divert_drain(m.map), 0);
	cfi_divert_end(m.map);
	use_cache(NULL);
	CHECK(stat_now().cached > 0);
	state = cf_lock(&m.map->drain_lock);
	CHECK_EQ(m.map->divert_holds, 0);
	cf_unlock(&m.map->drain_lock, state);
	CHECK(machine_end());
}

static void divert_underflow(void)
{
	cfi_divert_end(m.map);
}

static void misuse(void)
{
	struct machine_config config = { 0 };

	if (!CHECK(machine_make(config)))
		return;
	CHECK(panics(divert_underflow, 0));
	CHECK(machine_end());
}

/* Offlining raises it for as long as it goes. */
static void kept_out_by_offlining(void)
{
	struct machine_config config = { .blocks = 2 };
	struct cf_offline operation = { { 0 } };
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	pfn = alloc(kernel(0));
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 1024, 2048, NULL),
		 0);
	CHECK_EQ(stat_now().cached, 0);
	cf_put(m.map, pfn);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(cf_block_offline_cancel(&operation), 0);
	use_cache(NULL);
	CHECK(stat_now().cached > 0);
	CHECK(machine_end());
}

static void use_without_number(void *unused)
{
	(void)unused;
	cf_host_leave(NULL);
	CHECK_EQ(cf_port_cpu(), CF_CPU_NONE);
	use_cache(NULL);
	cf_put(m.map, alloc(kernel(9)));
	cf_drain_cpu(m.map);
}

static void contexts_without_number(void)
{
	struct machine_config config = { .blocks = 2 };

	if (!CHECK(machine_make(config)))
		return;
	machine_on_other(use_without_number, NULL);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], 0);
	CHECK(machine_end());
}

static void put_frames(void *frames)
{
	put_all(frames, 200);
}

/* Freed elsewhere than allocated: sums stay right. */
static void counts_of_contexts(void)
{
	struct machine_config config = { .blocks = 2 };
	struct cf_stat stat;

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(fill(kernel(0), frame, 200), 200);
	CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], 200);
	machine_on_other(put_frames, frame);
	stat = stat_now();
	CHECK_EQ(stat.by_type[CF_TYPE_KERNEL], 0);
	CHECK_EQ(stat.free + stat.cached, 2048);
	CHECK(stat.cached <= 2 * STOCK);
	CHECK(machine_end());
}

/* Frames of owners come from stock as well. */
static void stock_for_owners(void)
{
	struct machine_config config = { .blocks = 1, .movable = 1 };
	struct keeper keeper = { 0 };
	cf_pfn a, b;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	a = alloc(folio(0, keeper.id));
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES - 1);
	b = alloc(in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE));
	CHECK_EQ(stat_now().cached, 2 * (MAGAZINE_FRAMES - 1));
	cf_put(m.map, a);
	cf_put(m.map, b);
	CHECK_EQ(stat_now().cached, 2 * MAGAZINE_FRAMES);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* A frame goes into the stock of its zone, and out for nothing else. */
static void zones_are_apart(void)
{
	struct machine_config config = { .blocks = 1, .movable = 1,
					 .nodes = 2 };
	struct keeper keeper = { 0 };
	struct cf_request request;
	unsigned node;
	size_t i;

	if (!CHECK(machine_make(config)) || !CHECK(keeper_add(&keeper, "k", 0)))
		return;
	request = in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE);
	for (i = 0; i < 150; i++) {
		request.node = i % 2;
		frame[i] = alloc(request);
	}
	put_all(frame, 150);
	for (i = 0; i < 100; i++) {
		request = kernel(0);
		request.node = i % 2;
		frame[i] = alloc(request);
		node = (unsigned)(frame[i] / 2048);
		CHECK_EQ(node, i % 2);
		CHECK_EQ(frame[i] / 1024, 2 * node);
	}
	put_all(frame, 100);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void without_caches(void)
{
	struct machine_config config = { .blocks = 2, .no_caches = true };

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(fill(kernel(0), frame, 300), 300);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(stat_now().free, 2048 - 300);
	put_all(frame, 300);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(cf_drain(m.map), 0);
	use_cache(NULL);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(machine_end());
}

static void with_a_fence(void)
{
	struct machine_config config = { .blocks = 2, .fenced = true };

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(fill(kernel(0), frame, 300), 300);
	put_all(frame, 300);
	machine_on_other(use_cache, NULL);
	CHECK(stat_now().cached > 0);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("last in, first out; lowest first", last_in_first_out);
	tap_run("two magazines are the most", stock_is_bounded);
	tap_run("of higher orders the runs freed last", runs_in_stock);
	tap_run("runs in stock are a share of the zone", a_share);
	tap_run("runs below 2 MiB are taken several at once",
		runs_by_the_stack);
	tap_run("the own stock is looked through first", runs_out_of_stock);
	tap_run("draining empties, and the cache serves on", draining);
	tap_run("caches are drained by others", drained_by_others);
	tap_run("a context that stays inside", busy_too_long);
	tap_run("a context that leaves", busy_for_a_while);
	tap_run("the barrier goes wrong", barrier_goes_wrong);
	tap_run("inside oneself the cache is passed by", inside_oneself);
	tap_run("a handler inside a refill", inside_a_refill);
	tap_run("kept out: nothing enters or leaves", kept_out);
	tap_run("letting in once too often panics", misuse);
	tap_run("offlining keeps contexts out", kept_out_by_offlining);
	tap_run("contexts without a number", contexts_without_number);
	tap_run("freed by another than allocated", counts_of_contexts);
	tap_run("frames with an owner", stock_for_owners);
	tap_run("zones and nodes do not mix", zones_are_apart);
	tap_run("maps without caches", without_caches);
	tap_run("maps with fenced caches", with_a_fence);
	return tap_done();
}
