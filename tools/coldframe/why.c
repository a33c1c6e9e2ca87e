/* SPDX-License-Identifier: MIT */
#include "answer.h"
#include "spoilers.h"
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAMED		10

enum {
	COL_ROLE, COL_CLASS, COL_FRAMES, COL_SIZE, COL_CHUNKS, COL_FIRST,
	COL_CONFIDENCE, COL_OWNER, COL_RULE, COL_COUNT
};

static const struct table_column columns[COL_COUNT] = {
	[COL_ROLE] = { "ROLE", "blocks, doubt, owner, moves, free, ...",
		       TABLE_LEFT },
	[COL_CLASS] = { "CLASS", "what the frames are", TABLE_LEFT },
	[COL_FRAMES] = { "FRAMES", "how many", TABLE_RIGHT },
	[COL_SIZE] = { "SIZE", "how much that is", TABLE_RIGHT },
	[COL_CHUNKS] = { "CHUNKS", "chunks of 2 MiB that have some",
			TABLE_RIGHT },
	[COL_FIRST] = { "FIRST", "pfn of the first", TABLE_RIGHT },
	[COL_CONFIDENCE] = { "CONFIDENCE", "how sure that is", TABLE_LEFT },
	[COL_OWNER] = { "OWNER", "what is known of who has them", TABLE_LEFT },
	[COL_RULE] = { "RULE", "the flags that decided", TABLE_LEFT },
};

struct options {
	struct survey survey;
	struct table table;
	bool all, owners, spoilers;
	uint64_t size;			/* of spoilers; 0: all */
};

/* A row: a class of an answer. */
struct row {
	const struct answer *answer;
	const struct lx_host *host;
	enum lx_class class;
};

static const char help[] =
"usage: coldframe why [OPTION...] BLOCK|RANGE|PFN...\n"
"       coldframe why --spoilers[=SIZE] [OPTION...] [BLOCK|RANGE...]\n"
"\n"
"Say what keeps memory from going offline, and whose it is.\n"
"\n"
"BLOCK is a number; RANGE is 32-199 (blocks), 0x100000000-0x107ffffff\n"
"(addresses) or pfn:0x100000+512; PFN is pfn:0x100000.\n"
"\n"
"  -a, --all           also what can be moved, is free or is not there\n"
"      --no-owners     do not look through processes and cgroups\n"
"      --spoilers=SIZE blocks by how few frames are in the way, the cheapest\n"
"                      so much; without =SIZE all\n"
TABLE_HELP SELECT_HELP COMMON_HELP;

/* What the verdict says moves is in nobody's way, whatever its class. */
static enum lx_role role_of(const struct answer *answer, enum lx_class class)
{
	return answer->moves[class] &&
	       answer->moves[class] == answer->piece.count[class] ?
	       LX_ROLE_MOVES : lx_class_role(class);
}

static const char *print_owner(const struct row *row, bool confidence,
			       char buffer[512])
{
	struct hint hint;

	hints_of(&row->answer->hints, row->host, row->class,
		 &row->answer->piece, &hint);
	snprintf(buffer, 512, "%s", confidence ?
		 lx_confidence_name(hint.confidence) : hint.text);
	return buffer;
}

static const char *print_number(const struct row *row, unsigned int column,
				bool bytes, char buffer[512])
{
	const struct answer *answer = row->answer;
	uint64_t frames = answer->piece.count[row->class];

	if (column == COL_FIRST && !answer->addresses)
		return "";
	if (column == COL_FIRST)
		snprintf(buffer, 512, "0x%" PRIx64,
			 answer->piece.at[row->class]);
	else if (column == COL_SIZE && !bytes)
		common_short(frames << CF_FRAME_SHIFT, buffer);
	else
		snprintf(buffer, 512, "%" PRIu64, column == COL_SIZE ?
			 frames << CF_FRAME_SHIFT : column == COL_FRAMES ?
			 frames : answer->chunks[row->class]);
	return buffer;
}

static const char *print_cell(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct row *row = context;

	switch (column) {
	case COL_ROLE:
		return lx_role_name(role_of(row->answer, row->class));
	case COL_CLASS:
		return lx_class_name(row->class);
	case COL_OWNER:
		return print_owner(row, false, buffer);
	case COL_CONFIDENCE:
		return print_owner(row, true, buffer);
	case COL_RULE:
		return lx_class_rule(row->class);
	default:
		return print_number(row, column, bytes, buffer);
	}
}

