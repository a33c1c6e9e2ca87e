/* SPDX-License-Identifier: MIT */
#ifndef SCENARIO_SCENARIO_H
#define SCENARIO_SCENARIO_H

/*
 * The scenario language: one step a line, read from a text buffer into a
 * struct step.  Freestanding, allocates nothing, keeps pointers into the
 * text.  docs/scenarios.md is the language's manual.
 *
 * The reader checks all that can be known before anything runs: words,
 * numbers, names (declared once, of the right sort, before they are used) and
 * places (inside the machine's memory).  So a scenario that is read to its end
 * can only fail by what the machine answers.
 */

#include <coldframe/types.h>

#define SCENARIO_NAMES_MAX	256
#define SCENARIO_NAME_BYTES	31
#define SCENARIO_CONDITIONS_MAX	8
#define SCENARIO_ERROR_BYTES	160

/* A piece of the scenario's text; not terminated. */
struct text {
	const char *start;
	size_t length;
};

/* What a name stands for. */
enum noun {
	NOUN_NONE,
	NOUN_SET,		/* runs of frames, from alloc and its like */
	NOUN_FRAME,		/* a number of a frame, and no claim to it */
	NOUN_OWNER,
	NOUN_OPERATION,		/* an offlining that is stepped */
	NOUN_SUBSCRIBER,
	NOUN_SCANNER,		/* a subscriber that keeps frame numbers */
	NOUN_WALKER,
	NOUN_MARK,		/* all counters at one moment */
	NOUN_MEM,		/* a virtio-mem device and its driver */
	NOUN_BALLOON,		/* a virtio-balloon device and its driver */
	NOUN_POOL,		/* huge runs: owners/hugepool */
	NOUN_GUEST,		/* pages of a guest: owners/guestmem */
	NOUN_ELASTIC,		/* objects of a process: owners/elastic */
	NOUN_PAGEMAP,		/* a range of device memory and its owner */
	NOUN_COUNT
};

const char *noun_name(enum noun noun);

/* A declared name.  Its number indexes the machine's table of objects. */
struct scenario_name {
	struct text text;
	enum noun noun;
	uint32_t line;		/* where it was declared */
};

/* Steps, in the order of the manual. */
enum step_kind {
	STEP_MACHINE,
	STEP_ADD, STEP_REMOVE, STEP_ONLINE, STEP_OFFLINE,
	STEP_OFFLINE_START, STEP_OFFLINE_STEP, STEP_OFFLINE_CANCEL,
	STEP_QUERY, STEP_ADOPT,
	STEP_ALLOC, STEP_ALLOC_RANGE, STEP_FREE,
	STEP_GET, STEP_PUT, STEP_PIN, STEP_UNPIN, STEP_FREEZE, STEP_UNFREEZE,
	STEP_SPLIT, STEP_GIVE, STEP_REMEMBER,
	STEP_FILL, STEP_TOUCH, STEP_SCRIBBLE,
	STEP_OWNER, STEP_UNREGISTER, STEP_EMPTY,
	STEP_OFFLINE_ALLOC, STEP_OFFLINE_FREE, STEP_OFFLINE_ADOPT,
	STEP_SKIPPABLE, STEP_PAYLOAD,
	STEP_PLUG, STEP_UNPLUG, STEP_INFLATE, STEP_DEFLATE, STEP_DISCARD,
	STEP_VIRTIO_MEM, STEP_VIRTIO_BALLOON, STEP_REQUEST, STEP_BALLOON,
	STEP_ASK, STEP_STATS, STEP_REPORT, STEP_HINT, STEP_SETTLE, STEP_WORK,
	STEP_POISON,
	STEP_MIGRATING, STEP_REFUSING, STEP_LATE, STEP_LIE, STEP_UNLOAD,
	STEP_RELOAD,
	STEP_POOL, STEP_POOL_SIZE, STEP_POOL_SURPLUS, STEP_POOL_RESERVE,
	STEP_POOL_TAKE, STEP_POOL_GIVE, STEP_POOL_DEMOTE, STEP_POOL_END,
	STEP_GUEST, STEP_GUEST_HOLD, STEP_GUEST_RELEASE, STEP_GUEST_CONVERT,
	STEP_GUEST_STEP, STEP_GUEST_CANCEL, STEP_GUEST_SHARE,
	STEP_GUEST_TOUCH, STEP_GUEST_END,
	STEP_ELASTIC, STEP_ELASTIC_STORE, STEP_ELASTIC_FORGET,
	STEP_ELASTIC_LOCK, STEP_ELASTIC_UNLOCK, STEP_ELASTIC_SHRINK,
	STEP_ELASTIC_END,
	STEP_PAGEMAP, STEP_PAGEMAP_REMOVE, STEP_HAND_OUT, STEP_MOVE, STEP_FAULT,
	STEP_TRUNCATE,
	STEP_SUBSCRIBER, STEP_VETO, STEP_UNSUBSCRIBE, STEP_SCANNER, STEP_SCAN,
	STEP_WALKER, STEP_STOP, STEP_LOAD, STEP_LOAD_STOP, STEP_WAIT,
	STEP_RETIRE, STEP_COMPACT, STEP_DRAIN, STEP_WATERMARKS,
	STEP_MARK, STEP_VERIFY, STEP_EXPORT, STEP_SAVE, STEP_DUMP, STEP_PRINT,
	STEP_SAY,
	STEP_EXPECT,
	STEP_COUNT
};

