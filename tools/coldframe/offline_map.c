/* SPDX-License-Identifier: MIT */
#include "survey.h"
#include "table.h"

#include "linux/counters.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Memory that nobody in this system uses, by why. */
enum kind {
	KIND_BALLOON,
	KIND_OFFLINE,
	KIND_NEVER_ONLINED,
	KIND_BLOCK,			/* a whole block is offline */
	KIND_POISON,
	KIND_UNINITIALISED,
	KIND_REPORTED,
	KIND_COUNT
};

static const struct kind_text {
	enum lx_class class;		/* COUNT: it is about blocks */
	const char *name, *meaning;
} kinds[KIND_COUNT] = {
	[KIND_BALLOON] = { LX_CLASS_BALLOON, "balloon",
		"in a balloon, which can move it" },
	[KIND_OFFLINE] = { LX_CLASS_OFFLINE, "offline",
		"logically offline; its owner must agree" },
	[KIND_NEVER_ONLINED] = { LX_CLASS_NEVER_ONLINED, "never-onlined",
		"not given to this system yet" },
	[KIND_BLOCK] = { LX_CLASS_COUNT, "offline-block",
		"its memory block is offline" },
	[KIND_POISON] = { LX_CLASS_POISON, "poison", "bad, retired" },
	[KIND_UNINITIALISED] = { LX_CLASS_COUNT, "uninitialised",
		"not initialised yet" },
	[KIND_REPORTED] = { LX_CLASS_REPORTED, "reported",
		"free, and the hypervisor was told" },
};

enum {
	COL_RANGE, COL_SIZE, COL_FRAMES, COL_KIND, COL_BLOCK, COL_CONFIDENCE,
	COL_DEVICE, COL_MEANING, COL_COUNT
};

static const struct table_column columns[COL_COUNT] = {
	[COL_RANGE] = { "RANGE", "addresses that it lies between",
			TABLE_LEFT },
	[COL_SIZE] = { "SIZE", "how much there is of it", TABLE_RIGHT },
	[COL_FRAMES] = { "FRAMES", "the same in frames", TABLE_RIGHT },
	[COL_KIND] = { "KIND", "why nobody uses it", TABLE_LEFT },
	[COL_BLOCK] = { "BLOCK", "numbers of the memory blocks",
			TABLE_RIGHT },
	[COL_CONFIDENCE] = { "CONFIDENCE", "how sure that is", TABLE_LEFT },
	[COL_DEVICE] = { "DEVICE", "whose range it is in, by /proc/iomem",
			 TABLE_LEFT },
	[COL_MEANING] = { "MEANING", "the kind in words", TABLE_LEFT },
};

/* Blocks in a row with memory of a kind, or with --list frames in a row. */
struct row {
	enum kind kind;
	uint64_t first, last;		/* frames that it lies between */
	uint64_t frames;
	uint64_t first_block, last_block;
	const char *device;
	enum lx_confidence confidence;
};

/* What the kernel counts, and what was counted here. */
struct match {
	const char *name;
	const char *source;		/* the counter of the kernel */
	uint64_t counted, kernel;
	bool found;
};

#define MATCHES 3

struct options {
	struct survey survey;
	struct table table;
	bool list;
	struct row *row;
	size_t count, room;
	size_t open[KIND_COUNT];	/* row that may go on, plus 1 */
	uint64_t frames[KIND_COUNT];
	const struct lx_block *block;
	bool failed;
};

static const char help[] =
"usage: coldframe offline-map [OPTION...] [BLOCK|RANGE...]\n"
"\n"
"List the memory that is there and that nobody uses: in a balloon, not\n"
"plugged, offline, bad, not initialised, or reported to the hypervisor as\n"
"free. What is found is compared with the counters of the kernel.\n"
"\n"
"  -l, --list          every run of frames\n"
TABLE_HELP TABLE_SUMMARY_HELP SELECT_HELP COMMON_HELP;

static const char *print_cell(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct row *row = context;
	uint64_t size = row->frames << CF_FRAME_SHIFT;

	switch (column) {
	case COL_RANGE:
		snprintf(buffer, 512, "0x%016" PRIx64 "-0x%016" PRIx64,
			 row->first << CF_FRAME_SHIFT,
			 (row->last << CF_FRAME_SHIFT) - 1);
		return buffer;
	case COL_KIND:
		return kinds[row->kind].name;
	case COL_BLOCK:
		snprintf(buffer, 512, row->first_block == row->last_block ?
			 "%" PRIu64 : "%" PRIu64 "-%" PRIu64,
			 row->first_block, row->last_block);
		return buffer;
	case COL_CONFIDENCE:
		return lx_confidence_name(row->confidence);
	case COL_DEVICE:
		return row->device;
	case COL_MEANING:
		return kinds[row->kind].meaning;
	default:
		break;
	}
	if (column == COL_SIZE && !bytes)
		return common_short(size, buffer);
	snprintf(buffer, 512, "%" PRIu64, column == COL_SIZE ? size :
		 row->frames);
	return buffer;
}

