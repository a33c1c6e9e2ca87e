/* SPDX-License-Identifier: MIT */

/*
 * Steps on a virtio-mem: the host asks for a size, the driver works until it
 * is so or says what is in the way.
 */

#include <stdlib.h>
#include <string.h>

#include "device.h"

int device_mem_load(struct device *device, const struct host_link *link)
{
	struct cf_vmem_config config = {
		.map = device->machine->map,
		.ops = link->ops,
		.transport = link->transport,
		.shared = link->shared,
		.name = device->name,
		.placed = link->placed,
		.place = device->config.first,
		.first = device->config.first,
		.last = device->config.last,
		.online = device->zone == CF_ZONE_MOVABLE ?
			  CF_VMEM_ONLINE_MOVABLE : CF_VMEM_ONLINE_NORMAL,
		.big_blocks = device->big_blocks,
		.retry_min_ms = device->retry_ms,
	};
	int err, removed = 0;

	(void)memset(&device->vmem, 0, sizeof(device->vmem));
	device->told = CF_VMEM_MIXED + 1;
	err = cf_vmem_open(&device->vmem, &config);
	if (!err) {
		free(device->storage);
		device->storage = malloc(cf_vmem_bytes(&device->vmem));
		err = device->storage ?
		      cf_vmem_start(&device->vmem, device->storage) :
		      -CF_ENOMEM;
	}
	if (err)
		removed = cf_vmem_remove(&device->vmem, false);
	return device_start_error(err, removed);
}

static struct cf_vmem_status status_of(struct device *device)
{
	struct cf_vmem_status status;

	cf_vmem_status(&device->vmem, &status);
	return status;
}

/* It has seen what the host wants, and has nothing left to try. */
static bool is_settled(struct device *device)
{
	struct cf_vmem_status status = status_of(device);

	return status.phase == CF_VMEM_IDLE && !status.waiting &&
	       status.requested == device->wanted;
}

/* Where there is more than one in the way: the others, and how much. */
static void say_stoppers(struct device *device,
			 const struct cf_vmem_status *status,
			 struct outcome *outcome)
{
	struct machine *machine = device->machine;
	size_t room = sizeof(outcome->why), at;
	char size[24];
	unsigned i;

	explain(machine, &status->report, outcome->why, room);
	for (i = 1; i < status->stoppers; i++) {
		const struct cf_vmem_stopper *stopper = &status->stopper[i];

		at = strlen(outcome->why);
		(void)snprintf(outcome->why + at, room - at,
			       "; frame %llu and %s more of %s: %s",
			       (unsigned long long)stopper->pfn,
			       machine_size(stopper->frames - 1, size),
			       name_of_owner(machine, stopper->owner),
			       cf_reason_name(stopper->reason));
	}
}

json_t *device_stoppers_json(struct device *device)
{
	struct cf_vmem_status status = status_of(device);
	json_t *array = json_array();
	unsigned i;

	for (i = 0; i < status.stoppers; i++) {
		const struct cf_vmem_stopper *stopper = &status.stopper[i];

		(void)json_array_append_new(array, json_pack(
			"{s:s, s:s, s:s, s:I, s:I, s:I}", "owner",
			name_of_owner(device->machine, stopper->owner),
			"reason", cf_reason_name(stopper->reason), "type",
			cf_type_name(stopper->type), "frame",
			(json_int_t)stopper->pfn, "blocking",
			(json_int_t)(stopper->frames * CF_FRAME_BYTES),
			"parts", (json_int_t)stopper->parts));
	}
	return array;
}

/* Why a driver backs off. */
static int say_failed(struct device *device,
		      const struct cf_vmem_status *status,
		      struct outcome *outcome)
{
	if (status->report.reason != CF_REASON_NONE) {
		outcome->report = status->report;
		outcome->reported = true;
		outcome->err = -CF_EBUSY;
		say_stoppers(device, status, outcome);
		return outcome->err;
	}
	if (status->err == -CF_EREFUSED)
		return refuse(outcome, CF_EAGAIN, "the device answers NACK");
	if (status->err == -CF_EBUSY)
		return refuse(outcome, CF_EAGAIN, "the device answers BUSY");
	return refuse(outcome, (enum cf_err)-status->err, "%s: %s",
		      device->name, cf_strerror(status->err));
}

/* Idle, but for want of room: less than a step off is as good as can be. */
static int check_size(struct device *device,
		      const struct cf_vmem_status *status,
		      struct outcome *outcome)
{
	uint64_t off = status->plugged < status->requested ?
		       status->requested - status->plugged : 0;
	char size[24];

	if (off < status->sub_block)
		return 0;
	return refuse(outcome, CF_ENOMEM, "%s has no room for %s more",
		      device->name, machine_size(off / CF_FRAME_BYTES, size));
}

