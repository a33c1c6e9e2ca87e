/* SPDX-License-Identifier: MIT */

/*
 * Drivers that go on where others ended: when they can be saved, what they
 * tell, and what they refuse to adopt.
 * Method: each code once, on models.  Whole machines are in tests/tools.
 */

#include "tests/virtio/scene.h"
#include "virtio/state.h"

static bool mem_scene(void)
{
	struct scene_config config = { .bus = BUS_PCI };

	return scene_make(config) && scene_mem();
}

/* A request without its answer cannot be saved; broken, nothing waits. */
static void mem_is_busy(void)
{
	unsigned i;

	if (!CHECK(mem_scene()))
		return;
	CHECK(!cf_vmem_is_busy(&s.vmem));
	model_late(&s.mem->model, true);
	CHECK(model_mem_request(s.mem, 32 * MIB));
	for (i = 0; i < 8; i++)
		(void)cf_vmem_work(&s.vmem, s.now);
	CHECK(cf_vmem_is_busy(&s.vmem));
	model_late(&s.mem->model, false);
	scene_mem_work();
	CHECK(!cf_vmem_is_busy(&s.vmem));
	model_trick(&s.mem->model, MODEL_LIE_SILENCE, 1);
	CHECK(model_mem_request(s.mem, 64 * MIB));
	scene_mem_work();
	CHECK(cf_vmem_is_busy(&s.vmem));
	/* Done and not told: it ends while it waits. */
	CHECK_EQ(s.mem->plugged, 64 * MIB);
	CHECK_EQ(s.mem->model.violations, 0);
	CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
	s.vmem_open = false;
	CHECK(!cf_vmem_is_busy(&s.vmem));
	CHECK(scene_end());
}

static enum cf_block_state state_of(unsigned block)
{
	struct cf_block_info info;

	return cf_block_info(s.map, s.region_first + block * s.block, &info) ?
	       CF_BLOCK_ABSENT : info.state;
}

/*
 * A unit of two blocks goes: while the first is being emptied, and while it
 * has left and the second has not, no other driver could go on.
 */
static void unit_is_busy(void)
{
	struct scene_config config = {
		.vmem = {
			.big_blocks = true,
			.big_block_frames = 64 * MIB_FRAMES,
		},
	};
	unsigned going = 0, between = 0, i;

	if (!CHECK(scene_make(config) && scene_mem()) ||
	    !CHECK(scene_resize(64 * MIB)))
		return;
	CHECK(!cf_vmem_is_busy(&s.vmem));
	CHECK(model_mem_request(s.mem, 0));
	for (i = 0; i < 1000; i++) {
		if (cf_vmem_work(&s.vmem, s.now).when != CF_WHEN_NOW)
			break;
		if (state_of(0) == CF_BLOCK_GOING_OFFLINE ||
		    state_of(1) == CF_BLOCK_GOING_OFFLINE)
			going += CHECK(cf_vmem_is_busy(&s.vmem));
		else if (state_of(0) != state_of(1))
			between += CHECK(cf_vmem_is_busy(&s.vmem));
	}
	CHECK(going > 0 && between > 0);
	CHECK(!cf_vmem_is_busy(&s.vmem));
	CHECK_EQ(s.mem->plugged, 0);
	CHECK(scene_end());
}

static void mem_tells(void)
{
	struct cf_vmem_known known;
	struct cf_vmem_saved saved;
	uint64_t block = 0;

	if (!CHECK(mem_scene()) || !CHECK(scene_resize(36 * MIB)))
		return;
	cf_vmem_save(&s.vmem, &saved);
	CHECK(saved.was_reset && saved.ended && !saved.backing_off);
	CHECK_EQ(saved.plugged, 36 * MIB);
	CHECK_EQ(saved.requested, 36 * MIB);
	CHECK_EQ(saved.requests, 2);
	CHECK(cf_vmem_save_next(&s.vmem, &block, &known));
	CHECK(known.block == 0 && known.plugged == 0xffff && !known.taken);
	CHECK(cf_vmem_save_next(&s.vmem, &block, &known));
	CHECK(known.block == 1 && known.plugged == 3 && !known.want_online);
	CHECK(!cf_vmem_save_next(&s.vmem, &block, &known));
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* Blocks that cannot be, frames that are not so, another sum. */
static void mem_refuses(void)
{
	struct cf_vmem_known known = { .block = 8, .plugged = 3 };
	struct cf_vmem_saved saved;

	/* The host has asked for some once: that much is usable. */
	if (!CHECK(mem_scene()) || !CHECK(scene_resize(2 * MIB)) ||
	    !CHECK(scene_resize(0)))
		return;
	cf_vmem_save(&s.vmem, &saved);
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), -CF_EINVAL);
	known = (struct cf_vmem_known){ .plugged = (uint64_t)1 << 16 };
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), -CF_EINVAL);
	known = (struct cf_vmem_known){ .plugged = 1, .taken = 2 };
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), -CF_EINVAL);
	known = (struct cf_vmem_known){ .plugged = 1 };
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), -CF_EINVAL);
	CHECK(!model_mem_give(s.mem, s.mem->addr, MIB));
	CHECK(!model_mem_give(s.mem, s.mem->addr + s.mem->region, 2 * MIB));
	CHECK(model_mem_give(s.mem, s.mem->addr, 2 * MIB));
	CHECK(!model_mem_give(s.mem, s.mem->addr, 4 * MIB));
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	/* It is plugged and in no block: the host wants nothing of it. */
	cf_vmem_kick(&s.vmem);
	scene_mem_work();
	CHECK_EQ(s.mem->plugged, 0);
	/* As much as there is, and not where it is. */
	CHECK(scene_resize(30 * MIB));
	known.plugged = 0xfffe;
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), -CF_EINVAL);
	known.plugged = 0x7fff;
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	CHECK(scene_resize(32 * MIB));
	known.plugged = 0x7fff;
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), -CF_EINVAL);
	known.plugged = 0xffff;
	CHECK_EQ(cf_vmem_adopt_block(&s.vmem, &known), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* A device that tells nonsense is not adopted. */
static void mem_is_broken(void)
{
	struct cf_vmem_saved saved = { .was_reset = true, .ended = true };

	if (!CHECK(mem_scene()))
		return;
	s.mem->tell_at = CF_VMEM_REQUESTED_SIZE + 1;
	s.mem->tell_value = 4096;
	model_mem_refresh(s.mem);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), -CF_EREFUSED);
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_BROKEN_SIZES);
	s.mem->tell_at = 0;
	(void)scene_end();
}

