/* SPDX-License-Identifier: MIT */

#include "qemu_monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool failed(struct monitor *monitor, const char *command,
		   const char *why)
{
	(void)snprintf(monitor->error, sizeof(monitor->error), "%s: %s",
		       command, why);
	return false;
}

static uint64_t number_of(const json_t *data, const char *member)
{
	return (uint64_t)json_integer_value(json_object_get(data, member));
}

static void note_event(struct monitor *monitor, const json_t *object)
{
	const char *event = json_string_value(json_object_get(object,
							      "event"));
	const json_t *data = json_object_get(object, "data");
	const char *id = json_string_value(json_object_get(data, "id"));
	unsigned number;

	if (event && !strcmp(event, "BALLOON_CHANGE"))
		monitor->ram_told = number_of(data, "actual");
	if (event && !strcmp(event, "MEMORY_DEVICE_SIZE_CHANGE") && id &&
	    sscanf(id, "device%u", &number) == 1 && number < MONITOR_DEVICES)
		monitor->size_told[number] = number_of(data, "size");
}

/* "Unknown" is the largest number of 64 bits, which jansson does not read. */
static void make_readable(char *line)
{
	static const char unknown[] = "18446744073709551615";
	static const char minus[] = "                  -1";
	char *at = line;

	while ((at = strstr(at, unknown)) != NULL)
		(void)memcpy(at, minus, sizeof(minus) - 1);
}

/* The next line that is no event, {} if it is no JSON. NULL: @read. */
static json_t *next_object(struct monitor *monitor, uint64_t until_ns,
			   enum channel_read *read)
{
	json_t *object;
	char *line;

	for (;;) {
		*read = channel_line(&monitor->channel, until_ns, &line);
		if (*read != CHANNEL_LINE)
			return NULL;
		make_readable(line);
		object = json_loads(line, 0, NULL);
		if (!json_object_get(object, "event"))
			return object ? object : json_object();
		note_event(monitor, object);
		json_decref(object);
	}
}

/* An earlier command's, of which nobody waits for the answer any more. */
static bool is_late(const struct monitor *monitor, const json_t *object)
{
	const json_t *id = json_object_get(object, "id");

	return json_is_integer(id) &&
	       (uint64_t)json_integer_value(id) != monitor->commands;
}

static json_t *await(struct monitor *monitor, const char *command)
{
	uint64_t until_ns = channel_now() + monitor->patience_ns;
	enum channel_read read;
	json_t *object;

	while ((object = next_object(monitor, until_ns, &read)) != NULL &&
	       is_late(monitor, object))
		json_decref(object);
	if (!object)
		(void)failed(monitor, command, read == CHANNEL_LATE ?
			     "QEMU does not answer" : "QEMU is gone");
	return object;
}

bool monitor_hear(struct monitor *monitor, uint64_t until_ns)
{
	enum channel_read read;
	json_t *object;

	while ((object = next_object(monitor, until_ns, &read)) != NULL)
		json_decref(object);
	return read == CHANNEL_LATE;
}

static bool say(struct monitor *monitor, const char *command,
		json_t *arguments)
{
	json_t *object = json_pack("{s:s, s:I}", "execute", command, "id",
				   (json_int_t)++monitor->commands);
	char *line;
	bool said;

	if (arguments)
		(void)json_object_set_new(object, "arguments", arguments);
	line = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (!line)
		return failed(monitor, command, "no memory");
	said = channel_say(&monitor->channel, line, strlen(line)) &&
	       channel_say(&monitor->channel, "\n", 1);
	free(line);
	return said || failed(monitor, command, "QEMU is gone");
}

bool monitor_do(struct monitor *monitor, const char *command,
		json_t *arguments, json_t **ret_answer)
{
	json_t *object, *answer;
	const char *why;

	if (!say(monitor, command, arguments))
		return false;
	object = await(monitor, command);
	if (!object)
		return false;
	answer = json_object_get(object, "return");
	why = json_string_value(json_object_get(json_object_get(
			object, "error"), "desc"));
	if (!answer)
		(void)failed(monitor, command, why ? why : "a strange answer");
	else if (ret_answer)
		*ret_answer = json_incref(answer);
	json_decref(object);
	return answer != NULL;
}

bool monitor_open(struct monitor *monitor, int fd, uint64_t patience_ns)
{
	json_t *greeting;
	unsigned i;

	*monitor = (struct monitor){ .patience_ns = patience_ns,
				     .ram_told = ~(uint64_t)0 };
	for (i = 0; i < MONITOR_DEVICES; i++)
		monitor->size_told[i] = ~(uint64_t)0;
	channel_open(&monitor->channel, fd);
	greeting = await(monitor, "the monitor");
	if (!greeting)
		return false;
	json_decref(greeting);
	return monitor_do(monitor, "qmp_capabilities", NULL, NULL);
}

void monitor_close(struct monitor *monitor)
{
	channel_close(&monitor->channel);
}

static json_t *property_of(const char *device, const char *property)
{
	return json_pack("{s:s+, s:s}", "path", "/machine/peripheral/",
			 device, "property", property);
}

bool monitor_set(struct monitor *monitor, const char *device,
		 const char *property, uint64_t value)
{
	json_t *arguments = property_of(device, property);

	(void)json_object_set_new(arguments, "value",
				  json_integer((json_int_t)value));
	return monitor_do(monitor, "qom-set", arguments, NULL);
}
