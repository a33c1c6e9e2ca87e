/* SPDX-License-Identifier: MIT */
#ifndef LINUX_ZONES_H
#define LINUX_ZONES_H

#include "sysroot.h"

/* A zone of proc/zoneinfo; all sizes in frames, below LX_COUNT_MAX. */
struct lx_zone {
	char name[24];
	uint64_t node;
	uint64_t start_pfn;
	uint64_t spanned, present, managed;
	uint64_t free, min, low, high;
	uint64_t cached;	/* free, in the lists of CPUs */
	uint64_t cpus;		/* that have such lists; 0: not known */
};

#define LX_ZONES_MAX 1024

struct lx_zones {
	struct lx_zone *zone;
	size_t count;
};

/**
 * lx_zones_read() - read proc/zoneinfo.
 * @zones: starts as zeroes; give it back with lx_zones_free()
 *
 * Lines that are not understood are passed over: every kernel adds some.
 *
 * Return: 0, -LX_EMISSING, -LX_EREAD, or -LX_EFORMAT.
 */
int lx_zones_read(const char *root, struct lx_zones *zones,
		  struct lx_error *err);
void lx_zones_free(struct lx_zones *zones);

/* Frames of all zones but Device, of which the allocator has none. */
void lx_zones_sum(const struct lx_zones *zones, uint64_t *ret_present,
		  uint64_t *ret_managed);

#endif
