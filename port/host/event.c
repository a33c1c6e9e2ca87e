/* SPDX-License-Identifier: MIT */
/*
 * What happens seldom: signals to a waiter, failed checks, faults that tests
 * put in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define NSEC_PER_SEC	1000000000L
#define NSEC_PER_MSEC	1000000L

static cf_host_panic_fn panic_hook;	/* set before there are threads */

void cf_port_signal(void *machine, enum cf_signal what, cf_pfn pfn)
{
	struct cf_host_memory *memory = machine;
	const struct cf_host_hooks *hooks = &memory->config.hooks;

	(void)pthread_mutex_lock(&memory->lock);
	memory->signals_waiting++;
	(void)pthread_cond_signal(&memory->signalled);
	(void)pthread_mutex_unlock(&memory->lock);
	if (hooks->signal)
		hooks->signal(hooks->context, what, pfn);
}

static struct timespec time_after(unsigned milliseconds)
{
	struct timespec when;

	(void)clock_gettime(CLOCK_MONOTONIC, &when);
	when.tv_sec += (time_t)(milliseconds / 1000);
	when.tv_nsec += (long)(milliseconds % 1000) * NSEC_PER_MSEC;
	if (when.tv_nsec >= NSEC_PER_SEC) {
		when.tv_nsec -= NSEC_PER_SEC;
		when.tv_sec++;
	}
	return when;
}

bool cf_host_wait_signal(struct cf_host_memory *memory, unsigned timeout_ms)
{
	struct timespec end = time_after(timeout_ms);
	bool came;
	int err = 0;

	(void)pthread_mutex_lock(&memory->lock);
	while (memory->signals_waiting == 0 && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&memory->signalled, &memory->lock,
					     &end);
	came = memory->signals_waiting > 0;
	memory->signals_waiting = 0;
	(void)pthread_mutex_unlock(&memory->lock);
	return came;
}

void cf_host_on_panic(cf_host_panic_fn hook)
{
	panic_hook = hook;
}

/* Into a buffer on the stack and out at once: stdio may be what is broken. */
void cf_port_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	ssize_t written;
	char text[512];
	int length = snprintf(text, sizeof(text),
			      "coldframe: check failed: %s at %s:%d "
			      "(value 0x%" PRIx64 ", other 0x%" PRIx64 ")\n",
			      expression, file, line, value, other);

	if (length >= (int)sizeof(text))
		length = (int)sizeof(text) - 1;
	/* If stderr is gone there is nobody left to tell. */
	written = write(STDERR_FILENO, text, (size_t)length);
	(void)written;
	if (panic_hook)
		panic_hook(expression, file, line, value, other);
	abort();
}

bool host_fault(struct cf_host_memory *memory, enum cf_host_call call)
{
	bool fails;

	if (!memory->counting)
		return false;
	(void)pthread_mutex_lock(&memory->lock);
	fails = ++memory->calls[call] == memory->fails[call];
	(void)pthread_mutex_unlock(&memory->lock);
	return fails;
}

void cf_host_fault_arm(struct cf_host_memory *memory, enum cf_host_call call,
		       uint64_t nth)
{
	(void)pthread_mutex_lock(&memory->lock);
	memory->calls[call] = 0;
	memory->fails[call] = nth;
	memory->counting = true;
	(void)pthread_mutex_unlock(&memory->lock);
}

void cf_host_fault_disarm(struct cf_host_memory *memory)
{
	unsigned call;

	(void)pthread_mutex_lock(&memory->lock);
	memory->counting = false;
	for (call = 0; call < CF_HOST_CALL_COUNT; call++)
		memory->fails[call] = 0;
	(void)pthread_mutex_unlock(&memory->lock);
}

uint64_t cf_host_fault_calls(struct cf_host_memory *memory,
			     enum cf_host_call call)
{
	uint64_t calls;

	(void)pthread_mutex_lock(&memory->lock);
	calls = memory->calls[call];
	(void)pthread_mutex_unlock(&memory->lock);
	return calls;
}
