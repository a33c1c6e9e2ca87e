/* SPDX-License-Identifier: MIT */
/*
 * The operations that can meet a fault: how to get there, the call, the way
 * back, and what each fault may make of it.
 */
#include "cases.h"

/* Blocks a case works on: [0, 3). */
#define BLOCKS_LAST	(3 * STAGE_BLOCK)

static void nothing(struct stage *stage)
{
	(void)stage;
}

/* ---- adding and removing ---- */

static int add_three(struct stage *stage)
{
	struct cf_block_config config = { .meta = CF_META_PORT };

	return cf_block_add(stage->map, 0, BLOCKS_LAST, &config);
}

static int add_self(struct stage *stage)
{
	struct cf_block_config config = { .meta = CF_META_SELF };

	return cf_block_add(stage->map, 0, BLOCKS_LAST, &config);
}

static int remove_three(struct stage *stage)
{
	return cf_block_remove(stage->map, 0, BLOCKS_LAST);
}

static void undo_add(struct stage *stage)
{
	MUST(remove_three(stage));
}

static void setup_added(struct stage *stage)
{
	MUST(add_three(stage));
}

/* ---- online ---- */

static int online_three(struct stage *stage)
{
	return cf_block_online(stage->map, 0, BLOCKS_LAST, CF_ZONE_NORMAL,
			       NULL);
}

static void undo_online(struct stage *stage)
{
	MUST(cf_block_offline(stage->map, 0, BLOCKS_LAST, 1, NULL));
}

static void setup_owned(struct stage *stage)
{
	stage_add(stage, 0, 3, stage->memory);
}

/* What the hook left offline cannot be skipped: give it up first. */
static void undo_online_owned(struct stage *stage)
{
	cf_pfn pfn;

	for (pfn = 0; pfn < BLOCKS_LAST; pfn += STAGE_BLOCK) {
		MUST(cf_offline_set_skippable(stage->map, stage->memory,
					      pfn + 512, pfn + 700, true));
		MUST(cf_offline_set_skippable(stage->map, stage->memory,
					      pfn + 1000, pfn + 1024, true));
	}
	undo_online(stage);
}

/* ---- offline ---- */

static cf_pfn block_at(cf_pfn pfn)
{
	return pfn & ~(STAGE_BLOCK - 1);
}

/* Three movable blocks with folios of many orders; the first run's goes. */
static void setup_movable(struct stage *stage)
{
	unsigned i;

	stage_online(stage, 0, 3, CF_ZONE_MOVABLE);
	for (i = 0; i < 24; i++)
		(void)stage_folio(stage, i % 6);
	stage->first = block_at(stage->run[0].pfn);
	stage->last = stage->first + STAGE_BLOCK;
}

static int offline_once(struct stage *stage)
{
	return cf_block_offline(stage->map, stage->first, stage->last, 1,
				NULL);
}

/* Frames the port would not take back are the orphan's: take them over. */
static void adopt(struct stage *stage)
{
	cf_pfn pfn;

	for (pfn = stage->first; pfn < stage->last; pfn++) {
		struct cf_snapshot snapshot;
		cf_pfn last;

		if (cf_snapshot(stage->map, pfn, &snapshot) ||
		    snapshot.owner != CF_OWNER_ORPHAN)
			continue;
		last = pfn + ((cf_pfn)1 << snapshot.order);
		MUST(cf_offline_adopt_range(stage->map, stage->balloon, pfn,
					    last));
		MUST(cf_offline_free_range(stage->map, stage->balloon, pfn,
					   last));
	}
}

static int offline_patient(struct stage *stage)
{
	return cf_block_offline(stage->map, stage->first, stage->last, 8,
				NULL);
}

static int offline_balloon(struct stage *stage)
{
	adopt(stage);
	return offline_patient(stage);
}

static void undo_offline(struct stage *stage)
{
	MUST(cf_block_online(stage->map, stage->first, stage->last,
			     CF_ZONE_MOVABLE, NULL));
}

static void setup_kept(struct stage *stage)
{
	unsigned i;

	stage_online(stage, 0, 3, CF_ZONE_MOVABLE);
	for (i = 0; i < 8; i++)
		(void)stage_kept(stage, i % 4);
	stage->first = block_at(stage->run[0].pfn);
	stage->last = stage->first + STAGE_BLOCK;
}

