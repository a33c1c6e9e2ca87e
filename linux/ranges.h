/* SPDX-License-Identifier: MIT */
#ifndef LINUX_RANGES_H
#define LINUX_RANGES_H

#include "sysroot.h"

struct lx_range {
	uint64_t first, last;	/* pfn, half open */
};

/* Ranges in rising order that do not touch, once lx_ranges_sort() ran. */
struct lx_ranges {
	struct lx_range *range;
	size_t count, room;
};

#define LX_RANGES_MAX 65536

/**
 * lx_ranges_add() - put a range in; an empty one is left out.
 *
 * Return: 0, or -LX_EREAD: no memory, or more than LX_RANGES_MAX.
 */
int lx_ranges_add(struct lx_ranges *ranges, uint64_t first, uint64_t last,
		  struct lx_error *err);
void lx_ranges_sort(struct lx_ranges *ranges);
void lx_ranges_free(struct lx_ranges *ranges);

/**
 * lx_ranges_find() - the first range that ends behind a frame.
 *
 * Return: its index, or the number of ranges: there is none.
 */
size_t lx_ranges_find(const struct lx_ranges *ranges, uint64_t pfn);

/**
 * lx_iomem_ram() - which frames are system memory, by proc/iomem.
 * @ram:        starts as zeroes; give it back with lx_ranges_free()
 * @ret_hidden: the file hides its addresses, as the kernel does for a reader
 *              without privilege: @ram is empty and says nothing
 *
 * Memory of every kind counts, added later ("System RAM (virtio_mem)") or
 * not, in use or not.
 *
 * Return: 0, -LX_EMISSING, -LX_EREAD, or -LX_EFORMAT.
 */
int lx_iomem_ram(const char *root, struct lx_ranges *ram, bool *ret_hidden,
		 struct lx_error *err);

#endif
