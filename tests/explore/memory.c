/* SPDX-License-Identifier: MIT */

/*
 * The memory that threads of a program share: restored before each
 * execution, watched for accesses that are not atomic and not ordered.
 *
 * The engine and the programs are compiled with the compiler's instrumentation
 * for data races, and the calls it makes come here.  An atomic word counts as
 * shared from the moment two threads have used it and one has changed it; the
 * search then begins anew.  Until then it is plain memory, so that the many
 * words that only one thread touches cost nothing.
 */

#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MEMORY_BYTES	((size_t)16 << 20)
#define MEMORY_AT	((uintptr_t)0x100000000000)
#define PAGE		((size_t)4096)
#define PAGES		(MEMORY_BYTES / PAGE)
#define GRANULES	(MEMORY_BYTES / 8)
#define NAMES_MAX	256

/* Who used 8 bytes last, in this execution. */
struct cell {
	uint32_t turn;		/* of memory_restore(); else it is empty */
	uint8_t write_mask[EXPLORE_THREADS_MAX];
	uint8_t read_mask[EXPLORE_THREADS_MAX];
	/* Events the thread had behind it then: */
	uint32_t write_at[EXPLORE_THREADS_MAX];
	uint32_t read_at[EXPLORE_THREADS_MAX];
};

struct use {			/* of an atomic word */
	uint8_t readers, writers; /* a bit a thread */
	uint32_t place;		/* plus 1; 0: not shared */
};

static struct {
	uint8_t *bytes, *kept;
	size_t used;
	uint8_t dirty[PAGES];
	uint32_t dirty_page[PAGES];
	uint32_t dirty_pages;
	struct cell *cell;
	struct use *use;
	uint32_t turn;
	uint64_t **place;
	uint64_t *start_value;
	uint32_t places, place_room;
	bool unsettled, frozen;
	struct { const char *name; uintptr_t first, last; int64_t index; }
		name[NAMES_MAX];
	unsigned names;
} memory;

static void *map_at(uintptr_t at, size_t bytes)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		    (at ? MAP_FIXED_NOREPLACE : 0);
	void *piece = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, flags,
			   -1, 0);

	if (piece == MAP_FAILED) {
		perror("explore: mmap");
		exit(2);
	}
	return piece;
}

/* Begin with nothing; always at the same address, so that traces compare. */
void memory_init(void)
{
	if (memory.bytes) {
		munmap(memory.bytes, MEMORY_BYTES);
		munmap(memory.kept, MEMORY_BYTES);
		munmap(memory.cell, GRANULES * sizeof(struct cell));
		munmap(memory.use, GRANULES * sizeof(struct use));
		free(memory.place);
		free(memory.start_value);
	}
	memset(&memory, 0, sizeof(memory));
	memory.bytes = map_at(MEMORY_AT, MEMORY_BYTES);
	memory.kept = map_at(0, MEMORY_BYTES);
	memory.cell = map_at(0, GRANULES * sizeof(struct cell));
	memory.use = map_at(0, GRANULES * sizeof(struct use));
}

void *explore_memory(size_t bytes)
{
	void *piece = memory.bytes + memory.used;

	memory.used += (bytes + PAGE - 1) & ~(PAGE - 1);
	if (memory.used > MEMORY_BYTES) {
		fprintf(stderr, "explore: the program wants more than %zu "
			"MiB\n", MEMORY_BYTES >> 20);
		exit(2);
	}
	return piece;
}

void explore_name(const void *at, size_t bytes, const char *name,
		  int64_t index)
{
	if (memory.names == NAMES_MAX)
		return;
	memory.name[memory.names].name = name;
	memory.name[memory.names].first = (uintptr_t)at;
	memory.name[memory.names].last = (uintptr_t)at + bytes;
	memory.name[memory.names].index = index;
	memory.names++;
}

/* The narrowest name wins. */
void memory_print_word(FILE *file, const void *address)
{
	uintptr_t at = (uintptr_t)address;
	unsigned i, best = NAMES_MAX;
	size_t bytes = SIZE_MAX;

	for (i = 0; i < memory.names; i++)
		if (at >= memory.name[i].first && at < memory.name[i].last &&
		    memory.name[i].last - memory.name[i].first < bytes) {
			best = i;
			bytes = memory.name[i].last - memory.name[i].first;
		}
	if (best == NAMES_MAX) {
		fprintf(file, "word at +0x%zx", (size_t)(at - MEMORY_AT));
		return;
	}
	fprintf(file, "%s", memory.name[best].name);
	if (memory.name[best].index >= 0)
		fprintf(file, " %lld", (long long)memory.name[best].index);
	if (bytes > 8)
		fprintf(file, "+%zu", (size_t)(at - memory.name[best].first));
}

