/* SPDX-License-Identifier: MIT */
#ifndef PORT_BARE_H
#define PORT_BARE_H

/*
 * The port to a bare machine: what a kernel, or a program that is its own
 * kernel, links beside the library.
 *
 * The port knows three kinds of processor, x86-64, aarch64 and RISC-V (which
 * has only been compiled), and what they have in common: interrupts that are
 * masked, fences, a register that leads to what is this CPU's own. Everything
 * else it asks of the kernel it is part of, by the functions cf_bare_*() at
 * the end of this header.
 *
 * ask.c and memory.c can be left out by a kernel that defines what is in them
 * itself. With memory.c the machine pointer of every map
 * (cf_map_config.machine) is a struct cf_bare_machine, or a struct whose
 * first member is one.
 */

#include <coldframe/port.h>
#include <coldframe/types.h>

/*
 * An execution context: what runs one thing at a time, a CPU or a thread that
 * CPUs take turns with. An interrupt handler that calls the library is one as
 * well and brings a context of its own for as long as it runs.
 *
 * Field key:
 *   (C) constant while the context is known
 *   (O) written by the context alone
 * @epoch is 0 outside of read sections.
 */
struct cf_bare_context {
	volatile uint64_t epoch;	/* (O) when its section was opened */
	uint64_t held_ranks;		/* (O) of debug builds */
	unsigned sections;		/* (O) how deep in read sections */
	unsigned cpu;			/* (O) number, or CF_CPU_NONE */
	unsigned slot;			/* (C) in the port's table */
};

#define CF_BARE_CONTEXTS_MAX	64

/*
 * cf_bare_context_add() - let waits for read sections look at a context.
 * @context: zeroed but for @cpu; its memory stays readable for ever
 *
 * Before its first call of the library. Pair with cf_bare_context_remove().
 * Return:  0, or -CF_ENOMEM: CF_BARE_CONTEXTS_MAX are known.
 */
int cf_bare_context_add(struct cf_bare_context *context) CF_MUST_CHECK;

/* The end of a context: outside of read sections, and with no lock held. */
void cf_bare_context_remove(struct cf_bare_context *context);

/*
 * A machine: memory. Each function has the promises of the cf_port_*() of
 * its name; NULL stands for what is written behind it.
 */
struct cf_bare_ops {
	void *(*meta_alloc)(void *machine, size_t bytes);	/* NULL */
	void (*meta_free)(void *machine, void *memory, size_t bytes);
	void *(*frame_address)(void *machine, cf_pfn pfn,
			       uint64_t count);			/* NULL */
	int (*first_exposed)(void *machine, cf_pfn first,
			     cf_pfn last);			/* 0 */
	int (*returned)(void *machine, cf_pfn first, cf_pfn last);	/* 0 */
	void (*protect)(void *machine, cf_pfn first, cf_pfn last,
			bool usable);				/* nothing */
	void (*signal)(void *machine, enum cf_signal what, cf_pfn pfn);
};

struct cf_bare_machine {
	const struct cf_bare_ops *ops;
};

/*
 * What the kernel brings.
 *
 * The register %gs (x86-64), TPIDR_EL1 (aarch64) or tp (RISC-V) leads to the
 * memory of the running CPU, and the first word there is the struct
 * cf_bare_context * of what it runs. The kernel keeps it right at every
 * switch.
 */

/* Write the message of a panic, and stop. Any context, locks or not. */
__attribute__((noreturn)) void cf_bare_panic(const char *expression,
					     const char *file, int line,
					     uint64_t value, uint64_t other);

/*
 * pre: interrupts may be off. post: every other CPU that runs has executed a
 * full barrier since; CPUs that wait with interrupts off do so in
 * cf_bare_poll(). 0, or nonzero: there is no such interrupt.
 */
int cf_bare_barrier(void);

/* Called in loops that wait with interrupts off: answer other CPUs. */
void cf_bare_poll(void);

/* Called in loops that wait for long: let another thread run, if any. */
void cf_bare_yield(void);

#endif