static void setup_balloon(struct stage *stage)
{
	unsigned i;

	stage_online(stage, 0, 3, CF_ZONE_MOVABLE);
	for (i = 0; i < 8; i++) {
		struct stage_run *run = &stage->run[stage->runs++];

		run->order = i % 4;
		run->offline = true;
		MUST(cf_offline_alloc(stage->map, stage->balloon, run->order,
				      CF_FLAG_MOVABLE, &run->pfn));
	}
	stage->first = block_at(stage->run[0].pfn);
	stage->last = stage->first + STAGE_BLOCK;
}

static int start(struct stage *stage)
{
	return cf_block_offline_start(stage->map, &stage->operation,
				      stage->first, stage->last, NULL);
}

static void undo_start(struct stage *stage)
{
	MUST(cf_block_offline_cancel(&stage->operation));
}

static void setup_started(struct stage *stage)
{
	setup_movable(stage);
	MUST(start(stage));
}

/* Until it is done or something stays in the way. */
static int steps(struct stage *stage)
{
	int passes, err = -CF_EAGAIN;

	for (passes = 0; passes < 4 && err == -CF_EAGAIN; passes++)
		err = cf_block_offline_step(&stage->operation);
	return err;
}

static int cancel(struct stage *stage)
{
	return cf_block_offline_cancel(&stage->operation);
}

static void undo_cancel(struct stage *stage)
{
	MUST(start(stage));
}

/* ---- ranges ---- */

/* Free and movable frames, to be taken across two chunks. */
static void setup_range(struct stage *stage)
{
	unsigned i;

	stage_online(stage, 0, 3, CF_ZONE_NORMAL);
	for (i = 0; i < 30; i++)
		(void)stage_folio(stage, i % 5);
	stage->first = stage->run[0].pfn & ~(cf_pfn)15;
	stage->last = stage->first + 600;
}

static int alloc_range_of(struct stage *stage, uint16_t flags)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL, .flags = flags,
	};

	return cf_alloc_range(stage->map, stage->first, stage->last, request,
			      NULL);
}

static int alloc_range(struct stage *stage)
{
	return alloc_range_of(stage, 0);
}

static int alloc_range_zero(struct stage *stage)
{
	return alloc_range_of(stage, CF_ALLOC_ZERO);
}

static void undo_alloc_range(struct stage *stage)
{
	cf_free_range(stage->map, stage->first, stage->last);
}

static void setup_empty(struct stage *stage)
{
	stage_online(stage, 0, 3, CF_ZONE_NORMAL);
	stage->first = 100;
	stage->last = 1500;
}

static int offline_range(struct stage *stage)
{
	return cf_offline_alloc_range(stage->map, stage->balloon, stage->first,
				      stage->last, CF_FLAG_MOVABLE, NULL);
}

static void undo_offline_range(struct stage *stage)
{
	MUST(cf_offline_free_range(stage->map, stage->balloon, stage->first,
				   stage->last));
}

static void setup_offline_range(struct stage *stage)
{
	setup_empty(stage);
	MUST(offline_range(stage));
}

static int free_offline_range(struct stage *stage)
{
	return cf_offline_free_range(stage->map, stage->balloon, stage->first,
				     stage->last);
}

/* Never onlined and returned frames in turn. */
static void setup_mixed(struct stage *stage)
{
	stage_add(stage, 0, 2, stage->memory);
	MUST(cf_block_online(stage->map, 0, 2 * STAGE_BLOCK, CF_ZONE_NORMAL,
			     NULL));
	MUST(cf_offline_free_range(stage->map, stage->memory, 600, 620));
	MUST(cf_offline_alloc_range(stage->map, stage->memory, 600, 620, 0,
				    NULL));
	MUST(cf_offline_alloc_range(stage->map, stage->memory, 400, 512, 0,
				    NULL));
	stage->first = 400;
	stage->last = 700;
}


static int free_mixed(struct stage *stage)
{
	return cf_offline_free_range(stage->map, stage->memory, stage->first,
				     stage->last);
}

/* ---- one run ---- */

static void setup_offline_run(struct stage *stage)
{
	stage_online(stage, 0, 1, CF_ZONE_NORMAL);
	MUST(cf_offline_alloc(stage->map, stage->balloon, 9, 0,
			      &stage->first));
	stage->last = stage->first + CF_CHUNK_FRAMES;
}

static int free_offline_run(struct stage *stage)
{
	return cf_offline_free(stage->map, stage->balloon, stage->first, 9);
}

static void setup_plain(struct stage *stage)
{
	stage_online(stage, 0, 1, CF_ZONE_NORMAL);
}

