/* SPDX-License-Identifier: MIT */

/*
 * Migration out of and into the balloon, under an operation of the engine.
 *
 * The source is given back first and the target told second, so that whatever
 * the device leaves unanswered, no frame is at one time the host's and the
 * guest's: an unanswered source stays the driver's, and so does an
 * unanswered target, whose source is the guest's by then.
 */

#include "virtio/balloon_internal.h"

/* What is on its way, or the host's without a way to get it back, stays. */
static int hook_isolate(void *context, cf_pfn pfn, unsigned order)
{
	struct balloon *balloon = context;
	struct cf_snapshot snapshot;
	unsigned long state;
	bool can;

	state = cf_lock(&balloon->lock);
	can = !balloon->device.broken && !balloon->collecting &&
	      !balloon->move_out.in_flight && !balloon->move_out.done &&
	      !balloon->move_in.in_flight;
	balloon->moving = can;
	cf_unlock(&balloon->lock, state);
	if (can && order <= CF_CHUNK_ORDER &&
	    cf_snapshot(balloon->config.map, pfn, &snapshot) == 0 &&
	    snapshot.payload == FRAME_HELD)
		return 0;
	state = cf_lock(&balloon->lock);
	balloon->moving = false;
	cf_unlock(&balloon->lock, state);
	return -CF_EBUSY;
}

static void end_move(struct balloon *balloon, bool migrated)
{
	unsigned long state = cf_lock(&balloon->lock);

	balloon->moving = false;
	balloon->migrated += migrated ? (cf_pfn)1 << balloon->move_order : 0;
	cf_unlock(&balloon->lock, state);
}

static bool give_back(struct balloon *balloon, cf_pfn source, unsigned order)
{
	cf_pfn frames = (cf_pfn)1 << order;

	balloon->move_source = source;
	balloon->move_order = order;
	balloon_put_frames(balloon, &balloon->move_out, 0, source,
			   source + frames);
	return balloon_send(balloon, QUEUE_DEFLATE, &balloon->move_out,
			    (uint32_t)frames * 4) &&
	       balloon_wait(balloon, &balloon->move_out);
}

static int hook_migrate(void *context, cf_pfn source, cf_pfn target,
			unsigned order)
{
	struct balloon *balloon = context;
	cf_pfn frames = (cf_pfn)1 << order;

	if (!balloon_has_numbers(balloon, target, order))
		return -CF_EINVAL;
	/* putback follows, or a late answer frees it: see settle_move. */
	if (!give_back(balloon, source, order))
		return -CF_EAGAIN;
	balloon_put_frames(balloon, &balloon->move_in, 0, target,
			   target + frames);
	if (!balloon_send(balloon, QUEUE_INFLATE, &balloon->move_in,
			  (uint32_t)frames * 4)) {
		/* The target is nobody's but ours. */
		balloon_count(balloon, -(int64_t)frames);
		end_move(balloon, true);
		return -CF_EGONE;
	}
	/*
	 * Answered or not, the target is the driver's from here on; until it
	 * is, nothing else is moved or deflated.
	 */
	(void)balloon_wait(balloon, &balloon->move_in);
	end_move(balloon, true);
	return 0;
}

static void hook_putback(void *context, cf_pfn pfn, unsigned order)
{
	struct balloon *balloon = context;

	(void)pfn;
	(void)order;
	end_move(balloon, false);
}

static const char *hook_describe(void *context, cf_pfn pfn)
{
	(void)context;
	(void)pfn;
	return "in the balloon, or on its way";
}

void balloon_hooks_init(struct balloon *balloon)
{
	balloon->lock = (struct cf_lock)CF_LOCK_INIT(CF_RANK_DRIVER);
	balloon->ops = (struct cf_owner_ops){
		.isolate = hook_isolate,
		.migrate = hook_migrate,
		.putback = hook_putback,
		.describe = hook_describe,
	};
}

/* Has an answer come that a migration did not wait for? */
static bool came_late(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);
	bool came = balloon->move_out.done && !balloon->moving;

	if (balloon->move_in.done && !balloon->moving)
		balloon->move_in.done = false;
	cf_unlock(&balloon->lock, state);
	return came;
}

void balloon_settle_move(struct balloon *balloon)
{
	unsigned long state;
	cf_pfn source, last;

	if (balloon->now < balloon->out_retry_at || !came_late(balloon))
		return;
	/* Until it is settled no migration writes these. */
	source = balloon->move_source;
	last = source + ((cf_pfn)1 << balloon->move_order);
	/* The host gave back what then was not moved: it is free. */
	if (balloon_free(balloon, FRAME_HELD, source, last)) {
		balloon->out_retry_at = balloon->now +
					balloon->config.retry_ms;
		return;
	}
	balloon_count(balloon, -(int64_t)(last - source));
	state = cf_lock(&balloon->lock);
	balloon->move_out.done = false;
	cf_unlock(&balloon->lock, state);
}
