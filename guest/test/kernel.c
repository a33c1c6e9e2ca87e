/* SPDX-License-Identifier: MIT */
/*
 * The guest's own parts: memory that comes when it is touched, copies,
 * threads, time, the C library.
 */
#include "guest/include/guest.h"
#include "guest/include/pthread.h"
#include "guest/include/stdio.h"
#include "guest/include/stdlib.h"
#include "guest/include/string.h"
#include "guest/include/sys/mman.h"
#include "guest/include/sys/wait.h"
#include "guest/include/time.h"
#include "guest/include/unistd.h"
#include "guest/kernel.h"
#include "tests/tap.h"

#define MIB	((size_t)1 << 20)

static void says(const char *expected, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void says(const char *expected, const char *format, ...)
{
	char text[100];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	if (!CHECK(!strcmp(text, expected)))
		tap_print("# \"%s\", not \"%s\"\n", text, expected);
}

static void formats(void)
{
	char small[4];

	says("-5 007 +3", "%d %03d %+d", -5, 7, 3);
	says("  7|7  |007", "%3u|%-3u|%.3u", 7u, 7u, 7u);
	says("ff 0xff 0 FF", "%x %#x %#x %X", 255u, 255u, 0u, 255u);
	says("18446744073709551615", "%llu", ~0ull);
	says("-9223372036854775808", "%lld", -0x7fffffffffffffffll - 1);
	says("ab   |   ab|a", "%-5s|%5s|%.1s", "ab", "ab", "ab");
	says("1.50 2.0 3 0.10", "%.2f %.1f %.0f %.2f", 1.5, 1.999, 3.0, 0.1);
	says("12.3%, c", "%.*f%%, %c", 1, 12.34, 'c');
	says("4294967295 -1 255", "%u %zd %hhu", 0xffffffffu, (ssize_t)-1,
	     (unsigned char)255);
	CHECK_EQ(snprintf(small, sizeof(small), "%s", "longer"), 6);
	CHECK(!strcmp(small, "lon"));
}

static void heap(void)
{
	static char *piece[100];
	size_t i;

	for (i = 0; i < 100; i++) {
		piece[i] = malloc(i * 111);
		if (!CHECK(piece[i] != NULL))
			return;
		(void)memset(piece[i], (int)i, i * 111);
	}
	for (i = 0; i < 100; i += 2)
		piece[i] = realloc(piece[i], i * 240 + 1);
	for (i = 0; i < 100; i++) {
		CHECK(i == 0 || (piece[i][0] == (char)i &&
				 piece[i][i * 111 - 1] == (char)i));
		free(piece[i]);
	}
	CHECK((uintptr_t)aligned_alloc(4096, 100) % 4096 == 0);
}

static void untouched_memory_is_free(void)
{
	uint64_t before = guest_resident_bytes(), pages = pages_free();
	char *area = mmap(NULL, 64 * MIB * MIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(area != MAP_FAILED);
	CHECK_EQ(guest_resident_bytes(), before);
	area[40 * MIB * MIB] = 1;
	CHECK_EQ(guest_resident_bytes(), before + 4096);
	(void)memset(area, 1, MIB);
	CHECK_EQ(guest_resident_bytes(), before + 4096 + MIB);
	CHECK(madvise(area, MIB / 2, MADV_DONTNEED) == 0);
	CHECK_EQ(guest_resident_bytes(), before + 4096 + MIB / 2);
	CHECK(area[0] == 0 && area[MIB / 2] == 1);
	CHECK(munmap(area, MIB) == 0);
	CHECK(munmap(area + MIB, 64 * MIB * MIB - MIB) == 0);
	CHECK_EQ(guest_resident_bytes(), before);
	/* Page tables stay. */
	CHECK(pages_free() + 16 >= pages);
}

static volatile char *touched;

static void do_touch(void)
{
	*touched = 1;
}

static int ends(void (*act)(void))
{
	int status = 0;

	if (fork() == 0) {
		act();
		_exit(5);
	}
	(void)waitpid(2, &status, 0);
	return status;
}

static void no_access_faults(void)
{
	char *area = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	touched = area;
	CHECK_EQ(ends(do_touch), FORK_FAULT);
	CHECK(mprotect(area, 4096, PROT_READ | PROT_WRITE) == 0);
	CHECK_EQ(ends(do_touch), 5 << 8);
	area[0] = 3;
	CHECK(mprotect(area, 4096, PROT_NONE) == 0);
	CHECK_EQ(ends(do_touch), FORK_FAULT);
	CHECK(mprotect(area, 4096, PROT_READ | PROT_WRITE) == 0);
	CHECK_EQ(area[0], 3);
	touched = area + 4096;
	CHECK_EQ(ends(do_touch), FORK_FAULT);
	CHECK(munmap(area, MIB) == 0);
	touched = area;
	CHECK_EQ(ends(do_touch), FORK_FAULT);
	touched = (volatile char *)8;
	CHECK_EQ(ends(do_touch), FORK_FAULT);
}

static int zero_is;

static void do_overflow(void)
{
	volatile int most = 0x7fffffff;

	most = most + 1 - zero_is;
}

static void undefined_behaviour_traps(void)
{
	CHECK_EQ(ends(do_overflow), FORK_FAULT);
}

static int variable = 1;
static char *heap_piece;

static void change_all(void)
{
	variable = 2;
	(void)memset(heap_piece, 2, 3 * MIB);
	(void)malloc(5000);
	(void)munmap(heap_piece, 3 * MIB);
	heap_piece = NULL;
}

static void copies_leave_no_trace(void)
{
	uint64_t resident, pages;
	unsigned i;

	heap_piece = mmap(NULL, 3 * MIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)memset(heap_piece, 1, 3 * MIB);
	resident = guest_resident_bytes();
	CHECK_EQ(ends(change_all), 5 << 8);
	pages = pages_free();
	for (i = 0; i < 20; i++)
		CHECK_EQ(ends(change_all), 5 << 8);
	CHECK_EQ(pages_free(), pages);
	CHECK_EQ(guest_resident_bytes(), resident);
	CHECK_EQ(variable, 1);
	CHECK(heap_piece && heap_piece[0] == 1 &&
	      heap_piece[3 * MIB - 1] == 1);
	(void)munmap(heap_piece, 3 * MIB);
}

static void hang(void)
{
	(void)alarm(0);
	fork_set_time(arch_now_ns() + 10000000);
	for (;;)
		thread_yield();
}

static void copies_end_in_time(void)
{
	CHECK_EQ(ends(hang), FORK_TIME_IS_UP);
}

#define THREADS		6
#define TIMES		3000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long sum;
static _Thread_local unsigned own = 11;

static void *add_up(void *argument)
{
	unsigned i;

	for (i = 0; i < TIMES; i++) {
		(void)pthread_mutex_lock(&lock);
		sum++;
		(void)pthread_mutex_unlock(&lock);
		own++;
	}
	return own == 11 + TIMES ? argument : NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	void *result;
	unsigned i;

	sum = 0;
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, add_up,
				     &thread[i]) == 0);
	for (i = 0; i < THREADS; i++) {
		CHECK(pthread_join(thread[i], &result) == 0);
		CHECK(result == &thread[i]);
	}
	CHECK_EQ(sum, THREADS * TIMES);
	CHECK_EQ(own, 11);
}

