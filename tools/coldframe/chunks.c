/* SPDX-License-Identifier: MIT */
#include "survey.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>

#define GROUPS_MAX	128
#define FEW		8	/* frames: little to get a chunk for */

enum kind {
	KIND_FREE,
	KIND_REPORTED,			/* free, and the hypervisor was told */
	KIND_MOVABLE,			/* could be emptied */
	KIND_SPOILED,
	KIND_SILENT,			/* no frame says anything */
	KIND_ABSENT,
	KIND_COUNT
};

static const char *const kind_names[KIND_COUNT] = {
	[KIND_FREE]	= "free",
	[KIND_REPORTED]	= "reported",
	[KIND_MOVABLE]	= "movable",
	[KIND_SPOILED]	= "spoiled",
	[KIND_SILENT]	= "silent",
	[KIND_ABSENT]	= "absent",
};

enum {
	COL_NODE, COL_ZONE, COL_CHUNKS, COL_FREE, COL_REPORTED, COL_MOVABLE,
	COL_SPOILED, COL_FEW, COL_MOSTLY, COL_SILENT, COL_FREE_MEMORY,
	COL_SCORE, COL_COUNT
};

static const struct table_column columns[COL_COUNT] = {
	[COL_NODE] = { "NODE", "number of the node", TABLE_RIGHT },
	[COL_ZONE] = { "ZONE", "Normal, Movable, ...", TABLE_LEFT },
	[COL_CHUNKS] = { "CHUNKS", "chunks of 2 MiB", TABLE_RIGHT },
	[COL_FREE] = { "FREE", "all free: a huge page each", TABLE_RIGHT },
	[COL_REPORTED] = { "REPORTED", "of these, known to the hypervisor",
			   TABLE_RIGHT },
	[COL_MOVABLE] = { "MOVABLE", "could be emptied", TABLE_RIGHT },
	[COL_SPOILED] = { "SPOILED", "hold something that is in the way",
			  TABLE_RIGHT },
	[COL_FEW] = { "FEW", "of these, by 8 frames or fewer", TABLE_RIGHT },
	[COL_MOSTLY] = { "MOSTLY", "what spoils most of them", TABLE_LEFT },
	[COL_SILENT] = { "SILENT", "say nothing: not initialised, or kernel",
			 TABLE_RIGHT },
	[COL_FREE_MEMORY] = { "FREE-MEMORY", "in all chunks", TABLE_RIGHT },
	[COL_SCORE] = { "SCORE", "free memory not in free chunks, in %",
			TABLE_RIGHT },
};

enum {
	LIST_RANGE, LIST_CHUNKS, LIST_KIND, LIST_BLOCK, LIST_FREE,
	LIST_MOVABLE, LIST_SPOILERS, LIST_MOSTLY, LIST_FIRST, LIST_COUNT
};

static const struct table_column list_columns[LIST_COUNT] = {
	[LIST_RANGE] = { "RANGE", "addresses, the last included", TABLE_LEFT },
	[LIST_CHUNKS] = { "CHUNKS", "chunks of 2 MiB", TABLE_RIGHT },
	[LIST_KIND] = { "KIND", "free, reported, movable, spoiled, ...",
			TABLE_LEFT },
	[LIST_BLOCK] = { "BLOCK", "that the first is in", TABLE_RIGHT },
	[LIST_FREE] = { "FREE", "free memory", TABLE_RIGHT },
	[LIST_MOVABLE] = { "MOVABLE", "in use, can be moved", TABLE_RIGHT },
	[LIST_SPOILERS] = { "SPOILERS", "frames in the way", TABLE_RIGHT },
	[LIST_MOSTLY] = { "MOSTLY", "what most of these are", TABLE_LEFT },
	[LIST_FIRST] = { "FIRST", "pfn of the first of these", TABLE_RIGHT },
};

/* Chunks of one node and zone. */
struct group {
	int node;
	enum lx_block_zone zone;
	uint64_t chunks[KIND_COUNT], few;
	uint64_t spoils[LX_CLASS_COUNT];	/* chunks, by what most is */
	uint64_t free_frames, free_in_free;
};

/* Chunks in a row of one kind. */
struct stretch {
	uint64_t chunks, block;
	enum kind kind;
	struct lx_piece piece;
	bool addresses;
};

struct options {
	struct survey survey;
	struct table table;
	bool list, all;
	struct group group[GROUPS_MAX];
	size_t groups;
	struct group *now;		/* of the block being read */
	const struct lx_block *block;
	struct stretch stretch;
	bool failed;
};

