/* SPDX-License-Identifier: MIT */

/*
 * Steps on devices of either kind: a driver that starts, works, settles and
 * ends, and what the host plays meanwhile.
 */

#include <stdlib.h>
#include <time.h>

#include "device.h"

#define POLL_MIN_NS	20000
#define POLL_NS		500000
#define REPORT_NS	2000000000	/* between rounds, as guests do */
#define LOOK_PIECES	64
#define PIECES_MIN	262144	/* until one counts as getting no nearer ... */
#define PIECES_CHUNK	8	/* ... or so many a chunk of its region */

static uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

/* Longer and longer: most answers come at once, some after long. */
static uint64_t nap_of(uint64_t idle_ns)
{
	uint64_t ns = idle_ns / 4;

	return ns < POLL_MIN_NS ? POLL_MIN_NS : ns > POLL_NS ? POLL_NS : ns;
}

static void rest(uint64_t ns)
{
	struct timespec time = { 0, (long)ns };

	(void)nanosleep(&time, NULL);
}

struct cf_next device_work(struct device *device)
{
	return device->noun == NOUN_MEM ?
	       cf_vmem_work(&device->vmem, now_ms()) :
	       cf_balloon_work(&device->balloon, now_ms());
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* How near a driver is to its size, and what else it has done, in frames. */
struct effort {
	uint64_t to_go, done;
	uint64_t pieces;		/* of work, in all ... */
	uint64_t since;			/* ... and since it got on */
};

static void measure(struct device *device, struct effort *effort)
{
	struct cf_balloon_status balloon;
	struct cf_vmem_status vmem;

	if (device->noun == NOUN_MEM) {
		cf_vmem_status(&device->vmem, &vmem);
		effort->to_go = distance(vmem.plugged, device->wanted) /
				CF_FRAME_BYTES;
		effort->done = 0;
		return;
	}
	cf_balloon_status(&device->balloon, &balloon);
	effort->to_go = distance(balloon.held, balloon.target);
	effort->done = balloon.reported + balloon.hints + balloon.migrated;
}

/* A pass over a large region is many pieces. */
static uint64_t pieces_max(const struct device *device)
{
	cf_pfn frames = device->config.last - device->config.first;
	uint64_t pieces = frames / CF_CHUNK_FRAMES * PIECES_CHUNK;

	return pieces > PIECES_MIN ? pieces : PIECES_MIN;
}

/*
 * A piece was done, and there is more. False: it has been at it for long and
 * comes no nearer, because the device wants something else all the time.
 */
static bool gets_on(struct device *device, struct effort *effort)
{
	struct effort now = *effort;

	if (++effort->pieces % LOOK_PIECES)
		return true;
	measure(device, &now);
	if (device->machine->config.progress)
		progress(device->machine, "frames to go:", now.to_go, 0);
	if (!effort->since || now.to_go < effort->to_go ||
	    now.done != effort->done) {
		effort->to_go = now.to_go;
		effort->done = now.done;
		effort->since = effort->pieces;
	}
	return effort->pieces - effort->since < pieces_max(device);
}

/* As much as it wants to do now. */
static void work_now(struct device *device)
{
	struct effort effort = { 0 };

	while (device_work(device).when == CF_WHEN_NOW)
		if (!gets_on(device, &effort))
			return;
}

static bool is_broken(struct device *device)
{
	struct cf_balloon_status balloon;
	struct cf_vmem_status vmem;

	if (device->noun == NOUN_MEM) {
		cf_vmem_status(&device->vmem, &vmem);
		return vmem.broken != CF_VIRTIO_FINE;
	}
	cf_balloon_status(&device->balloon, &balloon);
	return balloon.broken != CF_VIRTIO_FINE;
}

int device_say_broken(struct device *device, struct outcome *outcome)
{
	struct cf_balloon_status balloon = { .broken = CF_VIRTIO_FINE };
	struct cf_vmem_status vmem = { .broken = CF_VIRTIO_FINE };

	if (device->noun == NOUN_MEM)
		cf_vmem_status(&device->vmem, &vmem);
	else
		cf_balloon_status(&device->balloon, &balloon);
	return refuse(outcome, CF_EREFUSED, "%s is broken: %s", device->name,
		      cf_virtio_broken_name(device->noun == NOUN_MEM ?
					    vmem.broken : balloon.broken));
}

/* Is this the end?  @idle_ns: since when nothing happened. */
static bool is_over(struct device *device, struct cf_next next,
		    uint64_t idle_ns, bool may_wait, enum device_end *ret_end)
{
	if (is_broken(device)) {
		*ret_end = DEVICE_BROKEN;
		return true;
	}
	if (next.when == CF_WHEN_AT && !may_wait) {
		*ret_end = DEVICE_BACKS_OFF;
		return true;
	}
	if (next.when != CF_WHEN_AT && idle_ns > host_patience_ns()) {
		*ret_end = DEVICE_SILENT;
		return true;
	}
	return false;
}

enum device_end device_wait(struct device *device, device_done_fn done,
			    uint64_t for_ns)
{
	uint64_t began = now_ns(), worked = began, now;
	struct effort effort = { 0 };
	enum device_end end;
	struct cf_next next;

	for (;;) {
		next = device_work(device);
		now = now_ns();
		if (next.when == CF_WHEN_NOW) {
			worked = now;
			if (!gets_on(device, &effort))
				return DEVICE_ENDLESS;
			continue;
		}
		/* A retry is a try of its own, however many there were. */
		if (next.when == CF_WHEN_AT)
			effort = (struct effort){ 0 };
		if (done(device))
			return DEVICE_DONE;
		if (is_over(device, next, now - worked, now - began < for_ns,
			    &end))
			return end;
		rest(nap_of(now - worked));
	}
}

int device_say_lost(struct device *device, enum device_end end,
		    struct outcome *outcome)
{
	if (end == DEVICE_ENDLESS)
		return refuse(outcome, CF_EAGAIN, "%s wants something else all"
			      " the time", device->name);
	return refuse(outcome, CF_EAGAIN, "%s does not answer", device->name);
}

int device_start_error(int err, int removed)
{
	return err && removed && err != -CF_EREFUSED ? -CF_EPORT : err;
}

struct device *device_of(struct machine *machine, const struct step *step,
			 struct outcome *outcome)
{
	struct device *device = machine->object[step->name].device;

