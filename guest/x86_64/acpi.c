/* SPDX-License-Identifier: MIT */

/* Two tables of ACPI: which CPUs there are, and where PCI is described. */

#include "guest/kernel.h"
#include "local.h"

struct __attribute__((packed)) root {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
};

struct __attribute__((packed)) table {
	char signature[4];
	uint32_t length;
	char rest[28];
};

#define MADT_FIRST	44		/* byte of the first entry */
#define MADT_CPU	0
#define MADT_IOAPIC	1
#define MCFG_BASE	44

struct acpi acpi;

static uint32_t read32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static bool is(const struct table *table, const char *name)
{
	return table->signature[0] == name[0] &&
	       table->signature[1] == name[1] &&
	       table->signature[2] == name[2] &&
	       table->signature[3] == name[3];
}

static void read_madt(const uint8_t *madt, uint32_t length)
{
	uint32_t at;

	for (at = MADT_FIRST; at + 2 <= length && madt[at + 1] >= 2;
	     at += madt[at + 1]) {
		const uint8_t *entry = madt + at;

		if (entry[0] == MADT_CPU && read32(entry + 4) & 1 &&
		    acpi.cpus < 8)
			acpi.apic[acpi.cpus++] = entry[3];
		else if (entry[0] == MADT_IOAPIC && !acpi.ioapic)
			acpi.ioapic = read32(entry + 4);
	}
}

void acpi_read(void)
{
	const struct root *root = (const struct root *)boot.acpi;
	const struct table *list;
	uint32_t i, count;

	if (!root)
		return;
	list = (const struct table *)(uintptr_t)root->rsdt;
	count = (list->length - 36) / 4;
	for (i = 0; i < count; i++) {
		const uint8_t *entry = (const uint8_t *)list + 36 + 4 * i;
		uintptr_t at = read32(entry);
		const struct table *table = (const struct table *)at;

		if (is(table, "APIC"))
			read_madt((const uint8_t *)table, table->length);
		else if (is(table, "MCFG"))
			boot.ecam = read32((const uint8_t *)table + MCFG_BASE);
	}
}
