/* SPDX-License-Identifier: MIT */
/*
 * The stage's machine: its owners, its runs, its end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static const char *const hook_names[] = {
	"isolate", "migrate", "dissolve", "online", "going",
};

const char *fault_name(enum fault fault)
{
	if (fault < FAULT_ISOLATE)
		return test_call_name((enum test_call)fault);
	return hook_names[fault - FAULT_ISOLATE];
}

void must(int err, const char *what)
{
	if (!err)
		return;
	printf("Bail out! set-up failed: %s: error %d\n", what, err);
	exit(1);
}

void stage_arm(struct stage *stage, enum fault fault, uint64_t at)
{
	stage->fault_fired = false;
	stage->fault_at = 0;
	if (fault < FAULT_ISOLATE) {
		test_port_arm((enum test_call)fault, at);
		return;
	}
	stage->fault = fault;
	stage->fault_at = at;
}

bool stage_disarm(struct stage *stage)
{
	bool fired = test_port_disarm();

	stage->fault_at = 0;
	return fired || stage->fault_fired;
}

static bool hook_fails(struct stage *stage, enum fault fault)
{
	if (!stage->fault_at || stage->fault != fault || --stage->fault_at)
		return false;
	stage->fault_fired = true;
	return true;
}

/* ---- contents ---- */

static uint64_t *contents(cf_pfn pfn)
{
	return (uint64_t *)(void *)(test_port.memory +
				    (size_t)pfn * CF_FRAME_BYTES);
}

static uint64_t mark_of(size_t index, cf_pfn offset)
{
	return (index + 1) * UINT64_C(0x9e3779b97f4a7c15) + offset;
}

static void mark(struct stage *stage, size_t index)
{
	const struct stage_run *run = &stage->run[index];
	cf_pfn i;

	for (i = 0; i < (cf_pfn)1 << run->order; i++)
		*contents(run->pfn + i) = mark_of(index, i);
}

void stage_mark(struct stage *stage)
{
	size_t i;

	for (i = 0; i < stage->runs; i++) {
		if (!stage->run[i].offline)
			mark(stage, i);
	}
}

bool stage_runs_intact(struct stage *stage)
{
	size_t index;
	cf_pfn i;

	for (index = 0; index < stage->runs; index++) {
		const struct stage_run *run = &stage->run[index];

		if (cf_find_head(stage->map, run->pfn) != run->pfn)
			return false;
		for (i = 0; !run->offline && i < (cf_pfn)1 << run->order; i++)
			if (*contents(run->pfn + i) != mark_of(index, i))
				return false;
	}
	return true;
}

static struct stage_run *run_at(struct stage *stage, cf_pfn pfn)
{
	size_t i;

	for (i = 0; i < stage->runs; i++) {
		if (stage->run[i].pfn == pfn)
			return &stage->run[i];
	}
	return NULL;
}

static void run_forget(struct stage *stage, cf_pfn pfn)
{
	struct stage_run *run = run_at(stage, pfn);

	if (run) {
		*run = stage->run[--stage->runs];
		if (!run->offline)
			mark(stage, (size_t)(run - stage->run));
	}
}

static void run_add(struct stage *stage, cf_pfn pfn, unsigned order,
		    bool offline)
{
	stage->run[stage->runs++] = (struct stage_run){ pfn, order, offline };
	if (!offline)
		mark(stage, stage->runs - 1);
}

/* ---- hooks ---- */

static int isolate(void *context, cf_pfn pfn, unsigned order)
{
	(void)pfn;
	(void)order;
	return hook_fails(context, FAULT_ISOLATE) ? 1 : 0;
}

static void putback(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
}

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct stage *stage = context;
	struct stage_run *run = run_at(stage, source);
	int err;

	if (stage->inside)
		stage->inside(stage, source, order);
	if (hook_fails(stage, FAULT_MIGRATE) || !run)
		return -CF_EBUSY;
	if (run->offline) {
		run->pfn = target;
		return 0;
	}
	err = cf_freeze(stage->map, source, 2);
	if (err)
		return err;
	err = cf_copy_run(stage->map, source, target, order);
	if (err) {
		cf_unfreeze(stage->map, source, 2);
		return err;
	}
	cf_unfreeze(stage->map, target, 1);
	run->pfn = target;
	stage->moved += (cf_pfn)1 << order;
	return 0;
}

