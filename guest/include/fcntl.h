/* SPDX-License-Identifier: MIT */
#ifndef GUEST_FCNTL_H
#define GUEST_FCNTL_H

#define O_RDONLY	0
#define O_WRONLY	1
#define O_RDWR		2

/* Of /dev/null only. */
int open(const char *path, int flags, ...);

#endif
