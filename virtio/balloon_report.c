/* SPDX-License-Identifier: MIT */

/*
 * Reports of free memory: the host may take the contents of whole free
 * chunks.  They are OFFLINE while they are reported and free afterwards; a bit
 * a chunk says that the host has heard of it.  Nobody tells when a free chunk
 * is used and freed again, so a chunk that is seen partly used loses its bit,
 * and all lose theirs every few rounds.
 */

#include "virtio/balloon_internal.h"

#define FORGET_ROUNDS	16
#define LOOK_CHUNKS	1024	/* in one call of work */

size_t cf_balloon_reported_bytes(const struct cf_map *map)
{
	return (size_t)((cf_map_config_of(map)->last / CF_CHUNK_FRAMES + 63) /
			64 * 8);
}

static bool get_bit(const struct balloon *balloon, cf_pfn chunk)
{
	const uint64_t *bits = balloon->config.reported;

	return bits[chunk / 64] >> chunk % 64 & 1;
}

static void set_bit(struct balloon *balloon, cf_pfn chunk, bool on)
{
	uint64_t *bits = balloon->config.reported;

	if (on)
		bits[chunk / 64] |= (uint64_t)1 << chunk % 64;
	else
		bits[chunk / 64] &= ~((uint64_t)1 << chunk % 64);
}

static bool is_free(struct balloon *balloon, cf_pfn first)
{
	cf_pfn at = first, last = first + CF_CHUNK_FRAMES;
	struct cf_span span;
	bool all;

	cf_walk_begin(balloon->config.map);
	all = cf_walk_next(balloon->config.map, &at, last, &span) &&
	      span.kind == CF_SPAN_FREE && span.first <= first &&
	      span.last >= last && !span.isolated;
	cf_walk_end(balloon->config.map);
	return all;
}

/* Enough is free that some can be away for a moment. */
static bool is_spare(struct balloon *balloon)
{
	struct cf_stat stat;

	cf_stat(balloon->config.map, &stat);
	return stat.free > 4 * REPORT_RUNS * CF_CHUNK_FRAMES ||
	       stat.free > stat.managed / 4;
}

/* Take a chunk that is free; somebody may be faster. */
static void take(struct balloon *balloon, cf_pfn first)
{
	struct cf_map *map = balloon->config.map;

	if (!is_free(balloon, first)) {
		set_bit(balloon, first / CF_CHUNK_FRAMES, false);
		return;
	}
	if (get_bit(balloon, first / CF_CHUNK_FRAMES) ||
	    cf_offline_alloc_range(map, balloon->owner, first,
				   first + CF_CHUNK_FRAMES, CF_FLAG_MOVABLE,
				   NULL))
		return;
	balloon_set_state(balloon, first, FRAME_REPORTING);
	balloon->report_chunk[balloon->report_chunks++] = first;
}

/* Take chunks until a report is full or enough were looked at. */
static bool collect(struct balloon *balloon)
{
	cf_pfn last = cf_map_config_of(balloon->config.map)->last;
	unsigned room = balloon->ring[QUEUE_REPORT].size, looks;

	room = room > REPORT_RUNS ? REPORT_RUNS : room;
	for (looks = 0; looks < LOOK_CHUNKS; looks++) {
		if (balloon->report_cursor + CF_CHUNK_FRAMES > last ||
		    balloon->report_chunks == room)
			break;
		take(balloon, balloon->report_cursor);
		balloon->report_cursor += CF_CHUNK_FRAMES;
	}
	return balloon->report_cursor + CF_CHUNK_FRAMES <= last;
}

static bool send(struct balloon *balloon)
{
	struct cf_ring_buffer buffers[REPORT_RUNS];
	struct cf_ring *ring = &balloon->ring[QUEUE_REPORT];
	unsigned long state;
	unsigned i;
	bool sent;

	for (i = 0; i < balloon->report_chunks; i++)
		buffers[i] = (struct cf_ring_buffer){
			.phys = balloon_device_frame(balloon,
				balloon->report_chunk[i]) << CF_FRAME_SHIFT,
			.bytes = (uint32_t)(CF_CHUNK_FRAMES <<
					    CF_FRAME_SHIFT),
			.device_writes = true,
		};
	cf_content_sync(balloon->config.map);
	state = cf_lock(&balloon->lock);
	sent = !balloon->device.broken &&
	       cf_ring_add(ring, buffers, balloon->report_chunks,
			   &balloon->report) == 0;
	if (sent) {
		balloon->report.in_flight = true;
		cf_virtio_notify(&balloon->device,
				 balloon->index[QUEUE_REPORT], ring);
	}
	cf_unlock(&balloon->lock, state);
	return sent;
}

/* Free what was isolated; the rest is tried again. */
static void give_back(struct balloon *balloon, bool reported)
{
	unsigned left = 0, i;
	cf_pfn first;

	for (i = 0; i < balloon->report_chunks; i++) {
		first = balloon->report_chunk[i];
		if (!balloon_free(balloon, FRAME_REPORTING, first,
				  first + CF_CHUNK_FRAMES)) {
			set_bit(balloon, first / CF_CHUNK_FRAMES, reported);
			balloon->reported += reported ? CF_CHUNK_FRAMES : 0;
		} else {
			balloon->report_chunk[left++] = first;
		}
	}
	balloon->report_chunks = left;
}

static void begin(struct balloon *balloon)
{
	cf_pfn chunks = cf_map_config_of(balloon->config.map)->last /
			CF_CHUNK_FRAMES, i;

	balloon->reporting = true;
	balloon->report_cursor = 0;
	if (++balloon->report_rounds % FORGET_ROUNDS)
		return;
	for (i = 0; i < chunks; i++)
		set_bit(balloon, i, false);
}

static void end(struct balloon *balloon)
{
	balloon->reporting = false;
	balloon->report_ends++;
	balloon->report_at = balloon->config.report_ms == NEVER ? NEVER :
			     balloon->now + balloon->config.report_ms;
}

bool cf_balloon_report(struct cf_balloon *opaque)
{
	struct balloon *balloon = balloon_of(opaque);

	balloon->report_at = balloon->now;
	return balloon->ring[QUEUE_REPORT].size != 0;
}

bool balloon_report(struct balloon *balloon)
{
	bool more;

	if (!balloon->ring[QUEUE_REPORT].size ||
	    balloon_in_flight(balloon, &balloon->report))
		return false;
	if (balloon->report_chunks) {
		(void)balloon_take_done(balloon, &balloon->report);
		give_back(balloon, true);
		/* The port failed for some. */
		if (balloon->report_chunks) {
			end(balloon);
			return false;
		}
	}
	if (balloon->now < balloon->report_at)
		return false;
	if (!balloon->reporting)
		begin(balloon);
	if (balloon->now < balloon->low_until || !is_spare(balloon)) {
		end(balloon);
		return false;
	}
	more = collect(balloon);
	if (balloon->report_chunks && !send(balloon))
		give_back(balloon, false);
	if (!more)
		end(balloon);
	return more && !balloon_in_flight(balloon, &balloon->report);
}
