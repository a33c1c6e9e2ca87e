/* SPDX-License-Identifier: MIT */
/*
 * All reference owners in one map, each used by a thread of its own, while
 * blocks go and come back, frames fail, memory is compacted, and others take
 * references by number and read what they may.  Threads at full speed.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dump/filter.h"
#include "owners/daxfile.h"
#include "owners/devmem.h"
#include "owners/elastic/elastic.h"
#include "owners/guestmem.h"
#include "owners/hugepool.h"
#include "owners/rawdev.h"
#include "race.h"

#define BLOCKS		12	/* the last six are devices', two each */
#define DEVICE_BLOCKS	2
#define DEVICES		3
#define BAD_MAX		16	/* frames that fail, of any memory */
#define GUEST_PAGES	32
#define OBJECTS		100
#define OWN_PAGES	8
#define FILE_PAGES	16
#define TURNS_MAX	40

static struct race race;
static cf_pfn devices;		/* where their memory begins */
static struct hugepool *pool;
static struct guestmem *guest;
static struct elastic *elastic;
static struct devmem *driver;
static struct daxfile *store;
static struct rawdev *bridge;
static void *room[5];

/* ---- runs of 2 MiB ---- */

static void use_pool(struct racer *racer)
{
	while (race_on(racer)) {
		uint32_t now;
		cf_pfn pfn;
		int err = hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY, 0,
					 &pfn);

		RACE_CHECK(&race, !err || err == -CF_EAGAIN ||
				  err == -CF_ENOMEM);
		if (!err) {
			race_take(&race, pfn, CF_CHUNK_ORDER, HOLDER_RUN);
			race_write(&race, pfn, 0, racer->done);
			RACE_CHECK(&race, race_read(&race, pfn, 0,
						    racer->done));
			race_give(&race, pfn, CF_CHUNK_ORDER, HOLDER_RUN);
			cf_put(race.map, pfn);
		}
		err = hugepool_resize(pool, HUGEPOOL_2M, 0,
				      race_random(racer, 4), &now);
		RACE_CHECK(&race, !err || err == -CF_ENOMEM);
	}
}

/* ---- pages of a guest ---- */

static int agree(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return 0;
}

static const struct guestmem_firmware firmware = {
	.make_private = agree, .make_shared = agree,
};

static void convert(uint64_t first, uint64_t last)
{
	struct guestmem_conversion conversion = { .going = false };
	unsigned steps = 0;
	uint64_t done;

	if (!guestmem_convert_start(guest, &conversion, first, last))
		while (guestmem_convert_step(&conversion, NULL) &&
		       steps++ < 20)
			(void)sched_yield();
	while (conversion.going && guestmem_convert_cancel(&conversion))
		(void)sched_yield();
	(void)!guestmem_share(guest, first, last, &done);
}

static void use_guest(struct racer *racer)
{
	while (race_on(racer)) {
		uint64_t page = race_random(racer, GUEST_PAGES);
		cf_pfn pfn;

		if (!guestmem_get(guest, page, "vmm", &pfn)) {
			RACE_CHECK(&race, race_mark(&race, pfn) == page + 1);
			RACE_CHECK(&race, !guestmem_put(guest, page, "vmm"));
		}
		if (race_random(racer, 4) == 0)
			convert(page, page + 1 + race_random(
				racer, (uint32_t)(GUEST_PAGES - page)));
	}
}

/* ---- objects ---- */

static void use_object(struct racer *racer, elastic_handle *handle,
		       unsigned char mark)
{
	size_t bytes = 1 + race_random(racer, mark % 8 ? 400 : 9000);
	unsigned char *memory;

	if (!*handle) {
		if (elastic_alloc(elastic, bytes, handle))
			return;
		memory = elastic_lock(elastic, *handle);
		memset(memory, mark, bytes);
	} else {
		bytes = elastic_bytes(elastic, *handle);
		memory = elastic_lock(elastic, *handle);
		RACE_CHECK(&race, memory[0] == mark &&
				  memory[bytes - 1] == mark);
	}
	RACE_CHECK(&race, !elastic_unlock(elastic, *handle));
	if (race_random(racer, 3))
		return;
	RACE_CHECK(&race, !elastic_free(elastic, *handle));
	*handle = 0;
}

