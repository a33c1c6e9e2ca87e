/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_MACHINE_H
#define TESTS_UNIT_MACHINE_H

/*
 * What unit tests share: a small machine with a map and blocks that are
 * online, an owner that writes down what it was asked, calls that must fail
 * and change nothing, and misuse that must panic.
 *
 * One machine at a time: machine_make(), the test, machine_end(), which
 * verifies the map and takes every block offline and away, so that a run a
 * test forgot or the engine lost fails the test.
 */

#include <stdio.h>
#include <string.h>

#include <coldframe/coldframe.h>

#include "port/host/host.h"
#include "tests/tap.h"

#define BLOCK_ORDER	10	/* of machines that do not say: two chunks */

/* How to make a machine.  All zero: one block, two contexts, one node. */
struct machine_config {
	unsigned block_order;
	unsigned blocks;	/* of each node, zone NORMAL */
	unsigned movable;	/* of each node, after these: zone MOVABLE */
	unsigned absent;	/* room in the map behind all of them */
	unsigned nodes, cpus, poison_max;
	bool no_caches, debug_pagealloc, fenced;
};

struct machine {
	struct machine_config config;
	struct cf_host_memory memory;
	struct cf_map *map;
	cf_pfn block;		/* frames of a block */
	cf_pfn last;		/* frames of the map */
	/* What the port heard. */
	unsigned signals[CF_SIGNAL_COUNT];	/* by enum cf_signal */
	cf_pfn signal_pfn[CF_SIGNAL_COUNT];	/* the last one's */
	uint64_t exposed, returned;	/* frames */
};

extern struct machine m;

/* All of these print a "# ..." line before they return false. */
bool machine_make(struct machine_config config);
bool machine_end(void);
/* As machine_end() where runs cannot be freed any more. */
bool machine_wipe(void);
bool machine_verify(void);

/* Context 1 runs @act in a thread; its caches stay as they are. */
void machine_on_other(void (*act)(void *context), void *context);

/*
 * Another context runs @act while the test goes on, for 20 ms at first so
 * that it comes to where it has to wait.  One at a time; end it.
 */
void background_begin(void (*act)(void *context), void *context);
bool background_is_done(void);
void background_end(void);
void rest(void);	/* 20 ms */

/* Does @act panic with @value first?  It runs in a child. */
bool panics(void (*act)(void), uint64_t value);

/* Head of a run; CF_PFN_NONE, and a failed check, if there is none. */
#define alloc(...) take_run((__VA_ARGS__), __FILE__, __LINE__)

static inline cf_pfn take_run(struct cf_request request, const char *file,
			      int line)
{
	cf_pfn pfn = CF_PFN_NONE;

	tap_check(cf_alloc(m.map, request, &pfn) == 0, "cf_alloc() == 0",
		  file, line);
	return pfn;
}

static inline struct cf_request kernel(unsigned order)
{
	return (struct cf_request){ .order = (uint8_t)order,
				    .type = CF_TYPE_KERNEL };
}

static inline struct cf_request folio(unsigned order, uint32_t owner)
{
	return (struct cf_request){ .order = (uint8_t)order,
				    .type = CF_TYPE_FOLIO,
				    .owner = (uint16_t)owner };
}

static inline struct cf_request with_flags(struct cf_request request,
					   unsigned flags)
{
	request.flags = (uint16_t)(request.flags | flags);
	return request;
}

static inline struct cf_request in_zone(struct cf_request request,
					enum cf_zone_kind kind)
{
	request.zone = (uint8_t)kind;
	return request;
}

/* Of a head; a failed check and zeroes if there is no run. */
#define snapshot(pfn) look_at((pfn), __FILE__, __LINE__)

static inline struct cf_snapshot look_at(cf_pfn pfn, const char *file, int line)
{
	struct cf_snapshot run = { .type = CF_TYPE_NONE };

	tap_check(cf_snapshot(m.map, pfn, &run) == 0, "cf_snapshot() == 0",
		  file, line);
	return run;
}

