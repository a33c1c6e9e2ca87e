/* SPDX-License-Identifier: MIT */
/*
 * A map whose frames the devices know by other addresses; rounds of reports
 * that begin when somebody asks; who keeps memory, owner by owner. By the
 * models, whose addresses are not the map's.
 */

#include "tests/virtio/scene.h"

/* The region lies a block above where the device has it. */
static void places_region(void)
{
	struct scene_config config = { .region = 64 * MIB };
	struct cf_vmem_status status;
	struct cf_block_info info;
	cf_pfn place;

	if (!CHECK(scene_make(config) && scene_mem_model()))
		return;
	place = s.region_first + s.block;
	s.config.vmem.placed = true;
	s.config.vmem.place = place;
	s.config.vmem.first = place;
	s.config.vmem.last = place + 2 * s.block;
	CHECK_EQ(scene_mem_open(), 0);
	CHECK(scene_resize(40 * MIB));
	status = scene_mem_status();
	CHECK_EQ(status.addr, s.region_first << CF_FRAME_SHIFT);
	CHECK_EQ(s.mem->plugged, 40 * MIB);
	CHECK(model_mem_has(s.mem, status.addr));
	CHECK(cf_block_info(s.map, s.region_first, &info) != 0);
	CHECK_EQ(cf_block_info(s.map, place, &info), 0);
	CHECK_EQ(info.free, s.block);
	CHECK_EQ(cf_block_info(s.map, place + s.block, &info), 0);
	CHECK_EQ(info.free, 8 * MIB_FRAMES);
	CHECK(cf_vmem_has(&s.vmem, place));
	CHECK(!cf_vmem_has(&s.vmem, place + s.block + 8 * MIB_FRAMES));
	/* Asked for by the map's frames, answered by the device's. */
	CHECK_EQ(cf_vmem_ask(&s.vmem, place, place + s.block), 0);
	scene_mem_work();
	CHECK(scene_resize(0));
	CHECK_EQ(s.mem->plugged, 0);
	CHECK(scene_end());
}

/* Neither the place nor the device's own address may be off its blocks. */
static void places_nothing_askew(void)
{
	struct scene_config config = { .region = 64 * MIB };

	if (!CHECK(scene_make(config) && scene_mem_model()))
		return;
	s.config.vmem.placed = true;
	s.config.vmem.place = s.region_first + 1;
	CHECK_EQ(scene_mem_open(), -CF_EREFUSED);
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_BROKEN_REGION);
	CHECK(scene_end());
	if (!CHECK(scene_make(config) && scene_mem_model()))
		return;
	s.config.vmem.placed = true;
	s.config.vmem.place = s.region_first;
	s.mem->tell_at = CF_VMEM_ADDR + 1;
	s.mem->tell_value = (s.region_first + 1) << CF_FRAME_SHIFT;
	CHECK(model_mem_request(s.mem, 0));
	CHECK_EQ(scene_mem_open(), -CF_EREFUSED);
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_BROKEN_REGION);
	CHECK(scene_end());
}

/* The device has the two boot blocks the other way round. */
static cf_pfn other_block(void *context, cf_pfn pfn)
{
	(void)context;
	return (pfn + s.block) % (2 * s.block);
}

static void balloons_elsewhere(void)
{
	struct scene_config config = {
		.balloon = { .device_frame = other_block },
	};
	cf_pfn at = 0, first;
	struct cf_span span;
	uint64_t wrong = 0;

	if (!CHECK(scene_make(config) && scene_balloon()))
		return;
	CHECK(scene_balloon_size(5000));
	CHECK_EQ(s.bal->ballooned, 5000);
	cf_walk_begin(s.map);
	while (cf_walk_next(s.map, &at, 2 * s.block, &span)) {
		if (span.kind != CF_SPAN_RUN || span.type != CF_TYPE_OFFLINE)
			continue;
		for (first = span.first; first < span.last; first++)
			wrong += !bits_get(s.bal->held,
					   other_block(NULL, first));
	}
	cf_walk_end(s.map);
	CHECK_EQ(wrong, 0);
	CHECK(scene_balloon_size(0));
	CHECK(scene_end());
}

