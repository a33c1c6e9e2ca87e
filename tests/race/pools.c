/* SPDX-License-Identifier: MIT */
/*
 * The reference owners among threads: a pool that is used, resized and given
 * up for blocks that go; a guest's pages that are converted while others refer
 * to them, and while a dump reads all it may; objects that move behind their
 * users' backs. Threads at full speed.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dump/filter.h"
#include "owners/elastic/elastic.h"
#include "owners/guestmem.h"
#include "owners/hugepool.h"
#include "race.h"

#define PAGES		64
#define OBJECTS		300

static struct race race;
static struct hugepool *pool;
static struct guestmem *guest;
static struct elastic *elastic;
static void *storage;

/* ---- what runs beside everything ---- */

static void speculate(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn head, pfn = race_random(racer, (uint32_t)race.last);

		if (cf_try_get_interior(race.map, pfn, &head))
			continue;
		(void)sched_yield();
		cf_put(race.map, head);
	}
}

/* One block goes and comes back, if it can. */
static void come_and_go(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn first = race_random(racer, (uint32_t)(race.last /
							     race.block)) *
			       race.block;
		cf_pfn last = first + race.block;
		int err = cf_block_offline(race.map, first, last, 3, NULL);

		if (err) {
			RACE_CHECK(&race, err == -CF_EBUSY ||
					  err == -CF_EAGAIN);
			continue;
		}
		RACE_CHECK(&race, !cf_block_online(race.map, first, last,
						   CF_ZONE_NORMAL, NULL));
	}
}

/* ---- the pool ---- */

static void use_runs(struct racer *racer)
{
	while (race_on(racer)) {
		bool reserved = race_random(racer, 2) &&
				!hugepool_reserve(pool, HUGEPOOL_2M, 1);
		cf_pfn pfn;
		int err = hugepool_alloc(pool, HUGEPOOL_2M, CF_NODE_ANY,
					 reserved ? HUGEPOOL_RESERVED : 0,
					 &pfn);

		if (err) {
			/* A promise waits for a block that goes, if at all. */
			RACE_CHECK(&race, err == -CF_EAGAIN ||
					  (!reserved && err == -CF_ENOMEM));
			if (reserved)
				(void)!hugepool_unreserve(pool, HUGEPOOL_2M,
							  1);
			continue;
		}
		race_take(&race, pfn, CF_CHUNK_ORDER, HOLDER_RUN);
		race_write(&race, pfn, 0, racer->number);
		(void)sched_yield();
		RACE_CHECK(&race, race_read(&race, pfn, 0, racer->number));
		race_give(&race, pfn, CF_CHUNK_ORDER, HOLDER_RUN);
		cf_put(race.map, pfn);
	}
}

static void resize(struct racer *racer)
{
	while (race_on(racer)) {
		uint32_t now;
		int err = hugepool_resize(pool, HUGEPOOL_2M, 0,
					  race_random(racer, 7), &now);

		RACE_CHECK(&race, !err || err == -CF_ENOMEM);
		(void)sched_yield();
	}
}

static void test_pool(void)
{
	const struct hugepool_config config = { .runs = 32 };
	struct hugepool_finding finding;
	struct hugepool_stat stat;
	struct cf_report report;
	uint32_t now;

	race_begin(&race, (struct race_size){ .order = 11, .blocks = 4 });
	storage = aligned_alloc(16, (hugepool_bytes(race.map, &config) + 15) &
				~(size_t)15);
	CHECK_EQ(hugepool_create(race.map, &config, storage, &pool), 0);
	hugepool_set_surplus(pool, HUGEPOOL_2M, 2);
	race_add(&race, 2, use_runs);
	race_add(&race, 1, resize);
	race_add(&race, 1, come_and_go);
	race_add(&race, 1, speculate);
	race_go(&race);
	if (!CHECK(hugepool_verify(pool, &finding)))
		printf("# finding %d at %#llx\n", (int)finding.kind,
		       (unsigned long long)finding.pfn);
	CHECK_EQ(hugepool_stat(pool, HUGEPOOL_2M, 0, &stat), 0);
	printf("# %u runs, %llu given up, %llu replaced\n", stat.total,
	       (unsigned long long)stat.dissolved,
	       (unsigned long long)stat.replaced);
	CHECK_EQ(stat.reserved, 0);
	CHECK_EQ(stat.free, stat.total);
	CHECK_EQ(stat.strangers, 0);
	CHECK_EQ(hugepool_resize(pool, HUGEPOOL_2M, 0, 0, &now), 0);
	CHECK_EQ(hugepool_destroy(pool, &report), 0);
	free(storage);
	race_end(&race);
}

/* ---- the guest ---- */

/* A private page that anybody touches kills the test. */
static int protect(cf_pfn pfn, unsigned order, int how)
{
	return mprotect(race.memory.base + pfn * CF_FRAME_BYTES,
			CF_FRAME_BYTES << order, how);
}

static int close_page(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	return protect(pfn, order, PROT_NONE);
}

static int open_page(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	return protect(pfn, order, PROT_READ | PROT_WRITE);
}

static const struct guestmem_firmware firmware = {
	.make_private = close_page,
	.make_shared = open_page,
};

static void use_pages(struct racer *racer)
{
	static const char *const names[] = { "vhost", "vmm", "vfio", "kvm" };
	const char *who = names[racer->number % 4];

	while (race_on(racer)) {
		uint64_t page = race_random(racer, PAGES);
		cf_pfn pfn;
		int err = guestmem_get(guest, page, who, &pfn);

		if (err) {
			RACE_CHECK(&race, err == -CF_EAGAIN ||
					  err == -CF_EREFUSED);
			continue;
		}
		/* It has not moved and is not private: this must not fault. */
		(void)*(volatile unsigned char *)(race.memory.base +
						  pfn * CF_FRAME_BYTES);
		RACE_CHECK(&race, !guestmem_put(guest, page, who));
	}
}