	if (device && device->loaded)
		return device;
	(void)refuse(outcome, CF_EGONE, device ? "%s's driver is unloaded" :
		     "%s is not there", machine->name[step->name]);
	return NULL;
}

void device_interrupt(void *context, uint8_t isr)
{
	struct device *device = context;

	if (!device->opened)
		return;
	if (device->noun == NOUN_MEM)
		(void)cf_vmem_interrupt(&device->vmem, isr);
	else
		(void)cf_balloon_interrupt(&device->balloon, isr);
}

/* What went wrong when a driver started. */
static int say_start(struct device *device, int err, struct outcome *outcome)
{
	switch (err) {
	case -CF_EREFUSED:
		return device_say_broken(device, outcome);
	case -CF_EBUSY:
		return refuse(outcome, CF_EBUSY, "there are blocks in %s's"
			      " region already", device->name);
	case -CF_EINVAL:
		return refuse(outcome, CF_EINVAL, "no driver can work with"
			      " such a device");
	default:
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	}
}

int device_load(struct device *device, struct outcome *outcome)
{
	struct host_link link;
	int err;

	device->opened = false;
	if (host_device_link(device->host, &link))
		return refuse(outcome, CF_EREFUSED,
			      "there is nothing a driver could talk to");
	err = device->noun == NOUN_MEM ? device_mem_load(device, &link) :
					 device_balloon_load(device, &link);
	device->opened = true;
	if (err)
		return say_start(device, err, outcome);
	device->loaded = true;
	device->report_began_ns = now_ns();
	/* What it finds at once, be it left over, or wrong. */
	work_now(device);
	return 0;
}

static void set_config(struct device *device, const struct step *step)
{
	device->config = (struct host_config){
		.kind = device->noun,
		.name = device->name,
		.over = (enum over)step_value(step, KEY_OVER, OVER_PCI),
		.first = step->place.first,
		.last = step->place.last,
		.block_bytes = step_value(step, KEY_DEVICE_BLOCK,
					  CF_CHUNK_FRAMES * CF_FRAME_BYTES),
		.node = step_has(step, KEY_NODE) ? (int)step->key[KEY_NODE] :
						   -1,
		.deflate_on_oom = step_has(step, KEY_DEFLATE_ON_OOM),
		.must_tell_host = step_has(step, KEY_MUST_TELL_HOST),
		.reporting = step_has(step, KEY_REPORTING),
		.hinting = step_has(step, KEY_HINTING),
		.interrupt = device_interrupt,
		.context = device,
	};
	device->zone = (enum cf_zone_kind)step_value(step, KEY_ZONE,
						     CF_ZONE_MOVABLE);
	device->big_blocks = step_has(step, KEY_BIG_BLOCKS);
	device->small_pages = step_has(step, KEY_SMALL_PAGES);
	device->retry_ms = step_value(step, KEY_RETRY, 0) / 1000000;
}

/* A device that stays, with or without its driver. */
static int add_device(struct machine *machine, const struct step *step,
		      enum noun noun, struct outcome *outcome)
{
	struct device *device = calloc(1, sizeof(*device));
	int err;