const char *step_name(enum step_kind kind);

/* Words that follow a step's own arguments, some with a value. */
enum key {
	KEY_MEMORY, KEY_SPAN, KEY_CPUS, KEY_NODES, KEY_BLOCK, KEY_BAD_FRAMES,
	KEY_DEBUG_PAGEALLOC, KEY_FENCED, KEY_NO_CACHES, KEY_SMALL_PAGES,
	KEY_NODE, KEY_OWNER, KEY_METADATA, KEY_ZONE, KEY_PASSES, KEY_TIMES,
	KEY_ORDER, KEY_TYPE, KEY_MOVABLE, KEY_FROZEN, KEY_ZERO, KEY_NO_WAIT,
	KEY_RESERVE, KEY_THIS_NODE, KEY_NO_SPLIT, KEY_UNTOUCHED,
	KEY_INTERIOR, KEY_EXPECTED, KEY_REFS,
	KEY_SPLITS, KEY_KEEPS, KEY_DISSOLVES, KEY_STUBBORN, KEY_BALLOON,
	KEY_EXPOSES, KEY_FORCE, KEY_SKIPPABLE, KEY_RESIDENT, KEY_OFF,
	KEY_PRIORITY, KEY_VETO, KEY_PAUSE, KEY_FOR, KEY_OPS, KEY_HOLD,
	KEY_CHUNKS, KEY_EACH, KEY_EVERY, KEY_MIN, KEY_LOW, KEY_HIGH,
	KEY_DEVICE_BLOCK, KEY_BIG_BLOCKS, KEY_RETRY, KEY_DEFLATE_ON_OOM,
	KEY_MUST_TELL_HOST, KEY_REPORTING, KEY_HINTING, KEY_OVER, KEY_AFTER,
	KEY_LEVEL, KEY_ELF, KEY_KIND, KEY_PAGEMAP,
	KEY_COUNT
};
_Static_assert(KEY_COUNT <= 64, "a step's keys fit a mask");

const char *key_name(enum key key);

#define KEY_BIT(key)	((uint64_t)1 << (key))

/* Values of KEY_EXPOSES: what an owner's online hook exposes of a block. */
enum exposes {
	EXPOSES_PLUGGED,	/* plugged chunks; the rest is skippable */
	EXPOSES_BACKED,		/* backed frames; the rest stays its owner's */
	EXPOSES_NOTHING,	/* the whole block joins the owner's balloon */
	EXPOSES_COUNT
};

/* Values of KEY_OVER: how a driver reaches its device. */
enum over {
	OVER_PCI,		/* with an interrupt line */
	OVER_MSIX,		/* PCI, with messages as interrupts */
	OVER_MMIO,
	OVER_COUNT
};

/* Words of STEP_LIE, in step->amount. LIE_COUNT: how many. */
#define LIE_COUNT	34
#define LIE_SILENCE	16	/* no answer, ever */
#define LIE_RESTLESS	25	/* another wish after each */
const char *lie_name(uint64_t lie);
/* Only a virtio-mem can tell it. */
bool lie_is_of_mem(uint64_t lie);

