/* SPDX-License-Identifier: MIT */
/*
 * coldframe dump-info: what is in a dump, and what was left out and why.
 *
 * Classes are counted from the map in the dump, contents from the file, and
 * what only its writer could know - zeroes, frames that went meanwhile - from
 * its note. The totals are those of the machine, or it is said.
 */
#include "command.h"
#include "common.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "dump/dump.h"
#include "machine/journal.h"

#define COMMAND	"coldframe dump-info"

static const char help[] =
"usage: coldframe dump-info [OPTION...] FILE...\n"
"\n"
"Tell what is in a dump - of coldframe's, or of a guest of it that QEMU\n"
"took - and what was left out and why. Totals are those of the machine.\n"
"\n"
"  -j, --json  one JSON object a file, one a line, instead of text\n"
"  -h, --help  print this\n"
"\n"
"Exit status: 0 it is a dump; 1 it is none, cannot be read or is cut off; 2\n"
"wrong usage; 64 only some of several files could be read.\n";

struct totals {
	uint64_t frames[DUMP_CLASS_COUNT];	/* of the machine */
	uint64_t dumped[DUMP_CLASS_COUNT];	/* of these in the file */
	uint64_t blocks, offline_blocks;
};

static int count_window(struct dump *dump, struct dump_window *window,
			struct totals *totals, struct dump_why *why)
{
	unsigned i;

	if (dump_look(dump, window, why))
		return -1;
	for (i = 0; i < window->count; i++) {
		unsigned class = window->class[i];
		int has = 0;

		totals->frames[class]++;
		/* Its metadata may lie where the map has no block. */
		if (class != DUMP_ABSENT)
			has = dump_has(dump, window->first + i, why);
		if (has < 0)
			return -1;
		totals->dumped[class] += (unsigned)has;
	}
	return 0;
}

static int count(struct dump *dump, struct totals *totals,
		 struct dump_why *why)
{
	cf_pfn end = dump_end(dump), block = (cf_pfn)1 << dump->raw.block_shift;
	struct dump_window window;

	for (window.first = dump_next(dump, 0); window.first < end;
	     window.first += window.count) {
		if (window.first % block == 0)
			window.first = dump_next(dump, window.first);
		if (window.first >= end)
			break;
		window.count = DUMP_WINDOW_FRAMES;
		if (count_window(dump, &window, totals, why))
			return -1;
		if (window.first % block || window.class[0] == DUMP_ABSENT)
			continue;
		totals->blocks++;
		totals->offline_blocks += window.class[0] ==
					  DUMP_BLOCK_OFFLINE;
	}
	return 0;
}

static uint64_t sum(const uint64_t *frames)
{
	uint64_t all = 0;
	unsigned class;

	for (class = DUMP_ABSENT + 1; class < DUMP_CLASS_COUNT; class++)
		all += frames[class];
	return all;
}

/*
 * Did the writer count as many frames of a class as there are?  It told zeroes
 * and what is not mapped from contents, which the map does not.
 */
static bool class_adds_up(const struct dump_counts *counts, unsigned class,
			  const struct totals *totals)
{
	if (class == DUMP_ZERO || class == DUMP_UNMAPPED)
		return !totals->frames[class];
	if (dump_level_classes(counts->level) >> class & 1)
		return counts->frames[class] <= totals->frames[class];
	return counts->frames[class] == totals->frames[class];
}

static bool adds_up(const struct dump *dump, const struct totals *totals)
{
	const struct dump_counts *counts = &dump->counts;
	unsigned class;

	if (!counts->known)
		return true;
	for (class = DUMP_ABSENT + 1; class < DUMP_CLASS_COUNT; class++)
		if (!class_adds_up(counts, class, totals))
			return false;
	return sum(counts->frames) == sum(totals->frames);
}

static void print_wrong(const struct dump_counts *counts,
			const struct totals *totals)
{
	unsigned class;

	(void)printf("the map changed while it was written: its writer counted"
		     " %" PRIu64 " frames\n", sum(counts->frames));
	for (class = DUMP_CLASS_COUNT - 1; class > DUMP_ABSENT; class--)
		if (!class_adds_up(counts, class, totals))
			(void)printf("%12" PRIu64 " and not %" PRIu64 " %s\n",
				     counts->frames[class],
				     totals->frames[class],
				     dump_class_word((enum dump_class)class));
}

static const char *format_name(const struct dump *dump)
{
	if (dump->file.format == DUMP_ELF)
		return "ELF core";
	return dump->file.flat ? "kdump-compressed, flattened" :
				 "kdump-compressed";
}

static void print_head(const char *path, const struct dump *dump,
		       const struct totals *totals)
{
	const struct dump_counts *counts = &dump->counts;
	time_t when = (time_t)counts->time;
	char bytes[24], date[64];
	struct tm local;

	(void)printf("%s: %s, %s\n", path, format_name(dump),
		     common_bytes(dump->file.bytes, bytes));
	if (counts->known && localtime_r(&when, &local) &&
	    strftime(date, sizeof(date), "%F %T %z", &local))
		(void)printf("machine  %s, %s, level %u\n", counts->machine,
			     date, counts->level);
	else
		(void)printf("machine  a guest, taken from outside\n");
	(void)printf("blocks   %" PRIu64 " of %s, %" PRIu64 " of them "
		     "offline\n", totals->blocks,
		     common_bytes(CF_FRAME_BYTES << dump->raw.block_shift,
				  bytes), totals->offline_blocks);
}

