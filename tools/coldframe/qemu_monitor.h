/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COLDFRAME_QEMU_MONITOR_H
#define TOOLS_COLDFRAME_QEMU_MONITOR_H

#include <jansson.h>

#include "qemu_channel.h"

/*
 * QEMU's monitor, by its protocol QMP: one JSON object a line. Events that
 * come between answers are counted; QEMU holds them back for a second, so
 * they are hints and no answers.
 */
struct monitor {
	struct channel channel;
	uint64_t patience_ns;		/* for an answer */
	unsigned size_changes;		/* MEMORY_DEVICE_SIZE_CHANGE */
	unsigned balloon_changes;	/* BALLOON_CHANGE */
	char error[160];		/* of the command that failed last */
};

/* @fd: of the socket. False: error says why. */
bool monitor_open(struct monitor *monitor, int fd, uint64_t patience_ns);
void monitor_close(struct monitor *monitor);

/**
 * monitor_do() - a command and its answer.
 * @arguments: a reference that is taken; NULL: none
 * @ret_answer: NULL, or a new reference to what it returned
 *
 * Return: false: error says why.
 */
bool monitor_do(struct monitor *monitor, const char *command,
		json_t *arguments, json_t **ret_answer);

/* Count events that wait. */
void monitor_look(struct monitor *monitor);

/* A property of a device: "/machine/peripheral/" @device. */
bool monitor_set(struct monitor *monitor, const char *device,
		 const char *property, uint64_t value);
bool monitor_get(struct monitor *monitor, const char *device,
		 const char *property, uint64_t *ret_value);

#endif
