/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_HOST_INTERNAL_H
#define MACHINE_HOST_INTERNAL_H

/* A device of the embedded machine's host: for host.c, and for saving it. */

#include "host.h"
#include "internal.h"
#include "machine/virtio/model.h"

struct host_device {
	struct machine *machine;
	struct host_config config;
	unsigned slot;			/* of the shared memory */
	struct model *model;
	struct model_mem *mem;		/* NOUN_MEM */
	struct model_balloon *balloon;	/* NOUN_BALLOON */
	struct cf_pci_access access;
	struct cf_virtio_pci pci;
	struct cf_virtio_mmio mmio;
	uint32_t hint_round;
	char violation[64];	/* of a device that was restored */
};

#endif
