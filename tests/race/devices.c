/* SPDX-License-Identifier: MIT */
/*
 * Owners of device memory under load: free lists against who knows a number,
 * pages that move both ways, truncation against mapping, removal against DMA.
 * Threads at full speed.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "owners/daxfile.h"
#include "owners/devmem.h"
#include "owners/rawdev.h"
#include "race.h"

#define BLOCKS		6	/* of the machine; the last two are devices' */
#define DEVICE_BLOCKS	2
#define BAD_MAX		24	/* frames that fail */

static struct race race;
static cf_pfn first, last;
static void *storage;

/* The machine gives its last blocks up for a device. */
static void begin(void)
{
	struct race_size size = { .order = 10, .blocks = BLOCKS };
	cf_pfn pfn;

	race_begin(&race, size);
	first = race.last - DEVICE_BLOCKS * race.block;
	last = race.last;
	CHECK_EQ(cf_block_offline(race.map, first, last, 4, NULL), 0);
	for (pfn = first; pfn < last; pfn += race.block)
		CHECK_EQ(cf_block_remove(race.map, pfn, pfn + race.block), 0);
}

/* The device is gone: memory as before. */
static void end(void)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += race.block) {
		struct cf_block_config config = { .meta = CF_META_PORT };

		CHECK_EQ(cf_block_add(race.map, pfn, pfn + race.block,
				      &config), 0);
	}
	CHECK_EQ(cf_block_online(race.map, first, last, CF_ZONE_NORMAL, NULL),
		 0);
	free(storage);
	race_end(&race);
}

/* By number, anywhere in the range, also inside runs. */
static void speculate(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn pfn = first + race_random(racer,
						 (uint32_t)(last - first));
		cf_pfn head;

		if (!cf_try_get(race.map, pfn))
			cf_put(race.map, pfn);
		if (!cf_try_get_interior(race.map, pfn, &head))
			cf_put(race.map, head);
	}
}

/* ---- the driver's free list ---- */

static struct devmem *driver;

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	return cf_copy_run(race.map, source, target, order);
}

static void check_driver(void)
{
	struct devmem_finding finding = { .kind = DEVMEM_FINDING_NONE };
	struct devmem_stat stat;

	devmem_stat(driver, &stat);
	printf("# %llu frames to the device, %llu back, %llu faults, %llu "
	       "cut, %llu joined\n", (unsigned long long)stat.to_device,
	       (unsigned long long)stat.to_system,
	       (unsigned long long)stat.faults, (unsigned long long)stat.cuts,
	       (unsigned long long)stat.joins);
	CHECK_EQ(stat.strangers, 0);
	if (!CHECK(devmem_verify(driver, &finding)))
		printf("# finding %d at %#llx\n", (int)finding.kind,
		       (unsigned long long)finding.pfn);
}

static void use_device(struct racer *racer)
{
	while (race_on(racer)) {
		unsigned order = race_random(racer, 64) ? 0 : CF_CHUNK_ORDER;
		uint64_t mark = racer->random;
		cf_pfn pfn;
		int err = devmem_alloc(driver, order, &pfn);

		RACE_CHECK(&race, !err || err == -CF_ENOMEM);
		if (err)
			continue;
		race_take(&race, pfn, order, HOLDER_RUN + racer->number);
		race_write(&race, pfn, order, mark);
		RACE_CHECK(&race, !cf_get(race.map, pfn));
		cf_put(race.map, pfn);
		RACE_CHECK(&race, race_read(&race, pfn, order, mark));
		race_give(&race, pfn, order, HOLDER_RUN + racer->number);
		cf_put(race.map, pfn);
	}
}

/* Frames fail, idle or in use, now and then. */
static void fail_frames(struct racer *racer)
{
	unsigned bad;

	for (bad = 0; bad < BAD_MAX && race_on(racer); bad++) {
		cf_pfn pfn = first + race_random(racer,
						 (uint32_t)(last - first));
		enum cf_retire_state state;
		int err = cf_retire(race.map, pfn, &state);
		int i;

		RACE_CHECK(&race, !err || err == -CF_EAGAIN);
		for (i = 0; i < 50; i++)
			(void)sched_yield();
	}
}

