/* SPDX-License-Identifier: MIT */
/*
 * Device memory: ranges that come and go, runs that are handed out, given
 * back, moved, cut, joined and found bad.  With a driver that writes down what
 * its hooks were told, over one machine of a few blocks.
 */
#include <stdlib.h>

#include "core/internal.h"
#include "tests/unit/machine.h"

#define BLOCKS		2	/* of device memory */
#define CHUNK		CF_CHUNK_FRAMES

/* The linker sends the engine's calls here: --wrap. */
void *__real_cf_port_meta_alloc(void *machine, size_t bytes);
void *__wrap_cf_port_meta_alloc(void *machine, size_t bytes);

static bool no_memory;

void *__wrap_cf_port_meta_alloc(void *machine, size_t bytes)
{
	return no_memory ? NULL : __real_cf_port_meta_alloc(machine, bytes);
}

/* What the hooks were told, and what they answer. */
static struct driver {
	uint32_t id, other;
	cf_pfn first, last;
	unsigned releases, dissolves, faults, failures;
	cf_pfn pfn, bad, touched;
	unsigned order;
	enum cf_verdict verdict;
	int dissolve_says, fault_says;
	bool again;		/* hand out what comes back */
	bool cuts;		/* a fault takes one frame of the run only */
	cf_pfn fault_target;
	unsigned copies, moves;
	unsigned copy_fails;	/* the how many-th */
} d;

static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	struct cf_snapshot run = snapshot(pfn);

	CHECK(context == &d);
	CHECK(run.refs == 0 && run.type == CF_TYPE_DEVICE &&
	      run.order == order && run.owner == d.id);
	d.releases++;
	d.pfn = pfn;
	d.order = order;
	if (d.again)
		CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, pfn), 0);
	return d.verdict;
}

static int dissolve(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	d.dissolves++;
	return d.dissolve_says;
}

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	CHECK(has_flags(source, CF_FLAG_BUSY) || source % CHUNK);
	CHECK(has_flags(target, CF_FLAG_BUSY));
	CHECK_EQ(cf_try_get(m.map, target), -CF_EGONE);
	(void)context;
	(void)order;
	d.copies++;
	return d.copies == d.copy_fails ? -1 : 0;
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	CHECK_EQ(snapshot(target).order, order);
	CHECK_EQ(snapshot(target).refs, 0);
	d.moves++;
}

static int migrate_run(cf_pfn source, uint32_t refs, uint32_t extra,
		       const cf_pfn *targets, size_t count)
{
	struct cf_migration migration = {
		.source = source,
		.refs = refs,
		.extra = extra,
		.targets = targets,
		.count = count,
		.copy = copy,
		.moved = moved,
	};

	return cf_pagemap_migrate(m.map, &migration);
}

/* The run is cut in use: the part that was touched keeps the extra one. */
static cf_pfn cut(cf_pfn pfn, unsigned order, cf_pfn touched)
{
	cf_pfn at;

	CHECK_EQ(cf_freeze(m.map, pfn, 2), 0);
	CHECK_EQ(cf_split(m.map, pfn, 0), 0);
	for (at = pfn; at < pfn + ((cf_pfn)1 << order); at++)
		cf_unfreeze(m.map, at, at == touched ? 2 : 1);
	return touched;
}

static int fault(void *context, cf_pfn pfn, unsigned order, cf_pfn touched,
		 cf_pfn *ret_pfn)
{
	(void)context;
	d.faults++;
	d.touched = touched;
	CHECK(has_flags(pfn, CF_FLAG_ISOLATED));
	if (d.fault_says)
		return d.fault_says;
	/* Another CPU that touches it now has to wait. */
	CHECK_EQ(cf_pagemap_fault(m.map, touched, ret_pfn), -CF_EAGAIN);
	if (d.cuts)
		pfn = cut(pfn, order, touched);
	*ret_pfn = d.fault_target + (touched - pfn);
	return migrate_run(pfn, 1, 1, &d.fault_target, 1);
}

static void failure(void *context, cf_pfn pfn, unsigned order, cf_pfn bad)
{
	(void)context;
	(void)order;
	d.failures++;
	d.pfn = pfn;
	d.bad = bad;
}

static const struct cf_owner_ops driver_ops = {
	.release = release,
	.dissolve = dissolve,
	.fault = fault,
	.failure = failure,
};

static const struct cf_owner_ops silent_ops = { 0 };

static struct cf_pagemap_config config_of(enum cf_pagemap_kind kind)
{
	return (struct cf_pagemap_config) { .kind = kind, .owner = d.id };
}

static bool begin(enum cf_pagemap_kind kind)
{
	struct machine_config config = { .blocks = 2, .absent = 4 };
	struct cf_pagemap_config device;

	memset(&d, 0, sizeof(d));
	d.verdict = CF_VERDICT_KEEP;
	if (!CHECK(machine_make(config)))
		return false;
	d.first = m.last - 3 * m.block;
	d.last = d.first + BLOCKS * m.block;
	CHECK_EQ(cf_owner_register(m.map, "driver", &driver_ops, &d, &d.id),
		 0);
	CHECK_EQ(cf_owner_register(m.map, "other", &silent_ops, NULL,
				   &d.other), 0);
	device = config_of(kind);
	return CHECK_EQ(cf_pagemap_add(m.map, d.first, d.last, &device), 0) &&
	       CHECK(machine_verify());
}

