/* SPDX-License-Identifier: MIT */

/*
 * The virtio-balloon driver when things go wrong: the same story with each
 * answer of the device, and each call to the port, failing or lying in turn.
 * Whatever happens, the host never has a frame that is in use here, and every
 * frame is accounted for.
 */

#include "tests/virtio/scene.h"

#define NTH_MAX		1000

static const struct {
	enum model_trick trick;
	enum cf_virtio_broken broken;
} tricks[] = {
	{ MODEL_LIE_SILENCE, CF_VIRTIO_FINE },
	{ MODEL_LIE_SHORT, CF_VIRTIO_FINE },
	{ MODEL_LIE_LONG, CF_VIRTIO_BROKEN_RING_LENGTH },
	{ MODEL_LIE_ID_RANGE, CF_VIRTIO_BROKEN_RING_ID },
	{ MODEL_LIE_ID_FREE, CF_VIRTIO_BROKEN_RING_ID },
	{ MODEL_LIE_INDEX, CF_VIRTIO_BROKEN_RING_INDEX },
	{ MODEL_LIE_INDEX_BACK, CF_VIRTIO_BROKEN_RING_INDEX },
	{ MODEL_LIE_TWICE, CF_VIRTIO_BROKEN_RING_INDEX },
	{ MODEL_LIE_NEEDS_RESET, CF_VIRTIO_BROKEN_NEEDS_RESET },
	{ MODEL_LIE_STATUS, CF_VIRTIO_BROKEN_STATUS },
	{ MODEL_LIE_GENERATION, CF_VIRTIO_BROKEN_GENERATION },
};

static bool make(void)
{
	struct scene_config config = {
		.block_order = 12,
		.boot_blocks = 4,
		.movable = true,
		.bus = BUS_MMIO,
		.balloon_features = CF_BALLOON_F_STATS | CF_BALLOON_F_HINT |
				    CF_BALLOON_F_DEFLATE_ON_OOM |
				    CF_BALLOON_F_REPORTING,
		.balloon = { .patience = 50 },
	};

	return scene_make(config) && scene_balloon_model();
}

static void look(void)
{
	CHECK(data_check());
	CHECK(scene_balloon_check());
}

/* Empty a block of all that moves, and bring it back. */
static void cycle(unsigned index)
{
	cf_pfn first = index * s.block;
	unsigned tries;

	if (cf_block_offline(s.map, first, first + s.block, 8, NULL))
		return;
	look();
	for (tries = 0; tries < 2; tries++)
		if (cf_block_online(s.map, first, first + s.block,
				    CF_ZONE_MOVABLE, NULL) == 0)
			return;
	CHECK(false);
}

static void tell(void)
{
	model_balloon_target(s.bal, 1000);
	scene_balloon_until(500);
	look();
	(void)data_add(700, 0);
	(void)data_add(20, 4);
	model_balloon_target(s.bal, 5000);
	scene_balloon_until(500);
	look();
	cycle(2);
	scene_balloon_until(500);
	look();
	(void)model_balloon_ask(s.bal);
	(void)cf_balloon_low(&s.balloon);
	scene_balloon_until(3000);
	look();
	model_balloon_target(s.bal, 300);
	scene_balloon_until(2500);
	look();
	model_balloon_hint(s.bal, 9);
	scene_balloon_work();
	look();
	model_balloon_hint(s.bal, 10);
	scene_balloon_work();
	(void)cf_balloon_low(&s.balloon);
	scene_balloon_work();
	look();
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_until(500);
	cycle(1);
	look();
	data_drop(SCENE_FOLIOS);
	model_balloon_target(s.bal, 0);
	scene_balloon_until(3000);
	look();
}

static bool must_be_found(enum model_trick trick)
{
	return trick != MODEL_LIE_SILENCE && trick != MODEL_LIE_SHORT;
}

static void judge(enum model_trick trick, enum cf_virtio_broken expected)
{
	struct cf_balloon_status status = scene_balloon_status();

	if (s.bal->model.tricked && must_be_found(trick)) {
		CHECK_EQ(status.broken, expected);
		CHECK_EQ(cf_balloon_work(&s.balloon, s.now).when,
			 CF_WHEN_NEVER);
		return;
	}
	CHECK_EQ(status.broken, CF_VIRTIO_FINE);
	if (trick == MODEL_LIE_SILENCE && s.bal->model.tricked)
		return;
	CHECK_EQ(status.held, 0);
	CHECK_EQ(s.bal->ballooned, 0);
	CHECK_EQ(status.reporting + status.hinted, 0);
}

/* One telling. False: the answer was never reached. */
static bool tell_with(enum model_trick trick, uint64_t nth,
		      enum cf_virtio_broken expected)
{
	bool tricked;

	if (!CHECK(make()))
		return false;
	model_trick(&s.bal->model, trick, nth);
	if (CHECK_EQ(scene_balloon_open(), 0))
		tell();
	judge(trick, expected);
	tricked = s.bal->model.tricked;
	look();
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	s.balloon_open = false;
	look();
	CHECK(scene_end());
	if (tap.broken)
		tap_print("# trick %s, answer %llu\n", model_trick_name(trick),
			  (unsigned long long)nth);
	return tricked && !tap.broken;
}

