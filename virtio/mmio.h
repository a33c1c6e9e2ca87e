/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include "virtio/virtio.h"

/*
 * The registers of an MMIO device, version 2.  @bytes is 4, or 1, 2 or 4 in
 * the configuration; @offset a multiple of it.
 */
struct cf_virtio_mmio {
	void *context;
	uint64_t bytes;			/* of the region, 0x100 and more */
	uint32_t (*read)(void *context, uint64_t offset, unsigned bytes);
	void (*write)(void *context, uint64_t offset, unsigned bytes,
		      uint32_t value);
};

extern const struct cf_virtio_ops cf_virtio_mmio_ops;

/**
 * cf_virtio_mmio_probe() - is there a device?
 * @mmio: all fields filled in
 * Return: 0, -CF_EGONE: none, or not version 2; -CF_EINVAL: region too short.
 */
int cf_virtio_mmio_probe(struct cf_virtio_mmio *mmio) CF_MUST_CHECK;

#endif
