/* SPDX-License-Identifier: MIT */
#include "survey.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A byte each: 32 MiB, for a block of 128 GiB. */
#define STAYS_MAX	(UINT64_C(1) << 25)

#define STUCK_PASSES	5	/* after so many, a frame that stays is stuck */

struct watch {
	const char *command;
	struct common_source source;
	struct lx_host host;
	struct lx_scan scan;
	bool json;
	bool flags;			/* the frames can be read */
	bool cut;			/* not all of the block's */
	bool misnamed;			/* BLOCK is no number or range */
	double interval;		/* seconds */
	uint64_t passes;		/* at most; 0: until it is offline */
	const char *name;		/* the block, as it was given */
	uint64_t id, first;
	uint8_t *stays;			/* a frame: passes that it was in use */
	uint64_t stuck, stuck_at;
	struct lx_error err;
};

static const char help[] =
"usage: coldframe watch [OPTION...] BLOCK\n"
"\n"
"While something else takes a block offline, print after each pass what is\n"
"left in it, and which frames do not move. Ends when the block is offline.\n"
"\n"
"  -d, --delay SECONDS between passes: 1 unless said otherwise\n"
"  -c, --count N       at most N passes\n"
"  -J, --json          a JSON object a line\n"
COMMON_HELP;

/* Roles of frames that have to be gone before the block is. */
static bool is_residue(enum lx_class class)
{
	enum lx_role role = lx_class_role(class);

	return role == LX_ROLE_MOVES || role == LX_ROLE_DOUBT ||
	       role == LX_ROLE_BLOCKS;
}

static void count_stay(struct watch *watch, uint64_t pfn, bool used)
{
	uint8_t *stay = &watch->stays[pfn - watch->first];

	if (!used) {
		*stay = 0;
		return;
	}
	if (*stay < UINT8_MAX)
		++*stay;
	if (*stay < STUCK_PASSES)
		return;
	if (!watch->stuck++)
		watch->stuck_at = pfn;
}

/* lx_run_fn */
static void take_run(void *context, enum lx_class class, uint64_t pfn,
		     uint64_t frames)
{
	struct watch *watch = context;
	uint64_t last = watch->first + watch->host.blocks.frames;

	for (; frames; frames--, pfn++) {
		if (pfn >= watch->first && pfn < last)
			count_stay(watch, pfn, is_residue(class));
	}
}

static uint64_t residue(const struct lx_piece *piece)
{
	return lx_piece_role(piece, LX_ROLE_MOVES) +
	       lx_piece_role(piece, LX_ROLE_DOUBT) +
	       lx_piece_role(piece, LX_ROLE_BLOCKS);
}

static int read_state(struct watch *watch, enum lx_block_state *ret_state)
{
	struct lx_blocks blocks = { .count = 0 };
	size_t i;
	int ret = lx_blocks_read(watch->host.root, &blocks, &watch->err);

	if (ret)
		return ret;
	i = lx_blocks_find(&blocks, watch->first);
	*ret_state = i < blocks.count && blocks.block[i].id == watch->id ?
		     blocks.block[i].state : LX_BLOCK_ABSENT;
	lx_blocks_free(&blocks);
	return 0;
}

static void print_counts(const struct watch *watch,
			 const struct lx_piece *piece)
{
	printf(" %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64,
	       lx_piece_role(piece, LX_ROLE_MOVES),
	       lx_piece_role(piece, LX_ROLE_DOUBT),
	       lx_piece_role(piece, LX_ROLE_BLOCKS), watch->stuck);
	if (watch->stuck && watch->host.addresses)
		printf("  0x%" PRIx64, watch->stuck_at);
}

static void print_pass(const struct watch *watch, uint64_t pass,
		       enum lx_block_state state,
		       const struct lx_piece *piece)
{
	printf("%4" PRIu64 " %-*s", pass, watch->flags ? 13 : 0,
	       lx_block_state_name(state));
	if (watch->flags)
		print_counts(watch, piece);
	putchar('\n');
	fflush(stdout);
}

