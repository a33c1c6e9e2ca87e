/* SPDX-License-Identifier: MIT */
/*
 * The driver of device memory: lists, pages that move there and back, touches,
 * bad frames, removal, and hooks for what is not its own.  Over one machine
 * with a page table of a few hundred entries.
 */
#include <stdlib.h>

#include "owners/devmem.h"
#include "tests/unit/machine.h"

#define CHUNK	((unsigned)CF_CHUNK_FRAMES)
#define PAGES	1024

/* A process: where each of its pages is. */
static cf_pfn page[PAGES];
static unsigned copies, failed;
static bool copy_fails;

static struct devmem *driver;
static void *storage;
static cf_pfn first, last;

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	copies++;
	if (copy_fails)
		return -1;
	return cf_copy_run(m.map, source, target, order);
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	unsigned i;

	(void)context;
	for (i = 0; i < PAGES; i++)
		if (page[i] >= source &&
		    page[i] < source + ((cf_pfn)1 << order))
			page[i] = target + (page[i] - source);
}

static void note_failure(void *context, cf_pfn bad)
{
	(void)context;
	(void)bad;
	failed++;
}

/* ---- what happens right before a migration ---- */

static struct {
	unsigned times;		/* before so many of them */
	unsigned count;		/* that were begun */
	bool closes;		/* and the range is to go */
	unsigned failed;
	cf_pfn bad[80];		/* so many of them, of this test */
} moment;

int __real_cf_pagemap_migrate(struct cf_map *map,
			      const struct cf_migration *migration);
int __wrap_cf_pagemap_migrate(struct cf_map *map,
			      const struct cf_migration *migration);

/* The targets are off their list and not claimed yet. */
int __wrap_cf_pagemap_migrate(struct cf_map *map,
			      const struct cf_migration *migration)
{
	cf_pfn bad = migration->targets[migration->count - 1];
	enum cf_retire_state state;

	if (moment.count < moment.times) {
		moment.bad[moment.failed++] = bad;
		CHECK_EQ(cf_retire(map, bad, &state), 0);
		CHECK_EQ(state, CF_RETIRE_PENDING);
		if (moment.closes)
			CHECK_EQ(cf_pagemap_remove_start(map, first, last), 0);
	}
	moment.count++;
	return __real_cf_pagemap_migrate(map, migration);
}

static void fail_targets(unsigned times, bool closes)
{
	moment.times = times;
	moment.count = 0;
	moment.closes = closes;
}

static struct devmem_config config_of(enum cf_pagemap_kind kind)
{
	return (struct devmem_config) {
		.pagemap = { .kind = kind }, .first = first, .last = last,
		.copy = copy, .moved = moved, .failed = note_failure,
	};
}

static bool begin_as(struct devmem_config config)
{
	storage = aligned_alloc(16, (devmem_bytes(&config) + 15) &
				    ~(size_t)15);
	memset(page, 0xff, sizeof(page));
	copies = 0;
	failed = 0;
	copy_fails = false;
	moment.failed = 0;
	return CHECK_EQ(devmem_create(m.map, &config, storage, &driver), 0);
}

static bool begin(enum cf_pagemap_kind kind, bool split_faults)
{
	struct machine_config machine = { .blocks = 4, .absent = 4 };
	struct devmem_config config;

	if (!CHECK(machine_make(machine)))
		return false;
	first = m.last - 3 * m.block;
	last = first + 2 * m.block;
	config = config_of(kind);
	config.split_faults = split_faults;
	return begin_as(config);
}

static bool holds(void)
{
	struct devmem_finding finding = { .kind = DEVMEM_FINDING_NONE };
	bool good = devmem_verify(driver, &finding);

	return owner_holds(good, (int)finding.kind, finding.pfn,
			   finding.owner);
}

static void finish(void)
{
	struct cf_report report;

	CHECK(holds());
	CHECK_EQ(devmem_destroy(driver, &report), 0);
	free(storage);
	CHECK(machine_end());
}

