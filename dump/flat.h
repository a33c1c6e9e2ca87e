/* SPDX-License-Identifier: MIT */
#ifndef DUMP_FLAT_H
#define DUMP_FLAT_H

/* Flattened files: records of bytes with the place where they belong. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "info.h"

struct flat;

/* 1: it is flattened and its records are known; 0: it is not; -1: @why. */
int flat_open(int fd, uint64_t file_bytes, struct flat **ret_flat,
	      struct dump_why *why);
void flat_close(struct flat *flat);

/* One past the highest byte. */
uint64_t flat_bytes(const struct flat *flat);

/* The first offset from @offset on that a record has. */
uint64_t flat_next(const struct flat *flat, uint64_t offset);

/* Bytes where no record is are 0. 0, or -1: it cannot be read. */
int flat_read(const struct flat *flat, int fd, uint64_t offset, void *memory,
	      size_t bytes);

/* All of them, or -1. */
int read_at(int fd, uint64_t offset, void *memory, size_t bytes);

#endif