/* What "print" shows. */
enum print {
	PRINT_ALL, PRINT_COUNTERS, PRINT_BLOCKS, PRINT_OWNERS, PRINT_SETS,
	PRINT_DEVICES,
	PRINT_COUNT
};

/* The word for an error code, "invalid" to "port", or NULL. */
const char *error_word(uint64_t error);

/* The owner names that need no declaration. */
#define OWNER_ALLOCATOR	((uint64_t)SCENARIO_NAMES_MAX)
#define OWNER_ORPHAN	((uint64_t)SCENARIO_NAMES_MAX + 1)

enum amount_unit {
	AMOUNT_COUNT,		/* runs */
	AMOUNT_BYTES,
	AMOUNT_ALL,		/* as many as there are */
};

struct amount {
	uint64_t number;
	enum amount_unit unit;
};

enum place_kind {
	PLACE_NONE,
	PLACE_BLOCKS,		/* whole blocks: first, last */
	PLACE_FRAMES,		/* any frames: first, last */
	PLACE_NAME,		/* of a set, or a remembered frame */
};

#define PLACE_WHOLE	(~0u)	/* index: every run of the set */

struct place {
	enum place_kind kind;
	cf_pfn first, last;	/* BLOCKS, FRAMES: half open */
	uint32_t name;		/* NAME: number of the name ... */
	uint32_t index;		/* ... and of the run, or PLACE_WHOLE ... */
	cf_pfn offset;		/* ... and of the frame in that run */
};

/* What an expectation is about. */
enum subject_kind {
	SUBJECT_MAP,		/* the machine: no word of its own */
	SUBJECT_ZONE, SUBJECT_BLOCK, SUBJECT_OWNER, SUBJECT_SET, SUBJECT_FRAME,
	SUBJECT_OPERATION, SUBJECT_SUBSCRIBER, SUBJECT_SCANNER, SUBJECT_WALKER,
	SUBJECT_LOAD, SUBJECT_LAST, SUBJECT_MEM, SUBJECT_BALLOON,
	SUBJECT_POOL, SUBJECT_GUEST, SUBJECT_ELASTIC,
	SUBJECT_PAGEMAP,
	SUBJECT_COUNT
};

struct subject {
	enum subject_kind kind;
	uint32_t name;		/* OWNER, OPERATION, MEM ... */
	uint64_t zone, node;	/* ZONE: enum cf_zone_kind */
	struct place place;	/* SET, BLOCK, FRAME */
};