static int offline_bulk(struct stage *stage)
{
	cf_pfn pfns[8];
	size_t count = 0;
	int err = cf_offline_alloc_bulk(stage->map, stage->balloon, 5, 0, 8,
					pfns, &count);

	while (count--) {
		struct stage_run *run = &stage->run[stage->runs++];

		*run = (struct stage_run){ pfns[count], 5, true };
	}
	return err;
}

static int alloc_zero(struct stage *stage)
{
	struct cf_request request = {
		.order = 4, .type = CF_TYPE_KERNEL, .flags = CF_ALLOC_ZERO,
	};

	return cf_alloc(stage->map, request, &stage->pfn);
}

static void undo_alloc(struct stage *stage)
{
	cf_put(stage->map, stage->pfn);
}

/* All memory is out but for a few frames. */
static void setup_scarce(struct stage *stage)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	cf_pfn pfn, last[4] = { 0 };
	size_t count = 0;

	stage_online(stage, 0, 1, CF_ZONE_NORMAL);
	while (!cf_alloc(stage->map, request, &pfn))
		last[count++ % 4] = pfn;
	for (count = 0; count < 4; count++)
		cf_free_frozen(stage->map, last[count], 0);
}

/* The other CPU has them all in its cache. */
static int alloc_one(struct stage *stage)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn;

	test_port.cpu = 1;
	MUST(cf_alloc(stage->map, request, &pfn));
	cf_put(stage->map, pfn);
	test_port.cpu = 0;
	return cf_alloc(stage->map, request, &stage->pfn);
}

/* ---- caches, bad frames, compaction ---- */

static void setup_cached(struct stage *stage)
{
	setup_movable(stage);
	stage->pfn = stage->last == BLOCKS_LAST ? 5 : BLOCKS_LAST - 5;
}

static int drain(struct stage *stage)
{
	return cf_drain(stage->map);
}

static int retire(struct stage *stage)
{
	enum cf_retire_state state;

	return cf_retire(stage->map, stage->pfn, &state);
}

/* A few movable frames in each of many chunks. */
static void setup_scattered(struct stage *stage)
{
	size_t i, kept = 0;

	stage_online(stage, 0, 3, CF_ZONE_MOVABLE);
	for (i = 0; i < STAGE_RUNS; i++)
		(void)stage_folio(stage, 3);
	for (i = 0; i < stage->runs; i++) {
		struct stage_run run = stage->run[i];

		if (run.pfn % CF_CHUNK_FRAMES < 48)
			stage->run[kept++] = run;
		else
			cf_put(stage->map, run.pfn);
	}
	stage->runs = kept;
	stage_mark(stage);
}

static int compact(struct stage *stage)
{
	struct cf_compaction done;

	return cf_compact(stage->map, 0, CF_ZONE_MOVABLE, 2, &done);
}

/* ---- side tables, contents ---- */

static int side_add(struct stage *stage)
{
	return cf_side_add(stage->map, &stage->side, 24);
}

static void undo_side_add(struct stage *stage)
{
	cf_side_remove(stage->map, &stage->side);
}

static void setup_side(struct stage *stage)
{
	stage_online(stage, 0, 1, CF_ZONE_NORMAL);
	MUST(side_add(stage));
}

static int side_extend(struct stage *stage)
{
	void *entry;

	return cf_side_extend(&stage->side, 17, &entry);
}

static int copy(struct stage *stage)
{
	return cf_copy_run(stage->map, 32, 64, 5);
}

/* ---- device memory, of an owner that says nothing to it ---- */

static int device_add(struct stage *stage, enum cf_meta meta)
{
	struct cf_pagemap_config config = {
		.kind = CF_PAGEMAP_COHERENT, .owner = stage->memory,
		.meta = meta,
	};

	return cf_pagemap_add(stage->map, 3 * STAGE_BLOCK, 5 * STAGE_BLOCK,
			      &config);
}

static int device_add_port(struct stage *stage)
{
	return device_add(stage, CF_META_PORT);
}

static int device_add_self(struct stage *stage)
{
	return device_add(stage, CF_META_SELF);
}

static int device_remove(struct stage *stage)
{
	return cf_pagemap_remove(stage->map, 3 * STAGE_BLOCK, 5 * STAGE_BLOCK,
				 1, NULL);
}

static void undo_device_add(struct stage *stage)
{
	MUST(device_remove(stage));
}

static void setup_device(struct stage *stage)
{
	MUST(device_add_port(stage));
}