static void balloon_adopts(void)
{
	struct scene_config config = { .bus = BUS_PCI };
	struct cf_balloon_saved saved;
	struct cf_balloon_status status;
	struct cf_span span;
	uint64_t held = 0;
	cf_pfn cursor = 0;

	if (!CHECK(scene_make(config)) || !CHECK(scene_balloon()))
		return;
	model_late(&s.bal->model, true);
	model_balloon_target(s.bal, 1024);
	(void)cf_balloon_work(&s.balloon, s.now);
	CHECK(cf_balloon_is_busy(&s.balloon));
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK(!cf_balloon_is_busy(&s.balloon));
	cf_balloon_save(&s.balloon, &saved);
	CHECK_EQ(saved.held, 1024);
	CHECK(!model_balloon_give(s.bal, 7, 7));
	while (cf_balloon_save_next(&s.balloon, &cursor, &span)) {
		CHECK(model_balloon_has(s.bal, span.first, span.last));
		CHECK(!model_balloon_give(s.bal, span.last - 1, span.last));
		held += span.last - span.first;
	}
	CHECK_EQ(held, 1024);
	saved.held = 1023;
	CHECK_EQ(cf_balloon_adopt(&s.balloon, &saved, s.now), -CF_EINVAL);
	saved.held = 1024;
	saved.migrated = 77;
	CHECK_EQ(cf_balloon_adopt(&s.balloon, &saved, s.now), 0);
	cf_balloon_status(&s.balloon, &status);
	CHECK(status.migrated == 77 && status.held == 1024);
	model_balloon_target(s.bal, 0);
	scene_balloon_work();
	CHECK_EQ(s.bal->ballooned, 0);
	CHECK(scene_end());
}

/* A report on its way, and one that is back. */
static void report_is_busy(void)
{
	struct scene_config config = {
		.boot_blocks = 4,
		.balloon_features = CF_BALLOON_F_REPORTING,
	};

	if (!CHECK(scene_make(config)) || !CHECK(scene_balloon()))
		return;
	scene_balloon_work();
	CHECK(!cf_balloon_is_busy(&s.balloon));
	CHECK(data_add(2000, 0));
	s.now += 2000;
	model_late(&s.bal->model, true);
	scene_balloon_work();
	data_drop(2000);
	s.now += 2000;
	scene_balloon_work();
	CHECK(scene_balloon_status().reporting > 0);
	CHECK(cf_balloon_is_busy(&s.balloon));
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK(!cf_balloon_is_busy(&s.balloon));
	CHECK(scene_end());
}

/* A round of hints, also one of which only its end is on its way. */
static void hint_is_busy(void)
{
	struct scene_config config = {
		.balloon_features = CF_BALLOON_F_HINT,
	};

	if (!CHECK(scene_make(config)) || !CHECK(scene_balloon()))
		return;
	CHECK(data_add(16000, 0));
	CHECK(!cf_balloon_is_busy(&s.balloon));
	model_late(&s.bal->model, true);
	model_balloon_hint(s.bal, 2);
	(void)cf_balloon_work(&s.balloon, s.now);
	CHECK(cf_balloon_is_busy(&s.balloon));
	model_answer(&s.bal->model, 1);
	(void)cf_balloon_work(&s.balloon, s.now);
	(void)cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(scene_balloon_status().hints, 0);
	CHECK(scene_balloon_status().hinting);
	CHECK(cf_balloon_is_busy(&s.balloon));
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK(!cf_balloon_is_busy(&s.balloon));
	CHECK(scene_end());
}

/* A migration out of the balloon that the device answers late. */
static void move_is_busy(void)
{
	struct scene_config config = {
		.boot_blocks = 3, .movable = true,
		.balloon = { .patience = 100, .small = true },
	};

	if (!CHECK(scene_make(config)) || !CHECK(scene_balloon()) ||
	    !CHECK(scene_balloon_size(12000)))
		return;
	CHECK(!cf_balloon_is_busy(&s.balloon));
	model_late(&s.bal->model, true);
	CHECK(cf_block_offline(s.map, s.block, 2 * s.block, 4, NULL) != 0);
	CHECK_EQ(scene_balloon_status().deflating, 0);
	CHECK(cf_balloon_is_busy(&s.balloon));
	model_late(&s.bal->model, false);
	scene_balloon_until(1000);
	CHECK(!cf_balloon_is_busy(&s.balloon));
	CHECK(scene_end());
}

int main(void)
{
	tap_run("busy with a unit of several blocks", unit_is_busy);
	tap_run("busy with a report", report_is_busy);
	tap_run("busy with hints", hint_is_busy);
	tap_run("busy with a migration", move_is_busy);
	tap_run("busy with a request", mem_is_busy);
	tap_run("what is told of blocks", mem_tells);
	tap_run("what is not adopted", mem_refuses);
	tap_run("a device that tells nonsense", mem_is_broken);
	tap_run("a balloon", balloon_adopts);
	return tap_done();
}
