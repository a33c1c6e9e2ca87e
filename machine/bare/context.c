/* SPDX-License-Identifier: MIT */

/*
 * Threads of the guest as execution contexts, by the calls of port/host.
 *
 * With this the machine, and tests written for a process, run in the guest
 * unchanged: memory, maps and events are port/host's own files, which ask for
 * nothing but mmap(2) and its like. Numbers, read sections and barriers are
 * here and in port/bare.
 */

#include <guest.h>
#include <pthread.h>

#include <coldframe/alloc.h>

#include "port/host/internal.h"

#define NUMBER_WORDS	(CF_CPUS_MAX / 64)

/* Field key: (N) numbers.lock */
static struct {
	pthread_mutex_t lock;
	uint64_t taken[NUMBER_WORDS];	/* (N) one bit a number */
	unsigned limit;			/* (N) numbers handed out are below */
	unsigned maps;			/* (N) that hold the limit down */
} numbers = { .lock = PTHREAD_MUTEX_INITIALIZER, .limit = CF_CPUS_MAX };

static bool pretend_fenced;	/* set before any map */

static bool is_taken(unsigned number)
{
	return numbers.taken[number / 64] >> number % 64 & 1;
}

static void set_taken(unsigned number, bool taken)
{
	uint64_t bit = (uint64_t)1 << number % 64;

	if (taken)
		numbers.taken[number / 64] |= bit;
	else
		numbers.taken[number / 64] &= ~bit;
}

unsigned cf_host_enter(void)
{
	unsigned number = guest_context_number();

	if (number != CF_CPU_NONE)
		return number;
	(void)pthread_mutex_lock(&numbers.lock);
	for (number = 0; number < numbers.limit && is_taken(number); number++)
		;
	if (number < numbers.limit)
		set_taken(number, true);
	else
		number = CF_CPU_NONE;
	(void)pthread_mutex_unlock(&numbers.lock);
	guest_set_context_number(number);
	return number;
}

/* The thread ends, or leaves. */
static void give_up(void)
{
	unsigned number = guest_context_number();

	if (number == CF_CPU_NONE)
		return;
	(void)pthread_mutex_lock(&numbers.lock);
	set_taken(number, false);
	(void)pthread_mutex_unlock(&numbers.lock);
	guest_set_context_number(CF_CPU_NONE);
}

/* Before any thread ends. */
__attribute__((constructor)) static void watch_ends(void)
{
	guest_on_thread_end(give_up);
}

void cf_host_leave(struct cf_map *map)
{
	if (guest_context_number() == CF_CPU_NONE)
		return;
	if (map)
		cf_drain_cpu(map);
	give_up();
}

/* @maps: how many more maps hold the limit. While any does it only falls. */
static int limit_set(unsigned cpus, unsigned maps)
{
	unsigned number;
	int err = 0;

	if (cpus == 0 || cpus > CF_CPUS_MAX)
		return -CF_EINVAL;
	(void)pthread_mutex_lock(&numbers.lock);
	if (numbers.maps > 0 && cpus > numbers.limit)
		cpus = numbers.limit;
	for (number = cpus; number < CF_CPUS_MAX; number++)
		if (is_taken(number))
			err = -CF_EBUSY;
	if (!err) {
		numbers.limit = cpus;
		numbers.maps += maps;
	}
	(void)pthread_mutex_unlock(&numbers.lock);
	return err;
}

int cf_host_set_cpus(unsigned cpus)
{
	return limit_set(cpus, 0);
}

int host_numbers_limit(unsigned cpus)
{
	return limit_set(cpus, 1);
}

void host_numbers_unlimit(void)
{
	(void)pthread_mutex_lock(&numbers.lock);
	if (--numbers.maps == 0)
		numbers.limit = CF_CPUS_MAX;
	(void)pthread_mutex_unlock(&numbers.lock);
}

bool cf_host_fenced(void)
{
	return pretend_fenced;
}

void cf_host_set_fenced(bool fenced)
{
	pretend_fenced = fenced;
}

int cf_port_barrier_all(void)
{
	return pretend_fenced || guest_barrier() ? -CF_EPORT : 0;
}
