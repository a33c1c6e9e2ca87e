/* SPDX-License-Identifier: MIT */

/*
 * What stands in frames.
 *
 * Every word depends on the run's seed, on which of its frames it is in and
 * on where it stands there, so that frames that were swapped, shifted, lost
 * or overwritten in part are all seen.
 */

#include "internal.h"

#define FRAME_WORDS	(CF_FRAME_BYTES / sizeof(uint64_t))

static uint64_t frame_seed(uint64_t seed, uint64_t frame)
{
	uint64_t mixed = seed + (frame + 1) * 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 31) * 0xd6e8feb86659fd93;
	return mixed ^ mixed >> 32;
}

static inline uint64_t word_at(uint64_t seed, uint64_t word)
{
	return (seed + word) * 0xff51afd7ed558ccd ^ seed >> 17;
}

void content_fill(void *memory, uint64_t seed, uint64_t first,
		  uint64_t frames)
{
	uint64_t *word = memory;
	uint64_t frame, i;

	for (frame = first; frame < first + frames; frame++) {
		uint64_t mixed = frame_seed(seed, frame);

		for (i = 0; i < FRAME_WORDS; i++)
			*word++ = word_at(mixed, i);
	}
}

static bool frame_intact(const uint64_t *word, uint64_t mixed)
{
	uint64_t wrong = 0;
	uint64_t i;

	for (i = 0; i < FRAME_WORDS; i++)
		wrong |= word[i] ^ word_at(mixed, i);
	return !wrong;
}

bool content_intact(const void *memory, uint64_t seed, uint64_t first,
		    uint64_t frames, uint64_t *ret_frame)
{
	const uint64_t *word = memory;
	uint64_t frame;

	for (frame = 0; frame < frames; frame++) {
		if (!frame_intact(word + frame * FRAME_WORDS,
				  frame_seed(seed, first + frame))) {
			*ret_frame = frame;
			return false;
		}
	}
	return true;
}
