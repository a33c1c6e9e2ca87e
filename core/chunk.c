/* SPDX-License-Identifier: MIT */

/*
 * Free memory of one block: which chunks are whole, which are split, where a
 * run of an order fits best.
 *
 * A chunk that is wholly free or one run never touches its bitmap or its
 * frame words: both become valid when it is split.  Its frame words are
 * cleared once in the life of the block's metadata, because a chunk that is
 * wholly free again has no words.  An isolated chunk is listed nowhere: it
 * takes every frame that comes back and gives none.
 *
 * Every function here runs with the block's lock held.
 */

#include "internal.h"

static struct cfi_zone *zone_of(struct cf_map *map,
				const struct cfi_block *block)
{
	return &map->zone[cfi_zone_number(block)];
}

static bool is_split(const struct cfi_block *block, unsigned chunk)
{
	/* Relaxed: written under the lock we hold. */
	return cfi_load_relaxed(&block->split) >> chunk & 1;
}

static void set_split(struct cfi_block *block, unsigned chunk, bool split)
{
	uint64_t bit = (uint64_t)1 << chunk;
	/* Relaxed: written under the lock we hold. */
	uint64_t old = cfi_load_relaxed(&block->split);

	/*
	 * Release: whoever sees the bit sees the frame words cleared. The
	 * other side is cfi_word_at(). [split]
	 */
	cfi_store_release(&block->split, split ? old | bit : old & ~bit);
}

/* Order of the run of whole chunks around @chunk: CLASS_WHOLE and up. */
static unsigned whole_run_around(const struct cfi_block *block, unsigned chunk)
{
	unsigned order = 0;
	unsigned first;

	while ((2u << order) <= block->chunks) {
		first = chunk & ~((2u << order) - 1);
		if (~(block->whole >> first) & bits_low(2u << order))
			break;
		order++;
	}
	return CLASS_WHOLE + order;
}

static unsigned class_of(const struct cfi_block *block, unsigned chunk)
{
	const struct cfi_chunk *c = &block->chunk[chunk];

	if (c->free == 0 || cfi_isolated(block) >> chunk & 1 ||
	    cfi_block_state(block) == CF_BLOCK_GOING_ONLINE)
		return CLASS_NONE;
	if (c->free == CF_CHUNK_FRAMES)
		return CLASS_WHOLE;
	return bitmap_largest(&block->bitmap[chunk]);
}

/* The parts of a run of order @had that stay when one of @order is taken. */
static void list_rest(struct cf_map *map, struct cfi_block *block,
		      unsigned order, unsigned had)
{
	for (; order < had; order++)
		cfi_index_set(zone_of(map, block), order, block->number);
}

static void unlist_whole(struct cf_map *map, struct cfi_block *block,
			 unsigned chunk)
{
	unsigned had = whole_run_around(block, chunk);

	block->whole &= ~((uint64_t)1 << chunk);
	list_rest(map, block, CLASS_WHOLE, had);
}

static void set_class(struct cf_map *map, struct cfi_block *block,
		      unsigned chunk, unsigned class)
{
	struct cfi_chunk *c = &block->chunk[chunk];
	uint64_t bit = (uint64_t)1 << chunk;

	if (c->class < CLASS_WHOLE)
		block->avail[c->class] &= ~bit;
	else if (c->class == CLASS_WHOLE)
		unlist_whole(map, block, chunk);
	c->class = (uint8_t)class;
	if (class == CLASS_NONE)
		return;
	if (class < CLASS_WHOLE) {
		block->avail[class] |= bit;
	} else {
		block->whole |= bit;
		class = whole_run_around(block, chunk);
	}
	cfi_index_set(zone_of(map, block), class, block->number);
}

/* List a chunk where it belongs after its free frames or isolation changed. */
void cfi_chunk_reclass(struct cf_map *map, struct cfi_block *block,
		       unsigned chunk)
{
	set_class(map, block, chunk, class_of(block, chunk));
}

/*
 * Make a chunk's frame words and bitmap valid, with nothing free.  The caller
 * owns the whole chunk: just taken, or the run that covers it is BUSY.
 */
void cfi_chunk_open(struct cfi_block *block, unsigned chunk)
{
	uint64_t bit = (uint64_t)1 << chunk;
	cfi_u64 *word = &block->frame_word[chunk * CF_CHUNK_FRAMES];

	CF_CHECK(!is_split(block, chunk), block->first);
	if (!(block->ready & bit)) {
		__builtin_memset(word, 0, CF_CHUNK_FRAMES * sizeof(*word));
		block->ready |= bit;
	}
	__builtin_memset(&block->bitmap[chunk], 0, sizeof(struct cfi_bitmap));
	set_split(block, chunk, true);
}

