/* SPDX-License-Identifier: MIT */

/*
 * Steps on a virtio-balloon: its size, statistics, and rounds of reports and
 * of hints.
 */

#include <stdlib.h>
#include <string.h>

#include "device.h"

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
		.small = device->single,
		.retry_ms = device->retry_ms,
		/* Rounds begin when a scenario says so, or while it waits. */
		.report_ms = ~(uint64_t)0,
	};
	int err;

	(void)memset(&device->balloon, 0, sizeof(device->balloon));
	free(device->storage);
	device->storage = calloc(1, cf_balloon_reported_bytes(config.map));
	if (!device->storage)
		return -CF_ENOMEM;
	config.reported = device->storage;
	err = cf_balloon_open(&device->balloon, &config);
	/* It holds nothing; that it may not reset is what broke it, then. */
	if (err && cf_balloon_remove(&device->balloon, NULL) &&
	    err != -CF_EREFUSED)
		return -CF_EPORT;
	return err;
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
	       status.held == status.target;
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
		return refuse(outcome, CF_EAGAIN, "%s does not answer",
			      device->name);
	case DEVICE_BACKS_OFF:
		return refuse(outcome, CF_ENOMEM, "there is no memory for %s"
			      " more",
			      machine_size(status.target > status.held ?
					   status.target - status.held : 0,
					   size));
	case DEVICE_DONE:
		break;
	}
	return 0;
}

int step_balloon(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	int err;

	if (!device)
		return outcome->err;
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

/* What goes on and what is waited for. */
static int wait_for(struct device *device, device_fn done,
		    const struct step *step, struct outcome *outcome)
{
	switch (device_wait(device, done, step_value(step, KEY_FOR, 0))) {
	case DEVICE_BROKEN:
		return device_say_broken(device, outcome);
	case DEVICE_SILENT:
	case DEVICE_BACKS_OFF:
		return refuse(outcome, CF_EAGAIN, "%s does not answer",
			      device->name);
	case DEVICE_DONE:
		break;
	}
	return 0;
}

static bool has_sent(struct device *device)
{
	return status_of(device).stats_sent > device->count;
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
	device->count = status_of(device).stats_sent;
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
	return status_of(device).report_rounds > device->count &&
	       !status_of(device).waiting;
}

void device_balloon_report(struct device *device)
{
	device->reported_ns = now_ns();
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
	device->count = status.report_rounds;
	device_balloon_report(device);
	err = wait_for(device, has_reported, step, outcome);
	outcome->done = status_of(device).reported - status.reported;
	did(outcome, "%s reported free", machine_size(outcome->done, size));
	return err;
}

/* It has told of all it could spare. */
static bool has_hinted(struct device *device)
{
	return status_of(device).hint_rounds > device->count;
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
	device->count = status_of(device).hint_rounds;
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
		return refuse(outcome, CF_EAGAIN, "%s does not deflate",
			      device->name);
	err = cf_balloon_remove(&device->balloon, &orphans);
	device->loaded = false;
	if (err)
		return refuse(outcome, CF_EPORT, "%s does not reset",
			      device->name);
	did(outcome, orphans ? "%s is left to the orphan" : "nothing is left",
	    machine_size(orphans, size));
	return 0;
}
