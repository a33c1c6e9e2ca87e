/* SPDX-License-Identifier: MIT */
/*
 * Round trip: whatever a scenario has made of a machine, its files as the
 * kernel would write them say the same as its own counters, read back by the
 * readers for real ones.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "linux/blocks.h"
#include "linux/counters.h"
#include "linux/kpf.h"
#include "linux/ranges.h"
#include "linux/words.h"
#include "linux/zones.h"
#include "machine/internal.h"
#include "session.h"

#define PFN_MAX		((cf_pfn)1 << 16)	/* a file of 512 KiB */

/* How many words have a bit, or are just that. */
struct count {
	uint64_t buddy, offline, never_onlined, slab, pgtable, lru, reserved,
		 nopage, poison_only, mute, all;
};

static void count_word(struct count *count, uint64_t word)
{
	count->all++;
	count->buddy += word == LX_CF(BUDDY);
	count->offline += !!(word & LX_CF(OFFLINE));
	count->never_onlined += (word & LX_CF(OFFLINE)) &&
				(word & LX_CF(DIRTY));
	count->slab += !!(word & LX_CF(SLAB));
	count->pgtable += !!(word & LX_CF(PGTABLE));
	count->lru += !!(word & LX_CF(LRU));
	count->reserved += !!(word & LX_CF(RESERVED));
	count->nopage += !!(word & LX_CF(NOPAGE));
	count->poison_only += (word & ~LX_KPF_COMPOUND) == LX_CF(HWPOISON);
	count->mute += !(word & ~LX_KPF_COMPOUND);
}

static void read_words(const char *root, struct count *count)
{
	struct lx_words flags, counts;
	struct lx_error err;
	uint64_t flag[512], refs[512];
	size_t got, same, i;

	HOLDS(!lx_words_open(&flags, root, "proc/kpageflags", &err));
	HOLDS(!lx_words_open(&counts, root, "proc/kpagecount", &err));
	HOLDS(flags.frames == counts.frames);
	do {
		HOLDS(!lx_words_read(&flags, flag, 512, &got, &err));
		HOLDS(!lx_words_read(&counts, refs, 512, &same, &err));
		HOLDS(got == same);
		for (i = 0; i < got; i++) {
			count_word(count, flag[i]);
			HOLDS(!refs[i] || flag[i] & LX_CF(LRU));
		}
	} while (got);
	lx_words_close(&flags);
	lx_words_close(&counts);
}

static void check_words(struct machine *machine, const char *root)
{
	struct count count = { .all = 0 };
	struct cf_stat stat;

	read_words(root, &count);
	cf_stat(machine->map, &stat);
	HOLDS(count.all == machine->added_last);
	HOLDS(count.all - count.nopage == stat.present);
	HOLDS(count.buddy == stat.free);
	HOLDS(count.offline == stat.offline);
	HOLDS(count.never_onlined == stat.never_onlined);
	HOLDS(count.slab == stat.by_type[CF_TYPE_SLAB]);
	HOLDS(count.pgtable == stat.by_type[CF_TYPE_PGTABLE]);
	HOLDS(count.lru == stat.by_type[CF_TYPE_FOLIO]);
	HOLDS(count.reserved == stat.reserved +
				stat.by_type[CF_TYPE_DEVICE]);
	/* Bad frames of the kernel's look like retired ones. */
	HOLDS(count.poison_only >= stat.retired);
	HOLDS(count.poison_only + count.mute == stat.retired +
	      stat.by_type[CF_TYPE_KERNEL]);
	HOLDS(!stat.cached);
}

