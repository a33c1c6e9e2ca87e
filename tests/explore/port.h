/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_PORT_H
#define EXPLORE_PORT_H

/* What a program may say about the machine it runs on. */

#include <coldframe/port.h>

struct explore_machine {
	void *contents;		/* of frames [0, frames); NULL: none mapped */
	cf_pfn frames;
	size_t frame_bytes;	/* kept of each: fewer than a frame has */
	void *(*meta_alloc)(size_t bytes);
	void (*meta_free)(void *memory, size_t bytes);
	void (*exposed)(cf_pfn first, cf_pfn last);
	void (*signal)(enum cf_signal what, cf_pfn pfn);
	/*
	 * A check of the engine's failed: is that what should happen?  True
	 * ends the thread and no more; else, and without, it is a failure.
	 */
	bool (*panic)(const char *expression);
	unsigned ground_cpu;	/* the CPU of what comes before and after */
	/* The CPU a thread is on, if not the one with its number. */
	unsigned (*cpu)(void);
};

/* How often a failing allocation may look again; 3. */
extern unsigned explore_take_tries;

/* For set-up: first of all; then what differs from nothing is filled in. */
void explore_port_init(void);
struct explore_machine *explore_port_machine(void);

#endif