bool memory_has(const void *address)
{
	return (uintptr_t)address - MEMORY_AT < MEMORY_BYTES;
}

static size_t offset(const void *address)
{
	return (uintptr_t)address - MEMORY_AT;
}

void memory_keep(void)
{
	memcpy(memory.kept, memory.bytes, memory.used);
	memset(memory.dirty, 0, sizeof(memory.dirty));
	memory.dirty_pages = 0;
	memory.turn = 1;
}

void memory_restore(void)
{
	uint32_t i, page;

	for (i = 0; i < memory.dirty_pages; i++) {
		page = memory.dirty_page[i];
		memcpy(memory.bytes + page * PAGE, memory.kept + page * PAGE,
		       PAGE);
		memory.dirty[page] = 0;
	}
	memory.dirty_pages = 0;
	memory.turn++;
}

void memory_touch(void *address, size_t bytes)
{
	size_t page = offset(address) / PAGE;
	size_t last = (offset(address) + bytes + PAGE - 1) / PAGE;

	for (; page < last; page++)
		if (!memory.dirty[page]) {
			memory.dirty[page] = 1;
			memory.dirty_page[memory.dirty_pages++] =
				(uint32_t)page;
		}
}

/* ---- words ---- */

static void add_place(const uint64_t *word, struct use *use)
{
	if (memory.places == memory.place_room) {
		memory.place_room = memory.place_room * 2 + 64;
		memory.place = realloc(memory.place, memory.place_room *
				       sizeof(*memory.place));
		memory.start_value = realloc(memory.start_value,
					     memory.place_room *
					     sizeof(*memory.start_value));
		if (!memory.place || !memory.start_value)
			abort();
	}
	memory.place[memory.places++] =
		(uint64_t *)(void *)(memory.bytes + offset(word));
	use->place = memory.places;
	memory.unsettled = true;
}

uint32_t memory_place(const uint64_t *word, bool writes)
{
	struct use *use;
	uint8_t bit;

	if (!memory_has(word))
		explore_fail("a word outside explore_memory() is used",
			     __FILE__, __LINE__);
	use = &memory.use[offset(word) / 8];
	if (use->place)
		return memory.unsettled ? PLACE_ALONE : use->place - 1;
	bit = (uint8_t)(1u << run_thread());
	use->readers |= bit;
	if (writes)
		use->writers |= bit;
	if (!memory.frozen && use->writers &&
	    (use->readers & (use->readers - 1)))
		add_place(word, use);
	return PLACE_ALONE;
}

uint32_t memory_places(void)
{
	return memory.places;
}

uint64_t *memory_word(uint32_t place)
{
	return memory.place[place];
}

bool memory_unsettled(void)
{
	return memory.unsettled;
}

void memory_settle(void)
{
	memory.unsettled = false;
}

/* From now on just these are shared; then memory_add_place() for each. */
void memory_freeze_places(void)
{
	uint32_t i;

	for (i = 0; i < memory.places; i++)
		memory.use[offset(memory.place[i]) / 8].place = 0;
	memory.places = 0;
	memory.frozen = true;
}

size_t memory_place_number(uint32_t place)
{
	return offset(memory.place[place]) / 8;
}

bool memory_add_place(size_t number)
{
	if (number >= GRANULES || memory.use[number].place)
		return false;
	add_place((const uint64_t *)(const void *)(memory.bytes + number * 8),
		  &memory.use[number]);
	return true;
}

void memory_take_start_values(void)
{
	uint32_t i;

	for (i = 0; i < memory.places; i++)
		memory.start_value[i] = *memory.place[i];
}

uint64_t place_start_value(uint32_t place)
{
	return memory.start_value[place];
}

/* ---- accesses that are not atomic ---- */

static struct cell *cell_at(size_t granule)
{
	struct cell *cell = &memory.cell[granule];

	if (cell->turn != memory.turn) {
		memset(cell, 0, sizeof(*cell));
		cell->turn = memory.turn;
	}
	return cell;
}

