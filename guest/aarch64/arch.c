/* SPDX-License-Identifier: MIT */

/* One CPU's exceptions, threads' stacks and variables, time. */

#include "guest/kernel.h"
#include "local.h"

_Static_assert(offsetof(struct cpu, trap_stack) == 16, "as vector.S has it");

#define CLASS_SHIFT	26
#define CLASS_DATA	0x25		/* data abort, same level */
#define CLASS_CODE	0x21
#define CLASS_BREAK	0x3c		/* brk: UBSan's traps, too */
#define ABORT_WRITE	0x40
#define KIND_SYNCHRONOUS	0
#define KIND_INTERRUPT	1

void arch_cpu_init(struct cpu *cpu)
{
	cpu->self = cpu;
	cpu->interrupt.cpu = CF_CPU_NONE;
	cpu->trap_stack = (uintptr_t)cpu->arch.stack + ARCH_STACK_BYTES;
	__asm__ volatile("msr tpidr_el1, %0" : : "r"(cpu));
	__asm__ volatile("msr spsel, #1; mov sp, %0; msr spsel, #0"
			 : : "r"(cpu->trap_stack) : "memory");
	if (cpu->number == 0)
		gic_init_first();
	gic_init_cpu();
}

void arch_set_tls(uintptr_t pointer)
{
	__asm__ volatile("msr tpidr_el0, %0" : : "r"(pointer));
}

/* The pointer leads below the variables, by as much as they are aligned. */
#define TLS_GAP	64

uintptr_t arch_tls_pointer(char *top, size_t bytes)
{
	return (uintptr_t)top - bytes - TLS_GAP;
}

char *arch_tls_begin(char *top, size_t bytes)
{
	return top - bytes;
}

void arch_thread_begin(void);

/* What arch_switch() takes from it. */
uintptr_t arch_thread_stack(uintptr_t top, void (*begin)(void))
{
	uint64_t *stack = (uint64_t *)(top - 160);
	unsigned i;

	for (i = 0; i < 20; i++)
		stack[i] = 0;
	stack[0] = (uintptr_t)begin;			/* x19 */
	stack[11] = (uintptr_t)arch_thread_begin;	/* x30 */
	return (uintptr_t)stack;
}

void arch_say_trap(const struct trap *trap)
{
	char name[4] = "x00";
	unsigned i;

	console_say("elr %x spsr %x sp %x cpu %x\n", trap->elr, trap->spsr,
		    trap->sp, (uint64_t)this_cpu()->number);
	for (i = 0; i < 31; i++) {
		name[1] = (char)('0' + i / 10);
		name[2] = (char)('0' + i % 10);
		console_say("%s %x%s", name, trap->x[i],
			    i % 4 == 3 || i == 30 ? "\n" : " ");
	}
}

static const char *class_name(uint64_t class)
{
	switch (class) {
	case CLASS_DATA:
		return "data abort";
	case CLASS_CODE:
		return "instruction abort";
	case CLASS_BREAK:
		return "undefined behaviour, or brk";
	default:
		return "exception";
	}
}

static void fault(const struct trap *trap)
{
	struct cpu *cpu = this_cpu();
	uint64_t address, why;

	__asm__ volatile("mrs %0, far_el1" : "=r"(address));
	__asm__ volatile("mrs %0, esr_el1" : "=r"(why));
	cpu->fault_depth++;
	if (why >> CLASS_SHIFT != CLASS_DATA || cpu->fault_depth > 1 ||
	    !space_fault(address, why & ABORT_WRITE))
		guest_fault(class_name(why >> CLASS_SHIFT), trap,
			    why >> CLASS_SHIFT == CLASS_DATA ? address :
							       trap->elr);
	cpu->fault_depth--;
}

/* The timer is heard once: it is off until it is set again. */
static void interrupted(void)
{
	unsigned number = gic_begin();

	if ((number & IRQ_NONE) == IRQ_NONE)
		return;
	if ((number & IRQ_NONE) == IRQ_QUESTION)
		cpu_served();
	else if (number == IRQ_TIMER)
		__asm__ volatile("msr cntv_ctl_el0, %0; isb" : : "r"(0ul));
	else
		/* Each of the lines stands for all. */
		interrupt_raised(IRQ_INTX);
	gic_end(number);
}

void arch_trap(uint64_t kind, const struct trap *trap);

void arch_trap(uint64_t kind, const struct trap *trap)
{
	cpu_wake();
	if (kind == KIND_SYNCHRONOUS)
		fault(trap);
	else if (kind == KIND_INTERRUPT)
		interrupted();
	else
		guest_fault("system error", trap, trap->elr);
}

static uint64_t frequency(void)
{
	uint64_t hertz;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hertz));
	return hertz;
}

uint64_t arch_now_ns(void)
{
	uint64_t ticks, hertz = frequency();

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks / hertz * 1000000000 +
	       ticks % hertz * 1000000000 / hertz;
}

/* A pending interrupt ends wfi even while it is masked: nothing is missed. */
void arch_idle(uint64_t until_ns)
{
	uint64_t now = arch_now_ns(), ticks, hertz = frequency();

	if (until_ns <= now)
		return;
	if (until_ns - now > 1000000000)
		until_ns = now + 1000000000;
	ticks = (until_ns - now) * hertz / 1000000000 + 1;
	__asm__ volatile("msr cntv_tval_el0, %0" : : "r"(ticks));
	__asm__ volatile("msr cntv_ctl_el0, %0; isb" : : "r"(1ul));
	__asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2"
			 : : : "memory");
}
