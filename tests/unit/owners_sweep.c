/* SPDX-License-Identifier: MIT */
/*
 * The reference owners under faults: every call of the port that an operation
 * makes fails in turn. Afterwards owner and map agree, nothing is lost, and
 * the same operation succeeds.
 */
#include <stdlib.h>
#include <string.h>

#include "owners/daxfile.h"
#include "owners/devmem.h"
#include "owners/elastic/elastic.h"
#include "owners/guestmem.h"
#include "owners/hugepool.h"
#include "owners/rawdev.h"
#include "tests/unit/machine.h"

#define TURNS_MAX	200

static struct hugepool *pool;
static struct guestmem *guest;
static struct elastic *elastic;
static void *storage;
static struct guestmem_conversion conversion;
static elastic_handle handle[64];
static cf_pfn taken;

/* One operation.  @act may do part of its work; again, it does the rest. */
struct operation {
	const char *name;
	struct machine_config machine;
	void (*begin)(void);
	int (*act)(void);
	bool (*holds)(void);
	void (*end)(void);
	unsigned least;		/* calls of the port that can fail */
};

static void *room(size_t bytes)
{
	return storage = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
}

/* ---- the pool ---- */

static void begin_pool(void)
{
	const struct hugepool_config config = { .runs = 520 };

	CHECK_EQ(hugepool_create(m.map, &config,
				 room(hugepool_bytes(m.map, &config)), &pool),
		 0);
	hugepool_set_surplus(pool, HUGEPOOL_2M, 4);
	taken = CF_PFN_NONE;
}

static bool pool_holds(void)
{
	struct hugepool_finding finding;

	return hugepool_verify(pool, &finding);
}

static void end_pool(void)
{
	if (taken != CF_PFN_NONE)
		cf_put(m.map, taken);
	CHECK_EQ(hugepool_destroy(pool, NULL), 0);
	free(storage);
}

static int grow_pool(void)
{
	uint32_t now;

	return hugepool_resize(pool, HUGEPOOL_2M, 0, 3, &now);
}

static int reserve(void)
{
	struct hugepool_stat stat;
	int err = hugepool_reserve(pool, HUGEPOOL_2M, 2);

	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, 0, &stat), 0);
	CHECK_EQ(stat.free, err ? 0 : 2);
	CHECK_EQ(stat.reserved, err ? 0 : 2);
	return err;
}

static int take_surplus(void)
{
	return hugepool_alloc(pool, HUGEPOOL_2M, 0, 0, &taken);
}

static void begin_gib(void)
{
	uint32_t now;

	begin_pool();
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_1G, 0, 1, &now), 0);
}

static int demote(void)
{
	uint32_t done;

	return hugepool_demote(pool, 0, 1, &done);
}

static void begin_kept(void)
{
	begin_pool();
	CHECK_EQ(grow_pool(), 0);
	CHECK_EQ(hugepool_reserve(pool, HUGEPOOL_2M, 3), 0);
}

/* Others take the places of those that are given up: all are promised. */
static int take_block(void)
{
	struct cf_block_info info = block_info(0);
	int err = 0;

	if (info.state == CF_BLOCK_ONLINE)
		err = cf_block_offline(m.map, 0, m.block, 4, NULL);
	if (!err)
		err = cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL);
	return err;
}

static void end_kept(void)
{
	struct hugepool_stat stat;

	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, 0, &stat), 0);
	CHECK_EQ(stat.free, 3);
	CHECK_EQ(stat.reserved, 3);
	end_pool();
}

/* ---- the guest ---- */

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

static void begin_guest(void)
{
	const struct guestmem_config config = {
		.pages = 8, .order = 2, .holds = 2, .firmware = &firmware,
	};

	CHECK_EQ(guestmem_create(m.map, &config,
				 room(guestmem_bytes(m.map, &config)), &guest),
		 0);
}

static bool guest_holds(void)
{
	cf_pfn pfn;

	return guestmem_verify(guest, &pfn);
}

static void end_guest(void)
{
	CHECK_EQ(guestmem_destroy(guest, NULL), 0);
	free(storage);
}

