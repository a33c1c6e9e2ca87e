/* SPDX-License-Identifier: MIT */
#ifndef FILES_WHOLE_H
#define FILES_WHOLE_H

/*
 * A file that is there when it is whole, and not before.
 *
 * It is written without a name, in the folder it will be in, flushed to the
 * disk, named, and the folder is flushed.  Whatever ends the process, nothing
 * half stands under the name that was asked for, and what stood there before
 * still does.  Where files without names do not exist it has another name
 * beside meanwhile, which goes with an error and with each signal that ends a
 * process but SIGKILL.
 *
 * Links are followed as open() follows them, so that a link stays one and
 * what it leads to is replaced, or made.  A file that is replaced hands on its
 * mode and, as far as the process may give it, its owner; one that may not be
 * written is not replaced.
 *
 * What cannot be replaced is written directly, from where it stands: devices,
 * pipes, and the descriptors of a process under their names in /proc and
 * /dev/fd, /dev/stdout among them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct whole {
	int fd;			/* what is written */
	bool direct;		/* straight to its place: only append */
	int folder;		/* where the name will be; -1: it is direct */
	char *name;		/* in that folder */
	int beside;		/* the number of its other name; -1: none */
};

/**
 * whole_open() - begin a file. Pair with whole_commit() or whole_cancel().
 * @path: what to write; "-": @out, of which a copy is made
 * @mode: of a new file, less what umask takes away
 *
 * Opening a pipe waits for its reader.
 *
 * Return: 0, or -1 with errno; nothing is to be closed then.
 */
int whole_open(struct whole *file, const char *path, int out, mode_t mode);

/* Append @count bytes. Return: 0, or -1 with errno. */
int whole_write(struct whole *file, const void *bytes, size_t count);

/*
 * Bytes at a place of a file that is not direct, from any thread; what is not
 * written reads as 0. Return: 0, or -1 with errno.
 */
int whole_write_at(struct whole *file, uint64_t offset, const void *bytes,
		   size_t count);

/**
 * whole_commit() - flush the file and give it its name. It is closed.
 *
 * Return: 0; or -1 with errno and everything as before whole_open(), but that
 *         the file may be there where only flushing its folder failed.
 */
int whole_commit(struct whole *file);

/* Close it, and as if it had never been. Leaves errno alone. */
void whole_cancel(struct whole *file);

/* Is @path this process's standard output: "-", /dev/stdout and the like? */
bool whole_is_stdout(const char *path);

#endif
