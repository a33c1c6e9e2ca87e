/* SPDX-License-Identifier: MIT */
/*
 * The verifier. Each equation is broken once and the right finding asked for;
 * then it is mended and all must hold. At the end every kind was seen.
 */
#include "ground.h"

#define PFN	NORMAL_FIRST	/* where most things are broken */
#define SKIP	(NORMAL_FIRST + BLOCK)
#define ONE	(NORMAL_FIRST + 2 * BLOCK)

static bool seen[CF_FINDING_COUNT];

static struct cfi_block *block_of(cf_pfn pfn)
{
	return cfi_block_of(map, pfn);
}

static struct cfi_chunk *chunk_of(cf_pfn pfn)
{
	return &block_of(pfn)->chunk[cfi_chunk_index(block_of(pfn), pfn)];
}

static uint64_t chunk_bit(cf_pfn pfn)
{
	return (uint64_t)1 << cfi_chunk_index(block_of(pfn), pfn);
}

static struct cfi_bitmap *bitmap_of(cf_pfn pfn)
{
	return &block_of(pfn)->bitmap[cfi_chunk_index(block_of(pfn), pfn)];
}

static struct cfi_zone *zone_of(cf_pfn pfn)
{
	return &map->zone[cfi_zone_number(block_of(pfn))];
}

/* The verifier must say exactly this. */
static void finds(enum cf_finding_kind kind, cf_pfn pfn)
{
	struct cf_finding finding = { .kind = CF_FINDING_NONE };

	CHECK(!cf_verify(map, &finding));
	tap_check(finding.kind == kind, cf_finding_name(finding.kind),
		  "found instead of", (int)kind);
	CHECK_EQ(finding.pfn, pfn);
	CHECK(finding.expected != finding.found);
	CHECK_EQ(test_port.held_ranks, 0);
	seen[kind] = true;
}

/* Break a plain field by adding to it, ask, mend. */
#define BREAK_FIELD(field, change, kind, pfn)				\
	do {								\
		(field) += (change);					\
		finds(kind, pfn);					\
		(field) -= (change);					\
		CHECK(ground_holds());					\
	} while (0)

/* The same for a mask. */
#define BREAK_MASK(field, bits, kind, pfn)				\
	do {								\
		(field) ^= (bits);					\
		finds(kind, pfn);					\
		(field) ^= (bits);					\
		CHECK(ground_holds());					\
	} while (0)

static void break_atomic(cfi_u64 *field, uint64_t value,
			 enum cf_finding_kind kind, cf_pfn pfn)
{
	uint64_t was = cfi_load_relaxed(field);

	cfi_store_relaxed(field, value);
	finds(kind, pfn);
	cfi_store_relaxed(field, was);
	CHECK(ground_holds());
}

static cfi_u64 *word_of(cf_pfn pfn)
{
	return cfi_word_at(block_of(pfn), pfn);
}

static uint64_t value_of(cf_pfn pfn)
{
	return cfi_load_relaxed(word_of(pfn));
}

/* A word that breaks one rule at @pfn. */
static void break_word(cf_pfn pfn, uint64_t value)
{
	break_atomic(word_of(pfn), value, CF_FINDING_WORD, pfn);
}

/*
 * On PFN: slab of order 3, folio of order 0 beside it, offline from 256 on,
 * a free chunk, a run of two chunks. On SKIP one skippable run. On ONE all
 * but the first frame of a chunk taken.
 */
static void furnish(void)
{
	ground_make();
	take_at(CF_TYPE_SLAB, PFN, PFN + 8, 0);
	take_at(CF_TYPE_FOLIO, PFN + 8, PFN + 9, owner);
	take_offline(PFN + 256, PFN + 512, CF_FLAG_MOVABLE);
	take_at(CF_TYPE_KERNEL, PFN + 1024, PFN + 2048, 0);
	CHECK(cf_block_adopt(map, SKIP, SKIP + BLOCK, owner) == 0);
	take_offline(SKIP, SKIP + BLOCK, CF_FLAG_SKIPPABLE);
	take_at(CF_TYPE_PGTABLE, ONE + 1, ONE + 512, 0);
	CHECK(ground_holds());
}

