/* SPDX-License-Identifier: MIT */
/*
 * Nonsense behind the arrays of a map.
 */
#include <stdio.h>

#include "core/internal.h"
#include "tests/unit/guard.h"

#define NONSENSE	0xa5
#define PAGE		4096

/* From @end to the end of its page: is it @value everywhere? */
static bool rest_of_page(void *end, bool lay, unsigned char value)
{
	unsigned char *at = end;
	bool holds = true;

	for (; (uintptr_t)at % PAGE != 0; at++) {
		if (lay)
			*at = value;
		holds = holds && *at == value;
	}
	return holds;
}

static bool each(struct cf_map *map, bool lay, unsigned char value)
{
	struct cfi_cache *cache = map->cpu[0].cache;
	const struct {
		const char *name;
		void *end;
	} ends[] = {
		{ "block", map->block + map->blocks_max },
		{ "zone", map->zone + map->zones },
		{ "cpu", map->cpu + map->config.cpus },
		{ "cache", cache + map->config.cpus * map->zones },
		{ "owner", map->owner + CF_OWNERS_MAX },
		{ "poison", map->poison + map->config.poison_max },
	};
	bool holds = true;
	unsigned i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (rest_of_page(ends[i].end, lay, value))
			continue;
		(void)printf("# something is written behind %s[]\n",
			     ends[i].name);
		holds = false;
	}
	return holds;
}

void guard_lay(struct cf_map *map)
{
	(void)each(map, true, NONSENSE);
}

bool guard_holds(struct cf_map *map)
{
	return each(map, false, NONSENSE);
}

bool guard_is_blank(struct cf_map *map)
{
	return each(map, false, 0);
}
