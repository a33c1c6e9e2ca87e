/* SPDX-License-Identifier: MIT */
/*
 * Generic and p2p ranges: parts are mapped and pinned by name, bad ones are
 * told of, and a device that goes waits for the DMA of others.
 */
#include <stdlib.h>

#include "owners/rawdev.h"
#include "tests/unit/machine.h"

#define HOLDS	5

static struct rawdev *device;
static void *storage;
static cf_pfn first, last;

static struct {
	unsigned revoked, pinned, failed;
	const char *who;
	bool lets_go;
} heard;

/* ---- what happens while bad frames are taken out ---- */

static struct {
	cf_pfn fails;		/* another one, after the first call */
	unsigned calls;
	int step;		/* of a removal, before the second one */
} meanwhile;

int __real_cf_pagemap_retire(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			     uint64_t *ret_bad);
int __wrap_cf_pagemap_retire(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			     uint64_t *ret_bad);

int __wrap_cf_pagemap_retire(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			     uint64_t *ret_bad)
{
	enum cf_retire_state state;
	int err;

	if (!meanwhile.fails)
		return __real_cf_pagemap_retire(map, owner, pfn, ret_bad);
	if (++meanwhile.calls == 2) {
		CHECK_EQ(rawdev_remove_start(device), 0);
		meanwhile.step = rawdev_remove_step(device, NULL);
	}
	err = __real_cf_pagemap_retire(map, owner, pfn, ret_bad);
	if (meanwhile.calls == 1)
		CHECK_EQ(cf_retire(map, meanwhile.fails, &state), 0);
	return err;
}

static void revoke(void *context, const char *who, uint32_t part, bool pinned)
{
	CHECK(context == &heard);
	heard.revoked++;
	heard.pinned += pinned;
	heard.who = who;
	if (heard.lets_go && !pinned)
		CHECK_EQ(rawdev_unmap(device, part, who), 0);
}

static void note_failure(void *context, const char *who, cf_pfn bad)
{
	(void)context;
	(void)bad;
	heard.failed++;
	heard.who = who;
}

static struct rawdev_config config_of(enum cf_pagemap_kind kind,
				      uint32_t order)
{
	return (struct rawdev_config) {
		.name = "bridge", .pagemap = { .kind = kind }, .first = first,
		.last = last, .order = order, .holds = HOLDS,
		.revoke = revoke, .failed = note_failure, .context = &heard,
	};
}

static bool begin(enum cf_pagemap_kind kind, uint32_t order)
{
	struct machine_config machine = { .blocks = 1, .absent = 3 };
	struct rawdev_config config;

	if (!CHECK(machine_make(machine)))
		return false;
	first = m.last - 2 * m.block;
	last = first + m.block;
	config = config_of(kind, order);
	memset(&heard, 0, sizeof(heard));
	storage = malloc(rawdev_bytes(&config));
	return CHECK_EQ(rawdev_create(m.map, &config, storage, &device), 0);
}

static bool holds(void)
{
	struct rawdev_finding finding = { .kind = RAWDEV_FINDING_NONE };
	bool good = rawdev_verify(device, &finding);

	return owner_holds(good, (int)finding.kind, finding.pfn,
			   finding.owner);
}

static void finish(void)
{
	CHECK(holds());
	CHECK_EQ(rawdev_destroy(device, NULL), 0);
	free(storage);
	CHECK(machine_end());
}

static struct rawdev_stat stat_of(void)
{
	struct rawdev_stat stat;

	rawdev_stat(device, &stat);
	return stat;
}

static void used(enum cf_pagemap_kind kind, uint32_t order)
{
	if (!begin(kind, order))
		return;
	CHECK_EQ(rawdev_parts(device), (uint32_t)(m.block >> order));
	CHECK_EQ(rawdev_pfn(device, 1), first + ((cf_pfn)1 << order));
	/* Idle at 0, whatever the kind. */
	CHECK_EQ(snapshot(first).refs, 0);
	CHECK_EQ(snapshot(first).order, order);
	CHECK_EQ(rawdev_map(device, 0, "a"), 0);
	CHECK_EQ(rawdev_map(device, 0, "b"), 0);
	CHECK_EQ(rawdev_pin(device, 0, "a"), 0);
	CHECK_EQ(rawdev_pin(device, 1, "b"), 0);
	CHECK_EQ(snapshot(first).refs, 3);
	CHECK_EQ(snapshot(first).pins, 1);
	CHECK(stat_of().mappings == 2 && stat_of().pins == 2);
	CHECK(holds());
	CHECK_EQ(rawdev_unmap(device, 0, "c"), -CF_EINVAL);
	CHECK_EQ(rawdev_unmap(device, 1, "b"), -CF_EINVAL);
	CHECK_EQ(rawdev_unpin(device, 0, "b"), -CF_EINVAL);
	CHECK_EQ(rawdev_unmap(device, 0, "a"), 0);
	CHECK_EQ(rawdev_unpin(device, 0, "a"), 0);
	CHECK_EQ(rawdev_unmap(device, 0, "b"), 0);
	CHECK_EQ(snapshot(first).refs, 0);
	CHECK_EQ(rawdev_unpin(device, 1, "b"), 0);
	CHECK_EQ(stat_of().idle, rawdev_parts(device));
	finish();
}

