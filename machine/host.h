/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_HOST_H
#define MACHINE_HOST_H

/*
 * The host's side of devices, as far as the machine's steps need it: make a
 * device, lead a driver to it, say what the host wants, ask what it sees.
 *
 * Whoever has devices implements this: host.c with the models of
 * machine/virtio, in the process of the driver; another machine by talking to
 * whoever plays its host.  All calls come from one thread.
 */

#include "scenario/scenario.h"
#include "virtio/virtio.h"

struct machine;
struct host_device;

/* Frames behind the machine's span: for what drivers share with devices. */
#define HOST_SHARED_FRAMES	1024
#define HOST_DEVICES_MAX	16

struct host_config {
	enum noun kind;			/* NOUN_MEM, NOUN_BALLOON */
	const char *name;
	enum over over;
	/* NOUN_MEM */
	cf_pfn first, last;		/* the region, in the map */
	uint64_t block_bytes;		/* the device's block */
	int node;			/* -1: it names none */
	/* NOUN_BALLOON */
	bool deflate_on_oom, must_tell_host, reporting, hinting;
	/*
	 * The device raised an interrupt; @isr as cf_virtio_interrupt() has
	 * it. From any context. If it is never called, drivers are polled.
	 */
	void (*interrupt)(void *context, uint8_t isr);
	void *context;
};

/* What a driver is opened with. */
struct host_link {
	const struct cf_virtio_ops *ops;
	void *transport;
	struct cf_virtio_memory shared;	/* zeroed */
	bool placed;	/* as in cf_vmem_config, with the region's first */
	cf_pfn (*device_frame)(void *context, cf_pfn pfn);
};

/* What the host sees; ~0: it cannot tell. */
struct host_view {
	uint64_t plugged;		/* bytes */
	uint64_t ballooned;		/* bytes */
	uint64_t resident;		/* bytes of the region */
	uint64_t free, total, available;	/* bytes, told by statistics */
	uint64_t violations;	/* of the specification, by the driver */
	const char *violation;		/* the first, or NULL */
};

/* How a device behaves until told otherwise. */
enum host_conduct {
	HOST_REFUSING,			/* NACK to whatever is asked */
	HOST_LATE,			/* answers are kept back */
};

/* A round of hints, from the host's side. */
enum host_hint {
	HOST_HINT_START,
	HOST_HINT_DONE,
};

/**
 * host_device_add() - a device, with nothing plugged or ballooned.
 * @config: copied, but for the name
 *
 * Return: 0, -CF_ENOMEM, -CF_ELIMIT: more devices than there can be,
 *         -CF_EINVAL: no such region, or -CF_EPORT: the host failed.
 */
int host_device_add(struct machine *machine, const struct host_config *config,
		    struct host_device **ret_device) CF_MUST_CHECK;
void host_device_remove(struct host_device *device);

/**
 * host_device_link() - find the device anew, for a driver to be opened.
 * Return: 0, or -CF_EREFUSED: nothing a driver could talk to is there.
 */
int host_device_link(struct host_device *device, struct host_link *ret_link)
	CF_MUST_CHECK;

/*
 * What the host wants. 0; -CF_EINVAL: the device does not allow that;
 * -CF_EAGAIN: not now; -CF_EPORT: the host failed.
 */
int host_request(struct host_device *device, uint64_t bytes) CF_MUST_CHECK;
int host_balloon(struct host_device *device, uint64_t bytes) CF_MUST_CHECK;
int host_stats(struct host_device *device) CF_MUST_CHECK;
int host_hint(struct host_device *device, enum host_hint hint) CF_MUST_CHECK;
/* The host copies the machine, or ends that. It may do so already. */
int host_migrating(struct machine *machine, bool on) CF_MUST_CHECK;

/* Only of models. -CF_EREFUSED: the device does not misbehave when told to. */
int host_conduct(struct host_device *device, enum host_conduct conduct,
		 bool on) CF_MUST_CHECK;
int host_lie(struct host_device *device, uint64_t lie, uint64_t after)
	CF_MUST_CHECK;

/* An answer of a device comes within that, or not at all. */
uint64_t host_patience_ns(void);

/* 0, or -CF_EPORT: the host does not say. */
int host_view(struct host_device *device, struct host_view *ret_view)
	CF_MUST_CHECK;

#endif
