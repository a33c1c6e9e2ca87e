/* SPDX-License-Identifier: MIT */
#include "common.h"
#include "linux/capture.h"
#include "linux/pack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY		"sys/devices/system/memory"
#define NODES		"sys/devices/system/node"
#define BATCH_WORDS	65536		/* a multiple of a chunk */
#define SHARES		32		/* different words to count in one */

struct capture {
	const char *command;
	struct common_source source;
	const char *root;
	bool addresses, counts;
	struct lx_pack *pack;
	struct lx_words words;
	uint64_t *batch;
	uint64_t head;			/* word of the last frame but a tail */
	const char *node;		/* whose folder is being listed */
	char *text;			/* a file */
	size_t used, room;
	struct lx_error err;
};

static const char help[] =
"usage: coldframe capture [OPTION...] FILE\n"
"\n"
"Write what this host tells about its memory to FILE, for --file of all other\n"
"commands, on any machine. FILE - is standard output.\n"
"\n"
"      --no-addresses  tell how many frames of which kind a chunk of 2 MiB\n"
"                      has, and not which, nor where the kernel and devices\n"
"                      are\n"
"      --counts        /proc/kpagecount as well, for types -M\n"
COMMON_HELP;

static int append(void *context, char *line)
{
	struct capture *capture = context;
	size_t length = strlen(line), room = capture->room;
	char *text;

	while (room < capture->used + length + 2)
		room = room ? 2 * room : 4096;
	text = realloc(capture->text, room);
	if (!text)
		return lx_fail(&capture->err, LX_EREAD, "out of memory");
	capture->text = text;
	capture->room = room;
	memcpy(text + capture->used, line, length);
	text[capture->used + length] = '\n';
	capture->used += length + 1;
	return 0;
}

/* Of iomem, system memory alone says nothing that others may not know. */
static int append_ram(void *context, char *line)
{
	return strstr(line, " : System RAM") ? append(context, line) : 0;
}

/* Files that are not there are not in the capture either. */
static int pack_file(struct capture *capture, const char *name, lx_line_fn fn)
{
	int ret;

	capture->used = 0;
	ret = lx_lines(capture->root, name, fn, capture, &capture->err);
	if (ret == -LX_EMISSING || ret == -LX_EDENIED)
		return 0;
	if (!ret)
		ret = lx_pack_file(capture->pack, name, capture->text ?
				   capture->text : "", capture->used,
				   &capture->err);
	return ret;
}

static int pack_block(void *context, const char *name)
{
	struct capture *capture = context;
	char file[128];
	int ret;

	if (strncmp(name, "memory", 6) || strlen(name) > 32 ||
	    name[6] < '0' || name[6] > '9')
		return 0;
	snprintf(file, sizeof(file), MEMORY "/%s/state", name);
	ret = pack_file(capture, file, append);
	snprintf(file, sizeof(file), MEMORY "/%s/valid_zones", name);
	return ret ? ret : pack_file(capture, file, append);
}

/* That a node has a block is the name of a link and nothing more. */
static int pack_link(void *context, const char *name)
{
	struct capture *capture = context;
	char file[128];

	if (strncmp(name, "memory", 6) || strlen(name) > 32 ||
	    name[6] < '0' || name[6] > '9')
		return 0;
	snprintf(file, sizeof(file), NODES "/%s/%s", capture->node, name);
	return lx_pack_file(capture->pack, file, "", 0, &capture->err);
}

static int pack_node(void *context, const char *name)
{
	struct capture *capture = context;
	char folder[128];

	if (strncmp(name, "node", 4) || strlen(name) > 32 ||
	    name[4] < '0' || name[4] > '9')
		return 0;
	capture->node = name;
	snprintf(folder, sizeof(folder), NODES "/%s", name);
	return lx_names(capture->root, folder, pack_link, capture,
			&capture->err);
}

static int pack_files(struct capture *capture)
{
	static const char *const names[] = {
		"proc/buddyinfo", "proc/meminfo", "proc/sys/kernel/osrelease",
		"proc/vmstat", "proc/zoneinfo", MEMORY "/auto_online_blocks",
		MEMORY "/block_size_bytes",
		"sys/module/memory_hotplug/parameters/auto_movable_ratio",
		"sys/module/memory_hotplug/parameters/online_policy",
	};
	size_t i;
	int ret;

	ret = pack_file(capture, "proc/iomem", capture->addresses ? append :
			append_ram);
	for (i = 0; !ret && i < sizeof(names) / sizeof(names[0]); i++)
		ret = pack_file(capture, names[i], append);
	if (!ret)
		ret = lx_names(capture->root, MEMORY, pack_block, capture,
			       &capture->err);
	if (!ret || ret == -LX_EMISSING)
		ret = lx_names(capture->root, NODES, pack_node, capture,
			       &capture->err);
	return ret == -LX_EMISSING ? 0 : ret;
}