/* The chunk becomes one run, or part of one: its frame words are all 0. */
void cfi_chunk_close(struct cfi_block *block, unsigned chunk)
{
	CF_CHECK(block->chunk[chunk].free == 0, block->first);
	set_split(block, chunk, false);
}

/* Frames left a zone that keeps count, or came back. */
static void count_free(struct cf_map *map, struct cfi_block *block,
		       int64_t frames)
{
	block->free = (uint32_t)((int64_t)block->free + frames);
	if (block->watched)
		/* Relaxed: a count; watermarks allow for a moment's drift. */
		(void)cfi_add_relaxed(&zone_of(map, block)->free,
				      (uint64_t)frames);
}

/* Take whole chunks [chunk, chunk + count) that are listed. */
static void take_whole(struct cf_map *map, struct cfi_block *block,
		       unsigned chunk, unsigned count)
{
	unsigned i;

	block->whole &= ~(bits_low(count) << chunk);
	for (i = chunk; i < chunk + count; i++) {
		block->chunk[i].free = 0;
		block->chunk[i].class = CLASS_NONE;
	}
	count_free(map, block, -(int64_t)(count * CF_CHUNK_FRAMES));
}

/* Take frames out of a chunk's bitmap. */
static void take_bits(struct cf_map *map, struct cfi_block *block,
		      unsigned chunk, unsigned frame, unsigned order)
{
	struct cfi_chunk *c = &block->chunk[chunk];
	struct cfi_bitmap *bitmap = &block->bitmap[chunk];
	unsigned count = 1u << order;

	bitmap_set(bitmap, frame, frame + count, false);
	c->free = (uint16_t)(c->free - count);
	count_free(map, block, -(int64_t)count);
}

/* Break a listed whole chunk and list what stays of it. */
static void break_whole(struct cf_map *map, struct cfi_block *block,
			unsigned chunk)
{
	set_class(map, block, chunk, CLASS_NONE);
	cfi_chunk_open(block, chunk);
	bitmap_set(&block->bitmap[chunk], 0, (unsigned)CF_CHUNK_FRAMES, true);
}

/* The chunk to serve a request from a run of @class, or BITMAP_NONE. */
static unsigned pick_chunk(const struct cfi_block *block, unsigned class)
{
	uint64_t exact;

	if (class < CLASS_WHOLE)
		exact = block->avail[class];
	else
		exact = bits_exact(block->whole, class - CLASS_WHOLE);
	return exact ? bits_first(exact) : BITMAP_NONE;
}

/*
 * The lowest class in [first, last) the block has a run of, or CLASS_NONE.
 * @last is one past the block order if it is above CLASS_WHOLE.
 */
unsigned cfi_tightest(const struct cfi_block *block, unsigned first,
		      unsigned last)
{
	unsigned class;

	if (first >= CLASS_WHOLE && block->whole == 0)
		return CLASS_NONE;
	if (first >= CLASS_WHOLE && block->whole == bits_low(block->chunks))
		return last - 1;
	for (class = first; class < last; class++)
		if (pick_chunk(block, class) != BITMAP_NONE)
			return class;
	return CLASS_NONE;
}

/* Class of a chunk of @class from which a run of @order was taken. */
static unsigned class_without(const struct cfi_block *block, unsigned chunk,
			      unsigned order, unsigned class)
{
	/* Of a larger run, the largest of what is left is half of it. */
	if (class >= CLASS_WHOLE)
		return CF_CHUNK_ORDER - 1;
	if (bitmap_first(&block->bitmap[chunk], class) != BITMAP_NONE)
		return class;
	return order < class ? class - 1 : class_of(block, chunk);
}

/**
 * cfi_take_run() - take a run of @order from a maximal free run of @class.
 *
 * Return: false: the block has none of that class.
 */
bool cfi_take_run(struct cf_map *map, struct cfi_block *block, unsigned order,
		  unsigned class, cf_pfn *ret_pfn)
{
	unsigned chunk = pick_chunk(block, class);
	unsigned frame = 0;

	if (chunk == BITMAP_NONE)
		return false;
	if (order >= CF_CHUNK_ORDER) {
		take_whole(map, block, chunk, 1u << (order - CF_CHUNK_ORDER));
		list_rest(map, block, order, class);
	} else {
		if (class >= CLASS_WHOLE)
			break_whole(map, block, chunk);
		/* If the chunk has no larger run there is nothing to choose. */
		frame = order == class ?
			bitmap_first(&block->bitmap[chunk], order) :
			bitmap_find(&block->bitmap[chunk], order);
		take_bits(map, block, chunk, frame, order);
		set_class(map, block, chunk,
			  class_without(block, chunk, order, class));
	}
	*ret_pfn = block->first + ((cf_pfn)chunk << CF_CHUNK_ORDER) + frame;
	return true;
}

