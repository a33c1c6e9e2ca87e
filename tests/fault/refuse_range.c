/* SPDX-License-Identifier: MIT */
/*
 * Refusals of calls on ranges, on offline frames, and on zones.
 */
#include "scene.h"

/* Block 2 is empty and lies next to nothing that could matter. */
#define FREE_FIRST	(BLOCK_MOVABLE + 64)
#define FREE_LAST	(BLOCK_MOVABLE + 96)

static int range_as(struct scene *scene, cf_pfn first, cf_pfn last,
		    struct cf_request request)
{
	struct cf_report report = { 0 };

	return cf_alloc_range(scene->stage.map, first, last, request, &report);
}

static struct cf_request folios(struct scene *scene)
{
	return (struct cf_request){ .type = CF_TYPE_FOLIO,
				    .owner = (uint16_t)scene->stage.mover };
}

static int alloc_range_einval(struct scene *scene)
{
	return range_as(scene, FREE_LAST, FREE_FIRST, folios(scene));
}

static int alloc_range_egone(struct scene *scene)
{
	return range_as(scene, BLOCK_OFFLINE, BLOCK_OFFLINE + 1,
			folios(scene));
}

static int alloc_range_ebusy(struct scene *scene)
{
	return range_as(scene, scene->kernel, scene->kernel + 1,
			folios(scene));
}

/*
 * A frame lies in another CPU's cache, and there is no barrier to get it out
 * with. The operation of the scene would keep caches empty: it pauses.
 */
static int while_cached(struct scene *scene,
			int (*ask)(struct scene *scene, cf_pfn cached))
{
	struct stage *stage = &scene->stage;
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn = CF_PFN_NONE;
	int err;

	MUST(cf_block_offline_cancel(&stage->operation));
	test_port.cpu = 1;
	MUST(cf_alloc(stage->map, request, &pfn));
	cf_put(stage->map, pfn);
	test_port.cpu = 0;
	test_port_break(TEST_BARRIER);
	err = ask(scene, pfn);
	(void)test_port_disarm();
	MUST(cf_block_offline_start(stage->map, &stage->operation, BLOCK_GOING,
				    BLOCK_OFFLINE, NULL));
	return err;
}

static int range_of_cached(struct scene *scene, cf_pfn cached)
{
	return range_as(scene, cached, cached + 1, folios(scene));
}

static int alloc_range_eagain(struct scene *scene)
{
	return while_cached(scene, range_of_cached);
}

static int alloc_range_eport(struct scene *scene)
{
	struct cf_request request = folios(scene);

	request.flags = CF_ALLOC_ZERO;
	test_port_arm(TEST_FRAME_ADDRESS, 1);
	return range_as(scene, FREE_FIRST, FREE_LAST, request);
}

static int drain_cached(struct scene *scene, cf_pfn cached)
{
	(void)cached;
	return cf_drain(scene->stage.map);
}

static int drain_eagain(struct scene *scene)
{
	return while_cached(scene, drain_cached);
}

static int watermarks_einval(struct scene *scene)
{
	struct cf_watermarks marks = { 3, 2, 1 };

	return cf_zone_set_watermarks(scene->stage.map, 0, CF_ZONE_NORMAL,
				      marks);
}

static int compact_as(struct scene *scene, unsigned node)
{
	struct cf_compaction done;

	return cf_compact(scene->stage.map, node, CF_ZONE_MOVABLE, 1, &done);
}

static int compact_einval(struct scene *scene)
{
	return compact_as(scene, 1);
}

static int compact_enomem(struct scene *scene)
{
	return compact_as(scene, 0);
}

static int compact_eagain(struct scene *scene)
{
	struct stage *stage = &scene->stage;
	cf_pfn other = BLOCK_MOVABLE + CF_CHUNK_FRAMES + 5;
	int err;

	/* A movable frame in each chunk, the rest of one in a cache. */
	(void)stage_folio(stage, 0);
	MUST(range_as(scene, other, other + 1, folios(scene)));
	test_port_break(TEST_BARRIER);
	err = compact_as(scene, 0);
	(void)test_port_disarm();
	cf_put(stage->map, stage->run[--stage->runs].pfn);
	cf_put(stage->map, other);
	return err;
}

static int zone_stat_einval(struct scene *scene)
{
	struct cf_zone_stat stat;

	return cf_zone_stat(scene->stage.map, 1, CF_ZONE_NORMAL, &stat);
}

/* ---- taking frames offline ---- */

static int offline_as(struct scene *scene, uint32_t owner, unsigned order,
		      uint32_t flags)
{
	cf_pfn pfn;

	return cf_offline_alloc(scene->stage.map, owner, order, flags, &pfn);
}

static int offline_alloc_einval(struct scene *scene)
{
	return offline_as(scene, scene->stage.balloon, STAGE_BLOCK_ORDER + 1,
			  0);
}

static int offline_alloc_egone(struct scene *scene)
{
	return offline_as(scene, scene->gone, 0, 0);
}

static int offline_alloc_erefused(struct scene *scene)
{
	return offline_as(scene, scene->stage.keeper, 0, CF_FLAG_MOVABLE);
}