static bool is_reported(uint64_t word)
{
	return word & LX_CF(BUDDY) && word & LX_CF(UPTODATE) &&
	       lx_class_of(word) == LX_CLASS_REPORTED;
}

/* Reported frames come last: nothing behind them can be of their run. */
static int compare_words(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	bool left_last = is_reported(*left), right_last = is_reported(*right);

	if (left_last != right_last)
		return left_last - right_last;
	return (*left > *right) - (*left < *right);
}

/*
 * Only the head of a free run shows that it was reported. In a chunk that has
 * other things too, all frames of the run get its word.
 */
static void spread_reports(uint64_t *word, size_t count, uint64_t pfn)
{
	uint64_t frames, k;
	size_t i;

	for (i = 0; i < count; i += frames) {
		frames = 1;
		if (!is_reported(word[i]))
			continue;
		frames = lx_free_run(&word[i], count - i, pfn + i);
		for (k = 1; frames < CF_CHUNK_FRAMES && k < frames; k++)
			word[i + k] = word[i];
	}
}

/* Of a chunk that is all free the order tells nothing, but who was told. */
static bool is_all_free(const uint64_t *word, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (lx_class_of(word[i]) != LX_CLASS_FREE &&
		    (i || !is_reported(word[i])))
			return false;
	}
	return true;
}

/* How many frames of a chunk have a word. */
struct share {
	uint64_t word;
	size_t frames;
};

static int compare_shares(const void *a, const void *b)
{
	const struct share *left = a, *right = b;

	return compare_words(&left->word, &right->word);
}

/* Count the words of a chunk. Returns how many differ; 0: too many do. */
static size_t count_words(const uint64_t *word, size_t count,
			  struct share share[SHARES])
{
	size_t i, k, used = 0, alike;

	for (i = 0; i < count; i += alike) {
		alike = lx_words_alike(&word[i], count - i);
		for (k = 0; k < used && share[k].word != word[i]; k++)
			;
		if (k == SHARES)
			return 0;
		if (k == used)
			share[used++] = (struct share){ word[i], 0 };
		share[k].frames += alike;
	}
	return used;
}

/* A chunk has few different words: sorting these is quicker. */
static void sort_words(uint64_t *word, size_t count)
{
	struct share share[SHARES];
	size_t used = count_words(word, count, share), i;

	if (!used) {
		qsort(word, count, sizeof(*word), compare_words);
		return;
	}
	qsort(share, used, sizeof(share[0]), compare_shares);
	for (i = 0; i < used; i++) {
		while (share[i].frames--)
			*word++ = share[i].word;
	}
}

/* Does a tail say less than its head, see linux/scan.c? */
static bool says_less(uint64_t word, uint64_t head_word)
{
	enum lx_class class, head;

	if (!(word & LX_CF(COMPOUND_TAIL)))
		return false;
	class = lx_class_of(word);
	if (class == LX_CLASS_COUNT)
		return true;
	head = lx_class_of(head_word);
	return (class == LX_CLASS_ANON || class == LX_CLASS_FILE) &&
	       (head == LX_CLASS_MLOCKED || head == LX_CLASS_HELD);
}

/* Such a tail gets the word of its head. */
static void spread_heads(struct capture *capture, size_t count)
{
	uint64_t *word = capture->batch;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!says_less(word[i], capture->head)) {
			capture->head = word[i];
			continue;
		}
		word[i] = (capture->head & ~LX_CF(COMPOUND_HEAD)) |
			  LX_CF(COMPOUND_TAIL);
		if (lx_class_of(word[i]) == LX_CLASS_COUNT)
			word[i] = 0;
	}
}

/*
 * Give up the order within each chunk, once each frame says for itself what
 * only its head says: that could not be found again.
 */
static void shuffle(struct capture *capture, size_t count, uint64_t pfn)
{
	uint64_t *word = capture->batch;
	size_t i, part;

	spread_heads(capture, count);
	spread_reports(word, count, pfn);
	for (i = 0; i < count; i += part) {
		part = count - i < CF_CHUNK_FRAMES ? count - i :
						     CF_CHUNK_FRAMES;
		if (!is_all_free(&word[i], part))
			sort_words(&word[i], part);
	}
}

