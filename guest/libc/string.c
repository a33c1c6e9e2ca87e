/* SPDX-License-Identifier: MIT */

/* Memory and text. Compiled so that no loop becomes a call of itself. */

#include <stdint.h>

#include "guest/include/string.h"

typedef uint64_t __attribute__((may_alias)) word;

static int is_aligned(const void *a, const void *b)
{
	return (((uintptr_t)a | (uintptr_t)b) & 7) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	unsigned char *out = to;
	const unsigned char *in = from;

	if (is_aligned(to, from)) {
		for (; bytes >= 8; bytes -= 8) {
			*(word *)(void *)out = *(const word *)(const void *)in;
			out += 8;
			in += 8;
		}
	}
	while (bytes--)
		*out++ = *in++;
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	unsigned char *out = to;
	const unsigned char *in = from;

	if (out <= in || out >= in + bytes) {
		while (bytes--)
			*out++ = *in++;
		return to;
	}
	while (bytes--)
		out[bytes] = in[bytes];
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	word pattern = (unsigned char)value * 0x0101010101010101ull;
	unsigned char *out = to;

	if (is_aligned(to, to)) {
		for (; bytes >= 8; bytes -= 8) {
			*(word *)(void *)out = pattern;
			out += 8;
		}
	}
	while (bytes--)
		*out++ = (unsigned char)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *left = a, *right = b;

	for (; bytes; bytes--, left++, right++)
		if (*left != *right)
			return *left - *right;
	return 0;
}

void *memchr(const void *memory, int byte, size_t bytes)
{
	const char *at = memory;

	for (; bytes; bytes--, at++)
		if (*at == (char)byte)
			return (void *)(uintptr_t)at;
	return NULL;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strncmp(const char *a, const char *b, size_t most)
{
	for (; most && *a && *a == *b; most--) {
		a++;
		b++;
	}
	return most ? (unsigned char)*a - (unsigned char)*b : 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strcpy(char *restrict to, const char *restrict from)
{
	char *out = to;

	while ((*out++ = *from++))
		;
	return to;
}

char *strncpy(char *restrict to, const char *restrict from, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		to[i] = *from;
		if (*from)
			from++;
	}
	return to;
}

char *strcat(char *restrict to, const char *restrict from)
{
	(void)strcpy(to + strlen(to), from);
	return to;
}

char *strchr(const char *text, int byte)
{
	for (;; text++) {
		if (*text == (char)byte)
			return (char *)(uintptr_t)text;
		if (!*text)
			return NULL;
	}
}

char *strrchr(const char *text, int byte)
{
	char *last = NULL, *at = strchr(text, byte);

	while (at) {
		last = at;
		at = *at ? strchr(at + 1, byte) : NULL;
	}
	return last;
}

char *strstr(const char *text, const char *part)
{
	size_t length = strlen(part);

	for (;; text++) {
		if (!strncmp(text, part, length))
			return (char *)(uintptr_t)text;
		if (!*text)
			return NULL;
	}
}

size_t strcspn(const char *text, const char *bytes)
{
	size_t length = 0;

	while (text[length] && !strchr(bytes, text[length]))
		length++;
	return length;
}

char *strerror(int number)
{
	static char text[] = "error 000";

	text[6] = (char)('0' + number / 100 % 10);
	text[7] = (char)('0' + number / 10 % 10);
	text[8] = (char)('0' + number % 10);
	return text;
}
