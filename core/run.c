/* SPDX-License-Identifier: MIT */

/*
 * Words of uncounted runs, and splitting.
 *
 * OFFLINE, RESERVED and RETIRED runs have no count, so their words change
 * only under the block's lock: they can be cut at any frame, marked and
 * cleared by the stretch.  Where heads move without passing through free the
 * block's sequence is odd meanwhile, and a lookup that finds no head repeats.
 *
 * A counted or frozen run is split only when it is nobody's but the caller's:
 * no references, BUSY while its parts get their words, the old head last.
 */

#include "internal.h"

static unsigned order_of_count(cf_pfn frames)
{
	return 63 - (unsigned)__builtin_clzll(frames);
}

static bool is_split(const struct cfi_block *block, unsigned chunk)
{
	/* Relaxed: written under the lock we hold. */
	return cfi_load_relaxed(&block->split) >> chunk & 1;
}

/* Order of the largest aligned run that begins at @first within @frames. */
static unsigned piece_order(cf_pfn first, cf_pfn frames, unsigned most)
{
	unsigned order = order_of_count(frames);

	if (first != 0 && (unsigned)__builtin_ctzll(first) < order)
		order = (unsigned)__builtin_ctzll(first);
	return order < most ? order : most;
}

/*
 * The word of the run that covers a frame, and its head; 0: none.  Runs that
 * begin in another block are not found: uncounted ones never do.
 */
uint64_t cfi_word_in(struct cfi_block *block, cf_pfn pfn, cf_pfn *ret_head)
{
	cf_pfn frames = cfi_block_frames(block);
	cf_pfn at = pfn;
	unsigned order;
	uint64_t word;
	cfi_u64 *slot;

	for (order = 0; (cf_pfn)1 << order <= frames; order++) {
		at = pfn & ~(((cf_pfn)1 << order) - 1);
		slot = cfi_word_at(block, at);
		/* Relaxed: uncounted words are written under our lock. */
		word = slot ? cfi_load_relaxed(slot) : 0;
		if (word == 0)
			continue;
		*ret_head = at;
		return pfn - at < word_frames(word) ? word : 0;
	}
	return 0;
}

/*
 * Write @word for [first, last) as aligned runs of at most @most_order.  The
 * frames are the caller's and have no words; chunks that get part of a run
 * only are split already.
 */
void cfi_put_words(struct cfi_block *block, cf_pfn first, cf_pfn last,
		   uint64_t word, unsigned most_order)
{
	unsigned order;
	cfi_u64 *slot;

	while (first < last) {
		order = piece_order(first, last - first, most_order);
		slot = cfi_word_slot(block, first, order);
		/* Relaxed: nobody else writes the word of these frames. */
		CF_CHECK2(cfi_load_relaxed(slot) == 0, first, word);
		/* Release: as in cfi_mark_run(). [run-word] */
		cfi_store_release(slot, word_with_order(word, order));
		first += (cf_pfn)1 << order;
	}
}

/* Clear the words of the whole runs that make up [first, last). */
void cfi_clear_words(struct cfi_block *block, cf_pfn first, cf_pfn last)
{
	cfi_u64 *slot;
	uint64_t word;

	while (first < last) {
		slot = cfi_word_at(block, first);
		CF_CHECK(slot != NULL, first);
		/* Relaxed: uncounted words are written under our lock. */
		word = cfi_load_relaxed(slot);
		CF_CHECK2(word != 0, first, last);
		/*
		 * Release: a lookup that misses what was cut from a larger run
		 * knows that heads have moved. [sequence]
		 */
		cfi_store_release(slot, 0);
		first += word_frames(word);
	}
}

/* Cut the uncounted run that covers @at, so that one begins there. */
void cfi_carve(struct cf_map *map, struct cfi_block *block, cf_pfn at)
{
	unsigned most = map->block_shift;
	cf_pfn head = at;
	uint64_t word;
	cf_pfn last;

	if (at == cfi_block_last(block))
		return;
	word = cfi_word_in(block, at, &head);
	if (word == 0 || head == at)
		return;
	CF_CHECK2(!word_is_counted(word), at, word);
	last = head + word_frames(word);
	cfi_sequence_begin(block);
	/*
	 * Release: a lookup that reads this 0 reads an odd or a later sequence
	 * after it. The other side is try_head(). [sequence]
	 */
	cfi_store_release(cfi_word_slot(block, head, word_order(word)), 0);
	if (word_order(word) >= CF_CHUNK_ORDER && at % CF_CHUNK_FRAMES)
		cfi_chunk_open(block, cfi_chunk_index(block, at));
	cfi_put_words(block, head, at, word, most);
	cfi_put_words(block, at, last, word, most);
	cfi_sequence_end(block);
}

/* A run somebody holds BUSY is not: its holder will want the block. */
static bool is_stepped_over(uint64_t word)
{
	return !word_has(word, CF_FLAG_BUSY) &&
	       (word_is(word, CF_TYPE_RETIRED) ||
		word_has(word, CF_FLAG_SKIPPABLE | CF_FLAG_SELF));
}

static uint32_t plus(uint32_t count, int sign, cf_pfn frames)
{
	return sign > 0 ? count + (uint32_t)frames : count - (uint32_t)frames;
}

/*
 * Frames [first, last) become (@sign 1) what @word says, or cease (-1) to be:
 * the block's counters, and what offlining steps over in each chunk.
 *
 * Return: chunks that some operation waits for and that are empty now.
 */
