/* SPDX-License-Identifier: MIT */
/*
 * Which way a call takes: the short one where it is promised, a second look
 * where the first one may have missed something, the port only where asked.
 * The linker sends the engine's calls here first.
 */
#include "core/cache.h"
#include "core/internal.h"
#include "tests/unit/machine.h"

enum cfi_served __real_cfi_cache_alloc(struct cf_map *map,
				       struct cfi_zone *zone, unsigned order,
				       enum cf_type type, cf_pfn *ret_pfn);
enum cfi_served __wrap_cfi_cache_alloc(struct cf_map *map,
				       struct cfi_zone *zone, unsigned order,
				       enum cf_type type, cf_pfn *ret_pfn);
uint64_t __real_cfi_moves_begun(const struct cf_map *map);
uint64_t __wrap_cfi_moves_begun(const struct cf_map *map);
void __real_cf_port_protect(void *machine, cf_pfn first, cf_pfn last,
			    bool usable);
void __wrap_cf_port_protect(void *machine, cf_pfn first, cf_pfn last,
			    bool usable);

static unsigned long_ways, protections, looks;
static void (*at_look)(void);

enum cfi_served __wrap_cfi_cache_alloc(struct cf_map *map,
				       struct cfi_zone *zone, unsigned order,
				       enum cf_type type, cf_pfn *ret_pfn)
{
	long_ways++;
	return __real_cfi_cache_alloc(map, zone, order, type, ret_pfn);
}

uint64_t __wrap_cfi_moves_begun(const struct cf_map *map)
{
	void (*act)(void) = at_look;

	looks++;
	at_look = NULL;
	if (act)
		act();
	return __real_cfi_moves_begun(map);
}

void __wrap_cf_port_protect(void *machine, cf_pfn first, cf_pfn last,
			    bool usable)
{
	protections++;
	__real_cf_port_protect(machine, first, last, usable);
}

static cf_pfn alloc_and_free(struct cf_request request)
{
	cf_pfn pfn;

	if (cf_alloc(m.map, request, &pfn))
		return CF_PFN_NONE;
	if (request.flags & CF_ALLOC_FROZEN || snapshot(pfn).refs == 0)
		cf_free_frozen(m.map, pfn, request.order);
	else
		cf_put(m.map, pfn);
	return pfn;
}

/* Served by the stock that an allocation and a free before have left? */
static void check_way(struct cf_request request, bool expected)
{
	bool served;

	(void)alloc_and_free(request);
	long_ways = 0;
	served = alloc_and_free(request) != CF_PFN_NONE;
	CHECK_EQ(served && long_ways == 0, expected);
}

static struct cf_request of_type(enum cf_type type)
{
	return (struct cf_request){ .type = (uint8_t)type };
}

