/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

/*
 * The slow obvious model: one struct a frame, one a block, one an owner.
 *
 * What the engine may choose (which frame) is taken from the engine and
 * judged; all else is foretold from the headers alone.
 */

#include <coldframe/coldframe.h>

#include "../fault/port.h"

#define FRAMES_MAX	131072
#define BLOCKS_MAX	12
#define NODES_MAX	4
#define OWNERS		12	/* slots for owners of the test */
#define SUBSCRIBERS	3
#define OPERATIONS	4
#define SIDES		2
#define PLACES		65536	/* tags have 16 bits */
#define NO_HEAD		UINT32_MAX
#define NO_PAYLOAD	UINT8_MAX

/* Sets of codes a call may return: bit 0 is success. */
#define OK		1u
#define E(code)		(1u << (code))

/* The machine of a run. All numbers, so that each can be lowered. */
struct setup {
	uint32_t block_order, blocks, nodes, cpus, poison_max;
	uint32_t holes;		/* set of blocks that are never there */
	uint32_t no_caches, debug_pagealloc, fenced;
	uint32_t fill;		/* percent in use, above that less is taken */
	uint32_t every;		/* operations between two comparisons */
};

/*
 * A frame.  head is NO_HEAD for a free frame and one in a block that is not
 * in use.  Runs of KERNEL to SLAB have their fields in their head; OFFLINE,
 * RESERVED and RETIRED frames each stand for themselves, because those calls
 * may cut and join runs as they like.
 */
struct frame {
	uint32_t head;
	uint8_t type, order;
	uint8_t flags;		/* enum cf_flag */
	uint8_t payload_order;	/* of the run it was set for; NO_PAYLOAD */
	uint32_t owner, refs, pins;
	uint32_t known;		/* references the owner knows of; <= refs */
	uint32_t payload;
	uint32_t tag;		/* the operation that made the run */
	uint32_t place;		/* among all that ever had its tag */
	uint16_t stranger;	/* who took a reference by number last */
	bool kept;		/* its owner said KEEP */
	bool held;		/* its owner agreed to isolation */
	bool dying;		/* dropped while isolated: see POLICY_DROPS */
	bool told;		/* its owner saw the last reference go */
	bool bad;		/* in the table of bad frames */
	bool exposed;		/* the port was told in this call */
	bool returning;		/* migrated away: the port is to be told */
};

struct block {
	enum cf_block_state state;
	enum cf_zone_kind kind;
	uint32_t node, range_owner;
	bool orphan;
	uint8_t meta;		/* enum cf_meta */
	uint32_t group;		/* added together */
	bool asked;		/* the online hook ran for it */
	void *memory;		/* of the caller's; in a group's first block */
};

/* What an owner's hooks answer; set by an operation. */
enum policy {
	POLICY_KEEP		= 1 << 0, /* release: KEEP */
	POLICY_NO_ISOLATE	= 1 << 1, /* isolate: no */
	POLICY_NO_MIGRATE	= 1 << 2, /* migrate: fails */
	POLICY_GIVE_UP		= 1 << 3, /* migrate of OFFLINE: CF_EGONE */
	POLICY_NO_DISSOLVE	= 1 << 4, /* dissolve: no */
	POLICY_NO_ONLINE	= 1 << 5, /* online: fails at the end */
	POLICY_SKIPPABLE	= 1 << 6, /* online: the rest is skippable */
	POLICY_FINE		= 1 << 7, /* online: frames, not chunks */
	POLICY_NESTS		= 1 << 8, /* release: allocates and frees */
	POLICY_NO_SPLIT		= 1 << 9, /* split: no */
	POLICY_DROPS		= 1 << 10, /* isolate: drops its references */
	POLICY_PATTERN_SHIFT	= 11,	  /* online: which parts, 8 bits */
	POLICY_BITS		= 19
};

struct world;

struct owner {
	struct world *world;
	const char *name;
	const struct cf_owner_ops *ops;
	bool live;
	uint32_t id;		/* also the last one, when not live */
	uint32_t policy;
};

struct listener {
	struct cf_subscriber subscriber;
	struct world *world;
	bool added;
	uint32_t veto;		/* bit by enum cf_event */
};

/* A side table; each byte of an entry is the frame's value. */
struct side {
	struct cf_side table;
	bool added;
	uint32_t entry_bytes;
	uint8_t *value;		/* one a frame */
	bool leaf[BLOCKS_MAX];	/* the block has entries */
};

