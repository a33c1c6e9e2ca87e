/* SPDX-License-Identifier: MIT */

/*
 * A bitmap over all frames there may ever be: what a driver knows of the
 * memory that is its own, or a host of its balloon.  Two levels, so that
 * 64 TiB of which nothing is known cost 4 MiB.  A leaf all of which is set
 * costs nothing either.
 */

#include <stdlib.h>
#include <string.h>

#include "machine/bits.h"

#define LEAF_FRAMES	((cf_pfn)1 << CF_BLOCK_ORDER_MAX)
#define LEAF_WORDS	(LEAF_FRAMES / 64)

/* Stands for every word of a leaf that is full. Never written. */
static uint64_t full = ~(uint64_t)0;

/* Equation: set == number of bits that are 1. */
struct bits {
	cf_pfn last;		/* one past the highest frame */
	cf_pfn end;		/* one past the highest that was ever set */
	uint64_t set;
	uint64_t leaves;	/* that have memory */
	uint64_t **leaf;	/* NULL: nothing; &full: all of it is set */
};

struct bits *bits_new(cf_pfn last)
{
	struct bits *bits = calloc(1, sizeof(*bits));

	if (!bits)
		return NULL;
	bits->last = last;
	bits->leaf = calloc((last + LEAF_FRAMES - 1) / LEAF_FRAMES,
			    sizeof(*bits->leaf));
	if (!bits->leaf) {
		free(bits);
		return NULL;
	}
	return bits;
}

void bits_free(struct bits *bits)
{
	cf_pfn pfn;

	if (!bits)
		return;
	for (pfn = 0; pfn < bits->end; pfn += LEAF_FRAMES)
		if (bits->leaf[pfn / LEAF_FRAMES] != &full)
			free(bits->leaf[pfn / LEAF_FRAMES]);
	free(bits->leaf);
	free(bits);
}

/* The bits [first, last) of the word that holds @first. */
static uint64_t mask_of(cf_pfn first, cf_pfn last)
{
	uint64_t mask = ~(uint64_t)0 << first % 64;

	if (last - first < 64 - first % 64)
		mask &= ~(uint64_t)0 >> (64 - last % 64);
	return mask;
}

static uint64_t *word_of(const struct bits *bits, cf_pfn pfn)
{
	uint64_t *leaf = bits->leaf[pfn / LEAF_FRAMES];

	if (leaf == &full)
		return leaf;
	return leaf ? &leaf[pfn % LEAF_FRAMES / 64] : NULL;
}

/* The word of a frame, made if it is not there. */
static uint64_t *make_word(struct bits *bits, cf_pfn pfn)
{
	uint64_t **leaf = &bits->leaf[pfn / LEAF_FRAMES];
	bool is_full = *leaf == &full;

	if (!*leaf || is_full) {
		*leaf = calloc(LEAF_WORDS, sizeof(**leaf));
		bits->leaves++;
	}
	if (!*leaf)
		abort();	/* 4 KiB: the process is at its end */
	if (is_full)
		(void)memset(*leaf, 0xff, LEAF_WORDS * sizeof(**leaf));
	return &(*leaf)[pfn % LEAF_FRAMES / 64];
}

/* All of one leaf is set. */
static void fill_leaf(struct bits *bits, cf_pfn first)
{
	uint64_t **leaf = &bits->leaf[first / LEAF_FRAMES];

	bits->set += LEAF_FRAMES - bits_within(bits, first,
					       first + LEAF_FRAMES);
	if (*leaf && *leaf != &full) {
		free(*leaf);
		bits->leaves--;
	}
	*leaf = &full;
}

static void set_words(struct bits *bits, cf_pfn first, cf_pfn last, bool value)
{
	uint64_t *word, mask;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn = (pfn | 63) + 1) {
		word = value || word_of(bits, pfn) ? make_word(bits, pfn) :
						     NULL;
		if (!word)
			continue;
		mask = mask_of(pfn, last);
		bits->set -= (uint64_t)__builtin_popcountll(*word & mask);
		if (value) {
			*word |= mask;
			bits->set += (uint64_t)__builtin_popcountll(mask);
		} else {
			*word &= ~mask;
		}
	}
}

void bits_set(struct bits *bits, cf_pfn first, cf_pfn last, bool value)
{
	cf_pfn at = first, end;

	for (; at < last; at = end) {
		end = (at | (LEAF_FRAMES - 1)) + 1;
		if (end > last)
			end = last;
		if (value && end - at == LEAF_FRAMES)
			fill_leaf(bits, at);
		else
			set_words(bits, at, end, value);
	}
	if (value && last > bits->end)
		bits->end = last;
}

uint64_t bits_bytes(const struct bits *bits)
{
	return bits->leaves * LEAF_WORDS * sizeof(uint64_t);
}

bool bits_get(const struct bits *bits, cf_pfn pfn)
{
	const uint64_t *word = word_of(bits, pfn);

	return word && (*word >> pfn % 64 & 1);
}

uint64_t bits_count(const struct bits *bits)
{
	return bits->set;
}

uint64_t bits_within(const struct bits *bits, cf_pfn first, cf_pfn last)
{
	const uint64_t *word;
	uint64_t count = 0;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn = (pfn | 63) + 1) {
		word = word_of(bits, pfn);
		if (word)
			count += (uint64_t)__builtin_popcountll(
				*word & mask_of(pfn, last));
	}
	return count;
}

/* The first frame from @pfn on whose bit is @value, or @last. */
static cf_pfn find(const struct bits *bits, bool value, cf_pfn pfn,
		   cf_pfn last)
{
	const uint64_t *word;
	uint64_t found;

	while (pfn < last) {
		word = word_of(bits, pfn);
		if ((!word && value) || (word == &full && !value)) {
			pfn = (pfn | (LEAF_FRAMES - 1)) + 1;
			continue;
		}
		found = word ? *word : 0;
		found = (value ? found : ~found) & mask_of(pfn, last);
		if (found)
			return (pfn & ~(cf_pfn)63) +
			       (cf_pfn)__builtin_ctzll(found);
		pfn = (pfn | 63) + 1;
	}
	return last;
}

bool bits_next(const struct bits *bits, bool value, cf_pfn last,
	       struct stretch *stretch)
{
	cf_pfn first = find(bits, value, stretch->last, last);

	if (first >= last)
		return false;
	stretch->first = first;
	stretch->last = find(bits, !value, first, last);
	return true;
}

cf_pfn bits_end(const struct bits *bits)
{
	return bits->end;
}
