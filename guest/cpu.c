/* SPDX-License-Identifier: MIT */

/*
 * What CPUs ask of each other: to pass a fence, to drop translations, to
 * stand still.
 *
 * A CPU answers in an interrupt, or, while it waits with interrupts off, in
 * cpu_poll(). Each way has a counter of its own, so that each is written by
 * one at a time. Who asks waits until either has moved.
 */

#include "kernel.h"

SHARED struct cpu cpus[CPUS_MAX];
SHARED unsigned cpus_count;
SHARED static volatile uint32_t kernel_lock;
SHARED static struct cpu *volatile parker;
SHARED static volatile bool parked[CPUS_MAX];	/* by CPU; each its own */

unsigned long kernel_enter(void)
{
	unsigned long state = arch_irq_off();
	struct cpu *cpu = this_cpu();

	if (cpu->kernel_depth++)
		return state;
	while (arch_swap(&kernel_lock, 1)) {
		cpu_poll();
		arch_pause();
	}
	return state;
}

void kernel_leave(unsigned long state)
{
	struct cpu *cpu = this_cpu();

	if (!--cpu->kernel_depth)
		arch_clear(&kernel_lock);
	arch_irq_restore(state);
}

void kernel_hold(void)
{
	kernel_lock = 1;
	this_cpu()->kernel_depth = 1;
}

static void answer(struct cpu *cpu)
{
	if (cpu->flush) {
		cpu->flush = false;
		arch_fence();
		arch_flush();
	}
	arch_fence();
}

/* Stand still for as long as another CPU wants it. */
static void stand(struct cpu *cpu)
{
	if (!parker || parker == cpu)
		return;
	parked[cpu->number] = true;
	while (parker) {
		answer(cpu);
		cpu->polled++;
		arch_pause();
	}
	parked[cpu->number] = false;
	arch_flush();
}

void cpu_poll(void)
{
	struct cpu *cpu = this_cpu();

	answer(cpu);
	cpu->polled++;
	stand(cpu);
}

void cpu_served(void)
{
	struct cpu *cpu = this_cpu();

	answer(cpu);
	cpu->served++;
	stand(cpu);
}

static bool is_other(const struct cpu *cpu)
{
	return cpu->running && cpu != this_cpu();
}

void cpu_sync(bool flush)
{
	unsigned long state = arch_irq_off();
	uint64_t served[CPUS_MAX], polled[CPUS_MAX];
	unsigned i;

	if (flush)
		arch_flush();
	arch_fence();
	for (i = 0; i < cpus_count; i++) {
		if (!is_other(&cpus[i]))
			continue;
		served[i] = cpus[i].served;
		polled[i] = cpus[i].polled;
		if (flush)
			cpus[i].flush = true;
	}
	arch_fence();
	arch_interrupt_others();
	for (i = 0; i < cpus_count; i++) {
		while (is_other(&cpus[i]) && cpus[i].served == served[i] &&
		       cpus[i].polled == polled[i]) {
			cpu_poll();
			arch_pause();
		}
	}
	/* Nothing of what follows before the answers. */
	arch_fence();
	arch_irq_restore(state);
}

void cpu_park(void)
{
	unsigned i;

	parker = this_cpu();
	arch_fence();
	arch_interrupt_others();
	for (i = 0; i < cpus_count; i++) {
		while (is_other(&cpus[i]) && !parked[i]) {
			cpu_poll();
			arch_pause();
		}
	}
	arch_fence();
}

void cpu_unpark(void)
{
	unsigned i;

	parker = NULL;
	arch_fence();
	for (i = 0; i < cpus_count; i++)
		while (is_other(&cpus[i]) && parked[i])
			arch_pause();
}

/* The port's. */

int cf_bare_barrier(void)
{
	cpu_sync(false);
	return 0;
}

void cf_bare_poll(void)
{
	cpu_poll();
}

void cf_bare_yield(void)
{
	thread_yield();
}
