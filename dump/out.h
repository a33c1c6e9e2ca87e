/* SPDX-License-Identifier: MIT */
#ifndef DUMP_OUT_H
#define DUMP_OUT_H

/*
 * Where a dump goes.  A file has no name until it is complete; a stream gets
 * its bytes in order, or flattened.
 */

#include "files/whole.h"
#include "info.h"

struct out {
	const char *path;
	struct whole file;
	bool stream;			/* bytes can only be appended */
	bool flat;			/* ... as records with their places */
	uint64_t at;			/* of a stream: bytes written */
};

/**
 * out_open() - begin to write.
 * @path: written as files/whole.h says
 * @fd:   what "-" is
 * @flat: how a stream gets bytes that are not in order
 *
 * Pair with out_commit() or out_cancel(). Return: 0, or -1 with @why.
 */
int out_open(struct out *out, const char *path, int fd, bool flat,
	     struct dump_why *why);

/*
 * Bytes at a place. To a file: from any thread, and what is not written reads
 * as 0. To a stream that is not flat: @offset never falls.
 */
int out_write(struct out *out, uint64_t offset, const void *bytes,
	      size_t count, struct dump_why *why);

/* All is written, @bytes in all: the file gets its name. */
int out_commit(struct out *out, uint64_t bytes, struct dump_why *why);
void out_cancel(struct out *out);

#endif
