/* SPDX-License-Identifier: MIT */
/*
 * Writing kdump-compressed files.
 *
 * header | sub header | bitmap: there | bitmap: dumped | descriptors | frames,
 * packed | notes
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "writer.h"

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + CF_FRAME_BYTES - 1) & ~(CF_FRAME_BYTES - 1);
}

static void put_number(unsigned char *memory, size_t at, uint64_t value,
		       size_t bytes)
{
	memcpy(memory + at, &value, bytes);
}

/* Bytes of one bitmap. */
static uint64_t bitmap_bytes(const struct writer *writer)
{
	return page_up((writer->frames + 7) / 8);
}

static int kdump_begin(struct writer *writer)
{
	size_t bytes, text, text_bytes;
	char *notes = notes_make(writer, &bytes, &text, &text_bytes);

	if (!notes)
		return dump_fail(writer->why, "the process has no memory");
	free(notes);
	writer->descs = 2 * CF_FRAME_BYTES + 2 * bitmap_bytes(writer);
	writer->data = page_up(writer->descs + writer->planned_frames *
					       KDUMP_DESC_BYTES);
	writer->next_data = writer->data;
	return 0;
}

/*
 * With level 1 all frames of zeroes share one descriptor's data, as
 * makedumpfile has it; the first window with one writes it.
 */
static void kdump_place(struct writer *writer, struct job *job)
{
	unsigned i;
	bool zeroes = false;

	job->index = writer->next_index;
	writer->next_index += job->count;
	job->data = writer->next_data;
	writer->next_data += job->packed_bytes;
	for (i = 0; i < job->window.count && !zeroes; i++)
		zeroes = job->read[i] && job->zero[i] && !job->size[i];
	job->put_zero = zeroes && !writer->zero_data;
	if (job->put_zero) {
		writer->zero_data = writer->next_data;
		writer->next_data += CF_FRAME_BYTES;
	}
	job->zero_data = writer->zero_data;
}

static int kdump_put(struct writer *writer, struct job *job,
		     struct dump_why *why)
{
	static const unsigned char zeroes[CF_FRAME_BYTES];
	unsigned char desc[DUMP_WINDOW_FRAMES][KDUMP_DESC_BYTES] = { { 0 } };
	uint64_t at = job->data;
	unsigned i, used = 0;

	for (i = 0; i < job->window.count; i++) {
		bool shared = job->zero[i] && !job->size[i];
		uint32_t size = shared ? CF_FRAME_BYTES : job->size[i];

		if (!job->read[i])
			continue;
		put_number(desc[used], 0, shared ? job->zero_data : at, 8);
		put_number(desc[used], 8, size, 4);
		put_number(desc[used], 12, size == CF_FRAME_BYTES ? 0 :
			   pack_flags(writer->options->compress), 4);
		at += shared ? 0 : size;
		used++;
	}
	if (used && out_write(&writer->out, writer->descs +
			      job->index * KDUMP_DESC_BYTES, desc,
			      used * KDUMP_DESC_BYTES, why))
		return -1;
	if (job->packed_bytes &&
	    out_write(&writer->out, job->data, job->packed, job->packed_bytes,
		      why))
		return -1;
	return job->put_zero ? out_write(&writer->out, job->zero_data, zeroes,
					 sizeof(zeroes), why) : 0;
}

/*
 * Whole pages of it, around each stretch: what lies between is 0 already, in
 * a file as in a stream.
 */
static int write_stretch(struct writer *writer, uint64_t offset,
			 const uint64_t *bits,
			 const struct dump_stretch *stretch)
{
	unsigned char page[CF_FRAME_BYTES];
	uint64_t bytes = (writer->frames + 63) / 64 * 8;
	uint64_t at = stretch->first / 8 & ~(CF_FRAME_BYTES - 1);

	for (; at * 8 < stretch->last; at += sizeof(page)) {
		uint64_t part = bytes - at;

		part = part < sizeof(page) ? part : sizeof(page);
		memset(page, 0, sizeof(page));
		memcpy(page, (const unsigned char *)bits + at, part);
		if (out_write(&writer->out, offset + at, page, sizeof(page),
			      writer->why))
			return -1;
	}
	return 0;
}

