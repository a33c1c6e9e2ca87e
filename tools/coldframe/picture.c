/* SPDX-License-Identifier: MIT */
#include "picture.h"

#include <inttypes.h>
#include <string.h>

/* Signs and colours (SGR parameters) for cells of one kind and for mixed. */
static const struct sign {
	char whole, mixed;
	const char *whole_color, *mixed_color;
} signs[LX_KIND_COUNT] = {
	[LX_KIND_FREE]		= { '.', 'f', "32", "32" },
	[LX_KIND_USER]		= { 'U', 'u', "7;36", "36" },
	[LX_KIND_KERNEL]	= { 'K', 'k', "7;31", "31" },
	[LX_KIND_SLAB]		= { 'S', 's', "7;33", "33" },
	[LX_KIND_PGTABLE]	= { 'G', 'g', "7;35", "35" },
	[LX_KIND_RESERVED]	= { 'R', 'r', "7;90", "90" },
	[LX_KIND_OFFLINE]	= { 'O', 'o', "7;34", "34" },
	[LX_KIND_NEVER_ONLINED]	= { 'N', 'n', "7;94", "94" },
	[LX_KIND_BALLOON]	= { 'M', 'm', "7;95", "95" },
	[LX_KIND_POISON]	= { 'X', 'x', "1;97;41", "1;97;41" },
	[LX_KIND_BLOCK_OFFLINE]	= { '=', '~', "90", "90" },
	[LX_KIND_ABSENT]	= { '-', '-', "90", "90" },
};

/* Below this many columns, fewer words. */
#define NARROW 40

/* A cell in a line: its kind, and whether all of it is that. */
#define CELL_WHOLE	0x80
#define CELL_BLANK	0x7f	/* before the first frame asked for */

/* Signs in a line that are no cells: where blocks begin. */
static unsigned int count_marks(const struct layout *layout, unsigned int cells)
{
	uint64_t frames = cells * layout->cell_frames;

	if (!layout->block_frames || frames <= layout->block_frames ||
	    layout->cell_frames >= layout->block_frames)
		return 1;
	return (unsigned int)(frames / layout->block_frames);
}

void layout_fit(struct layout *layout)
{
	unsigned int cells = PICTURE_LINE_MAX;
	unsigned int margin = 2 + layout->digits + 1;

	while (cells > 4 &&
	       margin + cells + count_marks(layout, cells) > layout->width)
		cells /= 2;
	layout->cells = cells;
}

/* @color: the one in force, or NULL: none. */
static void print_cell(const struct picture *picture, unsigned char cell,
		       const char **color)
{
	bool whole = cell & CELL_WHOLE;
	const struct sign *sign;
	const char *want;

	if (cell == CELL_BLANK) {
		putchar(' ');
		return;
	}
	sign = &signs[cell & (CELL_WHOLE - 1)];
	want = whole ? sign->whole_color : sign->mixed_color;
	if (picture->color && (!*color || strcmp(*color, want))) {
		printf("\033[0;%sm", want);
		*color = want;
	}
	putchar(whole ? sign->whole : sign->mixed);
}

static void end_color(const char **color)
{
	if (*color)
		fputs("\033[0m", stdout);
	*color = NULL;
}

/* '|' where a block begins; ':' at the start of a line within a block. */
static char mark_at(const struct layout *layout, unsigned int index,
		    uint64_t pfn)
{
	if (!layout->block_frames)
		return index ? 0 : ' ';
	if (layout->cell_frames >= layout->block_frames)
		return index ? 0 : '|';
	if (pfn % layout->block_frames)
		return index ? 0 : ':';
	return '|';
}

/* Print what is in above[], at @pfn. */
static void print_line(const struct picture *picture, uint64_t pfn)
{
	const struct layout *layout = &picture->layout;
	const char *color = NULL;
	unsigned int i;
	char mark;

	printf("0x%0*" PRIx64 " ", (int)layout->digits, pfn << CF_FRAME_SHIFT);
	for (i = 0; i < picture->above_fill; i++, pfn += layout->cell_frames) {
		mark = mark_at(layout, i, pfn);
		if (mark) {
			end_color(&color);
			putchar(mark);
		}
		print_cell(picture, picture->above[i], &color);
	}
	end_color(&color);
	putchar('\n');
}

static void print_alike(struct picture *picture)
{
	bool narrow = picture->layout.width < NARROW;

	if (picture->alike == 1)
		print_line(picture, picture->alike_first);
	else if (picture->alike)
		printf(narrow ? "  ... %" PRIu64 " more lines\n" :
				"  ... %" PRIu64 " lines like the one above\n",
		       picture->alike);
	picture->alike = 0;
}

static void finish_line(struct picture *picture)
{
	bool same = picture->fill == picture->above_fill &&
		    !memcmp(picture->line, picture->above, picture->fill);

	if (same) {
		picture->alike++;
		picture->alike_first = picture->line_first;
	} else {
		print_alike(picture);
		memcpy(picture->above, picture->line, picture->fill);
		picture->above_fill = picture->fill;
		print_line(picture, picture->line_first);
	}
	picture->line_first += picture->layout.cells *
			       picture->layout.cell_frames;
	picture->fill = 0;
}

void picture_start(struct picture *picture, uint64_t first)
{
	const struct layout *layout = &picture->layout;
	uint64_t line_frames = layout->cells * layout->cell_frames;

	picture->line_first = first - first % line_frames;
	picture->fill = (unsigned int)(first % line_frames /
				       layout->cell_frames);
	memset(picture->line, CELL_BLANK, picture->fill);
	picture->above_fill = 0;
	picture->alike = 0;
}

void picture_add(struct picture *picture, const struct cell *cell)
{
	bool whole;
	enum lx_kind kind = cell_kind(cell, &whole);

	picture->line[picture->fill++] =
		(unsigned char)(kind | (whole ? CELL_WHOLE : 0));
	if (picture->fill == picture->layout.cells)
		finish_line(picture);
}

void picture_end(struct picture *picture)
{
	if (picture->fill)
		finish_line(picture);
	print_alike(picture);
}

void picture_sign(const struct picture *picture, enum lx_kind kind, bool whole)
{
	unsigned char cell = (unsigned char)(kind | (whole ? CELL_WHOLE : 0));
	const char *color = NULL;

	print_cell(picture, cell, &color);
	end_color(&color);
}
