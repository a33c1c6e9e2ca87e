/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_COMMON_H
#define COLDFRAME_COMMON_H

#include "command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "linux/scan.h"

#define COMMON_PRINTF __attribute__((format(printf, 2, 3)))

/* Say on stderr what went wrong, behind the command's name. */
int common_failed(const char *command, const char *format, ...) COMMON_PRINTF;
int common_wrong(const char *command, const char *format, ...) COMMON_PRINTF;

/* The same of an error in reading a host, with what may help. */
int common_unread(const char *command, const struct lx_error *err);

/* The same for a file that only root may read. */
int common_denied(const char *command, const struct lx_error *err);

/*
 * The line about proc/kpageflags that cannot be read, -LX_EDENIED or
 * -LX_EMISSING, where sysfs tells something all the same.
 */
void common_no_flags(const char *command, int ret, const struct lx_error *err);

/* Say something that the user should know and that changes nothing. */
void common_note(const char *command, const char *format, ...) COMMON_PRINTF;

/* Behind what getopt_long() has said already. */
int common_try_help(const char *command);

/**
 * common_finish() - what is printed must arrive.
 * Return: @status, or EXIT_FAILED when stdout could not be written.
 */
int common_finish(const char *command, int status);

/* "4096", "64K", "2M", "1GiB", "4 TiB": bytes. False: no size. */
bool common_size(const char *text, uint64_t *ret_bytes);

/* The same, not 0, and it must have a unit: a bare number is too ambiguous. */
bool common_wanted(const char *text, uint64_t *ret_bytes);

/* A size for people, three digits or so: "512 KiB", "1.5 GiB". */
const char *common_bytes(uint64_t bytes, char buffer[24]);

/* The same as in lsmem: "512K", "1.5G". */
const char *common_short(uint64_t bytes, char buffer[24]);

/* --color=auto|always|never */
enum common_color {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

bool common_color_parse(const char *text, enum common_color *ret_color);

/* Auto: a terminal that is not dumb, and no NO_COLOR (no-color.org). */
bool common_color_use(enum common_color color);

/*
 * Makes a dump a root, as lx_mount(); 1: it is no dump. main() sets it, for
 * what reads dumps is more than the commands need otherwise.
 */
extern int (*common_mount_dump)(const char *path, struct lx_error *err);

/*
 * Where a command reads: the live system unless --sysroot or --file says
 * else.  COMMON_OPTIONS and COMMON_LETTERS are in the lists of every command
 * that reads.
 */
struct common_source {
	const char *sysroot, *file;
	enum common_color color;
};

enum { COMMON_COLOR = 0x1000 };

#define COMMON_LETTERS "s:F:h"
#define COMMON_OPTIONS							\
	{ "sysroot", required_argument, NULL, 's' },			\
	{ "file", required_argument, NULL, 'F' },			\
	{ "color", required_argument, NULL, COMMON_COLOR },		\
	{ "help", no_argument, NULL, 'h' }

#define COMMON_HELP							\
"  -s, --sysroot DIR   read DIR/proc and DIR/sys\n"			\
"  -F, --file FILE     read a capture, a dump or kpageflags\n"	\
"      --color WHEN    auto, always or never; auto minds $NO_COLOR\n"	\
"  -h, --help          print this\n"

/**
 * common_option() - take one of the options above but -h.
 * Return: -1: not one of them; 0; or an exit status.
 */
int common_option(struct common_source *source, const char *command,
		  int option, const char *value);

/**
 * common_source_open() - find the root to read, and make --file one.
 * Return: 0 and the root, or negative as lx_mount(); both options given is
 *         -LX_EFORMAT.
 */
int common_source_open(const struct common_source *source,
		       const char **ret_root, struct lx_error *err);
void common_source_close(const struct common_source *source);

/**
 * common_give_stdout() - where a file is to be written that is not for reading.
 * @what:    which kind of file
 * @path:    in and out: "-" if it is standard output by another name
 * @ret_out: what "-" is from now on; what is said goes to standard error then
 *
 * Return: an exit status: EXIT_OK, or said.
 */
int common_give_stdout(const char *command, const char *what,
		       const char **path, int *ret_out);

/*
 * common_progress() - an lx_progress_fn: on a terminal, from the third second
 * on, how far it is and how long it will take. Pair with
 * common_progress_end(), which wipes the line away.
 */
void common_progress(void *context, uint64_t done, uint64_t all);
void common_progress_end(void);

/* Columns: $COLUMNS, the terminal's, or 80. */
unsigned int common_width(void);

#endif
