/* SPDX-License-Identifier: MIT */

/* The virtio-mem driver in big-block mode: whole memory blocks or nothing. */

#include "tests/virtio/scene.h"

static bool big_scene(struct scene_config config)
{
	return scene_make(config) && scene_mem() &&
	       CHECK(scene_mem_status().big_blocks);
}

static struct cf_block_info info(unsigned index)
{
	struct cf_block_info info;

	if (cf_block_info(s.map, s.region_first + index * s.block, &info))
		info.state = CF_BLOCK_ABSENT;
	return info;
}

/* The device's block is two memory blocks. */
static const struct scene_config two_blocks = {
	.device_block = 64 * MIB,
	.region = 512 * MIB,
	.boot_blocks = 4,
	.vmem.big_block_frames = 64 * MIB_FRAMES,
};

static void grows_and_shrinks(void)
{
	if (!CHECK(big_scene(two_blocks)))
		return;
	CHECK(scene_resize(256 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 8);
	CHECK_EQ(scene_mem_status().requests, 4);
	CHECK(scene_mem_check());
	CHECK(data_add(12000, 0));
	data_thin(2);
	CHECK(scene_resize(64 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 2);
	CHECK(data_check() && scene_mem_check());
	CHECK(scene_resize(192 * MIB));
	data_drop(SCENE_FOLIOS);
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* Less than a unit is not plugged, and not unplugged. */
static void rounds_down(void)
{
	struct scene_config config = {
		.vmem = {
			.big_blocks = true,
			.big_block_frames = 64 * MIB_FRAMES,
		},
	};

	if (!CHECK(big_scene(config)))
		return;
	CHECK(model_mem_request(s.mem, 32 * MIB));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 0);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(scene_resize(128 * MIB));
	CHECK(model_mem_request(s.mem, 96 * MIB));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 128 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(scene_end());
}

/* One block of a unit cannot be emptied: the other comes back. */
static void comes_back(void)
{
	struct cf_vmem_status status;
	unsigned index;

	if (!CHECK(big_scene(two_blocks)))
		return;
	CHECK(scene_resize(64 * MIB));
	/* Fill the first block and some of the second. */
	CHECK(data_add(8300, 0));
	index = data_find(s.region_first + s.block,
			  s.region_first + 2 * s.block);
	if (!CHECK(index != ~0u))
		return;
	CHECK_EQ(cf_pin(s.map, s.data.pfn[index]), 0);
	CHECK(!scene_resize(0));
	status = scene_mem_status();
	CHECK_EQ(status.plugged, 64 * MIB);
	CHECK_EQ(status.phase, CF_VMEM_BACKING_OFF);
	CHECK_EQ(status.report.reason, CF_REASON_PINNED);
	CHECK_EQ(info(0).state, CF_BLOCK_ONLINE);
	CHECK_EQ(info(1).state, CF_BLOCK_ONLINE);
	CHECK_EQ(info(0).zone, CF_ZONE_MOVABLE);
	CHECK(data_check() && scene_mem_check());
	cf_unpin(s.map, s.data.pfn[index]);
	CHECK(scene_resize(0));
	CHECK(data_check());
	CHECK(scene_end());
}

/* The device does not take a unit that has left the map. */
static void stays_plugged(void)
{
	if (!CHECK(big_scene(two_blocks)))
		return;
	CHECK(scene_resize(128 * MIB));
	s.mem->migrating = true;
	CHECK(!scene_resize(64 * MIB));
	CHECK_EQ(scene_mem_status().plugged, 128 * MIB);
	CHECK_EQ(scene_mem_status().blocks, 2);
	CHECK(scene_mem_check());
	/* Wanted again before it was taken: back into the map with it. */
	CHECK(scene_resize(128 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 4);
	CHECK(!scene_resize(64 * MIB));
	s.mem->migrating = false;
	CHECK(scene_resize(64 * MIB));
	CHECK_EQ(s.mem->plugged, 64 * MIB);
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

static void new_size_meanwhile(void)
{
	unsigned i;

	if (!CHECK(big_scene(two_blocks)))
		return;
	CHECK(scene_resize(256 * MIB));
	CHECK(data_add(9000, 0));
	CHECK(model_mem_request(s.mem, 64 * MIB));
	/* In the middle of an operation the host wants it all back. */
	for (i = 0; i < 200; i++) {
		(void)cf_vmem_work(&s.vmem, s.now);
		if (i % 7 == 3)
			CHECK(model_mem_request(s.mem, i % 2 ? 256 * MIB :
						64 * MIB));
	}
	CHECK(scene_resize(256 * MIB));
	CHECK(data_check() && scene_mem_check());
	CHECK(scene_resize(64 * MIB));
	CHECK(data_check() && scene_mem_check());
	CHECK(scene_end());
}

static int veto(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	cf_pfn *unwanted = context;

	return event == CF_EVENT_OFFLINE && first <= *unwanted &&
	       last > *unwanted;
}

/* One block must stay; the port does not bring back the other at once. */
static void comes_back_later(void)
{
	cf_pfn unwanted;
	struct cf_subscriber subscriber = {
		.name = "veto", .context = &unwanted, .going = veto,
	};

	if (!CHECK(big_scene(two_blocks)))
		return;
	CHECK(scene_resize(128 * MIB));
	unwanted = s.region_first + 3 * s.block;
	CHECK_EQ(cf_subscriber_add(s.map, &subscriber), 0);
	CHECK(model_mem_request(s.mem, 64 * MIB));
	/* The third block goes, the fourth refuses. */
	while (info(2).state == CF_BLOCK_ONLINE)
		(void)cf_vmem_work(&s.vmem, s.now);
	CHECK_EQ(info(2).state, CF_BLOCK_GOING_OFFLINE);
	while (info(2).state != CF_BLOCK_OFFLINE)
		(void)cf_vmem_work(&s.vmem, s.now);
	s.port_refuses = true;
	CHECK(model_mem_request(s.mem, 128 * MIB));
	scene_mem_work();
	CHECK_EQ(info(2).state, CF_BLOCK_OFFLINE);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BACKING_OFF);
	s.port_refuses = false;
	s.now += 1000;
	scene_mem_work();
	CHECK_EQ(info(2).state, CF_BLOCK_ONLINE);
	CHECK_EQ(info(3).state, CF_BLOCK_ONLINE);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	/* The other unit may go; this one may not. */
	CHECK(scene_resize(64 * MIB));
	CHECK_EQ(info(0).state, CF_BLOCK_ABSENT);
	CHECK(!scene_resize(0));
	CHECK_EQ(scene_mem_status().report.reason, CF_REASON_VETO);
	CHECK_EQ(info(2).state, CF_BLOCK_ONLINE);
	CHECK_EQ(cf_subscriber_remove(s.map, &subscriber), 0);
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

static void forced_unload_meanwhile(void)
{
	unsigned i;

	for (i = 0; i < 12; i++) {
		if (!CHECK(big_scene(two_blocks)))
			return;
		CHECK(scene_resize(128 * MIB));
		CHECK(data_add(3000, 0));
		CHECK(model_mem_request(s.mem, 0));
		for (unsigned steps = 0; steps < i; steps++)
			(void)cf_vmem_work(&s.vmem, s.now);
		CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
		s.vmem_open = false;
		CHECK(data_check() && scene_mem_check());
		CHECK(scene_end());
	}
}

int main(void)
{
	cf_host_enter();
	tap_run("grows and shrinks", grows_and_shrinks);
	tap_run("no parts of a big block", rounds_down);
	tap_run("a block that cannot go brings back the others", comes_back);
	tap_run("a unit the device does not take", stays_plugged);
	tap_run("a block that comes back later", comes_back_later);
	tap_run("another size in the middle", new_size_meanwhile);
	tap_run("forced unload in the middle", forced_unload_meanwhile);
	return tap_done();
}
