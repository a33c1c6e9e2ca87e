/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SYS_TYPES_H
#define GUEST_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef int pid_t;
typedef long off_t;
typedef unsigned mode_t;
typedef long time_t;
typedef int clockid_t;

#endif
