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

/* A line that is kept for an image: alike others follow that look like it. */
struct picture_line {
	uint64_t pfn, alike;
	size_t cells;			/* where they begin */
	unsigned int fill;
};

/* What picture_image() draws. A byte a cell. */
struct picture_kept {
	struct picture_line *line;
	size_t lines, lines_room;
	unsigned char *cell;
	size_t cells, cells_room;
	bool failed;			/* no memory */
};

enum picture_format {
	PICTURE_SVG,
	PICTURE_PNG,
};

/*
 * A picture as it is printed, a line at a time.  Lines that look like the one
 * before are counted and told in one line.
 */
struct picture {
	struct layout layout;
	bool color;
	struct picture_kept *kept;	/* NULL: print it */
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

/**
 * picture_image() - draw what was kept, with a legend, into a file.
 * @title: the first line
 * @kind:  frames, for the legend
 *
 * Return: 0, or -LX_EREAD: it cannot be written, or is too large, or this
 *         program was built without libpng.
 */
int picture_image(const struct picture *picture, const char *title,
		  const uint64_t kind[LX_KIND_COUNT],
		  enum picture_format format, FILE *file,
		  struct lx_error *err);
void picture_kept_free(struct picture_kept *kept);

#endif
