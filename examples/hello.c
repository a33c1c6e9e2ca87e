/* SPDX-License-Identifier: MIT */
#include <coldframe/coldframe.h>
#include <coldframe/host.h>
#include <stdio.h>

int main(void)
{
	const struct cf_host_config frames = { .last = 65536 };	/* 256 MiB */
	const struct cf_map_config config = { .cpus = 1 };
	const struct cf_block_config block = { .meta = CF_META_PORT };
	const struct cf_request request = { .type = CF_TYPE_KERNEL };
	struct cf_host_memory memory;
	struct cf_map *map;
	cf_pfn pfn;

	if (cf_host_memory_create(&frames, &memory) ||
	    cf_host_map_create(&memory, &config, &map) ||
	    cf_block_add(map, 0, 65536, &block) ||
	    cf_block_online(map, 0, 65536, CF_ZONE_NORMAL, NULL) ||
	    cf_alloc(map, request, &pfn))
		return 1;
	printf("one of 65536 frames: %llu\n", (unsigned long long)pfn);
	cf_put(map, pfn);
	return 0;
}
