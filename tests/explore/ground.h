/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_GROUND_H
#define EXPLORE_GROUND_H

/*
 * What most programs stand on: a map of a few blocks of two chunks, made at
 * set-up.  Names of its words are known to traces.
 */

#include <coldframe/coldframe.h>

#include "explore.h"
#include "port.h"

#define GROUND_BLOCK_ORDER	10
#define GROUND_BLOCK		((cf_pfn)1 << GROUND_BLOCK_ORDER)
#define GROUND_CHUNK		((cf_pfn)512)

struct ground_config {
	unsigned blocks;	/* room for so many; 0: 1 */
	unsigned online;	/* of these, online from the start; 0: 1 */
	bool caches;		/* contexts have them; else none do */
	bool unfenced;		/* they use the barrier on all contexts */
	uint32_t poison_max;
};

/* First call of a set-up. */
struct cf_map *ground_init(struct ground_config config);
/* Memory for the metadata of @blocks blocks. */
void *ground_meta(unsigned blocks);

/* Set-up must not fail; the same in threads where nothing can stand in way. */
#define MUST(call) REQUIRE((call) == 0)

/* One frame, or run, of folio or kernel type; REQUIREs that it is there. */
cf_pfn ground_alloc(enum cf_type type, unsigned order, uint32_t owner);

/* The end: caches drained, and cf_verify() finds nothing. */
void ground_verify(void);

/* Contents of a frame: one plain word each, for races on what is in it. */
uint64_t *ground_contents(cf_pfn pfn);

extern struct cf_map *ground_map;

#endif
