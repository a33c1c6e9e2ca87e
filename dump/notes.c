/* SPDX-License-Identifier: MIT */
/* What a dump says of itself. */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format.h"
#include "writer.h"

#define PRSTATUS_X86_64		336	/* of struct elf_prstatus */
#define PRSTATUS_AARCH64	392
#define NUMBERS_BYTES		1024	/* room for numbers to grow */

static void print_owners(FILE *out, const struct dump_source *source)
{
	const char *at;
	size_t i;

	for (i = 0; i < source->owners; i++) {
		(void)fprintf(out, "OWNER=%u,%u,", source->owner[i].id,
			      source->owner[i].traits);
		for (at = source->owner[i].name; *at; at++)
			(void)fputc((unsigned char)*at < 0x20 ? '?' : *at, out);
		(void)fputc('\n', out);
	}
}

static void print_text(FILE *out, const struct writer *writer)
{
	const struct dump_source *source = writer->source;
	const struct dump_result *result = &writer->result;
	unsigned class;
	size_t i;

	(void)fprintf(out, "VERSION=%d\nMACHINE=%s\nTIME=%" PRIu64 "\n"
		      "LEVEL=%u\nEND=%" PRIu64 "\n", COLDFRAME_VERSION_TEXT,
		      source->machine, writer->began, writer->options->level,
		      source->end);
	for (i = 0; i < source->ranges; i++)
		(void)fprintf(out, "RANGE=%" PRIx64 ",%" PRIx64 ",%" PRIx64
			      "\n", source->range[i].address,
			      source->range[i].frame, source->range[i].count);
	print_owners(out, source);
	for (class = 0; class < DUMP_CLASS_COUNT; class++)
		if (class != DUMP_ABSENT)
			(void)fprintf(out, "FRAMES(%s)=%" PRIu64 "\n",
				      dump_class_word((enum dump_class)class),
				      result->tally.frames[class]);
	(void)fprintf(out, "WRITTEN=%" PRIu64 "\nMETADATA=%" PRIu64
		      "\nLOST=%" PRIu64 "\n", result->written,
		      result->metadata, result->lost);
}

/* The text, filled up with newlines to the size it had at first. */
static char *make_text(struct writer *writer)
{
	size_t bytes = 0;
	char *text = NULL, *full;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	print_text(out, writer);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	if (!writer->note_bytes)
		writer->note_bytes = bytes + NUMBERS_BYTES;
	full = realloc(text, writer->note_bytes);
	if (!full) {
		free(text);
		return NULL;
	}
	memset(full + bytes, '\n', writer->note_bytes - bytes);
	return full;
}

static size_t padded(size_t bytes)
{
	return (bytes + 3) & ~(size_t)3;
}

static size_t note_bytes(const char *name, size_t bytes)
{
	return sizeof(Elf64_Nhdr) + padded(strlen(name) + 1) + padded(bytes);
}

/* Returns where the text of it begins. */
static char *put_note(char **to, const char *name, uint32_t type,
		      const void *text, size_t bytes)
{
	Elf64_Nhdr head = {
		.n_namesz = (Elf64_Word)strlen(name) + 1,
		.n_descsz = (Elf64_Word)bytes,
		.n_type = type,
	};
	char *at = *to;

	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), name, strlen(name));
	at += sizeof(head) + padded(strlen(name) + 1);
	if (text)
		memcpy(at, text, bytes);
	*to = at + padded(bytes);
	return at;
}

char *notes_make(struct writer *writer, size_t *ret_bytes, size_t *ret_text,
		 size_t *ret_text_bytes)
{
	const char *info = writer->source->vmcoreinfo;
	size_t prstatus = writer->source->elf_machine == EM_AARCH64 ?
			  PRSTATUS_AARCH64 : PRSTATUS_X86_64;
	char *text = make_text(writer), *notes, *to;

	if (!text)
		return NULL;
	*ret_text_bytes = strlen(info);
	*ret_bytes = note_bytes("CORE", prstatus) +
		     note_bytes(NOTE_VMCOREINFO, *ret_text_bytes) +
		     note_bytes(NOTE_COLDFRAME, writer->note_bytes);
	notes = calloc(1, *ret_bytes);
	to = notes;
	if (notes) {
		/* Debuggers want at least one CPU: one with no registers. */
		(void)put_note(&to, "CORE", NT_PRSTATUS, NULL, prstatus);
		*ret_text = (size_t)(put_note(&to, NOTE_VMCOREINFO, 0, info,
					      *ret_text_bytes) - notes);
		(void)put_note(&to, NOTE_COLDFRAME, NOTE_COLDFRAME_TYPE, text,
			       writer->note_bytes);
	}
	free(text);
	return notes;
}
