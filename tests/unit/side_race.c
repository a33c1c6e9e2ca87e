/* SPDX-License-Identifier: MIT */
/*
 * Side tables among threads: several extend the same block while another
 * removes and adds it. On the host port; made for the sanitizers.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include <coldframe/coldframe.h>

#include "port/host/host.h"
#include "tests/tap.h"

#define BLOCK_ORDER	11
#define BLOCK		((cf_pfn)1 << BLOCK_ORDER)
#define THREADS		3
#define ROUNDS		500
#define REMOVALS	2000
#define ROUNDS_MIN	50	/* and no more after SECONDS of them */
#define SECONDS		5

static struct cf_host_memory memory;
static struct cf_map *map;
static struct cf_side side;
static atomic_uint ready;	/* threads that wait for the round */
static atomic_uint round_now;
static atomic_bool stop;
static void *entry_of[THREADS];
static atomic_uint found, missing, wrong;

static bool add_block(void)
{
	struct cf_block_config config = { .meta = CF_META_PORT };

	return cf_block_add(map, BLOCK, 2 * BLOCK, &config) == 0;
}

static void make(void)
{
	struct cf_host_config host = { .last = 2 * BLOCK };
	struct cf_map_config config = {
		.block_order = BLOCK_ORDER, .cpus = THREADS + 1,
	};

	atomic_store(&stop, false);
	CHECK(cf_host_memory_create(&host, &memory) == 0);
	CHECK(cf_host_map_create(&memory, &config, &map) == 0);
	CHECK(add_block());
	CHECK(cf_side_add(map, &side, sizeof(uint64_t)) == 0);
}

static void drop(void)
{
	CHECK(cf_block_remove(map, BLOCK, 2 * BLOCK) == 0);
	cf_side_remove(map, &side);
	CHECK(cf_host_map_destroy(map) == 0);
	cf_host_memory_destroy(&memory);
}

/* An emulated machine under load is a thousand times slower. */
static bool is_enough(unsigned rounds, unsigned most, time_t began)
{
	return rounds >= most ||
	       (rounds >= ROUNDS_MIN && time(NULL) - began > SECONDS);
}

/* Extend at the same moment as the others, round after round. */
static void *extend_at_once(void *argument)
{
	unsigned number = *(unsigned *)argument;
	unsigned round;

	(void)cf_host_enter();
	for (round = 1; ; round++) {
		atomic_fetch_add(&ready, 1);
		while (atomic_load(&round_now) != round &&
		       !atomic_load(&stop))
			(void)sched_yield();
		if (atomic_load(&stop))
			break;
		cf_walk_begin(map);
		if (cf_side_extend(&side, BLOCK + 5, &entry_of[number]))
			atomic_fetch_add(&wrong, 1);
		cf_walk_end(map);
	}
	cf_host_leave(map);
	return NULL;
}

static void begin(pthread_t threads[THREADS], void *(*run)(void *argument))
{
	static unsigned numbers[THREADS];
	unsigned i;

	atomic_store(&ready, 0);
	atomic_store(&round_now, 0);
	for (i = 0; i < THREADS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&threads[i], NULL, run, &numbers[i]) == 0);
	}
}

static void wait_ready(void)
{
	while (atomic_load(&ready) != THREADS)
		(void)sched_yield();
	atomic_store(&ready, 0);
}

/* One leaf wins, and everybody has an entry of it. */
static void all_extend(void)
{
	pthread_t threads[THREADS];
	time_t began = time(NULL);
	unsigned round, i;

	make();
	begin(threads, extend_at_once);
	wait_ready();
	for (round = 1; !is_enough(round - 1, ROUNDS, began); round++) {
		atomic_store(&round_now, round);
		wait_ready();
		for (i = 1; i < THREADS; i++)
			CHECK(entry_of[i] == entry_of[0]);
		CHECK(*(uint64_t *)entry_of[0] == 0);
		*(uint64_t *)entry_of[0] = round;
		CHECK(cf_block_remove(map, BLOCK, 2 * BLOCK) == 0);
		CHECK(add_block());
	}
	atomic_store(&stop, true);
	for (i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK_EQ(atomic_load(&wrong), 0);
	drop();
}

/* Extend, look and write in one read section, whatever happens to the block. */
static void *use_in_sections(void *argument)
{
	unsigned number = *(unsigned *)argument;
	_Atomic uint64_t *entry;
	void *place;
	int err;

	(void)cf_host_enter();
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&stop)) {
		cf_walk_begin(map);
		err = cf_side_extend(&side, BLOCK + number, &place);
		if (!err) {
			entry = place;
			atomic_store(entry, atomic_load(entry) + 1);
			if (cf_side_find(&side, BLOCK + number) == place)
				atomic_fetch_add(&found, 1);
		} else if (err == -CF_EGONE) {
			atomic_fetch_add(&missing, 1);
		} else {
			atomic_fetch_add(&wrong, 1);
		}
		cf_walk_end(map);
		(void)sched_yield();
	}
	cf_host_leave(map);
	return NULL;
}

static void removal(void)
{
	pthread_t threads[THREADS];
	time_t began = time(NULL);
	unsigned round, i;

	make();
	begin(threads, use_in_sections);
	wait_ready();
	for (round = 0; !is_enough(round, REMOVALS, began); round++) {
		CHECK(cf_block_remove(map, BLOCK, 2 * BLOCK) == 0);
		CHECK(add_block());
	}
	atomic_store(&stop, true);
	for (i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK_EQ(atomic_load(&wrong), 0);
	tap_print("# %u rounds: %u found, %u gone\n", round,
		  atomic_load(&found), atomic_load(&missing));
	drop();
}

int main(void)
{
	(void)cf_host_enter();
	tap_run("of those who extend at once one wins", all_extend);
	tap_run("entries stay while a section lasts", removal);
	cf_host_leave(NULL);
	return tap_done();
}
