/* SPDX-License-Identifier: MIT */
/*
 * The port for a process: memory, contexts, read sections, signals, faults.
 * By calling it as the library does, and looking at the process from outside.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <coldframe/coldframe.h>

#include "port/host/host.h"
#include "tests/tap.h"

#define MIB		((uint64_t)1 << 20)
#define FRAMES_64MIB	((cf_pfn)64 << 8)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct cf_host_memory memory;

static bool memory_make(struct cf_host_config config)
{
	return CHECK(cf_host_memory_create(&config, &memory) == 0);
}

static volatile unsigned char *frame(cf_pfn pfn)
{
	return memory.base + pfn * CF_FRAME_BYTES;
}

static void write_frames(cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++)
		*frame(pfn) = 0xa5;
}

/* Does a child that touches the frame die of it? */
static bool touch_is_caught(cf_pfn pfn)
{
	const struct rlimit no_core = { 0, 0 };
	int status = 0;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGSEGV, SIG_DFL);
		*frame(pfn) = 1;
		_exit(0);
	}
	if (!CHECK(child > 0) || !CHECK(waitpid(child, &status, 0) == child))
		return false;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void memory_refuses(void)
{
	struct cf_host_config config = { .last = 0 };

	CHECK(cf_host_memory_create(&config, &memory) == -CF_EINVAL);
	config.last = CF_PFN_LIMIT + 1;
	CHECK(cf_host_memory_create(&config, &memory) == -CF_EINVAL);
}

static void memory_addresses(void)
{
	if (!memory_make((struct cf_host_config){ .last = 1024, .huge = true }))
		return;
	CHECK((uintptr_t)memory.base % (2 * MIB) == 0);
	CHECK(cf_port_frame_address(&memory, 0, 1024) == memory.base);
	CHECK(cf_port_frame_address(&memory, 7, 1) ==
	      memory.base + 7 * CF_FRAME_BYTES);
	CHECK(cf_port_frame_address(&memory, 1024, 0) == NULL);
	CHECK(cf_port_frame_address(&memory, 1023, 2) == NULL);
	CHECK(cf_port_frame_address(&memory, 1, UINT64_MAX) == NULL);
	CHECK(cf_port_frame_address(&memory, CF_PFN_NONE, 1) == NULL);
	CHECK(*frame(1023) == 0);
	cf_host_memory_destroy(&memory);
}

/* A terabyte costs nothing until it is touched. */
static void memory_is_not_paid(void)
{
	uint64_t before = cf_host_resident_bytes();
	uint64_t after;

	if (SANITIZED) {
		tap_skip_this("shadow memory leaves no room");
		return;
	}
	if (!memory_make((struct cf_host_config){ .last = (cf_pfn)1 << 28 }))
		return;
	*frame(((cf_pfn)1 << 28) - 1) = 1;
	after = cf_host_resident_bytes();
	CHECK(before > 0);
	CHECK(after < before + MIB);
	cf_host_memory_destroy(&memory);
}

static void shrinks_and_grows(bool huge)
{
	uint64_t touched, discarded, again;

	if (!memory_make((struct cf_host_config){ .last = FRAMES_64MIB,
						  .huge = huge }))
		return;
	write_frames(0, FRAMES_64MIB);
	touched = cf_host_resident_bytes();
	CHECK(cf_host_discard(&memory, 0, FRAMES_64MIB / 2) == 0);
	discarded = cf_host_resident_bytes();
	CHECK(touched - discarded >= 32 * MIB * 95 / 100);
	CHECK(touched - discarded <= 32 * MIB * 105 / 100);
	CHECK(*frame(0) == 0);
	CHECK(*frame(FRAMES_64MIB / 2 - 1) == 0);
	CHECK(*frame(FRAMES_64MIB / 2) == 0xa5);
	write_frames(0, FRAMES_64MIB / 2);
	again = cf_host_resident_bytes();
	CHECK(again - discarded >= 32 * MIB * 95 / 100);
	cf_host_memory_destroy(&memory);
}

static void discard_shrinks_huge(void)
{
	shrinks_and_grows(true);
}

static void discard_shrinks_small(void)
{
	shrinks_and_grows(false);
}

