/* SPDX-License-Identifier: MIT */

/*
 * Steps on a virtio-balloon: its size, statistics, and rounds of reports and
 * of hints.
 */

#include <stdlib.h>
#include <string.h>

#include "device.h"

#define POISON		0xaaaaaaaa	/* what Linux writes */

int device_balloon_load(struct device *device, const struct host_link *link)
{
	struct cf_balloon_config config = {
		.map = device->machine->map,
		.ops = link->ops,
		.transport = link->transport,
		.shared = link->shared,
		.name = device->name,
		.device_frame = link->device_frame,
		.context = device->machine,
		.small = device->small_pages,
		.retry_ms = device->retry_ms,
		.poisoned = device->poisoned,
		.poison = device->poison,
		/* Rounds begin when a scenario says so, or while it waits. */
		.report_ms = ~(uint64_t)0,
	};
	int err, removed = 0;

	(void)memset(&device->balloon, 0, sizeof(device->balloon));
	free(device->storage);
	device->storage = calloc(1, cf_balloon_reported_bytes(config.map));
	if (!device->storage)
		return -CF_ENOMEM;
	config.reported = device->storage;
	err = cf_balloon_open(&device->balloon, &config);
	if (err)
		removed = cf_balloon_remove(&device->balloon, NULL);
	return device_start_error(err, removed);
}

static struct cf_balloon_status status_of(struct device *device)
{
	struct cf_balloon_status status;

	cf_balloon_status(&device->balloon, &status);
	return status;
}

/* Nothing on its way, and the device has been heard. */
static bool is_settled(struct device *device)
{
	struct cf_balloon_status status = status_of(device);

	return status.phase == CF_BALLOON_IDLE && !status.waiting &&
	       status.target == device->wanted / CF_FRAME_BYTES &&
	       status.held == status.target && !status.hinting;
}

/* All was tried: it can have no more, or not give back what it took. */
static int say_backs_off(const struct cf_balloon_status *status,
			 struct device *device, struct outcome *outcome)
{
	char size[24];

	if (status->deflating)
		return refuse(outcome, CF_EAGAIN, "%s of %s cannot be taken"
			      " back yet", machine_size(status->deflating,
							size), device->name);
	return refuse(outcome, CF_ENOMEM, "there is no memory for %s more",
		      machine_size(status->target > status->held ?
				   status->target - status->held : 0, size));
}

int device_balloon_settle(struct device *device, uint64_t for_ns,
			  struct outcome *outcome)
{
	uint64_t before = status_of(device).held;
	enum device_end end = device_wait(device, is_settled, for_ns);
	struct cf_balloon_status status = status_of(device);
	char size[24], now[24];

	outcome->done = status.held > before ? status.held - before :
					       before - status.held;
	did(outcome, "%s %s, %s in the balloon", status.held < before ?
	    "gave back" : "took", machine_size(outcome->done, size),
	    machine_size(status.held, now));
	switch (end) {
	case DEVICE_BROKEN:
		return device_say_broken(device, outcome);
	case DEVICE_SILENT:
	case DEVICE_ENDLESS:
		return device_say_lost(device, end, outcome);
	case DEVICE_BACKS_OFF:
		return say_backs_off(&status, device, outcome);
	case DEVICE_DONE:
		break;
	}
	return 0;
}

/*
 * A host takes what the machine has without devices of memory: frames before
 * the first region.
 */
static uint64_t most(const struct machine *machine)
{
	cf_pfn last = machine->map_config.last;
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		const struct device *device = machine->object[i].device;

		if (machine->config.names[i].noun == NOUN_MEM && device &&
		    device->config.first < last)
			last = device->config.first;
	}
	return last * CF_FRAME_BYTES;
}

int step_balloon(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	char size[24];
	int err;

	if (!device)
		return outcome->err;
	if (step->amount.number > most(machine))
		return refuse(outcome, CF_EINVAL, "the host asks for no such"
			      " balloon: it gave the machine %s",
			      machine_size(most(machine) / CF_FRAME_BYTES,
					   size));
	err = host_balloon(device->host, step->amount.number);
	if (err)
		return refuse(outcome, (enum cf_err)-err,
			      "the host asks for no such balloon");
	device->wanted = step->amount.number;
	if (!step_has(step, KEY_NO_WAIT))
		return device_balloon_settle(device,
					     step_value(step, KEY_FOR, 0),
					     outcome);
	did(outcome, "asked for");
	return 0;
}

/*
 * What goes on and what is waited for. That the driver is to look again at
 * some time is about its size: an answer has as long as answers have.
 */
static int wait_for(struct device *device, device_done_fn done,
		    const struct step *step, struct outcome *outcome)
{
	uint64_t for_ns = step_value(step, KEY_FOR, 0);
	enum device_end end;

	if (for_ns < host_patience_ns())
		for_ns = host_patience_ns();
	end = device_wait(device, done, for_ns);
	if (end == DEVICE_DONE)
		return 0;
	if (end == DEVICE_BROKEN)
		return device_say_broken(device, outcome);
	return device_say_lost(device, end, outcome);
}

