/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_GROUND_H
#define TESTS_UNIT_GROUND_H

/*
 * A map to stand on, over the test port: small blocks, so that runs span
 * some, and one block of each kind.
 *
 *	block	0	 1-3	 4-7	 8-9	  10		 11
 *		offline	 absent	 NORMAL	 MOVABLE  NORMAL, SELF	 absent
 *	node	0		 0	 0	  1
 */
#include <stdlib.h>
#include <string.h>

#include <coldframe/coldframe.h>

#include "core/internal.h"
#include "tests/fault/port.h"
#include "tests/tap.h"
#include "tests/unit/guard.h"

#define BLOCK_ORDER	11
#define BLOCK		((cf_pfn)1 << BLOCK_ORDER)
#define OFFLINE_FIRST	((cf_pfn)0)
#define OFFLINE_LAST	BLOCK
#define NORMAL_FIRST	(4 * BLOCK)
#define NORMAL_LAST	(8 * BLOCK)
#define MOVABLE_FIRST	(8 * BLOCK)
#define MOVABLE_LAST	(10 * BLOCK)
#define SELF_FIRST	(10 * BLOCK)
#define SELF_LAST	(11 * BLOCK)
#define GROUND_LAST	(12 * BLOCK)
#define GROUND_CPUS	3

static struct cf_map *map;
static void *map_storage;
static uint32_t owner;

static int ground_migrate(void *context, cf_pfn source, cf_pfn target,
			  unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	return -CF_EBUSY;
}

static const struct cf_owner_ops ground_ops = { .migrate = ground_migrate };

static inline void ground_add(cf_pfn first, cf_pfn last, enum cf_meta meta,
			      uint32_t node)
{
	struct cf_block_config config = { .meta = meta, .node = node };

	CHECK(cf_block_add(map, first, last, &config) == 0);
}

static inline void ground_online(cf_pfn first, cf_pfn last,
				 enum cf_zone_kind kind)
{
	CHECK(cf_block_online(map, first, last, kind, NULL) == 0);
}

static inline void ground_make(void)
{
	struct cf_map_config config = {
		.last = GROUND_LAST,
		.block_order = BLOCK_ORDER,
		.cpus = GROUND_CPUS,
		.nodes = 2,
	};
	size_t bytes = cf_map_bytes(&config);

	test_port_init(GROUND_LAST);
	map_storage = aligned_alloc(CF_FRAME_BYTES, bytes);
	if (!map_storage)
		exit(1);
	memset(map_storage, 0, bytes);
	CHECK(cf_map_create(&config, map_storage, &map) == 0);
	guard_lay(map);
	CHECK(cf_owner_register(map, "test", &ground_ops, NULL, &owner) == 0);
	ground_add(OFFLINE_FIRST, OFFLINE_LAST, CF_META_PORT, 0);
	ground_add(NORMAL_FIRST, MOVABLE_LAST, CF_META_PORT, 0);
	ground_add(SELF_FIRST, SELF_LAST, CF_META_SELF, 1);
	ground_online(NORMAL_FIRST, NORMAL_LAST, CF_ZONE_NORMAL);
	ground_online(MOVABLE_FIRST, MOVABLE_LAST, CF_ZONE_MOVABLE);
	ground_online(SELF_FIRST, SELF_LAST, CF_ZONE_NORMAL);
}

/* Frames at the start of the block that hosts its own metadata. */
static inline cf_pfn ground_self(void)
{
	return (cf_block_meta_bytes(map, 1) + CF_FRAME_BYTES - 1) /
	       CF_FRAME_BYTES;
}

/* Frames that can be used. */
static inline cf_pfn ground_frames(void)
{
	return 7 * BLOCK - ground_self();
}

/* The map goes as it is: metadata that is out is given up. */
static inline void ground_drop(void)
{
	CHECK(guard_holds(map));
	(void)test_port_done();
	free(map_storage);
	map = NULL;
}

