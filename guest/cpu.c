/* SPDX-License-Identifier: MIT */

/*
 * What CPUs ask of each other: to pass a fence, to drop translations, to
 * stand still.
 *
 * A CPU answers in an interrupt, or, while it waits with interrupts off, in
 * cpu_poll(); never in both at once. Answers are counted when they begin and
 * when they are given: who asks waits for one that began after the question.
 *
 * A CPU that has halted does nothing that a question could be about, and is
 * not waited for. It says so in @resting and looks for questions when it
 * wakes, with a fence between the two on both sides: either who asks sees that
 * it is awake, or it sees that it was asked.
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
	cpu->begun++;
	arch_fence();
	if (cpu->flush) {
		cpu->flush = false;
		arch_fence();
		arch_flush();
	}
	arch_fence();
	cpu->answered = cpu->begun;
}

/* Stand still for as long as another CPU wants it. */
static void stand(struct cpu *cpu)
{
	if (!parker || parker == cpu)
		return;
	parked[cpu->number] = true;
	while (parker) {
		answer(cpu);
		arch_pause();
	}
	parked[cpu->number] = false;
	arch_flush();
}

void cpu_poll(void)
{
	struct cpu *cpu = this_cpu();

	answer(cpu);
	stand(cpu);
}

void cpu_served(void)
{
	struct cpu *cpu = this_cpu();

	answer(cpu);
	stand(cpu);
}

void cpu_rest(void)
{
	arch_fence();
	this_cpu()->resting = true;
}

void cpu_wake(void)
{
	struct cpu *cpu = this_cpu();

	if (!cpu->resting)
		return;
	cpu->resting = false;
	arch_fence();
	answer(cpu);
	stand(cpu);
}

/* Must it be waited for? It may rest at any moment. */
static bool is_other(const struct cpu *cpu)
{
	return cpu->running && cpu != this_cpu() && !cpu->resting;
}

void cpu_sync(bool flush)
{
	unsigned long state = arch_irq_off();
	uint64_t before[CPUS_MAX];
	unsigned i;

	if (flush)
		arch_flush();
	for (i = 0; i < cpus_count; i++)
		if (flush && &cpus[i] != this_cpu())
			cpus[i].flush = true;
	arch_fence();
	for (i = 0; i < cpus_count; i++) {
		before[i] = cpus[i].begun;
		if (is_other(&cpus[i]))
			arch_interrupt(&cpus[i]);
	}
	for (i = 0; i < cpus_count; i++) {
		while (is_other(&cpus[i]) && cpus[i].answered <= before[i]) {
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
	for (i = 0; i < cpus_count; i++)
		if (is_other(&cpus[i]))
			arch_interrupt(&cpus[i]);
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
