/* SPDX-License-Identifier: MIT */

/*
 * The modern PCI transport.
 *
 * Everything that is found in configuration space is input: the list of
 * capabilities may be a circle, a structure may lie outside its BAR.  After
 * probing, no access leaves a window that was checked.
 */

#include "virtio/pci.h"

#define PCI_VENDOR		0x00
#define PCI_DEVICE		0x02
#define PCI_COMMAND		0x04
#define PCI_COMMAND_MEMORY	0x0002
#define PCI_COMMAND_MASTER	0x0004
#define PCI_COMMAND_NO_INTX	0x0400
#define PCI_STATUS		0x06
#define PCI_STATUS_CAPS		0x0010
#define PCI_CAPS		0x34
#define PCI_CAP_FIRST		0x40
#define PCI_CAP_LAST		0x100
#define PCI_CAP_MSIX		0x11
#define PCI_CAP_VENDOR		0x09

/* A capability of virtio's. */
#define CAP_NEXT		1
#define CAP_LENGTH		2
#define CAP_TYPE		3
#define CAP_BAR			4
#define CAP_OFFSET		8
#define CAP_BYTES		12
#define CAP_MULTIPLIER		16
#define TYPE_COMMON		1
#define TYPE_NOTIFY		2
#define TYPE_ISR		3
#define TYPE_CONFIG		4

/* MSI-X. */
#define MSIX_CONTROL		2
#define MSIX_CONTROL_COUNT	0x07ff
#define MSIX_CONTROL_MASK	0x4000
#define MSIX_CONTROL_ENABLE	0x8000
#define MSIX_TABLE		4
#define MSIX_ENTRY_BYTES	16

static uint32_t config_get(struct cf_virtio_pci *pci, uint32_t offset,
			   unsigned bytes)
{
	return pci->access.config_read(pci->access.context, offset, bytes);
}

static void config_set(struct cf_virtio_pci *pci, uint32_t offset,
		       unsigned bytes, uint32_t value)
{
	pci->access.config_write(pci->access.context, offset, bytes, value);
}

static uint32_t window_get(struct cf_virtio_pci *pci,
			   const struct cf_pci_window *window, uint32_t offset,
			   unsigned bytes)
{
	return pci->access.bar_read(pci->access.context, window->bar,
				    window->offset + offset, bytes);
}

static void window_set(struct cf_virtio_pci *pci,
		       const struct cf_pci_window *window, uint32_t offset,
		       unsigned bytes, uint32_t value)
{
	pci->access.bar_write(pci->access.context, window->bar,
			      window->offset + offset, bytes, value);
}

static uint32_t common_get(void *transport, uint32_t offset, unsigned bytes)
{
	struct cf_virtio_pci *pci = transport;

	return window_get(pci, &pci->common, offset, bytes);
}

static void common_set(void *transport, uint32_t offset, unsigned bytes,
		       uint32_t value)
{
	struct cf_virtio_pci *pci = transport;

	window_set(pci, &pci->common, offset, bytes, value);
}

/* The first structure of each kind that lies in its BAR is the one. */
static void note_window(struct cf_virtio_pci *pci, uint32_t cap,
			struct cf_pci_window *window, uint32_t least)
{
	struct cf_pci_window found = {
		.bar = config_get(pci, cap + CAP_BAR, 1),
		.offset = config_get(pci, cap + CAP_OFFSET, 4),
		.bytes = config_get(pci, cap + CAP_BYTES, 4),
	};

	if (window->bytes || found.bar >= CF_PCI_BARS || found.bytes < least ||
	    found.offset % 4)
		return;
	if (found.offset + found.bytes <=
	    pci->access.bar_bytes(pci->access.context, found.bar))
		*window = found;
}

