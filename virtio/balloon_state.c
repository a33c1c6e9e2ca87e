/* SPDX-License-Identifier: MIT */

/*
 * A balloon driver that goes on where another one ended: where its frames are
 * stands in the map.
 */

#include "virtio/balloon_internal.h"
#include "virtio/state.h"

static bool in_flight(const struct balloon *balloon)
{
	return balloon->in.in_flight || balloon->out.in_flight ||
	       balloon->in_runs || balloon->out_parts ||
	       balloon->move_in.in_flight || balloon->move_out.in_flight ||
	       balloon->moving || balloon->collecting;
}

static bool in_round(const struct balloon *balloon)
{
	return balloon->report.in_flight || balloon->report_chunks ||
	       balloon->reporting || balloon_is_hinting(balloon) ||
	       balloon->releasing || balloon->hinted;
}

bool cf_balloon_is_busy(struct cf_balloon *opaque)
{
	struct balloon *balloon = balloon_of(opaque);
	unsigned long state = cf_lock(&balloon->lock);
	bool busy = balloon->open && !balloon->device.broken &&
		    (in_flight(balloon) || in_round(balloon));

	cf_unlock(&balloon->lock, state);
	return busy;
}

static uint64_t until(const struct balloon *balloon, uint64_t at_ms)
{
	return at_ms > balloon->now ? at_ms - balloon->now : 0;
}

void cf_balloon_save(struct cf_balloon *opaque,
		     struct cf_balloon_saved *ret_saved)
{
	struct balloon *balloon = balloon_of(opaque);
	unsigned long state = cf_lock(&balloon->lock);

	*ret_saved = (struct cf_balloon_saved){
		.held = balloon->held,
		.features = balloon->device.features,
		.retry_in_ms = until(balloon, balloon->retry_at),
		.low_in_ms = until(balloon, balloon->low_until),
		.draining = balloon->draining,
		.low = balloon->low,
		.migrated = balloon->migrated,
		.reported = balloon->reported,
		.report_ends = balloon->report_ends,
		.hints = balloon->hints,
		.hint_rounds = balloon->hint_rounds,
		.stats_sent = balloon->stats_sent,
		.low_deflated = balloon->low_deflated,
		.broken = balloon->device.broken,
		.broken_value = balloon->device.broken_value,
	};
	cf_unlock(&balloon->lock, state);
}

bool cf_balloon_save_next(struct cf_balloon *balloon, cf_pfn *cursor,
			  struct cf_span *ret_span)
{
	unsigned spans = ~0u;

	return balloon_find(balloon_of(balloon), FRAME_HELD, cursor, &spans,
			    ret_span);
}

static uint64_t count_held(struct cf_balloon *balloon)
{
	uint64_t held = 0;
	struct cf_span span;
	cf_pfn cursor = 0;

	while (cf_balloon_save_next(balloon, &cursor, &span))
		held += span.last - span.first;
	return held;
}

int cf_balloon_adopt(struct cf_balloon *opaque,
		     const struct cf_balloon_saved *saved, uint64_t now_ms)
{
	struct balloon *balloon = balloon_of(opaque);
	unsigned long state;

	if (balloon->open && !saved->broken &&
	    count_held(opaque) != saved->held)
		return -CF_EINVAL;
	/* One that runs has agreed on its own. */
	if (!balloon->open)
		balloon->device.features = saved->features;
	balloon->now = now_ms;
	balloon->retry_at = saved->retry_in_ms ?
			    now_ms + saved->retry_in_ms : 0;
	balloon->low_until = saved->low_in_ms ? now_ms + saved->low_in_ms : 0;
	balloon->draining = saved->draining;
	balloon->low = saved->low;
	balloon->reported = saved->reported;
	balloon->report_ends = saved->report_ends;
	balloon->hints = saved->hints;
	balloon->hint_rounds = saved->hint_rounds;
	balloon->stats_sent = saved->stats_sent;
	balloon->low_deflated = saved->low_deflated;
	state = cf_lock(&balloon->lock);
	balloon->held = saved->held;
	balloon->migrated = saved->migrated;
	balloon->actual_is_old = true;
	balloon->device.broken = saved->broken;
	balloon->device.broken_value = saved->broken_value;
	cf_unlock(&balloon->lock, state);
	return 0;
}