/*
 * Take single frames, up to @most, from one chunk of @class: whole words of
 * its bitmap, one after another.
 */
unsigned cfi_take_many(struct cf_map *map, struct cfi_block *block,
		       unsigned class, cf_pfn *ret_frames, unsigned most)
{
	unsigned chunk = pick_chunk(block, class);
	struct cfi_bitmap *bitmap;
	unsigned taken = 0;
	unsigned i;
	cf_pfn base;

	if (chunk == BITMAP_NONE)
		return 0;
	if (class >= CLASS_WHOLE)
		break_whole(map, block, chunk);
	bitmap = &block->bitmap[chunk];
	base = block->first + ((cf_pfn)chunk << CF_CHUNK_ORDER);
	for (i = 0; i < BITMAP_WORDS && taken < most; i++) {
		uint64_t bits = bitmap->word[i];

		for (; bits && taken < most; bits &= bits - 1)
			ret_frames[taken++] = base + i * 64 + bits_first(bits);
		bitmap->word[i] = bits;
	}
	block->chunk[chunk].free = (uint16_t)(block->chunk[chunk].free - taken);
	count_free(map, block, -(int64_t)taken);
	cfi_chunk_reclass(map, block, chunk);
	return taken;
}

static bool chunk_range_is_free(const struct cfi_block *block, unsigned chunk,
				unsigned first, unsigned last)
{
	if (block->chunk[chunk].free == CF_CHUNK_FRAMES)
		return true;
	return is_split(block, chunk) &&
	       bitmap_is(&block->bitmap[chunk], first, last, true);
}

/* Frames [first, last) of the block's part of a range, chunk by chunk. */
struct piece {
	unsigned chunk, first, last;	/* first, last: frames in the chunk */
};

static bool next_piece(const struct cfi_block *block, cf_pfn *at, cf_pfn last,
		       struct piece *piece)
{
	cf_pfn end;

	if (*at >= last)
		return false;
	end = cfi_min_pfn(last, (*at | (CF_CHUNK_FRAMES - 1)) + 1);
	piece->chunk = cfi_chunk_index(block, *at);
	piece->first = (unsigned)(*at % CF_CHUNK_FRAMES);
	piece->last = piece->first + (unsigned)(end - *at);
	*at = end;
	return true;
}

/* Are all frames of [first, last), inside the block, in its bitmaps? */
bool cfi_is_free(const struct cfi_block *block, cf_pfn first, cf_pfn last)
{
	struct piece piece;

	while (next_piece(block, &first, last, &piece))
		if (!chunk_range_is_free(block, piece.chunk, piece.first,
					 piece.last))
			return false;
	return true;
}

/* Take exactly [first, last), inside the block, if all of it is free. */
bool cfi_take_exact(struct cf_map *map, struct cfi_block *block, cf_pfn first,
		    cf_pfn last)
{
	struct piece piece;
	struct cfi_chunk *c;

	if (!cfi_is_free(block, first, last))
		return false;
	while (next_piece(block, &first, last, &piece)) {
		unsigned count = piece.last - piece.first;

		c = &block->chunk[piece.chunk];
		if (c->free == CF_CHUNK_FRAMES && count < CF_CHUNK_FRAMES) {
			cfi_chunk_open(block, piece.chunk);
			bitmap_set(&block->bitmap[piece.chunk], 0,
				   (unsigned)CF_CHUNK_FRAMES, true);
		}
		if (count < CF_CHUNK_FRAMES)
			bitmap_set(&block->bitmap[piece.chunk], piece.first,
				   piece.last, false);
		c->free = (uint16_t)(c->free - count);
		count_free(map, block, -(int64_t)count);
		cfi_chunk_reclass(map, block, piece.chunk);
	}
	return true;
}

/*
 * Does an isolated chunk still hold frames that are neither free nor stepped
 * over?  Returns its bit if it has just become empty.
 */
uint64_t cfi_chunk_settle(struct cfi_block *block, unsigned chunk)
{
	const struct cfi_chunk *c = &block->chunk[chunk];
	uint64_t bit = (uint64_t)1 << chunk;
	uint64_t was = block->pending & bit;

	if (!(cfi_isolated(block) & bit))
		return 0;
	if (c->free + c->skip == CF_CHUNK_FRAMES) {
		block->pending &= ~bit;
		return was;
	}
	block->pending |= bit;
	return 0;
}