static void note_vendor(struct cf_virtio_pci *pci, uint32_t cap)
{
	uint32_t length = config_get(pci, cap + CAP_LENGTH, 1);
	bool fresh = pci->notify.bytes == 0;

	if (length < CAP_BYTES + 4 || cap + length > PCI_CAP_LAST)
		return;
	switch (config_get(pci, cap + CAP_TYPE, 1)) {
	case TYPE_COMMON:
		note_window(pci, cap, &pci->common, CF_PCI_COMMON_BYTES);
		break;
	case TYPE_NOTIFY:
		if (length < CAP_MULTIPLIER + 4)
			break;
		note_window(pci, cap, &pci->notify, 2);
		if (fresh)
			pci->notify_multiplier =
				config_get(pci, cap + CAP_MULTIPLIER, 4);
		break;
	case TYPE_ISR:
		note_window(pci, cap, &pci->isr, 1);
		break;
	case TYPE_CONFIG:
		note_window(pci, cap, &pci->config, 1);
		break;
	default:
		break;
	}
}

static void note_msix(struct cf_virtio_pci *pci, uint32_t cap)
{
	uint32_t control = config_get(pci, cap + MSIX_CONTROL, 2);
	uint32_t table = config_get(pci, cap + MSIX_TABLE, 4);
	uint32_t count = (control & MSIX_CONTROL_COUNT) + 1;
	struct cf_pci_window found = {
		.bar = table & 7,
		.offset = table & ~(uint32_t)7,
		.bytes = count * MSIX_ENTRY_BYTES,
	};

	if (pci->msix_cap || found.bar >= CF_PCI_BARS ||
	    found.offset + found.bytes >
	    pci->access.bar_bytes(pci->access.context, found.bar))
		return;
	pci->msix_cap = (uint16_t)cap;
	pci->msix_count = (uint16_t)count;
	pci->msix_table = found;
}

/* No more than fit, however they are linked. */
static void walk_caps(struct cf_virtio_pci *pci)
{
	uint32_t left = (PCI_CAP_LAST - PCI_CAP_FIRST) / 4;
	uint32_t cap = config_get(pci, PCI_CAPS, 1) & ~3u;

	for (; cap >= PCI_CAP_FIRST && left; left--) {
		uint32_t head = config_get(pci, cap, 2);

		if ((head & 0xff) == PCI_CAP_VENDOR)
			note_vendor(pci, cap);
		else if ((head & 0xff) == PCI_CAP_MSIX &&
			 cap + 12 <= PCI_CAP_LAST)
			note_msix(pci, cap);
		cap = head >> 8 & ~3u & 0xff;
	}
}

