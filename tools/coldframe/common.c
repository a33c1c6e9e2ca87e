/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "files/whole.h"
#include "linux/capture.h"

static void say(const char *command, const char *format, va_list args)
{
	fflush(stdout);
	common_progress_end();
	fprintf(stderr, "%s: ", command);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int common_failed(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, format, args);
	va_end(args);
	return EXIT_FAILED;
}

int common_wrong(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, format, args);
	va_end(args);
	return common_try_help(command);
}

int common_unread(const char *command, const struct lx_error *err)
{
	if (err->code == LX_EDENIED)
		return common_denied(command, err);
	if (err->code == LX_EMISSING)
		return common_failed(command, "%s; check --sysroot or --file, "
				     "or that /proc and /sys are mounted",
				     err->text);
	return common_failed(command, "%s", err->text);
}

int common_denied(const char *command, const struct lx_error *err)
{
	return common_failed(command, "%s: only root may read it; try: sudo "
			     "%s", err->text, command);
}

void common_note(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, format, args);
	va_end(args);
}

void common_no_flags(const char *command, int ret, const struct lx_error *err)
{
	if (ret == -LX_EDENIED)
		common_note(command, "note: only root may read what the frames "
			    "are; this is what sysfs tells. For all: sudo %s",
			    command);
	else
		common_note(command, "note: %s; this is what sysfs tells",
			    err->text);
}

int common_try_help(const char *command)
{
	fprintf(stderr, "Try '%s --help'.\n", command);
	return EXIT_WRONG;
}

int common_finish(const char *command, int status)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	return common_failed(command, "cannot write the output: %s",
			     strerror(errno ? errno : EIO));
}

bool common_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGTP";
	const char *unit, *at;
	uint64_t value;
	int shift = 0;

	if (!lx_number(text, 0, &at, &value))
		return false;
	at += strspn(at, " ");
	unit = *at ? strchr(units, *at & ~0x20) : NULL;
	if (unit) {
		shift = 10 * (int)(unit - units + 1);
		at++;
		if (!strcasecmp(at, "iB") || !strcasecmp(at, "B"))
			at += strlen(at);
	}
	if (*at || value > UINT64_MAX >> shift)
		return false;
	*ret_bytes = value << shift;
	return true;
}

bool common_wanted(const char *text, uint64_t *ret_bytes)
{
	size_t length = strlen(text);

	return length && strchr("KMGTPkmgtpBb", text[length - 1]) &&
	       common_size(text, ret_bytes) && *ret_bytes &&
	       *ret_bytes <= INT64_MAX;
}

const char *common_bytes(uint64_t bytes, char buffer[24])
{
	static const char units[] = "KMGTPE";
	uint64_t scale = 1024, whole;
	size_t unit = 0;
	int decimals;

	while (bytes / 1024 >= scale && unit < 5) {
		scale *= 1024;
		unit++;
	}
	whole = bytes / scale;
	decimals = bytes % scale == 0 || whole >= 100 ? 0 : whole >= 10 ? 1 : 2;
	snprintf(buffer, 24, "%.*f %ciB", decimals,
		 (double)bytes / (double)scale, units[unit]);
	return buffer;
}

const char *common_short(uint64_t bytes, char buffer[24])
{
	static const char units[] = "BKMGTPE";
	uint64_t scale = 1;
	size_t unit = 0;

	while (bytes / 1024 >= scale && unit < 6) {
		scale *= 1024;
		unit++;
	}
	snprintf(buffer, 24, bytes % scale ? "%.1f%c" : "%.0f%c",
		 (double)bytes / (double)scale, units[unit]);
	return buffer;
}

bool common_color_parse(const char *text, enum common_color *ret_color)
{
	static const char *const words[] = {
		[COLOR_AUTO] = "auto",
		[COLOR_ALWAYS] = "always",
		[COLOR_NEVER] = "never",
	};
	unsigned int i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]))
			continue;
		*ret_color = (enum common_color)i;
		return true;
	}
	return false;
}

bool common_color_use(enum common_color color)
{
	const char *no_color = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	if (color != COLOR_AUTO)
		return color == COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb");
}

int common_option(struct common_source *source, const char *command,
		  int option, const char *value)
{
	if (option == 's')
		source->sysroot = value;
	else if (option == 'F')
		source->file = value;
	else if (option != COMMON_COLOR)
		return -1;
	else if (!common_color_parse(value, &source->color))
		return common_wrong(command, "--color: '%s' is none of auto, "
				    "always, never", value);
	return 0;
}

int (*common_mount_dump)(const char *path, struct lx_error *err);

static int mount_file(const char *path, struct lx_error *err)
{
	int ret = common_mount_dump ? common_mount_dump(path, err) : 1;

	return ret > 0 ? lx_mount(path, err) : ret;
}

int common_source_open(const struct common_source *source,
		       const char **ret_root, struct lx_error *err)
{
	if (source->sysroot && source->file)
		return lx_fail(err, LX_EFORMAT, "--sysroot and --file do not "
			       "go together: name one");
	if (source->file) {
		*ret_root = source->file;
		return mount_file(source->file, err);
	}
	*ret_root = source->sysroot ? source->sysroot : "/";
	if (!source->sysroot && sysconf(_SC_PAGESIZE) != CF_FRAME_BYTES)
		return lx_fail(err, LX_EFORMAT, "this system has pages of %ld "
			       "bytes; only 4096 can be read",
			       sysconf(_SC_PAGESIZE));
	return 0;
}

void common_source_close(const struct common_source *source)
{
	if (source->file)
		lx_unmount(source->file);
}

static bool progress_shown;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void common_progress(void *context, uint64_t done, uint64_t all)
{
	static double start, last;
	double time = now(), part;

	(void)context;
	if (start == 0)
		start = time;
	if (time - start < 2 || time - last < 0.2 || !all ||
	    !isatty(STDERR_FILENO))
		return;
	last = time;
	progress_shown = true;
	part = done < all ? (double)done / (double)all : 1;
	fprintf(stderr, "\r\033[K%3.0f %%, %.0f s to go", 100 * part,
		part > 0 ? (time - start) * (1 - part) / part : 0);
}

void common_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

unsigned int common_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t value;

	if (columns && lx_number(columns, 10, NULL, &value) && value &&
	    value <= 10000)
		return (unsigned int)value;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return 80;
}

int common_give_stdout(const char *command, const char *what,
		       const char **path, int *ret_out)
{
	int out;

	if (!whole_is_stdout(*path))
		return EXIT_OK;
	if (isatty(STDOUT_FILENO))
		return common_wrong(command, "standard output is a terminal; a "
				    "%s is not for reading", what);
	(void)fflush(stdout);
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return common_failed(command, "%s", strerror(errno));
	*path = "-";
	*ret_out = out;
	return EXIT_OK;
}
