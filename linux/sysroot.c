/* SPDX-License-Identifier: MIT */
#include "sysroot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"

int lx_fail(struct lx_error *err, enum lx_err code, const char *format, ...)
{
	va_list args;

	err->code = code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -(int)code;
}

enum lx_err lx_errno_code(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return LX_EMISSING;
	case EACCES:
	case EPERM:
		return LX_EDENIED;
	default:
		return LX_EREAD;
	}
}

bool lx_path(const char *root, const char *name, char *path, size_t size)
{
	size_t length = strlen(root);
	const char *slash = length && root[length - 1] == '/' ? "" : "/";
	int written = snprintf(path, size, "%s%s%s", root, slash, name);

	return written > 0 && (size_t)written < size;
}

/* Step by step, and over no link. */
static int open_below(const char *root, const char *name, int flags)
{
	int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), next, error;
	char part[256];
	size_t length;

	while (at >= 0) {
		length = strcspn(name, "/");
		if (length >= sizeof(part)) {
			close(at);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, name, length);
		part[length] = 0;
		next = openat(at, part, O_NOFOLLOW | O_CLOEXEC |
			      (name[length] ? O_PATH | O_DIRECTORY : flags));
		error = errno;
		close(at);
		errno = error;
		at = next;
		if (!name[length])
			break;
		name += length + 1;
	}
	return at;
}

static bool is_regular(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISREG(status.st_mode);
}

int lx_open(const char *root, const char *name, bool folder,
	    struct lx_error *err)
{
	int flags = O_RDONLY | O_CLOEXEC | (folder ? O_DIRECTORY : 0);
	bool live = !strcmp(root, "/");
	char path[4096];
	int fd;

	if (!lx_path(root, name, path, sizeof(path)))
		return lx_fail(err, LX_EREAD, "%s: the path is too long", name);
	fd = live ? open(path, flags) :
		    open_below(root, name, flags | O_NONBLOCK);
	if (fd < 0)
		return lx_fail(err, lx_errno_code(errno), "%s: %s", path,
			       errno == ELOOP ? "a link, which is not followed "
			       "there" : strerror(errno));
	if (!live && !folder && !is_regular(fd)) {
		close(fd);
		return lx_fail(err, LX_EREAD, "%s: no regular file", path);
	}
	return fd;
}

int lx_open_file(const char *path, struct lx_error *err)
{
	/* Without O_NONBLOCK a pipe that nobody writes to would wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	const char *why = NULL;

	if (fd < 0)
		return lx_fail(err, lx_errno_code(errno), "%s: %s", path,
			       strerror(errno));
	if (fstat(fd, &status))
		why = strerror(errno);
	else if (S_ISDIR(status.st_mode))
		why = "is a directory; for a folder with proc and sys there is "
		      "--sysroot";
	else if (!S_ISREG(status.st_mode))
		why = "no regular file; what comes out of a pipe or a device "
		      "must be copied to a file first";
	if (!why)
		return fd;
	close(fd);
	return lx_fail(err, LX_EREAD, "%s: %s", path, why);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* What base 0 means for this text; moves *@text behind "0x". */
static int base_of(const char **text)
{
	const char *at = *text;

	if (at[0] != '0')
		return 10;
	if ((at[1] == 'x' || at[1] == 'X') && digit_value(at[2]) < 16) {
		*text = at + 2;
		return 16;
	}
	return 8;
}

bool lx_number(const char *text, int base, const char **ret_end,
	       uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *at;

	if (!base)
		base = base_of(&text);
	for (at = text; digit_value(*at) < base; at++) {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(*at),
					   &value))
			return false;
	}
	if (at == text || (!ret_end && *at))
		return false;
	if (ret_end)
		*ret_end = at;
	*ret_value = value;
	return true;
}

/* A file of a capture; fmemopen() writes only when asked to. */
static int open_captured(const struct lx_mount *mount, const char *name,
			 FILE **ret_file, struct lx_error *err)
{
	const struct lx_capture_file *file = lx_mount_file(mount, name);
	static char empty[1];
	char *bytes = empty;

	if (!file)
		return lx_fail(err, LX_EMISSING, "%s: %s %s", mount->path,
			       mount->raw ? "a copy of kpageflags has no" :
					    "the capture has no", name);
	if (file->count)
		bytes = mount->text + (file->bytes - mount->text);
	*ret_file = fmemopen(bytes, file->count, "r");
	if (!*ret_file)
		return lx_fail(err, LX_EREAD, "%s: %s: %s", mount->path, name,
			       strerror(errno));
	return 0;
}

