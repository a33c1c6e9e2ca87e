/* SPDX-License-Identifier: MIT */
#ifndef LINUX_SYSROOT_H
#define LINUX_SYSROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reading a folder that looks like the root of a Linux system: "/" itself, or
 * a folder with proc/ and sys/ in it, or a file that lx_mount() has made a
 * root.  File names are relative to that root and have no leading slash.
 *
 * Functions return 0 or one of these, negative; the sentence for the user is
 * in struct lx_error, with the file's name in front.
 */
enum lx_err {
	LX_EMISSING	= 1,	/* no such file: do without, or tell the user */
	LX_EREAD	= 2,	/* the system refused: permission, memory */
	LX_EFORMAT	= 3,	/* the file says what cannot be */
	LX_EDENIED	= 4,	/* there, and not for this user */
};

/*
 * No file that counts frames says as many as this, 8 PiB: so sums of them over
 * all zones fit into 64 bits also as bytes, with a sign.
 */
#define LX_COUNT_MAX	(UINT64_C(1) << 41)

struct lx_error {
	char text[4608];	/* room for any path and a sentence */
	enum lx_err code;
};

#define LX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Write the sentence and return -@code. */
int lx_fail(struct lx_error *err, enum lx_err code, const char *format, ...)
	LX_PRINTF(3, 4);

/* The code for what errno says about opening a file. */
enum lx_err lx_errno_code(int error);

/* "root/name" with exactly one slash between; false when it does not fit. */
bool lx_path(const char *root, const char *name, char *path, size_t size);

/**
 * lx_open() - open a file or a folder for reading.
 * @folder: which of both it has to be
 *
 * Whoever made a folder that stands for a root may have put links into it, and
 * pipes: below any root but "/" no link is followed, and a file is a file.
 *
 * Return: a descriptor, or -LX_EMISSING, -LX_EDENIED, -LX_EREAD.
 */
int lx_open(const char *root, const char *name, bool folder,
	    struct lx_error *err);

/**
 * lx_open_file() - open a regular file by its path, for reading.
 *
 * Pipes and devices are refused, and none is waited for.
 *
 * Return: a descriptor, or -LX_EMISSING, -LX_EDENIED, -LX_EREAD.
 */
int lx_open_file(const char *path, struct lx_error *err);

/**
 * lx_number() - read digits, and digits only, at the start of a text.
 * @text:    no blank and no sign is skipped
 * @base:    10, 16 (without 0x), or 0: as in C, 0x and a leading 0 count
 * @ret_end: the character after the number; NULL: the text must end there
 *
 * Return: false for no digit, for a number above 64 bits, and for more text
 *         when @ret_end is NULL.
 */
bool lx_number(const char *text, int base, const char **ret_end,
	       uint64_t *ret_value);

/* Called for each line, without its newline; not 0 stops the reading. */
typedef int (*lx_line_fn)(void *context, char *line);

#define LX_LINE_BYTES 1024

/**
 * lx_clean() - have a '?' for each byte that is no UTF-8 or controls terminals.
 *
 * Lines of files are clean when they are given out; what is cut from them may
 * end inside a character.
 */
void lx_clean(char *text);

/**
 * lx_lines() - hand every line of a text file to a function.
 *
 * Lines are cut at LX_LINE_BYTES - 1 characters; the rest of a longer one is
 * dropped.
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD, or what @fn returned when
 *         not 0.
 */
int lx_lines(const char *root, const char *name, lx_line_fn fn, void *context,
	     struct lx_error *err);

/**
 * lx_first_line() - the first line of a small file, without its newline.
 * @line: LX_LINE_BYTES of room
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD.
 */
int lx_first_line(const char *root, const char *name, char *line,
		  struct lx_error *err);

/* Called for each name in a folder; not 0 stops. */
typedef int (*lx_name_fn)(void *context, const char *name);

/**
 * lx_names() - hand every name in a folder to a function, in no order.
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD, or what @fn returned when
 *         not 0.
 */
int lx_names(const char *root, const char *folder, lx_name_fn fn,
	     void *context, struct lx_error *err);

#endif