static int offline_alloc_enomem(struct scene *scene)
{
	return offline_as(scene, scene->stage.balloon, STAGE_BLOCK_ORDER, 0);
}

static int bulk_as(struct scene *scene, uint32_t owner, unsigned order,
		   uint32_t flags)
{
	cf_pfn pfns[2];
	size_t done;

	return cf_offline_alloc_bulk(scene->stage.map, owner, order, flags, 2,
				     pfns, &done);
}

static int bulk_einval(struct scene *scene)
{
	return bulk_as(scene, scene->stage.balloon, 0, CF_FLAG_BUSY);
}

static int bulk_egone(struct scene *scene)
{
	return bulk_as(scene, scene->gone, 0, 0);
}

static int bulk_erefused(struct scene *scene)
{
	return bulk_as(scene, scene->stage.keeper, 0, CF_FLAG_MOVABLE);
}

static int bulk_enomem(struct scene *scene)
{
	return bulk_as(scene, scene->stage.balloon, STAGE_BLOCK_ORDER, 0);
}

static int take_as(struct scene *scene, cf_pfn first, cf_pfn last,
		   uint32_t flags)
{
	return cf_offline_alloc_range(scene->stage.map, scene->stage.balloon,
				      first, last, flags, NULL);
}

static int take_einval(struct scene *scene)
{
	return take_as(scene, FREE_FIRST, FREE_FIRST, 0);
}

static int take_egone(struct scene *scene)
{
	return take_as(scene, BLOCK_ABSENT, BLOCK_ABSENT + 1, 0);
}

static int take_ebusy(struct scene *scene)
{
	return take_as(scene, BLOCK_GOING, BLOCK_GOING + 1, 0);
}

static int take_cached(struct scene *scene, cf_pfn cached)
{
	return take_as(scene, cached, cached + 1, 0);
}

static int take_eagain(struct scene *scene)
{
	return while_cached(scene, take_cached);
}

static int take_erefused(struct scene *scene)
{
	return take_as(scene, FREE_FIRST, FREE_LAST, CF_FLAG_SKIPPABLE);
}

/* ---- offline frames ---- */

/* Ask inside the migrate hook of the balloon, where its run is busy. */
static struct scene *scene_inside;
static int (*ask_inside)(struct scene *scene);

static void inside(struct stage *stage, cf_pfn source, unsigned order)
{
	(void)source;
	(void)order;
	scene_inside->inside = ask_inside(scene_inside);
	/* The hook fails, so that nothing moves. */
	stage_arm(stage, FAULT_MIGRATE, 1);
}

static int while_busy(struct scene *scene, int (*ask)(struct scene *scene))
{
	int err;

	scene_inside = scene;
	ask_inside = ask;
	scene->stage.inside = inside;
	scene->inside = 0;
	err = range_as(scene, scene->balloon, scene->balloon + 8,
		       folios(scene));
	scene->stage.inside = NULL;
	return err == -CF_EBUSY ? scene->inside : err;
}

static int free_as(struct scene *scene, uint32_t owner, cf_pfn first,
		   cf_pfn last)
{
	return cf_offline_free_range(scene->stage.map, owner, first, last);
}

static int free_balloon(struct scene *scene)
{
	return free_as(scene, scene->stage.balloon, scene->balloon,
		       scene->balloon + 8);
}

static int free_range_einval(struct scene *scene)
{
	return free_as(scene, scene->stage.balloon, scene->balloon,
		       scene->balloon);
}

static int free_range_egone(struct scene *scene)
{
	return free_as(scene, scene->stage.balloon, BLOCK_ABSENT,
		       BLOCK_ABSENT + 1);
}

static int free_range_erefused(struct scene *scene)
{
	return free_as(scene, scene->stage.mover, scene->balloon,
		       scene->balloon + 8);
}

static int free_range_eagain(struct scene *scene)
{
	return while_busy(scene, free_balloon);
}

static int free_range_eport(struct scene *scene)
{
	test_port_arm(TEST_RETURNED, 1);
	return free_balloon(scene);
}

static int free_run(struct scene *scene)
{
	return cf_offline_free(scene->stage.map, scene->stage.balloon,
			       scene->balloon, 3);
}

static int free_egone(struct scene *scene)
{
	return cf_offline_free(scene->stage.map, scene->stage.balloon,
			       BLOCK_OFFLINE, 3);
}

static int free_erefused(struct scene *scene)
{
	return cf_offline_free(scene->stage.map, scene->stage.balloon,
			       scene->kernel, 2);
}

static int free_eagain(struct scene *scene)
{
	return while_busy(scene, free_run);
}

static int free_eport(struct scene *scene)
{
	test_port_arm(TEST_RETURNED, 1);
	return free_run(scene);
}

static int skip_as(struct scene *scene, cf_pfn first, cf_pfn last)
{
	return cf_offline_set_skippable(scene->stage.map, scene->stage.balloon,
					first, last, true);
}

