/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a dump: they are refused with a sentence, or frames can be
 * looked at and read, and what can be read can be dumped again.
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dump/write.h"

#define BYTES_MAX	(1 << 20)
#define WINDOWS_MAX	64
#define END_MAX		((cf_pfn)1 << 18)

static bool is_said(const struct dump_why *why)
{
	return why->text[0] && memchr(why->text, 0, sizeof(why->text));
}

/* What the map says, and what the file has. */
static void look(struct dump *dump)
{
	static unsigned char frame[CF_FRAME_BYTES];
	struct dump_why why = { "" };
	struct dump_window window = { .first = dump_next(dump, 0) };
	unsigned windows = 0, i;

	for (; window.first < dump_end(dump) && windows < WINDOWS_MAX;
	     window.first += window.count, windows++) {
		window.count = DUMP_WINDOW_FRAMES;
		if (dump_look(dump, &window, &why)) {
			HOLDS(is_said(&why));
			return;
		}
		for (i = 0; i < window.count; i += 1 + i / 8) {
			int has = dump_has(dump, window.first + i, &why);
			int got = dump_read(dump, window.first + i, frame,
					    &why);

			HOLDS(window.class[i] < DUMP_CLASS_COUNT);
			HOLDS(has >= 0 || is_said(&why));
			HOLDS(got >= 0 || is_said(&why));
			HOLDS(got != 1 || has != 0 || dump->root);
		}
	}
}

static void dump_again(struct dump *dump, enum dump_format format)
{
	const struct dump_options options = {
		.format = format, .compress = COMPRESS_NONE, .threads = 1,
		.level = 31,
	};
	struct dump_why why = { "" };
	struct dump_result result;
	struct dump_source source;

	if (dump_source_file(&source, dump, 31, &why)) {
		HOLDS(is_said(&why));
		return;
	}
	if (source.end <= END_MAX &&
	    dump_write(&source, &options, "/dev/null", &result, &why))
		HOLDS(is_said(&why));
	dump_source_close(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	int fd = memfd_create("fuzz-dump", MFD_CLOEXEC);
	struct dump_why why = { "" };
	struct dump *dump;
	char path[64];

	if (fd < 0 || count > BYTES_MAX ||
	    write(fd, bytes, count) != (ssize_t)count) {
		close(fd);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (dump_open(path, &dump, &why)) {
		HOLDS(is_said(&why));
	} else {
		look(dump);
		dump_again(dump, count & 1 ? DUMP_ELF : DUMP_KDUMP);
		dump_close(dump);
	}
	close(fd);
	return 0;
}