/* The outermost range of a device that frames lie in, or "". */
static const char *device_of(const struct lx_host *host, uint64_t first,
			     uint64_t last)
{
	const struct lx_region *inner, *region = host->regions.region;
	size_t i;

	inner = lx_regions_find(&host->regions, "System RAM (", first, last);
	for (i = 0; i < host->regions.count; i++) {
		if (region[i].depth || region[i].first > first ||
		    region[i].last < last ||
		    !strncmp(region[i].name, "System RAM", 10))
			continue;
		return region[i].name;
	}
	return inner ? inner->name : "";
}

static struct row *new_row(struct options *options)
{
	size_t room = options->room ? 2 * options->room : 256;
	struct row *row = options->row;

	if (options->count == options->room) {
		row = realloc(row, room * sizeof(*row));
		if (!row) {
			options->failed = true;
			return NULL;
		}
		options->row = row;
		options->room = room;
	}
	return &row[options->count++];
}

/* Frames of a kind between two, in the block that is being read. */
static void add(struct options *options, const struct row *new)
{
	struct row *row;

	options->frames[new->kind] += new->frames;
	if (options->open[new->kind]) {
		row = &options->row[options->open[new->kind] - 1];
		if (options->list ? row->last == new->first :
		    row->last_block + 1 == new->first_block &&
		    row->confidence == new->confidence) {
			row->last = new->last;
			row->frames += new->frames;
			row->last_block = new->last_block;
			return;
		}
	}
	row = new_row(options);
	if (!row)
		return;
	*row = *new;
	row->device = device_of(&options->survey.host, new->first, new->last);
	options->open[new->kind] = options->count;
}

/* lx_run_fn, for --list. */
static void take_run(void *context, enum lx_class class, uint64_t pfn,
		     uint64_t frames)
{
	struct options *options = context;
	unsigned int kind;

	for (kind = 0; kind < KIND_COUNT; kind++) {
		struct row row = {
			.kind = (enum kind)kind, .first = pfn,
			.last = pfn + frames, .frames = frames,
			.confidence = LX_PROVED,
		};

		if (kinds[kind].class != class)
			continue;
		row.first_block = pfn / options->survey.host.blocks.frames;
		row.last_block = row.first_block;
		add(options, &row);
	}
}

static void take_block(struct options *options, const struct surveyed *found)
{
	uint64_t frames = options->survey.host.blocks.frames;
	const struct lx_reason *reason = found->judgement.reason;
	struct row row = {
		.first = found->block->id * frames, .frames = frames,
		.first_block = found->block->id,
		.last_block = found->block->id, .confidence = LX_PROVED,
	};
	unsigned int kind;

	row.last = row.first + frames;
	if (found->block->state == LX_BLOCK_OFFLINE) {
		row.kind = KIND_BLOCK;
		add(options, &row);
		return;
	}
	for (kind = 0; kind < KIND_COUNT && !options->list; kind++) {
		row.kind = (enum kind)kind;
		row.frames = kinds[kind].class == LX_CLASS_COUNT ? 0 :
			     found->piece.count[kinds[kind].class];
		if (row.frames)
			add(options, &row);
	}
	if (!found->judgement.count ||
	    reason->code != LX_REASON_UNINITIALISED)
		return;
	row.kind = KIND_UNINITIALISED;
	row.frames = reason->frames;
	row.confidence = reason->confidence;
	add(options, &row);
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return (left->kind > right->kind) - (left->kind < right->kind);
}

static void read_matches(const struct options *options,
			 struct match match[MATCHES])
{
	const struct lx_host *host = &options->survey.host;
	struct lx_counter counter[] = {
		{ .name = "HardwareCorrupted" }, { .name = "Unaccepted" },
	};
	struct lx_error ignored;
	const uint64_t *frames = options->frames;

	(void)lx_counters_read(host->root, "proc/meminfo", counter, 2,
			       &ignored);
	match[0] = (struct match){
		"balloon", "nr_balloon_pages, or balloon_inflate - deflate",
		frames[KIND_BALLOON], host->balloon, host->has_balloon,
	};
	/* Without their own mark all of the balloon's frames are here. */
	if (host->version < LX_VERSION(6, 17))
		match[0].counted += frames[KIND_OFFLINE];
	match[1] = (struct match){
		"poison", "HardwareCorrupted", frames[KIND_POISON],
		counter[0].value / 4, counter[0].found,
	};
	match[2] = (struct match){
		"unaccepted", "Unaccepted: kpageflags does not show it", 0,
		counter[1].value / 4, counter[1].found && counter[1].value,
	};
}

