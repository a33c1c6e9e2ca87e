/* SPDX-License-Identifier: MIT */
#include "survey.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>

enum {
	COL_RANGE, COL_SIZE, COL_STATE, COL_ZONE, COL_NODE, COL_VERDICT,
	COL_BLOCK, COL_REASONS, COL_CONFIDENCE, COL_FREE, COL_REPORTED,
	COL_MOVABLE, COL_OFFLINE, COL_DOUBTFUL, COL_BLOCKING, COL_ABSENT,
	COL_FIRST, COL_CHUNKS_FREE, COL_CHUNKS_MOVABLE, COL_CHUNKS_SPOILED,
	COL_COUNT
};

static const struct table_column columns[COL_COUNT] = {
	[COL_RANGE] = { "RANGE", "addresses, the last included", TABLE_LEFT },
	[COL_SIZE] = { "SIZE", "of the range", TABLE_RIGHT },
	[COL_STATE] = { "STATE", "online, offline, going-offline",
			TABLE_RIGHT },
	[COL_ZONE] = { "ZONE", "Normal, Movable, ...", TABLE_RIGHT },
	[COL_NODE] = { "NODE", "number of the node", TABLE_RIGHT },
	[COL_VERDICT] = { "VERDICT", "can it go offline?", TABLE_LEFT },
	[COL_BLOCK] = { "BLOCK", "numbers of the memory blocks", TABLE_RIGHT },
	[COL_REASONS] = { "REASONS", "why, with numbers of frames",
			TABLE_LEFT },
	[COL_CONFIDENCE] = { "CONFIDENCE", "proved, likely or possible",
			     TABLE_LEFT },
	[COL_FREE] = { "FREE", "free memory", TABLE_RIGHT },
	[COL_REPORTED] = { "REPORTED", "free, and the hypervisor was told",
			   TABLE_RIGHT },
	[COL_MOVABLE] = { "MOVABLE", "in use, can be moved", TABLE_RIGHT },
	[COL_OFFLINE] = { "OFFLINE", "logically offline", TABLE_RIGHT },
	[COL_DOUBTFUL] = { "DOUBTFUL", "in use, perhaps not movable",
			TABLE_RIGHT },
	[COL_BLOCKING] = { "BLOCKING", "in use, cannot be moved", TABLE_RIGHT },
	[COL_ABSENT] = { "ABSENT", "no memory", TABLE_RIGHT },
	[COL_FIRST] = { "FIRST", "pfn of the first frame that blocks",
			TABLE_RIGHT },
	[COL_CHUNKS_FREE] = { "CHUNKS-FREE", "chunks of 2 MiB all free",
			      TABLE_RIGHT },
	[COL_CHUNKS_MOVABLE] = { "CHUNKS-MOVABLE",
				 "chunks that could be emptied", TABLE_RIGHT },
	[COL_CHUNKS_SPOILED] = { "CHUNKS-SPOILED",
				 "chunks with a frame that blocks",
				 TABLE_RIGHT },
};

/* One line: blocks in a row that look alike in the columns of split. */
struct row {
	uint64_t first_id, last_id;	/* last included */
	uint64_t frames;		/* of the range */
	struct lx_block block;		/* state, zone and node of the first */
	struct lx_piece piece;
	struct lx_judgement judgement;
	bool flags;			/* there are counts */
	bool addresses;
};

struct options {
	struct survey survey;
	struct table table;
	bool all;
	uint64_t split;			/* a bit a column */
	bool has_split;
};

struct totals {
	struct lx_piece piece;
	uint64_t blocks[LX_VERDICT_COUNT];
};

static const char help[] =
"usage: coldframe blocks [OPTION...] [BLOCK|RANGE...]\n"
"\n"
"Say of each memory block whether it can go offline, and what stands against\n"
"it. Nothing is written and nothing is tried.\n"
"\n"
"BLOCK is a number; RANGE is 32-199 (blocks), 0x100000000-0x107ffffff\n"
"(addresses) or pfn:0x100000+512.\n"
"\n"
"  -a, --all           a line for every block\n"
"  -S, --split LIST    a new line when one of these columns changes, or none\n"
"      --prometheus    a text file for Prometheus\n"
TABLE_HELP TABLE_SUMMARY_HELP SELECT_HELP COMMON_HELP;

