/* SPDX-License-Identifier: MIT */
/*
 * QEMU's own virtio-mem and virtio-balloon, driven from the bare machine: the
 * frame numbers are the machine's, memory that is plugged joins the direct
 * map. tests/guest/devices.py is the host: it does what "# want" lines say.
 */
#include "guest/include/guest.h"
#include "guest/include/stdio.h"
#include "guest/include/stdlib.h"
#include "guest/include/string.h"
#include "guest/include/sys/mman.h"
#include "guest/kernel.h"
#include "guest/pci.h"
#include "tests/tap.h"
#include "virtio/balloon.h"
#include "virtio/mem.h"

#include <coldframe/coldframe.h>

#define MIB		((uint64_t)1 << 20)
#define BLOCK_ORDER	13		/* 32 MiB */
#define BLOCK		((cf_pfn)1 << BLOCK_ORDER)
#define BOOT_BYTES	(64 * MIB)
#define LIMIT_BYTES	(8192 * MIB)
#define PLUGGED		(64 * MIB)	/* what devices.py asks for first */
#define KEPT		64		/* runs that stay while memory goes */
#define PATIENCE_NS	20000000000ull

enum way { WAY_INTX, WAY_POLL };

struct device {
	struct pci_function *function;
	struct cf_virtio_pci pci;
	void *shared;
};

static struct pci_function function[32];
static unsigned functions;
static struct device mem_device, balloon_device;
static struct cf_vmem vmem;
static struct cf_balloon balloon;
static bool balloon_is_open;
static struct cf_map *map;
static cf_pfn boot_first;
static uint32_t owner;
static cf_pfn kept[KEPT];
static volatile unsigned heard[2];	/* interrupts of mem, of balloon */
static enum way way;

/* ---- the machine: frames are where they are ---- */

static void *meta_alloc(void *machine, size_t bytes)
{
	(void)machine;
	return aligned_alloc(CF_FRAME_BYTES, bytes);
}

static void meta_free(void *machine, void *memory, size_t bytes)
{
	(void)machine;
	(void)bytes;
	free(memory);
}

static void *frame_address(void *machine, cf_pfn pfn, uint64_t count)
{
	(void)machine;
	return count ? (void *)(pfn * CF_FRAME_BYTES) : NULL;
}

static int first_exposed(void *machine, cf_pfn first, cf_pfn last)
{
	(void)machine;
	return space_map_direct(first * CF_FRAME_BYTES, last * CF_FRAME_BYTES,
				false) ? 0 : -1;
}

static const struct cf_bare_ops ops = {
	.meta_alloc = meta_alloc,
	.meta_free = meta_free,
	.frame_address = frame_address,
	.first_exposed = first_exposed,
};
static struct cf_bare_machine machine = { &ops };

static int migrate(void *context, cf_pfn source, cf_pfn target,
		   unsigned order)
{
	unsigned i;
	int err = cf_freeze(map, source, 2);

	(void)context;
	if (err)
		return err;
	err = cf_copy_run(map, source, target, order);
	CHECK(err == 0);
	cf_unfreeze(map, target, 1);
	for (i = 0; i < KEPT; i++)
		if (kept[i] == source)
			kept[i] = target;
	return 0;
}

