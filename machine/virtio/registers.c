/* SPDX-License-Identifier: MIT */

/* What the registers of both transports do.  The lock is held. */

#include <string.h>

#include "machine/virtio/model.h"

static bool plays(const struct model *model, enum model_trick trick)
{
	return model->trick == trick && (model->tricked || model->countdown);
}

static void reset(struct model *model)
{
	unsigned i;

	model->status = 0;
	model->isr = 0;
	model->features = 0;
	model->config_vector = CF_VIRTIO_NO_VECTOR;
	for (i = 0; i < MODEL_QUEUES; i++) {
		memset(&model->queue[i], 0, sizeof(model->queue[i]));
		model->queue[i].size = MODEL_QUEUE_SIZE;
		model->queue[i].vector = CF_VIRTIO_NO_VECTOR;
	}
	model->kind->reset(model);
}

void model_write_status(struct model *model, uint8_t status)
{
	uint8_t fresh = (uint8_t)(status & ~model->status);

	if (status == 0) {
		if (plays(model, MODEL_LIE_NO_RESET))
			model->status |= CF_VIRTIO_ACKNOWLEDGE;
		else
			reset(model);
		return;
	}
	if (fresh & CF_VIRTIO_FEATURES_OK &&
	    (plays(model, MODEL_LIE_FEATURES) ||
	     model->features & ~model->offered ||
	     !(model->features & CF_VIRTIO_F_VERSION_1)))
		status &= (uint8_t)~CF_VIRTIO_FEATURES_OK;
	if (fresh & CF_VIRTIO_DRIVER_OK &&
	    !(status & CF_VIRTIO_FEATURES_OK))
		model_violation(model, "DRIVER_OK before FEATURES_OK");
	if (model->status & ~status & ~(unsigned)CF_VIRTIO_NEEDS_RESET)
		model_violation(model, "a status bit was cleared");
	model->status = (uint8_t)(status |
				  (model->status & CF_VIRTIO_NEEDS_RESET));
}

uint8_t model_read_status(struct model *model)
{
	return model->status;
}

uint64_t model_offered(struct model *model)
{
	if (plays(model, MODEL_LIE_NO_VERSION_1))
		return model->offered & ~CF_VIRTIO_F_VERSION_1;
	return model->offered;
}

uint32_t model_generation(struct model *model)
{
	if (plays(model, MODEL_LIE_GENERATION) && model->tricked)
		model->generation++;
	return model->generation;
}

uint32_t model_config_bytes(struct model *model)
{
	return plays(model, MODEL_LIE_NO_CONFIG) ? 4 :
	       model->kind->config_bytes;
}

uint32_t model_config_get(struct model *model, uint32_t offset,
			  unsigned bytes)
{
	uint32_t value = 0;
	unsigned i;

	if (offset + bytes > model->kind->config_bytes)
		return ~0u;
	for (i = 0; i < bytes; i++)
		value |= (uint32_t)model->config[offset + i] << 8 * i;
	return value;
}

void model_config_set(struct model *model, uint32_t offset, unsigned bytes,
		      uint32_t value)
{
	unsigned i;

	if (offset + bytes > model->kind->config_bytes ||
	    !model->kind->config_written) {
		model_violation(model, "a write to read-only configuration");
		return;
	}
	for (i = 0; i < bytes; i++)
		model->config[offset + i] = (uint8_t)(value >> 8 * i);
	model->kind->config_written(model, offset);
}

void model_enable(struct model *model, uint32_t value)
{
	struct model_queue *queue = &model->queue[model->queue_select];

	if (!value || plays(model, MODEL_LIE_QUEUE_DEAF))
		return;
	if (!(model->status & CF_VIRTIO_FEATURES_OK))
		model_violation(model, "a queue before FEATURES_OK");
	if (queue->size == 0 || queue->size > MODEL_QUEUE_SIZE ||
	    queue->size & (queue->size - 1) || queue->desc % 16 ||
	    queue->avail % 2 || queue->used % 4) {
		model_violation(model, "a queue that can never be right");
		return;
	}
	queue->enabled = true;
	queue->avail_next = 0;
	queue->used_next = 0;
}

uint32_t model_queue_max(struct model *model)
{
	if (model->queue_select >= model->queues ||
	    plays(model, MODEL_LIE_NO_QUEUE))
		return 0;
	return MODEL_QUEUE_SIZE;
}

uint32_t model_device_id(struct model *model)
{
	return plays(model, MODEL_LIE_ID) ? 2 : model->kind->id;
}
