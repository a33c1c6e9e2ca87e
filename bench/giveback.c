/* SPDX-License-Identifier: MIT */
/*
 * What the system charges for memory that is given back and taken again, by
 * each way there is, and what the port adds to the fastest.
 *
 * Prints one row a way, in nanoseconds for 2 MiB.  "kept" behind the name
 * says that Rss of the process did not fall: nothing was given back.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/groups.h"
#include "bench/measure.h"
#include "port/host/host.h"

#define MIB		((size_t)1 << 20)
#define PIECE		(2 * MIB)
#define BLOCK		(64 * PIECE)
#define SMALL		((size_t)4096)
#define VECTOR		64
#define COLUMN		"each 2 MiB"

/* What lies behind the range that is given back. */
enum backing {
	BACKING_HUGE,		/* private, 2 MiB pages */
	BACKING_SMALL,		/* private, 4 KiB pages */
	BACKING_FILE,		/* memfd, shared */
	BACKING_PORT,		/* the port's frames, 2 MiB pages */
};

struct range {
	unsigned char *start;
	size_t bytes;
	size_t step;			/* bytes a call */
	int file;			/* BACKING_FILE: the memfd, else -1 */
	struct cf_host_memory memory;	/* BACKING_PORT */
};

/* Give [offset, offset + step) back. Nonzero: not possible here. */
typedef int (*give_fn)(struct range *range, size_t offset);

struct way {
	const char *name;
	enum backing backing;
	size_t step;		/* 0: the whole range at once */
	give_fn give;
};

static int give_dontneed(struct range *range, size_t offset)
{
	return madvise(range->start + offset, range->step, MADV_DONTNEED);
}

static int give_free(struct range *range, size_t offset)
{
	return madvise(range->start + offset, range->step, MADV_FREE);
}

static int give_remove(struct range *range, size_t offset)
{
	return madvise(range->start + offset, range->step, MADV_REMOVE);
}

static int give_punch(struct range *range, size_t offset)
{
	return fallocate(range->file,
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)offset, (off_t)range->step);
}

/* Over the old mapping, which the kernel takes away first. */
static int give_mmap(struct range *range, size_t offset)
{
	void *at = mmap(range->start + offset, range->step,
			PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				MAP_FIXED, -1, 0);

	if (at == MAP_FAILED)
		return -1;
	return madvise(at, range->step, MADV_HUGEPAGE);
}

static int give_munmap_mmap(struct range *range, size_t offset)
{
	if (munmap(range->start + offset, range->step))
		return -1;
	return give_mmap(range, offset);
}

/* 64 pieces a call, as ranges that do not meet would come. */
static int give_vector(struct range *range, size_t offset)
{
	struct iovec vector[VECTOR];
	size_t i, piece = range->step / VECTOR;
	long done;
	int self;

	for (i = 0; i < VECTOR; i++) {
		vector[i].iov_base = range->start + offset + i * piece;
		vector[i].iov_len = piece;
	}
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return -1;
	done = syscall(SYS_process_madvise, self, vector, VECTOR,
		       MADV_DONTNEED, 0);
	(void)close(self);
	return done == (long)range->step ? 0 : -1;
}

static int give_port(struct range *range, size_t offset)
{
	cf_pfn first = offset / CF_FRAME_BYTES;

	return cf_host_discard(&range->memory, first,
			       first + range->step / CF_FRAME_BYTES);
}

