/* SPDX-License-Identifier: MIT */

#include "qemu_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM_FIRST	4096
#define ROOM_MAX	((size_t)64 << 20)

uint64_t channel_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void channel_open(struct channel *channel, int fd)
{
	*channel = (struct channel){ .fd = fd };
}

void channel_close(struct channel *channel)
{
	if (channel->fd >= 0)
		(void)close(channel->fd);
	free(channel->bytes);
	*channel = (struct channel){ .fd = -1 };
}

/* A whole line of what came; its end, and a carriage return, are cut off. */
static char *take_line(struct channel *channel)
{
	char *line, *end;
	size_t length;

	if (!channel->count)
		return NULL;
	line = channel->bytes + channel->first;
	end = memchr(line, '\n', channel->count);
	if (!end)
		return NULL;
	length = (size_t)(end - line) + 1;
	channel->first += length;
	channel->count -= length;
	*end = '\0';
	if (end > line && end[-1] == '\r')
		end[-1] = '\0';
	return line;
}

static bool make_room(struct channel *channel)
{
	size_t room = channel->room ? 2 * channel->room : ROOM_FIRST;
	char *more;

	if (channel->first) {
		(void)memmove(channel->bytes, channel->bytes + channel->first,
			      channel->count);
		channel->first = 0;
	}
	if (channel->count < channel->room)
		return true;
	more = room > ROOM_MAX ? NULL : realloc(channel->bytes, room);
	if (!more)
		return false;
	channel->bytes = more;
	channel->room = room;
	return true;
}

static enum channel_read fill(struct channel *channel)
{
	ssize_t got;

	if (!make_room(channel))
		return CHANNEL_CLOSED;
	got = recv(channel->fd, channel->bytes + channel->count,
		   channel->room - channel->count, 0);
	if (got < 0 && errno == EINTR)
		return CHANNEL_LINE;
	if (got <= 0)
		return CHANNEL_CLOSED;
	channel->count += (size_t)got;
	return CHANNEL_LINE;
}

/* CHANNEL_LINE: there is something to read. */
static enum channel_read wait_until(const struct channel *channel,
				    uint64_t until_ns)
{
	struct pollfd poller = { .fd = channel->fd, .events = POLLIN };
	uint64_t now = channel_now();
	uint64_t left = until_ns > now ? until_ns - now : 0;
	struct timespec time = {
		.tv_sec = (time_t)(left / 1000000000),
		.tv_nsec = (long)(left % 1000000000),
	};
	int ready = ppoll(&poller, 1, &time, NULL);

	if (ready > 0 || (ready < 0 && errno == EINTR && left))
		return CHANNEL_LINE;
	return ready < 0 && errno != EINTR ? CHANNEL_CLOSED : CHANNEL_LATE;
}

enum channel_read channel_line(struct channel *channel, uint64_t until_ns,
			       char **ret_line)
{
	enum channel_read read = CHANNEL_LINE;

	while (read == CHANNEL_LINE) {
		*ret_line = take_line(channel);
		if (*ret_line)
			return CHANNEL_LINE;
		read = wait_until(channel, until_ns);
		if (read == CHANNEL_LINE)
			read = fill(channel);
	}
	return read;
}

bool channel_say(struct channel *channel, const char *text, size_t bytes)
{
	ssize_t sent;

	while (bytes) {
		sent = send(channel->fd, text, bytes, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		text += sent;
		bytes -= (size_t)sent;
	}
	return true;
}
