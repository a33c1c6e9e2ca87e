/* SPDX-License-Identifier: MIT */

/* Devices' interrupts: counted, for whoever waits for one to look. */

#include "kernel.h"

#define VECTORS		256

SHARED static volatile uint64_t raised[VECTORS];

void interrupt_raised(unsigned vector)
{
	raised[vector % VECTORS]++;
}

uint64_t interrupt_count(unsigned vector)
{
	return raised[vector % VECTORS];
}
