/* SPDX-License-Identifier: MIT */

#include "ground.h"

#include <stdio.h>

#define FRAME_BYTES 8

struct cf_map *ground_map;

void *ground_meta(unsigned blocks)
{
	return explore_memory(cf_block_meta_bytes(ground_map, blocks));
}

static void add_and_online(unsigned blocks, unsigned online)
{
	struct cf_block_config config = { .meta = CF_META_CALLER };
	unsigned i;

	for (i = 0; i < online && i < blocks; i++) {
		config.memory = ground_meta(1);
		explore_name(config.memory, cf_block_meta_bytes(ground_map, 1),
			     "metadata of block", i);
		MUST(cf_block_add(ground_map, i * GROUND_BLOCK,
				  (i + 1) * GROUND_BLOCK, &config));
		MUST(cf_block_online(ground_map, i * GROUND_BLOCK,
				     (i + 1) * GROUND_BLOCK, CF_ZONE_NORMAL,
				     NULL));
	}
}

struct cf_map *ground_init(struct ground_config config)
{
	struct explore_machine *machine;
	struct cf_map_config map_config = {
		.cpus = 3,
		.block_order = GROUND_BLOCK_ORDER,
		.fenced = !config.unfenced,
		.no_caches = !config.caches,
		.poison_max = config.poison_max,
	};
	void *storage;

	if (config.blocks == 0)
		config.blocks = 1;
	if (config.online == 0)
		config.online = 1;
	explore_port_init();
	machine = explore_port_machine();
	machine->frames = config.blocks * GROUND_BLOCK;
	machine->frame_bytes = FRAME_BYTES;
	machine->contents = explore_memory(machine->frames * FRAME_BYTES);
	explore_name(machine->contents, machine->frames * FRAME_BYTES,
		     "contents of frames", -1);
	map_config.last = machine->frames;
	storage = explore_memory(cf_map_bytes(&map_config));
	explore_name(storage, cf_map_bytes(&map_config), "map", -1);
	MUST(cf_map_create(&map_config, storage, &ground_map));
	add_and_online(config.blocks, config.online);
	return ground_map;
}

cf_pfn ground_alloc(enum cf_type type, unsigned order, uint32_t owner)
{
	struct cf_request request = {
		.type = (uint8_t)type,
		.order = (uint8_t)order,
		.owner = (uint16_t)owner,
	};
	cf_pfn pfn;

	MUST(cf_alloc(ground_map, request, &pfn));
	return pfn;
}

void ground_verify(void)
{
	struct cf_finding finding;
	char text[128];

	if (cf_verify(ground_map, &finding))
		return;
	snprintf(text, sizeof(text), "verify: %s at frame 0x%llx, %llu for "
		 "%llu", cf_finding_name(finding.kind),
		 (unsigned long long)finding.pfn,
		 (unsigned long long)finding.found,
		 (unsigned long long)finding.expected);
	explore_fail(text, __FILE__, __LINE__);
}

uint64_t *ground_contents(cf_pfn pfn)
{
	char *contents = explore_port_machine()->contents;

	return (uint64_t *)(void *)(contents + pfn * FRAME_BYTES);
}