static void use_elastic(struct racer *racer)
{
	elastic_handle handle[OBJECTS] = { 0 };
	uint64_t given;
	uint32_t i;

	while (race_on(racer)) {
		i = race_random(racer, OBJECTS);
		use_object(racer, &handle[i], (unsigned char)i);
		if (race_random(racer, 64) == 0)
			(void)!elastic_shrink(elastic, (uint64_t)1 << 20,
					      &given, NULL);
	}
	for (i = 0; i < OBJECTS; i++)
		if (handle[i])
			RACE_CHECK(&race, !elastic_free(elastic, handle[i]));
}

/* ---- the devices ---- */

/* Pages of a process; only its thread moves them, and their table with them. */
static cf_pfn page[OWN_PAGES];

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	return cf_copy_run(race.map, source, target, order);
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	unsigned i;

	(void)context;
	(void)order;
	for (i = 0; i < OWN_PAGES; i++)
		if (page[i] == source)
			page[i] = target;
}

static void move_page(struct racer *racer, unsigned i)
{
	const struct cf_request request = { .type = CF_TYPE_FOLIO };
	cf_pfn now;

	if (page[i] == CF_PFN_NONE) {
		if (cf_alloc(race.map, request, &page[i])) {
			page[i] = CF_PFN_NONE;
			return;
		}
		race_write(&race, page[i], 0, i);
	} else if (page[i] < devices) {
		(void)!devmem_to_device(driver, page[i], 1, NULL);
	} else if (race_random(racer, 2)) {
		(void)!cf_pagemap_fault(race.map, page[i], &now);
	}
	RACE_CHECK(&race, race_mark(&race, page[i]) == i);
	if (race_random(racer, 16) == 0) {
		cf_put(race.map, page[i]);
		page[i] = CF_PFN_NONE;
	}
}

static void use_driver(struct racer *racer)
{
	uint64_t count;
	unsigned i;

	while (race_on(racer)) {
		move_page(racer, race_random(racer, OWN_PAGES));
		if (race_random(racer, 32) == 0)
			(void)!devmem_evict(driver, 4, &count);
	}
	for (i = 0; i < OWN_PAGES; i++)
		if (page[i] != CF_PFN_NONE) {
			cf_put(race.map, page[i]);
			page[i] = CF_PFN_NONE;
		}
}

static void use_files(struct racer *racer)
{
	while (race_on(racer)) {
		uint32_t pages = race_random(racer, FILE_PAGES);
		cf_pfn pfn;
		int err;

		if (!daxfile_map(store, 0, pages, &pfn)) {
			race_write(&race, pfn, 0, racer->done);
			RACE_CHECK(&race, race_read(&race, pfn, 0,
						    racer->done));
			cf_put(race.map, pfn);
		}
		if (pages < daxfile_pages(store, 0))
			err = daxfile_truncate(store, 0, pages, 4, NULL);
		else
			err = daxfile_extend(store, 0, pages);
		RACE_CHECK(&race, !err || err == -CF_EBUSY);
	}
}

static void use_bridge(struct racer *racer)
{
	while (race_on(racer)) {
		uint32_t part = race_random(racer, 8);
		bool going = race_random(racer, 8) == 0;

		if (rawdev_pin(bridge, part, "nic"))
			continue;
		if (going)
			RACE_CHECK(&race, !rawdev_remove_start(bridge));
		if (going)
			RACE_CHECK(&race, rawdev_remove_step(bridge, NULL) ==
					  -CF_EBUSY);
		if (going)
			RACE_CHECK(&race, !rawdev_remove_cancel(bridge));
		RACE_CHECK(&race, !rawdev_unpin(bridge, part, "nic"));
	}
}

/* ---- what goes on around them ---- */

