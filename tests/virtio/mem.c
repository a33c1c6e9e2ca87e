/* SPDX-License-Identifier: MIT */

/*
 * The virtio-mem driver against its model: what it asks for and in which
 * order, what it gives back, and what it keeps.
 */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "tests/virtio/scene.h"

static bool mem_scene(struct scene_config config)
{
	return scene_make(config) && scene_mem();
}

static cf_pfn block_first(unsigned index)
{
	return s.region_first + index * s.block;
}

static int offline(unsigned index)
{
	struct cf_report report;

	return cf_block_offline(s.map, block_first(index),
				block_first(index + 1), 16, &report);
}

static int online(unsigned index, enum cf_zone_kind kind)
{
	return cf_block_online(s.map, block_first(index),
			       block_first(index + 1), kind, NULL);
}

static struct cf_block_info info(unsigned index)
{
	struct cf_block_info info = { .state = CF_BLOCK_ABSENT };

	if (cf_block_info(s.map, block_first(index), &info))
		info.state = CF_BLOCK_ABSENT;
	return info;
}

static void grows_and_shrinks(void)
{
	struct cf_vmem_status status;

	if (!CHECK(mem_scene((struct scene_config){ .bus = BUS_PCI })))
		return;
	CHECK(scene_resize(32 * MIB));
	status = scene_mem_status();
	CHECK_EQ(status.blocks, 1);
	CHECK_EQ(status.blocks_partial, 0);
	CHECK_EQ(status.requests, 1);
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

/* Of what is offered, only what is implemented is taken. */
static void takes_known_features(void)
{
	if (!CHECK(mem_scene((struct scene_config){ .node = 1 })))
		return;
	CHECK(s.mem->model.offered & CF_VIRTIO_F_EVENT_IDX);
	CHECK_EQ(s.mem->model.features, CF_VIRTIO_F_VERSION_1 |
		 CF_VMEM_F_ACPI_PXM | CF_VMEM_F_UNPLUGGED_INACCESSIBLE);
	CHECK(scene_end());
}

static void on_bus(enum scene_bus bus)
{
	if (!CHECK(mem_scene((struct scene_config){ .bus = bus })))
		return;
	CHECK(scene_resize(40 * MIB));
	CHECK(scene_resize(0));
	CHECK(s.interrupts > 0);
	CHECK(bus == BUS_PCI_MSIX || cf_vmem_interrupt(&s.vmem, 0));
	CHECK_EQ(cf_vmem_interrupt(&s.vmem, 0), 0);
	CHECK(scene_end());
}

static void on_mmio(void)
{
	on_bus(BUS_MMIO);
}

static void on_msix(void)
{
	on_bus(BUS_PCI_MSIX);
}

static void on_intx(void)
{
	on_bus(BUS_PCI);
}

/* A change of size is seen without an interrupt, and with one. */
static void sees_changes(void)
{
	struct cf_next next;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	scene_mem_work();
	next = cf_vmem_work(&s.vmem, s.now);
	CHECK_EQ(next.when, CF_WHEN_EVENT);
	CHECK(model_mem_request(s.mem, 2 * MIB));
	CHECK_EQ(cf_vmem_interrupt(&s.vmem, 0), CF_VIRTIO_ISR_CONFIG);
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 2 * MIB);
	CHECK(scene_end());
}

