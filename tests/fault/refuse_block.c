/* SPDX-License-Identifier: MIT */
/*
 * Refusals of calls on maps and blocks.
 */
#include <string.h>

#include "scene.h"

static cf_pfn block_last(cf_pfn first)
{
	return first + STAGE_BLOCK;
}

/* ---- maps ---- */

static int create_as(cf_pfn last, bool fenced)
{
	static uint8_t storage[1 << 22] __attribute__((aligned(4096)));
	struct cf_map_config config = {
		.last = last, .block_order = STAGE_BLOCK_ORDER, .cpus = 1,
		.fenced = fenced,
	};
	struct cf_map *map;

	memset(storage, 0, sizeof(storage));
	return cf_map_create(&config, storage, &map);
}

static int create_einval(struct scene *scene)
{
	(void)scene;
	return create_as(CF_PFN_LIMIT + 1, true);
}

static int create_eport(struct scene *scene)
{
	(void)scene;
	test_port_arm(TEST_BARRIER, 1);
	return create_as(STAGE_FRAMES, false);
}

static int destroy_ebusy(struct scene *scene)
{
	return cf_map_destroy(scene->stage.map);
}

/* ---- add, remove, adopt ---- */

static int add_as(struct scene *scene, cf_pfn first, enum cf_meta meta)
{
	struct cf_block_config config = { .meta = meta };

	return cf_block_add(scene->stage.map, first, block_last(first),
			    &config);
}

static int add_einval(struct scene *scene)
{
	return add_as(scene, BLOCK_ABSENT, CF_META_CALLER);
}

static int add_ebusy(struct scene *scene)
{
	return add_as(scene, BLOCK_OFFLINE, CF_META_PORT);
}

static int add_enomem(struct scene *scene)
{
	test_port_arm(TEST_META_ALLOC, 1);
	return add_as(scene, BLOCK_ABSENT, CF_META_PORT);
}

static int remove_as(struct scene *scene, cf_pfn first, cf_pfn last)
{
	return cf_block_remove(scene->stage.map, first, last);
}

static int remove_einval(struct scene *scene)
{
	return remove_as(scene, BLOCK_OFFLINE, BLOCK_OFFLINE + 1);
}

static int remove_egone(struct scene *scene)
{
	return remove_as(scene, BLOCK_ABSENT, STAGE_FRAMES);
}

static int remove_ebusy(struct scene *scene)
{
	return remove_as(scene, 0, STAGE_BLOCK);
}

static int info_egone(struct scene *scene)
{
	struct cf_block_info info;

	return cf_block_info(scene->stage.map, BLOCK_ABSENT, &info);
}

static int adopt_einval(struct scene *scene)
{
	return cf_block_adopt(scene->stage.map, 0, STAGE_BLOCK, scene->gone);
}

static int adopt_egone(struct scene *scene)
{
	return cf_block_adopt(scene->stage.map, BLOCK_ABSENT, STAGE_FRAMES, 0);
}

/* The balloon's frames are SKIPPABLE: only it can restore them. */
static int adopt_erefused(struct scene *scene)
{
	cf_pfn first = scene->balloon & ~(STAGE_BLOCK - 1);
	struct cf_map *map = scene->stage.map;
	int err;

	MUST(cf_block_adopt(map, first, first + STAGE_BLOCK,
			    scene->stage.balloon));
	MUST(cf_offline_set_skippable(map, scene->stage.balloon, scene->balloon,
				      scene->balloon + 8, true));
	err = cf_block_adopt(map, first, first + STAGE_BLOCK, 0);
	MUST(cf_offline_set_skippable(map, scene->stage.balloon, scene->balloon,
				      scene->balloon + 8, false));
	MUST(cf_block_adopt(map, first, first + STAGE_BLOCK, 0));
	return err;
}

/* ---- online ---- */

static int online_as(struct scene *scene, cf_pfn first, cf_pfn last)
{
	return cf_block_online(scene->stage.map, first, last, CF_ZONE_NORMAL,
			       NULL);
}

static int online_offline_block(struct scene *scene)
{
	return online_as(scene, BLOCK_OFFLINE, BLOCK_ABSENT);
}

static int online_einval(struct scene *scene)
{
	return cf_block_online(scene->stage.map, BLOCK_OFFLINE, BLOCK_ABSENT,
			       CF_ZONE_DEVICE, NULL);
}

static int online_egone(struct scene *scene)
{
	return online_as(scene, BLOCK_OFFLINE, STAGE_FRAMES);
}

static int online_ebusy(struct scene *scene)
{
	return online_as(scene, 0, STAGE_BLOCK);
}

static int online_erefused(struct scene *scene)
{
	stage_arm(&scene->stage, FAULT_GOING, 2);
	return online_offline_block(scene);
}

/* Without an owner's hook the port is asked by the call itself. */
static int online_eport(struct scene *scene)
{
	int err;

	MUST(cf_block_adopt(scene->stage.map, BLOCK_OFFLINE, BLOCK_ABSENT, 0));
	test_port_arm(TEST_FIRST_EXPOSED, 1);
	err = online_offline_block(scene);
	MUST(cf_block_adopt(scene->stage.map, BLOCK_OFFLINE, BLOCK_ABSENT,
			    scene->stage.memory));
	return err;
}

/* ---- offline ---- */

static int offline_as(struct scene *scene, cf_pfn first, cf_pfn last)
{
	struct cf_report report;

	return cf_block_offline(scene->stage.map, first, last, 1, &report);
}

static int offline_einval(struct scene *scene)
{
	return offline_as(scene, 0, STAGE_BLOCK - 1);
}

static int offline_egone(struct scene *scene)
{
	return offline_as(scene, BLOCK_OFFLINE, BLOCK_ABSENT);
}

