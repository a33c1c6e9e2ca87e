/* SPDX-License-Identifier: MIT */
/*
 * Nonsense behind the arrays of a map.
 * An entry of cpu[] there looks as if one could enter.
 */
#include <stdio.h>

#include "core/internal.h"
#include "tests/unit/guard.h"

#define NONSENSE	0xa5
#define PAGE		4096

static unsigned char nonsense_at(const unsigned char *at,
				 const struct cfi_cpu *cpu)
{
	const unsigned char *first;

	if (!cpu)
		return NONSENSE;
	first = (const unsigned char *)&cpu->busy;
	return at >= first && at < first + 2 * sizeof(cpu->busy) ? 0 : NONSENSE;
}

/* From @end to the end of its page; @cpu: what could stand there, or NULL. */
static bool rest_of_page(void *end, const struct cfi_cpu *cpu, bool lay)
{
	unsigned char *at = end;
	bool holds = true;

	for (; (uintptr_t)at % PAGE != 0; at++) {
		if (lay)
			*at = nonsense_at(at, cpu);
		holds = holds && *at == nonsense_at(at, cpu);
	}
	return holds;
}

static bool each(struct cf_map *map, bool lay)
{
	struct cfi_cpu *cpu_end = map->cpu + map->config.cpus;
	struct cfi_cache *cache = map->cpu[0].cache;
	const struct {
		const char *name;
		void *end;
		const struct cfi_cpu *cpu;
	} ends[] = {
		{ "block", map->block + map->blocks_max, NULL },
		{ "zone", map->zone + map->zones, NULL },
		{ "cpu", cpu_end, cpu_end },
		{ "cache", cache + map->config.cpus * map->zones, NULL },
		{ "owner", map->owner + CF_OWNERS_MAX, NULL },
		{ "poison", map->poison + map->config.poison_max, NULL },
	};
	bool holds = true;
	unsigned i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (rest_of_page(ends[i].end, ends[i].cpu, lay))
			continue;
		(void)printf("# something is written behind %s[]\n",
			     ends[i].name);
		holds = false;
	}
	return holds;
}

void guard_lay(struct cf_map *map)
{
	(void)each(map, true);
}

bool guard_holds(struct cf_map *map)
{
	return each(map, false);
}
