/* SPDX-License-Identifier: MIT */
#ifndef GUEST_X86_64_ARCH_H
#define GUEST_X86_64_ARCH_H

/* What differs between processors: x86-64. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;

/* What arch_save() keeps of a context. */
struct arch_saved {
	uint64_t registers[8];
};

/* What the CPU and vector.S push; from the lowest address. */
struct trap {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx,
		 rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, flags, rsp, ss;
};

/* The CPU's tables, and stacks for what interrupts it. */
#define ARCH_STACK_BYTES	16384

struct arch_cpu {
	_Alignas(16) uint8_t fault_stack[ARCH_STACK_BYTES];
	_Alignas(16) uint8_t last_stack[ARCH_STACK_BYTES];
	_Alignas(16) uint8_t interrupt_stack[ARCH_STACK_BYTES];
	uint64_t gdt[8];
	uint32_t tss[26];
	uint32_t apic;			/* its number for interrupts */
};

/* %gs leads to struct cpu; the second word there is its address. */
static inline struct cpu *arch_this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:8, %0" : "=r"(cpu));
	return cpu;
}

static inline unsigned long arch_irq_off(void)
{
	unsigned long state;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(state) : : "memory");
	return state & 0x200;
}

static inline void arch_irq_restore(unsigned long state)
{
	if (state)
		__asm__ volatile("sti" : : : "memory");
}

static inline void arch_fence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline void arch_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Put 1 in a word; what was there. Acquire. */
static inline uint32_t arch_swap(volatile uint32_t *word, uint32_t value)
{
	__asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*word) : :
			 "memory");
	return value;
}

/* Release. */
static inline void arch_clear(volatile uint32_t *word)
{
	__asm__ volatile("" : : : "memory");
	*word = 0;
}

static inline uint64_t arch_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void arch_flush(void)
{
	uint64_t root;

	__asm__ volatile("movq %%cr3, %0; movq %0, %%cr3" : "=r"(root) : :
			 "memory");
}

/* The processor sees entries that were made present. */
static inline void arch_tables_changed(void)
{
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

/*
 * Page table entries of 4 KiB. Of one that is not present the software bits
 * say what the page is to be; space.c knows.
 */
#define PTE_PRESENT	((uint64_t)1 << 0)
#define PTE_WRITE	((uint64_t)1 << 1)
#define PTE_LARGE	((uint64_t)1 << 7)
#define PTE_COPY	((uint64_t)1 << 9)	/* software: see fork.c */
#define PTE_NONE	((uint64_t)1 << 10)	/* software: no access */
#define PTE_ALLOWED	((uint64_t)1 << 11)	/* software: access */
#define PTE_ADDRESS	((uint64_t)0x000ffffffffff000)

#define PTE_PAGE	(PTE_PRESENT | PTE_WRITE)
#define PTE_TABLE	(PTE_PRESENT | PTE_WRITE)
#define PTE_DEVICE	(PTE_PRESENT | PTE_WRITE | (uint64_t)1 << 4)

#define PTE_FOREIGN	((uint64_t)1 << 52)	/* software: a device's */

static inline bool pte_writable(uint64_t pte)
{
	return (pte & PTE_WRITE) != 0;
}

static inline uint64_t pte_read_only(uint64_t pte)
{
	return pte & ~PTE_WRITE;
}

static inline uint64_t pte_read_write(uint64_t pte)
{
	return pte | PTE_WRITE;
}

/* Entries above the last level. */
static inline bool pte_is_large(uint64_t pte)
{
	return (pte & PTE_LARGE) != 0;
}

static inline uint64_t pte_large(uint64_t address, bool device)
{
	return address | (device ? PTE_DEVICE : PTE_PAGE) | PTE_LARGE;
}

extern uint64_t root_table[512];

void arch_switch(uintptr_t *from, uintptr_t to);
int arch_save(struct arch_saved *saved) __attribute__((returns_twice));
_Noreturn void arch_run_on(uintptr_t stack, void (*fn)(void));
_Noreturn void arch_resume(const struct arch_saved *saved, int value);

#endif