static struct devmem_stat stat_of(void)
{
	struct devmem_stat stat;

	devmem_stat(driver, &stat);
	return stat;
}

/* A page of the process, written; returns how many frames. */
static unsigned make_page(unsigned index, unsigned order)
{
	unsigned char *bytes;
	unsigned i;

	page[index] = alloc(folio(order, 0));
	for (i = 0; i < 1u << order; i++) {
		page[index + i] = page[index] + i;
		bytes = cf_port_frame_address(&m.memory, page[index + i], 1);
		bytes[11] = (unsigned char)(index + i);
	}
	return 1u << order;
}

static bool has_contents(unsigned index)
{
	unsigned char *bytes = cf_port_frame_address(&m.memory, page[index],
						     1);

	return bytes[11] == (unsigned char)index;
}

static bool on_device(unsigned index)
{
	return page[index] >= first && page[index] < last;
}

/* ---- handing out ---- */

static void out_and_back(void)
{
	static cf_pfn pfn[4 * CF_CHUNK_FRAMES + 1];
	unsigned i, count = 4 * CHUNK;

	if (!begin(CF_PAGEMAP_COHERENT, false))
		return;
	CHECK_EQ(stat_of().idle_whole, 4);
	for (i = 0; i < count; i++)
		CHECK_EQ(devmem_alloc(driver, 0, &pfn[i]), 0);
	CHECK_EQ(devmem_alloc(driver, 0, &pfn[count]), -CF_ENOMEM);
	CHECK_EQ(devmem_alloc(driver, 9, &pfn[count]), -CF_ENOMEM);
	CHECK_EQ(devmem_alloc(driver, 1, &pfn[count]), -CF_EINVAL);
	CHECK_EQ(stat_of().used, count);
	CHECK(holds());
	for (i = 0; i < count; i++)
		cf_put(m.map, pfn[i]);
	CHECK_EQ(stat_of().idle, count);
	CHECK_EQ(stat_of().idle_whole, 0);
	CHECK(holds());
	/* Frames are joined when somebody wants 2 MiB. */
	for (i = 0; i < 4; i++)
		CHECK_EQ(devmem_alloc(driver, 9, &pfn[i]), 0);
	CHECK_EQ(stat_of().joins, 4);
	for (i = 0; i < 4; i++)
		cf_put(m.map, pfn[i]);
	CHECK_EQ(stat_of().idle_whole, 4);
	finish();
}

static void created_wrongly(void)
{
	struct devmem_config config;
	struct devmem *other;
	void *more;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	config = config_of(CF_PAGEMAP_GENERIC);
	CHECK_EQ(devmem_bytes(&config), 0);
	CHECK_EQ(devmem_create(m.map, &config, storage, &other), -CF_EINVAL);
	config = config_of(CF_PAGEMAP_PRIVATE);
	config.copy = NULL;
	CHECK_EQ(devmem_create(m.map, &config, storage, &other), -CF_EINVAL);
	config = config_of(CF_PAGEMAP_PRIVATE);
	more = malloc(devmem_bytes(&config));
	CHECK_EQ(devmem_create(m.map, &config, more, &other), -CF_EBUSY);
	config.first = last;
	config.last = last + CF_CHUNK_FRAMES;
	CHECK_EQ(devmem_create(m.map, &config, more, &other), -CF_EINVAL);
	free(more);
	finish();
}

/* ---- there and back ---- */

static void whole_pages(void)
{
	static struct devmem_pieces pieces;
	uint64_t count;
	unsigned i;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	(void)make_page(0, CF_CHUNK_ORDER);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, &pieces), 0);
	CHECK(on_device(0) && on_device(511));
	CHECK_EQ(copies, 1);
	CHECK_EQ(stat_of().to_device, CHUNK);
	/* Others who know its number. */
	CHECK_EQ(cf_try_get(m.map, page[0]), 0);
	CHECK_EQ(devmem_evict(driver, 9, &count), -CF_EAGAIN);
	CHECK(count == 0 && on_device(0));
	cf_put(m.map, page[0]);
	CHECK_EQ(devmem_map(driver, page[0]), 0);
	CHECK(holds());
	CHECK_EQ(devmem_evict(driver, 9, &count), 0);
	CHECK(count == 1 && !on_device(0));
	CHECK_EQ(snapshot(page[0]).refs, 2);
	for (i = 0; i < CHUNK; i++)
		CHECK(has_contents(i));
	cf_put(m.map, page[0]);
	cf_put(m.map, page[0]);
	finish();
}

