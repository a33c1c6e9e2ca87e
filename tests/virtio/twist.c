/* SPDX-License-Identifier: MIT */

/*
 * Each call of a transport failing or lying in turn: configuration that
 * cannot be read or written, a status that is lost, a generation that moves.
 * Whatever it is, the device is broken for that reason, nothing in use is
 * lost, and the driver can be removed.
 */

#include "tests/virtio/scene.h"

#define NTH_MAX		400

/* What fails, and at which call; counted down. */
static uint64_t countdown;
static bool twisted;

static bool is_due(void)
{
	if (countdown == 0 || --countdown)
		return false;
	twisted = true;
	return true;
}

static int bad_read(void *transport, uint32_t offset, void *buffer,
		    uint32_t bytes)
{
	return is_due() ? -CF_EINVAL :
	       s.straight->config_read(transport, offset, buffer, bytes);
}

static int bad_write(void *transport, uint32_t offset, const void *buffer,
		     uint32_t bytes)
{
	return is_due() ? -CF_EINVAL :
	       s.straight->config_write(transport, offset, buffer, bytes);
}

/* Somebody else has reset it. */
static uint8_t lost_status(void *transport)
{
	uint8_t status = s.straight->status(transport);

	return status & CF_VIRTIO_DRIVER_OK && is_due() ? 0 : status;
}

static uint8_t sick_status(void *transport)
{
	uint8_t status = s.straight->status(transport);

	return status & CF_VIRTIO_DRIVER_OK && is_due() ?
	       status | CF_VIRTIO_NEEDS_RESET : status;
}

/* From then on it never stands still. */
static uint32_t moving_generation(void *transport)
{
	static uint32_t moved;

	(void)is_due();
	return s.straight->generation(transport) + (twisted ? ++moved : 0);
}

/* The next read is told of a size of which nobody spoke before. */
static uint32_t late_wish(void *transport)
{
	if (is_due())
		(void)model_mem_request(s.mem, 30 * MIB);
	return s.straight->generation(transport);
}

static void twist_read(struct cf_virtio_ops *ops)
{
	ops->config_read = bad_read;
}

static void twist_write(struct cf_virtio_ops *ops)
{
	ops->config_write = bad_write;
}

static void twist_lost(struct cf_virtio_ops *ops)
{
	ops->status = lost_status;
}

static void twist_sick(struct cf_virtio_ops *ops)
{
	ops->status = sick_status;
}

static void twist_generation(struct cf_virtio_ops *ops)
{
	ops->generation = moving_generation;
}

static void twist_wish(struct cf_virtio_ops *ops)
{
	ops->generation = late_wish;
}

struct twist {
	void (*twist)(struct cf_virtio_ops *ops);
	enum cf_virtio_broken broken;
};

static const struct twist twists[] = {
	{ twist_read, CF_VIRTIO_BROKEN_CONFIG },
	{ twist_write, CF_VIRTIO_BROKEN_CONFIG },
	{ twist_lost, CF_VIRTIO_BROKEN_STATUS },
	{ twist_sick, CF_VIRTIO_BROKEN_NEEDS_RESET },
	{ twist_generation, CF_VIRTIO_BROKEN_GENERATION },
};

static bool make(const struct twist *twist, bool big)
{
	struct scene_config config = {
		.block_order = 11,
		.boot_blocks = 6,
		.region = 64 * MIB,
		.vmem.big_blocks = big,
		.bus = big ? BUS_PCI : BUS_MMIO,
		.movable = true,
		.balloon_features = CF_BALLOON_F_STATS | CF_BALLOON_F_HINT |
				    CF_BALLOON_F_DEFLATE_ON_OOM |
				    CF_BALLOON_F_REPORTING |
				    CF_BALLOON_F_POISON,
		.balloon = { .poisoned = true },
		.twist = twist->twist,
	};

	twisted = false;
	return CHECK(scene_make(config));
}

static void resize_mem(void)
{
	const uint64_t sizes[] = { 16 * MIB, 40 * MIB, 8 * MIB, 24 * MIB, 0 };
	unsigned i;

	for (i = 0; i < 5; i++) {
		(void)scene_resize(sizes[i]);
		if (i == 1)
			(void)data_add(900, 0);
		CHECK(data_check() && scene_mem_check());
	}
	data_drop(SCENE_FOLIOS);
	(void)scene_resize(0);
}

