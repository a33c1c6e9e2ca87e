/* SPDX-License-Identifier: MIT */
/* Reading ELF cores. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "formats.h"

#define PHDRS_MAX	((uint64_t)1 << 24)
#define PHDRS_AT_ONCE	512

static int check_header(const Elf64_Ehdr *header, struct dump_why *why)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB)
		return dump_fail(why, "it is an ELF file of 32 bits, or with "
				 "the most byte first");
	if (header->e_type != ET_CORE)
		return dump_fail(why, "it is an ELF file, and no core");
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return dump_fail(why, "its program headers have %u bytes",
				 header->e_phentsize);
	return 0;
}

/* How many program headers: more than 65534 stand in a section header. */
static int count_headers(struct dump_file *file, const Elf64_Ehdr *header,
			 uint64_t *ret_count, struct dump_why *why)
{
	Elf64_Shdr section;

	*ret_count = header->e_phnum;
	if (header->e_phnum != PN_XNUM)
		return 0;
	if (header->e_shoff == 0 || header->e_shentsize != sizeof(section))
		return dump_fail(why, "it does not say how many program "
				 "headers it has");
	if (dump_file_bytes(file, header->e_shoff, &section, sizeof(section),
			    why))
		return -1;
	*ret_count = section.sh_info;
	if (*ret_count > PHDRS_MAX)
		return dump_fail(why, "it has more program headers than any");
	return 0;
}

static int take_load(struct dump_file *file, const Elf64_Phdr *phdr,
		     struct dump_why *why)
{
	struct dump_segment *segment = &file->segment[file->segments];
	uint64_t end;

	if (!phdr->p_filesz)
		return 0;
	if (phdr->p_offset > file->bytes ||
	    phdr->p_filesz > file->bytes - phdr->p_offset)
		return dump_fail(why, "it is cut off: the segment at %#llx "
				 "reaches beyond its end",
				 (unsigned long long)phdr->p_paddr);
	if (__builtin_add_overflow(phdr->p_paddr, phdr->p_filesz, &end) ||
	    end > CF_PFN_LIMIT * 2 * CF_FRAME_BYTES)
		return dump_fail(why, "it has more frames than any machine");
	*segment = (struct dump_segment){
		.physical = phdr->p_paddr,
		.virtual = phdr->p_vaddr,
		.offset = phdr->p_offset,
		.bytes = phdr->p_filesz,
	};
	if (file->end < (end + CF_FRAME_BYTES - 1) / CF_FRAME_BYTES)
		file->end = (end + CF_FRAME_BYTES - 1) / CF_FRAME_BYTES;
	file->segments++;
	return 0;
}

static int take_headers(struct dump_file *file, uint64_t offset,
			uint64_t count, struct dump_why *why)
{
	Elf64_Phdr phdr[PHDRS_AT_ONCE];
	uint64_t i, part;

	for (; count; count -= part) {
		part = count < PHDRS_AT_ONCE ? count : PHDRS_AT_ONCE;
		if (dump_file_bytes(file, offset, phdr,
				    part * sizeof(phdr[0]), why))
			return -1;
		offset += part * sizeof(phdr[0]);
		for (i = 0; i < part; i++) {
			if (phdr[i].p_type == PT_NOTE && !file->notes &&
			    notes_read(file, phdr[i].p_offset,
				       phdr[i].p_filesz, why))
				return -1;
			if (phdr[i].p_type == PT_LOAD &&
			    take_load(file, &phdr[i], why))
				return -1;
		}
	}
	return 0;
}

static int compare_segments(const void *a, const void *b)
{
	const struct dump_segment *left = a, *right = b;

	return left->physical < right->physical ? -1 :
	       left->physical > right->physical;
}

int elf_file_open(struct dump_file *file, struct dump_why *why)
{
	Elf64_Ehdr header;
	uint64_t count;
	size_t i;

	file->format = DUMP_ELF;
	if (dump_file_bytes(file, 0, &header, sizeof(header), why) ||
	    check_header(&header, why) ||
	    count_headers(file, &header, &count, why))
		return -1;
	file->machine = header.e_machine;
	if (count > file->bytes / sizeof(Elf64_Phdr))
		return dump_fail(why, "it is cut off: its program headers are "
				 "not all there");
	file->segment = calloc(count + 1, sizeof(*file->segment));
	if (!file->segment)
		return dump_fail(why, "the process has no memory");
	if (take_headers(file, header.e_phoff, count, why))
		return -1;
	qsort(file->segment, file->segments, sizeof(*file->segment),
	      compare_segments);
	for (i = 1; i < file->segments; i++)
		if (file->segment[i].physical <
		    file->segment[i - 1].physical + file->segment[i - 1].bytes)
			return dump_fail(why, "its segments overlap at %#llx",
					 (unsigned long long)
					 file->segment[i].physical);
	return 0;
}

/* The first segment that ends behind a physical address. */
static size_t find_segment(const struct dump_file *file, uint64_t address)
{
	size_t low = 0, high = file->segments;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct dump_segment *segment = &file->segment[middle];

		if (segment->physical + segment->bytes <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A frame of which there is only a part is there: the rest reads as 0. */
int elf_file_has(const struct dump_file *file, uint64_t frame)
{
	uint64_t address = frame * CF_FRAME_BYTES;
	size_t i = find_segment(file, address);

	return i < file->segments &&
	       file->segment[i].physical < address + CF_FRAME_BYTES;
}

int elf_file_read(struct dump_file *file, uint64_t frame, void *memory,
	     struct dump_why *why)
{
	uint64_t first = frame * CF_FRAME_BYTES, last = first + CF_FRAME_BYTES;
	size_t i = find_segment(file, first);
	unsigned char *to = memory;
	int has = 0;

	memset(to, 0, CF_FRAME_BYTES);
	for (; i < file->segments; i++) {
		const struct dump_segment *segment = &file->segment[i];
		uint64_t from = segment->physical, end = from + segment->bytes;

		if (from >= last)
			break;
		from = from > first ? from : first;
		end = end < last ? end : last;
		if (dump_file_bytes(file, segment->offset + from -
				    segment->physical, to + (from - first),
				    end - from, why))
			return -1;
		has = 1;
	}
	return has;
}
