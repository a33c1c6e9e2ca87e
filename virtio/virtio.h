/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coldframe/lock.h>
#include <coldframe/types.h>

#include "virtio/ring.h"
#include "virtio/wire.h"

/*
 * A virtio device as drivers see it, whatever it is plugged into: features,
 * status, configuration, queues.  docs/virtio.md has the states and what is
 * believed of a device (nothing).
 */

/* Where a queue's parts are. */
struct cf_virtio_queue {
	uint64_t desc_phys, avail_phys, used_phys;
	uint16_t size;
};

/*
 * A transport.  virtio/pci.h and virtio/mmio.h make these; a test or an
 * embedder may bring its own.  Calls of one device are serialised by its
 * driver, but for isr.
 */
struct cf_virtio_ops {
	uint32_t (*device_id)(void *transport);
	uint64_t (*features)(void *transport);
	void (*set_features)(void *transport, uint64_t features);
	uint8_t (*status)(void *transport);
	/* Writing 0 resets; the device is reset when status() says 0. */
	void (*set_status)(void *transport, uint8_t status);

	/* Device configuration. 0, or -CF_EINVAL: beyond what there is. */
	int (*config_read)(void *transport, uint32_t offset, void *buffer,
			   uint32_t bytes);
	int (*config_write)(void *transport, uint32_t offset,
			    const void *buffer, uint32_t bytes);
	uint32_t (*generation)(void *transport);

	/* Largest size of a queue; 0: there is none of that number. */
	uint16_t (*queue_size)(void *transport, uint16_t index);
	/* 0, or -CF_EREFUSED: the device did not take it. */
	int (*queue_enable)(void *transport, uint16_t index,
			    const struct cf_virtio_queue *queue);
	void (*notify)(void *transport, uint16_t index);

	/* Read and acknowledge CF_VIRTIO_ISR_*. From an interrupt handler. */
	uint8_t (*isr)(void *transport);
};

/* Why a device is not talked to any more. */
enum cf_virtio_broken {
	CF_VIRTIO_FINE			= 0,
	CF_VIRTIO_BROKEN_RESET		= 1, /* does not reset */
	CF_VIRTIO_BROKEN_ID		= 2, /* not the device asked for */
	CF_VIRTIO_BROKEN_VERSION	= 3, /* offers no VERSION_1 */
	CF_VIRTIO_BROKEN_FEATURES	= 4, /* refused our choice */
	CF_VIRTIO_BROKEN_QUEUE		= 5, /* has no such queue */
	CF_VIRTIO_BROKEN_CONFIG		= 6, /* configuration is too short */
	CF_VIRTIO_BROKEN_GENERATION	= 7, /* never holds still */
	CF_VIRTIO_BROKEN_NEEDS_RESET	= 8, /* says so itself */
	CF_VIRTIO_BROKEN_RING_INDEX	= 9, /* cf_ring_fault */
	CF_VIRTIO_BROKEN_RING_ID	= 10,
	CF_VIRTIO_BROKEN_RING_LENGTH	= 11,
	CF_VIRTIO_BROKEN_ANSWER_SHORT	= 12, /* wrote less than an answer */
	CF_VIRTIO_BROKEN_ANSWER		= 13, /* an answer that is none */
	CF_VIRTIO_BROKEN_ANSWER_ERROR	= 14, /* ERROR to a right request */
	CF_VIRTIO_BROKEN_STATE		= 15, /* a state that is none */
	CF_VIRTIO_BROKEN_BLOCK_SIZE	= 16, /* can never be right */
	CF_VIRTIO_BROKEN_REGION		= 17, /* outside the window, wraps,
					       * or covers other memory */
	CF_VIRTIO_BROKEN_SIZES		= 18, /* requested > usable, ... */
	CF_VIRTIO_BROKEN_CHANGED	= 19, /* what is constant changed */
	CF_VIRTIO_BROKEN_PLUGGED	= 20, /* plugged_size is not what it
					       * acknowledged */
	CF_VIRTIO_BROKEN_STATUS		= 21, /* lost DRIVER_OK: was reset
					       * behind our back */
	CF_VIRTIO_BROKEN_COUNT
};

/* One sentence. */
const char *cf_virtio_broken_name(enum cf_virtio_broken broken);

/* Memory that driver and device share: the caller's. */
struct cf_virtio_memory {
	void *address;		/* 4096-aligned, zeroed */
	uint64_t phys;		/* as the device addresses it; not 0, which
				 * devices take for no queue */
	size_t bytes;
};

/*
 * A device.  Zeroed, then cf_virtio_open().
 *
 * Field key: (C) constant after open, (N) after negotiation, (I) @lock,
 * (W) written by the driver's one working context.
 */
