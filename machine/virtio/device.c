/* SPDX-License-Identifier: MIT */

/*
 * What all devices have: memory of the guest, queues, interrupts, tricks.
 *
 * A device believes its driver as little as the other way round: every
 * address is looked up, every chain has an end.
 */

#include <stdlib.h>
#include <string.h>

#include "machine/virtio/model.h"

const char *model_trick_name(enum model_trick trick)
{
	static const char *const name[MODEL_TRICK_COUNT] = {
		[MODEL_HONEST] = "honest",
		[MODEL_NACK] = "nack",
		[MODEL_BUSY] = "busy",
		[MODEL_LIE_ERROR] = "error",
		[MODEL_LIE_TYPE] = "answer-type",
		[MODEL_LIE_STATE] = "answer-state",
		[MODEL_LIE_NOTHING_DONE] = "nothing-done",
		[MODEL_LIE_SHORT] = "short",
		[MODEL_LIE_LONG] = "long",
		[MODEL_LIE_ID_RANGE] = "id-range",
		[MODEL_LIE_ID_FREE] = "id-free",
		[MODEL_LIE_INDEX] = "index",
		[MODEL_LIE_INDEX_BACK] = "index-back",
		[MODEL_LIE_TWICE] = "twice",
		[MODEL_LIE_NEEDS_RESET] = "needs-reset",
		[MODEL_LIE_STATUS] = "status",
		[MODEL_LIE_SILENCE] = "silence",
		[MODEL_LIE_BLOCK_SIZE] = "block-size",
		[MODEL_LIE_ADDR] = "addr",
		[MODEL_LIE_REGION] = "region",
		[MODEL_LIE_REQUESTED] = "requested",
		[MODEL_LIE_USABLE] = "usable",
		[MODEL_LIE_USABLE_SHRINKS] = "usable-shrinks",
		[MODEL_LIE_PLUGGED] = "plugged",
		[MODEL_LIE_UNALIGNED] = "unaligned",
		[MODEL_LIE_RESTLESS] = "restless",
		[MODEL_LIE_GENERATION] = "generation",
		[MODEL_LIE_NO_VERSION_1] = "no-version-1",
		[MODEL_LIE_FEATURES] = "features",
		[MODEL_LIE_NO_QUEUE] = "no-queue",
		[MODEL_LIE_QUEUE_DEAF] = "queue-deaf",
		[MODEL_LIE_NO_CONFIG] = "no-config",
		[MODEL_LIE_NO_RESET] = "no-reset",
		[MODEL_LIE_ID] = "id",
	};

	return (unsigned)trick < MODEL_TRICK_COUNT ? name[trick] : "unknown";
}

void model_init(struct model *model, const struct model_kind *kind,
		struct cf_host_memory *memory, uint64_t offered)
{
	memset(model, 0, sizeof(*model));
	model->kind = kind;
	model->memory = memory;
	model->offered = offered | CF_VIRTIO_F_VERSION_1;
	model->config_vector = CF_VIRTIO_NO_VECTOR;
	pthread_mutex_init(&model->lock, NULL);
}

void model_lock(struct model *model)
{
	pthread_mutex_lock(&model->lock);
}

/* Interrupts go out when the lock is free: the handler asks the device. */
void model_unlock(struct model *model)
{
	uint8_t isr = model->want_isr;
	bool msix = model->pci[0x43] & 0x80;
	bool want = model->want_interrupt && model->interrupt;
	unsigned vector = isr & CF_VIRTIO_ISR_CONFIG ? model->config_vector :
			  model->queue[0].vector;
	uint64_t address = 0;
	uint32_t data = 0;

	if (msix && vector >= MODEL_VECTORS)
		want = false;
	if (want && msix) {
		address = model->vector[vector][0] |
			  (uint64_t)model->vector[vector][1] << 32;
		data = model->vector[vector][2];
	}
	model->want_interrupt = false;
	model->want_isr = 0;
	pthread_mutex_unlock(&model->lock);
	if (want)
		model->interrupt(model->interrupt_context, msix, address,
				 data);
}

