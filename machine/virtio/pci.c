/* SPDX-License-Identifier: MIT */

/*
 * The registers of a modern PCI device: configuration space with the
 * capabilities, and one BAR, number 4, with everything else.
 */

#include <string.h>

#include "machine/virtio/model.h"

#define BAR		4
#define BAR_BYTES	0x5000
#define COMMON_AT	0x0000
#define ISR_AT		0x1000
#define CONFIG_AT	0x2000
#define NOTIFY_AT	0x3000
#define MSIX_AT		0x4000
#define MULTIPLIER	4
#define MSIX_CAP	0x40
#define VENDOR_CAP	0x50

static void put_cap(struct model *model, unsigned at, unsigned next,
		    unsigned type, uint32_t offset, uint32_t bytes)
{
	uint8_t *cap = model->pci + at;

	cap[0] = 9;
	cap[1] = (uint8_t)next;
	cap[2] = type == 2 ? 20 : 16;
	cap[3] = (uint8_t)type;
	cap[4] = BAR;
	cf_wire_put32(cap + 8, offset);
	cf_wire_put32(cap + 12, bytes);
	if (type == 2)
		cf_wire_put32(cap + 16, MULTIPLIER);
}

static void make_config_space(struct model *model, bool msix)
{
	uint8_t *pci = model->pci;

	memset(pci, 0, sizeof(model->pci));
	cf_wire_put16(pci, CF_PCI_VENDOR_VIRTIO);
	cf_wire_put16(pci + 2, model_device_id(model) == model->kind->id ?
		      model->kind->pci_device : CF_PCI_DEVICE_BASE + 2);
	cf_wire_put16(pci + 6, 0x10);
	pci[0x34] = msix ? MSIX_CAP : VENDOR_CAP;
	if (msix) {
		pci[MSIX_CAP] = 0x11;
		pci[MSIX_CAP + 1] = VENDOR_CAP;
		cf_wire_put16(pci + MSIX_CAP + 2, MODEL_VECTORS - 1);
		cf_wire_put32(pci + MSIX_CAP + 4, MSIX_AT | BAR);
	}
	put_cap(model, VENDOR_CAP, 0x60, 1, COMMON_AT, CF_PCI_COMMON_BYTES);
	put_cap(model, 0x60, 0x70, 3, ISR_AT, 1);
	put_cap(model, 0x70, 0x80, 4, CONFIG_AT, model_config_bytes(model));
	put_cap(model, 0x80, 0, 2, NOTIFY_AT, MODEL_QUEUES * MULTIPLIER);
}

static uint32_t space_read(void *context, uint32_t offset, unsigned bytes)
{
	struct model *model = context;
	uint32_t value = 0;
	unsigned i;

	model_lock(model);
	for (i = 0; i < bytes && offset + i < sizeof(model->pci); i++)
		value |= (uint32_t)model->pci[offset + i] << 8 * i;
	model_unlock(model);
	return value;
}

/* The command register and MSI-X control are all that can be written. */
static void space_write(void *context, uint32_t offset, unsigned bytes,
			uint32_t value)
{
	struct model *model = context;

	model_lock(model);
	if (bytes == 2 && (offset == 4 || (offset == MSIX_CAP + 2 &&
					   model->pci[MSIX_CAP] == 0x11)))
		cf_wire_put16(model->pci + offset, (uint16_t)value);
	else
		model_violation(model, "a write to read-only registers");
	model_unlock(model);
}

static uint64_t bar_bytes(void *context, unsigned bar)
{
	(void)context;
	return bar == BAR ? BAR_BYTES : 0;
}

