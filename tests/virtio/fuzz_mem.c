/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mem device that writes whatever the fuzzer draws: into its
 * registers, its configuration, the queue and the answers.
 * Method: the driver works against it for as long as there are bytes; memory
 * that is not the device's keeps its contents, the map verifies, and the
 * driver can be ended.
 *
 * The transport is played here, not by the models, so that nothing stands
 * between the bytes and the driver.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/virtio/scene.h"

#define WORK_MAX	400

/* The device: what is left of the bytes, and its honest part. */
static struct device {
	const uint8_t *bytes;
	size_t left;
	uint8_t status;
	uint32_t generation;
	struct cf_virtio_queue queue;
	uint16_t avail_next, used_next;
	uint8_t config[CF_VMEM_CONFIG_BYTES];
} device;

static uint8_t draw(void)
{
	if (!device.left)
		return 0;
	device.left--;
	return *device.bytes++;
}

/* One time in @odds a value is not what it should be. */
static bool spoils(unsigned odds)
{
	return device.left && draw() % odds == odds - 1;
}

static uint64_t draw64(void)
{
	uint64_t value = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		value = value << 8 | draw();
	return value;
}

static uint32_t get_id(void *transport)
{
	(void)transport;
	return CF_VIRTIO_ID_MEM;
}

static uint64_t get_features(void *transport)
{
	(void)transport;
	return draw64() | CF_VIRTIO_F_VERSION_1;
}

static void set_features(void *transport, uint64_t features)
{
	(void)transport;
	HOLDS(!(features & ~(CF_VIRTIO_F_VERSION_1 | CF_VMEM_F_ACPI_PXM |
			     CF_VMEM_F_UNPLUGGED_INACCESSIBLE)));
}

static uint8_t get_status(void *transport)
{
	(void)transport;
	return spoils(250) && device.status ? draw() : device.status;
}

static void set_status(void *transport, uint8_t status)
{
	(void)transport;
	device.status = status;
}

static int config_read(void *transport, uint32_t offset, void *buffer,
		       uint32_t bytes)
{
	(void)transport;
	if (offset + bytes > CF_VMEM_CONFIG_BYTES)
		return -CF_EINVAL;
	memcpy(buffer, device.config + offset, bytes);
	return 0;
}

static int config_write(void *transport, uint32_t offset, const void *buffer,
			uint32_t bytes)
{
	(void)transport;
	(void)offset;
	(void)buffer;
	(void)bytes;
	/* All of it is read-only. */
	HOLDS(false);
	return 0;
}

static uint32_t get_generation(void *transport)
{
	(void)transport;
	return spoils(200) ? draw() : device.generation;
}

static uint16_t queue_size(void *transport, uint16_t index)
{
	(void)transport;
	return spoils(16) ? draw() : index ? 0 : 128;
}

static int queue_enable(void *transport, uint16_t index,
			const struct cf_virtio_queue *queue)
{
	(void)transport;
	(void)index;
	device.queue = *queue;
	device.avail_next = 0;
	device.used_next = 0;
	return 0;
}

static uint8_t *memory_at(uint64_t phys)
{
	return s.memory.base + phys;
}

static void adjust(uint64_t bytes, bool plugged)
{
	uint8_t *at = device.config + CF_VMEM_PLUGGED_SIZE;

	cf_wire_put64(at, plugged ? cf_wire_get64(at) + bytes :
		      cf_wire_get64(at) - bytes);
}

/* The honest answer, mostly. */
static void answer(const uint8_t *request, uint8_t *to)
{
	uint16_t type = cf_wire_get16(request);
	uint64_t bytes = cf_wire_get16(request + CF_VMEM_REQUEST_COUNT) *
			 s.config.device_block;
	uint16_t said = spoils(5) ? draw() % 5 : CF_VMEM_ACK;

	cf_wire_put16(to, said);
	cf_wire_put16(to + CF_VMEM_ANSWER_STATE, draw() % 4);
	if (said == CF_VMEM_ACK && type <= CF_VMEM_UNPLUG)
		adjust(bytes, type == CF_VMEM_PLUG);
	if (said == CF_VMEM_ACK && type == CF_VMEM_UNPLUG_ALL)
		cf_wire_put64(device.config + CF_VMEM_PLUGGED_SIZE, 0);
}

