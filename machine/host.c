/* SPDX-License-Identifier: MIT */

/*
 * The host of the embedded machine: the models, in the process of the driver.
 * What a driver gives is given back to the system; what it takes is there.
 *
 * Queues lie in frames behind the machine's span, which no block covers, so
 * that a scenario's frames are its own.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host_internal.h"

#define SHARED_BYTES	(HOST_SHARED_FRAMES / HOST_DEVICES_MAX *	\
			 CF_FRAME_BYTES)
#define MESSAGE_ADDRESS	0xfee00000u	/* where vectors are written to */

_Static_assert(LIE_COUNT == MODEL_TRICK_COUNT, "a word a trick");
/* tests/virtio/words.c: each trick has its word. */
_Static_assert(LIE_SILENCE == MODEL_LIE_SILENCE, "the words' order");
_Static_assert(LIE_RESTLESS == MODEL_LIE_RESTLESS, "the words' order");

/* With messages, the data is what the vector stands for. */
static void on_interrupt(void *context, bool msix, uint64_t address,
			 uint32_t data)
{
	struct host_device *device = context;

	(void)address;
	device->config.interrupt(device->config.context,
				 msix ? (uint8_t)data : 0);
}

static int make_mem(struct host_device *device)
{
	const struct host_config *config = &device->config;
	struct model_mem_config model = {
		.memory = &device->machine->memory,
		.addr = config->first * CF_FRAME_BYTES,
		.region = (config->last - config->first) * CF_FRAME_BYTES,
		.block = config->block_bytes,
		.node = config->node,
		.inaccessible = true,
	};

	if (model.addr % model.block || model.region % model.block)
		return -CF_EINVAL;
	device->mem = model_mem_create(&model);
	if (!device->mem)
		return -CF_ENOMEM;
	device->model = &device->mem->model;
	return 0;
}

static int make_balloon(struct host_device *device)
{
	const struct host_config *config = &device->config;
	uint64_t features = CF_BALLOON_F_STATS | CF_BALLOON_F_POISON;

	features |= config->deflate_on_oom ? CF_BALLOON_F_DEFLATE_ON_OOM : 0;
	features |= config->must_tell_host ? CF_BALLOON_F_MUST_TELL_HOST : 0;
	features |= config->reporting ? CF_BALLOON_F_REPORTING : 0;
	features |= config->hinting ? CF_BALLOON_F_HINT : 0;
	device->balloon = model_balloon_create(&device->machine->memory,
					       features);
	if (!device->balloon)
		return -CF_ENOMEM;
	device->model = &device->balloon->model;
	return 0;
}

int host_device_add(struct machine *machine, const struct host_config *config,
		    struct host_device **ret_device)
{
	struct host_device *device;
	unsigned slot = machine->host_devices;
	int err;

	if (slot == HOST_DEVICES_MAX ||
	    machine->memory.config.last < machine->map_config.last +
					  HOST_SHARED_FRAMES)
		return -CF_ELIMIT;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -CF_ENOMEM;
	device->machine = machine;
	device->config = *config;
	device->slot = slot;
	err = config->kind == NOUN_MEM ? make_mem(device) :
					 make_balloon(device);
	if (err) {
		free(device);
		return err;
	}
	if (device->mem)
		device->mem->migrating = machine->migrating;
	device->model->interrupt = on_interrupt;
	device->model->interrupt_context = device;
	machine->host_device[slot] = device;
	machine->host_devices++;
	*ret_device = device;
	return 0;
}

void host_device_remove(struct host_device *device)
{
	if (!device)
		return;
	model_mem_destroy(device->mem);
	model_balloon_destroy(device->balloon);
	free(device);
}

static int link_pci(struct host_device *device, bool msix)
{
	int err;

	device->access = model_pci(device->model, msix);
	err = cf_virtio_pci_probe(&device->pci, &device->access);
	if (!err && msix)
		err = cf_virtio_pci_vector(&device->pci, 0, MESSAGE_ADDRESS,
					   CF_VIRTIO_ISR_CONFIG);
	if (!err && msix)
		err = cf_virtio_pci_vector(&device->pci, 1, MESSAGE_ADDRESS,
					   CF_VIRTIO_ISR_QUEUE);
	if (!err && msix)
		err = cf_virtio_pci_msix(&device->pci, true);
	return err;
}

static int link_mmio(struct host_device *device)
{
	device->mmio = model_mmio(device->model);
	return cf_virtio_mmio_probe(&device->mmio);
}

/* The device's part of what lies behind the span: zeroed, and usable. */
static int share(struct host_device *device, struct cf_virtio_memory *shared)
{
	struct machine *machine = device->machine;

	shared->phys = machine->map_config.last * CF_FRAME_BYTES +
		       device->slot * SHARED_BYTES;
	shared->address = machine->memory.base + shared->phys;
	shared->bytes = SHARED_BYTES;
	if (mprotect(shared->address, SHARED_BYTES, PROT_READ | PROT_WRITE))
		return -CF_EREFUSED;
	(void)memset(shared->address, 0, SHARED_BYTES);
	return 0;
}

