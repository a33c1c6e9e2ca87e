/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_FILE_H
#define MACHINE_SAVE_FILE_H

/*
 * A file that is there when it is whole, and not before.
 *
 * It is written without a name, in the folder it will be in, flushed to the
 * disk, named and renamed.  Whatever ends the process, nothing half stands
 * under the name that was asked for, and what stood there before still does.
 * A file system that knows no files without names has one beside meanwhile.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct save_file {
	const char *path;	/* as it was named */
	char *real;		/* where its links lead, if it exists */
	char *other;		/* its name meanwhile; NULL: written in place */
	bool unnamed;		/* it has not even that */
	int fd;
};

/* @out: what "-" stands for; a copy of it is made. 0, or -1 with errno. */
int save_file_open(struct save_file *file, const char *path, int out);
int save_file_write(struct save_file *file, const void *bytes, size_t count);

/* Give it its name, or take it away. 0, or -1 with errno, and it is away. */
int save_file_close(struct save_file *file, bool keep);

#endif
