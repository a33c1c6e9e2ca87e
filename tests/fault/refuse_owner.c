/* SPDX-License-Identifier: MIT */
/*
 * Refusals of calls on owners, subscribers and side tables.
 */
#include "scene.h"

static const struct cf_owner_ops no_ops = { 0 };

static int register_einval(struct scene *scene)
{
	uint32_t id;

	return cf_owner_register(scene->stage.map, NULL, &no_ops, NULL, &id);
}

/* All ids are used; then they are given back. */
static int register_elimit(struct scene *scene)
{
	static uint32_t ids[CF_OWNERS_MAX];
	size_t count = 0;
	int err;

	do {
		err = cf_owner_register(scene->stage.map, "one of many",
					&no_ops, NULL, &ids[count]);
		count += !err;
	} while (!err && count < CF_OWNERS_MAX);
	while (count)
		MUST(cf_owner_unregister(scene->stage.map, ids[--count],
					 NULL));
	return err;
}

static int unregister_einval(struct scene *scene)
{
	return cf_owner_unregister(scene->stage.map, scene->gone, NULL);
}

static int info_einval(struct scene *scene)
{
	struct cf_owner_info info;

	return cf_owner_info(scene->stage.map, scene->gone, &info);
}

static int add_einval(struct scene *scene)
{
	struct cf_subscriber subscriber = { 0 };

	return cf_subscriber_add(scene->stage.map, &subscriber);
}

static int add_ebusy(struct scene *scene)
{
	return cf_subscriber_add(scene->stage.map,
				 &scene->stage.subscriber[0]);
}

static int remove_einval(struct scene *scene)
{
	struct cf_subscriber subscriber = { .name = "never added" };
	int err;

	MUST(cf_block_offline_cancel(&scene->stage.operation));
	err = cf_subscriber_remove(scene->stage.map, &subscriber);
	MUST(cf_block_offline_start(scene->stage.map, &scene->stage.operation,
				    BLOCK_GOING, BLOCK_OFFLINE, NULL));
	return err;
}

static int remove_ebusy(struct scene *scene)
{
	return cf_subscriber_remove(scene->stage.map,
				    &scene->stage.subscriber[0]);
}

static int side_add_einval(struct scene *scene)
{
	return cf_side_add(scene->stage.map, &scene->stage.side, 4097);
}

static int side_add_enomem(struct scene *scene)
{
	test_port_arm(TEST_META_ALLOC, 1);
	return cf_side_add(scene->stage.map, &scene->stage.side, 8);
}

static int side_extend_as(struct scene *scene, cf_pfn pfn, uint64_t fail)
{
	void *entry;
	int err;

	MUST(cf_side_add(scene->stage.map, &scene->stage.side, 8));
	test_port_arm(TEST_META_ALLOC, fail);
	err = cf_side_extend(&scene->stage.side, pfn, &entry);
	cf_side_remove(scene->stage.map, &scene->stage.side);
	return err;
}

static int side_extend_egone(struct scene *scene)
{
	return side_extend_as(scene, BLOCK_ABSENT, 0);
}

static int side_extend_enomem(struct scene *scene)
{
	return side_extend_as(scene, 0, 1);
}

const struct refusal owner_refusals[] = {
	{ "owner_register", CF_EINVAL, register_einval },
	{ "owner_register", CF_ELIMIT, register_elimit },
	{ "owner_unregister", CF_EINVAL, unregister_einval },
	{ "owner_info", CF_EINVAL, info_einval },
	{ "subscriber_add", CF_EINVAL, add_einval },
	{ "subscriber_add", CF_EBUSY, add_ebusy },
	{ "subscriber_remove", CF_EINVAL, remove_einval },
	{ "subscriber_remove", CF_EBUSY, remove_ebusy },
	{ "side_add", CF_EINVAL, side_add_einval },
	{ "side_add", CF_ENOMEM, side_add_enomem },
	{ "side_extend", CF_EGONE, side_extend_egone },
	{ "side_extend", CF_ENOMEM, side_extend_enomem },
	{ NULL, 0, NULL },
};
