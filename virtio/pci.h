/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include "virtio/virtio.h"

#define CF_PCI_BARS	6
#define CF_PCI_QUEUES	8	/* as many as any driver here wants */

/*
 * A PCI function, as the machine reaches it.  @bytes is 1, 2, 4 or 8 and
 * @offset a multiple of it; 8 only for BARs.
 */
struct cf_pci_access {
	void *context;
	uint32_t (*config_read)(void *context, uint32_t offset,
				unsigned bytes);
	void (*config_write)(void *context, uint32_t offset, unsigned bytes,
			     uint32_t value);
	/* Size of a memory BAR that can be reached; 0: none. */
	uint64_t (*bar_bytes)(void *context, unsigned bar);
	uint32_t (*bar_read)(void *context, unsigned bar, uint64_t offset,
			     unsigned bytes);
	void (*bar_write)(void *context, unsigned bar, uint64_t offset,
			  unsigned bytes, uint32_t value);
};

/* A structure of the device's, in a BAR; checked against its size. */
struct cf_pci_window {
	unsigned bar;
	uint64_t offset;
	uint32_t bytes;		/* 0: there is none */
};

/* The transport of a modern virtio device on PCI. */
struct cf_virtio_pci {
	struct cf_pci_access access;
	struct cf_pci_window common, notify, isr, config;
	uint32_t notify_multiplier;
	uint32_t notify_at[CF_PCI_QUEUES];	/* of enabled queues */
	uint16_t device;		/* PCI device id */
	uint16_t msix_cap;		/* offset of the capability; 0: none */
	uint16_t msix_count;		/* vectors, if there are any */
	struct cf_pci_window msix_table;
	bool msix;			/* in use */
};

extern const struct cf_virtio_ops cf_virtio_pci_ops;

/**
 * cf_virtio_pci_probe() - find a function's structures.
 *
 * Walks the capabilities, each field checked. Sets memory and bus master
 * enable. Hand cf_virtio_pci_ops and @pci to the driver.
 *
 * Return:  0, or
 *          -CF_EGONE    not a virtio device, or legacy only
 *          -CF_EREFUSED a structure is missing, outside its BAR or too short
 */
int cf_virtio_pci_probe(struct cf_virtio_pci *pci,
			const struct cf_pci_access *access) CF_MUST_CHECK;

/**
 * cf_virtio_pci_vector() - route MSI-X vector @index to a message.
 * @index: below pci->msix_count
 *
 * Return: 0, or -CF_EINVAL: no such vector.
 */
int cf_virtio_pci_vector(struct cf_virtio_pci *pci, uint16_t index,
			 uint64_t address, uint32_t data) CF_MUST_CHECK;

/**
 * cf_virtio_pci_msix() - switch MSI-X on or off (then INTx, or polling).
 *
 * While on, the drivers put vector 0 on the configuration and vector 1 on
 * every queue; 0 on all if there is only one.
 * Return: 0, or -CF_EINVAL: there is no MSI-X.
 */
int cf_virtio_pci_msix(struct cf_virtio_pci *pci, bool on) CF_MUST_CHECK;

/** cf_virtio_pci_intx() - let the INTx line through, or not. */
void cf_virtio_pci_intx(struct cf_virtio_pci *pci, bool on);

#endif
