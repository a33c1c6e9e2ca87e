/* SPDX-License-Identifier: MIT */

/* Interrupts: between CPUs, of the timer, and from devices' pins. */

#include "guest/kernel.h"
#include "local.h"

#define APIC		0xfee00000ul
#define APIC_ID		0x20
#define APIC_EOI	0xb0
#define APIC_SPURIOUS	0xf0
#define APIC_COMMAND	0x300
#define APIC_TARGET	0x310
#define APIC_TIMER	0x320
#define APIC_COUNT	0x380
#define APIC_DIVIDE	0x3e0

#define COMMAND_ASSERT	0x4000
#define COMMAND_INIT	0x500
#define COMMAND_START	0x600
#define COMMAND_PENDING	0x1000

#define TRAMPOLINE	0x8000ul
#define START_NS	10000000000ull	/* on a busy host */
#define START_STACK	16384

extern char trampoline[], trampoline_end[];
extern uint64_t other_stack;
SHARED static uint8_t stack[CPUS_MAX][START_STACK];
SHARED static volatile bool started;

static volatile uint32_t *apic_at(unsigned offset)
{
	return (volatile uint32_t *)(APIC + offset);
}

void apic_init(void)
{
	/* The old controllers say nothing any more. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	*apic_at(APIC_SPURIOUS) = 0x100 | VECTOR_SPURIOUS;
	*apic_at(APIC_DIVIDE) = 0xb;	/* by 1 */
	*apic_at(APIC_TIMER) = VECTOR_TIMER;
	this_cpu()->arch.apic = *apic_at(APIC_ID) >> 24;
}

void apic_end(void)
{
	*apic_at(APIC_EOI) = 0;
}

/* The counter runs with the bus: a nanosecond each in QEMU. */
void apic_timer(uint64_t ns)
{
	*apic_at(APIC_COUNT) = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static void send(uint32_t target, uint32_t command)
{
	unsigned long state = arch_irq_off();

	*apic_at(APIC_TARGET) = target << 24;
	*apic_at(APIC_COMMAND) = command | COMMAND_ASSERT;
	while (*apic_at(APIC_COMMAND) & COMMAND_PENDING)
		arch_pause();
	arch_irq_restore(state);
}

void arch_interrupt(const struct cpu *cpu)
{
	send(cpu->arch.apic, VECTOR_QUESTION);
}

static void wait_ns(uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (arch_now_ns() < end)
		arch_pause();
}

_Noreturn void arch_other(void);

/* Where a CPU begins that was started. */
_Noreturn void arch_other(void)
{
	struct cpu *cpu = &cpus[cpus_count];

	cpu->number = cpus_count;
	arch_cpu_init(cpu);
	thread_init_idle(cpu);
	cpu->running = true;
	arch_fence();
	cpus_count++;
	started = true;
	thread_idle();
}

static void start(unsigned number, uint32_t apic)
{
	uint64_t end = arch_now_ns() + START_NS;

	other_stack = (uintptr_t)stack[number] + START_STACK;
	started = false;
	send(apic, COMMAND_INIT);
	wait_ns(10000000);
	send(apic, COMMAND_START | TRAMPOLINE >> 12);
	while (!started && arch_now_ns() < end)
		arch_pause();
	if (started)
		return;
	/* One that came later would find others' things done with its. */
	console_say("\nBail out! CPU %x does not start\n", (uint64_t)apic);
	arch_exit(1);
}

void arch_cpus_start(void)
{
	char *to = (char *)TRAMPOLINE;
	const char *from;
	unsigned i;

	for (from = trampoline; from < trampoline_end; from++)
		*to++ = *from;
	for (i = 0; i < acpi.cpus && cpus_count < CPUS_MAX; i++)
		if (acpi.apic[i] != cpus[0].arch.apic)
			start(cpus_count, acpi.apic[i]);
}

void arch_idle(uint64_t until_ns)
{
	uint64_t now = arch_now_ns();

	if (until_ns <= now)
		return;
	apic_timer(until_ns - now);
	/* sti takes effect behind the next instruction: nothing is missed. */
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