static int populate(void)
{
	return guestmem_populate(guest, 0, 8);
}

static void begin_pages(void)
{
	begin_guest();
	CHECK_EQ(populate(), 0);
}

/* All of the life of a page asks the port for nothing, once it is there. */
static int convert_and_share(void)
{
	uint64_t done;
	int err;

	memset(&conversion, 0, sizeof(conversion));
	err = guestmem_convert_start(guest, &conversion, 0, 8);
	if (!err)
		err = guestmem_convert_step(&conversion, NULL);
	if (!err)
		err = guestmem_share(guest, 0, 8, &done);
	if (!err)
		err = guestmem_discard(guest, 0, 4);
	return err ? err : guestmem_populate(guest, 4, 8);
}

/* ---- objects ---- */

static void begin_objects(void)
{
	struct elastic_config config = { .memory = &m.memory, .map = m.map };

	memset(handle, 0, sizeof(handle));
	CHECK_EQ(elastic_create(&config, &elastic), 0);
}

static int make_objects(void)
{
	unsigned i;
	int err = 0;

	for (i = 0; i < 64 && !err; i++) {
		unsigned char *memory;

		if (handle[i])
			continue;
		err = elastic_alloc(elastic, 100 * (i + 1), &handle[i]);
		if (err)
			break;
		memory = elastic_lock(elastic, handle[i]);
		CHECK(memory != NULL);
		memset(memory, (int)i, 100 * (i + 1));
		CHECK_EQ(elastic_unlock(elastic, handle[i]), 0);
	}
	return err;
}

static bool objects_hold(void)
{
	bool good = true;
	unsigned i;

	for (i = 0; i < 64 && good; i++) {
		const unsigned char *memory;

		if (!handle[i])
			continue;
		memory = elastic_lock(elastic, handle[i]);
		good = memory && memory[0] == i &&
		       memory[100 * (i + 1) - 1] == i &&
		       !elastic_unlock(elastic, handle[i]);
	}
	return good;
}

static void begin_scattered(void)
{
	unsigned i;

	begin_objects();
	CHECK_EQ(make_objects(), 0);
	for (i = 0; i < 64; i++) {
		if (i % 4 == 0)
			continue;
		CHECK_EQ(elastic_free(elastic, handle[i]), 0);
		handle[i] = 0;
	}
}

static cf_pfn others[4096];
static size_t others_count;

/* So many as there is memory for: that is less than there was. */
static int make_some_objects(void)
{
	uint64_t before, after;
	struct elastic_stat stat;

	elastic_stat(elastic, &stat);
	before = stat.given_bytes;
	(void)make_objects();
	elastic_stat(elastic, &stat);
	after = stat.given_bytes;
	return after < before ? 0 : -CF_ENOMEM;
}

/* Nothing is free but what was given back. */
static void begin_given(void)
{
	uint64_t given;

	begin_scattered();
	CHECK_EQ(elastic_shrink(elastic, ~(uint64_t)0, &given, NULL), 0);
	CHECK(given > 0);
	others_count = fill(kernel(0), others, 4096);
}

static void end_objects(void)
{
	CHECK_EQ(elastic_destroy(elastic, NULL), 0);
}

static void end_given(void)
{
	put_all(others, others_count);
	end_objects();
}

/* ---- device memory: the last block of the map ---- */

static struct devmem *driver;
static struct daxfile *store;
static struct rawdev *device;
static cf_pfn first, last, mine;

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	return cf_copy_run(m.map, source, target, order);
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	if (mine >= source && mine < source + ((cf_pfn)1 << order))
		mine = target + (mine - source);
}

static void begin_range(void)
{
	first = m.last - m.block;
	last = m.last;
	driver = NULL;
	store = NULL;
	device = NULL;
	mine = CF_PFN_NONE;
	storage = NULL;
}

/* Without an owner there is no range either. */
static bool is_there(bool made)
{
	return made == (block_info(first).state != CF_BLOCK_ABSENT);
}