static const char *color_cell(const void *context, unsigned int column)
{
	const struct row *row = context;
	enum lx_role role = role_of(row->answer, row->class);

	if (column != COL_ROLE)
		return NULL;
	return role == LX_ROLE_BLOCKS ? "31" : role == LX_ROLE_DOUBT ? "33" :
	       role == LX_ROLE_OWNER ? "35" : "32";
}

static bool is_shown(const struct options *options,
		     const struct answer *answer, enum lx_class class)
{
	enum lx_role role = lx_class_role(class);

	if (!answer->piece.count[class])
		return false;
	if (options->all || answer_is_frame(answer))
		return true;
	return role == LX_ROLE_BLOCKS || role == LX_ROLE_DOUBT ||
	       role == LX_ROLE_OWNER;
}

/* How high a role ranks. */
static unsigned int rank_of(const struct answer *answer, enum lx_class class)
{
	static const unsigned char rank[LX_ROLE_COUNT] = {
		[LX_ROLE_BLOCKS] = 6, [LX_ROLE_DOUBT] = 5,
		[LX_ROLE_OWNER] = 4, [LX_ROLE_MOVES] = 3,
		[LX_ROLE_SKIPPED] = 2, [LX_ROLE_FREE] = 1,
		[LX_ROLE_ABSENT] = 0,
	};

	return rank[role_of(answer, class)];
}

/* The classes to show, what blocks first, then by how many frames. */
static size_t rank_classes(const struct options *options,
			   const struct answer *answer,
			   enum lx_class ranked[LX_CLASS_COUNT])
{
	const uint64_t *frames = answer->piece.count;
	unsigned int class;
	size_t count = 0, at;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		enum lx_class new = (enum lx_class)class;
		unsigned int own = rank_of(answer, new);

		if (!is_shown(options, answer, new))
			continue;
		for (at = count++; at; at--) {
			enum lx_class above = ranked[at - 1];
			unsigned int rank = rank_of(answer, above);

			if (rank > own || (rank == own &&
					   frames[above] >= frames[new]))
				break;
			ranked[at] = above;
		}
		ranked[at] = new;
	}
	return count;
}

static void print_verdicts(const struct answer *answer)
{
	const char *comma = "";
	unsigned int verdict;

	for (verdict = 0; verdict < LX_VERDICT_COUNT; verdict++) {
		if (!answer->verdicts[verdict])
			continue;
		printf("%s%" PRIu64 " %s", comma, answer->verdicts[verdict],
		       lx_verdict_name((enum lx_verdict)verdict));
		comma = ", ";
	}
	putchar('\n');
}

static void print_head(const struct answer *answer, uint64_t block_frames)
{
	const struct lx_block *block = answer->block;

	if (answer_is_frame(answer))
		printf("frame 0x%" PRIx64 ", ", answer->range.first);
	if (answer->has_word)
		printf("flags 0x%" PRIx64 ", ", answer->word);
	if (answer->blocks != 1) {
		printf("blocks %" PRIu64 " to %" PRIu64 ": ", block->id,
		       (answer->range.last - 1) / block_frames);
		print_verdicts(answer);
		return;
	}
	printf("block %" PRIu64 ", 0x%" PRIx64 "-0x%" PRIx64 ", %s", block->id,
	       block->id * block_frames << CF_FRAME_SHIFT,
	       ((block->id + 1) * block_frames << CF_FRAME_SHIFT) - 1,
	       lx_block_state_name(block->state));
	if (block->zone != LX_ZONE_UNKNOWN)
		printf(", zone %s",
		       lx_block_zone_name((enum lx_block_zone)block->zone));
	if (block->node >= 0)
		printf(", node %d", block->node);
	printf(": %s", lx_verdict_name(answer->judgement.verdict));
	if (answer->judgement.verdict != LX_VERDICT_UNKNOWN)
		printf(" (%s)",
		       lx_confidence_name(answer->judgement.confidence));
	putchar('\n');
}

/* Does a row of the table say the same? */
static bool is_class_reason(enum lx_reason_code code)
{
	return code > LX_REASON_NO_HOTPLUG && code < LX_REASON_PINS &&
	       code != LX_REASON_UNTYPED_MANY && code != LX_REASON_PINNED &&
	       code != LX_REASON_OWNER_KEEPS;
}

