/* SPDX-License-Identifier: MIT */
/*
 * The scene of the refusals.
 */
#include "scene.h"

static const struct cf_owner_ops no_ops = { 0 };

static cf_pfn alloc(struct scene *scene, unsigned order, enum cf_type type)
{
	struct cf_request request = {
		.order = (uint8_t)order, .type = (uint8_t)type,
	};
	cf_pfn pfn = CF_PFN_NONE;

	MUST(cf_alloc(scene->stage.map, request, &pfn));
	return pfn;
}

static void make_runs(struct scene *scene)
{
	struct stage *stage = &scene->stage;
	unsigned i;

	scene->kernel = alloc(scene, 2, CF_TYPE_KERNEL);
	scene->frozen = alloc(scene, 2, CF_TYPE_SLAB);
	scene->full = alloc(scene, 0, CF_TYPE_KERNEL);
	MUST(cf_freeze(stage->map, scene->full, 1));
	cf_unfreeze(stage->map, scene->full, CF_REFS_MAX);
	scene->pinned = alloc(scene, 0, CF_TYPE_KERNEL);
	for (i = 0; i < CF_PINS_MAX; i++)
		MUST(cf_pin(stage->map, scene->pinned));
	scene->folio = stage_folio(stage, 1);
	MUST(cf_offline_alloc(stage->map, stage->balloon, 3, CF_FLAG_MOVABLE,
			      &scene->balloon));
}

static void make_orphan(struct scene *scene)
{
	struct cf_map *map = scene->stage.map;

	MUST(cf_owner_register(map, "gone", &no_ops, NULL, &scene->gone));
	MUST(cf_offline_alloc(map, scene->gone, 2, 0, &scene->orphan));
	MUST(cf_owner_unregister(map, scene->gone, NULL));
}

/* A kernel frame where it is wanted. */
static void put_kernel(struct scene *scene, cf_pfn pfn)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	MUST(cf_alloc_range(scene->stage.map, pfn, pfn + 1, request, NULL));
}

void scene_init(struct scene *scene)
{
	struct stage *stage = &scene->stage;

	stage_init(stage);
	stage_online(stage, 0, 2, CF_ZONE_NORMAL);
	make_runs(scene);
	make_orphan(scene);
	stage_online(stage, 3, 4, CF_ZONE_NORMAL);
	put_kernel(scene, STAGE_BLOCK + 7);
	put_kernel(scene, BLOCK_GOING + 7);
	MUST(cf_block_offline_start(stage->map, &stage->operation, BLOCK_GOING,
				    BLOCK_OFFLINE, NULL));
	stage_online(stage, 2, 3, CF_ZONE_MOVABLE);
	stage_add(stage, 4, 5, stage->memory);
}

bool scene_done(struct scene *scene)
{
	struct cf_map *map = scene->stage.map;
	cf_pfn last = scene->orphan + 4;
	unsigned i;

	for (i = 0; i < CF_PINS_MAX; i++)
		cf_unpin(map, scene->pinned);
	MUST(cf_freeze(map, scene->full, CF_REFS_MAX));
	MUST(cf_offline_adopt_range(map, scene->stage.balloon, scene->orphan,
				    last));
	return stage_done(&scene->stage);
}
