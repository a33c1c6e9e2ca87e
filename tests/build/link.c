/* SPDX-License-Identifier: MIT */
#include <stddef.h>

/*
 * A program without any library but coldframe and its port to no machine:
 * all it adds is the four functions a compiler may call by itself.
 */

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);
void _start(void);

void *memcpy(void *to, const void *from, size_t bytes)
{
	return memmove(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
	const unsigned char *source = from;
	unsigned char *target = to;
	size_t at;

	for (at = 0; at < bytes && target < source; at++)
		target[at] = source[at];
	for (at = bytes; at > 0 && target > source; at--)
		target[at - 1] = source[at - 1];
	return to;
}

void *memset(void *to, int byte, size_t bytes)
{
	unsigned char *target = to;
	size_t at;

	for (at = 0; at < bytes; at++)
		target[at] = (unsigned char)byte;
	return to;
}

int memcmp(const void *left, const void *right, size_t bytes)
{
	const unsigned char *a = left, *b = right;
	size_t at;

	for (at = 0; at < bytes; at++) {
		if (a[at] != b[at])
			return a[at] < b[at] ? -1 : 1;
	}
	return 0;
}

void _start(void)
{
	__builtin_trap();
}
