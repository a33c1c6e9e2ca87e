/* SPDX-License-Identifier: MIT */
#ifndef DUMP_INFO_H
#define DUMP_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Texts of lines "KEY=value", as VMCOREINFO and the note of coldframe are.
 * They come from files: nothing in them is believed before it was looked at.
 */
struct info {
	const char *text;	/* not terminated */
	size_t bytes;
};

/* Why something could not be done, as one sentence without a full stop. */
struct dump_why {
	char text[512];
};

/* Write the sentence; returns -1. */
int dump_fail(struct dump_why *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The value of a key, behind the line *@cursor is in; *@cursor NULL: of the
 * first.  False: there is none.
 */
bool info_next(struct info info, const char *key, const char **cursor,
	       const char **ret_value, size_t *ret_bytes);

/* A number of @base at the start of a value; false: none, or more than that. */
bool info_digits(const char *value, size_t bytes, unsigned base,
		 uint64_t *ret_number);

/* Both at once; symbols are in base 16, all else in base 10. */
bool info_number(struct info info, const char *key, uint64_t *ret_number);
bool info_symbol(struct info info, const char *name, uint64_t *ret_address);

#endif
