/* SPDX-License-Identifier: MIT */

/*
 * A thousand rounds of plugging and unplugging under load: sizes, data and
 * the device's mood are drawn; what folios hold is looked at in each round,
 * and that nothing of what is unplugged was touched.
 */

#include <stdlib.h>
#include <sys/mman.h>

#include "tests/virtio/scene.h"

#define ROUNDS		1000
#define REGION		(256 * MIB)

static unsigned seed = 1;

static unsigned draw(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

/* Not one frame of an unplugged device block may be in memory. */
static bool untouched(void)
{
	static unsigned char resident[512];
	cf_pfn step = s.config.device_block >> CF_FRAME_SHIFT, at;
	unsigned i;

	for (at = s.region_first; at < s.region_last; at += step) {
		if (model_mem_has(s.mem, at << CF_FRAME_SHIFT))
			continue;
		if (mincore(s.memory.base + at * CF_FRAME_BYTES,
			    step * CF_FRAME_BYTES, resident))
			return false;
		for (i = 0; i < step; i++)
			if (resident[i] & 1) {
				tap_print("# touched: %#llx\n",
					  (unsigned long long)(at + i));
				return false;
			}
	}
	return true;
}

/* Somebody else takes a block offline and brings it back. */
static void cycle_a_block(void)
{
	cf_pfn first = s.region_first + draw(8) * s.block;
	struct cf_block_info info;

	if (cf_block_info(s.map, first, &info) ||
	    info.state != CF_BLOCK_ONLINE)
		return;
	if (cf_block_offline(s.map, first, first + s.block, 4, NULL))
		return;
	if (draw(2))
		scene_mem_work();
	if (cf_block_info(s.map, first, &info) == 0)
		CHECK_EQ(cf_block_online(s.map, first, first + s.block,
					 draw(4) ? CF_ZONE_MOVABLE :
					 CF_ZONE_NORMAL, NULL), 0);
}

static void round_of(unsigned number)
{
	uint64_t size = draw((unsigned)(REGION / (2 * MIB)) + 1) * 2 * MIB;

	s.mem->migrating = draw(8) == 0;
	s.mem->refuse = draw(8) == 0;
	if (draw(4))
		(void)scene_resize(size);
	else
		/* Only begun, and then another size. */
		CHECK(model_mem_request(s.mem, size));
	if (draw(2))
		(void)data_add(1 + draw(1500), draw(3));
	if (draw(3) == 0)
		data_drop(draw(4000));
	if (draw(6) == 0 && s.data.count > 200)
		data_thin(2);
	if (draw(10) == 0)
		cycle_a_block();
	CHECK(data_check());
	if (number % 8 == 0)
		CHECK(scene_mem_check() && untouched());
}

static void rounds(struct scene_config config)
{
	struct cf_vmem_status status;
	unsigned number;

	if (!CHECK(scene_make(config) && scene_mem()))
		return;
	for (number = 0; number < ROUNDS && !tap.broken; number++)
		round_of(number);
	status = scene_mem_status();
	tap_print("# %u rounds, %llu requests, %llu NACK, %llu BUSY, %llu"
		  " folios moved\n", number,
		  (unsigned long long)status.requests,
		  (unsigned long long)status.nacks,
		  (unsigned long long)status.busies,
		  (unsigned long long)s.data.moved);
	s.mem->migrating = false;
	s.mem->refuse = false;
	data_drop(SCENE_FOLIOS);
	CHECK(scene_resize(0));
	CHECK(untouched());
	CHECK(scene_end());
}

static void soak(void)
{
	rounds((struct scene_config){ .boot_blocks = 3 });
}

/* A touch of what is not in use, by whomever, ends the program. */
static void soak_guarded(void)
{
	rounds((struct scene_config){ .boot_blocks = 3, .guarded = true });
}

static void soak_small(void)
{
	rounds((struct scene_config){
		.boot_blocks = 24, .block_order = 10, .caches = true,
	});
}

int main(int count, char **words)
{
	if (count > 1)
		seed = (unsigned)strtoul(words[1], NULL, 0);
	tap_print("# seed %u\n", seed);
	cf_host_enter();
	tap_run("a thousand rounds", soak);
	tap_run("a thousand rounds, unused memory guarded", soak_guarded);
	tap_run("a thousand rounds, blocks of 4 MiB", soak_small);
	return tap_done();
}