static const char help[] =
"usage: coldframe chunks [OPTION...] [BLOCK|RANGE...]\n"
"\n"
"Count the chunks of 2 MiB by what becomes of them: free, which makes a huge\n"
"page, or one that could be emptied, or spoiled by what cannot be moved.\n"
"\n"
"  -l, --list          the chunks themselves, those alike in one line\n"
"  -a, --all           the same, a line a chunk\n"
TABLE_HELP SELECT_HELP COMMON_HELP;

/* The class of most of the frames in the way; COUNT: there are none. */
static enum lx_class main_spoiler(const struct lx_piece *piece)
{
	enum lx_class found = LX_CLASS_COUNT;
	uint64_t most = 0;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		enum lx_role role = lx_class_role((enum lx_class)class);

		if ((role != LX_ROLE_BLOCKS && role != LX_ROLE_DOUBT) ||
		    piece->count[class] <= most)
			continue;
		most = piece->count[class];
		found = (enum lx_class)class;
	}
	return found;
}

static uint64_t spoilers_of(const struct lx_piece *piece)
{
	return lx_piece_role(piece, LX_ROLE_BLOCKS) +
	       lx_piece_role(piece, LX_ROLE_DOUBT);
}

static const char *print_size(uint64_t frames, bool bytes, char buffer[512])
{
	uint64_t size = frames << CF_FRAME_SHIFT;

	if (!bytes)
		return common_short(size, buffer);
	snprintf(buffer, 512, "%" PRIu64, size);
	return buffer;
}

static const char *print_number(uint64_t value, char buffer[512])
{
	snprintf(buffer, 512, "%" PRIu64, value);
	return buffer;
}

static uint64_t score_of(const struct group *group)
{
	uint64_t rest = group->free_frames - group->free_in_free;

	return group->free_frames ? 100 * rest / group->free_frames : 0;
}

static enum lx_class group_spoiler(const struct group *group)
{
	enum lx_class most = LX_CLASS_FREE;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		if (group->spoils[class] > group->spoils[most])
			most = (enum lx_class)class;
	}
	return group->spoils[most] ? most : LX_CLASS_COUNT;
}

static uint64_t group_number(const struct group *group, unsigned int column)
{
	const uint64_t *chunks = group->chunks;

	switch (column) {
	case COL_CHUNKS:
		return chunks[KIND_FREE] + chunks[KIND_REPORTED] +
		       chunks[KIND_MOVABLE] + chunks[KIND_SPOILED] +
		       chunks[KIND_SILENT];
	case COL_FREE:
		return chunks[KIND_FREE] + chunks[KIND_REPORTED];
	case COL_REPORTED:
		return chunks[KIND_REPORTED];
	case COL_MOVABLE:
		return chunks[KIND_MOVABLE];
	case COL_SPOILED:
		return chunks[KIND_SPOILED];
	case COL_FEW:
		return group->few;
	case COL_SILENT:
		return chunks[KIND_SILENT];
	default:
		return score_of(group);
	}
}

static const char *print_group(const void *context, unsigned int column,
			       bool bytes, char buffer[512])
{
	const struct group *group = context;
	enum lx_class spoiler = group_spoiler(group);

	switch (column) {
	case COL_NODE:
		return group->node < 0 ? "" :
		       print_number((uint64_t)group->node, buffer);
	case COL_ZONE:
		return lx_block_zone_name(group->zone);
	case COL_MOSTLY:
		return spoiler == LX_CLASS_COUNT ? "" : lx_class_name(spoiler);
	case COL_FREE_MEMORY:
		return print_size(group->free_frames, bytes, buffer);
	default:
		return print_number(group_number(group, column), buffer);
	}
}

static const char *print_place(const struct stretch *stretch,
			       char buffer[512])
{
	uint64_t first = stretch->piece.first << CF_FRAME_SHIFT;

	snprintf(buffer, 512, "0x%016" PRIx64 "-0x%016" PRIx64, first,
		 first + (stretch->piece.frames << CF_FRAME_SHIFT) - 1);
	return buffer;
}

static const char *print_stretch(const void *context, unsigned int column,
				 bool bytes, char buffer[512])
{
	const struct stretch *stretch = context;
	const struct lx_piece *piece = &stretch->piece;
	enum lx_class spoiler = main_spoiler(piece);

	switch (column) {
	case LIST_RANGE:
		return print_place(stretch, buffer);
	case LIST_CHUNKS:
		return print_number(stretch->chunks, buffer);
	case LIST_KIND:
		return kind_names[stretch->kind];
	case LIST_BLOCK:
		return print_number(stretch->block, buffer);
	case LIST_FREE:
		return print_size(lx_piece_role(piece, LX_ROLE_FREE), bytes,
				  buffer);
	case LIST_MOVABLE:
		return print_size(lx_piece_role(piece, LX_ROLE_MOVES), bytes,
				  buffer);
	case LIST_SPOILERS:
		return print_number(spoilers_of(piece), buffer);
	default:
		break;
	}
	if (spoiler == LX_CLASS_COUNT)
		return "";
	if (column == LIST_MOSTLY)
		return lx_class_name(spoiler);
	if (!stretch->addresses)
		return "";
	snprintf(buffer, 512, "0x%" PRIx64, piece->at[spoiler]);
	return buffer;
}