	if (!device)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	device->machine = machine;
	device->name = machine->name[step->name];
	device->noun = noun;
	set_config(device, step);
	err = host_device_add(machine, &device->config, &device->host);
	if (err) {
		free(device);
		return refuse(outcome, (enum cf_err)-err,
			      err == -CF_EINVAL ? "the region does not begin"
			      " with a block of the device" :
			      err == -CF_ELIMIT ? "there is no room for more"
			      " devices" : "the host has no such device");
	}
	machine->object[step->name].device = device;
	return device_load(device, outcome);
}

/* What blocks there may ever be of a region. */
static void note_region(struct machine *machine, const struct place *place)
{
	if (machine->added_first == machine->added_last)
		machine->added_first = machine->added_last = place->first;
	if (place->first < machine->added_first)
		machine->added_first = place->first;
	if (place->last > machine->added_last)
		machine->added_last = place->last;
}

int step_virtio_mem(struct machine *machine, const struct step *step,
		    struct outcome *outcome)
{
	struct cf_vmem_status status;
	struct device *device;
	char size[24], block[24];
	int err;

	err = add_device(machine, step, NOUN_MEM, outcome);
	if (err)
		return err;
	note_region(machine, &step->place);
	device = machine->object[step->name].device;
	cf_vmem_status(&device->vmem, &status);
	did(outcome, "a region of %s, %s at a time",
	    machine_size(status.region / CF_FRAME_BYTES, size),
	    machine_size(status.sub_block / CF_FRAME_BYTES, block));
	return 0;
}

int step_virtio_balloon(struct machine *machine, const struct step *step,
			struct outcome *outcome)
{
	int err = add_device(machine, step, NOUN_BALLOON, outcome);

	if (!err)
		did(outcome, "an empty balloon");
	return err;
}

bool device_is_loaded(const struct device *device)
{
	return device && device->loaded;
}

uint32_t device_owner(struct device *device)
{
	struct cf_balloon_status balloon;
	struct cf_vmem_status vmem;

	if (device->noun == NOUN_MEM) {
		cf_vmem_status(&device->vmem, &vmem);
		return vmem.owner;
	}
	cf_balloon_status(&device->balloon, &balloon);
	return balloon.owner;
}

void device_free(struct device *device)
{
	if (!device)
		return;
	/* First, so that a driver no longer told ends with the machine. */
	device->opened = false;
	host_device_remove(device->host);
	free(device->storage);
	free(device);
}

int step_settle(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	uint64_t for_ns = step_value(step, KEY_FOR, 0);

	if (!device)
		return outcome->err;
	return device->noun == NOUN_MEM ?
	       device_mem_settle(device, for_ns, outcome) :
	       device_balloon_settle(device, for_ns, outcome);
}

int step_work(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	uint64_t times = step_value(step, KEY_TIMES, 1), i;
	struct cf_next next = { CF_WHEN_NOW, 0 };

	if (!device)
		return outcome->err;
	for (i = 0; i < times && next.when != CF_WHEN_NEVER; i++)
		next = device_work(device);
	if (is_broken(device))
		return device_say_broken(device, outcome);
	did(outcome, next.when == CF_WHEN_NOW ? "there is more to do" :
	    "nothing more to do now");
	return 0;
}

int step_unload(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	bool force = step_has(step, KEY_FORCE);
	uint64_t for_ns = step_value(step, KEY_FOR, 0);
	int err;

	if (!device)
		return outcome->err;
	err = device->noun == NOUN_MEM ?
	      device_mem_unload(device, force, for_ns, outcome) :
	      device_balloon_unload(device, force, for_ns, outcome);
	if (err)
		return err;
	device->loaded = false;
	return 0;
}

int step_reload(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct device *device = machine->object[step->name].device;
	int err;

	if (!device)
		return refuse(outcome, CF_EGONE, "%s is not there",
			      machine->name[step->name]);
	if (device->loaded)
		return refuse(outcome, CF_EBUSY, "%s's driver is there",
			      device->name);
	err = device_load(device, outcome);
	if (!err)
		did(outcome, "the driver starts anew");
	return err;
}

int step_migrating(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	bool on = !step_has(step, KEY_OFF);

	if (host_migrating(machine, on))
		return refuse(outcome, CF_EPORT, "the host cannot");
	did(outcome, on ? "the host is busy with it" : "the host is done");
	return 0;
}

static int conduct(struct machine *machine, const struct step *step,
		   enum host_conduct conduct, struct outcome *outcome)
{
	struct device *device = machine->object[step->name].device;
	bool on = !step_has(step, KEY_OFF);