static enum cf_verdict keep(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return CF_VERDICT_KEEP;
}

static int dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct stage *stage = context;

	(void)order;
	if (stage->undecided)
		return -CF_EAGAIN;
	if (hook_fails(stage, FAULT_DISSOLVE))
		return -CF_EREFUSED;
	run_forget(stage, pfn);
	return 0;
}

/* Expose two stretches of each block. */
static int online(void *context, cf_pfn first, cf_pfn last)
{
	struct stage *stage = context;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += STAGE_BLOCK) {
		int err = cf_offline_free_range(stage->map, stage->memory, pfn,
						pfn + CF_CHUNK_FRAMES);

		if (!err)
			err = cf_offline_free_range(stage->map, stage->memory,
						    pfn + 700, pfn + 1000);
		if (err)
			return err;
	}
	return hook_fails(stage, FAULT_ONLINE) ? 1 : 0;
}

static const struct cf_owner_ops mover_ops = {
	.isolate = isolate, .migrate = migrate, .putback = putback,
};
static const struct cf_owner_ops keeper_ops = {
	.release = keep, .dissolve = dissolve,
};
static const struct cf_owner_ops memory_ops = { .online = online };

static int going(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	struct stage *stage = context;

	(void)event;
	(void)first;
	(void)last;
	if (hook_fails(stage, FAULT_GOING))
		return 1;
	stage->going++;
	return 0;
}

static void cancel(void *context, enum cf_event event, cf_pfn first,
		   cf_pfn last)
{
	struct stage *stage = context;

	(void)event;
	(void)first;
	(void)last;
	stage->cancelled++;
}

static void done(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	struct stage *stage = context;

	(void)event;
	(void)first;
	(void)last;
	stage->done++;
}

/* ---- beginning ---- */

static void add_owners(struct stage *stage)
{
	int i;

	MUST(cf_owner_register(stage->map, "mover", &mover_ops, stage,
			       &stage->mover));
	MUST(cf_owner_register(stage->map, "keeper", &keeper_ops, stage,
			       &stage->keeper));
	MUST(cf_owner_register(stage->map, "balloon", &mover_ops, stage,
			       &stage->balloon));
	MUST(cf_owner_register(stage->map, "memory", &memory_ops, stage,
			       &stage->memory));
	for (i = 0; i < 2; i++) {
		stage->subscriber[i] = (struct cf_subscriber){
			.name = i ? "low" : "high", .priority = -i,
			.context = stage, .going = going, .cancel = cancel,
			.done = done,
		};
		MUST(cf_subscriber_add(stage->map, &stage->subscriber[i]));
	}
}

void stage_init(struct stage *stage)
{
	struct cf_map_config config = {
		.last = STAGE_FRAMES, .block_order = STAGE_BLOCK_ORDER,
		.cpus = 2, .nodes = 1, .poison_max = 4,
	};
	size_t bytes;

	memset(stage, 0, sizeof(*stage));
	test_port_init(STAGE_FRAMES);
	bytes = (cf_map_bytes(&config) + 4095) & ~(size_t)4095;
	stage->storage = aligned_alloc(4096, bytes);
	memset(stage->storage, 0, bytes);
	MUST(cf_map_create(&config, stage->storage, &stage->map));
	add_owners(stage);
}

void stage_add(struct stage *stage, unsigned first, unsigned last,
	       uint32_t owner)
{
	struct cf_block_config config = { .range_owner = owner };
	unsigned i;

	for (i = first; i < last; i++)
		MUST(cf_block_add(stage->map, i * STAGE_BLOCK,
				  (i + 1) * STAGE_BLOCK, &config));
}

void stage_online(struct stage *stage, unsigned first, unsigned last,
		  enum cf_zone_kind kind)
{
	stage_add(stage, first, last, 0);
	MUST(cf_block_online(stage->map, first * STAGE_BLOCK,
			     last * STAGE_BLOCK, kind, NULL));
}

cf_pfn stage_folio(struct stage *stage, unsigned order)
{
	struct cf_request request = {
		.order = (uint8_t)order, .type = CF_TYPE_FOLIO,
		.owner = (uint16_t)stage->mover, .zone = CF_ZONE_MOVABLE,
	};
	cf_pfn pfn = CF_PFN_NONE;

	MUST(cf_alloc(stage->map, request, &pfn));
	run_add(stage, pfn, order, false);
	return pfn;
}

