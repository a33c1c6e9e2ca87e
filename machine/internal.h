/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

/* Shared by machine/, which is an embedder like any: public headers, port. */

#include <coldframe/coldframe.h>
#include <pthread.h>

#include "bits.h"
#include "host.h"
#include "machine.h"
#include "port/host/host.h"

struct device; struct owner; struct restore; struct set;

/* ---- runs and sets (set.c, content.c) ---- */

enum run_state {
	RUN_GONE,	/* the machine has nothing in it (any more) */
	RUN_HELD,	/* counted, with the machine's own reference */
	RUN_STRAY,	/* freed, but references the machine took remain */
	RUN_FROZEN,	/* no references, the machine's */
	RUN_KEPT,	/* released; its owner said KEEP */
	RUN_OFFLINE,	/* logically offline, of the set's owner */
};

/*
 * A run of frames the machine knows.  Hooks reach it through the side table
 * by its head, from any thread.
 *
 * Field key: (C) constant, (R) @lock. An owner's hook and whoever uses the
 * run take the lock; a release hook runs without.
 */
struct run {
	pthread_spinlock_t lock;
	uint32_t refs;		/* (R) references, also those of pins */
	uint32_t pins;		/* (R) */
	uint8_t state;		/* (R) enum run_state */
	uint8_t order;		/* (R) */
	bool written;		/* (R) contents are the pattern */
	uint32_t moved;		/* (R) how often it was migrated */
	cf_pfn pfn;		/* (R) head; of a run that is gone: its last */
	uint64_t seed;		/* (C) of the pattern ... */
	uint64_t skew;		/* (C) ... and where in it the run begins */
	struct set *set;	/* (C) NULL: of a load's worker */
	struct run *next_kept;	/* of owner->kept, under its lock */
};

/* A named set of runs. Its runs stay where they are until it goes. */
struct set {
	const char *name;
	uint32_t number;	/* of the name */
	struct owner *owner;	/* or NULL: the allocator */
	enum cf_type type;
	bool frozen;		/* asked for without references */
	cf_pfn first, last;	/* what alloc-range took; 0, 0: other sets */
	struct run **run;
	size_t count, room;
	struct slab *slabs;	/* what the runs lie in */
};

struct set *set_add(struct machine *machine, uint32_t number);
void set_remove(struct machine *machine, struct set *set);

/* Room for one more run; NULL: no memory. */
struct run *set_add_run(struct machine *machine, struct set *set);
uint64_t set_frames(const struct set *set);

void run_init(struct run *run, uint64_t seed);
void run_lock(struct run *run);
void run_unlock(struct run *run);

/* The side table: run_bind() before anybody can ask, unbind at the end. */
int run_bind(struct machine *machine, cf_pfn pfn, struct run *run)
	CF_MUST_CHECK;
void run_unbind(struct machine *machine, cf_pfn pfn);
struct run *run_find(struct machine *machine, cf_pfn pfn);

void run_fill(struct machine *machine, struct run *run);
bool run_intact(struct machine *machine, const struct run *run,
		cf_pfn *ret_frame);

void content_fill(void *memory, uint64_t seed, uint64_t first,
		  uint64_t frames);

/* @ret_frame: the first frame that differs. */
bool content_intact(const void *memory, uint64_t seed, uint64_t first,
		    uint64_t frames, uint64_t *ret_frame);

/* ---- owners (owner.c, folio.c, driver.c) ---- */

struct bits;

/*
 * Field key: (C) constant after the owner step, (O) @lock.
 * When the lock is free: kept_frames == frames of the runs on @kept.
 */
struct owner {
	struct machine *machine;	/* (C) */
	const char *name;		/* (C) */
	struct cf_owner_ops ops;	/* (C) */
	uint32_t id;			/* (C) while registered */
	bool registered;
	/* (C) what its hooks do: */
	bool movable, splits, keeps, dissolves, stubborn, balloon;
	bool exposing;			/* (C) has an online hook ... */
	enum exposes exposes;		/* (C) ... that exposes this */
	pthread_mutex_t lock;
	struct run *kept;		/* (O) */
	uint64_t kept_frames;		/* (O) */
	struct bits *plugged;		/* (O) frames that are there */
	struct bits *ballooned;		/* (O) frames in the balloon */
	/* (O) how often hooks were called, or did what they were asked: */
	uint64_t releases, isolates, migrates, putbacks;
	uint64_t splits_done, dissolved;
};

int owner_register(struct machine *machine, struct owner *owner)
	CF_MUST_CHECK;
struct owner *owner_new(struct machine *machine, const char *name);
void owner_free(struct owner *owner);
void owner_count(struct owner *owner, uint64_t *counter);

/* By id or by the number of its name; NULL: the allocator or unknown. */
struct owner *owner_of_id(struct machine *machine, uint32_t id);
struct owner *owner_of_number(struct machine *machine, uint64_t number);
uint32_t owner_id(struct machine *machine, uint64_t number);

