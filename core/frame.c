/* SPDX-License-Identifier: MIT */

/*
 * References: get, put, pins, freezing, and finding the head of a run.
 *
 * Type, order, flags, owner and count of a run are one word, so checking what
 * a frame is and taking a reference is one exchange: a reference by number
 * cannot land on a frame that is free, frozen, offline, busy or retired, and
 * the last put has the old word in hand to decide what becomes of the run.
 */

#include "cache.h"
#include "device.h"

/*
 * Heads of the block begin to move.  Caller holds the block's lock.
 *
 * Relaxed: each zero that a moving head leaves is a release after this, and
 * who acquires the zero sees the sequence odd, or as it is then.
 */
void cfi_sequence_begin(struct cfi_block *block)
{
	cfi_store_relaxed(&block->sequence,
			  cfi_load_relaxed(&block->sequence) + 1);
}

void cfi_sequence_end(struct cfi_block *block)
{
	/* Relaxed: written under the lock we hold. */
	uint64_t sequence = cfi_load_relaxed(&block->sequence);

	/*
	 * Release: who begins a lookup after this one sees the new heads. The
	 * other side is cfi_sequence_read(). [sequence]
	 */
	cfi_store_release(&block->sequence, sequence + 1);
}

/* Who looks for heads: what is missed counts only if the sequence stood. */
uint64_t cfi_sequence_read(const struct cfi_block *block)
{
	/* Acquire: as in cfi_sequence_end(). [sequence] */
	return cfi_load_acquire(&block->sequence);
}

bool cfi_sequence_moved(const struct cfi_block *block, uint64_t since)
{
	/*
	 * Relaxed: if a moving head was missed, the zero it left was acquired
	 * before, and this cannot be older.
	 */
	return since & 1 || cfi_load_relaxed(&block->sequence) != since;
}

struct head {
	cf_pfn pfn;
	cfi_u64 *word;
	uint64_t value;
};

/*
 * Look at one candidate.  Returns true when the search is over: a head there
 * covers @pfn, or covers less, so that none further left can.
 */
static bool try_head(cfi_u64 *word, cf_pfn at, cf_pfn pfn, struct head *head)
{
	/* Acquire: see what the run's maker wrote before it. [run-word] */
	uint64_t value = cfi_load_acquire(word);

	if (value == 0)
		return false;
	if (pfn - at < word_frames(value)) {
		head->pfn = at;
		head->word = word;
		head->value = value;
	}
	return true;
}

/* Heads of orders 0-8: to the left inside the chunk. */
static bool find_small(struct cfi_block *block, cf_pfn pfn, struct head *head)
{
	cf_pfn at = CF_PFN_NONE;
	cf_pfn next;
	unsigned order;

	for (order = 0; order < CF_CHUNK_ORDER; order++) {
		next = pfn & ~(((cf_pfn)1 << order) - 1);
		if (next == at)
			continue;
		at = next;
		if (try_head(&block->frame_word[at - block->first], at, pfn,
			     head))
			return true;
	}
	return false;
}

/* Heads of orders 9-18: chunk words to the left, also in other blocks. */
static void find_large(struct cf_map *map, cf_pfn pfn, struct head *head)
{
	struct cfi_block *block;
	cf_pfn at = CF_PFN_NONE;
	cf_pfn next;
	unsigned order;

	for (order = CF_CHUNK_ORDER; order <= CF_MAX_ORDER; order++) {
		next = pfn & ~(((cf_pfn)1 << order) - 1);
		if (next == at)
			continue;
		at = next;
		block = cfi_block_of(map, at);
		if (!block)
			return;
		if (try_head(&block->chunk[cfi_chunk_index(block, at)].word, at,
			     pfn, head))
			return;
	}
}

static void find_once(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		      struct head *head)
{
	unsigned chunk = cfi_chunk_index(block, pfn);
	cf_pfn at = pfn & ~(CF_CHUNK_FRAMES - 1);

	if (try_head(&block->chunk[chunk].word, at, pfn, head))
		return;
	if (cfi_is_split(block, chunk))
		(void)find_small(block, pfn, head);
	else
		find_large(map, pfn, head);
}

