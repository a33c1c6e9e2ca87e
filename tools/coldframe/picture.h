/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_PICTURE_H
#define COLDFRAME_PICTURE_H

#include "cells.h"

#include <stdio.h>

#define PICTURE_LINE_MAX 256

/*
 * How the map is laid out.  The sizes are powers of two; a line begins at a
 * multiple of its own length.
 */
struct layout {
	uint64_t cell_frames;
	uint64_t block_frames;		/* 0: not known */
	unsigned int digits;		/* of an address */
	unsigned int cells;		/* in a line */
	unsigned int width;		/* columns there are */
};

/* Set cells to what fits, for the other fields as they are. */
void layout_fit(struct layout *layout);

/*
 * A picture as it is printed, a line at a time.  Lines that look like the one
 * before are counted and told in one line.
 */
struct picture {
	struct layout layout;
	bool color;
	uint64_t line_first;		/* first frame of the next line */
	unsigned int fill;		/* cells of it so far */
	unsigned char line[PICTURE_LINE_MAX];
	unsigned int above_fill;	/* the line printed last; 0: none */
	unsigned char above[PICTURE_LINE_MAX];
	uint64_t alike;			/* lines like it, not printed yet */
	uint64_t alike_first;		/* first frame of the last of them */
};

/* Begin a picture whose first cell is at @first. */
void picture_start(struct picture *picture, uint64_t first);
void picture_add(struct picture *picture, const struct cell *cell);
void picture_end(struct picture *picture);

/* The sign of a kind for whole and for mixed cells, in its colour. */
void picture_sign(const struct picture *picture, enum lx_kind kind, bool whole);

#endif