/* "slab:120,untyped:3" */
static const char *print_reasons(const struct lx_judgement *judgement,
				 char buffer[512])
{
	size_t at = 0, i;

	buffer[0] = 0;
	for (i = 0; i < judgement->count && at < 440; i++) {
		const struct lx_reason *reason = &judgement->reason[i];

		at += (size_t)snprintf(buffer + at, 512 - at,
				       reason->frames ? "%s%s:%" PRIu64 :
							"%s%s",
				       i ? "," : "",
				       lx_reason_name(reason->code),
				       reason->frames);
	}
	return buffer;
}

static const char *print_size(uint64_t frames, bool bytes, char buffer[512])
{
	uint64_t size = frames << CF_FRAME_SHIFT;

	if (bytes)
		snprintf(buffer, 512, "%" PRIu64, size);
	else
		common_short(size, buffer);
	return buffer;
}

static const char *print_node(int node, char buffer[512])
{
	if (node == LX_NODE_UNKNOWN)
		return "";
	if (node == LX_NODE_SEVERAL)
		return "several";
	snprintf(buffer, 512, "%d", node);
	return buffer;
}

static const char *print_range(const struct row *row, char buffer[512])
{
	uint64_t size = row->piece.first << CF_FRAME_SHIFT;

	snprintf(buffer, 512, "0x%016" PRIx64 "-0x%016" PRIx64, size,
		 size + (row->frames << CF_FRAME_SHIFT) - 1);
	return buffer;
}

static const char *print_ids(const struct row *row, char buffer[512])
{
	snprintf(buffer, 512, row->first_id == row->last_id ? "%" PRIu64 :
		 "%" PRIu64 "-%" PRIu64, row->first_id, row->last_id);
	return buffer;
}

/* The first frame of those that block, or of those in doubt. */
static uint64_t first_of(const struct lx_piece *piece, enum lx_role role)
{
	uint64_t first = UINT64_MAX;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		if (lx_class_role((enum lx_class)class) == role &&
		    piece->count[class] && piece->at[class] < first)
			first = piece->at[class];
	}
	return first;
}

static const char *print_first(const struct row *row, char buffer[512])
{
	uint64_t first = first_of(&row->piece, LX_ROLE_BLOCKS);

	if (first == UINT64_MAX)
		first = first_of(&row->piece, LX_ROLE_DOUBT);
	if (first == UINT64_MAX || !row->addresses)
		return "";
	snprintf(buffer, 512, "0x%" PRIx64, first);
	return buffer;
}

static uint64_t frames_of(const struct lx_piece *piece, unsigned int column)
{
	switch (column) {
	case COL_FREE:
		return lx_piece_role(piece, LX_ROLE_FREE);
	case COL_REPORTED:
		return piece->count[LX_CLASS_REPORTED];
	case COL_MOVABLE:
		return lx_piece_role(piece, LX_ROLE_MOVES) -
		       piece->count[LX_CLASS_BALLOON];
	case COL_OFFLINE:
		return lx_piece_role(piece, LX_ROLE_OWNER) +
		       piece->count[LX_CLASS_BALLOON];
	case COL_DOUBTFUL:
		return lx_piece_role(piece, LX_ROLE_DOUBT);
	case COL_BLOCKING:
		return lx_piece_role(piece, LX_ROLE_BLOCKS);
	default:
		return piece->count[LX_CLASS_ABSENT];
	}
}

/* Columns that only frames tell. */
static const char *print_counts(const struct row *row, unsigned int column,
				bool bytes, char buffer[512])
{
	const struct lx_piece *piece = &row->piece;
	uint32_t chunks = column == COL_CHUNKS_FREE ? piece->chunks_free :
			  column == COL_CHUNKS_MOVABLE ?
			  piece->chunks_movable : piece->chunks_spoiled;

	if (!row->flags)
		return "";
	if (column == COL_FIRST)
		return print_first(row, buffer);
	if (column < COL_FIRST)
		return print_size(frames_of(piece, column), bytes, buffer);
	snprintf(buffer, 512, "%" PRIu32, chunks);
	return buffer;
}

