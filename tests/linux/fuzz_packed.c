/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a capture unpacks to, and as a capture or a copy of
 * kpageflags themselves: the reader takes them or says why not, and commands
 * end with an exit status that is documented.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "commands.h"
#include "linux/capture.h"
#include "linux/scan.h"
#include "tests/fuzz/fuzz.h"

#define BYTES_MAX	(1 << 16)
#define FRAMES_MAX	(UINT64_C(1) << 22)

static void write_file(const char *path, const void *bytes, size_t count)
{
	FILE *file = fopen(path, "wb");

	HOLDS(file && fwrite(bytes, 1, count, file) == count);
	HOLDS(!fclose(file));
}

/* Words from the start, the middle and back again. */
static bool check_words(const char *path, const char *name)
{
	struct lx_error err = { .text = "" };
	struct lx_words words;
	uint64_t word[700];
	size_t count = 1;
	bool small;
	int ret;

	if (lx_words_open(&words, path, name, &err)) {
		HOLDS(err.text[0]);
		return true;
	}
	small = words.frames <= FRAMES_MAX;
	ret = small ? 0 : -1;
	while (!ret && count)
		ret = lx_words_read(&words, word, 700, &count, &err);
	HOLDS(ret || words.pfn == words.frames);
	if (small && !lx_words_seek(&words, words.frames / 3, &err))
		(void)lx_words_read(&words, word, 700, &count, &err);
	lx_words_close(&words);
	return small;
}

static bool check_mount(const char *path)
{
	struct lx_error err = { .text = "" };
	const struct lx_mount *mount;
	bool small;
	size_t i;

	if (lx_mount(path, &err)) {
		HOLDS(err.text[0] && !lx_mount_find(path));
		return true;
	}
	mount = lx_mount_find(path);
	HOLDS(mount);
	for (i = 0; i < mount->count; i++) {
		HOLDS(!i || strcmp(mount->file[i - 1].name,
				   mount->file[i].name) <= 0);
		HOLDS(lx_mount_file(mount, mount->file[i].name));
	}
	small = check_words(path, "proc/kpageflags");
	small = check_words(path, "proc/kpagecount") && small;
	lx_unmount(path);
	HOLDS(!lx_mount_find(path));
	return small;
}

/* Memory that a host only claims to have is not looked through. */
static bool is_small(const char *path)
{
	struct lx_host host = { .root = NULL };
	struct lx_error err = { .text = "" };
	bool small = true;

	if (lx_mount(path, &err))
		return true;
	if (!lx_host_read(path, &host, &err)) {
		small = lx_host_end(&host) <= FRAMES_MAX &&
			host.blocks.count <= 4096;
		lx_host_free(&host);
	}
	lx_unmount(path);
	return small;
}

static void check_file(const char *path)
{
	const char *blocks[] = { "blocks", "-J", "-F", path, NULL };
	const char *types[] = { "types", "-M", "-l", "-F", path, NULL };
	const char *map[] = { "map", "-F", path, NULL };

	if (!check_mount(path) || !is_small(path))
		return;
	if (!commands_run(blocks))
		commands_check_json();
	(void)commands_run(types);
	(void)commands_run(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	size_t room = ZSTD_compressBound(BYTES_MAX), packed;
	char path[512], *frame;

	if (count > BYTES_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s/file", fuzz_folder());
	write_file(path, bytes, count);
	check_file(path);
	frame = malloc(room);
	HOLDS(frame);
	packed = ZSTD_compress(frame, room, bytes, count, 1);
	HOLDS(!ZSTD_isError(packed));
	write_file(path, frame, packed);
	check_file(path);
	free(frame);
	fuzz_folder_clear();
	return 0;
}
