/* SPDX-License-Identifier: MIT */

/* The device of the fuzz targets. */

#include "tests/virtio/fuzz_device.h"

struct fuzz_device fuzz_device;

uint8_t fuzz_draw(void)
{
	if (!fuzz_device.left)
		return 0;
	fuzz_device.left--;
	return *fuzz_device.bytes++;
}

bool fuzz_spoils(unsigned odds)
{
	return fuzz_device.left && fuzz_draw() % odds == odds - 1;
}

uint64_t fuzz_draw64(void)
{
	uint64_t value = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		value = value << 8 | fuzz_draw();
	return value;
}

static uint32_t get_id(void *transport)
{
	(void)transport;
	return fuzz_device.id;
}

static uint64_t get_features(void *transport)
{
	(void)transport;
	return fuzz_spoils(16) ? fuzz_draw64() : fuzz_device.offered;
}

static void set_features(void *transport, uint64_t features)
{
	(void)transport;
	HOLDS(!(features & ~(CF_VIRTIO_F_VERSION_1 | fuzz_device.known)));
}

static uint8_t get_status(void *transport)
{
	(void)transport;
	return fuzz_spoils(250) && fuzz_device.status ? fuzz_draw() :
	       fuzz_device.status;
}

static void set_status(void *transport, uint8_t status)
{
	(void)transport;
	fuzz_device.status = status;
}

static int config_read(void *transport, uint32_t offset, void *buffer,
		       uint32_t bytes)
{
	(void)transport;
	if (offset + bytes > fuzz_device.config_bytes)
		return -CF_EINVAL;
	memcpy(buffer, fuzz_device.config + offset, bytes);
	return 0;
}

static int config_write(void *transport, uint32_t offset, const void *buffer,
			uint32_t bytes)
{
	(void)transport;
	HOLDS(fuzz_device.writable);
	if (offset + bytes > fuzz_device.config_bytes || fuzz_spoils(100))
		return -CF_EINVAL;
	memcpy(fuzz_device.config + offset, buffer, bytes);
	return 0;
}

static uint32_t get_generation(void *transport)
{
	(void)transport;
	return fuzz_spoils(200) ? fuzz_draw() : fuzz_device.generation;
}

static uint16_t queue_size(void *transport, uint16_t index)
{
	(void)transport;
	if (fuzz_spoils(30))
		return fuzz_draw();
	return index < FUZZ_QUEUES ? 128 : 0;
}

static int queue_enable(void *transport, uint16_t index,
			const struct cf_virtio_queue *queue)
{
	(void)transport;
	HOLDS(index < FUZZ_QUEUES);
	fuzz_device.queue[index] = (struct fuzz_queue){ .at = *queue };
	return 0;
}

static uint8_t *memory_at(uint64_t phys)
{
	return s.memory.base + phys;
}

void fuzz_scribble(size_t bytes)
{
	uint8_t *shared = memory_at(s.shared_pfn << CF_FRAME_SHIFT);
	unsigned count = fuzz_draw() % 8;

	while (count--)
		shared[(size_t)(fuzz_draw() | fuzz_draw() << 8) % bytes] =
			fuzz_draw();
}

static void put_used(struct fuzz_queue *queue, uint16_t head, uint32_t bytes)
{
	uint8_t *used = memory_at(queue->at.used_phys);
	uint8_t *entry = used + CF_USED_ENTRIES + 8 *
			 (queue->used_next % queue->at.size);

	cf_wire_put32(entry, fuzz_spoils(30) ? fuzz_draw() : head);
	cf_wire_put32(entry + 4, fuzz_spoils(30) ? fuzz_draw() : bytes);
	queue->used_next = (uint16_t)(queue->used_next +
				      (fuzz_spoils(40) ? fuzz_draw() : 1));
	cf_ring_store16(used + CF_USED_INDEX, queue->used_next);
}

/* Where a descriptor points, if that is memory the driver shares. */
static uint8_t *shared_at(const uint8_t *desc)
{
	uint64_t phys = cf_wire_get64(desc + CF_DESC_ADDR);
	uint64_t first = s.shared_pfn << CF_FRAME_SHIFT;

	/* It may have scribbled over it. */
	if (phys < first || phys >= first + 31 * CF_FRAME_BYTES)
		return NULL;
	return memory_at(phys);
}

void fuzz_use(unsigned index)
{
	struct fuzz_queue *queue = &fuzz_device.queue[index];
	const uint8_t *avail, *table;
	uint32_t bytes = 0;
	uint16_t head;

	if (!queue->at.size)
		return;
	avail = memory_at(queue->at.avail_phys);
	table = memory_at(queue->at.desc_phys);
	while (queue->avail_next != cf_ring_load16(avail + CF_AVAIL_INDEX)) {
		head = cf_wire_get16(avail + CF_AVAIL_ENTRIES + 2 *
				     (queue->avail_next++ % queue->at.size));
		if (head >= queue->at.size || fuzz_spoils(60))
			return;
		if (fuzz_device.answer)
			bytes = fuzz_device.answer(index,
				shared_at(table + CF_DESC_BYTES * head),
				shared_at(table + CF_DESC_BYTES *
					  ((head + 1u) % queue->at.size)));
		put_used(queue, head, bytes);
	}
}

static void notify(void *transport, uint16_t index)
{
	(void)transport;
	HOLDS(index < FUZZ_QUEUES);
	if (!fuzz_device.queue[index].held && !fuzz_spoils(8))
		fuzz_use(index);
}

static uint8_t get_isr(void *transport)
{
	(void)transport;
	return fuzz_draw() & 3;
}

const struct cf_virtio_ops fuzz_ops = {
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
