/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SYS_SYSCALL_H
#define GUEST_SYS_SYSCALL_H

#define SYS_mlock	149

/* There is none: -1. */
long syscall(long number, ...);

#endif