static uint32_t common_read(struct model *model, uint64_t offset)
{
	const struct model_queue *queue = &model->queue[model->queue_select];

	switch (offset) {
	case CF_PCI_DEVICE_FEATURE:
		return model->feature_select > 1 ? 0 :
		       (uint32_t)(model_offered(model) >>
				  32 * model->feature_select);
	case CF_PCI_CONFIG_VECTOR:
		return model->config_vector;
	case CF_PCI_NUM_QUEUES:
		return model->queues;
	case CF_PCI_STATUS:
		return model_read_status(model);
	case CF_PCI_GENERATION:
		return model_generation(model) & 0xff;
	case CF_PCI_QUEUE_SIZE:
		return model_queue_max(model) ? queue->size : 0;
	case CF_PCI_QUEUE_VECTOR:
		return queue->vector;
	case CF_PCI_QUEUE_ENABLE:
		return queue->enabled;
	case CF_PCI_QUEUE_NOTIFY_OFF:
		return model->queue_select;
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

static uint16_t vector_of(uint32_t value)
{
	return value < MODEL_VECTORS ? (uint16_t)value : CF_VIRTIO_NO_VECTOR;
}

static void queue_write(struct model *model, uint64_t offset, uint32_t value)
{
	struct model_queue *queue = &model->queue[model->queue_select];

	switch (offset & ~(uint64_t)4) {
	case CF_PCI_QUEUE_DESC:
		set_half(&queue->desc, offset, value);
		break;
	case CF_PCI_QUEUE_DRIVER:
		set_half(&queue->avail, offset, value);
		break;
	case CF_PCI_QUEUE_DEVICE:
		set_half(&queue->used, offset, value);
		break;
	default:
		model_violation(model, "a write to no register");
		break;
	}
}

static void common_write(struct model *model, uint64_t offset, uint32_t value)
{
	struct model_queue *queue = &model->queue[model->queue_select];

	switch (offset) {
	case CF_PCI_DEVICE_FEATURE_SELECT:
		model->feature_select = value;
		break;
	case CF_PCI_DRIVER_FEATURE_SELECT:
		model->driver_select = value;
		break;
	case CF_PCI_DRIVER_FEATURE:
		if (model->driver_select < 2)
			set_half(&model->features, model->driver_select * 4,
				 value);
		break;
	case CF_PCI_CONFIG_VECTOR:
		model->config_vector = vector_of(value);
		break;
	case CF_PCI_STATUS:
		model_write_status(model, (uint8_t)value);
		break;
	case CF_PCI_QUEUE_SELECT:
		model->queue_select = (uint16_t)(value % MODEL_QUEUES);
		break;
	case CF_PCI_QUEUE_SIZE:
		queue->size = (uint16_t)value;
		break;
	case CF_PCI_QUEUE_VECTOR:
		queue->vector = vector_of(value);
		break;
	case CF_PCI_QUEUE_ENABLE:
		model_enable(model, value);
		break;
	default:
		queue_write(model, offset, value);
		break;
	}
}

static uint32_t bar_get(struct model *model, uint64_t offset, unsigned bytes)
{
	uint32_t value;

	if (offset >= MSIX_AT)
		return offset < MSIX_AT + MODEL_VECTORS * 16 ?
		       model->vector[offset / 16 % MODEL_VECTORS]
				    [offset / 4 % 4] : 0;
	if (offset >= NOTIFY_AT)
		return 0;
	if (offset >= CONFIG_AT)
		return model_config_get(model, (uint32_t)offset - CONFIG_AT,
					bytes);
	if (offset < ISR_AT)
		return common_read(model, offset);
	value = model->isr;
	model->isr = 0;
	return value;
}

static uint32_t bar_read(void *context, unsigned bar, uint64_t offset,
			 unsigned bytes)
{
	struct model *model = context;
	uint32_t value = ~0u;

	model_lock(model);
	if (bar != BAR || offset + bytes > BAR_BYTES || offset % bytes)
		model_violation(model, "a read outside the BAR");
	else
		value = bar_get(model, offset, bytes);
	model_unlock(model);
	return value;
}

static void bar_set(struct model *model, uint64_t offset, unsigned bytes,
		    uint32_t value)
{
	if (offset >= MSIX_AT && offset < MSIX_AT + MODEL_VECTORS * 16)
		model->vector[offset / 16 % MODEL_VECTORS][offset / 4 % 4] =
			value;
	else if (offset >= MSIX_AT)
		model_violation(model, "a write to no register");
	else if (offset >= NOTIFY_AT && value < model->queues)
		model_drain(model, value);
	else if (offset >= CONFIG_AT)
		model_config_set(model, (uint32_t)offset - CONFIG_AT, bytes,
				 value);
	else
		common_write(model, offset, value);
}

static void bar_write(void *context, unsigned bar, uint64_t offset,
		      unsigned bytes, uint32_t value)
{
	struct model *model = context;

	model_lock(model);
	if (bar != BAR || offset + bytes > BAR_BYTES || offset % bytes)
		model_violation(model, "a write outside the BAR");
	else
		bar_set(model, offset, bytes, value);
	model_unlock(model);
}

struct cf_pci_access model_pci(struct model *model, bool msix)
{
	make_config_space(model, msix);
	return (struct cf_pci_access){
		.context = model,
		.config_read = space_read,
		.config_write = space_write,
		.bar_bytes = bar_bytes,
		.bar_read = bar_read,
		.bar_write = bar_write,
	};
}
