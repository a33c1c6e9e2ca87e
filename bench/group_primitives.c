/* SPDX-License-Identifier: MIT */
/*
 * What the machine charges for the least: the row all other figures are
 * scaled by, and whether two CPUs are near each other in this run.
 */
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
static uint64_t rounds;

static uint64_t loop_empty(struct worker *worker)
{
	uint64_t left;

	(void)worker;
	for (left = rounds; left > 0; left--)
		__asm__ volatile("" : : "r"(left) : "memory");
	return rounds;
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

	for (left = rounds; left > 0; left--)
		exchange(&words[worker->thread].word);
	return rounds;
}

static uint64_t loop_shared_word(struct worker *worker)
{
	uint64_t left;

	(void)worker;
	for (left = rounds; left > 0; left--)
		(void)uatomic_add_return(&words[0].word, 1);
	return rounds;
}

static const struct phase phases[] = {
	{ "the loop itself", loop_empty },
	{ "CAS of an own word", loop_own_word },
	{ "add to a word shared by all threads", loop_shared_word },
};

int group_primitives(bool quick)
{
	const struct bench_case bench = { .phases = phases, .count = 3 };
	unsigned threads;

	rounds = quick ? 200000 : 1000000;
	for (threads = 1; threads <= THREADS_MAX; threads++)
		if (threads <= cpus_usable())
			measure_print(&bench, threads, quick ? 3 : 9);
	return 0;
}
