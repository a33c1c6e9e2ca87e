/* SPDX-License-Identifier: MIT */
#ifndef GUEST_STDLIB_H
#define GUEST_STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS	0
#define EXIT_FAILURE	1
#define RAND_MAX	0x7fffffff

void *malloc(size_t bytes) __attribute__((malloc));
void *calloc(size_t count, size_t bytes) __attribute__((malloc));
void *realloc(void *memory, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
void free(void *memory);
_Noreturn void abort(void);
_Noreturn void exit(int status);
_Noreturn void _Exit(int status);
int rand(void);
void srand(unsigned seed);
char *getenv(const char *name);
unsigned long strtoul(const char *text, char **ret_end, int base);
unsigned long long strtoull(const char *text, char **ret_end, int base);

#endif
