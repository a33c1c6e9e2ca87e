/* SPDX-License-Identifier: MIT */
#include "common.h"
#include "filter.h"
#include "tally.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "linux/blocks.h"
#include "linux/words.h"

#define BATCH_WORDS 65536

enum list_mode {
	LIST_NONE,
	LIST_RANGES,
	LIST_EACH,
};

struct options {
	const char *command;
	struct common_source source;
	const char *root;
	struct filter filter;
	enum list_mode list;
	bool raw, summary, counts, json;
	uint64_t describe;
	bool has_describe;
};

/* Frames in a row that look alike: what -l prints as a line. */
struct stretch {
	uint64_t first, frames;
	uint64_t word, count;
};

struct scan {
	const struct options *options;
	struct lx_words flags, counts;
	uint64_t *flag_words, *count_words;
	struct stretch stretch;
	struct tally tally;
	struct lx_error err;
};

static const char help[] =
"usage: coldframe types [OPTION...]\n"
"\n"
"Count page frames by their flags in /proc/kpageflags, in the layout of the\n"
"kernel's page-types.\n"
"\n"
"  -a, --addr RANGE    only frames N, N+COUNT, FIRST,LAST or FIRST, or ,LAST\n"
"  -b, --bits FLAGS    only frames with A,B (any of these), A,B=A or A,~B (A\n"
"                      without B), =A,B (these alone); several -b: all hold\n"
"  -r, --raw           show the flags for kernel developers too\n"
"  -l, --list          list ranges of frames that are alike\n"
"  -L, --list-each     list each frame\n"
"  -M, --list-mapcnt   show map counts in the lists\n"
"  -N, --no-summary    no counts after a list\n"
"  -d, --describe WORD only say what the flags of WORD mean\n"
"  -J, --json          print one JSON object\n"
COMMON_HELP
"\n"
"Exit status: 0 done, 1 a file cannot be read or is cut off, 2 wrong usage.\n";

static void print_row(uint64_t word, uint64_t frames)
{
	char letters[LX_KPF_LETTERS + 1], names[LX_KPF_NAMES_BYTES];

	lx_kpf_letters(word, letters);
	lx_kpf_names(word, names);
	printf("0x%016" PRIx64 "\t%10" PRIu64 " %8" PRIu64 "  %s\t%s\n", word,
	       frames, frames >> (20 - CF_FRAME_SHIFT), letters, names);
}

static void print_summary(const struct tally *tally)
{
	size_t i;

	fputs("             flags\tpage-count       MB  symbolic-flags\t\t\t"
	      "long-symbolic-flags\n", stdout);
	for (i = 0; i < TALLY_SLOTS; i++) {
		if (tally->slot[i].frames)
			print_row(tally->slot[i].word, tally->slot[i].frames);
	}
	printf("             total\t%10" PRIu64 " %8" PRIu64 "\n",
	       tally->total, tally->total >> (20 - CF_FRAME_SHIFT));
}

static json_t *json_names(uint64_t word)
{
	json_t *names = json_array();
	unsigned int bit;
	char unknown[16];

	for (bit = 0; bit < 64; bit++) {
		if (word >> bit & 1)
			json_array_append_new(names, json_string(
				lx_kpf_name(bit, unknown)));
	}
	return names;
}

static json_t *json_row(const struct tally_slot *slot)
{
	char letters[LX_KPF_LETTERS + 1], flags[24];

	lx_kpf_letters(slot->word, letters);
	snprintf(flags, sizeof(flags), "0x%016" PRIx64, slot->word);
	return json_pack("{s:s, s:I, s:s, s:o}", "flags", flags,
			 "frames", (json_int_t)slot->frames,
			 "letters", letters, "names", json_names(slot->word));
}