static void finish(void)
{
	struct cf_pagemap_info info;

	CHECK(machine_verify());
	if (!cf_pagemap_info(m.map, d.first, &info))
		CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	CHECK_EQ(cf_owner_unregister(m.map, d.id, NULL), 0);
	CHECK_EQ(cf_owner_unregister(m.map, d.other, NULL), 0);
	CHECK(machine_end());
}

static struct cf_pagemap_info info_now(void)
{
	struct cf_pagemap_info info = { .first = 0 };

	CHECK_EQ(cf_pagemap_info(m.map, d.first, &info), 0);
	return info;
}

static uint64_t owned(void)
{
	struct cf_owner_info info = { .frames = 0 };

	CHECK_EQ(cf_owner_info(m.map, d.id, &info), 0);
	return info.frames;
}

/* ---- ranges ---- */

static void a_range(enum cf_pagemap_kind kind)
{
	struct cf_pagemap_info info;
	struct cf_stat stat;

	if (!begin(kind))
		return;
	info = info_now();
	CHECK(info.first == d.first && info.last == d.last);
	CHECK_EQ(info.kind, kind);
	CHECK_EQ(info.owner, d.id);
	CHECK_EQ(info.idle, d.last - d.first);
	CHECK(info.used == 0 && !info.removing && !info.self_hosted);
	stat = stat_now();
	CHECK_EQ(stat.by_type[CF_TYPE_DEVICE], d.last - d.first);
	CHECK_EQ(stat.managed, 2 * m.block);
	CHECK_EQ(stat.present, stat.managed + d.last - d.first);
	CHECK_EQ(owned(), d.last - d.first);
	CHECK_EQ(block_info(d.first).state, CF_BLOCK_DEVICE);
	CHECK_EQ(block_info(d.first).zone, CF_ZONE_DEVICE);
	/* At count 0 from the start, and told to nobody. */
	CHECK_EQ(snapshot(d.first).refs, 0);
	CHECK_EQ(snapshot(d.first + CHUNK).order, CF_CHUNK_ORDER);
	CHECK_EQ(d.releases, 0);
	CHECK_EQ(cf_try_get(m.map, d.first), -CF_EGONE);
	CHECK_EQ(cf_pin(m.map, d.first), -CF_EGONE);
	finish();
	CHECK_EQ(d.releases, 0);
	CHECK_EQ(d.dissolves, (d.last - d.first) / CHUNK);
}

static void every_kind(void)
{
	unsigned kind;

	for (kind = CF_PAGEMAP_PRIVATE; kind < CF_PAGEMAP_KIND_COUNT; kind++)
		a_range((enum cf_pagemap_kind)kind);
	CHECK(strcmp(cf_pagemap_kind_name(CF_PAGEMAP_FS_DAX), "fs-dax") == 0);
	CHECK(strcmp(cf_pagemap_kind_name(CF_PAGEMAP_KIND_COUNT),
		     "unknown") == 0);
}

/* What others may do to blocks they may not do to these. */
static void no_block_like_others(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	struct cf_offline operation = { { 0 } };
	struct cf_report report;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	FAILS(CF_EBUSY, cf_block_online(m.map, d.first, d.first + m.block,
					CF_ZONE_NORMAL, NULL));
	FAILS(CF_EBUSY, cf_block_remove(m.map, d.first, d.first + m.block));
	FAILS(CF_EGONE, cf_block_offline(m.map, d.first, d.first + m.block, 1,
					 &report));
	FAILS(CF_EGONE, cf_block_offline_start(m.map, &operation, d.first,
					       d.first + m.block, &report));
	FAILS(CF_EGONE, cf_alloc_range(m.map, d.first, d.first + 1, request,
				       &report));
	FAILS(CF_EGONE, cf_offline_alloc_range(m.map, 0, d.first, d.first + 1,
					       0, &report));
	FAILS(CF_EREFUSED, cf_offline_free_range(m.map, d.id, d.first,
						 d.first + 1));
	finish();
}

static void added_wrongly(void)
{
	struct cf_pagemap_config config;
	cf_pfn first, last;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	first = d.last;
	last = first + m.block;
	config = config_of((enum cf_pagemap_kind)0);
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	config = config_of(CF_PAGEMAP_KIND_COUNT);
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	config = config_of(CF_PAGEMAP_P2P);
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first + 1, last, &config));
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, first, &config));
	FAILS(CF_EBUSY, cf_pagemap_add(m.map, d.first, last, &config));
	FAILS(CF_EBUSY, cf_pagemap_add(m.map, 0, m.block, &config));
	config.node = 64;
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	config = config_of(CF_PAGEMAP_P2P);
	config.owner = CF_OWNER_NONE;
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	config.owner = 4000;
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	config = config_of(CF_PAGEMAP_P2P);
	config.meta = CF_META_CALLER;
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	config = config_of(CF_PAGEMAP_P2P);
	no_memory = true;
	FAILS(CF_ENOMEM, cf_pagemap_add(m.map, first, last, &config));
	no_memory = false;
	config = config_of(CF_PAGEMAP_PRIVATE);
	config.meta = CF_META_SELF;
	FAILS(CF_EINVAL, cf_pagemap_add(m.map, first, last, &config));
	finish();
}

