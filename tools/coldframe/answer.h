/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_ANSWER_H
#define COLDFRAME_ANSWER_H

#include "why.h"

/* How far to look for who has the frames. */
enum answer_owners {
	ANSWER_NO_OWNERS,
	ANSWER_OWNERS,			/* of what is in the way */
	ANSWER_ALL_OWNERS,
};

/* What one argument of coldframe why asks about. */
struct answer {
	const char *text;		/* the argument */
	struct lx_range range;
	struct lx_piece piece;		/* of the range */
	uint64_t chunks[LX_CLASS_COUNT];
	uint64_t moves[LX_CLASS_COUNT];	/* frames, by each block's verdict */
	uint32_t spoiled;		/* chunks, by the same */
	uint64_t verdicts[LX_VERDICT_COUNT];
	uint64_t blocks;
	const struct lx_block *block;	/* the first */
	struct lx_judgement judgement;	/* of it */
	bool has_word;
	uint64_t word;			/* of a single frame */
	struct hints hints;
	bool addresses;
	const struct lx_host *host;
	struct lx_range part;		/* of the range, in this block */
	struct lx_piece edge;		/* of a chunk that the range cuts */
	uint8_t *mark;			/* as in struct lx_asked */
	unsigned char marks[LX_CLASS_COUNT];	/* what to mark each with */
};

/**
 * answer_find() - look at all that an answer is about.
 * @answer: text and range are set, all else is 0; give the hints back with
 *          hints_free()
 *
 * Reads each word once, in rising order; of a single frame, its own again.
 *
 * Return: 0, or negative: survey->err has the reason.
 */
int answer_find(struct survey *survey, enum answer_owners owners,
		struct answer *answer);

bool answer_is_frame(const struct answer *answer);

#endif
