/* SPDX-License-Identifier: MIT */

/* The scene: a machine, a device, a driver. */

#include "tests/virtio/scene.h"

#include <stdlib.h>

#define STEPS_MAX	200000

struct scene s;

static void heard(void *context, enum cf_signal what, cf_pfn pfn)
{
	(void)context;
	(void)pfn;
	if (what == CF_SIGNAL_LOW)
		__atomic_fetch_add(&s.low_signals, 1, __ATOMIC_RELAXED);
}

static int expose(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	(void)first;
	(void)last;
	return s.port_refuses;
}

static bool make_map(const struct scene_config *config)
{
	struct cf_host_config host = {
		.last = s.region_last + s.block,
		.debug_pagealloc = config->guarded,
		.hooks = {
			.signal = heard,
			.first_exposed = expose,
			.returned = expose,
		},
	};
	struct cf_map_config map = {
		.block_order = config->block_order,
		.cpus = 2,
		.nodes = config->nodes,
		.no_caches = !config->caches,
	};
	struct cf_block_config block = { .meta = CF_META_PORT };

	host.last += s.block - host.last % s.block;
	return CHECK_EQ(cf_host_memory_create(&host, &s.memory), 0) &&
	       CHECK_EQ(cf_host_map_create(&s.memory, &map, &s.map), 0) &&
	       CHECK_EQ(cf_block_add(s.map, 0, s.boot_last, &block), 0) &&
	       CHECK_EQ(cf_block_online(s.map, 0, s.block, CF_ZONE_NORMAL,
					NULL), 0) &&
	       CHECK_EQ(cf_block_online(s.map, s.block, s.boot_last,
					config->movable ? CF_ZONE_MOVABLE :
					CF_ZONE_NORMAL, NULL), 0);
}

bool scene_make(struct scene_config config)
{
	memset(&s, 0, sizeof(s));
	tap.broken = false;
	if (!config.block_order)
		config.block_order = 13;
	if (!config.boot_blocks)
		config.boot_blocks = 2;
	if (!config.region)
		config.region = 256 * MIB;
	if (!config.device_block)
		config.device_block = 2 * MIB;
	s.config = config;
	s.block = (cf_pfn)1 << config.block_order;
	s.boot_last = config.boot_blocks * s.block;
	s.region_first = s.boot_last + s.block;
	s.region_first += s.block - s.region_first % s.block;
	s.region_first += config.shift >> CF_FRAME_SHIFT;
	s.region_first += s.region_first % (config.device_block >>
					    CF_FRAME_SHIFT) ?
			  (config.device_block >> CF_FRAME_SHIFT) -
			  s.region_first % (config.device_block >>
					    CF_FRAME_SHIFT) : 0;
	s.region_last = s.region_first + (config.region >> CF_FRAME_SHIFT);
	return make_map(&config);
}

bool scene_verify(void)
{
	struct cf_finding finding;

	if (cf_verify(s.map, &finding))
		return true;
	tap_print("# verify: %s at %#llx, expected %llu, found %llu\n",
		  cf_finding_name(finding.kind),
		  (unsigned long long)finding.pfn,
		  (unsigned long long)finding.expected,
		  (unsigned long long)finding.found);
	return CHECK(false);
}

/* Frames that somebody forgot make this fail. */
static void remove_blocks(void)
{
	struct cf_report report;
	struct cf_block_info info;
	cf_pfn at, step;

	for (at = 0; at < s.region_last + s.block; at += s.block) {
		if (cf_block_info(s.map, at, &info))
			continue;
		if (info.state == CF_BLOCK_ONLINE &&
		    !CHECK_EQ(cf_block_offline(s.map, at, at + s.block, 16,
					       &report), 0))
			tap_print("# block %#llx: %s at %#llx, owner %u\n",
				  (unsigned long long)at,
				  cf_reason_name(report.reason),
				  (unsigned long long)report.pfn,
				  report.owner);
		/* Boot blocks were added one by one as far as META_PORT
		 * goes: each has its own. */
	}
	for (at = 0; at < s.boot_last; at += s.block)
		if (cf_block_info(s.map, at, &info) == 0)
			break;
	if (at < s.boot_last)
		CHECK_EQ(cf_block_remove(s.map, 0, s.boot_last), 0);
	step = s.block;
	if (s.config.vmem.big_block_frames)
		step = s.config.vmem.big_block_frames;
	for (at = s.boot_last + s.block; at < s.region_last; at += s.block)
		if (at % step == 0 && cf_block_info(s.map, at, &info) == 0)
			CHECK_EQ(cf_block_remove(s.map, at, at + step), 0);
}

