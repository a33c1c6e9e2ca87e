/* SPDX-License-Identifier: MIT */

/*
 * What the guest asks of its host: to want another size of a device, and to
 * say what QEMU sees of it. By the monitor, and by what the kernel says of
 * QEMU's memory.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qemu_kind.h"

#define UNKNOWN		(~(uint64_t)0)
#define SLOWLY		4096		/* bytes a second of a migration */
#define BEGIN_NS	30000000000ull	/* of a migration */
#define END_NS		30000000000ull
#define STATS_S		3600		/* until QEMU asks again by itself */

struct question {
	struct qemu *qemu;
	const struct qemu_config *config;
	unsigned number;		/* of the device */
	uint64_t value;
};

static void name_device(const struct question *question, char name[24])
{
	(void)snprintf(name, 24, "device%u", question->number);
}

/* QEMU says no to what a device cannot be. */
static int request(const struct question *question)
{
	char name[24];

	name_device(question, name);
	return monitor_set(&question->qemu->monitor, name, "requested-size",
			   question->value) ? 0 : CF_EINVAL;
}

/* QEMU is told how much is to be left. */
static int balloon(const struct question *question)
{
	uint64_t memory = question->config->memory;

	if (question->value >= memory)
		return CF_EINVAL;
	return monitor_do(&question->qemu->monitor, "balloon",
			  json_pack("{s:I}", "value",
				    (json_int_t)(memory - question->value)),
			  NULL) ? 0 : CF_EPORT;
}

/* It asks when it begins to ask at intervals. */
static int stats(const struct question *question)
{
	struct monitor *monitor = &question->qemu->monitor;
	char name[24];

	name_device(question, name);
	return monitor_set(monitor, name, "guest-stats-polling-interval",
			   0) &&
	       monitor_set(monitor, name, "guest-stats-polling-interval",
			   STATS_S) ? 0 : CF_EPORT;
}

/* "active", "cancelling", ...; "none". False: QEMU does not say. */
static bool migration_status(struct monitor *monitor, char status[24])
{
	const char *word;
	json_t *answer;

	if (!monitor_do(monitor, "query-migrate", NULL, &answer))
		return false;
	word = json_string_value(json_object_get(answer, "status"));
	(void)snprintf(status, 24, "%s", word ? word : "none");
	json_decref(answer);
	return true;
}

/* Wait until the migration is in one of those states. */
static bool await_migration(struct monitor *monitor,
			    const char *const *words, uint64_t for_ns)
{
	static const struct timespec nap = { 0, 2000000 };
	uint64_t end_ns = channel_now() + for_ns;
	char status[24];
	unsigned i;

	while (migration_status(monitor, status)) {
		for (i = 0; words[i]; i++)
			if (!strcmp(status, words[i]))
				return true;
		if (channel_now() > end_ns)
			return false;
		(void)nanosleep(&nap, NULL);
	}
	return false;
}

/*
 * Cancelling takes its time, and QEMU says yes when it begins with that.
 * Until it is done a device is BUSY, and no other migration can begin.
 */
static int end_migration(struct monitor *monitor)
{
	static const char *const ended[] = {
		"none", "cancelled", "completed", "failed", NULL,
	};

	return monitor_do(monitor, "migrate_cancel", NULL, NULL) &&
	       await_migration(monitor, ended, END_NS) ? 0 : CF_EPORT;
}

static bool is_migrating(struct monitor *monitor)
{
	char status[24];

	return migration_status(monitor, status) &&
	       (!strcmp(status, "setup") || !strcmp(status, "active"));
}

/*
 * A migration to nowhere that lasts until it is cancelled. Once it has begun
 * to look at memory, devices are BUSY and hints have been asked for.
 */
static int begin_migration(struct monitor *monitor)
{
	static const char *const begun[] = { "active", NULL };

	if (!monitor_do(monitor, "migrate-set-parameters",
			json_pack("{s:i}", "max-bandwidth", SLOWLY), NULL) ||
	    !monitor_do(monitor, "migrate", json_pack("{s:s}", "uri",
					"exec:cat >/dev/null"), NULL))
		return CF_EPORT;
	if (await_migration(monitor, begun, BEGIN_NS))
		return 0;
	(void)end_migration(monitor);
	return CF_EPORT;
}

/* One that has begun goes on. */
static int migrating(const struct question *question)
{
	struct monitor *monitor = &question->qemu->monitor;

	if (!question->value)
		return end_migration(monitor);
	return is_migrating(monitor) ? 0 : begin_migration(monitor);
}

/* A round of hints goes with the start of a migration. */
static int hint(const struct question *question)
{
	struct monitor *monitor = &question->qemu->monitor;

	if (!question->value)
		return end_migration(monitor);
	return is_migrating(monitor) ? CF_EPORT : begin_migration(monitor);
}