static void discard_refuses(void)
{
	if (!memory_make((struct cf_host_config){ .last = 1024 }))
		return;
	write_frames(0, 1024);
	CHECK(cf_host_discard(&memory, 3, 3) == -CF_EINVAL);
	CHECK(cf_host_discard(&memory, 4, 3) == -CF_EINVAL);
	CHECK(cf_host_discard(&memory, 1000, 1025) == -CF_EINVAL);
	CHECK(*frame(1000) == 0xa5);
	/* Not mlock(): sanitizers put one that does nothing in its place. */
	if (syscall(SYS_mlock, memory.base, CF_FRAME_BYTES) == 0) {
		CHECK(cf_host_discard(&memory, 0, 1) == -CF_EPORT);
		CHECK(*frame(0) == 0xa5);
	}
	cf_host_memory_destroy(&memory);
}

static void pagealloc_catches(void)
{
	if (!memory_make((struct cf_host_config){ .last = 1024,
						  .debug_pagealloc = true }))
		return;
	CHECK(touch_is_caught(5));
	CHECK(cf_port_first_exposed(&memory, 4, 8) == 0);
	CHECK(!touch_is_caught(5));
	CHECK(touch_is_caught(3));
	CHECK(touch_is_caught(8));
	cf_port_protect(&memory, 5, 6, false);
	CHECK(touch_is_caught(5));
	CHECK(!touch_is_caught(4));
	cf_port_protect(&memory, 5, 6, true);
	CHECK(!touch_is_caught(5));
	CHECK(cf_host_discard(&memory, 4, 8) == 0);
	CHECK(touch_is_caught(4));
	CHECK(cf_port_returned(&memory, 4, 8) == 0);
	CHECK(!touch_is_caught(4));
	CHECK(cf_host_unguarded(&memory) == 0);
	cf_host_memory_destroy(&memory);
}

static void pagealloc_is_an_option(void)
{
	if (!memory_make((struct cf_host_config){ .last = 16 }))
		return;
	cf_port_protect(&memory, 0, 16, false);
	CHECK(!touch_is_caught(5));
	cf_host_memory_destroy(&memory);
}

/* Every second frame usable: more pieces than the kernel allows. */
static void pagealloc_runs_out(void)
{
	const cf_pfn last = (cf_pfn)1 << 17;
	cf_pfn pfn;

	if (!memory_make((struct cf_host_config){ .last = last,
						  .debug_pagealloc = true }))
		return;
	for (pfn = 0; pfn < last; pfn += 2)
		cf_port_protect(&memory, pfn, pfn + 1, true);
	write_frames(0, 1);
	write_frames(last - 2, last - 1);
	CHECK(cf_host_unguarded(&memory) > 0);
	for (pfn = 0; pfn < last; pfn += 2)
		*frame(pfn) = 1;
	for (pfn = 0; pfn < last; pfn += 2)
		cf_port_protect(&memory, pfn, pfn + 1, false);
	cf_port_protect(&memory, 0, last, false);
	CHECK(touch_is_caught(0));
	CHECK(touch_is_caught(last - 2));
	cf_host_memory_destroy(&memory);
}

static struct {
	cf_pfn first, last;
	int exposed, returned, signals;
	int answer;
} heard;

static int hear_exposed(void *context, cf_pfn first, cf_pfn last)
{
	CHECK(context == &heard);
	heard.first = first;
	heard.last = last;
	heard.exposed++;
	return heard.answer;
}

static int hear_returned(void *context, cf_pfn first, cf_pfn last)
{
	CHECK(context == &heard);
	heard.first = first;
	heard.last = last;
	heard.returned++;
	return heard.answer;
}

static void hear_signal(void *context, enum cf_signal what, cf_pfn pfn)
{
	CHECK(context == &heard);
	CHECK(what == CF_SIGNAL_CHUNK_EMPTY);
	heard.first = pfn;
	heard.signals++;
}

static const struct cf_host_hooks hooks = {
	.context = &heard,
	.first_exposed = hear_exposed,
	.returned = hear_returned,
	.signal = hear_signal,
};

