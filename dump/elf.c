/* SPDX-License-Identifier: MIT */
/*
 * Writing ELF cores: a segment for frames that follow each other, none for
 * those that are left out.  Zeroes are holes of the file.
 *
 * header | program headers | section header 0 | frames | notes
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "writer.h"

#define AT_ONCE		512

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + CF_FRAME_BYTES - 1) & ~(CF_FRAME_BYTES - 1);
}

static uint64_t count_parts(const struct writer *writer, const uint64_t *bits)
{
	struct part_cursor cursor = { 0, 0, 0 };
	struct part part;
	uint64_t count = 0;

	while (part_next(writer, bits, writer->planned, &cursor, &part))
		count++;
	return count;
}

static int write_header(struct writer *writer, uint64_t phdrs, uint64_t parts)
{
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			     ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = (Elf64_Half)writer->source->elf_machine,
		.e_version = EV_CURRENT,
		.e_phoff = phdrs,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(parts + 1),
	};

	if (parts + 1 >= PN_XNUM) {
		header.e_phnum = PN_XNUM;
		header.e_shoff = phdrs + (parts + 1) * sizeof(Elf64_Phdr);
		header.e_shentsize = sizeof(Elf64_Shdr);
		header.e_shnum = 1;
	}
	return out_write(&writer->out, 0, &header, sizeof(header),
			 writer->why);
}

static Elf64_Phdr load_header(const struct writer *writer,
			      const struct part *part)
{
	uint64_t bytes = (part->last - part->first) * CF_FRAME_BYTES;

	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = writer->data + part->rank * CF_FRAME_BYTES,
		.p_vaddr = part_address(writer, part->first),
		.p_paddr = part->first * CF_FRAME_BYTES,
		.p_filesz = bytes,
		.p_memsz = bytes,
		.p_align = CF_FRAME_BYTES,
	};
}

/* More headers than fit 16 bits are counted in section header 0. */
static int write_section(struct writer *writer, uint64_t offset,
			 uint64_t parts)
{
	Elf64_Shdr section = {
		.sh_size = 1,
		.sh_info = (Elf64_Word)(parts + 1),
	};

	if (parts + 1 < PN_XNUM)
		return 0;
	return out_write(&writer->out, offset, &section, sizeof(section),
			 writer->why);
}

static int write_phdrs(struct writer *writer, const uint64_t *bits,
		       uint64_t phdrs, uint64_t notes, size_t notes_bytes)
{
	Elf64_Phdr phdr[AT_ONCE] = { {
		.p_type = PT_NOTE, .p_offset = notes, .p_filesz = notes_bytes,
		.p_align = 4,
	} };
	struct part_cursor cursor = { 0, 0, 0 };
	uint64_t offset = phdrs, parts = 0;
	struct part part;
	unsigned used = 1;
	bool more;

	do {
		more = part_next(writer, bits, writer->planned, &cursor,
				 &part);
		if (more) {
			phdr[used++] = load_header(writer, &part);
			parts++;
		}
		if (used < AT_ONCE && more)
			continue;
		if (out_write(&writer->out, offset, phdr,
			      used * sizeof(phdr[0]), writer->why))
			return -1;
		offset += used * sizeof(phdr[0]);
		used = 0;
	} while (more);
	return write_section(writer, offset, parts);
}

static int elf_begin(struct writer *writer)
{
	uint64_t head;
	size_t bytes, text, text_bytes;
	char *notes = notes_make(writer, &bytes, &text, &text_bytes);

	if (!notes)
		return dump_fail(writer->why, "the process has no memory");
	free(notes);
	writer->planned_parts = count_parts(writer, writer->planned);
	head = sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr) +
	       (writer->planned_parts + 1) * sizeof(Elf64_Phdr);
	writer->data = page_up(head);
	writer->next_data = writer->data;
	if (!writer->out.stream)
		return 0;
	/* A stream begins with what a file gets at the end. */
	if (write_header(writer, sizeof(Elf64_Ehdr), writer->planned_parts))
		return -1;
	return write_phdrs(writer, writer->planned, sizeof(Elf64_Ehdr),
			   writer->data +
			   writer->planned_frames * CF_FRAME_BYTES, bytes);
}

/* Room for all that was planned, so that a place follows from the plan. */
static void elf_place(struct writer *writer, struct job *job)
{
	unsigned i;

	job->data = writer->next_data;
	for (i = 0; i < job->window.count; i++)
		writer->next_data += bit_get(writer->planned,
					     job->window.first + i) ?
				     CF_FRAME_BYTES : 0;
}

/* Frames [i, the one returned) lie together, here and in the file. */
static unsigned together(const struct job *job, unsigned i)
{
	while (i < job->window.count && job->read[i] && !job->zero[i])
		i++;
	return i;
}

static int elf_put(struct writer *writer, struct job *job,
		   struct dump_why *why)
{
	uint64_t at = job->data;
	unsigned i = 0, end;

	while (i < job->window.count) {
		uint64_t frame = job->window.first + i;

		if (job->read[i] && !job->zero[i]) {
			end = together(job, i);
			if (out_write(&writer->out, at,
				      job->memory + i * CF_FRAME_BYTES,
				      (end - i) * CF_FRAME_BYTES, why))
				return -1;
			at += (end - i) * CF_FRAME_BYTES;
			i = end;
			continue;
		}
		if (bit_get(writer->planned, frame)) {
			if (writer->out.stream && !job->read[i])
				return dump_fail(why, "frame %llu was taken "
						 "away meanwhile, and a stream "
						 "cannot be taken back: write "
						 "to a file",
						 (unsigned long long)frame);
			at += CF_FRAME_BYTES;
		}
		i++;
	}
	return 0;
}

static int elf_end(struct writer *writer, uint64_t *ret_bytes)
{
	uint64_t at = writer->data + writer->planned_frames * CF_FRAME_BYTES;
	uint64_t parts = count_parts(writer, writer->done);
	uint64_t phdrs = sizeof(Elf64_Ehdr);
	size_t bytes, text, text_bytes;
	char *notes = notes_make(writer, &bytes, &text, &text_bytes);
	int err;

	if (!notes)
		return dump_fail(writer->why, "the process has no memory");
	err = out_write(&writer->out, at, notes, bytes, writer->why);
	free(notes);
	*ret_bytes = at + bytes;
	if (err || writer->out.stream)
		return err;
	if (parts > writer->planned_parts) {
		/* Holes that came meanwhile: there is no room in front. */
		phdrs = page_up(*ret_bytes);
		*ret_bytes = phdrs + (parts + 1) * sizeof(Elf64_Phdr) +
			     sizeof(Elf64_Shdr);
	}
	if (write_header(writer, phdrs, parts))
		return -1;
	return write_phdrs(writer, writer->done, phdrs, at, bytes);
}

const struct sink elf_sink = { elf_begin, elf_place, elf_put, elf_end };
