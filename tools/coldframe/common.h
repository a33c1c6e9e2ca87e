/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_COMMON_H
#define COLDFRAME_COMMON_H

#include "command.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define COMMON_PRINTF __attribute__((format(printf, 2, 3)))

/* Say on stderr what went wrong, behind the command's name. */
int common_failed(const char *command, const char *format, ...) COMMON_PRINTF;
int common_wrong(const char *command, const char *format, ...) COMMON_PRINTF;

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

/* A size for people, three digits or so: "512 KiB", "1.5 GiB". */
const char *common_bytes(uint64_t bytes, char buffer[24]);

/* --color=auto|always|never */
enum common_color {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

bool common_color_parse(const char *text, enum common_color *ret_color);

/* Auto: a terminal that is not dumb, and no NO_COLOR (no-color.org). */
bool common_color_use(enum common_color color);

/* Columns: $COLUMNS, the terminal's, or 80. */
unsigned int common_width(void);

#endif
