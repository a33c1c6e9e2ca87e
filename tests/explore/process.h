/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_PROCESS_H
#define EXPLORE_PROCESS_H

/*
 * What stands in the place of a process for owners/elastic: its mutex is a
 * lock of the explorer's, its memory is the explorer's, too, and every frame
 * is resident.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <coldframe/lock.h>

#include "atomic.h"

/* A hook takes it, with CF_RANK_HOTPLUG held; blocks are taken under it. */
#define PROCESS_RANK	CF_RANK_DRIVER

static inline int process_mutex_init(struct cf_lock *mutex)
{
	mutex->rank = PROCESS_RANK;
	return 0;
}

static inline int process_mutex_lock(struct cf_lock *mutex)
{
	return (int)cf_lock(mutex);
}

static inline int process_mutex_unlock(struct cf_lock *mutex)
{
	cf_unlock(mutex, 0);
	return 0;
}

/* From the thread's own part of what process_init() has got. */
void *process_alloc(size_t bytes);
void *process_grow(void *memory, size_t bytes);
int process_resident(void *memory, size_t bytes, unsigned char *ret_present);

/* For set-up. */
void process_init(void);

#define pthread_mutex_t struct cf_lock
#define pthread_mutex_init(mutex, how) process_mutex_init(mutex)
#define pthread_mutex_lock(mutex) process_mutex_lock(mutex)
#define pthread_mutex_unlock(mutex) process_mutex_unlock(mutex)
#define pthread_mutex_destroy(mutex) ((void)(mutex), 0)
#define pthread_cond_timedwait(cond, mutex, until) ((void)(until), 0)
#define malloc(bytes) process_alloc(bytes)
#define calloc(count, bytes) process_alloc((count) * (bytes))
#define realloc(memory, bytes) process_grow(memory, bytes)
#define free(memory) ((void)(memory))
#define mincore(memory, bytes, present)					\
	process_resident(memory, bytes, present)

#endif