/* Order of the free run that the aligned run of @count at @frame is in now. */
static unsigned order_around(const struct cfi_bitmap *bitmap, unsigned frame,
			     unsigned count)
{
	unsigned beside = frame ^ count;

	if (!bitmap_is(bitmap, beside, beside + count, true))
		return bits_first(count);
	return bitmap_run_around(bitmap, frame);
}

/*
 * What comes back most: an aligned run of a chunk that stays partly free.
 * False if it is anything else.
 */
static bool give_run(struct cf_map *map, struct cfi_block *block,
		     cf_pfn first, unsigned count)
{
	unsigned chunk = cfi_chunk_index(block, first);
	unsigned frame = (unsigned)(first % CF_CHUNK_FRAMES);
	struct cfi_bitmap *bitmap = &block->bitmap[chunk];
	struct cfi_chunk *c = &block->chunk[chunk];
	unsigned around;

	if (count & (count - 1) || frame & (count - 1) ||
	    c->free + count >= CF_CHUNK_FRAMES || !is_split(block, chunk) ||
	    cfi_isolated(block) ||
	    cfi_block_state(block) == CF_BLOCK_GOING_ONLINE)
		return false;
	CF_CHECK2(bitmap_is(bitmap, frame, frame + count, false), first, count);
	bitmap_set(bitmap, frame, frame + count, true);
	c->free = (uint16_t)(c->free + count);
	count_free(map, block, count);
	around = order_around(bitmap, frame, count);
	if (c->class == CLASS_NONE || around > c->class)
		set_class(map, block, chunk, around);
	return true;
}

static void give_piece(struct cf_map *map, struct cfi_block *block,
		       const struct piece *piece)
{
	struct cfi_chunk *c = &block->chunk[piece->chunk];
	struct cfi_bitmap *bitmap = &block->bitmap[piece->chunk];
	unsigned count = piece->last - piece->first;

	CF_CHECK2(c->free + count <= CF_CHUNK_FRAMES, block->first,
		  piece->chunk);
	if (count < CF_CHUNK_FRAMES) {
		CF_CHECK2(bitmap_is(bitmap, piece->first, piece->last, false),
			  block->first + piece->chunk * CF_CHUNK_FRAMES,
			  piece->first);
		bitmap_set(bitmap, piece->first, piece->last, true);
	}
	c->free = (uint16_t)(c->free + count);
	count_free(map, block, count);
	if (c->free == CF_CHUNK_FRAMES && is_split(block, piece->chunk))
		set_split(block, piece->chunk, false);
	cfi_chunk_reclass(map, block, piece->chunk);
}

/*
 * An aligned run of whole chunks comes back: one mask, one index bit.  False
 * if it is none, or its chunks are isolated or not listed yet.
 */
static bool give_chunks(struct cf_map *map, struct cfi_block *block,
			cf_pfn first, cf_pfn last)
{
	cf_pfn frames = last - first;
	unsigned count = (unsigned)(frames >> CF_CHUNK_ORDER);
	unsigned chunk = cfi_chunk_index(block, first);
	uint64_t mask = bits_low(count) << chunk;
	unsigned i;

	if (frames & (frames - 1) || first & (frames - 1) || count < 2 ||
	    cfi_isolated(block) & mask ||
	    cfi_block_state(block) == CF_BLOCK_GOING_ONLINE)
		return false;
	for (i = chunk; i < chunk + count; i++) {
		CF_CHECK2(block->chunk[i].free == 0, block->first, i);
		if (is_split(block, i))
			set_split(block, i, false);
		block->chunk[i].free = (uint16_t)CF_CHUNK_FRAMES;
		block->chunk[i].class = CLASS_WHOLE;
	}
	block->whole |= mask;
	count_free(map, block, (int64_t)frames);
	cfi_index_set(zone_of(map, block), whole_run_around(block, chunk),
		      block->number);
	return true;
}

/**
 * cfi_give() - put frames [first, last), inside the block, into its bitmaps.
 *
 * Their words are 0 and they are the caller's.
 *
 * Return: chunks that some operation waits for and that are empty now.
 */
uint64_t cfi_give(struct cf_map *map, struct cfi_block *block, cf_pfn first,
		  cf_pfn last)
{
	uint64_t empty = 0;
	struct piece piece;

	if (last - first < CF_CHUNK_FRAMES ?
	    give_run(map, block, first, (unsigned)(last - first)) :
	    give_chunks(map, block, first, last))
		return 0;
	while (next_piece(block, &first, last, &piece)) {
		give_piece(map, block, &piece);
		if (cfi_isolated(block))
			empty |= cfi_chunk_settle(block, piece.chunk);
	}
	return empty;
}
