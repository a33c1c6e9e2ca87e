/* SPDX-License-Identifier: MIT */

/*
 * Queues of the balloon: buffers out and back.  Work and migrations share
 * them, under the driver's lock.
 */

#include "virtio/balloon_internal.h"

bool balloon_send(struct balloon *balloon, unsigned queue,
		  struct sending *sending, uint32_t bytes)
{
	struct cf_ring_buffer buffer = { sending->phys, bytes, false };
	unsigned long state = cf_lock(&balloon->lock);
	bool sent;

	sent = !balloon->device.broken &&
	       cf_ring_add(&balloon->ring[queue], &buffer, 1, sending) == 0;
	if (sent) {
		sending->in_flight = true;
		sending->done = false;
		cf_virtio_notify(&balloon->device, balloon->index[queue],
				 &balloon->ring[queue]);
	}
	cf_unlock(&balloon->lock, state);
	return sent;
}

/* A hint has no buffer of the driver's: its token is the balloon itself. */
static void came_back(struct balloon *balloon, void *token)
{
	struct sending *sending = token;

	if (token == balloon) {
		balloon->hint_runs_in_flight--;
		return;
	}
	sending->in_flight = false;
	sending->done = true;
}

void balloon_reap(struct balloon *balloon)
{
	uint32_t bytes;
	unsigned i;
	void *token;

	for (i = 0; i < QUEUE_COUNT; i++)
		while (balloon->ring[i].size &&
		       cf_virtio_take(&balloon->device, &balloon->ring[i],
				      &token, &bytes) == 0)
			came_back(balloon, token);
}

static void relax(const struct balloon *balloon, unsigned spins)
{
	if (balloon->config.relax)
		balloon->config.relax(balloon->config.context, spins);
	else
		cf_port_relax(spins);
}

bool balloon_wait(struct balloon *balloon, struct sending *sending)
{
	unsigned long state;
	unsigned spins;
	bool done = false, dead = false;

	for (spins = 0; spins < balloon->config.patience; spins++) {
		state = cf_lock(&balloon->lock);
		balloon_reap(balloon);
		done = sending->done;
		sending->done = false;
		dead = balloon->device.broken;
		cf_unlock(&balloon->lock, state);
		if (done || dead)
			break;
		relax(balloon, spins);
	}
	return done;
}

bool balloon_take_done(struct balloon *balloon, struct sending *sending)
{
	unsigned long state = cf_lock(&balloon->lock);
	bool done = sending->done;

	sending->done = false;
	cf_unlock(&balloon->lock, state);
	return done;
}

bool balloon_in_flight(struct balloon *balloon, const struct sending *sending)
{
	unsigned long state = cf_lock(&balloon->lock);
	bool in_flight = sending->in_flight;

	cf_unlock(&balloon->lock, state);
	return in_flight;
}

uint64_t balloon_held(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);
	uint64_t held = balloon->held;

	cf_unlock(&balloon->lock, state);
	return held;
}

bool balloon_collect_begin(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);
	bool begun;

	balloon->collecting = !balloon->moving &&
			      !balloon->move_out.in_flight &&
			      !balloon->move_out.done &&
			      !balloon->move_in.in_flight;
	begun = balloon->collecting;
	cf_unlock(&balloon->lock, state);
	return begun;
}

void balloon_collect_end(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);

	balloon->collecting = false;
	cf_unlock(&balloon->lock, state);
}

void balloon_put_frames(const struct balloon *balloon, struct sending *sending,
			unsigned at, cf_pfn first, cf_pfn last)
{
	for (; first < last; first++, at++)
		cf_wire_put32(sending->at + (size_t)at * 4, (uint32_t)
			      balloon_device_frame(balloon, first));
}

void balloon_count(struct balloon *balloon, int64_t held)
{
	unsigned long state = cf_lock(&balloon->lock);

	balloon->held += (uint64_t)held;
	balloon->actual_is_old = true;
	cf_unlock(&balloon->lock, state);
}
