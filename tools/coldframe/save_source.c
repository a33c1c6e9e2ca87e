/* SPDX-License-Identifier: MIT */
/* Contents for a save: the filter of dumps decides what may be read. */
#include "dump/filter.h"
#include "save_source.h"

/* In use by somebody who lets others read it, or of a device. */
#define SAVED								\
	(DUMP_BIT(DUMP_KERNEL) | DUMP_BIT(DUMP_USER) |			\
	 DUMP_BIT(DUMP_CACHE) | DUMP_BIT(DUMP_CACHE_PRIVATE) |		\
	 DUMP_BIT(DUMP_DEVICE))

/* In use, and nobody's to read. */
#define LEFT_OUT	(DUMP_BIT(DUMP_RETIRED) | DUMP_BIT(DUMP_PRIVATE))

static enum save_seen seen_of(uint8_t class)
{
	if (SAVED >> class & 1)
		return SAVE_SEEN_DATA;
	if (class == DUMP_ZERO)
		return SAVE_SEEN_ZERO;
	if (class == DUMP_UNMAPPED)
		return SAVE_SEEN_UNMAPPED;
	return LEFT_OUT >> class & 1 ? SAVE_SEEN_NEVER : SAVE_SEEN_GONE;
}

static void read_window(void *context, struct cf_map *map, cf_pfn first,
			unsigned count, void *memory, uint8_t *ret_seen)
{
	struct dump_window window = { .first = first, .count = count };
	struct dump_filter filter;
	unsigned i;

	(void)context;
	dump_filter_init(&filter, map, SAVED);
	(void)dump_filter_read(&filter, &window, memory);
	for (i = 0; i < count; i++)
		ret_seen[i] = (uint8_t)seen_of(window.class[i]);
}

const struct save_source save_source = { .read = read_window };