static void untouched(void)
{
	struct cf_finding finding = { .kind = CF_FINDING_COUNT, .pfn = 9 };

	furnish();
	CHECK(cf_verify(map, &finding));
	CHECK(finding.kind == CF_FINDING_COUNT && finding.pfn == 9);
	churn(500);
	CHECK(ground_holds());
	churn_end();
	CHECK(ground_holds());
	ground_drop();
}

static void words(void)
{
	uint64_t slab, folio, offline, kernel;

	furnish();
	slab = value_of(PFN);
	folio = value_of(PFN + 8);
	offline = value_of(PFN + 256);
	kernel = value_of(PFN + 1024);
	break_word(PFN, (slab & ~(uint64_t)15) | CF_TYPE_COUNT);
	break_word(PFN, slab & ~(uint64_t)15);
	break_word(PFN, slab | (uint64_t)1 << WORD_SPARE_SHIFT);
	break_word(PFN, word_with(slab, CF_FLAG_BUSY));
	break_word(PFN, word_with(slab, CF_FLAG_SKIPPABLE));
	break_word(PFN, word_with_payload(slab, 1));
	break_word(PFN, word_with_order(slab, CF_CHUNK_ORDER));
	break_word(PFN + 8, word_with(folio, CF_FLAG_ISOLATED));
	break_word(PFN + 8, word_with_order(folio, 4));
	break_word(PFN + 8, folio + WORD_ONE_PIN + WORD_ONE_PIN);
	cfi_store_relaxed(word_of(PFN + 8), folio + WORD_ONE_PIN);
	CHECK(ground_holds());
	cfi_store_relaxed(word_of(PFN + 8), folio);
	break_word(PFN + 256, word_with(offline, CF_FLAG_SELF));
	break_word(PFN + 256, word_with_owner(offline, CF_OWNER_ORPHAN));
	break_word(PFN + 1024, word_with_order(kernel, 8));
	break_word(PFN + 1024, word_with_order(kernel, 12));
	ground_drop();
}

/* A run whose blocks do not belong together. */
static void crossing(void)
{
	uint64_t word = word_make(CF_TYPE_SLAB, BLOCK_ORDER + 1, 0, 0);

	ground_make();
	take_at(CF_TYPE_SLAB, SELF_LAST - 512, SELF_LAST, 0);
	take_at(CF_TYPE_SLAB, MOVABLE_FIRST - 2 * BLOCK, MOVABLE_FIRST, 0);
	take_at(CF_TYPE_FOLIO, MOVABLE_FIRST, MOVABLE_LAST, owner);
	CHECK(ground_holds());
	break_word(MOVABLE_FIRST - 2 * BLOCK, word_with_order(word, 13));
	ground_drop();
	/* Into a block that is offline, and into another zone. */
	ground_make();
	CHECK(cf_block_offline(map, NORMAL_FIRST + BLOCK,
			       NORMAL_FIRST + 2 * BLOCK, 2, NULL) == 0);
	take_at(CF_TYPE_SLAB, NORMAL_FIRST, NORMAL_FIRST + BLOCK, 0);
	break_word(NORMAL_FIRST, word);
	ground_online(NORMAL_FIRST + BLOCK, NORMAL_FIRST + 2 * BLOCK,
		      CF_ZONE_MOVABLE);
	break_word(NORMAL_FIRST, word);
	ground_drop();
	/* Of a type that stays in its block. */
	ground_make();
	take_offline(NORMAL_FIRST, NORMAL_FIRST + 2 * BLOCK, 0);
	word = word_make(CF_TYPE_OFFLINE, BLOCK_ORDER, 0, owner);
	break_word(NORMAL_FIRST, word_with_order(word, BLOCK_ORDER + 1));
	ground_drop();
}

static void overlaps(void)
{
	uint64_t word = word_make(CF_TYPE_SLAB, 0, 0, 0);

	furnish();
	break_atomic(word_of(PFN + 5), word, CF_FINDING_OVERLAP, PFN + 5);
	break_atomic(word_of(PFN + 20), word, CF_FINDING_OVERLAP, PFN + 20);
	word = word_with_order(word, CF_CHUNK_ORDER);
	/* A run of a chunk that is split, free, or in a larger run. */
	break_atomic(&chunk_of(PFN)->word, word, CF_FINDING_OVERLAP, PFN);
	break_atomic(&chunk_of(PFN + 512)->word, word, CF_FINDING_OVERLAP,
		     PFN + 512);
	break_atomic(&chunk_of(PFN + 1536)->word, word, CF_FINDING_OVERLAP,
		     PFN + 1536);
	ground_drop();
}