/* One story. False: the call was never reached. */
static bool tell_mem(const struct twist *twist, bool big, uint64_t nth)
{
	if (!make(twist, big) || !CHECK(scene_mem_model()))
		return false;
	countdown = nth;
	if (scene_mem_open() == 0)
		resize_mem();
	countdown = 0;
	CHECK_EQ(scene_mem_status().broken,
		 twisted ? twist->broken : CF_VIRTIO_FINE);
	CHECK(scene_end());
	return twisted && !tap.broken;
}

static void resize_balloon(void)
{
	const uint32_t sizes[] = { 1000, 5000, 300, 0 };
	unsigned i;

	for (i = 0; i < 4; i++) {
		model_balloon_target(s.bal, sizes[i]);
		scene_balloon_until(1000);
		CHECK(scene_balloon_check());
		if (i == 1)
			(void)model_balloon_ask(s.bal);
		model_balloon_hint(s.bal, i % 2 ? CF_BALLOON_HINT_DONE :
				   CF_BALLOON_HINT_FIRST + i);
		scene_balloon_until(1000);
		CHECK(scene_balloon_check());
	}
}

static bool tell_balloon(const struct twist *twist, bool pci, uint64_t nth)
{
	if (!make(twist, pci) || !CHECK(scene_balloon_model()))
		return false;
	countdown = nth;
	if (scene_balloon_open() == 0)
		resize_balloon();
	countdown = 0;
	CHECK_EQ(scene_balloon_status().broken,
		 twisted ? twist->broken : CF_VIRTIO_FINE);
	if (!twisted)
		CHECK_EQ(scene_balloon_status().held, 0);
	CHECK(scene_end());
	return twisted && !tap.broken;
}

static void sweep(bool (*tell)(const struct twist *twist, bool big,
			       uint64_t nth), bool big, bool writes)
{
	uint64_t nth, told = 0;
	unsigned i;

	for (i = 0; i < sizeof(twists) / sizeof(*twists); i++) {
		if (twists[i].twist == twist_write && !writes)
			continue;
		for (nth = 1; nth < NTH_MAX; nth++, told++)
			if (!tell(&twists[i], big, nth))
				break;
		CHECK(nth > 3);
		if (tap.broken)
			tap_print("# twist %u, call %llu\n", i,
				  (unsigned long long)nth);
	}
	tap_print("# %llu stories\n", (unsigned long long)told);
}

static void mem_by_sub_blocks(void)
{
	sweep(tell_mem, false, false);
}

static void mem_by_big_blocks(void)
{
	sweep(tell_mem, true, false);
}

static void balloon_mmio(void)
{
	sweep(tell_balloon, false, true);
}

static void balloon_pci(void)
{
	sweep(tell_balloon, true, true);
}

/* The host changes its mind whenever it is looked at: no wish is lost. */
static void wishes_late(void)
{
	static const struct twist wish = { twist_wish, CF_VIRTIO_FINE };
	uint64_t nth, plugged;
	bool big;

	for (nth = 1; nth < 200 && !tap.broken; nth++) {
		big = nth % 2;
		if (!make(&wish, big) || !CHECK(scene_mem()))
			return;
		countdown = nth / 2 + 1;
		CHECK(model_mem_request(s.mem, 48 * MIB));
		scene_mem_work();
		plugged = scene_mem_status().plugged;
		/* Of blocks of 8 MiB there are only whole ones. */
		if (twisted && big)
			CHECK(plugged == 24 * MIB || plugged == 32 * MIB);
		else
			CHECK_EQ(plugged, twisted ? 30 * MIB : 48 * MIB);
		CHECK(scene_mem_check());
		countdown = 0;
		CHECK(scene_end());
		if (!twisted && nth > 20)
			break;
	}
	CHECK(nth > 20 && nth < 200);
}

int main(void)
{
	cf_host_enter();
	tap_run("virtio-mem, sub-blocks: each call fails", mem_by_sub_blocks);
	tap_run("virtio-mem, big blocks: each call fails", mem_by_big_blocks);
	tap_run("virtio-mem: wishes that come late", wishes_late);
	tap_run("virtio-balloon, MMIO: each call fails", balloon_mmio);
	tap_run("virtio-balloon, PCI: each call fails", balloon_pci);
	return tap_done();
}
