/* SPDX-License-Identifier: MIT */

/*
 * Verify: every equation of the map, checked from what is farthest down.
 *
 * Words and bitmaps say what each frame is: it must be exactly one of free,
 * in one run, or in one cache.  Everything above is counted again from them
 * and compared: chunks, masks, index, blocks, zones, types, owners.  The first
 * equation that does not hold is the finding.
 *
 * Nothing is allocated.  What a chunk's frames are is marked in a bitmap on
 * the stack, owners are counted a window of ids at a time, and a cached frame
 * is looked for only where words and bits leave one uncovered.
 *
 * Exact only when nothing else runs: then no word is BUSY or ISOLATED, no
 * block is going online, and a frame that is nothing was lost.
 */

#include "internal.h"

#define OWNER_WINDOW	64
_Static_assert(CF_OWNERS_MAX % OWNER_WINDOW == 0, "windows of owners");

struct audit {
	struct cf_map *map;
	struct cf_finding finding;
	uint64_t types[CF_TYPE_COUNT];	/* frames in runs of a type */
	uint64_t zone_blocks[CF_NODES_MAX * 2];
	uint64_t zone_free[CF_NODES_MAX * 2]; /* of watched blocks */
};

/* What the words of one block add up to. */
struct tally {
	uint64_t free, offline, never_onlined, skippable, retired, reserved;
};

static bool fail(struct audit *audit, enum cf_finding_kind kind, cf_pfn pfn,
		 uint64_t expected, uint64_t found)
{
	audit->finding = (struct cf_finding) {
		.kind = kind,
		.pfn = pfn,
		.expected = expected,
		.found = found,
	};
	return false;
}

static bool equal(struct audit *audit, enum cf_finding_kind kind, cf_pfn pfn,
		  uint64_t expected, uint64_t found)
{
	return expected == found || fail(audit, kind, pfn, expected, found);
}

static uint64_t load(const cfi_u64 *word)
{
	/* Relaxed: nothing else runs, or the answer is not exact anyway. */
	return cfi_load_relaxed(word);
}

static bool is_split(const struct cfi_block *block, unsigned chunk)
{
	return load(&block->split) >> chunk & 1;
}

static bool in_use(const struct cfi_block *block)
{
	return cfi_block_state(block) != CF_BLOCK_OFFLINE;
}

static cf_pfn chunk_first(const struct cfi_block *block, unsigned chunk)
{
	return block->first + ((cf_pfn)chunk << CF_CHUNK_ORDER);
}

/* Words. */

/* Flags that a run of a type can keep. */
static uint32_t flags_of(enum cf_type type)
{
	switch (type) {
	case CF_TYPE_OFFLINE:
		return CF_FLAG_POISON | CF_FLAG_NEVER_ONLINED |
		       CF_FLAG_SKIPPABLE | CF_FLAG_MOVABLE;
	case CF_TYPE_RESERVED:
		return CF_FLAG_POISON | CF_FLAG_SELF;
	case CF_TYPE_RETIRED:
		return 0;
	default:
		return CF_FLAG_POISON;
	}
}

static bool type_may_cross(uint64_t word)
{
	unsigned types = WORD_COUNTED_TYPES | WORD_FROZEN_TYPES;

	return types >> word_type(word) & 1;
}

/* The fields that depend on nothing but each other. */
static bool fields_fit(uint64_t word)
{
	enum cf_type type = word_type(word);
	bool orphan = word_owner(word) == CF_OWNER_ORPHAN;

	if (type == CF_TYPE_NONE || type >= CF_TYPE_COUNT ||
	    word & WORD_SPARE_MASK || word_flags(word) & ~flags_of(type))
		return false;
	if (word_is_counted(word))
		return word_pins(word) <= word_refs(word);
	if (type != CF_TYPE_OFFLINE)
		return word_payload(word) == 0;
	return !(orphan && word_has(word, CF_FLAG_MOVABLE | CF_FLAG_SKIPPABLE));
}

