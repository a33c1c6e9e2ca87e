/* SPDX-License-Identifier: MIT */
/* Reading kdump-compressed files. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap.h"
#include "format.h"
#include "formats.h"
#include "pack.h"

#define PAGE_BYTES_MAX	65536	/* of any processor that is known here */

static uint64_t number(const unsigned char *memory, size_t at, size_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, memory + at, bytes);
	return value;
}

static unsigned machine_of(const unsigned char *header)
{
	const char *name = (const char *)header + KDUMP_AT_UTSNAME +
			   4 * KDUMP_UTSNAME_BYTES;

	if (!strncmp(name, "x86_64", KDUMP_UTSNAME_BYTES))
		return EM_X86_64;
	if (!strncmp(name, "aarch64", KDUMP_UTSNAME_BYTES))
		return EM_AARCH64;
	return 0;
}

static int read_bitmaps(struct dump_file *file, const unsigned char *header,
			uint64_t first, struct dump_why *why)
{
	uint64_t blocks = number(header, KDUMP_AT_BITMAP_BLOCKS, 4);
	uint64_t bytes = blocks / 2 * file->unpack.page_bytes;

	if (blocks % 2 || file->end > bytes * 8)
		return dump_fail(why, "its bitmaps have no room for all of its "
				 "frames");
	file->descs = first + blocks * file->unpack.page_bytes;
	if (file->descs > file->bytes)
		return dump_fail(why, "it is cut off: its bitmaps are not all "
				 "there");
	if (bitmap_open(file, first, file->end, &file->there, why) ||
	    bitmap_open(file, first + bytes, file->end, &file->dumped, why))
		return -1;
	file->end *= file->page_frames;
	return 0;
}

static int read_sub_header(struct dump_file *file, struct dump_why *why)
{
	unsigned char sub[KDUMP_SUB_BYTES];
	uint64_t at, bytes;

	if (dump_file_bytes(file, file->unpack.page_bytes, sub, sizeof(sub),
			    why))
		return -1;
	file->level = (unsigned)number(sub, KDUMP_SUB_LEVEL, 4);
	if (number(sub, KDUMP_SUB_MAX_MAPNR, 8))
		file->end = number(sub, KDUMP_SUB_MAX_MAPNR, 8);
	if (file->end > CF_PFN_LIMIT * 2 / file->page_frames)
		return dump_fail(why, "it has more frames than any machine");
	at = number(sub, KDUMP_SUB_NOTE, 8);
	bytes = number(sub, KDUMP_SUB_NOTE + 8, 8);
	if (bytes && notes_read(file, at, bytes, why))
		return -1;
	at = number(sub, KDUMP_SUB_VMCOREINFO, 8);
	bytes = number(sub, KDUMP_SUB_VMCOREINFO + 8, 8);
	if (!bytes || file->vmcoreinfo.text)
		return 0;
	/* Not among the notes: the text alone, as one note is read. */
	if (bytes > NOTES_BYTES_MAX || file->notes)
		return dump_fail(why, "its VMCOREINFO is outside its notes");
	if (notes_read(file, at, bytes, why))
		return -1;
	file->vmcoreinfo = (struct info){ file->notes, bytes };
	return 0;
}

/* QEMU's pages of aarch64 have 64 KiB, whatever the guest's have. */
static int make_pages(struct dump_file *file, uint64_t bytes,
		      struct dump_why *why)
{
	if (bytes < CF_FRAME_BYTES || bytes > PAGE_BYTES_MAX ||
	    bytes & (bytes - 1))
		return dump_fail(why, "its pages have %llu bytes",
				 (unsigned long long)bytes);
	file->page_frames = (unsigned)(bytes / CF_FRAME_BYTES);
	file->unpack.page_bytes = bytes;
	file->page = malloc(bytes);
	file->packed = malloc(bytes);
	if (!file->page || !file->packed)
		return dump_fail(why, "the process has no memory");
	return 0;
}

int kdump_file_open(struct dump_file *file, struct dump_why *why)
{
	unsigned char header[KDUMP_HEADER_BYTES];
	uint64_t version, sub_blocks;

	file->format = DUMP_KDUMP;
	if (dump_file_bytes(file, 0, header, sizeof(header), why))
		return -1;
	version = number(header, KDUMP_AT_VERSION, 4);
	if (version < 3 || version > KDUMP_VERSION)
		return dump_fail(why, "it is kdump-compressed of version %llu; "
				 "3 to %d can be read",
				 (unsigned long long)version, KDUMP_VERSION);
	if (make_pages(file, number(header, KDUMP_AT_BLOCK_SIZE, 4), why))
		return -1;
	file->machine = machine_of(header);
	file->incomplete = number(header, KDUMP_AT_STATUS, 4) &
			   KDUMP_INCOMPLETE;
	file->end = number(header, KDUMP_AT_MAX_MAPNR, 4);
	sub_blocks = number(header, KDUMP_AT_SUB_BLOCKS, 4);
	if (version < KDUMP_VERSION)
		return dump_fail(why, "it is kdump-compressed of version %llu, "
				 "from before makedumpfile 1.5.7",
				 (unsigned long long)version);
	if (read_sub_header(file, why))
		return -1;
	return read_bitmaps(file, header, (1 + sub_blocks) *
					  file->unpack.page_bytes, why);
}

static int unpack(struct dump_file *file, unsigned flags, size_t count,
		  uint64_t page, struct dump_why *why)
{
	if (flags & (KDUMP_LZO | KDUMP_SNAPPY))
		return dump_fail(why, "page %llu is packed with %s, which "
				 "this coldframe does not know",
				 (unsigned long long)page,
				 flags & KDUMP_LZO ? "lzo" : "snappy");
	if (!(flags & (KDUMP_ZLIB | KDUMP_ZSTD))) {
		if (count != file->unpack.page_bytes)
			return dump_fail(why, "page %llu has %zu bytes",
					 (unsigned long long)page, count);
		memcpy(file->page, file->packed, count);
		return 0;
	}
	if (unpack_page(&file->unpack, flags, file->packed, count, file->page))
		return dump_fail(why, "page %llu cannot be unpacked: it is "
				 "damaged", (unsigned long long)page);
	return 0;
}

/* To file->page: 1: it is there; 0: the file does not have it; or -1. */
static int read_page(struct dump_file *file, uint64_t page,
		     struct dump_why *why)
{
	unsigned char desc[KDUMP_DESC_BYTES];
	uint64_t rank, offset, count;
	int has;

	if (file->page_number == page + 1)
		return 1;
	has = bitmap_get(file, file->dumped, page, &rank, why);
	if (has <= 0)
		return has;
	file->page_number = 0;
	if (dump_file_bytes(file, file->descs + rank * sizeof(desc), desc,
			    sizeof(desc), why))
		return -1;
	offset = number(desc, 0, 8);
	count = number(desc, 8, 4);
	if (!count || count > file->unpack.page_bytes)
		return dump_fail(why, "page %llu is said to have %llu bytes",
				 (unsigned long long)page,
				 (unsigned long long)count);
	if (dump_file_bytes(file, offset, file->packed, count, why) ||
	    unpack(file, (unsigned)number(desc, 12, 4), count, page, why))
		return -1;
	file->page_number = page + 1;
	return 1;
}

int kdump_file_read(struct dump_file *file, uint64_t frame, void *memory,
		    struct dump_why *why)
{
	int has = read_page(file, frame / file->page_frames, why);

	if (has == 1)
		memcpy(memory, file->page + frame % file->page_frames *
				    CF_FRAME_BYTES, CF_FRAME_BYTES);
	return has;
}
