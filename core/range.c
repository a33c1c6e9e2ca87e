/* SPDX-License-Identifier: MIT */

/*
 * Exactly these frames: isolate the chunks around them, move out what can be
 * moved, take what is then free.
 *
 * Either every frame of the range is the caller's afterwards, or none is and
 * the free ones are listed again; runs that moved stay where they went.
 */

#include "internal.h"

/* The explorer makes one pass: more do not differ. */
#ifndef RANGE_PASSES
#define RANGE_PASSES	5
#endif

/* Take the range's part in one block, if its chunks are not another's. */
static bool take_in_block(struct cf_map *map, struct cfi_block *block,
			  cf_pfn first, cf_pfn last,
			  const struct cfi_range *range)
{
	unsigned long state = cfi_block_lock(block);
	bool taken = cfi_block_state(block) == CF_BLOCK_ONLINE;

	if (!range->isolated &&
	    cfi_isolated(block) & cfi_chunks_in(block, range->first,
						range->last))
		taken = false;
	taken = taken && cfi_take_exact(map, block, first, last);
	cfi_block_unlock(block, state);
	return taken;
}

/*
 * Take the range's part in every block, or nothing.  What is taken and given
 * back was free all the time to everybody else.
 */
static bool take_all(struct cf_map *map, cf_pfn first, cf_pfn last,
		     const struct cfi_range *range)
{
	cf_pfn at = first;
	bool taken = true;

	cfi_moves_begin(&map->moves);
	while (taken && at < last) {
		struct cfi_block *block = cfi_block_of(map, at);
		cf_pfn end = block ? cfi_min_pfn(last, cfi_block_last(block)) :
			     last;

		taken = block && take_in_block(map, block, at, end, range);
		if (taken)
			at = end;
	}
	if (!taken)
		cfi_give_range(map, first, at);
	cfi_moves_end(&map->moves);
	return taken;
}

/* One pass: 0, -CF_EBUSY: something cannot go, -CF_EAGAIN: in motion. */
static int take_pass(struct cf_map *map, cf_pfn first, cf_pfn last,
		     struct cfi_range *range, struct cf_report *report)
{
	struct cfi_evacuation evacuation = {
		.take_all = true,
		.report = report,
	};

	if (range->undrained)
		range->undrained = cfi_divert_drain(map) != 0;
	cfi_report_clear(report);
	cfi_evacuate(map, first, last, &evacuation);
	if (evacuation.stuck)
		return -CF_EBUSY;
	if (take_all(map, first, last, range))
		return 0;
	if (range->undrained)
		cfi_report_add(map, report, CF_REASON_CACHE, first, 0, 1);
	return -CF_EAGAIN;
}

/**
 * cfi_take_range() - take exactly [first, last) out of the bitmaps.
 * @range: filled in; the chunks around may stay isolated on success
 *
 * What is free and nobody's is taken at once: unplugging free memory costs
 * neither isolation nor a barrier.
 *
 * Caller holds map->hotplug and calls cfi_unisolate() when it has given the
 * frames their words.
 * Return:  0, or as cf_alloc_range() with nothing isolated
 */
int cfi_take_range(struct cf_map *map, cf_pfn first, cf_pfn last,
		   struct cfi_range *range, struct cf_report *report)
{
	unsigned pass;
	int err;

	cfi_report_clear(report);
	range->first = first & ~(CF_CHUNK_FRAMES - 1);
	range->last = (last + CF_CHUNK_FRAMES - 1) & ~(CF_CHUNK_FRAMES - 1);
	range->isolated = false;
	if (take_all(map, first, last, range))
		return 0;
	err = cfi_isolate(map, range, report);
	if (err)
		return err;
	err = -CF_EBUSY;
	for (pass = 0; pass < RANGE_PASSES && err; pass++) {
		if (pass)
			cf_port_relax(pass);
		err = take_pass(map, first, last, range, report);
	}
	if (err)
		cfi_unisolate(map, range);
	return err;
}

