/* SPDX-License-Identifier: MIT */
#include "linux/capture.h"
#include "linux/verdict.h"
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIDES	2

/* What is listed. */
enum list {
	LIST_CLASSES,
	LIST_MOVES,
	LIST_BLOCKS,
	LIST_COUNT
};

static const char *const list_names[LIST_COUNT] = {
	[LIST_CLASSES]	= "class",
	[LIST_MOVES]	= "move",
	[LIST_BLOCKS]	= "block",
};

enum { CLASS_NAME, CLASS_BEFORE, CLASS_AFTER, CLASS_CHANGE, CLASS_STAYED,
       CLASS_WENT, CLASS_CAME, CLASS_COUNT };
enum { MOVE_FROM, MOVE_TO, MOVE_FRAMES, MOVE_SIZE, MOVE_COUNT };
enum { BLOCK_ID, BLOCK_BEFORE, BLOCK_AFTER, BLOCK_COUNT };

static const struct table_column class_columns[CLASS_COUNT] = {
	[CLASS_NAME] = { "CLASS", "what frames are", TABLE_LEFT },
	[CLASS_BEFORE] = { "BEFORE", "frames in A", TABLE_RIGHT },
	[CLASS_AFTER] = { "AFTER", "frames in B", TABLE_RIGHT },
	[CLASS_CHANGE] = { "CHANGE", "size more or less", TABLE_RIGHT },
	[CLASS_STAYED] = { "STAYED", "frames that are so in both",
			   TABLE_RIGHT },
	[CLASS_WENT] = { "WENT", "frames that were so in A alone",
			 TABLE_RIGHT },
	[CLASS_CAME] = { "CAME", "frames that are so in B alone",
			 TABLE_RIGHT },
};

static const struct table_column move_columns[MOVE_COUNT] = {
	[MOVE_FROM] = { "FROM", "what frames were in A", TABLE_LEFT },
	[MOVE_TO] = { "TO", "what they are in B", TABLE_LEFT },
	[MOVE_FRAMES] = { "FRAMES", "how many", TABLE_RIGHT },
	[MOVE_SIZE] = { "SIZE", "how much that is", TABLE_RIGHT },
};

static const struct table_column block_columns[BLOCK_COUNT] = {
	[BLOCK_ID] = { "BLOCK", "number of the memory block", TABLE_RIGHT },
	[BLOCK_BEFORE] = { "BEFORE", "verdict in A", TABLE_LEFT },
	[BLOCK_AFTER] = { "AFTER", "verdict in B", TABLE_LEFT },
};

/* One of the two that are compared. */
struct side {
	const char *path;
	bool mounted, open;
	struct lx_host host;
	struct lx_scan scan;
	struct lx_judge judge;
	size_t next;			/* block */
	uint64_t first;			/* frame that class[0] is about */
	uint8_t class[CF_CHUNK_FRAMES];
};

struct move {
	enum lx_class from, to;
	uint64_t frames;
};

/* A block whose verdict is another; COUNT: it is not there. */
struct changed {
	uint64_t id;
	enum lx_verdict before, after;
};

struct diff {
	const char *command;
	struct table table;
	struct side side[SIDES];
	bool all, places;		/* both have addresses */
	enum list list;
	bool one_list;
	uint64_t count[SIDES][LX_CLASS_COUNT];
	uint64_t moved[LX_CLASS_COUNT][LX_CLASS_COUNT];
	struct changed *changed;
	size_t changes, room;
	struct lx_error err;
};

static const char help[] =
"usage: coldframe diff [OPTION...] A B\n"
"\n"
"Compare the memory of a host at two moments: what frames were in A and are\n"
"in B. Each is a capture, a copy of /proc/kpageflags, or a folder like the\n"
"root of a system; / is the live one.\n"
"\n"
"  -a, --all           also what did not change\n"
"      --by WHAT       class, move or block: only this list\n"
TABLE_HELP
"      --color WHEN    auto, always or never\n"
"  -h, --help          print this\n";

