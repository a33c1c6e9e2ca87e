/* SPDX-License-Identifier: MIT */

/*
 * Devices' interrupts: each vector has handlers, and whoever waits is woken
 * after them. All INTx lines lead to all their handlers, for lines are shared
 * and only the devices know whose it was.
 *
 * A handler may call the library: it runs as a context of the CPU's own.
 */

#include "kernel.h"

#define HANDLERS	8

struct handler {
	unsigned vector;
	void (*fn)(void *context);
	void *context;
};

static struct handler handler[HANDLERS];
static volatile unsigned handlers;
static volatile uint64_t raised;	/* interrupts of devices so far */
static struct queue waiting;

bool interrupt_attach(unsigned vector, void (*fn)(void *context),
		      void *context)
{
	unsigned long state = kernel_enter();
	bool fits = handlers < HANDLERS;

	if (fits) {
		handler[handlers] = (struct handler){ vector, fn, context };
		arch_fence();
		handlers++;
	}
	kernel_leave(state);
	return fits;
}

void interrupt_raised(unsigned vector)
{
	struct cpu *cpu = this_cpu();
	struct cf_bare_context *before = cpu->context;
	unsigned long state;
	unsigned i;

	cpu->context = &cpu->interrupt;
	for (i = 0; i < handlers; i++)
		if (handler[i].vector == vector)
			handler[i].fn(handler[i].context);
	cpu->context = before;
	state = kernel_enter();
	raised++;
	thread_wake(&waiting, true);
	kernel_leave(state);
}

uint64_t interrupt_count(void)
{
	return raised;
}

void interrupt_wait(uint64_t seen, uint64_t until_ns)
{
	unsigned long state = kernel_enter();

	if (raised == seen)
		(void)thread_wait(&waiting, until_ns);
	kernel_leave(state);
}
