/* SPDX-License-Identifier: MIT */

/*
 * The owners of device memory: truncation against mapping, a peer's DMA
 * against removal, the driver's free list against who knows a number.
 */

#include "owners/daxfile.h"
#include "owners/devmem.h"
#include "owners/rawdev.h"

#include "ground.h"

#define FIRST	GROUND_BLOCK
#define SECOND	(GROUND_BLOCK + GROUND_CHUNK)
#define LAST	(2 * GROUND_BLOCK)

static struct {
	struct daxfile *store;
	struct devmem *driver;
	struct rawdev *device;
	cf_pfn mapped;		/* a block that thread 0 has mapped */
	cf_pfn taken[EXPLORE_THREADS_MAX];
	int err[EXPLORE_THREADS_MAX];
	void *meta;
	size_t meta_bytes;
} *w;

static struct cf_pagemap_config begin(enum cf_pagemap_kind kind,
				      uint32_t poison)
{
	struct cf_pagemap_config config = {
		.kind = kind, .meta = CF_META_CALLER,
	};

	ground_init((struct ground_config) {
		.blocks = 2, .online = 1, .poison_max = poison });
	w = explore_memory(sizeof(*w));
	w->meta = ground_meta(1);
	w->meta_bytes = cf_block_meta_bytes(ground_map, 1);
	explore_name(w->meta, w->meta_bytes, "metadata of block", 1);
	config.memory = w->meta;
	return config;
}

static uint32_t refs_of(cf_pfn pfn)
{
	struct cf_snapshot run = { .refs = 0 };

	(void)!cf_snapshot(ground_map, pfn, &run);
	return run.refs;
}

/* ---- files ---- */

static void set_up_file(void)
{
	struct daxfile_config config = {
		.pagemap = begin(CF_PAGEMAP_FS_DAX, 0), .first = FIRST,
		.last = LAST, .files = 2, .pages = 2,
	};

	MUST(daxfile_create(ground_map, &config,
			    explore_memory(daxfile_bytes(&config)),
			    &w->store));
	MUST(daxfile_extend(w->store, 0, 1));
}

/* The block is the other file's, who writes to it, if it is nobody's. */
static void truncate_and_give(void)
{
	cf_pfn pfn;

	MUST(daxfile_truncate_start(w->store, 0, 0));
	REQUIRE(daxfile_map(w->store, 0, 0, &pfn) == -CF_EBUSY);
	w->err[0] = daxfile_truncate_step(w->store, 0, NULL);
	if (w->err[0]) {
		MUST(daxfile_truncate_cancel(w->store, 0));
		return;
	}
	MUST(daxfile_extend(w->store, 1, 1));
	MUST(daxfile_map(w->store, 1, 0, &pfn));
	*ground_contents(pfn) = 2;
	REQUIRE(*ground_contents(pfn) == 2);
	cf_put(ground_map, pfn);
}

static void map_and_write(void)
{
	cf_pfn pfn;

	w->err[1] = daxfile_map(w->store, 0, 0, &pfn);
	if (w->err[1]) {
		REQUIRE(w->err[1] == -CF_EBUSY || w->err[1] == -CF_EGONE ||
			w->err[1] == -CF_EAGAIN);
		return;
	}
	*ground_contents(pfn) = 1;
	REQUIRE(*ground_contents(pfn) == 1);
	cf_put(ground_map, pfn);
}

static void end_file(void)
{
	struct daxfile_finding finding;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EBUSY);
	REQUIRE(daxfile_pages(w->store, 0) == (w->err[0] ? 1 : 0));
	REQUIRE(daxfile_verify(w->store, &finding));
	ground_verify();
}

static const struct explore_program truncate_against_map = {
	.name = "dax-truncate-against-map",
	.worry = "a block is another file's when nobody has it mapped and "
		 "nobody maps it any more (truncation of fs-dax, 2025)",
	.setup = set_up_file,
	.thread = { truncate_and_give, map_and_write },
	.end = end_file,
	.quick = true,
};

/* Somebody has it mapped at first: others map it by its number. */
static void set_up_mapped(void)
{
	set_up_file();
	MUST(daxfile_map(w->store, 0, 0, &w->mapped));
}

static void unmap_truncate_and_give(void)
{
	cf_put(ground_map, w->mapped);
	truncate_and_give();
}

static const struct explore_program unmap_against_map = {
	.name = "dax-unmap-against-map",
	.worry = "who maps a page that is going has the page's block or none, "
		 "never what the block has become",
	.setup = set_up_mapped,
	.thread = { unmap_truncate_and_give, map_and_write },
	.end = end_file,
};