struct operation {
	struct cf_offline offline;
	bool going;
	cf_pfn first, last;
	uint64_t migrated;
	uint32_t steps;
};

/* What the engine may do during the call that runs. */
enum act_kind {
	ACT_NONE,
	ACT_RELEASE,		/* release hooks of runs at refs 1 */
	ACT_MOVE,		/* moving out of [first, last) */
	ACT_OFFLINE,		/* as MOVE, stepping over SKIPPABLE frames */
	ACT_COMPACT,		/* moving within a zone */
	ACT_ONLINE,		/* online hooks of [first, last) */
};

/* What stands in the way of taking a range, as the headers let one foretell. */
enum outlook {
	OUTLOOK_CLEAR,		/* nothing */
	OUTLOOK_MOVABLE,	/* all that is there agrees to move */
	OUTLOOK_UNSURE,		/* the engine may or may not get it away */
	OUTLOOK_BLOCKED,	/* something cannot be moved */
};

/* A call of a subscriber's hook. */
struct event {
	uint8_t who;
	char what;		/* g, c, d */
	uint8_t event;
};

#define EVENTS_MAX	16

struct act {
	enum act_kind kind;
	enum outlook outlook;	/* before the call */
	cf_pfn first, last;
	uint32_t node;
	enum cf_zone_kind zone;
	uint64_t moved;		/* frames the hooks moved */
	uint32_t refused;	/* hooks that said no */
	uint32_t held;		/* runs their owners hold still */
	uint32_t again;		/* dissolve hooks that said CF_EAGAIN */
	uint32_t motion;	/* runs cut, or dropped while isolated */
	bool failed;		/* a call of the port's did */
	bool undrained;		/* to the end a cache could not be */
	uint64_t dissolved;	/* frames their owners gave up */
	uint32_t events;
	struct event event[EVENTS_MAX];
};

/* What the walker said of each frame; made by compare. */
struct seen {
	uint8_t kind;		/* enum cf_span_kind */
	uint32_t head;		/* of a run */
	uint8_t order;
};

/* A call of the port's that is to fail in the next operation. */
struct fault {
	enum test_call call;
	uint32_t at;		/* which of them; 0: none */
	bool lasts;		/* and all after it */
};

struct world {
	struct setup setup;
	struct cf_map *map;
	void *storage;
	cf_pfn last, block_frames;
	uint32_t self_frames;	/* of a block that hosts its metadata */
	struct frame *frame;	/* last of them */
	struct block block[BLOCKS_MAX];
	struct owner owner[OWNERS];
	struct listener listener[SUBSCRIBERS];
	struct operation operation[OPERATIONS];
	struct side side[SIDES];
	struct fault fault;
	struct cf_watermarks marks[NODES_MAX][CF_ZONE_COUNT];
	uint32_t bad;		/* frames in the table */
	uint32_t places[PLACES];	/* runs a tag ever had */
	uint32_t groups;
	bool ending;		/* everything is given back */
	struct act act;
	struct seen *seen;
	uint64_t *words;	/* of an export */
};

/* ---- failing: fail.c ---- */

/* Say what is wrong and end the process. The format also names the failure. */
__attribute__((noreturn, format(printf, 1, 2)))
void fail(const char *format, ...);

#define REQUIRE(condition, ...)						\
	do {								\
		if (!(condition))					\
			fail(__VA_ARGS__);				\
	} while (0)

/* The same for a check of the engine's or of the port's. */
void fail_panic(void *context, const char *text);

/* Demand that @err is in the set @codes of what @call may return. */
void require_code(const char *call, int err, uint32_t codes);

/* ---- the model: state.c ---- */

struct world *world_create(const struct setup *setup);
/* Undo all there is, through the engine, and end the map: end.c. */
void world_destroy(struct world *world);

struct block *block_of(struct world *world, cf_pfn pfn);
bool in_use(const struct block *block);
/* The block of a frame below the map's end is online or going offline. */
bool is_online(struct world *world, cf_pfn pfn);
bool is_isolated(struct world *world, cf_pfn pfn);
bool is_free(struct world *world, cf_pfn pfn);
bool is_free_run(struct world *world, cf_pfn first, cf_pfn last);
bool chunk_is_free(struct world *world, cf_pfn pfn);
bool is_counted(const struct frame *head);
bool is_allocated(const struct frame *frame);
struct owner *owner_by_id(struct world *world, uint32_t id);