/* What can be said of a subject; a word may belong to several. */
enum property {
	/* frames of memory, shown and compared as sizes */
	PROPERTY_PRESENT, PROPERTY_MANAGED, PROPERTY_FREE, PROPERTY_CACHED,
	PROPERTY_OFFLINE, PROPERTY_NEVER_ONLINED, PROPERTY_SKIPPABLE,
	PROPERTY_RETIRED, PROPERTY_RESERVED, PROPERTY_ISOLATED,
	PROPERTY_KERNEL, PROPERTY_FOLIO, PROPERTY_DEVICE, PROPERTY_PGTABLE,
	PROPERTY_SLAB, PROPERTY_RSS, PROPERTY_FRAMES, PROPERTY_KEPT,
	PROPERTY_PLUGGED, PROPERTY_BALLOONED, PROPERTY_TOTAL, PROPERTY_BUSY,
	PROPERTY_MIGRATED, PROPERTY_BLOCKING, PROPERTY_MOVED_FRAMES,
	PROPERTY_DONE, PROPERTY_HELD, PROPERTY_METADATA,
	PROPERTY_REQUESTED, PROPERTY_HOST_PLUGGED, PROPERTY_USABLE,
	PROPERTY_DEVICE_BLOCK, PROPERTY_SUB_BLOCK, PROPERTY_RESIDENT,
	PROPERTY_TARGET, PROPERTY_HOST_BALLOONED, PROPERTY_REPORTED,
	PROPERTY_HINTED, PROPERTY_LOW_DEFLATED, PROPERTY_HOST_FREE,
	PROPERTY_HOST_TOTAL, PROPERTY_HOST_AVAILABLE, PROPERTY_SURPLUS,
	PROPERTY_SHARED, PROPERTY_CONVERTING, PROPERTY_PRIVATE,
	PROPERTY_GIVEN,
	/* numbers */
	PROPERTY_BLOCKS, PROPERTY_CHUNKS, PROPERTY_CHUNKS_FREE,
	PROPERTY_CHUNKS_SPLIT, PROPERTY_CHUNKS_ISOLATED, PROPERTY_FREE_RUNS,
	PROPERTY_LOW_SIGNALS, PROPERTY_EMPTY_SIGNALS, PROPERTY_NODE,
	PROPERTY_RELEASES, PROPERTY_ISOLATES, PROPERTY_MIGRATES,
	PROPERTY_PUTBACKS, PROPERTY_SPLITS, PROPERTY_DISSOLVES, PROPERTY_RUNS,
	PROPERTY_MOVED, PROPERTY_ORDER, PROPERTY_REFS, PROPERTY_PINS,
	PROPERTY_PAYLOAD, PROPERTY_STEPS, PROPERTY_GOING, PROPERTY_CANCELLED,
	PROPERTY_FINISHED, PROPERTY_VETOES, PROPERTY_FOUND, PROPERTY_STALE,
	PROPERTY_PASSES, PROPERTY_SPANS, PROPERTY_TAKEN, PROPERTY_ABSENT,
	PROPERTY_WORKERS, PROPERTY_OPS, PROPERTY_ALLOCS, PROPERTY_FREES,
	PROPERTY_FAILED, PROPERTY_ERRORS, PROPERTY_KPAGEFLAGS,
	PROPERTY_KPAGECOUNT, PROPERTY_BLOCKS_PARTIAL, PROPERTY_REQUESTS,
	PROPERTY_NACKS, PROPERTY_BUSIES, PROPERTY_RETRIES,
	PROPERTY_HINT_ROUNDS, PROPERTY_STATS_SENT, PROPERTY_VIOLATIONS,
	PROPERTY_REPLACED, PROPERTY_HOLDERS, PROPERTY_OBJECTS,
	PROPERTY_MERGED, PROPERTY_LOCKED,
	/* yes or no */
	PROPERTY_ORPHAN, PROPERTY_SELF_HOSTED, PROPERTY_REGISTERED,
	PROPERTY_INTACT, PROPERTY_PAUSED, PROPERTY_OK, PROPERTY_REFUSED,
	PROPERTY_IS_FROZEN, PROPERTY_IS_MOVABLE, PROPERTY_IS_SKIPPABLE,
	PROPERTY_IS_NEVER_ONLINED, PROPERTY_POISONED, PROPERTY_IS_ISOLATED,
	PROPERTY_BIG_BLOCKS,
	/* words */
	PROPERTY_BLOCK_STATE, PROPERTY_ZONE, PROPERTY_TYPE, PROPERTY_REASON,
	PROPERTY_ERROR, PROPERTY_OPERATION_STATE, PROPERTY_FRAME_STATE,
	PROPERTY_RETIREMENT, PROPERTY_MEM_STATE, PROPERTY_BALLOON_STATE,
	PROPERTY_BROKEN, PROPERTY_TOLD,
	/* names and places */
	PROPERTY_OWNER, PROPERTY_WHO, PROPERTY_HEAD, PROPERTY_FRAME,
	PROPERTY_BLOCK,
	PROPERTY_COUNT
};

/* How a property's value is written and compared. */
enum value_kind {
	VALUE_SIZE,		/* frames; written as a size */
	VALUE_BYTES,		/* bytes; written as a size */
	VALUE_NUMBER,
	VALUE_FLAG,		/* yes, no; nothing means yes */
	VALUE_WORD,		/* one of property_word() */
	VALUE_OWNER,		/* a name's number, OWNER_ALLOCATOR, _ORPHAN */
	VALUE_WHO,		/* an owner's or a subscriber's name */
	VALUE_PLACE,		/* a frame */
};

const char *property_name(enum property property);
enum value_kind property_value(enum property property);

/* The word for a value of a VALUE_WORD property, or NULL. */
const char *property_word(enum property property, uint64_t value);

