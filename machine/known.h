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
struct piece {
	struct piece *next;
	cf_pfn first, last;
	enum cf_meta meta;
	uint32_t node;
	void *memory;		/* CF_META_CALLER: metadata of ours */
};

/* ---- pieces and bad frames (piece.c) ---- */

/* As cf_block_add(); memory for metadata is the machine's. */
int piece_add(struct machine *machine, cf_pfn first, cf_pfn last,
	      struct cf_block_config config) CF_MUST_CHECK;
void pieces_forget(struct machine *machine, cf_pfn first, cf_pfn last);

int bad_note(struct machine *machine, cf_pfn pfn) CF_MUST_CHECK;

/* The first frame of [first, last) that is known to be bad, or @last. */
cf_pfn bad_next(struct machine *machine, cf_pfn first, cf_pfn last);

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

STEP_FN(step_save);

#endif
