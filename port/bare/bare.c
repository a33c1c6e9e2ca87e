/* SPDX-License-Identifier: MIT */

/* The part of the contract that a processor answers alone. */

#include "bare.h"
#include "cpu.h"

#define SPINS_BEFORE_YIELD	64

_Static_assert(CF_PORT_CONTRACT == 1, "read the changes of the contract");

unsigned cf_port_cpu(void)
{
	return cpu_context()->cpu;
}

uint64_t *cf_port_held_ranks(void)
{
	return &cpu_context()->held_ranks;
}

unsigned long cf_port_irq_off(void)
{
	return cpu_irq_off();
}

void cf_port_irq_restore(unsigned long state)
{
	cpu_irq_restore(state);
}

/*
 * With interrupts off the one waited for may itself wait for an answer of
 * this CPU, and nothing else may run here before they are on again.
 */
void cf_port_relax(unsigned spins)
{
	if (cpu_irq_is_off())
		cf_bare_poll();
	else if (spins >= SPINS_BEFORE_YIELD)
		cf_bare_yield();
	cpu_pause();
}
