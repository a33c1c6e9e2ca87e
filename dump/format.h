/* SPDX-License-Identifier: MIT */
#ifndef DUMP_FORMAT_H
#define DUMP_FORMAT_H

/*
 * Numbers of the formats, all least byte first.  docs/dump-format.md.
 *
 * kdump-compressed as makedumpfile (diskdump_mod.h, print_info.c) and crash
 * (diskdump.h) have it, header version 6; offsets as on x86-64 and aarch64.
 */

#define KDUMP_SIGNATURE		"KDUMP   "
#define KDUMP_VERSION		6
#define KDUMP_HEADER_BYTES	464	/* of struct disk_dump_header */
#define KDUMP_AT_VERSION	8
#define KDUMP_AT_UTSNAME	12	/* six texts of 65 bytes */
#define KDUMP_UTSNAME_BYTES	65
#define KDUMP_AT_TIME		408
#define KDUMP_AT_STATUS		424
#define KDUMP_AT_BLOCK_SIZE	428
#define KDUMP_AT_SUB_BLOCKS	432
#define KDUMP_AT_BITMAP_BLOCKS	436
#define KDUMP_AT_MAX_MAPNR	440
#define KDUMP_AT_TOTAL_RAM	444
#define KDUMP_AT_WRITTEN	452
#define KDUMP_AT_CPUS		460

#define KDUMP_SUB_BYTES		104	/* of struct kdump_sub_header */
#define KDUMP_SUB_LEVEL		8
#define KDUMP_SUB_VMCOREINFO	32	/* offset, size */
#define KDUMP_SUB_NOTE		48	/* offset, size */
#define KDUMP_SUB_MAX_MAPNR	96

#define KDUMP_DESC_BYTES	24	/* of struct page_desc */
#define KDUMP_ZLIB		0x01u
#define KDUMP_LZO		0x02u
#define KDUMP_SNAPPY		0x04u
#define KDUMP_ZSTD		0x20u
#define KDUMP_INCOMPLETE	0x08u

/* A stream that is put in order when it is read: most byte first. */
#define FLAT_SIGNATURE		"makedumpfile"
#define FLAT_HEADER_BYTES	4096
#define FLAT_TYPE		1
#define FLAT_VERSION		1

/* Notes. */
#define NOTE_VMCOREINFO		"VMCOREINFO"
#define NOTE_COLDFRAME		"COLDFRAME"
#define NOTE_COLDFRAME_TYPE	1
#define COLDFRAME_VERSION_TEXT	1	/* of the note's lines */

#endif
