/* SPDX-License-Identifier: MIT */
#include "common.h"
#include "filter.h"
#include "legend.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "files/whole.h"

#define FILE_MODE	0666	/* of a picture */

/* A picture of more lines gets larger cells, unless the user says which. */
#define LINES_MAX 200

struct options {
	const char *command;
	struct common_source source;
	const char *root;
	struct filter filter;		/* its ranges: at most one */
	uint64_t cell_frames;		/* 0: choose */
	bool cell_is_block;
	unsigned int width;
	bool legend;
	const char *image;		/* file to draw into, or NULL */
	enum picture_format format;
	bool no_words;			/* only sysfs tells something */
};

static const char help[] =
"usage: coldframe map [OPTION...]\n"
"\n"
"Draw what page frames are used for, a sign for every 2 MiB.\n"
"\n"
"  -a, --addr RANGE    only frames N, N+COUNT, FIRST,LAST or FIRST, or ,LAST\n"
"  -c, --cell SIZE     a sign for SIZE: a power of two such as 64K or 1G, a\n"
"                      'chunk' (2 MiB) or a memory 'block'\n"
"  -w, --width N       columns, instead of those of the terminal or $COLUMNS\n"
"  -N, --no-legend     only the picture\n"
"      --svg FILE      draw the picture into FILE instead\n"
"      --png FILE      the same as PNG\n"
COMMON_HELP
"\n"
"Exit status: 0 done, 1 a file cannot be read or is cut off, 2 wrong usage.\n";

/* Where blocks and memory are; without these files the map says less. */
static int read_place(const struct options *options, struct place *place,
		      struct lx_error *err)
{
	bool hidden = false;
	int ret;

	ret = lx_blocks_read(options->root, &place->blocks, err);
	if (ret == -LX_EMISSING)
		common_note(options->command, "note: %s; where blocks begin "
			    "and which are offline is not known", err->text);
	else if (ret)
		return ret;
	place->has_blocks = !ret;
	ret = lx_iomem_ram(options->root, &place->ram, &hidden, err);
	if (options->no_words)
		ret = ret == -LX_EMISSING ? 0 : ret;
	else if (ret == -LX_EMISSING || hidden)
		common_note(options->command, "note: %s; a hole may show as "
			    "kernel memory", hidden ? "proc/iomem hides its "
			    "addresses from all but root" : err->text);
	if (ret && ret != -LX_EMISSING)
		return ret;
	place->has_ram = !ret && !hidden && place->ram.count;
	return 0;
}

static void free_place(struct place *place)
{
	lx_blocks_free(&place->blocks);
	lx_ranges_free(&place->ram);
}

/* The frame behind the last: by the file, or by what else is known. */
static uint64_t end_of_memory(const struct cells *cells)
{
	const struct lx_blocks *blocks = &cells->place->blocks;
	const struct lx_ranges *ram = &cells->place->ram;

	if (cells->words.frames)
		return cells->words.frames;
	if (blocks->count)
		return (blocks->block[blocks->count - 1].id + 1) *
		       blocks->frames;
	return ram->count ? ram->range[ram->count - 1].last : 0;
}

/*
 * How many lines a map has at most: those with a block, and one for each gap
 * between them.
 */
static uint64_t count_lines(const struct lx_blocks *blocks, uint64_t first,
			    uint64_t last, uint64_t line_frames)
{
	uint64_t lines = 0, next = first / line_frames;
	size_t i;

	if (!blocks->count)
		return (last - first) / line_frames + 1;
	for (i = lx_blocks_find(blocks, first); i < blocks->count; i++) {
		uint64_t begin = blocks->block[i].id * blocks->frames;
		uint64_t end = (begin + blocks->frames - 1) / line_frames + 1;

		if (begin >= last)
			break;
		begin /= line_frames;
		lines += begin > next;
		if (begin > next)
			next = begin;
		if (end > next) {
			lines += end - next;
			next = end;
		}
	}
	return lines;
}

/* Cells for the frames [first, last): as asked for, or as few as needed. */
static void choose_layout(const struct options *options,
			  const struct cells *cells, struct layout *layout,
			  const struct lx_range *range)
{
	const struct lx_blocks *blocks = &cells->place->blocks;
	uint64_t top = range->last << CF_FRAME_SHIFT;

	layout->block_frames = blocks->frames;
	layout->width = options->width;
	for (layout->digits = 8; top > UINT64_C(1) << (4 * layout->digits);)
		layout->digits++;
	layout->cell_frames = CF_CHUNK_FRAMES;
	if (options->cell_is_block || options->no_words)
		layout->cell_frames = blocks->frames;
	if (options->cell_frames)
		layout->cell_frames = options->cell_frames;
	layout_fit(layout);
	if (options->cell_frames || options->cell_is_block)
		return;
	while (count_lines(blocks, range->first, range->last, layout->cells *
			   layout->cell_frames) > LINES_MAX) {
		if (layout->cell_frames < layout->block_frames)
			layout->cell_frames = layout->block_frames;
		else
			layout->cell_frames *= 2;
		layout_fit(layout);
	}
}

