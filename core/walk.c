/* SPDX-License-Identifier: MIT */

/*
 * Walking: what every frame is, stretch by stretch.
 *
 * A walk keeps nothing but a number, so each step looks for itself: a word at
 * the cursor is a run and needs no lock.  Only where no run begins there does
 * the step take the block's lock, to look at masks and bitmap, and then one
 * step covers everything that is free or in transit up to the next change.
 * Memory that was never split costs a word or a mask bit a chunk.
 *
 * What a step says was true at some moment of it.  A run is found by its head
 * and told whole, also when the cursor points into it.
 */

#include "internal.h"

void cf_walk_begin(struct cf_map *map)
{
	(void)map;
	cf_port_read_lock();
}

void cf_walk_end(struct cf_map *map)
{
	(void)map;
	cf_port_read_unlock();
}

static bool is_isolated(const struct cfi_block *block, cf_pfn pfn)
{
	return cfi_isolated(block) >> cfi_chunk_index(block, pfn) & 1;
}

/*
 * A walk over frames that are runs of their own is nothing but calls of
 * cf_walk_next(): what it does for a run is inlined, all else is not.
 */
#define ALWAYS_INLINE	static inline __attribute__((always_inline))
#define NEVER_INLINE	static __attribute__((noinline))
#define MOSTLY(condition) \
	__builtin_expect_with_probability(condition, 1, 0.999)

/* The word of the run that begins at @pfn, or 0. */
ALWAYS_INLINE uint64_t word_at(const struct cfi_block *block, cf_pfn pfn)
{
	unsigned chunk = cfi_chunk_index(block, pfn);
	uint64_t word = 0;

	if (pfn % CF_CHUNK_FRAMES == 0)
		/* Acquire: see what the run's maker wrote. [run-word] */
		word = cfi_load_acquire(&block->chunk[chunk].word);
	if (word == 0 && cfi_is_split(block, chunk))
		/* Acquire: as above. [run-word] */
		word = cfi_load_acquire(&block->frame_word[pfn - block->first]);
	return word;
}

/* What a run has of its place. */
struct place {
	uint32_t node;
	enum cf_zone_kind zone;
	bool isolated;
};

ALWAYS_INLINE struct place place_of(const struct cfi_block *block, cf_pfn pfn)
{
	return (struct place) {
		.node = block->node,
		.zone = cfi_zone_kind(block),
		.isolated = is_isolated(block, pfn),
	};
}

ALWAYS_INLINE void fill_run(struct place place, cf_pfn head, uint64_t word,
			    struct cf_span *span)
{
	uint64_t counts = word_is_counted(word) ? word : 0;
	uint64_t payload = word_is_counted(word) ? 0 : word;

	span->first = head;
	span->last = head + word_frames(word);
	span->kind = CF_SPAN_RUN;
	span->type = word_type(word);
	span->order = word_order(word);
	span->flags = word_flags(word);
	span->owner = word_owner(word);
	span->refs = word_refs(counts);
	span->pins = word_pins(counts);
	span->payload = word_payload(payload);
	span->node = place.node;
	span->zone = place.zone;
	span->isolated = place.isolated;
}

/* Another single frame of which all is true that is of @like. */
ALWAYS_INLINE void copy_run(cf_pfn pfn, const struct cf_span *like,
			    struct cf_span *span)
{
	const size_t rest = offsetof(struct cf_span, kind);

	span->first = pfn;
	span->last = pfn + 1;
	__builtin_memcpy((char *)span + rest, (const char *)like + rest,
			 sizeof(*span) - rest);
}

static void fill_like(const struct cfi_block *block, enum cf_span_kind kind,
		      struct cf_span *span)
{
	span->kind = kind;
	span->node = block->node;
	span->zone = cfi_zone_kind(block);
	span->isolated = is_isolated(block, span->first);
}

