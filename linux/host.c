/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <coldframe/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "counters.h"

#define ASSUMED_ORDER	15		/* 128 MiB */
#define ASSUMED_MAX	32768

struct reader {
	const char *root;
	struct lx_regions *regions;
	struct lx_error *err;
};

static struct lx_region *new_region(struct reader *reader)
{
	struct lx_regions *regions = reader->regions;
	struct lx_region *region = regions->region;
	size_t room = regions->room ? 2 * regions->room : 64;

	if (regions->count == LX_REGIONS_MAX)
		return NULL;
	if (regions->count == regions->room) {
		region = realloc(region, room * sizeof(*region));
		if (!region)
			return NULL;
		regions->region = region;
		regions->room = room;
	}
	return &region[regions->count++];
}

/* "  00100000-3ffdffff : System RAM": two blanks a level. */
static int read_region(void *context, char *line)
{
	struct reader *reader = context;
	size_t blanks = strspn(line, " ");
	struct lx_region *region;
	uint64_t first, last;
	const char *at;

	if (!lx_number(line + blanks, 16, &at, &first) || *at != '-' ||
	    !lx_number(at + 1, 16, &at, &last) || strncmp(at, " : ", 3) ||
	    last < first)
		return lx_fail(reader->err, LX_EFORMAT, "%s: proc/iomem: not "
			       "\"first-last : name\": %.80s", reader->root,
			       line);
	region = new_region(reader);
	if (!region)
		return lx_fail(reader->err, LX_EREAD, "%s: proc/iomem: more "
			       "than %d lines", reader->root, LX_REGIONS_MAX);
	region->first = first >> CF_FRAME_SHIFT;
	region->last = (last >> CF_FRAME_SHIFT) + 1;
	region->bytes = last - first + 1;
	region->depth = (unsigned int)blanks / 2;
	snprintf(region->name, sizeof(region->name), "%s", at + 3);
	lx_clean(region->name);
	return 0;
}

int lx_regions_read(const char *root, struct lx_regions *regions,
		    struct lx_error *err)
{
	struct reader reader = { root, regions, err };
	int ret = lx_lines(root, "proc/iomem", read_region, &reader, err);

	if (ret)
		lx_regions_free(regions);
	return ret;
}

void lx_regions_free(struct lx_regions *regions)
{
	free(regions->region);
	*regions = (struct lx_regions){ .count = 0 };
}

const struct lx_region *lx_regions_find(const struct lx_regions *regions,
					const char *name, uint64_t first,
					uint64_t last)
{
	const struct lx_region *found = NULL;
	size_t i;

	for (i = 0; i < regions->count; i++) {
		const struct lx_region *region = &regions->region[i];

		if (region->last <= first || region->first >= last ||
		    strncmp(region->name, name, strlen(name)))
			continue;
		if (!found || region->depth > found->depth)
			found = region;
	}
	return found;
}

/* Files that are not there, or not for this user, are no failure here. */
static bool is_known(int *ret)
{
	if (*ret == -LX_EMISSING || *ret == -LX_EDENIED) {
		*ret = 0;
		return false;
	}
	return !*ret;
}

static int read_blocks(struct lx_host *host, struct lx_error *err)
{
	int ret = lx_blocks_read(host->root, &host->blocks, err);

	host->hotplug = is_known(&ret);
	if (ret || !host->hotplug)
		return ret;
	return lx_blocks_place(host->root, &host->blocks, err);
}

static int read_ranges(struct lx_host *host, struct lx_error *err)
{
	bool hidden = false;
	int ret = lx_iomem_ram(host->root, &host->ram, &hidden, err);

	host->has_ram = is_known(&ret) && !hidden && host->ram.count;
	if (ret || !host->has_ram)
		return ret;
	return lx_regions_read(host->root, &host->regions, err);
}

