/* SPDX-License-Identifier: MIT */

/*
 * The virtio-mem driver against its model: what it asks for and in which
 * order, what it gives back, and what it keeps.
 */

#include "tests/virtio/scene.h"

static void grows_and_shrinks(void)
{
	struct scene_config config = { .bus = BUS_PCI };
	struct cf_vmem_status status;

	if (!scene_make(config) || !scene_mem())
		return;
	CHECK(scene_resize(32 * MIB));
	status = scene_mem_status();
	CHECK_EQ(status.blocks, 1);
	CHECK_EQ(status.blocks_partial, 0);
	CHECK_EQ(s.mem->plugged, 32 * MIB);
	CHECK(scene_mem_check());
	CHECK(scene_resize(100 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 4);
	CHECK_EQ(scene_mem_status().blocks_partial, 1);
	CHECK(scene_mem_check());
	CHECK(scene_resize(6 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 1);
	CHECK(scene_mem_check());
	CHECK(scene_resize(0));
	CHECK_EQ(scene_mem_status().blocks, 0);
	CHECK_EQ(s.mem->plugged, 0);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("grows and shrinks", grows_and_shrinks);
	return tap_done();
}
