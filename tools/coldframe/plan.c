/* SPDX-License-Identifier: MIT */
#include "survey.h"
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RATIO "sys/module/memory_hotplug/parameters/auto_movable_ratio"
#define RATIO_DEFAULT 301		/* percent MOVABLE:KERNEL */

enum { COL_ORDER, COL_BLOCK, COL_VERDICT, COL_ZONE, COL_NODE, COL_MOVABLE,
       COL_SUM, COL_COMMAND, COL_COUNT };

static const struct table_column columns[COL_COUNT] = {
	[COL_ORDER] = { "ORDER", "first, second, ...", TABLE_RIGHT },
	[COL_BLOCK] = { "BLOCK", "number of the memory block", TABLE_RIGHT },
	[COL_VERDICT] = { "VERDICT", "as in blocks", TABLE_LEFT },
	[COL_ZONE] = { "ZONE", "Normal, Movable, ...", TABLE_LEFT },
	[COL_NODE] = { "NODE", "number of the node", TABLE_RIGHT },
	[COL_MOVABLE] = { "MOVABLE", "what has to be moved", TABLE_RIGHT },
	[COL_SUM] = { "SUM", "size with all blocks above", TABLE_RIGHT },
	[COL_COMMAND] = { "COMMAND", "what would do it", TABLE_LEFT },
};

/* A block that can be expected to go. */
struct step {
	uint64_t id;
	uint64_t movable;		/* frames */
	int node;
	uint8_t zone, verdict;
};

struct row {
	const struct step *step;
	uint64_t order, sum;
	bool flags;			/* what is to be moved is known */
};

/* Frames of the host, before or after. */
struct balance {
	uint64_t free;			/* in all blocks */
	uint64_t high;			/* watermarks of all zones */
	uint64_t movable_zone, kernel_zones;
};

struct options {
	struct survey survey;
	struct table table;
	uint64_t size;
	bool doubtful;
	struct step *step;
	size_t count;
	uint64_t chosen;		/* of them are in the plan */
	struct balance balance;
};

static const char help[] =
"usage: coldframe plan --shrink SIZE [OPTION...] [BLOCK|RANGE...]\n"
"\n"
"Choose blocks to take offline, in order: empty ones first, those of zone\n"
"Movable first, those with the least to be moved first. Check whether what is\n"
"in them fits elsewhere, and print what would do it. Nothing is executed.\n"
"\n"
"      --shrink SIZE   how much, with a unit: 512M, 8G\n"
"      --doubtful      doubtful blocks too, last; without root blocks of any\n"
"                      zone\n"
TABLE_HELP TABLE_SUMMARY_HELP SELECT_HELP COMMON_HELP;

static const char *print_size(uint64_t bytes, bool exact, char buffer[512])
{
	if (!exact)
		return common_short(bytes, buffer);
	snprintf(buffer, 512, "%" PRIu64, bytes);
	return buffer;
}

static const char *print_cell(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct row *row = context;
	const struct step *step = row->step;

	switch (column) {
	case COL_VERDICT:
		return lx_verdict_name((enum lx_verdict)step->verdict);
	case COL_ZONE:
		return lx_block_zone_name((enum lx_block_zone)step->zone);
	case COL_MOVABLE:
		if (!row->flags)
			return "";
		return print_size(step->movable << CF_FRAME_SHIFT, bytes,
				  buffer);
	case COL_SUM:
		return print_size(row->sum, bytes, buffer);
	case COL_COMMAND:
		snprintf(buffer, 512, "chmem -d -b %" PRIu64,
			 step->id);
		return buffer;
	case COL_NODE:
		if (step->node < 0)
			return "";
		snprintf(buffer, 512, "%d", step->node);
		return buffer;
	default:
		snprintf(buffer, 512, "%" PRIu64, column == COL_BLOCK ?
			 step->id : row->order);
		return buffer;
	}
}