/* "6.18.44-distro": what cannot be read so is not known. */
static void read_release(struct lx_host *host)
{
	char line[LX_LINE_BYTES];
	uint64_t major, minor;
	struct lx_error err;
	const char *at;

	if (lx_first_line(host->root, "proc/sys/kernel/osrelease", line, &err))
		return;
	snprintf(host->release, sizeof(host->release), "%.63s", line);
	if (!lx_number(line, 10, &at, &major) || *at != '.' ||
	    !lx_number(at + 1, 10, &at, &minor) || major > 255 || minor > 255)
		return;
	host->version = LX_VERSION((unsigned int)major, (unsigned int)minor);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static int read_events(struct lx_host *host, struct lx_error *err)
{
	struct lx_counter event[] = {
		{ .name = "balloon_inflate" },
		{ .name = "balloon_deflate" },
		{ .name = "balloon_migrate" },
		{ .name = "nr_balloon_pages" },
		{ .name = "nr_foll_pin_acquired" },
		{ .name = "nr_foll_pin_released" },
	};
	int ret = lx_counters_read(host->root, "proc/vmstat", event, 6, err);

	if (!is_known(&ret))
		return ret;
	host->has_balloon = event[3].found ||
			    (event[0].found && event[1].found);
	host->balloon = event[3].found ? event[3].value :
			host->has_balloon ? minus(event[0].value,
						  event[1].value) : 0;
	host->balloon_moves = event[2].found;
	host->has_pins = event[4].found && event[5].found;
	if (host->has_pins)
		host->pins = minus(event[4].value, event[5].value);
	if (host->balloon < LX_COUNT_MAX && host->pins < LX_COUNT_MAX)
		return 0;
	return lx_fail(err, LX_EFORMAT, "%s: proc/vmstat: more frames in a "
		       "balloon or pinned than any machine has", host->root);
}

/*
 * While the kernel initialises memory, MemTotal has all of it from the start,
 * and the zones manage what is done.
 */
static int read_raw(struct lx_host *host, struct lx_error *err)
{
	struct lx_counter total = { .name = "MemTotal" };
	int ret = lx_counters_read(host->root, "proc/meminfo", &total, 1, err);
	uint64_t present, managed;

	if (!is_known(&ret) || !total.found || !host->zones.count)
		return ret;
	lx_zones_sum(&host->zones, &present, &managed);
	host->has_raw = true;
	host->raw = minus(total.value / (CF_FRAME_BYTES / 1024), managed);
	return 0;
}

int lx_host_read(const char *root, struct lx_host *host, struct lx_error *err)
{
	const struct lx_mount *mount = lx_mount_find(root);
	int ret;

	host->root = root;
	host->whole = !mount || mount->whole;
	host->addresses = !mount || mount->addresses;
	ret = read_blocks(host, err);
	if (!ret)
		ret = read_ranges(host, err);
	if (!ret) {
		ret = lx_zones_read(root, &host->zones, err);
		(void)is_known(&ret);
	}
	if (!ret)
		ret = read_events(host, err);
	if (!ret)
		ret = read_raw(host, err);
	read_release(host);
	if (ret)
		lx_host_free(host);
	return ret;
}

void lx_host_free(struct lx_host *host)
{
	lx_blocks_free(&host->blocks);
	lx_ranges_free(&host->ram);
	lx_regions_free(&host->regions);
	lx_zones_free(&host->zones);
}

static bool has_ram_in(const struct lx_host *host, uint64_t first,
		       uint64_t last)
{
	size_t i = lx_ranges_find(&host->ram, first);

	return !host->has_ram || (i < host->ram.count &&
				  host->ram.range[i].first < last);
}

int lx_host_assume(struct lx_host *host, uint64_t last, struct lx_error *err)
{
	unsigned int order = ASSUMED_ORDER;
	struct lx_blocks *blocks = &host->blocks;
	uint64_t id, count;

	while (last >> order >= ASSUMED_MAX && order < LX_BLOCK_ORDER_MAX)
		order++;
	count = last >> order;
	count += last != count << order;
	if (count > ASSUMED_MAX)
		return lx_fail(err, LX_EFORMAT, "%s: more frames than any "
			       "machine has", host->root);
	lx_blocks_free(blocks);
	blocks->block = calloc(count ? count : 1, sizeof(*blocks->block));
	if (!blocks->block)
		return lx_fail(err, LX_EREAD, "out of memory");
	blocks->frames = UINT64_C(1) << order;
	host->assumed = true;
	for (id = 0; id < count; id++) {
		if (!has_ram_in(host, id << order, (id + 1) << order))
			continue;
		blocks->block[blocks->count++] = (struct lx_block){
			.id = id,
			.state = LX_BLOCK_UNKNOWN,
			.node = LX_NODE_UNKNOWN,
		};
	}
	return 0;
}

const struct lx_zone *lx_host_zone(const struct lx_host *host,
				   const struct lx_block *block)
{
	const struct lx_zone *found = NULL;
	size_t i;

	for (i = 0; i < host->zones.count; i++) {
		const struct lx_zone *zone = &host->zones.zone[i];

		if (strcmp(zone->name, lx_block_zone_name(block->zone)))
			continue;
		if (block->node >= 0 && zone->node == (uint64_t)block->node)
			return zone;
		if (block->node < 0 && found)
			return NULL;
		found = block->node < 0 ? zone : NULL;
	}
	return found;
}

uint64_t lx_host_end(const struct lx_host *host)
{
	const struct lx_blocks *blocks = &host->blocks;

	if (blocks->count)
		return (blocks->block[blocks->count - 1].id + 1) *
		       blocks->frames;
	if (host->has_ram)
		return host->ram.range[host->ram.count - 1].last;
	return 0;
}
