/* SPDX-License-Identifier: MIT */

/*
 * Both drivers on one map, with everybody at once: the host changes its mind,
 * the devices answer from a thread of their own, blocks go offline and come
 * back, folios come, go and move. For ThreadSanitizer, and for what the map
 * and the contents say at the end.
 */

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/virtio/scene.h"

#define MILLISECONDS	1500

/* What data.c keeps. Its owner's hook takes it as well. */
static pthread_mutex_t data_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile bool stop;

static void nap(long microseconds)
{
	struct timespec time = { 0, microseconds * 1000 };

	nanosleep(&time, NULL);
}

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static uint64_t clock_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void *drive(void *context)
{
	struct cf_next mem, balloon;

	(void)context;
	cf_host_enter();
	while (!stopped()) {
		mem = cf_vmem_work(&s.vmem, clock_ms());
		balloon = cf_balloon_work(&s.balloon, clock_ms());
		if (mem.when != CF_WHEN_NOW && balloon.when != CF_WHEN_NOW)
			nap(100);
	}
	cf_host_leave(s.map);
	return NULL;
}

static void *host(void *context)
{
	unsigned seed = 1;

	(void)context;
	while (!stopped()) {
		(void)model_mem_request(s.mem, (uint64_t)(rand_r(&seed) % 33) *
					4 * MIB);
		model_balloon_target(s.bal, (uint32_t)rand_r(&seed) % 12000);
		if (rand_r(&seed) % 8 == 0)
			model_balloon_hint(s.bal, (uint32_t)rand_r(&seed) % 4);
		else
			model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
		(void)model_balloon_ask(s.bal);
		nap(2000);
		model_late(&s.bal->model, rand_r(&seed) % 4 == 0);
		model_late(&s.mem->model, rand_r(&seed) % 4 == 0);
		nap(300);
		model_answer(&s.bal->model, 3);
		model_answer(&s.mem->model, 1);
		nap(300);
	}
	model_late(&s.bal->model, false);
	model_late(&s.mem->model, false);
	return NULL;
}

static void *blocks(void *context)
{
	unsigned seed = 2;
	cf_pfn first;

	(void)context;
	while (!stopped()) {
		first = (1 + (unsigned)rand_r(&seed) % 12) * s.block;
		if (cf_block_offline(s.map, first, first + s.block, 4,
				     NULL) == 0)
			while (cf_block_online(s.map, first, first + s.block,
					       CF_ZONE_MOVABLE, NULL) ==
			       -CF_EREFUSED)
				nap(100);
		nap(500);
	}
	return NULL;
}

static void *load(void *context)
{
	unsigned seed = 3;
	bool *whole = context;

	cf_host_enter();
	while (!stopped()) {
		pthread_mutex_lock(&data_lock);
		(void)data_add(1 + (unsigned)rand_r(&seed) % 300,
			       (unsigned)rand_r(&seed) % 4);
		*whole &= data_check();
		if (rand_r(&seed) % 3 == 0)
			data_drop((unsigned)rand_r(&seed) % 1500);
		pthread_mutex_unlock(&data_lock);
		if (rand_r(&seed) % 64 == 0)
			(void)cf_balloon_low(&s.balloon);
		nap(300);
	}
	cf_host_leave(s.map);
	return NULL;
}

