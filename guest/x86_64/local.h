/* SPDX-License-Identifier: MIT */
#ifndef GUEST_X86_64_LOCAL_H
#define GUEST_X86_64_LOCAL_H

/* What the files of this folder share. */

#include <stdint.h>

#define VECTOR_BYTES	16
#define VECTOR_QUESTION	0x40		/* of another CPU */
#define VECTOR_TIMER	0x41
#define VECTOR_INTX	0x50
#define VECTOR_MESSAGE	0x60		/* and the next ones */
#define VECTOR_SPURIOUS	0xff

void write_msr(uint32_t msr, uint64_t value);
uint64_t read_msr(uint32_t msr);

/* apic.c */
void apic_init(void);			/* the running CPU's */
void apic_end(void);
void apic_timer(uint64_t ns);

/* clock.c */
void clock_init(void);

/* pvh.c, acpi.c */
void pvh_read(uint64_t info);
void acpi_read(void);

/* What the tables say; of devices more is in struct boot. */
struct acpi {
	uint32_t apic[8];		/* numbers of CPUs */
	unsigned cpus;
	uint32_t ioapic;		/* address, or 0 */
};

extern struct acpi acpi;

#endif
