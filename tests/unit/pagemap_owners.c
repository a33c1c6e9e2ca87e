/* SPDX-License-Identifier: MIT */
/*
 * One suite over all five kinds of device memory, each through the owner that
 * is made for it: idle at 0, out with 1, back frozen and idle again, closed,
 * held, reported, failed, gone.  Looks at frames only through the engine.
 */
#include <stdlib.h>

#include "owners/daxfile.h"
#include "owners/devmem.h"
#include "owners/rawdev.h"
#include "tests/unit/machine.h"

static void *storage;
static cf_pfn first, last;
static enum cf_meta meta;	/* CF_META_PORT, but for suite_self() */

/* What every owner can do with one run of its range. */
struct device {
	enum cf_pagemap_kind kind;
	int (*begin)(enum cf_pagemap_kind kind);
	int (*out)(cf_pfn *ret_pfn);	/* one reference */
	void (*back)(cf_pfn pfn);
	int (*end)(struct cf_report *report);
	uint32_t (*owner)(void);
	bool (*verify)(void);
};

/* ---- what happens in the middle of a call ---- */

static struct {
	unsigned turn;		/* 0: not armed; else calls until it happens */
	int fails;		/* cf_split() says so, or 0 */
	void (*act)(void);
} meanwhile;

int __real_cf_snapshot(struct cf_map *map, cf_pfn pfn,
		       struct cf_snapshot *ret_run);
int __wrap_cf_snapshot(struct cf_map *map, cf_pfn pfn,
		       struct cf_snapshot *ret_run);
int __real_cf_split(struct cf_map *map, cf_pfn pfn, unsigned order);
int __wrap_cf_split(struct cf_map *map, cf_pfn pfn, unsigned order);

static bool is_turn(void)
{
	return meanwhile.turn && --meanwhile.turn == 0;
}

/* After it has looked: what it has seen is not so any more. */
int __wrap_cf_snapshot(struct cf_map *map, cf_pfn pfn,
		       struct cf_snapshot *ret_run)
{
	int err = __real_cf_snapshot(map, pfn, ret_run);

	if (meanwhile.act && is_turn())
		meanwhile.act();
	return err;
}

int __wrap_cf_split(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	int err;

	if (meanwhile.fails && is_turn())
		return meanwhile.fails;
	err = __real_cf_split(map, pfn, order);
	if (meanwhile.act && is_turn())
		meanwhile.act();
	return err;
}

/* ---- private and coherent ---- */

static struct devmem *devmem;

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	return cf_copy_run(m.map, source, target, order);
}

static int devmem_begin(enum cf_pagemap_kind kind)
{
	struct devmem_config config = {
		.pagemap = { .kind = kind, .meta = meta },
		.first = first, .last = last,
		.copy = copy,
	};

	storage = malloc(devmem_bytes(&config));
	return devmem_create(m.map, &config, storage, &devmem);
}

static int devmem_out(cf_pfn *ret_pfn)
{
	return devmem_alloc(devmem, 0, ret_pfn);
}

static void put_back(cf_pfn pfn)
{
	cf_put(m.map, pfn);
}

static int devmem_end(struct cf_report *report)
{
	return devmem_destroy(devmem, report);
}

static uint32_t devmem_id(void)
{
	return devmem_owner(devmem);
}

static bool devmem_holds(void)
{
	struct devmem_finding finding;

	return devmem_verify(devmem, &finding);
}

/* ---- fs-dax ---- */

static struct daxfile *daxfile;

static int daxfile_begin(enum cf_pagemap_kind kind)
{
	struct daxfile_config config = {
		.pagemap = { .kind = kind, .meta = meta },
		.first = first, .last = last,
		.files = 1, .pages = 16,
	};
	int err;

	storage = malloc(daxfile_bytes(&config));
	err = daxfile_create(m.map, &config, storage, &daxfile);
	return err ? err : daxfile_extend(daxfile, 0, 16);
}

