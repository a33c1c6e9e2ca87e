/* SPDX-License-Identifier: MIT */

/* Interrupts: the GIC, version 2. */

#include "guest/kernel.h"
#include "local.h"

#define GICD_CONTROL	0x000
#define GICD_ENABLE	0x100
#define GICD_TARGETS	0x800
#define GICD_SOFTWARE	0xf00
#define GICC_CONTROL	0x00
#define GICC_PRIORITY	0x04
#define GICC_BEGIN	0x0c
#define GICC_END	0x10

void gic_init_first(void)
{
	*register_at(VIRT_GICD + GICD_CONTROL) = 1;
}

/* Those of the CPU's own: questions, which are always on, and its timer. */
void gic_init_cpu(void)
{
	*register_at(VIRT_GICD + GICD_ENABLE) = 1u << IRQ_TIMER | 0xffff;
	*register_at(VIRT_GICC + GICC_PRIORITY) = 0xff;
	*register_at(VIRT_GICC + GICC_CONTROL) = 1;
}

unsigned gic_begin(void)
{
	return *register_at(VIRT_GICC + GICC_BEGIN);
}

void gic_end(unsigned number)
{
	*register_at(VIRT_GICC + GICC_END) = number;
}

void arch_interrupt(const struct cpu *cpu)
{
	__asm__ volatile("dsb ishst" : : : "memory");
	*register_at(VIRT_GICD + GICD_SOFTWARE) =
		1u << (16 + cpu->number) | IRQ_QUESTION;
}

/* The four lines, to the first CPU. */
void arch_intx_init(void)
{
	volatile uint8_t *targets = (volatile uint8_t *)(VIRT_GICD +
							 GICD_TARGETS);
	unsigned i;

	for (i = IRQ_INTX; i < IRQ_INTX + 4; i++) {
		targets[i] = 1;
		*register_at(VIRT_GICD + GICD_ENABLE + i / 32 * 4) =
			1u << i % 32;
	}
}

unsigned arch_intx_vector(void)
{
	return IRQ_INTX;
}

/* There is no frame for messages with this GIC. */
unsigned arch_message(unsigned number, uint64_t *ret_address,
		      uint32_t *ret_data)
{
	(void)number;
	*ret_address = 0;
	*ret_data = 0;
	return 0;
}