static void note(const void *address, uint8_t mask, bool write)
{
	struct cell *cell = cell_at(offset(address) / 8);
	unsigned self = (unsigned)run_thread();
	unsigned i;

	for (i = 0; i < EXPLORE_THREADS_MAX; i++) {
		if (i == self)
			continue;
		if (cell->write_mask[i] & mask &&
		    run_knows(i) <= cell->write_at[i])
			run_race(address, write, i);
		if (write && cell->read_mask[i] & mask &&
		    run_knows(i) <= cell->read_at[i])
			run_race(address, true, i);
	}
	if (write) {
		cell->write_mask[self] |= mask;
		cell->write_at[self] = run_events();
	} else {
		cell->read_mask[self] |= mask;
		cell->read_at[self] = run_events();
	}
}

/* Threads write through here: to shared memory or to their own stack only. */
static void access_bytes(void *address, size_t bytes, bool write)
{
	char *at = address;
	size_t here;

	if (!memory_has(address))
		return;
	if (write)
		memory_touch(address, bytes);
	if (run_thread() < 0)
		return;
	while (bytes > 0) {
		here = 8 - (uintptr_t)at % 8;
		if (here > bytes)
			here = bytes;
		note(at, (uint8_t)(((1u << here) - 1) << (uintptr_t)at % 8),
		     write);
		at += here;
		bytes -= here;
	}
}

#define ACCESS(bytes)							\
void __tsan_read##bytes(void *address);					\
void __tsan_write##bytes(void *address);				\
void __tsan_unaligned_read##bytes(void *address);			\
void __tsan_unaligned_write##bytes(void *address);			\
void __tsan_read##bytes(void *address)					\
{									\
	access_bytes(address, bytes, false);				\
}									\
void __tsan_write##bytes(void *address)					\
{									\
	access_bytes(address, bytes, true);				\
}									\
void __tsan_unaligned_read##bytes(void *address)			\
{									\
	access_bytes(address, bytes, false);				\
}									\
void __tsan_unaligned_write##bytes(void *address)			\
{									\
	access_bytes(address, bytes, true);				\
}

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_init(void);

void __tsan_read_range(void *address, size_t bytes)
{
	access_bytes(address, bytes, false);
}

void __tsan_write_range(void *address, size_t bytes)
{
	access_bytes(address, bytes, true);
}

void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void)
{
}

void __tsan_init(void)
{
}

/* ---- the C library's, where instrumented code calls it ---- */

void *__real_memset(void *to, int byte, size_t bytes);
void *__wrap_memset(void *to, int byte, size_t bytes);
void *__real_memcpy(void *to, const void *from, size_t bytes);
void *__wrap_memcpy(void *to, const void *from, size_t bytes);
void *__real_memmove(void *to, const void *from, size_t bytes);
void *__wrap_memmove(void *to, const void *from, size_t bytes);

/*
 * Words in there that threads share get a store that is not atomic; all that
 * another thread uses as words are shared by now.
 */
static void store_words(void *to, size_t bytes)
{
	static const struct explore_site site = { "memset", "memset", 0 };
	size_t at;
	uint32_t i;

	if (run_thread() < 0)
		return;
	for (at = (offset(to) + 7) & ~(size_t)7; at + 8 <= offset(to) + bytes;
	     at += 8)
		if (memory.use[at / 8].readers)
			(void)memory_place((const uint64_t *)(const void *)
					   (memory.bytes + at), true);
	if (memory.unsettled)
		return;
	for (i = 0; i < memory.places; i++)
		if (offset(memory.place[i]) - offset(to) < bytes)
			explore_store(memory.place[i], *memory.place[i],
				      EXPLORE_PLAIN, &site);
}

void *__wrap_memset(void *to, int byte, size_t bytes)
{
	access_bytes(to, bytes, true);
	__real_memset(to, byte, bytes);
	if (memory_has(to))
		store_words(to, bytes);
	return to;
}

void *__wrap_memcpy(void *to, const void *from, size_t bytes)
{
	access_bytes((void *)(uintptr_t)from, bytes, false);
	access_bytes(to, bytes, true);
	__real_memcpy(to, from, bytes);
	if (memory_has(to))
		store_words(to, bytes);
	return to;
}

void *__wrap_memmove(void *to, const void *from, size_t bytes)
{
	access_bytes((void *)(uintptr_t)from, bytes, false);
	access_bytes(to, bytes, true);
	__real_memmove(to, from, bytes);
	if (memory_has(to))
		store_words(to, bytes);
	return to;
}