static void lost(void)
{
	struct cfi_block *block;

	furnish();
	block = block_of(PFN);
	break_atomic(word_of(PFN), 0, CF_FINDING_LOST, PFN);
	break_atomic(word_of(PFN + 8), 0, CF_FINDING_LOST, PFN + 8);
	break_atomic(word_of(PFN + 1024), 0, CF_FINDING_LOST, PFN + 1024);
	/* Taken out of the bitmap as if by an allocation that stopped there. */
	CHECK(cfi_take_exact(map, block, PFN + 100, PFN + 103));
	finds(CF_FINDING_LOST, PFN + 100);
	(void)cfi_give(map, block, PFN + 100, PFN + 103);
	CHECK(ground_holds());
	CHECK(cfi_take_exact(map, block, PFN + 512, PFN + 1024));
	finds(CF_FINDING_LOST, PFN + 512);
	(void)cfi_give(map, block, PFN + 512, PFN + 1024);
	CHECK(ground_holds());
	ground_drop();
}

/* The magazine of a context that has frames of zone NORMAL. */
static struct cfi_magazine *stock_of(unsigned cpu)
{
	struct cfi_cache *cache = &map->cpu[cpu].cache[0];
	cf_pfn pfn;

	test_port.cpu = cpu;
	pfn = take(CF_TYPE_KERNEL, 0, 0);
	cf_put(map, pfn);
	test_port.cpu = 0;
	return cache->loaded;
}

static void caches(void)
{
	struct cfi_magazine *one, *other;
	struct cfi_block *block;
	cf_pfn frame, was;

	ground_make();
	one = stock_of(0);
	other = stock_of(1);
	CHECK(ground_holds());
	frame = one->frame[3];
	was = other->frame[5];
	/* In two caches; the frame it stood for is nowhere then. */
	other->frame[5] = frame;
	block = block_of(was);
	(void)cfi_give(map, block, was, was + 1);
	finds(CF_FINDING_CACHED_TWICE, frame);
	/* Cached and free. */
	other->frame[5] = was;
	finds(CF_FINDING_CACHED_TWICE, was);
	CHECK(cfi_take_exact(map, block, was, was + 1));
	CHECK(ground_holds());
	break_atomic(&one->count, MAGAZINE_FRAMES + 1,
		     CF_FINDING_CACHED_TWICE, CF_PFN_NONE);
	break_atomic(word_of(frame), word_make(CF_TYPE_SLAB, 0, 0, 0),
		     CF_FINDING_OVERLAP, frame);
	/* A frame of another zone, of an offline block, of none. */
	one->frame[3] = MOVABLE_FIRST;
	finds(CF_FINDING_STATE, MOVABLE_FIRST);
	one->frame[3] = OFFLINE_FIRST;
	finds(CF_FINDING_STATE, OFFLINE_FIRST);
	one->frame[3] = CF_PFN_NONE;
	finds(CF_FINDING_STATE, CF_PFN_NONE);
	one->frame[3] = frame;
	frame = one->frame[0];
	one->frame[0] = MOVABLE_FIRST;
	finds(CF_FINDING_STATE, MOVABLE_FIRST);
	one->frame[0] = frame;
	CHECK(ground_holds());
	/* Stock nobody knows of. */
	break_atomic(&map->stocked[0], 1, CF_FINDING_INDEX, CF_PFN_NONE);
	break_atomic(&map->stocked[0], 2, CF_FINDING_INDEX, CF_PFN_NONE);
	map->cpu[1].listed = 0;
	cfi_store_relaxed(&map->stocked[0], 1);
	finds(CF_FINDING_INDEX, CF_PFN_NONE);
	cfi_store_relaxed(&map->stocked[0], 3);
	map->cpu[1].listed = 1;
	CHECK(ground_holds());
	ground_drop();
}

