/* SPDX-License-Identifier: MIT */

/*
 * Rounds of hints: while a guest is copied elsewhere, the host need not copy
 * what is free.  Whole chunks that are free are taken, named to the host and
 * kept until it says that the round is over, so that nobody writes into them
 * in between.
 */

#include "virtio/balloon_internal.h"

#define SPARE_SHIFT	4	/* a sixteenth stays free for the guest */

/* May so much be taken? */
static bool is_spare(struct balloon *balloon)
{
	struct cf_stat stat;

	cf_stat(balloon->config.map, &stat);
	return stat.free > (stat.present >> SPARE_SHIFT) + CF_CHUNK_FRAMES;
}

/* A run of ours, as a buffer the device may overwrite. */
static bool send_run(struct balloon *balloon, cf_pfn pfn)
{
	struct cf_ring_buffer buffer = {
		.phys = balloon_device_frame(balloon, pfn) << CF_FRAME_SHIFT,
		.bytes = (uint32_t)(CF_CHUNK_FRAMES << CF_FRAME_SHIFT),
		.device_writes = true,
	};
	struct cf_ring *ring = &balloon->ring[QUEUE_HINT];
	unsigned long state = cf_lock(&balloon->lock);
	bool sent;

	sent = !balloon->device.broken &&
	       cf_ring_add(ring, &buffer, 1, balloon) == 0;
	if (sent) {
		balloon->hint_runs_in_flight++;
		cf_virtio_notify(&balloon->device, balloon->index[QUEUE_HINT],
				 ring);
	}
	cf_unlock(&balloon->lock, state);
	return sent;
}

bool balloon_is_hinting(const struct balloon *balloon)
{
	return balloon->hinting || balloon->hint_runs_in_flight ||
	       balloon->hint_start.in_flight || balloon->hint_stop.in_flight;
}

static uint64_t in_flight(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);
	uint64_t count = balloon->hint_runs_in_flight;

	if (balloon->hint_start.in_flight || balloon->hint_stop.in_flight)
		count++;
	cf_unlock(&balloon->lock, state);
	return count;
}

static void end_hinting(struct balloon *balloon)
{
	cf_wire_put32(balloon->hint_stop.at, CF_BALLOON_HINT_STOP);
	if (balloon_send(balloon, QUEUE_HINT, &balloon->hint_stop, 4))
		balloon->hinting = false;
}

/* The next chunk. False: there is no room, or nothing is left to hint. */
static bool hint_one(struct balloon *balloon)
{
	cf_pfn pfn;

	if (in_flight(balloon) >= HINT_RUNS)
		return false;
	if (!is_spare(balloon) ||
	    cf_offline_alloc(balloon->config.map, balloon->owner,
			     CF_CHUNK_ORDER, CF_FLAG_MOVABLE, &pfn)) {
		end_hinting(balloon);
		return false;
	}
	balloon_set_state(balloon, pfn, FRAME_HINTED);
	cf_content_sync(balloon->config.map);
	if (send_run(balloon, pfn)) {
		balloon->hinted += CF_CHUNK_FRAMES;
		balloon->hints += CF_CHUNK_FRAMES;
		return true;
	}
	/* What the port does not take back goes at the end of the round. */
	balloon->hinted += balloon_free(balloon, FRAME_HINTED, pfn,
					pfn + CF_CHUNK_FRAMES);
	return false;
}

/*
 * QEMU stops to look at the queue when a round ends, and may miss what came
 * last: it is told again.
 */
static void remind(struct balloon *balloon)
{
	unsigned long state;

	if (balloon->now < balloon->hint_kick_at)
		return;
	balloon->hint_kick_at = balloon->now + balloon->config.retry_ms;
	state = cf_lock(&balloon->lock);
	cf_virtio_notify(&balloon->device, balloon->index[QUEUE_HINT],
			 &balloon->ring[QUEUE_HINT]);
	cf_unlock(&balloon->lock, state);
}

/* Give back what was kept, as far as one call may look. */
static bool release(struct balloon *balloon)
{
	unsigned spans = WALK_SPANS;
	struct cf_span span;

	/* A device that is not done with them may still write into them. */
	if (in_flight(balloon)) {
		remind(balloon);
		return false;
	}
	while (balloon_find(balloon, FRAME_HINTED, &balloon->hint_cursor,
			    &spans, &span))
		balloon->hinted -= span.last - span.first -
				   balloon_free(balloon, FRAME_HINTED,
						span.first, span.last);
	if (!spans)
		return true;
	balloon->hint_cursor = 0;
	balloon->releasing = balloon->hinted != 0;
	/* The port failed for some: later, not at once. */
	if (balloon->releasing) {
		balloon->hint_kick_at = balloon->now +
					balloon->config.retry_ms;
		balloon->retry_at = balloon->hint_kick_at;
	}
	return false;
}

static void begin_round(struct balloon *balloon)
{
	balloon->hint_round = balloon->hint_command;
	cf_wire_put32(balloon->hint_start.at, balloon->hint_round);
	balloon->hinting = balloon_send(balloon, QUEUE_HINT,
					&balloon->hint_start, 4);
	balloon->hint_rounds += balloon->hinting;
	balloon->hints = 0;
}

bool balloon_unhint(struct balloon *balloon)
{
	balloon->hint_low = balloon->hinting || balloon->hinted;
	return balloon->hint_low;
}

/* The guest needs it. Is memory still low then? is asked when all is back. */
static bool release_early(struct balloon *balloon)
{
	balloon->releasing = true;
	if (release(balloon))
		return true;
	balloon->hint_low = in_flight(balloon) != 0;
	return !balloon->hint_low;
}

bool balloon_hint(struct balloon *balloon)
{
	uint32_t command = balloon->hint_command;

	if (!balloon->ring[QUEUE_HINT].size)
		return false;
	if (balloon->hinting && (command != balloon->hint_round ||
				 balloon->hint_low)) {
		end_hinting(balloon);
		return !balloon->hinting;
	}
	if (balloon->hinting)
		return hint_one(balloon);
	if (command != balloon->hint_round && command != CF_BALLOON_HINT_STOP &&
	    balloon->hint_round) {
		balloon->hint_round = 0;
		balloon->releasing = true;
	}
	if (balloon->hint_low)
		return release_early(balloon);
	if (balloon->releasing)
		return release(balloon);
	if (command >= CF_BALLOON_HINT_FIRST &&
	    command != balloon->hint_round && !in_flight(balloon)) {
		begin_round(balloon);
		return balloon->hinting;
	}
	return false;
}
