/* SPDX-License-Identifier: MIT */
#ifndef GUEST_PTE_H
#define GUEST_PTE_H

/* Page table entries, as far as all processors agree. */

#include "guest/arch.h"

/* The table an entry leads to, or NULL. */
static inline uint64_t *pte_table(uint64_t pte)
{
	if (!(pte & PTE_PRESENT) || pte_is_large(pte))
		return NULL;
	return (uint64_t *)(pte & PTE_ADDRESS);
}

/* Is there a page, present or kept, that goes back with the entry? */
static inline bool pte_is_owned(uint64_t pte)
{
	return (pte & PTE_ADDRESS) != 0 && !(pte & PTE_FOREIGN);
}

static inline uint64_t pte_denied(uint64_t pte)
{
	if (!(pte & PTE_ADDRESS))
		return PTE_NONE;
	return (pte & ~PTE_PRESENT) | PTE_NONE;
}

static inline uint64_t pte_allowed(uint64_t pte)
{
	if (pte & PTE_PRESENT)
		return pte;
	if (!(pte & PTE_ADDRESS))
		return PTE_ALLOWED;
	return (pte & ~PTE_NONE) | PTE_PRESENT;
}

#endif
