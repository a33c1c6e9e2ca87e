/* SPDX-License-Identifier: MIT */
#ifndef DUMP_WRITER_H
#define DUMP_WRITER_H

/* What the parts of the writer share: write.c, elf.c, kdump.c. */

#include <pthread.h>

#include "out.h"
#include "pieces.h"

/* A format. All of these run for one window at a time, in order. */
struct writer;
struct job;

struct sink {
	/* The plan is made. */
	int (*begin)(struct writer *writer);
	/* Give a window its place; its frames are read and packed. */
	void (*place)(struct writer *writer, struct job *job);
	/* Write it there. To a file: for several windows at once. */
	int (*put)(struct writer *writer, struct job *job,
		   struct dump_why *why);
	/* All windows are written; @ret_bytes: of the file. */
	int (*end)(struct writer *writer, uint64_t *ret_bytes);
};

extern const struct sink elf_sink, kdump_sink;

/* A window on its way. */
struct job {
	struct writer *writer;
	struct pack *pack;
	struct dump_window window;
	uint64_t number;		/* of the window */
	unsigned char *memory;		/* its frames */
	unsigned char *packed;		/* the same, one behind the other */
	size_t packed_bytes;
	uint32_t size[DUMP_WINDOW_FRAMES];	/* packed */
	bool read[DUMP_WINDOW_FRAMES], zero[DUMP_WINDOW_FRAMES];
	unsigned count;			/* frames that were read */
	uint64_t data, index;		/* its place: bytes, descriptors */
	uint64_t zero_data;		/* where a frame of zeroes is */
	bool put_zero;			/* it is this window that writes it */
};

/*
 * Field key: (C) constant once the threads run, (L) @lock, (T) whose turn it
 * is.
 */
struct writer {
	const struct dump_source *source;	/* (C) */
	const struct dump_options *options;	/* (C) */
	const struct sink *sink;		/* (C) */
	struct out out;
	uint64_t metadata, frames;	/* (C) of the ranges; of all */
	struct dump_stretch *stretch;	/* (C) the source's, and metadata */
	size_t stretches;		/* (C) */
	uint64_t *planned;		/* (C) a bit a frame */
	uint64_t *there;		/* (T) a bit a frame */
	uint64_t *done;			/* (T) a bit a frame: it is written */
	uint64_t planned_frames;	/* (C) */
	uint64_t planned_parts;		/* (C) segments */
	uint64_t data;			/* (C) where data begins */
	uint64_t descs;			/* (C) KDUMP: where they begin */
	uint64_t next_data, next_index;	/* (T) */
	uint64_t zero_data;		/* (T) 0: none yet */
	size_t note_bytes;		/* (C) of the note's text */
	struct dump_result result;	/* (T) */
	pthread_mutex_t lock;
	pthread_cond_t turned;
	uint64_t next, turn;		/* (L) windows to take, to write */
	size_t next_stretch;		/* (L) what to take them from ... */
	uint64_t next_frame;		/* (L) ... and from where on */
	bool failed;			/* (L) */
	struct dump_why *why;		/* (L) of the first failure */
	uint64_t began;			/* (C) seconds since 1970 */
};

static inline bool bit_get(const uint64_t *bits, uint64_t bit)
{
	return bits[bit / 64] >> bit % 64 & 1;
}

static inline void bit_set(uint64_t *bits, uint64_t bit)
{
	bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

/*
 * Frames [first, last) that are set in @bits and follow each other in memory,
 * from @*cursor on, which moves behind them; *@ret_rank: how many of @ranks
 * come before the first.
 */
struct part {
	uint64_t first, last;
	uint64_t rank;
};

struct part_cursor {
	uint64_t at, rank;
	size_t stretch;
};

bool part_next(const struct writer *writer, const uint64_t *bits,
	       const uint64_t *ranks, struct part_cursor *cursor,
	       struct part *ret_part);

/* Address of a frame of the dump, or 0 where it is not known. */
uint64_t part_address(const struct writer *writer, uint64_t frame);

/*
 * All notes, malloc()ed; their size does not depend on what was counted.
 * *@ret_text, *@ret_text_bytes: where VMCOREINFO's text is. NULL: no memory.
 */
char *notes_make(struct writer *writer, size_t *ret_bytes, size_t *ret_text,
		 size_t *ret_text_bytes);

#endif
