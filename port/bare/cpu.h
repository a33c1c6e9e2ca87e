/* SPDX-License-Identifier: MIT */
#ifndef PORT_BARE_CPU_H
#define PORT_BARE_CPU_H

/* The few instructions the port needs of a processor. */

#include "bare.h"

#if defined(__x86_64__)

static inline struct cf_bare_context *cpu_context(void)
{
	struct cf_bare_context *context;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(context));
	return context;
}

#define CPU_IRQ_ON	0x200ul

static inline unsigned long cpu_irq_off(void)
{
	unsigned long state;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(state) : : "memory");
	return state & CPU_IRQ_ON;
}

static inline void cpu_irq_restore(unsigned long state)
{
	if (state)
		__asm__ volatile("sti" : : : "memory");
}

static inline bool cpu_irq_is_off(void)
{
	unsigned long state;

	__asm__ volatile("pushfq; popq %0" : "=r"(state) : : "memory");
	return !(state & CPU_IRQ_ON);
}

static inline void cpu_fence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#elif defined(__aarch64__)

static inline struct cf_bare_context *cpu_context(void)
{
	struct cf_bare_context *volatile *cpu;

	__asm__ volatile("mrs %0, tpidr_el1" : "=r"(cpu));
	return *cpu;
}

#define CPU_IRQ_MASKED	0x80ul

static inline unsigned long cpu_irq_off(void)
{
	unsigned long state;

	__asm__ volatile("mrs %0, daif; msr daifset, #2"
			 : "=r"(state) : : "memory");
	return !(state & CPU_IRQ_MASKED);
}

static inline void cpu_irq_restore(unsigned long state)
{
	if (state)
		__asm__ volatile("msr daifclr, #2" : : : "memory");
}

static inline bool cpu_irq_is_off(void)
{
	unsigned long state;

	__asm__ volatile("mrs %0, daif" : "=r"(state) : : "memory");
	return (state & CPU_IRQ_MASKED) != 0;
}

static inline void cpu_fence(void)
{
	__asm__ volatile("dmb ish" : : : "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("yield" : : : "memory");
}

#elif defined(__riscv) && __riscv_xlen == 64

/* In supervisor mode; tp leads to the memory of the CPU. */

static inline struct cf_bare_context *cpu_context(void)
{
	struct cf_bare_context *context;

	__asm__ volatile("ld %0, 0(tp)" : "=r"(context));
	return context;
}

#define CPU_IRQ_ON	2ul

static inline unsigned long cpu_irq_off(void)
{
	unsigned long state;

	__asm__ volatile("csrrc %0, sstatus, %1"
			 : "=r"(state) : "r"(CPU_IRQ_ON) : "memory");
	return state & CPU_IRQ_ON;
}

static inline void cpu_irq_restore(unsigned long state)
{
	__asm__ volatile("csrs sstatus, %0" : : "r"(state) : "memory");
}

static inline bool cpu_irq_is_off(void)
{
	unsigned long state;

	__asm__ volatile("csrr %0, sstatus" : "=r"(state) : : "memory");
	return !(state & CPU_IRQ_ON);
}

static inline void cpu_fence(void)
{
	__asm__ volatile("fence rw, rw" : : : "memory");
}

/* The hint "pause", which older assemblers do not know by its name. */
static inline void cpu_pause(void)
{
	__asm__ volatile(".word 0x0100000f" : : : "memory");
}

#else
#error "port/bare knows x86-64, aarch64 and 64-bit RISC-V"
#endif

#endif