static void chunks(void)
{
	struct cfi_chunk *split, *whole, *taken;

	furnish();
	split = chunk_of(PFN);
	whole = chunk_of(PFN + 512);
	taken = chunk_of(PFN + 1024);
	BREAK_FIELD(split->free, 1, CF_FINDING_CHUNK_FREE, PFN);
	BREAK_MASK(whole->free, 1, CF_FINDING_CHUNK_FREE, PFN + 512);
	BREAK_FIELD(taken->free, 7, CF_FINDING_CHUNK_FREE, PFN + 1024);
	BREAK_FIELD(taken->free, 512, CF_FINDING_OVERLAP, PFN + 1024);
	BREAK_MASK(bitmap_of(PFN)->word[3], 1, CF_FINDING_CHUNK_FREE, PFN);
	BREAK_FIELD(split->skip, 1, CF_FINDING_CHUNK_SKIP, PFN);
	BREAK_FIELD(taken->skip, 512, CF_FINDING_CHUNK_SKIP, PFN + 1024);
	BREAK_MASK(chunk_of(SKIP)->skip, 512, CF_FINDING_CHUNK_SKIP, SKIP);
	BREAK_MASK(chunk_of(SKIP + 512)->skip, 512, CF_FINDING_CHUNK_SKIP,
		   SKIP + 512);
	BREAK_FIELD(split->class, 1, CF_FINDING_CHUNK_CLASS, PFN);
	BREAK_MASK(whole->class, 1, CF_FINDING_CHUNK_CLASS, PFN + 512);
	BREAK_MASK(taken->class, 2, CF_FINDING_CHUNK_CLASS, PFN + 1024);
	ground_drop();
}

static void masks(void)
{
	struct cfi_block *block;
	unsigned class;

	furnish();
	block = block_of(PFN);
	class = chunk_of(PFN)->class;
	BREAK_MASK(block->avail[class], chunk_bit(PFN), CF_FINDING_MASK, PFN);
	BREAK_MASK(block->avail[0], chunk_bit(PFN), CF_FINDING_MASK, PFN);
	BREAK_MASK(block->whole, chunk_bit(PFN + 512), CF_FINDING_MASK, PFN);
	BREAK_MASK(block->whole, chunk_bit(PFN), CF_FINDING_MASK, PFN);
	BREAK_MASK(block->ready, chunk_bit(PFN), CF_FINDING_MASK, PFN);
	BREAK_MASK(block->ready, (uint64_t)1 << 60, CF_FINDING_MASK, PFN);
	BREAK_MASK(block->pending, 1, CF_FINDING_PENDING, PFN);
	ground_drop();
}

static void indexes(void)
{
	struct cfi_index *index;
	unsigned level, class;

	furnish();
	index = &zone_of(PFN)->index[chunk_of(PFN)->class];
	for (level = 0; level < INDEX_LEVELS; level++)
		break_atomic(&index->level[level][0], 0, CF_FINDING_INDEX, PFN);
	index = &zone_of(ONE)->index[0];
	break_atomic(&index->level[0][0], 0, CF_FINDING_INDEX, ONE);
	index = &zone_of(MOVABLE_FIRST)->index[BLOCK_ORDER];
	break_atomic(&index->level[0][0], (uint64_t)1 << 9, CF_FINDING_INDEX,
		     MOVABLE_FIRST);
	/* A block nobody could clear the bit of. */
	for (class = 0; class <= BLOCK_ORDER; class++) {
		cfi_index_set(zone_of(PFN), class, 3);
		finds(CF_FINDING_INDEX, 3 * BLOCK);
		cfi_index_clear(zone_of(PFN), class, 3);
		cfi_index_set(zone_of(MOVABLE_FIRST), class, 11);
		finds(CF_FINDING_INDEX, 11 * BLOCK);
		cfi_index_clear(zone_of(MOVABLE_FIRST), class, 11);
	}
	CHECK(ground_holds());
	/* A bit that is set in vain is none. */
	cfi_index_set(zone_of(PFN), 1, PFN / BLOCK);
	CHECK(ground_holds());
	ground_drop();
}