static const char *print_cell(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct row *row = context;

	switch (column) {
	case COL_RANGE:
		return print_range(row, buffer);
	case COL_SIZE:
		return print_size(row->frames, bytes, buffer);
	case COL_STATE:
		return lx_block_state_name(row->block.state);
	case COL_ZONE:
		return lx_block_zone_name((enum lx_block_zone)row->block.zone);
	case COL_NODE:
		return print_node(row->block.node, buffer);
	case COL_VERDICT:
		return lx_verdict_name(row->judgement.verdict);
	case COL_BLOCK:
		return print_ids(row, buffer);
	case COL_REASONS:
		return print_reasons(&row->judgement, buffer);
	case COL_CONFIDENCE:
		return lx_confidence_name(row->judgement.confidence);
	default:
		return print_counts(row, column, bytes, buffer);
	}
}

static const char *verdict_color(enum lx_verdict verdict)
{
	switch (verdict) {
	case LX_VERDICT_NEVER:
	case LX_VERDICT_BLOCKED:
		return "31";
	case LX_VERDICT_DOUBTFUL:
		return "33";
	case LX_VERDICT_CANDIDATE:
	case LX_VERDICT_EMPTY:
		return "32";
	default:
		return "90";
	}
}

static const char *color_cell(const void *context, unsigned int column)
{
	const struct row *row = context;

	return column == COL_VERDICT ? verdict_color(row->judgement.verdict) :
				       NULL;
}

static uint64_t reason_set(const struct lx_judgement *judgement)
{
	uint64_t set = 0;
	size_t i;

	for (i = 0; i < judgement->count; i++)
		set |= UINT64_C(1) << judgement->reason[i].code;
	return set;
}

static bool differs(const struct row *a, const struct row *b,
		    unsigned int column)
{
	switch (column) {
	case COL_STATE:
		return a->block.state != b->block.state;
	case COL_ZONE:
		return a->block.zone != b->block.zone;
	case COL_NODE:
		return a->block.node != b->block.node;
	case COL_VERDICT:
		return a->judgement.verdict != b->judgement.verdict;
	case COL_CONFIDENCE:
		return a->judgement.confidence != b->judgement.confidence;
	case COL_REASONS:
		return reason_set(&a->judgement) != reason_set(&b->judgement);
	default:
		return false;
	}
}

static bool goes_on(const struct options *options, const struct row *row,
		    const struct row *next)
{
	unsigned int column;

	if (options->all || row->last_id + 1 != next->first_id)
		return false;
	if (options->table.mode == TABLE_JSON && !options->has_split)
		return false;
	for (column = 0; column < COL_COUNT; column++) {
		bool splits = options->has_split ?
			      options->split >> column & 1 :
			      table_has(&options->table, column) &&
			      column != COL_REASONS;

		if (splits && differs(row, next, column))
			return false;
	}
	return true;
}

static void add_reasons(struct lx_judgement *sum,
			const struct lx_judgement *more)
{
	size_t i, k;

	for (i = 0; i < more->count; i++) {
		for (k = 0; k < sum->count; k++) {
			if (sum->reason[k].code == more->reason[i].code)
				break;
		}
		if (k == sum->count)
			sum->reason[sum->count++] = more->reason[i];
		else
			sum->reason[k].frames += more->reason[i].frames;
	}
}

static void join(struct row *row, const struct row *next)
{
	row->last_id = next->last_id;
	row->frames += next->frames;
	lx_piece_add(&row->piece, &next->piece);
	add_reasons(&row->judgement, &next->judgement);
}

static json_t *json_reason(const struct lx_reason *reason, bool addresses)
{
	json_t *object = json_pack("{s:s, s:s, s:s}",
		"code", lx_reason_name(reason->code),
		"confidence", lx_confidence_name(reason->confidence),
		"toward", reason->toward == LX_VERDICT_COUNT ? "none" :
			  lx_verdict_name(reason->toward));

	if (!reason->frames)
		return object;
	json_object_set_new(object, "frames",
			    json_integer((json_int_t)reason->frames));
	if (reason->at && addresses)
		json_object_set_new(object, "first_pfn",
				    json_integer((json_int_t)reason->at));
	return object;
}

static json_t *json_reasons(const struct lx_judgement *judgement,
			    bool addresses)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < judgement->count; i++)
		json_array_append_new(array,
				      json_reason(&judgement->reason[i],
						  addresses));
	return array;
}

