/* SPDX-License-Identifier: MIT */

/*
 * The flattened device tree that QEMU leaves at the start of memory: where
 * memory is, how many CPUs there are, the command line.
 */

#include "guest/include/string.h"
#include "guest/kernel.h"
#include "local.h"

#define FDT_MAGIC	0xd00dfeedu
#define FDT_BEGIN	1u
#define FDT_END		2u
#define FDT_PROPERTY	3u
#define FDT_NOTHING	4u
#define DEEP		8

static uint32_t number_at(const char *at)
{
	const unsigned char *byte = (const unsigned char *)at;

	return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 |
	       (uint32_t)byte[2] << 8 | byte[3];
}

static uint64_t long_at(const char *at)
{
	return (uint64_t)number_at(at) << 32 | number_at(at + 4);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static void take_command(const char *text, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes && i < COMMAND_BYTES - 1; i++)
		boot.command[i] = text[i];
}

/* Addresses and sizes have two words each on this machine. */
static void take_property(const char *node, const char *name,
			  const char *value, uint32_t bytes)
{
	if (begins(node, "memory@") && !strcmp(name, "reg") && bytes >= 16)
		boot_memory_add(long_at(value), long_at(value + 8));
	else if (!strcmp(node, "chosen") && !strcmp(name, "bootargs"))
		take_command(value, bytes);
}

/* Returns how many CPUs there are; 0: there is no tree. */
unsigned fdt_read(uint64_t address)
{
	const char *tree = (const char *)address, *at, *names;
	const char *node[DEEP] = { "" };
	unsigned deep = 0, count = 0;

	if (number_at(tree) != FDT_MAGIC)
		return 0;
	at = tree + number_at(tree + 8);
	names = tree + number_at(tree + 12);
	for (;;) {
		uint32_t token = number_at(at), bytes;

		at += 4;
		if (token == FDT_BEGIN) {
			deep = deep + 1 < DEEP ? deep + 1 : deep;
			node[deep] = at;
			count += begins(at, "cpu@");
			at += (strlen(at) + 4) & ~3ul;
		} else if (token == FDT_END) {
			deep -= deep > 0;
		} else if (token == FDT_PROPERTY) {
			bytes = number_at(at);
			take_property(node[deep], names + number_at(at + 4),
				      at + 8, bytes);
			at += 8 + ((bytes + 3) & ~3u);
		} else if (token != FDT_NOTHING) {
			return count;
		}
	}
}
