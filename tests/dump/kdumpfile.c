/* SPDX-License-Identifier: MIT */
/*
 * Reads a dump with libkdumpfile and compares it with a list of frames.
 *
 *	kdumpfile DUMP FRAMES [elf]
 *
 * FRAMES has lines "FIRST LAST SUM", or "-" for frames that must not be there.
 * libkdumpfile up to 0.5.4 answers zeroes for the last frame in front of a
 * segment of an ELF core.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libkdumpfile/kdumpfile.h>
#include <zlib.h>

#define FRAME_BYTES	4096

static kdump_ctx_t *context;
static uint64_t there, absent, excused, wrong;

static kdump_status read_frame(uint64_t pfn, unsigned char *frame)
{
	size_t bytes = FRAME_BYTES;

	return kdump_read(context, KDUMP_MACHPHYSADDR, pfn * FRAME_BYTES,
			  frame, &bytes);
}

static void complain(uint64_t pfn, const char *what)
{
	if (wrong++ < 5)
		(void)printf("# frame %" PRIu64 ": %s\n", pfn, what);
}

static void check_absent(uint64_t first, uint64_t last, int elf)
{
	static const unsigned char zeroes[FRAME_BYTES];
	unsigned char frame[FRAME_BYTES], next[FRAME_BYTES];
	uint64_t pfn;

	for (pfn = first; pfn < last; pfn++) {
		kdump_status status = read_frame(pfn, frame);

		absent++;
		if (status == KDUMP_ERR_NODATA)
			continue;
		if (elf && status == KDUMP_OK &&
		    !memcmp(frame, zeroes, FRAME_BYTES) &&
		    read_frame(pfn + 1, next) == KDUMP_OK)
			excused++;
		else
			complain(pfn, "it is there and must not be");
	}
}

static void check_there(uint64_t first, uint64_t last, unsigned long sum)
{
	unsigned char frame[FRAME_BYTES];
	unsigned long found = 0;
	uint64_t pfn;

	for (pfn = first; pfn < last; pfn++) {
		there++;
		if (read_frame(pfn, frame) != KDUMP_OK) {
			complain(pfn, kdump_get_err(context));
			return;
		}
		found = crc32(found, frame, FRAME_BYTES);
	}
	if (found != sum)
		complain(first, "its contents differ");
}

int main(int argc, char **argv)
{
	uint64_t first, last;
	char sum[32];
	FILE *frames;
	int fd;

	if (argc < 3)
		return 2;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	frames = fopen(argv[2], "r");
	context = kdump_new();
	if (fd < 0 || !frames || !context)
		return 2;
	if (kdump_set_number_attr(context, KDUMP_ATTR_FILE_FD,
				  (kdump_num_t)fd) != KDUMP_OK) {
		(void)printf("# %s\n", kdump_get_err(context));
		return 1;
	}
	while (fscanf(frames, "%" SCNu64 " %" SCNu64 " %31s", &first, &last,
		      sum) == 3) {
		if (!strcmp(sum, "-"))
			check_absent(first, last, argc > 3);
		else
			check_there(first, last, strtoul(sum, NULL, 10));
	}
	(void)printf("%" PRIu64 " there, %" PRIu64 " absent, %" PRIu64
		     " excused, %" PRIu64 " wrong\n", there, absent, excused,
		     wrong);
	return wrong != 0;
}
