/* SPDX-License-Identifier: MIT */

/*
 * Giving memory back: what is left is moved together, first objects into
 * fewer frames, then frames into fewer chunks; what is free then is taken out
 * of use and given to the system.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "internal.h"

#define COMPACT_CHUNKS	16

/* ---- objects together ---- */

static unsigned char *slot_memory(const struct elastic *pool,
				  const struct run *run, uint32_t slot)
{
	return run_memory(pool, run) + slot * elastic_class_bytes(run->class);
}

static void move_object(struct elastic *pool, struct run *from, uint32_t slot,
			struct run *to)
{
	struct object *object = &pool->object[from->object[slot]];
	uint32_t target = elastic_take_slot(pool, to);

	memcpy(slot_memory(pool, to, target), slot_memory(pool, from, slot),
	       elastic_class_bytes(from->class));
	to->object[target] = from->object[slot];
	object->run = to;
	object->slot = target;
	pool->stat.merged++;
}

static uint32_t first_slot(const struct run *run)
{
	uint32_t word = 0;

	while (!run->taken[word])
		word++;
	return word * 64 + (uint32_t)__builtin_ctzll(run->taken[word]);
}

/* Fullest first; runs that are pinned keep what they have. */
static int by_use(const void *a, const void *b)
{
	const struct run *one = *(struct run *const *)a;
	const struct run *other = *(struct run *const *)b;

	return (one->used < other->used) - (one->used > other->used);
}

/* From the emptiest run into the fullest that has room, until they meet. */
static void merge_sorted(struct elastic *pool, struct run **run, size_t count)
{
	size_t to = 0, from = count;

	while (from-- > 0) {
		uint32_t left = run[from]->pins ? 0 : run[from]->used;

		while (left > 0) {
			uint32_t slot = first_slot(run[from]);

			while (to < from && run[to]->used == run[to]->slots)
				to++;
			if (to >= from)
				return;
			move_object(pool, run[from], slot, run[to]);
			left--;
			/* The last one frees the run. */
			elastic_give_slot(pool, run[from], slot);
		}
	}
}

static void merge_class(struct elastic *pool, unsigned class)
{
	struct run **sorted, *run;
	size_t count = 0;

	for (run = pool->runs[class]; run; run = run->next)
		count++;
	sorted = malloc((count + !count) * sizeof(*sorted));
	if (!sorted)
		return;
	count = 0;
	for (run = pool->runs[class]; run; run = run->next)
		if (run->used < run->slots)
			sorted[count++] = run;
	qsort(sorted, count, sizeof(struct run *), by_use);
	merge_sorted(pool, sorted, count);
	free(sorted);
}

static void merge(struct elastic *pool)
{
	unsigned class;

	for (class = 0; class < CLASSES; class++) {
		/* Let others in between. */
		(void)pthread_mutex_lock(&pool->mutex);
		merge_class(pool, class);
		(void)pthread_mutex_unlock(&pool->mutex);
	}
}

/* ---- frames out of use ---- */

#define LOOK_FRAMES	((size_t)8192)	/* at once */

/* How much of [first, last) the process has. */
static uint64_t resident_bytes(const struct elastic *pool, cf_pfn first,
			       cf_pfn last)
{
	unsigned char present[LOOK_FRAMES];
	uint64_t count = 0;
	size_t frames, i;

	for (; first < last; first += frames) {
		frames = last - first < LOOK_FRAMES ? last - first :
						      LOOK_FRAMES;
		if (mincore(pool->memory->base + first * CF_FRAME_BYTES,
			    frames * CF_FRAME_BYTES, present))
			continue;
		for (i = 0; i < frames; i++)
			count += present[i] & 1;
	}
	return count * CF_FRAME_BYTES;
}

/* The next free frames from @cursor on; false: there are no more. */
static bool next_free(const struct elastic *pool, cf_pfn *cursor,
		      struct cf_span *ret_span)
{
	cf_pfn last = pool->memory->config.last;
	bool more;

	cf_walk_begin(pool->map);
	do {
		more = cf_walk_next(pool->map, cursor, last, ret_span);
	} while (more && ret_span->kind != CF_SPAN_FREE);
	cf_walk_end(pool->map);
	return more;
}

/* What is free and was not given back. */
static uint64_t idle_bytes(const struct elastic *pool)
{
	struct cf_span span;
	cf_pfn cursor = 0;
	uint64_t bytes = 0;

	while (next_free(pool, &cursor, &span))
		bytes += resident_bytes(pool, span.first, span.last);
	return bytes;
}

/* For one more than are there and promised; the caller has the mutex. */
static bool make_room(struct elastic *pool)
{
	size_t room = pool->given_room ? 2 * pool->given_room : 64;
	struct given *grown;

	if (pool->given_count + pool->given_coming < pool->given_room)
		return true;
	grown = realloc(pool->given, room * sizeof(*grown));
	if (!grown)
		return false;
	pool->given = grown;
	pool->given_room = room;
	return true;
}

/* A place on the list, for one that is about to be given back. */
static bool begin_giving(struct elastic *pool)
{
	bool room;

	(void)pthread_mutex_lock(&pool->mutex);
	room = make_room(pool);
	pool->given_coming += room;
	(void)pthread_mutex_unlock(&pool->mutex);
	return room;
}

