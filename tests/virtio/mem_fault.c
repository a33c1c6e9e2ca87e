/* SPDX-License-Identifier: MIT */

/*
 * The virtio-mem driver when things go wrong: the same story is told again
 * and again, each time with another answer of the device, or another call to
 * the port, that fails or lies.  Nothing may be lost, nothing touched that is
 * not plugged, and a device that lies is found out.
 */

#include <stdlib.h>

#include "tests/virtio/scene.h"

#define NTH_MAX		500

/* What the driver must say of a trick in mid-work. */
static const struct {
	enum model_trick trick;
	enum cf_virtio_broken broken;
} tricks[] = {
	{ MODEL_NACK, CF_VIRTIO_FINE },
	{ MODEL_BUSY, CF_VIRTIO_FINE },
	{ MODEL_LIE_SILENCE, CF_VIRTIO_FINE },
	{ MODEL_LIE_ERROR, CF_VIRTIO_BROKEN_ANSWER_ERROR },
	{ MODEL_LIE_TYPE, CF_VIRTIO_BROKEN_ANSWER },
	{ MODEL_LIE_STATE, CF_VIRTIO_BROKEN_STATE },
	{ MODEL_LIE_NOTHING_DONE, CF_VIRTIO_BROKEN_PLUGGED },
	{ MODEL_LIE_SHORT, CF_VIRTIO_BROKEN_ANSWER_SHORT },
	{ MODEL_LIE_LONG, CF_VIRTIO_BROKEN_RING_LENGTH },
	{ MODEL_LIE_ID_RANGE, CF_VIRTIO_BROKEN_RING_ID },
	{ MODEL_LIE_ID_FREE, CF_VIRTIO_BROKEN_RING_ID },
	{ MODEL_LIE_INDEX, CF_VIRTIO_BROKEN_RING_INDEX },
	{ MODEL_LIE_INDEX_BACK, CF_VIRTIO_BROKEN_RING_INDEX },
	{ MODEL_LIE_TWICE, CF_VIRTIO_BROKEN_RING_INDEX },
	{ MODEL_LIE_NEEDS_RESET, CF_VIRTIO_BROKEN_NEEDS_RESET },
	{ MODEL_LIE_STATUS, CF_VIRTIO_BROKEN_STATUS },
	{ MODEL_LIE_BLOCK_SIZE, CF_VIRTIO_BROKEN_CHANGED },
	{ MODEL_LIE_ADDR, CF_VIRTIO_BROKEN_CHANGED },
	{ MODEL_LIE_REGION, CF_VIRTIO_BROKEN_CHANGED },
	{ MODEL_LIE_REQUESTED, CF_VIRTIO_BROKEN_SIZES },
	{ MODEL_LIE_USABLE, CF_VIRTIO_BROKEN_SIZES },
	{ MODEL_LIE_USABLE_SHRINKS, CF_VIRTIO_BROKEN_CHANGED },
	{ MODEL_LIE_PLUGGED, CF_VIRTIO_BROKEN_PLUGGED },
	{ MODEL_LIE_UNALIGNED, CF_VIRTIO_BROKEN_SIZES },
	{ MODEL_LIE_GENERATION, CF_VIRTIO_BROKEN_GENERATION },
};

/* Big blocks of two memory blocks, or sub-blocks. */
static bool big;

static bool make(void)
{
	struct scene_config config = {
		.block_order = 11,
		.boot_blocks = 6,
		.region = 64 * MIB,
		.vmem.big_blocks = big,
		.vmem.big_block_frames = big ? 16 * MIB_FRAMES : 0,
		.bus = big ? BUS_PCI : BUS_MMIO,
	};

	return scene_make(config) && scene_mem_model();
}

