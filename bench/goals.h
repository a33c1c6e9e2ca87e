/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

/* The goals of the project beside what the tables hold. */
void goals_print(void);

#endif