void model_violation(struct model *model, const char *what)
{
	if (!model->violations++)
		model->violation = what;
}

uint8_t *model_at(struct model *model, uint64_t phys, uint64_t bytes)
{
	uint64_t end = model->memory->config.last << CF_FRAME_SHIFT;

	if (phys > end || bytes > end - phys)
		return NULL;
	return model->memory->base + phys;
}

static void interrupt(struct model *model, uint8_t isr)
{
	/* With messages there is no status to be read. */
	if (!(model->pci[0x43] & 0x80))
		model->isr |= isr;
	model->want_isr |= isr;
	model->want_interrupt = true;
	model->interrupts++;
}

void model_config_changed(struct model *model)
{
	model->generation++;
	if (model->status & CF_VIRTIO_DRIVER_OK)
		interrupt(model, CF_VIRTIO_ISR_CONFIG);
}

enum model_trick model_next_answer(struct model *model)
{
	model->answers++;
	if (model->countdown == 0 || --model->countdown)
		return MODEL_HONEST;
	model->tricked = true;
	return model->trick;
}

/* What goes into the used ring. */
struct entry {
	uint32_t id, bytes;
	uint16_t step;			/* of the index */
};

static bool spoil(struct model *model, const struct model_queue *queue,
		  enum model_trick trick, uint32_t room, struct entry *entry)
{
	switch (trick) {
	case MODEL_LIE_SHORT:
		entry->bytes = 0;
		break;
	case MODEL_LIE_LONG:
		entry->bytes = room + 1;
		break;
	case MODEL_LIE_ID_RANGE:
		entry->id = 0x80000000u + queue->size;
		break;
	case MODEL_LIE_ID_FREE:
		entry->id = queue->size - 1u;
		break;
	case MODEL_LIE_INDEX:
		entry->step = (uint16_t)(queue->size / 2 + 7);
		break;
	case MODEL_LIE_INDEX_BACK:
		entry->step = 0xffff;
		break;
	case MODEL_LIE_TWICE:
		entry->step = 2;
		break;
	case MODEL_LIE_NEEDS_RESET:
		model->status |= CF_VIRTIO_NEEDS_RESET;
		interrupt(model, CF_VIRTIO_ISR_CONFIG);
		return false;
	case MODEL_LIE_STATUS:
		model->status = 0;
		return false;
	case MODEL_LIE_SILENCE:
		return false;
	default:
		break;
	}
	return true;
}

void model_use(struct model *model, unsigned index, uint16_t head,
	       uint32_t written, uint32_t room, enum model_trick trick)
{
	struct model_queue *queue = &model->queue[index];
	struct entry entry = { head, written, 1 };
	uint8_t *used, *avail, *at;
	unsigned i;

	used = model_at(model, queue->used, CF_USED_BYTES(queue->size));
	avail = model_at(model, queue->avail, CF_AVAIL_BYTES(queue->size));
	if (!used || !avail || !spoil(model, queue, trick, room, &entry))
		return;
	for (i = 0; i < (entry.step == 2 ? 2 : 1); i++) {
		at = used + CF_USED_ENTRIES + CF_USED_ENTRY_BYTES *
		     ((queue->used_next + i) % queue->size);
		cf_wire_put32(at, entry.id);
		cf_wire_put32(at + 4, entry.bytes);
	}
	queue->used_next = (uint16_t)(queue->used_next + entry.step);
	cf_ring_store16(used + CF_USED_INDEX, queue->used_next);
	cf_ring_fence();
	if (!(cf_ring_load16(avail + CF_AVAIL_FLAGS) &
	      CF_AVAIL_F_NO_INTERRUPT))
		interrupt(model, CF_VIRTIO_ISR_QUEUE);
}