static void print_matches(const struct match match[MATCHES])
{
	unsigned int i;

	for (i = 0; i < MATCHES; i++) {
		int64_t more = (int64_t)(match[i].kernel - match[i].counted);

		if (!match[i].found || (!match[i].counted && !match[i].kernel))
			continue;
		printf("%-11s %10" PRIu64 " frames here, %" PRIu64 " by the "
		       "kernel (%s)", match[i].name, match[i].counted,
		       match[i].kernel, match[i].source);
		if (more)
			printf(": %+" PRId64, more);
		putchar('\n');
	}
}

static void print_totals(const struct options *options)
{
	struct match match[MATCHES];
	unsigned int kind;
	char size[24];

	putchar('\n');
	for (kind = 0; kind < KIND_COUNT; kind++) {
		uint64_t frames = options->frames[kind];

		if (frames)
			printf("%-14s %10s  %s\n", kinds[kind].name,
			       common_bytes(frames << CF_FRAME_SHIFT, size),
			       kinds[kind].meaning);
	}
	read_matches(options, match);
	print_matches(match);
}

static json_t *json_row(const struct row *row)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s}",
		"kind", kinds[row->kind].name,
		"address", (json_int_t)(row->first << CF_FRAME_SHIFT),
		"last_address", (json_int_t)(row->last << CF_FRAME_SHIFT) - 1,
		"frames", (json_int_t)row->frames,
		"block", (json_int_t)row->first_block,
		"last_block", (json_int_t)row->last_block,
		"confidence", lx_confidence_name(row->confidence),
		"device", row->device);
}

static json_t *json_tail(const struct options *options)
{
	json_t *frames = json_object(), *counters = json_array();
	struct match match[MATCHES];
	unsigned int i;

	for (i = 0; i < KIND_COUNT; i++)
		json_object_set_new(frames, kinds[i].name,
				    json_integer((json_int_t)
						 options->frames[i]));
	read_matches(options, match);
	for (i = 0; i < MATCHES; i++) {
		if (match[i].found)
			json_array_append_new(counters, json_pack(
				"{s:s, s:I, s:I}", "kind", match[i].name,
				"counted", (json_int_t)match[i].counted,
				"kernel", (json_int_t)match[i].kernel));
	}
	return json_pack("{s:o, s:o}", "frames", frames, "counters",
			 counters);
}

static int read_all(struct options *options)
{
	struct survey *survey = &options->survey;
	struct surveyed found;
	int ret = 0;

	if (options->list) {
		survey->scan.run = take_run;
		survey->scan.context = options;
	}
	while (!options->failed && (ret = survey_next(survey, &found)) > 0)
		take_block(options, &found);
	if (options->failed)
		return common_failed(survey->command, "out of memory");
	if (ret < 0)
		return common_unread(survey->command, &survey->err);
	if (options->count)
		qsort(options->row, options->count, sizeof(*options->row),
		      compare_rows);
	return 0;
}

static int offline_map(struct options *options)
{
	struct table *table = &options->table;
	bool json = table->mode == TABLE_JSON, good = true;
	size_t i;
	int status = read_all(options);

	if (status)
		return status;
	if (json)
		good = json_begin(table, json_object());
	for (i = 0; good && i < options->count; i++)
		good = json ? json_add(table, json_row(&options->row[i])) :
			      table_add(table, &options->row[i]);
	if (json)
		good = json_end(table, json_tail(options)) && good;
	else
		good = table_end(table) && good;
	if (!good)
		return table_failed(table);
	if (table_wants_summary(table) && !options->count)
		puts(options->survey.flags ?
		     "No memory that nobody uses was found." :
		     "No block is offline.");
	else if (table_wants_summary(table))
		print_totals(options);
	return survey_end(&options->survey);
}

static const struct option long_options[] = {
	{ "list", no_argument, NULL, 'l' },
	TABLE_OPTIONS,
	TABLE_SUMMARY_OPTIONS,
	SELECT_OPTIONS,
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static int parse_options(struct options *options, int argc, char **argv)
{
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, TABLE_LETTERS
						SURVEY_LETTERS "l",
						long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&options->table);
			return -1;
		}
		if (option == 'l') {
			options->list = true;
			continue;
		}
		status = table_option(&options->table, option, optarg);
		if (status < 0)
			status = survey_option(&options->survey, option,
					       optarg);
		if (status < 0)
			status = common_try_help(options->survey.command);
	}
	return status;
}

int cmd_offline_map(int argc, char **argv)
{
	struct options options = {
		.survey = { .command = argv[0],
			    .select = { .node = LX_NODE_UNKNOWN } },
		.table = { .command = argv[0], .column = columns,
			   .columns = COL_COUNT, .cell = print_cell,
			   .items = "ranges", .count = 6,
			   .chosen = { COL_RANGE, COL_SIZE, COL_KIND,
				       COL_BLOCK, COL_CONFIDENCE,
				       COL_DEVICE } },
	};
	int status = parse_options(&options, argc, argv);

	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	options.survey.arguments = argv + optind;
	status = survey_open(&options.survey);
	if (status)
		return status;
	status = offline_map(&options);
	survey_close(&options.survey);
	free(options.row);
	return common_finish(argv[0], status);
}