/* Metadata in the range itself, and in memory of the caller's. */
static void own_metadata(void)
{
	struct cf_pagemap_config config;
	struct cf_pagemap_info info;
	void *memory;
	size_t bytes;
	cf_pfn self;

	if (!begin(CF_PAGEMAP_GENERIC))
		return;
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	config = config_of(CF_PAGEMAP_GENERIC);
	config.meta = CF_META_SELF;
	CHECK_EQ(cf_pagemap_add(m.map, d.first, d.last, &config), 0);
	self = (cf_block_meta_bytes(m.map, 1) + 4095) / 4096;
	info = info_now();
	CHECK(info.self_hosted);
	CHECK_EQ(info.reserved, BLOCKS * self);
	CHECK_EQ(info.idle, BLOCKS * (m.block - self));
	CHECK_EQ(snapshot(d.first).flags, CF_FLAG_SELF);
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), -CF_EGONE);
	CHECK_EQ(snapshot(d.first + self).type, CF_TYPE_DEVICE);
	CHECK(machine_verify());
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);

	bytes = cf_block_meta_bytes(m.map, BLOCKS);
	memory = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
	config.meta = CF_META_CALLER;
	config.memory = memory;
	CHECK_EQ(cf_pagemap_add(m.map, d.first, d.last, &config), 0);
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	/* It is the caller's again. */
	memset(memory, 0xff, bytes);
	free(memory);
	finish();
}

/* ---- runs ---- */

static void out_and_back(void)
{
	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	CHECK_EQ(snapshot(d.first).refs, 1);
	FAILS(CF_EAGAIN, cf_pagemap_hand_out(m.map, d.id, d.first));
	FAILS(CF_EREFUSED, cf_pagemap_hand_out(m.map, d.other, d.first));
	FAILS(CF_EGONE, cf_pagemap_hand_out(m.map, d.id, d.first + 1));
	FAILS(CF_EGONE, cf_pagemap_hand_out(m.map, d.id, d.last));
	FAILS(CF_EGONE, cf_pagemap_hand_out(m.map, 0, 0));
	CHECK_EQ(cf_try_get(m.map, d.first), 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 1);
	CHECK(d.pfn == d.first && d.order == CF_CHUNK_ORDER);
	CHECK_EQ(snapshot(d.first).refs, 0);
	/* A driver that says FREE keeps it all the same. */
	d.verdict = CF_VERDICT_FREE;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 2);
	CHECK_EQ(owned(), d.last - d.first);
	CHECK_EQ(info_now().idle, d.last - d.first);
	finish();
}

/* The race of 2022, alone: what the hook does to the count stays. */
static void out_in_the_hook(void)
{
	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	d.again = true;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 1);
	CHECK_EQ(snapshot(d.first).refs, 1);
	d.verdict = CF_VERDICT_FREE;
	cf_put(m.map, d.first);
	CHECK_EQ(snapshot(d.first).refs, 1);
	d.again = false;
	cf_put(m.map, d.first);
	finish();
}

static void cut_and_joined(void)
{
	cf_pfn pfn;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	CHECK_EQ(cf_split(m.map, d.first, 0), 0);
	CHECK_EQ(snapshot(d.first + 511).order, 0);
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first + 7), 0);
	FAILS(CF_EAGAIN, cf_merge(m.map, d.first, CF_CHUNK_ORDER));
	CHECK_EQ(cf_merge(m.map, d.first + 8, 3), 0);
	CHECK_EQ(snapshot(d.first + 8).order, 3);
	CHECK_EQ(cf_find_head(m.map, d.first + 15), d.first + 8);
	FAILS(CF_EREFUSED, cf_merge(m.map, d.first + 8, 1));
	cf_put(m.map, d.first + 7);
	CHECK_EQ(cf_merge(m.map, d.first, CF_CHUNK_ORDER), 0);
	CHECK_EQ(snapshot(d.first).order, CF_CHUNK_ORDER);
	for (pfn = d.first + 1; pfn < d.first + CHUNK; pfn++)
		CHECK(!is_head(pfn));
	CHECK(machine_verify());
	CHECK_EQ(cf_merge(m.map, d.first, BLOCK_ORDER), 0);
	CHECK_EQ(cf_find_head(m.map, d.first + m.block - 1), d.first);
	CHECK(machine_verify());
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.order, BLOCK_ORDER);
	/* What was frames once is split again without a leftover. */
	CHECK_EQ(cf_split(m.map, d.first, 0), 0);
	finish();
}

static void merged_wrongly(void)
{
	struct cf_request frozen = { .type = CF_TYPE_SLAB, .order = 1 };
	cf_pfn slab, page;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	FAILS(CF_EINVAL, cf_merge(m.map, d.first, 0));
	FAILS(CF_EINVAL, cf_merge(m.map, d.first, BLOCK_ORDER + 1));
	FAILS(CF_EINVAL, cf_merge(m.map, d.first, 64));
	FAILS(CF_EINVAL, cf_merge(m.map, d.first + 1, 1));
	FAILS(CF_EGONE, cf_merge(m.map, d.last, 1));
	FAILS(CF_EGONE, cf_merge(m.map, d.first + 2, 1));
	/* Not alike. */
	CHECK_EQ(cf_owner_change(m.map, d.first, d.other), 0);
	FAILS(CF_EREFUSED, cf_merge(m.map, d.first, BLOCK_ORDER));
	CHECK_EQ(cf_owner_change(m.map, d.first, d.id), 0);
	/* Ordinary frozen runs too. */
	slab = alloc(frozen);
	CHECK_EQ(cf_split(m.map, slab, 0), 0);
	CHECK_EQ(cf_merge(m.map, slab, 1), 0);
	CHECK_EQ(snapshot(slab).order, 1);
	cf_free_frozen(m.map, slab, 1);
	page = alloc(kernel(1));
	FAILS(CF_EAGAIN, cf_merge(m.map, page, 1));
	cf_put(m.map, page);
	finish();
}

