/* SPDX-License-Identifier: MIT */

/*
 * Files that QEMU was given: -fw_cfg name=opt/...,file=.... A directory of
 * names and keys comes first; numbers in it have their high bytes first.
 */

#include "include/guest.h"
#include "include/stdlib.h"
#include "include/string.h"
#include "kernel.h"

#define KEY_SIGNATURE	0
#define KEY_DIRECTORY	0x19
#define NAME_BYTES	56

static uint32_t read_number(unsigned bytes)
{
	uint32_t number = 0;

	while (bytes--)
		number = number << 8 | arch_file_byte();
	return number;
}

static bool is_there(void)
{
	static const char signature[] = "QEMU";
	unsigned i;

	arch_file_select(KEY_SIGNATURE);
	for (i = 0; i < 4; i++)
		if (arch_file_byte() != (uint8_t)signature[i])
			return false;
	return true;
}

/* The key of a file, 0: there is none of that name. */
static unsigned find(const char *name, unsigned long *ret_bytes)
{
	char entry[NAME_BYTES];
	uint32_t count, i;

	arch_file_select(KEY_DIRECTORY);
	count = read_number(4);
	for (i = 0; i < count; i++) {
		uint32_t bytes = read_number(4);
		unsigned key = read_number(2), at;

		(void)read_number(2);
		for (at = 0; at < NAME_BYTES; at++)
			entry[at] = (char)arch_file_byte();
		entry[NAME_BYTES - 1] = '\0';
		if (strcmp(entry, name))
			continue;
		*ret_bytes = bytes;
		return key;
	}
	return 0;
}

/* What QEMU is asked to do; high bytes first. */
struct request {
	uint32_t control, bytes;
	uint64_t address;
};

#define CONTROL_ERROR	1u
#define CONTROL_SELECT	8u
#define CONTROL_WRITE	16u

bool file_write(const char *name, const void *bytes, uint32_t count)
{
	SHARED static volatile struct request request;
	unsigned long room = 0;
	unsigned key = is_there() ? find(name, &room) : 0;

	if (!key || count > room)
		return false;
	request.control = __builtin_bswap32(key << 16 | CONTROL_SELECT |
					    CONTROL_WRITE);
	request.bytes = __builtin_bswap32(count);
	request.address = __builtin_bswap64((uintptr_t)bytes);
	/* The program lies where it is mapped. */
	arch_file_access((uintptr_t)&request);
	while (__builtin_bswap32(request.control) & ~CONTROL_ERROR)
		;
	return request.control == 0;
}

char *guest_file(const char *name, unsigned long *ret_bytes)
{
	unsigned key = is_there() ? find(name, ret_bytes) : 0;
	char *text = key ? malloc(*ret_bytes + 1) : NULL;
	unsigned long i;

	if (!text)
		return NULL;
	arch_file_select(key);
	for (i = 0; i < *ret_bytes; i++)
		text[i] = (char)arch_file_byte();
	text[i] = '\0';
	return text;
}
