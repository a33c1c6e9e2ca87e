/* SPDX-License-Identifier: MIT */
/*
 * Refusals of calls on device memory, and of merging.  Each makes a range
 * where the scene has no block, and takes it away again.
 */
#include "scene.h"

#define FIRST	BLOCK_ABSENT
#define LAST	(BLOCK_ABSENT + STAGE_BLOCK)
#define NEXT	(FIRST + CF_CHUNK_FRAMES)

static struct {
	uint32_t id;
	int fault_says;
} driver;

static int fault(void *context, cf_pfn pfn, unsigned order, cf_pfn touched,
		 cf_pfn *ret_pfn)
{
	(void)context;
	(void)pfn;
	(void)order;
	(void)touched;
	(void)ret_pfn;
	return driver.fault_says;
}

static const struct cf_owner_ops driver_ops = { .fault = fault };

static struct cf_map *begin(struct scene *scene, enum cf_pagemap_kind kind)
{
	struct cf_map *map = scene->stage.map;
	struct cf_pagemap_config config = { .kind = kind };

	driver.fault_says = -CF_EREFUSED;
	MUST(cf_owner_register(map, "driver", &driver_ops, NULL, &driver.id));
	config.owner = driver.id;
	MUST(cf_pagemap_add(map, FIRST, LAST, &config));
	return map;
}

/* The first run has a reference. */
static struct cf_map *begin_used(struct scene *scene)
{
	struct cf_map *map = begin(scene, CF_PAGEMAP_PRIVATE);

	MUST(cf_pagemap_hand_out(map, driver.id, FIRST));
	return map;
}

static struct cf_map *begin_removal(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	MUST(cf_pagemap_remove_start(map, FIRST, LAST));
	return map;
}

static int end(struct scene *scene, int err)
{
	struct cf_map *map = scene->stage.map;
	struct cf_pagemap_info info;
	struct cf_snapshot run;

	if (!cf_pagemap_info(map, FIRST, &info)) {
		if (info.removing)
			MUST(cf_pagemap_remove_cancel(map, FIRST, LAST));
		if (!cf_snapshot(map, FIRST, &run) && run.refs)
			cf_put(map, FIRST);
		MUST(cf_pagemap_remove(map, FIRST, LAST, 1, NULL));
	}
	MUST(cf_owner_unregister(map, driver.id, NULL));
	return err;
}

/* ---- ranges ---- */

static int add_as(struct scene *scene, struct cf_pagemap_config config,
		  cf_pfn first)
{
	int err;

	(void)begin(scene, CF_PAGEMAP_P2P);
	MUST(cf_pagemap_remove(scene->stage.map, FIRST, LAST, 1, NULL));
	config.owner = driver.id;
	err = cf_pagemap_add(scene->stage.map, first, first + STAGE_BLOCK,
			     &config);
	return end(scene, err);
}

static int add_einval(struct scene *scene)
{
	struct cf_pagemap_config config = {
		.kind = CF_PAGEMAP_PRIVATE,
		.meta = CF_META_SELF,
	};

	return add_as(scene, config, FIRST);
}

static int add_ebusy(struct scene *scene)
{
	struct cf_pagemap_config config = { .kind = CF_PAGEMAP_P2P };

	return add_as(scene, config, BLOCK_OFFLINE);
}

static int add_enomem(struct scene *scene)
{
	struct cf_map *map = begin(scene, CF_PAGEMAP_P2P);
	struct cf_pagemap_config config = {
		.kind = CF_PAGEMAP_P2P, .owner = driver.id,
	};
	int err;

	MUST(cf_pagemap_remove(map, FIRST, LAST, 1, NULL));
	test_port_arm(TEST_META_ALLOC, 1);
	err = cf_pagemap_add(map, FIRST, LAST, &config);
	(void)test_port_disarm();
	return end(scene, err);
}

static int start_einval(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_remove_start(map, FIRST, NEXT));
}

static int start_egone(struct scene *scene)
{
	return cf_pagemap_remove_start(scene->stage.map, FIRST, LAST);
}

static int start_ebusy(struct scene *scene)
{
	struct cf_map *map = begin_removal(scene);

	return end(scene, cf_pagemap_remove_start(map, FIRST, LAST));
}

static int step_einval(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_remove_step(map, FIRST, LAST, NULL));
}

static int undecided(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return -CF_EAGAIN;
}

static const struct cf_owner_ops slow_ops = { .dissolve = undecided };

