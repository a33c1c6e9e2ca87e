/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_TYPES_H
#define COLDFRAME_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CF_MUST_CHECK __attribute__((warn_unused_result))

/* A page-frame number: a physical address in units of 4 KiB. */
typedef uint64_t cf_pfn;

#define CF_PFN_NONE		(~(cf_pfn)0)
#define CF_PFN_LIMIT		((cf_pfn)1 << 34)	/* 64 TiB */

#define CF_FRAME_SHIFT		12
#define CF_FRAME_BYTES		((size_t)1 << CF_FRAME_SHIFT)
#define CF_CHUNK_ORDER		9		/* 2 MiB */
#define CF_CHUNK_FRAMES		((cf_pfn)1 << CF_CHUNK_ORDER)
#define CF_MAX_ORDER		18		/* 1 GiB */
#define CF_BLOCK_ORDER_MIN	10		/* 4 MiB */
#define CF_BLOCK_ORDER_MAX	15		/* 128 MiB, the default */

#define CF_NODES_MAX		64
#define CF_CPUS_MAX		1024
#define CF_NODE_ANY		0xff /* in a request: the caller's own node */

/* Most references and pins of a run; above are guards, never counts. */
#define CF_REFS_MAX		((1u << 22) - 1 - 4096)
#define CF_PINS_MAX		((1u << 10) - 1)

/*
 * Errors, returned negative from int, grouped by what the caller does next.
 * Values never change.
 */
enum cf_err {
	CF_EINVAL   = 1, /* fix the call: an argument can never be right */
	CF_EBUSY    = 2, /* another operation holds it: retry when that ends */
	CF_EAGAIN   = 3, /* in motion this moment: retry at once */
	CF_ENOMEM   = 4, /* no memory: free some, or ask for less */
	CF_EGONE    = 5, /* no such memory now: add it or bring it online */
	CF_EREFUSED = 6, /* somebody said no: read the report, ask them */
	CF_ELIMIT   = 7, /* a count or a table is full: give some back */
	CF_EPORT    = 8, /* the port failed: see what the machine says */
	CF_ERR_COUNT
};

/* The remedy of an error code, positive or negative, as one sentence. */
const char *cf_strerror(int err);

/* What a run is.  Stands in the run's word; free frames have no word. */
enum cf_type {
	CF_TYPE_NONE	 = 0,	/* free, or inside a run: no word */
	CF_TYPE_KERNEL	 = 1,	/* counted, unmovable */
	CF_TYPE_FOLIO	 = 2,	/* counted, movable through its owner */
	CF_TYPE_DEVICE	 = 3,	/* counted device memory */
	CF_TYPE_PGTABLE	 = 4,	/* a page table: no count */
	CF_TYPE_SLAB	 = 5,	/* a slab: no count */
	CF_TYPE_RESERVED = 6,	/* never managed */
	CF_TYPE_OFFLINE	 = 7,	/* logically offline: its owner's alone */
	CF_TYPE_RETIRED	 = 8,	/* a bad frame, out for good */
	CF_TYPE_COUNT
};

const char *cf_type_name(enum cf_type type);

/* Flags of a run, as a walker sees them. */
enum cf_flag {
	CF_FLAG_BUSY          = 1 << 0, /* held exclusively for a moment */
	CF_FLAG_POISON        = 1 << 1, /* holds a bad frame */
	CF_FLAG_ISOLATED      = 1 << 2, /* being moved by an operation */
	CF_FLAG_NEVER_ONLINED = 1 << 3, /* OFFLINE: never exposed */
	CF_FLAG_SKIPPABLE     = 1 << 4, /* OFFLINE: stepped over */
	CF_FLAG_MOVABLE       = 1 << 5, /* OFFLINE: its owner can migrate it */
	CF_FLAG_SELF          = 1 << 6, /* RESERVED: the block's own metadata */
	CF_FLAG_CLOSED        = 1 << 7, /* no new references: its range goes */
};

