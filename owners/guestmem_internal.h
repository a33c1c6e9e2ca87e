/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_GUESTMEM_INTERNAL_H
#define OWNERS_GUESTMEM_INTERNAL_H

/* What guestmem.c (pages and hooks) and guestmem_convert.c share. */

#include <coldframe/coldframe.h>

#include "guestmem.h"

#define NO_HOLD		(~0u)

/*
 * What a page is, and who may change it: with the lock, whoever finds it in
 * a state at rest; without, whoever has put it into one of the others.
 */
enum page_state {
	PAGE_ABSENT,	/* at rest: no frame */
	PAGE_SHARED,	/* at rest: one reference is ours */
	PAGE_MOVING,	/* shared; the engine is just moving it */
	PAGE_CONVERTING, /* ours is dropped; the last put makes it FROZEN */
	PAGE_RECALLED,	/* ours is wanted back; the last put gives it */
	PAGE_FROZEN,	/* at rest in a conversion: no references */
	PAGE_PRIVATE,	/* at rest, when its conversion has ended: no
			 * references, and the host keeps off */
	PAGE_HELD,	/* in the hands of one call */
};

/* Field key: (L) memory->lock. */
struct page {
	cf_pfn pfn;		/* (L) CF_PFN_NONE: absent */
	const struct guestmem_conversion *of;	/* (L) that has not ended, or
						 * NULL */
	uint32_t hold;		/* (L) first hold */
	uint8_t state;		/* (L) enum page_state */
};

/* A reference with a name. */
struct hold {
	const char *who;	/* (L) */
	uint32_t next;		/* (L) of the page's, or of the free ones */
};

struct guestmem {
	struct cf_map *map;		/* (C) */
	struct cf_lock lock;
	struct cf_side side;		/* (C) page number + 1, by head */
	struct guestmem_config config;	/* (C) */
	uint32_t id;			/* (C) */
	uint32_t free_hold;		/* (L) */
	uint32_t holds;			/* (L) used */
	uint64_t conversions, moved, moved_private;	/* (L) */
	uint64_t strangers, stolen;	/* (L) */
	cf_pfn culprit;			/* (L) */
	struct page *page;		/* [config.pages] */
	struct hold *hold;		/* [config.holds] */
};

static inline unsigned long gm_lock(struct guestmem *memory)
{
	return cf_lock(&memory->lock);
}

static inline void gm_unlock(struct guestmem *memory, unsigned long state)
{
	cf_unlock(&memory->lock, state);
}

static inline cf_pfn gm_frames(const struct guestmem *memory)
{
	return (cf_pfn)1 << memory->config.order;
}

/* Is [first, last) some of the guest's pages? */
static inline bool gm_fits(const struct guestmem *memory, uint64_t first,
			   uint64_t last)
{
	return first < last && last <= memory->config.pages;
}

/* From one state to another; false: it is in neither. */
bool guestmem_move_state(struct guestmem *memory, struct page *page,
			 enum page_state from, enum page_state to);
void guestmem_set_state(struct guestmem *memory, struct page *page,
			enum page_state to);

/* The page has this frame now, or none; the side table says so. */
void guestmem_set_frame(struct guestmem *memory, struct page *page,
			cf_pfn pfn);

/* One more reference has a name; false: no room. The lock is held. */
bool guestmem_add_hold(struct guestmem *memory, struct page *page,
		       const char *who);

void guestmem_report(struct guestmem *memory, const struct page *page,
		     enum cf_reason reason, struct cf_report *report);

#endif
