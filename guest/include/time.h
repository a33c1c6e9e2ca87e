/* SPDX-License-Identifier: MIT */
#ifndef GUEST_TIME_H
#define GUEST_TIME_H

#include "sys/types.h"

#define CLOCK_REALTIME	0
#define CLOCK_MONOTONIC	1

struct timespec {
	time_t tv_sec;
	long tv_nsec;
};

/* All clocks count from the start of the guest. */
int clock_gettime(clockid_t clock, struct timespec *time);
int nanosleep(const struct timespec *time, struct timespec *rest);
time_t time(time_t *ret_time);

#endif
