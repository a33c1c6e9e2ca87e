/* SPDX-License-Identifier: MIT */

/*
 * The virtio-balloon driver: its life, and what work does next.
 */

#include "virtio/balloon_internal.h"

#define PATIENCE	1000000
#define RETRY_MS	200
#define LOW_MS		2000
#define REPORT_MS	2000
#define SHARED_BYTES	(32 * 1024)
#define ALL_FEATURES	(CF_BALLOON_F_MUST_TELL_HOST | CF_BALLOON_F_STATS | \
			 CF_BALLOON_F_DEFLATE_ON_OOM)

const char *cf_balloon_phase_name(enum cf_balloon_phase phase)
{
	static const char *const name[CF_BALLOON_PHASE_COUNT] = {
		[CF_BALLOON_IDLE] = "idle",
		[CF_BALLOON_INFLATING] = "inflating",
		[CF_BALLOON_DEFLATING] = "deflating",
		[CF_BALLOON_BACKING_OFF] = "backing-off",
		[CF_BALLOON_BROKEN] = "broken",
	};

	return (unsigned)phase < CF_BALLOON_PHASE_COUNT ? name[phase] :
	       "unknown";
}

size_t cf_balloon_shared_bytes(void)
{
	return SHARED_BYTES;
}

static void fill_in(struct balloon *balloon)
{
	struct cf_balloon_config *config = &balloon->config;

	if (!config->name)
		config->name = "virtio-balloon";
	if (!config->patience)
		config->patience = PATIENCE;
	if (!config->retry_ms)
		config->retry_ms = RETRY_MS;
	if (!config->low_ms)
		config->low_ms = LOW_MS;
	if (!config->report_ms)
		config->report_ms = REPORT_MS;
}

/*
 * Free frames that must hold a value may only be shown to a host that knows
 * the value.
 */
static uint64_t wanted(const struct balloon *balloon)
{
	const struct cf_balloon_config *config = &balloon->config;
	uint64_t offered = config->ops->features(config->transport);
	bool hidden = config->poisoned && !(offered & CF_BALLOON_F_POISON);
	uint64_t features = ALL_FEATURES;

	if (config->poisoned)
		features |= CF_BALLOON_F_POISON;
	if (!hidden && !config->no_hinting)
		features |= CF_BALLOON_F_HINT;
	if (!hidden && !config->no_reporting && config->reported)
		features |= CF_BALLOON_F_REPORTING;
	return features;
}

/* Cut shared memory off, 64-aligned. */
static void cut(struct cf_virtio_memory *memory, size_t bytes,
		struct sending *sending)
{
	unsigned char *address = memory->address;

	sending->at = address;
	sending->phys = memory->phys;
	bytes = (bytes + 63) & ~(size_t)63;
	memory->address = address + bytes;
	memory->phys += bytes;
	memory->bytes -= bytes;
}

static void cut_buffers(struct balloon *balloon,
			struct cf_virtio_memory *memory)
{
	cut(memory, BATCH_FRAMES * 4, &balloon->in);
	cut(memory, BATCH_FRAMES * 4, &balloon->out);
	cut(memory, BATCH_FRAMES * 4, &balloon->move_in);
	cut(memory, BATCH_FRAMES * 4, &balloon->move_out);
	cut(memory, (CF_BALLOON_STATS_MAX + 3) * CF_BALLOON_STAT_BYTES,
	    &balloon->stats);
	cut(memory, 4, &balloon->hint_start);
	cut(memory, 4, &balloon->hint_stop);
}

/*
 * Queues are numbered without gaps, by what the device offers: a queue exists
 * for an offered feature whether the driver takes it or not.
 */
static int make_queues(struct balloon *balloon,
		       struct cf_virtio_memory *memory)
{
	static const uint64_t feature[QUEUE_COUNT] = {
		[QUEUE_STATS] = CF_BALLOON_F_STATS,
		[QUEUE_HINT] = CF_BALLOON_F_HINT,
		[QUEUE_REPORT] = CF_BALLOON_F_REPORTING,
	};
	uint64_t offered = balloon->device.offered;
	uint16_t index = 0;
	bool large;
	unsigned i;
	int err;

	for (i = 0; i < QUEUE_COUNT; i++) {
		if (feature[i] && !(offered & feature[i]))
			continue;
		balloon->index[i] = index++;
		if (feature[i] && !balloon_has(balloon, feature[i]))
			continue;
		large = i >= QUEUE_HINT;
		err = cf_virtio_queue(&balloon->device, balloon->index[i],
				      large ? RING_LARGE : RING_SMALL, memory,
				      large ? balloon->large[i - QUEUE_HINT] :
				      balloon->small[i], &balloon->ring[i]);
		if (err)
			return err;
		/* A migration has its buffer beside that of work. */
		if (balloon->ring[i].size < 2)
			return cf_virtio_break(&balloon->device,
					       CF_VIRTIO_BROKEN_QUEUE, i);
	}
	return 0;
}