static void make_map(void)
{
	static const struct cf_owner_ops owner_ops = { .migrate = migrate };
	struct cf_map_config config = {
		.last = LIMIT_BYTES / CF_FRAME_BYTES,
		.block_order = BLOCK_ORDER,
		.cpus = 1,
		.machine = &machine,
	};
	struct cf_block_config block = { .meta = CF_META_PORT };
	void *storage = mmap(NULL, cf_map_bytes(&config),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	boot_first = page_take_top(BOOT_BYTES, BLOCK * CF_FRAME_BYTES) /
		     CF_FRAME_BYTES;
	thread_self()->context.cpu = 0;
	if (!CHECK(boot_first != 0) ||
	    !CHECK(cf_map_create(&config, storage, &map) == 0))
		return;
	CHECK(cf_block_add(map, boot_first, boot_first + 2 * BLOCK,
			   &block) == 0);
	CHECK(cf_block_online(map, boot_first, boot_first + 2 * BLOCK,
			      CF_ZONE_NORMAL, NULL) == 0);
	CHECK(cf_owner_register(map, "test", &owner_ops, NULL, &owner) == 0);
}

/* What is being reported this moment is only away for that. */
static uint64_t managed_bytes(void)
{
	struct cf_balloon_status status = { .reporting = 0 };
	struct cf_stat stat;

	cf_stat(map, &stat);
	if (balloon_is_open)
		cf_balloon_status(&balloon, &status);
	return (stat.managed + status.reporting) * CF_FRAME_BYTES;
}

/* ---- PCI ---- */

static struct pci_function *find(uint16_t device, uint16_t or_device)
{
	unsigned i;

	for (i = 0; i < functions && i < 32; i++)
		if (function[i].vendor == 0x1af4 &&
		    (function[i].device == device ||
		     function[i].device == or_device))
			return &function[i];
	return NULL;
}

static void scan(void)
{
	functions = pci_scan(function, 32);
	CHECK(functions >= 3);
	mem_device.function = find(0x1058, 0x1058);
	balloon_device.function = find(0x1002, 0x1045);
	CHECK(mem_device.function != NULL);
	CHECK(balloon_device.function != NULL);
}

static void hear_mem(void *context)
{
	(void)context;
	heard[0] += cf_vmem_interrupt(&vmem, 0) != 0;
}

static void hear_balloon(void *context)
{
	(void)context;
	heard[1] += cf_balloon_interrupt(&balloon, 0) != 0;
}

static bool probe(struct device *device, size_t shared_bytes)
{
	struct cf_pci_access access;

	if (!CHECK(device->function != NULL))
		return false;
	access = pci_access(device->function);
	if (!CHECK(cf_virtio_pci_probe(&device->pci, &access) == 0))
		return false;
	cf_virtio_pci_intx(&device->pci, way == WAY_INTX);
	device->shared = (void *)page_take_top((shared_bytes + 4095) &
					       ~(size_t)4095, CF_FRAME_BYTES);
	if (!CHECK(device->shared != NULL))
		return false;
	(void)memset(device->shared, 0, shared_bytes);
	return true;
}

static struct cf_virtio_memory shared_of(const struct device *device,
					 size_t bytes)
{
	return (struct cf_virtio_memory){
		device->shared, (uintptr_t)device->shared, bytes,
	};
}

/* ---- the host, and waiting for what a driver waits for ---- */

/* Until it has done or seen that. */
static void want(const char *what, uint64_t value)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;

	tap_print("# want %s %llu\n", what, (unsigned long long)value);
	while (arch_get() != '\n' && CHECK(arch_now_ns() < end))
		thread_sleep(arch_now_ns() + 200000);
}

static uint64_t now_ms(void)
{
	return arch_now_ns() / 1000000;
}

/*
 * With interrupts a driver that wants an event works again after one, or
 * after a second: what is lost makes the test slow, and then fail.
 */
static void wait_for(struct cf_next next, uint64_t seen)
{
	uint64_t now = arch_now_ns(), until = now + 1000000000;

	if (next.when == CF_WHEN_NOW)
		return;
	if (way == WAY_POLL)
		until = now + 2000000;
	if (next.when == CF_WHEN_AT && next.at_ms * 1000000 < until)
		until = next.at_ms * 1000000;
	interrupt_wait(seen, until > now ? until : now + 1);
}

static bool work_mem(uint64_t wanted_bytes)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	struct cf_vmem_status status = { .phase = CF_VMEM_IDLE };

	while (arch_now_ns() < end) {
		uint64_t seen = interrupt_count();
		struct cf_next next = cf_vmem_work(&vmem, now_ms());

		cf_vmem_status(&vmem, &status);
		if (status.phase == CF_VMEM_BROKEN)
			break;
		if (status.phase == CF_VMEM_IDLE && !status.waiting &&
		    status.plugged == wanted_bytes &&
		    status.requested == wanted_bytes)
			return true;
		wait_for(next, seen);
	}
	tap_print("# %s: plugged %llu, requested %llu; %s\n",
		  cf_vmem_phase_name(status.phase),
		  (unsigned long long)status.plugged,
		  (unsigned long long)status.requested,
		  cf_virtio_broken_name(status.broken));
	return false;
}