enum cf_zone_kind {
	CF_ZONE_NORMAL	= 0,	/* anything */
	CF_ZONE_MOVABLE	= 1,	/* only what can be migrated or stepped over */
	CF_ZONE_DEVICE	= 2,	/* device memory, never allocated from */
	CF_ZONE_COUNT
};

const char *cf_zone_name(enum cf_zone_kind kind);

/* Owner ids.  All others come from cf_owner_register(). */
#define CF_OWNER_NONE	0	/* the allocator itself: costs nothing */
#define CF_OWNER_ORPHAN	1	/* runs whose owner is gone */
#define CF_OWNERS_MAX	4096

/* Flags of a request. */
enum cf_alloc_flag {
	CF_ALLOC_ZERO     = 1 << 0, /* contents are zeroed */
	CF_ALLOC_NOWAIT   = 1 << 1, /* do not drain other CPUs' caches */
	CF_ALLOC_FROZEN   = 1 << 2, /* count 0; pair with cf_free_frozen() */
	CF_ALLOC_RESERVE  = 1 << 3, /* may go below the min watermark */
	CF_ALLOC_THISNODE = 1 << 4, /* no other node */
	CF_ALLOC_NOSPLIT  = 1 << 5, /* do not break a wholly free chunk */
	CF_ALLOC_FLAGS    = (1 << 6) - 1,
};

/*
 * What to allocate.  Eight bytes, passed by value; aligned as one word, so
 * that compilers build it in a register.
 * A request of all zeroes but for the type is one kernel frame of node 0.
 */
struct cf_request {
	uint8_t order;		/* 0..CF_MAX_ORDER */
	uint8_t type;		/* enum cf_type */
	uint16_t owner;		/* owner id */
	uint8_t zone;		/* enum cf_zone_kind; MOVABLE falls back to
				 * NORMAL */
	uint8_t node;		/* preferred node, or CF_NODE_ANY */
	uint16_t flags;		/* enum cf_alloc_flag */
} __attribute__((aligned(8)));

/* Why something could not be done.  One row a reason in the manual. */
enum cf_reason {
	CF_REASON_NONE       = 0,
	CF_REASON_UNMOVABLE  = 1, /* type without a way to move it */
	CF_REASON_PINNED     = 2, /* pinned: contents must stay where they
				   * are */
	CF_REASON_REFERENCED = 3, /* more references than its owner knows of */
	CF_REASON_FROZEN     = 4, /* frozen, and its owner did not give it up */
	CF_REASON_OFFLINE    = 5, /* logically offline, its owner must agree */
	CF_REASON_ORPHAN     = 6, /* its owner is gone */
	CF_REASON_OWNER      = 7, /* its owner refused */
	CF_REASON_NO_TARGET  = 8, /* no memory to move it to */
	CF_REASON_TRANSIT    = 9, /* between two states this moment */
	CF_REASON_OPERATION  = 10, /* another operation has isolated it */
	CF_REASON_VETO       = 11, /* a subscriber refused */
	CF_REASON_STATE      = 12, /* the block is not in the right state */
	CF_REASON_HOLE       = 13, /* no block there */
	CF_REASON_CACHE      = 14, /* a CPU's cache could not be drained */
	CF_REASON_PORT       = 15, /* the port failed */
	CF_REASON_COUNT
};

const char *cf_reason_name(enum cf_reason reason);

/*
 * The report that comes with every refusal: the first frame in the way, and
 * how many frames stand there for each reason.
 */
struct cf_report {
	enum cf_reason reason;		/* of the first frame in the way */
	enum cf_type type;		/* its type */
	cf_pfn pfn;			/* head of the run, or the block */
	uint32_t order;			/* order of that run */
	uint32_t flags;			/* enum cf_flag */
	uint32_t owner;			/* owner id, or subscriber's number */
	uint32_t refs, pins;
	uint32_t operation;		/* id of the operation that holds it */
	const char *who;		/* name of that owner or subscriber, or
					 * NULL */
	const char *detail;		/* what its owner says of it, or NULL */
	uint64_t frames[CF_REASON_COUNT];
};

struct cf_map;

#ifdef __cplusplus
}
#endif
#endif
