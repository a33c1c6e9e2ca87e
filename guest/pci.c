/* SPDX-License-Identifier: MIT */

/* PCI: configuration space, by ECAM or ports, and what is found in it. */

#include "kernel.h"
#include "pci.h"

#define VENDOR		0x00
#define DEVICE		0x02
#define COMMAND		0x04
#define COMMAND_MEMORY	0x0002
#define HEADER		0x0e
#define HEADER_MULTI	0x80
#define HEADER_BRIDGE	0x01
#define BAR		0x10
#define BAR_IO		0x1
#define BAR_64		0x4
#define BAR_FLAGS	0xfu
#define SECONDARY	0x19
#define SLOTS		32
#define FUNCTIONS	8
#define BUSES_DEEP	4

static uint32_t address_of(const struct pci_function *function,
			   uint32_t offset)
{
	return (uint32_t)function->bus << 20 | (uint32_t)function->slot << 15 |
	       (uint32_t)function->function << 12 | offset;
}

uint32_t pci_config_read(const struct pci_function *function, uint32_t offset,
			 unsigned bytes)
{
	uintptr_t at = boot.ecam + address_of(function, offset);

	if (!boot.ecam)
		return arch_pci_read(address_of(function, offset), bytes);
	switch (bytes) {
	case 1:
		return *(volatile uint8_t *)at;
	case 2:
		return *(volatile uint16_t *)at;
	default:
		return *(volatile uint32_t *)at;
	}
}