static void end_drivers(void)
{
	struct cf_vmem_status status;

	if (s.vmem_open) {
		cf_vmem_status(&s.vmem, &status);
		if (!status.broken && s.vmem_started)
			CHECK(scene_resize(0));
		CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
		s.vmem_open = false;
	}
	if (!s.balloon_open)
		return;
	cf_balloon_drain(&s.balloon, true);
	if (!scene_balloon_status().broken) {
		scene_balloon_until(10000);
		if (!s.bal->model.tricked)
			CHECK_EQ(scene_balloon_status().held, 0);
	}
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	s.balloon_open = false;
}

/* Frames of drivers that are gone. */
static void adopt_orphans(void)
{
	static const struct cf_owner_ops no_ops;
	cf_pfn at = 0, last = s.region_last + s.block;
	struct cf_span span;
	uint32_t heir;

	if (!CHECK_EQ(cf_owner_register(s.map, "heir", &no_ops, NULL, &heir),
		      0))
		return;
	cf_walk_begin(s.map);
	while (cf_walk_next(s.map, &at, last, &span)) {
		if (span.kind != CF_SPAN_RUN || span.type != CF_TYPE_OFFLINE ||
		    span.owner != CF_OWNER_ORPHAN)
			continue;
		CHECK_EQ(cf_offline_adopt_range(s.map, heir, span.first,
						span.last), 0);
		CHECK_EQ(cf_offline_free_range(s.map, heir, span.first,
					       span.last), 0);
	}
	cf_walk_end(s.map);
	CHECK_EQ(cf_owner_unregister(s.map, heir, NULL), 0);
}

bool scene_end(void)
{
	if (!s.map)
		return false;
	data_drop(SCENE_FOLIOS);
	end_drivers();
	if (s.mem)
		CHECK_EQ(s.mem->model.violations, 0);
	if (s.mem && s.mem->model.violation)
		tap_print("# violation: %s\n", s.mem->model.violation);
	if (s.bal)
		CHECK_EQ(s.bal->model.violations, 0);
	if (s.bal && s.bal->model.violation)
		tap_print("# violation: %s\n", s.bal->model.violation);
	if (s.data.owner)
		CHECK_EQ(cf_owner_unregister(s.map, s.data.owner, NULL), 0);
	while (s.shares)
		cf_free_frozen(s.map, s.shared[--s.shares], 5);
	scene_verify();
	adopt_orphans();
	scene_verify();
	remove_blocks();
	CHECK_EQ(cf_host_map_destroy(s.map), 0);
	cf_host_memory_destroy(&s.memory);
	model_mem_destroy(s.mem);
	model_balloon_destroy(s.bal);
	free(s.reported);
	free(s.storage);
	s.map = NULL;
	return !tap.broken;
}

static void interrupt(void *context, bool msix, uint64_t address,
		      uint32_t data)
{
	(void)context;
	(void)msix;
	(void)address;
	(void)data;
	__atomic_fetch_add(&s.interrupts, 1, __ATOMIC_RELAXED);
}

static void straight(struct model *model, const struct cf_virtio_ops **ret_ops,
		     void **ret_transport)
{
	unsigned bus = s.mem && model == &s.mem->model ? 0 : 1;
	struct cf_virtio_pci *pci = &s.bus[bus].pci;

	model->interrupt = interrupt;
	if (s.config.bus == BUS_MMIO) {
		s.bus[bus].mmio = model_mmio(model);
		CHECK_EQ(cf_virtio_mmio_probe(&s.bus[bus].mmio), 0);
		*ret_ops = &cf_virtio_mmio_ops;
		*ret_transport = &s.bus[bus].mmio;
		return;
	}
	s.bus[bus].access = model_pci(model, s.config.bus == BUS_PCI_MSIX);
	CHECK_EQ(cf_virtio_pci_probe(pci, &s.bus[bus].access), 0);
	if (s.config.bus == BUS_PCI_MSIX) {
		CHECK_EQ(cf_virtio_pci_vector(pci, 0, 0xfee00000, 1), 0);
		CHECK_EQ(cf_virtio_pci_vector(pci, 1, 0xfee00000, 2), 0);
		CHECK_EQ(cf_virtio_pci_msix(pci, true), 0);
	}
	*ret_ops = &cf_virtio_pci_ops;
	*ret_transport = pci;
}