static int offline_ebusy(struct scene *scene)
{
	return offline_as(scene, BLOCK_GOING, BLOCK_OFFLINE);
}

static int offline_erefused(struct scene *scene)
{
	stage_arm(&scene->stage, FAULT_GOING, 1);
	return offline_as(scene, BLOCK_MOVABLE, BLOCK_GOING);
}

/* Its owner will not say yet whether it gives the run up. */
static int offline_eagain(struct scene *scene)
{
	struct stage *stage = &scene->stage;
	cf_pfn pfn = stage_kept(stage, 0);
	int err;

	stage->undecided = true;
	err = offline_as(scene, BLOCK_MOVABLE, BLOCK_GOING);
	stage->undecided = false;
	cf_free_frozen(stage->map, pfn, 0);
	stage->runs--;
	return err;
}

static int start_as(struct scene *scene, cf_pfn first, cf_pfn last)
{
	struct cf_offline operation;

	memset(&operation, 0, sizeof(operation));
	return cf_block_offline_start(scene->stage.map, &operation, first,
				      last, NULL);
}

static int start_einval(struct scene *scene)
{
	return start_as(scene, 0, 0);
}

static int start_egone(struct scene *scene)
{
	return start_as(scene, BLOCK_OFFLINE, BLOCK_ABSENT);
}

static int start_ebusy(struct scene *scene)
{
	return start_as(scene, BLOCK_GOING, BLOCK_OFFLINE);
}

static int start_erefused(struct scene *scene)
{
	stage_arm(&scene->stage, FAULT_GOING, 2);
	return start_as(scene, BLOCK_MOVABLE, BLOCK_GOING);
}

static int query_as(struct scene *scene, cf_pfn first, cf_pfn last)
{
	struct cf_report report;

	return cf_block_offline_query(scene->stage.map, first, last, &report);
}

static int query_einval(struct scene *scene)
{
	return query_as(scene, 1, STAGE_BLOCK);
}

static int query_egone(struct scene *scene)
{
	return query_as(scene, BLOCK_ABSENT, STAGE_FRAMES);
}

static int query_ebusy(struct scene *scene)
{
	cf_pfn first = scene->kernel & ~(STAGE_BLOCK - 1);

	return query_as(scene, first, block_last(first));
}

static int step_einval(struct scene *scene)
{
	struct cf_offline operation;

	(void)scene;
	memset(&operation, 0, sizeof(operation));
	return cf_block_offline_step(&operation);
}

static int step_ebusy(struct scene *scene)
{
	return cf_block_offline_step(&scene->stage.operation);
}

/* The only frame in the way is frozen and its owner undecided. */
static int step_eagain(struct scene *scene)
{
	struct stage *stage = &scene->stage;
	struct cf_offline operation;
	cf_pfn pfn = stage_kept(stage, 0);
	int err;

	memset(&operation, 0, sizeof(operation));
	MUST(cf_block_offline_start(stage->map, &operation, BLOCK_MOVABLE,
				    BLOCK_GOING, NULL));
	stage->undecided = true;
	err = cf_block_offline_step(&operation);
	stage->undecided = false;
	MUST(cf_block_offline_cancel(&operation));
	cf_free_frozen(stage->map, pfn, 0);
	stage->runs--;
	return err;
}

static int cancel_einval(struct scene *scene)
{
	struct cf_offline operation;

	(void)scene;
	memset(&operation, 0, sizeof(operation));
	return cf_block_offline_cancel(&operation);
}

const struct refusal block_refusals[] = {
	{ "map_create", CF_EINVAL, create_einval },
	{ "map_create", CF_EPORT, create_eport },
	{ "map_destroy", CF_EBUSY, destroy_ebusy },
	{ "block_add", CF_EINVAL, add_einval },
	{ "block_add", CF_EBUSY, add_ebusy },
	{ "block_add", CF_ENOMEM, add_enomem },
	{ "block_remove", CF_EINVAL, remove_einval },
	{ "block_remove", CF_EGONE, remove_egone },
	{ "block_remove", CF_EBUSY, remove_ebusy },
	{ "block_info", CF_EGONE, info_egone },
	{ "block_adopt", CF_EINVAL, adopt_einval },
	{ "block_adopt", CF_EGONE, adopt_egone },
	{ "block_adopt", CF_EREFUSED, adopt_erefused },
	{ "block_online", CF_EINVAL, online_einval },
	{ "block_online", CF_EGONE, online_egone },
	{ "block_online", CF_EBUSY, online_ebusy },
	{ "block_online", CF_EREFUSED, online_erefused },
	{ "block_online", CF_EPORT, online_eport },
	{ "block_offline", CF_EINVAL, offline_einval },
	{ "block_offline", CF_EGONE, offline_egone },
	{ "block_offline", CF_EBUSY, offline_ebusy },
	{ "block_offline", CF_EREFUSED, offline_erefused },
	{ "block_offline", CF_EAGAIN, offline_eagain },
	{ "block_offline_start", CF_EINVAL, start_einval },
	{ "block_offline_start", CF_EGONE, start_egone },
	{ "block_offline_start", CF_EBUSY, start_ebusy },
	{ "block_offline_start", CF_EREFUSED, start_erefused },
	{ "block_offline_query", CF_EINVAL, query_einval },
	{ "block_offline_query", CF_EGONE, query_egone },
	{ "block_offline_query", CF_EBUSY, query_ebusy },
	{ "block_offline_step", CF_EINVAL, step_einval },
	{ "block_offline_step", CF_EBUSY, step_ebusy },
	{ "block_offline_step", CF_EAGAIN, step_eagain },
	{ "block_offline_cancel", CF_EINVAL, cancel_einval },
	{ NULL, 0, NULL },
};