/* Reasons that no row shows. */
static void print_reasons(const struct answer *answer)
{
	size_t i;

	for (i = 0; answer->blocks == 1 && i < answer->judgement.count; i++) {
		const struct lx_reason *reason = &answer->judgement.reason[i];

		if (!is_class_reason(reason->code))
			printf("  %s: %s\n", lx_reason_name(reason->code),
			       lx_reason_meaning(reason->code));
	}
}

static void print_owners(const struct lx_owners *owners, const char *title,
			 bool pids)
{
	size_t i;

	if (!owners->count)
		return;
	printf("\n%s\n", title);
	for (i = 0; i < owners->count && i < NAMED; i++) {
		const struct lx_owner *owner = &owners->owner[i];

		printf("%8" PRIu64 " frames", owner->frames);
		if (hints_doubtful(owner))
			printf(", %" PRIu64 " in doubt",
			       hints_doubtful(owner));
		if (pids)
			printf("  %s (%" PRIu64 ")\n", owner->name, owner->id);
		else if (owner->name[0])
			printf("  %s\n", owner->name);
		else
			printf("  a cgroup that is gone (inode %" PRIu64
			       ")\n", owner->id);
	}
	if (owners->count > NAMED)
		printf("         and %zu more\n", owners->count - NAMED);
}

/* Who pins memory here is likely, by addresses; who could is possible. */
static void print_holders(const struct lx_owners *owners)
{
	size_t i, here = 0;

	for (i = 0; i < owners->count; i++) {
		const struct lx_owner *owner = &owners->owner[i];

		if (!owner->marked)
			continue;
		if (!here++)
			puts("\nPinned here by (likely):");
		printf("%8" PRIu64 " frames  %s (%" PRIu64 ")\n",
		       owner->marked, owner->name, owner->id);
	}
	if (here == owners->count)
		return;
	puts("\nHave open what can pin memory, here or elsewhere (possible):");
	for (i = 0; i < owners->count; i++) {
		if (!owners->owner[i].marked)
			printf("         %s (%" PRIu64 ")\n",
			       owners->owner[i].name, owners->owner[i].id);
	}
}

static void print_tail(const struct options *options,
		       const struct answer *answer)
{
	const struct lx_piece *piece = &answer->piece;
	uint64_t chunks = piece->chunks_free + piece->chunks_movable +
			  piece->chunks_spoiled;
	uint64_t movable = 0;
	unsigned int class;
	char free[24], moves[24];

	for (class = 0; class < LX_CLASS_COUNT; class++)
		movable += answer->moves[class];

	if (!answer_is_frame(answer))
		printf("\n%" PRIu32 " of %" PRIu64 " chunks have frames in the "
		       "way; %s can be moved, %s is free.\n",
		       answer->spoiled, chunks,
		       common_bytes(movable << CF_FRAME_SHIFT, moves),
		       common_bytes(lx_piece_role(piece, LX_ROLE_FREE) <<
				    CF_FRAME_SHIFT, free));
	if (options->owners && answer_is_frame(answer))
		print_owners(&answer->hints.mapped, "Mapped by (proved):",
			     true);
	if (options->owners && (options->all || answer_is_frame(answer)))
		print_owners(&answer->hints.cgroups,
			     "Charged to cgroup (proved):", false);
	if (options->all && !answer_is_frame(answer))
		print_owners(&answer->hints.mapped, "Mapped by (proved):",
			     true);
	print_holders(&answer->hints.holders);
	if (options->survey.judge.pins)
		print_owners(&answer->hints.pinned, "Processes that pin "
			     "memory, here or elsewhere (possible):", true);
	if (answer->blocks == 1 &&
	    (answer->judgement.verdict == LX_VERDICT_CANDIDATE ||
	     answer->judgement.verdict == LX_VERDICT_EMPTY))
		printf("To try it: chmem -d -b %" PRIu64 "\n",
		       answer->block->id);
}

static bool print_classes(struct options *options, const struct answer *answer)
{
	enum lx_class ranked[LX_CLASS_COUNT];
	size_t count = rank_classes(options, answer, ranked), i;

	options->table.began = false;
	for (i = 0; i < count; i++) {
		const struct row row = { answer, &options->survey.host,
					 ranked[i] };

		if (!table_add(&options->table, &row))
			return false;
	}
	return table_end(&options->table);
}