int cf_virtio_pci_probe(struct cf_virtio_pci *pci,
			const struct cf_pci_access *access)
{
	uint32_t vendor, device, command;

	*pci = (struct cf_virtio_pci){ .access = *access };
	vendor = config_get(pci, PCI_VENDOR, 2);
	device = config_get(pci, PCI_DEVICE, 2);
	if (vendor != CF_PCI_VENDOR_VIRTIO ||
	    !(config_get(pci, PCI_STATUS, 2) & PCI_STATUS_CAPS))
		return -CF_EGONE;
	if (device != CF_PCI_DEVICE_BALLOON &&
	    (device < CF_PCI_DEVICE_BASE || device > CF_PCI_DEVICE_BASE + 63))
		return -CF_EGONE;
	pci->device = (uint16_t)device;
	walk_caps(pci);
	if (!pci->common.bytes && device < CF_PCI_DEVICE_BASE)
		return -CF_EGONE;
	if (!pci->common.bytes || !pci->notify.bytes || !pci->isr.bytes ||
	    !pci->config.bytes)
		return -CF_EREFUSED;
	command = config_get(pci, PCI_COMMAND, 2);
	config_set(pci, PCI_COMMAND, 2,
		   command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return 0;
}

int cf_virtio_pci_vector(struct cf_virtio_pci *pci, uint16_t index,
			 uint64_t address, uint32_t data)
{
	uint32_t at = (uint32_t)index * MSIX_ENTRY_BYTES;

	if (index >= pci->msix_count)
		return -CF_EINVAL;
	window_set(pci, &pci->msix_table, at + 12, 4, 1);
	window_set(pci, &pci->msix_table, at, 4, (uint32_t)address);
	window_set(pci, &pci->msix_table, at + 4, 4,
		   (uint32_t)(address >> 32));
	window_set(pci, &pci->msix_table, at + 8, 4, data);
	window_set(pci, &pci->msix_table, at + 12, 4, 0);
	return 0;
}

int cf_virtio_pci_msix(struct cf_virtio_pci *pci, bool on)
{
	uint32_t control;

	if (!pci->msix_cap)
		return -CF_EINVAL;
	control = config_get(pci, pci->msix_cap + MSIX_CONTROL, 2) &
		  ~(uint32_t)(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	config_set(pci, pci->msix_cap + MSIX_CONTROL, 2,
		   control | (on ? MSIX_CONTROL_ENABLE : 0));
	pci->msix = on;
	return 0;
}

void cf_virtio_pci_intx(struct cf_virtio_pci *pci, bool on)
{
	uint32_t command = config_get(pci, PCI_COMMAND, 2);

	config_set(pci, PCI_COMMAND, 2, on ?
		   command & ~(uint32_t)PCI_COMMAND_NO_INTX :
		   command | PCI_COMMAND_NO_INTX);
}

static uint32_t pci_device_id(void *transport)
{
	struct cf_virtio_pci *pci = transport;

	if (pci->device == CF_PCI_DEVICE_BALLOON)
		return CF_VIRTIO_ID_BALLOON;
	return pci->device - CF_PCI_DEVICE_BASE;
}

static uint64_t pci_features(void *transport)
{
	uint64_t features;

	common_set(transport, CF_PCI_DEVICE_FEATURE_SELECT, 4, 1);
	features = (uint64_t)common_get(transport, CF_PCI_DEVICE_FEATURE, 4)
		   << 32;
	common_set(transport, CF_PCI_DEVICE_FEATURE_SELECT, 4, 0);
	return features | common_get(transport, CF_PCI_DEVICE_FEATURE, 4);
}

static void pci_set_features(void *transport, uint64_t features)
{
	common_set(transport, CF_PCI_DRIVER_FEATURE_SELECT, 4, 0);
	common_set(transport, CF_PCI_DRIVER_FEATURE, 4, (uint32_t)features);
	common_set(transport, CF_PCI_DRIVER_FEATURE_SELECT, 4, 1);
	common_set(transport, CF_PCI_DRIVER_FEATURE, 4,
		   (uint32_t)(features >> 32));
}

static uint8_t pci_status(void *transport)
{
	return (uint8_t)common_get(transport, CF_PCI_STATUS, 1);
}

static void pci_set_status(void *transport, uint8_t status)
{
	common_set(transport, CF_PCI_STATUS, 1, status);
}

static bool config_fits(const struct cf_virtio_pci *pci, uint32_t offset,
			uint32_t bytes)
{
	return (uint64_t)offset + bytes <= pci->config.bytes;
}

/* The widest access that offset and length allow. */
static unsigned width_at(uint32_t offset, uint32_t bytes)
{
	if (offset % 4 == 0 && bytes >= 4)
		return 4;
	return offset % 2 == 0 && bytes >= 2 ? 2 : 1;
}

static int pci_config_read(void *transport, uint32_t offset, void *buffer,
			   uint32_t bytes)
{
	struct cf_virtio_pci *pci = transport;
	uint8_t *to = buffer;
	uint32_t value;
	unsigned width, i;

	if (!config_fits(pci, offset, bytes))
		return -CF_EINVAL;
	for (; bytes; bytes -= width, offset += width) {
		width = width_at(offset, bytes);
		value = window_get(pci, &pci->config, offset, width);
		for (i = 0; i < width; i++)
			*to++ = (uint8_t)(value >> 8 * i);
	}
	return 0;
}

static int pci_config_write(void *transport, uint32_t offset,
			    const void *buffer, uint32_t bytes)
{
	struct cf_virtio_pci *pci = transport;
	const uint8_t *from = buffer;
	uint32_t value;
	unsigned width, i;

	if (!config_fits(pci, offset, bytes))
		return -CF_EINVAL;
	for (; bytes; bytes -= width, offset += width) {
		width = width_at(offset, bytes);
		value = 0;
		for (i = 0; i < width; i++)
			value |= (uint32_t)*from++ << 8 * i;
		window_set(pci, &pci->config, offset, width, value);
	}
	return 0;
}

static uint32_t pci_generation(void *transport)
{
	return common_get(transport, CF_PCI_GENERATION, 1);
}

static uint16_t pci_queue_size(void *transport, uint16_t index)
{
	uint16_t size;

	if (index >= common_get(transport, CF_PCI_NUM_QUEUES, 2))
		return 0;
	common_set(transport, CF_PCI_QUEUE_SELECT, 2, index);
	if (common_get(transport, CF_PCI_QUEUE_ENABLE, 2))
		return 0;
	size = (uint16_t)common_get(transport, CF_PCI_QUEUE_SIZE, 2);
	return size > CF_VIRTIO_QUEUE_SIZE_MAX ? CF_VIRTIO_QUEUE_SIZE_MAX :
	       size;
}

static void set_address(void *transport, uint32_t offset, uint64_t address)
{
	common_set(transport, offset, 4, (uint32_t)address);
	common_set(transport, offset + 4, 4, (uint32_t)(address >> 32));
}

/* 0, or the device has no room for another vector. */
static int set_vector(void *transport, uint32_t offset, uint16_t vector)
{
	common_set(transport, offset, 2, vector);
	return common_get(transport, offset, 2) == vector ? 0 : -CF_EREFUSED;
}

static int set_vectors(struct cf_virtio_pci *pci)
{
	uint16_t queues = pci->msix_count > 1 ? 1 : 0;

	if (!pci->msix)
		return 0;
	return set_vector(pci, CF_PCI_CONFIG_VECTOR, 0) ||
	       set_vector(pci, CF_PCI_QUEUE_VECTOR, queues) ? -CF_EREFUSED : 0;
}

static bool notify_fits(struct cf_virtio_pci *pci, uint32_t *ret_offset)
{
	uint64_t offset = (uint64_t)pci->notify_multiplier *
			  common_get(pci, CF_PCI_QUEUE_NOTIFY_OFF, 2);

	if (offset % 2 || offset + 2 > pci->notify.bytes)
		return false;
	*ret_offset = (uint32_t)offset;
	return true;
}

static int pci_queue_enable(void *transport, uint16_t index,
			    const struct cf_virtio_queue *queue)
{
	struct cf_virtio_pci *pci = transport;

	if (index >= CF_PCI_QUEUES)
		return -CF_EREFUSED;
	common_set(transport, CF_PCI_QUEUE_SELECT, 2, index);
	if (!notify_fits(pci, &pci->notify_at[index]) || set_vectors(pci))
		return -CF_EREFUSED;
	common_set(transport, CF_PCI_QUEUE_SIZE, 2, queue->size);
	set_address(transport, CF_PCI_QUEUE_DESC, queue->desc_phys);
	set_address(transport, CF_PCI_QUEUE_DRIVER, queue->avail_phys);
	set_address(transport, CF_PCI_QUEUE_DEVICE, queue->used_phys);
	common_set(transport, CF_PCI_QUEUE_ENABLE, 2, 1);
	return common_get(transport, CF_PCI_QUEUE_ENABLE, 2) == 1 ? 0 :
	       -CF_EREFUSED;
}

static void pci_notify(void *transport, uint16_t index)
{
	struct cf_virtio_pci *pci = transport;

	window_set(pci, &pci->notify, pci->notify_at[index], 2, index);
}

static uint8_t pci_isr(void *transport)
{
	struct cf_virtio_pci *pci = transport;

	return (uint8_t)window_get(pci, &pci->isr, 0, 1) &
	       (CF_VIRTIO_ISR_QUEUE | CF_VIRTIO_ISR_CONFIG);
}

const struct cf_virtio_ops cf_virtio_pci_ops = {
	.device_id = pci_device_id,
	.features = pci_features,
	.set_features = pci_set_features,
	.status = pci_status,
	.set_status = pci_set_status,
	.config_read = pci_config_read,
	.config_write = pci_config_write,
	.generation = pci_generation,
	.queue_size = pci_queue_size,
	.queue_enable = pci_queue_enable,
	.notify = pci_notify,
	.isr = pci_isr,
};