static void check_blocks(struct machine *machine, const char *root)
{
	struct lx_blocks blocks = { .count = 0 };
	struct lx_ranges ram = { .count = 0 };
	struct cf_block_info info;
	struct lx_error err;
	uint64_t frames = 0;
	bool hidden;
	size_t i;

	HOLDS(!lx_blocks_read(root, &blocks, &err));
	HOLDS(!lx_iomem_ram(root, &ram, &hidden, &err) && !hidden);
	HOLDS(blocks.frames == machine->block_frames);
	for (i = 0; i < blocks.count; i++) {
		const struct lx_block *block = &blocks.block[i];

		HOLDS(!cf_block_info(machine->map, block->id * blocks.frames,
				     &info));
		HOLDS((block->state == LX_BLOCK_ONLINE) ==
		      (info.state == CF_BLOCK_ONLINE));
		HOLDS((block->state == LX_BLOCK_GOING_OFFLINE) ==
		      (info.state == CF_BLOCK_GOING_OFFLINE));
	}
	for (i = 0; i < ram.count; i++)
		frames += ram.range[i].last - ram.range[i].first;
	HOLDS(frames == blocks.count * blocks.frames);
	lx_ranges_free(&ram);
	lx_blocks_free(&blocks);
}

static void check_zones(struct machine *machine, const char *root)
{
	static const char *const names[CF_ZONE_COUNT] = {
		"Normal", "Movable", "Device",
	};
	struct lx_zones zones = { .count = 0 };
	struct cf_zone_stat stat;
	struct lx_error err;
	size_t i;

	HOLDS(!lx_zones_read(root, &zones, &err));
	HOLDS(zones.count == machine->map_config.nodes * CF_ZONE_COUNT);
	for (i = 0; i < zones.count; i++) {
		const struct lx_zone *zone = &zones.zone[i];
		enum cf_zone_kind kind =
			(enum cf_zone_kind)(i % CF_ZONE_COUNT);

		HOLDS(zone->node == i / CF_ZONE_COUNT);
		HOLDS(!strcmp(zone->name, names[kind]));
		if (!zone->spanned)
			continue;
		HOLDS(!cf_zone_stat(machine->map, (unsigned)zone->node, kind,
				    &stat));
		HOLDS(zone->free == stat.free && zone->min == stat.marks.min);
		HOLDS(zone->present == stat.present);
		HOLDS(zone->managed == stat.managed);
	}
	lx_zones_free(&zones);
}

static void check_counters(struct machine *machine, const char *root)
{
	struct lx_counter counter[] = {
		{ .name = "MemTotal" }, { .name = "MemFree" },
	};
	struct lx_error err;
	struct cf_stat stat;

	cf_stat(machine->map, &stat);
	HOLDS(!lx_counters_read(root, "proc/meminfo", counter, 2, &err));
	HOLDS(counter[0].found && counter[0].value == stat.managed * 4);
	HOLDS(counter[1].found &&
	      counter[1].value == (stat.free + stat.cached) * 4);
}

static void check_commands(const char *root)
{
	static const char *const words[][2] = {
		{ "types", "--json" }, { "map", "--cell=block" },
	};
	struct command_line line = { .count = 0 };
	size_t i;

	for (i = 0; i < 2; i++) {
		(void)command_add(&line, words[i][0]);
		(void)command_add(&line, words[i][1]);
		(void)command_add(&line, "--sysroot");
		(void)command_add(&line, root);
		HOLDS(command_run(&line, i ? cmd_map : cmd_types) == 0);
		HOLDS(i || command_said_json());
		command_free(&line);
	}
}

static void check_export(struct machine *machine)
{
	const char *root = fuzz_folder();
	char why[OUTCOME_TEXT_BYTES];

	HOLDS(!machine_export(machine, root, why, sizeof(why)));
	check_words(machine, root);
	check_blocks(machine, root);
	check_zones(machine, root);
	check_counters(machine, root);
	check_commands(root);
	fuzz_folder_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static struct session session;

	if (session_read(&session, bytes, count)) {
		session_run(&session);
		if (machine_is_on(session.machine) &&
		    session.machine->added_last > 0 &&
		    session.machine->added_last <= PFN_MAX)
			check_export(session.machine);
	}
	session_end(&session);
	return 0;
}