/* Are the chunks of @pfn and @other both isolated, or neither? */
static bool same_isolation(const struct cfi_block *block, cf_pfn pfn,
			   cf_pfn other)
{
	return is_isolated(block, pfn) == is_isolated(block, other);
}

static cf_pfn chunk_last(cf_pfn pfn)
{
	return (pfn | (CF_CHUNK_FRAMES - 1)) + 1;
}

/* One past the free frames from @pfn on in its chunk; the lock is held. */
static cf_pfn free_in_chunk(const struct cfi_block *block, cf_pfn pfn)
{
	unsigned chunk = cfi_chunk_index(block, pfn);
	const struct cfi_bitmap *bitmap = &block->bitmap[chunk];
	cf_pfn last = chunk_last(pfn);
	uint64_t used;

	if (block->chunk[chunk].free == CF_CHUNK_FRAMES)
		return last;
	if (block->chunk[chunk].free == 0)
		return pfn;
	while (pfn < last) {
		used = ~bitmap->word[pfn % CF_CHUNK_FRAMES / 64] >> pfn % 64;
		if (used)
			return pfn + bits_first(used);
		pfn = (pfn | 63) + 1;
	}
	return last;
}

/* One past the free frames from @pfn on; @pfn: it is not free. */
static cf_pfn free_last(struct cfi_block *block, cf_pfn pfn, cf_pfn limit)
{
	unsigned long state = cfi_block_lock(block);
	cf_pfn at = pfn;
	cf_pfn last;

	do {
		last = chunk_last(at);
		at = free_in_chunk(block, at);
	} while (at == last && at < limit && same_isolation(block, pfn, at));
	cfi_block_unlock(block, state);
	return cfi_min_pfn(at, limit);
}

/* One past the frames from @pfn on in its chunk that nobody has. */
static cf_pfn transit_in_chunk(const struct cfi_block *block, cf_pfn pfn)
{
	unsigned chunk = cfi_chunk_index(block, pfn);
	cf_pfn last = chunk_last(pfn);

	/* A chunk that is not split is alike from end to end. */
	if (!cfi_is_split(block, chunk))
		return block->chunk[chunk].free ||
		       /* Relaxed: only asks whether there is a run. */
		       cfi_load_relaxed(&block->chunk[chunk].word) ? pfn : last;
	while (pfn < last && word_at(block, pfn) == 0 &&
	       free_in_chunk(block, pfn) == pfn)
		pfn++;
	return pfn;
}

/* The frame at @pfn is neither free nor in a run: how far is that so? */
static cf_pfn transit_last(struct cfi_block *block, cf_pfn pfn, cf_pfn limit)
{
	unsigned long state = cfi_block_lock(block);
	cf_pfn at = pfn;
	cf_pfn last;

	do {
		last = chunk_last(at);
		at = transit_in_chunk(block, at);
	} while (at == last && at < limit && same_isolation(block, pfn, at));
	cfi_block_unlock(block, state);
	/* It may have become something this moment: one frame all the same. */
	return cfi_min_pfn(cfi_max_pfn(at, pfn + 1), limit);
}

/* No run begins at @pfn: it is free, inside a run, or in transit. */
static void fill_in_use(struct cf_map *map, struct cfi_block *block,
			cf_pfn pfn, cf_pfn limit, struct cf_span *span)
{
	const struct cfi_block *home;
	uint64_t word;
	cfi_u64 *slot;
	cf_pfn head;

	*span = (struct cf_span) { .first = pfn };
	span->last = free_last(block, pfn, limit);
	if (span->last > pfn) {
		fill_like(block, CF_SPAN_FREE, span);
		return;
	}
	head = cfi_find(map, pfn, &slot, &word);
	/* Its block may have gone since, if the run was not ours to keep. */
	home = head == CF_PFN_NONE ? NULL : cfi_block_of(map, head);
	if (home) {
		fill_run(place_of(home, head), head, word, span);
		return;
	}
	span->last = transit_last(block, pfn, limit);
	fill_like(block, CF_SPAN_TRANSIT, span);
}