void scene_transport(struct model *model, const struct cf_virtio_ops **ret_ops,
		     void **ret_transport)
{
	straight(model, &s.straight, ret_transport);
	s.twisted = *s.straight;
	if (s.config.twist)
		s.config.twist(&s.twisted);
	*ret_ops = s.config.twist ? &s.twisted : s.straight;
}

/* 128 KiB of boot memory for queues. */
bool scene_share(size_t bytes, struct cf_virtio_memory *ret_shared)
{
	struct cf_request request = {
		.order = 5,
		.type = CF_TYPE_KERNEL,
		.flags = CF_ALLOC_FROZEN | CF_ALLOC_ZERO,
	};

	if (!CHECK(bytes <= 32 * CF_FRAME_BYTES))
		return false;
	/* Not at 0: no device takes that for a queue. */
	do {
		if (!CHECK(s.shares < 8) ||
		    !CHECK_EQ(cf_alloc(s.map, request, &s.shared_pfn), 0))
			return false;
		s.shared[s.shares++] = s.shared_pfn;
	} while (s.shared_pfn == 0);
	*ret_shared = (struct cf_virtio_memory){
		.address = s.memory.base + s.shared_pfn * CF_FRAME_BYTES,
		.phys = s.shared_pfn << CF_FRAME_SHIFT,
		.bytes = bytes,
	};
	return true;
}

bool scene_mem_model(void)
{
	struct model_mem_config config = {
		.memory = &s.memory,
		.addr = s.region_first << CF_FRAME_SHIFT,
		.region = s.config.region,
		.block = s.config.device_block,
		.node = s.config.node - 1,
		.inaccessible = true,
	};

	s.mem = model_mem_create(&config);
	return CHECK(s.mem != NULL);
}

int scene_mem_open(void)
{
	struct cf_vmem_config config = s.config.vmem;
	int err;

	config.map = s.map;
	scene_transport(&s.mem->model, &config.ops, &config.transport);
	if (!scene_share(cf_vmem_shared_bytes(), &config.shared))
		return -CF_ENOMEM;
	err = cf_vmem_open(&s.vmem, &config);
	s.vmem_open = true;
	if (err)
		return err;
	s.storage = malloc(cf_vmem_bytes(&s.vmem) + 8);
	memset(s.storage, 0xa5, cf_vmem_bytes(&s.vmem) + 8);
	err = cf_vmem_start(&s.vmem, s.storage);
	s.vmem_started = err == 0;
	return err;
}

bool scene_mem(void)
{
	return scene_mem_model() && CHECK_EQ(scene_mem_open(), 0);
}

void scene_mem_work(void)
{
	struct cf_next next = { CF_WHEN_NOW, 0 };
	unsigned steps;

	for (steps = 0; next.when == CF_WHEN_NOW; steps++) {
		if (!CHECK(steps < STEPS_MAX))
			return;
		next = cf_vmem_work(&s.vmem, s.now);
		/* An interrupt may have come, or not: look again. */
		if (next.when != CF_WHEN_NOW)
			next = cf_vmem_work(&s.vmem, s.now);
	}
}

bool scene_resize(uint64_t bytes)
{
	struct cf_vmem_status status;
	unsigned tries;

	if (!CHECK(model_mem_request(s.mem, bytes)))
		return false;
	for (tries = 0; tries < 20; tries++) {
		scene_mem_work();
		cf_vmem_status(&s.vmem, &status);
		if (status.phase != CF_VMEM_BACKING_OFF)
			break;
		s.now += 1000000;
	}
	return status.plugged == bytes && status.phase == CF_VMEM_IDLE;
}

struct cf_vmem_status scene_mem_status(void)
{
	struct cf_vmem_status status;

	cf_vmem_status(&s.vmem, &status);
	return status;
}