/* May runs of this request stand in every zone of the range? */
static bool zones_fit(struct cf_map *map, cf_pfn first, cf_pfn last,
		      struct cf_request request)
{
	struct cfi_block *block;

	if (request.type == CF_TYPE_FOLIO && request.owner != CF_OWNER_NONE)
		return true;
	for (; first < last; first = cfi_block_last(block)) {
		block = cfi_block_of(map, first);
		if (!block || cfi_block_state(block) == CF_BLOCK_OFFLINE)
			return true;
		if (map->zone[cfi_zone_number(block)].kind != CF_ZONE_NORMAL)
			return false;
	}
	return true;
}

/* Do all blocks of a run that spans some lie in one zone? */
static bool same_zone(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	uint32_t zone = cfi_zone_number(cfi_block_of(map, first));

	for (; first < last; first += (cf_pfn)1 << map->block_shift)
		if (cfi_zone_number(cfi_block_of(map, first)) != zone)
			return false;
	return true;
}

static unsigned run_order(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	unsigned order = 0;
	cf_pfn next;

	while (order < CF_MAX_ORDER) {
		next = (cf_pfn)2 << order;
		if (first & (next - 1) || first + next > last)
			break;
		if (order >= map->block_shift &&
		    !same_zone(map, first, first + next))
			break;
		order++;
	}
	return order;
}

static int zero_range(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	void *contents = cf_port_frame_address(map->config.machine, first,
					       last - first);

	if (!contents)
		return -CF_EPORT;
	__builtin_memset(contents, 0, (size_t)(last - first) << CF_FRAME_SHIFT);
	return 0;
}

/* Give the taken frames their words. */
static void mark_range(struct cf_map *map, cf_pfn first, cf_pfn last,
		       struct cf_request request)
{
	int64_t frames = (int64_t)(last - first);

	cfi_count_type(map, (enum cf_type)request.type, frames);
	cfi_owner_count(map, request.owner, frames);
	while (first < last) {
		request.order = (uint8_t)run_order(map, first, last);
		cfi_mark_run(map, first, cfi_request_word(request));
		first += (cf_pfn)1 << request.order;
	}
}

/* Caller holds map->hotplug. */
static int alloc_range(struct cf_map *map, cf_pfn first, cf_pfn last,
		       struct cf_request request, struct cf_report *report)
{
	struct cfi_range range;
	int err;

	if (request.owner && !cfi_owner_open(map, request.owner))
		return -CF_EGONE;
	if (!zones_fit(map, first, last, request))
		return -CF_EINVAL;
	err = cfi_take_range(map, first, last, &range, report);
	if (err)
		return err;
	if (map->config.debug_pagealloc)
		cf_port_protect(map->config.machine, first, last, true);
	if (request.flags & CF_ALLOC_ZERO)
		err = zero_range(map, first, last);
	if (err) {
		cfi_report_add(map, report, CF_REASON_PORT, first, 0, 1);
		if (map->config.debug_pagealloc)
			cf_port_protect(map->config.machine, first, last,
					false);
		cfi_give_range(map, first, last);
	} else {
		mark_range(map, first, last, request);
	}
	cfi_unisolate(map, &range);
	return err;
}

int cf_alloc_range(struct cf_map *map, cf_pfn first, cf_pfn last,
		   struct cf_request request, struct cf_report *report)
{
	unsigned long state;
	int err;

	cfi_report_clear(report);
	request.order = 0;
	if (first >= last || last > map->config.last ||
	    !cfi_request_fits(map, request))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = alloc_range(map, first, last, request, report);
	cf_unlock(&map->hotplug, state);
	return err;
}

void cf_free_range(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	while (first < last) {
		struct cf_snapshot run;
		int err = cf_snapshot(map, first, &run);

		CF_CHECK2(err == 0, first, last);
		CF_CHECK2((cf_pfn)1 << run.order <= last - first, first, last);
		if (run.refs)
			cf_put(map, first);
		else
			cf_free_frozen(map, first, run.order);
		first += (cf_pfn)1 << run.order;
	}
}