/* The block that is mapped turns out bad; its page goes, and others come. */
static void set_up_bad_block(void)
{
	struct daxfile_config config = {
		.pagemap = begin(CF_PAGEMAP_FS_DAX, 1), .first = FIRST,
		.last = LAST, .files = 2, .pages = 2,
	};
	enum cf_retire_state state;

	MUST(daxfile_create(ground_map, &config,
			    explore_memory(daxfile_bytes(&config)),
			    &w->store));
	MUST(daxfile_extend(w->store, 0, 1));
	MUST(daxfile_map(w->store, 0, 0, &w->mapped));
	MUST(cf_retire(ground_map, w->mapped, &state));
	REQUIRE(state == CF_RETIRE_PENDING);
}

static void unmap_bad(void)
{
	cf_put(ground_map, w->mapped);
}

static void truncate_and_extend(void)
{
	w->err[1] = daxfile_truncate(w->store, 0, 0, 1, NULL);
	MUST(daxfile_extend(w->store, 1, 1));
}

static void end_bad_block(void)
{
	struct daxfile_finding finding;
	struct daxfile_stat stat;
	cf_pfn pfn;

	REQUIRE(w->err[1] == 0 || w->err[1] == -CF_EBUSY);
	REQUIRE(cf_retire_state(ground_map, w->mapped) == CF_RETIRE_DONE);
	daxfile_stat(w->store, &stat);
	REQUIRE(stat.bad == 1 && stat.lost == 1);
	MUST(daxfile_map(w->store, 1, 0, &pfn));
	cf_put(ground_map, pfn);
	REQUIRE(daxfile_verify(w->store, &finding));
	ground_verify();
}

static const struct explore_program failure_against_truncate = {
	.name = "dax-failure-against-truncate",
	.worry = "a block that is bad is no other file's, however soon the "
		 "page it was is cut off",
	.setup = set_up_bad_block,
	.thread = { unmap_bad, truncate_and_extend },
	.end = end_bad_block,
};

/* ---- DMA ---- */

static void make_bridge(uint32_t poison)
{
	struct rawdev_config config = {
		.pagemap = begin(CF_PAGEMAP_P2P, poison), .first = FIRST,
		.last = LAST, .order = CF_CHUNK_ORDER, .holds = 3,
	};

	MUST(rawdev_create(ground_map, &config,
			   explore_memory(rawdev_bytes(&config)),
			   &w->device));
}

static void set_up_bridge(void)
{
	make_bridge(0);
}

static void remove_bridge(void)
{
	MUST(rawdev_remove_start(w->device));
	w->err[0] = rawdev_remove_step(w->device, NULL);
}

static void do_dma(void)
{
	w->err[1] = rawdev_pin(w->device, 0, "nic");
	if (w->err[1]) {
		REQUIRE(w->err[1] == -CF_EREFUSED || w->err[1] == -CF_EAGAIN);
		return;
	}
	REQUIRE(refs_of(FIRST) == 1);
	MUST(rawdev_unpin(w->device, 0, "nic"));
}

static void end_bridge(void)
{
	struct rawdev_finding finding;
	struct rawdev_stat stat;

	rawdev_stat(w->device, &stat);
	REQUIRE(stat.pins == 0 && stat.mappings == 0);
	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EBUSY ||
		w->err[0] == -CF_EAGAIN);
	if (w->err[0])
		MUST(rawdev_remove_cancel(w->device));
	REQUIRE(rawdev_verify(w->device, &finding));
	ground_verify();
}

static const struct explore_program removal_against_dma = {
	.name = "bridge-removal-against-dma",
	.worry = "memory of a bridge does not go under a peer's DMA, and one "
		 "that comes too late is refused (p2pdma)",
	.setup = set_up_bridge,
	.thread = { remove_bridge, do_dma },
	.end = end_bridge,
};

/* One leaves the part, and another uses it next, while a third comes. */
static void set_up_used_part(void)
{
	make_bridge(0);
	MUST(rawdev_map(w->device, 0, "nic"));
}

static void come_and_go(void)
{
	const char *who = explore_self() ? "gpu" : "fpga";
	int err = rawdev_map(w->device, 0, who);

	if (err)
		REQUIRE(err == -CF_EAGAIN);
	else
		MUST(rawdev_unmap(w->device, 0, who));
}

static void let_go(void)
{
	MUST(rawdev_unmap(w->device, 0, "nic"));
}

static void let_go_and_come(void)
{
	let_go();
	come_and_go();
}

static void end_peers(void)
{
	struct rawdev_finding finding;
	struct rawdev_stat stat;

	rawdev_stat(w->device, &stat);
	REQUIRE(stat.pins == 0 && stat.mappings == 0 && stat.forgotten == 0);
	REQUIRE(refs_of(FIRST) == 0);
	REQUIRE(rawdev_verify(w->device, &finding));
	ground_verify();
}