/* Features are agreed on when a driver starts. */
int step_poison(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct device *device = machine->object[step->name].device;

	if (!device)
		return refuse(outcome, CF_EGONE, "%s is not there",
			      machine->name[step->name]);
	if (device->loaded)
		return refuse(outcome, CF_EBUSY, "%s's driver is there: unload"
			      " it first", device->name);
	device->poisoned = !step_has(step, KEY_OFF);
	device->poison = step_has(step, KEY_ZERO) ? 0 : POISON;
	did(outcome, device->poisoned ? "free frames hold 0x%08x" :
	    "free frames hold anything", device->poison);
	return 0;
}

static bool has_sent(struct device *device)
{
	return status_of(device).stats_sent > device->count_before;
}

int step_stats(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	struct host_view view = { .free = 0 };
	char free[24], total[24];
	int err;

	if (!device)
		return outcome->err;
	device->count_before = status_of(device).stats_sent;
	if (host_stats(device->host))
		return refuse(outcome, CF_EAGAIN,
			      "no buffer for statistics is there");
	err = wait_for(device, has_sent, step, outcome);
	if (!err && host_view(device->host, &view))
		return refuse(outcome, CF_EPORT, "the host does not say");
	if (!err)
		did(outcome, "%s of %s free",
		    machine_size(view.free / CF_FRAME_BYTES, free),
		    machine_size(view.total / CF_FRAME_BYTES, total));
	return err;
}

static bool has_reported(struct device *device)
{
	return status_of(device).report_rounds > device->count_before &&
	       !status_of(device).waiting;
}

void device_balloon_report(struct device *device)
{
	device->report_began_ns = now_ns();
	(void)cf_balloon_report(&device->balloon);
}

int step_report(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	struct cf_balloon_status status;
	char size[24];
	int err;

	if (!device)
		return outcome->err;
	status = status_of(device);
	if (!device->config.reporting)
		return refuse(outcome, CF_EINVAL, "%s has no reporting",
			      device->name);
	device->count_before = status.report_rounds;
	device_balloon_report(device);
	err = wait_for(device, has_reported, step, outcome);
	outcome->done = status_of(device).reported - status.reported;
	did(outcome, "%s reported free", machine_size(outcome->done, size));
	return err;
}

/* It has told of all it could spare, and the device has taken that. */
static bool has_hinted(struct device *device)
{
	struct cf_balloon_status status = status_of(device);

	return status.hint_rounds > device->count_before && !status.hinting;
}

static bool has_released(struct device *device)
{
	return !status_of(device).hinted;
}

int step_hint(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	char size[24];
	int err;

	if (!device)
		return outcome->err;
	if (!device->config.hinting)
		return refuse(outcome, CF_EINVAL, "%s has no hinting",
			      device->name);
	device->count_before = status_of(device).hint_rounds;
	if (host_hint(device->host, HOST_HINT_START))
		return refuse(outcome, CF_EPORT, "the host cannot begin");
	err = wait_for(device, has_hinted, step, outcome);
	if (host_hint(device->host, HOST_HINT_DONE) && !err)
		err = refuse(outcome, CF_EPORT, "the host does not end it");
	if (!err)
		err = wait_for(device, has_released, step, outcome);
	outcome->done = status_of(device).hints;
	did(outcome, "%s hinted to be free",
	    machine_size(outcome->done, size));
	return err;
}

static bool is_empty(struct device *device)
{
	struct cf_balloon_status status = status_of(device);

	return !status.held && !status.inflating && !status.deflating &&
	       !status.waiting;
}

int device_balloon_unload(struct device *device, bool force, uint64_t for_ns,
			  struct outcome *outcome)
{
	enum device_end end = DEVICE_DONE;
	uint64_t orphans;
	char size[24];
	int err;

	if (!force) {
		cf_balloon_drain(&device->balloon, true);
		end = device_wait(device, is_empty, for_ns);
		cf_balloon_drain(&device->balloon, false);
	}
	if (end == DEVICE_BROKEN)
		return device_say_broken(device, outcome);
	if (end != DEVICE_DONE)
		return refuse(outcome, CF_EAGAIN, "%s does not deflate: it has"
			      " %s yet", device->name,
			      machine_size(status_of(device).held +
					   status_of(device).deflating,
					   size));
	err = cf_balloon_remove(&device->balloon, &orphans);
	device->loaded = false;
	if (err)
		return refuse(outcome, CF_EPORT, "%s does not reset",
			      device->name);
	did(outcome, orphans ? "%s is left to the orphan" : "nothing is left",
	    machine_size(orphans, size));
	return 0;
}
