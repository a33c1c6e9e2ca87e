/* SPDX-License-Identifier: MIT */
#include <coldframe/port.h>

/*
 * The port to no machine: one context that nothing interrupts, no memory
 * behind the frames and none for metadata.  It is the shortest way to write
 * every function of the contract, proves that the contract is complete, and
 * is enough for a program that only wants to count frames.
 *
 * Maps are created with cpus = 1 and fenced, blocks with metadata of the
 * caller's.
 */

void cf_port_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	(void)expression;
	(void)file;
	(void)line;
	(void)value;
	(void)other;
	__builtin_trap();
}

unsigned cf_port_cpu(void)
{
	return 0;
}

unsigned long cf_port_irq_off(void)
{
	return 0;
}

void cf_port_irq_restore(unsigned long state)
{
	(void)state;
}

void cf_port_relax(unsigned spins)
{
	(void)spins;
}

void cf_port_read_lock(void)
{
}

void cf_port_read_unlock(void)
{
}

/* The only context is not in a section when it waits for sections. */
void cf_port_synchronize(void)
{
}

int cf_port_barrier_all(void)
{
	return -1;
}

void *cf_port_meta_alloc(void *machine, size_t bytes)
{
	(void)machine;
	(void)bytes;
	return NULL;
}

void cf_port_meta_free(void *machine, void *memory, size_t bytes)
{
	(void)machine;
	(void)memory;
	(void)bytes;
}

void *cf_port_frame_address(void *machine, cf_pfn pfn, uint64_t count)
{
	(void)machine;
	(void)pfn;
	(void)count;
	return NULL;
}

int cf_port_first_exposed(void *machine, cf_pfn first, cf_pfn last)
{
	(void)machine;
	(void)first;
	(void)last;
	return 0;
}

int cf_port_returned(void *machine, cf_pfn first, cf_pfn last)
{
	(void)machine;
	(void)first;
	(void)last;
	return 0;
}

void cf_port_protect(void *machine, cf_pfn first, cf_pfn last, bool usable)
{
	(void)machine;
	(void)first;
	(void)last;
	(void)usable;
}

void cf_port_signal(void *machine, enum cf_signal what, cf_pfn pfn)
{
	(void)machine;
	(void)what;
	(void)pfn;
}

uint64_t *cf_port_held_ranks(void)
{
	static uint64_t ranks;

	return &ranks;
}
