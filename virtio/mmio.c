/* SPDX-License-Identifier: MIT */

/* The MMIO transport, version 2 of its registers. */

#include "virtio/mmio.h"

static uint32_t get(void *transport, uint64_t offset)
{
	struct cf_virtio_mmio *mmio = transport;

	return mmio->read(mmio->context, offset, 4);
}

static void set(void *transport, uint64_t offset, uint32_t value)
{
	struct cf_virtio_mmio *mmio = transport;

	mmio->write(mmio->context, offset, 4, value);
}

static void set_address(void *transport, uint64_t offset, uint64_t address)
{
	set(transport, offset, (uint32_t)address);
	set(transport, offset + 4, (uint32_t)(address >> 32));
}

int cf_virtio_mmio_probe(struct cf_virtio_mmio *mmio)
{
	if (mmio->bytes < CF_MMIO_CONFIG)
		return -CF_EINVAL;
	if (get(mmio, CF_MMIO_MAGIC) != CF_MMIO_MAGIC_VALUE ||
	    get(mmio, CF_MMIO_VERSION) != 2 ||
	    get(mmio, CF_MMIO_DEVICE_ID) == 0)
		return -CF_EGONE;
	return 0;
}

static uint32_t mmio_device_id(void *transport)
{
	return get(transport, CF_MMIO_DEVICE_ID);
}

static uint64_t mmio_features(void *transport)
{
	uint64_t features;

	set(transport, CF_MMIO_DEVICE_FEATURE_SELECT, 1);
	features = (uint64_t)get(transport, CF_MMIO_DEVICE_FEATURE) << 32;
	set(transport, CF_MMIO_DEVICE_FEATURE_SELECT, 0);
	return features | get(transport, CF_MMIO_DEVICE_FEATURE);
}

static void mmio_set_features(void *transport, uint64_t features)
{
	set(transport, CF_MMIO_DRIVER_FEATURE_SELECT, 0);
	set(transport, CF_MMIO_DRIVER_FEATURE, (uint32_t)features);
	set(transport, CF_MMIO_DRIVER_FEATURE_SELECT, 1);
	set(transport, CF_MMIO_DRIVER_FEATURE, (uint32_t)(features >> 32));
}

static uint8_t mmio_status(void *transport)
{
	return (uint8_t)get(transport, CF_MMIO_STATUS);
}

static void mmio_set_status(void *transport, uint8_t status)
{
	set(transport, CF_MMIO_STATUS, status);
}

/* The widest access that offset and length allow. */
static unsigned width_at(uint32_t offset, uint32_t bytes)
{
	if (offset % 4 == 0 && bytes >= 4)
		return 4;
	return offset % 2 == 0 && bytes >= 2 ? 2 : 1;
}

static bool config_fits(const struct cf_virtio_mmio *mmio, uint32_t offset,
			uint32_t bytes)
{
	return (uint64_t)offset + bytes <= mmio->bytes - CF_MMIO_CONFIG;
}

static int mmio_config_read(void *transport, uint32_t offset, void *buffer,
			    uint32_t bytes)
{
	struct cf_virtio_mmio *mmio = transport;
	uint8_t *to = buffer;
	uint32_t value;
	unsigned width, i;

	if (!config_fits(mmio, offset, bytes))
		return -CF_EINVAL;
	for (; bytes; bytes -= width, offset += width) {
		width = width_at(offset, bytes);
		value = mmio->read(mmio->context, CF_MMIO_CONFIG + offset,
				   width);
		for (i = 0; i < width; i++)
			*to++ = (uint8_t)(value >> 8 * i);
	}
	return 0;
}

static int mmio_config_write(void *transport, uint32_t offset,
			     const void *buffer, uint32_t bytes)
{
	struct cf_virtio_mmio *mmio = transport;
	const uint8_t *from = buffer;
	uint32_t value;
	unsigned width, i;

	if (!config_fits(mmio, offset, bytes))
		return -CF_EINVAL;
	for (; bytes; bytes -= width, offset += width) {
		width = width_at(offset, bytes);
		value = 0;
		for (i = 0; i < width; i++)
			value |= (uint32_t)*from++ << 8 * i;
		mmio->write(mmio->context, CF_MMIO_CONFIG + offset, width,
			    value);
	}
	return 0;
}

static uint32_t mmio_generation(void *transport)
{
	return get(transport, CF_MMIO_GENERATION);
}

static uint16_t mmio_queue_size(void *transport, uint16_t index)
{
	uint32_t size;

	set(transport, CF_MMIO_QUEUE_SELECT, index);
	if (get(transport, CF_MMIO_QUEUE_READY))
		return 0;
	size = get(transport, CF_MMIO_QUEUE_SIZE_MAX);
	return (uint16_t)(size > CF_VIRTIO_QUEUE_SIZE_MAX ?
			  CF_VIRTIO_QUEUE_SIZE_MAX : size);
}

static int mmio_queue_enable(void *transport, uint16_t index,
			     const struct cf_virtio_queue *queue)
{
	set(transport, CF_MMIO_QUEUE_SELECT, index);
	set(transport, CF_MMIO_QUEUE_SIZE, queue->size);
	set_address(transport, CF_MMIO_QUEUE_DESC, queue->desc_phys);
	set_address(transport, CF_MMIO_QUEUE_DRIVER, queue->avail_phys);
	set_address(transport, CF_MMIO_QUEUE_DEVICE, queue->used_phys);
	set(transport, CF_MMIO_QUEUE_READY, 1);
	return get(transport, CF_MMIO_QUEUE_READY) == 1 ? 0 : -CF_EREFUSED;
}

static void mmio_notify(void *transport, uint16_t index)
{
	set(transport, CF_MMIO_QUEUE_NOTIFY, index);
}

static uint8_t mmio_isr(void *transport)
{
	uint32_t pending = get(transport, CF_MMIO_ISR) &
			   (CF_VIRTIO_ISR_QUEUE | CF_VIRTIO_ISR_CONFIG);

	if (pending)
		set(transport, CF_MMIO_ISR_ACK, pending);
	return (uint8_t)pending;
}

const struct cf_virtio_ops cf_virtio_mmio_ops = {
	.device_id = mmio_device_id,
	.features = mmio_features,
	.set_features = mmio_set_features,
	.status = mmio_status,
	.set_status = mmio_set_status,
	.config_read = mmio_config_read,
	.config_write = mmio_config_write,
	.generation = mmio_generation,
	.queue_size = mmio_queue_size,
	.queue_enable = mmio_queue_enable,
	.notify = mmio_notify,
	.isr = mmio_isr,
};