/* Where QEMU has an address: "Host virtual address for ... is 0x7f...". */
static uint64_t host_address(struct qemu *qemu, unsigned number,
			     uint64_t address)
{
	uint64_t *known = &qemu->host_address[number];
	char command[64];
	const char *at;
	json_t *answer;

	if (*known)
		return *known;
	(void)snprintf(command, sizeof(command), "gpa2hva 0x%llx",
		       (unsigned long long)address);
	if (!monitor_do(&qemu->monitor, "human-monitor-command",
			json_pack("{s:s}", "command-line", command), &answer))
		return 0;
	at = json_string_value(answer);
	at = at ? strstr(at, " is 0x") : NULL;
	*known = at ? strtoull(at + 4, NULL, 16) : 0;
	json_decref(answer);
	return *known;
}

static uint64_t resident_region(const struct question *question,
				unsigned number)
{
	const struct qemu_config *config = question->config;
	const struct qemu_device *device = &config->device[number];
	uint64_t address = host_address(question->qemu, number,
					config->place + device->first);

	return address ? qemu_resident_range(question->qemu, address,
					     device->last - device->first) :
			 UNKNOWN;
}

/* RAM and regions: what else QEMU needs is the emulator's, and grows. */
static int resident(const struct question *question, uint64_t *ret_bytes)
{
	const struct qemu_config *config = question->config;
	uint64_t address = host_address(question->qemu, QEMU_DEVICES_MAX,
					qemu_kinds[config->kind].start);
	uint64_t bytes, sum;
	unsigned i;

	if (!address)
		return CF_EPORT;
	sum = qemu_resident_range(question->qemu, address, config->memory);
	for (i = 0; i < config->devices; i++) {
		bytes = config->device[i].kind == NOUN_MEM ?
			resident_region(question, i) : 0;
		if (bytes != UNKNOWN)
			sum += bytes;
	}
	*ret_bytes = sum;
	return 0;
}

static bool view_mem(const struct question *question, uint64_t *plugged,
		     uint64_t *ret_resident)
{
	*ret_resident = resident_region(question, question->number);
	return qemu_plugged(question->qemu, question->number, plugged);
}

static uint64_t stat_of(const json_t *stats, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(
		json_object_get(stats, "stats"), name));
}

/* What the guest told: free, total, available. */
static bool view_stats(const struct question *question, uint64_t told[3])
{
	static const char *const names[] = {
		"stat-free-memory", "stat-total-memory",
		"stat-available-memory",
	};
	char path[64];
	json_t *answer;
	unsigned i;

	(void)snprintf(path, sizeof(path), "/machine/peripheral/device%u",
		       question->number);
	if (!monitor_do(&question->qemu->monitor, "qom-get",
			json_pack("{s:s, s:s}", "path", path, "property",
				  "guest-stats"), &answer))
		return false;
	for (i = 0; i < 3; i++)
		if (json_integer_value(json_object_get(answer,
						       "last-update")))
			told[i] = stat_of(answer, names[i]);
	json_decref(answer);
	return true;
}

static bool view_balloon(const struct question *question, uint64_t *ballooned,
			 uint64_t told[3])
{
	return qemu_ballooned(question->qemu, question->config, ballooned) &&
	       view_stats(question, told);
}

/* Plugged, ballooned, resident, free, total, available, complaints. */
static int view(const struct question *question, char *line, size_t bytes)
{
	uint64_t plugged = 0, ballooned = 0, of_region = UNKNOWN;
	uint64_t told[3] = { UNKNOWN, UNKNOWN, UNKNOWN };
	bool seen;

	if (question->config->device[question->number].kind == NOUN_MEM)
		seen = view_mem(question, &plugged, &of_region);
	else
		seen = view_balloon(question, &ballooned, told);
	(void)snprintf(line, bytes, " %llu %llu %llu %llu %llu %llu %llu",
		       (unsigned long long)plugged,
		       (unsigned long long)ballooned,
		       (unsigned long long)of_region,
		       (unsigned long long)told[0],
		       (unsigned long long)told[1],
		       (unsigned long long)told[2],
		       (unsigned long long)qemu_complaints(question->qemu));
	return seen ? 0 : CF_EPORT;
}

static int answer_of_device(const struct question *question, const char *what,
			    char *line, size_t bytes)
{
	if (question->number >= question->config->devices)
		return CF_EINVAL;
	if (!strcmp(what, "request"))
		return request(question);
	if (!strcmp(what, "balloon"))
		return balloon(question);
	if (!strcmp(what, "stats"))
		return stats(question);
	if (!strcmp(what, "hint"))
		return hint(question);
	if (!strcmp(what, "view"))
		return view(question, line, bytes);
	return CF_EINVAL;
}

void qemu_answer(struct qemu *qemu, const struct qemu_config *config,
		 const char *words, char *line, size_t bytes)
{
	struct question question = { qemu, config, 0, 0 };
	unsigned long long value = 0;
	uint64_t bytes_there = 0;
	char what[16] = "", numbers[160] = "";
	int err = 0;

	(void)sscanf(words, "%15s %u %llu", what, &question.number, &value);
	question.value = value;
	if (!strcmp(what, "resident")) {
		err = resident(&question, &bytes_there);
		(void)snprintf(numbers, sizeof(numbers), " %llu",
			       (unsigned long long)bytes_there);
	} else if (!strcmp(what, "migrating"))
		err = migrating(&question);
	else
		err = answer_of_device(&question, what, numbers,
				       sizeof(numbers));
	(void)snprintf(line, bytes, "%d%s\n", err, err ? "" : numbers);
}