/* What was marked is out for good once nobody has it. */
static void check_bad(void)
{
	struct devmem_stat stat;
	uint64_t retired = 0;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		enum cf_retire_state state = cf_retire_state(race.map, pfn);

		CHECK(state != CF_RETIRE_PENDING);
		retired += state == CF_RETIRE_DONE;
	}
	devmem_stat(driver, &stat);
	CHECK_EQ(stat.bad, retired);
}

static void free_list(void)
{
	struct devmem_config config = {
		.pagemap = { .kind = CF_PAGEMAP_COHERENT },
	};

	begin();
	config.first = first;
	config.last = last;
	storage = malloc(devmem_bytes(&config));
	CHECK_EQ(devmem_create(race.map, &config, storage, &driver), 0);
	race_add(&race, 3, use_device);
	race_add(&race, 2, speculate);
	race_add(&race, 1, fail_frames);
	race_go(&race);
	check_driver();
	check_bad();
	CHECK_EQ(devmem_destroy(driver, NULL), 0);
	end();
}

/* ---- migration both ways ---- */

#define PAGES	24		/* of each process; page 0 is of 2 MiB */
#define PROCESSES 2

static struct process {
	struct cf_lock lock;	/* of its page table; rank DRIVER */
	cf_pfn page[PAGES];
	struct devmem_pieces pieces;
	cf_pfn piece[CF_CHUNK_FRAMES];	/* of page 0, wherever it is */
} process[PROCESSES];

static void point(cf_pfn *entry, cf_pfn source, cf_pfn target, unsigned order)
{
	if (*entry >= source && *entry < source + ((cf_pfn)1 << order))
		*entry = target + (*entry - source);
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	unsigned i, j;

	(void)context;
	for (i = 0; i < PROCESSES; i++) {
		struct process *p = &process[i];
		unsigned long state = cf_lock(&p->lock);

		for (j = 1; j < PAGES; j++)
			point(&p->page[j], source, target, order);
		for (j = 0; j < CF_CHUNK_FRAMES; j++)
			point(&p->piece[j], source, target, order);
		cf_unlock(&p->lock, state);
	}
}

static cf_pfn where(struct process *p, const cf_pfn *entry)
{
	unsigned long state = cf_lock(&p->lock);
	cf_pfn pfn = *entry;

	cf_unlock(&p->lock, state);
	return pfn;
}

static bool on_device(cf_pfn pfn)
{
	return pfn >= first && pfn < last;
}

/* With a reference nothing moves: what was written must be there. */
static void look(struct process *p, const cf_pfn *entry, uint64_t mark)
{
	cf_pfn pfn = where(p, entry);
	cf_pfn head;

	if (cf_try_get_interior(race.map, pfn, &head))
		return;
	if (where(p, entry) == pfn)
		RACE_CHECK(&race, race_mark(&race, pfn) == mark);
	cf_put(race.map, head);
}

static void move_page(struct process *p, const cf_pfn *entry,
		      struct devmem_pieces *pieces)
{
	cf_pfn pfn = where(p, entry);
	cf_pfn now;
	int err;

	if (on_device(pfn)) {
		err = cf_pagemap_fault(race.map, pfn, &now);
		RACE_CHECK(&race, !err || err == -CF_EAGAIN ||
			   err == -CF_EGONE || err == -CF_ENOMEM);
	} else {
		err = devmem_to_device(driver, pfn, 1, pieces);
		RACE_CHECK(&race, !err || err == -CF_EAGAIN ||
			   err == -CF_ENOMEM || err == -CF_EGONE);
	}
}

static uint64_t mark_of(const struct process *p, unsigned index)
{
	return (uint64_t)(p - process) * 100000 + index;
}