static void cycle(unsigned index)
{
	cf_pfn first = s.region_first + index * s.block;
	int err;

	if (cf_block_offline(s.map, first, first + s.block, 8, NULL))
		return;
	err = cf_block_online(s.map, first, first + s.block, CF_ZONE_MOVABLE,
			      NULL);
	/* The port may have failed: it does so once. */
	if (err)
		err = cf_block_online(s.map, first, first + s.block,
				      CF_ZONE_MOVABLE, NULL);
	CHECK_EQ(err, 0);
}

static void ask(void)
{
	enum cf_vmem_state state;

	if (cf_vmem_ask(&s.vmem, s.region_first, s.region_first + 512))
		return;
	scene_mem_work();
	if (cf_vmem_answer(&s.vmem, &state) == 0)
		CHECK(state <= CF_VMEM_MIXED);
}

/* What is in use must be plugged as far as the driver was told. */
static bool used_is_had(void)
{
	cf_pfn at = s.region_first;
	struct cf_span span;
	bool ok = true;

	cf_walk_begin(s.map);
	while (ok && cf_walk_next(s.map, &at, s.region_last, &span))
		if (span.kind >= CF_SPAN_FREE && span.type != CF_TYPE_OFFLINE)
			ok = cf_vmem_has(&s.vmem, span.first) &&
			     cf_vmem_has(&s.vmem, span.last - 1);
	cf_walk_end(s.map);
	return ok;
}

static void look(bool honest)
{
	CHECK(data_check());
	CHECK(used_is_had());
	CHECK(honest ? scene_mem_check() : scene_verify());
}

static void tell(bool honest)
{
	(void)scene_resize(big ? 16 * MIB : 10 * MIB);
	look(honest);
	CHECK(data_add(600, 0));
	(void)scene_resize(big ? 48 * MIB : 28 * MIB);
	CHECK(data_add(100, 3));
	look(honest);
	ask();
	cycle(1);
	(void)scene_resize(big ? 16 * MIB : 8 * MIB);
	look(honest);
	(void)scene_resize(big ? 32 * MIB : 14 * MIB);
	cycle(1);
	look(honest);
	data_drop(SCENE_FOLIOS);
	(void)scene_resize(0);
	look(honest);
}

/* Some lies do no harm: nobody looks at the state of a PLUG. */
static bool must_be_found(enum model_trick trick, uint64_t plugged)
{
	bool of_state = s.mem->tricked_type == CF_VMEM_STATE;

	if (trick == MODEL_LIE_STATE)
		return of_state;
	if (trick == MODEL_LIE_USABLE_SHRINKS)
		return plugged > 0;
	return !of_state || (trick != MODEL_LIE_ERROR &&
			     trick != MODEL_LIE_NOTHING_DONE);
}

/* One telling. False: the answer was never reached. */
static bool tell_with(enum model_trick trick, uint64_t nth,
		      enum cf_virtio_broken expected)
{
	/* What was acknowledged and not done is not there. */
	bool honest = trick != MODEL_LIE_NOTHING_DONE;
	struct cf_vmem_status status;
	bool tricked;

	if (!CHECK(make()))
		return false;
	model_trick(&s.mem->model, trick, nth);
	if (CHECK_EQ(scene_mem_open(), 0))
		tell(honest);
	tricked = s.mem->model.tricked;
	status = scene_mem_status();
	if (!tricked || trick == MODEL_NACK || trick == MODEL_BUSY) {
		CHECK_EQ(status.broken, CF_VIRTIO_FINE);
		CHECK_EQ(status.plugged, 0);
		CHECK_EQ(status.phase, CF_VMEM_IDLE);
	} else if (trick == MODEL_LIE_SILENCE) {
		CHECK(status.waiting);
		CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
		s.vmem_open = false;
	} else if (status.broken || must_be_found(trick, status.plugged)) {
		CHECK_EQ(status.broken, expected);
		CHECK_EQ(status.phase, CF_VMEM_BROKEN);
		CHECK_EQ(cf_vmem_work(&s.vmem, s.now).when, CF_WHEN_NEVER);
	}
	CHECK(scene_end());
	if (tap.broken)
		tap_print("# trick %s, answer %llu\n", model_trick_name(trick),
			  (unsigned long long)nth);
	return tricked && !tap.broken;
}

