/* SPDX-License-Identifier: MIT */
/*
 * Images of a stage: every frame, block and counter, and whether two are the
 * same.
 */
#include <stdio.h>
#include <string.h>

#include "stage.h"

static void take_span(struct image *image, const struct cf_span *span)
{
	cf_pfn pfn;

	for (pfn = span->first; pfn < span->last; pfn++) {
		struct frame_image *frame = &image->frame[pfn];

		frame->kind = (uint8_t)span->kind;
		frame->isolated = span->isolated;
		frame->zone = (uint8_t)span->zone;
		if (span->kind != CF_SPAN_RUN)
			continue;
		frame->head = span->first;
		frame->type = (uint8_t)span->type;
		frame->order = (uint8_t)span->order;
		frame->flags = span->flags;
		frame->owner = span->owner;
		frame->refs = span->refs;
		frame->pins = span->pins;
		frame->payload = span->payload;
	}
}

void image_take(struct stage *stage, struct image *image)
{
	const struct test_meta *meta;
	struct cf_span span;
	cf_pfn cursor = 0;
	unsigned i;

	memset(image, 0, sizeof(*image));
	MUST(cf_drain(stage->map));
	cf_walk_begin(stage->map);
	while (cf_walk_next(stage->map, &cursor, STAGE_FRAMES, &span))
		take_span(image, &span);
	cf_walk_end(stage->map);
	for (cursor = 0; cursor < STAGE_FRAMES; cursor++)
		image->frame[cursor].retired =
			(uint8_t)cf_retire_state(stage->map, cursor);
	for (i = 0; i < STAGE_BLOCKS; i++)
		image->present[i] = !cf_block_info(stage->map, i * STAGE_BLOCK,
						   &image->block[i]);
	cf_stat(stage->map, &image->stat);
	MUST(cf_zone_stat(stage->map, 0, CF_ZONE_NORMAL, &image->zone[0]));
	MUST(cf_zone_stat(stage->map, 0, CF_ZONE_MOVABLE, &image->zone[1]));
	for (meta = test_port.meta; meta; meta = meta->next)
		image->meta += meta->bytes;
}

static bool frame_same(const struct frame_image *a, const struct frame_image *b)
{
	return a->kind == b->kind && a->type == b->type &&
	       a->order == b->order && a->zone == b->zone &&
	       a->isolated == b->isolated && a->retired == b->retired &&
	       a->flags == b->flags && a->owner == b->owner &&
	       a->refs == b->refs && a->pins == b->pins &&
	       a->payload == b->payload && a->head == b->head;
}

static bool say(cf_pfn pfn, const char *what)
{
	printf("# frame %#llx: %s differs\n", (unsigned long long)pfn, what);
	return false;
}

static bool frames_same(const struct image *before, const struct image *after,
			cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		const struct frame_image *a = &before->frame[pfn];
		const struct frame_image *b = &after->frame[pfn];

		if (frame_same(a, b))
			continue;
		printf("# kind %u>%u type %u>%u order %u>%u flags %#x>%#x "
		       "owner %u>%u refs %u>%u isolated %u>%u\n", a->kind,
		       b->kind, a->type, b->type, a->order, b->order, a->flags,
		       b->flags, a->owner, b->owner, a->refs, b->refs,
		       a->isolated, b->isolated);
		return say(pfn, "the frame");
	}
	return true;
}

/* A block as an operator sees it. How chunks are kept inside is no promise. */
static bool blocks_same(const struct image *before, const struct image *after,
			bool moved)
{
	unsigned i;

	for (i = 0; i < STAGE_BLOCKS; i++) {
		const struct cf_block_info *a = &before->block[i];
		const struct cf_block_info *b = &after->block[i];

		if (before->present[i] != after->present[i])
			return say(i * STAGE_BLOCK, "presence of the block");
		if (!before->present[i])
			continue;
		if (a->state != b->state || a->node != b->node ||
		    a->range_owner != b->range_owner ||
		    a->orphan != b->orphan ||
		    a->self_hosted != b->self_hosted ||
		    a->chunks_isolated != b->chunks_isolated)
			return say(i * STAGE_BLOCK, "the block");
		if (!moved && (a->free != b->free || a->offline != b->offline ||
			       a->never_onlined != b->never_onlined ||
			       a->skippable != b->skippable ||
			       a->retired != b->retired ||
			       a->chunks_free != b->chunks_free))
			return say(i * STAGE_BLOCK, "a count of the block");
	}
	return true;
}

static bool stats_same(const struct image *before, const struct image *after)
{
	if (memcmp(&before->stat, &after->stat, sizeof(before->stat)))
		return say(CF_PFN_NONE, "a counter of the map");
	if (before->meta != after->meta)
		return say(CF_PFN_NONE, "the port's metadata");
	return true;
}

/* For each frame the orphan has more now, one is less free. */
static bool orphans_same(const struct image *before, const struct image *after)
{
	uint64_t orphans = 0;
	cf_pfn pfn;

	for (pfn = 0; pfn < STAGE_FRAMES; pfn++)
		orphans += after->frame[pfn].kind == CF_SPAN_RUN &&
			   after->frame[pfn].owner == CF_OWNER_ORPHAN;
	return (after->stat.offline == before->stat.offline + orphans &&
		after->stat.free == before->stat.free - orphans &&
		after->stat.present == before->stat.present) ||
	       say(CF_PFN_NONE, "what the orphan has");
}

/* Runs may have moved: as many frames of each kind as before. */
static bool kinds_same(const struct image *before, const struct image *after)
{
	uint64_t count[CF_TYPE_COUNT][CF_MAX_ORDER + 1];
	int64_t isolated = 0;
	cf_pfn pfn;

	memset(count, 0, sizeof(count));
	for (pfn = 0; pfn < STAGE_FRAMES; pfn++) {
		const struct frame_image *a = &before->frame[pfn];
		const struct frame_image *b = &after->frame[pfn];

		count[a->type][a->order]++;
		count[b->type][b->order]--;
		isolated += b->isolated - a->isolated;
	}
	for (pfn = 0; pfn < sizeof(count) / sizeof(count[0][0]); pfn++) {
		if ((&count[0][0])[pfn])
			return say(pfn, "the number of runs of a type");
	}
	return !isolated || say(CF_PFN_NONE, "isolation");
}

/* [stage->first, some frame) is free now, the rest as it was. */
static bool prefix_same(const struct stage *stage, const struct image *before,
			const struct image *after)
{
	cf_pfn pfn = stage->first;

	while (pfn < stage->last && after->frame[pfn].kind == CF_SPAN_FREE)
		pfn++;
	for (; pfn < stage->last; pfn++) {
		const struct frame_image *a = &before->frame[pfn];
		const struct frame_image *b = &after->frame[pfn];

		/* An offline run may have been cut where the port failed. */
		if (a->kind != b->kind || a->type != b->type ||
		    a->flags != b->flags || a->owner != b->owner)
			return say(pfn, "what was not exposed");
	}
	return frames_same(before, after, 0, stage->first) &&
	       frames_same(before, after, stage->last, STAGE_FRAMES);
}

bool image_same(const struct stage *stage, const struct image *before,
		const struct image *after, enum same same)
{
	if (same == SAME_ANY)
		return true;
	if (!blocks_same(before, after, same != SAME_ALL))
		return false;
	if (same == SAME_PREFIX)
		return prefix_same(stage, before, after);
	if (same == SAME_ORPHANED)
		return orphans_same(before, after);
	if (!stats_same(before, after))
		return false;
	if (same == SAME_MOVED)
		return kinds_same(before, after);
	return frames_same(before, after, 0, STAGE_FRAMES);
}