static void hooks_hear(void)
{
	memset(&heard, 0, sizeof(heard));
	if (!memory_make((struct cf_host_config){ .last = 64,
						  .hooks = hooks }))
		return;
	CHECK(cf_port_first_exposed(&memory, 3, 9) == 0);
	CHECK(heard.exposed == 1 && heard.first == 3 && heard.last == 9);
	CHECK(cf_port_returned(&memory, 4, 5) == 0);
	CHECK(heard.returned == 1 && heard.first == 4 && heard.last == 5);
	cf_port_signal(&memory, CF_SIGNAL_CHUNK_EMPTY, 17);
	CHECK(heard.signals == 1 && heard.first == 17);
	cf_host_memory_destroy(&memory);
}

static void hooks_refuse(void)
{
	memset(&heard, 0, sizeof(heard));
	heard.answer = 1;
	if (!memory_make((struct cf_host_config){ .last = 64, .hooks = hooks,
						  .debug_pagealloc = true }))
		return;
	CHECK(cf_port_first_exposed(&memory, 3, 9) != 0);
	CHECK(touch_is_caught(3));
	CHECK(cf_port_returned(&memory, 3, 9) != 0);
	CHECK(touch_is_caught(3));
	heard.exposed = 0;
	CHECK(cf_port_first_exposed(&memory, 60, 65) != 0);
	CHECK(heard.exposed == 0);
	cf_host_memory_destroy(&memory);
}

/* One call of each kind; true: it failed. */
static bool call_fails(enum cf_host_call call)
{
	void *meta;

	switch (call) {
	case CF_HOST_META_ALLOC:
		meta = cf_port_meta_alloc(&memory, CF_FRAME_BYTES);
		if (meta)
			cf_port_meta_free(&memory, meta, CF_FRAME_BYTES);
		return !meta;
	case CF_HOST_FRAME_ADDRESS:
		return !cf_port_frame_address(&memory, 0, 1);
	case CF_HOST_FIRST_EXPOSED:
		return cf_port_first_exposed(&memory, 0, 1) != 0;
	case CF_HOST_RETURNED:
		return cf_port_returned(&memory, 0, 1) != 0;
	case CF_HOST_CALL_COUNT:
		break;
	}
	return false;
}

static void faults_fail_the_nth(void)
{
	enum cf_host_call call;
	uint64_t nth, made;

	if (!memory_make((struct cf_host_config){ .last = 64 }))
		return;
	for (call = 0; call < CF_HOST_CALL_COUNT; call++) {
		for (nth = 0; nth <= 3; nth++) {
			cf_host_fault_arm(&memory, call, nth);
			for (made = 1; made <= 4; made++)
				CHECK(call_fails(call) == (made == nth));
			CHECK(cf_host_fault_calls(&memory, call) == 4);
		}
		cf_host_fault_disarm(&memory);
		CHECK(!call_fails(call));
		CHECK(cf_host_fault_calls(&memory, call) == 4);
	}
	cf_host_memory_destroy(&memory);
}

static void meta_is_zero_and_aligned(void)
{
	unsigned char *small, *large;
	size_t i;

	if (!memory_make((struct cf_host_config){ .last = 64,
						  .huge_meta = true }))
		return;
	small = cf_port_meta_alloc(&memory, 3 * CF_FRAME_BYTES);
	large = cf_port_meta_alloc(&memory, 2 * MIB + CF_FRAME_BYTES);
	if (!CHECK(small && large))
		return;
	CHECK((uintptr_t)small % CF_FRAME_BYTES == 0);
	CHECK((uintptr_t)large % (2 * MIB) == 0);
	for (i = 0; i < 3 * CF_FRAME_BYTES; i++)
		if (!CHECK(small[i] == 0))
			break;
	large[2 * MIB + CF_FRAME_BYTES - 1] = 1;
	cf_port_meta_free(&memory, small, 3 * CF_FRAME_BYTES);
	cf_port_meta_free(&memory, large, 2 * MIB + CF_FRAME_BYTES);
	CHECK(!cf_port_meta_alloc(&memory, SIZE_MAX / 2));
	cf_host_memory_destroy(&memory);
}

/* A thread that enters, says so, and leaves or just ends when told. */
struct guest {
	pthread_t id;
	pthread_barrier_t step;
	unsigned number;
	bool leaves;
};