static void every_size(void)
{
	uint32_t order;

	for (order = 0; order <= CF_CHUNK_ORDER; order += 3) {
		used(CF_PAGEMAP_GENERIC, order);
		used(CF_PAGEMAP_P2P, order);
	}
}

static void done_wrongly(void)
{
	struct rawdev_config config;
	struct rawdev *other;
	unsigned i;

	if (!begin(CF_PAGEMAP_P2P, 0))
		return;
	config = config_of(CF_PAGEMAP_COHERENT, 0);
	CHECK_EQ(rawdev_bytes(&config), 0);
	CHECK_EQ(rawdev_create(m.map, &config, storage, &other), -CF_EINVAL);
	config = config_of(CF_PAGEMAP_P2P, CF_CHUNK_ORDER + 1);
	CHECK_EQ(rawdev_create(m.map, &config, storage, &other), -CF_EINVAL);
	CHECK_EQ(rawdev_map(device, rawdev_parts(device), "a"), -CF_EINVAL);
	CHECK_EQ(rawdev_map(device, 0, NULL), -CF_EINVAL);
	CHECK_EQ(rawdev_unmap(device, rawdev_parts(device), "a"),
		 -CF_EINVAL);
	for (i = 0; i < HOLDS; i++)
		CHECK_EQ(rawdev_map(device, i, "a"), 0);
	CHECK_EQ(rawdev_map(device, 0, "a"), -CF_ELIMIT);
	CHECK_EQ(rawdev_pin(device, 9, "a"), -CF_ELIMIT);
	for (i = 0; i < HOLDS; i++)
		CHECK_EQ(rawdev_unmap(device, i, "a"), 0);
	CHECK_EQ(rawdev_remove_step(device, NULL), -CF_EINVAL);
	CHECK_EQ(rawdev_remove_cancel(device), -CF_EINVAL);
	finish();
}

