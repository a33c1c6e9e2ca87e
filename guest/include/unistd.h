/* SPDX-License-Identifier: MIT */
#ifndef GUEST_UNISTD_H
#define GUEST_UNISTD_H

#include "sys/types.h"

#define STDIN_FILENO	0
#define STDOUT_FILENO	1
#define STDERR_FILENO	2
#define _SC_NPROCESSORS_ONLN	84
#define _SC_PAGESIZE	30

/* The copy runs instead of its origin until it ends. */
pid_t fork(void) __attribute__((returns_twice));
_Noreturn void _exit(int status);
unsigned alarm(unsigned seconds);
int pipe(int ends[2]);
int dup2(int from, int to);
int close(int fd);
ssize_t read(int fd, void *to, size_t bytes);
ssize_t write(int fd, const void *from, size_t bytes);
int usleep(unsigned microseconds);
long sysconf(int name);
pid_t getpid(void);

#endif
