/* SPDX-License-Identifier: MIT */

/*
 * The address space.
 *
 * Physical memory is mapped where it is; page tables and free pages are
 * reached there. Above 4 TiB lie areas, which have no pages until they are
 * touched, so that frames of a machine, like those of a process, cost nothing
 * before they are used.
 *
 * One range can be backed: its pages are the same physical ones whenever
 * they come, 2 MiB at a time where all of it may be touched.
 *
 * An entry of an area that is not present is one of
 *
 *	0		as the area says: access, or none
 *	PTE_ALLOWED	a page comes with the first touch
 *	PTE_NONE	no access; with an address: the page is kept
 */

#include "kernel.h"
#include "pte.h"

#define AREAS_FIRST	((uintptr_t)4 << 40)
#define AREAS_LAST	((uintptr_t)127 << 40)
#define AREAS_MAX	512
#define ALIGN_BYTES	((uintptr_t)2 << 20)
#define ENTRIES		512

/* [first, last) of the address space; in order of their addresses. */
struct area {
	uintptr_t first, last;
	bool access;		/* of entries that are 0 */
};

static struct {
	uintptr_t first, last;	/* in one area, multiples of 2 MiB */
	uint64_t physical;
} backed;

static struct area area[AREAS_MAX];
static unsigned areas;
SHARED static uint64_t resident_pages;
SHARED static bool stale;	/* what CPUs may remember was changed */

extern char copied_begin[], copied_end[];

static unsigned index_of(uintptr_t address, unsigned level)
{
	return (unsigned)(address >> (12 + 9 * level)) % ENTRIES;
}

/* The table below an entry, made if need be. */
static uint64_t *table_below(uint64_t *entry, bool make)
{
	uint64_t page;

	if (!(*entry & PTE_PRESENT)) {
		page = make ? page_alloc() : 0;
		if (!page)
			return NULL;
		fork_note(entry);
		*entry = page | PTE_TABLE;
	}
	return (uint64_t *)(*entry & PTE_ADDRESS);
}

/* The entry for the 2 MiB around an address. */
static uint64_t *large_entry(uintptr_t address, bool make)
{
	uint64_t *table = root_table;
	unsigned level;

	for (level = 3; table && level > 1; level--)
		table = table_below(&table[index_of(address, level)], make);
	return table ? &table[index_of(address, 1)] : NULL;
}

uint64_t *space_entry(uintptr_t address, bool make)
{
	uint64_t *entry = large_entry(address, make);
	uint64_t *table = entry ? table_below(entry, make) : NULL;

	return table ? &table[index_of(address, 0)] : NULL;
}

/* Cut the 2 MiB around an address into pages. */
static bool split(uintptr_t address)
{
	uint64_t *entry = large_entry(address, true);
	uint64_t large, page;
	unsigned i;

	if (!entry)
		return false;
	large = *entry;
	if (!pte_is_large(large))
		return true;
	page = page_alloc();
	if (!page)
		return false;
	for (i = 0; i < ENTRIES; i++)
		((uint64_t *)page)[i] = ((large & PTE_ADDRESS) +
					 i * PAGE_BYTES) | PTE_PAGE |
					(large & PTE_FOREIGN);
	/* No processor may see it both ways at once. */
	if (large & PTE_FOREIGN) {
		fork_note(entry);
		*entry = 0;
		cpu_sync(true);
	}
	*entry = page | PTE_TABLE;
	return true;
}

/*
 * What fork() copies is mapped in pages, and nothing is mapped at address 0.
 */
void space_init(void)
{
	uintptr_t at;

	for (at = (uintptr_t)copied_begin & ~(ALIGN_BYTES - 1);
	     at < (uintptr_t)copied_end; at += ALIGN_BYTES)
		(void)split(at);
	if (split(0))
		*space_entry(0, false) = 0;
	arch_flush();
}