/* One past the part of the block of @pfn that was asked for. */
static cf_pfn limit_of(const struct cf_map *map, cf_pfn pfn, cf_pfn last)
{
	cf_pfn frames = (cf_pfn)1 << map->block_shift;

	return cfi_min_pfn(last - 1, pfn | (frames - 1)) + 1;
}

/* One step, where no run begins. */
NEVER_INLINE bool next_stretch(struct cf_map *map, cf_pfn *cursor, cf_pfn last,
			       struct cf_span *span)
{
	struct cfi_block *block = cfi_block_of(map, *cursor);
	cf_pfn limit = limit_of(map, *cursor, last);

	if (block && cfi_block_state(block) != CF_BLOCK_OFFLINE) {
		fill_in_use(map, block, *cursor, limit, span);
	} else {
		*span = (struct cf_span) {
			.first = *cursor,
			.last = limit,
			.kind = block ? CF_SPAN_BLOCK_OFFLINE : CF_SPAN_ABSENT,
			.node = block ? block->node : 0,
		};
	}
	*cursor = span->last;
	return true;
}

bool cf_walk_next(struct cf_map *map, cf_pfn *cursor, cf_pfn last,
		  struct cf_span *ret_span)
{
	const struct cfi_block *block;
	cf_pfn pfn = *cursor;
	uint64_t word = 0;

	if (pfn >= last)
		return false;
	block = cfi_block_of(map, pfn);
	if (block)
		word = word_at(block, pfn);
	if (word == 0)
		return next_stretch(map, cursor, last, ret_span);
	fill_run(place_of(block, pfn), pfn, word, ret_span);
	/* Foretold, so that the next step need not wait for this word. */
	if (MOSTLY(word_order(word) == 0))
		*cursor = pfn + 1;
	else
		*cursor = pfn + word_frames(word);
	return true;
}

/*
 * Single frames, one after the other, from @pfn on in its chunk: what a walk
 * over split memory meets most.  Returns how many.
 */
static size_t walk_frames(struct cf_map *map, cf_pfn pfn, cf_pfn last,
			  struct cf_span *ret_spans, size_t most)
{
	const struct cfi_block *block = cfi_block_of(map, pfn);
	const cfi_u64 *slot;
	uint64_t before = 0;
	struct place place;
	size_t like = 0;
	uint64_t word;
	size_t done;

	if (!block || !cfi_is_split(block, cfi_chunk_index(block, pfn)))
		return 0;
	slot = &block->frame_word[pfn - block->first];
	place = place_of(block, pfn);
	if (last - pfn < most)
		most = last - pfn;
	if (chunk_last(pfn) - pfn < most)
		most = chunk_last(pfn) - pfn;
	for (done = 0; done < most; done++) {
		/* Acquire: as in word_at(). [run-word] */
		word = cfi_load_acquire(&slot[done]);
		if (word == 0 || word_order(word) > 0)
			break;
		/* Neighbours are often alike: what was said is copied. */
		if (word == before) {
			copy_run(pfn + done, &ret_spans[like],
				 &ret_spans[done]);
			continue;
		}
		fill_run(place, pfn + done, word, &ret_spans[done]);
		before = word;
		like = done;
	}
	return done;
}

size_t cf_walk_many(struct cf_map *map, cf_pfn *cursor, cf_pfn last,
		    struct cf_span *ret_spans, size_t most)
{
	size_t done = 0;
	size_t frames;

	while (done < most && *cursor < last) {
		frames = walk_frames(map, *cursor, last, ret_spans + done,
				     most - done);
		*cursor += frames;
		done += frames;
		/* What stopped that is something else, or beyond the chunk. */
		if (done < most)
			done += cf_walk_next(map, cursor, last,
					     &ret_spans[done]);
	}
	return done;
}