static json_t *json_stretch(const struct stretch *stretch)
{
	const struct lx_piece *piece = &stretch->piece;
	enum lx_class spoiler = main_spoiler(piece);
	json_t *object = json_pack("{s:I, s:I, s:s, s:I, s:I, s:I, s:I}",
		"address", (json_int_t)(piece->first << CF_FRAME_SHIFT),
		"chunks", (json_int_t)stretch->chunks,
		"kind", kind_names[stretch->kind],
		"block", (json_int_t)stretch->block,
		"free_frames", (json_int_t)lx_piece_role(piece, LX_ROLE_FREE),
		"movable_frames", (json_int_t)lx_piece_role(piece,
							    LX_ROLE_MOVES),
		"spoiling_frames", (json_int_t)spoilers_of(piece));

	if (spoiler != LX_CLASS_COUNT)
		json_object_set_new(object, "mostly",
				    json_string(lx_class_name(spoiler)));
	if (spoiler != LX_CLASS_COUNT && stretch->addresses)
		json_object_set_new(object, "first_pfn", json_integer(
			(json_int_t)piece->at[spoiler]));
	return object;
}

static json_t *json_group(const struct group *group)
{
	enum lx_class spoiler = group_spoiler(group);
	json_t *object = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
				   "s:I, s:I}",
		"zone", lx_block_zone_name(group->zone),
		"chunks", (json_int_t)group_number(group, COL_CHUNKS),
		"free", (json_int_t)group_number(group, COL_FREE),
		"reported", (json_int_t)group->chunks[KIND_REPORTED],
		"movable", (json_int_t)group->chunks[KIND_MOVABLE],
		"spoiled", (json_int_t)group->chunks[KIND_SPOILED],
		"silent", (json_int_t)group->chunks[KIND_SILENT],
		"spoiled_by_few", (json_int_t)group->few,
		"free_frames", (json_int_t)group->free_frames,
		"score", (json_int_t)score_of(group));

	if (group->node >= 0)
		json_object_set_new(object, "node", json_integer(group->node));
	if (spoiler != LX_CLASS_COUNT)
		json_object_set_new(object, "mostly",
				    json_string(lx_class_name(spoiler)));
	return object;
}

static bool put_stretch(struct options *options)
{
	const struct stretch *stretch = &options->stretch;
	bool good = true;

	if (stretch->chunks && options->table.mode == TABLE_JSON)
		good = json_add(&options->table, json_stretch(stretch));
	else if (stretch->chunks)
		good = table_add(&options->table, stretch);
	options->stretch.chunks = 0;
	return good;
}

static enum kind kind_of(const struct lx_piece *chunk)
{
	if (chunk->count[LX_CLASS_UNTYPED] == chunk->frames)
		return KIND_SILENT;
	if (chunk->chunks_spoiled)
		return KIND_SPOILED;
	if (chunk->chunks_movable)
		return KIND_MOVABLE;
	if (!chunk->chunks_free)
		return KIND_ABSENT;
	return chunk->count[LX_CLASS_REPORTED] == chunk->frames ?
	       KIND_REPORTED : KIND_FREE;
}

static void list_chunk(struct options *options, const struct lx_piece *chunk,
		       enum kind kind)
{
	struct stretch *stretch = &options->stretch;
	uint64_t end = stretch->piece.first + stretch->piece.frames;

	if (stretch->chunks && !options->all && stretch->kind == kind &&
	    end == chunk->first) {
		lx_piece_add(&stretch->piece, chunk);
		stretch->chunks++;
		return;
	}
	options->failed |= !put_stretch(options);
	*stretch = (struct stretch){
		.chunks = 1, .block = options->block->id, .kind = kind,
		.piece = *chunk,
		.addresses = options->survey.host.addresses,
	};
}

/* lx_chunk_fn */
static void take_chunk(void *context, const struct lx_piece *chunk)
{
	struct options *options = context;
	enum kind kind = kind_of(chunk);
	struct group *group = options->now;
	uint64_t free = lx_piece_role(chunk, LX_ROLE_FREE);

	group->chunks[kind]++;
	group->free_frames += free;
	if (kind == KIND_FREE || kind == KIND_REPORTED)
		group->free_in_free += free;
	if (kind == KIND_SPOILED) {
		group->few += spoilers_of(chunk) <= FEW;
		group->spoils[main_spoiler(chunk)]++;
	}
	if (options->list)
		list_chunk(options, chunk, kind);
}

