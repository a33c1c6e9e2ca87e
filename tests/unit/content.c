/* SPDX-License-Identifier: MIT */
/*
 * Readers of contents: sync waits for those that run, not for those that
 * come.  A thread that syncs while this one reads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/internal.h"
#include "tests/unit/machine.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool synced;	/* under it */

static void *sync_contents(void *unused)
{
	cf_content_sync(m.map);
	(void)pthread_mutex_lock(&lock);
	synced = true;
	(void)pthread_mutex_unlock(&lock);
	return unused;
}

static bool is_synced(void)
{
	bool value;

	(void)pthread_mutex_lock(&lock);
	value = synced;
	(void)pthread_mutex_unlock(&lock);
	return value;
}

static void rest(void)
{
	const struct timespec a_while = { 0, 20000000 };

	(void)nanosleep(&a_while, NULL);
}

static pthread_t begin_sync(void)
{
	pthread_t thread;

	synced = false;
	if (pthread_create(&thread, NULL, sync_contents, NULL))
		abort();
	rest();
	return thread;
}

static bool begin(void)
{
	struct machine_config config = { .blocks = 2 };

	return CHECK(machine_make(config));
}

static void nobody_reads(void)
{
	unsigned i;

	if (!begin())
		return;
	for (i = 0; i < 5; i++) {
		cf_content_sync(m.map);
		cf_content_end(m.map, cf_content_begin(m.map));
	}
	CHECK(machine_end());
}

static void waits_for_readers(void)
{
	unsigned first, second;
	pthread_t thread;

	if (!begin())
		return;
	first = cf_content_begin(m.map);
	second = cf_content_begin(m.map);
	thread = begin_sync();
	CHECK(!is_synced());
	cf_content_end(m.map, first);
	rest();
	CHECK(!is_synced());
	cf_content_end(m.map, second);
	(void)pthread_join(thread, NULL);
	CHECK(is_synced());
	CHECK(machine_end());
}

/* Whoever comes while it waits sees OFFLINE: it need not be waited for. */
static void does_not_wait_for_new_ones(void)
{
	unsigned old, new;
	pthread_t thread;

	if (!begin())
		return;
	old = cf_content_begin(m.map);
	thread = begin_sync();
	new = cf_content_begin(m.map);
	CHECK(!is_synced());
	cf_content_end(m.map, old);
	(void)pthread_join(thread, NULL);
	CHECK(is_synced());
	cf_content_end(m.map, new);
	CHECK(machine_end());
}

static void *offline_block(void *ret_err)
{
	*(int *)ret_err = cf_block_offline(m.map, 1024, 2048, 2, NULL);
	(void)pthread_mutex_lock(&lock);
	synced = true;
	(void)pthread_mutex_unlock(&lock);
	return NULL;
}

/* A block's frames do not go while somebody reads. */
static void offlining_waits(void)
{
	pthread_t thread;
	unsigned ticket;
	int err = 1;

	if (!begin())
		return;
	synced = false;
	ticket = cf_content_begin(m.map);
	if (pthread_create(&thread, NULL, offline_block, &err))
		abort();
	rest();
	CHECK(!is_synced());
	cf_content_end(m.map, ticket);
	(void)pthread_join(thread, NULL);
	CHECK_EQ(err, 0);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_OFFLINE);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("nobody reads", nobody_reads);
	tap_run("sync waits for readers", waits_for_readers);
	tap_run("sync does not wait for new ones", does_not_wait_for_new_ones);
	tap_run("offlining waits for readers", offlining_waits);
	return tap_done();
}
