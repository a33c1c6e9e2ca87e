/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_DIFF_H
#define MACHINE_SAVE_DIFF_H

/* Two files of saved machines against each other, without restoring them. */

#include <coldframe/coldframe.h>

#include "save_stream.h"

/* What became of something from the first file to the second. */
enum save_change {
	SAVE_SAME,
	SAVE_CHANGED,
	SAVE_ONLY_FIRST,
	SAVE_ONLY_SECOND,
	SAVE_CHANGE_COUNT
};

const char *save_change_name(enum save_change change);

/* A run, as its word says. Of type NONE: it is not there. */
struct save_diff_run {
	cf_pfn first;
	enum cf_type type;
	unsigned order, flags, owner, refs, pins;
	uint32_t payload;
};

struct save_diff {
	/* Records by kind; those of runs and contents are counted below. */
	uint64_t records[SAVE_KIND_COUNT][SAVE_CHANGE_COUNT];
	/* Frames of runs, by the type in the second file, or in the first. */
	uint64_t frames[CF_TYPE_COUNT][SAVE_CHANGE_COUNT];
	/* Frames with contents in a file: not zero, and in use. */
	uint64_t contents[SAVE_CHANGE_COUNT];

	/* Called for each run that is not the same; NULL: for none. */
	void (*run)(void *context, enum save_change change,
		    const struct save_diff_run *a,
		    const struct save_diff_run *b);
	/* For each stretch of frames whose contents are not the same. */
	void (*content)(void *context, enum save_change change, cf_pfn first,
			cf_pfn last);
	void *context;
};

/**
 * save_diff() - compare two files.
 * @diff: the counts are zero, the functions are the caller's
 * @why:  SAVE_WHY_BYTES, filled on failure
 *
 * Reads each once, from its beginning to its end. Return: 0, or -1 with @why:
 * one cannot be read.
 */
int save_diff(struct save_diff *diff, const char *a, const char *b, char *why);

/* Is there any difference? */
bool save_diff_any(const struct save_diff *diff);

#endif
