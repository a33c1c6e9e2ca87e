/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_POOLS_H
#define MACHINE_POOLS_H

/* The reference owners as steps: pools of huge runs, guests, objects. */

#include "internal.h"

struct pool;
struct guest;
struct objects;

/* At the end of the machine, whose map goes with the process. */
void pool_free(struct pool *pool);
void guest_free(struct guest *guest);
void objects_free(struct objects *objects);

/* What each has, by enum property. */
void pool_values(struct pool *pool, uint64_t *ret_of);
void guest_values(struct guest *guest, uint64_t *ret_of);
void objects_values(struct objects *objects, uint64_t *ret_of);

STEP_FN(step_pool); STEP_FN(step_pool_size); STEP_FN(step_pool_surplus);
STEP_FN(step_pool_reserve); STEP_FN(step_pool_take); STEP_FN(step_pool_give);
STEP_FN(step_pool_demote); STEP_FN(step_pool_end);
STEP_FN(step_guest); STEP_FN(step_guest_hold); STEP_FN(step_guest_release);
STEP_FN(step_guest_convert); STEP_FN(step_guest_step);
STEP_FN(step_guest_cancel); STEP_FN(step_guest_share);
STEP_FN(step_guest_touch); STEP_FN(step_guest_end);
STEP_FN(step_elastic); STEP_FN(step_elastic_store);
STEP_FN(step_elastic_forget); STEP_FN(step_elastic_lock);
STEP_FN(step_elastic_unlock); STEP_FN(step_elastic_shrink);
STEP_FN(step_elastic_end);

#endif