static bool work_balloon(uint64_t wanted_frames)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	struct cf_balloon_status status = { .phase = CF_BALLOON_IDLE };

	while (arch_now_ns() < end) {
		uint64_t seen = interrupt_count();
		struct cf_next next = cf_balloon_work(&balloon, now_ms());

		cf_balloon_status(&balloon, &status);
		if (status.phase == CF_BALLOON_BROKEN)
			break;
		if (status.held == wanted_frames &&
		    status.target == wanted_frames && !status.inflating &&
		    !status.deflating)
			return true;
		wait_for(next, seen);
	}
	tap_print("# %s: held %llu, target %llu; %s\n",
		  cf_balloon_phase_name(status.phase),
		  (unsigned long long)status.held,
		  (unsigned long long)status.target,
		  cf_virtio_broken_name(status.broken));
	return false;
}

/* ---- virtio-mem ---- */

static void open_mem(void)
{
	size_t bytes = cf_vmem_shared_bytes();
	struct cf_vmem_config config = {
		.map = map,
		.ops = &cf_virtio_pci_ops,
		.transport = &mem_device.pci,
	};
	void *storage;

	if (!probe(&mem_device, bytes))
		return;
	config.shared = shared_of(&mem_device, bytes);
	CHECK(interrupt_attach(arch_intx_vector(), hear_mem, NULL));
	if (!CHECK(cf_vmem_open(&vmem, &config) == 0))
		return;
	storage = malloc(cf_vmem_bytes(&vmem));
	CHECK(cf_vmem_start(&vmem, storage) == 0);
}

static void plug(void)
{
	uint64_t before = managed_bytes();

	want("vmem0 requested-size", PLUGGED);
	CHECK(work_mem(PLUGGED));
	CHECK_EQ(managed_bytes() - before, PLUGGED);
	CHECK(cf_verify(map, NULL));
}

static uint64_t *words_of(unsigned index)
{
	return (uint64_t *)(kept[index] * CF_FRAME_BYTES);
}

/* Movable frames of the region, each with contents of its own. */
static void use(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)owner,
		.zone = CF_ZONE_MOVABLE,
	};
	struct cf_vmem_status status;
	unsigned i, at;

	cf_vmem_status(&vmem, &status);
	for (i = 0; i < KEPT; i++) {
		if (!CHECK(cf_alloc(map, request, &kept[i]) == 0))
			return;
		CHECK(kept[i] * CF_FRAME_BYTES >= status.addr);
		CHECK(kept[i] * CF_FRAME_BYTES < status.addr + status.region);
		for (at = 0; at < 512; at++)
			words_of(i)[at] = (uint64_t)i << 32 | at;
	}
}

static void keep(void)
{
	unsigned i, at, wrong = 0;

	for (i = 0; i < KEPT; i++)
		for (at = 0; at < 512; at++)
			wrong += words_of(i)[at] != ((uint64_t)i << 32 | at);
	CHECK_EQ(wrong, 0);
}

static void shrink(void)
{
	want("vmem0 requested-size", PLUGGED / 2);
	CHECK(work_mem(PLUGGED / 2));
	keep();
	CHECK(cf_verify(map, NULL));
}

static void unplug(void)
{
	unsigned i;

	want("vmem0 requested-size", 0);
	CHECK(work_mem(0));
	keep();
	for (i = 0; i < KEPT; i++) {
		CHECK(kept[i] >= boot_first && kept[i] < boot_first +
						       2 * BLOCK);
		cf_put(map, kept[i]);
	}
	CHECK_EQ(managed_bytes(), BOOT_BYTES);
	CHECK(cf_verify(map, NULL));
}