/* More groups than there can be are counted with the last. */
static void find_group(struct options *options, const struct lx_block *block)
{
	size_t i = 0;

	while (i < options->groups &&
	       (options->group[i].node != block->node ||
		options->group[i].zone != (enum lx_block_zone)block->zone))
		i++;
	if (i == GROUPS_MAX)
		i--;
	if (i == options->groups) {
		options->group[i].node = block->node;
		options->group[i].zone = (enum lx_block_zone)block->zone;
		options->groups++;
	}
	options->now = &options->group[i];
	options->block = block;
}

static int read_chunks(struct options *options)
{
	struct survey *survey = &options->survey;
	const struct lx_blocks *blocks = &survey->host.blocks;
	struct lx_piece piece;
	size_t i;
	int ret = 0;

	survey->scan.chunk = take_chunk;
	survey->scan.context = options;
	for (i = 0; !ret && i < blocks->count; i++) {
		const struct lx_block *block = &blocks->block[i];
		uint64_t first = block->id * blocks->frames;

		if (block->state == LX_BLOCK_OFFLINE ||
		    !select_has(&survey->select, &survey->host, block))
			continue;
		find_group(options, block);
		ret = lx_scan_piece(&survey->scan, first,
				    first + blocks->frames, &piece,
				    &survey->err);
		survey->cut += block->state == LX_BLOCK_ONLINE &&
			       piece.frames < blocks->frames;
	}
	return ret;
}

static bool put_groups(struct options *options)
{
	bool good = true;
	size_t i;

	for (i = 0; good && i < options->groups; i++) {
		const struct group *group = &options->group[i];

		if (!group_number(group, COL_CHUNKS))
			continue;
		good = options->table.mode == TABLE_JSON ?
		       json_add(&options->table, json_group(group)) :
		       table_add(&options->table, group);
	}
	return good;
}

static int chunks(struct options *options)
{
	struct table *table = &options->table;
	struct survey *survey = &options->survey;
	bool good = true;

	if (table->mode == TABLE_JSON)
		good = json_begin(table, json_pack("{s:I}", "chunk_bytes",
			(json_int_t)CF_CHUNK_FRAMES << CF_FRAME_SHIFT));
	if (read_chunks(options))
		return common_unread(survey->command, &survey->err);
	good = good && (options->list ? put_stretch(options) :
					put_groups(options));
	if (table->mode == TABLE_JSON)
		good = json_end(table, json_object()) && good;
	else
		good = table_end(table) && good;
	if (!good || options->failed)
		return table_failed(table);
	return survey_end(survey);
}

static const struct option long_options[] = {
	{ "list", no_argument, NULL, 'l' },
	{ "all", no_argument, NULL, 'a' },
	TABLE_OPTIONS,
	SELECT_OPTIONS,
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static void choose_list(struct options *options)
{
	struct table *table = &options->table;
	unsigned int i;

	options->list = true;
	table->column = list_columns;
	table->columns = LIST_COUNT;
	table->cell = print_stretch;
	table->count = LIST_COUNT;
	for (i = 0; i < LIST_COUNT; i++)
		table->chosen[i] = i;
}

static int set_option(struct options *options, int option)
{
	int status;

	if (option == 'l' || option == 'a') {
		options->all |= option == 'a';
		choose_list(options);
		return 0;
	}
	status = table_option(&options->table, option, optarg);
	if (status < 0)
		status = survey_option(&options->survey, option, optarg);
	return status < 0 ? common_try_help(options->survey.command) : status;
}

static int parse_options(struct options *options, int argc, char **argv)
{
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, TABLE_LETTERS
						SURVEY_LETTERS "la",
						long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&options->table);
			return -1;
		}
		status = set_option(options, option);
	}
	return status;
}

int cmd_chunks(int argc, char **argv)
{
	static struct options options;
	unsigned int i;
	int status;

	options = (struct options){
		.survey = { .command = argv[0], .needs_flags = true,
			    .select = { .node = LX_NODE_UNKNOWN } },
		.table = { .command = argv[0], .column = columns,
			   .columns = COL_COUNT, .cell = print_group,
			   .items = "chunks", .count = COL_COUNT },
	};
	for (i = 0; i < COL_COUNT; i++)
		options.table.chosen[i] = i;
	status = parse_options(&options, argc, argv);
	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	options.survey.arguments = argv + optind;
	status = survey_open(&options.survey);
	if (status)
		return status;
	status = chunks(&options);
	survey_close(&options.survey);
	return common_finish(argv[0], status);
}