static bool add_buffer(struct model *model, const uint8_t *desc,
		       struct model_chain *chain)
{
	uint64_t phys = cf_wire_get64(desc + CF_DESC_ADDR);
	uint32_t bytes = cf_wire_get32(desc + CF_DESC_LEN);
	uint8_t *at = model_at(model, phys, bytes);

	if (!at || chain->ins + chain->outs == MODEL_CHAIN_MAX)
		return false;
	if (cf_wire_get16(desc + CF_DESC_FLAGS) & CF_DESC_F_WRITE) {
		chain->in[chain->ins].phys = phys;
		chain->in[chain->ins].at = at;
		chain->in[chain->ins++].bytes = bytes;
	} else if (chain->ins) {
		return false;
	} else {
		chain->out[chain->outs].phys = phys;
		chain->out[chain->outs].at = at;
		chain->out[chain->outs++].bytes = bytes;
	}
	return true;
}

/* The chain that starts at @head. False: a driver must not make such. */
static bool read_chain(struct model *model, const struct model_queue *queue,
		       uint16_t head, struct model_chain *ret_chain)
{
	const uint8_t *table = model_at(model, queue->desc, CF_DESC_BYTES *
					(uint64_t)queue->size);
	unsigned left = queue->size, id = head;
	const uint8_t *desc;
	uint16_t flags;

	ret_chain->head = head;
	ret_chain->outs = 0;
	ret_chain->ins = 0;
	do {
		if (!table || id >= queue->size || left-- == 0)
			return false;
		desc = table + (size_t)id * CF_DESC_BYTES;
		flags = cf_wire_get16(desc + CF_DESC_FLAGS);
		if (flags & ~(CF_DESC_F_NEXT | CF_DESC_F_WRITE) ||
		    !add_buffer(model, desc, ret_chain))
			return false;
		id = cf_wire_get16(desc + CF_DESC_NEXT);
	} while (flags & CF_DESC_F_NEXT);
	return true;
}

/* Needs reset: the driver did what it must not. */
static void stop(struct model *model, const char *what)
{
	model_violation(model, what);
	model->status |= CF_VIRTIO_NEEDS_RESET;
	interrupt(model, CF_VIRTIO_ISR_CONFIG);
}

void model_drain(struct model *model, unsigned index)
{
	struct model_queue *queue = &model->queue[index];
	uint8_t *avail = model_at(model, queue->avail,
				  CF_AVAIL_BYTES(queue->size));
	struct model_chain chain;
	uint16_t head;

	if (!queue->enabled || !avail)
		return;
	while (model->status & CF_VIRTIO_DRIVER_OK &&
	       !(model->status & CF_VIRTIO_NEEDS_RESET) &&
	       queue->avail_next != cf_ring_load16(avail + CF_AVAIL_INDEX)) {
		if (model->late && model->may_answer == 0)
			return;
		if (model->late)
			model->may_answer--;
		head = cf_wire_get16(avail + CF_AVAIL_ENTRIES + 2 *
				     (queue->avail_next % queue->size));
		queue->avail_next++;
		if (!read_chain(model, queue, head, &chain)) {
			stop(model, "a chain that can never be right");
			return;
		}
		model->kind->chain(model, index, &chain);
	}
}

static void drain_all(struct model *model)
{
	unsigned i;

	for (i = 0; i < model->queues; i++)
		model_drain(model, i);
}

void model_trick(struct model *model, enum model_trick trick, uint64_t nth)
{
	model_lock(model);
	model->trick = trick;
	model->countdown = nth;
	model->tricked = false;
	model_unlock(model);
}

void model_late(struct model *model, bool late)
{
	model_lock(model);
	model->late = late;
	model->may_answer = 0;
	if (!late)
		drain_all(model);
	model_unlock(model);
}

void model_answer(struct model *model, uint64_t count)
{
	model_lock(model);
	model->may_answer = count;
	drain_all(model);
	model->may_answer = 0;
	model_unlock(model);
}