static void counters(void)
{
	struct cf_watermarks marks = { 1, 2, 3 };
	struct cfi_block *block;
	struct cfi_zone *zone;
	unsigned type;

	furnish();
	block = block_of(PFN);
	zone = zone_of(PFN);
	BREAK_FIELD(block->free, 1, CF_FINDING_BLOCK_FREE, PFN);
	BREAK_FIELD(block->offline, 1, CF_FINDING_MANAGED, PFN);
	BREAK_FIELD(block->never_onlined, 1, CF_FINDING_MANAGED, PFN);
	BREAK_FIELD(block->skippable, 1, CF_FINDING_MANAGED, PFN);
	BREAK_FIELD(block->retired, 1, CF_FINDING_MANAGED, PFN);
	BREAK_FIELD(block->reserved, 1, CF_FINDING_MANAGED, PFN);
	break_atomic(&zone->blocks, 3, CF_FINDING_PRESENT, CF_PFN_NONE);
	break_atomic(&zone->free, 1, CF_FINDING_BLOCK_FREE, CF_PFN_NONE);
	zone = zone_of(MOVABLE_FIRST);
	break_atomic(&zone->blocks, 3, CF_FINDING_PRESENT, CF_PFN_NONE);
	zone = zone_of(SELF_FIRST);
	break_atomic(&zone->blocks, 0, CF_FINDING_PRESENT, CF_PFN_NONE);
	BREAK_FIELD(block_of(SELF_FIRST)->reserved, 1, CF_FINDING_MANAGED,
		    SELF_FIRST);
	zone = zone_of(PFN);
	CHECK(cf_zone_set_watermarks(map, 0, CF_ZONE_NORMAL, marks) == 0);
	CHECK(ground_holds());
	break_atomic(&zone->free, 1, CF_FINDING_BLOCK_FREE, CF_PFN_NONE);
	block->watched = false;
	finds(CF_FINDING_BLOCK_FREE, CF_PFN_NONE);
	block->watched = true;
	for (type = CF_TYPE_KERNEL; type <= CF_TYPE_SLAB; type++)
		break_atomic(&map->type_frames[type], 77,
			     CF_FINDING_TYPE_COUNT, CF_PFN_NONE);
	break_atomic(&map->cpu[2].type_frames[CF_TYPE_KERNEL],
		     (uint64_t)-1, CF_FINDING_TYPE_COUNT, CF_PFN_NONE);
	ground_drop();
}

static void break_owner_count(uint32_t id, unsigned shard)
{
	cfi_u64 *count = &map->owner_frames[shard * CF_OWNERS_MAX + id];

	break_atomic(count, cfi_load_relaxed(count) + 1,
		     CF_FINDING_OWNER_COUNT, CF_PFN_NONE);
}

/* Ids beyond those that are counted at once. */
static void many_owners(void)
{
	uint32_t last = owner;

	ground_make();
	while (last < 200)
		CHECK(cf_owner_register(map, "many", &ground_ops, NULL,
					&last) == 0);
	take_at(CF_TYPE_FOLIO, PFN, PFN + 3, 63);
	take_at(CF_TYPE_FOLIO, PFN + 3, PFN + 5, 64);
	take_at(CF_TYPE_FOLIO, PFN + 512, PFN + 1024, 127);
	take_at(CF_TYPE_FOLIO, PFN + 5, PFN + 6, 200);
	CHECK(ground_holds());
	break_owner_count(63, 0);
	break_owner_count(64, 1);
	break_owner_count(128, OWNER_SHARDS - 1);
	break_atomic(word_of(PFN + 512),
		     word_with_owner(value_of(PFN + 512), 199),
		     CF_FINDING_OWNER_COUNT, CF_PFN_NONE);
	ground_drop();
}

static void owners(void)
{
	struct cfi_block *block;
	uint64_t folio;

	furnish();
	block = block_of(PFN);
	folio = value_of(PFN + 8);
	break_atomic(word_of(PFN + 8), word_with_owner(folio, owner + 1),
		     CF_FINDING_OWNER, PFN + 8);
	break_atomic(word_of(PFN + 8),
		     word_with_owner(folio, CF_OWNERS_MAX - 1),
		     CF_FINDING_OWNER, PFN + 8);
	break_atomic(word_of(PFN + 8), word_with_owner(folio, CF_OWNER_NONE),
		     CF_FINDING_OWNER_COUNT, CF_PFN_NONE);
	break_atomic(word_of(PFN + 8), word_with_owner(folio, CF_OWNER_ORPHAN),
		     CF_FINDING_OWNER_COUNT, CF_PFN_NONE);
	break_owner_count(owner, 0);
	break_owner_count(3000, 3);
	break_atomic(&map->owner[owner].state, OWNER_FREE, CF_FINDING_OWNER,
		     PFN + 8);
	BREAK_FIELD(block->range_owner, 900, CF_FINDING_OWNER, PFN);
	block->orphan = true;
	finds(CF_FINDING_OWNER, PFN);
	block->range_owner = CF_OWNER_ORPHAN;
	CHECK(ground_holds());
	ground_drop();
}

