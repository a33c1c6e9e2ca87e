/* SPDX-License-Identifier: MIT */

/* What is known of a guest's pages, told and taken over. */

#include "guestmem_internal.h"
#include "guestmem_state.h"

static bool is_at_rest(const struct page *page)
{
	return !page->of &&
	       (page->state == PAGE_ABSENT || page->state == PAGE_SHARED ||
		page->state == PAGE_PRIVATE);
}

bool guestmem_is_busy(struct guestmem *memory)
{
	unsigned long state = gm_lock(memory);
	bool busy = false;
	uint64_t i;

	for (i = 0; i < memory->config.pages && !busy; i++)
		busy = !is_at_rest(&memory->page[i]);
	gm_unlock(memory, state);
	return busy;
}

void guestmem_save(struct guestmem *memory, struct guestmem_saved *ret_saved)
{
	unsigned long state = gm_lock(memory);

	*ret_saved = (struct guestmem_saved){
		.conversions = memory->conversions,
		.moved = memory->moved,
		.moved_private = memory->moved_private,
		.strangers = memory->strangers,
		.stolen = memory->stolen,
		.culprit = memory->culprit,
	};
	gm_unlock(memory, state);
}

bool guestmem_save_next(struct guestmem *memory, uint64_t *page,
			struct guestmem_page *ret_page)
{
	unsigned long state = gm_lock(memory);
	bool found = false;

	for (; !found && *page < memory->config.pages; (*page)++) {
		const struct page *at = &memory->page[*page];

		if (at->state == PAGE_ABSENT)
			continue;
		*ret_page = (struct guestmem_page){
			.page = *page,
			.pfn = at->pfn,
			.is_private = at->state == PAGE_PRIVATE,
		};
		found = true;
	}
	gm_unlock(memory, state);
	return found;
}

/* Does the map have it as it is said to be? */
static bool fits(struct guestmem *memory, const struct guestmem_page *page)
{
	struct cf_snapshot is;

	return page->page < memory->config.pages &&
	       !cf_snapshot(memory->map, page->pfn, &is) &&
	       is.type == CF_TYPE_FOLIO && is.owner == memory->id &&
	       is.order == memory->config.order &&
	       (is.refs == 0) == page->is_private;
}

/* The page is ours, and no other page has that frame. */
static bool claim(struct guestmem *memory, struct page *page, cf_pfn pfn)
{
	unsigned long state = gm_lock(memory);
	const uint32_t *entry = cf_side_find(&memory->side, pfn);
	bool good = page->state == PAGE_ABSENT && entry && !*entry;

	if (good)
		page->state = PAGE_HELD;
	gm_unlock(memory, state);
	return good;
}

int guestmem_adopt_page(struct guestmem *memory,
			const struct guestmem_page *page)
{
	const struct guestmem_config *config = &memory->config;
	struct page *at;
	void *entry;
	int err;

	if (!fits(memory, page))
		return -CF_EINVAL;
	at = &memory->page[page->page];
	err = cf_side_extend(&memory->side, page->pfn, &entry);
	if (err)
		return err;
	if (!claim(memory, at, page->pfn))
		return -CF_EINVAL;
	if (page->is_private &&
	    config->firmware->make_private(config->context, page->pfn,
					   config->order)) {
		guestmem_set_state(memory, at, PAGE_ABSENT);
		return -CF_EPORT;
	}
	guestmem_set_frame(memory, at, page->pfn);
	guestmem_set_state(memory, at, page->is_private ? PAGE_PRIVATE :
							  PAGE_SHARED);
	return 0;
}

static uint32_t count_holds(const struct guestmem *memory,
			    const struct page *page)
{
	uint32_t at, count = 0;

	for (at = page->hold; at != NO_HOLD; at = memory->hold[at].next)
		count++;
	return count;
}

int guestmem_adopt_hold(struct guestmem *memory, uint64_t number,
			const char *who)
{
	struct cf_snapshot is;
	struct page *page;
	unsigned long state;
	int err = -CF_EINVAL;

	if (number >= memory->config.pages || !who)
		return -CF_EINVAL;
	page = &memory->page[number];
	if (cf_snapshot(memory->map, page->pfn, &is))
		return -CF_EINVAL;
	state = gm_lock(memory);
	/* One of them is the owner's own. */
	if (page->state == PAGE_SHARED &&
	    count_holds(memory, page) + 1 < is.refs)
		err = guestmem_add_hold(memory, page, who) ? 0 : -CF_ELIMIT;
	gm_unlock(memory, state);
	return err;
}

void guestmem_adopt(struct guestmem *memory,
		    const struct guestmem_saved *saved)
{
	unsigned long state = gm_lock(memory);

	memory->conversions = saved->conversions;
	memory->moved = saved->moved;
	memory->moved_private = saved->moved_private;
	memory->strangers = saved->strangers;
	memory->stolen = saved->stolen;
	memory->culprit = saved->culprit;
	gm_unlock(memory, state);
}