static void plug_again(void)
{
	want("vmem0 requested-size", PLUGGED);
	CHECK(work_mem(PLUGGED));
	want("vmem0 size", PLUGGED);
	CHECK_EQ(managed_bytes(), BOOT_BYTES + PLUGGED);
}

/* Until it is gone the report names it. */
static void pinned_stays(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)owner,
		.zone = CF_ZONE_MOVABLE,
	};
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	struct cf_vmem_status status;
	cf_pfn pinned;

	if (!CHECK(cf_alloc(map, request, &pinned) == 0) ||
	    !CHECK(cf_pin(map, pinned) == 0))
		return;
	want("vmem0 requested-size", 0);
	do {
		uint64_t seen = interrupt_count();
		struct cf_next next = cf_vmem_work(&vmem, now_ms());

		cf_vmem_status(&vmem, &status);
		if (status.phase != CF_VMEM_BACKING_OFF)
			wait_for(next, seen);
	} while (status.phase != CF_VMEM_BACKING_OFF &&
		 arch_now_ns() < end);
	CHECK_EQ(status.plugged, 2 * MIB);
	CHECK(status.err != 0);
	CHECK_EQ(status.report.reason, CF_REASON_PINNED);
	CHECK_EQ(status.report.pfn, pinned);
	CHECK_EQ(status.report.owner, owner);
	cf_unpin(map, pinned);
	cf_put(map, pinned);
	cf_vmem_kick(&vmem);
	CHECK(work_mem(0));
	CHECK_EQ(managed_bytes(), BOOT_BYTES);
}

/* While the host migrates the machine it answers BUSY. */
static void busy_host(void)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	struct cf_vmem_status status;

	want("vmem0 requested-size", PLUGGED);
	CHECK(work_mem(PLUGGED));
	want("migration", 1);
	want("vmem0 requested-size", 0);
	do {
		(void)cf_vmem_work(&vmem, now_ms());
		cf_vmem_status(&vmem, &status);
	} while (!status.busies && arch_now_ns() < end);
	CHECK(status.busies > 0);
	CHECK(status.plugged > 0);
	want("migration", 0);
	CHECK(work_mem(0));
	CHECK(cf_verify(map, NULL));
}

/* There and back, with contents that must survive the way back. */
static void go_round(unsigned round)
{
	unsigned i;

	want("vmem0 requested-size", PLUGGED);
	if (!CHECK(work_mem(PLUGGED)))
		return;
	use();
	want("vmem0 requested-size", round % 3 * 10 * MIB);
	CHECK(work_mem(round % 3 * 10 * MIB));
	keep();
	for (i = 0; i < KEPT; i++)
		cf_put(map, kept[i]);
	CHECK_EQ(managed_bytes(), BOOT_BYTES + round % 3 * 10 * MIB);
}

static void rounds(void)
{
	char count[16] = "10";
	unsigned long i;

	(void)guest_option("rounds", count, sizeof(count));
	for (i = strtoul(count, NULL, 10); i > 0 && !tap.broken; i--)
		go_round((unsigned)i);
	CHECK(cf_verify(map, NULL));
	want("vmem0 requested-size", 0);
	CHECK(work_mem(0));
	want("vmem0 size", 0);
}

/* ---- the balloon ---- */

static void open_balloon(void)
{
	size_t bytes = cf_balloon_shared_bytes();
	struct cf_balloon_config config = {
		.map = map,
		.ops = &cf_virtio_pci_ops,
		.transport = &balloon_device.pci,
		.report_ms = 50,
	};

	if (!probe(&balloon_device, bytes))
		return;
	config.shared = shared_of(&balloon_device, bytes);
	config.reported = calloc(1, cf_balloon_reported_bytes(map));
	CHECK(interrupt_attach(arch_intx_vector(), hear_balloon, NULL));
	balloon_is_open = CHECK(cf_balloon_open(&balloon, &config) == 0);
}

#define BALLOON_BYTES	(24 * MIB)

