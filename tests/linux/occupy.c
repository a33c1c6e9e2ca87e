/* SPDX-License-Identifier: MIT */
/*
 * In a guest: have memory of a kind that is hard to take offline, and keep it.
 *
 * usage: occupy pin|hold|lock|touch|tables MIB
 *
 * pin    parts of it lie in pipes, and it stays mapped
 * hold   the same, and it is not mapped any more
 * lock   it is locked
 * touch  it is in use, no more
 * tables it is page tables
 *
 * Prints a line when it has it, and sleeps.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PART	((size_t)8 << 20)	/* of which some pages are pinned */
#define PINNED	((size_t)8 << 12)

static int pin_part(char *memory)
{
	struct iovec part = { memory, PINNED };
	int ends[2];

	if (pipe(ends))
		return -1;
	return vmsplice(ends[1], &part, 1, 0) == (ssize_t)PINNED ? 0 : -1;
}

/* A table is as large as a page, and reaches so far. */
#define REACH	((size_t)2 << 20)

static int fill_tables(size_t size)
{
	size_t reach = size / 4096 * REACH, at;
	volatile char *memory;

	memory = mmap(NULL, reach, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
		      MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED ||
	    madvise((void *)memory, reach, MADV_NOHUGEPAGE))
		return 1;
	for (at = 0; at < reach; at += REACH)
		(void)memory[at];
	return 0;
}

static int fill(const char *kind, size_t size)
{
	size_t at;
	char *memory;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, size);
	if (!strcmp(kind, "lock") && mlock(memory, size))
		return 1;
	for (at = 0; at < size && strchr("ph", kind[0]); at += PART) {
		if (pin_part(memory + at))
			return 1;
	}
	if (!strcmp(kind, "hold"))
		munmap(memory, size);
	return 0;
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) << 20 : 0;

	if (!size || size > (size_t)1 << 40)
		return 2;
	if (strcmp(argv[1], "tables") ? fill(argv[1], size) :
					fill_tables(size))
		return 1;
	puts("occupied");
	fflush(stdout);
	for (;;)
		pause();
}
