/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_FILTER_H
#define COLDFRAME_FILTER_H

#include "linux/kpf.h"
#include "linux/ranges.h"

#define FILTER_BITS_MAX 64

/* One -b: all that a word has of mask is want; or, any: has some of mask. */
struct filter_bits {
	uint64_t mask, want;
	bool any;
};

/* What -a and -b leave: frames in one of the ranges, words that pass all. */
struct filter {
	struct lx_ranges ranges;	/* none: all frames */
	struct filter_bits bits[FILTER_BITS_MAX];
	size_t count;
};

/**
 * filter_add_frames() - take in one more range of frames.
 * @text: N, N+COUNT, FIRST,LAST (without LAST), FIRST, or ,LAST; numbers as
 *        in C
 *
 * Return: 0, or -LX_EFORMAT with the reason.
 */
int filter_add_frames(struct filter *filter, const char *text,
		      struct lx_error *err);

/**
 * filter_add_bits() - one more condition on the word.
 * @text: a,b   one of them is set
 *        a,b=a a is set, b is not
 *        a,~b  the same
 *        =a,b  these and no others
 *        where a and b are long names or masks as numbers
 *
 * Return: 0, or -LX_EFORMAT with the reason.
 */
int filter_add_bits(struct filter *filter, const char *text,
		    struct lx_error *err);

bool filter_passes(const struct filter *filter, uint64_t word);

#endif