static int daxfile_out(cf_pfn *ret_pfn)
{
	static uint32_t page;

	return daxfile_map(daxfile, 0, page++ % 16, ret_pfn);
}

static int daxfile_end(struct cf_report *report)
{
	return daxfile_destroy(daxfile, report);
}

static uint32_t daxfile_id(void)
{
	return daxfile_owner(daxfile);
}

static bool daxfile_holds(void)
{
	struct daxfile_finding finding;

	return daxfile_verify(daxfile, &finding);
}

/* ---- generic and p2p ---- */

static struct rawdev *rawdev;

static int rawdev_begin(enum cf_pagemap_kind kind)
{
	struct rawdev_config config = {
		.pagemap = { .kind = kind, .meta = meta },
		.first = first, .last = last,
		.holds = 32,
	};

	storage = malloc(rawdev_bytes(&config));
	return rawdev_create(m.map, &config, storage, &rawdev);
}

static uint32_t parts_out;

static int rawdev_out(cf_pfn *ret_pfn)
{
	uint32_t part = parts_out++ % 64;

	*ret_pfn = rawdev_pfn(rawdev, part);
	return rawdev_map(rawdev, part, "suite");
}

static void rawdev_back(cf_pfn pfn)
{
	CHECK_EQ(rawdev_unmap(rawdev, (uint32_t)(pfn - first), "suite"), 0);
}

static int rawdev_end(struct cf_report *report)
{
	return rawdev_destroy(rawdev, report);
}

static uint32_t rawdev_id(void)
{
	return rawdev_owner(rawdev);
}

static bool rawdev_holds(void)
{
	struct rawdev_finding finding;

	return rawdev_verify(rawdev, &finding);
}

static const struct device devices[] = {
	{ CF_PAGEMAP_PRIVATE, devmem_begin, devmem_out, put_back, devmem_end,
	  devmem_id, devmem_holds },
	{ CF_PAGEMAP_COHERENT, devmem_begin, devmem_out, put_back, devmem_end,
	  devmem_id, devmem_holds },
	{ CF_PAGEMAP_FS_DAX, daxfile_begin, daxfile_out, put_back,
	  daxfile_end, daxfile_id, daxfile_holds },
	{ CF_PAGEMAP_GENERIC, rawdev_begin, rawdev_out, rawdev_back,
	  rawdev_end, rawdev_id, rawdev_holds },
	{ CF_PAGEMAP_P2P, rawdev_begin, rawdev_out, rawdev_back, rawdev_end,
	  rawdev_id, rawdev_holds },
};

#define DEVICES	(sizeof(devices) / sizeof(devices[0]))

static struct cf_pagemap_info info_now(void)
{
	struct cf_pagemap_info info = { .first = 0 };

	CHECK_EQ(cf_pagemap_info(m.map, first, &info), 0);
	return info;
}

static bool begin(const struct device *device)
{
	struct machine_config machine = { .blocks = 1, .absent = 3 };

	if (!CHECK(machine_make(machine)))
		return false;
	first = m.last - 2 * m.block;
	last = first + m.block;
	CHECK_EQ(device->begin(device->kind), 0);
	CHECK_EQ(info_now().kind, device->kind);
	CHECK_EQ(info_now().idle, m.block);
	return CHECK(machine_verify());
}

static void finish(const struct device *device)
{
	struct cf_report report;

	CHECK_EQ(info_now().used, 0);
	CHECK(machine_verify());
	CHECK_EQ(device->end(&report), 0);
	free(storage);
	CHECK(machine_end());
}

static void for_devices(void (*test)(const struct device *device))
{
	size_t i;

	for (i = 0; i < DEVICES; i++) {
		if (!begin(&devices[i]))
			return;
		test(&devices[i]);
		finish(&devices[i]);
	}
}

/* ---- the suite ---- */

