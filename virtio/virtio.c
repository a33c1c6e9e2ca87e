/* SPDX-License-Identifier: MIT */

/*
 * A virtio device, whatever it is plugged into: the order of its status,
 * which features are taken, and the one place where a device is marked
 * broken.  After that no call reaches the transport but reset.
 */

#include "virtio/virtio.h"

#define RESET_SPINS		1000000
#define GENERATION_TRIES	64
#define STATUS_LIVE		(CF_VIRTIO_ACKNOWLEDGE | CF_VIRTIO_DRIVER | \
				 CF_VIRTIO_FEATURES_OK | CF_VIRTIO_DRIVER_OK)

static const char *const broken_name[] = {
	[CF_VIRTIO_FINE] = "it is not broken",
	[CF_VIRTIO_BROKEN_RESET] = "it does not reset",
	[CF_VIRTIO_BROKEN_ID] = "it is another device",
	[CF_VIRTIO_BROKEN_VERSION] = "it does not offer VERSION_1",
	[CF_VIRTIO_BROKEN_FEATURES] = "it refused the features it offered",
	[CF_VIRTIO_BROKEN_QUEUE] = "it lacks a queue",
	[CF_VIRTIO_BROKEN_CONFIG] = "its configuration is too short",
	[CF_VIRTIO_BROKEN_GENERATION] = "its configuration never holds still",
	[CF_VIRTIO_BROKEN_NEEDS_RESET] = "it says that it needs a reset",
	[CF_VIRTIO_BROKEN_RING_INDEX] = "it used more than it was given",
	[CF_VIRTIO_BROKEN_RING_ID] = "it used what it was not given",
	[CF_VIRTIO_BROKEN_RING_LENGTH] = "it wrote more than there was room",
	[CF_VIRTIO_BROKEN_ANSWER_SHORT] = "its answer is too short",
	[CF_VIRTIO_BROKEN_ANSWER] = "its answer is none",
	[CF_VIRTIO_BROKEN_ANSWER_ERROR] = "it called a right request wrong",
	[CF_VIRTIO_BROKEN_STATE] = "the state it told is none",
	[CF_VIRTIO_BROKEN_BLOCK_SIZE] = "its block size can never be right",
	[CF_VIRTIO_BROKEN_REGION] = "its region is not its own",
	[CF_VIRTIO_BROKEN_SIZES] = "its sizes contradict each other",
	[CF_VIRTIO_BROKEN_CHANGED] = "what is constant changed",
	[CF_VIRTIO_BROKEN_PLUGGED] = "it acknowledged another plugged size",
	[CF_VIRTIO_BROKEN_STATUS] = "it was reset by somebody else",
};

_Static_assert(sizeof(broken_name) / sizeof(*broken_name) ==
	       CF_VIRTIO_BROKEN_COUNT, "a name for each reason");

const char *cf_virtio_broken_name(enum cf_virtio_broken broken)
{
	return (unsigned)broken < CF_VIRTIO_BROKEN_COUNT ?
	       broken_name[broken] : "an unknown reason";
}

int cf_virtio_break(struct cf_virtio *device, enum cf_virtio_broken why,
		    uint64_t value)
{
	if (device->broken)
		return -CF_EREFUSED;
	device->broken = why;
	device->broken_value = value;
	if (why != CF_VIRTIO_BROKEN_RESET)
		device->ops->set_status(device->transport, (uint8_t)
			(device->ops->status(device->transport) |
			 CF_VIRTIO_FAILED));
	return -CF_EREFUSED;
}

int cf_virtio_reset(struct cf_virtio *device)
{
	unsigned spins;

	device->ops->set_status(device->transport, 0);
	for (spins = 0; spins < RESET_SPINS; spins++)
		if (device->ops->status(device->transport) == 0)
			return 0;
	return -CF_EPORT;
}

static void add_status(struct cf_virtio *device, uint8_t bit)
{
	uint8_t status = device->ops->status(device->transport);

	device->ops->set_status(device->transport, (uint8_t)(status | bit));
}

int cf_virtio_open(struct cf_virtio *device, const struct cf_virtio_ops *ops,
		   void *transport, uint32_t id)
{
	uint32_t found;

	*device = (struct cf_virtio){
		.ops = ops,
		.transport = transport,
		.lock = CF_LOCK_INIT(CF_RANK_LEAF),
	};
	if (cf_virtio_reset(device))
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_RESET, 0);
	add_status(device, CF_VIRTIO_ACKNOWLEDGE);
	found = ops->device_id(transport);
	if (found != id)
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_ID, found);
	add_status(device, CF_VIRTIO_DRIVER);
	return 0;
}

int cf_virtio_negotiate(struct cf_virtio *device, uint64_t wanted)
{
	uint64_t offered = device->ops->features(device->transport);

	if (!(offered & CF_VIRTIO_F_VERSION_1))
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_VERSION,
				       offered);
	device->offered = offered;
	device->features = offered & (wanted | CF_VIRTIO_F_VERSION_1);
	device->ops->set_features(device->transport, device->features);
	add_status(device, CF_VIRTIO_FEATURES_OK);
	if (!(device->ops->status(device->transport) & CF_VIRTIO_FEATURES_OK))
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_FEATURES,
				       device->features);
	return 0;
}