static void fills_partial_first(void)
{
	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(48 * MIB));
	CHECK(scene_resize(56 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 2);
	/* A hole in the first block. */
	CHECK(data_add(1, 0));
	CHECK(scene_resize(2 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 1);
	CHECK(scene_resize(32 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 1);
	CHECK_EQ(scene_mem_status().blocks_partial, 0);
	CHECK(scene_resize(34 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 2);
	CHECK(scene_mem_check() && data_check());
	CHECK(scene_end());
}

/* NORMAL and partial, then MOVABLE and partial, then offline and partial. */
static void fills_in_order(void)
{
	struct scene_config config = {
		.vmem.online = CF_VMEM_ONLINE_NOT,
	};

	if (!CHECK(mem_scene(config)))
		return;
	CHECK(scene_resize(96 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 3);
	CHECK_EQ(online(0, CF_ZONE_MOVABLE), 0);
	CHECK_EQ(online(1, CF_ZONE_NORMAL), 0);
	scene_mem_work();
	/* Offline first, then MOVABLE: 2 MiB of each of the others stay. */
	CHECK(scene_resize(64 * MIB));
	CHECK_EQ(info(2).state, CF_BLOCK_ABSENT);
	CHECK(scene_resize(34 * MIB));
	CHECK_EQ(info(0).free, 2 * MIB_FRAMES);
	CHECK_EQ(info(1).free, 32 * MIB_FRAMES);
	CHECK(scene_resize(62 * MIB));
	CHECK_EQ(info(0).free, 30 * MIB_FRAMES);
	CHECK(scene_resize(30 * MIB));
	CHECK_EQ(info(0).state, CF_BLOCK_ABSENT);
	CHECK_EQ(info(1).free, 30 * MIB_FRAMES);
	/* Now a hole in NORMAL and a new block: the hole is first. */
	CHECK(scene_resize(34 * MIB));
	CHECK_EQ(info(1).free, 32 * MIB_FRAMES);
	CHECK_EQ(info(0).state, CF_BLOCK_OFFLINE);
	/* The offline block gives first, though it lies lower. */
	CHECK(scene_resize(32 * MIB));
	CHECK_EQ(info(0).state, CF_BLOCK_ABSENT);
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

/* Two partial blocks: the one in zone NORMAL is filled first. */
static void fills_normal_first(void)
{
	struct scene_config config = {
		.vmem.online = CF_VMEM_ONLINE_NOT,
	};

	if (!CHECK(mem_scene(config)))
		return;
	CHECK(scene_resize(60 * MIB));
	CHECK_EQ(online(1, CF_ZONE_NORMAL), 0);
	CHECK(scene_resize(56 * MIB));
	CHECK_EQ(online(0, CF_ZONE_MOVABLE), 0);
	CHECK_EQ(info(0).free, 28 * MIB_FRAMES);
	CHECK_EQ(info(1).free, 28 * MIB_FRAMES);
	CHECK(scene_resize(58 * MIB));
	CHECK_EQ(info(1).free, 30 * MIB_FRAMES);
	CHECK(scene_resize(62 * MIB));
	CHECK_EQ(info(1).free, 32 * MIB_FRAMES);
	CHECK_EQ(info(0).free, 30 * MIB_FRAMES);
	CHECK(scene_end());
}

static void moves_contents(void)
{
	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(128 * MIB));
	/* Data is spread over most of it, then most of it goes. */
	CHECK(data_add(16000, 0));
	CHECK(data_add(150, 6));
	data_thin(3);
	CHECK(data_check());
	CHECK(scene_resize(48 * MIB));
	CHECK(data_check());
	CHECK(s.data.moved > 0);
	CHECK(scene_mem_check());
	CHECK_EQ(s.mem->plugged, 48 * MIB);
	CHECK(scene_end());
}

/* A frame that cannot be moved is named, and what can be had is had. */
static void reports_pinned(void)
{
	struct cf_vmem_status status;
	cf_pfn pinned;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(64 * MIB));
	CHECK(data_add(1, 0));
	pinned = s.data.pfn[0];
	CHECK_EQ(cf_pin(s.map, pinned), 0);
	CHECK(!scene_resize(0));
	status = scene_mem_status();
	CHECK_EQ(status.phase, CF_VMEM_BACKING_OFF);
	CHECK_EQ(status.plugged, 2 * MIB);
	CHECK_EQ(status.report.pfn, pinned);
	CHECK_EQ(status.report.reason, CF_REASON_PINNED);
	CHECK(status.retries > 0);
	CHECK(data_check() && scene_mem_check());
	scene_mem_work();
	CHECK(cf_vmem_has(&s.vmem, pinned));
	cf_unpin(s.map, pinned);
	/* Nothing happens until time is up, or somebody says so. */
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 2 * MIB);
	cf_vmem_kick(&s.vmem);
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 0);
	CHECK(data_check());
	CHECK(scene_end());
}

static void backs_off(void)
{
	struct scene_config config = {
		.vmem = { .retry_min_ms = 100, .retry_max_ms = 350 },
	};
	const uint64_t waits[] = { 100, 200, 350, 350 };
	struct cf_next next;
	unsigned i;

	if (!CHECK(mem_scene(config)))
		return;
	s.mem->refuse = true;
	CHECK(model_mem_request(s.mem, 64 * MIB));
	for (i = 0; i < 4; i++) {
		scene_mem_work();
		next = cf_vmem_work(&s.vmem, s.now);
		CHECK_EQ(next.when, CF_WHEN_AT);
		CHECK_EQ(next.at_ms, s.now + waits[i]);
		next = cf_vmem_work(&s.vmem, next.at_ms - 1);
		CHECK_EQ(next.when, CF_WHEN_AT);
		CHECK_EQ(scene_mem_status().nacks, i + 1);
		s.now += waits[i];
	}
	/* A change of size begins anew, and at once. */
	CHECK(model_mem_request(s.mem, 32 * MIB));
	scene_mem_work();
	next = cf_vmem_work(&s.vmem, s.now);
	CHECK_EQ(next.at_ms, s.now + 100);
	s.mem->refuse = false;
	s.now += 100;
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 32 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(scene_end());
}

/* What a busy device does not take is in use again. */
static void busy_gives_back(void)
{
	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(64 * MIB));
	s.mem->migrating = true;
	CHECK(!scene_resize(0));
	CHECK_EQ(scene_mem_status().plugged, 64 * MIB);
	CHECK(scene_mem_status().busies > 0);
	CHECK_EQ(info(0).free + info(1).free, 64 * MIB_FRAMES);
	CHECK(scene_mem_check());
	s.mem->migrating = false;
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* The size changes while a request is not answered. */
static void changes_mid_work(void)
{
	struct cf_next next;
	unsigned i;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	model_late(&s.mem->model, true);
	CHECK(model_mem_request(s.mem, 128 * MIB));
	scene_mem_work();
	CHECK(scene_mem_status().waiting);
	CHECK(model_mem_request(s.mem, 16 * MIB));
	next = cf_vmem_work(&s.vmem, s.now);
	CHECK_EQ(next.when, CF_WHEN_EVENT);
	for (i = 0; i < 64; i++) {
		model_answer(&s.mem->model, 1);
		CHECK(model_mem_request(s.mem, i % 2 ? 16 * MIB : 96 * MIB));
		scene_mem_work();
		CHECK(scene_mem_check());
	}
	model_late(&s.mem->model, false);
	CHECK(scene_resize(40 * MIB));
	CHECK(scene_end());
}

/* Somebody before us left memory plugged. */
static void unplugs_all_first(void)
{
	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(8 * MIB));
	CHECK_EQ(cf_vmem_remove(&s.vmem, false), -CF_EBUSY);
	CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
	/* The map still has its block: not now. */
	CHECK_EQ(info(0).state, CF_BLOCK_ONLINE);
	free(s.storage);
	s.storage = NULL;
	CHECK_EQ(scene_mem_open(), -CF_EBUSY);
	CHECK_EQ(cf_vmem_remove(&s.vmem, false), 0);
	free(s.storage);
	s.storage = NULL;
	s.vmem_open = false;
	CHECK(scene_end());
}

