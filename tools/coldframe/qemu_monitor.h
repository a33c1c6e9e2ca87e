/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COLDFRAME_QEMU_MONITOR_H
#define TOOLS_COLDFRAME_QEMU_MONITOR_H

#include <jansson.h>

#include "qemu_channel.h"

#define MONITOR_DEVICES	8

/*
 * QEMU's monitor, by its protocol QMP: one JSON object a line. Each command
 * has a number, so that an answer nobody waits for any more is not taken for
 * the next one's. Events that come between answers are noted; QEMU holds them
 * back for up to a second, the last of several comes in any case.
 */
struct monitor {
	struct channel channel;
	uint64_t patience_ns;		/* for an answer */
	uint64_t commands;		/* the last one's number */
	/* What events said last, ~0: nothing yet. */
	uint64_t size_told[MONITOR_DEVICES];	/* "deviceN" has plugged */
	uint64_t ram_told;		/* RAM that is in no balloon */
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

/* Note events that come until then. False: QEMU is gone. */
bool monitor_hear(struct monitor *monitor, uint64_t until_ns);

/* Set a property of a device: "/machine/peripheral/" @device. */
bool monitor_set(struct monitor *monitor, const char *device,
		 const char *property, uint64_t value);

#endif