static void *guest_run(void *argument)
{
	struct guest *guest = argument;

	guest->number = cf_host_enter();
	(void)pthread_barrier_wait(&guest->step);
	(void)pthread_barrier_wait(&guest->step);
	if (guest->leaves)
		cf_host_leave(NULL);
	return NULL;
}

static void guest_begin(struct guest *guest, bool leaves)
{
	guest->leaves = leaves;
	(void)pthread_barrier_init(&guest->step, NULL, 2);
	CHECK(pthread_create(&guest->id, NULL, guest_run, guest) == 0);
	(void)pthread_barrier_wait(&guest->step);
}

static void guest_end(struct guest *guest)
{
	(void)pthread_barrier_wait(&guest->step);
	CHECK(pthread_join(guest->id, NULL) == 0);
	(void)pthread_barrier_destroy(&guest->step);
}

static void contexts_have_numbers(void)
{
	struct guest a, b, c;

	CHECK(cf_port_cpu() == CF_CPU_NONE);
	CHECK(cf_host_set_cpus(2) == 0);
	CHECK(cf_host_enter() == 0);
	CHECK(cf_host_enter() == 0);
	CHECK(cf_port_cpu() == 0);
	guest_begin(&a, true);
	CHECK(a.number == 1);
	guest_begin(&b, true);
	CHECK(b.number == CF_CPU_NONE);
	guest_end(&a);
	guest_begin(&c, false);
	CHECK(c.number == 1);
	CHECK(cf_host_set_cpus(1) == -CF_EBUSY);
	guest_end(&c);
	guest_end(&b);
	CHECK(cf_host_set_cpus(1) == 0);
	cf_host_leave(NULL);
	cf_host_leave(NULL);
	CHECK(cf_port_cpu() == CF_CPU_NONE);
	CHECK(cf_host_set_cpus(0) == -CF_EINVAL);
	CHECK(cf_host_set_cpus(CF_CPUS_MAX + 1) == -CF_EINVAL);
	CHECK(cf_host_set_cpus(CF_CPUS_MAX) == 0);
}

/* Numbers above 64, through more than one word of the table. */
static void contexts_are_many(void)
{
	static struct guest guests[70];
	unsigned i;

	for (i = 0; i < 70; i++) {
		guest_begin(&guests[i], i % 2);
		CHECK(guests[i].number == i);
	}
	guest_end(&guests[66]);
	guest_begin(&guests[66], true);
	CHECK(guests[66].number == 66);
	for (i = 0; i < 70; i++)
		guest_end(&guests[i]);
	CHECK(cf_host_enter() == 0);
	cf_host_leave(NULL);
}

/* A reader inside a section, and what it and the writer did, in order. */
static struct {
	pthread_barrier_t inside;
	uint64_t seen;		/* plain: the section orders it */
} section;

static void *reader_run(void *unused)
{
	(void)unused;
	cf_port_read_lock();
	cf_port_read_lock();
	(void)pthread_barrier_wait(&section.inside);
	cf_port_read_unlock();
	(void)usleep(50000);
	section.seen = 1;
	cf_port_read_unlock();
	/* Do not let the end of this thread put things in order. */
	(void)usleep(50000);
	return NULL;
}

static void sections_are_waited_for(void)
{
	pthread_t reader;

	memset(&section, 0, sizeof(section));
	(void)pthread_barrier_init(&section.inside, NULL, 2);
	CHECK(pthread_create(&reader, NULL, reader_run, NULL) == 0);
	(void)pthread_barrier_wait(&section.inside);
	cf_port_synchronize();
	CHECK(section.seen == 1);
	CHECK(pthread_join(reader, NULL) == 0);
	(void)pthread_barrier_destroy(&section.inside);
	cf_port_read_lock();
	cf_port_read_unlock();
	cf_port_synchronize();
}

static void *signal_later(void *unused)
{
	(void)unused;
	(void)usleep(20000);
	cf_port_signal(&memory, CF_SIGNAL_LOW, 0);
	return NULL;
}