static const struct way ways[] = {
	{ "2 MiB pages: DONTNEED, 2 MiB a call", BACKING_HUGE, PIECE,
	  give_dontneed },
	{ "2 MiB pages: DONTNEED, 128 MiB a call", BACKING_HUGE, BLOCK,
	  give_dontneed },
	{ "2 MiB pages: DONTNEED, all at once", BACKING_HUGE, 0,
	  give_dontneed },
	{ "2 MiB pages: process_madvise, 64 x 2 MiB a call", BACKING_HUGE,
	  BLOCK, give_vector },
	{ "2 MiB pages: mmap over, 2 MiB a call", BACKING_HUGE, PIECE,
	  give_mmap },
	{ "2 MiB pages: mmap over, 128 MiB a call", BACKING_HUGE, BLOCK,
	  give_mmap },
	{ "2 MiB pages: munmap + mmap, 2 MiB a call", BACKING_HUGE, PIECE,
	  give_munmap_mmap },
	{ "2 MiB pages: munmap + mmap, 128 MiB a call", BACKING_HUGE, BLOCK,
	  give_munmap_mmap },
	{ "2 MiB pages: FREE, 2 MiB a call", BACKING_HUGE, PIECE, give_free },
	{ "2 MiB pages: DONTNEED, 4 KiB a call", BACKING_HUGE, SMALL,
	  give_dontneed },
	{ "4 KiB pages: DONTNEED, 2 MiB a call", BACKING_SMALL, PIECE,
	  give_dontneed },
	{ "4 KiB pages: DONTNEED, 4 KiB a call", BACKING_SMALL, SMALL,
	  give_dontneed },
	{ "4 KiB pages: FREE, 2 MiB a call", BACKING_SMALL, PIECE, give_free },
	{ "memfd: REMOVE, 2 MiB a call", BACKING_FILE, PIECE, give_remove },
	{ "memfd: punch hole, 2 MiB a call", BACKING_FILE, PIECE, give_punch },
	{ "memfd: punch hole, 4 KiB a call", BACKING_FILE, SMALL, give_punch },
	{ "port: cf_host_discard, 2 MiB a call", BACKING_PORT, PIECE,
	  give_port },
	{ "port: cf_host_discard, 128 MiB a call", BACKING_PORT, BLOCK,
	  give_port },
};

static void range_open(struct range *range, enum backing backing)
{
	struct cf_host_config config = {
		.last = range->bytes / CF_FRAME_BYTES,
		.huge = backing != BACKING_SMALL,
	};

	range->file = -1;
	if (cf_host_memory_create(&config, &range->memory)) {
		(void)fprintf(stderr, "giveback: no memory\n");
		exit(1);
	}
	range->start = range->memory.base;
	if (backing != BACKING_FILE)
		return;
	range->file = memfd_create("giveback", MFD_CLOEXEC);
	if (range->file < 0 ||
	    ftruncate(range->file, (off_t)range->bytes) ||
	    mmap(range->start, range->bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, range->file, 0) == MAP_FAILED) {
		(void)fprintf(stderr, "giveback: no memfd\n");
		exit(1);
	}
}

static void range_close(struct range *range)
{
	cf_host_memory_destroy(&range->memory);
	if (range->file >= 0)
		(void)close(range->file);
}

static void touch(unsigned char *start, size_t bytes)
{
	size_t offset;

	for (offset = 0; offset < bytes; offset += SMALL)
		((volatile unsigned char *)start)[offset] = 1;
}

/* The time of one pass, in ns for 2 MiB; below 0: so much, off the core. */
static double pass_time(uint64_t wall, uint64_t cpu, size_t bytes)
{
	double time;

	wall = clock_wall_ns() - wall;
	cpu = clock_cpu_ns() - cpu;
	time = (double)cpu * (double)PIECE / (double)bytes;
	if (wall > cpu && (wall - cpu) * 100 > wall * OFF_CORE_PERCENT)
		return -time;
	return time;
}

/*
 * A row as it grows: one sample a round, in another order each round, so that
 * neither a drift nor what ran before favours anybody.
 */
struct series {
	double values[SAMPLES_MAX];
	double disturbed[SAMPLES_MAX];	/* for when there are no others */
	unsigned taken, retaken;
	bool impossible, kept;
};

static void series_add(struct series *series, double time)
{
	if (time < 0)
		series->disturbed[series->retaken++] = -time;
	else
		series->values[series->taken++] = time;
}

static struct figure series_figure(struct series *series)
{
	struct figure figure;

	if (series->taken == 0) {
		figure = figure_of(series->disturbed, series->retaken);
		figure.retaken = figure.samples * RETAKES_PER_SAMPLE;
		return figure;
	}
	figure = figure_of(series->values, series->taken);
	figure.retaken = series->retaken;
	return figure;
}

static void series_print(const struct series *series, const char *name,
			 const struct figure *figure)
{
	char full[128];

	if (series->impossible)
		return;
	(void)snprintf(full, sizeof(full), "%s%s", name,
		       series->kept ? " (kept)" : "");
	cell_print(SECTION_SYSTEM, full, COLUMN, figure);
}