static int print_json(const struct options *options, const struct tally *tally)
{
	json_t *rows = json_array(), *object;
	bool failed;
	size_t i;

	for (i = 0; i < TALLY_SLOTS; i++) {
		if (tally->slot[i].frames)
			json_array_append_new(rows, json_row(&tally->slot[i]));
	}
	object = json_pack("{s:i, s:b, s:i, s:I, s:o}",
			   "schema", 1, "raw", options->raw,
			   "frame_bytes", (int)CF_FRAME_BYTES,
			   "frames", (json_int_t)tally->total, "types", rows);
	failed = !object || json_dumpf(object, stdout, JSON_INDENT(2)) ||
		 putchar('\n') == EOF;
	json_decref(object);
	return failed ? common_failed(options->command, "cannot write JSON") :
			EXIT_OK;
}

static void print_list_head(const struct options *options)
{
	if (options->list == LIST_NONE)
		return;
	printf("%soffset\t%sflags\n", options->counts ? "map-cnt\t" : "",
	       options->list == LIST_RANGES ? "len\t" : "");
}

static void print_stretch(const struct scan *scan, const struct stretch *alike)
{
	char letters[LX_KPF_LETTERS + 1];

	if (!alike->frames)
		return;
	lx_kpf_letters(alike->word, letters);
	if (scan->options->counts)
		printf("%" PRIu64 "\t", alike->count);
	printf("%" PRIx64 "\t", alike->first);
	if (scan->options->list == LIST_RANGES)
		printf("%" PRIx64 "\t", alike->frames);
	printf("%s\n", letters);
}

/* List frames that are alike, or keep them until it is known how many. */
static void list_frames(struct scan *scan, struct stretch alike)
{
	struct stretch *last = &scan->stretch;
	struct stretch one = alike;

	if (scan->options->list == LIST_EACH) {
		for (one.frames = 1; alike.frames; alike.frames--, one.first++)
			print_stretch(scan, &one);
		return;
	}
	if (last->frames && last->word == alike.word &&
	    last->count == alike.count &&
	    last->first + last->frames == alike.first) {
		last->frames += alike.frames;
		return;
	}
	print_stretch(scan, last);
	*last = alike;
}

static int take_frames(struct scan *scan, struct stretch alike)
{
	const struct options *options = scan->options;

	alike.word = options->raw ? lx_kpf_expand(alike.word) :
				    lx_kpf_hide(alike.word);
	if (!filter_passes(&options->filter, alike.word))
		return 0;
	if (options->list != LIST_NONE)
		list_frames(scan, alike);
	if (tally_add(&scan->tally, alike.word, alike.frames))
		return 0;
	return lx_fail(&scan->err, LX_EFORMAT, "%s: more than %d different "
		       "words: no kernel writes such a file",
		       scan->flags.path, TALLY_SLOTS - 1);
}

static int take_batch(struct scan *scan, uint64_t first, size_t count)
{
	const uint64_t *flags = scan->flag_words;
	const uint64_t *counts = scan->count_words;
	size_t i, next;
	int ret;

	for (i = 0; i < count; i = next) {
		struct stretch alike = { first + i, 0, flags[i], 0 };

		if (scan->options->counts)
			alike.count = counts[i];
		for (next = i + 1; next < count && flags[next] == flags[i] &&
		     (!scan->options->counts || counts[next] == counts[i]);
		     next++)
			;
		alike.frames = next - i;
		ret = take_frames(scan, alike);
		if (ret)
			return ret;
	}
	return 0;
}

/* Read the map counts that belong to the flags just read. */
static int read_counts(struct scan *scan, size_t count)
{
	size_t got;
	int ret;

	if (!scan->options->counts || !count)
		return 0;
	ret = lx_words_read(&scan->counts, scan->count_words, count, &got,
			    &scan->err);
	if (!ret && got < count)
		ret = lx_fail(&scan->err, LX_EFORMAT, "%s: the file is cut "
			      "off: its %" PRIu64 " bytes hold fewer frames "
			      "than kpageflags", scan->counts.path,
			      scan->counts.pfn * sizeof(uint64_t));
	return ret;
}