/* What a cell is, in a sentence. An image has a gap where text has a bar. */
static void head_of(const struct layout *layout, bool image, char head[160])
{
	uint64_t block = layout->block_frames;
	char cell[24], size[24], rest[100] = "";

	common_bytes(layout->cell_frames << CF_FRAME_SHIFT, cell);
	common_bytes(block << CF_FRAME_SHIFT, size);
	if (block > layout->cell_frames)
		snprintf(rest, sizeof(rest), ", %s begins a block of %s",
			 image ? "a gap" : "|", size);
	else if (block == layout->cell_frames)
		snprintf(rest, sizeof(rest), ", a block");
	else if (block)
		snprintf(rest, sizeof(rest), ", %llu blocks of %s",
			 (unsigned long long)(layout->cell_frames / block),
			 size);
	snprintf(head, 160, "A cell is %s%s.", cell, rest);
}

static int image_failed(const struct options *options, struct lx_error *err)
{
	return lx_fail(err, LX_EREAD, "%s: %s", options->image,
		       strerror(errno));
}

static int draw_image(const struct options *options,
		      const struct picture *picture,
		      const struct legend *legend, struct lx_error *err)
{
	struct whole whole;
	char head[160];
	FILE *file;
	int ret;

	if (whole_open(&whole, options->image, STDOUT_FILENO, FILE_MODE))
		return image_failed(options, err);
	/* The stream has a descriptor of its own to close. */
	file = fdopen(dup(whole.fd), "w");
	if (!file) {
		whole_cancel(&whole);
		return image_failed(options, err);
	}
	head_of(&picture->layout, true, head);
	ret = picture_image(picture, head, legend->kind, options->format, file,
			    err);
	if (fclose(file) && !ret)
		ret = image_failed(options, err);
	if (ret)
		whole_cancel(&whole);
	else if (whole_commit(&whole))
		ret = image_failed(options, err);
	return ret;
}

/* Lines on a terminal are progress enough, and would be mixed with it. */
static int draw_cells(struct cells *cells, struct picture *picture,
		      struct legend *legend, uint64_t end,
		      struct lx_error *err)
{
	bool quiet = !picture->kept && isatty(STDOUT_FILENO);
	struct cell cell;
	int ret;

	picture_start(picture, cells->pfn);
	while (!(ret = cells_next(cells, &cell, err)) && cell.frames) {
		picture_add(picture, &cell);
		legend_add(legend, &cell);
		if (!quiet)
			common_progress(NULL, cells->pfn, end);
	}
	common_progress_end();
	picture_end(picture);
	return ret;
}

/* Which frames to draw, cut at the end of what is known to be there. */
static int choose_range(const struct options *options,
			const struct cells *cells, struct lx_range *range,
			struct lx_error *err)
{
	const struct lx_ranges *asked = &options->filter.ranges;
	uint64_t end = end_of_memory(cells);

	*range = (struct lx_range){ 0, end };
	if (!asked->count)
		return 0;
	*range = asked->range[0];
	if (range->first >= end)
		return lx_fail(err, LX_EFORMAT, "there is no frame %#llx: "
			       "the last one is %#llx",
			       (unsigned long long)range->first,
			       (unsigned long long)(end ? end - 1 : 0));
	if (range->last > end)
		range->last = end;
	return 0;
}

static int draw(const struct options *options, struct cells *cells,
		struct lx_error *err)
{
	struct picture_kept kept = { .lines = 0 };
	struct picture picture = {
		.color = common_color_use(options->source.color),
		.kept = options->image ? &kept : NULL,
	};
	struct legend legend = {
		.picture = &picture,
		.place = cells->place,
		.sysroot = options->root,
	};
	struct lx_range range;
	char head[160];
	int ret;

	ret = choose_range(options, cells, &range, err);
	if (ret)
		return ret;
	choose_layout(options, cells, &picture.layout, &range);
	cells->cell_frames = picture.layout.cell_frames;
	if (options->filter.ranges.count) {
		ret = cells_from(cells, range.first, range.last, err);
		if (ret)
			return ret;
	}
	head_of(&picture.layout, false, head);
	if (options->legend && !options->image)
		puts(head);
	ret = draw_cells(cells, &picture, &legend, range.last, err);
	if (!ret && !cells->pfn)
		ret = lx_fail(err, LX_EFORMAT, "%s: the file is empty",
			      cells->words.path);
	if (!ret && options->image)
		ret = draw_image(options, &picture, &legend, err);
	else if (!ret && options->legend)
		ret = legend_print(&legend, err);
	picture_kept_free(&kept);
	return ret;
}

/* Without the words there are the blocks, and what they are is not known. */
static int open_cells(const struct options *options, struct cells *cells,
		      struct lx_error *err)
{
	if (!options->no_words)
		return cells_open(cells, options->root, err);
	cells_open_blind(cells);
	return 0;
}

static int map_frames(const struct options *options, const struct place *place,
		      struct lx_error *err)
{
	struct cells cells = { .place = place };
	int ret;