/**
 * cfi_find() - the head of the run that covers a frame, and its word.
 *
 * A hit is only as good as the exchange the caller makes on the word.  A miss
 * is repeated while heads of the block move without passing through free.
 *
 * Context: in a read section, or the block cannot go.
 * Return:  the head, or CF_PFN_NONE.
 */
cf_pfn cfi_find(struct cf_map *map, cf_pfn pfn, cfi_u64 **ret_word,
		uint64_t *ret_value)
{
	struct cfi_block *block = cfi_block_of(map, pfn);
	struct head head = { CF_PFN_NONE, NULL, 0 };
	uint64_t before;
	unsigned spins = 0;

	if (!block)
		return CF_PFN_NONE;
	for (;;) {
		before = cfi_sequence_read(block);
		find_once(map, block, pfn, &head);
		if (head.pfn != CF_PFN_NONE)
			break;
		if (!cfi_sequence_moved(block, before))
			return CF_PFN_NONE;
		cf_port_relax(spins++);
	}
	*ret_word = head.word;
	*ret_value = head.value;
	return head.pfn;
}

cf_pfn cf_find_head(struct cf_map *map, cf_pfn pfn)
{
	uint64_t value;
	cfi_u64 *word;
	cf_pfn head;

	cf_port_read_lock();
	head = cfi_find(map, pfn, &word, &value);
	cf_port_read_unlock();
	return head;
}

int cf_get(struct cf_map *map, cf_pfn pfn)
{
	struct cfi_block *block;
	cfi_u64 *word = cfi_held_word(map, pfn, &block);
	/*
	 * Relaxed: whoever holds a reference sees the run already. The guard
	 * band keeps a blind add of every context below the limit.
	 */
	uint64_t old = cfi_add_relaxed(word, WORD_ONE_REF);

	CF_CHECK2(word_is_counted(old) && word_refs(old) > 0, pfn, old);
	if (word_refs(old) >= CF_REFS_MAX) {
		/* Relaxed: ours is taken back; nobody was told of it. */
		(void)cfi_sub_relaxed(word, WORD_ONE_REF);
		return -CF_ELIMIT;
	}
	return 0;
}

/* Add to the count of a run that has references, by one exchange. */
int cfi_try_get_word(cfi_u64 *word, uint64_t add)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(word);

	do {
		if (!word_is_counted(old) || word_refs(old) == 0 ||
		    word_has(old, CF_FLAG_BUSY | CF_FLAG_CLOSED))
			return -CF_EGONE;
		if (word_refs(old) >= CF_REFS_MAX)
			return -CF_ELIMIT;
		if (add & WORD_ONE_PIN && word_pins(old) == CF_PINS_MAX)
			return -CF_ELIMIT;
		/*
		 * Acquire: see all that the run's maker wrote before its word.
		 * The other sides are the store of a run's word and whoever
		 * unfroze it. [run-word]
		 */
	} while (!cfi_cas_acquire(word, &old, old + add));
	return 0;
}

static int try_add(struct cf_map *map, cf_pfn pfn, uint64_t add)
{
	struct cfi_block *block;
	cfi_u64 *word = NULL;
	int err = -CF_EGONE;

	cf_port_read_lock();
	block = cfi_block_of(map, pfn);
	if (block)
		word = cfi_word_at(block, pfn);
	if (word)
		err = cfi_try_get_word(word, add);
	cf_port_read_unlock();
	return err;
}

int cf_try_get(struct cf_map *map, cf_pfn pfn)
{
	return try_add(map, pfn, WORD_ONE_REF);
}

int cf_pin(struct cf_map *map, cf_pfn pfn)
{
	return try_add(map, pfn, WORD_ONE_REF + WORD_ONE_PIN);
}

/* Does the word that @value was read from still cover @pfn from @head? */
static bool still_covers(cfi_u64 *word, cf_pfn head, cf_pfn pfn)
{
	/* Relaxed: we hold a reference; the order cannot change under it. */
	return pfn - head < word_frames(cfi_load_relaxed(word));
}