int device_mem_settle(struct device *device, uint64_t for_ns,
		      struct outcome *outcome)
{
	uint64_t before = status_of(device).plugged;
	enum device_end end = device_wait(device, is_settled, for_ns);
	struct cf_vmem_status status = status_of(device);
	uint64_t moved = status.plugged > before ? status.plugged - before :
						   before - status.plugged;
	char size[24], now[24];

	outcome->done = moved / CF_FRAME_BYTES;
	did(outcome, "%s %s, %s there now",
	    status.plugged < before ? "unplugged" : "plugged",
	    machine_size(outcome->done, size),
	    machine_size(status.plugged / CF_FRAME_BYTES, now));
	switch (end) {
	case DEVICE_BROKEN:
		return device_say_broken(device, outcome);
	case DEVICE_SILENT:
	case DEVICE_ENDLESS:
		return device_say_lost(device, end, outcome);
	case DEVICE_BACKS_OFF:
		return say_failed(device, &status, outcome);
	case DEVICE_DONE:
		break;
	}
	return check_size(device, &status, outcome);
}

static int request(struct device *device, const struct step *step,
		   uint64_t bytes, struct outcome *outcome)
{
	char size[24];
	int err;

	err = host_request(device->host, bytes);
	if (err)
		return refuse(outcome, (enum cf_err)-err, err == -CF_EINVAL ?
			      "%s can have no %s: more than its region, or"
			      " not whole blocks of the device" :
			      "the host failed to ask %s for %s",
			      device->name, machine_size(bytes / CF_FRAME_BYTES,
							 size));
	device->wanted = bytes;
	if (!step_has(step, KEY_NO_WAIT))
		return device_mem_settle(device, step_value(step, KEY_FOR, 0),
					 outcome);
	did(outcome, "asked for");
	return 0;
}

int step_request(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);

	if (!device)
		return outcome->err;
	return request(device, step, step->amount.number, outcome);
}

/* The answer, whatever it is, is there. */
static bool has_answered(struct device *device)
{
	device->answer_err = cf_vmem_answer(&device->vmem, &device->answer);
	return device->answer_err != -CF_EAGAIN;
}

int step_ask(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	enum device_end end;

	if (!device)
		return outcome->err;
	if (cf_vmem_ask(&device->vmem, step->place.first, step->place.last))
		return refuse(outcome, CF_EINVAL, "no whole blocks of %s's"
			      " region, or asked already", device->name);
	device->answer_err = 0;
	end = device_wait(device, has_answered, host_patience_ns());
	/* Whatever became of it: the next may be asked. */
	cf_vmem_forget(&device->vmem);
	if (end == DEVICE_BROKEN || device->answer_err == -CF_EREFUSED)
		return device_say_broken(device, outcome);
	if (end != DEVICE_DONE)
		return device_say_lost(device, end, outcome);
	if (device->answer_err)
		return refuse(outcome, (enum cf_err)-device->answer_err,
			      "%s does not say", device->name);
	device->told = device->answer;
	did(outcome, "%s", property_word(PROPERTY_TOLD, device->told));
	return 0;
}

int device_plug(struct machine *machine, const struct step *step, bool unplug,
		struct outcome *outcome)
{
	struct device *device = device_of(machine, step, outcome);
	uint64_t bytes = step->amount.number;
	char size[24];

	if (!device)
		return outcome->err;
	if (unplug && bytes > device->wanted)
		return refuse(outcome, CF_EINVAL, "the host wants no more than"
			      " %s there", machine_size(device->wanted /
							CF_FRAME_BYTES, size));
	return request(device, step, unplug ? device->wanted - bytes :
		       device->wanted + bytes, outcome);
}

/* Not by force: what is in the way. */
static int say_stays(struct device *device, struct outcome *outcome)
{
	struct cf_vmem_status status = status_of(device);
	char size[24];

	if (status.plugged)
		return refuse(outcome, CF_EBUSY, "%s has %s plugged",
			      device->name,
			      machine_size(status.plugged / CF_FRAME_BYTES,
					   size));
	if (status.blocks)
		return refuse(outcome, CF_EBUSY, "%s has nothing plugged, but"
			      " %llu of its blocks stay", device->name,
			      (unsigned long long)status.blocks);
	return refuse(outcome, CF_EBUSY, "an operation on blocks goes on");
}

int device_mem_unload(struct device *device, bool force, uint64_t for_ns,
		      struct outcome *outcome)
{
	struct cf_vmem_status status = status_of(device);
	char size[24];
	int err;

	(void)for_ns;
	err = cf_vmem_remove(&device->vmem, force);
	if (err == -CF_EBUSY)
		return say_stays(device, outcome);
	if (err == -CF_EPORT) {
		/* It ended, but its queues are the device's for ever. */
		device->loaded = false;
		return refuse(outcome, CF_EPORT, "%s does not reset",
			      device->name);
	}
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	did(outcome, "%s stays in use",
	    machine_size(status.plugged / CF_FRAME_BYTES, size));
	return 0;
}