cf_pfn stage_kept(struct stage *stage, unsigned order)
{
	struct cf_request request = {
		.order = (uint8_t)order, .type = CF_TYPE_FOLIO,
		.owner = (uint16_t)stage->keeper, .zone = CF_ZONE_MOVABLE,
	};
	cf_pfn pfn = CF_PFN_NONE;

	MUST(cf_alloc(stage->map, request, &pfn));
	run_add(stage, pfn, order, false);
	cf_put(stage->map, pfn);
	return pfn;
}

/* ---- end ---- */

static void run_free(struct stage *stage, const struct stage_run *run)
{
	struct cf_snapshot snapshot;

	MUST(cf_snapshot(stage->map, run->pfn, &snapshot));
	if (snapshot.type == CF_TYPE_OFFLINE)
		MUST(cf_offline_free(stage->map, snapshot.owner, run->pfn,
				     run->order));
	else if (snapshot.refs)
		cf_put(stage->map, run->pfn);
	else
		cf_free_frozen(stage->map, run->pfn, run->order);
}

void stage_free_runs(struct stage *stage)
{
	while (stage->runs)
		run_free(stage, &stage->run[--stage->runs]);
}

/* For results that may be anything. */
static void ignore(int err)
{
	(void)err;
}

/* Free whatever run stands there. Returns how many frames to go on. */
static cf_pfn end_run(struct stage *stage, cf_pfn pfn)
{
	struct cf_snapshot snapshot;
	cf_pfn last;

	if (cf_snapshot(stage->map, pfn, &snapshot))
		return 1;
	last = pfn + ((cf_pfn)1 << snapshot.order);
	if (snapshot.type == CF_TYPE_OFFLINE)
		ignore(cf_offline_free_range(stage->map, snapshot.owner, pfn,
					     last));
	else if (snapshot.refs)
		cf_put(stage->map, pfn);
	else if (snapshot.type != CF_TYPE_RESERVED &&
		 snapshot.type != CF_TYPE_RETIRED)
		cf_free_frozen(stage->map, pfn, snapshot.order);
	return last - pfn;
}

static bool end_block(struct stage *stage, cf_pfn first)
{
	struct cf_block_info info;
	cf_pfn pfn;

	if (cf_block_info(stage->map, first, &info) ||
	    info.state != CF_BLOCK_ONLINE)
		return true;
	for (pfn = first; pfn < first + STAGE_BLOCK;)
		pfn += end_run(stage, pfn);
	return !cf_block_offline(stage->map, first, first + STAGE_BLOCK, 2,
				 NULL);
}

/* Device memory that is idle goes. */
static void end_devices(struct stage *stage)
{
	struct cf_pagemap_info info;
	cf_pfn pfn;

	for (pfn = 0; pfn < STAGE_FRAMES; pfn += STAGE_BLOCK)
		if (!cf_pagemap_info(stage->map, pfn, &info))
			ignore(cf_pagemap_remove(stage->map, info.first,
						 info.last, 1, NULL));
}

bool stage_done(struct stage *stage)
{
	struct cf_block_info info;
	bool good = true;
	cf_pfn pfn, last;
	size_t meta;

	/* It may have ended or never begun. */
	ignore(cf_block_offline_cancel(&stage->operation));
	stage_free_runs(stage);
	end_devices(stage);
	for (pfn = 0; pfn < STAGE_FRAMES; pfn += STAGE_BLOCK)
		good = end_block(stage, pfn) && good;
	for (pfn = 0; pfn < STAGE_FRAMES; pfn = last) {
		last = pfn + STAGE_BLOCK;
		if (cf_block_info(stage->map, pfn, &info))
			continue;
		/* Blocks added together go together. */
		while (cf_block_remove(stage->map, pfn, last) &&
		       last < STAGE_FRAMES)
			last += STAGE_BLOCK;
	}
	good = !cf_map_destroy(stage->map) && good;
	free(stage->storage);
	meta = test_port_done();
	if (!good || meta)
		printf("# the end: map %s, %zu bytes of metadata out\n",
		       good ? "empty" : "not empty", meta);
	return good && !meta;
}
