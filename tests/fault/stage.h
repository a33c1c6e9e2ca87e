/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FAULT_STAGE_H
#define TESTS_FAULT_STAGE_H

/*
 * A small machine in a known state, an image of it frame by frame, and faults
 * in its port and in its hooks.
 */

#include <coldframe/coldframe.h>

#include "port.h"

#define STAGE_BLOCK_ORDER	10
#define STAGE_BLOCK		((cf_pfn)1 << STAGE_BLOCK_ORDER)
#define STAGE_BLOCKS		6
#define STAGE_FRAMES		(STAGE_BLOCKS * STAGE_BLOCK)
#define STAGE_RUNS		256

/* Everything that can be made to fail: the port's calls, then hooks. */
enum fault {
	FAULT_META_ALLOC	= TEST_META_ALLOC,
	FAULT_FIRST_EXPOSED	= TEST_FIRST_EXPOSED,
	FAULT_RETURNED		= TEST_RETURNED,
	FAULT_BARRIER		= TEST_BARRIER,
	FAULT_FRAME_ADDRESS	= TEST_FRAME_ADDRESS,
	FAULT_ISOLATE,
	FAULT_MIGRATE,
	FAULT_DISSOLVE,
	FAULT_ONLINE,
	FAULT_GOING,
	FAULT_COUNT
};

const char *fault_name(enum fault fault);

/* What a run of the stage's is known by. */
struct stage_run {
	cf_pfn pfn;
	unsigned order;
	bool offline;		/* a balloon's */
};

struct stage {
	struct cf_map *map;
	void *storage;
	uint32_t mover, keeper, balloon, memory;	/* owner ids */
	struct stage_run run[STAGE_RUNS];
	size_t runs;
	struct cf_offline operation;
	struct cf_subscriber subscriber[2];
	struct cf_side side;
	enum fault fault;
	uint64_t fault_at;	/* of a hook's; 0: none */
	bool fault_fired;
	uint64_t moved;		/* frames */
	unsigned going, cancelled, done;
	bool undecided;		/* dissolve answers CF_EAGAIN */
	cf_pfn first, last;	/* for a case's own use */
	cf_pfn pfn;
	/* Called in the migrate hook with the source, if set. */
	void (*inside)(struct stage *stage, cf_pfn source, unsigned order);
};

/* All owners and subscribers, no blocks. */
void stage_init(struct stage *stage);
/* Gives back all that is there. Returns whether nothing was lost. */
bool stage_done(struct stage *stage);

/* Blocks [first, last), by number, from the port and online. */
void stage_online(struct stage *stage, unsigned first, unsigned last,
		  enum cf_zone_kind kind);
void stage_add(struct stage *stage, unsigned first, unsigned last,
	       uint32_t owner);
/* A movable folio of the mover's; its contents are watched. */
cf_pfn stage_folio(struct stage *stage, unsigned order);
/* A run that its owner keeps frozen and gives up when asked. */
cf_pfn stage_kept(struct stage *stage, unsigned order);
/* Write the contents of all runs anew, after a change of the list. */
void stage_mark(struct stage *stage);
void stage_free_runs(struct stage *stage);
bool stage_runs_intact(struct stage *stage);

void stage_arm(struct stage *stage, enum fault fault, uint64_t at);
bool stage_disarm(struct stage *stage);

struct frame_image {
	uint8_t kind, type, order, zone;
	uint8_t isolated, retired;
	uint32_t flags, owner, refs, pins, payload;
	cf_pfn head;
};

struct image {
	struct frame_image frame[STAGE_FRAMES];
	struct cf_block_info block[STAGE_BLOCKS];
	bool present[STAGE_BLOCKS];
	struct cf_stat stat;
	struct cf_zone_stat zone[2];
	size_t meta;		/* bytes the port has out */
};

/* How two images may differ. */
enum same {
	SAME_ALL,		/* not at all */
	SAME_MOVED,		/* runs may have moved */
	SAME_ORPHANED,		/* and sources may be the orphan's */
	SAME_ANY,		/* in anything */
	SAME_PREFIX,		/* [first, some frame) of the stage's is free */
};

/* Empties the caches first, so that images are about frames alone. */
void image_take(struct stage *stage, struct image *image);
bool image_same(const struct stage *stage, const struct image *before,
		const struct image *after, enum same same);

/* ---- the case at hand ---- */

/* Set-up must not fail: end the program if it does. */
void must(int err, const char *what);
#define MUST(call)	must((call), #call)

#endif
