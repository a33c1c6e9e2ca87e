/* SPDX-License-Identifier: MIT */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

/* PCI functions, and the drivers' way to them. */

#include <stdbool.h>
#include <stdint.h>

#include "virtio/pci.h"

/* One function. Of a BAR that is not memory, and of none, bytes is 0. */
struct pci_function {
	uint8_t bus, slot, function;
	uint16_t vendor, device;
	uint64_t bar[CF_PCI_BARS], bar_bytes[CF_PCI_BARS];
};

/*
 * pci_scan() - all functions of bus 0 and of buses behind bridges.
 *
 * By ECAM where the firmware names it, else by ports. Memory BARs that have
 * no address get one, and all can be reached afterwards.
 * Return: how many there are; the first @room of them in @found.
 */
unsigned pci_scan(struct pci_function *found, unsigned room);

/* What virtio's transport asks. @function stays where it is. */
struct cf_pci_access pci_access(struct pci_function *function);

uint32_t pci_config_read(const struct pci_function *function, uint32_t offset,
			 unsigned bytes);
void pci_config_write(const struct pci_function *function, uint32_t offset,
		      unsigned bytes, uint32_t value);

#endif
