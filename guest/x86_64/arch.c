/* SPDX-License-Identifier: MIT */

/* One CPU's tables, exceptions, interrupts. */

#include "guest/kernel.h"
#include "local.h"

#define CODE_SELECTOR	8
#define TSS_SELECTOR	24
#define GATE		0x8e00		/* present, interrupt gate */
#define FAULT_STACK	1		/* numbers of stacks in the TSS */
#define LAST_STACK	2
#define INTERRUPT_STACK	3

#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101

struct gate {
	uint16_t offset_low, selector, flags, offset_middle;
	uint32_t offset_high, reserved;
};

struct __attribute__((packed)) pointer {
	uint16_t limit;
	uint64_t base;
};

SHARED static struct gate gate[256];
extern char vectors[];			/* 16 bytes each: vector.S */

static const char *const trap_names[] = {
	"divide error", "debug", "nmi", "breakpoint", "overflow",
	"bound", "undefined instruction", "no device", "double fault",
	"overrun", "wrong TSS", "no segment", "stack fault",
	"general protection", "page fault", "trap 15", "x87 error",
	"alignment check", "machine check", "SIMD error",
};

void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value),
			 "d"((uint32_t)(value >> 32)));
}

uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static void gates_init(void)
{
	unsigned i;

	for (i = 0; i < 256; i++) {
		/* UBSan's traps come as 6, other CPUs' questions above 31. */
		unsigned stack = i == 2 || i == 8 || i == 18 ? LAST_STACK :
				 i < 32 ? FAULT_STACK : INTERRUPT_STACK;
		uintptr_t at = (uintptr_t)vectors + i * VECTOR_BYTES;

		gate[i] = (struct gate){
			.offset_low = (uint16_t)at,
			.selector = CODE_SELECTOR,
			.flags = (uint16_t)(GATE | stack),
			.offset_middle = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
		};
	}
}

static void tss_set(struct arch_cpu *arch, unsigned stack, uint8_t *end)
{
	uintptr_t at = (uintptr_t)end;

	/* Stacks 1 to 7 lie from byte 36 on, as two halves each. */
	arch->tss[9 + 2 * (stack - 1)] = (uint32_t)at;
	arch->tss[10 + 2 * (stack - 1)] = (uint32_t)(at >> 32);
}

static void tables_init(struct arch_cpu *arch)
{
	uintptr_t tss = (uintptr_t)arch->tss;
	struct pointer gdt = { sizeof(arch->gdt) - 1, (uintptr_t)arch->gdt };
	struct pointer idt = { sizeof(gate) - 1, (uintptr_t)gate };

	tss_set(arch, FAULT_STACK, arch->fault_stack + ARCH_STACK_BYTES);
	tss_set(arch, LAST_STACK, arch->last_stack + ARCH_STACK_BYTES);
	tss_set(arch, INTERRUPT_STACK,
		arch->interrupt_stack + ARCH_STACK_BYTES);
	arch->tss[25] = sizeof(arch->tss) << 16;	/* no port bitmap */
	arch->gdt[1] = 0x00af9a000000ffff;
	arch->gdt[2] = 0x00cf92000000ffff;
	arch->gdt[3] = (sizeof(arch->tss) - 1) | (tss & 0xffffff) << 16 |
		       (uint64_t)0x89 << 40 | (tss >> 24 & 0xff) << 56;
	arch->gdt[4] = tss >> 32;
	__asm__ volatile("lgdt %0" : : "m"(gdt));
	__asm__ volatile("lidt %0" : : "m"(idt));
	__asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void arch_cpu_init(struct cpu *cpu)
{
	cpu->self = cpu;
	cpu->interrupt.cpu = CF_CPU_NONE;
	if (cpu->number == 0)
		gates_init();
	tables_init(&cpu->arch);
	write_msr(MSR_GS_BASE, (uintptr_t)cpu);
	apic_init();
}

void arch_set_tls(uintptr_t pointer)
{
	write_msr(MSR_FS_BASE, pointer);
}

/* Variables end where the pointer is, and it points to itself. */
#define TLS_GAP	64

char *arch_tls_begin(char *top, size_t bytes)
{
	return top - TLS_GAP - bytes;
}

uintptr_t arch_tls_pointer(char *top, size_t bytes)
{
	uintptr_t *pointer = (uintptr_t *)(void *)(top - TLS_GAP);

	(void)bytes;
	*pointer = (uintptr_t)pointer;
	return (uintptr_t)pointer;
}

void arch_thread_begin(void);

/* What arch_switch() takes from it: rbx is where arch_thread_begin() goes. */
uintptr_t arch_thread_stack(uintptr_t top, void (*begin)(void))
{
	uintptr_t *stack = (uintptr_t *)top;

	*--stack = (uintptr_t)arch_thread_begin;
	*--stack = (uintptr_t)begin;	/* rbx */
	*--stack = 0;			/* rbp */
	*--stack = 0;			/* r12 to r15 */
	*--stack = 0;
	*--stack = 0;
	*--stack = 0;
	return (uintptr_t)stack;
}

void arch_say_trap(const struct trap *trap)
{
	console_say("rip %x rsp %x flags %x error %x cpu %x\n", trap->rip,
		    trap->rsp, trap->flags, trap->error,
		    (uint64_t)this_cpu()->number);
	console_say("rax %x rbx %x rcx %x rdx %x\n", trap->rax, trap->rbx,
		    trap->rcx, trap->rdx);
	console_say("rsi %x rdi %x rbp %x r8 %x\n", trap->rsi, trap->rdi,
		    trap->rbp, trap->r8);
	console_say("r9 %x r10 %x r11 %x r12 %x\n", trap->r9, trap->r10,
		    trap->r11, trap->r12);
	console_say("r13 %x r14 %x r15 %x\n", trap->r13, trap->r14, trap->r15);
}

#define PAGE_FAULT	14
#define FAULT_WRITE	2

static void fault(const struct trap *trap)
{
	struct cpu *cpu = this_cpu();
	uint64_t address = 0;

	__asm__ volatile("movq %%cr2, %0" : "=r"(address));
	cpu->fault_depth++;
	if (trap->vector != PAGE_FAULT || cpu->fault_depth > 1 ||
	    !space_fault(address, trap->error & FAULT_WRITE))
		guest_fault(trap->vector < 20 ? trap_names[trap->vector] :
			    "trap", trap, trap->vector == PAGE_FAULT ?
			    address : trap->rip);
	cpu->fault_depth--;
}

void arch_trap(const struct trap *trap);

void arch_trap(const struct trap *trap)
{
	cpu_wake();
	if (trap->vector < 32) {
		fault(trap);
		return;
	}
	if (trap->vector == VECTOR_QUESTION)
		cpu_served();
	else if (trap->vector >= VECTOR_INTX &&
		 trap->vector != VECTOR_SPURIOUS)
		interrupt_raised((unsigned)trap->vector);
	apic_end();
}