static void needs_an_owner(void)
{
	if (!begin(CF_PAGEMAP_GENERIC))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	FAILS(CF_EREFUSED, cf_owner_change(m.map, d.first, CF_OWNER_NONE));
	CHECK_EQ(cf_owner_change(m.map, d.first, d.other), 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 0);
	FAILS(CF_EREFUSED, cf_pagemap_hand_out(m.map, d.id, d.first));
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.other, d.first), 0);
	CHECK_EQ(cf_owner_change(m.map, d.first, d.id), 0);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 1);
	finish();
}

/* A driver that goes with runs out loses nothing. */
static void driver_leaves(void)
{
	uint64_t orphans = 0;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	CHECK_EQ(cf_owner_unregister(m.map, d.id, &orphans), 0);
	CHECK_EQ(orphans, d.last - d.first);
	CHECK(machine_verify());
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first + CHUNK),
		 -CF_EREFUSED);
	CHECK_EQ(cf_pagemap_fault(m.map, d.first, &d.pfn), -CF_EREFUSED);
	CHECK_EQ(info_now().owner, CF_OWNER_ORPHAN);
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL),
		 -CF_EBUSY);
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 0);
	CHECK_EQ(info_now().idle, d.last - d.first);
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	CHECK_EQ(cf_owner_register(m.map, "driver", &driver_ops, &d, &d.id),
		 0);
	finish();
}

/* ---- removal ---- */

static void held_by_somebody(void)
{
	struct cf_report report;

	if (!begin(CF_PAGEMAP_P2P))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first + CHUNK), 0);
	FAILS(CF_EBUSY, cf_pagemap_remove(m.map, d.first, d.last, 3, &report));
	CHECK_EQ(report.reason, CF_REASON_REFERENCED);
	CHECK_EQ(report.pfn, d.first + CHUNK);
	CHECK(strcmp(report.who, "driver") == 0);
	CHECK_EQ(report.refs, 1);
	CHECK_EQ(report.frames[CF_REASON_REFERENCED], CHUNK);
	/* Nothing was asked as long as somebody was there. */
	CHECK_EQ(d.dissolves, 0);
	CHECK_EQ(cf_pin(m.map, d.first + CHUNK), 0);
	FAILS(CF_EBUSY, cf_pagemap_remove(m.map, d.first, d.last, 1, &report));
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(report.pins, 1);
	CHECK_EQ(info_now().pinned, CHUNK);
	cf_unpin(m.map, d.first + CHUNK);
	cf_put(m.map, d.first + CHUNK);
	FAILS(CF_EAGAIN, cf_pagemap_remove(m.map, d.first, d.last, 0, NULL));
	finish();
}

static void closed(void)
{
	cf_pfn used, idle;
	cf_pfn target;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	used = d.first;
	idle = d.first + CHUNK;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, used), 0);
	CHECK_EQ(cf_pagemap_remove_start(m.map, d.first, d.last), 0);
	CHECK(info_now().removing);
	CHECK(machine_verify());
	FAILS(CF_EBUSY, cf_pagemap_remove_start(m.map, d.first, d.last));
	FAILS(CF_EBUSY, cf_pagemap_remove(m.map, d.first, d.last, 1, NULL));
	FAILS(CF_EREFUSED, cf_pagemap_hand_out(m.map, d.id, idle));
	FAILS(CF_EGONE, cf_try_get(m.map, used));
	FAILS(CF_EGONE, cf_pin(m.map, used));
	target = alloc(folio(CF_CHUNK_ORDER, 0));
	FAILS(CF_EREFUSED, migrate_run(target, 1, 0, &idle, 1));
	cf_put(m.map, target);
	/* Who holds it goes on. */
	CHECK_EQ(cf_get(m.map, used), 0);
	cf_put(m.map, used);
	CHECK_EQ(cf_pagemap_remove_step(m.map, d.first, d.last, NULL),
		 -CF_EBUSY);
	m.signals[CF_SIGNAL_DEVICE_IDLE] = 0;
	cf_put(m.map, used);
	CHECK_EQ(d.releases, 1);
	CHECK_EQ(m.signals[CF_SIGNAL_DEVICE_IDLE], 1);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_DEVICE_IDLE], used);
	CHECK_EQ(cf_pagemap_remove_step(m.map, d.first, d.last, NULL), 0);
	CHECK_EQ(block_info(d.first).state, CF_BLOCK_ABSENT);
	CHECK_EQ(stat_now().by_type[CF_TYPE_DEVICE], 0);
	CHECK_EQ(owned(), 0);
	finish();
}

/* The driver has a run in hand at count 0: it is not given up. */
static void not_given_up(void)
{
	struct cf_report report;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	CHECK_EQ(cf_pagemap_remove_start(m.map, d.first, d.last), 0);
	d.dissolve_says = -CF_EAGAIN;
	FAILS(CF_EAGAIN, cf_pagemap_remove_step(m.map, d.first, d.last,
						&report));
	CHECK_EQ(report.reason, CF_REASON_TRANSIT);
	d.dissolve_says = -CF_EBUSY;
	FAILS(CF_EBUSY, cf_pagemap_remove_step(m.map, d.first, d.last,
					       &report));
	CHECK_EQ(report.reason, CF_REASON_FROZEN);
	CHECK_EQ(report.pfn, d.first);
	CHECK_EQ(report.frames[CF_REASON_FROZEN], d.last - d.first);
	CHECK_EQ(cf_pagemap_remove_cancel(m.map, d.first, d.last), 0);
	CHECK_EQ(d.releases, 0);
	CHECK(!info_now().removing);
	d.dissolve_says = 0;
	finish();
}