static inline bool ground_holds(void)
{
	struct cf_finding finding = { .kind = CF_FINDING_NONE };

	if (cf_verify(map, &finding))
		return true;
	tap_print("# %s at %#llx: expected %llu, found %llu\n",
		  cf_finding_name(finding.kind),
		  (unsigned long long)finding.pfn,
		  (unsigned long long)finding.expected,
		  (unsigned long long)finding.found);
	return false;
}

static inline cf_pfn take(enum cf_type type, unsigned order, uint32_t by)
{
	struct cf_request request = {
		.type = (uint8_t)type,
		.order = (uint8_t)order,
		.owner = (uint16_t)by,
	};
	cf_pfn pfn = CF_PFN_NONE;

	CHECK(cf_alloc(map, request, &pfn) == 0);
	return pfn;
}

/* Exactly these frames, as runs of @type. */
static inline void take_at(enum cf_type type, cf_pfn first, cf_pfn last,
			   uint32_t by)
{
	struct cf_request request = {
		.type = (uint8_t)type,
		.owner = (uint16_t)by,
	};

	CHECK(cf_alloc_range(map, first, last, request, NULL) == 0);
}

static inline void take_offline(cf_pfn first, cf_pfn last, uint32_t flags)
{
	CHECK(cf_offline_alloc_range(map, owner, first, last, flags,
				     NULL) == 0);
}

/* A number below @limit; the same row of numbers in every run. */
static inline uint64_t draw(uint64_t limit)
{
	static uint64_t seed = 88172645463325252;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % limit;
}

#define RUNS_MAX	512

static struct {
	cf_pfn pfn;
	unsigned order;
	enum cf_type type;
	unsigned refs;
} runs[RUNS_MAX];
static unsigned runs_count;

static inline void run_drop(unsigned index)
{
	if (runs[index].type == CF_TYPE_OFFLINE)
		CHECK(cf_offline_free(map, owner, runs[index].pfn,
				      runs[index].order) == 0);
	else if (runs[index].refs == 0)
		cf_free_frozen(map, runs[index].pfn, runs[index].order);
	while (runs[index].refs > 0) {
		cf_put(map, runs[index].pfn);
		runs[index].refs--;
	}
	runs[index] = runs[--runs_count];
}

static inline void run_add(enum cf_type type, unsigned order)
{
	cf_pfn pfn;

	if (type == CF_TYPE_OFFLINE) {
		if (cf_offline_alloc(map, owner, order, 0, &pfn))
			return;
	} else {
		struct cf_request request = {
			.type = (uint8_t)type, .order = (uint8_t)order,
			.owner = type == CF_TYPE_FOLIO ? (uint16_t)owner : 0,
			.zone = type == CF_TYPE_FOLIO ? CF_ZONE_MOVABLE : 0,
		};

		if (cf_alloc(map, request, &pfn))
			return;
	}
	runs[runs_count].pfn = pfn;
	runs[runs_count].order = order;
	runs[runs_count].type = type;
	runs[runs_count].refs = type == CF_TYPE_KERNEL || type == CF_TYPE_FOLIO;
	if (type == CF_TYPE_FOLIO && cf_get(map, pfn) == 0)
		runs[runs_count].refs++;
	runs_count++;
}

/* Random runs come and go, mostly small ones, by several contexts. */
static inline void churn(unsigned operations)
{
	static const enum cf_type types[] = {
		CF_TYPE_KERNEL, CF_TYPE_FOLIO, CF_TYPE_PGTABLE, CF_TYPE_SLAB,
		CF_TYPE_OFFLINE,
	};

	while (operations-- > 0) {
		test_port.cpu = (unsigned)draw(GROUND_CPUS);
		if (runs_count == RUNS_MAX || draw(9) < runs_count / 64)
			run_drop((unsigned)draw(runs_count));
		else
			run_add(types[draw(5)], (unsigned)(draw(3) ? draw(4) :
							   draw(11)));
	}
	test_port.cpu = 0;
}

static inline void churn_end(void)
{
	while (runs_count > 0)
		run_drop(runs_count - 1);
}

#endif