static int write_config(struct balloon *balloon, uint32_t offset,
			uint32_t value)
{
	uint8_t bytes[4];

	cf_wire_put32(bytes, value);
	if (balloon->device.ops->config_write(balloon->device.transport,
					      offset, bytes, 4))
		return cf_virtio_break(&balloon->device,
				       CF_VIRTIO_BROKEN_CONFIG, offset);
	return 0;
}

/* Only the words of features that were agreed on are there. */
static int read_config(struct balloon *balloon)
{
	bool hints = balloon_has(balloon, CF_BALLOON_F_HINT);
	uint8_t raw[CF_BALLOON_CONFIG_BYTES];
	int err;

	err = cf_virtio_config(&balloon->device, 0, raw, hints ?
			       CF_BALLOON_HINT_COMMAND + 4 :
			       CF_BALLOON_ACTUAL + 4);
	if (err)
		return err;
	balloon->target = cf_wire_get32(raw + CF_BALLOON_NUM_PAGES);
	if (hints)
		balloon->hint_command =
			cf_wire_get32(raw + CF_BALLOON_HINT_COMMAND);
	return 0;
}

static int connect(struct balloon *balloon)
{
	struct cf_virtio_memory memory = balloon->config.shared;
	int err;

	err = cf_virtio_open(&balloon->device, balloon->config.ops,
			     balloon->config.transport, CF_VIRTIO_ID_BALLOON);
	if (!err)
		err = cf_virtio_negotiate(&balloon->device, wanted(balloon));
	if (err)
		return err;
	/* It may offer something else than when we asked. */
	if (balloon->config.poisoned &&
	    !balloon_has(balloon, CF_BALLOON_F_POISON) &&
	    balloon_has(balloon, CF_BALLOON_F_HINT | CF_BALLOON_F_REPORTING))
		return cf_virtio_break(&balloon->device,
				       CF_VIRTIO_BROKEN_FEATURES,
				       balloon->device.offered);
	cut_buffers(balloon, &memory);
	err = make_queues(balloon, &memory);
	if (!err && balloon_has(balloon, CF_BALLOON_F_POISON))
		err = write_config(balloon, CF_BALLOON_POISON_VALUE,
				   balloon->config.poison);
	if (err)
		return err;
	cf_virtio_ready(&balloon->device);
	balloon->actual_is_old = true;
	return read_config(balloon);
}

int cf_balloon_open(struct cf_balloon *opaque,
		    const struct cf_balloon_config *config)
{
	struct balloon *balloon = balloon_of(opaque);
	int err;

	if (!config->map || !config->ops || !config->shared.address ||
	    !config->shared.phys || config->shared.bytes < SHARED_BYTES)
		return -CF_EINVAL;
	*balloon = (struct balloon){ .config = *config };
	fill_in(balloon);
	if (balloon->config.report_ms == NEVER)
		balloon->report_at = NEVER;
	balloon_hooks_init(balloon);
	balloon_fresh(balloon);
	err = connect(balloon);
	if (err)
		return err;
	err = cf_owner_register(config->map, balloon->config.name,
				&balloon->ops, balloon, &balloon->owner);
	if (err)
		return err;
	balloon->open = true;
	if (balloon_has(balloon, CF_BALLOON_F_STATS))
		balloon_stats(balloon);
	return 0;
}

/* A new wish does not wait for what was tried before. */
static void look_at_config(struct balloon *balloon)
{
	uint32_t target = balloon->target;

	if (read_config(balloon) == 0 && balloon->target != target)
		balloon_fresh(balloon);
}

/* What came back, and what the device wants now. */
static int look(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);
	int err = cf_virtio_check(&balloon->device);

	if (!err) {
		balloon_reap(balloon);
		if (cf_virtio_config_changed(&balloon->device))
			look_at_config(balloon);
		err = balloon->device.broken ? -CF_EREFUSED : 0;
	}
	cf_unlock(&balloon->lock, state);
	return err;
}

/* Frames the driver means to have: what the host asks, less what is low. */
static uint64_t goal(const struct balloon *balloon)
{
	return balloon->draining ? 0 : balloon->target;
}

static bool told_low(struct balloon *balloon)
{
	struct cf_virtio *device = &balloon->device;
	unsigned long state = cf_lock(&device->lock);
	bool low = device->events & EVENT_LOW;

	device->events &= (uint8_t)~EVENT_LOW;
	cf_unlock(&device->lock, state);
	return low;
}