static void idle_at_zero(const struct device *device)
{
	struct cf_snapshot run;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += (cf_pfn)1 << run.order) {
		run = snapshot(pfn);
		CHECK_EQ(run.refs, 0);
		CHECK_EQ(run.owner, device->owner());
		CHECK_EQ(cf_try_get(m.map, pfn), -CF_EGONE);
		CHECK_EQ(cf_pin(m.map, pfn), -CF_EGONE);
	}
}

static void out_with_one(const struct device *device)
{
	cf_pfn pfn;
	unsigned i;

	for (i = 0; i < 100; i++) {
		CHECK_EQ(device->out(&pfn), 0);
		CHECK_EQ(snapshot(pfn).refs, 1);
		CHECK_EQ(cf_try_get(m.map, pfn), 0);
		CHECK_EQ(cf_pin(m.map, pfn), 0);
		cf_unpin(m.map, pfn);
		CHECK_EQ(info_now().used, 1);
		device->back(pfn);
		CHECK_EQ(snapshot(pfn).refs, 1);
		cf_put(m.map, pfn);
		CHECK_EQ(snapshot(pfn).refs, 0);
		CHECK_EQ(info_now().idle, m.block);
	}
}

static void removal_waits(const struct device *device)
{
	struct cf_report report;
	cf_pfn pfn, other;

	CHECK_EQ(device->out(&pfn), 0);
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	CHECK_EQ(device->end(&report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(report.pfn, pfn);
	CHECK_EQ(report.owner, device->owner());
	CHECK_EQ(report.refs, 2);
	CHECK_EQ(report.frames[CF_REASON_PINNED], 1);
	CHECK_EQ(cf_pagemap_remove_start(m.map, first, last), 0);
	CHECK_EQ(device->out(&other), -CF_EREFUSED);
	CHECK_EQ(cf_try_get(m.map, pfn), -CF_EGONE);
	CHECK_EQ(cf_pagemap_remove_step(m.map, first, last, &report),
		 -CF_EBUSY);
	cf_unpin(m.map, pfn);
	CHECK_EQ(cf_pagemap_remove_step(m.map, first, last, &report),
		 -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_REFERENCED);
	m.signals[CF_SIGNAL_DEVICE_IDLE] = 0;
	device->back(pfn);
	CHECK_EQ(m.signals[CF_SIGNAL_DEVICE_IDLE], 1);
	CHECK_EQ(cf_pagemap_remove_cancel(m.map, first, last), 0);
	CHECK_EQ(device->out(&pfn), 0);
	device->back(pfn);
}

static void memory_fails(const struct device *device)
{
	enum cf_retire_state state;
	cf_pfn pfn;

	CHECK_EQ(device->out(&pfn), 0);
	CHECK_EQ(cf_retire(m.map, pfn, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	/* Who has it goes on; nobody gets it after that. */
	CHECK_EQ(cf_try_get(m.map, pfn), 0);
	cf_put(m.map, pfn);
	device->back(pfn);
	CHECK_EQ(cf_retire_state(m.map, pfn), CF_RETIRE_DONE);
	CHECK_EQ(snapshot(pfn).type, CF_TYPE_RETIRED);
	CHECK_EQ(info_now().retired, 1);
	/* An idle one goes at once. */
	CHECK_EQ(cf_retire(m.map, last - 1, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	CHECK_EQ(info_now().retired, 2);
}

static void exported(const struct device *device)
{
	static uint64_t words[8192];
	uint64_t want = (uint64_t)1 << CF_KPF_RESERVED;
	struct cf_span span;
	cf_pfn cursor = first;
	cf_pfn pfn;

	CHECK_EQ(device->out(&pfn), 0);
	cf_walk_begin(m.map);
	while (cf_walk_next(m.map, &cursor, last, &span))
		CHECK(span.kind == CF_SPAN_RUN &&
		      span.type == CF_TYPE_DEVICE &&
		      span.zone == CF_ZONE_DEVICE);
	cf_walk_end(m.map);
	cf_export_flags(m.map, first, last, words);
	for (cursor = first; cursor < last; cursor++)
		CHECK(words[cursor - first] & want);
	CHECK_EQ(words[pfn - first], want);
	device->back(pfn);
}

static void owner_leaves(const struct device *device)
{
	uint64_t orphans = 0;
	cf_pfn pfn, other;
	int err;

	CHECK_EQ(device->out(&pfn), 0);
	CHECK_EQ(cf_owner_unregister(m.map, device->owner(), &orphans), 0);
	CHECK_EQ(orphans, m.block);
	/* The owner does not know: it has nothing to give any more. */
	err = device->out(&other);
	CHECK(err == -CF_EREFUSED || err == -CF_EAGAIN || err == -CF_EBUSY);
	CHECK_EQ(cf_pagemap_remove(m.map, first, last, 1, NULL), -CF_EBUSY);
	CHECK_EQ(snapshot(pfn).owner, CF_OWNER_ORPHAN);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_pagemap_remove(m.map, first, last, 1, NULL), 0);
	CHECK(machine_verify());
}

/* No id is left, or the place is taken: nothing is left behind. */
static void not_created(const struct device *device)
{
	static const struct cf_owner_ops ops = { 0 };
	static uint32_t ids[CF_OWNERS_MAX];
	void *kept = storage;
	size_t count = 0;

	CHECK_EQ(device->begin(device->kind), -CF_EBUSY);
	free(storage);
	storage = kept;
	CHECK_EQ(device->end(NULL), 0);
	while (count < CF_OWNERS_MAX &&
	       !cf_owner_register(m.map, "one of many", &ops, NULL,
				  &ids[count]))
		count++;
	free(storage);
	CHECK_EQ(device->begin(device->kind), -CF_ELIMIT);
	CHECK_EQ(block_info(first).state, CF_BLOCK_ABSENT);
	while (count > 0)
		CHECK_EQ(cf_owner_unregister(m.map, ids[--count], NULL), 0);
	free(storage);
	CHECK_EQ(device->begin(device->kind), 0);
}

/* A frame of the first run fails while the owner makes itself at home. */
static void fail_frame(void)
{
	enum cf_retire_state state;

	CHECK_EQ(cf_retire(m.map, first + 5, &state), 0);
}

static void use_after_failure(const struct device *device)
{
	cf_pfn pfn[16];
	unsigned i;

	CHECK_EQ(cf_retire_state(m.map, first + 5), CF_RETIRE_DONE);
	CHECK_EQ(info_now().retired, 1);
	CHECK_EQ(info_now().idle, m.block - 1);
	/* Neighbours of a bad frame are as good as any. */
	for (i = 0; i < 16; i++) {
		int err = device->out(&pfn[i]);

		CHECK_EQ(err, pfn[i] == first + 5 ? -CF_EREFUSED : 0);
		if (err)
			pfn[i] = CF_PFN_NONE;
	}
	CHECK_EQ(info_now().used, i - (device->out == rawdev_out));
	for (i = 0; i < 16; i++)
		if (pfn[i] != CF_PFN_NONE)
			device->back(pfn[i]);
}

static void created_while_failing(const struct device *device)
{
	bool happened = true;
	unsigned turn;

	for (turn = 1; turn < 40 && happened && !tap.broken; turn++) {
		struct machine_config machine = { .blocks = 1, .absent = 3 };

		if (!CHECK(machine_make(machine)))
			return;
		first = m.last - 2 * m.block;
		last = first + m.block;
		parts_out = 0;
		meanwhile.turn = turn;
		meanwhile.act = fail_frame;
		CHECK_EQ(device->begin(device->kind), 0);
		happened = meanwhile.turn == 0;
		meanwhile.act = NULL;
		if (happened)
			use_after_failure(device);
		finish(device);
		if (tap.broken)
			printf("# kind %d, turn %u\n", (int)device->kind,
			       turn);
	}
	CHECK(turn > 2);
}

/* But for the allocator and the orphan. */
static unsigned owners_now(void)
{
	struct cf_owner_info info;
	unsigned count = 0;
	uint32_t id;

	for (id = CF_OWNER_ORPHAN + 1; id < CF_OWNERS_MAX; id++)
		count += !cf_owner_info(m.map, id, &info);
	return count;
}

/* A run cannot be cut: nothing is left behind, at whichever it is. */
static void not_cut(const struct device *device)
{
	struct machine_config machine = { .blocks = 1, .absent = 3 };
	unsigned turn;
	int err;

	if (!CHECK(machine_make(machine)))
		return;
	first = m.last - 2 * m.block;
	last = first + m.block;
	for (turn = 1; turn <= 2; turn++) {
		meanwhile.turn = turn;
		meanwhile.fails = -CF_EAGAIN;
		err = device->begin(device->kind);
		meanwhile.fails = 0;
		CHECK_EQ(err, meanwhile.turn ? 0 : -CF_EAGAIN);
		if (!err) {
			CHECK_EQ(device->end(NULL), 0);
		} else {
			CHECK_EQ(block_info(first).state, CF_BLOCK_ABSENT);
			CHECK_EQ(owners_now(), 0);
		}
		free(storage);
	}
	CHECK_EQ(device->begin(device->kind), 0);
	finish(device);
}

static void suite_made(void)
{
	size_t i;

	for (i = 0; i < DEVICES; i++)
		created_while_failing(&devices[i]);
}

static void suite_cut(void)
{
	size_t i;

	for (i = 0; i < DEVICES; i++)
		if (devices[i].begin != devmem_begin)
			not_cut(&devices[i]);
}

static void suite_created(void)
{
	size_t i;

	for (i = 0; i < DEVICES; i++) {
		if (!begin(&devices[i]))
			return;
		not_created(&devices[i]);
		finish(&devices[i]);
	}
}

static void suite_idle(void)
{
	for_devices(idle_at_zero);
}

static void suite_out(void)
{
	for_devices(out_with_one);
}

static void suite_removal(void)
{
	for_devices(removal_waits);
}

static void suite_failure(void)
{
	for_devices(memory_fails);
}

static void suite_export(void)
{
	for_devices(exported);
}

/* The range's metadata is in its own first frames, if its memory may. */
static void self_hosted(const struct device *device)
{
	bool may = device->kind != CF_PAGEMAP_PRIVATE;
	cf_pfn pfn;

	CHECK_EQ(device->end(NULL), 0);
	free(storage);
	meta = CF_META_SELF;
	CHECK_EQ(device->begin(device->kind), may ? 0 : -CF_EINVAL);
	meta = CF_META_PORT;
	if (!may) {
		free(storage);
		CHECK_EQ(device->begin(device->kind), 0);
		return;
	}
	CHECK(info_now().self_hosted);
	CHECK(device->verify());
	while (device->out(&pfn))
		;	/* parts and blocks before it are metadata */
	CHECK(pfn > first);
	CHECK(device->verify());
	device->back(pfn);
	CHECK(device->verify());
}

static void suite_self(void)
{
	for_devices(self_hosted);
}

static void suite_leaves(void)
{
	size_t i;

	for (i = 0; i < DEVICES; i++) {
		if (!begin(&devices[i]))
			return;
		owner_leaves(&devices[i]);
		free(storage);
		CHECK(machine_end());
	}
}

int main(void)
{
	tap_run("created, or nothing is left behind", suite_created);
	tap_run("created while frames fail", suite_made);
	tap_run("not created, for a run cannot be cut", suite_cut);
	tap_run("all kinds rest at count 0", suite_idle);
	tap_run("all kinds go out with 1 and come back frozen", suite_out);
	tap_run("removal of all kinds waits and reports", suite_removal);
	tap_run("memory of all kinds fails", suite_failure);
	tap_run("all kinds are walked and exported", suite_export);
	tap_run("metadata in the memory of each kind", suite_self);
	tap_run("owners of all kinds may leave", suite_leaves);
	return tap_done();
}