static const char *print_change(uint64_t before, uint64_t after, bool bytes,
				char buffer[512])
{
	uint64_t frames = after > before ? after - before : before - after;
	char size[24];

	if (bytes)
		snprintf(size, sizeof(size), "%" PRIu64,
			 frames << CF_FRAME_SHIFT);
	else
		common_short(frames << CF_FRAME_SHIFT, size);
	snprintf(buffer, 512, "%s%s", after > before ? "+" :
		 after < before ? "-" : "", size);
	return buffer;
}

/* A row of the classes: a diff and the class in it. */
struct class_row {
	const struct diff *diff;
	enum lx_class class;
};

static const char *print_class(const void *context, unsigned int column,
			       bool bytes, char buffer[512])
{
	const struct class_row *row = context;
	const struct diff *diff = row->diff;
	uint64_t before = diff->count[0][row->class];
	uint64_t after = diff->count[1][row->class];
	uint64_t stayed = diff->moved[row->class][row->class];

	if (column == CLASS_NAME)
		return lx_class_name(row->class);
	if (column == CLASS_CHANGE)
		return print_change(before, after, bytes, buffer);
	if (column >= CLASS_STAYED && !diff->places)
		return "";
	snprintf(buffer, 512, "%" PRIu64, column == CLASS_BEFORE ? before :
		 column == CLASS_AFTER ? after : column == CLASS_STAYED ?
		 stayed : column == CLASS_WENT ? before - stayed :
		 after - stayed);
	return buffer;
}

static const char *print_move(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct move *move = context;
	uint64_t size = move->frames << CF_FRAME_SHIFT;

	if (column == MOVE_FROM)
		return lx_class_name(move->from);
	if (column == MOVE_TO)
		return lx_class_name(move->to);
	if (column == MOVE_SIZE && !bytes)
		return common_short(size, buffer);
	snprintf(buffer, 512, "%" PRIu64, column == MOVE_SIZE ? size :
		 move->frames);
	return buffer;
}

static const char *verdict_name(enum lx_verdict verdict)
{
	return verdict == LX_VERDICT_COUNT ? "absent" :
	       lx_verdict_name(verdict);
}

static const char *print_block(const void *context, unsigned int column,
			       bool bytes, char buffer[512])
{
	const struct changed *changed = context;

	(void)bytes;
	if (column != BLOCK_ID)
		return verdict_name(column == BLOCK_BEFORE ? changed->before :
				    changed->after);
	snprintf(buffer, 512, "%" PRIu64, changed->id);
	return buffer;
}

/* lx_run_fn: remember the classes of a chunk. */
static void note_run(void *context, enum lx_class class, uint64_t pfn,
		     uint64_t frames)
{
	struct side *side = context;

	for (; frames; frames--, pfn++) {
		if (pfn - side->first < CF_CHUNK_FRAMES)
			side->class[pfn - side->first] = (uint8_t)class;
	}
}

static int open_side(struct side *side, struct lx_error *err)
{
	struct stat status;
	uint64_t last;
	int ret = 0;

	if (stat(side->path, &status) || !S_ISDIR(status.st_mode)) {
		ret = lx_mount(side->path, err);
		side->mounted = !ret;
	}
	if (!ret)
		ret = lx_host_read(side->path, &side->host, err);
	if (!ret)
		ret = lx_scan_open(&side->scan, &side->host, err);
	if (ret)
		return ret;
	side->open = true;
	side->scan.run = note_run;
	side->scan.context = side;
	last = side->scan.words.frames ? side->scan.words.frames :
	       lx_host_end(&side->host);
	if (!side->host.hotplug || !side->host.blocks.count)
		ret = lx_host_assume(&side->host, last, err);
	return ret ? ret : lx_judge_init(&side->judge, &side->host, true, err);
}

static void close_side(struct side *side)
{
	if (side->open)
		lx_scan_close(&side->scan);
	lx_judge_free(&side->judge);
	lx_host_free(&side->host);
	if (side->mounted)
		lx_unmount(side->path);
}

/* The block of that number if it is the next of a side, else NULL. */
static const struct lx_block *take_block(struct side *side, uint64_t id)
{
	const struct lx_blocks *blocks = &side->host.blocks;

	if (side->next < blocks->count && blocks->block[side->next].id == id)
		return &blocks->block[side->next++];
	return NULL;
}