static int scan_range(struct scan *scan, uint64_t first, uint64_t last)
{
	size_t count = 1, want;
	int ret;

	ret = lx_words_seek(&scan->flags, first, &scan->err);
	if (!ret && scan->options->counts)
		ret = lx_words_seek(&scan->counts, first, &scan->err);
	while (!ret && first < last && count) {
		want = last - first < BATCH_WORDS ? (size_t)(last - first) :
						    BATCH_WORDS;
		ret = lx_words_read(&scan->flags, scan->flag_words, want,
				    &count, &scan->err);
		if (!ret)
			ret = read_counts(scan, count);
		if (!ret)
			ret = take_batch(scan, first, count);
		common_progress(NULL, first, scan->flags.frames);
		first += count;
	}
	return ret;
}

/*
 * A file whose length is known must reach the end of all online memory.
 * Without sys/ nothing is known about that.
 */
static int check_reach(struct scan *scan)
{
	struct lx_blocks blocks = { .count = 0 };
	struct lx_error ignored;
	int ret = 0;

	if (!scan->flags.frames)
		return 0;
	if (lx_blocks_read(scan->options->root, &blocks, &ignored))
		return 0;
	ret = lx_blocks_fit(&blocks, scan->flags.path, scan->flags.frames,
			    &scan->err);
	lx_blocks_free(&blocks);
	return ret;
}

static int scan_all(struct scan *scan)
{
	const struct lx_ranges *ranges = &scan->options->filter.ranges;
	size_t i;
	int ret;

	ret = check_reach(scan);
	if (!ret)
		print_list_head(scan->options);
	if (!ret && !ranges->count)
		ret = scan_range(scan, 0, UINT64_MAX);
	if (!ret && !ranges->count && !scan->flags.pfn)
		ret = lx_fail(&scan->err, LX_EFORMAT, "%s: the file is empty",
			      scan->flags.path);
	for (i = 0; !ret && i < ranges->count; i++)
		ret = scan_range(scan, ranges->range[i].first,
				 ranges->range[i].last);
	if (!ret && scan->options->list == LIST_RANGES)
		print_stretch(scan, &scan->stretch);
	return ret;
}

static int open_files(struct scan *scan)
{
	const char *root = scan->options->root;
	int ret;

	ret = lx_words_open(&scan->flags, root, "proc/kpageflags", &scan->err);
	if (ret || !scan->options->counts)
		return ret;
	ret = lx_words_open(&scan->counts, root, "proc/kpagecount", &scan->err);
	if (ret)
		lx_words_close(&scan->flags);
	return ret;
}

/* A flag this program does not know is no reason to stop. */
static void note_unknown(const struct scan *scan)
{
	uint64_t seen = 0;
	char names[LX_KPF_NAMES_BYTES];
	size_t i;

	for (i = 0; i < TALLY_SLOTS; i++) {
		if (scan->tally.slot[i].frames)
			seen |= scan->tally.slot[i].word;
	}
	seen &= ~lx_kpf_known();
	if (!seen)
		return;
	lx_kpf_names(seen, names);
	common_note(scan->options->command, "note: flags without a name: %s",
		    names);
}

static int print_result(const struct scan *scan)
{
	const struct options *options = scan->options;

	note_unknown(scan);
	if (options->json)
		return print_json(options, &scan->tally);
	if (!options->summary)
		return EXIT_OK;
	if (options->list != LIST_NONE)
		fputs("\n\n", stdout);
	print_summary(&scan->tally);
	return EXIT_OK;
}

static int run_scan(struct scan *scan)
{
	int ret;

	scan->flag_words = malloc(BATCH_WORDS * sizeof(uint64_t));
	scan->count_words = malloc(BATCH_WORDS * sizeof(uint64_t));
	if (!scan->flag_words || !scan->count_words)
		return lx_fail(&scan->err, LX_EREAD, "out of memory");
	ret = open_files(scan);
	if (ret)
		return ret;
	ret = scan_all(scan);
	lx_words_close(&scan->flags);
	if (scan->options->counts)
		lx_words_close(&scan->counts);
	return ret;
}

