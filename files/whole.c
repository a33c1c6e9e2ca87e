/* SPDX-License-Identifier: MIT */
#include "whole.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "stray.h"

#define LINKS_MAX	40	/* as many as Linux follows */
#define NAMES_TRIED	100
#define NAME_KEPT	200	/* bytes of a name that its other name has */

/* ---- where a path leads ---- */

/* What is before the name; it is the current folder if there is nothing. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, (size_t)(slash - path) + 1);
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What the link @path says, from where @path is seen. */
static char *follow(const char *path)
{
	char to[PATH_MAX], *folder, *next;
	ssize_t bytes = readlink(path, to, sizeof(to) - 1);

	if (bytes < 0)
		return NULL;
	to[bytes] = '\0';
	if (to[0] == '/')
		return strdup(to);
	folder = folder_of(path);
	if (!folder || asprintf(&next, "%s/%s", folder, to) < 0)
		next = NULL;
	free(folder);
	return next;
}

/* Is a link one of those whose text is only a picture of what they are? */
static bool is_of_proc(const char *path)
{
	char *folder = folder_of(path);
	struct statfs status;
	bool is = folder && !statfs(folder, &status) &&
		  status.f_type == PROC_SUPER_MAGIC;

	free(folder);
	return is;
}

/*
 * The end of a chain of links: a file, or where there is none yet; or a link
 * of /proc.  Malloc()ed, or NULL with errno.
 */
static char *find_end(const char *path)
{
	char *at = strdup(path), *next;
	struct stat status;
	unsigned links;

	for (links = 0; at && links < LINKS_MAX; links++) {
		if (lstat(at, &status)) {
			if (errno == ENOENT)
				return at;
			free(at);
			return NULL;
		}
		if (!S_ISLNK(status.st_mode) || is_of_proc(at))
			return at;
		next = follow(at);
		free(at);
		at = next;
	}
	if (at)
		errno = ELOOP;
	free(at);
	return NULL;
}

/* The descriptor of this process that a link of /proc stands for, or -1. */
static int own_fd(const char *path)
{
	char *folder = folder_of(path), *real = NULL, own[32], *end;
	long fd = strtol(name_of(path), &end, 10);
	bool is;

	(void)snprintf(own, sizeof(own), "/proc/%ld/fd", (long)getpid());
	if (folder)
		real = realpath(folder, NULL);
	is = real && !strcmp(real, own) && end != name_of(path) && !*end &&
	     fd >= 0 && fd <= INT_MAX;
	free(folder);
	free(real);
	return is ? (int)fd : -1;
}

bool whole_is_stdout(const char *path)
{
	char *end;
	bool is;

	if (!strcmp(path, "-"))
		return true;
	end = find_end(path);
	is = end && own_fd(end) == STDOUT_FILENO;
	free(end);
	return is;
}

/* ---- opening ---- */

static int copy_fd(struct whole *file, int fd)
{
	file->direct = true;
	file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return file->fd < 0 ? -1 : 0;
}

static int open_direct(struct whole *file, const char *path)
{
	int own = own_fd(path);

	if (own >= 0)
		return copy_fd(file, own);
	file->direct = true;
	file->fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
	return file->fd < 0 ? -1 : 0;
}

/* Another name than the last one; long names are cut. */
static int note_other(const struct whole *file, unsigned number)
{
	char name[NAME_MAX + 1];

	(void)snprintf(name, sizeof(name), "%.*s.%ld.%u", NAME_KEPT,
		       file->name, (long)getpid(), number);
	return stray_note(file->folder, name);
}

static void forget_other(struct whole *file)
{
	if (file->beside >= 0)
		stray_forget(file->beside);
	file->beside = -1;
}

/* A new file of the other name; or the name for a file that has none yet. */
static int take_other(struct whole *file, mode_t mode)
{
	const char *name = stray_name(file->beside);
	char self[32];

	if (file->fd < 0) {
		file->fd = openat(file->folder, name, O_WRONLY | O_CREAT |
				  O_EXCL | O_CLOEXEC, mode);
		return file->fd < 0 ? -1 : 0;
	}
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, self, file->folder, name, AT_SYMLINK_FOLLOW);
}

static int make_other(struct whole *file, mode_t mode)
{
	unsigned i;
	int err;

	for (i = 0; i < NAMES_TRIED; i++) {
		file->beside = note_other(file, i);
		if (file->beside < 0)
			return -1;
		if (!take_other(file, mode))
			return 0;
		/* It is another's name: not to be taken away. */
		err = errno;
		forget_other(file);
		errno = err;
		if (err != EEXIST)
			return -1;
	}
	return -1;
}

/* A folder that may be written but not read cannot be flushed. */
static int open_folder(struct whole *file, const char *path)
{
	char *folder = folder_of(path);

	if (!folder)
		return -1;
	file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->folder < 0 && errno == EACCES)
		file->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	return file->folder < 0 ? -1 : 0;
}

