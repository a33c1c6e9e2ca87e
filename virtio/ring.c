/* SPDX-License-Identifier: MIT */

/*
 * Split virtqueues, the driver's side.
 *
 * Two promises: what is in flight is decided by the private slots alone, so
 * that nothing the device writes can make a chain come back twice or a
 * token that was never given; and every value the device writes is read
 * once.  This is the one file outside core/ that orders memory by hand, for
 * the other side takes no locks.
 */

#include "virtio/ring.h"

#define NONE	0xffff		/* no slot: sizes end at 32768 */

static uint16_t swap16(uint16_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap16(value);
#else
	return value;
#endif
}

uint16_t cf_ring_load16(const uint8_t *at)
{
	const void *place = at;

	/* Acquire: see what the other side wrote before it stored this. */
	return swap16(__atomic_load_n((const uint16_t *)place,
				      __ATOMIC_ACQUIRE));
}

void cf_ring_store16(uint8_t *at, uint16_t value)
{
	void *place = at;

	/* Release: who sees this sees what we wrote before. */
	__atomic_store_n((uint16_t *)place, swap16(value), __ATOMIC_RELEASE);
}

void cf_ring_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Relaxed: ordered by the index that was loaded before. Read exactly once. */
static uint32_t load32(const uint8_t *at)
{
	const void *place = at;
	uint32_t value = __atomic_load_n((const uint32_t *)place,
					 __ATOMIC_RELAXED);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value = __builtin_bswap32(value);
#endif
	return value;
}

static size_t desc_bytes(uint16_t size)
{
	return (size_t)size * CF_DESC_BYTES;
}

/* The used ring is aligned to 4. */
static size_t used_offset(uint16_t size)
{
	return (desc_bytes(size) + (size_t)CF_AVAIL_BYTES(size) + 3) &
	       ~(size_t)3;
}

size_t cf_ring_shared_bytes(uint16_t size)
{
	return used_offset(size) + (size_t)CF_USED_BYTES(size);
}

size_t cf_ring_private_bytes(uint16_t size)
{
	return size * sizeof(struct cf_ring_slot);
}

void cf_ring_init(struct cf_ring *ring, uint16_t size, void *shared,
		  uint64_t phys, void *private_part)
{
	uint8_t *bytes = shared;
	uint16_t i;

	*ring = (struct cf_ring){
		.desc = bytes,
		.avail = bytes + desc_bytes(size),
		.used = bytes + used_offset(size),
		.desc_phys = phys,
		.avail_phys = phys + desc_bytes(size),
		.used_phys = phys + used_offset(size),
		.slot = private_part,
		.size = size,
		.free_count = size,
	};
	for (size_t at = 0; at < cf_ring_shared_bytes(size); at++)
		bytes[at] = 0;
	for (i = 0; i < size; i++) {
		ring->slot[i] = (struct cf_ring_slot){
			.next = (uint16_t)(i + 1),
		};
	}
	ring->slot[size - 1].next = NONE;
}

static void write_desc(struct cf_ring *ring, uint16_t id,
		       const struct cf_ring_buffer *buffer, bool more)
{
	uint8_t *desc = ring->desc + desc_bytes(id);
	unsigned flags = (buffer->device_writes ? CF_DESC_F_WRITE : 0u) |
			 (more ? CF_DESC_F_NEXT : 0u);

	cf_wire_put64(desc + CF_DESC_ADDR, buffer->phys);
	cf_wire_put32(desc + CF_DESC_LEN, buffer->bytes);
	cf_wire_put16(desc + CF_DESC_FLAGS, (uint16_t)flags);
	cf_wire_put16(desc + CF_DESC_NEXT, more ? ring->slot[id].next : 0);
}

static void publish(struct cf_ring *ring, uint16_t head)
{
	unsigned at = ring->avail_next & (ring->size - 1u);

	cf_wire_put16(ring->avail + CF_AVAIL_ENTRIES + (size_t)at * 2, head);
	ring->avail_next++;
	cf_ring_store16(ring->avail + CF_AVAIL_INDEX, ring->avail_next);
}

int cf_ring_add(struct cf_ring *ring, const struct cf_ring_buffer *buffers,
		unsigned count, void *token)
{
	uint16_t head = ring->free_head, id = head;
	uint32_t room = 0;
	unsigned i;

	if (ring->fault || count == 0 || count > ring->free_count)
		return -CF_EBUSY;
	for (i = 0; i < count; i++) {
		if (buffers[i].device_writes)
			room += buffers[i].bytes;
		write_desc(ring, id, &buffers[i], i + 1 < count);
		if (i + 1 < count)
			id = ring->slot[id].next;
	}
	ring->free_head = ring->slot[id].next;
	ring->slot[id].next = NONE;
	ring->free_count = (uint16_t)(ring->free_count - count);
	ring->slot[head].token = token;
	ring->slot[head].room = room;
	ring->slot[head].count = (uint16_t)count;
	ring->in_flight++;
	publish(ring, head);
	return 0;
}

bool cf_ring_wants_notify(const struct cf_ring *ring)
{
	/* The index above must be out before we look: see cf_ring_fence(). */
	cf_ring_fence();
	return !(cf_ring_load16(ring->used + CF_USED_FLAGS) &
		 CF_USED_F_NO_NOTIFY);
}

/* The chain of @head becomes free descriptors. */
static void free_chain(struct cf_ring *ring, uint16_t head)
{
	struct cf_ring_slot *slot = &ring->slot[head];
	uint16_t last = head;

	while (ring->slot[last].next != NONE)
		last = ring->slot[last].next;
	ring->slot[last].next = ring->free_head;
	ring->free_head = head;
	ring->free_count = (uint16_t)(ring->free_count + slot->count);
	slot->count = 0;
	slot->token = NULL;
	ring->in_flight--;
}

static int fault(struct cf_ring *ring, enum cf_ring_fault what, uint64_t value)
{
	ring->fault = what;
	ring->fault_value = value;
	return -CF_EREFUSED;
}

int cf_ring_take(struct cf_ring *ring, void **ret_token, uint32_t *ret_bytes)
{
	unsigned at = ring->used_next & (ring->size - 1u);
	const uint8_t *entry = ring->used + CF_USED_ENTRIES +
			       (size_t)at * CF_USED_ENTRY_BYTES;
	uint16_t index, ahead;
	uint32_t id, bytes;

	if (ring->fault)
		return -CF_EREFUSED;
	index = cf_ring_load16(ring->used + CF_USED_INDEX);
	ahead = (uint16_t)(index - ring->used_next);
	if (ahead == 0)
		return -CF_EAGAIN;
	if (ahead > ring->in_flight)
		return fault(ring, CF_RING_INDEX, index);
	id = load32(entry);
	bytes = load32(entry + 4);
	if (id >= ring->size || ring->slot[id].count == 0)
		return fault(ring, CF_RING_ID, id);
	if (bytes > ring->slot[id].room)
		return fault(ring, CF_RING_LENGTH, bytes);
	*ret_token = ring->slot[id].token;
	*ret_bytes = bytes;
	free_chain(ring, (uint16_t)id);
	ring->used_next++;
	return 0;
}

void cf_ring_want_interrupt(struct cf_ring *ring, bool wanted)
{
	cf_ring_store16(ring->avail + CF_AVAIL_FLAGS,
			wanted ? 0 : CF_AVAIL_F_NO_INTERRUPT);
	cf_ring_fence();
}