static void starts_over(void)
{
	unsigned i;

	if (!CHECK(scene_make((struct scene_config){ 0 }) &&
		   scene_mem_model()))
		return;
	/* As if plugged by the firmware. */
	CHECK(model_mem_request(s.mem, 16 * MIB));
	for (i = 0; i < 4; i++)
		s.mem->plugged_map[i + 3] = 1;
	s.mem->plugged = 8 * MIB;
	CHECK(model_mem_request(s.mem, 16 * MIB));
	s.mem->migrating = true;
	CHECK_EQ(scene_mem_open(), 0);
	scene_mem_work();
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BACKING_OFF);
	CHECK_EQ(s.mem->plugged, 8 * MIB);
	s.mem->migrating = false;
	s.now += 1000;
	scene_mem_work();
	CHECK(s.mem->asked[CF_VMEM_UNPLUG_ALL] == 2);
	CHECK_EQ(s.mem->plugged, 16 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(!model_mem_has(s.mem, (s.region_first << 12) + 16 * MIB));
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

static void tells_states(void)
{
	enum cf_vmem_state state = CF_VMEM_MIXED;
	cf_pfn first;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	first = s.region_first;
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), -CF_EINVAL);
	CHECK(scene_resize(4 * MIB));
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 1), -CF_EINVAL);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first - 512, first), -CF_EINVAL);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 1024), 0);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 1024), -CF_EBUSY);
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), -CF_EAGAIN);
	scene_mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), 0);
	CHECK_EQ(state, CF_VMEM_PLUGGED);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 2048), 0);
	scene_mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), 0);
	CHECK_EQ(state, CF_VMEM_MIXED);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first + 2048, first + 4096), 0);
	scene_mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), 0);
	CHECK_EQ(state, CF_VMEM_UNPLUGGED);
	/* Late, given up, and another asked: each has its own answer. */
	model_late(&s.mem->model, true);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first + 2048, first + 4096), 0);
	scene_mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), -CF_EAGAIN);
	cf_vmem_forget(&s.vmem);
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), -CF_EINVAL);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 1024), 0);
	cf_vmem_forget(&s.vmem);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 1024), 0);
	model_answer(&s.mem->model, 1);
	(void)cf_vmem_work(&s.vmem, s.now);
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), -CF_EAGAIN);
	model_late(&s.mem->model, false);
	scene_mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), 0);
	CHECK_EQ(state, CF_VMEM_PLUGGED);
	/* Nothing is lost of one that was not sent yet, or is answered. */
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 1024), 0);
	cf_vmem_forget(&s.vmem);
	scene_mem_work();
	CHECK_EQ(cf_vmem_ask(&s.vmem, first, first + 2048), 0);
	scene_mem_work();
	cf_vmem_forget(&s.vmem);
	CHECK_EQ(cf_vmem_ask(&s.vmem, first + 2048, first + 4096), 0);
	scene_mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), 0);
	CHECK_EQ(state, CF_VMEM_UNPLUGGED);
	CHECK(cf_vmem_has(&s.vmem, first + 1023));
	CHECK(!cf_vmem_has(&s.vmem, first + 1024));
	CHECK(!cf_vmem_has(&s.vmem, first - 1));
	CHECK(scene_end());
}

