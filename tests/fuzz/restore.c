/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a saved machine: it is refused with a sentence, or it is a
 * machine of which every equation holds, that can be reported and saved.
 *
 * Numbers and checksums of chunks are made right first, so that what is in
 * them is looked at.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "machine/restore.h"
#include "machine/save_diff.h"
#include "maps.h"
#include "tools/coldframe/save_source.h"

#define BYTES_MAX	(256 << 10)
#define SPAN_MAX	((cf_pfn)65536)
#define CPUS_MAX	8

static void put32(uint8_t *at, uint64_t value)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 |
	       (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_sum(uint8_t *at, const uint8_t *bytes, size_t count)
{
	put32(at, crc32(0, bytes, (unsigned)count));
}

/* One chunk at @at; where the next one begins. */
static size_t repair_chunk(uint8_t *at, size_t left, uint64_t number)
{
	size_t room = left - SAVE_CHUNK_HEAD_BYTES;
	uint32_t stored = get32(at + 8);

	if (stored > room)
		stored = (uint32_t)room;
	put32(at + 4, at[4] & 1);
	put32(at + 8, stored);
	if (!(at[4] & 1))
		put32(at + 12, stored);
	put32(at + 16, number);
	put32(at + 20, 0);
	put_sum(at + 24, at + SAVE_CHUNK_HEAD_BYTES, stored);
	put_sum(at + 28, at, 28);
	return SAVE_CHUNK_HEAD_BYTES + stored;
}

static void repair(uint8_t *bytes, size_t count)
{
	uint64_t number = 0;
	size_t at;

	if (count < SAVE_HEAD_BYTES)
		return;
	put_sum(bytes + 28, bytes, 28);
	for (at = SAVE_HEAD_BYTES; count - at > SAVE_CHUNK_HEAD_BYTES;)
		at += repair_chunk(bytes + at, count - at, number++);
}

static void look_at(struct machine *machine)
{
	struct save_config config = { 0, STDOUT_FILENO, &save_source };
	char why[OUTCOME_TEXT_BYTES] = "";
	struct save_totals totals;
	json_t *json;

	HOLDS(machine_verify(machine, why, sizeof(why)));
	json = machine_json(machine);
	HOLDS(json);
	json_decref(json);
	HOLDS(!machine_save(machine, "/dev/null", &config, &totals, why));
}

static void run(struct restore *restore)
{
	char why[SAVE_WHY_BYTES] = "";
	struct machine_config config = { .seed = 1 };
	struct scenario_origin origin;
	struct save_totals totals;
	struct machine *machine;

	restore_origin(restore, &origin);
	if (origin.span_frames > SPAN_MAX || origin.cpus > CPUS_MAX)
		return;
	config.names = origin.name;
	config.names_count = origin.names;
	maps_begin();
	machine = restore_machine(restore, &config, &totals, why);
	HOLDS(machine || why[0]);
	if (machine) {
		look_at(machine);
		maps_destroy(machine);
	}
	maps_end();
}

/* What can be read does not differ from itself. */
static void against_itself(const char *path)
{
	struct save_diff diff = { .run = NULL };
	char why[SAVE_WHY_BYTES] = "";

	if (save_diff(&diff, path, path, why))
		HOLDS(why[0]);
	else
		HOLDS(!save_diff_any(&diff));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	char why[SAVE_WHY_BYTES] = "", path[32];
	struct restore *restore;
	uint8_t *copy;
	int file;

	if (count > BYTES_MAX)
		return 0;
	copy = malloc(count + 1);
	file = memfd_create("saved", MFD_CLOEXEC);
	HOLDS(copy && file >= 0);
	memcpy(copy, bytes, count);
	repair(copy, count);
	HOLDS(write(file, copy, count) == (ssize_t)count);
	free(copy);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	against_itself(path);
	restore = restore_open(path, why);
	HOLDS(restore || why[0]);
	if (restore) {
		run(restore);
		restore_close(restore);
	}
	(void)close(file);
	return 0;
}
