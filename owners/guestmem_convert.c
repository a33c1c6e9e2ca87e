/* SPDX-License-Identifier: MIT */

/*
 * From shared to private and back: the same run, frozen and counted.
 *
 * Asynchronous freezing does the waiting.  The conversion drops the owner's
 * reference; the put that drops the last one leaves the run frozen, in one
 * exchange, and tells release().  From then on no reference can be had, so
 * nothing has to be looked at twice.
 */

#include "guestmem_internal.h"

/* ---- start ---- */

/* What stands in the way of converting a page. */
static int unfit(enum page_state state)
{
	switch (state) {
	case PAGE_SHARED:
		return 0;
	case PAGE_ABSENT:
		return -CF_EGONE;
	case PAGE_PRIVATE:
		return -CF_EREFUSED;
	case PAGE_MOVING:
	case PAGE_HELD:
		return -CF_EAGAIN;
	default:
		return -CF_EBUSY;
	}
}

/* All of them, or none.  Caller holds the lock. */
static int claim(struct guestmem *memory,
		 const struct guestmem_conversion *conversion, uint64_t first,
		 uint64_t last)
{
	uint64_t i;
	int err = 0;

	for (i = first; i < last && !err; i++)
		err = memory->page[i].of ? -CF_EBUSY :
		      unfit((enum page_state)memory->page[i].state);
	if (err)
		return err;
	for (i = first; i < last; i++) {
		memory->page[i].state = PAGE_CONVERTING;
		memory->page[i].of = conversion;
	}
	return 0;
}

static bool is_of(struct guestmem *memory, const struct page *page,
		  const struct guestmem_conversion *conversion)
{
	unsigned long state = gm_lock(memory);
	bool is = page->of == conversion;

	gm_unlock(memory, state);
	return is;
}

/* A page is the conversion's no more. */
static void let_go(struct guestmem *memory, struct page *page)
{
	unsigned long state = gm_lock(memory);

	page->of = NULL;
	gm_unlock(memory, state);
}

int guestmem_convert_start(struct guestmem *memory,
			   struct guestmem_conversion *conversion,
			   uint64_t first, uint64_t last)
{
	unsigned long state;
	uint64_t i;
	int err;

	if (!gm_fits(memory, first, last) || conversion->going)
		return -CF_EINVAL;
	state = gm_lock(memory);
	err = claim(memory, conversion, first, last);
	gm_unlock(memory, state);
	if (err)
		return err;
	*conversion = (struct guestmem_conversion){
		.memory = memory, .first = first, .last = last, .going = true,
	};
	/* Ours goes; the last of all comes to the release hook. */
	for (i = first; i < last; i++)
		cf_put(memory->map, memory->page[i].pfn);
	return 0;
}

/* ---- step ---- */

static enum page_state state_of(struct guestmem *memory,
				const struct page *page)
{
	unsigned long state = gm_lock(memory);
	enum page_state found = (enum page_state)page->state;

	gm_unlock(memory, state);
	return found;
}

static uint64_t count_waiting(struct guestmem_conversion *conversion,
			      struct cf_report *report)
{
	struct guestmem *memory = conversion->memory;
	uint64_t waiting = 0, i;

	for (i = conversion->first; i < conversion->last; i++) {
		struct page *page = &memory->page[i];

		if (state_of(memory, page) != PAGE_CONVERTING)
			continue;
		if (!waiting)
			guestmem_report(memory, page, CF_REASON_REFERENCED,
					report);
		waiting++;
	}
	if (report)
		report->frames[CF_REASON_REFERENCED] = waiting *
						       gm_frames(memory);
	return waiting;
}

static int make_private(struct guestmem *memory, struct page *page)
{
	const struct guestmem_config *config = &memory->config;
	unsigned long state;

	if (state_of(memory, page) != PAGE_FROZEN)
		return 0;
	if (config->firmware->make_private(config->context, page->pfn,
					   config->order))
		return -CF_EPORT;
	state = gm_lock(memory);
	page->state = PAGE_PRIVATE;
	memory->conversions++;
	gm_unlock(memory, state);
	return 0;
}

int guestmem_convert_step(struct guestmem_conversion *conversion,
			  struct cf_report *report)
{
	struct guestmem *memory = conversion->memory;
	int err = 0;
	uint64_t i;

	if (!conversion->going || conversion->cancelling)
		return -CF_EINVAL;
	if (report)
		*report = (struct cf_report){ .pfn = CF_PFN_NONE };
	conversion->waiting = count_waiting(conversion, report);
	if (conversion->waiting)
		return -CF_EAGAIN;
	/* Who reads contents, as dump and save do, has passed by then. */
	cf_content_sync(memory->map);
	for (i = conversion->first; i < conversion->last && !err; i++) {
		err = make_private(memory, &memory->page[i]);
		conversion->done = i - conversion->first + !err;
	}
	if (err)
		guestmem_report(memory, &memory->page[i - 1], CF_REASON_PORT,
				report);
	for (i = conversion->first; i < conversion->last && !err; i++)
		let_go(memory, &memory->page[i]);
	conversion->going = err != 0;
	return err;
}

/* ---- cancel ---- */

/*
 * A page's state and frame as cancelling finds them: in our hands, or wanted
 * back, from here on, unless somebody else has it in his.
 */
static enum page_state take_back(struct guestmem *memory, struct page *page,
				 cf_pfn *ret_pfn)
{
	unsigned long state = gm_lock(memory);
	enum page_state found = (enum page_state)page->state;

	*ret_pfn = page->pfn;
	if (found == PAGE_CONVERTING)
		page->state = PAGE_RECALLED;
	else if (found == PAGE_FROZEN || found == PAGE_PRIVATE)
		page->state = PAGE_HELD;
	gm_unlock(memory, state);
	return found;
}

