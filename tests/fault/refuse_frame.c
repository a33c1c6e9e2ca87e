/* SPDX-License-Identifier: MIT */
/*
 * Refusals of calls on single runs.
 */
#include "scene.h"

/* What a wrong request, or one for which there is no memory, is told. */
static int alloc_as(struct scene *scene, struct cf_request request)
{
	cf_pfn pfn;

	return cf_alloc(scene->stage.map, request, &pfn);
}

static int alloc_einval(struct scene *scene)
{
	return alloc_as(scene, (struct cf_request){ .type = CF_TYPE_OFFLINE });
}

static int alloc_egone(struct scene *scene)
{
	return alloc_as(scene, (struct cf_request){
		.type = CF_TYPE_KERNEL, .owner = (uint16_t)scene->gone });
}

static int alloc_enomem(struct scene *scene)
{
	return alloc_as(scene, (struct cf_request){
		.type = CF_TYPE_KERNEL, .order = CF_MAX_ORDER });
}

static int alloc_eport(struct scene *scene)
{
	test_port_arm(TEST_FRAME_ADDRESS, 1);
	return alloc_as(scene, (struct cf_request){
		.type = CF_TYPE_KERNEL, .flags = CF_ALLOC_ZERO });
}

static int get_elimit(struct scene *scene)
{
	return cf_get(scene->stage.map, scene->full);
}

static int try_get_egone(struct scene *scene)
{
	return cf_try_get(scene->stage.map, scene->kernel + 1);
}

static int try_get_elimit(struct scene *scene)
{
	return cf_try_get(scene->stage.map, scene->full);
}

static int try_get_interior_egone(struct scene *scene)
{
	cf_pfn head;

	return cf_try_get_interior(scene->stage.map, scene->frozen + 1, &head);
}

static int try_get_interior_elimit(struct scene *scene)
{
	cf_pfn head;

	return cf_try_get_interior(scene->stage.map, scene->full, &head);
}

static int pin_egone(struct scene *scene)
{
	return cf_pin(scene->stage.map, scene->balloon);
}

static int pin_elimit(struct scene *scene)
{
	return cf_pin(scene->stage.map, scene->pinned);
}

static int freeze_eagain(struct scene *scene)
{
	return cf_freeze(scene->stage.map, scene->kernel, 2);
}

static int freeze_egone(struct scene *scene)
{
	return cf_freeze(scene->stage.map, scene->frozen, 1);
}

static int split_einval(struct scene *scene)
{
	return cf_split(scene->stage.map, scene->frozen, 2);
}

static int split_eagain(struct scene *scene)
{
	return cf_split(scene->stage.map, scene->kernel, 0);
}

static int split_egone(struct scene *scene)
{
	return cf_split(scene->stage.map, scene->frozen + 1, 0);
}

static int snapshot_egone(struct scene *scene)
{
	struct cf_snapshot snapshot;

	return cf_snapshot(scene->stage.map, scene->kernel + 1, &snapshot);
}

static int owner_change_egone(struct scene *scene)
{
	return cf_owner_change(scene->stage.map, scene->kernel, scene->gone);
}

static int copy_run_einval(struct scene *scene)
{
	return cf_copy_run(scene->stage.map, scene->kernel, scene->frozen,
			   CF_MAX_ORDER + 1);
}

static int copy_run_eport(struct scene *scene)
{
	test_port_arm(TEST_FRAME_ADDRESS, 1);
	return cf_copy_run(scene->stage.map, scene->kernel, scene->frozen, 2);
}

static int retire_einval(struct scene *scene)
{
	enum cf_retire_state state;

	return cf_retire(scene->stage.map, STAGE_FRAMES, &state);
}

static int retire_elimit(struct scene *scene)
{
	enum cf_retire_state state;
	cf_pfn pfn = BLOCK_ABSENT;
	int err = 0;

	while (!err)
		err = cf_retire(scene->stage.map, pfn++, &state);
	return err;
}

static int retire_ebusy(struct scene *scene)
{
	enum cf_retire_state state;

	return cf_retire(scene->stage.map, BLOCK_GOING, &state);
}

static int retire_eagain(struct scene *scene)
{
	enum cf_retire_state state;

	test_port_arm(TEST_BARRIER, 1);
	return cf_retire(scene->stage.map, BLOCK_MOVABLE, &state);
}

const struct refusal frame_refusals[] = {
	{ "alloc", CF_EINVAL, alloc_einval },
	{ "alloc", CF_EGONE, alloc_egone },
	{ "alloc", CF_ENOMEM, alloc_enomem },
	{ "alloc", CF_EPORT, alloc_eport },
	{ "get", CF_ELIMIT, get_elimit },
	{ "try_get", CF_EGONE, try_get_egone },
	{ "try_get", CF_ELIMIT, try_get_elimit },
	{ "try_get_interior", CF_EGONE, try_get_interior_egone },
	{ "try_get_interior", CF_ELIMIT, try_get_interior_elimit },
	{ "pin", CF_EGONE, pin_egone },
	{ "pin", CF_ELIMIT, pin_elimit },
	{ "freeze", CF_EAGAIN, freeze_eagain },
	{ "freeze", CF_EGONE, freeze_egone },
	{ "split", CF_EINVAL, split_einval },
	{ "split", CF_EAGAIN, split_eagain },
	{ "split", CF_EGONE, split_egone },
	{ "snapshot", CF_EGONE, snapshot_egone },
	{ "owner_change", CF_EGONE, owner_change_egone },
	{ "copy_run", CF_EINVAL, copy_run_einval },
	{ "copy_run", CF_EPORT, copy_run_eport },
	{ "retire", CF_EINVAL, retire_einval },
	{ "retire", CF_ELIMIT, retire_elimit },
	{ "retire", CF_EBUSY, retire_ebusy },
	{ "retire", CF_EAGAIN, retire_eagain },
	{ NULL, 0, NULL },
};
