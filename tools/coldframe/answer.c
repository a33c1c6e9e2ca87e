/* SPDX-License-Identifier: MIT */
#include "answer.h"

#include <stdlib.h>

#include "linux/capture.h"

#define MARKED_MAX	(UINT64_C(1) << 25)	/* frames: 16 MiB of marks */
#define IN_CHUNK	((uint64_t)CF_CHUNK_FRAMES - 1)

bool answer_is_frame(const struct answer *answer)
{
	return answer->range.last - answer->range.first == 1;
}

static void count_chunk(struct answer *answer, const struct lx_piece *chunk)
{
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++)
		answer->chunks[class] += !!chunk->count[class];
}

/* lx_chunk_fn, of a block that is in the range with all it has. */
static void take_whole(void *context, const struct lx_piece *chunk)
{
	count_chunk(context, chunk);
}

/* lx_chunk_fn, of a block that is not. */
static void take_part(void *context, const struct lx_piece *chunk)
{
	struct answer *answer = context;
	const struct lx_range *part = &answer->part;
	uint64_t last = (chunk->first | IN_CHUNK) + 1;

	if (chunk->first >= part->first && last <= part->last) {
		count_chunk(answer, chunk);
		lx_piece_add(&answer->piece, chunk);
		return;
	}
	if (!answer->edge.frames)
		return;
	lx_chunk_judge(answer->host, &answer->edge);
	count_chunk(answer, &answer->edge);
	lx_piece_add(&answer->piece, &answer->edge);
	answer->edge = (struct lx_piece){ .frames = 0 };
}

static void mark_run(struct answer *answer, enum lx_class class, uint64_t pfn,
		     uint64_t last)
{
	unsigned int mark = answer->marks[class];

	for (; mark && pfn < last; pfn++)
		lx_mark_set(answer->mark, pfn - answer->range.first, mark);
}

/*
 * lx_run_fn, of a block that is in the range with all it has. Frames before it
 * come, too, when their head was looked for.
 */
static void mark_whole(void *context, enum lx_class class, uint64_t pfn,
		       uint64_t frames)
{
	struct answer *answer = context;
	uint64_t last = pfn + frames;

	mark_run(answer, class, pfn < answer->part.first ?
		 answer->part.first : pfn, last);
}

/* lx_run_fn: marks, and what a chunk has that the range cuts. */
static void take_run(void *context, enum lx_class class, uint64_t pfn,
		     uint64_t frames)
{
	struct answer *answer = context;
	const struct lx_range *part = &answer->part;
	uint64_t chunk = pfn & ~IN_CHUNK, last = pfn + frames;

	if (pfn < part->first)
		pfn = part->first;
	if (last > part->last)
		last = part->last;
	if (pfn >= last)
		return;
	if (answer->mark)
		mark_run(answer, class, pfn, last);
	if (chunk >= part->first && chunk + CF_CHUNK_FRAMES <= part->last)
		return;
	if (!answer->edge.count[class])
		answer->edge.at[class] = pfn;
	answer->edge.count[class] += last - pfn;
	answer->edge.frames += last - pfn;
}

static int scan_block(struct survey *survey, struct answer *answer,
		      struct lx_piece *whole)
{
	const struct lx_range *range = &answer->range;
	struct lx_scan *scan = &survey->scan;
	uint64_t first = whole->first;
	uint64_t last = first + survey->host.blocks.frames;
	bool inside = first >= range->first && last <= range->last;
	int ret;

	answer->part = (struct lx_range){
		inside || first > range->first ? first : range->first,
		inside || last < range->last ? last : range->last,
	};
	answer->edge = (struct lx_piece){ .frames = 0 };
	scan->chunk = inside ? take_whole : take_part;
	scan->run = !inside ? take_run : answer->mark ? mark_whole : NULL;
	scan->context = answer;
	ret = lx_scan_piece(scan, first, last, whole, &survey->err);
	if (!ret && inside)
		lx_piece_add(&answer->piece, whole);
	return ret;
}

