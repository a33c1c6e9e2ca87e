/* SPDX-License-Identifier: MIT */
/*
 * What the port is to be told of: a zone that falls low, a chunk that an
 * operation waits for and that has become empty.
 */
#include "ops.h"

/* ---- watermarks ---- */

static struct zone_id zone_number(uint32_t number)
{
	return (struct zone_id){ number / 2, (enum cf_zone_kind)(number % 2) };
}

void signal_begin(struct world *world, struct signal_watch *watch)
{
	uint32_t i;

	watch->signals = test_port.signals[CF_SIGNAL_LOW];
	watch->any = false;
	for (i = 0; i < world->setup.nodes * 2; i++) {
		struct zone_id zone = zone_number(i);

		if (!world->marks[zone.node][zone.kind].low)
			continue;
		watch->any = true;
		watch->free[i] = zone_free(world, zone, true);
	}
}

/*
 * After one allocation of @frames, with the run in the model already. What
 * caches hold blurs it: then only a signal for nothing is seen.
 */
void signal_end(struct world *world, const struct signal_watch *watch,
		cf_pfn frames)
{
	uint64_t rose = test_port.signals[CF_SIGNAL_LOW] - watch->signals;
	bool may = false, must = false;
	uint32_t i;

	for (i = 0; watch->any && i < world->setup.nodes * 2; i++) {
		struct zone_id zone = zone_number(i);
		struct cf_watermarks marks = world->marks[zone.node]
							 [zone.kind];

		if (!marks.low)
			continue;
		may |= watch->free[i] < marks.low + frames;
		must |= watch->free[i] >= marks.high &&
			zone_free(world, zone, true) < marks.low;
	}
	if (!world->setup.no_caches)
		return;
	REQUIRE(may || !rose, "signal: low, though no zone is");
	REQUIRE(!must || rose, "signal: none though a zone fell low");
}

/* ---- chunks an operation waits for ---- */

static bool chunk_is_empty(struct world *world, cf_pfn chunk)
{
	cf_pfn pfn;

	for (pfn = chunk; pfn < chunk + CF_CHUNK_FRAMES; pfn++) {
		const struct frame *frame = &world->frame[pfn];

		if (frame->head == NO_HEAD ||
		    frame->flags & CF_FLAG_SKIPPABLE)
			continue;
		if (frame->type != CF_TYPE_RETIRED &&
		    frame->type != CF_TYPE_RESERVED)
			return false;
	}
	return true;
}

/* A run at @pfn was freed: does anybody have to know? */
void require_empty_signal(struct world *world, cf_pfn pfn, cf_pfn frames,
			  uint64_t before)
{
	cf_pfn chunk = pfn & ~(CF_CHUNK_FRAMES - 1);
	bool rose = test_port.signals[CF_SIGNAL_CHUNK_EMPTY] != before;
	bool empty = false;

	for (; chunk < pfn + frames; chunk += CF_CHUNK_FRAMES)
		empty |= is_isolated(world, chunk) &&
			 chunk_is_empty(world, chunk);
	if (empty == rose || (empty && cached_now(world)))
		return;
	fail(rose ? "signal: no chunk around %#llx became empty" :
	     "signal: none though a chunk at %#llx became empty",
	     (unsigned long long)pfn);
}
