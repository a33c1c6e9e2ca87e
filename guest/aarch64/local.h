/* SPDX-License-Identifier: MIT */
#ifndef GUEST_AARCH64_LOCAL_H
#define GUEST_AARCH64_LOCAL_H

/* What the files of this folder share: QEMU's machine "virt". */

#include <stdint.h>

#define VIRT_GICD	0x08000000ul
#define VIRT_GICC	0x08010000ul
#define VIRT_UART	0x09000000ul
#define VIRT_FW_CFG	0x09020000ul
#define VIRT_PCI_FIRST	0x10000000ul
#define VIRT_PCI_LAST	0x3eff0000ul
#define VIRT_MEMORY	0x40000000ul
#define VIRT_ECAM	0x4010000000ul

/* Numbers of interrupts. */
#define IRQ_QUESTION	1		/* of another CPU */
#define IRQ_TIMER	27
#define IRQ_INTX	35		/* and the next three */
#define IRQ_NONE	1023

static inline volatile uint32_t *register_at(uintptr_t address)
{
	return (volatile uint32_t *)address;
}

/* gic.c */
void gic_init_first(void);
void gic_init_cpu(void);
unsigned gic_begin(void);
void gic_end(unsigned number);

/* fdt.c: how many CPUs there are; fills struct boot */
unsigned fdt_read(uint64_t address);

#endif