/* A run of the machine's is to move to the device. */
static void setup_device_move(struct stage *stage)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL, .order = CF_CHUNK_ORDER,
	};

	stage_online(stage, 0, 1, CF_ZONE_NORMAL);
	setup_device(stage);
	MUST(cf_alloc(stage->map, request, &stage->pfn));
}

static int device_move(struct stage *stage)
{
	cf_pfn target = 3 * STAGE_BLOCK;
	struct cf_migration migration = {
		.source = stage->pfn, .refs = 1, .targets = &target,
		.count = 1,
	};

	return cf_pagemap_migrate(stage->map, &migration);
}

/* Back to where it was: nothing else has taken that. */
static void undo_device_move(struct stage *stage)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL, .flags = CF_ALLOC_FROZEN,
	};
	struct cf_migration migration = {
		.source = 3 * STAGE_BLOCK, .refs = 1,
		.targets = &stage->pfn, .count = 1,
	};

	MUST(cf_alloc_range(stage->map, stage->pfn,
			    stage->pfn + CF_CHUNK_FRAMES, request, NULL));
	MUST(cf_pagemap_migrate(stage->map, &migration));
}

/* ---- the table ---- */

/* A run that cannot be moved this time stands in the way. */
#define MOVING_ONCE							\
	[FAULT_ISOLATE] = E(CF_EBUSY) | E(CF_EAGAIN),			\
	[FAULT_MIGRATE] = E(CF_EBUSY) | E(CF_EAGAIN),			\
	/* Or what failed only fetched the frame ahead. */		\
	[FAULT_FRAME_ADDRESS] = OK | E(CF_EBUSY) | E(CF_EAGAIN)
#define MOVING								\
	[FAULT_ISOLATE] = OK | E(CF_EBUSY),				\
	[FAULT_MIGRATE] = OK | E(CF_EBUSY),				\
	[FAULT_FRAME_ADDRESS] = OK | E(CF_EBUSY)

