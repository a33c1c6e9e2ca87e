/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SYS_MMAN_H
#define GUEST_SYS_MMAN_H

#include "types.h"

#define PROT_NONE	0
#define PROT_READ	1
#define PROT_WRITE	2
#define MAP_SHARED	1
#define MAP_PRIVATE	2
#define MAP_ANONYMOUS	32
#define MAP_NORESERVE	0x4000
#define MAP_FAILED	((void *)-1)
#define MADV_DONTNEED	4
#define MADV_HUGEPAGE	14
#define MADV_NOHUGEPAGE	15

/* Anonymous memory only; unmapped whole, or from either end. */
void *mmap(void *address, size_t bytes, int protection, int flags, int fd,
	   off_t offset);
int munmap(void *address, size_t bytes);
int mprotect(void *address, size_t bytes, int protection);
int madvise(void *address, size_t bytes, int advice);

#endif
