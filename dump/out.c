/* SPDX-License-Identifier: MIT */
#include "out.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format.h"

static int failed(const struct out *out, struct dump_why *why)
{
	return dump_fail(why, "%s: %s", out->path, strerror(errno));
}

/* The folder a file is to be in. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int open_part(struct out *out)
{
	char *folder = folder_of(out->path);

	if (!folder)
		return -1;
	out->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	out->unnamed = out->fd >= 0;
	free(folder);
	if (out->unnamed)
		return 0;
	/* Not every file system has files without a name. */
	if (asprintf(&out->part, "%s.XXXXXX", out->path) < 0) {
		out->part = NULL;
		return -1;
	}
	out->fd = mkostemp(out->part, O_CLOEXEC);
	if (out->fd >= 0)
		return 0;
	free(out->part);
	out->part = NULL;
	return -1;
}

static int write_all(struct out *out, const void *bytes, size_t count)
{
	const char *from = bytes;

	while (count) {
		ssize_t done = write(out->fd, from, count);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		from += done;
		count -= (size_t)done;
		out->at += (uint64_t)done;
	}
	return 0;
}

static int begin_flat(struct out *out)
{
	char head[FLAT_HEADER_BYTES] = FLAT_SIGNATURE;
	uint64_t type = htobe64(FLAT_TYPE), version = htobe64(FLAT_VERSION);

	memcpy(head + 16, &type, 8);
	memcpy(head + 24, &version, 8);
	return write_all(out, head, sizeof(head));
}

int out_open(struct out *out, const char *path, bool flat,
	     struct dump_why *why)
{
	struct stat status;

	*out = (struct out){ .path = path, .fd = -1, .given = out->fd };
	if (!strcmp(path, "-")) {
		out->path = "standard output";
		out->fd = out->given;
		out->stream = true;
	} else if (!stat(path, &status) && !S_ISREG(status.st_mode)) {
		out->fd = open(path, O_WRONLY | O_CLOEXEC);
		out->stream = true;
	} else {
		(void)open_part(out);
	}
	if (out->fd < 0)
		return failed(out, why);
	out->flat = out->stream && flat;
	if (out->flat && begin_flat(out)) {
		(void)failed(out, why);
		out_cancel(out);
		return -1;
	}
	return 0;
}

static int write_stream(struct out *out, uint64_t offset, const void *bytes,
			size_t count)
{
	static const char zeroes[4096];
	uint64_t head[2] = { htobe64(offset), htobe64(count) };

	if (out->flat)
		return write_all(out, head, sizeof(head)) ||
		       write_all(out, bytes, count) ? -1 : 0;
	while (out->at < offset) {
		uint64_t gap = offset - out->at;

		if (write_all(out, zeroes, gap < sizeof(zeroes) ? gap :
							sizeof(zeroes)))
			return -1;
	}
	return write_all(out, bytes, count);
}

int out_write(struct out *out, uint64_t offset, const void *bytes,
	      size_t count, struct dump_why *why)
{
	const char *from = bytes;

	if (out->stream)
		return write_stream(out, offset, bytes, count) ?
		       failed(out, why) : 0;
	while (count) {
		ssize_t done = pwrite(out->fd, from, count, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return failed(out, why);
		from += done;
		offset += (uint64_t)done;
		count -= (size_t)done;
	}
	return 0;
}

static void close_out(struct out *out)
{
	if (out->fd >= 0 && out->fd != out->given)
		(void)close(out->fd);
	if (out->part)
		(void)unlink(out->part);
	free(out->part);
	out->part = NULL;
	out->fd = -1;
}

void out_cancel(struct out *out)
{
	close_out(out);
}

/* A name beside the last one, so that a file that is there is replaced. */
static int name_it(struct out *out)
{
	char from[64];
	unsigned i;

	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", out->fd);
	for (i = 0; i < 100; i++) {
		if (asprintf(&out->part, "%s.%ld.%u", out->path,
			     (long)getpid(), i) < 0) {
			out->part = NULL;
			return -1;
		}
		if (!linkat(AT_FDCWD, from, AT_FDCWD, out->part,
			    AT_SYMLINK_FOLLOW))
			return 0;
		free(out->part);
		out->part = NULL;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

/* What mode a new file would have had. */
static int give_mode(struct out *out)
{
	struct stat status;
	mode_t mask;

	if (!stat(out->path, &status))
		return fchmod(out->fd, status.st_mode & 0777);
	mask = umask(0);
	(void)umask(mask);
	/* Contents of memory: for nobody but its owner. */
	return fchmod(out->fd, 0600 & ~mask);
}

int out_commit(struct out *out, uint64_t bytes, struct dump_why *why)
{
	uint64_t end[2] = { UINT64_MAX, UINT64_MAX };
	int err = 0;

	if (out->flat)
		err = write_all(out, end, sizeof(end));
	if (!out->stream)
		err = ftruncate(out->fd, (off_t)bytes) || give_mode(out) ||
		      fdatasync(out->fd) ||
		      (out->unnamed && name_it(out)) ||
		      rename(out->part, out->path) ? -1 : 0;
	if (err)
		(void)failed(out, why);
	else if (!out->stream) {
		free(out->part);
		out->part = NULL;
	}
	close_out(out);
	return err;
}