static int make_driver(void)
{
	const struct devmem_config config = {
		.pagemap = { .kind = CF_PAGEMAP_PRIVATE, .meta = CF_META_PORT },
		.first = first, .last = last, .copy = copy, .moved = moved,
	};

	if (!storage)
		(void)room(devmem_bytes(&config));
	return devmem_create(m.map, &config, storage, &driver);
}

static bool driver_holds(void)
{
	struct devmem_finding finding;

	return is_there(driver != NULL) &&
	       (!driver || devmem_verify(driver, &finding));
}

static void end_driver(void)
{
	if (mine != CF_PFN_NONE)
		cf_put(m.map, mine);
	CHECK_EQ(devmem_destroy(driver, NULL), 0);
	free(storage);
}

/* A page of a process, with something in it. */
static void begin_page(void)
{
	begin_range();
	CHECK_EQ(make_driver(), 0);
	mine = alloc(folio(0, 0));
	memset(m.memory.base + mine * CF_FRAME_BYTES, 7, CF_FRAME_BYTES);
}

/* There and back. */
static int move_page(void)
{
	cf_pfn now;
	int err = 0;

	if (mine < first)
		err = devmem_to_device(driver, mine, 1, NULL);
	if (!err)
		err = cf_pagemap_fault(m.map, mine, &now);
	return err;
}

static bool page_holds(void)
{
	bool here = mine < first;

	return driver_holds() && (!here ||
	       m.memory.base[mine * CF_FRAME_BYTES] == 7);
}

static int make_store(void)
{
	const struct daxfile_config config = {
		.pagemap = { .kind = CF_PAGEMAP_FS_DAX, .meta = CF_META_PORT },
		.first = first, .last = last, .files = 2, .pages = 64,
	};

	if (!storage)
		(void)room(daxfile_bytes(&config));
	return daxfile_create(m.map, &config, storage, &store);
}

static bool store_holds(void)
{
	struct daxfile_finding finding;

	return is_there(store != NULL) &&
	       (!store || daxfile_verify(store, &finding));
}

static void end_store(void)
{
	CHECK_EQ(daxfile_destroy(store, NULL), 0);
	free(storage);
}

static int make_device(void)
{
	const struct rawdev_config config = {
		.pagemap = { .kind = CF_PAGEMAP_P2P, .meta = CF_META_PORT },
		.first = first, .last = last, .order = 3, .holds = 4,
	};

	if (!storage)
		(void)room(rawdev_bytes(&config));
	return rawdev_create(m.map, &config, storage, &device);
}

static bool device_holds(void)
{
	struct rawdev_finding finding;

	return is_there(device != NULL) &&
	       (!device || rawdev_verify(device, &finding));
}

static void end_device(void)
{
	CHECK_EQ(rawdev_destroy(device, NULL), 0);
	free(storage);
}

/* ---- asked for while the engine moves it ---- */

int __real_cf_copy_run(struct cf_map *at, cf_pfn source, cf_pfn target,
		       unsigned order);
int __wrap_cf_copy_run(struct cf_map *at, cf_pfn source, cf_pfn target,
		       unsigned order);

static void (*meanwhile)(void);

int __wrap_cf_copy_run(struct cf_map *at, cf_pfn source, cf_pfn target,
		       unsigned order)
{
	if (meanwhile)
		meanwhile();
	return __real_cf_copy_run(at, source, target, order);
}

static void ask_for_all(void)
{
	uint64_t page, done, moving = 0;
	cf_pfn pfn;

	memset(&conversion, 0, sizeof(conversion));
	CHECK_EQ(guestmem_convert_start(guest, &conversion, 0, 8),
		 -CF_EAGAIN);
	for (page = 0; page < 8; page++) {
		if (guestmem_get(guest, page, "host", &pfn) == 0) {
			CHECK_EQ(guestmem_put(guest, page, "host"), 0);
			continue;
		}
		CHECK_EQ(guestmem_get(guest, page, "host", &pfn), -CF_EAGAIN);
		CHECK_EQ(guestmem_discard(guest, page, page + 1), -CF_EAGAIN);
		/* It is shared, that much is true. */
		CHECK_EQ(guestmem_share(guest, page, page + 1, &done), 0);
		moving++;
	}
	CHECK_EQ(moving, 1);
}

