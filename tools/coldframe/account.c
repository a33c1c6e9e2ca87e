/* SPDX-License-Identifier: MIT */
#include "survey.h"
#include "table.h"

#include "linux/counters.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 32

enum { COL_WHAT, COL_SIZE, COL_FRAMES, COL_SOURCE, COL_COUNT };

static const struct table_column columns[COL_COUNT] = {
	[COL_WHAT] = { "WHAT", "a sum, or what is taken off", TABLE_LEFT },
	[COL_SIZE] = { "SIZE", "how much that is", TABLE_RIGHT },
	[COL_FRAMES] = { "FRAMES", "the same in frames", TABLE_RIGHT },
	[COL_SOURCE] = { "SOURCE", "who says so", TABLE_LEFT },
};

/* A line of the statement: a sum, or a part of the gap below the sum above. */
struct line {
	const char *what, *source;
	int64_t frames;
	bool sum;
};

struct options {
	struct survey survey;
	struct table table;
	struct line line[LINES_MAX];
	size_t count;
	int64_t left;			/* of the gap that is being named */
	uint64_t class[LX_CLASS_COUNT];
	uint64_t offline, uninitialised;	/* frames */
	uint64_t silent;		/* in chunks without a word but 0 */
};

static const char help[] =
"usage: coldframe account [OPTION...]\n"
"\n"
"Follow the memory from what the firmware gives to MemTotal: what is taken\n"
"off on the way, by whom, and what nothing explains.\n"
"\n"
TABLE_HELP COMMON_HELP;

static const char *print_cell(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct line *line = context;
	uint64_t frames = (uint64_t)(line->frames < 0 ? -line->frames :
							line->frames);
	const char *sign = line->sum ? line->frames < 0 ? "-" : "" :
			   line->frames < 0 ? "+" : "-";
	char size[24];

	switch (column) {
	case COL_WHAT:
		snprintf(buffer, 512, "%s%s", line->sum ? "" : "  ",
			 line->what);
		return buffer;
	case COL_SOURCE:
		return line->source;
	default:
		break;
	}
	if (column == COL_SIZE && !bytes)
		snprintf(buffer, 512, "%s%s", sign,
			 common_short(frames << CF_FRAME_SHIFT, size));
	else
		snprintf(buffer, 512, "%s%" PRIu64, sign, column == COL_SIZE ?
			 frames << CF_FRAME_SHIFT : frames);
	return buffer;
}

static void add_line(struct options *options, const char *what,
		     const char *source, int64_t frames, bool sum)
{
	if (options->count < LINES_MAX)
		options->line[options->count++] = (struct line){
			what, source, frames, sum,
		};
}

/* Begin a gap between two sums. */
static void add_sum(struct options *options, const char *what,
		    const char *source, uint64_t frames, uint64_t next)
{
	add_line(options, what, source, (int64_t)frames, true);
	options->left = (int64_t)frames - (int64_t)next;
}

/* A part of it that has a name. */
static void add_part(struct options *options, const char *what,
		     const char *source, uint64_t frames)
{
	if (!frames)
		return;
	add_line(options, what, source, (int64_t)frames, false);
	options->left -= (int64_t)frames;
}

static void end_gap(struct options *options)
{
	if (options->left)
		add_line(options, "not explained", "the rest",
			 options->left, false);
}

static uint64_t sum_ram(const struct lx_host *host)
{
	uint64_t frames = 0;
	size_t i;

	for (i = 0; i < host->ram.count; i++)
		frames += host->ram.range[i].last - host->ram.range[i].first;
	return frames;
}

/*
 * lx_chunk_fn. Where memory is not initialised yet, what the kernel reserved
 * there at boot is.
 */
static void take_chunk(void *context, const struct lx_piece *chunk)
{
	struct options *options = context;
	uint64_t silent = chunk->count[LX_CLASS_UNTYPED];

	if (silent + chunk->count[LX_CLASS_RESERVED] +
	    chunk->count[LX_CLASS_ABSENT] == chunk->frames)
		options->silent += silent;
}