static void signals_wake(void)
{
	pthread_t thread;

	if (!memory_make((struct cf_host_config){ .last = 64 }))
		return;
	CHECK(!cf_host_wait_signal(&memory, 0));
	CHECK(!cf_host_wait_signal(&memory, 5));
	cf_port_signal(&memory, CF_SIGNAL_LOW, 0);
	cf_port_signal(&memory, CF_SIGNAL_LOW, 0);
	CHECK(cf_host_wait_signal(&memory, 0));
	CHECK(!cf_host_wait_signal(&memory, 0));
	CHECK(pthread_create(&thread, NULL, signal_later, NULL) == 0);
	CHECK(cf_host_wait_signal(&memory, 10000));
	CHECK(pthread_join(thread, NULL) == 0);
	cf_host_memory_destroy(&memory);
}

static void barrier_says_what_it_has(void)
{
	bool fenced = cf_host_fenced();

	CHECK((cf_port_barrier_all() != 0) == fenced);
	cf_host_set_fenced(true);
	CHECK(cf_host_fenced());
	CHECK(cf_port_barrier_all() != 0);
	cf_host_set_fenced(false);
	CHECK(cf_host_fenced() == fenced);
}

static void small_things(void)
{
	uint64_t *ranks = cf_port_held_ranks();
	unsigned spins;

	CHECK(ranks == cf_port_held_ranks());
	CHECK(*ranks == 0);
	cf_port_irq_restore(cf_port_irq_off());
	for (spins = 0; spins < 70; spins++)
		cf_port_relax(spins);
}

static void panic_hook(const char *expression, const char *file, int line,
		       uint64_t value, uint64_t other)
{
	bool right = strcmp(expression, "a < b") == 0 &&
		     strcmp(file, "x.c") == 0 && line == 7 && value == 16 &&
		     other == 255;

	_exit(right ? 42 : 1);
}

/* Let a child fail a check. Returns its status; what it said is in @said. */
static int panic_in_child(cf_host_panic_fn hook, char *said, size_t bytes)
{
	const struct rlimit no_core = { 0, 0 };
	ssize_t length;
	int status = 0;
	int ends[2];
	pid_t child;

	if (!CHECK(pipe(ends) == 0))
		return 0;
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(ends[1], STDERR_FILENO);
		cf_host_on_panic(hook);
		cf_port_panic("a < b", "x.c", 7, 16, 255);
	}
	(void)close(ends[1]);
	length = read(ends[0], said, bytes - 1);
	said[length > 0 ? length : 0] = '\0';
	(void)close(ends[0]);
	CHECK(waitpid(child, &status, 0) == child);
	return status;
}