static int dissolve_first_only(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)order;
	return pfn == d.first ? 0 : -CF_EBUSY;
}

/* What was given up comes back when the removal is cancelled. */
static void given_back(void)
{
	const struct cf_owner_ops ops = {
		.release = release,
		.dissolve = dissolve_first_only,
	};
	struct cf_pagemap_config config;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	CHECK_EQ(cf_owner_unregister(m.map, d.id, NULL), 0);
	CHECK_EQ(cf_owner_register(m.map, "driver", &ops, &d, &d.id), 0);
	config = config_of(CF_PAGEMAP_COHERENT);
	CHECK_EQ(cf_pagemap_add(m.map, d.first, d.last, &config), 0);
	CHECK_EQ(cf_pagemap_remove_start(m.map, d.first, d.last), 0);
	CHECK_EQ(cf_pagemap_remove_step(m.map, d.first, d.last, NULL),
		 -CF_EBUSY);
	CHECK(machine_verify());
	CHECK_EQ(snapshot(d.first).type, CF_TYPE_RESERVED);
	FAILS(CF_EGONE, cf_pagemap_hand_out(m.map, d.id, d.first));
	CHECK_EQ(info_now().idle, d.last - d.first);
	CHECK_EQ(cf_pagemap_remove_cancel(m.map, d.first, d.last), 0);
	CHECK_EQ(d.releases, 1);
	CHECK_EQ(d.pfn, d.first);
	CHECK_EQ(snapshot(d.first).flags, 0);
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	cf_put(m.map, d.first);
	CHECK(machine_verify());
	/* Gone with a driver that has no say. */
	CHECK_EQ(cf_owner_unregister(m.map, d.id, NULL), 0);
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	CHECK_EQ(cf_owner_register(m.map, "driver", &driver_ops, &d, &d.id),
		 0);
	finish();
}

static void removed_wrongly(void)
{
	struct cf_pagemap_info info;
	cf_pfn middle;

	if (!begin(CF_PAGEMAP_FS_DAX))
		return;
	middle = d.first + m.block;
	FAILS(CF_EGONE, cf_pagemap_remove_start(m.map, 0, m.block));
	FAILS(CF_EGONE, cf_pagemap_remove_start(m.map, d.last, d.last + 1));
	FAILS(CF_EINVAL, cf_pagemap_remove_start(m.map, d.first, middle));
	FAILS(CF_EINVAL, cf_pagemap_remove_start(m.map, middle, d.last));
	FAILS(CF_EINVAL, cf_pagemap_remove(m.map, d.first, middle, 1, NULL));
	FAILS(CF_EGONE, cf_pagemap_remove(m.map, 0, m.block, 1, NULL));
	FAILS(CF_EINVAL, cf_pagemap_remove_step(m.map, d.first, d.last, NULL));
	FAILS(CF_EINVAL, cf_pagemap_remove_cancel(m.map, d.first, d.last));
	FAILS(CF_EGONE, cf_pagemap_info(m.map, 0, &info));
	finish();
}

/* ---- migration ---- */

static void to_the_device_and_back(void)
{
	struct cf_request frozen;
	cf_pfn page, target;
	uint64_t before;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	before = unused_frames();
	page = alloc(folio(CF_CHUNK_ORDER, 0));
	CHECK_EQ(cf_get(m.map, page), 0);
	target = d.first;
	CHECK_EQ(migrate_run(page, 2, 0, &target, 1), 0);
	CHECK(d.copies == 1 && d.moves == 1);
	CHECK_EQ(snapshot(d.first).refs, 2);
	CHECK_EQ(unused_frames(), before);
	frozen = with_flags(folio(CF_CHUNK_ORDER, 0), CF_ALLOC_FROZEN);
	page = alloc(frozen);
	CHECK_EQ(migrate_run(d.first, 2, 0, &page, 1), 0);
	CHECK_EQ(d.releases, 1);
	CHECK_EQ(snapshot(d.first).refs, 0);
	CHECK_EQ(snapshot(page).refs, 2);
	cf_put(m.map, page);
	cf_put(m.map, page);
	finish();
}

/* 2 MiB go as frames, where the device has no 2 MiB left. */
/* A run of another owner's: he is told that it is his alone, and decides. */
static void of_another_owner(void)
{
	struct keeper keeper = { .verdict = CF_VERDICT_KEEP };
	uint64_t before;
	cf_pfn page, target, other;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	CHECK(keeper_add(&keeper, "other", 1u << HOOK_RELEASE));
	before = unused_frames();
	page = alloc(folio(CF_CHUNK_ORDER, keeper.id));
	target = d.first;
	CHECK_EQ(migrate_run(page, 1, 0, &target, 1), 0);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 1);
	CHECK(keeper.pfn[HOOK_RELEASE] == page &&
	      keeper.order[HOOK_RELEASE] == CF_CHUNK_ORDER);
	CHECK_EQ(snapshot(page).owner, keeper.id);
	CHECK_EQ(snapshot(page).refs, 0);
	CHECK_EQ(unused_frames(), before - CHUNK);
	cf_free_frozen(m.map, page, CF_CHUNK_ORDER);
	keeper.verdict = CF_VERDICT_FREE;
	page = alloc(folio(CF_CHUNK_ORDER, keeper.id));
	other = d.first + CHUNK;
	CHECK_EQ(migrate_run(page, 1, 0, &other, 1), 0);
	CHECK_EQ(keeper.calls[HOOK_RELEASE], 2);
	CHECK_EQ(unused_frames(), before);
	cf_put(m.map, target);
	cf_put(m.map, other);
	CHECK(keeper_remove(&keeper));
	finish();
}