static bool print_answer(struct options *options, const struct answer *answer)
{
	bool people = options->table.mode == TABLE_ALIGNED &&
		      !options->table.no_headings;
	enum lx_class ranked[LX_CLASS_COUNT];

	if (people) {
		print_head(answer, options->survey.host.blocks.frames);
		print_reasons(answer);
		if (rank_classes(options, answer, ranked))
			putchar('\n');
	}
	if (!print_classes(options, answer))
		return false;
	if (people && answer->piece.frames)
		print_tail(options, answer);
	return true;
}

static json_t *json_owners(const struct lx_owners *owners, const char *id)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < owners->count; i++) {
		const struct lx_owner *owner = &owners->owner[i];

		json_array_append_new(array, json_pack("{s:I, s:I, s:I, s:o*}",
			id, (json_int_t)owner->id,
			"frames", (json_int_t)owner->frames,
			"doubtful_frames", (json_int_t)hints_doubtful(owner),
			"name", json_string(owner->name)));
	}
	return array;
}

static json_t *json_holders(const struct lx_owners *owners)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < owners->count; i++) {
		const struct lx_owner *owner = &owners->owner[i];

		json_array_append_new(array, json_pack("{s:I, s:I, s:I, s:o*}",
			"pid", (json_int_t)owner->id,
			"pinned_frames", (json_int_t)owner->frames,
			"pinned_here", (json_int_t)owner->marked,
			"name", json_string(owner->name)));
	}
	return array;
}

static json_t *json_class(const struct row *row)
{
	const struct answer *answer = row->answer;
	struct hint hint;
	json_t *object;

	hints_of(&answer->hints, row->host, row->class, &answer->piece, &hint);
	object = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s*}",
		"class", lx_class_name(row->class),
		"role", lx_role_name(role_of(answer, row->class)),
		"frames", (json_int_t)answer->piece.count[row->class],
		"chunks", (json_int_t)answer->chunks[row->class],
		"rule", lx_class_rule(row->class),
		"confidence", lx_confidence_name(hint.confidence),
		"owner", hint.text);
	if (answer->addresses)
		json_object_set_new(object, "first_pfn", json_integer(
			(json_int_t)answer->piece.at[row->class]));
	return object;
}

static json_t *json_answer(const struct options *options,
			   const struct answer *answer)
{
	enum lx_class ranked[LX_CLASS_COUNT];
	size_t count = rank_classes(options, answer, ranked), i;
	json_t *classes = json_array(), *verdicts = json_object();
	unsigned int verdict;
	int failed = 0;

	for (i = 0; i < count; i++) {
		const struct row row = { answer, &options->survey.host,
					 ranked[i] };

		failed |= json_array_append_new(classes, json_class(&row));
	}
	for (verdict = 0; verdict < LX_VERDICT_COUNT; verdict++)
		json_object_set_new(verdicts,
			lx_verdict_name((enum lx_verdict)verdict),
			json_integer((json_int_t)answer->verdicts[verdict]));
	if (failed) {
		json_decref(classes);
		json_decref(verdicts);
		return NULL;
	}
	return json_pack("{s:s, s:I, s:I, s:o, s:s, s:o, s:o, s:o, s:o}",
		"argument", answer->text,
		"first_pfn", (json_int_t)answer->range.first,
		"last_pfn", (json_int_t)answer->range.last - 1,
		"verdicts", verdicts,
		"verdict", lx_verdict_name(answer->judgement.verdict),
		"classes", classes,
		"processes", json_owners(&answer->hints.mapped, "pid"),
		"cgroups", json_owners(&answer->hints.cgroups, "inode"),
		"holders", json_holders(&answer->hints.holders));
}

/* Who has what can be moved is shown only where there is room for it. */
static enum answer_owners owners_of(const struct options *options,
				    const struct answer *answer)
{
	if (!options->owners)
		return ANSWER_NO_OWNERS;
	return options->all || options->table.mode == TABLE_JSON ||
	       answer_is_frame(answer) ? ANSWER_ALL_OWNERS : ANSWER_OWNERS;
}

