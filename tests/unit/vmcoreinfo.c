/* SPDX-License-Identifier: MIT */
/*
 * What a reader of a dump is told: the lines themselves. That a map is found
 * and read by nothing else is tests/unit/dump.c's.
 */
#include <stdlib.h>

#include "core/internal.h"
#include "dump/raw.h"
#include "tests/unit/machine.h"

#define ROOM	16384

static char text[ROOM];

static struct info lines(void)
{
	size_t bytes = cf_vmcoreinfo(m.map, text, ROOM);

	CHECK(bytes < ROOM);
	CHECK_EQ(strlen(text), bytes);
	return (struct info){ text, bytes };
}

static uint64_t number(const char *key)
{
	uint64_t value = UINT64_MAX;

	CHECK(info_number(lines(), key, &value));
	return value;
}

static void values(void)
{
	struct machine_config config = { .blocks = 1 };
	uint64_t address;

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(number("COLDFRAME"), CF_VMCOREINFO_VERSION);
	CHECK_EQ(number("PAGESIZE"), CF_FRAME_BYTES);
	CHECK(info_symbol(lines(), "cf_map", &address));
	CHECK_EQ(address, (uintptr_t)m.map);
	CHECK_EQ(number("SIZE(cfi_block)"), sizeof(struct cfi_block));
	CHECK_EQ(number("OFFSET(cfi_block.chunk)"),
		 offsetof(struct cfi_block, chunk));
	CHECK_EQ(number("OFFSET(cf_map.config.last)"),
		 offsetof(struct cf_map, config.last));
	CHECK_EQ(number("NUMBER(WORD_OWNER_SHIFT)"), WORD_OWNER_SHIFT);
	CHECK_EQ(number("NUMBER(CF_TYPE_OFFLINE)"), CF_TYPE_OFFLINE);
	CHECK(machine_end());
}

/* Whatever room there is: never more, always a 0, the same length said. */
static void room(void)
{
	struct machine_config config = { .blocks = 1 };
	static char cut[ROOM];
	size_t bytes, all;

	if (!CHECK(machine_make(config)))
		return;
	all = lines().bytes;
	CHECK_EQ(cf_vmcoreinfo(m.map, NULL, 0), all);
	for (bytes = 1; bytes <= all + 2; bytes++) {
		memset(cut, 'x', ROOM);
		CHECK_EQ(cf_vmcoreinfo(m.map, cut, bytes), all);
		CHECK_EQ(strlen(cut), bytes <= all ? bytes - 1 : all);
		CHECK(!memcmp(cut, text, strlen(cut)));
		CHECK_EQ(cut[bytes], 'x');
	}
	CHECK(machine_end());
}

int main(void)
{
	tap_run("values are those of the structures", values);
	tap_run("any room", room);
	return tap_done();
}