/* Empty before candidate before doubtful; Movable first; little to move. */
static int compare_steps(const void *a, const void *b)
{
	static const unsigned char rank[LX_VERDICT_COUNT] = {
		[LX_VERDICT_EMPTY] = 0, [LX_VERDICT_CANDIDATE] = 1,
		[LX_VERDICT_DOUBTFUL] = 2, [LX_VERDICT_UNKNOWN] = 3,
	};
	const struct step *left = a, *right = b;
	bool left_fixed = left->zone != LX_ZONE_MOVABLE;
	bool right_fixed = right->zone != LX_ZONE_MOVABLE;

	if (rank[left->verdict] != rank[right->verdict])
		return rank[left->verdict] - rank[right->verdict];
	if (left_fixed != right_fixed)
		return left_fixed - right_fixed;
	if (left->movable != right->movable)
		return left->movable < right->movable ? -1 : 1;
	return (left->id < right->id) - (left->id > right->id);
}

/* Of zone Movable there is hope also when the frames may not be read. */
static bool could_go(const struct options *options,
		     const struct surveyed *found)
{
	return !options->survey.flags &&
	       found->judgement.verdict == LX_VERDICT_UNKNOWN &&
	       found->block->state == LX_BLOCK_ONLINE &&
	       (found->block->zone == LX_ZONE_MOVABLE || options->doubtful);
}

static bool can_go(const struct options *options, enum lx_verdict verdict)
{
	return verdict == LX_VERDICT_EMPTY ||
	       verdict == LX_VERDICT_CANDIDATE ||
	       (options->doubtful && verdict == LX_VERDICT_DOUBTFUL);
}

static int collect(struct options *options)
{
	struct survey *survey = &options->survey;
	struct surveyed found;
	int ret;

	while ((ret = survey_next(survey, &found)) > 0) {
		if (!can_go(options, found.judgement.verdict) &&
		    !could_go(options, &found))
			continue;
		options->step[options->count++] = (struct step){
			.id = found.block->id,
			.movable = lx_piece_role(&found.piece, LX_ROLE_MOVES) +
				   lx_piece_role(&found.piece, LX_ROLE_DOUBT),
			.node = found.block->node,
			.zone = found.block->zone,
			.verdict = (uint8_t)found.judgement.verdict,
		};
	}
	if (options->count)
		qsort(options->step, options->count, sizeof(*options->step),
		      compare_steps);
	return ret;
}

/* By zoneinfo: what is free now, and what must stay free. */
static struct balance weigh(const struct lx_host *host)
{
	struct balance balance = { 0 };
	size_t i;

	for (i = 0; i < host->zones.count; i++) {
		const struct lx_zone *zone = &host->zones.zone[i];

		balance.free += zone->free;
		balance.high += zone->high;
		if (!strcmp(zone->name, "Movable"))
			balance.movable_zone += zone->present;
		else if (strcmp(zone->name, "Device"))
			balance.kernel_zones += zone->present;
	}
	return balance;
}

static uint64_t ratio_limit(const struct lx_host *host)
{
	char line[LX_LINE_BYTES];
	struct lx_error ignored;
	uint64_t ratio;

	if (lx_first_line(host->root, RATIO, line, &ignored) ||
	    !lx_number(line, 10, NULL, &ratio))
		return RATIO_DEFAULT;
	return ratio;
}

struct sums {
	uint64_t blocks, movable;	/* movable: frames to be moved */
	uint64_t from_movable;		/* frames of zone Movable that go */
	uint64_t frames;		/* that go in all */
};

static struct sums add_up(const struct options *options)
{
	uint64_t frames = options->survey.host.blocks.frames, i;
	struct sums sums = { 0 };

	for (i = 0; i < options->chosen; i++) {
		const struct step *step = &options->step[i];

		sums.blocks++;
		sums.frames += frames;
		sums.movable += step->movable;
		if (step->zone == LX_ZONE_MOVABLE)
			sums.from_movable += frames;
	}
	return sums;
}

