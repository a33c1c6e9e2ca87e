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

/* What the words of one block add up to. */
struct tally {
	uint64_t free, offline, never_onlined, skippable, retired, reserved;
};

struct audit {
	struct cf_map *map;
	struct cf_finding finding;
	cf_pfn chunk;			/* being looked at: its first frame */
	uint64_t skip;			/* its frames that are stepped over */
	struct cfi_bitmap covered;	/* and those known to be something */
	struct tally tally;		/* of the block being looked at */
	uint64_t types[CF_TYPE_COUNT];	/* frames in runs of a type */
	uint64_t zone_blocks[CF_NODES_MAX * 2];
	uint64_t zone_free[CF_NODES_MAX * 2]; /* of watched blocks */
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
	       fail(audit, CF_FINDING_OWNER, pfn, 0, id);
}

static bool check_word(struct audit *audit, const struct cfi_block *block,
		       cf_pfn pfn, uint64_t word, bool large)
{
	if (!fields_fit(word) || !order_fits(audit->map, pfn, word, large) ||
	    !blocks_fit(audit->map, block, pfn, word))
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

/* For each magazine of each context, until one does not hold. */
static bool for_magazines(struct audit *audit,
			  bool (*check)(struct audit *audit,
					const struct cfi_magazine *magazine,
					unsigned zone))
{
	const struct cf_map *map = audit->map;
	unsigned cpu, zone;

	for (cpu = 0; cpu < map->config.cpus; cpu++)
		for (zone = 0; zone < map->zones; zone++) {
			const struct cfi_cache *cache =
				&map->cpu[cpu].cache[zone];

			if (!check(audit, &cache->magazine[0], zone) ||
			    !check(audit, &cache->magazine[1], zone))
				return false;
		}
	return true;
}

/*
 * Cover the cached frames of the chunk.  One that is covered already is in
 * two caches: it is not free or in a run, as check_cached() has seen to.
 */
static bool cover_cached(struct audit *audit,
			 const struct cfi_magazine *magazine, unsigned zone)
{
	uint64_t i;

	(void)zone;
	for (i = 0; i < load(&magazine->count); i++) {
		unsigned frame = (unsigned)(magazine->frame[i] - audit->chunk);

		if (magazine->frame[i] - audit->chunk >= CF_CHUNK_FRAMES)
			continue;
		if (!bitmap_is(&audit->covered, frame, frame + 1, false))
			return fail(audit, CF_FINDING_CACHED_TWICE,
				    magazine->frame[i], 1, 2);
		bitmap_set(&audit->covered, frame, frame + 1, true);
	}
	return true;
}

static bool is_free(struct cfi_block *block, cf_pfn pfn)
{
	unsigned long state = cfi_block_lock(block);
	bool free = cfi_is_free(block, pfn, pfn + 1);

	cfi_block_unlock(block, state);
	return free;
}

/* A frame in a cache of @zone is nothing else. */
static bool check_cached(struct audit *audit, cf_pfn pfn, unsigned zone)
{
	struct cfi_block *block = cfi_block_of(audit->map, pfn);
	uint64_t word = 0;
	cfi_u64 *slot;

	if (!block || !in_use(block) || cfi_zone_number(block) != zone)
		return fail(audit, CF_FINDING_STATE, pfn, zone,
			    block ? cfi_zone_number(block) : CF_PFN_NONE);
	if (is_free(block, pfn))
		return fail(audit, CF_FINDING_CACHED_TWICE, pfn, 0, 1);
	if (cfi_find(audit->map, pfn, &slot, &word) != CF_PFN_NONE)
		return fail(audit, CF_FINDING_OVERLAP, pfn, 0, word);
	return !cfi_is_poison(audit->map, pfn) ||
	       fail(audit, CF_FINDING_POISON, pfn, 0, 1);
}

static bool check_magazine(struct audit *audit,
			   const struct cfi_magazine *magazine, unsigned zone)
{
	uint64_t count = load(&magazine->count);
	uint64_t i;

	if (count > MAGAZINE_FRAMES)
		return fail(audit, CF_FINDING_CACHED_TWICE, CF_PFN_NONE,
			    MAGAZINE_FRAMES, count);
	for (i = 0; i < count; i++)
		if (!check_cached(audit, magazine->frame[i], zone))
			return false;
	return true;
}

static uint64_t stock_of(const struct cf_map *map, const struct cfi_cpu *cpu)
{
	uint64_t count = 0;
	unsigned zone;

	for (zone = 0; zone < map->zones; zone++)
		count += load(&cpu->cache[zone].magazine[0].count) +
			 load(&cpu->cache[zone].magazine[1].count);
	return count;
}

/* What a context has in stock is known to those who fail to allocate. */
static bool check_stocked(struct audit *audit)
{
	const struct cf_map *map = audit->map;
	unsigned i;

	for (i = 0; i < map->config.cpus; i++) {
		uint64_t listed = load(&map->stocked[i / 64]) >> i % 64 & 1;

		if (listed != map->cpu[i].listed ||
		    (!listed && stock_of(map, &map->cpu[i])))
			return fail(audit, CF_FINDING_INDEX, CF_PFN_NONE,
				    stock_of(map, &map->cpu[i]), listed);
	}
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
	    !for_magazines(audit, cover_cached))
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
	return free || word || fail(audit, CF_FINDING_LOST, audit->chunk,
				    CF_CHUNK_FRAMES, 0);
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
				    class, 0);
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
	uint64_t counts = (uint64_t)block->free + block->offline +
			  block->never_onlined + block->skippable +
			  block->retired + block->reserved;
	uint64_t masks = block->whole | block->pending | cfi_isolated(block) |
			 load(&block->split);
	unsigned i;

	for (i = 0; i < CLASS_WHOLE; i++)
		masks |= block->avail[i];
	if (counts || masks)
		return fail(audit, CF_FINDING_STATE, block->first, 0,
			    counts ? counts : masks);
	for (i = 0; i < block->chunks; i++) {
		const struct cfi_chunk *c = &block->chunk[i];

		if (load(&c->word) || c->free || c->skip ||
		    c->class != CLASS_NONE)
			return fail(audit, CF_FINDING_STATE,
				    chunk_first(block, i), 0, load(&c->word));
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

static bool check_block(struct audit *audit, struct cfi_block *block)
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

/* The map. */

/* For each block there is, until one does not hold. */
static bool for_blocks(struct audit *audit,
		       bool (*check)(struct audit *audit,
				     struct cfi_block *block))
{
	uint64_t number;

	for (number = 0; number < cfi_blocks_end(audit->map); number++) {
		struct cfi_block *block = cfi_block_at(audit->map, number);

		if (block && !check(audit, block))
			return false;
	}
	return true;
}

/* First of all: finding a head waits for the sequence to be even. */
static bool check_sequence(struct audit *audit, struct cfi_block *block)
{
	uint64_t sequence = load(&block->sequence);

	return !(sequence & 1) || fail(audit, CF_FINDING_SEQUENCE,
				       block->first, sequence + 1, sequence);
}

/* A chunk is isolated for one operation that knows of it, or not at all. */
static bool check_isolated(struct audit *audit, struct cfi_block *block)
{
	bool going = cfi_block_state(block) == CF_BLOCK_GOING_OFFLINE;
	unsigned i;

	for (i = 0; i < block->chunks && in_use(block); i++) {
		cf_pfn first = chunk_first(block, i);
		bool isolated = cfi_isolated(block) >> i & 1;
		uint32_t id = cfi_range_find(audit->map, first,
					     first + CF_CHUNK_FRAMES);

		if (isolated != (id != 0) || (going && !isolated))
			return fail(audit, CF_FINDING_RANGE, first, id,
				    isolated);
	}
	return true;
}

/* An index names only blocks that are there: nobody could clear the bit. */
static bool check_listed(struct audit *audit, const struct cfi_zone *zone,
			 unsigned class)
{
	const struct cf_map *map = audit->map;
	uint64_t number = cfi_index_find(map, zone, class, 0);
	uint64_t from = 0;

	while (number != INDEX_NONE && number >= from) {
		if (!cfi_block_at(map, number))
			return fail(audit, CF_FINDING_INDEX,
				    number << map->block_shift, 0, class);
		from = number + 1;
		number = cfi_index_find(map, zone, class, from);
	}
	return true;
}

static bool check_zone(struct audit *audit, const struct cfi_zone *zone)
{
	unsigned class;

	for (class = 0; class <= audit->map->block_shift; class++)
		if (!check_listed(audit, zone, class))
			return false;
	return equal(audit, CF_FINDING_PRESENT, CF_PFN_NONE,
		     audit->zone_blocks[zone->number], load(&zone->blocks)) &&
	       equal(audit, CF_FINDING_BLOCK_FREE, CF_PFN_NONE,
		     audit->zone_free[zone->number], load(&zone->free));
}

static bool check_zones(struct audit *audit)
{
	unsigned i;

	for (i = 0; i < audit->map->zones; i++)
		if (!check_zone(audit, &audit->map->zone[i]))
			return false;
	return true;
}

static bool check_types(struct audit *audit)
{
	const struct cf_map *map = audit->map;
	unsigned type, cpu;
	uint64_t frames;

	for (type = CF_TYPE_KERNEL; type <= CF_TYPE_SLAB; type++) {
		/* Parts may be negative; the sum wraps to what it should be. */
		frames = load(&map->type_frames[type]);
		for (cpu = 0; cpu < map->config.cpus; cpu++)
			frames += load(&map->cpu[cpu].type_frames[type]);
		if (!equal(audit, CF_FINDING_TYPE_COUNT, CF_PFN_NONE,
			   audit->types[type], frames))
			return false;
	}
	return true;
}

/* Owners. */

struct window {
	uint32_t first;		/* owner id */
	uint64_t frames[OWNER_WINDOW];
};

static void count_word(struct window *window, uint64_t word)
{
	uint32_t index = word_owner(word) - window->first;

	if (word && index < OWNER_WINDOW)
		window->frames[index] += word_frames(word);
}

static void count_block(struct window *window, struct cfi_block *block)
{
	unsigned long state = cfi_block_lock(block);
	const cfi_u64 *words = block->frame_word;
	unsigned chunk, i;

	for (chunk = 0; chunk < block->chunks; chunk++) {
		count_word(window, load(&block->chunk[chunk].word));
		for (i = 0; i < CF_CHUNK_FRAMES && is_split(block, chunk); i++)
			count_word(window, load(&words[i]));
		words += CF_CHUNK_FRAMES;
	}
	cfi_block_unlock(block, state);
}

/* Has any owner of the window frames, or may it have? */
static bool is_window_used(const struct cf_map *map, uint32_t first)
{
	uint32_t id;

	for (id = first; id < first + OWNER_WINDOW; id++)
		if (load(&map->owner[id].frames) ||
		    load(&map->owner[id].state) != OWNER_FREE)
			return true;
	return false;
}

static bool check_window(struct audit *audit, uint32_t first)
{
	const struct cf_map *map = audit->map;
	struct window window = { .first = first };
	uint64_t number;
	uint32_t i;

	for (number = 0; number < cfi_blocks_end(map); number++)
		if (cfi_block_at(map, number))
			count_block(&window, cfi_block_at(map, number));
	/* The allocator itself is not counted. */
	for (i = first == CF_OWNER_NONE; i < OWNER_WINDOW; i++) {
		uint64_t frames = load(&map->owner[first + i].frames);

		if (!equal(audit, CF_FINDING_OWNER_COUNT, CF_PFN_NONE,
			   window.frames[i], frames))
			return false;
	}
	return true;
}

/* Words of owners that are not there were found with the words. */
static bool check_owners(struct audit *audit)
{
	uint32_t first;

	for (first = 0; first < CF_OWNERS_MAX; first += OWNER_WINDOW)
		if (is_window_used(audit->map, first) &&
		    !check_window(audit, first))
			return false;
	return true;
}

bool cf_verify(struct cf_map *map, struct cf_finding *ret_finding)
{
	struct audit audit = { .map = map };
	unsigned long state = cf_lock(&map->hotplug);
	bool holds;

	holds = for_blocks(&audit, check_sequence) &&
		check_stocked(&audit) &&
		for_magazines(&audit, check_magazine) &&
		for_blocks(&audit, check_block) &&
		for_blocks(&audit, check_isolated) &&
		check_zones(&audit) &&
		check_types(&audit) &&
		check_owners(&audit);
	cf_unlock(&map->hotplug, state);
	if (!holds)
		*ret_finding = audit.finding;
	return holds;
}