/* Read a chunk of one side; what is not there is absent. */
static int read_chunk(struct side *side, const struct lx_block *block,
		      uint64_t first, struct lx_piece *sum,
		      struct lx_error *err)
{
	struct lx_piece piece = { .frames = 0 };
	int ret = 0;

	side->first = first;
	memset(side->class, LX_CLASS_ABSENT, sizeof(side->class));
	if (block && block->state != LX_BLOCK_OFFLINE)
		ret = lx_scan_piece(&side->scan, first,
				    first + CF_CHUNK_FRAMES, &piece, err);
	if (!ret)
		lx_piece_add(sum, &piece);
	return ret;
}

static void compare_chunk(struct diff *diff)
{
	unsigned int i;

	for (i = 0; i < CF_CHUNK_FRAMES; i++)
		diff->moved[diff->side[0].class[i]]
			   [diff->side[1].class[i]]++;
}

static int note_change(struct diff *diff, uint64_t id,
		       const enum lx_verdict verdict[SIDES])
{
	struct changed *changed = diff->changed;

	if (verdict[0] == verdict[1] && !diff->all)
		return 0;
	if (diff->changes == diff->room) {
		diff->room = diff->room ? 2 * diff->room : 64;
		changed = realloc(changed, diff->room * sizeof(*changed));
		if (!changed)
			return lx_fail(&diff->err, LX_EREAD, "out of memory");
		diff->changed = changed;
	}
	changed[diff->changes++] = (struct changed){ id, verdict[0],
						     verdict[1] };
	return 0;
}

static int compare_block(struct diff *diff, uint64_t id)
{
	uint64_t frames = diff->side[0].host.blocks.frames;
	uint64_t first = id * frames, last = first + frames;
	const struct lx_block *block[SIDES];
	enum lx_verdict verdict[SIDES];
	struct lx_piece piece[SIDES];
	struct lx_judgement judgement;
	unsigned int i, class;
	int ret = 0;

	for (i = 0; i < SIDES; i++) {
		block[i] = take_block(&diff->side[i], id);
		piece[i] = (struct lx_piece){ .first = first, .mute = true };
	}
	for (; first < last; first += CF_CHUNK_FRAMES) {
		for (i = 0; i < SIDES; i++) {
			ret = read_chunk(&diff->side[i], block[i], first,
					 &piece[i], &diff->err);
			if (ret)
				return ret;
		}
		compare_chunk(diff);
	}
	common_progress(NULL, last, lx_host_end(&diff->side[0].host));
	for (i = 0; i < SIDES; i++) {
		verdict[i] = LX_VERDICT_COUNT;
		for (class = 0; class < LX_CLASS_COUNT; class++)
			diff->count[i][class] += piece[i].count[class];
		if (!block[i])
			continue;
		lx_judge_block(&diff->side[i].judge, block[i], &piece[i],
			       &judgement);
		verdict[i] = judgement.verdict;
	}
	return note_change(diff, id, verdict);
}

static int compare(struct diff *diff)
{
	struct side *a = &diff->side[0], *b = &diff->side[1];
	const struct lx_blocks *ours = &a->host.blocks;
	const struct lx_blocks *theirs = &b->host.blocks;
	int ret = 0;

	if (ours->frames != theirs->frames)
		return lx_fail(&diff->err, LX_EFORMAT, "%s and %s have memory "
			       "blocks of different sizes: they are not of "
			       "one host", a->path, b->path);
	while (!ret && (a->next < ours->count || b->next < theirs->count)) {
		uint64_t id = UINT64_MAX;

		if (a->next < ours->count)
			id = ours->block[a->next].id;
		if (b->next < theirs->count &&
		    theirs->block[b->next].id < id)
			id = theirs->block[b->next].id;
		ret = compare_block(diff, id);
	}
	common_progress_end();
	return ret;
}

static int compare_moves(const void *a, const void *b)
{
	const struct move *left = a, *right = b;

	return (left->frames < right->frames) -
	       (left->frames > right->frames);
}

