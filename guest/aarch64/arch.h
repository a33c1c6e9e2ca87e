/* SPDX-License-Identifier: MIT */
#ifndef GUEST_AARCH64_ARCH_H
#define GUEST_AARCH64_ARCH_H

/* What differs between processors: aarch64. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;

/* What arch_save() keeps of a context: x19-x30, d8-d15, sp. */
struct arch_saved {
	uint64_t registers[21];
};

/* What vector.S saves; from the lowest address. */
struct trap {
	uint64_t x[31];
	uint64_t elr, spsr, sp;
	uint64_t fpsr, fpcr;
	_Alignas(16) uint8_t q[512];
	uint8_t unused[16];
};

_Static_assert(sizeof(struct trap) == 816, "as vector.S has it");
_Static_assert(offsetof(struct trap, q) == 288, "as vector.S has it");

#define ARCH_STACK_BYTES	32768

struct arch_cpu {
	_Alignas(16) uint8_t stack[ARCH_STACK_BYTES];	/* of exceptions */
};

/* TPIDR_EL1 leads to struct cpu. */
static inline struct cpu *arch_this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("mrs %0, tpidr_el1" : "=r"(cpu));
	return cpu;
}

static inline unsigned long arch_irq_off(void)
{
	unsigned long state;

	__asm__ volatile("mrs %0, daif; msr daifset, #2" : "=r"(state) : :
			 "memory");
	return !(state & 0x80);
}

static inline void arch_irq_restore(unsigned long state)
{
	if (state)
		__asm__ volatile("msr daifclr, #2" : : : "memory");
}

static inline void arch_fence(void)
{
	__asm__ volatile("dmb ish" : : : "memory");
}

static inline void arch_pause(void)
{
	__asm__ volatile("yield" : : : "memory");
}

/* Put a value in a word; what was there. Acquire. */
static inline uint32_t arch_swap(volatile uint32_t *word, uint32_t value)
{
	uint32_t was, failed;

	do {
		__asm__ volatile("ldaxr %w0, %2; stxr %w1, %w3, %2"
				 : "=&r"(was), "=&r"(failed), "+Q"(*word)
				 : "r"(value) : "memory");
	} while (failed);
	return was;
}

/* Release. */
static inline void arch_clear(volatile uint32_t *word)
{
	__asm__ volatile("stlr wzr, %0" : "=Q"(*word) : : "memory");
}

static inline void arch_flush(void)
{
	__asm__ volatile("dsb ishst; tlbi vmalle1; dsb ish; isb" : : :
			 "memory");
}

/* Entries that were made present are to be seen. */
static inline void arch_tables_changed(void)
{
	__asm__ volatile("dsb ishst; isb" : : : "memory");
}

/* Page table entries of 4 KiB; see x86_64/arch.h for the software bits. */
#define PTE_PRESENT	((uint64_t)1 << 0)
#define PTE_LEAF	((uint64_t)1 << 1)	/* at the last level: a page */
#define PTE_IS_DEVICE	((uint64_t)1 << 2)
#define PTE_READ_ONLY	((uint64_t)1 << 7)
#define PTE_SHAREABLE	((uint64_t)3 << 8)
#define PTE_ACCESSED	((uint64_t)1 << 10)
#define PTE_COPY	((uint64_t)1 << 55)
#define PTE_NONE	((uint64_t)1 << 56)
#define PTE_ALLOWED	((uint64_t)1 << 57)
#define PTE_FOREIGN	((uint64_t)1 << 58)
#define PTE_ADDRESS	((uint64_t)0x0000fffffffff000)

#define PTE_PAGE	(PTE_PRESENT | PTE_LEAF | PTE_SHAREABLE | PTE_ACCESSED)
#define PTE_TABLE	(PTE_PRESENT | PTE_LEAF)

static inline bool pte_writable(uint64_t pte)
{
	return !(pte & PTE_READ_ONLY);
}

static inline uint64_t pte_read_only(uint64_t pte)
{
	return pte | PTE_READ_ONLY;
}

static inline uint64_t pte_read_write(uint64_t pte)
{
	return pte & ~PTE_READ_ONLY;
}

/* Entries above the last level. */
static inline bool pte_is_large(uint64_t pte)
{
	return (pte & PTE_PRESENT) && !(pte & PTE_LEAF);
}

static inline uint64_t pte_large(uint64_t address, bool device)
{
	return address | PTE_PRESENT | PTE_ACCESSED |
	       (device ? PTE_IS_DEVICE : PTE_SHAREABLE);
}

extern uint64_t root_table[512];

void arch_switch(uintptr_t *from, uintptr_t to);
int arch_save(struct arch_saved *saved) __attribute__((returns_twice));
_Noreturn void arch_run_on(uintptr_t stack, void (*fn)(void));
_Noreturn void arch_resume(const struct arch_saved *saved, int value);

#endif
