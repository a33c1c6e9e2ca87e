/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_BALLOON_H
#define VIRTIO_BALLOON_H

#include <coldframe/owner.h>

#include "virtio/virtio.h"

/*
 * The driver of a virtio-balloon device: it takes free frames out of use and
 * tells the host, until the host has as many as it asks for.
 *
 * No threads: the embedder calls cf_balloon_work() as often as its answer
 * says, and after every interrupt.
 */

/* One statistic. */
struct cf_balloon_stat {
	uint16_t tag;		/* enum cf_balloon_tag */
	uint64_t value;
};

#define CF_BALLOON_STATS_MAX	16

/* Zero means the default where one is named. */
struct cf_balloon_config {
	struct cf_map *map;
	const struct cf_virtio_ops *ops;
	void *transport;
	struct cf_virtio_memory shared;	/* cf_balloon_shared_bytes() */
	const char *name;	/* of the owner; NULL: "virtio-balloon" */

	/*
	 * Statistics beyond free, total and available: fill in at most @max,
	 * return how many. NULL: none.
	 */
	size_t (*stats)(void *context, struct cf_balloon_stat *stats,
			size_t max);
	/* While an answer is waited for in a hook; NULL: cf_port_relax(). */
	void (*relax)(void *context, unsigned spins);
	/*
	 * A frame's number as the device knows it; NULL: as the map does. A
	 * run that is handed over in one piece, up to 2 MiB, must lie in one
	 * piece there. Under the driver's lock: may call nothing.
	 */
	cf_pfn (*device_frame)(void *context, cf_pfn pfn);
	void *context;

	bool small;		/* single frames only, no runs up to 2 MiB */
	bool no_reporting;	/* do not report free memory */
	bool no_hinting;
	/*
	 * Free frames hold @poison, and must. Of frames that come back from
	 * the host the port sees to that, when they are returned.
	 */
	bool poisoned;
	uint32_t poison;

	unsigned patience;	/* spins for an answer in a hook; 0: 1000000 */
	uint64_t retry_ms;	/* after running out of memory; 0: 200 */
	uint64_t low_ms;	/* no inflating after low memory; 0: 2000 */
	/* Between rounds of reporting; 0: 2000, ~0: cf_balloon_report(). */
	uint64_t report_ms;

	/* Reporting remembers what the host has: a bit a 2 MiB chunk. */
	void *reported;		/* cf_balloon_reported_bytes(), zeroed; NULL:
				 * no reporting */
};

enum cf_balloon_phase {
	CF_BALLOON_IDLE,
	CF_BALLOON_INFLATING,
	CF_BALLOON_DEFLATING,
	CF_BALLOON_BACKING_OFF,	/* no memory; tries again later */
	CF_BALLOON_BROKEN,
	CF_BALLOON_PHASE_COUNT
};

const char *cf_balloon_phase_name(enum cf_balloon_phase phase);

/* In frames. */
struct cf_balloon_status {
	enum cf_balloon_phase phase;
	uint32_t owner;			/* its id */
	enum cf_virtio_broken broken;
	uint64_t broken_value;
	uint64_t features;
	uint64_t target;	/* the device's wish */
	uint64_t held;		/* the device has acknowledged */
	uint64_t inflating, deflating;	/* on their way */
	uint64_t migrated;
	uint64_t reported;	/* in all; of these ... */
	uint64_t reporting;	/* ... isolated this moment */
	uint64_t report_rounds;	/* that ended */
	uint64_t hinted;	/* held for the round of hints that runs */
	uint64_t hints;		/* told in the last round, this one included */
	uint64_t hint_rounds;	/* that began */
	bool hinting;		/* in one: hints, or its end, on their way */
	uint64_t stats_sent;
	uint64_t low_deflated;	/* given up for want of memory */
	bool waiting;		/* a buffer is not answered yet */
};

/* The driver.  Opaque but for its size; see virtio/balloon_internal.h. */
struct cf_balloon {
	uint64_t opaque[2048];
};

/* Memory to be shared with the device. */
size_t cf_balloon_shared_bytes(void);

/* Bytes of config.reported. */
size_t cf_balloon_reported_bytes(const struct cf_map *map);

/**
 * cf_balloon_open() - negotiate, become an owner, start.
 * @balloon: zeroed
 * @config:  copied
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or
 *          -CF_EINVAL   the configuration can never be right
 *          -CF_ELIMIT   no owner id is left
 *          -CF_EREFUSED the device is broken: cf_balloon_status() says why
 */
int cf_balloon_open(struct cf_balloon *balloon,
		    const struct cf_balloon_config *config) CF_MUST_CHECK;

/**
 * cf_balloon_work() - do a bounded piece of what there is to do.
 * @now_ms: a clock that does not run backwards
 *
 * At most one buffer of 512 frames for each queue.
 *
 * Context: one caller at a time; migration may run beside it. Takes
 *          CF_RANK_HOTPLUG where it reports free memory.
 * Return:  when it wants to be called again.
 */
struct cf_next cf_balloon_work(struct cf_balloon *balloon, uint64_t now_ms);

/** cf_balloon_interrupt() - as cf_virtio_interrupt(). */
uint8_t cf_balloon_interrupt(struct cf_balloon *balloon, uint8_t isr);

/**
 * cf_balloon_low() - memory is low, as CF_SIGNAL_LOW says. Context: any.
 *
 * What is kept for a round of hints comes back, all of it; the host asked for
 * it to be kept, but the guest needs it. If there is none and the device has
 * DEFLATE_ON_OOM, 512 frames of the balloon come back, and in any case more
 * until no zone is below its high watermark.
 * Return: whether the driver now wants work.
 */
bool cf_balloon_low(struct cf_balloon *balloon);

/**
 * cf_balloon_report() - begin a round of free page reporting now.
 *
 * Work does it; without memory to spare the round ends before it begins.
 * Context: not while work runs. Return: false: nothing is reported here.
 */
bool cf_balloon_report(struct cf_balloon *balloon);

/** cf_balloon_status() - a copy. Context: not while work runs. */
void cf_balloon_status(struct cf_balloon *balloon,
		       struct cf_balloon_status *ret_status);

/**
 * cf_balloon_remove() - end the driver.
 *
 * Deflate first: frames still in the balloon, as all that is on its way,
 * stay OFFLINE, the orphan's; nobody can use them until they are adopted.
 *
 * Context: takes CF_RANK_HOTPLUG. Not while work runs.
 * @ret_orphans: NULL, or how many frames that were
 * Return:  0: all memory is the caller's again; or -CF_EPORT: ended, but the
 *          device does not reset: never use the shared memory again.
 */
int cf_balloon_remove(struct cf_balloon *balloon, uint64_t *ret_orphans)
	CF_MUST_CHECK;

/**
 * cf_balloon_drain() - do not inflate any more; deflate to nothing.
 * @on: false: follow the target again
 *
 * Work goes on until nothing is held. For unloading without orphans.
 */
void cf_balloon_drain(struct cf_balloon *balloon, bool on);

#endif
