/* SPDX-License-Identifier: MIT */

/*
 * How long it takes to plug, unplug, inflate and deflate: no test, numbers.
 *
 * usage: virtio-speed
 */

#include <time.h>

#include "tests/virtio/scene.h"

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void plugging(uint64_t gib, bool touch)
{
	struct scene_config config = {
		.block_order = CF_BLOCK_ORDER_MAX,
		.boot_blocks = 2,
		.region = gib << 30,
	};
	uint64_t requests;
	double start, up, down;
	cf_pfn pfn;

	if (!scene_make(config) || !scene_mem())
		return;
	start = seconds();
	if (!scene_resize(gib << 30))
		return;
	up = seconds() - start;
	requests = scene_mem_status().requests;
	for (pfn = s.region_first; touch && pfn < s.region_last; pfn++)
		s.memory.base[pfn * CF_FRAME_BYTES] = 1;
	start = seconds();
	if (!scene_resize(0))
		return;
	down = seconds() - start;
	printf("%2llu GiB%s: plug %.6f s, %llu requests; unplug %.6f s, %llu"
	       " requests; %.1f us per 2 MiB\n", (unsigned long long)gib,
	       touch ? ", touched" : "", up, (unsigned long long)requests,
	       down, (unsigned long long)(scene_mem_status().requests -
					  requests),
	       (up + down) * 1e6 / (double)(gib * 512));
	scene_end();
}

static void ballooning(bool small)
{
	struct scene_config config = {
		.block_order = CF_BLOCK_ORDER_MAX,
		.boot_blocks = 32,
		.region = 128 * MIB,
		.balloon.small = small,
	};
	uint64_t frames = 3 * (uint64_t)1024 * MIB_FRAMES;
	double start, up, down;
	cf_pfn pfn;

	if (!scene_make(config) || !scene_balloon())
		return;
	/* Not where the queues are. */
	for (pfn = 1024; pfn < s.boot_last; pfn++)
		s.memory.base[pfn * CF_FRAME_BYTES] = 1;
	start = seconds();
	if (!scene_balloon_size(frames))
		return;
	up = seconds() - start;
	start = seconds();
	if (!scene_balloon_size(0))
		return;
	down = seconds() - start;
	printf("balloon, %s: inflate %.2f GiB/s, deflate %.2f GiB/s\n",
	       small ? "single frames" : "2 MiB runs", 3 / up, 3 / down);
	scene_end();
}

int main(void)
{
	const uint64_t sizes[] = { 1, 4, 16, 1024 };
	unsigned i;

	cf_host_enter();
	for (i = 0; i < 4; i++)
		plugging(sizes[i], false);
	plugging(1, true);
	plugging(4, true);
	ballooning(false);
	ballooning(true);
	return 0;
}