static const struct explore_program peers_of_a_part = {
	.name = "bridge-peers-of-a-part",
	.worry = "of peers that come to one part while others leave it each "
		 "has name and reference, or neither",
	.setup = set_up_used_part,
	.thread = { let_go_and_come, come_and_go },
	.end = end_peers,
};

/* A part has a bad frame: it is taken out when its user lets go. */
static void make_bad_part(uint32_t poison)
{
	enum cf_retire_state state;

	make_bridge(poison);
	MUST(rawdev_map(w->device, 0, "nic"));
	MUST(cf_retire(ground_map, FIRST + 1, &state));
}

static void set_up_bad_part(void)
{
	make_bad_part(1);
}

static void end_bad_part(void)
{
	struct cf_pagemap_info info;

	REQUIRE(cf_retire_state(ground_map, FIRST + 1) == CF_RETIRE_DONE ||
		!w->err[0]);
	end_bridge();
	if (w->err[0]) {
		MUST(cf_pagemap_info(ground_map, FIRST, &info));
		REQUIRE(info.retired == 1);
	}
}

static const struct explore_program removal_against_failure = {
	.name = "bridge-removal-against-failure",
	.worry = "a part that falls apart around a bad frame while its range "
		 "goes is given up in pieces, or not yet",
	.setup = set_up_bad_part,
	.thread = { remove_bridge, let_go },
	.end = end_bad_part,
	.bound = 2,
};

/* Another frame of the part fails; the range may be going by then. */
static void fail_second(void)
{
	enum cf_retire_state state = CF_RETIRE_NONE;
	int err = cf_retire(ground_map, FIRST + 2, &state);

	w->err[1] = err;
	REQUIRE(!err || err == -CF_EBUSY || err == -CF_EAGAIN);
	REQUIRE(err || state != CF_RETIRE_NONE);
}

/* All that failed is out, the part is used no more, and the range can go. */
static void end_two_bad(void)
{
	struct cf_pagemap_info info;
	struct rawdev_stat stat;

	REQUIRE(!w->err[1]);
	rawdev_stat(w->device, &stat);
	REQUIRE(stat.bad == 1 && stat.idle == 1);
	REQUIRE(rawdev_map(w->device, 0, "late") == -CF_EREFUSED);
	MUST(cf_pagemap_info(ground_map, FIRST, &info));
	REQUIRE(info.retired == 2);
	w->err[0] = 0;
	remove_bridge();
	MUST(w->err[0]);
}

static void set_up_two_bad(void)
{
	make_bad_part(2);
}

static const struct explore_program two_failures = {
	.name = "bridge-failure-against-let-go",
	.worry = "a frame that fails while its part falls apart around another "
		 "is taken out, too, whoever is at the part",
	.setup = set_up_two_bad,
	.thread = { let_go, fail_second },
	.end = end_two_bad,
};

/* The range goes, or stays with what failed taken out. */
static void end_bad_bridge(void)
{
	struct cf_pagemap_info info;

	if (!w->err[0])
		return;
	MUST(rawdev_remove_cancel(w->device));
	MUST(cf_pagemap_info(ground_map, FIRST, &info));
	REQUIRE(info.retired == (w->err[1] ? 1 : 2));
	ground_verify();
	remove_bridge();
	MUST(w->err[0]);
}

static void let_go_and_fail(void)
{
	let_go();
	fail_second();
}

static const struct explore_program failures_and_removal = {
	.name = "bridge-failures-and-removal",
	.worry = "two frames of a part fail, one before and one after its user "
		 "lets go, while the range goes: all is given up, or stays "
		 "without them",
	.setup = set_up_two_bad,
	.thread = { remove_bridge, let_go_and_fail },
	.end = end_bad_bridge,
	.bound = 1,
};

/* ---- the driver ---- */

static void set_up_driver(void)
{
	struct devmem_config config = {
		.pagemap = begin(CF_PAGEMAP_COHERENT, 0), .first = FIRST,
		.last = LAST,
	};

	MUST(devmem_create(ground_map, &config,
			   explore_memory(devmem_bytes(&config)),
			   &w->driver));
	/* One run stays out; the other goes to and fro. */
	MUST(devmem_alloc(w->driver, CF_CHUNK_ORDER, &w->taken[2]));
	MUST(devmem_alloc(w->driver, CF_CHUNK_ORDER, &w->mapped));
	*ground_contents(w->mapped) = 1;
}

static void put_run(void)
{
	REQUIRE(*ground_contents(w->mapped) == 1);
	cf_put(ground_map, w->mapped);
}

static void alloc_run(void)
{
	cf_pfn pfn;

	w->err[1] = devmem_alloc(w->driver, CF_CHUNK_ORDER, &pfn);
	if (w->err[1])
		return;
	*ground_contents(pfn) = 2;
	REQUIRE(refs_of(pfn) >= 1);
	REQUIRE(*ground_contents(pfn) == 2);
	cf_put(ground_map, pfn);
}