static void run_process(struct racer *racer)
{
	struct process *p = &process[racer->number % PROCESSES];

	while (race_on(racer)) {
		unsigned i = 1 + race_random(racer, PAGES - 1);

		move_page(p, &p->page[i], NULL);
		look(p, &p->page[i], mark_of(p, i));
		i = race_random(racer, (uint32_t)CF_CHUNK_FRAMES);
		if (race_random(racer, 16) == 0)
			move_page(p, &p->piece[i], &p->pieces);
		look(p, &p->piece[i], mark_of(p, 1000 + i));
	}
}

static void evict(struct racer *racer)
{
	uint64_t count;

	while (race_on(racer)) {
		int err = devmem_evict(driver, 1 + race_random(racer, 8),
				       &count);

		RACE_CHECK(&race, !err || err == -CF_EAGAIN ||
			   err == -CF_ENOMEM);
		(void)sched_yield();
	}
}

static cf_pfn make_page(unsigned order, uint64_t mark)
{
	struct cf_request request = {
		.order = (uint8_t)order, .type = CF_TYPE_FOLIO,
	};
	cf_pfn pfn = 0;

	CHECK_EQ(cf_alloc(race.map, request, &pfn), 0);
	race_write(&race, pfn, order, mark);
	return pfn;
}

static void make_process(struct process *p)
{
	unsigned i;

	memset(p, 0, sizeof(*p));
	p->lock.rank = CF_RANK_DRIVER;
	for (i = 1; i < PAGES; i++)
		p->page[i] = make_page(0, mark_of(p, i));
	p->page[0] = make_page(CF_CHUNK_ORDER, mark_of(p, 1000));
	for (i = 0; i < CF_CHUNK_FRAMES; i++)
		p->piece[i] = p->page[0] + i;
	p->page[0] = CF_PFN_NONE;
}

/* Everything is back; each run of a process has one reference. */
static void end_process(struct process *p)
{
	unsigned i;

	for (i = 1; i < PAGES; i++) {
		CHECK(!on_device(p->page[i]));
		CHECK(race_mark(&race, p->page[i]) == mark_of(p, i));
		cf_put(race.map, p->page[i]);
	}
	for (i = 0; i < CF_CHUNK_FRAMES; i++) {
		struct cf_snapshot run;

		CHECK(race_mark(&race, p->piece[i]) == mark_of(p, 1000 + i));
		if (!cf_snapshot(race.map, p->piece[i], &run)) {
			unsigned size = 1u << run.order;

			cf_put(race.map, p->piece[i]);
			for (; size > 1; size--)
				i++;
		}
	}
}

static void migrate(bool split_faults)
{
	struct devmem_config config = {
		.pagemap = { .kind = CF_PAGEMAP_PRIVATE }, .copy = copy,
		.moved = moved, .split_faults = split_faults,
	};
	uint64_t count;
	unsigned i;

	begin();
	config.first = first;
	config.last = last;
	storage = malloc(devmem_bytes(&config));
	CHECK_EQ(devmem_create(race.map, &config, storage, &driver), 0);
	for (i = 0; i < PROCESSES; i++)
		make_process(&process[i]);
	race_add(&race, PROCESSES, run_process);
	race_add(&race, 1, evict);
	race_add(&race, 2, speculate);
	race_go(&race);
	CHECK_EQ(devmem_evict(driver, last - first, &count), 0);
	check_driver();
	for (i = 0; i < PROCESSES; i++)
		end_process(&process[i]);
	CHECK_EQ(devmem_destroy(driver, NULL), 0);
	end();
}

static void migrate_whole(void)
{
	migrate(false);
}

static void migrate_parts(void)
{
	migrate(true);
}

/* ---- truncation against mapping ---- */

#define FILES		3
#define FILE_PAGES	900

static struct daxfile *store;

/* Who has a block at one time has it as the same page of the same file. */
static void hold(cf_pfn pfn, uint32_t tag, int by)
{
	uint32_t old = atomic_load_explicit(&race.holder[pfn],
					    memory_order_relaxed);
	uint32_t value;

	do {
		if (!RACE_CHECK(&race, old == 0 || old >> 8 == tag))
			return;
		value = (tag << 8 | (old & 0xff)) + (uint32_t)by;
		if ((value & 0xff) == 0)
			value = 0;
	} while (!atomic_compare_exchange_weak_explicit(
			&race.holder[pfn], &old, value, memory_order_relaxed,
			memory_order_relaxed));
}