/* Cut @bytes off the memory, 64-aligned. NULL: too small. */
static void *cut(struct cf_virtio_memory *memory, size_t bytes)
{
	unsigned char *address = memory->address;

	bytes = (bytes + 63) & ~(size_t)63;
	if (bytes > memory->bytes)
		return NULL;
	memory->address = address + bytes;
	memory->phys += bytes;
	memory->bytes -= bytes;
	return address;
}

int cf_virtio_queue(struct cf_virtio *device, uint16_t index, uint16_t size,
		    struct cf_virtio_memory *memory, void *private_part,
		    struct cf_ring *ring)
{
	uint16_t most = device->ops->queue_size(device->transport, index);
	uint64_t phys = memory->phys;
	struct cf_virtio_queue queue;
	void *shared;

	if (most == 0)
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_QUEUE, index);
	while (size > most)
		size /= 2;
	shared = cut(memory, cf_ring_shared_bytes(size));
	if (!shared)
		return -CF_ENOMEM;
	cf_ring_init(ring, size, shared, phys, private_part);
	queue = (struct cf_virtio_queue){
		.desc_phys = ring->desc_phys,
		.avail_phys = ring->avail_phys,
		.used_phys = ring->used_phys,
		.size = size,
	};
	if (device->ops->queue_enable(device->transport, index, &queue))
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_QUEUE, index);
	return 0;
}

void cf_virtio_ready(struct cf_virtio *device)
{
	add_status(device, CF_VIRTIO_DRIVER_OK);
}

static void forget_event(struct cf_virtio *device, uint8_t event)
{
	unsigned long state = cf_lock(&device->lock);

	device->events &= (uint8_t)~event;
	cf_unlock(&device->lock, state);
}

int cf_virtio_config(struct cf_virtio *device, uint32_t offset, void *buffer,
		     uint32_t bytes)
{
	const struct cf_virtio_ops *ops = device->ops;
	uint32_t before;
	unsigned i;

	if (device->broken)
		return -CF_EREFUSED;
	forget_event(device, CF_VIRTIO_ISR_CONFIG);
	for (i = 0; i < GENERATION_TRIES; i++) {
		before = ops->generation(device->transport);
		if (ops->config_read(device->transport, offset, buffer, bytes))
			return cf_virtio_break(device, CF_VIRTIO_BROKEN_CONFIG,
					       offset + bytes);
		if (ops->generation(device->transport) == before) {
			device->generation = before;
			return 0;
		}
	}
	return cf_virtio_break(device, CF_VIRTIO_BROKEN_GENERATION, before);
}

bool cf_virtio_config_changed(struct cf_virtio *device)
{
	unsigned long state = cf_lock(&device->lock);
	bool told = device->events & CF_VIRTIO_ISR_CONFIG;

	cf_unlock(&device->lock, state);
	return told || device->ops->generation(device->transport) !=
		       device->generation;
}

int cf_virtio_check(struct cf_virtio *device)
{
	uint8_t status;

	if (device->broken)
		return -CF_EREFUSED;
	status = device->ops->status(device->transport);
	if (status & CF_VIRTIO_NEEDS_RESET)
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_NEEDS_RESET,
				       status);
	if ((status & STATUS_LIVE) != STATUS_LIVE)
		return cf_virtio_break(device, CF_VIRTIO_BROKEN_STATUS,
				       status);
	return 0;
}

int cf_virtio_take(struct cf_virtio *device, struct cf_ring *ring,
		   void **ret_token, uint32_t *ret_bytes)
{
	int err;

	if (device->broken)
		return -CF_EREFUSED;
	err = cf_ring_take(ring, ret_token, ret_bytes);
	if (err != -CF_EREFUSED)
		return err;
	_Static_assert(CF_VIRTIO_BROKEN_RING_LENGTH -
		       CF_VIRTIO_BROKEN_RING_INDEX ==
		       CF_RING_LENGTH - CF_RING_INDEX, "one for each");
	return cf_virtio_break(device, (enum cf_virtio_broken)
			       (CF_VIRTIO_BROKEN_RING_INDEX +
				(ring->fault - CF_RING_INDEX)),
			       ring->fault_value);
}

void cf_virtio_copy(void *to, const void *shared, size_t bytes)
{
	const volatile unsigned char *from = shared;
	unsigned char *target = to;

	while (bytes--)
		*target++ = *from++;
}

void cf_virtio_notify(struct cf_virtio *device, uint16_t index,
		      const struct cf_ring *ring)
{
	if (!device->broken && cf_ring_wants_notify(ring))
		device->ops->notify(device->transport, index);
}

uint8_t cf_virtio_interrupt(struct cf_virtio *device, uint8_t isr)
{
	unsigned long state;

	if (!isr)
		isr = device->ops->isr(device->transport);
	state = cf_lock(&device->lock);
	device->events |= isr;
	cf_unlock(&device->lock, state);
	return isr;
}