static void disturb(struct racer *racer)
{
	struct cf_compaction compaction;
	enum cf_retire_state state;
	static unsigned bad;

	while (race_on(racer)) {
		cf_pfn first = race_random(racer, (uint32_t)(devices /
							     race.block)) *
			       race.block;
		cf_pfn last = first + race.block;

		if (!cf_block_offline(race.map, first, last, 2, NULL))
			RACE_CHECK(&race, !cf_block_online(
				race.map, first, last, CF_ZONE_NORMAL, NULL));
		(void)!cf_compact(race.map, 0, CF_ZONE_NORMAL, 1,
				  &compaction);
		if (bad < BAD_MAX && race_random(racer, 4) == 0)
			bad += !cf_retire(race.map, race_random(
				racer, (uint32_t)race.last), &state);
	}
}

static void look(struct racer *racer)
{
	static unsigned char memory[DUMP_WINDOW_FRAMES * CF_FRAME_BYTES];
	static uint64_t words[DUMP_WINDOW_FRAMES];
	struct dump_window window = { .count = 64 };
	struct dump_filter filter;
	cf_pfn pfn, head;

	dump_filter_init(&filter, race.map, ~0u & ~DUMP_BIT(DUMP_ZERO));
	while (race_on(racer)) {
		pfn = race_random(racer, (uint32_t)race.last);
		if (!cf_try_get(race.map, pfn))
			cf_put(race.map, pfn);
		if (!cf_try_get_interior(race.map, pfn, &head))
			cf_put(race.map, head);
		window.first = pfn / DUMP_WINDOW_FRAMES * DUMP_WINDOW_FRAMES;
		cf_export_flags(race.map, window.first, window.first +
				DUMP_WINDOW_FRAMES, words);
		(void)words;
		if (race_random(racer, 16) == 0)
			(void)dump_filter_read(&filter, &window, memory);
	}
}

/* ---- beginning and end ---- */

static cf_pfn device_first(unsigned device)
{
	return devices + device * DEVICE_BLOCKS * race.block;
}

static void *make_room(unsigned i, size_t bytes)
{
	room[i] = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
	return room[i];
}

static void make_devices(void)
{
	struct devmem_config gpu = {
		.pagemap = { .kind = CF_PAGEMAP_PRIVATE },
		.first = device_first(0), .last = device_first(1),
		.copy = copy, .moved = moved,
	};
	struct daxfile_config pmem = {
		.pagemap = { .kind = CF_PAGEMAP_FS_DAX },
		.first = device_first(1), .last = device_first(2),
		.files = 1, .pages = FILE_PAGES,
	};
	struct rawdev_config nvme = {
		.pagemap = { .kind = CF_PAGEMAP_P2P }, .order = 4,
		.first = device_first(2), .last = race.last, .holds = 8,
	};

	CHECK_EQ(devmem_create(race.map, &gpu,
			       make_room(0, devmem_bytes(&gpu)), &driver), 0);
	CHECK_EQ(daxfile_create(race.map, &pmem,
				make_room(1, daxfile_bytes(&pmem)), &store),
		 0);
	CHECK_EQ(rawdev_create(race.map, &nvme,
			       make_room(2, rawdev_bytes(&nvme)), &bridge), 0);
}

static void make_pools(void)
{
	const struct hugepool_config huge = { .runs = 8 };
	const struct guestmem_config memory = {
		.pages = GUEST_PAGES, .holds = 8, .firmware = &firmware,
	};
	const struct elastic_config objects = {
		.memory = &race.memory, .map = race.map,
	};
	uint64_t i;
	cf_pfn pfn;

	CHECK_EQ(hugepool_create(race.map, &huge, make_room(
			3, hugepool_bytes(race.map, &huge)), &pool), 0);
	CHECK_EQ(guestmem_create(race.map, &memory, make_room(
			4, guestmem_bytes(race.map, &memory)), &guest), 0);
	CHECK_EQ(guestmem_populate(guest, 0, GUEST_PAGES), 0);
	for (i = 0; i < GUEST_PAGES; i++) {
		(void)guestmem_look(guest, i, &pfn);
		race_write(&race, pfn, 0, i + 1);
	}
	CHECK_EQ(elastic_create(&objects, &elastic), 0);
}