static void map_files(struct racer *racer)
{
	while (race_on(racer)) {
		uint32_t file = race_random(racer, FILES);
		uint32_t end = daxfile_pages(store, file);
		uint32_t page = race_random(racer, 24) + (end > 20 ? end - 20 :
							  0);
		uint32_t tag = file * 2 * FILE_PAGES + page + 1;
		cf_pfn pfn;
		int err = daxfile_map(store, file, page, &pfn);

		RACE_CHECK(&race, !err || err == -CF_EGONE ||
			   err == -CF_EAGAIN || err == -CF_EBUSY);
		if (err)
			continue;
		hold(pfn, tag, 1);
		if (race_random(racer, 8) == 0)
			(void)sched_yield();
		hold(pfn, tag, -1);
		cf_put(race.map, pfn);
	}
}

static void truncate_files(struct racer *racer)
{
	while (race_on(racer)) {
		uint32_t file = race_random(racer, FILES);
		uint32_t now = daxfile_pages(store, file);
		uint32_t by = race_random(racer, 16);
		struct cf_report report;
		int err;

		/* A few pages at a time: the end is where they meet. */
		if (race_random(racer, 2) || now < by)
			err = daxfile_extend(store, file, now + by);
		else
			err = daxfile_truncate(store, file, now - by, 4,
					       &report);
		/* The other one may have been quicker. */
		RACE_CHECK(&race, !err || err == -CF_EBUSY ||
			   err == -CF_ENOMEM || err == -CF_EINVAL);
	}
}

static void truncation(void)
{
	struct daxfile_config config = {
		.pagemap = { .kind = CF_PAGEMAP_FS_DAX }, .files = FILES,
		.pages = FILE_PAGES,
	};
	struct daxfile_finding finding = { .kind = DAXFILE_FINDING_NONE };
	struct daxfile_stat stat;
	uint32_t i;

	begin();
	config.first = first;
	config.last = last;
	storage = malloc(daxfile_bytes(&config));
	CHECK_EQ(daxfile_create(race.map, &config, storage, &store), 0);
	race_add(&race, 3, map_files);
	race_add(&race, 2, truncate_files);
	race_add(&race, 1, speculate);
	race_go(&race);
	daxfile_stat(store, &stat);
	printf("# %llu blocks given back, %llu waits\n",
	       (unsigned long long)stat.truncated,
	       (unsigned long long)stat.waits);
	CHECK(daxfile_verify(store, &finding));
	for (i = 0; i < FILES; i++)
		CHECK_EQ(daxfile_truncate(store, i, 0, 1, NULL), 0);
	CHECK_EQ(daxfile_destroy(store, NULL), 0);
	end();
}

/* ---- removal against DMA ---- */

#define PARTS_USED	64
#define HOLDS		512
#define PART_ORDER	2

static struct rawdev *device;
static uint32_t parts_used;

static const char *const names[RACE_THREADS + 1] = {
	"zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
};

static void use_parts(struct racer *racer)
{
	const char *who = names[racer->number % (RACE_THREADS + 1)];

	while (race_on(racer)) {
		uint32_t part = race_random(racer, parts_used);
		bool pin = race_random(racer, 2);
		int err = pin ? rawdev_pin(device, part, who) :
			  rawdev_map(device, part, who);

		RACE_CHECK(&race, !err || err == -CF_EREFUSED ||
			   err == -CF_EAGAIN || err == -CF_ELIMIT);
		if (err)
			continue;
		if (race_random(racer, 8) == 0)
			(void)sched_yield();
		err = pin ? rawdev_unpin(device, part, who) :
		      rawdev_unmap(device, part, who);
		RACE_CHECK(&race, !err);
	}
}

