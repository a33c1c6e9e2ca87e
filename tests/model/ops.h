/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_OPS_H
#define TESTS_MODEL_OPS_H

#include "model.h"
#include "random.h"

/*
 * Operations as data: drawn at random, printed, parsed, applied.
 *
 * An operation names runs by the tag of the operation that made them and a
 * number among those, so that it keeps its meaning when others are taken out
 * of the list and the engine chooses other frames. One that no longer makes
 * sense is skipped.
 */

#define OP_ARGS		7
#define OPS_MAX		4096
#define OP_TYPES_MAX	64

struct op {
	uint16_t code;		/* index into the table */
	uint16_t tag;		/* of what it makes, > 0 */
	uint32_t arg[OP_ARGS];
};

/* What an operation came to, and the run it named, as that was before. */
struct told {
	int code;		/* what it was told last */
	bool skipped;		/* it made no sense */
	bool met;		/* a call of the port's failed in it */
	uint32_t made;		/* runs, or frames it found room for */
	cf_pfn pfn;		/* the frame it named, or CF_PFN_NONE */
	uint32_t offset;	/* of that frame in its run ... */
	uint16_t tag;		/* ... of this set, or 0: it is in no run ... */
	uint16_t stranger;	/* ... which this operation took by number */
	uint32_t place;		/* among all runs the set ever had */
	uint32_t refs, known, pins;
	bool kept;		/* by its owner */
};

/* A run that an operation gave up among others, as it was before. */
struct gone {
	uint32_t at;		/* number of the operation */
	uint32_t tag, place, refs, known, pins, stranger;
	bool kept;
};

#define GONES_MAX	8192

/* What the model says at the end of a list: expect.c. */
struct expected_block {
	enum cf_block_state state;
	enum cf_zone_kind kind;
	uint64_t never_onlined, skippable;
	uint64_t by_type[CF_TYPE_COUNT];
};

struct expected_run {
	cf_pfn pfn;
	uint32_t type, order, refs, pins;
};

#define EXPECTED_RUNS	16	/* the first of them */

struct expectation {
	bool taken;
	struct expected_block block[BLOCKS_MAX];
	uint32_t runs;
	struct expected_run run[EXPECTED_RUNS];
	uint32_t id[OWNERS];		/* 0: gone */
	uint64_t owner[CF_OWNERS_MAX];	/* frames by id */
};

/* What is known of one run of a list; parent and child share it. */
struct verdict {
	bool failed;
	uint64_t name;
	char text[512];
	uint32_t at;		/* operations begun */
	uint32_t count;
	uint64_t frames_compared;
	struct told told[OPS_MAX];
	struct expectation expect;
	uint32_t gones;		/* there were; the first of them: */
	struct gone gone[GONES_MAX];
	struct op op[OPS_MAX];
};

extern struct verdict *verdict;
/* Called when all is said about a failure; NULL: end the process. */
extern void (*after_failure)(void);
const char *code_name(int err);

/* How a number in an operation is written. */
enum arg_kind {
	ARG_NUMBER, ARG_HEX, ARG_TYPE, ARG_ZONE, ARG_OWNER, ARG_CALL
};

struct arg_type {
	const char *name;	/* NULL: none */
	enum arg_kind kind;
};

struct op_type {
	const char *name;
	struct arg_type arg[OP_ARGS];
	unsigned weight;	/* how often it is drawn */
	/* Fill op->arg. False: makes no sense in this state. */
	bool (*draw)(struct world *world, struct op *op);
	/* Call the engine, judge the result, follow in the model. */
	bool (*apply)(struct world *world, const struct op *op);
};

/* The tables, each ended by a NULL name. */
extern const struct op_type run_ops[];
extern const struct op_type range_ops[];
extern const struct op_type block_ops[];
extern const struct op_type offline_ops[];
extern const struct op_type owner_ops[];
extern const struct op_type misc_ops[];
extern const struct op_type side_ops[];
extern const struct op_type device_ops[];
extern const struct op_type fault_ops[];

/* ---- the whole table: ops.c ---- */

const struct op_type *op_type(uint32_t code);
void op_print(char *text, size_t bytes, const struct op *op);
bool op_parse(const char *text, struct op *op);
/* Never draw operations of this name. Returns whether there is such a one. */
bool op_forbid(const char *name);
/* Draw an operation that makes sense now. False: the source is spent. */
bool op_draw(struct world *world, struct op *op);

/* ---- drawing ---- */

/* 0..max, each one half as likely as the one before, roughly. */
unsigned random_order(unsigned max);
/* A frame below the map's end; sometimes one above. */
uint32_t random_pfn(struct world *world);
/* What stands in an operation for an owner: see owner_id(). */
uint32_t random_owner(struct world *world);
uint32_t random_live_owner(struct world *world);

/*
 * Owners in operations: 0 none, 1..OWNERS a slot, then the orphan, a number
 * nobody has and one beyond all numbers.
 */
