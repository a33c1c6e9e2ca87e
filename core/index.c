/* SPDX-License-Identifier: MIT */

/*
 * The index over blocks: for each class of free run, which blocks have one.
 *
 * Levels of bits, 64 to one, so that a failing search and a search for the
 * last run of a terabyte both read a handful of words; a class that no block
 * has costs one.  Two promises: a block
 * that has a maximal free run of a class has its bit set there; a bit is set
 * and cleared only under the block's lock, so it cannot be lost between the
 * one who frees and the one who came in vain.
 */

#include "internal.h"

void cfi_moves_begin(struct cfi_moves *moves)
{
	/*
	 * Relaxed: a search that misses what we move knows that from a lock,
	 * the index or the stock, and so sees all that we did before.
	 */
	(void)cfi_add_relaxed(&moves->begun, 1);
}

void cfi_moves_end(struct cfi_moves *moves)
{
	/*
	 * Release: what we moved can be found by who sees this. The other side
	 * is cfi_moves_ended(). [moves]
	 */
	(void)cfi_add_release(&moves->ended, 1);
}

/* How many moves had ended: read before a search. */
uint64_t cfi_moves_ended(const struct cf_map *map)
{
	/* Acquire: as in cfi_moves_end(). [moves] */
	uint64_t ended = cfi_load_acquire(&map->moves.ended);
	unsigned i;

	for (i = 0; i < map->zones; i++)
		/* Acquire: as in cfi_moves_end(). [moves] */
		ended += cfi_load_acquire(&map->zone[i].moves.ended);
	return ended;
}

/* How many had begun: read after it. The same number: none went on in it. */
uint64_t cfi_moves_begun(const struct cf_map *map)
{
	/* Relaxed: as in cfi_moves_begin(). */
	uint64_t begun = cfi_load_relaxed(&map->moves.begun);
	unsigned i;

	for (i = 0; i < map->zones; i++)
		/* Relaxed: as in cfi_moves_begin(). */
		begun += cfi_load_relaxed(&map->zone[i].moves.begun);
	return begun;
}

/*
 * A word of bits, as a search reads it.
 *
 * Acquire: who finds a bit cleared sees who has the frames in stock, and the
 * moves that had begun by then; without that it would take an old "nobody"
 * for the answer. The other side is clear_bit(). [index-summary]
 */
static uint64_t bits_at(const cfi_u64 *word)
{
	return cfi_load_acquire(word);
}

/* May the zone have a run of @class or above? */
bool cfi_index_any(const struct cfi_zone *zone, unsigned class)
{
	for (; class < INDEX_CLASSES; class++)
		if (bits_at(&zone->top[class]))
			return true;
	return false;
}

bool cfi_index_test(const struct cfi_zone *zone, unsigned class,
		    uint64_t number)
{
	const cfi_u64 *words = zone->index[class].level[0];

	return bits_at(&words[number / 64]) >> number % 64 & 1;
}

static void set_from(struct cfi_index *index, unsigned level, uint64_t bit)
{
	for (; level < INDEX_LEVELS; level++) {
		/*
		 * Release: whoever clears the summary after us sees our bit
		 * below and sets it again. The other side is clear_bit().
		 * [index-summary]
		 */
		(void)cfi_or_release(&index->level[level][bit / 64],
			       (uint64_t)1 << bit % 64);
		bit /= 64;
	}
}

/* Caller holds the block's lock. */
void cfi_index_set(struct cfi_zone *zone, unsigned class, uint64_t number)
{
	if (!cfi_index_test(zone, class, number))
		set_from(&zone->index[class], 0, number);
}

static void clear_bit(cfi_u64 *words, uint64_t bit)
{
	/*
	 * Acquire: as in set_from(); release: as in bits_at().
	 * [index-summary]
	 */
	(void)cfi_and_acq_rel(&words[bit / 64], ~((uint64_t)1 << bit % 64));
}

/*
 * Caller holds the block's lock and has looked: nothing of that class.  A
 * summary bit over an empty word goes too, unless somebody sets a bit below
 * meanwhile: clear, look again, restore.
 */
void cfi_index_clear(struct cfi_zone *zone, unsigned class, uint64_t number)
{
	struct cfi_index *index = &zone->index[class];
	const cfi_u64 *below;
	unsigned level;
	bool restore;

	/*
	 * A move, always: runs break downwards and a search goes up, so one
	 * that comes in vain, or finds a bit cleared by who came in vain, has
	 * passed the class that the run is of now.
	 */
	cfi_moves_begin(&zone->moves);
	clear_bit(index->level[0], number);
	cfi_moves_end(&zone->moves);
	for (level = 1; level < INDEX_LEVELS; level++) {
		number /= 64;
		below = &index->level[level - 1][number];
		/* Relaxed: the exchanges with the summary order it. */
		if (cfi_load_relaxed(below) != 0)
			return;
		cfi_moves_begin(&zone->moves);
		clear_bit(index->level[level], number);
		/* Relaxed: the exchanges with the summary order it. */
		restore = cfi_load_relaxed(below) != 0;
		if (restore)
			set_from(index, level, number);
		cfi_moves_end(&zone->moves);
		if (restore)
			return;
	}
}

/* First set bit at or after @bit, skipping by the level above. */
static uint64_t next_set(const struct cfi_index *index, unsigned level,
			 uint64_t bit, uint64_t bits)
{
	while (bit < bits) {
		uint64_t word;

		/* The block's lock decides what is really there. */
		word = bits_at(&index->level[level][bit / 64]);
		word >>= bit % 64;
		if (word)
			return bit + bits_first(word);
		bit = bit / 64 + 1;
		if (level + 1 < INDEX_LEVELS) {
			bit = next_set(index, level + 1, bit, (bits + 63) / 64);
			if (bit == INDEX_NONE)
				return INDEX_NONE;
		}
		bit *= 64;
	}
	return INDEX_NONE;
}

/*
 * A block that may have a run of @class, from block @from on, going around;
 * not @from itself if @after.
 */
uint64_t cfi_index_find(const struct cf_map *map, const struct cfi_zone *zone,
			unsigned class, uint64_t from, bool after)
{
	const struct cfi_index *index = &zone->index[class];
	uint64_t found;

	if (bits_at(&zone->top[class]) == 0)
		return INDEX_NONE;
	found = next_set(index, 0, from + after, map->blocks_max);
	if (found == INDEX_NONE && from > 0)
		found = next_set(index, 0, 0, from);
	return found;
}