/* The device has single frames only: the page is cut on the way. */
static void in_pieces(void)
{
	static struct devmem_pieces pieces;
	static cf_pfn pfn[CF_CHUNK_FRAMES + 3];
	unsigned i;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	/* One chunk is out, one is cut, two are out in one piece. */
	for (i = 0; i < CHUNK + 3; i++)
		CHECK_EQ(devmem_alloc(driver, i <= CHUNK ? 0 : 9, &pfn[i]), 0);
	(void)make_page(0, CF_CHUNK_ORDER);
	/* One frame is missing: those that were found go back. */
	CHECK_EQ(devmem_to_device(driver, page[0], 1, &pieces), -CF_ENOMEM);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, NULL), -CF_ENOMEM);
	CHECK_EQ(stat_of().idle, CHUNK - 1);
	cf_put(m.map, pfn[0]);
	copy_fails = true;
	CHECK_EQ(devmem_to_device(driver, page[0], 1, &pieces), -CF_EPORT);
	copy_fails = false;
	CHECK(holds() && !on_device(0));
	CHECK_EQ(devmem_to_device(driver, page[0], 1, &pieces), 0);
	CHECK(on_device(0) && on_device(511));
	for (i = 0; i < CHUNK; i++) {
		CHECK_EQ(snapshot(page[i]).order, 0);
		CHECK(has_contents(i));
		CHECK_EQ(devmem_unmap(driver, page[i]), 0);
	}
	put_all(pfn + 1, CHUNK + 2);
	finish();
}

static void moved_wrongly(void)
{
	struct devmem_pieces *pieces = NULL;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	(void)make_page(0, 0);
	CHECK_EQ(devmem_to_device(driver, page[0], 0, pieces), -CF_EINVAL);
	CHECK_EQ(devmem_to_device(driver, page[0], 2, pieces), -CF_EAGAIN);
	CHECK_EQ(devmem_to_device(driver, last, 1, pieces), -CF_EGONE);
	CHECK_EQ(devmem_map(driver, page[0]), -CF_EINVAL);
	CHECK_EQ(devmem_unmap(driver, first), -CF_EINVAL);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, pieces), 0);
	CHECK(has_contents(0));
	CHECK_EQ(devmem_unmap(driver, page[0]), 0);
	CHECK_EQ(devmem_unmap(driver, page[0]), -CF_EINVAL);
	finish();
}

/* ---- touches ---- */

static void touched(void)
{
	static struct devmem_pieces pieces;
	cf_pfn where = 0;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	(void)make_page(0, CF_CHUNK_ORDER);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, &pieces), 0);
	CHECK_EQ(cf_pagemap_fault(m.map, page[77], &where), 0);
	CHECK_EQ(where, page[77]);
	CHECK(!on_device(77) && !on_device(0) && has_contents(77));
	CHECK_EQ(stat_of().faults, 1);
	CHECK_EQ(stat_of().used, 0);
	cf_put(m.map, page[0]);
	/* A run nobody's page table points to stays. */
	CHECK_EQ(devmem_alloc(driver, 0, &page[0]), 0);
	CHECK_EQ(cf_pagemap_fault(m.map, page[0], &where), -CF_EAGAIN);
	cf_put(m.map, page[0]);
	finish();
}