static int read_blocks(struct options *options)
{
	struct survey *survey = &options->survey;
	struct surveyed found;
	unsigned int class;
	int ret;

	survey->scan.chunk = take_chunk;
	survey->scan.context = options;
	while ((ret = survey_next(survey, &found)) > 0) {
		if (found.block->state == LX_BLOCK_OFFLINE)
			options->offline += survey->host.blocks.frames;
		for (class = 0; class < LX_CLASS_COUNT; class++)
			options->class[class] += found.piece.count[class];
	}
	return ret;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Memory that is not initialised is counted in MemTotal and managed by no
 * zone; its words are 0. Of three numbers that it cannot exceed the smallest
 * is named, and the rest of the others is left unexplained.
 */
static void add_uninitialised(struct options *options)
{
	const struct survey *survey = &options->survey;
	uint64_t left = options->left > 0 ? (uint64_t)options->left : 0;
	uint64_t frames = survey->host.has_raw ? survey->host.raw : 0;

	if (survey->flags)
		frames = smaller(frames, options->silent);
	options->uninitialised = smaller(frames, left);
	add_part(options, "not initialised yet", survey->flags ?
		 "/proc/meminfo; kpageflags: 0" : "/proc/meminfo",
		 options->uninitialised);
}

/* From what zones have to what the allocator gives out. */
static void add_managed(struct options *options)
{
	const uint64_t *class = options->class;

	add_part(options, "reserved at boot", "kpageflags: RESERVED",
		 class[LX_CLASS_RESERVED]);
	add_part(options, "never onlined", "kpageflags: OFFLINE and DIRTY",
		 class[LX_CLASS_NEVER_ONLINED]);
	add_part(options, "in a balloon", "kpageflags: OFFLINE and UPTODATE",
		 class[LX_CLASS_BALLOON]);
	add_part(options, "logically offline", "kpageflags: OFFLINE",
		 class[LX_CLASS_OFFLINE]);
	add_part(options, "bad", "kpageflags: HWPOISON",
		 class[LX_CLASS_POISON]);
	add_uninitialised(options);
	end_gap(options);
}

/* From there to MemTotal, which some count differently. */
static void add_total(struct options *options, uint64_t managed,
		      const struct lx_counter *counter)
{
	const struct lx_host *host = &options->survey.host;
	uint64_t total = counter[0].value / 4;

	add_sum(options, "managed by the allocator", "/proc/zoneinfo",
		managed, total);
	if (total > managed && options->uninitialised) {
		add_line(options, "not initialised yet, and counted",
			 "/proc/meminfo",
			 -(int64_t)options->uninitialised, false);
		options->left += (int64_t)options->uninitialised;
	}
	/* A balloon that gives back under pressure is not in managed either. */
	if (total < managed)
		add_part(options, "in a balloon", "/proc/vmstat",
			 host->balloon);
	end_gap(options);
	add_line(options, "MemTotal", "/proc/meminfo", (int64_t)total, true);
	if (counter[1].found)
		add_line(options, "of which free", "/proc/meminfo: MemFree",
			 (int64_t)(counter[1].value / 4), true);
}

static int make_statement(struct options *options)
{
	const struct lx_host *host = &options->survey.host;
	struct lx_counter counter[] = {
		{ .name = "MemTotal" }, { .name = "MemFree" },
	};
	uint64_t present, managed;
	int ret;

	ret = lx_counters_read(host->root, "proc/meminfo", counter, 2,
			       &options->survey.err);
	if (!ret && (!counter[0].found || !host->zones.count))
		ret = lx_fail(&options->survey.err, LX_EMISSING, "%s: without "
			      "proc/zoneinfo and MemTotal there is nothing to "
			      "account for", host->root);
	if (ret)
		return ret;
	lx_zones_sum(&host->zones, &present, &managed);
	if (host->has_ram) {
		add_sum(options, "system memory, by the firmware",
			"/proc/iomem", sum_ram(host), present);
		add_part(options, "in blocks that are offline",
			 "/sys/devices/system/memory", options->offline);
		end_gap(options);
	} else if (options->survey.flags) {
		common_note(options->survey.command, "note: /proc/iomem does "
			    "not tell this user what the firmware gives");
	}
	add_sum(options, "present in zones", "/proc/zoneinfo", present,
		managed);
	add_managed(options);
	add_total(options, managed, counter);
	return 0;
}

static json_t *json_line(const struct line *line)
{
	return json_pack("{s:s, s:I, s:I, s:b, s:s}",
		"what", line->what, "frames", (json_int_t)line->frames,
		"bytes", (json_int_t)line->frames * (json_int_t)CF_FRAME_BYTES,
		"sum", line->sum, "source", line->source);
}

static int account(struct options *options)
{
	struct table *table = &options->table;
	struct survey *survey = &options->survey;
	bool json = table->mode == TABLE_JSON, good = true;
	size_t i;
	int ret = read_blocks(options);

	if (!ret)
		ret = make_statement(options);
	if (ret)
		return common_unread(survey->command, &survey->err);
	if (json)
		good = json_begin(table, json_object());
	for (i = 0; good && i < options->count; i++)
		good = json ? json_add(table, json_line(&options->line[i])) :
			      table_add(table, &options->line[i]);
	if (json)
		good = json_end(table, json_object()) && good;
	else
		good = table_end(table) && good;
	if (!good)
		return table_failed(table);
	return survey_end(survey);
}

static const struct option long_options[] = {
	TABLE_OPTIONS,
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static int parse_options(struct options *options, int argc, char **argv)
{
	const char *command = options->survey.command;
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, TABLE_LETTERS
						COMMON_LETTERS, long_options,
						NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&options->table);
			return -1;
		}
		status = table_option(&options->table, option, optarg);
		if (status < 0)
			status = common_option(&options->survey.source,
					       command, option, optarg);
		if (status < 0)
			status = common_try_help(command);
	}
	if (!status && optind < argc)
		status = common_wrong(command, "unexpected '%s'",
				      argv[optind]);
	return status;
}

int cmd_account(int argc, char **argv)
{
	struct options options = {
		.survey = { .command = argv[0],
			    .select = { .node = LX_NODE_UNKNOWN } },
		.table = { .command = argv[0], .column = columns,
			   .columns = COL_COUNT, .cell = print_cell,
			   .items = "lines", .count = COL_COUNT,
			   .chosen = { COL_WHAT, COL_SIZE, COL_FRAMES,
				       COL_SOURCE } },
	};
	int status = parse_options(&options, argc, argv);

	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	options.survey.arguments = argv + optind;
	status = survey_open(&options.survey);
	if (status)
		return status;
	status = account(&options);
	survey_close(&options.survey);
	return common_finish(argv[0], status);
}