/* One argument. Returns an exit status. */
static int answer_one(struct options *options, const char *text, bool first)
{
	struct survey *survey = &options->survey;
	struct answer answer = { .text = text };
	bool good;
	int ret;

	ret = select_parse(&survey->host, text, &answer.range, &survey->err);
	if (ret == -LX_EFORMAT)
		return common_wrong(survey->command, "%s", survey->err.text);
	if (ret)
		return common_unread(survey->command, &survey->err);
	ret = answer_find(survey, owners_of(options, &answer), &answer);
	common_progress_end();
	if (ret)
		return common_unread(survey->command, &survey->err);
	if (!answer.blocks)
		return common_failed(survey->command, "%s: no block of that "
				     "zone and node is there", text);
	if (!first && options->table.mode == TABLE_ALIGNED)
		putchar('\n');
	if (options->table.mode == TABLE_JSON)
		good = json_add(&options->table,
				json_answer(options, &answer));
	else
		good = print_answer(options, &answer);
	hints_free(&answer.hints);
	return good ? EXIT_OK : table_failed(&options->table);
}

static int answer_all(struct options *options, char **arguments)
{
	size_t good = 0, bad = 0;
	int status, worst = EXIT_FAILED;

	if (options->table.mode == TABLE_JSON)
		json_begin(&options->table, json_object());
	for (; *arguments; arguments++) {
		status = answer_one(options, *arguments, !good && !bad);
		good += !status;
		bad += !!status;
		worst = status == EXIT_WRONG ? status : worst;
	}
	if (options->table.mode == TABLE_JSON)
		json_end(&options->table, json_object());
	status = survey_end(&options->survey);
	if (bad)
		return good ? EXIT_PARTLY : worst;
	return status;
}

enum { OPT_SPOILERS = 256, OPT_NO_OWNERS };

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "no-owners", no_argument, NULL, OPT_NO_OWNERS },
	{ "spoilers", optional_argument, NULL, OPT_SPOILERS },
	TABLE_OPTIONS,
	SELECT_OPTIONS,
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static int set_option(struct options *options, int option)
{
	const char *command = options->survey.command;
	int status;

	if (option == 'a') {
		options->all = true;
		return 0;
	}
	if (option == OPT_NO_OWNERS) {
		options->owners = false;
		return 0;
	}
	if (option == OPT_SPOILERS) {
		options->spoilers = true;
		if (optarg && !common_wanted(optarg, &options->size))
			return common_wrong(command, "--spoilers: '%s' is no "
					    "size such as 512M or 4G",
					    optarg);
		spoilers_table(&options->table);
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
						SURVEY_LETTERS "a",
						long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&options->table);
			return -1;
		}
		status = set_option(options, option);
	}
	if (!status && optind == argc && !options->spoilers)
		return common_wrong(options->survey.command, "name a block, a "
				    "range or a frame; 'coldframe blocks' "
				    "lists the blocks");
	return status;
}

/* "--spoilers 1G": an argument that is not needed follows a "=". */
static int check_spoilers(const struct options *options)
{
	char **argument = options->survey.arguments;
	uint64_t size;

	for (; options->spoilers && *argument; argument++) {
		if (common_wanted(*argument, &size))
			return common_wrong(options->survey.command, "'%s' is "
					    "no block; for a size write "
					    "--spoilers=%s", *argument,
					    *argument);
	}
	return 0;
}

int cmd_why(int argc, char **argv)
{
	static char *none[] = { NULL };
	struct options options = {
		.survey = { .command = argv[0], .arguments = none,
			    .select = { .node = LX_NODE_UNKNOWN } },
		.table = { .command = argv[0], .column = columns,
			   .columns = COL_COUNT, .cell = print_cell,
			   .cell_color = color_cell,
			   .items = "answers", .count = 8,
			   .chosen = { COL_ROLE, COL_CLASS, COL_FRAMES,
				       COL_SIZE, COL_CHUNKS, COL_FIRST,
				       COL_CONFIDENCE, COL_OWNER } },
		.owners = true,
	};
	int status = parse_options(&options, argc, argv);

	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	options.table.color = common_color_use(options.survey.source.color);
	options.survey.needs_flags = options.spoilers;
	if (options.spoilers)
		options.survey.arguments = argv + optind;
	status = check_spoilers(&options);
	if (status)
		return status;
	status = survey_open(&options.survey);
	if (status)
		return status;
	if (options.spoilers)
		status = spoilers(&options.survey, &options.table,
				  options.size);
	else
		status = answer_all(&options, argv + optind);
	survey_close(&options.survey);
	return common_finish(argv[0], status);
}