static void json_counts(const struct watch *watch, json_t *object,
			const struct lx_piece *piece)
{
	const struct {
		const char *name;
		uint64_t frames;
	} counts[] = {
		{ "movable_frames", lx_piece_role(piece, LX_ROLE_MOVES) },
		{ "doubtful_frames", lx_piece_role(piece, LX_ROLE_DOUBT) },
		{ "blocking_frames", lx_piece_role(piece, LX_ROLE_BLOCKS) },
		{ "stuck_frames", watch->stuck },
	};
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		json_object_set_new(object, counts[i].name,
				    json_integer((json_int_t)
						 counts[i].frames));
	if (watch->stuck && watch->host.addresses)
		json_object_set_new(object, "stuck_pfn", json_integer(
			(json_int_t)watch->stuck_at));
}

static void print_json(const struct watch *watch, uint64_t pass,
		       enum lx_block_state state,
		       const struct lx_piece *piece)
{
	json_t *object = json_pack("{s:i, s:I, s:I, s:s}",
		"schema", 1, "block", (json_int_t)watch->id,
		"pass", (json_int_t)pass,
		"state", lx_block_state_name(state));

	if (watch->flags)
		json_counts(watch, object, piece);
	json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(object);
	putchar('\n');
	fflush(stdout);
}

static void rest(const struct watch *watch)
{
	double whole = floor(watch->interval);
	struct timespec time = {
		.tv_sec = (time_t)whole,
		.tv_nsec = (long)(1e9 * (watch->interval - whole)),
	};

	nanosleep(&time, NULL);
}

static void note_cut(struct watch *watch, const struct lx_piece *piece)
{
	if (watch->cut || piece->frames == watch->host.blocks.frames)
		return;
	watch->cut = true;
	common_note(watch->command, "%s is cut off: it has %" PRIu64 " of the "
		    "block's %" PRIu64 " frames", watch->scan.words.path,
		    piece->frames, watch->host.blocks.frames);
}

static int read_frames(struct watch *watch, struct lx_piece *piece)
{
	int ret = lx_scan_piece(&watch->scan, watch->first, watch->first +
				watch->host.blocks.frames, piece,
				&watch->err);

	if (!ret)
		note_cut(watch, piece);
	return ret;
}

static int one_pass(struct watch *watch, uint64_t pass,
		    enum lx_block_state *ret_state)
{
	struct lx_piece piece = { .frames = 0 };
	int ret = read_state(watch, ret_state);

	watch->stuck = 0;
	if (!ret && watch->flags && *ret_state != LX_BLOCK_OFFLINE &&
	    *ret_state != LX_BLOCK_ABSENT)
		ret = read_frames(watch, &piece);
	if (ret)
		return ret;
	if (watch->json)
		print_json(watch, pass, *ret_state, &piece);
	else
		print_pass(watch, pass, *ret_state, &piece);
	if (watch->stuck && watch->stuck == residue(&piece) &&
	    *ret_state == LX_BLOCK_GOING_OFFLINE)
		common_note(watch->command, "all that is left has not moved "
			    "for %d passes; interrupt whatever takes the block "
			    "offline, and see 'coldframe why %" PRIu64 "'",
			    STUCK_PASSES, watch->id);
	return 0;
}

static int watch_block(struct watch *watch)
{
	enum lx_block_state state = LX_BLOCK_UNKNOWN;
	uint64_t pass;
	int ret;

	if (!watch->json)
		puts(watch->flags ?
		     "PASS STATE            MOVABLE   DOUBTFUL   BLOCKING"
		     "      STUCK  FIRST" : "PASS STATE");
	for (pass = 1; !watch->passes || pass <= watch->passes; pass++) {
		if (pass > 1)
			rest(watch);
		ret = one_pass(watch, pass, &state);
		if (ret)
			return common_unread(watch->command, &watch->err);
		if (state == LX_BLOCK_OFFLINE || state == LX_BLOCK_ABSENT)
			return watch->cut ? EXIT_PARTLY : EXIT_OK;
	}
	return watch->cut ? EXIT_PARTLY : EXIT_FAILED;
}