static void split_on_the_way(void)
{
	static cf_pfn targets[CF_CHUNK_FRAMES];
	cf_pfn page;
	unsigned i;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	CHECK_EQ(cf_split(m.map, d.first, 0), 0);
	for (i = 0; i < CHUNK; i++)
		targets[i] = d.first + CHUNK - 1 - i;
	page = alloc(folio(CF_CHUNK_ORDER, 0));
	/* The last copy fails: nothing has moved. */
	d.copy_fails = CHUNK;
	FAILS(CF_EPORT, migrate_run(page, 1, 0, targets, CHUNK));
	CHECK_EQ(d.moves, 0);
	FAILS(CF_EINVAL, migrate_run(page, 1, 0, targets, CHUNK - 1));
	d.copy_fails = 0;
	CHECK_EQ(migrate_run(page, 1, 0, targets, CHUNK), 0);
	CHECK_EQ(d.moves, CHUNK);
	CHECK(!is_head(page));
	for (i = 0; i < CHUNK; i++)
		CHECK_EQ(snapshot(d.first + i).refs, 1);
	for (i = 0; i < CHUNK; i++)
		cf_put(m.map, targets[i]);
	CHECK_EQ(d.releases, CHUNK);
	CHECK_EQ(cf_merge(m.map, d.first, CF_CHUNK_ORDER), 0);
	finish();
}

static void migrated_wrongly(void)
{
	cf_pfn page, other, target, none = 1;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	page = alloc(folio(CF_CHUNK_ORDER, 0));
	other = alloc(with_flags(folio(0, 0), CF_ALLOC_FROZEN));
	target = d.first;
	FAILS(CF_EINVAL, migrate_run(page, 0, 1, &target, 1));
	FAILS(CF_EINVAL, migrate_run(page, 1, 0, &target, 0));
	FAILS(CF_EINVAL, migrate_run(page, 1, 0, &other, 1));
	FAILS(CF_EAGAIN, migrate_run(page, 2, 0, &target, 1));
	FAILS(CF_EGONE, migrate_run(d.last, 1, 0, &target, 1));
	FAILS(CF_EGONE, migrate_run(page + 1, 1, 0, &target, 1));
	target = d.last;
	FAILS(CF_EGONE, migrate_run(page, 1, 0, &target, 1));
	target = d.first + none;
	FAILS(CF_EGONE, migrate_run(page, 1, 0, &target, 1));
	target = d.first;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, target), 0);
	FAILS(CF_EAGAIN, migrate_run(page, 1, 0, &target, 1));
	cf_put(m.map, target);
	CHECK_EQ(cf_pin(m.map, page), 0);
	FAILS(CF_EAGAIN, migrate_run(page, 2, 0, &target, 1));
	cf_unpin(m.map, page);
	/* From other memory to other memory is not for here. */
	cf_put(m.map, page);
	page = alloc(folio(0, 0));
	FAILS(CF_EINVAL, migrate_run(page, 1, 0, &other, 1));
	cf_put(m.map, page);
	cf_free_frozen(m.map, other, 0);
	finish();
}

/* Without a copy of the driver's the engine copies, where it can. */
static void copied_by_the_engine(void)
{
	struct cf_migration migration = { .refs = 1, .count = 1 };
	cf_pfn page, target;
	unsigned char *bytes;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	page = alloc(folio(CF_CHUNK_ORDER, 0));
	bytes = cf_port_frame_address(m.map->config.machine, page, 1);
	bytes[77] = 77;
	target = d.first;
	migration.source = page;
	migration.targets = &target;
	CHECK_EQ(cf_pagemap_migrate(m.map, &migration), 0);
	bytes = cf_port_frame_address(m.map->config.machine, target, 1);
	CHECK_EQ(bytes[77], 77);
	cf_put(m.map, target);
	finish();
}

/* ---- faults ---- */

static void touch_once(void)
{
	cf_pfn where = 0;

	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	d.fault_says = -CF_ENOMEM;
	FAILS(CF_ENOMEM, cf_pagemap_fault(m.map, d.first, &where));
	d.fault_says = -CF_EAGAIN;
	FAILS(CF_EAGAIN, cf_pagemap_fault(m.map, d.first, &where));
	d.fault_says = -CF_EBUSY;
	FAILS(CF_EREFUSED, cf_pagemap_fault(m.map, d.first + 5, &where));
	CHECK_EQ(d.touched, d.first + 5);
	d.fault_says = 0;
	d.fault_target = alloc(with_flags(folio(CF_CHUNK_ORDER, 0),
					  CF_ALLOC_FROZEN));
	d.releases = 0;
	CHECK_EQ(cf_pagemap_fault(m.map, d.first + 5, &where), 0);
	CHECK_EQ(where, d.fault_target + 5);
	CHECK_EQ(snapshot(d.fault_target).refs, 1);
	CHECK_EQ(d.releases, 1);
	CHECK_EQ(snapshot(d.first).flags, 0);
	cf_put(m.map, d.fault_target);
}

