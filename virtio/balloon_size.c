/* SPDX-License-Identifier: MIT */

/*
 * Inflating and deflating, a buffer of frames at a time.
 */

#include "virtio/balloon_internal.h"

bool balloon_finish_in(struct balloon *balloon)
{
	unsigned i;

	if (!balloon_take_done(balloon, &balloon->in))
		return false;
	for (i = 0; i < balloon->in_runs; i++)
		balloon_set_state(balloon, balloon->in_head[i], FRAME_HELD);
	balloon_count(balloon, (int64_t)balloon->in_runs <<
		      balloon->in_order);
	balloon->in_runs = 0;
	return true;
}

/* Give back what cannot be told, and what was taken with it. */
static void untake(struct balloon *balloon, const cf_pfn *pfn, size_t count,
		   unsigned order)
{
	size_t i;

	/* What the port does not take back stays OFFLINE, the driver's. */
	for (i = 0; i < count; i++)
		(void)balloon_free(balloon, pfn[i],
				   pfn[i] + ((cf_pfn)1 << order));
}

/* Tell the host of runs that are OFFLINE. */
static bool send_runs(struct balloon *balloon, const cf_pfn *pfn, size_t count,
		      unsigned order)
{
	cf_pfn frames = (cf_pfn)1 << order;
	unsigned i;

	for (i = 0; i < count; i++) {
		if (balloon_device_frame(balloon, pfn[i]) + frames > PFN_LAST) {
			untake(balloon, pfn, count, order);
			return false;
		}
		balloon->in_head[i] = pfn[i];
		balloon_put_frames(balloon, &balloon->in, i << order, pfn[i],
				   pfn[i] + frames);
	}
	cf_content_sync(balloon->config.map);
	balloon->in_runs = (unsigned)count;
	balloon->in_order = order;
	if (balloon_send(balloon, QUEUE_INFLATE, &balloon->in,
			 (uint32_t)(count << order) * 4))
		return true;
	balloon->in_runs = 0;
	untake(balloon, pfn, count, order);
	return false;
}

bool balloon_inflate(struct balloon *balloon, uint64_t frames)
{
	unsigned order = CF_CHUNK_ORDER;
	cf_pfn pfn[BATCH_RUNS];
	size_t count, done = 0;
	int err = -CF_ENOMEM;

	if (balloon->in_runs)
		return false;
	if (frames >= CF_CHUNK_FRAMES && !balloon->config.small)
		err = cf_offline_alloc_bulk(balloon->config.map,
					    balloon->owner, order,
					    CF_FLAG_MOVABLE, 1, pfn, &done);
	if (!done) {
		order = 0;
		count = frames < BATCH_RUNS ? (size_t)frames : BATCH_RUNS;
		err = cf_offline_alloc_bulk(balloon->config.map,
					    balloon->owner, order,
					    CF_FLAG_MOVABLE, count, pfn,
					    &done);
	}
	if (err)
		balloon->retry_at = balloon->now + balloon->config.retry_ms;
	return done && send_runs(balloon, pfn, done, order);
}

/* What is left of a run of which a part has gone is held as before. */
static void keep_rest(struct balloon *balloon, cf_pfn first, cf_pfn last)
{
	struct cf_snapshot snapshot;

	while (first < last &&
	       cf_snapshot(balloon->config.map, first, &snapshot) == 0) {
		balloon_set_state(balloon, first, FRAME_HELD);
		first += (cf_pfn)1 << snapshot.order;
	}
}

static bool is_done(struct balloon *balloon, const struct sending *sending)
{
	unsigned long state = cf_lock(&balloon->lock);
	bool done = sending->done;

	cf_unlock(&balloon->lock, state);
	return done;
}

bool balloon_finish_out(struct balloon *balloon)
{
	unsigned left = 0, i;
	struct part *part;

	if (balloon->now < balloon->out_retry_at ||
	    !is_done(balloon, &balloon->out))
		return false;
	for (i = 0; i < balloon->out_parts; i++) {
		part = &balloon->out_part[i];
		if (!balloon_free(balloon, part->first, part->last)) {
			balloon->out_part[left++] = *part;
			continue;
		}
		keep_rest(balloon, part->last, part->run_last);
	}
	balloon->out_parts = left;
	if (!left)
		return balloon_take_done(balloon, &balloon->out);
	balloon->out_retry_at = balloon->now + balloon->config.retry_ms;
	return false;
}

/* Collect up to @frames that are held. */
static unsigned collect(struct balloon *balloon, uint64_t frames)
{
	unsigned spans = WALK_SPANS, count = 0;
	struct cf_span span;
	cf_pfn last;

	if (!balloon_collect_begin(balloon))
		return 0;
	while (count < frames && balloon->out_parts < BATCH_RUNS &&
	       balloon_find(balloon, FRAME_HELD, &balloon->cursor, &spans,
			    &span)) {
		last = span.last;
		if (last - span.first > frames - count)
			last = span.first + (frames - count);
		balloon_set_state(balloon, span.first, FRAME_DEFLATING);
		balloon_put_frames(balloon, &balloon->out, count, span.first,
				   last);
		balloon->out_part[balloon->out_parts++] = (struct part){
			span.first, last, span.last,
		};
		count += (unsigned)(last - span.first);
	}
	balloon_collect_end(balloon);
	if (spans && count < frames)
		balloon->cursor = 0;
	return count;
}

bool balloon_deflate(struct balloon *balloon, uint64_t frames, bool low)
{
	unsigned count, i;

	if (balloon->out_parts)
		return false;
	if (frames > BATCH_FRAMES)
		frames = BATCH_FRAMES;
	count = collect(balloon, frames);
	if (!count)
		return false;
	balloon_count(balloon, -(int64_t)count);
	if (balloon_send(balloon, QUEUE_DEFLATE, &balloon->out, count * 4)) {
		balloon->low_deflated += low ? count : 0;
		return true;
	}
	for (i = 0; i < balloon->out_parts; i++)
		balloon_set_state(balloon, balloon->out_part[i].first,
				  FRAME_HELD);
	balloon->out_parts = 0;
	balloon_count(balloon, count);
	return false;
}