/* Not every file system has them, nor every kernel. */
static bool knows_no_nameless(int err)
{
	return err == EOPNOTSUPP || err == EISDIR || err == EINVAL ||
	       err == ENOENT;
}

/* 1: there is no such thing here, where a name is given through /proc. */
static int open_nameless(struct whole *file, mode_t mode)
{
	if (access("/proc/self/fd", X_OK))
		return 1;
	file->fd = openat(file->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC,
			  mode);
	if (file->fd >= 0)
		return 0;
	return knows_no_nameless(errno) ? 1 : -1;
}

static int open_replacement(struct whole *file, const char *end, mode_t mode)
{
	int err;

	if (!*name_of(end)) {
		errno = *end ? EISDIR : ENOENT;
		return -1;
	}
	if (faccessat(AT_FDCWD, end, W_OK, AT_EACCESS) && errno != ENOENT)
		return -1;
	file->name = strdup(name_of(end));
	if (!file->name || open_folder(file, end))
		return -1;
	err = open_nameless(file, mode);
	return err > 0 ? make_other(file, mode) : err;
}

static int open_end(struct whole *file, const char *path, mode_t mode)
{
	struct stat status;
	char *end;
	int err;

	/* What the kernel does not follow is not followed here. */
	err = stat(path, &status);
	if (err && errno != ENOENT)
		return -1;
	end = find_end(path);
	if (!end)
		return -1;
	if (!err && (!S_ISREG(status.st_mode) ||
		     (!lstat(end, &status) && S_ISLNK(status.st_mode))))
		err = open_direct(file, end);
	else
		err = open_replacement(file, end, mode);
	free(end);
	return err;
}

int whole_open(struct whole *file, const char *path, int out, mode_t mode)
{
	*file = (struct whole){ .fd = -1, .folder = -1, .beside = -1 };
	if (!strcmp(path, "-"))
		return copy_fd(file, out);
	if (!open_end(file, path, mode))
		return 0;
	whole_cancel(file);
	return -1;
}

/* ---- writing ---- */

/* All of it; @offset NULL: where the file ends, or where a stream is. */
static int write_all(const struct whole *file, const uint64_t *offset,
		     const char *bytes, size_t count)
{
	size_t done = 0;
	ssize_t did;

	while (done < count) {
		did = offset ? pwrite(file->fd, bytes + done, count - done,
				      (off_t)(*offset + done)) :
			       write(file->fd, bytes + done, count - done);
		if (did < 0 && errno == EINTR)
			continue;
		if (!did)
			errno = ENOSPC;
		if (did <= 0)
			return -1;
		done += (size_t)did;
	}
	return 0;
}

int whole_write(struct whole *file, const void *bytes, size_t count)
{
	return write_all(file, NULL, bytes, count);
}

int whole_write_at(struct whole *file, uint64_t offset, const void *bytes,
		   size_t count)
{
	return write_all(file, &offset, bytes, count);
}

/* ---- the end ---- */

static int close_whole(struct whole *file)
{
	int err = 0;

	if (file->beside >= 0)
		(void)unlinkat(file->folder, stray_name(file->beside), 0);
	forget_other(file);
	if (file->fd >= 0)
		err = close(file->fd);
	if (file->folder >= 0)
		(void)close(file->folder);
	free(file->name);
	*file = (struct whole){ .fd = -1, .folder = -1, .beside = -1 };
	return err;
}

void whole_cancel(struct whole *file)
{
	int err = errno;

	(void)close_whole(file);
	errno = err;
}

/* Mode and owner of what is replaced; an owner is not always to be given. */
static int take_over(const struct whole *file)
{
	struct stat old, new;

	if (fstatat(file->folder, file->name, &old, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -1;
	if (fstat(file->fd, &new))
		return -1;
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
	    fchown(file->fd, old.st_uid, old.st_gid) && errno != EPERM)
		return -1;
	return fchmod(file->fd, old.st_mode & 0777);
}

/* A new name at once; where there is one, another first that is renamed. */
static int give_name(struct whole *file)
{
	char self[32];

	if (file->beside < 0) {
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d",
			       file->fd);
		if (!linkat(AT_FDCWD, self, file->folder, file->name,
			    AT_SYMLINK_FOLLOW))
			return 0;
		if (errno != EEXIST || make_other(file, 0))
			return -1;
	}
	if (renameat(file->folder, stray_name(file->beside), file->folder,
		     file->name))
		return -1;
	forget_other(file);
	return 0;
}

/* Not all folders can be flushed: those cannot lose what they do not keep. */
static int flush_folder(const struct whole *file)
{
	if (!fsync(file->folder) || errno == EINVAL || errno == EBADF ||
	    errno == EROFS)
		return 0;
	return -1;
}

int whole_commit(struct whole *file)
{
	if (file->direct)
		return close_whole(file);
	if (take_over(file) || fsync(file->fd) || give_name(file) ||
	    flush_folder(file)) {
		whole_cancel(file);
		return -1;
	}
	return close_whole(file);
}
