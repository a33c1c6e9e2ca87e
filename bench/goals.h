/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

#include <stdbool.h>

/*
 * The nth goal that was measured: how much of what is allowed is used, 1 being
 * all of it.  NULL: there are no more.
 */
const char *goal_used(unsigned nth, double *ret_share);

/*
 * The goals of the project beside what the tables hold, of the groups that
 * were asked for.
 */
void goals_print(bool (*is_asked)(const char *group));

#endif
