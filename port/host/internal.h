/* SPDX-License-Identifier: MIT */
#ifndef PORT_HOST_INTERNAL_H
#define PORT_HOST_INTERNAL_H

#include "host.h"

#if defined(__SANITIZE_THREAD__)
#define HOST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOST_TSAN 1
#endif
#endif
#ifndef HOST_TSAN
#define HOST_TSAN 0
#endif

/* Is this call the one that is to fail? Counts it. */
bool host_fault(struct cf_host_memory *memory, enum cf_host_call call);

/* Zeroed pages without reservation, or NULL; @huge: aligned, of 2 MiB pages. */
void *host_map_pages(size_t bytes, bool huge);

/* Limit context numbers for the life of one more map, and the reverse. */
int host_numbers_limit(unsigned cpus);
void host_numbers_unlimit(void);

#endif