/*
 * Migrations are thousands of answers alike: a few of them, then in larger
 * and larger steps.
 */
static uint64_t next_nth(uint64_t nth)
{
	return nth < 40 ? nth + 1 : nth + nth / 8;
}

static void sweep_tricks(void)
{
	uint64_t nth, told = 0;
	size_t i;

	for (i = 0; i < sizeof(tricks) / sizeof(*tricks); i++) {
		for (nth = 1; nth < NTH_MAX; nth = next_nth(nth), told++)
			if (!tell_with(tricks[i].trick, nth,
				       tricks[i].broken))
				break;
		CHECK(nth > 20);
	}
	tap_print("# %llu stories\n", (unsigned long long)told);
}

static bool tell_with_port(enum cf_host_call call, uint64_t nth)
{
	bool failed;

	if (!CHECK(make()) || !CHECK_EQ(scene_balloon_open(), 0))
		return false;
	cf_host_fault_arm(&s.memory, call, nth);
	tell();
	failed = cf_host_fault_calls(&s.memory, call) >= nth;
	cf_host_fault_disarm(&s.memory);
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_FINE);
	model_balloon_target(s.bal, 0);
	scene_balloon_until(10000);
	look();
	CHECK_EQ(scene_balloon_status().held, 0);
	CHECK_EQ(scene_balloon_status().deflating, 0);
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
		for (nth = 1; nth < NTH_MAX; nth = next_nth(nth), told++)
			if (!tell_with_port(calls[i], nth))
				break;
	tap_print("# %llu stories\n", (unsigned long long)told);
}

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

	for (i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		if (!CHECK(make()))
			return;
		model_trick(&s.bal->model, starts[i].trick, 1);
		CHECK_EQ(scene_balloon_open(), -CF_EREFUSED);
		CHECK_EQ(scene_balloon_status().broken, starts[i].broken);
		model_trick(&s.bal->model, MODEL_HONEST, 0);
		CHECK(scene_end());
	}
}

/* For a while the port takes nothing back: it is kept, and tried again. */
static void port_refuses(void)
{
	struct cf_balloon_status status;

	if (!CHECK(make()) || !CHECK_EQ(scene_balloon_open(), 0))
		return;
	model_balloon_target(s.bal, 6000);
	scene_balloon_work();
	CHECK_EQ(scene_balloon_status().held, 6000);
	/* Something that was used since it was reported. */
	CHECK(data_add(2000, 0));
	scene_balloon_until(3000);
	data_drop(2000);
	s.port_refuses = true;
	scene_balloon_until(3000);
	CHECK(scene_balloon_status().reporting > 0);
	model_balloon_target(s.bal, 5900);
	model_balloon_hint(s.bal, 4);
	scene_balloon_until(3000);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_until(3000);
	status = scene_balloon_status();
	CHECK_EQ(status.held, 5900);
	CHECK_EQ(status.deflating, 100);
	CHECK(status.hinted > 0);
	CHECK(status.reporting > 0);
	CHECK_EQ(s.bal->ballooned, 5900);
	look();
	s.port_refuses = false;
	scene_balloon_until(5000);
	status = scene_balloon_status();
	CHECK_EQ(status.deflating + status.hinted + status.reporting, 0);
	CHECK_EQ(status.phase, CF_BALLOON_IDLE);
	look();
	CHECK(scene_end());
}

/* The same for what a migration left. */
static void port_refuses_late(void)
{
	struct cf_report report;

	if (!CHECK(make()) || !CHECK_EQ(scene_balloon_open(), 0))
		return;
	model_balloon_target(s.bal, 6000);
	scene_balloon_work();
	model_late(&s.bal->model, true);
	CHECK(cf_block_offline(s.map, s.block, 2 * s.block, 2, &report) != 0);
	CHECK(scene_balloon_status().waiting);
	s.port_refuses = true;
	model_late(&s.bal->model, false);
	scene_balloon_until(3000);
	CHECK_EQ(scene_balloon_status().held, 6000);
	CHECK_EQ(s.bal->ballooned, 6000 - 512);
	look();
	s.port_refuses = false;
	scene_balloon_until(3000);
	CHECK_EQ(scene_balloon_status().held, 6000);
	CHECK_EQ(s.bal->ballooned, 6000);
	look();
	CHECK(scene_end());
}

/* What the host asks for may be anything. */
static void absurd_targets(void)
{
	const uint32_t targets[] = { ~0u, 0x80000000u, 1u << 30, 1 };
	unsigned i;

	if (!CHECK(make()) || !CHECK_EQ(scene_balloon_open(), 0))
		return;
	for (i = 0; i < 4; i++) {
		model_balloon_target(s.bal, targets[i]);
		model_balloon_hint(s.bal, targets[i]);
		scene_balloon_until(5000);
		look();
	}
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_FINE);
	CHECK_EQ(scene_balloon_status().held, 1);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("lies at the start", lies_at_start);
	tap_run("absurd targets", absurd_targets);
	tap_run("the port takes nothing back for a while", port_refuses);
	tap_run("nor what a migration left", port_refuses_late);
	tap_run("each answer fails or lies", sweep_tricks);
	tap_run("each call to the port fails", sweep_port);
	return tap_done();
}