static void everybody(void)
{
	struct scene_config config = {
		.block_order = 12,
		.boot_blocks = 4,
		.region = 128 * MIB,
		.movable = true,
		.caches = true,
		.vmem = { .retry_min_ms = 5, .retry_max_ms = 20 },
		.balloon = {
			.patience = 200, .retry_ms = 5, .low_ms = 10,
			.report_ms = 10,
		},
		.balloon_features = CF_BALLOON_F_STATS | CF_BALLOON_F_HINT |
				    CF_BALLOON_F_DEFLATE_ON_OOM |
				    CF_BALLOON_F_REPORTING,
	};
	void *(*const acts[])(void *) = { drive, host, blocks, load };
	pthread_t thread[4];
	bool whole = true;
	unsigned i;

	if (!CHECK(scene_make(config) && scene_mem() && scene_balloon()))
		return;
	data_share(&data_lock);
	for (i = 0; i < 4; i++)
		if (!CHECK(pthread_create(&thread[i], NULL, acts[i],
					  &whole) == 0))
			exit(1);
	for (i = 0; i < MILLISECONDS; i += 100)
		nap(100000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	s.now = clock_ms() + 1000;
	tap_print("# %llu requests, %llu migrated, %llu reported, %llu moved"
		  "\n", (unsigned long long)scene_mem_status().requests,
		  (unsigned long long)scene_balloon_status().migrated,
		  (unsigned long long)scene_balloon_status().reported,
		  (unsigned long long)s.data.moved);
	CHECK(whole && data_check());
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_FINE);
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_FINE);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	model_balloon_target(s.bal, 0);
	scene_balloon_until(2000);
	CHECK(scene_balloon_check());
	CHECK(scene_mem_check());
	data_share(NULL);
	CHECK(scene_end());
}

/* An embedder that works when it is told to, and at no other time. */
static void *drive_by_interrupts(void *context)
{
	unsigned seen, *done = context;
	struct cf_next mem, balloon;
	uint64_t at;

	cf_host_enter();
	while (!stopped()) {
		seen = __atomic_load_n(&s.interrupts, __ATOMIC_ACQUIRE);
		mem = cf_vmem_work(&s.vmem, clock_ms());
		balloon = cf_balloon_work(&s.balloon, clock_ms());
		if (mem.when == CF_WHEN_NOW || balloon.when == CF_WHEN_NOW)
			continue;
		at = ~(uint64_t)0;
		if (mem.when == CF_WHEN_AT)
			at = mem.at_ms;
		if (balloon.when == CF_WHEN_AT && balloon.at_ms < at)
			at = balloon.at_ms;
		while (!stopped() && clock_ms() < at && seen ==
		       __atomic_load_n(&s.interrupts, __ATOMIC_ACQUIRE))
			nap(20);
		__atomic_fetch_add(done, 1, __ATOMIC_RELAXED);
	}
	cf_host_leave(s.map);
	return NULL;
}

static bool reaches(uint64_t bytes, uint64_t frames)
{
	uint64_t end = clock_ms() + 10000;
	bool there = false;

	CHECK(model_mem_request(s.mem, bytes));
	model_balloon_target(s.bal, (uint32_t)frames);
	while (!there && clock_ms() < end) {
		model_answer(&s.mem->model, 1);
		nap(50);
		model_answer(&s.bal->model, 1);
		model_lock(&s.mem->model);
		there = s.mem->plugged == bytes;
		model_unlock(&s.mem->model);
		there &= model_balloon_actual(s.bal) == frames;
	}
	return there;
}

/* Answers come when they come; none of them may be slept through. */
static void woken_only(void)
{
	struct scene_config config = {
		.block_order = 12,
		.boot_blocks = 4,
		.region = 128 * MIB,
		.caches = true,
		.bus = BUS_PCI_MSIX,
		.balloon = { .small = true, .no_reporting = true },
	};
	unsigned seed = 5, rounds = 0, i;
	pthread_t thread;

	stop = false;
	if (!CHECK(scene_make(config) && scene_mem() && scene_balloon()) ||
	    !CHECK(pthread_create(&thread, NULL, drive_by_interrupts,
				  &rounds) == 0))
		return;
	model_late(&s.mem->model, true);
	model_late(&s.bal->model, true);
	for (i = 0; i < 20; i++)
		if (!CHECK(reaches((uint64_t)(rand_r(&seed) % 65) * 2 * MIB,
				   (uint64_t)rand_r(&seed) % 4000)))
			break;
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	model_late(&s.mem->model, false);
	model_late(&s.bal->model, false);
	s.now = clock_ms();
	CHECK(rounds > 0);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("everybody at once", everybody);
	tap_run("woken by interrupts only", woken_only);
	return tap_done();
}