static void inflate(void)
{
	uint64_t before = managed_bytes();

	want("balloon", BALLOON_BYTES);
	CHECK(work_balloon(BALLOON_BYTES / CF_FRAME_BYTES));
	CHECK_EQ(before - managed_bytes(), BALLOON_BYTES);
	want("ballooned", BALLOON_BYTES);
	CHECK(cf_verify(map, NULL));
}

/* Half of the memory goes, and comes again: the balloon makes room. */
static void ballooned_frames_move(void)
{
	cf_pfn first = boot_first + BLOCK, last = first + BLOCK;
	struct cf_balloon_status before, after;
	struct cf_report why;
	struct cf_stat stat;

	cf_balloon_status(&balloon, &before);
	if (!CHECK(cf_block_offline(map, first, last, 20, &why) == 0)) {
		tap_print("# %s at %#llx\n", cf_reason_name(why.reason),
			  (unsigned long long)why.pfn);
		return;
	}
	cf_balloon_status(&balloon, &after);
	cf_stat(map, &stat);
	CHECK_EQ(after.held, before.held);
	CHECK(stat.offline >= BALLOON_BYTES / CF_FRAME_BYTES);
	CHECK(cf_verify(map, NULL));
	CHECK(cf_block_online(map, first, last, CF_ZONE_NORMAL, NULL) == 0);
	first = boot_first;
	last = first + BLOCK;
	CHECK(cf_block_offline(map, first, last, 20, NULL) == 0);
	cf_balloon_status(&balloon, &after);
	CHECK(after.migrated > 0);
	CHECK_EQ(after.held, before.held);
	CHECK(cf_block_online(map, first, last, CF_ZONE_NORMAL, NULL) == 0);
	CHECK(cf_verify(map, NULL));
}

static void deflate(void)
{
	uint64_t before = managed_bytes();

	want("balloon", 0);
	CHECK(work_balloon(0));
	CHECK_EQ(managed_bytes() - before, BALLOON_BYTES);
	want("ballooned", 0);
	CHECK(cf_verify(map, NULL));
}

/* Free memory is told to the host, and is none the worse for it. */
static void report(void)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	struct cf_balloon_status status;
	struct cf_request request = { .order = 9, .type = CF_TYPE_KERNEL };
	cf_pfn pfn;

	do {
		uint64_t seen = interrupt_count();

		wait_for(cf_balloon_work(&balloon, now_ms()), seen);
		cf_balloon_status(&balloon, &status);
	} while ((!status.reported || status.reporting) &&
		 arch_now_ns() < end);
	CHECK(status.reported > 0);
	if (CHECK(cf_alloc(map, request, &pfn) == 0)) {
		(void)memset((void *)(pfn * CF_FRAME_BYTES), 7, 2 * MIB);
		cf_put(map, pfn);
	}
	CHECK(cf_verify(map, NULL));
}

/* The host asks every second. */
static void statistics(void)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	struct cf_balloon_status status;

	want("statistics", 1);
	do {
		uint64_t seen = interrupt_count();

		wait_for(cf_balloon_work(&balloon, now_ms()), seen);
		cf_balloon_status(&balloon, &status);
	} while (status.stats_sent < 2 && arch_now_ns() < end);
	CHECK(status.stats_sent >= 2);
	want("total-memory", managed_bytes());
}

static void interrupts_came(void)
{
	tap_print("# %u interrupts of virtio-mem, %u of the balloon\n",
		  heard[0], heard[1]);
	if (way == WAY_POLL)
		CHECK_EQ(heard[0] + heard[1], 0);
	else
		CHECK(heard[0] > 0 && heard[1] > 0);
}

/* ---- MSI-X, of a device that has it: the balloon and memory have none ---- */

#define ENTROPY_ID	4
#define ENTROPY_BYTES	64
#define RING_SIZE	8

static struct device entropy_device;
static volatile unsigned messages;

static void hear_message(void *context)
{
	messages += cf_virtio_interrupt(context, CF_VIRTIO_ISR_QUEUE) != 0;
}

static bool can_message(void)
{
	uint64_t address;
	uint32_t data;

	return arch_message(0, &address, &data) != 0;
}

