/* SPDX-License-Identifier: MIT */
#include "info.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int dump_fail(struct dump_why *why, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vsnprintf(why->text, sizeof(why->text), format, values);
	va_end(values);
	return -1;
}

bool info_next(struct info info, const char *key, const char **cursor,
	       const char **ret_value, size_t *ret_bytes)
{
	const char *end = info.text + info.bytes, *line = info.text, *next;
	size_t length = strlen(key);

	if (*cursor) {
		line = memchr(*cursor, '\n', (size_t)(end - *cursor));
		line = line ? line + 1 : end;
	}
	for (; line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next + 1 : end;
		if ((size_t)(next - line) <= length ||
		    memcmp(line, key, length) || line[length] != '=')
			continue;
		*cursor = line;
		*ret_value = line + length + 1;
		*ret_bytes = (size_t)(next - *ret_value);
		while (*ret_bytes && ((*ret_value)[*ret_bytes - 1] == '\n' ||
				      (*ret_value)[*ret_bytes - 1] == '\0'))
			--*ret_bytes;
		return true;
	}
	return false;
}

static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	return 16;
}

bool info_digits(const char *value, size_t bytes, unsigned base,
		 uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t i;

	if (!bytes)
		return false;
	for (i = 0; i < bytes; i++) {
		unsigned digit = digit_of(value[i]);

		if (digit >= base ||
		    __builtin_mul_overflow(number, (uint64_t)base, &number) ||
		    __builtin_add_overflow(number, (uint64_t)digit, &number))
			return false;
	}
	*ret_number = number;
	return true;
}

bool info_number(struct info info, const char *key, uint64_t *ret_number)
{
	const char *cursor = NULL, *value;
	size_t bytes;

	return info_next(info, key, &cursor, &value, &bytes) &&
	       info_digits(value, bytes, 10, ret_number);
}

bool info_symbol(struct info info, const char *name, uint64_t *ret_address)
{
	const char *cursor = NULL, *value;
	char key[64];
	size_t bytes;

	if (snprintf(key, sizeof(key), "SYMBOL(%s)", name) >= (int)sizeof(key))
		return false;
	return info_next(info, key, &cursor, &value, &bytes) &&
	       info_digits(value, bytes, 16, ret_address);
}