static void touched_in_part(void)
{
	static struct devmem_pieces pieces;
	cf_pfn where = 0;
	unsigned i;

	if (!begin(CF_PAGEMAP_PRIVATE, true))
		return;
	(void)make_page(0, CF_CHUNK_ORDER);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, &pieces), 0);
	CHECK_EQ(cf_pagemap_fault(m.map, page[77], &where), 0);
	CHECK_EQ(stat_of().cuts, 1);
	for (i = 0; i < CHUNK; i++) {
		CHECK(on_device(i) == (i != 77));
		CHECK(has_contents(i));
		CHECK_EQ(snapshot(page[i]).refs, 1);
	}
	CHECK_EQ(stat_of().used, CHUNK - 1);
	CHECK(holds());
	CHECK_EQ(cf_pagemap_fault(m.map, page[78], &where), 0);
	for (i = 0; i < CHUNK; i++)
		cf_put(m.map, page[i]);
	CHECK_EQ(stat_of().used, 0);
	CHECK_EQ(stat_of().idle, 4 * CHUNK);
	finish();
}

/* Without memory to move to the page stays, and the touch says so. */
static void no_room(void)
{
	static cf_pfn frames[8192];
	size_t count;
	cf_pfn where;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	(void)make_page(0, 0);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, NULL), 0);
	count = fill(kernel(0), frames, 8192);
	CHECK_EQ(cf_pagemap_fault(m.map, page[0], &where), -CF_ENOMEM);
	CHECK(on_device(0) && holds());
	put_all(frames, count);
	CHECK_EQ(cf_pagemap_fault(m.map, page[0], &where), 0);
	cf_put(m.map, page[0]);
	finish();
}

/* ---- removal ---- */