/* Does a run begin at @pfn? */
static inline bool is_head(cf_pfn pfn)
{
	struct cf_snapshot run;

	return cf_snapshot(m.map, pfn, &run) == 0;
}

static inline bool has_flags(cf_pfn pfn, uint32_t flags)
{
	struct cf_snapshot run;

	return !cf_snapshot(m.map, pfn, &run) && (run.flags & flags) == flags;
}

static inline struct cf_stat stat_now(void)
{
	struct cf_stat stat;

	cf_stat(m.map, &stat);
	return stat;
}

/* Frames the allocator could give, in stock or not. */
static inline uint64_t unused_frames(void)
{
	struct cf_stat stat = stat_now();

	return stat.free + stat.cached;
}

static inline struct cf_block_info block_info(cf_pfn pfn)
{
	struct cf_block_info info = { .state = CF_BLOCK_ABSENT };

	(void)!cf_block_info(m.map, pfn, &info);
	return info;
}

/* Chunks of the whole map that are wholly free. */
uint64_t whole_chunks(void);

/* Allocate every frame, one by one, into @frames; returns how many. */
size_t fill(struct cf_request request, cf_pfn *frames, size_t most);
void put_all(const cf_pfn *frames, size_t count);

/* What an owner's verify has found: @good, or it says what. */
static inline bool owner_holds(bool good, int kind, cf_pfn pfn, uint32_t owner)
{
	if (!good)
		printf("# finding %d at %#llx of owner %u\n", kind,
		       (unsigned long long)pfn, owner);
	return good;
}

/* Add blocks and bring them online, zone @kind. */
bool add_online(cf_pfn first, cf_pfn last, enum cf_zone_kind kind,
		uint32_t range_owner);

/*
 * What the map says of every frame and block, to compare: words, block
 * states, counters; frames in stock count as free.
 */
void image_take(void);
bool image_same(void);

/* A call that must fail with @code and change nothing. */
#define FAILS(code, call)						\
	do {								\
		image_take();						\
		CHECK_EQ((call), -(int)(code));				\
		CHECK(image_same());					\
	} while (0)

/* A call that must fail with @code and may have done part of it. */
#define FAILS_PARTLY(code, call) CHECK_EQ((call), -(int)(code))

/*
 * An owner.  Its hooks count, note the run, call @then and return what
 * answer[] says; without an answer migrate does the work.
 */
enum hook {
	HOOK_RELEASE,
	HOOK_ISOLATE,
	HOOK_MIGRATE,
	HOOK_PUTBACK,
	HOOK_SPLIT,
	HOOK_DISSOLVE,
	HOOK_ONLINE,
	HOOK_DESCRIBE,		/* says KEEPER_DETAIL */
	HOOK_COUNT
};

#define HOOKS_ALL	((1u << HOOK_COUNT) - 1)
#define KEEPER_DETAIL	"what its owner calls it"

struct keeper {
	uint32_t id;
	struct cf_owner_ops ops;
	enum cf_verdict verdict;
	int answer[HOOK_COUNT];
	unsigned calls[HOOK_COUNT];
	cf_pfn pfn[HOOK_COUNT];		/* of the last call */
	unsigned order[HOOK_COUNT];
	cf_pfn target;			/* of the last migrate */
	cf_pfn online_last;		/* of the last online */
	uint32_t refs;		/* references it holds of its counted runs */
	unsigned mark;		/* for the test's own use */
	void (*then)(struct keeper *keeper, enum hook hook, cf_pfn pfn,
		     unsigned order);
};

/* Register with the hooks of a set of 1 << enum hook; refs is set to 1. */
bool keeper_add(struct keeper *keeper, const char *name, unsigned hooks);

/* Unregister; false if frames were left. */
bool keeper_remove(struct keeper *keeper);

#endif