struct cf_virtio {
	const struct cf_virtio_ops *ops;	/* (C) */
	void *transport;		/* (C) */
	uint64_t offered;		/* (N) by the device */
	uint64_t features;		/* (N) both sides agreed on */
	uint32_t generation;		/* (W) of the configuration last read */
	enum cf_virtio_broken broken;	/* (W) */
	uint64_t broken_value;		/* (W) what was wrong about it */
	struct cf_lock lock;		/* CF_RANK_LEAF */
	uint8_t events;			/* (I) CF_VIRTIO_ISR_* since last */
};

/**
 * cf_virtio_open() - begin with a device: reset it, see that it is @id.
 * Return: 0, or -CF_EREFUSED: broken, and device->broken says why.
 */
int cf_virtio_open(struct cf_virtio *device, const struct cf_virtio_ops *ops,
		   void *transport, uint32_t id) CF_MUST_CHECK;

/**
 * cf_virtio_negotiate() - agree on features.
 * @wanted: what the driver implements; VERSION_1 is required besides
 *
 * device->features is what both want. Nothing else is ever accepted.
 * Return: 0, or -CF_EREFUSED: broken.
 */
int cf_virtio_negotiate(struct cf_virtio *device, uint64_t wanted)
	CF_MUST_CHECK;

/**
 * cf_virtio_queue() - set a queue up.
 * @size:    at most so many descriptors; a power of two
 * @memory:  where its shared part is cut off; what is left afterwards
 * @private_part: cf_ring_private_bytes(@size) bytes, aligned to 8
 *
 * Return: 0, -CF_ENOMEM: @memory is too small, -CF_EREFUSED: broken.
 */
int cf_virtio_queue(struct cf_virtio *device, uint16_t index, uint16_t size,
		    struct cf_virtio_memory *memory, void *private_part,
		    struct cf_ring *ring) CF_MUST_CHECK;

/** cf_virtio_ready() - DRIVER_OK: buffers may be added from now on. */
void cf_virtio_ready(struct cf_virtio *device);

/**
 * cf_virtio_config() - a piece of the configuration as it was at one moment.
 * Return: 0, or -CF_EREFUSED: broken.
 */
int cf_virtio_config(struct cf_virtio *device, uint32_t offset, void *buffer,
		     uint32_t bytes) CF_MUST_CHECK;

/**
 * cf_virtio_config_changed() - may the configuration differ from the last
 * read? Asks the generation, and what interrupts have said.
 */
bool cf_virtio_config_changed(struct cf_virtio *device);

/**
 * cf_virtio_check() - is it still there, and happy?
 * Return: 0, or -CF_EREFUSED: broken; says NEEDS_RESET or was reset.
 */
int cf_virtio_check(struct cf_virtio *device) CF_MUST_CHECK;

/**
 * cf_virtio_take() - cf_ring_take() that breaks the device if it lied.
 * Return: as cf_ring_take().
 */
int cf_virtio_take(struct cf_virtio *device, struct cf_ring *ring,
		   void **ret_token, uint32_t *ret_bytes) CF_MUST_CHECK;

/**
 * cf_virtio_copy() - take a copy of what the device wrote, each byte once.
 */
void cf_virtio_copy(void *to, const void *shared, size_t bytes);

/** cf_virtio_notify() - tell the device of new buffers, if it wants to know. */
void cf_virtio_notify(struct cf_virtio *device, uint16_t index,
		      const struct cf_ring *ring);

/**
 * cf_virtio_interrupt() - to be called by the interrupt handler.
 *
 * Acknowledges and remembers. With MSI-X vectors call it with @isr the
 * CF_VIRTIO_ISR_* the vector stands for; otherwise with 0, and it asks the
 * device. Context: any.
 * Return: what was pending; 0: not ours. If not 0, the driver wants work.
 */
uint8_t cf_virtio_interrupt(struct cf_virtio *device, uint8_t isr);

/**
 * cf_virtio_break() - stop believing a device: the first reason stays.
 *
 * Sets FAILED. What the device has been given stays given.
 * Return: -CF_EREFUSED, always.
 */
int cf_virtio_break(struct cf_virtio *device, enum cf_virtio_broken why,
		    uint64_t value);

/**
 * cf_virtio_reset() - take everything back: queues and their buffers.
 *
 * Return: 0: shared memory is the caller's alone again; or -CF_EPORT: the
 * device does not reset, never use that memory for anything else.
 */
int cf_virtio_reset(struct cf_virtio *device) CF_MUST_CHECK;

/* When a driver wants its work function called again. */
enum cf_when {
	CF_WHEN_NOW,		/* there is more to do */
	CF_WHEN_EVENT,		/* after an interrupt; when polling: soon */
	CF_WHEN_AT,		/* then, or after an interrupt */
	CF_WHEN_NEVER,		/* broken */
};

struct cf_next {
	enum cf_when when;
	uint64_t at_ms;		/* CF_WHEN_AT: by the clock work() is given */
};

#endif
