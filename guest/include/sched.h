/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SCHED_H
#define GUEST_SCHED_H

int sched_yield(void);

#endif