static void emptied(void)
{
	struct cf_report report;
	cf_pfn pfn;
	unsigned i;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	for (i = 0; i < 100; i++) {
		(void)make_page(i, 0);
		CHECK_EQ(devmem_to_device(driver, page[i], 1, NULL), 0);
	}
	CHECK_EQ(devmem_alloc(driver, 9, &pfn), 0);
	CHECK_EQ(devmem_destroy(driver, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, pfn);
	CHECK(strcmp(report.who, "devmem") == 0);
	CHECK(strcmp(report.detail, "handed out") == 0);
	CHECK_EQ(report.owner, devmem_owner(driver));
	for (i = 0; i < 100; i++) {
		CHECK(!on_device(i) && has_contents(i));
		cf_put(m.map, page[i]);
	}
	CHECK(holds());
	cf_put(m.map, pfn);
	finish();
}

/* ---- bad frames ---- */

static void bad_frames(void)
{
	enum cf_retire_state state;
	cf_pfn pfn;

	if (!begin(CF_PAGEMAP_PRIVATE, false))
		return;
	/* Idle: it goes at once. */
	CHECK_EQ(cf_retire(m.map, first + 3, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	CHECK_EQ(stat_of().bad, 1);
	CHECK_EQ(stat_of().idle, 4 * CHUNK - 1);
	CHECK(holds());
	/* In use: when it comes back. */
	CHECK_EQ(devmem_alloc(driver, 9, &pfn), 0);
	CHECK_EQ(cf_retire(m.map, pfn + 5, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK_EQ(failed, 1);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_retire_state(m.map, pfn + 5), CF_RETIRE_DONE);
	CHECK_EQ(stat_of().bad, 2);
	CHECK(holds());
	/* What is left of both is never whole again. */
	CHECK_EQ(devmem_alloc(driver, 9, &pfn), 0);
	cf_put(m.map, pfn);
	finish();
}

/* ---- wrong use ---- */

static void foreign(void)
{
	struct devmem_finding finding;
	cf_pfn pfn;

	if (!begin(CF_PAGEMAP_COHERENT, false))
		return;
	/* Somebody gives the driver a frame that is not of its range. */
	pfn = alloc(folio(0, devmem_owner(driver)));
	cf_put(m.map, pfn);
	CHECK_EQ(stat_of().strangers, 1);
	CHECK_EQ(stat_of().stranger, pfn);
	CHECK_EQ(snapshot(pfn).refs, 0);
	cf_free_frozen(m.map, pfn, 0);
	/* Or takes one away. */
	CHECK_EQ(devmem_alloc(driver, 9, &pfn), 0);
	CHECK_EQ(cf_owner_change(m.map, pfn, CF_OWNER_NONE), -CF_EREFUSED);
	/* Or hands one out behind its back. */
	cf_put(m.map, pfn);
	CHECK_EQ(cf_pagemap_hand_out(m.map, devmem_owner(driver), pfn), 0);
	CHECK(!devmem_verify(driver, &finding));
	CHECK_EQ(finding.kind, DEVMEM_FINDING_IDLE);
	CHECK_EQ(finding.pfn, pfn);
	CHECK_EQ(finding.owner, devmem_owner(driver));
	/* Its put leaves it where it is; and it is nobody's twice. */
	cf_put(m.map, pfn);
	CHECK_EQ(stat_of().strangers, 2);
	CHECK_EQ(stat_of().stranger, pfn);
	CHECK(holds());
	finish();
}

/* @count failed so far; they are out, and nothing else is lost. */
static void check_failed(unsigned count)
{
	unsigned i;

	fail_targets(0, false);
	CHECK_EQ(moment.failed, count);
	CHECK_EQ(stat_of().bad, count);
	CHECK_EQ(stat_of().held, 0);
	for (i = 0; i < count; i++)
		CHECK_EQ(cf_retire_state(m.map, moment.bad[i]),
			 CF_RETIRE_DONE);
	CHECK(holds());
}

/* A run was taken off its list, and fails before anything is moved to it. */
static void targets_fail(void)
{
	static struct devmem_pieces pieces;
	unsigned pieces_of, i;

	if (!begin(CF_PAGEMAP_COHERENT, false))
		return;
	/* 2 MiB: the second of four chunks will do. */
	(void)make_page(0, 9);
	fail_targets(1, false);
	CHECK_EQ(devmem_to_device(driver, page[0], 1, NULL), 0);
	CHECK_EQ(moment.count, 2);
	CHECK(page[0] / CHUNK != moment.bad[0] / CHUNK);
	check_failed(1);
	/* A single frame, twice: the third one is good. */
	(void)make_page(512, 0);
	fail_targets(2, false);
	CHECK_EQ(devmem_to_device(driver, page[512], 1, NULL), 0);
	CHECK_EQ(moment.count, 3);
	check_failed(3);
	/* One piece of eight: all of them are looked for again. */
	pieces_of = make_page(520, 3);
	fail_targets(1, false);
	CHECK_EQ(devmem_to_device(driver, page[520], 1, &pieces), 0);
	CHECK_EQ(moment.count, 2);
	check_failed(4);
	for (i = 0; i < 512; i++)
		CHECK(on_device(i) && has_contents(i));
	for (i = 520; i < 520 + pieces_of; i++)
		CHECK(on_device(i) && has_contents(i));
	CHECK(on_device(512) && has_contents(512));
	CHECK_EQ(stat_of().used, 512 + 1 + pieces_of);
	cf_put(m.map, page[0]);
	cf_put(m.map, page[512]);
	for (i = 0; i < pieces_of; i++)
		cf_put(m.map, page[520 + i]);
	CHECK_EQ(stat_of().idle, last - first - 4);
	finish();
}

/* It does not go on for ever, and a range that goes is no reason to. */
static void targets_fail_for_good(void)
{
	struct machine_config machine = {
		.blocks = 2, .absent = 4, .poison_max = 80,
	};
	cf_pfn was;

	if (!CHECK(machine_make(machine)))
		return;
	first = m.last - 3 * m.block;
	last = first + 2 * m.block;
	if (!begin_as(config_of(CF_PAGEMAP_COHERENT)))
		return;
	(void)make_page(0, 0);
	(void)make_page(512, 9);
	was = page[0];
	fail_targets(80, false);
	CHECK_EQ(devmem_to_device(driver, was, 1, NULL), -CF_EAGAIN);
	CHECK_EQ(moment.count, 64);
	check_failed(64);
	CHECK(page[0] == was && has_contents(0));
	CHECK_EQ(snapshot(was).refs, 1);
	CHECK_EQ(stat_of().to_device, 0);
	/* Of three whole chunks each fails. */
	fail_targets(3, false);
	CHECK_EQ(devmem_to_device(driver, page[512], 1, NULL), -CF_ENOMEM);
	CHECK_EQ(moment.count, 3);
	CHECK(!on_device(512) && has_contents(512));
	check_failed(67);
	CHECK_EQ(devmem_to_device(driver, was, 1, NULL), 0);
	CHECK(on_device(0) && has_contents(0));
	cf_put(m.map, page[0]);
	cf_put(m.map, page[512]);
	finish();
}

/* The range is to go by then: that is said, and once. */
static void targets_go(void)
{
	cf_pfn was;

	if (!begin(CF_PAGEMAP_COHERENT, false))
		return;
	(void)make_page(0, 0);
	was = page[0];
	fail_targets(1, true);
	CHECK_EQ(devmem_to_device(driver, was, 1, NULL), -CF_EREFUSED);
	CHECK_EQ(moment.count, 1);
	CHECK(page[0] == was && has_contents(0));
	CHECK_EQ(cf_pagemap_remove_cancel(m.map, first, last), 0);
	check_failed(1);
	cf_put(m.map, was);
	finish();
}

/* Runs that are not to be had are passed over; alloc does not wait. */
static void taken_away(void)
{
	cf_pfn pfn, other, run[4];
	uint64_t orphans;
	unsigned i;

	if (!begin(CF_PAGEMAP_COHERENT, false))
		return;
	/* The next of either order is out behind its back. */
	CHECK_EQ(devmem_alloc(driver, 9, &pfn), 0);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_pagemap_hand_out(m.map, devmem_owner(driver), pfn), 0);
	CHECK_EQ(devmem_alloc(driver, 9, &other), 0);
	CHECK(other != pfn);
	CHECK_EQ(stat_of().strangers, 1);
	CHECK_EQ(stat_of().stranger, pfn);
	CHECK(holds());
	cf_put(m.map, other);
	cf_put(m.map, pfn);
	CHECK_EQ(stat_of().strangers, 1);
	CHECK_EQ(devmem_alloc(driver, 9, &other), 0);
	CHECK_EQ(other, pfn);
	cf_put(m.map, other);
	CHECK(holds());
	/* The driver is sent away, and does not know. */
	for (i = 0; i < 4; i++)
		CHECK_EQ(devmem_alloc(driver, i < 2 ? 9 : 0, &run[i]), 0);
	CHECK_EQ(cf_owner_unregister(m.map, devmem_owner(driver), &orphans), 0);
	CHECK_EQ(devmem_alloc(driver, 9, &pfn), -CF_EREFUSED);
	CHECK_EQ(devmem_alloc(driver, 0, &pfn), -CF_EREFUSED);
	CHECK_EQ(stat_of().strangers, 3);
	for (i = 0; i < 4; i++)
		cf_put(m.map, run[i]);
	CHECK_EQ(cf_pagemap_remove(m.map, first, last, 4, NULL), 0);
	free(storage);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("every frame goes out and comes back", out_and_back);
	tap_run("created wrongly", created_wrongly);
	tap_run("2 MiB there and back", whole_pages);
	tap_run("2 MiB in pieces", in_pieces);
	tap_run("moved wrongly", moved_wrongly);
	tap_run("a touch brings the page back", touched);
	tap_run("a touch brings one frame back", touched_in_part);
	tap_run("a touch without room", no_room);
	tap_run("a range that goes is emptied first", emptied);
	tap_run("bad frames", bad_frames);
	tap_run("targets that fail this moment", targets_fail);
	tap_run("targets that fail again and again", targets_fail_for_good);
	tap_run("targets whose range goes this moment", targets_go);
	tap_run("what is not the driver's", foreign);
	tap_run("what is not the driver's any more", taken_away);
	return tap_done();
}
