/* SPDX-License-Identifier: MIT */

/*
 * VMCOREINFO for dumps that QEMU takes: an ELF note in memory, and a file of
 * QEMU's that says where it is (docs/specs/vmcoreinfo.rst there).
 */

#include "guest/arch.h"
#include "include/guest.h"
#include "include/stdio.h"
#include "include/string.h"
#include "kernel.h"

#define NOTE_BYTES	16384
#define NAME		"VMCOREINFO"
#define FORMAT_ELF	1

struct note {
	uint32_t name_bytes, text_bytes, type;
	char name[12];
	char text[NOTE_BYTES];
};

/* What QEMU wants to know; low bytes first. */
struct place {
	uint16_t host_format, guest_format;
	uint32_t bytes;
	uint64_t address;
} __attribute__((packed));

void guest_vmcoreinfo(const char *text, unsigned long bytes)
{
	SHARED static struct note note;
	SHARED static struct place place;
	int length;

	if (bytes > NOTE_BYTES)
		return;
	(void)memcpy(note.text, text, bytes);
	length = snprintf(note.text + bytes, NOTE_BYTES - bytes,
			  "SYMBOL(page_root)=%llx\nPAGETABLES=%s\n",
			  (unsigned long long)(uintptr_t)root_table,
			  arch_tables_name);
	if (length < 0 || (unsigned long)length >= NOTE_BYTES - bytes)
		return;
	note.name_bytes = sizeof(NAME);
	note.text_bytes = (uint32_t)(bytes + (unsigned long)length);
	(void)memcpy(note.name, NAME, sizeof(NAME));
	place = (struct place){
		.guest_format = FORMAT_ELF,
		/* QEMU takes none of which the end is not padded. */
		.bytes = (uint32_t)(sizeof(note) - NOTE_BYTES) +
			 ((note.text_bytes + 3) & ~3u),
		.address = (uintptr_t)&note,
	};
	(void)file_write("etc/vmcoreinfo", &place, sizeof(place));
}
