/* SPDX-License-Identifier: MIT */
/*
 * coldframe save-diff: what has changed from one saved machine to another.
 */
#include "command.h"
#include "common.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>

#include "machine/save_diff.h"

#define COMMAND		"coldframe save-diff"

static const char help[] =
"usage: coldframe save-diff [OPTION...] FIRST SECOND\n"
"\n"
"Compare two files of \"coldframe save\", without restoring them: runs by\n"
"their first frame, contents frame by frame, all else in the order it was\n"
"saved in.\n"
"\n"
"  -l, --list         each run, and each stretch of contents, that differs\n"
"  -j, --json         one JSON object; sizes are bytes\n"
"  -h, --help         print this\n"
"\n"
"Exit status: 0 done, also when they differ; 1 they cannot be read; 2 wrong\n"
"usage.\n";

static void print_run(const struct save_diff_run *run)
{
	char size[24];

	if (run->type == CF_TYPE_NONE) {
		(void)printf("nothing");
		return;
	}
	(void)printf("%s %s", common_short(CF_FRAME_BYTES << run->order, size),
		     cf_type_name(run->type));
	if (run->owner)
		(void)printf(" owner %u", run->owner);
	if (run->refs)
		(void)printf(" refs %u", run->refs);
	if (run->pins)
		(void)printf(" pins %u", run->pins);
	if (run->flags)
		(void)printf(" flags 0x%x", run->flags);
	if (run->payload)
		(void)printf(" payload %" PRIu32, run->payload);
}

static void list_run(void *context, enum save_change change,
		     const struct save_diff_run *a,
		     const struct save_diff_run *b)
{
	(void)context;
	(void)printf("run at frame %" PRIu64 ": ",
		     change == SAVE_ONLY_SECOND ? b->first : a->first);
	print_run(a);
	(void)printf(" -> ");
	print_run(b);
	(void)putchar('\n');
}

static void list_content(void *context, enum save_change change, cf_pfn first,
			 cf_pfn last)
{
	(void)context;
	(void)printf("contents of frames %" PRIu64 " to %" PRIu64 ": %s\n",
		     first, last - 1, save_change_name(change));
}

static bool is_any(const uint64_t counts[SAVE_CHANGE_COUNT])
{
	unsigned change;

	for (change = 0; change < SAVE_CHANGE_COUNT; change++)
		if (counts[change])
			return true;
	return false;
}

static void print_counts(const char *name,
			 const uint64_t counts[SAVE_CHANGE_COUNT], bool frames)
{
	char size[24];
	unsigned change;

	if (!is_any(counts))
		return;
	(void)printf("%-18s", name);
	for (change = 0; change < SAVE_CHANGE_COUNT; change++) {
		if (frames)
			(void)printf(" %12s", common_short(counts[change] *
				     CF_FRAME_BYTES, size));
		else
			(void)printf(" %12" PRIu64, counts[change]);
	}
	(void)putchar('\n');
}

static void print_table(const struct save_diff *diff)
{
	unsigned i;

	(void)printf("%-18s %12s %12s %12s %12s\n", "", "same", "changed",
		     "only first", "only second");
	for (i = 0; i < SAVE_KIND_COUNT; i++)
		if (i != SAVE_CONTENT)
			print_counts(save_kind_name((enum save_kind)i),
				     diff->records[i], false);
	for (i = 0; i < CF_TYPE_COUNT; i++)
		print_counts(cf_type_name((enum cf_type)i), diff->frames[i],
			     true);
	print_counts("contents", diff->contents, true);
}

static json_t *counts_json(const uint64_t counts[SAVE_CHANGE_COUNT],
			   uint64_t scale)
{
	json_t *object = json_object();
	unsigned change;

	for (change = 0; change < SAVE_CHANGE_COUNT; change++)
		(void)json_object_set_new(object,
			save_change_name((enum save_change)change),
			json_integer((json_int_t)(counts[change] * scale)));
	return object;
}

static void print_json(const struct save_diff *diff)
{
	json_t *records = json_object(), *frames = json_object(), *object;
	unsigned i;

	for (i = 0; i < SAVE_KIND_COUNT; i++)
		if (is_any(diff->records[i]))
			(void)json_object_set_new(records,
				save_kind_name((enum save_kind)i),
				counts_json(diff->records[i], 1));
	for (i = 0; i < CF_TYPE_COUNT; i++)
		if (is_any(diff->frames[i]))
			(void)json_object_set_new(frames,
				cf_type_name((enum cf_type)i),
				counts_json(diff->frames[i], CF_FRAME_BYTES));
	object = json_pack("{s:b, s:o, s:o, s:o}", "same",
			   !save_diff_any(diff), "records", records, "frames",
			   frames, "contents",
			   counts_json(diff->contents, CF_FRAME_BYTES));
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
}

static int compare(const char *first, const char *second, bool list, bool json)
{
	static struct save_diff diff;
	char why[SAVE_WHY_BYTES] = "";

	if (list) {
		diff.run = list_run;
		diff.content = list_content;
	}
	if (save_diff(&diff, first, second, why))
		return common_failed(COMMAND, "%s", why);
	if (json)
		print_json(&diff);
	else if (save_diff_any(&diff))
		print_table(&diff);
	else
		(void)printf("the same\n");
	return EXIT_OK;
}

int cmd_save_diff(int argc, char **argv)
{
	static const struct option words[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool list = false, json = false;
	int option;

	while ((option = getopt_long(argc, argv, "ljh", words, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return common_finish(COMMAND, EXIT_OK);
		}
		if (option != 'l' && option != 'j')
			return common_try_help(COMMAND);
		list |= option == 'l';
		json |= option == 'j';
	}
	if (argc - optind != 2)
		return common_wrong(COMMAND, "two files are needed");
	if (list && json)
		return common_wrong(COMMAND, "--list or --json, not both");
	return common_finish(COMMAND, compare(argv[optind], argv[optind + 1],
					      list, json));
}