static int open_text(const char *root, const char *name, FILE **ret_file,
		     struct lx_error *err)
{
	const struct lx_mount *mount = lx_mount_find(root);
	FILE *file;
	int fd;

	if (mount)
		return open_captured(mount, name, ret_file, err);
	fd = lx_open(root, name, false, err);
	if (fd < 0)
		return fd;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return lx_fail(err, LX_EREAD, "out of memory");
	}
	*ret_file = file;
	return 0;
}

/* How many bytes the character at @at takes; 0: it is none to be printed. */
static size_t character(const unsigned char *at)
{
	size_t count = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 :
		       at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 :
		       at[0] < 0xf5 ? 4 : 0;
	size_t i;

	if (count == 1)
		return at[0] >= 0x20 && at[0] != 0x7f;
	for (i = 1; i < count; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong, surrogates, beyond the last; control characters. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) ||
	    (at[0] == 0xed && at[1] >= 0xa0) ||
	    (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] >= 0x90) ||
	    (at[0] == 0xc2 && at[1] < 0xa0))
		return 0;
	return count;
}

void lx_clean(char *text)
{
	size_t count;

	while (*text) {
		count = *text == '\t' ? 1 : character((unsigned char *)text);
		if (!count)
			*text = '?';
		text += count ? count : 1;
	}
}

/* Drop the newline, or what is left of a line longer than the buffer. */
static void cut_line(char *line, FILE *file)
{
	char *end = strchr(line, '\n');
	int c;

	if (end)
		*end = 0;
	lx_clean(line);
	if (end)
		return;
	do
		c = getc(file);
	while (c != '\n' && c != EOF);
}

int lx_lines(const char *root, const char *name, lx_line_fn fn, void *context,
	     struct lx_error *err)
{
	char line[LX_LINE_BYTES];
	FILE *file;
	int ret;

	ret = open_text(root, name, &file, err);
	if (ret)
		return ret;
	while (!ret && fgets(line, sizeof(line), file)) {
		cut_line(line, file);
		ret = fn(context, line);
	}
	if (!ret && ferror(file))
		ret = lx_fail(err, LX_EREAD, "%s: %s", name, strerror(errno));
	fclose(file);
	return ret;
}

int lx_first_line(const char *root, const char *name, char *line,
		  struct lx_error *err)
{
	FILE *file;
	int ret;

	ret = open_text(root, name, &file, err);
	if (ret)
		return ret;
	line[0] = 0;
	if (fgets(line, LX_LINE_BYTES, file))
		cut_line(line, file);
	else if (ferror(file))
		ret = lx_fail(err, LX_EREAD, "%s: %s", name, strerror(errno));
	fclose(file);
	return ret;
}

/* The names below a folder of a capture; one with more below is said once. */
static int captured_names(const struct lx_mount *mount, const char *folder,
			  lx_name_fn fn, void *context)
{
	char prefix[512], name[256], last[256] = "";
	size_t i, length;
	int ret = 0;

	if (snprintf(prefix, sizeof(prefix), "%s/", folder) >=
	    (int)sizeof(prefix))
		return 0;
	for (i = lx_mount_first(mount, prefix); !ret && i < mount->count; i++) {
		const char *rest = mount->file[i].name;

		if (strncmp(rest, prefix, strlen(prefix)))
			break;
		rest += strlen(prefix);
		length = strcspn(rest, "/");
		if (!length || length >= sizeof(name))
			continue;
		memcpy(name, rest, length);
		name[length] = 0;
		if (!strcmp(name, last))
			continue;
		strcpy(last, name);
		ret = fn(context, name);
	}
	return ret;
}

int lx_names(const char *root, const char *folder, lx_name_fn fn,
	     void *context, struct lx_error *err)
{
	const struct lx_mount *mount = lx_mount_find(root);
	struct dirent *entry;
	int ret = 0, fd;
	DIR *dir;

	if (mount)
		return captured_names(mount, folder, fn, context);
	fd = lx_open(root, folder, true, err);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return lx_fail(err, LX_EREAD, "out of memory");
	}
	while (!ret && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			ret = fn(context, entry->d_name);
	}
	closedir(dir);
	return ret;
}