/*
 * Free memory goes with the blocks, and what is in them needs a place: what
 * is left free must stay above the high watermarks.
 */
static bool fits(const struct balance *before, const struct sums *sums)
{
	uint64_t need = sums->frames + before->high;

	return before->free >= need;
}

/* Percent MOVABLE:KERNEL afterwards; 0: no zone Movable. */
static uint64_t ratio_after(const struct balance *before,
			    const struct sums *sums)
{
	uint64_t movable = before->movable_zone > sums->from_movable ?
			   before->movable_zone - sums->from_movable : 0;
	uint64_t gone = sums->frames - sums->from_movable;
	uint64_t kernel = before->kernel_zones > gone ?
			  before->kernel_zones - gone : 1;

	return 100 * movable / kernel;
}

/* As many blocks as it takes, and as fit. */
static void choose(struct options *options)
{
	uint64_t bytes = options->survey.host.blocks.frames << CF_FRAME_SHIFT;
	struct sums sums;

	while (options->chosen < options->count &&
	       options->chosen * bytes < options->size) {
		options->chosen++;
		sums = add_up(options);
		if (fits(&options->balance, &sums) ||
		    !options->survey.host.zones.count)
			continue;
		options->chosen--;
		return;
	}
}

static void print_checks(const struct options *options)
{
	const struct lx_host *host = &options->survey.host;
	uint64_t bytes = host->blocks.frames << CF_FRAME_SHIFT;
	struct sums sums = add_up(options);
	uint64_t ratio = ratio_after(&options->balance, &sums);
	char a[24], b[24], c[24];

	printf("\n%s of %s that were asked for, in %" PRIu64 " block%s\n",
	       common_bytes(options->chosen * bytes, a),
	       common_bytes(options->size, b), options->chosen,
	       options->chosen == 1 ? "" : "s");
	if (!host->zones.count) {
		puts("capacity: not known without proc/zoneinfo");
		return;
	}
	printf("capacity: %s is free; %s of it goes or is filled, and %s must "
	       "stay free (watermarks)\n",
	       common_bytes(options->balance.free << CF_FRAME_SHIFT, a),
	       common_bytes(sums.frames << CF_FRAME_SHIFT, b),
	       common_bytes(options->balance.high << CF_FRAME_SHIFT, c));
	if (options->balance.movable_zone)
		printf("zones: MOVABLE:KERNEL is %" PRIu64 " %% afterwards%s\n",
		       ratio, ratio > ratio_limit(host) ?
		       "; that is more than auto_movable_ratio, and the "
		       "kernel may run short of memory of its own" : "");
}

static json_t *json_step(const struct row *row)
{
	const struct step *step = row->step;
	json_t *object = json_pack("{s:I, s:s, s:s, s:I, s:o}",
		"block", (json_int_t)step->id,
		"verdict", lx_verdict_name((enum lx_verdict)step->verdict),
		"zone", lx_block_zone_name((enum lx_block_zone)step->zone),
		"sum_bytes", (json_int_t)row->sum, "command",
		json_sprintf("chmem -d -b %" PRIu64, step->id));

	if (row->flags)
		json_object_set_new(object, "movable_frames",
				    json_integer((json_int_t)step->movable));
	if (step->node >= 0)
		json_object_set_new(object, "node", json_integer(step->node));
	return object;
}

static json_t *json_tail(const struct options *options)
{
	uint64_t bytes = options->survey.host.blocks.frames << CF_FRAME_SHIFT;
	struct sums sums = add_up(options);
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I}",
		"asked_bytes", (json_int_t)options->size,
		"planned_bytes", (json_int_t)(options->chosen * bytes),
		"free_frames", (json_int_t)options->balance.free,
		"watermark_frames", (json_int_t)options->balance.high,
		"movable_ratio", (json_int_t)ratio_after(&options->balance,
							 &sums));

	if (options->survey.flags)
		json_object_set_new(object, "moved_frames",
				    json_integer((json_int_t)sums.movable));
	return object;
}