#define ARG_OWNER_NONE		0
#define ARG_OWNER_MOVER		2
#define ARG_OWNER_BARE		6
#define ARG_OWNER_ORPHAN	(OWNERS + 1)
#define ARG_OWNER_BOGUS		(OWNERS + 2)
#define ARG_OWNER_BEYOND	(OWNERS + 3)
uint32_t owner_id(struct world *world, uint32_t arg);

/* A pfn in an operation: the highest number stands for CF_PFN_NONE. */
cf_pfn pfn_arg(uint32_t arg);

/* What the operation that runs came to; for the scenario. */
struct told *told(void);
/* It gives up this run among others. */
void tell_drop(const struct frame *head);

/* ---- naming runs ---- */

enum run_want {
	WANT_ANY, WANT_REFERENCED, WANT_DROPPABLE, WANT_FROZEN,
	WANT_FROZEN_COUNTED, WANT_PINNED, WANT_COUNTED
};

bool run_is(const struct frame *head, enum run_want want);
/* Draw such a run into arg[0] (tag) and arg[1] (number). */
bool draw_run(struct world *world, struct op *op, enum run_want want);
/* The run an operation names, if it is still such a one, or NULL. */
struct frame *named_run(struct world *world, const struct op *op,
			enum run_want want);
/* A frame that arg[0..2] names: tag, number, offset; tag 0: offset alone. */
bool draw_where(struct world *world, struct op *op, enum run_want want);
bool named_where(struct world *world, const struct op *op, cf_pfn *ret_pfn);
/* The same for offline frames: arg[0] tag, arg[1] number of the frame. */
bool draw_offline(struct world *world, struct op *op);
bool named_offline(struct world *world, const struct op *op, cf_pfn *ret_pfn);

/* ---- signals to the port: signal.c ---- */

/* The state of the zones with marks before an allocation. */
struct signal_watch {
	uint64_t free[NODES_MAX * 2];
	uint64_t signals;
	bool any;
};

void signal_begin(struct world *world, struct signal_watch *watch);
void signal_end(struct world *world, const struct signal_watch *watch,
		cf_pfn frames);
void require_empty_signal(struct world *world, cf_pfn pfn, cf_pfn frames,
			  uint64_t before);

/* ---- shared by the kinds ---- */

/* Free a run whatever references and pins there are. */
void run_drop(struct world *world, struct frame *head);
/* Drop references of all whole runs in a range, telling owners. */
void follow_drops(struct world *world, cf_pfn first, cf_pfn last);
void require_zeroed(cf_pfn pfn, unsigned order);
/* Which codes are right for a request that is wrong; 0: it is good. */
uint32_t request_codes(struct world *world, const struct cf_request *request);
bool request_is_sure(struct world *world, const struct cf_request *request);
/* What a range call may say before it looks at frames; 0: it goes on. */
uint32_t range_codes(struct world *world, cf_pfn first, cf_pfn last);
/* Blocks: range drawn as block number, count and a skew in frames. */
cf_pfn blocks_first(struct world *world, const struct op *op);
cf_pfn blocks_last(struct world *world, const struct op *op);
bool blocks_wrong(struct world *world, cf_pfn first, cf_pfn last);
/* How many blocks of the range are in one of the states of a set. */
#define STATE(state)	(1u << CF_BLOCK_##state)
uint32_t count_states(struct world *world, cf_pfn first, cf_pfn last,
		      uint32_t states);
#define BLOCK_ARGS	{ "block", ARG_NUMBER }, { "count", ARG_NUMBER },  \
			{ "skew", ARG_NUMBER }
bool draw_blocks(struct world *world, struct op *op, uint32_t states);
/* Now and then nobody wants a report: @report or NULL. */
struct cf_report *report_arg(const struct op *op, struct cf_report *report);
/* A refusal by somebody must be told as one. */
void require_refusal(struct world *world, enum cf_event event,
		     const struct cf_report *report);

/* ---- machines: setup.c ---- */

void setup_draw(struct setup *setup);
void setup_print(char *text, size_t bytes, const struct setup *setup);
/* Returns whether the text is a machine there can be. */
bool setup_parse(const char *text, struct setup *setup);

/* ---- what was done: stats.c ---- */

void stats_add(void);
void stats_print(void);

/* ---- what is true at the end: expect.c ---- */

void expect_take(struct world *world);
/* Lines of a scenario. */
void expect_say(uint32_t blocks);
/* Frames of an owner that is there, or UINT64_MAX. */
uint64_t expect_frames(uint32_t slot);

/* ---- lists of operations: list.c ---- */

struct list {
	struct setup setup;
	uint32_t count;
	struct op op[OPS_MAX];
};

/*
 * Run a list here, from nothing to nothing. With @draw, first draw up to that
 * many operations into it. A failure does not return.
 */
void list_run_here(struct list *list, uint32_t draw);
/* The same in a child. Returns whether all held; *verdict says more. */
bool list_run(struct list *list, uint32_t draw);
/* Find a short list that fails as this one did. */
void list_shrink(struct list *list);
void list_print(const struct list *list);
/* The same as a scenario, after a run. */
void list_say(const struct list *list);
bool list_parse(const char *path, struct list *list);

#endif
