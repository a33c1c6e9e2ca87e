/* SPDX-License-Identifier: MIT */

/*
 * What QEMU sees of its devices, beside what the guest says of them: sizes
 * asked for, plugged and ballooned, the region, memory that is really there,
 * and what QEMU's events have told.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_kind.h"

#define LOOK_NS		20000000ull

struct view {
	struct qemu *qemu;
	const struct qemu_config *config;
	char *why;			/* what differs first */
	size_t bytes;
};

static bool differs(const struct view *view, const char *name,
		    const char *what, json_int_t guest, json_int_t host)
{
	(void)snprintf(view->why, view->bytes, "%s: %s is %lld, and %lld by"
		       " QEMU's account", name, what, (long long)guest,
		       (long long)host);
	return false;
}

static bool is_missing(const struct view *view, const char *name,
		       const char *what)
{
	(void)snprintf(view->why, view->bytes, "%s: nobody says what %s is",
		       name, what);
	return false;
}

static bool is_equal(const struct view *view, const json_t *device,
		     const char *member, uint64_t host)
{
	const char *name = json_string_value(json_object_get(device, "name"));
	const json_t *own = json_object_get(device, member);

	if (!json_is_integer(own))
		return is_missing(view, name, member);
	if ((uint64_t)json_integer_value(own) == host)
		return true;
	return differs(view, name, member, json_integer_value(own),
		       (json_int_t)host);
}

/* A driver that works, or has ended, may count otherwise for now. */
static bool is_at_rest(const json_t *device)
{
	const char *state = json_string_value(json_object_get(device,
							      "state"));

	return state && (!strcmp(state, "idle") ||
			 !strcmp(state, "backing-off"));
}

/* The object of an array whose member "name" or "id" is that word. */
static const json_t *find(const json_t *array, const char *member,
			  const char *word, size_t length)
{
	const json_t *object;
	const char *has;
	size_t i;

	json_array_foreach(array, i, object) {
		has = json_string_value(json_object_get(object, member));
		if (has && strlen(has) == length &&
		    !memcmp(has, word, length))
			return object;
	}
	return NULL;
}

/* What "query-memory-devices" says of one. NULL: nothing. */
static const json_t *memory_device(const json_t *all, unsigned number)
{
	const json_t *device, *data, *id;
	char name[24];
	size_t i;

	(void)snprintf(name, sizeof(name), "device%u", number);
	json_array_foreach(all, i, device) {
		data = json_object_get(device, "data");
		id = json_object_get(data, "id");
		if (json_is_string(id) && !strcmp(json_string_value(id), name))
			return data;
	}
	return NULL;
}

static uint64_t number_of(const json_t *object, const char *member)
{
	return (uint64_t)json_integer_value(json_object_get(object, member));
}

bool qemu_plugged(struct qemu *qemu, unsigned number, uint64_t *ret_bytes)
{
	const json_t *device;
	json_t *all;

	if (!monitor_do(&qemu->monitor, "query-memory-devices", NULL, &all))
		return false;
	device = memory_device(all, number);
	if (device)
		*ret_bytes = number_of(device, "size");
	json_decref(all);
	return device != NULL;
}

bool qemu_ballooned(struct qemu *qemu, const struct qemu_config *config,
		    uint64_t *ret_bytes)
{
	json_t *answer;

	if (!monitor_do(&qemu->monitor, "query-balloon", NULL, &answer))
		return false;
	*ret_bytes = config->memory - number_of(answer, "actual");
	json_decref(answer);
	return true;
}

/* A region's memory that is there is memory that is plugged. */
static bool resident_fits(const struct view *view, const json_t *device,
			  uint64_t size)
{
	const char *name = json_string_value(json_object_get(device, "name"));
	uint64_t there = number_of(device, "resident");

	if (!json_object_get(device, "resident"))
		return is_missing(view, name, "resident");
	return there <= size ||
	       differs(view, name, "resident, of what is plugged,",
		       (json_int_t)there, (json_int_t)size);
}