bool space_map_direct(uint64_t first, uint64_t last, bool device)
{
	uint64_t at, made = 0;

	for (at = first & ~(ALIGN_BYTES - 1); at < last; at += ALIGN_BYTES) {
		uint64_t *entry = large_entry(at, true);

		if (!entry)
			return false;
		if (*entry & PTE_PRESENT)
			continue;
		*entry = pte_large(at, device);
		made++;
	}
	if (made) {
		arch_tables_changed();
		arch_flush();
	}
	return true;
}

static const struct area *area_of(uintptr_t address)
{
	unsigned low = 0, high = areas;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (address >= area[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < areas && address >= area[low].first ? &area[low] : NULL;
}

/* Give an entry a page if a touch may. Caller holds the kernel's lock. */
static bool populate(uint64_t *entry, bool access)
{
	uint64_t page;

	if (*entry & PTE_PRESENT)
		return true;
	if (*entry & PTE_NONE || (!access && !(*entry & PTE_ALLOWED)))
		return false;
	page = page_alloc();
	if (!page) {
		console_say("guest: no memory is left\n");
		return false;
	}
	fork_note(entry);
	*entry = page | PTE_PAGE;
	resident_pages++;
	return true;
}

static bool is_backed(uintptr_t address)
{
	return address >= backed.first && address < backed.last;
}

/* Zeroes; where it is mapped as it is. */
static bool clear(uint64_t physical, size_t bytes)
{
	uint64_t *word = (uint64_t *)physical;
	size_t i;

	if (!space_map_direct(physical, physical + bytes, false))
		return false;
	for (i = 0; i < bytes / sizeof(*word); i++)
		word[i] = 0;
	return true;
}

static bool back_large(uint64_t *entry, uint64_t physical)
{
	if (!clear(physical, ALIGN_BYTES))
		return false;
	fork_note(entry);
	*entry = pte_large(physical, false) | PTE_FOREIGN;
	return true;
}

/* Is there a table without entries? Then it is in the way no longer. */
static void drop_empty(uint64_t *entry)
{
	const uint64_t *table = pte_table(*entry);
	unsigned i;

	for (i = 0; table && i < ENTRIES; i++)
		if (table[i])
			return;
	if (!table)
		return;
	fork_note(entry);
	*entry = 0;
	cpu_sync(true);
	page_free((uintptr_t)table);
}

/* As populate(), of what is backed. */
static bool populate_backed(uintptr_t address, bool access)
{
	uint64_t physical = backed.physical + (address - backed.first);
	uint64_t *entry = large_entry(address, true);

	if (entry && access)
		drop_empty(entry);
	if (entry && !*entry && access)
		return back_large(entry, physical & ~(uint64_t)(ALIGN_BYTES -
								1));
	entry = space_entry(address, true);
	if (!entry || *entry & PTE_NONE ||
	    (!access && !(*entry & PTE_ALLOWED)))
		return false;
	physical &= ~(uint64_t)(PAGE_BYTES - 1);
	if (!clear(physical, PAGE_BYTES))
		return false;
	fork_note(entry);
	*entry = physical | PTE_PAGE | PTE_FOREIGN;
	return true;
}

/* The entry that maps an address, or may come to; NULL: no table for it. */
static uint64_t *leaf(uintptr_t address)
{
	uint64_t *entry = large_entry(address, false);

	if (entry && *entry & PTE_PRESENT && pte_is_large(*entry))
		return entry;
	return space_entry(address, false);
}

bool space_fault(uintptr_t address, bool write)
{
	unsigned long state = kernel_enter();
	const struct area *found = area_of(address);
	uint64_t *entry = leaf(address);
	bool done = false;

	if (entry && *entry & PTE_PRESENT)
		done = !write || pte_writable(*entry) || fork_fault(entry);
	else if (found && is_backed(address))
		done = populate_backed(address, found->access);
	else if (found && (entry = space_entry(address, true)) != NULL)
		done = populate(entry, found->access);
	arch_tables_changed();
	kernel_leave(state);
	return done;
}

/*
 * Nothing of the range may have a page yet. The physical memory behind it may
 * be there later, but before the range is touched.
 */
bool space_back(uintptr_t first, uintptr_t last, uint64_t physical)
{
	unsigned long state = kernel_enter();
	const struct area *found = area_of(first);
	bool fits = found && last <= found->last && !backed.last;
	uintptr_t at;

	for (at = first; fits && at < last; at += PAGE_BYTES) {
		const uint64_t *entry = large_entry(at, false);

		if (!entry || !*entry) {
			at = (at | (ALIGN_BYTES - 1)) + 1 - PAGE_BYTES;
			continue;
		}
		entry = leaf(at);
		fits = !entry || !(*entry & PTE_PRESENT);
	}
	if (fits) {
		backed.first = first;
		backed.last = last;
		backed.physical = physical;
	}
	kernel_leave(state);
	return fits;
}

/*
 * What is mapped 2 MiB at a time has no entries to be dropped one by one. Whole
 * pieces are forgotten here, others are cut. Caller holds the kernel's lock.
 */
static void drop_large(uintptr_t first, uintptr_t last, bool cut)
{
	uintptr_t at, next;

	if (first < backed.first)
		first = backed.first;
	if (last > backed.last)
		last = backed.last;
	for (at = first; at < last; at = next) {
		uint64_t *entry = large_entry(at, false);

		next = (at | (ALIGN_BYTES - 1)) + 1;
		if (!entry || !(*entry & PTE_PRESENT) ||
		    !pte_is_large(*entry))
			continue;
		if (cut || at % ALIGN_BYTES || next > last) {
			(void)split(at);
			continue;
		}
		fork_note(entry);
		*entry = 0;
		stale = true;
	}
}

/* Where @bytes fit, with room between neighbours; the index to insert at. */
static unsigned find_room(size_t bytes, uintptr_t *ret_first)
{
	uintptr_t at = AREAS_FIRST;
	unsigned i;

	for (i = 0; i < areas && area[i].first - at < bytes; i++)
		at = (area[i].last + 2 * ALIGN_BYTES - 1) & ~(ALIGN_BYTES - 1);
	*ret_first = at;
	return i;
}

void *space_add(size_t bytes, bool access)
{
	unsigned long state = kernel_enter();
	uintptr_t first;
	unsigned at, i;

	bytes = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	at = find_room(bytes, &first);
	if (areas == AREAS_MAX || bytes > AREAS_LAST - first) {
		kernel_leave(state);
		return NULL;
	}
	for (i = areas++; i > at; i--)
		area[i] = area[i - 1];
	area[at] = (struct area){ first, first + bytes, access };
	kernel_leave(state);
	return (void *)first;
}

/*
 * Call @fn for each entry in [first, last), those that have no table left
 * out. Caller holds the kernel's lock.
 */
static void each_entry(uintptr_t first, uintptr_t last,
		       void (*fn)(uint64_t *entry, void *context),
		       void *context)
{
	uintptr_t at = first;

	while (at < last) {
		uint64_t *table = root_table;
		unsigned level;

		for (level = 3; table && level > 0; level--)
			table = pte_table(table[index_of(at, level)]);
		if (!table) {
			/* Nothing there: to the next entry of that level. */
			at = (at | (((uintptr_t)1 << (21 + 9 * level)) - 1)) +
			     1;
			continue;
		}
		do {
			fn(&table[index_of(at, 0)], context);
			at += PAGE_BYTES;
		} while (at < last && at % ALIGN_BYTES);
	}
}

/* Put another value in an entry, and let go of its page. */
static void change(uint64_t *entry, uint64_t value)
{
	fork_note(entry);
	stale = stale || *entry & PTE_PRESENT;
	if (pte_is_owned(*entry)) {
		page_free(*entry & PTE_ADDRESS);
		resident_pages--;
	}
	*entry = value;
}

/* Other CPUs are only asked if there is something to forget. */
static void forget_stale(void)
{
	if (stale)
		cpu_sync(true);
	stale = false;
}

static void drop(uint64_t *entry, void *context)
{
	const struct area *within = context;
	uint64_t keep = 0;

	if (*entry & PTE_NONE)
		keep = PTE_NONE;
	else if (*entry && within && !within->access)
		keep = PTE_ALLOWED;
	if (*entry != keep)
		change(entry, keep);
}

static void forget(uint64_t *entry, void *context)
{
	(void)context;
	if (*entry)
		change(entry, 0);
}

static void forget_area(unsigned at)
{
	for (areas--; at < areas; at++)
		area[at] = area[at + 1];
}

/*
 * Pages go back before the other CPUs have forgotten them; nobody can take
 * them meanwhile, for that needs the lock this one holds.
 */
bool space_remove(uintptr_t first, uintptr_t last)
{
	unsigned long state = kernel_enter();
	const struct area *found = area_of(first);
	unsigned at = found ? (unsigned)(found - area) : 0;
	bool fits = found && last <= found->last &&
		    (first == found->first || last == found->last);

	if (fits) {
		drop_large(first, last, false);
		each_entry(first, last, forget, NULL);
		if (is_backed(first))
			backed.first = backed.last = 0;
		if (first != area[at].first)
			area[at].last = first;
		else if (last != area[at].last)
			area[at].first = last;
		else
			forget_area(at);
		forget_stale();
	}
	kernel_leave(state);
	return fits;
}

size_t space_bytes(const void *address)
{
	const struct area *found = area_of((uintptr_t)address);

	return found ? found->last - found->first : 0;
}

void space_discard(uintptr_t first, uintptr_t last)
{
	unsigned long state = kernel_enter();
	const struct area *found = area_of(first);
	struct area within;

	if (found) {
		within = *found;
		drop_large(first, last, false);
		each_entry(first, last, drop, &within);
		forget_stale();
	}
	kernel_leave(state);
}

void space_protect(uintptr_t first, uintptr_t last, bool access)
{
	unsigned long state = kernel_enter();
	uint64_t *entry;
	uintptr_t at;

	drop_large(first, last, true);
	for (at = first; at < last; at += PAGE_BYTES) {
		entry = space_entry(at, true);
		if (!entry)
			break;
		fork_note(entry);
		stale = stale || *entry & PTE_PRESENT;
		*entry = access ? pte_allowed(*entry) : pte_denied(*entry);
	}
	arch_tables_changed();
	forget_stale();
	kernel_leave(state);
}

bool space_populate(uintptr_t first, uintptr_t last)
{
	unsigned long state = kernel_enter();
	bool done = true;
	uintptr_t at;

	for (at = first; done && at < last; at += PAGE_BYTES) {
		uint64_t *entry = space_entry(at, true);

		done = entry && populate(entry, true);
	}
	arch_tables_changed();
	kernel_leave(state);
	return done;
}

uint64_t space_physical(uintptr_t address)
{
	unsigned long state = kernel_enter();
	const uint64_t *entry = leaf(address);
	uint64_t found = 0;

	if (entry && *entry & PTE_PRESENT)
		found = (*entry & PTE_ADDRESS) |
			(pte_is_large(*entry) ?
			 address & (ALIGN_BYTES - 1) & ~(PAGE_BYTES - 1) : 0);
	kernel_leave(state);
	return found;
}

uint64_t space_resident(void)
{
	return resident_pages * PAGE_BYTES;
}

void space_set_resident(uint64_t bytes)
{
	resident_pages = bytes / PAGE_BYTES;
}

void space_each_copied(void (*fn)(uint64_t *entry, void *context),
		       void *context)
{
	unsigned i;

	each_entry((uintptr_t)copied_begin, (uintptr_t)copied_end, fn,
		   context);
	for (i = 0; i < areas; i++)
		each_entry(area[i].first, area[i].last, fn, context);
}
