/* SPDX-License-Identifier: MIT */

/*
 * QEMU's machine "virt": console, the way out, files, CPUs, PCI; and the first
 * steps of the first CPU.
 */

#include "guest/kernel.h"
#include "local.h"

#define UART_DATA	0x00
#define UART_FLAGS	0x18
#define UART_EMPTY	0x10		/* nothing came */
#define UART_FULL	0x20

#define PSCI_CPU_ON	0xc4000003ul
#define PSCI_OFF	0x84000008ul
#define SEMIHOST_EXIT	0x18ul
#define EXIT_BY_PROGRAM	0x20026ul

#define START_NS	10000000000ull	/* on a busy host */
#define START_STACK	16384

extern uint64_t other_stack;
extern char start_other[];
SHARED _Alignas(16) static uint8_t stack[CPUS_MAX][START_STACK];
SHARED static volatile bool started;
SHARED static unsigned cpus_there;
SHARED static uint64_t pci_next;

static long psci_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3)
			 : "memory");
	return (long)x0;
}

/* QEMU's own UART needs no setting up. */
void arch_console_init(void)
{
}

void arch_put(char byte)
{
	while (*register_at(VIRT_UART + UART_FLAGS) & UART_FULL)
		arch_pause();
	*register_at(VIRT_UART + UART_DATA) = (uint8_t)byte;
}

int arch_get(void)
{
	if (*register_at(VIRT_UART + UART_FLAGS) & UART_EMPTY)
		return -1;
	return (uint8_t)*register_at(VIRT_UART + UART_DATA);
}

/* By semihosting, with the numbers isa-debug-exit makes on x86. */
void arch_exit(int status)
{
	const uint64_t block[2] = {
		EXIT_BY_PROGRAM,
		status ? 2 * (0x20u + (uint64_t)(status & 31)) + 1 : 33,
	};
	register uint64_t x0 __asm__("x0") = SEMIHOST_EXIT;
	register const uint64_t *x1 __asm__("x1") = block;

	__asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
	(void)psci_call(PSCI_OFF, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

/* The key's high byte comes first. */
const char arch_tables_name[] = "aarch64";

void arch_file_access(uint64_t request)
{
	__asm__ volatile("dsb sy" : : : "memory");
	*(volatile uint64_t *)(VIRT_FW_CFG + 16) = __builtin_bswap64(request);
}

void arch_file_select(unsigned key)
{
	*(volatile uint16_t *)(VIRT_FW_CFG + 8) =
		__builtin_bswap16((uint16_t)key);
}

uint8_t arch_file_byte(void)
{
	return *(volatile uint8_t *)VIRT_FW_CFG;
}

_Noreturn void arch_other(void);

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

void arch_cpus_start(void)
{
	unsigned i;

	for (i = 1; i < cpus_there && i < CPUS_MAX; i++) {
		uint64_t end = arch_now_ns() + START_NS;

		other_stack = (uintptr_t)stack[i] + START_STACK;
		started = false;
		arch_fence();
		if (psci_call(PSCI_CPU_ON, i, (uintptr_t)start_other, 0))
			continue;
		while (!started && arch_now_ns() < end)
			arch_pause();
		if (started)
			continue;
		console_say("\nBail out! CPU %x does not start\n",
			    (uint64_t)i);
		arch_exit(1);
	}
}

uint32_t arch_pci_read(uint32_t address, unsigned bytes)
{
	(void)address;
	(void)bytes;
	return UINT32_MAX;
}

void arch_pci_write(uint32_t address, unsigned bytes, uint32_t value)
{
	(void)address;
	(void)bytes;
	(void)value;
}

/* There is no firmware: BARs have no address until they get one here. */
uint64_t arch_pci_room(uint64_t bytes)
{
	uint64_t at = (pci_next + bytes - 1) & ~(bytes - 1);

	if (at + bytes > VIRT_PCI_LAST)
		return 0;
	pci_next = at + bytes;
	return at;
}

_Noreturn void arch_first(void);

_Noreturn void arch_first(void)
{
	struct cpu *cpu = &cpus[0];

	arch_console_init();
	arch_cpu_init(cpu);
	cpus_there = fdt_read(VIRT_MEMORY);
	if (!boot.memories) {
		console_say("guest: no device tree at %x\n", VIRT_MEMORY);
		arch_exit(1);
	}
	boot.ecam = VIRT_ECAM;
	pci_next = VIRT_PCI_FIRST;
	thread_init_idle(cpu);
	cpu->running = true;
	cpus_count = 1;
	boot_go_on();
}
