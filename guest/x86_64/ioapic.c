/* SPDX-License-Identifier: MIT */

/* Interrupts of devices: pins of the IOAPIC, and messages; PCI by ports. */

#include "guest/kernel.h"
#include "local.h"

#define IOAPIC_PIN(pin)	(0x10 + 2 * (pin))
#define PIN_LEVEL	0x8000u
#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc

static void write_ioapic(uint32_t index, uint32_t value)
{
	volatile uint32_t *at = (volatile uint32_t *)(uintptr_t)acpi.ioapic;

	at[0] = index;
	at[4] = value;
}

/*
 * Where QEMU leads the four INTx lines: pins 16 to 23 of a q35, 10 and 11 of
 * a pc, where the firmware has put them. The q35's firmware also leads them
 * to the old pins, so that to listen to all would be to hear each twice.
 */
void arch_intx_init(void)
{
	uint32_t first = boot.ecam ? 16 : 10, last = boot.ecam ? 24 : 12;
	uint32_t pin;

	if (!acpi.ioapic)
		return;
	for (pin = first; pin < last; pin++) {
		write_ioapic(IOAPIC_PIN(pin) + 1, cpus[0].arch.apic << 24);
		write_ioapic(IOAPIC_PIN(pin), PIN_LEVEL | VECTOR_INTX);
	}
}

unsigned arch_intx_vector(void)
{
	return VECTOR_INTX;
}

/* Vectors from VECTOR_MESSAGE on; to the first CPU. */
unsigned arch_message(unsigned number, uint64_t *ret_address,
		      uint32_t *ret_data)
{
	unsigned vector = VECTOR_MESSAGE + number;

	*ret_address = 0xfee00000 | (uint64_t)cpus[0].arch.apic << 12;
	*ret_data = vector;
	return vector;
}

/* Mechanism 1; what lies beyond 256 bytes is not there. */
uint32_t arch_pci_read(uint32_t address, unsigned bytes)
{
	uint32_t offset = address & 0xfff, value;
	unsigned long state = arch_irq_off();

	out32(PCI_ADDRESS, 0x80000000 | (address >> 4 & 0xffff00) |
			   (offset & 0xfc));
	value = in32(PCI_DATA) >> 8 * (offset & 3);
	arch_irq_restore(state);
	return bytes == 4 ? value : value & ((1u << 8 * bytes) - 1);
}

void arch_pci_write(uint32_t address, unsigned bytes, uint32_t value)
{
	uint32_t offset = address & 0xfff;
	uint16_t port = (uint16_t)(PCI_DATA + (offset & 3));
	unsigned long state = arch_irq_off();

	out32(PCI_ADDRESS, 0x80000000 | (address >> 4 & 0xffff00) |
			   (offset & 0xfc));
	if (bytes == 4)
		out32(port, value);
	else if (bytes == 2)
		out16(port, (uint16_t)value);
	else
		out8(port, (uint8_t)value);
	arch_irq_restore(state);
}

/* The firmware gives addresses to all BARs it has room for. */
uint64_t arch_pci_room(uint64_t bytes)
{
	(void)bytes;
	return 0;
}