static void touched(void)
{
	cf_pfn where = 0;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	FAILS(CF_EGONE, cf_pagemap_fault(m.map, d.first, &where));
	FAILS(CF_EGONE, cf_pagemap_fault(m.map, m.last, &where));
	touch_once();
	/* And again from the start: nothing of it was left. */
	touch_once();
	finish();
}

/* One frame of a run in use goes back, the rest stays. */
static void touched_in_part(void)
{
	cf_pfn where = 0;
	cf_pfn pfn;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	d.cuts = true;
	d.fault_target = alloc(with_flags(folio(0, 0), CF_ALLOC_FROZEN));
	CHECK_EQ(cf_pagemap_fault(m.map, d.first + 5, &where), 0);
	CHECK_EQ(where, d.fault_target);
	CHECK_EQ(d.pfn, d.first + 5);
	CHECK_EQ(d.order, 0);
	for (pfn = d.first; pfn < d.first + CHUNK; pfn++) {
		CHECK_EQ(snapshot(pfn).refs, pfn != d.first + 5);
		CHECK_EQ(snapshot(pfn).flags, 0);
		if (pfn != d.first + 5)
			cf_put(m.map, pfn);
	}
	cf_put(m.map, where);
	finish();
}

static void nobody_faults(void)
{
	struct cf_pagemap_config config;
	cf_pfn where = 0;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	FAILS(CF_EINVAL, cf_pagemap_fault(m.map, d.first, &where));
	FAILS(CF_EINVAL, cf_pagemap_fault(m.map, 0, &where));
	CHECK_EQ(d.faults, 0);
	cf_put(m.map, d.first);
	/* An owner without the hook. */
	config = config_of(CF_PAGEMAP_PRIVATE);
	config.owner = d.other;
	CHECK_EQ(cf_pagemap_add(m.map, d.last, d.last + m.block, &config), 0);
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.other, d.last), 0);
	FAILS(CF_EREFUSED, cf_pagemap_fault(m.map, d.last, &where));
	while (snapshot(d.last).refs < CF_REFS_MAX)
		CHECK_EQ(cf_get(m.map, d.last), 0);
	FAILS(CF_ELIMIT, cf_pagemap_fault(m.map, d.last, &where));
	while (snapshot(d.last).refs > 1)
		cf_put(m.map, d.last);
	cf_put(m.map, d.last);
	CHECK_EQ(cf_pagemap_remove(m.map, d.last, d.last + m.block, 1, NULL),
		 0);
	finish();
}

/* A range that goes is emptied by faults. */
static void touched_while_removed(void)
{
	cf_pfn where;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	CHECK_EQ(cf_pagemap_remove_start(m.map, d.first, d.last), 0);
	d.fault_target = alloc(with_flags(folio(CF_CHUNK_ORDER, 0),
					  CF_ALLOC_FROZEN));
	CHECK_EQ(cf_pagemap_fault(m.map, d.first, &where), 0);
	CHECK_EQ(cf_pagemap_remove_step(m.map, d.first, d.last, NULL), 0);
	cf_put(m.map, where);
	finish();
}

/* ---- bad frames ---- */

static void bad_while_idle(void)
{
	enum cf_retire_state state;
	uint64_t bad = 0;
	cf_pfn pfn;

	if (!begin(CF_PAGEMAP_PRIVATE))
		return;
	pfn = d.first + CHUNK + 5;
	CHECK_EQ(cf_retire(m.map, pfn, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK(d.failures == 1 && d.bad == pfn && d.pfn == d.first + CHUNK);
	CHECK(machine_verify());
	FAILS(CF_EREFUSED, cf_pagemap_hand_out(m.map, d.id, d.first + CHUNK));
	FAILS(CF_EREFUSED, cf_pagemap_retire(m.map, d.other, d.first + CHUNK,
					     &bad));
	FAILS(CF_EGONE, cf_pagemap_retire(m.map, d.id, pfn, &bad));
	CHECK_EQ(cf_pagemap_retire(m.map, d.id, d.first + CHUNK, &bad), 0);
	CHECK_EQ(bad, 1);
	CHECK_EQ(cf_retire_state(m.map, pfn), CF_RETIRE_DONE);
	CHECK_EQ(info_now().retired, 1);
	CHECK_EQ(info_now().idle, d.last - d.first - 1);
	CHECK_EQ(owned(), d.last - d.first - 1);
	CHECK_EQ(snapshot(d.first + CHUNK).order, 2);
	CHECK_EQ(snapshot(d.first + CHUNK + 256).order, 8);
	CHECK(machine_verify());
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first + CHUNK), 0);
	FAILS(CF_EAGAIN, cf_pagemap_retire(m.map, d.id, d.first + CHUNK,
					   NULL));
	cf_put(m.map, d.first + CHUNK);
	CHECK_EQ(cf_pagemap_retire(m.map, d.id, d.first, &bad), 0);
	CHECK_EQ(bad, 0);
	FAILS(CF_EREFUSED, cf_merge(m.map, d.first + CHUNK, CF_CHUNK_ORDER));
	/* Known when it comes again. */
	CHECK_EQ(cf_pagemap_remove(m.map, d.first, d.last, 1, NULL), 0);
	{
		struct cf_pagemap_config config =
			config_of(CF_PAGEMAP_PRIVATE);

		CHECK_EQ(cf_pagemap_add(m.map, d.first, d.last, &config), 0);
	}
	CHECK_EQ(snapshot(pfn).type, CF_TYPE_RETIRED);
	CHECK_EQ(info_now().retired, 1);
	finish();
}

