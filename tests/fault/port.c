/* SPDX-License-Identifier: MIT */
/*
 * The port for tests. One thread only: a wait that does not end is a panic,
 * and the locks held at a call are known exactly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <coldframe/lock.h>
#include <coldframe/types.h>

#include "port.h"

#define SPINS_MAX	(1u << 22)

struct test_port test_port;

static const char *const call_names[] = {
	[TEST_META_ALLOC] = "cf_port_meta_alloc",
	[TEST_FIRST_EXPOSED] = "cf_port_first_exposed",
	[TEST_RETURNED] = "cf_port_returned",
	[TEST_BARRIER] = "cf_port_barrier_all",
	[TEST_FRAME_ADDRESS] = "cf_port_frame_address",
};
_Static_assert(sizeof(call_names) / sizeof(call_names[0]) == TEST_CALL_COUNT,
	       "a name for every call");

const char *test_call_name(enum test_call call)
{
	return call_names[call];
}

/* A promise of the library to the port that does not hold. */
static void broken(const char *text)
{
	if (test_port.panic)
		test_port.panic(test_port.context, text);
	fprintf(stderr, "Bail out! %s\n", text);
	abort();
}

static void promise(bool holds, const char *text)
{
	if (!holds)
		broken(text);
}

/* Only ranks up to and including @rank may be held. */
static void promise_ranks(enum cf_rank rank, const char *text)
{
	if (rank < 63)
		promise(!(test_port.held_ranks >> (rank + 1)), text);
}

void test_port_init(cf_pfn frames)
{
	size_t bytes = (size_t)frames * CF_FRAME_BYTES;

	memset(&test_port, 0, sizeof(test_port));
	test_port.frames = frames;
	test_port.usable = calloc(frames, 1);
	test_port.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				-1, 0);
	if (!test_port.usable || test_port.memory == MAP_FAILED) {
		fprintf(stderr, "Bail out! no memory for the test port\n");
		exit(1);
	}
}

size_t test_port_done(void)
{
	size_t out = 0;
	struct test_meta *meta;

	while ((meta = test_port.meta)) {
		test_port.meta = meta->next;
		out += meta->bytes;
		free(meta->memory);
		free(meta);
	}
	munmap(test_port.memory, (size_t)test_port.frames * CF_FRAME_BYTES);
	free(test_port.usable);
	test_port.memory = NULL;
	test_port.usable = NULL;
	return out;
}

void test_port_arm(enum test_call call, uint64_t at)
{
	test_port.fault_call = call;
	test_port.fault_at = at;
	test_port.fault_fired = false;
	test_port.fault_lasts = false;
}

void test_port_break(enum test_call call)
{
	test_port_arm(call, 1);
	test_port.fault_lasts = true;
}

bool test_port_disarm(void)
{
	test_port.fault_at = 0;
	return test_port.fault_fired;
}

/* Count a call. Returns whether it is to fail. */
static bool fault(enum test_call call)
{
	test_port.calls[call]++;
	if (!test_port.fault_at || test_port.fault_call != call)
		return false;
	if (--test_port.fault_at)
		return false;
	test_port.fault_at = test_port.fault_lasts;
	test_port.fault_fired = true;
	return true;
}

void cf_port_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	const char *base = strrchr(file, '/');
	char text[256];

	snprintf(text, sizeof(text), "check failed: %s:%d: %s (%#llx, %#llx)",
		 base ? base + 1 : file, line, expression,
		 (unsigned long long)value, (unsigned long long)other);
	broken(text);
	abort();
}

unsigned cf_port_cpu(void)
{
	return test_port.cpu;
}

unsigned long cf_port_irq_off(void)
{
	return test_port.irqs_off++;
}

void cf_port_irq_restore(unsigned long state)
{
	promise(test_port.irqs_off == state + 1, "port: irq states nest");
	test_port.irqs_off--;
}

void cf_port_relax(unsigned spins)
{
	(void)spins;
	promise(test_port.spins++ < SPINS_MAX,
		"port: one thread alone waits without end");
}

void cf_port_read_lock(void)
{
	test_port.sections++;
}

void cf_port_read_unlock(void)
{
	promise(test_port.sections, "port: read_unlock without a section");
	test_port.sections--;
}

void cf_port_synchronize(void)
{
	promise(!test_port.sections, "port: synchronize in a read section");
	promise_ranks(CF_RANK_HOTPLUG, "port: synchronize under a lock");
}

int cf_port_barrier_all(void)
{
	return fault(TEST_BARRIER) ? -1 : 0;
}

void *cf_port_meta_alloc(void *machine, size_t bytes)
{
	struct test_meta *meta;
	size_t rounded = (bytes + CF_FRAME_BYTES - 1) & ~(CF_FRAME_BYTES - 1);

	(void)machine;
	promise_ranks(CF_RANK_HOTPLUG, "port: meta_alloc under a lock");
	promise(bytes, "port: meta_alloc of no bytes");
	if (fault(TEST_META_ALLOC))
		return NULL;
	meta = malloc(sizeof(*meta));
	if (!meta)
		return NULL;
	meta->bytes = bytes;
	meta->memory = aligned_alloc(CF_FRAME_BYTES, rounded);
	if (!meta->memory) {
		free(meta);
		return NULL;
	}
	memset(meta->memory, 0xa5, rounded);
	meta->next = test_port.meta;
	test_port.meta = meta;
	return meta->memory;
}

void cf_port_meta_free(void *machine, void *memory, size_t bytes)
{
	struct test_meta **link = &test_port.meta;
	struct test_meta *meta;

	(void)machine;
	while (*link && (*link)->memory != memory)
		link = &(*link)->next;
	promise(*link != NULL, "port: meta_free of foreign memory");
	meta = *link;
	promise(meta->bytes == bytes, "port: meta_free of another size");
	*link = meta->next;
	free(meta->memory);
	free(meta);
}

void *cf_port_frame_address(void *machine, cf_pfn pfn, uint64_t count)
{
	(void)machine;
	if (fault(TEST_FRAME_ADDRESS))
		return NULL;
	if (pfn >= test_port.frames || count > test_port.frames - pfn)
		return NULL;
	return test_port.memory + (size_t)pfn * CF_FRAME_BYTES;
}

static int expose(enum test_call call, cf_pfn first, cf_pfn last)
{
	promise_ranks(CF_RANK_HOTPLUG, "port: exposure under a lock");
	promise(first < last, "port: exposure of nothing");
	if (fault(call))
		return -1;
	if (test_port.exposed)
		test_port.exposed(test_port.context, first, last,
				  call == TEST_FIRST_EXPOSED);
	return 0;
}

int cf_port_first_exposed(void *machine, cf_pfn first, cf_pfn last)
{
	(void)machine;
	return expose(TEST_FIRST_EXPOSED, first, last);
}

int cf_port_returned(void *machine, cf_pfn first, cf_pfn last)
{
	(void)machine;
	return expose(TEST_RETURNED, first, last);
}

void cf_port_protect(void *machine, cf_pfn first, cf_pfn last, bool usable)
{
	(void)machine;
	promise(first < last && last <= test_port.frames,
		"port: protect beyond the machine");
	memset(test_port.usable + first, usable, (size_t)(last - first));
}

void cf_port_signal(void *machine, enum cf_signal what, cf_pfn pfn)
{
	(void)machine;
	(void)pfn;
	promise_ranks(CF_RANK_HOTPLUG, "port: signal under a lock");
	test_port.signals[what]++;
}

uint64_t *cf_port_held_ranks(void)
{
	return &test_port.held_ranks;
}
