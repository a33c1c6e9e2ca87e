/* SPDX-License-Identifier: MIT */

/*
 * The heap: pieces of a power of two bytes cut from larger areas, in lists by
 * size; what is larger than a page, and what is to be aligned, has an area of
 * its own and begins at a page, which no piece does.
 */

#include <stdint.h>

#include "guest/include/stdlib.h"
#include "guest/include/string.h"
#include "guest/kernel.h"

#define CLASS_MIN	5		/* 32 bytes */
#define CLASS_MAX	11
#define CUT_BYTES	((size_t)64 << 10)

/* Before each piece. */
struct piece {
	union {
		struct piece *next;	/* free */
		uint64_t class;		/* in use */
	};
	uint64_t unused;
};

static struct piece *list[CLASS_MAX + 1];
static unsigned random_state = 1;

static unsigned class_of(size_t bytes)
{
	unsigned class = CLASS_MIN;

	while (((size_t)1 << class) - sizeof(struct piece) < bytes)
		class++;
	return class;
}

/* An area for one more class, less its first piece, which would be aligned. */
static void cut(unsigned class)
{
	char *area = space_add(CUT_BYTES, true);
	size_t size = (size_t)1 << class, at;

	for (at = 0; area && at < CUT_BYTES; at += size) {
		struct piece *piece = (void *)(area + at);

		piece->next = list[class];
		list[class] = piece;
	}
}

void *malloc(size_t bytes)
{
	struct piece *piece;
	unsigned long state;
	unsigned class;

	if (bytes > ((size_t)1 << CLASS_MAX) - sizeof(*piece))
		return space_add(bytes, true);
	class = class_of(bytes);
	state = kernel_enter();
	if (!list[class])
		cut(class);
	piece = list[class];
	if (piece) {
		list[class] = piece->next;
		piece->class = class;
	}
	kernel_leave(state);
	return piece ? piece + 1 : NULL;
}

static bool is_area(const void *memory)
{
	return (uintptr_t)memory % PAGE_BYTES == 0;
}

void free(void *memory)
{
	struct piece *piece;
	unsigned long state;
	uint64_t class;

	if (!memory)
		return;
	if (is_area(memory)) {
		(void)space_remove((uintptr_t)memory,
				   (uintptr_t)memory + space_bytes(memory));
		return;
	}
	piece = (struct piece *)memory - 1;
	state = kernel_enter();
	class = piece->class;
	piece->next = list[class];
	list[class] = piece;
	kernel_leave(state);
}

void *calloc(size_t count, size_t bytes)
{
	void *memory;

	if (bytes && count > SIZE_MAX / 2 / bytes)
		return NULL;
	memory = malloc(count * bytes);
	/* An area is zero as it comes. */
	if (memory && !is_area(memory))
		(void)memset(memory, 0, count * bytes);
	return memory;
}

static size_t bytes_of(const void *memory)
{
	const struct piece *piece;

	if (is_area(memory))
		return space_bytes(memory);
	piece = (const struct piece *)memory - 1;
	return ((size_t)1 << piece->class) - sizeof(*piece);
}

void *realloc(void *memory, size_t bytes)
{
	size_t had = memory ? bytes_of(memory) : 0;
	void *more;

	if (memory && bytes <= had)
		return memory;
	more = malloc(bytes);
	if (more && memory) {
		(void)memcpy(more, memory, had);
		free(memory);
	}
	return more;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return alignment <= sizeof(struct piece) ? malloc(bytes) :
						   space_add(bytes, true);
}

int rand(void)
{
	random_state = random_state * 1103515245u + 12345u;
	return (int)(random_state >> 1);
}

void srand(unsigned seed)
{
	random_state = seed;
}

char *getenv(const char *name)
{
	(void)name;
	return NULL;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

/* Base 0: 16 behind 0x, 10 without. */
unsigned long long strtoull(const char *text, char **ret_end, int base)
{
	unsigned long long number = 0;
	bool is_hex;

	while (*text == ' ')
		text++;
	is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	if (base == 0)
		base = is_hex ? 16 : 10;
	if (base == 16 && is_hex)
		text += 2;
	for (; digit_of(*text) < base; text++)
		number = number * (unsigned)base + (unsigned)digit_of(*text);
	if (ret_end)
		*ret_end = (char *)(uintptr_t)text;
	return number;
}

unsigned long strtoul(const char *text, char **ret_end, int base)
{
	return (unsigned long)strtoull(text, ret_end, base);
}

void exit(int status)
{
	guest_exit(status);
}

void _Exit(int status)
{
	guest_exit(status);
}

void guest_end(int status)
{
	guest_exit(status);
}

void abort(void)
{
	if (fork_runs())
		fork_end(FORK_ABORT);
	console_say("\nBail out! abort\n");
	guest_exit(1);
}