/* The n-th property of a subject, or PROPERTY_COUNT. */
enum property subject_property(enum subject_kind subject, unsigned n);
const char *subject_name(enum subject_kind subject);

enum compare {
	COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE,
	COMPARE_FELL, COMPARE_ROSE, COMPARE_UNCHANGED,
};

const char *compare_name(enum compare compare);

#define MARK_LAST	(~0u)	/* the mark that was set last */

struct condition {
	enum property property;
	enum compare compare;
	uint64_t value;
	uint64_t order;		/* FREE_RUNS: of which order */
	unsigned percent;	/* how far off it may be */
	uint32_t mark;		/* FELL, ROSE, UNCHANGED: since when */
	struct place place;	/* VALUE_PLACE */
};

/* The error of "expect fails" when any will do. */
#define STEP_ERROR_ANY	0
#define STEP_CPU_MAIN	(~0u)

/* One line of a scenario. */
struct step {
	enum step_kind kind;
	uint32_t line;
	struct text source;	/* as written, without its comment */
	bool fails;		/* "expect fails": it must */
	bool caught;		/* "expect caught": a check must stop it */
	unsigned error;		/* "expect fails": enum cf_err, or any */
	unsigned cpu;		/* "on cpu": where, or STEP_CPU_MAIN */
	uint32_t name;		/* number of the name it declares or uses */
	struct amount amount;
	struct place place;
	struct text text;
	uint64_t given;		/* KEY_BIT() of each key that was written */
	uint64_t key[KEY_COUNT];
	struct subject subject;	/* EXPECT, when neither fails nor caught */
	unsigned conditions;
	struct condition condition[SCENARIO_CONDITIONS_MAX];
};

/* A scenario being read. */
struct scenario {
	struct text rest;	/* not read yet */
	uint32_t line;
	struct text source;	/* of the line being read */
	struct text words;	/* of it, not read yet */
	struct scenario_name name[SCENARIO_NAMES_MAX];
	uint32_t names;
	cf_pfn block_frames, span_frames;	/* from the machine step */
	uint64_t cpus, nodes;
	uint64_t steps;		/* read so far */
	uint64_t workers;	/* CPUs a load occupies */
	bool machine;		/* the machine step was read */
	bool loading;		/* between load and load stop */
	bool marked;		/* there is a mark */
	char error[SCENARIO_ERROR_BYTES];	/* terminated */
};

enum scenario_read {
	SCENARIO_END,
	SCENARIO_STEP,
	SCENARIO_WRONG,		/* error and line say what and where */
};

/**
 * scenario_init() - begin to read a scenario.
 * @text: stays valid as long as the scenario and its steps are used
 */
void scenario_init(struct scenario *scenario, const char *text, size_t bytes);

/* A machine that exists, for a scenario that goes on from there. */
struct scenario_origin {
	cf_pfn block_frames, span_frames;
	uint64_t cpus, nodes, workers;	/* @workers: of a load that runs */
	bool marked;			/* there is a mark */
	const struct scenario_name *name;	/* what was declared */
	uint32_t names;
};

/**
 * scenario_resume() - go on from a machine that exists.
 * @scenario: as scenario_init() left it
 * @origin:   the names' texts stay valid as long as the scenario is used
 *
 * No machine step may follow: the first one was carried out elsewhere.
 */
void scenario_resume(struct scenario *scenario,
		     const struct scenario_origin *origin);

/**
 * scenario_next() - read the next step.
 *
 * Return: STEP with *@ret_step filled; END; or WRONG, after which nothing
 *         more can be read.
 */
enum scenario_read scenario_next(struct scenario *scenario,
				 struct step *ret_step) CF_MUST_CHECK;

/**
 * step_embedded_only() - what of a step only the embedded machine can do.
 *
 * Its device models misbehave when told to; the devices of other machines
 * do not. Return: the step's or the key's word, or NULL: any machine does.
 */
const char *step_embedded_only(const struct step *step);

static inline bool step_has(const struct step *step, enum key key)
{
	return (step->given & KEY_BIT(key)) != 0;
}

/* The value of a key, or @other when it was not written. */
static inline uint64_t step_value(const struct step *step, enum key key,
				  uint64_t other)
{
	return step_has(step, key) ? step->key[key] : other;
}

#endif