int host_device_link(struct host_device *device, struct host_link *ret_link)
{
	struct host_link link = { .placed = false };
	int err;

	err = share(device, &link.shared);
	if (err)
		return err;
	if (device->config.over == OVER_MMIO) {
		err = link_mmio(device);
		link.ops = &cf_virtio_mmio_ops;
		link.transport = &device->mmio;
	} else {
		err = link_pci(device, device->config.over == OVER_MSIX);
		link.ops = &cf_virtio_pci_ops;
		link.transport = &device->pci;
	}
	if (err)
		return -CF_EREFUSED;
	*ret_link = link;
	return 0;
}

int host_request(struct host_device *device, uint64_t bytes)
{
	return model_mem_request(device->mem, bytes) ? 0 : -CF_EINVAL;
}

int host_balloon(struct host_device *device, uint64_t bytes)
{
	uint64_t frames = bytes / CF_FRAME_BYTES;

	if (frames > UINT32_MAX)
		return -CF_EINVAL;
	model_balloon_target(device->balloon, (uint32_t)frames);
	return 0;
}

int host_stats(struct host_device *device)
{
	return model_balloon_ask(device->balloon) ? 0 : -CF_EAGAIN;
}

static void hint(struct host_device *device, bool on)
{
	device->hint_round += on;
	model_balloon_hint(device->balloon, on ? CF_BALLOON_HINT_FIRST +
			   device->hint_round - 1 : CF_BALLOON_HINT_DONE);
}

int host_hint(struct host_device *device, enum host_hint what)
{
	bool on = what == HOST_HINT_START;

	/* A round goes with the start of a migration, not of a second one. */
	if (on && device->machine->migrating)
		return -CF_EPORT;
	hint(device, on);
	return 0;
}

/* A virtio-mem is busy with it, a balloon asked for hints if it gives any. */
static void migrate_device(struct host_device *device, bool on)
{
	bool hints;

	model_lock(device->model);
	hints = device->balloon &&
		device->model->features & CF_BALLOON_F_HINT;
	if (device->mem)
		device->mem->migrating = on;
	model_unlock(device->model);
	if (hints)
		hint(device, on);
}

int host_migrating(struct machine *machine, bool on)
{
	unsigned i;

	if (machine->migrating == on)
		return 0;
	machine->migrating = on;
	for (i = 0; i < machine->host_devices; i++)
		migrate_device(machine->host_device[i], on);
	return 0;
}

int host_conduct(struct host_device *device, enum host_conduct conduct,
		 bool on)
{
	if (conduct == HOST_LATE) {
		model_late(device->model, on);
		return 0;
	}
	model_lock(device->model);
	device->mem->refuse = on;
	model_unlock(device->model);
	return 0;
}

int host_lie(struct host_device *device, uint64_t lie, uint64_t after)
{
	model_trick(device->model, (enum model_trick)lie, lie ? after : 0);
	return 0;
}

uint64_t host_patience_ns(void)
{
	return 1000000000;
}

/* Frames of the region that are in the process's memory. */
static uint64_t resident_bytes(const struct host_device *device)
{
	const struct host_config *config = &device->config;
	unsigned char seen[CF_CHUNK_FRAMES];
	uint64_t frames = 0;
	cf_pfn at, i, count;

	for (at = config->first; at < config->last; at += count) {
		count = config->last - at < CF_CHUNK_FRAMES ?
			config->last - at : CF_CHUNK_FRAMES;
		if (mincore(frame_address(device->machine, at),
			    count * CF_FRAME_BYTES, seen))
			continue;
		for (i = 0; i < count; i++)
			frames += seen[i] & 1;
	}
	return frames * CF_FRAME_BYTES;
}

static uint64_t told(const struct model_balloon *balloon, unsigned tag)
{
	return balloon->stats_reports ? balloon->stat[tag] : ~(uint64_t)0;
}

int host_view(struct host_device *device, struct host_view *ret_view)
{
	*ret_view = (struct host_view){ .resident = ~(uint64_t)0 };
	if (device->mem)
		ret_view->resident = resident_bytes(device);
	model_lock(device->model);
	ret_view->violations = device->model->violations;
	ret_view->violation = device->model->violation;
	if (device->mem) {
		ret_view->plugged = device->mem->plugged;
	} else {
		ret_view->ballooned = device->balloon->ballooned *
				      CF_FRAME_BYTES;
		ret_view->free = told(device->balloon, CF_BALLOON_FREE);
		ret_view->total = told(device->balloon, CF_BALLOON_TOTAL);
		ret_view->available = told(device->balloon,
					   CF_BALLOON_AVAILABLE);
	}
	model_unlock(device->model);
	return 0;
}