static void print_row(const char *name, uint64_t frames, uint64_t dumped)
{
	char size[24];

	(void)printf("%-36s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10s\n",
		     name, frames, dumped, frames - dumped,
		     common_short(frames * CF_FRAME_BYTES, size));
}

static void print_text(const char *path, const struct dump *dump,
		       const struct totals *totals)
{
	const struct dump_counts *counts = &dump->counts;
	unsigned class;

	print_head(path, dump, totals);
	(void)printf("\n%-36s %12s %12s %12s %10s\n", "FRAMES", "ALL",
		     "IN THE DUMP", "LEFT OUT", "SIZE");
	for (class = DUMP_CLASS_COUNT - 1; class > DUMP_ABSENT; class--)
		if (totals->frames[class])
			print_row(dump_class_text((enum dump_class)class),
				  totals->frames[class],
				  totals->dumped[class]);
	print_row("total", sum(totals->frames), sum(totals->dumped));
	if (dump->raw.torn)
		(void)printf("\n%" PRIu64 " frames whose words make no sense: "
			     "the map changed while it was written\n",
			     dump->raw.torn);
	if (!counts->known)
		return;
	(void)printf("\n%" PRIu64 " frames were filled with zeroes%s; %" PRIu64
		     " more hold the map\n", counts->frames[DUMP_ZERO],
		     counts->level & DUMP_LEVEL_ZERO ?
		     " and take no room" : "", counts->metadata);
	if (counts->lost)
		(void)printf("%" PRIu64 " frames were taken away while it was "
			     "written, and are not in it\n", counts->lost);
	if (!adds_up(dump, totals))
		print_wrong(counts, totals);
}

static int print_json(const char *path, const struct dump *dump,
		       const struct totals *totals)
{
	const struct dump_counts *counts = &dump->counts;
	json_t *object, *classes = json_object();
	unsigned class;

	for (class = DUMP_ABSENT + 1; class < DUMP_CLASS_COUNT; class++)
		(void)json_object_set_new(classes,
			dump_class_word((enum dump_class)class),
			json_pack("{s:I, s:I}", "frames",
				  (json_int_t)totals->frames[class], "dumped",
				  (json_int_t)totals->dumped[class]));
	object = json_pack("{s:i, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o}",
			   "schema", 1, "file",
			   journal_text(path, strlen(path)), "format",
			   format_name(dump), "bytes",
			   (json_int_t)dump->file.bytes, "blocks",
			   (json_int_t)totals->blocks, "frames",
			   (json_int_t)sum(totals->frames), "dumped",
			   (json_int_t)sum(totals->dumped), "torn",
			   (json_int_t)dump->raw.torn, "classes",
			   classes);
	if (object && counts->known)
		(void)json_object_set_new(object, "written", json_pack(
			"{s:s, s:I, s:i, s:I, s:I, s:I, s:b}", "machine",
			counts->machine, "time", (json_int_t)counts->time,
			"level", (int)counts->level, "zero",
			(json_int_t)counts->frames[DUMP_ZERO], "metadata",
			(json_int_t)counts->metadata, "lost",
			(json_int_t)counts->lost, "adds-up",
			adds_up(dump, totals)));
	if (!object)
		return -1;
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
	return 0;
}

static int tell(const char *path, bool json)
{
	struct totals totals = { .blocks = 0 };
	struct dump_why why;
	struct dump *dump;
	int err;

	if (dump_open(path, &dump, &why))
		return common_failed(COMMAND, "%s: %s", path, why.text);
	err = count(dump, &totals, &why);
	if (err)
		(void)common_failed(COMMAND, "%s: %s", path, why.text);
	else if (!json)
		print_text(path, dump, &totals);
	else if (print_json(path, dump, &totals))
		err = common_failed(COMMAND, "out of memory");
	if (!err && dump->file.incomplete)
		err = common_failed(COMMAND, "%s: its writer says that it is "
				    "incomplete", path);
	dump_close(dump);
	return err ? EXIT_FAILED : EXIT_OK;
}

int cmd_dump_info(int argc, char **argv)
{
	static const struct option words[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, i, failed = 0, status;
	bool json = false;

	while ((option = getopt_long(argc, argv, "jh", words, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return common_finish(COMMAND, EXIT_OK);
		}
		if (option != 'j')
			return common_try_help(COMMAND);
		json = true;
	}
	if (optind == argc)
		return common_wrong(COMMAND, "which dump?");
	for (i = optind; i < argc; i++) {
		if (i > optind && !json)
			(void)putchar('\n');
		failed += tell(argv[i], json) != EXIT_OK;
	}
	status = !failed ? EXIT_OK : failed == argc - optind ? EXIT_FAILED :
							       EXIT_PARTLY;
	return common_finish(COMMAND, status);
}
