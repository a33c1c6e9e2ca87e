/* SPDX-License-Identifier: MIT */
/*
 * The stock of one context, from the inside: which magazine is used, what is
 * listed where, when refills stop, who is told when stock goes home.
 */
#include "core/cache.h"
#include "core/internal.h"
#include "tests/unit/guard.h"
#include "tests/unit/machine.h"

/* The linker sends all calls here: --wrap. */
unsigned __real_cf_port_cpu(void);
unsigned __wrap_cf_port_cpu(void);

static unsigned posed_as = CF_CPU_NONE;

unsigned __wrap_cf_port_cpu(void)
{
	return posed_as != CF_CPU_NONE ? posed_as : __real_cf_port_cpu();
}

#define MOST	2048
#define STOCK	(2 * MAGAZINE_FRAMES)

static cf_pfn frame[MOST];
static struct cfi_cpu *cpu;
static struct cfi_zone *zone;

static bool begin(struct machine_config config)
{
	if (!CHECK(machine_make(config)))
		return false;
	cpu = &m.map->cpu[cf_port_cpu()];
	zone = &m.map->zone[CF_ZONE_NORMAL];
	return true;
}

static uint64_t stock_of(unsigned magazine)
{
	return cfi_load_relaxed(
		&cpu->cache[CF_ZONE_NORMAL].magazine[magazine].count);
}

static bool is_listed(void)
{
	return cfi_load_relaxed(&m.map->stocked[0]) >> cpu->number & 1;
}

/* Both magazines are used up before anything is fetched, and filled before
 * anything is sent home. */
static void both_magazines(void)
{
	unsigned i;

	if (!begin((struct machine_config){ .blocks = 1 }))
		return;
	CHECK_EQ(fill(kernel(0), frame, 2 * STOCK), 2 * STOCK);
	CHECK_EQ(stat_now().cached, 0);
	put_all(frame, STOCK);
	CHECK_EQ(stock_of(0), MAGAZINE_FRAMES);
	CHECK_EQ(stock_of(1), MAGAZINE_FRAMES);
	CHECK(cpu->cache[CF_ZONE_NORMAL].loaded ==
	      &cpu->cache[CF_ZONE_NORMAL].magazine[1]);
	CHECK(machine_verify());
	for (i = 0; i < STOCK; i++) {
		frame[i] = alloc(kernel(0));
		CHECK_EQ(stat_now().cached, STOCK - 1 - i);
	}
	/* The second one is loaded and full, the first one empty. */
	frame[2 * STOCK] = alloc(kernel(0));
	CHECK(cpu->cache[CF_ZONE_NORMAL].loaded ==
	      &cpu->cache[CF_ZONE_NORMAL].magazine[1]);
	cf_put(m.map, frame[2 * STOCK]);
	CHECK_EQ(stock_of(0), 0);
	CHECK_EQ(stock_of(1), MAGAZINE_FRAMES);
	cf_put(m.map, frame[2 * STOCK - 1]);
	CHECK_EQ(stock_of(0), 1);
	CHECK_EQ(stock_of(1), MAGAZINE_FRAMES);
	put_all(frame, 2 * STOCK - 1);
	CHECK(machine_end());
}

/* Stock of one zone alone is stock. */
static void stock_of_one_zone(void)
{
	struct machine_config config = { .blocks = 1, .movable = 1 };
	struct keeper keeper = { 0 };
	cf_pfn pfn;

	if (!begin(config) || !CHECK(keeper_add(&keeper, "keeper", 0)))
		return;
	pfn = alloc(in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE));
	CHECK_EQ(stock_of(0) + stock_of(1), 0);
	CHECK(is_listed());
	CHECK(machine_verify());
	cf_put(m.map, pfn);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* A refill that finds nothing leaves no trace; a full context is listed. */
static void listed_while_stocked(void)
{
	size_t count;

	if (!begin((struct machine_config){ .blocks = 1 }))
		return;
	CHECK(!is_listed());
	count = fill(kernel(0), frame, MOST);
	CHECK_EQ(count, 1024);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK(!is_listed());
	CHECK_EQ(cf_alloc(m.map, kernel(0), &frame[count]), -CF_ENOMEM);
	CHECK(!is_listed());
	cf_put(m.map, frame[--count]);
	CHECK(is_listed());
	put_all(frame, count);
	CHECK(is_listed());
	CHECK(machine_end());
}

/* Every word of the list is looked at. */
static void listed_contexts(void)
{
	unsigned number;

	if (!begin((struct machine_config){ .cpus = 200 }))
		return;
	CHECK(!cfi_caches_stocked(m.map));
	for (number = 0; number < 200; number += 63) {
		cfi_u64 *word = &m.map->stocked[number / 64];

		cfi_store_relaxed(word, (uint64_t)1 << number % 64);
		CHECK(cfi_caches_stocked(m.map));
		cfi_store_relaxed(word, 0);
	}
	CHECK(!cfi_caches_stocked(m.map));
	CHECK(machine_end());
}