static void sweep_tricks(void)
{
	size_t i;
	uint64_t nth, told = 0;

	for (i = 0; i < sizeof(tricks) / sizeof(*tricks); i++) {
		for (nth = 1; nth < NTH_MAX; nth++, told++)
			if (!tell_with(tricks[i].trick, nth,
				       tricks[i].broken))
				break;
		CHECK(nth > 5 && nth < NTH_MAX);
	}
	tap_print("# %llu stories\n", (unsigned long long)told);
}

static void lies_by_sub_blocks(void)
{
	big = false;
	sweep_tricks();
}

static void lies_by_big_blocks(void)
{
	big = true;
	sweep_tricks();
}

/*
 * From its n-th answer on it wants something else each time. No driver is at
 * rest then; none loses anything, and each is when the device is.
 */
static void changes_its_mind(void)
{
	struct cf_vmem_status status;
	uint64_t nth;
	unsigned i;

	/* Four big blocks are four answers. */
	for (nth = 0; nth < 8 && !tap.broken; nth++) {
		big = nth % 2;
		if (!CHECK(make()) || !CHECK_EQ(scene_mem_open(), 0))
			return;
		model_trick(&s.mem->model, MODEL_LIE_RESTLESS, nth / 2 + 1);
		CHECK(model_mem_request(s.mem, 64 * MIB));
		for (i = 0; i < 300; i++, s.now += 100)
			(void)cf_vmem_work(&s.vmem, s.now);
		CHECK(s.mem->model.tricked);
		CHECK(s.mem->model.answers > 40);
		CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_FINE);
		model_trick(&s.mem->model, MODEL_HONEST, 0);
		CHECK(scene_resize(32 * MIB));
		CHECK(scene_resize(0));
		status = scene_mem_status();
		CHECK_EQ(status.phase, CF_VMEM_IDLE);
		CHECK_EQ(status.plugged, s.mem->plugged);
		CHECK(scene_end());
	}
}

/* The n-th call to the port fails; the driver tries again later. */
static bool tell_with_port(enum cf_host_call call, uint64_t nth)
{
	bool failed;

	if (!CHECK(make()) || !CHECK_EQ(scene_mem_open(), 0))
		return false;
	cf_host_fault_arm(&s.memory, call, nth);
	tell(true);
	failed = cf_host_fault_calls(&s.memory, call) >= nth;
	cf_host_fault_disarm(&s.memory);
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_FINE);
	CHECK(scene_resize(0));
	CHECK(scene_end());
	if (tap.broken)
		tap_print("# port call %d, number %llu\n", (int)call,
			  (unsigned long long)nth);
	return failed && !tap.broken;
}

static void sweep_port(void)
{
	const enum cf_host_call calls[] = {
		CF_HOST_META_ALLOC, CF_HOST_FIRST_EXPOSED, CF_HOST_RETURNED,
		CF_HOST_FRAME_ADDRESS,
	};
	uint64_t nth, told = 0;
	unsigned i;

	for (i = 0; i < 4; i++)
		for (nth = 1; nth < NTH_MAX; nth++, told++)
			if (!tell_with_port(calls[i], nth))
				break;
	tap_print("# %llu stories\n", (unsigned long long)told);
}

static void port_by_sub_blocks(void)
{
	big = false;
	sweep_port();
}

static void port_by_big_blocks(void)
{
	big = true;
	sweep_port();
}

