/* SPDX-License-Identifier: MIT */
#include "picture.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_PNG
#include <png.h>
#endif

#include "common.h"
#include "font.h"
#include "legend.h"

/* Signs and colours (SGR parameters) for cells of one kind and for mixed. */
static const struct sign {
	char whole, mixed;
	const char *whole_color, *mixed_color;
	uint32_t rgb;			/* in images; mixed is lighter */
} signs[LX_KIND_COUNT] = {
	[LX_KIND_FREE]		= { '.', 'f', "32", "32",
				    0x7fc97f },
	[LX_KIND_USER]		= { 'U', 'u', "7;36", "36",
				    0x56a3d8 },
	[LX_KIND_KERNEL]	= { 'K', 'k', "7;31", "31",
				    0xd6544d },
	[LX_KIND_SLAB]		= { 'S', 's', "7;33", "33",
				    0xf2a33a },
	[LX_KIND_PGTABLE]	= { 'G', 'g', "7;35", "35",
				    0xb76bcf },
	[LX_KIND_RESERVED]	= { 'R', 'r', "7;90", "90",
				    0x868e96 },
	[LX_KIND_OFFLINE]	= { 'O', 'o', "7;34", "34",
				    0x3b5bdb },
	[LX_KIND_NEVER_ONLINED]	= { 'N', 'n', "7;94", "94",
				    0x91a7ff },
	[LX_KIND_BALLOON]	= { 'M', 'm', "7;95", "95",
				    0xe58be0 },
	[LX_KIND_POISON]	= { 'X', 'x', "1;97;41", "1;97;41",
				    0x212529 },
	[LX_KIND_BLOCK_OFFLINE]	= { '=', '~', "90", "90",
				    0xced4da },
	[LX_KIND_UNKNOWN]	= { '?', '?', "37", "37",
				    0xadb5bd },
	[LX_KIND_ABSENT]	= { '-', '-', "90", "90",
				    0xf1f3f5 },
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

static bool grow(void **array, size_t *room, size_t want, size_t size)
{
	size_t more = *room ? *room : 64;
	void *bytes;

	while (more < want)
		more *= 2;
	if (more == *room)
		return true;
	bytes = realloc(*array, more * size);
	if (!bytes)
		return false;
	*array = bytes;
	*room = more;
	return true;
}

/* Keep what is in above[] for an image. */
static void keep_line(const struct picture *picture, uint64_t pfn)
{
	struct picture_kept *kept = picture->kept;
	unsigned int fill = picture->above_fill;
	void *line = kept->line, *cell = kept->cell;

	kept->failed |= !grow(&line, &kept->lines_room, kept->lines + 1,
			      sizeof(*kept->line));
	kept->line = line;
	kept->failed |= !grow(&cell, &kept->cells_room, kept->cells + fill, 1);
	kept->cell = cell;
	if (kept->failed)
		return;
	kept->line[kept->lines++] = (struct picture_line){
		.pfn = pfn, .cells = kept->cells, .fill = fill,
	};
	memcpy(kept->cell + kept->cells, picture->above, fill);
	kept->cells += fill;
}

void picture_kept_free(struct picture_kept *kept)
{
	free(kept->line);
	free(kept->cell);
}

/* Print what is in above[], at @pfn. */
static void print_line(const struct picture *picture, uint64_t pfn)
{
	const struct layout *layout = &picture->layout;
	const char *color = NULL;
	unsigned int i;
	char mark;

	if (picture->kept) {
		keep_line(picture, pfn);
		return;
	}
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
	else if (picture->kept && !picture->kept->failed &&
		 picture->kept->lines)
		picture->kept->line[picture->kept->lines - 1].alike =
			picture->alike;
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

/*
 * Images: bands of the same height from the top, each of which is text, or
 * cells with an address. Sizes are in dots.
 */
#define BAND		16u
#define CELL		11
#define GAP		3		/* before a block */
#define MARGIN		8
#define LETTER		(FONT_WIDTH + 1)
#define LETTER_TOP	((BAND - FONT_HEIGHT) / 2)
#define HEIGHT_MAX	60000		/* what viewers can be trusted with */
#define INK		0x212529
#define PAPER		0xffffff

struct canvas {
	const struct picture *picture;
	const char *title;
	const uint64_t *kind;
	FILE *file;
	unsigned int width, height;
	unsigned int top;		/* of the band */
	unsigned char *band;		/* of a PNG: dots of 3 bytes */
};

static uint32_t blend(uint32_t rgb)
{
	uint32_t red = rgb >> 16, green = rgb >> 8 & 255, blue = rgb & 255;

	return (red + 255) / 2 << 16 | (green + 255) / 2 << 8 |
	       (blue + 255) / 2;
}

static uint32_t cell_rgb(unsigned char cell)
{
	uint32_t rgb = signs[cell & (CELL_WHOLE - 1)].rgb;

	return cell & CELL_WHOLE ? rgb : blend(rgb);
}

static char cell_sign(unsigned char cell)
{
	const struct sign *sign = &signs[cell & (CELL_WHOLE - 1)];

	return cell & CELL_WHOLE ? sign->whole : sign->mixed;
}

/* Dark letters on light ground, and the other way round. */
static uint32_t ink_on(uint32_t rgb)
{
	uint32_t light = 3 * (rgb >> 16) + 6 * (rgb >> 8 & 255) + (rgb & 255);

	return light > 1200 ? INK : PAPER;
}

static void dot(struct canvas *canvas, unsigned int x, unsigned int y,
		uint32_t rgb)
{
	unsigned char *at = canvas->band + 3 * (y * canvas->width + x);

	if (x >= canvas->width)
		return;
	at[0] = (unsigned char)(rgb >> 16);
	at[1] = (unsigned char)(rgb >> 8);
	at[2] = (unsigned char)rgb;
}

static void draw_box(struct canvas *canvas, unsigned int x, unsigned int width,
		     uint32_t rgb)
{
	unsigned int dx, dy;

	if (!canvas->band) {
		fprintf(canvas->file, "<rect x=\"%u\" y=\"%u\" width=\"%u\" "
			"height=\"%u\" fill=\"#%06" PRIx32 "\"/>\n", x,
			canvas->top, width, BAND - 1, rgb);
		return;
	}
	for (dy = 0; dy < BAND - 1; dy++) {
		for (dx = 0; dx < width; dx++)
			dot(canvas, x + dx, dy, rgb);
	}
}

static void draw_letter(struct canvas *canvas, unsigned int x, char letter,
			uint32_t rgb)
{
	const unsigned char *glyph = font[letter & 127];
	unsigned int dx, dy;

	for (dy = 0; dy < FONT_HEIGHT; dy++) {
		for (dx = 0; dx < FONT_WIDTH; dx++) {
			if (glyph[dy] >> (FONT_WIDTH - 1 - dx) & 1)
				dot(canvas, x + dx, LETTER_TOP + dy, rgb);
		}
	}
}

static void write_text(struct canvas *canvas, unsigned int x, int length,
		       const char *text, uint32_t rgb)
{
	fprintf(canvas->file, "<text x=\"%u\" y=\"%u\" fill=\"#%06" PRIx32
		"\">%.*s</text>\n", x, canvas->top + LETTER_TOP +
		FONT_HEIGHT + 1, rgb, length, text);
}

/*
 * Letters @step apart: in an SVG each by itself, unless they are as close as
 * in any text. Nothing drawn here has a < or an &.
 */
static void draw_text(struct canvas *canvas, unsigned int x, unsigned int step,
		      const char *text, uint32_t rgb)
{
	if (!canvas->band && step == LETTER) {
		write_text(canvas, x, (int)strlen(text), text, rgb);
		return;
	}
	for (; *text; text++, x += step) {
		if (canvas->band)
			draw_letter(canvas, x, *text, rgb);
		else
			write_text(canvas, x, 1, text, rgb);
	}
}

static void draw_cells(struct canvas *canvas, unsigned int x,
		       const unsigned char *cell, unsigned int count)
{
	uint32_t rgb = cell_rgb(*cell);
	char text[PICTURE_LINE_MAX + 1];

	memset(text, cell_sign(*cell), count);
	text[count] = 0;
	draw_box(canvas, x, count * CELL - 1, rgb);
	draw_text(canvas, x + (CELL - FONT_WIDTH) / 2, CELL, text,
		  ink_on(rgb));
}

static unsigned int first_cell(const struct layout *layout)
{
	return MARGIN + (layout->digits + 3) * LETTER;
}

/* A band of cells: those in a row that are alike are one box. */
static void draw_line(struct canvas *canvas, const struct picture_line *line)
{
	const struct layout *layout = &canvas->picture->layout;
	const unsigned char *cell = canvas->picture->kept->cell + line->cells;
	unsigned int x = first_cell(layout), i, next;
	uint64_t pfn = line->pfn;
	char text[40];

	snprintf(text, sizeof(text), "0x%0*" PRIx64, (int)layout->digits,
		 line->pfn << CF_FRAME_SHIFT);
	draw_text(canvas, MARGIN, LETTER, text, INK);
	for (i = 0; i < line->fill; i = next) {
		if (i && mark_at(layout, i, pfn) == '|')
			x += GAP;
		for (next = i + 1; next < line->fill && cell[next] == cell[i];
		     next++) {
			if (mark_at(layout, next, pfn + (next - i) *
				    layout->cell_frames) == '|')
				break;
		}
		if (cell[i] != CELL_BLANK)
			draw_cells(canvas, x, &cell[i], next - i);
		x += (next - i) * CELL;
		pfn += (next - i) * layout->cell_frames;
	}
}

static void draw_format(struct canvas *canvas, unsigned int x,
			const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void draw_format(struct canvas *canvas, unsigned int x,
			const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	draw_text(canvas, x, LETTER, text, INK);
}

static void draw_legend(struct canvas *canvas, enum lx_kind kind)
{
	uint64_t bytes = canvas->kind[kind] << CF_FRAME_SHIFT;
	unsigned char whole = (unsigned char)(kind | CELL_WHOLE);
	unsigned char mixed = (unsigned char)kind;
	char size[24];

	draw_cells(canvas, MARGIN, &whole, 1);
	draw_cells(canvas, MARGIN + CELL, &mixed, 1);
	draw_format(canvas, MARGIN + 3 * CELL, "%10s  %s",
		    common_bytes(bytes, size), legend_meaning(kind));
}

/* The bands after title and lines: a blank one, then one a kind. */
static unsigned int legend_bands(const struct canvas *canvas)
{
	unsigned int kind, bands = 2;

	for (kind = 0; kind < LX_KIND_COUNT; kind++)
		bands += canvas->kind[kind] != 0;
	return bands;
}

static size_t line_bands(const struct picture_kept *kept)
{
	size_t bands = 0, i;

	for (i = 0; i < kept->lines; i++)
		bands += kept->line[i].alike > 1 ? 2 : 1;
	return bands;
}

/* Called for each band once it is drawn. False: stop. */
typedef bool (*band_fn)(void *context, struct canvas *canvas);

static bool next_band(struct canvas *canvas, band_fn fn, void *context)
{
	bool good = fn(context, canvas);

	canvas->top += BAND;
	if (canvas->band)
		memset(canvas->band, 255, (size_t)canvas->width * BAND * 3);
	return good;
}

static bool draw_bands(struct canvas *canvas, band_fn fn, void *context)
{
	const struct picture_kept *kept = canvas->picture->kept;
	unsigned int kind;
	size_t i;

	draw_text(canvas, MARGIN, LETTER, canvas->title, INK);
	if (!next_band(canvas, fn, context))
		return false;
	for (i = 0; i < kept->lines; i++) {
		draw_line(canvas, &kept->line[i]);
		if (!next_band(canvas, fn, context))
			return false;
		if (kept->line[i].alike < 2)
			continue;
		draw_format(canvas, first_cell(&canvas->picture->layout),
			    "... %" PRIu64 " lines like the one above",
			    kept->line[i].alike);
		if (!next_band(canvas, fn, context))
			return false;
	}
	if (!next_band(canvas, fn, context))
		return false;
	for (kind = 0; kind < LX_KIND_COUNT; kind++) {
		if (!canvas->kind[kind])
			continue;
		draw_legend(canvas, (enum lx_kind)kind);
		if (!next_band(canvas, fn, context))
			return false;
	}
	return true;
}

static bool svg_band(void *context, struct canvas *canvas)
{
	(void)context;
	return !ferror(canvas->file);
}

static bool write_svg(struct canvas *canvas)
{
	fprintf(canvas->file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
		"height=\"%u\" font-family=\"monospace\" font-size=\"10\" "
		"xml:space=\"preserve\">\n<rect width=\"100%%\" "
		"height=\"100%%\" fill=\"#ffffff\"/>\n", canvas->width,
		canvas->height);
	if (!draw_bands(canvas, svg_band, NULL))
		return false;
	fputs("</svg>\n", canvas->file);
	return !ferror(canvas->file);
}

#ifdef HAVE_PNG
static bool png_band(void *context, struct canvas *canvas)
{
	unsigned int y;

	for (y = 0; y < BAND; y++)
		png_write_row(context, canvas->band +
			      3 * (size_t)y * canvas->width);
	return true;
}

/* libpng comes back here when it fails. */
static bool write_rows(struct canvas *canvas, png_structp png, png_infop info)
{
	if (setjmp(png_jmpbuf(png)))
		return false;
	png_init_io(png, canvas->file);
	png_set_IHDR(png, info, canvas->width, canvas->height, 8,
		     PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	(void)draw_bands(canvas, png_band, png);
	png_write_end(png, NULL);
	return !ferror(canvas->file);
}

static bool write_png(struct canvas *canvas)
{
	size_t bytes = (size_t)canvas->width * BAND * 3;
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL,
						  NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	bool good = false;

	canvas->band = malloc(bytes);
	if (info && canvas->band) {
		memset(canvas->band, 255, bytes);
		good = write_rows(canvas, png, info);
	}
	free(canvas->band);
	png_destroy_write_struct(&png, &info);
	return good;
}
#else
static bool write_png(struct canvas *canvas)
{
	(void)canvas;
	return false;
}
#endif

int picture_image(const struct picture *picture, const char *title,
		  const uint64_t kind[LX_KIND_COUNT],
		  enum picture_format format, FILE *file,
		  struct lx_error *err)
{
	const struct layout *layout = &picture->layout;
	struct canvas canvas = {
		.picture = picture, .title = title, .kind = kind, .file = file,
	};
	size_t bands;

	if (picture->kept->failed)
		return lx_fail(err, LX_EREAD, "out of memory");
	bands = line_bands(picture->kept) + legend_bands(&canvas);
	if (bands > HEIGHT_MAX / BAND)
		return lx_fail(err, LX_EREAD, "the picture would be %zu lines "
			       "high; give --cell a larger size", bands);
	canvas.width = first_cell(layout) + layout->cells * CELL +
		       count_marks(layout, layout->cells) * GAP + MARGIN;
	canvas.height = (unsigned int)bands * BAND;
	if (format == PICTURE_SVG ? write_svg(&canvas) : write_png(&canvas))
		return 0;
#ifndef HAVE_PNG
	if (format == PICTURE_PNG)
		return lx_fail(err, LX_EREAD, "this coldframe was built "
			       "without libpng; --svg works");
#endif
	return lx_fail(err, LX_EREAD, "the picture cannot be written");
}