static void asked_while_moving(void)
{
	if (!CHECK(machine_make((struct machine_config){ .blocks = 2,
							 .cpus = 2 })))
		return;
	begin_pages();
	meanwhile = ask_for_all;
	CHECK_EQ(take_block(), 0);
	meanwhile = NULL;
	CHECK(guest_holds());
	end_guest();
	CHECK(machine_end());
}

#define SMALL	{ .blocks = 2, .cpus = 2 }
#define DEVICE	{ .blocks = 2, .cpus = 2, .absent = 1 }

static const struct operation operations[] = {
	{ "a pool grows", SMALL, begin_pool, grow_pool, pool_holds, end_pool,
	  1 },
	{ "runs are reserved", SMALL, begin_pool, reserve, pool_holds,
	  end_pool, 1 },
	{ "a surplus run is taken", SMALL, begin_pool, take_surplus,
	  pool_holds, end_pool, 1 },
	{ "a GiB is demoted", { .block_order = 15, .blocks = 8, .cpus = 2 },
	  begin_gib, demote, pool_holds, end_pool, 7 },
	{ "runs are given up", { .blocks = 4, .cpus = 2 }, begin_kept,
	  take_block, pool_holds, end_kept, 1 },
	{ "a guest is populated", SMALL, begin_guest, populate, guest_holds,
	  end_guest, 9 },
	{ "pages are converted, shared, discarded", SMALL, begin_pages,
	  convert_and_share, guest_holds, end_guest, 0 },
	{ "pages are moved", SMALL, begin_pages, take_block, guest_holds,
	  end_guest, 17 },
	{ "objects are made", SMALL, begin_objects, make_objects,
	  objects_hold, end_objects, 1 },
	{ "memory is taken again", SMALL, begin_given, make_some_objects,
	  objects_hold, end_given, 1 },
	{ "a driver is made", DEVICE, begin_range, make_driver, driver_holds,
	  end_driver, 1 },
	{ "a page goes to the device and back", DEVICE, begin_page, move_page,
	  page_holds, end_driver, 4 },
	{ "a store of files is made", DEVICE, begin_range, make_store,
	  store_holds, end_store, 1 },
	{ "a device of parts is made", DEVICE, begin_range, make_device,
	  device_holds, end_device, 1 },
	{ "objects are moved for a block", SMALL, begin_scattered, take_block,
	  objects_hold, end_objects, 2 },
};

/* Let the @turn-th @call fail; was there one? */
static bool take_turn(const struct operation *operation,
		      enum cf_host_call call, uint64_t turn)
{
	uint64_t before;
	bool fired;
	int err;

	if (!CHECK(machine_make(operation->machine)))
		return false;
	before = unused_frames();
	operation->begin();
	cf_host_fault_arm(&m.memory, call, turn);
	err = operation->act();
	fired = cf_host_fault_calls(&m.memory, call) >= turn;
	cf_host_fault_disarm(&m.memory);
	CHECK(fired || !err);
	CHECK(operation->holds() && machine_verify());
	if (err)
		CHECK_EQ(operation->act(), 0);
	CHECK(operation->holds());
	operation->end();
	CHECK_EQ(unused_frames(), before);
	CHECK(machine_end());
	if (tap.broken)
		printf("# %s: call %llu of sort %d fails, error %d\n",
		       operation->name, (unsigned long long)turn, (int)call,
		       err);
	return fired && !tap.broken;
}

static const struct operation *current;

static void sweep(void)
{
	unsigned call, failed = 0;

	for (call = 0; call < CF_HOST_CALL_COUNT && !tap.broken; call++) {
		uint64_t turn = 1;

		while (turn < TURNS_MAX &&
		       take_turn(current, (enum cf_host_call)call, turn))
			turn++;
		failed += (unsigned)turn - 1;
	}
	printf("# %u calls failed in turn\n", failed);
	CHECK(failed >= current->least);
}

int main(void)
{
	size_t i;

	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		current = &operations[i];
		tap_run(current->name, sweep);
	}
	tap_run("pages are asked for while they move", asked_while_moving);
	return tap_done();
}
