/* SPDX-License-Identifier: MIT */
/*
 * What the machine charges for the least: the row all other figures are
 * scaled by, whether two CPUs are near each other in this run, and the memory
 * operations of a pair without any allocator around them, which is as far
 * down as a pair can get.
 */
#include <limits.h>
#include <string.h>

#include <urcu/uatomic.h>

#include "bench/groups.h"
#include "bench/measure.h"

#define LINE_BYTES	128

/* A word alone in its lines. */
struct lone_word {
	uint64_t word __attribute__((aligned(LINE_BYTES)));
	char rest[LINE_BYTES - sizeof(uint64_t)];
};

static struct lone_word words[THREADS_MAX];

/*
 * What a pair has to touch: a cache of frames with its marks in one line, and
 * the words of the frames.
 */
#define FRAMES		64u

static struct lone_cache {
	uint32_t busy, divert, count;
	uint32_t frames[FRAMES];
	uint64_t words[FRAMES];
	uint64_t lock, mask;		/* of a block; bit: chunk is free */
} __attribute__((aligned(LINE_BYTES))) caches[THREADS_MAX];

static uint64_t loop_empty(struct worker *worker)
{
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		__asm__ volatile("" : : "r"(left) : "memory");
	return worker->rounds;
}

/* Read the word, exchange it for one more, as every change of a word does. */
static void exchange(uint64_t *word)
{
	uint64_t old, seen = uatomic_read(word);

	do {
		old = seen;
		seen = uatomic_cmpxchg(word, old, old + 1);
	} while (seen != old);
}

static uint64_t loop_own_word(struct worker *worker)
{
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		exchange(&words[worker->thread].word);
	return worker->rounds;
}

static uint64_t loop_shared_word(struct worker *worker)
{
	uint64_t left;

	for (left = worker->rounds; left > 0; left--)
		(void)uatomic_add_return(&words[0].word, 1);
	return worker->rounds;
}

/* Enter the cache: say so, and look whether somebody wants it. */
static inline void cache_enter(struct lone_cache *cache)
{
	uatomic_set(&cache->busy, 1);
	cmm_barrier();
	if (__builtin_expect(uatomic_read(&cache->divert), 0))
		cache->count = 0;
}

static inline void cache_leave(struct lone_cache *cache)
{
	cmm_barrier();
	uatomic_set(&cache->busy, 0);
}

/* One from its only reference to free: the one locked operation of a pair. */
static inline void last_put(uint64_t *word)
{
	uint64_t old = uatomic_read(word);

	if (__builtin_expect(uatomic_cmpxchg(word, old, 0) != old, 0))
		uatomic_set(word, 0);
}

static uint64_t loop_bare_pair(struct worker *worker)
{
	struct lone_cache *cache = &caches[worker->thread];
	uint64_t left;
	uint32_t frame;

	cache->count = FRAMES / 2;
	for (left = worker->rounds; left > 0; left--) {
		cache_enter(cache);
		frame = cache->frames[--cache->count % FRAMES];
		cache_leave(cache);
		uatomic_set(&cache->words[frame], left | 1);
		keep(frame);
		last_put(&cache->words[frame]);
		cache_enter(cache);
		cache->frames[cache->count++ % FRAMES] = frame;
		cache_leave(cache);
	}
	return worker->rounds;
}

static inline void lock_take(uint64_t *lock)
{
	while (uatomic_cmpxchg(lock, 0, 1) != 0)
		caa_cpu_relax();
}

static inline void lock_leave(uint64_t *lock)
{
	cmm_barrier();
	uatomic_set(lock, 0);
}

/* 2 MiB comes from a mask that all CPUs share, so that it needs a lock. */
static uint64_t loop_bare_pair_huge(struct worker *worker)
{
	struct lone_cache *cache = &caches[worker->thread];
	uint64_t left;
	unsigned chunk;

	cache->mask = ~(uint64_t)0;
	for (left = worker->rounds; left > 0; left--) {
		lock_take(&cache->lock);
		chunk = (unsigned)__builtin_ctzll(cache->mask);
		cache->mask &= cache->mask - 1;
		lock_leave(&cache->lock);
		uatomic_set(&cache->words[chunk], left | 1);
		keep(chunk);
		last_put(&cache->words[chunk]);
		lock_take(&cache->lock);
		cache->mask |= (uint64_t)1 << chunk;
		lock_leave(&cache->lock);
	}
	return worker->rounds;
}

/*
 * What has to be touched to free 8 GiB of single frames at random: the word of
 * each, its bit, and the count of its chunk.
 */
#define SCATTERED	((uint64_t)1 << 21)
#define WORD_BITS	64u
#define CHUNK_FRAMES	512u

static struct {
	uint64_t *frames, *words, *bits;
	uint16_t counts[SCATTERED / CHUNK_FRAMES];
} scattered;

static uint64_t loop_fill_scattered(struct worker *worker)
{
	uint64_t i;

	(void)worker;
	for (i = 0; i < SCATTERED; i++)
		scattered.words[i] = 1;
	memset(scattered.bits, 0, SCATTERED / CHAR_BIT);
	return SCATTERED;
}

static uint64_t loop_bare_scattered(struct worker *worker)
{
	uint64_t i, frame;

	(void)worker;
	for (i = 0; i < SCATTERED; i++) {
		frame = scattered.frames[i];
		last_put(&scattered.words[frame]);
		scattered.bits[frame / WORD_BITS] |= (uint64_t)1 <<
						     frame % WORD_BITS;
		scattered.counts[frame / CHUNK_FRAMES]++;
	}
	return SCATTERED;
}

static void row_scattered(void)
{
	static const struct phase in_turn[] = {
		{ .body = loop_fill_scattered },
		{ "bare loop: free 4 KiB of 8 GiB at random, one CAS",
		  loop_bare_scattered, 0, false },
	};
	const struct bench_case bench = {
		.section = SECTION_MACHINE,
		.phases = in_turn,
		.count = ARRAY_COUNT(in_turn),
	};
	size_t bytes = SCATTERED * sizeof(uint64_t);
	uint64_t i;

	scattered.frames = room_open(bytes);
	scattered.words = room_open(bytes);
	scattered.bits = room_open(SCATTERED / CHAR_BIT);
	for (i = 0; i < SCATTERED; i++)
		scattered.frames[i] = i;
	shuffle(scattered.frames, SCATTERED, 1);
	measure_print(&bench, 1, bench_quick ? 3 : 9);
	room_close(scattered.frames, bytes);
	room_close(scattered.words, bytes);
	room_close(scattered.bits, SCATTERED / CHAR_BIT);
}

static const struct phase phases[] = {
	{ "the loop itself", loop_empty, 0, true },
	{ "CAS of an own word", loop_own_word, 0, true },
	{ "add to a word shared by all threads", loop_shared_word, 0, true },
	{ "bare loop: pair of 4 KiB from a cache, one CAS", loop_bare_pair, 0,
	  true },
	{ "bare loop: pair of 2 MiB from a mask, three CAS",
	  loop_bare_pair_huge, 0, true },
};

int group_primitives(void)
{
	const struct bench_case bench = {
		.section = SECTION_MACHINE,
		.phases = phases,
		.count = ARRAY_COUNT(phases),
	};
	unsigned threads;

	for (threads = 1; threads <= threads_usable(); threads *= 2)
		measure_print(&bench, threads, bench_quick ? 5 : 15);
	row_scattered();
	return 0;
}