/* Touch the range, give it back, see whether the process shrank. */
static void give_once(const struct way *way, size_t bytes,
		      struct series *series)
{
	struct range range = { .bytes = bytes };
	uint64_t before, after, wall, cpu;
	size_t offset;
	int err = 0;

	range.step = way->step ? way->step : bytes;
	range_open(&range, way->backing);
	touch(range.start, range.bytes);
	before = cf_host_resident_bytes();
	wall = clock_wall_ns();
	cpu = clock_cpu_ns();
	for (offset = 0; offset < bytes && !err; offset += range.step)
		err = way->give(&range, offset);
	series_add(series, pass_time(wall, cpu, bytes));
	after = cf_host_resident_bytes();
	series->impossible = err;
	series->kept = before < after + bytes / 100 * 95;
	range_close(&range);
}

/* Taking again: by touching, or beforehand by MADV_POPULATE_WRITE. */
struct again {
	const char *name;
	enum backing backing;
	bool populate;
};

static const struct again agains[] = {
	{ "again, 2 MiB pages: touch", BACKING_HUGE, false },
	{ "again, 2 MiB pages: populate", BACKING_HUGE, true },
	{ "again, 4 KiB pages: touch", BACKING_SMALL, false },
	{ "again, 4 KiB pages: populate", BACKING_SMALL, true },
};

static void again_once(const struct again *again, size_t bytes,
		       struct series *series)
{
	struct range range = { .bytes = bytes };
	uint64_t wall, cpu;

	range_open(&range, again->backing);
	wall = clock_wall_ns();
	cpu = clock_cpu_ns();
	if (again->populate)
		series->impossible = madvise(range.start, bytes,
					     MADV_POPULATE_WRITE) != 0;
	touch(range.start, bytes);
	series_add(series, pass_time(wall, cpu, bytes));
	range_close(&range);
}

#define WAYS	ARRAY_COUNT(ways)
#define AGAINS	ARRAY_COUNT(agains)

static struct series given[WAYS], taken[AGAINS];

/* What the port adds to the fastest loop of system calls. */
static void print_all(void)
{
	struct figure figure, fastest = { 0 }, port = { 0 };
	size_t i;

	for (i = 0; i < WAYS; i++) {
		figure = series_figure(&given[i]);
		series_print(&given[i], ways[i].name, &figure);
		if (ways[i].step != BLOCK || given[i].impossible)
			continue;
		if (ways[i].backing == BACKING_PORT)
			port = figure;
		else if (!given[i].kept && (fastest.samples == 0 ||
					    figure.median < fastest.median))
			fastest = figure;
	}
	for (i = 0; i < AGAINS; i++) {
		figure = series_figure(&taken[i]);
		series_print(&taken[i], agains[i].name, &figure);
	}
	if (fastest.samples > 0 && port.samples > 0)
		ratio_print(SECTION_SYSTEM,
			    "port, % of the fastest bare loop", COLUMN,
			    fastest.median / port.median * 100, &fastest,
			    &port);
}

int main(int argc, char **argv)
{
	bool sketch = argc > 1 && strcmp(argv[1], "--sketch") == 0;
	bool quick = sketch || (argc > 1 && strcmp(argv[1], "--quick") == 0);
	size_t bytes = (quick ? 128 : 256) * MIB;
	unsigned round, rounds = sketch ? 1 : quick ? 3 : 15;
	unsigned all = sketch ? 1 : quick ? 11 : 45;
	uint64_t order[WAYS];
	size_t i;

	pin(0);
	for (i = 0; i < WAYS; i++)
		order[i] = i;
	for (round = 0; round < all; round++) {
		shuffle(order, WAYS, round);
		/* What the port is held against gets more samples. */
		for (i = 0; i < WAYS; i++)
			if (round < rounds || ways[order[i]].step == BLOCK)
				give_once(&ways[order[i]], bytes,
					  &given[order[i]]);
		for (i = 0; i < AGAINS && round < rounds; i++)
			again_once(&agains[i], bytes, &taken[i]);
	}
	print_all();
	return 0;
}