/* A partly plugged block goes offline and comes back as it was. */
static void survives_cycles(void)
{
	unsigned i;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(44 * MIB));
	CHECK_EQ(info(1).skippable, 20 * MIB_FRAMES);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(offline(1), 0);
		CHECK_EQ(online(1, CF_ZONE_MOVABLE), 0);
		CHECK_EQ(info(1).skippable, 20 * MIB_FRAMES);
		CHECK_EQ(info(1).free, 12 * MIB_FRAMES);
		CHECK(scene_mem_check());
	}
	/* Plugged and unplugged while it is offline. */
	CHECK_EQ(offline(1), 0);
	CHECK(scene_resize(50 * MIB));
	CHECK_EQ(info(1).state, CF_BLOCK_OFFLINE);
	CHECK(scene_resize(46 * MIB));
	CHECK_EQ(online(1, CF_ZONE_NORMAL), 0);
	CHECK_EQ(info(1).free, 14 * MIB_FRAMES);
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

static void forced_unload(void)
{
	cf_pfn pfn;
	struct cf_report report;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(72 * MIB));
	CHECK(data_add(100, 0));
	CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
	s.vmem_open = false;
	CHECK(data_check() && scene_verify());
	/* Whole blocks are as any other; a partial one cannot go. */
	CHECK_EQ(offline(0), 0);
	CHECK_EQ(cf_block_offline(s.map, block_first(2), block_first(3), 8,
				  &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_ORPHAN);
	CHECK_EQ(info(2).state, CF_BLOCK_ONLINE);
	CHECK(data_check() && scene_mem_check());
	/* What is plugged of it is in use all the same. */
	CHECK(info(2).free > 0);
	pfn = block_first(2);
	CHECK(model_mem_has(s.mem, pfn << CF_FRAME_SHIFT));
	CHECK(scene_end());
}

static void forced_unload_offline(void)
{
	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(40 * MIB));
	CHECK_EQ(offline(1), 0);
	CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
	s.vmem_open = false;
	CHECK_EQ(info(1).state, CF_BLOCK_ABSENT);
	CHECK_EQ(info(0).state, CF_BLOCK_ONLINE);
	CHECK(scene_end());
}

static int veto(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	enum cf_event *unwanted = context;

	(void)first;
	(void)last;
	return event == *unwanted;
}

