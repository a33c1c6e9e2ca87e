/* SPDX-License-Identifier: MIT */
#ifndef DUMP_FORMATS_H
#define DUMP_FORMATS_H

/* What the readers of single formats do for file.c. */

#include "file.h"

#define NOTES_BYTES_MAX	((uint64_t)256 << 20)

int elf_file_open(struct dump_file *file, struct dump_why *why);
int elf_file_read(struct dump_file *file, uint64_t frame, void *memory,
	     struct dump_why *why);
int elf_file_has(const struct dump_file *file, uint64_t frame);

int kdump_file_open(struct dump_file *file, struct dump_why *why);
int kdump_file_read(struct dump_file *file, uint64_t frame, void *memory,
	       struct dump_why *why);

/* Read notes and keep those we know. 0, or -1 with @why. */
int notes_read(struct dump_file *file, uint64_t offset, uint64_t bytes,
	       struct dump_why *why);

#endif