static json_t *json_frames(const struct lx_piece *piece)
{
	json_t *object = json_object();
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		if (piece->count[class])
			json_object_set_new(object,
				lx_class_name((enum lx_class)class),
				json_integer((json_int_t)piece->count[class]));
	}
	return object;
}

static json_t *json_row(const struct row *row)
{
	const struct lx_piece *piece = &row->piece;
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:o}",
		"block", (json_int_t)row->first_id,
		"last_block", (json_int_t)row->last_id,
		"address", (json_int_t)(piece->first << CF_FRAME_SHIFT),
		"bytes", (json_int_t)(row->frames << CF_FRAME_SHIFT),
		"state", lx_block_state_name(row->block.state),
		"verdict", lx_verdict_name(row->judgement.verdict),
		"confidence", lx_confidence_name(row->judgement.confidence),
		"reasons", json_reasons(&row->judgement, row->addresses));

	if (row->block.zone != LX_ZONE_UNKNOWN)
		json_object_set_new(object, "zone", json_string(
			lx_block_zone_name(
				(enum lx_block_zone)row->block.zone)));
	if (row->block.node >= 0)
		json_object_set_new(object, "node",
				    json_integer(row->block.node));
	if (!row->flags)
		return object;
	json_object_set_new(object, "frames", json_frames(piece));
	json_object_set_new(object, "chunks", json_pack("{s:I, s:I, s:I}",
		"free", (json_int_t)piece->chunks_free,
		"movable", (json_int_t)piece->chunks_movable,
		"spoiled", (json_int_t)piece->chunks_spoiled));
	return object;
}

static bool put_row(struct options *options, const struct row *row)
{
	if (options->table.mode == TABLE_PROMETHEUS)
		return true;
	if (options->table.mode == TABLE_JSON)
		return json_add(&options->table, json_row(row));
	return table_add(&options->table, row);
}

static void add_totals(struct totals *totals, const struct row *row)
{
	lx_piece_add(&totals->piece, &row->piece);
	totals->blocks[row->judgement.verdict]++;
}

static int list_blocks(struct options *options, struct totals *totals)
{
	struct survey *survey = &options->survey;
	struct surveyed found;
	struct row row = { .frames = 0 }, next;
	bool good = true;
	int ret;

	while (good && (ret = survey_next(survey, &found)) > 0) {
		next = (struct row){
			found.block->id, found.block->id,
			survey->host.blocks.frames, *found.block, found.piece,
			found.judgement, found.piece.frames > 0,
			survey->host.addresses,
		};
		add_totals(totals, &next);
		if (row.frames && goes_on(options, &row, &next)) {
			join(&row, &next);
			continue;
		}
		if (row.frames)
			good = put_row(options, &row);
		row = next;
	}
	if (good && ret < 0)
		return common_unread(survey->command, &survey->err);
	if (good && row.frames)
		good = put_row(options, &row);
	return good ? 0 : table_failed(&options->table);
}

static void print_summary(const struct options *options,
			  const struct totals *totals)
{
	uint64_t bytes = options->survey.host.blocks.frames << CF_FRAME_SHIFT;
	unsigned int verdict;
	char size[24];

	printf("%sMemory block size: %15s\n", options->table.summary ==
	       SUMMARY_ONLY ? "" : "\n", common_bytes(bytes, size));
	for (verdict = 0; verdict < LX_VERDICT_COUNT; verdict++) {
		uint64_t count = totals->blocks[verdict];

		if (count)
			printf("%9" PRIu64 " %-15s %8s\n", count,
			       lx_verdict_name((enum lx_verdict)verdict),
			       common_bytes(count * bytes, size));
	}
}

static void print_prometheus(const struct options *options,
			     const struct totals *totals)
{
	uint64_t bytes = options->survey.host.blocks.frames << CF_FRAME_SHIFT;
	unsigned int i;

	puts("# HELP coldframe_block_bytes Size of a memory block.\n"
	     "# TYPE coldframe_block_bytes gauge");
	printf("coldframe_block_bytes %" PRIu64 "\n", bytes);
	puts("# HELP coldframe_blocks Memory blocks by verdict.\n"
	     "# TYPE coldframe_blocks gauge");
	for (i = 0; i < LX_VERDICT_COUNT; i++)
		printf("coldframe_blocks{verdict=\"%s\"} %" PRIu64 "\n",
		       lx_verdict_name((enum lx_verdict)i), totals->blocks[i]);
	if (!options->survey.flags)
		return;
	puts("# HELP coldframe_frames Page frames of 4096 bytes by class.\n"
	     "# TYPE coldframe_frames gauge");
	for (i = 0; i < LX_CLASS_COUNT; i++)
		printf("coldframe_frames{class=\"%s\"} %" PRIu64 "\n",
		       lx_class_name((enum lx_class)i),
		       totals->piece.count[i]);
}

