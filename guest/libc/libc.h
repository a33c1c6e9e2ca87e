/* SPDX-License-Identifier: MIT */
#ifndef GUEST_LIBC_LIBC_H
#define GUEST_LIBC_LIBC_H

/* What the files of the guest's C library share. */

#include <stdarg.h>
#include <stddef.h>

/* Where formatted bytes go. */
struct sink {
	void (*put)(struct sink *sink, char byte);
	size_t count;		/* bytes put */
	char *text;		/* of those that keep bytes */
	size_t room;
	int fd;
};

void libc_format(struct sink *sink, const char *format, va_list values);

#endif