/* No owner, no flags but FROZEN, the own node, an order that is stocked. */
static void plain_allocations(void)
{
	struct machine_config config = { .blocks = 1, .movable = 1 };
	struct cf_request anywhere = { .type = CF_TYPE_KERNEL,
				       .node = CF_NODE_ANY };
	struct keeper keeper = { 0 };
	unsigned type;

	if (!CHECK(machine_make(config)))
		return;
	CHECK(keeper_add(&keeper, "keeper", 0));
	for (type = CF_TYPE_NONE; type < CF_TYPE_COUNT; type++)
		check_way(of_type((enum cf_type)type),
			  type == CF_TYPE_KERNEL || type == CF_TYPE_FOLIO ||
			  type == CF_TYPE_PGTABLE || type == CF_TYPE_SLAB);
	check_way(of_type(CF_TYPE_COUNT), 0);
	check_way(anywhere, 1);
	check_way(with_flags(kernel(0), CF_ALLOC_FROZEN), 1);
	check_way(with_flags(kernel(0), CF_ALLOC_ZERO), 0);
	check_way(kernel(1), 1);
	check_way(kernel((unsigned)m.map->zone[0].stock_order.v), 1);
	check_way(kernel((unsigned)m.map->zone[0].stock_order.v + 1), 0);
	check_way(folio(0, keeper.id), 0);
	check_way(in_zone(folio(0, keeper.id), CF_ZONE_MOVABLE), 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* With more than one node, the node that is named need not be the own one. */
static void plain_on_a_node(void)
{
	struct machine_config config = { .blocks = 1, .nodes = 2 };
	struct cf_request there = { .type = CF_TYPE_KERNEL, .node = 1 };
	struct cf_request anywhere = { .type = CF_TYPE_KERNEL,
				       .node = CF_NODE_ANY };

	if (!CHECK(machine_make(config)))
		return;
	check_way(kernel(0), 0);
	check_way(there, 0);
	check_way(anywhere, 1);
	CHECK(machine_end());
}

/* Without the option the port is not asked to protect anything. */
static void nothing_is_protected(void)
{
	struct machine_config config = { .blocks = 3, .absent = 1 };
	struct cf_block_config self = { .meta = CF_META_SELF };
	struct keeper keeper = { 0 };
	enum cf_retire_state state;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	protections = 0;
	CHECK(keeper_add(&keeper, "keeper", 1u << HOOK_MIGRATE));
	cf_put(m.map, alloc(kernel(0)));
	cf_put(m.map, alloc(kernel(9)));
	CHECK_EQ(cf_alloc_range(m.map, 512, 1024, kernel(0), NULL), 0);
	cf_free_range(m.map, 512, 1024);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 512, 1024,
					CF_FLAG_MOVABLE, NULL), 0);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 512, 1024), 0);
	CHECK_EQ(cf_block_offline(m.map, 0, 1024, 4, NULL), 0);
	CHECK_EQ(cf_block_online(m.map, 0, 1024, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(cf_block_add(m.map, 3 * m.block, 4 * m.block, &self), 0);
	CHECK_EQ(cf_block_remove(m.map, 3 * m.block, 4 * m.block), 0);
	pfn = alloc(folio(0, keeper.id));
	CHECK_EQ(cf_retire(m.map, pfn, &state), 0);
	cf_put(m.map, pfn);
	CHECK_EQ(protections, 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_wipe());
}

static cf_pfn frame[2048];

/* As if a cache had just been emptied below the search. */
static void give_one_back(void)
{
	cfi_moves_begin(&m.map->moves);
	cf_put(m.map, frame[0]);
	cfi_moves_end(&m.map->moves);
}

static void looks_again(void)
{
	struct machine_config config = { .blocks = 1, .no_caches = true };
	size_t count;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	count = fill(kernel(0), frame, 2048);
	CHECK_EQ(count, 1024);
	looks = 0;
	CHECK_EQ(cf_alloc(m.map, kernel(0), &pfn), -CF_ENOMEM);
	CHECK_EQ(looks, 1);
	at_look = give_one_back;
	CHECK_EQ(cf_alloc(m.map, kernel(0), &frame[0]), 0);
	put_all(frame, count);
	CHECK(machine_end());
}

/* A context comes back to the block that served it last. */
static void where_searches_begin(void)
{
	struct machine_config config = { .blocks = 4, .no_caches = true };
	cf_pfn large, small;

	if (!CHECK(machine_make(config)))
		return;
	large = alloc(kernel(11));
	small = alloc(kernel(0));
	CHECK_EQ(m.map->cpu[cf_port_cpu()].home[CF_ZONE_NORMAL],
		 small / m.block);
	m.map->cpu[cf_port_cpu()].home[CF_ZONE_NORMAL] = 3;
	cf_put(m.map, alloc(kernel(9)));
	CHECK_EQ(m.map->cpu[cf_port_cpu()].home[CF_ZONE_NORMAL], 3);
	cf_put(m.map, small);
	cf_put(m.map, large);
	CHECK(machine_end());
}

/* Contexts begin apart; a block that is not there serves nobody. */
static void homes(void)
{
	struct machine_config config = { .blocks = 3, .absent = 1,
					 .no_caches = true };

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(m.map->cpu[0].home[CF_ZONE_NORMAL], 0);
	CHECK_EQ(m.map->cpu[1].home[CF_ZONE_NORMAL], 2);
	CHECK_EQ(m.map->cpu[1].home[CF_ZONE_MOVABLE], 2);
	m.map->cpu[cf_port_cpu()].home[CF_ZONE_NORMAL] = 3;
	cf_put(m.map, alloc(kernel(3)));
	CHECK(machine_end());
}

/* Each move that begins ends, also those of runs of several blocks. */
static void moves_end(void)
{
	struct machine_config config = { .blocks = 2, .no_caches = true };

	if (!CHECK(machine_make(config)))
		return;
	cf_put(m.map, alloc(kernel(11)));
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(cfi_moves_begun(m.map), cfi_moves_ended(m.map));
	CHECK(machine_end());
}

/* A sum that is negative for a moment is none; the largest runs are told. */
static void told_figures(void)
{
	struct machine_config config = { .block_order = CF_BLOCK_ORDER_MAX };
	struct cf_zone_stat zone;

	if (!CHECK(machine_make(config)))
		return;
	cfi_store_relaxed(&m.map->type_frames[CF_TYPE_KERNEL], (uint64_t)-5);
	CHECK_EQ(stat_now().by_type[CF_TYPE_KERNEL], 0);
	cfi_store_relaxed(&m.map->type_frames[CF_TYPE_KERNEL], 0);
	cfi_store_relaxed(&m.map->owner_frames[CF_OWNER_ORPHAN], (uint64_t)-5);
	CHECK_EQ(cfi_owner_frames(m.map, CF_OWNER_ORPHAN), 0);
	cfi_store_relaxed(&m.map->owner_frames[CF_OWNER_ORPHAN], 0);
	CHECK_EQ(cf_zone_stat(m.map, 0, CF_ZONE_NORMAL, &zone), 0);
	CHECK_EQ(zone.runs[CF_BLOCK_ORDER_MAX], 1);
	CHECK(machine_end());
}

/* Free frames of a zone are counted while it has marks only. */
static void counted_for_marks(void)
{
	const struct cf_watermarks none = { 0, 0, 0 }, some = { 0, 0, 1 };
	const struct cfi_zone *zone;

	if (!CHECK(machine_make((struct machine_config){ 0 })))
		return;
	zone = &m.map->zone[CF_ZONE_NORMAL];
	CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, some), 0);
	CHECK_EQ(cfi_load_relaxed(&zone->watching), 1);
	CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, none), 0);
	CHECK_EQ(cfi_load_relaxed(&zone->watching), 0);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("plain allocations take the short way", plain_allocations);
	tap_run("but not where the node is another's", plain_on_a_node);
	tap_run("without the option nothing is protected",
		nothing_is_protected);
	tap_run("a search is repeated while free frames move", looks_again);
	tap_run("searches begin where the last one ended",
		where_searches_begin);
	tap_run("contexts begin apart", homes);
	tap_run("moves end", moves_end);
	tap_run("figures at their ends", told_figures);
	tap_run("free frames are counted for marks only", counted_for_marks);
	return tap_done();
}