static void vetoed_online(void)
{
	enum cf_event unwanted = CF_EVENT_ONLINE;
	struct cf_subscriber subscriber = {
		.name = "veto",
		.context = &unwanted,
		.going = veto,
	};
	struct scene_config config = {
		.vmem.offline_max_frames = 64 * MIB_FRAMES,
	};

	if (!CHECK(mem_scene(config)))
		return;
	CHECK_EQ(cf_subscriber_add(s.map, &subscriber), 0);
	CHECK(model_mem_request(s.mem, 128 * MIB));
	scene_mem_work();
	/* No more than may be offline. */
	CHECK_EQ(scene_mem_status().plugged, 64 * MIB);
	CHECK_EQ(scene_mem_status().err, -CF_ELIMIT);
	CHECK_EQ(info(0).state, CF_BLOCK_OFFLINE);
	CHECK_EQ(cf_subscriber_remove(s.map, &subscriber), 0);
	CHECK(scene_resize(128 * MIB));
	CHECK_EQ(info(0).state, CF_BLOCK_ONLINE);
	CHECK_EQ(info(3).state, CF_BLOCK_ONLINE);
	/* An empty block that must not go: it waits. */
	unwanted = CF_EVENT_OFFLINE;
	CHECK_EQ(cf_subscriber_add(s.map, &subscriber), 0);
	CHECK(!scene_resize(96 * MIB));
	CHECK_EQ(scene_mem_status().plugged, 96 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BACKING_OFF);
	CHECK_EQ(info(3).skippable, 32 * MIB_FRAMES);
	CHECK_EQ(cf_subscriber_remove(s.map, &subscriber), 0);
	s.now += 1000000;
	scene_mem_work();
	CHECK_EQ(info(3).state, CF_BLOCK_ABSENT);
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

/* The port exposes nothing for a while: plugged, and not in use. */
static void port_refuses(void)
{
	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(4 * MIB));
	s.port_refuses = true;
	CHECK(!scene_resize(64 * MIB));
	CHECK_EQ(scene_mem_status().plugged, 64 * MIB);
	CHECK_EQ(info(0).free, 4 * MIB_FRAMES);
	CHECK_EQ(info(1).state, CF_BLOCK_OFFLINE);
	CHECK(!cf_vmem_has(&s.vmem, s.region_first + 4 * MIB_FRAMES));
	CHECK(scene_mem_check());
	/* In that state the block may go and come. */
	s.port_refuses = false;
	CHECK_EQ(offline(0), 0);
	CHECK_EQ(online(0, CF_ZONE_MOVABLE), 0);
	CHECK(scene_mem_check());
	s.now += 1000000;
	scene_mem_work();
	CHECK_EQ(info(0).free + info(1).free, 64 * MIB_FRAMES);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

static void left_offline(void)
{
	struct scene_config config = {
		.vmem = {
			.online = CF_VMEM_ONLINE_NOT,
			.offline_max_frames = 64 * MIB_FRAMES,
			.keep_online = true,
		},
	};

	if (!CHECK(mem_scene(config)))
		return;
	CHECK(model_mem_request(s.mem, 128 * MIB));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 64 * MIB);
	/* One comes online: there is room for another. */
	CHECK_EQ(online(0, CF_ZONE_MOVABLE), 0);
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 96 * MIB);
	/* What is online stays. */
	CHECK(model_mem_request(s.mem, 0));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 32 * MIB);
	CHECK_EQ(info(0).state, CF_BLOCK_ONLINE);
	CHECK_EQ(offline(0), 0);
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

static void knows_nodes(void)
{
	struct scene_config config = { .nodes = 3, .node = 3 };

	if (!CHECK(mem_scene(config)))
		return;
	CHECK(scene_resize(4 * MIB));
	CHECK_EQ(info(0).node, 2);
	CHECK_EQ(scene_mem_status().node, 2);
	CHECK(scene_end());
	/* A node the map has not: where the embedder says. */
	config.node = 100;
	config.vmem.node = 1;
	if (!CHECK(mem_scene(config)))
		return;
	CHECK(scene_resize(4 * MIB));
	CHECK_EQ(info(0).node, 1);
	CHECK(scene_end());
}

/* The region neither begins nor ends with a block. */
static void unaligned_region(void)
{
	struct scene_config config = {
		.shift = 6 * MIB,
		.region = 130 * MIB,
	};

	if (!CHECK(mem_scene(config)))
		return;
	CHECK(model_mem_request(s.mem, 130 * MIB));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 96 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(scene_mem_check());
	CHECK(scene_resize(0));
	CHECK(scene_end());
	/* No more is usable than is asked for: not all of it can be had. */
	if (!CHECK(mem_scene(config)))
		return;
	s.mem->slack = 0;
	CHECK(model_mem_request(s.mem, 60 * MIB));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 34 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_IDLE);
	CHECK(scene_mem_check());
	CHECK(scene_end());
}

