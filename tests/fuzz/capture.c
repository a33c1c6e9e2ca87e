/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a captured sysroot: what the readers of linux/ say of it is in
 * order or a sentence, and the commands that draw and count it end with an
 * exit status that is documented.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linux/blocks.h"
#include "linux/counters.h"
#include "linux/ranges.h"
#include "linux/words.h"
#include "linux/zones.h"
#include "tools/coldframe/cells.h"
#include "tree.h"

#define BYTES_MAX	(1 << 16)
#define CELL_FRAMES	64

static void check_answer(int ret, const struct lx_error *err)
{
	HOLDS(ret <= 0 && ret >= -LX_EFORMAT);
	HOLDS(memchr(err->text, 0, sizeof(err->text)));
	HOLDS(!ret || err->text[0]);
}

static void check_blocks(const char *root)
{
	struct lx_blocks blocks = { .count = 0 };
	struct lx_error err = { .text = "" };
	size_t i;
	int ret = lx_blocks_read(root, &blocks, &err);

	check_answer(ret, &err);
	HOLDS(!ret || (!blocks.count && !blocks.block));
	for (i = 0; i < blocks.count; i++) {
		uint64_t first = blocks.block[i].id * blocks.frames;

		HOLDS(first / blocks.frames == blocks.block[i].id);
		HOLDS(first + blocks.frames > first);
		HOLDS(!i || blocks.block[i - 1].id < blocks.block[i].id);
		HOLDS(blocks.block[i].state > LX_BLOCK_ABSENT &&
		      blocks.block[i].state < LX_BLOCK_STATE_COUNT);
		HOLDS(lx_blocks_find(&blocks, first) == i);
		HOLDS(lx_blocks_find(&blocks, first + blocks.frames - 1) == i);
	}
	if (!ret)
		check_answer(lx_blocks_fit(&blocks, "words", 1, &err), &err);
	lx_blocks_free(&blocks);
}

static void check_ranges(const char *root)
{
	struct lx_ranges ram = { .count = 0 };
	struct lx_error err = { .text = "" };
	bool hidden = false;
	size_t i;
	int ret = lx_iomem_ram(root, &ram, &hidden, &err);

	check_answer(ret, &err);
	HOLDS(!ret || !ram.count);
	HOLDS(!hidden || !ram.count);
	for (i = 0; i < ram.count; i++) {
		HOLDS(ram.range[i].first < ram.range[i].last);
		HOLDS(!i || ram.range[i - 1].last < ram.range[i].first);
		HOLDS(lx_ranges_find(&ram, ram.range[i].first) == i);
		HOLDS(lx_ranges_find(&ram, ram.range[i].last - 1) == i);
	}
	lx_ranges_free(&ram);
}

static void check_texts(const char *root)
{
	struct lx_counter memory[] = {
		{ .name = "MemTotal" }, { .name = "Balloon" },
	};
	struct lx_counter events[] = {
		{ .name = "nr_free_pages" }, { .name = "balloon_inflate" },
	};
	struct lx_zones zones = { .count = 0 };
	struct lx_error err = { .text = "" };
	size_t i;
	int ret = lx_zones_read(root, &zones, &err);

	check_answer(ret, &err);
	HOLDS(!ret || !zones.count);
	HOLDS(zones.count <= LX_ZONES_MAX);
	for (i = 0; i < zones.count; i++)
		HOLDS(zones.zone[i].name[0] &&
		      memchr(zones.zone[i].name, 0, sizeof(zones.zone->name)));
	lx_zones_free(&zones);
	check_answer(lx_counters_read(root, "proc/meminfo", memory, 2, &err),
		     &err);
	check_answer(lx_counters_read(root, "proc/vmstat", events, 2, &err),
		     &err);
}

/* Some words from the middle of a file, and on to its end. */
static void check_words(const char *root, const char *name)
{
	struct lx_words words;
	struct lx_error err = { .text = "" };
	uint64_t buffer[1000];
	size_t count = 1;
	int ret = lx_words_open(&words, root, name, &err);

	check_answer(ret, &err);
	if (ret)
		return;
	ret = lx_words_seek(&words, words.frames / 2, &err);
	while (!ret && count) {
		ret = lx_words_read(&words, buffer, 1000, &count, &err);
		check_answer(ret, &err);
		HOLDS(ret || count <= 1000);
	}
	HOLDS(ret || words.pfn == words.frames);
	lx_words_close(&words);
}

/* The cells of a map: every frame in one of them, and of one kind. */
static void check_cells(const char *root)
{
	struct place place = { .has_blocks = false };
	struct cells cells = { .place = &place, .cell_frames = CELL_FRAMES };
	struct lx_error err = { .text = "" };
	uint64_t at = 0, frames;
	struct cell cell;
	unsigned kind;

	place.has_blocks = !lx_blocks_read(root, &place.blocks, &err);
	if (!cells_open(&cells, root, &err)) {
		while (!cells_next(&cells, &cell, &err) && cell.frames) {
			HOLDS(cell.first == at && cell.frames <= CELL_FRAMES);
			for (kind = 0, frames = 0; kind < LX_KIND_COUNT; kind++)
				frames += cell.kind[kind];
			HOLDS(frames == cell.frames);
			at += cell.frames;
		}
		HOLDS(at == cells.pfn && at <= cells.words.frames);
		cells_close(&cells);
	}
	lx_blocks_free(&place.blocks);
}

static command_fn command_of(const struct command_line *line)
{
	return strcmp(line->word[0], "map") ? cmd_types : cmd_map;
}

/*
 * Pictures are drawn into the folder that is cleared, whatever was asked for:
 * these options, however they are shortened, name files to write.
 */
static void keep_pictures(struct command_line *line)
{
	char path[512];
	int i;

	for (i = 0; i < line->count; i++) {
		bool svg = !strncmp(line->word[i], "--sv", 4);

		if (!svg && strncmp(line->word[i], "--p", 3))
			continue;
		snprintf(path, sizeof(path), "--%s=%s/picture",
			 svg ? "svg" : "png", fuzz_folder());
		free(line->word[i]);
		line->word[i] = strdup(path);
		HOLDS(line->word[i]);
	}
}

/* What the options say; without any, what every user would look at first. */
static void run_commands(struct command_line *line)
{
	static const char *const usual[][4] = {
		{ "types", NULL },
		{ "types", "--json", NULL },
		{ "types", "-rlM", NULL },
		{ "map", NULL },
		{ "map", "--cell=64K", "--color=always", NULL },
	};
	size_t i, k;
	int status;

	if (line->count) {
		keep_pictures(line);
		(void)command_add(line, "--sysroot");
		(void)command_add(line, fuzz_folder());
		(void)command_run(line, command_of(line));
		return;
	}
	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		for (k = 0; usual[i][k]; k++)
			(void)command_add(line, usual[i][k]);
		(void)command_add(line, "--sysroot");
		(void)command_add(line, fuzz_folder());
		status = command_run(line, command_of(line));
		HOLDS(status || i != 1 || command_said_json());
		command_free(line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct command_line line = { .count = 0 };
	const char *root = fuzz_folder();

	if (count > BYTES_MAX)
		return 0;
	tree_make(bytes, count, &line);
	check_blocks(root);
	check_ranges(root);
	check_texts(root);
	check_words(root, "proc/kpageflags");
	check_words(root, "proc/kpagecount");
	check_cells(root);
	run_commands(&line);
	command_free(&line);
	fuzz_folder_clear();
	return 0;
}
