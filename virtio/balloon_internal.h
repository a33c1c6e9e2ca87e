/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_BALLOON_INTERNAL_H
#define VIRTIO_BALLOON_INTERNAL_H

#include <coldframe/frame.h>
#include <coldframe/map.h>
#include <coldframe/offline.h>
#include <coldframe/port.h>
#include <coldframe/stat.h>
#include <coldframe/walk.h>

#include "virtio/balloon.h"

#define BATCH_FRAMES	512	/* numbers in a buffer */
#define BATCH_PARTS	256	/* stretches they lie in, deflating */
#define REPORT_RUNS	32	/* chunks in a report */
#define HINT_RUNS	32	/* hints in flight */
#define WALK_SPANS	4096	/* looked at in one call of work */
#define RING_SMALL	8
#define RING_LARGE	64	/* hints and reports */
#define NEVER		(~(uint64_t)0)	/* ms */
#define NUMBERS_LAST	((cf_pfn)1 << 32)

/* Work was told of low memory: beside CF_VIRTIO_ISR_*. */
#define EVENT_LOW	0x80

/* What a frame of the driver's is: the payload of its run. */
enum frame_state {
	FRAME_INFLATING	= 0,	/* as they come: told, or about to be */
	FRAME_HELD	= 1,	/* the host has it */
	FRAME_DEFLATING	= 2,	/* asked to have it back */
	FRAME_REPORTING	= 3,	/* free, isolated while it is reported */
	FRAME_HINTED	= 4,	/* free, kept for a round of hints */
};

/* A buffer that goes to the device and comes back. */
struct sending {
	uint8_t *at;		/* (C) shared with the device */
	uint64_t phys;		/* (C) */
	bool in_flight;		/* (D) */
	bool done;		/* (D) came back, to be seen to */
};

/* Whole runs one after the other, and of the last at least a first part. */
struct part {
	cf_pfn first, last, run_last;
	uint64_t left;			/* frames that are DEFLATING */
};

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_HINT, QUEUE_REPORT,
       QUEUE_COUNT };

/*
 * Field key: (C) constant after open, (W) the one working context,
 * (D) @lock, (E) the engine's operation, that is under its HOTPLUG.
 * held == frames whose state is HELD, but for those that move.
 */
struct balloon {
	struct cf_balloon_config config;	/* (C) */
	struct cf_virtio device;	/* (D) */
	struct cf_lock lock;		/* CF_RANK_DRIVER */
	struct cf_owner_ops ops;	/* (C) */
	uint32_t owner;			/* (C) */
	bool open;			/* (C) registered */
	struct cf_ring ring[QUEUE_COUNT];	/* (D) */
	uint16_t index[QUEUE_COUNT];	/* (C) the device's number of each */
	struct cf_ring_slot small[3][RING_SMALL];	/* (D) */
	struct cf_ring_slot large[2][RING_LARGE];	/* (D) */
	uint64_t now;			/* (W) */

	/* What the device says. */
	uint32_t target;		/* (W) */
	uint32_t hint_command;		/* (W) */
	bool draining;			/* (W) */

	/* Inflating: runs of one order. */
	struct sending in;
	cf_pfn in_head[BATCH_FRAMES];	/* (W) */
	unsigned in_runs, in_order;	/* (W) */
	unsigned in_order_max;		/* (W) there was nothing larger */

	/* Deflating. */
	struct sending out;
	struct part out_part[BATCH_PARTS];	/* (W) */
	unsigned out_parts;		/* (W) */
	cf_pfn cursor;			/* (W) where to look for frames */

	/* Migrating. */
	struct sending move_out, move_in;
	cf_pfn move_source;		/* (E), and (W) while late */
	unsigned move_order;		/* as above */
	bool moving;			/* (D) a hook is at it */
	bool collecting;		/* (D) work is: nothing moves */

	/* Statistics. */
	struct sending stats;

	/* Hints. */
	struct sending hint_start, hint_stop;
	uint64_t hint_runs_in_flight;	/* (D) */
	uint32_t hint_round;		/* (W) that runs; 0: none */
	bool hinting;			/* (W) still taking runs */
	bool releasing;			/* (W) giving them back ... */
	bool hint_low;			/* (W) ... early: there is no other */
	cf_pfn hint_cursor;		/* (W) */
	uint64_t hints;			/* (W) frames told in the last round */
	uint64_t hint_kick_at;		/* (W) ms */

	/* Reports. */
	struct sending report;
	cf_pfn report_chunk[REPORT_RUNS];	/* (W) */
	unsigned report_chunks;		/* (W) */
	cf_pfn report_cursor;		/* (W) */
	uint64_t report_at;		/* (W) ms */
	unsigned report_rounds;		/* (W) */
	uint64_t report_ends;		/* (W) */
	bool reporting;			/* (W) a round goes on */