static int set_marks(uint64_t min, uint64_t low, uint64_t high)
{
	struct cf_watermarks marks = { min, low, high };

	return cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, marks);
}

/* A refill must leave more than low; at high all is well again. */
static void refills_and_marks(void)
{
	if (!begin((struct machine_config){ .blocks = 1 }))
		return;
	CHECK_EQ(set_marks(0, 1024 - MAGAZINE_FRAMES,
			   1024 - MAGAZINE_FRAMES), 0);
	frame[0] = alloc(kernel(0));
	CHECK_EQ(stat_now().cached, 0);
	cf_put(m.map, frame[0]);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(set_marks(0, 1023 - MAGAZINE_FRAMES, 1024), 0);
	cfi_store_relaxed(&zone->low_raised, 1);
	frame[0] = alloc(kernel(0));
	CHECK_EQ(stat_now().cached, MAGAZINE_FRAMES - 1);
	CHECK_EQ(cfi_load_relaxed(&zone->low_raised), 0);
	cf_put(m.map, frame[0]);
	CHECK(machine_end());
}

/* Neighbours in different blocks go home to their own. */
static void stock_of_two_blocks(void)
{
	cf_pfn pfn;

	if (!begin((struct machine_config){ .blocks = 2 }))
		return;
	CHECK_EQ(fill(kernel(0), frame, MOST), MOST);
	CHECK_EQ(stat_now().cached, 0);
	for (pfn = 1022; pfn < 1026; pfn++)
		cf_put(m.map, pfn);
	CHECK_EQ(stat_now().cached, 4);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(block_info(0).free, 2);
	CHECK_EQ(block_info(1024).free, 2);
	for (pfn = 1021; pfn > 1017; pfn--)
		cf_put(m.map, pfn);
	for (pfn = 1029; pfn > 1025; pfn--)
		cf_put(m.map, pfn);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(block_info(0).free, 6);
	CHECK_EQ(block_info(1024).free, 6);
	CHECK(machine_verify());
	for (pfn = 0; pfn < MOST; pfn++)
		if (is_head(pfn))
			cf_put(m.map, pfn);
	CHECK(machine_end());
}

static void leave_one_in_stock(void *pfn)
{
	cf_put(m.map, *(cf_pfn *)pfn);
}

/* Who waits for a chunk is told which one a drain has emptied. */
static void emptied_chunk(void)
{
	struct cf_offline operation = { { 0 } };
	cf_pfn pfn = 2 * 512 + 77;
	cfi_u64 *busy;

	if (!begin((struct machine_config){ .blocks = 2 }))
		return;
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 1, kernel(0), NULL), 0);
	machine_on_other(leave_one_in_stock, &pfn);
	busy = &m.map->cpu[1].busy;
	cfi_store_relaxed(busy, 1);
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 1024, 2048, NULL),
		 0);
	CHECK_EQ(cf_block_offline_step(&operation), -CF_EAGAIN);
	cfi_store_relaxed(busy, 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 0);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 1);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_CHUNK_EMPTY], 1024);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	CHECK(machine_end());
}

static void use_stock(void *unused)
{
	cf_pfn pfn = alloc(kernel(3));

	(void)unused;
	CHECK_EQ(pfn / m.block, 0);
	cf_put(m.map, pfn);
	cf_put(m.map, alloc(kernel(0)));
	cf_drain_cpu(m.map);
}

/* The number of contexts is the first number that has no cache. */
static void one_context_too_many(void)
{
	struct cfi_cpu *behind;

	if (!begin((struct machine_config){ .blocks = 4, .cpus = 1 }))
		return;
	/* What lies behind looks like a cache one can enter. */
	behind = &m.map->cpu[1];
	memset(&behind->busy, 0, 2 * sizeof(behind->busy));
	behind->home[CF_ZONE_NORMAL] = 2;
	posed_as = 1;
	use_stock(NULL);
	posed_as = CF_CPU_NONE;
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(behind->home[CF_ZONE_NORMAL], 2);
	guard_lay(m.map);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("both magazines are used", both_magazines);
	tap_run("stock of one zone", stock_of_one_zone);
	tap_run("who has stock is listed, and nobody else",
		listed_while_stocked);
	tap_run("all contexts that are listed are seen", listed_contexts);
	tap_run("refills stop above low", refills_and_marks);
	tap_run("stock of two blocks goes home to both", stock_of_two_blocks);
	tap_run("a drain tells which chunk it has emptied", emptied_chunk);
	tap_run("one context more than there are caches",
		one_context_too_many);
	return tap_done();
}
