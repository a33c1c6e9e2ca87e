/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_POOLS_H
#define MACHINE_POOLS_H

/* The reference owners as steps: pools of huge runs, guests, objects. */

#include "internal.h"
#include "owners/elastic/elastic.h"
#include "owners/guestmem.h"
#include "owners/hugepool.h"

#define POOL_RUNS	4096
#define OBJECTS_MAX	((uint64_t)1 << 20)	/* of a scenario */

/* A run the machine has taken, the last one first. */
struct pool_run {
	struct pool_run *next;
	cf_pfn pfn;
	unsigned order;
};

struct pool {
	struct hugepool *pool;
	struct cf_map *map;
	enum cf_zone_kind zone;
	struct pool_run *taken;
	uint64_t held;		/* frames of these */
};

struct guest {
	struct guestmem *memory;
	struct guestmem_conversion conversion;
	uint64_t pages;
	unsigned order;
	enum cf_zone_kind zone;
	bool movable;		/* the machine moves private pages */
};

struct objects {
	struct elastic *pool;
	enum cf_zone_kind zone;
	elastic_handle *handle;		/* 0: forgotten */
	uint64_t count;
};

/* Register the owner of what is filled in. 0, or a code. */
int pool_start(struct machine *machine, uint32_t number, struct pool *pool);
int guest_start(struct machine *machine, uint32_t number, struct guest *guest);
int objects_start(struct machine *machine, uint32_t number,
		  struct objects *objects);

/* Has it a number and a size of pages that can be? */
bool guest_fits(const struct guest *guest);

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