int cf_try_get_interior(struct cf_map *map, cf_pfn pfn, cf_pfn *ret_head)
{
	uint64_t value;
	cfi_u64 *word;
	cf_pfn head;
	int err;

	cf_port_read_lock();
	for (;;) {
		head = cfi_find(map, pfn, &word, &value);
		err = -CF_EGONE;
		if (head == CF_PFN_NONE)
			break;
		err = cfi_try_get_word(word, WORD_ONE_REF);
		if (err)
			break;
		if (still_covers(word, head, pfn)) {
			*ret_head = head;
			break;
		}
		/* Freed and made anew, smaller: not the run we found. */
		cf_put(map, head);
	}
	cf_port_read_unlock();
	return err;
}

/* The last reference of a run with an owner or flags. */
static void put_last(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		     uint64_t word)
{
	enum cf_verdict verdict;

	if (word_is(word, CF_TYPE_DEVICE)) {
		cfi_device_back(map, pfn, word);
		return;
	}
	verdict = cfi_owner_release(map, pfn, word);
	if (verdict == CF_VERDICT_FREE)
		cfi_free_cas(map, block, pfn, word);
}

static void put_word(struct cf_map *map, cf_pfn pfn, uint64_t count)
{
	struct cfi_block *block;
	cfi_u64 *word = cfi_held_word(map, pfn, &block);
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(word);
	uint64_t value;

	do {
		CF_CHECK2(word_is_counted(old) && word_refs(old) > 0 &&
			  !word_has(old, CF_FLAG_BUSY), pfn, old);
		CF_CHECK2(count == WORD_ONE_REF ?
			  word_refs(old) > word_pins(old) : word_pins(old) > 0,
			  pfn, old);
		value = word_is_plain_last(old) ? 0 : old - count;
		/*
		 * Release: whoever frees the run, or is told of the last put,
		 * sees all we did with it. Acquire: if that is us, we see all
		 * that the others did. Pairs with itself. [last-put]
		 */
	} while (!cfi_cas_acq_rel(word, &old, value));
	if (value == 0)
		cfi_free_run(map, block, pfn, old);
	else if (word_refs(value) == 0)
		put_last(map, block, pfn, value);
}

/*
 * The put of a run that has neither owner nor flags: no section, no further
 * load.  Returns false as soon as the word says otherwise.
 */
static bool put_plain(struct cf_map *map, struct cfi_block *block,
		      cfi_u64 *word, cf_pfn pfn)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(word);
	uint64_t value;

	do {
		if (old & (WORD_OWNER_MASK | WORD_FLAGS_MASK))
			return false;
		CF_CHECK2(word_is_counted(old) &&
			  word_refs(old) > word_pins(old), pfn, old);
		value = word_is_plain_last(old) ? 0 : old - WORD_ONE_REF;
		/* Acq_rel: as in put_word(). [last-put] */
	} while (!cfi_cas_acq_rel(word, &old, value));
	if (value == 0)
		cfi_free_run(map, block, pfn, old);
	return true;
}

/* Any put; apart, so that it costs most of them nothing. */
static __attribute__((noinline)) void put(struct cf_map *map,
					  struct cfi_block *block,
					  cfi_u64 *word, cf_pfn pfn)
{
	if (put_plain(map, block, word, pfn))
		return;
	/* The owner cannot go between the exchange and its hook. */
	cf_port_read_lock();
	put_word(map, pfn, WORD_ONE_REF);
	cf_port_read_unlock();
}

/* A larger run, or a frame that is not for the stock; apart, as put(). */
static __attribute__((noinline)) void free_last(struct cf_map *map,
						unsigned number,
						struct cfi_block *block,
						uint64_t word, cf_pfn pfn)
{
	if (word_order(word) == 0 ||
	    !cfi_cache_free(map, number, block, word, pfn))
		cfi_free_run(map, block, pfn, word);
}