uint64_t cfi_account(struct cfi_block *block, cf_pfn first, cf_pfn last,
		     uint64_t word, int sign)
{
	cf_pfn frames = last - first;
	uint64_t empty = 0;

	if (word_is(word, CF_TYPE_RETIRED))
		block->retired = plus(block->retired, sign, frames);
	if (word_is(word, CF_TYPE_RESERVED))
		block->reserved = plus(block->reserved, sign, frames);
	if (word_is(word, CF_TYPE_OFFLINE))
		block->offline = plus(block->offline, sign, frames);
	if (word_has(word, CF_FLAG_NEVER_ONLINED))
		block->never_onlined = plus(block->never_onlined, sign, frames);
	if (word_has(word, CF_FLAG_SKIPPABLE))
		block->skippable = plus(block->skippable, sign, frames);
	if (!is_stepped_over(word))
		return 0;
	while (first < last) {
		unsigned chunk = cfi_chunk_index(block, first);
		cf_pfn end = cfi_min_pfn(last,
					 (first | (CF_CHUNK_FRAMES - 1)) + 1);
		struct cfi_chunk *c = &block->chunk[chunk];

		c->skip = (uint16_t)plus(c->skip, sign, end - first);
		empty |= cfi_chunk_settle(block, chunk);
		first = end;
	}
	return empty;
}

/*
 * Exchange the word of the uncounted run at @pfn, in words and on the books.
 *
 * Return: chunks that some operation waits for and that are empty now.
 */
uint64_t cfi_reword(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		    uint64_t value)
{
	cfi_u64 *slot = cfi_word_slot(block, pfn, word_order(value));
	/* Relaxed: uncounted words are written under our lock. */
	uint64_t old = cfi_load_relaxed(slot);
	cf_pfn last = pfn + word_frames(old);
	int64_t frames = (int64_t)word_frames(old);

	CF_CHECK2(old != 0 && word_order(old) == word_order(value), pfn, old);
	if (word_owner(old) != word_owner(value)) {
		cfi_owner_count(map, word_owner(old), -frames);
		cfi_owner_count(map, word_owner(value), frames);
	}
	/* Release: who reads a payload sees what it names. [run-word] */
	cfi_store_release(slot, value);
	(void)cfi_account(block, pfn, last, old, -1);
	return cfi_account(block, pfn, last, value, 1);
}

/* Write the parts of a run in one block; the old head keeps its word. */
static void split_in_block(struct cfi_block *block, cf_pfn first, cf_pfn last,
			   cf_pfn head, uint64_t part)
{
	unsigned long state = cfi_block_lock(block);
	unsigned order = word_order(part);
	cf_pfn size = word_frames(part);
	cf_pfn at;

	cfi_sequence_begin(block);
	for (at = first; at < last && order < CF_CHUNK_ORDER;
	     at += CF_CHUNK_FRAMES)
		if (!is_split(block, cfi_chunk_index(block, at)))
			cfi_chunk_open(block, cfi_chunk_index(block, at));
	for (at = (first + size - 1) & ~(size - 1); at < last; at += size)
		if (at != head)
			/* Release: as in cfi_mark_run(). [run-word] */
			cfi_store_release(cfi_word_slot(block, at, order),
					  part);
	cfi_sequence_end(block);
	cfi_block_unlock(block, state);
}

/* The old head's word becomes that of the first part. */
static void split_head(struct cfi_block *block, cf_pfn head, uint64_t word,
		       uint64_t part)
{
	cfi_u64 *from = cfi_word_slot(block, head, word_order(word));
	cfi_u64 *to = cfi_word_slot(block, head, word_order(part));
	unsigned long state = cfi_block_lock(block);

	cfi_sequence_begin(block);
	if (from != to)
		/* Release: as in cfi_carve(). [sequence] */
		cfi_store_release(from, 0);
	/* Release: as in cfi_mark_run(). [run-word] */
	cfi_store_release(to, part);
	cfi_sequence_end(block);
	cfi_block_unlock(block, state);
}

/* May words with this owner be stored?  In a read section. */
static bool owner_stays(struct cf_map *map, uint64_t word)
{
	return word_owner(word) <= CF_OWNER_ORPHAN ||
	       cfi_owner_open(map, word_owner(word));
}

/* Make a frozen run the caller's alone by setting BUSY. */
static int claim(struct cf_map *map, cf_pfn pfn, unsigned order,
		 uint64_t *ret_word)
{
	struct cfi_block *block = cfi_block_of(map, pfn);
	cfi_u64 *slot = block ? cfi_word_at(block, pfn) : NULL;
	uint64_t old;

	if (!slot)
		return -CF_EGONE;
	/* Relaxed: a stale value only makes the exchange below fail. */
	old = cfi_load_relaxed(slot);
	do {
		if (old == 0)
			return -CF_EGONE;
		if (!word_is_frozen(old) || word_has(old, CF_FLAG_BUSY) ||
		    !owner_stays(map, old))
			return -CF_EAGAIN;
		if (order >= word_order(old))
			return -CF_EINVAL;
		/* Acquire: see all its last holder did. [last-put] */
	} while (!cfi_cas_acquire(slot, &old, word_with(old, CF_FLAG_BUSY)));
	*ret_word = old;
	return 0;
}

int cf_split(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	uint64_t word, part;
	cf_pfn first, last;
	int err;

	cf_port_read_lock();
	err = claim(map, pfn, order, &word);
	if (err)
		goto out;
	/* What is being moved is the whole. */
	part = word_without(word_with_order(word, order), CF_FLAG_ISOLATED);
	last = pfn + word_frames(word);
	for (first = pfn; first < last;) {
		struct cfi_block *block = cfi_block_of(map, first);
		cf_pfn end = cfi_min_pfn(last, cfi_block_last(block));

		split_in_block(block, first, end, pfn, part);
		first = end;
	}
	split_head(cfi_block_of(map, pfn), pfn, word, part);
out:
	cf_port_read_unlock();
	return err;
}