/* One vector for all there is. */
static bool use_msix(struct cf_virtio_pci *pci, struct cf_virtio *device)
{
	uint64_t address;
	uint32_t data;
	unsigned vector = arch_message(0, &address, &data);

	return CHECK(pci->msix_count > 0) &&
	       CHECK(interrupt_attach(vector, hear_message, device)) &&
	       CHECK(cf_virtio_pci_vector(pci, 0, address, data) == 0) &&
	       CHECK(cf_virtio_pci_vector(pci, 1, address, data) == 0) &&
	       CHECK(cf_virtio_pci_msix(pci, true) == 0);
}

static void await_entropy(struct cf_virtio *device, struct cf_ring *ring)
{
	uint64_t end = arch_now_ns() + PATIENCE_NS;
	uint32_t bytes = 0;
	void *token;
	int err;

	while (!messages && arch_now_ns() < end)
		interrupt_wait(interrupt_count(), arch_now_ns() + 10000000);
	CHECK(messages > 0);
	err = cf_virtio_take(device, ring, &token, &bytes);
	CHECK_EQ(err, 0);
	CHECK_EQ(bytes, ENTROPY_BYTES);
}

static void message(void)
{
	static struct cf_virtio device;
	static struct cf_ring ring;
	size_t bytes = cf_ring_shared_bytes(RING_SIZE);
	struct cf_virtio_memory shared;
	struct cf_ring_buffer buffer = { .bytes = ENTROPY_BYTES,
					 .device_writes = true };

	if (!can_message()) {
		tap_skip_this("this interrupt controller takes no messages");
		return;
	}
	entropy_device.function = find(0x1044, 0x1044);
	if (!probe(&entropy_device, 8192) ||
	    !CHECK(cf_virtio_open(&device, &cf_virtio_pci_ops,
				  &entropy_device.pci, ENTROPY_ID) == 0) ||
	    !CHECK(cf_virtio_negotiate(&device, CF_VIRTIO_F_VERSION_1) == 0) ||
	    !use_msix(&entropy_device.pci, &device))
		return;
	CHECK(bytes <= 4096);
	shared = shared_of(&entropy_device, 4096);
	buffer.phys = shared.phys + 4096;
	if (!CHECK(cf_virtio_queue(&device, 0, RING_SIZE, &shared,
				   malloc(cf_ring_private_bytes(RING_SIZE)),
				   &ring) == 0))
		return;
	cf_virtio_ready(&device);
	cf_ring_want_interrupt(&ring, true);
	CHECK(cf_ring_add(&ring, &buffer, 1, &buffer) == 0);
	cf_virtio_notify(&device, 0, &ring);
	await_entropy(&device, &ring);
	CHECK(cf_virtio_reset(&device) == 0);
}

int main(int count, char **words)
{
	char name[8] = "intx";

	(void)count;
	(void)words;
	(void)guest_option("irq", name, sizeof(name));
	way = !strcmp(name, "poll") ? WAY_POLL : WAY_INTX;
	arch_intx_init();
	tap_plan(19);
	tap_run("both devices are found", scan);
	tap_run("frames where they are", make_map);
	tap_run("virtio-mem opens", open_mem);
	tap_run("virtio-mem plugs what is asked for", plug);
	tap_run("plugged memory holds what is written", use);
	tap_run("half of it goes, contents stay", shrink);
	tap_run("the rest goes, contents stay", unplug);
	tap_run("it comes again", plug_again);
	tap_run("what is pinned stays, and is named", pinned_stays);
	tap_run("a host that is busy is asked again", busy_host);
	tap_run("round and round", rounds);
	tap_run("the balloon opens", open_balloon);
	tap_run("the balloon inflates", inflate);
	tap_run("ballooned frames move", ballooned_frames_move);
	tap_run("the balloon deflates", deflate);
	tap_run("free memory is reported", report);
	tap_run("statistics are sent", statistics);
	tap_run("interrupts came, or none where none should", interrupts_came);
	tap_run("a message of MSI-X", message);
	return tap_done();
}
