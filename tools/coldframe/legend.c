/* SPDX-License-Identifier: MIT */
#include "legend.h"

#include <inttypes.h>

#include "common.h"
#include "linux/counters.h"
#include "linux/zones.h"

static const char *const meanings[LX_KIND_COUNT] = {
	[LX_KIND_FREE]		= "free",
	[LX_KIND_USER]		= "of programs and files, movable",
	[LX_KIND_KERNEL]	= "kernel, and all else in use",
	[LX_KIND_SLAB]		= "slab",
	[LX_KIND_PGTABLE]	= "page tables",
	[LX_KIND_RESERVED]	= "reserved",
	[LX_KIND_OFFLINE]	= "logically offline",
	[LX_KIND_NEVER_ONLINED]	= "logically offline, never onlined",
	[LX_KIND_BALLOON]	= "logically offline, movable",
	[LX_KIND_POISON]	= "bad, retired",
	[LX_KIND_BLOCK_OFFLINE]	= "in a block that is offline",
	[LX_KIND_UNKNOWN]	= "in a block that is in use: not known",
	[LX_KIND_ABSENT]	= "no memory",
};

const char *legend_meaning(enum lx_kind kind)
{
	return meanings[kind];
}

void legend_add(struct legend *legend, const struct cell *cell)
{
	enum lx_kind kind;
	bool whole;

	for (kind = LX_KIND_FREE; kind < LX_KIND_COUNT; kind++)
		legend->kind[kind] += cell->kind[kind];
	(void)cell_kind(cell, &whole);
	legend->mixed |= !whole;
}

static uint64_t memory_frames(const struct legend *legend)
{
	uint64_t frames = 0;
	enum lx_kind kind;

	for (kind = LX_KIND_FREE; kind < LX_KIND_ABSENT; kind++)
		frames += legend->kind[kind];
	return frames;
}

static void print_kind(const struct legend *legend, enum lx_kind kind,
		       uint64_t memory)
{
	uint64_t frames = legend->kind[kind];
	char size[24];

	picture_sign(legend->picture, kind, true);
	printf(" %12" PRIu64 " %10s ", frames,
	       common_bytes(frames << CF_FRAME_SHIFT, size));
	if (kind == LX_KIND_ABSENT)
		printf("%8s", "");
	else
		printf("%6.1f %%", 100.0 * (double)frames / (double)memory);
	printf("  %s\n", meanings[kind]);
}

static void print_kinds(const struct legend *legend)
{
	uint64_t memory = memory_frames(legend);
	enum lx_kind kind;
	char size[24];

	printf("%14s %10s %8s\n", "frames", "size", "share");
	for (kind = LX_KIND_FREE; kind < LX_KIND_COUNT; kind++) {
		if (legend->kind[kind])
			print_kind(legend, kind, memory);
	}
	printf("  %12" PRIu64 " %10s %8s  memory in all\n", memory,
	       common_bytes(memory << CF_FRAME_SHIFT, size), "");
	if (!legend->mixed)
		return;
	puts("A small letter (f: free, ~: =) is a mixed cell, by what most of "
	     "it is.");
	if (legend->kind[LX_KIND_POISON])
		puts("x: at least one bad frame.");
}

static void print_blocks(const struct lx_blocks *blocks)
{
	static const char *const words[LX_BLOCK_STATE_COUNT] = {
		[LX_BLOCK_ONLINE] = "online",
		[LX_BLOCK_OFFLINE] = "offline",
		[LX_BLOCK_GOING_OFFLINE] = "going offline",
		[LX_BLOCK_UNKNOWN] = "in an unknown state",
	};
	unsigned int state;
	size_t count;
	char size[24];

	printf("Blocks of %s:", common_bytes(blocks->frames << CF_FRAME_SHIFT,
					     size));
	for (state = 0; state < LX_BLOCK_STATE_COUNT; state++) {
		count = lx_blocks_count(blocks, (enum lx_block_state)state);
		if (count)
			printf(" %zu %s,", count, words[state]);
	}
	printf(" %zu in all.\n", blocks->count);
}

static void print_zones(const struct lx_zones *zones)
{
	char size[5][24];
	size_t i;

	printf("%4s %-8s %-12s %10s %10s %10s %10s\n", "node", "zone", "from",
	       "spanned", "present", "managed", "free");
	for (i = 0; i < zones->count; i++) {
		const struct lx_zone *zone = &zones->zone[i];

		if (!zone->spanned)
			continue;
		snprintf(size[4], sizeof(size[4]), "0x%" PRIx64,
			 zone->start_pfn << CF_FRAME_SHIFT);
		printf("%4" PRIu64 " %-8s %-12s %10s %10s %10s %10s\n",
		       zone->node, zone->name, size[4],
		       common_bytes(zone->spanned << CF_FRAME_SHIFT, size[0]),
		       common_bytes(zone->present << CF_FRAME_SHIFT, size[1]),
		       common_bytes(zone->managed << CF_FRAME_SHIFT, size[2]),
		       common_bytes(zone->free << CF_FRAME_SHIFT, size[3]));
	}
}

/* A file that is not in the capture is no failure. */
static int unless_missing(int ret)
{
	return ret == -LX_EMISSING ? 0 : ret;
}

static int print_zoneinfo(const char *sysroot, struct lx_error *err)
{
	struct lx_zones zones = { .count = 0 };
	int ret = lx_zones_read(sysroot, &zones, err);

	if (ret)
		return unless_missing(ret);
	if (zones.count)
		print_zones(&zones);
	lx_zones_free(&zones);
	return 0;
}

static int print_meminfo(const char *sysroot, struct lx_error *err)
{
	struct lx_counter counter[] = {
		{ .name = "MemTotal" },
		{ .name = "MemFree" },
		{ .name = "HardwareCorrupted" },
	};
	size_t i;
	char size[24];
	int ret;

	ret = lx_counters_read(sysroot, "proc/meminfo", counter, 3, err);
	if (ret)
		return unless_missing(ret);
	for (i = 0; i < 3; i++) {
		if (counter[i].found && counter[i].value <= UINT64_MAX >> 10)
			printf("%s %s\n", counter[i].name, common_bytes(
				counter[i].value << 10, size));
	}
	return 0;
}

static int print_vmstat(const char *sysroot, struct lx_error *err)
{
	struct lx_counter counter[] = {
		{ .name = "balloon_inflate" },
		{ .name = "balloon_deflate" },
	};
	uint64_t frames;
	char size[24];
	int ret;

	ret = lx_counters_read(sysroot, "proc/vmstat", counter, 2, err);
	if (ret)
		return unless_missing(ret);
	frames = counter[0].value - counter[1].value;
	if (counter[0].found && counter[1].found &&
	    counter[0].value > counter[1].value && frames < CF_PFN_LIMIT)
		printf("Balloon %s\n", common_bytes(frames << CF_FRAME_SHIFT,
						    size));
	return 0;
}

int legend_print(const struct legend *legend, struct lx_error *err)
{
	int ret;

	putchar('\n');
	print_kinds(legend);
	putchar('\n');
	if (legend->place->has_blocks)
		print_blocks(&legend->place->blocks);
	ret = print_zoneinfo(legend->sysroot, err);
	if (!ret)
		ret = print_meminfo(legend->sysroot, err);
	if (!ret)
		ret = print_vmstat(legend->sysroot, err);
	return ret;
}