/* What the verdict on a block says of the part that was asked about. */
static void count_moves(struct answer *answer, const struct lx_piece *before,
			const struct lx_judgement *judgement)
{
	const struct lx_piece *piece = &answer->piece;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		if (lx_judged_moves(judgement, (enum lx_class)class))
			answer->moves[class] += piece->count[class] -
						before->count[class];
	}
	answer->spoiled += lx_judged_spoiled(judgement, piece) -
			   lx_judged_spoiled(judgement, before);
}

/* A block and the part of it that was asked about. */
static int look_at(struct survey *survey, struct answer *answer,
		   const struct lx_block *block)
{
	uint64_t frames = survey->host.blocks.frames;
	struct lx_piece whole = { .first = block->id * frames };
	struct lx_piece before = answer->piece;
	struct lx_judgement judgement;
	int ret = 0;

	if (survey->flags && block->state != LX_BLOCK_OFFLINE)
		ret = scan_block(survey, answer, &whole);
	if (ret)
		return ret;
	survey->cut += survey->flags && block->state == LX_BLOCK_ONLINE &&
		       whole.frames < frames;
	ret = survey_judge(survey, block, &whole, &judgement);
	if (ret)
		return ret;
	count_moves(answer, &before, &judgement);
	answer->verdicts[judgement.verdict]++;
	if (!answer->blocks++) {
		answer->block = block;
		answer->judgement = judgement;
	}
	return 0;
}

/* A frame behind the end of the file has no word. */
static int read_word(struct survey *survey, struct answer *answer)
{
	struct lx_words words;
	size_t count = 0;
	int ret;

	ret = lx_words_open(&words, survey->host.root, "proc/kpageflags",
			    &survey->err);
	if (ret)
		return ret;
	ret = lx_words_seek(&words, answer->range.first, &survey->err);
	if (!ret)
		ret = lx_words_read(&words, &answer->word, 1, &count,
				    &survey->err);
	lx_words_close(&words);
	answer->has_word = !ret && count;
	if (!ret && !count && !survey->cut)
		survey->cut++;
	return ret;
}

/* Nothing to mark for where there are no processes to ask. */
static void make_marks(struct survey *survey, struct answer *answer,
		       const struct lx_asked *asked)
{
	uint64_t frames = asked->last - asked->first;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++)
		answer->marks[class] = (unsigned char)hints_mark(
			(enum lx_class)class);
	if (survey->flags && frames <= MARKED_MAX &&
	    !lx_mount_find(survey->host.root))
		answer->mark = calloc(frames / 2 + 1, 1);
}

static int look_at_all(struct survey *survey, struct answer *answer)
{
	const struct lx_blocks *blocks = &survey->host.blocks;
	size_t i = lx_blocks_find(blocks, answer->range.first);
	int ret = 0;

	survey_rejudge(survey);
	for (; !ret && i < blocks->count &&
	     blocks->block[i].id * blocks->frames < answer->range.last; i++) {
		if (select_has(&survey->select, &survey->host,
			       &blocks->block[i]))
			ret = look_at(survey, answer, &blocks->block[i]);
	}
	if (!ret && survey->flags && answer_is_frame(answer))
		ret = read_word(survey, answer);
	return ret;
}

int answer_find(struct survey *survey, enum answer_owners owners,
		struct answer *answer)
{
	const struct lx_range *range = &answer->range;
	uint64_t end = lx_host_end(&survey->host);
	/* A range may end far behind the last block. */
	struct lx_asked asked = {
		range->first, range->last < end ? range->last : end, NULL,
	};
	int ret;

	answer->host = &survey->host;
	answer->piece.first = answer->range.first;
	answer->addresses = survey->host.addresses;
	if (owners != ANSWER_NO_OWNERS)
		make_marks(survey, answer, &asked);
	asked.mark = answer->mark;
	ret = look_at_all(survey, answer);
	if (!ret && owners != ANSWER_NO_OWNERS && survey->flags)
		hints_read(&answer->hints, survey->host.root, &asked,
			   owners == ANSWER_ALL_OWNERS ? NULL : &answer->piece);
	free(answer->mark);
	answer->mark = NULL;
	return ret;
}
