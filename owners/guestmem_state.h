/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_GUESTMEM_STATE_H
#define OWNERS_GUESTMEM_STATE_H

/*
 * The memory of a guest that goes on where another one ended, in a copy of its
 * map: made with all pages absent under the same owner id, it adopts the runs
 * whose words name it.  Private contents do not come along: nobody can read
 * them.  The pages are private again, and what is in them is lost.
 */

#include "guestmem.h"

struct guestmem_page {
	uint64_t page;
	cf_pfn pfn;
	bool is_private;
};

struct guestmem_saved {
	uint64_t conversions, moved, moved_private, strangers, stolen;
	cf_pfn culprit;
};

/**
 * guestmem_is_busy() - is a page between two states?
 *
 * In a conversion, pages whose last reference went are nobody's to read, and
 * yet shared again if it is cancelled: a copy cannot have that.
 */
bool guestmem_is_busy(struct guestmem *memory);

void guestmem_save(struct guestmem *memory, struct guestmem_saved *ret_saved);

/**
 * guestmem_save_next() - the next page that is not absent.
 * @page: where to begin; ret_page->page + 1 afterwards
 * Context: nothing else runs. Return: false: there is none.
 */
bool guestmem_save_next(struct guestmem *memory, uint64_t *page,
			struct guestmem_page *ret_page);

/**
 * guestmem_adopt_page() - an absent page's run is there already.
 *
 * Context: calls the firmware for a private one.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such page, or not absent; the run is not like that,
 *                      not the guest's by its word, or another page's
 *          -CF_ENOMEM  no memory for the side table
 *          -CF_EPORT   the firmware refused
 */
int guestmem_adopt_page(struct guestmem *memory,
			const struct guestmem_page *page) CF_MUST_CHECK;

/**
 * guestmem_adopt_hold() - one of a shared page's references is @who's.
 * Return: 0, or -CF_EINVAL: it is not shared, or has no such reference,
 *         -CF_ELIMIT: config.holds are out.
 */
int guestmem_adopt_hold(struct guestmem *memory, uint64_t page,
			const char *who) CF_MUST_CHECK;

/** guestmem_adopt() - all pages are there: counters. */
void guestmem_adopt(struct guestmem *memory,
		    const struct guestmem_saved *saved);

#endif