/* All that were not what they are, most frames first. */
static size_t sort_moves(const struct diff *diff, struct move *move)
{
	unsigned int from, to;
	size_t count = 0;

	for (from = 0; from < LX_CLASS_COUNT; from++) {
		for (to = 0; to < LX_CLASS_COUNT; to++) {
			if ((from == to && !diff->all) ||
			    !diff->moved[from][to])
				continue;
			move[count++] = (struct move){
				(enum lx_class)from, (enum lx_class)to,
				diff->moved[from][to],
			};
		}
	}
	qsort(move, count, sizeof(*move), compare_moves);
	return count;
}

static void choose(struct diff *diff, enum list list)
{
	static const struct {
		const struct table_column *column;
		unsigned int columns;
		table_cell_fn cell;
	} lists[LIST_COUNT] = {
		{ class_columns, CLASS_COUNT, print_class },
		{ move_columns, MOVE_COUNT, print_move },
		{ block_columns, BLOCK_COUNT, print_block },
	};
	struct table *table = &diff->table;
	unsigned int i;

	diff->list = list;
	table->column = lists[list].column;
	table->columns = lists[list].columns;
	table->cell = lists[list].cell;
	table->count = table->columns;
	for (i = 0; i < table->columns; i++)
		table->chosen[i] = i;
}

static bool is_shown(const struct diff *diff, enum lx_class class)
{
	uint64_t before = diff->count[0][class], after = diff->count[1][class];

	if (diff->all)
		return before || after;
	return before != after || (diff->places &&
				   before != diff->moved[class][class]);
}

static bool list_classes(struct diff *diff)
{
	struct class_row row = { .diff = diff };
	unsigned int class;
	bool good = true;

	for (class = 0; good && class < LX_CLASS_COUNT; class++) {
		row.class = (enum lx_class)class;
		if (is_shown(diff, row.class))
			good = table_add(&diff->table, &row);
	}
	return good;
}

static bool list_moves(struct diff *diff)
{
	struct move move[LX_CLASS_COUNT * LX_CLASS_COUNT];
	size_t count = sort_moves(diff, move), i;
	bool good = true;

	for (i = 0; good && i < count; i++)
		good = table_add(&diff->table, &move[i]);
	return good;
}

static bool list_blocks(struct diff *diff)
{
	bool good = true;
	size_t i;

	for (i = 0; good && i < diff->changes; i++)
		good = table_add(&diff->table, &diff->changed[i]);
	return good;
}

static bool print_list(struct diff *diff)
{
	bool good;

	diff->table.began = false;
	good = diff->list == LIST_CLASSES ? list_classes(diff) :
	       diff->list == LIST_MOVES ? list_moves(diff) :
					  list_blocks(diff);
	return table_end(&diff->table) && good;
}

/* Is there nothing to list? */
static bool is_same(const struct diff *diff)
{
	unsigned int i;

	for (i = 0; i < LX_CLASS_COUNT; i++) {
		if (is_shown(diff, (enum lx_class)i))
			return false;
	}
	return !diff->changes;
}

static bool print_lists(struct diff *diff)
{
	enum list list;
	bool good = true;

	if (diff->one_list || diff->table.mode != TABLE_ALIGNED)
		return print_list(diff);
	if (is_same(diff))
		return diff->table.no_headings ||
		       puts("Nothing has changed.") >= 0;
	for (list = LIST_CLASSES; good && list < LIST_COUNT; list++) {
		if ((list == LIST_MOVES && !diff->places) ||
		    (list == LIST_BLOCKS && !diff->changes))
			continue;
		choose(diff, list);
		if (list != LIST_CLASSES)
			putchar('\n');
		good = print_list(diff);
	}
	return good;
}

static json_t *json_classes(const struct diff *diff)
{
	json_t *array = json_array();
	unsigned int i;

	for (i = 0; i < LX_CLASS_COUNT; i++) {
		if (is_shown(diff, (enum lx_class)i))
			json_array_append_new(array, json_pack(
				"{s:s, s:I, s:I}",
				"class", lx_class_name((enum lx_class)i),
				"before", (json_int_t)diff->count[0][i],
				"after", (json_int_t)diff->count[1][i]));
	}
	return array;
}

