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

/* The end of the run in @state that begins at @pfn. @pfn: there is none. */
static cf_pfn run_end(struct balloon *balloon, enum frame_state state,
		      cf_pfn pfn)
{
	struct cf_snapshot snapshot;

	if (cf_snapshot(balloon->config.map, pfn, &snapshot) ||
	    snapshot.type != CF_TYPE_OFFLINE ||
	    snapshot.owner != balloon->owner ||
	    snapshot.payload != (uint32_t)state)
		return pfn;
	return pfn + ((cf_pfn)1 << snapshot.order);
}

/* Where the runs in @state end that lie side by side from @first on. */
static cf_pfn stretch_end(struct balloon *balloon, enum frame_state state,
			  cf_pfn first, cf_pfn last)
{
	cf_pfn end;

	while (first < last) {
		end = run_end(balloon, state, first);
		if (end == first)
			break;
		first = end;
	}
	return first > last ? last : first;
}

/* Free run by run what cannot be freed at once.  Returns how much stays. */
static uint64_t free_runs(struct balloon *balloon, enum frame_state state,
			  cf_pfn first, cf_pfn last)
{
	struct cf_map *map = balloon->config.map;
	uint64_t left = 0;
	cf_pfn end;

	for (; first < last; first = end) {
		end = run_end(balloon, state, first);
		end = end > last ? last : end;
		/* It was freed with those before it, by now another's. */
		if (end == first)
			end++;
		else if (cf_offline_free_range(map, balloon->owner, first,
					       end))
			left += end - first;
	}
	return left;
}

uint64_t balloon_free(struct balloon *balloon, enum frame_state state,
		      cf_pfn first, cf_pfn last)
{
	struct cf_map *map = balloon->config.map;
	uint64_t left = 0;
	cf_pfn end;

	for (; first < last; first = end) {
		end = stretch_end(balloon, state, first, last);
		if (end == first)
			end++;
		else if (cf_offline_free_range(map, balloon->owner, first,
					       end))
			left += free_runs(balloon, state, first, end);
	}
	return left;
}

bool balloon_find(struct balloon *balloon, enum frame_state state,
		  cf_pfn *cursor, unsigned *spans, struct cf_span *ret_span)
{
	struct cf_map *map = balloon->config.map;
	cf_pfn last = cf_map_config_of(map)->last;
	bool found = false;

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
