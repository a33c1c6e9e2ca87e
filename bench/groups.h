/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GROUPS_H
#define BENCH_GROUPS_H

#include <stdbool.h>

/*
 * Each group runs in a process of its own and prints rows (row_print()).
 * They return the exit status.
 */
int group_primitives(bool quick);
int group_engine(bool quick);
int group_scale(bool quick);

/* @library: what malloc() must come from, a part of its file's name. */
int group_malloc(const char *library, bool quick);

/* What machine this is, for the head of the results. */
void machine_print(void);

#endif
