/* SPDX-License-Identifier: MIT */

/*
 * The part of the contract that is about memory: each machine has a table of
 * functions. A kernel with one kind of machine can define these itself, and
 * leave this file out.
 */

#include "bare.h"

static const struct cf_bare_ops *ops_of(const void *machine)
{
	const struct cf_bare_machine *bare = machine;

	return bare->ops;
}

void *cf_port_meta_alloc(void *machine, size_t bytes)
{
	const struct cf_bare_ops *ops = ops_of(machine);

	return ops->meta_alloc ? ops->meta_alloc(machine, bytes) : NULL;
}

void cf_port_meta_free(void *machine, void *memory, size_t bytes)
{
	ops_of(machine)->meta_free(machine, memory, bytes);
}

void *cf_port_frame_address(void *machine, cf_pfn pfn, uint64_t count)
{
	const struct cf_bare_ops *ops = ops_of(machine);

	return ops->frame_address ? ops->frame_address(machine, pfn, count) :
				    NULL;
}

int cf_port_first_exposed(void *machine, cf_pfn first, cf_pfn last)
{
	const struct cf_bare_ops *ops = ops_of(machine);

	return ops->first_exposed ? ops->first_exposed(machine, first, last) :
				    0;
}

int cf_port_returned(void *machine, cf_pfn first, cf_pfn last)
{
	const struct cf_bare_ops *ops = ops_of(machine);

	return ops->returned ? ops->returned(machine, first, last) : 0;
}

void cf_port_protect(void *machine, cf_pfn first, cf_pfn last, bool usable)
{
	const struct cf_bare_ops *ops = ops_of(machine);

	if (ops->protect)
		ops->protect(machine, first, last, usable);
}

void cf_port_signal(void *machine, enum cf_signal what, cf_pfn pfn)
{
	const struct cf_bare_ops *ops = ops_of(machine);

	if (ops->signal)
		ops->signal(machine, what, pfn);
}
