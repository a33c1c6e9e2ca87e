/* SPDX-License-Identifier: MIT */
/* coldframe dump-diff: which frames of two dumps differ, and how. */
#include "command.h"
#include "common.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "dump/dump.h"

#define COMMAND		"coldframe dump-diff"
#define LINES_DEFAULT	20

static const char help[] =
"usage: coldframe dump-diff [OPTION...] A B\n"
"\n"
"Compare two dumps of a machine, frame by frame: what they are, whose, their\n"
"contents, and whether only one of the dumps has contents.\n"
"\n"
"  -l, --lines=N    print at most N stretches of frames that differ (20)\n"
"  -e, --exit-code  exit with 1 if they differ\n"
"  -j, --json       one JSON object instead of text\n"
"  -h, --help       print this\n"
"\n"
"Exit status: 0 done, also when they differ; 1 they cannot be read; 2 wrong\n"
"usage.\n";

/* How a frame differs. */
enum change {
	CHANGE_NONE,
	CHANGE_CLASS,		/* it is something else to a dump */
	CHANGE_WORD,		/* the same with another owner, order ... */
	CHANGE_CONTENTS,	/* the same with other contents */
	CHANGE_ONLY_A,		/* the same; only A has contents */
	CHANGE_ONLY_B,
	CHANGE_COUNT
};

static const char *const change_word[CHANGE_COUNT] = {
	"none", "class", "word", "contents", "only-a", "only-b",
};

/* Frames that follow each other and differ alike. */
struct stretch {
	cf_pfn first, last;
	enum change change;
	unsigned from, to;		/* classes */
};

struct diff {
	struct dump *dump[2];
	bool json, exit_code;
	uint64_t lines;			/* most to print */
	uint64_t frames[CHANGE_COUNT];
	uint64_t classes[DUMP_CLASS_COUNT][DUMP_CLASS_COUNT];
	uint64_t compared;		/* contents */
	struct stretch stretch;		/* the one that goes on */
	uint64_t stretches;
	json_t *list;
	struct dump_why why;
};

static void print_stretch(struct diff *diff)
{
	const struct stretch *stretch = &diff->stretch;
	const char *from = dump_class_word((enum dump_class)stretch->from);
	const char *to = dump_class_word((enum dump_class)stretch->to);

	if (stretch->change == CHANGE_NONE)
		return;
	if (diff->stretches++ >= diff->lines)
		return;
	if (diff->json) {
		(void)json_array_append_new(diff->list, json_pack(
			"{s:I, s:I, s:s, s:s, s:s}", "first",
			(json_int_t)stretch->first, "last",
			(json_int_t)stretch->last, "change",
			change_word[stretch->change], "from", from, "to",
			to));
		return;
	}
	(void)printf("%12" PRIu64 "  %8" PRIu64 "  %-9s %s", stretch->first,
		     stretch->last - stretch->first,
		     change_word[stretch->change], from);
	if (stretch->change == CHANGE_CLASS)
		(void)printf(" -> %s", to);
	(void)putchar('\n');
}

static void note(struct diff *diff, const struct stretch *next)
{
	struct stretch *last = &diff->stretch;

	diff->frames[next->change]++;
	if (next->change == CHANGE_CLASS)
		diff->classes[next->from][next->to]++;
	if (last->last == next->first && last->change == next->change &&
	    last->from == next->from && last->to == next->to) {
		last->last = next->last;
		return;
	}
	print_stretch(diff);
	*last = *next;
}

/* How contents differ, if they do. 0, or -1 with @diff->why. */
static int compare_contents(struct diff *diff, cf_pfn pfn,
			    enum change *ret_change)
{
	static unsigned char memory[2][CF_FRAME_BYTES];
	int has[2], i;

	for (i = 0; i < 2; i++) {
		has[i] = dump_read(diff->dump[i], pfn, memory[i], &diff->why);
		if (has[i] < 0)
			return -1;
	}
	*ret_change = CHANGE_NONE;
	if (has[0] != has[1])
		*ret_change = has[0] ? CHANGE_ONLY_A : CHANGE_ONLY_B;
	if (!has[0] || !has[1])
		return 0;
	diff->compared++;
	if (memcmp(memory[0], memory[1], CF_FRAME_BYTES))
		*ret_change = CHANGE_CONTENTS;
	return 0;
}

/* Beyond the end of one map there is nothing. */
static int look(struct diff *diff, int which, struct dump_window *window,
		struct raw_frame *frames)
{
	struct dump *dump = diff->dump[which];

	if (window->first >= dump_end(dump)) {
		memset(window->class, DUMP_ABSENT, window->count);
		memset(frames, 0, window->count * sizeof(*frames));
		return 0;
	}
	if (dump_look(dump, window, &diff->why))
		return -1;
	return raw_look(&dump->raw, window->first,
			window->first + window->count, frames);
}

static int compare_window(struct diff *diff, cf_pfn first)
{
	struct raw_frame frame[2][DUMP_WINDOW_FRAMES];
	struct dump_window window[2];
	enum change contents;
	unsigned at;
	int i;

	for (i = 0; i < 2; i++) {
		window[i].first = first;
		window[i].count = DUMP_WINDOW_FRAMES;
		if (look(diff, i, &window[i], frame[i]))
			return -1;
	}
	for (at = 0; at < DUMP_WINDOW_FRAMES; at++) {
		struct stretch next = {
			first + at, first + at + 1, CHANGE_NONE,
			window[0].class[at], window[1].class[at],
		};

		contents = CHANGE_NONE;
		if (next.from != DUMP_ABSENT && next.to != DUMP_ABSENT &&
		    compare_contents(diff, first + at, &contents))
			return -1;
		if (next.from != next.to)
			next.change = CHANGE_CLASS;
		else if (frame[0][at].word != frame[1][at].word)
			next.change = CHANGE_WORD;
		else
			next.change = contents;
		note(diff, &next);
	}
	return 0;
}

