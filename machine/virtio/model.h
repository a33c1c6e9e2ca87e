/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_VIRTIO_MODEL_H
#define MACHINE_VIRTIO_MODEL_H

/*
 * Models of the two devices, in the process of the driver: the device's side
 * of the specification, behind the registers of PCI or MMIO.  Memory that
 * the driver gives is really given back to the system.
 *
 * A model holds its driver to the specification: what a driver must not do
 * is counted as a violation.  And it can be told to behave badly itself, one
 * trick at a time.
 *
 * Calls may come from any thread; a mutex a device keeps them apart.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/host/host.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"
#include "virtio/wire.h"

#define MODEL_QUEUES		8
#define MODEL_QUEUE_SIZE	128
#define MODEL_CONFIG_BYTES	64
#define MODEL_VECTORS		2
#define MODEL_CHAIN_MAX		64	/* buffers of a chain */

/*
 * What a device can do wrong.  Those of an answer happen to the answer that
 * model_trick() counts down to; the others from now on.
 */
enum model_trick {
	MODEL_HONEST,
	/* Answers of virtio-mem that are allowed. */
	MODEL_NACK,
	MODEL_BUSY,
	/* Lies in an answer of virtio-mem. */
	MODEL_LIE_ERROR,	/* ERROR to a right request, nothing done */
	MODEL_LIE_TYPE,		/* an answer that is none */
	MODEL_LIE_STATE,	/* a state that is none */
	MODEL_LIE_NOTHING_DONE,	/* ACK, and nothing was done */
	/* Lies in a used ring, any device. */
	MODEL_LIE_SHORT,	/* used length 0 */
	MODEL_LIE_LONG,		/* used length above the room */
	MODEL_LIE_ID_RANGE,	/* an id beyond the queue */
	MODEL_LIE_ID_FREE,	/* an id that is not in flight */
	MODEL_LIE_INDEX,	/* an index far ahead */
	MODEL_LIE_INDEX_BACK,	/* an index that goes back */
	MODEL_LIE_TWICE,	/* the same chain used twice */
	/* Instead of an answer. */
	MODEL_LIE_NEEDS_RESET,	/* says so in its status */
	MODEL_LIE_STATUS,	/* resets itself */
	MODEL_LIE_SILENCE,	/* never answers */
	/* Lies in the configuration of virtio-mem, after an answer. */
	MODEL_LIE_BLOCK_SIZE,	/* changes */
	MODEL_LIE_ADDR,		/* changes */
	MODEL_LIE_REGION,	/* changes */
	MODEL_LIE_REQUESTED,	/* above usable */
	MODEL_LIE_USABLE,	/* above the region */
	MODEL_LIE_USABLE_SHRINKS,
	MODEL_LIE_PLUGGED,	/* not what was acknowledged */
	MODEL_LIE_UNALIGNED,	/* requested is no multiple of the block */
	MODEL_LIE_RESTLESS,	/* requests another size after each answer */
	MODEL_LIE_GENERATION,	/* never holds still */
	/* Lies at the start. */
	MODEL_LIE_NO_VERSION_1,
	MODEL_LIE_FEATURES,	/* refuses what it offered */
	MODEL_LIE_NO_QUEUE,
	MODEL_LIE_QUEUE_DEAF,	/* does not enable */
	MODEL_LIE_NO_CONFIG,	/* PCI and MMIO: 4 bytes of configuration */
	MODEL_LIE_NO_RESET,	/* never reads as reset */
	MODEL_LIE_ID,		/* another device */
	MODEL_TRICK_COUNT
};

const char *model_trick_name(enum model_trick trick);

/* A queue, the device's side. */
struct model_queue {
	uint64_t desc, avail, used;	/* addresses */
	uint16_t size, vector;
	bool enabled;
	uint16_t avail_next, used_next;
};

