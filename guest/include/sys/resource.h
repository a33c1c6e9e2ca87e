/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SYS_RESOURCE_H
#define GUEST_SYS_RESOURCE_H

#define RLIMIT_CORE	4

typedef unsigned long rlim_t;

struct rlimit {
	rlim_t rlim_cur, rlim_max;
};

/* Nothing is limited. */
int setrlimit(int what, const struct rlimit *limit);

#endif
