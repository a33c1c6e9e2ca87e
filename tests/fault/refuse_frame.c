/* SPDX-License-Identifier: MIT */
/*
 * Refusals of calls on single runs.
 */
#include "scene.h"

/* Wrong requests, and such for which there is no memory or no contents. */
static struct cf_request wrong_type(struct scene *scene)
{
	(void)scene;
	return (struct cf_request){ .type = CF_TYPE_OFFLINE };
}

static struct cf_request of_nobody(struct scene *scene)
{
	return (struct cf_request){ .type = CF_TYPE_KERNEL,
				    .owner = (uint16_t)scene->gone };
}

static struct cf_request too_large(struct scene *scene)
{
	(void)scene;
	return (struct cf_request){ .type = CF_TYPE_KERNEL,
				    .order = CF_MAX_ORDER };
}

static struct cf_request not_mapped(struct scene *scene)
{
	(void)scene;
	test_port_arm(TEST_FRAME_ADDRESS, 1);
	return (struct cf_request){ .type = CF_TYPE_KERNEL,
				    .flags = CF_ALLOC_ZERO };
}

/* One or many of them: the same answer. */
#define ALLOCS(why, request)						\
static int alloc_##why(struct scene *scene)				\
{									\
	cf_pfn pfn;							\
									\
	return cf_alloc(scene->stage.map, request(scene), &pfn);	\
}									\
									\
static int alloc_bulk_##why(struct scene *scene)			\
{									\
	cf_pfn pfns[2];							\
	size_t done;							\
									\
	return cf_alloc_bulk(scene->stage.map, request(scene), 2, pfns,	\
			     &done);					\
}

ALLOCS(einval, wrong_type)
ALLOCS(egone, of_nobody)
ALLOCS(enomem, too_large)
ALLOCS(eport, not_mapped)

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
	{ "alloc_bulk", CF_EINVAL, alloc_bulk_einval },
	{ "alloc_bulk", CF_EGONE, alloc_bulk_egone },
	{ "alloc_bulk", CF_ENOMEM, alloc_bulk_enomem },
	{ "alloc_bulk", CF_EPORT, alloc_bulk_eport },
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