	if (!device)
		return refuse(outcome, CF_EGONE, "%s is not there",
			      machine->name[step->name]);
	if (host_conduct(device->host, conduct, on))
		return refuse(outcome, CF_EREFUSED,
			      "the device does not do that when told to");
	if (!on)
		did(outcome, "as devices do");
	else if (conduct == HOST_LATE)
		did(outcome, "answers are kept back");
	else
		did(outcome, "it refuses all that is asked");
	return 0;
}

int step_refusing(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	return conduct(machine, step, HOST_REFUSING, outcome);
}

int step_late(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	return conduct(machine, step, HOST_LATE, outcome);
}

int step_lie(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	struct device *device = machine->object[step->name].device;
	uint64_t lie = step->amount.number;

	if (!device)
		return refuse(outcome, CF_EGONE, "%s is not there",
			      machine->name[step->name]);
	if (host_lie(device->host, lie, step_value(step, KEY_AFTER, 1)))
		return refuse(outcome, CF_EREFUSED,
			      "the device does not lie when told to");
	did(outcome, lie ? "it will" : "no more");
	return 0;
}

/* ---- while others wait ---- */

typedef void (*each_fn)(struct device *device);

static void each_device(struct machine *machine, each_fn fn)
{
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		enum noun noun = machine->config.names[i].noun;
		struct device *device = machine->object[i].device;

		if ((noun == NOUN_MEM || noun == NOUN_BALLOON) && device &&
		    device->loaded)
			fn(device);
	}
}

static void work_and_report(struct device *device)
{
	if (device->noun == NOUN_BALLOON &&
	    now_ns() - device->report_began_ns >= REPORT_NS)
		device_balloon_report(device);
	work_now(device);
}

static void work_on_low(struct device *device)
{
	if (device->noun == NOUN_BALLOON && cf_balloon_low(&device->balloon))
		work_now(device);
}

static bool is_at_rest(struct device *device)
{
	struct cf_balloon_status status;

	cf_balloon_status(&device->balloon, &status);
	return !status.waiting && !status.hinting;
}

/* Somebody waits for the memory, and so for a host that answers late. */
static void wait_on_low(struct device *device)
{
	if (device->noun == NOUN_BALLOON && cf_balloon_low(&device->balloon))
		(void)device_wait(device, is_at_rest,
				  host_patience_ns());
}

void devices_work_for(struct machine *machine, uint64_t ns)
{
	uint64_t end = now_ns() + ns, now, low = machine_low_signals(machine);

	for (;;) {
		if (machine_low_signals(machine) != low)
			each_device(machine, work_on_low);
		low = machine_low_signals(machine);
		each_device(machine, work_and_report);
		now = now_ns();
		if (now >= end)
			return;
		rest(end - now < POLL_NS ? end - now : POLL_NS);
	}
}

/* More after some came back, less after some went; else no number. */
static uint64_t given_back(struct machine *machine)
{
	struct cf_balloon_status status;
	uint64_t frames = 0;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		struct device *device = machine->object[i].device;

		if (machine->config.names[i].noun != NOUN_BALLOON ||
		    !device || !device->loaded)
			continue;
		cf_balloon_status(&device->balloon, &status);
		frames += status.low_deflated - status.hinted;
	}
	return frames;
}

bool devices_give_way(struct machine *machine)
{
	uint64_t before = given_back(machine);

	each_device(machine, wait_on_low);
	return (int64_t)(given_back(machine) - before) > 0;
}