void cf_put(struct cf_map *map, cf_pfn pfn)
{
	/* First, so that little is kept across the call. */
	unsigned number = cf_port_cpu();
	struct cfi_block *block;
	cfi_u64 *word = cfi_held_word(map, pfn, &block);
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(word);

	/* What most puts are: the last, of a run that is only a run. */
	if (__builtin_expect(word_is_plain_last(old) && word_is_counted(old) &&
			     /*
			      * Acquire: we see all that the others did who
			      * put before us. [last-put]
			      */
			     cfi_cas_acquire(word, &old, 0), 1)) {
		if (__builtin_expect(word_order(old) == 0, 1) &&
		    __builtin_expect(cfi_cache_free(map, number, block, old,
						    pfn), 1))
			return;
		free_last(map, number, block, old, pfn);
		return;
	}
	put(map, block, word, pfn);
}

void cf_put_interior(struct cf_map *map, cf_pfn pfn)
{
	cf_pfn head = cf_find_head(map, pfn);

	CF_CHECK(head != CF_PFN_NONE, pfn);
	cf_put(map, head);
}

void cf_unpin(struct cf_map *map, cf_pfn pfn)
{
	cf_port_read_lock();
	put_word(map, pfn, WORD_ONE_REF + WORD_ONE_PIN);
	cf_port_read_unlock();
}

int cf_freeze(struct cf_map *map, cf_pfn pfn, uint32_t expected)
{
	struct cfi_block *block;
	cfi_u64 *word = NULL;
	uint64_t old;
	int err = -CF_EGONE;

	cf_port_read_lock();
	block = cfi_block_of(map, pfn);
	if (block)
		word = cfi_word_at(block, pfn);
	if (!word)
		goto out;
	/* Relaxed: a stale value only makes the exchange below fail. */
	old = cfi_load_relaxed(word);
	do {
		if (!word_is_counted(old))
			goto out;
		err = -CF_EAGAIN;
		if (word_refs(old) != expected || expected == 0 ||
		    word_pins(old) || word_has(old, CF_FLAG_BUSY))
			goto out;
		/*
		 * Acquire: see all that those did who put before us; release:
		 * pairs with the next get. [last-put] [run-word]
		 */
	} while (!cfi_cas_acq_rel(word, &old, word_with_refs(old, 0)));
	err = 0;
out:
	cf_port_read_unlock();
	return err;
}

void cf_unfreeze(struct cf_map *map, cf_pfn pfn, uint32_t refs)
{
	struct cfi_block *block;
	cfi_u64 *word = cfi_held_word(map, pfn, &block);
	/* Relaxed: the run is ours; only flags can change under us. */
	uint64_t old = cfi_load_relaxed(word);

	CF_CHECK2(refs > 0 && refs <= CF_REFS_MAX, pfn, refs);
	do {
		CF_CHECK2(word_is_counted(old) && word_refs(old) == 0 &&
			  !word_has(old, CF_FLAG_BUSY), pfn, old);
		/* Release: a later get sees what we wrote. [run-word] */
	} while (!cfi_cas_release(word, &old, word_with_refs(old, refs)));
}

/* The word of a head; looks again while heads move. */
static uint64_t head_word(struct cfi_block *block, cf_pfn pfn)
{
	uint64_t sequence, value;
	unsigned spins = 0;
	cfi_u64 *word;

	for (;;) {
		sequence = cfi_sequence_read(block);
		word = cfi_word_at(block, pfn);
		/* Acquire: as in try_head(). [run-word] */
		value = word ? cfi_load_acquire(word) : 0;
		if (value || !cfi_sequence_moved(block, sequence))
			return value;
		cf_port_relax(spins++);
	}
}

int cf_snapshot(struct cf_map *map, cf_pfn pfn,
		struct cf_snapshot *ret_snapshot)
{
	struct cfi_block *block;
	uint64_t value = 0;

	cf_port_read_lock();
	block = cfi_block_of(map, pfn);
	if (block)
		value = head_word(block, pfn);
	cf_port_read_unlock();
	if (value == 0)
		return -CF_EGONE;
	*ret_snapshot = (struct cf_snapshot) {
		.type = word_type(value),
		.order = word_order(value),
		.flags = word_flags(value),
		.owner = word_owner(value),
		.word = value,
	};
	if (word_is_counted(value)) {
		ret_snapshot->refs = word_refs(value);
		ret_snapshot->pins = word_pins(value);
	} else {
		ret_snapshot->payload = word_payload(value);
	}
	return 0;
}