static void bad_while_used(void)
{
	enum cf_retire_state state;
	cf_pfn page, target;

	if (!begin(CF_PAGEMAP_COHERENT))
		return;
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	CHECK_EQ(cf_retire(m.map, d.first + 9, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK_EQ(d.failures, 1);
	CHECK(has_flags(d.first, CF_FLAG_POISON));
	cf_put(m.map, d.first);
	CHECK_EQ(d.releases, 1);
	page = alloc(folio(CF_CHUNK_ORDER, 0));
	target = d.first;
	FAILS(CF_EREFUSED, migrate_run(page, 1, 0, &target, 1));
	cf_put(m.map, page);
	CHECK_EQ(cf_pagemap_retire(m.map, d.id, d.first, NULL), 0);
	CHECK_EQ(cf_retire_state(m.map, d.first + 9), CF_RETIRE_DONE);
	CHECK_EQ(cf_pagemap_remove_start(m.map, d.first, d.last), 0);
	FAILS(CF_EBUSY, cf_retire(m.map, d.first + 3, &state));
	CHECK_EQ(cf_pagemap_remove_cancel(m.map, d.first, d.last), 0);
	finish();
}

/* ---- seen by others ---- */

static void walked_and_exported(void)
{
	static uint64_t words[3 * CF_CHUNK_FRAMES];
	const uint64_t plain = (uint64_t)1 << CF_KPF_RESERVED;
	const uint64_t head = plain | (uint64_t)1 << CF_KPF_COMPOUND_HEAD;
	const uint64_t tail = plain | (uint64_t)1 << CF_KPF_COMPOUND_TAIL;
	enum cf_retire_state state;
	struct cf_span span;
	cf_pfn cursor;

	if (!begin(CF_PAGEMAP_P2P))
		return;
	CHECK_EQ(cf_split(m.map, d.first + CHUNK, 0), 0);
	CHECK_EQ(cf_retire(m.map, d.first + CHUNK + 1, &state), 0);
	CHECK_EQ(cf_pagemap_hand_out(m.map, d.id, d.first), 0);
	cursor = d.first + 3;
	cf_walk_begin(m.map);
	CHECK(cf_walk_next(m.map, &cursor, d.last, &span));
	cf_walk_end(m.map);
	CHECK(span.kind == CF_SPAN_RUN && span.type == CF_TYPE_DEVICE);
	CHECK(span.zone == CF_ZONE_DEVICE && span.refs == 1);
	CHECK(span.first == d.first && span.owner == d.id);
	cf_export_flags(m.map, d.first, d.first + 2 * CHUNK, words);
	CHECK(words[0] == head && words[1] == tail && words[511] == tail);
	CHECK(words[512] == plain);
	CHECK(words[513] == (plain | (uint64_t)1 << CF_KPF_HWPOISON));
	cf_export_counts(m.map, d.first, d.first + 1, words);
	CHECK_EQ(words[0], 0);
	cf_put(m.map, d.first);
	finish();
}

static void put_twice(void)
{
	cf_put(m.map, d.first);
}

static void freed(void)
{
	cf_free_frozen(m.map, d.first, CF_CHUNK_ORDER);
}

static void unfrozen_after_giving_up(void)
{
	if (cf_pagemap_remove_start(m.map, d.first, d.last))
		return;
	d.dissolve_says = -CF_EBUSY;
	if (cf_pagemap_remove_step(m.map, d.first, d.last, NULL) == -CF_EBUSY)
		cf_unfreeze(m.map, d.first + 1, 1);
}

static void misused(void)
{
	if (!begin(CF_PAGEMAP_P2P))
		return;
	CHECK(panics(put_twice, d.first));
	CHECK(panics(freed, d.first));
	CHECK(panics(unfrozen_after_giving_up, d.first + 1));
	finish();
}

int main(void)
{
	tap_run("every kind of range comes and goes at count 0", every_kind);
	tap_run("its blocks are no blocks like others", no_block_like_others);
	tap_run("added wrongly", added_wrongly);
	tap_run("metadata in the range and of the caller's", own_metadata);
	tap_run("handed out with 1, back through the hook", out_and_back);
	tap_run("handed out in the hook: nobody resets it", out_in_the_hook);
	tap_run("runs are cut and joined", cut_and_joined);
	tap_run("joined wrongly", merged_wrongly);
	tap_run("there is always an owner", needs_an_owner);
	tap_run("an owner that leaves loses nothing", driver_leaves);
	tap_run("removal reports who holds what", held_by_somebody);
	tap_run("a closed range lets nobody new in", closed);
	tap_run("runs that are not given up", not_given_up);
	tap_run("runs that come back when it is cancelled", given_back);
	tap_run("removed wrongly", removed_wrongly);
	tap_run("to the device and back", to_the_device_and_back);
	tap_run("from another owner to the device", of_another_owner);
	tap_run("split on the way", split_on_the_way);
	tap_run("migrated wrongly", migrated_wrongly);
	tap_run("copied by the engine", copied_by_the_engine);
	tap_run("a touch brings it back", touched);
	tap_run("a touch brings one frame back", touched_in_part);
	tap_run("memory that does not fault", nobody_faults);
	tap_run("a touch empties a range that goes", touched_while_removed);
	tap_run("a bad frame of an idle run", bad_while_idle);
	tap_run("a bad frame of a run in use", bad_while_used);
	tap_run("walked and exported", walked_and_exported);
	tap_run("misuse names the frame", misused);
	return tap_done();
}
