/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COLDFRAME_QEMU_CHANNEL_H
#define TOOLS_COLDFRAME_QEMU_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines to and from QEMU, on a socket: of its monitor, or the console. */
struct channel {
	int fd;
	char *bytes;		/* that came, and are not taken yet */
	size_t first, count, room;
};

enum channel_read {
	CHANNEL_LINE,
	CHANNEL_LATE,		/* time is up */
	CHANNEL_CLOSED,		/* or no memory */
};

/* Nanoseconds of a clock that only goes forward. */
uint64_t channel_now(void);

/* @fd: the channel's, closed by channel_close(). */
void channel_open(struct channel *channel, int fd);
void channel_close(struct channel *channel);

/**
 * channel_line() - wait for a line.
 * @until_ns: for how long; 0: only what is there already
 * @ret_line: terminated, without its end; valid until the next call
 */
enum channel_read channel_line(struct channel *channel, uint64_t until_ns,
			       char **ret_line);

/* False: nobody reads it any more. */
bool channel_say(struct channel *channel, const char *text, size_t bytes);

#endif
