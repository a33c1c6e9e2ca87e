/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FAULT_SCENE_H
#define TESTS_FAULT_SCENE_H

#include "stage.h"

/*
 * A stage with one of everything that can stand in the way. Its blocks:
 *
 *	0, 1	online, NORMAL, with the runs below; neither is free
 *	2	online, MOVABLE, empty
 *	3	an operation cannot take it offline for a kernel frame
 *	4	added, offline, of the range owner "memory"
 *	5	absent
 */
struct scene {
	struct stage stage;
	cf_pfn kernel;		/* order 2, one reference */
	cf_pfn frozen;		/* order 2, SLAB */
	cf_pfn folio;		/* of the mover's, order 1 */
	cf_pfn full;		/* references at their limit */
	cf_pfn pinned;		/* pins at their limit */
	cf_pfn balloon;		/* order 3, OFFLINE, MOVABLE */
	cf_pfn orphan;		/* OFFLINE, its owner is gone */
	uint32_t gone;		/* an owner id that is not registered */
	int inside;		/* what a call inside a hook said */
};

#define BLOCK_MOVABLE	(2 * STAGE_BLOCK)
#define BLOCK_GOING	(3 * STAGE_BLOCK)
#define BLOCK_OFFLINE	(4 * STAGE_BLOCK)
#define BLOCK_ABSENT	(5 * STAGE_BLOCK)

void scene_init(struct scene *scene);
bool scene_done(struct scene *scene);

/* One refusal: @call makes it happen and returns what the call said. */
struct refusal {
	const char *function;	/* without cf_ */
	int code;		/* positive */
	int (*call)(struct scene *scene);
};

extern const struct refusal frame_refusals[], range_refusals[],
	block_refusals[], owner_refusals[], device_refusals[];

#endif