/* Device blocks smaller and larger than 2 MiB. */
static void device_blocks(void)
{
	const uint64_t blocks[] = { 4096, 1 * MIB, 4 * MIB, 16 * MIB };
	struct scene_config config = { 0 };
	unsigned i;

	for (i = 0; i < 4; i++) {
		config.device_block = blocks[i];
		if (!CHECK(mem_scene(config)))
			return;
		CHECK_EQ(scene_mem_status().sub_block,
			 blocks[i] < 2 * MIB ? 2 * MIB : blocks[i]);
		CHECK(scene_resize(48 * MIB));
		CHECK(data_add(1000, 0));
		CHECK(scene_resize(16 * MIB));
		CHECK(data_check() && scene_mem_check());
		data_drop(1000);
		CHECK(scene_end());
	}
}

static void small_blocks(void)
{
	struct scene_config config = { .block_order = 10, .boot_blocks = 8 };

	if (!CHECK(mem_scene(config)))
		return;
	CHECK(scene_resize(30 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 8);
	CHECK(scene_resize(2 * MIB));
	CHECK_EQ(scene_mem_status().blocks, 1);
	CHECK(scene_end());
}

/* A dump reads a frame: the device may not have it until that is done. */
static void *read_for_a_while(void *context)
{
	unsigned ticket = cf_content_begin(s.map);
	struct timespec time = { 0, 30 * 1000 * 1000 };
	uint64_t *unplugs = context;

	__atomic_store_n(&unplugs[0], 1, __ATOMIC_RELEASE);
	nanosleep(&time, NULL);
	model_lock(&s.mem->model);
	unplugs[1] = s.mem->asked[CF_VMEM_UNPLUG];
	model_unlock(&s.mem->model);
	cf_content_end(s.map, ticket);
	return NULL;
}

static void waits_for_readers(void)
{
	uint64_t unplugs[2] = { 0, ~(uint64_t)0 };
	pthread_t reader;

	if (!CHECK(mem_scene((struct scene_config){ 0 })))
		return;
	CHECK(scene_resize(64 * MIB));
	if (!CHECK_EQ(pthread_create(&reader, NULL, read_for_a_while,
				     unplugs), 0))
		return;
	while (!__atomic_load_n(&unplugs[0], __ATOMIC_ACQUIRE))
		sched_yield();
	CHECK(scene_resize(0));
	pthread_join(reader, NULL);
	CHECK_EQ(unplugs[1], 0);
	CHECK(s.mem->asked[CF_VMEM_UNPLUG] > 0);
	CHECK(scene_end());
}

/* The region must be in the window, and nobody else's. */
static void outside_window(void)
{
	struct scene_config config = { .vmem.last = 100 };

	if (!CHECK(scene_make(config) && scene_mem_model()))
		return;
	CHECK_EQ(scene_mem_open(), -CF_EREFUSED);
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_BROKEN_REGION);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("grows and shrinks", grows_and_shrinks);
	tap_run("takes known features only", takes_known_features);
	tap_run("over PCI with INTx", on_intx);
	tap_run("over PCI with MSI-X", on_msix);
	tap_run("over MMIO", on_mmio);
	tap_run("sees changes", sees_changes);
	tap_run("fills partial blocks first", fills_partial_first);
	tap_run("fills and empties in order", fills_in_order);
	tap_run("fills zone NORMAL first", fills_normal_first);
	tap_run("moves contents", moves_contents);
	tap_run("reports what is pinned", reports_pinned);
	tap_run("backs off, longer and longer", backs_off);
	tap_run("a busy device: nothing is lost", busy_gives_back);
	tap_run("the size changes in mid-work", changes_mid_work);
	tap_run("does not start on memory in use", unplugs_all_first);
	tap_run("unplugs all at the start", starts_over);
	tap_run("tells states", tells_states);
	tap_run("survives offline and online", survives_cycles);
	tap_run("forced unload", forced_unload);
	tap_run("forced unload, offline blocks", forced_unload_offline);
	tap_run("vetoes are waited out", vetoed_online);
	tap_run("the port exposes nothing for a while", port_refuses);
	tap_run("blocks left offline", left_offline);
	tap_run("nodes", knows_nodes);
	tap_run("a region off the blocks", unaligned_region);
	tap_run("device blocks of all sizes", device_blocks);
	tap_run("memory blocks of 4 MiB", small_blocks);
	tap_run("waits for readers of contents", waits_for_readers);
	tap_run("a region outside its window", outside_window);
	return tap_done();
}