/* Without the frames the states remain. */
static int open_frames(struct watch *watch)
{
	int ret = lx_scan_open(&watch->scan, &watch->host, &watch->err);

	watch->flags = !ret;
	if (ret != -LX_EDENIED && ret != -LX_EMISSING)
		return ret;
	common_no_flags(watch->command, ret, &watch->err);
	return 0;
}

static int open_block(struct watch *watch)
{
	struct lx_range range;
	const char *root;
	size_t i;
	int ret;

	ret = common_source_open(&watch->source, &root, &watch->err);
	if (!ret)
		ret = lx_host_read(root, &watch->host, &watch->err);
	if (!ret && !watch->host.blocks.count)
		ret = lx_fail(&watch->err, LX_EMISSING, watch->host.whole ?
			      "%s: this kernel has no memory blocks, so none "
			      "can go offline" : "%s: a copy of kpageflags "
			      "does not tell of blocks", root);
	if (!ret)
		ret = select_parse(&watch->host, watch->name, &range,
				   &watch->err);
	watch->misnamed = ret == -LX_EFORMAT && watch->host.blocks.count;
	if (!ret)
		ret = open_frames(watch);
	if (ret)
		return ret;
	watch->scan.run = take_run;
	watch->scan.context = watch;
	i = lx_blocks_find(&watch->host.blocks, range.first);
	watch->id = watch->host.blocks.block[i].id;
	watch->first = watch->id * watch->host.blocks.frames;
	if (watch->host.blocks.frames > STAYS_MAX)
		return lx_fail(&watch->err, LX_EFORMAT, "blocks of more than "
			       "128 GiB cannot be watched frame by frame; try "
			       "'coldframe why %s'", watch->name);
	watch->stays = calloc(watch->host.blocks.frames, 1);
	return watch->stays ? 0 : lx_fail(&watch->err, LX_EREAD,
					  "out of memory");
}

static bool parse_delay(const char *text, double *ret_seconds)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value <= 86400))
		return false;
	*ret_seconds = value;
	return true;
}

static const struct option long_options[] = {
	{ "delay", required_argument, NULL, 'd' },
	{ "count", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'J' },
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static int set_option(struct watch *watch, int option)
{
	int status;

	if (option == 'J') {
		watch->json = true;
		return 0;
	}
	if (option == 'd' && !parse_delay(optarg, &watch->interval))
		return common_wrong(watch->command, "--delay: '%s' is no "
				    "number of seconds up to a day", optarg);
	if (option == 'c' && (!lx_number(optarg, 10, NULL, &watch->passes) ||
			      !watch->passes))
		return common_wrong(watch->command, "--count: '%s' is no "
				    "number of passes", optarg);
	if (option == 'd' || option == 'c')
		return 0;
	status = common_option(&watch->source, watch->command, option, optarg);
	return status < 0 ? common_try_help(watch->command) : status;
}

static int parse_options(struct watch *watch, int argc, char **argv)
{
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, COMMON_LETTERS
						"d:c:J", long_options,
						NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return -1;
		}
		status = set_option(watch, option);
	}
	if (!status && argc - optind != 1)
		status = common_wrong(watch->command, "name one block");
	return status;
}

int cmd_watch(int argc, char **argv)
{
	static struct watch watch;
	int status, ret;

	watch = (struct watch){ .command = argv[0], .interval = 1 };
	status = parse_options(&watch, argc, argv);
	if (status)
		return common_finish(argv[0], status < 0 ? EXIT_OK : status);
	watch.name = argv[optind];
	ret = open_block(&watch);
	if (watch.misnamed)
		status = common_wrong(watch.command, "%s", watch.err.text);
	else if (ret)
		status = common_unread(watch.command, &watch.err);
	else
		status = watch_block(&watch);
	if (watch.flags)
		lx_scan_close(&watch.scan);
	free(watch.stays);
	lx_host_free(&watch.host);
	common_source_close(&watch.source);
	return common_finish(argv[0], status);
}