static bool mem_agrees(const struct view *view, unsigned number,
		       const json_t *guest, const json_t *host)
{
	const struct qemu_device *device = &view->config->device[number];
	const char *name = json_string_value(json_object_get(guest, "name"));
	uint64_t size = number_of(host, "size");
	uint64_t region = device->last - device->first;

	if (!host)
		return is_missing(view, name, "its account of it");
	if (number_of(host, "max-size") != region)
		return differs(view, name, "its region", (json_int_t)region,
			       (json_int_t)number_of(host, "max-size"));
	if (!is_equal(view, guest, "requested",
		      number_of(host, "requested-size")) ||
	    !is_equal(view, guest, "device-block",
		      number_of(host, "block-size")) ||
	    !is_equal(view, guest, "node", number_of(host, "node")))
		return false;
	if (!is_at_rest(guest))
		return true;
	return is_equal(view, guest, "plugged", size) &&
	       is_equal(view, guest, "host-plugged", size) &&
	       resident_fits(view, guest, size);
}

static bool balloon_agrees(const struct view *view, const json_t *guest)
{
	uint64_t ballooned;

	if (!is_at_rest(guest))
		return true;
	if (!qemu_ballooned(view->qemu, view->config, &ballooned))
		return is_missing(view, json_string_value(json_object_get(
					guest, "name")), "the balloon");
	return is_equal(view, guest, "ballooned", ballooned) &&
	       is_equal(view, guest, "host-ballooned", ballooned);
}

/* One that is not in the report is one the scenario has not come to. */
static bool device_agrees(const struct view *view, unsigned number,
			  const json_t *report, const json_t *all)
{
	const struct qemu_device *device = &view->config->device[number];
	bool is_mem = device->kind == NOUN_MEM;
	const json_t *guest = find(json_object_get(report, is_mem ?
						   "virtio-mem" :
						   "virtio-balloon"), "name",
				   device->name.start, device->name.length);

	if (!guest)
		return true;
	return is_mem ? mem_agrees(view, number, guest,
				   memory_device(all, number)) :
			balloon_agrees(view, guest);
}

bool qemu_agrees(struct qemu *qemu, const struct qemu_config *config,
		 const json_t *report, char *why, size_t bytes)
{
	const struct view view = { qemu, config, why, bytes };
	bool agrees = true;
	json_t *all;
	unsigned i;

	if (!monitor_do(&qemu->monitor, "query-memory-devices", NULL, &all)) {
		(void)snprintf(why, bytes, "QEMU: %s", qemu->monitor.error);
		return false;
	}
	for (i = 0; i < config->devices && agrees; i++)
		agrees = device_agrees(&view, i, report, all);
	json_decref(all);
	return agrees;
}

/* Has the last event said what is so now?  None: nothing ever was. */
static bool is_told(struct qemu *qemu, const struct qemu_config *config,
		    unsigned number, uint64_t now)
{
	uint64_t told = qemu->monitor.ram_told;

	if (config->device[number].kind == NOUN_MEM)
		told = qemu->monitor.size_told[number];
	else if (told != ~(uint64_t)0)
		told = config->memory - told;
	return told == ~(uint64_t)0 ? now == 0 : told == now;
}

/* By the events, when they have come. */
bool qemu_told(struct qemu *qemu, const struct qemu_config *config,
	       uint64_t for_ns, char *why, size_t bytes)
{
	uint64_t until_ns = channel_now() + for_ns, now;
	unsigned i;

	for (i = 0; i < config->devices; i++) {
		if (config->device[i].kind == NOUN_MEM ?
		    !qemu_plugged(qemu, i, &now) :
		    !qemu_ballooned(qemu, config, &now)) {
			(void)snprintf(why, bytes, "QEMU: %s",
				       qemu->monitor.error);
			return false;
		}
		while (!is_told(qemu, config, i, now)) {
			if (channel_now() < until_ns &&
			    monitor_hear(&qemu->monitor, channel_now() +
					 LOOK_NS))
				continue;
			(void)snprintf(why, bytes, "no event of QEMU's has"
				       " told that %.*s has %llu bytes",
				       (int)config->device[i].name.length,
				       config->device[i].name.start,
				       (unsigned long long)now);
			return false;
		}
	}
	return true;
}
