/* SPDX-License-Identifier: MIT */

/* A file that is there when it is whole. */

#include "save_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE	0600	/* whole memories are nobody else's */
#define NAMES_TRIED	100

/* Devices and pipes cannot be replaced: they are written as they are. */
static bool is_special(const char *path)
{
	struct stat status;

	return !stat(path, &status) && !S_ISREG(status.st_mode);
}

/* In the same folder, so that it can be renamed; the name is made unique. */
static int open_beside(struct save_file *file)
{
	const char *path = file->real;
	const char *slash = strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
	size_t bytes = strlen(path) + sizeof(".XXXXXX") + 2;

	file->other = malloc(bytes);
	if (!file->other)
		return -1;
	(void)snprintf(file->other, bytes, "%.*s.", (int)folder, path);
	file->fd = open(file->other, O_TMPFILE | O_WRONLY | O_CLOEXEC,
			FILE_MODE);
	file->unnamed = file->fd >= 0;
	(void)snprintf(file->other, bytes, "%s.XXXXXX", path);
	if (!file->unnamed)
		file->fd = mkostemp(file->other, O_CLOEXEC);
	if (file->fd >= 0)
		return 0;
	free(file->other);
	file->other = NULL;
	return -1;
}

int save_file_open(struct save_file *file, const char *path, int out)
{
	*file = (struct save_file){ .path = path, .fd = -1 };
	if (!strcmp(path, "-")) {
		file->fd = dup(out);
		return file->fd < 0 ? -1 : 0;
	}
	if (is_special(path)) {
		file->fd = open(path, O_WRONLY | O_CLOEXEC, FILE_MODE);
		return file->fd < 0 ? -1 : 0;
	}
	/* A link stays one: what it leads to is replaced. */
	file->real = realpath(path, NULL);
	if (!file->real)
		file->real = strdup(path);
	if (file->real && !open_beside(file))
		return 0;
	free(file->real);
	return -1;
}

int save_file_write(struct save_file *file, const void *bytes, size_t count)
{
	const char *at = bytes;
	ssize_t did;

	while (count) {
		did = write(file->fd, at, count);
		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			return -1;
		at += did;
		count -= (size_t)did;
	}
	return 0;
}

static int flush(const struct save_file *file)
{
	/* Pipes and terminals have no disk behind them. */
	if (file->other && fsync(file->fd))
		return -1;
	return 0;
}

/* A name of its own first: a link cannot take another file's place. */
static int give_name(struct save_file *file)
{
	char self[32];
	unsigned try;

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	for (try = 0; try < NAMES_TRIED; try++) {
		char *end = file->other + strlen(file->other) - 6;

		(void)snprintf(end, 7, "%06u", (unsigned)getpid() % 10000 *
			       100 + try);
		if (!linkat(AT_FDCWD, self, AT_FDCWD, file->other,
			    AT_SYMLINK_FOLLOW))
			return 0;
		if (errno != EEXIST)
			break;
	}
	return -1;
}

static int finish(struct save_file *file)
{
	if (flush(file) || (file->unnamed && give_name(file)))
		return -1;
	file->unnamed = false;
	return file->other ? rename(file->other, file->real) : 0;
}

int save_file_close(struct save_file *file, bool keep)
{
	int err = keep && finish(file) ? errno : 0;

	if (file->other && !file->unnamed && (err || !keep))
		(void)unlink(file->other);
	if (close(file->fd) && keep && !err)
		err = errno;
	free(file->other);
	free(file->real);
	file->other = NULL;
	errno = err;
	return err ? -1 : 0;
}