/* Devices with which nothing can be begun. */
static void lies_at_start(void)
{
	static const struct {
		enum model_trick trick;
		enum cf_virtio_broken broken;
	} starts[] = {
		{ MODEL_LIE_NO_VERSION_1, CF_VIRTIO_BROKEN_VERSION },
		{ MODEL_LIE_FEATURES, CF_VIRTIO_BROKEN_FEATURES },
		{ MODEL_LIE_NO_QUEUE, CF_VIRTIO_BROKEN_QUEUE },
		{ MODEL_LIE_QUEUE_DEAF, CF_VIRTIO_BROKEN_QUEUE },
		{ MODEL_LIE_NO_CONFIG, CF_VIRTIO_BROKEN_CONFIG },
		{ MODEL_LIE_NO_RESET, CF_VIRTIO_BROKEN_RESET },
		{ MODEL_LIE_ID, CF_VIRTIO_BROKEN_ID },
	};
	size_t i;
	int mmio;

	for (mmio = 0; mmio < 2; mmio++)
		for (i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
			big = !mmio;
			if (!CHECK(make()))
				return;
			model_trick(&s.mem->model, starts[i].trick, 1);
			CHECK_EQ(scene_mem_open(), -CF_EREFUSED);
			CHECK_EQ(scene_mem_status().broken, starts[i].broken);
			model_trick(&s.mem->model, MODEL_HONEST, 0);
			CHECK(scene_end());
		}
}

/* A configuration that is wrong from the first look. */
static void wrong_config(void)
{
	static const struct {
		unsigned at;
		uint64_t value;
		enum cf_virtio_broken broken;
	} wrong[] = {
		{ CF_VMEM_BLOCK_SIZE, 0, CF_VIRTIO_BROKEN_BLOCK_SIZE },
		{ CF_VMEM_BLOCK_SIZE, 2048, CF_VIRTIO_BROKEN_BLOCK_SIZE },
		{ CF_VMEM_BLOCK_SIZE, 3 * MIB, CF_VIRTIO_BROKEN_BLOCK_SIZE },
		{ CF_VMEM_BLOCK_SIZE, (uint64_t)1 << 63,
		  CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_ADDR, ~(uint64_t)0, CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_ADDR, 0 - 2 * MIB, CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_ADDR, 4096, CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_REGION_SIZE, 0, CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_REGION_SIZE, 0 - 2 * MIB, CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_REGION_SIZE, 4096 * MIB, CF_VIRTIO_BROKEN_REGION },
		{ CF_VMEM_USABLE_SIZE, 1024 * MIB, CF_VIRTIO_BROKEN_SIZES },
		{ CF_VMEM_USABLE_SIZE, 5, CF_VIRTIO_BROKEN_SIZES },
		{ CF_VMEM_REQUESTED_SIZE, 2 * MIB, CF_VIRTIO_BROKEN_SIZES },
		{ CF_VMEM_PLUGGED_SIZE, 66 * MIB, CF_VIRTIO_BROKEN_SIZES },
	};
	size_t i;

	big = false;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (!CHECK(make()))
			return;
		s.mem->tell_at = wrong[i].at + 1;
		s.mem->tell_value = wrong[i].value;
		CHECK_EQ(scene_mem_open(), -CF_EREFUSED);
		CHECK_EQ(scene_mem_status().broken, wrong[i].broken);
		CHECK(scene_end());
	}
}

/* The region covers memory that is in use. */
static void region_over_boot_memory(void)
{
	big = false;
	if (!CHECK(make()))
		return;
	s.mem->tell_at = CF_VMEM_ADDR + 1;
	s.mem->tell_value = 0;
	CHECK_EQ(scene_mem_open(), -CF_EBUSY);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("lies at the start", lies_at_start);
	tap_run("a configuration that can never be right", wrong_config);
	tap_run("a region over boot memory", region_over_boot_memory);
	tap_run("each answer fails or lies, sub-blocks", lies_by_sub_blocks);
	tap_run("each answer fails or lies, big blocks", lies_by_big_blocks);
	tap_run("wants something else all the time", changes_its_mind);
	tap_run("each call to the port fails, sub-blocks",
		port_by_sub_blocks);
	tap_run("each call to the port fails, big blocks",
		port_by_big_blocks);
	return tap_done();
}