/* A chain of buffers, already checked to be the guest's memory. */
struct model_chain {
	uint16_t head;
	unsigned outs, ins;		/* what the device reads, writes */
	struct {
		uint64_t phys;
		uint8_t *at;
		uint32_t bytes;
	} out[MODEL_CHAIN_MAX], in[MODEL_CHAIN_MAX];
};

struct model;

/* What tells one kind of device from the other.  The lock is held. */
struct model_kind {
	uint32_t id;
	uint16_t pci_device;
	uint32_t config_bytes;
	void (*reset)(struct model *model);
	void (*config_written)(struct model *model, uint32_t offset);
	/* A chain came; use it now or keep it. */
	void (*chain)(struct model *model, unsigned queue,
		      const struct model_chain *chain);
};

/*
 * What both kinds have.  The first member of each.
 * All but the constant fields under @lock.
 */
struct model {
	const struct model_kind *kind;
	struct cf_host_memory *memory;
	pthread_mutex_t lock;
	/* Level of INTx, or @vector of a message. Called with no lock. */
	void (*interrupt)(void *context, bool msix, uint64_t address,
			  uint32_t data);
	void *interrupt_context;

	uint64_t offered, features;
	uint32_t feature_select, driver_select;
	uint8_t status, isr;
	uint32_t generation;
	uint16_t queue_select, queues;
	struct model_queue queue[MODEL_QUEUES];
	uint8_t config[MODEL_CONFIG_BYTES];

	/* PCI. */
	uint8_t pci[256];
	uint32_t vector[MODEL_VECTORS][4];
	uint16_t config_vector;

	/* Conduct. */
	enum model_trick trick;
	uint64_t countdown;		/* answers until the trick; 0: not */
	bool tricked;			/* the trick was played */
	bool late;			/* answers wait for model_answer() */
	uint64_t may_answer;
	uint64_t answers;		/* given in all */
	uint64_t violations;		/* of the rules, by the driver */
	const char *violation;		/* the first */
	unsigned interrupts;
	bool want_interrupt;		/* to raise when the lock is free */
	uint8_t want_isr;
};

/* A transport to a model: PCI with everything, or MMIO. */
struct cf_pci_access model_pci(struct model *model, bool msix);
struct cf_virtio_mmio model_mmio(struct model *model);

/**
 * model_trick() - behave badly.
 * @nth: the how manieth answer from now; lies at the start: 1
 */
void model_trick(struct model *model, enum model_trick trick, uint64_t nth);

/** model_late() - keep chains until model_answer() lets them through. */
void model_late(struct model *model, bool late);

/** model_answer() - process up to @count chains that wait. */
void model_answer(struct model *model, uint64_t count);

/* For the models' own use. */
void model_init(struct model *model, const struct model_kind *kind,
		struct cf_host_memory *memory, uint64_t offered);
void model_lock(struct model *model);
void model_unlock(struct model *model);
void model_violation(struct model *model, const char *what);
/* The memory at [phys, phys + bytes), or NULL. */
uint8_t *model_at(struct model *model, uint64_t phys, uint64_t bytes);
/* Is the trick due for this answer? Counts it. */
enum model_trick model_next_answer(struct model *model);
void model_use(struct model *model, unsigned queue, uint16_t head,
	       uint32_t written, uint32_t room, enum model_trick trick);
void model_config_changed(struct model *model);
void model_drain(struct model *model, unsigned queue);
/* registers.c: what both transports do. */
void model_write_status(struct model *model, uint8_t status);
uint8_t model_read_status(struct model *model);
uint64_t model_offered(struct model *model);
uint32_t model_generation(struct model *model);
uint32_t model_config_bytes(struct model *model);
uint32_t model_config_get(struct model *model, uint32_t offset,
			  unsigned bytes);
void model_config_set(struct model *model, uint32_t offset, unsigned bytes,
		      uint32_t value);
void model_enable(struct model *model, uint32_t value);
uint32_t model_queue_max(struct model *model);
uint32_t model_device_id(struct model *model);

/*
 * virtio-mem.
 */
