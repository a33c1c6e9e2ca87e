/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FAULT_PORT_H
#define TESTS_FAULT_PORT_H

/*
 * A port to a machine made for tests: one thread that can pose as any CPU,
 * contents in one mapping, every promise of <coldframe/port.h> that can be
 * looked at checked at the call, and any call made to fail on demand.
 */

#include <coldframe/port.h>

/* The calls that can fail. */
enum test_call {
	TEST_META_ALLOC,
	TEST_FIRST_EXPOSED,
	TEST_RETURNED,
	TEST_BARRIER,
	TEST_FRAME_ADDRESS,
	TEST_CALL_COUNT
};

const char *test_call_name(enum test_call call);

struct test_meta {
	struct test_meta *next;
	void *memory;
	size_t bytes;
};

struct test_port {
	cf_pfn frames;		/* frames with contents: [0, frames) */
	uint8_t *memory;	/* their contents */
	uint8_t *usable;	/* one a frame: 1 usable, 0 not, by protect */
	unsigned cpu;		/* what cf_port_cpu() says */
	uint64_t held_ranks;
	unsigned sections;	/* read sections open */
	unsigned irqs_off;
	uint64_t spins;		/* calls of relax since the last reset */
	struct test_meta *meta;	/* metadata that is out */
	uint64_t calls[TEST_CALL_COUNT];
	uint64_t signals[CF_SIGNAL_COUNT];	/* by enum cf_signal */

	/* The @fault_at-th call of @fault_call from now on fails; 0: none. */
	enum test_call fault_call;
	uint64_t fault_at;
	bool fault_lasts;	/* and all after it */
	bool fault_fired;

	/* Told of exposures that succeed. */
	void (*exposed)(void *context, cf_pfn first, cf_pfn last, bool initial);
	/* Told that a check failed; must not return. NULL: abort. */
	void (*panic)(void *context, const char *text);
	void *context;
};

extern struct test_port test_port;

/* Begin anew with contents for @frames frames. */
void test_port_init(cf_pfn frames);

/* The end: gives the contents back. Returns bytes of metadata still out. */
size_t test_port_done(void);

/* Let the @at-th call from now on fail. Pair with test_port_disarm(). */
void test_port_arm(enum test_call call, uint64_t at);

/* Let all calls from now on fail. Pair with test_port_disarm(). */
void test_port_break(enum test_call call);

/* No more faults. Returns whether the armed one happened. */
bool test_port_disarm(void);

#endif