/* Where either dump has a block, from @pfn on. */
static cf_pfn next_block(struct diff *diff, cf_pfn pfn)
{
	cf_pfn next = CF_PFN_LIMIT;
	int i;

	for (i = 0; i < 2; i++) {
		struct dump *dump = diff->dump[i];
		cf_pfn block = (cf_pfn)1 << dump->raw.block_shift, at = pfn;
		const struct raw_block *in = raw_block_of(&dump->raw, pfn);

		if (pfn >= dump_end(dump))
			continue;
		if (!in || !in->there)
			at = dump_next(dump, (pfn / block + 1) * block);
		next = at < next ? at : next;
	}
	return next;
}

static int compare(struct diff *diff)
{
	cf_pfn end = dump_end(diff->dump[0]), at;

	if (dump_end(diff->dump[1]) > end)
		end = dump_end(diff->dump[1]);
	for (at = next_block(diff, 0); at < end; at += DUMP_WINDOW_FRAMES) {
		if (at % CF_CHUNK_FRAMES == 0)
			at = next_block(diff, at);
		if (at < end && compare_window(diff, at))
			return -1;
	}
	print_stretch(diff);
	return 0;
}

static void print_text(const struct diff *diff)
{
	unsigned from, to;

	if (diff->stretches > diff->lines)
		(void)printf("... and %" PRIu64 " more stretches\n",
			     diff->stretches - diff->lines);
	if (diff->stretches)
		(void)putchar('\n');
	for (from = 0; from < DUMP_CLASS_COUNT; from++)
		for (to = 0; to < DUMP_CLASS_COUNT; to++)
			if (diff->classes[from][to])
				(void)printf("%12" PRIu64 " frames %s -> %s\n",
					diff->classes[from][to],
					dump_class_word((enum dump_class)from),
					dump_class_word((enum dump_class)to));
	(void)printf("%12" PRIu64 " frames with another word\n"
		     "%12" PRIu64 " frames with other contents, of %" PRIu64
		     " that both have\n"
		     "%12" PRIu64 " frames with contents only in A, %" PRIu64
		     " only in B\n", diff->frames[CHANGE_WORD],
		     diff->frames[CHANGE_CONTENTS], diff->compared,
		     diff->frames[CHANGE_ONLY_A], diff->frames[CHANGE_ONLY_B]);
}

static void print_json(struct diff *diff)
{
	json_t *object = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
				   " s:O}",
		"schema", 1, "class", (json_int_t)diff->frames[CHANGE_CLASS],
		"word", (json_int_t)diff->frames[CHANGE_WORD], "contents",
		(json_int_t)diff->frames[CHANGE_CONTENTS], "compared",
		(json_int_t)diff->compared, "only-a",
		(json_int_t)diff->frames[CHANGE_ONLY_A], "only-b",
		(json_int_t)diff->frames[CHANGE_ONLY_B], "stretches",
		(json_int_t)diff->stretches, "first", diff->list);

	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
}

static int run(struct diff *diff, char **path)
{
	int i, status = EXIT_FAILED;

	for (i = 0; i < 2; i++)
		if (dump_open(path[i], &diff->dump[i], &diff->why)) {
			(void)common_failed(COMMAND, "%s: %s", path[i],
					    diff->why.text);
			if (i)
				dump_close(diff->dump[0]);
			return EXIT_FAILED;
		}
	diff->list = json_array();
	if (!diff->json)
		(void)printf("%12s  %8s  %-9s %s\n", "FRAME", "FRAMES",
			     "CHANGE", "WHAT");
	if (compare(diff)) {
		(void)common_failed(COMMAND, "%s", diff->why.text);
	} else {
		status = diff->stretches && diff->exit_code ? EXIT_FAILED :
							      EXIT_OK;
		if (diff->json)
			print_json(diff);
		else
			print_text(diff);
	}
	for (i = 0; i < 2; i++)
		dump_close(diff->dump[i]);
	json_decref(diff->list);
	return status;
}

int cmd_dump_diff(int argc, char **argv)
{
	static const struct option words[] = {
		{ "lines", required_argument, NULL, 'l' },
		{ "exit-code", no_argument, NULL, 'e' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct diff *diff;
	uint64_t lines = LINES_DEFAULT;
	bool json = false, exit_code = false;
	int option, status;

	while ((option = getopt_long(argc, argv, "l:ejh", words, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return common_finish(COMMAND, EXIT_OK);
		}
		if (option == '?')
			return common_try_help(COMMAND);
		if (option == 'l' && !lx_number(optarg, 0, NULL, &lines))
			return common_wrong(COMMAND, "--lines is a number, not "
					    "'%s'", optarg);
		json |= option == 'j';
		exit_code |= option == 'e';
	}
	if (argc - optind != 2)
		return common_wrong(COMMAND, "two dumps are needed");
	diff = calloc(1, sizeof(*diff));
	if (!diff)
		return common_failed(COMMAND, "out of memory");
	diff->json = json;
	diff->exit_code = exit_code;
	diff->lines = lines;
	status = run(diff, argv + optind);
	free(diff);
	return common_finish(COMMAND, status);
}