/* The head of an allocated run a frame is in, or NULL. */
struct frame *head_of(struct world *world, cf_pfn pfn);
cf_pfn pfn_of(struct world *world, const struct frame *frame);
/* The next head of an allocated run in [pfn, last), or CF_PFN_NONE. */
cf_pfn next_run(struct world *world, cf_pfn pfn, cf_pfn last);

struct run {
	uint32_t type, owner, refs, tag;
};

void run_make(struct world *world, cf_pfn pfn, unsigned order, struct run run);
/* A run that was made just now is an old one of its set. */
void run_keep(struct world *world, cf_pfn pfn, const struct frame *old);
void run_free(struct world *world, cf_pfn pfn);
void run_move(struct world *world, cf_pfn source, cf_pfn target);
/* Frames become free, those known to be bad retired. */
void frames_free(struct world *world, cf_pfn first, cf_pfn last);
void frames_clear(struct world *world, cf_pfn first, cf_pfn last);
void frames_offline(struct world *world, cf_pfn first, cf_pfn last,
		    struct run run, uint32_t flags);

/* Largest order for a run at pfn within [pfn, last) that stays legal. */
unsigned order_at(struct world *world, cf_pfn pfn, cf_pfn last, unsigned max);

struct zone_id {
	uint32_t node;
	enum cf_zone_kind kind;
};

bool zone_is(struct world *world, cf_pfn pfn, struct zone_id zone);
uint64_t zone_free(struct world *world, struct zone_id zone, bool isolated);
/* Is there an aligned free run outside isolated chunks? */
enum fit { FIT_ANY, FIT_PARTIAL };
bool zone_fits(struct world *world, struct zone_id zone, unsigned order,
	       enum fit fit);

uint64_t cached_now(struct world *world);
void stamp(struct world *world, cf_pfn pfn, unsigned order, uint32_t tag);
void require_stamp(struct world *world, cf_pfn pfn);

/* ---- hooks of owners: hooks.c ---- */

struct owner_kind {
	const char *name;
	const struct cf_owner_ops *ops;
	uint32_t policy;	/* when it registers */
};

extern const struct owner_kind owner_kinds[OWNERS];
/* What the hook that describes says. */
extern const char hook_description[];

void owners_init(struct world *world);
/* In a hook: take a frame and give it back. */
void nest(struct world *world);

/* ---- the call that runs, and the port's part in it: act.c ---- */

void port_init(struct world *world);
void act_begin(struct world *world, enum act_kind kind, cf_pfn first,
	       cf_pfn last);
void act_end(struct world *world);

/* The call may move runs. */
bool is_moving(const struct world *world);
/* After a call that moves: what the port did not take back, and why not. */
void act_settle(struct world *world);

/* ---- subscribers: listen.c ---- */

void listeners_init(struct world *world);

/* What they are to have been told in the call that ran. */
enum events {
	EVENTS_NONE, EVENTS_GOING, EVENTS_DONE, EVENTS_END, EVENTS_CANCEL,
	EVENTS_UNDONE, EVENTS_REFUSED
};

bool is_vetoed(struct world *world, enum cf_event event);
void require_events(struct world *world, enum cf_event event,
		    enum events events);

/* ---- what is in the way: outlook.c ---- */

enum outlook outlook(struct world *world, cf_pfn first, cf_pfn last,
		     enum act_kind kind);
/* Has any zone watermarks? */
bool any_marks(const struct world *world);
bool any_at_limit(struct world *world, cf_pfn first, cf_pfn last);
void require_report(struct world *world, cf_pfn first, cf_pfn last,
		    const struct cf_report *report);

/* ---- calls of the port that fail: fault.c ---- */

/* Around each operation. */
void fault_arm(struct world *world);
void fault_disarm(void);
/* Around a call that is judged alone: what failed before it. */
bool fault_forget(void);
void fault_remember(bool before);
/* Did that call of the port's fail since? */
bool has_failed(enum test_call call);
bool any_failed(void);
/* Should an allocation be zeroed, to meet it? */
bool is_zeroing_due(const struct world *world);
/* Should an operation of this name come after what was armed? */
bool fault_fits(const struct world *world, const char *name);

/* ---- side tables: op_side.c ---- */

/* Make an entry and write it. Returns what cf_side_extend() did. */
int side_write(struct world *world, struct side *side, cf_pfn pfn,
	       uint32_t value);
void side_drop(struct world *world, struct side *side);
void compare_side(struct world *world, const struct side *side);

/* ---- comparing everything: compare.c ---- */

void compare(struct world *world);
/* The world that is being compared: it stands still. */
extern struct world *comparing;

#endif
