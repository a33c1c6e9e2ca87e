/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_BLOCK_H
#define COLDFRAME_BLOCK_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a block is. */
enum cf_block_state {
	CF_BLOCK_ABSENT		= 0, /* not added: no frame exists */
	CF_BLOCK_OFFLINE	= 1, /* added: no frame has a state */
	CF_BLOCK_GOING_ONLINE	= 2, /* all frames OFFLINE, being exposed */
	CF_BLOCK_ONLINE		= 3, /* in use */
	CF_BLOCK_GOING_OFFLINE	= 4, /* isolated by an operation, being
				      * emptied */
	CF_BLOCK_DEVICE		= 5, /* device memory: see pagemap.h */
	CF_BLOCK_DEVICE_CLOSED	= 6, /* it is being removed */
	CF_BLOCK_STATE_COUNT
};

const char *cf_block_state_name(enum cf_block_state state);

struct cf_block_info {
	cf_pfn first, last;
	enum cf_block_state state;
	enum cf_zone_kind zone;		/* of a block that is in use */
	uint32_t node;
	uint32_t range_owner;
	bool orphan;			/* its range owner is gone */
	bool self_hosted;
	uint64_t free, offline, never_onlined, skippable, retired, reserved;
	uint32_t chunks, chunks_free, chunks_split, chunks_isolated;
};

/**
 * cf_block_info() - about the block of a frame.
 * Return: 0, -CF_EGONE: absent.
 */
int cf_block_info(struct cf_map *map, cf_pfn pfn,
		  struct cf_block_info *ret_info) CF_MUST_CHECK;

/**
 * cf_block_adopt() - give blocks a range owner.
 * @owner: who, or CF_OWNER_NONE
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections: not inside one.
 *          The old owner's calls may be refused meanwhile.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   empty, unaligned, no such owner
 *          -CF_EGONE    a block is absent
 *          -CF_EREFUSED a block has SKIPPABLE frames and another owner that
 *                       is there: only that one can restore them
 */
int cf_block_adopt(struct cf_map *map, cf_pfn first, cf_pfn last,
		   uint32_t owner) CF_MUST_CHECK;

/**
 * cf_block_online() - bring offline blocks into use.
 * @kind:   NORMAL or MOVABLE
 * @report: NULL, or who refused
 *
 * Asks the subscribers, makes every frame OFFLINE and NEVER_ONLINED, runs the
 * range owner's online hook (without one: exposes everything), lets the
 * allocator in. Pair with cf_block_offline().
 *
 * Context: takes CF_RANK_HOTPLUG, calls hooks and the port.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   empty, unaligned, no such kind
 *          -CF_EGONE    a block is absent
 *          -CF_EBUSY    a block is not offline
 *          -CF_EREFUSED a subscriber or the online hook said no, or a
 *                       block's range owner is gone
 *          -CF_EPORT    the port could not expose a frame
 */
int cf_block_online(struct cf_map *map, cf_pfn first, cf_pfn last,
		    enum cf_zone_kind kind, struct cf_report *report)
	CF_MUST_CHECK;

/*
 * Taking blocks offline is an operation, not a call that hangs: query (what
 * would stand in the way, changes nothing), start, step as often as wanted,
 * cancel or done.
 */
enum cf_offline_state {
	CF_OFFLINE_IDLE		= 0,
	CF_OFFLINE_GOING	= 1, /* started: step or cancel */
	CF_OFFLINE_DONE		= 2, /* the blocks are offline */
	CF_OFFLINE_CANCELLED	= 3, /* the blocks are as before */
};

struct cf_offline_status {
	enum cf_offline_state state;
	uint32_t id;		/* names the operation in reports */
	uint32_t steps;
	uint64_t total, free, busy;	/* frames */
	uint64_t skippable;	/* stepped over: also retired, and SELF */
	uint64_t migrated;	/* frames moved or given up by their owner */
	struct cf_report report;/* what the last step found in the way */
};

/* An operation.  The caller's memory; untouched until it has ended. */
struct cf_offline {
	uint64_t opaque[80];
};