static int types(struct options *options)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	int ret, status;

	if (!scan)
		return common_failed(options->command, "out of memory");
	scan->options = options;
	ret = common_source_open(&options->source, &options->root, &scan->err);
	if (!ret)
		ret = run_scan(scan);
	common_progress_end();
	if (ret == -LX_EDENIED)
		status = common_denied(options->command, &scan->err);
	else if (ret)
		status = common_unread(options->command, &scan->err);
	else
		status = print_result(scan);
	common_source_close(&options->source);
	free(scan->flag_words);
	free(scan->count_words);
	free(scan);
	return status;
}

static int describe(uint64_t word)
{
	char letters[LX_KPF_LETTERS + 1], names[LX_KPF_NAMES_BYTES];

	lx_kpf_letters(word, letters);
	lx_kpf_names(word, names);
	printf("0x%016" PRIx64 "\t%s\t%s\n", word, letters, names);
	return EXIT_OK;
}

static const struct option long_options[] = {
	COMMON_OPTIONS,
	{ "addr", required_argument, NULL, 'a' },
	{ "bits", required_argument, NULL, 'b' },
	{ "raw", no_argument, NULL, 'r' },
	{ "list", no_argument, NULL, 'l' },
	{ "list-each", no_argument, NULL, 'L' },
	{ "list-mapcnt", no_argument, NULL, 'M' },
	{ "no-summary", no_argument, NULL, 'N' },
	{ "describe", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'J' },
	{ NULL, 0, NULL, 0 },
};

/* An option with an argument. Returns 0, or an exit status. */
static int set_value(struct options *options, int option, const char *value)
{
	struct lx_error err;
	int ret = 0, status;

	status = common_option(&options->source, options->command, option,
			       value);
	if (status >= 0)
		return status;
	if (option == 'a') {
		ret = filter_add_frames(&options->filter, value, &err);
	} else if (option == 'b') {
		ret = filter_add_bits(&options->filter, value, &err);
	} else {
		options->has_describe = true;
		if (!lx_number(value, 0, NULL, &options->describe))
			ret = lx_fail(&err, LX_EFORMAT, "'%.80s' is no number",
				      value);
	}
	return ret ? common_wrong(options->command, "%s", err.text) : 0;
}

static void set_switch(struct options *options, int option)
{
	options->raw |= option == 'r';
	options->counts |= option == 'M';
	options->json |= option == 'J';
	if (option == 'l')
		options->list = LIST_RANGES;
	if (option == 'L')
		options->list = LIST_EACH;
	if (option == 'N')
		options->summary = false;
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
	int option, status;

	while ((option = getopt_long(argc, argv, COMMON_LETTERS "a:b:rlLMNd:J",
				     long_options, NULL)) != -1) {
		if (option == '?')
			return common_try_help(options->command);
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!optarg) {
			set_switch(options, option);
			continue;
		}
		status = set_value(options, option, optarg);
		if (status)
			return status;
	}
	if (optind < argc)
		return common_wrong(options->command, "unexpected '%s'",
				    argv[optind]);
	return -1;
}

static int check_options(const struct options *options)
{
	if (options->has_describe)
		return -1;
	if (options->source.sysroot && options->source.file)
		return common_wrong(options->command, "--sysroot and --file "
				    "do not go together: name one");
	if (options->json && (options->list != LIST_NONE || !options->summary))
		return common_wrong(options->command, "--json prints the "
				    "summary and nothing else: it does not go "
				    "with -l, -L or -N");
	return -1;
}

int cmd_types(int argc, char **argv)
{
	struct options options = { .command = argv[0], .summary = true };
	int status;

	status = parse_options(&options, argc, argv);
	if (status < 0)
		status = check_options(&options);
	lx_ranges_sort(&options.filter.ranges);
	if (status < 0 && options.has_describe)
		status = describe(options.describe);
	else if (status < 0)
		status = types(&options);
	lx_ranges_free(&options.filter.ranges);
	return common_finish(options.command, status);
}