static void convert_and_share(struct racer *racer)
{
	while (race_on(racer)) {
		struct guestmem_conversion conversion = { .going = false };
		uint64_t first = race_random(racer, PAGES - 8), done;
		uint64_t last = first + 1 + race_random(racer, 8);
		unsigned steps = 0;
		int err = guestmem_convert_start(guest, &conversion, first,
						 last);

		if (err)
			goto share;
		do {
			err = guestmem_convert_step(&conversion, NULL);
			RACE_CHECK(&race, !err || err == -CF_EAGAIN);
		} while (err && ++steps < 50 && !sched_yield());
		while (conversion.going &&
		       guestmem_convert_cancel(&conversion))
			(void)sched_yield();
share:
		(void)!guestmem_share(guest, first, last, &done);
	}
}

/* All that may be read of the map, again and again. */
static void dump(struct racer *racer)
{
	static unsigned char memory[DUMP_WINDOW_FRAMES * CF_FRAME_BYTES];
	struct dump_window window;
	struct dump_filter filter;

	dump_filter_init(&filter, race.map, ~0u & ~DUMP_BIT(DUMP_ZERO));
	while (race_on(racer)) {
		window.first = race_random(racer, (uint32_t)(race.last /
						DUMP_WINDOW_FRAMES)) *
			       DUMP_WINDOW_FRAMES;
		window.count = 64;
		(void)dump_filter_read(&filter, &window, memory);
	}
}

static void test_guest(void)
{
	const struct guestmem_config config = {
		.pages = PAGES, .holds = 64, .firmware = &firmware,
	};
	struct guestmem_stat stat;
	struct cf_report report;
	uint64_t done;
	cf_pfn pfn;

	race_begin(&race, (struct race_size){ .order = 11, .blocks = 3 });
	storage = aligned_alloc(16, (guestmem_bytes(race.map, &config) + 15) &
				~(size_t)15);
	CHECK_EQ(guestmem_create(race.map, &config, storage, &guest), 0);
	CHECK_EQ(guestmem_populate(guest, 0, PAGES), 0);
	race_add(&race, 2, use_pages);
	race_add(&race, 1, convert_and_share);
	race_add(&race, 1, come_and_go);
	race_add(&race, 1, speculate);
	race_add(&race, 1, dump);
	race_go(&race);
	CHECK(guestmem_verify(guest, &pfn));
	guestmem_stat(guest, &stat);
	printf("# %llu conversions, %llu moves\n",
	       (unsigned long long)stat.conversions,
	       (unsigned long long)stat.moved);
	CHECK_EQ(stat.stolen + stat.strangers + stat.holds, 0);
	CHECK_EQ(guestmem_share(guest, 0, PAGES, &done), 0);
	CHECK_EQ(guestmem_destroy(guest, &report), 0);
	free(storage);
	race_end(&race);
}

/* ---- objects ---- */

static void use_objects(struct racer *racer)
{
	elastic_handle handle[OBJECTS] = { 0 };
	unsigned char *memory;
	size_t bytes;
	uint32_t i;

	while (race_on(racer)) {
		i = race_random(racer, OBJECTS);
		if (!handle[i]) {
			bytes = 1 + race_random(racer, i % 3 ? 300 : 9000);
			if (elastic_alloc(elastic, bytes, &handle[i])) {
				handle[i] = 0;
				continue;
			}
			memory = elastic_lock(elastic, handle[i]);
			memset(memory, (int)(i & 0xff), bytes);
		} else {
			memory = elastic_lock(elastic, handle[i]);
			bytes = elastic_bytes(elastic, handle[i]);
			RACE_CHECK(&race, memory[0] == (i & 0xff) &&
					  memory[bytes - 1] == (i & 0xff));
		}
		RACE_CHECK(&race, !elastic_unlock(elastic, handle[i]));
		if (race_random(racer, 3) == 0) {
			RACE_CHECK(&race, !elastic_free(elastic, handle[i]));
			handle[i] = 0;
		}
	}
	for (i = 0; i < OBJECTS; i++)
		if (handle[i])
			RACE_CHECK(&race, !elastic_free(elastic, handle[i]));
}

static void shrink(struct racer *racer)
{
	while (race_on(racer)) {
		uint64_t given;

		(void)!elastic_shrink(elastic, (uint64_t)1 << 20, &given,
				      NULL);
		(void)sched_yield();
	}
}

static void test_elastic(void)
{
	struct elastic_config config = { .bytes = 0 };
	struct elastic_stat stat;

	race_begin(&race, (struct race_size){ .order = 11, .blocks = 3 });
	config.memory = &race.memory;
	config.map = race.map;
	CHECK_EQ(elastic_create(&config, &elastic), 0);
	race_add(&race, 2, use_objects);
	race_add(&race, 1, shrink);
	race_add(&race, 1, come_and_go);
	race_add(&race, 1, speculate);
	race_go(&race);
	elastic_stat(elastic, &stat);
	printf("# %llu objects merged, %llu runs moved, %llu bytes out\n",
	       (unsigned long long)stat.merged, (unsigned long long)stat.moved,
	       (unsigned long long)stat.given_bytes);
	CHECK_EQ(stat.objects + stat.used_bytes, 0);
	CHECK_EQ(elastic_destroy(elastic, NULL), 0);
	race_end(&race);
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("a pool is used, resized and given up", test_pool);
	race_test("pages are converted while others refer to them",
		  test_guest);
	race_test("objects move while they are used", test_elastic);
	return tap_done();
}