/**
 * cf_block_offline_query() - what would stand in the way.
 *
 * Frames in caches are reported as in transit; they do not stand in the way.
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return: 0: nothing that can be seen; otherwise what start or step would
 *         return, with the report saying why. Changes nothing.
 *         -CF_EINVAL, -CF_EGONE, -CF_EBUSY as for start
 */
int cf_block_offline_query(struct cf_map *map, cf_pfn first, cf_pfn last,
			   struct cf_report *ret_report) CF_MUST_CHECK;

/**
 * cf_block_offline_start() - begin to take online blocks offline.
 * @operation: zeroed, or one that has ended
 *
 * Tells subscribers, isolates every chunk, drains the caches. From here on no
 * frame of the range is handed out again.
 *
 * Context: takes CF_RANK_HOTPLUG, calls hooks.
 * Return:  0, or with everything as it was:
 *          -CF_EINVAL   empty, unaligned; @operation is going
 *          -CF_EGONE    a block is absent or not online
 *          -CF_EBUSY    another operation holds a chunk; the report names it
 *          -CF_EREFUSED a subscriber refused
 */
int cf_block_offline_start(struct cf_map *map, struct cf_offline *operation,
			   cf_pfn first, cf_pfn last, struct cf_report *report)
	CF_MUST_CHECK;

/**
 * cf_block_offline_step() - one pass: move what can be moved, commit if empty.
 *
 * Context: takes CF_RANK_HOTPLUG, calls owners' hooks and subscribers.
 * Return:  0: done, the blocks are offline; or the operation goes on:
 *          -CF_EAGAIN   something is in motion or was moved: step again
 *          -CF_EBUSY    what is left cannot be moved; the report says what
 *          -CF_EINVAL   @operation is not going
 */
int cf_block_offline_step(struct cf_offline *operation) CF_MUST_CHECK;

/**
 * cf_block_offline_cancel() - give up: the blocks are in use as before.
 * Context: takes CF_RANK_HOTPLUG, calls subscribers.
 * Return: 0, or -CF_EINVAL: @operation is not going.
 */
int cf_block_offline_cancel(struct cf_offline *operation) CF_MUST_CHECK;

/** cf_block_offline_status() - how far it is. Any context. */
void cf_block_offline_status(const struct cf_offline *operation,
			     struct cf_offline_status *ret_status);

/**
 * cf_block_offline() - start, at most @passes steps, cancel if not done.
 * Return: 0, or what start or the last step returned, everything as before
 *         but for runs that moved.
 */
int cf_block_offline(struct cf_map *map, cf_pfn first, cf_pfn last,
		     unsigned passes, struct cf_report *report) CF_MUST_CHECK;

/* What subscribers are told of. */
enum cf_event {
	CF_EVENT_ONLINE,
	CF_EVENT_OFFLINE,
};

/*
 * A subscriber.  The caller's memory, constant while added.  Highest priority
 * first; cancel runs in reverse and reaches exactly those that saw going and
 * agreed.
 * Hooks run with CF_RANK_HOTPLUG held and nothing else; they may call what
 * does not take it: allocate and free, not add, remove, step or verify.
 */
struct cf_subscriber {
	const char *name;
	int priority;
	void *context;
	/* Nonzero vetoes; @why may be set to a sentence before. */
	int (*going)(void *context, enum cf_event event, cf_pfn first,
		     cf_pfn last);
	void (*cancel)(void *context, enum cf_event event, cf_pfn first,
		       cf_pfn last);
	void (*done)(void *context, enum cf_event event, cf_pfn first,
		     cf_pfn last);
	const char *why;		/* for the report of a veto, or NULL */
	struct cf_subscriber *next;	/* the map's */
};

/**
 * cf_subscriber_add() - be told of blocks that come and go.
 *
 * Pair with cf_subscriber_remove().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or -CF_EINVAL: no name; -CF_EBUSY: added already, or an
 *          offline operation is going.
 */
int cf_subscriber_add(struct cf_map *map, struct cf_subscriber *subscriber)
	CF_MUST_CHECK;

/**
 * cf_subscriber_remove() - be told no more.
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or -CF_EINVAL: not added; -CF_EBUSY: an offline operation is
 *          going.
 */
int cf_subscriber_remove(struct cf_map *map, struct cf_subscriber *subscriber)
	CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