struct model_mem_config {
	struct cf_host_memory *memory;
	uint64_t addr, region;		/* bytes */
	uint64_t block;			/* bytes */
	int node;			/* -1: none */
	bool inaccessible;		/* UNPLUGGED_INACCESSIBLE */
};

struct model_mem {
	struct model model;
	uint64_t addr, region, block, usable, plugged, requested;
	uint64_t slack;			/* usable above requested */
	uint16_t node;
	uint8_t *plugged_map;		/* a byte a device block */
	bool refuse;			/* NACK whatever is asked */
	bool migrating;			/* BUSY to whatever changes memory */
	/* A wrong number in the configuration: offset + 1; 0: none. */
	unsigned tell_at;
	uint64_t tell_value;
	uint16_t tricked_type;		/* of the request tricked with */
	uint64_t asked[4];		/* by type */
};

/** model_mem_create() - a virtio-mem device, or NULL: no memory. */
struct model_mem *model_mem_create(const struct model_mem_config *config);
void model_mem_destroy(struct model_mem *mem);

/** model_mem_request() - the size the host wants; false: not possible. */
bool model_mem_request(struct model_mem *mem, uint64_t bytes);

/**
 * model_mem_give() - [@addr, @addr + @bytes) is plugged already.
 * Return: false: no usable blocks, or some are plugged.
 */
bool model_mem_give(struct model_mem *mem, uint64_t addr, uint64_t bytes);

/* A number the device tells has changed behind its back. The lock is held. */
void model_mem_refresh(struct model_mem *mem);

/** model_mem_has() - is a block plugged? */
bool model_mem_has(struct model_mem *mem, uint64_t addr);

/** model_mem_forget() - what system reset does: all unplugged. */
void model_mem_forget(struct model_mem *mem);

/*
 * virtio-balloon.
 */
#define MODEL_BALLOON_STATS	16

struct model_balloon {
	struct model model;
	struct bits *held;		/* frames, below @frames */
	uint64_t frames;
	uint64_t ballooned;		/* frames the driver gave */
	uint64_t reported;		/* frames, in all */
	uint64_t hinted;		/* frames, of the last round */
	uint32_t hint_round;		/* the id the driver answered with */
	bool hint_stopped;
	bool stats_waiting;		/* a buffer of the driver's is here */
	struct model_chain stats_chain;
	unsigned stats;			/* entries of the last report */
	uint64_t stat[MODEL_BALLOON_STATS];	/* by tag; ~0: not told */
	uint64_t stats_reports;
	/* Queue numbers, 0: there is none. */
	unsigned stats_queue, hint_queue, report_queue;
	uint32_t chunk_max;		/* largest inflate buffer, entries */
};

/**
 * model_balloon_create() - a virtio-balloon device.
 * @features: CF_BALLOON_F_*
 */
struct model_balloon *model_balloon_create(struct cf_host_memory *memory,
					   uint64_t features);
void model_balloon_destroy(struct model_balloon *balloon);
/**
 * model_balloon_give() - frames [@first, @last) are in the balloon already.
 * Return: false: no such frames, or some are.
 */
bool model_balloon_give(struct model_balloon *balloon, uint64_t first,
			uint64_t last);
/** model_balloon_has() - are all of [@first, @last) in the balloon? */
bool model_balloon_has(struct model_balloon *balloon, uint64_t first,
		       uint64_t last);
/** model_balloon_target() - frames the host wants. */
void model_balloon_target(struct model_balloon *balloon, uint32_t frames);
uint32_t model_balloon_actual(struct model_balloon *balloon);
/** model_balloon_ask() - ask for statistics. False: no buffer is here. */
bool model_balloon_ask(struct model_balloon *balloon);
/** model_balloon_hint() - begin a round @id >= 2, or 0, or 1: done. */
void model_balloon_hint(struct model_balloon *balloon, uint32_t id);
/** model_balloon_awaits() - is it asked for a round that has not begun? */
bool model_balloon_awaits(struct model_balloon *balloon);

#endif
