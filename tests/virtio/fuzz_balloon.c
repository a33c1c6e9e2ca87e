/* SPDX-License-Identifier: MIT */
/*
 * A virtio-balloon device that writes whatever the fuzzer draws.
 * Method: as fuzz_mem.c, with rounds of hints, reports and migrations.
 */
#include <stdlib.h>

#include "tests/virtio/fuzz_device.h"

#define WORK_MAX	300

static void make_device(const uint8_t *bytes, size_t count)
{
	fuzz_device = (struct fuzz_device){
		.bytes = bytes,
		.left = count,
		.id = CF_VIRTIO_ID_BALLOON,
		.offered = CF_VIRTIO_F_VERSION_1,
		.known = 0x3f,
		.config_bytes = CF_BALLOON_CONFIG_BYTES,
		.writable = true,
	};
	fuzz_device.offered |= fuzz_draw() & 0x3f;
}

static void host_acts(void)
{
	uint8_t *config = fuzz_device.config;
	unsigned queue = fuzz_draw() % FUZZ_QUEUES;

	switch (fuzz_draw() % 16) {
	case 0:
	case 1:
	case 2:
		cf_wire_put32(config + CF_BALLOON_NUM_PAGES,
			      (uint32_t)fuzz_draw() * 32);
		fuzz_device.generation++;
		break;
	case 3:
		cf_wire_put32(config + CF_BALLOON_HINT_COMMAND,
			      fuzz_draw() % 6);
		fuzz_device.generation++;
		break;
	case 4:
		config[fuzz_draw() % CF_BALLOON_CONFIG_BYTES] = fuzz_draw();
		fuzz_device.generation++;
		break;
	case 5:
		fuzz_scribble(cf_balloon_shared_bytes());
		break;
	case 6:
		(void)cf_balloon_interrupt(&s.balloon, fuzz_draw());
		break;
	case 7:
		fuzz_device.queue[queue].held = fuzz_draw() & 1;
		break;
	case 8:
	case 9:
		fuzz_use(queue);
		break;
	default:
		break;
	}
}

static void guest_acts(void)
{
	cf_pfn first = (1 + fuzz_draw() % 3) * s.block;

	switch (fuzz_draw() % 16) {
	case 0:
		(void)data_add(fuzz_draw(), fuzz_draw() % 3);
		break;
	case 1:
		data_drop(fuzz_draw());
		break;
	case 2:
		if (cf_block_offline(s.map, first, first + s.block, 4, NULL))
			break;
		HOLDS(cf_block_online(s.map, first, first + s.block,
				      CF_ZONE_MOVABLE, NULL) == 0);
		break;
	case 3:
		(void)cf_balloon_low(&s.balloon);
		break;
	case 4:
		cf_balloon_drain(&s.balloon, fuzz_draw() & 1);
		break;
	default:
		break;
	}
}

static void one(void)
{
	struct cf_balloon_config config = {
		.map = s.map,
		.ops = &fuzz_ops,
		.transport = &fuzz_device,
		.patience = 4,
		.small = fuzz_draw() & 1,
		.poisoned = fuzz_draw() % 4 == 0,
	};
	unsigned steps;
	bool started;

	s.reported = calloc(1, cf_balloon_reported_bytes(s.map));
	config.reported = s.reported;
	if (!s.reported ||
	    !scene_share(cf_balloon_shared_bytes(), &config.shared))
		return;
	started = cf_balloon_open(&s.balloon, &config) == 0;
	for (steps = 0; started && fuzz_device.left && steps < WORK_MAX;
	     steps++) {
		host_acts();
		guest_acts();
		s.now += fuzz_draw() * 16;
		(void)cf_balloon_work(&s.balloon, s.now);
	}
	HOLDS(data_check());
	HOLDS(scene_verify());
	fuzz_device.left = 0;
	HOLDS(cf_balloon_remove(&s.balloon, NULL) == 0);
	HOLDS(data_check());
	HOLDS(scene_verify());
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct scene_config config = {
		.block_order = 11,
		.boot_blocks = 6,
		.region = 8 * MIB,
		.movable = true,
	};

	cf_host_enter();
	if (!scene_make(config))
		return 0;
	HOLDS(data_add(500, 0));
	make_device(bytes, count);
	one();
	HOLDS(scene_end());
	return 0;
}
