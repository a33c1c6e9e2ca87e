/* SPDX-License-Identifier: MIT */

/* The registers of an MMIO device, version 2. */

#include "machine/virtio/model.h"

static uint32_t get_register(struct model *model, uint64_t offset)
{
	uint64_t offered = model_offered(model);
	const struct model_queue *queue = &model->queue[model->queue_select];

	switch (offset) {
	case CF_MMIO_MAGIC:
		return CF_MMIO_MAGIC_VALUE;
	case CF_MMIO_VERSION:
		return 2;
	case CF_MMIO_DEVICE_ID:
		return model_device_id(model);
	case CF_MMIO_DEVICE_FEATURE:
		return model->feature_select > 1 ? 0 :
		       (uint32_t)(offered >> 32 * model->feature_select);
	case CF_MMIO_QUEUE_SIZE_MAX:
		return model_queue_max(model);
	case CF_MMIO_QUEUE_READY:
		return queue->enabled;
	case CF_MMIO_ISR:
		return model->isr;
	case CF_MMIO_STATUS:
		return model_read_status(model);
	case CF_MMIO_GENERATION:
		return model_generation(model);
	default:
		return 0;
	}
}

static void set_half(uint64_t *address, uint64_t offset, uint32_t value)
{
	if (offset & 4)
		*address = (*address & 0xffffffff) | (uint64_t)value << 32;
	else
		*address = (*address & ~(uint64_t)0xffffffff) | value;
}

static void set_queue(struct model *model, uint64_t offset, uint32_t value)
{
	struct model_queue *queue = &model->queue[model->queue_select];

	switch (offset & ~(uint64_t)4) {
	case CF_MMIO_QUEUE_DESC:
		set_half(&queue->desc, offset, value);
		break;
	case CF_MMIO_QUEUE_DRIVER:
		set_half(&queue->avail, offset, value);
		break;
	case CF_MMIO_QUEUE_DEVICE:
		set_half(&queue->used, offset, value);
		break;
	default:
		break;
	}
}

static void set_register(struct model *model, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case CF_MMIO_DEVICE_FEATURE_SELECT:
		model->feature_select = value;
		break;
	case CF_MMIO_DRIVER_FEATURE_SELECT:
		model->driver_select = value;
		break;
	case CF_MMIO_DRIVER_FEATURE:
		if (model->driver_select < 2)
			set_half(&model->features, model->driver_select * 4,
				 value);
		break;
	case CF_MMIO_QUEUE_SELECT:
		model->queue_select = (uint16_t)(value % MODEL_QUEUES);
		break;
	case CF_MMIO_QUEUE_SIZE:
		model->queue[model->queue_select].size = (uint16_t)value;
		break;
	case CF_MMIO_QUEUE_READY:
		model_enable(model, value);
		break;
	case CF_MMIO_QUEUE_NOTIFY:
		if (value < model->queues)
			model_drain(model, value);
		break;
	case CF_MMIO_ISR_ACK:
		model->isr &= (uint8_t)~value;
		break;
	case CF_MMIO_STATUS:
		model_write_status(model, (uint8_t)value);
		break;
	default:
		set_queue(model, offset, value);
		break;
	}
}

static uint32_t read_at(void *context, uint64_t offset, unsigned bytes)
{
	struct model *model = context;
	uint32_t value;

	model_lock(model);
	if (offset >= CF_MMIO_CONFIG)
		value = model_config_get(model, (uint32_t)offset -
					 CF_MMIO_CONFIG, bytes);
	else
		value = get_register(model, offset);
	model_unlock(model);
	return value;
}

static void write_at(void *context, uint64_t offset, unsigned bytes,
		     uint32_t value)
{
	struct model *model = context;

	model_lock(model);
	if (offset >= CF_MMIO_CONFIG)
		model_config_set(model, (uint32_t)offset - CF_MMIO_CONFIG,
				 bytes, value);
	else
		set_register(model, offset, value);
	model_unlock(model);
}

struct cf_virtio_mmio model_mmio(struct model *model)
{
	return (struct cf_virtio_mmio){
		.context = model,
		.bytes = CF_MMIO_CONFIG + model_config_bytes(model),
		.read = read_at,
		.write = write_at,
	};
}