static void get_run(void)
{
	if (cf_try_get(ground_map, w->mapped) == 0)
		cf_put(ground_map, w->mapped);
}

static void end_driver(void)
{
	struct devmem_finding finding;

	REQUIRE(w->err[1] == 0 || w->err[1] == -CF_ENOMEM);
	REQUIRE(refs_of(w->mapped) == 0);
	REQUIRE(devmem_verify(w->driver, &finding));
	ground_verify();
}

static const struct explore_program free_list = {
	.name = "driver-free-list",
	.worry = "a driver that takes pages from its free list while others "
		 "try their numbers gets each alone (hmm_test, ZONE_DEVICE at "
		 "refcount 0, 2022)",
	.setup = set_up_driver,
	.thread = { put_run, alloc_run, get_run },
	.end = end_driver,
};

/* ---- users of a page that is to go back ---- */

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)order;
	*ground_contents(target) = *ground_contents(source);
	return 0;
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)order;
	w->taken[2] = target;
}

/* A page of 2 MiB has gone to the device; one user has it mapped. */
static void make_guest_page(enum cf_pagemap_kind kind)
{
	struct devmem_config config = {
		.pagemap = begin(kind, 0), .first = FIRST,
		.last = LAST, .copy = copy, .moved = moved,
	};

	MUST(devmem_create(ground_map, &config,
			   explore_memory(devmem_bytes(&config)),
			   &w->driver));
	w->taken[2] = ground_alloc(CF_TYPE_FOLIO, CF_CHUNK_ORDER, 0);
	*ground_contents(w->taken[2]) = 1;
	MUST(devmem_to_device(w->driver, w->taken[2], 1, NULL));
	w->mapped = w->taken[2];
}

static void set_up_guest_page(void)
{
	make_guest_page(CF_PAGEMAP_COHERENT);
}

static void map_and_look(void)
{
	w->err[0] = devmem_map(w->driver, w->mapped);
	if (w->err[0]) {
		REQUIRE(w->err[0] == -CF_EAGAIN || w->err[0] == -CF_EINVAL);
		return;
	}
	/* It may have gone back meanwhile: then both references have. */
	w->err[0] = devmem_unmap(w->driver, w->mapped);
	REQUIRE(!w->err[0] || w->err[0] == -CF_EAGAIN ||
		w->err[0] == -CF_EINVAL);
	w->taken[0] = w->err[0] != 0;
}

static void evict(void)
{
	uint64_t count;

	w->err[1] = devmem_evict(w->driver, 1, &count);
	REQUIRE(!w->err[1] || w->err[1] == -CF_EAGAIN);
}

static void end_guest_page(void)
{
	struct devmem_finding finding;

	/* Whoever mapped it and did not unmap it has a reference still. */
	REQUIRE(refs_of(w->taken[2]) == 1 + w->taken[0]);
	REQUIRE(w->taken[2] == w->mapped || refs_of(w->mapped) == 0);
	REQUIRE(*ground_contents(w->taken[2]) == 1);
	REQUIRE(devmem_verify(w->driver, &finding));
	ground_verify();
}

static const struct explore_program map_against_evict = {
	.name = "driver-map-against-evict",
	.worry = "a page that goes back takes all who have it mapped along, "
		 "and none who has not (hmm_test, 2022)",
	.setup = set_up_guest_page,
	.thread = { map_and_look, evict },
	.end = end_guest_page,
};

static void touch_page(void)
{
	cf_pfn now;

	w->err[0] = cf_pagemap_fault(ground_map, w->mapped, &now);
	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN ||
		w->err[0] == -CF_EGONE);
	if (!w->err[0])
		REQUIRE(*ground_contents(now) == 1);
}

static void set_up_private_page(void)
{
	make_guest_page(CF_PAGEMAP_PRIVATE);
}

static void end_private_page(void)
{
	w->taken[0] = 0;
	/* One of them moved it, or each met the other. */
	REQUIRE(!w->err[0] || !w->err[1] || w->taken[2] == w->mapped);
	end_guest_page();
}

static const struct explore_program touch_against_evict = {
	.name = "driver-touch-against-evict",
	.worry = "a page that a CPU touches while the driver brings it back "
		 "moves once (do_swap_page, 2024)",
	.setup = set_up_private_page,
	.thread = { touch_page, evict },
	.end = end_private_page,
};

const struct explore_program *const explore_devices[] = {
	&truncate_against_map,
	&unmap_against_map,
	&failure_against_truncate,
	&removal_against_dma,
	&peers_of_a_part,
	&removal_against_failure,
	&two_failures,
	&failures_and_removal,
	&free_list,
	&map_against_evict,
	&touch_against_evict,
	NULL
};