/* Hooks of counted runs; owner.c puts them in the table. */
enum cf_verdict folio_release(void *context, cf_pfn pfn, unsigned order);
int folio_isolate(void *context, cf_pfn pfn, unsigned order);
int folio_migrate(void *context, cf_pfn source, cf_pfn target,
		  unsigned order);
void folio_putback(void *context, cf_pfn pfn, unsigned order);
int folio_split(void *context, cf_pfn pfn, unsigned order);
int folio_dissolve(void *context, cf_pfn pfn, unsigned order);
const char *folio_describe(void *context, cf_pfn pfn);

/* Hooks of drivers: ranges and balloons. */
int driver_online(void *context, cf_pfn first, cf_pfn last);
int driver_move(struct owner *owner, cf_pfn source, cf_pfn target,
		unsigned order);
bool driver_has(struct owner *owner, cf_pfn pfn);

/* ---- CPUs (cpu.c) ---- */

struct cpus;
typedef void (*cpu_job_fn)(void *argument);

struct cpus *cpus_new(struct cf_map *map, unsigned count);
void cpus_free(struct cpus *cpus);

/* Start a job on an idle CPU; 0, or -CF_ENOMEM: no thread. */
int cpus_start(struct cpus *cpus, unsigned cpu, cpu_job_fn job,
	       void *argument) CF_MUST_CHECK;
void cpus_wait(struct cpus *cpus, unsigned cpu);

/* ---- subscribers, scanners, walkers (watch.c, walker.c) ---- */

/*
 * Field key: (C) constant, (W) @lock.
 */
struct watcher {
	struct machine *machine;	/* (C) */
	struct cf_subscriber subscriber;	/* the map's while added */
	bool added;
	bool scans;			/* (C) a scanner */
	pthread_mutex_t lock;
	bool veto;			/* (W) */
	bool paused;			/* (W) */
	uint64_t going, cancelled, done, vetoes;	/* (W) */
	uint64_t passes, stale;		/* of scans */
	cf_pfn first, last;		/* (C) what it scans */
	cf_pfn *kept;			/* frame numbers, no references */
	size_t count, room;
};

void watcher_free(struct watcher *watcher);

struct walker {
	struct machine *machine;	/* (C) */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t passed;
	bool asleep;		/* restored: walkers_wake() starts it */
	bool running, stop, rest, resting;	/* (W) */
	uint64_t pause_ns;		/* (C) */
	cf_pfn first, last;		/* (C) */
	uint64_t passes, spans, taken, absent;	/* (W) */
};

void walker_free(struct walker *walker);

/* Until walkers_go_on() all walkers stand still, and hold nothing. */
void walkers_rest(struct machine *machine);
void walkers_go_on(struct machine *machine);

/* ---- the load (load.c) ---- */

struct load;

struct load_totals {
	uint64_t workers, ops, allocs, frees, failed, errors, moved, held;
};

void load_totals(struct machine *machine, struct load_totals *ret_totals);
void load_pause(struct machine *machine);
void load_resume(struct machine *machine);

/* Stop and free it; @why: the first wrong contents. 0 or -1. */
int load_end(struct machine *machine, char *why, size_t bytes);

/* ---- the machine (machine.c) ---- */

/* All counters at one moment, by enum property. */
struct mark {
	uint64_t value[PROPERTY_COUNT];
};

struct operation {
	struct cf_offline offline;
	cf_pfn first, last;
	bool restored;		/* begun in another process: from ... */
	struct cf_offline_status before;
};

/* A frame somebody remembers, and what was taken through that. */
struct remembered {
	cf_pfn pfn;
	uint32_t refs, pins;
};

union object {
	void *any;
	struct set *set;
	struct remembered *frame;
	struct owner *owner;
	struct operation *operation;
	struct watcher *watcher;	/* subscribers and scanners */
	struct walker *walker;
	struct mark *mark;
	struct device *device;	/* of both kinds */
};

struct machine {
	struct machine_config config;
	struct cf_host_memory memory;
	struct cf_map *map;		/* NULL: off */
	struct cf_map_config map_config;
	struct cf_side side;		/* runs by their heads */
	bool side_added, raw;
	pthread_mutex_t side_lock;	/* its entries */
	struct cf_subscriber discarder;
	struct cpus *cpus;
	struct owner *folios;		/* of "movable" without an owner */
	struct load *load;
	struct load_totals load_past;	/* of loads that ended */
	struct block_group *block_groups;
	cf_pfn *bad;		/* under signal_lock: frames retired */
	size_t bad_count;
	unsigned rests;		/* how often it is to stand still */
	struct restore *restoring;	/* nobody is told of what happens */
	struct kept_text *texts;	/* of reports that were restored */
	cf_pfn block_frames;
	cf_pfn added_first, added_last;	/* around every block there ever was */
	struct mark *last_mark;
	pthread_mutex_t signal_lock;
	uint64_t low_signals, empty_signals;
	uint64_t inflated, deflated;	/* frames, of all balloons */
	uint64_t unreturned;	/* frames the system would not take back */
	struct host_device *host_device[HOST_DEVICES_MAX];
	unsigned host_devices;
	bool migrating;			/* the host copies the machine */
	struct outcome last;		/* of the last step that is one */
	char name[SCENARIO_NAMES_MAX][SCENARIO_NAME_BYTES + 1];
	union object object[SCENARIO_NAMES_MAX];
};

