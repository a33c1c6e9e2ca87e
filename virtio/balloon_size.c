/* SPDX-License-Identifier: MIT */

/*
 * Inflating and deflating, a buffer of frames at a time.
 */

#include "virtio/balloon_internal.h"

#define ORDER_STEP	3	/* 2 MiB, 256 KiB, 32 KiB, 4 KiB */

_Static_assert(CF_CHUNK_ORDER % ORDER_STEP == 0, "down to single frames");

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

/* Give back what cannot be told. */
static void untake(struct balloon *balloon, const cf_pfn *pfn, size_t count,
		   unsigned order)
{
	size_t i;

	/* What the port does not take back stays OFFLINE, the driver's. */
	for (i = 0; i < count; i++)
		(void)balloon_free(balloon, FRAME_INFLATING, pfn[i],
				   pfn[i] + ((cf_pfn)1 << order));
}

/* Tell the host of the first @count runs of in_head, which are OFFLINE. */
static bool send_runs(struct balloon *balloon, size_t count, unsigned order)
{
	const cf_pfn *pfn = balloon->in_head;
	cf_pfn frames = (cf_pfn)1 << order;
	unsigned i;

	for (i = 0; i < count; i++)
		balloon_put_frames(balloon, &balloon->in, i << order, pfn[i],
				   pfn[i] + frames);
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

/* What the device has no numbers for is free again; how much is left. */
static size_t keep_named(struct balloon *balloon, size_t count, unsigned order)
{
	cf_pfn *pfn = balloon->in_head;
	size_t kept = 0, i;

	for (i = 0; i < count; i++) {
		if (balloon_has_numbers(balloon, pfn[i], order))
			pfn[kept++] = pfn[i];
		else
			untake(balloon, &pfn[i], 1, order);
	}
	return kept;
}

void balloon_fresh(struct balloon *balloon)
{
	balloon->retry_at = 0;
	balloon->in_order_max = balloon->config.small ? 0 : CF_CHUNK_ORDER;
}

/* Runs of one order into in_head, a buffer full. */
static size_t take_runs(struct balloon *balloon, uint64_t frames,
			unsigned order)
{
	size_t count = BATCH_FRAMES >> order, done = 0;

	if (frames >> order < count)
		count = (size_t)(frames >> order);
	/* That there were no more is seen when there are none. */
	if (!cf_offline_alloc_bulk(balloon->config.map, balloon->owner, order,
				   CF_FLAG_MOVABLE, count, balloon->in_head,
				   &done))
		done = count;
	return keep_named(balloon, done, order);
}

/*
 * The larger the runs are, the less there is to do for each frame. An order
 * of which nothing was left is not tried again before the next try of all.
 */
bool balloon_inflate(struct balloon *balloon, uint64_t frames)
{
	unsigned order = balloon->in_order_max;
	size_t done;

	if (balloon->in_runs)
		return false;
	while (order && frames >> order == 0)
		order -= ORDER_STEP;
	while ((done = take_runs(balloon, frames, order)) == 0 && order) {
		order -= ORDER_STEP;
		balloon->in_order_max = order;
	}
	if (done)
		return send_runs(balloon, done, order);
	balloon_fresh(balloon);
	if (!balloon_unhint(balloon))
		balloon->retry_at = balloon->now + balloon->config.retry_ms;
	return false;
}

/* Runs, or what is left of one of which a part has gone, are held as before. */
static void keep_held(struct balloon *balloon, cf_pfn first, cf_pfn last)
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
		part->left = balloon_free(balloon, FRAME_DEFLATING,
					  part->first, part->last);
		if (part->left) {
			balloon->out_part[left++] = *part;
			continue;
		}
		keep_held(balloon, part->last, part->run_last);
	}
	balloon->out_parts = left;
	if (!left)
		return balloon_take_done(balloon, &balloon->out);
	balloon->out_retry_at = balloon->now + balloon->config.retry_ms;
	return false;
}

/* A first part of a run behind the others; @last: where the run ends. */
static void add_part(struct balloon *balloon, cf_pfn first, cf_pfn last,
		     cf_pfn run_last)
{
	struct part *part = &balloon->out_part[balloon->out_parts];

	if (balloon->out_parts && part[-1].last == first &&
	    part[-1].run_last == first) {
		part[-1].last = last;
		part[-1].run_last = run_last;
		part[-1].left += last - first;
		return;
	}
	*part = (struct part){ first, last, run_last, last - first };
	balloon->out_parts++;
}

/* Collect up to @frames that are held. */
static unsigned collect(struct balloon *balloon, uint64_t frames)
{
	unsigned spans = WALK_SPANS, count = 0;
	struct cf_span span;
	cf_pfn last;

	if (!balloon_collect_begin(balloon))
		return 0;
	while (count < frames && balloon->out_parts < BATCH_PARTS &&
	       balloon_find(balloon, FRAME_HELD, &balloon->cursor, &spans,
			    &span)) {
		last = span.last;
		if (last - span.first > frames - count)
			last = span.first + (frames - count);
		balloon_set_state(balloon, span.first, FRAME_DEFLATING);
		balloon_put_frames(balloon, &balloon->out, count, span.first,
				   last);
		add_part(balloon, span.first, last, span.last);
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
		keep_held(balloon, balloon->out_part[i].first,
			  balloon->out_part[i].last);
	balloon->out_parts = 0;
	balloon_count(balloon, count);
	return false;
}
