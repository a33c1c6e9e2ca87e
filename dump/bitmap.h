/* SPDX-License-Identifier: MIT */
#ifndef DUMP_BITMAP_H
#define DUMP_BITMAP_H

/*
 * A bitmap that lies in a dump, and how many bits are set before each one.
 * It is read a page at a time, so that it may be as large as a machine.
 */

#include "info.h"

struct dump_file;
struct bitmap;

/* @bits bits at @offset of the file. 0, or -1 with @why. */
int bitmap_open(const struct dump_file *file, uint64_t offset, uint64_t bits,
		struct bitmap **ret_bitmap, struct dump_why *why);
void bitmap_close(struct bitmap *bitmap);

/* 1, 0, or -1: it cannot be read. @ret_rank: bits set before this one. */
int bitmap_get(const struct dump_file *file, struct bitmap *bitmap,
	       uint64_t bit, uint64_t *ret_rank, struct dump_why *why);

/* How many bits are set. */
uint64_t bitmap_count(const struct bitmap *bitmap);

#endif
