/* SPDX-License-Identifier: MIT */

/*
 * Verify, one block: what each frame is, and all that is counted from it.
 *
 * Words and bitmap say what a frame is: it must be exactly one of free, in
 * one run, or in one cache.  A chunk's frames are covered one by one in a
 * bitmap of the audit's: first the free ones, then those of runs, then, only
 * if some are left, those that caches hold.  What is left then was lost.
 *
 * Chunk, masks, index and block are counted again from there and compared.
 */

#include "audit.h"

/* Words. */

/* Flags that a run of a type can keep. */
static uint32_t flags_of(enum cf_type type)
{
	switch (type) {
	case CF_TYPE_OFFLINE:
		return CF_FLAG_POISON | CF_FLAG_NEVER_ONLINED |
		       CF_FLAG_SKIPPABLE | CF_FLAG_MOVABLE;
	case CF_TYPE_RESERVED:
		return CF_FLAG_POISON | CF_FLAG_SELF | CF_FLAG_CLOSED;
	case CF_TYPE_DEVICE:
		return CF_FLAG_POISON | CF_FLAG_CLOSED;
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
	       fail(audit, CF_FINDING_OWNER, pfn, 0, id);
}

/*
 * Device memory holds its owner's runs and nothing else, and is found nowhere
 * else; it is closed from end to end, or not at all.
 */
static bool device_fits(const struct cfi_block *block, uint64_t word)
{
	bool closed = cfi_block_state(block) == CF_BLOCK_DEVICE_CLOSED;
	bool self = word_has(word, CF_FLAG_SELF);

	if (!block->kind)
		return !word_is(word, CF_TYPE_DEVICE) &&
		       !word_has(word, CF_FLAG_CLOSED);
	switch (word_type(word)) {
	case CF_TYPE_DEVICE:
		return word_owner(word) != CF_OWNER_NONE &&
		       word_has(word, CF_FLAG_CLOSED) == closed;
	case CF_TYPE_RESERVED:
		return self || (closed && word_has(word, CF_FLAG_CLOSED));
	default:
		return word_is(word, CF_TYPE_RETIRED);
	}
}

static bool check_word(struct audit *audit, const struct cfi_block *block,
		       cf_pfn pfn, uint64_t word, bool large)
{
	if (!fields_fit(word) || !order_fits(audit->map, pfn, word, large) ||
	    !blocks_fit(audit->map, block, pfn, word) ||
	    !device_fits(block, word))
		return fail(audit, CF_FINDING_WORD, pfn, 0, word);
	return check_owner(audit, pfn, word_owner(word));
}

static bool is_stepped_over(uint64_t word)
{
	return word_is(word, CF_TYPE_RETIRED) ||
	       word_has(word, CF_FLAG_SKIPPABLE | CF_FLAG_SELF);
}

static void tally_run(struct audit *audit, uint64_t word)
{
	struct tally *tally = &audit->tally;
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

/* For each zone of each context, until one does not hold. */
bool cfi_audit_caches(struct audit *audit, audit_cache_fn *check)
{
	const struct cf_map *map = audit->map;
	unsigned cpu, zone;

	for (cpu = 0; cpu < map->config.cpus; cpu++)
		for (zone = 0; zone < map->zones; zone++)
			if (!check(audit, &map->cpu[cpu].cache[zone], zone))
				return false;
	return true;
}

/*
 * Cover the part of a cached run that lies in the chunk.  A frame that is
 * covered already is in two caches: it is not free or in a run, as
 * check_cached() has seen to.
 */
static bool cover_run(struct audit *audit, cf_pfn first, cf_pfn last)
{
	first = cfi_max_pfn(first, audit->chunk);
	last = cfi_min_pfn(last, audit->chunk + CF_CHUNK_FRAMES);
	for (; first < last; first++) {
		unsigned frame = (unsigned)(first - audit->chunk);

		if (!bitmap_is(&audit->covered, frame, frame + 1, false))
			return fail(audit, CF_FINDING_CACHED_TWICE, first, 1,
				    2);
		bitmap_set(&audit->covered, frame, frame + 1, true);
	}
	return true;
}

/* Cover the cached frames of the chunk. */
static bool cover_cached(struct audit *audit, const struct cfi_cache *cache,
			 unsigned zone)
{
	const struct cfi_magazine *magazine = cache->magazine;
	const struct cfi_stack *stack = cache->stack;
	unsigned i, order;
	uint64_t at;

	(void)zone;
	for (i = 0; i < 2; i++)
		for (at = 0; at < load(&magazine[i].count); at++)
			if (!cover_run(audit, magazine[i].frame[at],
				       magazine[i].frame[at] + 1))
				return false;
	for (order = 1; order <= CF_MAX_ORDER; order++)
		for (at = 0; at < load(&stack[order].count); at++)
			if (!cover_run(audit, stack[order].run[at],
				       stack[order].run[at] +
				       ((cf_pfn)1 << order)))
				return false;
	return true;
}

/* Chunks; the block's lock is held. */

/* The word of a run of whole chunks that began in a chunk before. */
static uint64_t word_from_left(struct cf_map *map, cf_pfn pfn)
{
	unsigned order;

	for (order = CF_CHUNK_ORDER + 1; order <= CF_MAX_ORDER; order++) {
		cf_pfn at = pfn & ~(((cf_pfn)1 << order) - 1);
		struct cfi_block *block = cfi_block_of(map, at);
		uint64_t word;

		if (!block || at == pfn)
			continue;
		word = load(&block->chunk[cfi_chunk_index(block, at)].word);
		if (word && pfn - at < word_frames(word))
			return word;
	}
	return 0;
}

/* Cover the runs of a split chunk. */
static bool cover_runs(struct audit *audit, const struct cfi_block *block)
{
	const cfi_u64 *words = &block->frame_word[audit->chunk - block->first];
	unsigned frame, last;

	for (frame = 0; frame < CF_CHUNK_FRAMES; frame++) {
		cf_pfn pfn = audit->chunk + frame;
		uint64_t word = load(&words[frame]);

		if (word == 0)
			continue;
		if (!check_word(audit, block, pfn, word, false))
			return false;
		last = frame + (unsigned)word_frames(word);
		if (!bitmap_is(&audit->covered, frame, last, false))
			return fail(audit, CF_FINDING_OVERLAP, pfn, 0, word);
		bitmap_set(&audit->covered, frame, last, true);
		tally_run(audit, word);
		if (is_stepped_over(word))
			audit->skip += word_frames(word);
	}
	return true;
}

static unsigned ones(const struct cfi_bitmap *bitmap)
{
	unsigned count = 0;
	unsigned i;

	for (i = 0; i < BITMAP_WORDS; i++)
		count += bits_count(bitmap->word[i]);
	return count;
}

static unsigned first_zero(const struct cfi_bitmap *bitmap)
{
	unsigned i = 0;

	while (~bitmap->word[i] == 0)
		i++;
	return i * 64 + bits_first(~bitmap->word[i]);
}

static bool check_split(struct audit *audit, const struct cfi_block *block,
			unsigned chunk)
{
	struct cfi_bitmap *covered = &audit->covered;
	unsigned free;

	*covered = block->bitmap[chunk];
	free = ones(covered);
	if (free != block->chunk[chunk].free || free == CF_CHUNK_FRAMES)
		return fail(audit, CF_FINDING_CHUNK_FREE, audit->chunk, free,
			    block->chunk[chunk].free);
	if (!cover_runs(audit, block))
		return false;
	if (ones(covered) < CF_CHUNK_FRAMES &&
	    !cfi_audit_caches(audit, cover_cached))
		return false;
	return ones(covered) == CF_CHUNK_FRAMES ||
	       fail(audit, CF_FINDING_LOST, audit->chunk + first_zero(covered),
		    CF_CHUNK_FRAMES, ones(covered));
}

/* A chunk that is not split is free or in one run, from end to end. */
static bool check_whole(struct audit *audit, const struct cfi_block *block,
			unsigned chunk, uint64_t word)
{
	unsigned free = block->chunk[chunk].free;

	if (free != 0 && free != CF_CHUNK_FRAMES)
		return fail(audit, CF_FINDING_CHUNK_FREE, audit->chunk, 0,
			    free);
	if (free && word)
		return fail(audit, CF_FINDING_OVERLAP, audit->chunk, 0, word);
	if (free || word)
		return true;
	audit->covered = (struct cfi_bitmap) { { 0 } };
	if (!cfi_audit_caches(audit, cover_cached))
		return false;
	return ones(&audit->covered) == CF_CHUNK_FRAMES ||
	       fail(audit, CF_FINDING_LOST, audit->chunk +
		    first_zero(&audit->covered), CF_CHUNK_FRAMES,
		    ones(&audit->covered));
}

static unsigned class_of(const struct cfi_block *block, unsigned chunk)
{
	unsigned free = block->chunk[chunk].free;

	if (free == 0 || cfi_isolated(block) >> chunk & 1)
		return CLASS_NONE;
	if (free == CF_CHUNK_FRAMES)
		return CLASS_WHOLE;
	return bitmap_largest(&block->bitmap[chunk]);
}

static bool check_chunk(struct audit *audit, const struct cfi_block *block,
			unsigned chunk)
{
	const struct cfi_chunk *c = &block->chunk[chunk];
	cf_pfn first = chunk_first(block, chunk);
	uint64_t left = word_from_left(audit->map, first);
	uint64_t word = load(&c->word);
	bool split = is_split(block, chunk);

	audit->chunk = first;
	audit->skip = is_stepped_over(word | left) ? CF_CHUNK_FRAMES : 0;
	if (word && !check_word(audit, block, first, word, true))
		return false;
	if ((word && left) || ((word || left) && split))
		return fail(audit, CF_FINDING_OVERLAP, first, left, word);
	if (word)
		tally_run(audit, word);
	if (split ? !check_split(audit, block, chunk) :
		    !check_whole(audit, block, chunk, word | left))
		return false;
	audit->tally.free += c->free;
	return equal(audit, CF_FINDING_CHUNK_SKIP, first, audit->skip,
		     c->skip) &&
	       equal(audit, CF_FINDING_CHUNK_CLASS, first,
		     class_of(block, chunk), c->class);
}

/* Blocks; the lock is held. */

static bool check_masks(struct audit *audit, const struct cfi_block *block)
{
	uint64_t beyond = ~bits_low(block->chunks);
	uint64_t expected[CLASS_NONE + 1] = { 0 };
	uint64_t pending = 0;
	unsigned i;

	for (i = 0; i < block->chunks; i++) {
		const struct cfi_chunk *c = &block->chunk[i];
		uint64_t bit = (uint64_t)1 << i;

		expected[c->class] |= bit;
		if (cfi_isolated(block) & bit &&
		    c->free + c->skip < CF_CHUNK_FRAMES)
			pending |= bit;
	}
	for (i = 0; i < CLASS_WHOLE; i++)
		if (!equal(audit, CF_FINDING_MASK, block->first, expected[i],
			   block->avail[i]))
			return false;
	return equal(audit, CF_FINDING_MASK, block->first,
		     expected[CLASS_WHOLE], block->whole) &&
	       equal(audit, CF_FINDING_MASK, block->first, 0,
		     load(&block->split) & ~block->ready) &&
	       equal(audit, CF_FINDING_MASK, block->first, 0,
		     (cfi_isolated(block) | block->ready) & beyond) &&
	       equal(audit, CF_FINDING_PENDING, block->first, pending,
		     block->pending);
}

/* A bit counts only with its summaries above it. */
static bool indexed(const struct cfi_zone *zone, unsigned class,
		    uint64_t number)
{
	unsigned level;

	for (level = 0; level < INDEX_LEVELS; level++) {
		const cfi_u64 *words = zone->index[class].level[level];

		if (!(load(&words[number / 64]) >> number % 64 & 1))
			return false;
		number /= 64;
	}
	return true;
}

static bool has_class(const struct cfi_block *block, unsigned class)
{
	if (class < CLASS_WHOLE)
		return block->avail[class] != 0;
	return bits_exact(block->whole, class - CLASS_WHOLE) != 0;
}

static bool check_index(struct audit *audit, const struct cfi_block *block)
{
	const struct cfi_zone *zone =
		&audit->map->zone[cfi_zone_number(block)];
	unsigned class;

	for (class = 0; class <= audit->map->block_shift; class++)
		if (has_class(block, class) &&
		    !indexed(zone, class, block->number))
			return fail(audit, CF_FINDING_INDEX, block->first,
				    1, 0);
	return true;
}

/* The block's counters against its words: the rest is managed. */
static bool check_counters(struct audit *audit, const struct cfi_block *block)
{
	const struct tally *tally = &audit->tally;
	const uint64_t pairs[][2] = {
		{ tally->offline, block->offline },
		{ tally->never_onlined, block->never_onlined },
		{ tally->skippable, block->skippable },
		{ tally->retired, block->retired },
		{ tally->reserved, block->reserved },
	};
	unsigned i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (!equal(audit, CF_FINDING_MANAGED, block->first,
			   pairs[i][0], pairs[i][1]))
			return false;
	return equal(audit, CF_FINDING_BLOCK_FREE, block->first, tally->free,
		     block->free);
}

/* A known bad frame is not free, and what holds it will not free it. */
static bool check_bad(struct audit *audit, const struct cfi_block *block,
		      cf_pfn pfn)
{
	uint64_t word = 0;
	cfi_u64 *slot;

	if (cfi_is_free(block, pfn, pfn + 1))
		return fail(audit, CF_FINDING_POISON, pfn, 0, 1);
	(void)cfi_find(audit->map, pfn, &slot, &word);
	return !type_may_cross(word) || word_has(word, CF_FLAG_POISON) ||
	       fail(audit, CF_FINDING_POISON, pfn, CF_FLAG_POISON, word);
}

static bool check_poison(struct audit *audit, const struct cfi_block *block)
{
	const struct cf_map *map = audit->map;
	cf_pfn last = cfi_block_last(block);
	uint64_t i;

	if (!equal(audit, CF_FINDING_POISON, block->first,
		   cfi_poison_count(map, block->first, last), block->poison))
		return false;
	for (i = 0; i < load(&map->poison_count) && in_use(block); i++) {
		cf_pfn pfn = load(&map->poison[i]);

		if (pfn >= block->first && pfn < last &&
		    !check_bad(audit, block, pfn))
			return false;
	}
	return true;
}

/* Nothing is left of a block that is not in use. */
static bool check_unused(struct audit *audit, const struct cfi_block *block)
{
	uint64_t left = block->whole | block->pending | cfi_isolated(block) |
			load(&block->split) | block->free | block->offline |
			block->never_onlined | block->skippable |
			block->retired | block->reserved;
	unsigned i;

	for (i = 0; i < CLASS_WHOLE; i++)
		left |= block->avail[i];
	if (left)
		return fail(audit, CF_FINDING_STATE, block->first, 0, left);
	for (i = 0; i < block->chunks; i++) {
		const struct cfi_chunk *c = &block->chunk[i];

		left = load(&c->word) | c->free | c->skip |
		       (c->class ^ CLASS_NONE);
		if (left)
			return fail(audit, CF_FINDING_STATE,
				    chunk_first(block, i), 0, left);
	}
	return true;
}

static bool check_used(struct audit *audit, const struct cfi_block *block)
{
	unsigned i;

	audit->tally = (struct tally) { 0 };
	for (i = 0; i < block->chunks; i++)
		if (!check_chunk(audit, block, i))
			return false;
	if (!block->kind)
		audit->zone_blocks[cfi_zone_number(block)]++;
	if (block->watched)
		audit->zone_free[cfi_zone_number(block)] += block->free;
	return check_masks(audit, block) && check_index(audit, block) &&
	       check_counters(audit, block);
}

/* Who is told when the block comes online. */
static bool check_range_owner(struct audit *audit,
			      const struct cfi_block *block)
{
	return equal(audit, CF_FINDING_OWNER, block->first, block->orphan,
		     block->range_owner == CF_OWNER_ORPHAN) &&
	       check_owner(audit, block->first, block->range_owner);
}

bool cfi_audit_block(struct audit *audit, struct cfi_block *block)
{
	unsigned long state = cfi_block_lock(block);
	bool holds;

	if (cfi_block_state(block) == CF_BLOCK_GOING_ONLINE)
		holds = fail(audit, CF_FINDING_STATE, block->first,
			     CF_BLOCK_ONLINE, CF_BLOCK_GOING_ONLINE);
	else if (in_use(block))
		holds = check_used(audit, block);
	else
		holds = check_unused(audit, block);
	holds = holds && check_poison(audit, block) &&
		check_range_owner(audit, block);
	cfi_block_unlock(block, state);
	return holds;
}