/*
 * Our reference back, while there are others; or the last put gives it, which
 * is on its way then.  After that the page may move at once.
 */
static int recall(struct guestmem *memory, struct page *page, cf_pfn pfn)
{
	bool ours;

	if (cf_try_get(memory->map, pfn))
		return state_of(memory, page) == PAGE_SHARED ? 0 : -CF_EAGAIN;
	ours = guestmem_move_state(memory, page, PAGE_RECALLED, PAGE_SHARED);
	if (ours)
		return 0;
	/* The hook was there first. */
	cf_put(memory->map, pfn);
	return state_of(memory, page) == PAGE_SHARED ? 0 : -CF_EAGAIN;
}

/* A private page, in our hands, has a reference of ours again. */
static int open_page(struct guestmem *memory, struct page *page)
{
	const struct guestmem_config *config = &memory->config;

	if (config->firmware->make_shared(config->context, page->pfn,
					  config->order)) {
		guestmem_set_state(memory, page, PAGE_PRIVATE);
		return -CF_EPORT;
	}
	cf_unfreeze(memory->map, page->pfn, 1);
	guestmem_set_state(memory, page, PAGE_SHARED);
	return 0;
}

static int reopen(struct guestmem *memory, struct page *page)
{
	cf_pfn pfn;

	switch (take_back(memory, page, &pfn)) {
	case PAGE_CONVERTING:
	case PAGE_RECALLED:
		return recall(memory, page, pfn);
	case PAGE_PRIVATE:
		return open_page(memory, page);
	case PAGE_FROZEN:
		cf_unfreeze(memory->map, pfn, 1);
		guestmem_set_state(memory, page, PAGE_SHARED);
		return 0;
	case PAGE_SHARED:
	case PAGE_MOVING:
		return 0;
	default:
		return -CF_EAGAIN;
	}
}

int guestmem_convert_cancel(struct guestmem_conversion *conversion)
{
	struct guestmem *memory = conversion->memory;
	int first_err = 0, err;
	uint64_t i;

	if (!conversion->going)
		return -CF_EINVAL;
	conversion->cancelling = true;
	for (i = conversion->first; i < conversion->last; i++) {
		struct page *page = &memory->page[i];

		/* It was shared before, and may be somebody else's by now. */
		if (!is_of(memory, page, conversion))
			continue;
		err = reopen(memory, page);
		if (!err)
			let_go(memory, page);
		else if (!first_err)
			first_err = err;
	}
	conversion->going = first_err != 0;
	conversion->cancelling = conversion->going;
	return first_err;
}

/* ---- share ---- */

/* What stands in the way of sharing a page; 0 also if it is shared. */
static int unshareable(const struct page *page)
{
	switch ((enum page_state)page->state) {
	case PAGE_SHARED:
	case PAGE_MOVING:
		return 0;
	case PAGE_ABSENT:
		return -CF_EGONE;
	case PAGE_PRIVATE:
		return page->of ? -CF_EBUSY : 0;
	case PAGE_HELD:
		return page->of ? -CF_EBUSY : -CF_EAGAIN;
	default:
		return -CF_EBUSY;
	}
}

static int share_page(struct guestmem *memory, struct page *page)
{
	unsigned long state = gm_lock(memory);
	int err = unshareable(page);
	bool ours = !err && page->state == PAGE_PRIVATE;

	if (ours)
		page->state = PAGE_HELD;
	gm_unlock(memory, state);
	return ours ? open_page(memory, page) : err;
}

int guestmem_share(struct guestmem *memory, uint64_t first, uint64_t last,
		   uint64_t *ret_done)
{
	uint64_t at = first;
	int err = 0;

	if (!gm_fits(memory, first, last))
		return -CF_EINVAL;
	while (at < last && !err) {
		err = share_page(memory, &memory->page[at]);
		at += !err;
	}
	*ret_done = at - first;
	return err;
}

/* ---- who is in the way ---- */

/* Those of one page, from @found on. */
static size_t holders_of(struct guestmem *memory, uint64_t number,
			 struct guestmem_holder *ret_holders, size_t room,
			 size_t found)
{
	const struct page *page = &memory->page[number];
	struct guestmem_holder holder = { .page = number };
	uint32_t named = 0, own, at;
	struct cf_snapshot run;
	unsigned long state = gm_lock(memory);

	holder.pfn = page->pfn;
	own = page->state == PAGE_SHARED || page->state == PAGE_MOVING;
	gm_unlock(memory, state);
	if (holder.pfn == CF_PFN_NONE ||
	    cf_snapshot(memory->map, holder.pfn, &run) ||
	    run.type != CF_TYPE_FOLIO || run.owner != memory->id)
		return found;
	holder.pins = run.pins;
	holder.refs = 1;
	state = gm_lock(memory);
	for (at = page->hold; at != NO_HOLD; at = memory->hold[at].next) {
		holder.who = memory->hold[at].who;
		if (found < room)
			ret_holders[found] = holder;
		found++;
		named++;
	}
	gm_unlock(memory, state);
	if (run.refs <= named + own)
		return found;
	holder.who = NULL;
	holder.refs = run.refs - named - own;
	if (found < room)
		ret_holders[found] = holder;
	return found + 1;
}

size_t guestmem_holders(struct guestmem *memory, uint64_t first, uint64_t last,
			struct guestmem_holder *ret_holders, size_t room)
{
	size_t found = 0;

	for (; first < last && first < memory->config.pages; first++)
		found = holders_of(memory, first, ret_holders, room, found);
	return found;
}
