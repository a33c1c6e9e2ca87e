/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VIRTIO_SCENE_H
#define TESTS_VIRTIO_SCENE_H

/*
 * What the tests of the drivers share: a machine with boot memory and room
 * for a device's region, a model of the device, the driver, and an owner
 * whose folios know what they hold.
 *
 * One scene at a time: scene_make(), the test, scene_end(), which ends the
 * drivers, verifies the map and takes everything away.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <coldframe/coldframe.h>

#include "machine/bits.h"
#include "machine/virtio/model.h"
#include "port/host/host.h"
#include "tests/tap.h"
#include "virtio/balloon.h"
#include "virtio/mem.h"

#define MIB		((uint64_t)1 << 20)
#define MIB_FRAMES	((cf_pfn)256)
#define SCENE_FOLIOS	16384

enum scene_bus { BUS_PCI, BUS_PCI_MSIX, BUS_MMIO };

/* How to make one.  All zero: 32 MiB blocks, two of them boot memory. */
struct scene_config {
	unsigned block_order;		/* 0: 13 */
	unsigned boot_blocks;		/* 0: 2 */
	unsigned nodes;
	enum scene_bus bus;
	/* virtio-mem */
	uint64_t region;		/* bytes; 0: 256 MiB */
	uint64_t shift;			/* bytes the region is off a block */
	uint64_t device_block;		/* bytes; 0: 2 MiB */
	int node;			/* 0: none, else node + 1 */
	struct cf_vmem_config vmem;	/* policy only */
	/* virtio-balloon */
	uint64_t balloon_features;
	struct cf_balloon_config balloon;	/* policy only */
	bool movable;			/* the second boot block is MOVABLE */
	bool caches;			/* contexts have caches */
	bool guarded;			/* unused memory cannot be touched */
	/* Make what the driver is told of its transport something else. */
	void (*twist)(struct cf_virtio_ops *ops);
};

/* Folios with contents, movable. */
struct data {
	uint32_t owner;
	unsigned count;
	cf_pfn pfn[SCENE_FOLIOS];
	uint8_t order[SCENE_FOLIOS];
	uint64_t moved;
	bool stubborn;			/* refuses to move */
};

struct scene {
	struct scene_config config;
	struct cf_host_memory memory;
	struct cf_map *map;
	cf_pfn block, boot_last;	/* frames */
	cf_pfn region_first, region_last;	/* the region's, as told */
	uint64_t now;			/* ms, as far as the drivers know */
	/* Of virtio-mem and of the balloon. */
	struct {
		struct cf_pci_access access;
		struct cf_virtio_pci pci;
		struct cf_virtio_mmio mmio;
	} bus[2];
	struct cf_virtio_ops twisted;
	const struct cf_virtio_ops *straight;	/* what @twisted was */
	unsigned interrupts;
	cf_pfn shared_pfn;		/* the last driver's queues */
	cf_pfn shared[8];		/* all of them */
	unsigned shares;
	unsigned low_signals;
	bool port_refuses;		/* to expose anything */

	struct model_mem *mem;
	struct cf_vmem vmem;
	void *storage;
	bool vmem_open, vmem_started;

	struct model_balloon *bal;
	struct cf_balloon balloon;
	void *reported;
	bool balloon_open;

	struct data data;
};

extern struct scene s;

/*
 * Machine and map only.  The end is false if any check of the scene's own
 * has failed since; all of them print a line.
 */
bool scene_make(struct scene_config config);
bool scene_end(void);
bool scene_verify(void);

/* A model of virtio-mem, and its driver. */
bool scene_mem_model(void);
int scene_mem_open(void);	/* cf_vmem_open(), start */
bool scene_mem(void);		/* all of it */
/* Work until there is nothing to do at this time. */
void scene_mem_work(void);
/* Ask for a size, work, let time pass while the driver backs off. */
bool scene_resize(uint64_t bytes);
struct cf_vmem_status scene_mem_status(void);
/* Nothing is in use that the device does not have plugged. */
bool scene_mem_check(void);

/* The same for a balloon. */
bool scene_balloon_model(void);
int scene_balloon_open(void);
bool scene_balloon(void);
void scene_balloon_work(void);
/* Work, let time pass, work, until @ms have passed. */
void scene_balloon_until(uint64_t ms);
bool scene_balloon_size(uint64_t frames);
struct cf_balloon_status scene_balloon_status(void);
/* What the host has, nobody uses. */
bool scene_balloon_check(void);

/* What a driver is told of the transport. */
void scene_transport(struct model *model, const struct cf_virtio_ops **ret_ops,
		     void **ret_transport);

/* Memory for queues, until the end of the scene. */
bool scene_share(size_t bytes, struct cf_virtio_memory *ret_shared);

/* Folios: put them, look at them, drop them. */
bool data_add(unsigned count, unsigned order);
bool data_check(void);
void data_drop(unsigned count);
/* Let the owner's hook take a lock that holders of the data have. */
void data_share(pthread_mutex_t *lock);
/* Keep one of @keep. */
void data_thin(unsigned keep);
/* The first folio in [first, last), or ~0u. */
unsigned data_find(cf_pfn first, cf_pfn last);

#endif