static bool print_plan(struct options *options)
{
	struct table *table = &options->table;
	uint64_t bytes = options->survey.host.blocks.frames << CF_FRAME_SHIFT;
	bool json = table->mode == TABLE_JSON, good = true;
	uint64_t i;

	if (json)
		good = json_begin(table, json_object());
	for (i = 0; good && i < options->chosen; i++) {
		struct row row = { &options->step[i], i + 1, (i + 1) * bytes,
				   options->survey.flags };

		good = json ? json_add(table, json_step(&row)) :
			      table_add(table, &row);
	}
	if (json)
		return json_end(table, json_tail(options)) && good;
	good = table_end(table) && good;
	if (table_wants_summary(table))
		print_checks(options);
	return good;
}

static int plan(struct options *options)
{
	struct survey *survey = &options->survey;
	uint64_t bytes = survey->host.blocks.frames << CF_FRAME_SHIFT;
	int status;

	options->step = calloc(survey->host.blocks.count + 1,
			       sizeof(*options->step));
	if (!options->step)
		return common_failed(survey->command, "out of memory");
	if (collect(options))
		return common_unread(survey->command, &survey->err);
	options->balance = weigh(&survey->host);
	choose(options);
	if (!print_plan(options))
		return table_failed(&options->table);
	status = survey_end(survey);
	if (options->chosen * bytes >= options->size)
		return status;
	common_note(survey->command, options->chosen < options->count ?
		    "more would not fit: what is left free would be less than "
		    "the watermarks" : !survey->flags ?
		    "without root there is hope for blocks of zone Movable "
		    "only; --doubtful takes others, too" :
		    "no more blocks can be expected to go; 'coldframe why "
		    "--spoilers' tells what is in the way");
	return options->chosen ? EXIT_PARTLY : EXIT_FAILED;
}

enum { OPT_SHRINK = 256, OPT_DOUBTFUL };

static const struct option long_options[] = {
	{ "shrink", required_argument, NULL, OPT_SHRINK },
	{ "doubtful", no_argument, NULL, OPT_DOUBTFUL },
	TABLE_OPTIONS,
	TABLE_SUMMARY_OPTIONS,
	SELECT_OPTIONS,
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static int set_option(struct options *options, int option)
{
	const char *command = options->survey.command;
	int status;

	if (option == OPT_DOUBTFUL) {
		options->doubtful = true;
		return 0;
	}
	if (option == OPT_SHRINK) {
		if (!common_wanted(optarg, &options->size))
			return common_wrong(command, "--shrink: '%s' is no "
					    "size with a unit, such as 512M "
					    "or 8G", optarg);
		return 0;
	}
	status = table_option(&options->table, option, optarg);
	if (status < 0)
		status = survey_option(&options->survey, option, optarg);
	return status < 0 ? common_try_help(command) : status;
}

static int parse_options(struct options *options, int argc, char **argv)
{
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, TABLE_LETTERS
						SURVEY_LETTERS, long_options,
						NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&options->table);
			return -1;
		}
		status = set_option(options, option);
	}
	if (!status && !options->size)
		status = common_wrong(options->survey.command, "how much? "
				      "--shrink SIZE");
	return status;
}

int cmd_plan(int argc, char **argv)
{
	struct options options = {
		.survey = { .command = argv[0],
			    .select = { .node = LX_NODE_UNKNOWN } },
		.table = { .command = argv[0], .column = columns,
			   .columns = COL_COUNT, .cell = print_cell,
			   .items = "steps", .count = 7,
			   .chosen = { COL_BLOCK, COL_VERDICT, COL_ZONE,
				       COL_NODE, COL_MOVABLE, COL_SUM,
				       COL_COMMAND } },
	};
	int status = parse_options(&options, argc, argv);

	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	options.survey.arguments = argv + optind;
	status = survey_open(&options.survey);
	if (status)
		return status;
	status = plan(&options);
	free(options.step);
	survey_close(&options.survey);
	return common_finish(argv[0], status);
}
