/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_STREAM_H
#define MACHINE_SAVE_STREAM_H

/*
 * The file of a saved machine: a head, then chunks of records, each with its
 * number, its sizes and its checksums.  docs/save-format.md has the layout.
 *
 * What is written appears under its name when it is whole, or not at all.
 */

#include <coldframe/types.h>

#include "save_code.h"

#define SAVE_VERSION		1u
#define SAVE_MAGIC		"CFSAVED\n"
#define SAVE_MAGIC_BYTES	8
#define SAVE_HEAD_BYTES		32
#define SAVE_CHUNK_HEAD_BYTES	32

/* Contents of so many frames fit into a chunk, whatever it takes to say so. */
#define SAVE_CHUNK_FRAMES	256
#define SAVE_CHUNK_BYTES						\
	(SAVE_CHUNK_FRAMES * CF_FRAME_BYTES + CF_FRAME_BYTES)

/* No record but one of contents is longer. */
#define SAVE_RECORD_BYTES	CF_FRAME_BYTES

/* What the records of a chunk are.  Numbers never change. */
enum save_kind {
	SAVE_END	= 0,	/* totals; the last one */
	SAVE_MACHINE	= 1,	/* how it was made, and its counters */
	SAVE_NAME	= 2,	/* what a scenario has declared */
	SAVE_OWNER	= 3,
	SAVE_PLUGGED	= 4,	/* frames an owner has plugged */
	SAVE_BALLOONED	= 5,	/* frames in an owner's balloon */
	SAVE_BAD	= 6,	/* frames known to be bad */
	SAVE_BLOCK_GROUP = 7,	/* blocks that were added together */
	SAVE_BLOCK	= 8,
	SAVE_RUN	= 9,	/* what the words of the map say */
	SAVE_SET	= 10,
	SAVE_MEMBER	= 11,	/* a set's run */
	SAVE_KEPT	= 12,	/* a run an owner keeps */
	SAVE_FRAME	= 13,	/* a remembered frame */
	SAVE_WATCHER	= 14,	/* a subscriber or a scanner */
	SAVE_SCANNED	= 15,	/* a number a scanner keeps */
	SAVE_WALKER	= 16,
	SAVE_OPERATION	= 17,
	SAVE_MARK	= 18,
	SAVE_ZONE	= 19,	/* watermarks */
	SAVE_LAST	= 20,	/* what the last step came to */
	SAVE_CONTENT	= 21,
	SAVE_LOAD	= 22,	/* workers that were at it */
	SAVE_WORKER	= 23,
	SAVE_SLOT	= 24,	/* a run a worker holds */
	SAVE_OBJECT	= 25,	/* a device or a reference owner */
	SAVE_GIVEN	= 26,	/* frames a host has plugged, or was given */
	SAVE_ADDED	= 27,	/* blocks a driver added together */
	SAVE_PART	= 28,	/* what such an object knows of its frames */
	SAVE_MIGRATING	= 29,	/* the host copies the machine */
	SAVE_KIND_COUNT
};

/* Set in a kind: who does not know it may pass over it. */
#define SAVE_OPTIONAL	0x80000000u

const char *save_kind_name(enum save_kind kind);

/*
 * Where records of a kind stand: those that refer to others come after them.
 * The end comes last; what is no kind, after that.
 */
unsigned save_kind_rank(unsigned kind);

#define SAVE_WHY_BYTES	256

/* ---- writing ---- */

struct save_writer;

/**
 * save_writer_open() - begin a file.
 * @path:  its name, or "-"
 * @out:   an open file, what "-" stands for; stays the caller's
 * @level: of zstd, 1 to 19; 0: not compressed
 * @why:   SAVE_WHY_BYTES, filled on failure
 *
 * Pair with save_writer_close(). Return: it, or NULL.
 */
struct save_writer *save_writer_open(const char *path, int out, int level,
				     char *why);

/**
 * save_writer_record() - begin a record of at most @bytes.
 *
 * What is put into the code counts when the next record begins.
 * Return: where to put it, or NULL, and the close will say why.
 */
struct code *save_writer_record(struct save_writer *writer,
				enum save_kind kind, size_t bytes);

/**
 * save_writer_close() - end a file.
 * @keep:      it is whole: give it its name
 * @ret_bytes: its size
 *
 * Return: 0; -1 with @why, and nothing has that name that had not before.
 */
int save_writer_close(struct save_writer *writer, bool keep,
		      uint64_t *ret_bytes, char *why);

/* ---- reading ---- */

struct save_reader;

struct save_reader *save_reader_open(const char *path, char *why);
void save_reader_close(struct save_reader *reader);

/**
 * save_reader_next() - go to the next record.
 * @ret_code: where it begins, if the answer is not negative
 *
 * Return: its enum save_kind, or -1: no further, and save_reader_why() says
 *         why.
 */
int save_reader_next(struct save_reader *reader, struct code **ret_code)
	CF_MUST_CHECK;

/* Is there anything behind the last record? False with a reason. */
bool save_reader_at_end(struct save_reader *reader);

/* Say what is wrong, with the place it was found at. -1. */
int save_reader_fail(struct save_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *save_reader_why(const struct save_reader *reader);

#endif