void pci_config_write(const struct pci_function *function, uint32_t offset,
		      unsigned bytes, uint32_t value)
{
	uintptr_t at = boot.ecam + address_of(function, offset);

	if (!boot.ecam) {
		arch_pci_write(address_of(function, offset), bytes, value);
		return;
	}
	switch (bytes) {
	case 1:
		*(volatile uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	default:
		*(volatile uint32_t *)at = value;
		break;
	}
}

/* Both halves of a BAR; the upper one of 32 bits reads as @above. */
static uint64_t read_bar(const struct pci_function *function, uint32_t at,
			 bool wide, uint32_t above)
{
	uint64_t low = pci_config_read(function, at, 4);
	uint64_t high = wide ? pci_config_read(function, at + 4, 4) : above;

	return high << 32 | low;
}

static void write_bar(const struct pci_function *function, uint32_t at,
		      bool wide, uint64_t value)
{
	pci_config_write(function, at, 4, (uint32_t)value);
	if (wide)
		pci_config_write(function, at + 4, 4, (uint32_t)(value >> 32));
}

/* How large, where; returns how many BARs it takes up. */
static unsigned look_at_bar(struct pci_function *function, unsigned bar)
{
	uint32_t at = BAR + 4 * bar;
	uint32_t flags = pci_config_read(function, at, 4);
	bool wide = (flags & (BAR_IO | BAR_64)) == BAR_64 &&
		    bar + 1 < CF_PCI_BARS;
	uint64_t was, mask;

	if (flags & BAR_IO)
		return 1;
	was = read_bar(function, at, wide, 0);
	write_bar(function, at, wide, ~(uint64_t)0);
	mask = read_bar(function, at, wide, UINT32_MAX) & ~(uint64_t)BAR_FLAGS;
	write_bar(function, at, wide, was);
	was &= ~(uint64_t)BAR_FLAGS;
	if (!(uint32_t)mask && !wide)
		return 1;
	function->bar_bytes[bar] = ~mask + 1;
	if (!was && function->bar_bytes[bar]) {
		was = arch_pci_room(function->bar_bytes[bar]);
		write_bar(function, at, wide, was);
	}
	function->bar[bar] = was;
	if (!was || !space_map_direct(was, was + function->bar_bytes[bar],
				      true))
		function->bar_bytes[bar] = 0;
	return wide ? 2 : 1;
}

/* Nothing decodes addresses while BARs are written to. */
static void look_at_bars(struct pci_function *function)
{
	uint32_t command = pci_config_read(function, COMMAND, 2);
	unsigned bar;

	pci_config_write(function, COMMAND, 2,
			 command & ~(uint32_t)COMMAND_MEMORY);
	for (bar = 0; bar < CF_PCI_BARS;)
		bar += look_at_bar(function, bar);
	pci_config_write(function, COMMAND, 2, command);
}

struct scan {
	struct pci_function *found;
	unsigned room, count, deep;
};

static void scan_bus(struct scan *scan, uint8_t bus);

/* Returns whether there may be more functions in its slot. */
static bool scan_function(struct scan *scan, struct pci_function function)
{
	uint32_t header;

	function.vendor = (uint16_t)pci_config_read(&function, VENDOR, 2);
	if (function.vendor == 0xffff)
		return function.function > 0;
	function.device = (uint16_t)pci_config_read(&function, DEVICE, 2);
	header = pci_config_read(&function, HEADER, 1);
	if ((header & ~(uint32_t)HEADER_MULTI) == HEADER_BRIDGE &&
	    scan->deep < BUSES_DEEP) {
		uint8_t next = (uint8_t)pci_config_read(&function, SECONDARY,
							1);

		scan->deep++;
		if (next > function.bus)
			scan_bus(scan, next);
		scan->deep--;
	}
	if (!(header & ~(uint32_t)HEADER_MULTI))
		look_at_bars(&function);
	if (scan->count < scan->room)
		scan->found[scan->count] = function;
	scan->count++;
	return function.function > 0 || header & HEADER_MULTI;
}

static void scan_bus(struct scan *scan, uint8_t bus)
{
	struct pci_function function = { .bus = bus };
	uint8_t slot, number;

	for (slot = 0; slot < SLOTS; slot++) {
		function.slot = slot;
		for (number = 0; number < FUNCTIONS; number++) {
			function.function = number;
			if (!scan_function(scan, function))
				break;
		}
	}
}

unsigned pci_scan(struct pci_function *found, unsigned room)
{
	struct scan scan = { .found = found, .room = room };

	if (boot.ecam && !space_map_direct(boot.ecam, boot.ecam +
					   ((uint64_t)1 << 28), true))
		return 0;
	scan_bus(&scan, 0);
	return scan.count;
}

static uint32_t access_config_read(void *context, uint32_t offset,
				   unsigned bytes)
{
	return pci_config_read(context, offset, bytes);
}

static void access_config_write(void *context, uint32_t offset,
				unsigned bytes, uint32_t value)
{
	pci_config_write(context, offset, bytes, value);
}

static uint64_t access_bar_bytes(void *context, unsigned bar)
{
	const struct pci_function *function = context;

	return bar < CF_PCI_BARS ? function->bar_bytes[bar] : 0;
}

static uint32_t access_bar_read(void *context, unsigned bar, uint64_t offset,
				unsigned bytes)
{
	const struct pci_function *function = context;
	uintptr_t at = function->bar[bar] + offset;

	switch (bytes) {
	case 1:
		return *(volatile uint8_t *)at;
	case 2:
		return *(volatile uint16_t *)at;
	default:
		return *(volatile uint32_t *)at;
	}
}

static void access_bar_write(void *context, unsigned bar, uint64_t offset,
			     unsigned bytes, uint32_t value)
{
	const struct pci_function *function = context;
	uintptr_t at = function->bar[bar] + offset;

	switch (bytes) {
	case 1:
		*(volatile uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	default:
		*(volatile uint32_t *)at = value;
		break;
	}
}

struct cf_pci_access pci_access(struct pci_function *function)
{
	return (struct cf_pci_access){
		.context = function,
		.config_read = access_config_read,
		.config_write = access_config_write,
		.bar_bytes = access_bar_bytes,
		.bar_read = access_bar_read,
		.bar_write = access_bar_write,
	};
}