static void panic_speaks_and_aborts(void)
{
	const char *expected = "coldframe: check failed: a < b at x.c:7 "
			       "(value 0x10, other 0xff)\n";
	char said[256];
	int status = panic_in_child(NULL, said, sizeof(said));

	CHECK(strcmp(said, expected) == 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	status = panic_in_child(panic_hook, said, sizeof(said));
	CHECK(strcmp(said, expected) == 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void map_has_storage(void)
{
	struct cf_map_config config = { .cpus = 2 };
	struct cf_map *map, *other;
	struct guest guest;

	if (!memory_make((struct cf_host_config){ .last = FRAMES_64MIB * 4 }))
		return;
	if (!CHECK(cf_host_map_create(&memory, &config, &map) == 0))
		return;
	CHECK(cf_map_config_of(map)->machine == &memory);
	CHECK(cf_map_config_of(map)->last == FRAMES_64MIB * 4);
	CHECK(cf_map_config_of(map)->fenced == cf_host_fenced());
	CHECK(cf_host_map_create(&memory, &config, &other) == -CF_EBUSY);
	CHECK(cf_host_enter() == 0);
	guest_begin(&guest, true);
	CHECK(guest.number == 1);
	guest_end(&guest);
	cf_host_leave(map);
	CHECK(cf_host_map_destroy(map) == 0);
	CHECK(cf_host_map_create(&memory, &config, &map) == 0);
	CHECK(cf_host_map_destroy(map) == 0);
	cf_host_memory_destroy(&memory);
}

static void map_refuses(void)
{
	struct cf_map_config config = { .cpus = 1, .block_order = 99 };
	struct guest a, b;
	struct cf_map *map;

	if (!memory_make((struct cf_host_config){ .last = FRAMES_64MIB * 2 }))
		return;
	CHECK(cf_host_map_create(&memory, &config, &map) == -CF_EINVAL);
	config.block_order = 0;
	guest_begin(&a, true);
	guest_begin(&b, true);
	CHECK(cf_host_map_create(&memory, &config, &map) == -CF_EBUSY);
	guest_end(&b);
	if (!CHECK(cf_host_map_create(&memory, &config, &map) == 0))
		return;
	guest_end(&a);
	CHECK(cf_host_map_destroy(map) == 0);
	cf_host_memory_destroy(&memory);
}

/* A map over all of @memory, one block, online. */
static struct cf_map *map_online(cf_pfn last)
{
	const struct cf_map_config config = { .cpus = 1 };
	const struct cf_block_config blocks = { .meta = CF_META_PORT };
	struct cf_map *map = NULL;

	if (!CHECK(cf_host_map_create(&memory, &config, &map) == 0) ||
	    !CHECK(cf_block_add(map, 0, last, &blocks) == 0) ||
	    !CHECK(cf_block_online(map, 0, last, CF_ZONE_NORMAL, NULL) == 0))
		return NULL;
	(void)cf_host_enter();
	return map;
}

static void map_end(struct cf_map *map, cf_pfn last)
{
	cf_host_leave(map);
	CHECK(cf_block_offline(map, 0, last, 8, NULL) == 0);
	CHECK(cf_block_remove(map, 0, last) == 0);
	CHECK(cf_host_map_destroy(map) == 0);
	cf_host_memory_destroy(&memory);
}

/* Free, allocated, free again: caught, not caught, caught. */
static void map_guards(unsigned order)
{
	const struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_KERNEL,
	};
	const cf_pfn last = (cf_pfn)1 << CF_BLOCK_ORDER_MAX;
	struct cf_map *map;
	cf_pfn pfn;

	if (!memory_make((struct cf_host_config){ .last = last,
						  .debug_pagealloc = true }))
		return;
	map = map_online(last);
	if (!map)
		return;
	CHECK(touch_is_caught(last - 1));
	if (CHECK(cf_alloc(map, request, &pfn) == 0)) {
		CHECK(!touch_is_caught(pfn));
		CHECK(!touch_is_caught(pfn + ((cf_pfn)1 << order) - 1));
		cf_put(map, pfn);
		CHECK(touch_is_caught(pfn));
	}
	map_end(map, last);
}

static void map_guards_frames(void)
{
	map_guards(0);
}

static void map_guards_runs(void)
{
	map_guards(9);
}

int main(void)
{
	tap_run("memory: refuses what can never be", memory_refuses);
	tap_run("memory: frames have addresses", memory_addresses);
	tap_run("memory: untouched costs nothing", memory_is_not_paid);
	tap_run("discard: huge pages go and come", discard_shrinks_huge);
	tap_run("discard: small pages go and come", discard_shrinks_small);
	tap_run("discard: refuses", discard_refuses);
	tap_run("pagealloc: a touch is caught", pagealloc_catches);
	tap_run("pagealloc: is an option", pagealloc_is_an_option);
	tap_run("pagealloc: survives the kernel's limit", pagealloc_runs_out);
	tap_run("hooks: hear of each call", hooks_hear);
	tap_run("hooks: refuse", hooks_refuse);
	tap_run("faults: the nth call fails", faults_fail_the_nth);
	tap_run("meta: zero and aligned", meta_is_zero_and_aligned);
	tap_run("contexts: numbers are reused", contexts_have_numbers);
	tap_run("contexts: more than a word of them", contexts_are_many);
	tap_run("sections: are waited for", sections_are_waited_for);
	tap_run("signals: wake, and are not lost", signals_wake);
	tap_run("barrier: as it says", barrier_says_what_it_has);
	tap_run("ranks, irq, relax", small_things);
	tap_run("panic: speaks and aborts", panic_speaks_and_aborts);
	tap_run("map: has storage of its own", map_has_storage);
	tap_run("map: refuses", map_refuses);
	tap_run("map: guards a frame", map_guards_frames);
	tap_run("map: guards a run", map_guards_runs);
	return tap_done();
}
