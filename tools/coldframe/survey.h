/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_SURVEY_H
#define COLDFRAME_SURVEY_H

#include "linux/verdict.h"
#include "select.h"

/*
 * A pass over the blocks of a host, as most commands make one: the source is
 * opened, what it tells is read, and each block comes with its frames and a
 * verdict.
 */
struct survey {
	const char *command;
	struct common_source source;
	struct select select;
	char **arguments;		/* that name blocks, NULL at the end */
	bool needs_flags;		/* nothing can be said without */
	struct lx_host host;
	struct lx_scan scan;
	struct lx_judge judge;
	bool flags;			/* kpageflags is open */
	size_t missing;			/* arguments that name no memory */
	size_t cut;			/* online blocks the file ends before */
	size_t next;			/* block */
	size_t past;			/* blocks before are judged, all */
	struct lx_scan past_scan;	/* of those not asked for */
	bool past_open;
	struct lx_error err;
};

/* A block as it comes out of a survey. */
struct surveyed {
	const struct lx_block *block;
	struct lx_piece piece;		/* all 0 for a block that is offline */
	struct lx_judgement judgement;
};

#define SURVEY_LETTERS COMMON_LETTERS SELECT_LETTERS

/**
 * survey_option() - take an option of COMMON_OPTIONS or SELECT_OPTIONS.
 * Return: -1: not one of them; 0; or an exit status.
 */
int survey_option(struct survey *survey, int option, const char *value);

/**
 * survey_open() - read all but the frames. Pair with survey_close().
 *
 * Says on stderr what will not be known, and why.
 *
 * Return: 0, or an exit status, and the message is out.
 */
int survey_open(struct survey *survey);
void survey_close(struct survey *survey);

/*
 * survey_next() - the next block that was asked for.
 * Return: 1; 0: there is none; negative: survey->err has the reason.
 */
int survey_next(struct survey *survey, struct surveyed *ret_block);

/**
 * survey_judge() - the verdict on a block as a part of the whole host.
 *
 * When it rests on something that blocks before it may have used up, and
 * these were not asked for, they are read first. Blocks come in rising order,
 * from survey_open() or survey_rejudge() on.
 *
 * Return: 0, or negative: survey->err has the reason.
 */
int survey_judge(struct survey *survey, const struct lx_block *block,
		 const struct lx_piece *piece,
		 struct lx_judgement *ret_judgement);

/* Nothing is used up any more: begin at any block. */
void survey_rejudge(struct survey *survey);

/* The exit status of a survey that came to its end; notes what it met. */
int survey_end(struct survey *survey);

#endif