/* Is a zone below the mark at which it is not low any more? */
static bool is_low(struct balloon *balloon)
{
	uint32_t nodes = cf_map_config_of(balloon->config.map)->nodes, node;
	struct cf_zone_stat stat;
	unsigned kind;

	for (node = 0; node < nodes; node++)
		for (kind = CF_ZONE_NORMAL; kind <= CF_ZONE_MOVABLE; kind++)
			if (cf_zone_stat(balloon->config.map, node,
					 (enum cf_zone_kind)kind, &stat) ==
			    0 && stat.marks.low && stat.present &&
			    stat.free < stat.marks.high)
				return true;
	return false;
}

/*
 * What is kept for hints costs the host nothing and goes back first; what is
 * still low then is looked at.  True: that is not over.
 */
static bool gives_hints_back(struct balloon *balloon)
{
	if (balloon->low_told && !balloon->hint_low &&
	    balloon_unhint(balloon)) {
		balloon->low_told = false;
		balloon->low = true;
	}
	return balloon->hint_low;
}

/*
 * Give some back, below the target; at least once, and on until no zone is
 * low.  The signal comes but once.
 */
static bool give_way(struct balloon *balloon)
{
	bool deflates = balloon_has(balloon, CF_BALLOON_F_DEFLATE_ON_OOM);

	balloon->low_told |= told_low(balloon);
	balloon->low |= balloon->low_told;
	if (!balloon->low)
		return false;
	if (deflates)
		balloon->low_until = balloon->now + balloon->config.low_ms;
	if (gives_hints_back(balloon) || balloon->out_parts)
		return false;
	balloon->low = deflates && (balloon->low_told || is_low(balloon));
	balloon->low_told &= balloon->low;
	if (!balloon->low)
		return false;
	if (balloon_deflate(balloon, BATCH_FRAMES, true)) {
		balloon->low_told = false;
		return true;
	}
	/* A migration is late: when it is over. */
	balloon->low_told = balloon_held(balloon) != 0;
	balloon->low = balloon->low_told;
	return false;
}

/* One step towards the size. True: more can be done now. */
static bool resize(struct balloon *balloon)
{
	uint64_t held = balloon_held(balloon) +
			((uint64_t)balloon->in_runs << balloon->in_order);
	bool waits = balloon->now < balloon->retry_at || balloon->hint_low;

	if (give_way(balloon))
		return true;
	if (held > goal(balloon))
		return balloon_deflate(balloon, held - goal(balloon), false);
	if (held < goal(balloon) && !waits &&
	    balloon->now >= balloon->low_until)
		return balloon_inflate(balloon, goal(balloon) - held);
	return false;
}

static void tell_actual(struct balloon *balloon)
{
	unsigned long state = cf_lock(&balloon->lock);

	if (balloon->actual_is_old) {
		balloon->actual_is_old = false;
		(void)write_config(balloon, CF_BALLOON_ACTUAL,
				   (uint32_t)balloon->held);
	}
	cf_unlock(&balloon->lock, state);
}

/* Is there something to be seen to at once?  Caller holds the lock. */
static bool has_answers(struct balloon *balloon)
{
	bool any = balloon->in.done || balloon->stats.done ||
		   balloon->report.done;
	unsigned i;

	for (i = 0; i < QUEUE_COUNT; i++)
		any |= balloon->ring[i].size &&
		       cf_ring_load16(balloon->ring[i].used + CF_USED_INDEX) !=
		       balloon->ring[i].used_next;
	return any;
}

static void sooner(struct cf_next *next, uint64_t now, uint64_t at_ms)
{
	if (at_ms <= now || at_ms == NEVER ||
	    (next->when == CF_WHEN_AT && next->at_ms <= at_ms))
		return;
	next->when = CF_WHEN_AT;
	next->at_ms = at_ms;
}

/* Should it take more, and waits for no answer?  Caller holds the lock. */
static bool is_short(const struct balloon *balloon)
{
	return balloon->held < goal(balloon) && !balloon->in_runs;
}

static struct cf_next next(struct balloon *balloon, bool more)
{
	unsigned long state = cf_lock(&balloon->lock);
	struct cf_next next = { CF_WHEN_EVENT, 0 };
	uint64_t now = balloon->now;

	if (balloon->device.broken)
		next.when = CF_WHEN_NEVER;
	else if (more || has_answers(balloon))
		next.when = CF_WHEN_NOW;
	if (next.when == CF_WHEN_EVENT) {
		if (is_short(balloon)) {
			sooner(&next, now, balloon->retry_at);
			sooner(&next, now, balloon->low_until);
		}
		if (balloon->out.done || balloon->move_out.done)
			sooner(&next, now, balloon->out_retry_at);
		if (balloon->releasing)
			sooner(&next, now, balloon->hint_kick_at);
		if (balloon->ring[QUEUE_REPORT].size &&
		    !balloon->report.in_flight)
			sooner(&next, now, balloon->report_at);
	}
	cf_unlock(&balloon->lock, state);
	return next;
}

