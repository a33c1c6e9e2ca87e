/* SPDX-License-Identifier: MIT */
#ifndef LINUX_HOST_H
#define LINUX_HOST_H

#include "blocks.h"
#include "ranges.h"
#include "zones.h"

/* A line of proc/iomem. */
struct lx_region {
	uint64_t first, last;		/* frames, widened, half open */
	uint64_t bytes;			/* as in the file */
	unsigned int depth;		/* 0: the outermost */
	char name[48];			/* cut */
};

#define LX_REGIONS_MAX	16384

struct lx_regions {
	struct lx_region *region;
	size_t count, room;
};

/**
 * lx_regions_read() - read all of proc/iomem.
 * @regions: starts as zeroes; give it back with lx_regions_free()
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD, or -LX_EFORMAT.
 */
int lx_regions_read(const char *root, struct lx_regions *regions,
		    struct lx_error *err);
void lx_regions_free(struct lx_regions *regions);

/**
 * lx_regions_find() - the innermost region of a name that touches frames.
 * @name: how the name begins
 * Return: NULL: there is none.
 */
const struct lx_region *lx_regions_find(const struct lx_regions *regions,
					const char *name, uint64_t first,
					uint64_t last);

/* A release of Linux as a number that can be compared. */
#define LX_VERSION(major, minor) ((major) << 8 | (minor))

/*
 * What is known about a host beside the words of its frames.  What a file
 * would tell that is not there is not known; nothing is guessed.
 */
struct lx_host {
	const char *root;
	struct lx_blocks blocks;
	bool assumed;			/* blocks: of a size somebody chose */
	bool hotplug;			/* the kernel has memory blocks */
	struct lx_ranges ram;
	bool has_ram;			/* ram is known */
	struct lx_regions regions;
	struct lx_zones zones;
	unsigned int version;		/* LX_VERSION(); 0: not known */
	char release[64];		/* as the kernel says it */
	uint64_t raw;			/* frames that MemTotal counts and no
					   zone manages: not initialised */
	bool has_raw;
	uint64_t balloon;		/* frames in a balloon */
	bool has_balloon, balloon_moves;
	uint64_t pins;			/* frames pinned now, over all */
	bool has_pins;
	bool whole;			/* not a copy of kpageflags alone */
	bool addresses;			/* frames stand where they were */
};

/**
 * lx_host_read() - learn what a root tells about its memory.
 * @host: starts as zeroes; give it back with lx_host_free()
 *
 * Return: 0, also when files are missing; -LX_EREAD or -LX_EFORMAT: a file
 *         that is there is wrong.
 */
int lx_host_read(const char *root, struct lx_host *host, struct lx_error *err);
void lx_host_free(struct lx_host *host);

/**
 * lx_host_assume() - cut frames into blocks where no file tells of blocks.
 * @last: the frame after the last
 *
 * Of 128 MiB, or larger so that there are not more than 32768. Their state is
 * not known.
 *
 * Return: 0, or -LX_EREAD.
 */
int lx_host_assume(struct lx_host *host, uint64_t last, struct lx_error *err);

/* The zone of proc/zoneinfo that a block belongs to; NULL: not known. */
const struct lx_zone *lx_host_zone(const struct lx_host *host,
				   const struct lx_block *block);

/* The frame behind the last that is known to be memory; 0: not known. */
uint64_t lx_host_end(const struct lx_host *host);

#endif
