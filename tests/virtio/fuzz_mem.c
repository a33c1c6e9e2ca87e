/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mem device that writes whatever the fuzzer draws: into its
 * registers, its configuration, the queue and the answers.
 * Method: the driver works against it for as long as there are bytes; memory
 * that is not the device's keeps its contents, the map verifies, and the
 * driver can be ended.
 */
#include <stdlib.h>

#include "tests/virtio/fuzz_device.h"

#define WORK_MAX	400

static void adjust(uint64_t bytes, bool plugged)
{
	uint8_t *at = fuzz_device.config + CF_VMEM_PLUGGED_SIZE;

	cf_wire_put64(at, plugged ? cf_wire_get64(at) + bytes :
		      cf_wire_get64(at) - bytes);
}

static uint32_t answer(unsigned queue, uint8_t *request, uint8_t *to)
{
	uint16_t type, said = fuzz_spoils(5) ? fuzz_draw() % 5 : CF_VMEM_ACK;
	uint64_t bytes;

	(void)queue;
	if (!request || !to)
		return 0;
	type = cf_wire_get16(request);
	bytes = cf_wire_get16(request + CF_VMEM_REQUEST_COUNT) *
		s.config.device_block;
	cf_wire_put16(to, said);
	cf_wire_put16(to + CF_VMEM_ANSWER_STATE, fuzz_draw() % 4);
	if (said == CF_VMEM_ACK && type <= CF_VMEM_UNPLUG)
		adjust(bytes, type == CF_VMEM_PLUG);
	if (said == CF_VMEM_ACK && type == CF_VMEM_UNPLUG_ALL)
		cf_wire_put64(fuzz_device.config + CF_VMEM_PLUGGED_SIZE, 0);
	return CF_VMEM_ANSWER_BYTES;
}

static void make_device(const uint8_t *bytes, size_t count)
{
	uint8_t *config = fuzz_device.config;

	fuzz_device = (struct fuzz_device){
		.bytes = bytes,
		.left = count,
		.id = CF_VIRTIO_ID_MEM,
		.offered = CF_VIRTIO_F_VERSION_1 | 7,
		.known = CF_VMEM_F_ACPI_PXM | CF_VMEM_F_UNPLUGGED_INACCESSIBLE,
		.config_bytes = CF_VMEM_CONFIG_BYTES,
		.answer = answer,
	};
	cf_wire_put64(config + CF_VMEM_BLOCK_SIZE, s.config.device_block);
	cf_wire_put64(config + CF_VMEM_ADDR, s.region_first << CF_FRAME_SHIFT);
	cf_wire_put64(config + CF_VMEM_REGION_SIZE, s.config.region);
	cf_wire_put64(config + CF_VMEM_USABLE_SIZE, s.config.region);
}

/* The host does something between two calls of work. */
static void host_acts(void)
{
	uint64_t blocks = s.config.region / s.config.device_block;

	switch (fuzz_draw() % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		cf_wire_put64(fuzz_device.config + CF_VMEM_REQUESTED_SIZE,
			      fuzz_draw() % (blocks + 1) *
			      s.config.device_block);
		fuzz_device.generation++;
		break;
	case 4:
		fuzz_device.config[fuzz_draw() % CF_VMEM_CONFIG_BYTES] =
			fuzz_draw();
		fuzz_device.generation++;
		break;
	case 5:
		fuzz_scribble(1024);
		break;
	case 6:
		(void)cf_vmem_interrupt(&s.vmem, fuzz_draw());
		break;
	case 7:
		cf_vmem_kick(&s.vmem);
		break;
	case 8:
		fuzz_use(0);
		break;
	default:
		break;
	}
}

static bool asked;

/* So does the guest. */
static void guest_acts(void)
{
	cf_pfn first = s.region_first + fuzz_draw() % 8 * s.block;

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
		asked |= cf_vmem_ask(&s.vmem, s.region_first,
				     s.region_first + 512) == 0;
		break;
	case 4:
		cf_vmem_forget(&s.vmem);
		break;
	default:
		break;
	}
}

static void work(void)
{
	enum cf_vmem_state state;
	unsigned steps;

	for (steps = 0; fuzz_device.left && steps < WORK_MAX; steps++) {
		host_acts();
		guest_acts();
		s.now += fuzz_draw() * 16;
		(void)cf_vmem_work(&s.vmem, s.now);
		if (asked && cf_vmem_answer(&s.vmem, &state) == 0)
			HOLDS(state <= CF_VMEM_MIXED);
	}
	HOLDS(data_check());
	HOLDS(scene_verify());
}

static void one(void)
{
	struct cf_vmem_config config = {
		.map = s.map,
		.ops = &fuzz_ops,
		.transport = &fuzz_device,
		.big_blocks = fuzz_draw() & 1,
	};
	bool started = false;

	if (!scene_share(cf_vmem_shared_bytes(), &config.shared))
		return;
	if (cf_vmem_open(&s.vmem, &config) == 0) {
		s.storage = malloc(cf_vmem_bytes(&s.vmem) + 8);
		started = s.storage &&
			  cf_vmem_start(&s.vmem, s.storage) == 0;
	}
	if (started)
		work();
	fuzz_device.left = 0;
	HOLDS(cf_vmem_remove(&s.vmem, true) == 0);
	HOLDS(data_check());
	HOLDS(scene_verify());
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct scene_config config = {
		.block_order = 11,
		.boot_blocks = 4,
		.region = 64 * MIB,
	};

	cf_host_enter();
	if (!scene_make(config))
		return 0;
	HOLDS(data_add(500, 0));
	make_device(bytes, count);
	asked = false;
	one();
	HOLDS(scene_end());
	return 0;
}