static inline void *frame_address(const struct machine *machine, cf_pfn pfn)
{
	return machine->memory.base + pfn * CF_FRAME_BYTES;
}

/* What a step's function says: err with a sentence why. */
int refuse(struct outcome *outcome, enum cf_err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void did(struct outcome *outcome, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void progress(struct machine *machine, const char *what, uint64_t done,
	      uint64_t total);
uint64_t now_ns(void);

/* Give [first, last) back to the system; wait for readers of contents first. */
int give_back(struct machine *machine, cf_pfn first, cf_pfn last)
	CF_MUST_CHECK;

/* The first frame of an offline block that holds nothing of the block's own. */
cf_pfn first_unused(struct machine *machine, cf_pfn block);

/* ---- places (place.c) ---- */

/* Of each stretch of a place; nonzero ends it. */
typedef int (*stretch_fn)(void *context, cf_pfn first, cf_pfn last);

int place_each(struct machine *machine, const struct place *place,
	       stretch_fn fn, void *context);

/* The one frame a place is; -1 with a reason: it holds none now. */
int place_frame(struct machine *machine, const struct place *place,
		cf_pfn *ret_pfn, struct outcome *outcome) CF_MUST_CHECK;

/* Runs [first, last) of a set. */
struct runs {
	struct set *set;
	size_t first, last;
};

/* The runs a place names. */
int place_runs(struct machine *machine, const struct place *place,
	       struct outcome *outcome, struct runs *ret_runs) CF_MUST_CHECK;

/* ---- values, words and sentences ---- */

struct value {
	uint64_t number;
	const char *word;	/* of VALUE_WORD, _OWNER, _WHO; else NULL */
};

/* -1 with outcome->why: the subject has no such thing now. */
int value_of(struct machine *machine, const struct subject *subject,
	     const struct condition *condition, struct value *ret_value,
	     struct outcome *outcome) CF_MUST_CHECK;
const char *value_text(enum property property, const struct value *value,
		       char text[64]);
const char *name_of_owner(struct machine *machine, uint32_t id);

struct subject block_subject(const struct machine *machine, cf_pfn pfn);

/* A sentence on what was in the way. */
void explain(struct machine *machine, const struct cf_report *report,
	     char *text, size_t bytes);

/* ---- one function a step ---- */

typedef int (*step_fn)(struct machine *machine, const struct step *step,
		       struct outcome *outcome);

step_fn step_function(enum step_kind kind);

#define STEP_FN(name)							\
	int name(struct machine *machine, const struct step *step,	\
		 struct outcome *outcome)

STEP_FN(step_machine); STEP_FN(step_add); STEP_FN(step_remove);
STEP_FN(step_online); STEP_FN(step_offline); STEP_FN(step_offline_start);
STEP_FN(step_offline_step); STEP_FN(step_offline_cancel); STEP_FN(step_query);
STEP_FN(step_adopt); STEP_FN(step_alloc); STEP_FN(step_alloc_range);
STEP_FN(step_free); STEP_FN(step_get); STEP_FN(step_put); STEP_FN(step_pin);
STEP_FN(step_unpin); STEP_FN(step_freeze); STEP_FN(step_unfreeze);
STEP_FN(step_split); STEP_FN(step_give); STEP_FN(step_remember);
STEP_FN(step_fill); STEP_FN(step_touch); STEP_FN(step_scribble);
STEP_FN(step_owner); STEP_FN(step_unregister); STEP_FN(step_empty);
STEP_FN(step_offline_alloc); STEP_FN(step_offline_free);
STEP_FN(step_offline_adopt); STEP_FN(step_skippable); STEP_FN(step_payload);
STEP_FN(step_plug); STEP_FN(step_unplug); STEP_FN(step_inflate);
STEP_FN(step_deflate); STEP_FN(step_discard); STEP_FN(step_subscriber);
STEP_FN(step_veto); STEP_FN(step_unsubscribe); STEP_FN(step_scanner);
STEP_FN(step_scan); STEP_FN(step_walker); STEP_FN(step_stop);
STEP_FN(step_load); STEP_FN(step_load_stop); STEP_FN(step_wait);
STEP_FN(step_retire); STEP_FN(step_compact); STEP_FN(step_drain);
STEP_FN(step_watermarks); STEP_FN(step_mark); STEP_FN(step_verify);
STEP_FN(step_dump); STEP_FN(step_export); STEP_FN(step_print);
STEP_FN(step_say); STEP_FN(step_expect);

#endif