static void end_giving(struct elastic *pool, cf_pfn pfn, unsigned order,
		       bool given)
{
	(void)pthread_mutex_lock(&pool->mutex);
	pool->given_coming--;
	if (given) {
		pool->given[pool->given_count++] =
			(struct given){ pfn, order };
		pool->stat.given_bytes += (uint64_t)CF_FRAME_BYTES << order;
	}
	(void)pthread_mutex_unlock(&pool->mutex);
}

/*
 * Take a run that is free, or was, out of use and give its memory back.  It
 * is not on the list before that: so nobody moves it, nor wants it back.
 * There is a place for it before it is taken: what is out of use is known.
 */
static uint64_t give_run(struct elastic *pool, cf_pfn pfn, unsigned order)
{
	cf_pfn last = pfn + ((cf_pfn)1 << order);
	uint64_t resident;

	if (!begin_giving(pool))
		return 0;
	if (cf_offline_alloc_range(pool->map, pool->id, pfn, last,
				   CF_FLAG_MOVABLE, NULL)) {
		end_giving(pool, pfn, order, false);
		return 0;
	}
	/* Who reads contents, as dump and save do, has passed by then. */
	cf_content_sync(pool->map);
	resident = resident_bytes(pool, pfn, last);
	if (cf_host_discard(pool->memory, pfn, last))
		resident = 0;
	end_giving(pool, pfn, order, true);
	return resident;
}

/*
 * Free runs of one order that the process has memory for, until @bytes of it
 * are given back.  Those it has never touched are left: they cost nothing.
 */
static uint64_t give_runs(struct elastic *pool, unsigned order, uint64_t bytes)
{
	cf_pfn frames = (cf_pfn)1 << order, cursor = 0, at;
	struct cf_span span;
	uint64_t done = 0;

	while (done < bytes && next_free(pool, &cursor, &span)) {
		at = (span.first + frames - 1) & ~(frames - 1);
		for (; at + frames <= span.last && done < bytes; at += frames)
			if (resident_bytes(pool, at, at + frames))
				done += give_run(pool, at, order);
	}
	return done;
}

/* Into use again; false: it is just being moved.  Caller has the mutex. */
static bool take_back(struct elastic *pool, size_t number)
{
	struct given given = pool->given[number];

	if (cf_offline_free(pool->map, pool->id, given.pfn, given.order))
		return false;
	pool->given[number] = pool->given[--pool->given_count];
	pool->stat.given_bytes -= (uint64_t)CF_FRAME_BYTES << given.order;
	return true;
}

/* One that is large enough, if there is one. */
bool elastic_take_back(struct elastic *pool, unsigned order)
{
	size_t i;

	for (i = pool->given_count; i > 0; i--)
		if (pool->given[i - 1].order >= order &&
		    take_back(pool, i - 1))
			return true;
	for (i = pool->given_count; i > 0; i--)
		if (take_back(pool, i - 1))
			return true;
	return false;
}

uint64_t elastic_give_back(struct elastic *pool, uint64_t bytes)
{
	struct cf_compaction compaction;
	unsigned order = CF_CHUNK_ORDER + 1;
	uint64_t done;

	merge(pool);
	(void)!cf_drain(pool->map);
	done = give_runs(pool, CF_CHUNK_ORDER, bytes);
	while (done < bytes &&
	       !cf_compact(pool->map, 0, pool->zone, COMPACT_CHUNKS,
			   &compaction))
		done += give_runs(pool, CF_CHUNK_ORDER, bytes - done);
	while (done < bytes && order-- > 0)
		done += give_runs(pool, order, bytes - done);
	return done;
}

/* ---- by itself ---- */

static void wait_a_while(struct elastic *pool)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(pool->every_ms % 1000) * 1000000;
	until.tv_sec += pool->every_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!pool->stop &&
	       pthread_cond_timedwait(&pool->tend, &pool->mutex, &until) !=
	       ETIMEDOUT)
		;
}

static void *tend(void *context)
{
	struct elastic *pool = context;
	uint64_t idle;

	(void)pthread_mutex_lock(&pool->mutex);
	while (!pool->stop) {
		(void)pthread_mutex_unlock(&pool->mutex);
		idle = idle_bytes(pool);
		if (idle > pool->keep_bytes)
			(void)elastic_give_back(pool, idle - pool->keep_bytes);
		(void)pthread_mutex_lock(&pool->mutex);
		wait_a_while(pool);
	}
	(void)pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

int elastic_tend_start(struct elastic *pool, uint64_t keep_bytes,
		       unsigned every_ms)
{
	if (pool->tending)
		return -CF_EBUSY;
	pool->stop = false;
	pool->keep_bytes = keep_bytes;
	pool->every_ms = every_ms;
	if (pthread_create(&pool->tender, NULL, tend, pool))
		return -CF_ENOMEM;
	pool->tending = true;
	return 0;
}

void elastic_tend_stop(struct elastic *pool)
{
	if (!pool->tending)
		return;
	(void)pthread_mutex_lock(&pool->mutex);
	pool->stop = true;
	(void)pthread_cond_signal(&pool->tend);
	(void)pthread_mutex_unlock(&pool->mutex);
	(void)pthread_join(pool->tender, NULL);
	pool->tending = false;
}