/* It goes as far as it can with users about, and changes its mind. */
static void remove_device(struct racer *racer)
{
	struct cf_report report;
	int err;

	while (race_on(racer)) {
		int i;

		RACE_CHECK(&race, !rawdev_remove_start(device));
		/* Something is held for good: it never is gone. */
		for (i = 0; i < 3; i++) {
			err = rawdev_remove_step(device, &report);
			RACE_CHECK(&race, err == -CF_EBUSY);
			RACE_CHECK(&race, report.pfn >= first &&
				   report.pfn < last);
		}
		RACE_CHECK(&race, !rawdev_remove_cancel(device));
		(void)sched_yield();
	}
}

/* Frames of the parts in use fail now and then. */
static void fail_parts(struct racer *racer)
{
	unsigned bad;

	for (bad = 0; bad < BAD_MAX && race_on(racer); bad++) {
		cf_pfn pfn = first + race_random(racer,
						 parts_used << PART_ORDER);
		enum cf_retire_state state;
		int err = cf_retire(race.map, pfn, &state);
		int i;

		/* Busy: the range is just going. */
		RACE_CHECK(&race, !err || err == -CF_EAGAIN ||
			   err == -CF_EBUSY);
		for (i = 0; i < 50; i++)
			(void)sched_yield();
	}
}

/* Once nobody has it, every part with a bad frame is bad, and no other. */
static void check_parts(void)
{
	struct rawdev_stat stat;
	uint32_t part, bad = 0;

	for (part = 0; part < parts_used; part++) {
		cf_pfn pfn = rawdev_pfn(device, part);
		cf_pfn end = pfn + ((cf_pfn)1 << PART_ORDER);
		bool any = false;

		for (; pfn < end; pfn++) {
			enum cf_retire_state state =
				cf_retire_state(race.map, pfn);

			CHECK(state != CF_RETIRE_PENDING);
			any |= state == CF_RETIRE_DONE;
		}
		bad += any;
	}
	rawdev_stat(device, &stat);
	CHECK_EQ(stat.bad, bad);
	CHECK_EQ(stat.forgotten, 0);
}

static void dma_to(uint32_t parts, bool failing)
{
	struct rawdev_config config = {
		.pagemap = { .kind = CF_PAGEMAP_P2P }, .holds = HOLDS,
		.order = PART_ORDER,
	};
	struct rawdev_finding finding = { .kind = RAWDEV_FINDING_NONE };
	struct rawdev_stat stat;

	begin();
	parts_used = parts;
	config.first = first;
	config.last = last;
	storage = malloc(rawdev_bytes(&config));
	CHECK_EQ(rawdev_create(race.map, &config, storage, &device), 0);
	CHECK_EQ(rawdev_pin(device, PARTS_USED, "for good"), 0);
	race_add(&race, 4, use_parts);
	race_add(&race, 1, remove_device);
	race_add(&race, 1, failing ? fail_parts : speculate);
	race_go(&race);
	CHECK_EQ(rawdev_unpin(device, PARTS_USED, "for good"), 0);
	rawdev_stat(device, &stat);
	CHECK_EQ(stat.mappings + stat.pins, 0);
	CHECK_EQ(stat.strangers, 0);
	CHECK(rawdev_verify(device, &finding));
	check_parts();
	CHECK_EQ(rawdev_remove_start(device), 0);
	CHECK_EQ(rawdev_remove_step(device, NULL), 0);
	CHECK_EQ(rawdev_destroy(device, NULL), 0);
	end();
}

static void dma(void)
{
	dma_to(PARTS_USED, false);
}

static void dma_to_one(void)
{
	dma_to(1, false);
}

static void dma_to_failing(void)
{
	dma_to(PARTS_USED, true);
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("pages out, back and by number", free_list);
	race_test("pages move both ways", migrate_whole);
	race_test("pages move both ways, in parts", migrate_parts);
	race_test("truncation against mapping", truncation);
	race_test("removal against DMA", dma);
	race_test("removal against DMA to one part", dma_to_one);
	race_test("removal against DMA to parts that fail", dma_to_failing);
	return tap_done();
}