static int skip_balloon(struct scene *scene)
{
	return skip_as(scene, scene->balloon, scene->balloon + 8);
}

static int skip_einval(struct scene *scene)
{
	return skip_as(scene, scene->balloon + 1, scene->balloon);
}

static int skip_egone(struct scene *scene)
{
	return skip_as(scene, BLOCK_ABSENT, BLOCK_ABSENT + 1);
}

/* The balloon must own the block for this to be about the run. */
static int skip_eagain(struct scene *scene)
{
	cf_pfn first = scene->balloon & ~(STAGE_BLOCK - 1);
	int err;

	MUST(cf_block_adopt(scene->stage.map, first, first + STAGE_BLOCK,
			    scene->stage.balloon));
	err = while_busy(scene, skip_balloon);
	MUST(cf_block_adopt(scene->stage.map, first, first + STAGE_BLOCK, 0));
	return err;
}

static int payload_balloon(struct scene *scene)
{
	return cf_offline_set_payload(scene->stage.map, scene->stage.balloon,
				      scene->balloon, 5);
}

static int payload_egone(struct scene *scene)
{
	return cf_offline_set_payload(scene->stage.map, scene->stage.mover,
				      scene->balloon, 5);
}

static int payload_eagain(struct scene *scene)
{
	return while_busy(scene, payload_balloon);
}

static int adopt_as(struct scene *scene, uint32_t owner, cf_pfn first,
		    cf_pfn last)
{
	return cf_offline_adopt_range(scene->stage.map, owner, first, last);
}

static int adopt_einval(struct scene *scene)
{
	return adopt_as(scene, scene->stage.mover, scene->orphan,
			scene->orphan);
}

static int adopt_egone(struct scene *scene)
{
	return adopt_as(scene, scene->gone, scene->orphan, scene->orphan + 4);
}

static int adopt_erefused(struct scene *scene)
{
	return adopt_as(scene, scene->stage.mover, scene->balloon,
			scene->balloon + 8);
}

const struct refusal range_refusals[] = {
	{ "alloc_range", CF_EINVAL, alloc_range_einval },
	{ "alloc_range", CF_EGONE, alloc_range_egone },
	{ "alloc_range", CF_EBUSY, alloc_range_ebusy },
	{ "alloc_range", CF_EAGAIN, alloc_range_eagain },
	{ "alloc_range", CF_EPORT, alloc_range_eport },
	{ "drain", CF_EAGAIN, drain_eagain },
	{ "zone_set_watermarks", CF_EINVAL, watermarks_einval },
	{ "compact", CF_EINVAL, compact_einval },
	{ "compact", CF_ENOMEM, compact_enomem },
	{ "compact", CF_EAGAIN, compact_eagain },
	{ "zone_stat", CF_EINVAL, zone_stat_einval },
	{ "offline_alloc", CF_EINVAL, offline_alloc_einval },
	{ "offline_alloc", CF_EGONE, offline_alloc_egone },
	{ "offline_alloc", CF_EREFUSED, offline_alloc_erefused },
	{ "offline_alloc", CF_ENOMEM, offline_alloc_enomem },
	{ "offline_alloc_bulk", CF_EINVAL, bulk_einval },
	{ "offline_alloc_bulk", CF_EGONE, bulk_egone },
	{ "offline_alloc_bulk", CF_EREFUSED, bulk_erefused },
	{ "offline_alloc_bulk", CF_ENOMEM, bulk_enomem },
	{ "offline_alloc_range", CF_EINVAL, take_einval },
	{ "offline_alloc_range", CF_EGONE, take_egone },
	{ "offline_alloc_range", CF_EBUSY, take_ebusy },
	{ "offline_alloc_range", CF_EAGAIN, take_eagain },
	{ "offline_alloc_range", CF_EREFUSED, take_erefused },
	{ "offline_free_range", CF_EINVAL, free_range_einval },
	{ "offline_free_range", CF_EGONE, free_range_egone },
	{ "offline_free_range", CF_EREFUSED, free_range_erefused },
	{ "offline_free_range", CF_EAGAIN, free_range_eagain },
	{ "offline_free_range", CF_EPORT, free_range_eport },
	{ "offline_free", CF_EGONE, free_egone },
	{ "offline_free", CF_EREFUSED, free_erefused },
	{ "offline_free", CF_EAGAIN, free_eagain },
	{ "offline_free", CF_EPORT, free_eport },
	{ "offline_set_skippable", CF_EINVAL, skip_einval },
	{ "offline_set_skippable", CF_EGONE, skip_egone },
	{ "offline_set_skippable", CF_EREFUSED, skip_balloon },
	{ "offline_set_skippable", CF_EAGAIN, skip_eagain },
	{ "offline_set_payload", CF_EGONE, payload_egone },
	{ "offline_set_payload", CF_EAGAIN, payload_eagain },
	{ "offline_adopt_range", CF_EINVAL, adopt_einval },
	{ "offline_adopt_range", CF_EGONE, adopt_egone },
	{ "offline_adopt_range", CF_EREFUSED, adopt_erefused },
	{ NULL, 0, NULL },
};
