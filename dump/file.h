/* SPDX-License-Identifier: MIT */
#ifndef DUMP_FILE_H
#define DUMP_FILE_H

/*
 * Files of frames: ELF cores and kdump-compressed ones, flattened or not.
 *
 * Here a frame is a page of the file's own numbering; what it is to a map is
 * not known here.  Files come from anywhere: nothing in them is believed.
 */

#include <coldframe/types.h>

#include "info.h"
#include "pack.h"

enum dump_format {
	DUMP_ELF,
	DUMP_KDUMP,
};

/* Bytes of physical or virtual memory, and where in the file they are. */
struct dump_segment {
	uint64_t physical, virtual, offset, bytes;
};

struct flat;
struct bitmap;

struct dump_file {
	char *path;
	int fd;
	uint64_t stored;		/* bytes of the file, as it is ... */
	uint64_t bytes;			/* ... and put in order */
	struct flat *flat;		/* NULL: it is in order */
	enum dump_format format;
	unsigned machine;		/* EM_*, 0: not known */
	bool incomplete;		/* its writer says so */
	unsigned level;			/* KDUMP */
	uint64_t end;			/* one past the highest frame */
	struct dump_segment *segment;	/* ELF, by physical address */
	size_t segments;
	struct bitmap *there, *dumped;	/* KDUMP */
	uint64_t descs;			/* KDUMP: where they are */
	struct info vmcoreinfo, note;	/* NULL, 0: it has none */
	char *notes;			/* what they lie in */
	size_t notes_bytes;
	unsigned page_frames;		/* KDUMP: frames of its pages */
	struct unpack unpack;
	unsigned char *page, *packed;	/* the page that was read last */
	uint64_t page_number;		/* + 1; 0: none was */
};

/**
 * dump_file_open() - look at a file and learn what it is.
 * @file: filled; pair with dump_file_close()
 *
 * Return: 0, or -1 with @why, and nothing to close.
 */
int dump_file_open(struct dump_file *file, const char *path,
		   struct dump_why *why);
void dump_file_close(struct dump_file *file);

/* Does it begin as one of the formats does? Opens nothing that is not there. */
bool dump_file_is(const char *path);

/**
 * dump_file_read() - the contents of a frame.
 * @memory: CF_FRAME_BYTES
 *
 * Return: 1: done; 0: the file does not have it; -1: it has it and it cannot
 *         be read, with @why.
 */
int dump_file_read(struct dump_file *file, uint64_t frame, void *memory,
		   struct dump_why *why);

/* Does it have the contents? -1: it cannot be told, with @why. */
int dump_file_has(struct dump_file *file, uint64_t frame,
		  struct dump_why *why);

/* The most frames it can have the contents of, whatever it says. */
uint64_t dump_file_frames_max(const struct dump_file *file);

/* Was it there when the dump was made, whether it has its contents or not? */
int dump_file_was_there(struct dump_file *file, uint64_t frame,
			struct dump_why *why);

/* The physical address of a virtual one, by segments. False: none says. */
bool dump_file_physical(const struct dump_file *file, uint64_t address,
			uint64_t *ret_physical);

/* The first offset from @offset on that may be other than 0. */
uint64_t dump_file_next(const struct dump_file *file, uint64_t offset);

/* Bytes of the file where they are, put in order. -1 with @why. */
int dump_file_bytes(const struct dump_file *file, uint64_t offset,
		    void *memory, size_t bytes, struct dump_why *why);

#endif
