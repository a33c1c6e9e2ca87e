/* SPDX-License-Identifier: MIT */

/*
 * Frames of the balloon.  Where they are and what state they are in stands
 * in the map alone: a run that is OFFLINE, the driver's, with the state as
 * its payload.
 */

#include "virtio/balloon_internal.h"

void balloon_set_state(struct balloon *balloon, cf_pfn pfn,
		       enum frame_state state)
{
	unsigned spins = 0;

	/* Busy: an operation asks whether it may be moved. It may not. */
	while (cf_offline_set_payload(balloon->config.map, balloon->owner, pfn,
				      (uint32_t)state) == -CF_EAGAIN)
		cf_port_relax(spins++);
}

static bool is_ours(struct balloon *balloon, cf_pfn pfn,
		    struct cf_snapshot *ret_snapshot)
{
	return cf_snapshot(balloon->config.map, pfn, ret_snapshot) == 0 &&
	       ret_snapshot->type == CF_TYPE_OFFLINE &&
	       ret_snapshot->owner == balloon->owner;
}

bool balloon_free(struct balloon *balloon, cf_pfn first, cf_pfn last)
{
	struct cf_map *map = balloon->config.map;
	struct cf_snapshot snapshot;
	bool all = true;
	cf_pfn end;

	if (cf_offline_free_range(map, balloon->owner, first, last) == 0)
		return true;
	/* One run after the other: some may be free already. */
	for (; first < last; first = end) {
		end = first + 1;
		if (!is_ours(balloon, first, &snapshot))
			continue;
		end = first + ((cf_pfn)1 << snapshot.order);
		end = end > last ? last : end;
		if (cf_offline_free_range(map, balloon->owner, first, end))
			all = false;
	}
	return all;
}

bool balloon_find(struct balloon *balloon, enum frame_state state,
		  cf_pfn *cursor, unsigned *spans, struct cf_span *ret_span)
{
	struct cf_map *map = balloon->config.map;
	cf_pfn last = cf_map_config_of(map)->last;
	bool found = false;

	last = last > PFN_LAST ? PFN_LAST : last;
	cf_walk_begin(map);
	while (!found && *spans && cf_walk_next(map, cursor, last, ret_span)) {
		(*spans)--;
		found = ret_span->kind == CF_SPAN_RUN &&
			ret_span->type == CF_TYPE_OFFLINE &&
			ret_span->owner == balloon->owner &&
			ret_span->payload == (uint32_t)state &&
			!(ret_span->flags & CF_FLAG_BUSY);
	}
	cf_walk_end(map);
	return found;
}