struct cf_next cf_balloon_work(struct cf_balloon *opaque, uint64_t now_ms)
{
	struct balloon *balloon = balloon_of(opaque);
	struct cf_next never = { CF_WHEN_NEVER, 0 };
	bool more;

	if (!balloon->open)
		return never;
	balloon->now = now_ms;
	if (look(balloon))
		return never;
	balloon_settle_move(balloon);
	more = balloon_finish_in(balloon);
	more |= balloon_finish_out(balloon);
	if (balloon_take_done(balloon, &balloon->stats))
		balloon_stats(balloon);
	more |= resize(balloon);
	more |= balloon_hint(balloon);
	more |= balloon_report(balloon);
	tell_actual(balloon);
	return next(balloon, more);
}

uint8_t cf_balloon_interrupt(struct cf_balloon *opaque, uint8_t isr)
{
	return cf_virtio_interrupt(&balloon_of(opaque)->device, isr);
}

bool cf_balloon_low(struct cf_balloon *opaque)
{
	struct balloon *balloon = balloon_of(opaque);
	struct cf_virtio *device = &balloon->device;
	unsigned long state;

	if (!balloon->open ||
	    !balloon_has(balloon, CF_BALLOON_F_DEFLATE_ON_OOM |
				  CF_BALLOON_F_HINT))
		return false;
	state = cf_lock(&device->lock);
	device->events |= EVENT_LOW;
	cf_unlock(&device->lock, state);
	return true;
}

void cf_balloon_drain(struct cf_balloon *opaque, bool on)
{
	balloon_of(opaque)->draining = on;
}

static enum cf_balloon_phase phase_of(const struct balloon *balloon)
{
	uint64_t held = balloon->held;

	if (balloon->device.broken)
		return CF_BALLOON_BROKEN;
	if (held > goal(balloon) || balloon->out_parts)
		return CF_BALLOON_DEFLATING;
	if (held == goal(balloon))
		return CF_BALLOON_IDLE;
	return is_short(balloon) && (balloon->now < balloon->retry_at ||
				     balloon->now < balloon->low_until) ?
	       CF_BALLOON_BACKING_OFF : CF_BALLOON_INFLATING;
}

static uint64_t out_frames(const struct balloon *balloon)
{
	uint64_t frames = 0;
	unsigned i;

	for (i = 0; i < balloon->out_parts; i++)
		frames += balloon->out_part[i].left;
	return frames;
}

void cf_balloon_status(struct cf_balloon *opaque,
		       struct cf_balloon_status *ret_status)
{
	struct balloon *balloon = balloon_of(opaque);
	unsigned long state = cf_lock(&balloon->lock);

	*ret_status = (struct cf_balloon_status){
		.phase = phase_of(balloon),
		.owner = balloon->owner,
		.broken = balloon->device.broken,
		.broken_value = balloon->device.broken_value,
		.features = balloon->device.features,
		.target = balloon->target,
		.held = balloon->held,
		.inflating = (uint64_t)balloon->in_runs << balloon->in_order,
		.deflating = out_frames(balloon),
		.migrated = balloon->migrated,
		.reported = balloon->reported,
		.reporting = balloon->report_chunks * CF_CHUNK_FRAMES,
		.report_rounds = balloon->report_ends,
		.hinted = balloon->hinted,
		.hints = balloon->hints,
		.hint_rounds = balloon->hint_rounds,
		.hinting = balloon_is_hinting(balloon),
		.stats_sent = balloon->stats_sent,
		.low_deflated = balloon->low_deflated,
		.waiting = balloon->in.in_flight || balloon->out.in_flight ||
			   balloon->move_in.in_flight ||
			   balloon->move_out.in_flight ||
			   balloon->report.in_flight,
	};
	cf_unlock(&balloon->lock, state);
}

/* After a reset the device is done with what only was free. */
static void free_kept(struct balloon *balloon, enum frame_state state)
{
	struct cf_span span;
	unsigned spans = ~0u;
	cf_pfn cursor = 0;

	/* What the port does not take back is the orphan's. */
	while (balloon_find(balloon, state, &cursor, &spans, &span))
		(void)balloon_free(balloon, state, span.first, span.last);
}

int cf_balloon_remove(struct cf_balloon *opaque, uint64_t *ret_orphans)
{
	struct balloon *balloon = balloon_of(opaque);
	int reset, err;

	if (ret_orphans)
		*ret_orphans = 0;
	if (!balloon->config.ops)
		return 0;
	reset = cf_virtio_reset(&balloon->device);
	if (!balloon->open)
		return reset;
	if (!reset) {
		free_kept(balloon, FRAME_REPORTING);
		free_kept(balloon, FRAME_HINTED);
	}
	balloon->open = false;
	err = cf_owner_unregister(balloon->config.map, balloon->owner,
				  ret_orphans);
	return err ? err : reset;
}