/* A block that is not in use has nothing. */
static void states(void)
{
	struct cfi_block *block;
	cf_pfn at = OFFLINE_FIRST;
	unsigned class;

	ground_make();
	block = block_of(at);
	break_atomic(&chunk_of(at + 512)->word,
		     word_make(CF_TYPE_SLAB, CF_CHUNK_ORDER, 0, 0),
		     CF_FINDING_STATE, at + 512);
	break_atomic(&block->split, 1, CF_FINDING_STATE, at);
	break_atomic(&block->isolated, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(block->free, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(block->offline, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(block->never_onlined, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(block->skippable, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(block->retired, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(block->reserved, 1, CF_FINDING_STATE, at);
	BREAK_MASK(block->whole, 2, CF_FINDING_STATE, at);
	for (class = 0; class < CLASS_WHOLE; class++)
		BREAK_MASK(block->avail[class], 2, CF_FINDING_STATE, at);
	BREAK_MASK(block->pending, 2, CF_FINDING_STATE, at);
	BREAK_FIELD(chunk_of(at)->free, 1, CF_FINDING_STATE, at);
	BREAK_FIELD(chunk_of(at)->skip, 1, CF_FINDING_STATE, at);
	BREAK_MASK(chunk_of(at)->class, 6, CF_FINDING_STATE, at);
	break_atomic(&block_of(PFN)->state, CF_BLOCK_GOING_ONLINE,
		     CF_FINDING_STATE, PFN);
	break_atomic(&block->sequence, 1, CF_FINDING_SEQUENCE, at);
	break_atomic(&block_of(PFN)->sequence,
		     cfi_load_relaxed(&block_of(PFN)->sequence) + 1,
		     CF_FINDING_SEQUENCE, PFN);
	ground_drop();
}

/* Isolate a chunk as an operation would, or release it. */
static void set_isolated(cf_pfn pfn, bool isolated)
{
	struct cfi_block *block = block_of(pfn);
	uint64_t old = cfi_isolated(block);

	cfi_store_relaxed(&block->isolated, isolated ? old | chunk_bit(pfn) :
						       old & ~chunk_bit(pfn));
	block->pending &= ~chunk_bit(pfn);
	cfi_chunk_reclass(map, block, cfi_chunk_index(block, pfn));
	(void)cfi_chunk_settle(block, cfi_chunk_index(block, pfn));
}

static void ranges(void)
{
	struct cf_offline operation = { { 0 } };

	furnish();
	/* Isolated by nobody. */
	set_isolated(PFN + 512, true);
	finds(CF_FINDING_RANGE, PFN + 512);
	set_isolated(PFN + 512, false);
	set_isolated(ONE, true);
	finds(CF_FINDING_RANGE, ONE);
	set_isolated(ONE, false);
	CHECK(ground_holds());
	CHECK(cf_block_offline_start(map, &operation, PFN, PFN + BLOCK,
				     NULL) == 0);
	CHECK(ground_holds());
	set_isolated(PFN + 512, false);
	finds(CF_FINDING_RANGE, PFN + 512);
	set_isolated(PFN + 512, true);
	/* What is still to be emptied. */
	BREAK_MASK(block_of(PFN)->pending, 1, CF_FINDING_PENDING, PFN);
	BREAK_MASK(block_of(PFN)->pending, 2, CF_FINDING_PENDING, PFN);
	CHECK(cf_block_offline_cancel(&operation) == 0);
	CHECK(ground_holds());
	/* What is stepped over does not count as full. */
	CHECK(cf_block_offline_start(map, &operation, SKIP, SKIP + BLOCK,
				     NULL) == 0);
	CHECK(ground_holds());
	CHECK_EQ(block_of(SKIP)->pending, 0);
	BREAK_MASK(block_of(SKIP)->pending, 4, CF_FINDING_PENDING, SKIP);
	CHECK(cf_block_offline_cancel(&operation) == 0);
	ground_drop();
}

/* Put a frame into the table of bad ones behind the engine's back. */
static void break_bad(cf_pfn pfn, bool counted)
{
	uint64_t count = cfi_load_relaxed(&map->poison_count);
	cf_pfn where = counted ? pfn : pfn & ~(BLOCK - 1);

	cfi_store_relaxed(&map->poison[count], pfn);
	cfi_store_relaxed(&map->poison_count, count + 1);
	block_of(pfn)->poison += counted;
	finds(CF_FINDING_POISON, where);
	cfi_store_relaxed(&map->poison_count, count);
	block_of(pfn)->poison -= counted;
	CHECK(ground_holds());
}

static void poison(void)
{
	enum cf_retire_state state;
	cf_pfn bad;

	furnish();
	break_bad(PFN + 40, true);
	break_bad(PFN + 600, true);
	break_bad(PFN + 600, false);
	break_bad(PFN + 5, true);
	break_bad(PFN + 1500, true);
	break_bad(stock_of(0)->frame[0], true);
	CHECK(cf_retire(map, PFN + 5, &state) == 0);
	CHECK(cf_retire(map, PFN + 50, &state) == 0);
	CHECK(cf_retire(map, PFN + 300, &state) == 0);
	CHECK(ground_holds());
	/* No longer the first of the table; at both ends of a block. */
	break_bad(PFN + 40, true);
	break_bad(ONE, true);
	break_bad(ONE + BLOCK - 1, true);
	break_atomic(word_of(PFN), word_without(value_of(PFN), CF_FLAG_POISON),
		     CF_FINDING_POISON, PFN + 5);
	BREAK_FIELD(block_of(PFN)->poison, 1, CF_FINDING_POISON, PFN);
	/* Pending in a block that is offline. */
	bad = OFFLINE_FIRST + 3;
	CHECK(cf_retire(map, bad, &state) == 0);
	CHECK(ground_holds());
	BREAK_FIELD(block_of(bad)->poison, 1, CF_FINDING_POISON,
		    OFFLINE_FIRST);
	ground_drop();
}

/* May this bit of the word change without an equation breaking? */
static bool is_free_choice(uint64_t word, unsigned bit)
{
	uint32_t flag = bit >= WORD_FLAGS_SHIFT && bit < WORD_OWNER_SHIFT ?
			1u << (bit - WORD_FLAGS_SHIFT) : 0;

	if (flag == CF_FLAG_POISON)
		return !word_is(word, CF_TYPE_RETIRED);
	return flag == CF_FLAG_MOVABLE && word_is(word, CF_TYPE_OFFLINE);
}

/* One bit of type, order, flags or owner of any word is found. */
static void any_bit(void)
{
	struct cf_finding finding;
	struct cf_span span;
	cf_pfn cursor = 0;
	unsigned bit;

	ground_make();
	churn(60);
	while (cf_walk_next(map, &cursor, GROUND_LAST, &span)) {
		cfi_u64 *word;
		uint64_t was;

		if (span.kind != CF_SPAN_RUN)
			continue;
		word = word_of(span.first);
		was = cfi_load_relaxed(word);
		for (bit = 0; bit < WORD_PINS_SHIFT; bit++) {
			if (is_free_choice(was, bit))
				continue;
			cfi_store_relaxed(word, was ^ (uint64_t)1 << bit);
			CHECK(!cf_verify(map, &finding));
		}
		cfi_store_relaxed(word, was);
	}
	CHECK(ground_holds());
	churn_end();
	ground_drop();
}

static void all_kinds(void)
{
	unsigned kind;

	for (kind = CF_FINDING_NONE + 1; kind < CF_FINDING_COUNT; kind++)
		CHECK_EQ(seen[kind] ? 0 : kind, 0);
}

int main(void)
{
	tap_run("nothing is found where nothing is broken", untouched);
	tap_run("words no call leaves behind", words);
	tap_run("runs over blocks that do not belong together", crossing);
	tap_run("frames that are two things", overlaps);
	tap_run("frames that are nothing", lost);
	tap_run("frames in caches", caches);
	tap_run("chunks against words and bitmaps", chunks);
	tap_run("masks against chunks", masks);
	tap_run("the index against blocks", indexes);
	tap_run("counters of blocks, zones and types", counters);
	tap_run("owners", owners);
	tap_run("more owners than are counted at once", many_owners);
	tap_run("blocks that are not in use", states);
	tap_run("isolation and operations", ranges);
	tap_run("known bad frames", poison);
	tap_run("any bit of any word", any_bit);
	tap_run("every kind of finding was found", all_kinds);
	return tap_done();
}