static json_t *json_head(const struct survey *survey)
{
	return json_pack("{s:I, s:I, s:b, s:b}",
		"frame_bytes", (json_int_t)CF_FRAME_BYTES,
		"block_bytes", (json_int_t)(survey->host.blocks.frames <<
					    CF_FRAME_SHIFT),
		"block_size_assumed", survey->host.assumed,
		"frames_known", survey->flags);
}

static json_t *json_tail(const struct totals *totals)
{
	json_t *verdicts = json_object();
	unsigned int i;

	for (i = 0; i < LX_VERDICT_COUNT; i++)
		json_object_set_new(verdicts,
				    lx_verdict_name((enum lx_verdict)i),
				    json_integer((json_int_t)
						 totals->blocks[i]));
	return json_pack("{s:o, s:o}", "verdicts", verdicts, "frames",
			 json_frames(&totals->piece));
}

static int blocks(struct options *options)
{
	bool json = options->table.mode == TABLE_JSON;
	struct totals totals = { .blocks = { 0 } };
	int status;

	if (json)
		json_begin(&options->table, json_head(&options->survey));
	status = list_blocks(options, &totals);
	if (status)
		return status;
	if (json)
		json_end(&options->table, json_tail(&totals));
	else
		table_end(&options->table);
	if (options->table.mode == TABLE_PROMETHEUS)
		print_prometheus(options, &totals);
	else if (table_wants_summary(&options->table))
		print_summary(options, &totals);
	return survey_end(&options->survey);
}

static int set_split(struct options *options, const char *list)
{
	struct table columns_only = options->table;
	struct lx_error err;
	unsigned int i;

	options->has_split = true;
	options->split = 0;
	if (!strcmp(list, "none"))
		return 0;
	columns_only.count = 0;
	if (table_choose(&columns_only, list, &err))
		return common_wrong(options->survey.command, "--split: %s",
				    err.text);
	for (i = 0; i < columns_only.count; i++)
		options->split |= UINT64_C(1) << columns_only.chosen[i];
	return 0;
}

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "split", required_argument, NULL, 'S' },
	{ "prometheus", no_argument, NULL, TABLE_PROMETHEUS_OPTION },
	TABLE_OPTIONS,
	TABLE_SUMMARY_OPTIONS,
	SELECT_OPTIONS,
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static int set_option(struct options *options, int option)
{
	int status;

	if (option == 'a') {
		options->all = true;
		return 0;
	}
	if (option == 'S')
		return set_split(options, optarg);
	status = table_option(&options->table, option, optarg);
	if (status < 0)
		status = survey_option(&options->survey, option, optarg);
	return status < 0 ? common_try_help(options->survey.command) : status;
}

int cmd_blocks(int argc, char **argv)
{
	struct options options = {
		.survey = { .command = argv[0],
			    .select = { .node = LX_NODE_UNKNOWN } },
		.table = { .command = argv[0], .column = columns,
			   .columns = COL_COUNT, .cell = print_cell,
			   .cell_color = color_cell,
			   .items = "blocks", .count = 7,
			   .chosen = { COL_RANGE, COL_SIZE, COL_STATE,
				       COL_ZONE, COL_VERDICT, COL_BLOCK,
				       COL_REASONS } },
	};
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, TABLE_LETTERS
						SURVEY_LETTERS "aS:",
						long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&options.table);
			return common_finish(argv[0], EXIT_OK);
		}
		status = set_option(&options, option);
	}
	if (status)
		return status;
	options.table.color = common_color_use(options.survey.source.color);
	options.survey.arguments = argv + optind;
	status = survey_open(&options.survey);
	if (status)
		return status;
	status = blocks(&options);
	survey_close(&options.survey);
	return common_finish(argv[0], status);
}
