/* SPDX-License-Identifier: MIT */
#ifndef TESTS_RACE_RACE_H
#define TESTS_RACE_RACE_H

/*
 * A machine among threads. Each test says what runs beside what and for how
 * long; who may write a frame's contents is kept here, frame by frame, so
 * that a frame handed out twice is seen at once.
 */

#include <stdatomic.h>

#include <coldframe/coldframe.h>

#include "port/host/host.h"
#include "tests/tap.h"

#define RACE_THREADS	8

struct race;

/* One thread's share: its number and its random numbers. */
struct racer {
	struct race *race;
	unsigned number;
	uint64_t random;
	uint64_t done;		/* times round, for the report */
	void (*run)(struct racer *racer);
};

struct race {
	struct cf_host_memory memory;
	struct cf_map *map;
	cf_pfn last, block;	/* frames of the machine, of a block */
	_Atomic uint32_t *holder;	/* one a frame: 0 nobody */
	atomic_bool stop;
	struct racer racer[RACE_THREADS];
	pthread_t thread[RACE_THREADS];
	unsigned racers;
	struct cf_stat before;
};

/* Blocks of 2^order frames, all added and online, first half NORMAL. */
struct race_size {
	unsigned order, blocks, movable;	/* of them zone MOVABLE */
	bool fenced;		/* caches by full fences, barrier or not */
};

void race_begin(struct race *race, struct race_size size);
/* Let @count threads do this; they start at race_go(). */
void race_add(struct race *race, unsigned count,
	      void (*run)(struct racer *racer));
/* Run until time is up or a check fails, and wait for all. */
void race_go(struct race *race);
/* Check that nothing is lost and end the machine. */
void race_end(struct race *race);

/*
 * The test harness counts by source file: what fails in race.c is noted here
 * and counted where the test is.
 */
extern atomic_bool race_failed;

/* Seconds, seed and names from the command line; exits if they are wrong. */
void race_options(int argc, char **argv);
/* Does the command line ask for this test? */
bool race_wants(const char *name);

static inline void race_test(const char *name, void (*test)(void))
{
	if (!race_wants(name))
		return;
	atomic_store(&race_failed, false);
	tap.broken = false;
	test();
	tap_line(!tap.broken && !atomic_load(&race_failed), name, NULL);
}

bool race_on(struct racer *racer);
uint32_t race_random(struct racer *racer, uint32_t limit);

/* As CHECK(), and everybody stops. From any thread of the test. */
#define RACE_CHECK(race, expression)					\
	(CHECK(expression) || (atomic_store(&(race)->stop, true), false))

/*
 * Who holds the frames of a run, as the test sees it. Taking checks that
 * nobody did, giving up that this one did.
 */
enum {
	HOLDER_NOBODY = 0,
	HOLDER_HOST = 1,	/* offline: nobody but the host */
	HOLDER_RUN = 2
};
void race_take(struct race *race, cf_pfn pfn, unsigned order, uint32_t holder);
void race_give(struct race *race, cf_pfn pfn, unsigned order, uint32_t holder);

/* Contents: the first word of each frame, written and read plainly. */
void race_write(struct race *race, cf_pfn pfn, unsigned order, uint64_t mark);
bool race_read(struct race *race, cf_pfn pfn, unsigned order, uint64_t mark);
uint64_t race_mark(struct race *race, cf_pfn pfn);

#endif