/* Frames that came between the count and the reading are not taken. */
static int pack_batch(struct capture *capture, size_t count)
{
	const uint64_t *word = capture->batch;
	size_t i, alike;
	int ret = 0;

	for (i = 0; !ret && i < count; i += alike) {
		alike = lx_words_alike(&word[i], count - i);
		ret = lx_pack_run(capture->pack, word[i], alike,
				  &capture->err);
	}
	return ret;
}

static int pack_frames(struct capture *capture, bool flags, uint64_t frames)
{
	uint64_t left = frames;
	size_t count;
	int ret = lx_words_seek(&capture->words, 0, &capture->err);

	while (!ret && left) {
		ret = lx_words_read(&capture->words, capture->batch,
				    left < BATCH_WORDS ? (size_t)left :
							 BATCH_WORDS,
				    &count, &capture->err);
		if (!ret && !count)
			ret = lx_fail(&capture->err, LX_EREAD, "%s: it has "
				      "become shorter; try again",
				      capture->words.path);
		if (ret)
			break;
		if (!capture->addresses && flags)
			shuffle(capture, count, frames - left);
		ret = pack_batch(capture, count);
		left -= count;
		common_progress(NULL, frames - left, frames);
	}
	common_progress_end();
	return ret;
}

static int pack_words(struct capture *capture, const char *name, bool flags)
{
	uint64_t frames;
	int ret;

	ret = lx_words_open(&capture->words, capture->root, name,
			    &capture->err);
	if (ret)
		return ret;
	ret = lx_words_count(&capture->words, &frames, &capture->err);
	if (!ret)
		ret = lx_pack_words(capture->pack, name, frames,
				    &capture->err);
	if (!ret)
		ret = pack_frames(capture, flags, frames);
	lx_words_close(&capture->words);
	return ret;
}

static int pack_all(struct capture *capture)
{
	int ret = pack_files(capture);

	if (!ret)
		ret = pack_words(capture, "proc/kpageflags", true);
	if (!ret && capture->counts)
		ret = pack_words(capture, "proc/kpagecount", false);
	return ret;
}

static int capture_host(struct capture *capture, const char *path)
{
	const struct lx_mount *mount = lx_mount_find(capture->root);
	struct lx_error ignored;
	int ret;

	if (mount && !mount->addresses)
		capture->addresses = false;
	ret = lx_pack_open(path, capture->addresses, !mount || mount->whole,
			   &capture->pack, &capture->err);
	if (ret)
		return ret;
	ret = pack_all(capture);
	if (ret)
		(void)lx_pack_close(capture->pack, false, &ignored);
	else
		ret = lx_pack_close(capture->pack, true, &capture->err);
	return ret;
}

static int run_capture(struct capture *capture, const char *path)
{
	int ret;

	ret = common_source_open(&capture->source, &capture->root,
				 &capture->err);
	if (ret)
		return common_unread(capture->command, &capture->err);
	capture->batch = malloc(BATCH_WORDS * sizeof(uint64_t));
	if (!capture->batch)
		ret = lx_fail(&capture->err, LX_EREAD, "out of memory");
	else if (capture->source.file && !strcmp(capture->source.file, path))
		ret = lx_fail(&capture->err, LX_EREAD, "%s: cannot be read "
			      "and written at once", path);
	else
		ret = capture_host(capture, path);
	free(capture->batch);
	free(capture->text);
	common_source_close(&capture->source);
	if (ret == -LX_EDENIED)
		return common_denied(capture->command, &capture->err);
	if (ret)
		return common_unread(capture->command, &capture->err);
	return EXIT_OK;
}

enum { OPT_NO_ADDRESSES = 256, OPT_COUNTS };

static const struct option long_options[] = {
	{ "no-addresses", no_argument, NULL, OPT_NO_ADDRESSES },
	{ "counts", no_argument, NULL, OPT_COUNTS },
	COMMON_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

int cmd_capture(int argc, char **argv)
{
	struct capture capture = { .command = argv[0], .addresses = true };
	int option, status = 0;

	while (!status && (option = getopt_long(argc, argv, COMMON_LETTERS,
						long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return common_finish(argv[0], EXIT_OK);
		}
		if (option == OPT_NO_ADDRESSES)
			capture.addresses = false;
		else if (option == OPT_COUNTS)
			capture.counts = true;
		else
			status = common_option(&capture.source, argv[0],
					       option, optarg);
		if (status < 0)
			return common_try_help(argv[0]);
	}
	if (status)
		return status;
	if (optind + 1 != argc)
		return common_wrong(argv[0], optind == argc ? "name a file to "
				    "write" : "one file is enough");
	return run_capture(&capture, argv[optind]);
}