static json_t *json_moves(const struct diff *diff)
{
	struct move move[LX_CLASS_COUNT * LX_CLASS_COUNT];
	size_t count = diff->places ? sort_moves(diff, move) : 0, i;
	json_t *array = json_array();

	for (i = 0; i < count; i++)
		json_array_append_new(array, json_pack("{s:s, s:s, s:I}",
			"from", lx_class_name(move[i].from),
			"to", lx_class_name(move[i].to),
			"frames", (json_int_t)move[i].frames));
	return array;
}

static bool print_json(struct diff *diff)
{
	struct table *table = &diff->table;
	bool good = json_begin(table, json_pack("{s:o, s:o}",
		"classes", json_classes(diff), "moves", json_moves(diff)));
	size_t i;

	for (i = 0; good && i < diff->changes; i++)
		good = json_add(table, json_pack("{s:I, s:s, s:s}",
			"block", (json_int_t)diff->changed[i].id,
			"before", verdict_name(diff->changed[i].before),
			"after", verdict_name(diff->changed[i].after)));
	return json_end(table, json_object()) && good;
}

static int run_diff(struct diff *diff)
{
	unsigned int i;
	int ret = 0;
	bool good;

	for (i = 0; !ret && i < SIDES; i++)
		ret = open_side(&diff->side[i], &diff->err);
	if (ret == -LX_EDENIED)
		return common_denied(diff->command, &diff->err);
	if (!ret)
		ret = compare(diff);
	if (ret)
		return common_unread(diff->command, &diff->err);
	diff->places = diff->side[0].host.addresses &&
		       diff->side[1].host.addresses;
	if (!diff->places)
		common_note(diff->command, "note: a capture without addresses "
			    "does not tell which frames changed");
	good = diff->table.mode == TABLE_JSON ? print_json(diff) :
						print_lists(diff);
	return good ? EXIT_OK : table_failed(&diff->table);
}

enum { OPT_BY = 256 };

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "by", required_argument, NULL, OPT_BY },
	TABLE_OPTIONS,
	{ "color", required_argument, NULL, COMMON_COLOR },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int set_by(struct diff *diff, const char *what)
{
	unsigned int i;

	for (i = 0; i < LIST_COUNT; i++) {
		if (strcmp(what, list_names[i]))
			continue;
		choose(diff, (enum list)i);
		diff->one_list = true;
		return 0;
	}
	return common_wrong(diff->command, "--by: '%s' is none of class, move, "
			    "block", what);
}

static int parse_options(struct diff *diff, int argc, char **argv)
{
	struct common_source ignored = { NULL, NULL, COLOR_AUTO };
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, TABLE_LETTERS "ah",
						long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			table_help(&diff->table);
			return -1;
		}
		if (option == 'a') {
			diff->all = true;
			continue;
		}
		if (option == OPT_BY) {
			status = set_by(diff, optarg);
			continue;
		}
		status = table_option(&diff->table, option, optarg);
		if (status < 0)
			status = common_option(&ignored, diff->command, option,
					       optarg);
		if (status < 0)
			status = common_try_help(diff->command);
	}
	if (!status && argc - optind != SIDES)
		status = common_wrong(diff->command, "name two: before and "
				      "after");
	return status;
}

int cmd_diff(int argc, char **argv)
{
	static struct diff diff;
	unsigned int i;
	int status;

	diff = (struct diff){
		.command = argv[0],
		.table = { .command = argv[0], .items = "blocks" },
	};
	choose(&diff, LIST_CLASSES);
	status = parse_options(&diff, argc, argv);
	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	for (i = 0; i < SIDES; i++)
		diff.side[i].path = argv[optind + (int)i];
	if (!strcmp(diff.side[0].path, diff.side[1].path))
		return common_wrong(argv[0], "both are %s", diff.side[0].path);
	status = run_diff(&diff);
	for (i = 0; i < SIDES; i++)
		close_side(&diff.side[i]);
	free(diff.changed);
	return common_finish(argv[0], status);
}