/* Its end is written in any case: readers want it whole. */
static int write_bitmap(struct writer *writer, uint64_t offset,
			const uint64_t *bits)
{
	size_t i;

	for (i = 0; i < writer->stretches; i++)
		if (write_stretch(writer, offset, bits, &writer->stretch[i]))
			return -1;
	return 0;
}

static void put_name(unsigned char *header, unsigned which, const char *name)
{
	(void)snprintf((char *)header + KDUMP_AT_UTSNAME +
		       which * KDUMP_UTSNAME_BYTES, KDUMP_UTSNAME_BYTES, "%s",
		       name);
}

static int write_header(struct writer *writer)
{
	unsigned char header[CF_FRAME_BYTES] = KDUMP_SIGNATURE;
	uint64_t frames = writer->frames;
	uint64_t shown = frames < UINT32_MAX ? frames : UINT32_MAX;

	put_number(header, KDUMP_AT_VERSION, KDUMP_VERSION, 4);
	put_name(header, 0, "coldframe");
	put_name(header, 1, writer->source->machine);
	put_name(header, 2, "0");
	put_name(header, 3, "coldframe");
	put_name(header, 4, writer->source->elf_machine == EM_AARCH64 ?
			    "aarch64" : "x86_64");
	put_number(header, KDUMP_AT_TIME, writer->began, 8);
	put_number(header, KDUMP_AT_STATUS,
		   pack_flags(writer->options->compress), 4);
	put_number(header, KDUMP_AT_BLOCK_SIZE, CF_FRAME_BYTES, 4);
	put_number(header, KDUMP_AT_SUB_BLOCKS, 1, 4);
	put_number(header, KDUMP_AT_BITMAP_BLOCKS,
		   2 * bitmap_bytes(writer) / CF_FRAME_BYTES, 4);
	put_number(header, KDUMP_AT_MAX_MAPNR, shown, 4);
	put_number(header, KDUMP_AT_TOTAL_RAM, shown, 4);
	put_number(header, KDUMP_AT_WRITTEN,
		   writer->next_index < UINT32_MAX ? writer->next_index :
						     UINT32_MAX, 4);
	put_number(header, KDUMP_AT_CPUS, 1, 4);
	return out_write(&writer->out, 0, header, sizeof(header), writer->why);
}

static int write_sub_header(struct writer *writer, uint64_t notes,
			    size_t bytes, uint64_t text, size_t text_bytes)
{
	unsigned char sub[CF_FRAME_BYTES] = { 0 };

	put_number(sub, KDUMP_SUB_LEVEL, writer->options->level, 4);
	put_number(sub, KDUMP_SUB_VMCOREINFO, text, 8);
	put_number(sub, KDUMP_SUB_VMCOREINFO + 8, text_bytes, 8);
	put_number(sub, KDUMP_SUB_NOTE, notes, 8);
	put_number(sub, KDUMP_SUB_NOTE + 8, bytes, 8);
	put_number(sub, KDUMP_SUB_MAX_MAPNR, writer->frames, 8);
	return out_write(&writer->out, CF_FRAME_BYTES, sub, sizeof(sub),
			 writer->why);
}

static int kdump_end(struct writer *writer, uint64_t *ret_bytes)
{
	uint64_t at = writer->next_data, bitmaps = 2 * CF_FRAME_BYTES;
	size_t bytes, text, text_bytes;
	char *notes = notes_make(writer, &bytes, &text, &text_bytes);
	int err;

	if (!notes)
		return dump_fail(writer->why, "the process has no memory");
	err = out_write(&writer->out, at, notes, bytes, writer->why);
	free(notes);
	*ret_bytes = at + bytes;
	if (err || write_header(writer) ||
	    write_sub_header(writer, at, bytes, at + text, text_bytes) ||
	    write_bitmap(writer, bitmaps, writer->there))
		return -1;
	return write_bitmap(writer, bitmaps + bitmap_bytes(writer),
			    writer->done);
}

const struct sink kdump_sink = {
	kdump_begin, kdump_place, kdump_put, kdump_end,
};