	/* Waiting. */
	uint64_t retry_at;		/* (W) to take more; 0: not */
	uint64_t out_retry_at;	/* (W) to free what came back; 0: not */
	uint64_t low_until;		/* (W) */
	bool low_told;			/* (W) and nothing was given yet */
	bool low;			/* (W) memory is: give some back */

	/* Counts. */
	uint64_t held;			/* (D) */
	uint64_t migrated;		/* (D) */
	uint64_t reported, hinted, hint_rounds, stats_sent, low_deflated;
					/* (W) */
	bool actual_is_old;		/* (D) the device has another number */
};

_Static_assert(sizeof(struct balloon) <= sizeof(struct cf_balloon), "opaque");

static inline struct balloon *balloon_of(struct cf_balloon *balloon)
{
	void *self = balloon;

	return self;
}

static inline bool balloon_has(const struct balloon *balloon, uint64_t feature)
{
	return balloon->device.features & feature;
}

/* As the device knows it. */
static inline cf_pfn balloon_device_frame(const struct balloon *balloon,
					  cf_pfn pfn)
{
	const struct cf_balloon_config *config = &balloon->config;

	return config->device_frame ?
	       config->device_frame(config->context, pfn) : pfn;
}

/* Numbers on the wire have 32 bits. */
static inline bool balloon_has_numbers(const struct balloon *balloon,
				       cf_pfn pfn, unsigned order)
{
	return balloon_device_frame(balloon, pfn) + ((cf_pfn)1 << order) <=
	       NUMBERS_LAST;
}

/* balloon_queue.c */
/* Hand a buffer to the device. False: the queue is full or dead. */
bool balloon_send(struct balloon *balloon, unsigned queue,
		  struct sending *sending, uint32_t bytes);
/* Take what came back, on all queues. Caller holds the lock. */
void balloon_reap(struct balloon *balloon);
/* Spin until it came back, and take that. False: it may come, later. */
bool balloon_wait(struct balloon *balloon, struct sending *sending);
/* A sending that came back, once. */
bool balloon_take_done(struct balloon *balloon, struct sending *sending);
/* What others change, as it is now. */
bool balloon_in_flight(struct balloon *balloon, const struct sending *sending);
uint64_t balloon_held(struct balloon *balloon);
/* Begin to choose frames. False: a migration goes on, or is late. */
bool balloon_collect_begin(struct balloon *balloon);
void balloon_collect_end(struct balloon *balloon);
/* Frames' numbers into a buffer. */
void balloon_put_frames(const struct balloon *balloon, struct sending *sending,
			unsigned at, cf_pfn first, cf_pfn last);
void balloon_count(struct balloon *balloon, int64_t held);

/* balloon_frames.c */
/* Set the state of a run of ours; waits for operations that look at it. */
void balloon_set_state(struct balloon *balloon, cf_pfn pfn,
		       enum frame_state state);
/*
 * Free what in [first, last) is ours and in @state; the range begins where a
 * run does. Returns the frames that stay: try again. What was freed may be in
 * the balloon again by then, in another state.
 */
uint64_t balloon_free(struct balloon *balloon, enum frame_state state,
		      cf_pfn first, cf_pfn last);
/*
 * The next run of ours in @state from *cursor on; bounded. False: none.
 * *ret_spans counts down.
 */
bool balloon_find(struct balloon *balloon, enum frame_state state,
		  cf_pfn *cursor, unsigned *spans, struct cf_span *ret_span);

/* balloon_move.c */
void balloon_hooks_init(struct balloon *balloon);
/* What came back too late for a migration. */
void balloon_settle_move(struct balloon *balloon);

/* balloon_size.c: each true if it did something. */
/* Nothing that was tried before counts. */
void balloon_fresh(struct balloon *balloon);
bool balloon_finish_in(struct balloon *balloon);
bool balloon_finish_out(struct balloon *balloon);
bool balloon_inflate(struct balloon *balloon, uint64_t frames);
bool balloon_deflate(struct balloon *balloon, uint64_t frames, bool low);

/* balloon_stats.c */
void balloon_stats(struct balloon *balloon);

/* balloon_hint.c, balloon_report.c: true if there is more to do now. */
bool balloon_hint(struct balloon *balloon);
/* Give back early what is kept for hints. False: nothing is. */
bool balloon_unhint(struct balloon *balloon);
/* Is a round on its way? Caller holds the lock. */
bool balloon_is_hinting(const struct balloon *balloon);
bool balloon_report(struct balloon *balloon);

#endif