static uint64_t count_bytes(cf_pfn first, cf_pfn last)
{
	uint64_t count = 0;

	for (; first < last; first++)
		count += s.memory.base[first << CF_FRAME_SHIFT] == 0x5a;
	return count;
}

/* What is reported of one block the host takes of the other. */
static void reports_elsewhere(void)
{
	struct scene_config config = {
		.balloon_features = CF_BALLOON_F_REPORTING |
				    CF_BALLOON_F_HINT,
		.balloon = {
			.device_frame = other_block,
			.report_ms = ~(uint64_t)0,
		},
	};
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn at;

	if (!CHECK(scene_make(config)))
		return;
	CHECK_EQ(cf_alloc_range(s.map, s.block, 2 * s.block, request, NULL),
		 0);
	for (at = s.block; at < 2 * s.block; at++)
		s.memory.base[at << CF_FRAME_SHIFT] = 0x5a;
	/* Not a round begins by itself. */
	CHECK(scene_balloon());
	scene_balloon_until(10000);
	CHECK_EQ(s.bal->reported, 0);
	CHECK_EQ(count_bytes(s.block, 2 * s.block), s.block);
	CHECK(cf_balloon_report(&s.balloon));
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().report_rounds, 1);
	CHECK(s.bal->reported > s.block / 2);
	CHECK_EQ(count_bytes(s.block, 2 * s.block),
		 s.block - s.bal->reported);
	/* Nor another one. */
	scene_balloon_until(10000);
	CHECK_EQ(scene_balloon_status().report_rounds, 1);
	model_balloon_hint(s.bal, 2);
	scene_balloon_work();
	CHECK(scene_balloon_status().hints > 0);
	CHECK_EQ(scene_balloon_status().hints, s.bal->hinted);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().hinted, 0);
	CHECK(scene_balloon_status().hints > 0);
	cf_free_range(s.map, s.block, 2 * s.block);
	CHECK(scene_end());
}

/* Two owners and two reasons, each with all it keeps. */
static void names_stoppers(void)
{
	struct scene_config config = {
		.region = 64 * MIB,
		.vmem.online = CF_VMEM_ONLINE_NORMAL,
	};
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	struct cf_vmem_status status;
	cf_pfn low, high;

	if (!CHECK(scene_make(config) && scene_mem()))
		return;
	CHECK(scene_resize(64 * MIB));
	low = s.region_first + 4 * CF_CHUNK_FRAMES;
	high = s.region_first + s.block + 4 * CF_CHUNK_FRAMES;
	request.order = 0;
	CHECK_EQ(cf_alloc_range(s.map, low, low + 3, request, NULL), 0);
	CHECK_EQ(cf_alloc_range(s.map, high, high + 700, request, NULL), 0);
	CHECK(!scene_resize(0));
	status = scene_mem_status();
	CHECK_EQ(status.plugged, 6 * MIB);
	CHECK_EQ(status.stoppers, 1);
	CHECK_EQ(status.stopper[0].owner, 0);
	CHECK_EQ(status.stopper[0].reason, CF_REASON_UNMOVABLE);
	CHECK_EQ(status.stopper[0].type, CF_TYPE_KERNEL);
	CHECK_EQ(status.stopper[0].frames, 703);
	CHECK_EQ(status.stopper[0].parts, 3);
	CHECK_EQ(status.report.frames[CF_REASON_UNMOVABLE], 703);
	/* The highest part was tried first. */
	CHECK(status.report.pfn >= high + CF_CHUNK_FRAMES &&
	      status.report.pfn < high + 700);
	cf_free_range(s.map, low, low + 3);
	cf_free_range(s.map, high, high + 700);
	cf_vmem_kick(&s.vmem);
	scene_mem_work();
	status = scene_mem_status();
	CHECK_EQ(status.plugged, 0);
	CHECK_EQ(status.stoppers, 0);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("a region placed elsewhere", places_region);
	tap_run("no place off the device's blocks", places_nothing_askew);
	tap_run("frames the device has elsewhere", balloons_elsewhere);
	tap_run("reports and hints of them", reports_elsewhere);
	tap_run("who keeps memory, in all", names_stoppers);
	return tap_done();
}