	if (options->cell_is_block && !place->has_blocks)
		return lx_fail(err, LX_EMISSING, "how large a block is is not "
			       "known: give --cell a size");
	ret = open_cells(options, &cells, err);
	if (ret)
		return ret;
	if (cells.words.frames && place->has_blocks)
		ret = lx_blocks_fit(&place->blocks, cells.words.path,
				    cells.words.frames, err);
	if (!ret)
		ret = draw(options, &cells, err);
	cells_close(&cells);
	return ret;
}

/* Blocks are enough to draw something; then one line says what is missing. */
static int probe_words(struct options *options, struct lx_error *err)
{
	struct lx_blocks blocks = { .count = 0 };
	struct lx_error ignored;
	struct lx_words words;
	int ret = lx_words_open(&words, options->root, "proc/kpageflags", err);

	if (!ret)
		lx_words_close(&words);
	if (ret != -LX_EDENIED && ret != -LX_EMISSING)
		return ret;
	if (lx_blocks_read(options->root, &blocks, &ignored) || !blocks.count)
		return ret;
	lx_blocks_free(&blocks);
	options->no_words = true;
	common_no_flags(options->command, ret, err);
	return 0;
}

static int map(struct options *options)
{
	struct place place = { .has_blocks = false };
	struct lx_error err;
	int ret;

	ret = common_source_open(&options->source, &options->root, &err);
	if (!ret)
		ret = probe_words(options, &err);
	if (!ret)
		ret = read_place(options, &place, &err);
	if (!ret)
		ret = map_frames(options, &place, &err);
	free_place(&place);
	common_source_close(&options->source);
	if (ret == -LX_EDENIED)
		return common_denied(options->command, &err);
	return ret ? common_unread(options->command, &err) : EXIT_OK;
}

static int set_cell(struct options *options, const char *text)
{
	uint64_t bytes;

	options->cell_is_block = !strcmp(text, "block");
	options->cell_frames = 0;
	if (options->cell_is_block)
		return 0;
	if (!strcmp(text, "chunk")) {
		options->cell_frames = CF_CHUNK_FRAMES;
		return 0;
	}
	if (!common_size(text, &bytes) || bytes & (bytes - 1) ||
	    bytes < CF_FRAME_BYTES || bytes > UINT64_C(1) << 46)
		return common_wrong(options->command, "--cell: '%s' is no "
				    "power of two from 4K to 64T, nor 'chunk' "
				    "or 'block'", text);
	options->cell_frames = bytes >> CF_FRAME_SHIFT;
	return 0;
}

static int set_width(struct options *options, const char *text)
{
	uint64_t width;

	if (!lx_number(text, 10, NULL, &width) || width < 20 || width > 10000)
		return common_wrong(options->command, "--width: '%s' is no "
				    "number from 20 to 10000", text);
	options->width = (unsigned int)width;
	return 0;
}

enum { OPT_SVG = 256, OPT_PNG };

static const struct option long_options[] = {
	{ "svg", required_argument, NULL, OPT_SVG },
	{ "png", required_argument, NULL, OPT_PNG },
	COMMON_OPTIONS,
	{ "addr", required_argument, NULL, 'a' },
	{ "cell", required_argument, NULL, 'c' },
	{ "width", required_argument, NULL, 'w' },
	{ "no-legend", no_argument, NULL, 'N' },
	{ NULL, 0, NULL, 0 },
};

/* An option with an argument. Returns 0, or an exit status. */
static int set_value(struct options *options, int option, const char *value)
{
	struct lx_error err;
	int status;

	if (option == 'c')
		return set_cell(options, value);
	if (option == 'w')
		return set_width(options, value);
	if (option == OPT_SVG || option == OPT_PNG) {
		options->image = value;
		options->format = option == OPT_SVG ? PICTURE_SVG :
						      PICTURE_PNG;
		return 0;
	}
	if (option == 'a' && options->filter.ranges.count)
		return common_wrong(options->command, "one --addr is enough");
	if (option == 'a' && filter_add_frames(&options->filter, value, &err))
		return common_wrong(options->command, "%s", err.text);
	status = common_option(&options->source, options->command, option,
			       value);
	return status < 0 ? 0 : status;
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
	int option, status = 0;

	while ((option = getopt_long(argc, argv, COMMON_LETTERS "a:c:w:N",
				     long_options, NULL)) != -1) {
		if (option == '?')
			return common_try_help(options->command);
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (option == 'N')
			options->legend = false;
		else
			status = set_value(options, option, optarg);
		if (status)
			return status;
	}
	if (optind < argc)
		return common_wrong(options->command, "unexpected '%s'",
				    argv[optind]);
	if (options->source.sysroot && options->source.file)
		return common_wrong(options->command, "--sysroot and --file "
				    "do not go together: name one");
	return -1;
}

int cmd_map(int argc, char **argv)
{
	struct options options = {
		.command = argv[0],
		.width = common_width(),
		.legend = true,
	};
	int status;

	status = parse_options(&options, argc, argv);
	if (status < 0)
		status = map(&options);
	lx_ranges_free(&options.filter.ranges);
	return common_finish(options.command, status);
}