/* Where the driver keeps everything it shares: into it, wherever. */
static void scribble(void)
{
	uint8_t *shared = memory_at(s.shared_pfn << CF_FRAME_SHIFT);
	unsigned count = draw() % 8;

	while (count--)
		shared[(draw() | draw() << 8) % 1024] = draw();
}

static void use(uint16_t head, uint32_t bytes)
{
	uint8_t *used = memory_at(device.queue.used_phys);
	uint8_t *entry = used + CF_USED_ENTRIES + 8 *
			 (device.used_next % device.queue.size);

	cf_wire_put32(entry, spoils(20) ? draw() : head);
	cf_wire_put32(entry + 4, spoils(20) ? draw() : bytes);
	device.used_next = (uint16_t)(device.used_next +
				      (spoils(30) ? draw() : 1));
	cf_ring_store16(used + CF_USED_INDEX, device.used_next);
}

static void notify(void *transport, uint16_t index)
{
	const uint8_t *avail = memory_at(device.queue.avail_phys);
	const uint8_t *table = memory_at(device.queue.desc_phys);
	const uint8_t *desc;
	uint16_t head;

	(void)transport;
	(void)index;
	if (device.avail_next == cf_ring_load16(avail + CF_AVAIL_INDEX) ||
	    spoils(40))
		return;
	head = cf_wire_get16(avail + CF_AVAIL_ENTRIES + 2 *
			     (device.avail_next++ % device.queue.size));
	/* What it has scribbled over is no chain any more. */
	if (head >= device.queue.size)
		return;
	desc = table + CF_DESC_BYTES * head;
	answer(memory_at(s.shared_pfn << CF_FRAME_SHIFT) +
	       (cf_wire_get64(desc) & 0xfff) % 4000,
	       memory_at(s.shared_pfn << CF_FRAME_SHIFT) +
	       (cf_wire_get64(desc + CF_DESC_BYTES) & 0xfff) % 4000);
	use(head, CF_VMEM_ANSWER_BYTES);
}

static uint8_t get_isr(void *transport)
{
	(void)transport;
	return draw();
}

static const struct cf_virtio_ops ops = {
	.device_id = get_id,
	.features = get_features,
	.set_features = set_features,
	.status = get_status,
	.set_status = set_status,
	.config_read = config_read,
	.config_write = config_write,
	.generation = get_generation,
	.queue_size = queue_size,
	.queue_enable = queue_enable,
	.notify = notify,
	.isr = get_isr,
};

static void good_config(void)
{
	uint8_t *config = device.config;

	memset(config, 0, sizeof(device.config));
	cf_wire_put64(config + CF_VMEM_BLOCK_SIZE, s.config.device_block);
	cf_wire_put64(config + CF_VMEM_ADDR, s.region_first << CF_FRAME_SHIFT);
	cf_wire_put64(config + CF_VMEM_REGION_SIZE, s.config.region);
	cf_wire_put64(config + CF_VMEM_USABLE_SIZE, s.config.region);
}

/* The host does something between two calls of work. */
static void host_acts(void)
{
	uint64_t blocks = s.config.region / s.config.device_block;

	switch (draw() % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		cf_wire_put64(device.config + CF_VMEM_REQUESTED_SIZE,
			      draw() % (blocks + 1) * s.config.device_block);
		device.generation++;
		break;
	case 4:
		device.config[draw() % CF_VMEM_CONFIG_BYTES] = draw();
		device.generation++;
		break;
	case 5:
		scribble();
		break;
	case 6:
		(void)cf_vmem_interrupt(&s.vmem, draw());
		break;
	case 7:
		cf_vmem_kick(&s.vmem);
		break;
	default:
		break;
	}
}

static bool asked;

/* So does the guest. */
static void guest_acts(void)
{
	cf_pfn first = s.region_first + draw() % 8 * s.block;

	switch (draw() % 16) {
	case 0:
		(void)data_add(draw(), draw() % 3);
		break;
	case 1:
		data_drop(draw());
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
	default:
		break;
	}
}

static void work(void)
{
	enum cf_vmem_state state;
	unsigned steps;

	for (steps = 0; device.left && steps < WORK_MAX; steps++) {
		host_acts();
		guest_acts();
		s.now += draw() * 16;
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
		.ops = &ops,
		.transport = &device,
		.big_blocks = draw() & 1,
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
	device.left = 0;
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
	device = (struct device){ .bytes = bytes, .left = count };
	good_config();
	one();
	HOLDS(scene_end());
	return 0;
}