/* The owner has not yet put its run where it can give it up from. */
static int with_slow(struct scene *scene, bool in_steps)
{
	struct cf_map *map = scene->stage.map;
	struct cf_pagemap_config config = { .kind = CF_PAGEMAP_P2P };
	int err;

	MUST(cf_owner_register(map, "slow", &slow_ops, NULL, &config.owner));
	MUST(cf_pagemap_add(map, FIRST, LAST, &config));
	if (in_steps) {
		MUST(cf_pagemap_remove_start(map, FIRST, LAST));
		err = cf_pagemap_remove_step(map, FIRST, LAST, NULL);
		MUST(cf_pagemap_remove_cancel(map, FIRST, LAST));
	} else {
		err = cf_pagemap_remove(map, FIRST, LAST, 2, NULL);
	}
	MUST(cf_owner_unregister(map, config.owner, NULL));
	MUST(cf_pagemap_remove(map, FIRST, LAST, 1, NULL));
	return err;
}

static int step_eagain(struct scene *scene)
{
	return with_slow(scene, true);
}

static int step_ebusy(struct scene *scene)
{
	struct cf_map *map = begin_removal(scene);

	return end(scene, cf_pagemap_remove_step(map, FIRST, LAST, NULL));
}

static int cancel_einval(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_remove_cancel(map, FIRST, LAST));
}

static int remove_einval(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_remove(map, FIRST, NEXT, 1, NULL));
}

static int remove_egone(struct scene *scene)
{
	return cf_pagemap_remove(scene->stage.map, FIRST, LAST, 1, NULL);
}

static int remove_ebusy(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_remove(map, FIRST, LAST, 2, NULL));
}

static int remove_eagain(struct scene *scene)
{
	return with_slow(scene, false);
}

static int info_egone(struct scene *scene)
{
	struct cf_pagemap_info info;

	return cf_pagemap_info(scene->stage.map, scene->kernel, &info);
}

/* ---- runs ---- */

static int hand_out_egone(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_hand_out(map, driver.id, FIRST + 1));
}

static int hand_out_eagain(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_hand_out(map, driver.id, FIRST));
}

static int hand_out_erefused(struct scene *scene)
{
	struct cf_map *map = begin_removal(scene);

	return end(scene, cf_pagemap_hand_out(map, driver.id, NEXT));
}

static int retire_as(struct scene *scene, uint32_t id, cf_pfn pfn)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_pagemap_retire(map, id ? id : driver.id, pfn,
					    NULL));
}

static int retire_egone(struct scene *scene)
{
	return retire_as(scene, 0, scene->kernel);
}

static int retire_eagain(struct scene *scene)
{
	return retire_as(scene, 0, FIRST);
}

static int retire_erefused(struct scene *scene)
{
	return retire_as(scene, scene->stage.mover, NEXT);
}

static int frame_retire_ebusy(struct scene *scene)
{
	struct cf_map *map = begin_removal(scene);
	enum cf_retire_state state;

	return end(scene, cf_retire(map, FIRST, &state));
}

static int change_erefused(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);

	return end(scene, cf_owner_change(map, FIRST, CF_OWNER_NONE));
}

/* ---- migration ---- */

static int copy_fails(void *context, cf_pfn source, cf_pfn target,
		      unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	return 1;
}

static int migrate_as(struct scene *scene, cf_pfn source, uint32_t refs,
		      cf_pfn target)
{
	struct cf_migration migration = {
		.source = source,
		.refs = refs,
		.targets = &target,
		.count = 1,
		.copy = copy_fails,
	};

	return end(scene, cf_pagemap_migrate(scene->stage.map, &migration));
}

static int migrate_einval(struct scene *scene)
{
	(void)begin_used(scene);
	return migrate_as(scene, FIRST, 0, NEXT);
}

static int migrate_egone(struct scene *scene)
{
	(void)begin_used(scene);
	return migrate_as(scene, FIRST, 1, NEXT + 1);
}

static int migrate_eagain(struct scene *scene)
{
	(void)begin_used(scene);
	return migrate_as(scene, FIRST, 2, NEXT);
}

static int migrate_erefused(struct scene *scene)
{
	(void)begin_removal(scene);
	return migrate_as(scene, FIRST, 1, NEXT);
}

static int migrate_eport(struct scene *scene)
{
	(void)begin_used(scene);
	return migrate_as(scene, FIRST, 1, NEXT);
}

/* ---- faults ---- */

static int fault_as(struct scene *scene, cf_pfn pfn, int says)
{
	struct cf_map *map = begin_used(scene);
	cf_pfn where;

	driver.fault_says = says;
	return end(scene, cf_pagemap_fault(map, pfn, &where));
}

