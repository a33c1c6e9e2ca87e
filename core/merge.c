/* SPDX-License-Identifier: MIT */

/*
 * Merging: frozen runs that lie side by side become one.
 *
 * Every part is made BUSY first, so that none can be used, split or given up
 * meanwhile; what may be refused is refused there and undone over the same
 * frames.  Then, under the lock and with the block's sequence odd, the old
 * heads go and the new one comes: a lookup that misses both looks again.
 */

#include "internal.h"

/* What all parts must be like: that of the first, without its order. */
static uint64_t likeness(uint64_t word)
{
	return word_with_order(word_without(word, CF_FLAG_BUSY), 0);
}

/* A word that stands at @pfn, of a run that begins there, or NULL. */
static cfi_u64 *head_at(struct cf_map *map, cf_pfn pfn)
{
	struct cfi_block *block = cfi_block_of(map, pfn);
	cfi_u64 *slot = block ? cfi_word_at(block, pfn) : NULL;

	/* Relaxed: claiming it looks again. */
	return slot && cfi_load_relaxed(slot) ? slot : NULL;
}

static bool owner_stays(struct cf_map *map, uint64_t word)
{
	return word_owner(word) <= CF_OWNER_ORPHAN ||
	       cfi_owner_open(map, word_owner(word));
}

/* Make the run at @pfn BUSY, if it is like the others; @like 0: the first. */
static int claim_part(struct cf_map *map, cf_pfn pfn, cf_pfn last,
		      uint64_t *like, uint64_t *ret_word)
{
	cfi_u64 *slot = head_at(map, pfn);
	uint64_t old;

	if (!slot)
		return -CF_EGONE;
	/* Relaxed: a stale value only makes the exchange below fail. */
	old = cfi_load_relaxed(slot);
	do {
		if (old == 0)
			return -CF_EGONE;
		if (!word_is_counted(old) && !word_is_frozen(old))
			return -CF_EREFUSED;
		if (!word_is_frozen(old) || word_has(old, CF_FLAG_BUSY) ||
		    !owner_stays(map, old))
			return -CF_EAGAIN;
		if ((*like && likeness(old) != *like) ||
		    word_frames(old) > last - pfn)
			return -CF_EREFUSED;
		/* Acquire: see all its last holder did. [last-put] */
	} while (!cfi_cas_acquire(slot, &old, word_with(old, CF_FLAG_BUSY)));
	*like = likeness(old);
	*ret_word = old;
	return 0;
}

static void unclaim(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	cfi_u64 *slot;
	uint64_t old;

	for (; first < last; first += word_frames(old)) {
		slot = head_at(map, first);
		/* Relaxed: a stale value only makes the exchange fail. */
		old = cfi_load_relaxed(slot);
		/* Relaxed: it is as it was, and its owner's. */
		while (!cfi_cas_relaxed(slot, &old,
					word_without(old, CF_FLAG_BUSY)))
			continue;
	}
}

/* All parts of [first, last), or none. */
static int claim_parts(struct cf_map *map, cf_pfn first, cf_pfn last,
		       uint64_t *ret_like)
{
	uint64_t like = 0;
	cf_pfn at = first;
	uint64_t word;
	int err;

	while (at < last) {
		err = claim_part(map, at, last, &like, &word);
		if (err) {
			unclaim(map, first, at);
			return err;
		}
		at += word_frames(word);
	}
	*ret_like = like;
	return 0;
}

/* The chunks of a run of whole chunks need no frame words any more. */
static void close_chunks(struct cfi_block *block, cf_pfn first, cf_pfn last)
{
	for (; first < last; first += CF_CHUNK_FRAMES)
		/* Relaxed: written under the lock we hold. */
		if (cfi_load_relaxed(&block->split) >>
		    cfi_chunk_index(block, first) & 1)
			cfi_chunk_close(block, cfi_chunk_index(block, first));
}

/* The claimed parts become one run, in one block. */
static void join(struct cfi_block *block, cf_pfn first, cf_pfn last,
		 uint64_t word)
{
	unsigned long state = cfi_block_lock(block);

	cfi_sequence_begin(block);
	cfi_clear_words(block, first, last);
	if (word_order(word) >= CF_CHUNK_ORDER)
		close_chunks(block, first, last);
	cfi_put_words(block, first, last, word, word_order(word));
	cfi_sequence_end(block);
	cfi_block_unlock(block, state);
}

int cf_merge(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	cf_pfn frames = (cf_pfn)1 << (order & 63);
	uint64_t like;
	int err;

	if (order == 0 || order > map->block_shift || pfn & (frames - 1))
		return -CF_EINVAL;
	cf_port_read_lock();
	err = claim_parts(map, pfn, pfn + frames, &like);
	if (!err)
		join(cfi_block_of(map, pfn), pfn, pfn + frames,
		     word_with_order(like, order));
	cf_port_read_unlock();
	return err;
}
