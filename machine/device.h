/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_DEVICE_H
#define MACHINE_DEVICE_H

/*
 * A device of a scenario: its driver, and the host's side of it.
 *
 * Drivers have no threads: they work while a step of their device waits,
 * during "wait", and when an allocation fails.
 */

#include "host.h"
#include "internal.h"
#include "virtio/balloon.h"
#include "virtio/mem.h"

struct device {
	struct machine *machine;
	const char *name;
	enum noun noun;			/* NOUN_MEM, NOUN_BALLOON */
	struct host_device *host;
	struct host_config config;
	struct cf_vmem vmem;		/* NOUN_MEM */
	struct cf_balloon balloon;	/* NOUN_BALLOON */
	void *storage;		/* the driver's: blocks, or chunks reported */
	bool loaded;			/* the driver runs */
	bool opened;		/* ... or could be asked why it does not */
	uint64_t wanted;		/* bytes, by the host */
	int answer_err;			/* of what was asked */
	enum cf_vmem_state answer;	/* ... if that is 0 */
	unsigned told;		/* enum cf_vmem_state, or past it: nothing */
	uint64_t report_began_ns;	/* the last round */
	uint64_t count_before;		/* of what is waited for */
	/* Of the driver: */
	enum cf_zone_kind zone;
	bool big_blocks, small_pages;
	uint64_t retry_ms;
	bool poisoned;			/* free frames are said to hold ... */
	uint32_t poison;		/* ... this */
};

/* How waiting for a driver ended. */
enum device_end {
	DEVICE_DONE,
	DEVICE_BROKEN,
	DEVICE_BACKS_OFF,	/* tried all it could */
	DEVICE_SILENT,		/* an answer does not come */
	DEVICE_ENDLESS,		/* works, and gets no nearer */
};

/* Is it as it should be?  Asked when the driver has nothing to do now. */
typedef bool (*device_done_fn)(struct device *device);

/**
 * device_wait() - let the driver work until it is done.
 * @for_ns: how long to wait for retries; 0: not
 */
enum device_end device_wait(struct device *device, device_done_fn done,
			    uint64_t for_ns);

/* Why no answer or no end came; @end is one of these. Refuses. */
int device_say_lost(struct device *device, enum device_end end,
		    struct outcome *outcome);

/*
 * What a driver's start comes to. One that failed was removed, with
 * @removed: it holds nothing; that it may not reset is what broke it, then.
 */
int device_start_error(int err, int removed);

/* As config.interrupt; @context: the device. */
void device_interrupt(void *context, uint8_t isr);

/* A bounded piece of work. */
struct cf_next device_work(struct device *device);

/* The device of a step, with its driver; NULL: refused. */
struct device *device_of(struct machine *machine, const struct step *step,
			 struct outcome *outcome);

/* "vm0 is broken: it was reset by somebody else". Refuses. */
int device_say_broken(struct device *device, struct outcome *outcome);

/* Start the driver. 0, or refused. */
int device_load(struct device *device, struct outcome *outcome);

/* vmem.c */
int device_mem_load(struct device *device, const struct host_link *link);
int device_mem_unload(struct device *device, bool force, uint64_t for_ns,
		      struct outcome *outcome);
int device_mem_settle(struct device *device, uint64_t for_ns,
		      struct outcome *outcome);

/* vballoon.c */
int device_balloon_load(struct device *device, const struct host_link *link);
int device_balloon_unload(struct device *device, bool force, uint64_t for_ns,
			  struct outcome *outcome);
int device_balloon_settle(struct device *device, uint64_t for_ns,
			  struct outcome *outcome);

/* Ask for a round of reports, if it does such. */
void device_balloon_report(struct device *device);

void device_free(struct device *device);

/* Does its driver run, or did one; and as what owner? */
bool device_is_loaded(const struct device *device);
uint32_t device_owner(struct device *device);

/* What keeps a virtio-mem's memory. A new reference. */
json_t *device_stoppers_json(struct device *device);

/* plug and unplug of a virtio-mem. */
int device_plug(struct machine *machine, const struct step *step, bool unplug,
		struct outcome *outcome);

/* Let all drivers work while time passes. */
void devices_work_for(struct machine *machine, uint64_t ns);

/* Memory is low: did a balloon give some back? */
bool devices_give_way(struct machine *machine);

/* How often the engine said that memory is low. */
uint64_t machine_low_signals(struct machine *machine);

STEP_FN(step_virtio_mem); STEP_FN(step_virtio_balloon);
STEP_FN(step_request); STEP_FN(step_ask); STEP_FN(step_balloon);
STEP_FN(step_stats);
STEP_FN(step_report); STEP_FN(step_hint); STEP_FN(step_settle);
STEP_FN(step_work); STEP_FN(step_migrating); STEP_FN(step_refusing);
STEP_FN(step_poison);
STEP_FN(step_late); STEP_FN(step_lie); STEP_FN(step_unload);
STEP_FN(step_reload);

#endif