static void begin(void)
{
	struct race_size size = { .order = 10, .blocks = BLOCKS };
	cf_pfn pfn;

	race_begin(&race, size);
	devices = race.last - DEVICES * DEVICE_BLOCKS * race.block;
	CHECK_EQ(cf_block_offline(race.map, devices, race.last, 4, NULL), 0);
	for (pfn = devices; pfn < race.last; pfn += race.block)
		CHECK_EQ(cf_block_remove(race.map, pfn, pfn + race.block), 0);
	memset(page, 0xff, sizeof(page));
	make_devices();
	make_pools();
}

/* Each is what the map says of it, and nothing of any is left. */
static void end_owners(void)
{
	struct hugepool_finding huge;
	struct devmem_finding gpu;
	struct daxfile_finding pmem;
	struct rawdev_finding nvme;
	uint64_t done;
	uint32_t now;
	cf_pfn pfn;

	CHECK(hugepool_verify(pool, &huge));
	CHECK(guestmem_verify(guest, &pfn));
	CHECK(devmem_verify(driver, &gpu));
	CHECK(daxfile_verify(store, &pmem));
	CHECK(rawdev_verify(bridge, &nvme));
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, 0, &now), 0);
	CHECK_EQ(hugepool_destroy(pool, NULL), 0);
	CHECK_EQ(guestmem_share(guest, 0, GUEST_PAGES, &done), 0);
	CHECK_EQ(guestmem_destroy(guest, NULL), 0);
	CHECK_EQ(elastic_destroy(elastic, NULL), 0);
	CHECK_EQ(devmem_destroy(driver, NULL), 0);
	CHECK_EQ(daxfile_truncate(store, 0, 0, 1, NULL), 0);
	CHECK_EQ(daxfile_destroy(store, NULL), 0);
	CHECK_EQ(rawdev_destroy(bridge, NULL), 0);
}

static void end(void)
{
	const struct cf_block_config config = { .meta = CF_META_PORT };
	unsigned i;
	cf_pfn pfn;

	end_owners();
	for (i = 0; i < sizeof(room) / sizeof(room[0]); i++)
		free(room[i]);
	for (pfn = devices; pfn < race.last; pfn += race.block)
		CHECK_EQ(cf_block_add(race.map, pfn, pfn + race.block,
				      &config), 0);
	CHECK_EQ(cf_block_online(race.map, devices, race.last, CF_ZONE_NORMAL,
				 NULL), 0);
	race_end(&race);
}

static struct counts {
	struct hugepool_stat huge;
	struct guestmem_stat pages;
	struct elastic_stat objects;
	struct devmem_stat gpu;
} counts;

static void look_at_counts(void)
{
	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, 0, &counts.huge), 0);
	guestmem_stat(guest, &counts.pages);
	elastic_stat(elastic, &counts.objects);
	devmem_stat(driver, &counts.gpu);
}

/* All that the threads are to disturb each other with. */
static bool all_happened(void)
{
	return counts.huge.dissolved && counts.pages.conversions &&
	       counts.pages.moved && counts.objects.moved &&
	       counts.gpu.to_device;
}

static void go(void)
{
	static void (*const run[])(struct racer *racer) = {
		use_pool, use_guest, use_elastic, use_driver, use_files,
		use_bridge, disturb, look,
	};
	unsigned i;

	for (i = 0; i < sizeof(run) / sizeof(run[0]); i++)
		race_add(&race, 1, run[i]);
	race_go(&race);
	look_at_counts();
}

static void together(void)
{
	unsigned turns = 0;

	begin();
	/* A short race, or a slow machine, may not get to all of it at once. */
	do
		go();
	while (!all_happened() && ++turns < TURNS_MAX);
	printf("# %llu runs given up, %llu conversions, %llu pages and %llu "
	       "objects' runs moved, %llu frames to the device\n",
	       (unsigned long long)counts.huge.dissolved,
	       (unsigned long long)counts.pages.conversions,
	       (unsigned long long)counts.pages.moved,
	       (unsigned long long)counts.objects.moved,
	       (unsigned long long)counts.gpu.to_device);
	CHECK(all_happened());
	CHECK_EQ(counts.huge.strangers + counts.pages.strangers +
		 counts.pages.stolen + counts.gpu.strangers, 0);
	end();
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("all owners in one map", together);
	return tap_done();
}