static void time_passes(void)
{
	const struct timespec wait = { 0, 5000000 };
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	uint64_t begin = arch_now_ns();
	struct timespec until;

	CHECK(nanosleep(&wait, NULL) == 0);
	CHECK(arch_now_ns() - begin >= 5000000);
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 5000000;
	begin = arch_now_ns();
	(void)pthread_mutex_lock(&lock);
	CHECK(pthread_cond_timedwait(&never, &lock, &until) != 0);
	(void)pthread_mutex_unlock(&lock);
	CHECK(arch_now_ns() - begin >= 4000000);
}

/* The test is given "cpus=N" and "word=x". */
static void command_line(void)
{
	char value[16];

	CHECK(boot_option("word", value, sizeof(value)));
	CHECK(!strcmp(value, "x"));
	CHECK(!boot_option("wor", value, sizeof(value)));
	CHECK(boot_option("cpus", value, sizeof(value)));
	CHECK_EQ(cpus_count, strtoul(value, NULL, 10));
}

#define BACKED	(8 * MIB)

/* Memory that is there where it is, behind addresses of an area. */
static void backed_memory(void)
{
	volatile char *area = mmap(NULL, BACKED, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t physical = page_take_top(BACKED, 2 * MIB);
	uint64_t before = guest_resident_bytes();
	uintptr_t at = (uintptr_t)area;

	if (!CHECK(physical) || !CHECK(space_back(at, at + BACKED, physical)))
		return;
	area[5] = 9;
	area[4096] = 8;
	area[2 * MIB + 7] = 7;
	CHECK_EQ(space_physical(at), physical);
	CHECK_EQ(space_physical(at + MIB + 9), physical + MIB);
	CHECK_EQ(((char *)physical)[5], 9);
	CHECK_EQ(space_physical(at + 4 * MIB), 0);
	CHECK_EQ(guest_resident_bytes(), before);
	/* A page of 2 MiB, and 2 MiB. */
	CHECK(madvise((char *)at + 4096, 4096, MADV_DONTNEED) == 0);
	CHECK(madvise((char *)at + 2 * MIB, 2 * MIB, MADV_DONTNEED) == 0);
	CHECK_EQ(space_physical(at + 4096), 0);
	CHECK_EQ(space_physical(at + 2 * MIB), 0);
	CHECK_EQ(area[5], 9);
	CHECK_EQ(area[4096], 0);
	CHECK_EQ(area[2 * MIB + 7], 0);
	CHECK_EQ(space_physical(at + 4096), physical + 4096);
	CHECK_EQ(space_physical(at + 2 * MIB), physical + 2 * MIB);
	/* Kept while it may not be touched. */
	area[6 * MIB] = 6;
	CHECK(mprotect((char *)at + 6 * MIB, 4096, PROT_NONE) == 0);
	CHECK_EQ(space_physical(at + 6 * MIB), 0);
	CHECK(mprotect((char *)at + 6 * MIB, 4096,
		       PROT_READ | PROT_WRITE) == 0);
	CHECK_EQ(area[6 * MIB], 6);
	CHECK(munmap((char *)at, BACKED) == 0);
	CHECK_EQ(space_physical(at), 0);
	CHECK_EQ(((char *)physical)[5], 9);
}

/* What was touched has pages of its own, and keeps them. */
static void touched_memory_is_not_backed(void)
{
	char *area = mmap(NULL, BACKED, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t at = (uintptr_t)area;

	area[3 * MIB] = 1;
	CHECK(!space_back(at, at + BACKED, 64 * MIB));
	CHECK(!space_back(at, at + 2 * BACKED, 64 * MIB));
	CHECK(munmap(area, BACKED) == 0);
}

int main(int count, char **words)
{
	(void)count;
	(void)words;
	tap_plan(13);
	tap_run("printf", formats);
	tap_run("heap", heap);
	tap_run("memory comes with the first touch", untouched_memory_is_free);
	tap_run("no access, and none at 0", no_access_faults);
	tap_run("undefined behaviour traps", undefined_behaviour_traps);
	tap_run("copies leave no trace", copies_leave_no_trace);
	tap_run("copies end in time", copies_end_in_time);
	tap_run("threads and their variables", threads);
	tap_run("time passes", time_passes);
	tap_run("command line", command_line);
	tap_run("backed memory", backed_memory);
	tap_run("touched memory is not backed", touched_memory_is_not_backed);
	tap_run("heap, again", heap);
	return tap_done();
}