const struct fault_case fault_cases[] = {
	{ "block_add, metadata of the port's", nothing, add_three, undo_add,
	  SAME_ALL, SAME_ALL, { [FAULT_META_ALLOC] = E(CF_ENOMEM) } },
	{ "block_add, metadata in the blocks", nothing, add_self, undo_add,
	  SAME_ALL, SAME_ALL, { [FAULT_FRAME_ADDRESS] = E(CF_ENOMEM) } },
	{ "pagemap_add, metadata of the port's", nothing, device_add_port,
	  undo_device_add, SAME_ALL, SAME_ALL,
	  { [FAULT_META_ALLOC] = E(CF_ENOMEM) } },
	{ "pagemap_add, metadata in the range", nothing, device_add_self,
	  undo_device_add, SAME_ALL, SAME_ALL,
	  { [FAULT_FRAME_ADDRESS] = E(CF_ENOMEM) } },
	{ "pagemap_remove", setup_device, device_remove, setup_device,
	  SAME_ALL, SAME_ALL, { 0 } },
	{ "pagemap_migrate", setup_device_move, device_move,
	  undo_device_move, SAME_ALL, SAME_ALL,
	  { [FAULT_FRAME_ADDRESS] = E(CF_EPORT) } },
	{ "block_remove", setup_added, remove_three, setup_added,
	  SAME_ALL, SAME_ALL, { 0 } },
	{ "block_online, all exposed", setup_added, online_three, undo_online,
	  SAME_ALL, SAME_ALL, { [FAULT_FIRST_EXPOSED] = E(CF_EPORT),
				[FAULT_GOING] = E(CF_EREFUSED) } },
	{ "block_online, by the owner's hook", setup_owned, online_three,
	  undo_online_owned, SAME_ALL, SAME_ALL,
	  { [FAULT_FIRST_EXPOSED] = E(CF_EREFUSED) | E(CF_EPORT),
	    [FAULT_ONLINE] = E(CF_EREFUSED),
	    [FAULT_GOING] = E(CF_EREFUSED) } },
	{ "block_offline, one pass over folios", setup_movable, offline_once,
	  undo_offline, SAME_MOVED, SAME_MOVED,
	  { MOVING_ONCE, [FAULT_GOING] = E(CF_EREFUSED),
	    [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "block_offline, many passes", setup_movable, offline_patient,
	  undo_offline, SAME_MOVED, SAME_MOVED,
	  { MOVING, [FAULT_GOING] = E(CF_EREFUSED),
	    [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "block_offline, kept runs", setup_kept, offline_patient,
	  undo_offline, SAME_ANY, SAME_ANY,
	  { [FAULT_DISSOLVE] = OK | E(CF_EBUSY),
	    [FAULT_GOING] = E(CF_EREFUSED),
	    [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "block_offline, a balloon", setup_balloon, offline_balloon,
	  undo_offline, SAME_ORPHANED, SAME_ANY,
	  { [FAULT_ISOLATE] = OK | E(CF_EBUSY),
	    [FAULT_MIGRATE] = OK | E(CF_EBUSY),
	    [FAULT_RETURNED] = E(CF_EBUSY),
	    [FAULT_GOING] = E(CF_EREFUSED),
	    [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "block_offline_start", setup_movable, start, undo_start,
	  SAME_ALL, SAME_ALL, { [FAULT_GOING] = E(CF_EREFUSED),
				[FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "block_offline_step", setup_started, steps,
	  undo_offline, SAME_MOVED, SAME_ANY, { MOVING } },
	{ "block_offline_cancel", setup_started, cancel, undo_cancel,
	  SAME_ALL, SAME_ALL, { 0 } },
	{ "alloc_range", setup_range, alloc_range, undo_alloc_range,
	  SAME_MOVED, SAME_MOVED, { MOVING, [FAULT_BARRIER] = OK |
				    E(CF_EAGAIN) } },
	{ "alloc_range, zeroed", setup_empty, alloc_range_zero,
	  undo_alloc_range, SAME_ALL, SAME_ALL,
	  { [FAULT_FRAME_ADDRESS] = E(CF_EPORT) } },
	{ "offline_alloc_range", setup_range, offline_range,
	  undo_offline_range, SAME_MOVED, SAME_MOVED,
	  { MOVING, [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "offline_free_range, returned", setup_offline_range,
	  free_offline_range, nothing, SAME_PREFIX, SAME_ANY,
	  { [FAULT_RETURNED] = E(CF_EPORT) } },
	{ "offline_free_range, never onlined between", setup_mixed,
	  free_mixed, nothing, SAME_PREFIX, SAME_ANY,
	  { [FAULT_RETURNED] = E(CF_EPORT),
	    [FAULT_FIRST_EXPOSED] = E(CF_EPORT) } },
	{ "offline_free", setup_offline_run, free_offline_run, nothing,
	  SAME_ALL, SAME_ANY, { [FAULT_RETURNED] = E(CF_EPORT) } },
	{ "offline_alloc_bulk", setup_plain, offline_bulk, stage_free_runs,
	  SAME_ALL, SAME_ALL, { 0 } },
	{ "alloc, zeroed", setup_plain, alloc_zero, undo_alloc,
	  SAME_ALL, SAME_ALL, { [FAULT_FRAME_ADDRESS] = E(CF_EPORT) } },
	{ "alloc, the last frames in another cache", setup_scarce, alloc_one,
	  undo_alloc, SAME_ALL, SAME_ALL,
	  { [FAULT_BARRIER] = E(CF_ENOMEM) } },
	{ "drain", setup_cached, drain, nothing, SAME_ALL, SAME_ALL,
	  { [FAULT_BARRIER] = E(CF_EAGAIN) } },
	{ "retire", setup_cached, retire, nothing, SAME_ALL, SAME_ANY,
	  { [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "compact", setup_scattered, compact, nothing, SAME_MOVED, SAME_MOVED,
	  { [FAULT_ISOLATE] = OK | E(CF_ENOMEM),
	    [FAULT_MIGRATE] = OK | E(CF_ENOMEM),
	    [FAULT_FRAME_ADDRESS] = OK | E(CF_ENOMEM),
	    [FAULT_BARRIER] = OK | E(CF_EAGAIN) } },
	{ "side_add", nothing, side_add, undo_side_add, SAME_ALL, SAME_ALL,
	  { [FAULT_META_ALLOC] = E(CF_ENOMEM) } },
	{ "side_extend", setup_side, side_extend, undo_side_add,
	  SAME_ALL, SAME_ANY,
	  { [FAULT_META_ALLOC] = E(CF_ENOMEM) } },
	{ "copy_run", setup_plain, copy, nothing, SAME_ALL, SAME_ALL,
	  { [FAULT_FRAME_ADDRESS] = E(CF_EPORT) } },
};

const size_t fault_case_count = sizeof(fault_cases) / sizeof(fault_cases[0]);
