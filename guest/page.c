/* SPDX-License-Identifier: MIT */

/*
 * Physical pages: memory never used is taken from the front of its range,
 * pages given back are on a list that lies in them.
 *
 * While a copy runs, pages it allocates are noted in a list of their own and
 * go back together at its end; what it frees may be its origin's, and is
 * neither freed nor lost: its page table entries come back.
 */

#include "kernel.h"

#define NOTES_PER_PAGE	(PAGE_BYTES / sizeof(uint64_t) - 2)

/* A page of addresses of pages. */
struct notes {
	struct notes *next;
	uint64_t count;
	uint64_t page[NOTES_PER_PAGE];
};

_Static_assert(sizeof(struct notes) == PAGE_BYTES, "a page of notes");

SHARED static uint64_t free_list;	/* the first page, or 0 */
SHARED static uint64_t free_count;	/* pages on the list */
SHARED static unsigned range;		/* of boot.memory, in use ... */
SHARED static uint64_t range_used;	/* ... up to here, bytes */
SHARED static bool copying;
SHARED static struct notes *notes;	/* of the copy's pages */

static uint64_t take(void)
{
	uint64_t page = free_list;

	if (page) {
		free_list = *(uint64_t *)page;
		free_count--;
		return page;
	}
	while (range < boot.memories) {
		const struct memory *memory = &boot.memory[range];

		if (memory->first + range_used < memory->last) {
			page = memory->first + range_used;
			range_used += PAGE_BYTES;
			return page;
		}
		range++;
		range_used = 0;
	}
	return 0;
}

static void give(uint64_t page)
{
	*(uint64_t *)page = free_list;
	free_list = page;
	free_count++;
}

/* Remember a page of the copy's. The notes' own pages are noted as well. */
static bool note(uint64_t page)
{
	if (!notes || notes->count == NOTES_PER_PAGE) {
		struct notes *more = (struct notes *)take();

		if (!more)
			return false;
		more->next = notes;
		more->count = 0;
		notes = more;
	}
	notes->page[notes->count++] = page;
	return true;
}

uint64_t page_alloc(void)
{
	uint64_t page = take();
	uint64_t *word = (uint64_t *)page;
	unsigned i;

	if (!page)
		return 0;
	if (copying && !note(page)) {
		give(page);
		return 0;
	}
	for (i = 0; i < PAGE_BYTES / sizeof(*word); i++)
		word[i] = 0;
	return page;
}

void page_free(uint64_t page)
{
	if (!copying)
		give(page);
}

uint64_t pages_free(void)
{
	uint64_t count = free_count;
	unsigned i;

	for (i = range; i < boot.memories; i++)
		count += (boot.memory[i].last - boot.memory[i].first) /
			 PAGE_BYTES;
	return count - range_used / PAGE_BYTES;
}

uint64_t page_take_top(uint64_t bytes, uint64_t align)
{
	unsigned long state = kernel_enter();
	uint64_t found = 0;
	unsigned i = boot.memories;

	while (!found && i-- > range) {
		struct memory *memory = &boot.memory[i];
		uint64_t used = i == range ? range_used : 0;
		uint64_t at = (memory->last - bytes) & ~(align - 1);

		if (bytes > memory->last || at < memory->first + used)
			continue;
		found = at;
		memory->last = at;
	}
	kernel_leave(state);
	return found;
}

void page_reserve(uint64_t first)
{
	unsigned long state = kernel_enter();
	unsigned i;

	for (i = 0; i < boot.memories; i++) {
		struct memory *memory = &boot.memory[i];

		if (memory->last > first)
			memory->last = memory->first < first ? first :
							       memory->first;
	}
	kernel_leave(state);
}

void page_begin_copy(void)
{
	copying = true;
	notes = NULL;
}

void page_end_copy(void)
{
	copying = false;
	while (notes) {
		struct notes *done = notes;
		uint64_t i;

		notes = done->next;
		for (i = 0; i < done->count; i++)
			give(done->page[i]);
		give((uint64_t)done);
	}
}
