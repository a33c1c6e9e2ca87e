/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_FACTS_H
#define MACHINE_SAVE_FACTS_H

/*
 * The records of a saved machine.  Each fact_*() describes one both ways: see
 * save_code.h.  Their order and widths are the format.
 */

#include "known.h"
#include "save_code.h"

#define FACT_NOBODY	(~0u)	/* in place of a name's number */
#define FACT_FOLIOS	(~0u - 1)	/* the owner of "movable" */
#define FACT_LOAD	(~0u - 2)	/* the owner of a load's runs */

struct fact_machine {
	uint64_t seed;
	uint64_t last;			/* frames there may ever be */
	uint32_t block_order, cpus, nodes, poison_max;
	bool fenced, no_caches, debug_pagealloc, huge;
	uint64_t added_first, added_last;
	uint64_t low_signals, empty_signals, inflated, deflated, unreturned;
	struct load_totals load_past;
	uint32_t last_mark;		/* a name's number */
	uint32_t workers;		/* of a load that runs; 0: none does */
};

/* The counters of a machine, to or from the fact. */
void fact_machine_take(struct fact_machine *fact, struct machine *machine);
void fact_machine_give(const struct fact_machine *fact,
		       struct machine *machine);

struct fact_name {
	uint32_t noun;			/* as its word */
	char text[SCENARIO_NAME_BYTES + 1];
};

/* An owner; @number its name's, or FACT_FOLIOS. */
struct fact_owner {
	uint32_t number, id;
	bool registered;
};

/* Frames [first, last) of somebody or something. */
struct fact_range {
	uint32_t number;
	uint64_t first, last;
};

struct fact_bad {
	uint64_t pfn;
	bool used;			/* in a run that is there */
};

struct fact_block {
	uint64_t first;
	uint32_t state, zone, range_owner;
	bool orphan;
	bool odd;		/* in no file: made by a stand-in */
};

struct fact_run {
	uint64_t first;
	uint8_t type, order;
	uint16_t flags, owner, pins;
	uint32_t refs, payload;
};
#define FACT_RUN_BYTES	24

struct fact_set {
	uint32_t number;
	uint32_t owner;			/* a name's number, FACT_FOLIOS ... */
	uint32_t type;
	bool frozen;
	uint64_t first, last;
};

struct fact_member {
	uint32_t set;			/* or a worker ... */
	uint64_t slot;			/* ... and where it holds it */
	bool bound;			/* its owner finds it by its frame */
	struct run run;
};

/* A frame's number that somebody has. */
struct fact_frame {
	uint32_t number;
	uint64_t pfn;
	uint32_t refs, pins;
};

struct fact_zone {
	uint32_t node, kind;
	struct cf_watermarks marks;
	bool low;			/* fewer are free than its low mark */
};

/*
 * A device or a reference owner, or a part of what one knows.  What the bytes
 * are, whoever saved them says; others pass over them.
 */
struct fact_object {
	uint32_t number;		/* of its name */
	uint32_t sort;			/* of part */
	uint16_t count;
	unsigned char bytes[1536];
};

struct fact_end {
	uint64_t runs;			/* records of that kind */
	uint64_t contents;		/* frames with contents in the file */
	uint64_t zeroes;		/* frames in use that are all zero */
	uint64_t left_out;		/* frames in use that were not read */
	uint32_t sum;			/* over the runs, in their order */
};

/* Texts of a report that are kept nowhere else. */
struct fact_report_text {
	char who[SCENARIO_NAME_BYTES + 1];
	char detail[128];
};

void fact_machine(struct code *code, struct fact_machine *fact);
void fact_name(struct code *code, struct fact_name *fact);
void fact_owner(struct code *code, struct fact_owner *fact,
		struct owner *owner);
void fact_range(struct code *code, struct fact_range *fact);
void fact_migrating(struct code *code, bool *migrating);
void fact_bad(struct code *code, struct fact_bad *fact);
void fact_block_group(struct code *code, struct block_group *group);
void fact_block(struct code *code, struct fact_block *fact);
void fact_run(struct code *code, struct fact_run *fact);
void fact_set(struct code *code, struct fact_set *fact);
void fact_member(struct code *code, struct fact_member *fact);
void fact_frame(struct code *code, struct fact_frame *fact);
void fact_watcher(struct code *code, uint32_t *number,
		  struct watcher *watcher);
void fact_walker(struct code *code, uint32_t *number, struct walker *walker);
void fact_mark(struct code *code, uint32_t *number, struct mark *mark);
void fact_zone(struct code *code, struct fact_zone *fact);
void fact_load(struct code *code, struct fact_load *fact);
void fact_worker(struct code *code, struct fact_worker *fact);
void fact_slot(struct code *code, struct fact_member *fact);
void fact_object(struct code *code, struct fact_object *fact);
void fact_end(struct code *code, struct fact_end *fact);

/* Between the texts and the report's own pointers stands the caller. */
void fact_report(struct code *code, struct cf_report *report,
		 struct fact_report_text *text);
void fact_report_take(const struct cf_report *report,
		      struct fact_report_text *text);
void fact_operation(struct code *code, uint32_t *number,
		    struct operation *operation,
		    struct cf_offline_status *status,
		    struct fact_report_text *text);
void fact_last(struct code *code, struct outcome *outcome,
	       struct fact_report_text *text);

/* The checksum of END, over one more run. */
uint32_t fact_run_sum(uint32_t sum, const struct fact_run *fact);

#endif
