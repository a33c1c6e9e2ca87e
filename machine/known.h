/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_KNOWN_H
#define MACHINE_KNOWN_H

/*
 * What the machine knows and the engine does not tell, and what it takes to
 * make such things again: for those who save and restore it.
 */

#include "internal.h"

/* How far it is, with what was done of it before it was restored. */
void operation_status(const struct operation *operation,
		      struct cf_offline_status *ret_status);

/* Blocks that were added together, and are removed together. */
struct block_group {
	struct block_group *next;
	cf_pfn first, last;
	enum cf_meta meta;
	uint32_t node;
	void *memory;		/* CF_META_CALLER: metadata of ours */
};

/* ---- groups, bad frames and texts (known.c) ---- */

/* As cf_block_add(); memory for metadata is the machine's. */
int block_group_add(struct machine *machine, cf_pfn first, cf_pfn last,
	      struct cf_block_config config) CF_MUST_CHECK;
void block_groups_forget(struct machine *machine, cf_pfn first, cf_pfn last);

int bad_note(struct machine *machine, cf_pfn pfn) CF_MUST_CHECK;

/* The first frame of [first, last) that is known to be bad, or @last. */
cf_pfn bad_next(struct machine *machine, cf_pfn first, cf_pfn last);

/* A copy that lives as long as the machine. NULL: no memory, or too many. */
const char *text_keep(struct machine *machine, const char *text);
void texts_forget(struct machine *machine);

/* ---- subscribers, scanners, walkers (watch.c, walker.c) ---- */

/* A subscriber that is told of nothing yet. NULL: no memory. */
struct watcher *watcher_new(struct machine *machine, uint32_t number);

/* A scanner keeps one more number. */
int watcher_keep(struct watcher *watcher, cf_pfn pfn) CF_MUST_CHECK;

/* One that does not walk yet. NULL: no memory. */
struct walker *walker_new(struct machine *machine);

/* 0, or -CF_ENOMEM: no thread. */
int walker_start(struct walker *walker) CF_MUST_CHECK;

/* Those that sleep walk on. */
int walkers_wake(struct machine *machine) CF_MUST_CHECK;

/* ---- a load that runs (load.c) ---- */

struct fact_load {
	uint32_t count, max_order, zone;
	uint64_t hold_frames, ops;
	bool timed;			/* it has a bound in time: ... */
	uint64_t left_ns;		/* ... so much of it is left */
	struct load_totals sum;
};

struct fact_worker {
	uint32_t number;
	uint64_t random, serial;
};

/* Of a load that stands still. False: there is none, or no such worker. */
bool load_facts(struct machine *machine, struct fact_load *ret_fact);
bool load_worker_facts(struct machine *machine, uint32_t number,
		       struct fact_worker *ret_fact);

/* NULL: no such load, or slot. */
struct owner *load_owner(struct machine *machine);
struct run *load_slot(struct machine *machine, uint32_t worker,
		      uint64_t slot);

/* As it was, with empty slots; it goes on with load_wake(). */
int load_restore(struct machine *machine, const struct fact_load *fact,
		 struct owner *owner) CF_MUST_CHECK;
int load_worker_restore(struct machine *machine,
			const struct fact_worker *fact) CF_MUST_CHECK;

/* A worker holds what is in the slot. */
void load_count_slot(struct machine *machine, uint32_t worker,
		     const struct run *run);
int load_wake(struct machine *machine) CF_MUST_CHECK;

STEP_FN(step_save);

#endif
