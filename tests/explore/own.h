/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_OWN_H
#define EXPLORE_OWN_H

/*
 * What programs about owners stand on: an owner that keeps its runs on a list
 * of one, or frees them, and a run of its own with one reference.
 */

#include "ground.h"

#define OWN_THREADS 3

/* Each thread writes what is its own; the rest is under the lock. */
struct own {
	struct cf_lock lock;	/* rank LEAF */
	cf_pfn listed;		/* a run that is kept and free, or NONE */
	unsigned released;	/* runs of the hook */
	cf_pfn pfn;		/* the run */
	uint32_t owner;
	uint32_t heir;		/* another owner, or the next */
	/* Not under the lock: a hook that runs too late is a data race. */
	bool gone;		/* unregister has returned */
	int err[OWN_THREADS];	/* what a thread's call returned */
	uint64_t frames[OWN_THREADS];
	cf_pfn taken[OWN_THREADS];
	cf_pfn bad;		/* what own_retire() retires */
	enum cf_retire_state state[OWN_THREADS];
};

extern struct own *own;

/* Hooks: each counts in released; keeping lists the run. */
enum cf_verdict own_keep(void *context, cf_pfn pfn, unsigned order);
enum cf_verdict own_free(void *context, cf_pfn pfn, unsigned order);

/*
 * A map, an owner with these hooks, and a FOLIO of its own; contents 1.  NULL:
 * no owner, and the FOLIO is nobody's.
 */
void own_init(struct ground_config config, const struct cf_owner_ops *ops,
	      unsigned order);
/*
 * Block 0 becomes the owner's; the rest of its first chunk is OFFLINE and
 * SKIPPABLE, so that whoever goes through it has but a few runs to look at.
 */
void own_fill(void);

/* The run on the list, which is empty then; or NONE. */
cf_pfn own_take_listed(void);

/* What a frame heads; all zero: nothing. */
struct cf_snapshot own_look(cf_pfn pfn);
/* Is it a FOLIO of @owner's, with @refs and no flags? */
bool own_is(cf_pfn pfn, uint32_t owner, uint32_t refs);
/* What cf_owner_info() says; REQUIREs that it does. */
uint64_t own_frames(uint32_t owner);

/* For threads. */
void own_put(void);
void own_unregister(void);	/* err, frames of the thread; gone */
void own_allocate(void);	/* a FOLIO of the owner's: err, taken */

/*
 * The end, after thread 1 has unregistered: the id is free, nothing is counted
 * for it, and verify agrees.
 */
void own_end_unregistered(const struct cf_owner_ops *ops);

/* ---- bad frames ---- */

/* As own_init(): the last frame of the run is bad. */
void own_init_bad(struct ground_config config, const struct cf_owner_ops *ops,
		  unsigned order);
/* The bad frame is free, and the next to be given. */
void own_init_bad_free(void);
/* The run is OFFLINE, nobody's, and has two frames. */
void own_init_bad_offline(void);

void own_free_offline(void);
void own_retire(void);		/* err, state of the thread */

struct cf_block_info own_block(cf_pfn pfn);
bool own_is_retired(cf_pfn pfn);
/* A run with the mark, and the frame still to go? */
bool own_is_poisoned(cf_pfn pfn);

/*
 * The thread that retires is 1.  If a cache was in use that moment nothing has
 * changed: then once more.
 */
void own_settle(void);
/* The end: the bad frame is RETIRED, nothing else is, and verify agrees. */
void own_end_retired(void);

#endif