static bool all_plugged(cf_pfn first, cf_pfn last)
{
	cf_pfn step = s.config.device_block >> CF_FRAME_SHIFT;

	for (; first < last; first += step - first % step)
		if (!model_mem_has(s.mem, first << CF_FRAME_SHIFT))
			return false;
	return true;
}

static bool check_span(const struct cf_span *span)
{
	if (span->kind == CF_SPAN_ABSENT ||
	    span->kind == CF_SPAN_BLOCK_OFFLINE ||
	    (span->kind == CF_SPAN_RUN && span->type == CF_TYPE_OFFLINE))
		return true;
	return all_plugged(span->first, span->last);
}

bool scene_mem_check(void)
{
	cf_pfn at = s.region_first;
	struct cf_span span;
	bool ok = true;

	cf_walk_begin(s.map);
	while (ok && cf_walk_next(s.map, &at, s.region_last, &span))
		ok = check_span(&span);
	cf_walk_end(s.map);
	if (!ok)
		tap_print("# in use and not plugged: [%#llx, %#llx)\n",
			  (unsigned long long)span.first,
			  (unsigned long long)span.last);
	return CHECK(ok) && scene_verify();
}

bool scene_balloon_model(void)
{
	s.bal = model_balloon_create(&s.memory, s.config.balloon_features);
	return CHECK(s.bal != NULL);
}

int scene_balloon_open(void)
{
	struct cf_balloon_config config = s.config.balloon;
	int err;

	config.map = s.map;
	scene_transport(&s.bal->model, &config.ops, &config.transport);
	if (!scene_share(cf_balloon_shared_bytes(), &config.shared))
		return -CF_ENOMEM;
	s.reported = calloc(1, cf_balloon_reported_bytes(s.map));
	config.reported = s.reported;
	err = cf_balloon_open(&s.balloon, &config);
	s.balloon_open = true;
	return err;
}

bool scene_balloon(void)
{
	return scene_balloon_model() && CHECK_EQ(scene_balloon_open(), 0);
}

/* Work until there is nothing to do at this time. */
static struct cf_next work_balloon(void)
{
	struct cf_next next = { CF_WHEN_NOW, 0 };
	unsigned steps;

	for (steps = 0; next.when == CF_WHEN_NOW; steps++) {
		if (!CHECK(steps < STEPS_MAX))
			return next;
		next = cf_balloon_work(&s.balloon, s.now);
		if (next.when != CF_WHEN_NOW)
			next = cf_balloon_work(&s.balloon, s.now);
	}
	return next;
}

void scene_balloon_work(void)
{
	(void)work_balloon();
}

void scene_balloon_until(uint64_t ms)
{
	uint64_t end = s.now + ms;
	struct cf_next next;

	for (;;) {
		next = work_balloon();
		if (next.when != CF_WHEN_AT || next.at_ms > end)
			break;
		s.now = next.at_ms;
	}
	s.now = end;
	(void)work_balloon();
}

bool scene_balloon_size(uint64_t frames)
{
	struct cf_balloon_status status;

	model_balloon_target(s.bal, (uint32_t)frames);
	scene_balloon_work();
	status = scene_balloon_status();
	return status.held == frames && status.phase == CF_BALLOON_IDLE &&
	       model_balloon_actual(s.bal) == frames &&
	       s.bal->ballooned == frames;
}

struct cf_balloon_status scene_balloon_status(void)
{
	struct cf_balloon_status status;

	cf_balloon_status(&s.balloon, &status);
	return status;
}

bool scene_balloon_check(void)
{
	cf_pfn at = 0, pfn, last = s.region_last;
	struct cf_span span;
	bool ok = true;

	cf_walk_begin(s.map);
	while (ok && cf_walk_next(s.map, &at, last, &span))
		for (pfn = span.first; pfn < span.last && ok; pfn++)
			ok = !bits_get(s.bal->held, pfn) ||
			     (span.kind == CF_SPAN_RUN &&
			      span.type == CF_TYPE_OFFLINE);
	cf_walk_end(s.map);
	if (!ok)
		tap_print("# the host has [%#llx, %#llx), which is in use\n",
			  (unsigned long long)span.first,
			  (unsigned long long)span.last);
	return CHECK(ok) && scene_verify();
}
