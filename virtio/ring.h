/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_RING_H
#define VIRTIO_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coldframe/types.h>

#include "virtio/wire.h"

/*
 * A split virtqueue, the driver's side.
 *
 * The shared part - descriptors, available ring, used ring - is memory the
 * device can write at any time.  Nothing that decides anything is ever read
 * from it but the used ring, and of that each value once.  What is in flight
 * is known from the private part alone.
 */

enum cf_ring_fault {
	CF_RING_FINE		= 0,
	CF_RING_INDEX		= 1, /* more used than there is in flight */
	CF_RING_ID		= 2, /* an id that is not in flight */
	CF_RING_LENGTH		= 3, /* more written than there was room */
};

/* One descriptor, as the driver knows it. */
struct cf_ring_slot {
	void *token;		/* of a head in flight */
	uint32_t room;		/* bytes the device may write */
	uint16_t next;		/* the rest of the chain, or of the free ones */
	uint16_t count;		/* descriptors of the chain; 0: no head */
};

/*
 * A virtqueue.  The caller serialises all calls of one ring.
 *
 * Field key: (C) constant after init, (D) the caller's lock.
 * Free descriptors plus those of chains in flight == size.
 */
struct cf_ring {
	uint8_t *desc, *avail, *used;	/* (C) the shared part */
	uint64_t desc_phys, avail_phys, used_phys;	/* (C) */
	struct cf_ring_slot *slot;	/* (C) @size of them; (D) contents */
	uint16_t size;			/* (C) a power of two */
	uint16_t free_head;		/* (D) */
	uint16_t free_count;		/* (D) */
	uint16_t in_flight;		/* (D) chains */
	uint16_t avail_next;		/* (D) runs freely, wraps */
	uint16_t used_next;		/* (D) runs freely, wraps */
	enum cf_ring_fault fault;	/* (D) once set, the ring is dead */
	uint64_t fault_value;		/* (D) what the device wrote */
};

/* A buffer of a chain. */
struct cf_ring_buffer {
	uint64_t phys;
	uint32_t bytes;
	bool device_writes;
};

/* Bytes of both parts; @size is a power of two up to 32768. */
size_t cf_ring_shared_bytes(uint16_t size);
size_t cf_ring_private_bytes(uint16_t size);

/**
 * cf_ring_init() - make an empty ring; cannot fail.
 * @shared:  cf_ring_shared_bytes() bytes, aligned to 16
 * @phys:    the same as the device addresses it
 * @private: cf_ring_private_bytes() bytes, aligned to 8
 */
void cf_ring_init(struct cf_ring *ring, uint16_t size, void *shared,
		  uint64_t phys, void *private_part);

/**
 * cf_ring_add() - hand a chain of buffers to the device.
 * @buffers: 1.., those the device writes last
 * @token:   comes back with the chain; not NULL
 *
 * The device may look at it at once; tell it with the transport's notify if
 * cf_ring_wants_notify().
 *
 * Return:  0, -CF_EBUSY: not enough free descriptors, or the ring is dead.
 */
int cf_ring_add(struct cf_ring *ring, const struct cf_ring_buffer *buffers,
		unsigned count, void *token) CF_MUST_CHECK;

/** cf_ring_wants_notify() - does the device want to hear of new buffers? */
bool cf_ring_wants_notify(const struct cf_ring *ring);

/**
 * cf_ring_take() - the next chain the device has used.
 * @ret_token: that of cf_ring_add()
 * @ret_bytes: how many bytes the device says it wrote; at most the room
 *
 * Return:  0, or
 *          -CF_EAGAIN   none now
 *          -CF_EREFUSED the device lied: ring->fault says how, for good
 */
int cf_ring_take(struct cf_ring *ring, void **ret_token, uint32_t *ret_bytes)
	CF_MUST_CHECK;

/** cf_ring_want_interrupt() - ask the device to interrupt, or not to. */
void cf_ring_want_interrupt(struct cf_ring *ring, bool wanted);

/*
 * 16-bit fields that one side writes while the other reads: loads acquire,
 * stores release, in the byte order of the wire.  @at is even.  Devices that
 * run in the same program use these, too.
 */
uint16_t cf_ring_load16(const uint8_t *at);
void cf_ring_store16(uint8_t *at, uint16_t value);

/*
 * A full fence: a store before it is seen before a load after it is done.
 * Between publishing an index and looking whether the other side sleeps.
 */
void cf_ring_fence(void);

#endif