/* A peer's DMA runs while the device goes. */
static void removed_under_dma(void)
{
	struct cf_report report;

	if (!begin(CF_PAGEMAP_P2P, 4))
		return;
	CHECK_EQ(rawdev_map(device, 3, "user"), 0);
	CHECK_EQ(rawdev_pin(device, 5, "nic"), 0);
	heard.lets_go = true;
	CHECK_EQ(rawdev_remove_start(device), 0);
	CHECK_EQ(rawdev_remove_start(device), -CF_EBUSY);
	CHECK(heard.revoked == 2 && heard.pinned == 1);
	CHECK_EQ(stat_of().revoked, 2);
	CHECK_EQ(stat_of().mappings, 0);
	CHECK_EQ(rawdev_map(device, 3, "user"), -CF_EREFUSED);
	CHECK_EQ(rawdev_pin(device, 5, "user"), -CF_EREFUSED);
	CHECK_EQ(rawdev_remove_step(device, &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(report.pfn, rawdev_pfn(device, 5));
	CHECK(strcmp(report.detail, "nic") == 0);
	CHECK(strcmp(report.who, "bridge") == 0);
	/* It ends; then it can go, or stay. */
	CHECK_EQ(rawdev_unpin(device, 5, "nic"), 0);
	CHECK_EQ(rawdev_remove_cancel(device), 0);
	CHECK_EQ(rawdev_pin(device, 5, "nic"), 0);
	CHECK_EQ(rawdev_unpin(device, 5, "nic"), 0);
	CHECK(holds());
	CHECK_EQ(rawdev_remove_start(device), 0);
	CHECK_EQ(rawdev_remove_step(device, &report), 0);
	CHECK_EQ(rawdev_remove_start(device), -CF_EGONE);
	CHECK_EQ(rawdev_map(device, 0, "user"), -CF_EREFUSED);
	CHECK_EQ(block_info(first).state, CF_BLOCK_ABSENT);
	finish();
}

static void bad_parts(void)
{
	enum cf_retire_state state;

	if (!begin(CF_PAGEMAP_GENERIC, 4))
		return;
	CHECK_EQ(cf_retire(m.map, first + 3, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	CHECK_EQ(rawdev_map(device, 0, "a"), -CF_EREFUSED);
	/* Another one of what is left of it. */
	CHECK_EQ(cf_retire(m.map, first + 9, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	CHECK_EQ(rawdev_map(device, 1, "a"), 0);
	CHECK_EQ(rawdev_pin(device, 1, "b"), 0);
	CHECK_EQ(cf_retire(m.map, first + 16 + 3, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK_EQ(heard.failed, 2);
	CHECK_EQ(stat_of().failures, 2);
	CHECK_EQ(rawdev_unmap(device, 1, "a"), 0);
	CHECK_EQ(rawdev_unpin(device, 1, "b"), 0);
	CHECK_EQ(cf_retire_state(m.map, first + 16 + 3), CF_RETIRE_DONE);
	CHECK_EQ(rawdev_map(device, 1, "a"), -CF_EREFUSED);
	CHECK_EQ(stat_of().bad, 2);
	CHECK(holds());
	/* Through a removal that is cancelled: bad parts stay bad. */
	CHECK_EQ(rawdev_map(device, 2, "a"), 0);
	CHECK_EQ(rawdev_destroy(device, NULL), -CF_EBUSY);
	CHECK_EQ(rawdev_map(device, 1, "a"), -CF_EREFUSED);
	CHECK_EQ(rawdev_unmap(device, 2, "a"), 0);
	finish();
}

/* No piece of a part is given up while a frame of it is to be taken out. */
static void bad_twice(void)
{
	enum cf_retire_state state;

	if (!begin(CF_PAGEMAP_P2P, CF_CHUNK_ORDER))
		return;
	CHECK_EQ(rawdev_map(device, 0, "a"), 0);
	CHECK_EQ(cf_retire(m.map, first + 1, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	memset(&meanwhile, 0, sizeof(meanwhile));
	meanwhile.fails = first + 300;
	CHECK_EQ(rawdev_unmap(device, 0, "a"), 0);
	meanwhile.fails = 0;
	CHECK_EQ(meanwhile.calls, 2);
	CHECK_EQ(meanwhile.step, -CF_EAGAIN);
	CHECK_EQ(cf_retire_state(m.map, first + 1), CF_RETIRE_DONE);
	CHECK_EQ(cf_retire_state(m.map, first + 300), CF_RETIRE_DONE);
	CHECK_EQ(stat_of().bad, 1);
	CHECK(holds());
	CHECK_EQ(rawdev_remove_step(device, NULL), 0);
	finish();
}

static void foreign(void)
{
	struct rawdev_finding finding;
	cf_pfn pfn;

	if (!begin(CF_PAGEMAP_P2P, 0))
		return;
	pfn = alloc(folio(0, rawdev_owner(device)));
	cf_put(m.map, pfn);
	CHECK_EQ(stat_of().strangers, 1);
	CHECK_EQ(stat_of().stranger, pfn);
	cf_free_frozen(m.map, pfn, 0);
	/* A part that somebody puts once too often. */
	CHECK_EQ(rawdev_map(device, 2, "a"), 0);
	CHECK_EQ(rawdev_map(device, 2, "b"), 0);
	cf_put(m.map, rawdev_pfn(device, 2));
	CHECK(!rawdev_verify(device, &finding));
	CHECK_EQ(finding.kind, RAWDEV_FINDING_USED);
	CHECK_EQ(finding.pfn, rawdev_pfn(device, 2));
	CHECK_EQ(finding.owner, rawdev_owner(device));
	CHECK_EQ(cf_get(m.map, rawdev_pfn(device, 2)), 0);
	CHECK_EQ(rawdev_unmap(device, 2, "a"), 0);
	CHECK_EQ(rawdev_unmap(device, 2, "b"), 0);
	/* Or for himself: his name goes with the last reference. */
	CHECK_EQ(rawdev_map(device, 2, "a"), 0);
	cf_put(m.map, rawdev_pfn(device, 2));
	CHECK_EQ(stat_of().forgotten, 1);
	CHECK_EQ(stat_of().mappings, 0);
	CHECK_EQ(rawdev_unmap(device, 2, "a"), -CF_EINVAL);
	CHECK_EQ(rawdev_map(device, 2, "a"), 0);
	CHECK_EQ(rawdev_unmap(device, 2, "a"), 0);
	finish();
}

int main(void)
{
	tap_run("parts of every size are used by name", every_size);
	tap_run("done wrongly", done_wrongly);
	tap_run("a peer's DMA while the device goes", removed_under_dma);
	tap_run("bad parts", bad_parts);
	tap_run("two bad frames of a part that goes", bad_twice);
	tap_run("what is no part", foreign);
	return tap_done();
}