static int fault_einval(struct scene *scene)
{
	return fault_as(scene, scene->kernel, 0);
}

static int fault_egone(struct scene *scene)
{
	return fault_as(scene, NEXT, 0);
}

static int fault_eagain(struct scene *scene)
{
	return fault_as(scene, FIRST, -CF_EAGAIN);
}

static int fault_enomem(struct scene *scene)
{
	return fault_as(scene, FIRST, -CF_ENOMEM);
}

static int fault_erefused(struct scene *scene)
{
	return fault_as(scene, FIRST, -CF_EPORT);
}

static int fault_elimit(struct scene *scene)
{
	struct cf_map *map = begin_used(scene);
	cf_pfn where;
	int err;

	MUST(cf_freeze(map, FIRST, 1));
	cf_unfreeze(map, FIRST, CF_REFS_MAX);
	err = cf_pagemap_fault(map, FIRST, &where);
	MUST(cf_freeze(map, FIRST, CF_REFS_MAX));
	cf_unfreeze(map, FIRST, 1);
	return end(scene, err);
}

/* ---- merging ---- */

static int merge_einval(struct scene *scene)
{
	return cf_merge(scene->stage.map, scene->frozen, 0);
}

static int merge_egone(struct scene *scene)
{
	return cf_merge(scene->stage.map, FIRST, 3);
}

static int merge_eagain(struct scene *scene)
{
	return cf_merge(scene->stage.map, scene->kernel, 2);
}

static int merge_erefused(struct scene *scene)
{
	return cf_merge(scene->stage.map, scene->frozen, 1);
}

const struct refusal device_refusals[] = {
	{ "pagemap_add", CF_EINVAL, add_einval },
	{ "pagemap_add", CF_EBUSY, add_ebusy },
	{ "pagemap_add", CF_ENOMEM, add_enomem },
	{ "pagemap_remove_start", CF_EINVAL, start_einval },
	{ "pagemap_remove_start", CF_EGONE, start_egone },
	{ "pagemap_remove_start", CF_EBUSY, start_ebusy },
	{ "pagemap_remove_step", CF_EINVAL, step_einval },
	{ "pagemap_remove_step", CF_EAGAIN, step_eagain },
	{ "pagemap_remove_step", CF_EBUSY, step_ebusy },
	{ "pagemap_remove_cancel", CF_EINVAL, cancel_einval },
	{ "pagemap_remove", CF_EINVAL, remove_einval },
	{ "pagemap_remove", CF_EGONE, remove_egone },
	{ "pagemap_remove", CF_EBUSY, remove_ebusy },
	{ "pagemap_remove", CF_EAGAIN, remove_eagain },
	{ "pagemap_info", CF_EGONE, info_egone },
	{ "pagemap_hand_out", CF_EGONE, hand_out_egone },
	{ "pagemap_hand_out", CF_EAGAIN, hand_out_eagain },
	{ "pagemap_hand_out", CF_EREFUSED, hand_out_erefused },
	{ "pagemap_retire", CF_EGONE, retire_egone },
	{ "pagemap_retire", CF_EAGAIN, retire_eagain },
	{ "pagemap_retire", CF_EREFUSED, retire_erefused },
	{ "retire", CF_EBUSY, frame_retire_ebusy },
	{ "owner_change", CF_EREFUSED, change_erefused },
	{ "pagemap_migrate", CF_EINVAL, migrate_einval },
	{ "pagemap_migrate", CF_EGONE, migrate_egone },
	{ "pagemap_migrate", CF_EAGAIN, migrate_eagain },
	{ "pagemap_migrate", CF_EREFUSED, migrate_erefused },
	{ "pagemap_migrate", CF_EPORT, migrate_eport },
	{ "pagemap_fault", CF_EINVAL, fault_einval },
	{ "pagemap_fault", CF_EGONE, fault_egone },
	{ "pagemap_fault", CF_EAGAIN, fault_eagain },
	{ "pagemap_fault", CF_ELIMIT, fault_elimit },
	{ "pagemap_fault", CF_ENOMEM, fault_enomem },
	{ "pagemap_fault", CF_EREFUSED, fault_erefused },
	{ "merge", CF_EINVAL, merge_einval },
	{ "merge", CF_EGONE, merge_egone },
	{ "merge", CF_EAGAIN, merge_eagain },
	{ "merge", CF_EREFUSED, merge_erefused },
	{ NULL, 0, NULL },
};