/* Is the order one of where the word stands, and the head aligned to it? */
static bool order_fits(const struct cf_map *map, cf_pfn pfn, uint64_t word,
		       bool large)
{
	unsigned order = word_order(word);
	unsigned most = type_may_cross(word) ? CF_MAX_ORDER : map->block_shift;

	return (order >= CF_CHUNK_ORDER) == large && order <= most &&
	       pfn % word_frames(word) == 0;
}

/* Do all blocks the run lies in belong together? */
static bool blocks_fit(struct cf_map *map, const struct cfi_block *block,
		       cf_pfn pfn, uint64_t word)
{
	cf_pfn last = pfn + word_frames(word);
	cf_pfn at;

	for (at = cfi_block_last(block); at < last;
	     at += cfi_block_frames(block)) {
		const struct cfi_block *next = cfi_block_of(map, at);

		if (!next || !in_use(next) ||
		    cfi_zone_number(next) != cfi_zone_number(block))
			return false;
	}
	return true;
}

static bool check_owner(struct audit *audit, cf_pfn pfn, uint32_t id)
{
	return id <= CF_OWNER_ORPHAN || cfi_owner_open(audit->map, id) ||
	       fail(audit, CF_FINDING_OWNER, pfn, OWNER_OPEN, id);
}

static bool check_word(struct audit *audit, const struct cfi_block *block,
		       cf_pfn pfn, uint64_t word, bool large)
{
	if (!fields_fit(word) || !order_fits(audit->map, pfn, word, large) ||
	    !blocks_fit(audit->map, block, pfn, word))
		return fail(audit, CF_FINDING_WORD, pfn, 0, word);
	return check_owner(audit, pfn, word_owner(word));
}

/* Frames of a run that offlining steps over, in a chunk with @frames of it. */
static unsigned skipped(uint64_t word, cf_pfn frames)
{
	bool skip = word_is(word, CF_TYPE_RETIRED) ||
		    word_has(word, CF_FLAG_SKIPPABLE | CF_FLAG_SELF);

	return skip ? (unsigned)frames : 0;
}

static void tally_run(struct audit *audit, struct tally *tally, uint64_t word)
{
	uint64_t frames = word_frames(word);

	audit->types[word_type(word)] += frames;
	if (word_is(word, CF_TYPE_OFFLINE))
		tally->offline += frames;
	if (word_is(word, CF_TYPE_RETIRED))
		tally->retired += frames;
	if (word_is(word, CF_TYPE_RESERVED))
		tally->reserved += frames;
	if (word_has(word, CF_FLAG_NEVER_ONLINED))
		tally->never_onlined += frames;
	if (word_has(word, CF_FLAG_SKIPPABLE))
		tally->skippable += frames;
}

/* Caches. */

static const struct cfi_magazine *magazine_at(const struct cf_map *map,
					      unsigned cpu, unsigned index)
{
	return &map->cpu[cpu].cache[index / 2].magazine[index % 2];
}

/*
 * Mark the cached frames of the chunk at @first; a frame that is marked
 * already is in two caches, because no cached frame is free or in a run.
 */
static bool mark_cached(struct audit *audit, cf_pfn first,
			struct cfi_bitmap *covered)
{
	const struct cf_map *map = audit->map;
	unsigned cpu, index, i;

	for (cpu = 0; cpu < map->config.cpus; cpu++) {
		if (!map->cpu[cpu].listed)
			continue;
		for (index = 0; index < map->zones * 2; index++) {
			const struct cfi_magazine *magazine =
				magazine_at(map, cpu, index);

			for (i = 0; i < load(&magazine->count); i++) {
				cf_pfn at = magazine->frame[i] - first;

				if (at >= CF_CHUNK_FRAMES)
					continue;
				if (!bitmap_is(covered, (unsigned)at,
					       (unsigned)at + 1, false))
					return fail(audit,
						    CF_FINDING_CACHED_TWICE,
						    first + at, 1, 2);
				bitmap_set(covered, (unsigned)at,
					   (unsigned)at + 1, true);
			}
		}
	}
	return true;
}
